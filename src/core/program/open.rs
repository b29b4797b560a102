//! Checks a program against its slots and reads the headers of every chunk.

use super::{MAX_DEPTH, Node, Program};
use crate::bitmap::{Bytes, Portable};
use crate::cells::{Encoding, NumberChunk};
use crate::error::StoreError;

/// The chunks of a slot, opened.
#[derive(Debug)]
pub enum Slot<'a> {
    Sets(Vec<Portable<'a>>),
    Numbers(Vec<NumberChunk<'a>>),
}

/// Opens the slots of a program that fits them. After this, every slot a node names exists and has the encoding the
/// node needs, no conjunction is empty, and recursion over the nodes is bounded.
pub fn open<'a, B: Into<Bytes<'a>> + Copy>(program: &Program, chunks: &[Vec<B>]) -> Result<Vec<Slot<'a>>, StoreError> {
    if chunks.len() != program.slots.len() {
        let slot = chunks.len().min(program.slots.len());
        return Err(StoreError::BadSlot { slot, reason: "has an encoding or chunks, not both" });
    }
    check(&program.root, program, chunks, 1)?;
    let slots = program.slots.iter().zip(chunks);
    slots.map(|(encoding, chunks)| open_slot(*encoding, chunks)).collect()
}

fn open_slot<'a, B: Into<Bytes<'a>> + Copy>(encoding: Encoding, chunks: &[B]) -> Result<Slot<'a>, StoreError> {
    let chunks = chunks.iter().copied();
    Ok(match encoding {
        Encoding::Set => Slot::Sets(chunks.map(Portable::open_shard).collect::<Result<_, _>>()?),
        Encoding::Number => Slot::Numbers(chunks.map(NumberChunk::open).collect::<Result<_, _>>()?),
        // Codes are looked up by who asks for a distribution; [`check`] lets no node read them.
        Encoding::Codes => Slot::Sets(Vec::new()),
    })
}

fn check<B>(node: &Node, program: &Program, chunks: &[Vec<B>], depth: usize) -> Result<(), StoreError> {
    if depth > MAX_DEPTH {
        return Err(StoreError::TooDeep(MAX_DEPTH));
    }
    match node {
        Node::Empty => Ok(()),
        Node::Present(slot) => match encoding(program, *slot)? {
            Encoding::Set | Encoding::Number => Ok(()),
            Encoding::Codes => Err(StoreError::BadSlot { slot: *slot, reason: "holds codes" }),
        },
        Node::Range { slot, .. } => {
            number(program, *slot)?;
            match chunks.get(*slot).map(Vec::as_slice) {
                Some([_, _, ..]) => {
                    Err(StoreError::BadSlot { slot: *slot, reason: "has more than one chunk for a range" })
                }
                _ => Ok(()),
            }
        }
        Node::Tally { slot, .. } => number(program, *slot),
        Node::And(nodes) if nodes.is_empty() => Err(StoreError::EmptyAnd),
        Node::And(nodes) | Node::Or(nodes) => nodes.iter().try_for_each(|node| check(node, program, chunks, depth + 1)),
        Node::AndNot(left, right) => {
            check(left, program, chunks, depth + 1)?;
            check(right, program, chunks, depth + 1)
        }
    }
}

fn encoding(program: &Program, slot: usize) -> Result<Encoding, StoreError> {
    program.slots.get(slot).copied().ok_or(StoreError::BadSlot { slot, reason: "does not exist" })
}

fn number(program: &Program, slot: usize) -> Result<(), StoreError> {
    match encoding(program, slot)? {
        Encoding::Number => Ok(()),
        Encoding::Set | Encoding::Codes => Err(StoreError::BadSlot { slot, reason: "holds no numbers" }),
    }
}
