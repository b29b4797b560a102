//! What a batch adds to the figures of its source and day: collected while it is taken, written once. A message that comes by itself adds a row of its own, so that none waits for another to
//! have counted; the views add them up, and `cdp_flush()` folds them in.

use crate::error::CdpError;
use crate::pg::spi::{self, Together};
use crate::workspace::Workspace;
use pgrx::datum::TimestampWithTimeZone;
use std::collections::BTreeMap;

/// The day on which something arrives now.
const TODAY: &str = "(clock_timestamp() AT TIME ZONE @tz@)::pg_catalog.date";

/// What a broken rule leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It is counted, and the value kept.
    Warn,
    /// The value, the event or the row goes to the rejects.
    Reject,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Reject => "reject",
        }
    }
}

/// What a message that came by itself adds.
#[derive(Debug, Default)]
pub struct One {
    /// Whether the whole or its event was rejected.
    pub rejected: bool,
    /// Whether it tells an event that could be used.
    pub event: bool,
    /// Whether that said nothing new.
    pub repeated: bool,
    /// The time it speaks of, if it could be used.
    pub at: Option<TimestampWithTimeZone>,
    /// Codes of what was rejected.
    pub rejects: Vec<String>,
    /// Codes of rules that were broken by what is kept.
    pub warnings: Vec<String>,
}

impl One {
    /// Adds to `together` that it is counted for its source and the present day.
    pub fn add(self, ws: &Workspace, source_id: i32, together: &mut Together<'_>) {
        let sql = "INSERT INTO @ws@.data_quality_one (source_id, day, rejected, event, repeated, newest, rejects, warnings) VALUES ($1, @today@, $2, $3, $4, $5, $6, $7)";
        together.add(
            &ws.sql(&sql.replace("@today@", TODAY)),
            [
                source_id.into(),
                self.rejected.into(),
                self.event.into(),
                self.repeated.into(),
                self.at.into(),
                self.rejects.into(),
                self.warnings.into(),
            ],
        );
    }
}

/// Counts the messages that came one at a time. Needs the workspace lock.
pub fn fold(ws: &Workspace) -> Result<(), CdpError> {
    spi::run(
        &ws.sql(
            "WITH taken AS (DELETE FROM @ws@.data_quality_one RETURNING *), \
             t AS MATERIALIZED (SELECT t.* FROM taken t WHERE EXISTS (SELECT FROM @ws@.source s WHERE s.source_id = t.source_id)), \
             reasons AS (INSERT INTO @ws@.data_quality_reason AS r (source_id, day, level, code, times) \
               SELECT x.source_id, x.day, x.level, x.code, count(*) FROM (SELECT t.source_id, t.day, 'reject' AS level, unnest(t.rejects) AS code FROM t \
                 UNION ALL SELECT t.source_id, t.day, 'warn', unnest(t.warnings) FROM t) x GROUP BY 1, 2, 3, 4 \
               ON CONFLICT (source_id, day, level, code) DO UPDATE SET times = r.times + excluded.times) \
             INSERT INTO @ws@.data_quality_day AS d (source_id, day, rows, rejected, events, repeated, newest, updated_at) \
             SELECT t.source_id, t.day, count(*), count(*) FILTER (WHERE t.rejected), count(*) FILTER (WHERE t.event), count(*) FILTER (WHERE t.repeated), max(t.newest), max(t.at) FROM t GROUP BY 1, 2 \
             ON CONFLICT (source_id, day) DO UPDATE SET rows = d.rows + excluded.rows, rejected = d.rejected + excluded.rejected, events = d.events + excluded.events, \
               repeated = d.repeated + excluded.repeated, newest = greatest(d.newest, excluded.newest), updated_at = greatest(d.updated_at, excluded.updated_at)",
        ),
        &[],
    )?;
    Ok(())
}

/// What a batch adds.
#[derive(Debug, Default)]
pub struct Tally {
    /// Rows or messages that were looked at.
    pub rows: i64,
    /// Those of which the whole or the event was rejected.
    pub rejected: i64,
    /// Events that could be used.
    pub events: i64,
    /// Events that said nothing new.
    pub repeated: i64,
    /// Latest time that a row which could be used speaks of.
    pub newest: Option<TimestampWithTimeZone>,
    reasons: BTreeMap<(Level, String), i64>,
    fields: BTreeMap<Field, (i64, i64)>,
}

/// Kind, event type (empty for what is no property) and name.
type Field = (&'static str, String, String);

impl Tally {
    /// Of so many rows.
    pub fn of(rows: i64) -> Self {
        Self { rows, ..Self::default() }
    }

    /// Counts so many times that a rule was broken.
    pub fn broken(&mut self, level: Level, code: &str, times: i64) {
        if times > 0 {
            *self.reasons.entry((level, code.to_owned())).or_default() += times;
        }
    }

    /// Counts rows that might have had a value, and those that had it. `kind` is `identifier`, `trait` or `property`.
    pub fn field(&mut self, kind: &'static str, event: &str, name: &str, rows: i64, present: i64) {
        let counts = self.fields.entry((kind, event.to_owned(), name.to_owned())).or_default();
        counts.0 += rows;
        counts.1 += present;
    }

    /// Adds it to the figures of the source and the present day.
    pub fn write(self, ws: &Workspace, source_id: i32) -> Result<(), CdpError> {
        if self.rows == 0 && self.reasons.is_empty() {
            return Ok(());
        }
        let (mut levels, mut codes, mut times) = (Vec::new(), Vec::new(), Vec::new());
        for ((level, code), n) in self.reasons {
            levels.push(level.name());
            codes.push(code);
            times.push(n);
        }
        let (mut kinds, mut events, mut names) = (Vec::new(), Vec::new(), Vec::new());
        let (mut rows, mut present) = (Vec::new(), Vec::new());
        for ((kind, event, name), (of, with)) in self.fields {
            kinds.push(kind);
            events.push(event);
            names.push(name);
            rows.push(of);
            present.push(with);
        }
        spi::run_cached(
            &ws.sql(&format!(
                "WITH reasons AS (INSERT INTO @ws@.data_quality_reason AS r (source_id, day, level, code, times) \
                   SELECT $1, {TODAY}, x.level, x.code, x.times FROM unnest($7::pg_catalog.text[], $8::pg_catalog.text[], $9::pg_catalog.int8[]) AS x(level, code, times) \
                   ON CONFLICT (source_id, day, level, code) DO UPDATE SET times = r.times + excluded.times), \
                 fields AS (INSERT INTO @ws@.data_quality_field AS f (source_id, day, kind, event, name, rows, present) \
                   SELECT $1, {TODAY}, x.kind, x.event, x.name, x.n, x.present \
                   FROM unnest($10::pg_catalog.text[], $11::pg_catalog.text[], $12::pg_catalog.text[], $13::pg_catalog.int8[], $14::pg_catalog.int8[]) AS x(kind, event, name, n, present) \
                   ON CONFLICT (source_id, day, kind, event, name) DO UPDATE SET rows = f.rows + excluded.rows, present = f.present + excluded.present) \
                 INSERT INTO @ws@.data_quality_day AS d (source_id, day, rows, rejected, events, repeated, newest) \
                 VALUES ($1, {TODAY}, $2, $3, $4, $5, $6) \
                 ON CONFLICT (source_id, day) DO UPDATE SET rows = d.rows + excluded.rows, rejected = d.rejected + excluded.rejected, \
                   events = d.events + excluded.events, repeated = d.repeated + excluded.repeated, newest = greatest(d.newest, excluded.newest), updated_at = clock_timestamp()"
            )),
            &[
                source_id.into(),
                self.rows.into(),
                self.rejected.into(),
                self.events.into(),
                self.repeated.into(),
                self.newest.into(),
                levels.into(),
                codes.into(),
                times.into(),
                kinds.into(),
                events.into(),
                names.into(),
                rows.into(),
                present.into(),
            ],
        )
    }
}
