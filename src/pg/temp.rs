//! Temporary tables that a session reuses.

use crate::error::CdpError;
use crate::pg::spi;

/// Makes a temporary table, or empties the one the session has.
pub fn table(name: &str, columns: &str) -> Result<(), CdpError> {
    if spi::one::<bool>("SELECT to_regclass($1) IS NOT NULL", &[format!("pg_temp.{name}").into()])? == Some(true) {
        spi::run(&format!("TRUNCATE pg_temp.{name}"), &[])?;
    } else {
        spi::run(&format!("CREATE TEMPORARY TABLE {name} ({columns})"), &[])?;
    }
    Ok(())
}

/// Drops a temporary table if the session has it. Without the look-up PostgreSQL would tell the client that there was nothing to drop.
pub fn drop(name: &str) -> Result<(), CdpError> {
    if spi::one::<bool>("SELECT to_regclass($1) IS NOT NULL", &[format!("pg_temp.{name}").into()])? == Some(true) {
        spi::run(&format!("DROP TABLE pg_temp.{name}"), &[])?;
    }
    Ok(())
}
