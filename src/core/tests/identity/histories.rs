//! Random histories: what is kept up step by step is what comes of everything at once.

use crate::governing::rule;
use crate::model::{IDENTS, Model, NodeRow, Op};
use crate::naive::{self, Set};
use pg_cdp_core::graph::govern::{Reason, Shared, State, TypeRule, govern};
use pg_cdp_core::graph::hub::HubRule;
use pg_cdp_core::graph::{Record, homes};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

type Rules = ([TypeRule; 4], [HubRule; 4]);

fn ident() -> std::ops::Range<usize> {
    0..IDENTS.len()
}

fn caps(person: bool) -> impl Strategy<Value = HubRule> {
    let cap = || prop_oneof![3 => Just(None), 1 => (1u32..5).prop_map(Some)];
    (cap(), cap()).prop_map(move |(degree_cap, person_cap)| HubRule { person, degree_cap, person_cap })
}

fn rules() -> impl Strategy<Value = Rules> {
    ([rule(), rule(), rule(), rule()], [caps(true), caps(true), caps(false), caps(false)])
}

/// Rules that ask for no time and limit nothing.
fn no_rules() -> Rules {
    let caps = HubRule { person: false, degree_cap: None, person_cap: None };
    ([TypeRule::default(); 4], [caps; 4])
}

fn observe() -> impl Strategy<Value = Op> {
    (0i32..3, 0i64..16, vec(ident(), 2..=4)).prop_map(|(trust, time, idents)| Op::Observe(trust, time, idents))
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => observe(),
        1 => (ident(), ident()).prop_map(|(a, b)| Op::Link(a, b)),
        2 => (ident(), ident()).prop_map(|(a, b)| Op::Unlink(a, b)),
        1 => (ident(), ident()).prop_map(|(a, b)| Op::CannotLink(a, b)),
        1 => (ident(), ident()).prop_map(|(a, b)| Op::CanLink(a, b)),
        1 => ident().prop_map(Op::Block),
        1 => ident().prop_map(Op::Unblock),
        1 => (0usize..4, rule()).prop_map(|(r, rule)| Op::Rule(r, rule)),
        1 => (0usize..4, caps(false)).prop_map(|(r, caps)| Op::Caps(r, caps)),
        1 => (ident(), any::<u16>()).prop_map(|(n, mask)| Op::Split(n, mask)),
    ]
}

/// Batches of operations, each with whether it may take the short cut.
fn history(ops: impl Strategy<Value = Op>, batches: usize) -> impl Strategy<Value = Vec<(Vec<Op>, bool)>> {
    vec((vec(ops, 1..3), prop::bool::weighted(0.7)), 1..batches)
}

fn play(rules: &Rules, history: &[(Vec<Op>, bool)]) -> Model {
    let mut model = Model::new(rules.0, rules.1);
    for (ops, fast) in history {
        model.step(ops, *fast);
    }
    model
}

/// Runs a test over random histories and counts them.
fn histories<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let ran = Cell::new(0);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(strategy, |case| {
        ran.set(ran.get() + 1);
        test(case)
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    assert!(ran.get() >= cases);
    println!("{} histories", ran.get());
}

/// Everything anew: the same hubs, states, parts and ids.
fn check(model: &Model) -> Result<(), TestCaseError> {
    let marked = |test: fn(&NodeRow) -> bool| -> BTreeSet<i64> {
        model.nodes.iter().filter(|(_, n)| test(n)).map(|(&id, _)| id).collect()
    };
    prop_assert_eq!(marked(|n| n.hub), model.all_hubs());

    let all: BTreeSet<i64> = model.nodes.keys().copied().collect();
    let view = model.view(&all, &all);
    let verdict = govern(&model.rules, &view.nodes, &view.edges, &view.cannot).unwrap();
    for (key, state) in view.keys.iter().zip(&verdict.states) {
        let expected = match *state {
            State::Suspended(Reason::CannotLink { pair }) => {
                let (a, b) = view.cannot[pair as usize];
                let pair = model.cannot_number(view.ids[a as usize], view.ids[b as usize]);
                State::Suspended(Reason::CannotLink { pair })
            }
            other => model.translated(other, &view.ids),
        };
        prop_assert_eq!(model.pairs[key].state, Some(expected), "{:?}", key);
    }
    let contested: BTreeSet<i64> =
        view.ids.iter().zip(&verdict.contested).filter(|&(_, &c)| c).map(|(&id, _)| id).collect();
    prop_assert_eq!(marked(|n| n.contested), contested);

    let place = |id: i64| view.ids.binary_search(&id).unwrap() as u32;
    let records: Vec<Record> = model
        .profiles
        .iter()
        .map(|(&profile_id, p)| Record { profile_id, founding: place(p.founding), created_at_micros: p.created })
        .collect();
    let found = homes(&verdict.component, &records);
    for (&id, &root) in view.ids.iter().zip(&verdict.component) {
        prop_assert_eq!(Some(model.nodes[&id].owner), found.survivor[root as usize]);
    }
    for (record, into) in records.iter().zip(&found.into) {
        prop_assert_eq!(model.profiles[&record.profile_id].into, *into);
    }
    Ok(())
}

/// What holds of the tables whatever happened.
fn invariants(model: &Model) -> Result<(), TestCaseError> {
    let mut parts: BTreeMap<i64, Set> = BTreeMap::new();
    for (&id, node) in &model.nodes {
        prop_assert!(model.profiles[&node.owner].into.is_none(), "a node of a retired profile");
        parts.entry(node.owner).or_default().insert(id as u32);
    }
    // A retired id leads to who lives where it was founded, in one step and for ever.
    for (&profile_id, profile) in &model.profiles {
        prop_assert_eq!(model.live(profile_id), model.nodes[&profile.founding].owner);
        prop_assert!(profile.into.is_some() || parts.contains_key(&profile_id), "a live profile without nodes");
    }
    let accepted = |(&(a, b), p): (&(i64, i64), &crate::model::PairRow)| {
        (p.state == Some(State::Accepted)).then_some((a as u32, b as u32))
    };
    let edges: Vec<(u32, u32)> = model.pairs.iter().filter_map(accepted).collect();
    for part in parts.values() {
        prop_assert_eq!(&naive::reach(*part.first().unwrap(), &edges), part);
        let has = |n: &i64| part.contains(&(*n as u32));
        prop_assert!(!model.cannot.iter().any(|(a, b)| has(a) && has(b)), "together against a cannot-link");
        let forced = model.pairs.iter().any(|((a, b), p)| p.forced && has(a) && has(b));
        prop_assert!(forced || !model.breaks(part), "a limit is broken");
    }
    Ok(())
}

#[test]
fn step_by_step_equals_everything_at_once() {
    let (fast, governed, all) = (Cell::new(0), Cell::new(0), Cell::new(0));
    histories(4000, &(rules(), history(op(), 16)), |(rules, history)| {
        let mut model = Model::new(rules.0, rules.1);
        for (ops, may_be_fast) in &history {
            model.step(ops, *may_be_fast);
            all.set(all.get() + model.nodes.len());
            check(&model)?;
            invariants(&model)?;
        }
        fast.set(fast.get() + model.fast);
        governed.set(governed.get() + model.governed);
        Ok(())
    });
    // It would be no test if the short cut were never taken, or every component always touched.
    assert!(fast.get() > 2000, "{} short cuts", fast.get());
    assert!(governed.get() * 4 < all.get() * 3, "{} of {} nodes governed", governed.get(), all.get());
}

/// What only adds: in any order it comes to the same.
fn addition() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => observe(),
        1 => (ident(), ident()).prop_map(|(a, b)| Op::Link(a, b)),
        1 => (ident(), ident()).prop_map(|(a, b)| Op::CannotLink(a, b)),
        1 => ident().prop_map(Op::Block),
    ]
}

#[test]
fn any_order_and_any_batching_give_the_same_parts() {
    let cases = (rules(), vec(addition(), 1..14)).prop_flat_map(|(rules, ops)| {
        (Just(rules), Just(ops.clone()), Just(ops).prop_shuffle(), vec((1usize..5, any::<bool>()), 14))
    });
    histories(1500, &cases, |(rules, ops, mut shuffled, sizes)| {
        // An operator can name only what is known.
        let rows = |op: &Op| !matches!(op, Op::Observe(..));
        let mut one_by_one = ops.clone();
        one_by_one.sort_by_key(rows);
        shuffled.sort_by_key(rows);
        let one = play(&rules, &one_by_one.into_iter().map(|op| (vec![op], true)).collect::<Vec<_>>());
        let mut two = Model::new(rules.0, rules.1);
        for (size, fast) in sizes {
            let size = size.min(shuffled.len());
            let batch: Vec<Op> = shuffled.drain(..size).collect();
            if !batch.is_empty() {
                two.step(&batch, fast);
            }
        }
        two.step(&shuffled, false);
        prop_assert_eq!(one.partition(), two.partition());
        prop_assert_eq!(one.suspended(), two.suspended());
        Ok(())
    });
}

#[test]
fn a_merge_that_is_undone_leaves_every_id() {
    let cases = (rules(), history(op(), 12), ident(), ident(), any::<bool>());
    let merged = Cell::new(0);
    histories(1500, &cases, |(rules, history, a, b, by_operator)| {
        let mut model = play(&rules, &history);
        let (Some(&x), Some(&y)) = (model.ids.get(&a), model.ids.get(&b)) else { return Ok(()) };
        if x == y || model.pairs.contains_key(&(x.min(y), x.max(y))) {
            return Ok(());
        }
        let owners = |m: &Model| -> Vec<i64> { m.nodes.values().map(|n| n.owner).collect() };
        let (before, profiles) = (owners(&model), model.profiles.clone());
        // Late enough not to be the first sight of either.
        let merge = if by_operator { Op::Link(a, b) } else { Op::Observe(9, 99, vec![a, b]) };
        model.step(&[merge], true);
        merged.set(merged.get() + usize::from(owners(&model) != before));
        model.step(&[Op::Unlink(a, b)], true);
        prop_assert_eq!(owners(&model), before);
        for (id, profile) in profiles {
            prop_assert_eq!(model.profiles[&id].into, profile.into);
        }
        check(&model)
    });
    assert!(merged.get() > 200, "{} merges", merged.get());
}

#[test]
fn what_time_a_row_tells_is_nothing_to_ids() {
    let row = || (vec(ident(), 2..=4), 0i64..16, 0i64..16);
    histories(1000, &vec(row(), 1..16), |rows| {
        let played = |late: bool| {
            let op = |(idents, time, other): &(Vec<usize>, i64, i64)| {
                Op::Observe(1, if late { -*other } else { *time }, idents.clone())
            };
            play(&no_rules(), &rows.iter().map(|r| (vec![op(r)], true)).collect::<Vec<_>>())
        };
        let (one, two) = (played(false), played(true));
        let ids = |m: &Model| -> Vec<(usize, i64)> { m.nodes.values().map(|n| (n.ident, n.owner)).collect() };
        prop_assert_eq!(ids(&one), ids(&two));
        // A row told again, earlier than all: nobody is renamed.
        let mut late = one.clone();
        for (idents, ..) in &rows {
            late.step(&[Op::Observe(1, -1000, idents.clone())], true);
        }
        prop_assert_eq!(ids(&one), ids(&late));
        Ok(())
    });
}

/// The rules do what they are for: a history in which two people share a cookie, step by step.
#[test]
fn a_history_told() {
    let (ann, bob, cookie) = (0, 1, 9);
    let mut rules = no_rules();
    rules.0[0].limit = Some(1);
    rules.0[3].priority = 9;
    let mut model = Model::new(rules.0, rules.1);
    let owner = |m: &Model, n: usize| m.nodes[&m.ids[&n]].owner;
    model.step(&[Op::Observe(1, 1, vec![ann, cookie])], true);
    model.step(&[Op::Observe(1, 2, vec![bob, cookie])], true);
    // The cookie moves to who used it last, and founds nothing; bob gets a profile of his own.
    assert_eq!([owner(&model, ann), owner(&model, bob), owner(&model, cookie)], [1, 2, 2]);
    let first = TypeRule { shared: Shared::First, ..rules.0[3] };
    model.step(&[Op::Rule(3, first)], true);
    assert_eq!([owner(&model, ann), owner(&model, bob), owner(&model, cookie)], [1, 2, 1]);
    model.step(&[Op::Rule(3, TypeRule { shared: Shared::Nobody, ..first })], true);
    assert_eq!([owner(&model, ann), owner(&model, bob), owner(&model, cookie)], [1, 2, 3]);
    model.step(&[Op::Link(ann, bob)], true);
    assert_eq!(model.partition().len(), 1);
    assert_eq!((owner(&model, cookie), model.live(2), model.live(3)), (1, 1, 1));
    model.step(&[Op::Unlink(ann, bob)], true);
    assert_eq!([owner(&model, ann), owner(&model, bob), owner(&model, cookie)], [1, 2, 3]);
    invariants(&model).unwrap();
    check(&model).unwrap();
}
