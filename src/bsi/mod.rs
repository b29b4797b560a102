//! The SQL type `cdp_bsi`: a bit-sliced index from ids (non-negative `bigint`) to values (`bigint`). An id without a
//! value is not in it: NULL is absence.
//!
//! Names follow Hologres, `bsi_x` being `cdp_bsi_x`. Bytes from outside (text, binary input, the cast from `bytea`) are
//! checked in full and brought into the canonical form, so that equal indexes are equal bytes; stored values are trusted
//! for speed, yet damage in one is an error and never a wrong read of memory.
//!
//! | file | what |
//! |---|---|
//! | `datum` | the Rust types [`Bsi`] (a result) and [`BsiBytes`] (an argument), and how they cross into SQL |
//! | `io` | text and binary input and output, CREATE TYPE |
//! | `cast` | `bytea`, and building from arrays |
//! | `compare` | ids by value: sets out of an index |
//! | `ops` | figures, arithmetic, equality and its operators |
//! | `agg`, `flat` | aggregates; their twins whose state has a type |
//! | `srf` | rows |
//! | `overload` | the pairs of functions without and with a filter |

mod agg;
mod cast;
mod compare;
mod datum;
mod flat;
mod io;
mod ops;
mod overload;
mod srf;

pub use datum::{Bsi, BsiBytes, StoredBsi, WorkingBsi};

/// The pure part: format, checks, evaluation.
pub(crate) use pg_cdp_core::bsi as slices;

use crate::bitmap::BitmapBytes;
use crate::error::CdpError;

/// The type's name in messages.
const TYPE_NAME: &str = "cdp_bsi";

/// A `bigint` as an id.
fn id(id: i64) -> Result<u64, CdpError> {
    u64::try_from(id).map_err(|_| id_out_of_range(id))
}

/// A number that is no id.
fn id_out_of_range(id: impl std::fmt::Display) -> CdpError {
    CdpError::beyond(format!("id {} is out of range for type {TYPE_NAME}", crate::error::quoted(&id.to_string())))
        .with_hint(format!("ids are numbers from 0 to {}", slices::MAX_ID))
}

/// An id as a `bigint`. Ids are at most 2^63 - 1: input refuses more.
fn bigint(id: u64) -> Result<i64, CdpError> {
    i64::try_from(id).map_err(|_| CdpError::corrupted(TYPE_NAME).with_detail(format!("it holds the id {id}")))
}

/// A count as a `bigint`.
fn count(count: u64) -> Result<i64, CdpError> {
    i64::try_from(count).map_err(|_| CdpError::limit("the count does not fit into bigint"))
}

/// The bytes of an optional filter.
fn chosen<'a>(filter: Option<&'a BitmapBytes<'_>>) -> Option<&'a [u8]> {
    filter.map(BitmapBytes::bytes)
}

impl From<slices::Error> for CdpError {
    /// What the user gave does not go together, or damage met while reading a stored value: bytes from outside were
    /// refused at the door.
    fn from(error: slices::Error) -> Self {
        use slices::Error;
        match error {
            Error::TooLarge(id) => id_out_of_range(id),
            Error::Conflict(id, a, b) => CdpError::invalid_parameter(format!("id {id} has two values: {a} and {b}"))
                .with_hint("give each id once; cdp_bsi_add_agg() and GROUP BY sum values by id"),
            Error::Shared(id) => {
                CdpError::invalid_parameter(format!("id {id} is in more than one of the cdp_bsi to merge")).with_hint(
                    "merge indexes that share no id; cdp_bsi_add() and cdp_bsi_add_agg() sum the values of shared ids",
                )
            }
            Error::Overflow(id) => CdpError::beyond(format!("sum of the values of id {id} is out of range for bigint"))
                .with_hint("sum the values of the id in numeric, or keep them at a coarser scale"),
            Error::TooLong => {
                CdpError::limit("cdp_bsi is too large").with_hint("Split the index by ranges of its ids.")
            }
            damage => CdpError::corrupted(TYPE_NAME)
                .with_detail(damage.to_string())
                .with_hint("restore the row from a backup, or compute the index again"),
        }
    }
}
