//! Sums of one block as an array of 2^16 numbers: the accumulator for sparse or wide cells.

use super::planes::for_each_bit;
use crate::bitmap::kernel::ends;
use crate::bitmap::{Block, Container};

const LANES: usize = 1 << 16;
/// From this many members in one word on, adding to all 64 lanes under a mask beats going from member to member.
const DENSE_FROM: u32 = 16;

/// A type sums can be kept in. Sums wrap; the caller has shown that the total fits, and then it is right whatever
/// happened on the way.
pub trait Lane: Copy + Ord {
    /// Nothing.
    const ZERO: Self;
    /// The low bits of `value`.
    fn cut(value: i128) -> Self;
    /// The nearest number of this type.
    fn clamp_from(value: i128) -> Self;
    /// The sum, wrapped.
    fn plus(self, other: Self) -> Self;
}

macro_rules! lane {
    ($($type:ty),*) => {$(
        impl Lane for $type {
            const ZERO: Self = 0;
            fn cut(value: i128) -> Self {
                value as Self
            }
            fn clamp_from(value: i128) -> Self {
                // In range of the type after the clamp, except that i128 itself has no other range.
                value.clamp(<$type>::MIN as i128, <$type>::MAX as i128) as Self
            }
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
        }
    )*};
}
lane!(u16, i64, i128);

/// One sum for each of the 2^16 offsets of a block.
#[derive(Debug)]
pub struct Lanes<L>(Box<[L]>);

impl<L: Lane> Default for Lanes<L> {
    fn default() -> Self {
        Self(vec![L::ZERO; LANES].into_boxed_slice())
    }
}

impl<L: Lane> Lanes<L> {
    /// Sets every sum to zero.
    pub fn clear(&mut self) {
        self.0.fill(L::ZERO);
    }

    /// Adds `weight` to the sum of each member.
    pub fn add(&mut self, container: Container<'_>, weight: L) {
        match container {
            Container::Array(members) => {
                let Ok(lanes) = <&mut [L; LANES]>::try_from(&mut self.0[..]) else {
                    return;
                };
                for member in members {
                    let lane = &mut lanes[usize::from(u16::from_le_bytes(*member))];
                    *lane = lane.plus(weight);
                }
            }
            Container::Bitmap(words) => {
                for (lanes, word) in self.0.as_chunks_mut::<64>().0.iter_mut().zip(words) {
                    add_word(lanes, u64::from_le_bytes(*word), weight);
                }
            }
            Container::Run(runs) => {
                for run in runs {
                    let (first, last) = ends(run);
                    for lane in &mut self.0[usize::from(first)..=usize::from(last)] {
                        *lane = lane.plus(weight);
                    }
                }
            }
        }
    }

    /// The offsets whose sum is in low..=high.
    pub fn between(&self, low: i128, high: i128, block: &mut Block) {
        let (low, high) = (L::clamp_from(low), L::clamp_from(high));
        for (lanes, word) in self.0.as_chunks::<64>().0.iter().zip(block.words_mut()) {
            let mut bits = 0;
            for (lane, at) in lanes.iter().zip(0u32..) {
                bits |= u64::from(*lane >= low && *lane <= high) << at;
            }
            *word = bits;
        }
    }
}

fn add_word<L: Lane>(lanes: &mut [L; 64], word: u64, weight: L) {
    if word.count_ones() < DENSE_FROM {
        for_each_bit(word, |at| lanes[at & 63] = lanes[at & 63].plus(weight));
        return;
    }
    // Sixteen lanes at a time, so that the mask of a lane is no wider than the narrowest lane.
    for (lanes, part) in lanes.as_chunks_mut::<16>().0.iter_mut().zip(0..4) {
        let bits = (word >> (16 * part)) as u16;
        for (lane, at) in lanes.iter_mut().zip(0..16) {
            *lane = lane.plus(if bits & 1 << at != 0 { weight } else { L::ZERO });
        }
    }
}
