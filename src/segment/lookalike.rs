//! `cdp_segment_lookalike`, `cdp_segment_lookalike_report`: more profiles like those of a segment.
//!
//! Every value that enough profiles have weighs what its odds among the members of the segment are over its odds among everybody, as a
//! logarithm; a profile's score is the sum over its values (naive Bayes). Weights are whole hundredths, so that scores add up in bit planes
//! and are the same everywhere.

use super::insight::attributes;
use super::measure::named_or_written;
use crate::bitmap::Bitmap;
use crate::error::{CdpError, given};
use crate::expr::people::{Counts, Groups, People, without};
use crate::expr::question::Question;
use crate::expr::spread::{Kept, Spread, Value, spread};
use crate::store::SHARD_BITS;
use crate::store::read::{Listing, Wanted};
use crate::workspace;
use pg_cdp_core::bitmap::{Bytes, assemble};
use pg_cdp_core::cells::Encoding;
use pg_cdp_core::expr::ast::Expr;
use pg_cdp_core::insight::score::{Scores, Values, Weights};
use pg_cdp_core::insight::statistics::smoothed_log_odds;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::collections::HashMap;

/// A value that fewer profiles have is not learned from: it says more of these few than of the segment.
const LEAST_PROFILES: u64 = 10;

/// Parts of one that weights are rounded to.
const PARTS: f64 = 100.0;

/// An attribute with what its values weigh.
struct Learned {
    spread: Spread,
    /// By the index of the value.
    weights: Vec<i32>,
    /// As scores add them up: of all values together, as they exclude each other, or, where a profile may have several, of each value apart.
    moved: Vec<Weights>,
}

/// The weight of a value before it is rounded.
fn weight(counts: Counts, totals: Counts) -> f64 {
    smoothed_log_odds(counts.segment, totals.segment, counts.base, totals.base)
}

/// Learns from the groups. A text of too many values is left out.
fn learn(question: &Question, groups: &Groups, attributes: &[(String, Expr)]) -> Result<Vec<Learned>, CdpError> {
    let enough = |counts: &Counts| counts.base >= LEAST_PROFILES;
    let mut learned = Vec::with_capacity(attributes.len());
    for (name, attribute) in attributes {
        let spread = spread(question, None, groups, name, attribute, &enough)?;
        if matches!(spread.kept, Kept::Many) {
            continue;
        }
        let rounded = |value: &Value| (weight(value.counts, groups.totals()) * PARTS).round() as i32;
        let weights: Vec<i32> = spread.values.iter().map(rounded).collect();
        // A range that is not learned from stands between others: it has a place and weighs nothing.
        let placed = match &spread.kept {
            Kept::Ranges(_, ranges) => {
                let mut placed = vec![0; ranges.len()];
                for (value, weight) in spread.values.iter().zip(&weights) {
                    if let Some(place) = usize::try_from(value.place).ok().and_then(|place| placed.get_mut(place)) {
                        *place = *weight;
                    }
                }
                placed
            }
            _ => weights.clone(),
        };
        let moved = if spread.several {
            placed.iter().map(|weight| Weights::new(&[*weight])).collect()
        } else {
            vec![Weights::new(&placed)]
        };
        learned.push(Learned { moved, spread, weights });
    }
    Ok(learned)
}

/// The scores of everybody who is not in `seed`. All columns are read once, a shard at a time.
fn score(question: &Question, learned: &[Learned], seed: &People) -> Result<Scores, CdpError> {
    let all = |slot, column_id| Wanted { slot, column_id, low: 0, high: i64::MAX };
    let mut wanted = vec![all(0, question.catalog.universe)];
    let mut encodings = vec![Encoding::Set];
    let mut places: Vec<HashMap<i64, usize>> = Vec::with_capacity(learned.len());
    for (slot, Learned { spread, .. }) in (1..).zip(learned) {
        encodings.push(if matches!(spread.kept, Kept::Ranges(..)) { Encoding::Number } else { Encoding::Set });
        places.push(spread.values.iter().map(|value| value.place).zip(0..).collect());
        match spread.kept {
            Kept::Sets(column_id) | Kept::Ranges(column_id, _) => wanted.push(all(slot, column_id)),
            Kept::Made(_) | Kept::Many => {}
        }
    }
    let mut scores = Scores::default();
    Listing::new(question.ws, &wanted, None)?.for_each_shard(question.ws, &encodings, |shard, slots| {
        let Some(candidates) = without(slots, seed.of(shard))? else { return Ok(()) };
        let mut attributes = Vec::with_capacity(learned.len());
        for ((Learned { spread, moved, .. }, places), slot) in learned.iter().zip(&places).zip(slots.iter().skip(1)) {
            let values = match &spread.kept {
                Kept::Ranges(_, ranges) => Values::Ranges(slot.first().map(|(_, chunk)| chunk.bytes()), ranges.clone()),
                Kept::Made(sets) => Values::Sets(
                    (0..)
                        .zip(sets)
                        .filter_map(|(place, sets)| Some((*places.get(&place)?, Bytes::from(sets.get(&shard)?))))
                        .collect(),
                ),
                _ => Values::Sets(
                    slot.iter().filter_map(|(key, chunk)| Some((*places.get(key)?, chunk.bytes()))).collect(),
                ),
            };
            match (values, moved.as_slice()) {
                (Values::Sets(sets), each) if spread.several => {
                    // A value that nobody of the shard has weighs there too.
                    let mut apart: Vec<Vec<(usize, Bytes<'_>)>> = each.iter().map(|_| Vec::new()).collect();
                    for (place, set) in sets {
                        if let Some(one) = apart.get_mut(place) {
                            one.push((0, set));
                        }
                    }
                    attributes.extend(each.iter().zip(apart.into_iter().map(Values::Sets)));
                }
                (values, [together, ..]) => attributes.push((together, values)),
                (_, []) => {}
            }
        }
        Ok(scores.add_shard(shard, Bytes::from(&candidates), &attributes)?)
    })?;
    Ok(scores)
}

/// The groups of a segment that has members.
fn groups_of(question: &Question, segment: &str) -> Result<Groups, CdpError> {
    let groups = Groups::of(std::slice::from_ref(question))?;
    if groups.segment.count() == 0 {
        return Err(CdpError::invalid_parameter(format!("segment \"{segment}\" has no members"))
            .with_hint("There is nothing to be alike to; a dynamic segment is filled by cdp_segment_refresh()."));
    }
    Ok(groups)
}

#[pg_extern(stable, parallel_unsafe, cost = 100000)]
fn cdp_segment_lookalike(
    segment: Option<&str>,
    size: Option<i64>,
    attributes: default!(Option<Vec<Option<String>>>, "NULL"),
) -> Result<Bitmap, ErrorReport> {
    Ok(workspace::enter_reading(|ws| {
        let segment = given(segment, "segment")?;
        let size = given(size, "size")?;
        let size = u64::try_from(size).map_err(|_| {
            CdpError::invalid_parameter(format!("size is {size}"))
                .with_hint("Say how many profiles are wanted, for example 10000.")
        })?;
        let question = named_or_written(ws, segment, None)?;
        let attributes = self::attributes(&question, attributes)?;
        let groups = groups_of(&question, segment)?;
        let learned = learn(&question, &groups, &attributes)?;
        let top = score(&question, &learned, &groups.segment)?.top(size);
        Ok(Bitmap::from_canonical(assemble::treemap(&top, SHARD_BITS)?))
    })?)
}

/// The area under the ROC curve of what is learned without every fifth member, when these are to be told from everybody outside the segment.
fn held_out_auc(question: &Question, groups: &Groups, attributes: &[(String, Expr)]) -> Result<Option<f64>, CdpError> {
    let (kept, held) = groups.held_out(question)?;
    if kept.segment.count() == 0 || held.count() == 0 {
        return Ok(None);
    }
    let learned = learn(question, &kept, attributes)?;
    let weights: Vec<&Weights> = learned.iter().flat_map(|learned| &learned.moved).collect();
    Ok(score(question, &learned, &kept.segment)?.auc(&weights, &held.shards())?)
}

#[pg_extern(stable, parallel_unsafe, cost = 100000)]
#[allow(clippy::type_complexity)]
fn cdp_segment_lookalike_report(
    segment: Option<&str>,
    attributes: default!(Option<Vec<Option<String>>>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(attribute, String),
            name!(value, String),
            name!(profiles, i64),
            name!(base_profiles, i64),
            name!(weight, f64),
            name!(auc, Option<f64>),
        ),
    >,
    ErrorReport,
> {
    let rows = workspace::enter_reading(|ws| {
        let segment = given(segment, "segment")?;
        let question = named_or_written(ws, segment, None)?;
        let attributes = self::attributes(&question, attributes)?;
        let groups = groups_of(&question, segment)?;
        let auc = held_out_auc(&question, &groups, &attributes)?;
        let signed = |n: u64| i64::try_from(n).map_err(|_| CdpError::limit("the count does not fit into bigint"));
        let mut rows = Vec::new();
        for Learned { spread, weights, .. } in learn(&question, &groups, &attributes)? {
            for (Value { text, counts, .. }, weight) in spread.values.into_iter().zip(weights) {
                let weight = f64::from(weight) / PARTS;
                rows.push((spread.name.clone(), text, signed(counts.segment)?, signed(counts.base)?, weight, auc));
            }
        }
        rows.sort_by(|a, b| b.4.abs().total_cmp(&a.4.abs()).then_with(|| (&a.0, &a.1).cmp(&(&b.0, &b.1))));
        Ok(rows)
    })?;
    Ok(TableIterator::new(rows))
}
