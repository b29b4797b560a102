//! A row of a table that is read without a query: its values, and which version of it they are of.

use crate::error::CdpError;
use crate::pg::toast::Pointer;
use crate::pg::varlena::Detoasted;
use pgrx::pg_sys;

/// The most columns a table may have for its values to be read here.
pub(super) const MOST_COLUMNS: usize = 12;

/// One version of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    pub(super) table: u32,
    /// The file: VACUUM FULL and CLUSTER, which move rows without another transaction, write another one.
    pub(super) file: u32,
    pub(super) block: u32,
    pub(super) offset: u16,
    pub(super) xmin: u32,
}

/// Transactions for which a version, or a value it points to, may stand for its contents: places and numbers are given out again, and 32-bit
/// numbers of transactions come round after twice as many.
pub const LIFETIME: u64 = 1 << 31;

impl Version {
    /// Where the row is.
    pub fn place(&self) -> pg_sys::ItemPointerData {
        let mut place = pg_sys::ItemPointerData::default();
        pgrx::itemptr::item_pointer_set_all(&mut place, self.block, self.offset);
        place
    }

    /// The transaction that wrote the row; the number stays when the row is frozen.
    pub fn xmin(&self) -> u32 {
        self.xmin
    }
}

/// A visible row.
pub struct Row {
    pub(super) values: [pg_sys::Datum; MOST_COLUMNS],
    pub(super) nulls: [bool; MOST_COLUMNS],
    pub(super) version: Version,
}

/// A value of variable length.
pub enum Stored {
    /// Its bytes.
    Here(Vec<u8>),
    /// Out of line.
    Elsewhere(Pointer),
}

impl Row {
    /// Which version it is.
    pub fn version(&self) -> Version {
        self.version
    }

    /// A column of type integer, NOT NULL, counted from 1.
    pub fn int4(&self, column: usize) -> i32 {
        self.value(column).value() as i32
    }

    /// A column of type bigint, NOT NULL, counted from 1.
    pub fn int8(&self, column: usize) -> i64 {
        self.value(column).value() as i64
    }

    /// Whether a column, counted from 1, is NULL.
    pub fn is_null(&self, column: usize) -> bool {
        self.nulls.get(column.wrapping_sub(1)).copied().unwrap_or(true)
    }

    /// A column of type bigint, counted from 1.
    pub fn int8_or_null(&self, column: usize) -> Option<i64> {
        (!self.is_null(column)).then(|| self.int8(column))
    }

    /// A column of type boolean, NOT NULL, counted from 1.
    pub fn boolean(&self, column: usize) -> bool {
        self.value(column).value() & 0xff != 0
    }

    /// A column of type real, NOT NULL, counted from 1.
    pub fn float4(&self, column: usize) -> f32 {
        f32::from_bits(self.value(column).value() as u32)
    }

    /// A column of type text, NOT NULL, counted from 1.
    pub fn text(&self, column: usize) -> Result<String, CdpError> {
        self.read_text(column, str::to_owned)
    }

    /// As [`text`](Self::text), without a copy.
    pub fn read_text<T>(&self, column: usize, read: impl FnOnce(&str) -> T) -> Result<T, CdpError> {
        // SAFETY: the caller names a text column that is not NULL, and the scan stands on the row.
        let value = unsafe { Detoasted::new(self.value(column)) };
        std::str::from_utf8(value.bytes()).map(read).map_err(|_| CdpError::corrupted("a text is not UTF-8"))
    }

    /// A column of type text, counted from 1.
    pub fn text_or_null(&self, column: usize) -> Result<Option<String>, CdpError> {
        if self.is_null(column) { Ok(None) } else { self.text(column).map(Some) }
    }

    /// A column of type bytea, NOT NULL, counted from 1.
    pub fn bytes(&self, column: usize) -> Stored {
        let value = self.value(column);
        // SAFETY: the caller names a bytea column that is never NULL, and the scan stands on the row.
        unsafe {
            match Pointer::read(value) {
                Some(pointer) => Stored::Elsewhere(pointer),
                None => Stored::Here(Detoasted::new(value).bytes().to_vec()),
            }
        }
    }

    fn value(&self, column: usize) -> pg_sys::Datum {
        self.values.get(column.wrapping_sub(1)).copied().unwrap_or(pg_sys::Datum::from(0usize))
    }
}
