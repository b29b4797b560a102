//! `cdp_timeline`: the events of one person, newest first.

use crate::error::{CdpError, given};
use crate::identity;
use crate::pg::json::JsonText;
use crate::pg::{settings, spi};
use crate::workspace::{self, Workspace};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// An event: when, what, from where, and its properties.
type Event = (TimestampWithTimeZone, String, String, JsonText);

/// Of each identifier as many as are wanted, the newest, straight from the indexes on identifier and time; then the newest of those. What is left of events past their
/// retention is read apart, so that the months stay in their order.
fn events_sql() -> String {
    let newest = |table: &str| {
        format!(
            "(SELECT e.event_id, e.event_type_id, e.source_id, e.at, e.properties FROM @ws@.{table} e \
              WHERE e.node_id = n.node_id AND e.at >= coalesce($2, '-infinity') ORDER BY e.at DESC, e.event_id DESC LIMIT $3)"
        )
    };
    format!(
        "SELECT x.at, t.name, s.name, x.properties::pg_catalog.text \
         FROM (SELECT e.* FROM @ws@.node n CROSS JOIN LATERAL ({} UNION ALL {}) e WHERE n.profile_id = $1 ORDER BY e.at DESC, e.event_id DESC LIMIT $3) x \
         JOIN @ws@.event_type t USING (event_type_id) JOIN @ws@.source s ON s.source_id = x.source_id ORDER BY x.at DESC, x.event_id DESC",
        newest("event"),
        newest("event_day")
    )
}

fn events(
    ws: &Workspace,
    profile_id: i64,
    since: Option<TimestampWithTimeZone>,
    max_rows: i32,
) -> Result<Vec<Event>, CdpError> {
    // There are as many partitions as months: to plan for them anew would cost more than to read.
    settings::set("plan_cache_mode", "force_generic_plan")?;
    spi::rows_cached(&ws.sql(&events_sql()), &[profile_id.into(), since.into(), i64::from(max_rows).into()], |row| {
        Ok((spi::must(row, 1)?, spi::must(row, 2)?, spi::must(row, 3)?, JsonText::new(spi::must(row, 4)?)))
    })
}

#[pg_extern(stable, parallel_unsafe)]
#[allow(clippy::type_complexity)]
fn cdp_timeline(
    profile_id: Option<i64>,
    since: default!(Option<TimestampWithTimeZone>, "NULL"),
    max_rows: default!(Option<i32>, "100"),
) -> Result<
    TableIterator<
        'static,
        (name!(at, TimestampWithTimeZone), name!(event, String), name!(source, String), name!(properties, JsonText)),
    >,
    ErrorReport,
> {
    let events = workspace::enter_reading(|ws| {
        let (profile_id, max_rows) = (given(profile_id, "profile_id")?, given(max_rows, "max_rows")?);
        if max_rows < 0 {
            return Err(CdpError::invalid_parameter(format!("max_rows must not be negative, and {max_rows} is"))
                .with_hint("Give how many events are wanted, such as 100."));
        }
        match identity::resolve(ws, profile_id)? {
            Some(live) => events(ws, live, since, max_rows),
            None => Ok(Vec::new()),
        }
    })?;
    Ok(TableIterator::new(events))
}
