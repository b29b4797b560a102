//! Distinct texts, each with its place: what a batch shows of values, hundreds of thousands of them, without an allocation for each.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::fmt;
use std::hash::BuildHasher;

/// Distinct texts in the order in which they came: the first has the place 0.
#[derive(Default, Clone)]
pub struct Texts {
    /// All of them, one after the other.
    all: String,
    /// Where each ends.
    ends: Vec<usize>,
    /// The places, each with the hash of its text, so that growing does not read the texts again.
    places: HashTable<(u64, u32)>,
    hasher: DefaultHashBuilder,
}

impl Texts {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// The place of a text, and whether it came now for the first time. `None`: there are 2^32 - 2 others already.
    pub fn insert(&mut self, text: &str) -> Option<(u32, bool)> {
        let hash = self.hasher.hash_one(text);
        let (all, ends) = (&self.all, &self.ends);
        if let Some((_, place)) =
            self.places.find(hash, |(other, place)| *other == hash && at(all, ends, *place) == Some(text))
        {
            return Some((*place, false));
        }
        // The last two numbers are free for what is no place.
        let place = u32::try_from(self.ends.len()).ok().filter(|place| *place < u32::MAX - 1)?;
        self.all.push_str(text);
        self.ends.push(self.all.len());
        self.places.insert_unique(hash, (hash, place), |(hash, _)| *hash);
        Some((place, true))
    }

    /// The text at a place.
    pub fn get(&self, place: u32) -> Option<&str> {
        at(&self.all, &self.ends, place)
    }

    /// All of them, in the order of their places.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + '_ {
        let mut begin = 0;
        self.ends.iter().map(move |end| self.all.get(std::mem::replace(&mut begin, *end)..*end).unwrap_or_default())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// About how many bytes they take.
    pub fn bytes(&self) -> usize {
        self.all.capacity()
            + self.ends.capacity() * size_of::<usize>()
            + self.places.capacity() * size_of::<(u64, u32)>()
    }
}

fn at<'a>(all: &'a str, ends: &[usize], place: u32) -> Option<&'a str> {
    let place = place as usize;
    let begin = if place == 0 { 0 } else { *ends.get(place - 1)? };
    all.get(begin..*ends.get(place)?)
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn the_empty_text_is_one() {
        let mut texts = Texts::new();
        assert_eq!(texts.insert(""), Some((0, true)));
        assert_eq!(texts.insert("é"), Some((1, true)));
        assert_eq!(texts.insert(""), Some((0, false)));
        assert_eq!((texts.get(0), texts.get(1), texts.get(2)), (Some(""), Some("é"), None));
    }

    proptest! {
        #[test]
        fn as_a_map_from_texts_to_their_order(texts in proptest::collection::vec("[a-cé]{0,3}", 0..400)) {
            let mut ours = Texts::new();
            let mut map: HashMap<String, u32> = HashMap::new();
            for text in &texts {
                let next = map.len() as u32;
                let place = *map.entry(text.clone()).or_insert(next);
                prop_assert_eq!(ours.insert(text), Some((place, place == next && map.len() as u32 > next)));
                prop_assert_eq!(ours.get(place), Some(text.as_str()));
            }
            prop_assert_eq!(ours.len(), map.len());
            for (place, text) in ours.iter().enumerate() {
                prop_assert_eq!(map[text] as usize, place);
            }
        }
    }
}
