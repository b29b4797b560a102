//! Who may write what at the same time.
//!
//! Most writers hold the workspace: identities, definitions and columns change under one of them at a time. An event that changes no identity holds the workspace together with
//! others of its kind, and the person it is about alone. Batches of such events hold it together with other batches. Readers wait for nobody.

use super::{Workspace, look};
use crate::error::CdpError;
use crate::pg::lock::{self, Mode};
use crate::pg::scan::{Condition, Table};
use crate::pg::{names, spi, transaction};
use pgrx::pg_sys::Oid;

/// The part of the workspace's table that stands for all of it.
const WHOLE: u16 = 1;
/// Whoever gives codes to new values beside others.
const CODES: u16 = 2;
/// The batch, of those that write beside each other, that is about to commit, or the run that ends.
const LAST: u16 = 3;
/// The first of the parts that stand for people.
const PEOPLE: u16 = 16;
/// How many parts people share.
const PARTS: i64 = 4096;

// Columns of `message`, from 1 (sql/workspace/25_message.sql).
pub(super) const MESSAGE_COLUMNS: i32 = 5;
const XACT: usize = 5;

impl Workspace {
    fn table(&self) -> Result<Oid, CdpError> {
        names::relation(&self.name, "workspace").ok_or_else(|| CdpError::no_workspace(&self.name))
    }

    /// Whether this transaction is the workspace's only writer. `false` may also mean that it is not known.
    pub fn locked(&self) -> Result<bool, CdpError> {
        Ok(look(&self.name, |row| Ok(transaction::is_current(row.version().xmin())))? == Some(true))
    }

    /// Makes this transaction the workspace's only writer until it ends. Readers are not kept waiting. Once is enough for a transaction.
    ///
    /// The row is updated and not only locked: a transaction at REPEATABLE READ or SERIALIZABLE that began before another writer committed cannot see what
    /// that one did, and would build on what is no longer so; it gets a serialization failure (40001) here and not a wrong answer later. Those who share the workspace update
    /// no row; their messages tell.
    pub fn lock(&self) -> Result<(), CdpError> {
        if self.locked()? {
            return Ok(());
        }
        lock::take(self.table()?, WHOLE, Mode::Exclusive);
        spi::run_cached(
            &self.sql(
                "UPDATE @ws@.workspace w SET version = version WHERE w.xmin <> pg_current_xact_id()::pg_catalog.xid",
            ),
            &[],
        )?;
        if transaction::keeps_its_snapshot() && (self.unseen()? || self.unseen_batch()?) {
            return Err(CdpError::serialization("an event came in since this transaction began")
                .with_hint("Run the transaction again."));
        }
        Ok(())
    }

    /// Lets this transaction write what concerns one person, beside others that write of other people, until it ends.
    pub fn lock_person(&self, profile_id: i64) -> Result<(), CdpError> {
        let table = self.table()?;
        lock::take(table, WHOLE, Mode::Shared);
        lock::take(table, part(profile_id), Mode::Exclusive);
        Ok(())
    }

    /// Gives back what [`lock_person`](Self::lock_person) took, before anything was written.
    pub fn unlock_person(&self, profile_id: i64) -> Result<(), CdpError> {
        let table = self.table()?;
        lock::give_back(table, part(profile_id), Mode::Exclusive);
        lock::give_back(table, WHOLE, Mode::Shared);
        Ok(())
    }

    /// Lets this transaction write a batch that says nothing new of who is who, beside others that do, until it ends.
    pub fn lock_jointly(&self) -> Result<(), CdpError> {
        lock::take(self.table()?, WHOLE, Mode::Joint);
        Ok(())
    }

    /// Makes this transaction the one, of those that hold the workspace jointly, that writes what all of them write: figures, and when somebody was seen. It keeps the others
    /// waiting until it ends, so that they commit in the order in which they come here.
    pub fn lock_last(&self) -> Result<(), CdpError> {
        lock::take(self.table()?, LAST, Mode::Exclusive);
        Ok(())
    }

    /// Keeps others that share the workspace from giving codes to values at the same time.
    pub fn lock_codes(&self) -> Result<(), CdpError> {
        if !self.locked()? {
            lock::take(self.table()?, CODES, Mode::Exclusive);
        }
        Ok(())
    }

    /// Whether a batch was taken, beside others, that this transaction does not see. The last one is always there, and whoever sees it sees those before it.
    fn unseen_batch(&self) -> Result<bool, CdpError> {
        let Some(sees) = transaction::Sees::active() else { return Ok(false) };
        let later = self.sql(&format!("SELECT b.xact FROM @ws@.event_batch b WHERE b.xact >= {}", sees.from()));
        let later = transaction::on_latest_snapshot(|| spi::bigints_by_active_snapshot(&later))?;
        Ok(later.into_iter().any(|xact| !sees.transaction(xact)))
    }

    /// Whether a message was taken that this transaction does not see.
    fn unseen(&self) -> Result<bool, CdpError> {
        let Some(sees) = transaction::Sees::active() else { return Ok(false) };
        let from = sees.from();
        transaction::on_latest_snapshot(|| {
            let Some(messages) = Table::with_columns(&self.name, "message", MESSAGE_COLUMNS) else {
                let later = self.sql(&format!("SELECT m.xact FROM @ws@.message m WHERE m.xact >= {from}"));
                let later = spi::bigints_by_active_snapshot(&later)?;
                return Ok(later.into_iter().any(|xact| !sees.transaction(xact)));
            };
            let index = messages.index("message_xact");
            let mut unseen = false;
            let found = messages.rows_while(index, &[Condition::Int8AtLeast(XACT as i16, from)], |row| {
                unseen = !sees.transaction(row.int8(XACT));
                Ok(!unseen)
            });
            messages.close();
            found.map(|()| unseen)
        })
    }
}

/// The part that stands for a person and some others.
fn part(profile_id: i64) -> u16 {
    PEOPLE + u16::try_from(profile_id.rem_euclid(PARTS)).unwrap_or(0)
}
