//! `cdp_entity_create`, `_refresh`, `_drop`: groups of people over the same identifiers, such as households, with rules of their own.
//!
//! A group is a component of the graph whose nodes are people and the identifiers of the types that join them here; an edge says that one of the person's
//! identifiers was seen with it, or that it is one of them. The rules are judged as those of people are, and group numbers are stable in the same way. Nothing of it
//! feeds back: who is a person does not depend on it.

use super::rules::{Rules, shared};
use crate::error::{CdpError, given};
use crate::pg::json::JsonText;
use crate::pg::spi;
use crate::store::group::{Group, LONGEST_NAME, PERSON, undefined};
use crate::workspace::{self, Workspace};
use pg_cdp_core::graph::govern::{Edge, Node, Shared, TypeRule, govern};
use pg_cdp_core::graph::home::{Record, homes};
use pgrx::JsonB;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

/// The settings of one identifier type in an entity type.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    /// Most values one group may hold.
    max_per_profile: Option<u32>,
    /// People beyond which a value joins nobody.
    #[serde(default = "usual_cap")]
    degree_cap: Option<u32>,
    /// Which edge is tried first.
    #[serde(default)]
    shared: Option<String>,
}

/// More people than a household has, fewer than an office.
#[expect(clippy::unnecessary_wraps, reason = "what is left out is this, what is null is no cap")]
fn usual_cap() -> Option<u32> {
    Some(20)
}

/// Settings by identifier type, and that of people.
type Settings = BTreeMap<String, Setting>;

fn parse(rules: &Rules, settings: &Value) -> Result<Settings, CdpError> {
    let Value::Object(settings) = settings else {
        return Err(CdpError::invalid_parameter("rules of an entity type are a JSON object of identifier types")
            .with_hint(r#"Write them as in '{"address": {"degree_cap": 10}, "person": {"max_per_profile": 8}}'."#));
    };
    let mut parsed = Settings::new();
    for (name, setting) in settings {
        if name != PERSON {
            rules.named(name)?;
        }
        let setting: Setting = serde_json::from_value(setting.clone()).map_err(|e| {
            CdpError::invalid_parameter(format!("rules of \"{name}\" cannot be {setting}"))
                .with_detail(e.to_string())
                .with_hint("Settings are max_per_profile, degree_cap and shared.")
        })?;
        if let Some(word) = setting.shared.as_deref()
            && !matches!(word, "last" | "first" | "nobody")
        {
            return Err(CdpError::invalid_parameter(format!("setting \"shared\" cannot be \"{word}\""))
                .with_hint("It is one of last, first, nobody."));
        }
        if setting.max_per_profile == Some(0) {
            return Err(CdpError::invalid_parameter("setting \"max_per_profile\" cannot be 0")
                .with_hint("Give 1 or more, or leave it out."));
        }
        parsed.insert(name.clone(), setting);
    }
    if parsed.keys().all(|name| name == PERSON) {
        return Err(CdpError::invalid_parameter("an entity type needs an identifier type that joins people")
            .with_hint(r#"Name one, as in '{"address": {}}'."#));
    }
    Ok(parsed)
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_entity_create(
    name: Option<&str>,
    rules: Option<JsonText>,
    description: default!(Option<&str>, "NULL"),
) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        let (name, settings) = (given(name, "name")?, given(rules, "rules")?.parse()?);
        ws.lock()?;
        if name.is_empty() || name.len() > LONGEST_NAME || name == PERSON {
            return Err(CdpError::invalid_parameter(format!("\"{name}\" cannot be the name of an entity type"))
                .with_hint(format!("Choose a name of 1 to {LONGEST_NAME} bytes, such as household.")));
        }
        parse(&*Rules::load(ws)?, &settings)?;
        let entered = spi::one::<i32>(
            &ws.sql(
                "INSERT INTO @ws@.entity (name, rules, description) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING entity_id",
            ),
            &[name.into(), JsonB(settings).into(), description.into()],
        )?;
        let Some(entity_id) = entered else {
            return Err(CdpError::duplicate_object("entity type", name)
                .with_hint("Drop it first with cdp_entity_drop(), or choose another name."));
        };
        Group { entity_id, name: name.to_owned() }.create(ws)
    })?)
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_entity_drop(name: Option<&str>) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        let name = given(name, "name")?;
        ws.lock()?;
        let tags = spi::one::<String>(
            &ws.sql("SELECT string_agg('tag \"' || a.name || '\"', ', ' ORDER BY a.name) FROM @ws@.attribute a WHERE a.entity = $1 AND a.entity <> 'person'"),
            &[name.into()],
        )?;
        if let Some(tags) = tags {
            return Err(CdpError::in_use(format!("entity type \"{name}\" is described by {tags}"))
                .with_hint("Drop those first with cdp_tag_drop()."));
        }
        let gone =
            spi::one::<i32>(&ws.sql("DELETE FROM @ws@.entity WHERE name = $1 RETURNING entity_id"), &[name.into()])?;
        match gone {
            Some(entity_id) => Group { entity_id, name: name.to_owned() }.drop(ws),
            None => Err(undefined(ws, name)?),
        }
    })?)
}

/// A row of the report of a refresh.
type Refreshed = (String, i64, i64, i64, f64);

#[expect(clippy::type_complexity, reason = "pgrx reads the columns here")]
#[pg_extern(volatile, parallel_unsafe)]
fn cdp_entity_refresh(
    name: default!(Option<&str>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (name!(name, String), name!(groups, i64), name!(people, i64), name!(changed, i64), name!(ms, f64)),
    >,
    ErrorReport,
> {
    Ok(workspace::enter_bulk(|ws| {
        ws.lock()?;
        let entities = spi::rows(
            &ws.sql("SELECT e.entity_id, e.name, e.rules FROM @ws@.entity e WHERE $1 IS NULL OR e.name = $1 ORDER BY e.name"),
            &[name.into()],
            |row| Ok((spi::must::<i32>(row, 1)?, spi::must::<String>(row, 2)?, spi::must::<JsonB>(row, 3)?.0)),
        )?;
        if let (Some(name), true) = (name, entities.is_empty()) {
            return Err(undefined(ws, name)?);
        }
        let mut rows: Vec<Refreshed> = Vec::new();
        for (entity_id, name, settings) in entities {
            let began = Instant::now();
            let (groups, people, changed) = refresh(ws, entity_id, &settings)?;
            Group { entity_id, name: name.clone() }.enter(ws)?;
            rows.push((name, groups, people, changed, began.elapsed().as_secs_f64() * 1000.0));
        }
        Ok(TableIterator::new(rows))
    })?)
}

/// A person, or an identifier that joins people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Person(i64),
    Identifier(i64),
}

/// The people and what joins them, as the core takes it.
#[derive(Default)]
struct Ties {
    parts: Vec<(Part, u32, String, i64)>,
    places: HashMap<Part, u32>,
    edges: Vec<Edge>,
}

impl Ties {
    fn place(&mut self, part: Part, rule: u32, value: String, first_seen: i64) -> Result<u32, CdpError> {
        if let Some(&place) = self.places.get(&part) {
            return Ok(place);
        }
        let place = u32::try_from(self.parts.len()).map_err(|_| CdpError::limit("too many people and identifiers"))?;
        self.places.insert(part, place);
        self.parts.push((part, rule, value, first_seen));
        Ok(place)
    }
}

/// Every identifier of the given types with each person who was seen with it or holds it. Of two that an operator unlinked, to have been seen together means nothing here either; of two that were
/// split it only does not mean that they are one person.
const TIES: &str = "WITH shown AS NOT MATERIALIZED (SELECT e.* FROM @ws@.edge e WHERE NOT EXISTS (SELECT FROM @ws@.identity_override v JOIN @ws@.identity_operation p USING (operation_id) \
         WHERE v.kind = 'unlink' AND p.kind = 'unlink' AND v.node_id = e.from_node AND v.other_id = e.to_node)) \
     SELECT x.profile_id, n.node_id, n.type_id, n.value, n.first_seen, (max(x.trust) * 100)::pg_catalog.int4, min(x.first_seen), max(x.last_seen) \
     FROM @ws@.node n JOIN ( \
         SELECT e.to_node AS node_id, o.profile_id, e.trust, e.first_seen, e.last_seen FROM shown e JOIN @ws@.node o ON o.node_id = e.from_node \
         UNION ALL SELECT e.from_node, o.profile_id, e.trust, e.first_seen, e.last_seen FROM shown e JOIN @ws@.node o ON o.node_id = e.to_node \
         UNION ALL SELECT n.node_id, n.profile_id, 1, n.first_seen, n.last_seen FROM @ws@.node n WHERE n.type_id = ANY ($1) \
     ) x USING (node_id) \
     WHERE n.type_id = ANY ($1) AND x.profile_id IS NOT NULL AND (n.quarantine IS NULL OR n.quarantine NOT LIKE 'blocked: %') \
     GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2";

/// Computes the groups of an entity type; gives how many there are, of how many people, and how many people changed groups.
fn refresh(ws: &Workspace, entity_id: i32, settings: &Value) -> Result<(i64, i64, i64), CdpError> {
    let rules = Rules::load(ws)?;
    let settings = parse(&rules, settings)?;
    // Rules in the order of names; people last.
    let mut core = Vec::new();
    let mut place_of: HashMap<i32, (u32, Option<u32>)> = HashMap::new();
    for (name, setting) in settings.iter().filter(|(name, _)| *name != PERSON) {
        let ty = rules.named(name)?;
        let place = u32::try_from(core.len()).map_err(|_| CdpError::limit("too many identifier types"))?;
        place_of.insert(ty.type_id, (place, setting.degree_cap));
        core.push(TypeRule {
            priority: ty.priority,
            limit: setting.max_per_profile,
            window_micros: None,
            shared: setting.shared.as_deref().map(shared).unwrap_or_default(),
        });
    }
    let person = u32::try_from(core.len()).map_err(|_| CdpError::limit("too many identifier types"))?;
    let limit = settings.get(PERSON).and_then(|setting| setting.max_per_profile);
    core.push(TypeRule { priority: i32::MIN, limit, window_micros: None, shared: Shared::Last });

    let mut ties = Ties::default();
    let mut degrees: HashMap<u32, u32> = HashMap::new();
    let types: Vec<i32> = place_of.keys().copied().collect();
    for (profile, node, type_id, value, first_seen, trust, first, last) in
        spi::rows(&ws.sql(TIES), &[types.into()], |row| {
            Ok((
                spi::must::<i64>(row, 1)?,
                spi::must::<i64>(row, 2)?,
                spi::must::<i32>(row, 3)?,
                spi::must::<String>(row, 4)?,
                i64::from(spi::must::<TimestampWithTimeZone>(row, 5)?),
                spi::must::<i32>(row, 6)?,
                i64::from(spi::must::<TimestampWithTimeZone>(row, 7)?),
                i64::from(spi::must::<TimestampWithTimeZone>(row, 8)?),
            ))
        })?
    {
        let Some((rule, _)) = place_of.get(&type_id) else { continue };
        let from = ties.place(Part::Person(profile), person, profile.to_string(), 0)?;
        let to = ties.place(Part::Identifier(node), *rule, value, first_seen)?;
        *degrees.entry(to).or_default() += 1;
        ties.edges.push(Edge { from, to, trust, first_seen: first, last_seen: last, forced: false, unlinked: false });
    }
    let caps: HashMap<u32, Option<u32>> = place_of.values().copied().collect();
    let nodes: Vec<Node> = (0u32..)
        .zip(&ties.parts)
        .map(|(place, (_, rule, value, first_seen))| Node {
            rule: *rule,
            scope: "",
            value,
            first_seen: *first_seen,
            quarantined: caps
                .get(rule)
                .copied()
                .flatten()
                .is_some_and(|cap| degrees.get(&place).is_some_and(|n| *n > cap)),
        })
        .collect();
    let verdict = govern(&core, &nodes, &ties.edges, &[]).map_err(|e| CdpError::internal(e.to_string()))?;
    write(ws, entity_id, &ties, &verdict.component)
}

/// Gives the components their numbers and writes who belongs to which.
fn write(ws: &Workspace, entity_id: i32, ties: &Ties, component: &[u32]) -> Result<(i64, i64, i64), CdpError> {
    // A group is where the person is that holds the identifier that founded it.
    let mut records = Vec::new();
    let mut before = Vec::new();
    let mut last = 0i64;
    for (group, profile, created_at, into) in spi::rows(
        &ws.sql(
            "SELECT g.group_id, n.profile_id, g.created_at, g.merged_into FROM @ws@.entity_group g LEFT JOIN @ws@.node n ON n.node_id = g.founding_node WHERE g.entity_id = $1",
        ),
        &[entity_id.into()],
        |row| {
            Ok((
                spi::must::<i64>(row, 1)?,
                row.get::<i64>(2)?,
                i64::from(spi::must::<TimestampWithTimeZone>(row, 3)?),
                row.get::<i64>(4)?,
            ))
        },
    )? {
        last = last.max(group);
        // A group whose person no longer shows any such identifier has no place; it stays what it was.
        let Some(&founding) = profile.and_then(|profile| ties.places.get(&Part::Person(profile))) else { continue };
        records.push(Record { profile_id: group, founding, created_at_micros: created_at });
        before.push(into);
    }
    let homes = homes(component, &records);
    let mut numbers: HashMap<u32, i64> = HashMap::new();
    let (mut people, mut groups) = (Vec::new(), Vec::new());
    let (mut fresh, mut founders) = (Vec::new(), Vec::new());
    for (place, (part, ..)) in (0u32..).zip(&ties.parts) {
        let Part::Person(profile) = part else { continue };
        let root = component.get(place as usize).copied().unwrap_or(place);
        let number = *numbers.entry(root).or_insert_with(|| {
            homes.survivor.get(root as usize).copied().flatten().unwrap_or_else(|| {
                last += 1;
                fresh.push(last);
                founders.push(*profile);
                last
            })
        });
        people.push(*profile);
        groups.push(number);
    }
    spi::run(
        &ws.sql(
            "INSERT INTO @ws@.entity_group (entity_id, group_id, founding_node, created_at) SELECT $1, x.g, p.founding_node, now() \
             FROM unnest($2::pg_catalog.int8[], $3::pg_catalog.int8[]) AS x(g, profile_id) JOIN @ws@.profile p USING (profile_id)",
        ),
        &[entity_id.into(), fresh.into(), founders.into()],
    )?;
    let redirected = records.iter().zip(&before).zip(&homes.into).filter(|((_, before), into)| before != into);
    let (ids, into): (Vec<i64>, Vec<Option<i64>>) =
        redirected.map(|((record, _), into)| (record.profile_id, *into)).unzip();
    spi::run(
        &ws.sql(
            "UPDATE @ws@.entity_group g SET merged_into = x.into_id FROM unnest($2::pg_catalog.int8[], $3::pg_catalog.int8[]) AS x(group_id, into_id) WHERE g.entity_id = $1 AND g.group_id = x.group_id",
        ),
        &[entity_id.into(), ids.into(), into.into()],
    )?;
    let count = i64::try_from(people.len()).unwrap_or(i64::MAX);
    let total = i64::try_from(numbers.len()).unwrap_or(i64::MAX);
    // Only what changed is written.
    let changed = spi::one::<i64>(
        &ws.sql(
            "WITH now AS MATERIALIZED (SELECT x.profile_id, x.group_id FROM unnest($2::pg_catalog.int8[], $3::pg_catalog.int8[]) AS x(profile_id, group_id)), \
             gone AS (DELETE FROM @ws@.entity_member m WHERE m.entity_id = $1 AND NOT EXISTS (SELECT FROM now n WHERE n.profile_id = m.profile_id) RETURNING 1), \
             come AS (INSERT INTO @ws@.entity_member AS m (entity_id, profile_id, group_id) SELECT $1, n.profile_id, n.group_id FROM now n \
                 ON CONFLICT (entity_id, profile_id) DO UPDATE SET group_id = excluded.group_id WHERE m.group_id <> excluded.group_id RETURNING 1) \
             SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM come)",
        ),
        &[entity_id.into(), people.into(), groups.into()],
    )?;
    spi::run(&ws.sql("UPDATE @ws@.entity SET refreshed_at = now() WHERE entity_id = $1"), &[entity_id.into()])?;
    Ok((total, count, changed.unwrap_or(0)))
}
