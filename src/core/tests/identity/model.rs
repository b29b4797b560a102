//! Identity kept up step by step, each time for what a step touches alone; and the same made anew from everything.

use crate::naive::Set;
use pg_cdp_core::graph::Record;
use pg_cdp_core::graph::govern::{Edge, Node, Reason, State, TypeRule};
use pg_cdp_core::graph::hub::{HubRule, Pair, hubs};
use std::collections::{BTreeMap, BTreeSet};

mod steps;

/// An identifier: rule, scope, value. What a graph is made of must not depend on when a node got its number.
pub type Ident = (u32, &'static str, &'static str);

/// The identifiers that there may be: two users, three emails, openids of two apps, three cookies.
pub const IDENTS: [Ident; 12] = [
    (0, "", "ann"),
    (0, "", "bob"),
    (0, "", "cat"),
    (1, "", "a@x"),
    (1, "", "b@x"),
    (1, "", "c@x"),
    (2, "shop", "1"),
    (2, "shop", "2"),
    (2, "game", "1"),
    (3, "", "p"),
    (3, "", "q"),
    (3, "", "r"),
];

#[derive(Debug, Clone)]
pub enum Op {
    /// A row of a source: its trust, the time it tells, and its identifiers.
    Observe(i32, i64, Vec<usize>),
    Link(usize, usize),
    Unlink(usize, usize),
    CannotLink(usize, usize),
    CanLink(usize, usize),
    Block(usize),
    Unblock(usize),
    Rule(usize, TypeRule),
    Caps(usize, HubRule),
    /// Takes every pair back between the identifiers of a mask and the others of the component of one.
    Split(usize, u16),
}

#[derive(Debug, Clone)]
pub struct NodeRow {
    pub ident: usize,
    pub first_seen: i64,
    pub blocked: bool,
    pub hub: bool,
    pub owner: i64,
    pub contested: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairRow {
    pub trust: i32,
    pub first_seen: i64,
    pub last_seen: i64,
    pub forced: bool,
    pub unlinked: bool,
    pub state: Option<State>,
}

#[derive(Debug, Clone, Copy)]
pub struct ProfileRow {
    pub founding: i64,
    pub created: i64,
    pub into: Option<i64>,
}

/// The tables. Nodes and pairs are by node id, which is given in order of arrival.
#[derive(Debug, Clone)]
pub struct Model {
    pub rules: [TypeRule; 4],
    pub caps: [HubRule; 4],
    pub ids: BTreeMap<usize, i64>,
    pub nodes: BTreeMap<i64, NodeRow>,
    pub pairs: BTreeMap<(i64, i64), PairRow>,
    pub cannot: BTreeSet<(i64, i64)>,
    pub profiles: BTreeMap<i64, ProfileRow>,
    pub clock: i64,
    /// How often the fast path was taken.
    pub fast: usize,
    /// How many nodes were governed, where all of them would have been.
    pub governed: usize,
}

/// The graph of some nodes as `govern` takes it.
pub struct View {
    pub ids: Vec<i64>,
    pub nodes: Vec<Node<'static>>,
    pub keys: Vec<(i64, i64)>,
    pub edges: Vec<Edge>,
    pub cannot: Vec<(u32, u32)>,
}

impl Model {
    pub fn new(rules: [TypeRule; 4], caps: [HubRule; 4]) -> Self {
        Self {
            rules,
            caps,
            ids: BTreeMap::new(),
            nodes: BTreeMap::new(),
            pairs: BTreeMap::new(),
            cannot: BTreeSet::new(),
            profiles: BTreeMap::new(),
            clock: 0,
            fast: 0,
            governed: 0,
        }
    }

    fn key(a: i64, b: i64) -> (i64, i64) {
        (a.min(b), a.max(b))
    }

    fn considered(&self, (a, b): (i64, i64), pair: &PairRow) -> bool {
        let quarantined = |n: i64| self.nodes[&n].blocked || self.nodes[&n].hub;
        !pair.unlinked && (pair.forced || !(quarantined(a) || quarantined(b)))
    }

    /// All nodes that considered pairs lead to.
    pub fn closure(&self, touched: &BTreeSet<i64>) -> BTreeSet<i64> {
        let mut seen: BTreeSet<i64> = touched.iter().copied().filter(|n| self.nodes.contains_key(n)).collect();
        loop {
            let before = seen.len();
            for (&(a, b), pair) in &self.pairs {
                if self.considered((a, b), pair) && (seen.contains(&a) || seen.contains(&b)) {
                    seen.extend([a, b]);
                }
            }
            if seen.len() == before {
                return seen;
            }
        }
    }

    /// The nodes of a region with the pairs among them, and with those at `touched` nodes that lead out of it. These join
    /// nothing, but what they are suspended for may have changed.
    pub fn view(&self, region: &BTreeSet<i64>, touched: &BTreeSet<i64>) -> View {
        let mut all = region.clone();
        for &(a, b) in self.pairs.keys() {
            if touched.contains(&a) || touched.contains(&b) {
                all.extend([a, b]);
            }
        }
        let ids: Vec<i64> = all.into_iter().collect();
        let place = |id: i64| ids.binary_search(&id).ok().map(|p| p as u32);
        let nodes = ids
            .iter()
            .map(|id| {
                let row = &self.nodes[id];
                let (rule, scope, value) = IDENTS[row.ident];
                Node { rule, scope, value, first_seen: row.first_seen, quarantined: row.blocked || row.hub }
            })
            .collect();
        let (mut keys, mut edges) = (Vec::new(), Vec::new());
        for (&(a, b), p) in &self.pairs {
            if let (Some(from), Some(to)) = (place(a), place(b))
                && (region.contains(&a) || region.contains(&b))
            {
                let PairRow { trust, first_seen, last_seen, forced, unlinked, .. } = *p;
                keys.push((a, b));
                edges.push(Edge { from, to, trust, first_seen, last_seen, forced, unlinked });
            }
        }
        let cannot = self.cannot.iter().filter_map(|&(a, b)| Some((place(a)?, place(b)?))).collect();
        View { ids, nodes, keys, edges, cannot }
    }

    /// The records of profiles that were founded among the nodes of a view, and their ids.
    fn records(&self, ids: &[i64]) -> Vec<Record> {
        let record = |(&profile_id, row): (&i64, &ProfileRow)| {
            let founding = ids.binary_search(&row.founding).ok()? as u32;
            Some(Record { profile_id, founding, created_at_micros: row.created })
        };
        self.profiles.iter().filter_map(record).collect()
    }

    fn node(&mut self, ident: usize, time: i64) -> i64 {
        let next = self.ids.len() as i64 + 1;
        let id = *self.ids.entry(ident).or_insert(next);
        let row = NodeRow { ident, first_seen: time, blocked: false, hub: false, owner: 0, contested: false };
        let node = self.nodes.entry(id).or_insert(row);
        node.first_seen = node.first_seen.min(time);
        id
    }

    /// The identifiers that are known, of two numbers.
    fn two(&self, a: usize, b: usize) -> Option<(i64, i64)> {
        let (a, b) = (*self.ids.get(&a)?, *self.ids.get(&b)?);
        (a != b).then_some(Self::key(a, b))
    }

    /// Whether a set of nodes breaks any rule as it is.
    pub fn breaks(&self, set: &Set) -> bool {
        let has = |n: &i64| set.contains(&(*n as u32));
        if self.cannot.iter().any(|(a, b)| has(a) && has(b)) {
            return true;
        }
        let members: Vec<&NodeRow> = self.nodes.iter().filter(|(id, _)| has(id)).map(|(_, n)| n).collect();
        (0u32..).zip(&self.rules).any(|(r, rule)| {
            let Some(most) = rule.limit else { return false };
            ["", "shop", "game"].iter().any(|scope| {
                let times: Vec<i64> = members
                    .iter()
                    .filter(|n| (IDENTS[n.ident].0, IDENTS[n.ident].1) == (r, *scope))
                    .map(|n| n.first_seen)
                    .collect();
                let within = |start: i64| {
                    let inside = |t: &i64| rule.window_micros.is_none_or(|w| *t >= start && *t - start < w);
                    times.iter().filter(|&t| inside(t)).count()
                };
                // One value is always held.
                times.iter().map(|&t| within(t)).max().unwrap_or(0) > most.max(1) as usize
            })
        })
    }

    /// The verdict's numbers as ids.
    pub fn translated(&self, state: State, ids: &[i64]) -> State {
        let id = |n: u32| ids[n as usize] as u32;
        match state {
            State::Suspended(Reason::Quarantined { node }) => State::Suspended(Reason::Quarantined { node: id(node) }),
            State::Suspended(Reason::Shared { node }) => State::Suspended(Reason::Shared { node: id(node) }),
            other => other,
        }
    }

    /// A cannot-link pair by a number that does not depend on what else is looked at.
    pub fn cannot_number(&self, a: i64, b: i64) -> u32 {
        let (a, b) = Self::key(a, b);
        (a * 100 + b) as u32
    }

    /// The hubs, counted over everything.
    pub fn all_hubs(&self) -> BTreeSet<i64> {
        let ids: Vec<i64> = self.nodes.keys().copied().collect();
        let place = |id: i64| ids.binary_search(&id).unwrap() as u32;
        let rule_of: Vec<u32> = self.nodes.values().map(|n| IDENTS[n.ident].0).collect();
        let pairs = self.pairs.iter().map(|(&(a, b), p)| Pair { from: place(a), to: place(b), unlinked: p.unlinked });
        hubs(&self.caps, &rule_of, pairs).unwrap().iter().map(|hub| ids[hub.node as usize]).collect()
    }

    /// The parts by identifier: what does not depend on numbers and ids.
    pub fn partition(&self) -> BTreeSet<BTreeSet<usize>> {
        let mut parts: BTreeMap<i64, BTreeSet<usize>> = BTreeMap::new();
        for node in self.nodes.values() {
            parts.entry(node.owner).or_default().insert(node.ident);
        }
        parts.into_values().collect()
    }

    /// The suspended pairs by identifier, each with the rule that did it.
    pub fn suspended(&self) -> BTreeSet<(usize, usize, String)> {
        let ident = |n: i64| self.nodes[&n].ident;
        let mut found = BTreeSet::new();
        for (&(a, b), pair) in &self.pairs {
            let why = match pair.state {
                Some(State::Accepted) => continue,
                Some(State::Suspended(Reason::Quarantined { node })) => {
                    format!("quarantined {}", ident(i64::from(node)))
                }
                Some(State::Suspended(Reason::Shared { node })) => format!("shared {}", ident(i64::from(node))),
                Some(State::Suspended(Reason::CannotLink { pair })) => {
                    let (a, b) = (ident(i64::from(pair / 100)), ident(i64::from(pair % 100)));
                    format!("apart {} {}", a.min(b), a.max(b))
                }
                other => format!("{other:?}"),
            };
            found.insert((ident(a).min(ident(b)), ident(a).max(ident(b)), why));
        }
        found
    }

    /// The live profile of an id, however often it was merged.
    pub fn live(&self, profile_id: i64) -> i64 {
        self.profiles[&profile_id].into.unwrap_or(profile_id)
    }
}
