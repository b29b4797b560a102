//! `cdp_identity_path`, `cdp_profile_at`: why two identifiers are one person, or what keeps them apart; and whose an identifier was.

use super::rules::Rules;
use super::value;
use crate::error::{CdpError, given};
use crate::pg::spi;
use crate::workspace::{self, Workspace};
use pg_cdp_core::graph::path::{Link, Step, path};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::collections::HashMap;

/// A row of the chain.
type Row = (i32, String, String, String, String, String, f32, TimestampWithTimeZone, TimestampWithTimeZone, bool, bool);

#[expect(clippy::type_complexity, reason = "the columns of the function")]
#[pg_extern(stable, parallel_unsafe)]
fn cdp_identity_path(
    a_type: Option<&str>,
    a_value: Option<&str>,
    b_type: Option<&str>,
    b_value: Option<&str>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(step, i32),
            name!(from_type, String),
            name!(from_value, String),
            name!(to_type, String),
            name!(to_value, String),
            name!(source, String),
            name!(trust, f32),
            name!(first_seen, TimestampWithTimeZone),
            name!(last_seen, TimestampWithTimeZone),
            name!(bridge, bool),
            name!(weakest, bool),
        ),
    >,
    ErrorReport,
> {
    Ok(workspace::enter_reading(|ws| {
        let (a_type, a_value) = (given(a_type, "a_type")?, given(a_value, "a_value")?);
        let (b_type, b_value) = (given(b_type, "b_type")?, given(b_value, "b_value")?);
        let rules = Rules::load(ws)?;
        let a = value::strong(ws, &rules, a_type, a_value)?;
        let b = value::strong(ws, &rules, b_type, b_value)?;
        let (Some(one), Some(other)) = (a.profile_id, b.profile_id) else {
            return Err(CdpError::internal("a strong identifier without a profile"));
        };
        if one != other {
            let who = format!("{a_type} \"{a_value}\" and {b_type} \"{b_value}\" are not one profile");
            return Err(apart(ws, CdpError::wrong_state(who), one, other)?);
        }
        let Some(steps) = path(&links(ws, one)?, a.node_id, b.node_id) else {
            return Err(CdpError::corrupted(&format!(
                "nothing that is accepted ties the identifiers of profile {one}"
            ))
            .with_hint("SELECT * FROM cdp_identity_verify() WHERE NOT ok says what is wrong."));
        };
        Ok(TableIterator::new(rows(ws, &steps)?))
    })?)
}

/// The accepted edges of a profile.
pub fn links(ws: &Workspace, profile_id: i64) -> Result<Vec<Link>, CdpError> {
    spi::rows_cached(
        &ws.sql(
            "SELECT e.from_node, e.to_node, (e.trust * 100)::pg_catalog.int4, e.last_seen FROM @ws@.node n JOIN @ws@.edge e ON e.from_node = n.node_id \
             WHERE n.profile_id = $1 AND e.state = 'accepted'",
        ),
        &[profile_id.into()],
        |row| {
            Ok(Link {
                from: spi::must(row, 1)?,
                to: spi::must(row, 2)?,
                trust: spi::must(row, 3)?,
                last_seen: i64::from(spi::must::<TimestampWithTimeZone>(row, 4)?),
            })
        },
    )
}

/// What all sources of a pair say, the most trusted first.
const PAIRS: &str = "SELECT e.from_node, e.to_node, string_agg(coalesce(s.name, 'operator'), ', ' ORDER BY e.trust DESC, s.name COLLATE \"C\"), max(e.trust), min(e.first_seen), max(e.last_seen) \
     FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[]) AS x(a, b) JOIN @ws@.edge e ON e.from_node = x.a AND e.to_node = x.b \
     LEFT JOIN @ws@.source s ON s.source_id = e.source_id GROUP BY 1, 2";

fn rows(ws: &Workspace, steps: &[Step]) -> Result<Vec<Row>, CdpError> {
    let nodes: Vec<i64> = steps.iter().flat_map(|step| [step.from, step.to]).collect();
    let names: HashMap<i64, (String, String)> = spi::rows_cached(
        &ws.sql("SELECT n.node_id, t.name, n.value FROM @ws@.node n JOIN @ws@.identifier_type t USING (type_id) WHERE n.node_id = ANY ($1)"),
        &[nodes.into()],
        |row| Ok((spi::must::<i64>(row, 1)?, (spi::must::<String>(row, 2)?, spi::must::<String>(row, 3)?))),
    )?
    .into_iter()
    .collect();
    let (low, high): (Vec<i64>, Vec<i64>) =
        steps.iter().map(|step| (step.from.min(step.to), step.from.max(step.to))).unzip();
    let pairs: HashMap<(i64, i64), (String, f32, TimestampWithTimeZone, TimestampWithTimeZone)> =
        spi::rows_cached(&ws.sql(PAIRS), &[low.into(), high.into()], |row| {
            Ok((
                (spi::must::<i64>(row, 1)?, spi::must::<i64>(row, 2)?),
                (spi::must(row, 3)?, spi::must(row, 4)?, spi::must(row, 5)?, spi::must(row, 6)?),
            ))
        })?
        .into_iter()
        .collect();
    let gone = || CdpError::internal("an edge of the chain is gone");
    (1..)
        .zip(steps)
        .map(|(number, step)| {
            let (from_type, from_value) = names.get(&step.from).cloned().ok_or_else(gone)?;
            let (to_type, to_value) = names.get(&step.to).cloned().ok_or_else(gone)?;
            let pair = (step.from.min(step.to), step.from.max(step.to));
            let (source, trust, first_seen, last_seen) = pairs.get(&pair).cloned().ok_or_else(gone)?;
            Ok((
                number,
                from_type,
                from_value,
                to_type,
                to_value,
                source,
                trust,
                first_seen,
                last_seen,
                step.bridge,
                step.weakest,
            ))
        })
        .collect()
}

/// The suspended edges between two profiles, and those by way of a third one, such as a shared device. The most trusted first.
const APART: &str = "WITH edges AS (SELECT e.from_node AS near, e.to_node AS far, e.trust, e.reason FROM @ws@.edge e WHERE e.state = 'suspended' AND e.from_node IN (SELECT n.node_id FROM @ws@.node n WHERE n.profile_id = ANY ($1)) \
       UNION ALL SELECT e.to_node, e.from_node, e.trust, e.reason FROM @ws@.edge e WHERE e.state = 'suspended' AND e.to_node IN (SELECT n.node_id FROM @ws@.node n WHERE n.profile_id = ANY ($1))), \
     ties AS (SELECT n.profile_id AS near, f.profile_id AS far, nt.name || ' \"' || n.value || '\" and ' || ft.name || ' \"' || f.value || '\"' AS who, e.trust, e.reason \
       FROM edges e JOIN @ws@.node n ON n.node_id = e.near JOIN @ws@.identifier_type nt ON nt.type_id = n.type_id JOIN @ws@.node f ON f.node_id = e.far JOIN @ws@.identifier_type ft ON ft.type_id = f.type_id) \
     SELECT x.words FROM (SELECT 1 AS rank, t.trust, t.who || ' were seen together, but: ' || t.reason AS words FROM ties t WHERE t.near = ($1)[1] AND t.far = ($1)[2] \
       UNION ALL SELECT 2, least(a.trust, b.trust), CASE WHEN a.reason = b.reason THEN a.who || ' were seen together, ' || b.who || ' too, but: ' || a.reason \
           ELSE a.who || ' were seen together, but: ' || a.reason || '; ' || b.who || ' too, but: ' || b.reason END \
         FROM ties a JOIN ties b ON b.far = a.far WHERE a.near = ($1)[1] AND b.near = ($1)[2] AND a.far <> ALL ($1)) x \
     ORDER BY x.rank, x.trust DESC, x.words COLLATE \"C\" LIMIT 1";

/// Says what keeps two profiles apart.
fn apart(ws: &Workspace, error: CdpError, one: i64, other: i64) -> Result<CdpError, CdpError> {
    let found = spi::rows(&ws.sql(APART), &[vec![one, other].into()], |row| spi::must::<String>(row, 1))?;
    let names = format!("They are of profiles {one} and {other}.");
    Ok(match found.into_iter().next() {
        Some(reason) => error
            .with_detail(format!("{names} {reason}."))
            .with_hint("An operator may join them with cdp_link(); see the view refused_merges for all such pairs."),
        None => error
            .with_detail(format!("{names} No source has shown an identifier of one with an identifier of the other."))
            .with_hint("Join them with cdp_link() if they are one."),
    })
}

// Written out because an argument called "type" is a keyword of Rust.
#[pg_extern(
    sql = "CREATE FUNCTION cdp_profile_at(\"type\" text, value text, ts timestamptz) RETURNS bigint STRICT STABLE PARALLEL UNSAFE LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@';"
)]
fn cdp_profile_at(kind: &str, value: &str, ts: TimestampWithTimeZone) -> Result<Option<i64>, ErrorReport> {
    Ok(workspace::enter_reading(|ws| {
        let rules = Rules::load(ws)?;
        let Some(known) = value::look_up(ws, &rules, kind, value)? else { return Ok(None) };
        // Where the first move after the moment left from; without one, where it is. Moves are numbered in the order in which they were made.
        let found = spi::rows_cached(
            &ws.sql(
                "SELECT coalesce((SELECT m.from_profile FROM @ws@.node_move m WHERE m.node_id = n.node_id AND m.at > $2 ORDER BY m.move_id LIMIT 1), n.profile_id) \
                 FROM @ws@.node n WHERE n.node_id = $1 AND n.entered_at <= $2",
            ),
            &[known.node_id.into(), ts.into()],
            |row| Ok(row.get::<i64>(1)?),
        )?;
        Ok(found.into_iter().next().flatten())
    })?)
}
