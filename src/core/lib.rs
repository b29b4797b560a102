//! The pure part of pg_cdp: what can be said of expressions, bits and identities without a database.
//!
//! Nothing here knows PostgreSQL, SQL connections or settings, and nothing here is unsafe; `cargo test -p pg_cdp_core` runs it alone.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

#[cfg(target_endian = "big")]
compile_error!("sets are computed on words as they are stored, which is little-endian");

mod braces;
pub mod error;

pub mod bitmap;
pub mod bitmap_treemap;
pub mod bsi;
pub mod cells;
pub mod insight;
pub mod program;

pub mod expr;
pub mod plan;

pub mod graph;
pub mod infer;
pub mod json;
pub mod message;
pub mod norm;
pub mod numbers;
pub mod survivorship;
pub mod texts;

#[cfg(test)]
mod testing;
