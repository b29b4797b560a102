//! Aggregates: an index from pairs, and the sum and the union of indexes.
//!
//! NULL inputs are skipped; without any other input the result is NULL, as with `array_agg`. Each aggregate runs in
//! parallel: workers send the bytes of an index, the leader combines them.
//!
//! `SSPACE` is 256 kB: 16 bytes for each of 16,000 ids. It only tells the planner how many groups fit into `hash_mem`.

use pgrx::datum::Internal;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::slices::{Build, Fold, Join};
use super::{Bsi, BsiBytes, id};
use crate::error::CdpError;
use crate::pg::aggregate::{self, Take, transition_function};
use crate::pg::varlena::Bytea;

impl Take for Build {
    type Row = (i64, i64);

    #[inline]
    fn has_room(&self, (id, _): (i64, i64)) -> bool {
        id >= 0 && Build::has_room(self)
    }

    #[inline]
    fn take(&mut self, (id, value): (i64, i64)) -> Result<(), CdpError> {
        Ok(self.insert(self::id(id)?, value)?)
    }
}

transition_function!(cdp_bsi_build_trans, pg_finfo_cdp_bsi_build_trans, Build);

/// Another worker's pairs for ours. The other ones are copied: a combine function may only change its first argument.
#[pg_extern(immutable, parallel_safe)]
fn cdp_bsi_build_combine(
    mut state: Internal,
    other: Internal,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    let Some(other) = aggregate::state::<Build>(&other)? else { return Ok(state) };
    if let Some(build) = aggregate::state_mut::<Build>(&mut state)? {
        build.merge(other).map_err(CdpError::from)?;
        return Ok(state);
    }
    Ok(aggregate::new_state(call, other.clone())?)
}

/// The index of a state. Its pairs are put in order in place, which does not change what it stands for.
fn finish_build(mut state: Internal) -> Result<Option<Vec<u8>>, CdpError> {
    let Some(build) = aggregate::state_mut::<Build>(&mut state)? else { return Ok(None) };
    Ok(Some(build.finish()?))
}

#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_build_serialize(state: Internal) -> Result<Option<Bytea>, ErrorReport> {
    Ok(finish_build(state)?.map(|bytes| Bytea::copy(&bytes)).transpose()?)
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
fn cdp_bsi_build_final(state: Internal) -> Result<Option<Bsi>, ErrorReport> {
    Ok(finish_build(state)?.map(Bsi::from_canonical))
}

/// One more index for the state.
fn take(
    call: pg_sys::FunctionCallInfo,
    mut state: Internal,
    input: Option<BsiBytes<'_>>,
    join: Join,
) -> Result<Internal, CdpError> {
    let Some(input) = input else { return Ok(state) };
    if let Some(fold) = aggregate::state_mut::<Fold>(&mut state)? {
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
    if let Some(fold) = aggregate::state_mut::<Fold>(&mut state)? {
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

extension_sql!(
    r#"
CREATE FUNCTION @extschema@.cdp_bsi_build_trans(state internal, id bigint, value bigint) RETURNS internal
    LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'cdp_bsi_build_trans';
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

COMMENT ON AGGREGATE cdp_bsi_build_agg(bigint, bigint) IS 'index of the ids and values';
COMMENT ON AGGREGATE cdp_bsi_add_agg(cdp_bsi) IS 'sum of the values of the indexes by id';
COMMENT ON AGGREGATE cdp_bsi_merge_agg(cdp_bsi) IS 'ids and values of all indexes, no two of which may share an id';
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
"#,
    name = "cdp_bsi_aggregates",
    requires = [
        "cdp_bsi_type",
        "cdp_bsi_operators",
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
        cdp_bsi_fold_final
    ]
);
