//! One batch of a source: the rows of the spool as identifiers, traits and events. A row whose expressions fail is found by halving and rejected alone.

use super::describe::as_text;
use super::spool::Source;
use crate::error::CdpError;
use crate::pg::{spi, subtransaction, temp};
use crate::workspace::Workspace;
use pgrx::spi::quote_literal;

/// A trait of the mapping with its attribute.
pub struct Trait {
    /// Number of the attribute.
    pub attribute_id: i32,
    /// Its type.
    pub ty: String,
    /// The expression.
    pub expression: String,
}

/// Everything about a source that a batch needs.
pub struct Plan {
    /// The source.
    pub source: Source,
    /// Identifier types in the order of the mapping: number, and the expression.
    pub identifiers: Vec<(i32, String)>,
    /// Traits in the order of the mapping.
    pub traits: Vec<Trait>,
    /// Properties: name, type, expression.
    pub properties: Vec<(String, String, String)>,
}

/// Makes or empties the temporary tables of a batch: its rows as mapped, and their identifiers.
pub fn prepare() -> Result<(), CdpError> {
    temp::table(
        "cdp_row",
        "rn pg_catalog.int8, k pg_catalog.text, seen pg_catalog.timestamptz, identifiers pg_catalog.text[], traits pg_catalog.jsonb, event pg_catalog.text, \
         event_at pg_catalog.timestamptz, event_key pg_catalog.text, properties pg_catalog.jsonb",
    )?;
    temp::table(
        "cdp_value",
        "rn pg_catalog.int8, type_id pg_catalog.int4, value pg_catalog.text, strong pg_catalog.bool, priority pg_catalog.int4, seen pg_catalog.timestamptz",
    )?;
    temp::table(
        "cdp_identifier",
        "rn pg_catalog.int8, strong pg_catalog.bool, priority pg_catalog.int4, seen pg_catalog.timestamptz, node_id pg_catalog.int8, type_id pg_catalog.int4, quarantine pg_catalog.text, known pg_catalog.bool",
    )
}

/// Maps the rows of the spool with `after < rn <= upto` into `cdp_row`; returns how many were rejected.
pub fn map(ws: &Workspace, plan: &Plan, after: i64, upto: i64) -> Result<i64, CdpError> {
    let sql = map_sql(plan);
    let mut rejected = 0;
    // Halving keeps the cost of one bad row in a batch of n at log2(n) retries.
    let mut ranges = vec![(after, upto)];
    while let Some((after, upto)) = ranges.pop() {
        pgrx::check_for_interrupts!();
        let outcome = subtransaction::run(|| Ok(spi::run(&sql, &[after.into(), upto.into()])?));
        let Err(failure) = outcome else { continue };
        // Only what a value can be guilty of is blamed on a row.
        if !matches!(failure.sqlstate().get(..2), Some("21" | "22" | "23" | "2F" | "P0")) {
            return Err(CdpError::from(failure));
        }
        if upto - after > 1 {
            let middle = after + (upto - after) / 2;
            ranges.push((after, middle));
            ranges.push((middle, upto));
            continue;
        }
        rejected += 1;
        spi::run(
            &ws.sql("INSERT INTO @ws@.reject (source_id, key, payload, reason) SELECT $1, s.k, to_jsonb(s.r), $2 FROM pg_temp.cdp_spool s WHERE s.rn = $3 ON CONFLICT DO NOTHING"),
            &[plan.source.source_id.into(), failure.message.into(), upto.into()],
        )?;
    }
    Ok(rejected)
}

/// The most pairs one call of jsonb_build_object() takes: PostgreSQL allows 100 arguments.
const PAIRS_PER_CALL: usize = 50;

/// SQL giving a jsonb object without nulls from `key, value` pairs.
fn object_sql(pairs: &[String]) -> String {
    if pairs.is_empty() {
        return "'{}'::pg_catalog.jsonb".to_owned();
    }
    let calls: Vec<String> =
        pairs.chunks(PAIRS_PER_CALL).map(|some| format!("jsonb_build_object({})", some.join(", "))).collect();
    format!("jsonb_strip_nulls({})", calls.join(" || "))
}

/// The statement that evaluates the mapping. The names of its own columns cannot be columns of a relation by accident.
fn map_sql(plan: &Plan) -> String {
    let mut identifiers: Vec<String> = Vec::new();
    for (_, expression) in &plan.identifiers {
        identifiers.push(format!("(\n{expression}\n)::pg_catalog.text"));
    }
    let mut traits: Vec<String> = Vec::new();
    for t in &plan.traits {
        traits.push(format!(
            "{}, nullif({}, '')",
            quote_literal(t.attribute_id.to_string()),
            as_text(&t.expression, &t.ty)
        ));
    }
    let event = match &plan.source.mapping.event {
        None => "NULL, NULL, NULL, NULL".to_owned(),
        Some(event) => {
            let mut properties: Vec<String> = Vec::new();
            for (name, ty, expression) in &plan.properties {
                properties.push(format!(
                    "{}, (\n{expression}\n)::pg_catalog.{}",
                    quote_literal(name),
                    crate::store::column::pg_type(ty)
                ));
            }
            let id =
                event.id.as_ref().map_or_else(|| "\"cdp$k\"".to_owned(), |id| format!("(\n{id}\n)::pg_catalog.text"));
            format!(
                "(\n{name}\n)::pg_catalog.text, (\n{at}\n)::pg_catalog.timestamptz, {id}, {properties}",
                name = event.name,
                at = event.at,
                properties = object_sql(&properties)
            )
        }
    };
    let traits = object_sql(&traits);
    format!(
        "INSERT INTO pg_temp.cdp_row (rn, k, seen, identifiers, traits, event, event_at, event_key, properties) \
         SELECT \"cdp$rn\", \"cdp$k\", \"cdp$seen\", ARRAY[{identifiers}]::pg_catalog.text[], {traits}, {event} \
         FROM (SELECT s.rn AS \"cdp$rn\", s.k AS \"cdp$k\", s.seen AS \"cdp$seen\", (s.r).* FROM pg_temp.cdp_spool s WHERE s.rn > $1 AND s.rn <= $2) AS \"cdp$row\"",
        identifiers = identifiers.join(", ")
    )
}

/// Events outside this span are rejected: inside it a day before and after each is still a timestamp in every time zone.
const EARLIEST_EVENT: &str = "4600-01-01 00:00:00+00 BC";
/// See [`EARLIEST_EVENT`].
const LATEST_EVENT: &str = "100000-01-01 00:00:00+00";

/// Patterns that cannot be part of a larger one: with options or references of their own.
const ALONE: &str = r"^(\*\*\*|\(\?[a-z]+\))|\\[1-9]";

/// One regular expression that matches whatever any pattern of the blocked values does, but for those that stand [alone](ALONE): most values match none, and one
/// look is enough to see it.
fn any_pattern(ws: &Workspace) -> Result<String, CdpError> {
    let all = spi::one::<String>(
        &ws.sql("SELECT string_agg('(?:' || b.pattern || ')', '|') FROM @ws@.blocked_value b WHERE b.pattern IS NOT NULL AND b.pattern !~ $1"),
        &[ALONE.into()],
    )?;
    // Nothing matches a character before the beginning.
    Ok(all.unwrap_or_else(|| r"^.\A".to_owned()))
}

/// Splits the rows into identifiers, normalised; values that are invalid or blocked are told to the rejects, rows without any strong identifier
/// and rows whose event has no time are rejected. Returns how many rows were rejected.
pub fn identify(ws: &Workspace, plan: &Plan) -> Result<i64, CdpError> {
    let types: Vec<i32> = plan.identifiers.iter().map(|(type_id, _)| *type_id).collect();
    // Each distinct raw value is cleaned and checked once; what is a node already was checked when it became one. A pattern goes through all suspects before
    // the next one does: PostgreSQL keeps only a few compiled patterns.
    spi::run(
        &ws.sql(
            "WITH raw AS MATERIALIZED (SELECT r.rn, coalesce(r.seen, r.event_at) AS seen, t.type_id, x.raw \
                 FROM pg_temp.cdp_row r CROSS JOIN LATERAL unnest(r.identifiers, $2::pg_catalog.int4[]) AS t(raw, type_id) CROSS JOIN LATERAL (SELECT t.raw) x(raw) \
                 WHERE x.raw IS NOT NULL AND x.raw <> ''), \
             plain AS MATERIALIZED (SELECT d.type_id, d.raw, t.name, t.storage, t.scope_separator, @ext@._cdp_normalise(t.normaliser, d.raw, $3) AS value \
                 FROM (SELECT DISTINCT type_id, raw FROM raw) d JOIN @ws@.identifier_type t USING (type_id)), \
             normal AS MATERIALIZED (SELECT p.type_id, p.raw, p.value AS plain, \
                 CASE p.storage WHEN 'plain' THEN p.value ELSE @ext@._cdp_keyed(p.name, p.scope_separator, p.value) END AS value FROM plain p), \
             cleaned AS MATERIALIZED (SELECT m.type_id, m.raw, m.plain, m.value, n.node_id IS NOT NULL AS known \
                 FROM normal m LEFT JOIN @ws@.node n ON n.type_id = m.type_id AND n.value = m.value), \
             suspect AS MATERIALIZED (SELECT c.type_id, c.raw, c.plain, lower(c.plain) ~ $4 AS suspect FROM cleaned c WHERE NOT c.known), \
             blocked AS MATERIALIZED (SELECT x.type_id, x.raw, min(x.reason) AS reason FROM ( \
                 SELECT c.type_id, c.raw, b.reason FROM cleaned c JOIN @ws@.blocked_value b ON b.value = lower(c.plain) AND (b.type_id IS NULL OR b.type_id = c.type_id) WHERE NOT c.known \
                 UNION ALL SELECT h.type_id, h.raw, b.reason FROM (SELECT v.*, v.pattern ~ $5 AS alone FROM @ws@.blocked_value v) b CROSS JOIN LATERAL ( \
                     SELECT c.type_id, c.raw FROM suspect c WHERE (c.suspect OR b.alone) AND (b.type_id IS NULL OR b.type_id = c.type_id) AND lower(c.plain) ~ b.pattern OFFSET 0) h \
                 WHERE b.pattern IS NOT NULL) x GROUP BY 1, 2), \
             checked AS MATERIALIZED (SELECT c.type_id, c.raw, c.value, \
                 CASE WHEN c.value IS NULL THEN 'not a valid value' WHEN octet_length(c.value) > 1024 THEN 'longer than 1024 bytes' ELSE 'blocked: ' || b.reason END AS fault \
                 FROM cleaned c LEFT JOIN blocked b ON b.type_id = c.type_id AND b.raw = c.raw), \
             told AS (INSERT INTO @ws@.reject (source_id, key, payload, reason) \
                 SELECT $1, NULL, jsonb_build_object('identifier_type', t.name, 'value', CASE t.storage WHEN 'plain' THEN c.raw END), 'identifier ' || t.name || ' is ' || c.fault \
                 FROM checked c JOIN @ws@.identifier_type t USING (type_id) WHERE c.fault IS NOT NULL ON CONFLICT DO NOTHING) \
             INSERT INTO pg_temp.cdp_value (rn, type_id, value, strong, priority, seen) \
             SELECT r.rn, r.type_id, c.value, t.strength = 'strong', t.priority, r.seen \
             FROM raw r JOIN checked c ON c.type_id = r.type_id AND c.raw = r.raw AND c.fault IS NULL JOIN @ws@.identifier_type t ON t.type_id = r.type_id",
        ),
        &[plan.source.source_id.into(), types.into(), ws.phone_region.as_str().into(), any_pattern(ws)?.into(), ALONE.into()],
    )?;
    let rejected = spi::one::<i64>(
        &ws.sql(
            "WITH unusable AS (DELETE FROM pg_temp.cdp_row r WHERE NOT EXISTS (SELECT FROM pg_temp.cdp_value i WHERE i.rn = r.rn AND i.strong) \
                   OR (r.event IS NOT NULL AND (r.event_at IS NULL OR NOT isfinite(r.event_at) OR r.event_at < $2::pg_catalog.text::pg_catalog.timestamptz \
                       OR r.event_at >= $3::pg_catalog.text::pg_catalog.timestamptz OR r.event_key IS NULL OR r.event = '' OR octet_length(r.event) > 63)) \
                 RETURNING r.rn, r.event, r.event_at, r.event_key), \
             gone AS (DELETE FROM pg_temp.cdp_value i USING unusable u WHERE i.rn = u.rn), \
             told AS (INSERT INTO @ws@.reject (source_id, key, payload, reason) \
                 SELECT $1, s.k, to_jsonb(s.r), CASE WHEN u.event IS NOT NULL AND u.event_at IS NULL THEN 'event time is null' \
                        WHEN u.event IS NOT NULL AND NOT isfinite(u.event_at) THEN 'event time is infinite' \
                        WHEN u.event IS NOT NULL AND (u.event_at < $2::pg_catalog.text::pg_catalog.timestamptz OR u.event_at >= $3::pg_catalog.text::pg_catalog.timestamptz) THEN 'event time is out of range' \
                        WHEN u.event IS NOT NULL AND u.event_key IS NULL THEN 'event id is null' \
                        WHEN u.event = '' OR octet_length(u.event) > 63 THEN 'event name is not 1 to 63 bytes long' \
                        ELSE 'no usable strong identifier' END \
                 FROM unusable u JOIN pg_temp.cdp_spool s USING (rn) ON CONFLICT DO NOTHING) \
             SELECT count(*) FROM unusable",
        ),
        &[plan.source.source_id.into(), EARLIEST_EVENT.into(), LATEST_EVENT.into()],
    )?;
    spi::run("ANALYZE pg_temp.cdp_value", &[])?;
    spi::run("ANALYZE pg_temp.cdp_row", &[])?;
    Ok(rejected.unwrap_or(0))
}

/// Takes note of which rows were taken: the watermark, or their hashes.
pub fn remember(ws: &Workspace, plan: &Plan, after: i64, upto: i64) -> Result<(), CdpError> {
    if plan.source.mapping.updated_at.is_some() {
        spi::run(
            &ws.sql(
                "UPDATE @ws@.source SET watermark = coalesce((SELECT s.u FROM pg_temp.cdp_spool s WHERE s.rn > $2 AND s.rn <= $3 AND s.u IS NOT NULL AND (NOT $4 OR s.seen IS NOT NULL) ORDER BY s.rn DESC LIMIT 1), watermark) \
                 WHERE source_id = $1",
            ),
            &[plan.source.source_id.into(), after.into(), upto.into(), plan.source.timed()?.into()],
        )?;
        return Ok(());
    }
    spi::run(
        &ws.sql(
            "INSERT INTO @ws@.source_row (source_id, key, hash) SELECT $1, s.k, s.h FROM pg_temp.cdp_spool s WHERE s.rn > $2 AND s.rn <= $3 \
             ON CONFLICT (source_id, key) DO UPDATE SET hash = excluded.hash",
        ),
        &[plan.source.source_id.into(), after.into(), upto.into()],
    )?;
    Ok(())
}
