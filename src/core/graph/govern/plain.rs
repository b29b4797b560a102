//! Edges of which no rule can refuse any: all are accepted, in whatever order.

use std::collections::HashMap;

use super::{Edge, Node, Reason, State, TypeRule, Verdict, outcome};
use crate::graph::union_find::UnionFind;

/// Whether some component could break a rule, if it were large enough.
pub(super) fn may_refuse(rules: &[TypeRule], nodes: &[Node<'_>], cannot_link: &[(u32, u32)]) -> bool {
    // A node is in one component with itself, whatever an operator wishes.
    if cannot_link.iter().any(|(a, b)| a != b) {
        return true;
    }
    let mut counts: HashMap<(u32, &str), u32> = HashMap::new();
    nodes.iter().any(|node| {
        let Some(most) = rules.get(node.rule as usize).and_then(|rule| rule.limit) else { return false };
        let count = counts.entry((node.rule, node.scope)).or_default();
        *count += 1;
        // A single value is always held.
        *count > most.max(1)
    })
}

/// Accepts every edge that is not out of the question.
pub(super) fn govern(nodes: &[Node<'_>], edges: &[Edge]) -> Verdict {
    let mut sets = UnionFind::new(u32::try_from(nodes.len()).unwrap_or(u32::MAX));
    let mut states = Vec::with_capacity(edges.len());
    for edge in edges {
        states.push(if edge.unlinked {
            State::Suspended(Reason::Unlinked)
        } else if let Some(node) = quarantined(nodes, edge) {
            State::Suspended(Reason::Quarantined { node })
        } else {
            sets.union(edge.from, edge.to);
            State::Accepted
        });
    }
    let (component, contested) = outcome(sets, edges, &states);
    Verdict { component, states, contested }
}

/// The endpoint for which an edge is out of the question: of two the one that comes first in the order of identifiers.
fn quarantined(nodes: &[Node<'_>], edge: &Edge) -> Option<u32> {
    if edge.forced {
        return None;
    }
    let ends = [edge.from, edge.to].into_iter().filter_map(|end| Some((nodes.get(end as usize)?, end)));
    let ends = ends.filter(|(node, _)| node.quarantined);
    ends.min_by_key(|(node, _)| (node.rule, node.value, node.scope)).map(|(_, end)| end)
}
