//! Questions about the order of the values: one descent through the slices over all blocks together.

use super::Error;
use super::format::{Bsi, Cursor, Walk};
use super::write::{Owned, SetWriter};
use crate::bitmap::{Arena, Container, Value};

/// Ids of one block that are not yet told apart, and those that are decided.
struct Candidates {
    block: u64,
    rest: Option<Owned>,
    taken: Option<Owned>,
}

/// All ids that have a value and pass the filter, and how many they are.
fn candidates(bsi: &Bsi<'_>, filter: Option<&[u8]>, arena: &mut Arena) -> Result<(Vec<Candidates>, u64), Error> {
    let (mut all, mut count) = (Vec::new(), 0);
    let mut walk = Walk::new(bsi, filter)?;
    while let Some(place) = walk.next()? {
        let selected = place.selected(arena);
        if let Some(rest) = Owned::from_value(selected, arena) {
            count += u64::from(rest.cardinality());
            all.push(Candidates { block: place.block, rest: Some(rest), taken: None });
        }
    }
    Ok((all, count))
}

/// Passes the candidates of each block with the block's container of a slice.
fn each(
    set: &[u8],
    slice: usize,
    all: &mut [Candidates],
    mut visit: impl FnMut(&mut Candidates, Option<Container<'_>>),
) -> Result<(), Error> {
    let mut cursor = Cursor::new(set, slice)?;
    for candidates in all.iter_mut().filter(|candidates| candidates.rest.is_some()) {
        let bucket = cursor.seek((candidates.block >> 16) as u32)?;
        visit(candidates, bucket.get(candidates.block as u16)?);
    }
    Ok(())
}

fn value(rest: &Option<Owned>) -> Value<'_> {
    Value::stored(rest.as_ref().map(Owned::container))
}

/// How many candidates have the bit of a slice.
fn count_ones(set: &[u8], slice: usize, all: &mut [Candidates], arena: &mut Arena) -> Result<u64, Error> {
    let mut ones = 0;
    each(set, slice, all, |candidates, container| {
        ones += u64::from(Value::stored(container).and_count(&value(&candidates.rest), arena));
    })?;
    Ok(ones)
}

fn and(a: &Option<Owned>, container: Option<Container<'_>>, arena: &mut Arena) -> Option<Owned> {
    let both = value(a).and(Value::stored(container), arena);
    Owned::from_value(both, arena)
}

fn andnot(a: &Option<Owned>, container: Option<Container<'_>>, arena: &mut Arena) -> Option<Owned> {
    let left = value(a).andnot(Value::stored(container), arena);
    Owned::from_value(left, arena)
}

fn or(a: Option<Owned>, b: Option<Owned>, arena: &mut Arena) -> Option<Owned> {
    if a.is_none() || b.is_none() {
        return a.or(b);
    }
    let either = value(&a).or(value(&b), arena);
    Owned::from_value(either, arena)
}

/// The value of rank `rank` (from 1) in ascending order of the values of the ids in `filter` (of all without one);
/// `rank` is computed from their number, and is 0 to ask for nothing.
///
/// # Errors
/// Those of opening and reading the bytes.
pub fn quantile(bytes: &[u8], rank: impl FnOnce(u64) -> u64, filter: Option<&[u8]>) -> Result<Option<i64>, Error> {
    let bsi = Bsi::open(bytes)?;
    let mut arena = Arena::new();
    let (mut all, mut count) = candidates(&bsi, filter, &mut arena)?;
    let mut rank = rank(count).min(count);
    if rank == 0 {
        return Ok(None);
    }
    let mut bits = 0u64;
    for (set, slice) in bsi.slices().iter().zip(1..) {
        let ones = count_ones(set, slice, &mut all, &mut arena)?;
        // The candidates without the bit come first.
        let zeros = count.saturating_sub(ones);
        let one = rank > zeros;
        bits = bits << 1 | u64::from(one);
        if one {
            rank -= zeros;
            count = ones;
        } else {
            count = zeros;
        }
        if ones > 0 && zeros > 0 {
            each(set, slice, &mut all, |candidates, container| {
                let narrow = if one { and } else { andnot };
                candidates.rest = narrow(&candidates.rest, container, &mut arena);
            })?;
        }
    }
    Ok(Some(bsi.zero().wrapping_add(bits as i64)))
}

/// The `k` ids with the largest values, of those in `filter` when there is one; among equal values the lowest ids. All
/// ids when there are no more than `k`. A set in the portable 64-bit format.
///
/// # Errors
/// Those of opening and reading the bytes.
pub fn top(bytes: &[u8], k: u64, filter: Option<&[u8]>) -> Result<Vec<u8>, Error> {
    let bsi = Bsi::open(bytes)?;
    let mut arena = Arena::new();
    let (mut all, mut count) = candidates(&bsi, filter, &mut arena)?;
    let mut need = k.min(count);
    for (set, slice) in bsi.slices().iter().zip(1..) {
        if need == 0 || need == count {
            break;
        }
        let ones = count_ones(set, slice, &mut all, &mut arena)?;
        if ones >= need {
            each(set, slice, &mut all, |candidates, container| {
                candidates.rest = and(&candidates.rest, container, &mut arena);
            })?;
            count = ones;
        } else if ones > 0 {
            each(set, slice, &mut all, |candidates, container| {
                let ones = and(&candidates.rest, container, &mut arena);
                candidates.taken = or(candidates.taken.take(), ones, &mut arena);
                candidates.rest = andnot(&candidates.rest, container, &mut arena);
            })?;
            need = need.saturating_sub(ones);
            count = count.saturating_sub(ones);
        }
    }
    // What is left has one value, or is taken whole.
    let mut out = SetWriter::new();
    for candidates in all {
        let rest = match &candidates.rest {
            Some(rest) if u64::from(rest.cardinality()) > need => first(rest, need as u32, &mut arena),
            _ => candidates.rest,
        };
        need = need.saturating_sub(rest.as_ref().map_or(0, |rest| u64::from(rest.cardinality())));
        out.push(candidates.block, or(candidates.taken, rest, &mut arena));
    }
    Ok(out.finish())
}

/// The first `count` members.
fn first(set: &Owned, count: u32, arena: &mut Arena) -> Option<Owned> {
    let block = arena.take_container(set.container());
    let members: Vec<u16> = block.iter().take(count as usize).collect();
    arena.give(block);
    Owned::from_sorted(&members)
}
