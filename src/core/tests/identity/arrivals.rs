//! Identity in order of arrival against the algorithm as it is written down, on whole profiles.

use crate::governing::rule;
use pg_cdp_core::graph::arrival::{Arrival, Changes, Dropped, Identifier, Made, Outcome, Owner};
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
    profiles: BTreeMap<Owner, (i64, BTreeSet<i64>)>,
    seen: BTreeMap<i64, i64>,
    made: Vec<(i64, Owner)>,
    into: BTreeMap<Owner, Owner>,
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
            let new: Vec<i64> = left.iter().copied().filter(|&n| self.owner(n).is_none()).collect();
            parts.extend(new.iter().map(|&n| BTreeSet::from([n])));
            if let Some((rule, found, most, windowed)) = self.breach(&parts) {
                let rank = |i: usize| (self.rules[kind(left[i]).0 as usize].priority, kind(left[i]).0, i);
                let lowest = (0..left.len()).max_by_key(|&i| rank(i)).unwrap();
                let node = left.remove(lowest);
                outcome.dropped.push(Dropped { node, rule, found, most, windowed });
                continue;
            }
            let mut by_age: Vec<Owner> = owners.into_iter().collect();
            by_age.sort_by_key(|o| (self.profiles[o].0, *o));
            let survivor = by_age.first().copied().unwrap_or_else(|| {
                outcome.made = true;
                let owner = Owner::New(self.made.len() as u32);
                self.made.push((*left.iter().min().unwrap(), owner));
                self.profiles.insert(owner, (now, BTreeSet::new()));
                owner
            });
            for &other in by_age.iter().skip(1) {
                let (_, nodes) = self.profiles.remove(&other).unwrap();
                self.profiles.get_mut(&survivor).unwrap().1.extend(nodes);
                self.into.values_mut().filter(|into| **into == other).for_each(|into| *into = survivor);
                self.into.insert(other, survivor);
                outcome.merged.push(other);
            }
            self.profiles.get_mut(&survivor).unwrap().1.extend(&left);
            outcome.owner = Some(survivor);
            outcome.added = new;
            outcome.kept = left;
            return outcome;
        }
        outcome
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn equals_the_twin(
        rules in vec(rule(), 3),
        known in vec((prop::option::weighted(0.3, 0i64..4), 0i64..12), 15),
        rows in vec((0i64..12, vec(0i64..15, 0..5)), 1..12)
    ) {
        let now = 2;
        let mut arrival = Arrival::new(rules.clone(), now);
        let mut twin = Twin { rules, ..Twin::default() };
        for (node, &(owner, first_seen)) in (0i64..).zip(&known) {
            if let Some(p) = owner {
                // Two are older than the batch, and two as old.
                let created = p % 2 + 1;
                arrival.know(p, created, &identifier(node, first_seen)).unwrap();
                twin.profiles.entry(Owner::Known(p)).or_insert((created, BTreeSet::new())).1.insert(node);
                twin.seen.insert(node, first_seen);
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
}
