//! Order statistics over many number chunks at once.

use crate::bitmap::{Arena, Block, Bytes, Portable, SHARD_BLOCKS, Value};
use crate::cells::NumberChunk;
use crate::error::StoreError;

/// When a range holds one in so many of the numbers, or only [`FEW`], these are read and sorted. Until then the planes tell how many lie
/// below its middle, without a number being put together.
const SHARE: u64 = 256;
const FEW: u64 = 1024;

/// The numbers that count of one block.
struct Here<'s, 'a> {
    chunk: &'s NumberChunk<'a>,
    key: u16,
    known: Box<Block>,
}

/// Numbers low ..= high, how many are smaller, and how many are not larger.
#[derive(Clone, Copy)]
struct Range {
    low: i64,
    high: i64,
    below: u64,
    upto: u64,
}

/// For each of `fractions`, between 0 and 1, the smallest number that at least that share of the numbers does not exceed, as
/// `percentile_disc` in SQL; nothing when there is no number. Each shard has a chunk of numbers and, unless everybody counts, the set of those who do.
///
/// # Errors
/// Those of reading the chunks.
pub fn cuts<'a>(shards: &[(NumberChunk<'a>, Option<Bytes<'a>>)], fractions: &[f64]) -> Result<Vec<i64>, StoreError> {
    let mut arena = Arena::new();
    let (mut blocks, mut total, mut low, mut high) = (Vec::new(), 0, i64::MAX, i64::MIN);
    for (chunk, members) in shards {
        let members = members.map(Portable::open_shard).transpose()?;
        for key in 0..SHARD_BLOCKS {
            let mut known = Value::stored(chunk.presence().get(key)?);
            if let Some(members) = &members {
                known = known.and(Value::stored(members.get(key)?), &mut arena);
            }
            if known.is_empty() {
                continue;
            }
            let known = known.into_block(&mut arena);
            total += u64::from(known.count());
            (low, high) = (low.min(chunk.v_base()), high.max(chunk.v_max()));
            blocks.push(Here { chunk, key, known });
        }
    }
    if total == 0 {
        return Ok(Vec::new());
    }
    let rank = |fraction: &f64| ((fraction * total as f64).ceil() as u64).clamp(1, total);
    let mut ranks: Vec<(usize, u64)> = fractions.iter().map(rank).enumerate().collect();
    ranks.sort_unstable_by_key(|(_, rank)| *rank);
    let mut answer = vec![0; fractions.len()];
    // Ranges with the ranks that lie in them. What is halved has at most 64 bits.
    let mut waiting = vec![(Range { low, high, below: 0, upto: total }, ranks)];
    while let Some((range, ranks)) = waiting.pop() {
        let Range { low, high, below, upto } = range;
        if ranks.is_empty() {
            continue;
        }
        if low == high || upto - below <= (total / SHARE).max(FEW) {
            let numbers = if low == high { Vec::new() } else { sorted(&blocks, low, high, &mut arena)? };
            for (index, rank) in ranks {
                let number = usize::try_from(rank - below - 1).ok().and_then(|at| numbers.get(at)).unwrap_or(&low);
                if let Some(place) = answer.get_mut(index) {
                    *place = *number;
                }
            }
            continue;
        }
        // Below high, also where i64::midpoint() rounds towards zero.
        let middle = low.midpoint(high) - i64::from(low.midpoint(high) == high);
        let half = count_to(&blocks, middle, &mut arena)?;
        let (left, right) = ranks.into_iter().partition(|(_, rank)| *rank <= half);
        waiting.push((Range { high: middle, upto: half, ..range }, left));
        waiting.push((Range { low: middle + 1, below: half, ..range }, right));
    }
    Ok(answer)
}

/// How many numbers are not larger than `high`.
fn count_to(blocks: &[Here<'_, '_>], high: i64, arena: &mut Arena) -> Result<u64, StoreError> {
    let mut total = 0;
    for Here { chunk, key, known } in blocks {
        let known = copy(known, arena);
        let found = chunk.values_between(*key, i64::MIN, high, Some(&known), arena)?;
        // The answer is only right inside what is known.
        total += u64::from(found.and_count(&known, arena));
        arena.drop_value(found);
        arena.drop_value(known);
    }
    Ok(total)
}

/// The numbers low ..= high, ascending.
fn sorted(blocks: &[Here<'_, '_>], low: i64, high: i64, arena: &mut Arena) -> Result<Vec<i64>, StoreError> {
    let mut numbers = Vec::new();
    for Here { chunk, key, known } in blocks {
        let known = copy(known, arena);
        let found = chunk.values_between(*key, low, high, Some(&known), arena)?.and(known, arena);
        if found.is_empty() {
            arena.drop_value(found);
            continue;
        }
        let found = found.into_block(arena);
        chunk.for_each_value(*key, &found, arena, |v| numbers.push(v))?;
        arena.give(found);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn copy<'a>(block: &Block, arena: &mut Arena) -> Value<'a> {
    let mut copy = arena.take();
    copy.set_block(block);
    Value::Flat(copy)
}
