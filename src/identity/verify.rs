//! `cdp_identity_verify`: everything about identities computed anew from the edges, and what differs from what is kept.

use super::govern::{self, verdict};
use super::graph::Graph;
use super::hub;
use super::rules::Rules;
use crate::error::CdpError;
use crate::pg::spi;
use crate::workspace::{self, Workspace};
use pg_cdp_core::graph::home::{Record, homes};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::collections::{HashMap, HashSet};

/// Profiles that are read at a time, with all that hangs together with them.
const BLOCK: i64 = 20_000;

/// A check: how many were looked at, how many are wrong, the first of them.
struct Check {
    what: &'static str,
    seen: u64,
    wrong: u64,
    first: Option<String>,
}

impl Check {
    fn new(what: &'static str) -> Self {
        Self { what, seen: 0, wrong: 0, first: None }
    }

    fn see(&mut self, right: bool, describe: impl FnOnce() -> String) {
        self.seen += 1;
        if !right {
            self.wrong += 1;
            if self.first.is_none() {
                self.first = Some(describe());
            }
        }
    }

    fn detail(&self) -> String {
        match &self.first {
            None => format!("{} checked", self.seen),
            Some(first) => format!("{} of {} wrong, such as {first}", self.wrong, self.seen),
        }
    }
}

/// The checks on parts of the graph.
struct Checks {
    partition: Check,
    homes: Check,
    edges: Check,
    hubs: Check,
    contested: Check,
}

#[pg_extern(
    volatile,
    parallel_unsafe,
    sql = "CREATE FUNCTION cdp_identity_verify(share double precision DEFAULT 1) RETURNS TABLE (\"check\" text, ok boolean, detail text) VOLATILE PARALLEL UNSAFE LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';"
)]
fn cdp_identity_verify(
    share: Option<f64>,
) -> Result<TableIterator<'static, (name!(what, String), name!(ok, bool), name!(detail, String))>, ErrorReport> {
    Ok(workspace::enter_reading(|ws| {
        let share = share.unwrap_or(1.0);
        if !(share > 0.0 && share <= 1.0) {
            return Err(CdpError::invalid_parameter(format!("share {share} is not between 0 and 1"))
                .with_hint("Give the share of the profiles to check, such as 0.01; 1 checks all."));
        }
        let mut checks = Checks {
            partition: Check::new("identifiers have the profile that their edges give them"),
            homes: Check::new("profiles live or lead to the oldest of their component"),
            edges: Check::new("edges are accepted or suspended as the rules say"),
            hubs: Check::new("hubs are those with more neighbours than their type allows"),
            contested: Check::new("contested profiles are those that a rule keeps from linking"),
        };
        let rules = Rules::load(ws)?;
        let mut judged: HashSet<i64> = HashSet::new();
        let mut after = 0i64;
        loop {
            let some = spi::rows_cached(
                &ws.sql(
                    "SELECT p.profile_id, p.founding_node, random() < $2 FROM @ws@.profile p WHERE p.merged_into IS NULL AND p.profile_id > $1 ORDER BY p.profile_id LIMIT $3",
                ),
                &[after.into(), share.into(), BLOCK.into()],
                |row| Ok((spi::must::<i64>(row, 1)?, spi::must::<i64>(row, 2)?, spi::must::<bool>(row, 3)?)),
            )?;
            let Some((last, ..)) = some.last() else { break };
            after = *last;
            let seeds: Vec<i64> = some
                .iter()
                .filter(|(profile, _, chosen)| *chosen && !judged.contains(profile))
                .map(|(_, founding, _)| *founding)
                .collect();
            if !seeds.is_empty() {
                part(ws, &rules, &seeds, &mut checks, &mut judged, after)?;
            }
        }
        let mut rows: Vec<(String, bool, String)> =
            [checks.partition, checks.homes, checks.edges, checks.hubs, checks.contested]
                .iter()
                .map(|check| (check.what.to_owned(), check.wrong == 0, check.detail()))
                .collect();
        rows.extend(whole(ws)?);
        Ok(TableIterator::new(rows))
    })?)
}

/// Judges a part of the graph and compares. `judged` keeps the live profiles seen whose numbers are greater than `after`.
fn part(
    ws: &Workspace,
    rules: &Rules,
    seeds: &[i64],
    checks: &mut Checks,
    judged: &mut HashSet<i64>,
    after: i64,
) -> Result<(), CdpError> {
    let graph = Graph::load(ws, rules, seeds)?;
    let verdict = verdict(ws, rules, &graph)?;
    // The partition: one profile for each component, and one component for each profile.
    let mut profile_of: HashMap<u32, Option<i64>> = HashMap::new();
    let mut component_of: HashMap<i64, u32> = HashMap::new();
    for (place, node) in (0u32..).zip(&graph.nodes).filter(|(_, node)| node.whole) {
        let root = verdict.component.get(place as usize).copied().unwrap_or(place);
        let same = *profile_of.entry(root).or_insert(node.profile) == node.profile;
        let alone = node.profile.is_some_and(|profile| *component_of.entry(profile).or_insert(root) == root);
        checks.partition.see(same && alone, || format!("identifier {} in profile {:?}", node.node_id, node.profile));
        if let Some(profile) = node.profile.filter(|profile| *profile > after) {
            judged.insert(profile);
        }
    }
    for (pair, is) in graph.pairs.iter().zip(&verdict.states) {
        let (word, reason) = govern::state(ws, rules, &graph, pair, is)?;
        let right = pair.is_kept_as(word, reason.as_deref());
        checks.edges.see(right, || {
            let end = |place: u32| graph.nodes.get(place as usize).map_or(0, |n| n.node_id);
            format!("{} to {}: {:?}, not {word} {reason:?}", end(pair.from), end(pair.to), pair.kept)
        });
    }
    let whole: Vec<i64> = graph.nodes.iter().filter(|n| n.whole).map(|n| n.node_id).collect();
    // Rows that are settled as they come know no hubs.
    let counted = if ws.arrival { Vec::new() } else { hub::recount(ws, rules, &whole)? };
    for (node_id, kept, is) in counted {
        checks.hubs.see(kept.is_some() == is.is_some(), || format!("identifier {node_id}: {kept:?}, not {is:?}"));
    }
    // Stable numbers: the oldest profile founded in a component lives, the others lead to it.
    let profiles: Vec<i64> = component_of.keys().copied().collect();
    let (mut records, mut kept) = (Vec::new(), Vec::new());
    for profile in govern::profiles_of(ws, &profiles)? {
        let (profile_id, founding) = (profile.profile_id, profile.founding_node);
        let Some(founding) = graph.place(founding) else {
            checks
                .homes
                .see(false, || format!("profile {profile_id}: identifier {founding} that founded it is elsewhere"));
            continue;
        };
        records.push(Record { profile_id, founding, created_at_micros: profile.created_at_micros });
        kept.push((profile.merged_into, profile.contested));
    }
    let homes = homes(&verdict.component, &records);
    for ((record, (into, contested)), is) in records.iter().zip(&kept).zip(&homes.into) {
        checks.homes.see(into == is, || format!("profile {} leads to {into:?}, not to {is:?}", record.profile_id));
        if into.is_none() {
            let is = component_of.get(&record.profile_id).and_then(|root| verdict.contested.get(*root as usize));
            checks.contested.see(is == Some(contested), || format!("profile {}", record.profile_id));
        }
    }
    Ok(())
}

/// Checks that plain SQL makes of everything.
fn whole(ws: &Workspace) -> Result<Vec<(String, bool, String)>, CdpError> {
    spi::rows_cached(
        &ws.sql(
            "SELECT v.what, v.n = 0, CASE v.n WHEN 0 THEN 'none' ELSE v.n || ' found' END FROM (VALUES \
               ('no strong identifier without a live profile', (SELECT count(*) FROM @ws@.node n JOIN @ws@.identifier_type t USING (type_id) LEFT JOIN @ws@.profile p ON p.profile_id = n.profile_id \
                   WHERE t.strength = 'strong' AND (p.profile_id IS NULL OR p.merged_into IS NOT NULL))), \
               ('no weak identifier in a profile', (SELECT count(*) FROM @ws@.node n JOIN @ws@.identifier_type t USING (type_id) WHERE t.strength = 'weak' AND n.profile_id IS NOT NULL)), \
               ('no live profile without its row or a row of nobody', (SELECT count(*) FROM (SELECT p.profile_id FROM @ws@.profile p WHERE p.merged_into IS NULL) a \
                   FULL JOIN @ws@.profile_value v USING (profile_id) WHERE a.profile_id IS NULL OR v.profile_id IS NULL)), \
               ('no live profile without an identifier', (SELECT count(*) FROM @ws@.profile p WHERE p.merged_into IS NULL AND NOT EXISTS (SELECT FROM @ws@.node n WHERE n.profile_id = p.profile_id))), \
               ('no live profile missing in the column of live profiles, nobody else in it', (SELECT count(*) FROM (SELECT p.profile_id FROM @ws@.profile p WHERE p.merged_into IS NULL) a \
                   FULL JOIN (SELECT m AS profile_id FROM @ext@.cdp_members(@ext@.cdp_segment('true')) m) u USING (profile_id) WHERE a.profile_id IS NULL OR u.profile_id IS NULL)) \
             ) AS v(what, n)",
        ),
        &[],
        |row| Ok((spi::must::<String>(row, 1)?, spi::must::<bool>(row, 2)?, spi::must::<String>(row, 3)?)),
    )
}
