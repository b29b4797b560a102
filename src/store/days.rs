//! Changes of events, written to all day columns of their type in one pass: each change is read once, its values are taken out of the properties once, and the cells are gathered
//! here. They come from a table or from memory; [`super::emit::event_cells_sql`] says column by column what comes of it.

use super::column::{self, dictionary_text_sql, integer_sql, property_sql};
use super::emit::{self, DayColumn};
use super::{MOST_TRACKED_VALUES, SHARD_BITS};
use crate::error::CdpError;
use crate::pg::spi;
use crate::workspace::Workspace;
use pg_cdp_core::cells::Cell;
use pg_cdp_core::cells::delta::Gather;
use pg_cdp_core::survivorship::{Kind, summed};
use pgrx::spi::SpiHeapTupleData;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::HashMap;

/// A tracked property of the event type.
struct Property {
    name: String,
    text_sql: String,
    dictionary_id: i32,
    /// Its values by the place in which they were met.
    places: HashMap<String, usize>,
    /// Codes by place; `None` when there are too many values for day columns.
    codes: Option<Vec<i64>>,
}

impl Property {
    fn place(&mut self, value: &str) -> usize {
        if let Some(place) = self.places.get(value) {
            return *place;
        }
        let place = self.places.len();
        self.places.insert(value.to_owned(), place);
        place
    }
}

/// A measure as its columns keep it.
struct Measure {
    name: String,
    kind: Kind,
    scale: u32,
    typed_sql: String,
    value_sql: String,
    /// Whether there is a value that they cannot keep.
    unfit: bool,
}

/// A column by the places of its property and measure.
struct Target<'a> {
    column: &'a DayColumn,
    property: Option<usize>,
    measure: Option<usize>,
}

/// What stands for a measure in its SQL until the statement is put together.
const TYPED: &str = "\u{0}typed\u{0}";

/// The columns of an event type with what they need of each event.
struct Columns<'a> {
    properties: Vec<Property>,
    measures: Vec<Measure>,
    targets: Vec<Target<'a>>,
}

impl<'a> Columns<'a> {
    fn of(columns: &'a [DayColumn]) -> Result<Self, CdpError> {
        let mut all = Self { properties: Vec::new(), measures: Vec::new(), targets: Vec::with_capacity(columns.len()) };
        for column in columns {
            let property =
                column.property.as_ref().map(|(name, ty, dictionary_id)| all.property(name, ty, *dictionary_id));
            let measure = match &column.measure {
                Some((name, ty)) => Some(all.measure(name, ty, column.scale)?),
                None => None,
            };
            all.targets.push(Target { column, property, measure });
        }
        Ok(all)
    }

    fn property(&mut self, name: &str, ty: &str, dictionary_id: i32) -> usize {
        if let Some(place) = self.properties.iter().position(|p| p.dictionary_id == dictionary_id) {
            return place;
        }
        let text_sql = dictionary_text_sql(ty, &property_sql("c.properties", name, ty));
        self.properties.push(Property {
            name: name.to_owned(),
            text_sql,
            dictionary_id,
            places: HashMap::new(),
            codes: None,
        });
        self.properties.len() - 1
    }

    fn measure(&mut self, name: &str, ty: &str, scale: i32) -> Result<usize, CdpError> {
        let (typed_sql, value_sql) = (property_sql("c.properties", name, ty), integer_sql(ty, TYPED, scale, true)?);
        if let Some(place) = self.measures.iter().position(|m| (&m.typed_sql, &m.value_sql) == (&typed_sql, &value_sql))
        {
            return Ok(place);
        }
        let kind = if ty == "bigint" { Kind::Bigint } else { Kind::Numeric };
        let scale = scale.unsigned_abs();
        self.measures.push(Measure { name: name.to_owned(), kind, scale, typed_sql, value_sql, unfit: false });
        Ok(self.measures.len() - 1)
    }

    /// The statement that gives each change with the text of each property and, of each measure, its number and whether there is one at all.
    fn sql(&self, changes: &str) -> String {
        let (mut inner, mut outer) = (String::new(), String::new());
        for (i, property) in self.properties.iter().enumerate() {
            inner.push_str(&format!(", {} AS p{i}", property.text_sql));
            outer.push_str(&format!(", x.p{i}"));
        }
        for (i, Measure { typed_sql, value_sql, .. }) in self.measures.iter().enumerate() {
            inner.push_str(&format!(", {typed_sql} AS m{i}"));
            let value = value_sql.replace(TYPED, &format!("x.m{i}"));
            outer.push_str(&format!(", {value}, x.m{i} IS NOT NULL"));
        }
        // Not pulled up: each value is taken out of the properties once.
        format!(
            "SELECT x.profile_id, x.n, x.day{outer} FROM (SELECT c.profile_id, c.n, c.day::pg_catalog.int8 AS day{inner} FROM {changes} c WHERE c.event_type_id = $1 OFFSET 0) x"
        )
    }

    /// Reads an event that came.
    fn take(&mut self, came: &Came, into: &mut Changes) {
        into.heads.push((came.profile_id, 1, came.day));
        let text = |name: &str| came.properties.get(name).filter(|value| !value.is_null()).map(text_of);
        for property in &mut self.properties {
            into.values.push(text(&property.name).map(|value| property.place(&value)));
        }
        for measure in &mut self.measures {
            let text = text(&measure.name);
            let number = text.as_ref().and_then(|text| summed(measure.kind, text, measure.scale));
            measure.unfit |= text.is_some() && number.is_none();
            into.numbers.push(number);
        }
    }

    /// Reads a change.
    fn read(&mut self, row: &SpiHeapTupleData, into: &mut Changes) -> Result<(), CdpError> {
        into.heads.push((spi::must(row, 1)?, spi::must(row, 2)?, spi::must(row, 3)?));
        let mut next = 3;
        for property in &mut self.properties {
            next += 1;
            into.values.push(row.get::<&str>(next)?.map(|value| property.place(value)));
        }
        for measure in &mut self.measures {
            next += 2;
            let number = row.get::<i64>(next - 1)?;
            measure.unfit |= number.is_none() && spi::must::<bool>(row, next)?;
            into.numbers.push(number);
        }
        Ok(())
    }

    /// Gives codes to values that have none.
    fn learn(&mut self, ws: &Workspace) -> Result<(), CdpError> {
        for property in &mut self.properties {
            let values = property.places.keys().cloned().collect();
            let Some(known) = column::learn_values(ws, property.dictionary_id, values, MOST_TRACKED_VALUES)? else {
                continue;
            };
            let mut codes = vec![0; property.places.len()];
            for (value, code) in known {
                let place = property.places.get(&value).and_then(|place| codes.get_mut(*place));
                *place.ok_or_else(|| CdpError::internal("a value was learnt that nobody named"))? = code;
            }
            property.codes = Some(codes);
        }
        Ok(())
    }

    /// Whether every column can keep what came.
    fn fit(&self) -> bool {
        self.properties.iter().all(|property| property.codes.is_some()) && !self.measures.iter().any(|m| m.unfit)
    }

    /// Gives up the columns that cannot keep what came. The others. Needs the workspace lock.
    fn keep(self, ws: &Workspace) -> Result<Self, CdpError> {
        let Self { properties, measures, targets } = self;
        for (place, property) in properties.iter().enumerate().filter(|(_, property)| property.codes.is_none()) {
            if let Some(target) = targets.iter().find(|target| target.property == Some(place)) {
                emit::untrack(ws, target.column, &property.name)?;
            }
        }
        let mut kept = Vec::with_capacity(targets.len());
        for target in targets {
            if target.property.and_then(|place| properties.get(place)).is_some_and(|p| p.codes.is_none()) {
                continue;
            }
            if target.measure.and_then(|place| measures.get(place)).is_some_and(|m| m.unfit) {
                column::retire(ws, target.column.column_id, "stale")?;
                continue;
            }
            kept.push(target);
        }
        Ok(Self { properties, measures, targets: kept })
    }
}

/// Changes with what columns need of them: profile, 1 or -1 and day, then for each the place of the value of each property, and the number of each measure.
#[derive(Default)]
struct Changes {
    heads: Vec<(i64, i64, i64)>,
    values: Vec<Option<usize>>,
    numbers: Vec<Option<i64>>,
}

/// Cells to be written, column by column.
#[derive(Default)]
struct Written {
    columns: Vec<i32>,
    keys: Vec<i64>,
    shards: Vec<i32>,
    cells: Vec<Vec<u8>>,
}

/// An event that came, in memory.
pub struct Came<'a> {
    /// Whose it is.
    pub profile_id: i64,
    /// Its day, since 2000-01-01.
    pub day: i64,
    /// Its properties, in the form of their types.
    pub properties: &'a Map<String, Value>,
}

/// What `->>` gives of a value in the form of its type.
pub fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// Writes changes of events of one type to its columns. `changes` is a FROM item with columns `profile_id`, `n` (1 or -1), `event_type_id`, `day` (since 2000-01-01) and `properties`;
/// they are held in memory.
/// Where they cancel out (an event that moves within its day, two identifiers that swap their profiles), a row is left all the same: what sessions keep of the events of a day is known
/// by the rows of its key. A tracked property with too many values loses its day columns, a measure that does not fit makes its columns stale. Needs the workspace lock.
pub fn write(ws: &Workspace, event_type_id: i32, columns: &[DayColumn], changes: &str) -> Result<(), CdpError> {
    let mut columns = Columns::of(columns)?;
    let sql = ws.sql(&columns.sql(changes));
    let mut all = Changes::default();
    spi::rows(&sql, &[event_type_id.into()], |row| columns.read(row, &mut all))?;
    columns.learn(ws)?;
    all.write(ws, columns.keep(ws)?)
}

/// Writes events of one type that came to its columns, as [`write`] does. `false`, and nothing is written, when a column cannot keep one of them and the caller does not hold the workspace:
/// it may write beside others that do.
pub fn write_came<'a>(
    ws: &Workspace,
    columns: &[DayColumn],
    events: impl Iterator<Item = Came<'a>>,
) -> Result<bool, CdpError> {
    let mut columns = Columns::of(columns)?;
    let mut all = Changes::default();
    events.for_each(|came| columns.take(&came, &mut all));
    columns.learn(ws)?;
    if !columns.fit() {
        if !ws.locked()? {
            return Ok(false);
        }
        columns = columns.keep(ws)?;
    }
    all.write(ws, columns).map(|()| true)
}

impl Changes {
    /// Gathers them by cell and writes those.
    fn write(self, ws: &Workspace, columns: Columns<'_>) -> Result<(), CdpError> {
        let Columns { properties, measures, targets } = columns;
        let mut written = Written::default();
        for target in targets {
            let mut cells: HashMap<(i64, i32), Gather> = HashMap::new();
            for (i, (profile_id, n, day)) in self.heads.iter().enumerate() {
                let mut code = 0;
                if let Some(place) = target.property {
                    let value = self.values.get(i * properties.len() + place).copied().flatten();
                    let Some(value) = value else { continue };
                    let codes = properties.get(place).and_then(|property| property.codes.as_ref());
                    code = codes
                        .and_then(|codes| codes.get(value))
                        .copied()
                        .ok_or_else(|| CdpError::internal("a value has no code"))?;
                }
                let mut v = 0;
                if let Some(place) = target.measure {
                    let number = self.numbers.get(i * measures.len() + place).copied().flatten();
                    let Some(number) = number else { continue };
                    v = n * number;
                }
                let shard = i32::try_from(profile_id >> SHARD_BITS)
                    .map_err(|_| CdpError::internal(format!("profile {profile_id} is out of range")))?;
                let offset = (profile_id & ((1 << SHARD_BITS) - 1)) as u32;
                cells.entry(((code << 32) | (day + (1 << 31)), shard)).or_default().push(Cell { offset, n: *n, v });
            }
            for ((key, shard), mut gathered) in cells {
                written.columns.push(target.column.column_id);
                written.keys.push(key);
                written.shards.push(shard);
                written.cells.push(gathered.encode()?);
            }
        }
        if written.columns.is_empty() {
            return Ok(());
        }
        spi::run(
            &ws.sql(
                "INSERT INTO @ws@.pending (column_id, key, shard, cells) SELECT x.column_id, x.key, x.shard, x.cells \
                 FROM unnest($1::pg_catalog.int4[], $2::pg_catalog.int8[], $3::pg_catalog.int4[], $4::pg_catalog.bytea[]) AS x(column_id, key, shard, cells) ORDER BY 1, 2, 3",
            ),
            &[written.columns.into(), written.keys.into(), written.shards.into(), written.cells.into()],
        )?;
        Ok(())
    }
}
