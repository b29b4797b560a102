//! Part of a statement that may fail without ending it.
//!
//! Catching a PostgreSQL error and going on is only right inside a subtransaction: without one, locks, snapshots and
//! half-made rows of the failed part stay, and can even be committed.

use std::fmt;
use std::panic::AssertUnwindSafe;

use super::settings;
use pgrx::pg_sys::panic::{CaughtError, ErrorReport, ErrorReportWithLevel, ErrorReportable};
use pgrx::{PgSqlErrorCode, PgTryBuilder, pg_sys};

/// An error that was caught; everything it did is rolled back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlFailure {
    /// The SQLSTATE.
    pub code: PgSqlErrorCode,
    /// The message.
    pub message: String,
    /// The detail line.
    pub detail: Option<String>,
    /// The hint line.
    pub hint: Option<String>,
}

impl SqlFailure {
    /// The SQLSTATE as its five characters.
    pub fn sqlstate(&self) -> String {
        // Six bits a character, from the first.
        let packed = self.code as u32;
        (0..5).map(|i| char::from(b'0' + (packed >> (6 * i) & 0x3F) as u8)).collect()
    }

    /// Whether a value may be to blame: data exceptions, what functions and constraints of the user's own raise, and what is too long for its place.
    pub fn is_of_a_value(&self) -> bool {
        matches!(self.sqlstate().get(..2), Some("21" | "22" | "23" | "2F" | "54" | "P0"))
    }

    /// Whether what failed beside others may come to something when nobody else writes: a value may be to blame, which is found out there, or another transaction.
    pub fn may_pass_alone(&self) -> bool {
        self.is_of_a_value() || self.sqlstate().starts_with("40")
    }

    /// Whether it comes from the server or from another transaction, such as a full disk, a deadlock or a lock that was not to be had, and not from what was
    /// asked: then what was asked may be right, and going on without it would leave it undone.
    pub fn is_of_the_server(&self) -> bool {
        matches!(self.sqlstate().get(..2), Some("08" | "25" | "40" | "53" | "55" | "57" | "58" | "F0"))
    }
}

impl fmt::Display for SqlFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SqlFailure {}

impl From<SqlFailure> for ErrorReport {
    fn from(failure: SqlFailure) -> Self {
        let mut report = ErrorReport::new(failure.code, failure.message, "pg_cdp");
        if let Some(detail) = failure.detail {
            report = report.set_detail(detail);
        }
        if let Some(hint) = failure.hint {
            report = report.set_hint(hint);
        }
        report
    }
}

impl From<&ErrorReportWithLevel> for SqlFailure {
    fn from(report: &ErrorReportWithLevel) -> Self {
        SqlFailure {
            code: report.sql_error_code(),
            message: report.message().to_owned(),
            detail: report.detail().map(str::to_owned),
            hint: report.hint().map(str::to_owned),
        }
    }
}

/// Runs `body` in a subtransaction: kept when it succeeds, rolled back when it fails, whether it returns an error or
/// PostgreSQL raises one. SPI connections that `body` opened are closed either way.
///
/// Three things are not caught, because nobody may go on after them: a cancelled statement, a terminated session, and a
/// Rust panic (a bug). Not available in parallel workers.
pub fn run<T>(body: impl FnOnce() -> Result<T, ErrorReport>) -> Result<T, SqlFailure> {
    // What is set inside is undone when it fails.
    settings::before_statement().map_err(ErrorReport::from).unwrap_or_report();
    let saved = Surroundings::begin();
    let outcome = PgTryBuilder::new(AssertUnwindSafe(|| Ok(body().unwrap_or_report())))
        .catch_others(|error| Err(Box::new(error)))
        .catch_rust_panic(|error| Err(Box::new(error)))
        .execute();
    match outcome {
        Ok(value) => {
            saved.release();
            Ok(value)
        }
        Err(error) => {
            saved.roll_back();
            match *error {
                CaughtError::PostgresError(ref report) | CaughtError::ErrorReport(ref report)
                    if !ends_the_statement(report.sql_error_code()) =>
                {
                    Err(SqlFailure::from(report))
                }
                _ => error.rethrow(),
            }
        }
    }
}

fn ends_the_statement(code: PgSqlErrorCode) -> bool {
    matches!(
        code,
        PgSqlErrorCode::ERRCODE_QUERY_CANCELED
            | PgSqlErrorCode::ERRCODE_ADMIN_SHUTDOWN
            | PgSqlErrorCode::ERRCODE_CRASH_SHUTDOWN
            | PgSqlErrorCode::ERRCODE_DATABASE_DROPPED
    )
}

/// What a subtransaction changes behind the back of the running function.
struct Surroundings {
    context: pg_sys::MemoryContext,
    owner: pg_sys::ResourceOwner,
}

impl Surroundings {
    /// Starts the subtransaction; `body` goes on in the memory context of the caller, so that what it returns stays.
    fn begin() -> Self {
        // SAFETY: the two globals are PostgreSQL's, read and written on its only thread inside a transaction.
        unsafe {
            let saved = Surroundings { context: pg_sys::CurrentMemoryContext, owner: pg_sys::CurrentResourceOwner };
            pg_sys::BeginInternalSubTransaction(std::ptr::null());
            pg_sys::CurrentMemoryContext = saved.context;
            saved
        }
    }

    fn release(self) {
        // SAFETY: the innermost subtransaction is the one `begin` started: `body` leaves none open.
        unsafe { pg_sys::ReleaseCurrentSubTransaction() }
        self.restore();
    }

    fn roll_back(self) {
        // SAFETY: as in `release`; an error inside a nested subtransaction of `body` has already rolled that one back.
        unsafe {
            pg_sys::CurrentMemoryContext = self.context;
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
        }
        self.restore();
    }

    fn restore(self) {
        // SAFETY: both belong to the surrounding transaction and outlive the subtransaction.
        unsafe {
            pg_sys::CurrentMemoryContext = self.context;
            pg_sys::CurrentResourceOwner = self.owner;
        }
    }
}
