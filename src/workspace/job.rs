//! Runs of what takes long, one row a run, which others watch in the view `jobs`.

use super::Workspace;
use crate::error::CdpError;
use crate::pg::spi;

/// Enters a run of a kind, over a source or not. Returns its number.
pub fn begin(ws: &Workspace, kind: &str, source_id: Option<i32>) -> Result<i64, CdpError> {
    spi::one::<i64>(
        &ws.sql("INSERT INTO @ws@.job (kind, source_id, state) VALUES ($1, $2, 'running') RETURNING job_id"),
        &[kind.into(), source_id.into()],
    )?
    .ok_or_else(|| CdpError::internal("a job was not entered"))
}

/// Says how many rows a run has to take.
pub fn total(ws: &Workspace, job_id: i64, rows: i64) -> Result<(), CdpError> {
    spi::run(&ws.sql("UPDATE @ws@.job SET rows_total = $2 WHERE job_id = $1"), &[job_id.into(), rows.into()])?;
    Ok(())
}

/// Adds rows that a run has taken, and those of them that were rejected.
pub fn progress(ws: &Workspace, job_id: i64, rows: i64, rejected: i64) -> Result<(), CdpError> {
    spi::run(
        &ws.sql("UPDATE @ws@.job SET rows_done = rows_done + $2, rows_rejected = rows_rejected + $3, updated_at = clock_timestamp() WHERE job_id = $1"),
        &[job_id.into(), rows.into(), rejected.into()],
    )?;
    Ok(())
}

/// Ends a run: done, or failed with a message.
pub fn end(ws: &Workspace, job_id: i64, failure: Option<&str>) -> Result<(), CdpError> {
    spi::run(
        &ws.sql(
            "UPDATE @ws@.job SET state = CASE WHEN $2 IS NULL THEN 'done' ELSE 'failed' END, message = $2, updated_at = clock_timestamp(), finished_at = clock_timestamp() WHERE job_id = $1",
        ),
        &[job_id.into(), failure.into()],
    )?;
    Ok(())
}
