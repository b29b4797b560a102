//! Values that attributes had: one row for each change, of tags as of the refresh that found it, of traits as of the observation.
//!
//! Whoever has no row has always had the present value, as far as is known. The first change of a value so makes two rows: what was before, from
//! -infinity on, and what is now.

use crate::error::{CdpError, given};
use crate::expr::catalog::Catalog;
use crate::identity;
use crate::pg::spi;
use crate::store::column::value_column;
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

/// Enters changes that a refresh of a tag found. `changes` is as for [`newer`], without the moment; `last` is the moment of the refresh before, `now` of this one.
pub fn refreshed(
    ws: &Workspace,
    attribute_id: i32,
    name: &str,
    changes: &str,
    last: TimestampWithTimeZone,
    now: TimestampWithTimeZone,
) -> Result<(), CdpError> {
    let (last_micros, now_micros): (i64, i64) = (last.into(), now.into());
    if now_micros < last_micros {
        // A moment in the past is filled in: what was found at the later moment still holds from there on.
        spi::run(
            &ws.sql(&format!(
                "WITH c AS MATERIALIZED (SELECT c.profile_id, c.before::pg_catalog.text AS before, c.after::pg_catalog.text AS after FROM {changes} c), \
                 later AS (INSERT INTO @ws@.attribute_history (attribute_id, profile_id, from_at, value) \
                     SELECT $1, c.profile_id, $2, c.before FROM c WHERE NOT EXISTS (SELECT FROM @ws@.attribute_history h \
                         WHERE h.attribute_id = $1 AND h.profile_id = c.profile_id AND h.from_at > $3 AND h.from_at <= $2)) \
                 INSERT INTO @ws@.attribute_history AS h (attribute_id, profile_id, from_at, value) SELECT $1, c.profile_id, $3, c.after FROM c \
                 ON CONFLICT (attribute_id, profile_id, from_at) DO UPDATE SET value = excluded.value"
            )),
            &[attribute_id.into(), last.into(), now.into()],
        )?;
        return Ok(());
    }
    // After a moment in the past was filled in, the value that was there is not the last one known.
    spi::run(
        &ws.sql(&format!(
            "INSERT INTO @ws@.attribute_history AS h (attribute_id, profile_id, from_at, value) \
             SELECT $1, k.profile_id, $3, v.{column}::pg_catalog.text \
             FROM (SELECT DISTINCT ON (h.profile_id) h.profile_id, h.value FROM @ws@.attribute_history h \
                   WHERE h.attribute_id = $1 AND h.from_at <= $3 AND EXISTS (SELECT FROM @ws@.attribute_history l WHERE l.attribute_id = $1 AND l.profile_id = h.profile_id AND l.from_at > $2) \
                   ORDER BY h.profile_id, h.from_at DESC) k \
             JOIN @ws@.profile_value v USING (profile_id) WHERE v.{column}::pg_catalog.text IS DISTINCT FROM k.value \
             ON CONFLICT (attribute_id, profile_id, from_at) DO UPDATE SET value = excluded.value",
            column = value_column(name)
        )),
        &[attribute_id.into(), last.into(), now.into()],
    )?;
    let moment = spi::one::<String>("SELECT quote_literal($1::pg_catalog.text)", &[now.into()])?.unwrap_or_default();
    let changes = format!(
        "(SELECT x.profile_id, x.before, x.after, {moment}::pg_catalog.timestamptz AS moment FROM {changes} x)"
    );
    newer(ws, attribute_id, &changes, true)
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
        let catalog = Catalog::load(ws)?;
        let Some(attribute) = catalog.attributes.get(name) else {
            let hint = match pg_cdp_core::expr::error::nearest(name, catalog.attributes.keys().cloned()) {
                Some(near) => format!("Did you mean \"{near}\"?"),
                None => format!("See the view {}.attributes.", ws.schema()),
            };
            return Err(CdpError::undefined_object("attribute", name).with_hint(hint));
        };
        let Some(live) = identity::resolve(ws, profile_id)? else { return Ok(None) };
        at(ws, attribute.attribute_id, name, live, ts)
    })?)
}

/// The last value kept from a moment not later, else the earliest, else the present one.
fn at(
    ws: &Workspace,
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
            "SELECT v.{}::pg_catalog.text FROM @ws@.profile_value v WHERE v.profile_id = $1",
            value_column(name)
        )),
        &[profile_id.into()],
        |row| Ok(row.get::<String>(1)?),
    )
    .map(|rows| rows.into_iter().next().flatten())
}
