//! Documents as PostgreSQL keeps them: what `jsonb` would print of a text that it can hold, worked out without asking it.

use serde_json::{Number, Value};

/// The most digits that `numeric` has before the point.
const MOST_WHOLE: i64 = 131_072;
/// The most that it has after it.
const MOST_FRACTION: i64 = 16_383;
/// Exponents from here on are refused by PostgreSQL whatever the digits are.
const EXPONENT_END: i64 = 1 << 30;
/// The most digits that exponents of one document are written out to: a few bytes may stand for 131,072.
const MOST_WRITTEN: usize = 1_000_000;

/// Why `jsonb` does not hold a document: lower case, without a full stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unkept {
    /// A text with the character U+0000.
    Nul,
    /// A number with more digits than `numeric` has.
    Number,
    /// Exponents that come to more digits than are written out.
    Digits,
}

impl Unkept {
    /// In words.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Nul => "the payload has the character \\u0000",
            Self::Number => "the payload has a number with more digits than numeric holds",
            Self::Digits => "the payload has exponents of more than 1000000 digits in all",
        }
    }
}

/// Writes the numbers of a document as `jsonb` prints them: `1e3` is 1000, `-0` is 0.
///
/// # Errors
/// [`Unkept`] when `jsonb` would not take it; then some of the numbers may have been written anew.
pub fn canonical(document: &mut Value) -> Result<(), Unkept> {
    follow(document, &mut MOST_WRITTEN.clone())
}

fn follow(value: &mut Value, room: &mut usize) -> Result<(), Unkept> {
    match value {
        Value::Null | Value::Bool(_) => Ok(()),
        Value::String(text) => without_nul(text),
        Value::Number(number) => {
            if let Some(plain) = plain(number.as_str())? {
                *room = room.checked_sub(plain.len()).ok_or(Unkept::Digits)?;
                *number = serde_json::from_str::<Number>(&plain).map_err(|_| Unkept::Number)?;
            }
            Ok(())
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| follow(item, room)),
        Value::Object(object) => object.iter_mut().try_for_each(|(key, value)| {
            without_nul(key)?;
            follow(value, room)
        }),
    }
}

fn without_nul(text: &str) -> Result<(), Unkept> {
    if text.contains('\0') { Err(Unkept::Nul) } else { Ok(()) }
}

/// A number of JSON as `numeric` prints it; `None` when that is how it is written.
fn plain(text: &str) -> Result<Option<String>, Unkept> {
    let is_plain = !text.starts_with("-0") && !text.bytes().any(|byte| matches!(byte, b'e' | b'E'));
    if is_plain && i64::try_from(text.len()).is_ok_and(|length| length <= MOST_FRACTION) {
        return Ok(None);
    }
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (digits, exponent) = rest.split_once(['e', 'E']).map_or((rest, "0"), |(digits, exponent)| (digits, exponent));
    let exponent: i64 = exponent.strip_prefix('+').unwrap_or(exponent).parse().map_err(|_| Unkept::Number)?;
    if !(-EXPONENT_END..EXPONENT_END).contains(&exponent) {
        return Err(Unkept::Number);
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let length = |text: &str| i64::try_from(text.len()).map_err(|_| Unkept::Number);
    // Where the point comes to lie among all digits, and how many are behind it.
    let (point, behind) = (length(whole)? + exponent, (length(fraction)? - exponent).max(0));
    let digits = format!("{whole}{fraction}");
    let leading = digits.find(|c| c != '0');
    let zeros = length(&digits[..leading.unwrap_or(0)])?;
    if behind > MOST_FRACTION || leading.is_some() && point - zeros > MOST_WHOLE {
        return Err(Unkept::Number);
    }
    let count = |n: i64| usize::try_from(n).unwrap_or(0);
    let sign = if negative && leading.is_some() { "-" } else { "" };
    let significant = &digits[leading.unwrap_or(digits.len())..];
    // Digits before the point as far as they go, then zeros up to it; behind it zeros up to where they begin.
    let before = count(point - zeros);
    let (first, rest) = significant.split_at(significant.len().min(before));
    let nothing = |n: usize| "0".repeat(n);
    let whole = if first.is_empty() { "0".to_owned() } else { format!("{first}{}", nothing(before - first.len())) };
    let plain = match count(behind) {
        0 => format!("{sign}{whole}"),
        behind => format!("{sign}{whole}.{}{rest}", nothing(behind.saturating_sub(rest.len()))),
    };
    Ok((plain != text).then_some(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<String, Unkept> {
        let mut value: Value = serde_json::from_str(text).expect("JSON");
        canonical(&mut value).map(|()| value.to_string())
    }

    #[test]
    fn numbers_as_jsonb_prints_them() {
        for (text, printed) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.00", "0.00"),
            ("-0.5", "-0.5"),
            ("12.50", "12.50"),
            ("1e3", "1000"),
            ("1E+3", "1000"),
            ("-1.5e1", "-15"),
            ("1.50e1", "15.0"),
            ("1.50e0", "1.50"),
            ("1e-3", "0.001"),
            ("120e-1", "12.0"),
            ("12.3e-4", "0.00123"),
            ("0.0012e3", "1.2"),
            ("0.0012e6", "1200"),
            ("0e5", "0"),
            ("0e-5", "0.00000"),
            ("0e200000", "0"),
            ("0.00e1", "0.0"),
            ("10.0e2", "1000"),
            (r#"{"a":[1e1,{"b":2e0}]}"#, r#"{"a":[10,{"b":2}]}"#),
            (r#""1e3""#, r#""1e3""#),
        ] {
            assert_eq!(of(text).as_deref(), Ok(printed), "{text}");
        }
    }

    #[test]
    fn what_jsonb_does_not_hold() {
        assert_eq!(of("1e131071").map(|text| text.len()), Ok(131_072));
        assert_eq!(of("-0.01e131073").map(|text| text.len()), Ok(131_073));
        assert_eq!(of("1e-16383").map(|text| text.len()), Ok(16_385));
        let nines = "9".repeat(131_072);
        assert_eq!(of(&nines), Ok(nines.clone()));
        for text in [
            "1e200000",
            "1e131072",
            "-10e131071",
            "0.1e131073",
            "1e-16384",
            "0e-16384",
            "1.0e-16383",
            "1e99999999999999999999",
            "0e1073741824",
            &format!("{nines}9"),
            &format!("0.{}", "1".repeat(16_384)),
            r#"{"a":[1,{"b":1e200000}]}"#,
        ] {
            assert_eq!(of(text), Err(Unkept::Number), "{text}");
        }
        assert_eq!(of(r#"["a\u0000"]"#), Err(Unkept::Nul));
        assert_eq!(of(r#"{"a\u0000":1}"#), Err(Unkept::Nul));
        assert_eq!(of(r#"["C:\\u0000"]"#), Ok(r#"["C:\\u0000"]"#.to_owned()));
        let many = ["1e131071"; 8].join(",");
        assert_eq!(of(&format!("[{many}]")), Err(Unkept::Digits));
    }
}
