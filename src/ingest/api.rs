//! `cdp_ingest`, and the steps of `cdp_process_inbox`.

use super::{door, inbox};
use crate::error::given;
use crate::event::{self, many};
use crate::identity;
use crate::pg::append;
use crate::pg::json::JsonText;
use crate::pg::scan::Table;
use crate::source::taken::SOURCE_ROW;
use crate::workspace;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_ingest(payload: Option<JsonText>, source: default!(Option<&str>, "'api'")) -> Result<JsonText, ErrorReport> {
    Ok(workspace::enter_small(|ws| {
        let payload = given(payload, "payload")?.parse()?;
        let answer = door::ingest(ws, given(source, "source")?, &payload)?;
        Ok(JsonText::new(answer.to_string()))
    })?)
}

/// Tables that single messages read without a query, as far as that is possible: that it is not goes unnoticed otherwise, as queries read the same, more slowly. Gives each with whether it is as this
/// version of the extension knows it and the caller may read it directly.
#[pg_extern(stable, parallel_unsafe)]
fn _cdp_direct_tables() -> Result<TableIterator<'static, (name!(name, &'static str), name!(direct, bool))>, ErrorReport>
{
    Ok(workspace::enter_reading(|ws| {
        let tables = workspace::DIRECT.iter().chain(&identity::DIRECT);
        let open = |(name, columns): &(&'static str, i32)| {
            let table = Table::with_columns(&ws.name, name, *columns);
            (*name, table.map(Table::close).is_some())
        };
        Ok(TableIterator::new(tables.map(open).collect::<Vec<_>>()))
    })?)
}

/// Tables to which rows are added without a query, and the partitions of events, each with whether that is possible now: that it is not goes unnoticed otherwise, as queries write the same, more slowly.
#[pg_extern(stable, parallel_unsafe)]
fn _cdp_written_tables() -> Result<TableIterator<'static, (name!(name, String), name!(direct, bool))>, ErrorReport> {
    Ok(workspace::enter_reading(|ws| {
        let shapes = identity::WRITTEN.iter().chain([&(&SOURCE_ROW, 7)]);
        let mut tables: Vec<(String, bool)> = shapes
            .map(|(shape, given)| (shape.name.to_owned(), append::is_possible(&ws.name, shape, *given)))
            .collect();
        for name in event::partition::months(ws)? {
            let direct = append::is_possible(&ws.name, &many::shape(&name), many::COLUMNS);
            tables.push((name, direct));
        }
        Ok(TableIterator::new(tables))
    })?)
}

/// Begins a run over the inbox. Returns the job.
#[pg_extern(volatile, parallel_unsafe)]
fn _cdp_inbox_begin() -> Result<i64, ErrorReport> {
    Ok(workspace::enter(inbox::begin)?)
}

/// Looks at up to so many rows of the inbox that no other run has in hand. Returns how many; 0 when none was left. `beside` tells that the transaction ends with it: then most are written
/// beside other batches, and the others left to the next.
#[pg_extern(volatile, parallel_unsafe)]
fn _cdp_inbox_batch(job_id: i64, rows: Option<i32>, beside: bool) -> Result<i64, ErrorReport> {
    Ok(workspace::enter_batch(|ws| inbox::take(ws, job_id, given(rows, "batch")?, beside))?)
}

/// Ends a run over the inbox. Returns whether what it left pending is to be folded now.
#[pg_extern(volatile, parallel_unsafe)]
fn _cdp_inbox_end(job_id: i64, failure: Option<&str>) -> Result<bool, ErrorReport> {
    Ok(workspace::enter(|ws| inbox::end(ws, job_id, failure))?)
}
