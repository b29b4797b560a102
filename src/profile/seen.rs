//! How often sources told a value of each trait, and since when: counted once a batch, and a row for each message that comes by itself.

use crate::error::CdpError;
use crate::pg::spi::{self, Together};
use crate::workspace::Workspace;
use pgrx::datum::TimestampWithTimeZone;

/// Counts the values of the batch. Needs the workspace lock.
pub fn record(ws: &Workspace) -> Result<(), CdpError> {
    spi::run(
        &ws.sql(
            "INSERT INTO @ws@.trait_seen AS s (attribute_id, observations, first_seen, last_seen) \
             SELECT k.key::pg_catalog.int4, count(*), min(r.at), max(r.at) \
             FROM (SELECT coalesce(r.seen, r.event_at, now()) AS at, r.traits FROM pg_temp.cdp_row r WHERE r.traits <> '{}') r CROSS JOIN LATERAL jsonb_each(r.traits) k \
             WHERE k.value <> 'null' GROUP BY 1 \
             ON CONFLICT (attribute_id) DO UPDATE SET observations = s.observations + excluded.observations, \
                first_seen = least(s.first_seen, excluded.first_seen), last_seen = greatest(s.last_seen, excluded.last_seen)",
        ),
        &[],
    )?;
    Ok(())
}

/// Adds to `together` that a message told values of these traits.
pub fn one(ws: &Workspace, traits: Vec<i32>, at: TimestampWithTimeZone, together: &mut Together<'_>) {
    if !traits.is_empty() {
        together.add(
            &ws.sql("INSERT INTO @ws@.trait_seen_one (attribute_ids, at) VALUES ($1, $2)"),
            [traits.into(), at.into()],
        );
    }
}

/// Counts the values that came one message at a time. Needs the workspace lock.
pub fn fold(ws: &Workspace) -> Result<(), CdpError> {
    spi::run(
        &ws.sql(
            "WITH taken AS (DELETE FROM @ws@.trait_seen_one RETURNING attribute_ids, at) \
             INSERT INTO @ws@.trait_seen AS s (attribute_id, observations, first_seen, last_seen) \
             SELECT a.attribute_id, count(*), min(t.at), max(t.at) FROM taken t CROSS JOIN LATERAL unnest(t.attribute_ids) a(attribute_id) GROUP BY 1 \
             ON CONFLICT (attribute_id) DO UPDATE SET observations = s.observations + excluded.observations, \
                first_seen = least(s.first_seen, excluded.first_seen), last_seen = greatest(s.last_seen, excluded.last_seen)",
        ),
        &[],
    )?;
    Ok(())
}
