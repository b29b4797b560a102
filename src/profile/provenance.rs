//! Where the value of each trait of a profile comes from: the source, when, by which rule, and what else was said.

use crate::error::CdpError;
use crate::pg::spi;
use crate::workspace::Workspace;
use pg_cdp_core::survivorship::{Candidate, Kind, Rule, parse_texts, survive};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Others that are told of each trait, the newest.
const MOST_OTHERS: usize = 20;

/// What a source said of a trait on one identifier.
struct Said {
    value: Option<String>,
    micros: i64,
    trust: i32,
    source_id: i32,
    source: String,
    observed_at: String,
    identifier: (String, String),
}

/// A trait and all that was said of it.
struct Trait {
    kind: Kind,
    rule: Rule,
    said: Vec<Said>,
}

/// An object of trait names, as text.
pub fn of(ws: &Workspace, profile_id: i64) -> Result<String, CdpError> {
    let mut traits: BTreeMap<String, Trait> = BTreeMap::new();
    let rows = spi::rows(
        &ws.sql(
            "SELECT a.name, a.type, a.rule, k.value, o.observed_at, to_jsonb(o.observed_at) #>> '{}', s.trust, s.source_id, s.name, t.name, n.value \
             FROM @ws@.node n JOIN @ws@.identifier_type t USING (type_id) JOIN @ws@.trait_observation o USING (node_id) JOIN @ws@.source s ON s.source_id = o.source_id \
             CROSS JOIN LATERAL jsonb_each_text(o.traits) k JOIN @ws@.attribute a ON a.attribute_id = k.key::pg_catalog.int4 \
             WHERE n.profile_id = $1 ORDER BY o.observed_at DESC, s.trust DESC, s.source_id, k.value COLLATE \"C\", n.node_id",
        ),
        &[profile_id.into()],
        |row| {
            let (ty, rule) = (spi::must::<String>(row, 2)?, spi::must::<String>(row, 3)?);
            let (Some(kind), Some(rule)) = (Kind::named(&ty), Rule::named(&rule)) else {
                return Err(CdpError::internal("a trait has an unknown type or rule"));
            };
            let said = Said {
                value: row.get(4)?,
                micros: i64::from(spi::must::<pgrx::datum::TimestampWithTimeZone>(row, 5)?),
                observed_at: spi::must(row, 6)?,
                trust: spi::must(row, 7)?,
                source_id: spi::must(row, 8)?,
                source: spi::must(row, 9)?,
                identifier: (spi::must(row, 10)?, spi::must(row, 11)?),
            };
            Ok((spi::must::<String>(row, 1)?, kind, rule, said))
        },
    )?;
    for (name, kind, rule, said) in rows {
        traits.entry(name).or_insert_with(|| Trait { kind, rule, said: Vec::new() }).said.push(said);
    }
    let told: Map<String, Value> = traits.into_iter().map(|(name, t)| (name, tell(&t))).collect();
    serde_json::to_string(&told).map_err(|e| CdpError::internal(e.to_string()))
}

fn tell(t: &Trait) -> Value {
    let candidates: Vec<Candidate> = t
        .said
        .iter()
        .map(|s| Candidate { value: s.value.as_deref(), observed_at: s.micros, trust: s.trust, source_id: s.source_id })
        .collect();
    let survivor = survive(t.rule, t.kind, &candidates);
    let all = |which: &dyn Fn(&usize) -> bool| -> Vec<Value> {
        let chosen = t.said.iter().enumerate().filter(|(i, _)| which(i)).take(MOST_OTHERS);
        chosen.map(|(_, said)| one(t.kind, said)).collect()
    };
    // Those said last come first.
    let winner = survivor.from.first().and_then(|i| t.said.get(*i));
    let mut out = Map::new();
    out.insert("source".to_owned(), winner.map_or(Value::Null, |w| json!(w.source)));
    out.insert("observed_at".to_owned(), winner.map_or(Value::Null, |w| json!(w.observed_at)));
    out.insert("rule".to_owned(), json!(t.rule.name()));
    if matches!(t.rule, Rule::Sum | Rule::Union) {
        out.insert("from".to_owned(), json!(all(&|i| survivor.from.contains(i))));
    }
    out.insert("others".to_owned(), json!(all(&|i| !survivor.from.contains(i))));
    Value::Object(out)
}

fn one(kind: Kind, said: &Said) -> Value {
    let (ty, value) = &said.identifier;
    json!({
        "value": said.value.as_deref().map_or(Value::Null, |text| typed(kind, text)),
        "source": said.source,
        "observed_at": said.observed_at,
        "identifier": {"type": ty, "value": value},
    })
}

/// A value as PostgreSQL's to_jsonb() gives it.
fn typed(kind: Kind, text: &str) -> Value {
    let read = || serde_json::from_str::<Value>(text).ok();
    let typed = match kind {
        Kind::Boolean => read().filter(Value::is_boolean),
        Kind::Bigint | Kind::Numeric => read().filter(Value::is_number),
        Kind::Texts => parse_texts(text).map(|elements| json!(elements)),
        Kind::Text | Kind::Date | Kind::Timestamptz => None,
    };
    typed.unwrap_or_else(|| json!(text))
}
