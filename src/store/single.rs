//! Changes of the attributes of one profile, written as changes of cells by few statements: what [`super::emit::attribute`] does for many profiles.

use super::column::{add_forward, coded, keep_as_numbers, retire};
use super::emit::AttributeColumn;
use super::{FORWARD_FROM, MOST_EQUALITY_VALUES, MOST_TRACKED_VALUES, SHARD_BITS};
use crate::error::CdpError;
use crate::pg::spi::{self, Together};
use crate::workspace::Workspace;
use pg_cdp_core::cells::Cell;
use pg_cdp_core::cells::delta::Gather;
use pg_cdp_core::plan::HAS_SET;
use pg_cdp_core::survivorship::{Kind, integer, parse_texts};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// An attribute that got another value. Both are the text of the type; `None`: none.
pub struct Change<'a> {
    /// Its column.
    pub column: &'a AttributeColumn,
    /// What it was.
    pub before: Option<&'a str>,
    /// What it is.
    pub after: Option<&'a str>,
}

/// Cells of one profile being collected.
struct Cells {
    offset: u32,
    gathers: BTreeMap<(i32, i64), Gather>,
}

impl Cells {
    fn put(&mut self, column_id: i32, key: i64, n: i64, v: i64) {
        self.gathers.entry((column_id, key)).or_default().push(Cell { offset: self.offset, n, v });
    }
}

/// Codes of values by dictionary.
type Codes = HashMap<(i32, String), i32>;

/// Adds to `together` what brings the columns of the changed attributes up to date. Needs the workspace lock, or the lock of the person.
pub fn changes(
    ws: &Workspace,
    profile_id: i64,
    changes: &[Change<'_>],
    together: &mut Together<'_>,
) -> Result<(), CdpError> {
    let shard = i32::try_from(profile_id >> SHARD_BITS)
        .map_err(|_| CdpError::internal(format!("profile {profile_id} is out of range")))?;
    let offset = (profile_id & ((1 << SHARD_BITS) - 1)) as u32;
    let mut cells = Cells { offset, gathers: BTreeMap::new() };
    let mut codes = known(ws, changes)?;
    for change in changes.iter().filter(|c| kept(c.column)) {
        if change.column.ty == "text[]" {
            elements(ws, change, &mut codes, &mut cells)?;
        } else if coded(&change.column.ty) {
            code(ws, change, &mut codes, &mut cells)?;
        } else {
            number(ws, change, &mut cells)?;
        }
    }
    let (mut columns, mut keys, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
    for ((column_id, key), mut gather) in cells.gathers {
        let encoded = gather.encode()?;
        // The version byte alone: nothing changed.
        if encoded.len() > 1 {
            columns.push(column_id);
            keys.push(key);
            bytes.push(encoded);
        }
    }
    if !columns.is_empty() {
        together.add(
            &ws.sql(
                "INSERT INTO @ws@.pending (column_id, key, shard, cells) SELECT x.c, x.k, $4, x.b \
                 FROM unnest($1::pg_catalog.int4[], $2::pg_catalog.int8[], $3::pg_catalog.bytea[]) AS x(c, k, b)",
            ),
            [columns.into(), keys.into(), bytes.into(), shard.into()],
        );
    }
    Ok(())
}

fn ready(state: &str) -> bool {
    state == "ready"
}

/// The forward column, when it is ready.
fn forward(column: &AttributeColumn) -> Option<i32> {
    column.forward.as_ref().filter(|(_, state)| ready(state)).map(|(id, _)| *id)
}

/// Whether any column has to be told.
fn kept(column: &AttributeColumn) -> bool {
    ready(&column.state) || (column.ty != "text[]" && forward(column).is_some())
}

/// The coded values of a change: one, or the elements of a set.
fn values(ty: &str, text: Option<&str>) -> BTreeSet<String> {
    match text {
        None => BTreeSet::new(),
        Some(text) if ty == "text[]" => parse_texts(text).unwrap_or_default(),
        Some(text) => BTreeSet::from([text.to_owned()]),
    }
}

/// Codes of all values that have one.
fn known(ws: &Workspace, changes: &[Change<'_>]) -> Result<Codes, CdpError> {
    let (mut dictionaries, mut texts) = (Vec::new(), Vec::new());
    for change in changes.iter().filter(|c| kept(c.column) && coded(&c.column.ty)) {
        for side in [change.before, change.after] {
            for value in values(&change.column.ty, side) {
                dictionaries.push(change.column.dictionary_id);
                texts.push(value);
            }
        }
    }
    if texts.is_empty() {
        return Ok(Codes::new());
    }
    let found = spi::rows_cached(
        &ws.sql(
            "SELECT d.dictionary_id, d.value, d.code FROM unnest($1::pg_catalog.int4[], $2::pg_catalog.text[]) AS x(d, v) \
             JOIN @ws@.dictionary d ON d.dictionary_id = x.d AND d.value = x.v",
        ),
        &[dictionaries.into(), texts.into()],
        |row| Ok(((spi::must(row, 1)?, spi::must(row, 2)?), spi::must(row, 3)?)),
    )?;
    Ok(found.into_iter().collect())
}

/// Gives a value a code unless it has one. `Some`: how many values the dictionary has now that there is a new one.
fn learn(ws: &Workspace, dictionary_id: i32, value: &str, codes: &mut Codes) -> Result<Option<i32>, CdpError> {
    let key = (dictionary_id, value.to_owned());
    if codes.contains_key(&key) {
        return Ok(None);
    }
    // Another writer beside this one may have given it one by now.
    ws.lock_codes()?;
    let found = spi::rows_cached(
        &ws.sql(
            "WITH new AS (INSERT INTO @ws@.dictionary (dictionary_id, code, value) SELECT $1, x.code, $2 \
                 FROM (SELECT coalesce(max(d.code) + 1, 0) AS code FROM @ws@.dictionary d WHERE d.dictionary_id = $1) x \
                 WHERE NOT EXISTS (SELECT FROM @ws@.dictionary d WHERE d.dictionary_id = $1 AND d.value = $2) RETURNING code) \
             SELECT n.code, true FROM new n UNION ALL SELECT d.code, false FROM @ws@.dictionary d WHERE d.dictionary_id = $1 AND d.value = $2",
        ),
        &[dictionary_id.into(), value.into()],
        |row| Ok((spi::must::<i32>(row, 1)?, spi::must::<bool>(row, 2)?)),
    )?;
    let (code, new) = found.into_iter().next().ok_or_else(|| CdpError::internal("a value got no code"))?;
    codes.insert(key, code);
    Ok(new.then_some(code + 1))
}

fn code(ws: &Workspace, change: &Change<'_>, codes: &mut Codes, cells: &mut Cells) -> Result<(), CdpError> {
    let column = change.column;
    let learnt = match change.after {
        Some(after) => learn(ws, column.dictionary_id, after, codes)?,
        None => None,
    };
    let set = column.encoding == "set";
    if set && learnt.is_some_and(|values| values > MOST_EQUALITY_VALUES) {
        keep_as_numbers(ws, column.attribute_id, column.column_id)?;
        return if ready(&column.state) { retire(ws, column.column_id, "stale") } else { Ok(()) };
    }
    if set && learnt.is_some_and(|values| values >= FORWARD_FROM) && column.forward.is_none() {
        add_forward(ws, column.attribute_id)?;
    }
    for (side, n) in [(change.before, -1), (change.after, 1)] {
        let Some(value) = side else { continue };
        let Some(code) = codes.get(&(column.dictionary_id, value.to_owned())) else { continue };
        let code = i64::from(*code);
        match (ready(&column.state), set) {
            (true, true) => cells.put(column.column_id, code, n, 0),
            (true, false) => cells.put(column.column_id, 0, n, n * code),
            (false, _) => {}
        }
        if let Some(forward) = forward(column) {
            cells.put(forward, 0, n, n * code);
        }
    }
    Ok(())
}

fn elements(ws: &Workspace, change: &Change<'_>, codes: &mut Codes, cells: &mut Cells) -> Result<(), CdpError> {
    let column = change.column;
    for element in values(&column.ty, change.after) {
        if learn(ws, column.dictionary_id, &element, codes)?.is_some_and(|values| values > MOST_TRACKED_VALUES) {
            return retire(ws, column.column_id, "stale");
        }
    }
    for (side, n) in [(change.before, -1), (change.after, 1)] {
        for element in values(&column.ty, side) {
            if let Some(code) = codes.get(&(column.dictionary_id, element)) {
                cells.put(column.column_id, i64::from(*code), n, 0);
            }
        }
        if side.is_some() {
            cells.put(column.column_id, HAS_SET, n, 0);
        }
    }
    Ok(())
}

fn number(ws: &Workspace, change: &Change<'_>, cells: &mut Cells) -> Result<(), CdpError> {
    let column = change.column;
    let (Some(kind), Ok(scale)) = (Kind::named(&column.ty), u32::try_from(column.scale)) else {
        return Err(CdpError::internal(format!("attribute \"{}\" has no known type", column.name)));
    };
    for (side, n) in [(change.before, -1), (change.after, 1)] {
        let Some(text) = side else { continue };
        match integer(kind, text, scale) {
            Some(value) => cells.put(column.column_id, 0, n, n * value),
            None => return retire(ws, column.column_id, "stale"),
        }
    }
    Ok(())
}
