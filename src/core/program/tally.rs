//! Totals over many chunks of one slot.

use super::Measure;
use super::eval::union;
use crate::bitmap::{Arena, Portable, Value};
use crate::cells::{Counter, Lane, Lanes, NumberChunk};
use crate::error::StoreError;

/// What evaluation computes in. Accumulators are made when a block first needs them.
#[derive(Debug, Default)]
pub struct Scratch {
    pub arena: Arena,
    counter: Counter,
    narrow: Option<Lanes<u16>>,
    wide: Option<Lanes<i64>>,
    huge: Option<Lanes<i128>>,
}

// Costs in nanoseconds as measured on one x86-64 core; only their ratios matter.
const COST_ADD: u64 = 300;
const COST_BITMAP_LANES: u64 = 16_000;
const COST_LANES: u64 = 25_000;

/// Members of block `key` that are present in any of the chunks and whose total is in low..=high.
pub fn tally<'a>(
    chunks: &[NumberChunk<'a>],
    measure: Measure,
    low: i128,
    high: i128,
    key: u16,
    within: Option<&Value<'_>>,
    scratch: &mut Scratch,
) -> Result<Value<'a>, StoreError> {
    if low > high {
        return Ok(Value::Empty);
    }
    let here: Vec<_> = chunks.iter().filter(|chunk| chunk.presence().cardinality_of(key) > 0).collect();
    if let [chunk] = here[..] {
        return match measure {
            Measure::Count => chunk.counts_between(key, low, high, within, &mut scratch.arena),
            Measure::Sum => {
                let clamp = |bound: i128| bound.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
                if low > i64::MAX.into() || high < i64::MIN.into() {
                    return Ok(Value::Empty);
                }
                chunk.values_between(key, clamp(low), clamp(high), within, &mut scratch.arena)
            }
        };
    }
    let (least, most) = bounds(&here, measure);
    if here.is_empty() || low > most || high < least {
        return Ok(Value::Empty);
    }
    let all = low <= least && high >= most;
    // Who is absent has a total of zero: unless that is in range too, nobody needs to know who is present.
    let zero_counts = measure == Measure::Sum && low <= 0 && high >= 0;
    let present = if all || zero_counts {
        union(here.iter().map(|chunk| chunk.presence()), key, &mut scratch.arena)?
    } else {
        Value::Full
    };
    if all {
        return Ok(present);
    }
    let low = if measure == Measure::Count { low.max(1) } else { low };
    if let (Ok(_), Ok(sliced_most)) = (u64::try_from(least), i64::try_from(most))
        && sliced(&here, measure, key)
    {
        for chunk in &here {
            add_planes(chunk, measure, key, scratch)?;
        }
        let low = low.max(0) as u64;
        let high = high.min(sliced_most.into()) as u64;
        return Ok(scratch.counter.between(present, low, high, &mut scratch.arena));
    }
    let fits = |min: i128, max: i128| least.min(0) >= min && most.max(0) <= max;
    let lanes = Total { chunks: &here, measure, low, high, key };
    if fits(0, u16::MAX.into()) {
        lanes.among(present, &mut scratch.narrow, &mut scratch.arena)
    } else if fits(i64::MIN.into(), i64::MAX.into()) {
        lanes.among(present, &mut scratch.wide, &mut scratch.arena)
    } else {
        lanes.among(present, &mut scratch.huge, &mut scratch.arena)
    }
}

/// Bounds of the total of a profile that is present in at least one of the chunks.
fn bounds(chunks: &[&NumberChunk<'_>], measure: Measure) -> (i128, i128) {
    let (mut least, mut most) = (i128::MAX, i128::MIN);
    let (mut below, mut above) = (0, 0);
    for chunk in chunks {
        let (min, max) = match measure {
            Measure::Count => (1, chunk.n_bound().into()),
            Measure::Sum => (chunk.v_base().into(), chunk.v_max().into()),
        };
        (least, most) = (least.min(min), most.max(max));
        (below, above) = (below + min.min(0), above + max.max(0));
    }
    // A total has one part or more: the extreme is all parts of the helpful sign, or the mildest single part.
    (if below < 0 { below } else { least }, if above > 0 { above } else { most })
}

/// The planes of the measure, the highest bit first, and the number that every present profile starts from.
fn planes<'c, 'a>(chunk: &'c NumberChunk<'a>, measure: Measure) -> (i64, &'c [Portable<'a>]) {
    match measure {
        Measure::Count => (1, chunk.n_planes()),
        Measure::Sum => (chunk.v_base(), chunk.v_planes()),
    }
}

/// Whether adding bit planes is cheaper than adding to lanes. Each plane costs the former about the same; the latter
/// pay by the member, and once for being cleared and compared.
fn sliced(chunks: &[&NumberChunk<'_>], measure: Measure, key: u16) -> bool {
    let (mut by_planes, mut by_lanes) = (0, COST_LANES);
    for chunk in chunks {
        let (base, planes) = planes(chunk, measure);
        let bases = u64::from(base.count_ones());
        let members = u64::from(chunk.presence().cardinality_of(key));
        by_planes += bases * cost_add(members);
        by_lanes += cost_lanes(members);
        for plane in planes {
            let members = u64::from(plane.cardinality_of(key));
            by_planes += cost_add(members);
            by_lanes += cost_lanes(members);
        }
    }
    by_planes < by_lanes
}

fn cost_add(members: u64) -> u64 {
    match members {
        0 => 0,
        1..=4096 => COST_ADD + members / 2,
        _ => COST_ADD,
    }
}

fn cost_lanes(members: u64) -> u64 {
    members.min(COST_BITMAP_LANES)
}

fn add_planes(chunk: &NumberChunk<'_>, measure: Measure, key: u16, scratch: &mut Scratch) -> Result<(), StoreError> {
    let (base, planes) = planes(chunk, measure);
    if let Some(present) = chunk.presence().get(key)? {
        for bit in 0..64 {
            if base >> bit & 1 == 1 {
                scratch.counter.add_container(present, bit, &mut scratch.arena);
            }
        }
    }
    for (bit, plane) in planes.iter().rev().enumerate() {
        if let Some(container) = plane.get(key)? {
            scratch.counter.add_container(container, bit, &mut scratch.arena);
        }
    }
    Ok(())
}

/// A total in lanes.
struct Total<'c, 'a> {
    chunks: &'c [&'c NumberChunk<'a>],
    measure: Measure,
    low: i128,
    high: i128,
    key: u16,
}

impl<'a> Total<'_, 'a> {
    fn among<L: Lane>(
        &self,
        present: Value<'a>,
        lanes: &mut Option<Lanes<L>>,
        arena: &mut Arena,
    ) -> Result<Value<'a>, StoreError> {
        let lanes = lanes.get_or_insert_default();
        lanes.clear();
        for chunk in self.chunks {
            match self.measure {
                Measure::Count => chunk.add_counts(self.key, lanes)?,
                Measure::Sum => chunk.add_values(self.key, lanes)?,
            }
        }
        let mut block = arena.take();
        lanes.between(self.low, self.high, &mut block);
        Ok(present.and(Value::Flat(block), arena))
    }
}
