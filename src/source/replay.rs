//! `cdp_reject_replay`: rows that were rejected, corrected or under other rules, taken again by the way they came.

use super::batch::Plan;
use super::spool::{self, Source};
use super::{describe, sync};
use crate::error::CdpError;
use crate::identity::origin;
use crate::pg::halving::halving;
use crate::pg::json::JsonText;
use crate::pg::{spi, subtransaction, temp};
use crate::workspace::{self, Workspace, job};
use crate::{event, ingest, store};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::Value;

/// Rows taken at a time.
const BATCH_ROWS: i64 = 50_000;

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_reject_replay(
    source: default!(Option<&str>, "NULL"),
    reject_id: default!(Option<i64>, "NULL"),
    payload: default!(Option<JsonText>, "NULL"),
) -> Result<TableIterator<'static, (name!(replayed, i64), name!(rejected, i64))>, ErrorReport> {
    Ok(workspace::enter_bulk(|ws| {
        let payload = payload.map(|payload| payload.parse()).transpose()?;
        if payload.is_some() && reject_id.is_none() {
            return Err(CdpError::invalid_parameter("a payload is given, and no reject_id")
                .with_hint("Say which reject it corrects: the view rejects has their numbers."));
        }
        ws.lock()?;
        if let Some(name) = source
            && origin::named(ws, name)?.is_none()
        {
            return Err(super::api::undefined(ws, name)?);
        }
        let (mut replayed, mut rejected) = (0, 0);
        for (source_id, name, of_table) in chosen(ws, source, reject_id)? {
            let (taken, again) = if of_table {
                rows(ws, source_id, reject_id, payload.as_ref())?
            } else {
                messages(ws, source_id, &name, reject_id, payload.as_ref())?
            };
            replayed += taken;
            rejected += again;
        }
        store::flush::flush(ws)?;
        Ok(TableIterator::once((replayed, rejected)))
    })?)
}

/// Replays rejected messages: each is taken whole, whichever part of it was rejected. Returns how many were taken whole, and how many were rejected again, or a part of them.
fn messages(
    ws: &Workspace,
    source_id: i32,
    source: &str,
    reject_id: Option<i64>,
    payload: Option<&Value>,
) -> Result<(i64, i64), CdpError> {
    if let Some(reject_id) = reject_id {
        let kind = spi::one::<String>(
            &ws.sql("SELECT r.kind FROM @ws@.reject r WHERE r.reject_id = $1"),
            &[reject_id.into()],
        )?;
        if kind.as_deref() == Some("value") && payload.is_none() {
            return Err(CdpError::wrong_state(format!("reject {reject_id} holds a single value and not its message"))
                .with_hint("Give the whole corrected message as payload."));
        }
        if payload.is_some_and(|payload| !payload.is_object()) {
            return Err(CdpError::invalid_parameter("the payload must be a message")
                .with_hint("What it leaves out stays as it was."));
        }
    }
    let payload = payload.map(Value::to_string);
    let found = spi::rows(
        &ws.sql(
            "SELECT DISTINCT ON (coalesce(r.key, r.reject_id::pg_catalog.text)) r.reject_id, r.key, \
                (CASE WHEN $3 IS NULL THEN r.payload WHEN r.kind = 'message' AND jsonb_typeof(r.payload) = 'object' THEN r.payload || $3::pg_catalog.jsonb ELSE $3::pg_catalog.jsonb END)::pg_catalog.text \
             FROM @ws@.reject r WHERE r.source_id = $1 AND ($2 IS NULL OR r.reject_id = $2) AND (r.kind = 'message' OR $3 IS NOT NULL) \
             ORDER BY coalesce(r.key, r.reject_id::pg_catalog.text), r.reject_id",
        ),
        &[source_id.into(), reject_id.into(), payload.into()],
        |row| Ok((spi::must::<i64>(row, 1)?, row.get::<String>(2)?, spi::must::<String>(row, 3)?)),
    )?;
    let (mut replayed, mut rejected) = (0, 0);
    for (reject_id, key, payload) in found {
        pgrx::check_for_interrupts!();
        let message: Value = JsonText::new(payload).parse()?;
        let again = message_again(ws, source_id, source, key.as_deref(), &message)?;
        spi::run(
            &ws.sql("DELETE FROM @ws@.reject r WHERE r.source_id = $1 AND r.kind <> 'row' AND (r.reject_id = $2 OR r.key = $3) AND r.reason <> ALL ($4)"),
            &[source_id.into(), reject_id.into(), key.as_deref().into(), again.clone().into()],
        )?;
        if again.is_empty() {
            replayed += 1;
        } else {
            rejected += 1;
            ingest::tell(ws, source, key.as_deref(), &message, &again)?;
        }
    }
    Ok((replayed, rejected))
}

/// Takes a message again; gives why it, or a part of it, is rejected. What it said before is taken back first, as the first message of a key counts; when nothing takes its place,
/// it stays.
fn message_again(
    ws: &Workspace,
    source_id: i32,
    source: &str,
    key: Option<&str>,
    message: &Value,
) -> Result<Vec<String>, CdpError> {
    let mut again = Vec::new();
    let attempt = subtransaction::run(|| {
        let before = match key {
            Some(key) => event::land::withdraw(ws, source_id, key)?,
            None => false,
        };
        again = ingest::replay(ws, source, message)?;
        let there = ws.sql("SELECT EXISTS (SELECT FROM @ws@.event e WHERE e.source_id = $1 AND e.key = $2)");
        if before && spi::one::<bool>(&there, &[source_id.into(), key.into()])? != Some(true) {
            return Err(CdpError::wrong_state(LOST).into());
        }
        Ok(())
    });
    match attempt {
        Err(failure) if failure.message != LOST => Err(failure.into()),
        _ => Ok(again),
    }
}

/// The replay left nothing in the place of the event.
const LOST: &str = "the message is an event no more";

/// The sources of the rejects asked for with their names, and whether their rows come from a relation.
fn chosen(ws: &Workspace, source: Option<&str>, reject_id: Option<i64>) -> Result<Vec<(i32, String, bool)>, CdpError> {
    let found = spi::rows(
        &ws.sql(
            "SELECT s.source_id, s.name, s.relation <> '' FROM @ws@.source s WHERE EXISTS (SELECT FROM @ws@.reject r WHERE r.source_id = s.source_id AND ($2 IS NULL OR r.reject_id = $2)) \
             AND ($1 IS NULL OR s.name = $1) ORDER BY 1",
        ),
        &[source.into(), reject_id.into()],
        |row| Ok((spi::must::<i32>(row, 1)?, spi::must::<String>(row, 2)?, spi::must::<bool>(row, 3)?)),
    )?;
    match reject_id {
        Some(reject_id) if found.is_empty() => Err(CdpError::undefined_object("reject", &reject_id.to_string())
            .with_hint("The view rejects of the workspace lists them; one that was replayed is gone.")),
        _ => Ok(found),
    }
}

/// Replays rejected rows of a relation. Returns how many were taken, and how many were rejected again.
fn rows(
    ws: &Workspace,
    source_id: i32,
    reject_id: Option<i64>,
    payload: Option<&Value>,
) -> Result<(i64, i64), CdpError> {
    let source = spool::source(ws, source_id)?;
    if let Some(reject_id) = reject_id {
        one(ws, &source, reject_id, payload)?;
    }
    let payload = payload.map(Value::to_string);
    let broken = fill(ws, &source, reject_id, payload.as_deref())?;
    let newest = spi::one::<i64>(&ws.sql("SELECT max(r.reject_id) FROM @ws@.reject r"), &[])?.unwrap_or(0);
    let plan = sync::plan(ws, source_id)?;
    let job_id = job::begin(ws, "replay", Some(source_id))?;
    let total = spi::one::<i64>("SELECT max(s.rn) FROM pg_temp.cdp_spool s", &[])?.unwrap_or(0);
    let (mut replayed, mut rejected, mut after) = (0, broken, 0);
    while after < total {
        let upto = (after + BATCH_ROWS).min(total);
        let (taken, again) = batch(ws, &plan, after, upto, newest)?;
        replayed += taken;
        rejected += again;
        after = upto;
    }
    temp::drop("cdp_spool")?;
    spi::run(
        &ws.sql(
            "UPDATE @ws@.job SET state = 'done', rows_done = $2, rows_total = $2, rows_rejected = $3, updated_at = clock_timestamp(), finished_at = clock_timestamp() WHERE job_id = $1",
        ),
        &[job_id.into(), (replayed + rejected).into(), rejected.into()],
    )?;
    Ok((replayed, rejected))
}

/// Takes a batch, and removes the rejects whose rows were taken, and those that were rejected again for another reason, which have a new entry.
fn batch(ws: &Workspace, plan: &Plan, after: i64, upto: i64, newest: i64) -> Result<(i64, i64), CdpError> {
    sync::land(ws, plan, after, upto, upto - after, false)?;
    let counts = spi::rows(
        &ws.sql(
            "WITH again AS MATERIALIZED (SELECT DISTINCT x.rn FROM pg_temp.cdp_rejected x), \
             gone AS (DELETE FROM @ws@.reject r USING pg_temp.cdp_replay p JOIN pg_temp.cdp_spool s USING (rn) \
               WHERE p.rn > $1 AND p.rn <= $2 AND r.reject_id = p.reject_id AND (p.rn NOT IN (SELECT a.rn FROM again a) \
                 OR EXISTS (SELECT FROM @ws@.reject n WHERE n.source_id = $4 AND n.reject_id > $3 AND n.key IS NOT DISTINCT FROM s.k))) \
             SELECT count(*) FILTER (WHERE p.rn NOT IN (SELECT a.rn FROM again a)), count(*) FILTER (WHERE p.rn IN (SELECT a.rn FROM again a)) \
             FROM pg_temp.cdp_replay p WHERE p.rn > $1 AND p.rn <= $2",
        ),
        &[after.into(), upto.into(), newest.into(), plan.source.source_id.into()],
        |row| Ok((spi::must::<i64>(row, 1)?, spi::must::<i64>(row, 2)?)),
    )?;
    counts.into_iter().next().ok_or_else(|| CdpError::internal("a replay was not counted"))
}

/// Refuses a reject that is no row, and a correction that is none of its relation.
fn one(ws: &Workspace, source: &Source, reject_id: i64, payload: Option<&Value>) -> Result<(), CdpError> {
    let kind =
        spi::one::<String>(&ws.sql("SELECT r.kind FROM @ws@.reject r WHERE r.reject_id = $1"), &[reject_id.into()])?;
    let Some(payload) = payload else {
        if kind.as_deref() != Some("row") {
            return Err(CdpError::wrong_state(format!("reject {reject_id} holds a single value and not its row"))
                .with_hint(
                    "Give the whole corrected row as payload, or correct the row in its table and call cdp_sync().",
                ));
        }
        return Ok(());
    };
    let Some(object) = payload.as_object() else {
        return Err(CdpError::invalid_parameter("the payload must be an object of columns and values")
            .with_hint("What it leaves out stays as it was."));
    };
    let names: Vec<&str> = object.keys().map(String::as_str).collect();
    let unknown = spi::one::<String>(
        "SELECT k.name FROM unnest($2::pg_catalog.text[]) AS k(name) WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a \
           WHERE a.attrelid = $1::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attname = k.name) ORDER BY 1 LIMIT 1",
        &[source.relation.as_str().into(), names.into()],
    )?;
    match unknown {
        Some(unknown) => Err(CdpError::invalid_parameter(format!(
            "{} is no column of {}",
            crate::error::quoted(&unknown),
            source.relation
        ))
        .with_hint(format!("Columns are {}.", describe::columns_of(&source.relation)?))),
        None => Ok(()),
    }
}

/// Fills the spool with the rejected rows, and `cdp_replay (rn, reject_id)`. Returns how many are no longer rows of the relation.
fn fill(ws: &Workspace, source: &Source, reject_id: Option<i64>, payload: Option<&str>) -> Result<i64, CdpError> {
    let relation = &source.relation;
    let (key, _) = spool::key_sql(source)?;
    let u =
        source.mapping.updated_at.as_ref().map_or_else(|| "NULL::pg_catalog.text".to_owned(), |u| format!("(\n{u}\n)"));
    let seen = if source.order()?.is_some_and(|order| order.timed) {
        "CASE WHEN isfinite(x.\"cdp$u\") THEN x.\"cdp$u\"::pg_catalog.timestamptz END"
    } else {
        "NULL::pg_catalog.timestamptz"
    };
    temp::drop("cdp_spool")?;
    spi::run(
        &format!(
            "CREATE TEMPORARY TABLE cdp_spool (rn pg_catalog.int8, k pg_catalog.text, u pg_catalog.text, seen pg_catalog.timestamptz, h pg_catalog.uuid, r {relation}) ON COMMIT DROP"
        ),
        &[],
    )?;
    temp::table("cdp_replay", "rn pg_catalog.int8, reject_id pg_catalog.int8, payload pg_catalog.jsonb")?;
    spi::run(
        &ws.sql(
            "INSERT INTO pg_temp.cdp_replay (rn, reject_id, payload) \
             SELECT row_number() OVER (ORDER BY r.reject_id), r.reject_id, CASE WHEN $3 IS NULL THEN r.payload WHEN r.kind = 'row' THEN r.payload || $3::pg_catalog.jsonb ELSE $3::pg_catalog.jsonb END \
             FROM @ws@.reject r WHERE r.source_id = $1 AND ($2 IS NULL OR r.reject_id = $2) AND (r.kind = 'row' OR $3 IS NOT NULL)",
        ),
        &[source.source_id.into(), reject_id.into(), payload.into()],
    )?;
    let insert = format!(
        "INSERT INTO pg_temp.cdp_spool (rn, k, u, seen, r) \
         SELECT \"cdp$p\".\"cdp$rn\", x.\"cdp$k\", x.\"cdp$u\"::pg_catalog.text, {seen}, \"cdp$p\".\"cdp$r\" \
         FROM (SELECT p.rn AS \"cdp$rn\", jsonb_populate_record(NULL::{relation}, p.payload) AS \"cdp$r\" FROM pg_temp.cdp_replay p WHERE p.rn > $1 AND p.rn <= $2) AS \"cdp$p\" \
         CROSS JOIN LATERAL (SELECT {key} AS \"cdp$k\", {u} AS \"cdp$u\" FROM (SELECT (\"cdp$p\".\"cdp$r\").*) AS {row}) AS x",
        row = describe::ROW
    );
    let total = spi::one::<i64>("SELECT max(p.rn) FROM pg_temp.cdp_replay p", &[])?.unwrap_or(0);
    let mut broken = Vec::new();
    let take = |after: i64, upto: i64| Ok(spi::run(&insert, &[after.into(), upto.into()]).map(drop)?);
    halving(0, total, take, |rn, failure| {
        if reject_id.is_some() {
            return Err(CdpError::from(failure)
                .in_context(&format!("the payload is no row of {relation}"))
                .or_hint("Give a payload with what is to be corrected."));
        }
        broken.push(rn);
        Ok(())
    })?;
    let count = i64::try_from(broken.len()).map_err(|_| CdpError::limit("too many rejects"))?;
    if count > 0 {
        spi::run("DELETE FROM pg_temp.cdp_replay p WHERE p.rn = ANY ($1)", &[broken.into()])?;
    }
    // What a source that is compared in full knows of a row is the row in its table, which a correction does not change.
    spi::run(
        &ws.sql(
            "UPDATE pg_temp.cdp_spool s SET h = coalesce((SELECT x.hash FROM @ws@.source_row x WHERE x.source_id = $1 AND x.key = s.k), md5(s.r::pg_catalog.text)::pg_catalog.uuid)",
        ),
        &[source.source_id.into()],
    )?;
    spi::run("CREATE INDEX ON pg_temp.cdp_spool (rn)", &[])?;
    temp::analyze("cdp_spool", "rn")?;
    Ok(count)
}
