//! Traits: names of columns and plain values, whatever a client sends.

use super::Refused;
use serde_json::{Map, Value};

/// A trait of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Trait {
    /// Where it stands in the message, such as `traits.address.city`.
    pub part: String,
    /// Name of the attribute.
    pub name: String,
    /// Its value.
    pub value: TraitValue,
}

/// The value of a trait.
#[derive(Debug, Clone, PartialEq)]
pub enum TraitValue {
    /// `null`: the person has no such trait any more.
    Clear,
    /// A text, number or boolean.
    One(Value),
    /// A list of them, as texts.
    Many(Vec<String>),
}

/// Nested objects are followed so deep.
const DEEPEST: usize = 8;

/// The longest name of an attribute, in bytes.
const NAME_BYTES: usize = 63;

/// The name of an attribute for the name of a trait: lower case, words joined by `_`, so that a column needs no quotes: `firstName` and `First name` are `first_name`. `None` when
/// nothing is left, or too much.
pub fn column_name(name: &str) -> Option<String> {
    let mut out = String::with_capacity(name.len() + 4);
    let mut before = ' ';
    let mut letters = name.chars().peekable();
    while let Some(c) = letters.next() {
        if c.is_alphanumeric() {
            // A capital begins a word after a small letter or a digit, and before a small letter when capitals came before: userID, HTMLPage.
            let begins = c.is_uppercase()
                && (before.is_lowercase()
                    || before.is_numeric()
                    || before.is_uppercase() && letters.peek().is_some_and(|next| next.is_lowercase()));
            if begins && !out.is_empty() && !out.ends_with('_') {
                out.push('_');
            }
            out.extend(c.to_lowercase());
        } else if !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
        before = c;
    }
    let end = out.trim_end_matches('_').len();
    out.truncate(end);
    // A column that begins with a digit would need quotes.
    if out.starts_with(|c: char| c.is_numeric()) {
        out.insert(0, '_');
    }
    (!out.is_empty() && out.len() <= NAME_BYTES).then_some(out)
}

/// Flattens an object of traits: the keys of nested objects are joined by `_`, so that each merges by itself.
pub fn flatten(part: &str, object: &Map<String, Value>, out: &mut Vec<Trait>, refused: &mut Vec<Refused>) {
    follow(part, "", object, DEEPEST, out, refused);
}

fn follow(
    part: &str,
    prefix: &str,
    object: &Map<String, Value>,
    deep: usize,
    out: &mut Vec<Trait>,
    refused: &mut Vec<Refused>,
) {
    for (key, value) in object {
        let part = format!("{part}.{key}");
        let mut refuse = |reason: &str| refused.push(Refused { part: part.clone(), reason: reason.to_owned() });
        let joined = if prefix.is_empty() { key.clone() } else { format!("{prefix}_{key}") };
        let value = match value {
            Value::Object(inner) => {
                if deep == 0 {
                    refuse("nested too deeply");
                } else {
                    follow(&part, &joined, inner, deep - 1, out, refused);
                }
                continue;
            }
            Value::Null => TraitValue::Clear,
            Value::Array(items) => match items.iter().map(scalar_text).collect::<Option<Vec<Option<String>>>>() {
                Some(items) => TraitValue::Many(items.into_iter().flatten().collect()),
                // A list of objects is kept as it is.
                None => TraitValue::One(Value::String(Value::Array(items.clone()).to_string())),
            },
            plain => TraitValue::One(plain.clone()),
        };
        let Some(name) = column_name(&joined) else {
            refuse("no usable name of an attribute");
            continue;
        };
        // Of two keys that come to the same name the later one, by their order as texts, counts.
        match out.iter_mut().find(|known| known.name == name) {
            Some(known) => *known = Trait { part, name, value },
            None => out.push(Trait { part, name, value }),
        }
    }
}

/// The text of a scalar, `Some(None)` for null; `None` for anything else.
fn scalar_text(value: &Value) -> Option<Option<String>> {
    Some(match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Array(_) | Value::Object(_) => return None,
    })
}
