//! Rows out of an index: pairs, distinct values, sums, counts by interval.

#![allow(clippy::type_complexity, reason = "pgrx reads the columns of a result from its type as it is written")]

use pgrx::datum::{Array, Internal};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::overload::overloads;
use super::slices::{self, Pairs};
use super::{BsiBytes, bigint, chosen, count, io};
use crate::bitmap::BitmapBytes;
use crate::error::{CdpError, quoted};
use crate::pg::array::BigintArray;
use crate::pg::planner;
use crate::pg::varlena::Kept;

/// The ids and their values, ascending by id.
#[pg_extern(immutable, strict, parallel_safe, support = cdp_bsi_iterate_support)]
fn cdp_bsi_iterate(bsi: BsiBytes<'_>) -> TableIterator<'static, (name!(id, i64), name!(value, i64))> {
    TableIterator::new(Walk { bytes: bsi.keep(), pairs: Pairs::new() })
}

/// Tells the planner how many rows a constant index has.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_iterate_support(request: Internal) -> Internal {
    planner::rows_of_constant(&request, |bytes| slices::cardinality(bytes, None).ok().map(|rows| rows as f64))
}

/// A walk that keeps the bytes and some tens of thousands of pairs.
struct Walk {
    bytes: Kept,
    pairs: Pairs,
}

impl Iterator for Walk {
    type Item = (i64, i64);

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.pairs.next(self.bytes.bytes()).map_err(CdpError::from);
        match next.and_then(|pair| pair.map(|(id, value)| Ok((bigint(id)?, value))).transpose()) {
            Ok(pair) => pair,
            Err(error) => error.raise(),
        }
    }
}

/// The first five pairs as a text, for a look at an index.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_show(bsi: BsiBytes<'_>) -> Result<String, ErrorReport> {
    Ok(show(&bsi, 5)?)
}

/// The first `pairs` pairs as a text.
#[pg_extern(immutable, strict, parallel_safe, name = "cdp_bsi_show")]
fn cdp_bsi_show_some(bsi: BsiBytes<'_>, pairs: i32) -> Result<String, ErrorReport> {
    Ok(show(&bsi, pairs)?)
}

fn show(bsi: &BsiBytes<'_>, pairs: i32) -> Result<String, CdpError> {
    let most = usize::try_from(pairs).map_err(|_| {
        CdpError::invalid_parameter(format!("the number of pairs must not be negative: {}", quoted(&pairs.to_string())))
            .with_hint("give how many pairs you want to see, 0 or more")
    })?;
    String::from_utf8(io::pairs_text(bsi.bytes(), most)?).map_err(|_| CdpError::internal("a text form is not UTF-8"))
}

fn total(bsi: &BsiBytes<'_>, filter: Option<&BitmapBytes<'_>>) -> Result<(Option<AnyNumeric>, i64), CdpError> {
    let total = slices::sum(bsi.bytes(), chosen(filter))?;
    Ok(((total.count > 0).then(|| AnyNumeric::from(total.sum)), count(total.count)?))
}

/// Sum and number of the values, in one row; the sum of none is NULL.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_sum(
    bsi: BsiBytes<'_>,
) -> Result<TableIterator<'static, (name!(sum, Option<AnyNumeric>), name!(count, i64))>, ErrorReport> {
    Ok(TableIterator::once(total(&bsi, None)?))
}

/// The same, of the ids in a set.
#[pg_extern(immutable, strict, parallel_safe, name = "cdp_bsi_sum")]
fn cdp_bsi_sum_in(
    bsi: BsiBytes<'_>,
    filter: BitmapBytes<'_>,
) -> Result<TableIterator<'static, (name!(sum, Option<AnyNumeric>), name!(count, i64))>, ErrorReport> {
    Ok(TableIterator::once(total(&bsi, Some(&filter))?))
}

overloads!(
    /// The distinct values, ascending.
    cdp_bsi_transpose, cdp_bsi_transpose_in, "cdp_bsi_transpose",
    |bsi, filter| -> BigintArray => {
        let distinct = slices::distinct(bsi, filter)?;
        let mut values = distinct.iter().map(|(value, _)| *value);
        BigintArray::write(distinct.len(), || {
            values.next().ok_or_else(|| CdpError::internal("fewer values than announced"))
        })
    }
);

fn counts(bsi: &BsiBytes<'_>, filter: Option<&BitmapBytes<'_>>) -> Result<Vec<(i64, i64)>, CdpError> {
    slices::distinct(bsi.bytes(), chosen(filter))?.into_iter().map(|(value, n)| Ok((value, count(n)?))).collect()
}

/// The distinct values, ascending, and how many ids have each.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_transpose_with_count(
    bsi: BsiBytes<'_>,
) -> Result<TableIterator<'static, (name!(value, i64), name!(count, i64))>, ErrorReport> {
    Ok(TableIterator::new(counts(&bsi, None)?))
}

/// The same, of the ids in a set.
#[pg_extern(immutable, strict, parallel_safe, name = "cdp_bsi_transpose_with_count")]
fn cdp_bsi_transpose_with_count_in(
    bsi: BsiBytes<'_>,
    filter: BitmapBytes<'_>,
) -> Result<TableIterator<'static, (name!(value, i64), name!(count, i64))>, ErrorReport> {
    Ok(TableIterator::new(counts(&bsi, Some(&filter))?))
}

/// Bounds that ascend.
fn ascending(bounds: &Array<'_, i64>) -> Result<Vec<i64>, CdpError> {
    let mut out: Vec<i64> = Vec::with_capacity(bounds.len());
    for bound in bounds.iter() {
        let Some(bound) = bound else {
            return Err(CdpError::null_value("array of bounds must not contain nulls")
                .with_hint("remove them with array_remove(bounds, NULL)"));
        };
        if let Some(last) = out.last().filter(|last| **last >= bound) {
            return Err(CdpError::invalid_parameter(format!("bound {bound} comes after {last}"))
                .with_hint("give the bounds in ascending order, each once"));
        }
        out.push(bound);
    }
    Ok(out)
}

/// A part of the values: above the first bound, up to and with the second; open without one.
type Interval = (Option<i64>, Option<i64>, u64);

/// The values cut at the bounds: one interval more than bounds.
fn intervals(bounds: &[i64], bsi: &BsiBytes<'_>, filter: Option<&BitmapBytes<'_>>) -> Result<Vec<Interval>, CdpError> {
    let lows = std::iter::once(None).chain(bounds.iter().copied().map(Some));
    let highs = bounds.iter().copied().map(Some).chain([None]);
    let ends: Vec<(Option<i64>, Option<i64>)> = lows.zip(highs).collect();
    // Above the largest bigint there is nothing: an interval whose low end lies above its high end is empty.
    let closed = |(low, high): &(Option<i64>, Option<i64>)| match low.map(|low| low.checked_add(1)) {
        Some(None) => (1, 0),
        Some(Some(low)) => (low, high.unwrap_or(i64::MAX)),
        None => (i64::MIN, high.unwrap_or(i64::MAX)),
    };
    let asked: Vec<(i64, i64)> = ends.iter().map(closed).collect();
    let counts = slices::count_between(bsi.bytes(), &asked, chosen(filter))?;
    Ok(ends.into_iter().zip(counts).map(|((low, high), count)| (low, high, count)).collect())
}

/// `(0,1]=0;(1,3]=1;(3,8]=2`: the first interval begins at 0, or below the smallest value when that is not positive; the
/// last one ends at the largest value, and is left out when the last bound is not below it.
fn stat(bounds: &Array<'_, i64>, bsi: &BsiBytes<'_>, filter: Option<&BitmapBytes<'_>>) -> Result<String, CdpError> {
    let bounds = ascending(bounds)?;
    let open = slices::Bsi::open(bsi.bytes())?;
    let below = |value: Option<&i64>| value.map_or(0, |value| i128::from(*value) - 1);
    let start = below(open.base().as_ref()).min(below(bounds.first())).min(0);
    let mut parts = Vec::new();
    for (low, high, count) in intervals(&bounds, bsi, filter)? {
        let low = low.map_or(start, i128::from);
        let Some(high) = high.or(open.max()) else { continue };
        if i128::from(high) > low {
            parts.push(format!("({low},{high}]={count}"));
        }
    }
    Ok(parts.join(";"))
}

/// How many values lie between bounds, as a text; see [`stat`].
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_stat(bounds: Array<'_, i64>, bsi: BsiBytes<'_>) -> Result<String, ErrorReport> {
    Ok(stat(&bounds, &bsi, None)?)
}

/// The same, of the ids in a set.
#[pg_extern(immutable, strict, parallel_safe, name = "cdp_bsi_stat")]
fn cdp_bsi_stat_in(bounds: Array<'_, i64>, bsi: BsiBytes<'_>, filter: BitmapBytes<'_>) -> Result<String, ErrorReport> {
    Ok(stat(&bounds, &bsi, Some(&filter))?)
}

fn histogram(
    bounds: &Array<'_, i64>,
    bsi: &BsiBytes<'_>,
    filter: Option<&BitmapBytes<'_>>,
) -> Result<Vec<(Option<i64>, Option<i64>, i64)>, CdpError> {
    let rows = intervals(&ascending(bounds)?, bsi, filter)?;
    rows.into_iter().map(|(low, high, n)| Ok((low, high, count(n)?))).collect()
}

/// How many values lie between bounds, as rows: above `above`, up to and with `up_to`; NULL is no bound.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_histogram(
    bounds: Array<'_, i64>,
    bsi: BsiBytes<'_>,
) -> Result<
    TableIterator<'static, (name!(above, Option<i64>), name!(up_to, Option<i64>), name!(count, i64))>,
    ErrorReport,
> {
    Ok(TableIterator::new(histogram(&bounds, &bsi, None)?))
}

/// The same, of the ids in a set.
#[pg_extern(immutable, strict, parallel_safe, name = "cdp_bsi_histogram")]
fn cdp_bsi_histogram_in(
    bounds: Array<'_, i64>,
    bsi: BsiBytes<'_>,
    filter: BitmapBytes<'_>,
) -> Result<
    TableIterator<'static, (name!(above, Option<i64>), name!(up_to, Option<i64>), name!(count, i64))>,
    ErrorReport,
> {
    Ok(TableIterator::new(histogram(&bounds, &bsi, Some(&filter))?))
}

extension_sql!(
    r#"
ALTER FUNCTION cdp_bsi_sum(cdp_bsi) ROWS 1;
ALTER FUNCTION cdp_bsi_sum(cdp_bsi, cdp_bitmap) ROWS 1;
ALTER FUNCTION cdp_bsi_histogram(bigint[], cdp_bsi) ROWS 10;
ALTER FUNCTION cdp_bsi_histogram(bigint[], cdp_bsi, cdp_bitmap) ROWS 10;
COMMENT ON FUNCTION cdp_bsi_iterate(cdp_bsi) IS 'ids and values as rows, ascending by id';
COMMENT ON FUNCTION cdp_bsi_iterate_support(internal) IS 'planner support: number of rows of a constant index';
COMMENT ON FUNCTION cdp_bsi_show(cdp_bsi) IS 'first five pairs as text';
COMMENT ON FUNCTION cdp_bsi_show(cdp_bsi, integer) IS 'first pairs as text';
COMMENT ON FUNCTION cdp_bsi_sum(cdp_bsi) IS 'sum and number of the values, in one row';
COMMENT ON FUNCTION cdp_bsi_sum(cdp_bsi, cdp_bitmap) IS 'sum and number of the values of the ids of a set, in one row';
COMMENT ON FUNCTION cdp_bsi_transpose(cdp_bsi) IS 'distinct values, ascending';
COMMENT ON FUNCTION cdp_bsi_transpose(cdp_bsi, cdp_bitmap) IS 'distinct values of the ids of a set, ascending';
COMMENT ON FUNCTION cdp_bsi_transpose_with_count(cdp_bsi) IS 'distinct values and how many ids have each';
COMMENT ON FUNCTION cdp_bsi_transpose_with_count(cdp_bsi, cdp_bitmap) IS 'distinct values and how many ids of a set have each';
COMMENT ON FUNCTION cdp_bsi_stat(bigint[], cdp_bsi) IS 'how many values lie between bounds, as text';
COMMENT ON FUNCTION cdp_bsi_stat(bigint[], cdp_bsi, cdp_bitmap) IS 'how many values of the ids of a set lie between bounds, as text';
COMMENT ON FUNCTION cdp_bsi_histogram(bigint[], cdp_bsi) IS 'how many values lie between bounds, as rows';
COMMENT ON FUNCTION cdp_bsi_histogram(bigint[], cdp_bsi, cdp_bitmap) IS 'how many values of the ids of a set lie between bounds, as rows';
"#,
    name = "cdp_bsi_rows",
    requires = [
        "cdp_bsi_type",
        "cdp_bitmap_type",
        cdp_bsi_iterate,
        cdp_bsi_iterate_support,
        cdp_bsi_show,
        cdp_bsi_show_some,
        cdp_bsi_sum,
        cdp_bsi_sum_in,
        cdp_bsi_transpose,
        cdp_bsi_transpose_in,
        cdp_bsi_transpose_with_count,
        cdp_bsi_transpose_with_count_in,
        cdp_bsi_stat,
        cdp_bsi_stat_in,
        cdp_bsi_histogram,
        cdp_bsi_histogram_in
    ]
);
