//! Traits of a batch: observations kept on the identifier they were made on, as [`pg_cdp_core::survivorship::keep`] says. What they come to is computed in
//! [`super::survive`].

use super::seen;
use super::survive::{self, Of};
use crate::error::CdpError;
use crate::pg::{spi, temp};
use crate::workspace::Workspace;

/// Up to so many traits, all of a touched profile are computed anew: to find out first which the batch has would take as long.
const FEW_TRAITS: i64 = 32;

/// Takes the traits of the batch. `merged` tells that profiles changed hands: then every trait of those is computed anew.
pub fn observe(ws: &Workspace, source_id: i32, merged: bool) -> Result<(), CdpError> {
    let any = spi::one::<bool>("SELECT true FROM pg_temp.cdp_row r WHERE r.traits <> '{}' LIMIT 1", &[])?.is_some();
    if any {
        keep(ws, source_id)?;
        seen::record(ws)?;
    }
    if !any {
        return if merged { follow(ws) } else { Ok(()) };
    }
    let traits =
        spi::one::<i64>(&ws.sql("SELECT count(*) FROM @ws@.attribute a WHERE a.kind = 'trait'"), &[])?.unwrap_or(0);
    survive::survive(ws, if merged || traits <= FEW_TRAITS { Of::All } else { Of::These(news()?) })
}

/// Computes the traits of profiles that changed hands anew.
pub fn follow(ws: &Workspace) -> Result<(), CdpError> {
    survive::survive(ws, Of::All)
}

/// Of which traits there is news.
fn news() -> Result<Vec<i32>, CdpError> {
    spi::rows(
        "SELECT DISTINCT k.key::pg_catalog.int4 FROM pg_temp.cdp_incoming i CROSS JOIN LATERAL jsonb_object_keys(i.traits) k(key)",
        &[],
        |row| spi::must(row, 1),
    )
}

/// Enters the observations.
fn keep(ws: &Workspace, source_id: i32) -> Result<(), CdpError> {
    let oldest = spi::rows(
        &ws.sql(
            "SELECT a.attribute_id::pg_catalog.text FROM @ws@.attribute a WHERE a.kind = 'trait' AND a.rule = 'oldest'",
        ),
        &[],
        |row| spi::must::<String>(row, 1),
    )?;
    gather(&oldest)?;
    let args = [source_id.into(), oldest.clone().into()];
    // A row without a time that says what was observed last is no new observation.
    spi::run(
        &ws.sql(
            "UPDATE pg_temp.cdp_incoming i SET traits = i.traits - n.keys \
             FROM (SELECT i.node_id, i.seen, array_agg(k.key) AS keys FROM pg_temp.cdp_incoming i \
                   JOIN @ws@.trait_observation o ON o.node_id = i.node_id AND o.source_id = $1 CROSS JOIN LATERAL jsonb_each(i.traits) k \
                   WHERE NOT i.timed AND o.traits -> k.key = k.value \
                     AND NOT EXISTS (SELECT FROM @ws@.trait_observation l WHERE l.node_id = i.node_id AND l.source_id = $1 AND l.observed_at > o.observed_at AND l.traits ? k.key) GROUP BY 1, 2) n \
             WHERE n.node_id = i.node_id AND n.seen = i.seen AND NOT i.timed",
        ),
        &[source_id.into()],
    )?;
    // What is already known from later on is not news: a clear only when there is a later clear, and a value that is earlier than all is news to `oldest`.
    spi::run(
        &ws.sql(
            "UPDATE pg_temp.cdp_incoming i SET traits = i.traits - n.keys \
             FROM (SELECT i.node_id, i.seen, array_agg(k.key) AS keys FROM pg_temp.cdp_incoming i \
                   JOIN @ws@.trait_observation o ON o.node_id = i.node_id AND o.source_id = $1 AND o.observed_at > i.seen CROSS JOIN LATERAL jsonb_each(o.traits) k \
                   WHERE i.traits ? k.key AND (k.value = 'null' OR i.traits -> k.key <> 'null') \
                     AND (k.value = 'null' OR k.key <> ALL ($2) OR EXISTS (SELECT FROM @ws@.trait_observation e \
                          WHERE e.node_id = i.node_id AND e.source_id = $1 AND e.observed_at < i.seen AND e.traits -> k.key <> 'null')) GROUP BY 1, 2) n \
             WHERE n.node_id = i.node_id AND n.seen = i.seen",
        ),
        &args,
    )?;
    // What is known from earlier on is replaced: by a value every value, for `oldest` all but the earliest; by a clear everything.
    replace(
        ws,
        "o.observed_at < i.seen",
        "(i.traits -> k.key = 'null' OR k.value <> 'null' AND (k.key <> ALL ($2) OR EXISTS (SELECT FROM @ws@.trait_observation e \
            WHERE e.node_id = i.node_id AND e.source_id = $1 AND e.observed_at < o.observed_at AND e.traits -> k.key <> 'null')))",
        &args,
    )?;
    if !oldest.is_empty() {
        // Of what lies between the earliest value and the latest nothing is needed.
        replace(
            ws,
            "o.observed_at > i.seen",
            "k.key = ANY ($2) AND i.traits -> k.key <> 'null' AND k.value <> 'null' AND EXISTS (SELECT FROM @ws@.trait_observation l \
                WHERE l.node_id = i.node_id AND l.source_id = $1 AND l.observed_at > o.observed_at AND l.traits -> k.key <> 'null')",
            &args,
        )?;
    }
    spi::run(
        &ws.sql("DELETE FROM @ws@.trait_observation o USING pg_temp.cdp_incoming i WHERE o.node_id = i.node_id AND o.source_id = $1 AND o.traits = '{}'"),
        &[source_id.into()],
    )?;
    spi::run(
        &ws.sql(
            "INSERT INTO @ws@.trait_observation AS o (node_id, source_id, observed_at, traits) SELECT i.node_id, $1, i.seen, i.traits FROM pg_temp.cdp_incoming i WHERE i.traits <> '{}' \
             ON CONFLICT (node_id, source_id, observed_at) DO UPDATE SET traits = o.traits || excluded.traits WHERE o.traits IS DISTINCT FROM o.traits || excluded.traits",
        ),
        &[source_id.into()],
    )?;
    spi::run(
        &ws.sql("INSERT INTO pg_temp.cdp_touched (profile_id) SELECT DISTINCT n.profile_id FROM pg_temp.cdp_incoming i JOIN @ws@.node n USING (node_id) WHERE i.traits <> '{}'"),
        &[],
    )?;
    Ok(())
}

/// The batch by identifier and time: of each trait what it says last, the last clear, and for traits of the rule `oldest` what it says first since that.
fn gather(oldest: &[String]) -> Result<(), CdpError> {
    temp::table(
        "cdp_incoming",
        "node_id pg_catalog.int8, seen pg_catalog.timestamptz, timed pg_catalog.bool, traits pg_catalog.jsonb",
    )?;
    // Most identifiers occur once in a batch: their traits are taken as they are.
    spi::run(
        "WITH r AS MATERIALIZED (SELECT j.node_id, coalesce(r.seen, r.event_at, now()) AS seen, coalesce(r.seen, r.event_at) IS NOT NULL AS timed, r.traits, count(*) OVER (PARTITION BY j.node_id) AS times \
             FROM pg_temp.cdp_row r JOIN pg_temp.cdp_subject j USING (rn) WHERE r.traits <> '{}'), \
         k AS MATERIALIZED (SELECT r.node_id, r.seen, r.timed, t.key, t.value, t.value = 'null' AS clear FROM r CROSS JOIN LATERAL jsonb_each(r.traits) t WHERE r.times > 1), \
         c AS MATERIALIZED (SELECT k.node_id, k.key, max(k.seen) AS seen FROM k WHERE k.clear GROUP BY 1, 2), \
         s AS MATERIALIZED (SELECT k.* FROM k LEFT JOIN c USING (node_id, key) WHERE c.seen IS NULL OR k.seen >= c.seen), \
         picked AS ((SELECT DISTINCT ON (s.node_id, s.key, s.clear) s.* FROM s ORDER BY s.node_id, s.key, s.clear, s.seen DESC, (s.value #>> '{}') COLLATE \"C\") \
             UNION ALL (SELECT DISTINCT ON (s.node_id, s.key) s.* FROM s WHERE NOT s.clear AND s.key = ANY ($1) ORDER BY s.node_id, s.key, s.seen, (s.value #>> '{}') COLLATE \"C\")), \
         each AS (SELECT DISTINCT ON (s.node_id, s.key, s.seen) s.* FROM picked s ORDER BY s.node_id, s.key, s.seen, s.clear, (s.value #>> '{}') COLLATE \"C\") \
         INSERT INTO pg_temp.cdp_incoming (node_id, seen, timed, traits) \
         SELECT r.node_id, r.seen, r.timed, r.traits FROM r WHERE r.times = 1 \
         UNION ALL SELECT e.node_id, e.seen, bool_or(e.timed), jsonb_object_agg(e.key, e.value) FROM each e GROUP BY 1, 2",
        &[oldest.to_vec().into()],
    )?;
    temp::analyze("cdp_incoming", "node_id")?;
    Ok(())
}

/// Takes out of what the source observed before what the batch replaces. `o` is an earlier observation, `i` one of the batch, `k` a trait of `o` that `i` has too.
fn replace(ws: &Workspace, when: &str, which: &str, args: &[pgrx::datum::DatumWithOid]) -> Result<(), CdpError> {
    spi::run(
        &ws.sql(&format!(
            "UPDATE @ws@.trait_observation o SET traits = o.traits - n.keys \
             FROM (SELECT o.node_id, o.observed_at, array_agg(k.key) AS keys FROM pg_temp.cdp_incoming i \
                   JOIN @ws@.trait_observation o ON o.node_id = i.node_id AND o.source_id = $1 AND {when} CROSS JOIN LATERAL jsonb_each(o.traits) k \
                   WHERE i.traits ? k.key AND {which} GROUP BY 1, 2) n \
             WHERE o.node_id = n.node_id AND o.source_id = $1 AND o.observed_at = n.observed_at"
        )),
        args,
    )?;
    Ok(())
}

/// Takes out what only the rule `oldest` needs: of each identifier and source the earliest value, when there is a later one.
pub fn keep_latest(ws: &Workspace, attribute_id: i32) -> Result<(), CdpError> {
    let key = attribute_id.to_string();
    spi::run(
        &ws.sql(
            "UPDATE @ws@.trait_observation o SET traits = o.traits - $1 WHERE o.traits -> $1 <> 'null' AND EXISTS (SELECT FROM @ws@.trait_observation l \
               WHERE l.node_id = o.node_id AND l.source_id = o.source_id AND l.observed_at > o.observed_at AND l.traits -> $1 <> 'null')",
        ),
        &[key.into()],
    )?;
    spi::run(&ws.sql("DELETE FROM @ws@.trait_observation o WHERE o.traits = '{}'"), &[])?;
    Ok(())
}
