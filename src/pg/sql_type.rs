//! How a variable-length type of the extension crosses between Rust and SQL.
//!
//! Several Rust types stand for the one SQL type: an owned result, written once into PostgreSQL's memory; an argument that is read
//! in place or fetched whole; an argument that is fetched piece by piece. A function of any module may take or return them;
//! the type is then created before the function, with nothing to declare.

/// Declares those Rust types for the SQL type `$name`: the result `$owned`, which the caller defines with a method
/// `write(self) -> Result<Datum, CdpError>`; the arguments `$bytes` and `$stored`; the state `$working` of an aggregate; and `$shell_owned`,
/// `$shell_bytes` for the input and output functions, which exist before the type is complete.
macro_rules! varlena_type {
    ($name:literal, $owned:ident, $bytes:ident, $stored:ident, $working:ident, $shell_owned:ident, $shell_bytes:ident) => {
        /// A value from SQL: the canonical bytes, in place or in a copy that goes when this does.
        pub struct $bytes<'a>($crate::pg::varlena::Detoasted<'a>);

        impl $bytes<'_> {
            /// The bytes: the format module says what can be asked of them directly.
            pub fn bytes(&self) -> &[u8] {
                self.0.bytes()
            }

            /// The bytes for as long as a set-returning function runs; see [`keep`](crate::pg::varlena::Detoasted::keep).
            pub fn keep(self) -> $crate::pg::varlena::Kept {
                self.0.keep()
            }
        }

        /// A value from SQL that is not fetched before it is asked for.
        pub struct $stored<'a>($crate::pg::varlena::Stored<'a>);

        impl<'a> $stored<'a> {
            /// Answers a question from parts of the value; `None` when it should be read as a whole: it is short, compressed or in memory.
            pub fn ask<T>(
                &self,
                call: pgrx::pg_sys::FunctionCallInfo,
                question: impl FnOnce(&mut $crate::pg::pieces::Pieces) -> T,
            ) -> Option<T> {
                // SAFETY: functions of the extension take their call from PostgreSQL, and do not use its `fn_extra` themselves.
                unsafe { self.0.ask(call, question) }
            }

            /// The whole value.
            pub fn whole(&self) -> $bytes<'a> {
                $bytes(self.0.whole())
            }
        }

        /// A value that an aggregate works on, on its way back to PostgreSQL.
        pub struct $working(pub $crate::pg::expanded::Working);

        impl $working {
            /// The state after one more step. `input` is what the step brings: without it, the state stays as it is. `read` makes the first
            /// state of a stored value, `change` brings the input in.
            ///
            /// # Errors
            /// Those of `read` and `change`.
            pub fn step<T: $crate::pg::expanded::Expand, I>(
                call: pgrx::pg_sys::FunctionCallInfo,
                state: Option<$stored<'_>>,
                input: Option<I>,
                read: impl FnOnce(Option<&[u8]>) -> Result<T, $crate::error::CdpError>,
                change: impl FnOnce(&mut T, I) -> Result<(), $crate::error::CdpError>,
            ) -> Result<Option<Self>, $crate::error::CdpError> {
                use $crate::pg::expanded::Working;
                let state = state.map(|state| state.0);
                let Some(input) = input else { return Ok(state.as_ref().map(Working::unchanged).map(Self)) };
                Working::change(call, state.as_ref(), read, |value| change(value, input)).map(Self).map(Some)
            }
        }

        /// The result of the input functions, which exist before the type is complete.
        pub struct $shell_owned(pub $owned);

        /// The argument of the output functions, which exist before the type is complete.
        pub struct $shell_bytes<'a>(pub $bytes<'a>);

        const _: () = {
            use pgrx::callconv::{Arg, ArgAbi, BoxRet, FcInfo};
            use pgrx::datum::{Datum, FromDatum, IntoDatum};
            use pgrx::pg_sys;
            use pgrx::pgrx_sql_entity_graph::metadata::{
                ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
            };

            use $crate::error::CdpError;
            use $crate::pg::varlena::{Detoasted, Stored};

            // Those of the shell types are called external so that the functions come before CREATE TYPE and not after it; they require
            // the shell type by name.
            macro_rules! translate {
                ($rust:ty, $identity:ty, $origin:ident) => {
                    // SAFETY: the SQL type is the one that the module creates under the identity of its owned type.
                    unsafe impl SqlTranslatable for $rust {
                        const TYPE_IDENT: &'static str = pgrx::pgrx_resolved_type!($identity);
                        const TYPE_ORIGIN: TypeOrigin = TypeOrigin::$origin;
                        const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal($name));
                        const RETURN_SQL: Result<ReturnsRef, ReturnsError> =
                            Ok(ReturnsRef::One(SqlMappingRef::literal($name)));
                    }
                };
            }
            translate!($owned, $owned, ThisExtension);
            translate!($bytes<'_>, $owned, ThisExtension);
            translate!($stored<'_>, $owned, ThisExtension);
            translate!($working, $owned, ThisExtension);
            translate!($shell_owned, $shell_owned, External);
            translate!($shell_bytes<'_>, $shell_owned, External);

            impl FromDatum for $bytes<'_> {
                unsafe fn from_polymorphic_datum(
                    datum: pg_sys::Datum,
                    is_null: bool,
                    _type: pg_sys::Oid,
                ) -> Option<Self> {
                    // SAFETY: a datum of the type is a varlena, and it outlives the call it is an argument of.
                    (!is_null).then(|| Self(unsafe { Detoasted::new(datum) }))
                }
            }

            impl FromDatum for $stored<'_> {
                unsafe fn from_polymorphic_datum(
                    datum: pg_sys::Datum,
                    is_null: bool,
                    _type: pg_sys::Oid,
                ) -> Option<Self> {
                    // SAFETY: as above.
                    (!is_null).then(|| Self(unsafe { Stored::new(datum) }))
                }
            }

            // SAFETY: the datum is of the type because the SQL declaration says so.
            unsafe impl<'fcx> ArgAbi<'fcx> for $bytes<'fcx> {
                unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
                    // SAFETY: the caller's promise.
                    unsafe { arg.unbox_arg_using_from_datum() }.unwrap_or_else(|| {
                        CdpError::null_value(concat!("argument of type ", $name, " must not be null")).raise()
                    })
                }
            }

            // SAFETY: as above.
            unsafe impl<'fcx> ArgAbi<'fcx> for $stored<'fcx> {
                unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
                    // SAFETY: the caller's promise.
                    unsafe { arg.unbox_arg_using_from_datum() }.unwrap_or_else(|| {
                        CdpError::null_value(concat!("argument of type ", $name, " must not be null")).raise()
                    })
                }
            }

            // SAFETY: as above.
            unsafe impl<'fcx> ArgAbi<'fcx> for $shell_bytes<'fcx> {
                unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> Self {
                    // SAFETY: the caller's promise.
                    Self(unsafe { $bytes::unbox_arg_unchecked(arg) })
                }
            }

            impl IntoDatum for $owned {
                fn into_datum(self) -> Option<pg_sys::Datum> {
                    Some(self.write().unwrap_or_else(|error| error.raise()))
                }

                /// The type's oid, looked up in the extension's schema: it changes when the extension is created anew.
                fn type_oid() -> pg_sys::Oid {
                    // One row always, because of the aggregate.
                    let found = pgrx::Spi::get_one::<pg_sys::Oid>(concat!(
                        "SELECT pg_catalog.max(t.oid) FROM pg_catalog.pg_type t ",
                        "JOIN pg_catalog.pg_extension e ON e.extnamespace OPERATOR(pg_catalog.=) t.typnamespace ",
                        "WHERE e.extname OPERATOR(pg_catalog.=) 'pg_cdp' AND t.typname OPERATOR(pg_catalog.=) '",
                        $name,
                        "'"
                    ));
                    found.ok().flatten().unwrap_or(pg_sys::InvalidOid)
                }
            }

            // SAFETY: the datum is a complete value of the type in the memory context of the call.
            unsafe impl BoxRet for $owned {
                unsafe fn box_into<'fcx>(self, call: &mut FcInfo<'fcx>) -> Datum<'fcx> {
                    match self.write() {
                        // SAFETY: as above.
                        Ok(datum) => unsafe { call.return_raw_datum(datum) },
                        Err(error) => error.raise(),
                    }
                }
            }

            // SAFETY: the datum is what came in, or an object in the memory context of the aggregate.
            unsafe impl BoxRet for $working {
                unsafe fn box_into<'fcx>(self, call: &mut FcInfo<'fcx>) -> Datum<'fcx> {
                    // SAFETY: as above.
                    unsafe { call.return_raw_datum(self.0.datum()) }
                }
            }

            // SAFETY: as above.
            unsafe impl BoxRet for $shell_owned {
                unsafe fn box_into<'fcx>(self, call: &mut FcInfo<'fcx>) -> Datum<'fcx> {
                    // SAFETY: as above.
                    unsafe { self.0.box_into(call) }
                }
            }
        };
    };
}

pub(crate) use varlena_type;
