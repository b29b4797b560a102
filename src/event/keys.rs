//! Which messages and events of a source were taken already, by what is committed, and by batches beside this one.

use crate::error::CdpError;
use crate::pg::{spi, transaction};
use crate::workspace::Workspace;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Those of some keys of a source that are known.
pub fn known(ws: &Workspace, source_id: i32, keys: Vec<&str>) -> Result<HashSet<String>, CdpError> {
    // Each key is looked up by itself: how many events a source has is what statistics know last, and a plan that goes by that compares every key with every event.
    let known = spi::rows(
        &ws.sql(
            "SELECT m.key FROM unnest($2) x(key) CROSS JOIN LATERAL (SELECT m.message_id AS key FROM @ws@.message m WHERE m.source_id = $1 AND m.message_id = x.key OFFSET 0) m \
             UNION ALL SELECT e.key FROM unnest($2) x(key) CROSS JOIN LATERAL (SELECT e.key FROM @ws@.event e WHERE e.source_id = $1 AND e.key = x.key OFFSET 0) e",
        ),
        &[source_id.into(), keys.into()],
        |row| spi::must::<String>(row, 1),
    )?;
    Ok(known.into_iter().collect())
}

/// The hash by which batches compare keys: the same in every session of a server.
fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

/// Leaves the keys of the events of a source for those batches that began before this one has committed. `false` when a batch that had not committed when this one began took one of them, or,
/// as good as never, one with the same hash. The caller is the last of those that write beside each other ([`Workspace::lock_last`]).
///
/// A batch is of no use any more when every transaction that runs began after it had committed. That is not known of one's own commit, so the next batch that sees it notes
/// which transactions those are.
pub fn leave<'a>(ws: &Workspace, source_id: i32, keys: impl Iterator<Item = &'a str>) -> Result<bool, CdpError> {
    let mut hashes: Vec<u64> = keys.map(hash).collect();
    hashes.sort_unstable();
    let others = spi::rows(
        &ws.sql(
            "SELECT b.keys FROM @ws@.event_batch b WHERE b.source_id = $1 AND b.xact <> pg_current_xact_id()::pg_catalog.text::pg_catalog.int8 \
               AND (b.past_from IS NULL OR b.past_from > pg_current_xact_id()::pg_catalog.text::pg_catalog.int8)",
        ),
        &[source_id.into()],
        |row| spi::must::<Vec<u8>>(row, 1),
    )?;
    for other in others {
        let common = |bytes: &[u8; 8]| hashes.binary_search(&u64::from_be_bytes(*bytes)).is_ok();
        if other.as_chunks::<8>().0.iter().any(common) {
            return Ok(false);
        }
    }
    let bytes: Vec<u8> = hashes.iter().flat_map(|hash| hash.to_be_bytes()).collect();
    spi::run(
        &ws.sql("INSERT INTO @ws@.event_batch (source_id, keys) VALUES ($1, $2)"),
        &[source_id.into(), bytes.into()],
    )?;
    Ok(true)
}

/// Forgets batches that are of no use any more. The last one is left: it tells whoever keeps an older snapshot that there was one.
pub fn forget(ws: &Workspace) -> Result<(), CdpError> {
    spi::run(
        &ws.sql("DELETE FROM @ws@.event_batch b WHERE b.past_from <= pg_snapshot_xmin(pg_current_snapshot())::pg_catalog.text::pg_catalog.int8"),
        &[],
    )?;
    let next = i64::try_from(transaction::next_full_id()).map_err(|_| CdpError::internal("too many transactions"))?;
    spi::run(
        &ws.sql(
            "UPDATE @ws@.event_batch SET past_from = $1 WHERE past_from IS NULL AND xact <> pg_current_xact_id()::pg_catalog.text::pg_catalog.int8",
        ),
        &[next.into()],
    )?;
    Ok(())
}
