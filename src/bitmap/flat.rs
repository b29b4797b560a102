//! Twins of the aggregates whose state is a `cdp_bitmap`, for whoever sends partial states as values of a type.
//!
//! Citus pushes an aggregate down to its workers only when the state has a real type; with a state of type `internal`
//! every row travels. While rows come in, the state is the same set in memory as that of the aggregates in `agg.rs`
//! ([`State`]), behind a pointer that PostgreSQL takes for a `cdp_bitmap`; it becomes bytes where it leaves the process.

use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::state::{Join, State, and, or, xor};
use super::{BitmapBytes, StoredBitmap, TYPE_NAME, WorkingBitmap, member, treemap};
use crate::error::CdpError;
use crate::pg::expanded::Expand;

impl Expand for State {
    const NAME: &'static str = TYPE_NAME;

    fn flat(&mut self) -> Result<Vec<u8>, CdpError> {
        self.bytes()
    }
}

fn read(bytes: Option<&[u8]>) -> Result<State, CdpError> {
    Ok(bytes.map(treemap::decode).transpose()?.map(State::from).unwrap_or_default())
}

/// The set so far with one more number.
#[pg_extern(immutable, parallel_safe)]
fn cdp_bitmap_build_flat_trans(
    state: Option<StoredBitmap<'_>>,
    value: Option<i64>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Option<WorkingBitmap>, ErrorReport> {
    let value = value.map(member).transpose()?;
    let step = |set: &mut State, value| {
        set.insert(value);
        Ok(())
    };
    Ok(WorkingBitmap::step(call, state, value, read, step)?)
}

/// The set so far joined with another.
fn join(
    call: pg_sys::FunctionCallInfo,
    state: Option<StoredBitmap<'_>>,
    input: Option<BitmapBytes<'_>>,
    join: Join,
) -> Result<Option<WorkingBitmap>, CdpError> {
    let input = input.map(|input| input.set()).transpose()?;
    // The first set is the state, and joining it to itself would not always give it again.
    let first = state.is_none();
    let step = |set: &mut State, input| {
        if first {
            *set = State::from(input);
        } else {
            set.join(&input, join);
        }
        Ok(())
    };
    WorkingBitmap::step(call, state, input, read, step)
}

/// The transition function, which is the combine function too, of aggregates that join sets.
macro_rules! joining {
    ($join:ident: $transition:ident) => {
        #[pg_extern(immutable, parallel_safe)]
        fn $transition(
            state: Option<StoredBitmap<'_>>,
            bitmap: Option<BitmapBytes<'_>>,
            call: pg_sys::FunctionCallInfo,
        ) -> Result<Option<WorkingBitmap>, ErrorReport> {
            Ok(join(call, state, bitmap, $join)?)
        }
    };
}

joining!(or: cdp_bitmap_or_flat_trans);
joining!(and: cdp_bitmap_and_flat_trans);
joining!(xor: cdp_bitmap_xor_flat_trans);

extension_sql!(
    r#"
CREATE AGGREGATE @extschema@.cdp_bitmap_build_flat_agg(bigint) (
    SFUNC = cdp_bitmap_build_flat_trans, STYPE = cdp_bitmap, COMBINEFUNC = cdp_bitmap_or_flat_trans, PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_build_cardinality_flat_agg(bigint) (
    SFUNC = cdp_bitmap_build_flat_trans, STYPE = cdp_bitmap, FINALFUNC = cdp_bitmap_cardinality,
    COMBINEFUNC = cdp_bitmap_or_flat_trans, PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_or_flat_agg(cdp_bitmap) (
    SFUNC = cdp_bitmap_or_flat_trans, STYPE = cdp_bitmap, COMBINEFUNC = cdp_bitmap_or_flat_trans, PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_or_cardinality_flat_agg(cdp_bitmap) (
    SFUNC = cdp_bitmap_or_flat_trans, STYPE = cdp_bitmap, FINALFUNC = cdp_bitmap_cardinality,
    COMBINEFUNC = cdp_bitmap_or_flat_trans, PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_and_flat_agg(cdp_bitmap) (
    SFUNC = cdp_bitmap_and_flat_trans, STYPE = cdp_bitmap, COMBINEFUNC = cdp_bitmap_and_flat_trans, PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_and_cardinality_flat_agg(cdp_bitmap) (
    SFUNC = cdp_bitmap_and_flat_trans, STYPE = cdp_bitmap, FINALFUNC = cdp_bitmap_cardinality,
    COMBINEFUNC = cdp_bitmap_and_flat_trans, PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_xor_flat_agg(cdp_bitmap) (
    SFUNC = cdp_bitmap_xor_flat_trans, STYPE = cdp_bitmap, COMBINEFUNC = cdp_bitmap_xor_flat_trans, PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_xor_cardinality_flat_agg(cdp_bitmap) (
    SFUNC = cdp_bitmap_xor_flat_trans, STYPE = cdp_bitmap, FINALFUNC = cdp_bitmap_cardinality,
    COMBINEFUNC = cdp_bitmap_xor_flat_trans, PARALLEL = SAFE
);

COMMENT ON FUNCTION cdp_bitmap_build_flat_trans(cdp_bitmap, bigint) IS 'aggregate transition';
COMMENT ON FUNCTION cdp_bitmap_or_flat_trans(cdp_bitmap, cdp_bitmap) IS 'aggregate transition and combination';
COMMENT ON FUNCTION cdp_bitmap_and_flat_trans(cdp_bitmap, cdp_bitmap) IS 'aggregate transition and combination';
COMMENT ON FUNCTION cdp_bitmap_xor_flat_trans(cdp_bitmap, cdp_bitmap) IS 'aggregate transition and combination';
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
    requires = [
        "cdp_bitmap_type",
        "cdp_bitmap_operators",
        cdp_bitmap_build_flat_trans,
        cdp_bitmap_or_flat_trans,
        cdp_bitmap_and_flat_trans,
        cdp_bitmap_xor_flat_trans
    ]
);
