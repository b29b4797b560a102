//! Two indexes into one, and one value into an index.

use std::cmp::Ordering;

use super::decode::{Decoder, each_block};
use super::format::Bsi;
use super::write::{Visit, encode};
use super::{Error, MAX_ID};

/// What becomes of an id that both have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// Its values are added; [`Error::Overflow`] when the sum leaves 64 bits.
    Add,
    /// There must be none: [`Error::Shared`].
    Merge,
    /// Its values must be equal: [`Error::Conflict`].
    Agree,
}

impl Join {
    fn values(self, id: u64, a: i64, b: i64) -> Result<i64, Error> {
        match self {
            Self::Add => a.checked_add(b).ok_or(Error::Overflow(id)),
            Self::Merge => Err(Error::Shared(id)),
            Self::Agree if a == b => Ok(a),
            Self::Agree => Err(Error::Conflict(id, a, b)),
        }
    }
}

/// Adds the values of one block to those of the same block; both ascend by id, and so does what comes out.
pub(super) fn join_block(
    block: u64,
    a: &[(u16, i64)],
    b: &[(u16, i64)],
    join: Join,
    out: &mut Vec<(u16, i64)>,
) -> Result<(), Error> {
    out.clear();
    out.reserve(a.len() + b.len());
    let mut rest = b.iter().copied().peekable();
    for (member, value) in a {
        while let Some(before) = rest.next_if(|(other, _)| other < member) {
            out.push(before);
        }
        let value = match rest.next_if(|(other, _)| other == member) {
            None => *value,
            Some((_, other)) => join.values(block << 16 | u64::from(*member), *value, other)?,
        };
        out.push((*member, value));
    }
    out.extend(rest);
    Ok(())
}

/// All values of both; `join` says what becomes of an id that both have.
///
/// # Errors
/// Those of opening and reading the bytes, and those of `join`, which name the lowest id they hold for.
pub fn combine(a: &[u8], b: &[u8], join: Join) -> Result<Vec<u8>, Error> {
    let (a, b) = (Bsi::open(a)?, Bsi::open(b)?);
    encode(|visit| walk(&a, &b, join, visit))
}

fn walk(a: &Bsi<'_>, b: &Bsi<'_>, join: Join, visit: &mut Visit<'_>) -> Result<(), Error> {
    let (mut left, mut right) = (Decoder::new(a, None)?, Decoder::new(b, None)?);
    let (mut x, mut y, mut both) = (Vec::new(), Vec::new(), Vec::new());
    let (mut at_left, mut at_right) = (left.next(&mut x)?, right.next(&mut y)?);
    loop {
        let order = match (at_left, at_right) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.cmp(&b),
        };
        let block = at_left.into_iter().chain(at_right).min().unwrap_or(0);
        match order {
            Ordering::Less => visit(block, &x)?,
            Ordering::Greater => visit(block, &y)?,
            Ordering::Equal => {
                join_block(block, &x, &y, join, &mut both)?;
                visit(block, &both)?;
            }
        }
        if order != Ordering::Greater {
            at_left = left.next(&mut x)?;
        }
        if order != Ordering::Less {
            at_right = right.next(&mut y)?;
        }
    }
}

/// The index with one id set to a value, whether it had one or not.
///
/// # Errors
/// Those of opening and reading the bytes; [`Error::TooLarge`] for an id above [`MAX_ID`].
pub fn set_value(bytes: &[u8], id: u64, value: i64) -> Result<Vec<u8>, Error> {
    if id > MAX_ID {
        return Err(Error::TooLarge(id));
    }
    let bsi = Bsi::open(bytes)?;
    let (target, member) = (id >> 16, id as u16);
    encode(|visit| {
        let mut done = false;
        each_block(&bsi, None, &mut |block, values| {
            if !done && block > target {
                done = true;
                visit(target, &[(member, value)])?;
            }
            if block != target {
                return visit(block, values);
            }
            done = true;
            let mut values = values.to_vec();
            match values.binary_search_by_key(&member, |(member, _)| *member) {
                Ok(at) => values[at].1 = value,
                Err(at) => values.insert(at, (member, value)),
            }
            visit(block, &values)
        })?;
        if done { Ok(()) } else { visit(target, &[(member, value)]) }
    })
}
