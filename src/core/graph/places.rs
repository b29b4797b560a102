//! Where numbered things lie in a list: by number, as an array is as long as numbers lie near each other.

use crate::numbers::NumberMap;

/// The place of nothing.
const NONE: u32 = u32::MAX;

/// So many numbers are passed by for the first one that is known; for each further one [`PER_KNOWN`] more.
const FIRST: usize = 1024;
const PER_KNOWN: usize = 2;

/// Places by number. Numbers that were given out one after the other, as those of a large component mostly were, take four bytes each and a look into an array; the
/// others are in a map.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The number of the first place of `near`.
    base: i64,
    near: Vec<u32>,
    far: NumberMap<u32>,
    known: usize,
    /// How many may be far before it is looked whether they are.
    looked: usize,
}

impl Places {
    /// The place of a number.
    pub fn get(&self, number: i64) -> Option<u32> {
        let near = self.distance(number).and_then(|at| self.near.get(at)).copied().filter(|&place| place != NONE);
        if near.is_some() || self.far.is_empty() { near } else { self.far.get(&number).copied() }
    }

    /// Says where a number is that has no place yet. The place `u32::MAX` is none.
    pub fn insert(&mut self, number: i64, place: u32) {
        if self.known == 0 {
            self.base = number;
        }
        let reach = FIRST + PER_KNOWN * self.known;
        match self.distance(number).filter(|&at| at < reach.max(self.near.len())) {
            Some(at) => {
                if at >= self.near.len() {
                    self.near.resize(at + 1, NONE);
                }
                if let Some(slot) = self.near.get_mut(at) {
                    *slot = place;
                }
            }
            None => {
                self.far.insert(number, place);
                if self.far.len() > self.looked {
                    self.gather();
                }
            }
        }
        self.known += 1;
    }

    /// Brings all numbers near if they lie near each other: the first was not one of the smallest. This is looked at whenever there are twice as many far ones.
    fn gather(&mut self) {
        self.looked = FIRST.max(2 * self.far.len());
        let near =
            (0i64..).zip(&self.near).filter(|(_, place)| **place != NONE).map(|(at, place)| (self.base + at, *place));
        let all: Vec<(i64, u32)> = near.chain(self.far.iter().map(|(number, place)| (*number, *place))).collect();
        let (Some(first), Some(last)) = (all.iter().map(|x| x.0).min(), all.iter().map(|x| x.0).max()) else { return };
        let span = last.checked_sub(first).and_then(|span| usize::try_from(span).ok());
        let Some(span) = span.filter(|&span| span < FIRST + PER_KNOWN * all.len()) else { return };
        self.base = first;
        self.near = vec![NONE; span + 1];
        self.far = NumberMap::default();
        for (number, place) in all {
            if let Some(slot) = self.distance(number).and_then(|at| self.near.get_mut(at)) {
                *slot = place;
            }
        }
    }

    /// How far a number is from the first.
    fn distance(&self, number: i64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.base)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        #[test]
        fn equals_a_map(
            steps in prop::collection::vec(prop_oneof![8 => 0i64..4, 2 => -3000i64..9000, 1 => any::<i64>()], 0..400),
            first in prop_oneof![Just(1i64), Just(i64::MIN), Just(i64::MAX - 2000), any::<i64>()]
        ) {
            let (mut places, mut map) = (Places::default(), HashMap::new());
            let mut number = first;
            for (place, step) in (0u32..).zip(&steps) {
                number = number.wrapping_add(*step);
                if let std::collections::hash_map::Entry::Vacant(vacant) = map.entry(number) {
                    vacant.insert(place);
                    places.insert(number, place);
                }
                for other in [number, number.wrapping_add(1), number.wrapping_sub(1), i64::MIN, i64::MAX, 0] {
                    prop_assert_eq!(places.get(other), map.get(&other).copied());
                }
            }
            prop_assert!(map.iter().all(|(number, place)| places.get(*number) == Some(*place)));
        }
    }

    #[test]
    fn numbers_given_out_in_turn_are_near() {
        let mut places = Places::default();
        for (place, number) in (0u32..).zip((500..3000).step_by(2)) {
            places.insert(number, place);
        }
        places.insert(-10_000, 9999);
        assert_eq!((places.near.len(), places.far.len()), (2499, 1));
        assert_eq!((places.get(502), places.get(503), places.get(-10_000)), (Some(1), None, Some(9999)));
        // Downwards, and from the middle.
        let mut places = Places::default();
        for (place, number) in (0u32..).zip((5000..9000).rev().chain(9000..9500)) {
            places.insert(number, place);
        }
        assert!(places.far.len() < 1024 && places.near.len() <= 4500);
        assert!((0u32..4000).all(|place| places.get(8999 - i64::from(place)) == Some(place)));
    }
}
