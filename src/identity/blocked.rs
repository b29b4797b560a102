//! Values that are never identifiers, as the workspace has them.

use super::kept::{self, Kept};
use crate::error::CdpError;
use crate::pg::{regex, spi};
use crate::workspace::Workspace;
use std::cell::Cell;
use std::rc::Rc;

/// A value, or a pattern of values.
struct Entry {
    type_id: Option<i32>,
    value: Option<String>,
    pattern: Option<String>,
    reason: String,
}

/// All of them, in the order in which they were entered.
pub struct Blocked(Vec<Entry>);

thread_local! {
    static KEPT: Cell<Option<Kept<Blocked>>> = const { Cell::new(None) };
}

impl Blocked {
    /// Those of the workspace.
    pub fn load(ws: &Workspace) -> Result<Rc<Self>, CdpError> {
        kept::load(&KEPT, ws, &["blocked_value"], || {
            let entries = spi::rows_cached(
                &ws.sql(
                    "SELECT b.type_id, b.value, b.pattern, b.reason FROM @ws@.blocked_value b ORDER BY b.blocked_id",
                ),
                &[],
                |row| {
                    let (type_id, value, pattern) = (row.get(1)?, row.get(2)?, row.get(3)?);
                    Ok(Entry { type_id, value, pattern, reason: spi::must(row, 4)? })
                },
            )?;
            Ok(Self(entries))
        })
    }

    /// Why a value, in lower case, is never an identifier of the type; `None` when it may be one.
    pub fn reason(&self, type_id: i32, value: &str) -> Option<&str> {
        let blocked = self.0.iter().find(|entry| {
            entry.type_id.is_none_or(|ty| ty == type_id)
                && (entry.value.as_deref() == Some(value)
                    || entry.pattern.as_deref().is_some_and(|pattern| regex::matches(value, pattern)))
        });
        blocked.map(|entry| entry.reason.as_str())
    }
}
