//! Additive cells: for one key of a column, each profile has a pair (n, v).
//!
//! n counts the facts behind the cell, v is their sum as a scaled integer; a profile is present if n > 0. Everything
//! that changes a column is a delta of the same shape, so writers commute. [`delta`] is the append-only form,
//! [`NumberChunk`] the folded one for numbers, [`CodesChunk`] the one for codes looked up by profile, portable Roaring bytes the one for plain
//! sets, and [`fold()`] turns the first into the others.

pub(crate) mod codes;
mod counter;
pub mod delta;
mod fold;
mod lanes;
mod number;
mod part_day;
pub(crate) mod planes;
pub(crate) mod range;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_codes;

pub use codes::{CodesBlock, CodesBuilder, CodesChunk, CodesHead, NO_CODE, Rare, encode as encode_codes};
pub use counter::Counter;
pub use fold::fold;
pub use lanes::{Lane, Lanes};
pub use number::{Cells, NumberChunk, encode};
pub use part_day::{Happened, PartDay};

use serde::{Deserialize, Serialize};

/// How the folded cells of a column are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Portable 32-bit Roaring bytes of the offsets present; v is not kept.
    Set,
    /// A [`NumberChunk`].
    Number,
    /// A [`CodesChunk`]: n is 1 and v one of fewer than 2^16 codes.
    Codes,
}

/// One cell, or one change of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// Offset of the profile in its shard.
    pub offset: u32,
    /// Number of facts; in a delta, how many more or fewer.
    pub n: i64,
    /// Their sum, scaled; in a delta, by how much it changes.
    pub v: i64,
}
