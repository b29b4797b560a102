//! Adding rows to an ordinary table without a query: what COPY does, from memory. The rows go in page by page, and each index gets its entries in the order of its keys, so that it is
//! walked through once and not searched from the root to another leaf for every row.
//!
//! Nothing that a statement would do besides is left out, because a table where there is any such thing is not taken: triggers, foreign keys, rules, row security, generated
//! columns, indexes on expressions or part of the rows. Uniqueness is checked by the indexes themselves. That the rows meet the CHECK constraints and NOT NULLs of the table is the
//! promise of the caller, who says how many CHECK constraints it knows of.

use crate::error::CdpError;
use crate::guc;
use crate::pg::predicate::Predicate;
use crate::pg::{spi, subtransaction};
use pgrx::{PgList, PgMemoryContexts, pg_sys};
use std::cmp::Ordering;
use std::ffi::{CStr, CString};

/// The values of a column, row by row.
#[derive(Debug, Clone, Copy)]
pub enum Column<'a> {
    /// A bigint, or a timestamptz in microseconds since 2000.
    Int8(&'a [i64]),
    /// One that may be NULL.
    Int8OrNull(&'a [Option<i64>]),
    /// An integer.
    Int4(&'a [i32]),
    /// A text.
    Text(&'a [&'a str]),
    /// One that may be NULL.
    TextOrNull(&'a [Option<&'a str>]),
    /// A uuid.
    Uuid(&'a [[u8; 16]]),
    /// A jsonb, as its text.
    Jsonb(&'a [CString]),
    /// A bytea.
    Bytea(&'a [Vec<u8>]),
    /// A boolean.
    Bool(&'a [bool]),
    /// The same bigint or timestamptz for all.
    EachInt8(i64),
    /// The same integer for all.
    EachInt4(i32),
    /// The same real for all.
    EachFloat4(f32),
    /// The same text for all.
    EachText(&'a str),
    /// The same truth for all.
    EachBool(bool),
    /// NULL for all.
    Null,
}

impl Column<'_> {
    /// The value of a row, in the current memory context.
    fn datum(&self, row: usize) -> Option<pg_sys::Datum> {
        match *self {
            Self::Int8(values) => values.get(row).map(|v| pg_sys::Datum::from(*v)),
            Self::Int8OrNull(values) => values.get(row).copied().flatten().map(pg_sys::Datum::from),
            Self::Int4(values) => values.get(row).map(|v| pg_sys::Datum::from(*v)),
            Self::Text(values) => values.get(row).map(|v| text(v)),
            Self::TextOrNull(values) => values.get(row).copied().flatten().map(text),
            Self::Uuid(values) => values.get(row).map(bytes_of_16),
            Self::Jsonb(values) => values.get(row).map(|v| jsonb(v)),
            Self::Bytea(values) => values.get(row).map(|v| bytea(v)),
            Self::Bool(values) => values.get(row).map(|v| pg_sys::Datum::from(*v)),
            Self::EachInt8(value) => Some(pg_sys::Datum::from(value)),
            Self::EachInt4(value) => Some(pg_sys::Datum::from(value)),
            Self::EachFloat4(value) => Some(pg_sys::Datum::from(value.to_bits())),
            Self::EachText(value) => Some(text(value)),
            Self::EachBool(value) => Some(pg_sys::Datum::from(value)),
            Self::Null => None,
        }
    }

    /// How two rows lie to each other in an index, near enough: any order is right, only slower.
    fn compare(&self, a: usize, b: usize) -> Ordering {
        match *self {
            Self::Int8(values) => values.get(a).cmp(&values.get(b)),
            // NULLs come last.
            Self::Int8OrNull(values) => {
                let key = |row: usize| values.get(row).map(|v| (v.is_none(), *v));
                key(a).cmp(&key(b))
            }
            Self::Int4(values) => values.get(a).cmp(&values.get(b)),
            Self::Text(values) => values.get(a).cmp(&values.get(b)),
            Self::TextOrNull(values) => {
                let key = |row: usize| values.get(row).map(|v| (v.is_none(), *v));
                key(a).cmp(&key(b))
            }
            Self::Uuid(values) => values.get(a).cmp(&values.get(b)),
            _ => Ordering::Equal,
        }
    }

    /// Adds bytes that sort as the value of a row does to those of the columns before, as long as there is room.
    fn add_bytes(&self, row: usize, key: &mut [u8; 16], used: &mut usize) {
        let mut add = |bytes: &[u8]| {
            for (slot, byte) in key.iter_mut().skip(*used).zip(bytes) {
                *slot = *byte;
            }
            *used = (*used + bytes.len()).min(16);
        };
        let int8 = |value: i64| (value as u64 ^ 1 << 63).to_be_bytes();
        match *self {
            Self::Int8(values) => add(&int8(values.get(row).copied().unwrap_or(0))),
            Self::Int8OrNull(values) => match values.get(row).copied().flatten() {
                Some(value) => add(&int8(value)),
                // NULLs come last; what follows is not asked for.
                None => add(&[0xff; 16]),
            },
            Self::Int4(values) => add(&(values.get(row).copied().unwrap_or(0) as u32 ^ 1 << 31).to_be_bytes()),
            Self::Uuid(values) => add(values.get(row).unwrap_or(&[0; 16])),
            Self::Text(values) => {
                add(values.get(row).map_or(&[], |value| value.as_bytes()));
                *used = 16;
            }
            Self::TextOrNull(values) => {
                add(values.get(row).copied().flatten().map_or(&[0xff; 16], |value| value.as_bytes()));
                *used = 16;
            }
            _ => {}
        }
    }
}

/// The first bytes of the key of a row, which most keys differ in, as a number that sorts as they do.
fn first_bytes(keys: &[&Column], row: usize) -> u128 {
    let (mut key, mut used) = ([0; 16], 0);
    keys.iter().for_each(|column| column.add_bytes(row, &mut key, &mut used));
    u128::from_be_bytes(key)
}

pub(super) fn text(value: &str) -> pg_sys::Datum {
    // SAFETY: the bytes are copied into the current memory context.
    pg_sys::Datum::from(unsafe { pg_sys::cstring_to_text_with_len(value.as_ptr().cast(), value.len() as i32) })
}

/// A bytea looks like a text.
fn bytea(value: &[u8]) -> pg_sys::Datum {
    // SAFETY: the bytes are copied into the current memory context.
    pg_sys::Datum::from(unsafe { pg_sys::cstring_to_text_with_len(value.as_ptr().cast(), value.len() as i32) })
}

fn jsonb(value: &CStr) -> pg_sys::Datum {
    // SAFETY: the function of the type reads a NUL-terminated text, which it does not change, and raises an error for one that is no JSON.
    unsafe {
        pg_sys::OidInputFunctionCall(
            pg_sys::Oid::from(pg_sys::F_JSONB_IN),
            value.as_ptr().cast_mut(),
            pg_sys::InvalidOid,
            -1,
        )
    }
}

fn bytes_of_16(value: &[u8; 16]) -> pg_sys::Datum {
    // SAFETY: 16 bytes are copied into 16 that were allocated in the current memory context.
    unsafe {
        let copy = pg_sys::palloc(16);
        std::ptr::copy_nonoverlapping(value.as_ptr(), copy.cast::<u8>(), 16);
        pg_sys::Datum::from(copy)
    }
}

/// A table to which rows are added.
pub struct Shape<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many columns it has; `None`: further ones may follow, which are NULL.
    pub columns: Option<usize>,
    /// How many CHECK constraints it has.
    pub checks: usize,
    /// Its indexes that have no entry for any of the rows.
    pub without: &'a [&'a str],
}

/// So many rows are made at a time: what heap_multi_insert() writes with few WAL records, and what fits into memory whatever they are.
const AT_ONCE: usize = 1000;

/// An index of the table, with the columns it is on, from 0.
pub(super) struct Index {
    relation: pg_sys::Relation,
    info: *mut pg_sys::IndexInfo,
    pub(super) columns: Vec<usize>,
    keys: usize,
    pub(super) unique: bool,
    /// Which rows it has, if it has only some.
    pub(super) predicate: Option<Predicate>,
}

impl Index {
    /// Closes it; the lock stays.
    pub(super) fn close(self) {
        // SAFETY: both were made by open_indexes() and are given back once.
        unsafe {
            pg_sys::pfree(self.info.cast());
            pg_sys::index_close(self.relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        }
    }
}

/// Which table rows are added to, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    /// A table that others may write at the same time.
    Table,
    /// A table that nobody else writes: the first of its rows may come before their entries.
    Own,
    /// A partition, to which all of the rows belong.
    Partition,
}

/// Adds `rows` rows whose columns are given in the order of the table. `false`: nothing was done, because it has to be done by a statement.
pub fn append(schema: &str, shape: &Shape, columns: &[Column], rows: usize) -> Result<bool, CdpError> {
    add(schema, shape, To::Table, columns, rows)
}

/// As [`append`], to a table that nobody else writes until the transaction ends: its indexes may be built anew.
pub fn load(schema: &str, shape: &Shape, columns: &[Column], rows: usize) -> Result<bool, CdpError> {
    add(schema, shape, To::Own, columns, rows)
}

/// Whether so many rows are enough for that.
pub fn may_build(rows: usize) -> bool {
    rows >= BUILD_FROM
}

/// As [`append`], to a partition, to which all of the rows belong.
pub fn append_to_partition(schema: &str, shape: &Shape, columns: &[Column], rows: usize) -> Result<bool, CdpError> {
    add(schema, shape, To::Partition, columns, rows)
}

/// Whether rows with so many columns could be added now.
pub fn is_possible(schema: &str, shape: &Shape, given: usize) -> bool {
    if !guc::direct_write() {
        return false;
    }
    let Some(oid) = super::names::relation(schema, shape.name) else { return false };
    // SAFETY: the relation is opened and closed here, its indexes in between.
    unsafe {
        let relation = pg_sys::table_open(oid, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE);
        let plain = is_plain(relation, shape, given, pg_sys::ACL_INSERT);
        let indexes = if plain { open_indexes(relation, Some(shape)) } else { None };
        let possible = indexes.is_some();
        indexes.into_iter().flatten().for_each(Index::close);
        pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        possible
    }
}

fn add(schema: &str, shape: &Shape, to: To, columns: &[Column], rows: usize) -> Result<bool, CdpError> {
    if !guc::direct_write() {
        return Ok(false);
    }
    if rows == 0 {
        return Ok(true);
    }
    let Some(oid) = super::names::relation(schema, shape.name) else { return Ok(false) };
    // SAFETY: the relation is opened and closed here, its indexes in between; an error that is raised closes both with the (sub)transaction. The values live in a memory context that is
    // emptied only when the rows that use them are written.
    unsafe {
        let lock = pg_sys::RowExclusiveLock as pg_sys::LOCKMODE;
        let relation = pg_sys::table_open(oid, lock);
        let belongs = (*(*relation).rd_rel).relispartition == (to == To::Partition);
        let plain = belongs && is_plain(relation, shape, columns.len(), pg_sys::ACL_INSERT);
        let indexes = if plain { open_indexes(relation, Some(shape)) } else { None };
        let Some(mut indexes) = indexes else {
            pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
            return Ok(false);
        };
        let blocks = pg_sys::RelationGetNumberOfBlocksInFork(relation, pg_sys::ForkNumber::MAIN_FORKNUM);
        let first = to == To::Own && may_build(rows) && rows / ROWS_PER_BLOCK >= blocks as usize * TIMES_MORE;
        let places = heap(relation, columns, rows);
        let mut built = Vec::new();
        if first {
            let oids: Vec<pg_sys::Oid> = indexes.iter().map(|index| (*index.relation).rd_id).collect();
            // Whoever builds an index must be the only one who has it open.
            indexes.into_iter().for_each(Index::close);
            pg_sys::CommandCounterIncrement();
            built = build(oids)?;
            // One that got no entries would answer wrongly ever after.
            indexes = open_indexes(relation, Some(shape))
                .ok_or_else(|| CdpError::internal("the indexes of a table cannot be opened any more"))?;
        }
        for index in indexes {
            if !built.contains(&(*index.relation).rd_id) {
                fill(relation, &index, columns, &places, 0u32.., index.unique);
            }
            index.close();
        }
        // What comes next sees the rows.
        pg_sys::CommandCounterIncrement();
        pg_sys::table_close(relation, pg_sys::NoLock as pg_sys::LOCKMODE);
        Ok(true)
    }
}

/// The first rows of a table, if there are so many, come before the entries of its indexes, which are built of them: sorted all at once, written page by page, by several processes where the server
/// has them.
const BUILD_FROM: usize = 50_000;
/// They are the first ones when there are so many times more of them than there may be already.
const TIMES_MORE: usize = 10;
/// About as many rows lie in a block.
const ROWS_PER_BLOCK: usize = 50;

/// Builds the indexes anew of all rows of their table; gives those that were built. Nobody can plan a query on the table until the transaction ends; there was hardly anything in it to be read.
fn build(indexes: Vec<pg_sys::Oid>) -> Result<Vec<pg_sys::Oid>, CdpError> {
    // Only the owner may.
    let names = spi::rows(
        "SELECT c.oid, c.oid::pg_catalog.regclass::pg_catalog.text FROM pg_catalog.pg_class c WHERE c.oid = ANY ($1) AND pg_has_role(c.relowner, 'USAGE') ORDER BY c.oid",
        &[indexes.into()],
        |row| Ok((spi::must::<pg_sys::Oid>(row, 1)?, spi::must::<String>(row, 2)?)),
    )?;
    let mut built = Vec::with_capacity(names.len());
    for (oid, name) in names {
        match subtransaction::run(|| Ok(spi::run(&format!("REINDEX INDEX {name}"), &[])?)) {
            Ok(_) => built.push(oid),
            // A cursor of the session reads the table: it gets the entries one by one.
            Err(failure) if failure.sqlstate() == "55006" => break,
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok(built)
}

/// Whether a statement that writes into a table, which needs a right to it, would do nothing but write rows and entries.
///
/// # Safety
/// The relation is open.
pub(super) unsafe fn is_plain(relation: pg_sys::Relation, shape: &Shape, given: usize, right: u32) -> bool {
    // SAFETY: the relation is open, and what its entry in the cache points to lives as long as that.
    unsafe {
        let class = &*(*relation).rd_rel;
        let natts = usize::try_from((*(*relation).rd_att).natts).unwrap_or(0);
        let (mut checks, mut generated) = (0, false);
        if let Some(constraints) = (*(*relation).rd_att).constr.as_ref() {
            checks = usize::from(constraints.num_check);
            generated = constraints.has_generated_stored;
        }
        class.relkind == pg_sys::RELKIND_RELATION as std::ffi::c_char
            && class.relam == pg_sys::HEAP_TABLE_AM_OID
            && !class.relhasrules
            && !class.relrowsecurity
            && (*relation).trigdesc.is_null()
            && checks == shape.checks
            && !generated
            && shape.columns.is_none_or(|columns| columns == natts)
            && given <= natts
            && (given..natts).all(|column| is_null_when_left_out((*relation).rd_id, column + 1))
            && pg_sys::pg_class_aclcheck((*relation).rd_id, pg_sys::GetUserId(), right as pg_sys::AclMode)
                == pg_sys::AclResult::ACLCHECK_OK
    }
}

/// Whether a column that an INSERT leaves out is NULL.
fn is_null_when_left_out(table: pg_sys::Oid, column: usize) -> bool {
    // A domain may have a default or a constraint of its own.
    // SAFETY: a look-up in a cache of the catalogue.
    let domain = |ty| unsafe { pg_sys::get_typtype(ty) == pg_sys::TYPTYPE_DOMAIN as std::ffi::c_char };
    attribute(table, column, |form| {
        !form.attnotnull
            && !form.atthasdef
            && form.attidentity == 0
            && form.attgenerated == 0
            && (form.attisdropped || !domain(form.atttypid))
    })
}

/// Whether a column has a value in every row.
pub(super) fn is_never_null(table: pg_sys::Oid, column: usize) -> bool {
    attribute(table, column, |form| form.attnotnull)
}

/// Whether something holds of a column, counted from 1; not of one that there is not.
fn attribute(table: pg_sys::Oid, column: usize, is: impl FnOnce(&pg_sys::FormData_pg_attribute) -> bool) -> bool {
    // SAFETY: an entry of the catalogue's cache is read while it is held.
    unsafe {
        let entry = pg_sys::SearchSysCache2(
            pg_sys::SysCacheIdentifier::ATTNUM as i32,
            pg_sys::Datum::from(table),
            pg_sys::Datum::from(column as i16),
        );
        if entry.is_null() {
            return false;
        }
        let holds = is(&*pg_sys::GETSTRUCT(entry).cast::<pg_sys::FormData_pg_attribute>());
        pg_sys::ReleaseSysCache(entry);
        holds
    }
}

/// The indexes that get entries; `None` when one of them wants more than the values of columns. With a shape those are left out that it has no entry for, and each of the others has every
/// row; without one a partial index comes with its condition.
///
/// # Safety
/// The relation is open.
pub(super) unsafe fn open_indexes(relation: pg_sys::Relation, shape: Option<&Shape>) -> Option<Vec<Index>> {
    let mut without = Vec::new();
    for name in shape.map_or(&[][..], |shape| shape.without) {
        let name = CString::new(*name).ok()?;
        // SAFETY: a catalogue look-up with a NUL-terminated name.
        without.push(unsafe { pg_sys::get_relname_relid(name.as_ptr(), (*(*relation).rd_rel).relnamespace) });
    }
    // SAFETY: the list is a copy; each index is open until it is closed below or by the caller.
    unsafe {
        let list = PgList::<pg_sys::Oid>::from_pg(pg_sys::RelationGetIndexList(relation));
        let mut indexes = Vec::with_capacity(list.len());
        let mut plain = true;
        for oid in list.iter_oid() {
            let opened = pg_sys::index_open(oid, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE);
            let info = pg_sys::BuildIndexInfo(opened);
            let form = &*(*opened).rd_index;
            let count = usize::try_from((*info).ii_NumIndexAttrs).unwrap_or(0);
            let numbers = (*info).ii_IndexAttrNumbers;
            let columns: Vec<usize> =
                numbers.iter().take(count).filter_map(|n| usize::try_from(*n).ok()?.checked_sub(1)).collect();
            let partial = !(*info).ii_Predicate.is_null();
            let empty = partial && without.contains(&oid);
            let predicate = if partial && shape.is_none() { Predicate::of((*info).ii_Predicate) } else { None };
            plain &= empty
                || partial == predicate.is_some()
                    && (*(*opened).rd_rel).relam == pg_sys::BTREE_AM_OID
                    && (*info).ii_Expressions.is_null()
                    && (*info).ii_ExclusionOps.is_null()
                    && (*info).ii_ReadyForInserts
                    && form.indimmediate
                    && columns.len() == count;
            let keys = usize::try_from((*info).ii_NumIndexKeyAttrs).unwrap_or(0);
            let index = Index { relation: opened, info, columns, keys, unique: form.indisunique, predicate };
            if empty {
                pg_sys::index_close(opened, pg_sys::NoLock as pg_sys::LOCKMODE);
            } else {
                indexes.push(index);
            }
            if !plain {
                break;
            }
        }
        if plain {
            return Some(indexes);
        }
        indexes.into_iter().for_each(Index::close);
        None
    }
}

/// Memory for values: that of the caller for a few, else one of its own that is emptied time and again.
enum Memory {
    OfCaller,
    Own(PgMemoryContexts),
}

impl Memory {
    fn of(rows: usize) -> Self {
        if rows < 50 { Self::OfCaller } else { Self::Own(PgMemoryContexts::new("rows to be added")) }
    }

    /// # Safety
    /// What `body` allocates is not used after the next [`reset`](Self::reset).
    unsafe fn within(&mut self, body: impl FnOnce()) {
        match self {
            Self::OfCaller => body(),
            // SAFETY: the caller's promise.
            Self::Own(memory) => unsafe { memory.switch_to(|_| body()) },
        }
    }

    /// # Safety
    /// See [`within`](Self::within).
    unsafe fn reset(&mut self) {
        if let Self::Own(memory) = self {
            // SAFETY: the caller's promise.
            unsafe { memory.reset() };
        }
    }
}

/// Writes the rows; gives their places.
///
/// # Safety
/// The relation is open, a plain heap, and the columns are of its types.
unsafe fn heap(relation: pg_sys::Relation, columns: &[Column], rows: usize) -> Vec<pg_sys::ItemPointerData> {
    let mut places = Vec::with_capacity(rows);
    let mut memory = Memory::of(rows);
    // SAFETY: the slots are made for the relation and dropped here; their values live in `memory`, which is emptied when the rows are written.
    unsafe {
        let natts = usize::try_from((*(*relation).rd_att).natts).unwrap_or(0);
        let slots: Vec<*mut pg_sys::TupleTableSlot> = (0..rows.min(AT_ONCE))
            .map(|_| pg_sys::MakeSingleTupleTableSlot((*relation).rd_att, &raw const pg_sys::TTSOpsVirtual))
            .collect();
        let mut begin = 0;
        while begin < rows {
            pgrx::check_for_interrupts!();
            let end = rows.min(begin + AT_ONCE);
            memory.within(|| {
                let mut some: Vec<*mut pg_sys::TupleTableSlot> = slots.iter().copied().take(end - begin).collect();
                for (slot, row) in some.iter().zip(begin..end) {
                    pg_sys::ExecClearTuple(*slot);
                    let values = std::slice::from_raw_parts_mut((**slot).tts_values, natts);
                    let nulls = std::slice::from_raw_parts_mut((**slot).tts_isnull, natts);
                    for (nth, (value, null)) in values.iter_mut().zip(nulls.iter_mut()).enumerate() {
                        let datum = columns.get(nth).and_then(|column| column.datum(row));
                        (*value, *null) = (datum.unwrap_or(pg_sys::Datum::from(0usize)), datum.is_none());
                    }
                    pg_sys::ExecStoreVirtualTuple(*slot);
                }
                let command = pg_sys::GetCurrentCommandId(true);
                let count = some.len() as i32;
                pg_sys::heap_multi_insert(relation, some.as_mut_ptr(), count, command, 0, std::ptr::null_mut());
                places.extend(some.iter().map(|slot| (**slot).tts_tid));
            });
            for slot in &slots {
                pg_sys::ExecClearTuple(*slot);
            }
            memory.reset();
            begin = end;
        }
        for slot in slots {
            pg_sys::ExecDropSingleTupleTableSlot(slot);
        }
    }
    places
}

/// Gives an index the entries of some of the rows, in the order of its keys; `check`: each has to be the only one of its key.
///
/// # Safety
/// Relation and index are open, and the columns are of their types.
pub(super) unsafe fn fill(
    relation: pg_sys::Relation,
    index: &Index,
    columns: &[Column],
    places: &[pg_sys::ItemPointerData],
    rows: impl Iterator<Item = u32>,
    check: bool,
) {
    let keys: Vec<&Column> = index.columns.iter().take(index.keys).filter_map(|n| columns.get(*n)).collect();
    let mut order: Vec<(u128, u32)> =
        rows.take(places.len()).map(|row| (first_bytes(&keys, row as usize), row)).collect();
    // An index has equal keys in the order of their places.
    let place = |row: usize| places.get(row).map(|place| (place.ip_blkid.bi_hi, place.ip_blkid.bi_lo, place.ip_posid));
    order.sort_unstable_by(|(first, a), (second, b)| {
        first.cmp(second).then_with(|| {
            let (a, b) = (*a as usize, *b as usize);
            let differ = keys.iter().map(|key| key.compare(a, b)).find(|order| order.is_ne());
            differ.unwrap_or_else(|| place(a).cmp(&place(b)))
        })
    });
    let check =
        if check { pg_sys::IndexUniqueCheck::UNIQUE_CHECK_YES } else { pg_sys::IndexUniqueCheck::UNIQUE_CHECK_NO };
    let mut memory = Memory::of(places.len());
    let mut values = [pg_sys::Datum::from(0usize); pg_sys::INDEX_MAX_KEYS as usize];
    let mut nulls = [false; pg_sys::INDEX_MAX_KEYS as usize];
    for some in order.chunks(AT_ONCE) {
        pgrx::check_for_interrupts!();
        // SAFETY: an entry is made of the values of the row that lies at its place.
        unsafe {
            memory.within(|| {
                for (_, row) in some {
                    let Some(mut place) = places.get(*row as usize).copied() else { continue };
                    for ((column, value), null) in index.columns.iter().zip(&mut values).zip(&mut nulls) {
                        let datum = columns.get(*column).and_then(|column| column.datum(*row as usize));
                        (*value, *null) = (datum.unwrap_or(pg_sys::Datum::from(0usize)), datum.is_none());
                    }
                    pg_sys::index_insert(
                        index.relation,
                        values.as_mut_ptr(),
                        nulls.as_mut_ptr(),
                        &mut place,
                        relation,
                        check,
                        false,
                        index.info,
                    );
                }
            });
            memory.reset();
        }
    }
}
