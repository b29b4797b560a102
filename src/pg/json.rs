//! jsonb as text. pgrx's own JSON type raises an internal error for documents nested deeper than serde_json reads; this one leaves the text to
//! whoever reads it.

use crate::error::CdpError;
use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
use pgrx::datum::{Datum, FromDatum, IntoDatum};
use pgrx::pg_sys;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use std::ffi::{CStr, CString};

/// A jsonb value, as its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonText(String);

impl JsonText {
    /// A document that PostgreSQL printed.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The document.
    ///
    /// # Errors
    /// 22023 when it nests deeper than 127 levels.
    pub fn parse(&self) -> Result<serde_json::Value, CdpError> {
        serde_json::from_str(&self.0).map_err(|e| {
            CdpError::invalid_parameter(format!("the document cannot be read: {e}"))
                .with_hint("Nest it less deeply: 127 levels at most.")
        })
    }
}

// SAFETY: the SQL type is PostgreSQL's own jsonb.
unsafe impl SqlTranslatable for JsonText {
    const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!(JsonText);
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}

impl FromDatum for JsonText {
    unsafe fn from_polymorphic_datum(datum: pg_sys::Datum, is_null: bool, _type: pg_sys::Oid) -> Option<Self> {
        if is_null {
            return None;
        }
        // SAFETY: the datum is a jsonb, whose output function returns a NUL-terminated string in the current memory context.
        let text = unsafe {
            let printed: *mut std::ffi::c_char = pg_sys::OidOutputFunctionCall(pg_sys::Oid::from(F_JSONB_OUT), datum);
            let text = CStr::from_ptr(printed).to_string_lossy().into_owned();
            pg_sys::pfree(printed.cast());
            text
        };
        Some(Self(text))
    }
}

impl IntoDatum for JsonText {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        let text = CString::new(self.0).ok()?;
        // SAFETY: jsonb_in takes a NUL-terminated string, which lives through the call.
        Some(unsafe {
            pg_sys::OidInputFunctionCall(
                pg_sys::Oid::from(F_JSONB_IN),
                text.as_ptr().cast_mut(),
                pg_sys::InvalidOid,
                -1,
            )
        })
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::JSONBOID
    }
}

/// pg_proc.oid of jsonb_in(): fixed in every version.
const F_JSONB_IN: u32 = 3806;
/// pg_proc.oid of jsonb_out(): fixed in every version.
const F_JSONB_OUT: u32 = 3804;

// SAFETY: the argument is unboxed by FromDatum above.
unsafe impl<'fcx> ArgAbi<'fcx> for JsonText {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
        // SAFETY: the caller guarantees that the argument is of the declared type; a NULL never gets here, as functions with such
        // an argument are strict.
        unsafe { arg.unbox_arg_using_from_datum() }.unwrap_or_else(|| Self("null".to_owned()))
    }
}

// SAFETY: the result is boxed by IntoDatum above.
unsafe impl BoxRet for JsonText {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        match self.into_datum() {
            // SAFETY: the datum is a jsonb in the current memory context.
            Some(datum) => unsafe { fcinfo.return_raw_datum(datum) },
            None => fcinfo.return_null(),
        }
    }
}
