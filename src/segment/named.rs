//! `cdp_segment_create`, `_freeze`, `_alter`, `_refresh`, `_drop`, and the members of a segment by name.

use super::refresh;
use crate::bitmap::BitmapBytes;
use crate::error::{CdpError, given};
use crate::expr::catalog::Catalog;
use crate::expr::dependencies::{self, Named};
use crate::expr::question::{Moment, Question};
use crate::pg::spi;
use crate::store::column::clear;
use crate::store::{SHARD_BITS, membership};
use crate::workspace::{self, Workspace};
use pg_cdp_core::bitmap::assemble;
use pg_cdp_core::expr::ast::Type;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use roaring::RoaringBitmap;
use std::collections::{BTreeMap, BTreeSet};

/// A segment as the catalogue has it.
pub struct Segment {
    /// Its number.
    pub segment_id: i32,
    /// Its column.
    pub column_id: i32,
    /// Its name.
    pub name: String,
    /// The expression of a dynamic segment.
    pub expression: Option<String>,
    /// `draft`, `active` or `retired`.
    pub state: String,
    /// Number of its definition.
    pub version: i32,
    /// Number of its last refresh; 0 for none.
    pub refresh: i32,
}

/// The states a definition may be in.
const STATES: [&str; 3] = ["draft", "active", "retired"];

/// A state that a caller names.
///
/// # Errors
/// 22023 for any other word.
pub fn state_named(state: &str) -> Result<&str, CdpError> {
    if STATES.contains(&state) {
        return Ok(state);
    }
    Err(CdpError::invalid_parameter(format!("\"{state}\" is no state of a definition"))
        .with_hint(format!("States are {}.", STATES.join(", "))))
}

/// All segments, by number.
pub(super) fn all(ws: &Workspace) -> Result<Vec<Segment>, CdpError> {
    spi::rows(
        &ws.sql(
            "SELECT g.segment_id, c.column_id, g.name, g.expression, g.state, g.version, t.refresh FROM @ws@.segment g JOIN @ws@.segment_state t USING (segment_id) JOIN @ws@.store_column c USING (segment_id) \
             ORDER BY g.segment_id",
        ),
        &[],
        |row| {
            Ok(Segment {
                segment_id: spi::must(row, 1)?,
                column_id: spi::must(row, 2)?,
                name: spi::must(row, 3)?,
                expression: row.get(4)?,
                state: spi::must(row, 5)?,
                version: spi::must(row, 6)?,
                refresh: spi::must(row, 7)?,
            })
        },
    )
}

/// The segment of this name.
///
/// # Errors
/// 42704 when there is none.
pub fn find(ws: &Workspace, name: &str) -> Result<Segment, CdpError> {
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
    expression: Option<&str>,
    description: Option<&str>,
    state: &str,
    names: &BTreeSet<Named>,
) -> Result<Segment, CdpError> {
    if name.is_empty() {
        return Err(
            CdpError::invalid_parameter("a segment needs a name").with_hint("Give a short name, such as 'vip'.")
        );
    }
    if all(ws)?.iter().any(|s| s.name == name) {
        return Err(CdpError::duplicate_object("segment", name)
            .with_hint("Change it with cdp_segment_alter(), drop it first, or choose another name."));
    }
    let kind = if expression.is_some() { "dynamic" } else { "static" };
    let segment_id = spi::one::<i32>(
        &ws.sql("INSERT INTO @ws@.segment (name, kind, expression, description, state) VALUES ($1, $2, $3, $4, $5) RETURNING segment_id"),
        &[name.into(), kind.into(), expression.into(), description.into(), state.into()],
    )?
    .ok_or_else(|| CdpError::internal("a segment was not entered"))?;
    spi::run(&ws.sql("INSERT INTO @ws@.segment_state (segment_id) VALUES ($1)"), &[segment_id.into()])?;
    let column_id = spi::one::<i32>(
        &ws.sql("INSERT INTO @ws@.store_column (kind, encoding, segment_id) VALUES ('segment', 'set', $1) RETURNING column_id"),
        &[segment_id.into()],
    )?
    .ok_or_else(|| CdpError::internal("a column was not entered"))?;
    dependencies::define(ws, Named::Segment(segment_id), 1, expression, names)?;
    Ok(Segment {
        segment_id,
        column_id,
        name: name.to_owned(),
        expression: expression.map(str::to_owned),
        state: state.to_owned(),
        version: 1,
        refresh: 0,
    })
}

/// What a boolean expression that defines a segment names; an error when it is none.
fn names_of(ws: &Workspace, expression: &str) -> Result<BTreeSet<Named>, CdpError> {
    let question = Question::ask(ws, expression, Some(Type::Boolean), Moment::new(None)?)?;
    Ok(dependencies::named(&question.catalog, &question.expr))
}

/// Refreshes a segment that is dynamic and not retired. Needs the workspace lock.
///
/// # Errors
/// 55000 for any other, and whatever its expression raises.
pub(super) fn refresh(
    ws: &Workspace,
    catalog: &std::rc::Rc<Catalog>,
    segment: &Segment,
    as_of: Option<TimestampWithTimeZone>,
) -> Result<refresh::Refreshed, CdpError> {
    let Some(expression) = &segment.expression else {
        return Err(CdpError::wrong_state(format!("segment \"{}\" is static", segment.name))
            .with_hint("A frozen segment keeps its members; create a dynamic one with cdp_segment_create()."));
    };
    if segment.state == "retired" {
        return Err(CdpError::wrong_state(format!("segment \"{}\" is retired", segment.name))
            .with_hint("It keeps its members. Take it up again with cdp_segment_alter() and state => 'active'."));
    }
    refresh::dynamic(ws, catalog, segment, expression, as_of)
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_segment_create(
    name: Option<&str>,
    expression: Option<&str>,
    description: default!(Option<&str>, "NULL"),
    state: default!(Option<&str>, "'active'"),
) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        let (name, expression) = (given(name, "name")?, given(expression, "expression")?);
        let state = state_named(given(state, "state")?)?;
        ws.lock()?;
        // Checked before the segment exists, so that it cannot refer to itself.
        let names = names_of(ws, expression)?;
        let segment = enter(ws, name, Some(expression.trim()), description, state, &names)?;
        if state == "active" {
            refresh(ws, &Catalog::load(ws)?, &segment, None)?;
        }
        Ok(())
    })?)
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_segment_freeze(name: Option<&str>, members: Option<BitmapBytes<'_>>) -> Result<(), ErrorReport> {
    let (name, members) = (given(name, "name")?, given(members, "members")?);
    Ok(workspace::enter(|ws| {
        ws.lock()?;
        let live = live(ws, assemble::shards(members.bytes(), SHARD_BITS)?)?;
        let segment = enter(ws, name, None, None, "active", &BTreeSet::new())?;
        refresh::fixed(ws, &segment, live).map(|_| ())
    })?)
}

/// These profiles, retired numbers replaced by those that took them over.
///
/// # Errors
/// 42704 for a number that never was a profile.
fn live(ws: &Workspace, members: Vec<(u32, Vec<u8>)>) -> Result<Vec<(u32, Vec<u8>)>, CdpError> {
    let mut universe: BTreeMap<u32, Vec<u8>> = membership::kept(ws, Catalog::load(ws)?.universe)?.into_iter().collect();
    let mut strangers: Vec<i64> = Vec::new();
    for (shard, bytes) in &members {
        let known = universe.remove(shard);
        let unknown = pg_cdp_core::bitmap::difference(known.as_ref().map(Into::into), Some(bytes.into()))?.added;
        if let Some(unknown) = unknown {
            let first = i64::from(*shard) << SHARD_BITS;
            strangers.extend(set(&unknown)?.into_iter().map(|offset| first + i64::from(offset)));
        }
    }
    if strangers.is_empty() {
        return Ok(members);
    }
    let resolved = spi::rows(
        &ws.sql("SELECT m.m, p.merged_into FROM unnest($1::pg_catalog.int8[]) m LEFT JOIN @ws@.profile p ON p.profile_id = m.m ORDER BY m.m"),
        &[strangers.into()],
        |row| Ok((spi::must::<i64>(row, 1)?, row.get::<i64>(2)?)),
    )?;
    let mut sets: BTreeMap<u32, RoaringBitmap> =
        members.iter().map(|(shard, bytes)| Ok((*shard, set(bytes)?))).collect::<Result<_, CdpError>>()?;
    for (stranger, survivor) in resolved {
        let Some(survivor) = survivor else {
            return Err(CdpError::undefined_object("profile", &stranger.to_string())
                .with_hint("Freeze members that cdp_segment() gave."));
        };
        let place = |profile: i64| ((profile >> SHARD_BITS) as u32, (profile & ((1 << SHARD_BITS) - 1)) as u32);
        let ((shard, offset), (home, seat)) = (place(stranger), place(survivor));
        sets.entry(shard).or_default().remove(offset);
        sets.entry(home).or_default().insert(seat);
    }
    let full = sets.into_iter().filter(|(_, set)| !set.is_empty());
    full.map(|(shard, set)| Ok((shard, crate::store::cells::portable(&set)?))).collect()
}

/// A set from the bytes of a shard.
pub fn set(bytes: &[u8]) -> Result<RoaringBitmap, CdpError> {
    RoaringBitmap::deserialize_from(bytes).map_err(|e| CdpError::corrupted("segment").with_detail(e.to_string()))
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_segment_alter(
    name: Option<&str>,
    expression: default!(Option<&str>, "NULL"),
    description: default!(Option<&str>, "NULL"),
    state: default!(Option<&str>, "NULL"),
) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        let name = given(name, "name")?;
        ws.lock()?;
        let segment = find(ws, name)?;
        let state = match state {
            Some(state) => state_named(state)?.to_owned(),
            None => segment.state.clone(),
        };
        let expression = expression.filter(|e| segment.expression.as_deref() != Some(e.trim()));
        if let Some(expression) = expression {
            if segment.expression.is_none() {
                return Err(CdpError::wrong_state(format!("segment \"{name}\" is static"))
                    .with_hint("A frozen segment has no expression; drop it and create a dynamic one of this name."));
            }
            let names = names_of(ws, expression)?;
            let version = segment.version + 1;
            dependencies::define(ws, Named::Segment(segment.segment_id), version, Some(expression.trim()), &names)?;
        }
        let expression = expression.map(str::trim);
        spi::run(
            &ws.sql(
                "UPDATE @ws@.segment SET expression = coalesce($2, expression), version = version + CASE WHEN $2 IS NULL THEN 0 ELSE 1 END, \
                 description = coalesce($3, description), state = $4 WHERE segment_id = $1",
            ),
            &[segment.segment_id.into(), expression.into(), description.into(), state.as_str().into()],
        )?;
        let taken_up = state == "active" && segment.state != "active" && segment.expression.is_some();
        if state == "active" && (expression.is_some() || taken_up) {
            refresh(ws, &Catalog::load(ws)?, &find(ws, name)?, None)?;
        }
        Ok(())
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
        let mut segments = match name {
            Some(name) => vec![find(ws, name)?],
            None => all(ws)?.into_iter().filter(|s| s.expression.is_some() && s.state == "active").collect(),
        };
        dependencies::sort(ws, &mut segments, |s| Named::Segment(s.segment_id))?;
        // Names, columns and what is in the cache of chunks are shared by all: a refresh changes none of them.
        let catalog = Catalog::load(ws)?;
        let mut out = Vec::with_capacity(segments.len());
        for segment in segments {
            let done = refresh(ws, &catalog, &segment, as_of)?;
            out.push((segment.name, done.added, done.removed, done.total, done.ms));
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
        let named = Named::Segment(segment.segment_id);
        dependencies::refuse_used(ws, named)?;
        dependencies::forget(ws, named)?;
        clear(ws, segment.column_id)?;
        spi::run(&ws.sql("DELETE FROM @ws@.segment WHERE segment_id = $1"), &[segment.segment_id.into()])?;
        Ok(())
    })?)
}

#[pg_extern(name = "cdp_members", stable, parallel_unsafe, strict)]
fn cdp_members_of_segment(segment: &str) -> Result<SetOfIterator<'static, i64>, ErrorReport> {
    let shards = workspace::enter_reading(|ws| {
        let shards = membership::kept(ws, find(ws, segment)?.column_id)?;
        shards.iter().map(|(shard, bytes)| Ok((*shard, set(bytes)?))).collect::<Result<Vec<_>, CdpError>>()
    })?;
    Ok(SetOfIterator::new(shards.into_iter().flat_map(|(shard, set)| {
        let first = i64::from(shard) << SHARD_BITS;
        set.into_iter().map(move |offset| first + i64::from(offset))
    })))
}

#[pg_extern(name = "cdp_count", stable, parallel_unsafe, strict)]
fn cdp_count_of_segment(segment: &str) -> Result<i64, ErrorReport> {
    Ok(workspace::enter_reading(|ws| {
        let shards = membership::kept(ws, find(ws, segment)?.column_id)?;
        membership::count(shards.iter().map(|(_, bytes)| bytes.as_slice()))
    })?)
}
