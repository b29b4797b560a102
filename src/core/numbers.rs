//! Maps and sets whose keys are numbers that this software has given out itself, such as those of identifiers and profiles. Nobody outside chooses them, so they need no hash that withstands an
//! adversary, and a batch looks up millions.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A map by number.
pub type NumberMap<V> = HashMap<i64, V, BuildHasherDefault<NumberHasher>>;

/// A set of numbers.
pub type NumberSet = HashSet<i64, BuildHasherDefault<NumberHasher>>;

/// Spreads the bits of a number over all of the hash.
#[derive(Debug, Clone, Copy, Default)]
pub struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // Both halves of the product, so that low bits and high bits depend on all.
        let product = u128::from(self.0 ^ number) * 0x9E37_79B9_7F4A_7C15;
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often the fullest of so many buckets is hit, and the fullest by the highest seven bits.
    fn fullest(keys: impl Iterator<Item = i64>, bits: u32) -> (usize, usize) {
        let (mut low, mut high) = (vec![0; 1 << bits], vec![0; 128]);
        for key in keys {
            let mut hasher = NumberHasher::default();
            hasher.write_i64(key);
            low[(hasher.finish() & ((1 << bits) - 1)) as usize] += 1;
            high[(hasher.finish() >> 57) as usize] += 1;
        }
        (low.into_iter().max().unwrap_or(0), high.into_iter().max().unwrap_or(0))
    }

    #[test]
    fn runs_and_strides_of_numbers_are_spread() {
        for stride in [1, 2, 8, 64, 1000, 1 << 20, 1 << 40] {
            let (low, high) = fullest((0..16_384).map(|i| i * stride), 14);
            assert!(low <= 12, "{low} of 16384 in one of 16384 buckets, stride {stride}");
            assert!(high <= 16_384 / 128 * 2, "{high} of 16384 in one of 128, stride {stride}");
        }
    }

    #[test]
    fn a_map_by_number_is_a_map() {
        let map: NumberMap<i64> = (-500..500).map(|i| (i * 7, i)).collect();
        assert_eq!(map.len(), 1000);
        assert!((-500..500).all(|i| map.get(&(i * 7)) == Some(&i)));
        assert_eq!(map.get(&1), None);
    }
}
