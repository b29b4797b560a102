//! `cdp_tag_import`: what [`super::manual`] sets for one profile, for many in one pass.

use super::manual::{self, moment, nobody, settable};
use super::registry::Tag;
use super::{group, refresh, settings};
use crate::error::{CdpError, given};
use crate::pg::{spi, temp};
use crate::profile::history;
use crate::store::column::pg_type;
use crate::store::flush;
use crate::workspace::{self, Workspace};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_tag_import(
    name: Option<&str>,
    profile_ids: Option<Vec<Option<i64>>>,
    values: Option<Vec<Option<String>>>,
    reason: default!(Option<&str>, "NULL"),
    expires: default!(Option<TimestampWithTimeZone>, "NULL"),
) -> Result<i64, ErrorReport> {
    Ok(workspace::enter_bulk(|ws| {
        let (name, ids) = (given(name, "name")?, given(profile_ids, "profile_ids")?);
        let values = given(values, "values")?;
        if ids.len() != values.len() {
            return Err(CdpError::invalid_parameter(format!(
                "there are {} profile_ids and {} values",
                ids.len(),
                values.len()
            ))
            .with_hint("Give a value for each profile; NULL takes one away."));
        }
        let ids = ids.into_iter().map(|id| given(id, "profile_ids")).collect::<Result<Vec<i64>, CdpError>>()?;
        ws.lock()?;
        let tag = settable(ws, name)?;
        let now = moment(expires)?;
        gather(ws, &tag, ids, values)?;
        if let Some(allowed) = &tag.allowed {
            let values = format!("SELECT g.value::pg_catalog.{} AS after FROM pg_temp.cdp_given g", pg_type(&tag.ty));
            settings::refuse_others(ws, name, &tag.ty, &values, allowed)?;
        }
        let (table, key, who) = match &tag.group {
            Some(_) => ("group_tag_value", "group_id", "SELECT g.profile_id AS id, g.value FROM pg_temp.cdp_given g"),
            None => (
                "tag_value",
                "node_id",
                "SELECT p.founding_node AS id, g.value FROM pg_temp.cdp_given g JOIN @ws@.profile p USING (profile_id)",
            ),
        };
        spi::run(
            &ws.sql(&format!(
                "INSERT INTO @ws@.{table} AS t (attribute_id, {key}, value, reason, expires_at, set_at) \
                 SELECT $1, x.id, x.value, $2, $3, $4 FROM ({who}) x \
                 ON CONFLICT (attribute_id, {key}) DO UPDATE SET value = excluded.value, reason = excluded.reason, author = SESSION_USER, \
                     set_at = excluded.set_at, expires_at = excluded.expires_at"
            )),
            &[tag.attribute_id.into(), reason.into(), expires.into(), now.into()],
        )?;
        let changed = write(ws, &tag, now)?;
        spi::run("DROP TABLE pg_temp.cdp_given", &[])?;
        Ok(changed)
    })?)
}

/// Who is to get which value, each live profile once: of several values the last counts.
fn gather(ws: &Workspace, tag: &Tag, ids: Vec<i64>, values: Vec<Option<String>>) -> Result<(), CdpError> {
    temp::table("cdp_given", "profile_id pg_catalog.int8 PRIMARY KEY, value pg_catalog.text")?;
    let all = match &tag.group {
        Some(group) => format!(
            "(SELECT e.group_id AS profile_id, e.merged_into FROM @ws@.entity_group e WHERE e.entity_id = {})",
            group.entity_id
        ),
        None => "@ws@.profile".to_owned(),
    };
    let stranger = spi::one::<i64>(
        &ws.sql(&format!(
            "SELECT g.id FROM unnest($1::pg_catalog.int8[]) WITH ORDINALITY g(id, n) \
             WHERE NOT EXISTS (SELECT FROM {all} p WHERE p.profile_id = g.id) ORDER BY g.n LIMIT 1"
        )),
        &[ids.clone().into()],
    )?;
    if let Some(stranger) = stranger {
        return Err(match &tag.group {
            Some(group) => group::live(ws, group, stranger).err().unwrap_or_else(|| nobody(stranger)),
            None => nobody(stranger),
        });
    }
    spi::run(
        &ws.sql(&format!(
            "INSERT INTO pg_temp.cdp_given (profile_id, value) SELECT DISTINCT ON (coalesce(p.merged_into, p.profile_id)) coalesce(p.merged_into, p.profile_id), \
                 ((g.value)::pg_catalog.{})::pg_catalog.text FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.text[]) WITH ORDINALITY g(id, value, n) \
             JOIN {all} p ON p.profile_id = g.id ORDER BY coalesce(p.merged_into, p.profile_id), g.n DESC",
            pg_type(&tag.ty)
        )),
        &[ids.into(), values.into()],
    )?;
    spi::run("ANALYZE pg_temp.cdp_given", &[]).map(|_| ())
}

/// Writes what those who were given a value have now, where it is another; returns how many that are.
fn write(ws: &Workspace, tag: &Tag, now: TimestampWithTimeZone) -> Result<i64, CdpError> {
    let values = manual::values_sql(ws, tag, now, Some("IN (SELECT g.profile_id FROM pg_temp.cdp_given g)"))?;
    let changed = refresh::compare(ws, tag, &values)?;
    if changed > 0 {
        refresh::write(ws, tag)?;
        history::refreshed(ws, &tag.place(), tag.attribute_id, &tag.name, "pg_temp.cdp_change", now, true)?;
        flush::flush(ws)?;
    }
    spi::run("DROP TABLE pg_temp.cdp_change", &[])?;
    Ok(changed)
}
