//! Aggregates: sets from numbers, and unions, intersections and symmetric differences of sets.
//!
//! The state is one set in memory ([`State`]); all aggregates share it and differ in the transition and in the final
//! function. NULL inputs are skipped; without any other input the result is NULL, as with `array_agg`. Each aggregate
//! runs in parallel: workers send the portable bytes, the leader combines them.
//!
//! `SSPACE` is 32 kB: four half-full containers of 8 kB, the middle between a group of a few members (some hundred
//! bytes) and one of a million dense ones (128 kB). It only tells the planner how many groups fit into `hash_mem`.

use pgrx::datum::Internal;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::state::{Join, State, and, or, xor};
use super::{Bitmap, BitmapBytes, count, member, treemap};
use crate::error::CdpError;
use crate::pg::aggregate::{self, Take, transition_function};
use crate::pg::varlena::Bytea;

/// One more set for the state.
fn take(
    call: pg_sys::FunctionCallInfo,
    mut slot: Internal,
    input: Option<BitmapBytes<'_>>,
    join: Join,
) -> Result<Internal, CdpError> {
    let Some(input) = input else { return Ok(slot) };
    let input = input.set()?;
    match aggregate::state_mut::<State>(&mut slot)? {
        None => return aggregate::new_state(call, State::from(input)),
        Some(state) => state.join(&input, join),
    }
    Ok(slot)
}

/// Another worker's state for ours. The other one is copied, never moved: what it stands for may not change.
fn merge(
    call: pg_sys::FunctionCallInfo,
    mut slot: Internal,
    mut other: Internal,
    join: Join,
) -> Result<Internal, CdpError> {
    let Some(other) = aggregate::state_mut::<State>(&mut other)? else { return Ok(slot) };
    match aggregate::state_mut::<State>(&mut slot)? {
        None => return aggregate::new_state(call, other.clone()),
        Some(state) => state.merge(other, join),
    }
    Ok(slot)
}

impl Take for State {
    type Row = i64;

    #[inline]
    fn has_room(&self, value: i64) -> bool {
        value >= 0 && State::has_room(self)
    }

    #[inline]
    fn take(&mut self, value: i64) -> Result<(), CdpError> {
        self.insert(member(value)?);
        Ok(())
    }
}

transition_function!(cdp_bitmap_build_trans, pg_finfo_cdp_bitmap_build_trans, State);

/// The transition and the combine function of aggregates that join sets.
macro_rules! joining {
    ($join:ident: $transition:ident, $combination:ident) => {
        #[pg_extern(immutable, parallel_safe)]
        fn $transition(
            state: Internal,
            bitmap: Option<BitmapBytes<'_>>,
            call: pg_sys::FunctionCallInfo,
        ) -> Result<Internal, ErrorReport> {
            Ok(take(call, state, bitmap, $join)?)
        }

        #[pg_extern(immutable, parallel_safe)]
        fn $combination(
            state: Internal,
            other: Internal,
            call: pg_sys::FunctionCallInfo,
        ) -> Result<Internal, ErrorReport> {
            Ok(merge(call, state, other, $join)?)
        }
    };
}

joining!(or: cdp_bitmap_or_trans, cdp_bitmap_or_combine);
joining!(and: cdp_bitmap_and_trans, cdp_bitmap_and_combine);
joining!(xor: cdp_bitmap_xor_trans, cdp_bitmap_xor_combine);

#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_serialize(mut state: Internal) -> Result<Option<Bytea>, ErrorReport> {
    let Some(state) = aggregate::state_mut::<State>(&mut state)? else { return Ok(None) };
    Ok(Some(Bytea::copy(&state.bytes()?)?))
}

#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_deserialize(
    bytes: &[u8],
    _unused: Internal,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    let set = treemap::decode(bytes).map_err(CdpError::from)?;
    Ok(aggregate::passing_state(call, State::from(set))?)
}

#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_final(mut state: Internal) -> Result<Option<Bitmap>, ErrorReport> {
    let Some(state) = aggregate::state_mut::<State>(&mut state)? else { return Ok(None) };
    Ok(Some(Bitmap::from_canonical(state.bytes()?)))
}

#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_cardinality_final(mut state: Internal) -> Result<Option<i64>, ErrorReport> {
    let Some(state) = aggregate::state_mut::<State>(&mut state)? else { return Ok(None) };
    Ok(Some(count(state.len())?))
}

extension_sql!(
    r#"
CREATE FUNCTION @extschema@.cdp_bitmap_build_trans(state internal, value bigint) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_bitmap_build_trans';
CREATE AGGREGATE @extschema@.cdp_bitmap_build_agg(bigint) (
    SFUNC = cdp_bitmap_build_trans, STYPE = internal, SSPACE = 32768, FINALFUNC = cdp_bitmap_final,
    COMBINEFUNC = cdp_bitmap_or_combine, SERIALFUNC = cdp_bitmap_serialize, DESERIALFUNC = cdp_bitmap_deserialize,
    PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_build_cardinality_agg(bigint) (
    SFUNC = cdp_bitmap_build_trans, STYPE = internal, SSPACE = 32768, FINALFUNC = cdp_bitmap_cardinality_final,
    COMBINEFUNC = cdp_bitmap_or_combine, SERIALFUNC = cdp_bitmap_serialize, DESERIALFUNC = cdp_bitmap_deserialize,
    PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_or_agg(cdp_bitmap) (
    SFUNC = cdp_bitmap_or_trans, STYPE = internal, SSPACE = 32768, FINALFUNC = cdp_bitmap_final,
    COMBINEFUNC = cdp_bitmap_or_combine, SERIALFUNC = cdp_bitmap_serialize, DESERIALFUNC = cdp_bitmap_deserialize,
    PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_or_cardinality_agg(cdp_bitmap) (
    SFUNC = cdp_bitmap_or_trans, STYPE = internal, SSPACE = 32768, FINALFUNC = cdp_bitmap_cardinality_final,
    COMBINEFUNC = cdp_bitmap_or_combine, SERIALFUNC = cdp_bitmap_serialize, DESERIALFUNC = cdp_bitmap_deserialize,
    PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_and_agg(cdp_bitmap) (
    SFUNC = cdp_bitmap_and_trans, STYPE = internal, SSPACE = 32768, FINALFUNC = cdp_bitmap_final,
    COMBINEFUNC = cdp_bitmap_and_combine, SERIALFUNC = cdp_bitmap_serialize, DESERIALFUNC = cdp_bitmap_deserialize,
    PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_and_cardinality_agg(cdp_bitmap) (
    SFUNC = cdp_bitmap_and_trans, STYPE = internal, SSPACE = 32768, FINALFUNC = cdp_bitmap_cardinality_final,
    COMBINEFUNC = cdp_bitmap_and_combine, SERIALFUNC = cdp_bitmap_serialize, DESERIALFUNC = cdp_bitmap_deserialize,
    PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_xor_agg(cdp_bitmap) (
    SFUNC = cdp_bitmap_xor_trans, STYPE = internal, SSPACE = 32768, FINALFUNC = cdp_bitmap_final,
    COMBINEFUNC = cdp_bitmap_xor_combine, SERIALFUNC = cdp_bitmap_serialize, DESERIALFUNC = cdp_bitmap_deserialize,
    PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bitmap_xor_cardinality_agg(cdp_bitmap) (
    SFUNC = cdp_bitmap_xor_trans, STYPE = internal, SSPACE = 32768, FINALFUNC = cdp_bitmap_cardinality_final,
    COMBINEFUNC = cdp_bitmap_xor_combine, SERIALFUNC = cdp_bitmap_serialize, DESERIALFUNC = cdp_bitmap_deserialize,
    PARALLEL = SAFE
);

COMMENT ON AGGREGATE cdp_bitmap_build_agg(bigint) IS 'set of the numbers';
COMMENT ON AGGREGATE cdp_bitmap_build_cardinality_agg(bigint) IS 'number of different numbers';
COMMENT ON AGGREGATE cdp_bitmap_or_agg(cdp_bitmap) IS 'union of the sets';
COMMENT ON AGGREGATE cdp_bitmap_or_cardinality_agg(cdp_bitmap) IS 'number of members of the union of the sets';
COMMENT ON AGGREGATE cdp_bitmap_and_agg(cdp_bitmap) IS 'intersection of the sets';
COMMENT ON AGGREGATE cdp_bitmap_and_cardinality_agg(cdp_bitmap) IS 'number of members of the intersection of the sets';
COMMENT ON AGGREGATE cdp_bitmap_xor_agg(cdp_bitmap) IS 'symmetric difference of the sets: members of an odd number of them';
COMMENT ON AGGREGATE cdp_bitmap_xor_cardinality_agg(cdp_bitmap) IS 'number of members of an odd number of the sets';
COMMENT ON FUNCTION cdp_bitmap_build_trans(internal, bigint) IS 'aggregate transition';
COMMENT ON FUNCTION cdp_bitmap_or_trans(internal, cdp_bitmap) IS 'aggregate transition';
COMMENT ON FUNCTION cdp_bitmap_and_trans(internal, cdp_bitmap) IS 'aggregate transition';
COMMENT ON FUNCTION cdp_bitmap_xor_trans(internal, cdp_bitmap) IS 'aggregate transition';
COMMENT ON FUNCTION cdp_bitmap_or_combine(internal, internal) IS 'aggregate combination';
COMMENT ON FUNCTION cdp_bitmap_and_combine(internal, internal) IS 'aggregate combination';
COMMENT ON FUNCTION cdp_bitmap_xor_combine(internal, internal) IS 'aggregate combination';
COMMENT ON FUNCTION cdp_bitmap_serialize(internal) IS 'aggregate state as bytes';
COMMENT ON FUNCTION cdp_bitmap_deserialize(bytea, internal) IS 'aggregate state from bytes';
COMMENT ON FUNCTION cdp_bitmap_final(internal) IS 'aggregate result: the set';
COMMENT ON FUNCTION cdp_bitmap_cardinality_final(internal) IS 'aggregate result: the number of members';
"#,
    name = "cdp_bitmap_aggregates",
    requires = [
        "cdp_bitmap_type",
        cdp_bitmap_or_trans,
        cdp_bitmap_and_trans,
        cdp_bitmap_xor_trans,
        cdp_bitmap_or_combine,
        cdp_bitmap_and_combine,
        cdp_bitmap_xor_combine,
        cdp_bitmap_serialize,
        cdp_bitmap_deserialize,
        cdp_bitmap_final,
        cdp_bitmap_cardinality_final
    ]
);
