//! Changes of facts, written as changes of cells.

use super::column::{
    add_forward, dictionary_text_sql, integer_sql, keep_as_numbers, learn, property_sql, retire, value_column,
};
use super::{FORWARD_FROM, MOST_EQUALITY_VALUES, MOST_TRACKED_VALUES, SHARD_BITS};
use crate::error::CdpError;
use crate::pg::append::{self, Column, Shape};
use crate::pg::spi::{self, Together};
use crate::workspace::Workspace;
use pg_cdp_core::cells::Cell;
use pg_cdp_core::cells::delta::Gather;
use pg_cdp_core::plan::HAS_SET;
use std::collections::BTreeMap;

/// An attribute and its column.
#[derive(Debug, Clone)]
pub struct AttributeColumn {
    /// Number of the attribute.
    pub attribute_id: i32,
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: String,
    /// The dictionary of its values.
    pub dictionary_id: i32,
    /// Number of its column.
    pub column_id: i32,
    /// `set` or `number`.
    pub encoding: String,
    /// Decimal digits kept.
    pub scale: i32,
    /// `ready`, `stale` or `off`.
    pub state: String,
    /// Its forward column: number and state.
    pub forward: Option<(i32, String)>,
}

const ATTRIBUTE_COLUMNS: &str = "SELECT a.attribute_id, a.name, a.type, a.dictionary_id, c.column_id, c.encoding, c.scale, c.state, f.column_id, f.state \
     FROM @ws@.attribute a JOIN @ws@.store_column c ON c.attribute_id = a.attribute_id AND c.kind = 'attribute' \
     LEFT JOIN @ws@.store_column f ON f.attribute_id = a.attribute_id AND f.kind = 'forward'";

fn read_attribute(row: &pgrx::spi::SpiHeapTupleData) -> Result<AttributeColumn, CdpError> {
    Ok(AttributeColumn {
        attribute_id: spi::must(row, 1)?,
        name: spi::must(row, 2)?,
        ty: spi::must(row, 3)?,
        dictionary_id: spi::must(row, 4)?,
        column_id: spi::must(row, 5)?,
        encoding: spi::must(row, 6)?,
        scale: spi::must(row, 7)?,
        state: spi::must(row, 8)?,
        forward: row.get::<i32>(9)?.zip(row.get::<String>(10)?),
    })
}

/// The columns of the attributes of a kind (`trait` or `tag`).
pub fn attribute_columns(ws: &Workspace, kind: &str) -> Result<Vec<AttributeColumn>, CdpError> {
    spi::rows_cached(
        &ws.sql(&format!("{ATTRIBUTE_COLUMNS} WHERE a.kind = $1 ORDER BY a.attribute_id")),
        &[kind.into()],
        read_attribute,
    )
}

/// The column of one attribute.
pub fn attribute_column(ws: &Workspace, attribute_id: i32) -> Result<Option<AttributeColumn>, CdpError> {
    Ok(spi::rows(
        &ws.sql(&format!("{ATTRIBUTE_COLUMNS} WHERE a.attribute_id = $1")),
        &[attribute_id.into()],
        read_attribute,
    )?
    .into_iter()
    .next())
}

/// Wraps a query that gives (key, shard, cells) into the insert of what does not cancel out.
fn into_pending(cells: &str) -> String {
    format!(
        "INSERT INTO @ws@.pending (column_id, key, shard, cells) SELECT $1, x.key, x.shard, x.cells FROM ({cells}) x WHERE x.cells IS NOT NULL"
    )
}

/// Changes of an attribute. `changes` is a FROM item with columns `profile_id`, `before`, `after` (values of the attribute's type, NULL for none).
/// A value that the column cannot keep makes it stale.
pub fn attribute(ws: &Workspace, column: &AttributeColumn, changes: &str) -> Result<(), CdpError> {
    if column.ty == "text[]" {
        return if column.state == "ready" { elements(ws, column, changes) } else { Ok(()) };
    }
    let both = format!(
        "(SELECT c.profile_id, c.before AS value, (-1)::pg_catalog.int8 AS n FROM {changes} c WHERE c.before IS DISTINCT FROM c.after AND c.before IS NOT NULL \
          UNION ALL SELECT c.profile_id, c.after, 1 FROM {changes} c WHERE c.before IS DISTINCT FROM c.after AND c.after IS NOT NULL)"
    );
    if super::column::coded(&column.ty) {
        return coded(ws, column, changes, &both);
    }
    if column.state != "ready" {
        return Ok(());
    }
    let after = integer_sql(&column.ty, "c.after", column.scale, false)?;
    let unfit = spi::one::<bool>(
        &ws.sql(&format!("SELECT true FROM {changes} c WHERE c.after IS NOT NULL AND {after} IS NULL LIMIT 1")),
        &[],
    )?;
    if unfit.is_some() {
        return retire(ws, column.column_id, "stale");
    }
    let value = integer_sql(&column.ty, "c.value", column.scale, false)?;
    spi::run(
        &ws.sql(&into_pending(&format!(
            "SELECT 0::pg_catalog.int8 AS key, (c.profile_id >> 20)::integer AS shard, \
                    @ext@._cdp_cells_agg((c.profile_id & 1048575)::integer, c.n, c.n * {value}) AS cells \
             FROM {both} c GROUP BY 2"
        ))),
        &[column.column_id.into()],
    )?;
    Ok(())
}

/// Changes of an attribute whose values have codes, for its column and for its forward column, each if it is ready.
fn coded(ws: &Workspace, column: &AttributeColumn, changes: &str, both: &str) -> Result<(), CdpError> {
    let ready = column.state == "ready";
    let forward = column.forward.as_ref().filter(|(_, state)| state == "ready");
    if !ready && forward.is_none() {
        return Ok(());
    }
    let text = dictionary_text_sql(&column.ty, "c.after");
    let values = learn(
        ws,
        column.dictionary_id,
        &format!("SELECT {text} AS value FROM {changes} c WHERE c.before IS DISTINCT FROM c.after"),
    )?;
    let set = column.encoding == "set";
    if set && values > MOST_EQUALITY_VALUES {
        keep_as_numbers(ws, column.attribute_id, column.column_id)?;
        return if ready { retire(ws, column.column_id, "stale") } else { Ok(()) };
    }
    if set && values >= FORWARD_FROM && column.forward.is_none() {
        add_forward(ws, column.attribute_id)?;
    }
    let cells = |column: &str, key: &str, v: &str| {
        format!(
            "SELECT {column} AS column_id, {key} AS key, c.shard, @ext@._cdp_cells_agg(c.place, c.n, {v}) AS cells FROM c GROUP BY 2, 3"
        )
    };
    let mut parts = Vec::new();
    if ready && set {
        parts.push(cells("$1", "c.code::pg_catalog.int8", "0"));
    } else if ready {
        parts.push(cells("$1", "0::pg_catalog.int8", "c.n * c.code"));
    }
    if forward.is_some() {
        parts.push(cells("$3", "0::pg_catalog.int8", "c.n * c.code"));
    }
    let text = dictionary_text_sql(&column.ty, "c.value");
    spi::run(
        &ws.sql(&format!(
            "WITH c AS (SELECT (c.profile_id >> 20)::integer AS shard, (c.profile_id & 1048575)::integer AS place, c.n, d.code \
               FROM {both} c JOIN @ws@.dictionary d ON d.dictionary_id = $2 AND d.value = {text}) \
             INSERT INTO @ws@.pending (column_id, key, shard, cells) SELECT x.column_id, x.key, x.shard, x.cells FROM ({}) x WHERE x.cells IS NOT NULL",
            parts.join(" UNION ALL ")
        )),
        &[column.column_id.into(), column.dictionary_id.into(), forward.map(|(id, _)| *id).into()],
    )?;
    Ok(())
}

/// Changes of an attribute that is a set of texts: a key an element, and one for having a set at all.
fn elements(ws: &Workspace, column: &AttributeColumn, changes: &str) -> Result<(), CdpError> {
    let values = learn(
        ws,
        column.dictionary_id,
        &format!(
            "SELECT u.value FROM {changes} c CROSS JOIN LATERAL unnest(c.after) u(value) WHERE c.before IS DISTINCT FROM c.after"
        ),
    )?;
    if values > MOST_TRACKED_VALUES {
        return retire(ws, column.column_id, "stale");
    }
    let side = |side: &str, n: i32| {
        format!(
            "SELECT c.profile_id, u.value, ({n})::pg_catalog.int8 AS n FROM {changes} c CROSS JOIN LATERAL unnest(c.{side}) u(value) WHERE c.before IS DISTINCT FROM c.after"
        )
    };
    spi::run(
        &ws.sql(&into_pending(&format!(
            "SELECT d.code::pg_catalog.int8 AS key, (c.profile_id >> 20)::integer AS shard, @ext@._cdp_cells_agg((c.profile_id & 1048575)::integer, c.n, 0) AS cells \
             FROM ({} UNION ALL {}) c JOIN @ws@.dictionary d ON d.dictionary_id = $2 AND d.value = c.value GROUP BY 1, 2",
            side("before", -1),
            side("after", 1)
        ))),
        &[column.column_id.into(), column.dictionary_id.into()],
    )?;
    spi::run(
        &ws.sql(&into_pending(&format!(
            "SELECT {HAS_SET}::pg_catalog.int8 AS key, (c.profile_id >> 20)::integer AS shard, \
                    @ext@._cdp_cells_agg((c.profile_id & 1048575)::integer, CASE WHEN c.before IS NULL THEN 1 ELSE -1 END, 0) AS cells \
             FROM {changes} c WHERE (c.before IS NULL) <> (c.after IS NULL) GROUP BY 2"
        ))),
        &[column.column_id.into()],
    )?;
    Ok(())
}

/// A day column: what it counts and sums.
#[derive(Debug, Clone)]
pub struct DayColumn {
    /// Number of the column.
    pub column_id: i32,
    /// The event type.
    pub event_type_id: i32,
    /// Tracked property: name, type, dictionary.
    pub property: Option<(String, String, i32)>,
    /// Measure: name, type.
    pub measure: Option<(String, String)>,
    /// Decimal digits kept of the measure.
    pub scale: i32,
    /// Property number of the tracked property.
    pub property_id: Option<i32>,
}

/// The day columns that are ready, of every event type.
pub fn day_columns(ws: &Workspace, state: &str) -> Result<Vec<DayColumn>, CdpError> {
    spi::rows(
        &ws.sql(
            "SELECT c.column_id, c.event_type_id, p.name, p.type, p.dictionary_id, m.name, m.type, c.scale, c.property_id \
             FROM @ws@.store_column c LEFT JOIN @ws@.property p ON p.property_id = c.property_id LEFT JOIN @ws@.property m ON m.property_id = c.measure_id \
             WHERE c.kind = 'day' AND c.state = $1 ORDER BY c.measure_id NULLS FIRST, c.column_id",
        ),
        &[state.into()],
        |row| {
            let property = match row.get::<String>(3)? {
                Some(name) => Some((name, spi::must(row, 4)?, spi::must(row, 5)?)),
                None => None,
            };
            let measure = match row.get::<String>(6)? {
                Some(name) => Some((name, spi::must(row, 7)?)),
                None => None,
            };
            Ok(DayColumn { column_id: spi::must(row, 1)?, event_type_id: spi::must(row, 2)?, property, measure, scale: spi::must(row, 8)?, property_id: row.get(9)? })
        },
    )
}

/// Changes that cancel out.
const NO_CHANGE: &str = "'\\x01'::pg_catalog.bytea";

/// Changes of events. `changes` is a FROM item with columns `profile_id`, `n` (1 or -1), `event_type_id`, `day` (since 2000-01-01) and
/// `properties`. Where they cancel out (an event that moves within its day, two identifiers that swap their profiles), a row is left all the same:
/// what sessions keep of the events of a day is known by the rows of its key. A tracked property with too many values loses its day columns, which `false` tells; a measure that does not fit makes its column stale.
pub fn events(ws: &Workspace, column: &DayColumn, changes: &str) -> Result<bool, CdpError> {
    // The column without a measure comes first and learns the values for the others.
    if let (Some((name, ty, dictionary_id)), None) = (&column.property, &column.measure) {
        let text = dictionary_text_sql(ty, &property_sql("c.properties", name, ty));
        let values =
            format!("SELECT {text} AS value FROM {changes} c WHERE c.event_type_id = {}", column.event_type_id);
        if learn(ws, *dictionary_id, &values)? > MOST_TRACKED_VALUES {
            return untrack(ws, column, name).map(|()| false);
        }
    }
    if let Some((name, ty)) = &column.measure {
        let typed = property_sql("c.properties", name, ty);
        let value = integer_sql(ty, &typed, column.scale, true)?;
        let unfit = spi::one::<bool>(
            &ws.sql(&format!("SELECT true FROM {changes} c WHERE c.event_type_id = $1 AND {typed} IS NOT NULL AND {value} IS NULL LIMIT 1")),
            &[column.event_type_id.into()],
        )?;
        if unfit.is_some() {
            return retire(ws, column.column_id, "stale").map(|()| true);
        }
    }
    spi::run(&ws.sql(&into_pending(&event_cells_sql(column, changes)?)), &[column.column_id.into()])?;
    Ok(true)
}

/// SQL giving the cells (key, shard, cells) of a day column for changes of events, as [`events`] takes them. Where they cancel out there is a row all the same. The values are known
/// and fit.
pub fn event_cells_sql(column: &DayColumn, changes: &str) -> Result<String, CdpError> {
    let mut filter = format!("c.event_type_id = {}", column.event_type_id);
    let (mut join, mut code) = (String::new(), "0");
    if let Some((name, ty, dictionary_id)) = &column.property {
        let text = dictionary_text_sql(ty, &property_sql("c.properties", name, ty));
        join = format!("JOIN @ws@.dictionary d ON d.dictionary_id = {dictionary_id} AND d.value = {text}");
        code = "d.code::pg_catalog.int8";
    }
    let mut v = "0::pg_catalog.int8".to_owned();
    if let Some((name, ty)) = &column.measure {
        let typed = property_sql("c.properties", name, ty);
        filter.push_str(&format!(" AND {typed} IS NOT NULL"));
        v = format!("c.n * {}", integer_sql(ty, &typed, column.scale, true)?);
    }
    Ok(format!(
        "SELECT ({code} << 32) | (c.day + 2147483648) AS key, (c.profile_id >> 20)::integer AS shard, \
                coalesce(@ext@._cdp_cells_agg((c.profile_id & 1048575)::integer, c.n, {v}), {NO_CHANGE}) AS cells \
         FROM {changes} c {join} WHERE {filter} GROUP BY 1, 2"
    ))
}

/// Stops keeping day columns by value for a property that turned out to have too many values.
pub fn untrack(ws: &Workspace, column: &DayColumn, name: &str) -> Result<(), CdpError> {
    let Some(property_id) = column.property_id else { return Ok(()) };
    pgrx::notice!(
        "property \"{name}\" has more than {MOST_TRACKED_VALUES} distinct values: it is no longer tracked by day and is read from the events"
    );
    for id in spi::rows(
        &ws.sql("SELECT c.column_id FROM @ws@.store_column c WHERE c.property_id = $1"),
        &[property_id.into()],
        |row| spi::must::<i32>(row, 1),
    )? {
        retire(ws, id, "off")?;
    }
    spi::run(&ws.sql("UPDATE @ws@.property SET tracked = false WHERE property_id = $1"), &[property_id.into()])?;
    Ok(())
}

/// Who comes into a set column with the one key 0, and who leaves it.
pub fn members(
    ws: &Workspace,
    column_id: i32,
    come: &[i64],
    gone: &[i64],
    together: &mut Together<'_>,
) -> Result<(), CdpError> {
    let mut shards: BTreeMap<i32, Gather> = BTreeMap::new();
    for (profiles, n) in [(come, 1), (gone, -1)] {
        for profile in profiles {
            let shard = i32::try_from(profile >> SHARD_BITS)
                .map_err(|_| CdpError::internal(format!("profile {profile} is out of range")))?;
            let offset = (profile & ((1 << SHARD_BITS) - 1)) as u32;
            shards.entry(shard).or_default().push(Cell { offset, n, v: 0 });
        }
    }
    let (mut numbers, mut cells) = (Vec::with_capacity(shards.len()), Vec::with_capacity(shards.len()));
    for (shard, mut changes) in shards {
        let bytes = changes.encode()?;
        if bytes.len() > NO_CELLS {
            numbers.push(shard);
            cells.push(bytes);
        }
    }
    let columns = [Column::EachInt4(column_id), Column::EachInt8(0), Column::Int4(&numbers), Column::Bytea(&cells)];
    if !append::append(&ws.name, &PENDING, &columns, numbers.len())? {
        together.add(
            &ws.sql("INSERT INTO @ws@.pending (column_id, key, shard, cells) SELECT $1, 0, x.shard, x.cells FROM unnest($2::pg_catalog.int4[], $3::pg_catalog.bytea[]) AS x(shard, cells)"),
            [column_id.into(), numbers.into(), cells.into()],
        );
    }
    Ok(())
}

/// As new rows see it (sql/workspace/60_store.sql).
const PENDING: Shape = Shape { name: "pending", columns: Some(4), checks: 0, without: &[] };

/// How many bytes no change takes.
const NO_CELLS: usize = 1;

/// SQL giving the wide table's value of an attribute.
pub fn current_value(attribute: &AttributeColumn) -> String {
    format!("v.{}", value_column(&attribute.name))
}
