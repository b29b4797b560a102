//! What to say about a sequence: how far a profile has come, when, and what would turn it.

use crate::error::CdpError;
use crate::expr::point;
use crate::expr::question::Question;
use crate::pg::spi;
use pg_cdp_core::expr::ast::{Sequence, Step};
use pg_cdp_core::expr::progress::{Happened, Progress, Stop, progress};
use pgrx::datum::TimestampWithTimeZone;
use std::collections::BTreeMap;

/// With more events than this no reason is given.
const MOST_EVENTS: usize = 10_000;

/// An event as the answer shows it.
struct Event {
    name: String,
    at: String,
    /// `at` and the time that the sequence allows.
    until: Option<String>,
    /// What `by` gives.
    same: Option<String>,
    happened: Happened,
    /// [`Happened::since`] of an event that happens now.
    since: i64,
}

/// How many steps of how many, and the reason; nothing when there are too many events.
pub(super) fn of(
    question: &Question,
    sequence: &Sequence,
    profile_id: i64,
) -> Result<Option<(String, String)>, CdpError> {
    let micros = |at: Option<TimestampWithTimeZone>| at.map_or(i64::MIN, i64::from);
    let mask = |bits: i32| u32::try_from(bits).map_err(|_| CdpError::internal("a mask of steps is negative"));
    let events = point::sequence_events(question, sequence, profile_id, MOST_EVENTS + 1, |row| {
        Ok(Event {
            name: spi::must(row, 1)?,
            at: spi::must(row, 3)?,
            until: row.get(5)?,
            same: row.get(6)?,
            happened: Happened {
                at: micros(row.get(2)?),
                since: micros(row.get(4)?),
                steps: mask(spi::must(row, 7)?)?,
                absent: mask(spi::must(row, 8)?)?,
            },
            since: micros(row.get(9)?),
        })
    })?;
    if events.len() > MOST_EVENTS {
        return Ok(None);
    }
    let mut apart: BTreeMap<Option<String>, Vec<Event>> = BTreeMap::new();
    for event in events {
        apart.entry(event.same.clone()).or_default().push(event);
    }
    if apart.is_empty() {
        apart.insert(None, Vec::new());
    }
    let told = Told::new(sequence);
    let mut ways: Vec<Way> = apart.values().map(|events| Way::new(events, told.happen.len())).collect();
    // The farthest first, as far the one that came there last.
    ways.sort_by_key(|way| std::cmp::Reverse((way.progress.stop == Stop::Done, way.progress.longest.len(), way.end())));
    let Some(best) = ways.first() else { return Ok(None) };
    let value = format!("{} of {} steps", best.progress.longest.len(), told.happen.len());
    let change = match best.progress.stop {
        Stop::Done => told.spoiling(&ways),
        _ => told.missing(&ways),
    };
    let parts = [told.happened(best), told.stopped(best), Some(change)];
    Ok(Some((value, parts.into_iter().flatten().collect::<Vec<_>>().join("; "))))
}

/// The events that belong together, and how far they come.
struct Way<'a> {
    events: &'a [Event],
    progress: Progress,
}

impl<'a> Way<'a> {
    fn new(events: &'a [Event], steps: usize) -> Self {
        let happened: Vec<Happened> = events.iter().map(|event| event.happened).collect();
        let since = events.first().map_or(i64::MIN, |event| event.since);
        Self { events, progress: progress(&happened, steps as u32, since) }
    }

    fn get(&self, i: &usize) -> Option<&'a Event> {
        self.events.get(*i)
    }

    /// When the longest chain ended.
    fn end(&self) -> i64 {
        self.progress.longest.last().and_then(|i| self.get(i)).map_or(i64::MIN, |event| event.happened.at)
    }
}

/// The steps in words.
struct Told<'a> {
    sequence: &'a Sequence,
    happen: Vec<&'a Step>,
    /// What must not come behind the last.
    absent: Vec<&'a Step>,
}

fn named(step: &Step) -> String {
    if step.filter.is_some() { format!("{} that its filter keeps", step.event) } else { step.event.clone() }
}

impl<'a> Told<'a> {
    fn new(sequence: &'a Sequence) -> Self {
        let happen = sequence.steps.iter().filter(|step| !step.negated).collect();
        let last = sequence.steps.iter().rposition(|step| !step.negated).map_or(0, |at| at + 1);
        Self { sequence, happen, absent: sequence.steps.iter().skip(last).collect() }
    }

    /// `view at 10:00, add_cart at 11:00`.
    fn happened(&self, way: &Way) -> Option<String> {
        let steps = way.progress.longest.iter().filter_map(|i| way.get(i));
        let steps: Vec<String> = steps.map(|event| format!("{} at {}", event.name, event.at)).collect();
        (!steps.is_empty()).then(|| steps.join(", "))
    }

    /// What came behind, or that nothing did.
    fn stopped(&self, way: &Way) -> Option<String> {
        let longest = &way.progress.longest;
        let next = || self.happen.get(longest.len()).map(|step| named(step)).unwrap_or_default();
        let until = longest.first().and_then(|i| way.get(i)?.until.clone());
        match &way.progress.stop {
            Stop::Done => None,
            Stop::Missing if longest.is_empty() => Some(format!("no {}", next())),
            Stop::Missing => Some(format!("then no {}", next())),
            Stop::Spoiled(i) => {
                way.get(i).map(|event| format!("then {} at {}, which must not come", event.name, event.at))
            }
            Stop::Late(i) => way
                .get(i)
                .map(|event| format!("then {} at {}, later than {}", event.name, event.at, until.unwrap_or_default())),
        }
    }

    /// `with the same sku`.
    fn same(&self) -> String {
        self.sequence.by.as_ref().map_or_else(String::new, |by| format!(" with the same {by}"))
    }

    /// The fewest events that make it true.
    fn missing(&self, ways: &[Way]) -> String {
        let open = ways.iter().max_by_key(|way| way.progress.open.len());
        let chain = open.map_or(&[][..], |way| way.progress.open.as_slice());
        let steps: Vec<String> = self.happen.iter().skip(chain.len()).map(|step| named(step)).collect();
        let begin = chain.first().zip(open).and_then(|(i, way)| way.get(i));
        let by = begin.and_then(|event| event.until.as_ref()).map_or_else(String::new, |until| format!(" by {until}"));
        let same = begin.and_then(|event| event.same.as_ref()).map_or_else(
            || if steps.len() > 1 { self.same() } else { String::new() },
            |value| format!(" with the {} {value}", self.sequence.by.as_deref().unwrap_or_default()),
        );
        format!("{}{same}{by} would turn it", steps.join(", then "))
    }

    /// What would have to come behind every chain.
    fn spoiling(&self, ways: &[Way]) -> String {
        let done = || ways.iter().filter(|way| way.progress.stop == Stop::Done);
        if self.absent.is_empty() || !done().all(|way| way.progress.loose) {
            return "no later event turns it".to_owned();
        }
        let any: Vec<String> = self.absent.iter().map(|step| named(step)).collect();
        let each: Vec<&str> = done().filter_map(|way| way.events.first()?.same.as_deref()).collect();
        let with = match (self.sequence.by.as_deref(), each.as_slice()) {
            (None, _) | (_, []) => String::new(),
            (Some(by), [one]) => format!(" with the {by} {one}"),
            (Some(by), all) => format!(" with each of the {} {by}", all.len()),
        };
        format!("{}{with} would turn it", any.join(" or "))
    }
}
