//! The cleaning functions: SQL for what `core::norm` does to one value. They read nothing, so they may stand in indexes and generated columns.

mod address;
mod hash;

use crate::error::CdpError;
use pg_cdp_core::norm::{self, DateOrder};
use pgrx::datum::Date;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Region of phone numbers when none is given: that of a new workspace.
const DEFAULT_REGION: &str = "CN";

/// An e-mail address in its one form; NULL when it is none. With `provider_rules`, the plainest of the addresses of its mailbox.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_norm_email(value: &str, provider_rules: default!(bool, false)) -> Option<String> {
    if provider_rules { norm::mailbox(value) } else { norm::email(value) }
}

/// A phone number in E.164; NULL when it is none. Numbers without a country code are read in the region.
#[pg_extern(immutable, parallel_safe)]
fn cdp_norm_phone(value: Option<&str>, region: default!(Option<&str>, "NULL")) -> Result<Option<String>, ErrorReport> {
    let Some(value) = value else { return Ok(None) };
    Ok(norm::phone(value, &region.unwrap_or(DEFAULT_REGION).to_uppercase()).map_err(CdpError::from)?)
}

/// Text in its one form: NFKC, width folded, spaces single; NULL when nothing is left.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_norm_text(value: &str) -> Option<String> {
    norm::text(value)
}

/// A name in the form for comparing; NULL when there is no letter in it.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_norm_name(value: &str) -> Option<String> {
    norm::name(value)
}

/// A Chinese resident identity card number with 18 characters; NULL when its check digit is wrong.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_norm_id_card(value: &str) -> Option<String> {
    norm::id_card(value)
}

/// A unified social credit code of 18 characters; NULL when its check character is wrong.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_norm_uscc(value: &str) -> Option<String> {
    norm::uscc(value)
}

/// The day a text gives; NULL when it gives none, or might mean two and no order (`dmy`, `mdy`) says which.
#[pg_extern(immutable, parallel_safe)]
fn cdp_norm_date(value: Option<&str>, day_order: default!(Option<&str>, "NULL")) -> Result<Option<Date>, ErrorReport> {
    let order = day_order.map(DateOrder::parse).transpose().map_err(CdpError::from)?;
    let Some(day) = value.and_then(|value| norm::date(value, order)) else { return Ok(None) };
    let date = Date::new(i32::from(day.year), day.month, day.day);
    Ok(Some(date.map_err(|_| CdpError::out_of_range("date", day))?))
}
