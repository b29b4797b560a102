//! Names of people.

use super::text::{is_space, lower_case, text};

/// The name in the form for comparing: [`text`] in lower case, one middle dot, apostrophe and hyphen for the many, no spaces beside
/// ideographs or dots. `None` when there is no letter in it.
///
/// Titles, the order of given and family name, and accents are left alone: which of them matter depends on whom one compares.
pub fn name(value: &str) -> Option<String> {
    let normal = lower_case(text(value)?);
    let mut close = String::with_capacity(normal.len());
    let mut gap = false;
    for c in normal.chars().map(unified) {
        if is_space(c) {
            gap = true;
            continue;
        }
        let before = close.chars().next_back();
        if gap && before.is_some_and(|b| !closes(b)) && !closes(c) {
            close.push(' ');
        }
        gap = false;
        if c != DOT || before != Some(DOT) {
            close.push(c);
        }
    }
    let out = dotted(&close);
    out.chars().any(char::is_alphabetic).then_some(out)
}

/// A full stop between ideographs is the dot of transcribed names.
fn dotted(name: &str) -> String {
    let mut before = None;
    let mut characters = name.chars().peekable();
    let mut out = String::with_capacity(name.len());
    while let Some(c) = characters.next() {
        let between = before.is_some_and(is_ideograph) && characters.peek().is_some_and(|&next| is_ideograph(next));
        out.push(if c == '.' && between { DOT } else { c });
        before = Some(c);
    }
    out
}

/// The middle dot of transcribed names.
const DOT: char = '·';

/// Whether no space stands beside the character.
fn closes(c: char) -> bool {
    c == DOT || is_ideograph(c)
}

/// One of the characters that look and mean the same.
fn unified(c: char) -> char {
    match c {
        '\u{2022}' | '\u{2027}' | '\u{2219}' | '\u{22C5}' | '\u{30FB}' | '\u{FF65}' | '\u{387}' => DOT,
        '\u{2018}' | '\u{2019}' | '\u{201B}' | '\u{2BC}' | '\u{2B9}' | '\u{B4}' | '\u{2032}' | '`' => '\'',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        _ => c,
    }
}

/// Chinese characters, and the marks that repeat one or stand for zero.
pub(super) fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3005}' | '\u{3007}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{3FFFF}')
}
