//! The sights of a batch: rows that show identifiers together, entered as nodes and edges.
//!
//! Each distinct identifier of the batch is cleaned, looked up and numbered once. New ones are not written yet: the stitch knows their profile a moment later, and a
//! node that is written with it is not updated.

mod edges;
mod identifier;
mod nodes;
mod settled;
mod shown;

pub use identifier::Identifier;
use identifier::{Kept, Known};
pub use nodes::{Unwritten, write};
pub use settled::{Place, SettledSights};
use shown::Cell;
pub use shown::Shown;

use super::blocked::Blocked;
use super::follow;
use super::hold;
use super::rules::Rules;
use super::sight::Home;
use super::value::{self, Forms, MOST_BYTES};
use crate::error::CdpError;
use crate::pg::rewrite::{self, New, To};
use crate::pg::{scan, sequence, spi, temp};
use crate::workspace::Workspace;
use pg_cdp_core::norm::Normaliser;
use pg_cdp_core::numbers::NumberMap;
use pg_cdp_core::texts::{TextList, Texts};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::itemptr::item_pointer_to_u64;
use pgrx::pg_sys::ItemPointerData;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

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

/// An identifier that was seen at another time, where its row is, and when it was, in microseconds since 2000.
type Moved<'a> = (&'a Identifier, ItemPointerData, (i64, i64));

type Times = Vec<TimestampWithTimeZone>;

/// A row that shows identifiers.
#[derive(Debug, Clone, Copy)]
struct Sight {
    rn: i64,
    seen: Option<TimestampWithTimeZone>,
    /// Where the places of its identifiers begin, and how many they are.
    begin: usize,
    count: u32,
}

impl Sight {
    /// Where the places of its identifiers are.
    fn range(&self) -> Range<usize> {
        self.begin..self.begin + self.count as usize
    }
}

/// Rows and their distinct identifiers.
#[derive(Default)]
pub struct Sights {
    identifiers: Vec<Identifier>,
    /// The values as they are kept, by type.
    values: BTreeMap<i32, TextList>,
    /// The normal forms of those of which that is not what is kept, by place.
    plain: HashMap<u32, String>,
    rows: Vec<Sight>,
    /// The identifiers of the rows, by place, row after row.
    places: Vec<u32>,
}

/// Of each column and distinct value of it the place of the identifier that it is, [`NOTHING`] for a value that is none.
type Identified = Vec<Vec<u32>>;

/// A distinct value of a column that is no identifier.
struct Faulty {
    column: usize,
    text: u32,
    fault: String,
    blocked: bool,
}

/// No identifier.
const NOTHING: u32 = u32::MAX;

impl Sights {
    /// Cleans the identifiers of rows and lets `look_up` look for them; `types` says of which type each column is. Values that are no identifiers are left out; `refused` gets them. The sights
    /// have no row yet.
    fn distinct(
        ws: &Workspace,
        rules: &Rules,
        types: &[i32],
        shown: &Shown,
        refused: &mut Vec<Refused>,
        look_up: impl FnOnce(&mut Self) -> Result<(), CdpError>,
    ) -> Result<(Self, Identified), CdpError> {
        let too_many = || CdpError::limit("a batch has too many identifiers");
        let mut sights = Self::default();
        let mut identified: Identified = Vec::with_capacity(types.len());
        let mut faulty: Vec<Faulty> = Vec::new();
        let mut values: BTreeMap<i32, Texts> = BTreeMap::new();
        // Several columns may be of the same type. Where the identifiers of each are, by the place of their value.
        let mut places_of: HashMap<i32, Vec<u32>> = HashMap::new();
        for (column, type_id) in types.iter().enumerate() {
            let ty = rules.get(*type_id)?;
            let normaliser = Normaliser::parse(&ty.normaliser)?;
            let Some(texts) = shown.texts(column) else {
                identified.push(Vec::new());
                continue;
            };
            let kept_values = values.entry(*type_id).or_default();
            let places = places_of.entry(*type_id).or_default();
            let mut of_column = Vec::with_capacity(texts.len());
            for (text, value) in (0u32..).zip(texts.iter()) {
                let Some(Forms { kept, plain }) = value::forms_by(ws, ty, &normaliser, value)? else {
                    faulty.push(Faulty { column, text, fault: "not a valid value".to_owned(), blocked: false });
                    of_column.push(NOTHING);
                    continue;
                };
                if kept.len() > MOST_BYTES {
                    let fault = format!("longer than {MOST_BYTES} bytes");
                    faulty.push(Faulty { column, text, fault, blocked: false });
                    of_column.push(NOTHING);
                    continue;
                }
                let (text, new) = kept_values.insert(&kept).ok_or_else(too_many)?;
                if new {
                    let place = u32::try_from(sights.identifiers.len()).ok().filter(|place| *place != NOTHING);
                    let place = place.ok_or_else(too_many)?;
                    places.push(place);
                    sights.plain.extend(plain.map(|plain| (place, plain)));
                    sights.identifiers.push(Identifier::new(ty, text));
                }
                of_column.push(places.get(text as usize).copied().unwrap_or(NOTHING));
            }
            identified.push(of_column);
        }
        sights.values = values.into_iter().map(|(type_id, values)| (type_id, values.into_list())).collect();
        look_up(&mut sights)?;
        let blocked = sights.blocked(ws)?;
        if !blocked.is_empty() {
            for (column, of_column) in identified.iter_mut().enumerate() {
                for (text, place) in (0u32..).zip(of_column) {
                    if let Some(reason) = blocked.get(place) {
                        faulty.push(Faulty { column, text, fault: format!("blocked: {reason}"), blocked: true });
                        *place = NOTHING;
                    }
                }
            }
        }
        // As they came, column by column.
        faulty.sort_unstable_by_key(|faulty| (faulty.column, faulty.text));
        for Faulty { column, text, fault, blocked } in faulty {
            let Some(type_id) = types.get(column) else { continue };
            let ty = rules.get(*type_id)?;
            let value = shown.texts(column).and_then(|texts| texts.get(text)).filter(|_| !ty.hashed);
            refused.push(Refused { type_name: ty.name.clone(), value: value.map(str::to_owned), fault, blocked });
        }
        Ok((sights, identified))
    }

    /// The sights of some rows, their new identifiers numbered in the order in which the rows show them. `refused` gets the values that are no identifiers, `useless` the numbers
    /// of rows that have a fault or not one strong identifier.
    pub fn of(
        ws: &Workspace,
        rules: &Rules,
        types: &[i32],
        shown: &Shown,
        refused: &mut Vec<Refused>,
        useless: &mut Vec<i64>,
    ) -> Result<Self, CdpError> {
        let (mut sights, identified) = Self::distinct(ws, rules, types, shown, refused, |sights| sights.look_up(ws))?;
        let mut fresh: Vec<u32> = Vec::new();
        sights.rows.reserve(shown.len());
        sights.places.reserve(shown.len());
        let mut places: Vec<u32> = Vec::new();
        for (row, cells) in shown.rows() {
            places.clear();
            for place in cells.iter().map(|cell| place_of(&identified, cell)).filter(|place| *place != NOTHING) {
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            let strong = |place: &u32| sights.identifiers.get(*place as usize).is_some_and(|i| i.strong);
            if shown.fault(row.rn).is_some() || !places.iter().any(strong) {
                useless.push(row.rn);
                continue;
            }
            let listed = fresh.len();
            for place in &places {
                let Some(identifier) = sights.identifiers.get_mut(*place as usize) else { continue };
                // A number of its own says that it is listed.
                if identifier.fresh && identifier.node_id == 0 {
                    identifier.node_id = -1;
                    fresh.push(*place);
                }
                if let Some(seen) = row.seen {
                    identifier.span.note(micros(seen));
                }
            }
            // Those of a row in an order that does not depend on that of its columns.
            if let Some(of_row) = fresh.get_mut(listed..)
                && of_row.len() > 1
            {
                of_row.sort_unstable_by_key(|place| sights.value_at(*place));
            }
            sights.row(row.rn, row.seen, &places);
        }
        sights.number(ws, &fresh)?;
        Ok(sights)
    }

    /// Adds a row that shows the identifiers at some places.
    fn row(&mut self, rn: i64, seen: Option<TimestampWithTimeZone>, places: &[u32]) {
        // A row has as many columns as a table at most.
        let count = places.len() as u32;
        self.rows.push(Sight { rn, seen, begin: self.places.len(), count });
        self.places.extend_from_slice(places);
    }

    /// The places of the identifiers of a row.
    fn places(&self, row: &Sight) -> &[u32] {
        self.places.get(row.range()).unwrap_or_default()
    }

    /// Every two identifiers of a row.
    fn pairs(&self, row: &Sight) -> impl Iterator<Item = (u32, u32)> + '_ {
        let places = self.places(row);
        places.iter().enumerate().flat_map(|(nth, a)| places.iter().skip(nth + 1).map(|b| (*a, *b)))
    }

    /// The value of an identifier as it is kept.
    pub fn value(&self, identifier: &Identifier) -> &str {
        self.values.get(&identifier.type_id).and_then(|of| of.get(identifier.text)).unwrap_or_default()
    }

    /// Type and value of the identifier at a place.
    fn value_at(&self, place: u32) -> Option<(i32, &str)> {
        self.identifiers.get(place as usize).map(|i| (i.type_id, self.value(i)))
    }

    /// The places of the identifiers in the order of their index, so that neighbours in it are looked up one after the other.
    fn in_order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.identifiers.len()).collect();
        order.sort_unstable_by_key(|place| self.identifiers.get(*place).map(|i| (i.type_id, self.value(i))));
        order
    }

    /// The types and values of identifiers, given by place.
    fn of_places(&self, places: &[usize]) -> impl Iterator<Item = (i32, &str)> {
        places.iter().filter_map(|place| self.identifiers.get(*place)).map(|i| (i.type_id, self.value(i)))
    }

    /// Says which of the identifiers are known.
    fn look_up(&mut self, ws: &Workspace) -> Result<(), CdpError> {
        // Before there is anybody, all are new.
        if scan::any(&ws.name, &["node"])? == Some([false]) {
            return Ok(());
        }
        let order = self.in_order();
        if let Some(known) = hold::known(ws, self.of_places(&order))? {
            let mut profiles: Vec<i64> = known.iter().filter_map(|(_, known)| known.profile_id).collect();
            profiles.sort_unstable();
            profiles.dedup();
            if let Some(ages) = hold::ages(ws, &profiles)? {
                for (nth, known) in known {
                    let place = order.get(nth).copied().unwrap_or(usize::MAX);
                    let Some(identifier) = self.identifiers.get_mut(place) else { continue };
                    let home = known.profile_id.and_then(|profile_id| {
                        let (created_at, contested) = ages.get(&profile_id).copied()?;
                        Some(Home { profile_id, created_at, contested })
                    });
                    let kept = Some(Kept { place: known.place, times: known.times });
                    identifier.know(known.node_id, Known { quarantine: known.quarantine, home, kept });
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
            identifier.know(node_id, Known { quarantine, home, kept: Some(kept) });
        }
        Ok(())
    }

    /// Why some of the new identifiers are none, by place. What is a node already was checked when it became one. Hardly any is suspect; PostgreSQL says of those.
    fn blocked(&self, ws: &Workspace) -> Result<HashMap<u32, String>, CdpError> {
        let blocked = Blocked::load(ws)?;
        let (mut places, mut types, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for (place, identifier) in (0u32..).zip(&self.identifiers).filter(|(_, i)| i.fresh) {
            let value = self.plain.get(&place).map_or_else(|| self.value(identifier), String::as_str);
            if blocked.suspects(value) {
                places.push(place);
                types.push(identifier.type_id);
                values.push(value.to_owned());
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

    /// Numbers new identifiers in the order in which they are given.
    fn number(&mut self, ws: &Workspace, fresh: &[u32]) -> Result<(), CdpError> {
        if fresh.is_empty() {
            return Ok(());
        }
        let numbers = sequence::next(&ws.name, "node_node_id_seq", fresh.len())?;
        for (place, number) in fresh.iter().zip(numbers) {
            if let Some(identifier) = self.identifiers.get_mut(*place as usize) {
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
            let (Some(span), Some(Kept { place, times })) = (identifier.span.ends(), identifier.kept()) else {
                continue;
            };
            if span.0 < times.0 || span.1 > times.1 {
                moved.push((identifier, place, span));
            }
        }
        if moved.is_empty() {
            return Ok(());
        }
        moved.sort_unstable_by_key(|(_, place, _)| item_pointer_to_u64(*place));
        let new = |(identifier, place, span): &Moved| New {
            key: [identifier.node_id, 0],
            to: To::Seen([span.0, span.1]),
            place: Some(*place),
        };
        if let Some(left) = rewrite::rewrite(&ws.name, &follow::NODE, &moved.iter().map(new).collect::<Vec<_>>())? {
            let left: HashSet<i64> = left.into_iter().map(|row| row.key[0]).collect();
            moved.retain(|(identifier, ..)| left.contains(&identifier.node_id));
            return note_by_number(ws, &moved);
        }
        let places: Vec<ItemPointerData> = moved.iter().map(|(_, place, _)| *place).collect();
        let (ids, first, last) = columns(&moved)?;
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
                identifier.requarantine(reason.clone());
            }
        }
    }

    /// The identifiers of each row.
    pub fn rows(&self) -> impl Iterator<Item = impl Iterator<Item = &Identifier>> {
        self.rows.iter().map(|row| self.places(row).iter().filter_map(|place| self.identifiers.get(*place as usize)))
    }

    /// Says which profiles the identifiers have when the batch is stitched: those in `homes` the one there, the others the one they had.
    pub fn settle(&mut self, homes: &NumberMap<i64>) {
        for identifier in &mut self.identifiers {
            let home = homes.get(&identifier.node_id).copied();
            identifier.settle(home.or_else(|| identifier.home().map(|home| home.profile_id)));
        }
    }

    /// The identifier that the facts of each row are kept on, by the number of the row: the most telling strong one it has that links, else the most telling one.
    pub fn subjects(&self) -> Vec<(i64, u32)> {
        let mut subjects = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let of = |place: &u32| self.identifiers.get(*place as usize);
            let strong = self.places(row).iter().filter(|place| of(place).is_some_and(|i| i.strong));
            let most = strong.min_by_key(|place| of(place).map(|i| (i.quarantine().is_some(), i.priority, i.node_id)));
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
            profiles.push(subject.settled());
        }
        spi::run(
            "INSERT INTO pg_temp.cdp_subject (rn, node_id, profile_id) SELECT x.rn, x.node_id, x.profile_id FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.int8[], $3::pg_catalog.int8[]) AS x(rn, node_id, profile_id)",
            &[rns.into(), nodes.into(), profiles.into()],
        )?;
        temp::analyze("cdp_subject", "node_id")?;
        Ok(())
    }
}

/// The identifier that a value is.
fn place_of(identified: &Identified, cell: &Cell) -> u32 {
    let of_column = identified.get(cell.column as usize);
    of_column.and_then(|of_column| of_column.get(cell.text as usize)).copied().unwrap_or(NOTHING)
}

/// Numbers, first and last times of identifiers that were seen at another time.
fn columns(moved: &[Moved]) -> Result<(Vec<i64>, Times, Times), CdpError> {
    let ids = moved.iter().map(|(identifier, ..)| identifier.node_id).collect();
    let first = moved.iter().map(|(.., span)| time(span.0)).collect::<Result<Times, _>>()?;
    let last = moved.iter().map(|(.., span)| time(span.1)).collect::<Result<Times, _>>()?;
    Ok((ids, first, last))
}

/// Moves the times of identifiers that are not where they were found.
fn note_by_number(ws: &Workspace, moved: &[Moved]) -> Result<(), CdpError> {
    if moved.is_empty() {
        return Ok(());
    }
    let (ids, first, last) = columns(moved)?;
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

/// The time of so many microseconds since 2000-01-01 UTC.
fn time(micros: i64) -> Result<TimestampWithTimeZone, CdpError> {
    TimestampWithTimeZone::try_from(micros).map_err(|_| CdpError::internal("a time is none"))
}
