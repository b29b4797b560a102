//! Moving a span of times in rows of an ordinary table whose places are known, without a query: each row is fetched where it lies and gets a new version, in its page where there is room.
//!
//! As in [`super::append`], a table where a statement would do more than that is not taken.

use super::append::{self, Index, Shape};
use super::scan;
use crate::error::CdpError;
use crate::guc;
use pgrx::{PgMemoryContexts, pg_sys};

/// Where the times are; columns count from 1.
pub struct Span<'a> {
    /// The table, as its changed rows see it.
    pub shape: Shape<'a>,
    /// The bigint column that says which row it is.
    pub key: usize,
    /// The timestamptz column that becomes the earlier of two.
    pub first: usize,
    /// The timestamptz column that becomes the later of two.
    pub last: usize,
    /// Rows in which this column is not NULL are left to a statement.
    pub unless: usize,
}

/// A row with the times that its span is to hold, in microseconds since 2000.
#[derive(Debug, Clone, Copy)]
pub struct Touched {
    /// Where it was found.
    pub place: pg_sys::ItemPointerData,
    /// Its key.
    pub key: i64,
    /// The earlier time.
    pub first: i64,
    /// The later time.
    pub last: i64,
}

/// The most columns of a table whose rows are changed here.
const MOST_COLUMNS: usize = 12;

/// So many rows are changed before the memory that they took is given back.
const AT_ONCE: usize = 1000;

/// Lets the span of each row hold its times. Gives the places in the list of those that a statement has to change: which are not where they were, because another transaction has changed them
/// meanwhile, or that are excepted. `None`: nothing was done, because a statement has to do it all.
pub fn widen(schema: &str, span: &Span, rows: &[Touched]) -> Result<Option<Vec<usize>>, CdpError> {
    if !guc::direct_write() || !guc::direct_read() {
        return Ok(None);
    }
    let width = span.shape.columns.unwrap_or(usize::MAX);
    if width > MOST_COLUMNS || [span.key, span.first, span.last, span.unless].iter().any(|column| *column > width) {
        return Err(CdpError::internal("a table with so many columns is not written directly"));
    }
    let Some(oid) = super::names::relation(schema, span.shape.name) else { return Ok(None) };
    // SAFETY: the relation is opened and closed here, its indexes and the slot in between; an error that is raised closes them with the (sub)transaction.
    unsafe {
        let relation = pg_sys::table_open(oid, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE);
        let plain = append::is_plain(relation, &span.shape, width, pg_sys::ACL_UPDATE);
        let indexes = if plain { append::open_indexes(relation, &span.shape) } else { None };
        let left = match &indexes {
            Some(indexes) if !indexes.iter().any(|index| has_times(index, span)) => {
                let left = scan::now(|| Ok(heap(relation, indexes, span, rows)))?;
                // What comes next sees the rows.
                pg_sys::CommandCounterIncrement();
                Some(left)
            }
            _ => None,
        };
        indexes.into_iter().flatten().for_each(Index::close);
        pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        Ok(left)
    }
}

/// Whether an index is on the times: then each new version wants an entry, and may be refused one.
fn has_times(index: &Index, span: &Span) -> bool {
    index.columns.iter().any(|column| [span.first, span.last].contains(&(column + 1)))
}

/// Writes the new versions; gives the places in the list of the rows that are left.
///
/// # Safety
/// The relation and its indexes are open, and the columns of the span are of its types.
unsafe fn heap(relation: pg_sys::Relation, indexes: &[Index], span: &Span, rows: &[Touched]) -> Vec<usize> {
    let mut left = Vec::new();
    let mut memory = PgMemoryContexts::new("rows to be changed");
    // SAFETY: the slots are made for the relation and dropped here; what is made of a row lives until the memory is given back, after its last use. A snapshot is active, as a statement would
    // have it.
    unsafe {
        let old = pg_sys::table_slot_create(relation, std::ptr::null_mut());
        let new = pg_sys::MakeSingleTupleTableSlot((*relation).rd_att, &raw const pg_sys::TTSOpsHeapTuple);
        for (nth, some) in rows.chunks(AT_ONCE).enumerate() {
            pgrx::check_for_interrupts!();
            for (at, row) in some.iter().enumerate() {
                let mut place = row.place;
                let found =
                    pg_sys::table_tuple_fetch_row_version(relation, &mut place, pg_sys::GetActiveSnapshot(), old);
                if !found || !memory.switch_to(|_| version(relation, indexes, span, old, new, row)) {
                    left.push(nth * AT_ONCE + at);
                }
                pg_sys::ExecClearTuple(old);
                pg_sys::ExecClearTuple(new);
            }
            memory.reset();
        }
        pg_sys::ExecDropSingleTupleTableSlot(old);
        pg_sys::ExecDropSingleTupleTableSlot(new);
    }
    left
}

/// Writes the new version of a row, if its times move; `false`: that was not possible.
///
/// # Safety
/// The slot `old` holds a row of the relation, whose block is held.
unsafe fn version(
    relation: pg_sys::Relation,
    indexes: &[Index],
    span: &Span,
    old: *mut pg_sys::TupleTableSlot,
    new: *mut pg_sys::TupleTableSlot,
    row: &Touched,
) -> bool {
    let mut values = [pg_sys::Datum::from(0usize); MOST_COLUMNS];
    let mut nulls = [false; MOST_COLUMNS];
    let mut changed = [false; MOST_COLUMNS];
    // SAFETY: the arrays hold the columns of the table, as was checked when it was opened.
    unsafe {
        let shape = (*relation).rd_att;
        let tuple = pg_sys::ExecFetchSlotHeapTuple(old, false, std::ptr::null_mut());
        pg_sys::heap_deform_tuple(tuple, shape, values.as_mut_ptr(), nulls.as_mut_ptr());
        let (key, first, last) = (span.key - 1, span.first - 1, span.last - 1);
        // Another row may lie there by now.
        if values[key].value() as i64 != row.key || !nulls[span.unless - 1] || nulls[first] || nulls[last] {
            return false;
        }
        for (column, time, moves) in [
            (first, row.first, row.first < values[first].value() as i64),
            (last, row.last, row.last > values[last].value() as i64),
        ] {
            if moves {
                (values[column], changed[column]) = (pg_sys::Datum::from(time), true);
            }
        }
        if !changed[first] && !changed[last] {
            return true;
        }
        let next =
            pg_sys::heap_modify_tuple(tuple, shape, values.as_mut_ptr(), nulls.as_mut_ptr(), changed.as_mut_ptr());
        let mut failure = pg_sys::TM_FailureData::default();
        let mut mode = pg_sys::LockTupleMode::LockTupleNoKeyExclusive;
        let command = pg_sys::GetCurrentCommandId(true);
        let (mut place, none) = ((*tuple).t_self, std::ptr::null_mut());
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        let result = pg_sys::heap_update(relation, &mut place, next, command, none, true, &mut failure, &mut mode);
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        let result = {
            let mut all = pg_sys::TU_UpdateIndexes::TU_None;
            pg_sys::heap_update(relation, &mut place, next, command, none, true, &mut failure, &mut mode, &mut all)
        };
        if result != pg_sys::TM_Result::TM_Ok {
            return false;
        }
        // One that found no room in its page wants entries of its own.
        if (*(*next).t_data).t_infomask2 & (pg_sys::HEAP_ONLY_TUPLE as u16) == 0 {
            pg_sys::ExecStoreHeapTuple(next, new, false);
            let mut place = (*next).t_self;
            indexes.iter().for_each(|index| index.enter_same(relation, new, &mut place));
        }
        true
    }
}
