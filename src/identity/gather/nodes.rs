//! The identifiers that a batch brings, to be written when it is known whose they are.

use super::identifier::Span;
use super::{Sights, time};
use crate::error::CdpError;
use crate::identity::enter;
use crate::pg::append::Column;
use crate::pg::{spi, transaction};
use crate::workspace::Workspace;

/// A new identifier that is not written yet.
#[derive(Debug, Clone, Copy)]
pub struct Unwritten<'a> {
    /// Its number.
    pub node_id: i64,
    /// Number of its type.
    pub type_id: i32,
    /// The value as it is kept.
    pub value: &'a str,
    span: Span,
}

impl Sights {
    /// The new identifiers, to be written by [`write`] when it is known whose they are.
    pub fn unwritten(&self) -> Vec<Unwritten<'_>> {
        let shown = self.identifiers.iter().filter(|i| i.fresh && i.node_id > 0);
        let mut unwritten: Vec<Unwritten<'_>> = shown
            .map(|i| Unwritten { node_id: i.node_id, type_id: i.type_id, value: self.value(i), span: i.span })
            .collect();
        unwritten.sort_unstable_by_key(|u| u.node_id);
        unwritten
    }
}

/// Writes new identifiers with their profiles, of whom `home` tells.
pub fn write(
    ws: &Workspace,
    mut unwritten: Vec<Unwritten>,
    source_id: i32,
    home: impl Fn(i64) -> Option<i64>,
) -> Result<(), CdpError> {
    if unwritten.is_empty() {
        return Ok(());
    }
    if add(ws, &unwritten, source_id, &home)? {
        return Ok(());
    }
    // The index of values is by far the largest: its pages are visited one after the other, each once.
    unwritten.sort_unstable_by_key(|new| (new.type_id, new.value));
    let count = unwritten.len();
    let (mut ids, mut types) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let (mut values, mut homes) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let (mut first, mut last) = (Vec::with_capacity(count), Vec::with_capacity(count));
    for new in unwritten {
        ids.push(new.node_id);
        types.push(new.type_id);
        values.push(new.value);
        homes.push(home(new.node_id));
        let span = new.span.ends();
        first.push(span.map(|span| time(span.0)).transpose()?);
        last.push(span.map(|span| time(span.1)).transpose()?);
    }
    spi::run(
        &ws.sql(
            "INSERT INTO @ws@.node (node_id, type_id, value, profile_id, source_id, first_seen, last_seen) OVERRIDING SYSTEM VALUE \
             SELECT x.node_id, x.type_id, x.value, x.profile_id, $7, coalesce(x.first, now()), coalesce(x.last, now()) \
             FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int4[], $3::pg_catalog.text[], $4::pg_catalog.int8[], $5::pg_catalog.timestamptz[], $6::pg_catalog.timestamptz[]) \
                 AS x(node_id, type_id, value, profile_id, first, last)",
        ),
        &[ids.into(), types.into(), values.into(), homes.into(), first.into(), last.into(), source_id.into()],
    )?;
    Ok(())
}

/// Does so without a query, if that is possible.
fn add(
    ws: &Workspace,
    unwritten: &[Unwritten],
    source_id: i32,
    home: &impl Fn(i64) -> Option<i64>,
) -> Result<bool, CdpError> {
    let now = transaction::started_at();
    let ids: Vec<i64> = unwritten.iter().map(|new| new.node_id).collect();
    let types: Vec<i32> = unwritten.iter().map(|new| new.type_id).collect();
    let values: Vec<&str> = unwritten.iter().map(|new| new.value).collect();
    let homes: Vec<Option<i64>> = ids.iter().map(|id| home(*id)).collect();
    let first: Vec<i64> = unwritten.iter().map(|new| new.span.ends().map_or(now, |span| span.0)).collect();
    let last: Vec<i64> = unwritten.iter().map(|new| new.span.ends().map_or(now, |span| span.1)).collect();
    enter::nodes(ws, &ids, &types, &values, &homes, source_id, (Column::Int8(&first), Column::Int8(&last)))
}
