//! The set executor: one aggregate query grouped by shard.

use super::columns::WorkspaceColumns;
use super::question::Question;
use crate::error::CdpError;
use crate::pg::spi;
use crate::store::SHARD_BITS;
use crate::store::column::{dictionary_text_sql, integer_sql, moment_of_micros_sql, property_sql};
use crate::workspace::Workspace;
use pg_cdp_core::bitmap::assemble;
use pg_cdp_core::expr::print::type_name;
use pg_cdp_core::plan::{self, Edge, Plan, Source};
use pgrx::spi::quote_literal;

/// Who the question is true for, as portable 64-bit Roaring bytes.
pub fn members(question: &Question) -> Result<Vec<u8>, CdpError> {
    let shards = spi::rows(&query(question, "_cdp_members_agg")?, &[], |row| {
        Ok((spi::must::<i32>(row, 1)?, row.get::<Vec<u8>>(2)?))
    })?;
    let shards: Vec<(u32, Vec<u8>)> =
        shards.into_iter().filter_map(|(shard, bits)| Some((u32::try_from(shard).ok()?, bits?))).collect();
    Ok(assemble::treemap(&shards, SHARD_BITS)?)
}

/// How many the question is true for.
pub fn count(question: &Question) -> Result<i64, CdpError> {
    let sql = format!("SELECT sum(x.answer)::pg_catalog.int8 FROM ({}) x", query(question, "_cdp_count_agg")?);
    Ok(spi::one::<i64>(&sql, &[])?.unwrap_or(0))
}

/// The aggregate query: (shard, answer).
fn query(question: &Question, aggregate: &str) -> Result<String, CdpError> {
    let folded = question.folded()?;
    let mut columns = WorkspaceColumns { ws: question.ws, catalog: &question.catalog, moment: &question.moment };
    let plan = plan::plan(&folded, &mut columns)?;
    let program = serde_json::to_string(&plan.program)
        .map_err(|e| CdpError::internal(format!("a program cannot be written: {e}")))?;
    let inputs = inputs(question, &plan)?;
    if inputs.is_empty() {
        return Ok("SELECT 0::integer AS shard, NULL::pg_catalog.bytea AS answer WHERE false"
            .replace("bytea", if aggregate == "_cdp_count_agg" { "int8" } else { "bytea" }));
    }
    Ok(question.ws.sql(&format!(
        "SELECT g.shard, @ext@.{aggregate}({}, g.slot, g.key, g.part, g.bits) AS answer FROM ({}) g GROUP BY g.shard ORDER BY g.shard",
        quote_literal(&program),
        inputs.join(" UNION ALL ")
    )))
}

/// Queries giving (slot, shard, key, part, bits).
fn inputs(question: &Question, plan: &Plan) -> Result<Vec<String>, CdpError> {
    let mut keys = Vec::new();
    let mut out = Vec::new();
    for (slot, source) in plan.sources.iter().enumerate() {
        match source {
            Source::Chunks { column_id, keys: intervals, edges } => {
                for (low, high) in intervals {
                    keys.push(format!("({slot}, {column_id}, {low}::pg_catalog.int8, {high}::pg_catalog.int8)"));
                }
                for (index, edge) in edges.iter().enumerate() {
                    out.push(edge_sql(question, slot, index, edge)?);
                }
            }
            Source::Query(query) => out.push(format!(
                "SELECT {slot} AS slot, (q.profile_id >> {SHARD_BITS})::integer AS shard, 0::pg_catalog.int8 AS key, 0 AS part, @ext@._cdp_offsets_agg((q.profile_id & {mask})::integer) AS bits \
                 FROM ({query}) q GROUP BY 2",
                mask = (1 << SHARD_BITS) - 1
            )),
        }
    }
    if !keys.is_empty() {
        let slots = keys.join(", ");
        for (table, bits, part) in [("chunk", "bits", 0), ("pending", "cells", 1)] {
            // Without the barrier the planner, which has no statistics of a handful of constants, may read the whole table to hash it.
            out.push(format!(
                "SELECT s.slot, c.shard, c.key, {part} AS part, c.{bits} AS bits FROM (VALUES {slots}) AS s(slot, column_id, low, high) CROSS JOIN LATERAL \
                 (SELECT c.shard, c.key, c.{bits} FROM @ws@.{table} c WHERE c.column_id = s.column_id AND c.key >= s.low AND c.key <= s.high OFFSET 0) c"
            ));
        }
    }
    Ok(out)
}

/// The events of part of a day, as one delta a shard. Its key lies below every key of a day column, so that edges are chunks of their own.
fn edge_sql(question: &Question, slot: usize, index: usize, edge: &Edge) -> Result<String, CdpError> {
    let ws: &Workspace = question.ws;
    let lost = || CdpError::internal(format!("event \"{}\" is gone", edge.event));
    let event = question.catalog.events.get(&edge.event).ok_or_else(lost)?;
    let typed = |name: &str| -> Result<(String, &'static str), CdpError> {
        let ty = type_name(event.properties.get(name).ok_or_else(lost)?.ty);
        Ok((property_sql("e.properties", name, ty), ty))
    };
    let mut condition = format!(
        "e.event_type_id = {} AND e.at >= {} AND e.at <= {}",
        event.event_type_id,
        moment_sql(edge.from)?,
        moment_sql(edge.to)?
    );
    if let Some((name, values)) = &edge.property {
        let (sql, ty) = typed(name)?;
        let values: Vec<String> = values.iter().map(quote_literal).collect();
        condition.push_str(&format!(
            " AND {} = ANY (ARRAY[{}]::pg_catalog.text[])",
            dictionary_text_sql(ty, &sql),
            values.join(", ")
        ));
    }
    let mut v = "0::pg_catalog.int8".to_owned();
    if let Some(name) = &edge.measure {
        let (sql, ty) = typed(name)?;
        let scale = i32::try_from(edge.scale).map_err(|_| CdpError::internal("scale out of range"))?;
        v = integer_sql(ty, &sql, scale, true)?;
        condition.push_str(&format!(" AND {sql} IS NOT NULL"));
    }
    Ok(ws.sql(&format!(
        "SELECT {slot} AS slot, (n.profile_id >> {SHARD_BITS})::integer AS shard, {key}::pg_catalog.int8 AS key, 1 AS part, \
                @ext@._cdp_cells_agg((n.profile_id & {mask})::integer, 1, {v}) AS bits \
         FROM @ws@.event e JOIN @ws@.node n USING (node_id) WHERE n.profile_id IS NOT NULL AND {condition} GROUP BY 2",
        key = -1 - i64::try_from(index).map_err(|_| CdpError::internal("too many edges"))?,
        mask = (1 << SHARD_BITS) - 1
    )))
}

/// A constant moment, so that partitions can be left out when the query is planned.
fn moment_sql(micros: i64) -> Result<String, CdpError> {
    let text = spi::rows_cached(
        &format!("SELECT ({})::pg_catalog.text", moment_of_micros_sql("$1")),
        &[micros.into()],
        |row| spi::must::<String>(row, 1),
    )?;
    let text = text.into_iter().next().ok_or_else(|| CdpError::internal("a moment was not written"))?;
    Ok(format!("{}::pg_catalog.timestamptz", quote_literal(text)))
}
