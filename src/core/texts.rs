//! Distinct texts, each with its place: what a batch shows of values, hundreds of thousands of them, without an allocation for each.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::fmt;
use std::hash::BuildHasher;

/// Texts, each with its place, from 0.
#[derive(Default, Clone)]
pub struct TextList {
    /// All of them, one after the other.
    all: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl TextList {
    /// Adds a text, at the next place.
    pub fn push(&mut self, text: &str) {
        self.all.push_str(text);
        self.ends.push(self.all.len());
    }

    /// The text at a place.
    pub fn get(&self, place: u32) -> Option<&str> {
        let place = place as usize;
        let begin = if place == 0 { 0 } else { *self.ends.get(place - 1)? };
        self.all.get(begin..*self.ends.get(place)?)
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

    /// About how many bytes are in use.
    pub fn bytes(&self) -> usize {
        self.all.len() + self.ends.len() * size_of::<usize>()
    }
}

/// What is looked at to find a text: all but the text itself, which lies elsewhere.
#[derive(Debug, Clone, Copy)]
struct Known {
    hash: u64,
    begin: usize,
    length: u32,
    place: u32,
}

/// Distinct texts in the order in which they came: the first has the place 0.
#[derive(Default, Clone)]
pub struct Texts {
    list: TextList,
    known: HashTable<Known>,
    hasher: DefaultHashBuilder,
}

impl Texts {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// The place of a text, and whether it came now for the first time. `None`: there are 2^32 - 2 others already, or it is longer than 4 GB.
    pub fn insert(&mut self, text: &str) -> Option<(u32, bool)> {
        let hash = self.hasher.hash_one(text);
        let length = u32::try_from(text.len()).ok()?;
        let all = self.list.all.as_bytes();
        let same = |known: &Known| {
            let bytes = || all.get(known.begin..known.begin + text.len());
            known.hash == hash && known.length == length && bytes() == Some(text.as_bytes())
        };
        if let Some(known) = self.known.find(hash, same) {
            return Some((known.place, false));
        }
        // The last two numbers are free for what is no place.
        let place = u32::try_from(self.list.len()).ok().filter(|place| *place < u32::MAX - 1)?;
        let known = Known { hash, begin: self.list.all.len(), length, place };
        self.list.push(text);
        self.known.insert_unique(hash, known, |known| known.hash);
        Some((place, true))
    }

    /// The texts, by place.
    pub fn list(&self) -> &TextList {
        &self.list
    }

    /// The texts, by place; what tells whether one is there already is given back.
    pub fn into_list(self) -> TextList {
        self.list
    }

    /// About how many bytes are in use.
    pub fn bytes(&self) -> usize {
        self.list.bytes() + self.known.len() * size_of::<Known>()
    }
}

impl fmt::Debug for TextList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.list.fmt(f)
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
        let list = texts.into_list();
        assert_eq!((list.get(0), list.get(1), list.get(2)), (Some(""), Some("é"), None));
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
                prop_assert_eq!(ours.list().get(place), Some(text.as_str()));
            }
            prop_assert_eq!(ours.list().len(), map.len());
            for (place, text) in ours.list().iter().enumerate() {
                prop_assert_eq!(map[text] as usize, place);
            }
        }
    }
}
