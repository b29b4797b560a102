//! The text form `{1:10,2:-5}`.

use std::fmt;

use super::MAX_ID;

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

/// Numbers in an error message are cut here: 2^64 has 20 digits, anything much longer is noise.
const SHOWN_DIGITS: usize = 40;

/// The pairs of a text, in the order written. Space is allowed around braces, colons, commas and numbers.
///
/// Ends after the closing brace or the first error. Cost: one pass, no allocation.
#[derive(Debug)]
pub struct TextPairs<'a> {
    text: &'a [u8],
    at: usize,
    state: State,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Start,
    Between,
    Done,
}

impl<'a> TextPairs<'a> {
    /// Reads `text`, the whole literal.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, state: State::Start }
    }

    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(|byte| is_space(*byte)) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn malformed(&self, expected: &'static str) -> TextError {
        TextError::Malformed { at: self.at, expected }
    }

    fn read(&mut self) -> Result<Option<(u64, i64)>, TextError> {
        match self.state {
            State::Done => return Ok(None),
            State::Start => {
                if self.peek() != Some(b'{') {
                    return Err(self.malformed("\"{\""));
                }
                self.at += 1;
                if self.peek() == Some(b'}') {
                    return self.close();
                }
            }
            State::Between => match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => return self.close(),
                _ => return Err(self.malformed("\",\" or \"}\"")),
            },
        }
        self.state = State::Between;
        let (id, written) = self.number("an id")?;
        let id = id.and_then(|id| u64::try_from(id).ok()).filter(|id| *id <= MAX_ID);
        let id = id.ok_or_else(|| TextError::Id(shown(written)))?;
        if self.peek() != Some(b':') {
            return Err(self.malformed("\":\""));
        }
        self.at += 1;
        let (value, written) = self.number("a value")?;
        let value = value.and_then(|value| i64::try_from(value).ok());
        let value = value.ok_or_else(|| TextError::Value(shown(written)))?;
        Ok(Some((id, value)))
    }

    fn close(&mut self) -> Result<Option<(u64, i64)>, TextError> {
        self.at += 1;
        match self.peek() {
            None => Ok(None),
            Some(_) => Err(self.malformed("nothing after \"}\"")),
        }
    }

    /// The next number, `None` when it is beyond 128 bits, and how it is written.
    fn number(&mut self, expected: &'static str) -> Result<(Option<i128>, &'a [u8]), TextError> {
        self.peek();
        let start = self.at;
        let negative = self.text.get(start) == Some(&b'-');
        if matches!(self.text.get(start), Some(b'-' | b'+')) {
            self.at += 1;
        }
        let first = self.at;
        let mut value = Some(0i128);
        while let Some(digit @ b'0'..=b'9') = self.text.get(self.at) {
            value = value.and_then(|value| value.checked_mul(10)?.checked_add(i128::from(digit - b'0')));
            self.at += 1;
        }
        if self.at == first {
            return Err(self.malformed(expected));
        }
        let value = value.map(|value| if negative { -value } else { value });
        Ok((value, self.text.get(start..self.at).unwrap_or_default()))
    }
}

fn shown(written: &[u8]) -> String {
    let mut shown = String::from_utf8_lossy(written.get(..SHOWN_DIGITS).unwrap_or(written)).into_owned();
    if written.len() > SHOWN_DIGITS {
        shown.push('…');
    }
    shown
}

impl Iterator for TextPairs<'_> {
    type Item = Result<(u64, i64), TextError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.read().transpose();
        if !matches!(item, Some(Ok(_))) {
            self.state = State::Done;
        }
        item
    }
}

/// What PostgreSQL's array input skips.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Appends `value` in decimal.
pub fn push_number(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    crate::bitmap_treemap::push_decimal(out, value.unsigned_abs());
}
