//! `cdp_identity_verify`: everything about identities computed anew from the edges, and what differs from what is kept.

use super::blocked::Blocked;
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
use pgrx::spi::SpiHeapTupleData;
use std::collections::{HashMap, HashSet};

/// Profiles that are read at a time, with all that hangs together with them.
const BLOCK: usize = 20_000;

/// A live profile and the identifier that founded it.
type Live = (i64, i64);

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
    blocked: Check,
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
            blocked: Check::new("blocked are those that an operator or a list blocks"),
            contested: Check::new("contested profiles are those that a rule keeps from linking"),
        };
        let rules = Rules::load(ws)?;
        let mut judged: HashSet<i64> = HashSet::new();
        let mut judge = |some: &[Live]| -> Result<(), CdpError> {
            let Some((after, _)) = some.last() else { return Ok(()) };
            let seeds: Vec<i64> =
                some.iter().filter(|(profile, _)| !judged.contains(profile)).map(|(_, founding)| *founding).collect();
            part(ws, &rules, &seeds, &mut checks, &mut judged, *after)
        };
        let live = |row: &SpiHeapTupleData| Ok((spi::must::<i64>(row, 1)?, spi::must::<i64>(row, 2)?));
        if share < 1.0 {
            let chosen = spi::rows(
                &ws.sql(&format!(
                    "SELECT p.profile_id, p.founding_node FROM {} WHERE p.merged_into IS NULL ORDER BY p.profile_id",
                    sample(ws, "profile", "p", share)?
                )),
                &[],
                live,
            )?;
            chosen.chunks(BLOCK).try_for_each(judge)?;
        } else {
            let mut after = 0i64;
            loop {
                let some = spi::rows_cached(
                    &ws.sql(
                        "SELECT p.profile_id, p.founding_node FROM @ws@.profile p WHERE p.merged_into IS NULL AND p.profile_id > $1 ORDER BY p.profile_id LIMIT $2",
                    ),
                    &[after.into(), i64::try_from(BLOCK).unwrap_or(i64::MAX).into()],
                    live,
                )?;
                let Some((last, _)) = some.last() else { break };
                after = *last;
                judge(&some)?;
            }
        }
        let mut rows: Vec<(String, bool, String)> =
            [checks.partition, checks.homes, checks.edges, checks.hubs, checks.blocked, checks.contested]
                .iter()
                .map(|check| (check.what.to_owned(), check.wrong == 0, check.detail()))
                .collect();
        rows.extend(plain(ws, share)?);
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
    blocked(ws, rules, &graph, &whole, &mut checks.blocked)?;
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

/// Compares which identifiers are blocked. What a list has of those that are kept as hashes nobody can tell but by its words.
fn blocked(ws: &Workspace, rules: &Rules, graph: &Graph, whole: &[i64], check: &mut Check) -> Result<(), CdpError> {
    let decided: HashSet<i64> = spi::rows_cached(
        &ws.sql("SELECT o.node_id FROM @ws@.identity_override o WHERE o.kind = 'block' AND o.node_id = ANY ($1)"),
        &[whole.to_vec().into()],
        |row| spi::must::<i64>(row, 1),
    )?
    .into_iter()
    .collect();
    let lists = Blocked::load(ws)?;
    for node in graph.nodes.iter().filter(|node| node.whole) {
        let ty = rules.at(node.rule)?;
        let kept = node.quarantine.as_deref().and_then(|reason| reason.strip_prefix("blocked: "));
        let right = if decided.contains(&node.node_id) {
            kept.is_some()
        } else if ty.hashed {
            kept.is_none_or(|reason| lists.has_reason(ty.type_id, reason))
        } else {
            let listed = lists.suspects(&node.value) && lists.reason(ty.type_id, &node.value.to_lowercase()).is_some();
            kept.is_some() == listed
        };
        check.see(right, || format!("identifier {}: {:?}", node.node_id, node.quarantine));
    }
    Ok(())
}

/// A FROM item: a table under an alias, or so much of it. Of a table of some size whole pages are left out unread.
fn sample(ws: &Workspace, table: &str, alias: &str, share: f64) -> Result<String, CdpError> {
    if share >= 1.0 {
        return Ok(format!("@ws@.{table} {alias}"));
    }
    let large = spi::one::<bool>(
        "SELECT pg_relation_size(c.oid) > 8388608 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2",
        &[ws.name.as_str().into(), table.into()],
    )?;
    let method = if large == Some(true) { "SYSTEM" } else { "BERNOULLI" };
    Ok(format!("@ws@.{table} {alias} TABLESAMPLE {method} ({})", share * 100.0))
}

/// Checks that plain SQL makes, of everything or a share.
fn plain(ws: &Workspace, share: f64) -> Result<Vec<(String, bool, String)>, CdpError> {
    let (n, p, v) =
        (sample(ws, "node", "n", share)?, sample(ws, "profile", "p", share)?, sample(ws, "profile_value", "v", share)?);
    // Who is in the column and has no row at all is found only when all are looked at.
    let others = if share < 1.0 {
        "@ext@.cdp_bitmap_and_cardinality(p.dead, p.bits)"
    } else {
        "@ext@.cdp_bitmap_andnot_cardinality(p.bits, p.live)"
    };
    spi::rows(
        &ws.sql(&format!(
            "SELECT c.what, c.n = 0, CASE c.n WHEN 0 THEN 'none' ELSE c.n || ' found' END FROM (VALUES \
               ('no strong identifier without a live profile', (SELECT count(*) FROM {n} JOIN @ws@.identifier_type t USING (type_id) LEFT JOIN @ws@.profile p ON p.profile_id = n.profile_id \
                   WHERE t.strength = 'strong' AND (p.profile_id IS NULL OR p.merged_into IS NOT NULL))), \
               ('no weak identifier in a profile', (SELECT count(*) FROM {n} JOIN @ws@.identifier_type t USING (type_id) WHERE t.strength = 'weak' AND n.profile_id IS NOT NULL)), \
               ('no live profile without its row or a row of nobody', (SELECT count(*) FROM {p} WHERE p.merged_into IS NULL AND NOT EXISTS (SELECT FROM @ws@.profile_value v WHERE v.profile_id = p.profile_id)) \
                   + (SELECT count(*) FROM {v} WHERE NOT EXISTS (SELECT FROM @ws@.profile p WHERE p.profile_id = v.profile_id AND p.merged_into IS NULL))), \
               ('no live profile without an identifier', (SELECT count(*) FROM {p} WHERE p.merged_into IS NULL AND NOT EXISTS (SELECT FROM @ws@.node n WHERE n.profile_id = p.profile_id))), \
               ('no live profile missing in the column of live profiles, nobody else in it', (SELECT @ext@.cdp_bitmap_andnot_cardinality(p.live, p.bits) + {others} FROM ( \
                   SELECT coalesce(@ext@.cdp_bitmap_build_agg(p.profile_id) FILTER (WHERE p.merged_into IS NULL), '{{}}') AS live, \
                          coalesce(@ext@.cdp_bitmap_build_agg(p.profile_id) FILTER (WHERE p.merged_into IS NOT NULL), '{{}}') AS dead, @ext@.cdp_segment('true') AS bits FROM {p}) p)) \
             ) AS c(what, n)"
        )),
        &[],
        |row| Ok((spi::must::<String>(row, 1)?, spi::must::<bool>(row, 2)?, spi::must::<String>(row, 3)?)),
    )
}
