//! The only place that touches PostgreSQL's memory and control flow: everything `unsafe` that is not the storage of a
//! type lives here, behind safe functions.

use std::ffi::CStr;

use pgrx::pg_sys;

pub mod aggregate;
pub mod alloc;
pub mod append;
pub mod array;
pub mod expanded;
pub mod halving;
pub mod interrupt;
pub mod join_selectivity;
pub mod json;
pub mod lock;
pub mod memory;
pub mod message;
pub mod names;
pub mod pieces;
pub mod planner;
mod predicate;
pub mod receive;
pub mod regex;
pub mod rewrite;
pub mod scan;
pub mod selectivity;
pub mod sequence;
pub mod settings;
pub mod spi;
pub mod sql_type;
pub mod stack;
pub mod subtransaction;
pub mod temp;
pub mod toast;
pub mod transaction;
pub mod tuples;
pub mod varlena;

/// Refuses settings under `prefix` that are not defined. To be called after the last definition.
pub fn reserve_setting_prefix(prefix: &'static CStr) {
    // SAFETY: the name is a C string with static lifetime, and the library is being loaded on the main thread.
    unsafe {
        #[cfg(feature = "pg14")]
        pg_sys::EmitWarningsOnPlaceholders(prefix.as_ptr());
        #[cfg(not(feature = "pg14"))]
        pg_sys::MarkGUCPrefixReserved(prefix.as_ptr());
    }
}
