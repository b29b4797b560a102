//! `cdp_identity_graph`, `cdp_identity_dot`, `cdp_identity_mermaid`: the identifiers of a profile and what ties them, as rows and as pictures. What ties them to
//! others but for a rule is shown too.

use super::path::links;
use super::resolve;
use crate::error::{CdpError, given};
use crate::pg::spi;
use crate::workspace::{self, Workspace};
use pg_cdp_core::graph::path::bridges;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;

/// An identifier.
struct Node {
    node_id: i64,
    /// `None` for a weak one.
    profile: Option<i64>,
    kind: String,
    value: String,
    source: String,
    founding: bool,
    strong: bool,
    quarantine: Option<String>,
    first_seen: TimestampWithTimeZone,
    last_seen: TimestampWithTimeZone,
}

/// Two identifiers that one source saw together, by the places of their nodes.
struct Edge {
    from: usize,
    to: usize,
    source: String,
    trust: f32,
    state: String,
    reason: Option<String>,
    first_seen: TimestampWithTimeZone,
    last_seen: TimestampWithTimeZone,
    bridge: bool,
}

/// A profile's part of the graph: its identifiers first, then those of others and weak ones that an edge leads to.
struct Part {
    profile_id: i64,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

/// The identifiers of a profile, in the order of what they tell, then those at the far ends of its edges.
const NODES: &str = "WITH own AS (SELECT n.node_id FROM @ws@.node n WHERE n.profile_id = $1), \
     far AS (SELECT e.to_node AS node_id FROM own JOIN @ws@.edge e ON e.from_node = own.node_id UNION SELECT e.from_node FROM own JOIN @ws@.edge e ON e.to_node = own.node_id) \
     SELECT n.node_id, n.profile_id, t.name, n.value, coalesce(s.name, 'operator'), n.quarantine, n.first_seen, n.last_seen, n.node_id = p.founding_node, t.strength = 'strong' \
     FROM (SELECT own.node_id FROM own UNION SELECT far.node_id FROM far) x JOIN @ws@.node n USING (node_id) JOIN @ws@.identifier_type t USING (type_id) \
     LEFT JOIN @ws@.source s ON s.source_id = n.source_id CROSS JOIN @ws@.profile p WHERE p.profile_id = $1 \
     ORDER BY n.profile_id IS DISTINCT FROM $1, t.priority, t.name COLLATE \"C\", n.value COLLATE \"C\"";

const EDGES: &str = "WITH own AS (SELECT n.node_id FROM @ws@.node n WHERE n.profile_id = $1) \
     SELECT e.from_node, e.to_node, coalesce(s.name, 'operator'), e.trust, e.state, e.reason, e.first_seen, e.last_seen FROM ( \
         SELECT e.* FROM own JOIN @ws@.edge e ON e.from_node = own.node_id UNION ALL \
         SELECT e.* FROM own JOIN @ws@.edge e ON e.to_node = own.node_id WHERE e.from_node NOT IN (SELECT own.node_id FROM own)) e LEFT JOIN @ws@.source s USING (source_id)";

impl Part {
    /// Reads that of a profile, live or retired.
    ///
    /// # Errors
    /// 42704 when there is no such profile.
    fn read(ws: &Workspace, profile_id: Option<i64>) -> Result<Self, CdpError> {
        let asked = given(profile_id, "profile_id")?;
        let Some(profile_id) = resolve(ws, asked)? else {
            return Err(CdpError::undefined_object("profile", &asked.to_string())
                .with_hint("Find the profile of an identifier with cdp_profile_id()."));
        };
        let nodes = spi::rows_cached(&ws.sql(NODES), &[profile_id.into()], |row| {
            Ok(Node {
                node_id: spi::must(row, 1)?,
                profile: row.get(2)?,
                kind: spi::must(row, 3)?,
                value: spi::must(row, 4)?,
                source: spi::must(row, 5)?,
                quarantine: row.get(6)?,
                first_seen: spi::must(row, 7)?,
                last_seen: spi::must(row, 8)?,
                founding: spi::must(row, 9)?,
                strong: spi::must(row, 10)?,
            })
        })?;
        let places: BTreeMap<i64, usize> =
            nodes.iter().enumerate().map(|(place, node)| (node.node_id, place)).collect();
        let bridges: HashSet<(i64, i64)> = bridges(&links(ws, profile_id)?).into_iter().collect();
        let mut edges = spi::rows_cached(&ws.sql(EDGES), &[profile_id.into()], |row| {
            let (from, to) = (spi::must::<i64>(row, 1)?, spi::must::<i64>(row, 2)?);
            let place = |node| places.get(node).copied().ok_or_else(|| CdpError::internal("an identifier is gone"));
            let (one, other) = (place(&from)?, place(&to)?);
            let state: String = spi::must(row, 5)?;
            Ok(Edge {
                from: one.min(other),
                to: one.max(other),
                source: spi::must(row, 3)?,
                trust: spi::must(row, 4)?,
                bridge: state == "accepted" && bridges.contains(&(from, to)),
                state,
                reason: row.get(6)?,
                first_seen: spi::must(row, 7)?,
                last_seen: spi::must(row, 8)?,
            })
        })?;
        edges.sort_by(|a, b| (a.from, a.to, &a.source).cmp(&(b.from, b.to, &b.source)));
        Ok(Self { profile_id, nodes, edges })
    }

    fn own(&self, node: &Node) -> bool {
        node.profile == Some(self.profile_id)
    }

    /// The edges of each pair together: its places, whether it links, whether it is a bridge, and the words for it.
    fn pairs(&self) -> Vec<Drawn> {
        let mut drawn: Vec<Drawn> = Vec::new();
        for edge in &self.edges {
            let words = format!("{} {}", edge.source, hundredths(edge.trust));
            match drawn.last_mut().filter(|last| (last.from, last.to) == (edge.from, edge.to)) {
                Some(last) => last.lines.insert(last.lines.len() - usize::from(edge.reason.is_some()), words),
                None => drawn.push(Drawn {
                    from: edge.from,
                    to: edge.to,
                    style: match (edge.state.as_str(), edge.bridge) {
                        ("accepted", true) => Style::Bridge,
                        ("accepted", false) => Style::Plain,
                        ("weak", _) => Style::Weak,
                        _ => Style::Suspended,
                    },
                    lines: std::iter::once(words).chain(edge.reason.clone()).collect(),
                }),
            }
        }
        drawn
    }

    /// What stands in the box of an identifier.
    fn lines(&self, node: &Node) -> Vec<String> {
        let mut lines = vec![node.kind.clone(), node.value.clone()];
        lines.extend(node.quarantine.clone());
        lines.extend(node.profile.filter(|_| !self.own(node)).map(|profile| format!("profile {profile}")));
        lines
    }
}

/// How an edge is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Bridge,
    Suspended,
    Weak,
}

/// A pair as it is drawn.
struct Drawn {
    from: usize,
    to: usize,
    style: Style,
    lines: Vec<String>,
}

/// A trust with two digits, as people give it.
fn hundredths(trust: f32) -> String {
    format!("{trust:.2}")
}

type Row = (
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    String,
    Option<f32>,
    String,
    Option<String>,
    TimestampWithTimeZone,
    TimestampWithTimeZone,
    Option<bool>,
    Option<i64>,
);

#[expect(clippy::type_complexity, reason = "the columns of the function")]
#[pg_extern(stable, parallel_unsafe)]
fn cdp_identity_graph(
    profile_id: Option<i64>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(kind, String),
            name!(from_type, String),
            name!(from_value, String),
            name!(to_type, Option<String>),
            name!(to_value, Option<String>),
            name!(source, String),
            name!(trust, Option<f32>),
            name!(state, String),
            name!(reason, Option<String>),
            name!(first_seen, TimestampWithTimeZone),
            name!(last_seen, TimestampWithTimeZone),
            name!(bridge, Option<bool>),
            name!(belongs_to, Option<i64>),
        ),
    >,
    ErrorReport,
> {
    Ok(workspace::enter_reading(|ws| {
        let part = Part::read(ws, profile_id)?;
        let mut rows: Vec<Row> = Vec::with_capacity(part.nodes.len() + part.edges.len());
        for node in &part.nodes {
            let state = match node {
                _ if !node.strong => "weak",
                _ if node.quarantine.is_some() => "quarantined",
                _ if node.founding => "founding",
                _ => "linking",
            };
            rows.push((
                "node".to_owned(),
                node.kind.clone(),
                node.value.clone(),
                None,
                None,
                node.source.clone(),
                None,
                state.to_owned(),
                node.quarantine.clone(),
                node.first_seen,
                node.last_seen,
                None,
                node.profile,
            ));
        }
        for edge in &part.edges {
            let (Some(from), Some(to)) = (part.nodes.get(edge.from), part.nodes.get(edge.to)) else { continue };
            rows.push((
                "edge".to_owned(),
                from.kind.clone(),
                from.value.clone(),
                Some(to.kind.clone()),
                Some(to.value.clone()),
                edge.source.clone(),
                Some(edge.trust),
                edge.state.clone(),
                edge.reason.clone(),
                edge.first_seen,
                edge.last_seen,
                Some(edge.bridge),
                if to.profile == Some(part.profile_id) { from.profile } else { to.profile },
            ));
        }
        Ok(TableIterator::new(rows))
    })?)
}

#[pg_extern(stable, parallel_unsafe)]
fn cdp_identity_dot(profile_id: Option<i64>) -> Result<String, ErrorReport> {
    Ok(workspace::enter_reading(|ws| Ok(dot(&Part::read(ws, profile_id)?)))?)
}

/// A string of DOT, quoted; lines are separated by what DOT takes for a new line. Besides backslashes it knows the entities of HTML.
fn dot_label(lines: &[String]) -> String {
    let quoted: Vec<String> = lines
        .iter()
        .map(|line| one_line(line).replace('&', "&amp;").replace('\\', "\\\\").replace('"', "\\\""))
        .collect();
    format!("\"{}\"", quoted.join("\\n"))
}

/// Text without control characters, which no picture shows.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn dot(part: &Part) -> String {
    let mut out = format!("graph profile_{} {{\n  node [shape=box];\n", part.profile_id);
    for node in &part.nodes {
        let style = match node {
            _ if !part.own(node) => ", style=dashed, color=gray, fontcolor=gray",
            _ if node.quarantine.is_some() => ", style=dashed",
            _ if node.founding => ", style=bold",
            _ => "",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  n{} [label={}{style}];", node.node_id, dot_label(&part.lines(node)));
    }
    for drawn in part.pairs() {
        let (Some(from), Some(to)) = (part.nodes.get(drawn.from), part.nodes.get(drawn.to)) else { continue };
        let style = match drawn.style {
            Style::Plain => "",
            Style::Bridge => ", style=bold",
            Style::Suspended => ", style=dashed, color=red, fontcolor=red",
            Style::Weak => ", style=dotted",
        };
        let _ = writeln!(out, "  n{} -- n{} [label={}{style}];", from.node_id, to.node_id, dot_label(&drawn.lines));
    }
    out.push_str("}\n");
    out
}

#[pg_extern(stable, parallel_unsafe)]
fn cdp_identity_mermaid(profile_id: Option<i64>) -> Result<String, ErrorReport> {
    Ok(workspace::enter_reading(|ws| Ok(mermaid(&Part::read(ws, profile_id)?)))?)
}

/// A string of Mermaid, quoted. Everything that Mermaid, its Markdown or HTML could take for a sign of theirs is written as an entity.
fn mermaid_label(lines: &[String]) -> String {
    let mut out = String::from("\"");
    for (i, line) in lines.iter().enumerate() {
        if i > 0 {
            out.push_str("<br/>");
        }
        for (at, c) in one_line(line).chars().enumerate() {
            // A label may not begin as a list of Markdown does.
            let plain = c.is_alphanumeric()
                || matches!(c, ' ' | '.' | ',' | ':' | '-' | '_' | '@' | '+' | '/' | '\'' | '(' | ')');
            if plain && (i > 0 || at > 0 || c.is_alphabetic()) {
                out.push(c);
            } else {
                let _ = write!(out, "#{};", u32::from(c));
            }
        }
    }
    out.push('"');
    out
}

fn mermaid(part: &Part) -> String {
    let mut out = "graph LR\n".to_owned();
    for node in &part.nodes {
        let class = match node {
            _ if !part.own(node) => ":::other",
            _ if node.quarantine.is_some() => ":::quarantined",
            _ if node.founding => ":::founding",
            _ => "",
        };
        let _ = writeln!(out, "  n{}[{}]{class}", node.node_id, mermaid_label(&part.lines(node)));
    }
    for drawn in part.pairs() {
        let (Some(from), Some(to)) = (part.nodes.get(drawn.from), part.nodes.get(drawn.to)) else { continue };
        let line = match drawn.style {
            Style::Plain => "---",
            Style::Bridge => "===",
            Style::Suspended | Style::Weak => "-.-",
        };
        let _ = writeln!(out, "  n{} {line}|{}| n{}", from.node_id, mermaid_label(&drawn.lines), to.node_id);
    }
    out.push_str("  classDef founding stroke-width:3px\n  classDef quarantined stroke-dasharray:5 5\n  classDef other stroke-dasharray:5 5,color:#888\n");
    out
}
