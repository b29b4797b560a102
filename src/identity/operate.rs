//! What operators decide about identities: `cdp_link`, `cdp_unlink`, `cdp_cannot_link`, `cdp_block`, `cdp_unblock`, `cdp_split`, `cdp_identity_revert`.
//!
//! A decision is a fact like any other: a row that the judgement of the graph heeds until it is taken back. So each is reversible, and what is seen
//! later does not undo it.

use super::govern::{self, Cause, Outcome};
use super::hold::{self, decision};
use super::rules::Rules;
use super::{hub, types, value};
use crate::error::{CdpError, given};
use crate::event;
use crate::pg::spi;
use crate::profile;
use crate::workspace::{self, Workspace};
use pgrx::JsonB;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::{Value, json};

/// Enters an operation; gives its number.
pub fn begin(
    ws: &Workspace,
    kind: &str,
    arguments: Value,
    reason: Option<&str>,
    actor: Option<&str>,
) -> Result<i64, CdpError> {
    spi::rows_cached(
        &ws.sql(
            "INSERT INTO @ws@.identity_operation (kind, arguments, reason, actor) VALUES ($1, $2, $3, coalesce($4, SESSION_USER)) RETURNING operation_id",
        ),
        &[kind.into(), JsonB(arguments).into(), reason.into(), actor.into()],
        |row| spi::must::<i64>(row, 1),
    )?
    .into_iter()
    .next()
    .ok_or_else(|| CdpError::internal("an operation was not entered"))
}

/// Why a decision is taken.
///
/// # Errors
/// 22004 when it is null, 22023 when it says nothing.
fn said(reason: Option<&str>) -> Result<&str, CdpError> {
    let reason = given(reason, "reason")?;
    if reason.trim().is_empty() {
        return Err(CdpError::invalid_parameter("a decision about identities needs a reason")
            .with_hint("Say why, for whoever asks later: see the view identity_operations."));
    }
    Ok(reason)
}

/// Judges what an operation is about, lets everything follow, and enters what changed. Gives it.
pub fn finish(ws: &Workspace, operation_id: i64, seeds: &[i64]) -> Result<JsonB, CdpError> {
    let outcome = settle(ws, Cause { source_id: 0, operation_id: Some(operation_id) }, seeds)?;
    enter(ws, operation_id, &outcome)
}

/// Enters what an operation changed; gives it.
pub fn enter(ws: &Workspace, operation_id: i64, outcome: &Outcome) -> Result<JsonB, CdpError> {
    let changed = report(Some(operation_id), outcome);
    spi::run_cached(
        &ws.sql("UPDATE @ws@.identity_operation SET changed = $2 WHERE operation_id = $1"),
        &[operation_id.into(), JsonB(changed.clone()).into()],
    )?;
    Ok(JsonB(changed))
}

/// Judges and lets everything follow, outside a batch.
pub fn settle(ws: &Workspace, cause: Cause, seeds: &[i64]) -> Result<Outcome, CdpError> {
    let outcome = govern::judge(ws, seeds, cause, false)?;
    if outcome.derived {
        derive(ws)?;
    }
    Ok(outcome)
}

/// Computes anew what identifiers took along that changed hands outside a batch: traits and day columns.
pub fn derive(ws: &Workspace) -> Result<(), CdpError> {
    profile::survive::survive(ws, profile::survive::Of::All)?;
    event::land::emit(ws)
}

/// What changed, for people.
fn report(operation_id: Option<i64>, outcome: &Outcome) -> Value {
    let pair = |(profile, other): &(i64, i64), names: [&str; 2]| json!({names[0]: profile, names[1]: other});
    json!({
        "operation": operation_id,
        "merged": outcome.merged.iter().map(|m| pair(m, ["profile", "into"])).collect::<Vec<_>>(),
        "split": outcome.split.iter().map(|s| pair(s, ["profile", "from"])).collect::<Vec<_>>(),
        "created": outcome.created,
        "moved": outcome.moved,
        "accepted": outcome.accepted,
        "suspended": outcome.suspended,
    })
}

/// Two identifiers as arguments name them.
struct Pair<'a> {
    a_type: &'a str,
    a_value: &'a str,
    b_type: &'a str,
    b_value: &'a str,
}

impl<'a> Pair<'a> {
    fn given(
        a_type: Option<&'a str>,
        a_value: Option<&'a str>,
        b_type: Option<&'a str>,
        b_value: Option<&'a str>,
    ) -> Result<Self, CdpError> {
        Ok(Self {
            a_type: given(a_type, "a_type")?,
            a_value: given(a_value, "a_value")?,
            b_type: given(b_type, "b_type")?,
            b_value: given(b_value, "b_value")?,
        })
    }

    /// Their numbers, the smaller first.
    fn nodes(&self, ws: &Workspace, rules: &Rules) -> Result<(i64, i64), CdpError> {
        let a = value::strong(ws, rules, self.a_type, self.a_value)?.node_id;
        let b = value::strong(ws, rules, self.b_type, self.b_value)?.node_id;
        if a == b {
            return Err(CdpError::invalid_parameter(format!(
                "{} \"{}\" and {} \"{}\" are the same identifier",
                self.a_type, self.a_value, self.b_type, self.b_value
            ))
            .with_hint("Name two different identifiers."));
        }
        Ok((a.min(b), a.max(b)))
    }

    fn arguments(&self, ws: &Workspace, rules: &Rules) -> Result<Value, CdpError> {
        let a_value = value::told(ws, rules.named(self.a_type)?, self.a_value)?;
        let b_value = value::told(ws, rules.named(self.b_type)?, self.b_value)?;
        Ok(json!({"a_type": self.a_type, "a_value": a_value, "b_type": self.b_type, "b_value": b_value}))
    }
}

/// Enters a decision about a pair.
fn decide(ws: &Workspace, operation_id: i64, kind: &str, a: i64, b: i64) -> Result<(), CdpError> {
    spi::run_cached(
        &ws.sql("INSERT INTO @ws@.identity_override (operation_id, kind, node_id, other_id) VALUES ($1, $2, $3, $4)"),
        &[operation_id.into(), kind.into(), a.into(), b.into()],
    )
}

/// Enters an operation that decides about a pair and nothing else; gives its number.
fn begin_about(
    ws: &Workspace,
    kind: &str,
    (a, b): (i64, i64),
    arguments: Value,
    reason: &str,
    actor: Option<&str>,
) -> Result<i64, CdpError> {
    spi::rows_cached(
        &ws.sql(
            "WITH o AS (INSERT INTO @ws@.identity_operation (kind, arguments, reason, actor) VALUES ($1, $2, $3, coalesce($4, SESSION_USER)) RETURNING operation_id) \
             INSERT INTO @ws@.identity_override (operation_id, kind, node_id, other_id) SELECT o.operation_id, $1, $5, $6 FROM o RETURNING operation_id",
        ),
        &[kind.into(), JsonB(arguments).into(), reason.into(), actor.into(), a.into(), b.into()],
        |row| spi::must::<i64>(row, 1),
    )?
    .into_iter()
    .next()
    .ok_or_else(|| CdpError::internal("an operation was not entered"))
}

/// The operation by which a decision about a pair holds.
fn holding(ws: &Workspace, kind: &str, a: i64, b: i64) -> Result<Option<i64>, CdpError> {
    let mut first: Option<i64> = None;
    let looked = hold::each_decision(ws, kind, (a, b), |row| {
        let by = row.int8(decision::OPERATION_ID);
        first = Some(first.map_or(by, |first| first.min(by)));
        Ok(())
    })?;
    if looked {
        return Ok(first);
    }
    let found = spi::rows_cached(
        &ws.sql(
            "SELECT o.operation_id FROM @ws@.identity_override o WHERE o.kind = $1 AND o.node_id = $2 AND o.other_id = $3 ORDER BY 1 LIMIT 1",
        ),
        &[kind.into(), a.into(), b.into()],
        |row| spi::must::<i64>(row, 1),
    )?;
    Ok(found.into_iter().next())
}

/// # Errors
/// 42710 when the decision holds already.
fn not_twice(ws: &Workspace, kind: &str, a: i64, b: i64) -> Result<(), CdpError> {
    let Some(operation) = holding(ws, kind, a, b)? else { return Ok(()) };
    Err(CdpError::duplicate_object("decision", kind)
        .with_detail(format!("Operation {operation} decided the same, and it holds."))
        .with_hint(format!("SELECT cdp_identity_revert({operation}, 'reason') takes it back.")))
}

/// The identifiers whose links have to be judged when these no longer have the same neighbours: they themselves, and all neighbours of those that
/// begin or stop to be hubs.
fn around(ws: &Workspace, rules: &Rules, nodes: Vec<i64>) -> Result<Vec<i64>, CdpError> {
    let turned = hub::judge(ws, rules, &hub::suspects(ws, rules, &nodes)?)?;
    let mut seeds = nodes;
    seeds.extend(hub::neighbours(ws, &turned)?);
    Ok(seeds)
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_link(
    a_type: Option<&str>,
    a_value: Option<&str>,
    b_type: Option<&str>,
    b_value: Option<&str>,
    reason: Option<&str>,
    actor: default!(Option<&str>, "NULL"),
) -> Result<JsonB, ErrorReport> {
    Ok(workspace::enter_small(|ws| {
        let (pair, reason) = (Pair::given(a_type, a_value, b_type, b_value)?, said(reason)?);
        ws.lock()?;
        let rules = Rules::load(ws)?;
        let (a, b) = pair.nodes(ws, &rules)?;
        if let (Some(link), Some(unlink)) = (holding(ws, "link", a, b)?, holding(ws, "unlink", a, b)?) {
            return Err(CdpError::duplicate_object("decision", "link")
                .with_detail(format!("Operation {link} links the pair; operation {unlink} unlinked it, and counts."))
                .with_hint(format!("SELECT cdp_identity_revert({unlink}, 'reason') takes the unlink back.")));
        }
        not_twice(ws, "link", a, b)?;
        // The last word counts: what said that they are not to link is lifted, and comes back when this is reverted.
        let lifted = spi::rows_cached(
            &ws.sql("DELETE FROM @ws@.identity_override o WHERE o.kind = 'unlink' AND o.node_id = $1 AND o.other_id = $2 RETURNING o.operation_id"),
            &[a.into(), b.into()],
            |row| spi::must::<i64>(row, 1),
        )?;
        let mut arguments = pair.arguments(ws, &rules)?;
        if !lifted.is_empty() {
            arguments["lifted"] = json!(lifted);
        }
        let operation = begin_about(ws, "link", (a, b), arguments, reason, actor)?;
        spi::run_cached(
            &ws.sql(
                "INSERT INTO @ws@.edge (from_node, to_node, source_id, trust, state, first_seen, last_seen) VALUES ($1, $2, 0, 1, 'suspended', now(), now())",
            ),
            &[a.into(), b.into()],
        )?;
        finish(ws, operation, &around(ws, &rules, vec![a, b])?)
    })?)
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_unlink(
    a_type: Option<&str>,
    a_value: Option<&str>,
    b_type: Option<&str>,
    b_value: Option<&str>,
    reason: Option<&str>,
    actor: default!(Option<&str>, "NULL"),
) -> Result<JsonB, ErrorReport> {
    Ok(workspace::enter_small(|ws| {
        let (pair, reason) = (Pair::given(a_type, a_value, b_type, b_value)?, said(reason)?);
        ws.lock()?;
        let rules = Rules::load(ws)?;
        let (a, b) = pair.nodes(ws, &rules)?;
        not_twice(ws, "unlink", a, b)?;
        if !hold::tied(ws, a, b)? {
            return Err(CdpError::wrong_state(format!(
                "{} \"{}\" and {} \"{}\" were never seen together",
                pair.a_type, pair.a_value, pair.b_type, pair.b_value
            ))
            .with_hint("See what ties them with cdp_identity_path(); keep them apart whatever ties them with cdp_cannot_link()."));
        }
        let operation = begin_about(ws, "unlink", (a, b), pair.arguments(ws, &rules)?, reason, actor)?;
        finish(ws, operation, &around(ws, &rules, vec![a, b])?)
    })?)
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_cannot_link(
    a_type: Option<&str>,
    a_value: Option<&str>,
    b_type: Option<&str>,
    b_value: Option<&str>,
    reason: Option<&str>,
    actor: default!(Option<&str>, "NULL"),
) -> Result<JsonB, ErrorReport> {
    Ok(workspace::enter_small(|ws| {
        let (pair, reason) = (Pair::given(a_type, a_value, b_type, b_value)?, said(reason)?);
        ws.lock()?;
        let rules = Rules::load(ws)?;
        let (a, b) = pair.nodes(ws, &rules)?;
        not_twice(ws, "cannot_link", a, b)?;
        let operation = begin_about(ws, "cannot_link", (a, b), pair.arguments(ws, &rules)?, reason, actor)?;
        finish(ws, operation, &[a, b])
    })?)
}

// Written out because an argument called "type" is a keyword of Rust.
#[pg_extern(
    sql = "CREATE FUNCTION cdp_block(\"type\" text, value text, reason text, actor text DEFAULT NULL) RETURNS jsonb VOLATILE PARALLEL UNSAFE LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';"
)]
fn cdp_block(
    kind: Option<&str>,
    value: Option<&str>,
    reason: Option<&str>,
    actor: Option<&str>,
) -> Result<JsonB, ErrorReport> {
    Ok(workspace::enter_small(|ws| {
        let (kind, value, reason) = (given(kind, "type")?, given(value, "value")?, said(reason)?);
        ws.lock()?;
        let rules = Rules::load(ws)?;
        let ty = rules.named(kind)?;
        if !ty.strong {
            return Err(CdpError::invalid_parameter(format!(
                "identifier type \"{kind}\" is weak: its values link nobody"
            ))
            .with_hint("There is nothing to block."));
        }
        let Some(kept) = value::kept_form(ws, ty, value)? else {
            return Err(CdpError::invalid_parameter(format!("\"{value}\" is not a valid {kind}"))
                .with_hint("Give the value as a source writes it."));
        };
        // An identifier that nobody has seen yet is entered, so that what is seen of it is kept, for when it is unblocked.
        let node = spi::one::<i64>(
            &ws.sql(
                "WITH fresh AS (INSERT INTO @ws@.node (type_id, value, source_id, first_seen, last_seen) VALUES ($1, $2, 0, now(), now()) ON CONFLICT DO NOTHING RETURNING node_id) \
                 SELECT f.node_id FROM fresh f UNION ALL SELECT n.node_id FROM @ws@.node n WHERE n.type_id = $1 AND n.value = $2 LIMIT 1",
            ),
            &[ty.type_id.into(), kept.into()],
        )?
        .ok_or_else(|| CdpError::internal("an identifier was not entered"))?;
        not_twice(ws, "block", node, node)?;
        let arguments = json!({"type": kind, "value": value::told(ws, ty, value)?});
        let operation = begin_about(ws, "block", (node, node), arguments, reason, actor)?;
        hub::quarantine(ws, vec![node], vec![Some(format!("blocked: {reason}"))])?;
        finish(ws, operation, &hub::neighbours(ws, &[node])?)
    })?)
}

#[pg_extern(
    sql = "CREATE FUNCTION cdp_unblock(\"type\" text, value text, reason text, actor text DEFAULT NULL) RETURNS jsonb VOLATILE PARALLEL UNSAFE LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';"
)]
fn cdp_unblock(
    kind: Option<&str>,
    value: Option<&str>,
    reason: Option<&str>,
    actor: Option<&str>,
) -> Result<JsonB, ErrorReport> {
    Ok(workspace::enter_small(|ws| {
        let (kind, value, reason) = (given(kind, "type")?, given(value, "value")?, said(reason)?);
        ws.lock()?;
        let rules = Rules::load(ws)?;
        let node = value::strong(ws, &rules, kind, value)?.node_id;
        let Some(operation) = holding(ws, "block", node, node)? else {
            return Err(CdpError::wrong_state(format!("{kind} \"{value}\" is not blocked"))
                .with_hint(format!("See the view {}.quarantine.", ws.schema())));
        };
        revert(ws, operation, reason, actor)
    })?)
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_split(
    profile_id: Option<i64>,
    identifiers: Option<Vec<Option<String>>>,
    reason: Option<&str>,
    actor: default!(Option<&str>, "NULL"),
) -> Result<JsonB, ErrorReport> {
    Ok(workspace::enter_small(|ws| {
        let (profile_id, identifiers, reason) =
            (given(profile_id, "profile_id")?, given(identifiers, "identifiers")?, said(reason)?);
        ws.lock()?;
        let rules = Rules::load(ws)?;
        let Some(live) = super::resolve(ws, profile_id)? else {
            return Err(CdpError::undefined_object("profile", &profile_id.to_string())
                .with_hint("Find the profile of an identifier with cdp_profile_id()."));
        };
        let mut names = Vec::new();
        let mut apart = Vec::new();
        for name in identifiers {
            let name = given(name, "identifiers")?;
            let Some((kind, value)) = name.split_once(':') else {
                return Err(CdpError::invalid_parameter(format!("\"{name}\" is no identifier"))
                    .with_hint("Write type:value, such as 'email:ann@example.com'."));
            };
            let known = value::strong(ws, &rules, kind, value)?;
            if known.profile_id != Some(live) {
                return Err(CdpError::wrong_state(format!(
                    "{kind} \"{value}\" is not an identifier of profile {live}"
                ))
                .with_hint("SELECT * FROM cdp_identity_graph(profile_id) lists its identifiers."));
            }
            apart.push(known.node_id);
            names.push(format!("{kind}:{}", value::told(ws, rules.named(kind)?, value)?));
        }
        apart.sort_unstable();
        apart.dedup();
        let rest = spi::rows_cached(
            &ws.sql("SELECT n.node_id FROM @ws@.node n WHERE n.profile_id = $1 AND n.node_id <> ALL ($2)"),
            &[live.into(), apart.clone().into()],
            |row| spi::must::<i64>(row, 1),
        )?;
        if apart.is_empty() || rest.is_empty() {
            return Err(CdpError::invalid_parameter("a split needs identifiers on both sides")
                .with_hint("Name at least one identifier of the profile, and not all of them."));
        }
        let operation =
            begin(ws, "split", json!({"profile_id": profile_id, "identifiers": names}), Some(reason), actor)?;
        spi::run_cached(
            &ws.sql(
                "INSERT INTO @ws@.identity_override (operation_id, kind, node_id, other_id) \
                 SELECT DISTINCT $1, 'unlink', e.from_node, e.to_node FROM @ws@.edge e \
                 WHERE (e.from_node = ANY ($2) AND e.to_node = ANY ($3)) OR (e.to_node = ANY ($2) AND e.from_node = ANY ($3))",
            ),
            &[operation.into(), apart.clone().into(), rest.clone().into()],
        )?;
        // What is seen later may tie them by another way: the most telling of both sides stay apart.
        let most_telling = |some: &[i64]| {
            spi::rows_cached(
                &ws.sql(
                    "SELECT n.node_id FROM @ws@.node n JOIN @ws@.identifier_type t USING (type_id) WHERE n.node_id = ANY ($1) ORDER BY t.priority, n.node_id LIMIT 1",
                ),
                &[some.to_vec().into()],
                |row| spi::must::<i64>(row, 1),
            )
            .map(|found| found.into_iter().next())
        };
        if let (Some(a), Some(b)) = (most_telling(&apart)?, most_telling(&rest)?) {
            decide(ws, operation, "cannot_link", a.min(b), a.max(b))?;
        }
        apart.extend(rest);
        finish(ws, operation, &around(ws, &rules, apart)?)
    })?)
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_identity_revert(
    operation_id: Option<i64>,
    reason: Option<&str>,
    actor: default!(Option<&str>, "NULL"),
) -> Result<JsonB, ErrorReport> {
    Ok(workspace::enter_small(|ws| {
        let (operation_id, reason) = (given(operation_id, "operation_id")?, said(reason)?);
        ws.lock()?;
        revert(ws, operation_id, reason, actor)
    })?)
}

/// Takes an operation back.
fn revert(ws: &Workspace, operation_id: i64, reason: &str, actor: Option<&str>) -> Result<JsonB, CdpError> {
    let found = spi::rows_cached(
        &ws.sql("SELECT o.kind, o.arguments, o.reverted_by FROM @ws@.identity_operation o WHERE o.operation_id = $1"),
        &[operation_id.into()],
        |row| Ok((spi::must::<String>(row, 1)?, spi::must::<JsonB>(row, 2)?.0, row.get::<i64>(3)?)),
    )?;
    let Some((kind, arguments, reverted_by)) = found.into_iter().next() else {
        return Err(CdpError::undefined_object("operation", &operation_id.to_string())
            .with_hint(format!("See the view {}.identity_operations.", ws.schema())));
    };
    if let Some(by) = reverted_by {
        return Err(CdpError::wrong_state(format!("operation {operation_id} was reverted by operation {by}"))
            .with_hint("Do it anew if it is to hold again."));
    }
    if kind == "revert" {
        return Err(CdpError::wrong_state(format!("operation {operation_id} only took another one back"))
            .with_hint("Do that one anew if it is to hold again."));
    }
    if kind == "policy" {
        return Err(CdpError::wrong_state(format!("operation {operation_id} chose a policy"))
            .with_hint("Choose the other one with cdp_identity_policy()."));
    }
    let by = begin(ws, "revert", json!({"operation": operation_id}), Some(reason), actor)?;
    spi::run_cached(
        &ws.sql("UPDATE @ws@.identity_operation SET reverted_by = $2 WHERE operation_id = $1"),
        &[operation_id.into(), by.into()],
    )?;
    if kind == "rule" {
        let name = arguments["type"].as_str().unwrap_or_default().to_owned();
        let cause = Cause { source_id: 0, operation_id: Some(by) };
        let outcome = types::change(ws, &[(name, arguments["before"].clone())], cause)?;
        return enter(ws, by, &outcome);
    }
    let rules = Rules::load(ws)?;
    let pairs = spi::rows_cached(
        &ws.sql(
            "DELETE FROM @ws@.identity_override o WHERE o.operation_id = $1 RETURNING o.kind, o.node_id, o.other_id",
        ),
        &[operation_id.into()],
        |row| Ok((spi::must::<String>(row, 1)?, spi::must::<i64>(row, 2)?, spi::must::<i64>(row, 3)?)),
    )?;
    let mut nodes = Vec::new();
    let mut seeds = Vec::new();
    for (kind, a, b) in pairs {
        nodes.extend([a, b]);
        match kind.as_str() {
            "link" => {
                spi::run_cached(
                    &ws.sql("DELETE FROM @ws@.edge e WHERE e.from_node = $1 AND e.to_node = $2 AND e.source_id = 0"),
                    &[a.into(), b.into()],
                )?;
                // What it lifted holds again, unless that was taken back in the meantime.
                let lifted: Vec<i64> =
                    arguments["lifted"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect();
                spi::run_cached(
                    &ws.sql(
                        "INSERT INTO @ws@.identity_override (operation_id, kind, node_id, other_id) \
                         SELECT o.operation_id, 'unlink', $2, $3 FROM @ws@.identity_operation o WHERE o.operation_id = ANY ($1) AND o.reverted_by IS NULL",
                    ),
                    &[lifted.into(), a.into(), b.into()],
                )?;
            }
            "block" => {
                // A list may still have it.
                hub::quarantine(ws, vec![a], vec![None])?;
                types::listed(ws, &rules, a)?;
                seeds.extend(hub::neighbours(ws, &[a])?);
            }
            _ => {}
        }
    }
    nodes.sort_unstable();
    nodes.dedup();
    seeds.extend(around(ws, &rules, nodes)?);
    finish(ws, by, &seeds)
}
