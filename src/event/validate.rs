//! The rules of the dictionary, applied to a batch before it lands: one statement over its rows, made of the rules there are. Without rules nothing is read but
//! the dictionary.

use crate::error::CdpError;
use crate::pg::{spi, temp};
use crate::quality::tally::{Level, Tally};
use crate::store::column::pg_type;
use crate::workspace::Workspace;
use crate::workspace::kept::{self, Kept};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::quote_literal;
use serde_json::{Map, Value};
use std::cell::Cell;
use std::rc::Rc;

/// The rules of a property or a trait.
struct Rule {
    /// The event type of a property; `None`: a trait.
    event: Option<String>,
    /// Name of the property or trait.
    name: String,
    /// Its key in the jsonb of the batch.
    key: String,
    ty: String,
    level: Level,
    required: bool,
    minimum: Option<String>,
    maximum: Option<String>,
    allowed: Option<Vec<String>>,
    pattern: Option<String>,
}

impl Rule {
    /// How a reason names it.
    fn label(&self) -> String {
        match &self.event {
            Some(event) => format!("property {} of {event}", self.name),
            None => format!("trait {}", self.name),
        }
    }

    /// SQL giving the text of the value of a row `r`.
    fn value_sql(&self) -> String {
        let column = if self.event.is_some() { "r.properties" } else { "r.traits" };
        format!("({column} ->> {})", quote_literal(&self.key))
    }

    /// SQL giving the code of the rule that a row `r` breaks; NULL: none.
    fn code_sql(&self) -> String {
        let value = self.value_sql();
        let ty = pg_type(&self.ty);
        let several = self.ty == "text[]";
        let mut sql = "CASE".to_owned();
        if let Some(event) = &self.event {
            sql.push_str(&format!(" WHEN r.event IS DISTINCT FROM {} THEN NULL", quote_literal(event)));
        }
        let missing = if self.required { "'required_missing'" } else { "NULL" };
        sql.push_str(&format!(" WHEN {value} IS NULL THEN {missing}"));
        for (bound, operator, code) in [(&self.minimum, "<", "below_minimum"), (&self.maximum, ">", "above_maximum")] {
            if let Some(bound) = bound {
                let bound = quote_literal(bound);
                sql.push_str(&format!(
                    " WHEN {value}::pg_catalog.{ty} {operator} {bound}::pg_catalog.{ty} THEN '{code}'"
                ));
            }
        }
        if let Some(allowed) = &self.allowed {
            let list: Vec<String> = allowed.iter().map(quote_literal).collect();
            let element = if several { "text" } else { ty };
            let list = format!("ARRAY[{}]::pg_catalog.{element}[]", list.join(", "));
            let inside = if several {
                format!("{value}::pg_catalog.text[] <@ {list}")
            } else {
                format!("{value}::pg_catalog.{ty} = ANY ({list})")
            };
            sql.push_str(&format!(" WHEN NOT {inside} THEN 'not_allowed'"));
        }
        if let Some(pattern) = &self.pattern {
            let pattern = quote_literal(pattern);
            let breaks = if several {
                format!("EXISTS (SELECT FROM unnest({value}::pg_catalog.text[]) u(e) WHERE u.e !~ {pattern})")
            } else {
                format!("{value} !~ {pattern}")
            };
            sql.push_str(&format!(" WHEN {breaks} THEN 'pattern_mismatch'"));
        }
        sql.push_str(" END");
        sql
    }
}

/// An event type of which older events are kept no more.
struct Past {
    event: String,
    from: String,
    /// The same in microseconds since 2000.
    from_micros: i64,
}

impl Past {
    /// SQL giving the code of an event of a row `r` that is older.
    fn code_sql(&self) -> String {
        format!(
            "CASE WHEN r.event = {} AND r.event_at < {}::pg_catalog.timestamptz THEN '{PAST_RETENTION}' END",
            quote_literal(&self.event),
            quote_literal(&self.from)
        )
    }

    /// How a reason names it.
    fn label(&self) -> String {
        format!("time of {}", self.event)
    }
}

/// All that values have to keep to.
struct All {
    rules: Vec<Rule>,
    past: Vec<Past>,
}

thread_local! {
    static KEPT: Cell<Option<Kept<All>>> = const { Cell::new(None) };
}

impl All {
    /// As the dictionary has it, which is read when it has changed.
    fn load(ws: &Workspace) -> Result<Rc<Self>, CdpError> {
        kept::load(&KEPT, ws, &["event_type", "property", "attribute"], || {
            Ok(Self { rules: rules(ws)?, past: past(ws)? })
        })
    }
}

/// Whether there is anything to keep to.
pub fn any(ws: &Workspace) -> Result<bool, CdpError> {
    let all = All::load(ws)?;
    Ok(!all.rules.is_empty() || !all.past.is_empty())
}

/// What events have to keep to, as it is now.
pub struct Bounds(Rc<All>);

impl Bounds {
    /// As the dictionary has it.
    pub fn load(ws: &Workspace) -> Result<Self, CdpError> {
        All::load(ws).map(Self)
    }

    /// Whether an event of a type at a moment, in microseconds since 2000, may break something.
    pub fn bind(&self, event: &str, at: i64) -> bool {
        self.0.rules.iter().any(|rule| rule.event.as_deref() == Some(event))
            || self.0.past.iter().any(|past| past.event == event && at < past.from_micros)
    }
}

/// A rule that a message breaks.
pub struct Broken {
    /// The trait whose value breaks it; `None`: the event does.
    pub attribute_id: Option<i32>,
    /// What it leads to.
    pub level: Level,
    /// Its code.
    pub code: String,
    /// Which value, what it breaks, the value.
    pub reason: String,
}

/// The rules that one message breaks: its event, with time and properties as the text of a JSON object, and its traits, an object of attribute numbers to texts. Without rules of them
/// nothing is asked.
pub fn one(
    ws: &Workspace,
    event: Option<(&str, TimestampWithTimeZone, &str)>,
    traits: &[(i32, Option<&str>)],
) -> Result<Vec<Broken>, CdpError> {
    let all = All::load(ws)?;
    let (mut tests, mut parts) = (Vec::new(), Vec::new());
    for rule in &all.rules {
        let attribute_id = match (&rule.event, &event) {
            (Some(of), Some((name, ..))) if of == name => None,
            (None, _) => match traits.iter().find(|(id, value)| value.is_some() && id.to_string() == rule.key) {
                Some((id, _)) => Some(*id),
                None => continue,
            },
            _ => continue,
        };
        tests.push(format!("({}, {}, {})", parts.len(), rule.code_sql(), rule.value_sql()));
        parts.push((attribute_id, rule.level, rule.label()));
    }
    for past in all.past.iter().filter(|past| event.is_some_and(|(name, ..)| name == past.event)) {
        tests.push(format!("({}, {}, r.event_at::pg_catalog.text)", parts.len(), past.code_sql()));
        parts.push((None, Level::Reject, past.label()));
    }
    if tests.is_empty() {
        return Ok(Vec::new());
    }
    let said: Map<String, Value> =
        traits.iter().filter_map(|(id, value)| Some((id.to_string(), Value::String((*value)?.to_owned())))).collect();
    let (name, at, properties) = match event {
        Some((name, at, properties)) => (Some(name), Some(at), Some(properties)),
        None => (None, None, None),
    };
    let sql = format!(
        "SELECT f.part, f.code, f.value FROM (SELECT $1::pg_catalog.text AS event, $2::pg_catalog.timestamptz AS event_at, $3::pg_catalog.text::pg_catalog.jsonb AS properties, \
            $4::pg_catalog.text::pg_catalog.jsonb AS traits) r CROSS JOIN LATERAL (VALUES {}) AS f(part, code, value) WHERE f.code IS NOT NULL ORDER BY 1",
        tests.join(", ")
    );
    let found = spi::rows_cached(
        &sql,
        &[name.into(), at.into(), properties.into(), Value::Object(said).to_string().into()],
        |row| Ok((spi::must::<i32>(row, 1)?, spi::must::<String>(row, 2)?, row.get::<String>(3)?)),
    )?;
    let mut broken = Vec::with_capacity(found.len());
    for (part, code, value) in found {
        let Some((attribute_id, level, label)) = usize::try_from(part).ok().and_then(|part| parts.get(part)) else {
            continue;
        };
        let value = value.map(|value| format!(" ({})", value.chars().take(64).collect::<String>())).unwrap_or_default();
        let reason = format!("{label}: {}{value}", code.replace('_', " "));
        broken.push(Broken { attribute_id: *attribute_id, level: *level, code, reason });
    }
    Ok(broken)
}

/// Code of an event that is older than what is kept of its type.
const PAST_RETENTION: &str = "past_retention";

/// Applies the rules to the rows of `cdp_row`. What breaks one is counted; when the rule says so the event is taken out of its row, or the value of a trait out of
/// its traits, and goes to the rejects. `payload` is a FROM item with columns `rn`, `key` and `payload`, of `kind` row or message: what the rejects keep. Returns how many events
/// were rejected.
pub fn validate(ws: &Workspace, source_id: i32, payload: &str, kind: &str, tally: &mut Tally) -> Result<i64, CdpError> {
    let all = All::load(ws)?;
    let (rules, past) = (&all.rules, &all.past);
    if rules.is_empty() && past.is_empty() {
        return Ok(0);
    }
    let (mut tests, mut labels, mut levels) = (Vec::new(), Vec::new(), Vec::new());
    for rule in rules {
        tests.push(format!("({}, {}, {})", labels.len(), rule.code_sql(), rule.value_sql()));
        labels.push(rule.label());
        levels.push(rule.level);
    }
    for past in past {
        tests.push(format!("({}, {}, r.event_at::pg_catalog.text)", labels.len(), past.code_sql()));
        labels.push(past.label());
        levels.push(Level::Reject);
    }
    temp::table(
        "cdp_violation",
        "rn pg_catalog.int8, rule pg_catalog.int4, code pg_catalog.text, value pg_catalog.text",
    )?;
    let broken = spi::run(
        &format!(
            "INSERT INTO pg_temp.cdp_violation (rn, rule, code, value) SELECT r.rn, f.rule, f.code, f.value \
             FROM pg_temp.cdp_row r CROSS JOIN LATERAL (VALUES {}) AS f(rule, code, value) WHERE f.code IS NOT NULL",
            tests.join(", ")
        ),
        &[],
    )?;
    if broken == 0 {
        return Ok(0);
    }
    let counts = "SELECT v.rule, v.code, count(*) FROM pg_temp.cdp_violation v GROUP BY 1, 2";
    for (rule, code, times) in spi::rows(counts, &[], |row| {
        Ok((spi::must::<i32>(row, 1)?, spi::must::<String>(row, 2)?, spi::must::<i64>(row, 3)?))
    })? {
        let level = usize::try_from(rule).ok().and_then(|rule| levels.get(rule)).copied().unwrap_or(Level::Reject);
        tally.broken(level, &code, times);
    }
    let rejecting = |of_events: bool| -> Vec<i32> {
        (0i32..)
            .zip(&levels)
            .filter(|(i, level)| {
                let of_trait = usize::try_from(*i).ok().and_then(|i| rules.get(i)).is_some_and(|r| r.event.is_none());
                **level == Level::Reject && of_trait != of_events
            })
            .map(|(i, _)| i)
            .collect()
    };
    traits(ws, source_id, payload, kind, rules, &labels, rejecting(false))?;
    let rejected = events(ws, source_id, payload, kind, &labels, rejecting(true))?;
    tally.rejected += rejected;
    Ok(rejected)
}

/// What a reason says: which value, what it breaks, the value.
const REASON: &str = "format('%s: %s%s', l.label, replace(v.code, '_', ' '), ' (' || left(v.value, 64) || ')')";

/// Rejects events: their rows stay with what else they say.
fn events(
    ws: &Workspace,
    source_id: i32,
    payload: &str,
    kind: &str,
    labels: &[String],
    rules: Vec<i32>,
) -> Result<i64, CdpError> {
    let rejected = spi::one::<i64>(
        &ws.sql(&format!(
            "WITH x AS MATERIALIZED (SELECT v.rn, (array_agg(v.code ORDER BY v.rule))[1] AS code, string_agg({REASON}, '; ' ORDER BY v.rule) AS reason \
               FROM pg_temp.cdp_violation v JOIN unnest($3::pg_catalog.text[]) WITH ORDINALITY AS l(label, i) ON l.i = v.rule + 1 WHERE v.rule = ANY ($4) GROUP BY 1), \
             out AS (UPDATE pg_temp.cdp_row r SET event = NULL FROM x WHERE x.rn = r.rn), \
             noted AS (INSERT INTO pg_temp.cdp_rejected (rn) SELECT x.rn FROM x), \
             told AS (INSERT INTO @ws@.reject (source_id, key, payload, kind, code, reason) \
               SELECT $1, p.key, p.payload, $2, x.code, x.reason FROM x JOIN ({payload}) p USING (rn) ON CONFLICT DO NOTHING) \
             SELECT count(*) FROM x"
        )),
        &[source_id.into(), kind.into(), labels.to_vec().into(), rules.into()],
    )?;
    Ok(rejected.unwrap_or(0))
}

/// Rejects values of traits.
fn traits(
    ws: &Workspace,
    source_id: i32,
    payload: &str,
    kind: &str,
    rules: &[Rule],
    labels: &[String],
    rejecting: Vec<i32>,
) -> Result<(), CdpError> {
    if rejecting.is_empty() {
        return Ok(());
    }
    let keys: Vec<String> = rules.iter().map(|rule| rule.key.clone()).collect();
    spi::run(
        &ws.sql(&format!(
            "WITH x AS MATERIALIZED (SELECT v.rn, k.key, v.code, {REASON} AS reason FROM pg_temp.cdp_violation v \
               JOIN unnest($3::pg_catalog.text[]) WITH ORDINALITY AS l(label, i) ON l.i = v.rule + 1 \
               JOIN unnest($5::pg_catalog.text[]) WITH ORDINALITY AS k(key, i) ON k.i = v.rule + 1 WHERE v.rule = ANY ($4)), \
             out AS (UPDATE pg_temp.cdp_row r SET traits = r.traits - n.keys FROM (SELECT x.rn, array_agg(x.key) AS keys FROM x GROUP BY 1) n WHERE n.rn = r.rn), \
             noted AS (INSERT INTO pg_temp.cdp_rejected (rn) SELECT DISTINCT x.rn FROM x) \
             INSERT INTO @ws@.reject (source_id, key, payload, kind, code, reason) \
             SELECT $1, p.key, p.payload, $2, x.code, x.reason FROM x JOIN ({payload}) p USING (rn) ON CONFLICT DO NOTHING"
        )),
        &[source_id.into(), kind.into(), labels.to_vec().into(), rejecting.into(), keys.into()],
    )?;
    Ok(())
}

/// The rules there are.
fn rules(ws: &Workspace) -> Result<Vec<Rule>, CdpError> {
    spi::rows_cached(
        &ws.sql(
            "SELECT t.name, p.name, p.name, p.type, p.validation, p.required, p.minimum, p.maximum, p.allowed, p.pattern \
             FROM @ws@.property p JOIN @ws@.event_type t USING (event_type_id) \
             WHERE p.validation <> 'off' AND (p.required OR coalesce(p.minimum, p.maximum, p.pattern) IS NOT NULL OR p.allowed IS NOT NULL) \
             UNION ALL SELECT NULL, a.name, a.attribute_id::pg_catalog.text, a.type, a.validation, false, a.minimum, a.maximum, a.allowed, a.pattern \
             FROM @ws@.attribute a WHERE a.kind = 'trait' AND a.validation <> 'off' AND (coalesce(a.minimum, a.maximum, a.pattern) IS NOT NULL OR a.allowed IS NOT NULL) \
             ORDER BY 1 NULLS FIRST, 2",
        ),
        &[],
        |row| {
            let level = if spi::must::<String>(row, 5)? == "reject" { Level::Reject } else { Level::Warn };
            Ok(Rule {
                event: row.get(1)?,
                name: spi::must(row, 2)?,
                key: spi::must(row, 3)?,
                ty: spi::must(row, 4)?,
                level,
                required: spi::must(row, 6)?,
                minimum: row.get(7)?,
                maximum: row.get(8)?,
                allowed: row.get(9)?,
                pattern: row.get(10)?,
            })
        },
    )
}

/// From when on events are kept, of types of which older ones are not.
fn past(ws: &Workspace) -> Result<Vec<Past>, CdpError> {
    spi::rows_cached(
        &ws.sql("SELECT t.name, t.kept_from::pg_catalog.text, t.kept_from FROM @ws@.event_type t WHERE t.kept_from IS NOT NULL ORDER BY 1"),
        &[],
        |row| {
            let from_micros = spi::must::<TimestampWithTimeZone>(row, 3)?.into();
            Ok(Past { event: spi::must(row, 1)?, from: spi::must(row, 2)?, from_micros })
        },
    )
}
