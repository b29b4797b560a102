//! Rows that say nothing new of who is who: their identifiers are all known, those that link are in one profile that no rule keeps from linking further, and every two of them were
//! shown together before. What they may say is that they were seen at another time, or that another source shows what is known. So there is nothing to judge, and batches of them can be
//! written beside each other.
//!
//! [`super::super::sight::Sight::settled`] says the same of one row, but for edges that another source has shown.

use super::{Identifier, Row, Sight, Sights, micros};
use crate::error::CdpError;
use crate::identity::rules::Rules;
use crate::pg::spi;
use crate::workspace::Workspace;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::ItemPointerData;
use std::collections::{HashMap, HashSet};

/// An identifier as it is kept: where its row is, and when it was seen first and last.
#[derive(Clone, Copy)]
struct Kept {
    place: ItemPointerData,
    first: i64,
    last: i64,
}

/// Rows that say nothing new of who is who.
pub struct SettledSights {
    sights: Sights,
    /// Of each identifier, by place.
    kept: Vec<Option<Kept>>,
}

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
    /// Those of some rows of a source. The others are left out.
    pub fn of(ws: &Workspace, rules: &Rules, types: &[i32], rows: &[Row], source_id: i32) -> Result<Self, CdpError> {
        let mut kept = Vec::new();
        let mut refused = Vec::new();
        let (mut sights, place_of) = Sights::distinct(ws, rules, types, rows, &mut refused, |sights| {
            kept = sights.look_up_kept(ws)?;
            Ok(())
        })?;
        let contested = sights.contested(ws)?;
        for row in rows {
            let mut places: Vec<u32> = Vec::with_capacity(row.values.len());
            let mut all = row.fault.is_none();
            for (value, place_of) in row.values.iter().zip(&place_of) {
                let Some(value) = value.as_deref().filter(|value| !value.is_empty()) else { continue };
                match place_of.get(value).copied().flatten() {
                    Some(place) => places.extend((!places.contains(&place)).then_some(place)),
                    None => all = false,
                }
            }
            if all && sights.one_person(rules, &places, &contested)? {
                sights.rows.push(Sight { rn: row.rn, seen: row.seen, places });
            }
        }
        let unshown = sights.unshown(ws, source_id)?;
        let shown = |row: &Sight| row.pairs().all(|(a, b)| !unshown.contains(&sights.ends(a, b)));
        let keep: Vec<bool> = sights.rows.iter().map(shown).collect();
        let mut keep = keep.into_iter();
        sights.rows.retain(|_| keep.next() == Some(true));
        Ok(Self { sights, kept })
    }

    /// Their numbers.
    pub fn rows(&self) -> impl Iterator<Item = i64> {
        self.sights.rows.iter().map(|row| row.rn)
    }

    /// Leaves out rows.
    pub fn retain(&mut self, keep: impl Fn(i64) -> bool) {
        self.sights.rows.retain(|row| keep(row.rn));
    }

    /// Where the facts of each row go.
    pub fn places(&self) -> Vec<Place> {
        let of = |(rn, place): (i64, u32)| {
            let subject = self.sights.identifiers.get(place as usize)?;
            Some(Place { rn, node_id: subject.node_id, profile_id: subject.settled? })
        };
        self.sights.subjects().into_iter().filter_map(of).collect()
    }

    /// Enters when identifiers were seen, and edges shown.
    pub fn write(mut self, ws: &Workspace, rules: &Rules, source_id: i32, trust: i32) -> Result<(), CdpError> {
        for row in &self.sights.rows {
            for place in &row.places {
                if let Some(identifier) = self.sights.identifiers.get_mut(*place as usize) {
                    identifier.note(row.seen);
                }
            }
        }
        self.note_times(ws)?;
        self.sights.edges(ws, rules, source_id, trust)?;
        Ok(())
    }

    /// As [`Sights::note_times`], going straight to the rows that change. One that another batch has changed since is another version in another place: it is looked for by its number.
    fn note_times(&self, ws: &Workspace) -> Result<(), CdpError> {
        let (mut places, mut ids, mut first, mut last) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut moved: Vec<(&Identifier, Kept, (TimestampWithTimeZone, TimestampWithTimeZone))> = Vec::new();
        for (identifier, kept) in self.sights.identifiers.iter().zip(&self.kept) {
            let (Some(span), Some(kept)) = (identifier.span, kept) else { continue };
            if micros(span.0) < kept.first || micros(span.1) > kept.last {
                moved.push((identifier, *kept, span));
            }
        }
        if moved.is_empty() {
            return Ok(());
        }
        moved.sort_unstable_by_key(|(identifier, kept, _)| (place_of(kept.place), identifier.node_id));
        for (identifier, kept, span) in &moved {
            places.push(kept.place);
            ids.push(identifier.node_id);
            first.push(span.0);
            last.push(span.1);
        }
        let found: HashSet<i64> = spi::rows(
            &ws.sql(
                "UPDATE @ws@.node n SET first_seen = least(n.first_seen, x.first), last_seen = greatest(n.last_seen, x.last) \
                 FROM unnest($1::pg_catalog.tid[], $2::pg_catalog.int8[], $3::pg_catalog.timestamptz[], $4::pg_catalog.timestamptz[]) AS x(place, node_id, first, last) \
                 WHERE n.ctid = x.place AND n.node_id = x.node_id RETURNING n.node_id",
            ),
            &[places.into(), ids.into(), first.into(), last.into()],
            |row| spi::must::<i64>(row, 1),
        )?
        .into_iter()
        .collect();
        if found.len() == moved.len() {
            return Ok(());
        }
        let identifiers = self.sights.identifiers.iter();
        let others = identifiers.filter(|i| !found.contains(&i.node_id));
        super::note_times(ws, others.filter_map(|i| Some((i.node_id, i.span?))))
    }
}

/// Where a row is, as a number that orders rows as they lie.
fn place_of(place: ItemPointerData) -> u64 {
    pgrx::itemptr::item_pointer_to_u64(place)
}

impl Sights {
    /// Says which of the identifiers are known, and whose they are. Gives what is kept of each.
    fn look_up_kept(&mut self, ws: &Workspace) -> Result<Vec<Option<Kept>>, CdpError> {
        let (order, types, values) = self.in_order();
        let mut all = vec![None; self.identifiers.len()];
        let known = spi::rows(
            &ws.sql(
                "SELECT x.i, n.node_id, n.quarantine, n.profile_id, n.ctid, n.first_seen, n.last_seen \
                 FROM unnest($1::pg_catalog.int4[], $2::pg_catalog.text[]) WITH ORDINALITY AS x(type_id, value, i) \
                 CROSS JOIN LATERAL (SELECT n.*, n.ctid FROM @ws@.node n WHERE n.type_id = x.type_id AND n.value = x.value OFFSET 0) n",
            ),
            &[types.into(), values.into()],
            |row| {
                let kept = Kept {
                    place: spi::must(row, 5)?,
                    first: micros(spi::must(row, 6)?),
                    last: micros(spi::must(row, 7)?),
                };
                Ok((spi::must::<i64>(row, 1)?, spi::must::<i64>(row, 2)?, row.get::<String>(3)?, row.get::<i64>(4)?, kept))
            },
        )?;
        for (nth, node_id, quarantine, profile, kept) in known {
            let place = usize::try_from(nth - 1).ok().and_then(|nth| order.get(nth)).copied();
            let found = place.and_then(|place| Some((self.identifiers.get_mut(place)?, all.get_mut(place)?)));
            let Some((identifier, slot)) = found else {
                return Err(CdpError::internal("an identifier was found that nobody looked for"));
            };
            (identifier.node_id, identifier.fresh) = (node_id, false);
            (identifier.quarantine, identifier.settled) = (quarantine, profile);
            *slot = Some(kept);
        }
        Ok(all)
    }

    /// Which of the profiles of the identifiers are contested. Hardly any ever is.
    fn contested(&self, ws: &Workspace) -> Result<HashSet<i64>, CdpError> {
        let sql = ws.sql("SELECT EXISTS (SELECT FROM @ws@.profile p WHERE p.contested)");
        if spi::one::<bool>(&sql, &[])? != Some(true) {
            return Ok(HashSet::new());
        }
        let mut profiles: Vec<i64> = self.identifiers.iter().filter_map(|i| i.settled).collect();
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
            let Some(profile) = identifier.settled.filter(|profile| !contested.contains(profile)) else {
                return Ok(false);
            };
            // What is seen earlier than it was can bring values within a window of each other.
            let ty = rules.get(identifier.type_id)?;
            if ty.limit.is_some() && ty.window_micros.is_some() {
                return Ok(false);
            }
            if identifier.quarantine.is_none() && home.replace(profile).is_some_and(|other| other != profile) {
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
        for (a, b) in self.rows.iter().flat_map(Sight::pairs) {
            let of = |place: u32| self.identifiers.get(place as usize);
            let (Some(x), Some(y)) = (of(a), of(b)) else { continue };
            let free = x.quarantine.is_none() && y.quarantine.is_none();
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

impl Sight {
    /// Every two of its identifiers.
    fn pairs(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        self.places.iter().enumerate().flat_map(|(nth, a)| self.places.iter().skip(nth + 1).map(|b| (*a, *b)))
    }
}
