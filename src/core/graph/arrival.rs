//! Identity in order of arrival: every row is settled by what is there when it comes, and nothing is taken back later.
//!
//! This is how products of the field resolve an event, for those who have to agree with them. The identifiers of a row are looked
//! up; the profiles that own any of them merge, or a new one is made. When the profile that would result breaks a limit, the
//! identifier of the lowest priority that is left on the row is dropped from it and the search repeated. What was dropped and why
//! is part of the answer. Unlike [`govern`](crate::graph::govern()), the outcome depends on the order of rows; how they are cut into
//! batches is no matter.
//!
//! ```
//! use pg_cdp_core::graph::arrival::{Arrival, Caps, Identifier, Owner};
//! use pg_cdp_core::graph::govern::TypeRule;
//!
//! let user = TypeRule { priority: 1, limit: Some(1), ..TypeRule::default() };
//! let email = TypeRule { priority: 2, limit: Some(5), ..TypeRule::default() };
//! let mut arrival = Arrival::new(vec![user, email], Caps::default(), 1_000);
//! // Profile 7 was made at 500 and owns user 1 and email 2.
//! let [abc123, jane, abc456] = [(1, 0), (2, 1), (3, 0)].map(|(node, rule)| Identifier { node, rule, scope: "", first_seen: 0 });
//! arrival.know(7, 500, &abc123).unwrap();
//! arrival.know(7, 500, &jane).unwrap();
//! // Two users are one too many: the email goes, and the other user is new.
//! let outcome = arrival.arrive(&[abc456, jane]).unwrap();
//! assert_eq!(outcome.owner, Some(Owner::New(0)));
//! assert_eq!(outcome.dropped[0].node, 2);
//! ```

use std::collections::HashMap;
use std::{fmt, mem};

use crate::graph::govern::TypeRule;

mod caps;
mod limits;

pub use caps::{Bound, Caps, Size};
use limits::{Breach, Limits, Values};

/// An identifier of a row or of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identifier<'a> {
    /// The node.
    pub node: i64,
    /// Index of its type's rule.
    pub rule: u32,
    /// What its limit is counted by besides the type; empty for types without a scope.
    pub scope: &'a str,
    /// When it was first seen, this row included, in microseconds since any one epoch.
    pub first_seen: i64,
}

/// A profile by the name that it has so far. The order is that of names, not of age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owner {
    /// One that there was before the batch, by its id.
    Known(i64),
    /// The nth one that the batch makes, from 0.
    New(u32),
}

/// Why an identifier was dropped from a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dropped {
    /// The identifier.
    pub node: i64,
    /// What was broken while it was there.
    pub bound: Bound,
    /// How many the profile would have had: of a limit, values of the type in one scope, and within one span when the limit has a window.
    pub found: u32,
    /// How many it may have.
    pub most: u32,
}

/// A profile that a row made another one take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Merged {
    /// The profile.
    pub owner: Owner,
    /// The first identifier of the row that it had.
    pub node: i64,
    /// The first that it had not.
    pub other: i64,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// The profile of the row after it; `None` for a row without identifiers.
    pub owner: Option<Owner>,
    /// Whether that profile was made for this row.
    pub made: bool,
    /// The profiles that it took over, the oldest first.
    pub merged: Vec<Merged>,
    /// The identifiers that lead to the profile now, in the order of the row.
    pub kept: Vec<i64>,
    /// Those of them that nobody had before.
    pub added: Vec<i64>,
    /// The others, in the order in which they were dropped. They stay with whom they were; those that nobody had get a profile each.
    pub dropped: Vec<Dropped>,
}

/// A profile that the batch made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Made {
    /// The node it was made for: the smallest that its row kept, or one that was dropped.
    pub founding: i64,
    /// Who took it over later in the batch.
    pub into: Option<Owner>,
}

/// What a batch changed, all rows together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// The profiles made, in the order of their making: [`Owner::New`] counts them.
    pub made: Vec<Made>,
    /// The profiles there were before that were taken over, by id, with who lives in their place.
    pub retired: Vec<(i64, Owner)>,
    /// The nodes that had no owner before, ascending, with the living owner they have now.
    pub joined: Vec<(i64, Owner)>,
}

/// Input that contradicts itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArrivalError {
    /// A node names a rule that there is not.
    NoRule {
        /// The node.
        node: i64,
    },
    /// A node is known to belong to two profiles.
    TwoOwners {
        /// The node.
        node: i64,
    },
    /// A profile is known with two creation times.
    TwoAges {
        /// The profile.
        profile_id: i64,
    },
    /// A size is told of a profile that is not known.
    NoProfile {
        /// The profile.
        profile_id: i64,
    },
    /// More than 2^32 - 1 profiles or scopes.
    TooLarge,
}

impl fmt::Display for ArrivalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRule { node } => write!(f, "node {node} has a type without a rule"),
            Self::TwoOwners { node } => write!(f, "node {node} is given with two profiles"),
            Self::TwoAges { profile_id } => write!(f, "profile {profile_id} is given with two creation times"),
            Self::NoProfile { profile_id } => write!(f, "profile {profile_id} has a size and no node"),
            Self::TooLarge => f.write_str("a batch cannot touch more than 4294967295 profiles and scopes"),
        }
    }
}

impl std::error::Error for ArrivalError {}

/// A profile while rows arrive.
#[derive(Debug)]
struct Profile {
    owner: Owner,
    created_at_micros: i64,
    /// The smallest node of the row that it was made for.
    founding: i64,
    /// The place of the profile that took it over.
    into: Option<u32>,
    size: Size,
    /// Its values of types with a limit, by key: each node with when it was first seen.
    held: HashMap<u32, Vec<(i64, i64)>>,
}

/// A batch in order of arrival. First [`know`](Self::know) the profiles that it touches, then let rows
/// [`arrive`](Self::arrive), then [`finish`](Self::finish).
#[derive(Debug)]
pub struct Arrival {
    limits: Limits,
    caps: Caps,
    now_micros: i64,
    profiles: Vec<Profile>,
    /// Places in `profiles`.
    known: HashMap<i64, u32>,
    made: Vec<u32>,
    /// The owner of each node, as a place in `profiles` that has to be followed.
    owners: HashMap<i64, u32>,
    joined: Vec<i64>,
}

impl Arrival {
    /// No rows yet. `rules` are as for [`govern`](crate::graph::govern()), of which `shared` is not asked; profiles are made at `now_micros`.
    pub fn new(rules: Vec<TypeRule>, caps: Caps, now_micros: i64) -> Self {
        Self {
            limits: Limits::new(rules),
            caps,
            now_micros,
            profiles: Vec::new(),
            known: HashMap::new(),
            made: Vec::new(),
            owners: HashMap::new(),
            joined: Vec::new(),
        }
    }

    /// A node of a profile. Needed are the profiles that own a node of any row, with all their nodes of types that have a
    /// limit, and of the others those on rows. To repeat a node is harmless.
    ///
    /// # Errors
    /// [`ArrivalError`] when it contradicts what is known.
    pub fn know(
        &mut self,
        profile_id: i64,
        created_at_micros: i64,
        identifier: &Identifier<'_>,
    ) -> Result<(), ArrivalError> {
        self.limits.rule(identifier)?;
        let place = match self.known.get(&profile_id) {
            Some(&place) => place,
            None => {
                let place = self.add(Owner::Known(profile_id), created_at_micros, identifier.node)?;
                self.known.insert(profile_id, place);
                place
            }
        };
        if self.profiles.get(place as usize).is_some_and(|p| p.created_at_micros != created_at_micros) {
            return Err(ArrivalError::TwoAges { profile_id });
        }
        match self.owners.insert(identifier.node, place) {
            None => self.hold(place, identifier),
            Some(owner) if owner == place => Ok(()),
            Some(_) => Err(ArrivalError::TwoOwners { node: identifier.node }),
        }
    }

    /// How large a known profile is. Caps need it of the profiles that come together in a row with another one, or with a node that
    /// nobody owns.
    ///
    /// # Errors
    /// [`ArrivalError`] when no node of the profile is known.
    pub fn measure(&mut self, profile_id: i64, size: Size) -> Result<(), ArrivalError> {
        let place = self.known.get(&profile_id).copied().ok_or(ArrivalError::NoProfile { profile_id })?;
        if let Some(profile) = self.profiles.get_mut(place as usize) {
            profile.size = size;
        }
        Ok(())
    }

    /// Settles a row.
    ///
    /// A limit counts as for [`govern`](crate::graph::govern()): it is broken when in some span of its window (or the whole,
    /// without one) there are more values than it allows, not all of one profile before. So a profile that is over a limit that
    /// was lowered later still receives rows, and merges and grows in every way that does not add to the excess. Of identifiers
    /// of one priority the later rule's is dropped first, and of those the one that comes last in the row.
    ///
    /// What breaks no limit is subject to the caps: the row belongs to the profile of the most telling identifier that is left, and the
    /// others join it in the order of how telling they are. One whose profile would have to merge, or that nobody owns and would be
    /// added, beyond a cap is dropped, and no other for its sake. So a profile that has reached a cap still receives rows, and keeps what
    /// it has if it is beyond it.
    ///
    /// # Errors
    /// [`ArrivalError`] when a rule is out of range; then nothing of the row is taken.
    pub fn arrive(&mut self, row: &[Identifier<'_>]) -> Result<Outcome, ArrivalError> {
        let mut left: Vec<(Identifier<'_>, i32)> = Vec::with_capacity(row.len());
        for identifier in row {
            let priority = self.limits.rule(identifier)?.priority;
            if left.iter().all(|(other, _)| other.node != identifier.node) {
                left.push((*identifier, priority));
            }
        }
        for (identifier, _) in &left {
            self.see(identifier)?;
        }

        let mut outcome = Outcome::default();
        loop {
            let profiles = self.owned(&left);
            let Some(Breach { rule, found, most, windowed }) = self.breach(&profiles, &left)? else { break };
            let lowest = (0..left.len()).max_by_key(|&i| left.get(i).map(|one| telling(one, i)));
            // A single identifier breaks no limit, so one is always left.
            let Some(lowest) = lowest else { break };
            let (identifier, _) = left.remove(lowest);
            let bound = Bound::Limit { rule, windowed };
            outcome.dropped.push(Dropped { node: identifier.node, bound, found, most });
        }
        self.cap(&mut left, &mut outcome);
        let profiles = self.owned(&left);
        self.settle(&profiles, &left, &mut outcome)?;
        // Rows that come one by one would find it settled too.
        for dropped in &outcome.dropped {
            if !self.owners.contains_key(&dropped.node)
                && let Some(identifier) = row.iter().find(|identifier| identifier.node == dropped.node)
            {
                let alone = self.make(identifier.node)?;
                self.join(alone, identifier)?;
            }
        }
        Ok(outcome)
    }

    /// What all rows together changed.
    pub fn finish(mut self) -> Changes {
        let mut changes = Changes::default();
        for place in mem::take(&mut self.made) {
            if let Some(profile) = self.profiles.get(place as usize) {
                let into = profile.into.and_then(|next| self.living(next));
                changes.made.push(Made { founding: profile.founding, into });
            }
        }
        for profile in &self.profiles {
            if let (Owner::Known(profile_id), Some(into)) =
                (profile.owner, profile.into.and_then(|next| self.living(next)))
            {
                changes.retired.push((profile_id, into));
            }
        }
        changes.retired.sort_unstable();
        self.joined.sort_unstable();
        let owner = |node: &i64| Some((*node, self.living(*self.owners.get(node)?)?));
        changes.joined = self.joined.iter().filter_map(owner).collect();
        changes
    }

    fn add(&mut self, owner: Owner, created_at_micros: i64, founding: i64) -> Result<u32, ArrivalError> {
        let place = u32::try_from(self.profiles.len()).map_err(|_| ArrivalError::TooLarge)?;
        let (size, held) = (Size::default(), HashMap::new());
        self.profiles.push(Profile { owner, created_at_micros, founding, into: None, size, held });
        Ok(place)
    }

    /// Counts a value to a profile.
    fn hold(&mut self, place: u32, identifier: &Identifier<'_>) -> Result<(), ArrivalError> {
        if let Some(key) = self.limits.key(identifier)?
            && let Some(profile) = self.profiles.get_mut(place as usize)
        {
            profile.held.entry(key).or_default().push((identifier.node, identifier.first_seen));
        }
        Ok(())
    }

    /// Takes note that an owned value was seen earlier than was known.
    fn see(&mut self, identifier: &Identifier<'_>) -> Result<(), ArrivalError> {
        let Some(&place) = self.owners.get(&identifier.node) else { return Ok(()) };
        let Some(key) = self.limits.key(identifier)? else { return Ok(()) };
        let place = self.follow(place);
        let held = self.profiles.get_mut(place as usize).and_then(|p| p.held.get_mut(&key));
        if let Some((_, time)) = held.and_then(|values| values.iter_mut().find(|(node, _)| *node == identifier.node)) {
            *time = identifier.first_seen.min(*time);
        }
        Ok(())
    }

    /// The living profile that a place has become, with the way there shortened by half.
    fn follow(&mut self, mut place: u32) -> u32 {
        let into = |profiles: &[Profile], place: u32| profiles.get(place as usize).and_then(|p| p.into);
        while let Some(next) = into(&self.profiles, place) {
            if let Some(after) = into(&self.profiles, next)
                && let Some(profile) = self.profiles.get_mut(place as usize)
            {
                profile.into = Some(after);
            }
            place = next;
        }
        place
    }

    /// The same, without shortening.
    fn end(&self, mut place: u32) -> u32 {
        while let Some(next) = self.profiles.get(place as usize).and_then(|profile| profile.into) {
            place = next;
        }
        place
    }

    /// The same, by name.
    fn living(&self, place: u32) -> Option<Owner> {
        Some(self.profiles.get(self.end(place) as usize)?.owner)
    }

    /// The profiles that own any of the identifiers, the oldest first.
    fn owned(&mut self, left: &[(Identifier<'_>, i32)]) -> Vec<u32> {
        let mut places = Vec::with_capacity(left.len());
        for (identifier, _) in left {
            if let Some(&place) = self.owners.get(&identifier.node) {
                places.push(self.follow(place));
            }
        }
        places.sort_unstable_by_key(|&place| self.profiles.get(place as usize).map(|p| (p.created_at_micros, p.owner)));
        places.dedup();
        places
    }

    /// The limit that the profiles and the identifiers that nobody owns would break together.
    fn breach(&mut self, profiles: &[u32], left: &[(Identifier<'_>, i32)]) -> Result<Option<Breach>, ArrivalError> {
        // Each profile and each new identifier is a part of its own.
        let mut values = Values::default();
        for (part, (identifier, _)) in left.iter().enumerate() {
            if !self.owners.contains_key(&identifier.node)
                && let Some(key) = self.limits.key(identifier)?
            {
                values.entry(key).or_default().push((identifier.first_seen, part));
            }
        }
        for (part, &place) in (left.len()..).zip(profiles) {
            let Some(profile) = self.profiles.get(place as usize) else { continue };
            for (key, held) in &profile.held {
                // What one profile holds alone is no matter.
                if profiles.len() > 1 || values.contains_key(key) {
                    values.entry(*key).or_default().extend(held.iter().map(|&(_, time)| (time, part)));
                }
            }
        }
        Ok(self.limits.breach(values))
    }

    /// Drops what would take the profile of the most telling identifier beyond a cap.
    fn cap(&mut self, left: &mut Vec<(Identifier<'_>, i32)>, outcome: &mut Outcome) {
        if self.caps == Caps::default() || left.len() < 2 {
            return;
        }
        let mut order: Vec<usize> = (0..left.len()).collect();
        order.sort_unstable_by_key(|&i| left.get(i).map(|one| telling(one, i)));
        // The profiles that are let in, and what they and the new identifiers come to together.
        let (mut inside, mut size): (Vec<u32>, Option<Size>) = (Vec::new(), None);
        let mut out: Vec<usize> = Vec::new();
        for i in order {
            let Some((identifier, _)) = left.get(i) else { continue };
            let owner = self.owners.get(&identifier.node).copied().map(|place| self.follow(place));
            if owner.is_some_and(|place| inside.contains(&place)) {
                continue;
            }
            let profile = owner.and_then(|place| self.profiles.get(place as usize));
            let own = profile.map_or(Size::ONE, |profile| profile.size);
            let merges = owner.is_some() && !inside.is_empty();
            let sum = size.map_or(own, |size| if merges { size.merged(own) } else { size.and(own) });
            if size.is_some()
                && let Some((bound, found, most)) = self.caps.broken(sum, merges)
            {
                outcome.dropped.push(Dropped { node: identifier.node, bound, found, most });
                out.push(i);
            } else {
                size = Some(sum);
                inside.extend(owner);
            }
        }
        let mut nth = 0..;
        left.retain(|_| nth.next().is_some_and(|i| !out.contains(&i)));
    }

    /// Merges the profiles, or makes one, and gives it the identifiers.
    fn settle(
        &mut self,
        profiles: &[u32],
        left: &[(Identifier<'_>, i32)],
        outcome: &mut Outcome,
    ) -> Result<(), ArrivalError> {
        let Some(founding) = left.iter().map(|(identifier, _)| identifier.node).min() else { return Ok(()) };
        let survivor = match profiles.split_first() {
            Some((&survivor, others)) => {
                outcome.merged = others.iter().filter_map(|&other| self.to_merge(other, left)).collect();
                others.iter().for_each(|&other| self.merge(survivor, other));
                survivor
            }
            None => {
                outcome.made = true;
                self.make(founding)?
            }
        };
        outcome.owner = self.living(survivor);
        for (identifier, _) in left {
            outcome.kept.push(identifier.node);
            if !self.owners.contains_key(&identifier.node) {
                outcome.added.push(identifier.node);
                self.join(survivor, identifier)?;
            }
        }
        Ok(())
    }

    /// A profile that is to be taken over, with what ties it to the others.
    fn to_merge(&self, place: u32, left: &[(Identifier<'_>, i32)]) -> Option<Merged> {
        let has = |node: &i64| self.owners.get(node).is_some_and(|&owner| self.end(owner) == place);
        let nodes = || left.iter().map(|(identifier, _)| identifier.node);
        let (node, other) = (nodes().find(|node| has(node))?, nodes().find(|node| !has(node))?);
        Some(Merged { owner: self.profiles.get(place as usize)?.owner, node, other })
    }

    /// Makes a profile.
    fn make(&mut self, founding: i64) -> Result<u32, ArrivalError> {
        let nth = u32::try_from(self.made.len()).map_err(|_| ArrivalError::TooLarge)?;
        let place = self.add(Owner::New(nth), self.now_micros, founding)?;
        self.made.push(place);
        Ok(place)
    }

    /// Gives a profile an identifier that nobody has.
    fn join(&mut self, place: u32, identifier: &Identifier<'_>) -> Result<(), ArrivalError> {
        self.joined.push(identifier.node);
        self.owners.insert(identifier.node, place);
        if let Some(profile) = self.profiles.get_mut(place as usize) {
            profile.size = profile.size.and(Size::ONE);
        }
        self.hold(place, identifier)
    }

    /// Lets a profile take over another one; of what they hold, the less is moved to the more.
    fn merge(&mut self, survivor: u32, other: u32) {
        let Some(gone) = self.profiles.get_mut(other as usize) else { return };
        gone.into = Some(survivor);
        let (size, mut lost) = (gone.size, mem::take(&mut gone.held));
        let Some(profile) = self.profiles.get_mut(survivor as usize) else { return };
        profile.size = profile.size.merged(size);
        if lost.len() > profile.held.len() {
            mem::swap(&mut lost, &mut profile.held);
        }
        for (key, mut values) in lost {
            let held = profile.held.entry(key).or_default();
            if values.len() > held.len() {
                mem::swap(&mut values, held);
            }
            held.append(&mut values);
        }
    }
}

/// What identifiers of a row are sorted by, the most telling first, given their priority and their place in the row.
fn telling((identifier, priority): &(Identifier<'_>, i32), place: usize) -> (i32, u32, usize) {
    (*priority, identifier.rule, place)
}

#[cfg(test)]
mod tests;
