//! Hubs: nodes that so many others were seen with that they say nothing of who is who.

/// How many neighbours a node of a type may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct HubRule {
    /// Whether an identifier of this type is a person's, such as an email address, rather than a device's.
    pub person: bool,
    /// How many distinct neighbours of any type it may have; `None`: any number.
    pub degree_cap: Option<u32>,
    /// How many distinct neighbours of person-level types it may have; `None`: any number.
    pub person_cap: Option<u32>,
}

/// Two nodes that were seen together. A pair may be given more than once, either way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pair {
    /// Index of one node.
    pub from: u32,
    /// Index of the other one.
    pub to: u32,
    /// Whether an operator took the pair back. If any mention of a pair says so, it does not count.
    pub unlinked: bool,
}

/// What a hub has too many of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cap {
    /// Neighbours of any type.
    Degree,
    /// Neighbours of person-level types.
    Person,
}

/// A node that has more neighbours than its caps allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hub {
    /// Index of the node.
    pub node: u32,
    /// The cap it exceeds: the one on degree when it exceeds both.
    pub cap: Cap,
    /// How many it has.
    pub found: u32,
    /// How many it may have.
    pub most: u32,
}

/// Input that does not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HubError {
    /// A node names a rule that there is not.
    NoRule {
        /// Index of the node.
        node: u32,
    },
    /// A pair names a node that there is not.
    NoNode {
        /// The index it names.
        node: u32,
    },
}

impl std::fmt::Display for HubError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoRule { node } => write!(f, "node {node} has a type without a rule"),
            Self::NoNode { node } => write!(f, "a pair names node {node}, which is not among the nodes"),
        }
    }
}

impl std::error::Error for HubError {}

/// The hubs of a whole graph, by node. `rule_of` is per node the index of its type's rule; `pairs` are all its strong pairs.
///
/// Whether a node is a hub depends on its own neighbours alone, hubs or not, so the order of nothing matters. A node is no
/// neighbour of itself. Memory is eight bytes a pair and nine a node.
///
/// # Errors
/// [`HubError`] when an index is out of range.
pub fn hubs(rules: &[HubRule], rule_of: &[u32], pairs: impl IntoIterator<Item = Pair>) -> Result<Vec<Hub>, HubError> {
    let mut persons = Vec::with_capacity(rule_of.len());
    for (node, &rule) in (0u32..).zip(rule_of) {
        persons.push(rules.get(rule as usize).ok_or(HubError::NoRule { node })?.person);
    }

    let (mut counted, mut unlinked) = (Vec::new(), Vec::new());
    for pair in pairs {
        let (low, high) = (pair.from.min(pair.to), pair.from.max(pair.to));
        if high as usize >= rule_of.len() {
            return Err(HubError::NoNode { node: high });
        }
        let list = if pair.unlinked { &mut unlinked } else { &mut counted };
        list.push(u64::from(low) << 32 | u64::from(high));
    }
    counted.sort_unstable();
    counted.dedup();
    unlinked.sort_unstable();

    // Per node: neighbours, and those of them that are persons.
    let mut degrees = vec![(0u32, 0u32); rule_of.len()];
    let mut gone = unlinked.iter().peekable();
    for pair in counted {
        while gone.next_if(|&&u| u < pair).is_some() {}
        let (low, high) = ((pair >> 32) as usize, (pair & u64::from(u32::MAX)) as usize);
        if low == high || gone.peek() == Some(&&pair) {
            continue;
        }
        for (node, neighbour) in [(low, high), (high, low)] {
            let person = persons.get(neighbour).is_some_and(|&p| p);
            if let Some((degree, people)) = degrees.get_mut(node) {
                *degree += 1;
                *people += u32::from(person);
            }
        }
    }

    let exceeds = |found: u32, most: Option<u32>| most.filter(|&most| found > most).map(|most| (found, most));
    let found = (0u32..).zip(rule_of).zip(degrees).filter_map(|((node, &rule), (degree, people))| {
        let rule = rules.get(rule as usize)?;
        let of_degree = exceeds(degree, rule.degree_cap).map(|excess| (Cap::Degree, excess));
        let (cap, (found, most)) =
            of_degree.or_else(|| exceeds(people, rule.person_cap).map(|excess| (Cap::Person, excess)))?;
        Some(Hub { node, cap, found, most })
    });
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERSON: HubRule = HubRule { person: true, degree_cap: None, person_cap: Some(1) };
    const DEVICE: HubRule = HubRule { person: false, degree_cap: Some(3), person_cap: Some(2) };

    fn pair(from: u32, to: u32) -> Pair {
        Pair { from, to, unlinked: false }
    }

    #[test]
    fn distinct_neighbours_count() {
        // Node 0 is a person, 1 to 3 persons, 4 to 7 devices.
        let rule_of = [0, 0, 0, 0, 1, 1, 1, 1];
        let rules = [PERSON, DEVICE];
        let mut pairs = vec![pair(0, 1), pair(1, 0), pair(0, 4), pair(0, 5), pair(0, 6), pair(0, 0)];
        assert_eq!(hubs(&rules, &rule_of, pairs.clone()), Ok(vec![]));
        pairs.push(pair(2, 0));
        let person = Hub { node: 0, cap: Cap::Person, found: 2, most: 1 };
        assert_eq!(hubs(&rules, &rule_of, pairs.clone()), Ok(vec![person]));
        pairs.extend([pair(7, 4), pair(7, 5), pair(7, 6)]);
        assert_eq!(hubs(&rules, &rule_of, pairs.clone()), Ok(vec![person]));
        pairs.extend([pair(3, 7), pair(2, 7), pair(1, 7)]);
        let device = Hub { node: 7, cap: Cap::Degree, found: 6, most: 3 };
        assert_eq!(hubs(&rules, &rule_of, pairs.clone()), Ok(vec![person, device]));
        // A pair that is taken back counts no more, whichever source says so.
        pairs.extend([(0, 2), (7, 6), (5, 7), (7, 4)].map(|(from, to)| Pair { from, to, unlinked: true }));
        let device = Hub { node: 7, cap: Cap::Person, found: 3, most: 2 };
        assert_eq!(hubs(&rules, &rule_of, pairs), Ok(vec![device]));
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        assert_eq!(hubs(&[PERSON], &[0, 1], []), Err(HubError::NoRule { node: 1 }));
        assert_eq!(hubs(&[PERSON], &[0], [pair(0, 1)]), Err(HubError::NoNode { node: 1 }));
    }
}
