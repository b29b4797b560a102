//! Landing many events out of memory, alone or beside others that do the same: what [`super::land`] does by tables, for events of which everything is known and none was there before.

use super::one;
use super::partition;
use crate::error::CdpError;
use crate::expr::catalog;
use crate::pg::append::{self, Column, Shape};
use crate::pg::{sequence, spi};
use crate::store::column::day_sql;
use crate::store::days::{self, Came};
use crate::workspace::Workspace;
use pg_cdp_core::message::time::Month;
use pgrx::datum::TimestampWithTimeZone;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ffi::CString;

/// An event.
pub struct Event<'a> {
    /// Its type.
    pub ty: &'a catalog::Event,
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
    /// When it was received; `None`: it was no message.
    pub received: Option<TimestampWithTimeZone>,
    /// When it happened by the clock of the client, when that was corrected.
    pub original: Option<TimestampWithTimeZone>,
}

/// Which months have a partition, as far as it was asked for.
#[derive(Default)]
pub struct Months {
    asked: Vec<(Month, bool)>,
}

impl Months {
    /// Whether the partition for a moment is there, in microseconds since 2000.
    pub fn has(&mut self, ws: &Workspace, at: i64) -> bool {
        let Some(month) = Month::of(at) else { return true };
        if let Some((_, there)) = self.asked.iter().rev().find(|(asked, _)| *asked == month) {
            return *there;
        }
        let there = partition::exists(ws, &month.partition());
        self.asked.push((month, there));
        there
    }
}

/// Enters events of a source and writes them to the day columns of their types. No event of their keys may be there, each key may occur once, and the partitions of their months have to be
/// there. `false` when a column cannot keep one of them and the caller does not hold the workspace: then it has to take all of it back, and to do so.
pub fn land(ws: &Workspace, source_id: i32, events: &mut [Event<'_>]) -> Result<bool, CdpError> {
    // Batches beside each other that have a message in common meet it in the same order, so that none waits for one that waits for it.
    events.sort_unstable_by_key(|event| (i64::from(event.at), event.key));
    let days = enter(ws, source_id, events)?;
    let mut types: BTreeMap<i32, (&catalog::Event, Vec<Came<'_>>)> = BTreeMap::new();
    for (event, day) in events.iter().zip(days) {
        let came = Came { profile_id: event.profile_id, day, properties: event.properties };
        types.entry(event.ty.event_type_id).or_insert_with(|| (event.ty, Vec::new())).1.push(came);
    }
    for (ty, came) in types.into_values() {
        if !days::write_came(ws, &one::columns(ty), came.into_iter())? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Writes the events, which are in the order of their times; gives the day of each.
fn enter(ws: &Workspace, source_id: i32, events: &[Event<'_>]) -> Result<Vec<i64>, CdpError> {
    for events in events.chunk_by(|a, b| Month::of(a.at.into()) == Month::of(b.at.into())) {
        if !append(ws, source_id, events)? {
            insert(ws, source_id, events)?;
        }
    }
    let at: Vec<TimestampWithTimeZone> = events.iter().map(|event| event.at).collect();
    spi::rows(
        &ws.sql(&format!(
            "SELECT {} FROM unnest($1::pg_catalog.timestamptz[]) WITH ORDINALITY AS x(at, i) ORDER BY x.i",
            day_sql("x.at")
        )),
        &[at.into()],
        |row| spi::must::<i64>(row, 1),
    )
}

/// A partition, as new events see it (sql/workspace/50_event.sql).
pub const COLUMNS: usize = 9;

/// A partition by its name.
pub fn shape(name: &str) -> Shape<'_> {
    Shape { name, columns: Some(COLUMNS), checks: 0, without: &[] }
}

/// Gives events their numbers.
const EVENT_IDS: &str = "event_event_id_seq";

/// Writes events of one month into its partition without a query; `false`: that is not possible.
fn append(ws: &Workspace, source_id: i32, events: &[Event<'_>]) -> Result<bool, CdpError> {
    // Times outside those that have months have partitions of several.
    let Some(month) = events.first().and_then(|event| Month::of(event.at.into())) else { return Ok(false) };
    if !sequence::is_usable(&ws.name, EVENT_IDS) {
        return Ok(false);
    }
    let ids = sequence::next(&ws.name, EVENT_IDS, events.len())?;
    let types: Vec<i32> = events.iter().map(|event| event.ty.event_type_id).collect();
    let nodes: Vec<i64> = events.iter().map(|event| event.node_id).collect();
    let at: Vec<i64> = events.iter().map(|event| event.at.into()).collect();
    let keys: Vec<&str> = events.iter().map(|event| event.key).collect();
    let mut properties = Vec::with_capacity(events.len());
    for event in events {
        let text = serde_json::to_string(event.properties).map_err(|e| CdpError::internal(e.to_string()))?;
        properties.push(CString::new(text).map_err(|_| CdpError::internal("JSON has a NUL"))?);
    }
    let received: Vec<Option<i64>> = events.iter().map(|event| event.received.map(i64::from)).collect();
    let original: Vec<Option<i64>> = events.iter().map(|event| event.original.map(i64::from)).collect();
    let columns: [Column; COLUMNS] = [
        Column::Int8(&ids),
        Column::Int4(&types),
        Column::EachInt4(source_id),
        Column::Int8(&nodes),
        Column::Int8(&at),
        Column::Text(&keys),
        Column::Jsonb(&properties),
        Column::Int8OrNull(&received),
        Column::Int8OrNull(&original),
    ];
    append::append_to_partition(&ws.name, &shape(&month.partition()), &columns, events.len())
}

/// Writes events by a query.
fn insert(ws: &Workspace, source_id: i32, events: &[Event<'_>]) -> Result<(), CdpError> {
    let (mut types, mut nodes, mut at) = (Vec::new(), Vec::new(), Vec::new());
    let (mut keys, mut properties) = (Vec::new(), Vec::new());
    let (mut received, mut original) = (Vec::new(), Vec::new());
    for event in events {
        types.push(event.ty.event_type_id);
        nodes.push(event.node_id);
        at.push(event.at);
        keys.push(event.key);
        properties.push(serde_json::to_string(event.properties).map_err(|e| CdpError::internal(e.to_string()))?);
        received.push(event.received);
        original.push(event.original);
    }
    spi::run(
        &ws.sql(
            "INSERT INTO @ws@.event (event_type_id, source_id, node_id, at, key, properties, received_at, original_at) \
             SELECT x.t, $8, x.n, x.a, x.k, x.p::pg_catalog.jsonb, x.r, x.o \
             FROM unnest($1::pg_catalog.int4[], $2::pg_catalog.int8[], $3::pg_catalog.timestamptz[], $4::pg_catalog.text[], $5::pg_catalog.text[], \
                 $6::pg_catalog.timestamptz[], $7::pg_catalog.timestamptz[]) AS x(t, n, a, k, p, r, o)",
        ),
        &[
            types.into(),
            nodes.into(),
            at.into(),
            keys.into(),
            properties.into(),
            received.into(),
            original.into(),
            source_id.into(),
        ],
    )?;
    Ok(())
}

/// Counts events, as [`super::seen::record`] does. Whoever does so keeps others that count waiting until its transaction ends.
pub fn count(ws: &Workspace, events: &[Event<'_>]) -> Result<(), CdpError> {
    struct Seen {
        events: i64,
        first: TimestampWithTimeZone,
        last: TimestampWithTimeZone,
    }
    let mut all: BTreeMap<(i32, i32), Seen> = BTreeMap::new();
    // They are in the order of their times.
    for event in events {
        let names = event.properties.keys().filter_map(|name| event.ty.properties.get(name));
        for property_id in std::iter::once(0).chain(names.map(|property| property.property_id)) {
            let new = Seen { events: 0, first: event.at, last: event.at };
            let seen = all.entry((event.ty.event_type_id, property_id)).or_insert(new);
            seen.events += 1;
            seen.last = event.at;
        }
    }
    let (mut types, mut properties, mut counts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut first, mut last) = (Vec::new(), Vec::new());
    for ((event_type_id, property_id), seen) in all {
        types.push(event_type_id);
        properties.push(property_id);
        counts.push(seen.events);
        first.push(seen.first);
        last.push(seen.last);
    }
    spi::run(
        &ws.sql(
            "INSERT INTO @ws@.event_seen AS s (event_type_id, property_id, events, first_seen, last_seen) \
             SELECT * FROM unnest($1::pg_catalog.int4[], $2::pg_catalog.int4[], $3::pg_catalog.int8[], $4::pg_catalog.timestamptz[], $5::pg_catalog.timestamptz[]) \
             ON CONFLICT (event_type_id, property_id) DO UPDATE SET events = s.events + excluded.events, \
                first_seen = least(s.first_seen, excluded.first_seen), last_seen = greatest(s.last_seen, excluded.last_seen)",
        ),
        &[types.into(), properties.into(), counts.into(), first.into(), last.into()],
    )?;
    Ok(())
}
