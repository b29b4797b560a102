//! Rows that say nothing new of who is who: their identifiers are all known, those that link are in one profile that no rule keeps from linking further, and every two of them were
//! shown together before. What they may say is that they were seen at another time, or that another source shows what is known. So there is nothing to judge, and batches of them can be
//! written beside each other.
//!
//! [`super::super::sight::Sight::settled`] says the same of one row, but for edges that another source has shown.

use super::identifier::{self, Identifier, Kept};
use super::{NOTHING, Shown, Sight, Sights, micros, place_of};
use crate::error::CdpError;
use crate::identity::graph;
use crate::identity::hold::{self, Known};
use crate::identity::rules::Rules;
use crate::pg::{spi, transaction};
use crate::workspace::Workspace;
use std::collections::{HashMap, HashSet};

/// Rows that say nothing new of who is who.
pub struct SettledSights(Sights);

/// Where the facts of a row go.
pub struct Place {
    /// Its number.
    pub rn: i64,
    /// The identifier they are kept on.
    pub node_id: i64,
    /// Whose that is.
    pub profile_id: i64,
}

impl SettledSights {
    /// Whether batches may be written beside each other at all, as far as can be seen without a lock. Where operators have decided about identities, or rows are settled as they come, any row
    /// may matter.
    pub fn possible(ws: &Workspace) -> Result<bool, CdpError> {
        Ok(!ws.arrival && !transaction::keeps_its_snapshot() && !graph::overridden(ws)?)
    }

    /// Those of some rows of a source. The others are left out.
    pub fn of(ws: &Workspace, rules: &Rules, types: &[i32], shown: &Shown, source_id: i32) -> Result<Self, CdpError> {
        let mut refused = Vec::new();
        let look_up = |sights: &mut Sights| sights.look_up_kept(ws);
        let (mut sights, identified) = Sights::distinct(ws, rules, types, shown, &mut refused, look_up)?;
        let contested = sights.contested(ws)?;
        let mut places: Vec<u32> = Vec::new();
        for (row, cells) in shown.rows() {
            places.clear();
            for place in cells.iter().map(|cell| place_of(&identified, cell)) {
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            let all = shown.fault(row.rn).is_none() && !places.contains(&NOTHING);
            if all && sights.one_person(rules, &places, &contested)? {
                sights.row(row.rn, row.seen, &places);
            }
        }
        let unshown = sights.unshown(ws, source_id)?;
        let keep = |row: &Sight| sights.pairs(row).all(|(a, b)| !unshown.contains(&sights.ends(a, b)));
        let keep: Vec<bool> = sights.rows.iter().map(keep).collect();
        let mut keep = keep.into_iter();
        sights.rows.retain(|_| keep.next() == Some(true));
        Ok(Self(sights))
    }

    /// Their numbers.
    pub fn rows(&self) -> impl Iterator<Item = i64> {
        self.0.rows.iter().map(|row| row.rn)
    }

    /// Leaves out rows.
    pub fn retain(&mut self, keep: impl Fn(i64) -> bool) {
        self.0.rows.retain(|row| keep(row.rn));
    }

    /// Where the facts of each row go.
    pub fn places(&self) -> Vec<Place> {
        let of = |(rn, place): (i64, u32)| {
            let subject = self.0.identifiers.get(place as usize)?;
            Some(Place { rn, node_id: subject.node_id, profile_id: subject.settled()? })
        };
        self.0.subjects().into_iter().filter_map(of).collect()
    }

    /// Enters when identifiers were seen, and edges shown.
    pub fn write(mut self, ws: &Workspace, rules: &Rules, source_id: i32, trust: i32) -> Result<(), CdpError> {
        let Sights { rows, places, identifiers, .. } = &mut self.0;
        for (row, seen) in rows.iter().filter_map(|row| Some((row, micros(row.seen?)))) {
            for place in places.get(row.range()).unwrap_or_default() {
                if let Some(identifier) = identifiers.get_mut(*place as usize) {
                    identifier.span.note(seen);
                }
            }
        }
        self.0.note_times(ws)?;
        self.0.edges(ws, rules, source_id, trust)?;
        Ok(())
    }
}

impl Sights {
    /// Says which of the identifiers are known, and whose they are.
    fn look_up_kept(&mut self, ws: &Workspace) -> Result<(), CdpError> {
        let order = self.in_order();
        if let Some(known) = hold::known(ws, self.of_places(&order))? {
            return known.into_iter().try_for_each(|(nth, known)| self.keep(&order, nth, known));
        }
        let (types, values): (Vec<i32>, Vec<&str>) = self.of_places(&order).unzip();
        let known = spi::rows(
            &ws.sql(
                "SELECT x.i, n.node_id, n.quarantine, n.profile_id, n.ctid, n.first_seen, n.last_seen \
                 FROM unnest($1::pg_catalog.int4[], $2::pg_catalog.text[]) WITH ORDINALITY AS x(type_id, value, i) \
                 CROSS JOIN LATERAL (SELECT n.*, n.ctid FROM @ws@.node n WHERE n.type_id = x.type_id AND n.value = x.value OFFSET 0) n",
            ),
            &[types.into(), values.into()],
            |row| {
                let known = Known {
                    node_id: spi::must(row, 2)?,
                    quarantine: row.get(3)?,
                    profile_id: row.get(4)?,
                    place: spi::must(row, 5)?,
                    times: (micros(spi::must(row, 6)?), micros(spi::must(row, 7)?)),
                };
                Ok((spi::must::<i64>(row, 1)?, known))
            },
        )?;
        for (nth, known) in known {
            self.keep(&order, usize::try_from(nth - 1).unwrap_or(usize::MAX), known)?;
        }
        Ok(())
    }

    /// Takes note of the identifier that was found for the one that is nth in an order.
    fn keep(&mut self, order: &[usize], nth: usize, known: Known) -> Result<(), CdpError> {
        let identifier = order.get(nth).and_then(|place| self.identifiers.get_mut(*place));
        let identifier =
            identifier.ok_or_else(|| CdpError::internal("an identifier was found that nobody looked for"))?;
        let kept = Some(Kept { place: known.place, times: known.times });
        identifier.know(known.node_id, identifier::Known { quarantine: known.quarantine, home: None, kept });
        identifier.settle(known.profile_id);
        Ok(())
    }

    /// Which of the profiles of the identifiers are contested. Hardly any ever is.
    fn contested(&self, ws: &Workspace) -> Result<HashSet<i64>, CdpError> {
        if !hold::any_contested(ws)? {
            return Ok(HashSet::new());
        }
        let mut profiles: Vec<i64> = self.identifiers.iter().filter_map(Identifier::settled).collect();
        profiles.sort_unstable();
        profiles.dedup();
        let found = spi::rows(
            &ws.sql("SELECT p.profile_id FROM @ws@.profile p WHERE p.contested AND p.profile_id = ANY ($1)"),
            &[profiles.into()],
            |row| spi::must::<i64>(row, 1),
        )?;
        Ok(found.into_iter().collect())
    }

    /// Whether identifiers that a row shows are all known, some of them strong, and those that link in one profile that is not contested.
    fn one_person(&self, rules: &Rules, places: &[u32], contested: &HashSet<i64>) -> Result<bool, CdpError> {
        let (mut home, mut strong) = (None, false);
        for place in places {
            let Some(identifier) = self.identifiers.get(*place as usize).filter(|i| !i.fresh) else { return Ok(false) };
            if !identifier.strong {
                continue;
            }
            strong = true;
            let Some(profile) = identifier.settled().filter(|profile| !contested.contains(profile)) else {
                return Ok(false);
            };
            // What is seen earlier than it was can bring values within a window of each other.
            let ty = rules.get(identifier.type_id)?;
            if ty.limit.is_some() && ty.window_micros.is_some() {
                return Ok(false);
            }
            if identifier.quarantine().is_none() && home.replace(profile).is_some_and(|other| other != profile) {
                return Ok(false);
            }
        }
        Ok(strong)
    }

    /// The numbers of two identifiers, the smaller first.
    fn ends(&self, a: u32, b: u32) -> (i64, i64) {
        let node = |place: u32| self.identifiers.get(place as usize).map_or(0, |i| i.node_id);
        let (a, b) = (node(a), node(b));
        (a.min(b), a.max(b))
    }

    /// Pairs that rows show and that are not known so: no source has shown them, or another one, and a rule has a say in what this one does.
    fn unshown(&self, ws: &Workspace, source_id: i32) -> Result<HashSet<(i64, i64)>, CdpError> {
        // Each with the state that an edge of it is entered in; a rule may keep one with a quarantined end from linking.
        let mut pairs: HashMap<(i64, i64), Option<&str>> = HashMap::new();
        for (a, b) in self.rows.iter().flat_map(|row| self.pairs(row)) {
            let of = |place: u32| self.identifiers.get(place as usize);
            let (Some(x), Some(y)) = (of(a), of(b)) else { continue };
            let free = x.quarantine().is_none() && y.quarantine().is_none();
            let state = free.then_some(if x.strong && y.strong { "accepted" } else { "weak" });
            pairs.insert(self.ends(a, b), state);
        }
        if pairs.is_empty() {
            return Ok(HashSet::new());
        }
        let mut order: Vec<((i64, i64), Option<&str>)> = pairs.iter().map(|(pair, state)| (*pair, *state)).collect();
        order.sort_unstable();
        let from: Vec<i64> = order.iter().map(|((a, _), _)| *a).collect();
        let to: Vec<i64> = order.iter().map(|((_, b), _)| *b).collect();
        let states: Vec<Option<&str>> = order.iter().map(|(_, state)| *state).collect();
        let shown = spi::rows(
            &ws.sql(
                "SELECT x.a, x.b FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[], $3::pg_catalog.text[]) AS x(a, b, state) CROSS JOIN LATERAL ( \
                     SELECT bool_or(e.source_id = $4) AS own, bool_and(e.state = x.state) AS same FROM (SELECT e.source_id, e.state FROM @ws@.edge e WHERE e.from_node = x.a AND e.to_node = x.b OFFSET 0) e) e \
                 WHERE e.own OR e.same",
            ),
            &[from.into(), to.into(), states.into(), source_id.into()],
            |row| Ok((spi::must::<i64>(row, 1)?, spi::must::<i64>(row, 2)?)),
        )?;
        let mut unshown: HashSet<(i64, i64)> = pairs.into_keys().collect();
        for pair in shown {
            unshown.remove(&pair);
        }
        Ok(unshown)
    }
}
