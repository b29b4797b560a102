//! Changes of cells, version 1: `u8 version = 1`, then one entry per changed offset in ascending order, each
//! `varint(offset - previous offset; the first: offset), zigzag varint n, zigzag varint v` (LEB128, at most 10 bytes).

use super::Cell;
use crate::bitmap::SHARD_WIDTH;
use crate::error::StoreError;

const VERSION: u8 = 1;
const WHAT: &str = "delta";

/// The sum of many deltas of one offset. Sums of fewer than 2^64 changes cannot leave this range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Offset of the profile in its shard.
    pub offset: u32,
    /// Change of the number of facts.
    pub n: i128,
    /// Change of their sum.
    pub v: i128,
}

impl Change {
    /// The cell that it leaves of what was there, if it leaves one.
    ///
    /// # Errors
    /// [`StoreError::Overflow`] when the n or v of that cell leaves 64 bits.
    pub fn of(self, before: Option<Cell>) -> Result<Option<Cell>, StoreError> {
        let (n, v) = before.map_or((0, 0), |cell| (i128::from(cell.n), i128::from(cell.v)));
        // Sums of i64 in i128: a change is itself such a sum, of fewer than 2^63 parts.
        let (n, v) = (self.n + n, self.v + v);
        if n <= 0 {
            return Ok(None);
        }
        let narrow = |number: i128| i64::try_from(number).map_err(|_| StoreError::Overflow);
        Ok(Some(Cell { offset: self.offset, n: narrow(n)?, v: narrow(v)? }))
    }
}

/// Writes changes given in any order, summing those of one offset and leaving out what sums to nothing.
///
/// # Errors
/// Those of [`Gather::encode`].
pub fn encode(cells: impl IntoIterator<Item = Cell>) -> Result<Vec<u8>, StoreError> {
    Gather { cells: cells.into_iter().collect(), settled: 0 }.encode()
}

/// Changes of one shard being collected, in any order. Memory: 24 bytes for each different offset, twice as much while changes of
/// the same offsets wait to be summed.
#[derive(Debug, Clone, Default)]
pub struct Gather {
    cells: Vec<Cell>,
    /// So many at the start ascend by offset.
    settled: usize,
}

/// Changes are summed when there are this many new ones, or as many as there were.
const SETTLE_FROM: usize = 1 << 16;

impl Gather {
    /// Whether [`Self::push`] puts a change down and does nothing else.
    pub fn has_room(&self) -> bool {
        self.cells.len() < self.cells.capacity() && self.cells.len() - self.settled <= self.settled.max(SETTLE_FROM)
    }

    /// Takes a change.
    #[inline]
    pub fn push(&mut self, cell: Cell) {
        if self.cells.len() - self.settled > self.settled.max(SETTLE_FROM) {
            self.settle();
        }
        self.cells.push(cell);
    }

    /// Sorts by offset and adds up. Changes whose sum leaves 64 bits stay apart: what comes later may bring it back.
    fn settle(&mut self) {
        // The stable sort finds the ascending runs there are and merges those.
        self.cells.sort_by_key(|cell| cell.offset);
        self.cells.dedup_by(|next, kept| {
            let sum = (kept.n.checked_add(next.n), kept.v.checked_add(next.v));
            let (true, (Some(n), Some(v))) = (next.offset == kept.offset, sum) else { return false };
            (kept.n, kept.v) = (n, v);
            true
        });
        self.settled = self.cells.len();
    }

    /// The bytes; those of no change when all cancel out. What has been collected stays.
    ///
    /// # Errors
    /// [`StoreError::Offset`] for an offset outside the shard, [`StoreError::Overflow`] when a sum needs more than 64 bits.
    pub fn encode(&mut self) -> Result<Vec<u8>, StoreError> {
        self.settle();
        let mut bytes = Vec::with_capacity(1 + 4 * self.cells.len());
        bytes.push(VERSION);
        let mut previous = 0;
        for group in self.cells.chunk_by(|a, b| a.offset == b.offset) {
            let offset = group.first().map_or(0, |cell| cell.offset);
            let n: i128 = group.iter().map(|cell| i128::from(cell.n)).sum();
            let v: i128 = group.iter().map(|cell| i128::from(cell.v)).sum();
            if (n, v) == (0, 0) {
                continue;
            }
            if offset >= SHARD_WIDTH {
                return Err(StoreError::Offset(offset));
            }
            put_varint(&mut bytes, u64::from(offset - previous));
            put_varint(&mut bytes, zigzag(i64::try_from(n).map_err(|_| StoreError::Overflow)?));
            put_varint(&mut bytes, zigzag(i64::try_from(v).map_err(|_| StoreError::Overflow)?));
            previous = offset;
        }
        Ok(bytes)
    }
}

/// Reads `bytes`, checking everything: each step gives a change or the error that ends the reading.
///
/// # Errors
/// [`StoreError::Truncated`] without a version byte, [`StoreError::Version`] for one that is not known.
pub fn decode(bytes: &[u8]) -> Result<Decode<'_>, StoreError> {
    match bytes.first() {
        None => Err(StoreError::Truncated { what: WHAT, at: 1 }),
        Some(&VERSION) => Ok(Decode { bytes, at: 1, previous: None }),
        Some(&version) => Err(StoreError::Version(version)),
    }
}

/// Sums any number of deltas into one list, ascending by offset, without the changes that cancel out.
///
/// # Errors
/// Those of [`decode`] and of the entries.
pub fn merge<'a>(deltas: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::new();
    for bytes in deltas {
        // An entry takes three bytes or more, of a number column about five.
        changes.reserve(bytes.len() / 5);
        for cell in decode(bytes)? {
            let cell = cell?;
            changes.push(Change { offset: cell.offset, n: cell.n.into(), v: cell.v.into() });
        }
    }
    Ok(sum(changes))
}

/// Sorts by offset and adds up. The stable sort finds the ascending runs that deltas are and merges those.
fn sum(mut changes: Vec<Change>) -> Vec<Change> {
    changes.sort_by_key(|change| change.offset);
    changes.dedup_by(|next, kept| {
        let same = next.offset == kept.offset;
        if same {
            kept.n += next.n;
            kept.v += next.v;
        }
        same
    });
    changes.retain(|change| change.n != 0 || change.v != 0);
    changes
}

/// The entries of one delta, in ascending order of offsets. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Decode<'a> {
    bytes: &'a [u8],
    at: usize,
    previous: Option<u32>,
}

impl Iterator for Decode<'_> {
    type Item = Result<Cell, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let entry = self.entry();
        if entry.is_err() {
            self.at = self.bytes.len();
        }
        Some(entry)
    }
}

impl Decode<'_> {
    fn entry(&mut self) -> Result<Cell, StoreError> {
        let start = self.at;
        let damaged = StoreError::Damaged { what: WHAT, at: start };
        let step = self.varint()?;
        let offset = match self.previous {
            None => step,
            Some(_) if step == 0 => return Err(damaged),
            Some(previous) => step.saturating_add(previous.into()),
        };
        let offset = u32::try_from(offset).ok().filter(|offset| *offset < SHARD_WIDTH).ok_or(damaged)?;
        let n = unzigzag(self.varint()?);
        let v = unzigzag(self.varint()?);
        self.previous = Some(offset);
        Ok(Cell { offset, n, v })
    }

    fn varint(&mut self) -> Result<u64, StoreError> {
        let start = self.at;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let Some(&byte) = self.bytes.get(self.at) else {
                return Err(StoreError::Truncated { what: WHAT, at: self.at + 1 });
            };
            self.at += 1;
            let low = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if shift == 63 && byte > 1 {
                break;
            }
            value |= low << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(StoreError::Damaged { what: WHAT, at: start })
    }
}

fn put_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
