//! What a run has put aside: rows that have to be taken while nobody else writes. Whoever takes them waits for the batches of others to end and keeps them waiting, so that a run does it for several
//! batches at once, and before it ends.

use super::{Waiting, count};
use crate::error::CdpError;
use pg_cdp_core::message::Message;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

thread_local! {
    /// Of the run of this session.
    static ASIDE: RefCell<Aside> = RefCell::default();
}

/// Rows are taken when there are so many of them for each row that a batch may have.
const SHARE: i64 = 4;

/// What a run has put aside and not taken yet. Another run may have taken some of it: then less than that is found in the inbox.
#[derive(Default)]
pub struct Aside {
    job_id: i64,
    rows: i64,
    /// Whether earlier runs may have left rows.
    others: bool,
    /// The keys of the messages of these rows, by source.
    keys: HashMap<String, HashSet<String>>,
}

impl Aside {
    /// Calls `body` with what a run has put aside; an error forgets it.
    pub fn of<T>(job_id: i64, body: impl FnOnce(&mut Self) -> Result<T, CdpError>) -> Result<T, CdpError> {
        let mut aside = ASIDE.take();
        if aside.job_id != job_id {
            aside = Self { job_id, others: true, ..Self::default() };
        }
        let found = body(&mut aside)?;
        ASIDE.set(aside);
        Ok(found)
    }

    /// Forgets what the run that ends knew.
    pub fn forget() {
        drop(ASIDE.take());
    }

    /// Whether there may be any.
    pub fn any(&self) -> bool {
        self.others || self.rows > 0
    }

    /// Whether they are to be taken before a batch of at most so many rows.
    pub fn is_due(&self, batch: i32) -> bool {
        self.others || self.rows * SHARE >= i64::from(batch)
    }

    /// Whether a message of this key is among them: one that says the same key must not be taken before it, because the first one counts.
    pub fn has(&self, source: &str, key: &str) -> bool {
        self.keys.get(source).is_some_and(|keys| keys.contains(key))
    }

    /// Puts a row aside.
    pub(super) fn add(&mut self, row: &Waiting, messages: &[(Message, String)]) {
        self.rows += 1;
        self.keys.entry(row.source.clone()).or_default().extend(messages.iter().map(|(_, key)| key.clone()));
    }

    /// Takes note of rows that are taken now, of at most `most`: when there are fewer, these are all that nobody else has in hand.
    pub(super) fn taken(&mut self, rows: &[Waiting], most: i32) -> Result<(), CdpError> {
        let rows = count(rows.len())?;
        if rows < i64::from(most) {
            *self = Self { job_id: self.job_id, ..Self::default() };
        } else {
            self.rows = (self.rows - rows).max(0);
        }
        Ok(())
    }
}
