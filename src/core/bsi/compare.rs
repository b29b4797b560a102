//! Which ids have a value that compares so: sets out of slices.

use super::Error;
use super::decode::each_block;
use super::format::{Bsi, Place, Walk};
use super::write::{Owned, SetWriter, encode};
use crate::bitmap::{Arena, Value};
use crate::cells::range;

/// A comparison of the values with constants. Constants may lie anywhere in 64 bits, inside or outside the values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// value = c
    Eq(i64),
    /// value <> c
    Neq(i64),
    /// value < c
    Lt(i64),
    /// value <= c
    Le(i64),
    /// value > c
    Gt(i64),
    /// value >= c
    Ge(i64),
    /// low <= value <= high; nothing when low > high
    Range(i64, i64),
}

impl Comparison {
    /// The interval that decides it, empty when low > high, and whether to be in it is meant.
    fn interval(self) -> (i64, i64, bool) {
        const NOTHING: (i64, i64, bool) = (1, 0, true);
        match self {
            Self::Eq(c) => (c, c, true),
            Self::Neq(c) => (c, c, false),
            Self::Lt(c) => c.checked_sub(1).map_or(NOTHING, |c| (i64::MIN, c, true)),
            Self::Le(c) => (i64::MIN, c, true),
            Self::Gt(c) => c.checked_add(1).map_or(NOTHING, |c| (c, i64::MAX, true)),
            Self::Ge(c) => (c, i64::MAX, true),
            Self::Range(low, high) => (low, high, true),
        }
    }
}

/// The ids, of those in `filter` when there is one, whose value compares so: a set in the portable 64-bit format.
///
/// # Errors
/// Those of opening and reading the bytes.
pub fn compare(bytes: &[u8], comparison: Comparison, filter: Option<&[u8]>) -> Result<Vec<u8>, Error> {
    let bsi = Bsi::open(bytes)?;
    let mut out = SetWriter::new();
    let (low, high, inside) = comparison.interval();
    let bounds = bsi.bounds(low, high);
    if bounds.is_none() && inside {
        return Ok(out.finish());
    }
    let all = bounds.is_none() || (inside && bounds == Some((0, u64::MAX)));
    if all && filter.is_none() {
        return Ok(bsi.existence().to_vec());
    }
    let mut walk = Walk::new(&bsi, filter)?;
    let mut arena = Arena::new();
    while let Some(place) = walk.next()? {
        let value = match bounds {
            Some(bounds) if !all => between(&walk, &place, bounds, inside, &mut arena)?,
            _ => place.selected(&mut arena),
        };
        out.push(place.block, Owned::from_value(value, &mut arena));
    }
    Ok(out.finish())
}

/// The selected ids of a block whose value lies inside the bounds, or outside them.
fn between<'a>(
    walk: &Walk<'a>,
    place: &Place<'a>,
    (low, high): (u64, u64),
    inside: bool,
    arena: &mut Arena,
) -> Result<Value<'a>, Error> {
    let within = place.within.map(|within| Value::stored(Some(within)));
    let found = range::between(&walk.existence, &walk.slices, place.key, low, high, within.as_ref(), arena)?;
    Ok(match (inside, within) {
        (true, None) => found,
        // The comparison may end before it has looked at the filter.
        (true, Some(within)) => found.and(within, arena),
        (false, _) => place.selected(arena).andnot(found, arena),
    })
}

/// How many of the ids, of those in `filter` when there is one, have low ≤ value ≤ high, for each interval.
///
/// # Errors
/// Those of opening and reading the bytes.
pub fn count_between(bytes: &[u8], intervals: &[(i64, i64)], filter: Option<&[u8]>) -> Result<Vec<u64>, Error> {
    let bsi = Bsi::open(bytes)?;
    let bounds: Vec<_> = intervals.iter().map(|(low, high)| bsi.bounds(*low, *high)).collect();
    let mut counts = vec![0; intervals.len()];
    let mut walk = Walk::new(&bsi, filter)?;
    let mut arena = Arena::new();
    while let Some(place) = walk.next()? {
        for (count, bounds) in counts.iter_mut().zip(&bounds) {
            let Some(bounds) = bounds else { continue };
            let found = between(&walk, &place, *bounds, true, &mut arena)?;
            *count += u64::from(found.count());
            arena.drop_value(found);
        }
    }
    Ok(counts)
}

/// The index without the ids that are not in `filter`.
///
/// # Errors
/// Those of opening and reading the bytes.
pub fn restrict(bytes: &[u8], filter: &[u8]) -> Result<Vec<u8>, Error> {
    let bsi = Bsi::open(bytes)?;
    encode(|visit| each_block(&bsi, Some(filter), visit))
}
