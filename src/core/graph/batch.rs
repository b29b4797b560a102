//! The stitch of one batch: which profiles merge, and which nodes get one.
//!
//! A batch is a set of rows (nodes seen together through accepted edges), the profile each node has so far, and how old those
//! profiles are. A profile takes part as one more element tied to its nodes, so that its other nodes need not be read.
//!
//! The answer is a function of the *sets* given: neither the order of rows nor of nodes within them matters. The edges of a row
//! are those from its smallest node to each other one. Where several edges could be named as the cause of a merge, it is the
//! first in the order of (smaller node, larger node) that joins the two sides, as Kruskal's algorithm finds it.

use std::collections::HashMap;
use std::fmt;

use crate::graph::union_find::UnionFind;

/// The rows of a batch: lists of node ids seen together. One flat array, so that a million rows are two allocations.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    nodes: Vec<i64>,
    ends: Vec<usize>,
}

impl Rows {
    /// No rows, with room for `rows` rows of `nodes` nodes altogether.
    pub fn with_capacity(rows: usize, nodes: usize) -> Self {
        Self { nodes: Vec::with_capacity(nodes), ends: Vec::with_capacity(rows) }
    }

    /// Adds a row. A node may repeat within it; a row of one node ties nothing but brings the node in; an empty row is nothing.
    pub fn push(&mut self, nodes: &[i64]) {
        self.nodes.extend_from_slice(nodes);
        self.ends.push(self.nodes.len());
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The ranges of the rows in the flat array.
    fn ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        std::iter::once(0).chain(self.ends.iter().copied()).zip(self.ends.iter().copied()).map(|(from, to)| from..to)
    }
}

/// The profile a node has before the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeState {
    /// The node.
    pub node: i64,
    /// Its live profile; `None` when it has none yet.
    pub profile: Option<i64>,
}

/// How old an existing profile is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Profile {
    /// The profile.
    pub profile_id: i64,
    /// When it was created, in microseconds since any one epoch.
    pub created_at_micros: i64,
}

/// A profile that another one takes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Retired {
    /// The profile that ends.
    pub profile_id: i64,
    /// The edge (smaller node, larger node) that first joined it to the survivor's side.
    pub cause: (i64, i64),
}

/// One connected component of the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// The smallest node of the component in this batch: the founding node, when a new profile is made.
    pub founding: i64,
    /// The oldest of its existing profiles, by (creation time, id); `None` when a new profile is needed.
    pub survivor: Option<i64>,
    /// Its other existing profiles, by id.
    pub retired: Vec<Retired>,
    /// Its nodes that have no profile yet, ascending: they go to the survivor or the new profile.
    pub newcomers: Vec<i64>,
}

impl Component {
    /// Whether a new profile has to be made for it.
    pub fn needs_profile(&self) -> bool {
        self.survivor.is_none()
    }

    /// Whether the batch changes nothing here: one existing profile and no new node.
    pub fn is_unchanged(&self) -> bool {
        self.survivor.is_some() && self.retired.is_empty() && self.newcomers.is_empty()
    }
}

/// Input that contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StitchError {
    /// A node is listed with two different states.
    TwoStates {
        /// The node.
        node: i64,
    },
    /// A profile is listed with two different creation times.
    TwoAges {
        /// The profile.
        profile_id: i64,
    },
    /// A node has a profile whose age is not given.
    UnknownProfile {
        /// The profile.
        profile_id: i64,
    },
    /// More than 2^32 - 1 nodes and profiles in one batch.
    TooLarge,
}

impl fmt::Display for StitchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TwoStates { node } => write!(f, "node {node} is given with two different profiles"),
            Self::TwoAges { profile_id } => write!(f, "profile {profile_id} is given with two creation times"),
            Self::UnknownProfile { profile_id } => write!(f, "the age of profile {profile_id} is not given"),
            Self::TooLarge => f.write_str("a batch cannot hold more than 4294967295 nodes and profiles"),
        }
    }
}

impl std::error::Error for StitchError {}

/// Two nodes by element number, the smaller first.
type Edge = (u32, u32);

/// Stitches a batch: every connected component of the nodes in `rows` and `states`, by founding node ascending.
///
/// `states` needs only the nodes that have a profile; a node of `rows` that is not in it has none. `profiles` holds the age of
/// every profile in `states`; others are ignored. Repeating an entry is harmless. Memory is linear in nodes and profiles; time
/// is that of sorting them, and of sorting the edges of those components in which profiles merge.
///
/// # Errors
/// [`StitchError`] when the input contradicts itself or has too many elements.
pub fn stitch(rows: &Rows, states: &[NodeState], profiles: &[Profile]) -> Result<Vec<Component>, StitchError> {
    if let Some(component) = meeting(rows, states, profiles) {
        return Ok(vec![component]);
    }
    let elements = Elements::number(rows, states, profiles)?;
    let mut sets = UnionFind::new(elements.len()?);
    elements.tie_profiles(&mut sets);
    for (a, b) in elements.edges(rows) {
        sets.union(a, b);
    }

    // Nodes are numbered before profiles in ascending order, so a root is the smallest node of its component.
    let mut component_of: Vec<u32> = vec![u32::MAX; elements.nodes.len()];
    let mut components: Vec<Component> = Vec::new();
    for (x, (&node, profile)) in (0u32..).zip(elements.nodes.iter().zip(&elements.profile_of)) {
        let root = sets.find(x) as usize;
        if root == x as usize
            && let Some(slot) = component_of.get_mut(root)
        {
            *slot = u32::try_from(components.len()).map_err(|_| StitchError::TooLarge)?;
            components.push(Component { founding: node, survivor: None, retired: Vec::new(), newcomers: Vec::new() });
        }
        if profile.is_none()
            && let Some(c) = component_of.get(root).and_then(|&c| components.get_mut(c as usize))
        {
            c.newcomers.push(node);
        }
    }

    // Survivors, and the components in which profiles merge.
    let mut survivors: Vec<Option<u32>> = vec![None; components.len()];
    let mut merging: Vec<bool> = vec![false; components.len()];
    for (p, x) in elements.numbered_profiles() {
        let c = component_of.get(sets.find(x) as usize).map_or(usize::MAX, |&c| c as usize);
        if let (Some(survivor), Some(merges)) = (survivors.get_mut(c), merging.get_mut(c)) {
            *merges = survivor.is_some();
            *survivor = Some(survivor.map_or(p, |old| elements.older(old, p)));
        }
    }
    for (component, survivor) in components.iter_mut().zip(&survivors) {
        component.survivor = survivor.and_then(|p| elements.profile(p)).map(|p| p.profile_id);
    }
    if merging.contains(&true) {
        let index =
            |x: u32, sets: &mut UnionFind| component_of.get(sets.find(x) as usize).map_or(usize::MAX, |&c| c as usize);
        let mut edges: Vec<Edge> =
            elements.edges(rows).filter(|&(a, _)| merging.get(index(a, &mut sets)).is_some_and(|&m| m)).collect();
        edges.sort_unstable();
        edges.dedup();
        for (p, edge) in causes(&elements, &edges, &survivors)? {
            let c = index(edge.0, &mut sets);
            if let (Some(component), Some(profile), Some(cause)) =
                (components.get_mut(c), elements.profile(p), elements.edge(edge))
            {
                component.retired.push(Retired { profile_id: profile.profile_id, cause });
            }
        }
        for component in &mut components {
            component.retired.sort_unstable_by_key(|r| r.profile_id);
        }
    }
    Ok(components)
}

/// The most nodes of a row that is looked at by itself.
const FEW_NODES: usize = 8;

/// The component of a batch of one short row whose nodes are in two profiles, which is most of what single events join; `None` for any other batch.
fn meeting(rows: &Rows, states: &[NodeState], profiles: &[Profile]) -> Option<Component> {
    let nodes = &rows.nodes;
    if rows.len() != 1 || nodes.len() > FEW_NODES || nodes.len() != states.len() || profiles.len() > FEW_NODES {
        return None;
    }
    let founding = nodes.iter().copied().min()?;
    // Of all but the first: those of its profile tie nothing, and the first of the other one's is what joins the two.
    let mut first = None;
    let mut far: Option<NodeState> = None;
    for (nth, state) in states.iter().enumerate() {
        let again = states.iter().skip(nth + 1).any(|other| other.node == state.node);
        if again || !nodes.contains(&state.node) {
            return None;
        }
        if state.node == founding {
            first = state.profile;
        }
    }
    let first = first?;
    for state in states.iter().filter(|state| state.profile != Some(first)) {
        match far {
            Some(known) if known.profile != state.profile => return None,
            Some(known) if known.node < state.node => {}
            _ => far = Some(*state),
        }
    }
    let far = far?;
    if !profiles.iter().all(|p| [Some(first), far.profile].contains(&Some(p.profile_id))) {
        return None;
    }
    let age = |profile_id: i64| {
        let mut ages = profiles.iter().filter(|p| p.profile_id == profile_id).map(|p| p.created_at_micros);
        let age = ages.next()?;
        ages.all(|other| other == age).then_some((age, profile_id))
    };
    let (one, other) = (age(first)?, age(far.profile?)?);
    let (survivor, retired) = (one.min(other).1, one.max(other).1);
    let retired = vec![Retired { profile_id: retired, cause: (founding, far.node) }];
    Some(Component { founding, survivor: Some(survivor), retired, newcomers: Vec::new() })
}

/// Kruskal over the sorted edges of the merging components: for each profile that is no survivor, the edge that joined it to the
/// side of its survivor.
///
/// Every set keeps the chain of its profiles while it has no survivor. When it meets the survivor's side, the whole chain gets the
/// edge and is dropped; when it meets another such set, the chains are joined. So a profile is handed over once.
fn causes(elements: &Elements, edges: &[Edge], survivors: &[Option<u32>]) -> Result<Vec<(u32, Edge)>, StitchError> {
    const NONE: u32 = u32::MAX;
    let len = elements.len()? as usize;
    let mut sets = UnionFind::new(elements.len()?);
    // Per profile: the next one in its chain. Per root: whether the survivor is here, and the ends of the chain.
    let mut next: Vec<u32> = vec![NONE; elements.profiles.len()];
    let mut chain: Vec<(bool, u32, u32)> = vec![(false, NONE, NONE); len];
    for (p, x) in elements.numbered_profiles() {
        if let Some(slot) = chain.get_mut(x as usize) {
            *slot = (false, p, p);
        }
    }
    for &p in survivors.iter().flatten() {
        if let Some(slot) = chain.get_mut((elements.first_profile() + p) as usize) {
            *slot = (true, NONE, NONE);
        }
    }
    let mut found = Vec::new();
    let mut join = |sets: &mut UnionFind, a: u32, b: u32, edge: Option<Edge>| {
        let Some((kept, gone)) = sets.union(a, b) else { return };
        let (Some(&mine), Some(&theirs)) = (chain.get(kept as usize), chain.get(gone as usize)) else { return };
        let joined = match (mine, theirs) {
            ((true, ..), (_, first, _)) | ((_, first, _), (true, ..)) => {
                let mut p = first;
                while let (Some(edge), Some(&after)) = (edge, next.get(p as usize)) {
                    found.push((p, edge));
                    p = after;
                }
                (true, NONE, NONE)
            }
            ((_, NONE, _), other) | (other, (_, NONE, _)) => other,
            ((_, first, end), (_, begin, last)) => {
                if let Some(slot) = next.get_mut(end as usize) {
                    *slot = begin;
                }
                (false, first, last)
            }
        };
        if let Some(slot) = chain.get_mut(kept as usize) {
            *slot = joined;
        }
    };
    // A tie between a node and its own profile is no edge and retires nobody: a node has one profile.
    for (x, profile) in (0u32..).zip(&elements.profile_of) {
        if let Some(p) = profile {
            join(&mut sets, x, elements.first_profile() + p, None);
        }
    }
    for &(a, b) in edges {
        join(&mut sets, a, b, Some((a, b)));
    }
    Ok(found)
}

/// The elements of a batch under dense numbers: nodes ascending, then profiles ascending.
struct Elements {
    nodes: Vec<i64>,
    /// Per node: the position of its profile in `profiles`.
    profile_of: Vec<Option<u32>>,
    /// The profiles that some node has.
    profiles: Vec<Profile>,
    /// The element number of every node of the rows' flat array.
    numbered: Vec<u32>,
}

impl Elements {
    fn number(rows: &Rows, states: &[NodeState], profiles: &[Profile]) -> Result<Self, StitchError> {
        let profiles = used_profiles(states, profiles)?;
        let total = rows.nodes.len().checked_add(states.len()).ok_or(StitchError::TooLarge)?;
        let limit = u32::try_from(total.saturating_add(profiles.len())).map_err(|_| StitchError::TooLarge)?;
        if limit == u32::MAX {
            return Err(StitchError::TooLarge);
        }
        let position: HashMap<i64, u32> = profiles.iter().map(|p| p.profile_id).zip(0u32..).collect();

        // Sorted together with where they came from, nodes get their numbers in one pass.
        let mut places: Vec<(i64, u32)> =
            rows.nodes.iter().copied().chain(states.iter().map(|s| s.node)).zip(0u32..).collect();
        places.sort_unstable();
        let mut this =
            Self { nodes: Vec::new(), profile_of: Vec::new(), profiles, numbered: vec![0; rows.nodes.len()] };
        let mut number = 0u32;
        let mut state: Option<NodeState> = None;
        for &(node, place) in &places {
            if this.nodes.last() != Some(&node) {
                number = u32::try_from(this.nodes.len()).map_err(|_| StitchError::TooLarge)?;
                this.nodes.push(node);
                this.profile_of.push(None);
                state = None;
            }
            if let Some(slot) = this.numbered.get_mut(place as usize) {
                *slot = number;
            } else if let Some(&given) = states.get(place as usize - rows.nodes.len()) {
                if state.is_some_and(|s| s != given) {
                    return Err(StitchError::TwoStates { node });
                }
                state = Some(given);
                if let Some(slot) = this.profile_of.last_mut() {
                    *slot = given.profile.and_then(|p| position.get(&p).copied());
                }
            }
        }
        Ok(this)
    }

    /// Nodes and profiles together.
    fn len(&self) -> Result<u32, StitchError> {
        u32::try_from(self.nodes.len() + self.profiles.len()).map_err(|_| StitchError::TooLarge)
    }

    /// The element number of the first profile. It fits: [`Elements::number`] bounds the sum.
    fn first_profile(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    /// The position of every profile with its element number.
    fn numbered_profiles(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        let first = self.first_profile();
        (0..self.profiles.len()).filter_map(move |p| u32::try_from(p).ok()).map(move |p| (p, first + p))
    }

    fn profile(&self, p: u32) -> Option<&Profile> {
        self.profiles.get(p as usize)
    }

    /// The senior of two profiles.
    fn older(&self, a: u32, b: u32) -> u32 {
        let age = |p: u32| self.profile(p).map(|p| (p.created_at_micros, p.profile_id));
        if age(a) <= age(b) { a } else { b }
    }

    /// The node ids of an edge.
    fn edge(&self, (a, b): Edge) -> Option<(i64, i64)> {
        Some((*self.nodes.get(a as usize)?, *self.nodes.get(b as usize)?))
    }

    fn tie_profiles(&self, sets: &mut UnionFind) {
        for (x, profile) in (0u32..).zip(&self.profile_of) {
            if let Some(p) = profile {
                sets.union(x, self.first_profile() + p);
            }
        }
    }

    /// The edges of all rows, the smaller node first.
    fn edges<'a>(&'a self, rows: &'a Rows) -> impl Iterator<Item = Edge> + 'a {
        rows.ranges().filter_map(|range| self.numbered.get(range)).flat_map(|row| {
            let least = row.iter().copied().min().unwrap_or(0);
            row.iter().copied().filter(move |&x| x != least).map(move |x| (least, x))
        })
    }
}

/// The profiles that `states` names, by id, each with its age.
fn used_profiles(states: &[NodeState], profiles: &[Profile]) -> Result<Vec<Profile>, StitchError> {
    let mut given = profiles.to_vec();
    given.sort_unstable_by_key(|p| (p.profile_id, p.created_at_micros));
    given.dedup();
    if let Some(twice) = given.array_windows().find(|[a, b]| a.profile_id == b.profile_id) {
        return Err(StitchError::TwoAges { profile_id: twice[0].profile_id });
    }
    let mut used: Vec<i64> = states.iter().filter_map(|s| s.profile).collect();
    used.sort_unstable();
    used.dedup();
    used.into_iter()
        .map(|profile_id| {
            given
                .binary_search_by_key(&profile_id, |p| p.profile_id)
                .ok()
                .and_then(|i| given.get(i).copied())
                .ok_or(StitchError::UnknownProfile { profile_id })
        })
        .collect()
}

#[cfg(test)]
mod tests;
