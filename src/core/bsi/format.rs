//! Where things are in the bytes, and the walk over the blocks of all sets at once.

use std::ops::Range;

use super::{Error, above, depth_of};
use crate::bitmap::{Arena, Container, Portable, Value};
use crate::bitmap_treemap::{Buckets, buckets};

pub(super) const VERSION: u8 = 1;
/// Bytes before the lengths.
pub(super) const HEAD: usize = 28;

/// A portable 32-bit set without members: what a slice has in a bucket that it lacks.
const EMPTY: [u8; 8] = [0x3a, 0x30, 0, 0, 0, 0, 0, 0];

/// What stands before the sets, checked.
#[derive(Debug, Clone)]
pub(super) struct Head {
    count: u64,
    base: i64,
    max: i64,
    /// Where the sets are: the ids, then the slices from the highest bit to the lowest.
    pub sets: Vec<Range<usize>>,
}

/// No header is longer: 64 slices.
pub(super) const MOST_HEAD: usize = HEAD + 4 * 65;

impl Head {
    /// Reads the header from the first bytes of an index of `length` bytes, [`MOST_HEAD`] of them or all.
    ///
    /// # Errors
    /// [`Error::Version`], [`Error::Head`].
    pub fn read(bytes: &[u8], length: usize) -> Result<Self, Error> {
        let end = || Error::Head(length, "the bytes end too early");
        let (head, rest) = bytes.split_first_chunk::<HEAD>().ok_or_else(end)?;
        let [version, depth, r0, r1, numbers @ ..] = head;
        if *version != VERSION {
            return Err(Error::Version(*version));
        }
        if [*r0, *r1] != [0, 0] {
            return Err(Error::Head(2, "reserved bytes are not zero"));
        }
        let ([count, base, max], _) = numbers.as_chunks::<8>() else { return Err(end()) };
        let (count, base, max) = (u64::from_le_bytes(*count), i64::from_le_bytes(*base), i64::from_le_bytes(*max));
        let depth = usize::from(*depth);
        if base > max || depth_of(above(max, base)) != depth {
            return Err(Error::Head(1, "depth, smallest and largest value contradict each other"));
        }
        if count == 0 && (base, max) != (0, 0) {
            return Err(Error::Head(4, "values without an id"));
        }
        let lengths = rest.get(..4 * (1 + depth)).ok_or_else(end)?;
        let mut at = HEAD + lengths.len();
        let mut sets = Vec::with_capacity(1 + depth);
        for set in lengths.as_chunks::<4>().0 {
            let after =
                at.checked_add(u32::from_le_bytes(*set) as usize).filter(|after| *after <= length).ok_or_else(end)?;
            sets.push(at..after);
            at = after;
        }
        if at < length {
            return Err(Error::Head(at, "bytes after the last slice"));
        }
        Ok(Self { count, base, max, sets })
    }

    /// What the slices count from.
    pub fn zero(&self) -> i64 {
        self.base
    }
}

/// An index whose header has been checked; the sets stay where they are.
#[derive(Debug, Clone)]
pub struct Bsi<'a> {
    count: u64,
    base: i64,
    max: i64,
    existence: &'a [u8],
    /// Highest bit first.
    slices: Vec<&'a [u8]>,
}

impl<'a> Bsi<'a> {
    /// Reads the header and cuts the bytes into sets, which are not looked into.
    ///
    /// # Errors
    /// [`Error::Version`], [`Error::Head`].
    pub fn open(bytes: &'a [u8]) -> Result<Self, Error> {
        let head = Head::read(bytes, bytes.len())?;
        let mut sets = head.sets.into_iter().map(|set| bytes.get(set).unwrap_or_default());
        let existence = sets.next().unwrap_or_default();
        Ok(Self { count: head.count, base: head.base, max: head.max, existence, slices: sets.collect() })
    }

    /// Number of ids.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The smallest value; `None` when there is no id.
    pub fn base(&self) -> Option<i64> {
        (self.count > 0).then_some(self.base)
    }

    /// The largest value; `None` when there is no id.
    pub fn max(&self) -> Option<i64> {
        (self.count > 0).then_some(self.max)
    }

    /// Number of slices.
    pub fn depth(&self) -> usize {
        self.slices.len()
    }

    /// The ids: a set in the portable 64-bit Roaring format.
    pub fn existence(&self) -> &'a [u8] {
        self.existence
    }

    /// The ids whose value - base has a bit, from the highest bit to the lowest.
    pub(super) fn slices(&self) -> &[&'a [u8]] {
        &self.slices
    }

    /// What the slices count from.
    pub(super) fn zero(&self) -> i64 {
        self.base
    }

    /// The bounds of `low..=high` above the base, where an open end is all zeros or all ones; `None` when no value is
    /// inside.
    pub(super) fn bounds(&self, low: i64, high: i64) -> Option<(u64, u64)> {
        if low > high || high < self.base || low > self.max || self.count == 0 {
            return None;
        }
        let low = if low <= self.base { 0 } else { above(low, self.base) };
        let high = if high >= self.max { u64::MAX } else { above(high, self.base) };
        Some((low, high))
    }
}

/// A set read once from its first bucket to its last.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    /// Which set it is, for errors.
    slice: usize,
    buckets: Buckets<'a>,
    at: Option<(u32, Portable<'a>)>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(set: &'a [u8], slice: usize) -> Result<Self, Error> {
        let buckets = buckets(set).map_err(|damage| Error::Set(slice, damage))?;
        Ok(Self { slice, buckets, at: None })
    }

    /// The next bucket: the high half of its ids and the set of the low halves.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Portable<'a>)>, Error> {
        self.at = match self.buckets.next() {
            None => None,
            Some(bucket) => {
                let bucket = bucket.map_err(|damage| Error::Set(self.slice, damage))?;
                Some((bucket.high, Portable::open(bucket.bytes)?))
            }
        };
        Ok(self.at)
    }

    /// The bucket of `high`, empty when there is none. To be asked in ascending order.
    pub(super) fn seek(&mut self, high: u32) -> Result<Portable<'a>, Error> {
        if self.at.is_none() {
            self.next()?;
        }
        while let Some((at, set)) = self.at {
            if at == high {
                return Ok(set);
            }
            if at > high {
                break;
            }
            self.next()?;
        }
        Ok(Portable::open(&EMPTY)?)
    }
}

/// One block of an index: 2^16 ids, some of which have a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The ids shifted right by 16 bits.
    pub block: u64,
    /// Low 16 bits of `block`: the key of the containers.
    pub key: u16,
    /// The ids that have a value.
    pub present: Container<'a>,
    /// The ids that the filter lets through; everything without a filter.
    pub within: Option<Container<'a>>,
}

impl<'a> Place<'a> {
    /// The ids that have a value and pass the filter.
    pub fn selected(&self, arena: &mut Arena) -> Value<'a> {
        let present = Value::stored(Some(self.present));
        match self.within {
            None => present,
            Some(within) => present.and(Value::stored(Some(within)), arena),
        }
    }
}

/// The blocks of an index that the filter may touch, ascending.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    ids: Cursor<'a>,
    filter: Option<Cursor<'a>>,
    cursors: Vec<Cursor<'a>>,
    high: u32,
    /// The existence set of the current bucket.
    pub existence: Portable<'a>,
    /// The slices of the current bucket, highest bit first.
    pub slices: Vec<Portable<'a>>,
    chosen: Portable<'a>,
    /// The keys of `existence`, and which of them comes next.
    keys: Vec<u16>,
    index: usize,
}

impl<'a> Walk<'a> {
    /// From the first block on; `filter` is a set in the portable 64-bit format.
    pub fn new(bsi: &Bsi<'a>, filter: Option<&'a [u8]>) -> Result<Self, Error> {
        let empty = Portable::open(&EMPTY)?;
        let slices = bsi.slices().iter().zip(1..);
        Ok(Self {
            ids: Cursor::new(bsi.existence(), 0)?,
            filter: filter.map(|set| Cursor::new(set, 0)).transpose()?,
            cursors: slices.map(|(set, slice)| Cursor::new(set, slice)).collect::<Result<_, _>>()?,
            high: 0,
            existence: empty,
            slices: Vec::new(),
            chosen: empty,
            keys: Vec::new(),
            index: 0,
        })
    }

    /// The same from the bucket on that holds `block`; the blocks before it in that bucket are skipped.
    pub fn starting_at(bsi: &Bsi<'a>, block: u64) -> Result<Self, Error> {
        let mut walk = Self::new(bsi, None)?;
        walk.ids.seek((block >> 16) as u32)?;
        if let Some((high, set)) = walk.ids.at {
            walk.enter(high, set)?;
            if u64::from(high) == block >> 16 {
                walk.index = walk.keys.partition_point(|key| u64::from(*key) < block & 0xFFFF);
            }
        }
        Ok(walk)
    }

    /// The next block.
    pub fn next(&mut self) -> Result<Option<Place<'a>>, Error> {
        loop {
            if let Some(key) = self.keys.get(self.index).copied() {
                let index = self.index;
                self.index += 1;
                let within = self.chosen.get(key)?;
                if self.filter.is_some() && within.is_none() {
                    continue;
                }
                let block = u64::from(self.high) << 16 | u64::from(key);
                return Ok(Some(Place { block, key, present: self.existence.container(index)?, within }));
            }
            let Some((high, set)) = self.ids.next()? else { return Ok(None) };
            self.enter(high, set)?;
        }
    }

    fn enter(&mut self, high: u32, set: Portable<'a>) -> Result<(), Error> {
        (self.high, self.existence, self.index) = (high, set, 0);
        self.keys.clear();
        if let Some(filter) = &mut self.filter {
            self.chosen = filter.seek(high)?;
            if self.chosen.is_empty() {
                return Ok(());
            }
        }
        self.keys.extend(set.keys());
        self.slices.clear();
        for cursor in &mut self.cursors {
            self.slices.push(cursor.seek(high)?);
        }
        Ok(())
    }
}

/// Whether a container holds `member`.
pub(super) fn holds(container: Container<'_>, member: u16) -> bool {
    match container {
        Container::Array(members) => members.binary_search_by_key(&member, |m| u16::from_le_bytes(*m)).is_ok(),
        Container::Bitmap(words) => {
            let word = words.get(usize::from(member >> 6)).map_or(0, |word| u64::from_le_bytes(*word));
            word >> (member & 63) & 1 == 1
        }
        Container::Run(runs) => {
            let first = |run: &[u8; 4]| u16::from_le_bytes([run[0], run[1]]);
            let after = runs.partition_point(|run| first(run) <= member);
            let run = after.checked_sub(1).and_then(|last| runs.get(last));
            run.is_some_and(|run| member - first(run) <= u16::from_le_bytes([run[2], run[3]]))
        }
    }
}
