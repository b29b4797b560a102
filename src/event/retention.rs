//! Retention: how long the events of a type are kept whole, and what is left of them after.
//!
//! Whole days go, in the time zone of the workspace. What day columns count of an event stays, when its type says so, in `event_day`: a fact like the event was, so that
//! a column that is built anew, a merge and a question about one profile find it there. The changes are written to the day columns as those of
//! a replaced event are, even where they come to nothing: what sessions keep of the events of a day is known by the rows of its key.

use super::{alter, land, seen};
use crate::error::{CdpError, given};
use crate::pg::{spi, temp};
use crate::store::column::{day_sql, day_start_sql};
use crate::workspace::{self, Workspace};
use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Nobody keeps events longer but for ever.
const LONGEST: &str = "1000 years";

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_event_retention(
    event: Option<&str>,
    keep: Option<Interval>,
    keep_days: default!(Option<bool>, true),
) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        let (event, keep_days) = (given(event, "event")?, given(keep_days, "keep_days")?);
        let fits = spi::one::<bool>(
            "SELECT coalesce($1 BETWEEN '0'::pg_catalog.interval AND $2::pg_catalog.text::pg_catalog.interval, true)",
            &[keep.into(), LONGEST.into()],
        )?;
        if fits != Some(true) {
            return Err(CdpError::invalid_parameter(format!("a retention is 0 to {LONGEST}"))
                .with_hint("Give an interval such as '13 months', or NULL to keep events for ever."));
        }
        ws.lock()?;
        let id = alter::event_type(ws, event)?;
        spi::run(
            &ws.sql("UPDATE @ws@.event_type SET retention = $2, keep_days = $3 WHERE event_type_id = $1"),
            &[id.into(), keep.into(), keep_days.into()],
        )?;
        Ok(())
    })?)
}

/// Partition, event type, what was done, events, time of the first and the last.
type Done = (String, String, String, i64, TimestampWithTimeZone, TimestampWithTimeZone);

#[expect(clippy::type_complexity, reason = "the columns of the function")]
#[pg_extern(volatile, parallel_unsafe)]
fn cdp_retain(
    as_of: default!(Option<TimestampWithTimeZone>, "pg_catalog.now()"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(partition, String),
            name!(event, String),
            name!(action, String),
            name!(events, i64),
            name!(first_at, TimestampWithTimeZone),
            name!(last_at, TimestampWithTimeZone),
        ),
    >,
    ErrorReport,
> {
    Ok(workspace::enter_bulk(|ws| {
        let as_of = given(as_of, "as_of")?;
        if spi::one::<bool>("SELECT $1 > now()", &[as_of.into()])? == Some(true) {
            return Err(CdpError::invalid_parameter("argument \"as_of\" is in the future")
                .with_hint("What is past its retention by then is kept until then."));
        }
        ws.lock()?;
        retain(ws, as_of).map(TableIterator::new)
    })?)
}

fn retain(ws: &Workspace, as_of: TimestampWithTimeZone) -> Result<Vec<Done>, CdpError> {
    let started = spi::one::<TimestampWithTimeZone>("SELECT clock_timestamp()", &[])?;
    temp::table(
        "cdp_past_type",
        "event_type_id pg_catalog.int4, before pg_catalog.timestamptz, keep_days pg_catalog.bool, kept pg_catalog.text[]",
    )?;
    let due = spi::run(
        &ws.sql(&format!(
            "INSERT INTO pg_temp.cdp_past_type (event_type_id, before, keep_days, kept) \
             SELECT x.event_type_id, x.before, x.keep_days, ARRAY(SELECT p.name FROM @ws@.property p WHERE p.event_type_id = x.event_type_id AND (p.tracked OR p.measure)) \
             FROM (SELECT t.event_type_id, t.keep_days, t.kept_from, {} AS before FROM @ws@.event_type t WHERE t.retention IS NOT NULL) x \
             WHERE x.kept_from IS NULL OR x.before > x.kept_from",
            day_start_sql(&day_sql("$1 - t.retention"))
        )),
        &[as_of.into()],
    )?;
    let mut done = Vec::new();
    if due > 0 {
        spi::run(
            &ws.sql("UPDATE @ws@.event_type t SET kept_from = x.before FROM pg_temp.cdp_past_type x WHERE x.event_type_id = t.event_type_id"),
            &[],
        )?;
        spi::run("ANALYZE pg_temp.cdp_past_type", &[])?;
        land::prepare()?;
        reduce(ws)?;
        done = remove(ws)?;
        land::write(ws)?;
        seen::record(ws, true)?;
    }
    let events: i64 = done.iter().map(|(_, _, _, events, ..)| events).sum();
    spi::run(
        &ws.sql(
            "INSERT INTO @ws@.job (kind, state, rows_done, rows_total, message, started_at, finished_at) \
             VALUES ('retain', 'done', $1, $1, format('%s partitions dropped, %s events no longer kept whole', $2::pg_catalog.int8, $1), $3, clock_timestamp())",
        ),
        &[events.into(), dropped(&done)?.into(), started.into()],
    )?;
    Ok(done)
}

/// How many partitions were dropped.
fn dropped(done: &[Done]) -> Result<i64, CdpError> {
    let mut names: Vec<&str> = done
        .iter()
        .filter(|(_, _, action, ..)| action.starts_with("partition"))
        .map(|(name, ..)| name.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    i64::try_from(names.len()).map_err(|_| CdpError::limit("too many partitions"))
}

/// Enters what is left of the events that go, and the changes for their days.
fn reduce(ws: &Workspace) -> Result<(), CdpError> {
    let day = day_sql("e.at");
    spi::run(
        &ws.sql(&format!(
            "INSERT INTO pg_temp.cdp_event_change (profile_id, n, event_type_id, day, properties) \
             SELECT n.profile_id, -1, e.event_type_id, {day}, e.properties \
             FROM @ws@.event e JOIN pg_temp.cdp_past_type x ON x.event_type_id = e.event_type_id AND e.at < x.before JOIN @ws@.node n USING (node_id) WHERE n.profile_id IS NOT NULL"
        )),
        &[],
    )?;
    spi::run(
        &ws.sql(&format!(
            "WITH left_over AS (INSERT INTO @ws@.event_day (event_id, event_type_id, source_id, node_id, at, properties) \
               SELECT e.event_id, e.event_type_id, e.source_id, e.node_id, {start}, \
                      coalesce((SELECT jsonb_object_agg(k.key, k.value) FROM jsonb_each(e.properties) k WHERE k.key = ANY (x.kept)), '{{}}') \
               FROM @ws@.event e JOIN pg_temp.cdp_past_type x ON x.event_type_id = e.event_type_id AND e.at < x.before WHERE x.keep_days \
               RETURNING event_type_id, node_id, at, properties) \
             INSERT INTO pg_temp.cdp_event_change (profile_id, n, event_type_id, day, properties) \
             SELECT n.profile_id, 1, e.event_type_id, {day}, e.properties FROM left_over e JOIN @ws@.node n USING (node_id) WHERE n.profile_id IS NOT NULL",
            start = day_start_sql(&day)
        )),
        &[],
    )?;
    Ok(())
}

/// Drops the partitions of which every event goes, and deletes the events that go from the others.
fn remove(ws: &Workspace) -> Result<Vec<Done>, CdpError> {
    let mut done = Vec::new();
    let partitions = spi::rows(
        &ws.sql(
            "SELECT DISTINCT c.relname::pg_catalog.text, quote_ident(c.relname) FROM @ws@.event e \
             JOIN pg_temp.cdp_past_type x ON x.event_type_id = e.event_type_id AND e.at < x.before JOIN pg_catalog.pg_class c ON c.oid = e.tableoid ORDER BY 1",
        ),
        &[],
        |row| Ok((spi::must::<String>(row, 1)?, spi::must::<String>(row, 2)?)),
    )?;
    for (name, quoted) in partitions {
        let month = name.starts_with("event_y");
        let stays = spi::one::<bool>(
            &ws.sql(&format!(
                "SELECT true FROM @ws@.{quoted} e WHERE NOT EXISTS (SELECT FROM pg_temp.cdp_past_type x WHERE x.event_type_id = e.event_type_id AND e.at < x.before) LIMIT 1"
            )),
            &[],
        )?;
        let whole = month && stays.is_none();
        let action = if whole { "partition dropped" } else { "events deleted" };
        done.extend(spi::rows(
            &ws.sql(&format!(
                "SELECT t.name, CASE WHEN x.keep_days THEN ', days kept' ELSE '' END, count(*), min(e.at), max(e.at) FROM @ws@.{quoted} e \
                 JOIN pg_temp.cdp_past_type x ON x.event_type_id = e.event_type_id AND e.at < x.before JOIN @ws@.event_type t ON t.event_type_id = e.event_type_id \
                 GROUP BY 1, 2 ORDER BY 1"
            )),
            &[],
            |row| {
                let days = spi::must::<String>(row, 2)?;
                Ok((
                    name.clone(),
                    spi::must::<String>(row, 1)?,
                    format!("{action}{days}"),
                    spi::must::<i64>(row, 3)?,
                    spi::must::<TimestampWithTimeZone>(row, 4)?,
                    spi::must::<TimestampWithTimeZone>(row, 5)?,
                ))
            },
        )?);
        let sql = if whole {
            format!("DROP TABLE @ws@.{quoted}")
        } else {
            format!(
                "DELETE FROM @ws@.{quoted} e USING pg_temp.cdp_past_type x WHERE x.event_type_id = e.event_type_id AND e.at < x.before"
            )
        };
        spi::run(&ws.sql(&sql), &[])?;
    }
    Ok(done)
}
