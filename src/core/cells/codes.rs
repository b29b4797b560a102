//! The codes chunk: which one value each profile of a shard has, as a code, found by its offset.
//!
//! A chunk has a list of the codes that occur, and the blocks name them by their *rank*, the place in this list. The most frequent come first when
//! a chunk is made anew, so that one byte a profile does nearly always, whatever the codes are.
//!
//! Version 1, little-endian: `u8 version = 1, u8 0, u16 0, u32 kinds`; `16 × u32`: how many offsets of each block of 2^16 have a code;
//! `16 × u32`: how many of them are rare, with a rank from 254 on; `kinds × u16`: the codes, by rank; `kinds × u32`: how many offsets have each. Then
//! the blocks, ascending, each in the smallest of three forms, which its two numbers decide:
//! - a *list*, the offsets (u16, ascending) and then as many bytes;
//! - a *field*, a byte for each of the 2^16 offsets;
//! - a *wide field*, a rank (u16) for each of the 2^16 offsets, all bits set for none.
//!
//! A byte is a rank, 0xFE a rare one, 0xFF (in a field) none. After a list or a field come the offsets of the rare (u16, ascending) and then as many
//! ranks (u16). A block that nobody has a code in takes no room.
//!
//! The head alone tells how often each value occurs and where each block is, so that a reader may fetch it and then single blocks.

mod write;

pub(super) use write::fold_codes;
pub use write::{CodesBuilder, encode};

use crate::bitmap::{Bytes, SHARD_BLOCKS};
use crate::error::StoreError;
use std::ops::Range;

const VERSION: u8 = 1;
const WHAT: &str = "codes chunk";
/// Offsets of a block.
const BLOCK: usize = 1 << 16;
const BLOCKS: usize = SHARD_BLOCKS as usize;
/// No code: codes are smaller. No rank: neither has a chunk as many.
pub const NO_CODE: u16 = u16::MAX;
/// The first rank that a byte does not hold.
pub(crate) const RARE_FROM: u16 = 254;
/// The byte of a rare rank.
pub(crate) const RARE: u8 = 254;
/// The byte of no rank.
pub(crate) const NONE: u8 = 255;

/// How a block is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    List,
    Field,
    Wide,
}

/// The smallest form of a block, and its length: `known` offsets have a code, `rare` of them a rank from [`RARE_FROM`] on.
fn form(known: u32, rare: u32) -> (Form, usize) {
    let (known, rare) = (known as usize, rare as usize);
    let forms = [(Form::List, 3 * known + 4 * rare), (Form::Field, BLOCK + 4 * rare), (Form::Wide, 2 * BLOCK)];
    forms.into_iter().min_by_key(|(_, length)| *length).unwrap_or((Form::Wide, 2 * BLOCK))
}

/// The head of a codes chunk, checked.
#[derive(Debug, Clone)]
pub struct CodesHead {
    known: [u32; BLOCKS],
    rare: [u32; BLOCKS],
    codes: Vec<(u16, u32)>,
    /// Where each block begins, and where the last one ends.
    starts: [usize; BLOCKS + 1],
}

impl CodesHead {
    /// Bytes that tell how long the head is.
    pub const FIRST: usize = 8;

    /// The bytes of the head, from the first [`Self::FIRST`] of them.
    ///
    /// # Errors
    /// [`StoreError::Truncated`], [`StoreError::Version`], and [`StoreError::Damaged`] for more codes than there can be.
    pub fn length(bytes: &[u8]) -> Result<usize, StoreError> {
        let first = bytes.first_chunk::<{ Self::FIRST }>();
        let [version, reserved @ .., a, b, c, d] =
            first.ok_or(StoreError::Truncated { what: WHAT, at: Self::FIRST })?;
        if *version != VERSION {
            return Err(StoreError::Version(*version));
        }
        match u32::from_le_bytes([*a, *b, *c, *d]) as usize {
            _ if *reserved != [0; 3] => Err(StoreError::Damaged { what: WHAT, at: 1 }),
            kinds @ 1..=0xFFFF => Ok(head_length(kinds)),
            _ => Err(StoreError::Damaged { what: WHAT, at: 4 }),
        }
    }

    /// Reads the head at the beginning of `bytes`, of a chunk of `length` bytes.
    ///
    /// # Errors
    /// Those of [`Self::length`]; [`StoreError::Damaged`] when it contradicts itself or the length.
    pub fn open(bytes: &[u8], length: usize) -> Result<Self, StoreError> {
        let damaged = |at| StoreError::Damaged { what: WHAT, at };
        let end = Self::length(bytes)?;
        let head = bytes.get(..end).ok_or(StoreError::Truncated { what: WHAT, at: end })?;
        let (_, rest) = head.split_at(Self::FIRST);
        let (known, rest) = rest.split_at(4 * BLOCKS);
        let (rare, rest) = rest.split_at(4 * BLOCKS);
        let (known, rare) = (table(known), table(rare));
        if known.iter().zip(&rare).any(|(known, rare)| *known > BLOCK as u32 || rare > known) {
            return Err(damaged(Self::FIRST));
        }
        let (codes, counts) = rest.split_at(rest.len() / 6 * 2);
        let codes = codes.as_chunks::<2>().0.iter().map(|code| u16::from_le_bytes(*code));
        let counts = counts.as_chunks::<4>().0.iter().map(|count| u32::from_le_bytes(*count));
        let codes: Vec<(u16, u32)> = codes.zip(counts).collect();
        if !differ(&codes) {
            return Err(damaged(Self::FIRST + 8 * BLOCKS));
        }
        let all = |counts: &[u32; BLOCKS]| counts.iter().map(|count| u64::from(*count)).sum::<u64>();
        let of = |codes: &[(u16, u32)]| codes.iter().map(|(_, count)| u64::from(*count)).sum::<u64>();
        let of_rare = codes.get(usize::from(RARE_FROM)..).map_or(0, of);
        if all(&known) == 0 || all(&known) != of(&codes) || all(&rare) != of_rare {
            return Err(damaged(Self::FIRST));
        }
        let starts = starts(end, &known, &rare);
        match starts.last().copied().unwrap_or(end) {
            at if at > length => Err(StoreError::Truncated { what: WHAT, at }),
            at if at < length => Err(damaged(at)),
            _ => Ok(Self { known, rare, codes, starts }),
        }
    }

    /// The codes, by rank, and how many offsets have each: none of a code that has gone since the ranks were given.
    pub fn codes(&self) -> &[(u16, u32)] {
        &self.codes
    }

    /// How many offsets have a code.
    pub fn count(&self) -> u32 {
        self.known.iter().sum()
    }

    /// How many offsets of block `key` have a code.
    pub fn known(&self, key: u16) -> u32 {
        self.known.get(usize::from(key)).copied().unwrap_or(0)
    }

    /// How many offsets of block `key` have a rank from [`RARE_FROM`] on.
    pub fn rare(&self, key: u16) -> u32 {
        self.rare.get(usize::from(key)).copied().unwrap_or(0)
    }

    /// Where in the chunk block `key` is; empty when it takes no room.
    pub fn place(&self, key: u16) -> Range<usize> {
        match self.starts.get(usize::from(key)..) {
            Some([start, end, ..]) => *start..*end,
            _ => 0..0,
        }
    }

    /// Where in the chunk the rare offsets of block `key` are, behind the rest of it.
    fn place_of_rare(&self, key: u16) -> Range<usize> {
        let place = self.place(key);
        match form(self.known(key), self.rare(key)).0 {
            Form::Wide => place.end..place.end,
            Form::List | Form::Field => place.end.saturating_sub(4 * self.rare(key) as usize)..place.end,
        }
    }
}

fn table(bytes: &[u8]) -> [u32; BLOCKS] {
    let mut table = [0; BLOCKS];
    for (number, bytes) in table.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *number = u32::from_le_bytes(*bytes);
    }
    table
}

/// Whether no code comes twice, and each is one.
fn differ(codes: &[(u16, u32)]) -> bool {
    let mut seen = vec![0u64; 1 << 10];
    codes.iter().all(|(code, _)| {
        let (word, bit) = (&mut seen[usize::from(code >> 6)], 1 << (code & 63));
        let new = *word & bit == 0 && *code != NO_CODE;
        *word |= bit;
        new
    })
}

fn starts(end: usize, known: &[u32; BLOCKS], rare: &[u32; BLOCKS]) -> [usize; BLOCKS + 1] {
    let mut starts = [end; BLOCKS + 1];
    let mut at = end;
    for ((known, rare), next) in known.iter().zip(rare).zip(starts.iter_mut().skip(1)) {
        at += form(*known, *rare).1;
        *next = at;
    }
    starts
}

/// The ranks of a block of 2^16 offsets, but for the rare ones. What is inside has not been checked.
#[derive(Debug, Clone, Copy)]
pub enum CodesBlock<'a> {
    /// Some offsets and the byte of each.
    List {
        /// The offsets in the block, little-endian, ascending.
        offsets: &'a [[u8; 2]],
        /// Their ranks, or [`RARE`].
        ranks: &'a [u8],
    },
    /// A rank for every offset, or [`RARE`], or [`NONE`].
    Field(&'a [u8]),
    /// A rank for every offset, little-endian, or [`NO_CODE`]. None is rare.
    Wide(&'a [[u8; 2]]),
}

/// The offsets of a block whose rank is from [`RARE_FROM`] on. What is inside has not been checked.
#[derive(Debug, Clone, Copy)]
pub struct Rare<'a> {
    /// The offsets in the block, little-endian, ascending.
    pub offsets: &'a [[u8; 2]],
    /// The rank of each.
    pub ranks: &'a [[u8; 2]],
}

impl Rare<'_> {
    /// The offsets, each with its rank.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u16)> + '_ {
        self.offsets
            .iter()
            .zip(self.ranks)
            .map(|(offset, rank)| (u16::from_le_bytes(*offset), u16::from_le_bytes(*rank)))
    }
}

fn find(offsets: &[[u8; 2]], offset: u16) -> Option<usize> {
    offsets.binary_search_by_key(&offset, |bytes| u16::from_le_bytes(*bytes)).ok()
}

/// A codes chunk whose head has been checked; the blocks stay where they are.
#[derive(Debug, Clone)]
pub struct CodesChunk<'a> {
    head: CodesHead,
    bytes: Bytes<'a>,
}

impl<'a> CodesChunk<'a> {
    /// Reads the head of a chunk.
    ///
    /// # Errors
    /// Those of [`CodesHead::open`].
    pub fn open(bytes: impl Into<Bytes<'a>>) -> Result<Self, StoreError> {
        let bytes = bytes.into();
        let length = CodesHead::length(bytes.get(WHAT, 0, CodesHead::FIRST)?)?;
        Ok(Self { head: CodesHead::open(bytes.get(WHAT, 0, length)?, bytes.len())?, bytes })
    }

    /// Its head.
    pub fn head(&self) -> &CodesHead {
        &self.head
    }

    /// Block `key`, without its rare offsets.
    ///
    /// # Errors
    /// Those of reading the bytes.
    pub fn block(&self, key: u16) -> Result<CodesBlock<'a>, StoreError> {
        let known = self.head.known(key);
        let (start, end) = (self.head.place(key).start, self.head.place_of_rare(key).start);
        let bytes = self.bytes.get(WHAT, start, end.saturating_sub(start))?;
        Ok(match form(known, self.head.rare(key)).0 {
            Form::List => {
                let (offsets, ranks) = bytes.split_at(2 * known as usize);
                CodesBlock::List { offsets: offsets.as_chunks::<2>().0, ranks }
            }
            Form::Field => CodesBlock::Field(bytes),
            Form::Wide => CodesBlock::Wide(bytes.as_chunks::<2>().0),
        })
    }

    /// The rare offsets of block `key`.
    ///
    /// # Errors
    /// Those of reading the bytes.
    pub fn rare(&self, key: u16) -> Result<Rare<'a>, StoreError> {
        let place = self.head.place_of_rare(key);
        let bytes = self.bytes.get(WHAT, place.start, place.len())?;
        let (offsets, ranks) = bytes.split_at(bytes.len() / 2);
        Ok(Rare { offsets: offsets.as_chunks::<2>().0, ranks: ranks.as_chunks::<2>().0 })
    }

    /// The rank at an offset of block `key`; [`NO_CODE`] for none.
    fn rank(&self, key: u16, offset: u16) -> Result<u16, StoreError> {
        let byte = match self.block(key)? {
            CodesBlock::List { offsets, ranks } => match find(offsets, offset) {
                None => return Ok(NO_CODE),
                // Nothing that is listed has no rank.
                Some(at) => {
                    ranks.get(at).copied().filter(|rank| *rank != NONE).ok_or_else(|| damaged(&self.head, key))?
                }
            },
            CodesBlock::Field(ranks) => ranks.get(usize::from(offset)).copied().unwrap_or(NONE),
            CodesBlock::Wide(ranks) => {
                return Ok(ranks.get(usize::from(offset)).map_or(NO_CODE, |rank| u16::from_le_bytes(*rank)));
            }
        };
        match byte {
            NONE => Ok(NO_CODE),
            RARE => {
                let rare = self.rare(key)?;
                let rank = find(rare.offsets, offset).and_then(|at| rare.ranks.get(at));
                rank.map(|rank| u16::from_le_bytes(*rank)).ok_or_else(|| damaged(&self.head, key))
            }
            rank => Ok(rank.into()),
        }
    }

    /// The code at an offset of block `key`; [`NO_CODE`] for none.
    fn code(&self, key: u16, offset: u16) -> Result<u16, StoreError> {
        match self.rank(key, offset)? {
            NO_CODE => Ok(NO_CODE),
            rank => {
                self.head.codes.get(usize::from(rank)).map(|(code, _)| *code).ok_or_else(|| damaged(&self.head, key))
            }
        }
    }

    /// Writes the rank of each offset of block `key`, [`NO_CODE`] for none. The block is checked: what it holds is what its form says, and as many of
    /// each kind as the head says.
    fn spread(&self, key: u16, field: &mut [u16; BLOCK]) -> Result<(), StoreError> {
        // Ranks are smaller than this one, and an offset is looked at once.
        const LATER: u16 = NO_CODE - 1;
        let wide = |byte: u8| match byte {
            NONE => NO_CODE,
            RARE => LATER,
            rank => rank.into(),
        };
        let mut sound = true;
        match self.block(key)? {
            CodesBlock::List { offsets, ranks } => {
                field.fill(NO_CODE);
                sound = offsets.is_sorted_by_key(|offset| u16::from_le_bytes(*offset));
                for (offset, rank) in offsets.iter().zip(ranks) {
                    field[usize::from(u16::from_le_bytes(*offset))] = wide(*rank);
                }
            }
            CodesBlock::Field(ranks) => field.iter_mut().zip(ranks).for_each(|(place, rank)| *place = wide(*rank)),
            CodesBlock::Wide(ranks) => {
                field.iter_mut().zip(ranks).for_each(|(place, rank)| *place = u16::from_le_bytes(*rank));
            }
        }
        let count = |kind: fn(u16) -> bool, field: &[u16; BLOCK]| field.iter().filter(|rank| kind(**rank)).count();
        sound &= count(|rank| rank != NO_CODE, field) == self.head.known(key) as usize;
        sound &= count(|rank| rank >= RARE_FROM && rank != NO_CODE, field) == self.head.rare(key) as usize;
        // As many as are marked are listed: when each is at a mark, every mark has its rank.
        let mut previous = None;
        for (offset, rank) in self.rare(key)?.iter() {
            let place = &mut field[usize::from(offset)];
            sound &= previous < Some(offset) && *place == LATER && rank >= RARE_FROM;
            previous = Some(offset);
            *place = rank;
        }
        let kinds = self.head.codes.len();
        sound &= field.iter().all(|rank| usize::from(*rank) < kinds || *rank == NO_CODE);
        if sound { Ok(()) } else { Err(damaged(&self.head, key)) }
    }

    /// The offsets that have a code, ascending, each with its code. Everything is checked against the head.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the blocks are not what the head says.
    pub fn cells(&self) -> Result<Vec<(u32, u16)>, StoreError> {
        let mut cells = Vec::with_capacity(self.head.count() as usize);
        let mut counts = vec![0u32; self.head.codes.len()];
        let mut field = Box::new([NO_CODE; BLOCK]);
        for key in (0..SHARD_BLOCKS).filter(|key| self.head.known(*key) > 0) {
            self.spread(key, &mut field)?;
            for (offset, rank) in (u32::from(key) << 16..).zip(field.iter()).filter(|(_, rank)| **rank != NO_CODE) {
                let code = self.head.codes.get(usize::from(*rank)).zip(counts.get_mut(usize::from(*rank)));
                let ((code, _), count) = code.ok_or_else(|| damaged(&self.head, key))?;
                cells.push((offset, *code));
                *count += 1;
            }
        }
        let agreed = counts.iter().eq(self.head.codes.iter().map(|(_, count)| count));
        if agreed { Ok(cells) } else { Err(damaged(&self.head, 0)) }
    }
}

/// Damage seen in block `key` of a chunk while it was read.
pub(crate) fn damaged(head: &CodesHead, key: u16) -> StoreError {
    StoreError::Damaged { what: WHAT, at: head.place(key).start }
}

fn head_length(kinds: usize) -> usize {
    CodesHead::FIRST + 8 * BLOCKS + 6 * kinds
}
