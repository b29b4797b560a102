//! Aggregates: an index from pairs, and the sum and the union of indexes.
//!
//! NULL inputs are skipped; without any other input the result is NULL, as with `array_agg`. Each aggregate runs in
//! parallel: workers send the bytes of an index, the leader combines them. The `_flat` twins keep the state as a
//! `cdp_bsi`, which Citus can push down to its workers.
//!
//! `SSPACE` is 256 kB: 16 bytes for each of 16,000 ids. It only tells the planner how many groups fit into `hash_mem`.

use pgrx::datum::Internal;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::slices::{self, Build, Fold, Join};
use super::{Bsi, BsiBytes, id};
use crate::error::CdpError;
use crate::pg::aggregate;
use crate::pg::varlena::Bytea;

/// One more pair.
#[pg_extern(immutable, parallel_safe)]
fn cdp_bsi_build_trans(
    mut state: Internal,
    id: Option<i64>,
    value: Option<i64>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    let (Some(id), Some(value)) = (id, value) else { return Ok(state) };
    let id = self::id(id)?;
    if let Some(build) = aggregate::state_mut::<Build>(call, &mut state)? {
        build.insert(id, value).map_err(CdpError::from)?;
        return Ok(state);
    }
    let mut build = Build::new();
    build.insert(id, value).map_err(CdpError::from)?;
    Ok(aggregate::new_state(call, build)?)
}

/// Another worker's pairs for ours. The other ones are copied: a combine function may only change its first argument.
#[pg_extern(immutable, parallel_safe)]
fn cdp_bsi_build_combine(
    mut state: Internal,
    other: Internal,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    let Some(other) = aggregate::state::<Build>(&other)? else { return Ok(state) };
    if let Some(build) = aggregate::state_mut::<Build>(call, &mut state)? {
        build.merge(other).map_err(CdpError::from)?;
        return Ok(state);
    }
    Ok(aggregate::new_state(call, other.clone())?)
}

/// The index of a state. Its pairs are put in order in place, which does not change what it stands for.
fn finish_build(state: &mut Internal, call: pg_sys::FunctionCallInfo) -> Result<Option<Vec<u8>>, CdpError> {
    let Some(build) = aggregate::state_mut::<Build>(call, state)? else { return Ok(None) };
    Ok(Some(build.finish()?))
}

#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_build_serialize(mut state: Internal, call: pg_sys::FunctionCallInfo) -> Result<Option<Bytea>, ErrorReport> {
    Ok(finish_build(&mut state, call)?.map(|bytes| Bytea::copy(&bytes)).transpose()?)
}

#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_build_deserialize(
    bytes: &[u8],
    _unused: Internal,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    let mut build = Build::new();
    build.extend(bytes).map_err(CdpError::from)?;
    Ok(aggregate::passing_state(call, build)?)
}

#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_build_final(mut state: Internal, call: pg_sys::FunctionCallInfo) -> Result<Option<Bsi>, ErrorReport> {
    Ok(finish_build(&mut state, call)?.map(Bsi::from_canonical))
}

/// One more index for the state.
fn take(
    call: pg_sys::FunctionCallInfo,
    mut state: Internal,
    input: Option<BsiBytes<'_>>,
    join: Join,
) -> Result<Internal, CdpError> {
    let Some(input) = input else { return Ok(state) };
    if let Some(fold) = aggregate::state_mut::<Fold>(call, &mut state)? {
        fold.take(input.bytes())?;
        return Ok(state);
    }
    let mut fold = Fold::new(join);
    fold.take(input.bytes())?;
    aggregate::new_state(call, fold)
}

#[pg_extern(immutable, parallel_safe)]
fn cdp_bsi_add_trans(
    state: Internal,
    bsi: Option<BsiBytes<'_>>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    Ok(take(call, state, bsi, Join::Add)?)
}

#[pg_extern(immutable, parallel_safe)]
fn cdp_bsi_merge_trans(
    state: Internal,
    bsi: Option<BsiBytes<'_>>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    Ok(take(call, state, bsi, Join::Merge)?)
}

/// Another worker's state for ours; both say what becomes of an id that both have.
#[pg_extern(immutable, parallel_safe)]
fn cdp_bsi_fold_combine(
    mut state: Internal,
    other: Internal,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    let Some(other) = aggregate::state::<Fold>(&other)? else { return Ok(state) };
    if let Some(fold) = aggregate::state_mut::<Fold>(call, &mut state)? {
        fold.merge(other).map_err(CdpError::from)?;
        return Ok(state);
    }
    Ok(aggregate::new_state(call, other.clone())?)
}

fn finish_fold(state: &Internal) -> Result<Option<Vec<u8>>, CdpError> {
    let Some(fold) = aggregate::state::<Fold>(state)? else { return Ok(None) };
    Ok(Some(fold.finish()?))
}

#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_fold_serialize(state: Internal) -> Result<Option<Bytea>, ErrorReport> {
    Ok(finish_fold(&state)?.map(|bytes| Bytea::copy(&bytes)).transpose()?)
}

fn passing_fold(bytes: &[u8], join: Join, call: pg_sys::FunctionCallInfo) -> Result<Internal, CdpError> {
    let mut fold = Fold::new(join);
    fold.take(bytes)?;
    aggregate::passing_state(call, fold)
}

#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_add_deserialize(
    bytes: &[u8],
    _unused: Internal,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    Ok(passing_fold(bytes, Join::Add, call)?)
}

#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_merge_deserialize(
    bytes: &[u8],
    _unused: Internal,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    Ok(passing_fold(bytes, Join::Merge, call)?)
}

#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_fold_final(state: Internal) -> Result<Option<Bsi>, ErrorReport> {
    Ok(finish_fold(&state)?.map(Bsi::from_canonical))
}

/// One more pair for a state that is an index.
#[pg_extern(immutable, parallel_safe)]
fn cdp_bsi_build_flat_trans(
    state: Option<BsiBytes<'_>>,
    id: Option<i64>,
    value: Option<i64>,
) -> Result<Option<Bsi>, ErrorReport> {
    let own = state.as_ref().map(BsiBytes::bytes);
    let (Some(id), Some(value)) = (id, value) else {
        return Ok(own.map(|bytes| Bsi::from_canonical(bytes.to_vec())));
    };
    let mut build = Build::new();
    build.insert(self::id(id)?, value).map_err(CdpError::from)?;
    let one = build.finish().map_err(CdpError::from)?;
    let both = own.map(|own| slices::combine(own, &one, Join::Agree)).transpose().map_err(CdpError::from)?;
    Ok(Some(Bsi::from_canonical(both.unwrap_or(one))))
}

/// The pairs of two states; an id of both must have one value.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_build_flat_combine(a: BsiBytes<'_>, b: BsiBytes<'_>) -> Result<Bsi, ErrorReport> {
    let both = slices::combine(a.bytes(), b.bytes(), Join::Agree).map_err(CdpError::from)?;
    Ok(Bsi::from_canonical(both))
}

extension_sql!(
    r#"
CREATE AGGREGATE @extschema@.cdp_bsi_build_agg(id bigint, value bigint) (
    SFUNC = cdp_bsi_build_trans, STYPE = internal, SSPACE = 262144, FINALFUNC = cdp_bsi_build_final,
    COMBINEFUNC = cdp_bsi_build_combine, SERIALFUNC = cdp_bsi_build_serialize, DESERIALFUNC = cdp_bsi_build_deserialize,
    PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bsi_add_agg(cdp_bsi) (
    SFUNC = cdp_bsi_add_trans, STYPE = internal, SSPACE = 262144, FINALFUNC = cdp_bsi_fold_final,
    COMBINEFUNC = cdp_bsi_fold_combine, SERIALFUNC = cdp_bsi_fold_serialize, DESERIALFUNC = cdp_bsi_add_deserialize,
    PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bsi_merge_agg(cdp_bsi) (
    SFUNC = cdp_bsi_merge_trans, STYPE = internal, SSPACE = 262144, FINALFUNC = cdp_bsi_fold_final,
    COMBINEFUNC = cdp_bsi_fold_combine, SERIALFUNC = cdp_bsi_fold_serialize, DESERIALFUNC = cdp_bsi_merge_deserialize,
    PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bsi_build_agg_flat(id bigint, value bigint) (
    SFUNC = cdp_bsi_build_flat_trans, STYPE = cdp_bsi, COMBINEFUNC = cdp_bsi_build_flat_combine, PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bsi_add_agg_flat(cdp_bsi) (
    SFUNC = cdp_bsi_add, STYPE = cdp_bsi, COMBINEFUNC = cdp_bsi_add, PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bsi_merge_agg_flat(cdp_bsi) (
    SFUNC = cdp_bsi_merge, STYPE = cdp_bsi, COMBINEFUNC = cdp_bsi_merge, PARALLEL = SAFE
);

COMMENT ON AGGREGATE cdp_bsi_build_agg(bigint, bigint) IS 'index of the ids and values';
COMMENT ON AGGREGATE cdp_bsi_add_agg(cdp_bsi) IS 'sum of the values of the indexes by id';
COMMENT ON AGGREGATE cdp_bsi_merge_agg(cdp_bsi) IS 'ids and values of all indexes, no two of which may share an id';
COMMENT ON AGGREGATE cdp_bsi_build_agg_flat(bigint, bigint) IS 'cdp_bsi_build_agg with a state that Citus can send; for small groups';
COMMENT ON AGGREGATE cdp_bsi_add_agg_flat(cdp_bsi) IS 'cdp_bsi_add_agg with a state that Citus can send';
COMMENT ON AGGREGATE cdp_bsi_merge_agg_flat(cdp_bsi) IS 'cdp_bsi_merge_agg with a state that Citus can send';
COMMENT ON FUNCTION cdp_bsi_build_trans(internal, bigint, bigint) IS 'aggregate transition';
COMMENT ON FUNCTION cdp_bsi_build_combine(internal, internal) IS 'aggregate combination';
COMMENT ON FUNCTION cdp_bsi_build_serialize(internal) IS 'aggregate state as bytes';
COMMENT ON FUNCTION cdp_bsi_build_deserialize(bytea, internal) IS 'aggregate state from bytes';
COMMENT ON FUNCTION cdp_bsi_build_final(internal) IS 'aggregate result: the index';
COMMENT ON FUNCTION cdp_bsi_add_trans(internal, cdp_bsi) IS 'aggregate transition';
COMMENT ON FUNCTION cdp_bsi_merge_trans(internal, cdp_bsi) IS 'aggregate transition';
COMMENT ON FUNCTION cdp_bsi_fold_combine(internal, internal) IS 'aggregate combination';
COMMENT ON FUNCTION cdp_bsi_fold_serialize(internal) IS 'aggregate state as bytes';
COMMENT ON FUNCTION cdp_bsi_add_deserialize(bytea, internal) IS 'aggregate state from bytes';
COMMENT ON FUNCTION cdp_bsi_merge_deserialize(bytea, internal) IS 'aggregate state from bytes';
COMMENT ON FUNCTION cdp_bsi_fold_final(internal) IS 'aggregate result: the index';
COMMENT ON FUNCTION cdp_bsi_build_flat_trans(cdp_bsi, bigint, bigint) IS 'aggregate transition';
COMMENT ON FUNCTION cdp_bsi_build_flat_combine(cdp_bsi, cdp_bsi) IS 'aggregate combination';
"#,
    name = "cdp_bsi_aggregates",
    requires = [
        "cdp_bsi_type",
        "cdp_bsi_operators",
        cdp_bsi_build_trans,
        cdp_bsi_build_combine,
        cdp_bsi_build_serialize,
        cdp_bsi_build_deserialize,
        cdp_bsi_build_final,
        cdp_bsi_add_trans,
        cdp_bsi_merge_trans,
        cdp_bsi_fold_combine,
        cdp_bsi_fold_serialize,
        cdp_bsi_add_deserialize,
        cdp_bsi_merge_deserialize,
        cdp_bsi_fold_final,
        cdp_bsi_build_flat_trans,
        cdp_bsi_build_flat_combine
    ]
);
