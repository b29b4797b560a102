//! Writing codes chunks: of the codes of a shard, of sets that exclude each other, of a chunk and changes.

use super::{
    BLOCK, BLOCKS, CodesChunk, Form, NO_CODE, NONE, RARE, RARE_FROM, VERSION, WHAT, damaged, form, head_length,
};
use crate::bitmap::{Block, Portable, SHARD_BLOCKS, SHARD_WIDTH};
use crate::cells::delta::Change;
use crate::error::StoreError;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// So many offsets of a shard are rare for no reason but the order of the ranks before folding orders them anew.
const TOO_RARE: u32 = 1 << 16;

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
    codes.iter().for_each(|code| counts[usize::from(*code)] += 1);
    let mut ranked: Vec<(u16, u32)> = (0..NO_CODE).zip(counts).filter(|(_, count)| *count > 0).collect();
    ranked.sort_by_key(|(code, count)| (Reverse(*count), *code));
    let mut rank_of = vec![NO_CODE; usize::from(NO_CODE) + 1];
    ranked.iter().zip(0..).for_each(|((code, _), rank)| rank_of[usize::from(*code)] = rank);
    let (mut known, mut rare) = ([0; BLOCKS], [0; BLOCKS]);
    for ((codes, known), rare) in codes.chunks(BLOCK).zip(&mut known).zip(&mut rare) {
        for code in codes {
            let rank = rank_of[usize::from(*code)];
            *known += u32::from(rank != NO_CODE);
            *rare += u32::from(rank != NO_CODE && rank >= RARE_FROM);
        }
    }
    let mut bytes = head(&ranked, &known, &rare)?;
    let mut field = Box::new([NO_CODE; BLOCK]);
    for ((codes, known), rare) in codes.chunks(BLOCK).zip(known).zip(rare) {
        field.fill(NO_CODE);
        field.iter_mut().zip(codes).for_each(|(place, code)| *place = rank_of[usize::from(*code)]);
        write_block(&field, known, rare, &mut bytes);
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

/// The head of a chunk with these codes and blocks, with room for the blocks; `None` when nobody has a code.
fn head(codes: &[(u16, u32)], known: &[u32; BLOCKS], rare: &[u32; BLOCKS]) -> Option<Vec<u8>> {
    if known.iter().all(|known| *known == 0) {
        return None;
    }
    let blocks: usize = known.iter().zip(rare).map(|(known, rare)| form(*known, *rare).1).sum();
    let mut bytes = Vec::with_capacity(head_length(codes.len()) + blocks);
    bytes.extend([VERSION, 0, 0, 0]);
    bytes.extend((codes.len() as u32).to_le_bytes());
    bytes.extend(known.iter().chain(rare).flat_map(|count| count.to_le_bytes()));
    bytes.extend(codes.iter().flat_map(|(code, _)| code.to_le_bytes()));
    bytes.extend(codes.iter().flat_map(|(_, count)| count.to_le_bytes()));
    Some(bytes)
}

/// Writes a block: `known` offsets have a rank, `rare` of them one from [`RARE_FROM`] on.
fn write_block(field: &[u16; BLOCK], known: u32, rare: u32, bytes: &mut Vec<u8>) {
    let form = form(known, rare).0;
    let present = || (0u16..=u16::MAX).zip(field).filter(|(_, rank)| **rank != NO_CODE);
    let byte = |rank: u16| match rank {
        NO_CODE => NONE,
        RARE_FROM.. => RARE,
        rank => rank as u8,
    };
    match form {
        Form::List => {
            present().for_each(|(offset, _)| bytes.extend(offset.to_le_bytes()));
            bytes.extend(present().map(|(_, rank)| byte(*rank)));
        }
        Form::Field => bytes.extend(field.iter().map(|rank| byte(*rank))),
        Form::Wide => bytes.extend(field.iter().flat_map(|rank| rank.to_le_bytes())),
    }
    if form != Form::Wide && rare > 0 {
        let rare = || present().filter(|(_, rank)| **rank >= RARE_FROM);
        rare().for_each(|(offset, _)| bytes.extend(offset.to_le_bytes()));
        rare().for_each(|(_, rank)| bytes.extend(rank.to_le_bytes()));
    }
}

/// The chunk that `base` becomes with changes (n, v): a profile with a code is the cell (1, code), without one (0, 0). The ranks stay and new codes come
/// behind them, so that blocks that nothing changes in are copied; they are given anew when there is no base, or too much is rare.
pub(in crate::cells) fn fold_codes(base: Option<&[u8]>, changes: &[Change]) -> Result<Option<Vec<u8>>, StoreError> {
    let base = base.map(CodesChunk::open).transpose()?;
    let mut changed: Vec<(u32, u16)> = Vec::with_capacity(changes.len());
    for change in changes {
        let before = match &base {
            Some(base) => base.code((change.offset >> 16) as u16, change.offset as u16)?,
            None => NO_CODE,
        };
        let after = after(before, change)?;
        if before != after {
            changed.push((change.offset, after));
        }
    }
    match base {
        Some(base) => match recoded(&base, &changed)? {
            Recoded::Chunk(bytes) => Ok(bytes),
            Recoded::TooRare => anew(&base.cells()?, &changed),
        },
        None => anew(&[], &changed),
    }
}

/// A chunk of cells, and of others in place of some, with ranks of its own.
fn anew(cells: &[(u32, u16)], changed: &[(u32, u16)]) -> Result<Option<Vec<u8>>, StoreError> {
    let mut codes = vec![NO_CODE; SHARD_WIDTH as usize];
    for (offset, code) in cells.iter().chain(changed) {
        *codes.get_mut(*offset as usize).ok_or(StoreError::Offset(*offset))? = *code;
    }
    Ok(written(&codes))
}

enum Recoded {
    Chunk(Option<Vec<u8>>),
    TooRare,
}

/// The chunk that `base` becomes when some offsets, ascending, have other codes than before.
fn recoded(base: &CodesChunk<'_>, changed: &[(u32, u16)]) -> Result<Recoded, StoreError> {
    let (mut codes, mut known, mut rare) = (base.head.codes.clone(), base.head.known, base.head.rare);
    let mut ranks: BTreeMap<u16, u16> = codes.iter().zip(0..).map(|((code, _), rank)| (*code, rank)).collect();
    let mut of_ranks: Vec<(u32, u16)> = Vec::with_capacity(changed.len());
    for (offset, code) in changed {
        let key = (offset >> 16) as u16;
        let unsound = || damaged(&base.head, key);
        let (known, rare) = known.get_mut(usize::from(key)).zip(rare.get_mut(usize::from(key))).ok_or_else(unsound)?;
        let before = base.rank(key, *offset as u16)?;
        if before != NO_CODE {
            let (_, count) = codes.get_mut(usize::from(before)).ok_or_else(unsound)?;
            *count = count.checked_sub(1).ok_or_else(unsound)?;
            *known = known.checked_sub(1).ok_or_else(unsound)?;
            *rare = rare.checked_sub(u32::from(before >= RARE_FROM)).ok_or_else(unsound)?;
        }
        let mut rank = NO_CODE;
        if *code != NO_CODE {
            rank = *ranks.entry(*code).or_insert_with(|| {
                codes.push((*code, 0));
                (codes.len() - 1) as u16
            });
            let (_, count) = codes.get_mut(usize::from(rank)).ok_or_else(unsound)?;
            *count += 1;
            *known += 1;
            *rare += u32::from(rank >= RARE_FROM);
        }
        of_ranks.push((*offset, rank));
    }
    if rare.iter().sum::<u32>() >= least_rare(&codes) + TOO_RARE {
        return Ok(Recoded::TooRare);
    }
    let Some(mut bytes) = head(&codes, &known, &rare) else {
        return Ok(Recoded::Chunk(None));
    };
    let mut groups = of_ranks.chunk_by(|a, b| a.0 >> 16 == b.0 >> 16).peekable();
    let mut field = Box::new([NO_CODE; BLOCK]);
    for ((key, known), rare) in (0..SHARD_BLOCKS).zip(known).zip(rare) {
        let changed = groups.next_if(|group| group.first().is_some_and(|(offset, _)| offset >> 16 == u32::from(key)));
        let Some(changed) = changed else {
            let place = base.head.place(key);
            bytes.extend(base.bytes.get(WHAT, place.start, place.len())?);
            continue;
        };
        base.spread(key, &mut field)?;
        for (offset, rank) in changed {
            field[usize::from(*offset as u16)] = *rank;
        }
        write_block(&field, known, rare, &mut bytes);
    }
    Ok(Recoded::Chunk(Some(bytes)))
}

/// How many offsets are rare when the ranks are given by frequency.
fn least_rare(codes: &[(u16, u32)]) -> u32 {
    let mut counts: Vec<u32> = codes.iter().map(|(_, count)| *count).collect();
    counts.sort_unstable_by_key(|count| Reverse(*count));
    counts.iter().skip(RARE_FROM.into()).sum()
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
