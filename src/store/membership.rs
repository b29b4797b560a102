//! The members of set columns with the one key 0: who they are, and what changes in a segment, with its log.
//!
//! Every change of a segment is logged, so that the present members with the later differences undone are the members at any earlier
//! moment, under the numbers that profiles had then.

use super::SHARD_BITS;
use super::read::{Listing, Wanted};
use crate::error::CdpError;
use crate::pg::spi::{self, Together};
use crate::workspace::Workspace;
use pg_cdp_core::bitmap::{Difference, Portable};
use pg_cdp_core::cells::{Cell, Encoding, delta};
use pgrx::datum::TimestampWithTimeZone;
use roaring::RoaringBitmap;
use std::collections::{BTreeMap, BTreeSet};

/// Members of a set column by shard, pending changes included: portable 32-bit Roaring bytes, none of them empty.
pub fn kept(ws: &Workspace, column_id: i32) -> Result<Vec<(u32, Vec<u8>)>, CdpError> {
    let listing = Listing::new(ws, &[Wanted { slot: 0, column_id, low: 0, high: 0 }], None)?;
    let mut shards = Vec::new();
    listing.for_each_shard(ws, &[Encoding::Set], |shard, slots| {
        for (_, chunk) in slots.iter().flatten() {
            shards.push((shard, chunk.bytes().all()?.to_vec()));
        }
        Ok(())
    })?;
    Ok(shards)
}

/// The number of members that bytes of shards hold.
pub fn count<'a>(shards: impl IntoIterator<Item = &'a [u8]>) -> Result<i64, CdpError> {
    let mut total = 0u64;
    for bytes in shards {
        total += Portable::open_shard(bytes)?.cardinality();
    }
    i64::try_from(total).map_err(|_| CdpError::limit("the count does not fit into bigint"))
}

/// A shard of a segment that changed.
pub struct Changed {
    /// The shard.
    pub shard: u32,
    /// Its members now; `None` for none.
    pub after: Option<Vec<u8>>,
    /// What changed.
    pub difference: Difference,
}

/// Where a change stands in the log.
pub struct Entry {
    /// The segment.
    pub segment_id: i32,
    /// Its column.
    pub column_id: i32,
    /// The refresh.
    pub refresh: i32,
    /// The moment.
    pub at: TimestampWithTimeZone,
}

/// Writes a shard in place of what was kept and logs the difference.
const WRITE: &str = "WITH folded AS (DELETE FROM @ws@.pending p WHERE p.column_id = $1 AND p.key = 0 AND p.shard = $2), \
     emptied AS (DELETE FROM @ws@.chunk c WHERE $3::pg_catalog.bytea IS NULL AND c.column_id = $1 AND c.key = 0 AND c.shard = $2), \
     written AS (INSERT INTO @ws@.chunk (column_id, key, shard, bits) SELECT $1, 0, $2, $3 WHERE $3 IS NOT NULL \
         ON CONFLICT (column_id, key, shard) DO UPDATE SET bits = excluded.bits) \
     INSERT INTO @ws@.segment_delta (segment_id, refresh, step, shard, at, added, removed) VALUES ($4, $5, 0, $2, $6, $7, $8)";

/// Writes the shards of a segment that changed, and no other, and logs what changed. Needs the workspace lock.
pub fn write(ws: &Workspace, entry: &Entry, changed: Vec<Changed>) -> Result<(), CdpError> {
    let sql = ws.sql(WRITE);
    for Changed { shard, after, difference } in changed {
        let args = [
            entry.column_id.into(),
            signed(shard)?.into(),
            after.into(),
            entry.segment_id.into(),
            entry.refresh.into(),
            entry.at.into(),
            difference.added.into(),
            difference.removed.into(),
        ];
        spi::rows_cached(&sql, &args, |_| Ok(()))?;
    }
    Ok(())
}

/// A shard as the tables have it.
fn signed(shard: u32) -> Result<i32, CdpError> {
    i32::try_from(shard).map_err(|_| CdpError::out_of_range("shard", shard))
}

/// Shard of a profile, and its offset there.
fn place(profile: i64) -> (i32, u32) {
    ((profile >> SHARD_BITS) as i32, (profile & ((1 << SHARD_BITS) - 1)) as u32)
}

/// Who of some profiles is in a segment.
pub struct Membership {
    /// The segment.
    pub segment_id: i32,
    /// Its column.
    pub column_id: i32,
    /// Its last refresh.
    pub refresh: i32,
    /// Those who are in it.
    pub inside: BTreeSet<i64>,
}

/// Who of the given profiles is in which segment; one entry a segment, of some or all.
pub fn of(ws: &Workspace, profiles: &BTreeSet<i64>, only: Option<&[i32]>) -> Result<Vec<Membership>, CdpError> {
    let mut segments = spi::rows_cached(
        &ws.sql("SELECT g.segment_id, c.column_id, g.refresh FROM @ws@.segment_state g JOIN @ws@.store_column c USING (segment_id) WHERE $1 IS NULL OR g.segment_id = ANY ($1) ORDER BY 1"),
        &[only.map(<[i32]>::to_vec).into()],
        |row| {
            Ok(Membership { segment_id: spi::must(row, 1)?, column_id: spi::must(row, 2)?, refresh: spi::must(row, 3)?, inside: BTreeSet::new() })
        },
    )?;
    if segments.is_empty() {
        return Ok(segments);
    }
    let shards: BTreeSet<i32> = profiles.iter().map(|profile| place(*profile).0).collect();
    let shards: Vec<i32> = shards.into_iter().collect();
    let wanted: Vec<Wanted> = segments
        .iter()
        .enumerate()
        .map(|(slot, segment)| Wanted { slot, column_id: segment.column_id, low: 0, high: 0 })
        .collect();
    Listing::new(ws, &wanted, Some(&shards))?.for_each_shard(
        ws,
        &vec![Encoding::Set; segments.len()],
        |shard, slots| {
            let first = i64::from(shard) << SHARD_BITS;
            for (segment, slot) in segments.iter_mut().zip(slots) {
                for (_, chunk) in slot {
                    let set = Portable::open_shard(chunk.bytes())?;
                    for profile in profiles.range(first..first + (1 << SHARD_BITS)) {
                        let (_, offset) = place(*profile);
                        if set.get((offset >> 16) as u16)?.is_some_and(|container| container.contains(offset as u16)) {
                            segment.inside.insert(*profile);
                        }
                    }
                }
            }
            Ok(())
        },
    )?;
    Ok(segments)
}

/// Takes profiles out of a segment and others in, between refreshes: identities changed. Needs the workspace lock.
pub fn change(
    ws: &Workspace,
    segment: &Membership,
    gone: &BTreeSet<i64>,
    come: &BTreeSet<i64>,
) -> Result<(), CdpError> {
    let mut changes: BTreeMap<i32, (RoaringBitmap, RoaringBitmap)> = BTreeMap::new();
    for profile in gone {
        let (shard, offset) = place(*profile);
        changes.entry(shard).or_default().1.insert(offset);
    }
    for profile in come {
        let (shard, offset) = place(*profile);
        changes.entry(shard).or_default().0.insert(offset);
    }
    if changes.is_empty() {
        return Ok(());
    }
    log_change(ws, segment.segment_id, segment.column_id, segment.refresh, &changes)
}

/// Adds to `together` that one profile is in a segment from a refresh on, or no longer.
pub fn log_one(
    ws: &Workspace,
    segment: &Membership,
    refresh: i32,
    at: TimestampWithTimeZone,
    profile_id: i64,
    inside: bool,
    together: &mut Together<'_>,
) -> Result<(), CdpError> {
    let (shard, offset) = place(profile_id);
    let cells = delta::encode([Cell { offset, n: if inside { 1 } else { -1 }, v: 0 }])?;
    let one = super::cells::portable(&RoaringBitmap::from_iter([offset]))?;
    let (added, removed) = if inside { (Some(one), None) } else { (None, Some(one)) };
    together.add(
        &ws.sql("INSERT INTO @ws@.pending (column_id, key, shard, cells) VALUES ($1, 0, $2, $3)"),
        [segment.column_id.into(), shard.into(), cells.into()],
    );
    together.add(
        &ws.sql("INSERT INTO @ws@.segment_delta (segment_id, refresh, step, shard, at, added, removed) VALUES ($1, $2, 0, $3, $4, $5, $6)"),
        [segment.segment_id.into(), refresh.into(), shard.into(), at.into(), added.into(), removed.into()],
    );
    Ok(())
}

/// Enters (added, removed) of each shard into what is pending and into the log.
fn log_change(
    ws: &Workspace,
    segment_id: i32,
    column_id: i32,
    refresh: i32,
    changes: &BTreeMap<i32, (RoaringBitmap, RoaringBitmap)>,
) -> Result<(), CdpError> {
    let step = spi::rows_cached(
        &ws.sql(
            "SELECT coalesce(max(d.step), 0) + 1 FROM @ws@.segment_delta d WHERE d.segment_id = $1 AND d.refresh = $2",
        ),
        &[segment_id.into(), refresh.into()],
        |row| spi::must::<i32>(row, 1),
    )?;
    let step = step.into_iter().next().unwrap_or(1);
    let sql = ws.sql(
        "WITH changed AS (INSERT INTO @ws@.pending (column_id, key, shard, cells) VALUES ($1, 0, $2, $3)) \
         INSERT INTO @ws@.segment_delta (segment_id, refresh, step, shard, at, added, removed) VALUES ($4, $5, $6, $2, now(), $7, $8)",
    );
    for (shard, (added, removed)) in changes {
        let cells = added.iter().map(|offset| (offset, 1)).chain(removed.iter().map(|offset| (offset, -1)));
        let cells = delta::encode(cells.map(|(offset, n)| Cell { offset, n, v: 0 }))?;
        let bytes = |set: &RoaringBitmap| {
            if set.is_empty() { Ok(None) } else { super::cells::portable(set).map(Some) }
        };
        let args = [
            column_id.into(),
            (*shard).into(),
            cells.into(),
            segment_id.into(),
            refresh.into(),
            step.into(),
            bytes(added)?.into(),
            bytes(removed)?.into(),
        ];
        spi::rows_cached(&sql, &args, |_| Ok(()))?;
    }
    Ok(())
}
