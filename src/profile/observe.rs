//! Traits of a batch: observations kept on the identifier they were made on, then the values they come to for every profile that is touched.
//!
//! Survivorship `most_recent`: the value observed last wins; ties go to the more trusted source, then to the smaller source number, then to the
//! smaller text, so that the order of arrival never decides.

use crate::error::CdpError;
use crate::pg::{spi, temp};
use crate::profile::history;
use crate::store::column::{pg_type, value_column};
use crate::store::emit;
use crate::workspace::Workspace;

/// A trait: number, name, type.
type Trait = (i32, String, String);

/// Takes the traits of the batch. `merged` tells that profiles changed hands: then every trait of those is computed anew.
pub fn observe(ws: &Workspace, source_id: i32, merged: bool) -> Result<(), CdpError> {
    let any = spi::one::<bool>("SELECT true FROM pg_temp.cdp_row r WHERE r.traits <> '{}' LIMIT 1", &[])?.is_some();
    if any {
        keep(ws, source_id)?;
    }
    if any || merged {
        survive(ws)?;
    }
    Ok(())
}

/// Enters the observations; of each trait of an identifier and source only the latest stays.
fn keep(ws: &Workspace, source_id: i32) -> Result<(), CdpError> {
    temp::table(
        "cdp_incoming",
        "node_id pg_catalog.int8, seen pg_catalog.timestamptz, timed pg_catalog.bool, traits pg_catalog.jsonb",
    )?;
    // Most identifiers occur once in a batch: their traits are taken as they are.
    spi::run(
        "WITH r AS MATERIALIZED (SELECT j.node_id, coalesce(r.seen, r.event_at, now()) AS seen, coalesce(r.seen, r.event_at) IS NOT NULL AS timed, r.traits, count(*) OVER (PARTITION BY j.node_id) AS times \
             FROM pg_temp.cdp_row r JOIN pg_temp.cdp_subject j USING (rn) WHERE r.traits <> '{}'), \
         latest AS (SELECT DISTINCT ON (r.node_id, t.key) r.node_id, r.seen, r.timed, t.key, t.value FROM r CROSS JOIN LATERAL jsonb_each(r.traits) t \
             WHERE r.times > 1 ORDER BY r.node_id, t.key, r.seen DESC, t.value) \
         INSERT INTO pg_temp.cdp_incoming (node_id, seen, timed, traits) \
         SELECT r.node_id, r.seen, r.timed, r.traits FROM r WHERE r.times = 1 \
         UNION ALL SELECT l.node_id, l.seen, l.timed, jsonb_object_agg(l.key, l.value) FROM latest l GROUP BY 1, 2, 3",
        &[],
    )?;
    spi::run("ANALYZE pg_temp.cdp_incoming", &[])?;
    // A row without a time that says what is known already is no new observation.
    spi::run(
        &ws.sql(
            "UPDATE pg_temp.cdp_incoming i SET traits = i.traits - n.keys \
             FROM (SELECT i.node_id, i.seen, array_agg(k.key) AS keys FROM pg_temp.cdp_incoming i \
                   JOIN @ws@.trait_observation o ON o.node_id = i.node_id AND o.source_id = $1 CROSS JOIN LATERAL jsonb_each(i.traits) k \
                   WHERE NOT i.timed AND o.traits -> k.key = k.value GROUP BY 1, 2) n \
             WHERE n.node_id = i.node_id AND n.seen = i.seen AND NOT i.timed",
        ),
        &[source_id.into()],
    )?;
    // What is already known from later on is not news.
    spi::run(
        &ws.sql(
            "UPDATE pg_temp.cdp_incoming i SET traits = i.traits - n.keys \
             FROM (SELECT i.node_id, i.seen, array_agg(k.key) AS keys FROM pg_temp.cdp_incoming i \
                   JOIN @ws@.trait_observation o ON o.node_id = i.node_id AND o.source_id = $1 AND o.observed_at > i.seen CROSS JOIN LATERAL jsonb_object_keys(o.traits) k(key) GROUP BY 1, 2) n \
             WHERE n.node_id = i.node_id AND n.seen = i.seen",
        ),
        &[source_id.into()],
    )?;
    // What is known from earlier on is replaced.
    spi::run(
        &ws.sql(
            "UPDATE @ws@.trait_observation o SET traits = o.traits - n.keys \
             FROM (SELECT o.node_id, o.observed_at, array_agg(k.key) AS keys FROM pg_temp.cdp_incoming i \
                   JOIN @ws@.trait_observation o ON o.node_id = i.node_id AND o.source_id = $1 AND o.observed_at < i.seen CROSS JOIN LATERAL jsonb_object_keys(i.traits) k(key) \
                   WHERE o.traits ? k.key GROUP BY 1, 2) n \
             WHERE o.node_id = n.node_id AND o.source_id = $1 AND o.observed_at = n.observed_at",
        ),
        &[source_id.into()],
    )?;
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
        &ws.sql("INSERT INTO pg_temp.cdp_touched (profile_id) SELECT DISTINCT n.profile_id FROM pg_temp.cdp_incoming i JOIN @ws@.node n USING (node_id)"),
        &[],
    )?;
    Ok(())
}

/// Computes the values of the touched profiles and writes what changed, to the wide table and to the columns of bits.
pub fn survive(ws: &Workspace) -> Result<(), CdpError> {
    spi::run("ANALYZE pg_temp.cdp_touched", &[])?;
    let traits: Vec<Trait> = spi::rows(&ws.sql("SELECT a.attribute_id, a.name, a.type FROM @ws@.attribute a WHERE a.kind = 'trait' ORDER BY a.attribute_id"), &[], |row| {
        Ok((spi::must(row, 1)?, spi::must(row, 2)?, spi::must(row, 3)?))
    })?;
    if traits.is_empty() {
        return Ok(());
    }
    let (mut pairs, mut before, mut after, mut set) = (String::new(), Vec::new(), Vec::new(), Vec::new());
    for (id, name, ty) in &traits {
        let column = value_column(name);
        pairs.push_str(&format!(", v.{column} AS b{id}, (g.traits ->> '{id}')::pg_catalog.{} AS a{id}", pg_type(ty)));
        before.push(format!("c.b{id}"));
        after.push(format!("c.a{id}"));
        set.push(format!("{column} = c.a{id}"));
    }
    // Tables and not subqueries: the planner knows their size, and twenty thousand profiles are not two hundred.
    temp::table("cdp_golden", "profile_id pg_catalog.int8, traits pg_catalog.jsonb")?;
    spi::run(
        &ws.sql(
            "WITH o AS MATERIALIZED (SELECT t.profile_id, o.traits, o.observed_at, s.trust, s.source_id, count(*) OVER (PARTITION BY t.profile_id) AS times \
                 FROM (SELECT DISTINCT x.profile_id FROM pg_temp.cdp_touched x) t JOIN @ws@.node n USING (profile_id) \
                 JOIN @ws@.trait_observation o USING (node_id) JOIN @ws@.source s ON s.source_id = o.source_id), \
             w AS (SELECT DISTINCT ON (o.profile_id, k.key) o.profile_id, k.key, k.value FROM o CROSS JOIN LATERAL jsonb_each(o.traits) k WHERE o.times > 1 \
                 ORDER BY o.profile_id, k.key, o.observed_at DESC, o.trust DESC, o.source_id, k.value) \
             INSERT INTO pg_temp.cdp_golden (profile_id, traits) \
             SELECT o.profile_id, o.traits FROM o WHERE o.times = 1 UNION ALL SELECT w.profile_id, jsonb_object_agg(w.key, w.value) FROM w GROUP BY 1",
        ),
        &[],
    )?;
    spi::run("ANALYZE pg_temp.cdp_golden", &[])?;
    temp::drop("cdp_change")?;
    spi::run(
        &ws.sql(&format!(
            "CREATE TEMPORARY TABLE cdp_change ON COMMIT DROP AS SELECT v.profile_id{pairs} FROM (SELECT DISTINCT x.profile_id FROM pg_temp.cdp_touched x) t \
             JOIN @ws@.profile_value v USING (profile_id) LEFT JOIN pg_temp.cdp_golden g USING (profile_id)"
        )),
        &[],
    )?;
    spi::run(
        &format!(
            "DELETE FROM pg_temp.cdp_change c WHERE ROW({}) IS NOT DISTINCT FROM ROW({})",
            before.join(", "),
            after.join(", ")
        ),
        &[],
    )?;
    spi::run("ANALYZE pg_temp.cdp_change", &[])?;
    remember(ws, &traits)?;
    for column in emit::attribute_columns(ws, "trait")? {
        let id = column.attribute_id;
        emit::attribute(
            ws,
            &column,
            &format!("(SELECT x.profile_id, x.b{id} AS before, x.a{id} AS after FROM pg_temp.cdp_change x)"),
        )?;
    }
    spi::run(
        &ws.sql(&format!(
            "UPDATE @ws@.profile_value v SET {} FROM pg_temp.cdp_change c WHERE v.profile_id = c.profile_id",
            set.join(", ")
        )),
        &[],
    )?;
    spi::run("DROP TABLE pg_temp.cdp_change", &[])?;
    Ok(())
}

/// Enters values that were replaced into the history, from the moment the new one was observed. The first value of a trait is no change.
fn remember(ws: &Workspace, traits: &[Trait]) -> Result<(), CdpError> {
    let replaced: Vec<String> = traits
        .iter()
        .map(|(id, ..)| {
            format!(
                "coalesce(bool_or(c.b{id} IS DISTINCT FROM c.a{id} AND c.b{id} IS NOT NULL), false) OR EXISTS (SELECT FROM @ws@.attribute_history h WHERE h.attribute_id = {id})"
            )
        })
        .collect();
    let replaced = spi::one::<Vec<bool>>(
        &ws.sql(&format!("SELECT ARRAY[{}] FROM pg_temp.cdp_change c", replaced.join(", "))),
        &[],
    )?;
    let replaced = replaced.unwrap_or_default();
    for ((id, ..), _) in traits.iter().zip(replaced).filter(|(_, replaced)| *replaced) {
        // What is observed is never older than what is kept, unless observations went with a merge that was undone: then it counts from the last change on.
        let changes = format!(
            "(SELECT c.profile_id, c.b{id} AS before, c.a{id} AS after, coalesce(greatest(m.at, k.at), now()) AS moment FROM pg_temp.cdp_change c \
              CROSS JOIN LATERAL (SELECT max(h.from_at) AS at FROM @ws@.attribute_history h WHERE h.attribute_id = {id} AND h.profile_id = c.profile_id) k \
              CROSS JOIN LATERAL (SELECT max(o.observed_at) AS at FROM @ws@.node n JOIN @ws@.trait_observation o USING (node_id) WHERE n.profile_id = c.profile_id AND o.traits ? '{id}') m \
              WHERE c.b{id} IS DISTINCT FROM c.a{id} AND (c.b{id} IS NOT NULL OR k.at IS NOT NULL))"
        );
        history::newer(ws, *id, &changes, false)?;
    }
    Ok(())
}
