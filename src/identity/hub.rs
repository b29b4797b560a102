//! The hub rule: an identifier with more distinct neighbours than its type allows links nobody. It is how a kiosk, a shared desk or a value that somebody
//! typed in for everybody is known: by its neighbours, whatever their order.

use super::hold::{self, By, node};
use super::rules::{IdentifierType, Rules};
use crate::error::CdpError;
use crate::pg::spi;
use crate::workspace::Workspace;
use std::collections::HashMap;

/// SQL giving the distinct neighbours of identifiers: `node_id`, `degree`, `persons`. `nodes` is a FROM item with a column `node_id`.
///
/// Every neighbour counts that an edge between strong types ties it to, whatever became of the edge, but for pairs that an operator unlinked or linked.
fn degrees_sql(nodes: &str) -> String {
    format!(
        "SELECT x.node_id, count(DISTINCT x.other) AS degree, count(DISTINCT x.other) FILTER (WHERE t.level = 'person') AS persons FROM ( \
           SELECT c.node_id, e.to_node AS other FROM {nodes} c JOIN @ws@.edge e ON e.from_node = c.node_id WHERE e.state <> 'weak' AND e.source_id <> 0 \
             AND NOT EXISTS (SELECT FROM @ws@.identity_override o WHERE o.kind = 'unlink' AND o.node_id = e.from_node AND o.other_id = e.to_node) \
           UNION ALL \
           SELECT c.node_id, e.from_node FROM {nodes} c JOIN @ws@.edge e ON e.to_node = c.node_id WHERE e.state <> 'weak' AND e.source_id <> 0 \
             AND NOT EXISTS (SELECT FROM @ws@.identity_override o WHERE o.kind = 'unlink' AND o.node_id = e.from_node AND o.other_id = e.to_node) \
         ) x JOIN @ws@.node n ON n.node_id = x.other JOIN @ws@.identifier_type t ON t.type_id = n.type_id GROUP BY 1"
    )
}

/// The words for a hub; `None` when the numbers are within its caps. They name the caps of the type and not the numbers, which grow with every row.
pub fn reason(ty: &IdentifierType, degree: i64, persons: i64) -> Option<String> {
    let over = |cap: Option<i32>, number: i64| cap.is_some_and(|cap| number > i64::from(cap));
    if !over(ty.degree_cap, degree) && !over(ty.person_cap, persons) {
        return None;
    }
    let caps = [
        ty.degree_cap.map(|cap| format!("{cap} neighbours")),
        ty.person_cap.map(|cap| format!("{cap} that name persons")),
    ];
    let caps: Vec<String> = caps.into_iter().flatten().collect();
    Some(format!("hub: more than {}", caps.join(", or ")))
}

/// An identifier, why it is quarantined, and why it is by its numbers.
pub type Recount = (i64, Option<String>, Option<String>);

/// The neighbours of some strong identifiers counted anew: of each that is not blocked, what is kept and what the numbers say.
pub fn recount(ws: &Workspace, rules: &Rules, nodes: &[i64]) -> Result<Vec<Recount>, CdpError> {
    if nodes.is_empty() {
        return Ok(Vec::new());
    }
    let found = spi::rows_cached(
        &ws.sql(&format!(
            "SELECT n.node_id, n.type_id, n.quarantine, coalesce(d.degree, 0), coalesce(d.persons, 0) FROM @ws@.node n \
             LEFT JOIN ({}) d ON d.node_id = n.node_id \
             WHERE n.node_id = ANY ($1) AND (n.quarantine IS NULL OR n.quarantine NOT LIKE 'blocked: %')",
            degrees_sql("(SELECT x AS node_id FROM unnest($1::pg_catalog.int8[]) x)")
        )),
        &[nodes.to_vec().into()],
        |row| {
            Ok((
                spi::must::<i64>(row, 1)?,
                spi::must::<i32>(row, 2)?,
                row.get::<String>(3)?,
                spi::must::<i64>(row, 4)?,
                spi::must::<i64>(row, 5)?,
            ))
        },
    )?;
    found
        .into_iter()
        .map(|(node_id, type_id, was, degree, persons)| {
            let ty = rules.get(type_id)?;
            Ok((node_id, was, if ty.strong { reason(ty, degree, persons) } else { None }))
        })
        .collect()
}

/// Counts the neighbours of some identifiers and writes which of them are hubs and which no longer are. Gives those for which that changed: the links of
/// all their neighbours have to be judged anew.
pub fn judge(ws: &Workspace, rules: &Rules, nodes: &[i64]) -> Result<Vec<i64>, CdpError> {
    let turned = recount(ws, rules, nodes)?.into_iter().filter(|(_, was, is)| was != is);
    let (ids, reasons): (Vec<i64>, Vec<Option<String>>) = turned.map(|(node_id, _, is)| (node_id, is)).unzip();
    if !ids.is_empty() {
        quarantine(ws, ids.clone(), reasons)?;
    }
    Ok(ids)
}

/// Those of some identifiers that may be hubs, or are quarantined: of the others to count is to find nothing.
pub fn suspects(ws: &Workspace, rules: &Rules, nodes: &[i64]) -> Result<Vec<i64>, CdpError> {
    let mut suspects = Vec::new();
    let looked = hold::each_node(ws, By::Number, nodes, |row| {
        if !row.is_null(node::QUARANTINE) {
            suspects.push(row.int8(node::NODE_ID));
        }
        Ok(())
    })?;
    if !looked {
        return Ok(nodes.to_vec());
    }
    if let Some(least) = rules.least_cap() {
        let others = nodes.iter().filter(|node| !suspects.contains(node));
        let others: Vec<(i64, i64)> = others.map(|node| (*node, i64::from(least))).collect();
        suspects.extend(hold::many(ws, &others)?);
    }
    Ok(suspects)
}

/// Judges every identifier with enough edges to be a hub.
pub fn judge_all(ws: &Workspace, rules: &Rules) -> Result<(), CdpError> {
    let least = rules.least_cap();
    let nodes = spi::rows(
        &ws.sql(
            "SELECT n.node_id FROM @ws@.node n WHERE n.quarantine IS NOT NULL UNION SELECT x.node_id FROM ( \
               SELECT e.from_node AS node_id FROM @ws@.edge e WHERE e.state <> 'weak' UNION ALL SELECT e.to_node FROM @ws@.edge e WHERE e.state <> 'weak') x \
             WHERE $1 IS NOT NULL GROUP BY 1 HAVING count(*) > $1",
        ),
        &[least.into()],
        |row| spi::must::<i64>(row, 1),
    )?;
    judge(ws, rules, &nodes)?;
    Ok(())
}

/// Writes why identifiers link nobody; `None` that they link.
pub fn quarantine(ws: &Workspace, ids: Vec<i64>, reasons: Vec<Option<String>>) -> Result<(), CdpError> {
    spi::run_cached(
        &ws.sql(
            "UPDATE @ws@.node n SET quarantine = x.reason FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.text[]) AS x(node_id, reason) WHERE n.node_id = x.node_id",
        ),
        &[ids.into(), reasons.into()],
    )
}

/// Why some identifiers link nobody; `None` of one that links.
pub fn reasons(ws: &Workspace, nodes: &[i64]) -> Result<HashMap<i64, Option<String>>, CdpError> {
    let found = spi::rows_cached(
        &ws.sql("SELECT n.node_id, n.quarantine FROM @ws@.node n WHERE n.node_id = ANY ($1)"),
        &[nodes.to_vec().into()],
        |row| Ok((spi::must::<i64>(row, 1)?, row.get::<String>(2)?)),
    )?;
    Ok(found.into_iter().collect())
}

/// The neighbours of identifiers: who has to be judged anew when these begin or stop to link.
pub fn neighbours(ws: &Workspace, nodes: &[i64]) -> Result<Vec<i64>, CdpError> {
    if nodes.is_empty() {
        return Ok(Vec::new());
    }
    let mut all = nodes.to_vec();
    for (near, far) in [("from_node", "to_node"), ("to_node", "from_node")] {
        all.extend(spi::rows_cached(
            &ws.sql(&format!("SELECT e.{far} FROM @ws@.edge e WHERE e.{near} = ANY ($1) AND e.state <> 'weak'")),
            &[nodes.to_vec().into()],
            |row| spi::must::<i64>(row, 1),
        )?);
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}
