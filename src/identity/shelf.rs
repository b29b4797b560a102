//! What refreshes computed for profiles before they merged, and its return when they part.
//!
//! A trait comes from observations and can be computed for any set of identifiers; a tag or a membership is as of the last refresh and cannot. So the
//! tags and memberships of every profile that went into one are put away, and a merge that is taken back leaves no trace. A membership that was
//! refreshed in between is the one of the merged profile: whoever is split off has it until the next refresh.

use super::follow::Change;
use crate::error::CdpError;
use crate::pg::spi;
use crate::store::column::{pg_type, value_column};
use crate::store::emit::{self, AttributeColumn};
use crate::store::membership::{self, Membership};
use crate::workspace::Workspace;
use pgrx::JsonB;
use pgrx::spi::quote_literal;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Tags and memberships of the profiles that a change is about, as they were before it.
pub struct Shelf {
    segments: Vec<Membership>,
    tags: Vec<AttributeColumn>,
    /// Every profile that is part of one, with the one it is part of.
    parts: BTreeMap<i64, i64>,
    /// The segments that each is in only as a part: segment to the refresh that holds for.
    kept: HashMap<i64, HashMap<i32, i32>>,
}

impl Shelf {
    /// Reads and puts away what a change could lose; `None` when there are no tags and no segments, or no profile merges or parts.
    pub fn take(ws: &Workspace, change: &Change) -> Result<Option<Self>, CdpError> {
        let mut live: BTreeSet<i64> = change.moved.iter().filter_map(|m| m.before).collect();
        live.extend(change.redirected.iter().map(|r| r.before.unwrap_or(r.profile_id)));
        if live.is_empty() {
            return Ok(None);
        }
        // Whoever takes a part over too, be it a live profile or one that was part of another: its own membership is what is left when they part.
        live.extend(change.redirected.iter().filter_map(|r| r.after));
        let tags = emit::attribute_columns(ws, "tag")?;
        let segments = membership::of(ws, &live, None)?;
        if tags.is_empty() && segments.is_empty() {
            return Ok(None);
        }
        let homes: Vec<i64> = live.into_iter().collect();
        let parts = parts(ws, &homes)?;
        let kept = spi::rows_cached(
            &ws.sql("SELECT s.profile_id, s.segments FROM @ws@.profile_shelf s WHERE s.profile_id = ANY ($1)"),
            &[parts.keys().copied().collect::<Vec<i64>>().into()],
            |row| Ok((spi::must::<i64>(row, 1)?, refreshes(spi::must::<JsonB>(row, 2)?.0))),
        )?;
        let pairs: Vec<String> = tags
            .iter()
            .map(|tag| {
                format!(
                    "{}, v.{}::pg_catalog.text",
                    quote_literal(tag.attribute_id.to_string()),
                    value_column(&tag.name)
                )
            })
            .collect();
        let objects: Vec<String> =
            pairs.chunks(50).map(|some| format!("jsonb_build_object({})", some.join(", "))).collect();
        let object = if objects.is_empty() { "'{}'::pg_catalog.jsonb".to_owned() } else { objects.join(" || ") };
        spi::run(
            &ws.sql(&format!(
                "INSERT INTO @ws@.profile_shelf AS s (profile_id, tags, segments) \
                 SELECT v.profile_id, jsonb_strip_nulls({object}), '{{}}' FROM @ws@.profile_value v WHERE v.profile_id = ANY ($1) \
                 ON CONFLICT (profile_id) DO UPDATE SET tags = excluded.tags"
            )),
            &[homes.into()],
        )?;
        Ok(Some(Self { segments, tags, parts, kept: kept.into_iter().collect() }))
    }

    /// Gives everybody what they are entitled to after the change.
    pub fn put_back(self, ws: &Workspace, change: &Change) -> Result<(), CdpError> {
        self.restore_tags(ws, change)?;
        let records: Vec<i64> = self.parts.keys().copied().chain(change.created.iter().map(|c| c.profile_id)).collect();
        let now: BTreeMap<i64, i64> = parts(ws, &records)?;
        let mut away: BTreeMap<i64, HashMap<i32, i32>> = now.keys().map(|record| (*record, HashMap::new())).collect();
        for segment in &self.segments {
            let base = |record: i64| -> bool {
                // A part that is new has never been in any segment.
                let Some(home) = self.parts.get(&record) else { return false };
                let lent = self.kept.get(&record).and_then(|kept| kept.get(&segment.segment_id));
                lent != Some(&segment.refresh) && segment.inside.contains(home)
            };
            let inside: BTreeSet<i64> =
                now.iter().filter(|(record, _)| base(**record)).map(|(_, home)| *home).collect();
            for (record, home) in &now {
                if inside.contains(home)
                    && !base(*record)
                    && let Some(away) = away.get_mut(record)
                {
                    away.insert(segment.segment_id, segment.refresh);
                }
            }
            let gone: BTreeSet<i64> = segment.inside.difference(&inside).copied().collect();
            let come: BTreeSet<i64> = inside.difference(&segment.inside).copied().collect();
            membership::change(ws, segment, &gone, &come)?;
        }
        let mut sizes: HashMap<i64, usize> = HashMap::new();
        for home in now.values() {
            *sizes.entry(*home).or_default() += 1;
        }
        let (mut ids, mut segments, mut alone) = (Vec::new(), Vec::new(), Vec::new());
        for (record, home) in &now {
            if sizes.get(home).copied().unwrap_or(0) > 1 {
                ids.push(*record);
                let object = away.get(record).into_iter().flatten();
                let object: serde_json::Map<String, serde_json::Value> =
                    object.map(|(segment, refresh)| (segment.to_string(), (*refresh).into())).collect();
                segments.push(serde_json::Value::Object(object).to_string());
            } else {
                alone.push(*record);
            }
        }
        spi::run_cached(
            &ws.sql(
                "INSERT INTO @ws@.profile_shelf (profile_id, tags, segments) SELECT x.p, '{}', x.s::pg_catalog.jsonb FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.text[]) AS x(p, s) \
                 ON CONFLICT (profile_id) DO UPDATE SET segments = excluded.segments",
            ),
            &[ids.into(), segments.into()],
        )?;
        spi::run_cached(&ws.sql("DELETE FROM @ws@.profile_shelf s WHERE s.profile_id = ANY ($1)"), &[alone.into()])
    }

    /// The tags of profiles that live again.
    fn restore_tags(&self, ws: &Workspace, change: &Change) -> Result<(), CdpError> {
        let revived: Vec<i64> = change.revived().map(|(profile, _)| profile).collect();
        if revived.is_empty() || self.tags.is_empty() {
            return Ok(());
        }
        let listed = format!("'{{{}}}'::pg_catalog.int8[]", join(&revived));
        let mut set = Vec::new();
        for tag in &self.tags {
            let value = format!("(s.tags ->> '{}')::pg_catalog.{}", tag.attribute_id, pg_type(&tag.ty));
            emit::attribute(
                ws,
                tag,
                &format!(
                    "(SELECT s.profile_id, NULL::pg_catalog.{} AS before, {value} AS after FROM @ws@.profile_shelf s WHERE s.profile_id = ANY ({listed}))",
                    pg_type(&tag.ty)
                ),
            )?;
            set.push(format!("{} = {value}", value_column(&tag.name)));
        }
        spi::run(
            &ws.sql(&format!(
                "UPDATE @ws@.profile_value v SET {} FROM @ws@.profile_shelf s WHERE s.profile_id = v.profile_id AND v.profile_id = ANY ({listed})",
                set.join(", ")
            )),
            &[],
        )?;
        Ok(())
    }
}

/// Every profile that is part of one of these, with the one that lives.
fn parts(ws: &Workspace, profiles: &[i64]) -> Result<BTreeMap<i64, i64>, CdpError> {
    let mut parts = BTreeMap::new();
    for side in ["p.profile_id = ANY ($1)", "p.merged_into = ANY ($1)"] {
        parts.extend(spi::rows_cached(
            &ws.sql(&format!(
                "SELECT p.profile_id, coalesce(p.merged_into, p.profile_id) FROM @ws@.profile p WHERE {side}"
            )),
            &[profiles.to_vec().into()],
            |row| Ok((spi::must::<i64>(row, 1)?, spi::must::<i64>(row, 2)?)),
        )?);
    }
    Ok(parts)
}

/// What the shelf has of a profile.
fn refreshes(kept: serde_json::Value) -> HashMap<i32, i32> {
    let serde_json::Value::Object(kept) = kept else { return HashMap::new() };
    kept.into_iter()
        .filter_map(|(segment, refresh)| Some((segment.parse().ok()?, i32::try_from(refresh.as_i64()?).ok()?)))
        .collect()
}

/// Numbers in the text form of an array.
fn join(ids: &[i64]) -> String {
    ids.iter().map(i64::to_string).collect::<Vec<String>>().join(",")
}
