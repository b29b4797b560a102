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

/// How many members several programs over the same slots share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlap {
    /// Any two: for roots 0..n the counts of (0,0), (0,1) … (0,n−1), (1,1), (1,2) … (n−1,n−1).
    pub pairs: Vec<u64>,
    /// All of them.
    pub all: u64,
    /// How many are in any of them.
    pub any: u64,
}

impl Overlap {
    /// What this and `other`, of another shard, have together.
    pub fn and(mut self, other: Self) -> Self {
        self.pairs.resize(self.pairs.len().max(other.pairs.len()), 0);
        self.pairs.iter_mut().zip(other.pairs).for_each(|(count, more)| *count += more);
        Self { pairs: self.pairs, all: self.all + other.all, any: self.any + other.any }
    }
}

/// How many members the programs of these roots share, any two and all of them.
///
/// # Errors
/// Those of [`super::evaluate`].
pub fn overlap<'a, B: Into<Bytes<'a>> + Copy>(
    encodings: &[Encoding],
    roots: &[Node],
    chunks: &[Vec<B>],
) -> Result<Overlap, StoreError> {
    // One program whose operands are the roots: every root is checked against the slots once.
    let program = Program { slots: encodings.to_vec(), root: Node::Or(roots.to_vec()) };
    let slots: Vec<Slot<'_>> = open::open(&program, chunks)?;
    let mut evaluator = Evaluator::new(&slots);
    let mut counts = vec![0; roots.len() * (roots.len() + 1) / 2];
    let (mut all, mut any) = (0, 0);
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
        if sets.len() > 2 {
            let (more_all, more_any) = together(&sets, evaluator.arena());
            all += more_all;
            any += more_any;
        }
        sets.into_iter().for_each(|set| evaluator.arena().drop_value(set));
    }
    // Of one and of two the pairs tell.
    match counts.as_slice() {
        [one] => (all, any) = (*one, *one),
        [first, shared, second] => (all, any) = (*shared, first + second - shared),
        _ => {}
    }
    Ok(Overlap { pairs: counts, all, any })
}

/// How many are in all of some sets of one block, and how many in any.
fn together(sets: &[Value<'_>], arena: &mut Arena) -> (u64, u64) {
    let [mut all, mut any] = [arena.take_clear(), arena.take_clear()];
    all.fill();
    for set in sets {
        match set {
            Value::Empty => all.clear(),
            Value::Full => any.fill(),
            Value::Stored(container) => {
                all.and_container(*container);
                any.or_container(*container);
            }
            Value::Flat(block) => {
                all.and_block(block);
                any.or_block(block);
            }
        }
    }
    let counts = (u64::from(all.count()), u64::from(any.count()));
    arena.give(all);
    arena.give(any);
    counts
}
