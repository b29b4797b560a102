//! Stitching a batch: nodes and edges from the rows, components from the edges, profiles from the components.

use crate::error::CdpError;
use crate::pg::{spi, temp};
use crate::store::column::day_sql;
use crate::store::{emit, membership};
use crate::workspace::Workspace;
use pg_cdp_core::graph::{NodeState, Profile, Rows, stitch};

/// Enters the identifiers of the batch as nodes, in the order in which the rows show them, and tells each row its nodes. A row that says no time moves no
/// `last_seen`: it may be the same row again.
pub fn nodes(ws: &Workspace, source_id: i32) -> Result<(), CdpError> {
    spi::run(
        &ws.sql(
            "INSERT INTO @ws@.node AS n (type_id, value, source_id, first_seen, last_seen) \
             SELECT i.type_id, i.value, $1, coalesce(min(i.seen), now()), coalesce(max(i.seen), now()) FROM pg_temp.cdp_value i GROUP BY i.type_id, i.value \
             HAVING max(i.seen) IS NOT NULL OR NOT EXISTS (SELECT FROM @ws@.node k WHERE k.type_id = i.type_id AND k.value = i.value) ORDER BY min(i.rn), i.type_id, i.value COLLATE \"C\" \
             ON CONFLICT (type_id, value) DO UPDATE SET first_seen = least(n.first_seen, excluded.first_seen), last_seen = greatest(n.last_seen, excluded.last_seen) \
             WHERE excluded.first_seen < n.first_seen OR excluded.last_seen > n.last_seen",
        ),
        &[source_id.into()],
    )?;
    spi::run(
        &ws.sql(
            "INSERT INTO pg_temp.cdp_identifier (rn, strong, priority, seen, node_id) \
             SELECT i.rn, i.strong, i.priority, i.seen, n.node_id FROM pg_temp.cdp_value i JOIN @ws@.node n ON n.type_id = i.type_id AND n.value = i.value",
        ),
        &[],
    )?;
    spi::run("ANALYZE pg_temp.cdp_identifier", &[])?;
    Ok(())
}

/// Enters an edge for every two identifiers that a row shows together.
pub fn edges(ws: &Workspace, source_id: i32, trust: i32) -> Result<(), CdpError> {
    spi::run(
        &ws.sql(
            "INSERT INTO @ws@.edge AS e (from_node, to_node, source_id, trust, state, first_seen, last_seen) \
             SELECT a.node_id, b.node_id, $1, $2 / 100.0, CASE WHEN bool_and(a.strong AND b.strong) THEN 'accepted' ELSE 'weak' END, coalesce(min(a.seen), now()), coalesce(max(a.seen), now()) \
             FROM pg_temp.cdp_identifier a JOIN pg_temp.cdp_identifier b ON b.rn = a.rn AND a.node_id < b.node_id GROUP BY a.node_id, b.node_id \
             HAVING max(a.seen) IS NOT NULL OR NOT EXISTS (SELECT FROM @ws@.edge k WHERE k.from_node = a.node_id AND k.to_node = b.node_id AND k.source_id = $1) \
             ON CONFLICT (from_node, to_node, source_id) DO UPDATE SET first_seen = least(e.first_seen, excluded.first_seen), last_seen = greatest(e.last_seen, excluded.last_seen) \
             WHERE excluded.first_seen < e.first_seen OR excluded.last_seen > e.last_seen",
        ),
        &[source_id.into(), trust.into()],
    )?;
    Ok(())
}

/// Gives every strong node of the batch its profile: an old one, a new one, or the oldest of those it joins. Everything derived follows: columns of
/// bits, wide rows, segments. `cdp_touched` then holds the profiles whose values changed hands. Returns whether any did.
pub fn profiles(ws: &Workspace, source_id: i32) -> Result<bool, CdpError> {
    // Rows that lie wholly inside one profile change nothing.
    let mut rows = Rows::default();
    let mut row: Vec<i64> = Vec::new();
    let mut current: Option<i64> = None;
    let pairs = spi::rows(
        &ws.sql(
            "SELECT i.rn, i.node_id FROM pg_temp.cdp_identifier i WHERE i.strong AND i.rn IN ( \
               SELECT i.rn FROM pg_temp.cdp_identifier i JOIN @ws@.node n USING (node_id) WHERE i.strong GROUP BY i.rn \
               HAVING bool_or(n.profile_id IS NULL) OR min(n.profile_id) <> max(n.profile_id)) ORDER BY i.rn",
        ),
        &[],
        |r| Ok((spi::must::<i64>(r, 1)?, spi::must::<i64>(r, 2)?)),
    )?;
    if pairs.is_empty() {
        return Ok(false);
    }
    for (rn, node) in pairs {
        if current != Some(rn) {
            rows.push(&row);
            row.clear();
            current = Some(rn);
        }
        row.push(node);
    }
    rows.push(&row);
    let mut states = Vec::new();
    let mut ages = Vec::new();
    for (node, profile_id, created_at_micros) in spi::rows(
        &ws.sql(
            "SELECT DISTINCT n.node_id, n.profile_id, (extract(epoch FROM p.created_at) * 1000000)::pg_catalog.int8 \
             FROM pg_temp.cdp_identifier i JOIN @ws@.node n USING (node_id) JOIN @ws@.profile p ON p.profile_id = n.profile_id WHERE i.strong",
        ),
        &[],
        |r| Ok((spi::must::<i64>(r, 1)?, spi::must::<i64>(r, 2)?, spi::must::<i64>(r, 3)?)),
    )? {
        states.push(NodeState { node, profile: Some(profile_id) });
        ages.push(Profile { profile_id, created_at_micros });
    }
    let components = stitch(&rows, &states, &ages).map_err(|e| CdpError::internal(e.to_string()))?;

    let fresh: Vec<i64> = components.iter().filter(|c| c.needs_profile()).map(|c| c.founding).collect();
    let numbers = create(ws, &fresh)?;
    let mut numbers = numbers.into_iter();
    let (mut nodes, mut homes) = (Vec::new(), Vec::new());
    let (mut retired, mut survivors, mut causes_from, mut causes_to) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for component in &components {
        let home = match component.survivor {
            Some(home) => home,
            None => numbers.next().ok_or_else(|| CdpError::internal("fewer profile numbers than new profiles"))?,
        };
        for node in &component.newcomers {
            nodes.push(*node);
            homes.push(home);
        }
        for gone in &component.retired {
            retired.push(gone.profile_id);
            survivors.push(home);
            causes_from.push(gone.cause.0);
            causes_to.push(gone.cause.1);
        }
    }
    spi::run(
        &ws.sql("UPDATE @ws@.node n SET profile_id = x.home FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[]) AS x(node_id, home) WHERE n.node_id = x.node_id"),
        &[nodes.into(), homes.into()],
    )?;
    if !retired.is_empty() {
        merge(ws, source_id, retired, survivors, causes_from, causes_to)?;
    }
    Ok(true)
}

/// Makes one profile for each founding node; returns their numbers in the same order.
fn create(ws: &Workspace, founding: &[i64]) -> Result<Vec<i64>, CdpError> {
    if founding.is_empty() {
        return Ok(Vec::new());
    }
    let numbers = spi::rows(
        &ws.sql(
            "WITH fresh AS (INSERT INTO @ws@.profile (profile_id, founding_node, created_at) \
               SELECT nextval($2::pg_catalog.regclass), f.node_id, now() FROM (SELECT x.node_id FROM unnest($1::pg_catalog.int8[]) WITH ORDINALITY AS x(node_id, i) ORDER BY x.i) f \
               RETURNING profile_id, founding_node), \
             wide AS (INSERT INTO @ws@.profile_value (profile_id) SELECT profile_id FROM fresh) \
             SELECT profile_id FROM fresh ORDER BY founding_node",
        ),
        &[founding.to_vec().into(), format!("{}.profile_id_seq", ws.schema()).into()],
        |r| spi::must::<i64>(r, 1),
    )?;
    members_changed(
        ws,
        "(SELECT x.profile_id, 1::pg_catalog.int8 AS n FROM unnest($2::pg_catalog.int8[]) AS x(profile_id))",
        numbers.clone(),
    )?;
    Ok(numbers)
}

/// Changes of the universe.
fn members_changed(ws: &Workspace, changes: &str, profiles: Vec<i64>) -> Result<(), CdpError> {
    let universe =
        spi::one::<i32>(&ws.sql("SELECT c.column_id FROM @ws@.store_column c WHERE c.kind = 'universe'"), &[])?
            .ok_or_else(|| CdpError::internal("the workspace has no column of live profiles"))?;
    emit::members(ws, universe, changes, vec![profiles.into()])
}

/// Hands everything of the retired profiles to their survivors.
fn merge(
    ws: &Workspace,
    source_id: i32,
    retired: Vec<i64>,
    survivors: Vec<i64>,
    from: Vec<i64>,
    to: Vec<i64>,
) -> Result<(), CdpError> {
    let pairs: Vec<(i64, i64)> = retired.iter().copied().zip(survivors.iter().copied()).collect();
    spi::run(
        &ws.sql(
            "INSERT INTO pg_temp.cdp_merge (retired, survivor) SELECT x.r, x.s FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[]) AS x(r, s)",
        ),
        &[retired.clone().into(), survivors.clone().into()],
    )?;
    spi::run(
        &ws.sql(
            "INSERT INTO @ws@.profile_merge (retired_id, survivor_id, from_node, to_node, source_id) \
             SELECT x.r, x.s, x.f, x.t, $5 FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[], $3::pg_catalog.int8[], $4::pg_catalog.int8[]) AS x(r, s, f, t) ORDER BY x.r",
        ),
        &[retired.clone().into(), survivors.into(), from.into(), to.into(), source_id.into()],
    )?;
    // A retired id points straight at the live one, so that resolving is one step for ever.
    spi::run(
        &ws.sql("UPDATE @ws@.profile p SET merged_into = m.survivor FROM pg_temp.cdp_merge m WHERE p.profile_id = m.retired OR p.merged_into = m.retired"),
        &[],
    )?;
    // Day columns follow the nodes that move; no event is rewritten.
    spi::run(
        &ws.sql(&format!(
            "WITH moved AS (UPDATE @ws@.node n SET profile_id = m.survivor FROM pg_temp.cdp_merge m WHERE n.profile_id = m.retired RETURNING n.node_id, m.retired, m.survivor) \
             INSERT INTO pg_temp.cdp_event_change (profile_id, n, event_type_id, day, properties) \
             SELECT x.profile_id, x.n, e.event_type_id, {}, e.properties FROM moved m JOIN @ws@.event e USING (node_id) \
             CROSS JOIN LATERAL (VALUES (m.retired, -1), (m.survivor, 1)) AS x(profile_id, n)",
            day_sql("e.at")
        )),
        &[],
    )?;
    for kind in ["trait", "tag"] {
        for attribute in emit::attribute_columns(ws, kind)? {
            let changes = format!(
                "(SELECT v.profile_id, {} AS before, NULL::pg_catalog.{} AS after FROM @ws@.profile_value v JOIN pg_temp.cdp_merge m ON m.retired = v.profile_id)",
                emit::current_value(&attribute),
                crate::store::column::pg_type(&attribute.ty)
            );
            emit::attribute(ws, &attribute, &changes)?;
        }
    }
    membership::follow(ws, &pairs)?;
    spi::run(
        &ws.sql("DELETE FROM @ws@.profile_value v USING pg_temp.cdp_merge m WHERE v.profile_id = m.retired"),
        &[],
    )?;
    spi::run(
        &ws.sql("INSERT INTO pg_temp.cdp_touched (profile_id) SELECT DISTINCT m.survivor FROM pg_temp.cdp_merge m"),
        &[],
    )?;
    members_changed(
        ws,
        "(SELECT x.profile_id, (-1)::pg_catalog.int8 AS n FROM unnest($2::pg_catalog.int8[]) AS x(profile_id))",
        retired,
    )
}

/// Tells each row the node its facts are kept on: the most telling strong identifier it has.
pub fn subjects() -> Result<(), CdpError> {
    temp::table("cdp_subject", "rn pg_catalog.int8, node_id pg_catalog.int8")?;
    spi::run(
        "INSERT INTO pg_temp.cdp_subject (rn, node_id) \
         SELECT DISTINCT ON (i.rn) i.rn, i.node_id FROM pg_temp.cdp_identifier i WHERE i.strong ORDER BY i.rn, i.priority, i.node_id",
        &[],
    )?;
    spi::run("ANALYZE pg_temp.cdp_subject", &[])?;
    Ok(())
}
