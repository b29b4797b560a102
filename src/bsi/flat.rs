//! Twins of the aggregates whose state is a `cdp_bsi`, which Citus can push down to its workers; see the twins of `cdp_bitmap`.

use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::slices::{Build, Fold, Join};
use super::{BsiBytes, StoredBsi, TYPE_NAME, WorkingBsi, id};
use crate::error::CdpError;
use crate::pg::expanded::Expand;

impl Expand for Build {
    const NAME: &'static str = TYPE_NAME;

    fn flat(&mut self) -> Result<Vec<u8>, CdpError> {
        Ok(self.finish()?)
    }
}

impl Expand for Fold {
    const NAME: &'static str = TYPE_NAME;

    fn flat(&mut self) -> Result<Vec<u8>, CdpError> {
        Ok(self.finish()?)
    }
}

fn read_pairs(bytes: Option<&[u8]>) -> Result<Build, CdpError> {
    let mut build = Build::new();
    bytes.map(|bytes| build.extend(bytes)).transpose()?;
    Ok(build)
}

/// One more pair.
#[pg_extern(immutable, parallel_safe)]
fn cdp_bsi_build_flat_trans(
    state: Option<StoredBsi<'_>>,
    id: Option<i64>,
    value: Option<i64>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Option<WorkingBsi>, ErrorReport> {
    let pair = id.zip(value).map(|(id, value)| Ok::<_, CdpError>((self::id(id)?, value))).transpose()?;
    let step = |build: &mut Build, (id, value)| Ok(build.insert(id, value)?);
    Ok(WorkingBsi::step(call, state, pair, read_pairs, step)?)
}

/// The pairs of another state; an id of both must have one value.
#[pg_extern(immutable, parallel_safe)]
fn cdp_bsi_build_flat_combine(
    state: Option<StoredBsi<'_>>,
    other: Option<BsiBytes<'_>>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Option<WorkingBsi>, ErrorReport> {
    let step = |build: &mut Build, other: BsiBytes<'_>| Ok(build.extend(other.bytes())?);
    Ok(WorkingBsi::step(call, state, other, read_pairs, step)?)
}

/// One more index.
fn take(
    call: pg_sys::FunctionCallInfo,
    state: Option<StoredBsi<'_>>,
    input: Option<BsiBytes<'_>>,
    join: Join,
) -> Result<Option<WorkingBsi>, CdpError> {
    let read = |bytes: Option<&[u8]>| {
        let mut fold = Fold::new(join);
        bytes.map(|bytes| fold.take(bytes)).transpose()?;
        Ok(fold)
    };
    WorkingBsi::step(call, state, input, read, |fold, input| Ok(fold.take(input.bytes())?))
}

#[pg_extern(immutable, parallel_safe)]
fn cdp_bsi_add_flat_trans(
    state: Option<StoredBsi<'_>>,
    bsi: Option<BsiBytes<'_>>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Option<WorkingBsi>, ErrorReport> {
    Ok(take(call, state, bsi, Join::Add)?)
}

#[pg_extern(immutable, parallel_safe)]
fn cdp_bsi_merge_flat_trans(
    state: Option<StoredBsi<'_>>,
    bsi: Option<BsiBytes<'_>>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Option<WorkingBsi>, ErrorReport> {
    Ok(take(call, state, bsi, Join::Merge)?)
}

extension_sql!(
    r#"
CREATE AGGREGATE @extschema@.cdp_bsi_build_agg_flat(id bigint, value bigint) (
    SFUNC = cdp_bsi_build_flat_trans, STYPE = cdp_bsi, COMBINEFUNC = cdp_bsi_build_flat_combine, PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bsi_add_agg_flat(cdp_bsi) (
    SFUNC = cdp_bsi_add_flat_trans, STYPE = cdp_bsi, COMBINEFUNC = cdp_bsi_add_flat_trans, PARALLEL = SAFE
);
CREATE AGGREGATE @extschema@.cdp_bsi_merge_agg_flat(cdp_bsi) (
    SFUNC = cdp_bsi_merge_flat_trans, STYPE = cdp_bsi, COMBINEFUNC = cdp_bsi_merge_flat_trans, PARALLEL = SAFE
);

COMMENT ON AGGREGATE cdp_bsi_build_agg_flat(bigint, bigint) IS 'cdp_bsi_build_agg with a state that Citus can send';
COMMENT ON AGGREGATE cdp_bsi_add_agg_flat(cdp_bsi) IS 'cdp_bsi_add_agg with a state that Citus can send';
COMMENT ON AGGREGATE cdp_bsi_merge_agg_flat(cdp_bsi) IS 'cdp_bsi_merge_agg with a state that Citus can send';
COMMENT ON FUNCTION cdp_bsi_build_flat_trans(cdp_bsi, bigint, bigint) IS 'aggregate transition';
COMMENT ON FUNCTION cdp_bsi_build_flat_combine(cdp_bsi, cdp_bsi) IS 'aggregate combination';
COMMENT ON FUNCTION cdp_bsi_add_flat_trans(cdp_bsi, cdp_bsi) IS 'aggregate transition and combination';
COMMENT ON FUNCTION cdp_bsi_merge_flat_trans(cdp_bsi, cdp_bsi) IS 'aggregate transition and combination';
"#,
    name = "cdp_bsi_flat_aggregates",
    requires = [
        "cdp_bsi_type",
        cdp_bsi_build_flat_trans,
        cdp_bsi_build_flat_combine,
        cdp_bsi_add_flat_trans,
        cdp_bsi_merge_flat_trans
    ]
);
