//! An intermediate answer over one block, and the scratch memory it is computed in.

use super::kernel::{self, Words};
use super::{Block, Container};

/// From this many members on, an array is flattened before it is compared with many sets: probing costs about half a
/// nanosecond a member, counting over two blocks of 8 KB 100 to 300.
const FLAT_FROM: usize = 256;

/// A set over one block, in the cheapest form that is at hand.
#[derive(Debug)]
pub enum Value<'a> {
    /// No member.
    Empty,
    /// Every member.
    Full,
    /// The bytes as they are stored; nothing has been copied.
    Stored(Container<'a>),
    /// A computed set. Hand it back to the [`Arena`] it came from.
    Flat(Box<Block>),
}

/// Blocks that are handed out and taken back, so that evaluating a program allocates a handful of them once.
#[derive(Debug, Default)]
pub struct Arena {
    free: Vec<Box<Block>>,
}

impl Arena {
    /// An arena without blocks.
    pub fn new() -> Self {
        Self::default()
    }

    /// A block with unspecified contents.
    pub fn take(&mut self) -> Box<Block> {
        self.free.pop().unwrap_or_default()
    }

    /// An empty block.
    pub fn take_clear(&mut self) -> Box<Block> {
        let mut block = self.take();
        block.clear();
        block
    }

    /// A block that holds the container.
    pub fn take_container(&mut self, container: Container<'_>) -> Box<Block> {
        let mut block = self.take();
        block.set_container(container);
        block
    }

    /// Takes a block back.
    pub fn give(&mut self, block: Box<Block>) {
        self.free.push(block);
    }

    /// Takes back whatever a value held.
    pub fn drop_value(&mut self, value: Value<'_>) {
        if let Value::Flat(block) = value {
            self.give(block);
        }
    }

    /// A block as a value: empty blocks go back to the arena at once.
    pub fn value<'a>(&mut self, block: Box<Block>, any: bool) -> Value<'a> {
        if any {
            return Value::Flat(block);
        }
        self.give(block);
        Value::Empty
    }
}

impl<'a> Value<'a> {
    /// A stored container as a value.
    pub fn stored(container: Option<Container<'a>>) -> Self {
        match container {
            None => Self::Empty,
            Some(container) if container.is_full() => Self::Full,
            Some(container) => Self::Stored(container),
        }
    }

    /// Whether nothing is known to be in it. Computed sets are never kept when they are empty.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Number of members, 0..=65536.
    pub fn count(&self) -> u32 {
        match self {
            Self::Empty => 0,
            Self::Full => 1 << 16,
            Self::Stored(Container::Array(members)) => members.len() as u32,
            Self::Stored(Container::Bitmap(words)) => kernel::count(*words),
            Self::Stored(container) => {
                let mut block = Block::new();
                block.set_container(*container);
                block.count()
            }
            Self::Flat(block) => block.count(),
        }
    }

    /// The same set, flat unless it is small: for a set that is compared with many others. Counting the members that two flat
    /// sets share costs as much as probing some hundred members.
    pub fn flat_if_large(self, arena: &mut Arena) -> Value<'a> {
        match self {
            Self::Stored(Container::Array(members)) if members.len() < FLAT_FROM => self,
            Self::Stored(container) => Self::Flat(arena.take_container(container)),
            other => other,
        }
    }

    /// The value as a block of the arena.
    pub fn into_block(self, arena: &mut Arena) -> Box<Block> {
        match self {
            Self::Empty => arena.take_clear(),
            Self::Full => {
                let mut block = arena.take();
                block.fill();
                block
            }
            Self::Stored(container) => arena.take_container(container),
            Self::Flat(block) => block,
        }
    }

    /// Both.
    pub fn and(self, other: Value<'a>, arena: &mut Arena) -> Value<'a> {
        match (self, other) {
            (Self::Empty, other) | (other, Self::Empty) => {
                arena.drop_value(other);
                Self::Empty
            }
            (Self::Full, other) | (other, Self::Full) => other,
            (Self::Flat(mut block), Self::Stored(container)) | (Self::Stored(container), Self::Flat(mut block)) => {
                let any = block.and_container(container);
                arena.value(block, any)
            }
            (Self::Flat(mut a), Self::Flat(b)) => {
                let any = a.and_block(&b);
                arena.give(b);
                arena.value(a, any)
            }
            (Self::Stored(a), Self::Stored(b)) => and_stored(a, b, arena),
        }
    }

    /// This without the other.
    pub fn andnot(self, other: Value<'a>, arena: &mut Arena) -> Value<'a> {
        match other {
            Self::Empty => self,
            Self::Full => {
                arena.drop_value(self);
                Self::Empty
            }
            _ if self.is_empty() => {
                arena.drop_value(other);
                Self::Empty
            }
            Self::Stored(container) => {
                let mut block = self.into_block(arena);
                let any = block.andnot_container(container);
                arena.value(block, any)
            }
            Self::Flat(gone) => {
                let mut block = self.into_block(arena);
                let any = block.andnot_block(&gone);
                arena.give(gone);
                arena.value(block, any)
            }
        }
    }

    /// Either. A computed union that turns out to hold everything becomes [`Value::Full`].
    pub fn or(self, other: Value<'a>, arena: &mut Arena) -> Value<'a> {
        let block = match (self, other) {
            (Self::Empty, other) | (other, Self::Empty) => return other,
            (Self::Full, other) | (other, Self::Full) => {
                arena.drop_value(other);
                return Self::Full;
            }
            (Self::Flat(mut block), Self::Stored(container)) | (Self::Stored(container), Self::Flat(mut block)) => {
                block.or_container(container);
                block
            }
            (Self::Flat(mut a), Self::Flat(b)) => {
                a.or_block(&b);
                arena.give(b);
                a
            }
            (Self::Stored(a), Self::Stored(b)) => {
                let mut block = arena.take_container(a);
                block.or_container(b);
                block
            }
        };
        if block.is_full() {
            arena.give(block);
            return Self::Full;
        }
        Self::Flat(block)
    }

    /// Members that both have, without making the set.
    pub fn and_count(&self, other: &Value<'_>, arena: &mut Arena) -> u32 {
        match (self, other) {
            (Value::Empty, _) | (_, Value::Empty) => 0,
            (Value::Full, other) => other.count(),
            (value, Value::Full) => value.count(),
            (Value::Flat(a), Value::Flat(b)) => kernel::and_count(a.words(), b.words()),
            (Value::Flat(block), Value::Stored(container)) | (Value::Stored(container), Value::Flat(block)) => {
                count_in(block.words(), *container)
            }
            (Value::Stored(Container::Bitmap(words)), Value::Stored(container))
            | (Value::Stored(container), Value::Stored(Container::Bitmap(words))) => count_in(*words, *container),
            (Value::Stored(a), Value::Stored(b)) => {
                let block = arena.take_container(*a);
                let total = count_in(block.words(), *b);
                arena.give(block);
                total
            }
        }
    }
}

fn and_stored<'a>(a: Container<'a>, b: Container<'a>, arena: &mut Arena) -> Value<'a> {
    match (a, b) {
        (Container::Bitmap(a), Container::Bitmap(b)) => {
            let mut block = arena.take();
            let any = kernel::and_to(block.words_mut(), a, b);
            arena.value(block, any)
        }
        (Container::Bitmap(words), Container::Array(members))
        | (Container::Array(members), Container::Bitmap(words)) => {
            let mut block = arena.take_clear();
            kernel::or_probed_array(block.words_mut(), words, members);
            let any = !block.is_empty();
            arena.value(block, any)
        }
        (a, b) => {
            let mut block = arena.take_container(a);
            let any = block.and_container(b);
            arena.value(block, any)
        }
    }
}

/// How many members of the container are in the words.
pub(crate) fn count_in<W: Words>(words: &W, container: Container<'_>) -> u32 {
    match container {
        Container::Array(members) => kernel::probe_count(words, members),
        Container::Bitmap(other) => kernel::and_count(words, other),
        Container::Run(runs) => {
            let mut block = Block::new();
            kernel::or_runs(block.words_mut(), runs);
            kernel::and_count(words, block.words())
        }
    }
}
