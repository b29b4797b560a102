//! Set algebra on serialised sets: the containers of both are joined in order, straight from the bytes, and at most one
//! container is in memory besides the answer.

use roaring::{RoaringBitmap, RoaringTreemap};

use super::container::{self, and_count, filter, merge, spread};
use super::layout::{Bucket, Container, Damaged, buckets, damaged};
use super::part::{Part, Parts, SetParts};
use super::query::cardinality;
use super::write::Writer;

/// A binary operation on sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Values of both.
    And,
    /// Values of either.
    Or,
    /// Values of exactly one.
    Xor,
    /// Values of the left one that the right one lacks.
    AndNot,
}

impl Operation {
    /// Whether values that only the left side has are in the answer.
    fn keeps_left(self) -> bool {
        self != Operation::And
    }

    /// Whether values that only the right side has are in the answer.
    fn keeps_right(self) -> bool {
        matches!(self, Operation::Or | Operation::Xor)
    }
}

/// The set in memory. The checking reader is used although the content was checked when it came in: a page damaged on
/// disk becomes an error instead of a set whose counts disagree with its values.
pub fn decode(bytes: &[u8]) -> Result<RoaringTreemap, Damaged> {
    let mut parts = Vec::new();
    for bucket in buckets(bytes)? {
        let bucket = bucket?;
        if !bucket.is_empty() {
            parts.push((bucket.high, bitmap(&bucket)?));
        }
    }
    Ok(RoaringTreemap::from_bitmaps(parts))
}

fn bitmap(bucket: &Bucket<'_>) -> Result<RoaringBitmap, Damaged> {
    RoaringBitmap::deserialize_from(bucket.bytes).map_err(|_| damaged(bucket.at, "unreadable bucket"))
}

/// The bytes of `a operation b`. Cost: O(bytes of both); for And, O(log) for every container that only one side has.
pub fn combine(a: &[u8], b: &[u8], operation: Operation) -> Result<Vec<u8>, Damaged> {
    let mut out = Writer::new();
    apply(&mut SetParts::new(a)?, &mut SetParts::new(b)?, operation, &mut out)?;
    Ok(out.finish())
}

/// Writes `a operation b`.
pub(super) fn apply<'a>(
    a: &mut impl Parts<'a>,
    b: &mut impl Parts<'a>,
    operation: Operation,
    out: &mut Writer,
) -> Result<(), Damaged> {
    let mut pair = Pair { values: Vec::new(), block: Box::new([0; 1024]) };
    join(a, b, operation.keeps_left(), operation.keeps_right(), |left, right| {
        match (left, right) {
            (Some(x), Some(y)) => pair.write(&x, &y, operation, out)?,
            (Some(one), None) | (None, Some(one)) => out.part(one)?,
            (None, None) => {}
        }
        Ok(true)
    })
}

/// Room for the answer of one pair of containers.
struct Pair {
    values: Vec<u16>,
    block: Box<container::Words>,
}

impl Pair {
    fn write(&mut self, a: &Part<'_>, b: &Part<'_>, operation: Operation, out: &mut Writer) -> Result<(), Damaged> {
        let (x, y) = (a.values, b.values);
        let is_run = |values| matches!(values, Container::Runs(_));
        let runs = is_run(x) || is_run(y);
        self.values.clear();
        match (x, y, operation) {
            (Container::Array(x), _, Operation::And) => filter(x, y, true, &mut self.values),
            (_, Container::Array(y), Operation::And) => filter(y, x, true, &mut self.values),
            (Container::Array(x), _, Operation::AndNot) => filter(x, y, false, &mut self.values),
            (Container::Array(x), Container::Array(y), _) => {
                merge(x, y, operation == Operation::Or, &mut self.values);
            }
            _ => {
                spread(x, &mut self.block);
                container::change(&mut self.block, y, operation);
                return out.block(a.prefix, &self.block, runs);
            }
        }
        out.values(a.prefix, &self.values, runs)
    }
}

/// Number of values of `a operation b`, without building it.
pub fn operation_cardinality(a: &[u8], b: &[u8], operation: Operation) -> Result<u64, Damaged> {
    let both = and_cardinality(a, b)?;
    // Damaged headers may claim anything; never let them overflow.
    Ok(match operation {
        Operation::And => both,
        Operation::Or => cardinality(a)?.saturating_sub(both).saturating_add(cardinality(b)?),
        Operation::Xor => cardinality(a)?.saturating_sub(both).saturating_add(cardinality(b)?.saturating_sub(both)),
        Operation::AndNot => cardinality(a)?.saturating_sub(both),
    })
}

/// Number of values that both sets hold.
pub fn and_cardinality(a: &[u8], b: &[u8]) -> Result<u64, Damaged> {
    let mut both = 0;
    join(&mut SetParts::new(a)?, &mut SetParts::new(b)?, false, false, |left, right| {
        if let (Some(x), Some(y)) = (left, right) {
            both += u64::from(and_count(x.values, y.values));
        }
        Ok(true)
    })?;
    Ok(both)
}

/// Size of the intersection over size of the union, in 0..=1; `None` for two empty sets, which have no such ratio.
pub fn jaccard(a: &[u8], b: &[u8]) -> Result<Option<f64>, Damaged> {
    let both = and_cardinality(a, b)?;
    let either = cardinality(a)?.saturating_sub(both).saturating_add(cardinality(b)?);
    Ok((either > 0).then(|| both as f64 / either as f64))
}

/// Whether the sets share a value; stops at the first shared container that has one.
pub fn intersects(a: &[u8], b: &[u8]) -> Result<bool, Damaged> {
    let mut found = false;
    join(&mut SetParts::new(a)?, &mut SetParts::new(b)?, false, false, |left, right| {
        if let (Some(x), Some(y)) = (left, right) {
            found = and_count(x.values, y.values) > 0;
        }
        Ok(!found)
    })?;
    Ok(found)
}

/// Whether `a` holds every value of `b`; stops at the first container that shows it does not.
pub fn contains_all(a: &[u8], b: &[u8]) -> Result<bool, Damaged> {
    let mut all = true;
    join(&mut SetParts::new(a)?, &mut SetParts::new(b)?, false, true, |left, right| {
        all = match (left, right) {
            (_, None) => true,
            (None, Some(y)) => y.cardinality == 0,
            (Some(x), Some(y)) => y.cardinality <= x.cardinality && and_count(x.values, y.values) == y.cardinality,
        };
        Ok(all)
    })?;
    Ok(all)
}

/// Joins containers by prefix. Those that only the left (right) side has are visited if `lone_left` (`lone_right`), else
/// skipped; `visit` returns false to stop.
pub(super) fn join<'a>(
    a: &mut impl Parts<'a>,
    b: &mut impl Parts<'a>,
    lone_left: bool,
    lone_right: bool,
    mut visit: impl FnMut(Option<Part<'a>>, Option<Part<'a>>) -> Result<bool, Damaged>,
) -> Result<(), Damaged> {
    let mut x = a.next()?;
    // The right side may be a range of very many containers: it starts where it matters.
    let mut y = match x {
        Some(first) if !lone_right => b.seek(first.prefix)?,
        _ => b.next()?,
    };
    loop {
        match (x, y) {
            (Some(left), Some(right)) if left.prefix == right.prefix => {
                if !visit(x, y)? {
                    return Ok(());
                }
                x = a.next()?;
                y = b.next()?;
            }
            (Some(left), right) if right.is_none_or(|right| left.prefix < right.prefix) => {
                if lone_left {
                    if !visit(x, None)? {
                        return Ok(());
                    }
                    x = a.next()?;
                } else if let Some(right) = right {
                    x = a.seek(right.prefix)?;
                } else {
                    return Ok(());
                }
            }
            (left, Some(_)) => {
                if lone_right {
                    if !visit(None, y)? {
                        return Ok(());
                    }
                    y = b.next()?;
                } else if let Some(left) = left {
                    y = b.seek(left.prefix)?;
                } else {
                    return Ok(());
                }
            }
            (_, None) => return Ok(()),
        }
    }
}
