//! The registry of attributes: entering one makes its column in the wide table and its column of bits.

use crate::error::{CdpError, given};
use crate::pg::json::JsonText;
use crate::pg::{spi, temp};
use crate::profile::survive::{Of, survive};
use crate::profile::{observe, view};
use crate::store::column;
use crate::store::group::{self, Group, PERSON};
use crate::workspace::{self, Workspace};
use pg_cdp_core::survivorship::{Kind, Rule};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Types an attribute may have.
const TYPES: [&str; 7] = ["boolean", "bigint", "numeric", "text", "text[]", "date", "timestamptz"];

/// Names that the wide table, the language or PostgreSQL keeps for itself.
const RESERVED: [&str; 8] = ["profile_id", "at", "tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"];

/// Whether an attribute can have this name.
pub fn is_name(name: &str) -> bool {
    (1..=63).contains(&name.len()) && !RESERVED.contains(&name)
}

/// How an attribute came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Somebody made it.
    Declared,
    /// The mapping of a source names it.
    Mapped,
    /// A message brought it.
    Inferred,
}

impl Origin {
    fn name(self) -> &'static str {
        match self {
            Self::Declared => "declared",
            Self::Mapped => "mapped",
            Self::Inferred => "inferred",
        }
    }
}

/// A new attribute.
pub struct New<'a> {
    /// The entity type whose groups it describes; `None` for people.
    pub group: Option<&'a Group>,
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
    /// How it came to be known.
    pub origin: Origin,
    /// statistical, rule, imported or manual, of a tag.
    pub tag_kind: Option<&'a str>,
}

/// Enters an attribute. Needs the workspace lock. The view is refreshed by the caller.
pub fn create(ws: &Workspace, new: &New) -> Result<i32, CdpError> {
    let kept: &[&str] = if new.group.is_some() { &group::COLUMNS } else { &[] };
    if !is_name(new.name) || kept.contains(&new.name) {
        return Err(CdpError::invalid_parameter(format!("\"{}\" cannot be the name of an attribute", new.name))
            .with_hint(format!("Use a name of 1 to 63 bytes other than {}.", [&RESERVED, kept].concat().join(", "))));
    }
    if !TYPES.contains(&new.ty) {
        return Err(CdpError::invalid_parameter(format!("\"{}\" is no type of an attribute", new.ty))
            .with_hint(format!("Types are {}.", TYPES.join(", "))));
    }
    let taken = spi::rows(
        &ws.sql("SELECT a.kind, a.entity FROM @ws@.attribute a WHERE a.name = $1"),
        &[new.name.into()],
        |row| Ok((spi::must::<String>(row, 1)?, spi::must::<String>(row, 2)?)),
    )?;
    if let Some((kind, entity)) = taken.into_iter().next() {
        let error = CdpError::duplicate_object(&kind, new.name);
        return Err(if entity == new.group.map_or(PERSON, |group| group.name.as_str()) {
            error.with_hint("Choose another name.")
        } else {
            error
                .with_detail(format!("It is an attribute of {}.", crate::error::quoted(&entity)))
                .with_hint("A name is given once in a workspace: choose another one.")
        });
    }
    let attribute_id = spi::one::<i32>(
        &ws.sql("INSERT INTO @ws@.attribute (name, kind, type, rule, class, indexed, expression, description, tag_kind, origin, entity) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING attribute_id"),
        &[new.name.into(), new.kind.into(), new.ty.into(), new.rule.into(), new.class.into(), new.indexed.into(), new.expression.into(), new.description.into(), new.tag_kind.into(), new.origin.name().into(), new.group.map_or(PERSON, |group| group.name.as_str()).into()],
    )?
    .ok_or_else(|| CdpError::internal("an attribute was not entered"))?;
    if let Some(group) = new.group {
        group.add_column(ws, new.name, new.ty)?;
        return Ok(attribute_id);
    }
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
pub fn ensure_trait(ws: &Workspace, name: &str, ty: &str, origin: Origin) -> Result<(), CdpError> {
    let existing =
        spi::rows(&ws.sql("SELECT a.kind, a.type FROM @ws@.attribute a WHERE a.name = $1"), &[name.into()], |row| {
            Ok((spi::must::<String>(row, 1)?, spi::must::<String>(row, 2)?))
        })?;
    match existing.into_iter().next() {
        Some((kind, known)) if kind == "trait" && known == ty => Ok(()),
        // Another message of the batch has brought it meanwhile: it is read again as that has it.
        Some(_) if origin == Origin::Inferred => Ok(()),
        Some((kind, _)) if kind == "tag" => {
            Err(CdpError::duplicate_object("tag", name).with_hint("A tag is computed; give the trait another name."))
        }
        Some((_, known)) => {
            Err(CdpError::type_mismatch(format!("trait \"{name}\" is {known}, but this source gives {ty}"))
                .with_hint(format!("Cast the expression to {known}, or use another trait name.")))
        }
        None => {
            let new = New {
                group: None,
                name,
                kind: "trait",
                ty,
                rule: Some("most_recent"),
                class: "descriptive",
                indexed: true,
                expression: None,
                description: None,
                origin,
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

const CLASSES: [&str; 4] = ["identity", "descriptive", "behavioural", "qualitative"];

/// How much harm it does when others learn a value.
const SENSITIVITIES: [&str; 4] = ["public", "internal", "personal", "sensitive"];

fn class_named(class: &str) -> Result<&str, CdpError> {
    if CLASSES.contains(&class) {
        return Ok(class);
    }
    Err(CdpError::invalid_parameter(format!("\"{class}\" is no class of traits"))
        .with_hint(format!("Classes are {}.", CLASSES.join(", "))))
}

/// The survivorship rule with a name, of a trait of a type.
fn rule_named(name: &str, ty: &str) -> Result<Rule, CdpError> {
    let names = |which: &dyn Fn(&Rule) -> bool| -> String {
        let some: Vec<&str> = Rule::ALL.iter().filter(|rule| which(rule)).map(|rule| rule.name()).collect();
        some.join(", ")
    };
    let Some(rule) = Rule::named(name) else {
        return Err(CdpError::invalid_parameter(format!("\"{name}\" is no survivorship rule"))
            .with_hint(format!("Rules are {}.", names(&|_| true))));
    };
    match Kind::named(ty) {
        Some(kind) if !rule.fits(kind) => {
            Err(CdpError::type_mismatch(format!("survivorship rule \"{name}\" is not for values of type {ty}"))
                .with_hint(format!("Rules for {ty} are {}.", names(&|rule| rule.fits(kind)))))
        }
        _ => Ok(rule),
    }
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
        let (rule, class) = (rule_named(rule, ty)?, class_named(class)?);
        ws.lock()?;
        create(
            ws,
            &New {
                group: None,
                name,
                kind: "trait",
                ty,
                rule: Some(rule.name()),
                class,
                indexed,
                expression: None,
                description: None,
                origin: Origin::Declared,
                tag_kind: None,
            },
        )?;
        view::refresh(ws)
    })?)
}

/// Settings that `cdp_trait_alter()` takes.
const OF_ALTER: [&str; 4] = ["rule", "class", "owner", "sensitivity"];

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_trait_alter(name: Option<&str>, settings: Option<JsonText>) -> Result<(), ErrorReport> {
    Ok(workspace::enter_bulk(|ws| {
        let (name, document) = (given(name, "name")?, given(settings, "settings")?.parse()?);
        let settings = document.as_object().ok_or_else(|| {
            CdpError::invalid_parameter("the settings of a trait must be an object")
                .with_hint("Write them as '{\"rule\": \"source_trust\"}'.")
        })?;
        if let Some(key) = settings.keys().find(|key| !OF_ALTER.contains(&key.as_str())) {
            return Err(CdpError::invalid_parameter(format!("unknown setting \"{key}\" of a trait"))
                .with_hint(format!("Settings are {}.", OF_ALTER.join(", "))));
        }
        ws.lock()?;
        let (attribute_id, ty) = trait_of(ws, name)?;
        for (key, value) in settings {
            let word = || {
                value.as_str().ok_or_else(|| {
                    CdpError::invalid_parameter(format!("setting \"{key}\" of a trait must be a text"))
                        .with_hint("Leave it out to keep what it is.")
                })
            };
            match key.as_str() {
                "rule" => rule(ws, attribute_id, rule_named(word()?, &ty)?)?,
                "class" => set(ws, attribute_id, "class", Some(class_named(word()?)?))?,
                "sensitivity" if !SENSITIVITIES.contains(&word()?) => {
                    return Err(CdpError::invalid_parameter(format!("\"{}\" is no sensitivity", word()?))
                        .with_hint(format!("Sensitivities are {}.", SENSITIVITIES.join(", "))));
                }
                "sensitivity" => set(ws, attribute_id, "sensitivity", Some(word()?))?,
                other => set(ws, attribute_id, other, if value.is_null() { None } else { Some(word()?) })?,
            }
        }
        view::refresh(ws)
    })?)
}

/// Writes a setting that is a text; `column` is a word of the caller's.
pub fn set(ws: &Workspace, attribute_id: i32, column: &str, value: Option<&str>) -> Result<(), CdpError> {
    spi::run(
        &ws.sql(&format!("UPDATE @ws@.attribute SET {column} = $2 WHERE attribute_id = $1")),
        &[attribute_id.into(), value.into()],
    )?;
    Ok(())
}

/// Gives a trait another rule, and every profile that has it the value it comes to by that.
fn rule(ws: &Workspace, attribute_id: i32, rule: Rule) -> Result<(), CdpError> {
    let present = spi::one::<String>(
        &ws.sql("SELECT a.rule FROM @ws@.attribute a WHERE a.attribute_id = $1"),
        &[attribute_id.into()],
    )?;
    if present.as_deref() == Some(rule.name()) {
        return Ok(());
    }
    if rule != Rule::Oldest {
        observe::keep_latest(ws, attribute_id)?;
    }
    set(ws, attribute_id, "rule", Some(rule.name()))?;
    temp::table("cdp_touched", "profile_id pg_catalog.int8")?;
    spi::run(
        &ws.sql(
            "INSERT INTO pg_temp.cdp_touched (profile_id) SELECT DISTINCT n.profile_id FROM @ws@.trait_observation o JOIN @ws@.node n USING (node_id) WHERE o.traits ? $1",
        ),
        &[attribute_id.to_string().into()],
    )?;
    survive(ws, Of::Ruled(attribute_id))
}
