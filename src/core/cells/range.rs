//! Comparison with constants on bit planes (O'Neil and Quass, "Improved query performance with variant indexes").

use crate::bitmap::{Arena, Block, Container, Portable, Value, kernel};
use crate::error::StoreError;

/// With this many undecided members or fewer, each is looked up by itself: half of them differ from the bound in every further bit, so that
/// two looks at some nanoseconds each decide a member, while a pass over one plane more takes some tenths of a microsecond. As many as a
/// word has bits.
const FEW: u32 = u64::BITS;

/// Members of block `key` of `presence` whose number, given by `planes` from the highest bit to the lowest, is in
/// low..=high; low ≤ high. Bits of `high` above the planes mean nothing, those of `low` are zero. With `within`, the
/// answer is only right inside that set.
///
/// Both bounds are walked together. While their bits agree, only the members that agree too stay undecided. The first
/// bit in which they differ splits these: those without it have only the low bound left to meet, those with it only
/// the high bound. A side is decided as soon as the rest of its bound is all zeros (low) or all ones (high).
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
    if let Some(first) = planes.first() {
        first.expect(key);
    }
    let mut rest = arena.take_container(present);
    let mut any = match within {
        None | Some(Value::Full) => true,
        Some(Value::Empty) => false,
        Some(Value::Stored(container)) => rest.and_container(*container),
        Some(Value::Flat(block)) => rest.and_block(block),
    };
    let mut bit = planes.len();
    let mut planes = planes.iter();
    while any && !(decided(low, bit) && decided(!high, bit)) {
        if is_few(&rest, bit) {
            let mut matched = arena.take_clear();
            decide_few(planes.as_slice(), key, &rest, (Some(low), Some(high)), &mut matched)?;
            arena.give(rest);
            let any = !matched.is_empty();
            return Ok(arena.value(matched, any));
        }
        let Some(plane) = planes.next() else { break };
        if let Some(next) = planes.as_slice().first() {
            next.expect(key);
        }
        let plane = plane.get(key)?;
        bit -= 1;
        match (low >> bit & 1, high >> bit & 1) {
            (1, _) => any = keep_ones(&mut rest, plane),
            (_, 0) => any = keep_zeros(&mut rest, plane),
            _ => {
                let mut sides = Sides { over_low: rest, under_high: arena.take_clear(), matched: arena.take_clear() };
                take_ones(&mut sides.under_high, &mut sides.over_low, plane, arena);
                sides.finish(planes.as_slice(), key, low, high, arena)?;
                arena.give(sides.over_low);
                arena.give(sides.under_high);
                let any = !sides.matched.is_empty();
                return Ok(arena.value(sides.matched, any));
            }
        }
    }
    Ok(arena.value(rest, any))
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

/// The undecided members after the bounds have parted.
struct Sides {
    over_low: Box<Block>,
    under_high: Box<Block>,
    matched: Box<Block>,
}

impl Sides {
    fn finish(
        &mut self,
        planes: &[Portable<'_>],
        key: u16,
        low: u64,
        high: u64,
        arena: &mut Arena,
    ) -> Result<(), StoreError> {
        let (mut low_open, mut high_open) = (true, true);
        let mut planes = planes.iter();
        loop {
            let bits = planes.len();
            if low_open && decided(low, bits) {
                self.matched.or_block(&self.over_low);
                low_open = false;
            }
            if high_open && decided(!high, bits) {
                self.matched.or_block(&self.under_high);
                high_open = false;
            }
            if low_open && is_few(&self.over_low, bits) {
                decide_few(planes.as_slice(), key, &self.over_low, (Some(low), None), &mut self.matched)?;
                low_open = false;
            }
            if high_open && is_few(&self.under_high, bits) {
                decide_few(planes.as_slice(), key, &self.under_high, (None, Some(high)), &mut self.matched)?;
                high_open = false;
            }
            let Some(plane) = planes.next().filter(|_| low_open || high_open) else {
                return Ok(());
            };
            if let Some(next) = planes.as_slice().first() {
                next.expect(key);
            }
            let plane = plane.get(key)?;
            let bit = bits - 1;
            if low_open {
                low_open = if low >> bit & 1 == 1 {
                    keep_ones(&mut self.over_low, plane)
                } else {
                    take_ones(&mut self.matched, &mut self.over_low, plane, arena)
                };
            }
            if high_open {
                high_open = if high >> bit & 1 == 0 {
                    keep_zeros(&mut self.under_high, plane)
                } else {
                    take_zeros(&mut self.matched, &mut self.under_high, plane, arena)
                };
            }
        }
    }
}

fn keep_ones(rest: &mut Block, plane: Option<Container<'_>>) -> bool {
    plane.is_some_and(|container| rest.and_container(container))
}

fn keep_zeros(rest: &mut Block, plane: Option<Container<'_>>) -> bool {
    plane.is_none_or(|container| rest.andnot_container(container))
}

fn take_ones(matched: &mut Block, rest: &mut Block, plane: Option<Container<'_>>, arena: &mut Arena) -> bool {
    match plane {
        None => true,
        Some(Container::Bitmap(words)) => kernel::take_ones(matched.words_mut(), rest.words_mut(), words),
        Some(container) => {
            let flat = arena.take_container(container);
            let any = kernel::take_ones(matched.words_mut(), rest.words_mut(), flat.words());
            arena.give(flat);
            any
        }
    }
}

fn take_zeros(matched: &mut Block, rest: &mut Block, plane: Option<Container<'_>>, arena: &mut Arena) -> bool {
    match plane {
        None => {
            matched.or_block(rest);
            false
        }
        Some(Container::Bitmap(words)) => kernel::take_zeros(matched.words_mut(), rest.words_mut(), words),
        Some(container) => {
            let flat = arena.take_container(container);
            let any = kernel::take_zeros(matched.words_mut(), rest.words_mut(), flat.words());
            arena.give(flat);
            any
        }
    }
}
