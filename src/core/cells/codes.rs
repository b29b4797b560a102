//! The codes chunk: which one value each profile of a shard has, as a code, found by its offset.
//!
//! Version 1, little-endian: `u8 version = 1, u8 width, u16 0, u32 kinds`; `16 × u32`: how many offsets of each block of 2^16 have a
//! code; `kinds × u16`: the codes that occur, ascending; `kinds × u32`: how many offsets have each. Then the blocks, ascending, each in the
//! smaller of two forms, which its number of offsets decides:
//! a *list*, the offsets (u16, ascending) and then as many codes; or a *field*, a code for each of the 2^16 offsets. A block that nobody
//! has a code in takes no room. A code takes `width` bytes, one where every code of the shard is below 255, else two; in a field all bits
//! set mean none.
//!
//! The head alone tells how often each value occurs and where each block is, so that a reader may fetch it and then single blocks.

use super::delta::Change;
use crate::bitmap::{Block, Bytes, Portable, SHARD_BLOCKS, SHARD_WIDTH};
use crate::error::StoreError;
use std::collections::BTreeMap;
use std::ops::Range;

const VERSION: u8 = 1;
const WHAT: &str = "codes chunk";
/// Offsets of a block.
const BLOCK: usize = 1 << 16;
const BLOCKS: usize = SHARD_BLOCKS as usize;
/// No code: codes are smaller.
pub const NO_CODE: u16 = u16::MAX;
/// From this code on two bytes are needed.
const WIDE_FROM: u16 = u8::MAX as u16;

/// The head of a codes chunk, checked.
#[derive(Debug, Clone)]
pub struct CodesHead {
    width: usize,
    known: [u32; BLOCKS],
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
        let [version, _, _, _, kinds @ ..] = first.ok_or(StoreError::Truncated { what: WHAT, at: Self::FIRST })?;
        if *version != VERSION {
            return Err(StoreError::Version(*version));
        }
        match u32::from_le_bytes(*kinds) as usize {
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
        let (first, rest) = head.split_at(Self::FIRST);
        let width = match first {
            [_, width @ 1..=2, 0, 0, ..] => usize::from(*width),
            _ => return Err(damaged(1)),
        };
        let (table, rest) = rest.split_at(4 * BLOCKS);
        let mut known = [0; BLOCKS];
        for (known, bytes) in known.iter_mut().zip(table.as_chunks::<4>().0) {
            *known = u32::from_le_bytes(*bytes);
        }
        if known.iter().any(|known| *known > BLOCK as u32) {
            return Err(damaged(Self::FIRST));
        }
        let (codes, counts) = rest.split_at(rest.len() / 6 * 2);
        let codes = codes.as_chunks::<2>().0.iter().map(|code| u16::from_le_bytes(*code));
        let counts = counts.as_chunks::<4>().0.iter().map(|count| u32::from_le_bytes(*count));
        let codes: Vec<(u16, u32)> = codes.zip(counts).collect();
        let ascending = codes.is_sorted_by(|a, b| a.0 < b.0) && codes.iter().all(|(_, count)| *count > 0);
        let most = codes.last().map_or(NO_CODE, |(code, _)| *code);
        if !ascending || most == NO_CODE || width != width_of(most) {
            return Err(damaged(Self::FIRST + 4 * BLOCKS));
        }
        let all: u64 = codes.iter().map(|(_, count)| u64::from(*count)).sum();
        if all != known.iter().map(|known| u64::from(*known)).sum::<u64>() {
            return Err(damaged(Self::FIRST));
        }
        let mut starts = [end; BLOCKS + 1];
        let mut at = end;
        for (known, next) in known.iter().zip(starts.iter_mut().skip(1)) {
            at += block_length(*known, width);
            *next = at;
        }
        match at {
            _ if at > length => Err(StoreError::Truncated { what: WHAT, at }),
            _ if at < length => Err(damaged(at)),
            _ => Ok(Self { width, known, codes, starts }),
        }
    }

    /// The codes that occur, ascending, and how many offsets have each.
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

    /// Where in the chunk block `key` is; empty when it takes no room.
    pub fn place(&self, key: u16) -> Range<usize> {
        match self.starts.get(usize::from(key)..) {
            Some([start, end, ..]) => *start..*end,
            _ => 0..0,
        }
    }

    /// Block `key`, from the bytes at its [`Self::place`].
    ///
    /// # Errors
    /// [`StoreError::Truncated`] when these are other bytes.
    pub fn block<'a>(&self, key: u16, bytes: &'a [u8]) -> Result<CodesBlock<'a>, StoreError> {
        let known = self.known(key);
        let place = self.place(key);
        if bytes.len() != place.len() {
            return Err(StoreError::Truncated { what: WHAT, at: place.end });
        }
        let codes = |bytes: &'a [u8]| match self.width {
            1 => Codes::Narrow(bytes),
            _ => Codes::Wide(bytes.as_chunks::<2>().0),
        };
        Ok(if is_list(known, self.width) {
            let (offsets, rest) = bytes.split_at(2 * known as usize);
            CodesBlock::List { offsets: offsets.as_chunks::<2>().0, codes: codes(rest) }
        } else {
            CodesBlock::Field(codes(bytes))
        })
    }
}

/// Codes as they are stored.
#[derive(Debug, Clone, Copy)]
pub enum Codes<'a> {
    /// One byte each.
    Narrow(&'a [u8]),
    /// Two bytes each.
    Wide(&'a [[u8; 2]]),
}

impl Codes<'_> {
    /// The code at a place; [`NO_CODE`] for none.
    pub fn get(&self, at: usize) -> u16 {
        match self {
            Self::Narrow(codes) => codes.get(at).map_or(NO_CODE, |code| wide(*code)),
            Self::Wide(codes) => codes.get(at).map_or(NO_CODE, |code| u16::from_le_bytes(*code)),
        }
    }
}

fn wide(code: u8) -> u16 {
    if code == u8::MAX { NO_CODE } else { code.into() }
}

/// The codes of a block of 2^16 offsets. What is inside has not been checked.
#[derive(Debug, Clone, Copy)]
pub enum CodesBlock<'a> {
    /// Some offsets and the code of each.
    List {
        /// The offsets in the block, little-endian, ascending.
        offsets: &'a [[u8; 2]],
        /// Their codes.
        codes: Codes<'a>,
    },
    /// A code for every offset.
    Field(Codes<'a>),
}

impl CodesBlock<'_> {
    /// The code at an offset of the block; [`NO_CODE`] for none.
    fn get(&self, offset: u16) -> u16 {
        match self {
            Self::List { offsets, codes } => {
                let found = offsets.binary_search_by_key(&offset, |bytes| u16::from_le_bytes(*bytes));
                found.map_or(NO_CODE, |at| codes.get(at))
            }
            Self::Field(codes) => codes.get(offset.into()),
        }
    }

    /// Writes the code of each offset, [`NO_CODE`] for none.
    fn spread(&self, field: &mut [u16; BLOCK]) {
        match self {
            Self::List { offsets, codes } => {
                field.fill(NO_CODE);
                for (at, offset) in offsets.iter().enumerate() {
                    field[usize::from(u16::from_le_bytes(*offset))] = codes.get(at);
                }
            }
            Self::Field(Codes::Narrow(codes)) => {
                field.iter_mut().zip(*codes).for_each(|(place, code)| *place = wide(*code));
            }
            Self::Field(Codes::Wide(codes)) => {
                field.iter_mut().zip(*codes).for_each(|(place, code)| *place = u16::from_le_bytes(*code));
            }
        }
    }
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

    /// Block `key`.
    ///
    /// # Errors
    /// Those of reading the bytes.
    pub fn block(&self, key: u16) -> Result<CodesBlock<'a>, StoreError> {
        let place = self.head.place(key);
        self.head.block(key, self.bytes.get(WHAT, place.start, place.len())?)
    }

    /// The offsets that have a code, ascending, each with its code. Everything is checked against the head.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the blocks are not what the head says.
    pub fn cells(&self) -> Result<Vec<(u32, u16)>, StoreError> {
        let mut cells = Vec::with_capacity(self.head.count() as usize);
        let mut counts = BTreeMap::new();
        let mut field = Box::new([NO_CODE; BLOCK]);
        for key in 0..SHARD_BLOCKS {
            if self.head.known(key) == 0 {
                continue;
            }
            self.block(key)?.spread(&mut field);
            let before = cells.len();
            for (offset, code) in (u32::from(key) << 16..).zip(field.iter()).filter(|(_, code)| **code != NO_CODE) {
                cells.push((offset, *code));
                *counts.entry(*code).or_insert(0) += 1;
            }
            if cells.len() - before != self.head.known(key) as usize {
                return Err(self.damaged(key));
            }
        }
        // What a list repeats or leaves unsorted is not what its length says; a code that the head does not know, or knows more often, is
        // damage too.
        if counts.into_iter().eq(self.head.codes.iter().copied()) { Ok(cells) } else { Err(self.damaged(0)) }
    }

    fn damaged(&self, key: u16) -> StoreError {
        StoreError::Damaged { what: WHAT, at: self.head.place(key).start }
    }
}

/// Damage seen in block `key` of a chunk while it was read.
pub(crate) fn damaged(head: &CodesHead, key: u16) -> StoreError {
    StoreError::Damaged { what: WHAT, at: head.place(key).start }
}

fn head_length(kinds: usize) -> usize {
    CodesHead::FIRST + 4 * BLOCKS + 6 * kinds
}

fn width_of(most: u16) -> usize {
    if most < WIDE_FROM { 1 } else { 2 }
}

/// Whether a list of so many offsets is smaller than a field.
fn is_list(known: u32, width: usize) -> bool {
    known as usize * (2 + width) < BLOCK * width
}

fn block_length(known: u32, width: usize) -> usize {
    if is_list(known, width) { known as usize * (2 + width) } else { BLOCK * width }
}

/// A chunk from the code of each offset, [`NO_CODE`] for none; `None` when there is no code at all.
///
/// # Errors
/// [`StoreError::Offset`] for more offsets than a shard has.
pub fn encode(codes: &[u16]) -> Result<Option<Vec<u8>>, StoreError> {
    if codes.len() > SHARD_WIDTH as usize {
        return Err(StoreError::Offset(codes.len() as u32));
    }
    Ok(written(codes))
}

/// The chunk of no more codes than a shard has offsets.
fn written(codes: &[u16]) -> Option<Vec<u8>> {
    let mut counts = vec![0u32; usize::from(NO_CODE) + 1];
    let mut known = [0; BLOCKS];
    for (codes, known) in codes.chunks(BLOCK).zip(&mut known) {
        for code in codes {
            counts[usize::from(*code)] += 1;
            *known += u32::from(*code != NO_CODE);
        }
    }
    let counts = (0..NO_CODE).zip(counts).filter(|(_, count)| *count > 0).collect();
    let (mut bytes, width) = head(&counts, &known)?;
    for (codes, known) in codes.chunks(BLOCK).zip(known) {
        write_block(codes, known, width, &mut bytes);
    }
    Some(bytes)
}

/// Makes a codes chunk of sets that exclude each other.
#[derive(Debug)]
pub struct CodesBuilder {
    codes: Vec<u16>,
}

impl Default for CodesBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl CodesBuilder {
    /// Nobody has a code.
    pub fn new() -> Self {
        Self { codes: vec![NO_CODE; SHARD_WIDTH as usize] }
    }

    /// Gives the members of a set chunk a code.
    ///
    /// # Errors
    /// Those of reading the set; [`StoreError::Code`] for a member that has a code already, and for 65,535.
    pub fn add(&mut self, code: u16, set: &[u8]) -> Result<(), StoreError> {
        let set = Portable::open_shard(set)?;
        let mut block = Block::new();
        for (index, key) in set.keys().enumerate() {
            block.set_container(set.container(index)?);
            let first = usize::from(key) << 16;
            for member in block.iter() {
                let offset = first + usize::from(member);
                match self.codes.get_mut(offset) {
                    Some(place) if *place == NO_CODE && code != NO_CODE => *place = code,
                    _ => return Err(StoreError::Code(offset as u32)),
                }
            }
        }
        Ok(())
    }

    /// The chunk; `None` when nobody has a code.
    pub fn chunk(&self) -> Option<Vec<u8>> {
        written(&self.codes)
    }
}

/// The head of a chunk with these codes and blocks, and the width of a code; `None` when there is no code.
fn head(counts: &BTreeMap<u16, u32>, known: &[u32; BLOCKS]) -> Option<(Vec<u8>, usize)> {
    let width = width_of(*counts.last_key_value()?.0);
    let blocks: usize = known.iter().map(|known| block_length(*known, width)).sum();
    let mut bytes = Vec::with_capacity(head_length(counts.len()) + blocks);
    bytes.extend([VERSION, width as u8, 0, 0]);
    bytes.extend((counts.len() as u32).to_le_bytes());
    bytes.extend(known.iter().flat_map(|known| known.to_le_bytes()));
    bytes.extend(counts.keys().flat_map(|code| code.to_le_bytes()));
    bytes.extend(counts.values().flat_map(|count| count.to_le_bytes()));
    Some((bytes, width))
}

/// Writes a block of which `known` offsets have a code that fits the width; offsets that `codes` ends before have none.
fn write_block(codes: &[u16], known: u32, width: usize, bytes: &mut Vec<u8>) {
    if known == 0 {
        return;
    }
    let code = |code: u16, bytes: &mut Vec<u8>| match width {
        // NO_CODE becomes the narrow one.
        1 => bytes.push(code as u8),
        _ => bytes.extend(code.to_le_bytes()),
    };
    if is_list(known, width) {
        let present = || (0u16..=u16::MAX).zip(codes).filter(|(_, code)| **code != NO_CODE);
        present().for_each(|(offset, _)| bytes.extend(offset.to_le_bytes()));
        present().for_each(|(_, one)| code(*one, bytes));
    } else {
        codes.iter().for_each(|one| code(*one, bytes));
        (codes.len()..BLOCK).for_each(|_| code(NO_CODE, bytes));
    }
}

/// The chunk that `base` becomes with changes (n, v): a profile with a code is the cell (1, code), without one (0, 0). Blocks that nothing
/// changes in are copied.
pub(super) fn fold_codes(base: Option<&[u8]>, changes: &[Change]) -> Result<Option<Vec<u8>>, StoreError> {
    let base = base.map(CodesChunk::open).transpose()?;
    let codes = base.iter().flat_map(|base| base.head.codes.iter().copied());
    let mut counts: BTreeMap<u16, u32> = codes.collect();
    let mut known = base.as_ref().map_or([0; BLOCKS], |base| base.head.known);
    let mut changed: Vec<(u32, u16)> = Vec::with_capacity(changes.len());
    for change in changes {
        let key = (change.offset >> 16) as u16;
        let before = match &base {
            Some(base) => base.block(key)?.get(change.offset as u16),
            None => NO_CODE,
        };
        let after = after(before, change)?;
        if before == after {
            continue;
        }
        let of_block = known.get_mut(usize::from(key)).ok_or(StoreError::Offset(change.offset))?;
        if before != NO_CODE {
            let count = counts.get_mut(&before).ok_or(StoreError::Code(change.offset))?;
            *count = count.checked_sub(1).ok_or(StoreError::Code(change.offset))?;
            *of_block = of_block.checked_sub(1).ok_or(StoreError::Code(change.offset))?;
        }
        if after != NO_CODE {
            *counts.entry(after).or_insert(0) += 1;
            *of_block += 1;
        }
        changed.push((change.offset, after));
    }
    counts.retain(|_, count| *count > 0);
    let Some((mut bytes, width)) = head(&counts, &known) else {
        return Ok(None);
    };
    let mut groups = changed.chunk_by(|a, b| a.0 >> 16 == b.0 >> 16).peekable();
    let mut field = Box::new([NO_CODE; BLOCK]);
    for (key, known) in (0..SHARD_BLOCKS).zip(known) {
        let changed = groups.next_if(|group| group.first().is_some_and(|(offset, _)| offset >> 16 == u32::from(key)));
        match (&base, changed) {
            (Some(base), None) if base.head.width == width => {
                let place = base.head.place(key);
                bytes.extend(base.bytes.get(WHAT, place.start, place.len())?);
                continue;
            }
            (None, None) => continue,
            (Some(base), _) if base.head.known(key) > 0 => base.block(key)?.spread(&mut field),
            _ => field.fill(NO_CODE),
        }
        for (offset, code) in changed.unwrap_or_default() {
            field[usize::from(*offset as u16)] = *code;
        }
        let fits = |code: &&u16| **code != NO_CODE && width_of(**code) <= width;
        if field.iter().filter(fits).count() != known as usize {
            let place = base.as_ref().map_or(0, |base| base.head.place(key).start);
            return Err(StoreError::Damaged { what: WHAT, at: place });
        }
        write_block(field.as_slice(), known, width, &mut bytes);
    }
    Ok(Some(bytes))
}

/// The code that a change leaves.
fn after(before: u16, change: &Change) -> Result<u16, StoreError> {
    let (n, v) = if before == NO_CODE { (0, 0) } else { (1, i128::from(before)) };
    match (n + change.n, v + change.v) {
        (0, 0) => Ok(NO_CODE),
        (1, v) => u16::try_from(v).ok().filter(|code| *code != NO_CODE).ok_or(StoreError::Code(change.offset)),
        _ => Err(StoreError::Code(change.offset)),
    }
}
