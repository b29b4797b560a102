//! The edges that the rows of a batch show.

use super::{Sights, micros};
use crate::error::CdpError;
use crate::guc;
use crate::identity::rules::Rules;
use crate::identity::{enter, hold};
use crate::pg::append::Column;
use crate::pg::{spi, transaction};
use crate::workspace::Workspace;
use pgrx::datum::TimestampWithTimeZone;

impl Sights {
    /// Enters an edge for every two identifiers that a row shows together. Gives the pairs of strong ones that the source had not shown before.
    pub fn edges(
        &self,
        ws: &Workspace,
        rules: &Rules,
        source_id: i32,
        trust: i32,
    ) -> Result<Vec<(i64, i64)>, CdpError> {
        let mut shown: Vec<(u32, u32, Option<TimestampWithTimeZone>)> = Vec::new();
        let node = |place: u32| self.identifiers.get(place as usize).map_or(0, |i| i.node_id);
        for row in &self.rows {
            for (nth, a) in row.places.iter().enumerate() {
                for b in row.places.iter().skip(nth + 1).filter(|b| *b != a) {
                    let (a, b) = if node(*a) < node(*b) { (*a, *b) } else { (*b, *a) };
                    shown.push((a, b, row.seen));
                }
            }
        }
        shown.sort_unstable_by_key(|(a, b, seen)| (node(*a), node(*b), seen.map(micros)));
        let mut fresh = Vec::new();
        let (mut new, mut known) = (Edges::default(), Edges::default());
        for group in shown.chunk_by(|x, y| (x.0, x.1) == (y.0, y.1)) {
            let Some((a, b, _)) = group.first() else { continue };
            let ends = (self.identifiers.get(*a as usize), self.identifiers.get(*b as usize));
            let (Some(a), Some(b)) = ends else { continue };
            let strong = a.strong && b.strong;
            let hindered = [a, b].into_iter().find_map(|end| Some((end.type_id, end.quarantine.as_ref()?)));
            let reason = match hindered.filter(|_| strong) {
                Some((type_id, quarantine)) => Some(format!("{}: {quarantine}", rules.get(type_id)?.name)),
                None => None,
            };
            // None comes first in the order.
            let times: Vec<TimestampWithTimeZone> = group.iter().filter_map(|(.., seen)| *seen).collect();
            let span = times.first().copied().zip(times.last().copied());
            if a.fresh || b.fresh {
                new.push(a.node_id, b.node_id, strong, reason, span);
                if strong {
                    fresh.push((a.node_id, b.node_id));
                }
            } else {
                known.push(a.node_id, b.node_id, strong, reason, span);
            }
        }
        // An edge of a new identifier is new.
        new.add(ws, source_id, trust)?.write(ws, source_id, trust, "", |_| Ok(()))?;
        let known = known.show(ws, source_id, trust, &mut fresh)?;
        // What is entered as accepted may still be judged otherwise. Only the first time a row is written has it no deleting transaction.
        spi::through_indexes(|| {
            known.write(
            ws,
            source_id,
            trust,
            "WHERE x.first IS NOT NULL OR NOT EXISTS (SELECT FROM @ws@.edge k WHERE k.from_node = x.a AND k.to_node = x.b AND k.source_id = $7) \
             ON CONFLICT (from_node, to_node, source_id) DO UPDATE SET first_seen = least(e.first_seen, excluded.first_seen), last_seen = greatest(e.last_seen, excluded.last_seen) \
             WHERE excluded.first_seen < e.first_seen OR excluded.last_seen > e.last_seen \
             RETURNING e.from_node, e.to_node, e.xmax = 0 AND e.state <> 'weak'",
            |row| {
                if spi::must::<bool>(row, 3)? {
                    fresh.push((spi::must(row, 1)?, spi::must(row, 2)?));
                }
                Ok(())
            },
        )
        })?;
        Ok(fresh)
    }
}

/// Edges to be entered, column by column.
#[derive(Default)]
struct Edges {
    from: Vec<i64>,
    to: Vec<i64>,
    strong: Vec<bool>,
    reasons: Vec<Option<String>>,
    first: Vec<Option<TimestampWithTimeZone>>,
    last: Vec<Option<TimestampWithTimeZone>>,
}

impl Edges {
    fn push(
        &mut self,
        from: i64,
        to: i64,
        strong: bool,
        reason: Option<String>,
        span: Option<(TimestampWithTimeZone, TimestampWithTimeZone)>,
    ) {
        self.from.push(from);
        self.to.push(to);
        self.strong.push(strong);
        self.reasons.push(reason);
        self.first.push(span.map(|s| s.0));
        self.last.push(span.map(|s| s.1));
    }

    /// Writes those that no rule keeps from linking without a query, if that is possible; gives the others. None of them may be there already.
    fn add(self, ws: &Workspace, source_id: i32, trust: i32) -> Result<Self, CdpError> {
        let now = transaction::started_at();
        let times =
            |of: &[Option<TimestampWithTimeZone>]| -> Vec<i64> { of.iter().map(|at| at.map_or(now, micros)).collect() };
        let (first, last) = (times(&self.first), times(&self.last));
        let mut rest = Self::default();
        for (strong, state) in [(true, "accepted"), (false, "weak")] {
            let is = |nth: &usize| self.strong[*nth] == strong && self.reasons[*nth].is_none();
            let some: Vec<usize> = (0..self.from.len()).filter(is).collect();
            let of = |values: &[i64]| -> Vec<i64> { some.iter().map(|nth| values[*nth]).collect() };
            let (from, to, first, last) = (of(&self.from), of(&self.to), of(&first), of(&last));
            let times = (Column::Int8(&first), Column::Int8(&last));
            if !enter::edges(ws, &from, &to, source_id, trust, state, times)? {
                some.into_iter().for_each(|nth| self.copy(nth, &mut rest));
            }
        }
        (0..self.from.len()).filter(|nth| self.reasons[*nth].is_some()).for_each(|nth| self.copy(nth, &mut rest));
        Ok(rest)
    }

    /// Enters those that the source had not shown before without a query, if that is possible; `fresh` gets the strong ones of them. Gives those that a query has to enter, or whose times it
    /// has to move. Their ends are all known.
    fn show(self, ws: &Workspace, source_id: i32, trust: i32, fresh: &mut Vec<(i64, i64)>) -> Result<Self, CdpError> {
        let pairs: Vec<(i64, i64)> = self.from.iter().copied().zip(self.to.iter().copied()).collect();
        if pairs.is_empty() || !guc::direct_write() {
            return Ok(self);
        }
        let Some(shown) = hold::shown(ws, &pairs, source_id)? else { return Ok(self) };
        let (mut new, mut moved) = (Self::default(), Self::default());
        for (nth, (pair, shown)) in pairs.iter().zip(shown).enumerate() {
            let Some((first, last)) = shown else {
                self.copy(nth, &mut new);
                if self.strong[nth] {
                    fresh.push(*pair);
                }
                continue;
            };
            let outside = |at: &Option<TimestampWithTimeZone>| at.map(micros).is_some_and(|at| at < first || last < at);
            if outside(&self.first[nth]) || outside(&self.last[nth]) {
                self.copy(nth, &mut moved);
            }
        }
        new.add(ws, source_id, trust)?.write(ws, source_id, trust, "", |_| Ok(()))?;
        Ok(moved)
    }

    /// Copies an edge.
    fn copy(&self, nth: usize, into: &mut Self) {
        let span = self.first[nth].zip(self.last[nth]);
        into.push(self.from[nth], self.to[nth], self.strong[nth], self.reasons[nth].clone(), span);
    }

    /// Writes them; `rest` ends the statement.
    fn write(
        self,
        ws: &Workspace,
        source_id: i32,
        trust: i32,
        rest: &str,
        read: impl FnMut(&pgrx::spi::SpiHeapTupleData) -> Result<(), CdpError>,
    ) -> Result<(), CdpError> {
        if self.from.is_empty() {
            return Ok(());
        }
        spi::rows(
            &ws.sql(&format!(
                "INSERT INTO @ws@.edge AS e (from_node, to_node, source_id, trust, state, reason, first_seen, last_seen) \
                 SELECT x.a, x.b, $7, $8 / 100.0, CASE WHEN NOT x.strong THEN 'weak' WHEN x.reason IS NULL THEN 'accepted' ELSE 'suspended' END, x.reason, coalesce(x.first, now()), coalesce(x.last, now()) \
                 FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[], $3::pg_catalog.bool[], $4::pg_catalog.text[], $5::pg_catalog.timestamptz[], $6::pg_catalog.timestamptz[]) \
                     AS x(a, b, strong, reason, first, last) {rest}"
            )),
            &[
                self.from.into(),
                self.to.into(),
                self.strong.into(),
                self.reasons.into(),
                self.first.into(),
                self.last.into(),
                source_id.into(),
                trust.into(),
            ],
            read,
        )?;
        Ok(())
    }
}
