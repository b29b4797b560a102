//! `cdp_segment_insight`: what sets the members of a segment apart from a base, attribute by attribute.

use super::measure::{attribute, named_or_written};
use crate::error::{CdpError, given};
use crate::expr::people::{Counts, Groups};
use crate::expr::question::Question;
use crate::expr::spread::{Spread, spread};
use crate::pg::spi;
use crate::workspace::{self, Workspace};
use pg_cdp_core::expr::ast::Expr;
use pg_cdp_core::insight::statistics::{Test, TwoByTwo, false_discovery, wilson};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::cmp::Ordering;

/// The attributes that are named, or else all that are indexed, by name.
pub(super) fn attributes(
    question: &Question,
    names: Option<Vec<Option<String>>>,
) -> Result<Vec<(String, Expr)>, CdpError> {
    let names = match names {
        Some(names) => names.into_iter().map(|name| given(name, "attributes")).collect::<Result<Vec<_>, _>>()?,
        None => spi::rows_cached(
            &question.ws.sql(
                "SELECT a.name FROM @ws@.attribute a WHERE a.entity = 'person' AND a.indexed ORDER BY a.name COLLATE \"C\"",
            ),
            &[],
            |row| spi::must::<String>(row, 1),
        )?,
    };
    names
        .into_iter()
        .map(|name| {
            let attribute = attribute(question, &name)?;
            Ok((name, attribute))
        })
        .collect()
}

/// A row of the answer before the tests are adjusted to each other.
struct Row {
    attribute: String,
    value: Option<String>,
    counts: Counts,
    totals: Counts,
    z: Option<f64>,
    p: Option<(f64, Test)>,
}

impl Row {
    fn new(attribute: &str, value: Option<String>, counts: Counts, totals: Counts) -> Self {
        let table = table(counts, totals);
        Self { attribute: attribute.to_owned(), value, counts, totals, z: table.z(), p: table.p() }
    }
}

/// The members of the segment against those of the base who are not in it.
fn table(counts: Counts, totals: Counts) -> TwoByTwo {
    TwoByTwo {
        inside: counts.segment,
        members: totals.segment,
        outside: counts.base.saturating_sub(counts.both),
        others: totals.base.saturating_sub(totals.both),
    }
}

/// The rows of an attribute that may be shown: a value that somebody has, with no count from 1 to below the minimum.
fn rows_of(spread: Spread, totals: Counts, shown: &dyn Fn(&Counts) -> bool, with_unknown: bool, rows: &mut Vec<Row>) {
    let unknown = totals.minus(spread.known);
    let totals = if with_unknown { totals } else { spread.known };
    rows.extend(spread.values.into_iter().map(|value| Row::new(&spread.name, Some(value.text), value.counts, totals)));
    if with_unknown && shown(&unknown) {
        rows.push(Row::new(&spread.name, None, unknown, totals));
    }
}

/// Strongest evidence first, then by name.
fn order(a: &Row, b: &Row) -> Ordering {
    let strength = |row: &Row| row.z.map_or(-1.0, f64::abs);
    let by_name = || (&a.attribute, a.value.is_none(), &a.value).cmp(&(&b.attribute, b.value.is_none(), &b.value));
    strength(b).total_cmp(&strength(a)).then_with(by_name)
}

/// One row of the answer.
type Insight = (
    String,
    Option<String>,
    i64,
    i64,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<&'static str>,
);

fn finished(rows: Vec<Row>) -> Result<Vec<Insight>, CdpError> {
    let tested: Vec<f64> = rows.iter().filter_map(|row| row.p.map(|(p, _)| p)).collect();
    let mut adjusted = false_discovery(&tested).into_iter();
    let signed = |n: u64| i64::try_from(n).map_err(|_| CdpError::limit("the count does not fit into bigint"));
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        let (counts, totals) = (row.counts, row.totals);
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let (inside, base) = (share(counts.segment, totals.segment), share(counts.base, totals.base));
        let index = |share: f64| base.filter(|base| *base > 0.0).map(|base| share / base * 100.0);
        let interval = wilson(counts.segment, totals.segment);
        let table = table(counts, totals);
        out.push((
            row.attribute,
            row.value,
            signed(counts.segment)?,
            signed(counts.base)?,
            inside,
            base,
            inside.zip(base).map(|(inside, base)| (inside - base) * 100.0),
            inside.and_then(index),
            interval.and_then(|(low, _)| index(low)),
            interval.and_then(|(_, high)| index(high)),
            (table.members > 0 && table.others > 0).then(|| table.log_odds()),
            row.z,
            row.p.map(|(p, _)| p),
            row.p.and_then(|_| adjusted.next()),
            row.p.map(|(_, test)| match test {
                Test::Z => "z",
                Test::Fisher => "fisher",
            }),
        ));
    }
    Ok(out)
}

fn insight(
    ws: &Workspace,
    segment: &str,
    base: Option<&str>,
    names: Option<Vec<Option<String>>>,
    minimum: u64,
    with_unknown: bool,
    as_of: Option<TimestampWithTimeZone>,
) -> Result<Vec<Insight>, CdpError> {
    let mut questions = vec![named_or_written(ws, segment, as_of)?];
    if let Some(base) = base {
        questions.push(named_or_written(ws, base, as_of)?);
    }
    let Some(question) = questions.first() else { return Err(CdpError::internal("no question is asked")) };
    let attributes = attributes(question, names)?;
    let groups = Groups::of(&questions)?;
    let enough = |count: u64| count == 0 || count >= minimum;
    let shown =
        |counts: &Counts| (counts.segment > 0 || counts.base > 0) && enough(counts.segment) && enough(counts.base);
    let mut rows = Vec::new();
    for (name, attribute) in attributes {
        let spread = spread(question, questions.get(1), &groups, &name, &attribute, &shown)?;
        rows_of(spread, groups.totals(), &shown, with_unknown, &mut rows);
    }
    rows.sort_by(order);
    finished(rows)
}

#[pg_extern(stable, parallel_unsafe, cost = 10000)]
#[allow(clippy::type_complexity)]
fn cdp_segment_insight(
    segment: Option<&str>,
    base: default!(Option<&str>, "NULL"),
    attributes: default!(Option<Vec<Option<String>>>, "NULL"),
    minimum: default!(Option<i64>, 10),
    with_unknown: default!(Option<bool>, "true"),
    as_of: default!(Option<TimestampWithTimeZone>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(attribute, String),
            name!(value, Option<String>),
            name!(profiles, i64),
            name!(base_profiles, i64),
            name!(share, Option<f64>),
            name!(base_share, Option<f64>),
            name!(points, Option<f64>),
            name!(tgi, Option<f64>),
            name!(tgi_low, Option<f64>),
            name!(tgi_high, Option<f64>),
            name!(log_odds, Option<f64>),
            name!(z, Option<f64>),
            name!(p, Option<f64>),
            name!(p_adjusted, Option<f64>),
            name!(test, Option<&'static str>),
        ),
    >,
    ErrorReport,
> {
    let rows = workspace::enter_reading(|ws| {
        let minimum = given(minimum, "minimum")?;
        let minimum = u64::try_from(minimum).map_err(|_| {
            CdpError::invalid_parameter(format!("minimum is {minimum}"))
                .with_hint("Say from how many profiles on a count may be shown; 0 shows every count.")
        })?;
        insight(ws, given(segment, "segment")?, base, attributes, minimum, given(with_unknown, "with_unknown")?, as_of)
    })?;
    Ok(TableIterator::new(rows))
}
