//! Temporary tables of one transaction: the next one may run as another role, which could not use them.

use crate::error::CdpError;
use crate::pg::spi;

/// Makes a temporary table, or empties the one the transaction has.
pub fn table(name: &str, columns: &str) -> Result<(), CdpError> {
    if spi::one::<bool>("SELECT to_regclass($1) IS NOT NULL", &[format!("pg_temp.{name}").into()])? == Some(true) {
        spi::run(&format!("TRUNCATE pg_temp.{name}"), &[])?;
    } else {
        spi::run(&format!("CREATE TEMPORARY TABLE {name} ({columns}) ON COMMIT DROP"), &[])?;
    }
    Ok(())
}

/// Tells PostgreSQL how many rows a temporary table has, and how the values of some columns are spread: those that statements join or group by. To sort the documents of the others
/// would take as long as the batch itself.
pub fn analyze(name: &str, columns: &str) -> Result<(), CdpError> {
    spi::run(&format!("ANALYZE pg_temp.{name} ({columns})"), &[])?;
    Ok(())
}

/// Drops a temporary table if the session has it. Without the look-up PostgreSQL would tell the client that there was nothing to drop.
pub fn drop(name: &str) -> Result<(), CdpError> {
    if spi::one::<bool>("SELECT to_regclass($1) IS NOT NULL", &[format!("pg_temp.{name}").into()])? == Some(true) {
        spi::run(&format!("DROP TABLE pg_temp.{name}"), &[])?;
    }
    Ok(())
}
