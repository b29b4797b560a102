//! Batches of a source that are written beside others, out of memory: rows that are events of people who are known, and say nothing new of who is who. A batch with any other row is taken by
//! [`super::sync`] while nobody else writes. What is written is the same.

use super::batch::{self, Plan};
use super::{sync, taken};
use crate::error::CdpError;
use crate::event::dictionary;
use crate::event::keys;
use crate::event::many::{self, Event, Months};
use crate::event::validate::Bounds;
use crate::expr::catalog::Catalog;
use crate::identity::gather::{Place, SettledSights, Shown};
use crate::identity::rules::Rules;
use crate::pg::{spi, subtransaction};
use crate::quality::tally::Tally;
use crate::workspace::{Workspace, job};
use pg_cdp_core::message::time::Month;
use pgrx::datum::TimestampWithTimeZone;
use serde_json::{Map, Value};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};

/// The event of a row.
struct Said {
    /// Its name, by place.
    name: usize,
    at: TimestampWithTimeZone,
    key: String,
    properties: Map<String, Value>,
}

/// The rows of a batch.
#[derive(Default)]
struct Batch {
    shown: Shown,
    /// The event of each row, if it is one.
    said: Vec<Option<Said>>,
    /// The names of the events.
    names: Vec<String>,
    /// The latest time that a row speaks of, in microseconds since 2000.
    newest: Option<i64>,
}

/// How the batches of a run have fared. One that has to be taken alone was read in vain, and so probably would be the next: after each so many more are not tried.
#[derive(Debug, Clone, Copy, Default)]
struct Fared {
    job_id: i64,
    /// Batches that are not tried any more before the next one is.
    rest: u32,
    /// How many that were last.
    pause: u32,
}

/// The most batches that are not tried.
const LONGEST_PAUSE: u32 = 15;

thread_local! {
    static FARED: Cell<Fared> = const { Cell::new(Fared { job_id: 0, rest: 0, pause: 0 }) };
}

impl Fared {
    /// Of a run.
    fn of(job_id: i64) -> Self {
        let fared = FARED.get();
        if fared.job_id == job_id { fared } else { Self { job_id, ..Self::default() } }
    }

    /// Whether the next batch is to be tried.
    fn tries(self) -> bool {
        FARED.set(Self { rest: self.rest.saturating_sub(1), ..self });
        self.rest == 0
    }

    /// Takes note of what came of one.
    fn note(self, taken: bool) {
        let pause = if taken { 0 } else { (self.pause * 2 + 1).min(LONGEST_PAUSE) };
        FARED.set(Self { rest: pause, pause, ..self });
    }
}

/// Takes the rows of the spool with `after < rn <= upto` beside other batches; `false`, and nothing is done: they have to be taken alone.
pub fn take(ws: &Workspace, job_id: i64, plan: &Plan, after: i64, upto: i64) -> Result<bool, CdpError> {
    if !plan.events_only() || !SettledSights::possible(ws)? {
        return Ok(false);
    }
    let fared = Fared::of(job_id);
    if !fared.tries() {
        return Ok(false);
    }
    let taken = match subtransaction::run(|| Ok(write(ws, job_id, plan.source.source_id, after, upto)?)) {
        Ok(()) => true,
        // An expression that fails, a key that another batch has: whoever takes the batch alone finds out.
        Err(failure) if failure.may_pass_alone() => false,
        Err(failure) => return Err(failure.into()),
    };
    fared.note(taken);
    Ok(taken)
}

/// Writes the batch, or gives it up.
fn write(ws: &Workspace, job_id: i64, source_id: i32, after: i64, upto: i64) -> Result<(), CdpError> {
    ws.lock_jointly()?;
    // Others may have been at work until now.
    let ws = &Workspace::named(&ws.name)?;
    let plan = &sync::plan(ws, source_id)?;
    if !plan.events_only() || !SettledSights::possible(ws)? {
        return Err(CdpError::not_beside());
    }
    let first = sync::first_run(job_id, plan);
    let rules = Rules::load(ws)?;
    let batch = Batch::read(ws, plan, after, upto)?;
    batch.check(ws, plan, first)?;
    let types: Vec<i32> = plan.identifiers.iter().map(|identifier| identifier.type_id).collect();
    let sights = SettledSights::of(ws, &rules, &types, &batch.shown, source_id)?;
    if sights.rows().count() != batch.shown.len() {
        return Err(CdpError::not_beside());
    }
    let catalog = Catalog::load(ws)?;
    let mut events = batch.events(&catalog, &sights.places())?;
    if !many::land(ws, source_id, &mut events)? {
        return Err(CdpError::not_beside());
    }
    let count = i64::try_from(batch.shown.len()).map_err(|_| CdpError::limit("too many rows"))?;
    let tally = batch.tally(plan, count)?;
    taken::remember(ws, plan, Some(job_id), after, upto)?;
    job::progress(ws, job_id, count, 0)?;
    ws.lock_last()?;
    keys::forget(ws)?;
    if !keys::leave(ws, source_id, events.iter().map(|event| event.key))? {
        return Err(CdpError::not_beside());
    }
    many::count(ws, &events)?;
    sights.write(ws, &rules, source_id, plan.source.trust)?;
    tally.write(ws, source_id)
}

impl Batch {
    /// The rows of the spool with `after < rn <= upto`; gives them up when the event of one cannot be used.
    fn read(ws: &Workspace, plan: &Plan, after: i64, upto: i64) -> Result<Self, CdpError> {
        let mut batch = Self::default();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut months = Months::default();
        let width = plan.identifiers.len();
        let Some(event) = &plan.source.mapping.event else { return Err(CdpError::not_beside()) };
        spi::rows(&batch::read_sql(plan, event), &[after.into(), upto.into()], |row| {
            let (seen, at) = (row.get::<TimestampWithTimeZone>(2)?, row.get::<TimestampWithTimeZone>(4)?);
            let mut said = None;
            if let Some(name) = row.get::<&str>(3)? {
                let (Some(at), Some(key)) = (at, row.get::<String>(5)?) else { return Err(CdpError::not_beside()) };
                // Only those of a month, of which the partition is there: all others have something to be told or to be made.
                if Month::of(at.into()).is_none() || !months.has(ws, at.into()) {
                    return Err(CdpError::not_beside());
                }
                let mut properties = Map::new();
                for (ordinal, property) in (width + 6..).zip(&plan.properties) {
                    let Some(text) = row.get::<&str>(ordinal)? else { continue };
                    let value = if property.ty == batch::PLAIN_TEXT {
                        Value::String(text.to_owned())
                    } else {
                        serde_json::from_str(text).map_err(|_| CdpError::not_beside())?
                    };
                    properties.insert(property.name.clone(), value);
                }
                let name = match places.get(name) {
                    Some(place) => *place,
                    None => {
                        batch.names.push(name.to_owned());
                        places.insert(name.to_owned(), places.len());
                        places.len() - 1
                    }
                };
                said = Some(Said { name, at, key, properties });
            }
            for (column, ordinal) in (6..width + 6).enumerate() {
                if let Some(value) = row.get::<&str>(ordinal)? {
                    batch.shown.value(column, value)?;
                }
            }
            batch.said.push(said);
            // A row without an event may have its time all the same.
            batch.newest = batch.newest.max(at.or(seen).map(i64::from).filter(|at| !is_infinite(*at)));
            batch.shown.end_row(spi::must(row, 1)?, seen.or(at), None);
            Ok(())
        })?;
        Ok(batch)
    }

    /// Gives the batch up when an event needs something to be defined, may break a rule, or may be there already; `first` tells that none can be.
    fn check(&self, ws: &Workspace, plan: &Plan, first: bool) -> Result<(), CdpError> {
        for name in &self.names {
            if !dictionary::is_known(ws, name, &plan.properties)? {
                return Err(CdpError::not_beside());
            }
        }
        let bounds = Bounds::load(ws)?;
        let said = || self.said.iter().flatten();
        let name = |said: &Said| self.names.get(said.name).map_or("", String::as_str);
        if said().any(|said| bounds.bind(name(said), said.at.into())) {
            return Err(CdpError::not_beside());
        }
        if first {
            return Ok(());
        }
        let mut met: HashSet<&str> = HashSet::with_capacity(self.said.len());
        let each_once = said().all(|said| met.insert(&said.key));
        if !each_once || !keys::known(ws, plan.source.source_id, met.into_iter().collect())?.is_empty() {
            return Err(CdpError::not_beside());
        }
        Ok(())
    }

    /// The events, whose facts go to these places, one a row.
    fn events<'a>(&'a self, catalog: &'a Catalog, places: &[Place]) -> Result<Vec<Event<'a>>, CdpError> {
        let mut types = Vec::with_capacity(self.names.len());
        for name in &self.names {
            let ty = catalog.events.get(name);
            types.push(ty.ok_or_else(|| CdpError::internal("an event type is gone"))?);
        }
        let mut events = Vec::with_capacity(self.said.len());
        for (((row, _), said), place) in self.shown.rows().zip(&self.said).zip(places) {
            let Some(said) = said else { continue };
            let ty = types.get(said.name).filter(|_| place.rn == row.rn);
            events.push(Event {
                ty: ty.ok_or_else(|| CdpError::internal("a row has lost its place"))?,
                node_id: place.node_id,
                profile_id: place.profile_id,
                at: said.at,
                key: &said.key,
                properties: &said.properties,
                received: None,
                original: None,
            });
        }
        Ok(events)
    }

    /// What the batch adds to the figures of the source.
    fn tally(&self, plan: &Plan, count: i64) -> Result<Tally, CdpError> {
        let number = |n: usize| i64::try_from(n).map_err(|_| CdpError::limit("too many rows"));
        let mut tally = Tally::of(count);
        batch::tally_identifiers(plan, &self.shown, &mut tally)?;
        for (place, name) in self.names.iter().enumerate() {
            let of = || self.said.iter().flatten().filter(|said| said.name == place);
            let rows = number(of().count())?;
            for property in &plan.properties {
                let present = of().filter(|said| said.properties.contains_key(&property.name)).count();
                tally.field("property", name, &property.name, rows, number(present)?);
            }
        }
        tally.events = number(self.said.iter().flatten().count())?;
        tally.newest = self.newest.and_then(|at| TimestampWithTimeZone::try_from(at).ok());
        Ok(tally)
    }
}

/// Whether a time, in microseconds since 2000, is none.
fn is_infinite(at: i64) -> bool {
    at == i64::MIN || at == i64::MAX
}
