//! `cdp_attribute_alter`: what the dictionary says of an attribute.

use crate::error::{CdpError, given};
use crate::event::settings::{self, OF_TAG, OF_TRAIT, Target};
use crate::pg::json::JsonText;
use crate::pg::spi;
use crate::store::group::Group;
use crate::workspace;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_attribute_alter(name: Option<&str>, settings: Option<JsonText>) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        let (name, document) = (given(name, "name")?, given(settings, "settings")?.parse()?);
        ws.lock()?;
        let found = spi::rows(
            &ws.sql("SELECT a.attribute_id, a.kind, a.type, a.entity FROM @ws@.attribute a WHERE a.name = $1"),
            &[name.into()],
            |row| {
                Ok((
                    spi::must::<i32>(row, 1)?,
                    spi::must::<String>(row, 2)?,
                    spi::must::<String>(row, 3)?,
                    spi::must::<String>(row, 4)?,
                ))
            },
        )?;
        let Some((id, kind, ty, entity)) = found.into_iter().next() else {
            return Err(CdpError::undefined_object("attribute", name)
                .with_hint("The view attributes of the workspace lists them; make a trait with cdp_trait_create()."));
        };
        let settings = if kind == "tag" {
            settings::object(&document, "a tag", &OF_TAG).map_err(|error| {
                error.with_hint("Settings are description, unit and pii; cdp_tag_alter() has the others.")
            })?
        } else {
            settings::object(&document, "a trait", &OF_TRAIT)?
        };
        settings::apply(ws, &Target { table: "attribute", id, ty: &ty }, settings)?;
        match Group::named(ws, &entity)? {
            Some(group) => group.refresh_view(ws),
            None => crate::profile::view::refresh(ws),
        }
    })?)
}
