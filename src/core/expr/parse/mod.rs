//! Text to tree. Promise: any text gives a tree or an error that names a place; never a panic, and never more stack
//! than [`Limits::nesting`] and [`Limits::depth`] allow. The cost is linear in the text.
//!
//! The tokens and the grammar are sqlparser's (PostgreSQL dialect). Before the grammar sees the tokens, their line and
//! column are replaced by their character position, which is what PostgreSQL reports; that is why every position
//! below is a column on line 1.

pub(in crate::expr) mod call;
mod convert;
mod place;
mod refuse;
mod sequence;
mod tokens;

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;

use super::ast::Expr;
use super::error::{ExprError, Kind};
use tokens::Words;

/// How large an expression may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Bytes of text.
    pub bytes: usize,
    /// Words and signs, not counting spaces and comments.
    pub tokens: usize,
    /// Parentheses, calls, CASE and prefix operators inside each other.
    pub nesting: usize,
    /// Levels of the finished tree; an unparenthesised `a + b + c` has one for each sign, AND and OR have one for the
    /// whole chain.
    pub depth: usize,
}

impl Default for Limits {
    /// 64 KiB, 10,000 words, 50 levels of nesting, 100 levels of tree: far beyond what people write, and well inside
    /// the stack of a server process.
    fn default() -> Self {
        Self { bytes: 64 * 1024, tokens: 10_000, nesting: 50, depth: 100 }
    }
}

impl Limits {
    /// The largest that any setting allows; what is kept already is read within these.
    pub const MOST: Self = Self { bytes: 1024 * 1024, tokens: 163_840, nesting: 100, depth: 200 };

    /// Limits for a text of so many bytes and levels of nesting, at most [`Limits::MOST`]. A word has six bytes on average; a
    /// tree is at most twice as deep as the text nests.
    #[must_use]
    pub fn of(bytes: usize, nesting: usize) -> Self {
        let (bytes, nesting) = (bytes.min(Self::MOST.bytes), nesting.min(Self::MOST.nesting));
        Self { bytes, tokens: (bytes / 64 * 10).max(1000), nesting, depth: nesting * 2 }
    }
}

/// Reads an expression within the default [`Limits`].
///
/// # Errors
/// [`Kind::Syntax`], [`Kind::NotSupported`], [`Kind::UnknownFunction`], [`Kind::TooComplex`] and
/// [`Kind::OutOfRange`], each with its position.
pub fn parse(text: &str) -> Result<Expr, ExprError> {
    parse_with(text, &Limits::default())
}

/// Reads an expression within `limits`.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(text: &str, limits: &Limits) -> Result<Expr, ExprError> {
    let words = Words::read(text, limits)?;
    let dialect = PostgreSqlDialect {};
    let mut parser = Parser::new(&dialect)
        // Two more than we allow ourselves: the limit of ours gives the better message.
        .with_recursion_limit(limits.nesting + 2)
        .with_tokens_with_locations(words.tokens().to_vec());
    let tree = parser.parse_expr().map_err(|e| explain(&e, &words, limits))?;
    let rest = parser.peek_token_ref();
    if rest.token != Token::EOF {
        let position = u32::try_from(rest.span.start.column).unwrap_or(0);
        place::discard(tree);
        return Err(unexpected(position, &words, None));
    }
    convert::convert(tree, &words, limits)
}

/// The same error with the position of its word: a tree knows where an aggregate begins, only the text knows where its
/// event or property stands.
#[must_use]
pub fn locate(error: ExprError, text: &str) -> ExprError {
    let place = error.word.as_deref().filter(|_| error.position > 0).and_then(|word| {
        let words = Words::read(text, &Limits::MOST).ok()?;
        words.find(error.position, word)
    });
    match place {
        Some(position) => ExprError { position, ..error },
        None => error,
    }
}

/// sqlparser's error in PostgreSQL's words. Only the position is taken from its message, and what it expected.
fn explain(error: &ParserError, words: &Words<'_>, limits: &Limits) -> ExprError {
    let message = match error {
        ParserError::RecursionLimitExceeded => {
            return tokens::too_deep(words.deepest(), limits.nesting);
        }
        ParserError::TokenizerError(m) | ParserError::ParserError(m) => m,
    };
    let position = message.rsplit_once("Column: ").and_then(|(_, n)| n.trim().parse::<u32>().ok()).unwrap_or(0);
    let expected = message.strip_prefix("Expected: ").and_then(|m| m.split_once(", found: ")).map(|(what, _)| what);
    unexpected(position, words, expected)
}

fn unexpected(position: u32, words: &Words<'_>, expected: Option<&str>) -> ExprError {
    let Some(word) = words.word_at(position) else {
        let error = ExprError::new(Kind::Syntax, words.end(), "syntax error at end of input");
        return if words.is_empty() {
            error.with_hint("write a condition, for example gender = 'female'")
        } else {
            match words.unclosed() {
                Some(open) => error.with_hint(format!("the parenthesis at character {open} is not closed")),
                None => error.with_hint("the expression stops in the middle"),
            }
        };
    };
    let error = ExprError::new(Kind::Syntax, position, format!("syntax error at or near \"{word}\"")).with_word(word);
    match (words.advice_at(position), expected) {
        (Some(advice), _) => error.with_hint(advice),
        (None, Some(what)) => error.with_hint(format!("expected {what} here")),
        (None, None) => error.with_hint("something is missing before it, such as AND or OR"),
    }
}

#[cfg(test)]
mod tests;
