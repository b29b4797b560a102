//! What is known of the identifiers of one event: the identifiers, whose they are, and the edges that its source has shown between them before.
//!
//! It is read straight from the tables, through their indexes: most events say nothing new, and are over with that. For whoever the tables cannot be opened
//! directly for, and with `cdp.direct_read` off, queries read the same.

use super::follow;
use super::hold::{edge, node, profile};
use super::origin;
use super::rules::Rules;
use super::value::Forms;
use crate::error::CdpError;
use crate::guc;
use crate::pg::rewrite::{self, New, To};
use crate::pg::scan::{self, Condition, Table};
use crate::pg::spi::{self, Together};
use crate::workspace::Workspace;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::itemptr::{item_pointer_get_both, item_pointer_set_all};
use pgrx::pg_sys::ItemPointerData;
use pgrx::spi::SpiHeapTupleData;
use std::collections::HashMap;

/// An identifier as it came.
pub struct Wanted {
    /// Number of its type.
    pub type_id: i32,
    /// Its value as it is kept.
    pub kept: String,
    /// Its value as people know it.
    pub plain: String,
}

impl Wanted {
    /// A value of a type.
    pub fn of(type_id: i32, Forms { kept, plain }: Forms) -> Self {
        Self { type_id, plain: plain.unwrap_or_else(|| kept.clone()), kept }
    }

    /// Each once, by type and value.
    pub fn each_once(mut wanted: Vec<Self>) -> Vec<Self> {
        wanted.sort_by(|a, b| (a.type_id, &a.kept).cmp(&(b.type_id, &b.kept)));
        wanted.dedup_by(|a, b| (a.type_id, &a.kept) == (b.type_id, &b.kept));
        wanted
    }
}

/// A profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Home {
    /// Its number.
    pub profile_id: i64,
    /// When it was created, in microseconds since 2000.
    pub created_at: i64,
    /// Whether a rule keeps it from linking further.
    pub contested: bool,
}

/// An identifier that is entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its number.
    pub node_id: i64,
    /// Number of its type.
    pub type_id: i32,
    /// Whose it is.
    pub home: Option<Home>,
    /// Why it links nobody.
    pub quarantine: Option<String>,
    /// When it was seen first and last, in microseconds since 2000.
    pub times: (i64, i64),
    /// Where its row is, if it was looked at there: block and number.
    pub place: Option<(u32, u16)>,
}

impl Seen {
    /// Where its row is, if it was looked at there.
    pub fn at(&self) -> Option<ItemPointerData> {
        self.place.map(|(block, number)| {
            let mut place = ItemPointerData::default();
            item_pointer_set_all(&mut place, block, number);
            place
        })
    }
}

/// The edges of a source between some identifiers, by their ends, the smaller first: when each was seen first and last.
pub type Edges = HashMap<(i64, i64), (i64, i64)>;

/// What is known.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Number and trust in hundredths of the source.
    pub source: Option<(i32, i32)>,
    /// The identifiers, in the order of those wanted.
    pub known: Vec<Option<Seen>>,
    /// Whether any decision of an operator holds.
    pub overridden: bool,
    /// Edges that the source has shown.
    pub edges: Edges,
}

fn time(row: &SpiHeapTupleData, ordinal: usize) -> Result<i64, CdpError> {
    Ok(spi::must::<TimestampWithTimeZone>(row, ordinal)?.into())
}

impl Sight {
    /// Reads what is known.
    pub fn read(ws: &Workspace, wanted: &[Wanted], source: &str) -> Result<Self, CdpError> {
        match Self::look(ws, wanted, source)? {
            Some(sight) => Ok(sight),
            None => Self::query(ws, wanted, source),
        }
    }

    /// Reads what is known straight from the tables; `None` when that is not possible.
    pub fn look(ws: &Workspace, wanted: &[Wanted], source: &str) -> Result<Option<Self>, CdpError> {
        if !guc::direct_read() {
            return Ok(None);
        }
        scan::now(|| {
            let mut tables = Vec::with_capacity(5);
            for (name, columns) in [
                ("source", origin::COLUMNS),
                ("node", node::COLUMNS),
                ("profile", profile::COLUMNS),
                ("edge", edge::COLUMNS),
            ] {
                let Some(table) = Table::with_columns(&ws.name, name, columns) else { break };
                tables.push(table);
            }
            let overrides = Table::open(&ws.name, "identity_override");
            let found = match (tables.as_slice(), &overrides) {
                ([sources, nodes, profiles, edges], Some(overrides)) => {
                    Self::look_into(sources, nodes, profiles, edges, overrides, wanted, source)?
                }
                _ => None,
            };
            tables.into_iter().chain(overrides).for_each(Table::close);
            Ok(found)
        })
    }

    fn look_into(
        sources: &Table,
        nodes: &Table,
        profiles: &Table,
        edges: &Table,
        overrides: &Table,
        wanted: &[Wanted],
        source: &str,
    ) -> Result<Option<Self>, CdpError> {
        let (Some(by_name), Some(by_value), Some(by_profile), Some(by_ends)) = (
            sources.whole_index(origin::BY_NAME),
            nodes.whole_index("node_type_id_value_key"),
            profiles.whole_index("profile_pkey"),
            edges.whole_index("edge_pkey"),
        ) else {
            return Ok(None);
        };
        let mut sight =
            Self { source: origin::first(sources, by_name, source)?, overridden: overrides.any(), ..Self::default() };
        let mut homes: Vec<Home> = Vec::new();
        for w in wanted {
            let is =
                [Condition::Int4Is(node::TYPE_ID as i16, w.type_id), Condition::TextIs(node::VALUE as i16, &w.kept)];
            let found = nodes.first(by_value, &is, |row| {
                let seen = Seen {
                    node_id: row.int8(node::NODE_ID),
                    type_id: w.type_id,
                    home: None,
                    quarantine: row.text_or_null(node::QUARANTINE)?,
                    times: (row.int8(node::FIRST_SEEN), row.int8(node::LAST_SEEN)),
                    place: Some(item_pointer_get_both(row.version().place())),
                };
                Ok((seen, row.int8_or_null(node::PROFILE_ID)))
            })?;
            let Some((mut seen, profile)) = found else {
                sight.known.push(None);
                continue;
            };
            if let Some(profile_id) = profile {
                seen.home = match homes.iter().find(|home| home.profile_id == profile_id) {
                    Some(home) => Some(*home),
                    None => profiles.first(
                        by_profile,
                        &[Condition::Int8Is(profile::PROFILE_ID as i16, profile_id)],
                        |row| {
                            let created_at = row.int8(profile::CREATED_AT);
                            Ok(Home { profile_id, created_at, contested: row.boolean(profile::CONTESTED) })
                        },
                    )?,
                };
                homes.extend(seen.home);
            }
            sight.known.push(Some(seen));
        }
        if let Some((source_id, _)) = sight.source {
            for (a, b) in sight.pairs() {
                let is = [
                    Condition::Int8Is(edge::FROM_NODE as i16, a),
                    Condition::Int8Is(edge::TO_NODE as i16, b),
                    Condition::Int4Is(edge::SOURCE_ID as i16, source_id),
                ];
                let times =
                    edges.first(by_ends, &is, |row| Ok((row.int8(edge::FIRST_SEEN), row.int8(edge::LAST_SEEN))))?;
                sight.edges.extend(times.map(|times| ((a, b), times)));
            }
        }
        Ok(Some(sight))
    }

    /// Reads what is known by queries.
    fn query(ws: &Workspace, wanted: &[Wanted], source: &str) -> Result<Self, CdpError> {
        let mut sight =
            Self { source: origin::query(ws, source)?, overridden: super::graph::overridden(ws)?, ..Self::default() };
        let types: Vec<i32> = wanted.iter().map(|w| w.type_id).collect();
        let values: Vec<String> = wanted.iter().map(|w| w.kept.clone()).collect();
        let mut found = HashMap::new();
        for (value, seen) in spi::rows_cached(
            &ws.sql(
                "SELECT n.node_id, n.type_id, n.value, n.quarantine, n.first_seen, n.last_seen, p.profile_id, p.created_at, p.contested \
                 FROM unnest($1::pg_catalog.int4[], $2::pg_catalog.text[]) AS x(type_id, value) JOIN @ws@.node n ON n.type_id = x.type_id AND n.value = x.value \
                 LEFT JOIN @ws@.profile p ON p.profile_id = n.profile_id",
            ),
            &[types.into(), values.into()],
            |row| {
                let home = match row.get::<i64>(7)? {
                    Some(profile_id) => Some(Home { profile_id, created_at: time(row, 8)?, contested: spi::must(row, 9)? }),
                    None => None,
                };
                let times = (time(row, 5)?, time(row, 6)?);
                let seen = Seen { node_id: spi::must(row, 1)?, type_id: spi::must(row, 2)?, home, quarantine: row.get(4)?, times, place: None };
                Ok((spi::must::<String>(row, 3)?, seen))
            },
        )? {
            found.insert((seen.type_id, value), seen);
        }
        sight.known = wanted.iter().map(|w| found.remove(&(w.type_id, w.kept.clone()))).collect();
        if let Some((source_id, _)) = sight.source {
            let (from, to): (Vec<i64>, Vec<i64>) = sight.pairs().into_iter().unzip();
            let edges = spi::rows_cached(
                &ws.sql(
                    "SELECT e.from_node, e.to_node, e.first_seen, e.last_seen FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[]) AS x(a, b) \
                     JOIN @ws@.edge e ON e.from_node = x.a AND e.to_node = x.b AND e.source_id = $3",
                ),
                &[from.into(), to.into(), source_id.into()],
                |row| Ok(((spi::must::<i64>(row, 1)?, spi::must::<i64>(row, 2)?), (time(row, 3)?, time(row, 4)?))),
            )?;
            sight.edges = edges.into_iter().collect();
        }
        Ok(sight)
    }

    /// The identifiers that are entered.
    pub fn entered(&self) -> impl Iterator<Item = &Seen> {
        self.known.iter().flatten()
    }

    /// Every two identifiers that are entered, the smaller first.
    fn pairs(&self) -> Vec<(i64, i64)> {
        let ids: Vec<i64> = self.entered().map(|seen| seen.node_id).collect();
        let mut pairs = Vec::with_capacity(ids.len() * ids.len() / 2);
        for (i, a) in ids.iter().enumerate() {
            pairs.extend(ids.iter().skip(i + 1).map(|b| (*a.min(b), *a.max(b))));
        }
        pairs
    }

    /// The profile of the most telling identifier, when the event says nothing that is not kept, so that there is nothing to write and nothing to judge.
    pub fn nothing_new(&self, ws: &Workspace, rules: &Rules, at: Option<i64>) -> Result<Option<i64>, CdpError> {
        let settled = self.settled(ws, rules, at)?;
        Ok(settled.filter(|s| s.nodes.is_empty() && s.edges.is_empty()).map(|s| s.profile_id))
    }

    /// Where the event belongs, when it says nothing of who is who that is not kept, so that there is nothing to judge: identifiers and edges are all known, and those that link are in one
    /// profile that no rule keeps from linking further. What it may say is that they were seen at another time.
    pub fn settled(&self, ws: &Workspace, rules: &Rules, at: Option<i64>) -> Result<Option<Settled>, CdpError> {
        let moves = |times: (i64, i64)| at.is_some_and(|at| at < times.0 || times.1 < at);
        if ws.arrival || self.overridden || self.source.is_none() {
            return Ok(None);
        }
        let mut home: Option<i64> = None;
        let mut nodes = Vec::new();
        for seen in &self.known {
            let Some(seen) = seen.as_ref() else { return Ok(None) };
            if moves(seen.times) {
                nodes.push(seen.node_id);
            }
            let ty = rules.get(seen.type_id)?;
            if !ty.strong {
                continue;
            }
            let Some(Home { profile_id, contested: false, .. }) = seen.home else { return Ok(None) };
            // What is seen earlier than it was can bring values within a window of each other.
            if ty.limit.is_some() && ty.window_micros.is_some() {
                return Ok(None);
            }
            if seen.quarantine.is_none() && home.replace(profile_id).is_some_and(|other| other != profile_id) {
                return Ok(None);
            }
        }
        let mut edges = Vec::new();
        for pair in self.pairs() {
            match self.edges.get(&pair) {
                None => return Ok(None),
                Some(times) if moves(*times) => edges.push(pair),
                Some(_) => {}
            }
        }
        let Some(first) = self.subject(rules)? else { return Ok(None) };
        Ok(first.home.map(|home| Settled { node_id: first.node_id, profile_id: home.profile_id, nodes, edges }))
    }

    /// The identifier that facts are kept on: the most telling strong one that links, else the most telling strong one.
    pub fn subject(&self, rules: &Rules) -> Result<Option<&Seen>, CdpError> {
        let mut first: Option<((bool, i32, i64), &Seen)> = None;
        for seen in self.entered() {
            let ty = rules.get(seen.type_id)?;
            let rank = (seen.quarantine.is_some(), ty.priority, seen.node_id);
            if ty.strong && first.is_none_or(|(least, _)| rank < least) {
                first = Some((rank, seen));
            }
        }
        Ok(first.map(|(_, seen)| seen))
    }
}

/// An event that says nothing new of who is who.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The identifier that its facts are kept on.
    pub node_id: i64,
    /// Whose it is.
    pub profile_id: i64,
    /// Identifiers that were never seen so early, or so late.
    pub nodes: Vec<i64>,
    /// And edges.
    pub edges: Vec<(i64, i64)>,
}

/// Writes that identifiers were seen at another time; what a statement has to write of it is added to `together`.
pub fn saw(
    ws: &Workspace,
    seen: &[&Seen],
    at: TimestampWithTimeZone,
    together: &mut Together<'_>,
) -> Result<(), CdpError> {
    if seen.is_empty() {
        return Ok(());
    }
    let of = |s: &&Seen| {
        let place = s.at();
        New { key: [s.node_id, 0], to: To::Seen([i64::from(at); 2]), place }
    };
    let rows: Vec<New> = seen.iter().map(of).collect();
    let left = rewrite::rewrite(&ws.name, &follow::NODE, &rows)?.unwrap_or(rows);
    seen_at(ws, left.into_iter().map(|row| row.key[0]).collect(), at, together);
    Ok(())
}

/// Adds to `together` that identifiers were seen at another time.
pub fn seen_at(ws: &Workspace, nodes: Vec<i64>, at: TimestampWithTimeZone, together: &mut Together<'_>) {
    if nodes.is_empty() {
        return;
    }
    together.add(
        &ws.sql("UPDATE @ws@.node n SET first_seen = least(n.first_seen, $2), last_seen = greatest(n.last_seen, $2) WHERE n.node_id = ANY ($1)"),
        [nodes.into(), at.into()],
    );
}

/// Adds to `together` that a source showed edges, given by their ends, at another time.
pub fn shown_at(
    ws: &Workspace,
    edges: Vec<(i64, i64)>,
    source_id: i32,
    at: TimestampWithTimeZone,
    together: &mut Together<'_>,
) {
    if edges.is_empty() {
        return;
    }
    let (from, to): (Vec<i64>, Vec<i64>) = edges.into_iter().unzip();
    together.add(
        &ws.sql(
            "UPDATE @ws@.edge e SET first_seen = least(e.first_seen, $4), last_seen = greatest(e.last_seen, $4) \
             FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[]) AS x(a, b) WHERE e.from_node = x.a AND e.to_node = x.b AND e.source_id = $3",
        ),
        [from.into(), to.into(), source_id.into(), at.into()],
    );
}
