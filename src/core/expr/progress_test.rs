//! Against a twin that tries every chain, over all short lists of events; and what is said to turn the answer turns it.

use super::{Happened, Stop, progress};

/// What a sequence asks for: the number of steps, whether something must not come behind each, and the time allowed.
struct Asked {
    steps: u32,
    absent: u32,
    within: Option<i64>,
}

impl Asked {
    fn since(&self, at: i64) -> i64 {
        self.within.map_or(i64::MIN, |within| at - within)
    }

    fn event(&self, at: i64, steps: u32, absent: u32) -> Happened {
        Happened { at, since: self.since(at), steps, absent: absent & self.absent }
    }

    /// Whether some chain of the first k steps, ending with event `last`, keeps to the rules between the steps and to the time.
    fn reached(&self, events: &[Happened], k: u32, last: usize) -> bool {
        fn begins(events: &[Happened], k: u32, last: usize) -> Vec<i64> {
            if events[last].steps & (1 << (k - 1)) == 0 {
                return Vec::new();
            }
            if k == 1 {
                return vec![events[last].at];
            }
            let clean = |from: usize| events[from + 1..last].iter().all(|e| e.absent & (1 << (k - 2)) == 0);
            (0..last).filter(|from| clean(*from)).flat_map(|from| begins(events, k - 1, from)).collect()
        }
        begins(events, k, last).iter().any(|begin| self.within.is_none_or(|within| *begin >= events[last].at - within))
    }

    fn holds(&self, events: &[Happened]) -> bool {
        let free = |last: usize| {
            let next = events[last + 1..].iter().find(|e| e.absent & (1 << (self.steps - 1)) != 0);
            next.is_none_or(|next| self.within.is_some_and(|within| next.at - within > events[last].at))
        };
        (0..events.len()).any(|last| self.reached(events, self.steps, last) && free(last))
    }
}

/// A few of every shape of up to five events; the moments are 0, 1, 1, 2, 4, and it is 5 now.
fn check(asked: &Asked, code: u64) {
    const AT: [i64; 5] = [0, 1, 1, 2, 4];
    const NOW: i64 = 5;
    let masks = 1u64 << asked.steps;
    let (mut code, mut events) = (code, Vec::new());
    for at in AT {
        let (steps, absent) = ((code % masks) as u32, (code / masks % masks) as u32);
        code /= masks * masks;
        events.push(asked.event(at, steps, absent));
    }
    let found = progress(&events, asked.steps, asked.since(NOW));
    let longest = (0..=asked.steps).rev().find(|k| *k == 0 || (0..events.len()).any(|i| asked.reached(&events, *k, i)));
    assert_eq!(found.stop == Stop::Done, asked.holds(&events), "{events:?}");
    assert_eq!(Some(found.longest.len() as u32), longest, "{events:?}");
    for chain in [&found.longest, &found.open] {
        assert!(
            chain.is_sorted() && chain.iter().zip(0..).all(|(i, k)| events[*i].steps & (1 << k) != 0),
            "{events:?}"
        );
    }
    let turned = |steps: &mut dyn Iterator<Item = u32>, absent: u32| {
        let mut after = events.clone();
        after.extend(steps.map(|k| asked.event(NOW, 1 << k, 0)));
        if absent > 0 {
            after.push(asked.event(NOW, 0, absent));
        }
        asked.holds(&after)
    };
    if found.stop == Stop::Done {
        let last = 1 << (asked.steps - 1);
        assert_eq!(found.loose && asked.absent & last != 0, !turned(&mut std::iter::empty(), last), "{events:?}");
        return;
    }
    let open = found.open.len() as u32;
    assert!(turned(&mut (open..asked.steps), 0), "the steps after {open} turn it: {events:?}");
    assert!(!turned(&mut (open + 1..asked.steps), 0), "fewer do not: {events:?}");
}

#[test]
fn progress_agrees_with_every_chain() {
    let mut seed = 1u64;
    for round in 0..40_000u64 {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let steps = 1 + (round % 3) as u32;
        let within = [None, Some(0), Some(1), Some(3)][(round / 3 % 4) as usize];
        check(&Asked { steps, absent: (round / 12 % 8) as u32 & ((1 << steps) - 1), within }, seed >> 20);
    }
}

#[test]
fn nothing_happened() {
    let found = progress(&[], 3, i64::MIN);
    assert_eq!((found.longest.len(), found.open.len(), found.stop, found.loose), (0, 0, Stop::Missing, false));
}

#[test]
fn what_stopped_the_chain_is_told() {
    let asked = Asked { steps: 2, absent: 1, within: Some(10) };
    let stopped = |second: Happened| progress(&[asked.event(0, 1, 0), second], 2, asked.since(20)).stop;
    assert_eq!(stopped(asked.event(5, 0, 1)), Stop::Spoiled(1));
    assert_eq!(stopped(asked.event(11, 2, 0)), Stop::Late(1));
    assert_eq!(stopped(asked.event(10, 2, 0)), Stop::Done);
    assert_eq!(stopped(asked.event(11, 1, 0)), Stop::Missing);
}
