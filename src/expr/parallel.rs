//! A question shared among PostgreSQL's parallel workers.
//!
//! The statement is a union of calls, one for some shards each, which PostgreSQL runs as a Parallel Append below a Gather. A
//! worker reads the chunks of its shards under the leader's snapshot. What queries gave (edges of windows, scans) the
//! leader has read already and passes on.

use super::question::Question;
use super::set::{self, Inputs};
use crate::bitmap::treemap;
use crate::error::CdpError;
use crate::guc;
use crate::pg::{settings, spi, transaction};
use crate::store::read::{Listing, Wanted};
use crate::workspace::{self, Workspace};
use pg_cdp_core::program::Program;
use pgrx::datum::DatumWithOid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde::{Deserialize, Serialize};

/// Calls for each process that takes part: enough that none waits long for the last.
const CALLS_EACH: usize = 2;

/// What a worker is told, as JSON.
#[derive(Serialize, Deserialize)]
struct Task {
    program: Program,
    /// Slot, column, smallest and largest key.
    wanted: Vec<(usize, i32, i64, i64)>,
    /// Slot, shard, key and kind of each element of the array of bytes.
    extras: Vec<(usize, i32, i64, bool)>,
}

/// How many workers a question over these chunks is worth; `None` for none. Starting one costs some milliseconds, in which a
/// process reads and evaluates tens of megabytes: see the setting `cdp.parallel_size`.
pub fn workers(listing: &Listing) -> Option<usize> {
    let worth = guc::parallel_bytes().is_some_and(|bytes| listing.bytes() >= bytes);
    let workers = settings::parallel_workers();
    (worth && workers > 0 && listing.shards().len() > 1 && spi::reading() && !transaction::in_parallel_mode())
        .then_some(workers)
}

/// How many the program is true for.
pub fn count(
    question: &Question,
    program: &Program,
    inputs: &Inputs,
    shards: &[i32],
    workers: usize,
) -> Result<i64, CdpError> {
    let counts = run(question, program, inputs, shards, workers, "_cdp_shards_count", |row| spi::must::<i64>(row, 1))?;
    counts
        .into_iter()
        .try_fold(0i64, i64::checked_add)
        .ok_or_else(|| CdpError::limit("the count does not fit into bigint"))
}

/// Who the program is true for, as portable 64-bit Roaring bytes.
pub fn members(
    question: &Question,
    program: &Program,
    inputs: &Inputs,
    shards: &[i32],
    workers: usize,
) -> Result<Vec<u8>, CdpError> {
    let parts =
        run(question, program, inputs, shards, workers, "_cdp_shards_members", |row| spi::must::<Vec<u8>>(row, 1))?;
    let mut all = roaring::RoaringTreemap::new();
    for part in parts {
        all |= treemap::decode(&part)?;
    }
    let mut bytes = Vec::with_capacity(all.serialized_size());
    all.serialize_into(&mut bytes).map_err(|e| CdpError::internal(e.to_string()))?;
    Ok(bytes)
}

fn run<T>(
    question: &Question,
    program: &Program,
    inputs: &Inputs,
    shards: &[i32],
    workers: usize,
    function: &str,
    read: impl FnMut(&pgrx::spi::SpiHeapTupleData) -> Result<T, CdpError>,
) -> Result<Vec<T>, CdpError> {
    let task = Task {
        program: program.clone(),
        wanted: inputs.wanted.iter().map(|w| (w.slot, w.column_id, w.low, w.high)).collect(),
        extras: inputs.extras.iter().map(|e| (e.slot, e.shard, e.key, e.delta)).collect(),
    };
    let task = serde_json::to_string(&task).map_err(|e| CdpError::internal(e.to_string()))?;
    let bytes: Vec<Vec<u8>> = inputs.extras.iter().map(|e| e.bytes.clone()).collect();
    let calls = shards.len().min((workers + 1) * CALLS_EACH);
    // Dealt out in turn: neighbours are alike in size, except for the last shard.
    let arms: Vec<String> = (0..calls)
        .map(|call| {
            let mine: Vec<String> = shards.iter().skip(call).step_by(calls).map(i32::to_string).collect();
            question.ws.sql(&format!("SELECT @ext@.{function}($1, $2, ARRAY[{}], $3) AS answer", mine.join(", ")))
        })
        .collect();
    let sql = format!("SELECT x.answer FROM ({}) x", arms.join(" UNION ALL "));
    let args: [DatumWithOid; 3] = [question.ws.name.clone().into(), task.into(), bytes.into()];
    // It has been weighed above: PostgreSQL, which knows nothing of what a call costs, is not asked again.
    settings::scoped(&[("parallel_setup_cost", "0"), ("parallel_tuple_cost", "0")], || spi::rows(&sql, &args, read))
}

/// The part of a question that falls on some shards.
fn part<T>(
    name: &str,
    task: &str,
    shards: Vec<i32>,
    bytes: &Array<'_, &[u8]>,
    answer: impl FnOnce(&Workspace, &Program, Listing) -> Result<T, CdpError>,
) -> Result<T, CdpError> {
    workspace::enter_part(name, |ws| {
        let task: Task = serde_json::from_str(task).map_err(|e| CdpError::internal(e.to_string()))?;
        let wanted: Vec<Wanted> = task
            .wanted
            .iter()
            .map(|(slot, column_id, low, high)| Wanted { slot: *slot, column_id: *column_id, low: *low, high: *high })
            .collect();
        let mut listing = Listing::new(ws, &wanted, Some(&shards))?;
        for ((slot, shard, key, delta), bytes) in task.extras.into_iter().zip(bytes.iter()) {
            let bytes = bytes.ok_or_else(|| CdpError::internal("a part of a question lost its bytes"))?;
            if shards.contains(&shard) {
                listing.add(slot, shard, key, delta, bytes.to_vec());
            }
        }
        answer(ws, &task.program, listing)
    })
}

#[pg_extern(stable, strict, parallel_safe, cost = 1000000)]
fn _cdp_shards_count(
    workspace: &str,
    task: &str,
    shards: Vec<i32>,
    bytes: Array<'_, &[u8]>,
) -> Result<i64, ErrorReport> {
    Ok(part(workspace, task, shards, &bytes, set::count_of)?)
}

#[pg_extern(stable, strict, parallel_safe, cost = 1000000)]
fn _cdp_shards_members(
    workspace: &str,
    task: &str,
    shards: Vec<i32>,
    bytes: Array<'_, &[u8]>,
) -> Result<Vec<u8>, ErrorReport> {
    Ok(part(workspace, task, shards, &bytes, set::members_of)?)
}
