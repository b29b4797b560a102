//! Boolean programs over stored cells, evaluated block by block from the bytes.
//!
//! A program names *slots*; a slot holds the chunks of one shard that one leaf reads. The chunks' headers are read
//! once, then each block of 2^16 offsets is computed in 8 KB sets that stay in cache. No set of a whole shard is made
//! but the answer, and [`count`] does not make that either.

mod estimate;
mod eval;
mod measure;
mod open;
mod spread;
mod tally;

#[cfg(test)]
mod stored_test;
#[cfg(test)]
mod tests;

use crate::bitmap::{Bytes, SHARD_BLOCKS, Writer, append_block};
use crate::cells::Encoding;
use crate::error::StoreError;
pub use estimate::share;
use eval::Evaluator;
pub use measure::{Overlap, Totals, distribution, number_distribution, overlap, totals};
use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};
pub use spread::{CodeShare, code_distribution};

/// Nodes may nest this deep.
pub const MAX_DEPTH: usize = 200;

/// A boolean expression over slots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub struct Program {
    /// How the chunks of each slot are encoded.
    pub slots: Vec<Encoding>,
    /// The expression.
    pub root: Node,
}

/// One node of a program: a set of profiles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Node {
    /// Nobody.
    Empty,
    /// Profiles present in any chunk of the slot.
    Present(usize),
    /// Number slot with at most one chunk a shard: present profiles with low ≤ v ≤ high.
    Range {
        /// Index of the slot.
        slot: usize,
        /// Smallest v that is in.
        low: i64,
        /// Largest v that is in.
        high: i64,
    },
    /// Number slot with any number of chunks: profiles present in any of them whose total over the chunks is in
    /// low..=high.
    Tally {
        /// Index of the slot.
        slot: usize,
        /// What is added up.
        measure: Measure,
        /// Smallest total that is in.
        low: i128,
        /// Largest total that is in.
        high: i128,
    },
    /// Everybody who is in all of the operands, of which there is at least one.
    And(Vec<Node>),
    /// Everybody who is in any of the operands.
    Or(Vec<Node>),
    /// Everybody who is in the first and not in the second.
    AndNot(Box<Node>, Box<Node>),
}

/// What a [`Node::Tally`] adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// n, the number of facts.
    Count,
    /// v, their sum.
    Sum,
}

/// The offsets of one shard for which the program holds. `chunks[slot]` are the shard's chunks for that slot.
///
/// # Errors
/// [`StoreError::BadSlot`], [`StoreError::TooDeep`] and [`StoreError::EmptyAnd`] for a program that does not fit its
/// slots, those of reading a chunk for damaged bytes. A container that cannot change the answer is not read, so damage
/// inside it is not reported.
pub fn evaluate<'a, B: Into<Bytes<'a>> + Copy>(
    program: &Program,
    chunks: &[Vec<B>],
) -> Result<RoaringBitmap, StoreError> {
    let slots = open::open(program, chunks)?;
    let mut evaluator = Evaluator::new(&slots);
    let mut answer = RoaringBitmap::new();
    for key in 0..SHARD_BLOCKS {
        let value = evaluator.evaluate(&program.root, key)?;
        if !value.is_empty() {
            let block = value.into_block(evaluator.arena());
            append_block(&mut answer, key, &block);
            evaluator.arena().give(block);
        }
    }
    Ok(answer)
}

/// The same set as [`evaluate`] gives, as portable 32-bit Roaring bytes: containers that are the answer as they are stored are copied, the
/// others written in the smaller of the forms array and bitmap. `None` when nobody is in it.
///
/// # Errors
/// Those of [`evaluate`].
pub fn members<'a, B: Into<Bytes<'a>> + Copy>(
    program: &Program,
    chunks: &[Vec<B>],
) -> Result<Option<Vec<u8>>, StoreError> {
    let slots = open::open(program, chunks)?;
    let mut evaluator = Evaluator::new(&slots);
    let mut writer = Writer::default();
    for key in 0..SHARD_BLOCKS {
        let value = evaluator.evaluate(&program.root, key)?;
        let block = writer.push(key, value);
        block.into_iter().for_each(|block| evaluator.arena().give(block));
    }
    Ok(writer.finish())
}

/// How many offsets of one shard the program holds for.
///
/// # Errors
/// Those of [`evaluate`].
pub fn count<'a, B: Into<Bytes<'a>> + Copy>(program: &Program, chunks: &[Vec<B>]) -> Result<u64, StoreError> {
    let slots = open::open(program, chunks)?;
    let mut evaluator = Evaluator::new(&slots);
    (0..SHARD_BLOCKS).try_fold(0, |total, key| Ok(total + u64::from(evaluator.count(&program.root, key)?)))
}
