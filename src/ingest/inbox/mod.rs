//! The inbox: messages that wait are taken in batches, each a transaction. Runs beside each other share the rows: each takes rows that no other has in hand.
//!
//! Most messages say nothing new of who is who. Batches of those are written beside each other ([`beside`]); what else a batch holds is put aside ([`aside`]): left in the inbox, marked, and taken
//! later, as the workspace's only writer ([`batch`]).

mod aside;
mod batch;
mod beside;
mod identifiers;

use super::door::key_of;
use crate::error::{CdpError, quoted};
use crate::identity::gather::SettledSights;
use crate::identity::origin;
use crate::pg::halving::halving;
use crate::pg::{settings, spi};
use crate::workspace::{Workspace, job};
use aside::Aside;
use batch::Batch;
use pg_cdp_core::message::{Envelope, Fault, Message, read};
use pgrx::datum::TimestampWithTimeZone;
use serde_json::Value;
use std::collections::BTreeMap;

/// Enters a run.
pub fn begin(ws: &Workspace) -> Result<i64, CdpError> {
    // Rows of runs that are gone are in the inbox as before: only the entry has to be closed.
    spi::run(
        &ws.sql(
            "UPDATE @ws@.job j SET state = 'failed', message = 'interrupted', finished_at = j.updated_at FROM @ws@.jobs v \
             WHERE v.job_id = j.job_id AND j.kind = 'inbox' AND v.state = 'interrupted'",
        ),
        &[],
    )?;
    job::begin(ws, "inbox", None)
}

/// Ends a run: done, or failed with a message. Returns whether what it left pending is to be folded now: another run does it at its end.
pub fn end(ws: &Workspace, job_id: i64, failure: Option<&str>) -> Result<bool, CdpError> {
    Aside::forget();
    // Of runs that end at the same time one is the last.
    ws.lock_last()?;
    job::end(ws, job_id, failure)?;
    let others = spi::one::<bool>(
        &ws.sql("SELECT EXISTS (SELECT FROM @ws@.job j JOIN @ws@.jobs v USING (job_id) WHERE j.kind = 'inbox' AND v.state = 'running')"),
        &[],
    )?;
    Ok(failure.is_none() && others == Some(false))
}

/// A row of the inbox.
struct Waiting {
    inbox_id: i64,
    payload: String,
    source: String,
    received: TimestampWithTimeZone,
}

/// The most rows of a batch.
const MOST_ROWS: i32 = 1_000_000;

/// Takes rows of the inbox; returns how many it has looked at. `beside` tells that the transaction is theirs alone, so that they may be written beside other batches.
pub fn take(ws: &Workspace, job_id: i64, rows: i32, beside: bool) -> Result<i64, CdpError> {
    if !(1..=MOST_ROWS).contains(&rows) {
        return Err(CdpError::invalid_parameter(format!("a batch of {rows} rows is not possible"))
            .with_hint(format!("Give 1 to {MOST_ROWS}; 10000 is a good size.")));
    }
    if !beside || !SettledSights::possible(ws)? {
        let waiting = claim(ws, "", rows)?;
        return alone(ws, job_id, waiting);
    }
    Aside::of(job_id, |aside| {
        // Those that came first are settled first.
        let waiting = if aside.is_due(rows) { claim_aside(ws, aside, rows)? } else { Vec::new() };
        if !waiting.is_empty() {
            return alone(ws, job_id, waiting);
        }
        let mut waiting = claim(ws, "WHERE NOT i.alone", rows)?;
        if waiting.is_empty() {
            let waiting = claim_aside(ws, aside, rows)?;
            return alone(ws, job_id, waiting);
        }
        let outcome = beside::take(ws, job_id, &waiting, aside)?;
        if let Outcome::Taken = outcome {
            return count(waiting.len());
        }
        if aside.any() {
            let earlier = claim_aside(ws, aside, rows)?;
            if !earlier.is_empty() {
                put_back(ws, waiting.iter(), false)?;
                return alone(ws, job_id, earlier);
            }
        }
        if let Outcome::Undefined = outcome {
            // What the first of them bring to be known need not be found out by all.
            let others = waiting.split_off(waiting.len().min(FEW));
            put_back(ws, others.iter(), false)?;
        }
        alone(ws, job_id, waiting)
    })
}

/// So many rows are taken alone of a batch most of which only lacks definitions.
const FEW: usize = 1000;

/// What can be done with a batch.
enum Outcome {
    /// It was taken beside others, but for rows that were put aside.
    Taken,
    /// It has to be taken while nobody else writes.
    Alone,
    /// So it has, because most of it tells what is not defined yet, such as a new type of event.
    Undefined,
}

fn count(n: usize) -> Result<i64, CdpError> {
    i64::try_from(n).map_err(|_| CdpError::limit("too many rows"))
}

/// Takes rows that no other run has in hand out of the inbox.
fn claim(ws: &Workspace, which: &str, rows: i32) -> Result<Vec<Waiting>, CdpError> {
    // An inbox that was empty a moment ago is thought to be small: its rows are found by the index, and deleted where they lie, whatever statistics say.
    let mut waiting = settings::scoped(&[("enable_seqscan", "off"), ("enable_sort", "off")], || {
        spi::rows(
            &ws.sql(&format!(
                "DELETE FROM @ws@.inbox i WHERE i.ctid = ANY (ARRAY(SELECT i.ctid FROM @ws@.inbox i {which} ORDER BY i.inbox_id LIMIT $1 FOR UPDATE SKIP LOCKED)) \
                 RETURNING i.inbox_id, i.payload, i.source, i.received_at"
            )),
            &[rows.into()],
            |row| {
                Ok(Waiting {
                    inbox_id: spi::must(row, 1)?,
                    payload: spi::must(row, 2)?,
                    source: spi::must(row, 3)?,
                    received: spi::must(row, 4)?,
                })
            },
        )
    })?;
    // They lie nearly in their order.
    waiting.sort_by_key(|row| row.inbox_id);
    Ok(waiting)
}

/// Takes rows that were put aside, and that no other run has in hand, out of the inbox.
fn claim_aside(ws: &Workspace, aside: &mut Aside, rows: i32) -> Result<Vec<Waiting>, CdpError> {
    let waiting = claim(ws, "WHERE i.alone", rows)?;
    aside.taken(&waiting, rows)?;
    Ok(waiting)
}

/// Puts rows back; `alone` marks those that have to be taken while nobody else writes.
fn put_back<'a>(ws: &Workspace, rows: impl Iterator<Item = &'a Waiting>, alone: bool) -> Result<(), CdpError> {
    let (mut ids, mut payloads, mut sources, mut received) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        ids.push(row.inbox_id);
        payloads.push(row.payload.as_str());
        sources.push(row.source.as_str());
        received.push(row.received);
    }
    if ids.is_empty() {
        return Ok(());
    }
    spi::run(
        &ws.sql(
            "INSERT INTO @ws@.inbox (inbox_id, payload, source, received_at, alone) OVERRIDING SYSTEM VALUE \
             SELECT x.id, x.payload, x.source, x.received, $5 FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.text[], $3::pg_catalog.text[], $4::pg_catalog.timestamptz[]) AS x(id, payload, source, received)",
        ),
        &[ids.into(), payloads.into(), sources.into(), received.into(), alone.into()],
    )?;
    Ok(())
}

/// Takes rows as the workspace's only writer; returns how many.
fn alone(ws: &Workspace, job_id: i64, waiting: Vec<Waiting>) -> Result<i64, CdpError> {
    let count = count(waiting.len())?;
    if count == 0 {
        return Ok(0);
    }
    let mut sources: BTreeMap<String, Vec<Waiting>> = BTreeMap::new();
    for row in waiting {
        sources.entry(row.source.clone()).or_default().push(row);
    }
    let mut rejected = 0;
    for (source, rows) in sources {
        rejected += of_source(ws, &source, &rows)?;
    }
    job::progress(ws, job_id, count, rejected)?;
    Ok(count)
}

/// The source that rows count for whose own has no usable name.
const UNNAMED: &str = "inbox";

/// Takes rows of one source; returns how many messages were rejected. A row with a value that PostgreSQL refuses wherever it gets is rejected alone: it must not keep the others, nor those
/// that come after, in the inbox for ever.
fn of_source(ws: &Workspace, source: &str, rows: &[Waiting]) -> Result<i64, CdpError> {
    if !origin::is_name(source) {
        let reason = format!("{} cannot be the name of a source", quoted(source));
        return Batch::of_refused(UNNAMED, rows, &reason).write(ws);
    }
    let part = |after: i64, upto: i64| match (usize::try_from(after), usize::try_from(upto)) {
        (Ok(after), Ok(upto)) => rows.get(after..upto).unwrap_or_default(),
        _ => &[],
    };
    let mut faults = Vec::new();
    let mut rejected = 0;
    let take = |after: i64, upto: i64| {
        rejected += Batch::read(ws, source, part(after, upto))?.write(ws)?;
        Ok(())
    };
    halving(0, count(rows.len())?, take, |row, failure| {
        faults.push((row, failure.message));
        Ok(())
    })?;
    for (row, reason) in faults {
        rejected += Batch::of_refused(source, part(row - 1, row), &reason).write(ws)?;
    }
    Ok(rejected)
}

/// Reads a message; gives it with its key.
fn read_one(value: &Value, envelope: Envelope, now: i64, nth: usize) -> Result<(Message, String), Fault> {
    let message = read(value, envelope)?;
    let key = key_of(&message, value, now, nth);
    Ok((message, key))
}
