//! A customer data platform inside PostgreSQL.
//!
//! ```text
//!   customer tables ──source──▶ identity (nodes, edges, profiles) ──▶ profile (values)    event (facts)
//!                                                                          │                  │
//!                                                                          ▼                  ▼
//!                                                                    store: columns of bits, in chunks
//!                                                                          │
//!   expression ──core::expr──▶ question ──core::plan──▶ program ──▶ one aggregate a shard ──▶ cdp_bitmap
//! ```
//!
//! Facts are ordinary tables of a workspace (`cdp_init`); profiles, columns and segments are derived from them and can be rebuilt. `core` is a crate
//! of its own that knows nothing of PostgreSQL; `pg` is the only place that touches PostgreSQL's internals; every other folder is one noun
//! of the product. Dependencies point down this list.

// ErrorReport is pgrx's, and one is only made when a statement fails.
#![allow(clippy::result_large_err)]

mod error;
mod guc;
mod pg;

mod bitmap;
mod bsi;
mod clean;
mod workspace;

mod store;

mod expr;

mod event;
mod identity;
mod ingest;
mod profile;
mod quality;
mod segment;
mod source;
mod tag;

use pgrx::prelude::*;

::pgrx::pg_module_magic!(name, version);

#[global_allocator]
static ALLOCATOR: pg::alloc::PgAllocator = pg::alloc::PgAllocator;

/// Called by PostgreSQL when the library is loaded.
#[pg_guard]
#[allow(non_snake_case)]
pub extern "C-unwind" fn _PG_init() {
    pg::alloc::install();
    guc::init();
}

extension_sql_file!("../sql/procedures.sql", name = "procedures");
// Comments and privileges of everything, once it is all there.
extension_sql_file!("../sql/finalize.sql", name = "finalize", finalize);
