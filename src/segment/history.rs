//! `cdp_segment_at` and `cdp_segment_delta`: who was in a segment when, from the log of its differences.
//!
//! The members at a moment are what the last refresh not later than it found: of all refreshes, the one as of the greatest moment, of equal ones
//! the last. They are reached from any other refresh by undoing or repeating the differences between the two, which toggle
//! members. The log speaks of the numbers that profiles had; who was retired since is read as the profile that took them over.

use super::named::{self, Segment, find};
use crate::bitmap::Bitmap;
use crate::error::{CdpError, given};
use crate::expr::catalog::Catalog;
use crate::pg::spi;
use crate::store::{SHARD_BITS, cells, membership};
use crate::workspace::{self, Workspace};
use pg_cdp_core::bitmap::assemble;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use roaring::RoaringBitmap;
use std::collections::{BTreeMap, HashMap};

/// A set of profiles by shard; no set is empty.
#[derive(Default, Clone)]
struct Members(BTreeMap<u32, RoaringBitmap>);

impl Members {
    fn read(shards: Vec<(u32, Vec<u8>)>) -> Result<Self, CdpError> {
        Ok(Self(shards.iter().map(|(shard, bytes)| Ok((*shard, named::set(bytes)?))).collect::<Result<_, CdpError>>()?))
    }

    fn toggle(&mut self, shard: u32, set: RoaringBitmap) {
        let kept = self.0.entry(shard).or_default();
        *kept ^= set;
        if kept.is_empty() {
            self.0.remove(&shard);
        }
    }

    /// These without the others.
    fn without(&self, others: &Self) -> Self {
        let left = self.0.iter().map(|(shard, set)| match others.0.get(shard) {
            Some(other) => (*shard, set - other),
            None => (*shard, set.clone()),
        });
        Self(left.filter(|(_, set)| !set.is_empty()).collect())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn ids(&self) -> impl Iterator<Item = i64> + '_ {
        self.0.iter().flat_map(|(shard, set)| {
            let first = i64::from(*shard) << SHARD_BITS;
            set.iter().map(move |offset| first + i64::from(offset))
        })
    }
}

/// One refresh.
#[derive(Clone, Copy)]
struct Point {
    refresh: i32,
    at: TimestampWithTimeZone,
}

/// Walks from refresh to refresh.
struct Walk<'a> {
    ws: &'a Workspace,
    segment: Segment,
    /// The live profiles.
    universe: Members,
    /// Who took over the retired ones met so far.
    survivors: HashMap<i64, i64>,
    /// Where it stands: just after this refresh, or now.
    here: Option<i32>,
    /// The members there, under the numbers of then.
    members: Members,
}

impl<'a> Walk<'a> {
    /// Begins at the present.
    fn new(ws: &'a Workspace, segment: Segment) -> Result<Self, CdpError> {
        let universe = Members::read(membership::kept(ws, Catalog::load(ws)?.universe)?)?;
        let members = Members::read(membership::kept(ws, segment.column_id)?)?;
        Ok(Self { ws, segment, universe, survivors: HashMap::new(), here: None, members })
    }

    /// The refresh that says who was in at a moment: `None` before the first.
    ///
    /// # Errors
    /// 55000 when the log does not reach back so far.
    fn point(&self, ts: TimestampWithTimeZone) -> Result<Option<Point>, CdpError> {
        let found = spi::rows(
            &self.ws.sql(
                "SELECT r.refresh, r.at FROM @ws@.segment_refresh r WHERE r.segment_id = $1 AND r.at <= $2 ORDER BY r.at DESC, r.refresh DESC LIMIT 1",
            ),
            &[self.segment.segment_id.into(), ts.into()],
            |row| Ok(Point { refresh: spi::must(row, 1)?, at: spi::must(row, 2)? }),
        )?;
        let point = found.into_iter().next();
        self.reaches(point.map_or(0, |point| point.refresh))?;
        Ok(point)
    }

    /// Whether every refresh after this one is in the log.
    fn reaches(&self, refresh: i32) -> Result<(), CdpError> {
        let later = spi::one::<i64>(
            &self.ws.sql("SELECT count(*) FROM @ws@.segment_refresh r WHERE r.segment_id = $1 AND r.refresh > $2"),
            &[self.segment.segment_id.into(), refresh.into()],
        )?;
        if later == Some(i64::from(self.segment.refresh - refresh)) {
            return Ok(());
        }
        let oldest = spi::one::<String>(
            &self.ws.sql("SELECT min(r.at)::pg_catalog.text FROM @ws@.segment_refresh r WHERE r.segment_id = $1"),
            &[self.segment.segment_id.into()],
        )?;
        Err(CdpError::wrong_state(format!(
            "the members of segment \"{}\" at that moment are not known any more",
            self.segment.name
        ))
        .with_detail("Older refreshes have been deleted from the tables segment_refresh and segment_delta.")
        .with_hint(match oldest {
            Some(oldest) => format!("Ask about a moment from {oldest} on."),
            None => "Refresh the segment.".to_owned(),
        }))
    }

    /// Goes to just after a refresh; 0 is before the first.
    fn go(&mut self, refresh: i32) -> Result<(), CdpError> {
        let (low, high) = match self.here {
            None => (refresh, i32::MAX),
            Some(here) => (here.min(refresh), here.max(refresh)),
        };
        if low == high {
            return Ok(());
        }
        let between = "d.segment_id = $1 AND (d.refresh, d.step) > ($2, 0) AND (d.refresh, d.step) <= ($3, 0)";
        let args = [self.segment.segment_id.into(), low.into(), high.into()];
        let batches = spi::rows(
            &self.ws.sql(&format!(
                "SELECT DISTINCT d.refresh, d.step FROM @ws@.segment_delta d WHERE {between} ORDER BY 1, 2"
            )),
            &args,
            |row| Ok((spi::must::<i32>(row, 1)?, spi::must::<i32>(row, 2)?)),
        )?;
        let sql = self.ws.sql(
            "SELECT d.shard, d.added, d.removed FROM @ws@.segment_delta d WHERE d.segment_id = $1 AND d.refresh = $2 AND d.step = $3",
        );
        // One refresh after the other: the whole log may be larger than memory.
        for (number, step) in batches {
            let rows = spi::rows_cached(&sql, &[self.segment.segment_id.into(), number.into(), step.into()], |row| {
                Ok((spi::must::<i32>(row, 1)?, row.get::<Vec<u8>>(2)?, row.get::<Vec<u8>>(3)?))
            })?;
            for (shard, added, removed) in rows {
                let shard = u32::try_from(shard).map_err(|_| CdpError::corrupted("shard number"))?;
                for bytes in [added, removed].into_iter().flatten() {
                    self.members.toggle(shard, named::set(&bytes)?);
                }
            }
            pgrx::check_for_interrupts!();
        }
        self.here = Some(refresh);
        Ok(())
    }

    /// The members where it stands, under the numbers of today.
    fn today(&mut self) -> Result<Members, CdpError> {
        let retired = self.members.without(&self.universe);
        if retired.is_empty() {
            return Ok(self.members.clone());
        }
        let unknown: Vec<i64> = retired.ids().filter(|id| !self.survivors.contains_key(id)).collect();
        if !unknown.is_empty() {
            let found = spi::rows(
                &self.ws.sql("SELECT p.profile_id, p.merged_into FROM @ws@.profile p WHERE p.profile_id = ANY ($1) AND p.merged_into IS NOT NULL"),
                &[unknown.into()],
                |row| Ok((spi::must::<i64>(row, 1)?, spi::must::<i64>(row, 2)?)),
            )?;
            self.survivors.extend(found);
        }
        let mut today = self.members.without(&retired);
        for id in retired.ids() {
            if let Some(survivor) = self.survivors.get(&id) {
                let offset = (survivor & ((1 << SHARD_BITS) - 1)) as u32;
                today.0.entry((survivor >> SHARD_BITS) as u32).or_default().insert(offset);
            }
        }
        Ok(today)
    }
}

#[pg_extern(stable, parallel_unsafe, cost = 10000)]
fn cdp_segment_at(name: Option<&str>, ts: Option<TimestampWithTimeZone>) -> Result<Bitmap, ErrorReport> {
    Ok(workspace::enter_reading(|ws| {
        let (name, ts) = (given(name, "name")?, given(ts, "ts")?);
        let mut walk = Walk::new(ws, find(ws, name)?)?;
        let point = walk.point(ts)?;
        walk.go(point.map_or(0, |point| point.refresh))?;
        let shards = walk.today()?.0.into_iter().map(|(shard, set)| Ok((shard, cells::portable(&set)?)));
        let shards = shards.collect::<Result<Vec<_>, CdpError>>()?;
        Ok(Bitmap::from_canonical(assemble::treemap(&shards, SHARD_BITS)?))
    })?)
}

/// A change of a profile's membership: who, `enter` or `exit`, the moment.
type Change = (i64, &'static str, TimestampWithTimeZone);

#[pg_extern(stable, parallel_unsafe, cost = 10000)]
#[allow(clippy::type_complexity)]
fn cdp_segment_delta(
    name: Option<&str>,
    from_ts: Option<TimestampWithTimeZone>,
    to_ts: Option<TimestampWithTimeZone>,
) -> Result<
    TableIterator<'static, (name!(profile_id, i64), name!(change, &'static str), name!(at, TimestampWithTimeZone))>,
    ErrorReport,
> {
    let rows = workspace::enter_reading(|ws| {
        let (name, from, to) = (given(name, "name")?, given(from_ts, "from_ts")?, given(to_ts, "to_ts")?);
        changes(Walk::new(ws, find(ws, name)?)?, from, to)
    })?;
    Ok(TableIterator::new(rows))
}

/// Who entered and who left between two moments, on balance, with the moment since when it has been so.
fn changes(mut walk: Walk, from: TimestampWithTimeZone, to: TimestampWithTimeZone) -> Result<Vec<Change>, CdpError> {
    let (micros_from, micros_to): (i64, i64) = (from.into(), to.into());
    if micros_from > micros_to {
        return Err(
            CdpError::invalid_parameter("from_ts is later than to_ts").with_hint("Give the earlier moment first.")
        );
    }
    let first = walk.point(from)?;
    walk.point(to)?;
    walk.go(first.map_or(0, |point| point.refresh))?;
    let before = walk.today()?;
    let points = spi::rows(
        &walk.ws.sql(
            "SELECT r.refresh, r.at FROM @ws@.segment_refresh r WHERE r.segment_id = $1 AND r.at > $2 AND r.at <= $3 ORDER BY r.at DESC, r.refresh DESC",
        ),
        &[walk.segment.segment_id.into(), from.into(), to.into()],
        |row| Ok(Point { refresh: spi::must(row, 1)?, at: spi::must(row, 2)? }),
    )?;
    let mut out: Vec<Change> = Vec::new();
    let Some(last) = points.first() else { return Ok(out) };
    walk.go(last.refresh)?;
    let mut later = walk.today()?;
    // Whose change has not been found yet, walking back.
    let (mut entered, mut left) = (later.without(&before), before.without(&later));
    for (index, point) in points.iter().enumerate() {
        if entered.is_empty() && left.is_empty() {
            break;
        }
        let earlier = match points.get(index + 1) {
            Some(previous) => {
                walk.go(previous.refresh)?;
                walk.today()?
            }
            None => before.clone(),
        };
        for (open, change, is, was) in
            [(&mut entered, "enter", &later, &earlier), (&mut left, "exit", &earlier, &later)]
        {
            let rest = open.without(&is.without(was));
            out.extend(open.without(&rest).ids().map(|id| (id, change, point.at)));
            *open = rest;
        }
        later = earlier;
    }
    out.sort_unstable_by_key(|(id, ..)| *id);
    Ok(out)
}
