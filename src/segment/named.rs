//! `cdp_segment_create`, `_freeze`, `_refresh`, `_drop`, and the members of a segment by name.

use super::api::question;
use crate::bitmap::BitmapBytes;
use crate::error::{CdpError, given};
use crate::expr::catalog::Catalog;
use crate::expr::set;
use crate::expr::{definition, dependants};
use crate::pg::spi;
use crate::store::SHARD_BITS;
use crate::store::cells::portable;
use crate::store::column::clear;
use crate::workspace::{self, Workspace};
use pg_cdp_core::bitmap::assemble;
use pg_cdp_core::expr::ast::Node;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use roaring::{RoaringBitmap, RoaringTreemap};
use std::collections::BTreeMap;
use std::time::Instant;

/// A segment as the catalogue has it.
struct Segment {
    segment_id: i32,
    column_id: i32,
    name: String,
    expression: Option<String>,
}

fn all(ws: &Workspace) -> Result<Vec<Segment>, CdpError> {
    spi::rows(
        &ws.sql("SELECT g.segment_id, c.column_id, g.name, g.expression FROM @ws@.segment g JOIN @ws@.store_column c USING (segment_id) ORDER BY g.segment_id"),
        &[],
        |row| Ok(Segment { segment_id: spi::must(row, 1)?, column_id: spi::must(row, 2)?, name: spi::must(row, 3)?, expression: row.get(4)? }),
    )
}

fn find(ws: &Workspace, name: &str) -> Result<Segment, CdpError> {
    match all(ws)?.into_iter().find(|s| s.name == name) {
        Some(segment) => Ok(segment),
        None => {
            let hint = match pg_cdp_core::expr::error::nearest(name, Catalog::load(ws)?.segments.keys().cloned()) {
                Some(near) => format!("Did you mean \"{near}\"?"),
                None => format!("See the view {}.segments.", ws.schema()),
            };
            Err(CdpError::undefined_object("segment", name).with_hint(hint))
        }
    }
}

/// Enters a segment without members.
fn enter(
    ws: &Workspace,
    name: &str,
    kind: &str,
    expression: Option<&str>,
    description: Option<&str>,
) -> Result<Segment, CdpError> {
    if name.is_empty() {
        return Err(
            CdpError::invalid_parameter("a segment needs a name").with_hint("Give a short name, such as 'vip'.")
        );
    }
    if all(ws)?.iter().any(|s| s.name == name) {
        return Err(CdpError::duplicate_object("segment", name).with_hint("Drop it first, or choose another name."));
    }
    let segment_id = spi::one::<i32>(
        &ws.sql("INSERT INTO @ws@.segment (name, kind, expression, description) VALUES ($1, $2, $3, $4) RETURNING segment_id"),
        &[name.into(), kind.into(), expression.into(), description.into()],
    )?
    .ok_or_else(|| CdpError::internal("a segment was not entered"))?;
    let column_id = spi::one::<i32>(
        &ws.sql("INSERT INTO @ws@.store_column (kind, encoding, segment_id) VALUES ('segment', 'set', $1) RETURNING column_id"),
        &[segment_id.into()],
    )?
    .ok_or_else(|| CdpError::internal("a column was not entered"))?;
    Ok(Segment { segment_id, column_id, name: name.to_owned(), expression: expression.map(str::to_owned) })
}

/// The members kept for a segment, pending changes included.
fn kept(ws: &Workspace, segment: &Segment) -> Result<RoaringTreemap, CdpError> {
    let shards = spi::rows(
        &ws.sql(
            "SELECT x.shard, @ext@._cdp_fold('set', (array_agg(x.bits) FILTER (WHERE x.part = 0))[1], array_agg(x.bits) FILTER (WHERE x.part = 1)) FROM \
               (SELECT c.shard, 0 AS part, c.bits FROM @ws@.chunk c WHERE c.column_id = $1 UNION ALL SELECT p.shard, 1, p.cells FROM @ws@.pending p WHERE p.column_id = $1) x \
             GROUP BY x.shard ORDER BY x.shard",
        ),
        &[segment.column_id.into()],
        |row| Ok((spi::must::<i32>(row, 1)?, row.get::<Vec<u8>>(2)?)),
    )?;
    let shards: Vec<(u32, Vec<u8>)> =
        shards.into_iter().filter_map(|(shard, bits)| Some((u32::try_from(shard).ok()?, bits?))).collect();
    decoded(&assemble::treemap(&shards, SHARD_BITS)?)
}

/// A set from bytes that were just put together.
fn decoded(bytes: &[u8]) -> Result<RoaringTreemap, CdpError> {
    RoaringTreemap::deserialize_from(bytes).map_err(|e| CdpError::corrupted("segment").with_detail(e.to_string()))
}

/// Writes the members of a segment in place of what was kept. Returns (added, removed, total).
fn write(
    ws: &Workspace,
    segment: &Segment,
    members: &RoaringTreemap,
    as_of: Option<TimestampWithTimeZone>,
) -> Result<(i64, i64, i64), CdpError> {
    let before = kept(ws, segment)?;
    let signed = |n: u64| i64::try_from(n).map_err(|_| CdpError::limit("the count does not fit into bigint"));
    let (added, removed) = (
        signed(members.len() - members.intersection_len(&before))?,
        signed(before.len() - members.intersection_len(&before))?,
    );
    if added > 0 || removed > 0 {
        clear(ws, segment.column_id)?;
        let mut shards: BTreeMap<i32, RoaringBitmap> = BTreeMap::new();
        for member in members {
            let shard = i32::try_from(member >> SHARD_BITS).map_err(|_| CdpError::out_of_range("profile", member))?;
            shards.entry(shard).or_default().insert((member & ((1 << SHARD_BITS) - 1)) as u32);
        }
        for (shard, mut bitmap) in shards {
            bitmap.optimize();
            spi::run(
                &ws.sql("INSERT INTO @ws@.chunk (column_id, key, shard, bits) VALUES ($1, 0, $2, $3)"),
                &[segment.column_id.into(), shard.into(), portable(&bitmap)?.into()],
            )?;
        }
    }
    let total = signed(members.len())?;
    spi::run(
        &ws.sql("UPDATE @ws@.segment SET profiles = $2, refreshed_at = clock_timestamp(), refreshed_as_of = coalesce($3, now()) WHERE segment_id = $1"),
        &[segment.segment_id.into(), total.into(), as_of.into()],
    )?;
    Ok((added, removed, total))
}

fn refresh(
    ws: &Workspace,
    segment: &Segment,
    as_of: Option<TimestampWithTimeZone>,
) -> Result<(i64, i64, i64), CdpError> {
    let Some(expression) = &segment.expression else {
        return Err(CdpError::wrong_state(format!("segment \"{}\" is static", segment.name))
            .with_hint("A frozen segment keeps its members; create a dynamic one with cdp_segment_create()."));
    };
    let members = decoded(&set::members(&question(ws, expression, as_of)?)?)?;
    write(ws, segment, &members, as_of)
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_segment_create(
    name: Option<&str>,
    expression: Option<&str>,
    description: default!(Option<&str>, "NULL"),
) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        let (name, expression) = (given(name, "name")?, given(expression, "expression")?);
        ws.lock()?;
        // Checked before the segment exists, so that it cannot refer to itself.
        let question = question(ws, expression, None)?;
        definition::acyclic(&definition::segment(name), &question.expr, &question.catalog)?;
        let segment = enter(ws, name, "dynamic", Some(expression.trim()), description)?;
        refresh(ws, &segment, None).map(|_| ())
    })?)
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_segment_freeze(name: Option<&str>, members: Option<BitmapBytes<'_>>) -> Result<(), ErrorReport> {
    let (name, members) = (given(name, "name")?, given(members, "members")?.set()?);
    Ok(workspace::enter(|ws| {
        ws.lock()?;
        let unknown = spi::one::<i64>(
            &ws.sql("SELECT m FROM unnest($1::pg_catalog.int8[]) m WHERE NOT EXISTS (SELECT FROM @ws@.profile p WHERE p.profile_id = m) ORDER BY 1 LIMIT 1"),
            &[members.iter().map(|m| i64::try_from(m).unwrap_or(i64::MAX)).collect::<Vec<i64>>().into()],
        )?;
        if let Some(unknown) = unknown {
            return Err(CdpError::undefined_object("profile", &unknown.to_string())
                .with_hint("Freeze members that cdp_segment() gave."));
        }
        // Retired numbers stand for the profile that took them over.
        let live = spi::rows(
            &ws.sql("SELECT DISTINCT coalesce(p.merged_into, p.profile_id) FROM unnest($1::pg_catalog.int8[]) m JOIN @ws@.profile p ON p.profile_id = m"),
            &[members.iter().map(|m| i64::try_from(m).unwrap_or(i64::MAX)).collect::<Vec<i64>>().into()],
            |row| Ok(spi::must::<i64>(row, 1)? as u64),
        )?;
        let segment = enter(ws, name, "static", None, None)?;
        write(ws, &segment, &live.into_iter().collect(), None).map(|_| ())
    })?)
}

#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::type_complexity)]
fn cdp_segment_refresh(
    name: default!(Option<&str>, "NULL"),
    as_of: default!(Option<TimestampWithTimeZone>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (name!(name, String), name!(added, i64), name!(removed, i64), name!(total, i64), name!(ms, f64)),
    >,
    ErrorReport,
> {
    Ok(workspace::enter(|ws| {
        ws.lock()?;
        let segments = match name {
            Some(name) => vec![find(ws, name)?],
            None => all(ws)?.into_iter().filter(|s| s.expression.is_some()).collect(),
        };
        let mut out = Vec::new();
        for segment in segments {
            let begun = Instant::now();
            let (added, removed, total) = refresh(ws, &segment, as_of)?;
            out.push((segment.name, added, removed, total, (begun.elapsed().as_secs_f64() * 1e6).round() / 1e3));
        }
        Ok(TableIterator::new(out))
    })?)
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_segment_drop(name: Option<&str>) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        let name = given(name, "name")?;
        ws.lock()?;
        let segment = find(ws, name)?;
        let users = dependants::of(ws, |node| matches!(node, Node::InSegment(n) if n == name))?;
        if !users.is_empty() {
            return Err(CdpError::in_use(format!("segment \"{name}\" is used by {}", users.join(", ")))
                .with_hint("Drop those first."));
        }
        clear(ws, segment.column_id)?;
        spi::run(&ws.sql("DELETE FROM @ws@.segment WHERE segment_id = $1"), &[segment.segment_id.into()])?;
        Ok(())
    })?)
}

#[pg_extern(name = "cdp_members", stable, parallel_unsafe, strict)]
fn cdp_members_of_segment(segment: &str) -> Result<SetOfIterator<'static, i64>, ErrorReport> {
    let members = workspace::enter_reading(|ws| kept(ws, &find(ws, segment)?))?;
    Ok(SetOfIterator::new(members.into_iter().map(|m| m as i64)))
}

#[pg_extern(name = "cdp_count", stable, parallel_unsafe, strict)]
fn cdp_count_of_segment(segment: &str) -> Result<i64, ErrorReport> {
    Ok(workspace::enter_reading(|ws| {
        i64::try_from(kept(ws, &find(ws, segment)?)?.len())
            .map_err(|_| CdpError::limit("the count does not fit into bigint"))
    })?)
}
