//! Ranges, positions and shifts: functions that depend on the order of the members.
//!
//! A range runs from `range_start` up to, not including, `range_end`; a `range_end` of 0 means no end, as in
//! pg_roaringbitmap. A negative bound is an error, since no member is negative.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::treemap::{self, Operation, RangeError, Selection, UNLIMITED};
use super::{Bitmap, BitmapBytes, TYPE_NAME, count};
use crate::error::CdpError;
use crate::pg::varlena::MOST_BYTES;

/// The bounds as the core wants them.
fn bounds(start: i64, end: i64) -> Result<(u64, u64), CdpError> {
    let bound = |value: i64, name: &str| {
        u64::try_from(value).map_err(|_| {
            CdpError::out_of_range(TYPE_NAME, value)
                .with_detail(format!("{name} is negative"))
                .with_hint(format!("give bounds from 0 to {}; a range_end of 0 is no end", treemap::MAX_VALUE))
        })
    };
    let start = bound(start, "range_start")?;
    Ok(match bound(end, "range_end")? {
        0 => (start, UNLIMITED),
        end => (start, end),
    })
}

impl From<RangeError> for CdpError {
    fn from(error: RangeError) -> Self {
        match error {
            RangeError::Damaged(damage) => damage.into(),
            RangeError::TooLarge(bytes) => CdpError::limit("cdp_bitmap is too large")
                .with_detail(format!("it needs at least {bytes} bytes, a value holds at most {MOST_BYTES}"))
                .with_hint("give a shorter range: 2^16 numbers in a row take about 14 bytes"),
        }
    }
}

fn with_range(bitmap: &BitmapBytes<'_>, start: i64, end: i64, operation: Operation) -> Result<Bitmap, CdpError> {
    let (start, end) = bounds(start, end)?;
    Ok(Bitmap::from_canonical(treemap::combine_range(bitmap.bytes(), start, end, operation, MOST_BYTES)?))
}

/// The members in a range.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_range(bitmap: BitmapBytes<'_>, range_start: i64, range_end: i64) -> Result<Bitmap, ErrorReport> {
    Ok(with_range(&bitmap, range_start, range_end, Operation::And)?)
}

/// The number of members in a range.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_range_cardinality(bitmap: BitmapBytes<'_>, range_start: i64, range_end: i64) -> Result<i64, ErrorReport> {
    let (start, end) = bounds(range_start, range_end)?;
    Ok(count(treemap::range_cardinality(bitmap.bytes(), start, end).map_err(CdpError::from)?)?)
}

/// The set and every number in a range.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_fill(bitmap: BitmapBytes<'_>, range_start: i64, range_end: i64) -> Result<Bitmap, ErrorReport> {
    Ok(with_range(&bitmap, range_start, range_end, Operation::Or)?)
}

/// The set without the members in a range.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_clear(bitmap: BitmapBytes<'_>, range_start: i64, range_end: i64) -> Result<Bitmap, ErrorReport> {
    Ok(with_range(&bitmap, range_start, range_end, Operation::AndNot)?)
}

/// The set with the numbers of a range in it where they were not, and out of it where they were.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_flip(bitmap: BitmapBytes<'_>, range_start: i64, range_end: i64) -> Result<Bitmap, ErrorReport> {
    Ok(with_range(&bitmap, range_start, range_end, Operation::Xor)?)
}

/// Number of members up to and including a number; 0 for a negative one.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_rank(bitmap: BitmapBytes<'_>, value: i64) -> Result<i64, ErrorReport> {
    let Ok(value) = u64::try_from(value) else { return Ok(0) };
    Ok(count(treemap::rank(bitmap.bytes(), value).map_err(CdpError::from)?)?)
}

/// Position of a member, counted from 0; -1 when the number is no member.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_index(bitmap: BitmapBytes<'_>, value: i64) -> Result<i64, ErrorReport> {
    let Ok(value) = u64::try_from(value) else { return Ok(-1) };
    if !treemap::contains(bitmap.bytes(), value).map_err(CdpError::from)? {
        return Ok(-1);
    }
    Ok(count(treemap::rank(bitmap.bytes(), value).map_err(CdpError::from)?)? - 1)
}

/// Of the members in a range, `bitset_limit` after the first `bitset_offset`, from below or, in reverse, from above. A limit
/// below 1 gives the empty set, a negative offset counts as 0.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_select(
    bitmap: BitmapBytes<'_>,
    bitset_limit: i64,
    bitset_offset: default!(i64, 0),
    reverse: default!(bool, false),
    range_start: default!(i64, 0),
    range_end: default!(i64, 0),
) -> Result<Bitmap, ErrorReport> {
    let (start, end) = bounds(range_start, range_end)?;
    let at_least_0 = |value: i64| u64::try_from(value).unwrap_or(0);
    let selection =
        Selection { limit: at_least_0(bitset_limit), offset: at_least_0(bitset_offset), reverse, start, end };
    Ok(Bitmap::from_canonical(treemap::select(bitmap.bytes(), selection).map_err(CdpError::from)?))
}

fn shifted(bitmap: &BitmapBytes<'_>, distance: i64) -> Result<Bitmap, CdpError> {
    Ok(Bitmap::from_canonical(treemap::shift(bitmap.bytes(), distance)?))
}

/// Every member plus a distance; those that leave 0 to 2^63 - 1 are gone.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_shiftright(bitmap: BitmapBytes<'_>, distance: i64) -> Result<Bitmap, ErrorReport> {
    Ok(shifted(&bitmap, distance)?)
}

/// Every member minus a distance; those that leave 0 to 2^63 - 1 are gone.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_shiftleft(bitmap: BitmapBytes<'_>, distance: i64) -> Result<Bitmap, ErrorReport> {
    match distance.checked_neg() {
        Some(distance) => Ok(shifted(&bitmap, distance)?),
        // Up by 2^63: whatever it was, it is above the largest member now.
        None => Ok(Bitmap::from_canonical(treemap::EMPTY.to_vec())),
    }
}

/// Members of both sets over members of either, 0 to 1; NaN for two empty sets.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_jaccard_dist(a: BitmapBytes<'_>, b: BitmapBytes<'_>) -> Result<f64, ErrorReport> {
    Ok(treemap::jaccard(a.bytes(), b.bytes()).map_err(CdpError::from)?.unwrap_or(f64::NAN))
}

/// The same set in fewer bytes where members follow each other.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_runoptimize(bitmap: BitmapBytes<'_>) -> Result<Bitmap, ErrorReport> {
    Ok(Bitmap::from_canonical(treemap::run_optimize(bitmap.bytes()).map_err(CdpError::from)?))
}

extension_sql!(
    r#"
CREATE OPERATOR @extschema@.<< (
    LEFTARG = cdp_bitmap, RIGHTARG = bigint, FUNCTION = cdp_bitmap_shiftleft
);
CREATE OPERATOR @extschema@.>> (
    LEFTARG = cdp_bitmap, RIGHTARG = bigint, FUNCTION = cdp_bitmap_shiftright
);

COMMENT ON FUNCTION cdp_bitmap_range(cdp_bitmap, bigint, bigint) IS 'members from range_start up to, not including, range_end; 0 is no end';
COMMENT ON FUNCTION cdp_bitmap_range_cardinality(cdp_bitmap, bigint, bigint) IS 'number of members from range_start up to, not including, range_end; 0 is no end';
COMMENT ON FUNCTION cdp_bitmap_fill(cdp_bitmap, bigint, bigint) IS 'set and every number from range_start up to, not including, range_end';
COMMENT ON FUNCTION cdp_bitmap_clear(cdp_bitmap, bigint, bigint) IS 'set without the members from range_start up to, not including, range_end; 0 is no end';
COMMENT ON FUNCTION cdp_bitmap_flip(cdp_bitmap, bigint, bigint) IS 'set with membership turned round from range_start up to, not including, range_end';
COMMENT ON FUNCTION cdp_bitmap_rank(cdp_bitmap, bigint) IS 'number of members up to and including a number';
COMMENT ON FUNCTION cdp_bitmap_index(cdp_bitmap, bigint) IS 'position of a member, from 0; -1 when the number is no member';
COMMENT ON FUNCTION cdp_bitmap_select(cdp_bitmap, bigint, bigint, boolean, bigint, bigint) IS 'of the members in a range, a number of them after an offset, from below or in reverse';
COMMENT ON FUNCTION cdp_bitmap_shiftright(cdp_bitmap, bigint) IS 'every member plus a distance';
COMMENT ON FUNCTION cdp_bitmap_shiftleft(cdp_bitmap, bigint) IS 'every member minus a distance';
COMMENT ON FUNCTION cdp_bitmap_jaccard_dist(cdp_bitmap, cdp_bitmap) IS 'members of both sets over members of either: the Jaccard index';
COMMENT ON FUNCTION cdp_bitmap_runoptimize(cdp_bitmap) IS 'the same set in fewer bytes where members follow each other';
COMMENT ON OPERATOR << (cdp_bitmap, bigint) IS 'every member minus a distance';
COMMENT ON OPERATOR >> (cdp_bitmap, bigint) IS 'every member plus a distance';
"#,
    name = "cdp_bitmap_ranges",
    requires = [
        "cdp_bitmap_type",
        cdp_bitmap_range,
        cdp_bitmap_range_cardinality,
        cdp_bitmap_fill,
        cdp_bitmap_clear,
        cdp_bitmap_flip,
        cdp_bitmap_rank,
        cdp_bitmap_index,
        cdp_bitmap_select,
        cdp_bitmap_shiftright,
        cdp_bitmap_shiftleft,
        cdp_bitmap_jaccard_dist,
        cdp_bitmap_runoptimize
    ]
);
