//! `bigint[]` results, written once.

use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::pg_sys;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};

use super::varlena::MOST_BYTES;
use crate::error::CdpError;

/// A one-dimensional `bigint[]` without NULLs.
pub struct BigintArray(pg_sys::Datum);

/// ArrayType, one dimension, one lower bound; the elements start 8-byte aligned right after it.
const HEADER: usize = size_of::<pg_sys::ArrayType>() + 2 * size_of::<i32>();
const _: () = assert!(HEADER.is_multiple_of(8));

/// The most elements that one value has room for.
pub const MOST_ELEMENTS: usize = (MOST_BYTES - HEADER) / size_of::<i64>();

impl BigintArray {
    /// An array of exactly `length` elements, taken from `next`, which returns an error to give up.
    pub fn write(length: usize, mut next: impl FnMut() -> Result<i64, CdpError>) -> Result<Self, CdpError> {
        if length > MOST_ELEMENTS {
            return Err(CdpError::limit("bigint[] value is too large")
                .with_detail(format!("it needs {length} elements, an array holds at most {MOST_ELEMENTS}")));
        }
        if length == 0 {
            // SAFETY: allocates in the current memory context; INT8OID is a type with a fixed oid.
            let empty = unsafe { pg_sys::construct_empty_array(pg_sys::INT8OID) };
            return Ok(BigintArray(pg_sys::Datum::from(empty)));
        }
        let size = HEADER + length * size_of::<i64>();
        // SAFETY: the allocation holds the header and `length` elements; each field is written before the value is
        // handed out, and elements are written one by one inside it. palloc aligns to 8 bytes.
        unsafe {
            let array = pg_sys::palloc(size).cast::<pg_sys::ArrayType>();
            pgrx::set_varsize_4b(array.cast(), size as i32);
            (*array).ndim = 1;
            // 0: no NULL bitmap.
            (*array).dataoffset = 0;
            (*array).elemtype = pg_sys::INT8OID;
            let bounds = array.add(1).cast::<i32>();
            bounds.write(length as i32);
            bounds.add(1).write(1);
            let elements = array.cast::<u8>().add(HEADER).cast::<i64>();
            for i in 0..length {
                elements.add(i).write(next()?);
            }
            Ok(BigintArray(pg_sys::Datum::from(array)))
        }
    }
}

// SAFETY: the type is `bigint[]`, and `BoxRet` below returns one.
unsafe impl SqlTranslatable for BigintArray {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(BigintArray);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("bigint[]"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("bigint[]")));
}

// SAFETY: the datum is a complete array in the memory context of the call.
unsafe impl BoxRet for BigintArray {
    unsafe fn box_into<'fcx>(self, call: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: as above.
        unsafe { call.return_raw_datum(self.0) }
    }
}
