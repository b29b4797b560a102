//! `cdp_data_quality`: what is computed on demand, from the facts that are kept and the figures of the batches.

use crate::error::CdpError;
use crate::pg::spi;
use crate::workspace::{self, Workspace};
use pgrx::datum::Date;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::quote_literal;

/// Source (none: the workspace), metric, what it is of, value.
type Figure = (Option<String>, String, Option<String>, Option<AnyNumeric>);

#[expect(clippy::type_complexity, reason = "the columns of the function")]
#[pg_extern(stable, parallel_unsafe)]
fn cdp_data_quality(
    source: default!(Option<&str>, "NULL"),
    since: default!(Option<Date>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(source, Option<String>),
            name!(metric, String),
            name!(item, Option<String>),
            name!(value, Option<AnyNumeric>),
        ),
    >,
    ErrorReport,
> {
    Ok(workspace::enter_reading(|ws| {
        let sources = spi::rows(
            &ws.sql("SELECT s.source_id, s.name FROM @ws@.source s WHERE $1 IS NULL OR s.name = $1 ORDER BY s.name"),
            &[source.into()],
            |row| Ok((spi::must::<i32>(row, 1)?, spi::must::<String>(row, 2)?)),
        )?;
        if let (Some(name), true) = (source, sources.is_empty()) {
            return Err(crate::source::api::undefined(ws, name)?);
        }
        let mut figures = Vec::new();
        for (source_id, name) in sources {
            arrived(ws, source_id, &name, since, &mut figures)?;
            facts(ws, source_id, &name, &mut figures)?;
        }
        if source.is_none() {
            people(ws, &mut figures)?;
        }
        Ok(TableIterator::new(figures))
    })?)
}

/// Reads rows of metric, item and value.
fn read(
    name: Option<&str>,
    sql: &str,
    source_id: i32,
    since: Option<Date>,
    figures: &mut Vec<Figure>,
) -> Result<(), CdpError> {
    figures.extend(spi::rows(sql, &[source_id.into(), since.into()], |row| {
        Ok((name.map(str::to_owned), spi::must::<String>(row, 1)?, row.get::<String>(2)?, row.get::<AnyNumeric>(3)?))
    })?);
    Ok(())
}

/// What the batches since a day counted.
fn arrived(
    ws: &Workspace,
    source_id: i32,
    name: &str,
    since: Option<Date>,
    figures: &mut Vec<Figure>,
) -> Result<(), CdpError> {
    let sql = "WITH d AS (SELECT coalesce(sum(d.rows), 0) AS rows, coalesce(sum(d.rejected), 0) AS rejected, coalesce(sum(d.events), 0) AS events, coalesce(sum(d.repeated), 0) AS repeated \
                 FROM @ws@.data_quality_days d WHERE d.source_id = $1 AND ($2 IS NULL OR d.day >= $2)), \
               r AS (SELECT r.level, r.code, sum(r.times) AS times FROM @ws@.data_quality_reasons r WHERE r.source_id = $1 AND ($2 IS NULL OR r.day >= $2) GROUP BY 1, 2), \
               f AS (SELECT f.kind, f.event, f.name, sum(f.rows) AS rows, sum(f.present) AS present FROM @ws@.data_quality_field f WHERE f.source_id = $1 AND ($2 IS NULL OR f.day >= $2) GROUP BY 1, 2, 3) \
               SELECT x.metric, x.item, x.value FROM ( \
                 SELECT 1 AS i, 'rows' AS metric, NULL::pg_catalog.text AS item, d.rows::pg_catalog.numeric AS value FROM d \
                 UNION ALL SELECT 2, 'rejected', NULL, d.rejected FROM d \
                 UNION ALL SELECT 3, CASE r.level WHEN 'warn' THEN 'warnings' ELSE 'rejects' END, r.code, r.times FROM r \
                 UNION ALL SELECT 4, 'outliers', NULL, (SELECT coalesce(sum(r.times), 0) FROM r WHERE r.code IN ('below_minimum', 'above_maximum', 'not_allowed', 'pattern_mismatch')) \
                 UNION ALL SELECT 5, 'duplicate_rate', NULL, round(d.repeated / nullif(d.events, 0), 4) FROM d WHERE d.events > 0 \
                 UNION ALL SELECT 6, 'null_rate', f.kind || ' ' || CASE WHEN f.event = '' THEN '' ELSE f.event || '.' END || f.name, round(1 - f.present / nullif(f.rows, 0), 4) FROM f) x \
               ORDER BY x.i, x.metric, x.item";
    read(Some(name), &ws.sql(sql), source_id, since, figures)
}

/// What the facts of a source say, all that are kept: distinct values and the age of the newest.
fn facts(ws: &Workspace, source_id: i32, name: &str, figures: &mut Vec<Figure>) -> Result<(), CdpError> {
    let traits = "SELECT 'distinct', 'trait ' || a.name, count(DISTINCT o.traits ->> a.attribute_id::pg_catalog.text)::pg_catalog.numeric \
         FROM @ws@.trait_observation o JOIN @ws@.attribute a ON o.traits ? a.attribute_id::pg_catalog.text WHERE o.source_id = $1 AND $2::pg_catalog.date IS NULL GROUP BY a.name ORDER BY a.name";
    read(Some(name), &ws.sql(traits), source_id, None, figures)?;
    let types = spi::rows(
        &ws.sql("SELECT t.event_type_id, t.name, p.name FROM @ws@.event_type t JOIN @ws@.property p USING (event_type_id) ORDER BY t.name, p.name"),
        &[],
        |row| Ok((spi::must::<i32>(row, 1)?, spi::must::<String>(row, 2)?, spi::must::<String>(row, 3)?)),
    )?;
    for of_type in types.chunk_by(|a, b| a.0 == b.0) {
        let Some((event_type_id, event, _)) = of_type.first() else { continue };
        let counts: Vec<String> =
            of_type.iter().map(|(.., p)| format!("count(DISTINCT e.properties ->> {})", quote_literal(p))).collect();
        let names: Vec<String> = of_type.iter().map(|(.., p)| quote_literal(format!("property {event}.{p}"))).collect();
        let sql = format!(
            "SELECT 'distinct', x.name, x.n::pg_catalog.numeric FROM (SELECT ARRAY[{}]::pg_catalog.int8[] AS n FROM {}.event e WHERE e.source_id = $1 AND e.event_type_id = {event_type_id} AND $2::pg_catalog.date IS NULL HAVING count(*) > 0) a \
             CROSS JOIN LATERAL unnest(ARRAY[{}], a.n) AS x(name, n)",
            counts.join(", "),
            ws.schema(),
            names.join(", ")
        );
        read(Some(name), &sql, source_id, None, figures)?;
    }
    let newest = "SELECT 'lag_seconds', NULL, round(extract(epoch FROM now() - coalesce((SELECT max(e.at) FROM @ws@.event_facts e WHERE e.source_id = $1), \
         (SELECT max(o.observed_at) FROM @ws@.trait_observation o WHERE o.source_id = $1 AND isfinite(o.observed_at))))::pg_catalog.numeric) WHERE $2::pg_catalog.date IS NULL";
    read(Some(name), &ws.sql(newest), source_id, None, figures)
}

/// Identifiers of the workspace: how many of each type, and how many a profile has.
fn people(ws: &Workspace, figures: &mut Vec<Figure>) -> Result<(), CdpError> {
    let sql = "SELECT x.metric, x.item, x.value FROM ( \
           SELECT 1 AS i, 'distinct' AS metric, 'identifier ' || t.name AS item, count(*)::pg_catalog.numeric AS value FROM @ws@.node n JOIN @ws@.identifier_type t USING (type_id) GROUP BY t.name \
           UNION ALL SELECT 2, 'identifiers_per_profile', NULL, round(count(*)::pg_catalog.numeric / nullif(count(DISTINCT n.profile_id), 0), 4) FROM @ws@.node n WHERE n.profile_id IS NOT NULL \
           UNION ALL SELECT 3, 'identifiers_per_profile', t.name, round(count(*)::pg_catalog.numeric / count(DISTINCT n.profile_id), 4) \
             FROM @ws@.node n JOIN @ws@.identifier_type t USING (type_id) WHERE n.profile_id IS NOT NULL GROUP BY t.name) x \
         WHERE $1 = 0 AND $2::pg_catalog.date IS NULL ORDER BY x.i, x.item";
    read(None, &ws.sql(sql), 0, None, figures)
}
