//! The column store: which facts are kept in bits, how they change, and how they are folded.
//!
//! Invariant: for every column that is `ready`, chunk plus pending equals what the facts say; a writer that cannot keep it marks the column
//! `stale`, and readers fall back to the facts until `cdp_flush()` has rebuilt it.

pub mod cache;
pub mod cells;
pub mod column;
pub mod days;
pub mod emit;
pub mod flush;
pub mod group;
pub mod membership;
pub mod read;
mod rebuild;
pub mod single;
pub mod view;

/// Bits of a profile number inside a shard: 2^20 profiles, sixteen Roaring containers, share a row of `chunk`. Wide enough that a dense
/// bitmap reads as fast as in one piece, narrow enough that folding one change rewrites at most 128 KiB.
pub const SHARD_BITS: u32 = 20;

/// A tracked property with more distinct values than this loses its day columns: each value has a row a day.
pub const MOST_TRACKED_VALUES: i32 = 1000;

/// A text attribute with more distinct values than this keeps one number column of codes in place of one bitmap a value.
pub const MOST_EQUALITY_VALUES: i32 = 512;

/// A text attribute kept as bitmaps that has this many distinct values gets a forward column beside them. A distribution read from it costs what
/// probing a dozen sets costs, however many values there are. At 32 it takes about half the time of the sets (a million profiles, chunks from
/// the pool: 0.27 against 0.51 ms for a segment of 9 %, 0.29 against 0.50 for one of 14 %), which is worth a second delta for each change of a
/// value and up to 2 MB more to write for each shard that a flush touches; at 16 values it would save a tenth of a millisecond.
pub const FORWARD_FROM: i32 = 32;
