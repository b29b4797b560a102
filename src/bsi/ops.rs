//! Figures, arithmetic, equality and order.

use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::overload::overloads;
use super::slices::{self, Join};
use super::{Bsi, BsiBytes, StoredBsi, count, id};
use crate::bitmap::BitmapBytes;
use crate::error::{CdpError, quoted};

/// The index with an id set to a value, whether it had one or not.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_add_value(bsi: BsiBytes<'_>, id: i64, value: i64) -> Result<Bsi, ErrorReport> {
    let bytes = slices::set_value(bsi.bytes(), self::id(id)?, value).map_err(CdpError::from)?;
    Ok(Bsi::from_canonical(bytes))
}

fn combine(a: &BsiBytes<'_>, b: &BsiBytes<'_>, join: Join) -> Result<Bsi, CdpError> {
    Ok(Bsi::from_canonical(slices::combine(a.bytes(), b.bytes(), join)?))
}

/// The sum of the values by id; an id that only one has keeps its value.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_add(a: BsiBytes<'_>, b: BsiBytes<'_>) -> Result<Bsi, ErrorReport> {
    Ok(combine(&a, &b, Join::Add)?)
}

/// The ids and values of both; it is an error when they share an id.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_merge(a: BsiBytes<'_>, b: BsiBytes<'_>) -> Result<Bsi, ErrorReport> {
    Ok(combine(&a, &b, Join::Merge)?)
}

/// The value of an id; NULL when it has none. Of a large stored index the header and one container of each slice are fetched.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_get(bsi: StoredBsi<'_>, id: i64, call: pg_sys::FunctionCallInfo) -> Result<Option<i64>, ErrorReport> {
    // A negative number is no id, so it has no value.
    let Ok(id) = u64::try_from(id) else { return Ok(None) };
    let found = bsi.ask(call, |pieces| {
        let length = pieces.length();
        slices::get_from(pieces, length, id)
    });
    match found.transpose().map_err(CdpError::from)?.flatten() {
        Some(found) => Ok(found),
        None => Ok(slices::get(bsi.whole().bytes(), id).map_err(CdpError::from)?),
    }
}

overloads!(
    /// The number of ids that have a value.
    cdp_bsi_cardinality, cdp_bsi_cardinality_in, "cdp_bsi_cardinality",
    |bsi, filter| -> i64 => count(slices::cardinality(bsi, filter)?)
);

overloads!(
    /// The smallest value; NULL when there is none.
    cdp_bsi_min, cdp_bsi_min_in, "cdp_bsi_min",
    |bsi, filter| -> Option<i64> => Ok(slices::smallest(bsi, filter)?)
);

overloads!(
    /// The largest value; NULL when there is none.
    cdp_bsi_max, cdp_bsi_max_in, "cdp_bsi_max",
    |bsi, filter| -> Option<i64> => Ok(slices::largest(bsi, filter)?)
);

overloads!(
    /// The average value, as exact as avg(bigint); NULL when there is none.
    cdp_bsi_avg, cdp_bsi_avg_in, "cdp_bsi_avg",
    |bsi, filter| -> Option<AnyNumeric> => {
        let total = slices::sum(bsi, filter)?;
        Ok((total.count > 0).then(|| AnyNumeric::from(total.sum) / AnyNumeric::from(total.count)))
    }
);

/// The value of rank ceil(fraction × n) of n in ascending order, at least of rank 1: what percentile_disc gives.
fn quantile(bsi: &[u8], fraction: f64, filter: Option<&[u8]>) -> Result<Option<i64>, CdpError> {
    if !(0.0..=1.0).contains(&fraction) {
        return Err(CdpError::beyond(format!("fraction {} is not between 0 and 1", quoted(&fraction.to_string())))
            .with_hint("give 0.5 for the median, 0.99 for what 99 of 100 do not exceed"));
    }
    // A product of a fraction and a count is no larger than the count.
    let rank = |count: u64| ((fraction * count as f64).ceil() as u64).max(1);
    Ok(slices::quantile(bsi, rank, filter)?)
}

overloads!(
    /// The smallest value that at least `fraction` of the values do not exceed; NULL when there is none.
    cdp_bsi_quantile, cdp_bsi_quantile_in, "cdp_bsi_quantile",
    |bsi, filter, fraction: f64| -> Option<i64> => quantile(bsi, fraction, filter)
);

/// Whether two indexes have the same ids with the same values: their bytes are the same.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_equals(a: BsiBytes<'_>, b: BsiBytes<'_>) -> bool {
    a.bytes() == b.bytes()
}

/// Whether two indexes differ.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_not_equals(a: BsiBytes<'_>, b: BsiBytes<'_>) -> bool {
    a.bytes() != b.bytes()
}

/// An order for sorting, DISTINCT and merge joins: that of the bytes, which means nothing of the values.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_cmp(a: BsiBytes<'_>, b: BsiBytes<'_>) -> i32 {
    a.bytes().cmp(b.bytes()) as i32
}

/// Whether the first comes before the second in the order of [`cdp_bsi_cmp`].
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_before(a: BsiBytes<'_>, b: BsiBytes<'_>) -> bool {
    a.bytes() < b.bytes()
}

/// Whether the first is not after the second in the order of [`cdp_bsi_cmp`].
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_not_after(a: BsiBytes<'_>, b: BsiBytes<'_>) -> bool {
    a.bytes() <= b.bytes()
}

/// Whether the first comes after the second in the order of [`cdp_bsi_cmp`].
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_after(a: BsiBytes<'_>, b: BsiBytes<'_>) -> bool {
    a.bytes() > b.bytes()
}

/// Whether the first is not before the second in the order of [`cdp_bsi_cmp`].
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_not_before(a: BsiBytes<'_>, b: BsiBytes<'_>) -> bool {
    a.bytes() >= b.bytes()
}

extension_sql!(
    r#"
CREATE OPERATOR @extschema@.= (
    LEFTARG = cdp_bsi, RIGHTARG = cdp_bsi, FUNCTION = cdp_bsi_equals,
    COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
CREATE OPERATOR @extschema@.<> (
    LEFTARG = cdp_bsi, RIGHTARG = cdp_bsi, FUNCTION = cdp_bsi_not_equals,
    COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel
);
CREATE OPERATOR @extschema@.< (
    LEFTARG = cdp_bsi, RIGHTARG = cdp_bsi, FUNCTION = cdp_bsi_before,
    COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
CREATE OPERATOR @extschema@.<= (
    LEFTARG = cdp_bsi, RIGHTARG = cdp_bsi, FUNCTION = cdp_bsi_not_after,
    COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
CREATE OPERATOR @extschema@.> (
    LEFTARG = cdp_bsi, RIGHTARG = cdp_bsi, FUNCTION = cdp_bsi_after,
    COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
CREATE OPERATOR @extschema@.>= (
    LEFTARG = cdp_bsi, RIGHTARG = cdp_bsi, FUNCTION = cdp_bsi_not_before,
    COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel, JOIN = scalargejoinsel
);
CREATE OPERATOR FAMILY @extschema@.cdp_bsi_ops USING btree;
CREATE OPERATOR CLASS @extschema@.cdp_bsi_ops DEFAULT FOR TYPE cdp_bsi USING btree FAMILY @extschema@.cdp_bsi_ops AS
    OPERATOR 1 @extschema@.<, OPERATOR 2 @extschema@.<=, OPERATOR 3 @extschema@.=, OPERATOR 4 @extschema@.>=,
    OPERATOR 5 @extschema@.>, FUNCTION 1 cdp_bsi_cmp(cdp_bsi, cdp_bsi);
-- The stored bytes are hashed as bytea is: without a copy.
CREATE OPERATOR FAMILY @extschema@.cdp_bsi_ops USING hash;
CREATE OPERATOR CLASS @extschema@.cdp_bsi_ops DEFAULT FOR TYPE cdp_bsi USING hash FAMILY @extschema@.cdp_bsi_ops AS
    OPERATOR 1 @extschema@.=,
    FUNCTION 1 (cdp_bsi, cdp_bsi) pg_catalog.hashvarlena(internal),
    FUNCTION 2 (cdp_bsi, cdp_bsi) pg_catalog.hashvarlenaextended(internal, bigint);

COMMENT ON OPERATOR = (cdp_bsi, cdp_bsi) IS 'have the indexes the same ids with the same values?';
COMMENT ON OPERATOR <> (cdp_bsi, cdp_bsi) IS 'do the indexes differ?';
COMMENT ON OPERATOR < (cdp_bsi, cdp_bsi) IS 'order of the bytes: before';
COMMENT ON OPERATOR <= (cdp_bsi, cdp_bsi) IS 'order of the bytes: before or equal';
COMMENT ON OPERATOR > (cdp_bsi, cdp_bsi) IS 'order of the bytes: after';
COMMENT ON OPERATOR >= (cdp_bsi, cdp_bsi) IS 'order of the bytes: after or equal';
COMMENT ON OPERATOR FAMILY cdp_bsi_ops USING btree IS 'order of cdp_bsi by its bytes';
COMMENT ON OPERATOR CLASS cdp_bsi_ops USING btree IS 'order of cdp_bsi by its bytes';
COMMENT ON OPERATOR FAMILY cdp_bsi_ops USING hash IS 'equality of cdp_bsi';
COMMENT ON OPERATOR CLASS cdp_bsi_ops USING hash IS 'equality of cdp_bsi';
COMMENT ON FUNCTION cdp_bsi_add_value(cdp_bsi, bigint, bigint) IS 'index with an id set to a value, whether it had one or not';
COMMENT ON FUNCTION cdp_bsi_add(cdp_bsi, cdp_bsi) IS 'sum of the values by id';
COMMENT ON FUNCTION cdp_bsi_merge(cdp_bsi, cdp_bsi) IS 'ids and values of both indexes, which may not share an id';
COMMENT ON FUNCTION cdp_bsi_get(cdp_bsi, bigint) IS 'value of an id; NULL when it has none';
COMMENT ON FUNCTION cdp_bsi_cardinality(cdp_bsi) IS 'number of ids that have a value';
COMMENT ON FUNCTION cdp_bsi_cardinality(cdp_bsi, cdp_bitmap) IS 'number of ids of a set that have a value';
COMMENT ON FUNCTION cdp_bsi_min(cdp_bsi) IS 'smallest value; NULL when there is none';
COMMENT ON FUNCTION cdp_bsi_min(cdp_bsi, cdp_bitmap) IS 'smallest value of the ids of a set; NULL when there is none';
COMMENT ON FUNCTION cdp_bsi_max(cdp_bsi) IS 'largest value; NULL when there is none';
COMMENT ON FUNCTION cdp_bsi_max(cdp_bsi, cdp_bitmap) IS 'largest value of the ids of a set; NULL when there is none';
COMMENT ON FUNCTION cdp_bsi_avg(cdp_bsi) IS 'average value; NULL when there is none';
COMMENT ON FUNCTION cdp_bsi_avg(cdp_bsi, cdp_bitmap) IS 'average value of the ids of a set; NULL when there is none';
COMMENT ON FUNCTION cdp_bsi_quantile(cdp_bsi, double precision) IS 'smallest value that a fraction of the values do not exceed, as percentile_disc; NULL when there is none';
COMMENT ON FUNCTION cdp_bsi_quantile(cdp_bsi, double precision, cdp_bitmap) IS 'smallest value that a fraction of the values of the ids of a set do not exceed; NULL when there is none';
COMMENT ON FUNCTION cdp_bsi_equals(cdp_bsi, cdp_bsi) IS 'have the indexes the same ids with the same values?';
COMMENT ON FUNCTION cdp_bsi_not_equals(cdp_bsi, cdp_bsi) IS 'do the indexes differ?';
COMMENT ON FUNCTION cdp_bsi_cmp(cdp_bsi, cdp_bsi) IS 'order of the bytes: -1, 0 or 1';
COMMENT ON FUNCTION cdp_bsi_before(cdp_bsi, cdp_bsi) IS 'order of the bytes: before';
COMMENT ON FUNCTION cdp_bsi_not_after(cdp_bsi, cdp_bsi) IS 'order of the bytes: before or equal';
COMMENT ON FUNCTION cdp_bsi_after(cdp_bsi, cdp_bsi) IS 'order of the bytes: after';
COMMENT ON FUNCTION cdp_bsi_not_before(cdp_bsi, cdp_bsi) IS 'order of the bytes: after or equal';
"#,
    name = "cdp_bsi_operators",
    requires = [
        "cdp_bsi_type",
        "cdp_bitmap_type",
        cdp_bsi_add_value,
        cdp_bsi_add,
        cdp_bsi_merge,
        cdp_bsi_get,
        cdp_bsi_cardinality,
        cdp_bsi_cardinality_in,
        cdp_bsi_min,
        cdp_bsi_min_in,
        cdp_bsi_max,
        cdp_bsi_max_in,
        cdp_bsi_avg,
        cdp_bsi_avg_in,
        cdp_bsi_quantile,
        cdp_bsi_quantile_in,
        cdp_bsi_equals,
        cdp_bsi_not_equals,
        cdp_bsi_cmp,
        cdp_bsi_before,
        cdp_bsi_not_after,
        cdp_bsi_after,
        cdp_bsi_not_before
    ]
);
