//! Stitching a batch: components from the edges that its rows show, profiles from the components.

use super::arrive;
use super::follow::{self, Change, Created, Moved, Redirected};
use super::gather::{self, Identifier, Sights, Unwritten};
use super::govern::{self, Cause};
use super::graph;
use super::hold;
use super::hub;
use super::rules::Rules;
use crate::error::CdpError;
use crate::pg::spi;
use crate::workspace::Workspace;
use pg_cdp_core::graph::places;
use pg_cdp_core::graph::{Component, NodeState, Profile, Rows, stitch};
use pg_cdp_core::numbers::{NumberMap, NumberSet};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

/// Enters what a batch shows and gives every strong identifier of it its profile: an old one, a new one, or the oldest of those it joins. Everything derived follows:
/// columns of bits, wide rows, segments. `cdp_touched` then holds the profiles whose values changed hands. Returns whether any did.
///
/// Rows whose identifiers no rule is against are joined as they come, which gives the same as judging all edges together. Where a rule could matter, what hangs
/// together is judged as a whole: at a contested profile, a new hub, a pair that operators decided about, a limit that the join would break.
pub fn see(ws: &Workspace, rules: &Rules, sights: &mut Sights, source_id: i32, trust: i32) -> Result<bool, CdpError> {
    let cause = Cause { source_id, operation_id: None };
    sights.note_times(ws)?;
    let fresh = sights.edges(ws, rules, source_id, trust)?;
    if ws.arrival {
        gather::write(ws, sights.unwritten(), source_id, |_| None)?;
        let rows: Vec<Vec<i64>> = sights
            .rows()
            .map(|row| row.filter(|i| links(i)).map(|i| i.node_id).collect::<BTreeSet<i64>>().into_iter().collect())
            .filter(|row: &Vec<i64>| !row.is_empty())
            .collect();
        if rows.is_empty() {
            return Ok(false);
        }
        arrive::arrive(ws, rules, &rows, &fresh.into_iter().collect(), cause, true)?;
        govern::judge(ws, &decided(ws, sights)?, cause, true)?;
        return Ok(true);
    }
    let mut written = NumberSet::default();
    let candidates = candidates(ws, rules, sights, &fresh)?;
    let mut around = Vec::new();
    if !candidates.is_empty() {
        // Who neighbours are is counted in the tables.
        let near: NumberSet = fresh
            .iter()
            .filter(|(a, b)| candidates.contains(a) || candidates.contains(b))
            .flat_map(|(a, b)| [*a, *b])
            .collect();
        let now = sights.unwritten().into_iter().filter(|new| near.contains(&new.node_id)).collect();
        gather::write(ws, now, source_id, |_| None)?;
        written = near;
        let turned = hub::judge(ws, rules, &candidates.into_iter().collect::<Vec<i64>>())?;
        if !turned.is_empty() {
            sights.requarantine(&hub::reasons(ws, &turned)?);
        }
        around = hub::neighbours(ws, &turned)?;
    }
    around.extend(decided(ws, sights)?);
    around.extend(crowded(ws, rules, sights)?);
    drop(fresh);
    let mut batch = Batch::of(sights);
    batch.unwritten = sights.unwritten();
    if !written.is_empty() {
        batch.unwritten.retain(|new| !written.contains(&new.node_id));
    }
    if batch.nodes.is_empty() && around.is_empty() {
        gather::write(ws, batch.unwritten, source_id, |_| None)?;
        sights.settle(&NumberMap::default());
        return Ok(false);
    }
    if let Joined { homes: Some(homes), .. } = join(ws, rules, batch, around, cause, true)? {
        sights.settle(&homes);
    }
    Ok(true)
}

/// Whether an identifier ties its rows to a profile.
fn links(identifier: &Identifier) -> bool {
    identifier.strong && identifier.quarantine().is_none()
}

/// Identifiers that the pairs that are new in a batch may have made hubs: those with many new neighbours, and those that had some before. Who is quarantined already stays
/// so: rows only add neighbours.
fn candidates(ws: &Workspace, rules: &Rules, sights: &Sights, fresh: &[(i64, i64)]) -> Result<BTreeSet<i64>, CdpError> {
    let Some(least) = rules.least_cap() else { return Ok(BTreeSet::new()) };
    let mut gained: NumberMap<i64> = NumberMap::default();
    for node in fresh.iter().flat_map(|(a, b)| [*a, *b]) {
        *gained.entry(node).or_default() += 1;
    }
    let (mut many, mut some) = (BTreeSet::new(), Vec::new());
    for identifier in sights.identifiers().iter().filter(|i| links(i)) {
        match gained.get(&identifier.node_id) {
            Some(gained) if *gained > i64::from(least) => {
                many.insert(identifier.node_id);
            }
            Some(_) if identifier.home().is_some() => some.push((identifier.node_id, i64::from(least))),
            _ => {}
        }
    }
    many.extend(hold::many(ws, &some)?);
    Ok(many)
}

/// What joining came to.
pub struct Joined {
    /// Whether values have to be computed anew.
    pub derived: bool,
    /// The identifiers that got a profile, or another one, with it; `None` when rules were asked, which may have moved any.
    pub homes: Option<NumberMap<i64>>,
}

/// Joins the rows of a batch. `around` are identifiers whose links have to be judged whatever the rows say.
pub fn join(
    ws: &Workspace,
    rules: &Rules,
    mut batch: Batch<'_>,
    around: Vec<i64>,
    cause: Cause,
    prepared: bool,
) -> Result<Joined, CdpError> {
    let components = stitch(&batch.rows, &batch.states, &batch.ages).map_err(|e| CdpError::internal(e.to_string()))?;
    let lookup = Lookup::of(&batch);
    let mut slow: BTreeSet<usize> = BTreeSet::new();
    let mut places = None;
    if !batch.contested.is_empty() || !around.is_empty() {
        let places = places.insert(Places::of(&components));
        slow.extend(batch.contested.iter().filter_map(|profile| places.profiles.get(profile).copied()));
        slow.extend(around.iter().filter_map(|node| places.at(&batch, *node)));
    }
    slow.extend(limits(ws, rules, &batch, &lookup, &components, &slow)?);

    let (change, homes) = joined(ws, rules, &batch, &lookup, &components, &slow)?;
    let unwritten = std::mem::take(&mut batch.unwritten);
    gather::write(ws, unwritten, cause.source_id, |node| homes.get(&node).copied())?;
    let derived = follow::apply(ws, cause, &change, prepared)?;
    let mut seeds: Vec<i64> = Vec::new();
    if !slow.is_empty() {
        let places = places.unwrap_or_else(|| Places::of(&components));
        let is_slow = |node: &i64| places.at(&batch, *node).is_some_and(|place| slow.contains(&place));
        seeds.extend(batch.nodes.iter().map(|(node, _)| *node).filter(is_slow));
    }
    seeds.extend(around);
    let homes = seeds.is_empty().then_some(homes);
    let derived = govern::judge(ws, &seeds, cause, prepared || derived)?.derived || derived;
    Ok(Joined { derived, homes })
}

/// Where the identifiers of a batch are among its new ones, and among those of its rows.
struct Lookup {
    new: places::Places,
    nodes: places::Places,
}

impl Lookup {
    fn of(batch: &Batch<'_>) -> Self {
        let mut lookup = Self { new: places::Places::default(), nodes: places::Places::default() };
        (0u32..).zip(&batch.unwritten).for_each(|(place, new)| lookup.new.insert(new.node_id, place));
        (0u32..).zip(&batch.nodes).for_each(|(place, (node, _))| lookup.nodes.insert(*node, place));
        lookup
    }

    /// The type of an identifier of the rows.
    fn type_of(&self, batch: &Batch<'_>, node: i64) -> Option<i32> {
        self.nodes.get(node).and_then(|place| Some(batch.nodes.get(place as usize)?.1))
    }
}

/// In which component each part is that rows join: an identifier without a profile, or a profile.
struct Places {
    nodes: NumberMap<usize>,
    profiles: NumberMap<usize>,
}

impl Places {
    fn of(components: &[Component]) -> Self {
        let (mut nodes, mut profiles) = (NumberMap::default(), NumberMap::default());
        for (place, component) in components.iter().enumerate() {
            nodes.extend(component.newcomers.iter().map(|node| (*node, place)));
            let of_it = component.survivor.into_iter().chain(component.retired.iter().map(|gone| gone.profile_id));
            profiles.extend(of_it.map(|profile| (profile, place)));
        }
        Self { nodes, profiles }
    }

    /// Where an identifier of a batch is, or its profile.
    fn at(&self, batch: &Batch<'_>, node: i64) -> Option<usize> {
        match batch.profile_of.get(&node) {
            Some(profile) => self.profiles.get(profile),
            None => self.nodes.get(&node),
        }
        .copied()
    }
}

/// The rows of a batch that may change something, and what is known of their identifiers.
#[derive(Default)]
pub struct Batch<'a> {
    /// The rows: identifiers that link.
    pub rows: Rows,
    /// The identifiers of the rows, each with its type, ascending.
    pub nodes: Vec<(i64, i32)>,
    /// New identifiers that are written with their profiles, ascending.
    pub unwritten: Vec<Unwritten<'a>>,
    profile_of: NumberMap<i64>,
    states: Vec<NodeState>,
    ages: Vec<Profile>,
    contested: BTreeSet<i64>,
}

impl<'a> Batch<'a> {
    /// Says which profile an identifier has.
    pub fn know(&mut self, node: i64, profile_id: i64, created_at_micros: i64, contested: bool) {
        self.states.push(NodeState { node, profile: Some(profile_id) });
        self.ages.push(Profile { profile_id, created_at_micros });
        self.profile_of.insert(node, profile_id);
        if contested {
            self.contested.insert(profile_id);
        }
    }

    /// Rows that lie wholly inside one profile change nothing, unless a rule keeps that profile from linking further; identifiers that link nobody have a profile of their
    /// own.
    fn of(sights: &'a Sights) -> Self {
        let mut batch = Self::default();
        for identifier in sights.identifiers().iter().filter(|i| links(i)) {
            if let Some(home) = identifier.home() {
                batch.know(identifier.node_id, home.profile_id, home.created_at, home.contested);
            }
        }
        let (mut row, mut nodes): (Vec<&Identifier>, Vec<i64>) = (Vec::new(), Vec::new());
        for of_row in sights.rows() {
            row.clear();
            row.extend(of_row.filter(|i| links(i)));
            let first = row.first().and_then(|i| i.home()).map(|home| home.profile_id);
            let settled = |i: &&Identifier| i.home().is_some_and(|h| !h.contested && Some(h.profile_id) == first);
            if row.iter().all(settled) {
                continue;
            }
            nodes.clear();
            nodes.extend(row.iter().map(|i| i.node_id));
            batch.rows.push(&nodes);
            batch.nodes.extend(row.iter().map(|i| (i.node_id, i.type_id)));
        }
        batch.nodes.sort_unstable();
        batch.nodes.dedup();
        batch
    }
}

/// Known identifiers of the batch about which operators decided: pairs that are to link or not to link, and whatever is in a profile that is to stay apart from another one.
fn decided(ws: &Workspace, sights: &Sights) -> Result<Vec<i64>, CdpError> {
    if !graph::overridden(ws)? {
        return Ok(Vec::new());
    }
    let known: Vec<i64> = sights.identifiers().iter().filter(|i| !i.fresh && i.strong).map(|i| i.node_id).collect();
    let mut profiles: Vec<i64> =
        sights.identifiers().iter().filter(|i| i.strong).filter_map(|i| Some(i.home()?.profile_id)).collect();
    profiles.sort_unstable();
    profiles.dedup();
    graph::decided(ws, known, profiles)
}

/// Identifiers of the batch whose type has a limit within a window, in profiles that hold more of them than that: an earlier sight can bring them together.
fn crowded(ws: &Workspace, rules: &Rules, sights: &Sights) -> Result<Vec<i64>, CdpError> {
    let mut crowded = Vec::new();
    for ty in rules.types.iter().filter(|t| t.strong && t.window_micros.is_some()) {
        let Some(limit) = ty.limit else { continue };
        let known = sights.identifiers().iter().filter(|i| i.type_id == ty.type_id && i.home().is_some());
        let known: Vec<i64> = known.map(|i| i.node_id).collect();
        crowded.extend(graph::crowded(ws, ty.type_id, limit, known)?);
    }
    Ok(crowded)
}

/// Components that would hold more values of a type than a profile may.
fn limits(
    ws: &Workspace,
    rules: &Rules,
    batch: &Batch<'_>,
    lookup: &Lookup,
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
    let mut newcomers: Vec<(i64, usize)> = Vec::new();
    let mut held: Vec<(usize, i32, Cow<'_, str>)> = Vec::new();
    for (place, component) in components.iter().enumerate().filter(|(place, _)| !slow.contains(place)) {
        let fresh: Vec<i64> = component
            .newcomers
            .iter()
            .copied()
            .filter(|node| lookup.type_of(batch, *node).is_some_and(|ty| limited.contains(&ty)))
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
                held.push((*place, type_id, value.into()));
            }
        }
    }
    if !newcomers.is_empty() {
        let mut written: NumberMap<usize> = NumberMap::default();
        for (node, place) in newcomers {
            match lookup.new.get(node).and_then(|nth| batch.unwritten.get(nth as usize)) {
                Some(new) => held.push((place, new.type_id, new.value.into())),
                None => {
                    written.insert(node, place);
                }
            }
        }
        let ids: Vec<i64> = written.keys().copied().collect();
        for (node, type_id, value) in spi::rows_cached(
            &ws.sql("SELECT n.node_id, n.type_id, n.value FROM @ws@.node n WHERE n.node_id = ANY ($1)"),
            &[ids.into()],
            read,
        )? {
            if let Some(place) = written.get(&node) {
                held.push((*place, type_id, value.into()));
            }
        }
    }
    let mut counts: HashMap<(usize, i32, &str), u32> = HashMap::with_capacity(held.len());
    for (place, type_id, value) in &held {
        let ty = rules.get(*type_id)?;
        let count = counts.entry((*place, *type_id, ty.scope(value))).or_default();
        *count += 1;
        if ty.limit.is_some_and(|limit| *count > limit) {
            over.insert(*place);
        }
    }
    Ok(over)
}

/// The change that joining does in the components that no rule is against, and the identifiers that get a profile, or another one, with it. The rows of those that are not written yet are no part of
/// the change.
fn joined(
    ws: &Workspace,
    rules: &Rules,
    batch: &Batch<'_>,
    lookup: &Lookup,
    components: &[Component],
    slow: &BTreeSet<usize>,
) -> Result<(Change, NumberMap<i64>), CdpError> {
    // A new profile is founded on the most telling of its identifiers: a shared device would take the number along when it moves on.
    let telling = |node: &i64| {
        let priority =
            lookup.type_of(batch, *node).and_then(|ty| rules.get(ty).ok()).map_or(i32::MAX, |ty| ty.priority);
        (priority, *node)
    };
    let mut change = Change::default();
    let fast = || components.iter().enumerate().filter(|(place, _)| !slow.contains(place)).map(|(_, c)| c);
    let mut numbers = follow::numbers(ws, fast().filter(|c| c.needs_profile()).count())?.into_iter();
    let mut into: NumberMap<i64> = NumberMap::default();
    let mut homes: NumberMap<i64> = NumberMap::default();
    homes.reserve(batch.unwritten.len());
    let is_written = |node: &&i64| lookup.new.get(**node).is_none();
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
        homes.extend(component.newcomers.iter().map(|node| (*node, home)));
        let moved = |node: &i64| Moved { node_id: *node, before: None, after: home, place: None };
        change.moved.extend(component.newcomers.iter().filter(is_written).map(moved));
        for gone in &component.retired {
            into.insert(gone.profile_id, home);
            change.redirected.push(Redirected::taken_over(gone.profile_id, home, Some(gone.cause)));
        }
    }
    let newcomers = change.moved.len();
    follow::take_over(ws, &into, None, &mut change)?;
    homes.extend(change.moved.iter().skip(newcomers).map(|moved| (moved.node_id, moved.after)));
    Ok((change, homes))
}
