//! What the expressions of tags and segments name, kept as a graph: who would be hurt by a drop, in which order to refresh, and that no definition
//! comes back to itself.

use super::catalog::Catalog;
use super::definition;
use crate::error::CdpError;
use crate::pg::{spi, stack};
use crate::workspace::Workspace;
use pg_cdp_core::expr::ast::{Expr, Node};
use pg_cdp_core::expr::walk;
use std::collections::{BTreeMap, BTreeSet};

/// Something a definition can name, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Named {
    /// A trait or a tag.
    Attribute(i32),
    /// An event type.
    Event(i32),
    /// A segment.
    Segment(i32),
    /// An identifier type.
    Identifier(i32),
}

impl Named {
    /// As the column `used_kind` of the table has it.
    fn used_kind(self) -> &'static str {
        match self {
            Self::Attribute(_) => "attribute",
            Self::Event(_) => "event",
            Self::Segment(_) => "segment",
            Self::Identifier(_) => "identifier",
        }
    }

    /// As the column `kind` of the tables of definitions has it.
    pub fn kind(self) -> &'static str {
        if matches!(self, Self::Segment(_)) { "segment" } else { "tag" }
    }

    /// Its number.
    pub fn id(self) -> i32 {
        match self {
            Self::Attribute(id) | Self::Event(id) | Self::Segment(id) | Self::Identifier(id) => id,
        }
    }

    /// By the words of the tables.
    pub fn of(kind: &str, id: i32) -> Self {
        match kind {
            "segment" => Self::Segment(id),
            "event" => Self::Event(id),
            "identifier" => Self::Identifier(id),
            _ => Self::Attribute(id),
        }
    }
}

/// What an expression names.
pub fn named(catalog: &Catalog, expr: &Expr) -> BTreeSet<Named> {
    let mut found = BTreeSet::new();
    collect(catalog, expr, &mut found);
    found
}

fn collect(catalog: &Catalog, expr: &Expr, found: &mut BTreeSet<Named>) {
    stack::check_depth();
    let event = |name: &str| catalog.events.get(name).map(|e| Named::Event(e.event_type_id));
    match &expr.node {
        Node::Attribute(name) => {
            found.extend(catalog.attributes.get(name).map(|a| Named::Attribute(a.attribute_id)));
        }
        Node::InSegment(name) => {
            found.extend(catalog.segments.get(name).map(|s| Named::Segment(s.segment_id)));
        }
        Node::Aggregate(aggregate) => found.extend(event(&aggregate.event)),
        Node::Sequence(sequence) => found.extend(sequence.steps.iter().filter_map(|step| event(&step.event))),
        Node::HasIdentifier(name) => {
            let named = catalog.identifier_types.iter().find(|(known, _)| known == name);
            found.extend(named.map(|(_, id)| Named::Identifier(*id)));
        }
        _ => {}
    }
    for child in walk::children(expr) {
        collect(catalog, child, found);
    }
}

/// Enters a definition: its number, its text and what it names. Needs the workspace lock.
///
/// # Errors
/// 42P17 when what it names comes back to it; the detail shows the way.
pub fn define(
    ws: &Workspace,
    of: Named,
    version: i32,
    expression: Option<&str>,
    names: &BTreeSet<Named>,
) -> Result<(), CdpError> {
    refuse_cycle(ws, of, names)?;
    spi::run(
        &ws.sql("INSERT INTO @ws@.definition_version (kind, object_id, version, expression) VALUES ($1, $2, $3, $4)"),
        &[of.kind().into(), of.id().into(), version.into(), expression.into()],
    )?;
    spi::run(
        &ws.sql("DELETE FROM @ws@.dependency WHERE kind = $1 AND object_id = $2"),
        &[of.kind().into(), of.id().into()],
    )?;
    for name in names {
        spi::run(
            &ws.sql("INSERT INTO @ws@.dependency (kind, object_id, used_kind, used_id) VALUES ($1, $2, $3, $4)"),
            &[of.kind().into(), of.id().into(), name.used_kind().into(), name.id().into()],
        )?;
    }
    Ok(())
}

/// Forgets a definition that is dropped.
pub fn forget(ws: &Workspace, of: Named) -> Result<(), CdpError> {
    for table in ["definition_version", "dependency"] {
        spi::run(
            &ws.sql(&format!("DELETE FROM @ws@.{table} WHERE kind = $1 AND object_id = $2")),
            &[of.kind().into(), of.id().into()],
        )?;
    }
    Ok(())
}

/// Refuses to drop what a definition names.
///
/// # Errors
/// 55006: the message lists the tags and segments that name it, the detail those that do so through them.
pub fn refuse_used(ws: &Workspace, of: Named) -> Result<(), CdpError> {
    let direct = users(ws, of)?;
    if direct.is_empty() {
        return Ok(());
    }
    let all = all_users(ws, of)?.into_iter().map(|user| label(ws, user)).collect::<Result<Vec<_>, CdpError>>()?;
    let mut through: Vec<String> = all.into_iter().filter(|user| !direct.contains(user)).collect();
    through.sort_unstable_by(|a, b| b.starts_with("tag").cmp(&a.starts_with("tag")).then_with(|| a.cmp(b)));
    let error = CdpError::in_use(format!("{} is used by {}", label(ws, of)?, direct.join(", ")));
    Err(if through.is_empty() {
        error.with_hint("Drop those first.")
    } else {
        error
            .with_detail(format!("These in turn are used by {}.", through.join(", ")))
            .with_hint("Drop those that nothing uses first.")
    })
}

/// The tags and segments whose definition names this, as `tag "x"`, `segment "y"`.
fn users(ws: &Workspace, of: Named) -> Result<Vec<String>, CdpError> {
    spi::rows(
        &ws.sql(
            "SELECT x.label FROM (SELECT d.kind, coalesce(a.name, g.name) AS name, d.kind || ' \"' || coalesce(a.name, g.name) || '\"' AS label FROM @ws@.dependency d \
             LEFT JOIN @ws@.attribute a ON d.kind = 'tag' AND a.attribute_id = d.object_id LEFT JOIN @ws@.segment g ON d.kind = 'segment' AND g.segment_id = d.object_id \
             WHERE d.used_kind = $1 AND d.used_id = $2) x ORDER BY x.kind, x.name",
        ),
        &[of.used_kind().into(), of.id().into()],
        |row| spi::must(row, 1),
    )
}

/// Who names whom, of tags and segments.
struct Graph(BTreeMap<Named, BTreeSet<Named>>);

impl Graph {
    fn load(ws: &Workspace) -> Result<Self, CdpError> {
        let mut graph: BTreeMap<Named, BTreeSet<Named>> = BTreeMap::new();
        for (user, used) in spi::rows(
            &ws.sql(
                "SELECT d.kind, d.object_id, d.used_kind, d.used_id FROM @ws@.dependency d \
                 WHERE d.used_kind = 'segment' OR d.used_kind = 'attribute' AND EXISTS (SELECT FROM @ws@.attribute a WHERE a.attribute_id = d.used_id AND a.kind = 'tag')",
            ),
            &[],
            |row| {
                let user = Named::of(&spi::must::<String>(row, 1)?, spi::must(row, 2)?);
                Ok((user, Named::of(&spi::must::<String>(row, 3)?, spi::must(row, 4)?)))
            },
        )? {
            graph.entry(user).or_default().insert(used);
        }
        Ok(Self(graph))
    }

    fn used_by(&self, user: Named) -> impl Iterator<Item = Named> + '_ {
        self.0.get(&user).into_iter().flatten().copied()
    }

    /// The shortest way from any of `from` to `to`.
    fn way(&self, from: &BTreeSet<Named>, to: Named) -> Option<Vec<Named>> {
        let mut before: BTreeMap<Named, Option<Named>> = from.iter().map(|named| (*named, None)).collect();
        let mut waiting: std::collections::VecDeque<Named> = from.iter().copied().collect();
        while let Some(here) = waiting.pop_front() {
            if here == to {
                let mut way = vec![here];
                let mut at = here;
                while let Some(Some(previous)) = before.get(&at) {
                    way.push(*previous);
                    at = *previous;
                }
                way.reverse();
                return Some(way);
            }
            for next in self.used_by(here) {
                if let std::collections::btree_map::Entry::Vacant(entry) = before.entry(next) {
                    entry.insert(Some(here));
                    waiting.push_back(next);
                }
            }
        }
        None
    }

    /// Enters what `of` names, in however many steps, and then `of`, unless they are there.
    fn enter(&self, of: Named, places: &mut BTreeMap<Named, usize>, next: &mut usize) {
        stack::check_depth();
        if places.contains_key(&of) {
            return;
        }
        // A cycle, which no definition makes, would end here.
        places.insert(of, 0);
        for used in self.used_by(of) {
            self.enter(used, places, next);
        }
        *next += 1;
        places.insert(of, *next);
    }
}

/// Sorts what is to be refreshed by number, and whatever is named before those that name it.
pub fn sort<T>(ws: &Workspace, items: &mut [T], named: impl Fn(&T) -> Named) -> Result<(), CdpError> {
    let graph = Graph::load(ws)?;
    let mut numbers: Vec<Named> = items.iter().map(&named).collect();
    numbers.sort_unstable();
    let (mut places, mut next) = (BTreeMap::new(), 0);
    for number in numbers {
        graph.enter(number, &mut places, &mut next);
    }
    items.sort_by_key(|item| places.get(&named(item)).copied());
    Ok(())
}

/// Those that name `of`, in however many steps.
pub fn all_users(ws: &Workspace, of: Named) -> Result<BTreeSet<Named>, CdpError> {
    let graph = Graph::load(ws)?;
    let mut found = BTreeSet::new();
    let mut waiting = vec![of];
    while let Some(used) = waiting.pop() {
        for (user, names) in &graph.0 {
            if names.contains(&used) && found.insert(*user) {
                waiting.push(*user);
            }
        }
    }
    Ok(found)
}

fn refuse_cycle(ws: &Workspace, of: Named, names: &BTreeSet<Named>) -> Result<(), CdpError> {
    let Some(way) = Graph::load(ws)?.way(names, of) else { return Ok(()) };
    let mut labels = vec![label(ws, of)?];
    for named in way {
        labels.push(label(ws, named)?);
    }
    Err(definition::cycle(&labels))
}

fn label(ws: &Workspace, named: Named) -> Result<String, CdpError> {
    let found = spi::one::<String>(
        &ws.sql(
            "SELECT CASE $1 WHEN 'segment' THEN (SELECT 'segment \"' || g.name || '\"' FROM @ws@.segment g WHERE g.segment_id = $2) \
             ELSE (SELECT a.kind || ' \"' || a.name || '\"' FROM @ws@.attribute a WHERE a.attribute_id = $2) END",
        ),
        &[named.used_kind().into(), named.id().into()],
    )?;
    found.ok_or_else(|| CdpError::internal("a definition names what is gone"))
}
