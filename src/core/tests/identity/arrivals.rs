//! Identity in order of arrival against the algorithm as it is written down, on whole profiles.

use crate::governing::rule;
use pg_cdp_core::graph::arrival::{
    Arrival, Bound, Caps, Changes, Dropped, Identifier, Made, Merged, Outcome, Owner, Size,
};
use pg_cdp_core::graph::govern::TypeRule;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const SCOPES: [&str; 2] = ["shop", "game"];

/// The type of a node is fixed by its number: rule, scope.
fn kind(node: i64) -> (u32, &'static str) {
    ((node % 3) as u32, if node % 3 == 1 { SCOPES[(node / 3 % 2) as usize] } else { "" })
}

fn identifier(node: i64, first_seen: i64) -> Identifier<'static> {
    let (rule, scope) = kind(node);
    Identifier { node, rule, scope, first_seen }
}

/// Profiles as sets of nodes; ids are given in order of making, after those there were.
#[derive(Debug, Clone, Default)]
struct Twin {
    rules: Vec<TypeRule>,
    caps: Caps,
    profiles: BTreeMap<Owner, (i64, BTreeSet<i64>)>,
    seen: BTreeMap<i64, i64>,
    made: Vec<(i64, Owner)>,
    into: BTreeMap<Owner, Owner>,
    /// Of each: how many it has taken over, and identifiers that are on no row.
    merges: BTreeMap<Owner, u32>,
    more: BTreeMap<Owner, u32>,
}

impl Twin {
    fn owner(&self, node: i64) -> Option<Owner> {
        self.profiles.iter().find(|(_, (_, nodes))| nodes.contains(&node)).map(|(&owner, _)| owner)
    }

    /// The limit that parts break together: values in some span, not all of one part.
    fn breach(&self, parts: &[BTreeSet<i64>]) -> Option<(u32, u32, u32, bool)> {
        for (r, rule) in (0u32..).zip(&self.rules) {
            let Some(most) = rule.limit else { continue };
            let mut worst = 0;
            for scope in ["", "shop", "game"] {
                let of = |part: &BTreeSet<i64>| -> Vec<i64> {
                    part.iter().filter(|&&n| kind(n) == (r, scope)).map(|n| self.seen[n]).collect()
                };
                for &start in parts.iter().flat_map(of).collect::<Vec<i64>>().iter() {
                    let inside = |t: &i64| match rule.window_micros {
                        Some(w) => *t >= start && i128::from(*t) < i128::from(start) + i128::from(w),
                        None => true,
                    };
                    let counts: Vec<usize> =
                        parts.iter().map(|p| of(p).iter().filter(|&t| inside(t)).count()).collect();
                    let all: usize = counts.iter().sum();
                    if counts.iter().all(|&c| c < all) {
                        worst = worst.max(all as u32);
                    }
                }
            }
            if worst > most {
                return Some((r, worst, most, rule.window_micros.is_some()));
            }
        }
        None
    }

    /// The size of a profile that these profiles and new identifiers come to, and whether it would be beyond a cap.
    fn beyond(&self, owners: &BTreeSet<Owner>, new: usize, merging: bool) -> Option<(Bound, u32, u32)> {
        let held = |o: &Owner| self.profiles[o].1.len() as u32 + self.more.get(o).copied().unwrap_or(0);
        let identifiers = owners.iter().map(held).sum::<u32>() + new as u32;
        let merges = owners.iter().map(|o| self.merges.get(o).copied().unwrap_or(0) + 1).sum::<u32>().saturating_sub(1);
        match self.caps {
            Caps { merges: Some(most), .. } if merging && merges > most => Some((Bound::Merges, merges, most)),
            Caps { identifiers: Some(most), .. } if identifiers > most => Some((Bound::Identifiers, identifiers, most)),
            _ => None,
        }
    }

    /// Takes out of a row what would go beyond a cap.
    fn cap(&self, left: &mut Vec<i64>, outcome: &mut Outcome) {
        let all = left.clone();
        let mut telling: Vec<usize> = (0..all.len()).collect();
        telling.sort_by_key(|&i| (self.rules[kind(all[i]).0 as usize].priority, kind(all[i]).0, i));
        let (mut owners, mut new) = (BTreeSet::new(), 0);
        for (nth, node) in telling.into_iter().map(|i| all[i]).enumerate() {
            let (mut with, mut with_new) = (owners.clone(), new);
            match self.owner(node) {
                Some(owner) => _ = with.insert(owner),
                None => with_new += 1,
            }
            let grows = nth > 0 && (&with, with_new) != (&owners, new);
            let merging = with.len() > owners.len() && !owners.is_empty();
            match self.beyond(&with, with_new, merging).filter(|_| grows) {
                Some((bound, found, most)) => {
                    left.retain(|&other| other != node);
                    outcome.dropped.push(Dropped { node, bound, found, most });
                }
                None => (owners, new) = (with, with_new),
            }
        }
    }

    fn make(&mut self, now: i64, founding: i64) -> Owner {
        let owner = Owner::New(self.made.len() as u32);
        self.made.push((founding, owner));
        self.profiles.insert(owner, (now, BTreeSet::new()));
        owner
    }

    fn arrive(&mut self, now: i64, time: i64, row: &[i64]) -> Outcome {
        let mut left: Vec<i64> = Vec::new();
        for &node in row {
            if !left.contains(&node) {
                left.push(node);
            }
            let seen = self.seen.entry(node).or_insert(time);
            *seen = time.min(*seen);
        }
        let mut outcome = Outcome::default();
        while !left.is_empty() {
            let owners: BTreeSet<Owner> = left.iter().filter_map(|&n| self.owner(n)).collect();
            let mut parts: Vec<BTreeSet<i64>> = owners.iter().map(|o| self.profiles[o].1.clone()).collect();
            parts.extend(left.iter().filter(|&&n| self.owner(n).is_none()).map(|&n| BTreeSet::from([n])));
            let Some((rule, found, most, windowed)) = self.breach(&parts) else { break };
            let rank = |i: usize| (self.rules[kind(left[i]).0 as usize].priority, kind(left[i]).0, i);
            let lowest = (0..left.len()).max_by_key(|&i| rank(i)).unwrap();
            let node = left.remove(lowest);
            outcome.dropped.push(Dropped { node, bound: Bound::Limit { rule, windowed }, found, most });
        }
        if left.is_empty() {
            return outcome;
        }
        self.cap(&mut left, &mut outcome);
        let owner_of: Vec<Option<Owner>> = left.iter().map(|&n| self.owner(n)).collect();
        let mut by_age: Vec<Owner> = owner_of.iter().flatten().copied().collect();
        by_age.sort_by_key(|o| (self.profiles[o].0, *o));
        by_age.dedup();
        outcome.made = by_age.is_empty();
        let survivor = by_age.first().copied().unwrap_or_else(|| self.make(now, *left.iter().min().unwrap()));
        for &other in by_age.iter().skip(1) {
            let (_, nodes) = self.profiles.remove(&other).unwrap();
            self.profiles.get_mut(&survivor).unwrap().1.extend(nodes);
            let more = self.more.remove(&other).unwrap_or(0);
            *self.more.entry(survivor).or_default() += more;
            let merges = self.merges.remove(&other).unwrap_or(0) + 1;
            *self.merges.entry(survivor).or_default() += merges;
            self.into.values_mut().filter(|into| **into == other).for_each(|into| *into = survivor);
            self.into.insert(other, survivor);
            let first = |inside: bool| {
                let found = owner_of.iter().position(|o| (*o == Some(other)) == inside);
                left[found.unwrap()]
            };
            outcome.merged.push(Merged { owner: other, node: first(true), other: first(false) });
        }
        self.profiles.get_mut(&survivor).unwrap().1.extend(&left);
        outcome.owner = Some(survivor);
        outcome.added = left.iter().zip(&owner_of).filter(|(_, owner)| owner.is_none()).map(|(&n, _)| n).collect();
        outcome.kept = left;
        for dropped in &outcome.dropped {
            if self.owner(dropped.node).is_none() {
                let alone = self.make(now, dropped.node);
                self.profiles.get_mut(&alone).unwrap().1.insert(dropped.node);
            }
        }
        outcome
    }
}

fn caps() -> impl Strategy<Value = Caps> {
    (prop::option::of(0u32..4), prop::option::of(1u32..7))
        .prop_map(|(merges, identifiers)| Caps { merges, identifiers })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn equals_the_twin(
        rules in vec(rule(), 3),
        caps in caps(),
        sizes in vec((0u32..3, 0u32..3), 4),
        known in vec((prop::option::weighted(0.3, 0i64..4), 0i64..12), 15),
        rows in vec((0i64..12, vec(0i64..15, 0..5)), 1..12)
    ) {
        let now = 2;
        let mut arrival = Arrival::new(rules.clone(), caps, now);
        let mut twin = Twin { rules, caps, ..Twin::default() };
        for (node, &(owner, first_seen)) in (0i64..).zip(&known) {
            if let Some(p) = owner {
                // Two are older than the batch, and two as old.
                let created = p % 2 + 1;
                arrival.know(p, created, &identifier(node, first_seen)).unwrap();
                twin.profiles.entry(Owner::Known(p)).or_insert((created, BTreeSet::new())).1.insert(node);
                twin.seen.insert(node, first_seen);
            }
        }
        for (p, (merges, more)) in (0i64..).zip(sizes) {
            let owner = Owner::Known(p);
            if let Some((_, nodes)) = twin.profiles.get(&owner) {
                arrival.measure(p, Size { merges, identifiers: nodes.len() as u32 + more }).unwrap();
                twin.merges.insert(owner, merges);
                twin.more.insert(owner, more);
            }
        }
        let before = twin.clone();
        for (time, row) in &rows {
            let outcome = twin.arrive(now, *time, row);
            let row: Vec<Identifier> = row.iter().map(|&n| identifier(n, twin.seen[&n])).collect();
            prop_assert_eq!(arrival.arrive(&row).unwrap(), outcome);
        }
        let into = |owner: Owner| twin.into.get(&owner).copied();
        let retired = before.profiles.keys().filter_map(|&o| match o {
            Owner::Known(p) => into(o).map(|to| (p, to)),
            Owner::New(_) => None,
        });
        let joined = (0..15).filter(|&n| before.owner(n).is_none()).filter_map(|n| Some((n, twin.owner(n)?)));
        let expected = Changes {
            made: twin.made.iter().map(|&(founding, owner)| Made { founding, into: into(owner) }).collect(),
            retired: retired.collect(),
            joined: joined.collect(),
        };
        prop_assert_eq!(arrival.finish(), expected);
    }

    /// Rows that come one by one, each a batch of its own that knows what the ones before have left, end as all in one batch do.
    #[test]
    fn batches_are_no_matter(
        rules in vec(rule(), 3),
        caps in caps(),
        rows in vec((0i64..12, vec(0i64..15, 0..5)), 1..12)
    ) {
        let mut seen: BTreeMap<i64, i64> = BTreeMap::new();
        let mut together = Arrival::new(rules.clone(), caps, 5);
        // By number: members, founder, whom it was taken over by.
        let mut profiles: Vec<(BTreeSet<i64>, i64, Option<usize>)> = Vec::new();
        let mut outcomes = Vec::new();
        for (time, nodes) in &rows {
            for &node in nodes {
                let first = seen.entry(node).or_insert(*time);
                *first = (*first).min(*time);
            }
            let row: Vec<Identifier> = nodes.iter().map(|&n| identifier(n, seen[&n])).collect();
            let mut alone = Arrival::new(rules.clone(), caps, 5);
            for (number, (members, _, into)) in profiles.iter().enumerate() {
                members.iter().for_each(|&n| alone.know(number as i64, 5, &identifier(n, seen[&n])).unwrap());
                let merges = profiles.iter().filter(|(_, _, into)| *into == Some(number)).count() as u32;
                if into.is_none() {
                    alone.measure(number as i64, Size { merges, identifiers: members.len() as u32 }).unwrap();
                }
            }
            let outcome = alone.arrive(&row).unwrap();
            let merged = |m: &Merged| (m.node, m.other);
            outcomes.push((outcome.kept.clone(), outcome.dropped.clone(), outcome.merged.iter().map(merged).collect::<Vec<_>>()));
            let one = together.arrive(&row).unwrap();
            prop_assert_eq!(outcomes.last().unwrap(), &(one.kept, one.dropped, one.merged.iter().map(merged).collect()));
            let changes = alone.finish();
            let first = profiles.len();
            let number = |owner: Owner| match owner {
                Owner::Known(p) => p as usize,
                Owner::New(n) => first + n as usize,
            };
            profiles.extend(changes.made.iter().map(|made| (BTreeSet::new(), made.founding, made.into.map(number))));
            for (node, owner) in changes.joined {
                profiles[number(owner)].0.insert(node);
            }
            for (retired, owner) in changes.retired {
                let into = number(owner);
                let members = std::mem::take(&mut profiles[retired as usize].0);
                profiles[into].0.extend(members);
                profiles.iter_mut().filter(|p| p.2 == Some(retired as usize)).for_each(|p| p.2 = Some(into));
                profiles[retired as usize].2 = Some(into);
            }
        }
        let changes = together.finish();
        let number = |owner: Owner| match owner {
            Owner::Known(p) => p as usize,
            Owner::New(n) => n as usize,
        };
        let made: Vec<(i64, Option<usize>)> = changes.made.iter().map(|m| (m.founding, m.into.map(number))).collect();
        prop_assert_eq!(made, profiles.iter().map(|p| (p.1, p.2)).collect::<Vec<_>>());
        for (node, owner) in changes.joined {
            prop_assert!(profiles[number(owner)].0.contains(&node));
        }
    }
}
