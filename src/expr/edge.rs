//! The events of the part of a day that a window ends in, which no day column can answer for.
//!
//! They are looked up once and kept by the session (see [`crate::store::cache`]) under the rows that their key has in the day column. The bound
//! of a window such as the last 90 days moves on with every question: what is kept is a stretch of the day that grows when more of it
//! is asked for, by a quarter of an hour at least. Whoever changes events, or whose they are, writes the changes of the day columns
//! in the same call and asks nothing in between; so while no row for the key has come or gone, the events are the same.
//!
//! The other way is a query that sums them where they are: for whoever the tables cannot be read directly for, for days with more events than the cache
//! should hold, and to test the first against.

use super::question::Question;
use super::set::{Extra, MASK};
use crate::error::CdpError;
use crate::guc;
use crate::pg::scan::{Table, Version};
use crate::pg::spi;
use crate::store::SHARD_BITS;
use crate::store::cache::{Cache, Kept, Key};
use crate::store::column::{dictionary_text_sql, integer_sql, moment_of_micros_sql, property_sql};
use crate::store::read;
use pg_cdp_core::cells::{Happened, PartDay};
use pg_cdp_core::expr::print::type_name;
use pg_cdp_core::plan::{Edge, EdgeWindow};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::quote_literal;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Events are kept for whole quarters of an hour, in microseconds: a bound that moves on with time asks for more four times an hour and not every time.
const QUARTER: i64 = 900_000_000;

/// The most events that are looked up to be kept: their rows are in memory at a time, up to 30 MB.
const MOST_EVENTS: usize = 1 << 18;

/// What the edges of a slot add to its chunks, or take out of them.
pub fn extras(question: &Question, slot: usize, edges: &[Edge]) -> Result<Vec<Extra>, CdpError> {
    let mut extras = Vec::new();
    for (index, edge) in edges.iter().enumerate() {
        // What is added is no part of a day that is read whole: it has a key of its own, below every key of a day column.
        let own = i64::try_from(index).map_err(|_| CdpError::internal("too many edges of windows"))?;
        let parts = match kept(question, edge)? {
            Some(parts) => parts,
            None => summed(question, edge)?,
        };
        extras.extend(parts.into_iter().map(|(key, shard, bytes)| {
            let key = if edge.window.taken_out { key } else { -1 - own };
            Extra { slot, shard, key, delta: true, bytes }
        }));
    }
    Ok(extras)
}

/// Key, shard and changes of cells.
type Parts = Vec<(i64, i32, Vec<u8>)>;

/// A key of the edge: its value when it has one, the rows it has in its column, and what is known of its events.
struct Day {
    key: i64,
    /// Which of the values asked for.
    value: usize,
    versions: Vec<Version>,
    events: Option<Rc<PartDay>>,
    grown: bool,
}

/// The edge from the events that are kept, those that are missing looked up; `None` when it has to be summed by a query.
fn kept(question: &Question, edge: &Edge) -> Result<Option<Parts>, CdpError> {
    let ws = question.ws;
    let most = (guc::cache_bytes() / 2 / size_of::<Happened>()).min(MOST_EVENTS);
    if most == 0 || !["event", "node"].iter().all(|name| Table::is_readable(&ws.name, name)) {
        return Ok(None);
    }
    let keys = edge.keys();
    let Some(before) = read::versions(ws, edge.column_id, &keys)? else { return Ok(None) };
    let mut cache = Cache::take();
    let mut days: Vec<Day> = Vec::with_capacity(keys.len());
    for (value, (key, versions)) in keys.iter().copied().zip(before).enumerate() {
        // Without a row there is no event.
        if !versions.is_empty() {
            let events = cache.events(&Key::Events(edge.column_id, key, versions.clone()));
            days.push(Day { key, value, versions, events, grown: false });
        }
    }
    cache.keep();

    let EdgeWindow { begins, ends, from, to, taken_out, .. } = edge.window;
    let low = (from.div_euclid(QUARTER) * QUARTER).max(begins);
    let high = (to.div_euclid(QUARTER) * QUARTER + QUARTER - 1).min(ends);
    // Values of which the same is missing are looked up together.
    let mut missing: BTreeMap<(i64, i64), Vec<usize>> = BTreeMap::new();
    for (index, day) in days.iter().enumerate() {
        match &day.events {
            Some(events) if events.covers(from, to) => {}
            Some(events) => events.missing(low, high).for_each(|part| missing.entry(part).or_default().push(index)),
            None => missing.entry((low, high)).or_default().push(index),
        }
    }
    for ((low, high), lacking) in missing {
        let values: Vec<usize> = lacking.iter().filter_map(|index| days.get(*index)).map(|day| day.value).collect();
        let Some(mut found) = happened(question, edge, &values, low, high, most)? else { return Ok(None) };
        for (index, value) in lacking.into_iter().zip(values) {
            let Some(day) = days.get_mut(index) else { continue };
            let part = PartDay::new(low, high, found.remove(&value).unwrap_or_default());
            let grown = match &day.events {
                None => part,
                Some(events) => events.joined(&part).ok_or_else(|| CdpError::internal("events of a day have a gap"))?,
            };
            (day.events, day.grown) = (Some(Rc::new(grown)), true);
        }
    }
    if days.iter().any(|day| day.grown) {
        keep(question, edge, &days)?;
    }
    let mut parts = Vec::new();
    for day in &days {
        let Some(events) = &day.events else { continue };
        let deltas = events.deltas(from, to, taken_out)?;
        parts.extend(deltas.into_iter().map(|(shard, bytes)| (day.key, shard, bytes)));
    }
    Ok(Some(parts))
}

/// Keeps what was looked up, unless the rows are others by now: then another snapshot may have seen other events.
fn keep(question: &Question, edge: &Edge, days: &[Day]) -> Result<(), CdpError> {
    let keys: Vec<i64> = days.iter().map(|day| day.key).collect();
    let Some(after) = read::versions(question.ws, edge.column_id, &keys)? else { return Ok(()) };
    let mut cache = Cache::take();
    for (day, after) in days.iter().zip(after) {
        if let Some(events) = day.events.as_ref().filter(|_| day.grown && day.versions == after) {
            cache.put(Key::Events(edge.column_id, day.key, after), Kept::Events(Rc::clone(events)));
        }
    }
    cache.keep();
    Ok(())
}

/// The events of `low..=high`, those of some of the values asked for, by value; `None` when there are more than `most`.
fn happened(
    question: &Question,
    edge: &Edge,
    values: &[usize],
    low: i64,
    high: i64,
    most: usize,
) -> Result<Option<BTreeMap<usize, Vec<Happened>>>, CdpError> {
    let asked: Vec<(usize, &str)> = match &edge.property {
        None => Vec::new(),
        Some((_, all)) => {
            values.iter().filter_map(|value| all.get(*value).map(|(_, text)| (*value, text.as_str()))).collect()
        }
    };
    let texts: Vec<&str> = asked.iter().map(|(_, text)| *text).collect();
    let Query { from, text, v } = query(question, edge, &texts, low, high)?;
    let sql = format!("SELECT {text}, n.profile_id, e.at, {v} {from} LIMIT {}", most.saturating_add(1));
    let rows = spi::rows(&sql, &[], |row| {
        let at = spi::must::<TimestampWithTimeZone>(row, 3)?.into();
        let event = Happened { at, profile_id: spi::must(row, 2)?, v: row.get(4)?.unwrap_or(0) };
        Ok((value_of(&asked, row.get::<&str>(1)?)?, event))
    })?;
    if rows.len() > most {
        return Ok(None);
    }
    let mut found: BTreeMap<usize, Vec<Happened>> = BTreeMap::new();
    for (value, event) in rows {
        found.entry(value).or_default().push(event);
    }
    Ok(Some(found))
}

/// Which of the values asked for a text is; the first of none without a property.
fn value_of(asked: &[(usize, &str)], text: Option<&str>) -> Result<usize, CdpError> {
    match text {
        None => Ok(0),
        Some(text) => asked
            .iter()
            .find(|(_, value)| *value == text)
            .map(|(value, _)| *value)
            .ok_or_else(|| CdpError::internal("an event has a value that was not asked for")),
    }
}

/// The edge summed by a query, as one delta for each key and shard.
fn summed(question: &Question, edge: &Edge) -> Result<Parts, CdpError> {
    let asked: Vec<(usize, &str)> = match &edge.property {
        None => Vec::new(),
        Some((_, values)) => values.iter().map(|(_, text)| text.as_str()).enumerate().collect(),
    };
    let texts: Vec<&str> = asked.iter().map(|(_, text)| *text).collect();
    let Query { from, text, v } = query(question, edge, &texts, edge.window.from, edge.window.to)?;
    let n = if edge.window.taken_out { -1 } else { 1 };
    let sum = question.ws.sql("@ext@._cdp_cells_agg");
    let sql = format!(
        "SELECT {text}, (n.profile_id >> {SHARD_BITS})::integer, {sum}((n.profile_id & {MASK})::integer, {n}, {n} * {v}) {from} GROUP BY 1, 2"
    );
    let rows = spi::rows(&sql, &[], |row| {
        let value = value_of(&asked, row.get::<&str>(1)?)?;
        Ok((value, spi::must::<i32>(row, 2)?, row.get::<Vec<u8>>(3)?))
    })?;
    let keys = edge.keys();
    let parts = rows.into_iter().filter_map(|(value, shard, bytes)| Some((*keys.get(value)?, shard, bytes?)));
    Ok(parts.collect())
}

/// A query that reads the events; `None` when there is none to read.
pub fn events_sql(question: &Question, edge: &Edge) -> Result<Option<String>, CdpError> {
    let texts: Vec<&str> = match &edge.property {
        None => Vec::new(),
        Some((_, values)) if values.is_empty() => return Ok(None),
        Some((_, values)) => values.iter().map(|(_, text)| text.as_str()).collect(),
    };
    let Query { from, .. } = query(question, edge, &texts, edge.window.from, edge.window.to)?;
    Ok(Some(format!("SELECT n.profile_id {from}")))
}

/// The parts of a query over events. A value may have the look of a place to be filled in, such as `@ws@`: they are filled in already.
struct Query {
    /// FROM and WHERE: `e` an event, `n` whose it is.
    from: String,
    /// The text of the tracked property; NULL without one.
    text: String,
    /// The measure as the column keeps it.
    v: String,
}

fn query(question: &Question, edge: &Edge, values: &[&str], low: i64, high: i64) -> Result<Query, CdpError> {
    let lost = || CdpError::internal(format!("event \"{}\" is gone", edge.event));
    let event = question.catalog.events.get(&edge.event).ok_or_else(lost)?;
    let typed = |name: &str| -> Result<(String, &'static str), CdpError> {
        let ty = type_name(event.properties.get(name).ok_or_else(lost)?.ty);
        Ok((property_sql("e.properties", name, ty), ty))
    };
    let mut from = question.ws.sql(&format!(
        "FROM (SELECT x.node_id, x.event_type_id, x.at, x.properties FROM @ws@.event x UNION ALL SELECT d.node_id, d.event_type_id, d.at, d.properties FROM @ws@.event_day d) e JOIN @ws@.node n USING (node_id) WHERE n.profile_id IS NOT NULL AND e.event_type_id = {} AND e.at >= {} AND e.at <= {}",
        event.event_type_id,
        moment_sql(low)?,
        moment_sql(high)?
    ));
    let mut text = "NULL::pg_catalog.text".to_owned();
    if let Some((name, _)) = &edge.property {
        let (sql, ty) = typed(name)?;
        text = dictionary_text_sql(ty, &sql);
        let values: Vec<String> = values.iter().map(quote_literal).collect();
        from.push_str(&format!(" AND {text} = ANY (ARRAY[{}]::pg_catalog.text[])", values.join(", ")));
    }
    let mut v = "0::pg_catalog.int8".to_owned();
    if let Some(name) = &edge.measure {
        let (sql, ty) = typed(name)?;
        let scale = i32::try_from(edge.scale).map_err(|_| CdpError::internal("scale out of range"))?;
        v = integer_sql(ty, &sql, scale, true)?;
        from.push_str(&format!(" AND {sql} IS NOT NULL"));
    }
    Ok(Query { from, text, v })
}

/// A constant moment, so that partitions can be left out when the query is planned.
fn moment_sql(micros: i64) -> Result<String, CdpError> {
    let text = spi::rows_cached(
        &format!("SELECT ({})::pg_catalog.text", moment_of_micros_sql("$1")),
        &[micros.into()],
        |row| spi::must::<String>(row, 1),
    )?;
    let text = text.into_iter().next().ok_or_else(|| CdpError::internal("a moment was not written"))?;
    Ok(format!("{}::pg_catalog.timestamptz", quote_literal(text)))
}
