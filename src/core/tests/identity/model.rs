//! Identity kept up step by step, each time for what a step touches alone; and the same made anew from everything.

use crate::naive::{self, Set};
use pg_cdp_core::graph::govern::{Edge, Node, Reason, State, TypeRule, govern};
use pg_cdp_core::graph::hub::{HubRule, Pair, hubs};
use pg_cdp_core::graph::{Record, homes};
use std::collections::{BTreeMap, BTreeSet};

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

    /// Applies operations as one batch and governs what they touch. `fast` allows the short cut.
    pub fn step(&mut self, ops: &[Op], fast: bool) {
        let before = self.clone();
        self.clock += 1;
        let mut touched: BTreeSet<i64> = BTreeSet::new();
        let mut only_rows = fast;
        for op in ops {
            only_rows &= matches!(op, Op::Observe(..));
            touched.extend(self.write(op));
        }
        // Hubs: of the touched nodes alone.
        let flips: Vec<i64> = touched.iter().copied().filter(|&n| self.nodes[&n].hub != self.is_hub(n)).collect();
        for &n in &flips {
            self.nodes.get_mut(&n).unwrap().hub ^= true;
        }
        if only_rows && flips.is_empty() && self.shortcut(&before, &touched) {
            self.fast += 1;
            return;
        }
        let mut region = self.closure(&touched);
        region.extend(before.closure(&touched));
        self.governed += region.len();
        self.settle(&region, &touched);
    }

    /// Writes an operation's rows; the nodes that it touches.
    fn write(&mut self, op: &Op) -> BTreeSet<i64> {
        match op {
            Op::Observe(trust, time, idents) => {
                let mut idents = idents.clone();
                // The middle of a row's star must not depend on the order of arrival either.
                idents.sort_by_key(|&i| IDENTS[i]);
                idents.dedup();
                let ids: Vec<i64> = idents.iter().map(|&i| self.node(i, *time)).collect();
                for &id in &ids[1..] {
                    let fresh = PairRow {
                        trust: *trust,
                        first_seen: *time,
                        last_seen: *time,
                        forced: false,
                        unlinked: false,
                        state: None,
                    };
                    let pair = self.pairs.entry(Self::key(ids[0], id)).or_insert(fresh);
                    pair.trust = pair.trust.max(*trust);
                    pair.first_seen = pair.first_seen.min(*time);
                    pair.last_seen = pair.last_seen.max(*time);
                }
                ids.into_iter().collect()
            }
            Op::Link(a, b) => {
                let Some(key) = self.two(*a, *b) else { return BTreeSet::new() };
                let fresh =
                    PairRow { trust: 0, first_seen: 50, last_seen: 50, forced: true, unlinked: false, state: None };
                let pair = self.pairs.entry(key).or_insert(fresh);
                (pair.forced, pair.unlinked) = (true, false);
                BTreeSet::from([key.0, key.1])
            }
            Op::Unlink(a, b) => {
                let Some(key) = self.two(*a, *b) else { return BTreeSet::new() };
                let Some(pair) = self.pairs.get_mut(&key) else { return BTreeSet::new() };
                (pair.forced, pair.unlinked) = (false, true);
                BTreeSet::from([key.0, key.1])
            }
            Op::CannotLink(a, b) | Op::CanLink(a, b) => {
                let Some(key) = self.two(*a, *b) else { return BTreeSet::new() };
                if matches!(op, Op::CannotLink(..)) {
                    self.cannot.insert(key);
                } else {
                    self.cannot.remove(&key);
                }
                BTreeSet::from([key.0, key.1])
            }
            Op::Block(n) | Op::Unblock(n) => {
                let Some(&id) = self.ids.get(n) else { return BTreeSet::new() };
                self.nodes.get_mut(&id).unwrap().blocked = matches!(op, Op::Block(_));
                BTreeSet::from([id])
            }
            Op::Rule(r, rule) => {
                self.rules[*r] = *rule;
                self.of_rule(*r)
            }
            Op::Caps(r, caps) => {
                let person = self.caps[*r].person;
                self.caps[*r] = HubRule { person, ..*caps };
                self.of_rule(*r)
            }
            Op::Split(n, mask) => {
                let Some(&id) = self.ids.get(n) else { return BTreeSet::new() };
                let owner = self.nodes[&id].owner;
                let inside = |m: &Self, n: i64| mask >> m.nodes[&n].ident & 1 == 1;
                let keys: Vec<(i64, i64)> = self
                    .pairs
                    .keys()
                    .copied()
                    .filter(|&(a, b)| self.nodes[&a].owner == owner && self.nodes[&b].owner == owner)
                    .filter(|&(a, b)| inside(self, a) != inside(self, b))
                    .collect();
                for key in &keys {
                    let pair = self.pairs.get_mut(key).unwrap();
                    (pair.forced, pair.unlinked) = (false, true);
                }
                keys.into_iter().flat_map(|(a, b)| [a, b]).collect()
            }
        }
    }

    fn of_rule(&self, rule: usize) -> BTreeSet<i64> {
        self.nodes.iter().filter(|(_, n)| IDENTS[n.ident].0 as usize == rule).map(|(&id, _)| id).collect()
    }

    fn is_hub(&self, id: i64) -> bool {
        let linked = self.pairs.iter().filter(|(_, p)| !p.unlinked).map(|(&key, _)| key);
        let near: BTreeSet<i64> =
            linked.filter_map(|(a, b)| if a == id { Some(b) } else { (b == id).then_some(a) }).collect();
        let rule = |n: i64| &self.caps[IDENTS[self.nodes[&n].ident].0 as usize];
        let persons = near.iter().filter(|&&n| rule(n).person).count() as u32;
        let caps = rule(id);
        caps.degree_cap.is_some_and(|c| near.len() as u32 > c) || caps.person_cap.is_some_and(|c| persons > c)
    }

    /// The plain union, where it is known to be the answer: nothing contested is near, and no rule is broken by all together.
    fn shortcut(&mut self, before: &Self, touched: &BTreeSet<i64>) -> bool {
        let whole = self.closure(touched);
        for id in touched {
            if let Some(old) = before.nodes.get(id) {
                let windowed = self.rules[IDENTS[old.ident].0 as usize].window_micros.is_some();
                if old.contested || windowed && old.first_seen != self.nodes[id].first_seen {
                    return false;
                }
            }
        }
        // Each new pair joins the components of its ends; each of the others is where it was.
        let here = |set: &BTreeSet<i64>| -> Vec<(u32, u32)> {
            let inside = |&(&(a, b), p): &(&(i64, i64), &PairRow)| self.considered((a, b), p) && set.contains(&a);
            self.pairs.iter().filter(inside).map(|(&(a, b), _)| (a as u32, b as u32)).collect()
        };
        let edges = here(&whole);
        let mut left = touched.clone();
        let mut sets: Vec<Set> = Vec::new();
        while let Some(id) = left.pop_first() {
            let set = naive::reach(id as u32, &edges);
            left.retain(|&n| !set.contains(&(n as u32)));
            sets.push(set);
        }
        if sets.iter().any(|set| self.breaks(set)) {
            return false;
        }
        for set in sets {
            let members: BTreeSet<i64> = set.iter().map(|&n| i64::from(n)).collect();
            for (&(a, b), pair) in &mut self.pairs {
                let quarantined = |n: i64| self.nodes[&n].blocked || self.nodes[&n].hub;
                if members.contains(&a) && members.contains(&b) && !pair.unlinked && !quarantined(a) && !quarantined(b)
                {
                    pair.state = Some(State::Accepted);
                }
            }
            self.house(&members);
        }
        // Pairs that join nothing get their reason.
        let rim = self.view(touched, touched);
        let verdict = govern(&self.rules, &rim.nodes, &rim.edges, &[]).unwrap();
        for (key, state) in rim.keys.iter().zip(&verdict.states) {
            if !self.considered(*key, &self.pairs[key]) {
                let state = self.translated(*state, &rim.ids);
                self.pairs.get_mut(key).unwrap().state = Some(state);
            }
        }
        true
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

    /// Governs the pairs of some nodes and houses the components.
    fn settle(&mut self, region: &BTreeSet<i64>, touched: &BTreeSet<i64>) {
        let view = self.view(region, touched);
        let verdict = govern(&self.rules, &view.nodes, &view.edges, &view.cannot).unwrap();
        let mut components: BTreeMap<u32, BTreeSet<i64>> = BTreeMap::new();
        let inside = |id: &i64| region.contains(id);
        for ((&root, &id), contested) in
            verdict.component.iter().zip(&view.ids).zip(&verdict.contested).filter(|((_, id), _)| inside(id))
        {
            components.entry(root).or_default().insert(id);
            self.nodes.get_mut(&id).unwrap().contested = *contested;
        }
        for (key, state) in view.keys.iter().zip(&verdict.states) {
            let state = match *state {
                State::Suspended(Reason::CannotLink { pair }) => {
                    let (a, b) = view.cannot[pair as usize];
                    State::Suspended(Reason::CannotLink {
                        pair: self.cannot_number(view.ids[a as usize], view.ids[b as usize]),
                    })
                }
                other => self.translated(other, &view.ids),
            };
            self.pairs.get_mut(key).unwrap().state = Some(state);
        }
        let mut records = self.records(&view.ids);
        records.retain(|r| inside(&view.ids[r.founding as usize]));
        let found = homes(&verdict.component, &records);
        for (record, into) in records.iter().zip(&found.into) {
            self.profiles.get_mut(&record.profile_id).unwrap().into = *into;
        }
        for (root, members) in components {
            let owner = found.survivor[root as usize].unwrap_or_else(|| self.found(&members));
            for id in members {
                self.nodes.get_mut(&id).unwrap().owner = owner;
            }
        }
    }

    /// A cannot-link pair by a number that does not depend on what else is looked at.
    pub fn cannot_number(&self, a: i64, b: i64) -> u32 {
        let (a, b) = Self::key(a, b);
        (a * 100 + b) as u32
    }

    /// Makes a profile. Its founding node is of the strongest type that there is: an identifier that people share would take
    /// the id along when it moves on.
    fn found(&mut self, members: &BTreeSet<i64>) -> i64 {
        let rank = |n: &i64| (self.rules[IDENTS[self.nodes[n].ident].0 as usize].priority, *n);
        let founding = members.iter().copied().min_by_key(rank).unwrap();
        let profile_id = self.profiles.len() as i64 + 1;
        // Several steps share a creation time.
        let created = self.clock / 3;
        self.profiles.insert(profile_id, ProfileRow { founding, created, into: None });
        profile_id
    }

    /// Houses one component, by its records alone.
    fn house(&mut self, members: &BTreeSet<i64>) {
        let ids: Vec<i64> = members.iter().copied().collect();
        let records = self.records(&ids);
        let found = homes(&vec![0; ids.len()], &records);
        for (record, into) in records.iter().zip(&found.into) {
            self.profiles.get_mut(&record.profile_id).unwrap().into = *into;
        }
        let owner = found.survivor[0].unwrap_or_else(|| self.found(members));
        for id in ids {
            let node = self.nodes.get_mut(&id).unwrap();
            (node.owner, node.contested) = (owner, false);
        }
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
