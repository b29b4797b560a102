//! What changed between two sets of one shard.

use super::{Arena, Bytes, Container, Portable, SHARD_BLOCKS, Value, Writer};
use crate::error::StoreError;

/// What a set gained and lost.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Difference {
    /// Members that are new, as portable 32-bit Roaring bytes; `None` for none.
    pub added: Option<Vec<u8>>,
    /// Members that are gone; `None` for none.
    pub removed: Option<Vec<u8>>,
}

impl Difference {
    /// Whether the two sets are the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_none() && self.removed.is_none()
    }

    /// How many members are new and how many are gone.
    ///
    /// # Errors
    /// None for bytes that [`difference`] has written.
    pub fn counts(&self) -> Result<(u64, u64), StoreError> {
        let count = |bytes: &Option<Vec<u8>>| match bytes {
            None => Ok(0),
            Some(bytes) => Portable::open(bytes).map(|set| set.cardinality()),
        };
        Ok((count(&self.added)?, count(&self.removed)?))
    }
}

/// Compares two sets of one shard, portable 32-bit Roaring bytes, container by container; `None` is the empty set. Containers that are stored
/// alike are not looked into, so a set that barely changed costs little more than comparing bytes.
///
/// # Errors
/// What is wrong with the bytes of a set.
pub fn difference(before: Option<Bytes<'_>>, after: Option<Bytes<'_>>) -> Result<Difference, StoreError> {
    let before = before.map(Portable::open_shard).transpose()?;
    let after = after.map(Portable::open_shard).transpose()?;
    let mut arena = Arena::new();
    let (mut added, mut removed) = (Writer::default(), Writer::default());
    for key in 0..SHARD_BLOCKS {
        let (old, new) = (container(before, key)?, container(after, key)?);
        if same(&old, &new) {
            continue;
        }
        for (left, right, writer) in [(new, old, &mut added), (old, new, &mut removed)] {
            let value = Value::stored(left).andnot(Value::stored(right), &mut arena);
            writer.push(key, value).into_iter().for_each(|block| arena.give(block));
        }
    }
    Ok(Difference { added: added.finish(), removed: removed.finish() })
}

fn container<'a>(set: Option<Portable<'a>>, key: u16) -> Result<Option<Container<'a>>, StoreError> {
    set.map_or(Ok(None), |set| set.get(key))
}

/// Whether two containers are stored alike, and so hold the same members.
fn same(a: &Option<Container<'_>>, b: &Option<Container<'_>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(Container::Array(a)), Some(Container::Array(b))) => a == b,
        (Some(Container::Bitmap(a)), Some(Container::Bitmap(b))) => a == b,
        (Some(Container::Run(a)), Some(Container::Run(b))) => a == b,
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::testing::{offsets, prefixes, set_bytes};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn bytes(set: &BTreeSet<u32>, runs: bool) -> Option<Vec<u8>> {
        (!set.is_empty()).then(|| set_bytes(set, runs))
    }

    fn members(bytes: &Option<Vec<u8>>) -> BTreeSet<u32> {
        bytes.iter().flat_map(|b| Portable::open_shard(b).unwrap().decoded().unwrap()).collect()
    }

    fn check(a: &BTreeSet<u32>, b: &BTreeSet<u32>, runs: (bool, bool)) {
        let (before, after) = (bytes(a, runs.0), bytes(b, runs.1));
        let found = difference(before.as_ref().map(Into::into), after.as_ref().map(Into::into)).unwrap();
        assert_eq!(members(&found.added), b - a);
        assert_eq!(members(&found.removed), a - b);
        assert_eq!(found.counts().unwrap(), ((b - a).len() as u64, (a - b).len() as u64));
        assert_eq!(found.is_empty(), a == b);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn differences_are_those_of_sets(a in offsets(), b in offsets(), runs: (bool, bool)) {
            check(&a, &b, runs);
            check(&a, &a, runs);
            check(&a, &(&a | &b), runs);
            check(&a, &BTreeSet::new(), runs);
            check(&BTreeSet::new(), &b, runs);
        }
    }

    #[test]
    fn a_few_changes_of_a_dense_set() {
        let a: BTreeSet<u32> = (0..400_000).filter(|n| n % 3 != 0).collect();
        let mut b = a.clone();
        for n in [1, 65_537, 300_001] {
            b.remove(&n);
            b.insert(n + 2);
        }
        check(&a, &b, (false, true));
        check(&b, &a, (true, false));
    }

    #[test]
    fn damage_is_an_error() {
        let set: BTreeSet<u32> = (0..3000).map(|n| n * 300).collect();
        let whole = set_bytes(&set, false);
        for prefix in prefixes(&whole) {
            assert!(difference(Some(prefix.into()), Some((&whole).into())).is_err());
            assert!(difference(None, Some(prefix.into())).is_err());
        }
    }
}
