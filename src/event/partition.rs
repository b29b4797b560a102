//! Monthly partitions, made as months appear, and ahead of them.

use crate::error::{CdpError, given};
use crate::pg::{names, spi};
use crate::workspace::{self, Workspace};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// The most months that partitions are made ahead for.
const MOST_MONTHS: i32 = 120;

/// Whether there is a partition of a name.
pub fn exists(ws: &Workspace, name: &str) -> bool {
    names::relation(&ws.name, name).is_some()
}

/// Names of the partitions of months.
pub fn months(ws: &Workspace) -> Result<Vec<String>, CdpError> {
    spi::rows(
        "SELECT c.relname::pg_catalog.text FROM pg_catalog.pg_class c WHERE c.relnamespace = $1::pg_catalog.regnamespace AND c.relispartition AND c.relname ~ '^event_y\\d{4}m\\d\\d$' AND c.relkind = 'r' ORDER BY 1",
        &[ws.schema().into()],
        |row| spi::must::<String>(row, 1),
    )
}

/// Makes the partitions for the months (UTC) of the events in `cdp_event_new`, as far as they are missing. Times outside 1970 to 2100 have
/// a partition each, so that a few wrong clocks cannot make thousands of tables.
pub fn ensure(ws: &Workspace) -> Result<(), CdpError> {
    missing(
        ws,
        "SELECT DISTINCT date_trunc('month', e.at AT TIME ZONE 'UTC') AS month FROM pg_temp.cdp_event_new e WHERE e.at >= '1970-01-01 00:00:00+00' AND e.at < '2101-01-01 00:00:00+00'",
    )?;
    Ok(())
}

/// Makes the partitions of the months that a query gives. Returns how many were missing.
fn missing(ws: &Workspace, months: &str) -> Result<i32, CdpError> {
    let missing = spi::rows(
        &ws.sql(&format!(
            "SELECT to_char(m.month, '\"event_y\"YYYY\"m\"MM'), m.month::pg_catalog.text, (m.month + '1 month'::pg_catalog.interval)::pg_catalog.text \
             FROM ({months}) m \
             WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = $1::pg_catalog.regnamespace AND c.relname = to_char(m.month, '\"event_y\"YYYY\"m\"MM')) ORDER BY 1",
        )),
        &[ws.schema().into()],
        |row| Ok((spi::must::<String>(row, 1)?, spi::must::<String>(row, 2)?, spi::must::<String>(row, 3)?)),
    )?;
    let mut made = 0;
    for (name, from, to) in missing {
        make(ws, &name, &from, &to)?;
        made += 1;
    }
    Ok(made)
}

/// Makes the partition of a month, given the first moments (UTC) of it and of the next one.
pub fn make(ws: &Workspace, name: &str, from: &str, to: &str) -> Result<(), CdpError> {
    // Attached and not made in place: readers of other months go on.
    spi::run(&ws.sql(&format!("CREATE TABLE @ws@.{name} (LIKE @ws@.event)")), &[])?;
    spi::run(
        &ws.sql(&format!(
            "ALTER TABLE @ws@.event ATTACH PARTITION @ws@.{name} FOR VALUES FROM ('{from}+00') TO ('{to}+00')"
        )),
        &[],
    )?;
    spi::run(&ws.sql(&format!("COMMENT ON TABLE @ws@.{name} IS 'events from {from} UTC'")), &[])?;
    Ok(())
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_partition_ahead(months: default!(Option<i32>, 3)) -> Result<i32, ErrorReport> {
    Ok(workspace::enter(|ws| {
        let months = given(months, "months")?;
        if !(0..=MOST_MONTHS).contains(&months) {
            return Err(CdpError::invalid_parameter(format!("{months} months are not 0 to {MOST_MONTHS}"))
                .with_hint("Give the number of months after the present one."));
        }
        ws.lock()?;
        missing(
            ws,
            &format!(
                "SELECT date_trunc('month', now() AT TIME ZONE 'UTC') + i * '1 month'::pg_catalog.interval AS month FROM generate_series(0, {months}) i"
            ),
        )
    })?)
}
