//! How a set crosses between Rust and SQL.
//!
//! Two Rust types stand for the one SQL type: [`BitmapBytes`] is an argument, read in place; [`Bitmap`] is a result,
//! written once into PostgreSQL's memory. A function of any module may take the one and return the other; the type is
//! then created before the function, with nothing to declare.

use std::io::Write;

use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::{Datum, FromDatum, IntoDatum};
use pgrx::pg_sys;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use roaring::RoaringTreemap;

use super::{TYPE_NAME, treemap};
use crate::error::CdpError;
use crate::pg::varlena::{self, Detoasted, Kept};

/// A set on its way to SQL.
#[derive(Debug, Clone, PartialEq)]
pub struct Bitmap(Content);

#[derive(Debug, Clone, PartialEq)]
enum Content {
    Set(RoaringTreemap),
    /// Canonical bytes.
    Bytes(Vec<u8>),
}

impl Bitmap {
    /// A set built in memory. Every value must be at most [`treemap::MAX_VALUE`].
    pub fn new(set: RoaringTreemap) -> Self {
        Bitmap(Content::Set(set))
    }

    /// Bytes from outside: checked in full. `Err` says what is wrong with them; the caller picks the SQLSTATE.
    pub fn from_untrusted(bytes: &[u8]) -> Result<Self, treemap::Invalid> {
        treemap::canonical(bytes).map(|bytes| Bitmap(Content::Bytes(bytes.into_owned())))
    }

    /// Bytes that this extension wrote or has checked, in canonical form; not checked again.
    pub fn from_canonical(bytes: Vec<u8>) -> Self {
        Bitmap(Content::Bytes(bytes))
    }

    /// Writes the value into PostgreSQL's current memory context.
    fn write(self) -> Result<pg_sys::Datum, CdpError> {
        let result = match &self.0 {
            Content::Bytes(bytes) => varlena::write(bytes.len(), TYPE_NAME, |payload| payload.write_all(bytes)),
            Content::Set(set) => {
                varlena::write(set.serialized_size(), TYPE_NAME, |payload| set.serialize_into(payload))
            }
        };
        result.map_err(|error| error.or_hint("Split the set by ranges of its members."))
    }
}

impl From<RoaringTreemap> for Bitmap {
    fn from(set: RoaringTreemap) -> Self {
        Bitmap::new(set)
    }
}

/// A set from SQL: the serialised bytes, in place or in a copy that goes when this does.
pub struct BitmapBytes<'a>(Detoasted<'a>);

impl BitmapBytes<'_> {
    /// The canonical bytes: see [`treemap`] for what can be asked of them directly.
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// The set in memory.
    pub fn set(&self) -> Result<RoaringTreemap, CdpError> {
        Ok(treemap::decode(self.bytes())?)
    }

    /// The bytes for as long as a set-returning function runs; see [`Detoasted::keep`].
    pub fn keep(self) -> Kept {
        self.0.keep()
    }
}

// SAFETY: both Rust types stand for the SQL type `cdp_bitmap`, which `io.rs` creates under the identity of `Bitmap`.
unsafe impl SqlTranslatable for Bitmap {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Bitmap);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::ThisExtension;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal(TYPE_NAME));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal(TYPE_NAME)));
}

// SAFETY: as above.
unsafe impl SqlTranslatable for BitmapBytes<'_> {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Bitmap);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::ThisExtension;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal(TYPE_NAME));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal(TYPE_NAME)));
}

impl FromDatum for BitmapBytes<'_> {
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _type: pg_sys::Oid) -> Option<Self> {
        // SAFETY: a datum of type `cdp_bitmap` is a varlena, and it outlives the call it is an argument of.
        (!is_null).then(|| BitmapBytes(unsafe { Detoasted::new(datum) }))
    }
}

// SAFETY: the datum is of type `cdp_bitmap` because the SQL declaration says so.
unsafe impl<'fcx> ArgAbi<'fcx> for BitmapBytes<'fcx> {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the caller's promise.
        match unsafe { arg.unbox_arg_using_from_datum() } {
            Some(bitmap) => bitmap,
            None => CdpError::null_value("argument of type cdp_bitmap must not be null").raise(),
        }
    }
}

impl IntoDatum for Bitmap {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        match self.write() {
            Ok(datum) => Some(datum),
            Err(error) => error.raise(),
        }
    }

    /// The type's oid, looked up in the extension's schema: it changes when the extension is created anew.
    fn type_oid() -> pg_sys::Oid {
        let found = pgrx::Spi::get_one::<pg_sys::Oid>(TYPE_OID);
        found.ok().flatten().unwrap_or(pg_sys::InvalidOid)
    }
}

/// The oid of the type, whatever schema the extension lives in. One row always, because of the aggregate.
const TYPE_OID: &str = "SELECT pg_catalog.max(t.oid) FROM pg_catalog.pg_type t \
     JOIN pg_catalog.pg_extension e ON e.extnamespace OPERATOR(pg_catalog.=) t.typnamespace \
     WHERE e.extname OPERATOR(pg_catalog.=) 'pg_cdp' AND t.typname OPERATOR(pg_catalog.=) 'cdp_bitmap'";

// SAFETY: the datum is a complete value of type `cdp_bitmap` in the memory context of the call.
unsafe impl BoxRet for Bitmap {
    unsafe fn box_into<'fcx>(self, call: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        match self.write() {
            // SAFETY: as above.
            Ok(datum) => unsafe { call.return_raw_datum(datum) },
            Err(error) => error.raise(),
        }
    }
}

/// A [`Bitmap`] returned by the input functions, which exist before the type is complete.
pub struct ShellBitmap(pub Bitmap);

/// A [`BitmapBytes`] taken by the output functions, which exist before the type is complete.
pub struct ShellBitmapBytes<'a>(pub BitmapBytes<'a>);

// SAFETY: the SQL type is `cdp_bitmap`. It is called external so that the functions come before CREATE TYPE and not after
// it; they require the shell type by name.
unsafe impl SqlTranslatable for ShellBitmap {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(ShellBitmap);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal(TYPE_NAME));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal(TYPE_NAME)));
}

// SAFETY: as above.
unsafe impl SqlTranslatable for ShellBitmapBytes<'_> {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(ShellBitmap);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal(TYPE_NAME));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal(TYPE_NAME)));
}

// SAFETY: as for `Bitmap`.
unsafe impl BoxRet for ShellBitmap {
    unsafe fn box_into<'fcx>(self, call: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: as for `Bitmap`.
        unsafe { self.0.box_into(call) }
    }
}

// SAFETY: as for `BitmapBytes`.
unsafe impl<'fcx> ArgAbi<'fcx> for ShellBitmapBytes<'fcx> {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: as for `BitmapBytes`.
        ShellBitmapBytes(unsafe { BitmapBytes::unbox_arg_unchecked(arg) })
    }
}
