//! Casts between `cdp_bsi` and `bytea`, and building an index from arrays.

use pgrx::Array;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::slices::Build;
use super::{Bsi, id, io};
use crate::error::CdpError;
use crate::pg::interrupt::Pulse;

/// The index with these bytes, checked in full.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_from_bytea(bytes: &[u8]) -> Result<Bsi, ErrorReport> {
    Ok(io::read_bytes(bytes)?)
}

/// The index of ids and values that stand at the same place of two arrays. A NULL value is an absent one; a NULL id is an
/// error, and so are arrays of different lengths and an id with two different values.
#[pg_extern(immutable, strict, parallel_safe)]
fn cdp_bsi_build(ids: Array<'_, i64>, values: Array<'_, i64>) -> Result<Bsi, ErrorReport> {
    Ok(build(&ids, &values)?)
}

fn build(ids: &Array<'_, i64>, values: &Array<'_, i64>) -> Result<Bsi, CdpError> {
    if ids.len() != values.len() {
        return Err(CdpError::invalid_parameter(format!(
            "the arrays of ids and values differ in length: {} and {}",
            ids.len(),
            values.len()
        ))
        .with_hint("give arrays of the same length; a NULL in the second is an absent value"));
    }
    let mut build = Build::new();
    let mut pulse = Pulse::new();
    for (key, value) in ids.iter().zip(values.iter()) {
        let Some(key) = key else {
            return Err(CdpError::null_value("array of ids must not contain nulls")
                .with_hint("build from rows with cdp_bsi_build_agg(id, value), which leaves NULL ids out"));
        };
        let key = id(key)?;
        if let Some(value) = value {
            build.insert(key, value)?;
        }
        pulse.tick();
    }
    Ok(Bsi::from_canonical(build.finish()?))
}

extension_sql!(
    r#"
CREATE CAST (bytea AS cdp_bsi) WITH FUNCTION cdp_bsi_from_bytea(bytea);
-- The stored bytes are the bytes.
CREATE CAST (cdp_bsi AS bytea) WITHOUT FUNCTION;

COMMENT ON FUNCTION cdp_bsi_from_bytea(bytea) IS 'index with these bytes of the cdp_bsi format';
COMMENT ON FUNCTION cdp_bsi_build(bigint[], bigint[]) IS 'index of the ids and values at the same places of two arrays';
COMMENT ON CAST (bytea AS cdp_bsi) IS 'index with these bytes of the cdp_bsi format, fully checked';
COMMENT ON CAST (cdp_bsi AS bytea) IS 'bytes of an index';
"#,
    name = "cdp_bsi_casts",
    requires = ["cdp_bsi_type", cdp_bsi_from_bytea, cdp_bsi_build]
);
