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
    // Of 254 codes none is rare, of 300 few, of 400 more than a wide field pays for; 65,534 is the largest there is. Some are frequent or all alike.
    let spread = prop_oneof![Just(1u64), Just(40), Just(254), Just(255), Just(300), Just(400), Just(65_535)];
    (offsets(), spread, any::<bool>(), any::<u64>()).prop_map(|(offsets, spread, even, seed)| {
        let (mut plain, mut rng) = (vec![None; SHARD_WIDTH as usize], Rng(seed));
        let mut code = || {
            let all = if even { spread } else { rng.next() % spread + 1 };
            // The large ones are the frequent ones as often as the small ones.
            let code = rng.next() % all;
            if seed % 2 == 0 { code } else { spread - 1 - code }
        };
        offsets.into_iter().for_each(|offset| plain[offset as usize] = Some(code() as u16));
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

/// The cells and the counts of a chunk, whatever its ranks are.
type Content = Option<(Vec<(u32, u16)>, Vec<(u16, u32)>)>;

fn content(chunk: Option<&[u8]>) -> Content {
    let chunk = CodesChunk::open(chunk?).unwrap();
    let mut counts: Vec<_> = chunk.head().codes().iter().copied().filter(|(_, count)| *count > 0).collect();
    counts.sort_unstable();
    Some((chunk.cells().unwrap(), counts))
}

fn content_of(plain: &[Option<u16>]) -> Content {
    plain.iter().any(Option::is_some).then(|| (cells_of(plain), counts_of(plain)))
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
        let mut counts = counts_of(&plain);
        counts.sort_by_key(|(code, count)| (std::cmp::Reverse(*count), *code));
        prop_assert_eq!(chunk.head().codes(), counts);
        prop_assert_eq!(chunk.head().count() as usize, cells_of(&plain).len());

        // Where the blocks are, from nothing but the head.
        let head = CodesHead::length(&bytes[..CodesHead::FIRST]).unwrap();
        let head = CodesHead::open(&bytes[..head], bytes.len()).unwrap();
        let blocks: usize = (0..SHARD_BLOCKS).map(|key| head.place(key).len()).sum();
        prop_assert_eq!(head.place(0).start + blocks, bytes.len());
        let rank_of: std::collections::HashMap<u16, usize> = head.codes().iter().enumerate().map(|(rank, (code, _))| (*code, rank)).collect();
        for key in 0..SHARD_BLOCKS {
            let here: Vec<usize> = plain[usize::from(key) << 16..][..1 << 16].iter().flatten().map(|code| rank_of[code]).collect();
            let rare = here.iter().filter(|rank| **rank >= 254).count();
            prop_assert_eq!((head.known(key) as usize, head.rare(key) as usize), (here.len(), rare));
            let smallest = (3 * here.len() + 4 * rare).min((1 << 16) + 4 * rare).min(2 << 16);
            prop_assert_eq!(head.place(key).len(), smallest);
        }
    }

    /// Folding gives the cells of the new state: lists become fields and back, codes come and go. Ranks are the order in which codes came, so the bytes
    /// may be others than those of the state written anew, but without a base they are the same.
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
        prop_assert!(whole == bytes_of(states.last().unwrap()));
        deltas.reverse();
        prop_assert!(folded(None, &deltas).unwrap() == whole);
        deltas.reverse();
        let mut chunk = None;
        for (delta, state) in deltas.iter().zip(&states) {
            chunk = folded(chunk.as_deref(), std::slice::from_ref(delta)).unwrap();
            prop_assert!(content(chunk.as_deref()) == content_of(state));
            // What changes nothing writes the same again.
            prop_assert!(chunk.is_none() || folded(chunk.as_deref(), &[]).unwrap() == chunk);
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

fn head_of(kinds: u32, known: &[u32], rare: &[u32]) -> Vec<u8> {
    let mut head = vec![1, 0, 0, 0];
    head.extend(kinds.to_le_bytes());
    for counts in [known, rare] {
        head.extend(counts.iter().flat_map(|count| count.to_le_bytes()));
        head.resize(head.len() + 4 * (16 - counts.len()), 0);
    }
    head
}

#[test]
fn the_layout_of_a_codes_chunk_is_fixed() {
    let mut expected = head_of(2, &[2, 1], &[]);
    expected.extend([44, 1, 3, 0, 2, 0, 0, 0, 1, 0, 0, 0]);
    expected.extend([5, 0, 7, 1, 0, 1]);
    expected.extend([0, 0, 0]);
    assert_eq!(some(&[(5, 300), (263, 3), (65_536, 300)]), expected);

    // The 255th and 256th code are rare.
    let all: Vec<(u32, u16)> = (0..256).map(|code| (u32::from(code) * 2, code + 1000)).collect();
    let mut expected = head_of(256, &[256], &[2]);
    expected.extend(all.iter().flat_map(|(_, code)| code.to_le_bytes()));
    expected.extend([1, 0, 0, 0].repeat(256));
    expected.extend((0..256u16).flat_map(|offset| (offset * 2).to_le_bytes()));
    expected.extend((0..254).chain([254, 254]));
    expected.extend([252, 1, 254, 1, 254, 0, 255, 0]);
    assert_eq!(some(&all), expected);
    assert_eq!(CodesChunk::open(&expected).unwrap().cells().unwrap(), all);
}

#[test]
fn a_block_is_written_in_the_smallest_form() {
    // Behind 254 codes that two blocks elsewhere are full of come `kinds` that nobody but the first `known` offsets have.
    let of = |known: u32, frequent: u32, kinds: u32| {
        let elsewhere = (3 << 16..5 << 16).map(|offset| (offset, 1000 + (offset % 254) as u16));
        let frequent_here = (0..frequent).map(|offset| (offset, 1000 + (offset % 254) as u16));
        let here = (frequent..known).map(|offset| (offset, (offset % kinds) as u16));
        let cells: Vec<(u32, u16)> = frequent_here.chain(here).chain(elsewhere).collect();
        let bytes = some(&cells);
        let chunk = CodesChunk::open(&bytes).unwrap();
        assert_eq!(chunk.cells().unwrap(), cells);
        assert_eq!((chunk.head().known(0), chunk.head().rare(0)), (known, known - frequent));
        (
            chunk.head().place(0).len(),
            format!("{:?}", chunk.block(0).unwrap()).split([' ', '(']).next().unwrap().to_owned(),
        )
    };
    assert_eq!(of(21_845, 21_845, 1), (65_535, "List".to_owned()));
    assert_eq!(of(21_846, 21_846, 1), (65_536, "Field".to_owned()));
    assert_eq!(of(21_000, 20_000, 40), (67_000, "List".to_owned()));
    assert_eq!(of(65_536, 49_153, 300), (131_068, "Field".to_owned()));
    // A field before a wide one, at the same length.
    assert_eq!(of(65_536, 49_152, 300), (131_072, "Field".to_owned()));
    assert_eq!(of(65_536, 49_151, 300), (131_072, "Wide".to_owned()));
    assert_eq!(of(21_000, 0, 300), (131_072, "Wide".to_owned()));
}

#[test]
fn folding_keeps_ranks_until_too_much_is_rare() {
    let cells: Vec<(u32, u16)> = (0..90_000).map(|offset| (offset, (offset % 254) as u16)).collect();
    let base = some(&cells);
    let codes = |bytes: &[u8]| CodesChunk::open(bytes).unwrap().head().codes().to_vec();
    let change = |offsets: std::ops::Range<u32>, code: i64| {
        delta::encode(offsets.map(|offset| Cell { offset, n: 1, v: code }).collect::<Vec<_>>()).unwrap()
    };
    // A new code comes last, however frequent it is; the other block is copied.
    let few = folded(Some(&base), &[change(200_000..265_535, 7000)]).unwrap().unwrap();
    assert_eq!(codes(&few)[..254], codes(&base));
    assert_eq!(codes(&few)[254..], [(7000, 65_535)]);
    let place = |bytes: &[u8]| bytes[CodesChunk::open(bytes).unwrap().head().place(0)].to_vec();
    assert_eq!(place(&few), place(&base));
    // What would be rare in any order counts for nothing, and all that is one code counts.
    let many = folded(Some(&few), &[change(300_000..301_000, 7000)]).unwrap().unwrap();
    assert_eq!(codes(&many)[0], (7000, 66_535));
    assert_eq!(codes(&many).len(), 255);
    assert_eq!(CodesChunk::open(&many).unwrap().cells().unwrap().len(), 90_000 + 66_535);
    // A code that goes keeps its rank, for when it comes back.
    let pair = some(&[(1, 50), (2, 50), (3, 9)]);
    let gone = delta::encode([Cell { offset: 1, n: -1, v: -50 }, Cell { offset: 2, n: -1, v: -50 }]).unwrap();
    let gone = folded(Some(&pair), &[gone]).unwrap().unwrap();
    assert_eq!(codes(&gone), [(50, 0), (9, 1)]);
    let distribution = crate::program::code_distribution(&present(), &[vec![&some_members()]], Some(&gone)).unwrap();
    assert_eq!(distribution.1, [(9, 1, 1)]);
    assert_eq!(codes(&folded(Some(&gone), &[change(70_000..70_001, 50)]).unwrap().unwrap()), [(50, 1), (9, 1)]);
}

#[test]
fn every_truncation_of_codes_is_an_error() {
    let bytes =
        some(&(0..260).map(|code| (u32::from(code) * 300, code * 7)).chain([(1_048_575, 0)]).collect::<Vec<_>>());
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
    other[..2].copy_from_slice(&[1, 1]);
    assert!(matches!(CodesChunk::open(&other), Err(StoreError::Damaged { .. })));
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
    let cells = |delta| CodesChunk::open(&folded(Some(&base), &[delta]).unwrap().unwrap()).unwrap().cells().unwrap();
    assert_eq!(cells(change(5, 0, 65_531)), [(5, 65_534), (9, 40)]);
    assert_eq!(cells(change(5, -1, -3)), [(9, 40)]);
    assert_eq!(folded(Some(&base), &[change(5, -1, -3), change(9, -1, -40)]).unwrap(), None);
    assert_eq!(folded(None, &[]).unwrap(), None);
}

/// What the blocks say must be what the head says.
#[test]
fn blocks_that_contradict_the_head_are_damage() {
    let bytes = some(&[(5, 3), (263, 254), (300, 3)]);
    let list = 136 + 12;
    assert_eq!(bytes[list..], [5, 0, 7, 1, 44, 1, 0, 1, 0]);
    // Out of order, twice the same, a rank that is not known, one that has fewer, rare without a rank, none.
    let edits: [(usize, &[u8]); 6] = [(0, &[9, 255]), (2, &[5, 0]), (6, &[4]), (6, &[1]), (7, &[254]), (8, &[255])];
    damage(&bytes, list, &edits);
    // The head: a code twice, counts that are not all, rare ones that there cannot be.
    for (at, byte) in [(136, 254), (140, 9), (8, 4), (72, 1)] {
        let mut damaged = bytes.clone();
        damaged[at] = byte;
        assert!(CodesChunk::open(&damaged).is_err(), "{at}");
    }
    // Rare ones: offsets out of order or of others, ranks that are not rare or not known, a mark less, a mark more; in a list and in a field.
    for last in [256u32, 60_000] {
        let bytes = some(&(0..last).map(|offset| (offset, offset.min(255) as u16)).collect::<Vec<_>>());
        let head = CodesChunk::open(&bytes).unwrap().head().clone();
        assert_eq!((head.rare(0), head.codes().len()), (2, 256));
        let rare = bytes.len() - 8;
        let offset = |at: usize| usize::from(u16::from_le_bytes([bytes[rare + at], bytes[rare + at + 1]]));
        let ranks = if last == 256 { rare - 256 } else { rare - (1 << 16) };
        let edits: [(usize, &[u8]); 5] =
            [(0, &bytes[rare + 2..rare + 4]), (4, &[253, 0]), (6, &[0, 1]), (6, &[255, 255]), (4, &[255, 0])];
        damage(&bytes, rare, &edits);
        // Offsets that nothing marks, as many as before: who counts cannot see it.
        let mut damaged = bytes.clone();
        damaged[rare..rare + 2].copy_from_slice(&[3, 0]);
        assert!(CodesChunk::open(&damaged).unwrap().cells().is_err());
        damage(&bytes, ranks, &[(offset(0), &[0]), (offset(2), &[253]), (3, &[254])]);
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

/// Each edit behind `from` is seen by whoever counts and by whoever reads all.
fn damage(bytes: &[u8], from: usize, edits: &[(usize, &[u8])]) {
    for (at, edit) in edits {
        let mut damaged = bytes.to_vec();
        damaged[from + at..][..edit.len()].copy_from_slice(edit);
        let chunk = CodesChunk::open(&damaged).unwrap();
        let distribution = crate::program::code_distribution(&present(), &[vec![&some_members()]], Some(&damaged));
        assert!(distribution.is_err(), "{at} {edit:?}");
        assert!(chunk.cells().is_err(), "{at} {edit:?}");
    }
}

fn present() -> crate::program::Program {
    crate::program::Program { slots: vec![Encoding::Set], root: crate::program::Node::Present(0) }
}

/// Few enough that they are looked up one by one, all that the test has damaged among them.
fn some_members() -> Vec<u8> {
    set_bytes(&(0..400).chain([65_535]).collect(), true)
}
