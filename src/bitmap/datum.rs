//! How a set crosses between Rust and SQL.

use std::io::Write;

use pgrx::pg_sys;
use roaring::RoaringTreemap;

use super::{TYPE_NAME, treemap};
use crate::error::CdpError;
use crate::pg::sql_type::varlena_type;
use crate::pg::varlena;

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

varlena_type!("cdp_bitmap", Bitmap, BitmapBytes, StoredBitmap, WorkingBitmap, ShellBitmap, ShellBitmapBytes);

impl BitmapBytes<'_> {
    /// The set in memory.
    pub fn set(&self) -> Result<RoaringTreemap, CdpError> {
        Ok(treemap::decode(self.bytes())?)
    }
}
