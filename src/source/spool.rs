//! What a run has to take: the new or changed rows of the relation, kept aside in the order they are taken, so that batches can
//! commit, a bad row can be tried alone, and the total is known from the start.

use super::describe::{self, ROW};
use super::mapping::Mapping;
use crate::error::CdpError;
use crate::pg::{spi, temp};
use crate::workspace::Workspace;

/// A source with its parsed mapping.
pub struct Source {
    /// Number of the source.
    pub source_id: i32,
    /// Quoted name of the relation.
    pub relation: String,
    /// Its mapping.
    pub mapping: Mapping,
    /// 0 to 100.
    pub trust: i32,
    /// How far it was taken.
    pub watermark: Option<String>,
}

impl Source {
    /// Whether `updated_at` is a time: then a row whose time is infinite does not move the watermark.
    pub fn timed(&self) -> Result<bool, CdpError> {
        match &self.mapping.updated_at {
            None => Ok(false),
            Some(updated_at) => {
                let oid = describe::oid_of(&self.relation, "updated_at", updated_at)?;
                Ok(matches!(describe::attribute_type(oid), "timestamptz" | "date"))
            }
        }
    }
}

/// Reads a source.
pub fn source(ws: &Workspace, source_id: i32) -> Result<Source, CdpError> {
    let found = spi::rows(
        &ws.sql("SELECT s.name, s.relation, s.mapping::pg_catalog.text, s.trust, s.watermark FROM @ws@.source s WHERE s.source_id = $1"),
        &[source_id.into()],
        |row| {
            let json: String = spi::must(row, 3)?;
            Ok((spi::must::<String>(row, 1)?, spi::must::<String>(row, 2)?, json, spi::must::<i32>(row, 4)?, row.get::<String>(5)?))
        },
    )?;
    let Some((name, relation, json, trust, watermark)) = found.into_iter().next() else {
        return Err(CdpError::internal(format!("source {source_id} is gone")));
    };
    let value =
        serde_json::from_str(&json).map_err(|e| CdpError::internal(format!("mapping of source \"{name}\": {e}")))?;
    Ok(Source { source_id, mapping: super::mapping::parse(&value)?, relation, trust, watermark })
}

/// SQL giving the key of a row: the mapping's, the primary key, or the text of the whole row.
fn key_sql(source: &Source) -> Result<(String, bool), CdpError> {
    if let Some(key) = &source.mapping.key {
        return Ok((format!("(\n{key}\n)::pg_catalog.text"), true));
    }
    let columns = spi::one::<String>(
        "SELECT CASE count(*) WHEN 0 THEN NULL WHEN 1 THEN min(quote_ident(a.attname)) || '::pg_catalog.text' \
                ELSE 'ROW(' || string_agg(quote_ident(a.attname), ', ' ORDER BY array_position(i.indkey::pg_catalog.int2[], a.attnum)) || ')::pg_catalog.text' END \
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) \
         WHERE i.indrelid = $1::pg_catalog.regclass AND i.indisprimary",
        &[source.relation.as_str().into()],
    )?;
    Ok(match columns {
        Some(columns) => (columns, true),
        None => (format!("pg_catalog.md5({ROW}::pg_catalog.text)"), false),
    })
}

/// Fills the temporary table `cdp_spool (rn, k, u, seen, h, r)`: number, key, watermark as text, time the row speaks of (null when it is infinite), hash (full compare only)
/// and the row. Returns how many rows there are to take.
pub fn fill(ws: &Workspace, source: &Source, job_id: i64) -> Result<i64, CdpError> {
    let (key, unique) = key_sql(source)?;
    let filter = source.mapping.filter.as_ref().map_or_else(|| "true".to_owned(), |f| format!("(\n{f}\n)"));
    temp::drop("cdp_spool")?;
    let relation = &source.relation;
    let sql = match &source.mapping.updated_at {
        Some(updated_at) => {
            let oid = describe::oid_of(relation, "updated_at", updated_at)?;
            let ty = spi::one::<String>("SELECT format_type($1, NULL)", &[oid.into()])?.unwrap_or_else(|| "text".to_owned());
            let seen = if describe::attribute_type(oid) == "timestamptz" || describe::attribute_type(oid) == "date" {
                "CASE WHEN isfinite(x.u) THEN x.u::pg_catalog.timestamptz END"
            } else {
                "NULL::pg_catalog.timestamptz"
            };
            // Rows at the watermark are read again: rows written at that very moment may have been committed later. Facts are
            // idempotent, so reading them twice changes nothing.
            let since = match &source.watermark {
                Some(watermark) => format!("AND ((\n{updated_at}\n) >= {}::{ty} OR (\n{updated_at}\n) IS NULL)", pgrx::spi::quote_literal(watermark)),
                None => String::new(),
            };
            format!(
                "CREATE TEMPORARY TABLE cdp_spool AS \
                 SELECT row_number() OVER (ORDER BY x.u NULLS FIRST, x.k) AS rn, x.k, x.u::pg_catalog.text AS u, {seen} AS seen, NULL::pg_catalog.uuid AS h, x.r \
                 FROM (SELECT {key} AS k, (\n{updated_at}\n) AS u, {ROW} AS r FROM {relation} AS {ROW} WHERE {filter} {since}) x"
            )
        }
        None => ws.sql(&format!(
            "CREATE TEMPORARY TABLE cdp_spool AS \
             SELECT row_number() OVER () AS rn, x.k, NULL::pg_catalog.text AS u, NULL::pg_catalog.timestamptz AS seen, x.h, x.r \
             FROM (SELECT {key} AS k, md5({ROW}::pg_catalog.text)::pg_catalog.uuid AS h, {ROW} AS r FROM {relation} AS {ROW} WHERE {filter}) x \
             LEFT JOIN @ws@.source_row s ON s.source_id = {source_id} AND s.key = x.k WHERE s.hash IS DISTINCT FROM x.h",
            source_id = source.source_id
        )),
    };
    spi::run(&sql, &[])?;
    let total = spi::one::<i64>("SELECT count(*) FROM pg_temp.cdp_spool", &[])?.unwrap_or(0);
    single_keys(ws, source, job_id, unique)?;
    spi::run("CREATE INDEX ON pg_temp.cdp_spool (rn)", &[])?;
    spi::run("ANALYZE pg_temp.cdp_spool", &[])?;
    Ok(total)
}

/// Leaves one row a key, the last by watermark; the others are rejected, unless the key is the whole row: then they are the same fact.
fn single_keys(ws: &Workspace, source: &Source, job_id: i64, unique: bool) -> Result<(), CdpError> {
    if spi::one::<bool>(
        "SELECT true FROM pg_temp.cdp_spool s GROUP BY s.k HAVING count(*) > 1 OR s.k IS NULL LIMIT 1",
        &[],
    )?
    .is_none()
    {
        return Ok(());
    }
    spi::run(
        &ws.sql(
            "WITH surplus AS (DELETE FROM pg_temp.cdp_spool s USING (SELECT x.rn, x.k, row_number() OVER (PARTITION BY x.k ORDER BY x.rn DESC) AS age FROM pg_temp.cdp_spool x) d \
                              WHERE d.rn = s.rn AND (d.age > 1 OR d.k IS NULL) RETURNING s.k, s.r), \
             told AS (INSERT INTO @ws@.reject (source_id, key, payload, reason) \
                      SELECT $1, g.k, to_jsonb(g.r), CASE WHEN g.k IS NULL THEN 'key is null' ELSE 'another row of the source has the same key' END \
                      FROM surplus g WHERE $2 OR g.k IS NULL ON CONFLICT DO NOTHING) \
             UPDATE @ws@.job SET rows_rejected = rows_rejected + (SELECT count(*) FROM surplus g WHERE $2 OR g.k IS NULL), rows_done = rows_done + (SELECT count(*) FROM surplus) WHERE job_id = $3",
        ),
        &[source.source_id.into(), unique.into(), job_id.into()],
    )?;
    Ok(())
}
