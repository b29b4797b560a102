//! Programs over the chunks of a shard: two programs that a law makes equal give the same members and the same count.

use crate::common::shapes::{Narrow, Rng, narrow};
use pg_cdp_core::bitmap::SHARD_WIDTH;
use pg_cdp_core::cells::{self, Cell, Encoding};
use pg_cdp_core::program::{Measure, Node, Program, count, evaluate};
use proptest::prelude::*;
use roaring::RoaringBitmap;
use std::collections::BTreeSet;

/// The slots: three sets of one or two chunks, everybody, one chunk of numbers.
const SLOTS: [Encoding; 5] = [Encoding::Set, Encoding::Set, Encoding::Set, Encoding::Set, Encoding::Number];
const EVERYBODY: usize = 3;
const NUMBERS: usize = 4;

struct Store {
    chunks: Vec<Vec<Vec<u8>>>,
}

impl Store {
    fn new(sets: &[Vec<Narrow>; 3], everybody: &Narrow, numbers: &[Cell]) -> Self {
        let mut chunks: Vec<Vec<Vec<u8>>> =
            sets.iter().map(|chunks| chunks.iter().map(Narrow::bytes).collect()).collect();
        let mut all = everybody.members();
        all.extend(sets.iter().flatten().flat_map(|set| set.members()));
        chunks.push(vec![crate::common::shapes::bitmap_bytes(&all, everybody.1)]);
        chunks.push(vec![cells::encode(numbers.iter().copied()).unwrap()]);
        Self { chunks }
    }

    /// The members; the count must be theirs.
    fn run(&self, root: &Node) -> RoaringBitmap {
        let chunks: Vec<Vec<&[u8]>> = self.chunks.iter().map(|slot| slot.iter().map(Vec::as_slice).collect()).collect();
        let program = Program { slots: SLOTS.to_vec(), root: root.clone() };
        let members = evaluate(&program, &chunks).unwrap();
        assert_eq!(count(&program, &chunks).unwrap(), members.len(), "{root:?} is counted as it is made");
        members
    }
}

fn and(a: &Node, b: &Node) -> Node {
    Node::And(vec![a.clone(), b.clone()])
}

fn or(a: &Node, b: &Node) -> Node {
    Node::Or(vec![a.clone(), b.clone()])
}

fn less(a: &Node, b: &Node) -> Node {
    Node::AndNot(Box::new(a.clone()), Box::new(b.clone()))
}

fn not(a: &Node) -> Node {
    less(&Node::Present(EVERYBODY), a)
}

fn slot() -> impl Strategy<Value = Vec<Narrow>> {
    proptest::collection::vec(narrow(), 0..3)
}

/// Numbers of a chunk: offsets by a set's shapes, values and counts from a seed.
fn numbers() -> impl Strategy<Value = Vec<Cell>> {
    (narrow(), any::<u64>(), prop_oneof![Just(3u64), Just(1000), Just(u64::MAX)], 1i64..5).prop_map(
        |(set, seed, spread, most)| {
            let mut rng = Rng(seed);
            let value = |rng: &mut Rng| (rng.next() % spread) as i64 - if spread == 1000 { 500 } else { 0 };
            let cell = |offset: u32| Cell { offset, n: 1 + i64::from(offset) % most, v: value(&mut rng) };
            set.members().into_iter().map(cell).collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn laws_of_programs(sets in [slot(), slot(), slot()], everybody in narrow(), numbers in numbers(), low in -600i64..600, high in -600i64..600) {
        let store = Store::new(&sets, &everybody, &numbers);
        let (a, b, c) = (Node::Present(0), Node::Present(1), Node::Present(2));
        let range = Node::Range { slot: NUMBERS, low: low.min(high), high: low.max(high) };
        for (a, b, c) in [(&a, &b, &c), (&b, &range, &a), (&c, &a, &range)] {
            let laws = [
                ("and commutes", and(a, b), and(b, a)),
                ("or commutes", or(a, b), or(b, a)),
                ("and is associative", and(&and(a, b), c), and(a, &and(b, c))),
                ("or is associative", or(&or(a, b), c), or(a, &or(b, c))),
                ("nested is flat", and(&and(a, b), c), Node::And(vec![c.clone(), a.clone(), b.clone()])),
                ("nested is flat", or(&or(a, b), c), Node::Or(vec![c.clone(), a.clone(), b.clone()])),
                ("and distributes over or", and(a, &or(b, c)), or(&and(a, b), &and(a, c))),
                ("or distributes over and", or(a, &and(b, c)), and(&or(a, b), &or(a, c))),
                ("absorption", and(a, &or(a, b)), a.clone()),
                ("absorption", or(a, &and(a, b)), a.clone()),
                ("and is idempotent", and(a, a), a.clone()),
                ("or is idempotent", or(a, a), a.clone()),
                ("De Morgan", not(&or(a, b)), and(&not(a), &not(b))),
                ("De Morgan", not(&and(a, b)), or(&not(a), &not(b))),
                // The first is always a set, so everybody holds it.
                ("difference is and not", less(a, b), and(a, &not(b))),
                ("difference of differences", less(a, &or(b, c)), less(&less(a, b), c)),
                ("difference", less(a, &less(a, b)), and(a, b)),
                ("nobody", less(a, a), Node::Empty),
                ("nobody", and(a, &Node::Empty), Node::Empty),
                ("nobody", or(a, &Node::Empty), a.clone()),
            ];
            for (law, left, right) in laws {
                let (left, right) = (store.run(&left), store.run(&right));
                prop_assert!(left == right, "{law}: {} and {} members", left.len(), right.len());
            }
            let [x, y, both, either] = [a, b, &and(a, b), &or(a, b)].map(|node| store.run(node).len());
            prop_assert_eq!(x + y, both + either, "inclusion and exclusion");
        }
    }

    #[test]
    fn programs_are_plain_sets(sets in [slot(), slot(), slot()], everybody in narrow()) {
        let store = Store::new(&sets, &everybody, &[]);
        let [a, b, c]: [BTreeSet<u32>; 3] = sets.map(|chunks| chunks.iter().flat_map(Narrow::members).collect());
        let (x, y, z) = (Node::Present(0), Node::Present(1), Node::Present(2));
        let cases = [
            (x.clone(), a.clone()),
            (and(&x, &y), &a & &b),
            (or(&x, &y), &a | &b),
            (less(&x, &y), &a - &b),
            (and(&or(&x, &y), &z), &(&a | &b) & &c),
            (less(&or(&x, &z), &and(&y, &z)), &(&a | &c) - &(&b & &c)),
        ];
        for (node, expected) in cases {
            prop_assert!(store.run(&node).iter().eq(expected), "{node:?}");
        }
    }

    #[test]
    fn laws_of_ranges(numbers in numbers(), cut in -600i64..1600, width in 0i64..400) {
        let store = Store::new(&[vec![], vec![], vec![]], &Narrow(vec![], false), &numbers);
        let all = Node::Present(NUMBERS);
        let range = |low, high| Node::Range { slot: NUMBERS, low, high };
        let tally = |low: i64, high: i64| Node::Tally { slot: NUMBERS, measure: Measure::Sum, low: low.into(), high: high.into() };
        let counted = |low, high| Node::Tally { slot: NUMBERS, measure: Measure::Count, low, high };
        let (below, from) = (range(i64::MIN, cut - 1), range(cut, i64::MAX));
        let laws = [
            ("a range and its complement are everybody who has a number", or(&below, &from), all.clone()),
            ("a range and its complement share nobody", and(&below, &from), Node::Empty),
            ("the complement of a range", less(&all, &below), from.clone()),
            ("ranges meet in a range", and(&range(cut, i64::MAX), &range(i64::MIN, cut + width)), range(cut, cut + width)),
            ("a range is a union of ranges", or(&range(cut, cut + width / 2), &range(cut + width / 2, cut + width)), range(cut, cut + width)),
            ("one chunk's total is its number", tally(cut, cut + width), range(cut, cut + width)),
            ("at least one fact", counted(1, i128::MAX), all.clone()),
            ("counts split", or(&counted(i128::MIN, 2), &counted(3, i128::MAX)), all),
        ];
        for (law, left, right) in laws {
            let (left, right) = (store.run(&left), store.run(&right));
            prop_assert!(left == right, "{law}: {} and {} members", left.len(), right.len());
        }
        let expected = numbers.iter().filter(|cell| (cut..=cut + width).contains(&cell.v)).map(|cell| cell.offset);
        prop_assert!(store.run(&range(cut, cut + width)).iter().eq(expected));
        prop_assert!(numbers.iter().all(|cell| cell.offset < SHARD_WIDTH));
    }
}
