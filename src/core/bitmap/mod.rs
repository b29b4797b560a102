//! Sets of offsets inside one shard, as bytes and as flat blocks.
//!
//! Bytes stay in the portable 32-bit Roaring format and are never deserialised on the read path: [`Portable`] finds
//! the containers in place, [`Block`] is the 8 KB flat set that one container's worth of an expression is computed
//! in, and [`Value`] is an intermediate answer that stays a borrowed container for as long as it can.

pub mod assemble;
mod block;
mod bytes;
mod difference;
pub(crate) mod kernel;
mod portable;
mod value;
mod writer;

#[cfg(test)]
mod tests;

pub use block::{Block, append_block};
pub use bytes::{Bytes, Source};
pub use difference::{Difference, difference};
pub use portable::{Container, Portable, Probe};
pub(crate) use value::count_in;
pub use value::{Arena, Value};
pub use writer::Writer;

/// Low bits of a profile id that are its offset inside its shard.
pub const SHARD_BITS: u32 = 20;
/// Profiles in one shard: valid offsets are `0..SHARD_WIDTH`.
pub const SHARD_WIDTH: u32 = 1 << SHARD_BITS;
/// Blocks of 2^16 offsets in one shard: valid container keys are `0..SHARD_BLOCKS`.
pub const SHARD_BLOCKS: u16 = (SHARD_WIDTH >> 16) as u16;
/// The largest array container; a container with more members that is not made of runs is a bitmap.
pub(crate) const ARRAY_MAX: u32 = 4096;
/// 64-bit words in one block.
pub const WORDS: usize = 1024;
