//! What can be wrong with stored bytes, or with a program over them.

use std::fmt;

/// Why stored cells cannot be read or written. Texts are lower case and carry no full stop, so that a caller can
/// put them after a prefix of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// The bytes end before what they announce; `at` is the byte position that was needed.
    Truncated {
        /// The structure being read.
        what: &'static str,
        /// Byte position inside that structure.
        at: usize,
    },
    /// The bytes contradict themselves or their format; `at` is the byte position of the contradiction.
    Damaged {
        /// The structure being read.
        what: &'static str,
        /// Byte position inside that structure.
        at: usize,
    },
    /// The store did not give bytes that it should have; why.
    Unreadable(String),
    /// The leading version byte is one this code does not know.
    Version(u8),
    /// A count or a sum left the range of 64 bits.
    Overflow,
    /// A cell's offset lies outside its shard (see [`crate::bitmap::SHARD_WIDTH`]).
    Offset(u32),
    /// Cells came to the builder of a chunk out of order, or without a fact behind them; the offset is the offender's.
    Order(u32),
    /// The changes of the cell at this offset do not leave it with one code or none.
    Code(u32),
    /// A program nests deeper than this many nodes.
    TooDeep(usize),
    /// A program and its slots do not fit together.
    BadSlot {
        /// Index of the slot in the program.
        slot: usize,
        /// What does not fit.
        reason: &'static str,
    },
    /// A conjunction of nothing: it would hold for profiles that do not exist.
    EmptyAnd,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { what, at } => write!(f, "{what} ends before byte {at}"),
            Self::Damaged { what, at } => write!(f, "{what} is damaged at byte {at}"),
            Self::Unreadable(why) => f.write_str(why),
            Self::Version(version) => write!(f, "cells have unknown format version {version}"),
            Self::Overflow => f.write_str("sum of cells is out of range for a 64-bit integer"),
            Self::Offset(offset) => write!(f, "offset {offset} lies outside the shard"),
            Self::Order(offset) => {
                write!(f, "cell at offset {offset} is out of order or empty")
            }
            Self::Code(offset) => write!(f, "cell at offset {offset} does not come to one code or none"),
            Self::TooDeep(limit) => write!(f, "program nests deeper than {limit} levels"),
            Self::BadSlot { slot, reason } => write!(f, "program slot {slot} {reason}"),
            Self::EmptyAnd => f.write_str("program has a conjunction of no operands"),
        }
    }
}

impl std::error::Error for StoreError {}
