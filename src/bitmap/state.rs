//! A set while an aggregate builds it.

use roaring::RoaringTreemap;

use super::treemap;
use crate::error::CdpError;

/// The set so far.
#[derive(Default, Clone)]
pub(super) struct State {
    set: RoaringTreemap,
    /// Members that are not in the set yet, in any order: sorted and many at a time they cost a few nanoseconds each, one by one
    /// several times as much.
    recent: Vec<u64>,
}

/// So many numbers wait at most to be put into the set: 128 kB.
const MOST_RECENT: usize = 1 << 14;

/// How a set joins the state.
pub(super) type Join = fn(&mut RoaringTreemap, &RoaringTreemap);

pub(super) fn or(state: &mut RoaringTreemap, other: &RoaringTreemap) {
    *state |= other;
}

pub(super) fn and(state: &mut RoaringTreemap, other: &RoaringTreemap) {
    *state &= other;
}

pub(super) fn xor(state: &mut RoaringTreemap, other: &RoaringTreemap) {
    *state ^= other;
}

impl State {
    /// Puts a number into the set.
    #[inline]
    pub fn insert(&mut self, value: u64) {
        if self.recent.len() >= MOST_RECENT {
            self.settle();
        }
        self.recent.push(value);
    }

    /// Whether [`Self::insert`] puts a number down and does nothing else.
    pub fn has_room(&self) -> bool {
        self.recent.len() < self.recent.capacity().min(MOST_RECENT)
    }

    /// Joins a set to it.
    pub fn join(&mut self, other: &RoaringTreemap, join: Join) {
        join(self.settle(), other);
    }

    /// Joins another state to it, which stands for the same set afterwards.
    pub fn merge(&mut self, other: &mut Self, join: Join) {
        join(self.settle(), other.settle());
    }

    /// Number of members.
    pub fn len(&mut self) -> u64 {
        if self.set.is_empty() {
            self.order();
            return self.recent.len() as u64;
        }
        self.settle().len()
    }

    /// The set as it is stored. The state stays: an aggregate over a window is asked again and again.
    ///
    /// # Errors
    /// None that a set in memory can cause.
    pub fn bytes(&mut self) -> Result<Vec<u8>, CdpError> {
        if self.set.is_empty() {
            self.order();
            return Ok(treemap::from_sorted(&self.recent)?);
        }
        let set = self.settle();
        let mut bytes = Vec::with_capacity(set.serialized_size());
        set.serialize_into(&mut bytes).map_err(|e| CdpError::internal(e.to_string()))?;
        Ok(bytes)
    }

    fn order(&mut self) {
        self.recent.sort_unstable();
        self.recent.dedup();
    }

    /// Leaves nothing waiting.
    fn settle(&mut self) -> &mut RoaringTreemap {
        self.order();
        if let Some(first) = self.recent.first() {
            // Numbers that come in order are appended.
            let behind = self.set.max().is_none_or(|last| last < *first);
            let waiting = || self.recent.iter().copied();
            // Sorted numbers never fail to be appended; if they did they would be put in one by one.
            if !behind || self.set.append(waiting()).is_err() {
                match RoaringTreemap::from_sorted_iter(waiting()) {
                    Ok(recent) => self.set |= recent,
                    Err(_) => self.set.extend(waiting()),
                }
            }
            self.recent.clear();
        }
        &mut self.set
    }
}

impl From<RoaringTreemap> for State {
    fn from(set: RoaringTreemap) -> Self {
        Self { set, recent: Vec::new() }
    }
}
