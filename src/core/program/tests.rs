#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::bitmap::SHARD_WIDTH;
use crate::cells::{NO_CODE, encode_codes};
use crate::testing::{Cells, cells, few_facts, number_bytes, offsets, set_bytes};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What the slots hold: three of sets, then three of numbers, of which the first has at most one chunk.
#[derive(Debug, Clone)]
struct Store {
    sets: Vec<Vec<BTreeSet<u32>>>,
    numbers: Vec<Vec<Cells>>,
    runs: bool,
}

const SLOTS: [Encoding; 6] =
    [Encoding::Set, Encoding::Set, Encoding::Set, Encoding::Number, Encoding::Number, Encoding::Number];

fn store() -> impl Strategy<Value = Store> {
    let sets = [vec(offsets(), 0..=1), vec(offsets(), 0..=1), vec(offsets(), 0..=3)];
    let numbers = [vec(cells(), 0..=1).boxed(), vec(cells(), 0..=3).boxed(), vec(few_facts(), 1..=6).boxed()];
    (sets, numbers, any::<bool>()).prop_map(|(sets, numbers, runs)| Store {
        sets: sets.into(),
        numbers: numbers.into(),
        runs,
    })
}

impl Store {
    fn bytes(&self) -> Vec<Vec<Vec<u8>>> {
        let sets = self.sets.iter().map(|chunks| chunks.iter().map(|set| set_bytes(set, self.runs)).collect());
        let numbers = self.numbers.iter().map(|chunks| chunks.iter().map(number_bytes).collect());
        sets.chain(numbers).collect()
    }

    fn totals(&self, slot: usize, measure: Measure) -> BTreeMap<u32, i128> {
        let mut totals = BTreeMap::new();
        for (offset, (n, v)) in self.numbers[slot - 3].iter().flatten() {
            *totals.entry(*offset).or_insert(0) += i128::from(if measure == Measure::Count { *n } else { *v });
        }
        totals
    }

    /// The meaning of a node, by the library's algebra and one profile after the other.
    fn truth(&self, node: &Node) -> RoaringBitmap {
        match node {
            Node::Empty => RoaringBitmap::new(),
            Node::Present(slot) if *slot < 3 => self.sets[*slot].iter().flatten().collect(),
            Node::Present(slot) => self.numbers[*slot - 3].iter().flat_map(BTreeMap::keys).collect(),
            Node::Range { slot, low, high } => {
                let cells = self.numbers[*slot - 3].iter().flatten();
                cells.filter(|(_, (_, v))| low <= v && v <= high).map(|(offset, _)| offset).collect()
            }
            Node::Tally { slot, measure, low, high } => {
                let totals = self.totals(*slot, *measure);
                totals.iter().filter(|(_, total)| low <= total && total <= &high).map(|(offset, _)| offset).collect()
            }
            Node::And(nodes) => nodes.iter().map(|node| self.truth(node)).reduce(|a, b| a & b).unwrap(),
            Node::Or(nodes) => nodes.iter().map(|node| self.truth(node)).fold(RoaringBitmap::new(), |a, b| a | b),
            Node::AndNot(left, right) => self.truth(left) - self.truth(right),
        }
    }
}

fn bound() -> impl Strategy<Value = i64> {
    prop_oneof![3 => -10i64..110, 1 => -1100i64..1100, 1 => Just(i64::MIN), 1 => Just(i64::MAX), 1 => any::<i64>()]
}

fn wide() -> impl Strategy<Value = i128> {
    prop_oneof![8 => bound().prop_map(i128::from), 1 => Just(i128::MIN), 1 => Just(i128::MAX), 1 => (bound(), 1i128..4).prop_map(|(b, k)| k * i128::from(b))]
}

fn node() -> impl Strategy<Value = Node> {
    let measure = prop_oneof![Just(Measure::Count), Just(Measure::Sum)];
    let leaf = prop_oneof![
        1 => Just(Node::Empty),
        4 => (0usize..6).prop_map(Node::Present),
        4 => (bound(), bound()).prop_map(|(a, b)| Node::Range { slot: 3, low: a.min(b), high: a.max(b) }),
        4 => (3usize..6, measure, wide(), wide()).prop_map(|(slot, measure, a, b)| Node::Tally { slot, measure, low: a.min(b), high: a.max(b) }),
        2 => (3usize..6, 1i128..3).prop_map(|(slot, low)| Node::Tally { slot, measure: Measure::Count, low, high: i128::MAX }),
        1 => (bound(), bound()).prop_map(|(low, high)| Node::Range { slot: 3, low, high }),
    ];
    leaf.prop_recursive(5, 20, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(Node::And),
            vec(inner.clone(), 0..4).prop_map(Node::Or),
            (inner.clone(), inner).prop_map(|(a, b)| Node::AndNot(Box::new(a), Box::new(b))),
        ]
    })
}

fn run(node: Node, bytes: &[Vec<Vec<u8>>]) -> Result<(RoaringBitmap, u64), StoreError> {
    let chunks: Vec<Vec<&[u8]>> = bytes.iter().map(|slot| slot.iter().map(Vec::as_slice).collect()).collect();
    let program = Program { slots: SLOTS.to_vec(), root: node };
    let members = evaluate(&program, &chunks)?;
    Ok((members, count(&program, &chunks)?))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn programs_mean_what_their_nodes_mean(store in store(), nodes in vec(node(), 12)) {
        let bytes = store.bytes();
        for node in nodes {
            let truth = store.truth(&node);
            let (members, count) = run(node.clone(), &bytes).unwrap();
            prop_assert!(members == truth, "{node:?}: {} members, expected {}", members.len(), truth.len());
            prop_assert_eq!(count, truth.len(), "{:?}", node);
            let program = Program { slots: SLOTS.to_vec(), root: node };
            let chunks: Vec<Vec<&[u8]>> = bytes.iter().map(|slot| slot.iter().map(Vec::as_slice).collect()).collect();
            let written = super::members(&program, &chunks).unwrap();
            prop_assert_eq!(written.is_none(), truth.is_empty());
            let read = written.map(|bytes| RoaringBitmap::deserialize_from(&bytes[..]).unwrap()).unwrap_or_default();
            prop_assert_eq!(read, truth);
        }
    }

    /// Bounds at and beside totals that occur, which random bounds rarely hit.
    #[test]
    fn tallies_are_exact_at_their_bounds(chunks in vec(prop_oneof![cells(), few_facts()], 0..7), picks in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), -1i128..=1, any::<bool>()), 6)) {
        let store = Store { sets: vec![vec![]; 3], numbers: vec![vec![], chunks, vec![]], runs: false };
        let bytes = store.bytes();
        for measure in [Measure::Count, Measure::Sum] {
            let totals: Vec<i128> = store.totals(4, measure).into_values().chain([0]).collect();
            for (low, high, step, open) in &picks {
                let low = totals[low.index(totals.len())] + step;
                let high = if *open { i128::MAX } else { totals[high.index(totals.len())] - step };
                let node = Node::Tally { slot: 4, measure, low, high };
                let truth = store.truth(&node);
                let (members, count) = run(node.clone(), &bytes).unwrap();
                prop_assert!(members == truth, "{node:?}: {} members, expected {}", members.len(), truth.len());
                prop_assert_eq!(count, truth.len());
            }
        }
    }

    #[test]
    fn measures_are_those_of_the_members(store in store(), nodes in vec(node(), 1..5), sets in vec(offsets(), 0..4), number in cells()) {
        let bytes = store.bytes();
        let chunks: Vec<Vec<&[u8]>> = bytes.iter().map(|slot| slot.iter().map(Vec::as_slice).collect()).collect();
        let truths: Vec<RoaringBitmap> = nodes.iter().map(|node| store.truth(node)).collect();
        let overlaps = overlap(&SLOTS, &nodes, &chunks).unwrap();
        let pairs = (0..nodes.len()).flat_map(|a| (a..nodes.len()).map(move |b| (a, b)));
        prop_assert_eq!(overlaps.pairs, pairs.map(|(a, b)| truths[a].intersection_len(&truths[b])).collect::<Vec<_>>());
        let all = truths.iter().skip(1).fold(truths[0].clone(), |all, truth| all & truth);
        let any = truths.iter().fold(RoaringBitmap::new(), |any, truth| any | truth);
        prop_assert_eq!((overlaps.all, overlaps.any), (all.len(), any.len()));

        let set_bytes: Vec<Vec<u8>> = sets.iter().map(|set| set_bytes(set, store.runs)).collect();
        let sets_read: Vec<&[u8]> = set_bytes.iter().map(Vec::as_slice).collect();
        let number_bytes = number_bytes(&number);
        for (node, truth) in nodes.iter().zip(&truths) {
            let program = Program { slots: SLOTS.to_vec(), root: node.clone() };
            let counts = distribution(&program, &chunks, &sets_read).unwrap();
            let expected = sets.iter().map(|set| truth.intersection_len(&set.iter().collect())).collect::<Vec<_>>();
            prop_assert_eq!(counts, (truth.len(), expected));

            // Each offset has the code of the first set that has it; codes of one byte and of two.
            for spacing in [1, 200] {
                let mut codes = vec![NO_CODE; SHARD_WIDTH as usize];
                for (code, set) in sets.iter().enumerate().rev() {
                    set.iter().for_each(|offset| codes[*offset as usize] = spacing * code as u16);
                }
                let mut expected = BTreeMap::<u16, (u64, u64)>::new();
                for (offset, code) in (0..).zip(&codes).filter(|(_, code)| **code != NO_CODE) {
                    let share = expected.entry(*code).or_default();
                    *share = (share.0 + u64::from(truth.contains(offset)), share.1 + 1);
                }
                let expected: Vec<_> = expected.into_iter().map(|(code, (inside, all))| (code, inside, all)).collect();
                let column = encode_codes(&codes).unwrap();
                prop_assert_eq!(column.is_some(), !expected.is_empty());
                let (members, mut shares) = code_distribution(&program, &chunks, column.as_deref()).unwrap();
                shares.sort_unstable();
                prop_assert_eq!((members, shares), (truth.len(), expected));
            }

            let values: Vec<i64> = number.iter().filter(|(offset, _)| truth.contains(**offset)).map(|(_, (_, v))| *v).collect();
            let mut counts = HashMap::new();
            prop_assert_eq!(number_distribution(&program, &chunks, Some(&number_bytes), &mut counts).unwrap(), truth.len());
            let mut expected = HashMap::new();
            values.iter().for_each(|v| *expected.entry(*v).or_insert(0) += 1);
            prop_assert_eq!(counts, expected);

            let range = values.iter().min().zip(values.iter().max()).map(|(a, b)| (*a, *b));
            let sum = values.iter().map(|v| i128::from(*v)).sum();
            let expected = Totals { members: truth.len(), known: values.len() as u64, sum, range };
            prop_assert_eq!(totals(&program, &chunks, Some(&number_bytes)).unwrap(), expected);
            let none = Totals { members: truth.len(), ..Totals::default() };
            prop_assert_eq!(totals(&program, &chunks, None).unwrap(), none);
        }
    }

    #[test]
    fn damaged_chunks_never_panic(store in store(), node in node(), slot in 0usize..6, flips in vec((any::<prop::sample::Index>(), 0u8..8), 1..5), cut in any::<Option<prop::sample::Index>>()) {
        let mut bytes = store.bytes();
        for chunk in bytes[slot].iter_mut().filter(|chunk| !chunk.is_empty()) {
            for (at, bit) in &flips {
                let at = at.index(chunk.len());
                chunk[at] ^= 1 << bit;
            }
            if let Some(cut) = cut {
                chunk.truncate(cut.index(chunk.len()));
            }
        }
        let _ = run(node, &bytes);
        let _ = run(Node::Or((0..6).map(Node::Present).collect()), &bytes);
    }

    #[test]
    fn programs_survive_json(node in node()) {
        let program = Program { slots: SLOTS.to_vec(), root: node };
        let text = serde_json::to_string(&program).unwrap();
        prop_assert_eq!(serde_json::from_str::<Program>(&text).unwrap(), program);
    }
}

#[test]
fn the_json_of_a_program_is_fixed() {
    let tally = Node::Tally { slot: 1, measure: Measure::Sum, low: 1, high: i128::MAX };
    let root = Node::AndNot(Box::new(Node::And(vec![Node::Present(0), tally])), Box::new(Node::Empty));
    let program = Program { slots: vec![Encoding::Set, Encoding::Number], root };
    assert_eq!(
        serde_json::to_string(&program).unwrap(),
        r#"{"slots":["set","number"],"root":{"and_not":[{"and":[{"present":0},{"tally":{"slot":1,"measure":"sum","low":1,"high":170141183460469231731687303715884105727}}]},"empty"]}}"#
    );
}

#[test]
fn programs_that_do_not_fit_their_slots_are_refused() {
    let (set, number) = (set_bytes(&BTreeSet::from([1]), false), number_bytes(&Cells::from([(1, (1, 1))])));
    let check = |root: Node, number: Vec<&[u8]>| {
        let program = Program { slots: vec![Encoding::Set, Encoding::Number], root };
        let chunks = [vec![set.as_slice()], number];
        assert_eq!(evaluate(&program, &chunks).err(), count(&program, &chunks).err());
        evaluate(&program, &chunks).err()
    };
    let one = || vec![number.as_slice()];
    let range = |slot| Node::Range { slot, low: 0, high: 9 };
    let tally = |slot| Node::Tally { slot, measure: Measure::Sum, low: 0, high: 9 };
    let bad =
        |slot| move |error: Option<StoreError>| matches!(error, Some(StoreError::BadSlot { slot: s, .. }) if s == slot);
    assert_eq!(check(range(1), one()), None);
    assert!(bad(2)(check(Node::Present(2), one())));
    assert!(bad(0)(check(range(0), one())));
    assert!(bad(0)(check(tally(0), one())));
    assert!(bad(1)(check(range(1), vec![&number, &number])));
    assert_eq!(check(tally(1), vec![&number, &number]), None);
    assert_eq!(check(Node::Or(vec![Node::And(vec![])]), one()), Some(StoreError::EmptyAnd));
    assert_eq!(check(Node::Or(vec![]), one()), None);
    let program = Program { slots: vec![], root: Node::Empty };
    assert!(bad(0)(evaluate(&program, &[Vec::<&[u8]>::new()]).err()));
}

#[test]
fn nesting_is_bounded() {
    let nest = |levels: usize| (1..levels).fold(Node::Present(0), |node, _| Node::And(vec![node]));
    let bytes = [vec![set_bytes(&BTreeSet::from([7]), false)], vec![], vec![], vec![], vec![], vec![]];
    assert_eq!(run(nest(MAX_DEPTH), &bytes).unwrap().1, 1);
    assert_eq!(run(nest(MAX_DEPTH + 1), &bytes), Err(StoreError::TooDeep(MAX_DEPTH)));
    assert_eq!(run(nest(5000), &bytes), Err(StoreError::TooDeep(MAX_DEPTH)));
}

#[test]
fn damage_in_a_container_that_is_read_is_reported() {
    let mut bytes = vec![vec![set_bytes(&(0..9000).map(|i| i * 3).collect(), false)]];
    bytes.resize(6, vec![]);
    let len = bytes[0][0].len();
    bytes[0][0].truncate(len - 1);
    assert!(matches!(run(Node::Present(0), &bytes), Err(StoreError::Truncated { what: "bitmap", .. })));
}

#[test]
fn a_share_is_that_of_one_block_and_independent_of_what_is_asked() {
    let some: BTreeSet<u32> = (0..40).chain(65_536..65_600).collect();
    let everybody: BTreeSet<u32> = (0..100).chain(65_536..65_636).collect();
    let bytes = [set_bytes(&some, false), set_bytes(&everybody, false)];
    let chunks: Vec<Vec<&[u8]>> = vec![vec![&bytes[0]], vec![&bytes[1]], Vec::new()];
    let slots = vec![Encoding::Set; 3];
    let present = |slot| Node::Present(slot);
    let of = |root: Node, key| {
        share(&Program { slots: slots.clone(), root }, &chunks, key, 100, &[None, None, Some(0.5)]).unwrap()
    };
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} is not {b}");
    close(of(present(0), 0), 0.4);
    close(of(present(0), 1), 0.64);
    close(of(present(0), 2), 0.0);
    close(of(Node::AndNot(Box::new(present(1)), Box::new(present(0))), 0), 0.6);
    close(of(Node::And(vec![present(0), present(2)]), 0), 0.2);
    close(of(Node::Or(vec![present(0), present(2)]), 0), 0.7);
    close(of(Node::AndNot(Box::new(present(1)), Box::new(present(2))), 0), 0.5);
    close(of(Node::Empty, 0), 0.0);
}
