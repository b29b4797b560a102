//! Functions and operators of one or two sets.
//!
//! All of them work on the serialised bytes, container by container. A negative number is
//! in no set: membership is false and removing it changes nothing, but adding it is an error.

use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::treemap::{self, Operation};
use super::{Bitmap, BitmapBytes, StoredBitmap, bigint, count, member};
use crate::error::CdpError;
use crate::pg::varlena::MOST_BYTES;

/// The result of a binary operation.
fn combine(a: &BitmapBytes<'_>, b: &BitmapBytes<'_>, operation: Operation) -> Result<Bitmap, CdpError> {
    Ok(Bitmap::from_canonical(treemap::combine(a.bytes(), b.bytes(), operation)?))
}

/// The number of members of that result, which is not built.
fn combined(a: &BitmapBytes<'_>, b: &BitmapBytes<'_>, operation: Operation) -> Result<i64, CdpError> {
    count(treemap::operation_cardinality(a.bytes(), b.bytes(), operation)?)
}

/// Whether the set holds a number. Of a large stored set the header and one container are fetched.
fn holds(bitmap: &StoredBitmap<'_>, value: i64, call: pg_sys::FunctionCallInfo) -> Result<bool, CdpError> {
    let Ok(value) = u64::try_from(value) else { return Ok(false) };
    match bitmap.ask(call, |pieces| treemap::find(pieces, 0, value)).transpose()?.flatten() {
        Some(found) => Ok(found),
        None => Ok(treemap::contains(bitmap.whole().bytes(), value)?),
    }
}

fn add(bitmap: &BitmapBytes<'_>, value: i64) -> Result<Bitmap, CdpError> {
    let value = member(value)?;
    let grown = treemap::combine_range(bitmap.bytes(), value, value + 1, Operation::Or, MOST_BYTES)?;
    Ok(Bitmap::from_canonical(grown))
}

/// Members of both sets.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_and(a: BitmapBytes<'_>, b: BitmapBytes<'_>) -> Result<Bitmap, ErrorReport> {
    Ok(combine(&a, &b, Operation::And)?)
}

/// Members of either set.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_or(a: BitmapBytes<'_>, b: BitmapBytes<'_>) -> Result<Bitmap, ErrorReport> {
    Ok(combine(&a, &b, Operation::Or)?)
}

/// Members of exactly one of two sets.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_xor(a: BitmapBytes<'_>, b: BitmapBytes<'_>) -> Result<Bitmap, ErrorReport> {
    Ok(combine(&a, &b, Operation::Xor)?)
}

/// Members of the first set that the second lacks.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_andnot(a: BitmapBytes<'_>, b: BitmapBytes<'_>) -> Result<Bitmap, ErrorReport> {
    Ok(combine(&a, &b, Operation::AndNot)?)
}

/// The number of members of both sets, without building the set.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_and_cardinality(a: BitmapBytes<'_>, b: BitmapBytes<'_>) -> Result<i64, ErrorReport> {
    Ok(combined(&a, &b, Operation::And)?)
}

/// The number of members of either set, without building the set.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_or_cardinality(a: BitmapBytes<'_>, b: BitmapBytes<'_>) -> Result<i64, ErrorReport> {
    Ok(combined(&a, &b, Operation::Or)?)
}

/// The number of members of exactly one of two sets, without building the set.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_xor_cardinality(a: BitmapBytes<'_>, b: BitmapBytes<'_>) -> Result<i64, ErrorReport> {
    Ok(combined(&a, &b, Operation::Xor)?)
}

/// The number of members of the first set that the second lacks, without building the set.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_andnot_cardinality(a: BitmapBytes<'_>, b: BitmapBytes<'_>) -> Result<i64, ErrorReport> {
    Ok(combined(&a, &b, Operation::AndNot)?)
}

/// Whether the first set holds every member of the second.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_contains(a: BitmapBytes<'_>, b: BitmapBytes<'_>) -> Result<bool, ErrorReport> {
    Ok(treemap::contains_all(a.bytes(), b.bytes()).map_err(CdpError::from)?)
}

/// Whether the set holds a number.
#[pg_extern(immutable, strict, parallel_safe, name = "cdp_bitmap_contains")]
fn cdp_bitmap_contains_value(
    bitmap: StoredBitmap<'_>,
    value: i64,
    call: pg_sys::FunctionCallInfo,
) -> Result<bool, ErrorReport> {
    Ok(holds(&bitmap, value, call)?)
}

/// Whether the second set holds every member of the first.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_containedby(a: BitmapBytes<'_>, b: BitmapBytes<'_>) -> Result<bool, ErrorReport> {
    Ok(treemap::contains_all(b.bytes(), a.bytes()).map_err(CdpError::from)?)
}

/// Whether a number is in the set.
#[pg_extern(immutable, strict, parallel_safe, name = "cdp_bitmap_containedby")]
fn cdp_bitmap_containedby_value(
    value: i64,
    bitmap: StoredBitmap<'_>,
    call: pg_sys::FunctionCallInfo,
) -> Result<bool, ErrorReport> {
    Ok(holds(&bitmap, value, call)?)
}

/// Whether two sets share a member.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_intersect(a: BitmapBytes<'_>, b: BitmapBytes<'_>) -> Result<bool, ErrorReport> {
    Ok(treemap::intersects(a.bytes(), b.bytes()).map_err(CdpError::from)?)
}

/// Whether two sets have the same members.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_equals(a: BitmapBytes<'_>, b: BitmapBytes<'_>) -> Result<bool, ErrorReport> {
    Ok(treemap::equals(a.bytes(), b.bytes()).map_err(CdpError::from)?)
}

/// Whether two sets differ.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_not_equals(a: BitmapBytes<'_>, b: BitmapBytes<'_>) -> Result<bool, ErrorReport> {
    Ok(!treemap::equals(a.bytes(), b.bytes()).map_err(CdpError::from)?)
}

/// The set with one more member.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_add(bitmap: BitmapBytes<'_>, value: i64) -> Result<Bitmap, ErrorReport> {
    Ok(add(&bitmap, value)?)
}

/// The same with the number first.
#[pg_extern(immutable, strict, parallel_safe, name = "cdp_bitmap_add")]
fn cdp_bitmap_add_left(value: i64, bitmap: BitmapBytes<'_>) -> Result<Bitmap, ErrorReport> {
    Ok(add(&bitmap, value)?)
}

/// The set without one member.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_remove(bitmap: BitmapBytes<'_>, value: i64) -> Result<Bitmap, ErrorReport> {
    let rest = match u64::try_from(value) {
        Ok(value) => treemap::combine_range(bitmap.bytes(), value, value + 1, Operation::AndNot, MOST_BYTES)
            .map_err(CdpError::from)?,
        Err(_) => bitmap.bytes().to_vec(),
    };
    Ok(Bitmap::from_canonical(rest))
}

/// The number of members.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_cardinality(bitmap: BitmapBytes<'_>) -> Result<i64, ErrorReport> {
    let members = treemap::cardinality(bitmap.bytes()).map_err(CdpError::from)?;
    Ok(count(members)?)
}

/// Whether the set has no member.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_is_empty(bitmap: BitmapBytes<'_>) -> Result<bool, ErrorReport> {
    Ok(treemap::is_empty(bitmap.bytes()).map_err(CdpError::from)?)
}

/// The smallest member; NULL for the empty set.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_min(bitmap: BitmapBytes<'_>) -> Result<Option<i64>, ErrorReport> {
    let member = treemap::min(bitmap.bytes()).map_err(CdpError::from)?;
    Ok(member.map(bigint).transpose()?)
}

/// The largest member; NULL for the empty set.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_max(bitmap: BitmapBytes<'_>) -> Result<Option<i64>, ErrorReport> {
    let member = treemap::max(bitmap.bytes()).map_err(CdpError::from)?;
    Ok(member.map(bigint).transpose()?)
}

extension_sql!(
    r#"
CREATE OPERATOR @extschema@.& (
    LEFTARG = cdp_bitmap, RIGHTARG = cdp_bitmap, FUNCTION = cdp_bitmap_and,
    COMMUTATOR = &
);
CREATE OPERATOR @extschema@.| (
    LEFTARG = cdp_bitmap, RIGHTARG = cdp_bitmap, FUNCTION = cdp_bitmap_or,
    COMMUTATOR = |
);
CREATE OPERATOR @extschema@.# (
    LEFTARG = cdp_bitmap, RIGHTARG = cdp_bitmap, FUNCTION = cdp_bitmap_xor,
    COMMUTATOR = #
);
CREATE OPERATOR @extschema@.- (
    LEFTARG = cdp_bitmap, RIGHTARG = cdp_bitmap, FUNCTION = cdp_bitmap_andnot
);
CREATE OPERATOR @extschema@.| (
    LEFTARG = cdp_bitmap, RIGHTARG = bigint, FUNCTION = cdp_bitmap_add,
    COMMUTATOR = |
);
CREATE OPERATOR @extschema@.| (
    LEFTARG = bigint, RIGHTARG = cdp_bitmap, FUNCTION = cdp_bitmap_add,
    COMMUTATOR = |
);
CREATE OPERATOR @extschema@.- (
    LEFTARG = cdp_bitmap, RIGHTARG = bigint, FUNCTION = cdp_bitmap_remove
);
CREATE OPERATOR @extschema@.@> (
    LEFTARG = cdp_bitmap, RIGHTARG = cdp_bitmap, FUNCTION = cdp_bitmap_contains,
    COMMUTATOR = <@, RESTRICT = cdp_bitmap_sel, JOIN = cdp_bitmap_joinsel
);
CREATE OPERATOR @extschema@.<@ (
    LEFTARG = cdp_bitmap, RIGHTARG = cdp_bitmap, FUNCTION = cdp_bitmap_containedby,
    COMMUTATOR = @>, RESTRICT = cdp_bitmap_sel, JOIN = cdp_bitmap_joinsel
);
CREATE OPERATOR @extschema@.@> (
    LEFTARG = cdp_bitmap, RIGHTARG = bigint, FUNCTION = cdp_bitmap_contains,
    COMMUTATOR = <@, RESTRICT = cdp_bitmap_sel, JOIN = cdp_bitmap_joinsel
);
CREATE OPERATOR @extschema@.<@ (
    LEFTARG = bigint, RIGHTARG = cdp_bitmap, FUNCTION = cdp_bitmap_containedby,
    COMMUTATOR = @>, RESTRICT = cdp_bitmap_sel, JOIN = cdp_bitmap_joinsel
);
CREATE OPERATOR @extschema@.&& (
    LEFTARG = cdp_bitmap, RIGHTARG = cdp_bitmap, FUNCTION = cdp_bitmap_intersect,
    COMMUTATOR = &&, RESTRICT = cdp_bitmap_sel, JOIN = cdp_bitmap_joinsel
);
CREATE OPERATOR @extschema@.= (
    LEFTARG = cdp_bitmap, RIGHTARG = cdp_bitmap, FUNCTION = cdp_bitmap_equals,
    COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
CREATE OPERATOR @extschema@.<> (
    LEFTARG = cdp_bitmap, RIGHTARG = cdp_bitmap, FUNCTION = cdp_bitmap_not_equals,
    COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel
);

COMMENT ON FUNCTION cdp_bitmap_and(cdp_bitmap, cdp_bitmap) IS 'members of both sets';
COMMENT ON FUNCTION cdp_bitmap_or(cdp_bitmap, cdp_bitmap) IS 'members of either set';
COMMENT ON FUNCTION cdp_bitmap_xor(cdp_bitmap, cdp_bitmap) IS 'members of exactly one of two sets';
COMMENT ON FUNCTION cdp_bitmap_andnot(cdp_bitmap, cdp_bitmap) IS 'members of the first set that the second lacks';
COMMENT ON FUNCTION cdp_bitmap_and_cardinality(cdp_bitmap, cdp_bitmap) IS 'number of members of both sets';
COMMENT ON FUNCTION cdp_bitmap_or_cardinality(cdp_bitmap, cdp_bitmap) IS 'number of members of either set';
COMMENT ON FUNCTION cdp_bitmap_xor_cardinality(cdp_bitmap, cdp_bitmap) IS 'number of members of exactly one of two sets';
COMMENT ON FUNCTION cdp_bitmap_andnot_cardinality(cdp_bitmap, cdp_bitmap) IS 'number of members of the first set that the second lacks';
COMMENT ON FUNCTION cdp_bitmap_contains(cdp_bitmap, cdp_bitmap) IS 'does the first set hold every member of the second?';
COMMENT ON FUNCTION cdp_bitmap_contains(cdp_bitmap, bigint) IS 'does the set hold the number?';
COMMENT ON FUNCTION cdp_bitmap_containedby(cdp_bitmap, cdp_bitmap) IS 'does the second set hold every member of the first?';
COMMENT ON FUNCTION cdp_bitmap_containedby(bigint, cdp_bitmap) IS 'is the number in the set?';
COMMENT ON FUNCTION cdp_bitmap_intersect(cdp_bitmap, cdp_bitmap) IS 'do the sets share a member?';
COMMENT ON FUNCTION cdp_bitmap_equals(cdp_bitmap, cdp_bitmap) IS 'do the sets have the same members?';
COMMENT ON FUNCTION cdp_bitmap_not_equals(cdp_bitmap, cdp_bitmap) IS 'do the sets differ?';
COMMENT ON FUNCTION cdp_bitmap_add(cdp_bitmap, bigint) IS 'set with one more member';
COMMENT ON FUNCTION cdp_bitmap_add(bigint, cdp_bitmap) IS 'set with one more member';
COMMENT ON FUNCTION cdp_bitmap_remove(cdp_bitmap, bigint) IS 'set without one member';
COMMENT ON FUNCTION cdp_bitmap_cardinality(cdp_bitmap) IS 'number of members';
COMMENT ON FUNCTION cdp_bitmap_is_empty(cdp_bitmap) IS 'has the set no member?';
COMMENT ON FUNCTION cdp_bitmap_min(cdp_bitmap) IS 'smallest member; NULL for the empty set';
COMMENT ON FUNCTION cdp_bitmap_max(cdp_bitmap) IS 'largest member; NULL for the empty set';

COMMENT ON OPERATOR & (cdp_bitmap, cdp_bitmap) IS 'members of both sets';
COMMENT ON OPERATOR | (cdp_bitmap, cdp_bitmap) IS 'members of either set';
COMMENT ON OPERATOR # (cdp_bitmap, cdp_bitmap) IS 'members of exactly one of two sets';
COMMENT ON OPERATOR - (cdp_bitmap, cdp_bitmap) IS 'members of the first set that the second lacks';
COMMENT ON OPERATOR | (cdp_bitmap, bigint) IS 'set with one more member';
COMMENT ON OPERATOR | (bigint, cdp_bitmap) IS 'set with one more member';
COMMENT ON OPERATOR - (cdp_bitmap, bigint) IS 'set without one member';
COMMENT ON OPERATOR @> (cdp_bitmap, cdp_bitmap) IS 'does the first set hold every member of the second?';
COMMENT ON OPERATOR <@ (cdp_bitmap, cdp_bitmap) IS 'does the second set hold every member of the first?';
COMMENT ON OPERATOR @> (cdp_bitmap, bigint) IS 'does the set hold the number?';
COMMENT ON OPERATOR <@ (bigint, cdp_bitmap) IS 'is the number in the set?';
COMMENT ON OPERATOR && (cdp_bitmap, cdp_bitmap) IS 'do the sets share a member?';
COMMENT ON OPERATOR = (cdp_bitmap, cdp_bitmap) IS 'do the sets have the same members?';
COMMENT ON OPERATOR <> (cdp_bitmap, cdp_bitmap) IS 'do the sets differ?';
"#,
    name = "cdp_bitmap_operators",
    requires = [
        "cdp_bitmap_type",
        cdp_bitmap_and,
        cdp_bitmap_or,
        cdp_bitmap_xor,
        cdp_bitmap_andnot,
        cdp_bitmap_and_cardinality,
        cdp_bitmap_or_cardinality,
        cdp_bitmap_xor_cardinality,
        cdp_bitmap_andnot_cardinality,
        cdp_bitmap_contains,
        cdp_bitmap_contains_value,
        cdp_bitmap_containedby,
        cdp_bitmap_containedby_value,
        cdp_bitmap_intersect,
        cdp_bitmap_equals,
        cdp_bitmap_not_equals,
        cdp_bitmap_add,
        cdp_bitmap_add_left,
        cdp_bitmap_remove,
        cdp_bitmap_cardinality,
        cdp_bitmap_is_empty,
        cdp_bitmap_min,
        cdp_bitmap_max,
        "cdp_bitmap_estimate"
    ]
);
