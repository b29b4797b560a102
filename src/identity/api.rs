//! `cdp_profile_id`, `cdp_resolve`.

use super::rules::Rules;
use super::value;
use crate::error::CdpError;
use crate::pg::spi;
use crate::workspace::{self, Workspace};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// The live profile that holds an identifier; `None` when nobody does. The value is normalised first.
///
/// # Errors
/// 42704 when there is no such identifier type.
pub fn find(ws: &Workspace, ty: &str, value: &str) -> Result<Option<i64>, CdpError> {
    let rules = Rules::load(ws)?;
    Ok(value::look_up(ws, &rules, ty, value)?.and_then(|known| known.profile_id))
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
