//! The hot loops: everything that touches 1024 words at once.
//!
//! Each loop is compiled once for every instruction set of [`fearless_simd`] (SSE2, SSE4.2, AVX2, AVX-512 with
//! VPOPCNTDQ; NEON) and the best one that the processor has is taken at run time: a plain x86-64 build has no instruction
//! that counts bits. The loops run over arrays of known length, so that they carry no bounds checks, and use wrapping
//! arithmetic, so that builds with overflow checks vectorise too; no sum here can reach its type's end (a block has 2^16
//! members).

#![allow(clippy::needless_range_loop, reason = "operands are read at one index each, in one form for all loops")]

use super::WORDS;
use fearless_simd::{Level, dispatch};

/// The words of a flat set.
pub type Flat = [u64; WORDS];

/// 1024 words that can be read in order: a block of our own, or a bitmap container inside foreign bytes.
pub trait Words {
    /// Word `i`, `i < 1024`.
    fn word(&self, i: usize) -> u64;
}

impl Words for Flat {
    #[inline(always)]
    fn word(&self, i: usize) -> u64 {
        self[i]
    }
}

impl Words for [[u8; 8]; WORDS] {
    #[inline(always)]
    fn word(&self, i: usize) -> u64 {
        u64::from_le_bytes(self[i])
    }
}

/// 1024 words as they are stored.
pub type StoredWords = [[u8; 8]; WORDS];

/// dst = src
pub fn copy<W: Words>(dst: &mut Flat, src: &W) {
    for i in 0..WORDS {
        dst[i] = src.word(i);
    }
}

/// dst |= src
pub fn or<W: Words>(dst: &mut Flat, src: &W) {
    #[inline(always)]
    fn run<W: Words>(dst: &mut Flat, src: &W) {
        for i in 0..WORDS {
            dst[i] |= src.word(i);
        }
    }
    dispatch!(Level::new(), _simd => run(dst, src))
}

/// dst &= src; whether anything is left.
pub fn and<W: Words>(dst: &mut Flat, src: &W) -> bool {
    #[inline(always)]
    fn run<W: Words>(dst: &mut Flat, src: &W) -> bool {
        let mut any = 0;
        for i in 0..WORDS {
            dst[i] &= src.word(i);
            any |= dst[i];
        }
        any != 0
    }
    dispatch!(Level::new(), _simd => run(dst, src))
}

/// dst &= !src; whether anything is left.
pub fn andnot<W: Words>(dst: &mut Flat, src: &W) -> bool {
    #[inline(always)]
    fn run<W: Words>(dst: &mut Flat, src: &W) -> bool {
        let mut any = 0;
        for i in 0..WORDS {
            dst[i] &= !src.word(i);
            any |= dst[i];
        }
        any != 0
    }
    dispatch!(Level::new(), _simd => run(dst, src))
}

/// dst = a & b; whether anything is in it.
pub fn and_to<A: Words, B: Words>(dst: &mut Flat, a: &A, b: &B) -> bool {
    #[inline(always)]
    fn run<A: Words, B: Words>(dst: &mut Flat, a: &A, b: &B) -> bool {
        let mut any = 0;
        for i in 0..WORDS {
            dst[i] = a.word(i) & b.word(i);
            any |= dst[i];
        }
        any != 0
    }
    dispatch!(Level::new(), _simd => run(dst, a, b))
}

/// matched |= rest & src, rest &= !src: the members that have the bit are decided. Whether anything is left in rest.
pub fn take_ones<W: Words>(matched: &mut Flat, rest: &mut Flat, src: &W) -> bool {
    #[inline(always)]
    fn run<W: Words>(matched: &mut Flat, rest: &mut Flat, src: &W) -> bool {
        let mut any = 0;
        for i in 0..WORDS {
            let word = src.word(i);
            matched[i] |= rest[i] & word;
            rest[i] &= !word;
            any |= rest[i];
        }
        any != 0
    }
    dispatch!(Level::new(), _simd => run(matched, rest, src))
}

/// matched |= rest & !src, rest &= src: the members that lack the bit are decided. Whether anything is left in rest.
pub fn take_zeros<W: Words>(matched: &mut Flat, rest: &mut Flat, src: &W) -> bool {
    #[inline(always)]
    fn run<W: Words>(matched: &mut Flat, rest: &mut Flat, src: &W) -> bool {
        let mut any = 0;
        for i in 0..WORDS {
            let word = src.word(i);
            matched[i] |= rest[i] & !word;
            rest[i] &= word;
            any |= rest[i];
        }
        any != 0
    }
    dispatch!(Level::new(), _simd => run(matched, rest, src))
}

/// For each plane: rest &= !(plane ^ bit), the members whose bit is another are dropped. Whether anything is left in rest.
pub fn keep_equal<const N: usize>(rest: &mut Flat, planes: [&StoredWords; N], bits: [u64; N]) -> bool {
    #[inline(always)]
    fn run<const N: usize>(rest: &mut Flat, planes: [&StoredWords; N], bits: [u64; N]) -> bool {
        let mut any = 0;
        for i in 0..WORDS {
            let mut left = rest[i];
            for plane in 0..N {
                left &= !(planes[plane].word(i) ^ bits[plane]);
            }
            rest[i] = left;
            any |= left;
        }
        any != 0
    }
    dispatch!(Level::new(), _simd => run(rest, planes, bits))
}

/// For each plane, changed by `flip`: members that have the bit where the bound has none are above it, matched; members that lack it where
/// the bound has one are below it, dropped. Whether anything is left in open.
pub fn keep_above<const N: usize>(
    open: &mut Flat,
    matched: &mut Flat,
    planes: [&StoredWords; N],
    bits: [u64; N],
    flip: u64,
) -> bool {
    #[inline(always)]
    fn run<const N: usize>(
        open: &mut Flat,
        matched: &mut Flat,
        planes: [&StoredWords; N],
        bits: [u64; N],
        flip: u64,
    ) -> bool {
        let mut any = 0;
        for i in 0..WORDS {
            let (mut left, mut above) = (open[i], matched[i]);
            for plane in 0..N {
                let word = planes[plane].word(i) ^ flip;
                above |= left & word & !bits[plane];
                left &= !(word ^ bits[plane]);
            }
            (open[i], matched[i]) = (left, above);
            any |= left;
        }
        any != 0
    }
    dispatch!(Level::new(), _simd => run(open, matched, planes, bits, flip))
}

/// Full adder, one a bit: sum = sum ^ a ^ carry, carry = majority of the three. Whether there is any carry.
pub fn add3<W: Words>(sum: &mut Flat, a: &W, carry: &mut Flat) -> bool {
    #[inline(always)]
    fn run<W: Words>(sum: &mut Flat, a: &W, carry: &mut Flat) -> bool {
        let mut any = 0;
        for i in 0..WORDS {
            let (x, y, z) = (sum[i], a.word(i), carry[i]);
            let half = x ^ y;
            sum[i] = half ^ z;
            carry[i] = (x & y) | (half & z);
            any |= carry[i];
        }
        any != 0
    }
    dispatch!(Level::new(), _simd => run(sum, a, carry))
}

/// Half adder, one a bit: sum = sum ^ carry, carry = sum & carry. Whether there is any carry.
pub fn add2(sum: &mut Flat, carry: &mut Flat) -> bool {
    #[inline(always)]
    fn run(sum: &mut Flat, carry: &mut Flat) -> bool {
        let mut any = 0;
        for i in 0..WORDS {
            let (x, y) = (sum[i], carry[i]);
            sum[i] = x ^ y;
            carry[i] = x & y;
            any |= carry[i];
        }
        any != 0
    }
    dispatch!(Level::new(), _simd => run(sum, carry))
}

/// Members of src.
pub fn count<W: Words>(src: &W) -> u32 {
    #[inline(always)]
    fn run<W: Words>(src: &W) -> u32 {
        let mut total = 0u32;
        for i in 0..WORDS {
            total = total.wrapping_add(src.word(i).count_ones());
        }
        total
    }
    dispatch!(Level::new(), _simd => run(src))
}

/// Members of a & b.
pub fn and_count<A: Words, B: Words>(a: &A, b: &B) -> u32 {
    #[inline(always)]
    fn run<A: Words, B: Words>(a: &A, b: &B) -> u32 {
        let mut total = 0u32;
        for i in 0..WORDS {
            total = total.wrapping_add((a.word(i) & b.word(i)).count_ones());
        }
        total
    }
    dispatch!(Level::new(), _simd => run(a, b))
}

/// dst |= members.
pub fn or_array(dst: &mut Flat, members: &[[u8; 2]]) {
    #[inline(always)]
    fn run(dst: &mut Flat, members: &[[u8; 2]]) {
        for_each_place(members, |word, bit| dst[word] |= bit);
    }
    dispatch!(Level::new(), _simd => run(dst, members))
}

/// dst &= !members.
pub fn andnot_array(dst: &mut Flat, members: &[[u8; 2]]) {
    #[inline(always)]
    fn run(dst: &mut Flat, members: &[[u8; 2]]) {
        for_each_place(members, |word, bit| dst[word] &= !bit);
    }
    dispatch!(Level::new(), _simd => run(dst, members))
}

/// dst |= src & members: with an empty dst, the intersection, without a branch a member.
pub fn or_probed_array<W: Words>(dst: &mut Flat, src: &W, members: &[[u8; 2]]) {
    #[inline(always)]
    fn run<W: Words>(dst: &mut Flat, src: &W, members: &[[u8; 2]]) {
        for_each_place(members, |word, bit| dst[word] |= src.word(word) & bit);
    }
    dispatch!(Level::new(), _simd => run(dst, src, members))
}

/// Calls `f` with word and bit of each member, in four interleaved streams: neighbours share a word, and changing a word
/// again has to wait for the change before it; members a quarter of the array apart do not.
#[inline(always)]
fn for_each_place(members: &[[u8; 2]], mut f: impl FnMut(usize, u64)) {
    let mut each = |member: &[u8; 2]| {
        let member = u16::from_le_bytes(*member);
        f(usize::from(member >> 6 & 1023), 1 << (member & 63));
    };
    let quarter = members.len() / 4;
    let (first, rest) = members.split_at(quarter);
    let (second, rest) = rest.split_at(quarter);
    let (third, rest) = rest.split_at(quarter);
    let (fourth, left) = rest.split_at(quarter);
    for (((a, b), c), d) in first.iter().zip(second).zip(third).zip(fourth) {
        each(a);
        each(b);
        each(c);
        each(d);
    }
    left.iter().for_each(each);
}

/// How many of the members are in src.
pub fn probe_count<W: Words>(src: &W, members: &[[u8; 2]]) -> u32 {
    #[inline(always)]
    fn run<W: Words>(src: &W, members: &[[u8; 2]]) -> u32 {
        let mut total = 0u32;
        for member in members {
            let member = u16::from_le_bytes(*member);
            let found = src.word(usize::from(member >> 6)) >> (member & 63) & 1;
            total = total.wrapping_add(found as u32);
        }
        total
    }
    dispatch!(Level::new(), _simd => run(src, members))
}

/// dst |= runs.
pub fn or_runs(dst: &mut Flat, runs: &[[u8; 4]]) {
    for run in runs {
        let (first, last) = ends(run);
        let (a, b) = (usize::from(first >> 6), usize::from(last >> 6));
        let (head, tail) = (!0 << (first & 63), !0 >> (63 - (last & 63)));
        if a == b {
            dst[a] |= head & tail;
        } else {
            dst[a] |= head;
            dst[a + 1..b].fill(!0);
            dst[b] |= tail;
        }
    }
}

/// dst &= !runs.
pub fn andnot_runs(dst: &mut Flat, runs: &[[u8; 4]]) {
    for run in runs {
        let (first, last) = ends(run);
        let (a, b) = (usize::from(first >> 6), usize::from(last >> 6));
        let (head, tail): (u64, u64) = (!0 << (first & 63), !0 >> (63 - (last & 63)));
        if a == b {
            dst[a] &= !(head & tail);
        } else {
            dst[a] &= !head;
            dst[a + 1..b].fill(0);
            dst[b] &= !tail;
        }
    }
}

/// Transposes a 64 × 64 matrix of bits in place: bit j of word i becomes bit i of word j.
pub fn transpose(matrix: &mut [u64; 64]) {
    #[inline(always)]
    fn run(matrix: &mut [u64; 64]) {
        // Recursive block swap (Warren, Hacker's Delight, 7-3), lowest bit first.
        let mut width = 32;
        let mut mask = 0x0000_0000_ffff_ffffu64;
        while width != 0 {
            let mut k = 0;
            while k < 64 {
                let swapped = ((matrix[k] >> width) ^ matrix[(k + width) & 63]) & mask;
                matrix[k] ^= swapped << width;
                matrix[(k + width) & 63] ^= swapped;
                k = (k + width + 1) & !width;
            }
            width >>= 1;
            mask ^= mask << width;
        }
    }
    dispatch!(Level::new(), _simd => run(matrix))
}

/// First and last member of a run. A damaged run that leaves the block ends with the block.
#[inline(always)]
pub fn ends(run: &[u8; 4]) -> (u16, u16) {
    let first = u16::from_le_bytes([run[0], run[1]]);
    (first, first.saturating_add(u16::from_le_bytes([run[2], run[3]])))
}
