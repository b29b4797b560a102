//! Tags of entity types, such as households: what of them is not as it is of people.
//!
//! A value that somebody gives is kept on the number of the group. Of all groups that went into one, the value that was set last and has not expired counts, so that a
//! group that parts again has its own.

use super::registry::Tag;
use crate::error::CdpError;
use crate::expr::dependencies;
use crate::pg::spi;
use crate::profile::history;
use crate::store::column::pg_type;
use crate::store::group::Group;
use crate::workspace::Workspace;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::quote_literal;

/// SQL giving `profile_id`, the number of a group, and `value` of a tag that is set, at a moment, for all live groups or for those whose number is `whom`.
pub fn values_sql(
    ws: &Workspace,
    tag: &Tag,
    group: &Group,
    moment: TimestampWithTimeZone,
    whom: Option<&str>,
) -> Result<String, CdpError> {
    let moment = spi::one::<String>("SELECT $1::pg_catalog.text", &[moment.into()])?
        .ok_or_else(|| CdpError::internal("there is no moment"))?;
    let moment = quote_literal(moment);
    let some = |column: &str| whom.map_or_else(String::new, |whom| format!(" AND {column} {whom}"));
    Ok(ws.sql(&format!(
        "SELECT p.group_id AS profile_id, w.value::pg_catalog.{ty} AS value FROM @ws@.{view} p LEFT JOIN (SELECT DISTINCT ON (coalesce(g.merged_into, g.group_id)) coalesce(g.merged_into, g.group_id) AS group_id, v.value \
             FROM @ws@.group_tag_value v JOIN @ws@.entity_group g USING (group_id) WHERE v.attribute_id = {attribute} AND g.entity_id = {entity} \
             AND (v.expires_at IS NULL OR v.expires_at > {moment}::pg_catalog.timestamptz){into} \
             ORDER BY coalesce(g.merged_into, g.group_id), v.set_at DESC, v.group_id) w USING (group_id) WHERE true{only}",
        ty = pg_type(&tag.ty),
        view = group.view(),
        attribute = tag.attribute_id,
        entity = group.entity_id,
        into = some("coalesce(g.merged_into, g.group_id)"),
        only = some("p.group_id"),
    )))
}

/// The live group that a number stands for.
///
/// # Errors
/// 42704 when there never was one of it.
pub fn live(ws: &Workspace, group: &Group, group_id: i64) -> Result<i64, CdpError> {
    group.resolve(ws, group_id)?.ok_or_else(|| {
        CdpError::undefined_object(&group.name, &group_id.to_string()).with_hint(format!(
            "The view {} lists their numbers, as of the last cdp_entity_refresh().",
            group.view_name()
        ))
    })
}

/// Keeps what somebody said of a group.
pub fn keep(
    ws: &Workspace,
    tag: &Tag,
    group_id: i64,
    value: Option<&str>,
    reason: Option<&str>,
    expires: Option<TimestampWithTimeZone>,
    now: TimestampWithTimeZone,
) -> Result<(), CdpError> {
    spi::run(
        &ws.sql(
            "INSERT INTO @ws@.group_tag_value AS t (attribute_id, group_id, value, reason, expires_at, set_at) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (attribute_id, group_id) DO UPDATE SET value = excluded.value, reason = excluded.reason, author = SESSION_USER, \
                 set_at = excluded.set_at, expires_at = excluded.expires_at",
        ),
        &[tag.attribute_id.into(), group_id.into(), value.into(), reason.into(), expires.into(), now.into()],
    )?;
    Ok(())
}

/// Drops a tag of an entity type that nothing names.
pub fn drop(ws: &Workspace, tag: &Tag, group: &Group) -> Result<(), CdpError> {
    dependencies::forget(ws, tag.named())?;
    history::forget(ws, tag.attribute_id)?;
    spi::run(&ws.sql("DELETE FROM @ws@.attribute WHERE attribute_id = $1"), &[tag.attribute_id.into()])?;
    group.drop_column(ws, &tag.name)
}
