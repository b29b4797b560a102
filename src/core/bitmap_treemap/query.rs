//! Questions answered from the bytes, without building a set in memory.

use super::container::holds;
use super::layout::{Bucket, Buckets, Container, Damaged, Entry, buckets, damaged, u16_at};

/// Number of values. Cost: O(containers).
pub fn cardinality(bytes: &[u8]) -> Result<u64, Damaged> {
    let mut sum = 0u64;
    for bucket in buckets(bytes)? {
        sum = sum.saturating_add(bucket?.total()?);
    }
    Ok(sum)
}

/// Whether the set holds no value. Cost: O(1).
pub fn is_empty(bytes: &[u8]) -> Result<bool, Damaged> {
    Ok(buckets(bytes)?.left() == 0)
}

/// Whether `value` is in the set. Cost: O(buckets + log containers).
pub fn contains(bytes: &[u8], value: u64) -> Result<bool, Damaged> {
    let high = (value >> 32) as u32;
    for bucket in buckets(bytes)? {
        let bucket = bucket?;
        if bucket.high >= high {
            if bucket.high > high {
                break;
            }
            return match bucket.find((value >> 16) as u16)? {
                None => Ok(false),
                Some(entry) => Ok(holds(entry.values, value as u16)),
            };
        }
    }
    Ok(false)
}

/// The smallest value; `None` for the empty set. Cost: O(1).
pub fn min(bytes: &[u8]) -> Result<Option<u64>, Damaged> {
    for bucket in buckets(bytes)? {
        let bucket = bucket?;
        if !bucket.is_empty() {
            let entry = bucket.entry(0)?;
            return ends(&entry).map(|(first, _)| Some(join(bucket.high, entry.key, first)));
        }
    }
    Ok(None)
}

/// The largest value; `None` for the empty set. Cost: O(buckets).
pub fn max(bytes: &[u8]) -> Result<Option<u64>, Damaged> {
    let mut found = None;
    for bucket in buckets(bytes)? {
        let bucket = bucket?;
        if let Some(last) = bucket.len().checked_sub(1) {
            let entry = bucket.entry(last)?;
            found = Some(join(bucket.high, entry.key, ends(&entry)?.1));
        }
    }
    Ok(found)
}

/// Whether two sets hold the same values, whatever containers they chose. Cost: O(bytes), no heap memory.
pub fn equals(a: &[u8], b: &[u8]) -> Result<bool, Damaged> {
    if a == b {
        return Ok(true);
    }
    let (mut left, mut right) = (buckets(a)?, buckets(b)?);
    loop {
        match (left.next().transpose()?, right.next().transpose()?) {
            (None, None) => return Ok(true),
            (Some(x), Some(y)) if x.high == y.high && x.len() == y.len() => {
                if x.bytes != y.bytes && !same_containers(&x, &y)? {
                    return Ok(false);
                }
            }
            _ => return Ok(false),
        }
    }
}

fn same_containers(x: &Bucket<'_>, y: &Bucket<'_>) -> Result<bool, Damaged> {
    // Headers first: most different sets differ there.
    for i in 0..x.len() {
        if x.key(i)? != y.key(i)? || x.cardinality(i)? != y.cardinality(i)? {
            return Ok(false);
        }
    }
    for i in 0..x.len() {
        let (a, b) = (x.entry(i)?, y.entry(i)?);
        let same = match (a.values, b.values) {
            (Container::Array(a), Container::Array(b))
            | (Container::Bits(a), Container::Bits(b))
            | (Container::Runs(a), Container::Runs(b)) => a == b,
            _ => spread(&a)? == spread(&b)?,
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The values of a container as 2^16 bits.
fn spread(entry: &Entry<'_>) -> Result<[u64; 1024], Damaged> {
    let mut words = [0u64; 1024];
    let mut set = |value: u16| {
        if let Some(word) = words.get_mut(usize::from(value) / 64) {
            *word |= 1 << (value % 64);
        }
    };
    each(entry, &mut set)?;
    Ok(words)
}

/// Calls `found` with every value of a container, ascending.
fn each(entry: &Entry<'_>, found: &mut impl FnMut(u16)) -> Result<(), Damaged> {
    match entry.values {
        Container::Array(values) => {
            for pair in values.chunks_exact(2) {
                found(u16_at(pair, 0)?);
            }
        }
        Container::Bits(bytes) => {
            for (i, byte) in bytes.iter().enumerate() {
                let mut rest = *byte;
                while rest != 0 {
                    found((8 * i as u32 + rest.trailing_zeros()) as u16);
                    rest &= rest - 1;
                }
            }
        }
        Container::Runs(runs) => {
            let mut least = 0;
            for run in runs.chunks_exact(4) {
                let first = u16_at(run, 0)?;
                // Damaged runs that overlap would give 2^32 values out of 256 KB.
                if u32::from(first) < least {
                    return Err(damaged(entry.at, "the runs of a container overlap"));
                }
                let last = first.saturating_add(u16_at(run, 2)?);
                for value in first..=last {
                    found(value);
                }
                least = u32::from(last) + 1;
            }
        }
    }
    Ok(())
}

/// The smallest and largest value of a container.
fn ends(entry: &Entry<'_>) -> Result<(u16, u16), Damaged> {
    let empty = || damaged(entry.at, "empty container");
    match entry.values {
        Container::Array(values) => Ok((u16_at(values, 0)?, u16_at(values, values.len().saturating_sub(2))?)),
        Container::Runs(runs) => {
            let last = runs.len().checked_sub(4).ok_or_else(empty)?;
            let end = u16_at(runs, last)?.saturating_add(u16_at(runs, last + 2)?);
            Ok((u16_at(runs, 0)?, end))
        }
        Container::Bits(bytes) => {
            let first = bytes.iter().position(|byte| *byte != 0).ok_or_else(empty)?;
            let last = bytes.iter().rposition(|byte| *byte != 0).ok_or_else(empty)?;
            let low = bytes.get(first).map_or(0, |byte| byte.trailing_zeros());
            let high = bytes.get(last).and_then(|byte| byte.checked_ilog2()).unwrap_or(0);
            Ok(((8 * first as u32 + low) as u16, (8 * last as u32 + high) as u16))
        }
    }
}

fn join(high: u32, key: u16, low: u16) -> u64 {
    u64::from(high) << 32 | u64::from(key) << 16 | u64::from(low)
}

/// Walks the values of a set in ascending order, one container at a time.
///
/// It does not borrow the bytes, so that whoever owns them can own the walk as well; the same bytes must be given to
/// every call. Memory: the values of one container, at most 128 kB.
#[derive(Debug, Default)]
pub struct Members {
    started: bool,
    /// Where the bucket after the current one starts, and how many buckets follow the current one.
    after: usize,
    left: u64,
    /// Where the current bucket starts, and its next container.
    bucket: Option<usize>,
    container: usize,
    prefix: u64,
    values: Vec<u16>,
    given: usize,
}

impl Members {
    /// A walk that stands before the first value.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next value of the set, `None` after the last.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Option<u64>, Damaged> {
        loop {
            if let Some(low) = self.values.get(self.given) {
                self.given += 1;
                return Ok(Some(self.prefix | u64::from(*low)));
            }
            if !self.load(bytes)? {
                return Ok(None);
            }
        }
    }

    /// Loads the next container; false at the end.
    fn load(&mut self, bytes: &[u8]) -> Result<bool, Damaged> {
        self.values.clear();
        self.given = 0;
        loop {
            let mut walk = match (self.started, self.bucket) {
                (false, _) => {
                    self.started = true;
                    buckets(bytes)?
                }
                // The current bucket again: reading its header costs O(1).
                (true, Some(at)) => Buckets::resume(bytes, at, self.left + 1),
                (true, None) => Buckets::resume(bytes, self.after, self.left),
            };
            let start = walk.position();
            let Some(bucket) = walk.next().transpose()? else { return Ok(false) };
            if self.bucket.is_none() {
                self.container = 0;
            }
            (self.after, self.left) = (walk.position(), walk.left());
            if self.container < bucket.len() {
                let entry = bucket.entry(self.container)?;
                self.bucket = Some(start);
                self.container += 1;
                self.prefix = join(bucket.high, entry.key, 0);
                let values = &mut self.values;
                each(&entry, &mut |value| values.push(value))?;
                return Ok(true);
            }
            self.bucket = None;
        }
    }
}
