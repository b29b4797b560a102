//! The edges that the rows of a batch show.

use super::identifier::Span;
use super::{Sights, micros, time};
use crate::error::CdpError;
use crate::guc;
use crate::identity::rules::Rules;
use crate::identity::{enter, hold};
use crate::pg::append::Column;
use crate::pg::{spi, transaction};
use crate::workspace::Workspace;

impl Sights {
    /// Enters an edge for every two identifiers that a row shows together. Gives the pairs of strong ones that the source had not shown before.
    pub fn edges(
        &self,
        ws: &Workspace,
        rules: &Rules,
        source_id: i32,
        trust: i32,
    ) -> Result<Vec<(i64, i64)>, CdpError> {
        // Numbers of the ends, the smaller first, then the time, and where the ends are.
        let mut shown: Vec<(i64, i64, i64, u32, u32)> = Vec::with_capacity(self.rows.len());
        let node = |place: u32| self.identifiers.get(place as usize).map_or(0, |i| i.node_id);
        for row in &self.rows {
            let seen = row.seen.map_or(NEVER, micros);
            for (a, b) in self.pairs(row) {
                let (x, y) = (node(a), node(b));
                shown.push(if x < y { (x, y, seen, a, b) } else { (y, x, seen, b, a) });
            }
        }
        shown.sort_unstable();
        let mut fresh = Vec::new();
        let (mut new, mut known) = (Edges::default(), Edges::default());
        for group in shown.chunk_by(|x, y| (x.0, x.1) == (y.0, y.1)) {
            let Some((.., a, b)) = group.first() else { continue };
            let ends = (self.identifiers.get(*a as usize), self.identifiers.get(*b as usize));
            let (Some(a), Some(b)) = ends else { continue };
            let strong = a.strong && b.strong;
            let hindered = [a, b].into_iter().find_map(|end| Some((end.type_id, end.quarantine()?)));
            let reason = match hindered.filter(|_| strong) {
                Some((type_id, quarantine)) => {
                    Some(format!("{}: {quarantine}", rules.get(type_id)?.name).into_boxed_str())
                }
                None => None,
            };
            let mut span = Span::NONE;
            for (.., seen, _, _) in group.iter().filter(|(_, _, seen, ..)| *seen != NEVER) {
                span.note(*seen);
            }
            let edge = Edge { from: a.node_id, to: b.node_id, strong, reason, span };
            if a.fresh || b.fresh {
                fresh.extend(strong.then_some((edge.from, edge.to)));
                new.0.push(edge);
            } else {
                known.0.push(edge);
            }
        }
        drop(shown);
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

/// No time: before the earliest that PostgreSQL has.
const NEVER: i64 = i64::MIN + 1;

/// An edge to be entered.
#[derive(Clone)]
struct Edge {
    from: i64,
    to: i64,
    strong: bool,
    /// Why it does not link, if a rule keeps it from it.
    reason: Option<Box<str>>,
    /// The times that the rows that show it speak of.
    span: Span,
}

/// Edges to be entered.
#[derive(Default)]
struct Edges(Vec<Edge>);

impl Edges {
    /// Writes those that no rule keeps from linking without a query, if that is possible; gives the others. None of them may be there already.
    fn add(self, ws: &Workspace, source_id: i32, trust: i32) -> Result<Self, CdpError> {
        let now = transaction::started_at();
        let mut rest = Self::default();
        for (strong, state) in [(true, "accepted"), (false, "weak")] {
            let some = || self.0.iter().filter(|edge| edge.strong == strong && edge.reason.is_none());
            let from: Vec<i64> = some().map(|edge| edge.from).collect();
            let to: Vec<i64> = some().map(|edge| edge.to).collect();
            let first: Vec<i64> = some().map(|edge| edge.span.ends().map_or(now, |span| span.0)).collect();
            let last: Vec<i64> = some().map(|edge| edge.span.ends().map_or(now, |span| span.1)).collect();
            let times = (Column::Int8(&first), Column::Int8(&last));
            if !enter::edges(ws, &from, &to, source_id, trust, state, times)? {
                rest.0.extend(some().cloned());
            }
        }
        rest.0.extend(self.0.into_iter().filter(|edge| edge.reason.is_some()));
        Ok(rest)
    }

    /// Enters those that the source had not shown before without a query, if that is possible; `fresh` gets the strong ones of them. Gives those that a query has to enter, or whose times it
    /// has to move. Their ends are all known.
    fn show(self, ws: &Workspace, source_id: i32, trust: i32, fresh: &mut Vec<(i64, i64)>) -> Result<Self, CdpError> {
        let pairs: Vec<(i64, i64)> = self.0.iter().map(|edge| (edge.from, edge.to)).collect();
        if pairs.is_empty() || !guc::direct_write() {
            return Ok(self);
        }
        let Some(shown) = hold::shown(ws, &pairs, source_id)? else { return Ok(self) };
        let (mut new, mut moved) = (Self::default(), Self::default());
        for (edge, shown) in self.0.into_iter().zip(shown) {
            match (shown, edge.span.ends()) {
                (None, _) => {
                    fresh.extend(edge.strong.then_some((edge.from, edge.to)));
                    new.0.push(edge);
                }
                (Some((first, last)), Some(span)) if span.0 < first || last < span.1 => moved.0.push(edge),
                _ => {}
            }
        }
        new.add(ws, source_id, trust)?.write(ws, source_id, trust, "", |_| Ok(()))?;
        Ok(moved)
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
        if self.0.is_empty() {
            return Ok(());
        }
        let (mut from, mut to, mut strong, mut reasons) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut first, mut last) = (Vec::new(), Vec::new());
        for edge in self.0 {
            from.push(edge.from);
            to.push(edge.to);
            strong.push(edge.strong);
            reasons.push(edge.reason.map(String::from));
            let span = edge.span.ends();
            first.push(span.map(|span| time(span.0)).transpose()?);
            last.push(span.map(|span| time(span.1)).transpose()?);
        }
        spi::rows(
            &ws.sql(&format!(
                "INSERT INTO @ws@.edge AS e (from_node, to_node, source_id, trust, state, reason, first_seen, last_seen) \
                 SELECT x.a, x.b, $7, $8 / 100.0, CASE WHEN NOT x.strong THEN 'weak' WHEN x.reason IS NULL THEN 'accepted' ELSE 'suspended' END, x.reason, coalesce(x.first, now()), coalesce(x.last, now()) \
                 FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[], $3::pg_catalog.bool[], $4::pg_catalog.text[], $5::pg_catalog.timestamptz[], $6::pg_catalog.timestamptz[]) \
                     AS x(a, b, strong, reason, first, last) {rest}"
            )),
            &[
                from.into(),
                to.into(),
                strong.into(),
                reasons.into(),
                first.into(),
                last.into(),
                source_id.into(),
                trust.into(),
            ],
            read,
        )?;
        Ok(())
    }
}
