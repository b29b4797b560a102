//! Sources: the customer's own tables, and what of their rows is taken.

pub mod api;
pub mod batch;
mod beside;
mod columns;
mod describe;
mod mapping;
mod replay;
mod spool;
mod sync;
pub mod taken;
mod whole;
mod withdraw;
