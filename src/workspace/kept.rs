//! What a backend keeps of small tables of a workspace: read again when a row of theirs is another version than the one that was read.

use super::Workspace;
use crate::error::CdpError;
use crate::pg::scan::{self, LIFETIME, Version};
use crate::pg::transaction;
use std::cell::Cell;
use std::rc::Rc;
use std::thread::LocalKey;

/// Something that was read before, with the versions of the rows that it was read from. It is taken out of its cell while it is looked at, so that an error
/// cannot leave half of one.
pub struct Kept<T> {
    workspace: String,
    versions: Vec<Version>,
    since: u64,
    value: Rc<T>,
}

/// What is kept, if it is what the tables hold.
pub fn known<T>(
    cell: &'static LocalKey<Cell<Option<Kept<T>>>>,
    ws: &Workspace,
    versions: Option<&[Version]>,
) -> Option<Rc<T>> {
    let kept = cell.take()?;
    let young = transaction::next_full_id().saturating_sub(kept.since) < LIFETIME;
    let same = kept.workspace == ws.name && versions == Some(kept.versions.as_slice());
    let value = (same && young).then(|| Rc::clone(&kept.value));
    cell.set(Some(kept));
    value
}

/// What is kept, or what `read` reads, which is kept from then on where the tables can be looked at.
pub fn load<T>(
    cell: &'static LocalKey<Cell<Option<Kept<T>>>>,
    ws: &Workspace,
    tables: &[&str],
    read: impl FnOnce() -> Result<T, CdpError>,
) -> Result<Rc<T>, CdpError> {
    let Some(versions) = scan::versions(&ws.name, tables)? else { return Ok(Rc::new(read()?)) };
    if let Some(value) = known(cell, ws, Some(&versions)) {
        return Ok(value);
    }
    let since = transaction::next_full_id();
    let value = Rc::new(read()?);
    cell.set(Some(Kept { workspace: ws.name.clone(), versions, since, value: Rc::clone(&value) }));
    Ok(value)
}
