//! What can be wrong with an expression, said so that its author can repair it: what, where, and what to do next.

use std::fmt;

use super::ast::Position;

/// The kinds of mistake; each has one SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The text is not an SQL expression.
    Syntax,
    /// No attribute of that name.
    UnknownAttribute,
    /// No event type of that name.
    UnknownEvent,
    /// The event has no property of that name.
    UnknownProperty,
    /// No segment or identifier type of that name.
    UnknownSegment,
    /// No function of that name, or not with these arguments.
    UnknownFunction,
    /// The types do not fit together.
    TypeMismatch,
    /// A literal its type cannot read.
    InvalidValue,
    /// A number outside the range of its type.
    OutOfRange,
    /// A date or time that the calendar does not have.
    TimeOutOfRange,
    /// SQL, but not part of this language.
    NotSupported,
    /// Too long, too deep or too many words.
    TooComplex,
    /// More than one reading is possible.
    Ambiguous,
    /// A caller broke the contract of this module; never the fault of the text.
    Internal,
}

impl Kind {
    /// The five-character SQLSTATE PostgreSQL uses for this kind of mistake.
    pub fn sqlstate(self) -> &'static str {
        match self {
            Kind::Syntax => "42601",
            Kind::UnknownAttribute | Kind::UnknownProperty => "42703",
            Kind::UnknownEvent | Kind::UnknownSegment => "42704",
            Kind::UnknownFunction => "42883",
            Kind::TypeMismatch => "42804",
            Kind::InvalidValue => "22P02",
            Kind::OutOfRange => "22003",
            Kind::TimeOutOfRange => "22008",
            Kind::NotSupported => "0A000",
            Kind::TooComplex => "54001",
            Kind::Ambiguous => "42725",
            Kind::Internal => "XX000",
        }
    }
}

/// A mistake in an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExprError {
    /// What sort of mistake.
    pub kind: Kind,
    /// The message: lower case, the user's value in double quotes, no full stop.
    pub message: String,
    /// Where in the text: 1-based, in characters; 0 when unknown.
    pub position: Position,
    /// The word of the text that is at fault, as written.
    pub word: Option<String>,
    /// What to do next.
    pub hint: Option<String>,
}

impl ExprError {
    /// A mistake of `kind` at `position`.
    pub fn new(kind: Kind, position: Position, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), position, word: None, hint: None }
    }

    /// The same mistake, naming the word at fault.
    #[must_use]
    pub fn with_word(mut self, word: impl Into<String>) -> Self {
        self.word = Some(word.into());
        self
    }

    /// The same mistake, saying what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The five-character SQLSTATE of [`ExprError::kind`].
    pub fn sqlstate(&self) -> &'static str {
        self.kind.sqlstate()
    }
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.position > 0 {
            write!(f, " at character {}", self.position)?;
        }
        Ok(())
    }
}

impl std::error::Error for ExprError {}

/// Names longer than this are not compared: the cost of a comparison grows with the product of the lengths.
const LONGEST_NAME: usize = 64;

/// The known name nearest to `name`, when one is near enough to be what was meant: at most a third of its
/// characters wrong (at least one), swapped neighbours counting as one. Ties go to the first in byte order, so that
/// the answer does not depend on the order of the list.
pub fn nearest<I>(name: &str, known: I) -> Option<String>
where
    I: IntoIterator<Item = String>,
{
    let wanted: Vec<char> = name.chars().flat_map(char::to_lowercase).collect();
    if wanted.is_empty() || wanted.len() > LONGEST_NAME {
        return None;
    }
    let allowed = (wanted.len() / 3).max(1);
    let mut best: Option<(usize, String)> = None;
    for candidate in known {
        let letters: Vec<char> = candidate.chars().flat_map(char::to_lowercase).collect();
        if letters.len() > LONGEST_NAME || letters.len().abs_diff(wanted.len()) > allowed {
            continue;
        }
        let distance = edits(&wanted, &letters);
        // A word of one or two letters must share something with the candidate, or everything short is "near".
        if distance > allowed || distance >= wanted.len() {
            continue;
        }
        let better = match &best {
            None => true,
            Some((d, n)) => distance < *d || (distance == *d && candidate < *n),
        };
        if better {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, n)| n)
}

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours.
fn edits(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut current = Vec::with_capacity(b.len() + 1);
        current.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let mut best = (previous[j] + usize::from(x != y)).min(previous[j + 1] + 1).min(current[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                best = best.min(before[j - 1] + 1);
            }
            current.push(best);
        }
        before = std::mem::replace(&mut previous, current);
    }
    previous[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    fn known() -> Vec<String> {
        ["gender", "value_level", "city_tier", "城市等级"].map(String::from).to_vec()
    }

    #[test]
    fn finds_what_was_meant() {
        assert_eq!(nearest("value_levle", known()).as_deref(), Some("value_level"));
        assert_eq!(nearest("Gendre", known()).as_deref(), Some("gender"));
        assert_eq!(nearest("城市等机", known()).as_deref(), Some("城市等级"));
    }

    #[test]
    fn keeps_silent_when_nothing_is_near() {
        assert_eq!(nearest("purchases", known()), None);
        assert_eq!(nearest("", known()), None);
        assert_eq!(nearest("x", ["y".to_string()]), None);
        assert_eq!(nearest(&"g".repeat(100_000), known()), None);
    }
}
