//! The mapping of a source: jsonb of SQL expressions over one row of the relation.

use crate::error::CdpError;
use serde_json::{Map, Value};

/// A parsed mapping. Every string is an SQL expression over the columns of the relation.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    /// What identifies the row; `None`: the primary key, or else the whole row.
    pub key: Option<String>,
    /// What grows when a row changes; `None`: every sync compares all rows.
    pub updated_at: Option<String>,
    /// How far below the watermark a sync reads again: an interval, or a number.
    pub overlap: Option<String>,
    /// Whether a row that is gone takes back what it said.
    pub retract: bool,
    /// Which rows are taken.
    pub filter: Option<String>,
    /// Identifier type to value.
    pub identifiers: Vec<(String, String)>,
    /// Trait to value.
    pub traits: Vec<(String, String)>,
    /// The event of the row.
    pub event: Option<EventMapping>,
}

/// How a row becomes an event.
#[derive(Debug, Clone, Default)]
pub struct EventMapping {
    /// Event type.
    pub name: String,
    /// When it happened.
    pub at: String,
    /// Key of the event in the source; `None`: the key of the row.
    pub id: Option<String>,
    /// Property to value.
    pub properties: Vec<(String, String)>,
    /// Properties that get day columns by value; `None`: text and booleans.
    pub tracked: Option<Vec<String>>,
    /// Properties whose sums are kept by day; `None`: those of type numeric.
    pub measures: Option<Vec<String>>,
}

/// The longest name of an attribute or property, in bytes: it is a column of a view.
const NAME_BYTES: usize = 63;

/// Parses a mapping.
///
/// # Errors
/// 22023 naming the entry that is missing, unknown or of the wrong shape.
pub fn parse(value: &Value) -> Result<Mapping, CdpError> {
    let object = value.as_object().ok_or_else(|| wrong("mapping", "an object"))?;
    if object.contains_key("consents") {
        return Err(CdpError::not_supported("mapping entry \"consents\" is not supported yet")
            .with_hint("Leave it out; consents are not kept in this version."));
    }
    known(
        object,
        "mapping",
        &["key", "updated_at", "overlap", "deletions", "filter", "identifiers", "traits", "event"],
    )?;
    let mapping = Mapping {
        key: optional(object, "key")?,
        updated_at: optional(object, "updated_at")?,
        overlap: overlap(object)?,
        retract: retract(object)?,
        filter: optional(object, "filter")?,
        identifiers: pairs(object, "identifiers")?,
        traits: pairs(object, "traits")?,
        event: match object.get("event") {
            None | Some(Value::Null) => None,
            Some(event) => Some(parse_event(event)?),
        },
    };
    if mapping.overlap.is_some() && mapping.updated_at.is_none() {
        return Err(CdpError::invalid_parameter("mapping entry \"overlap\" needs \"updated_at\"")
            .with_hint("Without updated_at every sync compares all rows: no row is missed."));
    }
    if mapping.retract && mapping.updated_at.is_some() {
        return Err(CdpError::invalid_parameter(
            "mapping entry \"deletions\" cannot be \"retract\" beside \"updated_at\"",
        )
        .with_hint("Leave out updated_at: only a sync that compares all rows sees which are gone."));
    }
    if mapping.retract && mapping.traits.is_empty() && mapping.event.is_none() {
        return Err(CdpError::invalid_parameter("mapping entry \"deletions\" has nothing to retract")
            .with_hint("Traits and events of rows that are gone are taken back; identifiers and what ties them stay. Leave the entry out."));
    }
    if mapping.identifiers.is_empty() {
        return Err(CdpError::invalid_parameter("mapping has no identifiers").with_hint(
            "Say which columns identify the person, for example {\"identifiers\": {\"email\": \"email\"}}.",
        ));
    }
    if mapping.traits.is_empty() && mapping.event.is_none() && mapping.identifiers.len() < 2 {
        return Err(CdpError::invalid_parameter("mapping takes nothing from a row")
            .with_hint("Add traits, an event, or a second identifier that links to the first."));
    }
    Ok(mapping)
}

/// How far below the watermark rows are read again.
fn overlap(object: &Map<String, Value>) -> Result<Option<String>, CdpError> {
    match object.get("overlap") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.clone())),
        Some(Value::Number(number)) => Ok(Some(number.to_string())),
        Some(_) => Err(wrong("overlap", "an interval, such as \"15 minutes\", or a number")),
    }
}

/// Whether rows that are gone take back what they said.
fn retract(object: &Map<String, Value>) -> Result<bool, CdpError> {
    match object.get("deletions") {
        None | Some(Value::Null) => Ok(false),
        Some(Value::String(text)) if text == "keep" => Ok(false),
        Some(Value::String(text)) if text == "retract" => Ok(true),
        Some(_) => Err(wrong("deletions", "\"keep\" or \"retract\"")),
    }
}

fn parse_event(value: &Value) -> Result<EventMapping, CdpError> {
    let object = value.as_object().ok_or_else(|| wrong("event", "an object"))?;
    known(object, "event", &["name", "at", "id", "properties", "tracked", "measures"])?;
    let required = |key: &str| {
        optional(object, key)?.ok_or_else(|| {
            CdpError::invalid_parameter(format!("mapping entry \"event\" has no \"{key}\"")).with_hint(
                "An event needs at least {\"name\": \"'purchase'\", \"at\": \"sold_at\"}; both are SQL expressions.",
            )
        })
    };
    let properties = pairs(object, "properties")?;
    let names = |key: &str| -> Result<Option<Vec<String>>, CdpError> {
        let Some(list) = object.get(key) else { return Ok(None) };
        let list = list.as_array().ok_or_else(|| wrong(key, "an array of property names"))?;
        let mut out = Vec::with_capacity(list.len());
        for item in list {
            let name = item.as_str().ok_or_else(|| wrong(key, "an array of property names"))?;
            if !properties.iter().any(|(p, _)| p == name) {
                return Err(CdpError::invalid_parameter(format!(
                    "mapping entry \"{key}\" names \"{name}\", which is no property of the event"
                ))
                .with_hint("List only names that are keys of \"properties\"."));
            }
            out.push(name.to_owned());
        }
        Ok(Some(out))
    };
    Ok(EventMapping {
        name: required("name")?,
        at: required("at")?,
        id: optional(object, "id")?,
        tracked: names("tracked")?,
        measures: names("measures")?,
        properties,
    })
}

fn known(object: &Map<String, Value>, what: &str, keys: &[&str]) -> Result<(), CdpError> {
    match object.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(key) => Err(CdpError::invalid_parameter(format!("unknown entry \"{key}\" in {what}"))
            .with_hint(format!("Known entries are {}.", keys.join(", ")))),
        None => Ok(()),
    }
}

fn optional(object: &Map<String, Value>, key: &str) -> Result<Option<String>, CdpError> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(wrong(key, "a string that holds an SQL expression")),
    }
}

fn pairs(object: &Map<String, Value>, key: &str) -> Result<Vec<(String, String)>, CdpError> {
    let entries = match object.get(key) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(entries)) => entries,
        Some(_) => return Err(wrong(key, "an object of names and SQL expressions")),
    };
    let mut out = Vec::with_capacity(entries.len());
    for (name, expression) in entries {
        if name.is_empty() || name.len() > NAME_BYTES || name.contains('\0') {
            return Err(CdpError::invalid_parameter(format!(
                "\"{name}\" in mapping entry \"{key}\" is no usable name"
            ))
            .with_hint(format!("Use a name of 1 to {NAME_BYTES} bytes.")));
        }
        match expression.as_str() {
            Some(text) if !text.trim().is_empty() => out.push((name.clone(), text.to_owned())),
            _ => return Err(wrong(&format!("{key}.{name}"), "a string that holds an SQL expression")),
        }
    }
    Ok(out)
}

fn wrong(entry: &str, shape: &str) -> CdpError {
    CdpError::invalid_parameter(format!("mapping entry \"{entry}\" must be {shape}"))
        .with_hint("Example: {\"identifiers\": {\"email\": \"email\"}, \"traits\": {\"city\": \"city\"}, \"updated_at\": \"updated_at\"}.")
}
