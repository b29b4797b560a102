//! The transaction we are in.

use crate::error::CdpError;
use pgrx::pg_sys;

/// Whether there is a transaction block around the statement, so that a procedure cannot commit.
pub fn in_block() -> bool {
    // SAFETY: reads the state of the current transaction.
    unsafe { pg_sys::IsTransactionBlock() }
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
