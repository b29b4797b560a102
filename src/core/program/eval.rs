//! Evaluates one block at a time.
//!
//! A node may be evaluated *within* a set: then its value is only right inside that set. The set is what the operands
//! before it have left, so a comparison can stop when nothing there is undecided.

use super::Node;
use super::open::Slot;
use super::tally::{Scratch, tally};
use crate::bitmap::{Arena, Container, Portable, Value};
use crate::cells::NumberChunk;
use crate::error::StoreError;

/// How far below a node its size is estimated. What lies deeper is taken to be large and dear.
const ESTIMATE_DEPTH: usize = 3;
/// The members of a full block.
const BLOCK: u32 = 1 << 16;

/// The state that is reused from block to block.
#[derive(Debug)]
pub struct Evaluator<'s, 'a> {
    slots: &'s [Slot<'a>],
    scratch: Scratch,
}

impl<'s, 'a> Evaluator<'s, 'a> {
    /// An evaluator over slots that [`super::open::open`] has checked against the [`super::Program`].
    pub fn new(slots: &'s [Slot<'a>]) -> Self {
        Self { slots, scratch: Scratch::default() }
    }

    /// The scratch blocks.
    pub fn arena(&mut self) -> &mut Arena {
        &mut self.scratch.arena
    }

    /// The members of block `key`.
    pub fn evaluate(&mut self, node: &Node, key: u16) -> Result<Value<'a>, StoreError> {
        self.value(node, key, None)
    }

    /// How many members block `key` has. The last operation of the tree is not stored but counted.
    pub fn count(&mut self, node: &Node, key: u16) -> Result<u32, StoreError> {
        match node {
            Node::Present(slot) => {
                // Of a single chunk, the header knows.
                match self.slots.get(*slot) {
                    Some(Slot::Sets(chunks)) if chunks.len() == 1 => {
                        return Ok(chunks.iter().map(|chunk| chunk.cardinality_of(key)).sum());
                    }
                    Some(Slot::Numbers(chunks)) if chunks.len() == 1 => {
                        return Ok(chunks.iter().map(|chunk| chunk.presence().cardinality_of(key)).sum());
                    }
                    _ => {}
                }
            }
            Node::And(nodes) => {
                let order = self.order(nodes, key);
                if let [first @ .., last] = order.as_slice()
                    && !first.is_empty()
                {
                    if first.len() == 1 {
                        self.expect(Some(last), key);
                    }
                    let left = self.and(first, key, None)?;
                    let both = self.count_both(&left, last, key);
                    self.scratch.arena.drop_value(left);
                    return both;
                }
            }
            Node::AndNot(left, right) => {
                let left = self.value(left, key, None)?;
                let both = self.count_both(&left, right, key)?;
                // Damaged bytes can name a member twice on one side.
                let total = left.count().saturating_sub(both);
                self.scratch.arena.drop_value(left);
                return Ok(total);
            }
            _ => {}
        }
        let value = self.value(node, key, None)?;
        let total = value.count();
        self.scratch.arena.drop_value(value);
        Ok(total)
    }

    fn value(&mut self, node: &Node, key: u16, within: Option<&Value<'_>>) -> Result<Value<'a>, StoreError> {
        match node {
            Node::Empty => Ok(Value::Empty),
            Node::Present(slot) => self.present(*slot, key),
            Node::Range { slot, low, high } => match self.numbers(*slot) {
                [chunk, ..] => chunk.values_between(key, *low, *high, within, &mut self.scratch.arena),
                [] => Ok(Value::Empty),
            },
            Node::Tally { slot, measure, low, high } => {
                let chunks = self.numbers(*slot);
                tally(chunks, *measure, *low, *high, key, within, &mut self.scratch)
            }
            Node::And(nodes) => {
                let order = self.order(nodes, key);
                self.and(&order, key, within)
            }
            Node::Or(nodes) => {
                let mut answer = Value::Empty;
                for (node, next) in nodes.iter().zip(nodes.iter().skip(1).map(Some).chain([None])) {
                    self.expect(next, key);
                    let value = self.value(node, key, within)?;
                    answer = answer.or(value, &mut self.scratch.arena);
                    if matches!(answer, Value::Full) {
                        break;
                    }
                }
                Ok(answer)
            }
            Node::AndNot(left, right) => {
                let left = self.value(left, key, within)?;
                if left.is_empty() {
                    return Ok(left);
                }
                let right = self.value(right, key, Some(&left))?;
                Ok(left.andnot(right, &mut self.scratch.arena))
            }
        }
    }

    /// Members of `left` that `right` holds for too.
    fn count_both(&mut self, left: &Value<'a>, right: &Node, key: u16) -> Result<u32, StoreError> {
        if left.is_empty() {
            return Ok(0);
        }
        let right = self.value(right, key, Some(left))?;
        let both = left.and_count(&right, &mut self.scratch.arena);
        self.scratch.arena.drop_value(right);
        Ok(both)
    }

    /// The conjunction of nodes in the order given; each is evaluated within what those before it left.
    fn and(&mut self, nodes: &[&Node], key: u16, within: Option<&Value<'_>>) -> Result<Value<'a>, StoreError> {
        let Some((first, others)) = nodes.split_first() else {
            return Err(StoreError::EmptyAnd);
        };
        self.expect(others.first().copied(), key);
        let mut answer = self.value(first, key, within)?;
        for (index, node) in others.iter().enumerate() {
            if answer.is_empty() {
                break;
            }
            self.expect(others.get(index + 1).copied(), key);
            let value = self.value(node, key, Some(&answer))?;
            answer = answer.and(value, &mut self.scratch.arena);
        }
        Ok(answer)
    }

    /// Says that a node will be evaluated soon: the store may bring what it reads first while the one before it is computed.
    fn expect(&self, node: Option<&Node>, key: u16) {
        match node {
            Some(Node::Present(slot)) => match self.slots.get(*slot) {
                Some(Slot::Sets(chunks)) => chunks.iter().take(1).for_each(|chunk| chunk.expect(key)),
                Some(Slot::Numbers(chunks)) => chunks.iter().take(1).for_each(|chunk| chunk.presence().expect(key)),
                None => {}
            },
            Some(Node::Range { slot, .. } | Node::Tally { slot, .. }) => {
                self.numbers(*slot).iter().take(1).for_each(|chunk| chunk.presence().expect(key));
            }
            _ => {}
        }
    }

    /// The union of the chunks of a slot, straight from their bytes.
    fn present(&mut self, slot: usize, key: u16) -> Result<Value<'a>, StoreError> {
        match self.slots.get(slot) {
            Some(Slot::Sets(chunks)) => union(chunks.iter(), key, &mut self.scratch.arena),
            Some(Slot::Numbers(chunks)) => {
                union(chunks.iter().map(NumberChunk::presence), key, &mut self.scratch.arena)
            }
            None => Ok(Value::Empty),
        }
    }

    fn numbers(&self, slot: usize) -> &'s [NumberChunk<'a>] {
        match self.slots.get(slot) {
            Some(Slot::Numbers(chunks)) => chunks,
            _ => &[],
        }
    }

    /// The operands of a conjunction, those that leave least and cost least first.
    fn order<'n>(&self, nodes: &'n [Node], key: u16) -> Vec<&'n Node> {
        let mut order: Vec<_> = nodes.iter().collect();
        order.sort_by_cached_key(|node| self.estimate(node, key, ESTIMATE_DEPTH));
        order
    }

    /// No more members than this, and how many containers have to be read to know. Few members matter most: an
    /// empty operand ends the conjunction. Beyond a sixteenth of the block, cost does.
    fn estimate(&self, node: &Node, key: u16, depth: usize) -> (u32, usize) {
        let (members, cost) = self.bound(node, key, depth);
        if members < BLOCK / 16 { (members / 256, cost) } else { (BLOCK, cost) }
    }

    fn bound(&self, node: &Node, key: u16, depth: usize) -> (u32, usize) {
        let numbers = |slot: &usize| {
            let chunks = self.numbers(*slot);
            let members = chunks.iter().map(|chunk| chunk.presence().cardinality_of(key));
            (sum(members), chunks)
        };
        match node {
            Node::Empty => (0, 0),
            Node::Present(slot) => match self.slots.get(*slot) {
                Some(Slot::Sets(chunks)) => (sum(chunks.iter().map(|chunk| chunk.cardinality_of(key))), chunks.len()),
                _ => {
                    let (members, chunks) = numbers(slot);
                    (members, chunks.len())
                }
            },
            Node::Range { slot, low, high } => match numbers(slot) {
                (members, [chunk, ..]) if *low <= chunk.v_max() && *high >= chunk.v_base() => {
                    (members, 1 + chunk.v_planes().len())
                }
                _ => (0, 0),
            },
            Node::Tally { slot, .. } => {
                let (members, chunks) = numbers(slot);
                (members, 8 * chunks.len())
            }
            _ if depth == 0 => (BLOCK, usize::MAX >> 16),
            Node::And(nodes) => {
                let bounds = nodes.iter().map(|node| self.bound(node, key, depth - 1));
                bounds.fold((BLOCK, 0), |(members, cost), bound| (members.min(bound.0), cost.saturating_add(bound.1)))
            }
            Node::Or(nodes) => {
                let bounds = nodes.iter().map(|node| self.bound(node, key, depth - 1));
                bounds.fold((0, 0), |(members, cost), bound| {
                    (members.saturating_add(bound.0).min(BLOCK), cost.saturating_add(bound.1))
                })
            }
            Node::AndNot(left, right) => {
                let (members, cost) = self.bound(left, key, depth - 1);
                (members, cost.saturating_add(self.bound(right, key, depth - 1).1))
            }
        }
    }
}

/// The sum of what announced members there are, at most a block's.
fn sum(members: impl Iterator<Item = u32>) -> u32 {
    members.fold(0, |total, members| total.saturating_add(members).min(BLOCK))
}

/// The union of block `key` of sets: one container alone stays where it is, more are put together in one block.
pub fn union<'s, 'a: 's>(
    sets: impl Iterator<Item = &'s Portable<'a>>,
    key: u16,
    arena: &mut Arena,
) -> Result<Value<'a>, StoreError> {
    let mut only: Option<Container<'a>> = None;
    let mut block = None;
    let mut sets = sets.peekable();
    while let Some(set) = sets.next() {
        if let Some(next) = sets.peek() {
            next.expect(key);
        }
        let Some(container) = set.get(key)? else {
            continue;
        };
        if container.is_full() {
            if let Some(block) = block {
                arena.give(block);
            }
            return Ok(Value::Full);
        }
        match (only, &mut block) {
            (_, Some(block)) => block.or_container(container),
            (Some(first), None) => block.insert(arena.take_container(first)).or_container(container),
            (None, None) => only = Some(container),
        }
    }
    match block {
        None => Ok(Value::stored(only)),
        Some(block) if block.is_full() => {
            arena.give(block);
            Ok(Value::Full)
        }
        Some(block) => Ok(Value::Flat(block)),
    }
}
