//! New identifiers and edges, added without a query: where each value lies in a row of theirs (sql/workspace/30_identity.sql).

use super::hold;
use crate::error::CdpError;
use crate::pg::append::{self, Column};
use crate::pg::transaction;
use crate::workspace::Workspace;

/// When something was seen first and last.
pub type Times<'a> = (Column<'a>, Column<'a>);

/// Adds identifiers that nothing keeps from linking, with their numbers and profiles; `false`: that is not possible.
pub fn nodes(
    ws: &Workspace,
    ids: &[i64],
    types: &[i32],
    values: &[&str],
    homes: &[Option<i64>],
    source_id: i32,
    (first, last): Times,
) -> Result<bool, CdpError> {
    let columns = [
        Column::Int8(ids),
        Column::Int4(types),
        Column::Text(values),
        Column::Int8OrNull(homes),
        Column::EachInt4(source_id),
        first,
        last,
        Column::EachInt8(transaction::started_at()),
        Column::Null,
    ];
    append::load(&ws.name, &hold::node::SHAPE, &columns, ids.len())
}

/// Adds edges of a state that is not suspended, the smaller end first; `trust` is in hundredths. `false`: that is not possible.
pub fn edges(
    ws: &Workspace,
    from: &[i64],
    to: &[i64],
    source_id: i32,
    trust: i32,
    state: &str,
    (first, last): Times,
) -> Result<bool, CdpError> {
    let columns = [
        Column::Int8(from),
        Column::Int8(to),
        Column::EachInt4(source_id),
        Column::EachFloat4((f64::from(trust) / 100.0) as f32),
        Column::EachText(state),
        Column::Null,
        first,
        last,
    ];
    // Beside other batches others enter edges too.
    let add = if append::may_build(from.len()) && ws.locked()? { append::load } else { append::append };
    add(&ws.name, &hold::edge::SHAPE, &columns, from.len())
}
