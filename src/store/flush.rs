//! `cdp_flush()`: rebuilds stale columns from the facts and folds pending changes into chunks.

use super::rebuild;
use crate::error::CdpError;
use crate::pg::spi;
use crate::workspace::{self, Workspace};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Each pending row is deleted and folded by the same statement, so that it counts exactly once; the workspace lock keeps two folds of one chunk
/// apart. A chunk is written anew even when its changes come to nothing: what sessions keep of the events of a day is known by the version of the
/// row.
const FOLD: &str = "WITH taken AS (DELETE FROM @ws@.pending RETURNING column_id, key, shard, cells), \
     folded AS (SELECT t.column_id, t.key, t.shard, @ext@._cdp_fold(s.encoding, c.bits, t.deltas) AS bits \
        FROM (SELECT column_id, key, shard, array_agg(cells) AS deltas FROM taken GROUP BY 1, 2, 3) t \
        JOIN @ws@.store_column s USING (column_id) LEFT JOIN @ws@.chunk c USING (column_id, key, shard)), \
     emptied AS (DELETE FROM @ws@.chunk c USING folded f WHERE f.bits IS NULL AND c.column_id = f.column_id AND c.key = f.key AND c.shard = f.shard), \
     written AS (INSERT INTO @ws@.chunk (column_id, key, shard, bits) SELECT column_id, key, shard, bits FROM folded WHERE bits IS NOT NULL \
        ON CONFLICT (column_id, key, shard) DO UPDATE SET bits = excluded.bits RETURNING 1) \
     SELECT count(*) FROM written";

/// Rebuilds and folds; returns how many chunks were written. Needs the workspace lock.
pub fn flush(ws: &Workspace) -> Result<i64, CdpError> {
    crate::event::seen::fold(ws)?;
    crate::profile::seen::fold(ws)?;
    crate::quality::tally::fold(ws)?;
    let rebuilt = rebuild::stale(ws)?;
    let folded = spi::one::<i64>(&ws.sql(FOLD), &[])?.unwrap_or(0);
    let forwards = rebuild::forwards(ws)?;
    i64::try_from(rebuilt + forwards).map(|chunks| chunks + folded).map_err(|_| CdpError::internal("too many chunks"))
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_flush() -> Result<i64, ErrorReport> {
    Ok(workspace::enter_bulk(|ws| {
        ws.lock()?;
        flush(ws)
    })?)
}
