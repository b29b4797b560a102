//! `cdp_event_type_alter`, `cdp_property_create`, `cdp_property_alter`.

use super::dictionary::{self, Mode, NAME_BYTES, Property};
use super::settings::{self, OF_EVENT_TYPE, OF_PROPERTY, Target};
use crate::error::{CdpError, given, quoted};
use crate::pg::json::JsonText;
use crate::pg::spi;
use crate::store::column;
use crate::workspace::{self, Workspace};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::{Map, Value};

/// Types a property may have.
const TYPES: [&str; 6] = ["boolean", "bigint", "numeric", "text", "date", "timestamptz"];

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_event_type_alter(name: Option<&str>, settings: Option<JsonText>) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        let (name, document) = (given(name, "name")?, given(settings, "settings")?.parse()?);
        let settings = settings::object(&document, "an event type", &OF_EVENT_TYPE)?;
        ws.lock()?;
        let id = event_type(ws, name)?;
        settings::apply(ws, &Target { table: "event_type", id, ty: "" }, settings)
    })?)
}

// Written out because an argument called "type" is a keyword of Rust.
#[pg_extern(
    sql = "CREATE FUNCTION cdp_property_create(event text, name text, \"type\" text, settings jsonb DEFAULT '{}') RETURNS void VOLATILE PARALLEL UNSAFE LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';"
)]
fn cdp_property_create(
    event: Option<&str>,
    name: Option<&str>,
    ty: Option<&str>,
    settings: Option<JsonText>,
) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        let (event, name, ty) = (given(event, "event")?, given(name, "name")?, given(ty, "type")?);
        let document = given(settings, "settings")?.parse()?;
        let settings = settings::object(&document, "a property", &OF_PROPERTY)?;
        if !dictionary::is_name(name) {
            return Err(CdpError::invalid_parameter(format!("{} cannot be the name of a property", quoted(name)))
                .with_hint(format!("Use a name of 1 to {NAME_BYTES} bytes.")));
        }
        if !TYPES.contains(&ty) {
            return Err(CdpError::invalid_parameter(format!("{} is no type of a property", quoted(ty)))
                .with_hint(format!("Types are {}.", TYPES.join(", "))));
        }
        ws.lock()?;
        if property(ws, event, name)?.is_some() {
            return Err(CdpError::duplicate_object("property", name)
                .with_hint("Change it with cdp_property_alter(); its type stays."));
        }
        let switch = |key: &str| settings.get(key).map(|value| settings::flag(key, value)).transpose();
        let new = Property {
            name: name.to_owned(),
            ty: ty.to_owned(),
            tracked: switch("tracked")?,
            measure: switch("measure")?,
        };
        switches(ty, settings)?;
        dictionary::ensure(ws, event, &[new], Mode::Declared)?;
        let (id, ty) = property(ws, event, name)?.ok_or_else(|| CdpError::internal("a property was not entered"))?;
        settings::apply(ws, &Target { table: "property", id, ty: &ty }, settings)
    })?)
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_property_alter(event: Option<&str>, name: Option<&str>, settings: Option<JsonText>) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        let (event, name) = (given(event, "event")?, given(name, "name")?);
        let document = given(settings, "settings")?.parse()?;
        let settings = settings::object(&document, "a property", &OF_PROPERTY)?;
        ws.lock()?;
        let event_type_id = event_type(ws, event)?;
        let Some((id, ty)) = property(ws, event, name)? else {
            let known = spi::one::<String>(
                &ws.sql(
                    "SELECT string_agg(p.name, ', ' ORDER BY p.name) FROM @ws@.property p WHERE p.event_type_id = $1",
                ),
                &[event_type_id.into()],
            )?;
            return Err(CdpError::undefined_object("property", &format!("{event}.{name}")).with_hint(match known {
                Some(known) => format!("Properties are {known}."),
                None => "Declare it with cdp_property_create().".to_owned(),
            }));
        };
        settings::apply(ws, &Target { table: "property", id, ty: &ty }, settings)?;
        switches(&ty, settings)?;
        for (key, column) in [("tracked", "property_id"), ("measure", "measure_id")] {
            if let Some(value) = settings.get(key) {
                switch(ws, event_type_id, id, key, column, settings::flag(key, value)?)?;
            }
        }
        Ok(())
    })?)
}

/// Refuses switches that the type of a property does not have.
fn switches(ty: &str, settings: &Map<String, Value>) -> Result<(), CdpError> {
    let wrong = |key: &str, wanted: &str| {
        CdpError::invalid_parameter(format!("setting \"{key}\" is for {wanted}, and the values are {ty}"))
            .with_hint("Leave it out.")
    };
    for (key, value) in settings {
        match key.as_str() {
            "tracked" if settings::flag(key, value)? && !column::coded(ty) => {
                return Err(wrong(key, "texts and booleans"));
            }
            "measure" if settings::flag(key, value)? && !matches!(ty, "bigint" | "numeric") => {
                return Err(wrong(key, "numbers"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Begins or ends keeping day columns by the values of a property or sums of it. Those that begin are built by the next flush.
fn switch(ws: &Workspace, event_type_id: i32, property_id: i32, key: &str, by: &str, on: bool) -> Result<(), CdpError> {
    let changed = spi::run(
        &ws.sql(&format!("UPDATE @ws@.property SET {key} = $2 WHERE property_id = $1 AND {key} <> $2")),
        &[property_id.into(), on.into()],
    )?;
    if changed == 0 {
        return Ok(());
    }
    for column_id in spi::rows(
        &ws.sql(&format!(
            "SELECT c.column_id FROM @ws@.store_column c WHERE c.kind = 'day' AND c.{by} = $1 AND NOT ($2 AND EXISTS (SELECT FROM @ws@.property p \
               WHERE (p.property_id = c.property_id AND NOT p.tracked) OR (p.property_id = c.measure_id AND NOT p.measure)))"
        )),
        &[property_id.into(), on.into()],
        |row| spi::must::<i32>(row, 1),
    )? {
        column::retire(ws, column_id, if on { "stale" } else { "off" })?;
    }
    if on { column::create_for_event_type(ws, event_type_id) } else { Ok(()) }
}

/// Number of an event type.
///
/// # Errors
/// 42704 when there is none.
pub fn event_type(ws: &Workspace, name: &str) -> Result<i32, CdpError> {
    let found =
        spi::one::<i32>(&ws.sql("SELECT t.event_type_id FROM @ws@.event_type t WHERE t.name = $1"), &[name.into()])?;
    if let Some(id) = found {
        return Ok(id);
    }
    let known =
        spi::one::<String>(&ws.sql("SELECT string_agg(t.name, ', ' ORDER BY t.name) FROM @ws@.event_type t"), &[])?;
    Err(CdpError::undefined_object("event type", name).with_hint(match known {
        Some(known) => format!("Event types are {known}."),
        None => "Declare its properties with cdp_property_create().".to_owned(),
    }))
}

/// Number and type of a property.
fn property(ws: &Workspace, event: &str, name: &str) -> Result<Option<(i32, String)>, CdpError> {
    let found = spi::rows(
        &ws.sql("SELECT p.property_id, p.type FROM @ws@.property p JOIN @ws@.event_type t USING (event_type_id) WHERE t.name = $1 AND p.name = $2"),
        &[event.into(), name.into()],
        |row| Ok((spi::must::<i32>(row, 1)?, spi::must::<String>(row, 2)?)),
    )?;
    Ok(found.into_iter().next())
}
