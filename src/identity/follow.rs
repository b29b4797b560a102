//! Identifiers go from one profile to another: everything derived follows. Facts stay where they are, on the identifiers.

use super::govern::Cause;
use super::hold::{self, Held};
use super::shelf::Shelf;
use crate::error::CdpError;
use crate::event;
use crate::guc;
use crate::pg::append::{self, Column, Shape};
use crate::pg::rewrite::{self, New, To};
use crate::pg::spi::{self, Together};
use crate::pg::{scan, sequence, settings, temp, transaction};
use crate::store::column::{day_sql, pg_type};
use crate::store::emit;
use crate::workspace::Workspace;
use pg_cdp_core::numbers::NumberMap;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::ItemPointerData;

/// An identifier that gets a profile, or another one.
#[derive(Debug, Clone, Copy)]
pub struct Moved {
    /// The identifier.
    pub node_id: i64,
    /// The profile it had.
    pub before: Option<i64>,
    /// The profile it has now.
    pub after: i64,
    /// Where its row was read, if it was.
    pub place: Option<ItemPointerData>,
}

/// A profile that stops or begins to live, or is redirected to another one.
#[derive(Debug, Clone, Copy)]
pub struct Redirected {
    /// The profile.
    pub profile_id: i64,
    /// Whom it was merged into; `None`: it lived.
    pub before: Option<i64>,
    /// Whom it is merged into; `None`: it lives.
    pub after: Option<i64>,
    /// The edge that joined it, when it is retired.
    pub cause: Option<(i64, i64)>,
    /// Where its row was read, if it was.
    pub place: Option<ItemPointerData>,
}

impl Redirected {
    /// A living profile that another one takes over, for an edge if that is known.
    pub fn taken_over(profile_id: i64, survivor: i64, cause: Option<(i64, i64)>) -> Self {
        Self { profile_id, before: None, after: Some(survivor), cause, place: None }
    }
}

/// A new profile.
#[derive(Debug, Clone, Copy)]
pub struct Created {
    /// Its number.
    pub profile_id: i64,
    /// The identifier that founds it.
    pub founding: i64,
    /// The profile that identifier was part of.
    pub from: Option<i64>,
}

/// What changes at once.
#[derive(Debug, Default)]
pub struct Change {
    /// Identifiers.
    pub moved: Vec<Moved>,
    /// Profiles there were.
    pub redirected: Vec<Redirected>,
    /// New profiles.
    pub created: Vec<Created>,
    /// Identifiers, of those that move or others, that were seen at another time.
    pub seen: Vec<SeenAgain>,
}

/// An identifier that was seen earlier or later than it was known to be.
#[derive(Debug, Clone, Copy)]
pub struct SeenAgain {
    /// The identifier.
    pub node_id: i64,
    /// When, in microseconds since 2000.
    pub at: i64,
    /// Where its row was read, if it was.
    pub place: Option<ItemPointerData>,
}

impl Change {
    /// Profiles that stop living, each with the one that takes it over.
    pub fn retired(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.redirected.iter().filter(|r| r.before.is_none()).filter_map(|r| Some((r.profile_id, r.after?)))
    }

    /// Profiles that live again, each with the one it was part of.
    pub fn revived(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.redirected.iter().filter(|r| r.after.is_none()).filter_map(|r| Some((r.profile_id, r.before?)))
    }
}

/// Numbers for new profiles, ascending.
pub fn numbers(ws: &Workspace, count: usize) -> Result<Vec<i64>, CdpError> {
    if count == 0 { Ok(Vec::new()) } else { sequence::next(&ws.name, "profile_id_seq", count) }
}

/// Adds what goes along with profiles that are taken over, `into` whom: their identifiers, which `held` has if they have been read, and the retired numbers that led to them, which lead straight to the one
/// that lives, so that resolving is one step for ever.
pub fn take_over(
    ws: &Workspace,
    into: &NumberMap<i64>,
    held: Option<Vec<Held>>,
    change: &mut Change,
) -> Result<(), CdpError> {
    if into.is_empty() {
        return Ok(());
    }
    let mut retired: Vec<i64> = into.keys().copied().collect();
    // Neighbours in the indexes are looked up one after the other.
    retired.sort_unstable();
    let held = match held {
        Some(held) => held,
        None => hold::of(ws, &retired, &[])?,
    };
    for held in held {
        let Some(&after) = into.get(&held.profile_id) else { continue };
        change.moved.push(Moved { node_id: held.node_id, before: Some(held.profile_id), after, place: held.place });
    }
    for (profile_id, before, place) in hold::leading_to(ws, &retired)? {
        let Some(&after) = into.get(&before) else { continue };
        change.redirected.push(Redirected { profile_id, before: Some(before), after: Some(after), cause: None, place });
    }
    Ok(())
}

/// Writes a change and lets follow: day columns, wide rows, columns of bits, segments, the column of live profiles. Returns whether values of traits or days
/// have to be computed: then `cdp_touched` and `cdp_event_change` hold for whom. `prepared` tells that a batch has made those tables.
pub fn apply(ws: &Workspace, cause: Cause, change: &Change, prepared: bool) -> Result<bool, CdpError> {
    if change.moved.is_empty() && change.redirected.is_empty() && change.created.is_empty() {
        return note(ws, &change.seen.iter().collect::<Vec<_>>()).map(|()| false);
    }
    let there = There::look(ws)?;
    let shelf = if there.attributes || there.segments { Shelf::take(ws, change)? } else { None };
    let gone: Vec<i64> = change.retired().map(|(profile, _)| profile).collect();
    let come: Vec<i64> =
        change.created.iter().map(|c| c.profile_id).chain(change.revived().map(|(profile, _)| profile)).collect();
    if there.attributes && !gone.is_empty() {
        take_out(ws, &gone)?;
    }
    if change.moved.len() > MANY && settings::work_mem_kb() < MANY_MEMORY_KB {
        settings::set("work_mem", &format!("{MANY_MEMORY_KB}kB"))?;
    }
    let mut together = Together::default();
    found(ws, change, &mut together)?;
    profiles(ws, cause, change, &mut together)?;
    nodes(ws, change, &mut together)?;
    living(ws, &come, &gone, &mut together)?;
    together.run(|_| Ok(()))?;
    let derived = facts(ws, change, there, prepared)?;
    if let Some(shelf) = shelf {
        shelf.put_back(ws, change)?;
    }
    Ok(derived)
}

/// From so many identifiers that move on the lists of them get memory of their own, when the session allows less: else they go through files.
const MANY: usize = 10_000;
const MANY_MEMORY_KB: i32 = 65_536;

/// What there is in a workspace that can follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct There {
    attributes: bool,
    segments: bool,
    events: bool,
}

impl There {
    fn look(ws: &Workspace) -> Result<Self, CdpError> {
        let names = ["attribute", "segment", "event_type"];
        let [attributes, segments, events] = match scan::any(&ws.name, &names)? {
            Some(any) => any,
            None => {
                let any = names.map(|name| format!("EXISTS (SELECT FROM @ws@.{name})")).join(", ");
                let asked = spi::rows_cached(&ws.sql(&format!("SELECT {any}")), &[], |row| {
                    Ok([spi::must(row, 1)?, spi::must(row, 2)?, spi::must(row, 3)?])
                })?;
                asked.into_iter().next().unwrap_or([true; 3])
            }
        };
        Ok(Self { attributes, segments, events })
    }
}

/// Records of new profiles.
fn found(ws: &Workspace, change: &Change, together: &mut Together<'_>) -> Result<(), CdpError> {
    let (ids, founding): (Vec<i64>, Vec<i64>) = change.created.iter().map(|c| (c.profile_id, c.founding)).unzip();
    let columns = [
        Column::Int8(&ids),
        Column::EachText("person"),
        Column::Int8(&founding),
        Column::EachInt8(transaction::started_at()),
        Column::Null,
        Column::EachBool(false),
    ];
    if !append::load(&ws.name, &hold::profile::SHAPE, &columns, ids.len())? {
        together.add(
            &ws.sql(
                "INSERT INTO @ws@.profile (profile_id, founding_node, created_at) \
                 SELECT x.profile_id, x.node_id, now() FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[]) AS x(profile_id, node_id)",
            ),
            [ids.into(), founding.into()],
        );
    }
    Ok(())
}

/// Redirects of profile records, and the history of merges and splits.
fn profiles(ws: &Workspace, cause: Cause, change: &Change, together: &mut Together<'_>) -> Result<(), CdpError> {
    let source_id = cause.source_id;
    // Who no longer lives is judged under the profile that took it over.
    let of = |r: &Redirected| New { key: [r.profile_id, 0], to: To::NumberOrNull(r.after), place: r.place };
    let mut rows: Vec<New> = change.redirected.iter().map(of).collect();
    rows.sort_unstable_by_key(|row| row.key);
    let left = rewrite::rewrite(&ws.name, &REDIRECT, &rows)?.unwrap_or(rows);
    if !left.is_empty() {
        let into = |row: &New| if let To::NumberOrNull(into) = row.to { into } else { None };
        let (ids, into): (Vec<i64>, Vec<Option<i64>>) = left.iter().map(|row| (row.key[0], into(row))).unzip();
        together.add(
            &ws.sql(
                "UPDATE @ws@.profile p SET merged_into = x.survivor, contested = p.contested AND x.survivor IS NULL \
                 FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[]) AS x(profile_id, survivor) WHERE p.profile_id = x.profile_id",
            ),
            [ids.into(), into.into()],
        );
    }
    let of = |r: &Redirected| Some((r.profile_id, r.after?, r.cause?));
    let mut merges: Vec<(i64, i64, (i64, i64))> =
        change.redirected.iter().filter(|r| r.before.is_none()).filter_map(of).collect();
    merges.sort_unstable();
    let retired: Vec<i64> = merges.iter().map(|merge| merge.0).collect();
    let survivors: Vec<i64> = merges.iter().map(|merge| merge.1).collect();
    let (from, to): (Vec<i64>, Vec<i64>) = merges.iter().map(|merge| merge.2).unzip();
    if !retired.is_empty() && !enter_merges(ws, cause, [&retired, &survivors, &from, &to])? {
        together.add(
            &ws.sql(
                "INSERT INTO @ws@.profile_merge (retired_id, survivor_id, from_node, to_node, source_id, operation_id) SELECT x.r, x.s, x.f, x.t, $5, $6 \
                 FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[], $3::pg_catalog.int8[], $4::pg_catalog.int8[]) AS x(r, s, f, t) ORDER BY x.r",
            ),
            [retired.into(), survivors.into(), from.into(), to.into(), source_id.into(), cause.operation_id.into()],
        );
    }
    let mut split: Vec<(i64, i64, bool)> = change.revived().map(|(profile, from)| (profile, from, false)).collect();
    split.extend(change.created.iter().filter_map(|c| Some((c.profile_id, c.from?, true))));
    split.sort_unstable();
    let ids: Vec<i64> = split.iter().map(|s| s.0).collect();
    let from: Vec<i64> = split.iter().map(|s| s.1).collect();
    let created: Vec<bool> = split.iter().map(|s| s.2).collect();
    if !split.is_empty() && !enter_splits(ws, cause, &ids, &from, &created)? {
        together.add(
            &ws.sql(
                "INSERT INTO @ws@.profile_split (profile_id, from_id, created, source_id, operation_id) SELECT x.p, x.f, x.c, $4, $5 \
                 FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[], $3::pg_catalog.bool[]) AS x(p, f, c) ORDER BY x.p",
            ),
            [ids.into(), from.into(), created.into(), source_id.into(), cause.operation_id.into()],
        );
    }
    Ok(())
}

/// Enters which profiles were taken over, by whom and for which edge, without a query; `false`: that is not possible.
fn enter_merges(ws: &Workspace, cause: Cause, [retired, survivors, from, to]: [&[i64]; 4]) -> Result<bool, CdpError> {
    const NUMBERS: &str = "profile_merge_merge_id_seq";
    if !guc::direct_write() || !sequence::is_usable(&ws.name, NUMBERS) {
        return Ok(false);
    }
    let numbers = sequence::next(&ws.name, NUMBERS, retired.len())?;
    let columns = [
        Column::Int8(&numbers),
        Column::Int8(retired),
        Column::Int8(survivors),
        Column::Int8(from),
        Column::Int8(to),
        Column::EachInt4(cause.source_id),
        cause.operation_id.map_or(Column::Null, Column::EachInt8),
        Column::EachInt8(transaction::clock()),
    ];
    append::append(&ws.name, &PROFILE_MERGE, &columns, retired.len())
}

/// Enters which profiles came back, or came to be, out of whom, without a query; `false`: that is not possible.
fn enter_splits(ws: &Workspace, cause: Cause, ids: &[i64], from: &[i64], created: &[bool]) -> Result<bool, CdpError> {
    const NUMBERS: &str = "profile_split_split_id_seq";
    if !append::is_possible(&ws.name, &PROFILE_SPLIT, SPLIT_COLUMNS) || !sequence::is_usable(&ws.name, NUMBERS) {
        return Ok(false);
    }
    let numbers = sequence::next(&ws.name, NUMBERS, ids.len())?;
    let columns: [Column; SPLIT_COLUMNS] = [
        Column::Int8(&numbers),
        Column::Int8(ids),
        Column::Int8(from),
        Column::Bool(created),
        Column::EachInt4(cause.source_id),
        cause.operation_id.map_or(Column::Null, Column::EachInt8),
        Column::EachInt8(transaction::clock()),
    ];
    append::append(&ws.name, &PROFILE_SPLIT, &columns, ids.len())
}

/// The identifiers themselves, and where they were before.
fn nodes(ws: &Workspace, change: &Change, together: &mut Together<'_>) -> Result<(), CdpError> {
    let again: NumberMap<&SeenAgain> = change.seen.iter().map(|seen| (seen.node_id, seen)).collect();
    let of = |m: &Moved| {
        let seen = again.get(&m.node_id);
        let to = To::Number(m.after, seen.map(|seen| [seen.at; 2]));
        New { key: [m.node_id, 0], to, place: m.place.or(seen.and_then(|seen| seen.place)) }
    };
    let mut rows: Vec<New> = change.moved.iter().map(of).collect();
    rows.sort_unstable_by_key(|row| row.key);
    let moved = |node_id: i64| rows.binary_search_by_key(&node_id, |row| row.key[0]).is_ok();
    let stays = change.seen.iter().filter(|seen| !moved(seen.node_id));
    let stays: Vec<New> = stays.map(|s| New { key: [s.node_id, 0], to: To::Seen([s.at; 2]), place: s.place }).collect();
    rows.extend(stays);
    let left = rewrite::rewrite(&ws.name, &NODE, &rows)?.unwrap_or(rows);
    let (mut ids, mut homes, mut late) = (Vec::new(), Vec::new(), Vec::new());
    for row in left {
        if let To::Number(home, _) = row.to {
            ids.push(row.key[0]);
            homes.push(home);
        }
        late.extend(again.get(&row.key[0]).copied());
    }
    // A statement changes a row once: by itself, before the others.
    note(ws, &late)?;
    if !ids.is_empty() {
        together.add(
            &ws.sql("UPDATE @ws@.node n SET profile_id = x.home FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[]) AS x(node_id, home) WHERE n.node_id = x.node_id"),
            [ids.into(), homes.into()],
        );
    }
    let (ids, before, after) = moves(change);
    if ids.is_empty() {
        return Ok(());
    }
    if !enter_moves(ws, &ids, &before, &after)? {
        together.add(
            &ws.sql(
                "INSERT INTO @ws@.node_move (node_id, from_profile, to_profile) SELECT x.n, x.b, x.a \
                 FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[], $3::pg_catalog.int8[]) AS x(n, b, a)",
            ),
            [ids.into(), before.into(), after.into()],
        );
    }
    Ok(())
}

/// Writes that identifiers were seen at another time, by a query.
fn note(ws: &Workspace, seen: &[&SeenAgain]) -> Result<(), CdpError> {
    if seen.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = seen.iter().map(|seen| seen.node_id).collect();
    let at = |seen: &&SeenAgain| TimestampWithTimeZone::try_from(seen.at);
    let at: Vec<TimestampWithTimeZone> =
        seen.iter().map(at).collect::<Result<_, _>>().map_err(|_| CdpError::internal("a time is out of range"))?;
    spi::run_cached(
        &ws.sql(
            "UPDATE @ws@.node n SET first_seen = least(n.first_seen, x.at), last_seen = greatest(n.last_seen, x.at) \
             FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.timestamptz[]) AS x(node_id, at) WHERE n.node_id = x.node_id",
        ),
        &[ids.into(), at.into()],
    )
}

/// Enters where identifiers were before, without a query; `false`: that is not possible.
fn enter_moves(ws: &Workspace, ids: &[i64], before: &[i64], after: &[i64]) -> Result<bool, CdpError> {
    const NUMBERS: &str = "node_move_move_id_seq";
    if !guc::direct_write() || !sequence::is_usable(&ws.name, NUMBERS) {
        return Ok(false);
    }
    // Whoever moves identifiers holds the workspace lock.
    let numbers = sequence::next_alone(&ws.name, NUMBERS, ids.len())?;
    let columns = [
        Column::Int8(&numbers),
        Column::Int8(ids),
        Column::Int8(before),
        Column::Int8(after),
        Column::EachInt8(transaction::started_at()),
    ];
    append::load(&ws.name, &NODE_MOVE, &columns, ids.len())
}

/// An identifier goes to another profile, and is seen at another time.
pub(super) const NODE: rewrite::Change = rewrite::Change {
    shape: hold::node::SHAPE,
    index: "node_pkey",
    key: &[hold::node::NODE_ID],
    columns: &[hold::node::PROFILE_ID, hold::node::FIRST_SEEN, hold::node::LAST_SEEN],
};

/// A profile leads to another one, or lives.
const REDIRECT: rewrite::Change = rewrite::Change {
    shape: hold::profile::SHAPE,
    index: "profile_pkey",
    key: &[hold::profile::PROFILE_ID],
    columns: &[hold::profile::MERGED_INTO, hold::profile::CONTESTED],
};

/// As new rows see it (sql/workspace/30_identity.sql).
pub const PROFILE_MERGE: Shape = Shape { name: "profile_merge", columns: Some(8), checks: 0, without: &[] };

/// As new rows see it (sql/workspace/30_identity.sql).
pub const PROFILE_SPLIT: Shape = Shape { name: "profile_split", columns: Some(SPLIT_COLUMNS), checks: 0, without: &[] };
const SPLIT_COLUMNS: usize = 7;

/// As new rows see it (sql/workspace/30_identity.sql).
pub const NODE_MOVE: Shape = Shape { name: "node_move", columns: Some(5), checks: 0, without: &[] };

/// As new rows see it; the columns of attributes follow (sql/workspace/40_attribute.sql).
pub const PROFILE_VALUE: Shape = Shape { name: "profile_value", columns: None, checks: 0, without: &[] };

/// Identifiers that leave a profile for another.
fn moves(change: &Change) -> (Vec<i64>, Vec<i64>, Vec<i64>) {
    let (mut ids, mut before, mut after) = (Vec::new(), Vec::new(), Vec::new());
    for m in &change.moved {
        if let Some(from) = m.before {
            ids.push(m.node_id);
            before.push(from);
            after.push(m.after);
        }
    }
    (ids, before, after)
}

/// Says which events count for another profile from now on, and whose traits have to be computed anew. No event is rewritten.
fn facts(ws: &Workspace, change: &Change, there: There, prepared: bool) -> Result<bool, CdpError> {
    let (ids, before, after) = moves(change);
    if ids.is_empty() {
        return Ok(false);
    }
    let any = |table: &str| -> Result<bool, CdpError> {
        Ok(!spi::rows_cached(
            &ws.sql(&format!("SELECT true FROM @ws@.{table} f WHERE f.node_id = ANY ($1) LIMIT 1")),
            &[ids.clone().into()],
            |_| Ok(()),
        )?
        .is_empty())
    };
    let (events, traits) = (there.events && any("event_facts")?, there.attributes && any("trait_observation")?);
    if !events && !traits {
        return Ok(false);
    }
    if !prepared {
        event::land::prepare()?;
    }
    if events {
        spi::run(
            &ws.sql(&format!(
                "INSERT INTO pg_temp.cdp_event_change (profile_id, n, event_type_id, day, properties) \
                 SELECT x.profile_id, x.n, e.event_type_id, {}, e.properties \
                 FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[], $3::pg_catalog.int8[]) AS m(node_id, before, after) JOIN @ws@.event_facts e USING (node_id) \
                 CROSS JOIN LATERAL (VALUES (m.before, -1), (m.after, 1)) AS x(profile_id, n)",
                day_sql("e.at")
            )),
            &[ids.into(), before.clone().into(), after.clone().into()],
        )?;
    }
    if traits {
        spi::run(
            &ws.sql(
                "INSERT INTO pg_temp.cdp_touched (profile_id) SELECT DISTINCT x.p FROM unnest($1::pg_catalog.int8[] || $2::pg_catalog.int8[]) AS x(p) \
                 JOIN @ws@.profile p ON p.profile_id = x.p WHERE p.merged_into IS NULL",
            ),
            &[before.into(), after.into()],
        )?;
    }
    Ok(true)
}

/// Takes the values of profiles that no longer live out of the columns.
fn take_out(ws: &Workspace, gone: &[i64]) -> Result<(), CdpError> {
    let mut listed = false;
    for kind in ["trait", "tag"] {
        for attribute in emit::attribute_columns(ws, kind)? {
            if !listed {
                temp::table("cdp_gone", "profile_id pg_catalog.int8")?;
                spi::run(
                    "INSERT INTO pg_temp.cdp_gone (profile_id) SELECT x FROM unnest($1::pg_catalog.int8[]) x",
                    &[gone.to_vec().into()],
                )?;
                listed = true;
            }
            let changes = format!(
                "(SELECT v.profile_id, {} AS before, NULL::pg_catalog.{} AS after FROM @ws@.profile_value v JOIN pg_temp.cdp_gone m USING (profile_id))",
                emit::current_value(&attribute),
                pg_type(&attribute.ty)
            );
            emit::attribute(ws, &attribute, &changes)?;
        }
    }
    Ok(())
}

/// Who lives: the wide table has a row for each, and the column of live profiles has them.
fn living(ws: &Workspace, come: &[i64], gone: &[i64], together: &mut Together<'_>) -> Result<(), CdpError> {
    if !gone.is_empty() {
        let left = rewrite::delete(&ws.name, &PROFILE_VALUE, "profile_value_pkey", gone)?;
        let left = left.unwrap_or_else(|| gone.to_vec());
        if !left.is_empty() {
            together.add(&ws.sql("DELETE FROM @ws@.profile_value v WHERE v.profile_id = ANY ($1)"), [left.into()]);
        }
    }
    if !append::load(&ws.name, &PROFILE_VALUE, &[Column::Int8(come)], come.len())? {
        together.add(
            &ws.sql("INSERT INTO @ws@.profile_value (profile_id) SELECT x FROM unnest($1::pg_catalog.int8[]) x"),
            [come.to_vec().into()],
        );
    }
    if come.is_empty() && gone.is_empty() {
        return Ok(());
    }
    let Some(column) = hold::universe(ws)? else {
        return Err(CdpError::internal("the workspace has no column of live profiles"));
    };
    emit::members(ws, column, come, gone, together)
}
