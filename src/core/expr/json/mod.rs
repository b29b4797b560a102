//! Tree to JSON and back, for rule builders. Promise: what [`to_json`] writes, [`from_json`] reads as the same tree, up to positions
//! and types, also after PostgreSQL has kept it as jsonb.
//!
//! A literal is a JSON null, boolean, number or string; everything else is an object with one member, whose name is the word or
//! sign of the language: `{"and": [{"=": [{"attribute": "city"}, "Paris"]}, …]}`. docs/expressions.md has the table.

mod read;

pub use read::{from_json, read};

use serde_json::{Map, Value, json};

use super::ast::{Aggregate, AggregateFunction, Argument, Expr, Function, Node, Operator, Sequence, Type};
use super::print::{aggregate_name, comparison_sign, function_name, type_name};

/// The JSON form of a tree.
pub fn to_json(e: &Expr) -> Value {
    match &e.node {
        Node::Null => Value::Null,
        Node::Boolean(b) => Value::Bool(*b),
        Node::Number(digits) => number(digits, false),
        Node::Text(t) => match e.ty {
            Type::Date | Type::Timestamptz | Type::Interval => one(type_name(e.ty), json!(t)),
            _ => json!(t),
        },
        Node::Now => one("now", json!([])),
        Node::CurrentDate => one("current_date", json!([])),
        Node::Attribute(name) => one("attribute", json!(name)),
        Node::EventTime => one("at", json!([])),
        Node::Property(name) => one("property", json!(name)),
        Node::Aggregate(a) => one(aggregate_name(a.function), aggregate(a)),
        Node::Not(x) => one("not", to_json(x)),
        Node::Negate(x) => match &x.node {
            Node::Number(digits) if digits.bytes().any(|c| (b'1'..=b'9').contains(&c)) && canonical(digits) => {
                number(digits, true)
            }
            _ => one("negate", to_json(x)),
        },
        Node::And(list) => one("and", all(list)),
        Node::Or(list) => one("or", all(list)),
        Node::Compare { op, left, right } => one(comparison_sign(*op).trim(), json!([to_json(left), to_json(right)])),
        Node::Arithmetic { op, left, right } => one(sign(*op), json!([to_json(left), to_json(right)])),
        Node::In { value, list, negated } => {
            one(negatable("in", *negated), std::iter::once(&**value).chain(list).map(to_json).collect())
        }
        Node::Any { value, set } => one("= any", json!([to_json(value), to_json(set)])),
        Node::Between { value, low, high, negated } => {
            one(negatable("between", *negated), json!([to_json(value), to_json(low), to_json(high)]))
        }
        Node::IsNull { value, negated } => one(if *negated { "is not null" } else { "is null" }, to_json(value)),
        Node::IsBoolean { value, truth, negated } => one(
            match (truth, negated) {
                (true, false) => "is true",
                (true, true) => "is not true",
                (false, false) => "is false",
                (false, true) => "is not false",
            },
            to_json(value),
        ),
        Node::Like { value, pattern, negated, ignore_case } => one(
            negatable(if *ignore_case { "ilike" } else { "like" }, *negated),
            json!([to_json(value), to_json(pattern)]),
        ),
        Node::Case { operand, branches, otherwise } => {
            let mut case = Map::new();
            if let Some(x) = operand {
                case.insert("of".to_owned(), to_json(x));
            }
            let when = branches.iter().map(|(when, then)| json!([to_json(when), to_json(then)])).collect();
            case.insert("when".to_owned(), Value::Array(when));
            if let Some(x) = otherwise {
                case.insert("else".to_owned(), to_json(x));
            }
            one("case", Value::Object(case))
        }
        Node::Cast { value, to } => one("cast", json!([to_json(value), type_name(*to)])),
        Node::Call { function: Function::Extract(field), arguments } => {
            one("extract", std::iter::once(json!(field)).chain(arguments.iter().map(to_json)).collect())
        }
        Node::Call { function, arguments } => one(function_name(function), all(arguments)),
        Node::InSegment(name) => one("in_segment", json!(name)),
        Node::HasIdentifier(name) => one("has_identifier", json!(name)),
        Node::Sequence(s) => one("sequence", sequence(s)),
    }
}

fn one(word: &str, value: Value) -> Value {
    let mut object = Map::new();
    object.insert(word.to_owned(), value);
    Value::Object(object)
}

fn all(list: &[Expr]) -> Value {
    list.iter().map(to_json).collect()
}

fn negatable(word: &'static str, negated: bool) -> &'static str {
    match (word, negated) {
        ("in", true) => "not in",
        ("between", true) => "not between",
        ("like", true) => "not like",
        ("ilike", true) => "not ilike",
        (word, _) => word,
    }
}

fn sign(op: Operator) -> &'static str {
    match op {
        Operator::Plus => "+",
        Operator::Minus => "-",
        Operator::Times => "*",
        Operator::Divide => "/",
    }
}

/// Whether jsonb keeps these digits as they are.
fn canonical(digits: &str) -> bool {
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
    let all = |s: &str| !s.is_empty() && s.bytes().all(|c| c.is_ascii_digit());
    all(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(all)
}

fn number(digits: &str, negative: bool) -> Value {
    let text = if negative { format!("-{digits}") } else { digits.to_owned() };
    match serde_json::from_str::<serde_json::Number>(&text) {
        Ok(n) if canonical(digits) => Value::Number(n),
        _ => one("number", json!(digits)),
    }
}

fn aggregate(a: &Aggregate) -> Value {
    let mut out = Map::new();
    out.insert("event".to_owned(), json!(a.event));
    match &a.argument {
        Argument::Rows => {}
        Argument::Time => {
            out.insert("time".to_owned(), Value::Bool(true));
        }
        Argument::Property(name) => {
            out.insert("property".to_owned(), json!(name));
        }
    }
    if a.function == AggregateFunction::CountDistinct {
        out.insert("distinct".to_owned(), Value::Bool(true));
    }
    if let Some(filter) = &a.filter {
        out.insert("where".to_owned(), to_json(filter));
    }
    Value::Object(out)
}

fn sequence(s: &Sequence) -> Value {
    let mut steps = Vec::with_capacity(s.steps.len());
    for step in &s.steps {
        let mut out = Map::new();
        out.insert("event".to_owned(), json!(step.event));
        if let Some(filter) = &step.filter {
            out.insert("where".to_owned(), to_json(filter));
        }
        if step.negated {
            out.insert("not".to_owned(), Value::Bool(true));
        }
        steps.push(Value::Object(out));
    }
    let mut out = Map::new();
    out.insert("steps".to_owned(), Value::Array(steps));
    if let Some(Expr { node: Node::Text(within), .. }) = &s.within {
        out.insert("within".to_owned(), json!(within));
    }
    if let Some(by) = &s.by {
        out.insert("by".to_owned(), json!(by));
    }
    Value::Object(out)
}

#[cfg(test)]
mod tests;
