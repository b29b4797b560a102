//! Membership in a set that is not in memory: the header and one container are read, whatever the size of the set.

use super::container::holds;
use super::layout::{
    ARRAY_MAX, COOKIE_PLAIN, COOKIE_RUNS, Container, Damaged, MOST_CONTAINERS, OFFSETS_FROM, TRUNCATED, damaged,
};

/// Bytes kept elsewhere.
pub trait Source {
    /// The bytes from `at` on: `length` of them, or as many as there are.
    fn read(&mut self, at: usize, length: usize) -> &[u8];

    /// Says that about so many parts will be read, for a source that may rather fetch everything at once.
    fn will_read(&mut self, _parts: usize) {}
}

impl Source for &[u8] {
    fn read(&mut self, at: usize, length: usize) -> &[u8] {
        let rest = self.get(at..).unwrap_or_default();
        rest.get(..length).unwrap_or(rest)
    }
}

/// Sets with more buckets than this are not looked into piece by piece: where a bucket begins is only known from the one before.
pub const MOST_BUCKETS: u64 = 8;

/// Whether `value` is in the set whose first byte is byte `start` of the source; `None` when the set has more than
/// [`MOST_BUCKETS`] buckets, so that it should be read as a whole. Cost: O(buckets + log containers) reads, most often two or three.
///
/// # Errors
/// Damage met on the way, counted from the start of the set.
pub fn find(source: &mut impl Source, start: usize, value: u64) -> Result<Option<bool>, Damaged> {
    let mut set = Set { source, start };
    let buckets = set.number::<8>(0).map(u64::from_le_bytes)?;
    if buckets > MOST_BUCKETS {
        return Ok(None);
    }
    let high = (value >> 32) as u32;
    let mut at = 8;
    for left in (0..buckets).rev() {
        let own = set.number::<4>(at).map(u32::from_le_bytes)?;
        if own > high {
            break;
        }
        let mut bucket = Bucket::read(&mut set, at + 4)?;
        if own == high {
            return bucket.contains((value >> 16) as u16, value as u16).map(Some);
        }
        if left > 0 {
            at = bucket.end()?;
        }
    }
    Ok(Some(false))
}

/// A set somewhere in a source.
struct Set<'s, S> {
    source: &'s mut S,
    start: usize,
}

impl<S: Source> Set<'_, S> {
    fn number<const N: usize>(&mut self, at: usize) -> Result<[u8; N], Damaged> {
        let place = at.checked_add(self.start).ok_or_else(|| damaged(at, TRUNCATED))?;
        self.source.read(place, N).first_chunk().copied().ok_or_else(|| damaged(at, TRUNCATED))
    }

    fn u16(&mut self, at: usize) -> Result<u16, Damaged> {
        self.number(at).map(u16::from_le_bytes)
    }

    fn bytes(&mut self, at: usize, length: usize) -> Result<&[u8], Damaged> {
        let place = at.checked_add(self.start).ok_or_else(|| damaged(at, TRUNCATED))?;
        let bytes = self.source.read(place, length);
        if bytes.len() == length { Ok(bytes) } else { Err(damaged(at, TRUNCATED)) }
    }
}

/// A portable 32-bit bitmap in the set: see [`super::layout::Bucket`], which reads the same from bytes in memory.
struct Bucket<'b, 's, S> {
    set: &'b mut Set<'s, S>,
    at: usize,
    containers: usize,
    has_runs: bool,
    descriptions: usize,
    offsets: Option<usize>,
    body: usize,
}

impl<'b, 's, S: Source> Bucket<'b, 's, S> {
    fn read(set: &'b mut Set<'s, S>, at: usize) -> Result<Self, Damaged> {
        let cookie = set.number::<4>(at).map(u32::from_le_bytes)?;
        let has_runs = cookie != COOKIE_PLAIN;
        let (containers, descriptions) = if !has_runs {
            (set.number::<4>(at + 4).map(u32::from_le_bytes)? as usize, at + 8)
        } else if cookie & 0xFFFF == u32::from(COOKIE_RUNS) {
            let containers = (cookie >> 16) as usize + 1;
            (containers, at + 4 + containers.div_ceil(8))
        } else {
            return Err(damaged(at, "unknown cookie"));
        };
        if containers > MOST_CONTAINERS {
            return Err(damaged(at + 4, "more than 65536 containers"));
        }
        let after = descriptions + 4 * containers;
        let offsets = (!has_runs || containers >= OFFSETS_FROM).then_some(after);
        let body = if offsets.is_some() { after + 4 * containers } else { after };
        Ok(Self { set, at, containers, has_runs, descriptions, offsets, body })
    }

    fn key(&mut self, i: usize) -> Result<u16, Damaged> {
        self.set.u16(self.descriptions + 4 * i)
    }

    fn is_run(&mut self, i: usize) -> Result<bool, Damaged> {
        Ok(self.has_runs && self.set.number::<1>(self.at + 4 + i / 8)?[0] >> (i % 8) & 1 == 1)
    }

    /// The container of `key`.
    fn index(&mut self, key: u16) -> Result<Option<usize>, Damaged> {
        let Some(last) = self.containers.checked_sub(1) else { return Ok(None) };
        // Keys ascend by one at least, so the distance from either end bounds the place; where no key is missing, it is the place.
        let Some(from_first) = key.checked_sub(self.key(0)?) else { return Ok(None) };
        let Some(from_last) = self.key(last)?.checked_sub(key) else { return Ok(None) };
        let mut low = last.saturating_sub(from_last.into());
        let mut high = last.min(from_first.into()) + 1;
        while low < high {
            let middle = low + (high - low) / 2;
            match self.key(middle)?.cmp(&key) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(Some(middle)),
            }
        }
        Ok(None)
    }

    /// Where the body of container `i` begins, how long it is, and its number of values (0 for runs).
    fn place(&mut self, i: usize) -> Result<(usize, usize, u32), Damaged> {
        let mut at = match self.offsets {
            Some(table) => self.at + self.set.number::<4>(table + 4 * i).map(u32::from_le_bytes)? as usize,
            None => self.body,
        };
        if at < self.body {
            return Err(damaged(self.at, "a container lies inside the header"));
        }
        // Without a table there are fewer than four containers.
        let mut next = if self.offsets.is_some() { i } else { 0 };
        loop {
            let (length, cardinality) = if self.is_run(next)? {
                (2 + 4 * usize::from(self.set.u16(at)?), 0)
            } else {
                match u32::from(self.set.u16(self.descriptions + 4 * next + 2)?) + 1 {
                    few @ 0..=ARRAY_MAX => (2 * few as usize, few),
                    many => (super::layout::BITSET_BYTES, many),
                }
            };
            if next == i {
                return Ok((at, length, cardinality));
            }
            (at, next) = (at + length, next + 1);
        }
    }

    /// Where the bucket ends.
    fn end(&mut self) -> Result<usize, Damaged> {
        let Some(last) = self.containers.checked_sub(1) else { return Ok(self.body) };
        self.place(last).map(|(at, length, _)| at + length)
    }

    fn contains(&mut self, key: u16, low: u16) -> Result<bool, Damaged> {
        let Some(i) = self.index(key)? else { return Ok(false) };
        let (at, length, cardinality) = self.place(i)?;
        match cardinality {
            // One bit of a bitset is one byte of it.
            many if many > ARRAY_MAX => {
                let [byte] = self.set.number(at + usize::from(low) / 8)?;
                Ok(byte >> (low % 8) & 1 == 1)
            }
            0 => Ok(holds(Container::Runs(self.set.bytes(at + 2, length - 2)?), low)),
            _ => Ok(holds(Container::Array(self.set.bytes(at, length)?), low)),
        }
    }
}
