//! Set algebra over serialised sets, bucket by bucket: at most one bucket of each side is in memory besides the answer.

use std::cmp::Ordering;

use roaring::{RoaringBitmap, RoaringTreemap};

use super::layout::{Bucket, Damaged, buckets, damaged};
use super::query::cardinality;

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

/// The set in memory.
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

/// `a operation b`.
pub fn combine(a: &[u8], b: &[u8], operation: Operation) -> Result<RoaringTreemap, Damaged> {
    let mut parts = Vec::new();
    let keep_left = operation != Operation::And;
    let keep_right = matches!(operation, Operation::Or | Operation::Xor);
    join(a, b, |left, right| {
        let (high, part) = match (left, right) {
            (Some(x), Some(y)) => {
                let mut part = bitmap(&x)?;
                let other = bitmap(&y)?;
                match operation {
                    Operation::And => part &= other,
                    Operation::Or => part |= other,
                    Operation::Xor => part ^= other,
                    Operation::AndNot => part -= other,
                }
                (x.high, part)
            }
            (Some(x), None) if keep_left => (x.high, bitmap(&x)?),
            (None, Some(y)) if keep_right => (y.high, bitmap(&y)?),
            _ => return Ok(true),
        };
        if !part.is_empty() {
            parts.push((high, part));
        }
        Ok(true)
    })?;
    Ok(RoaringTreemap::from_bitmaps(parts))
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
    join(a, b, |left, right| {
        if let (Some(x), Some(y)) = (left, right) {
            both += bitmap(&x)?.intersection_len(&bitmap(&y)?);
        }
        Ok(true)
    })?;
    Ok(both)
}

/// Whether the sets share a value; stops at the first shared bucket that has one.
pub fn intersects(a: &[u8], b: &[u8]) -> Result<bool, Damaged> {
    let mut found = false;
    join(a, b, |left, right| {
        if let (Some(x), Some(y)) = (left, right) {
            found = !bitmap(&x)?.is_disjoint(&bitmap(&y)?);
        }
        Ok(!found)
    })?;
    Ok(found)
}

/// Whether `a` holds every value of `b`; stops at the first bucket that shows it does not.
pub fn contains_all(a: &[u8], b: &[u8]) -> Result<bool, Damaged> {
    let mut all = true;
    join(a, b, |left, right| {
        all = match (left, right) {
            (_, None) => true,
            (None, Some(y)) => y.is_empty(),
            (Some(x), Some(y)) => bitmap(&y)?.is_subset(&bitmap(&x)?),
        };
        Ok(all)
    })?;
    Ok(all)
}

/// Merges the buckets of two sets by their high halves; `visit` returns false to stop.
fn join<'a>(
    a: &'a [u8],
    b: &'a [u8],
    mut visit: impl FnMut(Option<Bucket<'a>>, Option<Bucket<'a>>) -> Result<bool, Damaged>,
) -> Result<(), Damaged> {
    let (mut left, mut right) = (buckets(a)?, buckets(b)?);
    let (mut x, mut y) = (left.next().transpose()?, right.next().transpose()?);
    loop {
        let order = match (&x, &y) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(x), Some(y)) => x.high.cmp(&y.high),
        };
        let go_on = match order {
            Ordering::Less => visit(x, None)?,
            Ordering::Greater => visit(None, y)?,
            Ordering::Equal => visit(x, y)?,
        };
        if !go_on {
            return Ok(());
        }
        if order != Ordering::Greater {
            x = left.next().transpose()?;
        }
        if order != Ordering::Less {
            y = right.next().transpose()?;
        }
    }
}

/// A bucket's bitmap in memory. The checking reader is used although the content was checked when it came in: it costs
/// one more pass over bytes that are in the cache, and a page damaged on disk becomes an error instead of a set whose
/// counts disagree with its values.
fn bitmap(bucket: &Bucket<'_>) -> Result<RoaringBitmap, Damaged> {
    RoaringBitmap::deserialize_from(bucket.bytes).map_err(|_| damaged(bucket.at, "unreadable bucket"))
}
