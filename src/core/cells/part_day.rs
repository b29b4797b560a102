//! The events of one key of a day column that happened in some stretch of that day, each with its moment: what any part of the stretch adds to the
//! day, or takes out of it, is a sum over a slice.

use super::Cell;
use super::delta::Gather;
use crate::bitmap::{SHARD_BITS, SHARD_WIDTH};
use crate::error::StoreError;
use std::collections::BTreeMap;

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Happened {
    /// When, in microseconds since 2000-01-01 UTC.
    pub at: i64,
    /// Whose it is.
    pub profile_id: i64,
    /// Its measure, scaled; 0 where events are only counted.
    pub v: i64,
}

/// All events of a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartDay {
    from: i64,
    to: i64,
    /// Ascending by moment.
    events: Vec<Happened>,
}

impl PartDay {
    /// All events of `from..=to`, in any order.
    pub fn new(from: i64, to: i64, mut events: Vec<Happened>) -> Self {
        events.sort_by_key(|event| event.at);
        events.shrink_to_fit();
        Self { from, to, events }
    }

    /// Whether all of `from..=to` is known.
    pub fn covers(&self, from: i64, to: i64) -> bool {
        self.from <= from && to <= self.to
    }

    /// What is not known yet of the smallest stretch that holds this one and `from..=to`: something before it, something after it.
    pub fn missing(&self, from: i64, to: i64) -> impl Iterator<Item = (i64, i64)> + use<> {
        let before = (from < self.from).then(|| (from, self.from - 1));
        let after = (to > self.to).then(|| (self.to + 1, to));
        before.into_iter().chain(after)
    }

    /// This stretch and one that ends where it begins or begins where it ends; `None` when there is something between the two or in both.
    pub fn joined(&self, other: &Self) -> Option<Self> {
        let (first, second) = if self.from <= other.from { (self, other) } else { (other, self) };
        let touch = first.to.checked_add(1) == Some(second.from);
        let events = || [first.events.as_slice(), second.events.as_slice()].concat();
        touch.then(|| Self { from: first.from, to: second.to, events: events() })
    }

    /// The events of `from..=to`.
    fn slice(&self, from: i64, to: i64) -> &[Happened] {
        let start = self.events.partition_point(|event| event.at < from);
        let end = self.events.partition_point(|event| event.at <= to);
        self.events.get(start..end).unwrap_or_default()
    }

    /// What the events of `from..=to` add to cells, or take out of them, as the delta of each shard, ascending.
    ///
    /// # Errors
    /// [`StoreError::Overflow`] when the sum of a profile needs more than 64 bits.
    pub fn deltas(&self, from: i64, to: i64, taken_out: bool) -> Result<Vec<(i32, Vec<u8>)>, StoreError> {
        let sign = if taken_out { -1 } else { 1 };
        let mut shards: BTreeMap<i32, Gather> = BTreeMap::new();
        for event in self.slice(from, to) {
            let shard = i32::try_from(event.profile_id >> SHARD_BITS).map_err(|_| StoreError::Overflow)?;
            // Masked: it fits.
            let offset = (event.profile_id & i64::from(SHARD_WIDTH - 1)) as u32;
            let v = event.v.checked_mul(sign).ok_or(StoreError::Overflow)?;
            shards.entry(shard).or_default().push(Cell { offset, n: sign, v });
        }
        shards.into_iter().map(|(shard, mut changes)| Ok((shard, changes.encode()?))).collect()
    }

    /// Bytes of memory.
    pub fn capacity(&self) -> usize {
        self.events.capacity() * size_of::<Happened>()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::super::delta;
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Few moments and few profiles, on both sides of the border of a shard: many events coincide.
    fn events() -> impl Strategy<Value = Vec<Happened>> {
        let profile = prop_oneof![0i64..4, (1i64 << 20) - 2..(1 << 20) + 2, 5i64 << 20..(5 << 20) + 2];
        let event = (0i64..40, profile, -3i64..4).prop_map(|(at, profile_id, v)| Happened { at, profile_id, v });
        vec(event, 0..60)
    }

    /// The same sums, event by event.
    fn plainly(events: &[Happened], from: i64, to: i64, sign: i64) -> BTreeMap<(i32, u32), (i64, i64)> {
        let mut sums = BTreeMap::new();
        for event in events.iter().filter(|event| (from..=to).contains(&event.at)) {
            let place = ((event.profile_id >> 20) as i32, (event.profile_id & 0xF_FFFF) as u32);
            let (n, v) = sums.entry(place).or_insert((0, 0));
            *n += sign;
            *v += sign * event.v;
        }
        sums
    }

    fn cells(deltas: &[(i32, Vec<u8>)]) -> BTreeMap<(i32, u32), (i64, i64)> {
        let all = deltas.iter().flat_map(|(shard, bytes)| {
            delta::decode(bytes)
                .unwrap()
                .map(|cell| cell.unwrap())
                .map(|cell| ((*shard, cell.offset), (cell.n, cell.v)))
        });
        all.collect()
    }

    fn within(events: &[Happened], from: i64, to: i64) -> Vec<Happened> {
        events.iter().copied().filter(|event| (from..=to).contains(&event.at)).collect()
    }

    proptest! {
        /// However a stretch has grown, each part of it sums to what its events say.
        #[test]
        fn parts_of_a_grown_stretch((events, asked) in (events(), vec((-2i64..42, -2i64..42, any::<bool>()), 1..8))) {
            let mut kept: Option<PartDay> = None;
            for (a, b, taken_out) in asked {
                let (from, to) = (a.min(b), a.max(b));
                let mut part = match kept.take() {
                    None => PartDay::new(from, to, within(&events, from, to)),
                    Some(part) => part,
                };
                for (low, high) in part.missing(from, to) {
                    part = part.joined(&PartDay::new(low, high, within(&events, low, high))).unwrap();
                }
                prop_assert!(part.covers(from, to));
                prop_assert_eq!(part.missing(from, to).count(), 0);
                let deltas = part.deltas(from, to, taken_out).unwrap();
                prop_assert!(deltas.is_sorted_by_key(|(shard, _)| *shard));
                prop_assert_eq!(cells(&deltas), plainly(&events, from, to, if taken_out { -1 } else { 1 }));
                kept = Some(part);
            }
        }
    }

    #[test]
    fn stretches_that_do_not_touch_are_not_joined() {
        let part = |from, to| PartDay::new(from, to, Vec::new());
        assert_eq!(part(0, 9).joined(&part(10, 12)).unwrap(), part(0, 12));
        assert_eq!(part(10, 12).joined(&part(0, 9)).unwrap(), part(0, 12));
        assert!(part(0, 9).joined(&part(11, 12)).is_none());
        assert!(part(0, 9).joined(&part(9, 12)).is_none());
        assert!(part(0, i64::MAX).joined(&part(i64::MIN, 12)).is_none());
    }

    #[test]
    fn a_sum_that_leaves_64_bits_is_an_error() {
        let event = |v| Happened { at: 1, profile_id: 7, v };
        let part = PartDay::new(0, 2, vec![event(i64::MAX), event(1)]);
        assert!(matches!(part.deltas(0, 2, false), Err(StoreError::Overflow)));
        let part = PartDay::new(0, 2, vec![event(i64::MIN)]);
        assert!(matches!(part.deltas(0, 2, true), Err(StoreError::Overflow)));
    }
}
