//! Judging a part of the graph anew: which edges link, which profiles there are, which identifiers each has.
//!
//! The answer is a function of the edges, the rules and what operators decided, so that it does not matter when it is asked for: after a batch
//! of rows that the fast path of the stitch cannot decide, after an operation, after a change of rules.

use super::follow::{self, Created, Moved, Redirected};
use super::graph::{Graph, Pair};
use super::hold::{self, edge, profile};
use super::rules::Rules;
use crate::error::CdpError;
use crate::pg::rewrite::{self, New, To};
use crate::pg::spi;
use crate::workspace::Workspace;
use pg_cdp_core::graph::govern::{Edge, Node, Reason, State, Verdict, govern};
use pg_cdp_core::graph::home::{Record, homes};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::ItemPointerData;
use std::collections::{BTreeMap, HashMap};

/// What makes identities change: rows of a source, or an operation.
#[derive(Debug, Clone, Copy)]
pub struct Cause {
    /// The source; 0 for an operation.
    pub source_id: i32,
    /// The operation.
    pub operation_id: Option<i64>,
}

/// What a judgement changed.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Profiles that were retired, each with the one that took it over.
    pub merged: Vec<(i64, i64)>,
    /// Profiles that came back or came to be, each with the one it was part of.
    pub split: Vec<(i64, i64)>,
    /// Profiles of identifiers that had none.
    pub created: Vec<i64>,
    /// Identifiers that went from one profile to another.
    pub moved: usize,
    /// Pairs that link now and did not.
    pub accepted: usize,
    /// Pairs that do not link now and did.
    pub suspended: usize,
    /// Whether values of profiles have to be computed anew: `cdp_touched` has them, `cdp_event_change` the events that moved.
    pub derived: bool,
}

/// A profile record as it is kept.
pub struct Kept {
    /// The profile.
    pub profile_id: i64,
    /// The identifier that founded it.
    pub founding_node: i64,
    /// When it was created.
    pub created_at_micros: i64,
    /// Whom it was merged into; `None` while it lives.
    pub merged_into: Option<i64>,
    /// Whether a rule keeps it from linking further.
    pub contested: bool,
    /// Where its row was read, if it was.
    pub place: Option<ItemPointerData>,
}

/// Judges everything that hangs together with the given identifiers. Needs the workspace lock. `prepared` tells that the temporary tables of a batch are there.
pub fn judge(ws: &Workspace, seeds: &[i64], cause: Cause, prepared: bool) -> Result<Outcome, CdpError> {
    if seeds.is_empty() {
        return Ok(Outcome::default());
    }
    let rules = Rules::load(ws)?;
    let graph = Graph::load(ws, &rules, seeds)?;
    let verdict = verdict(ws, &rules, &graph)?;
    let mut outcome = Outcome::default();
    edges(ws, &rules, &graph, &verdict, &mut outcome)?;

    let (records, kept) = records(ws, &graph)?;
    let homes = homes(&verdict.component, &records);
    // The live profile of each component, by its smallest place; new ones get a number.
    let mut home: Vec<Option<i64>> = homes.survivor;
    let mut founders: BTreeMap<i64, u32> = BTreeMap::new();
    let mut founder_of: HashMap<u32, (i32, i64)> = HashMap::new();
    for (place, node) in (0u32..).zip(&graph.nodes).filter(|(_, node)| node.whole) {
        let root = root(&verdict, place);
        if home.get(root as usize).copied().flatten().is_none() {
            // On the most telling one: a shared device would take the number along when it moves on.
            let telling = (rules.at(node.rule)?.priority, node.node_id);
            let founder = founder_of.entry(root).or_insert(telling);
            *founder = (*founder).min(telling);
        }
    }
    for (root, (_, founder)) in founder_of {
        founders.insert(founder, root);
    }
    let founding: Vec<i64> = founders.keys().copied().collect();
    let numbers = follow::numbers(ws, founding.len())?;
    let mut created = Vec::new();
    for ((founder, root), profile_id) in founders.iter().zip(numbers) {
        if let Some(slot) = home.get_mut(*root as usize) {
            *slot = Some(profile_id);
        }
        let before = graph.place(*founder).and_then(|place| graph.nodes.get(place as usize)?.profile);
        created.push(Created { profile_id, founding: *founder, from: before });
    }

    let mut moved = Vec::new();
    for (place, node) in (0u32..).zip(&graph.nodes).filter(|(_, node)| node.whole) {
        let Some(after) = home.get(root(&verdict, place) as usize).copied().flatten() else { continue };
        if node.profile != Some(after) {
            moved.push(Moved { node_id: node.node_id, before: node.profile, after, place: node.place });
        }
    }
    let mut redirected = Vec::new();
    for ((record, kept), into) in records.iter().zip(&kept).zip(&homes.into) {
        if *into != kept.merged_into {
            let cause = match into {
                Some(_) if kept.merged_into.is_none() => joining(&graph, &verdict, record.profile_id),
                _ => None,
            };
            redirected.push(Redirected {
                profile_id: record.profile_id,
                before: kept.merged_into,
                after: *into,
                cause,
                place: kept.place,
            });
        }
    }
    outcome.moved = moved.iter().filter(|m| m.before.is_some()).count();
    for r in &redirected {
        match (r.before, r.after) {
            (None, Some(into)) => outcome.merged.push((r.profile_id, into)),
            (Some(from), None) => outcome.split.push((r.profile_id, from)),
            _ => {}
        }
    }
    for c in &created {
        match c.from {
            Some(from) => outcome.split.push((c.profile_id, from)),
            None => outcome.created.push(c.profile_id),
        }
    }
    outcome.merged.sort_unstable();
    outcome.split.sort_unstable();
    outcome.derived =
        follow::apply(ws, cause, &follow::Change { moved, redirected, created, seen: Vec::new() }, prepared)?;
    contested(ws, &graph, &verdict, &home, &records, &kept)?;
    Ok(outcome)
}

/// The smallest place of a component.
fn root(verdict: &Verdict, place: u32) -> u32 {
    verdict.component.get(place as usize).copied().unwrap_or(place)
}

/// Whether an edge was left out when its row arrived, which stays so under the policy `arrival`.
fn left_out(ws: &Workspace, pair: &Pair) -> bool {
    let reason = pair.kept.as_ref().and_then(|(_, reason)| reason.as_deref());
    ws.arrival && !pair.forced && reason.is_some_and(|reason| reason.starts_with(ARRIVAL))
}

/// What the reasons of edges begin with that were left out when their row arrived.
pub const ARRIVAL: &str = "arrival: ";

/// Asks the core. Under the policy `arrival` no limit is asked again.
pub fn verdict(ws: &Workspace, rules: &Rules, graph: &Graph) -> Result<Verdict, CdpError> {
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        nodes.push(Node {
            rule: node.rule,
            scope: rules.at(node.rule)?.scope(&node.value),
            value: &node.value,
            first_seen: node.first_seen,
            quarantined: node.quarantine.is_some(),
        });
    }
    let edges: Vec<Edge> = graph
        .pairs
        .iter()
        .map(|p| Edge {
            from: p.from,
            to: p.to,
            trust: p.trust,
            first_seen: p.first_seen,
            last_seen: p.last_seen,
            forced: p.forced,
            unlinked: p.unlinked.is_some() || left_out(ws, p),
        })
        .collect();
    let mut core = rules.core();
    if ws.arrival {
        core.iter_mut().for_each(|rule| rule.limit = None);
    }
    govern(&core, &nodes, &edges, &graph.cannot_link).map_err(|e| CdpError::internal(e.to_string()))
}

/// What an operator said, with the number of the operation.
fn by(what: &str, operation: Option<i64>) -> String {
    operation.map_or_else(|| what.to_owned(), |operation| format!("{what}: operation {operation}"))
}

/// The state of edges that link.
pub const ACCEPTED: &str = "accepted";

/// The state that a pair is to be kept with, and the words of its reason.
pub fn state(
    ws: &Workspace,
    rules: &Rules,
    graph: &Graph,
    pair: &Pair,
    state: &State,
) -> Result<(&'static str, Option<String>), CdpError> {
    let State::Suspended(reason) = state else { return Ok((ACCEPTED, None)) };
    if left_out(ws, pair) {
        return Ok(("suspended", pair.kept.as_ref().and_then(|(_, reason)| reason.as_deref().map(str::to_owned))));
    }
    let (from, to) = (pair.from, pair.to);
    let type_name = |rule: u32| rules.at(rule).map(|ty| ty.name.as_str());
    Ok((
        "suspended",
        Some(match reason {
            Reason::Unlinked => by("unlinked", pair.unlinked),
            Reason::Quarantined { .. } => {
                let node = [from, to]
                    .into_iter()
                    .filter_map(|place| graph.nodes.get(place as usize))
                    .find(|n| n.quarantine.is_some());
                match node {
                    Some(node) => {
                        format!("{}: {}", type_name(node.rule)?, node.quarantine.as_deref().unwrap_or_default())
                    }
                    None => "quarantined".to_owned(),
                }
            }
            Reason::Limit { rule, found, most } => {
                let ty = rules.at(*rule)?;
                let window = if ty.window_micros.is_some() { " within its window" } else { "" };
                format!("limit: {found} {}, at most {most}{window}", ty.name)
            }
            Reason::CannotLink { pair } => by("cannot link", graph.kept_apart_by.get(*pair as usize).copied()),
            Reason::Shared { node } => {
                let rule = graph.nodes.get(*node as usize).map_or(u32::MAX, |node| node.rule);
                format!("shared: {} is nobody's", type_name(rule)?)
            }
        }),
    ))
}

/// Writes the states of pairs that are no longer what is kept.
fn edges(
    ws: &Workspace,
    rules: &Rules,
    graph: &Graph,
    verdict: &Verdict,
    outcome: &mut Outcome,
) -> Result<(), CdpError> {
    let mut is: Vec<((i64, i64), &str, Option<String>)> = Vec::new();
    for (pair, state) in graph.pairs.iter().zip(&verdict.states) {
        let (word, reason) = self::state(ws, rules, graph, pair, state)?;
        if pair.is_kept_as(word, reason.as_deref()) {
            continue;
        }
        let ends = (graph.nodes.get(pair.from as usize), graph.nodes.get(pair.to as usize));
        let (Some(from), Some(to)) = ends else { continue };
        match (word == ACCEPTED, pair.kept.as_ref().map(|(accepted, _)| *accepted)) {
            (is, Some(was)) if is == was => {}
            (true, _) => outcome.accepted += 1,
            _ => outcome.suspended += 1,
        }
        is.push(((from.node_id, to.node_id), word, reason));
    }
    is.sort_unstable_by_key(|(ends, ..)| *ends);
    let mut rows: Vec<New> = Vec::with_capacity(is.len());
    for ((from, to), word, reason) in &is {
        rows.push(New { key: [*from, *to], to: To::Texts(word, reason.as_deref()), place: None });
    }
    let left = rewrite::rewrite(&ws.name, &STATE, &rows)?.unwrap_or(rows);
    if left.is_empty() {
        return Ok(());
    }
    let (mut froms, mut tos, mut states, mut reasons) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in left {
        let (To::Texts(word, reason), [from, to]) = (row.to, row.key) else { continue };
        froms.push(from);
        tos.push(to);
        states.push(word.to_owned());
        reasons.push(reason.map(str::to_owned));
    }
    spi::run_cached(
        &ws.sql(
            "UPDATE @ws@.edge e SET state = x.state, reason = x.reason \
             FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[], $3::pg_catalog.text[], $4::pg_catalog.text[]) AS x(a, b, state, reason) \
             WHERE e.from_node = x.a AND e.to_node = x.b AND (e.state <> x.state OR e.reason IS DISTINCT FROM x.reason)",
        ),
        &[froms.into(), tos.into(), states.into(), reasons.into()],
    )
}

/// Whether the edges of a pair link, and why not.
const STATE: rewrite::Change = rewrite::Change {
    shape: edge::SHAPE,
    index: "edge_pkey",
    key: &[edge::FROM_NODE, edge::TO_NODE],
    columns: &[edge::STATE, edge::REASON],
};

/// The profiles, live and retired, whose founding identifiers are among those read.
fn records(ws: &Workspace, graph: &Graph) -> Result<(Vec<Record>, Vec<Kept>), CdpError> {
    let mut profiles: Vec<i64> = graph.nodes.iter().filter(|n| n.whole).filter_map(|n| n.profile).collect();
    profiles.sort_unstable();
    profiles.dedup();
    let (mut records, mut kept) = (Vec::new(), Vec::new());
    for profile in profiles_of(ws, &profiles)? {
        let profile_id = profile.profile_id;
        let Some(founding) = graph.place(profile.founding_node) else {
            return Err(CdpError::corrupted(&format!(
                "the identifier that founded profile {profile_id} is not where the profile is"
            )));
        };
        records.push(Record { profile_id, founding, created_at_micros: profile.created_at_micros });
        kept.push(profile);
    }
    Ok((records, kept))
}

/// Some profiles, and the retired ones that lead to them.
pub fn profiles_of(ws: &Workspace, profiles: &[i64]) -> Result<Vec<Kept>, CdpError> {
    let mut found = Vec::new();
    let looked = hold::each_profile(ws, profiles, |row| {
        found.push(Kept {
            profile_id: row.int8(profile::PROFILE_ID),
            founding_node: row.int8(profile::FOUNDING_NODE),
            created_at_micros: row.int8(profile::CREATED_AT),
            merged_into: row.int8_or_null(profile::MERGED_INTO),
            contested: row.boolean(profile::CONTESTED),
            place: Some(row.version().place()),
        });
        Ok(())
    })?;
    if looked {
        return Ok(found);
    }
    for side in ["p.profile_id = ANY ($1)", "p.merged_into = ANY ($1)"] {
        found.extend(spi::rows_cached(
            &ws.sql(&format!(
                "SELECT p.profile_id, p.founding_node, p.created_at, p.merged_into, p.contested FROM @ws@.profile p WHERE {side}"
            )),
            &[profiles.to_vec().into()],
            |row| {
                Ok(Kept {
                    profile_id: spi::must(row, 1)?,
                    founding_node: spi::must(row, 2)?,
                    created_at_micros: i64::from(spi::must::<TimestampWithTimeZone>(row, 3)?),
                    merged_into: row.get(4)?,
                    contested: spi::must(row, 5)?,
                    place: None,
                })
            },
        )?);
    }
    Ok(found)
}

/// An edge that ties a profile that is retired to what takes it over: the first, by its ends, with one end inside and the other outside.
fn joining(graph: &Graph, verdict: &Verdict, profile_id: i64) -> Option<(i64, i64)> {
    let inside = |place: u32| graph.nodes.get(place as usize).map(|node| node.profile == Some(profile_id));
    graph
        .pairs
        .iter()
        .zip(&verdict.states)
        .filter(|(pair, state)| matches!(state, State::Accepted) && inside(pair.from) != inside(pair.to))
        .filter_map(|(pair, _)| {
            Some((graph.nodes.get(pair.from as usize)?.node_id, graph.nodes.get(pair.to as usize)?.node_id))
        })
        .min()
}

/// Marks the profiles that a rule keeps from linking further.
fn contested(
    ws: &Workspace,
    graph: &Graph,
    verdict: &Verdict,
    home: &[Option<i64>],
    records: &[Record],
    kept: &[Kept],
) -> Result<(), CdpError> {
    let was: HashMap<i64, bool> = records.iter().zip(kept).map(|(r, k)| (r.profile_id, k.contested)).collect();
    let mut is: BTreeMap<i64, bool> = BTreeMap::new();
    for ((place, _), contested) in
        (0u32..).zip(&graph.nodes).zip(&verdict.contested).filter(|((_, node), _)| node.whole)
    {
        // What holds of one of a component holds of all.
        if root(verdict, place) == place
            && let Some(profile) = home.get(place as usize).copied().flatten()
        {
            is.insert(profile, *contested);
        }
    }
    for value in [true, false] {
        let some: Vec<i64> = is
            .iter()
            .filter(|(profile, now)| **now == value && was.get(profile).copied().unwrap_or(false) != value)
            .map(|(profile, _)| *profile)
            .collect();
        if !some.is_empty() {
            spi::run_cached(
                &ws.sql("UPDATE @ws@.profile p SET contested = $2 WHERE p.profile_id = ANY ($1)"),
                &[some.into(), value.into()],
            )?;
        }
    }
    Ok(())
}
