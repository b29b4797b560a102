//! The sights of a batch: rows that show identifiers together, entered as nodes and edges.
//!
//! Each distinct identifier of the batch is cleaned, looked up and numbered once. New ones are not written yet: the stitch knows their profile a moment later, and a
//! node that is written with it is not updated.

mod edges;
mod nodes;
mod settled;

pub use nodes::{Unwritten, write};
pub use settled::{Place, SettledSights};

use super::blocked::Blocked;
use super::follow;
use super::hold;
use super::rules::Rules;
use super::sight::Home;
use super::value::{self, Forms, MOST_BYTES};
use crate::error::CdpError;
use crate::pg::rewrite::{self, New, To};
use crate::pg::{sequence, spi, temp};
use crate::workspace::Workspace;
use pg_cdp_core::numbers::NumberMap;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::itemptr::item_pointer_to_u64;
use pgrx::pg_sys::ItemPointerData;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

/// A row as its mapping gave it.
pub struct Row {
    /// Its number.
    pub rn: i64,
    /// The time it speaks of.
    pub seen: Option<TimestampWithTimeZone>,
    /// Its identifiers as they came, in the order of the types asked for.
    pub values: Vec<Option<String>>,
    /// Why it cannot be used, whatever its identifiers are.
    pub fault: Option<String>,
}

/// A value that is no identifier, and why.
pub struct Refused {
    /// Name of the type.
    pub type_name: String,
    /// The value as it came; `None` for types of which only keyed hashes are kept.
    pub value: Option<String>,
    /// The fault.
    pub fault: String,
    /// Whether it would be one if it were not blocked.
    pub blocked: bool,
}

/// A distinct identifier of the batch.
pub struct Identifier {
    /// Number of its type.
    pub type_id: i32,
    /// The value as it is kept.
    pub value: String,
    /// Its normal form, when that is not what is kept.
    plain: Option<String>,
    /// Whether it links.
    pub strong: bool,
    /// The lower, the more telling.
    priority: i32,
    /// Its number; 0 before it has one.
    pub node_id: i64,
    /// Whether the batch brings it.
    pub fresh: bool,
    /// Why it links nobody.
    pub quarantine: Option<String>,
    /// Its profile.
    pub home: Option<Home>,
    /// The profile it has when the batch is stitched, as far as that is known.
    settled: Option<i64>,
    /// Its row, if the batch does not bring it.
    kept: Option<Kept>,
    /// First and last time that a row of the batch speaks of.
    span: Option<(TimestampWithTimeZone, TimestampWithTimeZone)>,
}

/// The row of an identifier: where it is, and when the identifier was seen first and last, in microseconds since 2000.
#[derive(Debug, Clone, Copy)]
struct Kept {
    place: ItemPointerData,
    times: (i64, i64),
}

/// An identifier that was seen at another time, where its row is, and when it was.
type Moved<'a> = (&'a Identifier, ItemPointerData, (TimestampWithTimeZone, TimestampWithTimeZone));

impl Identifier {
    /// Takes note that a row that speaks of a time shows it.
    fn note(&mut self, seen: Option<TimestampWithTimeZone>) {
        let Some(seen) = seen else { return };
        self.span = Some(match self.span {
            None => (seen, seen),
            Some((first, last)) => (
                if micros(first) <= micros(seen) { first } else { seen },
                if micros(last) >= micros(seen) { last } else { seen },
            ),
        });
    }
}

/// A row with its identifiers, by place.
struct Sight {
    rn: i64,
    seen: Option<TimestampWithTimeZone>,
    places: Vec<u32>,
}

/// Rows and their distinct identifiers.
#[derive(Default)]
pub struct Sights {
    identifiers: Vec<Identifier>,
    rows: Vec<Sight>,
}

/// A distinct value as it came: place of its type in the mapping, the value, and the identifier that it is.
struct Raw<'a> {
    column: usize,
    value: &'a str,
    outcome: Result<u32, String>,
}

/// What the values of rows are: of each row and column the place of its identifier, [`NOTHING`] for none.
struct Cells {
    width: usize,
    places: Vec<u32>,
}

/// No identifier.
const NOTHING: u32 = u32::MAX;

impl Cells {
    fn of_row(&self, nth: usize) -> &[u32] {
        self.places.get(nth * self.width..(nth + 1) * self.width).unwrap_or_default()
    }
}

impl Sights {
    /// Cleans the identifiers of rows and lets `look_up` look for them; `types` says of which type each value of a row is. Values that are no identifiers are left out; `refused` gets
    /// them. The sights have no row yet.
    fn distinct(
        ws: &Workspace,
        rules: &Rules,
        types: &[i32],
        rows: &[Row],
        refused: &mut Vec<Refused>,
        look_up: impl FnOnce(&mut Self) -> Result<(), CdpError>,
    ) -> Result<(Self, Cells), CdpError> {
        let too_many = || CdpError::limit("a batch has too many identifiers");
        let mut sights = Self::default();
        let mut raws: Vec<Raw> = Vec::new();
        let mut cells = Cells { width: types.len(), places: vec![NOTHING; rows.len() * types.len()] };
        // Several columns may be of the same type.
        let mut known_of: HashMap<i32, HashMap<String, u32>> = HashMap::new();
        for (column, type_id) in types.iter().enumerate() {
            let ty = rules.get(*type_id)?;
            let known = known_of.entry(*type_id).or_default();
            // The value of a cell, by its place among the distinct ones.
            let mut met: HashMap<&str, u32> = HashMap::new();
            for (nth, row) in rows.iter().enumerate() {
                let Some(value) = row.values.get(column).and_then(|v| v.as_deref()).filter(|v| !v.is_empty()) else {
                    continue;
                };
                let Some(cell) = cells.places.get_mut(nth * types.len() + column) else { continue };
                let slot = match met.entry(value) {
                    Entry::Occupied(raw) => {
                        *cell = *raw.get();
                        continue;
                    }
                    Entry::Vacant(slot) => slot,
                };
                *cell = u32::try_from(raws.len()).ok().filter(|raw| *raw != NOTHING).ok_or_else(too_many)?;
                slot.insert(*cell);
                let Some(Forms { kept, plain }) = value::forms(ws, ty, value)? else {
                    raws.push(Raw { column, value, outcome: Err("not a valid value".to_owned()) });
                    continue;
                };
                if kept.len() > MOST_BYTES {
                    let outcome = Err(format!("longer than {MOST_BYTES} bytes"));
                    raws.push(Raw { column, value, outcome });
                    continue;
                }
                let place = match known.get(&kept) {
                    Some(place) => *place,
                    None => {
                        let place = u32::try_from(sights.identifiers.len()).map_err(|_| too_many())?;
                        known.insert(kept.clone(), place);
                        sights.identifiers.push(Identifier {
                            type_id: *type_id,
                            value: kept,
                            plain,
                            strong: ty.strong,
                            priority: ty.priority,
                            node_id: 0,
                            fresh: true,
                            quarantine: None,
                            home: None,
                            settled: None,
                            kept: None,
                            span: None,
                        });
                        place
                    }
                };
                raws.push(Raw { column, value, outcome: Ok(place) });
            }
        }
        drop(known_of);
        look_up(&mut sights)?;
        let blocked = sights.blocked(ws)?;
        let mut place_of: Vec<u32> = Vec::with_capacity(raws.len());
        for raw in raws {
            let fault = match &raw.outcome {
                Ok(place) => blocked.get(place).map(|reason| format!("blocked: {reason}")),
                Err(fault) => Some(fault.clone()),
            };
            let place = if fault.is_some() { None } else { raw.outcome.as_ref().ok().copied() };
            place_of.push(place.unwrap_or(NOTHING));
            if let (Some(fault), Some(type_id)) = (fault, types.get(raw.column)) {
                let ty = rules.get(*type_id)?;
                let value = (!ty.hashed).then(|| raw.value.to_owned());
                refused.push(Refused { type_name: ty.name.clone(), value, fault, blocked: raw.outcome.is_ok() });
            }
        }
        for cell in &mut cells.places {
            *cell = place_of.get(*cell as usize).copied().unwrap_or(NOTHING);
        }
        Ok((sights, cells))
    }

    /// The sights of some rows, their new identifiers numbered in the order in which the rows show them. `refused` gets the values that are no identifiers, `useless` the numbers
    /// of rows that have a fault or not one strong identifier.
    pub fn of(
        ws: &Workspace,
        rules: &Rules,
        types: &[i32],
        rows: &[Row],
        refused: &mut Vec<Refused>,
        useless: &mut Vec<i64>,
    ) -> Result<Self, CdpError> {
        let (mut sights, cells) = Self::distinct(ws, rules, types, rows, refused, |sights| sights.look_up(ws))?;
        let mut fresh: Vec<(i64, u32)> = Vec::new();
        let mut places: Vec<u32> = Vec::with_capacity(types.len());
        sights.rows.reserve(rows.len());
        for (nth, row) in rows.iter().enumerate() {
            places.clear();
            for place in cells.of_row(nth).iter().filter(|place| **place != NOTHING) {
                if !places.contains(place) {
                    places.push(*place);
                }
            }
            let strong = |place: &u32| sights.identifiers.get(*place as usize).is_some_and(|i| i.strong);
            if row.fault.is_some() || !places.iter().any(strong) {
                useless.push(row.rn);
                continue;
            }
            for place in &places {
                let Some(identifier) = sights.identifiers.get_mut(*place as usize) else { continue };
                // A number of its own says that it is listed.
                if identifier.fresh && identifier.node_id == 0 {
                    identifier.node_id = -1;
                    fresh.push((row.rn, *place));
                }
                identifier.note(row.seen);
            }
            sights.rows.push(Sight { rn: row.rn, seen: row.seen, places: places.clone() });
        }
        sights.number(ws, fresh)?;
        Ok(sights)
    }

    /// The places of the identifiers in the order of their index, so that neighbours in it are looked up one after the other.
    fn in_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.identifiers.len()).collect();
        order.sort_unstable_by_key(|place| self.identifiers.get(*place).map(|i| (i.type_id, i.value.as_str())));
        order
    }

    /// The types and values of identifiers, given by place.
    fn of_places(&self, places: &[usize]) -> impl Iterator<Item = (i32, &str)> {
        places.iter().filter_map(|place| self.identifiers.get(*place)).map(|i| (i.type_id, i.value.as_str()))
    }

    /// Says which of the identifiers are known.
    fn look_up(&mut self, ws: &Workspace) -> Result<(), CdpError> {
        let order = self.in_order();
        if let Some(known) = hold::known(ws, self.of_places(&order))? {
            let mut profiles: Vec<i64> = known.iter().filter_map(|(_, known)| known.profile_id).collect();
            profiles.sort_unstable();
            profiles.dedup();
            if let Some(ages) = hold::ages(ws, &profiles)? {
                for (nth, known) in known {
                    let place = order.get(nth).copied().unwrap_or(usize::MAX);
                    let Some(identifier) = self.identifiers.get_mut(place) else { continue };
                    (identifier.node_id, identifier.fresh) = (known.node_id, false);
                    identifier.kept = Some(Kept { place: known.place, times: known.times });
                    identifier.quarantine = known.quarantine;
                    identifier.home = known.profile_id.and_then(|profile_id| {
                        let (created_at, contested) = ages.get(&profile_id).copied()?;
                        Some(Home { profile_id, created_at, contested })
                    });
                }
                return Ok(());
            }
        }
        let (types, values): (Vec<i32>, Vec<&str>) = self.of_places(&order).unzip();
        let known = spi::through_indexes(|| {
            spi::rows(
            &ws.sql(
                "SELECT x.i, n.node_id, n.quarantine, n.profile_id, p.created_at, p.contested, n.ctid, n.first_seen, n.last_seen \
                 FROM unnest($1::pg_catalog.int4[], $2::pg_catalog.text[]) WITH ORDINALITY AS x(type_id, value, i) JOIN @ws@.node n ON n.type_id = x.type_id AND n.value = x.value \
                 LEFT JOIN @ws@.profile p ON p.profile_id = n.profile_id",
            ),
            &[types.into(), values.into()],
            |row| {
                let home = match row.get::<i64>(4)? {
                    Some(profile_id) => Some(Home {
                        profile_id,
                        created_at: micros(spi::must(row, 5)?),
                        contested: spi::must(row, 6)?,
                    }),
                    None => None,
                };
                let times = (micros(spi::must(row, 8)?), micros(spi::must(row, 9)?));
                let kept = Kept { place: spi::must(row, 7)?, times };
                Ok((spi::must::<i64>(row, 1)?, spi::must::<i64>(row, 2)?, row.get::<String>(3)?, home, kept))
            },
        )
        })?;
        for (nth, node_id, quarantine, home, kept) in known {
            let place = usize::try_from(nth - 1).ok().and_then(|nth| order.get(nth));
            let Some(identifier) = place.and_then(|place| self.identifiers.get_mut(*place)) else {
                return Err(CdpError::internal("an identifier was found that nobody looked for"));
            };
            (identifier.node_id, identifier.fresh) = (node_id, false);
            (identifier.quarantine, identifier.home, identifier.kept) = (quarantine, home, Some(kept));
        }
        Ok(())
    }

    /// Why some of the new identifiers are none, by place. What is a node already was checked when it became one. Hardly any is suspect; PostgreSQL says of those.
    fn blocked(&self, ws: &Workspace) -> Result<HashMap<u32, String>, CdpError> {
        let blocked = Blocked::load(ws)?;
        let (mut places, mut types, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for (place, identifier) in (0u32..).zip(&self.identifiers).filter(|(_, i)| i.fresh) {
            let value = identifier.plain.as_ref().unwrap_or(&identifier.value);
            if blocked.suspects(value) {
                places.push(place);
                types.push(identifier.type_id);
                values.push(value.clone());
            }
        }
        if places.is_empty() {
            return Ok(HashMap::new());
        }
        let found = spi::rows(
            &ws.sql(
                "WITH c AS MATERIALIZED (SELECT x.i, x.type_id, lower(x.value) AS value FROM unnest($1::pg_catalog.int4[], $2::pg_catalog.text[]) WITH ORDINALITY AS x(type_id, value, i)) \
                 SELECT x.i, min(x.reason) FROM ( \
                     SELECT c.i, b.reason FROM c JOIN @ws@.blocked_value b ON b.value = c.value AND (b.type_id IS NULL OR b.type_id = c.type_id) \
                     UNION ALL SELECT h.i, b.reason FROM (SELECT v.* FROM @ws@.blocked_value v WHERE v.pattern IS NOT NULL OFFSET 0) b CROSS JOIN LATERAL ( \
                         SELECT c.i FROM c WHERE (b.type_id IS NULL OR b.type_id = c.type_id) AND c.value ~ b.pattern OFFSET 0) h) x GROUP BY 1",
            ),
            &[types.into(), values.into()],
            |row| Ok((spi::must::<i64>(row, 1)?, spi::must::<String>(row, 2)?)),
        )?;
        let place = |nth: i64| usize::try_from(nth - 1).ok().and_then(|nth| places.get(nth).copied());
        Ok(found.into_iter().filter_map(|(nth, reason)| Some((place(nth)?, reason))).collect())
    }

    /// Numbers the new identifiers, given with the row that shows them first.
    fn number(&mut self, ws: &Workspace, mut fresh: Vec<(i64, u32)>) -> Result<(), CdpError> {
        if fresh.is_empty() {
            return Ok(());
        }
        let of = |place: u32| self.identifiers.get(place as usize).map(|i| (i.type_id, i.value.as_str()));
        fresh.sort_unstable_by(|a, b| (a.0, of(a.1)).cmp(&(b.0, of(b.1))));
        let numbers = sequence::next(&ws.name, "node_node_id_seq", fresh.len())?;
        for ((_, place), number) in fresh.into_iter().zip(numbers) {
            if let Some(identifier) = self.identifiers.get_mut(place as usize) {
                identifier.node_id = number;
            }
        }
        Ok(())
    }

    /// Moves the times at which known identifiers were seen. A row that says no time moves none: it may be the same row again.
    ///
    /// Goes straight to the rows that change, in the order in which they lie. One that another batch has changed since is another version in another place: it is looked for by its number.
    pub fn note_times(&self, ws: &Workspace) -> Result<(), CdpError> {
        let mut moved: Vec<Moved> = Vec::new();
        for identifier in &self.identifiers {
            let (Some(span), Some(Kept { place, times })) = (identifier.span, identifier.kept) else { continue };
            if micros(span.0) < times.0 || micros(span.1) > times.1 {
                moved.push((identifier, place, span));
            }
        }
        if moved.is_empty() {
            return Ok(());
        }
        moved.sort_unstable_by_key(|(_, place, _)| item_pointer_to_u64(*place));
        let new = |(identifier, place, span): &Moved| New {
            key: [identifier.node_id, 0],
            to: To::Seen([micros(span.0), micros(span.1)]),
            place: Some(*place),
        };
        if let Some(left) = rewrite::rewrite(&ws.name, &follow::NODE, &moved.iter().map(new).collect::<Vec<_>>())? {
            let left: HashSet<i64> = left.into_iter().map(|row| row.key[0]).collect();
            moved.retain(|(identifier, ..)| left.contains(&identifier.node_id));
            return note_by_number(ws, &moved);
        }
        let places: Vec<ItemPointerData> = moved.iter().map(|(_, place, _)| *place).collect();
        let (ids, first, last) = columns(&moved);
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
        moved.retain(|(identifier, ..)| !found.contains(&identifier.node_id));
        note_by_number(ws, &moved)
    }

    /// The identifiers.
    pub fn identifiers(&self) -> &[Identifier] {
        &self.identifiers
    }

    /// Says why some identifiers link nobody, or that they do.
    pub fn requarantine(&mut self, reasons: &HashMap<i64, Option<String>>) {
        for identifier in &mut self.identifiers {
            if let Some(reason) = reasons.get(&identifier.node_id) {
                identifier.quarantine.clone_from(reason);
            }
        }
    }

    /// The identifiers of each row.
    pub fn rows(&self) -> impl Iterator<Item = impl Iterator<Item = &Identifier>> {
        self.rows.iter().map(|row| row.places.iter().filter_map(|place| self.identifiers.get(*place as usize)))
    }

    /// Says which profiles the identifiers have when the batch is stitched: those in `homes` the one there, the others the one they had.
    pub fn settle(&mut self, homes: &NumberMap<i64>) {
        for identifier in &mut self.identifiers {
            identifier.settled =
                homes.get(&identifier.node_id).copied().or(identifier.home.map(|home| home.profile_id));
        }
    }

    /// The identifier that the facts of each row are kept on, by the number of the row: the most telling strong one it has that links, else the most telling one.
    pub fn subjects(&self) -> Vec<(i64, u32)> {
        let mut subjects = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let of = |place: &u32| self.identifiers.get(*place as usize);
            let strong = row.places.iter().filter(|place| of(place).is_some_and(|i| i.strong));
            let most = strong.min_by_key(|place| of(place).map(|i| (i.quarantine.is_some(), i.priority, i.node_id)));
            subjects.extend(most.map(|place| (row.rn, *place)));
        }
        subjects
    }

    /// The latest time that a row speaks of.
    pub fn newest(&self) -> Option<TimestampWithTimeZone> {
        self.rows.iter().filter_map(|row| row.seen).max_by_key(|seen| micros(*seen))
    }

    /// Tells each row its subject, with the profile of that when it is known.
    pub fn enter(&self, subjects: Vec<(i64, u32)>) -> Result<(), CdpError> {
        temp::table("cdp_subject", "rn pg_catalog.int8, node_id pg_catalog.int8, profile_id pg_catalog.int8")?;
        let (mut rns, mut nodes, mut profiles) = (Vec::new(), Vec::new(), Vec::new());
        for (rn, place) in subjects {
            let Some(subject) = self.identifiers.get(place as usize) else { continue };
            rns.push(rn);
            nodes.push(subject.node_id);
            profiles.push(subject.settled);
        }
        spi::run(
            "INSERT INTO pg_temp.cdp_subject (rn, node_id, profile_id) SELECT x.rn, x.node_id, x.profile_id FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[], $3::pg_catalog.int8[]) AS x(rn, node_id, profile_id)",
            &[rns.into(), nodes.into(), profiles.into()],
        )?;
        temp::analyze("cdp_subject", "node_id")?;
        Ok(())
    }
}

/// Numbers, first and last times of identifiers that were seen at another time.
fn columns(moved: &[Moved]) -> (Vec<i64>, Vec<TimestampWithTimeZone>, Vec<TimestampWithTimeZone>) {
    let ids = moved.iter().map(|(identifier, ..)| identifier.node_id).collect();
    let (first, last) = moved.iter().map(|(.., span)| *span).unzip();
    (ids, first, last)
}

/// Moves the times of identifiers that are not where they were found.
fn note_by_number(ws: &Workspace, moved: &[Moved]) -> Result<(), CdpError> {
    if moved.is_empty() {
        return Ok(());
    }
    let (ids, first, last) = columns(moved);
    spi::through_indexes(|| {
        spi::run(
            &ws.sql(
                "UPDATE @ws@.node n SET first_seen = least(n.first_seen, x.first), last_seen = greatest(n.last_seen, x.last) \
                 FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.timestamptz[], $3::pg_catalog.timestamptz[]) AS x(node_id, first, last) \
                 WHERE n.node_id = x.node_id AND (x.first < n.first_seen OR x.last > n.last_seen)",
            ),
            &[ids.into(), first.into(), last.into()],
        )
    })?;
    Ok(())
}

/// Microseconds since 2000-01-01 UTC.
fn micros(at: TimestampWithTimeZone) -> i64 {
    i64::from(at)
}
