//! A set of non-negative 64-bit numbers in the portable 64-bit Roaring format.
//!
//! # Format (little-endian)
//! ```text
//! 0   u64   number of buckets
//! then, for each bucket, ascending by high half:
//!     u32   high half of the values (value >> 32)
//!     …     portable 32-bit Roaring bitmap of the low halves (cookie 12346, or 12347 with runs)
//! ```
//! These are the bytes that CRoaring, Java, Go and pg_roaringbitmap's 64-bit type read and write; the empty set is
//! eight zero bytes. Values end at [`MAX_VALUE`] because the users of a set speak of PostgreSQL's `bigint`.
//!
//! # Two kinds of reader
//! - [`canonical`] is for bytes from outside: it checks every field and every container, and accepts nothing whose
//!   counts or order could mislead a later reader.
//! - everything else is for bytes that [`canonical`] or our own writer has passed: it reads only what it needs, straight
//!   from the bytes. Damage met on the way is a [`Damaged`] value; there is no input that makes it panic or read outside.

mod container;
mod layout;
mod lookup;
mod ops;
mod order;
mod part;
mod query;
mod range;
mod text;
mod validate;
mod write;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_lookup;
#[cfg(test)]
mod tests_range;

pub use layout::{Bucket, Buckets, Container, Damaged, Entry, buckets};
pub use lookup::{MOST_BUCKETS, Source, find};
pub use ops::{Operation, and_cardinality, combine, contains_all, decode, intersects, jaccard, operation_cardinality};
pub use order::{compare, hash};
pub use query::{Members, cardinality, contains, equals, is_empty, max, min};
pub use range::{
    RangeError, Selection, UNLIMITED, combine_range, nth, range_cardinality, rank, run_optimize, select, shift,
};
pub use text::{TextError, Values, parse_hex, push_decimal, push_hex};
pub use validate::{Invalid, Summary, canonical, summary};
pub use write::from_sorted;

/// The largest value a set may hold, 2^63 - 1: the largest `bigint`.
pub const MAX_VALUE: u64 = i64::MAX as u64;

/// The serialised empty set: no buckets.
pub const EMPTY: [u8; 8] = [0; 8];
