//! The steps of `cdp_sync()`: begin a run of a source, take a batch, end the run. The loop with its commits is the procedure in `sql/procedures.sql`.

use super::batch::{self, Identifier, Plan, Trait};
use super::mapping::EventMapping;
use super::spool::Source;
use super::{beside, columns, describe, spool, taken, whole, withdraw};
use crate::error::CdpError;
use crate::event::dictionary::{self, Mode};
use crate::identity::gather::Sights;
use crate::identity::rules::Rules;
use crate::pg::{settings, spi, temp};
use crate::quality::tally::Tally;
use crate::workspace::{self, Workspace, job};
use crate::{event, identity, profile, store};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::cell::Cell;

/// Rows of a batch. Large enough that the fixed cost of its statements is small beside its rows, small enough to commit every second or so.
const BATCH_ROWS: i64 = 50_000;

/// The sources to take, by name; all when none is named.
#[pg_extern(volatile, parallel_unsafe)]
fn _cdp_sync_sources(source: Option<&str>) -> Result<SetOfIterator<'static, i32>, ErrorReport> {
    Ok(workspace::enter(|ws| {
        let ids = spi::rows(
            &ws.sql("SELECT s.source_id FROM @ws@.source s WHERE s.relation <> '' AND ($1 IS NULL OR s.name = $1) ORDER BY s.source_id"),
            &[source.into()],
            |row| spi::must::<i32>(row, 1),
        )?;
        match source {
            Some(name) if ids.is_empty() => Err(super::api::undefined(ws, name)?),
            _ => Ok(SetOfIterator::new(ids)),
        }
    })?)
}

/// Starts a run: reads what there is to take into the session's spool, unless it is to be taken whole. Returns the job.
#[pg_extern(volatile, parallel_unsafe, strict)]
fn _cdp_sync_begin(source_id: i32) -> Result<i64, ErrorReport> {
    Ok(workspace::enter_bulk(|ws| {
        ws.lock()?;
        let running = spi::one::<String>(
            &ws.sql("SELECT 'backend ' || j.backend_pid FROM @ws@.job j JOIN @ws@.jobs v USING (job_id) WHERE j.source_id = $1 AND v.state = 'running' AND j.backend_pid <> pg_backend_pid() LIMIT 1"),
            &[source_id.into()],
        )?;
        let source = spool::source(ws, source_id)?;
        if let Some(backend) = running {
            return Err(CdpError::in_use(format!("source \"{}\" is being synced by {backend}", source.name))
                .with_hint("Wait for it to finish: see the view jobs of the workspace."));
        }
        spi::run(
            &ws.sql("UPDATE @ws@.job SET state = 'failed', message = 'interrupted', finished_at = updated_at WHERE source_id = $1 AND state = 'running'"),
            &[source_id.into()],
        )?;
        let job_id = job::begin(ws, "sync", Some(source_id))?;
        check(ws, &source)?;
        note_first(ws, job_id, source_id)?;
        if !whole::plan(ws, job_id, &plan(ws, source_id)?)? {
            job::total(ws, job_id, spool::fill(ws, &source, job_id, 0)?)?;
        }
        Ok(job_id)
    })?)
}

/// Tells how the columns of the relation changed since the last run, and checks that the mapping still fits them.
fn check(ws: &Workspace, source: &Source) -> Result<(), CdpError> {
    if !describe::exists(&source.relation)? {
        return Err(CdpError::undefined_object("relation", &source.relation)
            .with_hint(format!("The source \"{}\" takes its rows from it: make it again, or name another relation with cdp_source_alter().", source.name)));
    }
    for change in columns::note(ws, source.source_id, &source.relation)? {
        pgrx::notice!("{}: {change}", source.name);
    }
    let Err(error) = describe::check(&source.relation, &source.mapping) else { return Ok(()) };
    let drift = spi::one::<bool>(
        &ws.sql("SELECT true FROM @ws@.source_change c WHERE c.source_id = $1 LIMIT 1"),
        &[source.source_id.into()],
    )?;
    if drift.is_none() {
        return Err(error);
    }
    Err(error.with_hint(format!(
        "The columns of {} are not what the source was made for: see the view source_drift of the workspace, then give the mapping anew with cdp_source_alter().",
        source.relation
    )))
}

/// Enters a run that could not begin, and how the columns of the relation changed: what the run entered of that went with it. Returns the job.
#[pg_extern(volatile, parallel_unsafe, strict)]
fn _cdp_sync_refused(source_id: i32) -> Result<i64, ErrorReport> {
    Ok(workspace::enter(|ws| {
        let source = spool::source(ws, source_id)?;
        columns::note(ws, source_id, &source.relation)?;
        job::begin(ws, "sync", Some(source_id))
    })?)
}

/// Takes the batch of rows after a position. Returns the position reached; NULL when nothing was left.
#[pg_extern(volatile, parallel_unsafe, strict)]
fn _cdp_sync_batch(job_id: i64, after: i64) -> Result<Option<i64>, ErrorReport> {
    Ok(workspace::enter_batch(|ws| take(ws, job_id, after))?)
}

fn take(ws: &Workspace, job_id: i64, after: i64) -> Result<Option<i64>, CdpError> {
    if let Some(upto) = take_back(ws, job_id, after)? {
        return Ok(Some(upto));
    }
    let source_id = source_of(ws, job_id)?;
    if let Some(rows) = whole::take(ws, job_id, source_id)? {
        if rows == 0 {
            return Ok(None);
        }
        tell(ws, job_id)?;
        return Ok(Some(rows));
    }
    let seen = plan(ws, source_id)?;
    let Some(upto) = next(&seen, after)? else { return again(ws, job_id, after) };
    if beside::take(ws, job_id, &seen, after, upto)? {
        tell(ws, job_id)?;
        return Ok(Some(upto));
    }
    ws.lock()?;
    // Others may have been at work until now.
    let plan = plan(ws, source_id)?;
    let upto = if plan.plain() == seen.plain() { upto } else { next(&plan, after)?.unwrap_or(upto) };
    let taken = if plan.plain() {
        show(ws, &plan, after, upto, Some(most_memory()))?
    } else {
        let rows = batch::count(after, upto)?;
        Taken { upto, rows, rejected: land(ws, &plan, after, upto, rows, first_run(job_id, &plan))? }
    };
    taken::remember(ws, &plan, Some(job_id), after, taken.upto)?;
    job::progress(ws, job_id, taken.rows, taken.rejected)?;
    tell(ws, job_id)?;
    Ok(Some(taken.upto))
}

/// What was taken.
struct Taken {
    /// The position reached.
    upto: i64,
    /// Rows that were looked at.
    rows: i64,
    /// Those that were rejected, or their events.
    rejected: i64,
}

/// How far the next batch reaches at most; `None`: nothing is left.
fn next(plan: &Plan, after: i64) -> Result<Option<i64>, CdpError> {
    // What was taken whole has none.
    if !describe::exists("pg_temp.cdp_spool")? {
        return Ok(None);
    }
    if plan.plain() {
        return spi::one::<i64>("SELECT max(s.rn) FROM pg_temp.cdp_spool s WHERE s.rn > $1", &[after.into()]);
    }
    spi::one::<i64>(
        "SELECT max(x.rn) FROM (SELECT s.rn FROM pg_temp.cdp_spool s WHERE s.rn > $1 ORDER BY s.rn LIMIT $2) x",
        &[after.into(), BATCH_ROWS.into()],
    )
}

/// How much memory a batch of rows that show identifiers and nothing else may take, in bytes. The more of them are taken together, the fewer profiles are made that a later batch merges, and the
/// nearer to each other lie the places in indexes where they go.
pub fn most_memory() -> usize {
    usize::try_from(settings::maintenance_work_mem_kb()).unwrap_or(0) * 1024
}

/// Takes back what the next rows that are gone said. `None`: none is left.
fn take_back(ws: &Workspace, job_id: i64, after: i64) -> Result<Option<i64>, CdpError> {
    if !describe::exists("pg_temp.cdp_vanished")? {
        return Ok(None);
    }
    let upto = spi::one::<i64>(
        "SELECT max(x.rn) FROM (SELECT g.rn FROM pg_temp.cdp_vanished g WHERE g.rn > $1 ORDER BY g.rn LIMIT $2) x",
        &[after.into(), BATCH_ROWS.into()],
    )?;
    let Some(upto) = upto else { return Ok(None) };
    ws.lock()?;
    let rows = withdraw::gone(ws, &plan(ws, source_of(ws, job_id)?)?, after, upto)?;
    spi::run(
        &ws.sql("UPDATE @ws@.job SET rows_gone = rows_gone + $2, updated_at = clock_timestamp() WHERE job_id = $1"),
        &[job_id.into(), rows.into()],
    )?;
    tell(ws, job_id)?;
    Ok(Some(upto))
}

/// Reads the relation once more when rows that were taken left others to be taken again: their person was left by a row that became another's. `None`: nothing is left to do.
fn again(ws: &Workspace, job_id: i64, after: i64) -> Result<Option<i64>, CdpError> {
    if after >= Source::SECOND_PASS || !describe::exists("pg_temp.cdp_vanished")? {
        return Ok(None);
    }
    let source = plan(ws, source_of(ws, job_id)?)?.source;
    if !withdraw::waiting(ws, source.source_id)? {
        return Ok(None);
    }
    ws.lock()?;
    let total = spool::fill(ws, &source, job_id, Source::SECOND_PASS)?;
    spi::run(
        &ws.sql("UPDATE @ws@.job SET rows_total = rows_total + $2 WHERE job_id = $1"),
        &[job_id.into(), total.into()],
    )?;
    Ok(Some(Source::SECOND_PASS))
}

/// Tells the client how far the run is.
fn tell(ws: &Workspace, job_id: i64) -> Result<(), CdpError> {
    let progress = spi::one::<String>(
        &ws.sql(
            "SELECT format('%s: %s of %s rows, %s rejected, %s%s rows/s', v.source, v.rows_done, v.rows_total, v.rows_rejected, CASE WHEN v.rows_gone > 0 THEN v.rows_gone || ' gone, ' END, \
                 coalesce(v.rows_per_second, 0)) FROM @ws@.jobs v WHERE v.job_id = $1",
        ),
        &[job_id.into()],
    )?;
    pgrx::notice!("{}", progress.unwrap_or_default());
    Ok(())
}

/// Takes the rows of the spool with `after < rn <= upto`, `rows` of them: identifiers, traits and events, and all that follows from them. `first` tells that no event can be
/// there already. Returns how many rows were rejected, or their events.
pub fn land(ws: &Workspace, plan: &Plan, after: i64, upto: i64, rows: i64, first: bool) -> Result<i64, CdpError> {
    let source_id = plan.source.source_id;
    if plan.plain() {
        return show(ws, plan, after, upto, None).map(|taken| taken.rejected);
    }
    batch::prepare()?;
    let mut tally = Tally::of(rows);
    let rules = Rules::load(ws)?;
    let mut rejected = batch::map(ws, plan, after, upto, &mut tally)?;
    rejected += event::validate::validate(ws, source_id, batch::PAYLOAD, "row", &mut tally)?;
    let (mut sights, useless) = batch::identify(ws, plan, &rules, &mut tally)?;
    rejected += useless;
    batch::usable(&mut tally)?;
    event::land::prepare()?;
    let subjects = sights.subjects();
    let merged = identity::stitch::see(ws, &rules, &mut sights, source_id, plan.source.trust)?;
    if plan.source.mapping.event.is_some() || !plan.traits.is_empty() {
        sights.enter(subjects)?;
    }
    let left = plan.source.mapping.retract && withdraw::changed(ws, plan, after, upto)?;
    profile::observe::observe(ws, source_id, merged || left)?;
    match &plan.source.mapping.event {
        Some(_) => {
            let named = "SELECT DISTINCT r.event FROM pg_temp.cdp_row r WHERE r.event IS NOT NULL";
            for name in spi::rows(named, &[], |row| spi::must::<String>(row, 1))? {
                dictionary::ensure(ws, &name, &plan.properties, Mode::Mapped)?;
            }
            tally.repeated = tally.events - event::land::land(ws, source_id, first)?;
        }
        None => event::land::emit(ws)?,
    }
    tally.write(ws, source_id)?;
    Ok(rejected)
}

/// As [`land`], of rows that show identifiers and nothing else; of so many as the memory holds, if a limit is given.
fn show(ws: &Workspace, plan: &Plan, after: i64, upto: i64, memory: Option<usize>) -> Result<Taken, CdpError> {
    let source_id = plan.source.source_id;
    batch::prepare_plain()?;
    let mut tally = Tally::default();
    let rules = Rules::load(ws)?;
    let (shown, mut rejected, upto) = batch::read(ws, plan, (after, upto), memory, &mut tally)?;
    let count = rejected + i64::try_from(shown.len()).map_err(|_| CdpError::limit("too many rows"))?;
    tally.rows = count;
    let (mut sights, useless) = batch::sights(ws, plan, &rules, &shown, &mut tally)?;
    rejected += batch::reject(ws, plan, useless)?;
    drop(shown);
    stitch(ws, plan, &rules, &mut sights, &mut tally)?;
    tally.write(ws, source_id)?;
    Ok(Taken { upto, rows: count, rejected })
}

/// Stitches what rows of a source show that show identifiers and nothing else, and lets follow what does.
pub fn stitch(
    ws: &Workspace,
    plan: &Plan,
    rules: &Rules,
    sights: &mut Sights,
    tally: &mut Tally,
) -> Result<(), CdpError> {
    tally.newest = sights.newest();
    event::land::prepare()?;
    if identity::stitch::see(ws, rules, sights, plan.source.source_id, plan.source.trust)? {
        profile::observe::follow(ws)?;
        event::land::emit(ws)?;
    }
    Ok(())
}

thread_local! {
    /// The run that began when no event of its source was there.
    static FIRST: Cell<Option<i64>> = const { Cell::new(None) };
}

/// Takes note of whether a run that begins is the first to bring events of its source: no earlier one took a row of it, and no message came under its name.
fn note_first(ws: &Workspace, job_id: i64, source_id: i32) -> Result<(), CdpError> {
    let earlier = spi::one::<bool>(
        &ws.sql(
            "SELECT EXISTS (SELECT FROM @ws@.job j WHERE j.source_id = $1 AND j.job_id <> $2 AND j.rows_done > 0) OR EXISTS (SELECT FROM @ws@.event e WHERE e.source_id = $1) \
                 OR EXISTS (SELECT FROM @ws@.message m WHERE m.source_id = $1)",
        ),
        &[source_id.into(), job_id.into()],
    )?;
    FIRST.set((earlier == Some(false)).then_some(job_id));
    Ok(())
}

/// Whether a run is the first to bring events of its source, and a row is an event: then no event of a later batch can be there already.
pub fn first_run(job_id: i64, plan: &Plan) -> bool {
    let by_row = |event: &EventMapping| event.id.is_none() || event.id == plan.source.mapping.key;
    FIRST.get() == Some(job_id) && plan.source.mapping.event.as_ref().is_some_and(by_row)
}

/// The source that a run is of.
fn source_of(ws: &Workspace, job_id: i64) -> Result<i32, CdpError> {
    spi::one::<i32>(&ws.sql("SELECT j.source_id FROM @ws@.job j WHERE j.job_id = $1"), &[job_id.into()])?
        .ok_or_else(|| CdpError::internal(format!("job {job_id} is gone")))
}

/// What a batch of a source needs.
pub fn plan(ws: &Workspace, source_id: i32) -> Result<Plan, CdpError> {
    let source = spool::source(ws, source_id)?;
    let mut identifiers = Vec::new();
    for (name, expression) in &source.mapping.identifiers {
        let type_id = spi::one::<i32>(
            &ws.sql("SELECT t.type_id FROM @ws@.identifier_type t WHERE t.name = $1"),
            &[name.as_str().into()],
        )?
        .ok_or_else(|| CdpError::undefined_object("identifier type", name))?;
        identifiers.push(Identifier { type_id, name: name.clone(), expression: expression.clone() });
    }
    let mut traits = Vec::new();
    for (name, expression) in &source.mapping.traits {
        let (attribute_id, ty) = profile::attribute::trait_of(ws, name)?;
        traits.push(Trait { attribute_id, name: name.clone(), ty, expression: expression.clone() });
    }
    let properties = match &source.mapping.event {
        Some(event) => describe::properties(&source.relation, event)?,
        None => Vec::new(),
    };
    Ok(Plan { source, identifiers, traits, properties })
}

/// Ends a run: done, or failed with a message.
#[pg_extern(volatile, parallel_unsafe)]
fn _cdp_sync_end(job_id: i64, failure: Option<&str>) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        temp::drop("cdp_spool")?;
        temp::drop("cdp_vanished")?;
        job::end(ws, job_id, failure)?;
        if failure.is_none() {
            spi::run(
                &ws.sql("UPDATE @ws@.source s SET synced_at = clock_timestamp() FROM @ws@.job j WHERE j.job_id = $1 AND s.source_id = j.source_id"),
                &[job_id.into()],
            )?;
            for table in outgrown(ws, job_id)? {
                spi::run(&format!("ANALYZE {table}"), &[])?;
            }
        }
        Ok(())
    })?)
}

/// Tables whose statistics a run has made stale: later batches and questions plan by them. A run of few rows leaves those of large tables as they are; autovacuum
/// goes by the same share. Documents and bits are left out: nobody asks how they are spread, and to compare them takes longer than all the rest.
/// Tables without any row have none, and that of chunks, whose rows are of many numbers each, is stale when it has grown.
fn outgrown(ws: &Workspace, job_id: i64) -> Result<Vec<String>, CdpError> {
    spi::rows(
        &ws.sql(
            "SELECT format('%s (%s)', c.oid::pg_catalog.regclass, (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a \
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid NOT IN ('pg_catalog.jsonb'::pg_catalog.regtype, 'pg_catalog.bytea'::pg_catalog.regtype))) \
             FROM pg_catalog.pg_class c JOIN @ws@.job j ON j.job_id = $1 \
             WHERE c.relnamespace = $2::pg_catalog.regnamespace AND c.relname = ANY (ARRAY['node', 'profile', 'edge', 'event', 'profile_value', 'trait_observation', 'chunk']) \
               AND (c.reltuples <= 0 OR j.rows_done > c.reltuples / 10) AND (c.relkind = 'p' OR pg_relation_size(c.oid) > 0) \
               AND (c.relname <> 'chunk' OR pg_relation_size(c.oid) > 1.1 * c.relpages * current_setting('block_size')::pg_catalog.int4) ORDER BY c.relname",
        ),
        &[job_id.into(), ws.schema().into()],
        |row| spi::must::<String>(row, 1),
    )
}

/// Folds what the run left pending.
#[pg_extern(volatile, parallel_unsafe)]
fn _cdp_sync_fold() -> Result<(), ErrorReport> {
    Ok(workspace::enter_bulk(|ws| {
        ws.lock()?;
        store::flush::flush(ws)?;
        Ok(())
    })?)
}

/// Whether the caller is inside a transaction block, where a procedure cannot commit.
#[pg_extern(volatile, parallel_unsafe)]
fn _cdp_in_transaction_block() -> bool {
    crate::pg::transaction::in_block()
}
