//! Variable-length values: arguments read in place, results written once.

use std::io;
use std::marker::PhantomData;

use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::pg_sys;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};

use super::pieces::{self, Pieces};
use crate::error::CdpError;

/// The length word before the payload.
const HEADER: usize = size_of::<u32>();

/// The longest payload: PostgreSQL allocates and stores at most 2^30 - 1 bytes for one value.
pub const MOST_BYTES: usize = 0x3FFF_FFFF - HEADER;

/// The payload of a variable-length argument: in place when it is stored plainly, else a decompressed or fetched copy
/// that is freed on drop (an argument copy would otherwise stay until the end of the row, or of the statement).
pub struct Detoasted<'a> {
    value: *mut pg_sys::varlena,
    copied: bool,
    argument: PhantomData<&'a [u8]>,
}

impl Detoasted<'_> {
    /// Reads a datum of a variable-length type.
    ///
    /// # Safety
    /// `datum` must be a non-null datum of a type with `typlen = -1` and must stay valid for the chosen lifetime.
    pub unsafe fn new(datum: pg_sys::Datum) -> Self {
        let stored = datum.cast_mut_ptr::<pg_sys::varlena>();
        // SAFETY: the caller's promise.
        let value = unsafe { pg_sys::pg_detoast_datum_packed(stored) };
        Detoasted { value, copied: value != stored, argument: PhantomData }
    }

    /// The payload; not aligned.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `value` is a detoasted varlena that lives as long as `self`.
        unsafe { pgrx::varlena_to_byte_slice(self.value) }
    }

    /// The payload, for as long as the current memory context lives: a copy that was already made is kept as it is.
    ///
    /// Meant for set-returning functions: pgrx reads their arguments and runs their body in the context that lasts for
    /// all the rows, so nothing is copied twice.
    pub fn keep(mut self) -> Kept {
        if self.copied {
            // Not freed on drop: from here the memory context owns the copy.
            self.copied = false;
            return Kept { value: self.value };
        }
        // SAFETY: `value` is a valid varlena; the copy is made in the current memory context.
        let value = unsafe {
            let size = pgrx::varsize_any(self.value);
            let copy = pg_sys::palloc(size);
            std::ptr::copy_nonoverlapping(self.value.cast::<u8>(), copy.cast(), size);
            copy.cast()
        };
        Kept { value }
    }
}

impl Drop for Detoasted<'_> {
    fn drop(&mut self) {
        if self.copied {
            // SAFETY: the copy was made by `pg_detoast_datum_packed` for this value alone.
            unsafe { pg_sys::pfree(self.value.cast()) }
        }
    }
}

/// A variable-length argument that is not fetched before it is asked for.
pub struct Stored<'a> {
    datum: pg_sys::Datum,
    argument: PhantomData<&'a [u8]>,
}

impl<'a> Stored<'a> {
    /// Keeps a datum of a variable-length type.
    ///
    /// # Safety
    /// `datum` must be a non-null datum of a type with `typlen = -1` and must stay valid for the chosen lifetime.
    pub unsafe fn new(datum: pg_sys::Datum) -> Self {
        Stored { datum, argument: PhantomData }
    }

    /// The datum as it came.
    pub fn datum(&self) -> pg_sys::Datum {
        self.datum
    }

    /// The whole payload.
    pub fn whole(&self) -> Detoasted<'a> {
        // SAFETY: the promise made to `new`.
        unsafe { Detoasted::new(self.datum) }
    }

    /// Answers a question from parts of the value; see [`pieces::ask`].
    ///
    /// # Safety
    /// `call` must be what PostgreSQL called the function with.
    pub unsafe fn ask<T>(&self, call: pg_sys::FunctionCallInfo, question: impl FnOnce(&mut Pieces) -> T) -> Option<T> {
        // SAFETY: the caller's promise, and the one made to `new`.
        unsafe { pieces::ask(call, self.datum, question) }
    }
}

/// A payload owned by a memory context: see [`Detoasted::keep`]. The holder must not outlive that context.
pub struct Kept {
    value: *mut pg_sys::varlena,
}

impl Kept {
    /// The payload; not aligned.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the varlena lives in the context that `keep` was called in, which the holder does not outlive.
        unsafe { pgrx::varlena_to_byte_slice(self.value) }
    }
}

/// Fails when a value of `length` payload bytes cannot exist; `what` names it in the message.
pub fn check_length(length: usize, what: &str) -> Result<(), CdpError> {
    if length <= MOST_BYTES {
        return Ok(());
    }
    Err(CdpError::limit(format!("{what} is too large"))
        .with_detail(format!("it needs {length} bytes, a value holds at most {MOST_BYTES}")))
}

/// The payload of a value being written, front to back.
pub struct Payload {
    next: *mut u8,
    left: usize,
}

impl io::Write for Payload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len().min(self.left);
        // SAFETY: `next` points to `left` bytes of our own allocation; `length` is no more than both sides have.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.next, length);
            self.next = self.next.add(length);
        }
        self.left -= length;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Allocates a value of exactly `length` payload bytes in the current memory context and lets `fill` write them.
/// `what` names the value in the error that says it is too large.
pub fn write(
    length: usize,
    what: &str,
    fill: impl FnOnce(&mut Payload) -> io::Result<()>,
) -> Result<pg_sys::Datum, CdpError> {
    check_length(length, what)?;
    // SAFETY: the allocation has room for the header and the payload; `Payload` writes inside it, and the value is only
    // handed out when every byte is written.
    unsafe {
        let value = pg_sys::palloc(HEADER + length).cast::<pg_sys::varlena>();
        pgrx::set_varsize_4b(value, (HEADER + length) as i32);
        let mut payload = Payload { next: value.cast::<u8>().add(HEADER), left: length };
        match fill(&mut payload) {
            Ok(()) if payload.left == 0 => Ok(pg_sys::Datum::from(value)),
            _ => Err(CdpError::internal(format!("{what} was not written to its announced length"))),
        }
    }
}

/// A `bytea` result, copied once.
pub struct Bytea(pg_sys::Datum);

impl Bytea {
    /// Copies `bytes` into a value.
    pub fn copy(bytes: &[u8]) -> Result<Self, CdpError> {
        write(bytes.len(), "bytea value", |payload| io::Write::write_all(payload, bytes)).map(Bytea)
    }
}

// SAFETY: the type is `bytea`, and `BoxRet` below returns one.
unsafe impl SqlTranslatable for Bytea {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Bytea);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("bytea"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("bytea")));
}

// SAFETY: the datum is a complete varlena in the memory context of the call.
unsafe impl BoxRet for Bytea {
    unsafe fn box_into<'fcx>(self, call: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: as above.
        unsafe { call.return_raw_datum(self.0) }
    }
}
