//! When the values of a type were first seen, and how many of them within a span.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::{mem, slice};

/// Times of a component, each as often as values were first seen then.
pub(super) enum Times {
    /// No window asks for them.
    Unasked,
    /// One, without an allocation: most components are a single node for long.
    Once(i64),
    /// Up to [`FEW`], ascending.
    Few(Vec<i64>),
    /// More, with how often: to insert one must not move all others.
    Many(BTreeMap<i64, u32>),
}

/// How many times lie in one list, where to insert one moves those after it.
const FEW: usize = if cfg!(test) { 64 } else { 1 << 16 };

/// Up to how many times as long as the other a list is walked rather than searched.
const COMPARABLE: usize = 16;

impl Times {
    /// Adds those of another component; cheap when these are no fewer.
    pub(super) fn add(&mut self, other: Self) {
        let mut grown = match mem::replace(self, Self::Unasked) {
            Self::Unasked => return,
            Self::Once(time) => Self::Few(vec![time]),
            known => known,
        };
        if let Self::Few(few) = &mut grown {
            let added = other.between(i64::MIN, i64::MAX);
            if let [time] = *added {
                few.insert(few.partition_point(|&known| known < time), time);
            } else {
                few.extend_from_slice(&added);
                // It finds the two ascending runs and merges them.
                few.sort();
            }
            if few.len() > FEW {
                let mut many = BTreeMap::new();
                insert(&mut many, few);
                grown = Self::Many(many);
            }
        } else if let Self::Many(many) = &mut grown {
            insert(many, &other.between(i64::MIN, i64::MAX));
        }
        *self = grown;
    }

    /// How many times there are in the earliest half-open span of positive length `window` that has times of both and more than
    /// `most`; 0 when there is none. It is quick when these are no more than the others.
    pub(super) fn excess(&self, others: &Self, window: i64, most: u32) -> u32 {
        let mine = self.between(i64::MIN, i64::MAX);
        if let Self::Once(_) | Self::Few(_) = others {
            let all = others.between(i64::MIN, i64::MAX);
            if all.len() / COMPARABLE <= mine.len() {
                return first_excess(&mine, &all, window, most);
            }
        }
        // Such a span holds one of mine, so that the others in it are near that one.
        let reach = window - 1;
        let mut near: Vec<i64> = Vec::new();
        let mut next = Some(i64::MIN);
        for time in mine.iter() {
            let Some(from) = next else { break };
            let last = time.saturating_add(reach);
            near.extend_from_slice(&others.between(time.saturating_sub(reach).max(from), last));
            next = last.checked_add(1);
        }
        first_excess(&mine, &near, window, most)
    }

    /// The times from `first` to `last`, both included, ascending.
    fn between(&self, first: i64, last: i64) -> Cow<'_, [i64]> {
        let within = |times: &'_ [i64]| {
            let (from, to) = (times.partition_point(|&t| t < first), times.partition_point(|&t| t <= last));
            from..to.max(from)
        };
        match self {
            Self::Unasked => Cow::Borrowed(&[]),
            Self::Once(time) => {
                let time = slice::from_ref(time);
                Cow::Borrowed(time.get(within(time)).unwrap_or_default())
            }
            Self::Few(times) => Cow::Borrowed(times.get(within(times)).unwrap_or_default()),
            Self::Many(_) if first > last => Cow::Borrowed(&[]),
            Self::Many(times) => {
                let repeated = |(&time, &count): (&i64, &u32)| std::iter::repeat_n(time, count as usize);
                times.range(first..=last).flat_map(repeated).collect()
            }
        }
    }
}

fn insert(many: &mut BTreeMap<i64, u32>, times: &[i64]) {
    for &time in times {
        let count = many.entry(time).or_insert(0);
        *count = count.saturating_add(1);
    }
}

/// As [`Times::excess`], of two ascending lists.
fn first_excess(a: &[i64], b: &[i64], window: i64, most: u32) -> u32 {
    // Every span may be moved on until it begins with a time, and holds no fewer then.
    let (mut a, mut b) = (Ahead::new(a), Ahead::new(b));
    // Once a list is used up, what follows is of the other one only.
    while let (Some(of_a), Some(of_b)) = (a.first(), b.first()) {
        let start = of_a.min(of_b);
        let (in_a, in_b) = (a.reach(start, window), b.reach(start, window));
        if in_a > 0 && in_b > 0 && in_a + in_b > most as usize {
            return u32::try_from(in_a + in_b).unwrap_or(u32::MAX);
        }
        if of_a == start {
            a.start += 1;
        } else {
            b.start += 1;
        }
    }
    0
}

/// The part of a list that lies in a span.
struct Ahead<'a> {
    list: &'a [i64],
    start: usize,
    end: usize,
}

impl<'a> Ahead<'a> {
    fn new(list: &'a [i64]) -> Self {
        Self { list, start: 0, end: 0 }
    }

    fn first(&self) -> Option<i64> {
        self.list.get(self.start).copied()
    }

    /// Moves the end to that of the span; how many it holds.
    fn reach(&mut self, start: i64, window: i64) -> usize {
        while self.list.get(self.end).is_some_and(|time| time.abs_diff(start) < window.unsigned_abs()) {
            self.end += 1;
        }
        self.end - self.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn times(list: &[i64]) -> Times {
        let mut made = Times::Unasked;
        for &time in list {
            if matches!(made, Times::Unasked) {
                made = Times::Once(time);
            } else {
                made.add(Times::Once(time));
            }
        }
        made
    }

    fn excess(a: &[i64], b: &[i64], window: i64, most: u32) -> u32 {
        let mut starts: Vec<i64> = [a, b].concat();
        starts.sort_unstable();
        for start in starts {
            let inside =
                |list: &[i64]| list.iter().filter(|&&t| t >= start && t.abs_diff(start) < window as u64).count();
            let (in_a, in_b) = (inside(a), inside(b));
            if in_a > 0 && in_b > 0 && in_a + in_b > most as usize {
                return (in_a + in_b) as u32;
            }
        }
        0
    }

    fn list(len: usize) -> impl Strategy<Value = Vec<i64>> {
        let time = prop_oneof![60 => 0i64..1000, 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
        prop::collection::vec(time, 1..len)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn equal_their_list(
            a in list(4),
            b in prop_oneof![list(40), list(300)],
            c in prop_oneof![list(3), list(200)],
            window in prop_oneof![1i64..2000, Just(i64::MAX)],
            most in 0u32..60
        ) {
            let (few, mut many) = (times(&a), times(&b));
            let forms = [&few, &many].map(|t| matches!(t, Times::Many(_)));
            prop_assert_eq!(forms, [false, b.len() > FEW]);
            prop_assert_eq!(few.excess(&many, window, most), excess(&a, &b, window, most));
            prop_assert_eq!(many.excess(&few, window, most), excess(&a, &b, window, most));
            let more = times(&c);
            prop_assert_eq!(more.excess(&many, window, most), excess(&c, &b, window, most));
            many.add(more);
            let mut sorted = [b, c].concat();
            sorted.sort_unstable();
            prop_assert_eq!(&*many.between(i64::MIN, i64::MAX), &sorted);
            prop_assert_eq!(few.excess(&many, window, most), excess(&a, &sorted, window, most));
            let (low, high) = (sorted[0], a[0]);
            let within: Vec<i64> = sorted.into_iter().filter(|t| (low..=high).contains(t)).collect();
            prop_assert_eq!(&*many.between(low, high), &within);
        }
    }
}
