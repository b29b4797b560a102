//! The policy `arrival`: every row is settled by what is there when it comes, as products of the field do, and stays so. `cdp_identity_policy` chooses it.
//!
//! An identifier that would break a limit is left out of its row, the least telling first, and one that would take the row's profile beyond a cap; its edges there are suspended. Who is one
//! person then follows from the accepted edges as under the other policy, so that unlinking, blocking and splitting work the same.
//!
//! How rows are cut into batches is no matter: a profile that a batch makes and merges is kept as one that is made and merged in different batches.

use super::follow::{self, Change, Created, Moved, Redirected};
use super::govern::{ARRIVAL, Cause};
use super::operate::{begin, finish};
use super::rules::Rules;
use crate::error::{CdpError, given};
use crate::pg::spi;
use crate::workspace::{self, Workspace};
use pg_cdp_core::graph::arrival::{Arrival, Bound, Caps, Dropped, Identifier, Owner, Size};
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
    let mut arrival = Arrival::new(rules.core(), ws.caps, now);
    let contradiction = |e: pg_cdp_core::graph::arrival::ArrivalError| CdpError::internal(e.to_string());
    for (node, held) in known.iter().chain(others.iter().filter(|(node, _)| !known.contains_key(*node))) {
        if let Some((profile, created_at)) = held.profile {
            arrival.know(profile, created_at, &identifier(rules, *node, held)?).map_err(contradiction)?;
        }
    }

    for (profile, size) in sizes(ws, rows, &known)? {
        arrival.measure(profile, size).map_err(contradiction)?;
    }

    let mut accepted: BTreeSet<(i64, i64)> = BTreeSet::new();
    let mut left_out: BTreeMap<(i64, i64), Dropped> = BTreeMap::new();
    let mut causes: HashMap<Owner, (i64, i64)> = HashMap::new();
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
        // The edge that retires a profile has one end in it.
        causes.extend(outcome.merged.iter().map(|m| (m.owner, (m.node.min(m.other), m.node.max(m.other)))));
    }
    left_out.retain(|pair, _| fresh.contains(pair) && !accepted.contains(pair));
    edges(ws, rules, &accepted, &left_out)?;

    let changes = arrival.finish();
    let mut change = Change::default();
    let made = follow::numbers(ws, changes.made.len())?;
    let number_of = |owner: Owner| match owner {
        Owner::Known(profile) => Ok(profile),
        Owner::New(nth) => {
            made.get(nth as usize).copied().ok_or_else(|| CdpError::internal("fewer profile numbers than new profiles"))
        }
    };
    let mut passing = Vec::new();
    for (nth, new) in (0u32..).zip(&changes.made) {
        let profile_id = number_of(Owner::New(nth))?;
        match new.into {
            None => change.created.push(Created { profile_id, founding: new.founding, from: None }),
            Some(into) => {
                let cause = causes.get(&Owner::New(nth)).copied();
                let ends = cause.ok_or_else(|| CdpError::internal("a profile was taken over for no edge"))?;
                passing.push(Passing { profile_id, founding: new.founding, into: number_of(into)?, ends });
            }
        }
    }
    for (node_id, owner) in &changes.joined {
        change.moved.push(Moved { node_id: *node_id, before: None, after: number_of(*owner)?, place: None });
    }
    let mut into: NumberMap<i64> = NumberMap::default();
    for (retired, owner) in &changes.retired {
        let after = number_of(*owner)?;
        into.insert(*retired, after);
        let cause = causes.get(&Owner::Known(*retired)).copied();
        change.redirected.push(Redirected::taken_over(*retired, after, cause));
    }
    follow::take_over(ws, &into, None, &mut change)?;
    keep(ws, cause, &passing)?;
    follow::apply(ws, cause, &change, prepared)
}

/// A profile that a batch makes and merges into another one.
struct Passing {
    profile_id: i64,
    founding: i64,
    into: i64,
    /// Of the edge that joined them.
    ends: (i64, i64),
}

/// Keeps that there were such profiles.
fn keep(ws: &Workspace, cause: Cause, passing: &[Passing]) -> Result<(), CdpError> {
    if passing.is_empty() {
        return Ok(());
    }
    let all = |of: fn(&Passing) -> i64| passing.iter().map(of).collect::<Vec<i64>>();
    let (ids, into) = (all(|p| p.profile_id), all(|p| p.into));
    spi::run_cached(
        &ws.sql(
            "INSERT INTO @ws@.profile (profile_id, founding_node, created_at, merged_into) SELECT x.p, x.f, now(), x.i \
             FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[], $3::pg_catalog.int8[]) AS x(p, f, i)",
        ),
        &[ids.clone().into(), all(|p| p.founding).into(), into.clone().into()],
    )?;
    spi::run_cached(
        &ws.sql(
            "INSERT INTO @ws@.profile_merge (retired_id, survivor_id, from_node, to_node, source_id, operation_id) SELECT x.r, x.s, x.f, x.t, $5, $6 \
             FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[], $3::pg_catalog.int8[], $4::pg_catalog.int8[]) AS x(r, s, f, t) ORDER BY x.r",
        ),
        &[
            ids.into(),
            into.into(),
            all(|p| p.ends.0).into(),
            all(|p| p.ends.1).into(),
            cause.source_id.into(),
            cause.operation_id.into(),
        ],
    )
}

/// How large the profiles are that may grow: those in rows with anything that is not theirs. Who leads to a profile was taken over by it, or by one that it took over.
fn sizes(ws: &Workspace, rows: &[Vec<i64>], known: &BTreeMap<i64, Held>) -> Result<Vec<(i64, Size)>, CdpError> {
    if ws.caps == Caps::default() {
        return Ok(Vec::new());
    }
    let owner = |node: &i64| known.get(node).and_then(|held| Some(held.profile?.0));
    let mut growing: Vec<i64> = Vec::new();
    for row in rows {
        let first = row.first().and_then(owner);
        if row.iter().any(|node| owner(node) != first) {
            growing.extend(row.iter().filter_map(owner));
        }
    }
    growing.sort_unstable();
    growing.dedup();
    if growing.is_empty() {
        return Ok(Vec::new());
    }
    let most = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
    spi::rows_cached(
        &ws.sql(
            "SELECT x.p, (SELECT count(*) FROM @ws@.profile r WHERE r.merged_into = x.p), (SELECT count(*) FROM @ws@.node n WHERE n.profile_id = x.p) \
             FROM unnest($1::pg_catalog.int8[]) AS x(p)",
        ),
        &[growing.into()],
        |row| Ok((spi::must(row, 1)?, Size { merges: most(spi::must(row, 2)?), identifiers: most(spi::must(row, 3)?) })),
    )
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
        let (of, window) = match dropped.bound {
            Bound::Limit { rule, windowed } => {
                (rules.at(rule)?.name.as_str(), if windowed { " within its window" } else { "" })
            }
            Bound::Merges => ("merges", ""),
            Bound::Identifiers => ("identifiers", ""),
        };
        reasons.push(format!("{ARRIVAL}{} {of}, at most {}{window}", dropped.found, dropped.most));
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
    max_merges: default!(Option<i32>, "100"),
    max_identifiers: default!(Option<i32>, "1000"),
) -> Result<JsonB, ErrorReport> {
    Ok(workspace::enter_bulk(|ws| {
        let policy = given(policy, "policy")?;
        if !matches!(policy, "judged" | "arrival") {
            return Err(CdpError::invalid_parameter(format!("there is no identity policy \"{policy}\""))
                .with_hint("Policies are judged (what links is a function of all edges) and arrival (each row is settled as it comes)."));
        }
        for (name, most, least) in [("max_merges", max_merges, 0), ("max_identifiers", max_identifiers, 1)] {
            if let Some(most) = most.filter(|most| *most < least) {
                return Err(CdpError::invalid_parameter(format!("argument \"{name}\" cannot be {most}"))
                    .with_hint(format!("Give {least} or more, or null for no cap.")));
            }
        }
        ws.lock()?;
        let was = if ws.arrival { "arrival" } else { "judged" };
        let mut arguments = json!({"before": was, "after": policy});
        if policy == "arrival" {
            (arguments["max_merges"], arguments["max_identifiers"]) = (json!(max_merges), json!(max_identifiers));
        }
        let operation = begin(ws, "policy", arguments, reason, actor)?;
        spi::run(&ws.sql("UPDATE @ws@.workspace SET identity_policy = $1"), &[policy.into()])?;
        if policy == "arrival" {
            spi::run(
                &ws.sql("UPDATE @ws@.workspace SET arrival_max_merges = $1, arrival_max_identifiers = $2"),
                &[max_merges.into(), max_identifiers.into()],
            )?;
        }
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
