//! Scores as bit planes: every profile's score is the sum of the weights of its values.
//!
//! The values of what is called an attribute here exclude each other. So for each bit of their weights the sets of the values that have the bit are united,
//! and the union is added to the plane of that bit with carries: as many additions an attribute as its weights have bits, however many values
//! there are, and no number of a profile is ever put together. Values that a profile can have several of are an attribute each: having it, or not.

use crate::bitmap::{Arena, Block, Bytes, Portable, SHARD_BLOCKS, Value, Writer, kernel};
use crate::cells::{Counter, NumberChunk};
use crate::error::StoreError;

/// What the values of one attribute weigh: moved up so that the smallest weight, or that of having none of the values, is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    /// Of each value.
    values: Vec<u64>,
    /// Of who has none of them.
    none: u64,
}

impl Weights {
    /// Weights of values; to have none of them weighs 0.
    pub fn new(weights: &[i32]) -> Self {
        let least = weights.iter().copied().min().unwrap_or(0).min(0);
        let moved = |weight: i32| weight.abs_diff(least).into();
        Self { values: weights.iter().map(|weight| moved(*weight)).collect(), none: moved(0) }
    }

    /// The largest of them.
    fn most(&self) -> u64 {
        self.values.iter().copied().fold(self.none, u64::max)
    }
}

/// Where the values of one attribute are kept in one shard.
pub enum Values<'a> {
    /// A set for each value that occurs, with its index among the weights.
    Sets(Vec<(usize, Bytes<'a>)>),
    /// One chunk of numbers: value i is the numbers of the i-th range low..=high.
    Ranges(Option<Bytes<'a>>, Vec<(i64, i64)>),
}

/// The values of an attribute, opened.
enum Opened<'a> {
    Sets(Vec<(u64, Portable<'a>)>),
    Ranges(NumberChunk<'a>, Vec<(i64, i64, u64)>),
}

/// The scores of candidates.
#[derive(Debug, Default)]
pub struct Scores {
    blocks: Vec<Scored>,
    arena: Arena,
}

/// Those of one block.
#[derive(Debug)]
struct Scored {
    shard: u32,
    key: u16,
    candidates: Box<Block>,
    counter: Counter,
}

impl Scores {
    /// Scores the candidates of a shard by attributes.
    ///
    /// # Errors
    /// Those of reading the chunks.
    pub fn add_shard(
        &mut self,
        shard: u32,
        candidates: Bytes<'_>,
        attributes: &[(&Weights, Values<'_>)],
    ) -> Result<(), StoreError> {
        let candidates = Portable::open_shard(candidates)?;
        let mut opened = Vec::with_capacity(attributes.len());
        for (weights, values) in attributes {
            let weight = |index: usize| weights.values.get(index).copied().unwrap_or(weights.none);
            opened.push((
                *weights,
                match values {
                    Values::Sets(sets) => {
                        let sets = sets.iter().map(|(index, set)| Ok((weight(*index), Portable::open_shard(*set)?)));
                        Opened::Sets(sets.collect::<Result<_, StoreError>>()?)
                    }
                    Values::Ranges(None, _) => Opened::Sets(Vec::new()),
                    Values::Ranges(Some(chunk), ranges) => Opened::Ranges(
                        NumberChunk::open(*chunk)?,
                        ranges.iter().enumerate().map(|(index, (low, high))| (*low, *high, weight(index))).collect(),
                    ),
                },
            ));
        }
        for key in 0..SHARD_BLOCKS {
            let members = Value::stored(candidates.get(key)?);
            if members.is_empty() {
                continue;
            }
            let mut counter = Counter::default();
            for (weights, values) in &opened {
                add(&mut counter, weights, values, key, &mut self.arena)?;
            }
            counter.settle(&mut self.arena);
            let candidates = members.into_block(&mut self.arena);
            self.blocks.push(Scored { shard, key, candidates, counter });
        }
        Ok(())
    }

    /// How many candidates there are.
    pub fn candidates(&self) -> u64 {
        self.blocks.iter().map(|block| u64::from(block.candidates.count())).sum()
    }

    /// The `size` candidates with the highest scores, by shard as set chunks; where scores are equal, smaller profile numbers first. All
    /// candidates, when there are no more than `size`. The scores that are in are found by counting, one bit after the other.
    ///
    /// Shards must have been added in ascending order.
    pub fn top(mut self, size: u64) -> Vec<(u32, Vec<u8>)> {
        if size == 0 {
            return Vec::new();
        }
        let depth = self.blocks.iter().map(|block| block.counter.planes().count()).max().unwrap_or(0);
        let mut least = 0u64;
        for bit in (0..depth.min(63)).rev() {
            let tried = least | 1 << bit;
            if self.count_from(tried) >= size {
                least = tried;
            }
        }
        let mut room = size.saturating_sub(self.count_from(least.saturating_add(1)));
        let mut shards: Vec<(u32, Writer<'_>)> = Vec::new();
        let arena = &mut self.arena;
        for Scored { shard, key, candidates, counter } in self.blocks {
            let mut chosen = copy(&candidates, arena);
            counter.keep_between(&mut chosen, least.saturating_add(1), u64::MAX, arena);
            if room > 0 {
                let mut ties = candidates;
                counter.keep_between(&mut ties, least, least, arena);
                cut(&mut ties, &mut room);
                chosen.or_block(&ties);
                arena.give(ties);
            }
            let any = !chosen.is_empty();
            let value = arena.value(chosen, any);
            if value.is_empty() {
                continue;
            }
            if shards.last().is_none_or(|(last, _)| *last != shard) {
                shards.push((shard, Writer::default()));
            }
            if let Some((_, writer)) = shards.last_mut()
                && let Some(block) = writer.push(key, value)
            {
                arena.give(block);
            }
        }
        shards.into_iter().filter_map(|(shard, writer)| Some((shard, writer.finish()?))).collect()
    }

    /// How many candidates have this score or more.
    fn count_from(&mut self, least: u64) -> u64 {
        let mut total = 0;
        for Scored { candidates, counter, .. } in &self.blocks {
            let mut chosen = copy(candidates, &mut self.arena);
            counter.keep_between(&mut chosen, least, u64::MAX, &mut self.arena);
            total += u64::from(chosen.count());
            self.arena.give(chosen);
        }
        total
    }

    /// The probability that a candidate of `positive` (by shard, set chunks) has a higher score than one of the others, equal scores
    /// counting half: the area under the ROC curve. `None` without candidates of either kind.
    ///
    /// # Errors
    /// Those of reading the sets.
    pub fn auc(&self, attributes: &[&Weights], positive: &[(u32, Bytes<'_>)]) -> Result<Option<f64>, StoreError> {
        let most: u64 = attributes.iter().map(|weights| weights.most()).sum();
        let places = usize::try_from(most).map_err(|_| StoreError::Overflow)? + 1;
        let mut counts = vec![[0u64; 2]; places];
        let positive = positive
            .iter()
            .map(|(shard, set)| Ok((*shard, Portable::open_shard(*set)?)))
            .collect::<Result<Vec<_>, StoreError>>()?;
        let mut wanted = Block::new();
        for Scored { shard, key, candidates, counter } in &self.blocks {
            wanted.clear();
            for (_, set) in positive.iter().filter(|(of, _)| of == shard) {
                if let Some(container) = set.get(*key)? {
                    wanted.set_container(container);
                }
            }
            for_each_score(counter, candidates, |place, score| {
                let kind = usize::from(wanted.contains(place));
                if let Some(counts) = usize::try_from(score).ok().and_then(|score| counts.get_mut(score)) {
                    counts[kind & 1] += 1;
                }
            });
        }
        let (mut below, mut positives, mut won) = (0u64, 0u64, 0u128);
        for [negative, positive] in counts {
            // Twice what is won, so that half a point is whole.
            won += u128::from(positive) * (2 * u128::from(below) + u128::from(negative));
            below += negative;
            positives += positive;
        }
        let pairs = u128::from(below) * u128::from(positives);
        Ok((pairs > 0).then(|| won as f64 / (2.0 * pairs as f64)))
    }
}

/// Adds what one attribute weighs to the scores of a block.
fn add(
    counter: &mut Counter,
    weights: &Weights,
    values: &Opened<'_>,
    key: u16,
    arena: &mut Arena,
) -> Result<(), StoreError> {
    let bits = (u64::BITS - weights.most().leading_zeros()) as usize;
    let mut sums: Vec<Option<Box<Block>>> = (0..bits).map(|_| None).collect();
    // Who has none of the values is only asked for where that weighs something.
    let mut some = (weights.none > 0).then(|| arena.take_clear());
    let mut take = |value: Value<'_>, weight: u64, arena: &mut Arena| {
        for (bit, sum) in sums.iter_mut().enumerate() {
            if weight >> bit & 1 == 1 {
                unite(sum.get_or_insert_with(|| arena.take_clear()), &value);
            }
        }
        if let Some(some) = &mut some {
            unite(some, &value);
        }
        arena.drop_value(value);
    };
    match values {
        Opened::Sets(sets) => {
            for (weight, set) in sets {
                let value = Value::stored(set.get(key)?);
                if !value.is_empty() {
                    take(value, *weight, arena);
                }
            }
        }
        Opened::Ranges(chunk, ranges) => {
            for (low, high, weight) in ranges {
                let value = chunk.values_between(key, *low, *high, None, arena)?;
                take(value, *weight, arena);
            }
        }
    }
    if let Some(mut none) = some {
        none.words_mut().iter_mut().for_each(|word| *word = !*word);
        for (bit, sum) in sums.iter_mut().enumerate() {
            if weights.none >> bit & 1 == 1 {
                sum.get_or_insert_with(|| arena.take_clear()).or_block(&none);
            }
        }
        arena.give(none);
    }
    for (bit, sum) in sums.into_iter().enumerate() {
        if let Some(sum) = sum {
            counter.add(sum, bit, arena);
        }
    }
    Ok(())
}

fn unite(sum: &mut Block, value: &Value<'_>) {
    match value {
        Value::Empty => {}
        Value::Full => sum.fill(),
        Value::Stored(container) => sum.or_container(*container),
        Value::Flat(block) => sum.or_block(block),
    }
}

fn copy(block: &Block, arena: &mut Arena) -> Box<Block> {
    let mut copy = arena.take();
    copy.set_block(block);
    copy
}

/// Keeps the first `room` members, and takes them off the room.
fn cut(block: &mut Block, room: &mut u64) {
    for word in block.words_mut() {
        let mut left = u64::from(word.count_ones());
        while left > *room {
            *word &= !(1 << (63 - word.leading_zeros()));
            left -= 1;
        }
        *room -= left;
    }
}

/// Calls `f` with each member and its score.
fn for_each_score(counter: &Counter, members: &Block, mut f: impl FnMut(u16, u64)) {
    let planes: Vec<Option<&Block>> = counter.planes().take(64).collect();
    let mut matrix = [0u64; 64];
    for (index, word) in members.words().iter().enumerate() {
        if *word == 0 {
            continue;
        }
        matrix.fill(0);
        for (row, plane) in matrix.iter_mut().zip(&planes) {
            *row = plane.map_or(0, |plane| plane.words().get(index).copied().unwrap_or(0));
        }
        kernel::transpose(&mut matrix);
        let mut left = *word;
        while left != 0 {
            let bit = left.trailing_zeros();
            left &= left - 1;
            f((index << 6) as u16 | bit as u16, matrix[bit as usize & 63]);
        }
    }
}
