//! How many rows a condition on sets keeps.
//!
//! ANALYZE keeps values of up to 1024 bytes, as it does for every type: the estimates of a column of larger sets are
//! constants.

use pgrx::datum::Internal;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::treemap;
use crate::pg::join_selectivity::JoinCondition;
use crate::pg::selectivity::Restriction;

/// Without statistics: the part of the rows that PostgreSQL assumes for containment as well.
const DEFAULT: f64 = 0.001;

fn members(bytes: &[u8]) -> Option<f64> {
    treemap::cardinality(bytes).ok().map(|members| members as f64)
}

/// Estimate for `@>`, `<@` and `&&`: see [`Restriction::estimate`].
#[pg_extern(stable, strict, parallel_safe)]
fn cdp_bitmap_sel(
    root: Internal,
    operator: pg_sys::Oid,
    arguments: Internal,
    relation: i32,
) -> Result<f64, ErrorReport> {
    let restriction = Restriction { root: &root, operator, arguments: &arguments, relation };
    Ok(restriction.estimate(DEFAULT, members)?)
}

/// Estimate of a join on `@>`, `<@` or `&&`: see [`JoinCondition::estimate`].
#[pg_extern(stable, strict, parallel_safe)]
fn cdp_bitmap_joinsel(
    root: Internal,
    operator: pg_sys::Oid,
    arguments: Internal,
    _join_type: i16,
    join: Internal,
) -> Result<f64, ErrorReport> {
    let condition = JoinCondition { root: &root, operator, arguments: &arguments, join: &join };
    Ok(condition.estimate(DEFAULT, members)?)
}

extension_sql!(
    "COMMENT ON FUNCTION cdp_bitmap_sel(internal, oid, internal, integer) IS 'planner estimate: part of the rows that containment or overlap keeps';
COMMENT ON FUNCTION cdp_bitmap_joinsel(internal, oid, internal, smallint, internal) IS 'planner estimate: part of the pairs of rows that containment or overlap keeps';",
    name = "cdp_bitmap_estimate",
    requires = [cdp_bitmap_sel, cdp_bitmap_joinsel]
);
