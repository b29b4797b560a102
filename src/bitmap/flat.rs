//! Twins of the aggregates whose state is a `cdp_bitmap`, for whoever sends partial states as values of a type.
//!
//! Citus pushes an aggregate down to its workers only when the state has a real type; with a state of type `internal`
//! every row travels. The state here is the set so far, so that each step writes it anew: unions of a few large sets cost
//! nothing more, while a set of n numbers made number by number costs n times its size. The aggregates of `agg.rs` keep
//! the set in memory and are faster everywhere else; the answers are equal.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::treemap::{self, Operation};
use super::{Bitmap, BitmapBytes, member};
use crate::error::CdpError;
use crate::pg::varlena::MOST_BYTES;

/// The set so far with one more number. NULLs change nothing; before the first number there is no set.
#[pg_extern(immutable, parallel_safe)]
fn cdp_bitmap_build_flat_trans(
    state: Option<BitmapBytes<'_>>,
    value: Option<i64>,
) -> Result<Option<Bitmap>, ErrorReport> {
    let bytes = state.as_ref().map(BitmapBytes::bytes);
    let Some(value) = value else { return Ok(bytes.map(|bytes| Bitmap::from_canonical(bytes.to_vec()))) };
    let value = member(value)?;
    let bytes = bytes.unwrap_or(&treemap::EMPTY);
    let grown = treemap::combine_range(bytes, value, value + 1, Operation::Or, MOST_BYTES).map_err(CdpError::from)?;
    Ok(Some(Bitmap::from_canonical(grown)))
}

extension_sql!(
    r#"
CREATE AGGREGATE @extschema@.cdp_bitmap_build_flat_agg(bigint) (
    SFUNC = cdp_bitmap_build_flat_trans, STYPE = cdp_bitmap, COMBINEFUNC = cdp_bitmap_or, PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_build_cardinality_flat_agg(bigint) (
    SFUNC = cdp_bitmap_build_flat_trans, STYPE = cdp_bitmap, FINALFUNC = cdp_bitmap_cardinality,
    COMBINEFUNC = cdp_bitmap_or, PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_or_flat_agg(cdp_bitmap) (
    SFUNC = cdp_bitmap_or, STYPE = cdp_bitmap, COMBINEFUNC = cdp_bitmap_or, PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_or_cardinality_flat_agg(cdp_bitmap) (
    SFUNC = cdp_bitmap_or, STYPE = cdp_bitmap, FINALFUNC = cdp_bitmap_cardinality,
    COMBINEFUNC = cdp_bitmap_or, PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_and_flat_agg(cdp_bitmap) (
    SFUNC = cdp_bitmap_and, STYPE = cdp_bitmap, COMBINEFUNC = cdp_bitmap_and, PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_and_cardinality_flat_agg(cdp_bitmap) (
    SFUNC = cdp_bitmap_and, STYPE = cdp_bitmap, FINALFUNC = cdp_bitmap_cardinality,
    COMBINEFUNC = cdp_bitmap_and, PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_xor_flat_agg(cdp_bitmap) (
    SFUNC = cdp_bitmap_xor, STYPE = cdp_bitmap, COMBINEFUNC = cdp_bitmap_xor, PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_xor_cardinality_flat_agg(cdp_bitmap) (
    SFUNC = cdp_bitmap_xor, STYPE = cdp_bitmap, FINALFUNC = cdp_bitmap_cardinality,
    COMBINEFUNC = cdp_bitmap_xor, PARALLEL = SAFE
);

COMMENT ON FUNCTION cdp_bitmap_build_flat_trans(cdp_bitmap, bigint) IS 'aggregate transition';
COMMENT ON AGGREGATE cdp_bitmap_build_flat_agg(bigint) IS 'set of the numbers, with a state that travels';
COMMENT ON AGGREGATE cdp_bitmap_build_cardinality_flat_agg(bigint) IS 'number of different numbers, with a state that travels';
COMMENT ON AGGREGATE cdp_bitmap_or_flat_agg(cdp_bitmap) IS 'union of the sets, with a state that travels';
COMMENT ON AGGREGATE cdp_bitmap_or_cardinality_flat_agg(cdp_bitmap) IS 'number of members of the union of the sets, with a state that travels';
COMMENT ON AGGREGATE cdp_bitmap_and_flat_agg(cdp_bitmap) IS 'intersection of the sets, with a state that travels';
COMMENT ON AGGREGATE cdp_bitmap_and_cardinality_flat_agg(cdp_bitmap) IS 'number of members of the intersection of the sets, with a state that travels';
COMMENT ON AGGREGATE cdp_bitmap_xor_flat_agg(cdp_bitmap) IS 'symmetric difference of the sets, with a state that travels';
COMMENT ON AGGREGATE cdp_bitmap_xor_cardinality_flat_agg(cdp_bitmap) IS 'number of members of an odd number of the sets, with a state that travels';
"#,
    name = "cdp_bitmap_flat_aggregates",
    requires = ["cdp_bitmap_type", "cdp_bitmap_operators", cdp_bitmap_build_flat_trans]
);
