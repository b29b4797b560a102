//! Values that attributes had: one row for each change, of tags as of the refresh that found it, of traits as of the observation.
//!
//! Whoever has no row has always had the present value, as far as is known. The first change of a value so makes two rows: what was before, from
//! -infinity on, and what is now.

use crate::error::{CdpError, given};
use crate::expr::catalog::Catalog;
use crate::identity;
use crate::pg::spi;
use crate::store::column::value_column;
use crate::store::group::{Group, Place};
use crate::workspace::{self, Workspace};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Enters changes of an attribute that are newer than what was known. `changes` is a FROM item with columns `profile_id`, `before`, `after` and `moment`.
/// A value that comes where none was is news only when `from_null`, or when something is known of the profile already: what a trait was before
/// it was first observed is not known.
pub fn newer(ws: &Workspace, attribute_id: i32, changes: &str, from_null: bool) -> Result<(), CdpError> {
    spi::run(
        &ws.sql(&format!(
            "WITH c AS MATERIALIZED (SELECT c.profile_id, c.before::pg_catalog.text AS before, c.after::pg_catalog.text AS after, c.moment, \
                    EXISTS (SELECT FROM @ws@.attribute_history h WHERE h.attribute_id = $1 AND h.profile_id = c.profile_id) AS known \
                 FROM {changes} c WHERE c.before IS DISTINCT FROM c.after), \
             base AS (INSERT INTO @ws@.attribute_history (attribute_id, profile_id, from_at, value) \
                 SELECT $1, c.profile_id, '-infinity', c.before FROM c WHERE NOT c.known AND ($2 OR c.before IS NOT NULL)) \
             INSERT INTO @ws@.attribute_history AS h (attribute_id, profile_id, from_at, value) \
             SELECT $1, c.profile_id, c.moment, c.after FROM c WHERE c.known OR $2 OR c.before IS NOT NULL \
             ON CONFLICT (attribute_id, profile_id, from_at) DO UPDATE SET value = excluded.value"
        )),
        &[attribute_id.into(), from_null.into()],
    )?;
    Ok(())
}

/// Enters what a refresh of a tag found. `changes` is as for [`newer`], without the moment; the values have been written already. `newest` tells that no other
/// refresh was as of a later moment and that the values before were those of the latest. `place` is where the values are.
///
/// A refresh says what the value was at its moment and leaves what other refreshes said of theirs.
pub fn refreshed(
    ws: &Workspace,
    place: &Place,
    attribute_id: i32,
    name: &str,
    changes: &str,
    now: TimestampWithTimeZone,
    newest: bool,
) -> Result<(), CdpError> {
    if newest {
        let moment =
            spi::one::<String>("SELECT quote_literal($1::pg_catalog.text)", &[now.into()])?.unwrap_or_default();
        let changes = format!(
            "(SELECT x.profile_id, x.before, x.after, {moment}::pg_catalog.timestamptz AS moment FROM {changes} x)"
        );
        return newer(ws, attribute_id, &changes, true);
    }
    // A moment in the past is filled in, or the present after that: who has a history is compared with what it says of the moment.
    spi::run(
        &ws.sql(&format!(
            "WITH next AS (SELECT min(r.at) AS at FROM @ws@.tag_refresh r WHERE r.attribute_id = $1 AND r.at > $2), \
             known AS MATERIALIZED (SELECT h.profile_id, (SELECT k.value FROM @ws@.attribute_history k WHERE k.attribute_id = $1 AND k.profile_id = h.profile_id \
                     ORDER BY k.from_at <= $2 DESC, CASE WHEN k.from_at <= $2 THEN k.from_at END DESC, k.from_at LIMIT 1) AS value \
                 FROM (SELECT DISTINCT h.profile_id FROM @ws@.attribute_history h WHERE h.attribute_id = $1) h), \
             c AS MATERIALIZED (SELECT k.profile_id, k.value AS before, v.{column}::pg_catalog.text AS after, true AS known \
                 FROM known k JOIN {table} v ON v.{key} = k.profile_id WHERE k.value IS DISTINCT FROM v.{column}::pg_catalog.text \
                 UNION ALL SELECT c.profile_id, c.before::pg_catalog.text, c.after::pg_catalog.text, false FROM {changes} c \
                     WHERE NOT EXISTS (SELECT FROM known k WHERE k.profile_id = c.profile_id)), \
             base AS (INSERT INTO @ws@.attribute_history (attribute_id, profile_id, from_at, value) \
                 SELECT $1, c.profile_id, '-infinity', c.before FROM c WHERE NOT c.known), \
             later AS (INSERT INTO @ws@.attribute_history (attribute_id, profile_id, from_at, value) \
                 SELECT $1, c.profile_id, n.at, c.before FROM c CROSS JOIN next n WHERE n.at IS NOT NULL AND NOT EXISTS (SELECT FROM @ws@.attribute_history h \
                     WHERE h.attribute_id = $1 AND h.profile_id = c.profile_id AND h.from_at > $2 AND h.from_at <= n.at)) \
             INSERT INTO @ws@.attribute_history AS h (attribute_id, profile_id, from_at, value) SELECT $1, c.profile_id, $2, c.after FROM c \
             ON CONFLICT (attribute_id, profile_id, from_at) DO UPDATE SET value = excluded.value",
            column = value_column(name),
            table = place.table,
            key = place.key
        )),
        &[attribute_id.into(), now.into()],
    )?;
    Ok(())
}

/// Forgets an attribute that is dropped.
pub fn forget(ws: &Workspace, attribute_id: i32) -> Result<(), CdpError> {
    spi::run(&ws.sql("DELETE FROM @ws@.attribute_history WHERE attribute_id = $1"), &[attribute_id.into()])?;
    Ok(())
}

#[pg_extern(stable, parallel_unsafe)]
fn cdp_attribute_at(
    profile_id: Option<i64>,
    name: Option<&str>,
    ts: Option<TimestampWithTimeZone>,
) -> Result<Option<String>, ErrorReport> {
    Ok(workspace::enter_reading(|ws| {
        let (profile_id, name, ts) = (given(profile_id, "profile_id")?, given(name, "name")?, given(ts, "ts")?);
        let mut catalog = Catalog::load(ws)?;
        let group = catalog.elsewhere.get(name).map(|entity| Group::named(ws, entity)).transpose()?.flatten();
        if let Some(group) = &group {
            catalog = Catalog::of_group(ws, group)?;
        }
        let Some(attribute) = catalog.attributes.get(name) else {
            let hint = match pg_cdp_core::expr::error::nearest(name, catalog.attributes.keys().cloned()) {
                Some(near) => format!("Did you mean \"{near}\"?"),
                None => format!("See the view {}.attributes.", ws.schema()),
            };
            return Err(CdpError::undefined_object("attribute", name).with_hint(hint));
        };
        let live = match &group {
            Some(group) => group.resolve(ws, profile_id)?,
            None => identity::resolve(ws, profile_id)?,
        };
        let Some(live) = live else { return Ok(None) };
        at(ws, &Place::of(group.as_ref()), attribute.attribute_id, name, live, ts)
    })?)
}

/// The last value kept from a moment not later, else the earliest, else the present one.
fn at(
    ws: &Workspace,
    place: &Place,
    attribute_id: i32,
    name: &str,
    profile_id: i64,
    ts: TimestampWithTimeZone,
) -> Result<Option<String>, CdpError> {
    let kept = spi::rows(
        &ws.sql(
            "(SELECT h.value, 1 AS n FROM @ws@.attribute_history h WHERE h.attribute_id = $1 AND h.profile_id = $2 AND h.from_at <= $3 ORDER BY h.from_at DESC LIMIT 1) \
             UNION ALL (SELECT h.value, 2 FROM @ws@.attribute_history h WHERE h.attribute_id = $1 AND h.profile_id = $2 ORDER BY h.from_at LIMIT 1) ORDER BY n LIMIT 1",
        ),
        &[attribute_id.into(), profile_id.into(), ts.into()],
        |row| Ok(row.get::<String>(1)?),
    )?;
    if let Some(value) = kept.into_iter().next() {
        return Ok(value);
    }
    spi::rows(
        &ws.sql(&format!(
            "SELECT v.{}::pg_catalog.text FROM {} v WHERE v.{} = $1",
            value_column(name),
            place.table,
            place.key
        )),
        &[profile_id.into()],
        |row| Ok(row.get::<String>(1)?),
    )
    .map(|rows| rows.into_iter().next().flatten())
}
