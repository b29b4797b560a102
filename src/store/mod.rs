//! The column store: which facts are kept in bits, how they change, and how they are folded.
//!
//! Invariant: for every column that is `ready`, chunk plus pending equals what the facts say; a writer that cannot keep it marks the column
//! `stale`, and readers fall back to the facts until `cdp_flush()` has rebuilt it.

mod cache;
pub mod cells;
pub mod column;
pub mod emit;
pub mod flush;
pub mod membership;
pub mod read;
mod rebuild;

/// Bits of a profile number inside a shard: 2^20 profiles, sixteen Roaring containers, share a row of `chunk`. Wide enough that a dense
/// bitmap reads as fast as in one piece, narrow enough that folding one change rewrites at most 128 KiB.
pub const SHARD_BITS: u32 = 20;

/// A tracked property with more distinct values than this loses its day columns: each value has a row a day.
pub const MOST_TRACKED_VALUES: i32 = 1000;

/// A text attribute with more distinct values than this keeps one number column of codes in place of one bitmap a value.
pub const MOST_EQUALITY_VALUES: i32 = 512;
