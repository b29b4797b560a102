//! What type a JSON value speaks of, and a value brought into the form of a type that is known already. Nothing is lost on the way: what
//! would change its meaning is refused.

use serde_json::Value;

/// The most digits of a number that is written as a text.
const MOST_DIGITS: usize = 100;

/// The type of a property that only a value tells: a boolean is `boolean`, a number `numeric`, a text `timestamptz` when it is a date and
/// time of ISO 8601 with its zone, `date` when it is YYYY-MM-DD, and `text` otherwise; arrays and objects are kept as the text of the JSON. A null
/// tells nothing.
pub fn type_of(value: &Value) -> Option<&'static str> {
    match value {
        Value::Null => None,
        Value::Bool(_) => Some("boolean"),
        Value::Number(_) => Some("numeric"),
        Value::String(text) if is_date(text) => Some("date"),
        Value::String(text) if is_moment(text) => Some("timestamptz"),
        Value::String(_) | Value::Array(_) | Value::Object(_) => Some("text"),
    }
}

/// The type that holds the values of both.
pub fn common<'a>(one: &'a str, other: &'a str) -> &'a str {
    match (one, other) {
        (one, other) if one == other => one,
        ("bigint", "numeric") | ("numeric", "bigint") => "numeric",
        _ => "text",
    }
}

/// The value in the form in which a property of a type is kept; `None` when it has none. Texts of numbers and of `true` and `false` become those,
/// everything becomes text; a fraction is no `bigint`, a day is no moment, nor a moment a day.
pub fn conform(value: &Value, ty: &str) -> Option<Value> {
    match (ty, value) {
        (_, Value::Null) => None,
        ("text", Value::String(_)) | ("boolean", Value::Bool(_)) | ("numeric", Value::Number(_)) => Some(value.clone()),
        ("text", other) => Some(Value::String(other.to_string())),
        ("boolean", Value::String(text)) => text.parse().ok().map(Value::Bool),
        ("numeric", Value::String(text)) => plain_number(text),
        ("bigint", Value::Number(number)) => whole(&number.to_string()),
        ("bigint", Value::String(text)) => plain_number(text).and_then(|n| whole(&n.to_string())),
        ("date", Value::String(text)) => is_date(text).then(|| value.clone()),
        ("timestamptz", Value::String(text)) => is_moment(text).then(|| value.clone()),
        _ => None,
    }
}

/// A number without an exponent: sign, digits, and digits after a point.
fn plain_number(text: &str) -> Option<Value> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
    let all_digits = |s: &str| !s.is_empty() && s.len() <= MOST_DIGITS && s.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !fraction.is_none_or(all_digits) {
        return None;
    }
    // JSON knows no leading zeros.
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let text = fraction.map_or_else(|| format!("{sign}{whole}"), |f| format!("{sign}{whole}.{f}"));
    serde_json::from_str(&text).ok()
}

/// A number as one of 64 bits: digits after the point may only be zeros.
fn whole(text: &str) -> Option<Value> {
    let (digits, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.bytes().any(|b| b != b'0') {
        return None;
    }
    digits.parse::<i64>().ok().map(Value::from)
}

/// So many digits at the start of a text, as a number, and the rest.
fn digits(text: &str, count: usize) -> Option<(u32, &str)> {
    let (first, rest) = text.split_at_checked(count)?;
    if !first.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some((first.parse().ok()?, rest))
}

/// YYYY-MM-DD at the start of a text; the rest.
fn date(text: &str) -> Option<&str> {
    let (year, rest) = digits(text, 4)?;
    let (month, rest) = digits(rest.strip_prefix('-')?, 2)?;
    let (day, rest) = digits(rest.strip_prefix('-')?, 2)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (year > 0 && (1..=days).contains(&day)).then_some(rest)
}

fn is_date(text: &str) -> bool {
    date(text) == Some("")
}

/// A date and time of ISO 8601 with its zone.
fn is_moment(text: &str) -> bool {
    moment(text).is_some()
}

fn moment(text: &str) -> Option<()> {
    let rest = date(text)?.strip_prefix(['T', 't', ' '])?;
    let (hour, rest) = digits(rest, 2)?;
    let (minute, mut rest) = digits(rest.strip_prefix(':')?, 2)?;
    if hour > 23 || minute > 59 {
        return None;
    }
    if let Some(after) = rest.strip_prefix(':') {
        let (second, after) = digits(after, 2)?;
        if second > 59 {
            return None;
        }
        rest = after;
        if let Some(fraction) = after.strip_prefix('.') {
            let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if !(1..=9).contains(&length) {
                return None;
            }
            rest = &fraction[length..];
        }
    }
    if matches!(rest, "Z" | "z") {
        return Some(());
    }
    let (hours, rest) = digits(rest.strip_prefix(['+', '-'])?, 2)?;
    let minutes = match rest.strip_prefix(':').unwrap_or(rest) {
        "" if rest.is_empty() => 0,
        rest => match digits(rest, 2)? {
            (minutes, "") => minutes,
            _ => return None,
        },
    };
    (hours <= 14 && minutes <= 59).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_of_values() {
        for (value, ty) in [
            (json!(null), None),
            (json!(true), Some("boolean")),
            (json!(0), Some("numeric")),
            (json!(1e300), Some("numeric")),
            (json!("2026-02-28"), Some("date")),
            (json!("2024-02-29"), Some("date")),
            (json!("2026-02-29"), Some("text")),
            (json!("1900-02-29"), Some("text")),
            (json!("2026-13-01"), Some("text")),
            (json!("0000-01-01"), Some("text")),
            (json!("2026-1-1"), Some("text")),
            (json!("2026-01-01 "), Some("text")),
            (json!("2026-01-01T10:00Z"), Some("timestamptz")),
            (json!("2026-01-01T10:00:00.123Z"), Some("timestamptz")),
            (json!("2026-01-01 10:00:00+08"), Some("timestamptz")),
            (json!("2026-01-01T10:00:00+0530"), Some("timestamptz")),
            (json!("2026-01-01T10:00:00-03:30"), Some("timestamptz")),
            (json!("2026-01-01T10:00:00"), Some("text")),
            (json!("2026-01-01T24:00:00Z"), Some("text")),
            (json!("2026-01-01T10:60:00Z"), Some("text")),
            (json!("2026-01-01T10:00:60Z"), Some("text")),
            (json!("2026-01-01T10:00:00.Z"), Some("text")),
            (json!("2026-01-01T10:00:00+08:"), Some("text")),
            (json!("2026-01-01T10:00:00+15:00"), Some("text")),
            (json!("2026-01-01T10:00:00Z!"), Some("text")),
            (json!("2026-01-0１"), Some("text")),
            (json!("12"), Some("text")),
            (json!(""), Some("text")),
            (json!([1]), Some("text")),
            (json!({"a": 1}), Some("text")),
        ] {
            assert_eq!(type_of(&value), ty, "{value}");
        }
    }

    #[test]
    fn types_together() {
        assert_eq!(common("date", "date"), "date");
        assert_eq!(common("bigint", "numeric"), "numeric");
        assert_eq!(common("numeric", "boolean"), "text");
        assert_eq!(common("date", "timestamptz"), "text");
    }

    #[test]
    fn values_in_the_form_of_a_type() {
        for (value, ty, wanted) in [
            (json!("a"), "text", Some(json!("a"))),
            (json!(12.50), "text", Some(json!("12.5"))),
            (json!(false), "text", Some(json!("false"))),
            (json!([1, "a"]), "text", Some(json!("[1,\"a\"]"))),
            (json!({"a": {"b": 1}}), "text", Some(json!("{\"a\":{\"b\":1}}"))),
            (json!("true"), "boolean", Some(json!(true))),
            (json!("yes"), "boolean", None),
            (json!(1), "boolean", None),
            (json!("007"), "numeric", Some(json!(7))),
            (json!("-12.50"), "numeric", serde_json::from_str("-12.50").ok()),
            (json!("+1"), "numeric", Some(json!(1))),
            (json!("000"), "numeric", Some(json!(0))),
            (json!("1e3"), "numeric", None),
            (json!("NaN"), "numeric", None),
            (json!(" 1"), "numeric", None),
            (json!("."), "numeric", None),
            (json!("-"), "numeric", None),
            (json!(""), "numeric", None),
            (json!("9".repeat(101)), "numeric", None),
            (json!(true), "numeric", None),
            (json!(3), "bigint", Some(json!(3))),
            (serde_json::from_str("3.00").unwrap(), "bigint", Some(json!(3))),
            (json!(3.5), "bigint", None),
            (json!("9223372036854775807"), "bigint", Some(json!(i64::MAX))),
            (json!("9223372036854775808"), "bigint", None),
            (serde_json::from_str("1e2").unwrap(), "bigint", None),
            (json!("2026-01-01"), "date", Some(json!("2026-01-01"))),
            (json!("2026-01-01T00:00:00Z"), "date", None),
            (json!("2026-01-01T00:00:00Z"), "timestamptz", Some(json!("2026-01-01T00:00:00Z"))),
            (json!("2026-01-01"), "timestamptz", None),
            (json!(1767225600), "timestamptz", None),
            (json!([true]), "boolean", None),
            (json!(null), "text", None),
        ] {
            assert_eq!(conform(&value, ty), wanted, "{value} as {ty}");
        }
    }
}
