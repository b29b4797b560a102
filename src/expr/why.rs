//! Why a profile is in a segment or not: the truth of every condition, the value it looks at, and the nearest change that would turn it.

use super::point;
use super::question::Question;
use crate::error::CdpError;
use crate::pg::{stack, subtransaction};
use pg_cdp_core::expr::ast::{
    Aggregate, AggregateFunction, Argument, Comparison, Expr, Function, Node, Operator, Type,
};
use pg_cdp_core::expr::print::{print, quote_text};
use pg_cdp_core::expr::walk;

/// A line of the explanation: depth, condition, result, value, reason.
pub type Line = (i32, String, Option<bool>, Option<String>, Option<String>);

/// A condition.
struct Condition {
    depth: i32,
    /// As written.
    text: String,
    /// Its constants are literals.
    expr: Expr,
    /// What it looks at, and how far that is from a bound.
    looks: Option<Look>,
    /// How many conditions it joins.
    joins: usize,
}

/// What a comparison looks at.
struct Look {
    value: Expr,
    /// How far from the bound: the bound less the value.
    distances: Vec<Expr>,
}

/// What was found for a condition.
#[derive(Default, Clone)]
struct Found {
    result: Option<bool>,
    value: Option<String>,
    distances: Vec<Option<String>>,
    failure: Option<String>,
}

/// Every condition of the expression of a question, the whole first.
pub fn why(question: &Question, profile_id: i64) -> Result<Vec<Line>, CdpError> {
    let folded = question.folded()?.expr;
    let mut conditions = Vec::new();
    collect(&question.expr, &folded, 0, &mut conditions);
    // A condition may fail that the others keep from being worked out; then each is worked out alone.
    let all: Vec<&Condition> = conditions.iter().collect();
    let found = match subtransaction::run(|| Ok(work_out(question, &all, profile_id)?)) {
        Ok(found) => found,
        Err(_) => conditions
            .iter()
            .map(|one| match subtransaction::run(|| Ok(work_out(question, &[one], profile_id)?)) {
                Ok(found) => found.into_iter().next().unwrap_or_default(),
                Err(failure) => Found { failure: Some(failure.message), ..Found::default() },
            })
            .collect(),
    };
    let mut lines = Vec::with_capacity(conditions.len());
    for (i, (condition, of)) in conditions.iter().zip(&found).enumerate() {
        let reason = match &of.failure {
            Some(failure) => Some(failure.clone()),
            None if condition.joins > 0 => joined(condition, of, &inner(&conditions, &found, i)),
            None => reason(condition, of),
        };
        lines.push((condition.depth, condition.text.clone(), of.result, of.value.clone(), reason));
    }
    Ok(lines)
}

/// What the conditions come to that condition `i` joins.
fn inner(conditions: &[Condition], found: &[Found], i: usize) -> Vec<Option<bool>> {
    let Some(outer) = conditions.get(i) else { return Vec::new() };
    let below = conditions.iter().zip(found).skip(i + 1).take_while(|(c, _)| c.depth > outer.depth);
    below.filter(|(c, _)| c.depth == outer.depth + 1).map(|(_, f)| f.result).collect()
}

/// What to say about AND and OR.
fn joined(condition: &Condition, found: &Found, inner: &[Option<bool>]) -> Option<String> {
    let (all, so) = (inner.len(), inner.iter().filter(|result| **result == Some(true)).count());
    let are = |n: usize| if n == 1 { "is" } else { "are" };
    match (&condition.expr.node, found.result) {
        (Node::And(_), Some(true)) => Some(format!("all {all} conditions are true")),
        (Node::And(_), _) => Some(format!("{} of {all} conditions {} not true", all - so, are(all - so))),
        (Node::Or(_), Some(true)) => Some(format!("{so} of {all} conditions {} true", are(so))),
        (Node::Or(_), _) => Some(format!("none of {all} conditions is true")),
        _ => None,
    }
}

/// Conditions joined by AND, OR and NOT are taken apart; anything else is looked at as a whole.
fn collect(written: &Expr, folded: &Expr, depth: i32, out: &mut Vec<Condition>) {
    stack::check_depth();
    let inner = match (&written.node, &folded.node) {
        (Node::And(_), Node::And(_)) | (Node::Or(_), Node::Or(_)) | (Node::Not(_), Node::Not(_)) => {
            walk::children(written).into_iter().zip(walk::children(folded)).collect()
        }
        _ => Vec::new(),
    };
    out.push(Condition {
        depth,
        text: print(written),
        expr: folded.clone(),
        looks: if inner.is_empty() { look(folded) } else { None },
        joins: inner.len(),
    });
    for (written, folded) in inner {
        collect(written, folded, depth + 1, out);
    }
}

fn work_out(question: &Question, conditions: &[&Condition], profile_id: i64) -> Result<Vec<Found>, CdpError> {
    let cast = |e: &Expr| {
        let at = e.at;
        Expr { node: Node::Cast { value: Box::new(e.clone()), to: Type::Text }, ty: Type::Text, at }
    };
    // Column by column: what it is for, and its expression.
    let mut columns: Vec<(String, Expr)> = Vec::new();
    for (i, condition) in conditions.iter().enumerate() {
        columns.push((format!("r{i}"), condition.expr.clone()));
        if let Some(look) = &condition.looks {
            columns.push((format!("v{i}"), cast(&look.value)));
            columns.extend(look.distances.iter().enumerate().map(|(j, d)| (format!("d{i}_{j}"), cast(d))));
        }
    }
    let named: Vec<(&str, &Expr)> = columns.iter().map(|(name, e)| (name.as_str(), e)).collect();
    let found = point::values(question, &named, profile_id, |row| {
        let mut at = 1;
        let mut next = || {
            at += 1;
            at
        };
        let mut out = Vec::with_capacity(conditions.len());
        for condition in conditions {
            let mut found = Found { result: row.get::<bool>(next())?, ..Found::default() };
            if let Some(look) = &condition.looks {
                found.value = row.get::<String>(next())?;
                for _ in &look.distances {
                    found.distances.push(row.get::<String>(next())?);
                }
            }
            out.push(found);
        }
        Ok(out)
    })?;
    Ok(found.unwrap_or_else(|| vec![Found::default(); conditions.len()]))
}

/// Whether the expression is a literal, as constants are after folding.
fn literal(e: &Expr) -> bool {
    match &e.node {
        Node::Null | Node::Boolean(_) | Node::Number(_) | Node::Text(_) => true,
        Node::Negate(x) | Node::Cast { value: x, .. } => literal(x),
        _ => false,
    }
}

/// The value that a condition compares, with its distance from each bound where there is one.
fn look(e: &Expr) -> Option<Look> {
    let (value, bounds): (&Expr, Vec<&Expr>) = match &e.node {
        Node::Compare { left, right, .. } if literal(right) && !literal(left) => (left, vec![right]),
        Node::Compare { left, right, .. } if literal(left) && !literal(right) => (right, vec![left]),
        Node::Compare { left, right, .. } if !literal(left) => (left, vec![right]),
        Node::Between { value, low, high, .. } => (value, vec![low, high]),
        Node::In { value, .. } | Node::Like { value, .. } | Node::IsNull { value, .. } => (value, Vec::new()),
        Node::IsBoolean { value, .. } | Node::Any { set: value, .. } => (value, Vec::new()),
        Node::Attribute(_) => (e, Vec::new()),
        _ => return None,
    };
    let distances: Option<Vec<Expr>> = bounds.into_iter().map(|bound| distance(bound, value)).collect();
    Some(Look { value: value.clone(), distances: distances.unwrap_or_default() })
}

/// `bound - value`, where that is a number, a number of days or an interval.
fn distance(bound: &Expr, value: &Expr) -> Option<Expr> {
    let at = bound.at;
    let numeric = |e: &Expr| match e.ty {
        Type::Numeric => e.clone(),
        // A difference of bigints may not be one.
        _ => Expr { node: Node::Cast { value: Box::new(e.clone()), to: Type::Numeric }, ty: Type::Numeric, at },
    };
    let (left, right, ty) = match (bound.ty, value.ty) {
        (Type::Bigint | Type::Numeric, Type::Bigint | Type::Numeric) => (numeric(bound), numeric(value), Type::Numeric),
        (Type::Date, Type::Date) => (bound.clone(), value.clone(), Type::Bigint),
        (Type::Date | Type::Timestamptz, Type::Date | Type::Timestamptz) => {
            (bound.clone(), value.clone(), Type::Interval)
        }
        _ => return None,
    };
    if matches!(left.node, Node::Null) {
        return None;
    }
    let node = Node::Arithmetic { op: Operator::Minus, left: Box::new(left), right: Box::new(right) };
    Some(Expr { node, ty, at })
}

/// What to say about a condition that is true, false or NULL.
fn reason(condition: &Condition, found: &Found) -> Option<String> {
    let wanted = found.result != Some(true);
    match &condition.expr.node {
        Node::Compare { op, left, right } => {
            let flipped = literal(left) && !literal(right);
            let (value, bound) = if flipped { (right, left) } else { (left, right) };
            let op = if flipped { mirrored(*op) } else { *op };
            Some(compared(op, value, bound, found, wanted))
        }
        Node::Between { value, negated, .. } => Some(between(value, found, wanted != *negated)),
        Node::In { value, list, negated } => {
            let list: Vec<String> = list.iter().map(print).collect();
            Some(listed(value, &list, found, wanted != *negated))
        }
        Node::Like { pattern, negated, .. } if found.value.is_some() => {
            let how = if wanted != *negated { "" } else { "anything not " };
            Some(format!("it would have to be {how}like {}", print(pattern)))
        }
        Node::Like { value, .. } => Some(unknown(value)),
        Node::IsNull { negated, .. } => Some(
            if wanted == *negated { "any value would turn it" } else { "having no value would turn it" }.to_owned(),
        ),
        Node::IsBoolean { truth, negated, .. } => {
            let state = if wanted == *negated { format!("not {truth}") } else { truth.to_string() };
            Some(format!("it would have to be {state}"))
        }
        Node::Any { value, .. } if found.value.is_some() => Some(if wanted {
            format!("{} would have to be in it", print(value))
        } else {
            format!("{} would have to go", print(value))
        }),
        Node::Any { set, .. } => Some(unknown(set)),
        Node::Attribute(_) if found.result.is_none() => Some(unknown(&condition.expr)),
        Node::Attribute(_) => Some(format!("it would have to be {wanted}")),
        Node::InSegment(name) if wanted => Some(format!("not a member of segment \"{name}\"")),
        Node::InSegment(name) => Some(format!("a member of segment \"{name}\"")),
        Node::HasIdentifier(name) if wanted => Some(format!("no identifier of type \"{name}\"")),
        Node::HasIdentifier(name) => Some(format!("an identifier of type \"{name}\"")),
        Node::Sequence(_) if wanted => Some("it did not happen in this order".to_owned()),
        Node::Sequence(_) => Some("it happened in this order".to_owned()),
        _ => None,
    }
}

fn mirrored(op: Comparison) -> Comparison {
    match op {
        Comparison::Lt => Comparison::Gt,
        Comparison::LtEq => Comparison::GtEq,
        Comparison::Gt => Comparison::Lt,
        Comparison::GtEq => Comparison::LtEq,
        same => same,
    }
}

/// The comparison that holds when `op` does not.
fn opposite(op: Comparison) -> Comparison {
    match op {
        Comparison::Eq => Comparison::NotEq,
        Comparison::NotEq => Comparison::Eq,
        Comparison::Lt => Comparison::GtEq,
        Comparison::LtEq => Comparison::Gt,
        Comparison::Gt => Comparison::LtEq,
        Comparison::GtEq => Comparison::Lt,
    }
}

/// The event aggregate that a value is, also behind coalesce(…).
fn aggregate(value: &Expr) -> Option<&Aggregate> {
    match &value.node {
        Node::Aggregate(a) => Some(a),
        Node::Call { function: Function::Coalesce, arguments } => arguments.first().and_then(aggregate),
        _ => None,
    }
}

/// Why there is no value.
fn unknown(value: &Expr) -> String {
    match &value.node {
        Node::Attribute(name) => format!("{name} is not known"),
        Node::Aggregate(a) => {
            let with = match &a.argument {
                Argument::Property(name) => format!(" with {name}"),
                Argument::Rows | Argument::Time => String::new(),
            };
            let filter = if a.filter.is_some() { " that the filter keeps" } else { "" };
            format!("no {} event{with}{filter}", a.event)
        }
        _ => "the value is not known".to_owned(),
    }
}

/// What is counted or summed.
fn unit(a: &Aggregate, one: bool) -> String {
    let events = if one { "event" } else { "events" };
    let kept = if a.filter.is_some() { " that the filter keeps" } else { "" };
    match (a.function, &a.argument) {
        (AggregateFunction::Count, Argument::Property(name)) => format!("{} {events} with {name}{kept}", a.event),
        (AggregateFunction::Count, _) => format!("{} {events}{kept}", a.event),
        (AggregateFunction::CountDistinct, Argument::Property(name)) => {
            format!("different {name} of {} events{kept}", a.event)
        }
        (AggregateFunction::Sum, Argument::Property(name)) => format!("of {}.{name}", a.event),
        _ => String::new(),
    }
}

/// `2 more purchase events`, `more than 40.00 less`, `3 days later`.
fn compared(op: Comparison, value: &Expr, bound: &Expr, found: &Found, wanted: bool) -> String {
    let op = if wanted { op } else { opposite(op) };
    let Some(shown) = &found.value else {
        return match (aggregate(value), number(&print(bound))) {
            // Nothing is summed yet: the bound itself is what is missing.
            (Some(a), Some(n))
                if a.function == AggregateFunction::Sum
                    && wanted
                    && !n.zero
                    && !n.negative
                    && !matches!(op, Comparison::Lt | Comparison::LtEq | Comparison::NotEq) =>
            {
                format!("{}: {}", unknown(value), step(op, n, value))
            }
            _ => unknown(value),
        };
    };
    let distance = found.distances.first().and_then(Option::as_deref);
    match (value.ty, distance) {
        (Type::Bigint | Type::Numeric, Some(text)) => match number(text) {
            Some(n) => step(op, n, value),
            None => format!("it would have to be {} {}", sign(op), print(bound)),
        },
        (Type::Date | Type::Timestamptz, Some(text)) => moved(op, text),
        _ if op == Comparison::NotEq => format!("it would have to be anything but {}", quote_text(shown)),
        _ if op == Comparison::Eq => format!("it would have to be {}", print(bound)),
        _ => format!("it would have to be {} {}", sign(op), print(bound)),
    }
}

fn sign(op: Comparison) -> &'static str {
    match op {
        Comparison::Eq => "=",
        Comparison::NotEq => "<>",
        Comparison::Lt => "<",
        Comparison::LtEq => "<=",
        Comparison::Gt => ">",
        Comparison::GtEq => ">=",
    }
}

/// A decimal number as PostgreSQL prints it.
#[derive(Clone, Copy)]
struct Decimal<'a> {
    negative: bool,
    digits: &'a str,
    zero: bool,
}

fn number(text: &str) -> Option<Decimal<'_>> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let plain = !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit() || c == b'.');
    plain.then(|| Decimal { negative, digits, zero: digits.bytes().all(|c| matches!(c, b'0' | b'.')) })
}

/// The change of a number that makes `op` hold, from the bound less the value.
fn step(op: Comparison, distance: Decimal<'_>, value: &Expr) -> String {
    let counted = aggregate(value);
    // Counts, and whole numbers as long as the bound is one too: the next number is one away.
    let whole = value.ty == Type::Bigint;
    let integral = distance.digits.split_once('.').is_none_or(|(_, f)| f.bytes().all(|c| c == b'0'));
    let floor = distance.digits.split('.').next().and_then(|n| n.parse::<i128>().ok());
    let more = !distance.negative;
    let (open, more) = match op {
        Comparison::Gt => (true, true),
        Comparison::Lt => (true, false),
        Comparison::GtEq => (false, true),
        Comparison::LtEq => (false, false),
        Comparison::Eq => (false, more),
        Comparison::NotEq => return "any other value".to_owned(),
    };
    let amount = match floor {
        // Past an open bound, or up to a bound between two whole numbers.
        Some(n) if whole && (open || !integral) && op != Comparison::Eq => Some(n + 1),
        Some(n) if whole && integral => Some(n),
        _ => None,
    };
    if open && amount.is_none() && distance.zero {
        return if more { "anything more" } else { "anything less" }.to_owned();
    }
    let (prefix, text, one) = match amount {
        Some(n) => ("", n.to_string(), n == 1),
        None => (if open { "more than " } else { "" }, distance.digits.to_owned(), false),
    };
    let unit = counted.map(|a| unit(a, one)).filter(|unit| !unit.is_empty());
    let word = match (more, amount) {
        (true, _) => "more",
        (false, Some(_)) if counted.is_some() => "fewer",
        (false, _) => "less",
    };
    match unit {
        Some(unit) => format!("{prefix}{text} {word} {unit}"),
        None => format!("{prefix}{text} {word}"),
    }
}

/// The change of a day or moment that makes `op` hold, from the bound less the value as days or an interval.
fn moved(op: Comparison, distance: &str) -> String {
    // All parts of an interval between two moments have one sign.
    let (earlier, size) = (distance.starts_with('-'), distance.replace('-', ""));
    let open = matches!(op, Comparison::Gt | Comparison::Lt);
    let days = size.parse::<u64>().ok();
    let (size, open) = match days {
        // Past a day is the next day.
        Some(n) => {
            let n = if open { n + 1 } else { n };
            (format!("{n} {}", if n == 1 { "day" } else { "days" }), false)
        }
        None => (size, open),
    };
    if open && size == "00:00:00" {
        return if op == Comparison::Gt { "any later" } else { "any earlier" }.to_owned();
    }
    let past = if open { "more than " } else { "" };
    let (prefix, word) = match op {
        Comparison::Gt => (past, "later"),
        Comparison::Lt => (past, "earlier"),
        Comparison::GtEq => ("", "later"),
        Comparison::LtEq => ("", "earlier"),
        Comparison::Eq => ("", if earlier { "earlier" } else { "later" }),
        Comparison::NotEq => return "any other time".to_owned(),
    };
    format!("{prefix}{size} {word}")
}

/// BETWEEN: how far to the nearest bound, from outside or from inside.
fn between(value: &Expr, found: &Found, inside: bool) -> String {
    if found.value.is_none() {
        return unknown(value);
    }
    let bounds: Vec<Option<Decimal<'_>>> =
        found.distances.iter().map(|text| text.as_deref().and_then(number)).collect();
    let [Some(low), Some(high)] = bounds.as_slice() else {
        return format!("it would have to be {} these bounds", if inside { "within" } else { "outside" });
    };
    if inside {
        // Below the lower bound its distance is positive, above the upper bound that of the upper is negative.
        if low.negative || low.zero {
            step(Comparison::LtEq, *high, value)
        } else {
            step(Comparison::GtEq, *low, value)
        }
    } else {
        format!("{} or {}", step(Comparison::Lt, *low, value), step(Comparison::Gt, *high, value))
    }
}

fn listed(value: &Expr, list: &[String], found: &Found, inside: bool) -> String {
    if found.value.is_none() {
        return unknown(value);
    }
    let shown = match list {
        [first, second, third, _, ..] => format!("{first}, {second}, {third} and {} more", list.len() - 3),
        _ => list.join(", "),
    };
    format!("it would have to be {} {shown}", if inside { "one of" } else { "anything but" })
}
