//! The cleaning functions, public as SQL so that people can see what becomes of a value.

use crate::error::CdpError;
use crate::guc;
use pg_cdp_core::norm::{self, Normaliser};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// An e-mail address in its one form; NULL when it is none.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_norm_email(value: &str) -> Option<String> {
    norm::email(value)
}

/// A phone number in E.164; NULL when it is none. Numbers without a country code are read in the region.
#[pg_extern(immutable, parallel_safe)]
fn cdp_norm_phone(value: Option<&str>, region: default!(Option<&str>, "NULL")) -> Result<Option<String>, ErrorReport> {
    let Some(value) = value else { return Ok(None) };
    Ok(norm::phone(value, &region.unwrap_or(DEFAULT_REGION).to_uppercase()).map_err(CdpError::from)?)
}

/// Region of phone numbers when none is given: that of a new workspace.
const DEFAULT_REGION: &str = "CN";

/// Text in its one form: NFKC, width folded, spaces single; NULL when nothing is left.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_norm_text(value: &str) -> Option<String> {
    norm::text(value)
}

/// A Chinese resident identity card number with 18 characters; NULL when its check digit is wrong.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_norm_id_card(value: &str) -> Option<String> {
    norm::id_card(value)
}

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
    Ok(Some(norm::keyed(&guc::hmac_key()?, identifier_type, scope_separator, value)))
}
