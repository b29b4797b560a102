//! What a query gives, read in place: a row is taken apart once, and its texts are lent. For the many rows of a batch, of which each value by itself would cost more to ask for than to use.

use super::spi;
use super::varlena::Detoasted;
use crate::error::CdpError;
use pgrx::datum::{DatumWithOid, TimestampWithTimeZone};
use pgrx::pg_sys;
use std::ffi::CString;

/// A row of what a query gives. Columns are counted from 1; the query gives them in the types that are asked for.
pub struct Tuple {
    values: Vec<pg_sys::Datum>,
    nulls: Vec<bool>,
}

impl Tuple {
    /// Calls `read` for each row of the table of SPI, until it says no. Returns whether it never did.
    ///
    /// # Safety
    /// The statement that SPI ran last is of a connection that lasts through the call.
    unsafe fn each(mut read: impl FnMut(&Self) -> Result<bool, CdpError>) -> Result<bool, CdpError> {
        // SAFETY: its rows are in this table until the connection ends or another statement runs in it; `read` runs others, if any, in connections of their own. A row is taken apart into as
        // many places as it has columns; what its values point to lives as long as the row.
        unsafe {
            let Some(table) = pg_sys::SPI_tuptable.as_ref() else {
                return Err(CdpError::internal("a query gives no rows"));
            };
            let (count, width) = (table.numvals as usize, (*table.tupdesc).natts as usize);
            let mut tuple = Self { values: vec![pg_sys::Datum::from(0usize); width], nulls: vec![true; width] };
            for nth in 0..count {
                let row = *table.vals.add(nth);
                let (values, nulls) = (tuple.values.as_mut_ptr(), tuple.nulls.as_mut_ptr());
                pg_sys::heap_deform_tuple(row, table.tupdesc, values, nulls);
                if !read(&tuple)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
    }

    /// A value that is not NULL.
    fn value(&self, column: usize) -> Option<pg_sys::Datum> {
        let null = self.nulls.get(column.wrapping_sub(1)).copied().unwrap_or(true);
        if null { None } else { self.values.get(column.wrapping_sub(1)).copied() }
    }

    /// A bigint that is never NULL.
    ///
    /// # Errors
    /// When it is.
    pub fn int8(&self, column: usize) -> Result<i64, CdpError> {
        let value = self.value(column).map(|value| value.value() as i64);
        value.ok_or_else(|| CdpError::internal(format!("column {column} of a query is null")))
    }

    /// A timestamptz.
    ///
    /// # Errors
    /// None: infinite ones are times too.
    pub fn time(&self, column: usize) -> Result<Option<TimestampWithTimeZone>, CdpError> {
        let value = self.value(column).map(|value| TimestampWithTimeZone::try_from(value.value() as i64));
        value.transpose().map_err(|_| CdpError::internal(format!("column {column} of a query is no time")))
    }

    /// Lends a text; `None` when it is NULL.
    ///
    /// # Errors
    /// XX001 when it is not UTF-8.
    pub fn text<T>(&self, column: usize, read: impl FnOnce(&str) -> T) -> Result<Option<T>, CdpError> {
        let Some(value) = self.value(column) else { return Ok(None) };
        // SAFETY: the caller names a column of type text, and the row lives as long as this borrow of it.
        let value = unsafe { Detoasted::new(value) };
        let text = std::str::from_utf8(value.bytes()).map_err(|_| CdpError::corrupted("a text is not UTF-8"))?;
        Ok(Some(read(text)))
    }

    /// The bytes of a uuid that is never NULL.
    ///
    /// # Errors
    /// When it is.
    pub fn uuid(&self, column: usize) -> Result<[u8; 16], CdpError> {
        let value =
            self.value(column).ok_or_else(|| CdpError::internal(format!("column {column} of a query is null")))?;
        // SAFETY: the caller names a column of type uuid, which is passed by the address of its 16 bytes; the row lives as long as this borrow of it.
        Ok(unsafe { value.cast_mut_ptr::<[u8; 16]>().read_unaligned() })
    }
}

/// Calls `read` for each row that a query gives. All of them are in memory meanwhile.
pub fn each(
    sql: &str,
    args: &[DatumWithOid],
    mut read: impl FnMut(&Tuple) -> Result<(), CdpError>,
) -> Result<(), CdpError> {
    // SAFETY: the statement has run in the connection that lasts through the call.
    spi::table(sql, args, || unsafe { Tuple::each(|tuple| read(tuple).map(|()| true)) }).map(drop)
}

/// So many rows are in memory at a time.
const FETCHED: std::ffi::c_long = 10_000;

/// As [`each`], with some of the rows in memory at a time, and until `read` says no. Returns whether it never did. An error leaves a cursor open, which the end of the subtransaction closes.
pub fn stream(sql: &str, mut read: impl FnMut(&Tuple) -> Result<bool, CdpError>) -> Result<bool, CdpError> {
    let sql = CString::new(sql).map_err(|_| CdpError::internal("a query has a NUL"))?;
    spi::connected(|| {
        // SAFETY: SPI is connected through the call. Plan and cursor are of this connection; what is fetched is read before it is given back, and the cursor is closed once.
        unsafe {
            let plan = pg_sys::SPI_prepare(sql.as_ptr(), 0, std::ptr::null_mut());
            if plan.is_null() {
                return Err(CdpError::internal("a query cannot be prepared"));
            }
            let none = std::ptr::null_mut();
            let cursor = pg_sys::SPI_cursor_open(std::ptr::null(), plan, none, std::ptr::null(), false);
            let mut more = true;
            loop {
                pgrx::check_for_interrupts!();
                pg_sys::SPI_cursor_fetch(cursor, true, FETCHED);
                let some = pg_sys::SPI_processed > 0;
                more = more && some && Tuple::each(&mut read)?;
                pg_sys::SPI_freetuptable(pg_sys::SPI_tuptable);
                if !some || !more {
                    pg_sys::SPI_cursor_close(cursor);
                    return Ok(!some);
                }
            }
        }
    })
}
