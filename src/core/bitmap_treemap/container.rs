//! Two containers of 2^16 values: the loops under the algebra, on the stored bytes.
//!
//! No input makes them panic: a body of the wrong length is read as far as it goes.

use fearless_simd::{Level, dispatch};

use super::layout::Container;
use super::ops::Operation;
use crate::bitmap::{Block, kernel};

/// 2^16 bits, lowest value first.
pub(super) type Words = [u64; 1024];

/// The values of an array body.
pub(super) fn members(array: &[u8]) -> impl DoubleEndedIterator<Item = u16> + ExactSizeIterator + '_ {
    array.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair))
}

/// The runs of a run body as (first, last).
pub(super) fn runs(body: &[u8]) -> impl DoubleEndedIterator<Item = (u16, u16)> + ExactSizeIterator + '_ {
    body.as_chunks::<4>().0.iter().map(|&[a, b, c, d]| {
        let first = u16::from_le_bytes([a, b]);
        (first, first.saturating_add(u16::from_le_bytes([c, d])))
    })
}

/// The words of a bitset body.
pub(super) fn words(body: &[u8]) -> impl DoubleEndedIterator<Item = u64> + ExactSizeIterator + '_ {
    body.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word))
}

fn word_at(body: &[u8], i: usize) -> u64 {
    body.as_chunks::<8>().0.get(i).map_or(0, |word| u64::from_le_bytes(*word))
}

fn in_bits(body: &[u8], low: u16) -> bool {
    body.get(usize::from(low) / 8).is_some_and(|byte| byte >> (low % 8) & 1 == 1)
}

/// Writes the values of a container as bits.
pub(super) fn spread(values: Container<'_>, block: &mut Words) {
    if let Container::Bits(body) = values {
        for (word, bits) in block.iter_mut().zip(words(body)) {
            *word = bits;
        }
    } else {
        block.fill(0);
        change(block, values, Operation::Or);
    }
}

/// block = block `operation` values. And with an array or with runs builds the right side first.
pub(super) fn change(block: &mut Words, values: Container<'_>, operation: Operation) {
    match (values, operation) {
        (Container::Bits(body), _) => {
            let pairs = block.iter_mut().zip(words(body));
            match operation {
                Operation::And => pairs.for_each(|(word, bits)| *word &= bits),
                Operation::Or => pairs.for_each(|(word, bits)| *word |= bits),
                Operation::Xor => pairs.for_each(|(word, bits)| *word ^= bits),
                Operation::AndNot => pairs.for_each(|(word, bits)| *word &= !bits),
            }
        }
        (_, Operation::And) => {
            let mut right = [0; 1024];
            change(&mut right, values, Operation::Or);
            block.iter_mut().zip(right).for_each(|(word, bits)| *word &= bits);
        }
        (Container::Array(body), _) => {
            for low in members(body) {
                let bit = 1u64 << (low % 64);
                // A u16 / 64 is below 1024.
                let word = &mut block[usize::from(low) / 64];
                match operation {
                    Operation::AndNot => *word &= !bit,
                    Operation::Xor => *word ^= bit,
                    _ => *word |= bit,
                }
            }
        }
        (Container::Runs(body), _) => {
            for (first, last) in runs(body) {
                masks(first, last, |i, mask| match operation {
                    Operation::AndNot => block[i] &= !mask,
                    Operation::Xor => block[i] ^= mask,
                    _ => block[i] |= mask,
                });
            }
        }
    }
}

/// Calls `with` with every word number of first..=last and the bits of it that are inside; first <= last.
fn masks(first: u16, last: u16, mut with: impl FnMut(usize, u64)) {
    let (from, to) = (usize::from(first) / 64, usize::from(last) / 64);
    for i in from..=to {
        let low = if i == from { u64::MAX << (first % 64) } else { u64::MAX };
        let high = if i == to { u64::MAX >> (63 - last % 64) } else { u64::MAX };
        with(i, low & high);
    }
}

/// Number of bits set.
pub(super) fn population(block: &Words) -> u32 {
    #[inline(always)]
    fn run(block: &Words) -> u32 {
        block.iter().fold(0, |sum, word| sum + word.count_ones())
    }
    dispatch!(Level::new(), _simd => run(block))
}

/// Whether `low` is in the container.
pub(super) fn holds(values: Container<'_>, low: u16) -> bool {
    match values {
        Container::Bits(body) => in_bits(body, low),
        Container::Array(body) => {
            body.as_chunks::<2>().0.binary_search_by_key(&low, |pair| u16::from_le_bytes(*pair)).is_ok()
        }
        Container::Runs(body) => {
            let runs = body.as_chunks::<4>().0;
            let after = runs.partition_point(|&[a, b, _, _]| u16::from_le_bytes([a, b]) <= low);
            after
                .checked_sub(1)
                .and_then(|i| runs.get(i))
                .is_some_and(|&[a, b, c, d]| low - u16::from_le_bytes([a, b]) <= u16::from_le_bytes([c, d]))
        }
    }
}

/// From this ratio of lengths on, the short array is looked up in the long one instead of merged with it.
const GALLOP: usize = 32;

/// Two arrays of this many bytes together are met in a flat block: setting and probing bits costs half a nanosecond a value, a merge two
/// to three, the empty block about a hundred.
const FLAT_FROM: usize = 512;

/// The values of `array` that are (`keep`) or are not in `other`, appended to `out`.
pub(super) fn filter(array: &[u8], other: Container<'_>, keep: bool, out: &mut Vec<u16>) {
    match other {
        Container::Array(long) if long.len() / GALLOP < array.len() => {
            let mut right = members(long).peekable();
            for low in members(array) {
                while right.next_if(|value| *value < low).is_some() {}
                if (right.peek() == Some(&low)) == keep {
                    out.push(low);
                }
            }
        }
        _ => out.extend(members(array).filter(|low| holds(other, *low) == keep)),
    }
}

/// The union or, without the shared values, the symmetric difference of two arrays, appended to `out`.
pub(super) fn merge(a: &[u8], b: &[u8], shared: bool, out: &mut Vec<u16>) {
    let (mut left, mut right) = (members(a).peekable(), members(b).peekable());
    loop {
        match (left.peek().copied(), right.peek().copied()) {
            (Some(x), Some(y)) if x == y => {
                if shared {
                    out.push(x);
                }
                left.next();
                right.next();
            }
            (Some(x), Some(y)) if x < y => {
                out.push(x);
                left.next();
            }
            (_, Some(y)) => {
                out.push(y);
                right.next();
            }
            (Some(x), None) => {
                out.push(x);
                left.next();
            }
            (None, None) => return,
        }
    }
}

/// Number of values that both containers hold.
pub(super) fn and_count(a: Container<'_>, b: Container<'_>) -> u32 {
    match (a, b) {
        (Container::Bits(x), Container::Bits(y)) => {
            #[inline(always)]
            fn run(x: &[[u8; 8]], y: &[[u8; 8]]) -> u32 {
                let pairs = x.iter().zip(y);
                pairs.fold(0, |sum, (x, y)| sum + (u64::from_le_bytes(*x) & u64::from_le_bytes(*y)).count_ones())
            }
            dispatch!(Level::new(), _simd => run(x.as_chunks::<8>().0, y.as_chunks::<8>().0))
        }
        (Container::Array(x), Container::Array(y)) => {
            let (short, long) = if x.len() <= y.len() { (x, y) } else { (y, x) };
            if long.len() / GALLOP >= short.len() {
                return members(short).filter(|low| holds(Container::Array(long), *low)).count() as u32;
            }
            if short.len() + long.len() >= FLAT_FROM {
                let mut block = Block::new();
                kernel::or_array(block.words_mut(), long.as_chunks::<2>().0);
                return kernel::probe_count(block.words(), short.as_chunks::<2>().0);
            }
            // Without branches on the data: which side is ahead is a coin toss.
            let (x, y) = (short.as_chunks::<2>().0, long.as_chunks::<2>().0);
            let (mut i, mut j, mut both) = (0, 0, 0);
            while let (Some(p), Some(q)) = (x.get(i), y.get(j)) {
                let (p, q) = (u16::from_le_bytes(*p), u16::from_le_bytes(*q));
                both += u32::from(p == q);
                i += usize::from(p <= q);
                j += usize::from(q <= p);
            }
            both
        }
        (Container::Array(x), other) | (other, Container::Array(x)) => {
            members(x).map(|low| u32::from(holds(other, low))).sum()
        }
        (Container::Bits(x), Container::Runs(y)) | (Container::Runs(y), Container::Bits(x)) => {
            let mut both = 0;
            for (first, last) in runs(y) {
                masks(first, last, |i, mask| both += (word_at(x, i) & mask).count_ones());
            }
            both
        }
        (Container::Runs(x), Container::Runs(y)) => {
            let (mut left, mut right) = (runs(x), runs(y));
            let (mut p, mut q) = (left.next(), right.next());
            let mut both = 0;
            while let (Some(l), Some(r)) = (p, q) {
                let (first, last) = (l.0.max(r.0), l.1.min(r.1));
                if first <= last {
                    both += u32::from(last - first) + 1;
                }
                if l.1 <= r.1 {
                    p = left.next();
                } else {
                    q = right.next();
                }
            }
            both
        }
    }
}

/// Number of values up to and including `low`.
pub(super) fn rank(values: Container<'_>, low: u16) -> u32 {
    match values {
        Container::Array(body) => {
            body.as_chunks::<2>().0.partition_point(|pair| u16::from_le_bytes(*pair) <= low) as u32
        }
        Container::Bits(body) => {
            let whole = usize::from(low) / 64;
            let before: u32 = words(body).take(whole).map(u64::count_ones).sum();
            before + (word_at(body, whole) & (u64::MAX >> (63 - low % 64))).count_ones()
        }
        Container::Runs(body) => runs(body)
            .take_while(|(first, _)| *first <= low)
            .map(|(first, last)| u32::from(last.min(low) - first) + 1)
            .sum(),
    }
}

/// The value number `n`, counted from 0 upwards; `None` when there are not so many.
pub(super) fn nth(values: Container<'_>, n: u32) -> Option<u16> {
    match values {
        Container::Array(body) => members(body).nth(n as usize),
        Container::Bits(body) => {
            let mut left = n;
            for (i, mut word) in words(body).enumerate() {
                let ones = word.count_ones();
                if left < ones {
                    for _ in 0..left {
                        word &= word - 1;
                    }
                    return u16::try_from(64 * i as u32 + word.trailing_zeros()).ok();
                }
                left -= ones;
            }
            None
        }
        Container::Runs(body) => {
            let mut left = n;
            for (first, last) in runs(body) {
                let length = u32::from(last - first) + 1;
                if left < length {
                    return Some(first + left as u16);
                }
                left -= length;
            }
            None
        }
    }
}
