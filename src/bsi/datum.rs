//! How an index crosses between Rust and SQL.
//!
//! [`BsiBytes`] is an argument, read in place; [`Bsi`] is a result, written once into PostgreSQL's memory. The type is
//! created before whatever function takes or returns it, as with `cdp_bitmap`.

use std::io::Write;

use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::{Datum, FromDatum, IntoDatum};
use pgrx::pg_sys;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};

use super::{TYPE_NAME, slices};
use crate::error::CdpError;
use crate::pg::varlena::{self, Detoasted, Kept};

/// An index on its way to SQL: canonical bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Bsi(Vec<u8>);

impl Bsi {
    /// Bytes from outside: checked in full. `Err` says what is wrong with them; the caller picks the SQLSTATE.
    pub fn from_untrusted(bytes: &[u8]) -> Result<Self, slices::Error> {
        slices::canonical(bytes).map(Self)
    }

    /// Bytes that this extension wrote or has checked; not checked again.
    pub fn from_canonical(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Writes the value into PostgreSQL's current memory context.
    fn write(self) -> Result<pg_sys::Datum, CdpError> {
        varlena::write(self.0.len(), TYPE_NAME, |payload| payload.write_all(&self.0))
            .map_err(|error| error.or_hint("Split the index by ranges of its ids."))
    }
}

/// An index from SQL: the bytes, in place or in a copy that goes when this does.
pub struct BsiBytes<'a>(Detoasted<'a>);

impl BsiBytes<'_> {
    /// The canonical bytes: see [`slices`] for what can be asked of them directly.
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    /// The bytes for as long as a set-returning function runs; see [`Detoasted::keep`].
    pub fn keep(self) -> Kept {
        self.0.keep()
    }
}

// SAFETY: both Rust types stand for the SQL type `cdp_bsi`, which `io.rs` creates under the identity of `Bsi`.
unsafe impl SqlTranslatable for Bsi {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Bsi);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::ThisExtension;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal(TYPE_NAME));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal(TYPE_NAME)));
}

// SAFETY: as above.
unsafe impl SqlTranslatable for BsiBytes<'_> {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(Bsi);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::ThisExtension;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal(TYPE_NAME));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal(TYPE_NAME)));
}

impl FromDatum for BsiBytes<'_> {
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _type: pg_sys::Oid) -> Option<Self> {
        // SAFETY: a datum of type `cdp_bsi` is a varlena, and it outlives the call it is an argument of.
        (!is_null).then(|| BsiBytes(unsafe { Detoasted::new(datum) }))
    }
}

// SAFETY: the datum is of type `cdp_bsi` because the SQL declaration says so.
unsafe impl<'fcx> ArgAbi<'fcx> for BsiBytes<'fcx> {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the caller's promise.
        match unsafe { arg.unbox_arg_using_from_datum() } {
            Some(bsi) => bsi,
            None => CdpError::null_value("argument of type cdp_bsi must not be null").raise(),
        }
    }
}

impl IntoDatum for Bsi {
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
     WHERE e.extname OPERATOR(pg_catalog.=) 'pg_cdp' AND t.typname OPERATOR(pg_catalog.=) 'cdp_bsi'";

// SAFETY: the datum is a complete value of type `cdp_bsi` in the memory context of the call.
unsafe impl BoxRet for Bsi {
    unsafe fn box_into<'fcx>(self, call: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        match self.write() {
            // SAFETY: as above.
            Ok(datum) => unsafe { call.return_raw_datum(datum) },
            Err(error) => error.raise(),
        }
    }
}

/// A [`Bsi`] returned by the input functions, which exist before the type is complete.
pub struct ShellBsi(pub Bsi);

/// A [`BsiBytes`] taken by the output functions, which exist before the type is complete.
pub struct ShellBsiBytes<'a>(pub BsiBytes<'a>);

// SAFETY: the SQL type is `cdp_bsi`. It is called external so that the functions come before CREATE TYPE and not after
// it; they require the shell type by name.
unsafe impl SqlTranslatable for ShellBsi {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(ShellBsi);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal(TYPE_NAME));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal(TYPE_NAME)));
}

// SAFETY: as above.
unsafe impl SqlTranslatable for ShellBsiBytes<'_> {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(ShellBsi);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal(TYPE_NAME));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal(TYPE_NAME)));
}

// SAFETY: as for `Bsi`.
unsafe impl BoxRet for ShellBsi {
    unsafe fn box_into<'fcx>(self, call: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: as for `Bsi`.
        unsafe { self.0.box_into(call) }
    }
}

// SAFETY: as for `BsiBytes`.
unsafe impl<'fcx> ArgAbi<'fcx> for ShellBsiBytes<'fcx> {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: as for `BsiBytes`.
        ShellBsiBytes(unsafe { BsiBytes::unbox_arg_unchecked(arg) })
    }
}
