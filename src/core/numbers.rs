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

/// The places of ascending numbers. When most from the first to the last are there, as of those that were given out one after the other, a number is found in one step.
#[derive(Debug, Clone)]
pub struct Places {
    /// The numbers, when they are far apart.
    apart: Vec<i64>,
    /// Else the first of them, and of each number from there on its place, or that it has none.
    first: i64,
    dense: Vec<u32>,
}

impl Places {
    /// How many times as many numbers there may be from the first to the last.
    const DENSE: usize = 4;
    const NONE: u32 = u32::MAX;

    /// Of some numbers, which ascend.
    pub fn of(numbers: impl ExactSizeIterator<Item = i64> + Clone) -> Self {
        let (count, first, last) = (numbers.len(), numbers.clone().next(), numbers.clone().last());
        let span = last.zip(first).and_then(|(last, first)| usize::try_from(last.checked_sub(first)?).ok());
        let span = span.filter(|span| *span < count.saturating_mul(Self::DENSE) && count < Self::NONE as usize);
        let (Some(span), Some(first)) = (span, first) else {
            return Self { apart: numbers.collect(), first: 0, dense: Vec::new() };
        };
        let mut dense = vec![Self::NONE; span + 1];
        for (place, number) in (0u32..).zip(numbers) {
            let offset = usize::try_from(number - first).unwrap_or(usize::MAX);
            if let Some(slot) = dense.get_mut(offset) {
                *slot = place;
            }
        }
        Self { apart: Vec::new(), first, dense }
    }

    /// The place of a number; `None`: it is not among them.
    pub fn get(&self, number: i64) -> Option<usize> {
        if self.dense.is_empty() {
            return self.apart.binary_search(&number).ok();
        }
        let offset = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.dense.get(offset).filter(|place| **place != Self::NONE).map(|place| *place as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn places_are_those_in_the_list(
            numbers in proptest::collection::btree_set(prop_oneof![-9i64..40, any::<i64>(), Just(i64::MIN), Just(i64::MAX)], 0..60),
            asked in proptest::collection::vec(-12i64..60, 0..60),
        ) {
            let near: Vec<i64> = numbers.iter().copied().filter(|number| (-9..40).contains(number)).collect();
            for list in [numbers.into_iter().collect(), near] {
                let places = Places::of(list.iter().copied());
                for number in list.iter().chain(&asked).chain(&[i64::MIN, i64::MAX]) {
                    prop_assert_eq!(places.get(*number), list.binary_search(number).ok());
                }
            }
        }
    }
}
