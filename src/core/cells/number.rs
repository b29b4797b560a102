//! The number chunk: cells of one shard as bit planes over a frame of reference.
//!
//! Version 1, little-endian: `u8 version = 1, u8 n_depth, u8 v_depth, u8 0, u32 count, i64 v_base, i64 v_max`, then
//! the byte lengths (u32 each) of `1 + v_depth + n_depth` planes, then the planes back to back, each portable 32-bit
//! Roaring: presence, the bits of `v - v_base` from the highest to the lowest, the bits of `n - 1` from the highest to
//! the lowest. A base with unsigned bits above it needs no sign plane, and v_base and v_max tell which chunks a range
//! cannot touch. `v - v_base` is taken modulo 2^64, so that the whole range of i64 fits.

use super::delta::Change;
use super::planes::{self, Flats};
use super::{Cell, Lane, Lanes, range};
use crate::bitmap::{Arena, Block, Bytes, Container, Portable, SHARD_BLOCKS, SHARD_WIDTH, Value, count_in};
use crate::error::StoreError;
use crate::program::Totals;
use roaring::RoaringBitmap;

const VERSION: u8 = 1;
const HEAD: usize = 24;
const WHAT: &str = "number chunk";
/// Changes are merged into the planes when at most one of so many cells and changes is a change of a cell that is there: such a cell is looked up in each plane, and taken out of it.
const PATCH_FROM: usize = 4;

/// A number chunk whose headers have been checked; the planes stay where they are.
#[derive(Debug, Clone)]
pub struct NumberChunk<'a> {
    count: u32,
    v_base: i64,
    v_max: i64,
    presence: Portable<'a>,
    /// Highest bit first.
    v: Vec<Portable<'a>>,
    /// Highest bit first.
    n: Vec<Portable<'a>>,
}

/// Writes the chunk of `cells`, which come ascending by offset, one an offset, each with n > 0.
///
/// # Errors
/// [`StoreError::Order`] for a cell out of order or with n ≤ 0, [`StoreError::Offset`] for one outside the shard.
pub fn encode(cells: impl IntoIterator<Item = Cell>) -> Result<Vec<u8>, StoreError> {
    let mut kept: Vec<Cell> = Vec::new();
    for cell in cells {
        if cell.offset >= SHARD_WIDTH {
            return Err(StoreError::Offset(cell.offset));
        }
        if cell.n <= 0 || kept.last().is_some_and(|last| last.offset >= cell.offset) {
            return Err(StoreError::Order(cell.offset));
        }
        kept.push(cell);
    }
    encode_kept(&kept)
}

/// Writes the chunk of cells that are known to be in order and in the shard, each with n > 0.
pub(super) fn encode_kept(kept: &[Cell]) -> Result<Vec<u8>, StoreError> {
    let v_base = kept.iter().map(|cell| cell.v).min().unwrap_or(0);
    let v_max = kept.iter().map(|cell| cell.v).max().unwrap_or(0);
    let n_max = kept.iter().map(|cell| cell.n).max().unwrap_or(1);
    let (v_depth, n_depth) = (depth_of(above(v_max, v_base)), depth_of(above(n_max, 1)));

    let presence = set_of(kept.iter().map(|cell| cell.offset))?;
    let v = planes::write(kept, v_depth, |cell| above(cell.v, v_base));
    let n = planes::write(kept, n_depth, |cell| above(cell.n, 1));
    write(kept.len() as u32, (v_base, v_max), presence, v, n)
}

/// The set of ascending offsets.
fn set_of(offsets: impl Iterator<Item = u32>) -> Result<RoaringBitmap, StoreError> {
    RoaringBitmap::from_sorted_iter(offsets).map_err(|_| StoreError::Order(0))
}

/// Writes a chunk from its parts.
fn write(
    count: u32,
    (v_base, v_max): (i64, i64),
    presence: RoaringBitmap,
    v: Vec<RoaringBitmap>,
    n: Vec<RoaringBitmap>,
) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![VERSION, n.len() as u8, v.len() as u8, 0];
    bytes.extend(count.to_le_bytes());
    bytes.extend(v_base.to_le_bytes());
    bytes.extend(v_max.to_le_bytes());
    let mut all = vec![presence];
    all.extend(v);
    all.extend(n);
    for plane in &mut all {
        plane.optimize();
        bytes.extend((plane.serialized_size() as u32).to_le_bytes());
    }
    bytes.reserve(all.iter().map(RoaringBitmap::serialized_size).sum());
    for plane in &all {
        // Writing into memory does not fail.
        plane.serialize_into(&mut bytes).map_err(|_| StoreError::Overflow)?;
    }
    Ok(bytes)
}

impl<'a> NumberChunk<'a> {
    /// Reads the headers of a chunk and of its planes.
    ///
    /// # Errors
    /// [`StoreError::Version`], [`StoreError::Truncated`], [`StoreError::Damaged`] when headers contradict each other.
    pub fn open(bytes: impl Into<Bytes<'a>>) -> Result<Self, StoreError> {
        let bytes = bytes.into();
        let truncated = |at| StoreError::Truncated { what: WHAT, at };
        let damaged = |at| StoreError::Damaged { what: WHAT, at };
        let head = bytes.get(WHAT, 0, HEAD)?.first_chunk::<HEAD>().ok_or(truncated(HEAD))?;
        let [version, n_depth, v_depth, zero, c0, c1, c2, c3, numbers @ ..] = head;
        if *version != VERSION {
            return Err(StoreError::Version(*version));
        }
        let (n_depth, v_depth) = (usize::from(*n_depth), usize::from(*v_depth));
        let count = u32::from_le_bytes([*c0, *c1, *c2, *c3]);
        let ([v_base, v_max], _) = numbers.as_chunks::<8>() else {
            return Err(truncated(HEAD));
        };
        let (v_base, v_max) = (i64::from_le_bytes(*v_base), i64::from_le_bytes(*v_max));
        if n_depth > 63 || v_depth > 64 || *zero != 0 {
            return Err(damaged(1));
        }
        if v_base > v_max || depth_of(above(v_max, v_base)) != v_depth {
            return Err(damaged(8));
        }
        let lengths_len = 4 * (1 + v_depth + n_depth);
        let lengths = bytes.get(WHAT, HEAD, lengths_len)?;
        let mut at = HEAD + lengths_len;
        let mut all = Vec::with_capacity(1 + v_depth + n_depth);
        for length in lengths.as_chunks::<4>().0 {
            let length = u32::from_le_bytes(*length) as usize;
            all.push(Portable::open_shard(bytes.part(WHAT, at, length)?)?);
            at += length;
        }
        if at != bytes.len() {
            return Err(damaged(at));
        }
        let n = all.split_off(1 + v_depth);
        let v = all.split_off(1);
        let [presence] = all[..] else {
            return Err(truncated(HEAD));
        };
        if presence.cardinality() != u64::from(count) {
            return Err(damaged(4));
        }
        Ok(Self { count, v_base, v_max, presence, v, n })
    }

    /// Number of profiles present.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The smallest v present; 0 when nothing is.
    pub fn v_base(&self) -> i64 {
        self.v_base
    }

    /// The largest v present; 0 when nothing is.
    pub fn v_max(&self) -> i64 {
        self.v_max
    }

    /// No n is larger than this.
    pub fn n_bound(&self) -> u64 {
        1 << self.n.len()
    }

    /// The profiles present.
    pub fn presence(&self) -> &Portable<'a> {
        &self.presence
    }

    /// Planes of `v - v_base`, the highest bit first.
    pub fn v_planes(&self) -> &[Portable<'a>] {
        &self.v
    }

    /// Planes of `n - 1`, the highest bit first.
    pub fn n_planes(&self) -> &[Portable<'a>] {
        &self.n
    }

    /// Profiles of block `key` with low ≤ v ≤ high. With `within`, the answer is only right inside that set, which
    /// lets the comparison end early.
    ///
    /// # Errors
    /// Those of [`Portable::get`].
    pub fn values_between(
        &self,
        key: u16,
        low: i64,
        high: i64,
        within: Option<&Value<'_>>,
        arena: &mut Arena,
    ) -> Result<Value<'a>, StoreError> {
        if low > high || high < self.v_base || low > self.v_max {
            return Ok(Value::Empty);
        }
        // An open end is all zeros or all ones, where the comparison stops at once.
        let low = if low <= self.v_base { 0 } else { above(low, self.v_base) };
        let high = if high >= self.v_max { u64::MAX } else { above(high, self.v_base) };
        range::between(&self.presence, &self.v, key, low, high, within, arena)
    }

    /// Profiles of block `key` with low ≤ n ≤ high; `within` as in [`Self::values_between`].
    ///
    /// # Errors
    /// Those of [`Portable::get`].
    pub fn counts_between(
        &self,
        key: u16,
        low: i128,
        high: i128,
        within: Option<&Value<'_>>,
        arena: &mut Arena,
    ) -> Result<Value<'a>, StoreError> {
        let bound = i128::from(self.n_bound());
        if low > high || high < 1 || low > bound {
            return Ok(Value::Empty);
        }
        let low = (low.max(1) - 1) as u64;
        let high = if high >= bound { u64::MAX } else { (high - 1) as u64 };
        range::between(&self.presence, &self.n, key, low, high, within, arena)
    }

    /// Adds the v of block `key` to the lanes.
    ///
    /// # Errors
    /// Those of [`Portable::get`].
    pub fn add_values<L: Lane>(&self, key: u16, lanes: &mut Lanes<L>) -> Result<(), StoreError> {
        self.add(&self.v, self.v_base, key, lanes)
    }

    /// Adds the n of block `key` to the lanes.
    ///
    /// # Errors
    /// Those of [`Portable::get`].
    pub fn add_counts<L: Lane>(&self, key: u16, lanes: &mut Lanes<L>) -> Result<(), StoreError> {
        self.add(&self.n, 1, key, lanes)
    }

    fn add<L: Lane>(
        &self,
        planes: &[Portable<'a>],
        base: i64,
        key: u16,
        lanes: &mut Lanes<L>,
    ) -> Result<(), StoreError> {
        let Some(present) = self.presence.get(key)? else {
            return Ok(());
        };
        if base != 0 {
            lanes.add(present, L::cut(base.into()));
        }
        for (plane, bit) in planes.iter().rev().zip(0u32..) {
            if let Some(container) = plane.get(key)? {
                lanes.add(container, L::cut(1i128 << bit));
            }
        }
        Ok(())
    }

    /// The cell of one offset, if it is present.
    ///
    /// # Errors
    /// Those of [`Portable::get`].
    pub fn cell(&self, offset: u32) -> Result<Option<Cell>, StoreError> {
        let (key, member) = ((offset >> 16) as u16, offset as u16);
        let has = |plane: &Portable<'_>| Ok(plane.get(key)?.is_some_and(|container| container.contains(member)));
        if !has(&self.presence)? {
            return Ok(None);
        }
        let number = |planes: &[Portable<'_>]| {
            planes.iter().try_fold(0u64, |number, plane| Ok::<_, StoreError>(number << 1 | u64::from(has(plane)?)))
        };
        let n = i64::try_from(number(&self.n)?).ok().and_then(|n| n.checked_add(1));
        let n = n.ok_or(StoreError::Damaged { what: WHAT, at: 1 })?;
        Ok(Some(Cell { offset, n, v: below(self.v_base, number(&self.v)?) }))
    }

    /// The chunk with changes added, plane by plane: sets are merged, which costs far less than to take the numbers of all cells apart and put them together again. `None` when too many of the
    /// changes are of cells that are there, which are taken apart one by one, or when the frame has to move: a cell at an end of the range of v or in the top plane of n goes, one below the range
    /// comes, or nobody is left or was there.
    ///
    /// # Errors
    /// Those of [`Portable::get`] and [`Change::of`], and [`StoreError::Damaged`] for planes that are not sets.
    pub(super) fn patched(&self, changes: &[Change]) -> Result<Option<Vec<u8>>, StoreError> {
        if self.count == 0 {
            return Ok(None);
        }
        let presence = self.presence.decoded()?;
        let known: Vec<bool> = changes.iter().map(|change| presence.contains(change.offset)).collect();
        let count_known = known.iter().filter(|known| **known).count();
        if count_known * PATCH_FROM > self.count as usize + changes.len() {
            return Ok(None);
        }
        let (mut gone, mut after) = (Vec::with_capacity(count_known), Vec::with_capacity(changes.len()));
        let (mut v_max, mut n_max) = (self.v_max, 1);
        for (change, known) in changes.iter().zip(known) {
            let before = if known { self.cell(change.offset)? } else { None };
            let cell = change.of(before)?;
            if let Some(before) = before {
                let top = !self.n.is_empty() && depth_of(above(before.n, 1)) == self.n.len();
                let moved = cell.is_none_or(|cell| cell.v != before.v);
                if moved && (before.v == self.v_base || before.v == self.v_max)
                    || top && cell.is_none_or(|cell| cell.n != before.n)
                {
                    return Ok(None);
                }
                gone.push(change.offset);
            }
            if let Some(cell) = cell {
                if cell.v < self.v_base {
                    return Ok(None);
                }
                (v_max, n_max) = (v_max.max(cell.v), n_max.max(cell.n));
                after.push(cell);
            }
        }
        let count = self.count as usize + after.len() - gone.len();
        if count == 0 {
            return Ok(None);
        }
        let gone = set_of(gone.into_iter())?;
        let merge = |mut set: RoaringBitmap, new: RoaringBitmap| {
            // Whether a container is kept as runs is settled when it is written, by what it holds then.
            set.remove_run_compression();
            if !gone.is_empty() {
                set -= &gone;
            }
            set |= new;
            set
        };
        // Planes above those that there were are of new cells alone.
        let merge_all = |old: &[Portable<'_>], new: Vec<RoaringBitmap>| {
            let more = new.len() - old.len();
            let merge = |(nth, new): (usize, RoaringBitmap)| match nth.checked_sub(more).and_then(|nth| old.get(nth)) {
                Some(old) => Ok(merge(old.decoded()?, new)),
                None => Ok(new),
            };
            new.into_iter().enumerate().map(merge).collect::<Result<Vec<_>, StoreError>>()
        };
        let v_depth = depth_of(above(v_max, self.v_base));
        let n_depth = depth_of(above(n_max, 1)).max(self.n.len());
        let v = merge_all(&self.v, planes::write(&after, v_depth, |cell| above(cell.v, self.v_base)))?;
        let n = merge_all(&self.n, planes::write(&after, n_depth, |cell| above(cell.n, 1)))?;
        let presence = merge(presence, set_of(after.iter().map(|cell| cell.offset))?);
        write(count as u32, (self.v_base, v_max), presence, v, n).map(Some)
    }

    /// Adds up v over `members` of block `key`, all of whom are present: their number, sum, smallest and largest v. Each plane is
    /// only counted.
    ///
    /// # Errors
    /// Those of [`Portable::get`].
    pub fn add_totals(
        &self,
        key: u16,
        members: &Block,
        totals: &mut Totals,
        arena: &mut Arena,
    ) -> Result<(), StoreError> {
        let known = u64::from(members.count());
        if known == 0 {
            return Ok(());
        }
        let mut above_base = 0u128;
        for (plane, bit) in self.v.iter().zip((0..self.v.len()).rev()) {
            if let Some(next) = self.v.get(self.v.len() - bit) {
                next.expect(key);
            }
            if let Some(container) = plane.get(key)? {
                above_base += u128::from(count_in(members.words(), container)) << bit;
            }
        }
        totals.known += known;
        totals.sum += i128::from(self.v_base) * i128::from(known) + above_base as i128;
        let (mut low, mut high) = match totals.range {
            Some(range) => range,
            None => {
                let first = self.extreme(key, members, false, arena)?;
                (first, first)
            }
        };
        if self.any_between(key, i64::MIN, low.checked_sub(1), members, arena)? {
            low = self.extreme(key, members, false, arena)?;
        }
        if self.any_between(key, high.saturating_add(1), (high < i64::MAX).then_some(i64::MAX), members, arena)? {
            high = self.extreme(key, members, true, arena)?;
        }
        totals.range = Some((low, high));
        Ok(())
    }

    /// Whether any of the members has low ≤ v ≤ high; no bound, no member.
    fn any_between(
        &self,
        key: u16,
        low: i64,
        high: Option<i64>,
        members: &Block,
        arena: &mut Arena,
    ) -> Result<bool, StoreError> {
        let Some(high) = high else { return Ok(false) };
        if high < self.v_base || low > self.v_max {
            return Ok(false);
        }
        let mut copy = arena.take();
        copy.set_block(members);
        let within = Value::Flat(copy);
        let found = self.values_between(key, low, high, Some(&within), arena)?;
        // The answer is only right inside the members.
        let any = found.and_count(&within, arena) > 0;
        arena.drop_value(found);
        arena.drop_value(within);
        Ok(any)
    }

    /// The smallest or the `largest` v of members, of whom there is one at least: whoever is among the best so far stays so with
    /// the better bit, unless nobody has it.
    fn extreme(&self, key: u16, members: &Block, largest: bool, arena: &mut Arena) -> Result<i64, StoreError> {
        let (mut best, mut kept) = (arena.take(), arena.take());
        best.set_block(members);
        let mut above = 0u64;
        for (plane, bit) in self.v.iter().zip((0..self.v.len()).rev()) {
            let container = plane.get(key)?;
            kept.set_block(&best);
            let any = match (container, largest) {
                (Some(container), true) => kept.and_container(container),
                (Some(container), false) => kept.andnot_container(container),
                (None, largest) => !largest,
            };
            if any {
                std::mem::swap(&mut best, &mut kept);
            }
            if any == largest {
                above |= 1 << bit;
            }
        }
        arena.give(best);
        arena.give(kept);
        Ok(below(self.v_base, above))
    }

    /// Calls `f` with the v of each of `members` of block `key`, all of whom are present.
    ///
    /// # Errors
    /// Those of [`Portable::get`].
    pub fn for_each_value(
        &self,
        key: u16,
        members: &Block,
        arena: &mut Arena,
        mut f: impl FnMut(i64),
    ) -> Result<(), StoreError> {
        let flats = Flats::load(&self.v, key, arena)?;
        let mut v = [0; 64];
        for (index, word) in members.words().iter().enumerate().filter(|(_, word)| **word != 0) {
            flats.read(index, *word, &mut v);
            planes::for_each_bit(*word, |lane| f(below(self.v_base, v[lane & 63])));
        }
        flats.drop_into(arena);
        Ok(())
    }

    /// Offset and v of each member of a set that is present, ascending by offset.
    ///
    /// # Errors
    /// Those of [`Portable::get`].
    pub fn values_of(&self, members: &RoaringBitmap) -> Result<Vec<(u32, i64)>, StoreError> {
        let arena = &mut Arena::new();
        let mut out = Vec::new();
        for key in 0..SHARD_BLOCKS {
            let first = u32::from(key) << 16;
            let mut here = arena.take_clear();
            members.range(first..=first | 0xffff).for_each(|offset| here.insert(offset as u16));
            let present = Value::stored(self.presence.get(key)?);
            let here = Value::Flat(here).and(present, arena).into_block(arena);
            let mut offsets = here.iter();
            self.for_each_value(key, &here, arena, |v| {
                out.extend(offsets.next().map(|offset| (first | u32::from(offset), v)));
            })?;
            drop(offsets);
            arena.give(here);
        }
        Ok(out)
    }

    /// The cells, ascending by offset.
    pub fn cells(&self) -> Cells<'_, 'a> {
        Cells { chunk: self, block: 0, ready: Vec::new(), at: 0, arena: Arena::new() }
    }
}

/// The cells of a chunk, decoded a block at a time. Ends after the first error.
#[derive(Debug)]
pub struct Cells<'c, 'a> {
    chunk: &'c NumberChunk<'a>,
    /// Position of the next container of the presence plane.
    block: usize,
    ready: Vec<Cell>,
    at: usize,
    arena: Arena,
}

impl Iterator for Cells<'_, '_> {
    type Item = Result<Cell, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(cell) = self.ready.get(self.at) {
                self.at += 1;
                return Some(Ok(*cell));
            }
            let key = self.chunk.presence.keys().nth(self.block)?;
            self.ready.clear();
            self.at = 0;
            let decoded = self.chunk.presence.container(self.block).and_then(|present| self.decode(key, present));
            self.block += 1;
            if let Err(error) = decoded {
                self.ready.clear();
                self.block = usize::MAX;
                return Some(Err(error));
            }
        }
    }
}

/// Up to this many cells in one block are read container by container: flat planes would be mostly empty words.
const SPARSE_UPTO: usize = 512;

impl Cells<'_, '_> {
    fn decode(&mut self, key: u16, present: Container<'_>) -> Result<(), StoreError> {
        if let Some(present) = present.few(SPARSE_UPTO) {
            return self.decode_sparse(key, &present);
        }
        let present = self.arena.take_container(present);
        let v_flats = Flats::load(&self.chunk.v, key, &mut self.arena)?;
        let n_flats = Flats::load(&self.chunk.n, key, &mut self.arena)?;
        let (mut v, mut n) = ([0; 64], [0; 64]);
        let mut good = true;
        for (index, word) in present.words().iter().enumerate().filter(|(_, word)| **word != 0) {
            v_flats.read(index, *word, &mut v);
            if !self.chunk.n.is_empty() {
                n_flats.read(index, *word, &mut n);
            }
            let first = u32::from(key) << 16 | (index as u32) << 6;
            planes::for_each_bit(*word, |lane| {
                // n - 1 has at most 63 bits; a writer never needs all of them to be set.
                let facts = (n[lane & 63] as i64).wrapping_add(1);
                good &= facts > 0;
                let v = below(self.chunk.v_base, v[lane & 63]);
                self.ready.push(Cell { offset: first | lane as u32, n: facts, v });
            });
        }
        v_flats.drop_into(&mut self.arena);
        n_flats.drop_into(&mut self.arena);
        self.arena.give(present);
        if good { Ok(()) } else { Err(StoreError::Damaged { what: WHAT, at: 1 }) }
    }

    fn decode_sparse(&mut self, key: u16, present: &[u16]) -> Result<(), StoreError> {
        let (v, n) = (planes::gather(&self.chunk.v, key, present)?, planes::gather(&self.chunk.n, key, present)?);
        for ((offset, v), n) in present.iter().zip(v).zip(n) {
            // As above.
            let facts = (n as i64).wrapping_add(1);
            if facts <= 0 {
                return Err(StoreError::Damaged { what: WHAT, at: 1 });
            }
            let offset = u32::from(key) << 16 | u32::from(*offset);
            self.ready.push(Cell { offset, n: facts, v: below(self.chunk.v_base, v) });
        }
        Ok(())
    }
}

/// The value that lies `above` over the base.
fn below(base: i64, above: u64) -> i64 {
    base.wrapping_add(above as i64)
}

/// How far `value` lies above `base`, for value ≥ base.
fn above(value: i64, base: i64) -> u64 {
    value.wrapping_sub(base) as u64
}

/// Bits needed for every number up to `largest`.
fn depth_of(largest: u64) -> usize {
    (u64::BITS - largest.leading_zeros()) as usize
}
