//! Identifiers as people write them: a type by name and a value in any form.

use super::hold;
use super::key;
use super::rules::{IdentifierType, Rules};
use crate::error::CdpError;
use crate::pg::spi;
use crate::workspace::Workspace;
use pg_cdp_core::norm::{Normaliser, keyed};

/// The longest value that is kept, in bytes: longer ones do not fit an index.
pub const MOST_BYTES: usize = 1024;

/// A value in its forms.
pub struct Forms {
    /// As it is kept.
    pub kept: String,
    /// Its normal form, when that is not what is kept.
    pub plain: Option<String>,
}

/// The forms of a value; `None` when it is no value of the type.
pub fn forms(ws: &Workspace, ty: &IdentifierType, value: &str) -> Result<Option<Forms>, CdpError> {
    forms_by(ws, ty, &Normaliser::parse(&ty.normaliser)?, value)
}

/// As [`forms`], by the normaliser of the type.
pub fn forms_by(
    ws: &Workspace,
    ty: &IdentifierType,
    normaliser: &Normaliser,
    value: &str,
) -> Result<Option<Forms>, CdpError> {
    Ok(match normaliser.apply(value, &ws.phone_region)? {
        Some(normal) if ty.hashed => {
            let kept = keyed(&key::key()?, &ty.name, ty.scope_separator.as_deref(), &normal);
            Some(Forms { kept, plain: Some(normal) })
        }
        normal => normal.map(|kept| Forms { kept, plain: None }),
    })
}

/// The value in the form it is kept in; `None` when it is no value of the type.
pub fn kept_form(ws: &Workspace, ty: &IdentifierType, value: &str) -> Result<Option<String>, CdpError> {
    Ok(forms(ws, ty, value)?.map(|forms| forms.kept))
}

/// The value as the log of decisions tells it: as it was given; of a type that is kept as hashes, its hash.
pub fn told(ws: &Workspace, ty: &IdentifierType, value: &str) -> Result<String, CdpError> {
    if ty.hashed { Ok(kept_form(ws, ty, value)?.unwrap_or_default()) } else { Ok(value.to_owned()) }
}

/// An identifier that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its number.
    pub node_id: i64,
    /// The profile it belongs to; `None` for a weak one.
    pub profile_id: Option<i64>,
}

/// The identifier of this type and value, if it is known.
pub fn look_up(ws: &Workspace, rules: &Rules, ty: &str, value: &str) -> Result<Option<Known>, CdpError> {
    let ty = rules.named(ty)?;
    let Some(kept) = kept_form(ws, ty, value)? else { return Ok(None) };
    if let Some(found) = hold::node_of(ws, ty.type_id, &kept)? {
        return Ok(found.map(|(node_id, profile_id)| Known { node_id, profile_id }));
    }
    let found = spi::rows_cached(
        &ws.sql("SELECT n.node_id, n.profile_id FROM @ws@.node n WHERE n.type_id = $1 AND n.value = $2"),
        &[ty.type_id.into(), kept.into()],
        |row| Ok(Known { node_id: spi::must(row, 1)?, profile_id: row.get(2)? }),
    )?;
    Ok(found.into_iter().next())
}

/// The strong identifier of this type and value.
///
/// # Errors
/// 42704 when there is none, 22023 when its type is weak.
pub fn strong(ws: &Workspace, rules: &Rules, ty: &str, value: &str) -> Result<Known, CdpError> {
    if !rules.named(ty)?.strong {
        return Err(CdpError::invalid_parameter(format!("identifier type \"{ty}\" is weak: its values link nobody"))
            .with_hint("Make the type strong with cdp_identifier_type_alter(), or name a strong identifier."));
    }
    look_up(ws, rules, ty, value)?.ok_or_else(|| {
        CdpError::undefined_object(ty, value)
            .with_hint(format!("No source has shown this identifier yet: see the view {}.identifiers.", ws.schema()))
    })
}
