//! Why a profile is in a segment or not: the truth of every condition, the value it looks at, and the nearest change that would turn it.

mod change;
mod reason;
mod sequence;

use super::point;
use super::question::Question;
use crate::error::CdpError;
use crate::pg::{stack, subtransaction};
use change::Change;
use pg_cdp_core::expr::ast::{Expr, Node, Operator, Type};
use pg_cdp_core::expr::print::print;
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
    // Backwards: what a condition joins stands behind it. Of each, its index and what turns it.
    let mut below: Vec<(usize, Option<Change>)> = Vec::new();
    for (i, (condition, of)) in conditions.iter().zip(&found).enumerate().rev() {
        let from = below.iter().rposition(|(j, _)| conditions.get(*j).is_none_or(|c| c.depth <= condition.depth));
        let inner = below.split_off(from.map_or(0, |at| at + 1));
        // The last that was found is the first that is written.
        let parts: Vec<change::Part<'_>> =
            inner.iter().rev().filter_map(|(j, change)| Some((found.get(*j)?, change.as_ref()))).collect();
        let (value, reason) = match (&of.failure, &condition.expr.node) {
            (Some(failure), _) => (None, Some(failure.clone())),
            (None, Node::Sequence(s)) => sequence::of(question, s, profile_id)?.unzip(),
            _ if condition.joins > 0 => (None, joined(condition, of, &parts)),
            _ => (of.value.clone(), reason::of(&condition.expr, of)),
        };
        let change = match (&of.failure, &reason) {
            (Some(_), _) => None,
            _ if condition.joins > 0 => change::of_parts(&condition.expr, of, &parts),
            (None, reason) => reason.as_ref().map(|said| Change::of_one(condition, of, said)),
        };
        below.push((i, change));
        lines.push((condition.depth, condition.text.clone(), of.result, value, reason));
    }
    lines.reverse();
    Ok(lines)
}

/// What to say about AND and OR: how many of the parts are so, and while the whole is not true, the nearest change that makes it.
fn joined(condition: &Condition, found: &Found, parts: &[change::Part<'_>]) -> Option<String> {
    let (all, so) = (parts.len(), parts.iter().filter(|(found, _)| found.result == Some(true)).count());
    let are = |n: usize| if n == 1 { "is" } else { "are" };
    let said = match (&condition.expr.node, found.result) {
        (Node::And(_), Some(true)) => return Some(format!("all {all} conditions are true")),
        (Node::Or(_), Some(true)) => return Some(format!("{so} of {all} conditions {} true", are(so))),
        (Node::And(_), _) => format!("{} of {all} conditions {} not true", all - so, are(all - so)),
        (Node::Or(_), _) => format!("none of {all} conditions is true"),
        _ => return None,
    };
    Some(match change::of_parts(&condition.expr, found, parts) {
        Some(change) => format!("{said}: {}", change.text()),
        None => said,
    })
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
