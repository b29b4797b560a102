//! The state of an aggregate whose transition type is `internal`.
//!
//! The state is a Rust value owned by the aggregate's memory context: it is dropped when the context goes, on success
//! and on error alike. Its heap memory is invisible to PostgreSQL's accounting, so `SSPACE` in CREATE AGGREGATE should
//! be honest.

use std::any::TypeId;

use pgrx::datum::{Internal, IntoDatum};
use pgrx::pg_sys::panic::pgrx_extern_c_guard;
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

/// The state behind the first argument of a transition, combine or final function, to be changed; `None` for NULL.
///
/// This runs once a row, so the server is not asked for the aggregate's context (a call into it costs more than the rest of
/// a transition). It need not be: a state that is there was made in such a context by [`new_state`], and a caller that
/// is no aggregate has no state to pass.
pub fn state_mut<T: 'static>(slot: &mut Internal) -> Result<Option<&mut T>, CdpError> {
    // SAFETY: as in `state`; the first argument of a transition or combine function is ours alone to change, and a final
    // function changes only how the state is kept, not what it stands for.
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

/// The arguments of one row after the state.
pub trait Row: Copy {
    /// Reads them; `None` when the row is to be skipped because of a NULL.
    ///
    /// # Safety
    /// `arguments` must point to those of a function that is declared so.
    unsafe fn read(arguments: *const pg_sys::NullableDatum) -> Option<Self>;
}

impl Row for i64 {
    unsafe fn read(arguments: *const pg_sys::NullableDatum) -> Option<Self> {
        // SAFETY: the caller's promise: a bigint.
        let argument = unsafe { *arguments };
        (!argument.isnull).then_some(argument.value.value() as i64)
    }
}

impl Row for i32 {
    unsafe fn read(arguments: *const pg_sys::NullableDatum) -> Option<Self> {
        // SAFETY: the caller's promise: an integer.
        let argument = unsafe { *arguments };
        (!argument.isnull).then_some(argument.value.value() as i32)
    }
}

impl<A: Row, B: Row> Row for (A, B) {
    unsafe fn read(arguments: *const pg_sys::NullableDatum) -> Option<Self> {
        // SAFETY: the caller's promise.
        unsafe { Some((A::read(arguments)?, B::read(arguments.add(1))?)) }
    }
}

impl<A: Row, B: Row, C: Row> Row for (A, B, Option<C>) {
    unsafe fn read(arguments: *const pg_sys::NullableDatum) -> Option<Self> {
        // SAFETY: the caller's promise.
        unsafe { Some((A::read(arguments)?, B::read(arguments.add(1))?, C::read(arguments.add(2)))) }
    }
}

/// A state that takes a row of plain numbers at a time.
pub trait Take: Default + 'static {
    /// The numbers of a row.
    type Row: Row;

    /// Whether this row can be taken without memory, without an error and without calling PostgreSQL.
    fn has_room(&self, row: Self::Row) -> bool;

    /// Takes a row. It must not panic when there is room for it.
    ///
    /// # Errors
    /// When the row is not one for this aggregate.
    fn take(&mut self, row: Self::Row) -> Result<(), CdpError>;
}

/// A transition function at the cost of one in C: nothing but the arguments is looked at as long as the state has room. What pgrx puts
/// around a function (a place to unwind to, results that could be errors) is several times as dear as taking a number.
///
/// # Safety
/// To be called by PostgreSQL as a function that takes `internal` and the columns of `T::Row` and returns `internal`.
#[inline]
pub unsafe fn transition<T: Take>(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the arguments are there, and a state that is not NULL is a `Tagged`; see `state`.
    unsafe {
        let arguments = (*call).args.as_ptr();
        let slot = *arguments;
        if !slot.isnull
            && let Some(row) = T::Row::read(arguments.add(1))
        {
            let tagged = &mut *slot.value.cast_mut_ptr::<Tagged<T>>();
            if tagged.tag == TypeId::of::<T>() && tagged.state.has_room(row) && tagged.state.take(row).is_ok() {
                return slot.value;
            }
        }
        pgrx_extern_c_guard(|| slow_transition::<T>(call))
    }
}

/// The same where an error can be raised.
#[cold]
#[inline(never)]
unsafe fn slow_transition<T: Take>(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: as above.
    let (slot, row) = unsafe {
        let arguments = (*call).args.as_ptr();
        (*arguments, T::Row::read(arguments.add(1)))
    };
    let mut state = Internal::from((!slot.isnull).then_some(slot.value));
    let taken = row.map_or(Ok(()), |row| {
        if let Some(state) = state_mut::<T>(&mut state)? {
            return state.take(row);
        }
        let mut first = T::default();
        first.take(row)?;
        state = new_state(call, first)?;
        Ok(())
    });
    if let Err(error) = taken {
        error.raise();
    }
    state.into_datum().unwrap_or_else(|| {
        // SAFETY: PostgreSQL reads the flag after the call.
        unsafe { (*call).isnull = true };
        pg_sys::Datum::null()
    })
}

/// Makes `$name` a C function of the library: the transition function of an aggregate with the state `$state`. `$about` is the function that tells
/// PostgreSQL its calling convention, `pg_finfo_` before the name.
macro_rules! transition_function {
    ($name:ident, $about:ident, $state:ty) => {
        // SAFETY: the name begins with the extension's prefix, as do all of the library's.
        #[unsafe(no_mangle)]
        #[doc(hidden)]
        pub unsafe extern "C-unwind" fn $name(call: pgrx::pg_sys::FunctionCallInfo) -> pgrx::pg_sys::Datum {
            // SAFETY: the SQL declaration says what the arguments are.
            unsafe { $crate::pg::aggregate::transition::<$state>(call) }
        }

        // SAFETY: as above.
        #[unsafe(no_mangle)]
        #[doc(hidden)]
        pub extern "C" fn $about() -> &'static pgrx::pg_sys::Pg_finfo_record {
            const CONVENTION: pgrx::pg_sys::Pg_finfo_record = pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
            &CONVENTION
        }
    };
}

pub(crate) use transition_function;
