//! Which edges join people, when rules say that not all of them may: constrained merging.
//!
//! Edges are tried in a total order that is made of what they say and never of when they came or how they are numbered: an
//! operator's first, then by trust, by the priority of the weaker endpoint, by recency, by the priority of the stronger
//! endpoint, and last by the identifiers themselves. An edge is accepted unless the union that it makes breaks a rule; then it
//! is suspended, with the rule that did it. So the partition is a function of the *set* of nodes, edges and rules. And since nothing is asked but what lies in the two components
//! that an edge would join, a set of nodes that no considered edge leaves can be governed alone, with the same result:
//! a considered edge is one that is not unlinked and, unless forced, has no quarantined endpoint.

use std::fmt;

use crate::graph::union_find::UnionFind;

mod components;
mod order;
mod plain;
mod tally;
mod times;

use components::Components;

/// Which edge of a shared identifier is tried first when a limit keeps it from joining all its people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Shared {
    /// The edge seen last: a device belongs to who used it last.
    #[default]
    Last,
    /// The edge seen first: it stays with its first owner.
    First,
    /// None: an identifier that a rule keeps from joining all its people joins none of them.
    Nobody,
}

/// A strong identifier type's rules. They are passed in a canonical order (by type name); nodes refer to them by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TypeRule {
    /// The rank of the type; 1 is the strongest.
    pub priority: i32,
    /// How many distinct values of the type one component may hold in one scope; `None`: any number. Since a single value is
    /// always held, 0 is as good as 1.
    pub limit: Option<u32>,
    /// The limit holds for values first seen within any half-open span of this length; `None`: for all that there are. A span that
    /// is not positive holds nothing.
    pub window_micros: Option<i64>,
    /// Who gets an identifier of this type that cannot join all its people.
    pub shared: Shared,
}

/// An identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Node<'a> {
    /// Index of its type's rule.
    pub rule: u32,
    /// What its limit is counted by besides the type, such as the app of an OpenID; empty for types without a scope.
    pub scope: &'a str,
    /// Its value. No two nodes have the same rule, scope and value.
    pub value: &'a str,
    /// When it was first seen, in microseconds since any one epoch.
    pub first_seen: i64,
    /// Whether it is a hub or blocked, so that only an operator's edges join it to anything.
    pub quarantined: bool,
}

/// One pair of nodes, all sources together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Edge {
    /// Index of one endpoint.
    pub from: u32,
    /// Index of the other one.
    pub to: u32,
    /// The highest trust of its sources, in hundredths.
    pub trust: i32,
    /// The earliest sight, in microseconds since the epoch of the nodes.
    pub first_seen: i64,
    /// The latest sight.
    pub last_seen: i64,
    /// An operator's link: tried before all others, overrides quarantine and limits, but no cannot-link.
    pub forced: bool,
    /// An operator's unlink: it joins nothing, whatever else holds.
    pub unlinked: bool,
}

/// Why an edge joins nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// An operator took it back.
    Unlinked,
    /// An endpoint is a hub or blocked.
    Quarantined {
        /// The endpoint; of two the smaller by (rule, value, scope).
        node: u32,
    },
    /// The union would hold too many values of a type. Of several types it is the first.
    Limit {
        /// The type's rule.
        rule: u32,
        /// How many values the union would hold: in the scope with the most, and when the limit has a window, in the earliest span
        /// that has too many.
        found: u32,
        /// How many it may hold.
        most: u32,
    },
    /// The union would hold two nodes that an operator keeps apart. It is named before any limit.
    CannotLink {
        /// Index of the pair; of several the first by the identifiers of its nodes.
        pair: u32,
    },
    /// An endpoint is shared by people whom a rule keeps apart, and its type leaves it to nobody.
    Shared {
        /// The endpoint; of two the smaller by (rule, value, scope).
        node: u32,
    },
}

/// What became of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Its endpoints are in one component.
    Accepted,
    /// It joins nothing. Its endpoints may still be in one component, through other edges.
    Suspended(Reason),
}

/// The components and what became of the edges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Per node: the smallest node index of its component.
    pub component: Vec<u32>,
    /// Per edge.
    pub states: Vec<State>,
    /// Per node: whether its component has an edge suspended for [`Reason::Limit`], [`Reason::CannotLink`] or
    /// [`Reason::Shared`]. Two components that are not contested may be joined by any new edge whose union breaks no rule, without
    /// asking again.
    pub contested: Vec<bool>,
}

/// Input that does not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GovernError {
    /// A node names a rule that there is not.
    NoRule {
        /// Index of the node.
        node: u32,
    },
    /// An edge names a node that there is not.
    NoEndpoint {
        /// Index of the edge.
        edge: u32,
    },
    /// A cannot-link pair names a node that there is not.
    NoOpponent {
        /// Index of the pair.
        pair: u32,
    },
    /// Two nodes are the same identifier.
    Twice {
        /// Index of one of them.
        node: u32,
        /// Index of another.
        other: u32,
    },
    /// More than 2^32 - 1 nodes, edges or pairs.
    TooLarge,
}

impl fmt::Display for GovernError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRule { node } => write!(f, "node {node} has a type without a rule"),
            Self::NoEndpoint { edge } => write!(f, "edge {edge} has an endpoint that is not among the nodes"),
            Self::NoOpponent { pair } => write!(f, "cannot-link pair {pair} names a node that is not among the nodes"),
            Self::Twice { node, other } => write!(f, "nodes {node} and {other} are the same identifier"),
            Self::TooLarge => f.write_str("no more than 4294967295 nodes, edges and pairs can be governed at once"),
        }
    }
}

impl std::error::Error for GovernError {}

/// Decides every edge. See the module for the order; `cannot_link` holds pairs of nodes that may not end in one component.
///
/// The limit of a type is broken by a union in which some span of its window (or the whole, without one) has values of both
/// sides and more than the limit in all. So a component that an operator's edges put over a limit grows on in every other way.
///
/// A node of a type that is [`Shared::Nobody`]'s which is the endpoint of an unforced edge that a limit or a cannot-link
/// suspends loses all its unforced edges, and the others are decided anew without them, until no more such nodes appear.
///
/// Time is that of sorting nodes and edges, and for each type with a window the limit times the values. Where there are no more values than a component may hold,
/// and no pairs to keep apart, no order matters and nothing is sorted. Nothing is recursive.
///
/// # Errors
/// [`GovernError`] when an index is out of range, or, where the order matters, when a node is given twice.
pub fn govern(
    rules: &[TypeRule],
    nodes: &[Node<'_>],
    edges: &[Edge],
    cannot_link: &[(u32, u32)],
) -> Result<Verdict, GovernError> {
    check(rules, nodes, edges, cannot_link)?;
    if !plain::may_refuse(rules, nodes, cannot_link) {
        return Ok(plain::govern(nodes, edges));
    }
    let order = order::Order::new(rules, nodes)?;
    let mut states = vec![State::Accepted; edges.len()];
    let queue = order.queue(edges, &mut states);
    let mut aside = Aside::new(rules, nodes);
    loop {
        let mut components = Components::new(rules, nodes, order.pairs(cannot_link));
        for &e in &queue {
            let (Some(edge), Some(state)) = (edges.get(e as usize), states.get_mut(e as usize)) else { continue };
            *state = if let Some(node) = aside.endpoint(edge, &order) {
                State::Suspended(Reason::Shared { node })
            } else if let Some(reason) = components.join(edge) {
                aside.refused(edge);
                State::Suspended(reason)
            } else {
                State::Accepted
            };
        }
        if !aside.settle() {
            let (component, contested) = outcome(components.into_sets(), edges, &states);
            return Ok(Verdict { component, states, contested });
        }
    }
}

fn check(
    rules: &[TypeRule],
    nodes: &[Node<'_>],
    edges: &[Edge],
    cannot_link: &[(u32, u32)],
) -> Result<(), GovernError> {
    if [nodes.len(), edges.len(), cannot_link.len()].into_iter().any(|len| u32::try_from(len).is_err()) {
        return Err(GovernError::TooLarge);
    }
    let known = |node: u32| (node as usize) < nodes.len();
    if let Some((node, _)) = (0u32..).zip(nodes).find(|(_, n)| n.rule as usize >= rules.len()) {
        return Err(GovernError::NoRule { node });
    }
    if let Some((edge, _)) = (0u32..).zip(edges).find(|(_, e)| !known(e.from) || !known(e.to)) {
        return Err(GovernError::NoEndpoint { edge });
    }
    if let Some((pair, _)) = (0u32..).zip(cannot_link).find(|(_, p)| !known(p.0) || !known(p.1)) {
        return Err(GovernError::NoOpponent { pair });
    }
    Ok(())
}

/// The nodes that are left to nobody.
struct Aside {
    /// Per node: whether its type asks for it. Empty when none does.
    asked: Vec<bool>,
    /// Per node: whether it is set aside.
    aside: Vec<bool>,
    /// Nodes to be set aside when the pass ends: within a pass they take part, so that the order of edges is no matter.
    next: Vec<u32>,
}

impl Aside {
    fn new(rules: &[TypeRule], nodes: &[Node<'_>]) -> Self {
        let nobody = |rule: u32| rules.get(rule as usize).is_some_and(|r| r.shared == Shared::Nobody);
        let asked: Vec<bool> = if rules.iter().any(|r| r.shared == Shared::Nobody) {
            nodes.iter().map(|n| nobody(n.rule)).collect()
        } else {
            Vec::new()
        };
        Self { aside: vec![false; asked.len()], asked, next: Vec::new() }
    }

    /// The endpoint for which an edge is not to be tried.
    fn endpoint(&self, edge: &Edge, order: &order::Order<'_>) -> Option<u32> {
        let aside = |node: u32| self.aside.get(node as usize).is_some_and(|&a| a);
        if edge.forced {
            return None;
        }
        let (smaller, larger) = order.endpoints(edge);
        if aside(smaller) { Some(smaller) } else { aside(larger).then_some(larger) }
    }

    /// Takes note of an edge that a rule suspended.
    fn refused(&mut self, edge: &Edge) {
        if !edge.forced {
            let asked = |node: &u32| self.asked.get(*node as usize).is_some_and(|&a| a);
            self.next.extend([edge.from, edge.to].into_iter().filter(asked));
        }
    }

    /// Ends a pass; whether there is to be another one.
    fn settle(&mut self) -> bool {
        let again = !self.next.is_empty();
        for node in self.next.drain(..) {
            if let Some(slot) = self.aside.get_mut(node as usize) {
                *slot = true;
            }
        }
        again
    }
}

/// The smallest node of each node's component, and whether that component has an edge that a rule suspended.
fn outcome(mut sets: UnionFind, edges: &[Edge], states: &[State]) -> (Vec<u32>, Vec<bool>) {
    let component: Vec<u32> = (0u32..).take(sets.len()).map(|x| sets.find(x)).collect();
    let mut roots = vec![false; component.len()];
    for (edge, state) in edges.iter().zip(states) {
        if let State::Suspended(Reason::Limit { .. } | Reason::CannotLink { .. } | Reason::Shared { .. }) = state {
            for end in [edge.from, edge.to] {
                if let Some(slot) = component.get(end as usize).and_then(|&root| roots.get_mut(root as usize)) {
                    *slot = true;
                }
            }
        }
    }
    let contested = component.iter().map(|&root| roots.get(root as usize).is_some_and(|&c| c)).collect();
    (component, contested)
}

#[cfg(test)]
mod tests;
