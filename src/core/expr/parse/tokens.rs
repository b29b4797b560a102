//! The words of the text with their character positions, and the limits that can be told from words alone.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use super::Limits;
use crate::expr::ast::Position;
use crate::expr::error::{ExprError, Kind};

/// Longest part of a word that is repeated in a message.
const LONGEST_QUOTE: usize = 60;

/// The words a typed literal may begin with.
const TYPE_WORDS: &[&str] = &[
    "date",
    "timestamp",
    "timestamptz",
    "interval",
    "with",
    "without",
    "time",
    "zone",
    "numeric",
    "decimal",
    "text",
    "varchar",
    "boolean",
    "bool",
    "bigint",
    "integer",
    "int",
    "smallint",
];

/// The words of one text.
pub(super) struct Words<'a> {
    text: &'a str,
    /// Without spaces and comments; spans hold character positions as columns of line 1.
    tokens: Vec<TokenWithSpan>,
    /// Byte range of each token.
    ranges: Vec<(usize, usize)>,
    end: Position,
    deepest: Position,
    unclosed: Option<Position>,
}

impl<'a> Words<'a> {
    /// Splits `text` into words.
    pub(super) fn read(text: &'a str, limits: &Limits) -> Result<Self, ExprError> {
        if text.len() > limits.bytes {
            return Err(ExprError::new(
                Kind::TooComplex,
                0,
                format!("expression of {} bytes is too long, the most is {}", text.len(), limits.bytes),
            )
            .with_hint("split it: make a segment of each part and combine them with in_segment()"));
        }
        if let Some(place) = text.chars().position(|c| c == '\0') {
            return Err(ExprError::new(Kind::Syntax, position_of(place), "null character in expression")
                .with_hint("remove it: text in PostgreSQL cannot hold it"));
        }
        let places = Places::of(text);
        let raw = Tokenizer::new(&PostgreSqlDialect {}, text)
            .tokenize_with_location()
            .map_err(|e| broken(&e.message, places.character(e.location), text))?;
        let mut words = Self {
            text,
            tokens: Vec::new(),
            ranges: Vec::new(),
            end: position_of(places.bytes.len().saturating_sub(1)),
            deepest: 0,
            unclosed: None,
        };
        for token in raw {
            if matches!(token.token, Token::Whitespace(_) | Token::EOF) {
                continue;
            }
            let start = places.character(token.span.start);
            let stop = places.character(token.span.end);
            if words.tokens.len() == limits.tokens {
                return Err(ExprError::new(
                    Kind::TooComplex,
                    start,
                    format!("expression has more than {} words", limits.tokens),
                )
                .with_hint("split it: make a segment of each part and combine them with in_segment()"));
            }
            words.ranges.push((places.byte(start), places.byte(stop)));
            words.tokens.push(TokenWithSpan::new(
                token.token,
                Span::new(Location::new(1, u64::from(start)), Location::new(1, u64::from(stop))),
            ));
        }
        words.measure(limits)?;
        Ok(words)
    }

    /// Refuses what would nest too deep before the grammar sees it: brackets, and chains of operators. Without the
    /// second, `x ISNULL ISNULL …` makes a tree as deep as the text is long.
    fn measure(&mut self, limits: &Limits) -> Result<(), ExprError> {
        // Each sign of a chain brings at most five words with it (`+ name :: double precision`).
        let longest_chain = limits.depth.saturating_mul(5);
        let mut open: Vec<Open> = Vec::new();
        let mut chain = 0_usize;
        let mut deepest = 0;
        let mut previous = &Token::Comma;
        // Signs and NOT in front of an operand nest like parentheses.
        let mut prefixes = 0;
        for token in &self.tokens {
            let at = column(token.span.start);
            let prefix =
                matches!(token.token, Token::Minus | Token::Plus) || keyword(&token.token) == Some(Keyword::NOT);
            prefixes = if prefix && expects_operand(previous) { prefixes + 1 } else { 0 };
            if open.len() + prefixes > limits.nesting {
                return Err(too_deep(at, limits.nesting));
            }
            let case = keyword(&token.token) == Some(Keyword::CASE);
            match &token.token {
                Token::LParen | Token::LBracket | Token::LBrace => {
                    open.push(Open { at, chain, case });
                    chain = 0;
                }
                _ if case => {
                    open.push(Open { at, chain, case });
                    chain = 0;
                }
                Token::RParen | Token::RBracket | Token::RBrace => {
                    while open.pop_if(|o| o.case).is_some() {}
                    chain = open.pop().map_or(0, |o| o.chain + 1);
                }
                Token::Word(_) if keyword(&token.token) == Some(Keyword::END) => {
                    chain = open.pop_if(|o| o.case).map_or(chain, |o| o.chain) + 1;
                }
                Token::Comma => chain = 0,
                Token::Word(w) if query(previous, &token.token) => {
                    let error = ExprError::new(Kind::NotSupported, at, "queries are not part of an expression")
                        .with_word(w.value.clone());
                    return Err(if open.is_empty() {
                        error.with_hint("write only the condition, without SELECT, FROM or WHERE")
                    } else {
                        error
                            .with_hint("use an aggregate over events, for example count(purchase) > 0, or in_segment()")
                    });
                }
                Token::DoubleEq => {
                    return Err(near(at, "==").with_hint("write = to compare"));
                }
                Token::Word(w)
                    if matches!(keyword(&token.token), Some(Keyword::AND | Keyword::OR))
                        && expects_operand(previous) =>
                {
                    return Err(near(at, &w.value).with_hint("something is missing before it"));
                }
                Token::Word(_)
                    if matches!(
                        keyword(&token.token),
                        Some(Keyword::AND | Keyword::OR | Keyword::WHEN | Keyword::THEN | Keyword::ELSE)
                    ) =>
                {
                    chain = 0;
                }
                _ => {
                    chain += 1;
                    if chain > longest_chain {
                        return Err(ExprError::new(
                            Kind::TooComplex,
                            at,
                            format!("more than {} operators in a row", limits.depth),
                        )
                        .with_hint("split it into tags and combine those"));
                    }
                }
            }
            if open.len() > deepest {
                deepest = open.len();
                self.deepest = at;
            }
            if open.len() > limits.nesting {
                return Err(too_deep(at, limits.nesting));
            }
            previous = &token.token;
        }
        self.unclosed = open.iter().rev().find(|o| !o.case).map(|o| o.at);
        Ok(())
    }

    pub(super) fn tokens(&self) -> &[TokenWithSpan] {
        &self.tokens
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// Where the first word stands.
    pub(super) fn first(&self) -> Position {
        self.tokens.first().map_or(self.end, |t| column(t.span.start))
    }

    /// The position just behind the text.
    pub(super) fn end(&self) -> Position {
        self.end
    }

    /// Where the deepest bracket opens; 0 without brackets.
    pub(super) fn deepest(&self) -> Position {
        self.deepest
    }

    /// The innermost parenthesis that is never closed.
    pub(super) fn unclosed(&self) -> Option<Position> {
        self.unclosed
    }

    fn index_at(&self, position: Position) -> Option<usize> {
        self.tokens.binary_search_by_key(&u64::from(position), |t| t.span.start.column).ok()
    }

    /// The word that begins at `position`, as written (shortened when it is very long).
    pub(super) fn word_at(&self, position: Position) -> Option<String> {
        let (start, stop) = self.ranges.get(self.index_at(position)?)?;
        let word = self.text.get(*start..*stop)?;
        let mut short: String = word.chars().take(LONGEST_QUOTE).collect();
        if short.len() < word.len() {
            short.push('…');
        }
        Some(short)
    }

    /// The last place before `position` where `word` stands; `position` when there is none.
    pub(super) fn before(&self, position: Position, word: &str) -> Position {
        let to = self.tokens.partition_point(|t| t.span.start.column < u64::from(position));
        (0..to).rev().find(|i| self.is_word(*i, word)).map_or(position, |i| column(self.tokens[i].span.start))
    }

    /// Where the typed literal whose string stands at `position` begins: `timestamp with time zone '…'`.
    pub(super) fn typed_literal(&self, position: Position) -> Position {
        let Some(index) = self.index_at(position) else {
            return position;
        };
        let mut start = index;
        while let Some(i) = start.checked_sub(1)
            && TYPE_WORDS.iter().any(|w| self.is_word(i, w))
        {
            start = i;
        }
        column(self.tokens[start].span.start)
    }

    fn is_word(&self, index: usize, word: &str) -> bool {
        self.ranges.get(index).and_then(|(a, b)| self.text.get(*a..*b)).is_some_and(|w| w.eq_ignore_ascii_case(word))
    }

    /// The first place at or after `position` where a word equal to `word` stands; `position` when there is none.
    pub(super) fn after(&self, position: Position, word: &str) -> Position {
        let from = self.tokens.partition_point(|t| t.span.start.column < u64::from(position));
        (from..self.tokens.len())
            .find(|i| self.is_word(*i, word))
            .map_or(position, |i| column(self.tokens[i].span.start))
    }

    /// The first name or quoted text at or after `position` that is `word`.
    pub(super) fn find(&self, position: Position, word: &str) -> Option<Position> {
        self.tokens
            .iter()
            .filter(|t| t.span.start.column >= u64::from(position))
            .find(|t| match &t.token {
                Token::Word(w) if w.quote_style.is_some() => w.value == word,
                Token::Word(w) => w.value.eq_ignore_ascii_case(word),
                Token::SingleQuotedString(s) => s == word,
                _ => false,
            })
            .map(|t| column(t.span.start))
    }

    /// What to say about a word the grammar did not expect.
    pub(super) fn advice_at(&self, position: Position) -> Option<String> {
        let index = self.index_at(position)?;
        let previous = index.checked_sub(1).map(|i| &self.tokens[i].token);
        match &self.tokens[index].token {
            Token::SemiColon => Some("write one expression without a semicolon".into()),
            Token::RParen if self.unbalanced(index) => Some("there is no opening parenthesis for it".into()),
            Token::Word(w)
                if matches!(
                    w.keyword,
                    Keyword::SELECT | Keyword::FROM | Keyword::WHERE | Keyword::ORDER | Keyword::GROUP
                ) && w.quote_style.is_none() =>
            {
                Some("write only the condition, without SELECT, FROM or WHERE".into())
            }
            Token::Word(w) if w.keyword == Keyword::NoKeyword && comparison(previous) => None,
            Token::Word(w) if w.keyword == Keyword::NoKeyword && w.quote_style.is_none() => match previous {
                Some(Token::Word(p)) if p.keyword == Keyword::NoKeyword => {
                    Some(format!("an operator is missing before it; text is written in single quotes: '{}'", w.value))
                }
                Some(Token::Number(..)) => Some("an operator is missing before it".into()),
                _ => None,
            },
            _ => None,
        }
    }

    fn unbalanced(&self, index: usize) -> bool {
        let mut open = 0_i64;
        for token in &self.tokens[..=index] {
            match token.token {
                Token::LParen => open += 1,
                Token::RParen => open -= 1,
                _ => {}
            }
        }
        open < 0
    }
}

/// A bracket or CASE that is not closed yet.
struct Open {
    at: Position,
    /// The words of the chain around it.
    chain: usize,
    case: bool,
}

/// The keyword of a word without quotes.
fn keyword(token: &Token) -> Option<Keyword> {
    match token {
        Token::Word(w) if w.quote_style.is_none() => Some(w.keyword),
        _ => None,
    }
}

/// Whether an operand must follow `token`. The grammar would take an AND there for a name.
fn expects_operand(token: &Token) -> bool {
    comparison(Some(token))
        || matches!(token, Token::Comma | Token::LParen | Token::Plus | Token::Minus | Token::Mul | Token::Div)
        || matches!(
            keyword(token),
            Some(
                Keyword::AND
                    | Keyword::OR
                    | Keyword::NOT
                    | Keyword::WHEN
                    | Keyword::THEN
                    | Keyword::ELSE
                    | Keyword::BETWEEN
                    | Keyword::LIKE
                    | Keyword::ILIKE
            )
        )
}

fn near(at: Position, word: &str) -> ExprError {
    ExprError::new(Kind::Syntax, at, format!("syntax error at or near \"{word}\"")).with_word(word)
}

/// Whether a query begins here. Its other beginnings are names elsewhere.
fn query(previous: &Token, token: &Token) -> bool {
    match keyword(token) {
        Some(Keyword::SELECT) => true,
        Some(Keyword::WHERE) => *previous != Token::LParen,
        Some(Keyword::VALUES | Keyword::WITH | Keyword::TABLE) => *previous == Token::LParen,
        _ => false,
    }
}

fn comparison(token: Option<&Token>) -> bool {
    matches!(token, Some(Token::Eq | Token::Neq | Token::Lt | Token::Gt | Token::LtEq | Token::GtEq))
}

/// The error for text that nests deeper than `most`.
pub(super) fn too_deep(at: Position, most: usize) -> ExprError {
    ExprError::new(Kind::TooComplex, at, format!("expression is nested more than {most} levels deep"))
        .with_hint("split it: make a segment of the inner part and use in_segment()")
}

/// The position a span begins at.
pub(super) fn column(at: Location) -> Position {
    Position::try_from(at.column).unwrap_or(0)
}

fn position_of(index: usize) -> Position {
    Position::try_from(index + 1).unwrap_or(Position::MAX)
}

/// The tokenizer's complaints in PostgreSQL's words.
fn broken(message: &str, at: Position, text: &str) -> ExprError {
    let lower = message.to_ascii_lowercase();
    let (what, hint) = if lower.contains("comment") {
        ("unterminated comment", "close it with */")
    } else if lower.contains("delimiter") || lower.contains("identifier") {
        ("unterminated quoted name", "close it with \"")
    } else if lower.contains("dollar") || lower.contains('$') {
        ("unterminated dollar-quoted string", "close it with the same tag")
    } else if lower.contains("unterminated") {
        ("unterminated quoted string", "close it with '; a quote inside text is written twice")
    } else {
        ("unreadable character", "remove it or put it into quotes")
    };
    let error = ExprError::new(Kind::Syntax, at, what).with_hint(hint);
    match text.chars().nth((at as usize).saturating_sub(1)) {
        Some(c) if at > 0 => error.with_word(c),
        _ => error,
    }
}

/// Turns lines and columns into characters, and characters into bytes.
struct Places {
    /// Character index of the first character of each line.
    lines: Vec<usize>,
    /// Byte offset of each character, and of the end.
    bytes: Vec<usize>,
}

impl Places {
    fn of(text: &str) -> Self {
        let mut lines = vec![0];
        let mut bytes = Vec::with_capacity(text.len() + 1);
        for (index, (offset, c)) in text.char_indices().enumerate() {
            bytes.push(offset);
            if c == '\n' {
                lines.push(index + 1);
            }
        }
        bytes.push(text.len());
        Self { lines, bytes }
    }

    fn character(&self, at: Location) -> Position {
        let line = usize::try_from(at.line).unwrap_or(1).saturating_sub(1);
        let column = usize::try_from(at.column).unwrap_or(1).saturating_sub(1);
        let index = self.lines.get(line).copied().unwrap_or(0) + column;
        position_of(index.min(self.bytes.len() - 1))
    }

    fn byte(&self, position: Position) -> usize {
        let index = (position as usize).saturating_sub(1);
        self.bytes.get(index).copied().unwrap_or(0)
    }
}
