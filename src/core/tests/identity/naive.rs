//! `govern` as it is defined, one edge after the other and everything counted anew for each.

use pg_cdp_core::graph::govern::{Edge, Node, Reason, Shared, State, TypeRule, Verdict};
use std::cmp::Reverse;
use std::collections::BTreeSet;

pub type Set = BTreeSet<u32>;

/// All nodes that `edges` lead to from `start`.
pub fn reach(start: u32, edges: &[(u32, u32)]) -> Set {
    let mut seen = Set::from([start]);
    loop {
        let before = seen.len();
        for &(a, b) in edges {
            if seen.contains(&a) || seen.contains(&b) {
                seen.extend([a, b]);
            }
        }
        if seen.len() == before {
            return seen;
        }
    }
}

/// How many values of one rule and scope there are in the earliest span that has values of both sides and too many; else 0.
pub fn excess(rule: &TypeRule, rule_index: u32, scope: &str, a: &Set, b: &Set, nodes: &[Node]) -> u32 {
    let of = |set: &Set| -> Vec<i64> {
        let here = set.iter().map(|&n| &nodes[n as usize]);
        here.filter(|n| n.rule == rule_index && n.scope == scope).map(|n| n.first_seen).collect()
    };
    let (a, b) = (of(a), of(b));
    let most = rule.limit.unwrap() as usize;
    let mut starts: Vec<i64> = a.iter().chain(&b).copied().collect();
    starts.sort_unstable();
    for start in starts {
        let inside = |t: &&i64| match rule.window_micros {
            Some(window) => **t >= start && i128::from(**t) < i128::from(start) + i128::from(window),
            None => true,
        };
        let (of_a, of_b) = (a.iter().filter(inside).count(), b.iter().filter(inside).count());
        if of_a > 0 && of_b > 0 && of_a + of_b > most {
            return (of_a + of_b) as u32;
        }
    }
    0
}

/// Why two components may not be joined.
fn refusal(
    rules: &[TypeRule],
    nodes: &[Node],
    cannot_link: &[(u32, u32)],
    a: &Set,
    b: &Set,
    forced: bool,
) -> Option<Reason> {
    let identity = |n: u32| (nodes[n as usize].rule, nodes[n as usize].value, nodes[n as usize].scope);
    let apart = (0u32..)
        .zip(cannot_link)
        .filter(|(_, (x, y))| (a.contains(x) && b.contains(y)) || (a.contains(y) && b.contains(x)));
    let first = apart.min_by_key(|&(i, &(x, y))| (identity(x).min(identity(y)), identity(x).max(identity(y)), i));
    if let Some((pair, _)) = first {
        return Some(Reason::CannotLink { pair });
    }
    for (r, rule) in (0u32..).zip(rules).filter(|_| !forced) {
        let Some(most) = rule.limit else { continue };
        let scopes: BTreeSet<&str> = nodes.iter().map(|n| n.scope).collect();
        let found = scopes.iter().map(|scope| excess(rule, r, scope, a, b, nodes)).max().unwrap_or(0);
        if found > most {
            return Some(Reason::Limit { rule: r, found, most });
        }
    }
    None
}

pub fn govern(rules: &[TypeRule], nodes: &[Node], edges: &[Edge], cannot_link: &[(u32, u32)]) -> Verdict {
    let identity = |n: u32| (nodes[n as usize].rule, nodes[n as usize].value, nodes[n as usize].scope);
    let ends = |e: &Edge| if identity(e.from) <= identity(e.to) { [e.from, e.to] } else { [e.to, e.from] };
    let rule = |n: u32| &rules[nodes[n as usize].rule as usize];
    let place = |e: &Edge| {
        let [smaller, larger] = ends(e);
        let (stronger, weaker) =
            if rule(smaller).priority > rule(larger).priority { (larger, smaller) } else { (smaller, larger) };
        let by_first = rule(weaker).shared == Shared::First;
        let recency = (by_first.then_some(e.first_seen), (!by_first).then_some(Reverse(e.last_seen)));
        (
            !e.forced,
            Reverse(e.trust),
            rule(weaker).priority,
            recency,
            rule(stronger).priority,
            identity(smaller),
            identity(larger),
        )
    };
    let mut order: Vec<usize> = (0..edges.len()).collect();
    order.sort_by_key(|&e| place(&edges[e]));

    let mut aside = Set::new();
    loop {
        let mut states = vec![State::Accepted; edges.len()];
        let mut accepted: Vec<(u32, u32)> = Vec::new();
        let mut next = aside.clone();
        for &e in &order {
            let edge = &edges[e];
            let of = |test: &dyn Fn(u32) -> bool| ends(edge).into_iter().filter(|_| !edge.forced).find(|&n| test(n));
            let reason = if edge.unlinked {
                Some(Reason::Unlinked)
            } else if let Some(node) = of(&|n| nodes[n as usize].quarantined) {
                Some(Reason::Quarantined { node })
            } else if let Some(node) = of(&|n| aside.contains(&n)) {
                Some(Reason::Shared { node })
            } else {
                let (a, b) = (reach(edge.from, &accepted), reach(edge.to, &accepted));
                let reason = if a == b { None } else { refusal(rules, nodes, cannot_link, &a, &b, edge.forced) };
                if reason.is_some() && !edge.forced {
                    next.extend(ends(edge).into_iter().filter(|&n| rule(n).shared == Shared::Nobody));
                }
                reason
            };
            match reason {
                Some(reason) => states[e] = State::Suspended(reason),
                None => accepted.push((edge.from, edge.to)),
            }
        }
        if next != aside {
            aside = next;
            continue;
        }
        let sets: Vec<Set> = (0..nodes.len() as u32).map(|n| reach(n, &accepted)).collect();
        let ruled = |s: &State| {
            matches!(s, State::Suspended(Reason::Limit { .. } | Reason::CannotLink { .. } | Reason::Shared { .. }))
        };
        let contested = |set: &Set| {
            edges.iter().zip(&states).any(|(e, s)| ruled(s) && (set.contains(&e.from) || set.contains(&e.to)))
        };
        return Verdict {
            component: sets.iter().map(|s| *s.first().unwrap()).collect(),
            contested: sets.iter().map(contested).collect(),
            states,
        };
    }
}
