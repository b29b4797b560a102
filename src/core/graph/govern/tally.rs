//! How many values of each limited type a component holds.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::mem;

use super::times::Times;

/// A type's limit in one scope.
pub(super) struct Limit {
    pub(super) rule: u32,
    pub(super) most: u32,
    pub(super) window: Option<i64>,
}

/// A limit that a union breaks.
pub(super) struct Breach {
    pub(super) rule: u32,
    pub(super) found: u32,
    pub(super) most: u32,
}

/// The values of one type and scope in a component.
struct Tally {
    /// Place of its limit.
    key: u32,
    count: u32,
    times: Times,
}

/// The tallies of a component. Nearly all have a handful, which are searched one by one; the others get an index.
#[derive(Default)]
pub(super) struct Tallies {
    list: Vec<Tally>,
    /// Key to place in `list`.
    #[expect(clippy::box_collection, reason = "most components have none: it is one word for them")]
    index: Option<Box<HashMap<u32, u32, BuildHasherDefault<Scatter>>>>,
    /// How many values there are, all tallies together.
    values: u32,
}

/// Keys are numbers of our own, given in order: to scatter them is enough, nobody can choose them so that they collide.
#[derive(Default)]
struct Scatter(u64);

impl Hasher for Scatter {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn write_u32(&mut self, key: u32) {
        let product = (self.0 ^ u64::from(key)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ product >> 32;
    }
}

/// How many tallies are searched without an index.
const FEW: usize = 16;

impl Tallies {
    /// Those of a single value.
    pub(super) fn one(key: u32, first_seen: Option<i64>) -> Self {
        let times = first_seen.map_or(Times::Unasked, Times::Once);
        Self { list: vec![Tally { key, count: 1, times }], index: None, values: 1 }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// How much there is to look at.
    pub(super) fn values(&self) -> u32 {
        self.values
    }

    /// The limit that the union of two components breaks: of several the one of the first rule, and of its scopes the
    /// largest excess.
    pub(super) fn breach(a: &Self, b: &Self, limits: &[Limit]) -> Option<Breach> {
        let (light, heavy) = if a.len() <= b.len() { (a, b) } else { (b, a) };
        let mut worst: Option<Breach> = None;
        for tally in &light.list {
            let Some(limit) = limits.get(tally.key as usize) else { continue };
            if worst.as_ref().is_some_and(|w| w.rule < limit.rule) {
                continue;
            }
            let Some(other) = heavy.get(tally.key) else { continue };
            let found = tally.excess(other, limit);
            let is_worse = |w: &Breach| limit.rule < w.rule || found > w.found;
            if found > limit.most && worst.as_ref().is_none_or(is_worse) {
                worst = Some(Breach { rule: limit.rule, found, most: limit.most });
            }
        }
        worst
    }

    /// Adds those of another component.
    pub(super) fn add(&mut self, other: Self) {
        self.values = self.values.saturating_add(other.values);
        for tally in other.list {
            match self.place(tally.key).and_then(|place| self.list.get_mut(place)) {
                Some(mine) => mine.add(tally),
                None => self.push(tally),
            }
        }
    }

    fn place(&self, key: u32) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(&key).map(|&place| place as usize),
            None => self.list.iter().position(|t| t.key == key),
        }
    }

    fn get(&self, key: u32) -> Option<&Tally> {
        self.list.get(self.place(key)?)
    }

    fn push(&mut self, tally: Tally) {
        // There are no more tallies than nodes, so places fit.
        let place = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        if let Some(index) = &mut self.index {
            index.insert(tally.key, place);
        } else if self.list.len() == FEW {
            let known = self.list.iter().map(|t| t.key).chain([tally.key]);
            self.index = Some(Box::new(known.zip(0u32..).collect()));
        }
        self.list.push(tally);
    }
}

impl Tally {
    /// How many values there are in the earliest span that has values of both and too many; 0 when there is none.
    fn excess(&self, other: &Self, limit: &Limit) -> u32 {
        let all = self.count.saturating_add(other.count);
        match limit.window {
            _ if all <= limit.most => 0,
            None => all,
            Some(window) if window <= 0 => 0,
            Some(window) if self.count <= other.count => self.times.excess(&other.times, window, limit.most),
            Some(window) => other.times.excess(&self.times, window, limit.most),
        }
    }

    fn add(&mut self, mut other: Self) {
        if other.count > self.count {
            mem::swap(self, &mut other);
        }
        self.count = self.count.saturating_add(other.count);
        self.times.add(other.times);
    }
}
