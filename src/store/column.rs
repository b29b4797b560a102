//! The registry of columns: which exist for an attribute or an event type, and how values become the integers they keep.

use crate::error::CdpError;
use crate::pg::spi;
use crate::workspace::Workspace;
use pgrx::spi::{quote_identifier, quote_literal};

/// Digits kept after the point of a numeric that declares none.
pub const DEFAULT_SCALE: i32 = 2;

/// The most digits kept after the point; a column whose values need more is kept out of bits.
pub const MOST_SCALE: i32 = 9;

/// Half of what 64 bits hold, in round numbers: the difference of two kept values always fits.
const LARGEST: &str = "4000000000000000000";

/// Decimal digits of the largest scaled value that may be summed: 9,000 of them fit 64 bits.
const SUMMED_DIGITS: i32 = 15;

/// Makes the column of an attribute: text and booleans by value, the rest as numbers.
pub fn create_for_attribute(ws: &Workspace, attribute_id: i32, ty: &str, scale: i32) -> Result<(), CdpError> {
    let encoding = if coded(ty) { "set" } else { "number" };
    spi::run(
        &ws.sql("INSERT INTO @ws@.store_column (kind, encoding, attribute_id, scale, state) VALUES ('attribute', $1, $2, $3, 'ready')"),
        &[encoding.into(), attribute_id.into(), scale.into()],
    )?;
    Ok(())
}

/// Makes the day columns of an event type that are missing: all events and each tracked property, each with counts and with every measure.
/// Columns that appear while there are events are built by the next flush.
pub fn create_for_event_type(ws: &Workspace, event_type_id: i32) -> Result<(), CdpError> {
    spi::run(
        &ws.sql(
            "INSERT INTO @ws@.store_column (kind, encoding, event_type_id, property_id, measure_id, scale, state) \
             SELECT 'day', 'number', $1, d.property_id, m.property_id, m.scale, \
                    CASE WHEN EXISTS (SELECT FROM @ws@.event e WHERE e.event_type_id OPERATOR(pg_catalog.=) $1) THEN 'stale' ELSE 'ready' END \
             FROM (SELECT NULL::integer AS property_id UNION ALL SELECT p.property_id FROM @ws@.property p WHERE p.event_type_id = $1 AND p.tracked) d \
             CROSS JOIN (SELECT NULL::integer AS property_id, 0 AS scale UNION ALL \
                         SELECT p.property_id, CASE p.type WHEN 'numeric' THEN $2 ELSE 0 END FROM @ws@.property p WHERE p.event_type_id = $1 AND p.measure) m \
             ON CONFLICT DO NOTHING",
        ),
        &[event_type_id.into(), DEFAULT_SCALE.into()],
    )?;
    Ok(())
}

/// Whether values of a type are kept by dictionary code.
pub fn coded(ty: &str) -> bool {
    matches!(ty, "text" | "text[]" | "boolean")
}

/// SQL giving the integer that a column keeps for a value of an uncoded type: NULL when the value does not fit (too many
/// digits, NaN, infinity), so that a caller can tell. Values that will be `summed` are bounded so that thousands of the largest fit 64 bits.
pub fn integer_sql(ty: &str, value: &str, scale: i32, summed: bool) -> Result<String, CdpError> {
    Ok(match ty {
        "bigint" if summed => format!(
            "(CASE WHEN {value} BETWEEN -1e{SUMMED_DIGITS}::pg_catalog.int8 AND 1e{SUMMED_DIGITS}::pg_catalog.int8 THEN {value} END)"
        ),
        "bigint" => format!("(CASE WHEN {value} BETWEEN -{LARGEST} AND {LARGEST} THEN {value} END)"),
        "numeric" => {
            // NaN and infinity are greater than any bound.
            let bound = SUMMED_DIGITS - scale;
            format!(
                "(CASE WHEN abs({value}) < 1e{bound} AND {value} * 1e{scale} = trunc({value} * 1e{scale}) THEN ({value} * 1e{scale})::pg_catalog.int8 END)"
            )
        }
        "date" => {
            format!("(CASE WHEN isfinite({value}) THEN ({value} - '2000-01-01'::pg_catalog.date)::pg_catalog.int8 END)")
        }
        "timestamptz" => micros_sql(value),
        _ => return Err(CdpError::internal(format!("values of type \"{ty}\" are kept by code"))),
    })
}

/// SQL giving microseconds since 2000-01-01 UTC of a timestamptz; NULL for infinity and for times later than half of what 64 bits hold.
pub fn micros_sql(value: &str) -> String {
    // extract() gives numeric from version 14 on: exact to the microsecond.
    format!(
        "(CASE WHEN isfinite({value}) AND extract(epoch FROM {value}) < 4e12 THEN ((extract(epoch FROM {value}) - 946684800) * 1000000)::pg_catalog.int8 END)"
    )
}

/// SQL giving the timestamptz of microseconds since 2000-01-01 UTC. Seconds and the rest are added apart: an interval times a number is computed
/// in floating point, which is exact only up to 2^53.
pub fn moment_of_micros_sql(micros: &str) -> String {
    format!(
        "('2000-01-01 00:00:00+00'::pg_catalog.timestamptz + ({micros}::pg_catalog.int8 / 1000000) * '1 second'::pg_catalog.interval \
          + ({micros}::pg_catalog.int8 % 1000000) * '1 microsecond'::pg_catalog.interval)"
    )
}

/// SQL giving the day since 2000-01-01 in which a moment lies. A day begins at local midnight as PostgreSQL places it, also where
/// clocks change at midnight, so that days are consecutive windows of time.
pub fn day_sql(value: &str) -> String {
    format!(
        "(((({value}) AT TIME ZONE @tz@)::pg_catalog.date - '2000-01-01'::pg_catalog.date) \
          - CASE WHEN ((({value}) AT TIME ZONE @tz@)::pg_catalog.date::pg_catalog.timestamp AT TIME ZONE @tz@) > ({value}) THEN 1 ELSE 0 END \
          + CASE WHEN (((({value}) AT TIME ZONE @tz@)::pg_catalog.date + 1)::pg_catalog.timestamp AT TIME ZONE @tz@) <= ({value}) THEN 1 ELSE 0 END)"
    )
}

/// SQL giving the instant at which a day (an integer expression, days since 2000-01-01) begins.
pub fn day_start_sql(day: &str) -> String {
    format!("(('2000-01-01'::pg_catalog.date + ({day}))::pg_catalog.timestamp AT TIME ZONE @tz@)")
}

/// SQL giving a property of an event as its declared type.
pub fn property_sql(properties: &str, name: &str, ty: &str) -> String {
    let text = format!("({properties} ->> {})", quote_literal(name));
    if ty == "text" { text } else { format!("({text}::pg_catalog.{})", pg_type(ty)) }
}

/// PostgreSQL's catalogue name of an attribute type.
pub fn pg_type(ty: &str) -> &str {
    match ty {
        "boolean" => "bool",
        "bigint" => "int8",
        other => other,
    }
}

/// SQL giving the text by which a coded value is found in its dictionary.
pub fn dictionary_text_sql(ty: &str, value: &str) -> String {
    if ty == "boolean" { format!("({value})::pg_catalog.text") } else { value.to_owned() }
}

/// A column of the wide table, quoted.
pub fn value_column(name: &str) -> String {
    quote_identifier(name)
}

/// Gives codes to the values of a query (one column `value` of text) that have none yet. Needs the workspace lock.
///
/// Returns how many values the dictionary now has.
pub fn learn(ws: &Workspace, dictionary_id: i32, values: &str) -> Result<i32, CdpError> {
    spi::run(
        &ws.sql(&format!(
            "INSERT INTO @ws@.dictionary (dictionary_id, code, value) \
             SELECT $1, (SELECT coalesce(max(d.code) + 1, 0) FROM @ws@.dictionary d WHERE d.dictionary_id = $1) + (row_number() OVER (ORDER BY v.value) - 1)::integer, v.value \
             FROM (SELECT DISTINCT x.value FROM ({values}) x WHERE x.value IS NOT NULL) v \
             WHERE NOT EXISTS (SELECT FROM @ws@.dictionary d WHERE d.dictionary_id = $1 AND d.value = v.value)"
        )),
        &[dictionary_id.into()],
    )?;
    Ok(spi::one::<i32>(
        &ws.sql("SELECT coalesce(max(d.code) + 1, 0) FROM @ws@.dictionary d WHERE d.dictionary_id = $1"),
        &[dictionary_id.into()],
    )?
    .unwrap_or(0))
}

/// Gives codes to some values that have none, and tells the code of each; `None` when the dictionary then has more than `most`.
pub fn learn_values(
    ws: &Workspace,
    dictionary_id: i32,
    values: Vec<String>,
    most: i32,
) -> Result<Option<Vec<(String, i64)>>, CdpError> {
    let known = |values: Vec<String>| {
        spi::rows(
            &ws.sql(
                "SELECT x.value, d.code::pg_catalog.int8 FROM unnest($2::pg_catalog.text[]) x(value) LEFT JOIN @ws@.dictionary d ON d.dictionary_id = $1 AND d.value = x.value",
            ),
            &[dictionary_id.into(), values.into()],
            |row| Ok((spi::must::<String>(row, 1)?, row.get::<i64>(2)?)),
        )
    };
    let mut found = known(values)?;
    let new: Vec<String> = found.iter().filter(|(_, code)| code.is_none()).map(|(value, _)| value.clone()).collect();
    if !new.is_empty() {
        ws.lock_codes()?;
        let quoted: Vec<String> = new.iter().map(quote_literal).collect();
        if learn(
            ws,
            dictionary_id,
            &format!("SELECT x AS value FROM unnest(ARRAY[{}]::pg_catalog.text[]) x", quoted.join(", ")),
        )? > most
        {
            return Ok(None);
        }
        found.retain(|(_, code)| code.is_some());
        found.extend(known(new)?);
    }
    found
        .into_iter()
        .map(|(value, code)| Ok((value, code.ok_or_else(|| CdpError::internal("a value was not learnt"))?)))
        .collect::<Result<Vec<_>, CdpError>>()
        .map(Some)
}

/// Enters the forward column of an attribute that is kept as sets, unless there is one. The next flush builds it.
pub fn add_forward(ws: &Workspace, attribute_id: i32) -> Result<(), CdpError> {
    spi::run(
        &ws.sql(
            "INSERT INTO @ws@.store_column (kind, encoding, attribute_id, state) VALUES ('forward', 'codes', $1, 'stale') \
             ON CONFLICT (attribute_id, kind) DO NOTHING",
        ),
        &[attribute_id.into()],
    )?;
    Ok(())
}

/// Removes the forward column of an attribute, if there is one.
pub fn drop_forward(ws: &Workspace, attribute_id: i32) -> Result<(), CdpError> {
    let columns = spi::rows(
        &ws.sql(
            "DELETE FROM @ws@.store_column c WHERE c.attribute_id = $1 AND c.kind = 'forward' RETURNING c.column_id",
        ),
        &[attribute_id.into()],
        |row| spi::must::<i32>(row, 1),
    )?;
    columns.into_iter().try_for_each(|column_id| clear(ws, column_id))
}

/// Keeps the values of a text attribute as numbers from now on: there are too many for a set each. The column is built anew, the forward column goes.
pub fn keep_as_numbers(ws: &Workspace, attribute_id: i32, column_id: i32) -> Result<(), CdpError> {
    spi::run(&ws.sql("UPDATE @ws@.store_column SET encoding = 'number' WHERE column_id = $1"), &[column_id.into()])?;
    drop_forward(ws, attribute_id)
}

/// Takes a column out of use: `stale` until the next flush rebuilds it, `off` for good. Its cells are removed.
pub fn retire(ws: &Workspace, column_id: i32, state: &str) -> Result<(), CdpError> {
    spi::run(
        &ws.sql("UPDATE @ws@.store_column SET state = $2 WHERE column_id = $1"),
        &[column_id.into(), state.into()],
    )?;
    clear(ws, column_id)
}

/// Removes every cell of a column.
pub fn clear(ws: &Workspace, column_id: i32) -> Result<(), CdpError> {
    spi::run(&ws.sql("DELETE FROM @ws@.chunk WHERE column_id = $1"), &[column_id.into()])?;
    spi::run(&ws.sql("DELETE FROM @ws@.pending WHERE column_id = $1"), &[column_id.into()])?;
    Ok(())
}
