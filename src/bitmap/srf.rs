//! The members of a set as rows.

use pgrx::datum::Internal;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::treemap::{self, Members};
use super::{BitmapBytes, bigint};
use crate::error::CdpError;
use crate::pg::planner;
use crate::pg::varlena::Kept;

/// The members, ascending.
#[pg_extern(immutable, strict, parallel_safe, support = cdp_bitmap_members_support)]
fn cdp_members(bitmap: BitmapBytes<'_>) -> SetOfIterator<'static, i64> {
    SetOfIterator::new(Walk::new(bitmap))
}

/// The members, ascending: pg_roaringbitmap's name for [`cdp_members`].
#[pg_extern(immutable, strict, parallel_safe, support = cdp_bitmap_members_support)]
fn cdp_bitmap_iterate(bitmap: BitmapBytes<'_>) -> SetOfIterator<'static, i64> {
    SetOfIterator::new(Walk::new(bitmap))
}

/// Tells the planner how many rows a constant set has.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bitmap_members_support(request: Internal) -> Internal {
    planner::rows_of_constant(&request, |bytes| treemap::cardinality(bytes).ok().map(|rows| rows as f64))
}

/// A walk that keeps the serialised bytes and one container's values.
struct Walk {
    bytes: Kept,
    members: Members,
}

impl Walk {
    fn new(bitmap: BitmapBytes<'_>) -> Self {
        Walk { bytes: bitmap.keep(), members: Members::new() }
    }
}

impl Iterator for Walk {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        let next = self.members.next(self.bytes.bytes()).map_err(CdpError::from);
        match next.and_then(|member| member.map(bigint).transpose()) {
            Ok(member) => member,
            Err(error) => error.raise(),
        }
    }
}

/// The number of members.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_count(bitmap: BitmapBytes<'_>) -> Result<i64, ErrorReport> {
    let members = treemap::cardinality(bitmap.bytes()).map_err(CdpError::from)?;
    Ok(super::count(members)?)
}

extension_sql!(
    r#"
COMMENT ON FUNCTION cdp_members(cdp_bitmap) IS 'members of a set as rows, ascending';
COMMENT ON FUNCTION cdp_bitmap_iterate(cdp_bitmap) IS 'members of a set as rows, ascending';
COMMENT ON FUNCTION cdp_bitmap_members_support(internal) IS 'planner support: number of rows of a constant set';
COMMENT ON FUNCTION cdp_count(cdp_bitmap) IS 'number of members of a set';
"#,
    name = "cdp_bitmap_rows",
    requires = ["cdp_bitmap_type", cdp_members, cdp_bitmap_iterate, cdp_bitmap_members_support, cdp_count]
);
