//! The policy `arrival`: every row is settled by what is there when it comes, as products of the field do, and stays so. `cdp_identity_policy` chooses it.
//!
//! An identifier that would break a limit is left out of its row, the least telling first; its edges there are suspended. Who is one person then follows from the
//! accepted edges as under the other policy, so that unlinking, blocking and splitting work the same.

use super::follow::{self, Change, Created, Moved, Redirected};
use super::govern::{ARRIVAL, Cause};
use super::operate::{begin, finish};
use super::rules::Rules;
use crate::error::{CdpError, given};
use crate::pg::spi;
use crate::workspace::{self, Workspace};
use pg_cdp_core::graph::arrival::{Arrival, Dropped, Identifier, Owner};
use pg_cdp_core::numbers::NumberMap;
use pgrx::JsonB;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An identifier of a batch, or of a profile that the batch touches.
struct Held {
    rule: u32,
    value: String,
    first_seen: i64,
    profile: Option<(i64, i64)>,
}

/// Settles rows of identifiers that link, in their order. `fresh` are the pairs that were not there before the batch. Returns whether values have to be computed anew.
pub fn arrive(
    ws: &Workspace,
    rules: &Rules,
    rows: &[Vec<i64>],
    fresh: &BTreeSet<(i64, i64)>,
    cause: Cause,
    prepared: bool,
) -> Result<bool, CdpError> {
    let mut nodes: Vec<i64> = rows.iter().flatten().copied().collect();
    nodes.sort_unstable();
    nodes.dedup();
    let known = held(ws, rules, "n.node_id = ANY ($1)", nodes, None)?;
    let mut profiles: Vec<i64> = known.values().filter_map(|held| Some(held.profile?.0)).collect();
    profiles.sort_unstable();
    profiles.dedup();
    let limited: Vec<i32> = rules.types.iter().filter(|ty| ty.limit.is_some()).map(|ty| ty.type_id).collect();
    let others = held(ws, rules, "n.profile_id = ANY ($1) AND n.type_id = ANY ($2)", profiles, Some(limited))?;

    let now = spi::one::<TimestampWithTimeZone>("SELECT now()", &[])?.map_or(0, i64::from);
    let mut arrival = Arrival::new(rules.core(), now);
    let contradiction = |e: pg_cdp_core::graph::arrival::ArrivalError| CdpError::internal(e.to_string());
    for (node, held) in known.iter().chain(others.iter().filter(|(node, _)| !known.contains_key(*node))) {
        if let Some((profile, created_at)) = held.profile {
            arrival.know(profile, created_at, &identifier(rules, *node, held)?).map_err(contradiction)?;
        }
    }

    let mut accepted: BTreeSet<(i64, i64)> = BTreeSet::new();
    let mut left_out: BTreeMap<(i64, i64), Dropped> = BTreeMap::new();
    let mut causes: HashMap<i64, (i64, i64)> = HashMap::new();
    for row in rows {
        let mut identifiers = Vec::with_capacity(row.len());
        for node in row {
            if let Some(held) = known.get(node) {
                identifiers.push(identifier(rules, *node, held)?);
            }
        }
        let outcome = arrival.arrive(&identifiers).map_err(contradiction)?;
        for (i, a) in outcome.kept.iter().enumerate() {
            accepted.extend(outcome.kept.iter().skip(i + 1).map(|b| (*a.min(b), *a.max(b))));
        }
        for dropped in &outcome.dropped {
            for other in row.iter().filter(|other| **other != dropped.node) {
                left_out.entry((dropped.node.min(*other), dropped.node.max(*other))).or_insert(*dropped);
            }
        }
        // The edge that retires a profile has one end in it, if the profile had it before the batch.
        for merged in &outcome.merged {
            let Owner::Known(retired) = merged else { continue };
            let inside = |node: &&i64| known.get(*node).and_then(|h| h.profile).is_some_and(|p| p.0 == *retired);
            let a = outcome.kept.iter().find(inside).or(outcome.kept.first());
            let b = outcome.kept.iter().find(|node| Some(*node) != a);
            if let (Some(a), Some(b)) = (a, b) {
                causes.insert(*retired, (*a.min(b), *a.max(b)));
            }
        }
    }
    left_out.retain(|pair, _| fresh.contains(pair) && !accepted.contains(pair));
    edges(ws, rules, &accepted, &left_out)?;

    let changes = arrival.finish();
    let mut change = Change::default();
    // New profiles that live: those of rows, and of identifiers that were left out of every row they came in.
    let homeless: Vec<i64> = known
        .iter()
        .filter(|(node, held)| {
            held.profile.is_none() && changes.joined.binary_search_by_key(*node, |(node, _)| *node).is_err()
        })
        .map(|(node, _)| *node)
        .collect();
    let living = changes.made.iter().filter(|made| made.into.is_none()).count();
    let mut numbers = follow::numbers(ws, living + homeless.len())?.into_iter();
    let mut number = || numbers.next().ok_or_else(|| CdpError::internal("fewer profile numbers than new profiles"));
    let mut made: Vec<Option<i64>> = Vec::with_capacity(changes.made.len());
    for new in &changes.made {
        made.push(match new.into {
            Some(_) => None,
            None => {
                let profile_id = number()?;
                change.created.push(Created { profile_id, founding: new.founding, from: None });
                Some(profile_id)
            }
        });
    }
    let number_of = |owner: Owner| match owner {
        Owner::Known(profile) => Ok(profile),
        Owner::New(nth) => made
            .get(nth as usize)
            .copied()
            .flatten()
            .ok_or_else(|| CdpError::internal("a profile that was taken over is named as living")),
    };
    for (node_id, owner) in &changes.joined {
        change.moved.push(Moved { node_id: *node_id, before: None, after: number_of(*owner)?, place: None });
    }
    for node in homeless {
        let profile_id = number()?;
        change.created.push(Created { profile_id, founding: node, from: None });
        change.moved.push(Moved { node_id: node, before: None, after: profile_id, place: None });
    }
    let mut into: NumberMap<i64> = NumberMap::default();
    for (retired, owner) in &changes.retired {
        let after = number_of(*owner)?;
        into.insert(*retired, after);
        let cause = causes.get(retired).copied();
        change.redirected.push(Redirected::taken_over(*retired, after, cause));
    }
    follow::take_over(ws, &into, None, &mut change)?;
    follow::apply(ws, cause, &change, prepared)
}

fn identifier<'a>(rules: &Rules, node: i64, held: &'a Held) -> Result<Identifier<'a>, CdpError> {
    let scope = rules.at(held.rule)?.scope(&held.value);
    Ok(Identifier { node, rule: held.rule, scope, first_seen: held.first_seen })
}

/// Reads identifiers with the profile they have.
fn held(
    ws: &Workspace,
    rules: &Rules,
    condition: &str,
    ids: Vec<i64>,
    types: Option<Vec<i32>>,
) -> Result<BTreeMap<i64, Held>, CdpError> {
    let sql = ws.sql(&format!(
        "SELECT n.node_id, n.type_id, n.value, n.first_seen, n.profile_id, p.created_at FROM @ws@.node n LEFT JOIN @ws@.profile p ON p.profile_id = n.profile_id WHERE {condition}"
    ));
    let mut args = vec![ids.into()];
    args.extend(types.map(Into::into));
    let rows = spi::rows_cached(&sql, &args, |row| {
        let profile = match row.get::<i64>(5)? {
            Some(profile) => Some((profile, i64::from(spi::must::<TimestampWithTimeZone>(row, 6)?))),
            None => None,
        };
        let held = Held {
            rule: rules.place(spi::must(row, 2)?)?,
            value: spi::must(row, 3)?,
            first_seen: i64::from(spi::must::<TimestampWithTimeZone>(row, 4)?),
            profile,
        };
        Ok((spi::must::<i64>(row, 1)?, held))
    })?;
    Ok(rows.into_iter().collect())
}

/// Writes which pairs link and which were left out.
fn edges(
    ws: &Workspace,
    rules: &Rules,
    accepted: &BTreeSet<(i64, i64)>,
    left_out: &BTreeMap<(i64, i64), Dropped>,
) -> Result<(), CdpError> {
    let (from, to): (Vec<i64>, Vec<i64>) = accepted.iter().copied().unzip();
    spi::run_cached(
        &ws.sql(
            "UPDATE @ws@.edge e SET state = 'accepted', reason = NULL FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[]) AS x(a, b) \
             WHERE e.from_node = x.a AND e.to_node = x.b AND e.state = 'suspended' AND e.reason LIKE $3 || '%'",
        ),
        &[from.into(), to.into(), ARRIVAL.into()],
    )?;
    if left_out.is_empty() {
        return Ok(());
    }
    let (mut from, mut to, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
    for ((a, b), dropped) in left_out {
        from.push(*a);
        to.push(*b);
        let window = if dropped.windowed { " within its window" } else { "" };
        let name = &rules.at(dropped.rule)?.name;
        reasons.push(format!("{ARRIVAL}{} {name}, at most {}{window}", dropped.found, dropped.most));
    }
    spi::run_cached(
        &ws.sql(
            "UPDATE @ws@.edge e SET state = 'suspended', reason = x.reason FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[], $3::pg_catalog.text[]) AS x(a, b, reason) \
             WHERE e.from_node = x.a AND e.to_node = x.b AND e.state <> 'weak'",
        ),
        &[from.into(), to.into(), reasons.into()],
    )
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_identity_policy(
    policy: Option<&str>,
    reason: default!(Option<&str>, "NULL"),
    actor: default!(Option<&str>, "NULL"),
) -> Result<JsonB, ErrorReport> {
    Ok(workspace::enter_bulk(|ws| {
        let policy = given(policy, "policy")?;
        if !matches!(policy, "judged" | "arrival") {
            return Err(CdpError::invalid_parameter(format!("there is no identity policy \"{policy}\""))
                .with_hint("Policies are judged (what links is a function of all edges) and arrival (each row is settled as it comes)."));
        }
        ws.lock()?;
        let was = if ws.arrival { "arrival" } else { "judged" };
        let operation = begin(ws, "policy", json!({"before": was, "after": policy}), reason, actor)?;
        spi::run(&ws.sql("UPDATE @ws@.workspace SET identity_policy = $1"), &[policy.into()])?;
        // Everything is judged when rows no longer settle it; the other way round what is there stays.
        let seeds = if policy == "judged" && was == "arrival" {
            spi::rows(&ws.sql("SELECT p.founding_node FROM @ws@.profile p WHERE p.merged_into IS NULL"), &[], |row| {
                spi::must::<i64>(row, 1)
            })?
        } else {
            Vec::new()
        };
        let ws = Workspace::current()?;
        let rules = Rules::load(&ws)?;
        if !seeds.is_empty() {
            super::hub::judge_all(&ws, &rules)?;
        }
        finish(&ws, operation, &seeds)
    })?)
}
