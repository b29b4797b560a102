//! `cdp_identifier_type_create`, `cdp_identifier_type_alter`: the rules of an identifier type. A change of rules judges anew what it touches, and nothing else.

use super::govern::{Cause, Outcome};
use super::operate::{begin, enter, settle};
use super::{hub, rules::Rules};
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
    let read = |row: &pgrx::spi::SpiHeapTupleData| spi::must::<i64>(row, 1);
    let mut seeds = Vec::new();
    if before.storage != after.storage {
        spi::run(
            &ws.sql(
                "UPDATE @ws@.node n SET value = @ext@._cdp_keyed(t.name, t.scope_separator, n.value) FROM @ws@.identifier_type t WHERE t.type_id = $1 AND n.type_id = $1",
            ),
            &[type_id.into()],
        )?;
    }
    let mut counted = Vec::new();
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
        counted = hub::neighbours(ws, &nodes)?;
        seeds.extend(counted.iter().copied());
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
    if before.blocked != after.blocked {
        counted.extend(block_listed(ws, type_id, &mut seeds)?);
    }
    counted.sort_unstable();
    counted.dedup();
    let turned = hub::judge(ws, &rules, &counted)?;
    seeds.extend(hub::neighbours(ws, &turned)?);
    Ok(seeds)
}

/// Marks the identifiers of a type that its list of blocked values now has, and unmarks those that it no longer has; gives the latter, which may be hubs. Values that
/// are kept as hashes cannot be compared with a list.
fn block_listed(ws: &Workspace, type_id: i32, seeds: &mut Vec<i64>) -> Result<Vec<i64>, CdpError> {
    let changed = spi::rows(
        &ws.sql(
            "SELECT n.node_id, 'blocked: ' || min(b.reason) FROM @ws@.node n JOIN @ws@.identifier_type t USING (type_id) \
               LEFT JOIN @ws@.blocked_value b ON (b.type_id = n.type_id OR b.type_id IS NULL) AND (b.value = lower(n.value) OR lower(n.value) ~ b.pattern) \
             WHERE n.type_id = $1 AND t.storage = 'plain' AND NOT EXISTS (SELECT FROM @ws@.identity_override o WHERE o.kind = 'block' AND o.node_id = n.node_id) \
             GROUP BY n.node_id HAVING CASE WHEN min(b.reason) IS NULL THEN n.quarantine LIKE 'blocked: %' ELSE n.quarantine IS DISTINCT FROM 'blocked: ' || min(b.reason) END",
        ),
        &[type_id.into()],
        |row| Ok((spi::must::<i64>(row, 1)?, row.get::<String>(2)?)),
    )?;
    let (nodes, reasons): (Vec<i64>, Vec<Option<String>>) = changed.iter().cloned().unzip();
    if nodes.is_empty() {
        return Ok(nodes);
    }
    hub::quarantine(ws, nodes.clone(), reasons)?;
    seeds.extend(hub::neighbours(ws, &nodes)?);
    Ok(changed.into_iter().filter(|(_, reason)| reason.is_none()).map(|(node, _)| node).collect())
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
