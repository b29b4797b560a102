//! The forward column: for each offset of a shard the number of the set it is in, made of sets that exclude each other.
//!
//! It turns a distribution from one probe for each member of every set into one look for each member of the question. It is derived: nobody
//! stores it, whoever keeps sets in memory may keep it beside them.

use super::Program;
use super::eval::Evaluator;
use super::open;
use crate::bitmap::{Block, Bytes, Portable, SHARD_BLOCKS, SHARD_WIDTH, Value};
use crate::error::StoreError;

/// Bytes of the part that says for each offset which set it is in: little-endian u16, the number of sets for none.
const PLACES: usize = 2 * SHARD_WIDTH as usize;

/// The forward column of the sets of one shard, fewer than 2^16: `u16` for each offset, then `u32` for each set, how many members it has,
/// little-endian. `None` when an offset is in two of them.
///
/// # Errors
/// Those of reading the sets.
pub fn forward<'a, B: Into<Bytes<'a>> + Copy>(sets: &[B]) -> Result<Option<Vec<u8>>, StoreError> {
    let Ok(none) = u16::try_from(sets.len()) else { return Ok(None) };
    let mut bytes = Vec::with_capacity(PLACES + 4 * sets.len());
    for _ in 0..SHARD_WIDTH {
        bytes.extend_from_slice(&none.to_le_bytes());
    }
    let mut counts = Vec::with_capacity(sets.len());
    let mut block = Block::new();
    for (number, set) in (0u16..).zip(sets) {
        let set = Portable::open_shard(*set)?;
        let mut count = 0u32;
        for (index, key) in set.keys().enumerate() {
            block.set_container(set.container(index)?);
            let first = usize::from(key) << 16;
            for member in block.iter() {
                let at = 2 * (first + usize::from(member));
                let Some(place) = bytes.get_mut(at..at + 2) else { return Ok(None) };
                if *place != none.to_le_bytes() {
                    return Ok(None);
                }
                place.copy_from_slice(&number.to_le_bytes());
                count += 1;
            }
        }
        counts.push(count);
    }
    bytes.extend(counts.into_iter().flat_map(u32::to_le_bytes));
    Ok(Some(bytes))
}

/// How many members a program has; and for each set of a forward column how many of the members and how many offsets are in it.
///
/// # Errors
/// Those of [`super::evaluate`]; [`StoreError::Truncated`] when `forward` is not one.
pub fn distribution_by_forward<'a, B: Into<Bytes<'a>> + Copy>(
    program: &Program,
    chunks: &[Vec<B>],
    forward: &[u8],
) -> Result<(u64, Vec<(u64, u64)>), StoreError> {
    let truncated = StoreError::Truncated { what: "forward column", at: PLACES };
    let (places, totals) = forward.split_at_checked(PLACES).ok_or(truncated)?;
    let (places, totals) = (places.as_chunks::<2>().0, totals.as_chunks::<4>().0);
    let slots = open::open(program, chunks)?;
    let mut evaluator = Evaluator::new(&slots);
    // Two lists of counts in turn: neighbours are often in the same set, and adding to a count again has to wait for the first addition.
    let mut counts = [vec![0u32; totals.len() + 1], vec![0u32; totals.len() + 1]];
    let mut total = 0;
    for key in 0..SHARD_BLOCKS {
        let members = evaluator.evaluate(&program.root, key)?;
        if matches!(members, Value::Empty) {
            continue;
        }
        let members = members.into_block(evaluator.arena());
        total += u64::from(members.count());
        let first = usize::from(key) << 16;
        let places = places.get(first..first + (1 << 16)).unwrap_or_default();
        for (places, word) in places.as_chunks::<64>().0.iter().zip(members.words()) {
            let mut left = *word;
            while left != 0 {
                for counts in &mut counts {
                    if left != 0 {
                        let place = u16::from_le_bytes(places[left.trailing_zeros() as usize & 63]);
                        if let Some(count) = counts.get_mut(usize::from(place)) {
                            *count += 1;
                        }
                        left &= left - 1;
                    }
                }
            }
        }
        evaluator.arena().give(members);
    }
    let [a, b] = counts;
    let inside = a.iter().zip(&b).map(|(a, b)| u64::from(*a) + u64::from(*b));
    let shares = inside.zip(totals).map(|(inside, total)| (inside, u64::from(u32::from_le_bytes(*total))));
    Ok((total, shares.collect()))
}
