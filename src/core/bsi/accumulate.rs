//! Many pairs, or many indexes, into one: the states of aggregates.

use std::collections::BTreeMap;

use super::combine::join_block;
use super::decode::each_block;
use super::format::Bsi;
use super::write::{Visit, encode};
use super::{Error, Join, MAX_ID};

/// Pairs in any order. An id given twice must have the same value.
#[derive(Debug, Clone, Default)]
pub struct Build {
    pairs: Vec<(u64, i64)>,
    /// So many at the start ascend by id, each id once.
    settled: usize,
}

/// Pairs are put in order when there are this many new ones, or as many as there were.
const SETTLE_FROM: usize = 1 << 16;

impl Build {
    /// No pairs.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a pair. Memory: 16 bytes a pair, and as much again while pairs that were given twice wait to be found.
    ///
    /// # Errors
    /// [`Error::TooLarge`]; [`Error::Conflict`] for an id that has another value, at once or later.
    #[inline]
    pub fn insert(&mut self, id: u64, value: i64) -> Result<(), Error> {
        if id > MAX_ID {
            return Err(Error::TooLarge(id));
        }
        if self.settled == self.pairs.len() && self.pairs.last().is_none_or(|(last, _)| *last < id) {
            self.settled += 1;
        } else if self.pairs.len() - self.settled > self.settled.max(SETTLE_FROM) {
            self.settle()?;
        }
        self.pairs.push((id, value));
        Ok(())
    }

    /// Whether [`Self::insert`] puts a pair down and does nothing else, for an id up to [`MAX_ID`].
    pub fn has_room(&self) -> bool {
        self.pairs.len() < self.pairs.capacity() && self.pairs.len() - self.settled <= self.settled.max(SETTLE_FROM)
    }

    /// Adds the pairs of an index.
    ///
    /// # Errors
    /// Those of opening and reading the bytes, and of [`Self::insert`].
    pub fn extend(&mut self, bytes: &[u8]) -> Result<(), Error> {
        each_block(&Bsi::open(bytes)?, None, &mut |block, values| {
            values.iter().try_for_each(|(member, value)| self.insert(block << 16 | u64::from(*member), *value))
        })
    }

    /// Adds the pairs of another state.
    ///
    /// # Errors
    /// Those of [`Self::insert`].
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        other.pairs.iter().try_for_each(|(id, value)| self.insert(*id, *value))
    }

    /// Puts the pairs in order, each id once. What the state stands for does not change.
    ///
    /// # Errors
    /// [`Error::Conflict`].
    pub fn settle(&mut self) -> Result<(), Error> {
        if self.settled < self.pairs.len() {
            self.pairs.sort_unstable();
            self.pairs.dedup();
            if let Some([a, b]) = self.pairs.array_windows().find(|[a, b]| a.0 == b.0) {
                return Err(Error::Conflict(a.0, a.1, b.1));
            }
            self.settled = self.pairs.len();
        }
        Ok(())
    }

    /// The index.
    ///
    /// # Errors
    /// Those of [`Self::settle`].
    pub fn finish(&mut self) -> Result<Vec<u8>, Error> {
        self.settle()?;
        let mut block = Vec::new();
        encode_blocks(|visit| {
            for group in self.pairs.chunk_by(|a, b| a.0 >> 16 == b.0 >> 16) {
                block.clear();
                block.extend(group.iter().map(|(id, value)| (*id as u16, *value)));
                visit(group.first().map_or(0, |(id, _)| id >> 16), &block)?;
            }
            Ok(())
        })
    }
}

/// [`encode`] for a walk that needs memory of its own.
fn encode_blocks(walk: impl FnMut(&mut Visit<'_>) -> Result<(), Error>) -> Result<Vec<u8>, Error> {
    let walk = std::cell::RefCell::new(walk);
    encode(|visit| (walk.borrow_mut())(visit))
}

/// Indexes added or merged one after the other.
#[derive(Debug, Clone)]
pub struct Fold {
    join: Join,
    /// The values of each block, ascending by id.
    blocks: BTreeMap<u64, Vec<(u16, i64)>>,
}

impl Fold {
    /// No values; `join` says what becomes of an id that comes again.
    pub fn new(join: Join) -> Self {
        Self { join, blocks: BTreeMap::new() }
    }

    /// Takes an index. Memory: 16 bytes an id.
    ///
    /// # Errors
    /// Those of opening and reading the bytes, and of the [`Join`]. After an error the state is not to be used.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        each_block(&Bsi::open(bytes)?, None, &mut |block, values| self.block(block, values))
    }

    /// Takes all of another state.
    ///
    /// # Errors
    /// Those of [`Self::take`].
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        other.blocks.iter().try_for_each(|(block, values)| self.block(*block, values))
    }

    fn block(&mut self, block: u64, values: &[(u16, i64)]) -> Result<(), Error> {
        let own = self.blocks.entry(block).or_default();
        if own.is_empty() {
            own.extend_from_slice(values);
            return Ok(());
        }
        let mut both = Vec::new();
        join_block(block, own, values, self.join, &mut both)?;
        *own = both;
        Ok(())
    }

    /// The index.
    ///
    /// # Errors
    /// [`Error::TooLong`].
    pub fn finish(&self) -> Result<Vec<u8>, Error> {
        encode(|visit| self.blocks.iter().try_for_each(|(block, values)| visit(*block, values)))
    }
}
