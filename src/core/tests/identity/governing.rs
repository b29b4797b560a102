//! `govern` against its twin, and that numbering is no matter.

use crate::naive;
use pg_cdp_core::graph::govern::{Edge, Node, Reason, Shared, State, TypeRule, Verdict, govern};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Short values with a common beginning, a prefix of each other, and one that is longer than a sort key.
const VALUES: [&str; 6] = ["x", "xa", "xa\0", "xb", "xé", "xabcdefghijklmnopqrstuvwxyz"];
const SCOPES: [&str; 2] = ["", "app"];
const RULES: usize = 3;

#[derive(Debug, Clone)]
struct Graph {
    rules: Vec<TypeRule>,
    nodes: Vec<Node<'static>>,
    edges: Vec<Edge>,
    cannot_link: Vec<(u32, u32)>,
}

impl Graph {
    fn govern(&self) -> Verdict {
        govern(&self.rules, &self.nodes, &self.edges, &self.cannot_link).unwrap()
    }
}

pub fn rule() -> impl Strategy<Value = TypeRule> {
    let limit =
        prop_oneof![1 => Just(None), 1 => Just(Some(0)), 4 => Just(Some(1)), 3 => Just(Some(2)), 1 => Just(Some(3))];
    let window = prop_oneof![4 => Just(None), 3 => (0i64..8).prop_map(Some), 1 => Just(Some(i64::MAX))];
    let shared = prop_oneof![3 => Just(Shared::Last), 2 => Just(Shared::First), 2 => Just(Shared::Nobody)];
    (1i32..4, limit, window, shared).prop_map(|(priority, limit, window_micros, shared)| TypeRule {
        priority,
        limit,
        window_micros,
        shared,
    })
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![40 => 0i64..16, 1 => Just(i64::MIN), 1 => Just(i64::MAX)]
}

fn graph(nodes: usize, edges: usize) -> impl Strategy<Value = Graph> {
    let node = (0..RULES as u32, 0..SCOPES.len(), 0..VALUES.len(), time(), prop::bool::weighted(0.1)).prop_map(
        |(rule, scope, value, first_seen, quarantined)| Node {
            rule,
            scope: SCOPES[scope],
            value: VALUES[value],
            first_seen,
            quarantined,
        },
    );
    let edge =
        (any::<u32>(), any::<u32>(), 0i32..3, time(), time(), prop::bool::weighted(0.1), prop::bool::weighted(0.05))
            .prop_map(|(from, to, trust, t, u, forced, unlinked)| Edge {
                from,
                to,
                trust,
                first_seen: t.min(u),
                last_seen: t.max(u),
                forced,
                unlinked,
            });
    let pair = (any::<u32>(), any::<u32>());
    (vec(rule(), RULES), vec(node, 1..nodes), vec(edge, 0..edges), vec(pair, 0..3)).prop_map(
        |(rules, mut nodes, mut edges, mut cannot_link)| {
            let mut seen = BTreeSet::new();
            nodes.retain(|n| seen.insert((n.rule, n.scope, n.value)));
            let len = nodes.len() as u32;
            let mut pairs = BTreeSet::new();
            for e in &mut edges {
                (e.from, e.to) = (e.from % len, e.to % len);
            }
            edges.retain(|e| pairs.insert((e.from.min(e.to), e.from.max(e.to))));
            for pair in &mut cannot_link {
                *pair = (pair.0 % len, pair.1 % len);
            }
            Graph { rules, nodes, edges, cannot_link }
        },
    )
}

/// A graph, and an order of its nodes, edges and pairs, and which edges are turned round.
fn shuffled() -> impl Strategy<Value = (Graph, [Vec<u32>; 3], Vec<bool>)> {
    graph(14, 26).prop_flat_map(|g| {
        let order = |len: usize| Just((0..len as u32).collect::<Vec<u32>>()).prop_shuffle();
        let orders = [order(g.nodes.len()), order(g.edges.len()), order(g.cannot_link.len())];
        let turned = vec(any::<bool>(), g.edges.len() + g.cannot_link.len());
        (Just(g), orders, turned)
    })
}

/// What a state says, by identifiers rather than by numbers.
fn told(state: &State, graph: &Graph) -> String {
    let node = |n: &u32| format!("{:?}", graph.nodes[*n as usize]);
    match state {
        State::Suspended(Reason::Quarantined { node: n }) => format!("quarantined {}", node(n)),
        State::Suspended(Reason::Shared { node: n }) => format!("shared {}", node(n)),
        State::Suspended(Reason::CannotLink { pair }) => {
            let (a, b) = graph.cannot_link[*pair as usize];
            format!("{:?}", BTreeSet::from([node(&a), node(&b)]))
        }
        other => format!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn equals_the_twin(g in graph(14, 26)) {
        prop_assert_eq!(g.govern(), naive::govern(&g.rules, &g.nodes, &g.edges, &g.cannot_link));
    }

    /// No rule can refuse anything when there are no more values than a component may hold, and no pairs to keep apart.
    #[test]
    fn equals_the_twin_where_nothing_is_refused(g in graph(14, 26), most in vec(prop::option::of(14u32..20), RULES)) {
        let rules = g.rules.iter().zip(&most).map(|(rule, &limit)| TypeRule { limit, ..*rule }).collect();
        let g = Graph { rules, cannot_link: Vec::new(), ..g };
        let verdict = g.govern();
        let refused = |state: &State| !matches!(state, State::Accepted | State::Suspended(Reason::Unlinked | Reason::Quarantined { .. }));
        prop_assert!(!verdict.states.iter().any(refused));
        prop_assert_eq!(verdict, naive::govern(&g.rules, &g.nodes, &g.edges, &g.cannot_link));
    }

    #[test]
    fn numbering_and_order_are_no_matter((g, [nodes, edges, pairs], turned) in shuffled()) {
        let place = |n: u32| nodes.iter().position(|&m| m == n).unwrap() as u32;
        let turn = |(a, b): (u32, u32), turned: bool| if turned { (b, a) } else { (a, b) };
        let other = Graph {
            rules: g.rules.clone(),
            nodes: nodes.iter().map(|&n| g.nodes[n as usize]).collect(),
            edges: edges.iter().map(|&e| {
                let edge = g.edges[e as usize];
                let (from, to) = turn((place(edge.from), place(edge.to)), turned[e as usize]);
                Edge { from, to, ..edge }
            }).collect(),
            cannot_link: pairs.iter().map(|&p| {
                let (a, b) = g.cannot_link[p as usize];
                turn((place(a), place(b)), turned[g.edges.len() + p as usize])
            }).collect(),
        };
        let (one, two) = (g.govern(), other.govern());
        for (a, &n) in nodes.iter().enumerate() {
            prop_assert_eq!(two.contested[a], one.contested[n as usize]);
            for (b, &m) in nodes.iter().enumerate() {
                let same = one.component[n as usize] == one.component[m as usize];
                prop_assert_eq!(two.component[a] == two.component[b], same);
            }
        }
        for (e, &was) in edges.iter().enumerate() {
            prop_assert_eq!(told(&two.states[e], &other), told(&one.states[was as usize], &g));
        }
    }
}

/// Components large enough for every form that tallies and times take, against the same with one union after the other.
#[test]
fn large_components_equal_the_definition() {
    use std::collections::HashMap;
    let (people, scopes) = (3_000u32, 40u32);
    let names: Vec<String> = (0..people).map(|n| format!("{n}")).collect();
    let apps: Vec<String> = (0..scopes).map(|n| format!("{n}")).collect();
    // Rule 0 counts in scopes, rule 1 in a window; values of the two alternate.
    let rules = [
        TypeRule { priority: 1, limit: Some(36), ..TypeRule::default() },
        TypeRule { priority: 1, limit: Some(3), window_micros: Some(10), ..TypeRule::default() },
    ];
    let spread = |n: u32| i64::from(n.wrapping_mul(2_654_435_761) >> 8) % 10_000;
    let nodes: Vec<Node> = (0..people)
        .map(|n| {
            let scope = if n % 2 == 0 { apps[(n / 2 % scopes) as usize].as_str() } else { "" };
            Node { rule: n % 2, scope, value: &names[n as usize], first_seen: spread(n), quarantined: false }
        })
        .collect();
    // First many small components, then between them.
    let edges: Vec<Edge> = (0..3 * people)
        .map(|e| {
            let n = e % people;
            let to = match e / people {
                0 => n - n % 8,
                1 => n - n % 256,
                _ => n.wrapping_mul(7919) % people,
            };
            let trust = 3 - (e / people) as i32;
            Edge { from: n, to, trust, first_seen: 0, last_seen: spread(e), forced: false, unlinked: false }
        })
        .collect();
    let verdict = govern(&rules, &nodes, &edges, &[]).unwrap();

    let mut label: Vec<u32> = (0..people).collect();
    let mut members: HashMap<u32, BTreeSet<u32>> = (0..people).map(|n| (n, BTreeSet::from([n]))).collect();
    let name = |n: u32| (nodes[n as usize].rule, nodes[n as usize].value);
    let mut order: Vec<usize> = (0..edges.len()).collect();
    order.sort_by_key(|&e| {
        let edge = &edges[e];
        let (a, b) = (name(edge.from), name(edge.to));
        (-edge.trust, -edge.last_seen, a.min(b), a.max(b), e)
    });
    let mut refused = 0;
    for e in order {
        let edge = &edges[e];
        let (a, b) = (label[edge.from as usize], label[edge.to as usize]);
        if a == b {
            assert_eq!(verdict.states[e], State::Accepted);
            continue;
        }
        let (a, b) = if members[&a].len() >= members[&b].len() { (a, b) } else { (b, a) };
        let mut breach = None;
        for (r, rule) in (0u32..).zip(&rules) {
            let keys: BTreeSet<&str> =
                members[&b].iter().map(|&n| &nodes[n as usize]).filter(|n| n.rule == r).map(|n| n.scope).collect();
            let found = keys.iter().map(|scope| naive_count(rule, r, scope, &members[&a], &members[&b], &nodes)).max();
            if breach.is_none() && found > rule.limit {
                breach = Some(Reason::Limit { rule: r, found: found.unwrap(), most: rule.limit.unwrap() });
            }
        }
        match breach {
            Some(reason) => {
                assert_eq!(verdict.states[e], State::Suspended(reason));
                refused += 1;
            }
            None => {
                assert_eq!(verdict.states[e], State::Accepted);
                let moved = members.remove(&b).unwrap();
                moved.iter().for_each(|&n| label[n as usize] = a);
                members.get_mut(&a).unwrap().extend(moved);
            }
        }
    }
    let largest = members.values().map(BTreeSet::len).max().unwrap();
    assert!(refused > 1000 && largest > 2000, "{refused} refused, {largest} in the largest component");
}

/// As [`naive::excess`], but linear in the smaller side.
fn naive_count(rule: &TypeRule, r: u32, scope: &str, a: &BTreeSet<u32>, b: &BTreeSet<u32>, nodes: &[Node]) -> u32 {
    let of = |set: &BTreeSet<u32>| -> Vec<i64> {
        let here = set.iter().map(|&n| &nodes[n as usize]);
        here.filter(|n| n.rule == r && n.scope == scope).map(|n| n.first_seen).collect()
    };
    let (of_a, of_b) = (of(a), of(b));
    let Some(window) = rule.window_micros else {
        let both = !of_a.is_empty() && !of_b.is_empty();
        return if both { (of_a.len() + of_b.len()) as u32 } else { 0 };
    };
    let mut times: Vec<(i64, bool)> = of_b.iter().map(|&t| (t, true)).collect();
    times.extend(of_a.iter().filter(|&&t| of_b.iter().any(|&u| t.abs_diff(u) < window as u64)).map(|&t| (t, false)));
    times.sort_unstable();
    let inside = |start: i64| times.iter().filter(move |(t, _)| *t >= start && *t < start + window);
    let mixed = |start: i64| inside(start).any(|t| t.1) && inside(start).any(|t| !t.1);
    let counts = times.iter().map(|t| t.0).filter(|&start| mixed(start)).map(|start| inside(start).count() as u32);
    counts.into_iter().find(|&count| Some(count) > rule.limit).unwrap_or(0)
}
