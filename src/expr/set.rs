//! The set executor: plans a question, reads the chunks of one shard after the other and evaluates the program over their bytes.
//!
//! A question over many bytes is shared among PostgreSQL's parallel workers, each of which takes whole shards (see
//! [`super::parallel`]).

use super::columns::WorkspaceColumns;
use super::edge;
use super::group;
use super::parallel;
use super::question::Question;
use crate::error::CdpError;
use crate::guc;
use crate::pg::spi;
use crate::store::SHARD_BITS;
use crate::store::read::{Listing, Slots, Wanted};
use crate::workspace::Workspace;
use pg_cdp_core::bitmap::{Bytes, assemble};
use pg_cdp_core::plan::{self, Plan, Plans, Source};
use pg_cdp_core::program::{self, Program};
use std::rc::Rc;

/// Who the question is true for, as portable 64-bit Roaring bytes.
pub fn members(question: &Question) -> Result<Vec<u8>, CdpError> {
    if question.group.is_some() {
        return group::members(question);
    }
    let plan = plan_of(question)?;
    let inputs = Inputs::of(question, &plan.sources)?;
    let listing = inputs.listing(question, None)?;
    if let Some(workers) = parallel::workers(&listing) {
        return parallel::members(question, &plan.program, &inputs, &listing.shards(), workers);
    }
    members_of(question.ws, &plan.program, listing)
}

/// How many the question is true for.
pub fn count(question: &Question) -> Result<i64, CdpError> {
    if question.group.is_some() {
        return group::count(question);
    }
    let plan = plan_of(question)?;
    let inputs = Inputs::of(question, &plan.sources)?;
    let listing = inputs.listing(question, None)?;
    if let Some(workers) = parallel::workers(&listing) {
        return parallel::count(question, &plan.program, &inputs, &listing.shards(), workers);
    }
    count_of(question.ws, &plan.program, listing)
}

/// The members of a program over what was listed.
pub fn members_of(ws: &Workspace, program: &Program, listing: Listing) -> Result<Vec<u8>, CdpError> {
    let mut shards = Vec::new();
    listing.for_each_shard(ws, &program.slots, |shard, slots| {
        let members = program::members(program, &borrowed(slots))?;
        shards.extend(members.map(|members| (shard, members)));
        Ok(())
    })?;
    Ok(assemble::treemap(&shards, SHARD_BITS)?)
}

/// How many members a program has over what was listed.
pub fn count_of(ws: &Workspace, program: &Program, listing: Listing) -> Result<i64, CdpError> {
    let mut total = 0u64;
    listing.for_each_shard(ws, &program.slots, |_, slots| {
        total += program::count(program, &borrowed(slots))?;
        Ok(())
    })?;
    i64::try_from(total).map_err(|_| CdpError::limit("the count does not fit into bigint"))
}

/// The bytes of each slot as programs take them.
pub fn borrowed(slots: &Slots) -> Vec<Vec<Bytes<'_>>> {
    slots.iter().map(|slot| slot.iter().map(|(_, chunk)| chunk.bytes()).collect()).collect()
}

/// The plan of a question: the one that was kept for its text, or a new one. A plan is kept unless time or the rows of tables went
/// into it.
pub fn plan_of(question: &Question) -> Result<Rc<Plan>, CdpError> {
    let text = question.text.as_deref().filter(|_| spi::reading() && guc::direct_read());
    if let Some(plan) = text.and_then(|text| question.catalog.kept_plan(question.ws, text)) {
        return Ok(plan);
    }
    let folded = question.folded()?;
    let mut columns = WorkspaceColumns::of(question);
    let plan = Rc::new(plan::plan(&folded.expr, &mut columns)?);
    if let Some(text) = text
        && !folded.evaluated
        && !columns.used.moment
    {
        let dictionaries: Vec<i32> = columns.used.dictionaries.into_iter().collect();
        question.catalog.keep_plan(question.ws, text, &plan, &dictionaries);
    }
    Ok(plan)
}

/// The plans of several questions of one moment.
pub fn plans_of(questions: &[Question]) -> Result<Plans, CdpError> {
    let Some(first) = questions.first() else {
        return Ok(Plans { slots: Vec::new(), roots: Vec::new(), sources: Vec::new() });
    };
    let folded = questions.iter().map(|q| Ok(q.folded()?.expr)).collect::<Result<Vec<_>, CdpError>>()?;
    plan::plans(&folded, &mut WorkspaceColumns::of(first))
}

/// Bytes of a slot that do not come from the tables of chunks: the events of part of a day, the answer of a query.
pub struct Extra {
    /// Index of the slot.
    pub slot: usize,
    /// Shard.
    pub shard: i32,
    /// Key: of the chunk that the bytes change, or below every key of a day column, so that they are a chunk of their own.
    pub key: i64,
    /// Whether the bytes are changes of cells.
    pub delta: bool,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What the sources of a plan come to: chunks to read, and bytes that queries gave.
pub struct Inputs {
    /// Chunks.
    pub wanted: Vec<Wanted>,
    /// The rest.
    pub extras: Vec<Extra>,
}

impl Inputs {
    /// The chunks of the sources, without what queries give.
    pub fn chunks(sources: &[Source]) -> Self {
        let mut inputs = Self { wanted: Vec::new(), extras: Vec::new() };
        for (slot, source) in sources.iter().enumerate() {
            if let Source::Chunks { column_id, keys, .. } = source {
                let intervals = joined(keys.clone());
                inputs.wanted.extend(intervals.into_iter().map(|(low, high)| Wanted {
                    slot,
                    column_id: *column_id,
                    low,
                    high,
                }));
            }
        }
        inputs
    }

    /// Runs the queries of the sources.
    pub fn of(question: &Question, sources: &[Source]) -> Result<Self, CdpError> {
        let mut inputs = Self::chunks(sources);
        for (slot, source) in sources.iter().enumerate() {
            match source {
                Source::Chunks { edges, .. } => inputs.extras.extend(edge::extras(question, slot, edges)?),
                Source::Query(query) => inputs.query(question, slot, query)?,
            }
        }
        Ok(inputs)
    }

    /// Adds the answer of a query as sets.
    fn query(&mut self, question: &Question, slot: usize, query: &str) -> Result<(), CdpError> {
        let sql = question.ws.sql(&format!(
            "SELECT (q.profile_id >> {SHARD_BITS})::integer, @ext@._cdp_offsets_agg((q.profile_id & {MASK})::integer) FROM ({query}) q GROUP BY 1"
        ));
        let rows = spi::rows(&sql, &[], |row| Ok((spi::must::<i32>(row, 1)?, row.get::<Vec<u8>>(2)?)))?;
        let extras = rows
            .into_iter()
            .filter_map(|(shard, bytes)| bytes.map(|bytes| Extra { slot, shard, key: 0, delta: false, bytes }));
        self.extras.extend(extras);
        Ok(())
    }

    /// Everything there is, of the given shards or of all.
    pub fn listing(&self, question: &Question, shards: Option<&[i32]>) -> Result<Listing, CdpError> {
        let mut listing = Listing::new(question.ws, &self.wanted, shards)?;
        for extra in &self.extras {
            listing.add(extra.slot, extra.shard, extra.key, extra.delta, extra.bytes.clone());
        }
        Ok(listing)
    }
}

/// Low bits of a profile number: its offset in its shard.
pub const MASK: i64 = (1 << SHARD_BITS) - 1;

/// Closed intervals in ascending order, those that touch joined.
fn joined(mut intervals: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    intervals.sort_unstable();
    let mut out: Vec<(i64, i64)> = Vec::with_capacity(intervals.len());
    for (low, high) in intervals {
        match out.last_mut() {
            Some(last) if low <= last.1.saturating_add(1) => last.1 = last.1.max(high),
            _ => out.push((low, high)),
        }
    }
    out
}
