//! A first look at values that may be blocked: most can be told to match no entry without asking PostgreSQL, whose regular expressions the patterns are.
//!
//! The look errs to one side only. A value it lets pass matches no entry; a value it suspects has to be compared by PostgreSQL. So a pattern is read as one that matches
//! at least as much, and one that cannot be read makes every value suspect. Only ASCII is judged here: what classes say of other characters depends on the database.

use regex::{RegexSet, RegexSetBuilder};
use std::collections::HashSet;
use std::fmt::Write;

/// What a pattern comes to for the look.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Look {
    /// An expression that matches at least what the pattern does.
    Expression(String),
    /// Whatever the pattern matches has so many equal characters in a row.
    Run(usize),
}

/// Entries of blocked values, ready to look at values.
#[derive(Debug)]
pub struct Screen {
    values: HashSet<String>,
    expressions: RegexSet,
    /// The shortest run of equal characters that makes a value suspect.
    run: Option<usize>,
    /// Whether some pattern could not be read.
    blind: bool,
}

impl Screen {
    /// A screen for exact values and for patterns, both for values in lower case.
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>, patterns: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut expressions, mut run, mut blind) = (Vec::new(), None::<usize>, false);
        for pattern in patterns {
            match look(pattern) {
                Some(Look::Expression(expression)) => expressions.push(expression),
                Some(Look::Run(length)) => run = Some(run.map_or(length, |run| run.min(length))),
                None => blind = true,
            }
        }
        let expressions = RegexSetBuilder::new(&expressions).dot_matches_new_line(true).build();
        blind |= expressions.is_err();
        Self {
            values: values.into_iter().map(str::to_owned).collect(),
            expressions: expressions.unwrap_or_else(|_| RegexSet::empty()),
            run,
            blind,
        }
    }

    /// Whether an entry may match the value, given in any case.
    pub fn suspects(&self, value: &str) -> bool {
        if self.blind || !value.is_ascii() {
            return true;
        }
        let lower = value.to_ascii_lowercase();
        let run = lower.as_bytes().chunk_by(|a, b| a == b).map(<[u8]>::len).max().unwrap_or_default();
        self.run.is_some_and(|least| run >= least) || self.values.contains(&lower) || self.expressions.is_match(&lower)
    }
}

/// Reads a regular expression of PostgreSQL, as far as the look understands it.
fn look(pattern: &str) -> Option<Look> {
    if let Some(run) = run(pattern) {
        return Some(Look::Run(run));
    }
    let mut out = String::with_capacity(pattern.len() * 2);
    let mut rest = pattern.chars().peekable();
    if pattern.starts_with("***") {
        return None;
    }
    while let Some(c) = rest.next() {
        match c {
            '^' | '$' | '.' | ')' | '|' | '*' | '+' | '?' => out.push(c),
            '(' => {
                out.push('(');
                if rest.next_if_eq(&'?').is_some() {
                    // Conditions on what follows or went before, and options, are left to PostgreSQL.
                    rest.next_if_eq(&':')?;
                    out.push_str("?:");
                }
            }
            '{' if rest.peek().is_some_and(char::is_ascii_digit) => {
                out.push('{');
                loop {
                    match rest.next()? {
                        '}' => break,
                        c if c.is_ascii_digit() || c == ',' => out.push(c),
                        _ => return None,
                    }
                }
                out.push('}');
            }
            '[' => bracket(&mut rest, &mut out)?,
            '\\' => match rest.next()? {
                c @ ('d' | 's' | 'w' | 'D' | 'S' | 'W') => {
                    out.push('\\');
                    out.push(c);
                }
                c if c.is_ascii_alphanumeric() => return None,
                c => literal(c, &mut out),
            },
            c => literal(c, &mut out),
        }
    }
    Some(Look::Expression(out))
}

/// The length of a run of equal characters that everything has which a pattern like `([0-9])\1{n…` matches: its first group is one character, and at least n more follow.
fn run(pattern: &str) -> Option<usize> {
    let (before, after) = pattern.split_once(r")\1{")?;
    // A choice or a group around it might make it optional.
    let (prefix, one) = before.rsplit_once('(')?;
    let class = one.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let single = one == "." || class.is_some_and(|inner| !inner.is_empty() && !inner.contains(['[', ']', '\\']));
    if !single || !is_plain(prefix) || pattern.contains('|') {
        return None;
    }
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse::<usize>().ok().and_then(|again| again.checked_add(1))
}

/// Whether a piece of a pattern has no group: only characters, escaped ones, and simple brackets.
fn is_plain(piece: &str) -> bool {
    let mut rest = piece.chars();
    while let Some(c) = rest.next() {
        match c {
            '(' => return false,
            '\\' if rest.next().is_none_or(char::is_alphanumeric) => return false,
            '[' => loop {
                match rest.next() {
                    None | Some('[' | '\\') => return false,
                    Some(']') => break,
                    Some(_) => {}
                }
            },
            _ => {}
        }
    }
    true
}

fn literal(c: char, out: &mut String) {
    let mut buffer = [0; 4];
    out.push_str(&regex::escape(c.encode_utf8(&mut buffer)));
}

/// A bracket expression after its `[`.
fn bracket(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) -> Option<()> {
    out.push('[');
    let negated = rest.next_if_eq(&'^').is_some();
    if negated {
        out.push('^');
    }
    let mut first = true;
    loop {
        let c = rest.next()?;
        match c {
            ']' if !first => break,
            '\\' => return None,
            '[' if matches!(rest.peek(), Some(':' | '.' | '=')) => {
                // Which characters beyond ASCII a class has does not matter here; which of ASCII punctuation it has differs, so that its complement may be too small.
                rest.next_if_eq(&':')?;
                let name: String = std::iter::from_fn(|| rest.next_if(char::is_ascii_lowercase)).collect();
                let known =
                    matches!(name.as_str(), "alpha" | "digit" | "alnum" | "upper" | "lower" | "space" | "punct");
                if negated || !known || rest.next()? != ':' || rest.next()? != ']' {
                    return None;
                }
                write!(out, "[:{name}:]").ok()?;
            }
            c => {
                let low = u32::from(c);
                let mut high = low;
                let mut ahead = rest.clone();
                if ahead.next_if_eq(&'-').is_some() && ahead.peek().is_some_and(|c| *c != ']') {
                    let end = ahead.next()?;
                    if matches!(end, '[' | '\\') {
                        return None;
                    }
                    high = u32::from(end);
                    *rest = ahead;
                }
                write!(out, "\\x{{{low:x}}}-\\x{{{high:x}}}").ok()?;
            }
        }
        first = false;
    }
    out.push(']');
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::blocked::BLOCKED;
    use super::*;

    fn shipped() -> Screen {
        Screen::new(BLOCKED.iter().filter_map(|b| b.value), BLOCKED.iter().filter_map(|b| b.pattern))
    }

    #[test]
    fn every_shipped_pattern_is_read() {
        for pattern in BLOCKED.iter().filter_map(|b| b.pattern) {
            assert!(look(pattern).is_some(), "{pattern}");
        }
        assert!(!shipped().blind);
    }

    #[test]
    fn suspects_what_shipped_entries_match_and_lets_ordinary_values_pass() {
        let screen = shipped();
        let blocked = [
            "null",
            "N/A",
            "00000000-0000-0000-0000-000000000000",
            "---",
            "aaaaaaaa",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "__CLICKID__",
            "{{user.id}}",
            "${x}",
            "%%x%%",
            "{gaid}",
            "no-reply+x@shop.example",
            "NULL@example.com",
            "+8613800138000",
            "无",
            "überall",
        ];
        for value in blocked {
            assert!(screen.suspects(value), "{value}");
        }
        for value in [
            "ann@example.com",
            "+8613912345681",
            "9774d56d682e549d",
            "aaaaaab",
            "u-1",
            "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
        ] {
            assert!(!screen.suspects(value), "{value}");
        }
    }

    #[test]
    fn reads_what_the_two_dialects_share_and_nothing_else() {
        let screen = |pattern| Screen::new([], [pattern]);
        for (pattern, yes, no) in [
            ("^a{2,3}$", "aaa", "a"),
            ("^{a}$", "{a}", "a"),
            ("^[]x-]+$", "]x-", "y"),
            ("^[^a-c]$", "d", "b"),
            ("^a.c$", "a\nc", "ac"),
            ("^(?:ab|cd)+$", "abcd", "abc"),
            (r"^\(x\)$", "(x)", "x"),
            (r"^\d+-\w$", "12-a", "12-"),
            ("^[[:digit:]]+$", "12", "1a"),
            (r"^(.)\1{2}x", "aaax", "aabx"),
            (r"^\+[0-9]{1,3}([0-9])\1{4,}$", "+4955555", "+4955556"),
        ] {
            assert!(screen(pattern).suspects(yes), "{pattern} {yes}");
            assert!(!screen(pattern).suspects(no), "{pattern} {no}");
        }
        for pattern in [
            "***=a",
            "(?i)a",
            "a(?=b)",
            r"\ya",
            r"(a)\1",
            "[[.a.]]",
            "[[=a=]]",
            "[^[:punct:]]",
            r"[\d]",
            "[a-",
            r"^(.)\1{7}|b",
        ] {
            assert!(screen(pattern).suspects("zzz"), "{pattern}");
        }
    }
}
