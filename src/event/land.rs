//! Landing the events of a batch. A key of a source is one event: the same row again changes nothing, a changed row replaces what it said.

use super::many::{self, Months};
use super::{one, partition, seen};
use crate::error::CdpError;
use crate::expr::catalog::Catalog;
use crate::guc;
use crate::pg::{spi, temp};
use crate::store::column::day_sql;
use crate::store::days;
use crate::store::emit::{self as cells, DayColumn};
use crate::workspace::Workspace;
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use serde_json::{Map, Value};

/// Makes the temporary tables in which a batch collects what changes.
pub fn prepare() -> Result<(), CdpError> {
    temp::table(
        "cdp_event_change",
        "profile_id pg_catalog.int8, n pg_catalog.int8, event_type_id pg_catalog.int4, day pg_catalog.int8, properties pg_catalog.jsonb",
    )?;
    temp::table(
        "cdp_event_new",
        "profile_id pg_catalog.int8, node_id pg_catalog.int8, event_type_id pg_catalog.int4, at pg_catalog.timestamptz, key pg_catalog.text, properties pg_catalog.jsonb, \
         received pg_catalog.timestamptz, original pg_catalog.timestamptz",
    )?;
    temp::table("cdp_touched", "profile_id pg_catalog.int8")
}

/// Enters the events of the batch, and writes all changes of events, merges included, to the day columns. `first` tells that no event of their keys
/// can be there already, and that each key occurs once. Returns how many were new or other than before.
pub fn land(ws: &Workspace, source_id: i32, first: bool) -> Result<i64, CdpError> {
    if first && let Some(new) = from_memory(ws, source_id)? {
        emit(ws)?;
        return Ok(new);
    }
    let (which, order) =
        if first { ("", "") } else { ("DISTINCT ON (r.event_key)", "ORDER BY r.event_key, r.rn DESC") };
    spi::run(
        &ws.sql(&format!(
            "INSERT INTO pg_temp.cdp_event_new (profile_id, node_id, event_type_id, at, key, properties, received, original) \
             SELECT {which} coalesce(j.profile_id, (SELECT n.profile_id FROM @ws@.node n WHERE n.node_id = j.node_id)), j.node_id, t.event_type_id, r.event_at, r.event_key, r.properties, r.received, r.original \
             FROM pg_temp.cdp_row r JOIN @ws@.event_type t ON t.name = r.event JOIN pg_temp.cdp_subject j ON j.rn = r.rn {order}"
        )),
        &[],
    )?;
    temp::analyze("cdp_event_new", "event_type_id")?;
    if !first {
        replace(ws, source_id)?;
    }
    partition::ensure(ws)?;
    spi::run(
        &ws.sql(
            "INSERT INTO @ws@.event (event_type_id, source_id, node_id, at, key, properties, received_at, original_at) \
             SELECT e.event_type_id, $1, e.node_id, e.at, e.key, e.properties, e.received, e.original FROM pg_temp.cdp_event_new e ORDER BY e.at, e.key",
        ),
        &[source_id.into()],
    )?;
    spi::run(
        &ws.sql(&format!(
            "INSERT INTO pg_temp.cdp_event_change (profile_id, n, event_type_id, day, properties) \
             SELECT e.profile_id, 1, e.event_type_id, {}, e.properties FROM pg_temp.cdp_event_new e",
            day_sql("e.at")
        )),
        &[],
    )?;
    emit(ws)?;
    Ok(spi::one::<i64>("SELECT count(*) FROM pg_temp.cdp_event_new", &[])?.unwrap_or(0))
}

/// An event of the batch, as it was read.
struct Read {
    name: String,
    node_id: i64,
    profile_id: i64,
    at: TimestampWithTimeZone,
    key: String,
    properties: Map<String, Value>,
    received: Option<TimestampWithTimeZone>,
    original: Option<TimestampWithTimeZone>,
}

/// Enters the events of the batch out of memory, none of whose keys is there; returns how many. `None`, and nothing is done: there is one that serde_json does not read, such as one that is
/// nested too deeply, or the server writes by queries only.
fn from_memory(ws: &Workspace, source_id: i32) -> Result<Option<i64>, CdpError> {
    if !guc::direct_write() {
        return Ok(None);
    }
    let read = spi::rows(
        &ws.sql(
            "SELECT r.event, j.node_id, coalesce(j.profile_id, (SELECT n.profile_id FROM @ws@.node n WHERE n.node_id = j.node_id)), r.event_at, r.event_key, r.properties::pg_catalog.text, r.received, r.original \
             FROM pg_temp.cdp_row r JOIN pg_temp.cdp_subject j ON j.rn = r.rn WHERE r.event IS NOT NULL",
        ),
        &[],
        |row| {
            let Some(properties) = row.get::<&str>(6)?.and_then(|text| serde_json::from_str(text).ok()) else {
                return Ok(None);
            };
            Ok(Some(Read {
                name: spi::must(row, 1)?,
                node_id: spi::must(row, 2)?,
                profile_id: spi::must(row, 3)?,
                at: spi::must(row, 4)?,
                key: spi::must(row, 5)?,
                properties,
                received: row.get(7)?,
                original: row.get(8)?,
            }))
        },
    )?;
    let Some(read) = read.into_iter().collect::<Option<Vec<Read>>>() else { return Ok(None) };
    let catalog = Catalog::load(ws)?;
    let mut months = Months::default();
    let mut events = Vec::with_capacity(read.len());
    for event in &read {
        let at = event.at.into();
        if !months.has(ws, at) {
            one::ensure_partition(ws, at)?;
            months = Months::default();
        }
        // What the dictionary does not take has no type.
        let Some(ty) = catalog.events.get(&event.name) else { continue };
        events.push(many::Event {
            ty,
            node_id: event.node_id,
            profile_id: event.profile_id,
            at: event.at,
            key: &event.key,
            properties: &event.properties,
            received: event.received,
            original: event.original,
        });
    }
    if !many::land(ws, source_id, &mut events)? {
        return Err(CdpError::internal("a batch was landed that does not hold the workspace"));
    }
    many::count(ws, &events)?;
    i64::try_from(events.len()).map(Some).map_err(|_| CdpError::limit("too many events"))
}

/// Takes back the event of a key. Returns whether there was one.
pub fn withdraw(ws: &Workspace, source_id: i32, key: &str) -> Result<bool, CdpError> {
    prepare()?;
    remove(
        ws,
        "gone AS (DELETE FROM @ws@.event e WHERE e.source_id = $1 AND e.key = $2 RETURNING e.node_id, e.event_type_id, e.at, e.properties)",
        &[source_id.into(), key.into()],
    )?;
    emit(ws)?;
    Ok(spi::one::<bool>("SELECT EXISTS (SELECT FROM pg_temp.cdp_event_change)", &[])? == Some(true))
}

/// Runs a statement that deletes events, and enters in `cdp_event_change` that they count no more. `gone` is the WITH list, whose last query is called so and returns node, type, time
/// and properties of each.
pub fn remove(ws: &Workspace, gone: &str, args: &[DatumWithOid]) -> Result<(), CdpError> {
    spi::run(
        &ws.sql(&format!(
            "WITH {gone} INSERT INTO pg_temp.cdp_event_change (profile_id, n, event_type_id, day, properties) \
             SELECT n.profile_id, -1, g.event_type_id, {}, g.properties FROM gone g JOIN @ws@.node n USING (node_id)",
            day_sql("g.at")
        )),
        args,
    )?;
    Ok(())
}

/// Writes the changes of events that `cdp_event_change` has to the day columns, and counts them.
pub fn emit(ws: &Workspace) -> Result<(), CdpError> {
    write(ws)?;
    seen::record(ws, false)
}

/// Writes the changes of events that `cdp_event_change` has to the day columns.
pub fn write(ws: &Workspace) -> Result<(), CdpError> {
    temp::analyze("cdp_event_change", "event_type_id")?;
    let types = spi::rows(
        "SELECT c.event_type_id, count(*) FROM pg_temp.cdp_event_change c GROUP BY 1 ORDER BY 1",
        &[],
        |row| Ok((spi::must::<i32>(row, 1)?, spi::must::<i64>(row, 2)?)),
    )?;
    if types.is_empty() {
        return Ok(());
    }
    let columns = cells::day_columns(ws, "ready")?;
    for (event_type_id, changes) in types {
        let columns: Vec<DayColumn> = columns.iter().filter(|c| c.event_type_id == event_type_id).cloned().collect();
        if changes <= MOST_AT_ONCE {
            days::write(ws, event_type_id, &columns, "pg_temp.cdp_event_change")?;
        } else {
            each_column(ws, &columns)?;
        }
    }
    Ok(())
}

/// So many changes of a type are held in memory for all its columns at once: 100 bytes each, and as much for each column. Of more, as when large profiles merge, each column takes its
/// own from the table.
const MOST_AT_ONCE: i64 = 200_000;

fn each_column(ws: &Workspace, columns: &[DayColumn]) -> Result<(), CdpError> {
    let mut lost = Vec::new();
    for column in columns {
        let property = column.property_id;
        if property.is_some() && lost.contains(&property) {
            continue;
        }
        if !cells::events(ws, column, "pg_temp.cdp_event_change")? {
            lost.push(property);
        }
    }
    Ok(())
}

/// Takes out what is already there: unchanged events from the batch, changed ones from the events.
fn replace(ws: &Workspace, source_id: i32) -> Result<(), CdpError> {
    temp::table(
        "cdp_event_old",
        "event_id pg_catalog.int8, at pg_catalog.timestamptz, key pg_catalog.text, same pg_catalog.bool",
    )?;
    // Each key by itself, as the inbox does.
    spi::run(
        &ws.sql(
            "INSERT INTO pg_temp.cdp_event_old (event_id, at, key, same) \
             SELECT e.event_id, e.at, e.key, ROW(e.event_type_id, e.node_id, e.at, e.properties) IS NOT DISTINCT FROM ROW(x.event_type_id, x.node_id, x.at, x.properties) \
             FROM pg_temp.cdp_event_new x CROSS JOIN LATERAL (SELECT e.* FROM @ws@.event e WHERE e.source_id = $1 AND e.key = x.key OFFSET 0) e",
        ),
        &[source_id.into()],
    )?;
    spi::run("DELETE FROM pg_temp.cdp_event_new x USING pg_temp.cdp_event_old o WHERE o.key = x.key AND o.same", &[])?;
    remove(
        ws,
        "gone AS (DELETE FROM @ws@.event e USING pg_temp.cdp_event_old o WHERE e.source_id = $1 AND e.key = o.key AND e.at = o.at AND NOT o.same \
            RETURNING e.node_id, e.event_type_id, e.at, e.properties)",
        &[source_id.into()],
    )
}
