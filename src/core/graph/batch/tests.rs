#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn rows(lists: &[Vec<i64>]) -> Rows {
    let mut rows = Rows::default();
    for list in lists {
        rows.push(list);
    }
    rows
}

fn has(node: i64, profile: i64) -> NodeState {
    NodeState { node, profile: Some(profile) }
}

fn aged(profile_id: i64, created_at_micros: i64) -> Profile {
    Profile { profile_id, created_at_micros }
}

#[test]
fn new_nodes_make_one_profile() {
    let made = stitch(&rows(&[vec![7, 3], vec![3, 9, 9], vec![5]]), &[], &[]).unwrap();
    assert_eq!(
        made,
        [
            Component { founding: 3, survivor: None, retired: vec![], newcomers: vec![3, 7, 9] },
            Component { founding: 5, survivor: None, retired: vec![], newcomers: vec![5] },
        ]
    );
    assert!(made.iter().all(|c| c.needs_profile() && !c.is_unchanged()));
}

#[test]
fn the_oldest_profile_survives() {
    let states = [has(1, 10), has(2, 20), has(3, 30)];
    let profiles = [aged(10, 500), aged(20, 100), aged(30, 100), aged(99, 0)];
    let made = stitch(&rows(&[vec![3, 1], vec![4, 1], vec![2, 4]]), &states, &profiles).unwrap();
    // 1-3 joins 30 to 10, 1-4 brings no profile, 2-4 joins both to 20.
    assert_eq!(
        made,
        [Component {
            founding: 1,
            survivor: Some(20),
            retired: vec![Retired { profile_id: 10, cause: (2, 4) }, Retired { profile_id: 30, cause: (2, 4) }],
            newcomers: vec![4],
        }]
    );
}

#[test]
fn a_profile_joins_its_nodes_without_an_edge() {
    let states = [has(1, 10), has(2, 10), has(3, 11)];
    let made = stitch(&rows(&[vec![1, 3], vec![2, 5]]), &states, &[aged(10, 0), aged(11, 1)]).unwrap();
    assert_eq!(
        made,
        [Component {
            founding: 1,
            survivor: Some(10),
            retired: vec![Retired { profile_id: 11, cause: (1, 3) }],
            newcomers: vec![5],
        }]
    );
}

#[test]
fn nothing_new_is_unchanged() {
    let made = stitch(&rows(&[vec![1, 2]]), &[has(1, 4), has(2, 4), has(2, 4)], &[aged(4, 0), aged(4, 0)]).unwrap();
    assert_eq!(made.len(), 1);
    assert!(made[0].is_unchanged() && !made[0].needs_profile());
    assert_eq!(stitch(&Rows::default(), &[], &[]), Ok(vec![]));
    assert_eq!(stitch(&rows(&[vec![], vec![]]), &[], &[]), Ok(vec![]));
}

#[test]
fn extremes() {
    let made = stitch(&rows(&[vec![i64::MAX, i64::MIN, 0]]), &[has(0, i64::MIN)], &[aged(i64::MIN, i64::MIN)]).unwrap();
    assert_eq!(made[0].newcomers, [i64::MIN, i64::MAX]);
    assert_eq!(made[0].survivor, Some(i64::MIN));
}

#[test]
fn contradictions() {
    let r = rows(&[vec![1, 2]]);
    let two = [has(1, 4), NodeState { node: 1, profile: None }];
    assert_eq!(stitch(&r, &two, &[aged(4, 0)]), Err(StitchError::TwoStates { node: 1 }));
    assert_eq!(stitch(&r, &[has(1, 4), has(1, 5)], &[aged(4, 0), aged(5, 0)]), Err(StitchError::TwoStates { node: 1 }));
    assert_eq!(stitch(&r, &[has(1, 4)], &[]), Err(StitchError::UnknownProfile { profile_id: 4 }));
    assert_eq!(stitch(&r, &[has(1, 4)], &[aged(4, 0), aged(4, 1)]), Err(StitchError::TwoAges { profile_id: 4 }));
}

/// Nodes reachable from `start` over `edges` and shared profiles, the slow way.
fn reach(start: i64, edges: &BTreeSet<(i64, i64)>, profile_of: &BTreeMap<i64, i64>) -> BTreeSet<i64> {
    let mut seen = BTreeSet::from([start]);
    loop {
        let before = seen.len();
        for &(a, b) in edges {
            if seen.contains(&a) || seen.contains(&b) {
                seen.extend([a, b]);
            }
        }
        let owned: BTreeSet<i64> = seen.iter().filter_map(|n| profile_of.get(n).copied()).collect();
        seen.extend(profile_of.iter().filter(|(_, p)| owned.contains(p)).map(|(&n, _)| n));
        if seen.len() == before {
            return seen;
        }
    }
}

/// The definition, written out.
fn naive(lists: &[Vec<i64>], profile_of: &BTreeMap<i64, i64>, age: &BTreeMap<i64, i64>) -> Vec<Component> {
    let mut edges = BTreeSet::new();
    let mut left: BTreeSet<i64> = profile_of.keys().copied().collect();
    for list in lists {
        left.extend(list);
        if let Some(&least) = list.iter().min() {
            edges.extend(list.iter().filter(|&&n| n != least).map(|&n| (least, n)));
        }
    }
    let mut out = Vec::new();
    while let Some(&founding) = left.first() {
        let nodes = reach(founding, &edges, profile_of);
        left.retain(|n| !nodes.contains(n));
        let mut here: BTreeSet<(i64, i64)> =
            nodes.iter().filter_map(|n| profile_of.get(n)).map(|p| (age[p], *p)).collect();
        let survivor = here.pop_first().map(|(_, p)| p);
        let node_of = |p: i64| *profile_of.iter().find(|&(_, &q)| q == p).unwrap().0;
        let mut retired: Vec<Retired> = here
            .iter()
            .map(|&(_, p)| {
                // The first edge with which the edges up to it reach the survivor.
                let mut taken = BTreeSet::new();
                let cause = edges.iter().find(|&&edge| {
                    taken.insert(edge);
                    reach(node_of(p), &taken, profile_of).contains(&node_of(survivor.unwrap()))
                });
                Retired { profile_id: p, cause: *cause.unwrap() }
            })
            .collect();
        retired.sort_by_key(|r| r.profile_id);
        let newcomers = nodes.iter().copied().filter(|n| !profile_of.contains_key(n)).collect();
        out.push(Component { founding, survivor, retired, newcomers });
    }
    out
}

type Case = (Vec<Vec<i64>>, BTreeMap<i64, i64>, BTreeMap<i64, i64>);

fn case() -> impl Strategy<Value = Case> {
    let nodes = 1i64..26;
    (
        prop::collection::vec(prop::collection::vec(nodes.clone(), 0..4), 0..16),
        prop::collection::btree_map(nodes, 100i64..112, 0..16),
        prop::collection::vec(0i64..5, 12),
    )
        .prop_map(|(lists, profile_of, ages)| (lists, profile_of, (100..112).zip(ages).collect()))
}

fn run(lists: &[Vec<i64>], states: &[NodeState], age: &BTreeMap<i64, i64>) -> Vec<Component> {
    let profiles: Vec<Profile> = age.iter().map(|(&p, &t)| aged(p, t)).collect();
    stitch(&rows(lists), states, &profiles).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn equals_the_definition((lists, profile_of, age) in case()) {
        let states: Vec<NodeState> = profile_of.iter().map(|(&n, &p)| has(n, p)).collect();
        prop_assert_eq!(run(&lists, &states, &age), naive(&lists, &profile_of, &age));
    }

    #[test]
    fn two_that_meet_in_one_row(nodes in prop::collection::btree_set(-20i64..20, 2..9), of in any::<u8>(), ages in (0i64..3, 0i64..3), turned in any::<bool>()) {
        let profile_of: BTreeMap<i64, i64> = nodes.iter().enumerate().map(|(nth, node)| (*node, if of >> nth & 1 == 1 { 7 } else { 5 })).collect();
        let age: BTreeMap<i64, i64> = [(5, ages.0), (7, ages.1)].into();
        let mut row: Vec<i64> = nodes.into_iter().collect();
        let mut states: Vec<NodeState> = profile_of.iter().map(|(node, profile)| has(*node, *profile)).collect();
        if turned {
            row.reverse();
            states.rotate_left(1);
        }
        prop_assert_eq!(run(&[row.clone()], &states, &age), naive(&[row], &profile_of, &age));
    }

    #[test]
    fn order_does_not_matter(
        ((lists, profile_of, age), (shuffled, order)) in case().prop_flat_map(|c| {
            let states: Vec<NodeState> = c.1.iter().map(|(&n, &p)| has(n, p)).collect();
            let turned: Vec<Vec<i64>> = c.0.iter().map(|l| l.iter().rev().copied().collect()).collect();
            (Just(c), (Just(turned).prop_shuffle(), Just(states).prop_shuffle()))
        })
    ) {
        let states: Vec<NodeState> = profile_of.iter().map(|(&n, &p)| has(n, p)).collect();
        prop_assert_eq!(run(&shuffled, &order, &age), run(&lists, &states, &age));
    }

    /// What one batch says, two batches say too, when the second sees what the first made.
    #[test]
    fn batches_compose((lists, profile_of, age) in case(), cut in 0usize..16) {
        let cut = cut.min(lists.len());
        let apply = |lists: &[Vec<i64>], profile_of: &mut BTreeMap<i64, i64>, age: &mut BTreeMap<i64, i64>| {
            let states: Vec<NodeState> = profile_of.iter().map(|(&n, &p)| has(n, p)).collect();
            for c in run(lists, &states, age) {
                let p = c.survivor.unwrap_or(1000 + c.founding);
                age.entry(p).or_insert(1_000);
                profile_of.values_mut().filter(|q| c.retired.iter().any(|r| r.profile_id == **q)).for_each(|q| *q = p);
                profile_of.extend(c.newcomers.iter().map(|&n| (n, p)));
            }
        };
        let (mut whole, mut ages) = (profile_of.clone(), age.clone());
        apply(&lists, &mut whole, &mut ages);
        let (mut parts, mut ages) = (profile_of, age);
        apply(&lists[..cut], &mut parts, &mut ages);
        apply(&lists[cut..], &mut parts, &mut ages);
        prop_assert_eq!(whole.keys().collect::<Vec<_>>(), parts.keys().collect::<Vec<_>>());
        for (n, p) in &whole {
            // A component without an old profile may be named after another of its new nodes.
            let same = |q: &i64| (*p >= 1000) == (*q >= 1000) && (*p >= 1000 || p == q);
            prop_assert!(same(&parts[n]));
            for (m, q) in &whole {
                prop_assert_eq!(p == q, parts[n] == parts[m]);
            }
        }
    }
}
