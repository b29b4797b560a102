//! A total order and a hash over sets, whatever containers they chose.
//!
//! The order is that of the arrays of the members, ascending: the sets are compared at the first member that only one of
//! them has; that one is the smaller, unless the other has no members from there on. So `{}` < `{1}` < `{1,2}` < `{2}`.

use std::cmp::Ordering;

use super::container::{self, Words, spread};
use super::layout::{ARRAY_MAX, Container, Damaged};
use super::part::{Part, Parts, SetParts};

/// Compares two sets. Cost: O(bytes up to the first difference), no heap memory.
pub fn compare(a: &[u8], b: &[u8]) -> Result<Ordering, Damaged> {
    if a == b {
        return Ok(Ordering::Equal);
    }
    let (mut left, mut right) = (SetParts::new(a)?, SetParts::new(b)?);
    loop {
        match (left.next()?, right.next()?) {
            (None, None) => return Ok(Ordering::Equal),
            (None, Some(_)) => return Ok(Ordering::Less),
            (Some(_), None) => return Ok(Ordering::Greater),
            (Some(x), Some(y)) => match x.prefix.cmp(&y.prefix) {
                Ordering::Equal => {
                    let Some(found) = difference(&x, &y) else { continue };
                    return match found {
                        // The right side ends before the left one's member, or goes on above it.
                        Difference { in_left: true, other_goes_on } if other_goes_on || right.next()?.is_some() => {
                            Ok(Ordering::Less)
                        }
                        Difference { in_left: true, .. } => Ok(Ordering::Greater),
                        Difference { other_goes_on, .. } if other_goes_on || left.next()?.is_some() => {
                            Ok(Ordering::Greater)
                        }
                        Difference { .. } => Ok(Ordering::Less),
                    };
                }
                different => return Ok(different),
            },
        }
    }
}

/// The first member that only one of two containers has.
struct Difference {
    in_left: bool,
    /// Whether the other one has a member above it in the same container.
    other_goes_on: bool,
}

fn difference(x: &Part<'_>, y: &Part<'_>) -> Option<Difference> {
    match (x.values, y.values) {
        (Container::Array(a), Container::Array(b)) => {
            let (mut left, mut right) = (container::members(a), container::members(b));
            loop {
                return match (left.next(), right.next()) {
                    (None, None) => None,
                    (Some(p), Some(q)) if p == q => continue,
                    (Some(p), Some(q)) => Some(Difference { in_left: p < q, other_goes_on: true }),
                    (p, _) => Some(Difference { in_left: p.is_some(), other_goes_on: false }),
                };
            }
        }
        (Container::Runs(a), Container::Runs(b)) | (Container::Bits(a), Container::Bits(b)) if a == b => None,
        _ => {
            let (mut a, mut b): (Words, Words) = ([0; 1024], [0; 1024]);
            spread(x.values, &mut a);
            spread(y.values, &mut b);
            let at = a.iter().zip(&b).position(|(p, q)| p != q)?;
            let bit = (a[at] ^ b[at]).trailing_zeros();
            let in_left = a[at] >> bit & 1 == 1;
            let other = if in_left { &b } else { &a };
            // The other side lacks this bit, so what is left after it lies above.
            let other_goes_on = other[at] >> bit != 0 || other.iter().skip(at + 1).any(|word| *word != 0);
            Some(Difference { in_left, other_goes_on })
        }
    }
}

/// A hash of the members: equal sets have equal hashes, on every machine and in every release. Cost: O(bytes).
pub fn hash(set: &[u8], seed: u64) -> Result<u64, Damaged> {
    let mut state = mix(seed, 0x6364_705f_6269_746d);
    let mut parts = SetParts::new(set)?;
    let mut block: Words = [0; 1024];
    while let Some(part) = parts.next()? {
        state = mix(state, part.prefix << 17 | u64::from(part.cardinality));
        match part.values {
            Container::Array(body) => state = mix_values(state, container::members(body)),
            Container::Bits(body) => state = container::words(body).fold(state, mix),
            // In the form that a container of this many values has without runs.
            Container::Runs(body) if part.cardinality <= ARRAY_MAX => {
                state = mix_values(state, container::runs(body).flat_map(|(first, last)| first..=last));
            }
            Container::Runs(_) => {
                spread(part.values, &mut block);
                state = block.iter().copied().fold(state, mix);
            }
        }
    }
    // The last step makes every bit of the state count for the low half, which is a hash of its own.
    Ok(mix(state, 0))
}

/// Four values are one word.
fn mix_values(state: u64, values: impl Iterator<Item = u16>) -> u64 {
    let (state, word, filled) = values.fold((state, 0, 0), |(state, word, filled), value| {
        let word = word | u64::from(value) << (16 * filled);
        if filled == 3 { (mix(state, word), 0, 0) } else { (state, word, filled + 1) }
    });
    if filled > 0 { mix(state, word) } else { state }
}

/// One step of the hash: multiplication by an odd number carries low bits up, the shifts carry high bits down.
fn mix(state: u64, word: u64) -> u64 {
    let mut mixed = (state ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^= mixed >> 32;
    mixed = mixed.wrapping_mul(0xd6e8_feb8_6659_fd93);
    mixed ^ mixed >> 29
}
