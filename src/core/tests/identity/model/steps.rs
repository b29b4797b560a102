//! The steps: what an operation writes, and what is governed after it.

use super::{IDENTS, Model, Op, PairRow, ProfileRow};
use crate::naive::{self, Set};
use pg_cdp_core::graph::govern::{Reason, State, govern};
use pg_cdp_core::graph::homes;
use pg_cdp_core::graph::hub::HubRule;
use std::collections::{BTreeMap, BTreeSet};

impl Model {
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
}
