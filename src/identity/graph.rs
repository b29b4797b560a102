//! A part of the identity graph in memory: some identifiers with everything that hangs together with them.
//!
//! What hangs together: the identifiers of one profile, and those that an edge ties which no rule about one of its ends keeps from linking. A limit or a
//! cannot-link pair keeps two profiles apart only by weighing their edges against each other, so both are read; a quarantined identifier or an
//! unlinked pair ends the walk.

use super::rules::Rules;
use crate::error::CdpError;
use crate::pg::spi;
use crate::workspace::Workspace;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiHeapTupleData;
use std::collections::{HashMap, HashSet};

/// An identifier.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its number.
    pub node_id: i64,
    /// Place of its type in the rules.
    pub rule: u32,
    /// Its value.
    pub value: String,
    /// The profile it has.
    pub profile: Option<i64>,
    /// Microseconds since 2000.
    pub first_seen: i64,
    /// Why it links nobody.
    pub quarantine: Option<String>,
    /// Whether all its edges are here. The others are only the far ends of edges that nobody follows.
    pub whole: bool,
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
    /// An operator said that seeing them together means nothing.
    pub unlinked: bool,
    /// What is kept of it: its state and reason; `None` when its sources do not agree.
    pub kept: Option<(String, Option<String>)>,
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
    places: HashMap<i64, u32>,
}

/// A pair as a row has it.
type PairRow = (i64, i64, i32, i64, i64, bool, Option<(String, Option<String>)>);

const NODE: &str =
    "SELECT n.node_id, n.type_id, n.value, n.profile_id, n.first_seen, n.quarantine FROM @ws@.node n WHERE ";

const PAIR: &str = "SELECT e.from_node, e.to_node, (max(e.trust) * 100)::pg_catalog.int4, min(e.first_seen), max(e.last_seen), bool_or(e.source_id = 0), \
     CASE WHEN min(e.state) = max(e.state) AND min(coalesce(e.reason, '')) = max(coalesce(e.reason, '')) THEN min(e.state) END, min(e.reason) \
     FROM @ws@.edge e WHERE e.state <> 'weak' AND ";

impl Graph {
    /// Reads the strong ones of the given identifiers and everything that hangs together with them.
    pub fn load(ws: &Workspace, rules: &Rules, seeds: &[i64]) -> Result<Self, CdpError> {
        let overridden = overridden(ws)?;
        let mut graph = Self::default();
        let mut seen_profiles: HashSet<i64> = HashSet::new();
        let mut seen_pairs: HashSet<(u32, u32)> = HashSet::new();
        let mut decisions: Vec<(i64, i64)> = Vec::new();
        let mut wanted: Vec<i64> = seeds.to_vec();
        loop {
            pgrx::check_for_interrupts!();
            wanted.sort_unstable();
            wanted.dedup();
            let mut front = graph.nodes(ws, rules, "n.node_id = ANY ($1)", wanted)?;
            let profiles: Vec<i64> = front
                .iter()
                .filter_map(|place| graph.nodes.get(*place as usize)?.profile)
                .filter(|profile| seen_profiles.insert(*profile))
                .collect();
            if !profiles.is_empty() {
                front.extend(graph.nodes(ws, rules, "n.profile_id = ANY ($1)", profiles)?);
            }
            if front.is_empty() {
                break;
            }
            let ids: Vec<i64> =
                front.iter().filter_map(|place| Some(graph.nodes.get(*place as usize)?.node_id)).collect();
            let mut unlinked: HashSet<(i64, i64)> = HashSet::new();
            if overridden {
                for (kind, a, b) in spi::rows_cached(
                    &ws.sql(
                        "SELECT o.kind, o.node_id, o.other_id FROM @ws@.identity_override o \
                         WHERE o.kind IN ('unlink', 'cannot_link') AND (o.node_id = ANY ($1) OR o.other_id = ANY ($1))",
                    ),
                    &[ids.clone().into()],
                    |row| Ok((spi::must::<String>(row, 1)?, spi::must::<i64>(row, 2)?, spi::must::<i64>(row, 3)?)),
                )? {
                    if kind == "unlink" {
                        unlinked.insert((a, b));
                    } else {
                        decisions.push((a, b));
                    }
                }
            }
            wanted = Vec::new();
            for side in ["e.from_node = ANY ($1)", "e.to_node = ANY ($1)"] {
                let rows = spi::rows_cached(
                    &ws.sql(&format!("{PAIR}{side} GROUP BY e.from_node, e.to_node")),
                    &[ids.clone().into()],
                    read_pair,
                )?;
                let far: Vec<i64> =
                    rows.iter().flat_map(|row| [row.0, row.1]).filter(|id| !graph.places.contains_key(id)).collect();
                if !far.is_empty() {
                    graph.far(ws, rules, far)?;
                }
                for (a, b, trust, first_seen, last_seen, forced, kept) in rows {
                    let (Some(&from), Some(&to)) = (graph.places.get(&a), graph.places.get(&b)) else { continue };
                    if !seen_pairs.insert((from, to)) {
                        continue;
                    }
                    let unlinked = unlinked.contains(&(a, b));
                    let pair = Pair { from, to, trust, first_seen, last_seen, forced, unlinked, kept };
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
            }
            if wanted.is_empty() {
                break;
            }
        }
        decisions.sort_unstable();
        decisions.dedup();
        graph.cannot_link =
            decisions.iter().filter_map(|(a, b)| Some((*graph.places.get(a)?, *graph.places.get(b)?))).collect();
        Ok(graph)
    }

    /// The place of an identifier.
    pub fn place(&self, node_id: i64) -> Option<u32> {
        self.places.get(&node_id).copied()
    }

    /// Whether a pair ties its ends for the walk.
    fn followed(&self, pair: &Pair) -> bool {
        let quarantined = |place: u32| self.nodes.get(place as usize).is_none_or(|node| node.quarantine.is_some());
        !pair.unlinked && (pair.forced || !(quarantined(pair.from) || quarantined(pair.to)))
    }

    /// Reads identifiers whose edges are read next. Gives the places of those that were not whole before.
    fn nodes(&mut self, ws: &Workspace, rules: &Rules, condition: &str, ids: Vec<i64>) -> Result<Vec<u32>, CdpError> {
        let mut front = Vec::new();
        for mut node in
            spi::rows_cached(&ws.sql(&format!("{NODE}{condition}")), &[ids.into()], |row| read_node(row, rules))?
        {
            if !rules.at(node.rule)?.strong {
                continue;
            }
            node.whole = true;
            let place = self.enter(node)?;
            if let Some(place) = place {
                front.push(place);
            }
        }
        Ok(front)
    }

    /// Reads the far ends of edges.
    fn far(&mut self, ws: &Workspace, rules: &Rules, mut ids: Vec<i64>) -> Result<(), CdpError> {
        ids.sort_unstable();
        ids.dedup();
        for node in spi::rows_cached(&ws.sql(&format!("{NODE}n.node_id = ANY ($1)")), &[ids.into()], |row| {
            read_node(row, rules)
        })? {
            self.enter(node)?;
        }
        Ok(())
    }

    /// Enters an identifier; gives its place when it was not as whole before.
    fn enter(&mut self, node: Node) -> Result<Option<u32>, CdpError> {
        if let Some(&place) = self.places.get(&node.node_id) {
            let known = self.nodes.get_mut(place as usize);
            return Ok(known.filter(|known| node.whole && !known.whole).map(|known| {
                known.whole = true;
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

/// Whether any decision of an operator holds.
pub fn overridden(ws: &Workspace) -> Result<bool, CdpError> {
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

fn read_node(row: &SpiHeapTupleData, rules: &Rules) -> Result<Node, CdpError> {
    Ok(Node {
        node_id: spi::must(row, 1)?,
        rule: rules.place(spi::must(row, 2)?)?,
        value: spi::must(row, 3)?,
        profile: row.get(4)?,
        first_seen: i64::from(spi::must::<TimestampWithTimeZone>(row, 5)?),
        quarantine: row.get(6)?,
        whole: false,
    })
}

fn read_pair(row: &SpiHeapTupleData) -> Result<PairRow, CdpError> {
    let kept = match row.get::<String>(7)? {
        Some(state) => Some((state, row.get::<String>(8)?)),
        None => None,
    };
    Ok((
        spi::must(row, 1)?,
        spi::must(row, 2)?,
        spi::must(row, 3)?,
        i64::from(spi::must::<TimestampWithTimeZone>(row, 4)?),
        i64::from(spi::must::<TimestampWithTimeZone>(row, 5)?),
        spi::must(row, 6)?,
        kept,
    ))
}
