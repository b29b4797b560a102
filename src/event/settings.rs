//! Settings of the dictionary as jsonb: what they may be, and what is written of them. Null takes a setting away.

use crate::error::{CdpError, quoted};
use crate::pg::{spi, subtransaction};
use crate::store::column::{coded, pg_type};
use crate::workspace::Workspace;
use serde_json::{Map, Value};

/// Settings of an event type.
pub const OF_EVENT_TYPE: [&str; 2] = ["description", "role"];
/// Settings of a property.
pub const OF_PROPERTY: [&str; 12] = [
    "description",
    "role",
    "unit",
    "pii",
    "validation",
    "required",
    "min",
    "max",
    "allowed",
    "pattern",
    "tracked",
    "measure",
];
/// Settings of a trait.
pub const OF_TRAIT: [&str; 8] = ["description", "unit", "pii", "validation", "min", "max", "allowed", "pattern"];
/// Settings of a tag that `cdp_tag_alter()` has not.
pub const OF_TAG: [&str; 3] = ["description", "unit", "pii"];

/// What happens to what breaks a rule.
const VALIDATIONS: [&str; 3] = ["off", "warn", "reject"];

/// An object with known keys only. `what` is what the settings are of, such as `an event type`.
///
/// # Errors
/// 22023 for anything else.
pub fn object<'a>(value: &'a Value, what: &str, known: &[&str]) -> Result<&'a Map<String, Value>, CdpError> {
    let object = value.as_object().ok_or_else(|| {
        CdpError::invalid_parameter(format!("the settings of {what} must be an object"))
            .with_hint("Write them as '{\"description\": \"what it means\"}'.")
    })?;
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(CdpError::invalid_parameter(format!("unknown setting {} of {what}", quoted(key)))
            .with_hint(format!("Settings are {}.", known.join(", ")))),
        None => Ok(object),
    }
}

/// A row of the dictionary whose settings are written.
pub struct Target<'a> {
    /// The table: `event_type`, `property` or `attribute`.
    pub table: &'static str,
    /// Its number.
    pub id: i32,
    /// Type of its values; empty for an event type.
    pub ty: &'a str,
}

impl Target<'_> {
    fn set(&self, ws: &Workspace, column: &str, ty: &str, value: Option<&str>) -> Result<(), CdpError> {
        spi::run(
            &ws.sql(&format!(
                "UPDATE @ws@.{table} SET {column} = $2::pg_catalog.{ty} WHERE {table}_id = $1",
                table = self.table
            )),
            &[self.id.into(), value.into()],
        )?;
        Ok(())
    }
}

/// Writes every setting but `tracked` and `measure`.
///
/// # Errors
/// 22023 for one that makes no sense; PostgreSQL's own for a bound that is no value of the type and a pattern that is none.
pub fn apply(ws: &Workspace, target: &Target, settings: &Map<String, Value>) -> Result<(), CdpError> {
    for key in ["description", "role", "unit"] {
        if let Some(value) = settings.get(key) {
            target.set(ws, key, "text", text(key, value)?)?;
        }
    }
    for key in ["pii", "required"] {
        if let Some(value) = settings.get(key) {
            target.set(ws, key, "bool", Some(if flag(key, value)? { "true" } else { "false" }))?;
        }
    }
    enforce(ws, target, settings)?;
    if let Some(value) = settings.get("validation") {
        let word = text("validation", value)?.unwrap_or("off");
        if !VALIDATIONS.contains(&word) {
            return Err(CdpError::invalid_parameter(format!("{} is no way to validate", quoted(word)))
                .with_hint(format!("Ways are {}.", VALIDATIONS.join(", "))));
        }
        target.set(ws, "validation", "text", Some(word))?;
    }
    for (key, column) in [("min", "minimum"), ("max", "maximum")] {
        let Some(value) = settings.get(key) else { continue };
        let bound = match value {
            Value::Null => None,
            _ if coded(target.ty) => {
                return Err(CdpError::invalid_parameter(format!(
                    "setting \"{key}\" is for numbers and times, and the values are {}",
                    target.ty
                ))
                .with_hint("Use allowed or pattern."));
            }
            value => Some(canonical(key, value, target.ty)?),
        };
        target.set(ws, column, "text", bound.as_deref())?;
    }
    ordered(ws, target)?;
    if let Some(value) = settings.get("allowed") {
        let list = match value {
            Value::Null => None,
            Value::Array(values) => {
                let element = if target.ty == "text[]" { "text" } else { target.ty };
                let texts = values.iter().map(|value| canonical("allowed", value, element));
                Some(texts.collect::<Result<Vec<String>, CdpError>>()?)
            }
            _ => {
                return Err(CdpError::invalid_parameter("setting \"allowed\" must be an array")
                    .with_hint("Write it as [\"low\", \"high\"]; null allows every value."));
            }
        };
        spi::run(
            &ws.sql(&format!("UPDATE @ws@.{table} SET allowed = $2 WHERE {table}_id = $1", table = target.table)),
            &[target.id.into(), list.into()],
        )?;
    }
    if let Some(value) = settings.get("pattern") {
        let pattern = text("pattern", value)?;
        if let Some(pattern) = pattern {
            if !matches!(target.ty, "text" | "text[]") {
                return Err(CdpError::invalid_parameter(format!(
                    "setting \"pattern\" is for texts, and the values are {}",
                    target.ty
                ))
                .with_hint("Use min, max or allowed."));
            }
            subtransaction::run(|| Ok(spi::one::<bool>("SELECT '' ~ $1", &[pattern.into()])?)).map_err(|failure| {
                CdpError::from(failure)
                    .in_context("setting \"pattern\"")
                    .or_hint("Give a regular expression of PostgreSQL, such as ^[A-Z]{3}$.")
            })?;
        }
        target.set(ws, "pattern", "text", pattern)?;
    }
    Ok(())
}

/// Settings that say what values may be.
const RULES: [&str; 4] = ["min", "max", "allowed", "pattern"];

/// The first rule that says what values may be is enforced unless it is said what happens to others: a range that nothing is held to would be a comment.
fn enforce(ws: &Workspace, target: &Target, settings: &Map<String, Value>) -> Result<(), CdpError> {
    let rules = RULES.iter().any(|key| settings.get(*key).is_some_and(|value| !value.is_null()));
    if !rules || settings.contains_key("validation") {
        return Ok(());
    }
    spi::run(
        &ws.sql(&format!(
            "UPDATE @ws@.{table} SET validation = 'reject' WHERE {table}_id = $1 AND validation = 'off' AND coalesce(minimum, maximum, pattern) IS NULL AND allowed IS NULL",
            table = target.table
        )),
        &[target.id.into()],
    )?;
    Ok(())
}

/// A setting that is true or false.
pub fn flag(key: &str, value: &Value) -> Result<bool, CdpError> {
    value.as_bool().ok_or_else(|| {
        CdpError::invalid_parameter(format!("setting \"{key}\" must be true or false"))
            .with_hint("Write it without quotes.")
    })
}

fn text<'a>(key: &str, value: &'a Value) -> Result<Option<&'a str>, CdpError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(CdpError::invalid_parameter(format!("setting \"{key}\" must be a text"))
            .with_hint("Write it in double quotes.")),
    }
}

/// The text of a value of a type, as PostgreSQL prints it.
fn canonical(key: &str, value: &Value, ty: &str) -> Result<String, CdpError> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => {
            return Err(CdpError::invalid_parameter(format!("setting \"{key}\" must be of values, not of {value}"))
                .with_hint("Values are texts, numbers, true and false."));
        }
    };
    let sql = format!("SELECT (($1::pg_catalog.text)::pg_catalog.{})::pg_catalog.text", pg_type(ty));
    let read = subtransaction::run(|| Ok(spi::one::<String>(&sql, &[text.as_str().into()])?));
    read.map_err(|failure| {
        CdpError::from(failure).in_context(&format!("setting \"{key}\"")).or_hint(format!("Give values of type {ty}."))
    })?
    .ok_or_else(|| CdpError::internal("a value was not read"))
}

/// Refuses bounds between which there is nothing.
fn ordered(ws: &Workspace, target: &Target) -> Result<(), CdpError> {
    if target.ty.is_empty() || coded(target.ty) {
        return Ok(());
    }
    let ty = pg_type(target.ty);
    let crossed = spi::one::<String>(
        &ws.sql(&format!(
            "SELECT t.minimum || ' is more than max ' || t.maximum FROM @ws@.{table} t WHERE t.{table}_id = $1 AND t.minimum::pg_catalog.{ty} > t.maximum::pg_catalog.{ty}",
            table = target.table
        )),
        &[target.id.into()],
    )?;
    match crossed {
        Some(crossed) => Err(CdpError::invalid_parameter(format!("min {crossed}"))
            .with_hint("Give min and max together, the smaller one first; null takes a bound away.")),
        None => Ok(()),
    }
}
