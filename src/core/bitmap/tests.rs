#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::error::StoreError;
use crate::testing::{members, offsets, prefixes, set_bytes, shape};
use proptest::prelude::*;
use roaring::RoaringBitmap;
use std::collections::BTreeSet;

fn block_of(set: &BTreeSet<u16>) -> Block {
    let mut block = Block::new();
    set.iter().for_each(|member| block.insert(*member));
    block
}

fn bytes_of(set: &BTreeSet<u16>, runs: bool) -> Vec<u8> {
    set_bytes(&set.iter().map(|member| u32::from(*member)).collect(), runs)
}

fn set_of(block: &Block) -> BTreeSet<u16> {
    block.iter().collect()
}

fn read(portable: &Portable<'_>) -> Result<Vec<u32>, StoreError> {
    let mut all = Vec::new();
    for (index, key) in portable.keys().enumerate() {
        let mut block = Block::new();
        block.set_container(portable.container(index)?);
        all.extend(block.iter().map(|member| u32::from(key) << 16 | u32::from(member)));
    }
    Ok(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn portable_reads_what_the_library_writes(set in offsets(), runs: bool) {
        let bytes = set_bytes(&set, runs);
        let portable = Portable::open_shard(&bytes).unwrap();
        prop_assert_eq!(portable.cardinality(), set.len() as u64);
        prop_assert_eq!(read(&portable).unwrap(), set.iter().copied().collect::<Vec<_>>());
        for key in 0..20 {
            let expected = set.iter().filter(|offset| **offset >> 16 == u32::from(key)).count();
            prop_assert_eq!(portable.cardinality_of(key) as usize, expected);
            prop_assert_eq!(portable.get(key).unwrap().is_some(), expected > 0);
        }
    }

    #[test]
    fn kernels_do_set_algebra(a in shape(), b in shape(), runs: bool) {
        let (a, b) = (members(&a), members(&b));
        let bytes = bytes_of(&b, runs);
        let container = Portable::open(&bytes).unwrap().get(0).unwrap().unwrap();
        let (or, and): (BTreeSet<_>, BTreeSet<_>) = (&a | &b, &a & &b);
        let andnot: BTreeSet<_> = &a - &b;
        let start = block_of(&a);

        let mut block = start.clone();
        block.or_container(container);
        prop_assert_eq!(set_of(&block), or.clone());
        prop_assert_eq!(block.is_full(), or.len() == 1 << 16);
        let mut block = start.clone();
        prop_assert_eq!(block.and_container(container), !and.is_empty());
        prop_assert_eq!(set_of(&block), and.clone());
        let mut block = start.clone();
        prop_assert_eq!(block.andnot_container(container), !andnot.is_empty());
        prop_assert_eq!(set_of(&block), andnot.clone());
        prop_assert_eq!(block.count() as usize, andnot.len());
        prop_assert_eq!(block.is_empty(), andnot.is_empty());

        let other = block_of(&b);
        let mut block = start.clone();
        block.or_block(&other);
        prop_assert_eq!(set_of(&block), or);
        let mut block = start.clone();
        prop_assert_eq!(block.and_block(&other), !and.is_empty());
        prop_assert_eq!(set_of(&block), and);
        let mut block = start;
        block.andnot_block(&other);
        prop_assert_eq!(set_of(&block), andnot);
    }

    #[test]
    fn values_do_set_algebra_in_every_form(a in shape(), b in shape(), runs: (bool, bool), flat: (bool, bool)) {
        let (a, b) = (members(&a), members(&b));
        let (a_bytes, b_bytes) = (bytes_of(&a, runs.0), bytes_of(&b, runs.1));
        let arena = &mut Arena::new();
        let make = |bytes, flat: bool, arena: &mut Arena| {
            let value = Value::stored(Portable::open(bytes).unwrap().get(0).unwrap());
            if flat { Value::Flat(value.into_block(arena)) } else { value }
        };
        macro_rules! pair { () => { (make(&a_bytes, flat.0, arena), make(&b_bytes, flat.1, arena)) } }

        let (x, y) = pair!();
        prop_assert_eq!(x.count() as usize, a.len());
        prop_assert_eq!(x.and_count(&y, arena) as usize, a.intersection(&b).count());
        let (x, y) = pair!();
        let both = x.and(y, arena);
        prop_assert_eq!(both.is_empty(), a.is_disjoint(&b));
        prop_assert_eq!(set_of(&both.into_block(arena)), &a & &b);
        let (x, y) = pair!();
        prop_assert_eq!(set_of(&x.or(y, arena).into_block(arena)), &a | &b);
        let (x, y) = pair!();
        prop_assert_eq!(set_of(&x.andnot(y, arena).into_block(arena)), &a - &b);
    }

    #[test]
    fn blocks_become_the_bitmap_of_their_members(set in offsets()) {
        let mut bitmap = RoaringBitmap::new();
        for key in 0..SHARD_BLOCKS {
            let mut block = Block::new();
            set.iter().filter(|offset| **offset >> 16 == u32::from(key)).for_each(|offset| block.insert(*offset as u16));
            append_block(&mut bitmap, key, &block);
        }
        prop_assert_eq!(bitmap, set.iter().collect::<RoaringBitmap>());
    }

    #[test]
    fn damaged_bytes_are_an_error_or_some_set(set in offsets(), runs: bool, flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..6)) {
        let mut bytes = set_bytes(&set, runs);
        for (at, bit) in flips {
            let at = at.index(bytes.len().min(64));
            bytes[at] ^= 1 << bit;
        }
        if let Ok(portable) = Portable::open(&bytes) {
            let _ = read(&portable);
        }
    }
}

#[test]
fn every_truncation_is_an_error() {
    let set: BTreeSet<u32> =
        (0..3000).map(|i| i * 7).chain(70_000..80_000).chain((131_072..196_608).step_by(3)).collect();
    for runs in [false, true] {
        let bytes = set_bytes(&set, runs);
        for prefix in prefixes(&bytes) {
            let read = Portable::open(prefix).and_then(|portable| read(&portable));
            assert!(matches!(read, Err(StoreError::Truncated { .. })), "{} bytes: {read:?}", prefix.len());
        }
    }
}

#[test]
fn starts_follow_the_number_of_containers() {
    // Three containers of runs bring no starts, four do.
    for blocks in 1..6u32 {
        let set = (0..blocks).flat_map(|key| (key << 16) + 5..(key << 16) + 900).collect();
        let bytes = set_bytes(&set, true);
        let headers = 4 + 1 + 4 * blocks as usize + if blocks >= 4 { 4 * blocks as usize } else { 0 };
        assert_eq!(bytes.len(), headers + 6 * blocks as usize);
        assert_eq!(read(&Portable::open(&bytes).unwrap()).unwrap(), set.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_key_outside_the_shard_is_damage() {
    let set = BTreeSet::from([1, SHARD_WIDTH]);
    let bytes = set_bytes(&set, false);
    assert_eq!(read(&Portable::open(&bytes).unwrap()).unwrap(), [1, SHARD_WIDTH]);
    assert!(matches!(Portable::open_shard(&bytes), Err(StoreError::Damaged { .. })));
}

#[test]
fn the_last_and_the_only_run_reach_the_end_of_the_block() {
    let all: BTreeSet<u16> = (0..=u16::MAX).collect();
    let bytes = bytes_of(&all, true);
    let container = Portable::open(&bytes).unwrap().get(0).unwrap().unwrap();
    assert!(container.is_full());
    let mut block = Block::new();
    block.or_container(container);
    assert!(block.is_full());
    assert_eq!(block.count(), 1 << 16);
    assert!(!block.andnot_container(container));
}

#[test]
fn transposing_moves_each_bit() {
    let mut rng = crate::testing::Rng(7);
    let before: [u64; 64] = std::array::from_fn(|_| rng.next());
    let mut after = before;
    kernel::transpose(&mut after);
    for (i, j) in (0..64).flat_map(|i| (0..64).map(move |j| (i, j))) {
        assert_eq!(before[i] >> j & 1, after[j] >> i & 1, "bit {j} of word {i}");
    }
}
