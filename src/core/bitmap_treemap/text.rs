//! The text forms: `{1,5,9}` and `\x…`.

use std::fmt;

use super::MAX_VALUE;
use crate::braces::{Braces, Malformed, is_space};

/// Why a text is not a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextError {
    /// It does not have the form `{1,5,9}` or `\x…`.
    Malformed {
        /// Offset of the offending byte, from 0.
        at: usize,
        /// What was expected there, as a lower-case phrase.
        expected: &'static str,
    },
    /// A number that no set can hold: negative, or above [`MAX_VALUE`]; as written.
    OutOfRange(String),
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TextError::Malformed { at, expected } => {
                write!(f, "expected {expected} at character {}", at + 1)
            }
            TextError::OutOfRange(value) => write!(f, "value {value} is out of range"),
        }
    }
}

impl std::error::Error for TextError {}

impl From<Malformed> for TextError {
    fn from(Malformed { at, expected }: Malformed) -> Self {
        TextError::Malformed { at, expected }
    }
}

/// The numbers of a text `{1, 5, 9}`, in the order written. Space is allowed around the braces and the numbers.
///
/// Ends after the closing brace or the first error. Cost: one pass, no allocation.
#[derive(Debug)]
pub struct Values<'a>(Braces<'a>);

impl<'a> Values<'a> {
    /// Reads `text`, the whole literal.
    pub fn new(text: &'a [u8]) -> Self {
        Values(Braces::new(text))
    }
}

impl Iterator for Values<'_> {
    type Item = Result<u64, TextError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(|text| {
            let number = text.number("a number")?;
            let value = number.unsigned().filter(|value| *value <= MAX_VALUE);
            value.ok_or_else(|| TextError::OutOfRange(number.shown()))
        })
    }
}

/// The bytes of a text `\x0123…`; `None` when the text does not start with `\x`. Space is allowed around it.
pub fn parse_hex(text: &[u8]) -> Option<Result<Vec<u8>, TextError>> {
    let skipped = text.iter().take_while(|byte| is_space(**byte)).count();
    let rest = text.get(skipped..)?.strip_prefix(b"\\x")?;
    let tail = rest.iter().rev().take_while(|byte| is_space(**byte)).count();
    let digits = rest.get(..rest.len() - tail)?;
    let malformed = |i: usize| TextError::Malformed { at: skipped + 2 + i, expected: "a hexadecimal digit" };
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    for (i, pair) in digits.chunks(2).enumerate() {
        let byte = match *pair {
            [high, low] => match (hex_value(high), hex_value(low)) {
                (Some(high), Some(low)) => high << 4 | low,
                (None, _) => return Some(Err(malformed(2 * i))),
                (_, None) => return Some(Err(malformed(2 * i + 1))),
            },
            _ => return Some(Err(malformed(2 * i + 1))),
        };
        bytes.push(byte);
    }
    Some(Ok(bytes))
}

fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Appends `bytes` as lower-case hexadecimal digits, without the `\x`.
pub fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
    for byte in bytes {
        out.push(digit(byte >> 4));
        out.push(digit(byte & 15));
    }
}

/// Appends `value` in decimal.
pub fn push_decimal(out: &mut Vec<u8>, mut value: u64) {
    let start = out.len();
    loop {
        out.push(b'0' + (value % 10) as u8);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}
