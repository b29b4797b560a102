//! What profiles and identifiers hold: read straight from the tables, by queries where that is not possible.

use crate::error::CdpError;
use crate::guc;
use crate::pg::scan::{self, Condition, Table};
use crate::pg::spi;
use crate::workspace::Workspace;

/// An identifier of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The identifier.
    pub node_id: i64,
    /// Whose it is.
    pub profile_id: i64,
    /// Number of its type.
    pub type_id: i32,
    /// Its value, if its type is one that was asked for.
    pub value: Option<String>,
}

// Columns, from 1 (sql/workspace/30_identity.sql).
mod node {
    pub const COLUMNS: i32 = 9;
    pub const NODE_ID: usize = 1;
    pub const TYPE_ID: usize = 2;
    pub const VALUE: usize = 3;
    pub const PROFILE_ID: i16 = 4;
}
mod profile {
    pub const COLUMNS: i32 = 6;
    pub const PROFILE_ID: usize = 1;
    pub const MERGED_INTO: i16 = 5;
}
mod edge {
    pub const COLUMNS: i32 = 8;
    pub const FROM_NODE: i16 = 1;
    pub const TO_NODE: i16 = 2;
}

/// Opens a table with indexes, calls `read` with them on what a statement would see now, and closes it; `None` when that is not possible.
fn direct<T, const N: usize>(
    ws: &Workspace,
    (name, columns): (&str, i32),
    indexes: [&str; N],
    read: impl FnOnce(&Table, [u32; N]) -> Result<T, CdpError>,
) -> Result<Option<T>, CdpError> {
    if !guc::direct_read() {
        return Ok(None);
    }
    let Some(table) = Table::with_columns(&ws.name, name, columns) else { return Ok(None) };
    let mut numbers = [0; N];
    for (number, index) in numbers.iter_mut().zip(indexes) {
        match table.whole_index(index) {
            Some(index) => *number = index,
            None => {
                table.close();
                return Ok(None);
            }
        }
    }
    let found = scan::now(|| read(&table, numbers))?;
    table.close();
    Ok(Some(found))
}

/// The identifiers of some profiles; with their values those of the given types.
pub fn of(ws: &Workspace, profiles: &[i64], types: &[i32]) -> Result<Vec<Held>, CdpError> {
    let looked = direct(ws, ("node", node::COLUMNS), ["node_profile"], |table, [by_profile]| {
        let mut found = Vec::new();
        for &profile_id in profiles {
            table.rows(by_profile, &[Condition::Int8Is(node::PROFILE_ID, profile_id)], |row| {
                let type_id = row.int4(node::TYPE_ID);
                let value = if types.contains(&type_id) { Some(row.text(node::VALUE)?) } else { None };
                found.push(Held { node_id: row.int8(node::NODE_ID), profile_id, type_id, value });
                Ok(())
            })?;
        }
        Ok(found)
    })?;
    if let Some(found) = looked {
        return Ok(found);
    }
    spi::rows_cached(
        &ws.sql(
            "SELECT n.node_id, n.profile_id, n.type_id, CASE WHEN n.type_id = ANY ($2) THEN n.value END FROM @ws@.node n WHERE n.profile_id = ANY ($1)",
        ),
        &[profiles.to_vec().into(), types.to_vec().into()],
        |row| {
            Ok(Held { node_id: spi::must(row, 1)?, profile_id: spi::must(row, 2)?, type_id: spi::must(row, 3)?, value: row.get(4)? })
        },
    )
}

/// The retired profiles that lead to some profiles, each with the one it leads to.
pub fn leading_to(ws: &Workspace, profiles: &[i64]) -> Result<Vec<(i64, i64)>, CdpError> {
    let looked = direct(ws, ("profile", profile::COLUMNS), ["profile_merged_into"], |table, [by_into]| {
        let mut found = Vec::new();
        for &into in profiles {
            table.rows(by_into, &[Condition::Int8Is(profile::MERGED_INTO, into)], |row| {
                found.push((row.int8(profile::PROFILE_ID), into));
                Ok(())
            })?;
        }
        Ok(found)
    })?;
    if let Some(found) = looked {
        return Ok(found);
    }
    spi::rows_cached(
        &ws.sql("SELECT p.profile_id, p.merged_into FROM @ws@.profile p WHERE p.merged_into = ANY ($1)"),
        &[profiles.to_vec().into()],
        |row| Ok((spi::must::<i64>(row, 1)?, spi::must::<i64>(row, 2)?)),
    )
}

/// Those of some identifiers that have more edges than they may have without being looked at closer; each with that number.
pub fn many(ws: &Workspace, nodes: &[(i64, i64)]) -> Result<Vec<i64>, CdpError> {
    if nodes.is_empty() {
        return Ok(Vec::new());
    }
    let indexes = ["edge_pkey", "edge_to_node"];
    let looked = direct(ws, ("edge", edge::COLUMNS), indexes, |table, [by_from, by_to]| {
        let mut found = Vec::new();
        for &(node_id, most) in nodes {
            let mut count = 0;
            for (index, column) in [(by_from, edge::FROM_NODE), (by_to, edge::TO_NODE)] {
                table.rows_while(index, &[Condition::Int8Is(column, node_id)], |_| {
                    count += 1;
                    Ok(count <= most)
                })?;
            }
            if count > most {
                found.push(node_id);
            }
        }
        Ok(found)
    })?;
    if let Some(found) = looked {
        return Ok(found);
    }
    let (ids, most): (Vec<i64>, Vec<i64>) = nodes.iter().copied().unzip();
    spi::rows_cached(
        &ws.sql(
            "SELECT c.node_id FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[]) AS c(node_id, most) WHERE (SELECT count(*) FROM ( \
                 (SELECT 1 FROM @ws@.edge e WHERE e.from_node = c.node_id LIMIT c.most + 1) UNION ALL (SELECT 1 FROM @ws@.edge e WHERE e.to_node = c.node_id LIMIT c.most + 1)) x) > c.most",
        ),
        &[ids.into(), most.into()],
        |row| spi::must::<i64>(row, 1),
    )
}
