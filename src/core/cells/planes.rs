//! Numbers to bit planes and back, 64 at a time.

use super::Cell;
use crate::bitmap::kernel::transpose;
use crate::bitmap::{Arena, Block, Container, Portable, append_block};
use crate::error::StoreError;
use roaring::RoaringBitmap;

/// From this many numbers in one word on, transposing the word beats setting bit by bit.
const TRANSPOSE_FROM: usize = 8;
/// From this many cells in one block on, flat planes beat appending members one by one.
const FLAT_FROM: usize = 512;

/// Writes the planes of `depth` bits of `number(cell)` for cells ascending by offset, the highest bit first.
pub fn write(cells: &[Cell], depth: usize, number: impl Fn(&Cell) -> u64) -> Vec<RoaringBitmap> {
    let mut planes = vec![RoaringBitmap::new(); depth];
    let mut flat: Vec<Block> = Vec::new();
    for group in cells.chunk_by(|a, b| a.offset >> 16 == b.offset >> 16) {
        if group.len() < FLAT_FROM {
            for cell in group {
                for_each_bit(number(cell), |bit| {
                    if let Some(plane) = planes.get_mut(depth.wrapping_sub(bit + 1)) {
                        // Cells ascend: each is the last of its plane so far.
                        let _ = plane.try_push(cell.offset);
                    }
                });
            }
            continue;
        }
        flat.resize_with(depth, Block::new);
        flat.iter_mut().for_each(Block::clear);
        for word in group.chunk_by(|a, b| a.offset >> 6 == b.offset >> 6) {
            write_word(word, &mut flat, &number);
        }
        let key = group.first().map_or(0, |cell| (cell.offset >> 16) as u16);
        for (plane, block) in planes.iter_mut().rev().zip(&flat) {
            if !block.is_empty() {
                append_block(plane, key, block);
            }
        }
    }
    planes
}

/// Puts the numbers of the cells of one word into `flat`, the lowest bit first.
fn write_word(cells: &[Cell], flat: &mut [Block], number: impl Fn(&Cell) -> u64) {
    let index = cells.first().map_or(0, |cell| (cell.offset >> 6 & 1023) as usize);
    if cells.len() < TRANSPOSE_FROM {
        for cell in cells {
            for_each_bit(number(cell), |bit| {
                if let Some(block) = flat.get_mut(bit) {
                    block.words_mut()[index] |= 1 << (cell.offset & 63);
                }
            });
        }
        return;
    }
    let mut matrix = [0; 64];
    for cell in cells {
        matrix[(cell.offset & 63) as usize] = number(cell);
    }
    transpose(&mut matrix);
    for (block, word) in flat.iter_mut().zip(matrix) {
        block.words_mut()[index] = word;
    }
}

/// The numbers of `members` of block `key`, ascending, by the planes, the highest bit first: for members so few that their bits are sooner found than laid out.
///
/// # Errors
/// Those of [`Portable::get`].
pub fn gather(planes: &[Portable<'_>], key: u16, members: &[u16]) -> Result<Vec<u64>, StoreError> {
    let mut numbers = vec![0u64; members.len()];
    for plane in planes {
        numbers.iter_mut().for_each(|number| *number <<= 1);
        let Some(container) = plane.get(key)? else { continue };
        match container {
            Container::Array(set) => {
                let mut set = set.iter().map(|member| u16::from_le_bytes(*member)).peekable();
                for (member, number) in members.iter().zip(&mut numbers) {
                    while set.next_if(|bit| bit < member).is_some() {}
                    *number |= u64::from(set.next_if_eq(member).is_some());
                }
            }
            other => {
                for (member, number) in members.iter().zip(&mut numbers) {
                    *number |= u64::from(other.contains(*member));
                }
            }
        }
    }
    Ok(numbers)
}

/// The planes of one block, flat, the lowest bit first; `None` where a plane holds nothing of the block.
pub struct Flats(Vec<Option<Box<Block>>>);

impl Flats {
    /// Loads the planes of `key`, given the highest bit first.
    ///
    /// # Errors
    /// Those of [`Portable::get`].
    pub fn load(planes: &[Portable<'_>], key: u16, arena: &mut Arena) -> Result<Self, StoreError> {
        let load = |plane: &Portable<'_>| Ok(plane.get(key)?.map(|container| arena.take_container(container)));
        planes.iter().rev().map(load).collect::<Result<_, _>>().map(Self)
    }

    /// Gives the blocks back.
    pub fn drop_into(self, arena: &mut Arena) {
        self.0.into_iter().flatten().for_each(|block| arena.give(block));
    }

    /// The 64 numbers of word `index`; only those in `wanted` are right.
    pub fn read(&self, index: usize, wanted: u64, numbers: &mut [u64; 64]) {
        if (wanted.count_ones() as usize) < TRANSPOSE_FROM {
            for_each_bit(wanted, |lane| {
                let bits = self.words(index).enumerate();
                numbers[lane & 63] = bits.fold(0, |number, (bit, word)| number | (word >> lane & 1) << bit);
            });
            return;
        }
        *numbers = [0; 64];
        for (number, word) in numbers.iter_mut().zip(self.words(index)) {
            *number = word;
        }
        transpose(numbers);
    }

    /// Word `index` of each plane. There are at most 64 planes.
    fn words(&self, index: usize) -> impl Iterator<Item = u64> + '_ {
        self.0
            .iter()
            .map(move |block| block.as_ref().and_then(|block| block.words().get(index)).map_or(0, |word| *word))
    }
}

/// Calls `f` with the place of each bit that is set, the lowest first.
pub fn for_each_bit(mut word: u64, mut f: impl FnMut(usize)) {
    while word != 0 {
        f(word.trailing_zeros() as usize);
        word &= word - 1;
    }
}
