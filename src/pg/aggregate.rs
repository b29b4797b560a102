//! The state of an aggregate whose transition type is `internal`.
//!
//! The state is a Rust value owned by the aggregate's memory context: it is dropped when the context goes, on success
//! and on error alike. Its heap memory is invisible to PostgreSQL's accounting, so `SSPACE` in CREATE AGGREGATE should
//! be honest.

use std::any::TypeId;

use pgrx::datum::Internal;
use pgrx::{PgMemoryContexts, pg_sys};

use crate::error::CdpError;

/// The state with its type, so that a state of one aggregate handed to another is refused.
#[repr(C)]
struct Tagged<T> {
    tag: TypeId,
    state: T,
}

/// The memory context of the aggregate that is calling; an error when the caller is not an aggregate.
fn context(call: pg_sys::FunctionCallInfo) -> Result<pg_sys::MemoryContext, CdpError> {
    let mut context = std::ptr::null_mut();
    // SAFETY: `call` is what PostgreSQL called us with, and `context` outlives the call.
    let kind = unsafe { pg_sys::AggCheckCallContext(call, &mut context) };
    if kind == 0 || context.is_null() {
        return Err(CdpError::not_supported("aggregate function called in non-aggregate context")
            .with_hint("call the aggregate instead of its support functions"));
    }
    Ok(context)
}

/// Stores `state` in the aggregate's memory context.
pub fn new_state<T: 'static>(call: pg_sys::FunctionCallInfo, state: T) -> Result<Internal, CdpError> {
    let context = context(call)?;
    let tagged = Tagged { tag: TypeId::of::<T>(), state };
    // The callback that drops the value is registered with the aggregate's context, whatever the current one is.
    let pointer = PgMemoryContexts::For(context).leak_and_drop_on_delete(tagged);
    Ok(Internal::from(Some(pg_sys::Datum::from(pointer))))
}

/// The state behind an `internal` argument; `None` for NULL.
pub fn state<T: 'static>(slot: &Internal) -> Result<Option<&T>, CdpError> {
    // SAFETY: PostgreSQL hands an aggregate's support function only what another support function of an aggregate with
    // STYPE internal returned, which here is always a pointer to a `Tagged`. The tag is read before the state.
    match unsafe { slot.get::<Tagged<T>>() } {
        None => Ok(None),
        Some(tagged) if tagged.tag == TypeId::of::<T>() => Ok(Some(&tagged.state)),
        Some(_) => Err(foreign()),
    }
}

/// The state behind the first argument of a transition or combine function, to be changed; `None` for NULL.
pub fn state_mut<T: 'static>(call: pg_sys::FunctionCallInfo, slot: &mut Internal) -> Result<Option<&mut T>, CdpError> {
    context(call)?;
    // SAFETY: as in `state`; the first argument of a transition or combine function is ours alone to change.
    match unsafe { slot.get_mut::<Tagged<T>>() } {
        None => Ok(None),
        Some(tagged) if tagged.tag == TypeId::of::<T>() => Ok(Some(&mut tagged.state)),
        Some(_) => Err(foreign()),
    }
}

fn foreign() -> CdpError {
    CdpError::not_supported("the state belongs to another aggregate")
}

/// Stores `state` like [`new_state`] for a deserialise function, whose result lives as long as the current memory
/// context: the combine function copies what it keeps.
pub fn passing_state<T: 'static>(call: pg_sys::FunctionCallInfo, state: T) -> Result<Internal, CdpError> {
    context(call)?;
    Ok(Internal::new(Tagged { tag: TypeId::of::<T>(), state }))
}
