//! Looking a value up in bytes that are elsewhere: the same answers as in memory, from a few reads.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;
use roaring::RoaringTreemap;

use super::tests::sets;
use super::*;

/// Counts what is read.
struct Counted<'a> {
    bytes: &'a [u8],
    reads: usize,
    read: usize,
}

impl Source for Counted<'_> {
    fn read(&mut self, at: usize, length: usize) -> &[u8] {
        self.reads += 1;
        self.read += length;
        self.bytes.read(at, length)
    }
}

fn bytes_of(set: &RoaringTreemap) -> Vec<u8> {
    let mut bytes = Vec::new();
    set.serialize_into(&mut bytes).unwrap();
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn found_is_what_is_contained((oracle, bytes) in sets(), probes in proptest::collection::vec((any::<prop::sample::Index>(), 0u64..5), 1..50), shift in 0usize..9) {
        let moved = [vec![0xA5; shift], bytes.clone(), vec![0xA5; 4]].concat();
        let members: Vec<u64> = oracle.iter().copied().collect();
        for (index, beside) in probes {
            let near = if members.is_empty() { beside } else { index.get(&members).saturating_sub(2) + beside };
            let found = find(&mut moved.as_slice(), shift, near).unwrap();
            prop_assert_eq!(found, Some(oracle.contains(&near)), "{}", near);
            prop_assert_eq!(contains(&bytes, near).unwrap(), oracle.contains(&near), "{}", near);
        }
    }

    #[test]
    fn sorted_values_become_the_set((oracle, _) in sets()) {
        let values: Vec<u64> = oracle.iter().copied().collect();
        let bytes = from_sorted(&values).unwrap();
        prop_assert_eq!(&bytes, &bytes_of(&oracle.iter().copied().collect()));
        prop_assert!(matches!(canonical(&bytes), Ok(std::borrow::Cow::Borrowed(_))));
    }

    /// Damage gives an error or an answer, never a panic.
    #[test]
    fn damage_is_an_error((_, bytes) in sets(), edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>(), probe in any::<u64>()) {
        let mut damaged = bytes.clone();
        for (at, byte) in edits {
            let at = at.index(damaged.len().min(64));
            damaged[at] = byte;
        }
        damaged.truncate(cut.index(damaged.len()) + 1);
        for value in [probe & MAX_VALUE, probe % 70_000, 1 << 32, (5 << 40) + probe % 100] {
            let _ = find(&mut damaged.as_slice(), 0, value);
        }
    }
}

#[test]
fn the_reads_do_not_grow_with_the_set() {
    let dense = |n: u64, step: u64| bytes_of(&(0..n).map(|i| i * step).collect());
    let mut runs: RoaringTreemap = (0..4_000_000u64).filter(|i| i % 1000 != 0).collect();
    runs.optimize();
    for (bytes, step) in [(dense(40_000, 2), 2), (dense(4_000_000, 2), 2), (dense(400_000, 100), 100)] {
        for value in [0, step, step + 1, 39_999 * step, 39_999 * step + 1] {
            let mut source = Counted { bytes: &bytes, reads: 0, read: 0 };
            assert_eq!(find(&mut source, 0, value), contains(&bytes, value).map(Some));
            assert!(source.reads <= 10 && source.read <= 8192 + 64, "{} reads of {} bytes", source.reads, source.read);
        }
    }
    let bytes = bytes_of(&runs);
    for value in [0, 1, 1000, 1001, 3_999_999, 4_000_000] {
        assert_eq!(find(&mut bytes.as_slice(), 0, value), Ok(Some(runs.contains(value))));
    }
    // Keys with holes are searched, not guessed.
    let holes = bytes_of(&(0..60_000u64).filter(|i| i % 7 != 3).map(|i| i << 16).collect());
    for key in [0u64, 3, 4, 30_000, 30_003, 59_999, 65_535] {
        let mut source = Counted { bytes: &holes, reads: 0, read: 0 };
        assert_eq!(find(&mut source, 0, key << 16), Ok(Some(key < 60_000 && key % 7 != 3)));
        assert!(source.reads <= 24, "{} reads", source.reads);
    }
}

#[test]
fn many_buckets_are_left_to_the_reader_of_the_whole() {
    let buckets = |n: u64| bytes_of(&(0..n).map(|i| (i << 32) + 7).collect());
    assert_eq!(find(&mut buckets(MOST_BUCKETS).as_slice(), 0, (3 << 32) + 7), Ok(Some(true)));
    assert_eq!(find(&mut buckets(MOST_BUCKETS + 1).as_slice(), 0, (3 << 32) + 7), Ok(None));
    assert_eq!(find(&mut EMPTY.as_slice(), 0, 5), Ok(Some(false)));
}
