//! Order statistics over many number chunks at once.

use crate::bitmap::{Arena, Bytes, Portable, SHARD_BLOCKS, Value};
use crate::cells::NumberChunk;
use crate::error::StoreError;

/// Numbers of a range are told apart by this many bits a pass.
const BITS: u32 = 16;

/// The numbers from `low` on that a later pass has to look at, and the ranks that lie among them.
struct Range {
    low: i64,
    /// A number's bucket is its distance from `low` without this many low bits.
    shift: u32,
    buckets: Vec<u64>,
    /// Index of each rank in the answer, and the rank among the numbers of this range, from 1.
    ranks: Vec<(usize, u64)>,
}

impl Range {
    /// The range low ..= low + span.
    fn new(low: i64, span: u64, ranks: Vec<(usize, u64)>) -> Self {
        let bits = u64::BITS - span.leading_zeros();
        let shift = bits.saturating_sub(BITS);
        Self { low, shift, buckets: vec![0; (span >> shift) as usize + 1], ranks }
    }
}

/// For each of `fractions`, between 0 and 1, the smallest number that at least that share of the numbers does not exceed, as
/// `percentile_disc` in SQL; nothing when there is no number. Each shard has a chunk of numbers and, unless everybody counts, the set of those who do.
///
/// The numbers are counted in buckets, then those of the buckets that a fraction falls into in smaller ones, until a bucket holds a
/// single number: one pass for ranges below 2^16, two below 2^32.
///
/// # Errors
/// Those of reading the chunks.
pub fn cuts<'a>(shards: &[(NumberChunk<'a>, Option<Bytes<'a>>)], fractions: &[f64]) -> Result<Vec<i64>, StoreError> {
    let with_any = shards.iter().filter(|(chunk, _)| chunk.count() > 0);
    let mut frame: Option<(i64, i64)> = None;
    let mut opened = Vec::with_capacity(shards.len());
    for (chunk, members) in with_any {
        let (low, high) = frame.unwrap_or((chunk.v_base(), chunk.v_max()));
        frame = Some((low.min(chunk.v_base()), high.max(chunk.v_max())));
        opened.push((chunk, members.map(Portable::open_shard).transpose()?));
    }
    let Some((low, high)) = frame else { return Ok(Vec::new()) };
    let mut first = Range::new(low, high.wrapping_sub(low) as u64, Vec::new());
    visit(&opened, |v| count(std::slice::from_mut(&mut first), v))?;
    let total: u64 = first.buckets.iter().sum();
    if total == 0 {
        return Ok(Vec::new());
    }
    let rank = |fraction: &f64| ((fraction * total as f64).ceil() as u64).clamp(1, total);
    first.ranks = fractions.iter().map(rank).enumerate().collect();
    let mut answer = vec![0; fractions.len()];
    let mut ranges = split(vec![first], &mut answer);
    while !ranges.is_empty() {
        visit(&opened, |v| count(&mut ranges, v))?;
        ranges = split(ranges, &mut answer);
    }
    Ok(answer)
}

/// Calls `f` with every number that counts.
fn visit(shards: &[(&NumberChunk<'_>, Option<Portable<'_>>)], mut f: impl FnMut(i64)) -> Result<(), StoreError> {
    let mut arena = Arena::new();
    for (chunk, members) in shards {
        for key in 0..SHARD_BLOCKS {
            let mut known = Value::stored(chunk.presence().get(key)?);
            if let Some(members) = members {
                known = known.and(Value::stored(members.get(key)?), &mut arena);
            }
            if known.is_empty() {
                continue;
            }
            let known = known.into_block(&mut arena);
            chunk.for_each_value(key, &known, &mut arena, &mut f)?;
            arena.give(known);
        }
    }
    Ok(())
}

/// Counts a number in the range it lies in, if any; the ranges are ascending and do not meet.
#[inline]
fn count(ranges: &mut [Range], v: i64) {
    for range in ranges {
        if v < range.low {
            return;
        }
        let bucket = v.wrapping_sub(range.low) as u64 >> range.shift;
        if let Some(count) = usize::try_from(bucket).ok().and_then(|bucket| range.buckets.get_mut(bucket)) {
            *count += 1;
            return;
        }
    }
}

/// Answers the ranks whose bucket is one number wide; the others' buckets are the ranges of the next pass.
fn split(ranges: Vec<Range>, answer: &mut [i64]) -> Vec<Range> {
    let mut next: Vec<Range> = Vec::new();
    for range in ranges {
        let mut ranks = range.ranks;
        ranks.sort_unstable_by_key(|(_, rank)| *rank);
        let mut ranks = ranks.into_iter().peekable();
        let mut below = 0;
        for (bucket, count) in range.buckets.iter().enumerate() {
            let mut here = Vec::new();
            while let Some((index, rank)) = ranks.next_if(|(_, rank)| *rank <= below + count) {
                here.push((index, rank - below));
            }
            below += count;
            if here.is_empty() {
                continue;
            }
            let low = range.low.wrapping_add(((bucket as u64) << range.shift) as i64);
            if range.shift == 0 {
                for (index, _) in here {
                    if let Some(place) = answer.get_mut(index) {
                        *place = low;
                    }
                }
            } else {
                next.push(Range::new(low, (1 << range.shift) - 1, here));
            }
        }
    }
    next
}
