//! The identifiers of many messages, as rows with a column for each type.

use crate::error::CdpError;
use crate::identity::gather::Row;
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
) -> Result<(Vec<Row>, Vec<i32>), CdpError> {
    let mut types: Vec<i32> = Vec::new();
    let mut columns: HashMap<(i32, usize), usize> = HashMap::new();
    let mut rows = Vec::with_capacity(messages.size_hint().1.unwrap_or(0));
    for (rn, message, at) in messages {
        let mut values: Vec<Option<String>> = vec![None; types.len()];
        for (_, ty, value) in plan::named(ws, rules, message)? {
            let type_id = ty.type_id;
            let mut nth = 0;
            let column = loop {
                let column = *columns.entry((type_id, nth)).or_insert_with(|| {
                    types.push(type_id);
                    types.len() - 1
                });
                values.resize(types.len(), None);
                if values.get(column).is_some_and(Option::is_none) {
                    break column;
                }
                nth += 1;
            };
            if let Some(slot) = values.get_mut(column) {
                *slot = Some(value.to_owned());
            }
        }
        rows.push(Row { rn, seen: Some(moment(at)?), values, fault: None });
    }
    for row in &mut rows {
        row.values.resize(types.len(), None);
    }
    Ok((rows, types))
}
