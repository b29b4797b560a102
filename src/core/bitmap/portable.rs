//! A view of the portable 32-bit Roaring format that copies nothing.
//!
//! Format (little-endian): <https://github.com/RoaringBitmap/RoaringFormatSpec>. A stream without run containers
//! is `u32 12346, u32 count, (u16 key, u16 cardinality - 1) × count, u32 start × count, containers`; one with runs is
//! `u16 12347, u16 count - 1, run flags of ceil(count / 8) bytes, (key, cardinality - 1) × count, containers`, with the
//! starts before the containers only when there are at least four of them.

use super::ARRAY_MAX;
use super::kernel::ends;
use super::{Bytes, SHARD_BLOCKS, WORDS};
use crate::error::StoreError;
use roaring::RoaringBitmap;

const COOKIE_PLAIN: u16 = 12346;
const COOKIE_RUNS: u16 = 12347;
/// With run containers, this many containers or more bring a header of starts.
const STARTS_FROM: usize = 4;
const WHAT: &str = "bitmap";

/// One container, borrowed from the bytes. Every form holds members 0..=65535 of one block.
#[derive(Debug, Clone, Copy)]
pub enum Container<'a> {
    /// Members in ascending order, each a little-endian u16; at most 4096.
    Array(&'a [[u8; 2]]),
    /// 2^16 bits, lowest first: 1024 little-endian words.
    Bitmap(&'a [[u8; 8]; WORDS]),
    /// Runs in ascending order: first member and length - 1, each a little-endian u16.
    Run(&'a [[u8; 4]]),
}

/// Portable 32-bit Roaring bytes whose headers have been checked.
///
/// Opening reads the headers only. What a container holds is checked against the end of the bytes when the container
/// is asked for; the order of members inside it is not checked, and no reader depends on it for safety.
#[derive(Debug, Clone, Copy)]
pub struct Portable<'a> {
    bytes: Bytes<'a>,
    /// (key, cardinality - 1) of each container, keys ascending.
    heads: &'a [[u8; 4]],
    /// One bit a container: is it made of runs. Empty when none is.
    run_flags: &'a [u8],
    starts: Starts<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Starts<'a> {
    Header(&'a [[u8; 4]]),
    Found([usize; STARTS_FROM - 1]),
}

impl<'a> Portable<'a> {
    /// Reads the headers of `bytes`. Bytes after the last container are not looked at.
    ///
    /// # Errors
    /// [`StoreError::Truncated`] when a header does not fit, [`StoreError::Damaged`] on an unknown cookie, too many
    /// containers, or keys that do not ascend.
    pub fn open(bytes: impl Into<Bytes<'a>>) -> Result<Self, StoreError> {
        let bytes = bytes.into();
        let (count, run_flags, heads_at) = match read_u16(bytes, 0)? {
            COOKIE_PLAIN => {
                if read_u16(bytes, 2)? != 0 {
                    return Err(damaged(2));
                }
                let count = usize::from(read_u16(bytes, 4)?) | usize::from(read_u16(bytes, 6)?) << 16;
                if count > 1 << 16 {
                    return Err(damaged(4));
                }
                (count, Default::default(), 8)
            }
            COOKIE_RUNS => {
                let count = usize::from(read_u16(bytes, 2)?) + 1;
                let flags = read_slice(bytes, 4, count.div_ceil(8))?;
                (count, flags, 4 + flags.len())
            }
            _ => return Err(damaged(0)),
        };
        let heads = read_slice(bytes, heads_at, 4 * count)?.as_chunks().0;
        if let Some(i) = heads.windows(2).position(|pair| key_of(&pair[0]) >= key_of(&pair[1])) {
            return Err(damaged(heads_at + 4 * (i + 1)));
        }
        let body_at = heads_at + 4 * count;
        let mut portable = Self { bytes, heads, run_flags, starts: Starts::Found([0; STARTS_FROM - 1]) };
        portable.starts = if run_flags.is_empty() || count >= STARTS_FROM {
            Starts::Header(read_slice(bytes, body_at, 4 * count)?.as_chunks().0)
        } else {
            let mut found = [0; STARTS_FROM - 1];
            let mut at = body_at;
            for (index, start) in found.iter_mut().enumerate().take(count) {
                *start = at;
                at += portable.size_at(index, at)?;
            }
            Starts::Found(found)
        };
        Ok(portable)
    }

    /// Opens bytes that belong to one shard: as [`Self::open`], and no key may lie outside the shard.
    ///
    /// # Errors
    /// Those of [`Self::open`]; [`StoreError::Damaged`] for a key outside the shard.
    pub fn open_shard(bytes: impl Into<Bytes<'a>>) -> Result<Self, StoreError> {
        let portable = Self::open(bytes)?;
        match portable.heads.last() {
            Some(head) if key_of(head) >= SHARD_BLOCKS => Err(damaged(0)),
            _ => Ok(portable),
        }
    }

    /// The set in memory.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the containers are not what the format demands.
    pub fn decoded(&self) -> Result<RoaringBitmap, StoreError> {
        RoaringBitmap::deserialize_from(self.bytes.all()?).map_err(|_| damaged(0))
    }

    /// Number of containers.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether there is no container, and so no member.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Number of members, as the headers announce it.
    pub fn cardinality(&self) -> u64 {
        self.heads.iter().map(|head| u64::from(cardinality_of(head))).sum()
    }

    /// Keys of the containers, ascending.
    pub fn keys(&self) -> impl Iterator<Item = u16> + use<'a> {
        self.heads.iter().map(key_of)
    }

    /// Announced number of members in the container of `key`; 0 when there is none.
    pub fn cardinality_of(&self, key: u16) -> u32 {
        self.find(key).and_then(|i| self.heads.get(i)).map_or(0, cardinality_of)
    }

    /// The container of `key`, if there is one.
    ///
    /// # Errors
    /// [`StoreError::Truncated`] when the container does not fit into the bytes.
    #[inline]
    pub fn get(&self, key: u16) -> Result<Option<Container<'a>>, StoreError> {
        self.find(key).map(|index| self.container(index)).transpose()
    }

    /// Says that the container of `key` will be asked for soon.
    #[inline]
    pub fn expect(&self, key: u16) {
        if matches!(self.bytes, Bytes::Stored { .. })
            && let Some(index) = self.find(key)
            && let Ok(start) = self.start(index)
        {
            let len = if self.is_run(index) { 2 } else { self.size_of(index) };
            self.bytes.expect(start, len);
        }
    }

    /// A look at single members of block `key`.
    ///
    /// # Errors
    /// Those of [`Self::container`], for a container that is not a bitmap.
    pub fn probe(&self, key: u16) -> Result<Probe<'a>, StoreError> {
        let Some(index) = self.find(key) else { return Ok(Probe::Container(Container::Array(&[]))) };
        if self.is_run(index) || self.heads.get(index).is_none_or(|head| cardinality_of(head) <= ARRAY_MAX) {
            return self.container(index).map(Probe::Container);
        }
        let start = self.start(index)?;
        Ok(match self.bytes.peek(start, 8 * WORDS) {
            Some(bytes) => Probe::Bits(bytes),
            None => Probe::Stored(self.bytes, start),
        })
    }

    /// Where the container at position `index` begins.
    fn start(&self, index: usize) -> Result<usize, StoreError> {
        let start = match self.starts {
            Starts::Header(starts) => starts.get(index).map(|start| u32::from_le_bytes(*start) as usize),
            Starts::Found(starts) => starts.get(index).copied(),
        };
        start.ok_or(damaged(0))
    }

    /// The container at position `index` (not key), in ascending order of keys.
    ///
    /// # Errors
    /// [`StoreError::Truncated`] when there is no such container or it does not fit into the bytes.
    pub fn container(&self, index: usize) -> Result<Container<'a>, StoreError> {
        let Some(head) = self.heads.get(index) else {
            return Err(StoreError::Truncated { what: WHAT, at: self.bytes.len() });
        };
        let start = self.start(index)?;
        if self.is_run(index) {
            let runs = usize::from(read_u16(self.bytes, start)?);
            return Ok(Container::Run(read_slice(self.bytes, start + 2, 4 * runs)?.as_chunks().0));
        }
        let cardinality = cardinality_of(head);
        if cardinality <= ARRAY_MAX {
            let members = read_slice(self.bytes, start, 2 * cardinality as usize)?;
            return Ok(Container::Array(members.as_chunks().0));
        }
        let words = read_slice(self.bytes, start, 8 * WORDS)?.as_chunks().0;
        words.try_into().map(Container::Bitmap).map_err(|_| damaged(start))
    }

    /// Position of the container of `key`.
    #[inline]
    fn find(&self, key: u16) -> Option<usize> {
        // A dense set has its container in the place its key says.
        match self.heads.get(usize::from(key)) {
            Some(head) if key_of(head) == key => Some(usize::from(key)),
            _ => self.heads.binary_search_by_key(&key, key_of).ok(),
        }
    }

    fn is_run(&self, index: usize) -> bool {
        self.run_flags.get(index / 8).is_some_and(|flags| flags >> (index % 8) & 1 == 1)
    }

    /// Bytes of the container at `index`, known to start at `at`.
    fn size_at(&self, index: usize, at: usize) -> Result<usize, StoreError> {
        if self.is_run(index) {
            return Ok(2 + 4 * usize::from(read_u16(self.bytes, at)?));
        }
        Ok(self.size_of(index))
    }

    /// Bytes of the container at `index`, which is not made of runs.
    fn size_of(&self, index: usize) -> usize {
        let cardinality = self.heads.get(index).map_or(0, cardinality_of);
        if cardinality <= ARRAY_MAX { 2 * cardinality as usize } else { 8 * WORDS }
    }
}

/// See [`Portable::probe`].
#[derive(Debug, Clone, Copy)]
pub enum Probe<'a> {
    /// A container that was read whole.
    Container(Container<'a>),
    /// The bits of a bitmap container.
    Bits(&'a [u8]),
    /// A bitmap container of which only the bytes asked for are read, and where it begins.
    Stored(Bytes<'a>, usize),
}

impl Probe<'_> {
    /// Whether a member is there.
    ///
    /// # Errors
    /// Those of reading the byte that tells.
    #[inline]
    pub fn contains(&self, member: u16) -> Result<bool, StoreError> {
        let byte = match self {
            Self::Container(container) => return Ok(container.contains(member)),
            Self::Bits(bytes) => bytes.get(usize::from(member >> 3)),
            Self::Stored(bytes, start) => read_slice(*bytes, start + usize::from(member >> 3), 1)?.first(),
        };
        Ok(byte.is_some_and(|byte| byte >> (member & 7) & 1 == 1))
    }
}

impl Container<'_> {
    /// Whether a member is in it.
    pub fn contains(&self, member: u16) -> bool {
        match self {
            Self::Array(members) => members.binary_search_by_key(&member, |m| u16::from_le_bytes(*m)).is_ok(),
            Self::Bitmap(words) => {
                let word = u64::from_le_bytes(words[usize::from(member >> 6)]);
                word >> (member & 63) & 1 == 1
            }
            Self::Run(runs) => {
                let after = runs.partition_point(|run| ends(run).0 <= member);
                runs.get(after.wrapping_sub(1)).is_some_and(|run| member <= ends(run).1)
            }
        }
    }

    /// The members, ascending, if there are at most so many and the container does not list each bit.
    pub fn few(&self, most: usize) -> Option<Vec<u16>> {
        match self {
            Self::Array(members) if members.len() <= most => {
                let members: Vec<u16> = members.iter().map(|m| u16::from_le_bytes(*m)).collect();
                members.is_sorted_by(|a, b| a < b).then_some(members)
            }
            Self::Run(runs) if runs.len() <= most => {
                let mut members = Vec::new();
                for run in *runs {
                    let (first, last) = ends(run);
                    if members.last().is_some_and(|before| *before >= first)
                        || members.len() + usize::from(last.saturating_sub(first)) >= most
                    {
                        return None;
                    }
                    members.extend(first..=last);
                }
                Some(members)
            }
            _ => None,
        }
    }

    /// Whether the container is one run over the whole block.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Run([[0, 0, 0xff, 0xff]]))
    }
}

fn key_of(head: &[u8; 4]) -> u16 {
    u16::from_le_bytes([head[0], head[1]])
}

fn cardinality_of(head: &[u8; 4]) -> u32 {
    u32::from(u16::from_le_bytes([head[2], head[3]])) + 1
}

#[inline]
fn read_slice<'a>(bytes: Bytes<'a>, at: usize, len: usize) -> Result<&'a [u8], StoreError> {
    bytes.get(WHAT, at, len)
}

fn read_u16(bytes: Bytes<'_>, at: usize) -> Result<u16, StoreError> {
    match *read_slice(bytes, at, 2)? {
        [low, high] => Ok(u16::from_le_bytes([low, high])),
        _ => Err(damaged(at)),
    }
}

fn damaged(at: usize) -> StoreError {
    StoreError::Damaged { what: WHAT, at }
}
