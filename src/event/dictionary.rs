//! The dictionary of events: which event types there are, which properties each has, and of which type. Every door enters what it brings here.

use crate::error::{CdpError, quoted};
use crate::pg::spi;
use crate::store::column;
use crate::workspace::Workspace;

/// The longest name of an event type or a property, in bytes: expressions name them.
pub const NAME_BYTES: usize = 63;

/// The most properties of an event type that data may bring by itself.
pub const MOST_PROPERTIES: usize = 1000;

/// A property that a door brings.
#[derive(Debug, Clone)]
pub struct Property {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: String,
    /// Whether each of its values gets day columns; `None`: as its type has it, texts and booleans do.
    pub tracked: Option<bool>,
    /// Whether its sums are kept by day; `None`: as its type has it, those of type numeric are.
    pub measure: Option<bool>,
}

/// How event types, and the types of properties, came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Somebody wrote them down: one that is known with another type is an error.
    Declared,
    /// They are those of the expressions of a source: as above.
    Mapped,
    /// They were read off values: what is known already holds.
    Inferred,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Mapped => "mapped",
            Self::Inferred => "inferred",
        }
    }
}

/// A property as the dictionary has it.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: String,
}

/// An event type with the properties that were asked for.
#[derive(Debug, Clone)]
pub struct EventType {
    /// Its number.
    pub event_type_id: i32,
    /// The properties in no particular order. Of inferred ones those are missing that cannot be entered: their name is none, or there are too many.
    pub properties: Vec<Known>,
}

/// Enters an event type and its properties as far as they are not known, and makes the day columns of what is new. Needs the workspace lock.
///
/// # Errors
/// 22023 for a name that cannot be one; 42804 for a declared property that is known with another type.
pub fn ensure(ws: &Workspace, event: &str, properties: &[Property], known_by: Mode) -> Result<EventType, CdpError> {
    if event.is_empty() || event.len() > NAME_BYTES {
        return Err(CdpError::invalid_parameter(format!("{} cannot be the name of an event type", quoted(event)))
            .with_hint(format!("Use a name of 1 to {NAME_BYTES} bytes.")));
    }
    let mut found = look_up(ws, event, properties)?;
    let mut new = Vec::new();
    for property in properties {
        match found.as_ref().and_then(|t| t.properties.iter().find(|known| known.name == property.name)) {
            Some(known) if known_by != Mode::Inferred && known.ty != property.ty => {
                return Err(CdpError::type_mismatch(format!(
                    "property \"{}\" of event \"{event}\" is {}, but this source gives {}",
                    property.name, known.ty, property.ty
                ))
                .with_hint(format!("Cast the expression to {}, or use another property name.", known.ty)));
            }
            Some(_) => {}
            None if known_by != Mode::Inferred || is_name(&property.name) => new.push(property),
            None => {}
        }
    }
    if let (Some(known), true) = (&found, new.is_empty()) {
        return Ok(known.clone());
    }
    let event_type_id = match &found {
        Some(known) => known.event_type_id,
        None => spi::one::<i32>(
            &ws.sql("INSERT INTO @ws@.event_type (name, origin) VALUES ($1, $2) RETURNING event_type_id"),
            &[event.into(), known_by.name().into()],
        )?
        .ok_or_else(|| CdpError::internal("an event type was not entered"))?,
    };
    if known_by == Mode::Inferred && !new.is_empty() {
        let there = spi::one::<i64>(
            &ws.sql("SELECT count(*) FROM @ws@.property p WHERE p.event_type_id = $1"),
            &[event_type_id.into()],
        )?;
        let there = usize::try_from(there.unwrap_or(0)).unwrap_or(MOST_PROPERTIES);
        new.truncate(MOST_PROPERTIES.saturating_sub(there));
    }
    for property in new {
        enter(ws, event_type_id, property, known_by)?;
    }
    column::create_for_event_type(ws, event_type_id)?;
    found = look_up(ws, event, properties)?;
    found.ok_or_else(|| CdpError::internal("an event type is gone"))
}

/// Whether an event type is known, with these properties, of these types: then [`ensure`] has nothing to do, and nothing to say.
pub fn is_known(ws: &Workspace, event: &str, properties: &[Property]) -> Result<bool, CdpError> {
    let Some(found) = look_up(ws, event, properties)? else { return Ok(false) };
    let known = |property: &Property| {
        found.properties.iter().any(|known| known.name == property.name && known.ty == property.ty)
    };
    Ok(properties.iter().all(known))
}

/// Whether a property can have this name.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES && !name.contains('\0')
}

fn look_up(ws: &Workspace, event: &str, properties: &[Property]) -> Result<Option<EventType>, CdpError> {
    let names: Vec<&str> = properties.iter().map(|property| property.name.as_str()).collect();
    let mut found: Option<EventType> = None;
    for (event_type_id, property) in spi::rows_cached(
        &ws.sql(
            "SELECT t.event_type_id, p.name, p.type FROM @ws@.event_type t \
             LEFT JOIN @ws@.property p ON p.event_type_id = t.event_type_id AND p.name = ANY ($2) WHERE t.name = $1",
        ),
        &[event.into(), names.into()],
        |row| {
            let property = match row.get::<String>(2)? {
                Some(name) => Some(Known { name, ty: spi::must(row, 3)? }),
                None => None,
            };
            Ok((spi::must::<i32>(row, 1)?, property))
        },
    )? {
        found.get_or_insert_with(|| EventType { event_type_id, properties: Vec::new() }).properties.extend(property);
    }
    Ok(found)
}

fn enter(ws: &Workspace, event_type_id: i32, property: &Property, known_by: Mode) -> Result<(), CdpError> {
    let ty = property.ty.as_str();
    let tracked = column::coded(ty) && property.tracked.unwrap_or(true);
    // Whole numbers are as often ids as quantities: their sums are kept when asked for.
    let measure = matches!(ty, "bigint" | "numeric") && property.measure.unwrap_or(ty == "numeric");
    spi::run(
        &ws.sql("INSERT INTO @ws@.property (event_type_id, name, type, tracked, measure, origin) VALUES ($1, $2, $3, $4, $5, $6)"),
        &[event_type_id.into(), property.name.as_str().into(), ty.into(), tracked.into(), measure.into(), known_by.name().into()],
    )?;
    Ok(())
}
