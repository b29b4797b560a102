//! `cdp_identify`: one sight of some identifiers together, in the transaction of the caller.
//!
//! It does what a row of a source does, without temporary tables: a handful of kept plans, of which known identifiers of one person need three.

use super::arrive;
use super::govern::{self, Cause};
use super::rules::Rules;
use super::stitch::{self, Batch};
use super::{hub, operate, value};
use crate::error::{CdpError, given};
use crate::pg::spi;
use crate::workspace::{self, Workspace};
use pgrx::JsonB;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::Value;
use std::collections::BTreeSet;

#[pg_extern(
    sql = "CREATE FUNCTION cdp_identify(identifiers jsonb, source text DEFAULT 'api', at timestamptz DEFAULT NULL) RETURNS bigint VOLATILE PARALLEL UNSAFE LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';"
)]
fn cdp_identify(
    identifiers: Option<JsonB>,
    source: Option<&str>,
    at: Option<TimestampWithTimeZone>,
) -> Result<i64, ErrorReport> {
    Ok(workspace::enter_small(|ws| {
        let Value::Object(identifiers) = given(identifiers, "identifiers")?.0 else {
            return Err(CdpError::invalid_parameter("identifiers are a JSON object of types and values")
                .with_hint(r#"Write them as in '{"email": "ann@example.com", "cookie": ["c1", "c2"]}'."#));
        };
        let source = given(source, "source")?;
        ws.lock()?;
        let rules = Rules::load(ws)?;
        let mut wanted = Vec::new();
        for (name, values) in &identifiers {
            let ty = rules.named(name)?;
            let values = match values {
                Value::Array(values) => values.as_slice(),
                one => std::slice::from_ref(one),
            };
            for value in values {
                let text = match value {
                    Value::Null => continue,
                    Value::String(text) => text.clone(),
                    Value::Number(number) => number.to_string(),
                    other => {
                        return Err(CdpError::invalid_parameter(format!(
                            "{other} is no value of identifier type \"{name}\""
                        ))
                        .with_hint("Give a text or a number, or an array of them."));
                    }
                };
                let Some(kept) = value::kept_form(ws, ty, &text)? else {
                    return Err(CdpError::invalid_parameter(format!("\"{text}\" is not a valid {name}"))
                        .with_hint("Leave out identifiers that are not known."));
                };
                if kept.len() > MOST_BYTES {
                    return Err(CdpError::invalid_parameter(format!(
                        "a value of identifier type \"{name}\" is longer than {MOST_BYTES} bytes"
                    )));
                }
                let plain = if ty.hashed { value::plain_form(ws, ty, &text)? } else { None };
                wanted.push(Wanted { type_id: ty.type_id, plain: plain.unwrap_or_else(|| kept.clone()), kept });
            }
        }
        wanted.sort_by(|a, b| (a.type_id, &a.kept).cmp(&(b.type_id, &b.kept)));
        wanted.dedup_by(|a, b| (a.type_id, &a.kept) == (b.type_id, &b.kept));
        see(ws, &rules, &wanted, source, at)
    })?)
}

/// The longest value that is kept: longer ones do not fit an index.
const MOST_BYTES: usize = 1024;

/// An identifier as it came.
struct Wanted {
    type_id: i32,
    kept: String,
    plain: String,
}

/// An identifier that is entered.
struct Seen {
    node_id: i64,
    type_id: i32,
    profile: Option<(i64, i64, bool)>,
    quarantine: Option<String>,
}

/// Takes a sight of identifiers; gives the profile of the most telling one that links.
fn see(
    ws: &Workspace,
    rules: &Rules,
    wanted: &[Wanted],
    source: &str,
    at: Option<TimestampWithTimeZone>,
) -> Result<i64, CdpError> {
    let (source_id, trust) = source_of(ws, source)?;
    let (known, overridden) = look_up(ws, wanted)?;
    if known.len() < wanted.len() {
        refuse_blocked(ws, rules, wanted, &known)?;
    }
    let mut seen = nodes(ws, wanted, known, source_id, at)?;
    // The most telling first, as a row keeps its facts.
    let rank = |s: &Seen| {
        rules.get(s.type_id).map_or((true, true, i32::MAX), |ty| (!ty.strong, s.quarantine.is_some(), ty.priority))
    };
    seen.sort_by_key(|s| (rank(s), s.node_id));
    let strong = |s: &Seen| rules.get(s.type_id).is_ok_and(|ty| ty.strong);
    let Some(first) = seen.first().filter(|s| strong(s)) else {
        return Err(CdpError::invalid_parameter("no strong identifier is given")
            .with_hint("Weak identifiers, such as ip, belong to nobody: give at least one that is strong."));
    };
    let first = first.node_id;
    let fresh = edges(ws, rules, &seen, source_id, trust, at)?;

    let linking: Vec<&Seen> = seen.iter().filter(|s| strong(s) && s.quarantine.is_none()).collect();
    let profiles: BTreeSet<Option<i64>> = linking.iter().map(|s| s.profile.map(|p| p.0)).collect();
    let contested = linking.iter().any(|s| s.profile.is_some_and(|p| p.2));
    let settled = profiles.len() <= 1 && !profiles.contains(&None) && !contested;
    if ws.arrival {
        let row: Vec<i64> = linking.iter().map(|s| s.node_id).collect();
        let cause = Cause { source_id, operation_id: None };
        let derived = arrive::arrive(ws, rules, &[row], &fresh, cause, false)?;
        let decided = if overridden { decided(ws, &seen, &linking)? } else { Vec::new() };
        if govern::judge(ws, &decided, cause, derived)?.derived || derived {
            operate::derive(ws)?;
        }
        return home(ws, first);
    }
    let mut around = Vec::new();
    if !fresh.is_empty() {
        let grown: Vec<i64> = seen
            .iter()
            .filter(|s| s.quarantine.is_none() && fresh.iter().any(|(a, b)| *a == s.node_id || *b == s.node_id))
            .map(|s| s.node_id)
            .collect();
        let turned = hub::judge(ws, rules, &hub::many(ws, rules, &grown)?)?;
        around = hub::neighbours(ws, &turned)?;
    }
    if overridden {
        around.extend(decided(ws, &seen, &linking)?);
    }
    around.extend(crowded(ws, rules, &linking)?);
    if settled && around.is_empty() {
        // Nothing changed hands: the most telling one is where it was.
        let known = seen.iter().find(|s| s.node_id == first).and_then(|s| s.profile);
        return known.map_or_else(|| home(ws, first), |(profile, ..)| Ok(profile));
    }
    let mut batch = Batch::default();
    let row: Vec<i64> = linking.iter().map(|s| s.node_id).filter(|node| !around.contains(node)).collect();
    batch.rows.push(&row);
    for s in linking.iter().filter(|s| row.contains(&s.node_id)) {
        batch.nodes.push(s.node_id);
        batch.type_of.insert(s.node_id, s.type_id);
        if let Some((profile, created_at, contested)) = s.profile {
            batch.know(s.node_id, profile, created_at, contested);
        }
    }
    batch.nodes.sort_unstable();
    // What has to be judged is judged with all that the row shows.
    if !around.is_empty() {
        around.extend(linking.iter().map(|s| s.node_id));
        batch = Batch::default();
    }
    if stitch::join(ws, rules, batch, around, Cause { source_id, operation_id: None }, false)? {
        operate::derive(ws)?;
    }
    home(ws, first)
}

/// The profile of an identifier.
fn home(ws: &Workspace, node_id: i64) -> Result<i64, CdpError> {
    spi::rows_cached(&ws.sql("SELECT n.profile_id FROM @ws@.node n WHERE n.node_id = $1"), &[node_id.into()], |row| {
        spi::must::<i64>(row, 1)
    })?
    .into_iter()
    .next()
    .ok_or_else(|| CdpError::internal("an identifier is gone"))
}

/// Number and trust in hundredths of a source; one that is not known is made.
fn source_of(ws: &Workspace, name: &str) -> Result<(i32, i32), CdpError> {
    let read = |row: &pgrx::spi::SpiHeapTupleData| Ok((spi::must::<i32>(row, 1)?, spi::must::<i32>(row, 2)?));
    let found = spi::rows_cached(
        &ws.sql("SELECT s.source_id, s.trust FROM @ws@.source s WHERE s.name = $1"),
        &[name.into()],
        read,
    )?;
    if let Some(found) = found.into_iter().next() {
        return Ok(found);
    }
    if name.is_empty() || name.len() > 63 {
        return Err(CdpError::invalid_parameter(format!("\"{name}\" cannot be the name of a source"))
            .with_hint("Choose a name of 1 to 63 bytes, such as api."));
    }
    spi::rows_cached(
        &ws.sql("INSERT INTO @ws@.source (name, relation, mapping, trust) VALUES ($1, '', '{}', 50) RETURNING source_id, trust"),
        &[name.into()],
        read,
    )?
    .into_iter()
    .next()
    .ok_or_else(|| CdpError::internal("a source was not entered"))
}

/// The identifiers that are known, and whether there is any decision of an operator that may be about them.
fn look_up(ws: &Workspace, wanted: &[Wanted]) -> Result<(Vec<(Seen, String)>, bool), CdpError> {
    let types: Vec<i32> = wanted.iter().map(|w| w.type_id).collect();
    let values: Vec<String> = wanted.iter().map(|w| w.kept.clone()).collect();
    let mut overridden = false;
    let known = spi::rows_cached(
        &ws.sql(
            "SELECT n.node_id, n.type_id, n.value, n.quarantine, n.profile_id, p.created_at, p.contested, EXISTS (SELECT FROM @ws@.identity_override) \
             FROM unnest($1::pg_catalog.int4[], $2::pg_catalog.text[]) AS x(type_id, value) JOIN @ws@.node n ON n.type_id = x.type_id AND n.value = x.value \
             LEFT JOIN @ws@.profile p ON p.profile_id = n.profile_id",
        ),
        &[types.into(), values.into()],
        |row| {
            let profile = match row.get::<i64>(5)? {
                Some(profile) => Some((
                    profile,
                    i64::from(spi::must::<TimestampWithTimeZone>(row, 6)?),
                    spi::must::<bool>(row, 7)?,
                )),
                None => None,
            };
            overridden |= spi::must::<bool>(row, 8)?;
            let seen = Seen { node_id: spi::must(row, 1)?, type_id: spi::must(row, 2)?, quarantine: row.get(4)?, profile };
            Ok((seen, spi::must::<String>(row, 3)?))
        },
    )?;
    Ok((known, overridden))
}

/// # Errors
/// 23514 for a value that is never an identifier.
fn refuse_blocked(ws: &Workspace, rules: &Rules, wanted: &[Wanted], known: &[(Seen, String)]) -> Result<(), CdpError> {
    let fresh: Vec<&Wanted> = wanted
        .iter()
        .filter(|w| !known.iter().any(|(seen, value)| seen.type_id == w.type_id && *value == w.kept))
        .collect();
    let types: Vec<i32> = fresh.iter().map(|w| w.type_id).collect();
    let values: Vec<String> = fresh.iter().map(|w| w.plain.to_lowercase()).collect();
    let blocked = spi::rows_cached(
        &ws.sql(
            "SELECT x.type_id, x.value, b.reason FROM unnest($1::pg_catalog.int4[], $2::pg_catalog.text[]) AS x(type_id, value) JOIN @ws@.blocked_value b \
             ON (b.type_id IS NULL OR b.type_id = x.type_id) AND (b.value = x.value OR x.value ~ b.pattern) LIMIT 1",
        ),
        &[types.into(), values.into()],
        |row| Ok((spi::must::<i32>(row, 1)?, spi::must::<String>(row, 2)?, spi::must::<String>(row, 3)?)),
    )?;
    let Some((type_id, value, reason)) = blocked.into_iter().next() else { return Ok(()) };
    let name = &rules.get(type_id)?.name;
    Err(CdpError::not_allowed(format!("{name} \"{value}\" is blocked: {reason}"))
        .with_hint("Leave out values that name nobody."))
}

/// Enters identifiers that are new, and when the others were seen.
fn nodes(
    ws: &Workspace,
    wanted: &[Wanted],
    known: Vec<(Seen, String)>,
    source_id: i32,
    at: Option<TimestampWithTimeZone>,
) -> Result<Vec<Seen>, CdpError> {
    let mut seen = Vec::with_capacity(wanted.len());
    let mut values = Vec::with_capacity(known.len());
    for (known, value) in known {
        values.push((known.type_id, value));
        seen.push(known);
    }
    if at.is_some() && !seen.is_empty() {
        let ids: Vec<i64> = seen.iter().map(|s| s.node_id).collect();
        spi::run_cached(
            &ws.sql(
                "UPDATE @ws@.node n SET first_seen = least(n.first_seen, $2), last_seen = greatest(n.last_seen, $2) \
                 WHERE n.node_id = ANY ($1) AND (n.first_seen > $2 OR n.last_seen < $2)",
            ),
            &[ids.into(), at.into()],
        )?;
    }
    let (mut types, mut fresh) = (Vec::new(), Vec::new());
    for w in wanted.iter().filter(|w| !values.iter().any(|(ty, value)| *ty == w.type_id && *value == w.kept)) {
        types.push(w.type_id);
        fresh.push(w.kept.clone());
    }
    if !fresh.is_empty() {
        seen.extend(spi::rows_cached(
            &ws.sql(
                "INSERT INTO @ws@.node (type_id, value, source_id, first_seen, last_seen) \
                 SELECT x.type_id, x.value, $3, coalesce($4, now()), coalesce($4, now()) FROM unnest($1::pg_catalog.int4[], $2::pg_catalog.text[]) AS x(type_id, value) \
                 RETURNING node_id, type_id",
            ),
            &[types.into(), fresh.into(), source_id.into(), at.into()],
            |row| Ok(Seen { node_id: spi::must(row, 1)?, type_id: spi::must(row, 2)?, profile: None, quarantine: None }),
        )?);
    }
    Ok(seen)
}

/// Enters an edge for every two identifiers. Gives those between strong ones that the source had not shown before.
fn edges(
    ws: &Workspace,
    rules: &Rules,
    seen: &[Seen],
    source_id: i32,
    trust: i32,
    at: Option<TimestampWithTimeZone>,
) -> Result<BTreeSet<(i64, i64)>, CdpError> {
    let (mut from, mut to, mut states, mut reasons) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (i, one) in seen.iter().enumerate() {
        for other in seen.iter().skip(i + 1) {
            let (a, b) = if one.node_id < other.node_id { (one, other) } else { (other, one) };
            from.push(a.node_id);
            to.push(b.node_id);
            let (left, right) = (rules.get(a.type_id)?, rules.get(b.type_id)?);
            let hindered = [(a, left), (b, right)].into_iter().find_map(|(s, ty)| Some((s.quarantine.as_ref()?, ty)));
            let (state, reason) = match hindered {
                _ if !(left.strong && right.strong) => ("weak", None),
                Some((quarantine, ty)) => ("suspended", Some(format!("{}: {quarantine}", ty.name))),
                None => ("accepted", None),
            };
            states.push(state.to_owned());
            reasons.push(reason);
        }
    }
    if from.is_empty() {
        return Ok(BTreeSet::new());
    }
    let fresh = spi::rows_cached(
        &ws.sql(
            "INSERT INTO @ws@.edge AS e (from_node, to_node, source_id, trust, state, reason, first_seen, last_seen) \
             SELECT x.a, x.b, $5, $6 / 100.0, x.state, x.reason, coalesce($7, now()), coalesce($7, now()) \
             FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[], $3::pg_catalog.text[], $4::pg_catalog.text[]) AS x(a, b, state, reason) \
             ON CONFLICT (from_node, to_node, source_id) DO UPDATE SET first_seen = least(e.first_seen, excluded.first_seen), last_seen = greatest(e.last_seen, excluded.last_seen) \
             WHERE $7 IS NOT NULL AND (excluded.first_seen < e.first_seen OR excluded.last_seen > e.last_seen) \
             RETURNING e.from_node, e.to_node, e.xmax = 0 AND e.state <> 'weak'",
        ),
        &[from.into(), to.into(), states.into(), reasons.into(), source_id.into(), trust.into(), at.into()],
        |row| Ok((spi::must::<i64>(row, 1)?, spi::must::<i64>(row, 2)?, spi::must::<bool>(row, 3)?)),
    )?;
    Ok(fresh.into_iter().filter(|(_, _, fresh)| *fresh).map(|(a, b, _)| (a, b)).collect())
}

/// Identifiers about which operators decided: a pair among them, of which a link counts for quarantined ones too, or a profile that is to stay apart from
/// another one.
fn decided(ws: &Workspace, seen: &[Seen], linking: &[&Seen]) -> Result<Vec<i64>, CdpError> {
    let ids: Vec<i64> = seen.iter().map(|s| s.node_id).collect();
    let profiles: Vec<i64> = linking.iter().filter_map(|s| s.profile.map(|p| p.0)).collect();
    spi::rows_cached(
        &ws.sql(
            "SELECT o.node_id FROM @ws@.identity_override o WHERE o.kind IN ('unlink', 'link') AND o.node_id = ANY ($1) AND o.other_id = ANY ($1) \
             UNION ALL SELECT o.node_id FROM @ws@.identity_override o JOIN @ws@.node n ON n.node_id IN (o.node_id, o.other_id) \
             WHERE o.kind = 'cannot_link' AND (n.node_id = ANY ($1) OR n.profile_id = ANY ($2))",
        ),
        &[ids.into(), profiles.into()],
        |row| spi::must::<i64>(row, 1),
    )
}

/// Identifiers of types with a limit within a window, in profiles with more of them than that.
fn crowded(ws: &Workspace, rules: &Rules, linking: &[&Seen]) -> Result<Vec<i64>, CdpError> {
    let mut found = Vec::new();
    for s in linking {
        let ty = rules.get(s.type_id)?;
        let (Some(limit), Some(_), Some((profile, ..))) = (ty.limit, ty.window_micros, s.profile) else { continue };
        let many = spi::rows_cached(
            &ws.sql("SELECT count(*) > $3 FROM @ws@.node n WHERE n.profile_id = $1 AND n.type_id = $2"),
            &[profile.into(), s.type_id.into(), i64::from(limit).into()],
            |row| spi::must::<bool>(row, 1),
        )?;
        if many.first() == Some(&true) {
            found.push(s.node_id);
        }
    }
    Ok(found)
}
