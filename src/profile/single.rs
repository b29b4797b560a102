//! Traits of one profile, observed one message at a time: what [`super::observe`] does for a batch, decided in [`pg_cdp_core::survivorship`] and written by few
//! kept statements.

use crate::error::CdpError;
use crate::pg::spi::{self, Together};
use crate::store::column::{pg_type, value_column};
use crate::store::emit::AttributeColumn;
use crate::store::single;
use crate::workspace::Workspace;
use pg_cdp_core::survivorship::{self, Candidate, Kept, Kind, Rule};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::spi::SpiHeapTupleData;
use serde_json::{Map, Value};

/// A trait that got another value. Both are the text of its type; `None`: none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Number of the attribute.
    pub attribute_id: i32,
    /// Its name.
    pub name: String,
    /// What it was.
    pub before: Option<String>,
    /// What it is.
    pub after: Option<String>,
}

/// A trait that was observed.
struct Trait {
    attribute_id: i32,
    key: String,
    name: String,
    ty: String,
    kind: Kind,
    rule: Rule,
    column: Option<AttributeColumn>,
}

/// What was observed at one time by one source on one identifier of the profile.
struct Observation {
    node_id: i64,
    source_id: i32,
    trust: i32,
    at: TimestampWithTimeZone,
    traits: Map<String, Value>,
    changed: bool,
}

impl Observation {
    fn micros(&self) -> i64 {
        i64::from(self.at)
    }
}

/// Takes what a source observed on an identifier of a live profile; `None` is an explicit clear, an empty text says nothing. A text is as PostgreSQL writes the
/// trait's type under the pinned settings; sets as [`survivorship::print_texts`]. What is older than what is known is no news. Needs the workspace lock.
///
/// Returns the traits whose value for the profile is another one now.
pub fn observe(
    ws: &Workspace,
    source_id: i32,
    trust: i32,
    node_id: i64,
    profile_id: i64,
    at: TimestampWithTimeZone,
    traits: &[(i32, Option<String>)],
) -> Result<Vec<Changed>, CdpError> {
    let said: Vec<&(i32, Option<String>)> = traits.iter().filter(|(_, value)| value.as_deref() != Some("")).collect();
    if said.is_empty() {
        return Ok(Vec::new());
    }
    let known = registry(ws, said.iter().map(|(id, _)| *id).collect())?;
    let mut observations = observations(ws, profile_id, known.iter().map(|t| t.key.clone()).collect())?;
    let mut news = Map::new();
    let mut current: Vec<usize> = Vec::new();
    for (i, t) in known.iter().enumerate() {
        let Some((_, value)) = said.iter().find(|(id, _)| *id == t.attribute_id) else { continue };
        if admit(t, value.is_none(), (node_id, source_id, i64::from(at)), &mut observations) {
            news.insert(t.key.clone(), value.clone().map_or(Value::Null, Value::String));
            current.push(i);
        }
    }
    if news.is_empty() {
        return Ok(Vec::new());
    }
    let mut together = Together::default();
    replace(ws, node_id, source_id, &observations, &mut together)?;
    together.add(
        &ws.sql(
            "INSERT INTO @ws@.trait_observation AS o (node_id, source_id, observed_at, traits) VALUES ($1, $2, $3, $4::pg_catalog.text::pg_catalog.jsonb) \
             ON CONFLICT (node_id, source_id, observed_at) DO UPDATE SET traits = o.traits || excluded.traits",
        ),
        [node_id.into(), source_id.into(), at.into(), json(&news)?.into()],
    );
    observations.push(Observation { node_id, source_id, trust, at, traits: news, changed: false });
    let known: Vec<&Trait> = current.into_iter().filter_map(|i| known.get(i)).collect();
    let before = values(ws, profile_id, &known)?;
    let mut changed = Vec::new();
    for (t, before) in known.into_iter().zip(before) {
        let after = survivor(t, &observations);
        if !survivorship::same(t.kind, before.as_deref(), after.as_deref()) {
            changed.push((t, before, after));
        }
    }
    if !changed.is_empty() {
        remember(ws, profile_id, &changed, &observations, &mut together);
        let cells: Vec<single::Change> = changed
            .iter()
            .filter_map(|(t, before, after)| {
                let column = t.column.as_ref()?;
                Some(single::Change { column, before: before.as_deref(), after: after.as_deref() })
            })
            .collect();
        single::changes(ws, profile_id, &cells, &mut together)?;
        write(ws, profile_id, &changed, &mut together);
    }
    together.run(|_| Ok(()))?;
    let changed = changed.into_iter().map(|(t, before, after)| Changed {
        attribute_id: t.attribute_id,
        name: t.name.clone(),
        before,
        after,
    });
    Ok(changed.collect())
}

/// What is known of the traits, and their columns of bits.
fn registry(ws: &Workspace, ids: Vec<i32>) -> Result<Vec<Trait>, CdpError> {
    spi::rows_cached(
        &ws.sql(
            "SELECT a.attribute_id, a.name, a.type, a.rule, a.dictionary_id, c.column_id, c.encoding, c.scale, c.state, f.column_id, f.state \
             FROM @ws@.attribute a LEFT JOIN @ws@.store_column c ON c.attribute_id = a.attribute_id AND c.kind = 'attribute' \
             LEFT JOIN @ws@.store_column f ON f.attribute_id = a.attribute_id AND f.kind = 'forward' \
             WHERE a.kind = 'trait' AND a.attribute_id = ANY ($1) ORDER BY a.attribute_id",
        ),
        &[ids.into()],
        |row| {
            let (attribute_id, name, ty) = (spi::must::<i32>(row, 1)?, spi::must::<String>(row, 2)?, spi::must::<String>(row, 3)?);
            let rule: String = spi::must(row, 4)?;
            let (Some(kind), Some(rule)) = (Kind::named(&ty), Rule::named(&rule)) else {
                return Err(CdpError::internal(format!("trait \"{name}\" has an unknown type or rule")));
            };
            let column = match row.get::<i32>(6)? {
                None => None,
                Some(column_id) => Some(AttributeColumn {
                    attribute_id,
                    name: name.clone(),
                    ty: ty.clone(),
                    dictionary_id: spi::must(row, 5)?,
                    column_id,
                    encoding: spi::must(row, 7)?,
                    scale: spi::must(row, 8)?,
                    state: spi::must(row, 9)?,
                    forward: row.get::<i32>(10)?.zip(row.get::<String>(11)?),
                }),
            };
            Ok(Trait { attribute_id, key: attribute_id.to_string(), name, ty, kind, rule, column })
        },
    )
}

/// What is kept of these traits, on any identifier of the profile.
fn observations(ws: &Workspace, profile_id: i64, keys: Vec<String>) -> Result<Vec<Observation>, CdpError> {
    let read = |row: &SpiHeapTupleData| {
        let traits: String = spi::must(row, 5)?;
        let traits = serde_json::from_str(&traits).map_err(|_| CdpError::corrupted("trait observation"))?;
        Ok(Observation {
            node_id: spi::must(row, 1)?,
            source_id: spi::must(row, 2)?,
            trust: spi::must(row, 3)?,
            at: spi::must(row, 4)?,
            traits,
            changed: false,
        })
    };
    spi::rows_cached(
        &ws.sql(
            "SELECT o.node_id, o.source_id, s.trust, o.observed_at, o.traits::pg_catalog.text FROM @ws@.node n JOIN @ws@.trait_observation o USING (node_id) \
             JOIN @ws@.source s ON s.source_id = o.source_id WHERE n.profile_id = $1 AND o.traits ?| $2",
        ),
        &[profile_id.into(), keys.into()],
        read,
    )
}

/// Whether an observation is news; then what it replaces is taken out.
fn admit(t: &Trait, clear: bool, (node_id, source_id, at): (i64, i32, i64), observations: &mut [Observation]) -> bool {
    let (mut here, mut kept) = (Vec::new(), Vec::new());
    for (i, o) in observations.iter().enumerate().filter(|(_, o)| (o.node_id, o.source_id) == (node_id, source_id)) {
        if let Some(value) = o.traits.get(&t.key) {
            here.push(i);
            kept.push(Kept { observed_at: o.micros(), clear: value.is_null() });
        }
    }
    let Some(replaced) = survivorship::keep(t.rule, &kept, Kept { observed_at: at, clear }) else { return false };
    for (i, kept) in
        here.into_iter().zip(&kept).enumerate().filter_map(|(k, (i, kept))| {
            (replaced.contains(&k) || kept.observed_at == at).then_some((i, kept.observed_at))
        })
    {
        if let Some(o) = observations.get_mut(i) {
            o.traits.remove(&t.key);
            // What is of the same moment is overwritten as it is written.
            o.changed |= kept != at;
        }
    }
    true
}

/// Takes what was replaced out of what the source observed on the identifier before.
fn replace(
    ws: &Workspace,
    node_id: i64,
    source_id: i32,
    observations: &[Observation],
    together: &mut Together<'_>,
) -> Result<(), CdpError> {
    let (mut gone, mut moments, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for o in observations.iter().filter(|o| o.changed) {
        if o.traits.is_empty() {
            gone.push(o.at);
        } else {
            moments.push(o.at);
            rest.push(json(&o.traits)?);
        }
    }
    if !gone.is_empty() {
        together.add(
            &ws.sql("DELETE FROM @ws@.trait_observation o WHERE o.node_id = $1 AND o.source_id = $2 AND o.observed_at = ANY ($3)"),
            [node_id.into(), source_id.into(), gone.into()],
        );
    }
    if !moments.is_empty() {
        together.add(
            &ws.sql(
                "UPDATE @ws@.trait_observation o SET traits = x.traits::pg_catalog.jsonb FROM unnest($3::pg_catalog.timestamptz[], $4::pg_catalog.text[]) AS x(at, traits) \
                 WHERE o.node_id = $1 AND o.source_id = $2 AND o.observed_at = x.at",
            ),
            [node_id.into(), source_id.into(), moments.into(), rest.into()],
        );
    }
    Ok(())
}

fn json(traits: &Map<String, Value>) -> Result<String, CdpError> {
    serde_json::to_string(traits).map_err(|e| CdpError::internal(e.to_string()))
}

/// The present values.
fn values(ws: &Workspace, profile_id: i64, traits: &[&Trait]) -> Result<Vec<Option<String>>, CdpError> {
    let columns: Vec<String> = traits.iter().map(|t| format!("v.{}::pg_catalog.text", value_column(&t.name))).collect();
    let found = spi::rows_cached(
        &ws.sql(&format!("SELECT {} FROM @ws@.profile_value v WHERE v.profile_id = $1", columns.join(", "))),
        &[profile_id.into()],
        |row| (1..=traits.len()).map(|i| Ok(row.get::<String>(i)?)).collect::<Result<Vec<_>, CdpError>>(),
    )?;
    found.into_iter().next().ok_or_else(|| CdpError::internal(format!("profile {profile_id} does not live")))
}

/// The value that the observations come to.
fn survivor(t: &Trait, observations: &[Observation]) -> Option<String> {
    let candidates: Vec<Candidate> = observations
        .iter()
        .filter_map(|o| {
            let value = o.traits.get(&t.key)?.as_str();
            Some(Candidate { value, observed_at: o.micros(), trust: o.trust, source_id: o.source_id })
        })
        .collect();
    survivorship::survive(t.rule, t.kind, &candidates).value
}

/// A changed trait, what it was and what it is.
type Change<'a> = (&'a Trait, Option<String>, Option<String>);

/// Enters values that were replaced into the history, as [`super::history::newer`] does.
fn remember(
    ws: &Workspace,
    profile_id: i64,
    changed: &[Change<'_>],
    observations: &[Observation],
    together: &mut Together<'_>,
) {
    let (mut ids, mut before, mut after, mut moments) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (t, was, is) in changed {
        let moment = observations.iter().filter(|o| o.traits.contains_key(&t.key)).max_by_key(|o| o.micros());
        let Some(moment) = moment else { continue };
        ids.push(t.attribute_id);
        before.push(was.clone());
        after.push(is.clone());
        moments.push(moment.at);
    }
    together.add(
        &ws.sql(
            "WITH c AS MATERIALIZED (SELECT x.id, x.before, x.after, x.moment, \
                 (SELECT max(h.from_at) FROM @ws@.attribute_history h WHERE h.attribute_id = x.id AND h.profile_id = $1) AS last \
                 FROM unnest($2::pg_catalog.int4[], $3::pg_catalog.text[], $4::pg_catalog.text[], $5::pg_catalog.timestamptz[]) AS x(id, before, after, moment)) \
             INSERT INTO @ws@.attribute_history AS h (attribute_id, profile_id, from_at, value) \
             SELECT c.id, $1, '-infinity', c.before FROM c WHERE c.last IS NULL AND c.before IS NOT NULL \
             UNION ALL SELECT c.id, $1, greatest(c.moment, c.last), c.after FROM c WHERE c.last IS NOT NULL OR c.before IS NOT NULL \
             ON CONFLICT (attribute_id, profile_id, from_at) DO UPDATE SET value = excluded.value",
        ),
        [profile_id.into(), ids.into(), before.into(), after.into(), moments.into()],
    );
}

/// Writes the values to the wide table.
fn write(ws: &Workspace, profile_id: i64, changed: &[Change<'_>], together: &mut Together<'_>) {
    let mut set = Vec::new();
    let mut args = vec![profile_id.into()];
    for (i, (t, _, after)) in changed.iter().enumerate() {
        set.push(format!("{} = ${}::pg_catalog.text::pg_catalog.{}", value_column(&t.name), i + 2, pg_type(&t.ty)));
        args.push(after.clone().into());
    }
    together.add(&ws.sql(&format!("UPDATE @ws@.profile_value v SET {} WHERE v.profile_id = $1", set.join(", "))), args);
}
