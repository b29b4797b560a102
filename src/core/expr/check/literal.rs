//! What a literal means once its type is known.

use crate::expr::ast::{Expr, Node, Position, Type};
use crate::expr::error::{ExprError, Kind};
use crate::expr::print::type_name;

/// One above the largest bigint: with a minus sign it is the smallest.
pub(super) const BELOW_LEAST: &str = "9223372036854775808";

/// The type of a number as written.
pub(super) fn number_type(digits: &str) -> Type {
    if digits.parse::<i64>().is_ok() { Type::Bigint } else { Type::Numeric }
}

/// Reads a literal without a type (`'5'`, `NULL`) as `to`.
pub(super) fn read(x: &mut Expr, to: Type) -> Result<(), ExprError> {
    x.ty = to;
    let Node::Text(text) = &x.node else {
        return Ok(());
    };
    let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace());
    x.node = match to {
        Type::Boolean => Node::Boolean(truth(trimmed).ok_or_else(|| unreadable(text, to, x.at))?),
        Type::Bigint => {
            let value: i128 = trimmed
                .strip_prefix('+')
                .unwrap_or(trimmed)
                .parse()
                .ok()
                .filter(|_| !trimmed.starts_with("+-") && !trimmed.starts_with("++"))
                .ok_or_else(|| unreadable(text, to, x.at))?;
            if i64::try_from(value).is_err() {
                return Err(ExprError::new(
                    Kind::OutOfRange,
                    x.at,
                    format!("value \"{text}\" is out of range for type bigint"),
                )
                .with_word(text.clone())
                .with_hint("without quotes it is a numeric, which may be as large"));
            }
            signed(value < 0, value.unsigned_abs().to_string(), to, x.at)
        }
        Type::Numeric => match sign_and_digits(trimmed) {
            Some((negative, digits)) => signed(negative, digits.to_owned(), to, x.at),
            // NaN and the infinities have no digits: they stay a cast.
            None if special_number(trimmed) => {
                Node::Cast { value: Box::new(Expr { node: Node::Text(text.clone()), ty: Type::Unknown, at: x.at }), to }
            }
            None => return Err(unreadable(text, to, x.at)),
        },
        Type::Date | Type::Timestamptz | Type::Interval => return plausible(text, to, x.at),
        Type::TextSet => {
            return Err(ExprError::new(Kind::NotSupported, x.at, "a set of texts cannot be written as a literal")
                .with_word(text.clone())
                .with_hint(format!("write {} = ANY (…)", crate::expr::print::quote_text(text))));
        }
        Type::Text | Type::Unknown => return Ok(()),
    };
    Ok(())
}

/// A number with its sign as nodes: literals themselves have none.
pub(crate) fn signed(negative: bool, digits: String, ty: Type, at: Position) -> Node {
    if negative { Node::Negate(Box::new(Expr { node: Node::Number(digits), ty, at })) } else { Node::Number(digits) }
}

/// Takes `-1.5e3` apart; `None` when it is not a decimal number.
pub(crate) fn sign_and_digits(text: &str) -> Option<(bool, &str)> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((m, e)) => (m, Some(e)),
        None => (digits, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = |s: &str| s.bytes().all(|c| c.is_ascii_digit());
    let exponent_ok = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['-', '+']).unwrap_or(e);
        !e.is_empty() && e.len() <= 3 && all(e)
    });
    (all(whole) && all(fraction) && whole.len() + fraction.len() > 0 && text.len() <= 400 && exponent_ok)
        .then_some((negative, digits))
}

fn special_number(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    matches!(lower.as_str(), "nan" | "infinity" | "-infinity" | "+infinity" | "inf" | "-inf" | "+inf")
}

/// PostgreSQL's boolean input: any unique beginning of these words.
fn truth(text: &str) -> Option<bool> {
    let lower = text.to_ascii_lowercase();
    let begins = |word: &str, least: usize| lower.len() >= least && word.starts_with(&lower);
    if begins("true", 1) || begins("yes", 1) || lower == "on" || lower == "1" {
        Some(true)
    } else if begins("false", 1) || begins("no", 1) || begins("off", 2) || lower == "0" {
        Some(false)
    } else {
        None
    }
}

fn unreadable(text: &str, ty: Type, at: Position) -> ExprError {
    let error =
        ExprError::new(Kind::InvalidValue, at, format!("invalid input syntax for type {}: \"{text}\"", type_name(ty)))
            .with_word(text);
    match ty {
        Type::Boolean => error.with_hint("write true or false"),
        Type::Bigint => error.with_hint("write a whole number"),
        Type::Numeric => error.with_hint("write a number"),
        _ => error,
    }
}

/// Refuses dates, moments and intervals that cannot be read. PostgreSQL reads them, with all its forms, when the
/// constants are folded; here only what is surely wrong is found, early and with its place.
pub(super) fn plausible(text: &str, ty: Type, at: Position) -> Result<(), ExprError> {
    const WORDS: &[&str] = &["now", "today", "tomorrow", "yesterday", "epoch", "infinity"];
    let lower = text.to_ascii_lowercase();
    let words = ty != Type::Interval && WORDS.iter().any(|w| lower.contains(w));
    let hint = match ty {
        Type::Date => "write it as date '2017-12-01'",
        Type::Timestamptz => "write it as timestamptz '2017-12-01 08:30'",
        Type::Interval => "write it as interval '30 days'",
        _ => return Ok(()),
    };
    if !words && !text.bytes().any(|c| c.is_ascii_digit()) {
        return Err(unreadable(text, ty, at).with_hint(hint));
    }
    if ty != Type::Interval
        && let Some(day) = iso_day(text.trim_ascii())
        && !day
    {
        return Err(ExprError::new(
            Kind::TimeOutOfRange,
            at,
            format!("date/time field value out of range: \"{text}\""),
        )
        .with_word(text)
        .with_hint("there is no such day in the calendar"));
    }
    Ok(())
}

/// Whether text that begins like `2017-02-29` names a day of the calendar; `None` when it does not begin so.
pub(crate) fn iso_day(text: &str) -> Option<bool> {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| -> Option<u32> {
        let part = text.get(range)?;
        part.bytes().all(|c| c.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    if bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
        return None;
    }
    if bytes.get(10).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    Some(year > 0 && (1..=last).contains(&day))
}
