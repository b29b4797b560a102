//! The chunks that this backend has read, kept for the next question.
//!
//! A chunk is found by where its bytes are kept: TOAST table, number of the value in it, and the transaction that wrote the
//! row. A value is never changed once it is written; whoever changes a chunk writes a new row with a new value. Each question
//! reads the rows that its own snapshot sees (see [`super::read`]) and takes bytes from here only for exactly those values.
//! So nothing has to be invalidated, and an answer cannot be stale: what another session has committed since is another
//! value, what this session has rolled back is a value no row points to.
//!
//! A chunk with pending changes folded in is kept too, known by the chunk and the bytes of the changes. So are the events of part of a day, known by
//! the rows of their key of a day column, chunks and changes: an event of the day cannot come, go or change without a row for the
//! key that comes or goes with it (see [`super::emit::events`]), and a flush writes every chunk anew that it folds something into.
//!
//! The numbers of values and of transactions are 32 bits and come round. Both would have to come round to the same pair, which
//! takes more than 2^31 transactions; the cache is emptied before ([`LIFETIME`]).

use crate::guc;
use crate::pg::alloc;
use crate::pg::memory::Memory;
use crate::pg::scan::{LIFETIME, Version};
use crate::pg::toast::{Places, Pointer, Value};
use crate::pg::transaction;
use pg_cdp_core::cells::{Encoding, PartDay};
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

/// What bytes are known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A chunk: where it is kept, and the transaction that wrote the row.
    Chunk(Pointer, u32),
    /// A chunk with changes folded in: how it is encoded, the chunk, if there is one, and the very bytes of the changes.
    Folded(Encoding, Option<(Pointer, u32)>, Vec<Rc<Vec<u8>>>),
    /// Events of part of a day: the day column, the key, and the rows that it has for the key.
    Events(i32, i64, Vec<Version>),
}

impl Key {
    /// Bytes that the key itself takes.
    fn size(&self) -> usize {
        match self {
            Self::Chunk(..) => 0,
            Self::Folded(_, _, changes) => changes.iter().map(|bytes| bytes.capacity()).sum(),
            Self::Events(_, _, rows) => rows.capacity() * size_of::<Version>(),
        }
    }
}

/// Memory that a backend keeps for chunks that it does not: fetching into fresh pages costs as much as fetching. Enough for the chunks that
/// one shard of a question of some numbers and some dozen sets takes.
const MOST_SPARE: usize = 8 << 20;

/// The most pieces of it: finding one must cost nothing beside filling it.
const MOST_PIECES: usize = 64;

/// What is kept: all bytes, or those of a chunk that have been read so far.
#[derive(Clone)]
pub enum Kept {
    /// Bytes that were made here.
    Made(Rc<Vec<u8>>),
    /// A stored chunk.
    Stored(Rc<Value>),
    /// Events.
    Events(Rc<PartDay>),
}

impl Kept {
    fn capacity(&self) -> usize {
        match self {
            Self::Made(bytes) => bytes.capacity(),
            Self::Stored(value) => value.capacity(),
            Self::Events(events) => events.capacity(),
        }
    }
}

struct Entry {
    kept: Kept,
    /// The question that used it last.
    used: u64,
}

/// Bytes of chunks by where they are kept.
#[derive(Default)]
pub struct Cache {
    entries: HashMap<Key, Entry>,
    size: usize,
    limit: usize,
    question: u64,
    /// Memory of bytes that nobody keeps, used again by the next chunk and the next question.
    spare: Vec<Memory>,
    /// Where values were found, by TOAST table.
    pub places: HashMap<u32, Places>,
    /// The next transaction when the cache was empty.
    since: u64,
}

thread_local! {
    /// Taken out while a question runs, so that an error that jumps over its frames leaves an empty cache and not half of one.
    static CACHE: Cell<Option<Box<Cache>>> = const { Cell::new(None) };
}

impl Cache {
    /// The backend's cache, for one question. To be given back by [`Cache::keep`].
    pub fn take() -> Box<Self> {
        let mut cache = CACHE.take().unwrap_or_else(|| {
            alloc::keep_heap();
            Box::default()
        });
        let now = transaction::next_full_id();
        if now.saturating_sub(cache.since) >= LIFETIME || cache.entries.is_empty() {
            cache.entries.clear();
            cache.size = 0;
            cache.since = now;
        }
        cache.limit = guc::cache_bytes();
        cache.question += 1;
        if cache.size > cache.limit {
            cache.make_room(0);
        }
        cache
    }

    /// Keeps the cache for the next question.
    pub fn keep(self: Box<Self>) {
        CACHE.set(Some(self));
    }

    /// Memory for `length` bytes that is at hand: the smallest piece that is large enough.
    pub fn memory(&mut self, length: usize) -> Option<Memory> {
        let fits = self.spare.iter().enumerate().filter(|(_, piece)| piece.capacity() >= length);
        let best = fits.min_by_key(|(_, piece)| piece.capacity()).map(|(index, _)| index);
        match best {
            Some(index) => Some(self.spare.swap_remove(index)),
            None => {
                // What is too small for this chunk will be too small for the next one of its column: it makes room.
                let largest = self.spare.iter().enumerate().max_by_key(|(_, piece)| piece.capacity());
                if let Some(index) = largest.map(|(index, _)| index).filter(|_| self.spare.len() == MOST_PIECES) {
                    self.spare.swap_remove(index);
                }
                None
            }
        }
    }

    /// Takes memory back.
    pub fn give(&mut self, memory: Memory) {
        let held: usize = self.spare.iter().map(Memory::capacity).sum();
        if held + memory.capacity() <= MOST_SPARE && self.spare.len() < MOST_PIECES {
            self.spare.push(memory);
        }
    }

    /// Whether nothing can be kept.
    pub fn is_off(&self) -> bool {
        self.limit == 0
    }

    /// What is kept under a key.
    pub fn get(&mut self, key: &Key) -> Option<Kept> {
        let entry = self.entries.get_mut(key)?;
        entry.used = self.question;
        Some(entry.kept.clone())
    }

    /// The bytes that were made and are kept under a key.
    pub fn made(&mut self, key: &Key) -> Option<Rc<Vec<u8>>> {
        match self.get(key)? {
            Kept::Made(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The events that are kept under a key.
    pub fn events(&mut self, key: &Key) -> Option<Rc<PartDay>> {
        match self.get(key)? {
            Kept::Events(events) => Some(events),
            _ => None,
        }
    }

    /// Keeps bytes if there is room or room can be made among what this question does not use. A question over more than the
    /// cache holds so keeps what it read first, and finds that again when it is repeated.
    pub fn put(&mut self, key: Key, kept: Kept) {
        if let Some((key, entry)) = self.entries.remove_entry(&key) {
            self.size -= entry.kept.capacity() + key.size();
        }
        let size = kept.capacity() + key.size();
        if size > self.limit || (self.size + size > self.limit && !self.make_room(size)) {
            return;
        }
        self.size += size;
        self.entries.insert(key, Entry { kept, used: self.question });
    }

    /// Drops what has not been used for longest until `wanted` bytes and an eighth of the cache are free; whether the `wanted` are.
    fn make_room(&mut self, wanted: usize) -> bool {
        let target = self.limit.saturating_sub(wanted.max(self.limit / 8));
        let mut old: Vec<(u64, Key)> =
            self.entries.iter().filter(|(_, e)| e.used < self.question).map(|(key, e)| (e.used, key.clone())).collect();
        old.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in old {
            if self.size <= target {
                break;
            }
            if let Some(entry) = self.entries.remove(&key) {
                self.size -= entry.kept.capacity() + key.size();
            }
        }
        self.size + wanted <= self.limit
    }
}
