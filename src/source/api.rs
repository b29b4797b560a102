//! `cdp_source_create`, `cdp_source_alter`, `cdp_source_drop`.

use super::mapping::{self, Mapping};
use super::{columns, describe, spool};
use crate::error::{CdpError, given};
use crate::event::dictionary::{self, Mode};
use crate::pg::json::JsonText;
use crate::pg::spi;
use crate::profile::attribute;
use crate::workspace::{self, Workspace};
use pgrx::PgRelation;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::{Map, Value};

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_source_create(
    name: Option<&str>,
    relation: Option<PgRelation>,
    mapping: Option<JsonText>,
    trust: default!(Option<i32>, 50),
) -> Result<(), ErrorReport> {
    let relation = given(relation, "relation")?;
    let oid = relation.oid();
    drop(relation);
    Ok(workspace::enter(|ws| {
        let relation = describe::relation(oid)?;
        create(ws, given(name, "name")?, &relation, given(mapping, "mapping")?, given(trust, "trust")?)
    })?)
}

fn create(ws: &Workspace, name: &str, relation: &str, json: JsonText, trust: i32) -> Result<(), CdpError> {
    if name.is_empty() {
        return Err(CdpError::invalid_parameter("a source needs a name")
            .with_hint("Give a short name for where the rows come from, such as 'crm'."));
    }
    check_trust(trust)?;
    let value = json.parse()?;
    let mapping = mapping::parse(&value)?;
    ws.lock()?;
    if find(ws, name)?.is_some() {
        return Err(CdpError::duplicate_object("source", name)
            .with_hint("Drop it with cdp_source_drop() first, or choose another name."));
    }
    let types = verify(ws, relation, &mapping)?;
    let source_id = spi::one::<i32>(
        &ws.sql(
            "INSERT INTO @ws@.source (name, relation, mapping, trust, property_types) \
             VALUES ($1, $2, $3::pg_catalog.text::pg_catalog.jsonb, $4, $5::pg_catalog.text::pg_catalog.jsonb) RETURNING source_id",
        ),
        &[name.into(), relation.into(), value.to_string().into(), trust.into(), types.to_string().into()],
    )?
    .ok_or_else(|| CdpError::internal("a source was not entered"))?;
    columns::keep(ws, source_id, relation)?;
    crate::profile::view::refresh(ws)
}

fn check_trust(trust: i32) -> Result<(), CdpError> {
    if !(0..=100).contains(&trust) {
        return Err(CdpError::invalid_parameter(format!("trust {trust} is outside 0 to 100"))
            .with_hint("Give 50 unless this source should win or lose against others."));
    }
    Ok(())
}

/// The number of a source.
fn find(ws: &Workspace, name: &str) -> Result<Option<i32>, CdpError> {
    spi::one::<i32>(&ws.sql("SELECT s.source_id FROM @ws@.source s WHERE s.name = $1"), &[name.into()])
}

/// Checks a mapping against a relation and the dictionary, and enters the traits and the event type that it brings. Returns the types of the properties.
fn verify(ws: &Workspace, relation: &str, mapping: &Mapping) -> Result<Value, CdpError> {
    for (ty, expression) in &mapping.identifiers {
        if spi::one::<i32>(
            &ws.sql("SELECT t.type_id FROM @ws@.identifier_type t WHERE t.name = $1"),
            &[ty.as_str().into()],
        )?
        .is_none()
        {
            let known = spi::one::<String>(
                &ws.sql("SELECT string_agg(t.name, ', ' ORDER BY t.priority, t.name) FROM @ws@.identifier_type t"),
                &[],
            )?;
            return Err(CdpError::undefined_object("identifier type", ty)
                .with_hint(format!("Known types are {}.", known.unwrap_or_default())));
        }
        describe::oid_of(relation, &format!("identifiers.{ty}"), expression)?;
    }
    describe::check(relation, mapping)?;
    for (name, expression) in &mapping.traits {
        let ty = describe::type_of(relation, &format!("traits.{name}"), expression)?;
        attribute::ensure_trait(ws, name, &ty, attribute::Origin::Mapped)?;
    }
    let mut types = Map::new();
    if let Some(event) = &mapping.event {
        let at = describe::type_of(relation, "event.at", &event.at)?;
        if !matches!(at.as_str(), "timestamptz" | "date") {
            return Err(CdpError::type_mismatch(format!("mapping entry \"event.at\" is not a time: {}", event.at))
                .with_hint("Give an expression of type timestamptz."));
        }
        let properties = describe::properties(relation, event)?;
        for property in &properties {
            types.insert(property.name.clone(), Value::String(property.ty.clone()));
        }
        // An event type that is a constant is known before the first row.
        if let Some(constant) = constant(&event.name) {
            dictionary::ensure(ws, &constant, &properties, Mode::Mapped)?;
        }
    }
    Ok(Value::Object(types))
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_source_alter(
    name: Option<&str>,
    mapping: Option<JsonText>,
    relation: default!(Option<PgRelation>, "NULL"),
    trust: default!(Option<i32>, "NULL"),
) -> Result<(), ErrorReport> {
    let oid = relation.as_ref().map(PgRelation::oid);
    drop(relation);
    Ok(workspace::enter(|ws| {
        let relation = oid.map(describe::relation).transpose()?;
        alter(ws, given(name, "name")?, given(mapping, "mapping")?, relation, trust)
    })?)
}

/// Gives a source another mapping. All its rows are taken again; facts are idempotent, so what they said already changes nothing.
fn alter(
    ws: &Workspace,
    name: &str,
    json: JsonText,
    relation: Option<String>,
    trust: Option<i32>,
) -> Result<(), CdpError> {
    if let Some(trust) = trust {
        check_trust(trust)?;
    }
    let value = json.parse()?;
    let mapping = mapping::parse(&value)?;
    ws.lock()?;
    let Some(source_id) = find(ws, name)? else { return Err(undefined(ws, name)?) };
    let relation_of = ws.sql("SELECT s.relation FROM @ws@.source s WHERE s.source_id = $1");
    if spi::one::<String>(&relation_of, &[source_id.into()])?.as_deref() == Some("") {
        return Err(CdpError::wrong_object(format!("source \"{name}\" takes no rows from a relation"))
            .with_hint("Its facts come by calls; there is no mapping to change."));
    }
    let before = spool::source(ws, source_id)?;
    let id = |mapping: &Mapping| mapping.event.as_ref().map(|event| event.id.clone().or_else(|| mapping.key.clone()));
    if id(&before.mapping).is_some_and(|was| id(&mapping) != Some(was)) {
        let events = spi::one::<bool>(
            &ws.sql("SELECT true FROM @ws@.event e WHERE e.source_id = $1 LIMIT 1"),
            &[source_id.into()],
        )?;
        if events == Some(true) {
            return Err(CdpError::in_use(format!("source \"{name}\" has given events, which are known by their key"))
                .with_hint("Keep \"key\" and \"event.id\" as they are, or make another source: with other keys its rows would be other events."));
        }
    }
    let relation = relation.unwrap_or(before.relation);
    let types = verify(ws, &relation, &mapping)?;
    spi::run(
        &ws.sql(
            "UPDATE @ws@.source SET relation = $2, mapping = $3::pg_catalog.text::pg_catalog.jsonb, trust = coalesce($4, trust), \
                 property_types = $5::pg_catalog.text::pg_catalog.jsonb, watermark = NULL WHERE source_id = $1",
        ),
        &[source_id.into(), relation.as_str().into(), value.to_string().into(), trust.into(), types.to_string().into()],
    )?;
    let rows = if mapping.updated_at.is_some() {
        "DELETE FROM @ws@.source_row WHERE source_id = $1"
    } else {
        "UPDATE @ws@.source_row SET again = true WHERE source_id = $1"
    };
    spi::run(&ws.sql(rows), &[source_id.into()])?;
    columns::keep(ws, source_id, &relation)?;
    crate::profile::view::refresh(ws)
}

/// The text of an expression that is a plain string literal.
fn constant(expression: &str) -> Option<String> {
    let inner = expression.trim().strip_prefix('\'')?.strip_suffix('\'')?;
    let text = inner.replace("''", "\u{0}");
    if text.contains('\'') { None } else { Some(text.replace('\u{0}', "'")) }
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_source_drop(name: Option<&str>) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        let name = given(name, "name")?;
        ws.lock()?;
        let Some(source_id) = find(ws, name)? else { return Err(undefined(ws, name)?) };
        let facts = spi::one::<bool>(
            &ws.sql(
                "SELECT EXISTS (SELECT FROM @ws@.event_facts e WHERE e.source_id = $1) OR EXISTS (SELECT FROM @ws@.trait_observation o WHERE o.source_id = $1) \
                 OR EXISTS (SELECT FROM @ws@.edge e WHERE e.source_id = $1) OR EXISTS (SELECT FROM @ws@.node n WHERE n.source_id = $1)",
            ),
            &[source_id.into()],
        )?;
        if facts == Some(true) {
            return Err(CdpError::in_use(format!("source \"{name}\" has given facts that are still kept"))
                .with_hint("Facts name the source they came from, so a source that has been synced stays; CALL cdp_sync() with the names of the others to leave it out."));
        }
        spi::run(&ws.sql("DELETE FROM @ws@.source WHERE source_id = $1"), &[source_id.into()])?;
        Ok(())
    })?)
}

/// The error for a source that does not exist.
pub fn undefined(ws: &Workspace, name: &str) -> Result<CdpError, CdpError> {
    let known = spi::one::<String>(
        &ws.sql("SELECT string_agg(quote_ident(s.name), ', ' ORDER BY s.name) FROM @ws@.source s"),
        &[],
    )?;
    Ok(CdpError::undefined_object("source", name).with_hint(match known {
        Some(known) => format!("Sources are {known}."),
        None => "Create one with cdp_source_create().".to_owned(),
    }))
}
