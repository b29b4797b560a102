//! The groups of an entity type as a relation: a wide table with a row for each group that ever was, and the view `entity_…` of those that live.
//!
//! A row of a group that is retired stays: when the number lives again, its values are there as they were left.

use super::column::{pg_type, value_column};
use crate::error::CdpError;
use crate::pg::spi;
use crate::workspace::Workspace;
use pgrx::spi::{quote_identifier, quote_literal};

/// An entity type whose groups can be asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its number.
    pub entity_id: i32,
    /// Its name.
    pub name: String,
}

/// What every view of groups begins with; no name of one may be longer than a name of PostgreSQL.
const PREFIX: &str = "entity_";

/// The longest name of an entity type, in bytes.
pub const LONGEST_NAME: usize = 63 - PREFIX.len();

/// What everybody is who belongs to a group: no entity type of its own.
pub const PERSON: &str = "person";

/// The column that tells how many people belong to a group.
pub const MEMBERS: &str = "members";

/// Columns of every view of groups beside tags.
pub const COLUMNS: [&str; 2] = ["group_id", MEMBERS];

impl Group {
    /// The entity type that a caller names; `None` for `person`.
    ///
    /// # Errors
    /// 42704 when there is none of this name.
    pub fn named(ws: &Workspace, name: &str) -> Result<Option<Self>, CdpError> {
        if name == PERSON {
            return Ok(None);
        }
        let found = spi::rows_cached(
            &ws.sql("SELECT e.entity_id FROM @ws@.entity e WHERE e.name = $1"),
            &[name.into()],
            |row| spi::must::<i32>(row, 1),
        )?;
        match found.into_iter().next() {
            Some(entity_id) => Ok(Some(Self { entity_id, name: name.to_owned() })),
            None => Err(undefined(ws, name)?),
        }
    }

    /// Its view, as SQL names it within the schema.
    pub fn view(&self) -> String {
        quote_identifier(self.view_name())
    }

    /// The name of its view.
    pub fn view_name(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// Its wide table, as SQL names it within the schema.
    pub fn table(&self) -> String {
        format!("group_value_{}", self.entity_id)
    }

    /// The live group with this number, or that took it over.
    pub fn resolve(&self, ws: &Workspace, group_id: i64) -> Result<Option<i64>, CdpError> {
        let found = spi::rows_cached(
            &ws.sql("SELECT coalesce(g.merged_into, g.group_id) FROM @ws@.entity_group g WHERE g.entity_id = $1 AND g.group_id = $2"),
            &[self.entity_id.into(), group_id.into()],
            |row| spi::must::<i64>(row, 1),
        )?;
        Ok(found.into_iter().next())
    }

    /// Makes the wide table and the view of an entity type that was just entered. Needs the workspace lock.
    ///
    /// # Errors
    /// 42710 when something has the name of the view.
    pub fn create(&self, ws: &Workspace) -> Result<(), CdpError> {
        let view = format!("{}.{}", ws.schema(), self.view());
        if spi::one::<bool>("SELECT to_regclass($1) IS NOT NULL", &[view.as_str().into()])? == Some(true) {
            return Err(CdpError::duplicate_object("relation", &self.view_name())
                .with_hint("The groups of an entity type are a view of that name: choose another name."));
        }
        let table = self.table();
        spi::run(
            &ws.sql(&format!(
                "CREATE TABLE @ws@.{table} (group_id pg_catalog.int8 PRIMARY KEY) WITH (fillfactor = 90)"
            )),
            &[],
        )?;
        let comment =
            quote_literal(format!("one row a group of entity type {}, one column a tag: what they come to", self.name));
        spi::run(&ws.sql(&format!("COMMENT ON TABLE @ws@.{table} IS {comment}")), &[])?;
        spi::run(
            &ws.sql(&format!("COMMENT ON COLUMN @ws@.{table}.group_id IS 'the group, also one that is retired'")),
            &[],
        )?;
        self.refresh_view(ws)
    }

    /// Takes the wide table and the view away.
    ///
    /// # Errors
    /// 55006 when another view reads it.
    pub fn drop(&self, ws: &Workspace) -> Result<(), CdpError> {
        super::view::refuse_readers(&format!("{}.{}", ws.schema(), self.view()), "drop what reads it first")?;
        spi::run(&ws.sql(&format!("DROP VIEW @ws@.{}", self.view())), &[])?;
        spi::run(&ws.sql(&format!("DROP TABLE @ws@.{}", self.table())), &[])?;
        Ok(())
    }

    /// Gives every group that is new its row.
    pub fn enter(&self, ws: &Workspace) -> Result<(), CdpError> {
        spi::run(
            &ws.sql(&format!(
                "INSERT INTO @ws@.{} (group_id) SELECT g.group_id FROM @ws@.entity_group g WHERE g.entity_id = $1 ON CONFLICT DO NOTHING",
                self.table()
            )),
            &[self.entity_id.into()],
        )?;
        Ok(())
    }

    /// Gives the wide table a column. The view is refreshed by the caller.
    pub fn add_column(&self, ws: &Workspace, name: &str, ty: &str) -> Result<(), CdpError> {
        spi::run(
            &ws.sql(&format!(
                "ALTER TABLE @ws@.{} ADD COLUMN {} pg_catalog.{}",
                self.table(),
                value_column(name),
                pg_type(ty)
            )),
            &[],
        )?;
        Ok(())
    }

    /// Takes the column of a tag that is gone from the view and the wide table; who could read the view can read it again.
    ///
    /// # Errors
    /// 55006 when another view reads it.
    pub fn drop_column(&self, ws: &Workspace, name: &str) -> Result<(), CdpError> {
        super::view::recreate(ws, &self.view_name(), &COLUMNS, || self.refresh_view(ws))?;
        spi::run(&ws.sql(&format!("ALTER TABLE @ws@.{} DROP COLUMN {}", self.table(), value_column(name))), &[])?;
        Ok(())
    }

    /// Brings the view up to the tags there are. A group is live while somebody belongs to it.
    pub fn refresh_view(&self, ws: &Workspace) -> Result<(), CdpError> {
        let tags = spi::rows(
            &ws.sql(
                "SELECT a.name, coalesce(nullif(a.description, ''), concat_ws(': ', concat_ws(', ', a.kind, a.type), a.expression)) FROM @ws@.attribute a WHERE a.entity = $1 ORDER BY a.attribute_id",
            ),
            &[self.name.as_str().into()],
            |row| Ok((spi::must::<String>(row, 1)?, spi::must::<String>(row, 2)?)),
        )?;
        let columns: String = tags.iter().map(|(name, _)| format!(", v.{}", value_column(name))).collect();
        let (view, table, id) = (self.view(), self.table(), self.entity_id);
        // The join is of groups by number: where nobody asks for the members, PostgreSQL leaves it out.
        spi::run(
            &ws.sql(&format!(
                "CREATE OR REPLACE VIEW @ws@.{view} AS SELECT v.group_id, n.members{columns} FROM @ws@.{table} v \
                 LEFT JOIN (SELECT m.group_id, count(DISTINCT coalesce(p.merged_into, p.profile_id)) AS members FROM @ws@.entity_member m JOIN @ws@.profile p USING (profile_id) \
                     WHERE m.entity_id = {id} GROUP BY m.group_id) n USING (group_id) \
                 WHERE EXISTS (SELECT FROM @ws@.entity_member m WHERE m.entity_id = {id} AND m.group_id = v.group_id)"
            )),
            &[],
        )?;
        let comment = quote_literal(format!("one row a live group of entity type {}, one column a tag", self.name));
        spi::run(&ws.sql(&format!("COMMENT ON VIEW @ws@.{view} IS {comment}")), &[])?;
        spi::run(&ws.sql(&format!("COMMENT ON COLUMN @ws@.{view}.group_id IS 'stable number of the group'")), &[])?;
        spi::run(&ws.sql(&format!("COMMENT ON COLUMN @ws@.{view}.members IS 'how many people belong to it'")), &[])?;
        for (name, comment) in &tags {
            for relation in [&view, &table] {
                spi::run(
                    &ws.sql(&format!(
                        "COMMENT ON COLUMN @ws@.{relation}.{} IS {}",
                        value_column(name),
                        quote_literal(comment)
                    )),
                    &[],
                )?;
            }
        }
        Ok(())
    }
}

/// Where the values of an attribute are, by what it describes.
pub struct Place {
    /// The wide table.
    pub table: String,
    /// Its column of the number of a profile or group.
    pub key: &'static str,
    /// The relation of those that live.
    pub live: String,
    /// A FROM item of everybody, with `profile_id` and `created_at`.
    pub born: String,
}

impl Place {
    /// Of the groups of an entity type, or of people.
    pub fn of(group: Option<&Group>) -> Self {
        match group {
            None => Self {
                table: "@ws@.profile_value".to_owned(),
                key: "profile_id",
                live: "@ws@.profile_value".to_owned(),
                born: "@ws@.profile".to_owned(),
            },
            Some(group) => Self {
                table: format!("@ws@.{}", group.table()),
                key: "group_id",
                live: format!("@ws@.{}", group.view()),
                born: format!(
                    "(SELECT g.group_id AS profile_id, g.created_at FROM @ws@.entity_group g WHERE g.entity_id = {})",
                    group.entity_id
                ),
            },
        }
    }
}

/// There is no entity type of this name (42704); the hint lists those there are.
pub fn undefined(ws: &Workspace, name: &str) -> Result<CdpError, CdpError> {
    let known = spi::one::<String>(&ws.sql("SELECT string_agg(e.name, ', ' ORDER BY e.name) FROM @ws@.entity e"), &[])?;
    Ok(CdpError::undefined_object("entity type", name).with_hint(match known {
        Some(known) => format!("Known entity types are {known}."),
        None => "Make it with cdp_entity_create().".to_owned(),
    }))
}
