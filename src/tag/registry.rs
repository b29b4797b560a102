//! Tags as the catalogue has them.

use crate::error::CdpError;
use crate::expr::catalog::Catalog;
use crate::expr::dependencies::{self, Named};
use crate::pg::spi;
use crate::store::group::{Group, Place};
use crate::workspace::Workspace;
use pgrx::datum::TimestampWithTimeZone;

/// A tag.
pub struct Tag {
    /// Its number.
    pub attribute_id: i32,
    /// Its name.
    pub name: String,
    /// The entity type that it is of; `None` for people.
    pub group: Option<Group>,
    /// Its type.
    pub ty: String,
    /// Its expression; `None` when its values are set.
    pub expression: Option<String>,
    /// `draft`, `active` or `retired`.
    pub state: String,
    /// Number of its definition.
    pub version: i32,
    /// The values it may have; `None` for any.
    pub allowed: Option<Vec<String>>,
    /// The moment it was last refreshed as of.
    pub refreshed_as_of: Option<TimestampWithTimeZone>,
    /// When that was.
    pub refreshed_at: Option<TimestampWithTimeZone>,
}

impl Tag {
    /// What others name it by.
    pub fn named(&self) -> Named {
        Named::Attribute(self.attribute_id)
    }

    /// Where its values are.
    pub fn place(&self) -> Place {
        Place::of(self.group.as_ref())
    }
}

/// All tags, those that others name first.
pub fn all(ws: &Workspace) -> Result<Vec<Tag>, CdpError> {
    let mut tags = spi::rows(
        &ws.sql(
            "SELECT a.attribute_id, a.name, a.type, a.expression, a.state, a.version, a.allowed, a.refreshed_as_of, a.refreshed_at, e.entity_id, a.entity FROM @ws@.attribute a \
             LEFT JOIN @ws@.entity e ON e.name = a.entity WHERE a.kind = 'tag' ORDER BY a.attribute_id",
        ),
        &[],
        |row| {
            let entity = row.get::<i32>(10)?;
            let group = entity.map(|entity_id| Ok::<_, CdpError>(Group { entity_id, name: spi::must(row, 11)? }));
            Ok(Tag {
                group: group.transpose()?,
                attribute_id: spi::must(row, 1)?,
                name: spi::must(row, 2)?,
                ty: spi::must(row, 3)?,
                expression: row.get(4)?,
                state: spi::must(row, 5)?,
                version: spi::must(row, 6)?,
                allowed: row.get(7)?,
                refreshed_as_of: row.get(8)?,
                refreshed_at: row.get(9)?,
            })
        },
    )?;
    dependencies::sort(ws, &mut tags, Tag::named)?;
    Ok(tags)
}

/// The tag of this name.
///
/// # Errors
/// 42704 when there is none.
pub fn find(ws: &Workspace, name: &str) -> Result<Tag, CdpError> {
    let mut tags = all(ws)?;
    match tags.iter().position(|tag| tag.name == name) {
        Some(at) => Ok(tags.swap_remove(at)),
        None => Err(undefined(ws, name, &tags)?),
    }
}

fn undefined(ws: &Workspace, name: &str, tags: &[Tag]) -> Result<CdpError, CdpError> {
    if Catalog::load(ws)?.attributes.contains_key(name) {
        return Ok(
            CdpError::undefined_object("tag", name).with_hint("A trait has this name; its values come from sources.")
        );
    }
    let hint = match pg_cdp_core::expr::error::nearest(name, tags.iter().map(|tag| tag.name.clone())) {
        Some(near) => format!("Did you mean \"{near}\"?"),
        None => format!("See the view {}.tags.", ws.schema()),
    };
    Ok(CdpError::undefined_object("tag", name).with_hint(hint))
}
