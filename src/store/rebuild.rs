//! Rebuilding a column from the facts it stands for.

use super::column::{MOST_SCALE, clear, coded, day_sql, property_sql, retire};
use super::emit::{self, AttributeColumn, DayColumn};
use crate::error::CdpError;
use crate::pg::spi;
use crate::workspace::Workspace;

/// Rebuilds every stale column, or takes it out of bits for good when its values cannot be kept.
pub fn stale(ws: &Workspace) -> Result<(), CdpError> {
    for kind in ["trait", "tag"] {
        for mut column in emit::attribute_columns(ws, kind)?.into_iter().filter(|c| c.state == "stale") {
            attribute(ws, &mut column)?;
        }
    }
    let mut lost = Vec::new();
    for mut column in emit::day_columns(ws, "stale")? {
        let property = column.property_id;
        if !lost.contains(&property) && !days(ws, &mut column)? {
            lost.push(property);
        }
    }
    Ok(())
}

fn attribute(ws: &Workspace, column: &mut AttributeColumn) -> Result<(), CdpError> {
    clear(ws, column.column_id)?;
    let changes = format!(
        "(SELECT v.profile_id, NULL::pg_catalog.{ty} AS before, {value} AS after FROM @ws@.profile_value v)",
        ty = super::column::pg_type(&column.ty),
        value = emit::current_value(column)
    );
    if !coded(&column.ty) {
        let Some(scale) = scale(ws, &column.ty, &format!("SELECT c.after AS value FROM {changes} c"))? else {
            return off(ws, column.column_id, &format!("attribute \"{}\"", column.name));
        };
        column.scale = scale;
    }
    ready(ws, column.column_id, column.scale)?;
    column.state = "ready".to_owned();
    emit::attribute(ws, column, &changes)?;
    still_ready(ws, column.column_id, &format!("attribute \"{}\"", column.name))
}

fn days(ws: &Workspace, column: &mut DayColumn) -> Result<bool, CdpError> {
    clear(ws, column.column_id)?;
    let changes = format!(
        "(SELECT n.profile_id, 1::pg_catalog.int8 AS n, e.event_type_id, {day}::pg_catalog.int8 AS day, e.properties FROM @ws@.event e JOIN @ws@.node n USING (node_id) \
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
