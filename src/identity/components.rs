//! `cdp_components`: connected components of the edges a query returns, without a workspace.

use crate::error::{CdpError, given};
use crate::pg::receive;
use pg_cdp_core::graph::{Edges, TooManyNodes};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

impl From<TooManyNodes> for CdpError {
    fn from(error: TooManyNodes) -> Self {
        Self::limit(error.to_string()).with_hint("Give the edges in parts that have no node in common.")
    }
}

/// Every node with the smallest node of its component, by node.
#[pg_extern(volatile, parallel_unsafe)]
fn cdp_components(
    edges: Option<&str>,
) -> Result<TableIterator<'static, (name!(node, i64), name!(component, i64))>, ErrorReport> {
    let query = given(edges, "edges")?;
    let mut pulse = || {
        pgrx::check_for_interrupts!();
    };
    let mut edges = Edges::new();
    receive::integer_pairs("edges", query, &mut |a, b| {
        let (Some(from), Some(to)) = (a.or(b), b.or(a)) else { return Ok(()) };
        Ok(edges.tie(from, to, &mut pulse)?)
    })?;
    Ok(TableIterator::new(edges.components(&mut pulse).map_err(CdpError::from)?))
}

extension_sql!(
    "ALTER FUNCTION cdp_components(text) ROWS 100000;",
    name = "cdp_components_rows",
    requires = [cdp_components]
);
