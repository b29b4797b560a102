//! Aggregates: sets from numbers, and unions, intersections and symmetric differences of sets.
//!
//! The state is one set in memory ([`State`]); all aggregates share it and differ in the transition and in the final
//! function. NULL inputs are skipped; without any other input the result is NULL, as with `array_agg`. Each aggregate
//! runs in parallel: workers send the portable bytes, the leader combines them.
//!
//! `SSPACE` is 32 kB: four half-full containers of 8 kB, the middle between a group of a few members (some hundred
//! bytes) and one of a million dense ones (128 kB). It only tells the planner how many groups fit into `hash_mem`.

use std::borrow::Cow;

use pgrx::datum::Internal;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use roaring::RoaringTreemap;

use super::{Bitmap, BitmapBytes, count, member, treemap};
use crate::error::CdpError;
use crate::pg::aggregate;
use crate::pg::varlena::Bytea;

/// The set so far.
struct State {
    set: RoaringTreemap,
    /// Members that are not in the set yet: numbers are put into it sorted and many at a time, each alone costs several times as much.
    recent: Vec<u64>,
}

/// Numbers that wait to be put into the set: 32 kB.
const MOST_RECENT: usize = 4096;

impl State {
    fn new(set: RoaringTreemap) -> Self {
        Self { set, recent: Vec::new() }
    }

    fn insert(&mut self, value: u64) {
        if self.recent.len() >= MOST_RECENT {
            self.settle();
        }
        self.recent.push(value);
    }

    /// Leaves nothing waiting.
    fn settle(&mut self) -> &mut RoaringTreemap {
        if !self.recent.is_empty() {
            self.recent.sort_unstable();
            self.recent.dedup();
            // Sorted numbers are appended; that never fails here, and if it did they would be put in one by one.
            match RoaringTreemap::from_sorted_iter(self.recent.iter().copied()) {
                Ok(recent) => self.set |= recent,
                Err(_) => self.set.extend(self.recent.iter().copied()),
            }
            self.recent.clear();
        }
        &mut self.set
    }

    /// The set with what is waiting. The state stays as it is: an aggregate over a window is asked again and again.
    fn whole(&self) -> Cow<'_, RoaringTreemap> {
        if self.recent.is_empty() {
            return Cow::Borrowed(&self.set);
        }
        let mut copy = Self { set: self.set.clone(), recent: self.recent.clone() };
        copy.settle();
        Cow::Owned(copy.set)
    }
}

/// How a set joins the state.
type Join = fn(&mut RoaringTreemap, &RoaringTreemap);

fn or(state: &mut RoaringTreemap, other: &RoaringTreemap) {
    *state |= other;
}

fn and(state: &mut RoaringTreemap, other: &RoaringTreemap) {
    *state &= other;
}

fn xor(state: &mut RoaringTreemap, other: &RoaringTreemap) {
    *state ^= other;
}

/// One more set for the state.
fn take(
    call: pg_sys::FunctionCallInfo,
    mut slot: Internal,
    input: Option<BitmapBytes<'_>>,
    join: Join,
) -> Result<Internal, CdpError> {
    let Some(input) = input else { return Ok(slot) };
    let input = input.set()?;
    match aggregate::state_mut::<State>(call, &mut slot)? {
        None => return aggregate::new_state(call, State::new(input)),
        Some(state) => join(state.settle(), &input),
    }
    Ok(slot)
}

/// Another worker's state for ours. The other one is copied, never moved: a combine function may only change its first
/// argument.
fn merge(
    call: pg_sys::FunctionCallInfo,
    mut slot: Internal,
    other: Internal,
    join: Join,
) -> Result<Internal, CdpError> {
    let Some(other) = aggregate::state::<State>(&other)? else { return Ok(slot) };
    match aggregate::state_mut::<State>(call, &mut slot)? {
        None => return aggregate::new_state(call, State::new(other.whole().into_owned())),
        Some(state) => join(state.settle(), &other.whole()),
    }
    Ok(slot)
}

#[pg_extern(immutable, parallel_safe)]
fn cdp_bitmap_build_trans(
    mut state: Internal,
    value: Option<i64>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    let Some(value) = value else { return Ok(state) };
    let value = member(value)?;
    if let Some(state) = aggregate::state_mut::<State>(call, &mut state)? {
        state.insert(value);
    } else {
        state = aggregate::new_state(call, State::new(RoaringTreemap::from_iter([value])))?;
    }
    Ok(state)
}

#[pg_extern(immutable, parallel_safe)]
fn cdp_bitmap_or_trans(
    state: Internal,
    bitmap: Option<BitmapBytes<'_>>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    Ok(take(call, state, bitmap, or)?)
}

#[pg_extern(immutable, parallel_safe)]
fn cdp_bitmap_and_trans(
    state: Internal,
    bitmap: Option<BitmapBytes<'_>>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    Ok(take(call, state, bitmap, and)?)
}

#[pg_extern(immutable, parallel_safe)]
fn cdp_bitmap_xor_trans(
    state: Internal,
    bitmap: Option<BitmapBytes<'_>>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    Ok(take(call, state, bitmap, xor)?)
}

#[pg_extern(immutable, parallel_safe)]
fn cdp_bitmap_or_combine(
    state: Internal,
    other: Internal,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    Ok(merge(call, state, other, or)?)
}

#[pg_extern(immutable, parallel_safe)]
fn cdp_bitmap_and_combine(
    state: Internal,
    other: Internal,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    Ok(merge(call, state, other, and)?)
}

#[pg_extern(immutable, parallel_safe)]
fn cdp_bitmap_xor_combine(
    state: Internal,
    other: Internal,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    Ok(merge(call, state, other, xor)?)
}

#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_serialize(state: Internal) -> Result<Option<Bytea>, ErrorReport> {
    let Some(state) = aggregate::state::<State>(&state)? else { return Ok(None) };
    let set = state.whole();
    Ok(Some(Bytea::write(set.serialized_size(), |payload| set.serialize_into(payload))?))
}

#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_deserialize(
    bytes: &[u8],
    _unused: Internal,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    let set = treemap::decode(bytes).map_err(CdpError::from)?;
    Ok(aggregate::passing_state(call, State::new(set))?)
}

#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_final(state: Internal) -> Result<Option<Bitmap>, ErrorReport> {
    Ok(aggregate::state::<State>(&state)?.map(|state| Bitmap::new(state.whole().into_owned())))
}

#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_cardinality_final(state: Internal) -> Result<Option<i64>, ErrorReport> {
    let Some(state) = aggregate::state::<State>(&state)? else { return Ok(None) };
    Ok(Some(count(state.whole().len())?))
}

extension_sql!(
    r#"
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
        cdp_bitmap_build_trans,
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
