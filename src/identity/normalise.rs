//! Identifiers in their normal forms, as the SQL of identity asks for them.

use super::key;
use crate::error::CdpError;
use pg_cdp_core::norm::{self, Normaliser};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// A value in the normal form of its identifier type.
#[pg_extern(immutable, strict, parallel_safe)]
fn _cdp_normalise(normaliser: &str, value: &str, region: &str) -> Result<Option<String>, ErrorReport> {
    let normaliser = Normaliser::parse(normaliser).map_err(CdpError::from)?;
    Ok(normaliser.apply(value, region).map_err(CdpError::from)?)
}

/// A normal form as identifiers of a type with storage hmac are kept: a keyed hash.
#[pg_extern(stable, parallel_safe)]
fn _cdp_keyed(
    identifier_type: &str,
    scope_separator: Option<&str>,
    value: Option<&str>,
) -> Result<Option<String>, ErrorReport> {
    let Some(value) = value else { return Ok(None) };
    Ok(Some(norm::keyed(&key::key()?, identifier_type, scope_separator, value)))
}
