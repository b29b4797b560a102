//! `cdp_segment`, `cdp_segment_count`, `cdp_segment_sql`, `cdp_segment_json`, `cdp_segment_contains`, `cdp_segment_why`,
//! `cdp_segment_explain`.

use crate::bitmap::Bitmap;
use crate::error::{CdpError, given};
use crate::expr::question::{Moment, Question};
use crate::expr::{explain, point, set, why};
use crate::guc;
use crate::pg::json::JsonText;
use crate::store::group::Group;
use crate::workspace::{self, Workspace};
use pg_cdp_core::expr::ast::Type;
use pg_cdp_core::expr::{json, parse, print};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// A boolean question.
pub fn question<'a>(
    ws: &'a Workspace,
    expression: &str,
    as_of: Option<TimestampWithTimeZone>,
) -> Result<Question<'a>, CdpError> {
    Question::ask(ws, expression, Some(Type::Boolean), Moment::new(as_of)?)
}

/// A boolean question about people or about the groups of an entity type.
fn question_about<'a>(
    ws: &'a Workspace,
    expression: &str,
    as_of: Option<TimestampWithTimeZone>,
    entity: Option<&str>,
) -> Result<Question<'a>, CdpError> {
    let group = Group::named(ws, given(entity, "entity")?)?;
    Question::about(ws, group, expression, Some(Type::Boolean), Moment::new(as_of)?)
}

#[pg_extern(stable, parallel_unsafe, cost = 10000)]
fn cdp_segment(
    expression: Option<&str>,
    as_of: default!(Option<TimestampWithTimeZone>, "NULL"),
    entity: default!(Option<&str>, "'person'"),
) -> Result<Bitmap, ErrorReport> {
    Ok(workspace::enter_reading(|ws| {
        let expression = given(expression, "expression")?;
        Ok(Bitmap::from_canonical(set::members(&question_about(ws, expression, as_of, entity)?)?))
    })?)
}

#[pg_extern(stable, parallel_unsafe, cost = 10000)]
fn cdp_segment_count(
    expression: Option<&str>,
    as_of: default!(Option<TimestampWithTimeZone>, "NULL"),
    entity: default!(Option<&str>, "'person'"),
) -> Result<i64, ErrorReport> {
    Ok(workspace::enter_reading(|ws| {
        let expression = given(expression, "expression")?;
        set::count(&question_about(ws, expression, as_of, entity)?)
    })?)
}

#[pg_extern(stable, parallel_unsafe)]
fn cdp_segment_sql(
    expression: Option<&str>,
    as_of: default!(Option<TimestampWithTimeZone>, "NULL"),
    entity: default!(Option<&str>, "'person'"),
) -> Result<String, ErrorReport> {
    Ok(workspace::enter_reading(|ws| {
        Ok(question_about(ws, given(expression, "expression")?, as_of, entity)?.members_sql())
    })?)
}

/// The text of an expression in its JSON form.
fn text_of(form: &JsonText) -> Result<String, CdpError> {
    Ok(print::print(&json::read(form.text(), &guc::expression_limits())?))
}

#[pg_extern(name = "cdp_segment", stable, parallel_unsafe, cost = 10000)]
fn cdp_segment_of_json(
    expression: Option<JsonText>,
    as_of: default!(Option<TimestampWithTimeZone>, "NULL"),
    entity: default!(Option<&str>, "'person'"),
) -> Result<Bitmap, ErrorReport> {
    Ok(workspace::enter_reading(|ws| {
        let expression = text_of(&given(expression, "expression")?)?;
        Ok(Bitmap::from_canonical(set::members(&question_about(ws, &expression, as_of, entity)?)?))
    })?)
}

#[pg_extern(stable, parallel_unsafe)]
fn cdp_segment_json(
    expression: Option<&str>,
    entity: default!(Option<&str>, "'person'"),
) -> Result<JsonText, ErrorReport> {
    Ok(workspace::enter_reading(|ws| {
        let expression = given(expression, "expression")?;
        // Checked, so that only what can be asked is given a form; the form is of the text as it was written. A tag may be of any type.
        let group = Group::named(ws, given(entity, "entity")?)?;
        Question::about(ws, group, expression, None, Moment::new(None)?)?;
        let tree = parse::parse_with(expression, &guc::expression_limits())?;
        Ok(JsonText::new(json::to_json(&tree).to_string()))
    })?)
}

#[pg_extern(stable, parallel_unsafe)]
fn cdp_segment_text(
    expression: Option<JsonText>,
    entity: default!(Option<&str>, "'person'"),
) -> Result<String, ErrorReport> {
    Ok(workspace::enter_reading(|ws| {
        let expression = text_of(&given(expression, "expression")?)?;
        let group = Group::named(ws, given(entity, "entity")?)?;
        Question::about(ws, group, &expression, None, Moment::new(None)?)?;
        Ok(expression)
    })?)
}

#[pg_extern(stable, parallel_unsafe)]
fn cdp_segment_contains(
    expression: Option<&str>,
    profile_id: Option<i64>,
    as_of: default!(Option<TimestampWithTimeZone>, "NULL"),
) -> Result<Option<bool>, ErrorReport> {
    Ok(workspace::enter_reading(|ws| {
        let question = question(ws, given(expression, "expression")?, as_of)?;
        let profile_id = point::live(&question, given(profile_id, "profile_id")?)?;
        point::contains(&question, profile_id)
    })?)
}

#[pg_extern(stable, parallel_unsafe)]
#[allow(clippy::type_complexity)]
fn cdp_segment_why(
    expression: Option<&str>,
    profile_id: Option<i64>,
    as_of: default!(Option<TimestampWithTimeZone>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(depth, i32),
            name!(expression, String),
            name!(result, Option<bool>),
            name!(value, Option<String>),
            name!(reason, Option<String>),
        ),
    >,
    ErrorReport,
> {
    let lines = workspace::enter_reading(|ws| {
        let question = question(ws, given(expression, "expression")?, as_of)?;
        let profile_id = point::live(&question, given(profile_id, "profile_id")?)?;
        why::why(&question, profile_id)
    })?;
    Ok(TableIterator::new(lines))
}

#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::type_complexity)]
fn cdp_segment_explain(
    expression: Option<&str>,
    run: default!(Option<bool>, true),
    as_of: default!(Option<TimestampWithTimeZone>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(depth, i32),
            name!(expression, String),
            name!(path, Option<String>),
            name!(bytes, Option<i64>),
            name!(rows, Option<i64>),
            name!(estimate, Option<i64>),
            name!(profiles, Option<i64>),
            name!(ms, Option<f64>),
        ),
    >,
    ErrorReport,
> {
    let lines = workspace::enter_reading(|ws| {
        let question = question(ws, given(expression, "expression")?, as_of)?;
        explain::explain(&question, given(run, "run")?)
    })?;
    Ok(TableIterator::new(lines))
}
