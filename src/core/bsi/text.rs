//! The text form `{1:10,2:-5}`.

use std::fmt;

use super::MAX_ID;
use crate::braces::{Braces, Malformed};

/// Why a text is not an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextError {
    /// It does not have the form `{1:10,2:-5}`.
    Malformed {
        /// Offset of the offending byte, from 0.
        at: usize,
        /// What was expected there, as a lower-case phrase.
        expected: &'static str,
    },
    /// A number that is no id: negative, or above [`MAX_ID`]; as written.
    Id(String),
    /// A number that is no value: beyond 64 bits; as written.
    Value(String),
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { at, expected } => write!(f, "expected {expected} at character {}", at + 1),
            Self::Id(id) => write!(f, "id {id} is out of range"),
            Self::Value(value) => write!(f, "value {value} is out of range"),
        }
    }
}

impl std::error::Error for TextError {}

impl From<Malformed> for TextError {
    fn from(Malformed { at, expected }: Malformed) -> Self {
        Self::Malformed { at, expected }
    }
}

/// The pairs of a text, in the order written. Space is allowed around braces, colons, commas and numbers.
///
/// Ends after the closing brace or the first error. Cost: one pass, no allocation.
#[derive(Debug)]
pub struct TextPairs<'a>(Braces<'a>);

impl<'a> TextPairs<'a> {
    /// Reads `text`, the whole literal.
    pub fn new(text: &'a [u8]) -> Self {
        Self(Braces::new(text))
    }
}

impl Iterator for TextPairs<'_> {
    type Item = Result<(u64, i64), TextError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next(|text| {
            let id = text.number("an id")?;
            let key = id.unsigned().filter(|id| *id <= MAX_ID).ok_or_else(|| TextError::Id(id.shown()))?;
            text.expect(b':', "\":\"")?;
            let value = text.number("a value")?;
            Ok((key, value.signed().ok_or_else(|| TextError::Value(value.shown()))?))
        })
    }
}

/// Appends `value` in decimal.
pub fn push_number(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    crate::bitmap_treemap::push_decimal(out, value.unsigned_abs());
}
