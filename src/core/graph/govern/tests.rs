#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

const DAY: i64 = 86_400_000_000;

/// user_id: one per person.
const USER: u32 = 0;
/// email: three in any thirty days.
const EMAIL: u32 = 1;
/// openid: one per app.
const OPENID: u32 = 2;
/// cookie: any number; whose it is depends on the test.
const COOKIE: u32 = 3;

fn rules(shared: Shared) -> [TypeRule; 4] {
    let rule = TypeRule::default();
    [
        TypeRule { priority: 1, limit: Some(1), ..rule },
        TypeRule { priority: 2, limit: Some(3), window_micros: Some(30 * DAY), ..rule },
        TypeRule { priority: 3, limit: Some(1), ..rule },
        TypeRule { priority: 9, shared, ..rule },
    ]
}

fn node(rule: u32, value: &str) -> Node<'_> {
    Node { rule, scope: "", value, first_seen: 0, quarantined: false }
}

fn edge(from: u32, to: u32, day: i64) -> Edge {
    Edge { from, to, trust: 100, first_seen: day * DAY, last_seen: day * DAY, forced: false, unlinked: false }
}

const fn limit(rule: u32, found: u32, most: u32) -> State {
    State::Suspended(Reason::Limit { rule, found, most })
}

/// Two people at one cookie, on the first and on the second day.
fn kiosk() -> ([Node<'static>; 3], [Edge; 2]) {
    ([node(USER, "ann"), node(USER, "bob"), node(COOKIE, "c")], [edge(0, 2, 1), edge(2, 1, 2)])
}

#[test]
fn a_shared_cookie_goes_to_the_last() {
    let (nodes, edges) = kiosk();
    let verdict = govern(&rules(Shared::Last), &nodes, &edges, &[]).unwrap();
    assert_eq!(verdict.component, [0, 1, 1]);
    assert_eq!(verdict.states, [limit(USER, 2, 1), State::Accepted]);
    assert_eq!(verdict.contested, [true; 3]);
}

#[test]
fn a_shared_cookie_goes_to_the_first() {
    let (nodes, edges) = kiosk();
    let verdict = govern(&rules(Shared::First), &nodes, &edges, &[]).unwrap();
    assert_eq!(verdict.component, [0, 1, 0]);
    assert_eq!(verdict.states, [State::Accepted, limit(USER, 2, 1)]);
}

#[test]
fn a_shared_cookie_goes_to_nobody() {
    let (nodes, edges) = kiosk();
    let verdict = govern(&rules(Shared::Nobody), &nodes, &edges, &[]).unwrap();
    assert_eq!(verdict.component, [0, 1, 2]);
    assert_eq!(verdict.states, [State::Suspended(Reason::Shared { node: 2 }); 2]);
    assert_eq!(verdict.contested, [true; 3]);
    // An operator's link stays, and the unforced edge is no longer the first.
    let forced = [Edge { forced: true, ..edges[0] }, edges[1]];
    let verdict = govern(&rules(Shared::Nobody), &nodes, &forced, &[]).unwrap();
    assert_eq!(verdict.component, [0, 1, 0]);
    assert_eq!(verdict.states, [State::Accepted, State::Suspended(Reason::Shared { node: 2 })]);
}

#[test]
fn a_refused_link_of_an_operator_sets_nothing_aside() {
    let (nodes, edges) = kiosk();
    let forced = [Edge { forced: true, ..edges[0] }, edges[1]];
    let verdict = govern(&rules(Shared::Nobody), &nodes, &forced, &[(2, 0)]).unwrap();
    assert_eq!(verdict.states, [State::Suspended(Reason::CannotLink { pair: 0 }), State::Accepted]);
    assert_eq!(verdict.component, [0, 1, 1]);
}

#[test]
fn nobody_is_found_in_steps() {
    // The first cookie is refused at once; without it the two people meet at the second one, where the union that the first made
    // had hidden that.
    let rules = rules(Shared::Nobody);
    let users = [node(USER, "ann"), node(USER, "bob"), node(USER, "cat")];
    let nodes = [users[0], users[1], users[2], node(COOKIE, "c"), node(COOKIE, "d")];
    let edges = [edge(0, 3, 9), edge(3, 2, 8), edge(1, 4, 7), edge(4, 0, 6)];
    let verdict = govern(&rules, &nodes, &edges, &[]).unwrap();
    assert_eq!(verdict.component, [0, 1, 2, 3, 4]);
    let shared = |node| State::Suspended(Reason::Shared { node });
    assert_eq!(verdict.states, [shared(3), shared(3), shared(4), shared(4)]);
}

#[test]
fn the_order_of_edges() {
    // Each edge of the cookie beats the ones before it.
    let mut rules = rules(Shared::Last);
    rules[EMAIL as usize].limit = None;
    let values = ["a", "b", "c", "d", "e", "f"];
    let mut nodes: Vec<Node> = values.iter().map(|v| node(USER, v)).collect();
    nodes.push(node(EMAIL, "x"));
    nodes.push(node(COOKIE, "y"));
    let chain = [
        edge(1, 6, 1),
        edge(0, 6, 1),
        edge(2, 6, 2),
        Edge { trust: 101, ..edge(3, 6, 0) },
        Edge { forced: true, trust: i32::MIN, ..edge(4, 6, 0) },
    ];
    for taken in 1..=chain.len() {
        let verdict = govern(&rules, &nodes, &chain[..taken], &[]).unwrap();
        let accepted: Vec<usize> = (0..taken).filter(|&e| verdict.states[e] == State::Accepted).collect();
        assert_eq!(accepted, [taken - 1]);
    }
    // Of equal trust an edge between stronger types goes first, though it is older.
    let verdict = govern(&rules, &nodes, &[edge(0, 6, 1), edge(6, 7, 2), edge(5, 7, 3)], &[]).unwrap();
    assert_eq!(verdict.states, [State::Accepted, limit(USER, 2, 1), State::Accepted]);
}

#[test]
fn times_at_both_ends() {
    let nodes = [node(USER, "a"), node(USER, "b"), node(COOKIE, "c")];
    let seen = |e: Edge, at| Edge { first_seen: at, last_seen: at, ..e };
    let edges = [seen(edge(0, 2, 0), i64::MIN), seen(edge(1, 2, 0), i64::MAX)];
    assert_eq!(govern(&rules(Shared::Last), &nodes, &edges, &[]).unwrap().component, [0, 1, 1]);
    assert_eq!(govern(&rules(Shared::First), &nodes, &edges, &[]).unwrap().component, [0, 1, 0]);
    let at = |first_seen| Node { first_seen, ..node(EMAIL, "") };
    for (first, window, joins) in [(i64::MIN, i64::MAX, true), (0, i64::MAX, true), (1, i64::MAX, false), (0, 0, true)]
    {
        let rule = TypeRule { limit: Some(1), window_micros: Some(window), ..TypeRule::default() };
        let nodes = [Node { value: "a", ..at(first) }, Node { value: "b", ..at(i64::MAX) }];
        let verdict = govern(&[rule, rule], &nodes, &[edge(0, 1, 0)], &[]).unwrap();
        assert_eq!(verdict.states[0] == State::Accepted, joins, "{first} {window}");
    }
}

#[test]
fn a_limit_counts_within_its_window() {
    let values = ["a", "b", "c", "d", "e"];
    let mut nodes: Vec<Node> = vec![node(COOKIE, "y")];
    nodes.extend(
        [0, 10, 29, 30, 60].into_iter().zip(values).map(|(day, v)| Node { first_seen: day * DAY, ..node(EMAIL, v) }),
    );
    let edges: Vec<Edge> = (1..6).map(|n| edge(0, n, -i64::from(n))).collect();
    let verdict = govern(&rules(Shared::Last), &nodes, &edges, &[]).unwrap();
    // 0, 10, 29 are three in thirty days; 30 makes 10, 29, 30 without 0, and 60 is alone again.
    assert!(verdict.states.iter().all(|&s| s == State::Accepted));
    nodes[5].first_seen = 39 * DAY;
    let verdict = govern(&rules(Shared::Last), &nodes, &edges, &[]).unwrap();
    assert_eq!(verdict.states[4], limit(EMAIL, 4, 3));
}

#[test]
fn a_limit_counts_within_a_scope() {
    let open = |scope, value| Node { scope, ..node(OPENID, value) };
    let nodes = [open("shop", "1"), open("game", "1"), open("shop", "2"), node(COOKIE, "y")];
    let edges = [edge(0, 3, 3), edge(1, 3, 2), edge(2, 3, 1)];
    let verdict = govern(&rules(Shared::Last), &nodes, &edges, &[]).unwrap();
    assert_eq!(verdict.states, [State::Accepted, State::Accepted, limit(OPENID, 2, 1)]);
}

#[test]
fn an_operator_overrides_limits_and_quarantine_but_no_cannot_link() {
    let hub = Node { quarantined: true, ..node(COOKIE, "hub") };
    let nodes = [node(USER, "a"), node(USER, "b"), node(USER, "c"), hub, node(EMAIL, "e")];
    let forced = |from, to| Edge { forced: true, ..edge(from, to, 0) };
    let edges = [forced(0, 1), edge(2, 0, 5), edge(0, 3, 5), forced(3, 1), edge(4, 3, 9), edge(4, 1, 1)];
    let verdict = govern(&rules(Shared::Last), &nodes, &edges, &[]).unwrap();
    let quarantined = State::Suspended(Reason::Quarantined { node: 3 });
    // a and b are two; c would be a third; an email raises no count of users.
    assert_eq!(
        verdict.states,
        [State::Accepted, limit(USER, 3, 1), quarantined, State::Accepted, quarantined, State::Accepted]
    );
    assert_eq!(verdict.component, [0, 0, 2, 0, 0]);
    let verdict = govern(&rules(Shared::Last), &nodes, &edges, &[(2, 4), (0, 0), (3, 0)]).unwrap();
    assert_eq!(verdict.states[3], State::Suspended(Reason::CannotLink { pair: 2 }));
    // Taken back is taken back.
    let verdict = govern(&rules(Shared::Last), &nodes, &[Edge { unlinked: true, ..edges[0] }], &[]).unwrap();
    assert_eq!(verdict.states, [State::Suspended(Reason::Unlinked)]);
    assert_eq!(verdict.contested, [false; 5]);
}

#[test]
fn what_does_not_fit_is_an_error() {
    let rules = rules(Shared::Last);
    let nodes = [node(USER, "a"), node(COOKIE, "b")];
    assert_eq!(govern(&rules[..3], &nodes, &[], &[]), Err(GovernError::NoRule { node: 1 }));
    assert_eq!(govern(&rules, &nodes, &[edge(0, 1, 0), edge(0, 2, 0)], &[]), Err(GovernError::NoEndpoint { edge: 1 }));
    assert_eq!(govern(&rules, &nodes, &[], &[(0, 1), (7, 0)]), Err(GovernError::NoOpponent { pair: 1 }));
    let twice = [nodes[0], nodes[1], nodes[0]];
    assert_eq!(govern(&rules, &twice, &[], &[]), Err(GovernError::Twice { node: 0, other: 2 }));
    let empty = Verdict { component: vec![], states: vec![], contested: vec![] };
    assert_eq!(govern(&[], &[], &[], &[]), Ok(empty));
}
