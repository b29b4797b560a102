//! Casts between `cdp_bitmap` and `bytea`, `bigint[]`, `int[]`.

use pgrx::Array;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use roaring::RoaringTreemap;

use super::treemap::{self, Members};
use super::{Bitmap, BitmapBytes, bigint, io, member};
use crate::error::CdpError;
use crate::pg::array::{BigintArray, MOST_ELEMENTS};
use crate::pg::interrupt::Pulse;

/// The set with the bytes of the portable 64-bit Roaring format, checked in full.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_from_bytea(bytes: &[u8]) -> Result<Bitmap, ErrorReport> {
    Ok(io::read_bytes(bytes)?)
}

/// The set of the numbers in an array; a NULL element is an error, as in pg_roaringbitmap.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_build(members: Array<'_, i64>) -> Result<Bitmap, ErrorReport> {
    Ok(build(members.iter())?)
}

/// The same for `int[]`, so that `ARRAY[1,2,3]::cdp_bitmap` works.
#[pg_extern(immutable, strict, parallel_safe, name = "cdp_bitmap_build")]
fn cdp_bitmap_build_int(members: Array<'_, i32>) -> Result<Bitmap, ErrorReport> {
    Ok(build(members.iter().map(|value| value.map(i64::from)))?)
}

fn build(values: impl Iterator<Item = Option<i64>>) -> Result<Bitmap, CdpError> {
    let mut set = RoaringTreemap::new();
    let mut pulse = Pulse::new();
    for value in values {
        let Some(value) = value else {
            return Err(CdpError::null_value("array must not contain nulls")
                .with_hint("remove them with array_remove(members, NULL)"));
        };
        set.insert(member(value)?);
        pulse.tick();
    }
    Ok(Bitmap::new(set))
}

/// The members as an array, ascending.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_to_array(bitmap: BitmapBytes<'_>) -> Result<BigintArray, ErrorReport> {
    let bytes = bitmap.bytes();
    let length = treemap::cardinality(bytes).map_err(CdpError::from)?;
    if length > MOST_ELEMENTS as u64 {
        return Err(CdpError::limit("the cdp_bitmap has too many members for an array")
            .with_detail(format!("it has {length}, an array holds at most {MOST_ELEMENTS}"))
            .with_hint("read them with cdp_members()")
            .into());
    }
    let mut members = Members::new();
    let mut pulse = Pulse::new();
    Ok(BigintArray::write(length as usize, || {
        pulse.tick();
        match members.next(bytes)? {
            Some(member) => bigint(member),
            None => Err(CdpError::corrupted(super::TYPE_NAME)),
        }
    })?)
}

extension_sql!(
    r#"
CREATE CAST (bytea AS cdp_bitmap) WITH FUNCTION cdp_bitmap_from_bytea(bytea);
-- The stored bytes are the bytes.
CREATE CAST (cdp_bitmap AS bytea) WITHOUT FUNCTION;
CREATE CAST (bigint[] AS cdp_bitmap) WITH FUNCTION cdp_bitmap_build(bigint[]) AS ASSIGNMENT;
CREATE CAST (int[] AS cdp_bitmap) WITH FUNCTION cdp_bitmap_build(int[]) AS ASSIGNMENT;
CREATE CAST (cdp_bitmap AS bigint[]) WITH FUNCTION cdp_bitmap_to_array(cdp_bitmap);

COMMENT ON FUNCTION cdp_bitmap_from_bytea(bytea) IS 'set with these bytes of the portable 64-bit Roaring format';
COMMENT ON FUNCTION cdp_bitmap_build(bigint[]) IS 'set of the numbers in an array';
COMMENT ON FUNCTION cdp_bitmap_build(int[]) IS 'set of the numbers in an array';
COMMENT ON FUNCTION cdp_bitmap_to_array(cdp_bitmap) IS 'members of a set as an array, ascending';
COMMENT ON CAST (bytea AS cdp_bitmap) IS 'set with these bytes of the portable 64-bit Roaring format, fully checked';
COMMENT ON CAST (cdp_bitmap AS bytea) IS 'bytes of a set in the portable 64-bit Roaring format';
COMMENT ON CAST (bigint[] AS cdp_bitmap) IS 'set of the numbers in an array';
COMMENT ON CAST (int[] AS cdp_bitmap) IS 'set of the numbers in an array';
COMMENT ON CAST (cdp_bitmap AS bigint[]) IS 'members of a set as an array, ascending';
"#,
    name = "cdp_bitmap_casts",
    requires = ["cdp_bitmap_type", cdp_bitmap_from_bytea, cdp_bitmap_build, cdp_bitmap_build_int, cdp_bitmap_to_array]
);
