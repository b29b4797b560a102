//! The order in which edges are tried.

use super::{Edge, GovernError, Node, Reason, Shared, State, TypeRule};

/// The nodes in the order of (rule, value, scope), which does not depend on their numbers.
pub(super) struct Order<'a> {
    rules: &'a [TypeRule],
    nodes: &'a [Node<'a>],
    /// Per node: its place.
    rank: Vec<u32>,
}

/// What an edge is sorted by, most important part first. What comes later in the order is larger.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    unforced: bool,
    /// The complement of the trust: the highest first, without an overflow at either end.
    distrust: i32,
    priority: i32,
    /// Only of weight between types of the same priority; a time is compared with a time of its kind.
    by_first: bool,
    /// When first seen, or the complement of when last seen.
    staleness: i64,
    /// Of the stronger endpoint: the edges of one row are seen at one time, and what is tied to a person goes before what is tied to a device.
    stronger: i32,
    smaller: u32,
    larger: u32,
    edge: u32,
}

impl<'a> Order<'a> {
    pub(super) fn new(rules: &'a [TypeRule], nodes: &'a [Node<'a>]) -> Result<Self, GovernError> {
        // Most values differ in the first bytes after what all of their type begin with. These bytes lie together here, so that
        // the values themselves are visited for few comparisons.
        let common = common_bytes(rules.len(), nodes);
        let bytes = |n: &Node<'_>| first_bytes(n.value, common.get(n.rule as usize).copied().unwrap_or_default());
        let mut places: Vec<(u32, u128, u32)> = (0u32..).zip(nodes).map(|(i, n)| (n.rule, bytes(n), i)).collect();
        let whole = |&(_, _, i): &(u32, u128, u32)| nodes.get(i as usize).map(|n| (n.rule, n.value, n.scope));
        places.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then_with(|| whole(a).cmp(&whole(b))));
        if let Some([a, b]) = places.array_windows().find(|[a, b]| (a.0, a.1) == (b.0, b.1) && whole(a) == whole(b)) {
            return Err(GovernError::Twice { node: a.2.min(b.2), other: a.2.max(b.2) });
        }
        let mut rank = vec![0; nodes.len()];
        for (place, &(_, _, i)) in (0u32..).zip(&places) {
            if let Some(slot) = rank.get_mut(i as usize) {
                *slot = place;
            }
        }
        Ok(Self { rules, nodes, rank })
    }

    /// Suspends the edges that are out of the question and gives the others in the order in which they are tried.
    pub(super) fn queue(&self, edges: &[Edge], states: &mut [State]) -> Vec<u32> {
        let mut keys = Vec::with_capacity(edges.len());
        for ((i, edge), state) in (0u32..).zip(edges).zip(states) {
            if edge.unlinked {
                *state = State::Suspended(Reason::Unlinked);
            } else if let Some(node) = self.quarantined(edge) {
                *state = State::Suspended(Reason::Quarantined { node });
            } else {
                keys.push(self.key(i, edge));
            }
        }
        keys.sort_unstable();
        keys.iter().map(|key| key.edge).collect()
    }

    /// The endpoints of an edge, the one that comes first in the order of identifiers first.
    pub(super) fn endpoints(&self, edge: &Edge) -> (u32, u32) {
        if self.rank(edge.from) <= self.rank(edge.to) { (edge.from, edge.to) } else { (edge.to, edge.from) }
    }

    /// Pairs with their index, in the order of their identifiers.
    pub(super) fn pairs(&self, pairs: &[(u32, u32)]) -> Vec<(u32, u32, u32)> {
        let mut found: Vec<(u32, u32, u32)> = (0u32..).zip(pairs).map(|(i, &(a, b))| (a, b, i)).collect();
        found.sort_unstable_by_key(|&(a, b, i)| {
            let (a, b) = (self.rank(a), self.rank(b));
            (a.min(b), a.max(b), i)
        });
        found
    }

    fn rank(&self, node: u32) -> u32 {
        self.rank.get(node as usize).copied().unwrap_or(u32::MAX)
    }

    fn rule(&self, node: u32) -> TypeRule {
        let rule = self.nodes.get(node as usize).and_then(|n| self.rules.get(n.rule as usize));
        rule.copied().unwrap_or_default()
    }

    fn quarantined(&self, edge: &Edge) -> Option<u32> {
        let quarantined = |node: u32| self.nodes.get(node as usize).is_some_and(|n| n.quarantined);
        let from_or_to = !edge.forced && (quarantined(edge.from) || quarantined(edge.to));
        let (smaller, larger) = from_or_to.then(|| self.endpoints(edge))?;
        Some(if quarantined(smaller) { smaller } else { larger })
    }

    fn key(&self, i: u32, edge: &Edge) -> Key {
        let (smaller, larger) = self.endpoints(edge);
        // Of two endpoints of one priority the later identifier is the weaker.
        let (before, after) = (self.rule(smaller), self.rule(larger));
        let (stronger, weaker) = if before.priority > after.priority { (after, before) } else { (before, after) };
        let by_first = weaker.shared == Shared::First;
        Key {
            unforced: !edge.forced,
            distrust: !edge.trust,
            priority: weaker.priority,
            by_first,
            staleness: if by_first { edge.first_seen } else { !edge.last_seen },
            stronger: stronger.priority,
            smaller: self.rank(smaller),
            larger: self.rank(larger),
            edge: i,
        }
    }
}

/// Per rule: how many bytes all values begin with.
fn common_bytes(rules: usize, nodes: &[Node<'_>]) -> Vec<usize> {
    let mut common: Vec<Option<&str>> = vec![None; rules];
    for node in nodes {
        if let Some(slot) = common.get_mut(node.rule as usize) {
            let known = slot.unwrap_or(node.value);
            let same = known.bytes().zip(node.value.bytes()).take_while(|(a, b)| a == b).count();
            *slot = known.get(..known.floor_char_boundary(same));
        }
    }
    common.into_iter().map(|known| known.map_or(0, str::len)).collect()
}

/// The first sixteen bytes after `skip` as a number that sorts as they do; a shorter value is filled up with zeros.
fn first_bytes(value: &str, skip: usize) -> u128 {
    let mut bytes = [0; 16];
    for (slot, &byte) in bytes.iter_mut().zip(value.as_bytes().iter().skip(skip)) {
        *slot = byte;
    }
    u128::from_be_bytes(bytes)
}
