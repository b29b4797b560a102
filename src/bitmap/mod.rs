//! The SQL type `cdp_bitmap`: a set of non-negative `bigint`, stored, sent and cast to `bytea` as exactly the bytes of the
//! portable 64-bit Roaring format.
//!
//! Names follow pg_roaringbitmap's 64-bit type, `rb64_x` being `cdp_bitmap_x`. Bytes from outside (text, binary input,
//! the cast from `bytea`) are checked in full; stored values are trusted for speed, yet damage in one is an error and
//! never a wrong read of memory.
//!
//! | file | what |
//! |---|---|
//! | `datum` | the Rust types [`Bitmap`] (a result) and [`BitmapBytes`] (an argument), and how they cross into SQL |
//! | `io` | text and binary input and output, CREATE TYPE |
//! | `cast` | `bytea`, `bigint[]` and `int[]` |
//! | `ops` | functions and operators of one or two sets |
//! | `range` | ranges, positions, shifts |
//! | `order` | order and hash, operator classes |
//! | `estimate` | how many rows a condition keeps |
//! | `agg`, `flat`, `state` | aggregates; their twins whose state has a type; what is kept meanwhile |
//! | `srf` | the members as rows |

mod agg;
mod cast;
mod datum;
mod estimate;
mod flat;
mod io;
mod ops;
mod order;
mod range;
mod srf;
mod state;

pub use datum::{Bitmap, BitmapBytes, StoredBitmap, WorkingBitmap};

/// The pure part: format, checks, algebra.
pub(crate) use pg_cdp_core::bitmap_treemap as treemap;

use crate::error::CdpError;

/// The type's name in messages.
const TYPE_NAME: &str = "cdp_bitmap";

/// A `bigint` as a member of a set.
#[inline]
fn member(value: i64) -> Result<u64, CdpError> {
    u64::try_from(value).map_err(|_| out_of_range(value))
}

/// A number that no set can hold.
fn out_of_range(value: impl std::fmt::Display) -> CdpError {
    CdpError::out_of_range(TYPE_NAME, value)
        .with_hint(format!("a cdp_bitmap holds numbers from 0 to {}", treemap::MAX_VALUE))
}

/// A count as a `bigint`.
fn count(count: u64) -> Result<i64, CdpError> {
    i64::try_from(count).map_err(|_| CdpError::limit("the count does not fit into bigint"))
}

/// A member as a `bigint`. Members are at most 2^63 - 1: input refuses more.
fn bigint(member: u64) -> Result<i64, CdpError> {
    i64::try_from(member)
        .map_err(|_| CdpError::corrupted(TYPE_NAME).with_detail(format!("it holds the value {member}")))
}

impl From<treemap::Damaged> for CdpError {
    /// Damage met while reading a stored value: whatever came from outside was refused at the door.
    fn from(damage: treemap::Damaged) -> Self {
        CdpError::corrupted(TYPE_NAME)
            .with_detail(damage.to_string())
            .with_hint("restore the row from a backup, or compute the set again")
    }
}
