//! Which rows of a source were taken: up to a watermark, or each with the hash of its text.

use super::batch::Plan;
use crate::error::CdpError;
use crate::pg::append::{self, Column, Shape};
use crate::pg::spi;
use crate::pg::tuples::{self, Tuple};
use crate::workspace::Workspace;
use pg_cdp_core::texts::TextList;

/// Takes note of which rows were taken: the watermark, or their hashes. Rows below the watermark that are read again do not move it back.
///
/// `job_id` is the run that listed the rows in the spool and marked those that no run had taken, as is so until another run takes rows of the source; `None`: they are not marked.
pub fn remember(ws: &Workspace, plan: &Plan, job_id: Option<i64>, after: i64, upto: i64) -> Result<(), CdpError> {
    let source_id = plan.source.source_id;
    if let Some(order) = plan.source.order()? {
        let ty = order.ty;
        let finite = if order.timed { "AND s.seen IS NOT NULL" } else { "" };
        spi::run(
            &ws.sql(&format!(
                "UPDATE @ws@.source x SET watermark = n.u::pg_catalog.text FROM (SELECT s.u FROM pg_temp.cdp_spool s WHERE s.rn > $2 AND s.rn <= $3 AND s.u IS NOT NULL {finite} ORDER BY s.rn DESC LIMIT 1) n \
                 WHERE x.source_id = $1 AND (x.watermark IS NULL OR n.u::{ty} >= x.watermark::{ty})"
            )),
            &[source_id.into(), after.into(), upto.into()],
        )?;
        return Ok(());
    }
    if plan.source.mapping.retract {
        return Ok(());
    }
    let mut rest = "";
    if let Some(job_id) = job_id {
        let later = ws.sql("SELECT true FROM @ws@.job j WHERE j.source_id = $1 AND j.job_id > $2 LIMIT 1");
        if spi::one::<bool>(&later, &[source_id.into(), job_id.into()])?.is_none() && enter(ws, source_id, after, upto)?
        {
            rest = "AND NOT s.fresh";
        }
    }
    spi::run(
        &ws.sql(&format!(
            "INSERT INTO @ws@.source_row (source_id, key, hash) SELECT $1, s.k, s.h FROM pg_temp.cdp_spool s WHERE s.rn > $2 AND s.rn <= $3 {rest} ORDER BY s.k \
             ON CONFLICT (source_id, key) DO UPDATE SET hash = excluded.hash, again = false"
        )),
        &[source_id.into(), after.into(), upto.into()],
    )?;
    Ok(())
}

/// Takes note of the rows that no run had taken, without a query; `false`: that is not possible.
fn enter(ws: &Workspace, source_id: i32, after: i64, upto: i64) -> Result<bool, CdpError> {
    let mut rows = Hashed::default();
    tuples::each(
        "SELECT s.k, s.h FROM pg_temp.cdp_spool s WHERE s.rn > $1 AND s.rn <= $2 AND s.fresh",
        &[after.into(), upto.into()],
        |row| {
            rows.push(row, [1, 2])?;
            Ok(())
        },
    )?;
    rows.enter(ws, source_id)
}

/// Whether rows can be noted without a query, as far as can be seen now.
pub fn may_enter(ws: &Workspace) -> bool {
    append::is_possible(&ws.name, &SOURCE_ROW, COLUMNS)
}

/// Rows of a source by their keys, each with its hash.
#[derive(Default)]
pub struct Hashed {
    keys: TextList,
    hashes: Vec<[u8; 16]>,
}

impl Hashed {
    /// Adds a row, of which these columns of a query tell key and hash. One without a key is no row of its own.
    pub fn push(&mut self, row: &Tuple, [key, hash]: [usize; 2]) -> Result<(), CdpError> {
        if row.text(key, |key| self.keys.push(key))?.is_some() {
            self.hashes.push(row.uuid(hash)?);
        }
        Ok(())
    }

    /// The keys, in the order in which they came.
    pub fn keys(&self) -> Vec<&str> {
        self.keys.iter().collect()
    }

    /// About how many bytes are in use.
    pub fn bytes(&self) -> usize {
        self.keys.bytes() + self.hashes.len() * size_of::<[u8; 16]>()
    }

    /// Takes note that the rows were taken, none of them before, without a query; `false`: that is not possible.
    pub fn enter(&self, ws: &Workspace, source_id: i32) -> Result<bool, CdpError> {
        let keys = self.keys();
        let columns: [Column; COLUMNS] = [
            Column::EachInt4(source_id),
            Column::Text(&keys),
            Column::Uuid(&self.hashes),
            Column::Null,
            Column::Null,
            Column::Null,
            Column::EachBool(false),
        ];
        // Beside other batches others enter rows too.
        let add = if append::may_build(keys.len()) && ws.locked()? { append::load } else { append::append };
        add(&ws.name, &SOURCE_ROW, &columns, keys.len())
    }
}

/// As new rows see it (sql/workspace/20_source.sql).
pub const SOURCE_ROW: Shape = Shape { name: "source_row", columns: Some(COLUMNS), checks: 0, without: &[] };
const COLUMNS: usize = 7;
