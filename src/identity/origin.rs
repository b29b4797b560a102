//! Sources by name, as calls name them: number and trust in hundredths.

use crate::error::CdpError;
use crate::guc;
use crate::pg::scan::{self, Condition, Table};
use crate::pg::spi;
use crate::workspace::Workspace;

// Columns, from 1 (sql/workspace/20_source.sql).
pub const COLUMNS: i32 = 9;
const SOURCE_ID: usize = 1;
const NAME: i16 = 2;
const TRUST: usize = 5;

/// The index by name.
pub const BY_NAME: &str = "source_name_key";

/// The source of a name; `None` when there is none.
pub fn named(ws: &Workspace, name: &str) -> Result<Option<(i32, i32)>, CdpError> {
    if guc::direct_read()
        && let Some(sources) = Table::with_columns(&ws.name, "source", COLUMNS)
    {
        let found = sources.whole_index(BY_NAME).map(|index| scan::now(|| first(&sources, index, name)));
        sources.close();
        if let Some(found) = found {
            return found;
        }
    }
    query(ws, name)
}

/// The source of a name in a table that is open, by its index.
pub fn first(sources: &Table, by_name: u32, name: &str) -> Result<Option<(i32, i32)>, CdpError> {
    sources.first(by_name, &[Condition::TextIs(NAME, name)], |row| Ok((row.int4(SOURCE_ID), row.int4(TRUST))))
}

/// The source of a name, by a query.
pub fn query(ws: &Workspace, name: &str) -> Result<Option<(i32, i32)>, CdpError> {
    let found = spi::rows_cached(
        &ws.sql("SELECT s.source_id, s.trust FROM @ws@.source s WHERE s.name = $1"),
        &[name.into()],
        |row| Ok((spi::must::<i32>(row, 1)?, spi::must::<i32>(row, 2)?)),
    )?;
    Ok(found.into_iter().next())
}

/// The source of a name, which is entered as one of calls when it is new. Needs the workspace lock.
pub fn of_calls(ws: &Workspace, name: &str) -> Result<(i32, i32), CdpError> {
    match named(ws, name)? {
        Some(source) => Ok(source),
        None => make(ws, name),
    }
}

/// Whether a source can have this name.
pub fn is_name(name: &str) -> bool {
    (1..=63).contains(&name.len())
}

/// A new source whose rows come by calls: its number and trust in hundredths.
pub fn make(ws: &Workspace, name: &str) -> Result<(i32, i32), CdpError> {
    if !is_name(name) {
        return Err(CdpError::invalid_parameter(format!("\"{name}\" cannot be the name of a source"))
            .with_hint("Choose a name of 1 to 63 bytes, such as api."));
    }
    spi::rows_cached(
        &ws.sql("INSERT INTO @ws@.source (name, relation, mapping, trust) VALUES ($1, '', '{}', 50) RETURNING source_id, trust"),
        &[name.into()],
        |row| Ok((spi::must::<i32>(row, 1)?, spi::must::<i32>(row, 2)?)),
    )?
    .into_iter()
    .next()
    .ok_or_else(|| CdpError::internal("a source was not entered"))
}
