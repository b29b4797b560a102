//! Chains of evidence against all chains there are, and bridges against taking each pair away.

use pg_cdp_core::graph::path::{Link, Step, bridges, path};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

type Strength = (i32, i64);
type Pairs = BTreeMap<(i64, i64), Strength>;

/// Node ids in no order, at both ends of their range.
const IDS: [i64; 8] = [5, -3, i64::MAX, 40, 7, i64::MIN, 0, 12];

fn links() -> impl Strategy<Value = Vec<Link>> {
    let link = (0..IDS.len(), 0..IDS.len(), 0i32..4, 0i64..3);
    vec(link.prop_map(|(a, b, trust, last_seen)| Link { from: IDS[a], to: IDS[b], trust, last_seen }), 0..16)
}

fn merged(links: &[Link]) -> Pairs {
    let mut pairs = Pairs::new();
    for link in links.iter().filter(|l| l.from != l.to) {
        let (trust, seen) =
            pairs.entry((link.from.min(link.to), link.from.max(link.to))).or_insert((i32::MIN, i64::MIN));
        *trust = link.trust.max(*trust);
        *seen = link.last_seen.max(*seen);
    }
    pairs
}

fn key(a: i64, b: i64) -> (i64, i64) {
    (a.min(b), a.max(b))
}

fn reach(start: i64, pairs: &Pairs) -> BTreeSet<i64> {
    let mut seen = BTreeSet::from([start]);
    loop {
        let before = seen.len();
        for &(a, b) in pairs.keys() {
            if seen.contains(&a) || seen.contains(&b) {
                seen.extend([a, b]);
            }
        }
        if seen.len() == before {
            return seen;
        }
    }
}

fn is_bridge(pairs: &Pairs, pair: (i64, i64)) -> bool {
    let mut without = pairs.clone();
    without.remove(&pair);
    !reach(pair.0, &without).contains(&pair.1)
}

/// All chains without a repetition.
fn chains(pairs: &Pairs, way: &mut Vec<i64>, to: i64, found: &mut Vec<Vec<i64>>) {
    let here = *way.last().unwrap();
    if here == to {
        found.push(way.clone());
        return;
    }
    for next in IDS {
        if pairs.contains_key(&key(here, next)) && !way.contains(&next) {
            way.push(next);
            chains(pairs, way, to, found);
            way.pop();
        }
    }
}

/// The chain by its definition, from the smaller end.
fn expected(pairs: &Pairs, low: i64, high: i64) -> Option<Vec<Step>> {
    let mut found = Vec::new();
    chains(pairs, &mut vec![low], high, &mut found);
    let strength = |chain: &[i64], i: usize| pairs[&key(chain[i], chain[i + 1])];
    let weakest = |chain: &[i64]| (0..chain.len() - 1).map(|i| strength(chain, i)).min().unwrap();
    let best = found.into_iter().min_by_key(|c| (c.len(), std::cmp::Reverse(weakest(c)), c.clone()))?;
    let bridge = |i: usize| is_bridge(pairs, key(best[i], best[i + 1]));
    let weak = (0..best.len() - 1).min_by_key(|&i| (strength(&best, i), !bridge(i), i)).unwrap();
    let step = |i: usize| {
        let (trust, last_seen) = strength(&best, i);
        Step { from: best[i], to: best[i + 1], trust, last_seen, bridge: bridge(i), weakest: i == weak }
    };
    Some((0..best.len() - 1).map(step).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_chain_is_the_best_of_all((links, shuffled) in links().prop_flat_map(|l| (Just(l.clone()), Just(l).prop_shuffle()))) {
        let pairs = merged(&links);
        for (i, &a) in IDS.iter().enumerate() {
            for &b in &IDS[i + 1..] {
                let chain = path(&links, a.min(b), a.max(b));
                prop_assert_eq!(&chain, &expected(&pairs, a.min(b), a.max(b)));
                prop_assert_eq!(&chain, &path(&shuffled, a.min(b), a.max(b)));
                let back = chain.map(|c| c.into_iter().rev().map(|s| Step { from: s.to, to: s.from, ..s }).collect());
                prop_assert_eq!(path(&links, a.max(b), a.min(b)), back);
            }
        }
    }

    #[test]
    fn bridges_are_what_holds_alone(links in links()) {
        let pairs = merged(&links);
        let alone: Vec<(i64, i64)> = pairs.keys().copied().filter(|&pair| is_bridge(&pairs, pair)).collect();
        prop_assert_eq!(bridges(&links), alone);
    }
}
