//! The gate for bytes from outside.

use super::Error;
use super::decode::each_block;
use super::format::Bsi;
use super::write::encode;
use crate::bitmap_treemap::{Invalid, contains_all, summary};

/// The canonical form of bytes from outside after a full check: the header, every field and value of every set, that no
/// slice holds an id that the existence set lacks, and that count, smallest and largest value are what they say. Sets
/// may have containers in another form than the canonical one, as other writers make them.
///
/// # Errors
/// What is wrong with the bytes.
pub fn canonical(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let bsi = Bsi::open(bytes)?;
    let in_set = |slice: usize| {
        move |invalid| match invalid {
            Invalid::Damaged(damage) => Error::Set(slice, damage),
            Invalid::TooLarge(id) => Error::TooLarge(id),
        }
    };
    if summary(bsi.existence()).map_err(in_set(0))?.cardinality != bsi.count() {
        return Err(Error::Head(4, "the number of ids is wrong"));
    }
    for (set, slice) in bsi.slices().iter().zip(1..) {
        summary(set).map_err(in_set(slice))?;
        if !contains_all(bsi.existence(), set).map_err(|damage| Error::Set(slice, damage))? {
            return Err(Error::Head(28, "a slice holds an id without existence"));
        }
    }
    let written = encode(|visit| each_block(&bsi, None, visit))?;
    let found = Bsi::open(&written)?;
    if (found.base(), found.max()) != (bsi.base(), bsi.max()) {
        return Err(Error::Head(12, "the smallest or largest value is wrong"));
    }
    Ok(written)
}
