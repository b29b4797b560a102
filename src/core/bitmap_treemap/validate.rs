//! The gate for bytes from outside.

use std::borrow::Cow;
use std::fmt;

use super::layout::{ARRAY_MAX, Bucket, Container, Damaged, Entry, buckets, damaged, u16_at};
use super::{EMPTY, MAX_VALUE};

/// Why bytes from outside are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// They are not a set in the portable format.
    Damaged(Damaged),
    /// They are one, but this value is above [`MAX_VALUE`].
    TooLarge(u64),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Invalid::Damaged(damage) => damage.fmt(f),
            Invalid::TooLarge(value) => write!(f, "value {value} is above {MAX_VALUE}"),
        }
    }
}

impl std::error::Error for Invalid {}

impl From<Damaged> for Invalid {
    fn from(damage: Damaged) -> Self {
        Invalid::Damaged(damage)
    }
}

/// What a full check learned about a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// Number of values.
    pub cardinality: u64,
    /// The largest value.
    pub max: Option<u64>,
    /// Buckets that hold values.
    pub buckets: u64,
    /// Buckets without any value: legal in the format, absent from the canonical form.
    pub empty_buckets: u64,
}

/// Checks every field and every value of `bytes`: bucket and container order, offsets, cardinalities, the order inside
/// arrays and runs, the population of bitsets, the highest value, and that nothing follows.
///
/// Cost: one pass, no allocation.
pub fn summary(bytes: &[u8]) -> Result<Summary, Invalid> {
    let mut summary = Summary::default();
    let mut last_high = None;
    for bucket in buckets(bytes)? {
        let bucket = bucket?;
        if last_high.is_some_and(|last| bucket.high <= last) {
            return Err(damaged(bucket.at - 4, "buckets are not in ascending order").into());
        }
        last_high = Some(bucket.high);
        match check_bucket(&bucket)? {
            None => summary.empty_buckets += 1,
            Some((cardinality, low)) => {
                let max = u64::from(bucket.high) << 32 | u64::from(low);
                if max > MAX_VALUE {
                    return Err(Invalid::TooLarge(max));
                }
                summary.buckets += 1;
                summary.cardinality += cardinality;
                summary.max = Some(max);
            }
        }
    }
    Ok(summary)
}

/// The canonical form of bytes from outside: the bytes themselves after a full check ([`summary`]), without the empty
/// buckets that some writers leave behind.
pub fn canonical(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Invalid> {
    let summary = summary(bytes)?;
    if summary.empty_buckets == 0 {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut kept = Vec::with_capacity(bytes.len());
    kept.extend_from_slice(&EMPTY);
    let mut count = 0u64;
    for bucket in buckets(bytes)? {
        let bucket = bucket?;
        if !bucket.is_empty() {
            count += 1;
            kept.extend_from_slice(&bucket.high.to_le_bytes());
            kept.extend_from_slice(bucket.bytes);
        }
    }
    kept.splice(..EMPTY.len(), count.to_le_bytes());
    Ok(Cow::Owned(kept))
}

/// Number of values and the largest low half of a bucket; `None` when it is empty.
fn check_bucket(bucket: &Bucket<'_>) -> Result<Option<(u64, u32)>, Damaged> {
    let mut expected = bucket.body();
    let mut last_key = None;
    let mut total = 0;
    let mut max = None;
    for i in 0..bucket.len() {
        if bucket.offset(i)?.is_some_and(|offset| offset as usize != expected) {
            return Err(damaged(bucket.at, "wrong container offset"));
        }
        let entry = bucket.entry(i)?;
        if last_key.is_some_and(|last| entry.key <= last) {
            return Err(damaged(entry.at, "containers are not in ascending order"));
        }
        last_key = Some(entry.key);
        let high_value = check_container(&entry)?;
        total += u64::from(entry.cardinality);
        max = Some(u32::from(entry.key) << 16 | u32::from(high_value));
        expected = bucket.end_of(i, expected)?;
    }
    if expected != bucket.bytes.len() {
        return Err(damaged(bucket.at, "wrong container offset"));
    }
    Ok(max.map(|max| (total, max)))
}

/// The largest value of a container whose content agrees with its header.
fn check_container(entry: &Entry<'_>) -> Result<u16, Damaged> {
    match entry.values {
        Container::Array(values) => check_array(values, entry.at),
        Container::Bits(words) => check_bits(words, entry),
        Container::Runs(runs) => check_runs(runs, entry),
    }
}

fn check_array(values: &[u8], at: usize) -> Result<u16, Damaged> {
    let mut last = None;
    for pair in values.chunks_exact(2) {
        let value = u16_at(pair, 0)?;
        if last.is_some_and(|last| value <= last) {
            return Err(damaged(at, "the values of an array container are not in ascending order"));
        }
        last = Some(value);
    }
    last.ok_or_else(|| damaged(at, "empty container"))
}

fn check_bits(words: &[u8], entry: &Entry<'_>) -> Result<u16, Damaged> {
    let mut population = 0;
    let mut max = None;
    for (i, word) in words.chunks_exact(8).enumerate() {
        let word = word.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
        population += word.count_ones();
        if let Some(highest) = word.checked_ilog2() {
            max = Some(64 * i as u32 + highest);
        }
    }
    if population != entry.cardinality || population <= ARRAY_MAX {
        return Err(damaged(entry.at, "the cardinality of a bitset container is wrong"));
    }
    max.and_then(|max| u16::try_from(max).ok()).ok_or_else(|| damaged(entry.at, "empty container"))
}

fn check_runs(runs: &[u8], entry: &Entry<'_>) -> Result<u16, Damaged> {
    let mut population = 0u32;
    let mut last: Option<u16> = None;
    for run in runs.chunks_exact(4) {
        let (first, more) = (u16_at(run, 0)?, u16_at(run, 2)?);
        let Some(end) = first.checked_add(more) else {
            return Err(damaged(entry.at, "a run leaves its container"));
        };
        // Touching runs are refused too: one set would have two run forms, and readers rely on maximal runs.
        if last.is_some_and(|last| u32::from(first) <= u32::from(last) + 1) {
            return Err(damaged(entry.at, "the runs of a container overlap or touch"));
        }
        population += u32::from(more) + 1;
        last = Some(end);
    }
    if population != entry.cardinality {
        return Err(damaged(entry.at, "the cardinality of a run container is wrong"));
    }
    last.ok_or_else(|| damaged(entry.at, "empty container"))
}
