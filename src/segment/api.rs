//! `cdp_segment`, `cdp_segment_count`, `cdp_segment_sql`.

use crate::bitmap::Bitmap;
use crate::error::{CdpError, given};
use crate::expr::question::{Moment, Question};
use crate::expr::set;
use crate::tag::person;
use crate::workspace::{self, Workspace};
use pg_cdp_core::expr::ast::Type;
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

#[pg_extern(stable, parallel_unsafe, cost = 10000)]
fn cdp_segment(
    expression: Option<&str>,
    as_of: default!(Option<TimestampWithTimeZone>, "NULL"),
    entity: default!(Option<&str>, "'person'"),
) -> Result<Bitmap, ErrorReport> {
    Ok(workspace::enter_reading(|ws| {
        person(entity)?;
        let expression = given(expression, "expression")?;
        Ok(Bitmap::from_canonical(set::members(&question(ws, expression, as_of)?)?))
    })?)
}

#[pg_extern(stable, parallel_unsafe, cost = 10000)]
fn cdp_segment_count(
    expression: Option<&str>,
    as_of: default!(Option<TimestampWithTimeZone>, "NULL"),
    entity: default!(Option<&str>, "'person'"),
) -> Result<i64, ErrorReport> {
    Ok(workspace::enter_reading(|ws| {
        person(entity)?;
        let expression = given(expression, "expression")?;
        set::count(&question(ws, expression, as_of)?)
    })?)
}

#[pg_extern(stable, parallel_unsafe)]
fn cdp_segment_sql(
    expression: Option<&str>,
    as_of: default!(Option<TimestampWithTimeZone>, "NULL"),
) -> Result<String, ErrorReport> {
    Ok(workspace::enter_reading(|ws| Ok(question(ws, given(expression, "expression")?, as_of)?.members_sql()))?)
}
