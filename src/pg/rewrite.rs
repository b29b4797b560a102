//! Changing columns of rows of an ordinary table, or deleting rows, without a query: as in [`super::append`], each index gets its entries in the order of its keys. A key that stays what
//! it is is not asked whether it is the only one: the row that had it is the row that has it. A row that stays in its block with all its keys needs no entries.

use super::append::{self, Column, Index, Shape};
use super::scan::{self, Condition, Table};
use super::varlena::Detoasted;
use crate::error::CdpError;
use crate::guc;
use pgrx::{PgMemoryContexts, pg_sys};

/// How rows are found and what is changed; columns count from 1.
pub struct Change<'a> {
    /// The table, as its changed rows see it.
    pub shape: Shape<'a>,
    /// A unique index on one bigint column.
    pub index: &'a str,
    /// That column.
    pub key: usize,
    /// What is changed.
    pub what: What,
    /// Rows in which this column is not NULL are left to a statement.
    pub unless: usize,
}

/// What the value given for a row does.
#[derive(Debug, Clone, Copy)]
pub enum What {
    /// It becomes that of a bigint column.
    Set(usize),
    /// It is a span of time, which two timestamptz columns, first and last, come to hold.
    Widen(usize, usize),
}

impl What {
    /// Enters it among the values of a row, and which of them change.
    fn apply<const N: usize>(
        self,
        [new, until]: [i64; 2],
        values: &mut [pg_sys::Datum; N],
        nulls: &mut [bool; N],
    ) -> [bool; N] {
        let is = |column: usize| values[column - 1].value() as i64;
        let moves = match self {
            // Nothing changes for a column that has the value.
            Self::Set(column) => [(column, new, nulls[column - 1] || is(column) != new), (column, new, false)],
            Self::Widen(first, last) => [(first, new, new < is(first)), (last, until, is(last) < until)],
        };
        let mut changed = [false; N];
        for (column, value, _) in moves.into_iter().filter(|(.., moves)| *moves) {
            let nth = column - 1;
            (values[nth], nulls[nth], changed[nth]) = (pg_sys::Datum::from(value), false, true);
        }
        changed
    }

    /// The columns that may change, from 1.
    fn columns(self) -> [usize; 2] {
        match self {
            Self::Set(column) => [column; 2],
            Self::Widen(first, last) => [first, last],
        }
    }
}

/// A row and its new value.
#[derive(Debug, Clone, Copy)]
pub struct New {
    /// The key of the row.
    pub key: i64,
    /// The value; of a span its two ends.
    pub values: [i64; 2],
    /// Where this transaction has read the row, if it has: it is looked for there first.
    pub place: Option<pg_sys::ItemPointerData>,
}

/// The values of a column that some rows have.
enum Kept {
    Int8(Vec<Option<i64>>),
    Int4(Vec<i32>),
    Text(Vec<String>),
}

/// Gives rows new values. Gives those that a statement has to change: which another transaction has changed meanwhile, or that are excepted. `None`: nothing was done, because a
/// statement has to do it all.
pub fn rewrite(schema: &str, change: &Change, rows: &[New]) -> Result<Option<Vec<New>>, CdpError> {
    if !guc::direct_write() || !guc::direct_read() {
        return Ok(None);
    }
    let Some(columns) = change.shape.columns.and_then(|columns| i32::try_from(columns).ok()) else { return Ok(None) };
    let Some(table) = Table::with_columns(schema, change.shape.name, columns) else { return Ok(None) };
    let by_key = table.whole_index(change.index);
    table.close();
    let (Some(by_key), Some(oid)) = (by_key, super::names::relation(schema, change.shape.name)) else {
        return Ok(None);
    };
    // SAFETY: the relation is opened and closed here, its indexes in between; an error that is raised closes both with the (sub)transaction.
    unsafe {
        let relation = pg_sys::table_open(oid, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE);
        let plain = append::is_plain(relation, &change.shape, columns as usize, pg_sys::ACL_UPDATE);
        let indexes = if plain { append::open_indexes(relation, &change.shape) } else { None };
        let left = match &indexes {
            Some(indexes) => match kept(relation, indexes) {
                Some(kept) => {
                    let (left, places, kept) = heap(schema, relation, by_key, change, rows, kept)?;
                    entries(relation, indexes, change, &kept, &places);
                    pg_sys::CommandCounterIncrement();
                    Some(left)
                }
                None => None,
            },
            None => None,
        };
        indexes.into_iter().flatten().for_each(Index::close);
        pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        Ok(left)
    }
}

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
                pg_sys::TEXTOID if append::is_never_null(table, column + 1) => Kept::Text(Vec::new()),
                _ => return None,
            },
        ));
    }
    Some(kept)
}

/// What became of the rows: those that are left, the places of the new versions, and what indexes want of them.
type Rewritten = (Vec<New>, Vec<pg_sys::ItemPointerData>, Vec<(usize, Kept)>);

/// So many rows are changed before the memory that they took is given back.
const AT_ONCE: usize = 1000;

/// Writes new versions of the rows.
///
/// # Safety
/// The relation is open, and `by_key` one of its indexes.
unsafe fn heap(
    schema: &str,
    relation: pg_sys::Relation,
    by_key: u32,
    change: &Change,
    rows: &[New],
    mut kept: Vec<(usize, Kept)>,
) -> Result<Rewritten, CdpError> {
    let (mut left, mut places) = (Vec::new(), Vec::with_capacity(rows.len()));
    let mut memory = PgMemoryContexts::new("rows to be changed");
    scan::now(|| {
        let Some(table) = Table::open(schema, change.shape.name) else {
            return Err(CdpError::internal("a table cannot be read any more"));
        };
        let mut lookup = None;
        for some in rows.chunks(AT_ONCE) {
            pgrx::check_for_interrupts!();
            for row in some {
                let mut write = |old| {
                    // SAFETY: what is made of a row lives until the memory is given back, after its last use; the caller's promise.
                    match unsafe { memory.switch_to(|_| version(relation, change, old, row.values, &mut kept)) }? {
                        Written::Elsewhere(place) => places.push(place),
                        Written::Here => {}
                        Written::Not => left.push(*row),
                    }
                    Ok(())
                };
                // SAFETY: the caller's promise; a snapshot is active while the table is read.
                if unsafe { there(relation, change, row, &mut write)? } {
                    continue;
                }
                let is = [Condition::Int8Is(change.key as i16, row.key)];
                match &mut lookup {
                    Some(lookup) => lookup,
                    None => lookup.insert(table.lookup(by_key, &is)?),
                }
                .first_tuple(&is, write)?;
            }
            // SAFETY: nothing of it is used any more.
            unsafe { memory.reset() };
        }
        if let Some(lookup) = lookup {
            lookup.close();
        }
        table.close();
        Ok(())
    })?;
    Ok((left, places, kept))
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
                    lookup.first_tuple(&[Condition::Int8Is(KEY, *key)], |row| {
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
        let mut null = false;
        let key = pg_sys::heap_getattr(&mut tuple, change.key as i32, (*relation).rd_att, &mut null);
        let same = !null && key.value() as i64 == row.key;
        if same {
            write(&mut tuple)?;
        }
        pg_sys::ReleaseBuffer(buffer);
        Ok(same)
    }
}

/// The most columns of a table whose rows are changed here.
const MOST_COLUMNS: usize = 12;

/// What became of a row.
enum Written {
    /// It has what it should have, and its entries lead there.
    Here,
    /// Its new version is at this place, to which no entry leads.
    Elsewhere(pg_sys::ItemPointerData),
    /// It could not be written.
    Not,
}

/// Writes a new version of a row, and takes note of what indexes want of it if it needs entries.
///
/// # Safety
/// The relation is open, and the row is one of its rows, whose block is held.
unsafe fn version(
    relation: pg_sys::Relation,
    change: &Change,
    old: pg_sys::HeapTuple,
    new: [i64; 2],
    kept: &mut [(usize, Kept)],
) -> Result<Written, CdpError> {
    let width = change.shape.columns.unwrap_or(MOST_COLUMNS);
    let [one, other] = change.what.columns();
    if width > MOST_COLUMNS || one.max(other).max(change.unless) > width {
        return Err(CdpError::internal("a table with so many columns is not written directly"));
    }
    let mut values = [pg_sys::Datum::from(0usize); MOST_COLUMNS];
    let mut nulls = [false; MOST_COLUMNS];
    // SAFETY: the arrays hold the columns of the table, as was checked when it was opened.
    unsafe {
        let shape = (*relation).rd_att;
        pg_sys::heap_deform_tuple(old, shape, values.as_mut_ptr(), nulls.as_mut_ptr());
        if nulls.get(change.unless - 1) == Some(&false) {
            return Ok(Written::Not);
        }
        let mut changed = change.what.apply(new, &mut values, &mut nulls);
        if !changed.contains(&true) {
            return Ok(Written::Here);
        }
        let new = pg_sys::heap_modify_tuple(old, shape, values.as_mut_ptr(), nulls.as_mut_ptr(), changed.as_mut_ptr());
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
            return Ok(Written::Not);
        }
        if (*(*new).t_data).t_infomask2 & (pg_sys::HEAP_ONLY_TUPLE as u16) != 0 {
            return Ok(Written::Here);
        }
        for (column, kept) in kept {
            let (value, null) = (values[*column], nulls[*column]);
            match kept {
                Kept::Int8(all) => all.push((!null).then(|| value.value() as i64)),
                Kept::Int4(all) => all.push(value.value() as i32),
                Kept::Text(all) => {
                    let text = Detoasted::new(value);
                    let text = std::str::from_utf8(text.bytes());
                    all.push(text.map_err(|_| CdpError::corrupted("a text is not UTF-8"))?.to_owned());
                }
            }
        }
        Ok(Written::Elsewhere((*new).t_self))
    }
}

/// Gives the indexes the entries of the new versions.
///
/// # Safety
/// Relation and indexes are open.
unsafe fn entries(
    relation: pg_sys::Relation,
    indexes: &[Index],
    change: &Change,
    kept: &[(usize, Kept)],
    places: &[pg_sys::ItemPointerData],
) {
    let mut texts: Vec<Vec<&str>> = Vec::new();
    for (_, kept) in kept {
        texts.push(if let Kept::Text(all) = kept { all.iter().map(String::as_str).collect() } else { Vec::new() });
    }
    let mut columns = vec![Column::Null; change.shape.columns.unwrap_or(0)];
    for ((column, kept), texts) in kept.iter().zip(&texts) {
        if let Some(slot) = columns.get_mut(*column) {
            *slot = match kept {
                Kept::Int8(all) => Column::Int8OrNull(all),
                Kept::Int4(all) => Column::Int4(all),
                Kept::Text(_) => Column::Text(texts),
            };
        }
    }
    for index in indexes.iter().filter(|_| !places.is_empty()) {
        let check = index.unique && change.what.columns().iter().any(|column| index.columns.contains(&(column - 1)));
        // SAFETY: the caller's promise; the columns were made of the rows at these places.
        unsafe { append::fill(relation, index, &columns, places, check) };
    }
}
