//! What is asked about the members of a program beyond how many they are: how they spread over the values of a column, how
//! sets overlap, what a number sums up to. The members are computed block by block and never make a set of their own.

use super::eval::Evaluator;
use super::open::{self, Slot};
use super::{Node, Program};
use crate::bitmap::{Arena, Bytes, Portable, SHARD_BLOCKS, Value};
use crate::cells::{Encoding, NumberChunk};
use crate::error::StoreError;
use std::collections::HashMap;

/// How many members a program has, and how many of them there are in each of the sets of one shard, in the order given.
///
/// # Errors
/// Those of [`super::evaluate`].
pub fn distribution<'a, B: Into<Bytes<'a>> + Copy>(
    program: &Program,
    chunks: &[Vec<B>],
    sets: &[B],
) -> Result<(u64, Vec<u64>), StoreError> {
    let slots = open::open(program, chunks)?;
    let sets = sets.iter().map(|bytes| Portable::open_shard(*bytes)).collect::<Result<Vec<_>, _>>()?;
    let mut evaluator = Evaluator::new(&slots);
    let mut counts = vec![0; sets.len()];
    let mut total = 0;
    for key in 0..SHARD_BLOCKS {
        let members = evaluator.evaluate(&program.root, key)?;
        let members = match members {
            Value::Empty => continue,
            Value::Full => Value::Full,
            // Flat, so that every set of the column is only probed.
            members => Value::Flat(members.into_block(evaluator.arena())),
        };
        total += u64::from(members.count());
        for (count, set) in counts.iter_mut().zip(&sets) {
            *count += u64::from(match &members {
                Value::Full => set.cardinality_of(key),
                members => members.and_count(&Value::stored(set.get(key)?), evaluator.arena()),
            });
        }
        evaluator.arena().drop_value(members);
    }
    Ok((total, counts))
}

/// How many members a program has; adds to `counts` how many of them there are of each v of a number chunk of the same shard.
///
/// # Errors
/// Those of [`super::evaluate`].
pub fn number_distribution<'a, B: Into<Bytes<'a>> + Copy>(
    program: &Program,
    chunks: &[Vec<B>],
    number: Option<B>,
    counts: &mut HashMap<i64, u64>,
) -> Result<u64, StoreError> {
    let slots = open::open(program, chunks)?;
    let number = number.map(NumberChunk::open).transpose()?;
    let mut evaluator = Evaluator::new(&slots);
    let mut total = 0;
    for key in 0..SHARD_BLOCKS {
        let members = evaluator.evaluate(&program.root, key)?;
        total += u64::from(members.count());
        let Some(number) = &number else {
            evaluator.arena().drop_value(members);
            continue;
        };
        if let Some(known) = known(members, number, key, evaluator.arena())? {
            number.for_each_value(key, &known, evaluator.arena(), |v| *counts.entry(v).or_insert(0) += 1)?;
            evaluator.arena().give(known);
        }
    }
    Ok(total)
}

/// What the numbers of the members of a program come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Members.
    pub members: u64,
    /// Members that have a number.
    pub known: u64,
    /// The sum of their numbers.
    pub sum: i128,
    /// The smallest and the largest of their numbers; `None` when nobody has one.
    pub range: Option<(i64, i64)>,
}

impl Totals {
    /// Both together.
    pub fn and(self, other: Self) -> Self {
        let range = match (self.range, other.range) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, None) | (None, one) => one,
        };
        Self {
            members: self.members + other.members,
            known: self.known + other.known,
            sum: self.sum + other.sum,
            range,
        }
    }
}

/// The totals of one shard: each bit of v counts the members that have it, no number is put together.
///
/// # Errors
/// Those of [`super::evaluate`].
pub fn totals<'a, B: Into<Bytes<'a>> + Copy>(
    program: &Program,
    chunks: &[Vec<B>],
    number: Option<B>,
) -> Result<Totals, StoreError> {
    let slots = open::open(program, chunks)?;
    let number = number.map(NumberChunk::open).transpose()?;
    let mut evaluator = Evaluator::new(&slots);
    let mut totals = Totals::default();
    for key in 0..SHARD_BLOCKS {
        let members = evaluator.evaluate(&program.root, key)?;
        totals.members += u64::from(members.count());
        let Some(number) = &number else {
            evaluator.arena().drop_value(members);
            continue;
        };
        if let Some(known) = known(members, number, key, evaluator.arena())? {
            number.add_totals(key, &known, &mut totals, evaluator.arena())?;
            evaluator.arena().give(known);
        }
    }
    Ok(totals)
}

/// The members that have a number, flat; `None` when none has.
fn known(
    members: Value<'_>,
    number: &NumberChunk<'_>,
    key: u16,
    arena: &mut Arena,
) -> Result<Option<Box<crate::bitmap::Block>>, StoreError> {
    if members.is_empty() {
        return Ok(None);
    }
    let present = Value::stored(number.presence().get(key)?);
    let known = members.and(present, arena);
    Ok(if known.is_empty() { None } else { Some(known.into_block(arena)) })
}

/// How many members any two of several programs over the same slots share: for roots 0..n the counts of (0,0), (0,1) …
/// (0,n−1), (1,1), (1,2) … (n−1,n−1).
///
/// # Errors
/// Those of [`super::evaluate`].
pub fn overlap<'a, B: Into<Bytes<'a>> + Copy>(
    encodings: &[Encoding],
    roots: &[Node],
    chunks: &[Vec<B>],
) -> Result<Vec<u64>, StoreError> {
    // One program whose operands are the roots: every root is checked against the slots once.
    let program = Program { slots: encodings.to_vec(), root: Node::Or(roots.to_vec()) };
    let slots: Vec<Slot<'_>> = open::open(&program, chunks)?;
    let mut evaluator = Evaluator::new(&slots);
    let mut counts = vec![0; roots.len() * (roots.len() + 1) / 2];
    for key in 0..SHARD_BLOCKS {
        let mut sets = Vec::with_capacity(roots.len());
        for root in roots {
            let set = evaluator.evaluate(root, key)?;
            sets.push(set.flat_if_large(evaluator.arena()));
        }
        let mut at = counts.iter_mut();
        for (index, set) in sets.iter().enumerate() {
            if let Some(count) = at.next() {
                *count += u64::from(set.count());
            }
            for (other, count) in sets.iter().skip(index + 1).zip(at.by_ref()) {
                *count += u64::from(set.and_count(other, evaluator.arena()));
            }
        }
        sets.into_iter().for_each(|set| evaluator.arena().drop_value(set));
    }
    Ok(counts)
}
