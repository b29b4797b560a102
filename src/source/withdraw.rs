//! What rows said and say no longer, of sources whose rows take that back: their events, and what was observed on their identifiers. Who somebody is, the
//! identifiers and their edges, is not taken back: an edge does not tell which of the rows of its source showed it.

use super::batch::Plan;
use super::spool::Source;
use crate::error::CdpError;
use crate::pg::{spi, temp};
use crate::workspace::Workspace;
use crate::{event, profile};

/// Lists in the session which rows of a source are not there any more; marks the rows that share an identifier or an event with one of them to be
/// taken again, as what was observed there is observed anew. `present` gives the keys of the rows that are there, as `k`.
pub fn list(ws: &Workspace, source: &Source, present: &str) -> Result<(), CdpError> {
    let source_id = source.source_id;
    let taken = ws.sql("@ws@.source_row");
    spi::run(
        &format!(
            "CREATE TEMPORARY TABLE cdp_vanished AS SELECT row_number() OVER () AS rn, s.key AS k, s.node_id, s.event_key FROM {taken} s \
             WHERE s.source_id = {source_id} AND NOT EXISTS (SELECT FROM ({present}) x WHERE x.k = s.key)"
        ),
        &[],
    )?;
    spi::run("ANALYZE pg_temp.cdp_vanished", &[])?;
    if spi::one::<bool>("SELECT true FROM pg_temp.cdp_vanished LIMIT 1", &[])?.is_some() {
        mark(ws, source, "pg_temp.cdp_vanished")?;
    }
    Ok(())
}

/// Marks the rows that share an identifier or an event with one of a table, and are not in it.
fn mark(ws: &Workspace, source: &Source, of: &str) -> Result<(), CdpError> {
    let traits = !source.mapping.traits.is_empty();
    spi::run(
        &ws.sql(&format!(
            "UPDATE @ws@.source_row s SET again = true WHERE s.source_id = $1 AND NOT s.again \
               AND ($2 AND s.node_id IN (SELECT g.node_id FROM {of} g) OR s.event_key IN (SELECT g.event_key FROM {of} g)) \
               AND NOT EXISTS (SELECT FROM {of} g WHERE g.k = s.key)"
        )),
        &[source.source_id.into(), traits.into()],
    )?;
    Ok(())
}

/// Takes back what the listed rows with `after < rn <= upto` said. Returns how many they are.
pub fn gone(ws: &Workspace, plan: &Plan, after: i64, upto: i64) -> Result<i64, CdpError> {
    let source_id = plan.source.source_id;
    event::land::prepare()?;
    left()?;
    spi::run(
        &ws.sql(
            "WITH gone AS (DELETE FROM @ws@.source_row s USING pg_temp.cdp_vanished g WHERE s.source_id = $1 AND s.key = g.k AND g.rn > $2 AND g.rn <= $3 \
                 RETURNING s.key, s.node_id, s.event_key) \
             INSERT INTO pg_temp.cdp_left (k, node_id, event_key) SELECT g.key, g.node_id, g.event_key FROM gone g",
        ),
        &[source_id.into(), after.into(), upto.into()],
    )?;
    take_back(ws, plan)?;
    profile::survive::survive(ws, profile::survive::Of::All)?;
    event::land::emit(ws)?;
    Ok(spi::one::<i64>("SELECT count(*) FROM pg_temp.cdp_left", &[])?.unwrap_or(0))
}

/// Takes note of the rows of the spool with `after < rn <= upto` and what they say, and takes back what they said before and say no longer: a row may have become another person's,
/// another event, or none. Returns whether there was any of that.
pub fn changed(ws: &Workspace, plan: &Plan, after: i64, upto: i64) -> Result<bool, CdpError> {
    let source_id = plan.source.source_id;
    left()?;
    temp::table(
        "cdp_said",
        "k pg_catalog.text, hash pg_catalog.uuid, node_id pg_catalog.int8, event_key pg_catalog.text, seen pg_catalog.timestamptz",
    )?;
    spi::run(
        "INSERT INTO pg_temp.cdp_said (k, hash, node_id, event_key, seen) \
         SELECT s.k, s.h, j.node_id, CASE WHEN r.event IS NOT NULL AND j.node_id IS NOT NULL THEN r.event_key END, coalesce(s.seen, r.event_at, now()) \
         FROM pg_temp.cdp_spool s LEFT JOIN pg_temp.cdp_row r USING (rn) LEFT JOIN pg_temp.cdp_subject j ON j.rn = r.rn WHERE s.rn > $1 AND s.rn <= $2",
        &[after.into(), upto.into()],
    )?;
    spi::run("ANALYZE pg_temp.cdp_said", &[])?;
    spi::run(
        &ws.sql(
            "INSERT INTO pg_temp.cdp_left (k, node_id, event_key) \
             SELECT s.key, CASE WHEN s.node_id IS DISTINCT FROM x.node_id THEN s.node_id END, CASE WHEN s.event_key IS DISTINCT FROM x.event_key THEN s.event_key END \
             FROM @ws@.source_row s JOIN pg_temp.cdp_said x ON x.k = s.key \
             WHERE s.source_id = $1 AND (s.node_id IS DISTINCT FROM x.node_id AND s.node_id IS NOT NULL OR s.event_key IS DISTINCT FROM x.event_key AND s.event_key IS NOT NULL)",
        ),
        &[source_id.into()],
    )?;
    spi::run(
        &ws.sql(
            "INSERT INTO @ws@.source_row (source_id, key, hash, node_id, event_key, seen) SELECT $1, x.k, x.hash, x.node_id, x.event_key, x.seen FROM pg_temp.cdp_said x ORDER BY x.k \
             ON CONFLICT (source_id, key) DO UPDATE SET hash = excluded.hash, node_id = excluded.node_id, event_key = excluded.event_key, seen = excluded.seen, again = false",
        ),
        &[source_id.into()],
    )?;
    if spi::one::<bool>("SELECT true FROM pg_temp.cdp_left LIMIT 1", &[])?.is_none() {
        return Ok(false);
    }
    mark(ws, &plan.source, "pg_temp.cdp_left")?;
    take_back(ws, plan)?;
    Ok(true)
}

/// Whether rows wait to be taken again.
pub fn waiting(ws: &Workspace, source_id: i32) -> Result<bool, CdpError> {
    Ok(spi::one::<bool>(
        &ws.sql("SELECT true FROM @ws@.source_row s WHERE s.source_id = $1 AND s.again LIMIT 1"),
        &[source_id.into()],
    )?
    .is_some())
}

/// The table of a batch: what rows said and say no longer.
fn left() -> Result<(), CdpError> {
    temp::table("cdp_left", "k pg_catalog.text, node_id pg_catalog.int8, event_key pg_catalog.text")
}

/// Takes back what `cdp_left` has: events that no row gives any more, to the changes of day columns; observations of the source on the identifiers, whose profiles are then
/// to be settled.
fn take_back(ws: &Workspace, plan: &Plan) -> Result<(), CdpError> {
    let source_id = plan.source.source_id;
    spi::run("ANALYZE pg_temp.cdp_left", &[])?;
    event::land::remove(
        ws,
        "key AS MATERIALIZED (SELECT DISTINCT l.event_key FROM pg_temp.cdp_left l WHERE l.event_key IS NOT NULL \
             AND NOT EXISTS (SELECT FROM @ws@.source_row s WHERE s.source_id = $1 AND s.event_key = l.event_key)), \
         gone AS (DELETE FROM @ws@.event e USING key k WHERE e.source_id = $1 AND e.key = k.event_key RETURNING e.node_id, e.event_type_id, e.at, e.properties)",
        &[source_id.into()],
    )?;
    if plan.traits.is_empty() {
        return Ok(());
    }
    spi::run(
        &ws.sql(
            "WITH gone AS (DELETE FROM @ws@.trait_observation o USING (SELECT DISTINCT l.node_id FROM pg_temp.cdp_left l) l WHERE o.source_id = $1 AND o.node_id = l.node_id RETURNING o.node_id) \
             INSERT INTO pg_temp.cdp_touched (profile_id) SELECT DISTINCT n.profile_id FROM gone g JOIN @ws@.node n USING (node_id)",
        ),
        &[source_id.into()],
    )?;
    Ok(())
}
