//! How many offsets a program holds for, as far as that can be told without evaluating it: by one block out of a shard, and by what is expected of
//! slots whose bytes are not there.

use super::eval::Evaluator;
use super::open;
use super::{Measure, Node, Program};
use crate::bitmap::Bytes;
use crate::error::StoreError;

/// The share of everybody that a program is true for, judged by block `key` of one shard, where `everybody` live. `asked` has the share of
/// everybody that is expected of a slot without chunks, or, beside chunks, of who has facts that are not in them.
///
/// What depends on chunks alone is counted in the block. Parts that do not are taken to be independent of each other.
///
/// # Errors
/// Those of [`super::evaluate`].
pub fn share<'a, B: Into<Bytes<'a>> + Copy>(
    program: &Program,
    chunks: &[Vec<B>],
    key: u16,
    everybody: u32,
    asked: &[Option<f64>],
) -> Result<f64, StoreError> {
    let slots = open::open(program, chunks)?;
    Judge { evaluator: Evaluator::new(&slots), key, everybody, asked }.share(&program.root)
}

struct Judge<'s, 'a> {
    evaluator: Evaluator<'s, 'a>,
    key: u16,
    everybody: u32,
    asked: &'s [Option<f64>],
}

impl Judge<'_, '_> {
    fn asked(&self, slot: usize) -> Option<f64> {
        self.asked.get(slot).copied().flatten()
    }

    /// Whether anything that is not in the chunks decides.
    fn open(&self, node: &Node) -> bool {
        match node {
            Node::Empty => false,
            Node::Present(slot) | Node::Range { slot, .. } | Node::Tally { slot, .. } => self.asked(*slot).is_some(),
            Node::And(nodes) | Node::Or(nodes) => nodes.iter().any(|node| self.open(node)),
            Node::AndNot(left, right) => self.open(left) || self.open(right),
        }
    }

    fn counted(&mut self, node: &Node) -> Result<f64, StoreError> {
        if self.everybody == 0 {
            return Ok(0.0);
        }
        Ok((f64::from(self.evaluator.count(node, self.key)?) / f64::from(self.everybody)).min(1.0))
    }

    fn share(&mut self, node: &Node) -> Result<f64, StoreError> {
        if !self.open(node) {
            return self.counted(node);
        }
        Ok(match node {
            Node::Empty => 0.0,
            Node::And(nodes) => {
                let mut all = 1.0;
                for node in nodes {
                    all *= self.share(node)?;
                }
                all
            }
            Node::Or(nodes) => {
                let mut none = 1.0;
                for node in nodes {
                    none *= 1.0 - self.share(node)?;
                }
                1.0 - none
            }
            Node::AndNot(left, right) => self.share(left)? * (1.0 - self.share(right)?),
            Node::Present(slot) | Node::Range { slot, .. } | Node::Tally { slot, .. } => {
                let (counted, asked) = (self.counted(node)?, self.asked(*slot).unwrap_or(0.0).clamp(0.0, 1.0));
                // Facts beside the chunks make a difference where the first one does.
                let first = match node {
                    Node::Tally { measure, low, high, .. } => *measure == Measure::Count && *low <= 1 && *high >= 1,
                    _ => true,
                };
                if first { 1.0 - (1.0 - counted) * (1.0 - asked) } else { counted }
            }
        })
    }
}
