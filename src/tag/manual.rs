//! `cdp_tag_set`: values that somebody gives, with reason and expiry.
//!
//! A value is kept on the identifier that founded the profile. Of all identifiers that a profile holds, the value that was set last and has not expired
//! counts, so that a merge loses none and the side that a profile came from can be told.

use super::registry::{self, Tag};
use super::{group, settings};
use crate::error::{CdpError, given};
use crate::identity;
use crate::pg::spi;
use crate::profile::history;
use crate::store::column::{pg_type, value_column};
use crate::store::emit;
use crate::store::group::Place;
use crate::workspace::{self, Workspace};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::quote_literal;

/// SQL giving `profile_id` and `value` of a tag that is set, at a moment, for everybody or for those whose number is `whom`: `= 7`, `IN (…)`.
pub fn values_sql(
    ws: &Workspace,
    tag: &Tag,
    moment: TimestampWithTimeZone,
    whom: Option<&str>,
) -> Result<String, CdpError> {
    if let Some(group) = &tag.group {
        return group::values_sql(ws, tag, group, moment, whom);
    }
    let moment = spi::one::<String>("SELECT $1::pg_catalog.text", &[moment.into()])?
        .ok_or_else(|| CdpError::internal("there is no moment"))?;
    let (id, moment) = (tag.attribute_id, quote_literal(moment));
    let some = |column: &str| whom.map_or_else(String::new, |whom| format!(" AND {column}.profile_id {whom}"));
    Ok(ws.sql(&format!(
        "SELECT p.profile_id, w.value::pg_catalog.{} AS value FROM @ws@.profile_value p LEFT JOIN (SELECT DISTINCT ON (n.profile_id) n.profile_id, v.value \
             FROM @ws@.tag_value v JOIN @ws@.node n USING (node_id) WHERE v.attribute_id = {id} AND (v.expires_at IS NULL OR v.expires_at > {moment}::pg_catalog.timestamptz){} \
             ORDER BY n.profile_id, v.set_at DESC, v.node_id) w USING (profile_id) WHERE true{}",
        pg_type(&tag.ty),
        some("n"),
        some("p")
    )))
}

/// The tag of this name, whose values can be set.
pub(super) fn settable(ws: &Workspace, name: &str) -> Result<Tag, CdpError> {
    let tag = registry::find(ws, name)?;
    if tag.expression.is_some() {
        return Err(CdpError::wrong_state(format!("tag \"{name}\" is computed from an expression")).with_hint(
            "Set values of a tag without one: cdp_tag_create('name', NULL, settings => '{\"type\": \"text\"}').",
        ));
    }
    if tag.state == "retired" {
        return Err(CdpError::wrong_state(format!("tag \"{name}\" is retired"))
            .with_hint("Take it up again with cdp_tag_alter() and {\"state\": \"active\"}."));
    }
    Ok(tag)
}

pub(super) fn nobody(profile_id: i64) -> CdpError {
    CdpError::undefined_object("profile", &profile_id.to_string())
        .with_hint("Find a profile by an identifier with cdp_profile_id().")
}

/// The moment of setting, before which nothing may expire.
pub(super) fn moment(expires: Option<TimestampWithTimeZone>) -> Result<TimestampWithTimeZone, CdpError> {
    let now = spi::rows_cached(
        "SELECT clock_timestamp(), $1::pg_catalog.timestamptz <= clock_timestamp()",
        &[expires.into()],
        |row| Ok((spi::must::<TimestampWithTimeZone>(row, 1)?, row.get::<bool>(2)?)),
    )?;
    let Some((now, past)) = now.into_iter().next() else { return Err(CdpError::internal("there is no moment")) };
    if past == Some(true) {
        return Err(CdpError::invalid_parameter("expires lies in the past")
            .with_hint("Give a moment to come; to take a value away set NULL."));
    }
    Ok(now)
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_tag_set(
    name: Option<&str>,
    profile_id: Option<i64>,
    value: Option<&str>,
    reason: default!(Option<&str>, "NULL"),
    expires: default!(Option<TimestampWithTimeZone>, "NULL"),
) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        let (name, profile_id) = (given(name, "name")?, given(profile_id, "profile_id")?);
        ws.lock()?;
        let tag = settable(ws, name)?;
        let live = match &tag.group {
            Some(group) => group::live(ws, group, profile_id)?,
            None => identity::resolve(ws, profile_id)?.ok_or_else(|| nobody(profile_id))?,
        };
        let value = value.map(|value| settings::canonical(value, &tag.ty)).transpose()?;
        if let (Some(value), Some(allowed)) = (&value, &tag.allowed) {
            let values = format!("SELECT {}::pg_catalog.{} AS after", quote_literal(value), pg_type(&tag.ty));
            settings::refuse_others(ws, name, &tag.ty, &values, allowed)?;
        }
        let now = moment(expires)?;
        if tag.group.is_some() {
            group::keep(ws, &tag, live, value.as_deref(), reason, expires, now)?;
            return write_one(ws, &tag, live, now);
        }
        spi::rows_cached(
            &ws.sql(
                "INSERT INTO @ws@.tag_value AS t (attribute_id, node_id, value, reason, expires_at, set_at) \
                 SELECT $1, p.founding_node, $3, $4, $5, $6 FROM @ws@.profile p WHERE p.profile_id = $2 \
                 ON CONFLICT (attribute_id, node_id) DO UPDATE SET value = excluded.value, reason = excluded.reason, author = SESSION_USER, \
                     set_at = excluded.set_at, expires_at = excluded.expires_at",
            ),
            &[
                tag.attribute_id.into(),
                live.into(),
                value.into(),
                reason.into(),
                expires.into(),
                now.into(),
            ],
            |_| Ok(()),
        )?;
        write_one(ws, &tag, live, now)
    })?)
}

/// Writes the value that one profile has now, if it is another.
fn write_one(ws: &Workspace, tag: &Tag, profile_id: i64, now: TimestampWithTimeZone) -> Result<(), CdpError> {
    let column = value_column(&tag.name);
    let ty = pg_type(&tag.ty);
    let place = tag.place();
    let Place { table, key, .. } = &place;
    let found = spi::rows(
        &ws.sql(&format!(
            "SELECT v.{column}::pg_catalog.text, q.value::pg_catalog.text FROM ({}) q JOIN {table} v ON v.{key} = q.profile_id WHERE v.{column} IS DISTINCT FROM q.value",
            values_sql(ws, tag, now, Some(&format!("= {profile_id}")))?
        )),
        &[],
        |row| Ok((row.get::<String>(1)?, row.get::<String>(2)?)),
    )?;
    let Some((before, after)) = found.into_iter().next() else { return Ok(()) };
    let literal = |value: &Option<String>| value.as_ref().map_or_else(|| "NULL".to_owned(), quote_literal);
    let change = format!(
        "(SELECT {profile_id}::pg_catalog.int8 AS profile_id, {}::pg_catalog.{ty} AS before, {}::pg_catalog.{ty} AS after)",
        literal(&before),
        literal(&after)
    );
    if let Some(bits) = emit::attribute_column(ws, tag.attribute_id)? {
        emit::attribute(ws, &bits, &change)?;
    }
    spi::run(
        &ws.sql(&format!("UPDATE {table} v SET {column} = c.after FROM {change} c WHERE v.{key} = c.profile_id")),
        &[],
    )?;
    history::refreshed(ws, &place, tag.attribute_id, &tag.name, &change, now, true)
}
