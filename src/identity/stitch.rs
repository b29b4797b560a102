//! Stitching a batch: nodes and edges from the rows, components from the edges, profiles from the components.

use super::arrive;
use super::follow::{self, Change, Created, Moved, Redirected, numbers};
use super::govern::{self, Cause};
use super::graph;
use super::hub;
use super::rules::Rules;
use crate::error::CdpError;
use crate::pg::{spi, temp};
use crate::workspace::Workspace;
use pg_cdp_core::graph::{Component, NodeState, Profile, Rows, stitch};
use pgrx::datum::TimestampWithTimeZone;
use std::collections::{BTreeSet, HashMap};

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
            "INSERT INTO pg_temp.cdp_identifier (rn, strong, priority, seen, node_id, type_id, quarantine, known) \
             SELECT i.rn, i.strong, i.priority, i.seen, n.node_id, n.type_id, t.name || ': ' || n.quarantine, n.profile_id IS NOT NULL \
             FROM pg_temp.cdp_value i JOIN @ws@.node n ON n.type_id = i.type_id AND n.value = i.value JOIN @ws@.identifier_type t ON t.type_id = i.type_id",
        ),
        &[],
    )?;
    spi::run("ANALYZE pg_temp.cdp_identifier", &[])?;
    Ok(())
}

/// Enters an edge for every two identifiers that a row shows together. `cdp_pair` then has the strong ones that this source had not shown before.
pub fn edges(ws: &Workspace, source_id: i32, trust: i32) -> Result<(), CdpError> {
    temp::table("cdp_pair", "from_node pg_catalog.int8, to_node pg_catalog.int8")?;
    // What is entered as accepted may still be judged otherwise. Only the first time a row is written has it no deleting transaction.
    spi::run(
        &ws.sql(
            "WITH written AS ( \
             INSERT INTO @ws@.edge AS e (from_node, to_node, source_id, trust, state, reason, first_seen, last_seen) \
             SELECT a.node_id, b.node_id, $1, $2 / 100.0, CASE WHEN NOT bool_and(a.strong AND b.strong) THEN 'weak' WHEN min(coalesce(a.quarantine, b.quarantine)) IS NULL THEN 'accepted' ELSE 'suspended' END, \
                    CASE WHEN bool_and(a.strong AND b.strong) THEN min(coalesce(a.quarantine, b.quarantine)) END, coalesce(min(a.seen), now()), coalesce(max(a.seen), now()) \
             FROM pg_temp.cdp_identifier a JOIN pg_temp.cdp_identifier b ON b.rn = a.rn AND a.node_id < b.node_id GROUP BY a.node_id, b.node_id \
             HAVING max(a.seen) IS NOT NULL OR NOT EXISTS (SELECT FROM @ws@.edge k WHERE k.from_node = a.node_id AND k.to_node = b.node_id AND k.source_id = $1) \
             ON CONFLICT (from_node, to_node, source_id) DO UPDATE SET first_seen = least(e.first_seen, excluded.first_seen), last_seen = greatest(e.last_seen, excluded.last_seen) \
             WHERE excluded.first_seen < e.first_seen OR excluded.last_seen > e.last_seen \
             RETURNING e.from_node, e.to_node, e.state, e.xmax = 0 AS fresh) \
             INSERT INTO pg_temp.cdp_pair (from_node, to_node) SELECT w.from_node, w.to_node FROM written w WHERE w.fresh AND w.state <> 'weak'",
        ),
        &[source_id.into(), trust.into()],
    )?;
    spi::run("ANALYZE pg_temp.cdp_pair", &[])?;
    Ok(())
}

/// Gives every strong node of the batch its profile: an old one, a new one, or the oldest of those it joins. Everything derived follows: columns of
/// bits, wide rows, segments. `cdp_touched` then holds the profiles whose values changed hands. Returns whether any did.
///
/// Rows whose identifiers no rule is against are joined as they come, which gives the same as judging all edges together. Where a rule could matter, what hangs
/// together is judged as a whole: at a contested profile, a new hub, a pair that operators decided about, a limit that the join would break.
pub fn profiles(ws: &Workspace, source_id: i32) -> Result<bool, CdpError> {
    let cause = Cause { source_id, operation_id: None };
    let rules = Rules::load(ws)?;
    if ws.arrival {
        return arrived(ws, &rules, cause);
    }
    let turned = hub::judge(ws, &rules, &hub::candidates(ws, &rules)?)?;
    let mut around = hub::neighbours(ws, &turned)?;
    around.extend(decided(ws)?);
    around.extend(windows(ws, &rules)?);

    let batch = Batch::read(ws)?;
    if batch.nodes.is_empty() && around.is_empty() {
        return Ok(false);
    }
    join(ws, &rules, &batch, around, cause, true)?;
    Ok(true)
}

/// As [`profiles`], under the policy `arrival`.
fn arrived(ws: &Workspace, rules: &Rules, cause: Cause) -> Result<bool, CdpError> {
    let mut rows: Vec<(i64, Vec<i64>)> = Vec::new();
    for (rn, node) in spi::rows(
        &ws.sql(
            "SELECT i.rn, i.node_id FROM pg_temp.cdp_identifier i JOIN @ws@.node n USING (node_id) WHERE i.strong AND n.quarantine IS NULL ORDER BY i.rn, i.node_id",
        ),
        &[],
        |row| Ok((spi::must::<i64>(row, 1)?, spi::must::<i64>(row, 2)?)),
    )? {
        match rows.last_mut() {
            Some((last, row)) if *last == rn => row.push(node),
            _ => rows.push((rn, vec![node])),
        }
    }
    if rows.is_empty() {
        return Ok(false);
    }
    let rows: Vec<Vec<i64>> = rows.into_iter().map(|(_, row)| row).collect();
    let fresh = spi::rows("SELECT p.from_node, p.to_node FROM pg_temp.cdp_pair p", &[], |row| {
        Ok((spi::must::<i64>(row, 1)?, spi::must::<i64>(row, 2)?))
    })?;
    arrive::arrive(ws, rules, &rows, &fresh.into_iter().collect(), cause, true)?;
    govern::judge(ws, &decided(ws)?, cause, true)?;
    Ok(true)
}

/// Joins the rows of a batch. `around` are identifiers whose links have to be judged whatever the rows say. Returns whether values have to be computed anew.
pub fn join(
    ws: &Workspace,
    rules: &Rules,
    batch: &Batch,
    around: Vec<i64>,
    cause: Cause,
    prepared: bool,
) -> Result<bool, CdpError> {
    let components = stitch(&batch.rows, &batch.states, &batch.ages).map_err(|e| CdpError::internal(e.to_string()))?;
    let mut place_of: HashMap<Part, usize> = HashMap::new();
    for (place, component) in components.iter().enumerate() {
        place_of.extend(component.newcomers.iter().map(|node| (Part::Node(*node), place)));
        let profiles = component.survivor.into_iter().chain(component.retired.iter().map(|gone| gone.profile_id));
        place_of.extend(profiles.map(|profile| (Part::Profile(profile), place)));
    }
    let at = |node: i64| {
        let part = batch.profile_of.get(&node).map_or(Part::Node(node), |profile| Part::Profile(*profile));
        place_of.get(&part).copied()
    };
    let mut slow: BTreeSet<usize> = BTreeSet::new();
    slow.extend(batch.contested.iter().filter_map(|profile| place_of.get(&Part::Profile(*profile)).copied()));
    slow.extend(around.iter().filter_map(|node| at(*node)));
    slow.extend(limits(ws, rules, batch, &components, &slow)?);

    let change = joined(ws, rules, batch, &components, &slow)?;
    let derived = follow::apply(ws, cause, &change, prepared)?;
    let seeds: Vec<i64> = batch
        .nodes
        .iter()
        .copied()
        .filter(|node| at(*node).is_some_and(|place| slow.contains(&place)))
        .chain(around)
        .collect();
    Ok(govern::judge(ws, &seeds, cause, prepared || derived)?.derived || derived)
}

/// A part that rows join: an identifier without a profile, or a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Part {
    Node(i64),
    Profile(i64),
}

/// The rows of a batch that may change something, and what is known of their identifiers.
#[derive(Default)]
pub struct Batch {
    /// The rows: identifiers that link.
    pub rows: Rows,
    /// The identifiers of the rows.
    pub nodes: Vec<i64>,
    /// Their types.
    pub type_of: HashMap<i64, i32>,
    profile_of: HashMap<i64, i64>,
    states: Vec<NodeState>,
    ages: Vec<Profile>,
    contested: BTreeSet<i64>,
}

impl Batch {
    /// Says which profile an identifier has.
    pub fn know(&mut self, node: i64, profile_id: i64, created_at_micros: i64, contested: bool) {
        self.states.push(NodeState { node, profile: Some(profile_id) });
        self.ages.push(Profile { profile_id, created_at_micros });
        self.profile_of.insert(node, profile_id);
        if contested {
            self.contested.insert(profile_id);
        }
    }

    /// Reads them. Rows that lie wholly inside one profile change nothing, unless a rule keeps that profile from linking further; identifiers that link nobody have
    /// a profile of their own.
    fn read(ws: &Workspace) -> Result<Self, CdpError> {
        let mut batch = Self::default();
        let mut row: Vec<i64> = Vec::new();
        let mut current: Option<i64> = None;
        let found = spi::rows(
            &ws.sql(
                "SELECT i.rn, i.node_id, i.type_id FROM pg_temp.cdp_identifier i JOIN @ws@.node n USING (node_id) \
                 WHERE i.strong AND n.quarantine IS NULL AND i.rn IN ( \
                   SELECT i.rn FROM pg_temp.cdp_identifier i JOIN @ws@.node n USING (node_id) LEFT JOIN @ws@.profile p ON p.profile_id = n.profile_id \
                   WHERE i.strong AND n.quarantine IS NULL GROUP BY i.rn \
                   HAVING bool_or(n.profile_id IS NULL) OR min(n.profile_id) <> max(n.profile_id) OR bool_or(p.contested)) ORDER BY i.rn",
            ),
            &[],
            |r| Ok((spi::must::<i64>(r, 1)?, spi::must::<i64>(r, 2)?, spi::must::<i32>(r, 3)?)),
        )?;
        if found.is_empty() {
            return Ok(batch);
        }
        for (rn, node, type_id) in found {
            if current != Some(rn) {
                batch.rows.push(&row);
                row.clear();
                current = Some(rn);
            }
            row.push(node);
            batch.type_of.insert(node, type_id);
        }
        batch.rows.push(&row);
        for (node, profile_id, created_at, contested) in spi::rows(
            &ws.sql(
                "SELECT DISTINCT n.node_id, n.profile_id, p.created_at, p.contested \
                 FROM pg_temp.cdp_identifier i JOIN @ws@.node n USING (node_id) JOIN @ws@.profile p ON p.profile_id = n.profile_id WHERE i.strong AND n.quarantine IS NULL",
            ),
            &[],
            |r| {
                Ok((
                    spi::must::<i64>(r, 1)?,
                    spi::must::<i64>(r, 2)?,
                    i64::from(spi::must::<TimestampWithTimeZone>(r, 3)?),
                    spi::must::<bool>(r, 4)?,
                ))
            },
        )? {
            batch.know(node, profile_id, created_at, contested);
        }
        batch.nodes = batch.type_of.keys().copied().collect();
        batch.nodes.sort_unstable();
        Ok(batch)
    }
}

/// Identifiers of the batch about which operators decided: pairs that a row shows and that are to link or not to link, and whatever is in a profile that
/// is to stay apart from another one.
fn decided(ws: &Workspace) -> Result<Vec<i64>, CdpError> {
    if !graph::overridden(ws)? {
        return Ok(Vec::new());
    }
    spi::rows(
        &ws.sql(
            "WITH seen AS (SELECT o.node_id, o.other_id FROM @ws@.identity_override o JOIN pg_temp.cdp_identifier a ON a.node_id = o.node_id \
                 JOIN pg_temp.cdp_identifier b ON b.node_id = o.other_id AND b.rn = a.rn WHERE o.kind IN ('unlink', 'link')), \
             apart AS (SELECT o.node_id FROM @ws@.identity_override o WHERE o.kind = 'cannot_link' UNION SELECT o.other_id FROM @ws@.identity_override o WHERE o.kind = 'cannot_link') \
             SELECT s.node_id FROM seen s UNION SELECT s.other_id FROM seen s \
             UNION SELECT i.node_id FROM pg_temp.cdp_identifier i JOIN apart USING (node_id) WHERE i.strong \
             UNION SELECT i.node_id FROM pg_temp.cdp_identifier i JOIN @ws@.node n USING (node_id) \
                 WHERE i.strong AND n.profile_id IN (SELECT f.profile_id FROM apart JOIN @ws@.node f USING (node_id))",
        ),
        &[],
        |row| spi::must::<i64>(row, 1),
    )
}

/// Identifiers of the batch whose type has a limit within a window, in profiles that hold more of them than that: an earlier sight can bring them together.
fn windows(ws: &Workspace, rules: &Rules) -> Result<Vec<i64>, CdpError> {
    let mut crowded = Vec::new();
    for ty in rules.types.iter().filter(|t| t.strong && t.window_micros.is_some()) {
        let Some(limit) = ty.limit else { continue };
        crowded.extend(spi::rows_cached(
            &ws.sql(
                "SELECT i.node_id FROM pg_temp.cdp_identifier i JOIN @ws@.node n USING (node_id) \
                 WHERE i.type_id = $1 AND (SELECT count(*) FROM @ws@.node o WHERE o.profile_id = n.profile_id AND o.type_id = $1) > $2",
            ),
            &[ty.type_id.into(), i64::from(limit).into()],
            |row| spi::must::<i64>(row, 1),
        )?);
    }
    Ok(crowded)
}

/// Components that would hold more values of a type than a profile may.
fn limits(
    ws: &Workspace,
    rules: &Rules,
    batch: &Batch,
    components: &[Component],
    slow: &BTreeSet<usize>,
) -> Result<BTreeSet<usize>, CdpError> {
    let mut over = BTreeSet::new();
    let limited: Vec<i32> = rules.types.iter().filter(|t| t.strong && t.limit.is_some()).map(|t| t.type_id).collect();
    if limited.is_empty() {
        return Ok(over);
    }
    // Profiles that merge, or that get a value of such a type, with what they have; a single new value breaks no limit.
    let (mut profiles, mut place_of) = (Vec::new(), HashMap::new());
    let (mut newcomers, mut held) = (Vec::new(), Vec::new());
    for (place, component) in components.iter().enumerate().filter(|(place, _)| !slow.contains(place)) {
        let fresh: Vec<i64> = component
            .newcomers
            .iter()
            .copied()
            .filter(|node| batch.type_of.get(node).is_some_and(|ty| limited.contains(ty)))
            .collect();
        let grows = !fresh.is_empty() && (fresh.len() > 1 || component.survivor.is_some());
        if !grows && component.retired.is_empty() {
            continue;
        }
        for profile in component.survivor.into_iter().chain(component.retired.iter().map(|gone| gone.profile_id)) {
            profiles.push(profile);
            place_of.insert(profile, place);
        }
        newcomers.extend(fresh.into_iter().map(|node| (node, place)));
    }
    let read = |row: &pgrx::spi::SpiHeapTupleData| {
        Ok((spi::must::<i64>(row, 1)?, spi::must::<i32>(row, 2)?, spi::must::<String>(row, 3)?))
    };
    if !profiles.is_empty() {
        for (profile, type_id, value) in spi::rows_cached(
            &ws.sql("SELECT n.profile_id, n.type_id, n.value FROM @ws@.node n WHERE n.profile_id = ANY ($1) AND n.type_id = ANY ($2)"),
            &[profiles.into(), limited.clone().into()],
            read,
        )? {
            if let Some(place) = place_of.get(&profile) {
                held.push((*place, type_id, value));
            }
        }
    }
    if !newcomers.is_empty() {
        let place_of: HashMap<i64, usize> = newcomers.iter().copied().collect();
        let ids: Vec<i64> = newcomers.into_iter().map(|(node, _)| node).collect();
        for (node, type_id, value) in spi::rows_cached(
            &ws.sql("SELECT n.node_id, n.type_id, n.value FROM @ws@.node n WHERE n.node_id = ANY ($1)"),
            &[ids.into()],
            read,
        )? {
            if let Some(place) = place_of.get(&node) {
                held.push((*place, type_id, value));
            }
        }
    }
    let mut counts: HashMap<(usize, i32, String), u32> = HashMap::new();
    for (place, type_id, value) in held {
        let ty = rules.get(type_id)?;
        let count = counts.entry((place, type_id, ty.scope(&value).to_owned())).or_default();
        *count += 1;
        if ty.limit.is_some_and(|limit| *count > limit) {
            over.insert(place);
        }
    }
    Ok(over)
}

/// The change that joining does in the components that no rule is against.
fn joined(
    ws: &Workspace,
    rules: &Rules,
    batch: &Batch,
    components: &[Component],
    slow: &BTreeSet<usize>,
) -> Result<Change, CdpError> {
    // A new profile is founded on the most telling of its identifiers: a shared device would take the number along when it moves on.
    let telling = |node: &i64| {
        let priority = batch.type_of.get(node).and_then(|ty| rules.get(*ty).ok()).map_or(i32::MAX, |ty| ty.priority);
        (priority, *node)
    };
    let mut change = Change::default();
    let fast = || components.iter().enumerate().filter(|(place, _)| !slow.contains(place)).map(|(_, c)| c);
    let mut numbers = numbers(ws, fast().filter(|c| c.needs_profile()).count())?.into_iter();
    let mut into: HashMap<i64, i64> = HashMap::new();
    for component in fast() {
        let home = match component.survivor {
            Some(home) => home,
            None => {
                let profile_id =
                    numbers.next().ok_or_else(|| CdpError::internal("fewer profile numbers than new profiles"))?;
                let founding = component.newcomers.iter().copied().min_by_key(telling).unwrap_or(component.founding);
                change.created.push(Created { profile_id, founding, from: None });
                profile_id
            }
        };
        change.moved.extend(component.newcomers.iter().map(|node| Moved { node_id: *node, before: None, after: home }));
        for gone in &component.retired {
            into.insert(gone.profile_id, home);
            let cause = Some(gone.cause);
            change.redirected.push(Redirected { profile_id: gone.profile_id, before: None, after: Some(home), cause });
        }
    }
    follow::take_over(ws, &into, &mut change)?;
    Ok(change)
}

/// Tells each row the node its facts are kept on: the most telling strong identifier it has that links, else the most telling one.
pub fn subjects() -> Result<(), CdpError> {
    temp::table("cdp_subject", "rn pg_catalog.int8, node_id pg_catalog.int8")?;
    spi::run(
        "INSERT INTO pg_temp.cdp_subject (rn, node_id) \
         SELECT DISTINCT ON (i.rn) i.rn, i.node_id FROM pg_temp.cdp_identifier i WHERE i.strong ORDER BY i.rn, i.quarantine IS NOT NULL, i.priority, i.node_id",
        &[],
    )?;
    spi::run("ANALYZE pg_temp.cdp_subject", &[])?;
    Ok(())
}
