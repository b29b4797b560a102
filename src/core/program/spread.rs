//! How the members of a program spread over the values of an attribute that is kept as codes: one look a member, however many values there are.

use super::Program;
use super::eval::Evaluator;
use super::open;
use crate::bitmap::{Block, Bytes, SHARD_BLOCKS, Value};
use crate::cells::codes::damaged;
use crate::cells::{Codes, CodesBlock, CodesChunk, CodesHead, NO_CODE};
use crate::error::StoreError;

/// A code, how many of the members have it, and how many offsets do.
pub type CodeShare = (u16, u64, u64);

/// How many members of one shard a program has; and for each code that occurs in the codes chunk of the shard, ascending, how many of the members
/// and how many offsets have it.
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
        tally.add(codes.block(key)?, &counted).map_err(|_| damaged(codes.head(), key))?;
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

/// How often each code was seen. Place 0 is that of no code, place c + 1 that of the code c; the last place is that of every code beyond those the
/// chunk knows, and has to stay empty.
struct Tally {
    seen: Vec<[u32; LANES]>,
}

/// Adds one, or nothing. A shard has too few offsets for an overflow.
#[inline(always)]
fn count(lanes: &mut [u32; LANES], lane: usize, one: bool) {
    lanes[lane % LANES] = lanes[lane % LANES].wrapping_add(one.into());
}

/// A list that does not ascend, or gives an offset no code.
struct Disorder;

impl Tally {
    fn new(head: &CodesHead) -> Self {
        let most = head.codes().last().map_or(0, |(code, _)| usize::from(*code));
        // A byte then needs no bound.
        Self { seen: vec![[0; LANES]; (most + 3).max(257)] }
    }

    /// Adds the codes of the members of a block.
    fn add(&mut self, codes: CodesBlock<'_>, members: &Block) -> Result<(), Disorder> {
        match codes {
            CodesBlock::Field(Codes::Narrow(codes)) => {
                let (codes, _) = codes.as_chunks::<64>();
                let Some((seen, _)) = self.seen.split_first_chunk_mut::<256>() else { return Err(Disorder) };
                for_each_place(codes, members, |code, lane, one| {
                    count(&mut seen[usize::from(code.wrapping_add(1))], lane, one)
                });
            }
            CodesBlock::Field(Codes::Wide(codes)) => {
                let (codes, _) = codes.as_chunks::<64>();
                let seen = self.seen.as_mut_slice();
                let last = seen.len() - 1;
                for_each_place(codes, members, |code, lane, one| {
                    count(&mut seen[usize::from(u16::from_le_bytes(code).wrapping_add(1)).min(last)], lane, one);
                });
            }
            CodesBlock::List { offsets, codes } => {
                let last = self.seen.len() - 1;
                let mut previous = None;
                for (at, offset) in offsets.iter().enumerate() {
                    let offset = u16::from_le_bytes(*offset);
                    if previous.is_some_and(|previous| previous >= offset) {
                        return Err(Disorder);
                    }
                    previous = Some(offset);
                    let code = codes.get(at);
                    if code == NO_CODE {
                        return Err(Disorder);
                    }
                    if members.contains(offset) {
                        count(&mut self.seen[usize::from(code.wrapping_add(1)).min(last)], at, true);
                    }
                }
            }
        }
        Ok(())
    }

    /// For each code how many were seen, and how many there are.
    fn finish(mut self, head: &CodesHead) -> Result<Vec<CodeShare>, StoreError> {
        let mut shares = Vec::with_capacity(head.codes().len());
        for (code, count) in head.codes() {
            let lanes = std::mem::take(&mut self.seen[usize::from(code.wrapping_add(1))]);
            let seen: u64 = lanes.into_iter().map(u64::from).sum();
            if seen > u64::from(*count) {
                return Err(damaged(head, 0));
            }
            shares.push((*code, seen, u64::from(*count)));
        }
        let none = usize::from(NO_CODE.wrapping_add(1));
        if self.seen.iter().skip(none + 1).any(|lanes| *lanes != [0; LANES]) {
            return Err(damaged(head, 0));
        }
        Ok(shares)
    }
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
