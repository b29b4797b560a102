//! How many events there are of each type and with each property, and since when: counted once a batch.

use crate::error::CdpError;
use crate::pg::spi;
use crate::workspace::Workspace;
use pgrx::spi::quote_literal;

/// Adds the events that a batch brought, replaced or took away: those of `cdp_event_change`, where what only moves between profiles comes to nothing. What is
/// new is in `cdp_event_new`. `within` tells that events may have lost properties.
pub fn record(ws: &Workspace, within: bool) -> Result<(), CdpError> {
    let types: Vec<i32> = spi::rows(
        "SELECT c.event_type_id FROM pg_temp.cdp_event_change c GROUP BY 1 \
         HAVING $1 OR sum(c.n) <> 0 OR EXISTS (SELECT FROM pg_temp.cdp_event_new e WHERE e.event_type_id = c.event_type_id)",
        &[within.into()],
        |row| spi::must(row, 1),
    )?;
    for event_type_id in types {
        let properties = spi::rows(
            &ws.sql("SELECT p.property_id, p.name FROM @ws@.property p WHERE p.event_type_id = $1 ORDER BY 1"),
            &[event_type_id.into()],
            |row| Ok((spi::must::<i32>(row, 1)?, spi::must::<String>(row, 2)?)),
        )?;
        let (mut ids, mut has) = (vec!["0".to_owned()], vec![String::new()]);
        for (property_id, name) in properties {
            ids.push(property_id.to_string());
            has.push(format!("FILTER (WHERE c.properties ? {})", quote_literal(name)));
        }
        let each = |aggregate: &str| has.iter().map(|has| format!("{aggregate} {has}")).collect::<Vec<_>>().join(", ");
        // Times are those of what is new, numbers those of all changes.
        spi::run(
            &ws.sql(&format!(
                "INSERT INTO @ws@.event_seen AS s (event_type_id, property_id, events, first_seen, last_seen) \
                 SELECT $1, x.property_id, coalesce(x.n, 0), x.first_at, x.last_at \
                 FROM (SELECT ARRAY[{sums}]::pg_catalog.int8[] AS n FROM pg_temp.cdp_event_change c WHERE c.event_type_id = $1) a \
                 CROSS JOIN (SELECT ARRAY[{firsts}] AS first_at, ARRAY[{lasts}] AS last_at FROM pg_temp.cdp_event_new c WHERE c.event_type_id = $1) b \
                 CROSS JOIN LATERAL unnest(ARRAY[{ids}]::pg_catalog.int4[], a.n, b.first_at, b.last_at) AS x(property_id, n, first_at, last_at) \
                 WHERE x.n <> 0 OR x.first_at IS NOT NULL \
                 ON CONFLICT (event_type_id, property_id) DO UPDATE SET events = s.events + excluded.events, \
                    first_seen = least(s.first_seen, excluded.first_seen), last_seen = greatest(s.last_seen, excluded.last_seen)",
                sums = each("sum(c.n)"),
                firsts = each("min(c.at)"),
                lasts = each("max(c.at)"),
                ids = ids.join(", ")
            )),
            &[event_type_id.into()],
        )?;
    }
    Ok(())
}

/// Counts the events that came one at a time: each left a row, so that none waits for another. Needs the workspace lock.
pub fn fold(ws: &Workspace) -> Result<(), CdpError> {
    spi::run(
        &ws.sql(
            "WITH taken AS (DELETE FROM @ws@.event_seen_one RETURNING event_type_id, at, properties), \
             x AS (SELECT t.event_type_id, 0 AS property_id, t.at FROM taken t UNION ALL \
                   SELECT t.event_type_id, p.property_id, t.at FROM taken t CROSS JOIN LATERAL unnest(t.properties) k(name) JOIN @ws@.property p ON p.event_type_id = t.event_type_id AND p.name = k.name) \
             INSERT INTO @ws@.event_seen AS s (event_type_id, property_id, events, first_seen, last_seen) \
             SELECT x.event_type_id, x.property_id, count(*), min(x.at), max(x.at) FROM x GROUP BY 1, 2 \
             ON CONFLICT (event_type_id, property_id) DO UPDATE SET events = s.events + excluded.events, \
                first_seen = least(s.first_seen, excluded.first_seen), last_seen = greatest(s.last_seen, excluded.last_seen)",
        ),
        &[],
    )?;
    Ok(())
}
