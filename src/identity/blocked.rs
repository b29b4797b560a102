//! Values that are never identifiers, as the workspace has them.

use crate::error::CdpError;
use crate::pg::{regex, spi};
use crate::workspace::Workspace;
use crate::workspace::kept::{self, Kept};
use pg_cdp_core::norm::Screen;
use std::cell::Cell;
use std::rc::Rc;

/// A value, or a pattern of values.
struct Entry {
    type_id: Option<i32>,
    value: Option<String>,
    pattern: Option<String>,
    reason: String,
}

/// All of them.
pub struct Blocked {
    /// In the order in which they were entered.
    entries: Vec<Entry>,
    /// The look that lets most values pass; `None` where the database has letters of its own for ASCII in lower case.
    screen: Option<Screen>,
}

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
            let ascii =
                spi::one::<bool>("SELECT lower('ABCDEFGHIJKLMNOPQRSTUVWXYZ') = 'abcdefghijklmnopqrstuvwxyz'", &[])?;
            let values = entries.iter().filter_map(|entry| entry.value.as_deref());
            let patterns = entries.iter().filter_map(|entry| entry.pattern.as_deref());
            let screen = (ascii == Some(true)).then(|| Screen::new(values, patterns));
            Ok(Self { entries, screen })
        })
    }

    /// Whether an entry may match a value, given in any case: of the others nobody has to be asked.
    pub fn suspects(&self, value: &str) -> bool {
        self.screen.as_ref().is_none_or(|screen| screen.suspects(value))
    }

    /// Why a value, in lower case, is never an identifier of the type; `None` when it may be one.
    pub fn reason(&self, type_id: i32, value: &str) -> Option<&str> {
        let blocked = self.entries.iter().find(|entry| {
            entry.type_id.is_none_or(|ty| ty == type_id)
                && (entry.value.as_deref() == Some(value)
                    || entry.pattern.as_deref().is_some_and(|pattern| regex::matches(value, pattern)))
        });
        blocked.map(|entry| entry.reason.as_str())
    }

    /// Whether an entry for the type has this reason.
    pub fn has_reason(&self, type_id: i32, reason: &str) -> bool {
        self.entries.iter().any(|entry| entry.type_id.is_none_or(|ty| ty == type_id) && entry.reason == reason)
    }
}
