//! Landing one event: what [`super::land`] does for a batch, in one statement that is kept.

use super::partition;
use crate::error::CdpError;
use crate::expr::catalog;
use crate::pg::spi;
use crate::store::column::{day_sql, learn};
use crate::store::days::text_of;
use crate::store::emit::{self, DayColumn};
use crate::store::{MOST_TRACKED_VALUES, SHARD_BITS, column};
use crate::workspace::Workspace;
use pg_cdp_core::cells::{Cell, delta};
use pg_cdp_core::expr::print::type_name;
use pg_cdp_core::message::time::Month;
use pg_cdp_core::survivorship::{Kind, summed};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::quote_literal;
use serde_json::{Map, Value};

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
    /// Its properties, in the form of their types.
    pub properties: &'a Map<String, Value>,
    /// When it was received.
    pub received: Option<TimestampWithTimeZone>,
    /// When it happened by the clock of the client, when that was corrected.
    pub original: Option<TimestampWithTimeZone>,
}

/// Whether the partition for a moment is there.
pub fn has_partition(ws: &Workspace, at: i64) -> bool {
    Month::of(at).is_none_or(|month| partition::exists(ws, &month.partition()))
}

/// Makes the partition for a moment unless it is there. Needs the workspace lock.
pub fn ensure_partition(ws: &Workspace, at: i64) -> Result<(), CdpError> {
    match Month::of(at) {
        Some(month) if !partition::exists(ws, &month.partition()) => {
            partition::make(ws, &month.partition(), &month.first(), &month.next().first())
        }
        _ => Ok(()),
    }
}

/// The day columns of an event type, those without a measure first.
pub fn columns(event: &catalog::Event) -> Vec<DayColumn> {
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
        let mut cells = Cells::default();
        let mut lacks: Vec<Lack<'_>> = Vec::new();
        for column in &columns {
            if !cells.put(column, one)? {
                lacks.push(Lack { column, value: None });
            }
        }
        if lacks.is_empty() {
            let (new, missing) = enter(ws, &cells, one)?;
            if missing.is_empty() {
                return Ok(if new { Landed::New } else { Landed::Known });
            }
            for (column_id, value) in missing {
                let column = columns.iter().find(|column| column.column_id == column_id);
                lacks.extend(column.map(|column| Lack { column, value: Some(value) }));
            }
        }
        if !supply(ws, lacks, alone)? {
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

/// What a column lacks for an event: a code for a value, or, for a number that it cannot keep, everything.
struct Lack<'a> {
    column: &'a DayColumn,
    value: Option<String>,
}

/// The cells of an event by column. The codes of values are looked up when they are written.
#[derive(Default)]
struct Cells {
    columns: Vec<i32>,
    dictionaries: Vec<Option<i32>>,
    values: Vec<Option<String>>,
    bytes: Vec<Vec<u8>>,
}

impl Cells {
    /// Adds the cell of a column, if the event has what it counts; `false` when the column cannot keep the number. It says the same as [`emit::event_cells_sql`] of the event.
    fn put(&mut self, column: &DayColumn, one: &One) -> Result<bool, CdpError> {
        let text = |name: &str| {
            one.properties.get(name).filter(|value| !value.is_null()).map(|value| text_of(value).into_owned())
        };
        let (mut dictionary, mut value) = (None, None);
        if let Some((name, _, dictionary_id)) = &column.property {
            let Some(text) = text(name) else { return Ok(true) };
            (dictionary, value) = (Some(*dictionary_id), Some(text));
        }
        let mut v = 0;
        if let Some((name, ty)) = &column.measure {
            let Some(text) = text(name) else { return Ok(true) };
            let kind = if ty == "bigint" { Kind::Bigint } else { Kind::Numeric };
            let Some(number) = summed(kind, &text, column.scale.unsigned_abs()) else { return Ok(false) };
            v = number;
        }
        self.columns.push(column.column_id);
        self.dictionaries.push(dictionary);
        self.values.push(value);
        let offset = (one.profile_id & ((1 << SHARD_BITS) - 1)) as u32;
        self.bytes.push(delta::encode([Cell { offset, n: 1, v }])?);
        Ok(true)
    }
}

/// Enters the event, unless one of its key is there or a value has no code. Gives whether it did, and the values without a code, each with a column that counts it.
fn enter(ws: &Workspace, cells: &Cells, one: &One) -> Result<(bool, Vec<(i32, String)>), CdpError> {
    let shard = i32::try_from(one.profile_id >> SHARD_BITS)
        .map_err(|_| CdpError::internal(format!("profile {} is out of range", one.profile_id)))?;
    let sql = ws.sql(&format!(
        "WITH x AS MATERIALIZED (SELECT u.column_id, u.value, u.cells, d.code \
             FROM unnest($8::pg_catalog.int4[], $9::pg_catalog.int4[], $10::pg_catalog.text[], $11::pg_catalog.bytea[]) AS u(column_id, dictionary_id, value, cells) \
             LEFT JOIN @ws@.dictionary d ON d.dictionary_id = u.dictionary_id AND d.value = u.value), \
         lack AS MATERIALIZED (SELECT array_agg(x.column_id) AS columns, array_agg(x.value) AS values FROM x WHERE x.value IS NOT NULL AND x.code IS NULL), \
         new AS (INSERT INTO @ws@.event (event_type_id, source_id, node_id, at, key, properties, received_at, original_at) \
             SELECT $1, $2, $3, $4, $5, $12::pg_catalog.text::pg_catalog.jsonb, $6, $7 FROM lack \
             WHERE lack.columns IS NULL AND NOT EXISTS (SELECT FROM @ws@.event e WHERE e.source_id = $2 AND e.key = $5) RETURNING {day} AS day), \
         cells AS (INSERT INTO @ws@.pending (column_id, key, shard, cells) \
             SELECT x.column_id, (coalesce(x.code, 0)::pg_catalog.int8 << 32) | (n.day + 2147483648), $13, x.cells FROM new n CROSS JOIN x), \
         seen AS (INSERT INTO @ws@.event_seen_one (event_type_id, at, properties) SELECT $1, $4, $14::pg_catalog.text[] FROM new) \
         SELECT EXISTS (SELECT FROM new), lack.columns, lack.values FROM lack",
        day = day_sql("$4::pg_catalog.timestamptz"),
    ));
    let names: Vec<&str> = one.properties.keys().map(String::as_str).collect();
    let properties = serde_json::to_string(one.properties).map_err(|e| CdpError::internal(e.to_string()))?;
    let found = spi::rows_cached(
        &sql,
        &[
            one.event_type_id.into(),
            one.source_id.into(),
            one.node_id.into(),
            one.at.into(),
            one.key.into(),
            one.received.into(),
            one.original.into(),
            cells.columns.clone().into(),
            cells.dictionaries.clone().into(),
            cells.values.clone().into(),
            cells.bytes.clone().into(),
            properties.into(),
            shard.into(),
            names.into(),
        ],
        |row| {
            let columns = row.get::<Vec<i32>>(2)?.unwrap_or_default();
            let values = row.get::<Vec<String>>(3)?.unwrap_or_default();
            Ok((spi::must::<bool>(row, 1)?, columns.into_iter().zip(values).collect()))
        },
    )?;
    found.into_iter().next().ok_or_else(|| CdpError::internal("an event was lost"))
}

fn is_ready(ws: &Workspace, column_id: i32) -> Result<bool, CdpError> {
    let sql = ws.sql("SELECT c.state = 'ready' FROM @ws@.store_column c WHERE c.column_id = $1");
    Ok(spi::rows_cached(&sql, &[column_id.into()], |row| spi::must::<bool>(row, 1))?.into_iter().next() == Some(true))
}

/// How many values may have been learnt by others since a dictionary was looked at.
const ROOM: i32 = 64;

/// Gives codes to values that have none, and gives up columns that cannot keep what the event has; `false` when the caller has to hold the workspace for that.
fn supply(ws: &Workspace, lacks: Vec<Lack<'_>>, alone: bool) -> Result<bool, CdpError> {
    for Lack { column, value } in lacks {
        let (Some(value), Some((name, _, dictionary_id))) = (value, &column.property) else {
            if !alone {
                return Ok(false);
            }
            column::retire(ws, column.column_id, "stale")?;
            continue;
        };
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
