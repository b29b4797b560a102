//! Constants. PostgreSQL itself evaluates them, once, before any executor sees the tree, so that its rules for dates,
//! intervals, collations and rounding are followed to the letter: [`constants`] finds them, [`super::sql::constant_sql`]
//! prints them, [`substitute`] puts the values back.

use super::ast::{Expr, Node, Type};
use super::check::literal::{iso_day, sign_and_digits, signed};
use super::error::{ExprError, Kind};
use super::walk;

/// The largest parts of a checked `expr` that do not depend on profile or event and are not plain literals already, in
/// the order of the text. Also inside FILTER. `now()` and `current_date` are constants of an evaluation.
///
/// A `timestamptz '…'` counts unless it is written out with its offset (`2017-12-01 00:00:00+00`), because its meaning
/// depends on the time zone; a date unless it is written as `2017-12-01`; an interval unless it is a whole number of one
/// unit.
pub fn constants(expr: &Expr) -> Vec<&Expr> {
    let mut found = Vec::new();
    collect(expr, &mut found);
    found
}

fn collect<'a>(e: &'a Expr, found: &mut Vec<&'a Expr>) {
    if constant(e) {
        if !plain(e) {
            found.push(e);
        }
    } else {
        for child in walk::children(e) {
            collect(child, found);
        }
    }
}

/// Replaces what [`constants`] finds, in the same order, by its values: the text PostgreSQL gives for each (`t`, `-5`,
/// `2017-12-01 00:00:00+00`), `None` for NULL. A whole numeric becomes `5.`, which stays a numeric wherever it stands.
///
/// # Errors
/// [`Kind::Internal`] when there are more or fewer values than constants, or one is not of the type of its constant.
pub fn substitute(expr: &Expr, values: &[Option<String>]) -> Result<Expr, ExprError> {
    let mut expr = expr.clone();
    let mut values = values.iter();
    replace(&mut expr, &mut values)?;
    match values.next() {
        None => Ok(expr),
        Some(_) => Err(ExprError::new(Kind::Internal, 0, "more values than constants")),
    }
}

fn replace(e: &mut Expr, values: &mut std::slice::Iter<'_, Option<String>>) -> Result<(), ExprError> {
    if !constant(e) {
        return walk::children_mut(e).into_iter().try_for_each(|child| replace(child, values));
    }
    if plain(e) {
        return Ok(());
    }
    let value = values.next().ok_or_else(|| ExprError::new(Kind::Internal, e.at, "fewer values than constants"))?;
    e.node = match value {
        None => Node::Null,
        Some(text) => literal(text, e)?,
    };
    Ok(())
}

fn literal(text: &str, e: &Expr) -> Result<Node, ExprError> {
    let wrong = || ExprError::new(Kind::Internal, e.at, format!("constant has an unexpected value: \"{text}\""));
    Ok(match e.ty {
        Type::Boolean => match text {
            "t" | "true" => Node::Boolean(true),
            "f" | "false" => Node::Boolean(false),
            _ => return Err(wrong()),
        },
        Type::Bigint => {
            let value: i64 = text.parse().map_err(|_| wrong())?;
            signed(value < 0, value.unsigned_abs().to_string(), Type::Bigint, e.at)
        }
        Type::Numeric => match sign_and_digits(text) {
            Some((negative, digits)) => {
                let point = if digits.contains(['.', 'e', 'E']) { "" } else { "." };
                signed(negative, format!("{digits}{point}"), Type::Numeric, e.at)
            }
            // NaN and the infinities have no digits.
            None => Node::Cast {
                value: Box::new(Expr { node: Node::Text(text.to_owned()), ty: Type::Text, at: e.at }),
                to: Type::Numeric,
            },
        },
        Type::Text | Type::TextSet | Type::Date | Type::Timestamptz | Type::Interval | Type::Unknown => {
            Node::Text(text.to_owned())
        }
    })
}

/// Whether the value is the same for every profile and every event.
fn constant(e: &Expr) -> bool {
    match e.node {
        Node::Attribute(_)
        | Node::Property(_)
        | Node::EventTime
        | Node::Aggregate(_)
        | Node::InSegment(_)
        | Node::HasIdentifier(_)
        | Node::Sequence(_) => false,
        _ => walk::children(e).into_iter().all(constant),
    }
}

/// A literal nothing is left to evaluate of.
fn plain(e: &Expr) -> bool {
    match &e.node {
        Node::Null | Node::Boolean(_) | Node::Number(_) => true,
        Node::Negate(x) => matches!(x.node, Node::Number(_)),
        Node::Text(text) => match e.ty {
            Type::Date => text.len() == 10 && iso_day(text) == Some(true),
            Type::Timestamptz => iso_moment(text),
            Type::Interval => one_unit(text),
            _ => true,
        },
        // NaN and the infinities, see `literal`.
        Node::Cast { value, to: Type::Numeric } => {
            matches!(&value.node, Node::Text(t) if matches!(t.as_str(), "NaN" | "Infinity" | "-Infinity"))
        }
        _ => false,
    }
}

/// `2017-12-01 08:30:00[.5]+00[:30]`: PostgreSQL's own output, the same in every time zone.
fn iso_moment(text: &str) -> bool {
    let Some(true) = iso_day(text) else {
        return false;
    };
    let Some(rest) = text.get(10..).and_then(|r| r.strip_prefix(' ')) else {
        return false;
    };
    let Some(sign) = rest.rfind(['+', '-']) else {
        return false;
    };
    let (time, offset) = rest.split_at(sign);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let pair = |s: Option<&str>, most: u8| {
        s.is_some_and(|s| {
            s.len() == 2 && s.bytes().all(|c| c.is_ascii_digit()) && s.parse::<u8>().is_ok_and(|n| n <= most)
        })
    };
    let mut clock = time.split(':');
    let mut zone = offset.get(1..).unwrap_or_default().split(':');
    pair(clock.next(), 23)
        && pair(clock.next(), 59)
        && pair(clock.next(), 59)
        && clock.next().is_none()
        && (1..=6).contains(&fraction.len())
        && fraction.bytes().all(|c| c.is_ascii_digit())
        && pair(zone.next(), 15)
        && zone.next().is_none_or(|m| pair(Some(m), 59))
        && zone.next().is_none()
}

/// `30 days`
fn one_unit(text: &str) -> bool {
    const UNITS: &[&str] = &["second", "minute", "hour", "day", "week", "month", "year"];
    let Some((number, unit)) = text.split_once(' ') else {
        return false;
    };
    let unit = unit.strip_suffix('s').unwrap_or(unit);
    (1..=6).contains(&number.len()) && number.bytes().all(|c| c.is_ascii_digit()) && UNITS.contains(&unit)
}

#[cfg(test)]
#[path = "fold_test.rs"]
mod tests;
