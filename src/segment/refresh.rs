//! Bringing a segment up to date: the members its expression has now are compared with those that are kept, shard by shard and container by
//! container; only shards that changed are written, and the difference goes to the log.

use super::named::Segment;
use crate::error::CdpError;
use crate::expr::catalog::Catalog;
use crate::expr::question::{Moment, Question};
use crate::expr::set::{self, Inputs};
use crate::pg::spi;
use crate::store::membership::{self, Changed, Entry};
use crate::store::read::Wanted;
use crate::workspace::Workspace;
use pg_cdp_core::bitmap::{Bytes, Portable, difference};
use pg_cdp_core::cells::Encoding;
use pg_cdp_core::expr::ast::Type;
use pg_cdp_core::program;
use pgrx::datum::TimestampWithTimeZone;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

/// What a refresh did.
pub struct Refreshed {
    /// Members that came.
    pub added: i64,
    /// Members that went.
    pub removed: i64,
    /// Members now.
    pub total: i64,
    /// Milliseconds.
    pub ms: f64,
}

/// What a set came to, beside what was kept.
#[derive(Default)]
struct Outcome {
    changed: Vec<Changed>,
    added: u64,
    removed: u64,
    total: u64,
}

impl Outcome {
    fn take(&mut self, shard: u32, before: Option<Bytes<'_>>, after: Option<Vec<u8>>) -> Result<(), CdpError> {
        if let Some(after) = &after {
            self.total += Portable::open_shard(after)?.cardinality();
        }
        let difference = difference(before, after.as_ref().map(Into::into))?;
        if !difference.is_empty() {
            let (added, removed) = difference.counts()?;
            self.added += added;
            self.removed += removed;
            self.changed.push(Changed { shard, after, difference });
        }
        Ok(())
    }
}

/// Refreshes a dynamic segment. Needs the workspace lock.
///
/// # Errors
/// What is wrong with its expression, or happens while it is evaluated.
pub fn dynamic(
    ws: &Workspace,
    catalog: &Rc<Catalog>,
    segment: &Segment,
    expression: &str,
    as_of: Option<TimestampWithTimeZone>,
) -> Result<Refreshed, CdpError> {
    let begun = Instant::now();
    let question = Question::of_catalog(ws, Rc::clone(catalog), expression, Some(Type::Boolean), Moment::new(as_of)?)?;
    let plan = set::plan_of(&question)?;
    let mut inputs = Inputs::of(&question, &plan.sources)?;
    // What is kept is read along with what the expression needs, as a slot that the program does not look at.
    let mut program = plan.program.clone();
    let slot = program.slots.len();
    program.slots.push(Encoding::Set);
    inputs.wanted.push(Wanted { slot, column_id: segment.column_id, low: 0, high: 0 });
    let mut outcome = Outcome::default();
    inputs.listing(&question, None)?.for_each_shard(ws, &program.slots, |shard, slots| {
        let slots = set::borrowed(slots);
        let after = program::members(&program, &slots)?;
        let before = slots.get(slot).and_then(|kept| kept.first()).copied();
        outcome.take(shard, before, after)
    })?;
    write(ws, segment, outcome, as_of, begun)
}

/// Gives a segment the members of these shards, whatever its expression. Needs the workspace lock.
pub fn fixed(ws: &Workspace, segment: &Segment, members: Vec<(u32, Vec<u8>)>) -> Result<Refreshed, CdpError> {
    let begun = Instant::now();
    let mut before: BTreeMap<u32, Vec<u8>> = membership::kept(ws, segment.column_id)?.into_iter().collect();
    let mut outcome = Outcome::default();
    for (shard, after) in members {
        let before = before.remove(&shard);
        outcome.take(shard, before.as_ref().map(Into::into), Some(after))?;
    }
    for (shard, before) in before {
        outcome.take(shard, Some((&before).into()), None)?;
    }
    write(ws, segment, outcome, None, begun)
}

/// The number of a refresh and the moment it is as of. Of refreshes that wait for each other the later is never as of an earlier moment, whichever
/// transaction began first.
const BEGIN: &str = "UPDATE @ws@.segment_state g SET refresh = g.refresh + 1, profiles = $2, refreshed_at = clock_timestamp(), refreshed_as_of = m.at \
     FROM (SELECT coalesce($3::pg_catalog.timestamptz, (SELECT greatest(now(), r.at) FROM @ws@.segment_refresh r JOIN @ws@.segment_state s USING (segment_id, refresh) \
               WHERE r.segment_id = $1 AND r.at <= clock_timestamp()), now()) AS at) m \
     WHERE g.segment_id = $1 RETURNING g.refresh, g.refreshed_as_of";

fn write(
    ws: &Workspace,
    segment: &Segment,
    outcome: Outcome,
    as_of: Option<TimestampWithTimeZone>,
    begun: Instant,
) -> Result<Refreshed, CdpError> {
    let signed = |n: u64| i64::try_from(n).map_err(|_| CdpError::limit("the count does not fit into bigint"));
    let (added, removed, total) = (signed(outcome.added)?, signed(outcome.removed)?, signed(outcome.total)?);
    let entry = spi::rows_cached(&ws.sql(BEGIN), &[segment.segment_id.into(), total.into(), as_of.into()], |row| {
        Ok(Entry {
            segment_id: segment.segment_id,
            column_id: segment.column_id,
            refresh: spi::must(row, 1)?,
            at: spi::must(row, 2)?,
        })
    })?
    .into_iter()
    .next()
    .ok_or_else(|| CdpError::internal("a segment is gone while it is refreshed"))?;
    membership::write(ws, &entry, outcome.changed)?;
    let ms = (begun.elapsed().as_secs_f64() * 1e6).round() / 1e3;
    spi::rows_cached(
        &ws.sql(
            "INSERT INTO @ws@.segment_refresh (segment_id, refresh, at, version, added, removed, profiles, ms) \
             SELECT $1, $2, $3, g.version, $4, $5, $6, $7 FROM @ws@.segment g WHERE g.segment_id = $1",
        ),
        &[
            segment.segment_id.into(),
            entry.refresh.into(),
            entry.at.into(),
            added.into(),
            removed.into(),
            total.into(),
            ms.into(),
        ],
        |_| Ok(()),
    )?;
    Ok(Refreshed { added, removed, total, ms })
}
