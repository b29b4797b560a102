//! A bit-sliced index: a function from ids (0 to 2^63 - 1) to signed 64-bit numbers, as one string of bytes.
//!
//! # Format, version 1 (little-endian)
//! ```text
//! 0    u8    version: 1
//! 1    u8    depth: number of slices, 0 to 64; as many as max - base has bits
//! 2    u16   0, reserved
//! 4    u64   count: number of ids
//! 12   i64   base: the smallest value (0 when there is no id)
//! 20   i64   max: the largest value (0 when there is no id)
//! 28   u32   byte length of the existence set, then of each slice: 1 + depth lengths
//! …          the existence set and the slices, back to back: sets in the portable 64-bit Roaring format
//! ```
//! The existence set holds the ids; the slices hold the ids whose value - base has a bit, from the highest bit to the
//! lowest. value - base is unsigned and taken modulo 2^64, so that any two values of 64 bits go together.
//!
//! # Canonical form
//! Base and max are attained, so the depth is the least; no bucket of a set is empty; a container is made of runs when
//! that is shorter, else it is an array up to 4096 members, else a bitset. One index therefore has one string of bytes:
//! equality of bytes is equality of indexes. Everything here writes that form, and [`canonical`] brings bytes from
//! outside into it.
//!
//! # Evaluation
//! Sets are walked in blocks of 2^16 ids ([`crate::bitmap::Block`]) straight from the bytes. Comparison, sum, extremes,
//! quantile and the largest k go from slice to slice; only what returns or rewrites the values themselves decodes them,
//! 64 at a time.

mod accumulate;
mod combine;
mod compare;
mod decode;
mod format;
mod measure;
mod rank;
mod text;
mod validate;
mod write;

#[cfg(test)]
mod tests;

use std::fmt;

pub use accumulate::{Build, Fold};
pub use combine::{Join, combine, set_value};
pub use compare::{Comparison, compare, count_between, restrict};
pub use decode::{Pairs, distinct};
pub use format::Bsi;
pub use measure::{Sum, cardinality, get, get_from, largest, smallest, sum};
pub use rank::{quantile, top};
pub use text::{TextError, TextPairs, push_number};
pub use validate::canonical;

use crate::bitmap_treemap::{Damaged, MAX_VALUE};
use crate::error::StoreError;

/// The largest id, 2^63 - 1: ids are the members of a `cdp_bitmap`.
pub const MAX_ID: u64 = MAX_VALUE;

/// Why bytes are not an index, or why an index cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The leading version byte is one this code does not know.
    Version(u8),
    /// The header contradicts itself or the sets; the offset of the field, and what is wrong as a lower-case phrase.
    Head(usize, &'static str),
    /// One of the sets is damaged: slice 0 is the existence set, 1 the highest slice.
    Set(usize, Damaged),
    /// A set that was opened turns out to be unreadable.
    Slice(StoreError),
    /// An id above [`MAX_ID`].
    TooLarge(u64),
    /// Two different values for one id.
    Conflict(u64, i64, i64),
    /// An id in both of two indexes that must not share one.
    Shared(u64),
    /// The sum of the values of an id leaves 64 bits.
    Overflow(u64),
    /// A slice is longer than its length field can say.
    TooLong,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "unknown format version {version}"),
            Self::Head(at, what) => write!(f, "{what} at byte {at}"),
            Self::Set(0, damage) => write!(f, "existence set: {damage}"),
            Self::Set(slice, damage) => write!(f, "slice {slice}: {damage}"),
            Self::Slice(error) => error.fmt(f),
            Self::TooLarge(id) => write!(f, "id {id} is above {MAX_ID}"),
            Self::Conflict(id, a, b) => write!(f, "id {id} has two values: {a} and {b}"),
            Self::Shared(id) => write!(f, "id {id} is in both indexes"),
            Self::Overflow(id) => write!(f, "the sum of the values of id {id} is out of range for 64 bits"),
            Self::TooLong => f.write_str("a slice is longer than 4 GB"),
        }
    }
}

impl std::error::Error for Error {}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Slice(error)
    }
}

/// How far `value` lies above `base`, for value ≥ base.
fn above(value: i64, base: i64) -> u64 {
    value.wrapping_sub(base) as u64
}

/// Bits needed for every number up to `largest`.
fn depth_of(largest: u64) -> usize {
    (u64::BITS - largest.leading_zeros()) as usize
}
