//! Where things are in the bytes: buckets, container descriptions, container bodies.
//!
//! Finding a bucket's end and the n-th container costs O(1): the portable format keeps an offset per container (or has
//! fewer than four containers). Nothing here allocates.

use std::fmt;

pub(super) use crate::bitmap::ARRAY_MAX;

/// Cookie of a 32-bit bitmap without run containers; a u32 container count follows.
pub(super) const COOKIE_PLAIN: u32 = 12346;
/// Low half of the cookie of a 32-bit bitmap with run containers; the high half is the container count - 1.
pub(super) const COOKIE_RUNS: u16 = 12347;
/// With run containers, the offset table is left out below this many containers.
pub(super) const OFFSETS_FROM: usize = 4;
/// A container key has 16 bits, so there are at most this many containers in a 32-bit bitmap.
pub(super) const MOST_CONTAINERS: usize = 1 << 16;
/// A bitset container: 2^16 bits.
pub(super) const BITSET_BYTES: usize = 8192;

/// The bytes are not a set: what is wrong, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damaged {
    /// Offset of the offending byte or field, counted from the start of the set.
    pub at: usize,
    /// What is wrong there, as a lower-case phrase.
    pub what: &'static str,
}

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for Damaged {}

/// Builds a [`Damaged`].
pub(super) fn damaged(at: usize, what: &'static str) -> Damaged {
    Damaged { at, what }
}

pub(super) const TRUNCATED: &str = "the bytes end too early";

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Damaged> {
    let field = at.checked_add(2).and_then(|end| bytes.get(at..end));
    match field {
        Some(&[a, b]) => Ok(u16::from_le_bytes([a, b])),
        _ => Err(damaged(bytes.len(), TRUNCATED)),
    }
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Damaged> {
    let field = at.checked_add(4).and_then(|end| bytes.get(at..end));
    match field {
        Some(&[a, b, c, d]) => Ok(u32::from_le_bytes([a, b, c, d])),
        _ => Err(damaged(bytes.len(), TRUNCATED)),
    }
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64, Damaged> {
    let low = u32_at(bytes, at)?;
    let high = u32_at(bytes, at.saturating_add(4))?;
    Ok(u64::from(high) << 32 | u64::from(low))
}

/// The values of one container, still serialised.
#[derive(Debug, Clone, Copy)]
pub enum Container<'a> {
    /// Ascending u16 values.
    Array(&'a [u8]),
    /// 1024 u64 words, lowest value first.
    Bits(&'a [u8]),
    /// (first, length - 1) pairs of u16, ascending.
    Runs(&'a [u8]),
}

/// One container: 2^16 consecutive values of the set.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Bits 16..32 of the values.
    pub key: u16,
    /// Number of values, as the header says.
    pub cardinality: u32,
    /// Offset of the body from the start of the set.
    pub at: usize,
    /// The body.
    pub values: Container<'a>,
}

/// One bucket: the values that share their high 32 bits.
#[derive(Debug, Clone, Copy)]
pub struct Bucket<'a> {
    /// Bits 32..64 of the values.
    pub high: u32,
    /// The portable 32-bit bitmap of the low halves: exactly its bytes.
    pub bytes: &'a [u8],
    /// Offset of `bytes` from the start of the set.
    pub at: usize,
    containers: usize,
    run_flags: Option<usize>,
    descriptions: usize,
    offsets: Option<usize>,
    body: usize,
}

impl<'a> Bucket<'a> {
    /// Reads the header at the start of `rest` and finds where the bitmap ends.
    fn read(high: u32, rest: &'a [u8], at: usize) -> Result<Self, Damaged> {
        let moved = |e: Damaged| damaged(e.at + at, e.what);
        let cookie = u32_at(rest, 0).map_err(moved)?;
        let (containers, run_flags, descriptions) = if cookie == COOKIE_PLAIN {
            (u32_at(rest, 4).map_err(moved)? as usize, None, 8)
        } else if cookie & 0xFFFF == u32::from(COOKIE_RUNS) {
            let containers = (cookie >> 16) as usize + 1;
            (containers, Some(4), 4 + containers.div_ceil(8))
        } else {
            return Err(damaged(at, "unknown cookie"));
        };
        if containers > MOST_CONTAINERS {
            return Err(damaged(at + 4, "more than 65536 containers"));
        }
        let after = descriptions + 4 * containers;
        let (offsets, body) = if run_flags.is_none() || containers >= OFFSETS_FROM {
            (Some(after), after + 4 * containers)
        } else {
            (None, after)
        };
        if rest.len() < body {
            return Err(damaged(at + rest.len(), TRUNCATED));
        }
        let mut bucket = Bucket { high, bytes: rest, at, containers, run_flags, descriptions, offsets, body };
        let end = match containers.checked_sub(1) {
            None => body,
            Some(last) => bucket.span(last)?.1,
        };
        bucket.bytes = rest.get(..end).ok_or_else(|| damaged(at + rest.len(), TRUNCATED))?;
        Ok(bucket)
    }

    /// Number of containers.
    pub fn len(&self) -> usize {
        self.containers
    }

    /// Whether the bucket holds no value. The canonical form has no such bucket.
    pub fn is_empty(&self) -> bool {
        self.containers == 0
    }

    /// Where the bodies begin, from the start of the bucket's bitmap.
    pub(super) fn body(&self) -> usize {
        self.body
    }

    /// Bits 16..32 of the values of container `i`.
    pub fn key(&self, i: usize) -> Result<u16, Damaged> {
        self.u16(self.descriptions + 4 * i)
    }

    /// Number of values of container `i`, as the header says.
    pub fn cardinality(&self, i: usize) -> Result<u32, Damaged> {
        Ok(u32::from(self.u16(self.descriptions + 4 * i + 2)?) + 1)
    }

    /// Number of values of the bucket, from the headers alone.
    pub fn total(&self) -> Result<u64, Damaged> {
        let mut sum = 0;
        for i in 0..self.containers {
            sum += u64::from(self.cardinality(i)?);
        }
        Ok(sum)
    }

    /// Container `i`.
    pub fn entry(&self, i: usize) -> Result<Entry<'a>, Damaged> {
        let (start, end) = self.span(i)?;
        let body = self.bytes.get(start..end).ok_or_else(|| damaged(self.at + self.bytes.len(), TRUNCATED))?;
        let cardinality = self.cardinality(i)?;
        let values = if self.is_run(i)? {
            Container::Runs(body.get(2..).unwrap_or_default())
        } else if cardinality <= ARRAY_MAX {
            Container::Array(body)
        } else {
            Container::Bits(body)
        };
        Ok(Entry { key: self.key(i)?, cardinality, at: self.at + start, values })
    }

    /// The container that would hold `key`, by binary search over the ascending keys.
    pub fn find(&self, key: u16) -> Result<Option<Entry<'a>>, Damaged> {
        let (mut low, mut high) = (0, self.containers);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.key(middle)?.cmp(&key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.entry(middle).map(Some),
            }
        }
        Ok(None)
    }

    /// The offset table's word for container `i`, when there is a table.
    pub(super) fn offset(&self, i: usize) -> Result<Option<u32>, Damaged> {
        match self.offsets {
            None => Ok(None),
            Some(table) => self.u32(table + 4 * i).map(Some),
        }
    }

    /// Start and end of the body of container `i`, from the start of the bucket's bitmap.
    fn span(&self, i: usize) -> Result<(usize, usize), Damaged> {
        if i >= self.containers {
            return Err(damaged(self.at, "no such container"));
        }
        let start = match self.offset(i)? {
            Some(offset) => offset as usize,
            // Fewer than four containers: walk.
            None => {
                let mut at = self.body;
                for before in 0..i {
                    at = self.end_of(before, at)?;
                }
                at
            }
        };
        if start < self.body {
            return Err(damaged(self.at, "a container lies inside the header"));
        }
        Ok((start, self.end_of(i, start)?))
    }

    /// End of container `i` when its body starts at `start`.
    pub(super) fn end_of(&self, i: usize, start: usize) -> Result<usize, Damaged> {
        let length = if self.is_run(i)? {
            2 + 4 * usize::from(self.u16(start)?)
        } else {
            match self.cardinality(i)? {
                few @ 0..=ARRAY_MAX => 2 * few as usize,
                _ => BITSET_BYTES,
            }
        };
        start.checked_add(length).ok_or_else(|| damaged(self.at, TRUNCATED))
    }

    fn is_run(&self, i: usize) -> Result<bool, Damaged> {
        let Some(flags) = self.run_flags else { return Ok(false) };
        match self.bytes.get(flags + i / 8) {
            Some(byte) => Ok(byte >> (i % 8) & 1 == 1),
            None => Err(damaged(self.at + self.bytes.len(), TRUNCATED)),
        }
    }

    fn u16(&self, at: usize) -> Result<u16, Damaged> {
        u16_at(self.bytes, at).map_err(|e| damaged(e.at + self.at, e.what))
    }

    fn u32(&self, at: usize) -> Result<u32, Damaged> {
        u32_at(self.bytes, at).map_err(|e| damaged(e.at + self.at, e.what))
    }
}

/// The buckets of a set, in stored order; ends with an error when the bytes end early or go on after the last bucket.
#[derive(Debug, Clone)]
pub struct Buckets<'a> {
    bytes: &'a [u8],
    at: usize,
    left: u64,
}

/// Reads the bucket count and returns the buckets.
pub fn buckets(bytes: &[u8]) -> Result<Buckets<'_>, Damaged> {
    Ok(Buckets { bytes, at: 8, left: u64_at(bytes, 0)? })
}

impl<'a> Buckets<'a> {
    /// How many buckets are still to come, as the header says.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Where the next bucket starts; the end of the set when there is none left.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Goes on where an earlier reader of the same bytes stood.
    pub(super) fn resume(bytes: &'a [u8], at: usize, left: u64) -> Self {
        Buckets { bytes, at, left }
    }

    fn read(&mut self) -> Result<Bucket<'a>, Damaged> {
        let high = u32_at(self.bytes, self.at)?;
        let start = self.at + 4;
        let rest = self.bytes.get(start..).ok_or_else(|| damaged(self.bytes.len(), TRUNCATED))?;
        let bucket = Bucket::read(high, rest, start)?;
        self.at = start + bucket.bytes.len();
        Ok(bucket)
    }
}

impl<'a> Iterator for Buckets<'a> {
    type Item = Result<Bucket<'a>, Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            if self.at < self.bytes.len() {
                let extra = damaged(self.at, "bytes after the end of the set");
                self.at = self.bytes.len();
                return Some(Err(extra));
            }
            return None;
        }
        let bucket = self.read();
        match &bucket {
            Ok(_) => self.left -= 1,
            Err(_) => {
                // One error ends the walk.
                self.left = 0;
                self.at = self.bytes.len();
            }
        }
        Some(bucket)
    }
}
