//! Ids by value: sets out of an index.
//!
//! Constants may be any `bigint`: what lies outside the stored values compares as it should. The filter is a set of ids to
//! which the question is limited, which is cheaper than intersecting afterwards.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::overload::overloads;
use super::slices::{self, Comparison};
use super::{Bsi, BsiBytes, chosen};
use crate::bitmap::{Bitmap, BitmapBytes};
use crate::error::{CdpError, quoted};

fn compare(bsi: &[u8], comparison: Comparison, filter: Option<&[u8]>) -> Result<Bitmap, CdpError> {
    Ok(Bitmap::from_canonical(slices::compare(bsi, comparison, filter)?))
}

/// `op` as it is written in `cdp_bsi_compare`, in any case.
fn comparison(op: &str, a: i64, b: Option<i64>) -> Result<Comparison, CdpError> {
    let unary = |comparison| match b {
        None => Ok(comparison),
        Some(_) => Err(CdpError::invalid_parameter(format!("comparison {} takes one value", quoted(op)))
            .with_hint("leave the second value out; two values are for RANGE")),
    };
    match (op.to_ascii_uppercase().as_str(), b) {
        ("EQ", _) => unary(Comparison::Eq(a)),
        ("NEQ", _) => unary(Comparison::Neq(a)),
        ("LT", _) => unary(Comparison::Lt(a)),
        ("LE", _) => unary(Comparison::Le(a)),
        ("GT", _) => unary(Comparison::Gt(a)),
        ("GE", _) => unary(Comparison::Ge(a)),
        ("RANGE", Some(b)) => Ok(Comparison::Range(a, b)),
        ("RANGE", None) => Err(CdpError::invalid_parameter(format!("comparison {} takes two values", quoted(op)))
            .with_hint("give the smallest and the largest value, for example cdp_bsi_compare('RANGE', bsi, 10, 20)")),
        _ => Err(CdpError::invalid_parameter(format!("unknown comparison {}", quoted(op)))
            .with_hint("write EQ, NEQ, LT, LE, GT, GE or RANGE")),
    }
}

overloads!(
    /// The ids whose value is equal to a number.
    cdp_bsi_eq, cdp_bsi_eq_in, "cdp_bsi_eq",
    |bsi, filter, value: i64| -> Bitmap => compare(bsi, Comparison::Eq(value), filter)
);

overloads!(
    /// The ids whose value is other than a number.
    cdp_bsi_neq, cdp_bsi_neq_in, "cdp_bsi_neq",
    |bsi, filter, value: i64| -> Bitmap => compare(bsi, Comparison::Neq(value), filter)
);

overloads!(
    /// The ids whose value is less than a number.
    cdp_bsi_lt, cdp_bsi_lt_in, "cdp_bsi_lt",
    |bsi, filter, value: i64| -> Bitmap => compare(bsi, Comparison::Lt(value), filter)
);

overloads!(
    /// The ids whose value is at most a number.
    cdp_bsi_le, cdp_bsi_le_in, "cdp_bsi_le",
    |bsi, filter, value: i64| -> Bitmap => compare(bsi, Comparison::Le(value), filter)
);

overloads!(
    /// The ids whose value is greater than a number.
    cdp_bsi_gt, cdp_bsi_gt_in, "cdp_bsi_gt",
    |bsi, filter, value: i64| -> Bitmap => compare(bsi, Comparison::Gt(value), filter)
);

overloads!(
    /// The ids whose value is at least a number.
    cdp_bsi_ge, cdp_bsi_ge_in, "cdp_bsi_ge",
    |bsi, filter, value: i64| -> Bitmap => compare(bsi, Comparison::Ge(value), filter)
);

overloads!(
    /// The ids whose value is from `low` to `high`, both included.
    cdp_bsi_range, cdp_bsi_range_in, "cdp_bsi_range",
    |bsi, filter, low: i64, high: i64| -> Bitmap => compare(bsi, Comparison::Range(low, high), filter)
);

/// The ids whose value compares with `a` as `op` says: EQ, NEQ, LT, LE, GT or GE.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_compare(op: &str, bsi: BsiBytes<'_>, a: i64) -> Result<Bitmap, ErrorReport> {
    Ok(compare(bsi.bytes(), comparison(op, a, None)?, None)?)
}

/// The ids whose value is from `a` to `b`, where `op` is RANGE.
#[pg_extern(immutable, strict, parallel_safe, name = "cdp_bsi_compare")]
fn cdp_bsi_compare_two(op: &str, bsi: BsiBytes<'_>, a: i64, b: i64) -> Result<Bitmap, ErrorReport> {
    Ok(compare(bsi.bytes(), comparison(op, a, Some(b))?, None)?)
}

/// The same with one number, of the ids in a set.
#[pg_extern(immutable, strict, parallel_safe, name = "cdp_bsi_compare")]
fn cdp_bsi_compare_in(op: &str, bsi: BsiBytes<'_>, filter: BitmapBytes<'_>, a: i64) -> Result<Bitmap, ErrorReport> {
    Ok(compare(bsi.bytes(), comparison(op, a, None)?, Some(filter.bytes()))?)
}

/// The same with two numbers, of the ids in a set.
#[pg_extern(immutable, strict, parallel_safe, name = "cdp_bsi_compare")]
fn cdp_bsi_compare_two_in(
    op: &str,
    bsi: BsiBytes<'_>,
    filter: BitmapBytes<'_>,
    a: i64,
    b: i64,
) -> Result<Bitmap, ErrorReport> {
    Ok(compare(bsi.bytes(), comparison(op, a, Some(b))?, Some(filter.bytes()))?)
}

/// The index without the ids that are not in a set.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_filter(bsi: BsiBytes<'_>, filter: BitmapBytes<'_>) -> Result<Bsi, ErrorReport> {
    Ok(Bsi::from_canonical(slices::restrict(bsi.bytes(), filter.bytes()).map_err(CdpError::from)?))
}

/// The ids that have a value.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_ebm(bsi: BsiBytes<'_>) -> Result<Bitmap, ErrorReport> {
    let open = slices::Bsi::open(bsi.bytes()).map_err(CdpError::from)?;
    Ok(Bitmap::from_canonical(open.existence().to_vec()))
}

fn top(bsi: &BsiBytes<'_>, k: i64, filter: Option<&BitmapBytes<'_>>) -> Result<Bitmap, CdpError> {
    let k = u64::try_from(k).map_err(|_| {
        CdpError::invalid_parameter(format!("k must not be negative: {}", quoted(&k.to_string())))
            .with_hint("give how many ids you want, 0 or more")
    })?;
    Ok(Bitmap::from_canonical(slices::top(bsi.bytes(), k, chosen(filter))?))
}

/// The `k` ids with the largest values; among equal values the lowest ids. All ids when there are no more.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_topk(bsi: BsiBytes<'_>, k: i64) -> Result<Bitmap, ErrorReport> {
    Ok(top(&bsi, k, None)?)
}

/// The same, of the ids in a set.
#[pg_extern(immutable, strict, parallel_safe, name = "cdp_bsi_topk")]
fn cdp_bsi_topk_in(bsi: BsiBytes<'_>, filter: BitmapBytes<'_>, k: i64) -> Result<Bitmap, ErrorReport> {
    Ok(top(&bsi, k, Some(&filter))?)
}

extension_sql!(
    r#"
COMMENT ON FUNCTION cdp_bsi_eq(cdp_bsi, bigint) IS 'ids whose value is equal to a number';
COMMENT ON FUNCTION cdp_bsi_eq(cdp_bsi, bigint, cdp_bitmap) IS 'ids of a set whose value is equal to a number';
COMMENT ON FUNCTION cdp_bsi_neq(cdp_bsi, bigint) IS 'ids whose value is other than a number';
COMMENT ON FUNCTION cdp_bsi_neq(cdp_bsi, bigint, cdp_bitmap) IS 'ids of a set whose value is other than a number';
COMMENT ON FUNCTION cdp_bsi_lt(cdp_bsi, bigint) IS 'ids whose value is less than a number';
COMMENT ON FUNCTION cdp_bsi_lt(cdp_bsi, bigint, cdp_bitmap) IS 'ids of a set whose value is less than a number';
COMMENT ON FUNCTION cdp_bsi_le(cdp_bsi, bigint) IS 'ids whose value is at most a number';
COMMENT ON FUNCTION cdp_bsi_le(cdp_bsi, bigint, cdp_bitmap) IS 'ids of a set whose value is at most a number';
COMMENT ON FUNCTION cdp_bsi_gt(cdp_bsi, bigint) IS 'ids whose value is greater than a number';
COMMENT ON FUNCTION cdp_bsi_gt(cdp_bsi, bigint, cdp_bitmap) IS 'ids of a set whose value is greater than a number';
COMMENT ON FUNCTION cdp_bsi_ge(cdp_bsi, bigint) IS 'ids whose value is at least a number';
COMMENT ON FUNCTION cdp_bsi_ge(cdp_bsi, bigint, cdp_bitmap) IS 'ids of a set whose value is at least a number';
COMMENT ON FUNCTION cdp_bsi_range(cdp_bsi, bigint, bigint) IS 'ids whose value is in a closed interval';
COMMENT ON FUNCTION cdp_bsi_range(cdp_bsi, bigint, bigint, cdp_bitmap) IS 'ids of a set whose value is in a closed interval';
COMMENT ON FUNCTION cdp_bsi_compare(text, cdp_bsi, bigint) IS 'ids whose value compares with a number as EQ, NEQ, LT, LE, GT or GE says';
COMMENT ON FUNCTION cdp_bsi_compare(text, cdp_bsi, bigint, bigint) IS 'ids whose value is in a closed interval: RANGE';
COMMENT ON FUNCTION cdp_bsi_compare(text, cdp_bsi, cdp_bitmap, bigint) IS 'ids of a set whose value compares with a number as EQ, NEQ, LT, LE, GT or GE says';
COMMENT ON FUNCTION cdp_bsi_compare(text, cdp_bsi, cdp_bitmap, bigint, bigint) IS 'ids of a set whose value is in a closed interval: RANGE';
COMMENT ON FUNCTION cdp_bsi_filter(cdp_bsi, cdp_bitmap) IS 'index without the ids that are not in a set';
COMMENT ON FUNCTION cdp_bsi_ebm(cdp_bsi) IS 'ids that have a value';
COMMENT ON FUNCTION cdp_bsi_topk(cdp_bsi, bigint) IS 'ids with the k largest values, ties by lowest id';
COMMENT ON FUNCTION cdp_bsi_topk(cdp_bsi, cdp_bitmap, bigint) IS 'ids of a set with the k largest values, ties by lowest id';
"#,
    name = "cdp_bsi_comparisons",
    requires = [
        "cdp_bsi_type",
        "cdp_bitmap_type",
        cdp_bsi_eq,
        cdp_bsi_eq_in,
        cdp_bsi_neq,
        cdp_bsi_neq_in,
        cdp_bsi_lt,
        cdp_bsi_lt_in,
        cdp_bsi_le,
        cdp_bsi_le_in,
        cdp_bsi_gt,
        cdp_bsi_gt_in,
        cdp_bsi_ge,
        cdp_bsi_ge_in,
        cdp_bsi_range,
        cdp_bsi_range_in,
        cdp_bsi_compare,
        cdp_bsi_compare_two,
        cdp_bsi_compare_in,
        cdp_bsi_compare_two_in,
        cdp_bsi_filter,
        cdp_bsi_ebm,
        cdp_bsi_topk,
        cdp_bsi_topk_in
    ]
);
