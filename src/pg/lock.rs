//! Locks of PostgreSQL's lock manager on parts of what a table stands for. They are held until the transaction ends, seen in pg_locks and watched for deadlocks as every lock;
//! no row is written for them.

use pgrx::pg_sys;

/// Who else may hold the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Others that share it.
    Shared,
    /// Others that take it so too, and none of those that share it.
    Joint,
    /// Nobody.
    Exclusive,
}

impl Mode {
    fn level(self) -> pg_sys::LOCKMODE {
        match self {
            Self::Shared => pg_sys::ShareLock as pg_sys::LOCKMODE,
            Self::Joint => pg_sys::RowExclusiveLock as pg_sys::LOCKMODE,
            Self::Exclusive => pg_sys::ExclusiveLock as pg_sys::LOCKMODE,
        }
    }
}

/// Takes the lock on a part of a table, by number; waits for those who hold it.
pub fn take(table: pg_sys::Oid, part: u16, mode: Mode) {
    // SAFETY: any numbers name a lock; PostgreSQL releases it at the end of the (sub)transaction.
    unsafe { pg_sys::LockDatabaseObject(pg_sys::RelationRelationId, table, part, mode.level()) }
}

/// Gives a lock back that was taken in this transaction, before anything was done under it.
pub fn give_back(table: pg_sys::Oid, part: u16, mode: Mode) {
    // SAFETY: as above; PostgreSQL warns of a lock that is not held.
    unsafe { pg_sys::UnlockDatabaseObject(pg_sys::RelationRelationId, table, part, mode.level()) }
}
