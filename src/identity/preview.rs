//! `cdp_identity_preview`: what a change of rules would do, on the real data, before it is done.

use super::govern::{Cause, Outcome};
use super::types;
use crate::error::{CdpError, given};
use crate::pg::json::JsonText;
use crate::pg::{spi, subtransaction, temp};
use crate::workspace::{self, Workspace};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::Value;

/// A figure of the preview.
type Figure = (String, i64);

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_identity_preview(
    rules: Option<JsonText>,
) -> Result<TableIterator<'static, (name!(metric, String), name!(value, i64))>, ErrorReport> {
    Ok(workspace::enter_bulk(|ws| {
        let Value::Object(rules) = given(rules, "rules")?.parse()? else {
            return Err(CdpError::invalid_parameter("rules are a JSON object of identifier types")
                .with_hint(r#"Write them as in '{"email": {"max_per_profile": 5}}'."#));
        };
        let changes: Vec<(String, Value)> = rules.into_iter().collect();
        ws.lock()?;
        temp::table("cdp_preview", &ws.sql("name pg_catalog.text, members @ext@.cdp_bitmap"))?;
        spi::run(
            &ws.sql(&format!(
                "INSERT INTO pg_temp.cdp_preview (name, members) SELECT g.name, @ext@.cdp_segment({MEMBERS}) FROM @ws@.segment g"
            )),
            &[],
        )?;
        let (live, hubs) = (count(ws, LIVE)?, count(ws, HUBS)?);
        let mut found: Option<Vec<Figure>> = None;
        // Everything is done as it would be, and rolled back: the error that ends the subtransaction is the sign that all went well.
        let tried = subtransaction::run(|| -> Result<(), ErrorReport> {
            let outcome = types::change(ws, &changes, Cause { source_id: 0, operation_id: None })?;
            found = Some(figures(ws, &outcome, live, hubs)?);
            Err(CdpError::wrong_state("the preview is over").into())
        });
        match (found, tried) {
            (Some(figures), _) => Ok(TableIterator::new(figures)),
            (None, Err(failure)) => Err(CdpError::from(failure)),
            (None, Ok(())) => Err(CdpError::internal("a preview gave nothing")),
        }
    })?)
}

/// The expression that gives the members of a segment `g`: of one that is never refreshed, or no longer, those it has, whom merges and splits change too.
const MEMBERS: &str = "CASE WHEN g.kind = 'dynamic' AND g.state <> 'retired' THEN g.expression ELSE 'in_segment(''' || replace(g.name, '''', '''''') || ''')' END";

const LIVE: &str = "SELECT count(*) FROM @ws@.profile p WHERE p.merged_into IS NULL";
const HUBS: &str = "SELECT count(*) FROM @ws@.node n WHERE n.quarantine IS NOT NULL";

fn count(ws: &Workspace, sql: &str) -> Result<i64, CdpError> {
    Ok(spi::one::<i64>(&ws.sql(sql), &[])?.unwrap_or(0))
}

fn figures(ws: &Workspace, outcome: &Outcome, live: i64, hubs: i64) -> Result<Vec<Figure>, CdpError> {
    let size = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let mut figures = vec![
        ("live profiles before".to_owned(), live),
        ("live profiles after".to_owned(), count(ws, LIVE)?),
        ("profiles that merge into others".to_owned(), size(outcome.merged.len())),
        ("profiles that split off".to_owned(), size(outcome.split.len())),
        ("identifiers that move".to_owned(), size(outcome.moved)),
        ("pairs that begin to link".to_owned(), size(outcome.accepted)),
        ("pairs that stop linking".to_owned(), size(outcome.suspended)),
        ("quarantined identifiers before".to_owned(), hubs),
        ("quarantined identifiers after".to_owned(), count(ws, HUBS)?),
    ];
    for (name, enter, leave) in spi::rows(
        &ws.sql(&format!(
            "SELECT x.name, @ext@.cdp_bitmap_andnot_cardinality(x.now, x.members), @ext@.cdp_bitmap_andnot_cardinality(x.members, x.now) \
             FROM (SELECT p.name, p.members, @ext@.cdp_segment({MEMBERS}) AS now FROM pg_temp.cdp_preview p JOIN @ws@.segment g USING (name)) x ORDER BY x.name"
        )),
        &[],
        |row| Ok((spi::must::<String>(row, 1)?, spi::must::<i64>(row, 2)?, spi::must::<i64>(row, 3)?)),
    )? {
        figures.push((format!("segment {name}: profiles that enter"), enter));
        figures.push((format!("segment {name}: profiles that leave"), leave));
    }
    Ok(figures)
}
