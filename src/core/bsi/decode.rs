//! The values themselves, decoded a block at a time.

use super::format::{Bsi, Place, Walk, holds};
use super::write::Visit;
use super::{Error, above};
use crate::bitmap::{Arena, Container, Portable, Value};
use crate::cells::planes::{Flats, for_each_bit};

/// Below this many ids in one block, bits are looked up one by one.
const FLAT_FROM: u32 = 64;

/// Reads blocks of values.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    base: i64,
    walk: Walk<'a>,
    arena: Arena,
}

impl<'a> Decoder<'a> {
    pub fn new(bsi: &Bsi<'a>, filter: Option<&'a [u8]>) -> Result<Self, Error> {
        Ok(Self { base: bsi.zero(), walk: Walk::new(bsi, filter)?, arena: Arena::new() })
    }

    /// From the first block on that is not below `block`.
    pub fn starting_at(bsi: &Bsi<'a>, block: u64) -> Result<Self, Error> {
        Ok(Self { base: bsi.zero(), walk: Walk::starting_at(bsi, block)?, arena: Arena::new() })
    }

    /// Replaces `values` by those of the next block that has any; its number, `None` at the end.
    pub fn next(&mut self, values: &mut Vec<(u16, i64)>) -> Result<Option<u64>, Error> {
        values.clear();
        while let Some(place) = self.walk.next()? {
            self.block(&place, values)?;
            if !values.is_empty() {
                return Ok(Some(place.block));
            }
        }
        Ok(None)
    }

    fn block(&mut self, place: &Place<'a>, values: &mut Vec<(u16, i64)>) -> Result<(), Error> {
        let (base, slices) = (self.base, &self.walk.slices);
        let value = |bits: u64| base.wrapping_add(bits as i64);
        let selected = place.selected(&mut self.arena);
        if selected.is_empty() {
            return Ok(());
        }
        let few = match selected {
            Value::Stored(Container::Array(members)) => (members.len() as u32) < FLAT_FROM,
            _ => false,
        };
        let ids = selected.into_block(&mut self.arena);
        if few {
            for member in ids.iter() {
                values.push((member, value(bits_of(slices, place.key, member)?)));
            }
        } else {
            let flats = Flats::load(slices, place.key, &mut self.arena)?;
            let mut numbers = [0; 64];
            for (index, word) in ids.words().iter().enumerate().filter(|(_, word)| **word != 0) {
                flats.read(index, *word, &mut numbers);
                for_each_bit(*word, |lane| {
                    values.push(((index << 6 | lane) as u16, value(numbers[lane & 63])));
                });
            }
            flats.drop_into(&mut self.arena);
        }
        self.arena.give(ids);
        Ok(())
    }
}

/// value - base of one id of block `key`.
pub(super) fn bits_of(slices: &[Portable<'_>], key: u16, member: u16) -> Result<u64, Error> {
    let mut bits = 0;
    for slice in slices {
        let set = slice.get(key)?.is_some_and(|container| holds(container, member));
        bits = bits << 1 | u64::from(set);
    }
    Ok(bits)
}

/// Passes all values to `visit`, block by block.
pub(super) fn each_block(bsi: &Bsi<'_>, filter: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), Error> {
    let mut decoder = Decoder::new(bsi, filter)?;
    let mut values = Vec::new();
    while let Some(block) = decoder.next(&mut values)? {
        visit(block, &values)?;
    }
    Ok(())
}

/// Walks the (id, value) pairs, ascending by id.
///
/// It does not borrow the bytes, so that whoever owns them can own the walk as well; the same bytes must be given to
/// every call. Memory: 2^16 to 2^17 pairs.
#[derive(Debug, Default)]
pub struct Pairs {
    next_block: u64,
    ready: Vec<(u64, i64)>,
    at: usize,
}

/// As many pairs are decoded at a time: the way back to where the walk stood is then paid once for so many.
const AT_ONCE: usize = 1 << 16;

impl Pairs {
    /// A walk that stands before the first pair.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next pair, `None` after the last.
    ///
    /// # Errors
    /// Those of opening and reading the bytes.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Option<(u64, i64)>, Error> {
        if self.at >= self.ready.len() {
            self.load(bytes)?;
        }
        let pair = self.ready.get(self.at).copied();
        self.at += 1;
        Ok(pair)
    }

    fn load(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.ready.clear();
        self.at = 0;
        let mut decoder = Decoder::starting_at(&Bsi::open(bytes)?, self.next_block)?;
        let mut values = Vec::new();
        while self.ready.len() < AT_ONCE {
            let Some(block) = decoder.next(&mut values)? else {
                self.next_block = u64::MAX;
                break;
            };
            self.ready.extend(values.iter().map(|(member, value)| (block << 16 | u64::from(*member), *value)));
            self.next_block = block + 1;
        }
        Ok(())
    }
}

/// Up to this far apart, values are counted in an array (8 MB), which beats sorting them.
const COUNTED_SPAN: u64 = 1 << 20;

/// The distinct values of the ids in `filter` (of all without one), ascending, and how many ids have each.
///
/// # Errors
/// Those of opening and reading the bytes.
pub fn distinct(bytes: &[u8], filter: Option<&[u8]>) -> Result<Vec<(i64, u64)>, Error> {
    let bsi = Bsi::open(bytes)?;
    let (Some(base), Some(max)) = (bsi.base(), bsi.max()) else { return Ok(Vec::new()) };
    let span = above(max, base);
    if span <= COUNTED_SPAN {
        let mut counts = vec![0u64; span as usize + 1];
        each_block(&bsi, filter, &mut |_, values| {
            for (_, value) in values {
                if let Some(count) = counts.get_mut(above(*value, base) as usize) {
                    *count += 1;
                }
            }
            Ok(())
        })?;
        let pairs = counts.into_iter().zip(0i64..).filter(|(count, _)| *count > 0);
        return Ok(pairs.map(|(count, at)| (base + at, count)).collect());
    }
    let mut all = Vec::new();
    each_block(&bsi, filter, &mut |_, values| {
        all.extend(values.iter().map(|(_, value)| *value));
        Ok(())
    })?;
    all.sort_unstable();
    Ok(all.chunk_by(|a, b| a == b).filter_map(|same| Some((*same.first()?, same.len() as u64))).collect())
}
