//! The transaction we are in.

use pgrx::pg_sys;

/// Whether there is a transaction block around the statement, so that a procedure cannot commit.
pub fn in_block() -> bool {
    // SAFETY: reads the state of the current transaction.
    unsafe { pg_sys::IsTransactionBlock() }
}

/// When the transaction began: what `now()` gives, in microseconds since 2000-01-01 UTC.
pub fn started_at() -> i64 {
    // SAFETY: reads the state of the current transaction.
    unsafe { pg_sys::GetCurrentTransactionStartTimestamp() }
}
