//! Messages that are written beside other batches: those that say nothing new of who is who, bring no traits, need nothing to be defined and break no rule. What they write are events, and when
//! somebody was seen. All that batches write in common (figures, times) is written last, by one after the other.

use super::aside::Aside;
use super::{Outcome, Waiting, count, identifiers, put_back, read_one};
use crate::error::CdpError;
use crate::event::keys;
use crate::event::many::{self, Months};
use crate::event::validate::Bounds;
use crate::expr::catalog::Catalog;
use crate::identity::gather::{Place, SettledSights};
use crate::identity::origin;
use crate::identity::rules::Rules;
use crate::ingest::plan::{self, Plan, Trouble, moment};
use crate::ingest::{door, figures, policy};
use crate::pg::subtransaction;
use crate::quality::tally::Tally;
use crate::workspace::{Workspace, job};
use pg_cdp_core::json::canonical;
use pg_cdp_core::message::Message;
use pgrx::datum::TimestampWithTimeZone;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The messages of a row, as far as they can be read.
struct Read {
    messages: Vec<(Message, String)>,
    /// Whether that is all of them, and no message has a part that keeps it from being written beside others.
    simple: bool,
}

impl Read {
    fn of(row: &Waiting) -> Self {
        let mut read = Self { messages: Vec::new(), simple: false };
        let Ok(mut payload) = serde_json::from_str(&row.payload) else { return read };
        if canonical(&mut payload).is_err() {
            return read;
        }
        let Some((values, envelope, _)) = door::messages(&payload) else { return read };
        read.simple = true;
        for (nth, value) in values.into_iter().enumerate() {
            match read_one(value, envelope, row.received.into(), nth) {
                Ok((message, key)) => {
                    read.simple &=
                        message.traits.is_empty() && message.previous.is_none() && message.refused.is_empty();
                    read.messages.push((message, key));
                }
                Err(_) => read.simple = false,
            }
        }
        read
    }
}

/// A message of the batch.
struct Said<'a> {
    /// Its row, by place.
    row: usize,
    message: &'a Message,
    key: &'a str,
    plan: Option<Plan>,
    /// Whether it was taken before.
    known: bool,
    /// The row that has the first message of its key, if that is another message.
    repeats: Option<usize>,
}

impl Said<'_> {
    /// Whether it is the first of its key.
    fn is_new(&self) -> bool {
        !self.known && self.repeats.is_none()
    }
}

/// The messages of one source.
struct Part<'a> {
    source_id: i32,
    trust: i32,
    said: Vec<Said<'a>>,
}

/// What a batch goes by.
struct Known<'a> {
    ws: &'a Workspace,
    aside: &'a Aside,
    catalog: &'a Catalog,
    rules: &'a Rules,
    bounds: Bounds,
    months: Months,
    /// Messages, or rows of a source that is not known, that lack a definition and nothing else.
    undefined: usize,
}

/// Takes rows beside other batches, and puts those aside that have to be taken alone; nothing is written when most of them have to.
pub fn take(ws: &Workspace, job_id: i64, waiting: &[Waiting], aside: &mut Aside) -> Result<Outcome, CdpError> {
    let mut read = Vec::with_capacity(waiting.len());
    for row in waiting {
        pgrx::check_for_interrupts!();
        read.push(Read::of(row));
    }
    let mut undefined = 0;
    match subtransaction::run(|| Ok(write(ws, job_id, waiting, &read, aside, &mut undefined)?)) {
        Ok(beside) => {
            for ((row, read), _) in waiting.iter().zip(&read).zip(beside).filter(|(_, beside)| !beside) {
                aside.add(row, &read.messages);
            }
            Ok(Outcome::Taken)
        }
        Err(_) if undefined * 2 > waiting.len() => Ok(Outcome::Undefined),
        // The same message in another batch, or a value that PostgreSQL refuses: whoever takes the batch alone finds out.
        Err(failure) if failure.may_pass_alone() => Ok(Outcome::Alone),
        Err(failure) => Err(failure.into()),
    }
}

/// Writes the batch, or gives it up; tells which of its rows were written. `undefined` gets the number of messages that only lack definitions, as far as they are known before anything is written.
fn write(
    ws: &Workspace,
    job_id: i64,
    waiting: &[Waiting],
    read: &[Read],
    aside: &Aside,
    undefined: &mut usize,
) -> Result<Vec<bool>, CdpError> {
    ws.lock_jointly()?;
    // Others may have been at work until now.
    let ws = &Workspace::named(&ws.name)?;
    if !SettledSights::possible(ws)? {
        return Err(CdpError::not_beside());
    }
    let (catalog, rules) = (Catalog::load(ws)?, Rules::load(ws)?);
    let mut known = Known {
        ws,
        aside,
        catalog: &catalog,
        rules: &rules,
        bounds: Bounds::load(ws)?,
        months: Months::default(),
        undefined: 0,
    };
    let mut sources: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, waits) in waiting.iter().enumerate() {
        sources.entry(&waits.source).or_default().push(row);
    }
    let mut beside: Vec<bool> = read.iter().map(|read| read.simple).collect();
    let (mut parts, mut sights) = (Vec::with_capacity(sources.len()), Vec::with_capacity(sources.len()));
    for (source, rows) in sources {
        if let Some((part, seen)) = Part::of(&mut known, source, &rows, waiting, read, &mut beside)? {
            parts.push(part);
            sights.push(seen);
        }
    }
    let alone = beside.iter().filter(|beside| !**beside).count();
    // Reading them twice has to be worth it.
    if alone * 2 > waiting.len() {
        *undefined = known.undefined;
        return Err(CdpError::not_beside());
    }
    let mut events = Vec::with_capacity(parts.len());
    for (part, sights) in parts.iter().zip(&sights) {
        events.push(part.events(&catalog, &sights.places())?);
    }
    for (part, events) in parts.iter().zip(&mut events) {
        if !many::land(ws, part.source_id, events)? {
            return Err(CdpError::not_beside());
        }
    }
    let mut tallies = Vec::with_capacity(parts.len());
    for part in &parts {
        tallies.push(part.tally(&known, &beside)?);
    }
    ws.lock_last()?;
    keys::forget(ws)?;
    for (((part, sights), events), tally) in parts.iter().zip(sights).zip(events).zip(tallies) {
        if !keys::leave(ws, part.source_id, part.told(&beside).map(|said| said.key))? {
            return Err(CdpError::not_beside());
        }
        many::count(ws, &events)?;
        sights.write(ws, &rules, part.source_id, part.trust)?;
        tally.write(ws, part.source_id)?;
    }
    let rows = waiting.iter().zip(&beside);
    put_back(ws, rows.filter(|(_, beside)| !**beside).map(|(row, _)| row), true)?;
    job::progress(ws, job_id, count(waiting.len() - alone)?, 0)?;
    Ok(beside)
}

impl<'a> Part<'a> {
    /// The messages of the rows of a source; `beside` is told which of the rows have to be taken alone. `None`: all of them.
    fn of(
        known: &mut Known,
        source: &str,
        rows: &[usize],
        waiting: &[Waiting],
        read: &'a [Read],
        beside: &mut [bool],
    ) -> Result<Option<(Self, SettledSights)>, CdpError> {
        let ws = known.ws;
        let Some((source_id, trust)) = origin::named(ws, source)? else {
            for row in rows {
                if let Some(beside) = beside.get_mut(*row) {
                    known.undefined += usize::from(*beside);
                    *beside = false;
                }
            }
            return Ok(None);
        };
        let policy = policy::of(ws, Some(source_id))?;
        let mut said: Vec<Said<'a>> = Vec::with_capacity(rows.len());
        let mut first: HashMap<&str, usize> = HashMap::with_capacity(rows.len());
        for row in rows {
            let (Some(waits), Some(read), Some(beside)) = (waiting.get(*row), read.get(*row), beside.get_mut(*row))
            else {
                continue;
            };
            for (message, key) in &read.messages {
                let plan = if *beside { known.plan(&policy, message, waits.received.into())? } else { None };
                *beside &= plan.is_some() && !known.aside.has(source, key);
                let repeats = first.insert(key, *row).inspect(|earlier| {
                    first.insert(key, *earlier);
                });
                said.push(Said { row: *row, message, key, plan, known: false, repeats });
            }
        }
        let is_beside = |row: usize, beside: &[bool]| beside.get(row) == Some(&true);
        let asked = said.iter().filter(|said| is_beside(said.row, beside));
        let taken = keys::known(ws, source_id, asked.map(|said| said.key).collect())?;
        for said in &mut said {
            said.known = taken.contains(said.key);
        }
        let new = (0i64..).zip(&said).filter(|(_, said)| said.is_new() && is_beside(said.row, beside));
        let new = new.filter_map(|(rn, said)| Some((rn, said.message, said.plan.as_ref()?.time.at)));
        let (asked, types) = identifiers::rows(ws, known.rules, new)?;
        let mut sights = SettledSights::of(ws, known.rules, &types, &asked, source_id)?;
        let settled: HashSet<i64> = sights.rows().collect();
        // What comes first decides first: a message whose first of its key is taken alone is taken after it.
        for (rn, said) in (0i64..).zip(&said) {
            let alone = match said.repeats {
                _ if said.known => false,
                Some(first) => !is_beside(first, beside),
                None => !settled.contains(&rn),
            };
            if let Some(beside) = beside.get_mut(said.row).filter(|_| alone) {
                *beside = false;
            }
        }
        sights.retain(|rn| {
            let said = usize::try_from(rn).ok().and_then(|rn| said.get(rn));
            said.is_some_and(|said| is_beside(said.row, beside))
        });
        Ok(Some((Self { source_id, trust, said }, sights)))
    }

    /// The messages that are taken now and were not before.
    fn told(&self, beside: &[bool]) -> impl Iterator<Item = &Said<'a>> {
        self.said.iter().filter(|said| said.is_new() && beside.get(said.row) == Some(&true))
    }

    /// The events that they tell, whose facts go to these places.
    fn events<'e>(&'e self, catalog: &'e Catalog, places: &[Place]) -> Result<Vec<many::Event<'e>>, CdpError> {
        let mut events = Vec::with_capacity(places.len());
        for place in places {
            let Some(said) = usize::try_from(place.rn).ok().and_then(|rn| self.said.get(rn)) else { continue };
            let Some((plan, event)) = said.plan.as_ref().and_then(|plan| Some((plan, plan.event.as_ref()?))) else {
                continue;
            };
            let ty = catalog.events.get(&event.name);
            events.push(many::Event {
                ty: ty.ok_or_else(|| CdpError::internal("an event type is gone"))?,
                node_id: place.node_id,
                profile_id: place.profile_id,
                at: moment(plan.time.at)?,
                key: said.key,
                properties: &event.properties,
                received: Some(moment(plan.time.received)?),
                original: plan.time.original.and_then(|at| TimestampWithTimeZone::try_from(at).ok()),
            });
        }
        Ok(events)
    }

    /// What they add to the figures of the source.
    fn tally(&self, known: &Known, beside: &[bool]) -> Result<Tally, CdpError> {
        let taken = self.said.iter().filter(|said| beside.get(said.row) == Some(&true));
        let repeated = taken.filter(|said| !said.is_new() && said.message.event.is_some()).count();
        let told: Vec<(&Message, &Plan)> =
            self.told(beside).filter_map(|said| Some((said.message, said.plan.as_ref()?))).collect();
        let count = |n: usize| i64::try_from(n).map_err(|_| CdpError::limit("too many messages"));
        let mut tally = Tally::of(count(told.len() + repeated)?);
        tally.repeated = count(repeated)?;
        tally.events = count(told.iter().filter(|(_, plan)| plan.event.is_some()).count() + repeated)?;
        tally.newest = told.iter().map(|(_, plan)| plan.time.at).max().map(moment).transpose()?;
        figures::fields(known.ws, self.source_id, known.rules, told.into_iter(), &mut tally)?;
        Ok(tally)
    }
}

impl Known<'_> {
    /// What a message would write; `None` when it has to be taken alone, whoever it is about.
    fn plan(&mut self, policy: &policy::Policy, message: &Message, now: i64) -> Result<Option<Plan>, CdpError> {
        let plan = match plan::facts(self.catalog, self.rules, policy, message, now) {
            Ok(plan) => plan,
            Err(Trouble::Fault(_)) => return Ok(None),
            Err(Trouble::Error(error)) => return Err(error),
        };
        if !plan.traits.is_empty() || !plan.refused.is_empty() {
            return Ok(None);
        }
        if plan.defines() {
            self.undefined += 1;
            return Ok(None);
        }
        if let Some(event) = &plan.event
            && (!self.months.has(self.ws, event.time.at) || self.bounds.bind(&event.name, event.time.at))
        {
            return Ok(None);
        }
        Ok(Some(plan))
    }
}
