//! `cdp_identifier_type_create`, `cdp_identifier_type_alter`: the rules of an identifier type. A change of rules judges anew what it touches, and nothing else.

use super::govern::{Cause, Outcome};
use super::hub;
use super::operate::{begin, enter, settle};
use super::rules::{IdentifierType, Rules};
use super::value::kept_form;
use crate::error::{CdpError, given};
use crate::pg::json::JsonText;
use crate::pg::spi;
use crate::workspace::{self, Workspace};
use pg_cdp_core::expr::error::nearest;
use pg_cdp_core::norm::Normaliser;
use pgrx::JsonB;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The settings of an identifier type, as people write them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    normaliser: String,
    strength: String,
    priority: i32,
    level: String,
    max_per_profile: Option<i32>,
    max_window: Option<String>,
    scope_separator: Option<String>,
    shared: String,
    degree_cap: Option<i32>,
    person_cap: Option<i32>,
    pii: bool,
    storage: String,
    description: String,
    blocked: Vec<Blocked>,
}

/// A value, or a pattern of values, of the type that never links.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Blocked {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pattern: Option<String>,
    reason: String,
}

/// The words that some settings take.
const WORDS: [(&str, &[&str]); 4] = [
    ("strength", &["strong", "weak"]),
    ("level", &["person", "device"]),
    ("shared", &["last", "first", "nobody"]),
    ("storage", &["plain", "hmac"]),
];

impl Settings {
    /// What a new type has that says nothing: priority behind all others, which stays what it is.
    fn new(ws: &Workspace) -> Result<Self, CdpError> {
        let priority =
            spi::one::<i32>(&ws.sql("SELECT coalesce(max(t.priority), 0) + 10 FROM @ws@.identifier_type t"), &[])?;
        Ok(Self {
            normaliser: "exact".to_owned(),
            strength: "strong".to_owned(),
            priority: priority.unwrap_or(10),
            level: "person".to_owned(),
            max_per_profile: None,
            max_window: None,
            scope_separator: None,
            shared: "last".to_owned(),
            degree_cap: None,
            person_cap: Some(20),
            pii: false,
            storage: "plain".to_owned(),
            description: String::new(),
            blocked: Vec::new(),
        })
    }

    /// Those of a type.
    fn of(ws: &Workspace, type_id: i32) -> Result<Self, CdpError> {
        let mut blocked = spi::rows(
            &ws.sql("SELECT b.value, b.pattern, b.reason FROM @ws@.blocked_value b WHERE b.type_id = $1"),
            &[type_id.into()],
            |row| Ok(Blocked { value: row.get(1)?, pattern: row.get(2)?, reason: spi::must(row, 3)? }),
        )?;
        blocked.sort();
        let found = spi::rows(
            &ws.sql(
                "SELECT t.normaliser, t.strength, t.priority, t.level, t.max_per_profile, t.max_window::pg_catalog.text, t.scope_separator, t.shared, t.degree_cap, t.person_cap, \
                        t.pii, t.storage, t.description FROM @ws@.identifier_type t WHERE t.type_id = $1",
            ),
            &[type_id.into()],
            |row| {
                Ok(Self {
                    normaliser: spi::must(row, 1)?,
                    strength: spi::must(row, 2)?,
                    priority: spi::must(row, 3)?,
                    level: spi::must(row, 4)?,
                    max_per_profile: row.get(5)?,
                    max_window: row.get(6)?,
                    scope_separator: row.get(7)?,
                    shared: spi::must(row, 8)?,
                    degree_cap: row.get(9)?,
                    person_cap: row.get(10)?,
                    pii: spi::must(row, 11)?,
                    storage: spi::must(row, 12)?,
                    description: spi::must(row, 13)?,
                    blocked: blocked.clone(),
                })
            },
        )?;
        found.into_iter().next().ok_or_else(|| CdpError::internal(format!("identifier type {type_id} is gone")))
    }

    /// These settings with some of them replaced.
    ///
    /// # Errors
    /// 22023 for an unknown setting or a value that it cannot have.
    fn with(&self, changes: &Value) -> Result<Self, CdpError> {
        let Value::Object(changes) = changes else {
            return Err(CdpError::invalid_parameter("settings of an identifier type are a JSON object")
                .with_hint(r#"Write them as in '{"max_per_profile": 5, "shared": "last"}'."#));
        };
        let Value::Object(mut all) = json!(self) else { return Err(CdpError::internal("settings are no object")) };
        for (key, value) in changes {
            if !all.contains_key(key) {
                let known: Vec<String> = all.keys().cloned().collect();
                let hint = match nearest(key, known.iter().cloned()) {
                    Some(near) => format!("Did you mean \"{near}\"?"),
                    None => format!("Settings are {}.", known.join(", ")),
                };
                return Err(
                    CdpError::invalid_parameter(format!("an identifier type has no setting \"{key}\"")).with_hint(hint)
                );
            }
            if let Some((_, words)) = WORDS.iter().find(|(name, _)| name == key)
                && !value.as_str().is_some_and(|word| words.contains(&word))
            {
                return Err(CdpError::invalid_parameter(format!("setting \"{key}\" cannot be {value}"))
                    .with_hint(format!("It is one of {}.", words.join(", "))));
            }
            all.insert(key.clone(), value.clone());
        }
        let mut new: Self = serde_json::from_value(Value::Object(all.clone())).map_err(|e| {
            // Which one it is serde does not say: the first that does not fit alone.
            let Value::Object(old) = json!(self) else { return CdpError::invalid_parameter(e.to_string()) };
            let culprit = changes.iter().find(|(key, value)| {
                let mut one: Map<String, Value> = old.clone();
                one.insert((*key).clone(), (*value).clone());
                serde_json::from_value::<Self>(Value::Object(one)).is_err()
            });
            match culprit {
                Some((key, value)) => CdpError::invalid_parameter(format!("setting \"{key}\" cannot be {value}"))
                    .with_detail(e.to_string())
                    .with_hint("See the table of settings in docs/identity.md."),
                None => CdpError::invalid_parameter(e.to_string()),
            }
        })?;
        new.blocked.sort();
        new.validate()?;
        Ok(new)
    }

    fn validate(&self) -> Result<(), CdpError> {
        Normaliser::parse(&self.normaliser)?;
        for (key, number, least) in [
            ("max_per_profile", self.max_per_profile, 1),
            ("degree_cap", self.degree_cap, 0),
            ("person_cap", self.person_cap, 0),
        ] {
            if number.is_some_and(|number| number < least) {
                return Err(CdpError::invalid_parameter(format!(
                    "setting \"{key}\" cannot be {}",
                    number.unwrap_or_default()
                ))
                .with_hint(format!("Give {least} or more, or null for any number.")));
            }
        }
        if self.max_window.is_some() && self.max_per_profile.is_none() {
            return Err(CdpError::invalid_parameter(
                "setting \"max_window\" says within which span \"max_per_profile\" counts",
            )
            .with_hint("Give both."));
        }
        if let Some(window) = &self.max_window
            && spi::one::<bool>("SELECT $1::pg_catalog.interval > '0'", &[window.as_str().into()])? != Some(true)
        {
            return Err(CdpError::invalid_parameter(format!("setting \"max_window\" cannot be \"{window}\""))
                .with_hint("Give a span of time, such as \"30 days\"."));
        }
        if self.scope_separator.as_deref() == Some("") {
            return Err(CdpError::invalid_parameter("setting \"scope_separator\" cannot be empty")
                .with_hint("Give what parts the scope from the value, such as \":\", or null for one scope."));
        }
        for blocked in &self.blocked {
            if blocked.value.is_some() == blocked.pattern.is_some() {
                return Err(CdpError::invalid_parameter("a blocked entry has a value or a pattern")
                    .with_hint(r#"Write {"value": "x", "reason": "why"} or {"pattern": "^x", "reason": "why"}."#));
            }
        }
        Ok(())
    }

    /// Writes them; `type_id` is null for a new type. Gives its number.
    fn write(&self, ws: &Workspace, name: &str, type_id: Option<i32>) -> Result<i32, CdpError> {
        let columns = "normaliser, strength, priority, level, max_per_profile, max_window, scope_separator, shared, degree_cap, person_cap, pii, storage, description";
        let values = "$2, $3, $4, $5, $6, $7::pg_catalog.text::pg_catalog.interval, $8, $9, $10, $11, $12, $13, $14";
        let sql = match type_id {
            None => {
                format!("INSERT INTO @ws@.identifier_type (name, {columns}) VALUES ($1, {values}) RETURNING type_id")
            }
            Some(_) => {
                format!("UPDATE @ws@.identifier_type SET ({columns}) = ROW({values}) WHERE name = $1 RETURNING type_id")
            }
        };
        let args = [
            name.into(),
            self.normaliser.as_str().into(),
            self.strength.as_str().into(),
            self.priority.into(),
            self.level.as_str().into(),
            self.max_per_profile.into(),
            self.max_window.as_deref().into(),
            self.scope_separator.as_deref().into(),
            self.shared.as_str().into(),
            self.degree_cap.into(),
            self.person_cap.into(),
            self.pii.into(),
            self.storage.as_str().into(),
            self.description.as_str().into(),
        ];
        let type_id = spi::one::<i32>(&ws.sql(&sql), &args)?
            .ok_or_else(|| CdpError::internal("an identifier type was not written"))?;
        spi::run(&ws.sql("DELETE FROM @ws@.blocked_value b WHERE b.type_id = $1"), &[type_id.into()])?;
        for blocked in &self.blocked {
            // A pattern that is none is found now and not by the next row.
            spi::one::<bool>("SELECT '' ~ $1", &[blocked.pattern.as_deref().into()])?;
            spi::run(
                &ws.sql(
                    "INSERT INTO @ws@.blocked_value (type_id, value, pattern, reason) VALUES ($1, lower($2), $3, $4)",
                ),
                &[
                    type_id.into(),
                    blocked.value.as_deref().into(),
                    blocked.pattern.as_deref().into(),
                    blocked.reason.as_str().into(),
                ],
            )?;
        }
        Ok(type_id)
    }
}

/// Makes an identifier type with the settings of one of which nothing is said, unless there is one. Needs the workspace lock.
pub fn ensure(ws: &Workspace, name: &str) -> Result<(), CdpError> {
    if Rules::load(ws)?.types.iter().any(|known| known.name == name) {
        return Ok(());
    }
    Settings::new(ws)?.write(ws, name, None).map(|_| ())
}

/// Changes the rules of some types and judges anew what that touches. Gives what changed and the settings before, by type.
pub fn change(ws: &Workspace, changes: &[(String, Value)], cause: Cause) -> Result<Outcome, CdpError> {
    let mut seeds = Vec::new();
    for (name, change) in changes {
        let type_id = Rules::load(ws)?.named(name)?.type_id;
        let before = Settings::of(ws, type_id)?;
        let after = before.with(change)?;
        refuse(ws, name, type_id, &before, &after)?;
        after.write(ws, name, Some(type_id))?;
        seeds.extend(touched(ws, type_id, &before, &after)?);
    }
    settle(ws, cause, &seeds)
}

/// What cannot be changed once there are identifiers of the type.
fn refuse(ws: &Workspace, name: &str, type_id: i32, before: &Settings, after: &Settings) -> Result<(), CdpError> {
    let any =
        spi::one::<bool>(&ws.sql("SELECT true FROM @ws@.node n WHERE n.type_id = $1 LIMIT 1"), &[type_id.into()])?
            .is_some();
    if !any {
        return Ok(());
    }
    let refused = |what: &str, hint: &str| {
        Err(CdpError::wrong_state(format!(
            "{what} of identifier type \"{name}\" cannot change: there are identifiers of it"
        ))
        .with_hint(hint.to_owned()))
    };
    if before.normaliser != after.normaliser {
        return refused(
            "the normaliser",
            "Make another type with cdp_identifier_type_create() and map the sources to it.",
        );
    }
    if before.storage == "hmac" && after.storage == "plain" {
        return refused("the storage", "What is kept as a keyed hash cannot be read back.");
    }
    if before.storage == "hmac" && before.scope_separator != after.scope_separator {
        return refused("the scope", "It is part of how the values were hashed.");
    }
    if before.strength == "strong" && after.strength == "weak" {
        return refused(
            "the strength",
            "Set degree_cap to 0: its values then link nobody, and what was observed on them is kept with them.",
        );
    }
    Ok(())
}

/// Writes what a change of settings says about identifiers directly, and gives those whose links have to be judged anew.
fn touched(ws: &Workspace, type_id: i32, before: &Settings, after: &Settings) -> Result<Vec<i64>, CdpError> {
    let rules = Rules::load(ws)?;
    let ty = rules.get(type_id)?;
    let read = |row: &pgrx::spi::SpiHeapTupleData| spi::must::<i64>(row, 1);
    let mut seeds = Vec::new();
    let mut counted = Vec::new();
    if before.blocked != after.blocked {
        // As long as the values can be read.
        let lists = Lists { hashed: before.storage == "hmac", before: &before.blocked, after: &after.blocked };
        counted.extend(block_listed(ws, ty, &lists, None, &mut seeds)?);
    }
    if before.storage != after.storage {
        spi::run(
            &ws.sql(
                "UPDATE @ws@.node n SET value = @ext@._cdp_keyed(t.name, t.scope_separator, n.value) FROM @ws@.identifier_type t WHERE t.type_id = $1 AND n.type_id = $1",
            ),
            &[type_id.into()],
        )?;
        forget(ws, ty)?;
    }
    if before.strength != after.strength {
        // An edge links when both its ends may; what is entered so is judged below.
        spi::run(
            &ws.sql(
                "UPDATE @ws@.edge e SET state = 'suspended' FROM @ws@.node a, @ws@.node b, @ws@.identifier_type s, @ws@.identifier_type t \
                 WHERE a.node_id = e.from_node AND b.node_id = e.to_node AND s.type_id = a.type_id AND t.type_id = b.type_id AND e.state = 'weak' \
                   AND (a.type_id = $1 OR b.type_id = $1) AND s.strength = 'strong' AND t.strength = 'strong'",
            ),
            &[type_id.into()],
        )?;
        let nodes =
            spi::rows(&ws.sql("SELECT n.node_id FROM @ws@.node n WHERE n.type_id = $1"), &[type_id.into()], read)?;
        let near = hub::neighbours(ws, &nodes)?;
        seeds.extend(near.iter().copied());
        counted.extend(near);
    }
    if (before.max_per_profile, &before.max_window, &before.scope_separator, &before.shared, before.priority)
        != (after.max_per_profile, &after.max_window, &after.scope_separator, &after.shared, after.priority)
    {
        // Where a rule was applied already, or where the new limit is exceeded.
        seeds.extend(spi::rows(
            &ws.sql(
                "SELECT n.node_id FROM @ws@.node n JOIN @ws@.profile p ON p.profile_id = n.profile_id WHERE n.type_id = $1 AND p.contested \
                 UNION SELECT min(n.node_id) FROM @ws@.node n WHERE n.type_id = $1 AND n.profile_id IS NOT NULL AND $2 IS NOT NULL GROUP BY n.profile_id HAVING count(*) > $2",
            ),
            &[type_id.into(), after.max_per_profile.into()],
            read,
        )?);
    }
    if before.level != after.level {
        // Whose neighbours name persons now counts otherwise.
        let nodes =
            spi::rows(&ws.sql("SELECT n.node_id FROM @ws@.node n WHERE n.type_id = $1"), &[type_id.into()], read)?;
        counted.extend(hub::neighbours(ws, &nodes)?);
    } else if (before.degree_cap, before.person_cap) != (after.degree_cap, after.person_cap) {
        let least = after.degree_cap.into_iter().chain(after.person_cap).min();
        counted.extend(spi::rows(
            &ws.sql(
                "SELECT n.node_id FROM @ws@.node n WHERE n.type_id = $1 AND n.quarantine IS NOT NULL \
                 UNION SELECT x.node_id FROM (SELECT e.from_node AS node_id FROM @ws@.edge e WHERE e.state <> 'weak' UNION ALL SELECT e.to_node FROM @ws@.edge e WHERE e.state <> 'weak') x \
                 JOIN @ws@.node n USING (node_id) WHERE n.type_id = $1 AND $2 IS NOT NULL GROUP BY 1 HAVING count(*) > $2",
            ),
            &[type_id.into(), least.into()],
            read,
        )?);
    }
    counted.sort_unstable();
    counted.dedup();
    let turned = hub::judge(ws, &rules, &counted)?;
    seeds.extend(hub::neighbours(ws, &turned)?);
    Ok(seeds)
}

/// Replaces what was kept elsewhere of the values of a type that is kept as hashes from now on: what decisions were about, and values that were rejected.
fn forget(ws: &Workspace, ty: &IdentifierType) -> Result<(), CdpError> {
    let operations = spi::rows(
        &ws.sql(
            "SELECT o.operation_id, o.arguments FROM @ws@.identity_operation o WHERE o.kind IN ('link', 'unlink', 'cannot_link', 'block', 'split')",
        ),
        &[],
        |row| Ok((spi::must::<i64>(row, 1)?, spi::must::<JsonB>(row, 2)?.0)),
    )?;
    for (operation_id, mut arguments) in operations {
        let mut changed = false;
        for (kind, value) in [("a_type", "a_value"), ("b_type", "b_value"), ("type", "value")] {
            if arguments[kind] == ty.name.as_str()
                && let Some(plain) = arguments[value].as_str()
            {
                arguments[value] = json!(kept_form(ws, ty, plain)?);
                changed = true;
            }
        }
        for name in arguments.get_mut("identifiers").and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some((kind, plain)) = name.as_str().and_then(|name| name.split_once(':'))
                && kind == ty.name
            {
                *name = json!(format!("{kind}:{}", kept_form(ws, ty, plain)?.unwrap_or_default()));
                changed = true;
            }
        }
        if changed {
            spi::run_cached(
                &ws.sql("UPDATE @ws@.identity_operation SET arguments = $2 WHERE operation_id = $1"),
                &[operation_id.into(), JsonB(arguments).into()],
            )?;
        }
    }
    // Without their values some are the same: each is told once.
    spi::run(
        &ws.sql(
            "DELETE FROM @ws@.reject r USING @ws@.reject f WHERE r.kind = 'value' AND f.kind = 'value' AND r.payload ->> 'identifier_type' = $1 AND f.payload ->> 'identifier_type' = $1 \
               AND f.source_id = r.source_id AND f.key IS NOT DISTINCT FROM r.key AND f.reason = r.reason AND f.reject_id < r.reject_id",
        ),
        &[ty.name.as_str().into()],
    )?;
    spi::run(
        &ws.sql("UPDATE @ws@.reject r SET payload = r.payload || '{\"value\": null}' WHERE r.kind = 'value' AND r.payload ->> 'identifier_type' = $1"),
        &[ty.name.as_str().into()],
    )?;
    Ok(())
}

/// The list of blocked values of a type, and how its identifiers are kept while they are compared with it.
struct Lists<'a> {
    hashed: bool,
    before: &'a [Blocked],
    after: &'a [Blocked],
}

/// Marks an identifier that nothing blocks if a list of blocked values has it.
pub fn listed(ws: &Workspace, rules: &Rules, node_id: i64) -> Result<(), CdpError> {
    let type_id =
        spi::one::<i32>(&ws.sql("SELECT n.type_id FROM @ws@.node n WHERE n.node_id = $1"), &[node_id.into()])?
            .ok_or_else(|| CdpError::internal(format!("identifier {node_id} is gone")))?;
    let ty = rules.get(type_id)?;
    let list = Settings::of(ws, type_id)?.blocked;
    let lists = Lists { hashed: ty.hashed, before: &list, after: &list };
    block_listed(ws, ty, &lists, Some(node_id), &mut Vec::new())?;
    Ok(())
}

/// Marks the identifiers of a type that its list of blocked values now has, and unmarks those that it no longer has; gives the latter, which may be hubs. With
/// `only` just this one.
fn block_listed(
    ws: &Workspace,
    ty: &IdentifierType,
    lists: &Lists,
    only: Option<i64>,
    seeds: &mut Vec<i64>,
) -> Result<Vec<i64>, CdpError> {
    let read = |row: &pgrx::spi::SpiHeapTupleData| Ok((spi::must::<i64>(row, 1)?, row.get::<String>(2)?));
    let mine = "n.type_id = $1 AND ($2 IS NULL OR n.node_id = $2) AND NOT EXISTS (SELECT FROM @ws@.identity_override o WHERE o.kind = 'block' AND o.node_id = n.node_id)";
    let changed = if lists.hashed {
        let (kept, reasons) = hashes(ws, ty, lists.after)?;
        let (left, _) = hashes(ws, ty, lists.before)?;
        // Who was blocked by a pattern while the value could be read stays so as long as the list has the reason.
        spi::rows(
            &ws.sql(&format!(
                "SELECT n.node_id, 'blocked: ' || min(b.reason) FROM @ws@.node n LEFT JOIN unnest($3::pg_catalog.text[], $4::pg_catalog.text[]) AS b(kept, reason) ON b.kept = n.value \
                 WHERE {mine} GROUP BY n.node_id HAVING CASE WHEN min(b.reason) IS NOT NULL THEN n.quarantine IS DISTINCT FROM 'blocked: ' || min(b.reason) \
                     ELSE n.quarantine LIKE 'blocked: %' AND (n.value = ANY ($5) OR NOT EXISTS ( \
                         SELECT FROM @ws@.blocked_value w WHERE (w.type_id = n.type_id OR w.type_id IS NULL) AND n.quarantine = 'blocked: ' || w.reason)) END"
            )),
            &[ty.type_id.into(), only.into(), kept.into(), reasons.into(), left.into()],
            read,
        )?
    } else {
        spi::rows(
            &ws.sql(&format!(
                "SELECT n.node_id, 'blocked: ' || min(b.reason) FROM @ws@.node n \
                   LEFT JOIN @ws@.blocked_value b ON (b.type_id = n.type_id OR b.type_id IS NULL) AND (b.value = lower(n.value) OR lower(n.value) ~ b.pattern) \
                 WHERE {mine} \
                 GROUP BY n.node_id HAVING CASE WHEN min(b.reason) IS NULL THEN n.quarantine LIKE 'blocked: %' ELSE n.quarantine IS DISTINCT FROM 'blocked: ' || min(b.reason) END"
            )),
            &[ty.type_id.into(), only.into()],
            read,
        )?
    };
    let (nodes, reasons): (Vec<i64>, Vec<Option<String>>) = changed.iter().cloned().unzip();
    if nodes.is_empty() {
        return Ok(nodes);
    }
    hub::quarantine(ws, nodes.clone(), reasons)?;
    seeds.extend(hub::neighbours(ws, &nodes)?);
    Ok(changed.into_iter().filter(|(_, reason)| reason.is_none()).map(|(node, _)| node).collect())
}

/// The values that a type with a list never links, each as it is written and in lower case, in the form they are kept in, with the reasons. Patterns have none.
fn hashes(ws: &Workspace, ty: &IdentifierType, list: &[Blocked]) -> Result<(Vec<String>, Vec<String>), CdpError> {
    let mut values = spi::rows(
        &ws.sql("SELECT b.value, b.reason FROM @ws@.blocked_value b WHERE b.type_id IS NULL AND b.value IS NOT NULL"),
        &[],
        |row| Ok((spi::must::<String>(row, 1)?, spi::must::<String>(row, 2)?)),
    )?;
    values.extend(list.iter().filter_map(|b| Some((b.value.clone()?, b.reason.clone()))));
    let (mut kept, mut reasons) = (Vec::new(), Vec::new());
    for (value, reason) in values {
        for form in [value.to_lowercase(), value] {
            if let Some(form) = kept_form(ws, ty, &form)? {
                kept.push(form);
                reasons.push(reason.clone());
            }
        }
    }
    Ok((kept, reasons))
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_identifier_type_create(
    name: Option<&str>,
    settings: default!(Option<JsonText>, "'{}'"),
) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        let (name, settings) = (given(name, "name")?, given(settings, "settings")?.parse()?);
        ws.lock()?;
        if name.is_empty() || name.len() > 63 {
            return Err(CdpError::invalid_parameter(format!("\"{name}\" cannot be the name of an identifier type"))
                .with_hint("Choose a name of 1 to 63 bytes, such as loyalty_card."));
        }
        if Rules::load(ws)?.types.iter().any(|t| t.name == name) {
            return Err(CdpError::duplicate_object("identifier type", name)
                .with_hint("Change it with cdp_identifier_type_alter()."));
        }
        Settings::new(ws)?.with(&settings)?.write(ws, name, None)?;
        Ok(())
    })?)
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_identifier_type_alter(
    name: Option<&str>,
    settings: Option<JsonText>,
    reason: default!(Option<&str>, "NULL"),
    actor: default!(Option<&str>, "NULL"),
) -> Result<JsonB, ErrorReport> {
    Ok(workspace::enter_bulk(|ws| {
        let (name, settings) = (given(name, "name")?, given(settings, "settings")?.parse()?);
        ws.lock()?;
        let before = json!(Settings::of(ws, Rules::load(ws)?.named(name)?.type_id)?);
        let kept: Map<String, Value> = settings
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, _)| (key.clone(), before[key.as_str()].clone()))
            .collect();
        let arguments = json!({"type": name, "before": kept, "after": settings});
        let operation = begin(ws, "rule", arguments, reason, actor)?;
        let outcome =
            change(ws, &[(name.to_owned(), settings)], Cause { source_id: 0, operation_id: Some(operation) })?;
        enter(ws, operation, &outcome)
    })?)
}
