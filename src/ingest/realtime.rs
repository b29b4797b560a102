//! What follows from a message at once: the tags and segments whose expression names what changed are computed for the one profile by the point executor, each after those it
//! names itself, and written in the same transaction.

use crate::error::CdpError;
use crate::expr::catalog::Catalog;
use crate::expr::dependencies::Named;
use crate::expr::point;
use crate::expr::question::{Moment, Question};
use crate::pg::spi::Together;
use crate::pg::{spi, subtransaction};
use crate::profile::single::{self, Changed, TagChange};
use crate::store::membership::{self, Membership};
use crate::workspace::Workspace;
use crate::workspace::kept::{self, Kept};
use pg_cdp_core::expr::ast::{Expr, Node, Type};
use pgrx::datum::TimestampWithTimeZone;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// What followed.
#[derive(Debug, Default)]
pub struct Effects {
    /// Tags that have another value now.
    pub tags: Vec<Changed>,
    /// Segments entered, by name.
    pub entered: Vec<String>,
    /// Segments left.
    pub left: Vec<String>,
    /// What could not be computed, and why: it is as it was before.
    pub failed: Vec<(String, String)>,
}

/// What a message changed.
pub enum Cause {
    /// Who is who: anything may follow.
    Identity,
    /// These.
    Named(BTreeSet<Named>),
}

/// A definition that is computed.
struct Definition {
    named: Named,
    name: String,
    expression: String,
    ty: Type,
    /// The word of the type of a tag.
    word: String,
    allowed: Option<Vec<String>>,
    /// When it was last computed for everybody.
    refreshed_at: Option<i64>,
    /// How many others lie below it.
    level: usize,
    uses: BTreeSet<Named>,
}

/// The active definitions of a workspace, by level.
struct Definitions(Vec<Definition>);

thread_local! {
    static KEPT: Cell<Option<Kept<Definitions>>> = const { Cell::new(None) };
}

impl Definitions {
    fn load(ws: &Workspace) -> Result<Rc<Self>, CdpError> {
        kept::load(&KEPT, ws, &["dependency", "attribute", "segment"], || Self::read(ws))
    }

    fn read(ws: &Workspace) -> Result<Self, CdpError> {
        let mut all: Vec<Definition> = spi::rows_cached(
            &ws.sql(
                "SELECT 'tag', a.attribute_id, a.name, a.expression, a.type, a.allowed, a.refreshed_at FROM @ws@.attribute a \
                 WHERE a.kind = 'tag' AND a.state = 'active' AND a.expression IS NOT NULL AND a.entity = 'person' \
                 UNION ALL SELECT 'segment', g.segment_id, g.name, g.expression, 'boolean', NULL, NULL FROM @ws@.segment g WHERE g.state = 'active' AND g.kind = 'dynamic'",
            ),
            &[],
            |row| {
                let (kind, id, word) = (spi::must::<String>(row, 1)?, spi::must::<i32>(row, 2)?, spi::must::<String>(row, 5)?);
                let named = if kind == "segment" { Named::Segment(id) } else { Named::Attribute(id) };
                let refreshed_at = row.get::<TimestampWithTimeZone>(7)?.map(i64::from);
                Ok(Definition {
                    named,
                    name: spi::must(row, 3)?,
                    expression: spi::must(row, 4)?,
                    ty: crate::expr::catalog::type_of(&word)?,
                    word,
                    allowed: row.get(6)?,
                    refreshed_at,
                    level: 0,
                    uses: BTreeSet::new(),
                })
            },
        )?;
        let mut uses: HashMap<Named, BTreeSet<Named>> = HashMap::new();
        for (user, used) in spi::rows_cached(
            &ws.sql("SELECT d.kind, d.object_id, d.used_kind, d.used_id FROM @ws@.dependency d"),
            &[],
            |row| {
                let user = Named::of(&spi::must::<String>(row, 1)?, spi::must(row, 2)?);
                Ok((user, Named::of(&spi::must::<String>(row, 3)?, spi::must(row, 4)?)))
            },
        )? {
            uses.entry(user).or_default().insert(used);
        }
        let mut levels: HashMap<Named, usize> = HashMap::new();
        for definition in &mut all {
            definition.level = level(definition.named, &uses, &mut levels);
            definition.uses = uses.get(&definition.named).cloned().unwrap_or_default();
        }
        all.sort_by_key(|d| (d.level, d.named));
        Ok(Self(all))
    }
}

/// How many definitions lie below one, at most; no definition comes back to itself.
fn level(of: Named, uses: &HashMap<Named, BTreeSet<Named>>, levels: &mut HashMap<Named, usize>) -> usize {
    crate::pg::stack::check_depth();
    if let Some(level) = levels.get(&of) {
        return *level;
    }
    levels.insert(of, 0);
    let below = uses.get(&of).into_iter().flatten().map(|used| 1 + level(*used, uses, levels)).max();
    let level = below.unwrap_or(0);
    levels.insert(of, level);
    level
}

/// Brings the tags and segments of a live profile up to date. `created_at` says since when there is such a profile, in microseconds since 2000. Needs the workspace lock, or the lock of
/// the person.
pub fn follow(ws: &Workspace, profile_id: i64, created_at: i64, cause: Cause) -> Result<Effects, CdpError> {
    let mut effects = Effects::default();
    let definitions = Definitions::load(ws)?;
    if definitions.0.is_empty() {
        return Ok(effects);
    }
    let (all, mut changed) = match cause {
        Cause::Identity => (true, BTreeSet::new()),
        Cause::Named(named) => (false, named),
    };
    let mut by_level: BTreeMap<usize, Vec<&Definition>> = BTreeMap::new();
    for definition in &definitions.0 {
        by_level.entry(definition.level).or_default().push(definition);
    }
    let mut subject = Subject { ws, catalog: Catalog::load(ws)?, profile_id, created_at };
    for level in by_level.into_values() {
        let touched: Vec<&Definition> = level.into_iter().filter(|d| all || !d.uses.is_disjoint(&changed)).collect();
        if touched.is_empty() {
            continue;
        }
        // Most of the time nothing fails: only when something did is it found out what.
        let before = (effects.tags.len(), effects.entered.len(), effects.left.len());
        let together = subtransaction::run(|| Ok(subject.compute(&touched, &mut effects)?));
        if let Err(failure) = together {
            if failure.is_of_the_server() {
                return Err(failure.into());
            }
            effects.tags.truncate(before.0);
            effects.entered.truncate(before.1);
            effects.left.truncate(before.2);
            for definition in &touched {
                if let Err(failure) = subtransaction::run(|| Ok(subject.compute(&[*definition], &mut effects)?)) {
                    if failure.is_of_the_server() {
                        return Err(failure.into());
                    }
                    let label = format!("{} \"{}\"", definition.named.kind(), definition.name);
                    effects.failed.push((label, failure.message));
                }
            }
        }
        changed.extend(effects.tags.iter().skip(before.0).map(|tag| Named::Attribute(tag.attribute_id)));
        let segments = touched.iter().filter(|d| matches!(d.named, Named::Segment(_)));
        let moved = |name: &String| {
            effects.entered.iter().skip(before.1).chain(effects.left.iter().skip(before.2)).any(|n| n == name)
        };
        changed.extend(segments.filter(|d| moved(&d.name)).map(|d| d.named));
    }
    Ok(effects)
}

/// Whom it is about.
struct Subject<'a> {
    ws: &'a Workspace,
    catalog: Rc<Catalog>,
    profile_id: i64,
    created_at: i64,
}

impl Subject<'_> {
    /// Computes definitions that do not name each other, and writes what changed.
    fn compute(&mut self, definitions: &[&Definition], effects: &mut Effects) -> Result<(), CdpError> {
        let ws = self.ws;
        let mut columns: Vec<Expr> = Vec::new();
        for definition in definitions {
            let parsed = self.catalog.expression(&definition.expression, Some(definition.ty));
            let parsed = parsed.map_err(|e| CdpError::expression(&e, &definition.expression))?;
            match definition.named {
                Named::Segment(_) => columns.push(Expr::clone(&parsed)),
                _ => {
                    let stored = Expr { node: Node::Attribute(definition.name.clone()), ty: definition.ty, at: 0 };
                    columns.push(text(stored));
                    columns.push(text(Expr::clone(&parsed)));
                }
            }
        }
        let anything = Expr { node: Node::Null, ty: Type::Unknown, at: 0 };
        let question = Question {
            ws,
            catalog: Rc::clone(&self.catalog),
            moment: Moment::new(None)?,
            text: None,
            group: None,
            expr: anything,
        };
        let names: Vec<String> = (0..columns.len()).map(|i| format!("c{i}")).collect();
        let named: Vec<(&str, &Expr)> = names.iter().map(String::as_str).zip(&columns).collect();
        let row = point::values(&question, &named, self.profile_id, |row| {
            let mut ordinal = 2;
            let mut values = Vec::with_capacity(definitions.len());
            for definition in definitions {
                if matches!(definition.named, Named::Segment(_)) {
                    values.push(Found::Member(row.get::<bool>(ordinal)? == Some(true)));
                    ordinal += 1;
                } else {
                    values.push(Found::Value(row.get::<String>(ordinal)?, row.get::<String>(ordinal + 1)?));
                    ordinal += 2;
                }
            }
            Ok(values)
        })?;
        let values = row.ok_or_else(|| CdpError::internal(format!("profile {} does not live", self.profile_id)))?;
        let (mut tags, mut segments) = (Vec::new(), Vec::new());
        for (definition, value) in definitions.iter().zip(&values) {
            match value {
                Found::Member(inside) => segments.push((*definition, *inside)),
                Found::Value(before, after) if before != after => {
                    tags.push((*definition, before.as_deref(), after.as_deref()))
                }
                Found::Value(..) => {}
            }
        }
        self.tags(&tags, effects)?;
        self.segments(&segments, effects)
    }

    fn tags(&self, tags: &[(&Definition, Option<&str>, Option<&str>)], effects: &mut Effects) -> Result<(), CdpError> {
        if tags.is_empty() {
            return Ok(());
        }
        let mut changes = Vec::with_capacity(tags.len());
        for (definition, before, after) in tags {
            if let (Some(allowed), Some(after)) = (&definition.allowed, after)
                && !allowed.iter().any(|value| value == after)
            {
                return Err(CdpError::not_allowed(format!("\"{after}\" is no value of tag \"{}\"", definition.name))
                    .with_hint("Allow it with cdp_tag_alter(), or change the expression."));
            }
            // What somebody had before it was first computed is not known.
            let known = definition.refreshed_at.is_some_and(|at| before.is_some() || self.created_at <= at);
            changes.push(TagChange {
                attribute_id: definition.named.id(),
                name: &definition.name,
                ty: &definition.word,
                before: *before,
                after: *after,
                kept: known,
            });
        }
        single::put(self.ws, self.profile_id, &changes, now()?)?;
        effects.tags.extend(changes.iter().map(|c| Changed {
            attribute_id: c.attribute_id,
            name: c.name.to_owned(),
            before: c.before.map(str::to_owned),
            after: c.after.map(str::to_owned),
        }));
        Ok(())
    }

    fn segments(&self, segments: &[(&Definition, bool)], effects: &mut Effects) -> Result<(), CdpError> {
        if segments.is_empty() {
            return Ok(());
        }
        let profiles = BTreeSet::from([self.profile_id]);
        let ids: Vec<i32> = segments.iter().map(|(definition, _)| definition.named.id()).collect();
        let kept = membership::of(self.ws, &profiles, Some(&ids))?;
        for (definition, inside) in segments {
            let Some(kept) = kept.iter().find(|m| m.segment_id == definition.named.id()) else { continue };
            let was = kept.inside.contains(&self.profile_id);
            if was == *inside {
                continue;
            }
            enter(self.ws, kept, self.profile_id, *inside)?;
            let list = if *inside { &mut effects.entered } else { &mut effects.left };
            list.push(definition.name.clone());
        }
        Ok(())
    }
}

/// What a definition came to.
enum Found {
    /// Whether the profile is in the segment.
    Member(bool),
    /// What the tag was and what it is.
    Value(Option<String>, Option<String>),
}

/// An expression as text.
fn text(expr: Expr) -> Expr {
    let at = expr.at;
    Expr { node: Node::Cast { value: Box::new(expr), to: Type::Text }, ty: Type::Text, at }
}

fn now() -> Result<TimestampWithTimeZone, CdpError> {
    let now = spi::rows_cached("SELECT clock_timestamp()", &[], |row| spi::must::<TimestampWithTimeZone>(row, 1))?;
    now.into_iter().next().ok_or_else(|| CdpError::internal("there is no time"))
}

/// Takes a profile into a segment, or out of it: a refresh of one profile, with its own entry in the log.
fn enter(ws: &Workspace, segment: &Membership, profile_id: i64, inside: bool) -> Result<(), CdpError> {
    let change = if inside { 1i64 } else { -1 };
    let (added, removed) = (i64::from(inside), i64::from(!inside));
    // The row of the segment's state keeps others that change the same segment waiting, so that the log is in one order; the moment is read again when the wait is over.
    let state = spi::rows_cached(
        &ws.sql(
            "UPDATE @ws@.segment_state g SET refresh = g.refresh + 1, profiles = g.profiles + $2, refreshed_at = clock_timestamp(), refreshed_as_of = greatest(clock_timestamp(), g.refreshed_as_of) \
             WHERE g.segment_id = $1 RETURNING g.refresh, g.refreshed_as_of, g.profiles",
        ),
        &[segment.segment_id.into(), change.into()],
        |row| Ok((spi::must::<i32>(row, 1)?, spi::must::<TimestampWithTimeZone>(row, 2)?, spi::must::<i64>(row, 3)?)),
    )?;
    let Some((refresh, at, profiles)) = state.into_iter().next() else {
        return Err(CdpError::internal("a segment is gone while an event enters it"));
    };
    let mut together = Together::default();
    together.add(
        &ws.sql(
            "INSERT INTO @ws@.segment_refresh (segment_id, refresh, at, version, added, removed, profiles, ms) \
             SELECT $1, $2, $3, g.version, $4, $5, $6, 0 FROM @ws@.segment g WHERE g.segment_id = $1",
        ),
        [segment.segment_id.into(), refresh.into(), at.into(), added.into(), removed.into(), profiles.into()],
    );
    membership::log_one(ws, segment, refresh, at, profile_id, inside, &mut together)?;
    together.run(|_| Ok(()))?;
    Ok(())
}
