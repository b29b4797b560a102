//! Event types and properties that a source brings, entered into the dictionary of the workspace.

use super::describe;
use super::mapping::EventMapping;
use crate::error::CdpError;
use crate::pg::spi;
use crate::store::column;
use crate::workspace::Workspace;

/// Enters an event type with the properties of a mapping, as far as they are not known, and makes its day columns.
pub fn ensure(ws: &Workspace, relation: &str, event: &EventMapping, name: &str) -> Result<i32, CdpError> {
    if name.is_empty() || name.len() > 63 {
        return Err(CdpError::invalid_parameter(format!("\"{name}\" cannot be the name of an event type"))
            .with_hint("Use a name of 1 to 63 bytes."));
    }
    let known =
        spi::one::<i32>(&ws.sql("SELECT t.event_type_id FROM @ws@.event_type t WHERE t.name = $1"), &[name.into()])?;
    let event_type_id = match known {
        Some(id) => id,
        None => spi::one::<i32>(
            &ws.sql("INSERT INTO @ws@.event_type (name) VALUES ($1) RETURNING event_type_id"),
            &[name.into()],
        )?
        .ok_or_else(|| CdpError::internal("an event type was not entered"))?,
    };
    for (property, expression) in &event.properties {
        let ty = describe::property_type(relation, &format!("event.properties.{property}"), expression)?;
        let existing = spi::one::<String>(
            &ws.sql("SELECT p.type FROM @ws@.property p WHERE p.event_type_id = $1 AND p.name = $2"),
            &[event_type_id.into(), property.as_str().into()],
        )?;
        if let Some(existing) = existing {
            if existing != ty {
                return Err(CdpError::type_mismatch(format!(
                    "property \"{property}\" of event \"{name}\" is {existing}, but this source gives {ty}"
                ))
                .with_hint(format!("Cast the expression to {existing}, or use another property name.")));
            }
            continue;
        }
        let listed =
            |names: &Option<Vec<String>>, otherwise: bool| names.as_ref().map_or(otherwise, |n| n.contains(property));
        let tracked = column::coded(&ty) && listed(&event.tracked, true);
        // Whole numbers are as often ids as quantities: their sums are kept when asked for.
        let measure = matches!(ty.as_str(), "bigint" | "numeric") && listed(&event.measures, ty == "numeric");
        spi::run(
            &ws.sql(
                "INSERT INTO @ws@.property (event_type_id, name, type, tracked, measure) VALUES ($1, $2, $3, $4, $5)",
            ),
            &[event_type_id.into(), property.as_str().into(), ty.into(), tracked.into(), measure.into()],
        )?;
    }
    column::create_for_event_type(ws, event_type_id)?;
    Ok(event_type_id)
}
