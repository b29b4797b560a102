//! How many values of each limited type a component holds.

use std::collections::{BTreeMap, HashMap};
use std::mem;

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

/// When values were first seen, where a window asks for it.
enum Times {
    Unasked,
    Once(i64),
    /// Times with how many values were first seen then.
    Many(BTreeMap<i64, u32>),
}

/// The tallies of a component. Nearly all have a handful, which are searched one by one; the others get an index.
#[derive(Default)]
pub(super) struct Tallies {
    list: Vec<Tally>,
    /// Key to place in `list`.
    #[expect(clippy::box_collection, reason = "most components have none: it is one word for them")]
    index: Option<Box<HashMap<u32, u32>>>,
}

/// How many tallies are searched without an index.
const FEW: usize = 16;

impl Tallies {
    /// Those of a single value.
    pub(super) fn one(key: u32, first_seen: Option<i64>) -> Self {
        let times = first_seen.map_or(Times::Unasked, Times::Once);
        Self { list: vec![Tally { key, count: 1, times }], index: None }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The limit that the union of two components breaks: of several the one of the first rule, and its largest excess.
    pub(super) fn breach(a: &Self, b: &Self, limits: &[Limit]) -> Option<Breach> {
        let (light, heavy) = if a.len() <= b.len() { (a, b) } else { (b, a) };
        let mut worst: Option<Breach> = None;
        for tally in &light.list {
            let Some(limit) = limits.get(tally.key as usize) else { continue };
            if worst.as_ref().is_some_and(|w| w.rule < limit.rule) {
                continue;
            }
            let Some(other) = heavy.get(tally.key) else { continue };
            let found = tally.together(other, limit);
            let is_worse = |w: &Breach| limit.rule < w.rule || found > w.found;
            if found > limit.most && worst.as_ref().is_none_or(is_worse) {
                worst = Some(Breach { rule: limit.rule, found, most: limit.most });
            }
        }
        worst
    }

    /// Adds those of another component.
    pub(super) fn add(&mut self, other: Self) {
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
    /// The most values in a span that has values of both; 0 when that is surely within the limit.
    fn together(&self, other: &Self, limit: &Limit) -> u32 {
        let all = self.count.saturating_add(other.count);
        let Some(window) = limit.window else { return all };
        if all <= limit.most || window <= 0 {
            return 0;
        }
        let (light, heavy) = if self.count <= other.count { (self, other) } else { (other, self) };
        light.times.crowd(&heavy.times, window)
    }

    fn add(&mut self, mut other: Self) {
        if other.count > self.count {
            mem::swap(self, &mut other);
        }
        self.count = self.count.saturating_add(other.count);
        let mut grown = match mem::replace(&mut self.times, Times::Unasked) {
            Times::Unasked => return,
            Times::Once(time) => BTreeMap::from([(time, 1)]),
            Times::Many(times) => times,
        };
        other.times.each(i64::MIN, i64::MAX, |time, count| {
            let sum = grown.entry(time).or_insert(0);
            *sum = sum.saturating_add(count);
        });
        self.times = Times::Many(grown);
    }
}

impl Times {
    /// Visits the times from `first` to `last`, both included, in order.
    fn each(&self, first: i64, last: i64, mut visit: impl FnMut(i64, u32)) {
        match self {
            Self::Unasked => {}
            Self::Once(time) => {
                if (first..=last).contains(time) {
                    visit(*time, 1);
                }
            }
            Self::Many(times) => {
                if first <= last {
                    times.range(first..=last).for_each(|(&time, &count)| visit(time, count));
                }
            }
        }
    }

    /// The most values within a half-open span of positive length `window` that has values of both.
    fn crowd(&self, other: &Self, window: i64) -> u32 {
        // Such a span holds one of mine, so that the others in it are near that one.
        let reach = window - 1;
        let mut near: Vec<(i64, u32, u32)> = Vec::new();
        let mut unvisited = Some(i64::MIN);
        self.each(i64::MIN, i64::MAX, |time, count| {
            near.push((time, count, 0));
            if let Some(from) = unvisited {
                let last = time.saturating_add(reach);
                other.each(time.saturating_sub(reach).max(from), last, |time, count| near.push((time, 0, count)));
                unvisited = last.checked_add(1);
            }
        });
        near.sort_unstable();

        // Every span may be moved on until it begins with a value, and holds no fewer then.
        let (mut most, mut mine, mut others) = (0u32, 0u32, 0u32);
        let mut ahead = near.iter().peekable();
        for &(start, my_count, other_count) in &near {
            while let Some(&(_, my_count, other_count)) =
                ahead.next_if(|(time, ..)| time.abs_diff(start) < window.unsigned_abs())
            {
                mine = mine.saturating_add(my_count);
                others = others.saturating_add(other_count);
            }
            if mine > 0 && others > 0 {
                most = most.max(mine.saturating_add(others));
            }
            mine = mine.saturating_sub(my_count);
            others = others.saturating_sub(other_count);
        }
        most
    }
}
