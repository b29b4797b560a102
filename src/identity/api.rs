//! `cdp_profile_id`, `cdp_resolve`.

use crate::error::CdpError;
use crate::pg::spi;
use crate::workspace::{self, Workspace};
use pg_cdp_core::norm::Normaliser;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// The live profile that holds an identifier; `None` when nobody does. The value is normalised first.
///
/// # Errors
/// 42704 when there is no such identifier type.
pub fn find(ws: &Workspace, ty: &str, value: &str) -> Result<Option<i64>, CdpError> {
    let known = spi::rows_cached(
        &ws.sql("SELECT t.type_id, t.normaliser FROM @ws@.identifier_type t WHERE t.name = $1"),
        &[ty.into()],
        |row| Ok((spi::must::<i32>(row, 1)?, spi::must::<String>(row, 2)?)),
    )?;
    let Some((type_id, normaliser)) = known.into_iter().next() else {
        let names = spi::one::<String>(
            &ws.sql("SELECT string_agg(t.name, ', ' ORDER BY t.priority, t.name) FROM @ws@.identifier_type t"),
            &[],
        )?;
        return Err(CdpError::undefined_object("identifier type", ty)
            .with_hint(format!("Known types are {}.", names.unwrap_or_default())));
    };
    let normalised =
        Normaliser::parse(&normaliser).and_then(|n| n.apply(value, &ws.phone_region)).map_err(CdpError::from)?;
    let Some(normalised) = normalised else { return Ok(None) };
    let found = spi::rows_cached(
        &ws.sql(
            "SELECT n.profile_id FROM @ws@.node n WHERE n.type_id = $1 AND n.value = $2 AND n.profile_id IS NOT NULL",
        ),
        &[type_id.into(), normalised.into()],
        |row| spi::must::<i64>(row, 1),
    )?;
    Ok(found.into_iter().next())
}

// Written out because an argument called "type" is a keyword of Rust.
#[pg_extern(
    sql = "CREATE FUNCTION cdp_profile_id(\"type\" text, value text) RETURNS bigint STRICT STABLE PARALLEL UNSAFE LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';"
)]
fn cdp_profile_id(kind: &str, value: &str) -> Result<Option<i64>, ErrorReport> {
    Ok(workspace::enter_reading(|ws| find(ws, kind, value))?)
}

/// The live profile that a profile number, live or retired, now stands for; `None` when there never was such a profile.
pub fn resolve(ws: &Workspace, profile_id: i64) -> Result<Option<i64>, CdpError> {
    let found = spi::rows_cached(
        &ws.sql("SELECT coalesce(p.merged_into, p.profile_id) FROM @ws@.profile p WHERE p.profile_id = $1"),
        &[profile_id.into()],
        |row| spi::must::<i64>(row, 1),
    )?;
    Ok(found.into_iter().next())
}

#[pg_extern(stable, strict, parallel_unsafe)]
fn cdp_resolve(profile_id: i64) -> Result<Option<i64>, ErrorReport> {
    Ok(workspace::enter_reading(|ws| resolve(ws, profile_id))?)
}
