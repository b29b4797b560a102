//! The aggregates that evaluate a program over one shard: they collect the bytes of its slots and walk them once.

use crate::error::CdpError;
use crate::pg::aggregate;
use crate::store::cells::portable;
use pg_cdp_core::cells::fold;
use pg_cdp_core::program::{self, Program};
use pgrx::datum::Internal;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Bytes of one key of one slot: the chunk, and the changes not yet folded into it.
#[derive(Default)]
struct Cells {
    base: Option<Vec<u8>>,
    deltas: Vec<Vec<u8>>,
}

/// The inputs of one shard so far.
struct State {
    program: Program,
    slots: Vec<BTreeMap<i64, Cells>>,
}

/// Transition of `_cdp_members_agg` and `_cdp_count_agg`: takes one row of input. `part` 0 is a chunk, 1 a delta.
#[pg_extern(immutable, parallel_safe)]
fn _cdp_program_trans(
    mut slot_state: Internal,
    program: Option<&str>,
    slot: Option<i32>,
    key: Option<i64>,
    part: Option<i32>,
    bits: Option<&[u8]>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    let (Some(program), Some(slot), Some(key), Some(part), Some(bits)) = (program, slot, key, part, bits) else {
        return Ok(slot_state);
    };
    if aggregate::state::<State>(&slot_state)?.is_none() {
        let program: Program =
            serde_json::from_str(program).map_err(|e| CdpError::internal(format!("a program cannot be read: {e}")))?;
        let slots = program.slots.iter().map(|_| BTreeMap::new()).collect();
        slot_state = aggregate::new_state(call, State { program, slots })?;
    }
    let Some(state) = aggregate::state_mut::<State>(call, &mut slot_state)? else {
        return Err(CdpError::internal("an aggregate lost its state").into());
    };
    let cells = usize::try_from(slot)
        .ok()
        .and_then(|slot| state.slots.get_mut(slot))
        .ok_or_else(|| CdpError::internal("a program has no such slot"))?
        .entry(key)
        .or_default();
    if part == 0 {
        cells.base = Some(bits.to_vec());
    } else {
        cells.deltas.push(bits.to_vec());
    }
    Ok(slot_state)
}

/// The bytes of every slot with changes folded in.
fn merged(state: &State) -> Result<Vec<Vec<Cow<'_, [u8]>>>, CdpError> {
    let mut out = Vec::with_capacity(state.slots.len());
    for (encoding, keys) in state.program.slots.iter().zip(&state.slots) {
        let mut chunks = Vec::with_capacity(keys.len());
        for cells in keys.values() {
            match (&cells.base, cells.deltas.is_empty()) {
                (Some(base), true) => chunks.push(Cow::Borrowed(base.as_slice())),
                (base, _) => {
                    if let Some(bytes) = fold(*encoding, base.as_deref(), cells.deltas.iter().map(Vec::as_slice))? {
                        chunks.push(Cow::Owned(bytes));
                    }
                }
            }
        }
        out.push(chunks);
    }
    Ok(out)
}

fn with_chunks<T>(
    state: &Internal,
    run: impl FnOnce(&Program, &[Vec<&[u8]>]) -> Result<T, CdpError>,
) -> Result<Option<T>, CdpError> {
    let Some(state) = aggregate::state::<State>(state)? else { return Ok(None) };
    let chunks = merged(state)?;
    let borrowed: Vec<Vec<&[u8]>> = chunks.iter().map(|slot| slot.iter().map(AsRef::as_ref).collect()).collect();
    run(&state.program, &borrowed).map(Some)
}

/// Final of `_cdp_members_agg`: the offsets for which the program holds, portable 32-bit Roaring; NULL when there are none.
#[pg_extern(immutable, parallel_safe)]
fn _cdp_program_members(state: Internal) -> Result<Option<Vec<u8>>, ErrorReport> {
    let members = with_chunks(&state, |program, chunks| Ok(program::evaluate(program, chunks)?))?;
    match members {
        Some(members) if !members.is_empty() => Ok(Some(portable(&members)?)),
        _ => Ok(None),
    }
}

/// Final of `_cdp_count_agg`: how many offsets the program holds for; the set itself is never made.
#[pg_extern(immutable, parallel_safe)]
fn _cdp_program_count(state: Internal) -> Result<Option<i64>, ErrorReport> {
    let count = with_chunks(&state, |program, chunks| Ok(program::count(program, chunks)?))?;
    Ok(count
        .map(|c| i64::try_from(c).map_err(|_| CdpError::limit("the count does not fit into bigint")))
        .transpose()?)
}

extension_sql!(
    "CREATE AGGREGATE @extschema@._cdp_members_agg(text, integer, bigint, integer, bytea) (SFUNC = _cdp_program_trans, STYPE = internal, SSPACE = 1048576, FINALFUNC = _cdp_program_members, PARALLEL = SAFE);\n\
     CREATE AGGREGATE @extschema@._cdp_count_agg(text, integer, bigint, integer, bytea) (SFUNC = _cdp_program_trans, STYPE = internal, SSPACE = 1048576, FINALFUNC = _cdp_program_count, PARALLEL = SAFE);",
    name = "cdp_program_aggregates",
    requires = [_cdp_program_trans, _cdp_program_members, _cdp_program_count]
);
