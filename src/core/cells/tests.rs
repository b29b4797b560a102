#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::bitmap::{Arena, SHARD_BLOCKS, SHARD_WIDTH, Value};
use crate::error::StoreError;
use crate::testing::{as_cells, cells, members, number_bytes, prefixes, set_bytes, shape};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn read(bytes: &[u8]) -> Result<Vec<Cell>, StoreError> {
    NumberChunk::open(bytes)?.cells().collect()
}

/// A bound near where things happen: at a value, beside one, or at the ends.
fn bound() -> impl Strategy<Value = (prop::sample::Index, i8)> {
    (any::<prop::sample::Index>(), -1i8..=1)
}

fn pick(values: &[i64], bound: &(prop::sample::Index, i8)) -> i64 {
    let (index, step) = bound;
    match index.index(values.len() + 2) {
        0 => i64::MIN,
        1 => i64::MAX,
        i => values[i - 2].saturating_add((*step).into()),
    }
}

fn offsets_of(
    chunk: &NumberChunk<'_>,
    mut block: impl FnMut(&NumberChunk<'_>, u16, &mut Arena) -> Vec<u16>,
) -> Vec<u32> {
    let mut arena = Arena::new();
    let mut all = Vec::new();
    for key in 0..SHARD_BLOCKS {
        all.extend(block(chunk, key, &mut arena).into_iter().map(|member| u32::from(key) << 16 | u32::from(member)));
    }
    all
}

fn list(value: Value<'_>, arena: &mut Arena) -> Vec<u16> {
    let block = value.into_block(arena);
    let members = block.iter().collect();
    arena.give(block);
    members
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn numbers_round_trip(cells in cells()) {
        let bytes = number_bytes(&cells);
        prop_assert_eq!(read(&bytes).unwrap(), as_cells(&cells));
        let chunk = NumberChunk::open(&bytes).unwrap();
        prop_assert_eq!(chunk.v_base(), cells.values().map(|cell| cell.1).min().unwrap_or(0));
        prop_assert_eq!(chunk.v_max(), cells.values().map(|cell| cell.1).max().unwrap_or(0));
        prop_assert_eq!(chunk.count() as usize, cells.len());
    }

    #[test]
    fn ranges_are_comparisons(cells in cells(), bounds in vec((bound(), bound()), 4)) {
        let bytes = number_bytes(&cells);
        let chunk = NumberChunk::open(&bytes).unwrap();
        let v: Vec<i64> = cells.values().map(|cell| cell.1).take(50).collect();
        let n: Vec<i64> = cells.values().map(|cell| cell.0).take(50).collect();
        for (low, high) in &bounds {
            let (a, b) = (pick(&v, low), pick(&v, high));
            let got = offsets_of(&chunk, |chunk, key, arena| list(chunk.values_between(key, a, b, None, arena).unwrap(), arena));
            let expected: Vec<u32> = cells.iter().filter(|(_, cell)| a <= cell.1 && cell.1 <= b).map(|(offset, _)| *offset).collect();
            prop_assert!(got == expected, "{a} <= v <= {b}: {} members, expected {}", got.len(), expected.len());
            let (a, b) = (pick(&n, low), pick(&n, high));
            let got = offsets_of(&chunk, |chunk, key, arena| list(chunk.counts_between(key, a.into(), b.into(), None, arena).unwrap(), arena));
            let expected: Vec<u32> = cells.iter().filter(|(_, cell)| a <= cell.0 && cell.0 <= b).map(|(offset, _)| *offset).collect();
            prop_assert!(got == expected, "{a} <= n <= {b}: {} members, expected {}", got.len(), expected.len());
        }
    }

    #[test]
    fn a_range_within_a_set_is_right_inside_it(cells in cells(), filter in shape(), flat: bool, low in bound(), high in bound()) {
        let bytes = number_bytes(&cells);
        let chunk = NumberChunk::open(&bytes).unwrap();
        let v: Vec<i64> = cells.values().map(|cell| cell.1).take(50).collect();
        let (low, high) = (pick(&v, &low), pick(&v, &high));
        let filter = members(&filter);
        let filter_bytes = set_bytes(&filter.iter().map(|member| u32::from(*member)).collect(), true);
        let arena = &mut Arena::new();
        let mut within = Value::stored(crate::bitmap::Portable::open(&filter_bytes).unwrap().get(0).unwrap());
        if flat {
            within = Value::Flat(within.into_block(arena));
        }
        let value = chunk.values_between(0, low, high, Some(&within), arena).unwrap();
        let got: Vec<u16> = list(value, arena).into_iter().filter(|member| filter.contains(member)).collect();
        let inside = |offset: &u32| *offset < 1 << 16 && filter.contains(&(*offset as u16));
        let expected: Vec<u16> = cells.iter()
            .filter(|(offset, cell)| inside(offset) && low <= cell.1 && cell.1 <= high)
            .map(|(offset, _)| *offset as u16).collect();
        prop_assert!(got == expected);
    }

    #[test]
    fn lanes_and_counters_add_up(parts in vec((shape(), any::<bool>(), 0usize..5), 1..9), low in 0u64..40, span in 0u64..60) {
        let arena = &mut Arena::new();
        let (mut counter, mut narrow, mut wide) = (Counter::default(), Lanes::<u16>::default(), Lanes::<i64>::default());
        let mut totals = vec![0u64; 1 << 16];
        for (shape, runs, bit) in &parts {
            let set = members(shape);
            set.iter().for_each(|member| totals[usize::from(*member)] += 1 << bit);
            let bytes = set_bytes(&set.iter().map(|member| u32::from(*member)).collect(), *runs);
            let container = crate::bitmap::Portable::open(&bytes).unwrap().get(0).unwrap().unwrap();
            counter.add_container(container, *bit, arena);
            narrow.add(container, 1 << bit);
            wide.add(container, 1 << bit);
        }
        let high = low + span;
        let expected: Vec<u16> = (0..=u16::MAX).filter(|member| (low..=high).contains(&totals[usize::from(*member)])).collect();
        let mut block = arena.take();
        narrow.between(low.into(), high.into(), &mut block);
        prop_assert!(block.iter().eq(expected.iter().copied()));
        wide.between(low.into(), high.into(), &mut block);
        prop_assert!(block.iter().eq(expected.iter().copied()));
        prop_assert!(list(counter.between(Value::Full, low, high, arena), arena) == expected);
        // The counter is empty again.
        prop_assert!(counter.between(Value::Full, 1, 100, arena).is_empty());
    }

    #[test]
    fn deltas_round_trip_as_sums(entries in vec((0u32..300, -3i64..=3, any::<i32>()), 0..200), far in any::<bool>()) {
        let stretch = if far { 3495 } else { 1 };
        let mut expected: BTreeMap<u32, (i64, i64)> = BTreeMap::new();
        let given: Vec<Cell> = entries.iter().map(|(offset, n, v)| Cell { offset: offset * stretch, n: *n, v: i64::from(*v) / 1000 }).collect();
        for cell in &given {
            let sum = expected.entry(cell.offset).or_default();
            *sum = (sum.0 + cell.n, sum.1 + cell.v);
        }
        expected.retain(|_, sum| *sum != (0, 0));
        let bytes = delta::encode(given.clone()).unwrap();
        prop_assert_eq!(delta::decode(&bytes).unwrap().collect::<Result<Vec<_>, _>>().unwrap(), as_cells(&expected));

        let (left, right) = given.split_at(given.len() / 3);
        let parts = [delta::encode(left.to_vec()).unwrap(), delta::encode(right.to_vec()).unwrap()];
        let merged = delta::merge(parts.iter().map(Vec::as_slice)).unwrap();
        let merged: Vec<_> = merged.iter().map(|c| (c.offset, (c.n as i64, c.v as i64))).collect();
        prop_assert_eq!(merged, expected.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn damaged_cells_are_an_error_or_some_cells(cells in cells(), deep in any::<bool>(), flips in vec((any::<prop::sample::Index>(), 0u8..8), 1..5)) {
        let mut bytes = number_bytes(&cells);
        let window = if deep { bytes.len() } else { bytes.len().min(120) };
        for (at, bit) in &flips {
            bytes[at.index(window)] ^= 1 << bit;
        }
        let read = read(&bytes);
        let _ = fold(Encoding::Number, Some(&bytes), []);
        let _ = fold(Encoding::Set, Some(&bytes), []);
        if let Ok(chunk) = NumberChunk::open(&bytes) {
            let mut arena = Arena::new();
            for key in 0..SHARD_BLOCKS {
                let _ = chunk.values_between(key, 0, 50, None, &mut arena);
                let _ = chunk.counts_between(key, 2, 3, None, &mut arena);
                let _ = chunk.add_values(key, &mut Lanes::<i64>::default());
            }
        }
        // Reading may fail half way, but not go on for ever.
        prop_assert!(read.map_or(0, |cells| cells.len()) <= SHARD_WIDTH as usize);
    }

    #[test]
    fn damaged_deltas_are_an_error_or_ascend(entries in vec((0u32..SHARD_WIDTH, any::<i32>(), any::<i32>()), 1..30), flips in vec((any::<prop::sample::Index>(), 0u8..8), 1..5)) {
        let mut bytes = delta::encode(entries.iter().map(|(offset, n, v)| Cell { offset: *offset, n: (*n).into(), v: (*v).into() })).unwrap();
        for prefix in prefixes(&bytes) {
            let _ = delta::decode(prefix).map(Iterator::count);
        }
        for (at, bit) in &flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        if let Ok(cells) = delta::decode(&bytes).and_then(|entries| entries.collect::<Result<Vec<_>, _>>()) {
            prop_assert!(cells.is_sorted_by(|a, b| a.offset < b.offset));
            prop_assert!(cells.iter().all(|cell| cell.offset < SHARD_WIDTH));
        }
    }
}

/// A history that a consistent store can see: facts come, and only facts that are there go.
fn history() -> impl Strategy<Value = Vec<Cell>> {
    vec((0u32..60, -50i64..50, any::<bool>()), 0..400).prop_map(|steps| {
        let mut facts: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
        let mut deltas = Vec::new();
        for (place, v, comes) in steps {
            let offset = place * 17_000 + place % 3;
            let there = facts.entry(offset).or_default();
            if comes || there.is_empty() {
                there.push(v);
                deltas.push(Cell { offset, n: 1, v });
            } else if let Some(v) = there.pop() {
                deltas.push(Cell { offset, n: -1, v: -v });
            }
        }
        deltas
    })
}

/// New cells, among the first blocks, with so much in each.
fn fresh(count: std::ops::Range<usize>, most: i64) -> impl Strategy<Value = Vec<(u32, i64, i64)>> {
    vec((prop_oneof![0u32..SHARD_WIDTH, 0u32..5000], 1..=most, prop_oneof![-200i64..200, 0i64..100_000]), count)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn folding_in_parts_is_folding_at_once(history in history(), cuts in vec(any::<prop::sample::Index>(), 0..6)) {
        let mut expected = crate::testing::Cells::new();
        for cell in &history {
            let sum = expected.entry(cell.offset).or_default();
            *sum = (sum.0 + cell.n, sum.1 + cell.v);
        }
        expected.retain(|_, sum| sum.0 > 0);

        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(history.len() + 1)).collect();
        cuts.sort_unstable();
        let mut chunk = None;
        let mut pieces = Vec::new();
        let mut from = 0;
        for to in cuts.into_iter().chain([history.len()]) {
            let delta = delta::encode(history[from..to].to_vec()).unwrap();
            chunk = fold(Encoding::Number, chunk.as_deref(), [delta.as_slice()]).unwrap();
            pieces.push(delta);
            from = to;
        }
        let at_once = fold(Encoding::Number, None, pieces.iter().map(Vec::as_slice)).unwrap();
        prop_assert_eq!(&chunk, &at_once);
        prop_assert_eq!(chunk.map(|bytes| read(&bytes).unwrap()).unwrap_or_default(), as_cells(&expected));
    }

    #[test]
    fn sets_fold_to_their_last_state(base in crate::testing::offsets(), touched in vec(any::<prop::sample::Index>(), 0..50), fresh in vec(0u32..SHARD_WIDTH, 0..50)) {
        let mut expected = base.clone();
        let all: Vec<u32> = base.iter().copied().collect();
        let mut deltas = Vec::new();
        for offset in touched.iter().filter(|_| !all.is_empty()).map(|at| all[at.index(all.len())]).chain(fresh) {
            let n = if expected.remove(&offset) { -1 } else { expected.insert(offset); 1 };
            deltas.push(delta::encode([Cell { offset, n, v: 0 }]).unwrap());
        }
        let bytes = set_bytes(&base, false);
        let folded = fold(Encoding::Set, Some(&bytes), deltas.iter().map(Vec::as_slice)).unwrap();
        prop_assert_eq!(folded.clone(), (!expected.is_empty()).then(|| set_bytes(&expected, true)));
        let (early, late) = deltas.split_at(deltas.len() / 2);
        let half = fold(Encoding::Set, Some(&bytes), early.iter().map(Vec::as_slice)).unwrap();
        prop_assert_eq!(fold(Encoding::Set, half.as_deref(), late.iter().map(Vec::as_slice)).unwrap(), folded);
    }

    /// Changes of a chunk, also of its extremes and of what is gone, and cells that come, few or more than there were, within its frame or not: the bytes are those of writing it anew.
    #[test]
    fn changes_patch_to_the_bytes_of_a_new_chunk(base in cells(), touched in vec((any::<prop::sample::Index>(), 0u8..4, -3i64..=3), 0..6), fresh in prop_oneof![fresh(0..3, 1), fresh(0..2000, 1), fresh(0..2000, 40)]) {
        let all: Vec<(u32, (i64, i64))> = base.iter().map(|(offset, cell)| (*offset, *cell)).collect();
        let extremes = [all.iter().min_by_key(|(_, (_, v))| *v), all.iter().max_by_key(|(_, (_, v))| *v)];
        let mut changes = crate::testing::Cells::new();
        for (at, kind, step) in touched.iter().filter(|_| !all.is_empty()) {
            let (offset, (n, v)) = match kind {
                0 => *extremes[0].unwrap(),
                1 => *extremes[1].unwrap(),
                _ => all[at.index(all.len())],
            };
            changes.insert(offset, if *step == 0 && *kind != 3 { (-n, v.checked_neg().unwrap_or(0)) } else { (i64::from(*kind == 2 && n < 9), *step) });
        }
        let come = fresh.iter().filter(|(offset, _, _)| !base.contains_key(offset));
        changes.extend(come.map(|(offset, n, v)| (*offset, (*n, *v))));
        let delta = delta::encode(as_cells(&changes)).unwrap();
        let mut expected = base.clone();
        let mut fits = true;
        for (offset, (n, v)) in &changes {
            let sum = expected.entry(*offset).or_insert((0, 0));
            match sum.1.checked_add(*v) {
                Some(v) => *sum = (sum.0 + n, v),
                None => fits = sum.0 + n <= 0,
            }
        }
        expected.retain(|_, sum| sum.0 > 0);
        if fits {
            let folded = fold(Encoding::Number, Some(&number_bytes(&base)), [delta.as_slice()]).unwrap();
            prop_assert_eq!(folded, (!expected.is_empty()).then(|| number_bytes(&expected)));
        }
    }

    #[test]
    fn folding_over_any_base_adds(base in cells(), more in cells()) {
        let delta = delta::encode(as_cells(&more)).unwrap();
        let folded = fold(Encoding::Number, Some(&number_bytes(&base)), [delta.as_slice()]);
        let mut expected = base.clone();
        let mut fits = true;
        for (offset, (n, v)) in &more {
            let sum = expected.entry(*offset).or_insert((0, 0));
            match (sum.0.checked_add(*n), sum.1.checked_add(*v)) {
                (Some(n), Some(v)) => *sum = (n, v),
                _ => fits = false,
            }
        }
        if fits {
            let bytes = folded.unwrap();
            prop_assert_eq!(bytes.map(|bytes| read(&bytes).unwrap()).unwrap_or_default(), as_cells(&expected));
        } else {
            prop_assert_eq!(folded, Err(StoreError::Overflow));
        }
    }
}

#[test]
fn a_block_reads_the_same_however_many_cells_it_has() {
    let numbers: [fn(i64) -> i64; 4] = [|_| 7, |i| i, |i| i / 100 - 3, |i| i * i % 1009 - 500];
    for count in [1, 2, 8, 511, 512, 513, 4000] {
        for step in [1, 2, 13] {
            for (nth, number) in numbers.iter().enumerate() {
                let first = 3 * 65536 + 17 * nth as u32;
                let cells: Vec<Cell> = (0..count)
                    .map(|i| Cell {
                        offset: first + i * step,
                        n: 1 + number(i.into()).rem_euclid(5),
                        v: number(i.into()),
                    })
                    .collect();
                let bytes = number::encode(cells.iter().copied()).unwrap();
                assert_eq!(read(&bytes).unwrap(), cells, "{count} cells, every {step}th, numbers {nth}");
            }
        }
    }
}

#[test]
fn every_truncation_of_a_chunk_is_an_error() {
    let cells = (0..9000u32).map(|i| (i * 19, (1 + i64::from(i % 3), i64::from(i) * 31 - 90_000))).collect();
    let bytes = number_bytes(&cells);
    for prefix in prefixes(&bytes) {
        assert!(read(prefix).is_err(), "{} bytes", prefix.len());
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(read(&longer), Err(StoreError::Damaged { .. })));
    let mut newer = bytes;
    newer[0] = 2;
    assert_eq!(read(&newer), Err(StoreError::Version(2)));
}

#[test]
fn the_layout_of_a_chunk_is_fixed() {
    let cells = [Cell { offset: 3, n: 1, v: -2 }, Cell { offset: 5, n: 2, v: 0 }];
    let bytes = encode(cells).unwrap();
    let one = |offset: u8| [58, 48, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, offset, 0];
    let mut expected = vec![1, 1, 2, 0, 2, 0, 0, 0];
    expected.extend((-2i64).to_le_bytes());
    expected.extend(0i64.to_le_bytes());
    for length in [20u32, 18, 8, 18] {
        expected.extend(length.to_le_bytes());
    }
    expected.extend([58, 48, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 16, 0, 0, 0, 3, 0, 5, 0]);
    expected.extend(one(5));
    expected.extend([58, 48, 0, 0, 0, 0, 0, 0]);
    expected.extend(one(5));
    assert_eq!(bytes, expected);
}

#[test]
fn the_layout_of_a_delta_is_fixed() {
    let bytes = delta::encode([Cell { offset: 300, n: -1, v: 70 }, Cell { offset: 2, n: 1, v: 0 }]).unwrap();
    assert_eq!(bytes, [1, 2, 2, 0, 0xaa, 0x02, 1, 0x8c, 0x01]);
}

#[test]
fn a_delta_that_repeats_an_offset_or_runs_too_long_is_damage() {
    let read = |bytes: &[u8]| delta::decode(bytes).unwrap().collect::<Result<Vec<_>, _>>();
    assert!(matches!(read(&[1, 5, 2, 0, 0, 2, 0]), Err(StoreError::Damaged { what: "delta", at: 4 })));
    assert!(matches!(
        read(&[1, 5, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0]),
        Err(StoreError::Damaged { .. })
    ));
    assert!(matches!(read(&[1, 0x80, 0x80, 0x40, 2, 0]), Err(StoreError::Damaged { .. })));
    assert_eq!(read(&[1, 5, 2]), Err(StoreError::Truncated { what: "delta", at: 4 }));
    assert_eq!(delta::decode(&[]).err(), Some(StoreError::Truncated { what: "delta", at: 1 }));
    assert_eq!(delta::decode(&[9]).err(), Some(StoreError::Version(9)));
    let extremes = [Cell { offset: 1, n: i64::MIN, v: i64::MAX }, Cell { offset: 2, n: i64::MAX, v: i64::MIN }];
    assert_eq!(read(&delta::encode(extremes).unwrap()).unwrap(), extremes);
}

#[test]
fn cells_that_do_not_belong_are_refused() {
    let cell = |offset, n| Cell { offset, n, v: 1 };
    assert_eq!(encode([cell(4, 1), cell(4, 1)]), Err(StoreError::Order(4)));
    assert_eq!(encode([cell(4, 0)]), Err(StoreError::Order(4)));
    assert_eq!(encode([cell(SHARD_WIDTH, 1)]), Err(StoreError::Offset(SHARD_WIDTH)));
    assert_eq!(delta::encode([cell(SHARD_WIDTH, 1)]), Err(StoreError::Offset(SHARD_WIDTH)));
    assert_eq!(delta::encode([cell(1, i64::MAX), cell(1, 1)]), Err(StoreError::Overflow));
}

#[test]
fn changes_are_summed_while_they_are_gathered() {
    let cells: Vec<Cell> =
        (0..400_000u32).map(|i| Cell { offset: i * 7919 % 1009, n: i64::from(i % 3) - 1, v: i.into() }).collect();
    let mut gather = delta::Gather::default();
    let mut expected: BTreeMap<u32, (i64, i64)> = BTreeMap::new();
    for (i, cell) in cells.iter().enumerate() {
        gather.push(*cell);
        let sum = expected.entry(cell.offset).or_default();
        *sum = (sum.0 + cell.n, sum.1 + cell.v);
        // A result on the way changes nothing.
        if i % 150_000 == 7 {
            let so_far = delta::decode(&gather.encode().unwrap()).unwrap().map(|cell| cell.unwrap().v).sum::<i64>();
            assert_eq!(so_far, expected.values().map(|sum| sum.1).sum::<i64>());
        }
    }
    let bytes = gather.encode().unwrap();
    assert_eq!(bytes, delta::encode(as_cells(&expected)).unwrap());
    assert_eq!(bytes, delta::encode(cells).unwrap());
    // A sum may leave 64 bits on the way.
    let mut gather = delta::Gather::default();
    gather.push(Cell { offset: 1, n: i64::MAX, v: 5 });
    gather.push(Cell { offset: 1, n: 1, v: 5 });
    assert_eq!(gather.encode(), Err(StoreError::Overflow));
    gather.push(Cell { offset: 1, n: -1, v: 5 });
    assert_eq!(gather.encode().unwrap(), delta::encode([Cell { offset: 1, n: i64::MAX, v: 15 }]).unwrap());
}

#[test]
fn what_sums_to_nothing_leaves_no_chunk() {
    let (plus, minus) = (
        delta::encode([Cell { offset: 9, n: 1, v: 4 }]).unwrap(),
        delta::encode([Cell { offset: 9, n: -1, v: -3 }]).unwrap(),
    );
    for encoding in [Encoding::Set, Encoding::Number] {
        let chunk = fold(encoding, None, [plus.as_slice()]).unwrap();
        assert!(chunk.is_some());
        assert_eq!(fold(encoding, chunk.as_deref(), [minus.as_slice()]), Ok(None));
        assert_eq!(fold(encoding, None, []), Ok(None));
    }
    let empty = set_bytes(&BTreeSet::new(), false);
    assert_eq!(fold(Encoding::Set, Some(&empty), []), Ok(None));
}

#[test]
fn a_change_of_the_sum_alone_keeps_a_member() {
    let set = set_bytes(&BTreeSet::from([9]), true);
    let delta = delta::encode([Cell { offset: 9, n: 0, v: 3 }, Cell { offset: 10, n: 0, v: 3 }]).unwrap();
    assert_eq!(fold(Encoding::Set, Some(&set), [delta.as_slice()]), Ok(Some(set.clone())));
}
