//! What to say about a condition: why it is so, and the nearest change that would turn it.

use super::{Found, literal};
use pg_cdp_core::expr::ast::{Aggregate, AggregateFunction, Argument, Comparison, Expr, Function, Node, Type};
use pg_cdp_core::expr::print::{print, quote_text};

/// What to say about a condition that is true, false or NULL.
pub(super) fn of(condition: &Expr, found: &Found) -> Option<String> {
    let wanted = found.result != Some(true);
    match &condition.node {
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
        Node::Attribute(_) if found.result.is_none() => Some(unknown(condition)),
        Node::Attribute(_) => Some(format!("it would have to be {wanted}")),
        Node::InSegment(name) if wanted => Some(format!("not a member of segment \"{name}\"")),
        Node::InSegment(name) => Some(format!("a member of segment \"{name}\"")),
        Node::HasIdentifier(name) if wanted => Some(format!("no identifier of type \"{name}\"")),
        Node::HasIdentifier(name) => Some(format!("an identifier of type \"{name}\"")),
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
pub(super) fn aggregate(value: &Expr) -> Option<&Aggregate> {
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
