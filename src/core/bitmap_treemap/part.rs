//! The containers of a set in ascending order, without regard to buckets: what the algebra joins.

use super::MAX_VALUE;
use super::layout::{Bucket, Buckets, Container, Damaged, buckets, damaged};

/// Every container of a set has a prefix below this: values end at [`MAX_VALUE`].
pub(super) const MOST_PREFIX: u64 = MAX_VALUE >> 16;

/// One container: the values that share `prefix` = value >> 16.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    /// Bits 16..63 of the values.
    pub prefix: u64,
    /// Number of values, as the header says.
    pub cardinality: u32,
    /// The low 16 bits of the values.
    pub values: Container<'a>,
}

/// Containers, ascending by prefix.
pub(super) trait Parts<'a> {
    /// The next container whose prefix is at least `from`; what lies before it is skipped. `None` after the last.
    fn seek(&mut self, from: u64) -> Result<Option<Part<'a>>, Damaged>;

    /// The next container.
    fn next(&mut self) -> Result<Option<Part<'a>>, Damaged> {
        self.seek(0)
    }
}

/// The containers of a serialised set.
pub(super) struct SetParts<'a> {
    buckets: Buckets<'a>,
    bucket: Option<Bucket<'a>>,
    container: usize,
}

impl<'a> SetParts<'a> {
    pub fn new(bytes: &'a [u8]) -> Result<Self, Damaged> {
        Ok(SetParts { buckets: buckets(bytes)?, bucket: None, container: 0 })
    }
}

impl<'a> Parts<'a> for SetParts<'a> {
    fn seek(&mut self, from: u64) -> Result<Option<Part<'a>>, Damaged> {
        loop {
            let bucket = match self.bucket {
                Some(bucket) => bucket,
                None => {
                    let Some(next) = self.buckets.next().transpose()? else { return Ok(None) };
                    self.container = 0;
                    *self.bucket.insert(next)
                }
            };
            let top = u64::from(bucket.high) << 16;
            if top | 0xFFFF < from {
                self.bucket = None;
                continue;
            }
            if from > top {
                self.container = lower_bound(&bucket, self.container, (from - top) as u16)?;
            }
            if self.container < bucket.len() {
                let entry = bucket.entry(self.container)?;
                self.container += 1;
                let prefix = top | u64::from(entry.key);
                if prefix > MOST_PREFIX {
                    return Err(damaged(entry.at, "a container lies above the largest value"));
                }
                return Ok(Some(Part { prefix, cardinality: entry.cardinality, values: entry.values }));
            }
            self.bucket = None;
        }
    }
}

/// The first container of a bucket, from number `from` on, whose key is at least `key`: by doubling steps, since the next
/// one is most often near.
fn lower_bound(bucket: &Bucket<'_>, from: usize, key: u16) -> Result<usize, Damaged> {
    let (mut low, mut step) = (from, 1);
    while low + step <= bucket.len() && bucket.key(low + step - 1)? < key {
        low += step;
        step *= 2;
    }
    let mut high = (low + step).min(bucket.len());
    while low < high {
        let middle = low + (high - low) / 2;
        if bucket.key(middle)? < key {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// The values from `start` up to, not including, `end`, as run containers; made on the way, whatever their number.
pub(super) struct RangeParts<'a> {
    range: &'a Range,
    next: u64,
}

/// A range of values and the bodies of its containers.
pub(super) struct Range {
    start: u64,
    /// The last value of the range.
    last: u64,
    bodies: [[u8; 4]; 3],
}

impl Range {
    /// The values from `start` up to, not including, `end`; `None` when there are none. `end` is at most 2^63.
    pub fn new(start: u64, end: u64) -> Option<Self> {
        let last = end.checked_sub(1)?.min(MAX_VALUE);
        if last < start {
            return None;
        }
        let run = |first: u16, last: u16| {
            let [[a, b], [c, d]] = [first.to_le_bytes(), (last - first).to_le_bytes()];
            [a, b, c, d]
        };
        let same = start >> 16 == last >> 16;
        let head = run(start as u16, if same { last as u16 } else { u16::MAX });
        Some(Range { start, last, bodies: [head, run(0, u16::MAX), run(0, last as u16)] })
    }

    /// The first value of the range.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The last value of the range.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Number of containers of the range.
    pub fn containers(&self) -> u64 {
        (self.last >> 16) - (self.start >> 16) + 1
    }

    /// The containers.
    pub fn parts(&self) -> RangeParts<'_> {
        RangeParts { range: self, next: self.start >> 16 }
    }
}

impl<'a> Parts<'a> for RangeParts<'a> {
    fn seek(&mut self, from: u64) -> Result<Option<Part<'a>>, Damaged> {
        let prefix = self.next.max(from);
        let (first, last) = (self.range.start >> 16, self.range.last >> 16);
        if prefix > last {
            return Ok(None);
        }
        self.next = prefix + 1;
        let [head, full, tail] = &self.range.bodies;
        let body = if prefix == first {
            head
        } else if prefix == last {
            tail
        } else {
            full
        };
        let cardinality = u32::from(u16::from_le_bytes([body[2], body[3]])) + 1;
        Ok(Some(Part { prefix, cardinality, values: Container::Runs(body) }))
    }
}
