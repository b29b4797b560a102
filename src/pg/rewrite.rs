//! Changing columns of rows of an ordinary table, or deleting rows, without a query: as in [`super::append`], each index gets its entries in the order of its keys. A key that stays what
//! it is is not asked whether it is the only one: the row that had it is the row that has it. A row that stays in its block with all its keys needs no entries, and a partial index gets
//! those of the rows that meet its condition.

use super::append::{self, Column, Index, Shape};
use super::scan::{self, Condition, Table};
use super::varlena::Detoasted;
use crate::error::CdpError;
use crate::guc;
use pgrx::{PgMemoryContexts, pg_sys};

/// How rows are found and what is changed; columns count from 1.
pub struct Change<'a> {
    /// The table.
    pub shape: Shape<'a>,
    /// An index of all its rows.
    pub index: &'a str,
    /// The first of its columns, one or two, bigints that are never NULL.
    pub key: &'a [usize],
    /// The columns that may change.
    pub columns: &'a [usize],
}

/// What the columns that may change come to hold.
#[derive(Debug, Clone, Copy)]
pub enum To<'a> {
    /// A bigint, and two timestamptz after it, first and last, that come to hold a span of time if there is one.
    Number(i64, Option<[i64; 2]>),
    /// The bigint stays, and the two timestamptz after it come to hold a span of time.
    Seen([i64; 2]),
    /// A bigint, or NULL; a boolean after it is no longer true when it is one.
    NumberOrNull(Option<i64>),
    /// A text, and another one or NULL.
    Texts(&'a str, Option<&'a str>),
}

/// A row and its new values.
#[derive(Debug, Clone, Copy)]
pub struct New<'a> {
    /// The key of the row; of a key of one column the second is not asked for.
    pub key: [i64; 2],
    /// The values.
    pub to: To<'a>,
    /// Where this transaction has read the row, if it has, and no other row has the key: it is looked for there first.
    pub place: Option<pg_sys::ItemPointerData>,
}

impl New<'_> {
    /// Enters the values among those of a row; gives which of them change. What is made for it lives in the current memory context.
    fn apply<const N: usize>(
        &self,
        columns: &[usize],
        values: &mut [pg_sys::Datum; N],
        nulls: &mut [bool; N],
    ) -> [bool; N] {
        let mut changed = [false; N];
        let mut set = |nth: usize, is: &dyn Fn(pg_sys::Datum) -> bool, new: Option<pg_sys::Datum>| {
            let Some(column) = columns.get(nth).map(|column| column - 1) else { return };
            let same = if nulls[column] { new.is_none() } else { new.is_some() && is(values[column]) };
            if !same {
                (values[column], nulls[column]) = (new.unwrap_or(pg_sys::Datum::from(0usize)), new.is_none());
                changed[column] = true;
            }
        };
        let number = |is: i64| move |value: pg_sys::Datum| value.value() as i64 == is;
        let not_after = |at: i64| move |value: pg_sys::Datum| value.value() as i64 <= at;
        let not_before = |at: i64| move |value: pg_sys::Datum| value.value() as i64 >= at;
        let text = |is: &str| {
            let is = is.to_owned();
            // SAFETY: the column is a text, says the caller of rewrite().
            move |value: pg_sys::Datum| unsafe { Detoasted::new(value) }.bytes() == is.as_bytes()
        };
        match self.to {
            To::Number(new, span) => {
                set(0, &number(new), Some(new.into()));
                if let Some([first, last]) = span {
                    set(1, &not_after(first), Some(first.into()));
                    set(2, &not_before(last), Some(last.into()));
                }
            }
            To::Seen([first, last]) => {
                set(1, &not_after(first), Some(first.into()));
                set(2, &not_before(last), Some(last.into()));
            }
            To::NumberOrNull(new) => {
                set(0, &number(new.unwrap_or(0)), new.map(Into::into));
                if new.is_some() {
                    set(1, &|value| value.value() & 0xff == 0, Some(false.into()));
                }
            }
            To::Texts(one, other) => {
                set(0, &text(one), Some(append::text(one)));
                set(1, &text(other.unwrap_or_default()), other.map(append::text));
            }
        }
        changed
    }
}

/// The values of a column that some rows have.
enum Kept {
    Int8(Vec<Option<i64>>),
    Int4(Vec<i32>),
    Text(Texts),
}

/// Texts one after the other.
#[derive(Default)]
struct Texts {
    all: String,
    /// Where each ends, if it is not NULL.
    ends: Vec<Option<usize>>,
}

impl Texts {
    fn push(&mut self, text: Option<&str>) {
        self.all.push_str(text.unwrap_or_default());
        self.ends.push(text.map(|_| self.all.len()));
    }

    fn each(&self) -> Vec<Option<&str>> {
        let mut begin = 0;
        let text = |end: &Option<usize>| self.all.get(std::mem::replace(&mut begin, (*end)?)..(*end)?);
        self.ends.iter().map(text).collect()
    }
}

/// Gives rows new values. Gives those that a statement has to change, because another transaction has changed them meanwhile. `None`: nothing was done, because a statement has to
/// do it all.
pub fn rewrite<'n>(schema: &str, change: &Change, rows: &[New<'n>]) -> Result<Option<Vec<New<'n>>>, CdpError> {
    if !guc::direct_write() || !guc::direct_read() {
        return Ok(None);
    }
    if rows.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let Some(columns) = change.shape.columns.filter(|columns| *columns <= MOST_COLUMNS) else { return Ok(None) };
    let Some(table) = Table::with_columns(schema, change.shape.name, columns as i32) else { return Ok(None) };
    let Some(by_key) = table.whole_index(change.index) else {
        table.close();
        return Ok(None);
    };
    // SAFETY: the relation is opened and closed here, its indexes in between; an error that is raised closes both with the (sub)transaction.
    unsafe {
        let relation = pg_sys::table_open(table.oid().into(), pg_sys::RowExclusiveLock as pg_sys::LOCKMODE);
        let plain = append::is_plain(relation, &change.shape, columns, pg_sys::ACL_UPDATE);
        let indexes = if plain { append::open_indexes(relation, None) } else { None };
        let indexes = indexes.unwrap_or_default();
        let left = match kept(relation, &indexes).filter(|_| (1..=MOST_INDEXES).contains(&indexes.len())) {
            Some(kept) => {
                let (left, written) = heap(&table, relation, by_key, change, rows, &indexes, kept)?;
                entries(relation, &indexes, change, &written);
                pg_sys::CommandCounterIncrement();
                Some(left)
            }
            None => None,
        };
        indexes.into_iter().for_each(Index::close);
        pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        table.close();
        Ok(left)
    }
}

/// The most indexes of a table whose rows are changed here.
const MOST_INDEXES: usize = 32;

/// Room for the values that indexes want, by column from 0; `None`: one wants a value of a type that is not known here.
///
/// # Safety
/// The relation is open.
unsafe fn kept(relation: pg_sys::Relation, indexes: &[Index]) -> Option<Vec<(usize, Kept)>> {
    let mut kept: Vec<(usize, Kept)> = Vec::new();
    for column in indexes.iter().flat_map(|index| &index.columns) {
        if kept.iter().any(|(known, _)| known == column) {
            continue;
        }
        // SAFETY: a look-up in a cache of the catalogue.
        let (table, ty) = unsafe { ((*relation).rd_id, pg_sys::get_atttype((*relation).rd_id, *column as i16 + 1)) };
        kept.push((
            *column,
            match ty {
                pg_sys::INT8OID => Kept::Int8(Vec::new()),
                pg_sys::INT4OID if append::is_never_null(table, column + 1) => Kept::Int4(Vec::new()),
                pg_sys::TEXTOID => Kept::Text(Texts::default()),
                _ => return None,
            },
        ));
    }
    Some(kept)
}

/// New versions of rows that need entries.
struct Versions {
    /// Where they are.
    places: Vec<pg_sys::ItemPointerData>,
    /// The indexes that have them, a bit for each.
    indexes: Vec<u32>,
    /// What the indexes want of them, by column from 0.
    kept: Vec<(usize, Kept)>,
}

/// So many rows are changed before the memory that they took is given back.
const AT_ONCE: usize = 1000;

/// Writes new versions of the rows; gives the rows that are left, and the versions that need entries.
///
/// # Safety
/// The table is the relation, both are open, and `by_key` is one of its indexes.
unsafe fn heap<'n>(
    table: &Table,
    relation: pg_sys::Relation,
    by_key: u32,
    change: &Change,
    rows: &[New<'n>],
    indexes: &[Index],
    kept: Vec<(usize, Kept)>,
) -> Result<(Vec<New<'n>>, Versions), CdpError> {
    let mut left = Vec::new();
    let mut written =
        Versions { places: Vec::with_capacity(rows.len()), indexes: Vec::with_capacity(rows.len()), kept };
    let mut memory = PgMemoryContexts::new("rows to be changed");
    scan::now(|| {
        let mut lookup = None;
        for some in rows.chunks(AT_ONCE) {
            pgrx::check_for_interrupts!();
            let mut elsewhere: Vec<&New<'n>> = Vec::new();
            // SAFETY: what is made of rows lives until the memory is given back, after its last use; the caller's promise, and a snapshot is active while the table is read.
            unsafe {
                memory.switch_to(|_| {
                    for row in some {
                        let mut write = |old| {
                            if !version(relation, change, old, row, indexes, &mut written)? {
                                left.push(*row);
                            }
                            Ok(())
                        };
                        if !there(relation, change, row, &mut write)? {
                            elsewhere.push(row);
                        }
                    }
                    Ok::<(), CdpError>(())
                })?;
            }
            for row in elsewhere {
                let write = |old| {
                    // SAFETY: as above. A look-up keeps what it allocates in the memory of the caller.
                    if !unsafe { memory.switch_to(|_| version(relation, change, old, row, indexes, &mut written)) }? {
                        left.push(*row);
                    }
                    Ok(())
                };
                let is = |column: usize, key| Condition::Int8Is(column as i16, key);
                let is: Vec<Condition> = change.key.iter().zip(row.key).map(|(column, key)| is(*column, key)).collect();
                match &mut lookup {
                    Some(lookup) => lookup,
                    None => lookup.insert(table.lookup(by_key, &is)?),
                }
                .tuples(&is, write)?;
            }
            // SAFETY: nothing of it is used any more.
            unsafe { memory.reset() };
        }
        if let Some(lookup) = lookup {
            lookup.close();
        }
        Ok(())
    })?;
    Ok((left, written))
}

/// Deletes the rows with these keys, values of the first column, of which `index` is the unique index. Gives the keys of those that a statement has to delete: which another transaction has
/// changed meanwhile. `None`: nothing was done, because a statement has to do it all.
pub fn delete(schema: &str, shape: &Shape, index: &str, keys: &[i64]) -> Result<Option<Vec<i64>>, CdpError> {
    const KEY: i16 = 1;
    if !guc::direct_write() || !guc::direct_read() {
        return Ok(None);
    }
    let Some(table) = Table::open(schema, shape.name) else { return Ok(None) };
    let by_key = table.whole_index(index);
    table.close();
    let (Some(by_key), Some(oid)) = (by_key, super::names::relation(schema, shape.name)) else {
        return Ok(None);
    };
    // SAFETY: the relation is opened and closed here; an error that is raised closes it with the (sub)transaction.
    unsafe {
        let relation = pg_sys::table_open(oid, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE);
        let columns = usize::try_from((*(*relation).rd_att).natts).unwrap_or(usize::MAX);
        let plain = columns <= MOST_COLUMNS && append::is_plain(relation, shape, columns, pg_sys::ACL_DELETE);
        let mut left = Vec::new();
        if plain {
            scan::now(|| {
                let Some(table) = Table::open(schema, shape.name) else {
                    return Err(CdpError::internal("a table cannot be read any more"));
                };
                let mut lookup = table.lookup(by_key, &[Condition::Int8Is(KEY, 0)])?;
                for (nth, key) in keys.iter().enumerate() {
                    if nth.is_multiple_of(AT_ONCE) {
                        pgrx::check_for_interrupts!();
                    }
                    lookup.tuples(&[Condition::Int8Is(KEY, *key)], |row| {
                        let mut failure = pg_sys::TM_FailureData::default();
                        let (mut place, none) = ((*row).t_self, std::ptr::null_mut());
                        let command = pg_sys::GetCurrentCommandId(true);
                        let result =
                            pg_sys::heap_delete(relation, &mut place, command, none, true, &mut failure, false);
                        if result != pg_sys::TM_Result::TM_Ok {
                            left.push(*key);
                        }
                        Ok(())
                    })?;
                }
                lookup.close();
                table.close();
                Ok(())
            })?;
            pg_sys::CommandCounterIncrement();
        }
        pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        Ok(plain.then_some(left))
    }
}

/// Calls `write` with a row that is still where it was read; `false`: it is not, or nobody has said where that was.
///
/// # Safety
/// The relation is open, and a snapshot is active.
unsafe fn there(
    relation: pg_sys::Relation,
    change: &Change,
    row: &New,
    write: &mut impl FnMut(pg_sys::HeapTuple) -> Result<(), CdpError>,
) -> Result<bool, CdpError> {
    let Some(place) = row.place else { return Ok(false) };
    let mut tuple = pg_sys::HeapTupleData { t_self: place, ..Default::default() };
    let mut buffer = pg_sys::InvalidBuffer as pg_sys::Buffer;
    // SAFETY: the lock that reading the table took keeps the block there. The block of a row that is visible is held until it is given back below, or by the abort of the (sub)transaction.
    unsafe {
        let snapshot = pg_sys::GetActiveSnapshot();
        #[cfg(feature = "pg14")]
        let visible = pg_sys::heap_fetch(relation, snapshot, &mut tuple, &mut buffer);
        #[cfg(not(feature = "pg14"))]
        let visible = pg_sys::heap_fetch(relation, snapshot, &mut tuple, &mut buffer, false);
        if !visible {
            return Ok(false);
        }
        let same = change.key.iter().zip(row.key).all(|(column, key)| {
            let mut null = false;
            let is = pg_sys::heap_getattr(&mut tuple, *column as i32, (*relation).rd_att, &mut null);
            !null && is.value() as i64 == key
        });
        if same {
            write(&mut tuple)?;
        }
        pg_sys::ReleaseBuffer(buffer);
        Ok(same)
    }
}

/// The most columns of a table whose rows are changed here.
const MOST_COLUMNS: usize = 12;

/// Writes a new version of a row if it has other values than it should have, and takes note of what indexes want of it if it needs entries; `false`: it could not be written.
///
/// # Safety
/// The relation and its indexes are open, and the row is one of its rows, whose block is held.
unsafe fn version(
    relation: pg_sys::Relation,
    change: &Change,
    old: pg_sys::HeapTuple,
    new: &New,
    indexes: &[Index],
    written: &mut Versions,
) -> Result<bool, CdpError> {
    let width = change.shape.columns.unwrap_or(0);
    if change.columns.iter().any(|column| !(1..=width).contains(column)) {
        return Err(CdpError::internal("a column is written that a table does not have"));
    }
    let mut values = [pg_sys::Datum::from(0usize); MOST_COLUMNS];
    let mut nulls = [false; MOST_COLUMNS];
    // SAFETY: the arrays hold the columns of the table, as was checked when it was opened.
    unsafe {
        let shape = (*relation).rd_att;
        pg_sys::heap_deform_tuple(old, shape, values.as_mut_ptr(), nulls.as_mut_ptr());
        let changed = new.apply(change.columns, &mut values, &mut nulls);
        if !changed.contains(&true) {
            return Ok(true);
        }
        // What heap_modify_tuple() makes, of values that are at hand.
        let new = pg_sys::heap_form_tuple(shape, values.as_mut_ptr(), nulls.as_mut_ptr());
        (*(*new).t_data).t_ctid = (*(*old).t_data).t_ctid;
        ((*new).t_self, (*new).t_tableOid) = ((*old).t_self, (*old).t_tableOid);
        let mut failure = pg_sys::TM_FailureData::default();
        let mut mode = pg_sys::LockTupleMode::LockTupleExclusive;
        let command = pg_sys::GetCurrentCommandId(true);
        let (mut place, none) = ((*old).t_self, std::ptr::null_mut());
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        let result = pg_sys::heap_update(relation, &mut place, new, command, none, true, &mut failure, &mut mode);
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        let result = {
            let mut indexes = pg_sys::TU_UpdateIndexes::TU_None;
            pg_sys::heap_update(relation, &mut place, new, command, none, true, &mut failure, &mut mode, &mut indexes)
        };
        if result != pg_sys::TM_Result::TM_Ok {
            return Ok(false);
        }
        if (*(*new).t_data).t_infomask2 & (pg_sys::HEAP_ONLY_TUPLE as u16) != 0 {
            return Ok(true);
        }
        let mut has = 0;
        for (nth, index) in indexes.iter().enumerate() {
            if index.predicate.as_ref().is_none_or(|predicate| predicate.holds(&values, &nulls)) {
                has |= 1 << nth;
            }
        }
        for (column, kept) in &mut written.kept {
            let (value, null) = (values[*column], nulls[*column]);
            match kept {
                Kept::Int8(all) => all.push((!null).then(|| value.value() as i64)),
                Kept::Int4(all) => all.push(value.value() as i32),
                Kept::Text(all) if null => all.push(None),
                Kept::Text(all) => {
                    let text = Detoasted::new(value);
                    let text = std::str::from_utf8(text.bytes());
                    all.push(Some(text.map_err(|_| CdpError::corrupted("a text is not UTF-8"))?));
                }
            }
        }
        written.places.push((*new).t_self);
        written.indexes.push(has);
        Ok(true)
    }
}

/// Gives the indexes the entries of the new versions.
///
/// # Safety
/// Relation and indexes are open.
unsafe fn entries(relation: pg_sys::Relation, indexes: &[Index], change: &Change, written: &Versions) {
    if written.places.is_empty() {
        return;
    }
    let mut texts: Vec<Vec<Option<&str>>> = Vec::new();
    for (_, kept) in &written.kept {
        texts.push(if let Kept::Text(all) = kept { all.each() } else { Vec::new() });
    }
    let mut columns = vec![Column::Null; change.shape.columns.unwrap_or(0)];
    for ((column, kept), texts) in written.kept.iter().zip(&texts) {
        if let Some(slot) = columns.get_mut(*column) {
            *slot = match kept {
                Kept::Int8(all) => Column::Int8OrNull(all),
                Kept::Int4(all) => Column::Int4(all),
                Kept::Text(_) => Column::TextOrNull(texts),
            };
        }
    }
    for (nth, index) in indexes.iter().enumerate() {
        let check = index.unique && change.columns.iter().any(|column| index.columns.contains(&(column - 1)));
        let rows = (0u32..).zip(&written.indexes).filter(|(_, has)| *has & (1 << nth) != 0).map(|(row, _)| row);
        // SAFETY: the caller's promise; the columns were made of the rows at these places.
        unsafe { append::fill(relation, index, &columns, &written.places, rows, check) };
    }
}
