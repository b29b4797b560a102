//! Figures: one value, how many, sum, smallest, largest.

use super::decode::bits_of;
use super::format::{Bsi, Cursor, Head, MOST_HEAD, Walk, holds};
use super::{Error, MAX_ID};
use crate::bitmap::{Arena, Portable, Value};
use crate::bitmap_treemap::{Source, find};

/// The value of an id; `None` when it has none.
///
/// # Errors
/// Those of opening and reading the bytes.
pub fn get(bytes: &[u8], id: u64) -> Result<Option<i64>, Error> {
    if id > MAX_ID {
        return Ok(None);
    }
    let bsi = Bsi::open(bytes)?;
    let (high, key, member) = ((id >> 32) as u32, (id >> 16) as u16, id as u16);
    let present = Cursor::new(bsi.existence(), 0)?.seek(high)?.get(key)?;
    if !present.is_some_and(|present| holds(present, member)) {
        return Ok(None);
    }
    let mut slices = Vec::with_capacity(bsi.depth());
    for (set, slice) in bsi.slices().iter().zip(1..) {
        slices.push(Cursor::new(set, slice)?.seek(high)?);
    }
    Ok(Some(bsi.zero().wrapping_add(bits_of(&slices, key, member)? as i64)))
}

/// The same of an index of `length` bytes that is not in memory: the header and one container of each set are read. `None` when
/// a set has so many buckets that the index should be read as a whole; see [`find`].
///
/// # Errors
/// Those of [`get`].
pub fn get_from(source: &mut impl Source, length: usize, id: u64) -> Result<Option<Option<i64>>, Error> {
    let head = Head::read(source.read(0, MOST_HEAD.min(length)), length)?;
    source.will_read(2 * head.sets.len());
    let mut bits = 0u64;
    for (index, set) in head.sets.iter().enumerate() {
        let found = find(source, set.start, id).map_err(|damage| Error::Set(index, damage))?;
        match (index, found) {
            (_, None) => return Ok(None),
            (0, Some(false)) => return Ok(Some(None)),
            (0, Some(true)) => {}
            (_, Some(bit)) => bits = bits << 1 | u64::from(bit),
        }
    }
    Ok(Some(Some(head.zero().wrapping_add(bits as i64))))
}

/// How many ids have a value, of those in `filter` when there is one.
///
/// # Errors
/// Those of opening and reading the bytes.
pub fn cardinality(bytes: &[u8], filter: Option<&[u8]>) -> Result<u64, Error> {
    let bsi = Bsi::open(bytes)?;
    let Some(filter) = filter else { return Ok(bsi.count()) };
    let mut ids = Cursor::new(bsi.existence(), 0)?;
    let mut chosen = Cursor::new(filter, 0)?;
    let mut arena = Arena::new();
    let mut count = 0;
    while let Some((high, set)) = ids.next()? {
        let chosen = chosen.seek(high)?;
        if chosen.is_empty() {
            continue;
        }
        for (key, index) in set.keys().zip(0..) {
            let within = Value::stored(chosen.get(key)?);
            count += u64::from(Value::stored(Some(set.container(index)?)).and_count(&within, &mut arena));
        }
    }
    Ok(count)
}

/// What the values of some ids add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// The sum: fewer than 2^63 numbers of 64 bits fit into 128.
    pub sum: i128,
    /// How many ids it is of.
    pub count: u64,
}

/// Sum of the values of the ids in `filter` (of all without one): each slice counts with its power of two.
///
/// # Errors
/// Those of opening and reading the bytes.
pub fn sum(bytes: &[u8], filter: Option<&[u8]>) -> Result<Sum, Error> {
    let bsi = Bsi::open(bytes)?;
    let mut total = Sum::default();
    let mut walk = Walk::new(&bsi, filter)?;
    let mut arena = Arena::new();
    while let Some(place) = walk.next()? {
        let selected = place.selected(&mut arena);
        let count = if place.within.is_none() { walk.existence.cardinality_of(place.key) } else { selected.count() };
        if count == 0 {
            continue;
        }
        total.count += u64::from(count);
        total.sum += i128::from(bsi.zero()) * i128::from(count);
        for (slice, bit) in walk.slices.iter().rev().zip(0u32..) {
            // A slice holds no id that the existence set does not hold.
            let members = match place.within {
                None => slice.cardinality_of(place.key),
                Some(_) => Value::stored(slice.get(place.key)?).and_count(&selected, &mut arena),
            };
            total.sum += i128::from(members) << bit;
        }
        arena.drop_value(selected);
    }
    Ok(total)
}

/// The smallest value of the ids in `filter` (of all without one); `None` when there is none.
///
/// # Errors
/// Those of opening and reading the bytes.
pub fn smallest(bytes: &[u8], filter: Option<&[u8]>) -> Result<Option<i64>, Error> {
    extreme(bytes, filter, false)
}

/// The largest value of the ids in `filter` (of all without one); `None` when there is none.
///
/// # Errors
/// Those of opening and reading the bytes.
pub fn largest(bytes: &[u8], filter: Option<&[u8]>) -> Result<Option<i64>, Error> {
    extreme(bytes, filter, true)
}

fn extreme(bytes: &[u8], filter: Option<&[u8]>, high: bool) -> Result<Option<i64>, Error> {
    let bsi = Bsi::open(bytes)?;
    let end = if high { bsi.max() } else { bsi.base() };
    if filter.is_none() || end.is_none() {
        return Ok(end);
    }
    let mut best = None;
    let mut walk = Walk::new(&bsi, filter)?;
    let mut arena = Arena::new();
    while let Some(place) = walk.next()? {
        let selected = place.selected(&mut arena);
        if selected.is_empty() {
            continue;
        }
        let bits = descend(&walk.slices, place.key, selected, high, &mut arena)?;
        let found = bsi.zero().wrapping_add(bits as i64);
        best = Some(best.map_or(found, |best: i64| if high { best.max(found) } else { best.min(found) }));
        // Nothing in another block can be beyond the end.
        if best == end {
            break;
        }
    }
    Ok(best)
}

/// The largest or smallest number of the ids in `rest`, which is not empty: from the highest bit on, those that have
/// the better bit are kept as long as there are any.
fn descend<'a>(
    slices: &[Portable<'a>],
    key: u16,
    rest: Value<'a>,
    high: bool,
    arena: &mut Arena,
) -> Result<u64, Error> {
    let mut rest = rest.into_block(arena);
    let mut bits = 0;
    for slice in slices {
        bits <<= 1;
        let Some(container) = slice.get(key)? else { continue };
        let mut kept = arena.take();
        kept.set_block(&rest);
        let any = if high { kept.and_container(container) } else { kept.andnot_container(container) };
        if any {
            std::mem::swap(&mut rest, &mut kept);
        }
        bits |= u64::from(any == high);
        arena.give(kept);
    }
    arena.give(rest);
    Ok(bits)
}
