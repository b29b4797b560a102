//! Sets of texts as PostgreSQL writes an array: `{a,"b c"}`, each element once, in the order of their bytes.

use crate::braces::is_space;
use std::collections::BTreeSet;

/// The elements of an array of one dimension, without NULL; `None` when the text is none.
pub fn parse(text: &str) -> Option<BTreeSet<String>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut out = BTreeSet::new();
    if inner.is_empty() {
        return Some(out);
    }
    let mut rest = inner.chars();
    loop {
        let (mut element, mut quoted) = (String::new(), false);
        let last = loop {
            match rest.next() {
                None => break true,
                Some(',') => break false,
                Some('"') => {
                    quoted = true;
                    loop {
                        match rest.next()? {
                            '"' => break,
                            '\\' => element.push(rest.next()?),
                            other => element.push(other),
                        }
                    }
                }
                Some('\\') => element.push(rest.next()?),
                Some('{' | '}') => return None,
                Some(other) => element.push(other),
            }
        };
        if quoted || !element.eq_ignore_ascii_case("null") {
            out.insert(element);
        }
        if last {
            return Some(out);
        }
    }
}

/// The text of a set.
pub fn print(elements: &BTreeSet<String>) -> String {
    let mut out = String::from("{");
    for (i, element) in elements.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        let plain = |byte: u8| !matches!(byte, b'"' | b'\\' | b'{' | b'}' | b',') && !is_space(byte);
        if !element.is_empty() && !element.eq_ignore_ascii_case("null") && element.bytes().all(plain) {
            out.push_str(element);
            continue;
        }
        out.push('"');
        for character in element.chars() {
            if matches!(character, '"' | '\\') {
                out.push('\\');
            }
            out.push(character);
        }
        out.push('"');
    }
    out.push('}');
    out
}
