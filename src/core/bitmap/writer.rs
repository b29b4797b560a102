//! Writing a set block by block, in the portable 32-bit format.

use super::assemble::{Placed, size, write};
use super::{ARRAY_MAX, Block, Container, Value, WORDS};

/// The run from the first member of a block to the last.
static FULL: [[u8; 4]; 1] = [[0, 0, 0xff, 0xff]];

/// A set that is written block by block, keys ascending.
#[derive(Default)]
pub struct Writer<'a> {
    blocks: Vec<(u16, u32, Written<'a>)>,
}

/// The container of a block.
enum Written<'a> {
    /// As it is stored.
    Stored(Container<'a>),
    /// Members, little-endian.
    Array(Vec<[u8; 2]>),
    /// Words, little-endian.
    Bitmap(Box<[[u8; 8]; WORDS]>),
}

impl<'a> Writer<'a> {
    /// Adds what a block holds; gives back a block that is not needed any more.
    pub fn push(&mut self, key: u16, value: Value<'a>) -> Option<Box<Block>> {
        let count = value.count();
        if count == 0 {
            return match value {
                Value::Flat(block) => Some(block),
                _ => None,
            };
        }
        let (written, spare) = match value {
            Value::Empty => return None,
            Value::Full => (Written::Stored(Container::Run(&FULL)), None),
            Value::Stored(Container::Bitmap(words)) if count <= ARRAY_MAX => {
                // Damaged: a bitmap has more members. What is written has to be read again.
                let mut block = Block::new();
                block.set_container(Container::Bitmap(words));
                (array(&block, count), None)
            }
            Value::Stored(container) => (Written::Stored(container), None),
            Value::Flat(block) if count <= ARRAY_MAX => (array(&block, count), Some(block)),
            Value::Flat(block) => {
                let mut words = Box::new([[0; 8]; WORDS]);
                for (bytes, word) in words.iter_mut().zip(block.words()) {
                    *bytes = word.to_le_bytes();
                }
                (Written::Bitmap(words), Some(block))
            }
        };
        self.blocks.push((key, count, written));
        spare
    }

    /// The portable 32-bit bytes; `None` for the empty set.
    pub fn finish(self) -> Option<Vec<u8>> {
        if self.blocks.is_empty() {
            return None;
        }
        let placed = self.blocks.iter().map(|(key, cardinality, written)| Placed {
            key: *key,
            cardinality: *cardinality,
            container: match written {
                Written::Stored(container) => *container,
                Written::Array(members) => Container::Array(members),
                Written::Bitmap(words) => Container::Bitmap(words),
            },
        });
        let placed: Vec<Placed> = placed.collect();
        let mut out = Vec::with_capacity(16 + placed.iter().map(|p| 12 + size(&p.container)).sum::<usize>());
        write(&placed, &mut out);
        Some(out)
    }
}

fn array<'a>(block: &Block, count: u32) -> Written<'a> {
    // A loop over words and not an iterator over members: it takes a quarter of the time.
    let mut members = vec![[0; 2]; count as usize];
    let mut free = members.iter_mut();
    for (index, word) in (0u16..).zip(block.words()) {
        let mut left = *word;
        while left != 0 {
            let Some(member) = free.next() else { break };
            *member = (index << 6 | left.trailing_zeros() as u16).to_le_bytes();
            left &= left.wrapping_sub(1);
        }
    }
    Written::Array(members)
}
