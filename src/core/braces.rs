//! Lists in braces, `{…,…}`: what the text forms of sets and of indexes share. Space is allowed between the parts, as in PostgreSQL's arrays.

/// The text does not have the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// Offset of the offending byte, from 0.
    pub at: usize,
    /// What was expected there, as a lower-case phrase.
    pub expected: &'static str,
}

/// A whole number as written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number<'a> {
    negative: bool,
    /// `None` beyond 64 bits.
    magnitude: Option<u64>,
    written: &'a [u8],
}

/// Numbers in an error message are cut here: 2^64 has 20 digits, anything much longer is noise.
const SHOWN_DIGITS: usize = 40;

impl Number<'_> {
    /// The number, when it is not negative and has at most 64 bits.
    pub fn unsigned(&self) -> Option<u64> {
        self.magnitude.filter(|magnitude| *magnitude == 0 || !self.negative)
    }

    /// The number, when 64 bits hold it with its sign.
    pub fn signed(&self) -> Option<i64> {
        let magnitude = self.magnitude?;
        if self.negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
    }

    /// As it is written, cut when it is long.
    pub fn shown(&self) -> String {
        let start = self.written.get(..SHOWN_DIGITS).unwrap_or(self.written);
        let mut shown = String::from_utf8_lossy(start).into_owned();
        if start.len() < self.written.len() {
            shown.push('…');
        }
        shown
    }
}

/// Reads a list front to back. Cost: one pass, no allocation.
#[derive(Debug)]
pub(crate) struct Braces<'a> {
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

impl<'a> Braces<'a> {
    /// Reads `text`, the whole literal.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, state: State::Start }
    }

    /// Reads the next item by `item`; `None` after the closing brace and after the first error.
    pub fn next<T, E: From<Malformed>>(
        &mut self,
        item: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        let next = match self.advance() {
            Ok(false) => None,
            Ok(true) => Some(item(self)),
            Err(malformed) => Some(Err(malformed.into())),
        };
        if !matches!(next, Some(Ok(_))) {
            self.state = State::Done;
        }
        next
    }

    /// Goes to the next item; false at the closing brace.
    fn advance(&mut self) -> Result<bool, Malformed> {
        match self.state {
            State::Done => return Ok(false),
            State::Start => {
                self.expect(b'{', "\"{\"")?;
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
        Ok(true)
    }

    fn close(&mut self) -> Result<bool, Malformed> {
        self.at += 1;
        match self.peek() {
            None => Ok(false),
            Some(_) => Err(self.malformed("nothing after \"}\"")),
        }
    }

    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(|byte| is_space(*byte)) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn malformed(&self, expected: &'static str) -> Malformed {
        Malformed { at: self.at, expected }
    }

    /// Takes a sign of punctuation.
    pub fn expect(&mut self, sign: u8, expected: &'static str) -> Result<(), Malformed> {
        if self.peek() != Some(sign) {
            return Err(self.malformed(expected));
        }
        self.at += 1;
        Ok(())
    }

    /// Takes a number.
    pub fn number(&mut self, expected: &'static str) -> Result<Number<'a>, Malformed> {
        let sign = self.peek();
        let start = self.at;
        if matches!(sign, Some(b'-' | b'+')) {
            self.at += 1;
        }
        let first = self.at;
        let mut magnitude = Some(0u64);
        while let Some(digit @ b'0'..=b'9') = self.text.get(self.at) {
            magnitude = magnitude.and_then(|value| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
            self.at += 1;
        }
        if self.at == first {
            return Err(self.malformed(expected));
        }
        let written = self.text.get(start..self.at).unwrap_or_default();
        Ok(Number { negative: sign == Some(b'-'), magnitude, written })
    }
}

/// What PostgreSQL's array input skips.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}
