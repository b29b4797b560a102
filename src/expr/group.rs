//! The executor of questions about groups of people: plain SQL over the public views, run by PostgreSQL. There are no bits of groups.

use super::question::Question;
use super::set::MASK;
use crate::error::CdpError;
use crate::pg::spi;
use crate::store::SHARD_BITS;
use pg_cdp_core::bitmap::assemble;

/// The groups the question is true for, as portable 64-bit Roaring bytes.
pub fn members(question: &Question) -> Result<Vec<u8>, CdpError> {
    let sql = question.ws.sql(&format!(
        "SELECT (q.profile_id >> {SHARD_BITS})::pg_catalog.int8, @ext@._cdp_offsets_agg((q.profile_id & {MASK})::integer) FROM ({}) q GROUP BY 1 ORDER BY 1",
        question.members_sql()
    ));
    let mut shards = Vec::new();
    for (shard, bytes) in spi::rows(&sql, &[], |row| Ok((spi::must::<i64>(row, 1)?, spi::must::<Vec<u8>>(row, 2)?)))? {
        let shard =
            u32::try_from(shard).map_err(|_| CdpError::limit("a group has a number beyond what a set can hold"))?;
        shards.push((shard, bytes));
    }
    Ok(assemble::treemap(&shards, SHARD_BITS)?)
}

/// How many groups the question is true for.
pub fn count(question: &Question) -> Result<i64, CdpError> {
    let count = spi::one::<i64>(&format!("SELECT count(*) FROM ({}) q", question.members_sql()), &[])?;
    count.ok_or_else(|| CdpError::internal("groups were not counted"))
}
