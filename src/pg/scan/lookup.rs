//! Looking rows up by an index, one set of conditions after the other.

use super::row::MOST_COLUMNS;
use super::{Condition, Row, Table};
use crate::error::CdpError;
use pgrx::pg_sys;

const FORWARD: pg_sys::ScanDirection::Type = pg_sys::ScanDirection::ForwardScanDirection;

/// Looks rows up by an index: see [`Table::lookup`].
pub struct Lookup<'t> {
    table: &'t Table,
    index: pg_sys::Relation,
    scan: pg_sys::IndexScanDesc,
    slot: *mut pg_sys::TupleTableSlot,
    keys: Vec<pg_sys::ScanKeyData>,
}

impl Table {
    /// Prepares to look rows up by an index, one set of conditions after the other: the same as [`rows`](Self::rows) for each of them, begun once. The conditions of all are on the columns of
    /// `like`.
    pub fn lookup(&self, index: u32, like: &[Condition]) -> Result<Lookup<'_>, CdpError> {
        // SAFETY: the relation is open.
        let columns = unsafe { (*(*self.relation).rd_att).natts };
        if usize::try_from(columns).is_ok_and(|columns| columns > MOST_COLUMNS) {
            return Err(CdpError::internal("a table with so many columns is not read directly"));
        }
        let mut keys: Vec<pg_sys::ScanKeyData> = like.iter().map(|c| self.key(c)).collect();
        // SAFETY: the index is one of the table's; scan, slot and index are closed by close(), or by the abort of the (sub)transaction when an error is raised.
        unsafe {
            let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
            let opened = pg_sys::index_open(pg_sys::Oid::from(index), lock);
            let form = (*opened).rd_index;
            let count = usize::try_from((*form).indnkeyatts).unwrap_or(0);
            let numbers = (*form).indkey.values.as_slice(count);
            // A scan of an index counts its columns, and not the table's.
            for key in &mut keys {
                let Some(nth) = numbers.iter().position(|number| *number == key.sk_attno) else {
                    pg_sys::index_close(opened, lock);
                    return Err(CdpError::internal("an index lacks a column to look rows up by"));
                };
                key.sk_attno = nth as i16 + 1;
            }
            let (snapshot, width) = (pg_sys::GetActiveSnapshot(), keys.len() as i32);
            #[cfg(feature = "pg18")]
            let scan = pg_sys::index_beginscan(self.relation, opened, snapshot, std::ptr::null_mut(), width, 0);
            #[cfg(not(feature = "pg18"))]
            let scan = pg_sys::index_beginscan(self.relation, opened, snapshot, width, 0);
            let slot = pg_sys::table_slot_create(self.relation, std::ptr::null_mut());
            Ok(Lookup { table: self, index: opened, scan, slot, keys })
        }
    }
}

impl Lookup<'_> {
    /// Calls `read` with each visible row that meets the conditions, which are like those it was prepared with, for as long as it wants another one.
    pub fn rows_while(
        &mut self,
        conditions: &[Condition],
        mut read: impl FnMut(&Row) -> Result<bool, CdpError>,
    ) -> Result<(), CdpError> {
        let (table, slot) = (self.table, self.slot);
        self.slots_while(conditions, || {
            // SAFETY: the slot holds a row of the table while it is read.
            let row = unsafe {
                let tuple = pg_sys::ExecFetchSlotHeapTuple(slot, false, std::ptr::null_mut());
                table.row(tuple)
            };
            read(&row)
        })
    }

    /// As [`rows`](Self::rows), for many rows: each block is looked at once for all of its rows, as a bitmap scan does. They come in the order of their places.
    pub fn many_rows(
        &mut self,
        conditions: &[Condition],
        mut read: impl FnMut(&Row) -> Result<(), CdpError>,
    ) -> Result<(), CdpError> {
        let mut places: Vec<(u32, u16)> = Vec::new();
        self.scan_while(conditions, |scan| {
            // SAFETY: the scan is open; a place is read before the next one.
            unsafe {
                loop {
                    let place = pg_sys::index_getnext_tid(scan, FORWARD);
                    let Some(place) = place.as_ref() else { return Ok(()) };
                    places.push(pgrx::itemptr::item_pointer_get_both(*place));
                    if places.len().is_multiple_of(1024) {
                        pgrx::check_for_interrupts!();
                    }
                }
            }
        })?;
        // Those of one key are in this order already.
        places.sort_unstable();
        let table = self.table;
        let mut found: Vec<pg_sys::HeapTupleData> = Vec::new();
        for some in places.chunk_by(|a, b| a.0 == b.0) {
            pgrx::check_for_interrupts!();
            let Some((block, _)) = some.first() else { continue };
            found.clear();
            // SAFETY: the block is held while its rows are read, and locked while it is looked which of them the snapshot sees. An error gives it back with the (sub)transaction.
            unsafe {
                let (relation, snapshot) = (table.relation, pg_sys::GetActiveSnapshot());
                let buffer = pg_sys::ReadBuffer(relation, *block);
                pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
                for (_, offset) in some {
                    let (mut place, mut tuple) = (pg_sys::ItemPointerData::default(), pg_sys::HeapTupleData::default());
                    pgrx::itemptr::item_pointer_set_all(&mut place, *block, *offset);
                    let none = std::ptr::null_mut();
                    if pg_sys::heap_hot_search_buffer(&mut place, relation, buffer, snapshot, &mut tuple, none, true) {
                        found.push(tuple);
                    }
                }
                pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_UNLOCK as i32);
                let mut result = Ok(());
                for tuple in &mut found {
                    result = read(&table.row(tuple));
                    if result.is_err() {
                        break;
                    }
                }
                pg_sys::ReleaseBuffer(buffer);
                result?;
            }
        }
        Ok(())
    }

    /// As [`rows_while`](Self::rows_while), without a look at the rows.
    pub fn count_while(&mut self, conditions: &[Condition], mut another: impl FnMut() -> bool) -> Result<(), CdpError> {
        self.slots_while(conditions, || Ok(another()))
    }

    /// Whether the index has more than so many entries of rows that meet the conditions, visible or not: if not, there are no more such rows, and nobody has looked at the table.
    pub fn has_more_entries(&mut self, conditions: &[Condition], most: i64) -> Result<bool, CdpError> {
        let mut found = 0;
        self.scan_while(conditions, |scan| {
            // SAFETY: the scan is open.
            while found <= most && unsafe { !pg_sys::index_getnext_tid(scan, FORWARD).is_null() } {
                found += 1;
            }
            Ok(())
        })?;
        Ok(found > most)
    }

    /// Calls `read` with each visible row that meets the conditions in the slot, for as long as it wants another one.
    fn slots_while(
        &mut self,
        conditions: &[Condition],
        mut read: impl FnMut() -> Result<bool, CdpError>,
    ) -> Result<(), CdpError> {
        let slot = self.slot;
        self.scan_while(conditions, |scan| {
            let mut seen = 0u32;
            // SAFETY: scan and slot are open. A row is only read while the slot holds it.
            unsafe {
                while pg_sys::index_getnext_slot(scan, FORWARD, slot) {
                    seen = seen.wrapping_add(1);
                    if seen.is_multiple_of(1024) {
                        pgrx::check_for_interrupts!();
                    }
                    if !read()? {
                        break;
                    }
                }
            }
            Ok(())
        })
    }

    /// Calls `read` with the scan, which begins at the first entry that meets the conditions.
    fn scan_while(
        &mut self,
        conditions: &[Condition],
        read: impl FnOnce(pg_sys::IndexScanDesc) -> Result<(), CdpError>,
    ) -> Result<(), CdpError> {
        if conditions.len() != self.keys.len() {
            return Err(CdpError::internal("rows are looked up by other columns than was said"));
        }
        let mut text = std::ptr::null_mut();
        // SAFETY: scan, slot and index are open; a text lives until the next look-up, and the scan copies the keys.
        unsafe {
            for (key, condition) in self.keys.iter_mut().zip(conditions) {
                key.sk_argument = match *condition {
                    Condition::Int4Is(_, value) => pg_sys::Datum::from(value),
                    Condition::Int8Is(_, value)
                    | Condition::Int8AtLeast(_, value)
                    | Condition::Int8AtMost(_, value) => pg_sys::Datum::from(value),
                    Condition::TextIs(_, value) => {
                        text = pg_sys::cstring_to_text_with_len(value.as_ptr().cast(), value.len() as i32);
                        pg_sys::Datum::from(text)
                    }
                };
            }
            pg_sys::index_rescan(self.scan, self.keys.as_mut_ptr(), self.keys.len() as i32, std::ptr::null_mut(), 0);
            let result = read(self.scan);
            pg_sys::ExecClearTuple(self.slot);
            if !text.is_null() {
                pg_sys::pfree(text.cast());
            }
            result
        }
    }

    /// As [`rows_while`](Self::rows_while), all of them.
    pub fn rows(
        &mut self,
        conditions: &[Condition],
        mut read: impl FnMut(&Row) -> Result<(), CdpError>,
    ) -> Result<(), CdpError> {
        self.rows_while(conditions, |row| read(row).map(|()| true))
    }

    /// The first of them.
    pub fn first<T>(
        &mut self,
        conditions: &[Condition],
        mut read: impl FnMut(&Row) -> Result<T, CdpError>,
    ) -> Result<Option<T>, CdpError> {
        let mut found = None;
        self.rows_while(conditions, |row| {
            found = Some(read(row)?);
            Ok(false)
        })?;
        Ok(found)
    }

    /// Calls `read` with each visible row that meets the conditions as it lies in its block, which is held meanwhile. Between two look-ups a scan keeps what it has allocated in the memory context
    /// of its caller: only `read` may go to another one.
    pub(in crate::pg) fn tuples(
        &mut self,
        conditions: &[Condition],
        mut read: impl FnMut(pg_sys::HeapTuple) -> Result<(), CdpError>,
    ) -> Result<(), CdpError> {
        let slot = self.slot;
        self.slots_while(conditions, || {
            // SAFETY: the slot holds the row while it is read.
            let tuple = unsafe { pg_sys::ExecFetchSlotHeapTuple(slot, false, std::ptr::null_mut()) };
            read(tuple).map(|()| true)
        })
    }

    /// Ends the look-ups; after an error the abort of the (sub)transaction does.
    pub fn close(self) {
        // SAFETY: each was opened by lookup() and is closed once; the lock stays.
        unsafe {
            pg_sys::index_endscan(self.scan);
            pg_sys::ExecDropSingleTupleTableSlot(self.slot);
            pg_sys::index_close(self.index, pg_sys::NoLock as pg_sys::LOCKMODE);
        }
    }
}
