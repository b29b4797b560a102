#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::codes::{CodesChunk, CodesHead, NO_CODE, encode};
use super::*;
use crate::bitmap::{SHARD_BLOCKS, SHARD_WIDTH};
use crate::error::StoreError;
use crate::testing::{Rng, offsets, prefixes, set_bytes};
use proptest::collection::vec;
use proptest::prelude::*;

/// The plain form: one place an offset.
type Plain = Vec<Option<u16>>;

fn plain() -> impl Strategy<Value = Plain> {
    // Codes below 255 take a byte; 65,534 is the largest there is.
    let spread = prop_oneof![Just(1u64), Just(40), Just(255), Just(256), Just(65_535)];
    (offsets(), spread, any::<u64>()).prop_map(|(offsets, spread, seed)| {
        let (mut plain, mut rng) = (vec![None; SHARD_WIDTH as usize], Rng(seed));
        offsets.into_iter().for_each(|offset| plain[offset as usize] = Some((rng.next() % spread) as u16));
        plain
    })
}

fn bytes_of(plain: &[Option<u16>]) -> Option<Vec<u8>> {
    encode(&plain.iter().map(|code| code.unwrap_or(NO_CODE)).collect::<Vec<_>>()).unwrap()
}

fn cells_of(plain: &[Option<u16>]) -> Vec<(u32, u16)> {
    (0..).zip(plain).filter_map(|(offset, code)| Some((offset, (*code)?))).collect()
}

fn counts_of(plain: &[Option<u16>]) -> Vec<(u16, u32)> {
    let mut counts = std::collections::BTreeMap::new();
    plain.iter().flatten().for_each(|code| *counts.entry(*code).or_insert(0) += 1);
    counts.into_iter().collect()
}

/// The delta that turns one plain form into the other.
fn between(before: &[Option<u16>], after: &[Option<u16>]) -> Vec<u8> {
    let fact = |code: &Option<u16>| (i64::from(code.is_some()), i64::from(code.unwrap_or(0)));
    let changes = (0..).zip(before.iter().zip(after)).map(|(offset, (before, after))| {
        let ((n, v), (m, w)) = (fact(before), fact(after));
        Cell { offset, n: m - n, v: w - v }
    });
    delta::encode(changes).unwrap()
}

fn folded(base: Option<&[u8]>, deltas: &[Vec<u8>]) -> Result<Option<Vec<u8>>, StoreError> {
    fold(Encoding::Codes, base, deltas.iter().map(Vec::as_slice))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn codes_round_trip(plain in plain()) {
        let Some(bytes) = bytes_of(&plain) else {
            prop_assert!(plain.iter().all(Option::is_none));
            return Ok(());
        };
        let chunk = CodesChunk::open(&bytes).unwrap();
        prop_assert_eq!(chunk.cells().unwrap(), cells_of(&plain));
        prop_assert_eq!(chunk.head().codes(), counts_of(&plain));
        prop_assert_eq!(chunk.head().count() as usize, cells_of(&plain).len());

        // A block alone, from nothing but the head and its own bytes.
        let head = CodesHead::length(&bytes[..CodesHead::FIRST]).unwrap();
        let head = CodesHead::open(&bytes[..head], bytes.len()).unwrap();
        let blocks: usize = (0..SHARD_BLOCKS).map(|key| head.place(key).len()).sum();
        prop_assert_eq!(head.place(0).start + blocks, bytes.len());
        for key in 0..SHARD_BLOCKS {
            let (alone, whole) = (head.block(key, &bytes[head.place(key)]).unwrap(), chunk.block(key).unwrap());
            prop_assert_eq!(format!("{alone:?}"), format!("{whole:?}"));
            let known = plain[usize::from(key) << 16..][..1 << 16].iter().flatten().count();
            prop_assert_eq!((head.known(key) as usize, head.place(key).is_empty()), (known, known == 0));
        }
    }

    /// Folding writes the very bytes that the new state is written as: lists become fields and back, the width follows the codes.
    #[test]
    fn folding_gives_the_chunk_of_the_new_state(states in vec(plain(), 2..4), few in vec((0u32..SHARD_WIDTH, any::<Option<u16>>()), 0..40)) {
        let mut states = states;
        let mut last = states.last().unwrap().clone();
        few.iter().for_each(|(offset, code)| last[*offset as usize] = code.filter(|code| *code != NO_CODE));
        states.push(last);
        let empty = vec![None; SHARD_WIDTH as usize];
        let mut deltas = vec![between(&empty, &states[0])];
        deltas.extend(states.windows(2).map(|pair| between(&pair[0], &pair[1])));
        // In any order, at once and one after the other.
        let whole = folded(None, &deltas).unwrap();
        prop_assert_eq!(&whole, &bytes_of(states.last().unwrap()));
        deltas.reverse();
        prop_assert_eq!(&folded(None, &deltas).unwrap(), &whole);
        deltas.reverse();
        let mut chunk = None;
        for (delta, state) in deltas.iter().zip(&states) {
            chunk = folded(chunk.as_deref(), std::slice::from_ref(delta)).unwrap();
            prop_assert!(chunk == bytes_of(state));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn sets_that_exclude_each_other_make_codes(sets in vec((offsets(), any::<bool>()), 1..6), spacing in prop_oneof![Just(1u16), Just(13_000)]) {
        let (mut plain, mut builder) = (vec![None; SHARD_WIDTH as usize], CodesBuilder::new());
        for (index, (set, runs)) in (0..).zip(&sets) {
            let code = spacing * index;
            let apart = set.iter().copied().filter(|offset| plain[*offset as usize].is_none()).collect();
            builder.add(code, &set_bytes(&apart, *runs)).unwrap();
            apart.iter().for_each(|offset| plain[*offset as usize] = Some(code));
        }
        prop_assert_eq!(builder.chunk(), bytes_of(&plain));
        // Who has a code gets no second one.
        if let Some(offset) = plain.iter().position(Option::is_some) {
            let error = builder.add(7, &set_bytes(&[offset as u32].into(), false));
            prop_assert_eq!(error, Err(StoreError::Code(offset as u32)));
        }
    }
}

fn some(codes: &[(u32, u16)]) -> Vec<u8> {
    let mut plain = vec![None; SHARD_WIDTH as usize];
    codes.iter().for_each(|(offset, code)| plain[*offset as usize] = Some(*code));
    bytes_of(&plain).unwrap()
}

#[test]
fn the_layout_of_a_codes_chunk_is_fixed() {
    let mut expected = vec![1, 1, 0, 0, 2, 0, 0, 0];
    expected.extend([2u32, 1].iter().flat_map(|known| known.to_le_bytes()));
    expected.extend([0; 4 * 14]);
    expected.extend([3, 0, 254, 0, 2, 0, 0, 0, 1, 0, 0, 0]);
    expected.extend([5, 0, 7, 1, 3, 254]);
    expected.extend([0, 0, 3]);
    assert_eq!(some(&[(5, 3), (263, 254), (65_536, 3)]), expected);

    let wide = some(&[(5, 3), (263, 255)]);
    assert_eq!(wide[1], 2);
    assert_eq!(wide[84..], [5, 0, 7, 1, 3, 0, 255, 0]);
}

#[test]
fn a_block_is_written_in_the_smaller_form() {
    for (code, narrow, list) in [(0, true, 21_845u32), (255, false, 32_767)] {
        let of = |known: u32| some(&(0..known).map(|offset| (2 * offset, code)).collect::<Vec<_>>());
        let (list_bytes, field_bytes) = (of(list), of(list + 1));
        let size = if narrow { 1 } else { 2 };
        assert_eq!(list_bytes.len(), 78 + list as usize * (2 + size));
        assert_eq!(field_bytes.len(), 78 + 65_536 * size);
        assert!(list_bytes.len() <= field_bytes.len());
        for bytes in [list_bytes, field_bytes] {
            let cells = CodesChunk::open(&bytes).unwrap().cells().unwrap();
            assert!(cells.iter().zip(0..).all(|(cell, at)| *cell == (2 * at, code)));
        }
    }
}

#[test]
fn every_truncation_of_codes_is_an_error() {
    let bytes = some(&[(5, 3), (263, 254), (70_000, 300), (1_048_575, 0)]);
    assert!(CodesChunk::open(&bytes).is_ok());
    for prefix in prefixes(&bytes) {
        assert!(CodesChunk::open(prefix).is_err(), "{} of {} bytes", prefix.len(), bytes.len());
        assert!(folded(Some(prefix), &[]).is_err());
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(CodesChunk::open(&longer), Err(StoreError::Damaged { .. })));
    let mut other = bytes;
    other[0] = 2;
    assert_eq!(CodesChunk::open(&other).unwrap_err(), StoreError::Version(2));
}

#[test]
fn what_is_not_one_code_is_an_error() {
    let base = some(&[(5, 3), (9, 40)]);
    let change = |offset, n, v| delta::encode([Cell { offset, n, v }]).unwrap();
    for (offset, n, v) in [
        (5, 1, 4),
        (5, 1, 0),
        (5, 2, -3),
        (5, 0, -4),
        (5, 0, 65_535),
        (5, -1, -2),
        (5, -2, -6),
        (6, -1, 0),
        (6, 0, 1),
        (6, 1, -1),
        (6, 1, 65_535),
        (6, 1, i64::MAX),
        (6, 2, 8),
    ] {
        assert_eq!(folded(Some(&base), &[change(offset, n, v)]), Err(StoreError::Code(offset)), "{offset} {n} {v}");
    }
    assert_eq!(folded(Some(&base), &[change(5, 0, 65_531)]).unwrap().unwrap(), some(&[(5, 65_534), (9, 40)]));
    assert_eq!(folded(Some(&base), &[change(5, -1, -3)]).unwrap().unwrap(), some(&[(9, 40)]));
    assert_eq!(folded(Some(&base), &[change(5, -1, -3), change(9, -1, -40)]).unwrap(), None);
    assert_eq!(folded(None, &[]).unwrap(), None);
}

/// What the blocks say must be what the head says.
#[test]
fn blocks_that_contradict_the_head_are_damage() {
    let bytes = some(&[(5, 3), (263, 254), (300, 3)]);
    let list = 84;
    assert_eq!(bytes[list..], [5, 0, 7, 1, 44, 1, 3, 254, 3]);
    // Out of order, twice the same, a code that is not known, one that is known less often, none.
    for (at, byte) in [(list, 9), (list + 2, 5), (list + 6, 4), (list + 7, 3), (list + 8, 255)] {
        let mut damaged = bytes.clone();
        damaged[at] = byte;
        if at == list + 2 {
            damaged[at + 1] = 0;
        }
        if at == list {
            damaged[at + 1] = 255;
        }
        let chunk = CodesChunk::open(&damaged).unwrap();
        let distribution = crate::program::code_distribution(&present(), &[vec![&some_members()]], Some(&damaged));
        assert!(distribution.is_err(), "{at}");
        // A list out of order holds the same cells; who walks it all sorts it.
        assert!(at == list || chunk.cells().is_err(), "{at}");
    }
    let field: Vec<(u32, u16)> = (0..40_000).map(|offset| (offset, (offset % 7) as u16)).collect();
    let mut damaged = some(&field);
    *damaged.last_mut().unwrap() = 9;
    assert!(CodesChunk::open(&damaged).unwrap().cells().is_err());
    let distribution = crate::program::code_distribution(&present(), &[vec![&some_members()]], Some(&damaged));
    assert!(distribution.is_err());
    // A fold that touches the block sees it, one that does not copies it.
    let change = |offset| delta::encode([Cell { offset, n: 1, v: 1 }]).unwrap();
    assert!(matches!(folded(Some(&damaged), &[change(50_000)]), Err(StoreError::Damaged { .. })));
    assert!(folded(Some(&damaged), &[change(80_000)]).is_ok());
}

fn present() -> crate::program::Program {
    crate::program::Program { slots: vec![Encoding::Set], root: crate::program::Node::Present(0) }
}

/// Few enough that they are looked up one by one, all that the test has damaged among them.
fn some_members() -> Vec<u8> {
    set_bytes(&(0..400).chain([65_535]).collect(), true)
}
