//! What profiles and identifiers hold: read straight from the tables, by queries where that is not possible.

use crate::error::CdpError;
use crate::guc;
use crate::pg::append::Shape;
use crate::pg::scan::{self, Condition, Row, Table};
use crate::pg::spi;
use crate::workspace::Workspace;
use pg_cdp_core::numbers::NumberMap;
use pgrx::pg_sys::ItemPointerData;

/// An identifier of a profile.
#[derive(Debug, Clone)]
pub struct Held {
    /// The identifier.
    pub node_id: i64,
    /// Whose it is.
    pub profile_id: i64,
    /// Number of its type.
    pub type_id: i32,
    /// Its value, if its type is one that was asked for.
    pub value: Option<String>,
    /// Where its row is, if it was looked at there.
    pub place: Option<ItemPointerData>,
}

// Columns, from 1 (sql/workspace/30_identity.sql).
/// Those of `node`.
pub mod node {
    use super::Shape;
    pub const COLUMNS: i32 = 9;
    /// As new rows see it that are not quarantined.
    pub const SHAPE: Shape =
        Shape { name: "node", columns: Some(COLUMNS as usize), checks: 0, without: &["node_quarantine"] };
    pub const NODE_ID: usize = 1;
    pub const TYPE_ID: usize = 2;
    pub const VALUE: usize = 3;
    pub const PROFILE_ID: usize = 4;
    pub const FIRST_SEEN: usize = 6;
    pub const LAST_SEEN: usize = 7;
    pub const QUARANTINE: usize = 9;
}
/// Those of `profile`.
pub mod profile {
    use super::Shape;
    pub const COLUMNS: i32 = 6;
    /// As new rows of live profiles see it.
    pub const SHAPE: Shape = Shape {
        name: "profile",
        columns: Some(COLUMNS as usize),
        checks: 1,
        without: &["profile_merged_into", "profile_contested"],
    };
    pub const PROFILE_ID: usize = 1;
    pub const FOUNDING_NODE: usize = 3;
    pub const CREATED_AT: usize = 4;
    pub const MERGED_INTO: usize = 5;
    pub const CONTESTED: usize = 6;
}
/// Those of `edge`.
pub mod edge {
    use super::Shape;
    pub const COLUMNS: i32 = 8;
    /// As new rows see it that are not suspended.
    pub const SHAPE: Shape =
        Shape { name: "edge", columns: Some(COLUMNS as usize), checks: 2, without: &["edge_suspended"] };
    pub const FROM_NODE: usize = 1;
    pub const TO_NODE: usize = 2;
    pub const SOURCE_ID: usize = 3;
    pub const TRUST: usize = 4;
    pub const STATE: usize = 5;
    pub const REASON: usize = 6;
    pub const FIRST_SEEN: usize = 7;
    pub const LAST_SEEN: usize = 8;
}

/// Those of `identity_override`.
pub mod decision {
    pub const COLUMNS: i32 = 4;
    pub const OPERATION_ID: usize = 1;
    pub const KIND: i16 = 2;
    pub const NODE_ID: usize = 3;
    pub const OTHER_ID: usize = 4;
}

/// Those of `store_column` (sql/workspace/60_store.sql).
pub mod store_column {
    pub const COLUMNS: i32 = 10;
    pub const COLUMN_ID: usize = 1;
    pub const KIND: i16 = 2;
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

/// That a bigint column equals a number.
fn is(column: usize, number: i64) -> Condition<'static> {
    Condition::Int8Is(column as i16, number)
}

/// Whether there is any contested profile. A query reads all profiles when it is planned before there are statistics of them.
pub fn any_contested(ws: &Workspace) -> Result<bool, CdpError> {
    let table = (profile::SHAPE.name, profile::COLUMNS);
    let any = direct(ws, table, ["profile_contested"], |table, [contested]| {
        table.first(contested, &[], |_| Ok(())).map(|found| found.is_some())
    })?;
    match any {
        Some(any) => Ok(any),
        None => {
            Ok(spi::one(&ws.sql("SELECT EXISTS (SELECT FROM @ws@.profile p WHERE p.contested)"), &[])? == Some(true))
        }
    }
}

/// An identifier that is kept.
pub struct Known {
    /// Its number.
    pub node_id: i64,
    /// Why it links nobody.
    pub quarantine: Option<String>,
    /// Its profile.
    pub profile_id: Option<i64>,
    /// When it was seen first and last, in microseconds since 2000.
    pub times: (i64, i64),
    /// Where its row is.
    pub place: ItemPointerData,
}

/// Looks some identifiers up, given by type and value, best in that order; tells of each that is kept, by its place. `None`: they have to be asked for by a query.
pub fn known<'a>(
    ws: &Workspace,
    identifiers: impl Iterator<Item = (i32, &'a str)>,
) -> Result<Option<Vec<(usize, Known)>>, CdpError> {
    direct(ws, ("node", node::COLUMNS), ["node_type_id_value_key"], |table, [by_value]| {
        let named = |type_id, value| {
            [Condition::Int4Is(node::TYPE_ID as i16, type_id), Condition::TextIs(node::VALUE as i16, value)]
        };
        let mut lookup = table.lookup(by_value, &named(0, ""))?;
        let mut found = Vec::new();
        for (place, (type_id, value)) in identifiers.enumerate() {
            let known = lookup.first(&named(type_id, value), |row| {
                Ok(Known {
                    node_id: row.int8(node::NODE_ID),
                    quarantine: row.text_or_null(node::QUARANTINE)?,
                    profile_id: row.int8_or_null(node::PROFILE_ID),
                    times: (row.int8(node::FIRST_SEEN), row.int8(node::LAST_SEEN)),
                    place: row.version().place(),
                })
            })?;
            found.extend(known.map(|known| (place, known)));
        }
        lookup.close();
        Ok(found)
    })
}

/// When some profiles were created, in microseconds since 2000, and whether a rule keeps them from linking further. `None`: that has to be asked for by a query.
pub fn ages(ws: &Workspace, profiles: &[i64]) -> Result<Option<NumberMap<(i64, bool)>>, CdpError> {
    direct(ws, ("profile", profile::COLUMNS), ["profile_pkey"], |table, [by_number]| {
        let mut lookup = table.lookup(by_number, &[is(profile::PROFILE_ID, 0)])?;
        let mut found = NumberMap::default();
        for id in profiles {
            let age = lookup.first(&[is(profile::PROFILE_ID, *id)], |row| {
                Ok((row.int8(profile::CREATED_AT), row.boolean(profile::CONTESTED)))
            })?;
            found.extend(age.map(|age| (*id, age)));
        }
        lookup.close();
        Ok(found)
    })
}

/// When something was seen first and last, in microseconds since 2000.
pub type Times = (i64, i64);

/// When a source showed some pairs of identifiers first and last, the smaller of each given first; `None` for those that it did not show. The outer `None`: that has to be asked
/// for by a query.
pub fn shown(ws: &Workspace, pairs: &[(i64, i64)], source_id: i32) -> Result<Option<Vec<Option<Times>>>, CdpError> {
    direct(ws, ("edge", edge::COLUMNS), ["edge_pkey"], |table, [by_ends]| {
        let ends = |(a, b)| {
            [is(edge::FROM_NODE, a), is(edge::TO_NODE, b), Condition::Int4Is(edge::SOURCE_ID as i16, source_id)]
        };
        let mut lookup = table.lookup(by_ends, &ends((0, 0)))?;
        let mut found = Vec::with_capacity(pairs.len());
        for pair in pairs {
            found.push(lookup.first(&ends(*pair), |row| Ok((row.int8(edge::FIRST_SEEN), row.int8(edge::LAST_SEEN))))?);
        }
        lookup.close();
        Ok(found)
    })
}

/// The identifiers of some profiles; with their values those of the given types.
pub fn of(ws: &Workspace, profiles: &[i64], types: &[i32]) -> Result<Vec<Held>, CdpError> {
    let looked = direct(ws, ("node", node::COLUMNS), ["node_profile"], |table, [by_profile]| {
        let mut found = Vec::new();
        let mut lookup = table.lookup(by_profile, &[is(node::PROFILE_ID, 0)])?;
        for &profile_id in profiles {
            lookup.many_rows(&[is(node::PROFILE_ID, profile_id)], |row| {
                let type_id = row.int4(node::TYPE_ID);
                let value = if types.contains(&type_id) { Some(row.text(node::VALUE)?) } else { None };
                let place = Some(row.version().place());
                found.push(Held { node_id: row.int8(node::NODE_ID), profile_id, type_id, value, place });
                Ok(())
            })?;
        }
        lookup.close();
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
            Ok(Held { node_id: spi::must(row, 1)?, profile_id: spi::must(row, 2)?, type_id: spi::must(row, 3)?, value: row.get(4)?, place: None })
        },
    )
}

/// The retired profiles that lead to some profiles, each with the one it leads to, and where its row is, if it was looked at there.
pub fn leading_to(ws: &Workspace, profiles: &[i64]) -> Result<Vec<(i64, i64, Option<ItemPointerData>)>, CdpError> {
    let looked = direct(ws, ("profile", profile::COLUMNS), ["profile_merged_into"], |table, [by_into]| {
        let mut found = Vec::new();
        let mut lookup = table.lookup(by_into, &[is(profile::MERGED_INTO, 0)])?;
        for &into in profiles {
            lookup.rows(&[is(profile::MERGED_INTO, into)], |row| {
                found.push((row.int8(profile::PROFILE_ID), into, Some(row.version().place())));
                Ok(())
            })?;
        }
        lookup.close();
        Ok(found)
    })?;
    if let Some(found) = looked {
        return Ok(found);
    }
    spi::rows_cached(
        &ws.sql("SELECT p.profile_id, p.merged_into FROM @ws@.profile p WHERE p.merged_into = ANY ($1)"),
        &[profiles.to_vec().into()],
        |row| Ok((spi::must::<i64>(row, 1)?, spi::must::<i64>(row, 2)?, None)),
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
        let mut lookups = [
            (table.lookup(by_from, &[is(edge::FROM_NODE, 0)])?, edge::FROM_NODE),
            (table.lookup(by_to, &[is(edge::TO_NODE, 0)])?, edge::TO_NODE),
        ];
        // Neighbours in the indexes are looked up one after the other.
        let mut sorted = nodes.to_vec();
        sorted.sort_unstable();
        for (node_id, most) in sorted {
            // Most have few, which the indexes tell by themselves.
            let mut few = true;
            for (lookup, column) in &mut lookups {
                few = few && !lookup.has_more_entries(&[is(*column, node_id)], most / 2)?;
            }
            if few && most >= 0 {
                continue;
            }
            let mut count = 0;
            for (lookup, column) in &mut lookups {
                lookup.count_while(&[is(*column, node_id)], || {
                    count += 1;
                    count <= most
                })?;
            }
            if count > most {
                found.push(node_id);
            }
        }
        lookups.into_iter().for_each(|(lookup, _)| lookup.close());
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

/// The number of an identifier and its profile.
pub type Place = (i64, Option<i64>);

/// The number and the profile of the identifier of this type and value, if there is one; the outer `None` when it has to be asked for by a query.
pub fn node_of(ws: &Workspace, type_id: i32, value: &str) -> Result<Option<Option<Place>>, CdpError> {
    direct(ws, ("node", node::COLUMNS), ["node_type_id_value_key"], |table, [by_value]| {
        let is = [Condition::Int4Is(node::TYPE_ID as i16, type_id), Condition::TextIs(node::VALUE as i16, value)];
        table.first(by_value, &is, |row| Ok((row.int8(node::NODE_ID), row.int8_or_null(node::PROFILE_ID))))
    })
}

/// Whether any source has shown two identifiers together, the smaller given first.
pub fn tied(ws: &Workspace, a: i64, b: i64) -> Result<bool, CdpError> {
    let looked = direct(ws, ("edge", edge::COLUMNS), ["edge_pkey"], |table, [by_ends]| {
        let is = [Condition::Int8Is(edge::FROM_NODE as i16, a), Condition::Int8Is(edge::TO_NODE as i16, b)];
        table.first(by_ends, &is, |_| Ok(()))
    })?;
    if let Some(found) = looked {
        return Ok(found.is_some());
    }
    let seen = spi::rows_cached(
        &ws.sql("SELECT true FROM @ws@.edge e WHERE e.from_node = $1 AND e.to_node = $2 LIMIT 1"),
        &[a.into(), b.into()],
        |_| Ok(()),
    )?;
    Ok(!seen.is_empty())
}

/// How identifiers are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// By their numbers.
    Number,
    /// By the profiles they belong to.
    Profile,
}

/// Calls `read` with the row of each of some identifiers; `false` when they have to be read by a query.
pub fn each_node(
    ws: &Workspace,
    by: By,
    ids: &[i64],
    mut read: impl FnMut(&Row) -> Result<(), CdpError>,
) -> Result<bool, CdpError> {
    let (index, column) = match by {
        By::Number => ("node_pkey", node::NODE_ID),
        By::Profile => ("node_profile", node::PROFILE_ID),
    };
    let looked = direct(ws, ("node", node::COLUMNS), [index], |table, [index]| {
        let mut lookup = table.lookup(index, &[is(column, 0)])?;
        ids.iter().try_for_each(|id| match by {
            By::Number => lookup.rows(&[is(column, *id)], &mut read),
            By::Profile => lookup.many_rows(&[is(column, *id)], &mut read),
        })?;
        lookup.close();
        Ok(())
    })?;
    Ok(looked.is_some())
}

/// So many edges lie in a block, and so many are passed by in the time that it takes to look up those of one identifier, or more.
const EDGES_PER_BLOCK: usize = 100;
const EDGES_PER_LOOK: usize = 20;

/// Calls `read` with the row of each edge at some identifiers, weak ones and those that are reached from both ends twice included; `false` when they have to be
/// read by a query. When the identifiers are a good part of all, the whole table is read: then `read` is called with the others too.
pub fn each_edge(
    ws: &Workspace,
    ids: &[i64],
    mut read: impl FnMut(&Row) -> Result<(), CdpError>,
) -> Result<bool, CdpError> {
    let indexes = ["edge_pkey", "edge_to_node"];
    let looked = direct(ws, ("edge", edge::COLUMNS), indexes, |table, indexes| {
        if table.blocks() as usize * EDGES_PER_BLOCK < ids.len() * EDGES_PER_LOOK {
            return table.rows(0, &[], read);
        }
        let [by_from, by_to] = indexes;
        let mut lookups = [
            (table.lookup(by_from, &[is(edge::FROM_NODE, 0)])?, edge::FROM_NODE),
            (table.lookup(by_to, &[is(edge::TO_NODE, 0)])?, edge::TO_NODE),
        ];
        for id in ids {
            for (lookup, column) in &mut lookups {
                lookup.rows(&[is(*column, *id)], &mut read)?;
            }
        }
        lookups.into_iter().for_each(|(lookup, _)| lookup.close());
        Ok(())
    })?;
    Ok(looked.is_some())
}

/// Calls `read` with the rows of some profiles and of the retired ones that lead to them; `false` when they have to be read by a query.
pub fn each_profile(
    ws: &Workspace,
    profiles: &[i64],
    mut read: impl FnMut(&Row) -> Result<(), CdpError>,
) -> Result<bool, CdpError> {
    let indexes = ["profile_pkey", "profile_merged_into"];
    let looked = direct(ws, ("profile", profile::COLUMNS), indexes, |table, indexes| {
        let [by_number, by_into] = indexes;
        let mut lookups = [
            (table.lookup(by_number, &[is(profile::PROFILE_ID, 0)])?, profile::PROFILE_ID),
            (table.lookup(by_into, &[is(profile::MERGED_INTO, 0)])?, profile::MERGED_INTO),
        ];
        for id in profiles {
            for (lookup, column) in &mut lookups {
                lookup.rows(&[is(*column, *id)], &mut read)?;
            }
        }
        lookups.into_iter().for_each(|(lookup, _)| lookup.close());
        Ok(())
    })?;
    Ok(looked.is_some())
}

/// Calls `read` with each decision of a kind about a pair, the smaller given first; `false` when they have to be read by a query.
pub fn each_decision(
    ws: &Workspace,
    kind: &str,
    (a, b): (i64, i64),
    mut read: impl FnMut(&Row) -> Result<(), CdpError>,
) -> Result<bool, CdpError> {
    let indexes = ["identity_override_pkey"];
    let looked = direct(ws, ("identity_override", decision::COLUMNS), indexes, |table, [by_pair]| {
        let is = [Condition::TextIs(decision::KIND, kind), is(decision::NODE_ID, a), is(decision::OTHER_ID, b)];
        table.rows(by_pair, &is, &mut read)
    })?;
    Ok(looked.is_some())
}

/// Calls `read` with the decisions of some kinds that have any of some identifiers at one of their ends, those with one at both maybe twice; `false` when they have to be read by a query. When there are few
/// decisions, all are read: then `read` is called with the others too.
pub fn each_decision_about(
    ws: &Workspace,
    kinds: &[&str],
    ids: &[i64],
    mut read: impl FnMut(&Row) -> Result<(), CdpError>,
) -> Result<bool, CdpError> {
    let indexes = ["identity_override_pkey", "identity_override_other"];
    let looked = direct(ws, ("identity_override", decision::COLUMNS), indexes, |table, [by_node, by_other]| {
        let mut of_kinds = |row: &Row| {
            if row.read_text(decision::KIND as usize, |kind| kinds.contains(&kind))? { read(row) } else { Ok(()) }
        };
        if table.blocks() as usize <= ids.len() {
            return table.rows(0, &[], of_kinds);
        }
        let with = |kind, node| [Condition::TextIs(decision::KIND, kind), is(decision::NODE_ID, node)];
        let mut nodes = table.lookup(by_node, &with("", 0))?;
        let mut others = table.lookup(by_other, &[is(decision::OTHER_ID, 0)])?;
        for id in ids {
            for kind in kinds {
                nodes.rows(&with(kind, *id), &mut of_kinds)?;
            }
            others.rows(&[is(decision::OTHER_ID, *id)], &mut of_kinds)?;
        }
        nodes.close();
        others.close();
        Ok(())
    })?;
    Ok(looked.is_some())
}

/// The number of the column of live profiles.
pub fn universe(ws: &Workspace) -> Result<Option<i32>, CdpError> {
    let looked =
        direct(ws, ("store_column", store_column::COLUMNS), [], |table, []| {
            table.first(0, &[Condition::TextIs(store_column::KIND, "universe")], |row| {
                Ok(row.int4(store_column::COLUMN_ID))
            })
        })?;
    if let Some(found) = looked {
        return Ok(found);
    }
    let asked = spi::rows_cached(
        &ws.sql("SELECT c.column_id FROM @ws@.store_column c WHERE c.kind = 'universe'"),
        &[],
        |row| spi::must::<i32>(row, 1),
    )?;
    Ok(asked.into_iter().next())
}
