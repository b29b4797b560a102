//! The chunks that this backend has read, kept for the next question.
//!
//! A chunk is found by where its bytes are kept: TOAST table, number of the value in it, and the transaction that wrote the
//! row. A value is never changed once it is written; whoever changes a chunk writes a new row with a new value. Each question
//! reads the rows that its own snapshot sees (see [`super::read`]) and takes bytes from here only for exactly those values.
//! So nothing has to be invalidated, and an answer cannot be stale: what another session has committed since is another
//! value, what this session has rolled back is a value no row points to.
//!
//! The numbers of values and of transactions are 32 bits and come round. Both would have to come round to the same pair, which
//! takes more than 2^31 transactions; the cache is emptied before ([`LIFETIME`]).

use crate::guc;
use crate::pg::toast::Pointer;
use crate::pg::transaction;
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

/// What bytes are known by.
pub type Key = (Pointer, u32);

/// Transactions after which the cache is emptied: half of those after which a number comes round.
const LIFETIME: u64 = 1 << 31;

struct Entry {
    bytes: Rc<Vec<u8>>,
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
        let mut cache = CACHE.take().unwrap_or_default();
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

    /// Whether nothing can be kept.
    pub fn is_off(&self) -> bool {
        self.limit == 0
    }

    /// The bytes of a chunk, if they are here.
    pub fn get(&mut self, key: &Key) -> Option<Rc<Vec<u8>>> {
        let entry = self.entries.get_mut(key)?;
        entry.used = self.question;
        Some(Rc::clone(&entry.bytes))
    }

    /// Keeps bytes if there is room or room can be made among what this question does not use. A question over more than the
    /// cache holds so keeps what it read first, and finds that again when it is repeated.
    pub fn put(&mut self, key: Key, bytes: &Rc<Vec<u8>>) {
        let size = bytes.capacity();
        if size > self.limit || (self.size + size > self.limit && !self.make_room(size)) {
            return;
        }
        self.size += size;
        self.entries.insert(key, Entry { bytes: Rc::clone(bytes), used: self.question });
    }

    /// Drops what has not been used for longest until `wanted` bytes and an eighth of the cache are free; whether the `wanted` are.
    fn make_room(&mut self, wanted: usize) -> bool {
        let target = self.limit.saturating_sub(wanted.max(self.limit / 8));
        let mut old: Vec<(u64, Key)> =
            self.entries.iter().filter(|(_, e)| e.used < self.question).map(|(key, e)| (e.used, *key)).collect();
        old.sort_unstable_by_key(|(used, _)| *used);
        for (_, key) in old {
            if self.size <= target {
                break;
            }
            if let Some(entry) = self.entries.remove(&key) {
                self.size -= entry.bytes.capacity();
            }
        }
        self.size + wanted <= self.limit
    }
}
