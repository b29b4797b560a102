//! One batch of a source: the rows of the spool as identifiers, traits and events. A row whose expressions fail is found by halving and rejected alone.

use super::describe::{ROW, as_text};
use super::mapping::EventMapping;
use super::spool::Source;
use crate::error::CdpError;
use crate::event::dictionary::{NAME_BYTES, Property};
use crate::identity::gather::{Refused, Shown, Sights};
use crate::identity::rules::Rules;
use crate::pg::halving::halving;
use crate::pg::{spi, temp, tuples};
use crate::quality::tally::{Level, Tally};
use crate::workspace::Workspace;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::spi::quote_literal;

/// A trait of the mapping with its attribute.
pub struct Trait {
    /// Number of the attribute.
    pub attribute_id: i32,
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: String,
    /// The expression.
    pub expression: String,
}

/// An identifier of the mapping with its type.
pub struct Identifier {
    /// Number of the type.
    pub type_id: i32,
    /// Its name.
    pub name: String,
    /// The expression.
    pub expression: String,
}

impl Identifier {
    /// SQL giving it as a text.
    pub fn sql(&self) -> String {
        format!("(\n{}\n)::pg_catalog.text", self.expression)
    }
}

/// Everything about a source that a batch needs.
pub struct Plan {
    /// The source.
    pub source: Source,
    /// Identifiers in the order of the mapping.
    pub identifiers: Vec<Identifier>,
    /// Traits in the order of the mapping.
    pub traits: Vec<Trait>,
    /// Properties in the order of the mapping.
    pub properties: Vec<Property>,
}

impl Plan {
    /// Whether the rows show identifiers and nothing else that is kept: then they need not be mapped into a table.
    pub fn plain(&self) -> bool {
        self.traits.is_empty() && self.source.mapping.event.is_none() && !self.source.mapping.retract
    }

    /// Whether the rows are events, and say nothing else but whose they are.
    pub fn events_only(&self) -> bool {
        self.traits.is_empty() && self.source.mapping.event.is_some() && !self.source.mapping.retract
    }
}

/// Makes or empties the temporary table of a batch of plain rows: which of them are rejected.
pub fn prepare_plain() -> Result<(), CdpError> {
    temp::table("cdp_rejected", "rn pg_catalog.int8")
}

/// Makes or empties the temporary tables of a batch: its rows as mapped, and which of them are rejected.
pub fn prepare() -> Result<(), CdpError> {
    prepare_plain()?;
    temp::table(
        "cdp_row",
        "rn pg_catalog.int8, k pg_catalog.text, seen pg_catalog.timestamptz, identifiers pg_catalog.text[], traits pg_catalog.jsonb, event pg_catalog.text, \
         event_at pg_catalog.timestamptz, event_key pg_catalog.text, properties pg_catalog.jsonb, received pg_catalog.timestamptz, original pg_catalog.timestamptz",
    )
}

/// What the rejects keep of a row, as [`crate::event::validate::validate`] takes it.
pub const PAYLOAD: &str = "SELECT s.rn, s.k AS key, to_jsonb(s.r) AS payload FROM pg_temp.cdp_spool s";

/// Maps the rows of the spool with `after < rn <= upto` into `cdp_row`; returns how many were rejected.
pub fn map(ws: &Workspace, plan: &Plan, after: i64, upto: i64, tally: &mut Tally) -> Result<i64, CdpError> {
    let sql = map_sql(plan);
    let take = |after: i64, upto: i64| Ok(spi::run(&sql, &[after.into(), upto.into()]).map(drop)?);
    let rejected = each(ws, plan, after, upto, tally, take)?;
    present(plan, tally)?;
    Ok(rejected)
}

/// How many rows of the spool there are with `after < rn <= upto`.
pub fn count(after: i64, upto: i64) -> Result<i64, CdpError> {
    let rows = "SELECT count(*) FROM pg_temp.cdp_spool s WHERE s.rn > $1 AND s.rn <= $2";
    Ok(spi::one::<i64>(rows, &[after.into(), upto.into()])?.unwrap_or(0))
}

/// So many rows are read at a time: PostgreSQL holds all that a query gives.
const READ_AT_ONCE: i64 = 50_000;

/// So many rows are taken together whatever memory they take, and no more than so many.
const TOGETHER: std::ops::Range<usize> = 100_000..20_000_000;

/// About how many bytes rows take until they are written, with all that is made of them.
pub fn memory_of(shown: &Shown) -> usize {
    PER_BYTE * shown.bytes()
}

/// How many times as much memory as the rows themselves what is made of them takes: measured, with indexes that are built at the end.
const PER_BYTE: usize = 5;

/// Maps rows of the spool with `after < rn <= upto` of a source that is [`Plan::plain`]: all, or as many as about the given memory holds. Also gives how many were rejected, and the position reached.
pub fn read(
    ws: &Workspace,
    plan: &Plan,
    (after, upto): (i64, i64),
    memory: Option<usize>,
    tally: &mut Tally,
) -> Result<(Shown, i64, i64), CdpError> {
    let sql = spooled_sql(&[RN, SEEN], plan.identifiers.iter().map(Identifier::sql).map(Value::Of));
    let mut shown = Shown::default();
    let width = plan.identifiers.len();
    let mut rejected = 0;
    let mut reached = after;
    let full = |shown: &Shown| {
        let rows = shown.len();
        memory.is_some_and(|most| rows >= TOGETHER.end || rows >= TOGETHER.start && memory_of(shown) >= most)
    };
    while reached < upto && !full(&shown) {
        let to = upto.min(reached.saturating_add(READ_AT_ONCE));
        let take = |after: i64, upto: i64| {
            tuples::each(&sql, &[after.into(), upto.into()], |row| {
                for column in 0..width {
                    row.text(column + 3, |value| shown.value(column, value))?.transpose()?;
                }
                shown.end_row(row.int8(1)?, row.time(2)?, None);
                Ok(())
            })?;
            Ok(())
        };
        rejected += each(ws, plan, reached, to, tally, take)?;
        reached = to;
    }
    tally_identifiers(plan, &shown, tally)?;
    Ok((shown, rejected, reached))
}

/// Counts which of some rows have a value of each identifier.
pub fn tally_identifiers(plan: &Plan, shown: &Shown, tally: &mut Tally) -> Result<(), CdpError> {
    let count = |n: usize| i64::try_from(n).map_err(|_| CdpError::limit("too many rows"));
    if !shown.is_empty() {
        for (column, identifier) in plan.identifiers.iter().enumerate() {
            let (rows, with) = (count(shown.len())?, count(shown.with_value(column))?);
            tally.field("identifier", "", &identifier.name, rows, with);
        }
    }
    Ok(())
}

/// Calls `take` for the rows of the spool with `after < rn <= upto`, in parts when an expression fails. Returns how many rows were rejected for that.
fn each(
    ws: &Workspace,
    plan: &Plan,
    after: i64,
    upto: i64,
    tally: &mut Tally,
    take: impl FnMut(i64, i64) -> Result<(), ErrorReport>,
) -> Result<i64, CdpError> {
    let mut rejected = 0;
    halving(after, upto, take, |rn, failure| {
        rejected += 1;
        spi::run(
            &ws.sql(
                "WITH noted AS (INSERT INTO pg_temp.cdp_rejected (rn) VALUES ($3)) \
                 INSERT INTO @ws@.reject (source_id, key, payload, code, reason) SELECT $1, s.k, to_jsonb(s.r), 'expression_failed', $2 FROM pg_temp.cdp_spool s WHERE s.rn = $3 ON CONFLICT DO NOTHING",
            ),
            &[plan.source.source_id.into(), failure.message.into(), rn.into()],
        )?;
        Ok(())
    })?;
    tally.rejected += rejected;
    tally.broken(Level::Reject, "expression_failed", rejected);
    Ok(rejected)
}

/// Counts which of the mapped rows have a value of what.
fn present(plan: &Plan, tally: &mut Tally) -> Result<(), CdpError> {
    let identifiers = (1..=plan.identifiers.len()).map(|i| format!("count(nullif(r.identifiers[{i}], ''))"));
    let traits = plan.traits.iter().map(|t| format!("count(*) FILTER (WHERE r.traits ? '{}')", t.attribute_id));
    let properties =
        plan.properties.iter().map(|p| format!("count(*) FILTER (WHERE r.properties ? {})", quote_literal(&p.name)));
    let counts: Vec<String> = identifiers.chain(traits).chain(properties).collect();
    let sql = format!(
        "SELECT r.event, count(*), ARRAY[{}]::pg_catalog.int8[] FROM pg_temp.cdp_row r GROUP BY 1",
        counts.join(", ")
    );
    let found = spi::rows(&sql, &[], |row| {
        Ok((row.get::<String>(1)?, spi::must::<i64>(row, 2)?, spi::must::<Vec<i64>>(row, 3)?))
    })?;
    for (event, rows, counts) in found {
        let mut counts = counts.into_iter();
        for identifier in &plan.identifiers {
            tally.field("identifier", "", &identifier.name, rows, counts.next().unwrap_or(0));
        }
        for t in &plan.traits {
            tally.field("trait", "", &t.name, rows, counts.next().unwrap_or(0));
        }
        // What cannot be a name is none of the dictionary's.
        let Some(event) = event.filter(|event| !event.is_empty() && event.len() <= NAME_BYTES) else { continue };
        for property in &plan.properties {
            tally.field("property", &event, &property.name, rows, counts.next().unwrap_or(0));
        }
    }
    Ok(())
}

/// Counts the rows of which something can be used, when all that cannot is out: their events, and the latest time they speak of.
pub fn usable(tally: &mut Tally) -> Result<(), CdpError> {
    let found = spi::rows(
        "SELECT count(r.event), max(coalesce(r.event_at, r.seen)) FILTER (WHERE isfinite(coalesce(r.event_at, r.seen))) FROM pg_temp.cdp_row r",
        &[],
        |row| Ok((spi::must::<i64>(row, 1)?, row.get::<TimestampWithTimeZone>(2)?)),
    )?;
    for (events, newest) in found {
        tally.events += events;
        tally.newest = newest;
    }
    Ok(())
}

/// The most pairs one call of jsonb_build_object() takes: PostgreSQL allows 100 arguments.
const PAIRS_PER_CALL: usize = 50;

/// SQL giving a jsonb object without nulls from `key, value` pairs.
fn object_sql(pairs: &[String]) -> String {
    if pairs.is_empty() {
        return "'{}'::pg_catalog.jsonb".to_owned();
    }
    let calls: Vec<String> =
        pairs.chunks(PAIRS_PER_CALL).map(|some| format!("jsonb_build_object({})", some.join(", "))).collect();
    format!("jsonb_strip_nulls({})", calls.join(" || "))
}

/// The statement that evaluates the mapping.
fn map_sql(plan: &Plan) -> String {
    let identifiers: Vec<String> = plan.identifiers.iter().map(Identifier::sql).collect();
    let mut traits: Vec<String> = Vec::new();
    for t in &plan.traits {
        traits.push(format!(
            "{}, nullif({}, '')",
            quote_literal(t.attribute_id.to_string()),
            as_text(&t.expression, &t.ty)
        ));
    }
    let mut values = vec![
        Value::Of(format!("ARRAY[{}]::pg_catalog.text[]", identifiers.join(", "))),
        Value::Of(object_sql(&traits)),
    ];
    match &plan.source.mapping.event {
        None => values.extend(["NULL"; 4].map(Value::Own)),
        Some(event) => {
            let properties: Vec<String> = properties_sql(plan, event)
                .map(|(property, value)| format!("{}, {value}", quote_literal(&property.name)))
                .collect();
            values.extend(event_values(event));
            values.push(Value::Of(object_sql(&properties)));
        }
    }
    format!(
        "INSERT INTO pg_temp.cdp_row (rn, k, seen, identifiers, traits, event, event_at, event_key, properties) {}",
        spooled_sql(&[RN, K, SEEN], values.into_iter())
    )
}

/// Name, time and key of the event that a row is, in this order.
fn event_values(event: &EventMapping) -> [Value; 3] {
    [
        Value::Of(format!("(\n{}\n)::pg_catalog.text", event.name)),
        Value::Of(format!("(\n{}\n)::pg_catalog.timestamptz", event.at)),
        event.id.as_ref().map_or(Value::Own(K), |id| Value::Of(format!("(\n{id}\n)::pg_catalog.text"))),
    ]
}

/// SQL giving the properties of the event that a row is, each in its type.
fn properties_sql<'a>(plan: &'a Plan, event: &'a EventMapping) -> impl Iterator<Item = (&'a Property, String)> {
    plan.properties.iter().zip(&event.properties).map(|(property, (_, expression))| {
        (property, format!("(\n{expression}\n)::pg_catalog.{}", crate::store::column::pg_type(&property.ty)))
    })
}

/// The type of properties that [`read_sql`] gives as they are.
pub const PLAIN_TEXT: &str = "text";

/// The statement that gives the rows of the spool with `$1 < rn <= $2` of a source that is [`Plan::events_only`], in their order: number, time they speak of, name, time and key of the event,
/// then each identifier as text, then each property: a text as it is, any other as the text of its jsonb.
pub fn read_sql(plan: &Plan, event: &EventMapping) -> String {
    let identifiers = plan.identifiers.iter().map(Identifier::sql);
    let properties = properties_sql(plan, event).map(|(property, value)| {
        if property.ty == PLAIN_TEXT { value } else { format!("to_jsonb({value})::pg_catalog.text") }
    });
    spooled_sql(&[RN, SEEN], event_values(event).into_iter().chain(identifiers.chain(properties).map(Value::Of)))
}

// What the spool knows of a row.
/// Its number.
const RN: &str = "\"cdp$spool\".\"cdp$rn\"";
/// Its key.
const K: &str = "\"cdp$spool\".\"cdp$k\"";
/// The time that it speaks of.
const SEEN: &str = "\"cdp$spool\".\"cdp$seen\"";

/// A value that a statement gives of a row.
enum Value {
    /// What the spool knows of it.
    Own(&'static str),
    /// An expression over its columns.
    Of(String),
}

/// The query that gives values of the rows of the spool with `$1 < rn <= $2` in their order: some that the spool knows, then others. Expressions see the columns of the relation first, whatever
/// those are called.
fn spooled_sql(own: &[&str], values: impl Iterator<Item = Value>) -> String {
    let mut given: Vec<String> = own.iter().map(|own| (*own).to_owned()).collect();
    let mut expressions: Vec<String> = Vec::new();
    for value in values {
        given.push(match value {
            Value::Own(own) => own.to_owned(),
            Value::Of(expression) => {
                let name = format!("\"c{}\"", expressions.len());
                expressions.push(format!("{expression} AS {name}"));
                format!("\"cdp$of\".{name}")
            }
        });
    }
    format!(
        "SELECT {given} FROM (SELECT s.rn AS \"cdp$rn\", s.k AS \"cdp$k\", s.seen AS \"cdp$seen\", s.r AS \"cdp$r\" FROM pg_temp.cdp_spool s WHERE s.rn > $1 AND s.rn <= $2) AS \"cdp$spool\" \
         CROSS JOIN LATERAL (SELECT {expressions} FROM (SELECT (\"cdp$spool\".\"cdp$r\").*) AS {ROW}) AS \"cdp$of\" ORDER BY {RN}",
        given = given.join(", "),
        expressions = expressions.join(", ")
    )
}

/// Events outside this span are rejected: inside it a day before and after each is still a timestamp in every time zone.
const EARLIEST_EVENT: &str = "4600-01-01 00:00:00+00 BC";
/// See [`EARLIEST_EVENT`].
const LATEST_EVENT: &str = "100000-01-01 00:00:00+00";

/// What is wrong with the event of a row, and the code of it.
const FAULTS: [(&str, &str); 5] = [
    ("event_time_null", "event time is null"),
    ("event_time_infinite", "event time is infinite"),
    ("event_time_out_of_range", "event time is out of range"),
    ("event_id_null", "event id is null"),
    ("event_name_invalid", "event name is not 1 to 63 bytes long"),
];

/// What the batch shows of identifiers. Values that are invalid or blocked are told to the rejects; rows without any strong identifier and rows whose event is none
/// are rejected. Returns how many rows were rejected.
pub fn identify(ws: &Workspace, plan: &Plan, rules: &Rules, tally: &mut Tally) -> Result<(Sights, i64), CdpError> {
    let mut shown = Shown::default();
    spi::rows(
        "SELECT r.rn, coalesce(r.seen, r.event_at), r.identifiers, \
            CASE WHEN r.event IS NULL THEN NULL WHEN r.event_at IS NULL THEN $3[1] WHEN NOT isfinite(r.event_at) THEN $3[2] \
                 WHEN r.event_at < $1::pg_catalog.text::pg_catalog.timestamptz OR r.event_at >= $2::pg_catalog.text::pg_catalog.timestamptz THEN $3[3] \
                 WHEN r.event_key IS NULL THEN $3[4] WHEN r.event = '' OR octet_length(r.event) > 63 THEN $3[5] END \
         FROM pg_temp.cdp_row r ORDER BY r.rn",
        &[EARLIEST_EVENT.into(), LATEST_EVENT.into(), FAULTS.map(|(_, fault)| fault).to_vec().into()],
        |row| {
            let values: Vec<Option<String>> = spi::must(row, 3)?;
            for (column, value) in values.iter().enumerate() {
                shown.value(column, value.as_deref().unwrap_or_default())?;
            }
            shown.end_row(spi::must(row, 1)?, row.get(2)?, row.get(4)?);
            Ok(())
        },
    )?;
    let (sights, useless) = sights(ws, plan, rules, &shown, tally)?;
    let rejected = reject(ws, plan, useless)?;
    temp::analyze("cdp_row", "event")?;
    Ok((sights, rejected))
}

/// Rows that are rejected: their numbers, each with a code and a reason.
#[derive(Default)]
pub struct Useless {
    /// The numbers.
    pub rns: Vec<i64>,
    /// The codes.
    pub codes: Vec<&'static str>,
    /// The reasons.
    pub reasons: Vec<String>,
}

/// What rows show of identifiers, and which of them are to be rejected; `tally` counts those. Values that are invalid or blocked are told to the rejects.
pub fn sights(
    ws: &Workspace,
    plan: &Plan,
    rules: &Rules,
    shown: &Shown,
    tally: &mut Tally,
) -> Result<(Sights, Useless), CdpError> {
    let types: Vec<i32> = plan.identifiers.iter().map(|identifier| identifier.type_id).collect();
    let (mut refused, mut useless) = (Vec::new(), Useless::default());
    let sights = Sights::of(ws, rules, &types, shown, &mut refused, &mut useless.rns)?;
    if !refused.is_empty() {
        tell(ws, plan, refused, tally)?;
    }
    for rn in &useless.rns {
        let reason = shown.fault(*rn).unwrap_or("no usable strong identifier");
        let code = FAULTS.iter().find(|(_, fault)| *fault == reason).map_or("no_identifier", |(code, _)| code);
        tally.broken(Level::Reject, code, 1);
        tally.rejected += 1;
        useless.codes.push(code);
        useless.reasons.push(reason.to_owned());
    }
    Ok((sights, useless))
}

/// Tells the rejects which values are no identifiers.
fn tell(ws: &Workspace, plan: &Plan, refused: Vec<Refused>, tally: &mut Tally) -> Result<(), CdpError> {
    let (mut types, mut values, mut faults, mut codes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for value in refused {
        let code = if value.blocked { "identifier_blocked" } else { "identifier_invalid" };
        tally.broken(Level::Reject, code, 1);
        codes.push(code);
        types.push(value.type_name);
        values.push(value.value);
        faults.push(value.fault);
    }
    spi::run(
        &ws.sql(
            "INSERT INTO @ws@.reject (source_id, key, payload, kind, code, reason) \
             SELECT $1, NULL, jsonb_build_object('identifier_type', x.name, 'value', x.value), 'value', x.code, 'identifier ' || x.name || ' is ' || x.fault \
             FROM unnest($2::pg_catalog.text[], $3::pg_catalog.text[], $4::pg_catalog.text[], $5::pg_catalog.text[]) AS x(name, value, fault, code) ON CONFLICT DO NOTHING",
        ),
        &[plan.source.source_id.into(), types.into(), values.into(), faults.into(), codes.into()],
    )?;
    Ok(())
}

/// Rejects rows of the spool; returns how many.
pub fn reject(ws: &Workspace, plan: &Plan, useless: Useless) -> Result<i64, CdpError> {
    let Useless { rns, codes, reasons } = useless;
    if rns.is_empty() {
        return Ok(0);
    }
    let rejected = i64::try_from(rns.len()).map_err(|_| CdpError::limit("too many rejected rows"))?;
    if !plan.plain() {
        spi::run("DELETE FROM pg_temp.cdp_row r WHERE r.rn = ANY ($1)", &[rns.clone().into()])?;
    }
    spi::run(
        &ws.sql(
            "WITH x AS MATERIALIZED (SELECT * FROM unnest($2::pg_catalog.int8[], $3::pg_catalog.text[], $4::pg_catalog.text[]) AS x(rn, code, reason)), \
             noted AS (INSERT INTO pg_temp.cdp_rejected (rn) SELECT x.rn FROM x) \
             INSERT INTO @ws@.reject (source_id, key, payload, code, reason) \
             SELECT $1, s.k, to_jsonb(s.r), x.code, x.reason FROM x JOIN pg_temp.cdp_spool s USING (rn) ON CONFLICT DO NOTHING",
        ),
        &[plan.source.source_id.into(), rns.into(), codes.into(), reasons.into()],
    )?;
    Ok(rejected)
}
