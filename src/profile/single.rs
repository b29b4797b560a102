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
/// trait's type under the pinned settings; sets as [`survivorship::print_texts`]. What is older than what is known is no news. Needs the workspace lock, or the lock of the person.
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
        remember(ws, profile_id, &moments(&changed, &observations), false, &mut together);
        let cells: Vec<single::Change> = changed
            .iter()
            .filter_map(|(t, before, after)| {
                let column = t.column.as_ref()?;
                Some(single::Change { column, before: before.as_deref(), after: after.as_deref() })
            })
            .collect();
        single::changes(ws, profile_id, &cells, &mut together)?;
        let values = changed.iter().map(|(t, _, after)| (t.name.as_str(), t.ty.as_str(), after.as_deref()));
        write(ws, profile_id, values, &mut together);
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

/// A tag that gets another value.
pub struct TagChange<'a> {
    /// Number of the attribute.
    pub attribute_id: i32,
    /// Its name.
    pub name: &'a str,
    /// Its type.
    pub ty: &'a str,
    /// Text of what it was.
    pub before: Option<&'a str>,
    /// Text of what it is.
    pub after: Option<&'a str>,
    /// Whether it is a change for the history: the first value that is computed for somebody is none.
    pub kept: bool,
}

/// Gives tags of a live profile other values from a moment on. Needs the workspace lock, or the lock of the person.
pub fn put(
    ws: &Workspace,
    profile_id: i64,
    tags: &[TagChange<'_>],
    moment: TimestampWithTimeZone,
) -> Result<(), CdpError> {
    let ids: Vec<i32> = tags.iter().map(|tag| tag.attribute_id).collect();
    let columns = columns(ws, "tag", ids)?;
    let mut together = Together::default();
    let kept: Vec<Dated> = tags
        .iter()
        .filter(|tag| tag.kept)
        .map(|tag| (tag.attribute_id, tag.before.map(str::to_owned), tag.after.map(str::to_owned), moment))
        .collect();
    remember(ws, profile_id, &kept, true, &mut together);
    let cells: Vec<single::Change> = tags
        .iter()
        .filter_map(|tag| {
            let column = columns.iter().find(|known| known.attribute_id == tag.attribute_id)?.column.as_ref()?;
            Some(single::Change { column, before: tag.before, after: tag.after })
        })
        .collect();
    single::changes(ws, profile_id, &cells, &mut together)?;
    write(ws, profile_id, tags.iter().map(|tag| (tag.name, tag.ty, tag.after)), &mut together);
    together.run(|_| Ok(()))?;
    Ok(())
}

/// An attribute with its column of bits and, of a trait, its rule.
struct Registered {
    attribute_id: i32,
    name: String,
    ty: String,
    rule: Option<String>,
    column: Option<AttributeColumn>,
}

/// What is known of attributes of a kind, and their columns of bits.
fn columns(ws: &Workspace, kind: &str, ids: Vec<i32>) -> Result<Vec<Registered>, CdpError> {
    spi::rows_cached(
        &ws.sql(
            "SELECT a.attribute_id, a.name, a.type, a.rule, a.dictionary_id, c.column_id, c.encoding, c.scale, c.state, f.column_id, f.state \
             FROM @ws@.attribute a LEFT JOIN @ws@.store_column c ON c.attribute_id = a.attribute_id AND c.kind = 'attribute' \
             LEFT JOIN @ws@.store_column f ON f.attribute_id = a.attribute_id AND f.kind = 'forward' \
             WHERE a.kind = $2 AND a.attribute_id = ANY ($1) ORDER BY a.attribute_id",
        ),
        &[ids.into(), kind.into()],
        |row| {
            let (attribute_id, name, ty) = (spi::must::<i32>(row, 1)?, spi::must::<String>(row, 2)?, spi::must::<String>(row, 3)?);
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
            Ok(Registered { attribute_id, name, ty, rule: row.get(4)?, column })
        },
    )
}

/// What is known of the traits, and their columns of bits.
fn registry(ws: &Workspace, ids: Vec<i32>) -> Result<Vec<Trait>, CdpError> {
    let traits = columns(ws, "trait", ids)?.into_iter().map(|Registered { attribute_id, name, ty, rule, column }| {
        let (Some(kind), Some(rule)) = (Kind::named(&ty), rule.as_deref().and_then(Rule::named)) else {
            return Err(CdpError::internal(format!("trait \"{name}\" has an unknown type or rule")));
        };
        Ok(Trait { attribute_id, key: attribute_id.to_string(), name, ty, kind, rule, column })
    });
    traits.collect()
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

/// A change for the history: attribute, what it was, what it is, since when.
type Dated = (i32, Option<String>, Option<String>, TimestampWithTimeZone);

/// Since when changed traits have been so: the last observation.
fn moments(changed: &[Change<'_>], observations: &[Observation]) -> Vec<Dated> {
    let dated = changed.iter().filter_map(|(t, was, is)| {
        let moment = observations.iter().filter(|o| o.traits.contains_key(&t.key)).max_by_key(|o| o.micros())?;
        Some((t.attribute_id, was.clone(), is.clone(), moment.at))
    });
    dated.collect()
}

/// Enters values that were replaced into the history, as [`super::history::newer`] does.
fn remember(ws: &Workspace, profile_id: i64, changed: &[Dated], from_null: bool, together: &mut Together<'_>) {
    if changed.is_empty() {
        return;
    }
    let (mut ids, mut before, mut after, mut moments) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (id, was, is, moment) in changed {
        ids.push(*id);
        before.push(was.clone());
        after.push(is.clone());
        moments.push(*moment);
    }
    together.add(
        &ws.sql(
            "INSERT INTO @ws@.attribute_history AS h (attribute_id, profile_id, from_at, value) \
             SELECT y.id, $1, y.at, y.value FROM (SELECT x.id, x.before, x.after, x.moment, \
                 (SELECT max(h.from_at) FROM @ws@.attribute_history h WHERE h.attribute_id = x.id AND h.profile_id = $1) AS last \
                 FROM unnest($2::pg_catalog.int4[], $3::pg_catalog.text[], $4::pg_catalog.text[], $5::pg_catalog.timestamptz[]) AS x(id, before, after, moment)) c \
             CROSS JOIN LATERAL (SELECT c.id, '-infinity'::pg_catalog.timestamptz AS at, c.before AS value WHERE c.last IS NULL AND ($6 OR c.before IS NOT NULL) \
                 UNION ALL SELECT c.id, greatest(c.moment, c.last), c.after WHERE c.last IS NOT NULL OR $6 OR c.before IS NOT NULL) y \
             ON CONFLICT (attribute_id, profile_id, from_at) DO UPDATE SET value = excluded.value",
        ),
        [profile_id.into(), ids.into(), before.into(), after.into(), moments.into(), from_null.into()],
    );
}

/// Writes values, each with name and type of the attribute, to the wide table.
fn write<'a>(
    ws: &Workspace,
    profile_id: i64,
    values: impl Iterator<Item = (&'a str, &'a str, Option<&'a str>)>,
    together: &mut Together<'_>,
) {
    let mut set = Vec::new();
    let mut args = vec![profile_id.into()];
    for (i, (name, ty, value)) in values.enumerate() {
        set.push(format!("{} = ${}::pg_catalog.text::pg_catalog.{}", value_column(name), i + 2, pg_type(ty)));
        args.push(value.map(str::to_owned).into());
    }
    together.add(&ws.sql(&format!("UPDATE @ws@.profile_value v SET {} WHERE v.profile_id = $1", set.join(", "))), args);
}
