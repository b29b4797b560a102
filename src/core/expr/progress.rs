//! How far one profile has come in a sequence, what kept it from going on, and from where it still can.

use std::collections::BTreeMap;

/// An event that is a step, or that must not come between two. Steps are those that happen, from 1 up; bit k - 1 of a mask is for step k.
#[derive(Debug, Clone, Copy, Default)]
pub struct Happened {
    /// When, in microseconds.
    pub at: i64,
    /// A chain that ends here may not have begun before; the smallest number when the sequence has no `within`.
    pub since: i64,
    /// The steps it is.
    pub steps: u32,
    /// The steps behind which it must not come before the next; behind the last: at all.
    pub absent: u32,
}

/// What followed the longest chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// All steps happened, and nothing came behind that must not: the sequence is true.
    Done,
    /// Nothing that is the next step, or that must not come before it.
    Missing,
    /// This event, which must not come.
    Spoiled(usize),
    /// The next step, too late for where the chain began.
    Late(usize),
}

/// Events are named by their index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The longest chain, of those the one that ended last.
    pub longest: Vec<usize>,
    /// What came behind it.
    pub stop: Stop,
    /// The longest chain that misses steps and goes on with an event that comes next.
    pub open: Vec<usize>,
    /// Whether the sequence is true until something comes next that must not come behind its last step.
    pub loose: bool,
}

/// The latest beginning of a chain of so many steps that ends with an event, and the event before that.
#[derive(Clone, Copy)]
struct Link {
    begin: i64,
    before: Option<usize>,
}

/// The chains of so many steps (the first) that end with an event (the second).
type Links = BTreeMap<(u32, usize), Link>;

/// How far `events`, all of one profile (with `by`, of one value), in their order, come in a sequence of so many steps. `since` is the
/// [`Happened::since`] of an event that happens now.
pub fn progress(events: &[Happened], steps: u32, since: i64) -> Progress {
    let (links, ends) = links(events, steps);
    let kept = |(place, link): (&(u32, usize), &Link)| (link.begin >= events.get(place.1)?.since).then_some(*place);
    let reached: Vec<(u32, usize)> = links.iter().filter_map(kept).collect();
    let absent = next_absent(events, steps);
    // The last step of a whole chain, and what comes behind it that must not.
    let whole = reached.iter().filter(|(k, _)| *k == steps).filter_map(|(_, i)| {
        let (last, next) = (events.get(*i)?, absent.get(*i)?.and_then(|next| events.get(next)));
        Some((*i, last, next))
    });
    // Once the time is over it may come.
    let done: Vec<_> = whole.filter(|(_, last, next)| next.is_none_or(|next| next.since > last.at)).collect();
    let end = done.last().map(|(i, _, _)| (steps, *i)).or(reached.last().copied());
    // Of the last steps that another can follow, that of the longest chain.
    let open = (1..steps).zip(&ends).filter_map(|(k, end)| end.map(|(begin, i)| (begin, (k, i))));
    let open = open.rev().find(|(begin, _)| *begin >= since);
    Progress {
        longest: end.map_or_else(Vec::new, |end| chain(&links, end)),
        stop: if done.is_empty() { end.map_or(Stop::Missing, |end| stop(events, end)) } else { Stop::Done },
        open: open.map_or_else(Vec::new, |(_, end)| chain(&links, end)),
        loose: !done.is_empty() && done.iter().all(|(_, last, next)| next.is_none() && since <= last.at),
    }
}

/// Every chain, and for each number of steps that with the latest beginning which another step can still follow.
fn links(events: &[Happened], steps: u32) -> (Links, Vec<Option<(i64, usize)>>) {
    let mut links = Links::new();
    let mut ends: Vec<Option<(i64, usize)>> = vec![None; steps as usize];
    for (i, event) in events.iter().enumerate() {
        // An event is one step of a chain at most: what it may follow has happened before it.
        let before = ends.clone();
        for (end, k) in ends.iter_mut().zip(1..) {
            let bit = 1 << (k - 1);
            if event.absent & bit != 0 {
                *end = None;
            }
            if event.steps & bit == 0 {
                continue;
            }
            let link = match k {
                1 => Some(Link { begin: event.at, before: None }),
                _ => before.get(k as usize - 2).and_then(|end| end.map(|(begin, i)| Link { begin, before: Some(i) })),
            };
            if let Some(link) = link {
                links.insert((k, i), link);
                if end.is_none_or(|(begin, _)| begin <= link.begin) {
                    *end = Some((link.begin, i));
                }
            }
        }
    }
    (links, ends)
}

fn chain(links: &Links, end: (u32, usize)) -> Vec<usize> {
    let (mut k, mut at, mut chain) = (end.0, Some(end.1), Vec::new());
    while let Some(i) = at {
        chain.push(i);
        at = links.get(&(k, i)).and_then(|link| link.before);
        k = k.saturating_sub(1);
    }
    chain.reverse();
    chain
}

/// Behind each event the first that must not come behind the last step.
fn next_absent(events: &[Happened], steps: u32) -> Vec<Option<usize>> {
    let (mut next, mut found) = (None, Vec::with_capacity(events.len()));
    for (i, event) in events.iter().enumerate().rev() {
        found.push(next);
        if event.absent & (1 << (steps - 1)) != 0 {
            next = Some(i);
        }
    }
    found.reverse();
    found
}

/// What came behind the last of the longest chains.
fn stop(events: &[Happened], (k, i): (u32, usize)) -> Stop {
    let behind = events.iter().enumerate().skip(i + 1);
    let stops = behind.filter_map(|(at, event)| {
        // Were it in time, the chain would be longer.
        let late = (event.steps & (1 << k) != 0).then_some(Stop::Late(at));
        late.or((event.absent & (1 << (k - 1)) != 0).then_some(Stop::Spoiled(at)))
    });
    stops.into_iter().next().unwrap_or(Stop::Missing)
}

#[cfg(test)]
#[path = "progress_test.rs"]
mod tests;
