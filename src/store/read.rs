//! Reading the chunks that a program needs: first a list of which there are under the snapshot, then, shard by shard, their bytes.
//!
//! The list holds a few dozen bytes a chunk (and the bytes of chunks that PostgreSQL keeps in the row, up to 2 kB each); the bytes
//! of one shard are in memory at a time, besides the cache. There are two ways to read, with the same answers: straight from the
//! tables ([`crate::pg::scan`], [`crate::pg::toast`]), and by a query, for whoever the tables cannot be opened directly for (row
//! security, privileges on columns, another table access method) and to test the first against.

use super::cache::{Cache, Kept, Key};
use crate::error::CdpError;
use crate::guc;
use crate::pg::scan::{Condition, Stored, Table, Version};
use crate::pg::toast::{self, Paged, Pointer, Reader, Value};
use crate::pg::{spi, transaction};
use crate::workspace::Workspace;
use pg_cdp_core::bitmap::Bytes;
use pg_cdp_core::cells::{Encoding, fold};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

/// Chunks of a column that a slot of a program reads: all whose key is in low..=high.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Index of the slot.
    pub slot: usize,
    /// Number of the column.
    pub column_id: i32,
    /// Smallest key.
    pub low: i64,
    /// Largest key.
    pub high: i64,
}

/// Bytes of a chunk, or of changes to one, before they are read.
enum Place {
    /// In memory.
    Here(Rc<Vec<u8>>),
    /// Out of line, written by a transaction.
    Elsewhere(Pointer, u32),
}

struct Listed {
    shard: i32,
    slot: usize,
    key: i64,
    /// Changes that are not folded yet come after the chunk they belong to.
    delta: bool,
    place: Place,
}

/// Which chunks there are.
pub struct Listing {
    rows: Vec<Listed>,
    /// What a query has to read: nothing when the tables could be read directly.
    by_query: Option<Vec<Wanted>>,
    /// Shards of which a query has rows to give.
    shards: BTreeSet<i32>,
    bytes: usize,
}

/// A chunk, changes folded in.
#[derive(Clone)]
pub enum Chunk {
    /// In memory.
    Here(Rc<Vec<u8>>),
    /// In the pages of the TOAST table, to be read as far as it is needed.
    Paged(Paged),
}

impl Chunk {
    /// The bytes, as programs take them.
    pub fn bytes(&self) -> Bytes<'_> {
        match self {
            Self::Here(bytes) => Bytes::Here(bytes),
            Self::Paged(paged) => Bytes::stored(paged),
        }
    }
}

/// The keys and chunks of each slot of one shard.
pub type Slots = Vec<Vec<(i64, Chunk)>>;

// Columns of `chunk` and `pending`, from 1 (sql/workspace/60_store.sql).
const COLUMN_ID: i16 = 1;
const KEY: i16 = 2;
const SHARD: usize = 3;
const BYTES: usize = 4;

impl Listing {
    /// Lists what is wanted, of the given shards or of all.
    pub fn new(ws: &Workspace, wanted: &[Wanted], shards: Option<&[i32]>) -> Result<Self, CdpError> {
        let mut listing = Self { rows: Vec::new(), by_query: None, shards: BTreeSet::new(), bytes: 0 };
        if wanted.is_empty() {
            return Ok(listing);
        }
        let Some((chunk, pending)) = tables(ws) else {
            let all = spi::rows(&shards_sql(ws, wanted), &[], |row| spi::must::<i32>(row, 1))?;
            listing.shards = all.into_iter().filter(|s| shards.is_none_or(|only| only.contains(s))).collect();
            listing.by_query = Some(wanted.to_vec());
            return Ok(listing);
        };
        if spi::reading() {
            listing.list(&chunk, &pending, wanted, shards)?;
        } else {
            transaction::on_new_snapshot(|| listing.list(&chunk, &pending, wanted, shards))?;
        }
        chunk.close();
        pending.close();
        Ok(listing)
    }

    fn list(
        &mut self,
        chunk: &Table,
        pending: &Table,
        wanted: &[Wanted],
        shards: Option<&[i32]>,
    ) -> Result<(), CdpError> {
        for (table, index, delta) in [(chunk, "chunk_pkey", false), (pending, "pending_column", true)] {
            let index = table.index(index);
            for Wanted { slot, column_id, low, high } in wanted {
                let column = Condition::Int4Is(COLUMN_ID, *column_id);
                let one = [column, Condition::Int8Is(KEY, *low)];
                let range = [column, Condition::Int8AtLeast(KEY, *low), Condition::Int8AtMost(KEY, *high)];
                let conditions: &[Condition] = if low == high { &one } else { &range };
                table.rows(index, conditions, |row| {
                    let shard = row.int4(SHARD);
                    if shards.is_none_or(|only| only.contains(&shard)) {
                        let place = match row.bytes(BYTES) {
                            Stored::Here(bytes) => Place::Here(Rc::new(bytes)),
                            Stored::Elsewhere(pointer) => Place::Elsewhere(pointer, row.version().xmin()),
                        };
                        self.push(Listed { shard, slot: *slot, key: row.int8(KEY as usize), delta, place });
                    }
                    Ok(())
                })?;
            }
        }
        self.rows.sort_by_key(|row| (row.shard, row.slot, row.key, row.delta));
        Ok(())
    }

    fn push(&mut self, row: Listed) {
        self.bytes += match &row.place {
            Place::Here(bytes) => bytes.len(),
            Place::Elsewhere(pointer, _) => pointer.length as usize,
        };
        self.rows.push(row);
    }

    /// Adds bytes that come from elsewhere than the tables of chunks.
    pub fn add(&mut self, slot: usize, shard: i32, key: i64, delta: bool, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        let row = Listed { shard, slot, key, delta, place: Place::Here(Rc::new(bytes)) };
        let at = self.rows.partition_point(|r| (r.shard, r.slot, r.key, r.delta) <= (shard, slot, key, delta));
        self.rows.insert(at, row);
    }

    /// Bytes listed; what a query has to read is not known before.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The shards that there is anything of, ascending.
    pub fn shards(&self) -> Vec<i32> {
        let mut shards = self.shards.clone();
        shards.extend(self.rows.iter().map(|row| row.shard));
        shards.into_iter().collect()
    }

    /// Calls `f` with the bytes of each shard, ascending; `encodings` says how each slot is stored.
    pub fn for_each_shard(
        self,
        ws: &Workspace,
        encodings: &[Encoding],
        mut f: impl FnMut(u32, &Slots) -> Result<(), CdpError>,
    ) -> Result<(), CdpError> {
        let mut loader = Loader { cache: Cache::take(), readers: HashMap::new() };
        let shards = self.shards();
        let mut rows = self.rows.into_iter().peekable();
        for shard in shards {
            let mut here = Vec::new();
            while let Some(row) = rows.next_if(|row| row.shard == shard) {
                here.push(row);
            }
            if let Some(wanted) = &self.by_query {
                here.extend(queried(ws, wanted, shard)?);
                here.sort_by_key(|row| (row.slot, row.key, row.delta));
            }
            let slots = loader.load(&here, encodings)?;
            let number = u32::try_from(shard).map_err(|_| CdpError::corrupted("shard number"))?;
            f(number, &slots)?;
            loader.recycle(slots);
            pgrx::check_for_interrupts!();
        }
        loader.finish();
        Ok(())
    }
}

/// The rows that each of the keys has in a column, chunks and changes, as the snapshot sees them; `None` when they have to be read by a query.
pub fn versions(ws: &Workspace, column_id: i32, keys: &[i64]) -> Result<Option<Vec<Vec<Version>>>, CdpError> {
    let Some((chunk, pending)) = tables(ws) else { return Ok(None) };
    let mut found = Vec::with_capacity(keys.len());
    let mut read = || {
        let indexed = [(&chunk, chunk.index("chunk_pkey")), (&pending, pending.index("pending_column"))];
        for key in keys {
            let mut versions = Vec::new();
            for (table, index) in indexed {
                let conditions = [Condition::Int4Is(COLUMN_ID, column_id), Condition::Int8Is(KEY, *key)];
                table.rows(index, &conditions, |row| {
                    versions.push(row.version());
                    Ok(())
                })?;
            }
            found.push(versions);
        }
        Ok(())
    };
    if spi::reading() {
        read()?
    } else {
        transaction::on_new_snapshot(read)?
    }
    chunk.close();
    pending.close();
    Ok(Some(found))
}

/// The tables of chunks and of changes, when both can be read directly.
fn tables(ws: &Workspace) -> Option<(Table, Table)> {
    if !guc::direct_read() {
        return None;
    }
    let chunk = Table::open(&ws.name, "chunk")?;
    match Table::open(&ws.name, "pending") {
        Some(pending) => Some((chunk, pending)),
        None => {
            chunk.close();
            None
        }
    }
}

/// Gets bytes out of the cache or the TOAST table.
struct Loader {
    cache: Box<Cache>,
    /// The TOAST tables that are open, those of chunks and of changes; `None` for one that is to be read PostgreSQL's way. All stay open until the end:
    /// what is missing of a value is read when it is asked for.
    readers: HashMap<u32, Option<Rc<RefCell<Reader>>>>,
}

impl Loader {
    fn load(&mut self, rows: &[Listed], encodings: &[Encoding]) -> Result<Slots, CdpError> {
        let mut slots: Slots = encodings.iter().map(|_| Vec::new()).collect();
        for group in rows.chunk_by(|a, b| (a.slot, a.key) == (b.slot, b.key)) {
            let Some(first) = group.first() else { continue };
            let (Some(slot), Some(encoding)) = (slots.get_mut(first.slot), encodings.get(first.slot)) else {
                return Err(CdpError::internal("a program has no such slot"));
            };
            let chunk = match group {
                [only] if !only.delta => Some(self.chunk(&only.place)),
                _ => self.folded(*encoding, group)?.map(Chunk::Here),
            };
            slot.extend(chunk.map(|chunk| (first.key, chunk)));
        }
        Ok(slots)
    }

    /// A chunk, if there is one, with the changes that follow it.
    fn folded(&mut self, encoding: Encoding, rows: &[Listed]) -> Result<Option<Rc<Vec<u8>>>, CdpError> {
        let (base, deltas) = match rows {
            [base, deltas @ ..] if !base.delta => (Some(base), deltas),
            deltas => (None, deltas),
        };
        let changes = deltas.iter().map(|delta| self.changes(&delta.place)).collect::<Result<Vec<_>, _>>()?;
        let key = match base.map(|base| &base.place) {
            None => Some(None),
            Some(Place::Elsewhere(pointer, xmin)) => Some(Some((*pointer, *xmin))),
            // What is small enough to be in the row is folded quickly.
            Some(Place::Here(_)) => None,
        };
        let key = key.filter(|_| !self.cache.is_off()).map(|base| Key::Folded(encoding, base, changes.clone()));
        if let Some(bytes) = key.as_ref().and_then(|key| self.cache.made(key)) {
            return Ok(Some(bytes));
        }
        let base = base.map(|base| self.chunk(&base.place));
        let base = base.as_ref().map(|chunk| chunk.bytes().all()).transpose()?;
        let Some(bytes) = fold(encoding, base, changes.iter().map(|bytes| bytes.as_slice()))? else { return Ok(None) };
        let bytes = Rc::new(bytes);
        if let Some(key) = key {
            self.cache.put(key, Kept::Made(Rc::clone(&bytes)));
        }
        Ok(Some(bytes))
    }

    /// The bytes of changes, all of them.
    fn changes(&mut self, place: &Place) -> Result<Rc<Vec<u8>>, CdpError> {
        Ok(match self.chunk(place) {
            Chunk::Here(bytes) => bytes,
            Chunk::Paged(paged) => Rc::new(Bytes::stored(&paged).all()?.to_vec()),
        })
    }

    /// The chunk at a place: what the cache has of it, else nothing yet.
    fn chunk(&mut self, place: &Place) -> Chunk {
        let (pointer, xmin) = match place {
            Place::Here(bytes) => return Chunk::Here(Rc::clone(bytes)),
            Place::Elsewhere(pointer, xmin) => (*pointer, *xmin),
        };
        let Some(reader) = self.reader(pointer.table) else {
            return Chunk::Here(Rc::new(toast::fetch_slowly(pointer)));
        };
        let key = Key::Chunk(pointer, xmin);
        if let Some(Kept::Stored(value)) = self.cache.get(&key) {
            return Chunk::Paged(Paged::new(value, reader));
        }
        // What is going to be kept gets memory of its size; what is not, any that is at hand.
        let memory = if self.cache.is_off() { self.cache.memory(pointer.length as usize) } else { None };
        let value = Rc::new(Value::new(pointer, memory));
        self.cache.put(key, Kept::Stored(Rc::clone(&value)));
        Chunk::Paged(Paged::new(value, reader))
    }

    /// The open TOAST table; `None` when it is to be read PostgreSQL's way.
    fn reader(&mut self, table: u32) -> Option<Rc<RefCell<Reader>>> {
        let places = &mut self.cache.places;
        let open = || Reader::open(table, places.entry(table).or_default()).map(|reader| Rc::new(RefCell::new(reader)));
        self.readers.entry(table).or_insert_with(open).clone()
    }

    fn recycle(&mut self, slots: Slots) {
        if self.cache.is_off() {
            for (_, chunk) in slots.into_iter().flatten() {
                match chunk {
                    Chunk::Here(bytes) => drop(bytes),
                    Chunk::Paged(paged) => {
                        if let Ok(value) = Rc::try_unwrap(paged.into_value()) {
                            self.cache.give(value.into_memory());
                        }
                    }
                }
            }
        }
    }

    fn finish(mut self) {
        for (table, reader) in self.readers.drain() {
            if let Some(reader) = reader {
                self.cache.places.insert(table, reader.borrow_mut().close());
            }
        }
        self.cache.keep();
    }
}

/// The wanted intervals as a FROM item s(slot, column_id, low, high).
fn wanted_sql(wanted: &[Wanted]) -> String {
    let rows: Vec<String> = wanted
        .iter()
        .map(|w| format!("({}, {}, ({})::pg_catalog.int8, ({})::pg_catalog.int8)", w.slot, w.column_id, w.low, w.high))
        .collect();
    format!("(VALUES {}) AS s(slot, column_id, low, high)", rows.join(", "))
}

fn shards_sql(ws: &Workspace, wanted: &[Wanted]) -> String {
    let of = |table: &str| {
        format!(
            "SELECT c.shard FROM {} CROSS JOIN LATERAL (SELECT c.shard FROM @ws@.{table} c \
             WHERE c.column_id = s.column_id AND c.key >= s.low AND c.key <= s.high OFFSET 0) c",
            wanted_sql(wanted)
        )
    };
    ws.sql(&format!("{} UNION {}", of("chunk"), of("pending")))
}

/// The rows of one shard, by a query.
fn queried(ws: &Workspace, wanted: &[Wanted], shard: i32) -> Result<Vec<Listed>, CdpError> {
    // Without the barrier the planner, which has no statistics of a handful of constants, may read the whole table to hash it.
    let of = |table: &str, bytes: &str, delta: bool| {
        format!(
            "SELECT s.slot, c.key, {delta} AS delta, c.bytes FROM {} CROSS JOIN LATERAL (SELECT c.key, c.{bytes} AS bytes FROM @ws@.{table} c \
             WHERE c.column_id = s.column_id AND c.key >= s.low AND c.key <= s.high AND c.shard = {shard} OFFSET 0) c",
            wanted_sql(wanted)
        )
    };
    let sql = ws.sql(&format!("{} UNION ALL {}", of("chunk", "bits", false), of("pending", "cells", true)));
    spi::rows(&sql, &[], |row| {
        let slot = usize::try_from(spi::must::<i32>(row, 1)?).map_err(|_| CdpError::internal("negative slot"))?;
        let place = Place::Here(Rc::new(spi::must::<Vec<u8>>(row, 4)?));
        Ok(Listed { shard, slot, key: spi::must(row, 2)?, delta: spi::must(row, 3)?, place })
    })
}
