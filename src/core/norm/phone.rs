//! Phone numbers as E.164.
//!
//! Numbers are judged by the numbering plans of every country (the public libphonenumber metadata) through the
//! `rlibphonenumber` crate. Compared on the same inputs in release mode, it costs 1 µs for a Chinese mobile number and 5 µs for
//! a mix of all 245 regions, where `phonenumber` 0.3 costs 17 µs and 720 µs (it keeps 100 compiled patterns behind one lock and
//! compiles the rest again on each call); reading the plans costs 12 ms once in a process instead of 110 ms. A country's
//! patterns are compiled at its first number (about 2.5 ms and 0.4 MB a country). See docs/decisions/0007-phone-numbers.md.

use super::NormError;
use super::text::{fold, is_space};
use rlibphonenumber::{PhoneNumberFormat, PhoneNumberUtil, Region};
use std::sync::OnceLock;

/// Longest text looked at, in bytes: a number with extension and punctuation is far shorter.
const TEXT_MAX: usize = 250;
/// Most digits a number may have before the plans are asked: 15 of E.164 and room for international prefixes.
const DIGITS_MAX: usize = 24;
/// Most digits of an extension, as libphonenumber has it for labelled ones.
const EXTENSION_MAX: usize = 9;

/// The plans, read once in a process.
fn plans() -> Result<&'static PhoneNumberUtil, NormError> {
    static PLANS: OnceLock<Result<PhoneNumberUtil, String>> = OnceLock::new();
    PLANS
        .get_or_init(|| PhoneNumberUtil::new().map_err(|e| e.to_string()))
        .as_ref()
        .map_err(|cause| NormError::NumberingPlan(cause.clone()))
}

/// Checks a default region, so that a setting can be refused when it is made.
///
/// # Errors
/// [`NormError::UnknownRegion`] when `region` is not a two-letter ISO 3166-1 code (either case) with a numbering plan.
pub fn phone_region(region: &str) -> Result<(), NormError> {
    known_region(plans()?, region).map(drop)
}

fn known_region(plans: &PhoneNumberUtil, region: &str) -> Result<Region, NormError> {
    Region::from_code(region)
        .ok()
        .filter(|&r| plans.get_country_code_for_region(r).is_some())
        .ok_or_else(|| NormError::UnknownRegion(region.to_owned()))
}

/// The number as E.164 (`+`, country code, national number; digits only), read as dialled from `region` (two-letter ISO 3166-1
/// code, either case). `Ok(None)` when it is no valid number of its country's plan.
///
/// Accepted: international form (`+86 …`, `tel:+86…`, `0086…` from any region, `86…` from the region itself), national form
/// with or without trunk prefix; full-width digits, spaces, dashes, dots, slashes, brackets. An extension (`ext. 5`, `x5`,
/// `#5`, `转5`, `分机5`, `;ext=5`) is dropped. Other letters make the value invalid: digits are not picked out of prose.
///
/// # Errors
/// [`NormError::UnknownRegion`] for an unknown region, whatever the value; [`NormError::NumberingPlan`] when the plans cannot
/// be read.
pub fn phone(value: &str, region: &str) -> Result<Option<String>, NormError> {
    let plans = plans()?;
    let region = known_region(plans, region)?;
    let Some(dialled) = dialled(value) else { return Ok(None) };
    if let Some(found) = e164(plans, &dialled, region) {
        return Ok(Some(found));
    }
    // 00 is the international prefix the ITU recommends: exports carry it whatever the region dials.
    Ok(dialled.strip_prefix("00").and_then(|rest| e164(plans, &format!("+{rest}"), region)))
}

/// The number in E.164 when it is valid in its own country.
fn e164(plans: &PhoneNumberUtil, dialled: &str, region: Region) -> Option<String> {
    let number = plans.parse(dialled, Some(region)).ok()?;
    plans.is_valid_number(&number).then(|| plans.format(&number, PhoneNumberFormat::E164).into_owned())
}

/// The value reduced to an optional `+` and digits; `None` when it holds anything that is not part of one written number.
fn dialled(value: &str) -> Option<String> {
    if value.len() > TEXT_MAX {
        return None;
    }
    let mut folded = fold(value);
    folded.make_ascii_lowercase();
    let number = folded.trim_matches(is_space);
    let number = without_extension(number.strip_prefix("tel:").unwrap_or(number));
    let mut out = String::with_capacity(number.len());
    for c in number.chars() {
        match c {
            '0'..='9' => out.push(c),
            '+' if out.is_empty() => out.push(c),
            _ if is_punctuation(c) => {}
            _ => return None,
        }
    }
    let digits = out.len() - usize::from(out.starts_with('+'));
    (1..=DIGITS_MAX).contains(&digits).then_some(out)
}

/// What people write between the digits: spaces, dots, slashes, brackets and every dash (after width folding).
fn is_punctuation(c: char) -> bool {
    is_space(c)
        || matches!(
            c,
            '-' | '.' | '/' | '(' | ')' | '[' | ']' | '~' | '\u{2010}'
                ..='\u{2015}'
                    | '\u{2043}'
                    | '\u{2053}'
                    | '\u{2212}'
                    | '\u{30FB}'
                    | '\u{30FC}'
                    | '\u{3010}'
                    | '\u{3011}'
                    | '\u{B7}'
        )
}

/// `number` without a trailing extension: a label and up to nine digits. Without a label nothing is taken for an extension.
fn without_extension(number: &str) -> &str {
    const LABELS: [&str; 11] = ["extension", "extn", "ext", "x", "#", "分机号", "分机", "转", "轉", "分機", "內線"];
    let head = number.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = number.len() - head.len();
    if digits == 0 || digits > EXTENSION_MAX {
        return number;
    }
    let label = head.trim_end_matches(|c| is_space(c) || matches!(c, '.' | ':' | '=' | '-'));
    LABELS
        .iter()
        .find_map(|l| label.strip_suffix(l))
        .map_or(number, |n| n.trim_end_matches(|c| is_space(c) || matches!(c, ',' | ';' | '.')))
}
