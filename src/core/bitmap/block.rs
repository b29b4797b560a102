//! A flat set of 2^16 members, the scratch of every computation.

use super::{Container, WORDS, kernel};
use roaring::RoaringBitmap;

/// A set over 0..=65535 as 8 KB of bits. It lives in the first-level cache while an expression is computed in it.
#[derive(Clone, PartialEq, Eq)]
#[repr(align(64))]
pub struct Block {
    words: kernel::Flat,
}

impl Default for Block {
    fn default() -> Self {
        Self { words: [0; WORDS] }
    }
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Block {
    /// An empty block.
    pub fn new() -> Self {
        Self::default()
    }

    /// The words, lowest members first.
    pub fn words(&self) -> &[u64; WORDS] {
        &self.words
    }

    /// The words, to be written.
    pub fn words_mut(&mut self) -> &mut [u64; WORDS] {
        &mut self.words
    }

    /// The words as they are stored.
    pub fn stored_words(&self) -> &kernel::StoredWords {
        bytemuck::must_cast_ref(&self.words)
    }

    /// Removes every member.
    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    /// Adds every member.
    pub fn fill(&mut self) {
        self.words.fill(!0);
    }

    /// Adds one member.
    pub fn insert(&mut self, member: u16) {
        self.words[usize::from(member >> 6)] |= 1 << (member & 63);
    }

    /// Removes one member.
    pub fn remove(&mut self, member: u16) {
        self.words[usize::from(member >> 6)] &= !(1 << (member & 63));
    }

    /// Whether `member` is in the set.
    pub fn contains(&self, member: u16) -> bool {
        self.words[usize::from(member >> 6)] >> (member & 63) & 1 == 1
    }

    /// Becomes the container.
    pub fn set_container(&mut self, container: Container<'_>) {
        if let Container::Bitmap(words) = container {
            kernel::copy(&mut self.words, words);
        } else {
            self.clear();
            self.or_container(container);
        }
    }

    /// Becomes a copy of the other block.
    pub fn set_block(&mut self, other: &Block) {
        self.words = other.words;
    }

    /// Adds the members of the container.
    pub fn or_container(&mut self, container: Container<'_>) {
        match container {
            Container::Array(members) => kernel::or_array(&mut self.words, members),
            Container::Bitmap(words) => kernel::or(&mut self.words, words),
            Container::Run(runs) => kernel::or_runs(&mut self.words, runs),
        }
    }

    /// Keeps the members that are in the container too; whether any is left.
    pub fn and_container(&mut self, container: Container<'_>) -> bool {
        match container {
            Container::Array(members) => {
                let before = self.words;
                self.clear();
                kernel::or_probed_array(&mut self.words, &before, members);
                !self.is_empty()
            }
            Container::Bitmap(words) => kernel::and(&mut self.words, words),
            Container::Run(runs) => {
                let mut kept = [0; WORDS];
                kernel::or_runs(&mut kept, runs);
                kernel::and(&mut self.words, &kept)
            }
        }
    }

    /// Removes the members of the container; whether any is left.
    pub fn andnot_container(&mut self, container: Container<'_>) -> bool {
        match container {
            Container::Array(members) => kernel::andnot_array(&mut self.words, members),
            Container::Bitmap(words) => return kernel::andnot(&mut self.words, words),
            Container::Run(runs) => kernel::andnot_runs(&mut self.words, runs),
        }
        !self.is_empty()
    }

    /// Adds the members of the other block.
    pub fn or_block(&mut self, other: &Block) {
        kernel::or(&mut self.words, &other.words);
    }

    /// Keeps the members that are in the other block too; whether any is left.
    pub fn and_block(&mut self, other: &Block) -> bool {
        kernel::and(&mut self.words, &other.words)
    }

    /// Removes the members of the other block; whether any is left.
    pub fn andnot_block(&mut self, other: &Block) -> bool {
        kernel::andnot(&mut self.words, &other.words)
    }

    /// Number of members, 0..=65536.
    pub fn count(&self) -> u32 {
        kernel::count(&self.words)
    }

    /// Whether there is no member. Stops at the first one.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Whether nothing is missing. Stops at the first gap.
    pub fn is_full(&self) -> bool {
        self.words.iter().all(|word| *word == !0)
    }

    /// The members, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.words.iter().zip(0u16..).flat_map(|(word, index)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros() as u16)?;
                left &= left.wrapping_sub(1);
                Some(index << 6 | bit)
            })
        })
    }
}

/// Adds a finished block to `bitmap` as the members `key << 16 ..`. Keys in ascending order are cheapest.
pub fn append_block(bitmap: &mut RoaringBitmap, key: u16, block: &Block) {
    let mut bytes = [[0u8; 8]; WORDS];
    for (bytes, word) in bytes.iter_mut().zip(block.words()) {
        *bytes = word.to_le_bytes();
    }
    *bitmap |= RoaringBitmap::from_lsb0_bytes(u32::from(key) << 16, bytes.as_flattened());
}
