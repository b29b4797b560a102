//! How a question is answered: for every condition the way, what is read for it, how many it is expected to be true for, how many it is true for and how
//! long that takes.
//!
//! Each condition is asked as a question of its own, by the same planner and executor. What is expected is judged by one block of 2^16 profiles in each
//! shard, and, of what only a query can tell, by PostgreSQL's planner.

use super::catalog::Catalog;
use super::columns::WorkspaceColumns;
use super::edge;
use super::people::each_shard;
use super::question::{Moment, Question};
use super::set::{self, Inputs, borrowed};
use crate::error::CdpError;
use crate::pg::{spi, stack, subtransaction};
use pg_cdp_core::bitmap::{Portable, SHARD_BLOCKS};
use pg_cdp_core::cells::Encoding;
use pg_cdp_core::expr::ast::{Expr, Node};
use pg_cdp_core::expr::print::print;
use pg_cdp_core::expr::walk;
use pg_cdp_core::plan::{self, Plan, Source};
use pg_cdp_core::program;
use std::rc::Rc;
use std::time::Instant;

/// Depth, condition, way, bytes of columns, rows that PostgreSQL expects of scans and of the events of part days, profiles expected, profiles, milliseconds.
pub type Line = (i32, String, Option<String>, Option<i64>, Option<i64>, Option<i64>, Option<i64>, Option<f64>);

/// Every condition of a question, the whole first. Without `run` nothing is read but the lists of chunks and one block of those in each shard.
pub fn explain(question: &Question, run: bool) -> Result<Vec<Line>, CdpError> {
    let folded = question.folded()?.expr;
    let mut lines = Vec::new();
    visit(question, &question.expr, &folded, 0, run, &mut lines)?;
    Ok(lines)
}

/// AND, OR and NOT are taken apart as the planner does; the rest is one condition.
fn visit(
    question: &Question,
    written: &Expr,
    folded: &Expr,
    depth: i32,
    run: bool,
    lines: &mut Vec<Line>,
) -> Result<(), CdpError> {
    stack::check_depth();
    pgrx::check_for_interrupts!();
    let text = print(written);
    let line = if depth == 0 {
        line(question, folded, run)?
    } else {
        // What the others keep from being worked out may fail alone.
        subtransaction::run(|| Ok(line(question, folded, run)?))
            .unwrap_or_else(|failure| Found { way: Some(format!("fails alone: {failure}")), ..Found::default() })
    };
    lines.push((depth, text, line.way, line.bytes, line.rows, line.estimate, line.profiles, line.ms));
    if let (Node::And(_), Node::And(_)) | (Node::Or(_), Node::Or(_)) | (Node::Not(_), Node::Not(_)) =
        (&written.node, &folded.node)
    {
        for (written, folded) in walk::children(written).into_iter().zip(walk::children(folded)) {
            visit(question, written, folded, depth + 1, run, lines)?;
        }
    }
    Ok(())
}

#[derive(Default)]
struct Found {
    way: Option<String>,
    bytes: Option<i64>,
    rows: Option<i64>,
    estimate: Option<i64>,
    profiles: Option<i64>,
    ms: Option<f64>,
}

fn line(question: &Question, condition: &Expr, run: bool) -> Result<Found, CdpError> {
    let moment = Moment { micros: question.moment.micros, as_of: question.moment.as_of.clone() };
    let catalog = Rc::clone(&question.catalog);
    let part = Question { ws: question.ws, catalog, moment, text: None, group: None, expr: condition.clone() };
    let plan = plan::plan(condition, &mut WorkspaceColumns::of(&part))?;
    let bytes = Inputs::chunks(&plan.sources).listing(&part, None)?.bytes();
    // Of each slot: rows of its query, or of events of part days that are added to its chunks.
    let mut asked: Vec<Option<i64>> = vec![None; plan.sources.len()];
    let mut rows = None;
    for (source, asked) in plan.sources.iter().zip(&mut asked) {
        match source {
            Source::Query(query) => {
                let answers = expected(query)?;
                *asked = Some(answers);
                rows = Some(rows.unwrap_or(0) + answers);
            }
            Source::Chunks { edges, .. } => {
                for edge in edges {
                    let events = edge::events_sql(&part, edge)?.map_or(Ok(0), |query| expected(&query))?;
                    rows = Some(rows.unwrap_or(0) + events);
                    if !edge.window.taken_out {
                        *asked = Some(asked.unwrap_or(0) + events);
                    }
                }
            }
        }
    }
    let mut found = Found {
        way: Some(way(&plan.sources, &part.catalog)),
        bytes: i64::try_from(bytes).ok(),
        rows,
        estimate: Some(estimate(&part, &plan, &asked)?),
        ..Found::default()
    };
    if run {
        let begun = Instant::now();
        found.profiles = Some(set::count(&part)?);
        found.ms = Some((begun.elapsed().as_secs_f64() * 1e6).round() / 1e3);
    }
    Ok(found)
}

/// How many a plan is expected to be true for.
fn estimate(question: &Question, plan: &Plan, asked: &[Option<i64>]) -> Result<i64, CdpError> {
    let mut everybody = 0;
    each_shard(question, Encoding::Set, question.catalog.universe, |_, slots| {
        for (_, chunk) in slots.iter().flatten() {
            everybody += Portable::open_shard(chunk.bytes())?.cardinality();
        }
        Ok(())
    })?;
    let shares: Vec<Option<f64>> = plan
        .sources
        .iter()
        .zip(asked)
        .map(|(source, rows)| {
            let each = rows.map(|rows| rows as f64 / (everybody.max(1)) as f64)?;
            // A query gives a person once; events fall on people as they may.
            Some(if matches!(source, Source::Query(_)) { each } else { 1.0 - (-each).exp() })
        })
        .chain([None])
        .collect();
    // Who lives is one slot more, which the program does not look at.
    let mut program = plan.program.clone();
    program.slots.push(Encoding::Set);
    let mut sources = plan.sources.clone();
    sources.push(Source::Chunks { column_id: question.catalog.universe, keys: vec![(0, 0)], edges: Vec::new() });
    let mut total = 0.0;
    Inputs::chunks(&sources).listing(question, None)?.for_each_shard(question.ws, &program.slots, |_, slots| {
        let chunks = borrowed(slots);
        let Some(universe) = chunks.last().and_then(|chunks| chunks.first()) else { return Ok(()) };
        let live = Portable::open_shard(*universe)?;
        let Some(key) = (0..SHARD_BLOCKS).rev().max_by_key(|key| live.cardinality_of(*key)) else { return Ok(()) };
        let share = program::share(&program, &chunks, key, live.cardinality_of(key), &shares)?;
        total += share * live.cardinality() as f64;
        Ok(())
    })?;
    Ok(total.round() as i64)
}

/// The ways by which sources are read, in words.
fn way(sources: &[Source], catalog: &Catalog) -> String {
    let mut ways: Vec<&str> = Vec::new();
    let mut add = |way| {
        if !ways.contains(&way) {
            ways.push(way);
        }
    };
    for source in sources {
        match source {
            Source::Query(_) => add("scan"),
            Source::Chunks { column_id, .. } if *column_id == catalog.universe => {}
            Source::Chunks { column_id, edges, .. } => {
                let days = catalog.events.values().any(|e| e.days.values().any(|(id, _)| id == column_id));
                let segment = catalog.segments.values().any(|s| s.column_id == *column_id);
                add(if days {
                    "day columns"
                } else if segment {
                    "segment"
                } else {
                    "column"
                });
                if !edges.is_empty() {
                    add("events of part days");
                }
            }
        }
    }
    if ways.is_empty() { "constant".to_owned() } else { ways.join(", ") }
}

/// How many rows PostgreSQL expects of a query.
fn expected(query: &str) -> Result<i64, CdpError> {
    // EXPLAIN is not allowed where statements only read, though it does.
    let plan = spi::explain(query)?;
    let rows = plan.split("rows=").nth(1).and_then(|rest| rest.split(' ').next()).and_then(|n| n.parse().ok());
    rows.ok_or_else(|| CdpError::internal("EXPLAIN did not tell the number of rows"))
}
