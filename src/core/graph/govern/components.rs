//! The components while edges are tried: a union-find whose sets know what they hold.

use std::collections::HashMap;
use std::mem;

use super::tally::{Breach, Limit, Tallies};
use super::{Edge, Node, Reason, TypeRule};
use crate::graph::union_find::UnionFind;

/// What a component holds that a rule asks for.
#[derive(Default)]
struct Side {
    tallies: Tallies,
    /// The cannot-link pairs that have a node here, by their place in [`Components::pairs`].
    opponents: Vec<u32>,
    /// How often it grew.
    grown: u32,
}

/// How much there may be to look at before a refusal is kept in mind.
const EFFORT: usize = 8;

impl Side {
    fn effort(&self) -> usize {
        self.tallies.values() as usize + self.opponents.len()
    }

    fn weight(&self) -> usize {
        self.tallies.len() + self.opponents.len()
    }
}

pub(super) struct Components {
    sets: UnionFind,
    /// Per root.
    sides: Vec<Side>,
    /// The limits, by the key of a tally: a rule that has a limit, in one scope.
    limits: Vec<Limit>,
    /// The cannot-link pairs in the order of their identifiers, with their index.
    pairs: Vec<(u32, u32, u32)>,
    /// Unions between large sides that were refused, by their roots, with how often these had grown.
    refused: HashMap<(u32, u32), (u32, u32, Reason)>,
}

impl Components {
    /// Every node alone.
    pub(super) fn new(rules: &[TypeRule], nodes: &[Node<'_>], pairs: Vec<(u32, u32, u32)>) -> Self {
        let mut sides: Vec<Side> = Vec::new();
        sides.resize_with(nodes.len(), Side::default);
        let mut limits = Vec::new();
        let mut keys: HashMap<(u32, &str), u32> = HashMap::new();
        for (side, node) in sides.iter_mut().zip(nodes) {
            let Some(rule) = rules.get(node.rule as usize) else { continue };
            let Some(most) = rule.limit else { continue };
            let key = *keys.entry((node.rule, node.scope)).or_insert_with(|| {
                limits.push(Limit { rule: node.rule, most, window: rule.window_micros });
                u32::try_from(limits.len() - 1).unwrap_or(u32::MAX)
            });
            side.tallies = Tallies::one(key, rule.window_micros.map(|_| node.first_seen));
        }
        for (place, &(a, b, _)) in (0u32..).zip(&pairs) {
            // A node is in one component with itself, whatever an operator wishes.
            for node in [a, b].into_iter().filter(|_| a != b) {
                if let Some(side) = sides.get_mut(node as usize) {
                    side.opponents.push(place);
                }
            }
        }
        let len = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
        Self { sets: UnionFind::new(len), sides, limits, pairs, refused: HashMap::new() }
    }

    /// Joins what an edge joins, unless a rule forbids it; then that is the answer.
    pub(super) fn join(&mut self, edge: &Edge) -> Option<Reason> {
        let (a, b) = (self.sets.find(edge.from), self.sets.find(edge.to));
        if a == b {
            return None;
        }
        let reason = if edge.forced { self.apart(a, b) } else { self.refusal(a.min(b), a.max(b)) };
        if reason.is_none() {
            self.unite(a, b);
        }
        reason
    }

    pub(super) fn into_sets(self) -> UnionFind {
        self.sets
    }

    /// Why the components of two roots may not be joined.
    fn refusal(&mut self, a: u32, b: u32) -> Option<Reason> {
        let side = |root: u32| self.sides.get(root as usize);
        let (grown_a, grown_b) = (side(a).map_or(0, |s| s.grown), side(b).map_or(0, |s| s.grown));
        let effort = side(a).map_or(0, Side::effort).min(side(b).map_or(0, Side::effort));
        if effort > EFFORT
            && let Some(&(then_a, then_b, reason)) = self.refused.get(&(a, b))
            && (then_a, then_b) == (grown_a, grown_b)
        {
            return Some(reason);
        }
        let reason = self.apart(a, b).or_else(|| self.breach(a, b))?;
        if effort > EFFORT {
            self.refused.insert((a, b), (grown_a, grown_b, reason));
        }
        Some(reason)
    }

    /// The first cannot-link pair between the components of two roots.
    fn apart(&mut self, a: u32, b: u32) -> Option<Reason> {
        let (Some(x), Some(y)) = (self.sides.get(a as usize), self.sides.get(b as usize)) else { return None };
        let fewer = if x.opponents.len() <= y.opponents.len() { &x.opponents } else { &y.opponents };
        let mut first: Option<u32> = None;
        for &place in fewer {
            let Some(&(one, other, _)) = self.pairs.get(place as usize) else { continue };
            let roots = (self.sets.find(one), self.sets.find(other));
            if roots == (a, b) || roots == (b, a) {
                first = Some(first.map_or(place, |p| p.min(place)));
            }
        }
        let &(_, _, pair) = self.pairs.get(first? as usize)?;
        Some(Reason::CannotLink { pair })
    }

    /// The limit that the union of two roots breaks.
    fn breach(&self, a: u32, b: u32) -> Option<Reason> {
        let (Some(x), Some(y)) = (self.sides.get(a as usize), self.sides.get(b as usize)) else { return None };
        let Breach { rule, found, most } = Tallies::breach(&x.tallies, &y.tallies, &self.limits)?;
        Some(Reason::Limit { rule, found, most })
    }

    /// Joins two roots: what the lighter side holds is added to the heavier one.
    fn unite(&mut self, a: u32, b: u32) {
        let Some((kept, gone)) = self.sets.union(a, b) else { return };
        let lost = self.sides.get_mut(gone as usize).map(mem::take).unwrap_or_default();
        let Some(side) = self.sides.get_mut(kept as usize) else { return };
        let grown = side.grown.wrapping_add(1);
        let light = if lost.weight() > side.weight() { mem::replace(side, lost) } else { lost };
        side.tallies.add(light.tallies);
        if light.opponents.len() > side.opponents.len() {
            let fewer = mem::replace(&mut side.opponents, light.opponents);
            side.opponents.extend(fewer);
        } else {
            side.opponents.extend(light.opponents);
        }
        side.grown = grown;
    }
}
