//! Ranges of values and positions in the order of the values.
//!
//! A range runs from `start` up to, not including, `end`; `end` is at most 2^63, one above the largest value.

use std::fmt;

use super::container::{self, Words};
use super::layout::{Container, Damaged, buckets, damaged};
use super::ops::{Operation, apply};
use super::part::{MOST_PREFIX, Part, Parts, Range, SetParts};
use super::write::Writer;

/// One above [`MAX_VALUE`](super::MAX_VALUE): the end of a range that has none.
pub const UNLIMITED: u64 = 1 << 63;

/// Why a range operation gave no set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeError {
    /// The set is damaged.
    Damaged(Damaged),
    /// The answer needs at least this many bytes, more than allowed.
    TooLarge(u64),
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RangeError::Damaged(damage) => damage.fmt(f),
            RangeError::TooLarge(bytes) => write!(f, "the answer needs at least {bytes} bytes"),
        }
    }
}

impl std::error::Error for RangeError {}

impl From<Damaged> for RangeError {
    fn from(damage: Damaged) -> Self {
        RangeError::Damaged(damage)
    }
}

/// `set operation range`: And keeps the values in the range, AndNot clears it, Or fills it, Xor flips it. An empty range
/// is an empty set. `most` is the largest answer, in bytes, that may be built.
///
/// Cost: O(bytes of the set); Or and Xor also O(containers of the range), one for 2^16 values.
pub fn combine_range(
    set: &[u8],
    start: u64,
    end: u64,
    operation: Operation,
    most: usize,
) -> Result<Vec<u8>, RangeError> {
    let Some(range) = Range::new(start, end) else {
        return Ok(if operation == Operation::And { super::EMPTY.to_vec() } else { set.to_vec() });
    };
    if matches!(operation, Operation::Or | Operation::Xor) {
        // Where the set has no container the answer has one of runs: a description of 4 bytes, a body of 6. Refused before
        // it is built.
        let present = buckets(set)?.try_fold(0, |sum, bucket| bucket.map(|bucket| sum + bucket.len() as u64))?;
        let least = range.containers().saturating_sub(present).saturating_mul(10);
        if least > most as u64 {
            return Err(RangeError::TooLarge(least));
        }
    }
    let mut out = Writer::new();
    if operation == Operation::And {
        keep(set, &range, &mut out)?;
    } else {
        apply(&mut SetParts::new(set)?, &mut range.parts(), operation, &mut out)?;
    }
    match out.len() {
        length if length > most => Err(RangeError::TooLarge(length as u64)),
        _ => Ok(out.finish()),
    }
}

/// Writes the values of `set` in the range. Containers that lie inside it are copied as they are.
fn keep(set: &[u8], range: &Range, out: &mut Writer) -> Result<(), Damaged> {
    let mut parts = SetParts::new(set)?;
    let (first, last) = (range.start() >> 16, range.last() >> 16);
    let mut from = first;
    while let Some(part) = parts.seek(from)? {
        if part.prefix > last {
            break;
        }
        let inside = (part.prefix > first || range.start() as u16 == 0)
            && (part.prefix < last || range.last() as u16 == u16::MAX);
        if inside {
            out.part(part)?;
        } else {
            apply(&mut One(Some(part)), &mut range.parts(), Operation::And, out)?;
        }
        from = part.prefix + 1;
    }
    Ok(())
}

/// One container as a set.
struct One<'a>(Option<Part<'a>>);

impl<'a> Parts<'a> for One<'a> {
    fn seek(&mut self, from: u64) -> Result<Option<Part<'a>>, Damaged> {
        Ok(self.0.take().filter(|part| part.prefix >= from))
    }
}

/// Number of values in a range. Cost: O(containers).
pub fn range_cardinality(set: &[u8], start: u64, end: u64) -> Result<u64, Damaged> {
    if end <= start {
        return Ok(0);
    }
    let below = |value: u64| value.checked_sub(1).map_or(Ok(0), |last| rank(set, last));
    Ok(below(end)?.saturating_sub(below(start)?))
}

/// Number of values up to and including `value`. Cost: O(containers).
pub fn rank(set: &[u8], value: u64) -> Result<u64, Damaged> {
    let high = (value >> 32) as u32;
    let key = (value >> 16) as u16;
    let mut rank = 0u64;
    for bucket in buckets(set)? {
        let bucket = bucket?;
        if bucket.high > high {
            break;
        }
        if bucket.high < high {
            rank = rank.saturating_add(bucket.total()?);
            continue;
        }
        for i in 0..bucket.len() {
            match bucket.key(i)?.cmp(&key) {
                std::cmp::Ordering::Less => rank = rank.saturating_add(u64::from(bucket.cardinality(i)?)),
                std::cmp::Ordering::Equal => {
                    let inside = container::rank(bucket.entry(i)?.values, value as u16);
                    return Ok(rank.saturating_add(u64::from(inside)));
                }
                std::cmp::Ordering::Greater => return Ok(rank),
            }
        }
        break;
    }
    Ok(rank)
}

/// The value number `n`, counted from 0 upwards; `None` when the set has no more than `n`. Cost: O(containers).
pub fn nth(set: &[u8], n: u64) -> Result<Option<u64>, Damaged> {
    let mut left = n;
    for bucket in buckets(set)? {
        let bucket = bucket?;
        let total = bucket.total()?;
        if left >= total {
            left -= total;
            continue;
        }
        for i in 0..bucket.len() {
            let cardinality = u64::from(bucket.cardinality(i)?);
            if left < cardinality {
                let entry = bucket.entry(i)?;
                let low = container::nth(entry.values, left as u32)
                    .ok_or_else(|| damaged(entry.at, "a container lacks values"))?;
                return Ok(Some(u64::from(bucket.high) << 32 | u64::from(entry.key) << 16 | u64::from(low)));
            }
            left -= cardinality;
        }
    }
    Ok(None)
}

/// Which values of a set [`select`] takes: of those in the range, `limit` after the first `offset`, counted upwards or, in
/// `reverse`, downwards.
#[derive(Debug, Clone, Copy)]
pub struct Selection {
    /// The most values to take.
    pub limit: u64,
    /// How many to leave out first.
    pub offset: u64,
    /// Whether to count from the largest value down.
    pub reverse: bool,
    /// The first value of the range.
    pub start: u64,
    /// One above its last value.
    pub end: u64,
}

/// The values that `selection` names. Cost: O(containers) and the bytes of the answer.
pub fn select(set: &[u8], selection: Selection) -> Result<Vec<u8>, Damaged> {
    let Selection { limit, offset, reverse, start, end } = selection;
    let total = range_cardinality(set, start, end)?;
    let take = limit.min(total.saturating_sub(offset));
    if take == 0 {
        return Ok(super::EMPTY.to_vec());
    }
    let before = start.checked_sub(1).map_or(Ok(0), |last| rank(set, last))?;
    let first = before + if reverse { total - offset - take } else { offset };
    let missing = || damaged(0, "a container lacks values");
    let lowest = nth(set, first)?.ok_or_else(missing)?;
    let highest = nth(set, first + take - 1)?.ok_or_else(missing)?;
    let mut out = Writer::new();
    if let Some(range) = Range::new(lowest, highest.saturating_add(1)) {
        keep(set, &range, &mut out)?;
    }
    Ok(out.finish())
}

/// The values moved by `distance`; those that would fall below 0 or above [`MAX_VALUE`](super::MAX_VALUE) are gone.
///
/// Cost: O(bytes); by a multiple of 65536 the containers are copied as they are.
pub fn shift(set: &[u8], distance: i64) -> Result<Vec<u8>, Damaged> {
    let (up, within) = (distance.div_euclid(1 << 16), distance.rem_euclid(1 << 16) as usize);
    let valid = |prefix: i64| u64::try_from(prefix).ok().filter(|prefix| *prefix <= MOST_PREFIX);
    let mut out = Writer::new();
    let mut block = [0; 1024];
    // What the containers before have moved into the container with this prefix.
    let mut pending = Pending { prefix: i64::MIN, block: [0; 1024], runs: false };
    let mut parts = SetParts::new(set)?;
    while let Some(part) = parts.next()? {
        // Both terms have less than 48 bits.
        let target = part.prefix as i64 + up;
        if within == 0 {
            if let Some(prefix) = valid(target) {
                out.part(Part { prefix, ..part })?;
            }
            continue;
        }
        if pending.prefix != target {
            if let Some(prefix) = valid(pending.prefix) {
                out.block(prefix, &pending.block, pending.runs)?;
            }
            pending = Pending { prefix: target, block: [0; 1024], runs: false };
        }
        container::spread(part.values, &mut block);
        let runs = matches!(part.values, Container::Runs(_));
        let above = shift_block(&block, within, &mut pending.block);
        if let Some(prefix) = valid(target) {
            out.block(prefix, &pending.block, runs || pending.runs)?;
        }
        pending = Pending { prefix: target + 1, block: above, runs };
    }
    if let Some(prefix) = valid(pending.prefix) {
        out.block(prefix, &pending.block, pending.runs)?;
    }
    Ok(out.finish())
}

struct Pending {
    prefix: i64,
    block: Words,
    runs: bool,
}

/// Moves the bits of `block` up by `distance`, 0 < `distance` < 65536: into `same`, and what leaves it into the answer.
fn shift_block(block: &Words, distance: usize, same: &mut Words) -> Words {
    let (whole, bits) = (distance / 64, distance % 64);
    let mut above = [0; 1024];
    let mut put = |i: usize, word: u64| match same.get_mut(i) {
        Some(to) => *to |= word,
        None => above[i - 1024] |= word,
    };
    for (i, word) in block.iter().enumerate() {
        if *word != 0 {
            put(i + whole, word << bits);
            if bits > 0 {
                put(i + whole + 1, word >> (64 - bits));
            }
        }
    }
    above
}

/// The same values in the smallest containers: runs wherever they are smaller.
pub fn run_optimize(set: &[u8]) -> Result<Vec<u8>, Damaged> {
    let mut out = Writer::new();
    let mut block = [0; 1024];
    let mut values = Vec::new();
    let mut parts = SetParts::new(set)?;
    while let Some(part) = parts.next()? {
        if let Container::Array(body) = part.values {
            values.clear();
            values.extend(container::members(body));
            out.values(part.prefix, &values, true)?;
        } else {
            container::spread(part.values, &mut block);
            out.block(part.prefix, &block, true)?;
        }
    }
    Ok(out.finish())
}
