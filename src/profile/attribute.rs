//! The registry of attributes: entering one makes its column in the wide table and its column of bits.

use crate::error::{CdpError, given};
use crate::pg::spi;
use crate::profile::view;
use crate::store::column;
use crate::workspace::{self, Workspace};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Types an attribute may have.
const TYPES: [&str; 7] = ["boolean", "bigint", "numeric", "text", "text[]", "date", "timestamptz"];

/// Names that the wide table, the language or PostgreSQL keeps for itself.
const RESERVED: [&str; 8] = ["profile_id", "at", "tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"];

/// A new attribute.
pub struct New<'a> {
    /// Name.
    pub name: &'a str,
    /// `trait` or `tag`.
    pub kind: &'a str,
    /// One of the seven types.
    pub ty: &'a str,
    /// Survivorship rule of a trait.
    pub rule: Option<&'a str>,
    /// identity, descriptive, behavioural or qualitative.
    pub class: &'a str,
    /// Whether it gets a column of bits.
    pub indexed: bool,
    /// Expression of a tag.
    pub expression: Option<&'a str>,
    /// What it means.
    pub description: Option<&'a str>,
    /// statistical, rule, imported or manual, of a tag.
    pub tag_kind: Option<&'a str>,
}

/// Enters an attribute. Needs the workspace lock. The view is refreshed by the caller.
pub fn create(ws: &Workspace, new: &New) -> Result<i32, CdpError> {
    if new.name.is_empty() || new.name.len() > 63 || RESERVED.contains(&new.name) {
        return Err(CdpError::invalid_parameter(format!("\"{}\" cannot be the name of an attribute", new.name))
            .with_hint(format!("Use a name of 1 to 63 bytes other than {}.", RESERVED.join(", "))));
    }
    if !TYPES.contains(&new.ty) {
        return Err(CdpError::invalid_parameter(format!("\"{}\" is no type of an attribute", new.ty))
            .with_hint(format!("Types are {}.", TYPES.join(", "))));
    }
    if let Some(kind) = spi::one::<String>(
        &ws.sql("SELECT a.kind FROM @ws@.attribute a WHERE a.entity = 'person' AND a.name = $1"),
        &[new.name.into()],
    )? {
        return Err(CdpError::duplicate_object(&kind, new.name).with_hint("Choose another name."));
    }
    let attribute_id = spi::one::<i32>(
        &ws.sql("INSERT INTO @ws@.attribute (name, kind, type, rule, class, indexed, expression, description, tag_kind) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING attribute_id"),
        &[new.name.into(), new.kind.into(), new.ty.into(), new.rule.into(), new.class.into(), new.indexed.into(), new.expression.into(), new.description.into(), new.tag_kind.into()],
    )?
    .ok_or_else(|| CdpError::internal("an attribute was not entered"))?;
    spi::run(
        &ws.sql(&format!(
            "ALTER TABLE @ws@.profile_value ADD COLUMN {} pg_catalog.{}",
            column::value_column(new.name),
            column::pg_type(new.ty)
        )),
        &[],
    )?;
    if new.indexed {
        column::create_for_attribute(
            ws,
            attribute_id,
            new.ty,
            if new.ty == "numeric" { column::DEFAULT_SCALE } else { 0 },
        )?;
    }
    Ok(attribute_id)
}

/// Enters a trait that a source brings, unless it is known with the same type.
pub fn ensure_trait(ws: &Workspace, name: &str, ty: &str) -> Result<(), CdpError> {
    let existing = spi::rows(
        &ws.sql("SELECT a.kind, a.type FROM @ws@.attribute a WHERE a.entity = 'person' AND a.name = $1"),
        &[name.into()],
        |row| Ok((spi::must::<String>(row, 1)?, spi::must::<String>(row, 2)?)),
    )?;
    match existing.into_iter().next() {
        Some((kind, known)) if kind == "trait" && known == ty => Ok(()),
        Some((kind, _)) if kind == "tag" => {
            Err(CdpError::duplicate_object("tag", name).with_hint("A tag is computed; give the trait another name."))
        }
        Some((_, known)) => {
            Err(CdpError::type_mismatch(format!("trait \"{name}\" is {known}, but this source gives {ty}"))
                .with_hint(format!("Cast the expression to {known}, or use another trait name.")))
        }
        None => {
            let new = New {
                name,
                kind: "trait",
                ty,
                rule: Some("most_recent"),
                class: "descriptive",
                indexed: true,
                expression: None,
                description: None,
                tag_kind: None,
            };
            create(ws, &new).map(|_| ())
        }
    }
}

/// Number and type of a trait.
pub fn trait_of(ws: &Workspace, name: &str) -> Result<(i32, String), CdpError> {
    spi::rows(
        &ws.sql("SELECT a.attribute_id, a.type FROM @ws@.attribute a WHERE a.entity = 'person' AND a.kind = 'trait' AND a.name = $1"),
        &[name.into()],
        |row| Ok((spi::must::<i32>(row, 1)?, spi::must::<String>(row, 2)?)),
    )?
    .into_iter()
    .next()
    .ok_or_else(|| CdpError::undefined_object("trait", name))
}

// Written out because an argument called "type" is a keyword of Rust.
#[pg_extern(
    sql = "CREATE FUNCTION cdp_trait_create(name text, \"type\" text, rule text DEFAULT 'most_recent', class text DEFAULT 'descriptive', indexed boolean DEFAULT true) RETURNS void VOLATILE PARALLEL UNSAFE LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';"
)]
fn cdp_trait_create(
    name: Option<&str>,
    ty: Option<&str>,
    rule: Option<&str>,
    class: Option<&str>,
    indexed: Option<bool>,
) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        let (name, ty) = (given(name, "name")?, given(ty, "type")?);
        let (rule, class, indexed) = (given(rule, "rule")?, given(class, "class")?, given(indexed, "indexed")?);
        if rule != "most_recent" {
            return Err(CdpError::not_supported(format!("survivorship rule \"{rule}\" is not supported yet"))
                .with_hint("Use most_recent."));
        }
        const CLASSES: [&str; 4] = ["identity", "descriptive", "behavioural", "qualitative"];
        if !CLASSES.contains(&class) {
            return Err(CdpError::invalid_parameter(format!("\"{class}\" is no class of traits"))
                .with_hint(format!("Classes are {}.", CLASSES.join(", "))));
        }
        ws.lock()?;
        create(
            ws,
            &New {
                name,
                kind: "trait",
                ty,
                rule: Some(rule),
                class,
                indexed,
                expression: None,
                description: None,
                tag_kind: None,
            },
        )?;
        view::refresh(ws)
    })?)
}
