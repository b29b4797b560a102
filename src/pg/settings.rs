//! Settings that hold for one call: every statement of the extension runs under a pinned search_path, so that nobody's schema can
//! stand in for PostgreSQL's own functions and operators.

use crate::error::CdpError;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::ffi::{CStr, CString};

/// Settings by name.
type Settings = Vec<(&'static str, String)>;

thread_local! {
    /// Settings that are to be in force from the first statement on.
    static WAITING: RefCell<Option<Settings>> = const { RefCell::new(None) };
}

/// As [`scoped`], but the settings are set when a statement is about to run, or another scope or a subtransaction begins: a call that reads and writes without a query does without them.
pub fn scoped_from_first_statement<T>(
    settings: Settings,
    body: impl FnOnce() -> Result<T, CdpError>,
) -> Result<T, CdpError> {
    /// Forgets them, also when `body` raises.
    struct Wait;
    impl Drop for Wait {
        fn drop(&mut self) {
            WAITING.set(None);
        }
    }
    scoped(&[], || {
        WAITING.set(Some(settings));
        let _wait = Wait;
        body()
    })
}

/// Sets what waits for the first statement. Whoever runs one calls this before.
pub fn before_statement() -> Result<(), CdpError> {
    match WAITING.take() {
        Some(settings) => settings.iter().try_for_each(|(name, value)| set(name, value)),
        None => Ok(()),
    }
}

/// Runs `body` with the settings in force and restores what was before. When `body` raises, the abort of the (sub)transaction restores.
pub fn scoped<T>(settings: &[(&str, &str)], body: impl FnOnce() -> Result<T, CdpError>) -> Result<T, CdpError> {
    before_statement()?;
    // SAFETY: a GUC nest level opened here is closed below on every path that returns; an ERROR or a panic that
    // leaves `body` ends in a (sub)transaction abort, which closes it.
    let level = unsafe { pg_sys::NewGUCNestLevel() };
    for (name, value) in settings {
        set(name, value)?;
    }
    let result = body();
    // SAFETY: see above; `true` is "committed", which restores saved values.
    unsafe { pg_sys::AtEOXact_GUC(true, level) };
    result
}

/// Sets a setting until the enclosing [`scoped`] ends.
pub fn set(name: &str, value: &str) -> Result<(), CdpError> {
    let invalid = |_| CdpError::invalid_parameter(format!("setting \"{name}\" holds a zero byte"));
    let (name_c, value_c) = (CString::new(name).map_err(invalid)?, CString::new(value).map_err(invalid)?);
    // SAFETY: both strings are NUL-terminated and live through the call, which copies them.
    unsafe {
        pg_sys::set_config_option(
            name_c.as_ptr(),
            value_c.as_ptr(),
            pg_sys::GucContext::PGC_USERSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
    }
    Ok(())
}

/// Memory for each sort and hash, in kilobytes.
pub fn work_mem_kb() -> i32 {
    // SAFETY: reads a setting on PostgreSQL's only thread.
    unsafe { pg_sys::work_mem }
}

/// Memory for work on whole tables, in kilobytes.
pub fn maintenance_work_mem_kb() -> i32 {
    // SAFETY: reads a setting on PostgreSQL's only thread.
    unsafe { pg_sys::maintenance_work_mem }
}

/// Parallel workers that one query of this session may have; 0 when there can be none at all.
pub fn parallel_workers() -> usize {
    // SAFETY: reads settings on PostgreSQL's only thread.
    let most = unsafe { pg_sys::max_parallel_workers_per_gather.min(pg_sys::max_parallel_workers) };
    usize::try_from(most).unwrap_or(0)
}

/// Whether a setting that is about to be defined has a value that the session's user could read until now: until a library defines it, a name with a dot is a
/// setting of anybody. Not so when the server or the session begins with the library.
pub fn was_readable(name: &CStr) -> bool {
    // SAFETY: the name is NUL-terminated; the user is looked up only inside a transaction; what is found is only compared with null.
    unsafe {
        // A session that begins with the library has not been asked anything yet.
        pg_sys::IsTransactionState()
            && !pg_sys::debug_query_string.is_null()
            && pg_sys::ParallelWorkerNumber < 0
            && !pg_sys::GetConfigOption(name.as_ptr(), true, false).is_null()
            && !pg_sys::superuser_arg(pg_sys::GetSessionUserId())
    }
}
