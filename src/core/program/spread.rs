//! How the members of a program spread over the values of an attribute that is kept as codes: one look a member, however many values there are.

use super::Program;
use super::eval::Evaluator;
use super::open;
use crate::bitmap::{Block, Bytes, SHARD_BLOCKS, Value};
use crate::cells::codes::damaged;
use crate::cells::codes::{NONE, RARE, RARE_FROM};
use crate::cells::{CodesBlock, CodesChunk, CodesHead, NO_CODE};
use crate::error::StoreError;

/// A code, how many of the members have it, and how many offsets do.
pub type CodeShare = (u16, u64, u64);

/// How many members of one shard a program has; and for each code that occurs in the codes chunk of the shard, in the order of its ranks, how many of
/// the members and how many offsets have it.
///
/// # Errors
/// Those of [`super::evaluate`] and of reading the chunk; [`StoreError::Damaged`] when members have codes that the head of the chunk does not
/// know, or knows fewer times.
pub fn code_distribution<'a, B: Into<Bytes<'a>> + Copy>(
    program: &Program,
    chunks: &[Vec<B>],
    codes: Option<B>,
) -> Result<(u64, Vec<CodeShare>), StoreError> {
    let slots = open::open(program, chunks)?;
    let codes = codes.map(CodesChunk::open).transpose()?;
    let mut evaluator = Evaluator::new(&slots);
    let (mut blocks, mut total, mut here) = (Vec::new(), 0, 0);
    for key in 0..SHARD_BLOCKS {
        let members = evaluator.evaluate(&program.root, key)?;
        let count = u64::from(members.count());
        total += count;
        match &codes {
            Some(codes) if codes.head().known(key) > 0 => {
                here += count;
                blocks.push((key, members));
            }
            _ => evaluator.arena().drop_value(members),
        }
    }
    let Some(codes) = codes else { return Ok((total, Vec::new())) };
    // The head knows how many there are of each code: where most are members, who is none is counted.
    let others = here > (blocks.len() as u64) << 15;
    let mut tally = Tally::new(codes.head());
    for (key, members) in blocks {
        if if others { matches!(members, Value::Full) } else { members.is_empty() } {
            continue;
        }
        let mut counted = members.into_block(evaluator.arena());
        if others {
            counted.words_mut().iter_mut().for_each(|word| *word = !*word);
        }
        tally.add(&codes, key, &counted)?;
        evaluator.arena().give(counted);
    }
    let mut shares = tally.finish(codes.head())?;
    if others {
        shares.iter_mut().for_each(|(_, inside, all)| *inside = *all - *inside);
    }
    Ok((total, shares))
}

/// Counts kept side by side: neighbours often have the same code, and adding to a count again has to wait for the first addition.
const LANES: usize = 4;

/// How often each rank was seen. The places are the bytes of a narrow block, then the ranks from [`RARE_FROM`] on; the last place is that of every rank
/// that no code has, and has to stay empty.
struct Tally {
    seen: Vec<[u32; LANES]>,
}

/// Places before the first rare rank.
const BYTES: usize = 256;

/// Adds one, or nothing. A shard has too few offsets for an overflow.
#[inline(always)]
fn count(lanes: &mut [u32; LANES], lane: usize, one: bool) {
    lanes[lane % LANES] = lanes[lane % LANES].wrapping_add(one.into());
}

impl Tally {
    fn new(head: &CodesHead) -> Self {
        let rare = head.codes().len().saturating_sub(RARE_FROM.into());
        // A byte then needs no bound.
        Self { seen: vec![[0; LANES]; BYTES + rare + 1] }
    }

    /// How often a byte was seen.
    fn of_byte(&self, byte: u8) -> u32 {
        self.seen.get(usize::from(byte)).map_or(0, |lanes| lanes.iter().sum())
    }

    /// Adds the ranks of the members of a block.
    fn add(&mut self, chunk: &CodesChunk<'_>, key: u16, members: &Block) -> Result<(), StoreError> {
        let last = self.seen.len() - 1;
        let before = self.of_byte(RARE);
        match chunk.block(key)? {
            CodesBlock::Field(ranks) => {
                let (ranks, _) = ranks.as_chunks::<64>();
                let Some((seen, _)) = self.seen.split_first_chunk_mut::<BYTES>() else {
                    return Err(damaged(chunk.head(), key));
                };
                for_each_place(ranks, members, |rank, lane, one| count(&mut seen[usize::from(rank)], lane, one));
            }
            CodesBlock::Wide(ranks) => {
                let (ranks, _) = ranks.as_chunks::<64>();
                let seen = self.seen.as_mut_slice();
                for_each_place(ranks, members, |rank, lane, one| {
                    let place = match u16::from_le_bytes(rank) {
                        NO_CODE => NONE.into(),
                        rank => place(rank).min(last),
                    };
                    count(&mut seen[place], lane, one);
                });
            }
            CodesBlock::List { offsets, ranks } => {
                let mut previous = None;
                for (at, (offset, rank)) in offsets.iter().zip(ranks).enumerate() {
                    let offset = u16::from_le_bytes(*offset);
                    if previous >= Some(offset) || *rank == NONE {
                        return Err(damaged(chunk.head(), key));
                    }
                    previous = Some(offset);
                    count(&mut self.seen[usize::from(*rank)], at, members.contains(offset));
                }
            }
        }
        let marked = self.of_byte(RARE).wrapping_sub(before);
        if marked > 0 { self.add_rare(chunk, key, members, marked) } else { Ok(()) }
    }

    /// Adds the rare ranks of the members of a block, of which `marked` have one. There are few: going through all is cheaper than looking for some.
    fn add_rare(&mut self, chunk: &CodesChunk<'_>, key: u16, members: &Block, marked: u32) -> Result<(), StoreError> {
        let last = self.seen.len() - 1;
        let (mut found, mut ascends, mut previous) = (0, true, -1);
        for (at, (offset, rank)) in chunk.rare(key)?.iter().enumerate() {
            ascends &= i32::from(offset) > previous && rank >= RARE_FROM;
            previous = i32::from(offset);
            let one = members.contains(offset);
            found += u32::from(one);
            count(&mut self.seen[place(rank).min(last)], at, one);
        }
        if ascends && found == marked { Ok(()) } else { Err(damaged(chunk.head(), key)) }
    }

    /// For each code that there is how many were seen, and how many there are.
    fn finish(&self, head: &CodesHead) -> Result<Vec<CodeShare>, StoreError> {
        let sum = |lanes: &[u32; LANES]| lanes.iter().map(|lane| u64::from(*lane)).sum::<u64>();
        let mut shares = Vec::with_capacity(head.codes().len());
        for ((code, count), rank) in head.codes().iter().zip(0..) {
            let seen = self.seen.get(place(rank)).map_or(0, sum);
            if seen > u64::from(*count) {
                return Err(damaged(head, 0));
            }
            if *count > 0 {
                shares.push((*code, seen, u64::from(*count)));
            }
        }
        // Ranks that no code has.
        let kinds = head.codes().len().min(RARE_FROM.into());
        let mut others = self.seen.iter().take(RARE_FROM.into()).skip(kinds).chain(self.seen.last());
        if others.any(|lanes| *lanes != [0; LANES]) { Err(damaged(head, 0)) } else { Ok(shares) }
    }
}

/// The place of a rank.
#[inline(always)]
fn place(rank: u16) -> usize {
    let rare = if rank >= RARE_FROM { BYTES - usize::from(RARE_FROM) } else { 0 };
    usize::from(rank) + rare
}

/// Calls `f` with what is at the place of each member, a lane, and true. Members are taken by rounds of one a lane, without asking inside a round
/// whether any is left, which a processor could not foresee: what makes a round full comes with false.
#[inline(always)]
fn for_each_place<T: Copy>(places: &[[T; 64]], members: &Block, mut f: impl FnMut(T, usize, bool)) {
    for (places, word) in places.iter().zip(members.words()) {
        let mut left = *word;
        if left == !0 {
            for places in places.as_chunks::<LANES>().0 {
                for (lane, place) in places.iter().enumerate() {
                    f(*place, lane, true);
                }
            }
            continue;
        }
        while left != 0 {
            for lane in 0..LANES {
                f(places[left.trailing_zeros() as usize & 63], lane, left != 0);
                left &= left.wrapping_sub(1);
            }
        }
    }
}
