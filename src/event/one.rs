//! Landing one event: what [`super::land`] does for a batch, in one statement that is kept.

use super::partition;
use crate::error::CdpError;
use crate::expr::catalog;
use crate::pg::{names, spi};
use crate::store::column::{day_sql, dictionary_text_sql, integer_sql, learn, property_sql};
use crate::store::emit::{self, DayColumn};
use crate::store::{MOST_TRACKED_VALUES, column};
use crate::workspace::Workspace;
use pg_cdp_core::expr::print::type_name;
use pg_cdp_core::message::time::Month;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::quote_literal;

/// An event.
pub struct One<'a> {
    /// Its type.
    pub event_type_id: i32,
    /// Who told it.
    pub source_id: i32,
    /// The identifier it is kept on.
    pub node_id: i64,
    /// Whose that is.
    pub profile_id: i64,
    /// When it happened.
    pub at: TimestampWithTimeZone,
    /// Its key in the source.
    pub key: &'a str,
    /// Its properties as the text of a JSON object.
    pub properties: String,
    /// When it was received.
    pub received: Option<TimestampWithTimeZone>,
    /// When it happened by the clock of the client, when that was corrected.
    pub original: Option<TimestampWithTimeZone>,
}

/// Whether the partition for a moment is there.
pub fn has_partition(ws: &Workspace, at: i64) -> bool {
    Month::of(at).is_none_or(|month| names::relation(&ws.name, &month.partition()).is_some())
}

/// Makes the partition for a moment unless it is there. Needs the workspace lock.
pub fn ensure_partition(ws: &Workspace, at: i64) -> Result<(), CdpError> {
    match Month::of(at) {
        Some(month) if names::relation(&ws.name, &month.partition()).is_none() => {
            partition::make(ws, &month.partition(), &month.first(), &month.next().first())
        }
        _ => Ok(()),
    }
}

/// The day columns of an event type, those without a measure first.
fn columns(event: &catalog::Event) -> Vec<DayColumn> {
    let named = |id: i32| event.properties.iter().find(|(_, p)| p.property_id == id);
    let mut columns: Vec<((i32, i32), DayColumn)> = Vec::with_capacity(event.days.len());
    for ((property, measure), (column_id, scale)) in &event.days {
        let property_of = named(*property).map(|(name, p)| (name.clone(), type_name(p.ty).to_owned(), p.dictionary_id));
        let measure_of = named(*measure).map(|(name, p)| (name.clone(), type_name(p.ty).to_owned()));
        columns.push((
            (*measure, *property),
            DayColumn {
                column_id: *column_id,
                event_type_id: event.event_type_id,
                property: property_of,
                measure: measure_of,
                scale: i32::try_from(*scale).unwrap_or(0),
                property_id: (*property != 0).then_some(*property),
            },
        ));
    }
    columns.sort_by_key(|(key, _)| *key);
    columns.into_iter().map(|(_, column)| column).collect()
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landed {
    /// It is entered.
    New,
    /// An event of its key was there already, and nothing was written.
    Known,
    /// A column has to be given up for it, for which the caller has to hold the workspace; nothing was written.
    NeedsLock,
}

/// Enters an event, and writes it to its day columns. `alone` says that the caller holds the workspace.
pub fn land(ws: &Workspace, event: &catalog::Event, one: &One, alone: bool) -> Result<Landed, CdpError> {
    let mut columns = columns(event);
    loop {
        let (new, lacks) = enter(ws, &columns, one)?;
        if lacks.iter().all(Option::is_none) {
            return Ok(if new { Landed::New } else { Landed::Known });
        }
        if !supply(ws, &columns, lacks, alone)? {
            return Ok(Landed::NeedsLock);
        }
        let mut ready = Vec::with_capacity(columns.len());
        for column in columns {
            if is_ready(ws, column.column_id)? {
                ready.push(column);
            }
        }
        columns = ready;
    }
}

/// Enters the event, unless one of its key is there or a column lacks something for it. Gives whether it did, and what each column lacks: a value that has no code, or an empty text for a
/// number that it cannot keep.
fn enter(ws: &Workspace, columns: &[DayColumn], one: &One) -> Result<(bool, Vec<Option<String>>), CdpError> {
    let (mut looks, mut parts) = (Vec::with_capacity(columns.len()), Vec::with_capacity(columns.len()));
    for column in columns {
        looks.push(lack_sql(column)?);
        let cells = emit::event_cells_sql(column, "c")?;
        parts.push(format!(
            "SELECT {}::integer AS column_id, x.key, x.shard, x.cells FROM ({cells}) x",
            column.column_id
        ));
    }
    let pending = if parts.is_empty() {
        String::new()
    } else {
        format!(
            ", cells AS (INSERT INTO @ws@.pending (column_id, key, shard, cells) SELECT p.column_id, p.key, p.shard, p.cells FROM ({}) p WHERE EXISTS (SELECT FROM new))",
            parts.join(" UNION ALL ")
        )
    };
    let sql = ws.sql(&format!(
        "WITH c AS MATERIALIZED (SELECT $1::pg_catalog.int8 AS profile_id, 1::pg_catalog.int8 AS n, $2::pg_catalog.int4 AS event_type_id, {day} AS day, \
                 $4::pg_catalog.text::pg_catalog.jsonb AS properties), \
         lack AS MATERIALIZED (SELECT ARRAY[{looks}]::pg_catalog.text[] AS lacks FROM c), \
         new AS (INSERT INTO @ws@.event (event_type_id, source_id, node_id, at, key, properties, received_at, original_at) \
             SELECT $2, $5, $6, $3, $7, c.properties, $8, $9 FROM c, lack \
             WHERE array_remove(lack.lacks, NULL) = '{{}}' AND NOT EXISTS (SELECT FROM @ws@.event e WHERE e.source_id = $5 AND e.key = $7) RETURNING 1){pending}, \
         seen AS (INSERT INTO @ws@.event_seen_one (event_type_id, at, properties) \
             SELECT $2, $3, ARRAY(SELECT jsonb_object_keys(c.properties)) FROM c WHERE EXISTS (SELECT FROM new)) \
         SELECT EXISTS (SELECT FROM new), lack.lacks FROM lack",
        day = day_sql("$3::pg_catalog.timestamptz"),
        looks = looks.join(", ")
    ));
    let found = spi::rows_cached(
        &sql,
        &[
            one.profile_id.into(),
            one.event_type_id.into(),
            one.at.into(),
            one.properties.as_str().into(),
            one.source_id.into(),
            one.node_id.into(),
            one.key.into(),
            one.received.into(),
            one.original.into(),
        ],
        |row| Ok((spi::must::<bool>(row, 1)?, spi::must::<Vec<Option<String>>>(row, 2)?)),
    )?;
    found.into_iter().next().ok_or_else(|| CdpError::internal("an event was lost"))
}

/// SQL giving what a column lacks for the event `c`: NULL for nothing.
fn lack_sql(column: &DayColumn) -> Result<String, CdpError> {
    Ok(match (&column.property, &column.measure) {
        (_, Some((name, ty))) => {
            let typed = property_sql("c.properties", name, ty);
            let value = integer_sql(ty, &typed, column.scale, true)?;
            format!("CASE WHEN {typed} IS NOT NULL AND {value} IS NULL THEN '' END")
        }
        (Some((name, ty, dictionary_id)), None) => {
            let text = dictionary_text_sql(ty, &property_sql("c.properties", name, ty));
            format!(
                "CASE WHEN {text} IS NOT NULL AND NOT EXISTS (SELECT FROM @ws@.dictionary d WHERE d.dictionary_id = {dictionary_id} AND d.value = {text}) THEN {text} END"
            )
        }
        (None, None) => "NULL".to_owned(),
    })
}

fn is_ready(ws: &Workspace, column_id: i32) -> Result<bool, CdpError> {
    let sql = ws.sql("SELECT c.state = 'ready' FROM @ws@.store_column c WHERE c.column_id = $1");
    Ok(spi::rows_cached(&sql, &[column_id.into()], |row| spi::must::<bool>(row, 1))?.into_iter().next() == Some(true))
}

/// How many values may have been learnt by others since a dictionary was looked at.
const ROOM: i32 = 64;

/// Gives codes to values that have none, and gives up columns that cannot keep what the event has; `false` when the caller has to hold the workspace for that.
fn supply(ws: &Workspace, columns: &[DayColumn], lacks: Vec<Option<String>>, alone: bool) -> Result<bool, CdpError> {
    for (column, lack) in columns.iter().zip(lacks) {
        let Some(value) = lack else { continue };
        if column.measure.is_some() {
            if !alone {
                return Ok(false);
            }
            column::retire(ws, column.column_id, "stale")?;
            continue;
        }
        let Some((name, _, dictionary_id)) = &column.property else { continue };
        let count = ws.sql("SELECT coalesce(max(d.code) + 1, 0) FROM @ws@.dictionary d WHERE d.dictionary_id = $1");
        let count = spi::rows_cached(&count, &[(*dictionary_id).into()], |row| spi::must::<i32>(row, 1))?;
        if !alone && count.into_iter().next().unwrap_or(0) + ROOM > MOST_TRACKED_VALUES {
            return Ok(false);
        }
        ws.lock_codes()?;
        let value = format!("SELECT {}::pg_catalog.text AS value", quote_literal(&value));
        if learn(ws, *dictionary_id, &value)? > MOST_TRACKED_VALUES {
            emit::untrack(ws, column, name)?;
        }
    }
    Ok(true)
}
