//! Canonical bytes: containers, sets, the whole index.

use super::format::{HEAD, VERSION};
use super::{Error, above, depth_of};
use crate::bitmap::assemble::{self, Placed};
use crate::bitmap::kernel::transpose;
use crate::bitmap::{ARRAY_MAX, Arena, Block, Container, Value, WORDS};
use crate::bitmap_treemap;
use crate::cells::planes::for_each_bit;

const ARRAY_MOST: usize = ARRAY_MAX as usize;
/// Bytes of a bitset container.
const BITSET_BYTES: usize = 8 * WORDS;
/// From this many numbers in one block on, transposing words of 64 beats setting bit by bit.
const TRANSPOSE_FROM: usize = 512;

/// A container of our own, never empty.
#[derive(Debug, Clone)]
pub(super) enum Owned {
    Array(Vec<[u8; 2]>),
    Bits(u32, Box<[[u8; 8]; WORDS]>),
    Runs(u32, Vec<[u8; 4]>),
}

/// Whether `runs` runs are shorter than the other forms of a container of `members` members.
fn runs_win(members: usize, runs: usize) -> bool {
    2 + 4 * runs < if members <= ARRAY_MOST { 2 * members } else { BITSET_BYTES }
}

fn run(first: u16, last: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (first.to_le_bytes(), (last - first).to_le_bytes());
    [a, b, c, d]
}

impl Owned {
    /// The container of a set in its canonical form; `None` for the empty set.
    pub fn from_block(block: &Block) -> Option<Self> {
        let (mut members, mut runs, mut last) = (0usize, 0usize, 0u64);
        for word in block.words() {
            members += word.count_ones() as usize;
            // A run begins where a bit is set and the one before it is not.
            runs += (word & !(word << 1 | last >> 63)).count_ones() as usize;
            last = *word;
        }
        if members == 0 {
            return None;
        }
        if runs_win(members, runs) {
            let mut found: Vec<(u16, u16)> = Vec::with_capacity(runs);
            for member in block.iter() {
                match found.last_mut() {
                    Some((_, last)) if u32::from(*last) + 1 == u32::from(member) => *last = member,
                    _ => found.push((member, member)),
                }
            }
            return Some(Self::Runs(members as u32, found.iter().map(|(first, last)| run(*first, *last)).collect()));
        }
        if members <= ARRAY_MOST {
            return Some(Self::Array(block.iter().map(u16::to_le_bytes).collect()));
        }
        let mut bits = Box::new([[0; 8]; WORDS]);
        for (bytes, word) in bits.iter_mut().zip(block.words()) {
            *bytes = word.to_le_bytes();
        }
        Some(Self::Bits(members as u32, bits))
    }

    /// The same from members in ascending order.
    pub fn from_sorted(members: &[u16]) -> Option<Self> {
        let breaks = members.windows(2).filter(|pair| u32::from(pair[0]) + 1 != u32::from(pair[1])).count();
        if members.is_empty() {
            return None;
        }
        if members.len() > ARRAY_MOST || runs_win(members.len(), breaks + 1) {
            let mut block = Block::new();
            members.iter().for_each(|member| block.insert(*member));
            return Self::from_block(&block);
        }
        Some(Self::Array(members.iter().map(|member| member.to_le_bytes()).collect()))
    }

    /// The set of a value in its canonical form.
    pub fn from_value(value: Value<'_>, arena: &mut Arena) -> Option<Self> {
        match value {
            Value::Empty => None,
            Value::Full => Some(Self::Runs(1 << 16, vec![run(0, u16::MAX)])),
            value => {
                let block = value.into_block(arena);
                let owned = Self::from_block(&block);
                arena.give(block);
                owned
            }
        }
    }

    pub fn container(&self) -> Container<'_> {
        match self {
            Self::Array(members) => Container::Array(members),
            Self::Bits(_, words) => Container::Bitmap(words),
            Self::Runs(_, runs) => Container::Run(runs),
        }
    }

    pub fn cardinality(&self) -> u32 {
        match self {
            Self::Array(members) => members.len() as u32,
            Self::Bits(members, _) | Self::Runs(members, _) => *members,
        }
    }
}

/// Writes a set in the portable 64-bit format, block by block in ascending order.
#[derive(Debug)]
pub(super) struct SetWriter {
    out: Vec<u8>,
    buckets: u64,
    high: u32,
    /// The containers of the bucket that is being collected.
    open: Vec<(u16, Owned)>,
}

impl SetWriter {
    pub fn new() -> Self {
        Self { out: bitmap_treemap::EMPTY.to_vec(), buckets: 0, high: 0, open: Vec::new() }
    }

    /// Adds a block; blocks without members are left out.
    pub fn push(&mut self, block: u64, container: Option<Owned>) {
        let Some(container) = container else { return };
        let high = (block >> 16) as u32;
        if high != self.high {
            self.close();
            self.high = high;
        }
        self.open.push((block as u16, container));
    }

    fn close(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let placed: Vec<Placed<'_>> = self
            .open
            .iter()
            .map(|(key, owned)| Placed { key: *key, cardinality: owned.cardinality(), container: owned.container() })
            .collect();
        self.out.extend_from_slice(&self.high.to_le_bytes());
        assemble::write(&placed, &mut self.out);
        self.buckets += 1;
        self.open.clear();
    }

    /// The bytes.
    pub fn finish(mut self) -> Vec<u8> {
        self.close();
        if let Some(count) = self.out.first_chunk_mut::<8>() {
            *count = self.buckets.to_le_bytes();
        }
        self.out
    }
}

/// Takes the values of one block: the ids shifted right by 16 bits, then (low 16 bits of the id, value), ascending.
pub(super) type Visit<'v> = dyn FnMut(u64, &[(u16, i64)]) -> Result<(), Error> + 'v;

/// The canonical bytes of the values that `walk` passes to its visitor, block by block in ascending order. It is called
/// twice, because the depth must be known before the first slice is written, and must pass the same both times; so no
/// more than one block of values is in memory.
pub(super) fn encode(walk: impl Fn(&mut Visit<'_>) -> Result<(), Error>) -> Result<Vec<u8>, Error> {
    let (mut count, mut base, mut max) = (0u64, i64::MAX, i64::MIN);
    walk(&mut |_, values| {
        count += values.len() as u64;
        for (_, value) in values {
            base = base.min(*value);
            max = max.max(*value);
        }
        Ok(())
    })?;
    if count == 0 {
        (base, max) = (0, 0);
    }
    let mut writer = Writer::new(base, depth_of(above(max, base)));
    walk(&mut |block, values| {
        writer.push(block, values);
        Ok(())
    })?;
    let mut sets = vec![writer.existence.finish()];
    sets.extend(writer.slices.into_iter().map(SetWriter::finish));

    let mut bytes = Vec::with_capacity(HEAD + sets.iter().map(|set| 4 + set.len()).sum::<usize>());
    bytes.extend([VERSION, writer.depth as u8, 0, 0]);
    bytes.extend(count.to_le_bytes());
    bytes.extend(base.to_le_bytes());
    bytes.extend(max.to_le_bytes());
    for set in &sets {
        bytes.extend(u32::try_from(set.len()).map_err(|_| Error::TooLong)?.to_le_bytes());
    }
    sets.iter().for_each(|set| bytes.extend(set));
    Ok(bytes)
}

struct Writer {
    base: i64,
    depth: usize,
    existence: SetWriter,
    /// Highest bit first.
    slices: Vec<SetWriter>,
    members: Vec<u16>,
    /// One block a bit, lowest bit first.
    flat: Vec<Block>,
}

impl Writer {
    fn new(base: i64, depth: usize) -> Self {
        let slices = std::iter::repeat_with(SetWriter::new).take(depth).collect();
        Self { base, depth, existence: SetWriter::new(), slices, members: Vec::new(), flat: Vec::new() }
    }

    fn push(&mut self, block: u64, values: &[(u16, i64)]) {
        self.members.clear();
        self.members.extend(values.iter().map(|(member, _)| *member));
        self.existence.push(block, Owned::from_sorted(&self.members));
        if values.len() < TRANSPOSE_FROM {
            for (slice, bit) in self.slices.iter_mut().rev().zip(0u32..) {
                let has = values.iter().filter(|(_, value)| above(*value, self.base) >> bit & 1 == 1);
                self.members.clear();
                self.members.extend(has.map(|(member, _)| *member));
                slice.push(block, Owned::from_sorted(&self.members));
            }
            return;
        }
        self.flat.resize_with(self.depth, Block::new);
        self.flat.iter_mut().for_each(Block::clear);
        for word in values.chunk_by(|a, b| a.0 >> 6 == b.0 >> 6) {
            write_word(word, self.base, &mut self.flat);
        }
        for (slice, flat) in self.slices.iter_mut().rev().zip(&self.flat) {
            slice.push(block, Owned::from_block(flat));
        }
    }
}

/// Puts values of one word of 64 ids into `flat`, the lowest bit first.
fn write_word(values: &[(u16, i64)], base: i64, flat: &mut [Block]) {
    let index = values.first().map_or(0, |(member, _)| usize::from(member >> 6));
    if values.len() < 8 {
        for (member, value) in values {
            for_each_bit(above(*value, base), |bit| {
                if let Some(block) = flat.get_mut(bit) {
                    block.insert(*member);
                }
            });
        }
        return;
    }
    let mut matrix = [0; 64];
    for (member, value) in values {
        matrix[usize::from(member & 63)] = above(*value, base);
    }
    transpose(&mut matrix);
    for (block, word) in flat.iter_mut().zip(matrix) {
        block.words_mut()[index & (WORDS - 1)] = word;
    }
}
