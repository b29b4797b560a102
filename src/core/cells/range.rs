//! Comparison with constants on bit planes (O'Neil and Quass, "Improved query performance with variant indexes").

use crate::bitmap::{Arena, Block, Container, Portable, Value, kernel};
use crate::error::StoreError;

/// With this many undecided members or fewer, each is looked up by itself: half of them differ from the bound in every further bit, so that
/// two looks at some nanoseconds each decide a member, while a pass over one plane more takes some tenths of a microsecond. As many as a
/// word has bits.
const FEW: u32 = u64::BITS;

/// Planes that one pass over the undecided members takes: more passes would write what is undecided more often, longer ones would read
/// planes that nobody needs any more.
const GROUP: usize = 4;

/// Members of block `key` of `presence` whose number, given by `planes` from the highest bit to the lowest, is in
/// low..=high; low ≤ high. Bits of `high` above the planes mean nothing, those of `low` are zero. With `within`, the
/// answer is only right inside that set.
///
/// While the bits of both bounds agree, only the members that agree too stay undecided. The first bit in which they differ splits
/// these: those without it have only the low bound left to meet, those with it only the high bound. A side is decided as soon as
/// the rest of its bound is all zeros (low) or all ones (high), or nobody is left.
pub fn between<'a>(
    presence: &Portable<'a>,
    planes: &[Portable<'a>],
    key: u16,
    low: u64,
    high: u64,
    within: Option<&Value<'_>>,
    arena: &mut Arena,
) -> Result<Value<'a>, StoreError> {
    let Some(present) = presence.get(key)? else {
        return Ok(Value::Empty);
    };
    if decided(low, planes.len()) && decided(!high, planes.len()) {
        return Ok(Value::stored(Some(present)));
    }
    expect(planes, key);
    let mut rest = arena.take();
    let mut any = true;
    match within {
        Some(Value::Flat(block)) => {
            rest.set_block(block);
            any = present.is_full() || rest.and_container(present);
        }
        Some(Value::Stored(container)) => {
            rest.set_container(*container);
            any = present.is_full() || rest.and_container(present);
        }
        None | Some(Value::Full) => rest.set_container(present),
        Some(Value::Empty) => any = false,
    }
    let differ = (low ^ high) & u64::MAX.checked_shr(u64::BITS - planes.len() as u32).unwrap_or(0);
    let agreed = planes.len() - (u64::BITS - differ.leading_zeros()) as usize;
    let (prefix, sides) = planes.split_at_checked(agreed).unwrap_or((planes, &[]));
    let mut bits = planes.len();
    for group in prefix.chunks(GROUP) {
        if !any {
            break;
        }
        if is_few(&rest, bits) {
            let mut matched = arena.take_clear();
            let left = planes.get(planes.len() - bits..).unwrap_or_default();
            decide_few(left, key, &rest, (Some(low), Some(high)), &mut matched)?;
            arena.give(rest);
            let any = !matched.is_empty();
            return Ok(arena.value(matched, any));
        }
        bits -= group.len();
        expect(planes.get(planes.len() - bits..).unwrap_or_default(), key);
        let operands = Operands::load(group, key, arena)?;
        any = operands.keep_equal(&mut rest, low >> bits);
        operands.drop_into(arena);
    }
    let undecided = any && !(decided(low, bits) && decided(!high, bits));
    let Some((split, below)) = sides.split_first().filter(|_| undecided) else {
        return Ok(arena.value(rest, any));
    };
    let (mut over_low, mut under_high, mut matched) = (rest, arena.take_clear(), arena.take_clear());
    expect(below, key);
    match split.get(key)? {
        None => {}
        Some(Container::Bitmap(words)) => {
            kernel::take_ones(under_high.words_mut(), over_low.words_mut(), words);
        }
        Some(container) => {
            let flat = arena.take_container(container);
            kernel::take_ones(under_high.words_mut(), over_low.words_mut(), flat.words());
            arena.give(flat);
        }
    }
    Side { planes: below, key, bound: Bound::Low(low) }.decide(&mut over_low, &mut matched, arena)?;
    Side { planes: below, key, bound: Bound::High(high) }.decide(&mut under_high, &mut matched, arena)?;
    arena.give(over_low);
    arena.give(under_high);
    let any = !matched.is_empty();
    Ok(arena.value(matched, any))
}

/// Says that the next group of planes will be read.
fn expect(planes: &[Portable<'_>], key: u16) {
    planes.iter().take(GROUP).for_each(|plane| plane.expect(key));
}

/// Whether the `bits` lowest bits of a bound are all zeros, so that nothing can fail it any more.
fn decided(bound: u64, bits: usize) -> bool {
    bits == 0 || bound << (64 - bits) == 0
}

/// Whether the undecided members are better looked up one by one than by the `bits` planes that are left.
fn is_few(undecided: &Block, bits: usize) -> bool {
    bits > 1 && undecided.count() <= FEW
}

/// Adds to `matched` the undecided members whose number meets what is left of the bounds (low, high); `None` where a bound is met already.
fn decide_few(
    planes: &[Portable<'_>],
    key: u16,
    undecided: &Block,
    (low, high): (Option<u64>, Option<u64>),
    matched: &mut Block,
) -> Result<(), StoreError> {
    let mut members = [0u16; FEW as usize];
    let mut count = 0u32;
    for (place, member) in members.iter_mut().zip(undecided.iter()) {
        *place = member;
        count += 1;
    }
    // One bit a member: who has yet to meet the low bound, and the high one.
    let all = u64::MAX.checked_shr(u64::BITS - count).unwrap_or(0);
    let mut under_low = if low.is_some() { all } else { 0 };
    let mut over_high = if high.is_some() { all } else { 0 };
    let mut out = 0u64;
    let (low, high) = (low.unwrap_or(0), high.unwrap_or(u64::MAX));
    for (plane, bits) in planes.iter().zip((1..=planes.len()).rev()) {
        if decided(low, bits) {
            under_low = 0;
        }
        if decided(!high, bits) {
            over_high = 0;
        }
        let mut left = under_low | over_high;
        if left == 0 {
            break;
        }
        let probe = plane.probe(key)?;
        let mut ones = 0u64;
        while left != 0 {
            let at = left.trailing_zeros();
            ones |= u64::from(probe.contains(members[at as usize & 63])?) << at;
            left &= left - 1;
        }
        // The first bit that differs decides a bound: a one above the low, a zero below the high.
        if low >> (bits - 1) & 1 == 1 {
            out |= under_low & !ones;
        } else {
            under_low &= !ones;
        }
        if high >> (bits - 1) & 1 == 0 {
            out |= over_high & ones;
        } else {
            over_high &= ones;
        }
        under_low &= !out;
        over_high &= !out;
    }
    let mut inside = all & !out;
    while inside != 0 {
        matched.insert(members[inside.trailing_zeros() as usize & 63]);
        inside &= inside - 1;
    }
    Ok(())
}

/// What members have left to meet after the bounds have parted.
#[derive(Clone, Copy)]
enum Bound {
    /// Be no smaller.
    Low(u64),
    /// Be no larger.
    High(u64),
}

/// One side of a range, on the planes that are left.
struct Side<'p, 'a> {
    planes: &'p [Portable<'a>],
    key: u16,
    bound: Bound,
}

impl Side<'_, '_> {
    /// Adds to `matched` the members of `open` that meet the bound; `open` is used up.
    fn decide(&self, open: &mut Block, matched: &mut Block, arena: &mut Arena) -> Result<(), StoreError> {
        // v ≤ high is !v ≥ !high: the high side is the low side of the complement.
        let (low, flip, bounds) = match self.bound {
            Bound::Low(low) => (low, 0, (Some(low), None)),
            Bound::High(high) => (!high, !0, (None, Some(high))),
        };
        let mut bits = self.planes.len();
        let needed = bits - (low.trailing_zeros() as usize).min(bits);
        for group in self.planes.get(..needed).unwrap_or_default().chunks(GROUP) {
            let left = self.planes.get(self.planes.len() - bits..).unwrap_or_default();
            if is_few(open, bits) {
                return decide_few(left, self.key, open, bounds, matched);
            }
            bits -= group.len();
            expect(left.get(group.len()..).unwrap_or_default(), self.key);
            let operands = Operands::load(group, self.key, arena)?;
            let any = operands.keep_above(open, matched, low >> bits, flip);
            operands.drop_into(arena);
            if !any {
                return Ok(());
            }
        }
        matched.or_block(open);
        Ok(())
    }
}

/// One block of up to [`GROUP`] planes, the highest bit first.
struct Operands<'a>(Vec<Operand<'a>>);

enum Operand<'a> {
    Stored(&'a kernel::StoredWords),
    Flat(Box<Block>),
}

impl Operand<'_> {
    fn words(&self) -> &kernel::StoredWords {
        match self {
            Self::Stored(words) => words,
            Self::Flat(block) => block.stored_words(),
        }
    }
}

impl<'a> Operands<'a> {
    fn load(planes: &[Portable<'a>], key: u16, arena: &mut Arena) -> Result<Self, StoreError> {
        let load = |plane: &Portable<'a>| {
            Ok(match plane.get(key)? {
                Some(Container::Bitmap(words)) => Operand::Stored(words),
                Some(container) => Operand::Flat(arena.take_container(container)),
                None => Operand::Flat(arena.take_clear()),
            })
        };
        planes.iter().map(load).collect::<Result<_, _>>().map(Self)
    }

    /// Keeps in `rest` the members whose bits are the lowest bits of `bits`; whether anybody is left.
    fn keep_equal(&self, rest: &mut Block, bits: u64) -> bool {
        let rest = rest.words_mut();
        match self.words().as_slice() {
            [a] => kernel::keep_equal(rest, [a], masks(bits)),
            [a, b] => kernel::keep_equal(rest, [a, b], masks(bits)),
            [a, b, c] => kernel::keep_equal(rest, [a, b, c], masks(bits)),
            [a, b, c, d, ..] => kernel::keep_equal(rest, [a, b, c, d], masks(bits)),
            [] => true,
        }
    }

    /// Moves from `open` to `matched` the members whose bits, changed by `flip`, are above the lowest bits of `bits`, and drops from
    /// `open` those below; whether anybody is left in `open`.
    fn keep_above(&self, open: &mut Block, matched: &mut Block, bits: u64, flip: u64) -> bool {
        let (open, matched) = (open.words_mut(), matched.words_mut());
        match self.words().as_slice() {
            [a] => kernel::keep_above(open, matched, [a], masks(bits), flip),
            [a, b] => kernel::keep_above(open, matched, [a, b], masks(bits), flip),
            [a, b, c] => kernel::keep_above(open, matched, [a, b, c], masks(bits), flip),
            [a, b, c, d, ..] => kernel::keep_above(open, matched, [a, b, c, d], masks(bits), flip),
            [] => true,
        }
    }

    fn words(&self) -> Vec<&kernel::StoredWords> {
        self.0.iter().map(Operand::words).collect()
    }

    fn drop_into(self, arena: &mut Arena) {
        for operand in self.0 {
            if let Operand::Flat(block) = operand {
                arena.give(block);
            }
        }
    }
}

/// The lowest N bits of a number, the highest of them first, each as a word of this bit.
fn masks<const N: usize>(bits: u64) -> [u64; N] {
    std::array::from_fn(|index| 0u64.wrapping_sub(bits >> (N - 1 - index) & 1))
}
