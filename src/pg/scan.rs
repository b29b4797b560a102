//! Reading an ordinary table through one of its indexes, without a query: no parser, planner or executor between the rows
//! and the reader.
//!
//! The rows are those that the active snapshot sees, exactly as for a query (predicate locks of SERIALIZABLE included).
//! Values that are stored out of line are handed over as pointers, so that a reader may decide not to fetch them.

mod lookup;
mod row;

pub use row::{LIFETIME, Row, Stored, Version};

use super::{spi, transaction};
use crate::error::CdpError;
use crate::guc;
use pgrx::pg_sys;
use row::MOST_COLUMNS;
use std::ffi::CString;

/// A table that is open for reading under an ACCESS SHARE lock, which is kept until the transaction ends.
///
/// It is closed by [`Table::close`]; when an error leaves the reader, the abort of the (sub)transaction closes it.
pub struct Table {
    relation: pg_sys::Relation,
    namespace: pg_sys::Oid,
}

/// One condition on an index column.
#[derive(Debug, Clone, Copy)]
pub enum Condition<'a> {
    /// An integer column equals a number.
    Int4Is(i16, i32),
    /// A bigint column equals a number.
    Int8Is(i16, i64),
    /// A bigint column is at least a number.
    Int8AtLeast(i16, i64),
    /// A bigint column is at most a number.
    Int8AtMost(i16, i64),
    /// A text column equals a text.
    TextIs(i16, &'a str),
}

/// Runs `read` on what a statement would see now: all that this transaction has written so far; of a function that only reads, in one that has written
/// nothing, what the statement that calls it sees.
pub fn now<T>(read: impl FnOnce() -> Result<T, CdpError>) -> Result<T, CdpError> {
    if spi::reading() && !transaction::has_written() || transaction::in_parallel_mode() {
        read()
    } else {
        transaction::on_new_snapshot(read)
    }
}

/// The row versions that a statement would see now in some tables of a schema; `None` when they cannot be looked at directly.
pub fn versions(schema: &str, names: &[&str]) -> Result<Option<Vec<Version>>, CdpError> {
    if !guc::direct_read() {
        return Ok(None);
    }
    now(|| {
        let mut versions = Vec::new();
        for name in names {
            let Some(table) = Table::open(schema, name) else { return Ok(None) };
            table.versions(&mut versions);
            table.close();
        }
        Ok(Some(versions))
    })
}

/// Whether a statement would see any row now in each of some tables of a schema; `None` when they cannot be looked at directly.
pub fn any<const N: usize>(schema: &str, names: &[&str; N]) -> Result<Option<[bool; N]>, CdpError> {
    if !guc::direct_read() {
        return Ok(None);
    }
    now(|| {
        let mut found = [false; N];
        for (any, name) in found.iter_mut().zip(names) {
            let Some(table) = Table::open(schema, name) else { return Ok(None) };
            *any = table.any();
            table.close();
        }
        Ok(Some(found))
    })
}

impl Table {
    /// Opens a table of a schema for the current user. `None` when it has to be read by a query: there is no such plain
    /// heap table, the user may not read all of it, or it has row security.
    pub fn open(schema: &str, name: &str) -> Option<Self> {
        let table = Self::open_readable(schema, name)?;
        // SAFETY: the relation is open.
        let plain = unsafe {
            let class = (*table.relation).rd_rel;
            (*class).relkind == pg_sys::RELKIND_RELATION as std::ffi::c_char
                && (*class).relam == pg_sys::HEAP_TABLE_AM_OID
        };
        if plain {
            return Some(table);
        }
        table.close();
        None
    }

    /// Whether a query of the current user would find every row of a table of any kind. It is locked as by the query.
    pub fn is_readable(schema: &str, name: &str) -> bool {
        Self::open_readable(schema, name).map(Self::close).is_some()
    }

    /// Opens a table that the user may read all of and that has no row security.
    fn open_readable(schema: &str, name: &str) -> Option<Self> {
        let (schema, name) = (CString::new(schema).ok()?, CString::new(name).ok()?);
        // SAFETY: catalogue look-ups with NUL-terminated names; the relation is open between table_open() and the end of
        // the transaction or close(). Who may not use the schema is told so, as by a query.
        unsafe {
            let namespace = pg_sys::LookupExplicitNamespace(schema.as_ptr(), true);
            if namespace == pg_sys::InvalidOid {
                return None;
            }
            let oid = pg_sys::get_relname_relid(name.as_ptr(), namespace);
            if oid == pg_sys::InvalidOid {
                return None;
            }
            let allowed = pg_sys::pg_class_aclcheck(oid, pg_sys::GetUserId(), pg_sys::ACL_SELECT as pg_sys::AclMode);
            if allowed != pg_sys::AclResult::ACLCHECK_OK {
                return None;
            }
            let relation = pg_sys::table_open(oid, pg_sys::AccessShareLock as pg_sys::LOCKMODE);
            let table = Self { relation, namespace };
            if !(*(*relation).rd_rel).relrowsecurity {
                return Some(table);
            }
            table.close();
            None
        }
    }

    /// As [`open`](Self::open), when the table has exactly so many columns: those of whoever adds one are read by queries.
    pub fn with_columns(schema: &str, name: &str, columns: i32) -> Option<Self> {
        let table = Self::open(schema, name)?;
        // SAFETY: the relation is open.
        if unsafe { (*(*table.relation).rd_att).natts } == columns {
            return Some(table);
        }
        table.close();
        None
    }

    /// Closes the table; the lock stays.
    pub fn close(self) {
        // SAFETY: the relation was opened by open() and is closed once.
        unsafe { pg_sys::table_close(self.relation, pg_sys::NoLock as pg_sys::LOCKMODE) }
    }

    /// The table's number.
    pub fn oid(&self) -> u32 {
        // SAFETY: the relation is open.
        unsafe { (*self.relation).rd_id.to_u32() }
    }

    /// The number of an index in the schema of the table, 0 when there is none by this name.
    pub fn index(&self, name: &str) -> u32 {
        let Ok(name) = CString::new(name) else { return 0 };
        // SAFETY: a catalogue look-up with a NUL-terminated name.
        unsafe { pg_sys::get_relname_relid(name.as_ptr(), self.namespace).to_u32() }
    }

    /// The number of an index of this table by which every row that any snapshot sees is found; `None` when there is none by this name.
    pub fn whole_index(&self, name: &str) -> Option<u32> {
        let index = self.index(name);
        if index == 0 {
            return None;
        }
        // SAFETY: an entry of the catalogue's cache is read while it is held.
        unsafe {
            let entry =
                pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::INDEXRELID as i32, pg_sys::Datum::from(index));
            if entry.is_null() {
                return None;
            }
            let form = pg_sys::GETSTRUCT(entry).cast::<pg_sys::FormData_pg_index>();
            let whole = (*form).indrelid.to_u32() == self.oid() && (*form).indisvalid && !(*form).indcheckxmin;
            pg_sys::ReleaseSysCache(entry);
            whole.then_some(index)
        }
    }

    /// Which row versions the snapshot sees: their places, and the transactions that wrote them. The same list means the same rows:
    /// a version is never changed, and its place is taken again by another transaction only.
    pub fn versions(&self, into: &mut Vec<Version>) {
        // SAFETY: as in rows(); only the head of a row is read.
        unsafe {
            let (snapshot, none) = (pg_sys::GetActiveSnapshot(), pg_sys::InvalidOid);
            let scan = pg_sys::systable_beginscan(self.relation, none, false, snapshot, 0, std::ptr::null_mut());
            loop {
                let tuple = pg_sys::systable_getnext(scan);
                if tuple.is_null() {
                    break;
                }
                into.push(self.version(tuple));
            }
            pg_sys::systable_endscan(scan);
        }
    }

    /// How many blocks the table has.
    pub fn blocks(&self) -> u32 {
        // SAFETY: the relation is open.
        unsafe { pg_sys::RelationGetNumberOfBlocksInFork(self.relation, pg_sys::ForkNumber::MAIN_FORKNUM) }
    }

    /// Whether the snapshot sees any row.
    pub fn any(&self) -> bool {
        // SAFETY: as in rows(); nothing of the row is read.
        unsafe {
            let (snapshot, none) = (pg_sys::GetActiveSnapshot(), pg_sys::InvalidOid);
            let scan = pg_sys::systable_beginscan(self.relation, none, false, snapshot, 0, std::ptr::null_mut());
            let found = !pg_sys::systable_getnext(scan).is_null();
            pg_sys::systable_endscan(scan);
            found
        }
    }

    /// The version of the last visible row, in the order of an index, of those that meet the conditions.
    pub fn last(&self, index: u32, conditions: &[Condition]) -> Option<Version> {
        if index == 0 {
            return None;
        }
        let mut keys: Vec<pg_sys::ScanKeyData> = conditions.iter().map(|c| self.key(c)).collect();
        // SAFETY: as in rows(); the index is open while the scan lasts.
        unsafe {
            let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
            let opened = pg_sys::index_open(pg_sys::Oid::from(index), lock);
            let scan = pg_sys::systable_beginscan_ordered(
                self.relation,
                opened,
                pg_sys::GetActiveSnapshot(),
                keys.len() as i32,
                keys.as_mut_ptr(),
            );
            let tuple = pg_sys::systable_getnext_ordered(scan, pg_sys::ScanDirection::BackwardScanDirection);
            let version = (!tuple.is_null()).then(|| self.version(tuple));
            pg_sys::systable_endscan_ordered(scan);
            pg_sys::index_close(opened, pg_sys::NoLock as pg_sys::LOCKMODE);
            version
        }
    }

    /// Which version of a row this is.
    ///
    /// # Safety
    /// `tuple` must be a row of this table that a scan stands on.
    unsafe fn version(&self, tuple: pg_sys::HeapTuple) -> Version {
        // SAFETY: the caller's promise.
        unsafe {
            let place = (*tuple).t_self;
            Version {
                table: self.oid(),
                file: (*(*self.relation).rd_rel).relfilenode.to_u32(),
                block: (u32::from(place.ip_blkid.bi_hi) << 16) | u32::from(place.ip_blkid.bi_lo),
                offset: place.ip_posid,
                xmin: u32::from((*(*tuple).t_data).t_choice.t_heap.t_xmin),
            }
        }
    }

    /// The values of a row.
    ///
    /// # Safety
    /// `tuple` must be a row of this table, which has no more than [`MOST_COLUMNS`] columns; its block is held as long as the values are used.
    unsafe fn row(&self, tuple: pg_sys::HeapTuple) -> Row {
        // SAFETY: the caller's promise.
        unsafe {
            let version = self.version(tuple);
            let mut row =
                Row { values: [pg_sys::Datum::from(0usize); MOST_COLUMNS], nulls: [false; MOST_COLUMNS], version };
            let (values, nulls) = (row.values.as_mut_ptr(), row.nulls.as_mut_ptr());
            pg_sys::heap_deform_tuple(tuple, (*self.relation).rd_att, values, nulls);
            row
        }
    }

    /// Calls `read` with each visible row that meets the conditions, which are on columns of the index. Without the index
    /// (0) the whole table is read.
    pub fn rows(
        &self,
        index: u32,
        conditions: &[Condition],
        mut read: impl FnMut(&Row) -> Result<(), CdpError>,
    ) -> Result<(), CdpError> {
        self.rows_while(index, conditions, |row| read(row).map(|()| true))
    }

    /// The first visible row that meets the conditions.
    pub fn first<T>(
        &self,
        index: u32,
        conditions: &[Condition],
        mut read: impl FnMut(&Row) -> Result<T, CdpError>,
    ) -> Result<Option<T>, CdpError> {
        let mut found = None;
        self.rows_while(index, conditions, |row| {
            found = Some(read(row)?);
            Ok(false)
        })?;
        Ok(found)
    }

    /// As [`rows`](Self::rows), for as long as `read` wants another one.
    pub fn rows_while(
        &self,
        index: u32,
        conditions: &[Condition],
        mut read: impl FnMut(&Row) -> Result<bool, CdpError>,
    ) -> Result<(), CdpError> {
        // SAFETY: the relation is open.
        let columns = unsafe { (*(*self.relation).rd_att).natts };
        if usize::try_from(columns).is_ok_and(|columns| columns > MOST_COLUMNS) {
            return Err(CdpError::internal("a table with so many columns is not read directly"));
        }
        let mut keys: Vec<pg_sys::ScanKeyData> = conditions.iter().map(|c| self.key(c)).collect();
        // SAFETY: the relation is open and the index, when there is one, belongs to it (PostgreSQL checks that the columns
        // of the keys are in it). The scan ends on every path that returns; an error that is raised ends it with the
        // transaction. A row is only read while the scan stands on it.
        unsafe {
            let scan = pg_sys::systable_beginscan(
                self.relation,
                pg_sys::Oid::from(index),
                index != 0,
                pg_sys::GetActiveSnapshot(),
                keys.len() as i32,
                keys.as_mut_ptr(),
            );
            let mut result = Ok(());
            let mut seen = 0u32;
            loop {
                let tuple = pg_sys::systable_getnext(scan);
                if tuple.is_null() {
                    break;
                }
                seen = seen.wrapping_add(1);
                if seen.is_multiple_of(1024) {
                    pgrx::check_for_interrupts!();
                }
                match read(&self.row(tuple)) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        result = Err(error);
                        break;
                    }
                }
            }
            pg_sys::systable_endscan(scan);
            result
        }
    }

    /// A condition as PostgreSQL's scans take it.
    fn key(&self, condition: &Condition) -> pg_sys::ScanKeyData {
        let Condition::TextIs(column, text) = *condition else { return number_key(condition) };
        let mut key = pg_sys::ScanKeyData::default();
        // SAFETY: the text is copied into the current memory context, which outlives the scan; the column is one of the table's, whose collation its
        // indexes have too.
        unsafe {
            let value = pg_sys::cstring_to_text_with_len(text.as_ptr().cast(), text.len() as i32);
            let (mut ty, mut modifier, mut collation) = (pg_sys::InvalidOid, -1, pg_sys::InvalidOid);
            pg_sys::get_atttypetypmodcoll((*self.relation).rd_id, column, &mut ty, &mut modifier, &mut collation);
            pg_sys::ScanKeyEntryInitialize(
                &mut key,
                0,
                column,
                pg_sys::BTEqualStrategyNumber as u16,
                pg_sys::InvalidOid,
                collation,
                pg_sys::Oid::from(pg_sys::F_TEXTEQ),
                pg_sys::Datum::from(value),
            );
        }
        key
    }
}

/// A condition on a column of numbers.
fn number_key(condition: &Condition) -> pg_sys::ScanKeyData {
    let (column, strategy, function, value) = match *condition {
        Condition::TextIs(column, _) => {
            (column, pg_sys::BTEqualStrategyNumber, pg_sys::F_TEXTEQ, pg_sys::Datum::from(0usize))
        }
        Condition::Int4Is(column, value) => {
            (column, pg_sys::BTEqualStrategyNumber, pg_sys::F_INT4EQ, pg_sys::Datum::from(value))
        }
        Condition::Int8Is(column, value) => {
            (column, pg_sys::BTEqualStrategyNumber, pg_sys::F_INT8EQ, pg_sys::Datum::from(value))
        }
        Condition::Int8AtLeast(column, value) => {
            (column, pg_sys::BTGreaterEqualStrategyNumber, pg_sys::F_INT8GE, pg_sys::Datum::from(value))
        }
        Condition::Int8AtMost(column, value) => {
            (column, pg_sys::BTLessEqualStrategyNumber, pg_sys::F_INT8LE, pg_sys::Datum::from(value))
        }
    };
    let mut key = pg_sys::ScanKeyData::default();
    // SAFETY: fills in the key given, with a comparison function of PostgreSQL's own for the type of the value.
    unsafe { pg_sys::ScanKeyInit(&mut key, column, strategy as u16, function.into(), value) };
    key
}
