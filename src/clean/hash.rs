//! Hashes that advertising platforms are given. What is hashed is the form each of them documents, not the form for matching.

use super::DEFAULT_REGION;
use crate::error::CdpError;
use pg_cdp_core::norm::{Destination, sha256};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// SHA-256 of an e-mail address in the form of the destination; NULL when it is none.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_hash_email(value: &str, destination: &str) -> Result<Option<String>, ErrorReport> {
    let destination = Destination::parse(destination).map_err(CdpError::from)?;
    Ok(destination.email(value).map(|form| sha256(&form)))
}

/// SHA-256 of a phone number in the form of the destination; NULL when it is none. Numbers without a country code are read in the region.
#[pg_extern(immutable, parallel_safe)]
fn cdp_hash_phone(
    value: Option<&str>,
    destination: Option<&str>,
    region: default!(Option<&str>, "NULL"),
) -> Result<Option<String>, ErrorReport> {
    let (Some(value), Some(destination)) = (value, destination) else { return Ok(None) };
    let destination = Destination::parse(destination).map_err(CdpError::from)?;
    let form = destination.phone(value, &region.unwrap_or(DEFAULT_REGION).to_uppercase()).map_err(CdpError::from)?;
    Ok(form.map(|form| sha256(&form)))
}
