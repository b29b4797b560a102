//! The first run of a source whose rows show identifiers and nothing else: its relation is read once, into memory, and taken whole. Rows that are kept aside in the spool are written, indexed and
//! read again, which only pays when they do not fit, or when one of them has to be tried alone.

use super::batch::{self, Identifier, Plan, Useless};
use super::describe::ROW;
use super::spool::{self, Source};
use super::sync;
use super::taken::{self, Hashed};
use crate::error::CdpError;
use crate::identity::gather::Shown;
use crate::identity::rules::Rules;
use crate::pg::{spi, subtransaction, temp, tuples};
use crate::quality::tally::Tally;
use crate::workspace::{Workspace, job};
use std::cell::Cell;

thread_local! {
    /// The run that is to take its relation whole.
    static WHOLE: Cell<Option<i64>> = const { Cell::new(None) };
}

/// A relation takes so many times less on disk than its rows in memory until they are written: larger ones are not tried.
const TIMES_ON_DISK: usize = 6;

/// Plans that a run takes its relation whole, if it can; then there is no spool until [`take`] finds that it cannot. `false`: the rows have to be kept aside.
pub fn plan(ws: &Workspace, job_id: i64, plan: &Plan) -> Result<bool, CdpError> {
    WHOLE.set(None);
    if !is_possible(ws, plan)? {
        return Ok(false);
    }
    let bytes =
        spi::one::<i64>("SELECT pg_relation_size($1::pg_catalog.regclass)", &[plan.source.relation.as_str().into()])?;
    let bytes = usize::try_from(bytes.unwrap_or(i64::MAX)).unwrap_or(usize::MAX);
    if bytes.saturating_mul(TIMES_ON_DISK) > sync::most_memory() {
        return Ok(false);
    }
    temp::drop("cdp_spool")?;
    temp::drop("cdp_vanished")?;
    WHOLE.set(Some(job_id));
    Ok(true)
}

/// Whether the source is of that kind, no run has taken a row of it, and that rows were taken can be noted out of memory.
fn is_possible(ws: &Workspace, plan: &Plan) -> Result<bool, CdpError> {
    let source = &plan.source;
    let kind = plan.plain() && source.order()?.is_none() && spool::tells_rows_apart(source)?;
    if !kind || !taken::may_enter(ws) {
        return Ok(false);
    }
    let any = "SELECT EXISTS (SELECT FROM @ws@.source_row s WHERE s.source_id = $1)";
    Ok(spi::one::<bool>(&ws.sql(any), &[source.source_id.into()])? == Some(false))
}

/// Takes the relation whole, if that was planned. Returns how many rows it has; `None`: nothing was done. Then the spool is there, or was there already.
pub fn take(ws: &Workspace, job_id: i64, source_id: i32) -> Result<Option<i64>, CdpError> {
    if WHOLE.replace(None) != Some(job_id) {
        return Ok(None);
    }
    ws.lock()?;
    let plan = sync::plan(ws, source_id)?;
    let read = if is_possible(ws, &plan)? { Whole::read(ws, &plan)? } else { None };
    let Some(whole) = read else {
        let total = spool::fill(ws, &plan.source, job_id, 0)?;
        job::total(ws, job_id, total)?;
        return Ok(None);
    };
    let rows = i64::try_from(whole.shown.len()).map_err(|_| CdpError::limit("too many rows"))?;
    job::total(ws, job_id, rows)?;
    if rows > 0 {
        let rejected = whole.land(ws, &plan, rows)?;
        job::progress(ws, job_id, rows, rejected)?;
    }
    Ok(Some(rows))
}

/// A relation in memory. Its rows are numbered from 1.
#[derive(Default)]
struct Whole {
    shown: Shown,
    hashed: Hashed,
}

impl Whole {
    /// Reads the relation; `None`: it does not fit into the memory, or an expression of the mapping fails.
    fn read(ws: &Workspace, plan: &Plan) -> Result<Option<Self>, CdpError> {
        let sql = sql(ws, plan)?;
        let (width, most) = (plan.identifiers.len(), sync::most_memory());
        let mut whole = Self::default();
        let read = subtransaction::run(|| {
            let fits = tuples::stream(&sql, |row| {
                whole.hashed.push(row, [1, 2])?;
                for column in 0..width {
                    row.text(column + 3, |value| whole.shown.value(column, value))?.transpose()?;
                }
                let rn = whole.shown.len() + 1;
                whole.shown.end_row(i64::try_from(rn).unwrap_or(i64::MAX), None, None);
                Ok(!rn.is_multiple_of(LOOK_EVERY) || batch::memory_of(&whole.shown) + whole.hashed.bytes() < most)
            })?;
            Ok(fits)
        });
        match read {
            Ok(fits) => Ok(fits.then_some(whole)),
            Err(failure) if failure.is_of_a_value() => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Enters what the rows show, and all that follows from it. Returns how many rows were rejected.
    fn land(self, ws: &Workspace, plan: &Plan, rows: i64) -> Result<i64, CdpError> {
        let source_id = plan.source.source_id;
        let mut tally = Tally::of(rows);
        let rules = Rules::load(ws)?;
        batch::tally_identifiers(plan, &self.shown, &mut tally)?;
        let (mut sights, useless) = batch::sights(ws, plan, &rules, &self.shown, &mut tally)?;
        let rejected = useless.rns.len();
        drop(self.shown);
        if !useless.rns.is_empty() {
            reject(ws, plan, useless, &self.hashed.keys())?;
        }
        sync::stitch(ws, plan, &rules, &mut sights, &mut tally)?;
        drop(sights);
        if !self.hashed.enter(ws, source_id)? {
            return Err(CdpError::internal("the rows of a source cannot be entered any more"));
        }
        tally.write(ws, source_id)?;
        i64::try_from(rejected).map_err(|_| CdpError::limit("too many rejected rows"))
    }
}

/// After so many rows the memory is looked at.
const LOOK_EVERY: usize = 50_000;

/// The query that gives key, hash and identifiers of every row.
fn sql(ws: &Workspace, plan: &Plan) -> Result<String, CdpError> {
    let source = &plan.source;
    // The expressions of the mapping are not looked through for places to be filled in.
    let hash = ws.sql("@ext@._cdp_hash");
    let identifiers: Vec<String> = plan.identifiers.iter().map(Identifier::sql).collect();
    Ok(format!(
        "SELECT {key}, {hash}({ROW}::pg_catalog.text), {identifiers} FROM {relation} AS {ROW} WHERE {filter}",
        key = spool::key_sql(source)?.0,
        identifiers = identifiers.join(", "),
        relation = source.relation,
        filter = spool::filter_sql(source),
    ))
}

/// Tells the rejects of rows, as they are now: one that was deleted meanwhile is none any more.
fn reject(ws: &Workspace, plan: &Plan, useless: Useless, keys: &[&str]) -> Result<(), CdpError> {
    let source: &Source = &plan.source;
    let key = |rn: &i64| usize::try_from(*rn).ok().and_then(|rn| keys.get(rn.checked_sub(1)?)).copied();
    let keys: Vec<Option<&str>> = useless.rns.iter().map(key).collect();
    let sql = format!(
        "{insert} SELECT $1, x.k, to_jsonb(x.r), u.code, u.reason FROM (SELECT {key} AS k, {ROW} AS r FROM {relation} AS {ROW} WHERE {filter} OFFSET 0) x \
         JOIN unnest($2::pg_catalog.text[], $3::pg_catalog.text[], $4::pg_catalog.text[]) AS u(key, code, reason) ON u.key = x.k ON CONFLICT DO NOTHING",
        insert = ws.sql("INSERT INTO @ws@.reject (source_id, key, payload, code, reason)"),
        key = spool::key_sql(source)?.0,
        relation = source.relation,
        filter = spool::filter_sql(source),
    );
    spi::run(&sql, &[source.source_id.into(), keys.into(), useless.codes.into(), useless.reasons.into()])?;
    Ok(())
}
