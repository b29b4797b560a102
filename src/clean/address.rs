//! Addresses in China, and the table they are read by.

use crate::pg::json::JsonText;
use pg_cdp_core::norm::division::DIVISIONS;
use pg_cdp_core::norm::{self, Address};
use pgrx::prelude::*;
use serde_json::json;

/// An address taken apart: province, city, district, rest, and the tier of the city; NULL when nothing is left.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_norm_address(value: &str) -> Option<JsonText> {
    let Address { province, city, district, rest, tier } = norm::address(value)?;
    let parts = json!({"province": province, "city": city, "district": district, "rest": rest, "tier": tier});
    Some(JsonText::new(parts.to_string()))
}

/// The divisions of China that addresses are read by: a row for each district, and one for each city without districts.
#[pg_extern(immutable, parallel_safe)]
fn cdp_divisions() -> TableIterator<
    'static,
    (
        name!(province, &'static str),
        name!(city, &'static str),
        name!(district, Option<&'static str>),
        name!(tier, Option<&'static str>),
    ),
> {
    let mut rows = Vec::new();
    for province in DIVISIONS.iter() {
        for city in &province.cities {
            let mut row = |district| rows.push((province.name, city.name, district, city.tier));
            if city.districts.is_empty() {
                row(None);
            }
            city.districts.iter().for_each(|district| row(Some(district.name)));
        }
    }
    TableIterator::new(rows)
}
