//! The settings of a tag, as jsonb.

use crate::error::CdpError;
use crate::pg::spi;
use crate::profile::attribute;
use crate::segment::state_named;
use crate::store::column::{pg_type, value_column};
use crate::store::group::{Group, Place};
use crate::workspace::Workspace;
use serde_json::{Map, Value};

/// Settings that `cdp_tag_create()` takes.
pub const OF_CREATE: [&str; 7] = ["kind", "type", "owner", "path", "sensitivity", "values", "state"];
/// Settings that `cdp_tag_alter()` takes.
pub const OF_ALTER: [&str; 7] = ["expression", "description", "owner", "path", "sensitivity", "values", "state"];
/// How much harm it does when others learn a value.
const SENSITIVITIES: [&str; 4] = ["public", "internal", "personal", "sensitive"];

/// An object with known keys only.
///
/// # Errors
/// 22023 for anything else.
pub fn object<'a>(value: &'a Value, known: &[&str]) -> Result<&'a Map<String, Value>, CdpError> {
    let object = value.as_object().ok_or_else(|| {
        CdpError::invalid_parameter("the settings of a tag must be an object")
            .with_hint("Write them as '{\"owner\": \"crm team\"}'.")
    })?;
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(CdpError::invalid_parameter(format!("unknown setting \"{key}\" of a tag"))
            .with_hint(format!("Settings are {}.", known.join(", ")))),
        None => Ok(object),
    }
}

/// A text, if it is given; null is given and no text.
pub fn text<'a>(settings: &'a Map<String, Value>, key: &str) -> Result<Option<Option<&'a str>>, CdpError> {
    match settings.get(key) {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(None)),
        Some(Value::String(text)) => Ok(Some(Some(text))),
        Some(_) => Err(CdpError::invalid_parameter(format!("setting \"{key}\" of a tag must be a text"))
            .with_hint("Write it in double quotes.")),
    }
}

/// A text that cannot be taken away.
pub fn word<'a>(settings: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, CdpError> {
    match text(settings, key)? {
        Some(None) => Err(CdpError::invalid_parameter(format!("setting \"{key}\" of a tag must not be null"))
            .with_hint("Leave it out to keep what it is.")),
        given => Ok(given.flatten()),
    }
}

/// Writes the settings that describe a tag: owner, path, sensitivity, values, state.
///
/// # Errors
/// 22023 for one that makes no sense; 23514 when the tag has a value that would not be allowed.
pub fn apply(
    ws: &Workspace,
    group: Option<&Group>,
    attribute_id: i32,
    name: &str,
    ty: &str,
    settings: &Map<String, Value>,
) -> Result<(), CdpError> {
    for key in ["owner", "path"] {
        if let Some(value) = text(settings, key)? {
            attribute::set(ws, attribute_id, key, value)?;
        }
    }
    if let Some(sensitivity) = word(settings, "sensitivity")? {
        if !SENSITIVITIES.contains(&sensitivity) {
            return Err(CdpError::invalid_parameter(format!("\"{sensitivity}\" is no sensitivity"))
                .with_hint(format!("Sensitivities are {}.", SENSITIVITIES.join(", "))));
        }
        attribute::set(ws, attribute_id, "sensitivity", Some(sensitivity))?;
    }
    if let Some(state) = word(settings, "state")? {
        attribute::set(ws, attribute_id, "state", Some(state_named(state)?))?;
    }
    let allowed = match settings.get("values") {
        None => return Ok(()),
        Some(Value::Null) => None,
        Some(Value::Array(values)) => Some(allowed(values, ty)?),
        Some(_) => {
            return Err(CdpError::invalid_parameter("setting \"values\" of a tag must be an array")
                .with_hint("Write it as [\"low\", \"high\"]; null allows every value."));
        }
    };
    if let Some(allowed) = &allowed {
        refuse_others(
            ws,
            name,
            ty,
            &format!("SELECT v.{} AS after FROM {} v", value_column(name), Place::of(group).live),
            allowed,
        )?;
    }
    spi::run(
        &ws.sql("UPDATE @ws@.attribute SET allowed = $2 WHERE attribute_id = $1"),
        &[attribute_id.into(), allowed.into()],
    )?;
    Ok(())
}

/// The texts of the values, as PostgreSQL prints them.
fn allowed(values: &[Value], ty: &str) -> Result<Vec<String>, CdpError> {
    let texts = values.iter().map(|value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(CdpError::invalid_parameter("an allowed value of a tag must be a text, a number, true or false")
            .with_hint("A tag may always have no value; null need not be listed.")),
    });
    texts.map(|text| canonical(&text?, ty)).collect()
}

/// The text of a value as PostgreSQL prints it.
///
/// # Errors
/// PostgreSQL's own when it is no value of the type.
pub fn canonical(text: &str, ty: &str) -> Result<String, CdpError> {
    let found = spi::rows_cached(
        &format!("SELECT (($1::pg_catalog.text)::pg_catalog.{})::pg_catalog.text", pg_type(ty)),
        &[text.into()],
        |row| spi::must::<String>(row, 1),
    )?;
    found.into_iter().next().ok_or_else(|| CdpError::internal("a value was not read"))
}

/// Refuses values other than the allowed ones. `values` is a query with a column `after`.
///
/// # Errors
/// 23514 naming one of them.
pub fn refuse_others(ws: &Workspace, name: &str, ty: &str, values: &str, allowed: &[String]) -> Result<(), CdpError> {
    let other = spi::one::<String>(
        &ws.sql(&format!(
            "SELECT min(c.after::pg_catalog.text COLLATE \"C\") FROM ({values}) c WHERE c.after IS NOT NULL AND c.after <> ALL ($1::pg_catalog.{}[])",
            pg_type(ty)
        )),
        &[allowed.to_vec().into()],
    )?;
    let Some(other) = other else { return Ok(()) };
    Err(CdpError::not_allowed(format!("{} is no allowed value of tag \"{name}\"", crate::error::quoted(&other)))
        .with_detail(format!("Allowed are {}.", allowed.join(", ")))
        .with_hint("Change the value or the expression, or allow it: cdp_tag_alter() with \"values\"."))
}
