//! A part of the identity graph in memory: some identifiers with everything that hangs together with them.
//!
//! What hangs together: the identifiers of one profile, and those that an edge ties which no rule about one of its ends keeps from linking. A limit or a
//! cannot-link pair keeps two profiles apart only by weighing their edges against each other, so both are read; a quarantined identifier or an
//! unlinked pair ends the walk.

use super::govern::ACCEPTED;
use super::hold::{self, By, decision, edge, node};
use super::rules::Rules;
use crate::error::CdpError;
use crate::pg::{scan, spi};
use crate::workspace::Workspace;
use pg_cdp_core::graph::places::Places;
use pg_cdp_core::numbers::NumberSet;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::ItemPointerData;
use pgrx::spi::SpiHeapTupleData;
use std::collections::{BTreeMap, HashMap};

/// An identifier.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its number.
    pub node_id: i64,
    /// Place of its type in the rules.
    pub rule: u32,
    /// Its value.
    pub value: Box<str>,
    /// The profile it has.
    pub profile: Option<i64>,
    /// Microseconds since 2000.
    pub first_seen: i64,
    /// Why it links nobody.
    pub quarantine: Option<Box<str>>,
    /// Where its row is, if it was looked at there.
    pub place: Option<ItemPointerData>,
    /// Whether all its edges are here. The others are only the far ends of edges that nobody follows.
    pub whole: bool,
    /// Whether its edges are being read.
    fresh: bool,
}

/// Two identifiers seen together, all sources taken together.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The one with the smaller number, by place.
    pub from: u32,
    /// The other.
    pub to: u32,
    /// Hundredths.
    pub trust: i32,
    /// Microseconds since 2000.
    pub first_seen: i64,
    /// Microseconds since 2000.
    pub last_seen: i64,
    /// An operator links them.
    pub forced: bool,
    /// The first operation that says that seeing them together means nothing.
    pub unlinked: Option<i64>,
    /// What is kept of it: whether it is accepted, and the reason if not; `None` when its sources do not agree.
    pub kept: Option<(bool, Option<Box<str>>)>,
}

impl Pair {
    /// Whether what is kept of it is this state and reason.
    pub fn is_kept_as(&self, state: &str, reason: Option<&str>) -> bool {
        self.kept.as_ref().is_some_and(|(accepted, why)| *accepted == (state == ACCEPTED) && why.as_deref() == reason)
    }
}

/// The part that was read.
#[derive(Debug, Default)]
pub struct Graph {
    /// Identifiers.
    pub nodes: Vec<Node>,
    /// Pairs, each once.
    pub pairs: Vec<Pair>,
    /// Pairs that may not be in one profile, by place.
    pub cannot_link: Vec<(u32, u32)>,
    /// For each of them the first operation that says so.
    pub kept_apart_by: Vec<i64>,
    places: Places,
}

/// An edge as a row has it; state and reason as they are kept.
struct EdgeRow {
    ends: (i64, i64),
    /// Their places, as far as they have one.
    places: [Option<u32>; 2],
    source_id: i32,
    trust: f32,
    first_seen: i64,
    last_seen: i64,
    accepted: bool,
    reason: Option<Box<str>>,
}

/// What operators decided about a pair: the kind of the decision, the pair, the first operation that says so.
type Decision = (String, (i64, i64), i64);

/// From so many identifiers on all decisions are read, and not those about each.
const MANY: usize = 10_000;

const NODE: &str =
    "SELECT n.node_id, n.type_id, n.value, n.profile_id, n.first_seen, n.quarantine FROM @ws@.node n WHERE ";

const EDGE: &str = "SELECT e.from_node, e.to_node, e.source_id, e.trust, e.first_seen, e.last_seen, e.state = 'accepted', e.reason FROM @ws@.edge e WHERE e.state <> 'weak' AND ";

impl Graph {
    /// Reads the strong ones of the given identifiers and everything that hangs together with them.
    pub fn load(ws: &Workspace, rules: &Rules, seeds: &[i64]) -> Result<Self, CdpError> {
        let overridden = overridden(ws)?;
        let mut graph = Self::default();
        let mut seen_profiles = NumberSet::default();
        let mut decisions: BTreeMap<(i64, i64), i64> = BTreeMap::new();
        let mut wanted: Vec<i64> = seeds.to_vec();
        loop {
            pgrx::check_for_interrupts!();
            wanted.sort_unstable();
            wanted.dedup();
            let mut front = graph.nodes(ws, rules, true, By::Number, &wanted)?;
            let mut profiles: Vec<i64> =
                front.iter().filter_map(|place| graph.nodes.get(*place as usize)?.profile).collect();
            profiles.dedup();
            profiles.retain(|profile| seen_profiles.insert(*profile));
            if !profiles.is_empty() {
                front.extend(graph.nodes(ws, rules, true, By::Profile, &profiles)?);
            }
            if front.is_empty() {
                break;
            }
            let ids: Vec<i64> =
                front.iter().filter_map(|place| Some(graph.nodes.get(*place as usize)?.node_id)).collect();
            let mut unlinked: HashMap<(i64, i64), i64> = HashMap::new();
            if overridden {
                for (kind, pair, operation) in graph.overrides(ws, &ids)? {
                    if kind == "unlink" {
                        unlinked.insert(pair, operation);
                    } else {
                        decisions.insert(pair, operation);
                    }
                }
            }
            wanted = Vec::new();
            let rows = graph.edges(ws, &ids)?;
            for place in front {
                if let Some(node) = graph.nodes.get_mut(place as usize) {
                    node.fresh = false;
                }
            }
            let ends = rows.iter().flat_map(|row| [(row.ends.0, row.places[0]), (row.ends.1, row.places[1])]);
            let mut far: Vec<i64> = ends.filter(|(_, place)| place.is_none()).map(|(id, _)| id).collect();
            if !far.is_empty() {
                far.sort_unstable();
                far.dedup();
                graph.nodes(ws, rules, false, By::Number, &far)?;
            }
            for same in rows.chunk_by(|a, b| a.ends == b.ends) {
                let Some(&EdgeRow { ends, places: [from, to], .. }) = same.first() else { continue };
                let (from, to) = (from.or_else(|| graph.place(ends.0)), to.or_else(|| graph.place(ends.1)));
                let (Some(from), Some(to)) = (from, to) else { continue };
                let mut pair = pair_of(from, to, same);
                pair.unlinked = unlinked.get(&ends).copied();
                if graph.followed(&pair) {
                    wanted.extend(
                        [from, to]
                            .into_iter()
                            .filter_map(|place| graph.nodes.get(place as usize))
                            .filter(|node| !node.whole)
                            .map(|node| node.node_id),
                    );
                }
                graph.pairs.push(pair);
            }
            if wanted.is_empty() {
                break;
            }
        }
        (graph.cannot_link, graph.kept_apart_by) =
            decisions.iter().filter_map(|((a, b), by)| Some(((graph.place(*a)?, graph.place(*b)?), *by))).unzip();
        Ok(graph)
    }

    /// The place of an identifier.
    pub fn place(&self, node_id: i64) -> Option<u32> {
        self.places.get(node_id)
    }

    fn node(&self, node_id: i64) -> Option<&Node> {
        self.nodes.get(self.place(node_id)? as usize)
    }

    /// Whether a pair ties its ends for the walk.
    fn followed(&self, pair: &Pair) -> bool {
        let quarantined = |place: u32| self.nodes.get(place as usize).is_none_or(|node| node.quarantine.is_some());
        pair.unlinked.is_none() && (pair.forced || !(quarantined(pair.from) || quarantined(pair.to)))
    }

    /// Reads identifiers: whole those whose edges are read next, if they are strong, and others as the far ends of edges. Gives the places of those that were
    /// not whole before.
    fn nodes(&mut self, ws: &Workspace, rules: &Rules, whole: bool, by: By, ids: &[i64]) -> Result<Vec<u32>, CdpError> {
        let mut front = Vec::new();
        let mut take = |mut node: Node| {
            if whole && !rules.at(node.rule)?.strong {
                return Ok(());
            }
            (node.whole, node.fresh) = (whole, whole);
            front.extend(self.enter(node)?);
            Ok(())
        };
        if hold::each_node(ws, by, ids, |row| take(look_at_node(row, rules)?))? {
            return Ok(front);
        }
        let column = match by {
            By::Number => "node_id",
            By::Profile => "profile_id",
        };
        let sql = ws.sql(&format!("{NODE}n.{column} = ANY ($1)"));
        for node in spi::rows_cached(&sql, &[ids.to_vec().into()], |row| read_node(row, rules))? {
            take(node)?;
        }
        Ok(front)
    }

    /// What operators decided about pairs with identifiers that have just become whole.
    fn overrides(&self, ws: &Workspace, ids: &[i64]) -> Result<Vec<Decision>, CdpError> {
        let fresh = |id: i64| self.node(id).is_some_and(|node| node.fresh);
        let mut found: HashMap<(bool, (i64, i64)), i64> = HashMap::new();
        let looked = hold::each_decision_about(ws, &["unlink", "cannot_link"], ids, |row| {
            let pair = (row.int8(decision::NODE_ID), row.int8(decision::OTHER_ID));
            if fresh(pair.0) || fresh(pair.1) {
                let unlink = row.read_text(decision::KIND as usize, |kind| kind == "unlink")?;
                let first = found.entry((unlink, pair)).or_insert(i64::MAX);
                *first = (*first).min(row.int8(decision::OPERATION_ID));
            }
            Ok(())
        })?;
        if looked {
            let kind = |unlink| if unlink { "unlink" } else { "cannot_link" }.to_owned();
            return Ok(found.into_iter().map(|((unlink, pair), by)| (kind(unlink), pair, by)).collect());
        }
        // Decisions are few: beside so many identifiers it takes less to read them all.
        let all = ids.len() > MANY;
        let here = if all { "" } else { "AND (o.node_id = ANY ($1) OR o.other_id = ANY ($1))" };
        let args = if all { Vec::new() } else { vec![ids.to_vec().into()] };
        let mut found = spi::rows_cached(
            &ws.sql(&format!(
                "SELECT o.kind, o.node_id, o.other_id, min(o.operation_id) FROM @ws@.identity_override o \
                 WHERE o.kind IN ('unlink', 'cannot_link') {here} GROUP BY 1, 2, 3"
            )),
            &args,
            |row| {
                let pair = (spi::must::<i64>(row, 2)?, spi::must::<i64>(row, 3)?);
                Ok((spi::must::<String>(row, 1)?, pair, spi::must::<i64>(row, 4)?))
            },
        )?;
        if all {
            found.retain(|(_, (a, b), _)| fresh(*a) || fresh(*b));
        }
        Ok(found)
    }

    /// The edges at identifiers that have just become whole, but those that have been read from their other end before: by their ends.
    fn edges(&self, ws: &Workspace, ids: &[i64]) -> Result<Vec<EdgeRow>, CdpError> {
        // Where an edge lies, if it is one of them.
        let places = |ends: (i64, i64)| {
            let places = [self.place(ends.0), self.place(ends.1)];
            let [from, to] = places.map(|place| self.nodes.get(place? as usize));
            let fresh = |end: Option<&Node>| end.is_some_and(|node| node.fresh);
            let read_before = |end: Option<&Node>| end.is_some_and(|node| node.whole && !node.fresh);
            ((fresh(from) || fresh(to)) && !read_before(from) && !read_before(to)).then_some(places)
        };
        let mut rows = Vec::new();
        let looked = hold::each_edge(ws, ids, |row| {
            let ends = (row.int8(edge::FROM_NODE), row.int8(edge::TO_NODE));
            let Some(places) = places(ends) else { return Ok(()) };
            let state = row.read_text(edge::STATE, |state| (state == "weak", state == "accepted"))?;
            if !state.0 {
                rows.push(EdgeRow {
                    ends,
                    places,
                    source_id: row.int4(edge::SOURCE_ID),
                    trust: row.float4(edge::TRUST),
                    first_seen: row.int8(edge::FIRST_SEEN),
                    last_seen: row.int8(edge::LAST_SEEN),
                    accepted: state.1,
                    reason: row.text_or_null(edge::REASON)?.map(String::into_boxed_str),
                });
            }
            Ok(())
        })?;
        if !looked {
            for side in ["e.from_node = ANY ($1)", "e.to_node = ANY ($1)"] {
                let found = spi::rows_cached(&ws.sql(&format!("{EDGE}{side}")), &[ids.to_vec().into()], read_edge)?;
                rows.extend(found.into_iter().filter_map(|row| Some(EdgeRow { places: places(row.ends)?, ..row })));
            }
        }
        rows.sort_unstable_by_key(|row| (row.ends, row.source_id));
        rows.dedup_by_key(|row| (row.ends, row.source_id));
        Ok(rows)
    }

    /// Enters an identifier; gives its place when it was not as whole before.
    fn enter(&mut self, node: Node) -> Result<Option<u32>, CdpError> {
        if let Some(place) = self.places.get(node.node_id) {
            let known = self.nodes.get_mut(place as usize);
            return Ok(known.filter(|known| node.whole && !known.whole).map(|known| {
                (known.whole, known.fresh) = (true, true);
                place
            }));
        }
        let place = u32::try_from(self.nodes.len())
            .map_err(|_| CdpError::limit("more than 4294967295 identifiers hang together"))?;
        self.places.insert(node.node_id, place);
        self.nodes.push(node);
        Ok(Some(place))
    }
}

/// A pair, all its edges taken together.
fn pair_of(from: u32, to: u32, edges: &[EdgeRow]) -> Pair {
    let trust = edges.iter().map(|e| e.trust).fold(f32::NEG_INFINITY, f32::max);
    let first = edges.first();
    let alike = |e: &EdgeRow| {
        let words = |e: &EdgeRow| e.reason.clone().unwrap_or_default();
        first.is_some_and(|f| e.accepted == f.accepted && words(e) == words(f))
    };
    let kept = first.filter(|_| edges.len() == 1 || edges.iter().all(alike)).map(|f| {
        let reason = edges.iter().find_map(|e| e.reason.clone());
        (f.accepted, reason)
    });
    Pair {
        from,
        to,
        trust: (f64::from(trust) * 100.0).round_ties_even() as i32,
        first_seen: edges.iter().map(|e| e.first_seen).min().unwrap_or(0),
        last_seen: edges.iter().map(|e| e.last_seen).max().unwrap_or(0),
        forced: edges.iter().any(|e| e.source_id == 0),
        unlinked: None,
        kept,
    }
}

/// Whether any decision of an operator holds.
pub fn overridden(ws: &Workspace) -> Result<bool, CdpError> {
    if let Some(any) = scan::any(&ws.name, &["identity_override"])? {
        return Ok(any == [true]);
    }
    let any = spi::rows_cached(&ws.sql("SELECT true FROM @ws@.identity_override LIMIT 1"), &[], |_| Ok(()))?;
    Ok(!any.is_empty())
}

/// Those of some identifiers about which operators decided: a pair among them, of which a link counts for quarantined ones too, or a profile that is to stay apart from
/// another one. `profiles` are those that the identifiers are in.
pub fn decided(ws: &Workspace, nodes: Vec<i64>, profiles: Vec<i64>) -> Result<Vec<i64>, CdpError> {
    spi::rows_cached(
        &ws.sql(
            "SELECT o.node_id FROM @ws@.identity_override o WHERE o.kind IN ('unlink', 'link') AND o.node_id = ANY ($1) AND o.other_id = ANY ($1) \
             UNION ALL SELECT o.node_id FROM @ws@.identity_override o JOIN @ws@.node n ON n.node_id IN (o.node_id, o.other_id) \
             WHERE o.kind = 'cannot_link' AND (n.node_id = ANY ($1) OR n.profile_id = ANY ($2))",
        ),
        &[nodes.into(), profiles.into()],
        |row| spi::must::<i64>(row, 1),
    )
}

/// Those of some identifiers of a type that are in profiles with more than `limit` values of it.
pub fn crowded(ws: &Workspace, type_id: i32, limit: u32, nodes: Vec<i64>) -> Result<Vec<i64>, CdpError> {
    if nodes.is_empty() {
        return Ok(Vec::new());
    }
    spi::rows_cached(
        &ws.sql(
            "SELECT n.node_id FROM @ws@.node n WHERE n.node_id = ANY ($3) AND (SELECT count(*) FROM @ws@.node o WHERE o.profile_id = n.profile_id AND o.type_id = $1) > $2",
        ),
        &[type_id.into(), i64::from(limit).into(), nodes.into()],
        |row| spi::must::<i64>(row, 1),
    )
}

fn look_at_node(row: &scan::Row, rules: &Rules) -> Result<Node, CdpError> {
    Ok(Node {
        node_id: row.int8(node::NODE_ID),
        rule: rules.place(row.int4(node::TYPE_ID))?,
        value: row.read_text(node::VALUE, |value| Box::from(value))?,
        profile: row.int8_or_null(node::PROFILE_ID),
        first_seen: row.int8(node::FIRST_SEEN),
        quarantine: row.text_or_null(node::QUARANTINE)?.map(String::into_boxed_str),
        place: Some(row.version().place()),
        whole: false,
        fresh: false,
    })
}

fn read_node(row: &SpiHeapTupleData, rules: &Rules) -> Result<Node, CdpError> {
    Ok(Node {
        node_id: spi::must(row, 1)?,
        rule: rules.place(spi::must(row, 2)?)?,
        value: spi::must::<String>(row, 3)?.into_boxed_str(),
        profile: row.get(4)?,
        first_seen: i64::from(spi::must::<TimestampWithTimeZone>(row, 5)?),
        quarantine: row.get::<String>(6)?.map(String::into_boxed_str),
        place: None,
        whole: false,
        fresh: false,
    })
}

fn read_edge(row: &SpiHeapTupleData) -> Result<EdgeRow, CdpError> {
    Ok(EdgeRow {
        ends: (spi::must(row, 1)?, spi::must(row, 2)?),
        places: [None; 2],
        source_id: spi::must(row, 3)?,
        trust: spi::must(row, 4)?,
        first_seen: i64::from(spi::must::<TimestampWithTimeZone>(row, 5)?),
        last_seen: i64::from(spi::must::<TimestampWithTimeZone>(row, 6)?),
        accepted: spi::must(row, 7)?,
        reason: row.get::<String>(8)?.map(String::into_boxed_str),
    })
}
