//! `cdp_segment_distribution`, `cdp_segment_statistics`, `cdp_segment_quantiles`, `cdp_segment_top`, `cdp_segment_overlap`.

use super::api::question;
use crate::error::{CdpError, given};
use crate::expr::measure;
use crate::expr::question::{Moment, Question};
use crate::workspace::{self, Workspace};
use pg_cdp_core::expr::ast::{Expr, Node, Type};
use pgrx::AnyNumeric;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// The attribute that a text names.
pub(super) fn attribute(question: &Question, name: &str) -> Result<Expr, CdpError> {
    let Some(ty) = question.catalog.attributes.get(name).map(|attribute| attribute.ty) else {
        let hint = match pg_cdp_core::expr::error::nearest(name, question.catalog.attributes.keys().cloned()) {
            Some(near) => format!("Did you mean \"{near}\"?"),
            None => format!("See the view {}.attributes.", question.ws.schema()),
        };
        return Err(CdpError::undefined_object("attribute", name).with_hint(hint));
    };
    question.inlined(Expr { node: Node::Attribute(name.to_owned()), ty, at: 0 })
}

/// The numeric attribute that a text names.
fn number(question: &Question, name: &str) -> Result<Expr, CdpError> {
    let found = attribute(question, name)?;
    if matches!(found.ty, Type::Bigint | Type::Numeric) {
        return Ok(found);
    }
    Err(CdpError::type_mismatch(format!("attribute \"{name}\" is not a number")).with_hint(
        "Name an attribute of type bigint or numeric; of others, cdp_segment_distribution() counts the values.",
    ))
}

#[pg_extern(stable, parallel_unsafe, cost = 10000)]
#[allow(clippy::type_complexity)]
fn cdp_segment_distribution(
    expression: Option<&str>,
    attribute: Option<&str>,
    as_of: default!(Option<TimestampWithTimeZone>, "NULL"),
) -> Result<TableIterator<'static, (name!(value, Option<String>), name!(profiles, i64), name!(total, i64))>, ErrorReport>
{
    let rows = workspace::enter_reading(|ws| {
        let question = question(ws, given(expression, "expression")?, as_of)?;
        measure::distribution(&question, &self::attribute(&question, given(attribute, "attribute")?)?)
    })?;
    Ok(TableIterator::new(rows))
}

#[pg_extern(stable, parallel_unsafe, cost = 10000)]
#[allow(clippy::type_complexity)]
fn cdp_segment_statistics(
    expression: Option<&str>,
    attribute: Option<&str>,
    as_of: default!(Option<TimestampWithTimeZone>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(profiles, i64),
            name!(known, i64),
            name!(sum, Option<AnyNumeric>),
            name!(avg, Option<AnyNumeric>),
            name!(min, Option<AnyNumeric>),
            name!(max, Option<AnyNumeric>),
        ),
    >,
    ErrorReport,
> {
    let row = workspace::enter_reading(|ws| {
        let question = question(ws, given(expression, "expression")?, as_of)?;
        measure::statistics(&question, &number(&question, given(attribute, "attribute")?)?)
    })?;
    Ok(TableIterator::once(row))
}

#[pg_extern(stable, parallel_unsafe, cost = 10000)]
fn cdp_segment_quantiles(
    expression: Option<&str>,
    attribute: Option<&str>,
    fractions: default!(Option<Vec<Option<f64>>>, "'{0.25,0.5,0.75}'"),
    as_of: default!(Option<TimestampWithTimeZone>, "NULL"),
) -> Result<Vec<Option<AnyNumeric>>, ErrorReport> {
    Ok(workspace::enter_reading(|ws| {
        let question = question(ws, given(expression, "expression")?, as_of)?;
        let number = number(&question, given(attribute, "attribute")?)?;
        let fractions: Vec<f64> = given(fractions, "fractions")?
            .into_iter()
            .map(|fraction| match fraction {
                Some(fraction) if (0.0..=1.0).contains(&fraction) => Ok(fraction),
                other => {
                    let text = other.map_or_else(|| "NULL".to_owned(), |fraction| fraction.to_string());
                    Err(CdpError::invalid_parameter(format!("fraction {text} is not between 0 and 1"))
                        .with_hint("0.5 asks for the median."))
                }
            })
            .collect::<Result<_, _>>()?;
        measure::quantiles(&question, &number, &fractions)
    })?)
}

#[pg_extern(stable, parallel_unsafe, cost = 10000)]
fn cdp_segment_top(
    expression: Option<&str>,
    attribute: Option<&str>,
    k: default!(Option<i64>, 10),
    as_of: default!(Option<TimestampWithTimeZone>, "NULL"),
) -> Result<TableIterator<'static, (name!(profile_id, i64), name!(value, AnyNumeric))>, ErrorReport> {
    let rows = workspace::enter_reading(|ws| {
        let question = question(ws, given(expression, "expression")?, as_of)?;
        let k = given(k, "k")?;
        if k < 0 {
            return Err(CdpError::invalid_parameter(format!("k is {k}"))
                .with_hint("Say how many profiles are wanted, for example 10."));
        }
        measure::top(&question, &number(&question, given(attribute, "attribute")?)?, k)
    })?;
    Ok(TableIterator::new(rows))
}

/// Two sets, or all of the list, and what they share.
type Shared = (
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<i64>,
    i64,
    i64,
    Option<f64>,
    Option<f64>,
    Option<f64>,
    Option<f64>,
);

#[pg_extern(stable, parallel_unsafe, cost = 10000)]
#[allow(clippy::type_complexity)]
fn cdp_segment_overlap(
    names: Option<Vec<Option<String>>>,
    as_of: default!(Option<TimestampWithTimeZone>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(a, Option<String>),
            name!(b, Option<String>),
            name!(a_profiles, Option<i64>),
            name!(b_profiles, Option<i64>),
            name!(shared, i64),
            name!(combined, i64),
            name!(jaccard, Option<f64>),
            name!(lift, Option<f64>),
            name!(a_share, Option<f64>),
            name!(b_share, Option<f64>),
        ),
    >,
    ErrorReport,
> {
    let rows = workspace::enter_reading(|ws| {
        let names: Vec<String> =
            given(names, "names")?.into_iter().map(|name| given(name, "names")).collect::<Result<_, _>>()?;
        shared(ws, &names, as_of)
    })?;
    Ok(TableIterator::new(rows))
}

/// Each set with itself and with those after it; of more than two, all of them at last.
fn shared(ws: &Workspace, names: &[String], as_of: Option<TimestampWithTimeZone>) -> Result<Vec<Shared>, CdpError> {
    let questions = names.iter().map(|name| named_or_written(ws, name, as_of)).collect::<Result<Vec<_>, CdpError>>()?;
    let (counts, profiles) = measure::overlap(&questions)?;
    let n = names.len();
    // Where the row of pairs (i, i), (i, i + 1) … begins.
    let start = |i: usize| i * n - (i * i - i) / 2;
    let count = |i: usize, j: usize| counts.pairs.get(start(i) + j - i).copied().unwrap_or(0);
    let signed = |n: u64| i64::try_from(n).map_err(|_| CdpError::limit("the count does not fit into bigint"));
    let ratio = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
    let mut rows = Vec::with_capacity(counts.pairs.len() + 1);
    for (i, a) in names.iter().enumerate() {
        for (j, b) in names.iter().enumerate().skip(i) {
            let (in_a, in_b, shared) = (count(i, i), count(j, j), count(i, j));
            let combined = in_a + in_b - shared;
            rows.push((
                Some(a.clone()),
                Some(b.clone()),
                Some(signed(in_a)?),
                Some(signed(in_b)?),
                signed(shared)?,
                signed(combined)?,
                ratio(shared as f64, combined as f64),
                ratio(profiles as f64 * shared as f64, in_a as f64 * in_b as f64),
                ratio(shared as f64, in_a as f64),
                ratio(shared as f64, in_b as f64),
            ));
        }
    }
    if n > 2 {
        // How often all would meet by chance: the product of their shares.
        let chance = (0..n).fold(profiles as f64, |chance, i| chance * count(i, i) as f64 / profiles as f64);
        let (all, any) = (counts.all, counts.any);
        let (jaccard, lift) = (ratio(all as f64, any as f64), ratio(all as f64, chance));
        rows.push((None, None, None, None, signed(all)?, signed(any)?, jaccard, lift, None, None));
    }
    Ok(rows)
}

/// The segment of this name, or an expression.
pub(super) fn named_or_written<'a>(
    ws: &'a Workspace,
    name: &str,
    as_of: Option<TimestampWithTimeZone>,
) -> Result<Question<'a>, CdpError> {
    let moment = Moment::new(as_of)?;
    Question::about_segment_or(ws, name, moment)
}
