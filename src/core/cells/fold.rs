//! Pending changes into chunks.

use super::codes::fold_codes;
use super::delta::{self, Change};
use super::{Encoding, NumberChunk, number};
use crate::bitmap::{Block, Portable, append_block};
use crate::error::StoreError;
use roaring::RoaringBitmap;

/// The chunk that `base` becomes when `deltas` are added to it, or `None` when no profile is left in it.
///
/// A cell is present if its n is above zero after the addition; what a cell that is not present summed to is dropped
/// with it. The members of a set count as n = 1. Runs are compressed as runs. Of codes a cell is (1, code) or nothing.
///
/// # Errors
/// Those of reading `base` and `deltas`; [`StoreError::Overflow`] when the n or v of a present cell leaves 64 bits;
/// [`StoreError::Code`] when a cell comes to more than one code, or to part of one.
pub fn fold<'a>(
    encoding: Encoding,
    base: Option<&[u8]>,
    deltas: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<Vec<u8>>, StoreError> {
    let changes = delta::merge(deltas)?;
    match encoding {
        Encoding::Set => fold_set(base, &changes),
        Encoding::Number => fold_number(base, &changes),
        Encoding::Codes => fold_codes(base, &changes),
    }
}

fn fold_set(base: Option<&[u8]>, changes: &[Change]) -> Result<Option<Vec<u8>>, StoreError> {
    let base = base.map(Portable::open_shard).transpose()?;
    let mut groups = changes.chunk_by(|a, b| a.offset >> 16 == b.offset >> 16).peekable();
    let mut set = RoaringBitmap::new();
    let mut block = Block::new();
    for key in 0..crate::bitmap::SHARD_BLOCKS {
        let stored = base.map(|base| base.get(key)).transpose()?.flatten();
        let changed = groups.next_if(|group| group.first().is_some_and(|change| change.offset >> 16 == u32::from(key)));
        if stored.is_none() && changed.is_none() {
            continue;
        }
        block.clear();
        if let Some(container) = stored {
            block.set_container(container);
        }
        for change in changed.into_iter().flatten() {
            let member = change.offset as u16;
            if i128::from(block.contains(member)) + change.n > 0 {
                block.insert(member);
            } else {
                block.remove(member);
            }
        }
        append_block(&mut set, key, &block);
    }
    if set.is_empty() {
        return Ok(None);
    }
    set.optimize();
    let mut bytes = Vec::with_capacity(set.serialized_size());
    // Writing into memory does not fail.
    set.serialize_into(&mut bytes).map_err(|_| StoreError::Overflow)?;
    Ok(Some(bytes))
}

fn fold_number(base: Option<&[u8]>, changes: &[Change]) -> Result<Option<Vec<u8>>, StoreError> {
    let base = base.map(NumberChunk::open).transpose()?;
    if let Some(base) = &base
        && let Some(bytes) = base.patched(changes)?
    {
        return Ok(Some(bytes));
    }
    let present = base.as_ref().map_or(0, |base| base.count() as usize);
    let mut cells = Vec::with_capacity(present + changes.len());
    let mut changes = changes.iter().copied().peekable();
    for cell in base.iter().flat_map(NumberChunk::cells) {
        let cell = cell?;
        while let Some(change) = changes.next_if(|change| change.offset < cell.offset) {
            cells.extend(change.of(None)?);
        }
        match changes.next_if(|change| change.offset == cell.offset) {
            None => cells.push(cell),
            Some(change) => cells.extend(change.of(Some(cell))?),
        }
    }
    for change in changes {
        cells.extend(change.of(None)?);
    }
    if cells.is_empty() { Ok(None) } else { number::encode_kept(&cells).map(Some) }
}
