//! Which members of a group are kept aside to judge what was learned from the others.

use crate::bitmap::{Bytes, Portable, SHARD_BITS};
use crate::error::StoreError;
use roaring::RoaringBitmap;

/// 2^64 over the golden ratio, odd: the multiples of a run of numbers are spread evenly over 2^64, and no period of theirs meets one of
/// the data (Knuth, The Art of Computer Programming 3, 6.4).
const GOLDEN: u64 = 11_400_714_819_323_198_485;

/// A profile is held out when its number times 2^64 / φ, modulo 2^64, is less than this: one in five.
pub const HELD_OUT_BELOW: u64 = u64::MAX / 5;

/// The two parts of a set, as set chunks; `None` for nobody.
pub type Parts = (Option<Vec<u8>>, Option<Vec<u8>>);

/// Parts the members of one shard: those to learn from, and those held out.
///
/// # Errors
/// Those of reading the set.
pub fn holdout(shard: u32, members: Bytes<'_>) -> Result<Parts, StoreError> {
    let members = Portable::open_shard(members)?.decoded()?;
    let held = |offset: &u32| {
        let profile = u64::from(shard) << SHARD_BITS | u64::from(*offset);
        profile.wrapping_mul(GOLDEN) < HELD_OUT_BELOW
    };
    let (held, rest): (Vec<u32>, Vec<u32>) = members.iter().partition(held);
    Ok((set(rest)?, set(held)?))
}

/// Ascending offsets as a set chunk.
fn set(offsets: Vec<u32>) -> Result<Option<Vec<u8>>, StoreError> {
    if offsets.is_empty() {
        return Ok(None);
    }
    let set = RoaringBitmap::from_sorted_iter(offsets).map_err(|_| StoreError::Order(0))?;
    let mut bytes = Vec::with_capacity(set.serialized_size());
    // Writing into memory does not fail.
    set.serialize_into(&mut bytes).map_err(|_| StoreError::Overflow)?;
    Ok(Some(bytes))
}
