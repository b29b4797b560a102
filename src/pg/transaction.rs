//! The transaction we are in.

use crate::error::CdpError;
use pgrx::pg_sys;

/// Whether there is a transaction block around the statement, so that a procedure cannot commit.
pub fn in_block() -> bool {
    // SAFETY: reads the state of the current transaction.
    unsafe { pg_sys::IsTransactionBlock() }
}

/// Whether the server is a standby, or has not yet recovered.
pub fn in_recovery() -> bool {
    // SAFETY: it reads shared memory that every backend is attached to.
    unsafe { pg_sys::RecoveryInProgress() }
}

/// Whether a transaction is this one or a part of it that was not rolled back.
pub fn is_current(xid: u32) -> bool {
    // SAFETY: reads the state of the current transaction.
    unsafe { pg_sys::TransactionIdIsCurrentTransactionId(pg_sys::TransactionId::from(xid)) }
}

/// Whether this transaction, or the part of it that runs, has written anything.
pub fn has_written() -> bool {
    // SAFETY: reads the state of the current transaction.
    unsafe { pg_sys::GetCurrentTransactionIdIfAny() != pg_sys::InvalidTransactionId }
}

/// The time of this moment, in microseconds since 2000.
pub fn clock() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}

/// When the transaction began: what `now()` gives, in microseconds since 2000-01-01 UTC.
pub fn started_at() -> i64 {
    // SAFETY: reads the state of the current transaction.
    unsafe { pg_sys::GetCurrentTransactionStartTimestamp() }
}

/// The number of the next transaction, which does not come round. Works on a standby too.
pub fn next_full_id() -> u64 {
    // SAFETY: reads shared state under PostgreSQL's own lock.
    unsafe { pg_sys::ReadNextFullTransactionId() }.value
}

/// Whether all statements of the transaction see the same: REPEATABLE READ and SERIALIZABLE.
pub fn keeps_its_snapshot() -> bool {
    // SAFETY: reads the state of the current transaction.
    unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 }
}

/// The oldest transaction that the active snapshot may not see all of, and whether it sees what another one has committed.
pub struct Sees(pg_sys::Snapshot);

impl Sees {
    /// Of the active snapshot, which outlives the value.
    pub fn active() -> Option<Self> {
        // SAFETY: reads the stack of snapshots.
        let snapshot = unsafe { pg_sys::GetActiveSnapshot() };
        (!snapshot.is_null()).then_some(Self(snapshot))
    }

    /// Whether it sees what a transaction, by its full number, has written.
    pub fn transaction(&self, full: i64) -> bool {
        // The snapshot is of this moment or later than the transaction's beginning, so the low half says which one it is.
        let xid = pg_sys::TransactionId::from(full as u32);
        // SAFETY: the snapshot is active, as the constructor was told.
        !unsafe { pg_sys::XidInMVCCSnapshot(xid, self.0) } || is_current(full as u32)
    }

    /// Transactions before this one, by its full number, are all seen.
    pub fn from(&self) -> i64 {
        let next = next_full_id();
        // SAFETY: the snapshot is active.
        let xmin = unsafe { (*self.0).xmin }.into_inner();
        // The snapshot's number is at most 2^31 behind the next one.
        (next - u64::from((next as u32).wrapping_sub(xmin))) as i64
    }
}

/// Runs `body` on a snapshot of this moment, whatever the transaction sees.
pub fn on_latest_snapshot<T>(body: impl FnOnce() -> Result<T, CdpError>) -> Result<T, CdpError> {
    // SAFETY: a snapshot pushed here is popped below on every path that returns; an error that is raised ends in a
    // (sub)transaction abort, which pops it.
    unsafe {
        pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
        let result = body();
        pg_sys::PopActiveSnapshot();
        result
    }
}

/// Whether this process may not start parallel workers, because it is one or works for some already.
pub fn in_parallel_mode() -> bool {
    // SAFETY: reads the state of the current transaction.
    unsafe { pg_sys::IsInParallelMode() }
}

/// Runs `body` on a snapshot that sees what this transaction has written so far, as each statement of a function that writes does.
pub fn on_new_snapshot<T>(body: impl FnOnce() -> Result<T, CdpError>) -> Result<T, CdpError> {
    // SAFETY: a snapshot pushed here is popped below on every path that returns; an error that is raised ends in a
    // (sub)transaction abort, which pops it.
    unsafe {
        pg_sys::CommandCounterIncrement();
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        let result = body();
        pg_sys::PopActiveSnapshot();
        result
    }
}
