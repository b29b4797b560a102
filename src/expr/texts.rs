//! The values behind dictionary codes, kept in the backend.
//!
//! What was looked up is kept with the version of the last row of its dictionary. Dictionaries only grow, one writer at a time, so a snapshot that sees
//! the same last row sees the same codes and values, and a text cannot be stale.

use super::catalog::last_row;
use crate::error::CdpError;
use crate::guc;
use crate::pg::scan::{LIFETIME, Version};
use crate::pg::{spi, transaction};
use crate::workspace::Workspace;
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

/// Values by their codes.
pub type Texts = HashMap<i64, String>;

/// The most values that a backend keeps, and the most bytes of them; then they are collected anew. What is more alone is not kept.
const MOST_TEXTS: usize = 65_536;
const MOST_BYTES: usize = 8 << 20;

/// What is known of one dictionary.
struct Kept {
    last: Version,
    since: u64,
    texts: Rc<Texts>,
}

/// Dictionaries by workspace and number.
#[derive(Default)]
struct Shelf {
    kept: HashMap<(String, i32), Kept>,
    texts: usize,
    bytes: usize,
}

impl Shelf {
    /// What is known of a dictionary whose last row is this one.
    fn get(&self, key: &(String, i32), last: Version, now: u64) -> Option<Rc<Texts>> {
        let kept = self.kept.get(key)?;
        let valid = kept.last == last && now.saturating_sub(kept.since) < LIFETIME;
        valid.then(|| Rc::clone(&kept.texts))
    }

    fn remove(&mut self, key: &(String, i32)) {
        if let Some(kept) = self.kept.remove(key) {
            self.texts -= kept.texts.len();
            self.bytes -= bytes_of(&kept.texts);
        }
    }

    /// Keeps what is known of a dictionary in place of what was.
    fn put(&mut self, key: (String, i32), kept: Kept) {
        self.remove(&key);
        let (texts, bytes) = (kept.texts.len(), bytes_of(&kept.texts));
        if texts > MOST_TEXTS || bytes > MOST_BYTES {
            return;
        }
        if self.texts + texts > MOST_TEXTS || self.bytes + bytes > MOST_BYTES {
            *self = Self::default();
        }
        self.texts += texts;
        self.bytes += bytes;
        self.kept.insert(key, kept);
    }
}

fn bytes_of(texts: &Texts) -> usize {
    texts.values().map(String::len).sum()
}

thread_local! {
    /// Taken out while it is looked at, so that an error cannot leave half of it.
    static SHELF: Cell<Shelf> = Cell::default();
}

/// The values of some codes of a dictionary as the snapshot sees them; maybe of others too.
pub fn of_codes(ws: &Workspace, dictionary_id: i32, codes: &[i64]) -> Result<Rc<Texts>, CdpError> {
    // A function that writes sees its own changes statement by statement.
    let last = if spi::reading() && guc::direct_read() { last_row(ws, dictionary_id) } else { None };
    let Some(last) = last else { return Ok(Rc::new(look_up(ws, dictionary_id, codes)?)) };
    let (key, now) = ((ws.name.clone(), dictionary_id), transaction::next_full_id());
    let shelf = SHELF.take();
    let known = shelf.get(&key, last, now);
    SHELF.set(shelf);
    let missing: Vec<i64> = match &known {
        Some(known) => codes.iter().copied().filter(|code| !known.contains_key(code)).collect(),
        None => codes.to_vec(),
    };
    match known {
        Some(known) if missing.is_empty() => Ok(known),
        known => {
            let mut texts = look_up(ws, dictionary_id, &missing)?;
            texts.extend(known.iter().flat_map(|known| known.iter().map(|(code, text)| (*code, text.clone()))));
            let texts = Rc::new(texts);
            let mut shelf = SHELF.take();
            shelf.put(key, Kept { last, since: now, texts: Rc::clone(&texts) });
            SHELF.set(shelf);
            Ok(texts)
        }
    }
}

fn look_up(ws: &Workspace, dictionary_id: i32, codes: &[i64]) -> Result<Texts, CdpError> {
    let sql = "SELECT d.code::pg_catalog.int8, d.value FROM @ws@.dictionary d WHERE d.dictionary_id = $1 AND d.code = ANY ($2::pg_catalog.int8[])";
    let rows = spi::rows_cached(&ws.sql(sql), &[dictionary_id.into(), codes.to_vec().into()], |row| {
        Ok((spi::must::<i64>(row, 1)?, spi::must::<String>(row, 2)?))
    })?;
    Ok(rows.into_iter().collect())
}
