//! The order of sets and their hash: what DISTINCT, GROUP BY, ORDER BY, joins and indexes use.
//!
//! Sets compare as the arrays of their members do: `{}` < `{1}` < `{1,2}` < `{2}`. A B-tree index holds values up to about 2700
//! bytes; a hash index holds a set of any size, since it stores the hash alone.

use std::cmp::Ordering;

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::{BitmapBytes, treemap};
use crate::error::CdpError;

fn order(a: &BitmapBytes<'_>, b: &BitmapBytes<'_>) -> Result<Ordering, ErrorReport> {
    Ok(treemap::compare(a.bytes(), b.bytes()).map_err(CdpError::from)?)
}

/// Whether the first set comes before the second.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_lt(a: BitmapBytes<'_>, b: BitmapBytes<'_>) -> Result<bool, ErrorReport> {
    Ok(order(&a, &b)?.is_lt())
}

/// Whether the first set does not come after the second.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_le(a: BitmapBytes<'_>, b: BitmapBytes<'_>) -> Result<bool, ErrorReport> {
    Ok(order(&a, &b)?.is_le())
}

/// Whether the first set comes after the second.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_gt(a: BitmapBytes<'_>, b: BitmapBytes<'_>) -> Result<bool, ErrorReport> {
    Ok(order(&a, &b)?.is_gt())
}

/// Whether the first set does not come before the second.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_ge(a: BitmapBytes<'_>, b: BitmapBytes<'_>) -> Result<bool, ErrorReport> {
    Ok(order(&a, &b)?.is_ge())
}

/// -1, 0 or 1: the first set comes before, is, or comes after the second.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_cmp(a: BitmapBytes<'_>, b: BitmapBytes<'_>) -> Result<i32, ErrorReport> {
    Ok(order(&a, &b)? as i32)
}

/// A 32-bit hash of the members: the low half of [`cdp_bitmap_hash_extended`] with seed 0, as PostgreSQL asks.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_hash(bitmap: BitmapBytes<'_>) -> Result<i32, ErrorReport> {
    Ok(treemap::hash(bitmap.bytes(), 0).map_err(CdpError::from)? as i32)
}

/// A 64-bit hash of the members.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_hash_extended(bitmap: BitmapBytes<'_>, seed: i64) -> Result<i64, ErrorReport> {
    Ok(treemap::hash(bitmap.bytes(), seed.cast_unsigned()).map_err(CdpError::from)?.cast_signed())
}

extension_sql!(
    r#"
CREATE OPERATOR @extschema@.< (
    LEFTARG = cdp_bitmap, RIGHTARG = cdp_bitmap, FUNCTION = cdp_bitmap_lt,
    COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
CREATE OPERATOR @extschema@.<= (
    LEFTARG = cdp_bitmap, RIGHTARG = cdp_bitmap, FUNCTION = cdp_bitmap_le,
    COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
CREATE OPERATOR @extschema@.> (
    LEFTARG = cdp_bitmap, RIGHTARG = cdp_bitmap, FUNCTION = cdp_bitmap_gt,
    COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
CREATE OPERATOR @extschema@.>= (
    LEFTARG = cdp_bitmap, RIGHTARG = cdp_bitmap, FUNCTION = cdp_bitmap_ge,
    COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel, JOIN = scalargejoinsel
);
CREATE OPERATOR CLASS @extschema@.cdp_bitmap_ops DEFAULT FOR TYPE cdp_bitmap USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
    FUNCTION 1 cdp_bitmap_cmp(cdp_bitmap, cdp_bitmap);
CREATE OPERATOR CLASS @extschema@.cdp_bitmap_ops DEFAULT FOR TYPE cdp_bitmap USING hash AS
    OPERATOR 1 =,
    FUNCTION 1 cdp_bitmap_hash(cdp_bitmap),
    FUNCTION 2 cdp_bitmap_hash_extended(cdp_bitmap, bigint);

COMMENT ON FUNCTION cdp_bitmap_lt(cdp_bitmap, cdp_bitmap) IS 'does the first set come before the second?';
COMMENT ON FUNCTION cdp_bitmap_le(cdp_bitmap, cdp_bitmap) IS 'is the first set the second, or does it come before it?';
COMMENT ON FUNCTION cdp_bitmap_gt(cdp_bitmap, cdp_bitmap) IS 'does the first set come after the second?';
COMMENT ON FUNCTION cdp_bitmap_ge(cdp_bitmap, cdp_bitmap) IS 'is the first set the second, or does it come after it?';
COMMENT ON FUNCTION cdp_bitmap_cmp(cdp_bitmap, cdp_bitmap) IS '-1, 0 or 1: order of two sets';
COMMENT ON FUNCTION cdp_bitmap_hash(cdp_bitmap) IS 'hash of the members';
COMMENT ON FUNCTION cdp_bitmap_hash_extended(cdp_bitmap, bigint) IS '64-bit hash of the members';
COMMENT ON OPERATOR < (cdp_bitmap, cdp_bitmap) IS 'does the first set come before the second?';
COMMENT ON OPERATOR <= (cdp_bitmap, cdp_bitmap) IS 'is the first set the second, or does it come before it?';
COMMENT ON OPERATOR > (cdp_bitmap, cdp_bitmap) IS 'does the first set come after the second?';
COMMENT ON OPERATOR >= (cdp_bitmap, cdp_bitmap) IS 'is the first set the second, or does it come after it?';
COMMENT ON OPERATOR CLASS cdp_bitmap_ops USING btree IS 'order of sets: as the arrays of their members';
COMMENT ON OPERATOR CLASS cdp_bitmap_ops USING hash IS 'equality of sets';
COMMENT ON OPERATOR FAMILY cdp_bitmap_ops USING btree IS 'order of sets: as the arrays of their members';
COMMENT ON OPERATOR FAMILY cdp_bitmap_ops USING hash IS 'equality of sets';
"#,
    name = "cdp_bitmap_order",
    requires = [
        "cdp_bitmap_operators",
        cdp_bitmap_lt,
        cdp_bitmap_le,
        cdp_bitmap_gt,
        cdp_bitmap_ge,
        cdp_bitmap_cmp,
        cdp_bitmap_hash,
        cdp_bitmap_hash_extended
    ]
);
