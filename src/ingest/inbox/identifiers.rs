//! The identifiers of many messages, as rows with a column for each type.

use crate::error::CdpError;
use crate::identity::gather::Shown;
use crate::identity::rules::Rules;
use crate::ingest::plan::{self, moment};
use crate::workspace::Workspace;
use pg_cdp_core::message::Message;
use std::collections::HashMap;

/// The identifiers of messages, each given with its number and the time it speaks of, and the type of each column: one for each type, for as many values of it as any message has.
pub fn rows<'a>(
    ws: &Workspace,
    rules: &Rules,
    messages: impl Iterator<Item = (i64, &'a Message, i64)>,
) -> Result<(Shown, Vec<i32>), CdpError> {
    let mut types: Vec<i32> = Vec::new();
    let mut columns: HashMap<(i32, usize), usize> = HashMap::new();
    let mut shown = Shown::default();
    // Of the message at hand, how many values of each type there were.
    let mut met: HashMap<i32, usize> = HashMap::new();
    for (rn, message, at) in messages {
        met.clear();
        for (_, ty, value) in plan::named(ws, rules, message)? {
            let nth = met.entry(ty.type_id).or_default();
            let column = *columns.entry((ty.type_id, *nth)).or_insert_with(|| {
                types.push(ty.type_id);
                types.len() - 1
            });
            *nth += 1;
            shown.value(column, value)?;
        }
        shown.end_row(rn, Some(moment(at)?), None);
    }
    Ok((shown, types))
}
