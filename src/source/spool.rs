//! What a run has to take: the new or changed rows of the relation, kept aside in the order they are taken, so that batches can
//! commit, a bad row can be tried alone, and the total is known from the start.

use super::describe::{self, Order, ROW};
use super::mapping::Mapping;
use super::withdraw;
use crate::error::CdpError;
use crate::pg::{spi, temp};
use crate::quality::tally::{Level, Tally};
use crate::store::column;
use crate::workspace::Workspace;
use pg_cdp_core::norm::md5;
use pgrx::datum::Uuid;
use pgrx::prelude::*;
use std::collections::HashMap;

/// A source with its parsed mapping.
pub struct Source {
    /// Number of the source.
    pub source_id: i32,
    /// Its name.
    pub name: String,
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
    /// How `updated_at` puts the rows in order; `None`: there is none.
    pub fn order(&self) -> Result<Option<Order>, CdpError> {
        self.mapping.updated_at.as_ref().map(|updated_at| describe::order(&self.relation, updated_at)).transpose()
    }

    /// The position from which on rows are taken for the second time in a run.
    pub const SECOND_PASS: i64 = 1 << 40;
}

/// Reads a source.
pub fn source(ws: &Workspace, source_id: i32) -> Result<Source, CdpError> {
    let found = spi::rows(
        &ws.sql("SELECT s.name, s.relation, s.mapping::pg_catalog.text, s.trust, s.watermark, s.property_types::pg_catalog.text FROM @ws@.source s WHERE s.source_id = $1"),
        &[source_id.into()],
        |row| {
            let json: String = spi::must(row, 3)?;
            Ok((spi::must::<String>(row, 1)?, spi::must::<String>(row, 2)?, json, spi::must::<i32>(row, 4)?, row.get::<String>(5)?, spi::must::<String>(row, 6)?))
        },
    )?;
    let Some((name, relation, json, trust, watermark, types)) = found.into_iter().next() else {
        return Err(CdpError::internal(format!("source {source_id} is gone")));
    };
    let value =
        serde_json::from_str(&json).map_err(|e| CdpError::internal(format!("mapping of source \"{name}\": {e}")))?;
    let types: HashMap<String, String> =
        serde_json::from_str(&types).map_err(|e| CdpError::internal(format!("types of source \"{name}\": {e}")))?;
    let mut mapping = super::mapping::parse(&value)?;
    // A column that was given another type since is cast to what the property is known as.
    for (property, expression) in mapping.event.iter_mut().flat_map(|event| &mut event.properties) {
        if let Some(ty) = types.get(property) {
            *expression = format!("(\n{expression}\n)::pg_catalog.{}", column::pg_type(ty));
        }
    }
    Ok(Source { source_id, name, mapping, relation, trust, watermark })
}

/// SQL giving the key of a row: the mapping's, the primary key, or the text of the whole row.
pub fn key_sql(source: &Source) -> Result<(String, bool), CdpError> {
    if let Some(key) = &source.mapping.key {
        return Ok((format!("(\n{key}\n)::pg_catalog.text"), true));
    }
    Ok(match primary_key(&source.relation)? {
        Some(columns) => (columns, true),
        None => (format!("pg_catalog.md5({ROW}::pg_catalog.text)"), false),
    })
}

/// SQL telling whether a row is one of the source.
pub fn filter_sql(source: &Source) -> String {
    source.mapping.filter.as_ref().map_or_else(|| "true".to_owned(), |filter| format!("(\n{filter}\n)"))
}

/// SQL giving the primary key of a relation as a text; `None`: it has none.
fn primary_key(relation: &str) -> Result<Option<String>, CdpError> {
    spi::one::<String>(
        "SELECT CASE count(*) WHEN 0 THEN NULL WHEN 1 THEN min(quote_ident(a.attname)) || '::pg_catalog.text' \
                ELSE 'ROW(' || string_agg(quote_ident(a.attname), ', ' ORDER BY array_position(i.indkey::pg_catalog.int2[], a.attnum)) || ')::pg_catalog.text' END \
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) \
         WHERE i.indrelid = $1::pg_catalog.regclass AND i.indisprimary",
        &[relation.into()],
    )
}

/// Fills the temporary table `cdp_spool (rn, k, u, seen, h, fresh, r)`: number, from `after` on, key, watermark, time the row speaks of (null when it is infinite or not known),
/// hash and whether no run had taken it (full compare only), and the row; and `cdp_vanished` with the rows that are there no more, numbered before them, of a source whose rows take back what they
/// said. Returns how many rows there are to take.
pub fn fill(ws: &Workspace, source: &Source, job_id: i64, after: i64) -> Result<i64, CdpError> {
    let (key, unique) = key_sql(source)?;
    let filter = filter_sql(source);
    temp::drop("cdp_spool")?;
    temp::drop("cdp_vanished")?;
    let relation = &source.relation;
    let source_id = source.source_id;
    let sql = match (&source.mapping.updated_at, source.order()?) {
        (Some(updated_at), Some(order)) => {
            let seen = if order.timed {
                "CASE WHEN isfinite(x.u) THEN x.u::pg_catalog.timestamptz END"
            } else {
                "NULL::pg_catalog.timestamptz"
            };
            // Rows at the watermark, and as far below it as the mapping says, are read again: rows written before may have been committed later.
            // Facts are idempotent, so reading them twice changes nothing.
            let since = match &source.watermark {
                Some(watermark) => {
                    let floor = order.below(watermark, source.mapping.overlap.as_deref())?;
                    format!("AND ((\n{updated_at}\n) >= {floor} OR (\n{updated_at}\n) IS NULL)")
                }
                None => String::new(),
            };
            format!(
                "CREATE TEMPORARY TABLE cdp_spool AS \
                 SELECT {after} + row_number() OVER (ORDER BY x.u NULLS FIRST, x.k) AS rn, x.k, x.u, {seen} AS seen, NULL::pg_catalog.uuid AS h, false AS fresh, x.r \
                 FROM (SELECT {key} AS k, (\n{updated_at}\n) AS u, {ROW} AS r FROM {relation} AS {ROW} WHERE {filter} {since}) x"
            )
        }
        _ => {
            let mut first = after;
            if source.mapping.retract {
                withdraw::list(ws, source, &format!("SELECT {key} AS k FROM {relation} AS {ROW} WHERE {filter}"))?;
                first += spi::one::<i64>("SELECT count(*) FROM pg_temp.cdp_vanished", &[])?.unwrap_or(0);
                spi::run("UPDATE pg_temp.cdp_vanished SET rn = rn + $1", &[after.into()])?;
            }
            // The expressions of the mapping are not looked through for places to be filled in. OFFSET 0 keeps PostgreSQL from hashing a row anew wherever its hash is named.
            let (taken, hash) = (ws.sql("@ws@.source_row"), ws.sql("@ext@._cdp_hash"));
            format!(
                "CREATE TEMPORARY TABLE cdp_spool AS \
                 SELECT {first} + row_number() OVER () AS rn, x.k, NULL::pg_catalog.text AS u, CASE WHEN s.hash = x.h THEN s.seen END AS seen, x.h, s.source_id IS NULL AS fresh, x.r \
                 FROM (SELECT {key} AS k, {hash}({ROW}::pg_catalog.text) AS h, {ROW} AS r FROM {relation} AS {ROW} WHERE {filter} OFFSET 0) x \
                 LEFT JOIN {taken} s ON s.source_id = {source_id} AND s.key = x.k WHERE s.hash IS DISTINCT FROM x.h OR s.again"
            )
        }
    };
    spi::run(&sql, &[])?;
    let total = spi::one::<i64>("SELECT count(*) FROM pg_temp.cdp_spool", &[])?.unwrap_or(0);
    if !tells_rows_apart(source)? {
        single_keys(ws, source, job_id, unique)?;
    }
    spi::run("CREATE INDEX ON pg_temp.cdp_spool (rn)", &[])?;
    temp::analyze("cdp_spool", "rn")?;
    Ok(total)
}

/// Whether the key of a source is the primary key of its table, which is never NULL and never repeated: then nobody has to look.
pub fn tells_rows_apart(source: &Source) -> Result<bool, CdpError> {
    let table = spi::one::<bool>(
        "SELECT true FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indrelid \
         WHERE i.indrelid = $1::pg_catalog.regclass AND i.indisprimary AND i.indisvalid AND i.indimmediate AND c.relkind = 'r' AND NOT c.relhassubclass",
        &[source.relation.as_str().into()],
    )?;
    if table.is_none() {
        return Ok(false);
    }
    let Some(key) = &source.mapping.key else { return Ok(true) };
    // The mapping may name the column, or its text, itself.
    let column = |text: &str| {
        let text = text.trim();
        let cast = ["::pg_catalog.text", "::text"].into_iter().find_map(|cast| text.strip_suffix(cast));
        cast.unwrap_or(text).trim().to_owned()
    };
    Ok(primary_key(&source.relation)?.is_some_and(|own| !own.starts_with("ROW(") && column(&own) == column(key)))
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
    let counts = spi::rows(
        "SELECT count(*) FILTER (WHERE x.k IS NULL), count(*) FILTER (WHERE x.k IS NOT NULL) \
         FROM (SELECT s.k, row_number() OVER (PARTITION BY s.k ORDER BY s.rn DESC) AS age FROM pg_temp.cdp_spool s) x WHERE x.age > 1 OR x.k IS NULL",
        &[],
        |row| Ok((spi::must::<i64>(row, 1)?, spi::must::<i64>(row, 2)?)),
    )?;
    for (null, repeated) in counts {
        let mut tally = Tally::of(null + repeated);
        tally.rejected = null;
        tally.broken(Level::Reject, "key_null", null);
        if unique {
            tally.rejected += repeated;
            tally.broken(Level::Reject, "key_repeated", repeated);
        }
        tally.write(ws, source.source_id)?;
    }
    spi::run(
        &ws.sql(
            "WITH surplus AS (DELETE FROM pg_temp.cdp_spool s USING (SELECT x.rn, x.k, row_number() OVER (PARTITION BY x.k ORDER BY x.rn DESC) AS age FROM pg_temp.cdp_spool x) d \
                              WHERE d.rn = s.rn AND (d.age > 1 OR d.k IS NULL) RETURNING s.k, s.r), \
             told AS (INSERT INTO @ws@.reject (source_id, key, payload, code, reason) \
                      SELECT $1, g.k, to_jsonb(g.r), CASE WHEN g.k IS NULL THEN 'key_null' ELSE 'key_repeated' END, CASE WHEN g.k IS NULL THEN 'key is null' ELSE 'another row of the source has the same key' END \
                      FROM surplus g WHERE $2 OR g.k IS NULL ON CONFLICT DO NOTHING) \
             UPDATE @ws@.job SET rows_rejected = rows_rejected + (SELECT count(*) FROM surplus g WHERE $2 OR g.k IS NULL), rows_done = rows_done + (SELECT count(*) FROM surplus) WHERE job_id = $3",
        ),
        &[source.source_id.into(), unique.into(), job_id.into()],
    )?;
    Ok(())
}

/// What `md5(value)::uuid` gives, without the detour through the text of a number.
#[pg_extern(immutable, strict, parallel_safe)]
fn _cdp_hash(value: &str) -> Uuid {
    Uuid::from_bytes(md5(value.as_bytes()))
}
