//! Who refers to what: the tags and segments whose expression holds a node.

use crate::error::CdpError;
use crate::pg::{spi, stack};
use crate::workspace::Workspace;
use pg_cdp_core::expr::ast::{Expr, Node};
use pg_cdp_core::expr::parse::{self, Limits};
use pg_cdp_core::expr::walk;

/// The tags and segments whose expression holds a node for which `wanted` is true, as `tag "x"`, `segment "y"`.
pub fn of(ws: &Workspace, wanted: impl Fn(&Node) -> bool) -> Result<Vec<String>, CdpError> {
    let users = spi::rows(
        &ws.sql(
            "SELECT 'tag', a.name, a.expression FROM @ws@.attribute a WHERE a.kind = 'tag' AND a.expression IS NOT NULL \
             UNION ALL SELECT 'segment', g.name, g.expression FROM @ws@.segment g WHERE g.expression IS NOT NULL ORDER BY 1, 2",
        ),
        &[],
        |row| Ok((spi::must::<String>(row, 1)?, spi::must::<String>(row, 2)?, spi::must::<String>(row, 3)?)),
    )?;
    let mut out = Vec::new();
    for (kind, user, expression) in users {
        let parsed =
            parse::parse_with(&expression, &Limits::MOST).map_err(|e| CdpError::expression(&e, &expression))?;
        if holds(&parsed, &wanted) {
            out.push(format!("{kind} \"{user}\""));
        }
    }
    Ok(out)
}

fn holds(expr: &Expr, wanted: &impl Fn(&Node) -> bool) -> bool {
    stack::check_depth();
    wanted(&expr.node) || walk::children(expr).into_iter().any(|child| holds(child, wanted))
}
