//! Work over many rows of which some may be at fault: those are found by halving, and only they are left out.

use super::subtransaction::{self, SqlFailure};
use crate::error::CdpError;
use pgrx::pg_sys::panic::ErrorReport;

/// Runs `take(after, upto)` over the rows with `after < row <= upto`, in a subtransaction. When a value of a row is to blame that it failed, each half is taken by itself, down to
/// the row, which `blame` is told. So one bad row among n costs log2(n) attempts more.
///
/// # Errors
/// What no value of a row can be guilty of, and what `blame` returns.
pub fn halving(
    after: i64,
    upto: i64,
    mut take: impl FnMut(i64, i64) -> Result<(), ErrorReport>,
    mut blame: impl FnMut(i64, SqlFailure) -> Result<(), CdpError>,
) -> Result<(), CdpError> {
    let mut ranges = vec![(after, upto)];
    while let Some((after, upto)) = ranges.pop() {
        if after >= upto {
            continue;
        }
        pgrx::check_for_interrupts!();
        let Err(failure) = subtransaction::run(|| take(after, upto)) else { continue };
        if !failure.is_of_a_value() {
            return Err(failure.into());
        }
        if upto - after > 1 {
            let middle = after + (upto - after) / 2;
            ranges.extend([(middle, upto), (after, middle)]);
        } else {
            blame(upto, failure)?;
        }
    }
    Ok(())
}
