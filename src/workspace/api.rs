//! `cdp_init`, `cdp_version`, `cdp_status`.

use super::Workspace;
use crate::error::{CdpError, given};
use crate::pg::{settings, spi};
use crate::profile::view;
use pg_cdp_core::norm::blocked::BLOCKED;
use pg_cdp_core::norm::catalogue::IDENTIFIER_TYPES;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::quote_identifier;

/// What `cdp_init()` makes, in order.
const SCRIPTS: [&str; 7] = [
    include_str!("../../sql/workspace/10_workspace.sql"),
    include_str!("../../sql/workspace/20_source.sql"),
    include_str!("../../sql/workspace/25_message.sql"),
    include_str!("../../sql/workspace/30_identity.sql"),
    include_str!("../../sql/workspace/40_attribute.sql"),
    include_str!("../../sql/workspace/50_event.sql"),
    concat!(include_str!("../../sql/workspace/60_store.sql"), include_str!("../../sql/workspace/90_views.sql")),
];

/// The longest name of a schema, in bytes.
const NAME_BYTES: usize = 63;

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_init(
    workspace: default!(Option<&str>, "'cdp'"),
    time_zone: default!(Option<&str>, "NULL"),
    phone_region: default!(Option<&str>, "'CN'"),
) -> Result<(), ErrorReport> {
    super::writing()?;
    let (workspace, phone_region) = (given(workspace, "workspace")?, given(phone_region, "phone_region")?);
    if workspace.is_empty() || workspace.len() > NAME_BYTES || workspace.starts_with("pg_") {
        return Err(CdpError::invalid_parameter(format!("\"{workspace}\" cannot be the name of a workspace"))
            .with_hint(format!("Choose a schema name of 1 to {NAME_BYTES} bytes that does not start with pg_."))
            .into());
    }
    if spi::one::<bool>(
        "SELECT true FROM pg_catalog.pg_namespace WHERE nspname OPERATOR(pg_catalog.=) $1::pg_catalog.name",
        &[workspace.into()],
    )?
    .is_some()
    {
        return Err(CdpError::duplicate_schema(workspace).into());
    }
    let region = phone_region.to_uppercase();
    pg_cdp_core::norm::phone_region(&region).map_err(|_| {
        CdpError::invalid_parameter(format!("unknown phone region \"{phone_region}\""))
            .with_hint("Give an ISO 3166 code of two letters, such as 'CN' or 'US'.")
    })?;
    // PostgreSQL itself refuses what cannot be a session's time zone.
    let zone = match time_zone {
        Some(zone) => zone.to_owned(),
        None => spi::one::<String>("SELECT pg_catalog.current_setting('TimeZone')", &[])?
            .unwrap_or_else(|| "UTC".to_owned()),
    };
    settings::scoped(&[("TimeZone", &zone)], || Ok(()))?;

    let quoted = quote_identifier(workspace);
    for script in SCRIPTS {
        let sql = script.replace("@workspace@", &quoted).replace("@workspace_literal@", &quoted.replace('\'', "''"));
        Spi::run(&sql).map_err(CdpError::from)?;
    }
    spi::run(
        &format!("INSERT INTO {quoted}.workspace (version, time_zone, phone_region) VALUES ($1, $2, $3)"),
        &[env!("CARGO_PKG_VERSION").into(), zone.into(), region.into()],
    )?;
    let ws = Workspace::named(workspace)?;
    for t in IDENTIFIER_TYPES {
        spi::run(
            &ws.sql(
                "INSERT INTO @ws@.identifier_type (name, normaliser, strength, priority, level, max_per_profile, degree_cap, person_cap, scope_separator, pii, description) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            ),
            &[
                t.name.into(),
                t.normaliser.name().into(),
                t.strength.name().into(),
                t.priority.into(),
                t.level.name().into(),
                t.max_per_profile.map(signed).transpose()?.into(),
                t.level.degree_cap().map(signed).transpose()?.into(),
                signed(t.level.person_cap())?.into(),
                t.scope_separator.into(),
                t.pii.into(),
                t.description.into(),
            ],
        )?;
    }
    for b in BLOCKED {
        spi::run(
            &ws.sql(
                "INSERT INTO @ws@.blocked_value (type_id, value, pattern, reason) \
                 SELECT (SELECT t.type_id FROM @ws@.identifier_type t WHERE t.name OPERATOR(pg_catalog.=) $1), $2, $3, $4",
            ),
            &[b.identifier_type.into(), b.value.into(), b.pattern.into(), b.reason.into()],
        )?;
    }
    view::refresh(&ws)?;
    Ok(())
}

/// A shipped limit as the table keeps it.
fn signed(limit: u32) -> Result<i32, CdpError> {
    i32::try_from(limit).map_err(|_| CdpError::internal("a shipped limit is out of range"))
}

#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_status() -> Result<TableIterator<'static, (name!(metric, String), name!(value, String))>, ErrorReport> {
    spi::set_reading(true);
    let ws = Workspace::current()?;
    let rows = spi::rows(
        &ws.sql(
            "SELECT m.metric, m.value FROM (VALUES \
               (1, 'version', (SELECT w.version FROM @ws@.workspace w)), \
               (2, 'workspace', $1), \
               (3, 'time zone', (SELECT w.time_zone FROM @ws@.workspace w)), \
               (4, 'sources', (SELECT pg_catalog.count(*)::pg_catalog.text FROM @ws@.source)), \
               (5, 'identifiers', (SELECT pg_catalog.count(*)::pg_catalog.text FROM @ws@.node)), \
               (6, 'live profiles', (SELECT pg_catalog.count(*)::pg_catalog.text FROM @ws@.profile_value)), \
               (7, 'retired profiles', (SELECT pg_catalog.count(*)::pg_catalog.text FROM @ws@.profile p WHERE p.merged_into IS NOT NULL)), \
               (8, 'events', (SELECT pg_catalog.count(*)::pg_catalog.text FROM @ws@.event)), \
               (9, 'attributes', (SELECT pg_catalog.count(*)::pg_catalog.text FROM @ws@.attribute)), \
               (10, 'segments', (SELECT pg_catalog.count(*)::pg_catalog.text FROM @ws@.segment)), \
               (11, 'rejects', (SELECT pg_catalog.count(*)::pg_catalog.text FROM @ws@.reject)), \
               (12, 'chunks', (SELECT pg_catalog.count(*)::pg_catalog.text FROM @ws@.chunk)), \
               (13, 'pending changes', (SELECT pg_catalog.count(*)::pg_catalog.text FROM @ws@.pending)), \
               (14, 'columns to rebuild', (SELECT pg_catalog.count(*)::pg_catalog.text FROM @ws@.store_column c WHERE c.state OPERATOR(pg_catalog.=) 'stale')), \
               (15, 'columns kept out of bits', (SELECT pg_catalog.count(*)::pg_catalog.text FROM @ws@.store_column c WHERE c.state OPERATOR(pg_catalog.=) 'off')) \
             ) AS m(ordinal, metric, value) ORDER BY m.ordinal",
        ),
        &[ws.name.as_str().into()],
        |row| Ok((spi::must::<String>(row, 1)?, spi::must::<String>(row, 2)?)),
    )?;
    spi::set_reading(false);
    Ok(TableIterator::new(rows))
}
