//! Sources: the customer's own tables, and what of their rows is taken.

pub mod api;
pub mod batch;
mod describe;
mod mapping;
mod spool;
mod sync;
