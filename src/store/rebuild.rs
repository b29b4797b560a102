//! Rebuilding a column from the facts it stands for.

use super::column::{
    MOST_SCALE, add_forward, clear, coded, day_sql, dictionary_text_sql, integer_sql, keep_as_numbers, learn,
    property_sql, retire,
};
use super::emit::{self, AttributeColumn, DayColumn};
use super::{FORWARD_FROM, MOST_EQUALITY_VALUES};
use crate::error::CdpError;
use crate::pg::spi;
use crate::workspace::Workspace;

/// Rebuilds every stale column of facts, or takes it out of bits for good when its values cannot be kept, and empties the stale forward columns.
/// Returns how many chunks were written.
pub fn stale(ws: &Workspace) -> Result<u64, CdpError> {
    let mut written = 0;
    for column_id in stale_forwards(ws)? {
        clear(ws, column_id)?;
    }
    for kind in ["trait", "tag"] {
        for column in emit::attribute_columns(ws, kind)?.into_iter().filter(|c| c.state == "stale") {
            clear(ws, column.column_id)?;
            written += match column.ty.as_str() {
                "text[]" => elements(ws, column).map(|()| 0)?,
                ty if coded(ty) => codes(ws, &column)?,
                _ => numbers(ws, &column)?,
            };
        }
    }
    let mut lost = Vec::new();
    for mut column in emit::day_columns(ws, "stale")? {
        let property = column.property_id;
        if !lost.contains(&property) && !days(ws, &mut column)? {
            lost.push(property);
        }
    }
    Ok(written)
}

fn stale_forwards(ws: &Workspace) -> Result<Vec<i32>, CdpError> {
    spi::rows(
        &ws.sql(
            "SELECT c.column_id FROM @ws@.store_column c WHERE c.kind = 'forward' AND c.state = 'stale' ORDER BY 1",
        ),
        &[],
        |row| spi::must::<i32>(row, 1),
    )
}

/// Builds the stale forward columns, which [`stale`] has emptied, from the sets they stand beside: a few thousand chunks are read in place of every
/// profile. Nothing may be pending. Where the sets are not ready, the column stays stale. Returns how many chunks were written.
pub fn forwards(ws: &Workspace) -> Result<u64, CdpError> {
    let mut written = 0;
    for forward in stale_forwards(ws)? {
        let sets = spi::one::<i32>(
            &ws.sql(
                "SELECT s.column_id FROM @ws@.store_column f JOIN @ws@.store_column s ON s.attribute_id = f.attribute_id AND s.kind = 'attribute' \
                 WHERE f.column_id = $1 AND s.encoding = 'set' AND s.state = 'ready'",
            ),
            &[forward.into()],
        )?;
        let Some(sets) = sets else { continue };
        written += spi::run(
            &ws.sql(
                "INSERT INTO @ws@.chunk (column_id, key, shard, bits) \
                 SELECT $1, 0, c.shard, @ext@._cdp_codes_agg(c.key, c.bits) FROM @ws@.chunk c WHERE c.column_id = $2 GROUP BY c.shard",
            ),
            &[forward.into(), sets.into()],
        )?;
        ready(ws, forward, 0)?;
    }
    Ok(written)
}

/// Builds the column of an attribute whose values have codes. The values are few beside the profiles: profiles are grouped by value before the
/// dictionary is asked.
fn codes(ws: &Workspace, column: &AttributeColumn) -> Result<u64, CdpError> {
    let value = emit::current_value(column);
    let text = dictionary_text_sql(&column.ty, "x.value");
    let distinct = if column.ty == "boolean" {
        format!(
            "SELECT 'true' AS value WHERE EXISTS (SELECT FROM @ws@.profile_value v WHERE {value}) \
             UNION ALL SELECT 'false' WHERE EXISTS (SELECT FROM @ws@.profile_value v WHERE NOT {value})"
        )
    } else {
        format!("SELECT DISTINCT {value} AS value FROM @ws@.profile_value v")
    };
    let values = learn(ws, column.dictionary_id, &distinct)?;
    let mut set = column.encoding == "set";
    if set && values > MOST_EQUALITY_VALUES {
        keep_as_numbers(ws, column.attribute_id, column.column_id)?;
        set = false;
    }
    if set && values >= FORWARD_FROM {
        add_forward(ws, column.attribute_id)?;
    }
    ready(ws, column.column_id, column.scale)?;
    let place = "(v.profile_id >> 20)::integer AS shard, (v.profile_id & 1048575)::integer AS place";
    let sql = if set {
        format!(
            "INSERT INTO @ws@.chunk (column_id, key, shard, bits) SELECT $1, d.code, x.shard, x.bits \
             FROM (SELECT p.value, p.shard, @ext@._cdp_offsets_agg(p.place) AS bits FROM (SELECT {value} AS value, {place} FROM @ws@.profile_value v WHERE {value} IS NOT NULL) p GROUP BY 1, 2) x \
             JOIN @ws@.dictionary d ON d.dictionary_id = $2 AND d.value = {text}"
        )
    } else {
        format!(
            "INSERT INTO @ws@.chunk (column_id, key, shard, bits) SELECT $1, 0, x.shard, @ext@._cdp_fold('number', NULL, ARRAY[x.cells]) \
             FROM (SELECT p.shard, @ext@._cdp_cells_agg(p.place, 1, d.code) AS cells FROM (SELECT {value} AS value, {place} FROM @ws@.profile_value v) p \
                   JOIN @ws@.dictionary d ON d.dictionary_id = $2 AND d.value = {} GROUP BY 1) x",
            dictionary_text_sql(&column.ty, "p.value")
        )
    };
    spi::run(&ws.sql(&sql), &[column.column_id.into(), column.dictionary_id.into()])
}

/// Builds the column of an attribute of several values: as changes from none, which the fold that follows makes chunks of.
fn elements(ws: &Workspace, mut column: AttributeColumn) -> Result<(), CdpError> {
    ready(ws, column.column_id, column.scale)?;
    column.state = "ready".to_owned();
    let value = emit::current_value(&column);
    let changes = format!(
        "(SELECT v.profile_id, NULL::pg_catalog.text[] AS before, {value} AS after FROM @ws@.profile_value v WHERE {value} IS NOT NULL)"
    );
    emit::attribute(ws, &column, &changes)?;
    still_ready(ws, column.column_id, &format!("attribute \"{}\"", column.name))
}

/// Builds the column of an attribute of numbers, dates or times.
fn numbers(ws: &Workspace, column: &AttributeColumn) -> Result<u64, CdpError> {
    let what = format!("attribute \"{}\"", column.name);
    let value = emit::current_value(column);
    let Some(scale) = scale(ws, &column.ty, &format!("SELECT {value} AS value FROM @ws@.profile_value v"))? else {
        return off(ws, column.column_id, &what).map(|()| 0);
    };
    ready(ws, column.column_id, scale)?;
    // One value that does not fit keeps all out.
    let unfit = spi::one::<bool>(
        &ws.sql(&format!(
            "WITH x AS (SELECT p.shard, bool_or(p.v IS NULL) AS unfit, @ext@._cdp_cells_agg(p.place, 1, p.v) AS cells \
               FROM (SELECT (v.profile_id >> 20)::integer AS shard, (v.profile_id & 1048575)::integer AS place, {} AS v FROM @ws@.profile_value v WHERE {value} IS NOT NULL) p GROUP BY 1), \
             written AS (INSERT INTO @ws@.chunk (column_id, key, shard, bits) SELECT $1, 0, x.shard, @ext@._cdp_fold('number', NULL, ARRAY[x.cells]) \
               FROM x WHERE NOT EXISTS (SELECT FROM x WHERE x.unfit)) \
             SELECT bool_or(x.unfit) FROM x",
            integer_sql(&column.ty, &value, scale, false)?
        )),
        &[column.column_id.into()],
    )?;
    if unfit == Some(true) {
        return off(ws, column.column_id, &what).map(|()| 0);
    }
    // Without a value no chunk is written.
    Ok(u64::from(unfit.is_some()))
}

fn days(ws: &Workspace, column: &mut DayColumn) -> Result<bool, CdpError> {
    clear(ws, column.column_id)?;
    let changes = format!(
        "(SELECT n.profile_id, 1::pg_catalog.int8 AS n, e.event_type_id, {day}::pg_catalog.int8 AS day, e.properties FROM @ws@.event_facts e JOIN @ws@.node n USING (node_id) \
          WHERE e.event_type_id = {event_type_id} AND n.profile_id IS NOT NULL AND isfinite(e.at))",
        day = day_sql("e.at"),
        event_type_id = column.event_type_id
    );
    if let Some((name, ty)) = &column.measure {
        let value = property_sql("c.properties", name, ty);
        let Some(scale) = scale(ws, ty, &format!("SELECT {value} AS value FROM {changes} c"))? else {
            return off(ws, column.column_id, &format!("property \"{name}\"")).map(|()| true);
        };
        column.scale = scale;
        ready(ws, column.column_id, column.scale)?;
        emit::events(ws, column, &changes)?;
        return still_ready(ws, column.column_id, &format!("property \"{name}\"")).map(|()| true);
    }
    ready(ws, column.column_id, column.scale)?;
    emit::events(ws, column, &changes)
}

/// The digits after the point that the values need; `None` when they need too many.
fn scale(ws: &Workspace, ty: &str, values: &str) -> Result<Option<i32>, CdpError> {
    if ty != "numeric" {
        return Ok(Some(0));
    }
    // scale() of NaN and infinity is NULL: such values show when the cells are written.
    let needed = spi::one::<i32>(&ws.sql(&format!("SELECT max(scale(trim_scale(x.value))) FROM ({values}) x")), &[])?
        .unwrap_or(0);
    Ok((needed <= MOST_SCALE).then_some(needed.max(super::column::DEFAULT_SCALE)))
}

fn ready(ws: &Workspace, column_id: i32, scale: i32) -> Result<(), CdpError> {
    spi::run(
        &ws.sql("UPDATE @ws@.store_column SET state = 'ready', scale = $2 WHERE column_id = $1"),
        &[column_id.into(), scale.into()],
    )?;
    Ok(())
}

/// A column that was made stale again by its own rebuild holds a value that bits cannot keep.
fn still_ready(ws: &Workspace, column_id: i32, what: &str) -> Result<(), CdpError> {
    let state = spi::one::<String>(
        &ws.sql("SELECT c.state FROM @ws@.store_column c WHERE c.column_id = $1"),
        &[column_id.into()],
    )?;
    if state.as_deref() == Some("stale") { off(ws, column_id, what) } else { Ok(()) }
}

fn off(ws: &Workspace, column_id: i32, what: &str) -> Result<(), CdpError> {
    pgrx::notice!(
        "{what} has values that bits cannot keep (more than {MOST_SCALE} digits after the point, too large, NaN or infinite): it is read from the tables"
    );
    retire(ws, column_id, "off")
}
