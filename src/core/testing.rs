//! Random sets and cells that cover every form a container can take, and what is expected of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "tests/common/rng.rs"]
mod rng;

pub use rng::Rng;

use crate::cells::{self, Cell};
use proptest::collection::vec;
use proptest::prelude::*;
use roaring::RoaringBitmap;
use std::collections::{BTreeMap, BTreeSet};

/// The members of one block.
#[derive(Debug, Clone)]
pub enum Shape {
    Few(Vec<u16>),
    /// About `percent` of the block, by a generator started from `seed`.
    Dense(u64, u8),
    Runs(Vec<(u16, u16)>),
    All,
}

/// How the numbers of a chunk are made.
#[derive(Debug, Clone, Copy)]
pub enum Numbers {
    Same(i64),
    Small,
    Signed,
    Wide,
    Extreme,
}

pub type Cells = BTreeMap<u32, (i64, i64)>;

pub fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        4 => vec(any::<u16>(), 1..40).prop_map(Shape::Few),
        2 => vec(0u16..200, 1..60).prop_map(Shape::Few),
        2 => (any::<u64>(), 1u8..100).prop_map(|(seed, percent)| Shape::Dense(seed, percent)),
        2 => vec((any::<u16>(), 0u16..9000), 1..5).prop_map(Shape::Runs),
        1 => Just(Shape::All),
    ]
}

/// A set over few of the blocks of a shard.
pub fn offsets() -> impl Strategy<Value = BTreeSet<u32>> {
    let key = prop_oneof![Just(0u32), Just(1), Just(15), 0u32..16];
    vec((key, shape()), 0..4).prop_map(|blocks| {
        let mut set = BTreeSet::new();
        for (key, shape) in blocks {
            set.extend(members(&shape).into_iter().map(|member| key << 16 | u32::from(member)));
        }
        set
    })
}

pub fn members(shape: &Shape) -> BTreeSet<u16> {
    match shape {
        Shape::Few(members) => members.iter().copied().collect(),
        Shape::Dense(seed, percent) => {
            let mut rng = Rng(*seed);
            (0..=u16::MAX).filter(|_| rng.next() % 100 < u64::from(*percent)).collect()
        }
        Shape::Runs(runs) => runs.iter().flat_map(|(first, len)| *first..=first.saturating_add(*len)).collect(),
        Shape::All => (0..=u16::MAX).collect(),
    }
}

pub fn numbers() -> impl Strategy<Value = Numbers> {
    prop_oneof![
        prop_oneof![Just(0), Just(-7), Just(199), Just(i64::MIN), Just(i64::MAX)].prop_map(Numbers::Same),
        Just(Numbers::Small),
        Just(Numbers::Signed),
        Just(Numbers::Wide),
        Just(Numbers::Extreme),
    ]
}

fn number(numbers: Numbers, rng: &mut Rng) -> i64 {
    match numbers {
        Numbers::Same(v) => v,
        Numbers::Small => (rng.next() % 100) as i64,
        Numbers::Signed => (rng.next() % 2001) as i64 - 1000,
        Numbers::Wide => rng.next() as i64,
        Numbers::Extreme => match rng.next() % 5 {
            0 => i64::MIN,
            1 => i64::MAX,
            2 => 0,
            3 => -1,
            _ => 1,
        },
    }
}

/// Cells of a chunk; n is 1, small, or now and then as large as it gets.
pub fn cells() -> impl Strategy<Value = Cells> {
    (offsets(), numbers(), 0u8..4, any::<u64>()).prop_map(|(offsets, kind, counts, seed)| {
        let mut rng = Rng(seed);
        let n = |rng: &mut Rng| match counts {
            0 | 1 => 1,
            2 => 1 + (rng.next() % 5) as i64,
            _ if rng.next().is_multiple_of(50) => i64::MAX,
            _ => 1 + (rng.next() % 1000) as i64,
        };
        offsets.into_iter().map(|offset| (offset, (n(&mut rng), number(kind, &mut rng)))).collect()
    })
}

pub fn set_bytes(set: &BTreeSet<u32>, optimize: bool) -> Vec<u8> {
    let mut bitmap: RoaringBitmap = set.iter().collect();
    if optimize {
        bitmap.optimize();
    }
    let mut bytes = Vec::new();
    bitmap.serialize_into(&mut bytes).unwrap();
    bytes
}

pub fn as_cells(cells: &Cells) -> Vec<Cell> {
    cells.iter().map(|(offset, (n, v))| Cell { offset: *offset, n: *n, v: *v }).collect()
}

pub fn number_bytes(cells: &Cells) -> Vec<u8> {
    cells::encode(as_cells(cells)).unwrap()
}

/// Cells as day columns have them: counts and sums that are not negative.
pub fn few_facts() -> impl Strategy<Value = Cells> {
    (offsets(), 1i64..4, 1i64..300).prop_map(|(offsets, n, v)| {
        let cell = |offset: u32| (1 + i64::from(offset) % n, i64::from(offset) * 7 % v);
        offsets.into_iter().map(|offset| (offset, cell(offset))).collect()
    })
}

/// Every prefix of `bytes`, thinned out when there are many.
pub fn prefixes(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let step = (bytes.len() / 600).max(1);
    (0..bytes.len()).filter(move |len| *len < 300 || len % step == 0).map(|len| &bytes[..len])
}
