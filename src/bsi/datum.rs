//! How an index crosses between Rust and SQL.

use std::io::Write;

use pgrx::pg_sys;

use super::{TYPE_NAME, slices};
use crate::error::CdpError;
use crate::pg::sql_type::varlena_type;
use crate::pg::varlena;

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

varlena_type!("cdp_bsi", Bsi, BsiBytes, StoredBsi, WorkingBsi, ShellBsi, ShellBsiBytes);
