//! Computing a tag for everybody and writing what changed.

use super::registry::Tag;
use super::{manual, settings};
use crate::error::CdpError;
use crate::expr::catalog::type_of;
use crate::expr::question::{Moment, Question};
use crate::pg::{spi, temp};
use crate::profile::history;
use crate::store::column::{pg_type, value_column};
use crate::store::emit;
use crate::store::group::Place;
use crate::workspace::Workspace;
use pgrx::datum::TimestampWithTimeZone;
use std::time::Instant;

/// What a refresh did.
pub struct Refreshed {
    /// Profiles with a value.
    pub profiles: i64,
    /// Values that changed.
    pub changed: i64,
    /// Milliseconds.
    pub ms: f64,
}

/// Refreshes a tag. Needs the workspace lock.
///
/// # Errors
/// 55000 for one that is retired, 23514 for a value that is not allowed, and whatever its expression raises.
pub fn refresh(ws: &Workspace, tag: &Tag, as_of: Option<TimestampWithTimeZone>) -> Result<Refreshed, CdpError> {
    let begun = Instant::now();
    if tag.state == "retired" {
        return Err(CdpError::wrong_state(format!("tag \"{}\" is retired", tag.name))
            .with_hint("It keeps its values. Take it up again with cdp_tag_alter() and {\"state\": \"active\"}."));
    }
    let moment = Moment::new(as_of)?;
    let now = spi::one::<TimestampWithTimeZone>("SELECT coalesce($1::pg_catalog.timestamptz, now())", &[as_of.into()])?
        .ok_or_else(|| CdpError::internal("there is no moment"))?;
    let values = match &tag.expression {
        Some(expression) => {
            Question::about(ws, tag.group.clone(), expression, Some(type_of(&tag.ty)?), moment)?.values_sql()
        }
        None => manual::values_sql(ws, tag, now, None)?,
    };
    let column = value_column(&tag.name);
    let Place { live, .. } = tag.place();
    let changed = compare(ws, tag, &values)?;
    if let Some(allowed) = &tag.allowed {
        settings::refuse_others(ws, &tag.name, &tag.ty, "SELECT c.after FROM pg_temp.cdp_change c", allowed)?;
    }
    write(ws, tag)?;
    remember(ws, tag, now)?;
    spi::run("DROP TABLE pg_temp.cdp_change", &[])?;
    crate::store::flush::flush(ws)?;
    let (profiles, people) =
        spi::rows(&ws.sql(&format!("SELECT count(v.{column}), count(*) FROM {live} v")), &[], |row| {
            Ok((spi::must::<i64>(row, 1)?, spi::must::<i64>(row, 2)?))
        })?
        .into_iter()
        .next()
        .unwrap_or_default();
    let distinct = if changed == 0 && tag.refreshed_as_of.is_some() { None } else { Some(distinct(ws, tag)?) };
    let ms = (begun.elapsed().as_secs_f64() * 1e6).round() / 1e3;
    spi::run(
        &ws.sql(
            "UPDATE @ws@.attribute SET refreshed_at = clock_timestamp(), refreshed_as_of = $2, profiles = $3, people = $4, distinct_values = coalesce($5, distinct_values), changed = $6, refresh_ms = $7 \
             WHERE attribute_id = $1",
        ),
        &[
            tag.attribute_id.into(),
            now.into(),
            profiles.into(),
            people.into(),
            distinct.into(),
            changed.into(),
            ms.into(),
        ],
    )?;
    spi::run(
        &ws.sql(
            "INSERT INTO @ws@.tag_refresh AS r (attribute_id, at, version, profiles, changed, ms) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (attribute_id, at) DO UPDATE SET refreshed_at = clock_timestamp(), version = excluded.version, profiles = excluded.profiles, changed = excluded.changed, ms = excluded.ms",
        ),
        &[tag.attribute_id.into(), now.into(), tag.version.into(), profiles.into(), changed.into(), ms.into()],
    )?;
    Ok(Refreshed { profiles, changed, ms })
}

/// Puts into `cdp_change` whose value of a tag becomes another one by a query of `profile_id` and `value`. Returns how many that are.
pub(super) fn compare(ws: &Workspace, tag: &Tag, values: &str) -> Result<i64, CdpError> {
    let column = value_column(&tag.name);
    let ty = pg_type(&tag.ty);
    let Place { table, key, .. } = tag.place();
    temp::drop("cdp_change")?;
    spi::run(
        &ws.sql(&format!(
            "CREATE TEMPORARY TABLE cdp_change ON COMMIT DROP AS SELECT q.profile_id, v.{column} AS before, q.value::pg_catalog.{ty} AS after FROM ({values}) q JOIN {table} v ON v.{key} = q.profile_id \
             WHERE v.{column} IS DISTINCT FROM q.value::pg_catalog.{ty}"
        )),
        &[],
    )?;
    spi::run("ANALYZE pg_temp.cdp_change", &[])?;
    Ok(spi::one::<i64>("SELECT count(*) FROM pg_temp.cdp_change", &[])?.unwrap_or(0))
}

/// Writes what `cdp_change` has to the bits and to the wide table.
pub(super) fn write(ws: &Workspace, tag: &Tag) -> Result<(), CdpError> {
    let column = value_column(&tag.name);
    let Place { table, key, .. } = tag.place();
    if let Some(bits) = emit::attribute_column(ws, tag.attribute_id)? {
        emit::attribute(ws, &bits, "pg_temp.cdp_change")?;
    }
    spi::run(
        &ws.sql(&format!(
            "UPDATE {table} v SET {column} = c.after FROM pg_temp.cdp_change c WHERE v.{key} = c.profile_id"
        )),
        &[],
    )?;
    Ok(())
}

/// Enters the changes into the history. The first values of a tag, and of profiles that are new since its last refresh, are no change.
fn remember(ws: &Workspace, tag: &Tag, now: TimestampWithTimeZone) -> Result<(), CdpError> {
    let (Some(last), Some(ran)) = (tag.refreshed_as_of, tag.refreshed_at) else {
        let set = tag.expression.is_none();
        return if set {
            history::refreshed(ws, &tag.place(), tag.attribute_id, &tag.name, "pg_temp.cdp_change", now, true)
        } else {
            Ok(())
        };
    };
    let newest = spi::one::<bool>(
        &ws.sql("SELECT $2 >= max(r.at) AND $3 = max(r.at) FROM @ws@.tag_refresh r WHERE r.attribute_id = $1"),
        &[tag.attribute_id.into(), now.into(), last.into()],
    )?;
    let ran = spi::one::<String>("SELECT quote_literal($1::pg_catalog.text)", &[ran.into()])?.unwrap_or_default();
    let changes = ws.sql(&format!(
        "(SELECT c.profile_id, c.before, c.after FROM pg_temp.cdp_change c JOIN {} p USING (profile_id) WHERE c.before IS NOT NULL OR p.created_at <= {ran}::pg_catalog.timestamptz)",
        tag.place().born
    ));
    history::refreshed(ws, &tag.place(), tag.attribute_id, &tag.name, &changes, now, newest == Some(true))
}

/// How many different values there are: from the bits where each value has its own, else from the table.
fn distinct(ws: &Workspace, tag: &Tag) -> Result<i64, CdpError> {
    let bits = emit::attribute_column(ws, tag.attribute_id)?;
    let count = match bits.filter(|bits| bits.state == "ready" && bits.encoding == "set") {
        Some(bits) => spi::one::<i64>(
            &ws.sql("SELECT count(DISTINCT c.key) FROM @ws@.chunk c WHERE c.column_id = $1"),
            &[bits.column_id.into()],
        )?,
        None => spi::one::<i64>(
            &ws.sql(&format!(
                "SELECT count(*) FROM (SELECT DISTINCT v.{column} FROM {} v WHERE v.{column} IS NOT NULL) x",
                tag.place().live,
                column = value_column(&tag.name)
            )),
            &[],
        )?,
    };
    Ok(count.unwrap_or(0))
}
