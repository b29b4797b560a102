//! Sets described in a few words, so that a failing case can be read, and that reach every form a container can take.

pub use super::rng::Rng;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use roaring::{RoaringBitmap, RoaringTreemap};
use std::collections::BTreeSet;

/// The members of one container.
#[derive(Debug, Clone)]
pub enum Shape {
    Few(Vec<u16>),
    /// Exactly so many members, `step` apart and starting at a place; `step` is odd, so that none comes twice.
    Exactly {
        count: u32,
        from: u16,
        step: u16,
    },
    /// About `percent` of the container.
    Dense {
        seed: u64,
        percent: u8,
    },
    /// First member and length - 1.
    Runs(Vec<(u16, u16)>),
    Full,
    /// Full but for one member.
    AllBut(u16),
}

impl Shape {
    pub fn members(&self) -> BTreeSet<u16> {
        match self {
            Self::Few(members) => members.iter().copied().collect(),
            Self::Exactly { count, from, step } => {
                (0..*count).map(|i| from.wrapping_add((i as u16).wrapping_mul(*step))).collect()
            }
            Self::Dense { seed, percent } => {
                let mut rng = Rng(*seed);
                (0..=u16::MAX).filter(|_| rng.next() % 100 < u64::from(*percent)).collect()
            }
            Self::Runs(runs) => runs.iter().flat_map(|(first, more)| *first..=first.saturating_add(*more)).collect(),
            Self::Full => (0..=u16::MAX).collect(),
            Self::AllBut(member) => (0..=u16::MAX).filter(|other| other != member).collect(),
        }
    }
}

pub fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        3 => vec(any::<u16>(), 1..30).prop_map(Shape::Few),
        // Neighbours, so that two sets meet.
        2 => vec(0u16..100, 1..60).prop_map(Shape::Few),
        1 => select(vec![vec![0], vec![u16::MAX], vec![0, u16::MAX]]).prop_map(Shape::Few),
        // Where an array becomes a bitset.
        3 => (select(vec![4095u32, 4096, 4097, 65_535]), any::<u16>(), select(vec![1u16, 3, 15, 16_385]))
            .prop_map(|(count, from, step)| Shape::Exactly { count, from, step }),
        2 => (any::<u64>(), 1u8..100).prop_map(|(seed, percent)| Shape::Dense { seed, percent }),
        3 => vec((any::<u16>(), 0u16..9000), 1..6).prop_map(Shape::Runs),
        1 => Just(Shape::Full),
        1 => select(vec![0, 4096, u16::MAX]).prop_map(Shape::AllBut),
    ]
}

/// Whether containers that are smaller as runs are written as runs.
pub type Runs = bool;

/// A 64-bit set: shapes by bits 16 to 63 of the values.
#[derive(Debug, Clone)]
pub struct Wide(pub Vec<(u64, Shape)>, pub Runs);

impl Wide {
    pub fn members(&self) -> BTreeSet<u64> {
        let mut all = BTreeSet::new();
        for (key, shape) in &self.0 {
            all.extend(shape.members().into_iter().map(|member| key << 16 | u64::from(member)));
        }
        all
    }

    pub fn bytes(&self) -> Vec<u8> {
        treemap_bytes(&self.members(), self.1)
    }
}

pub fn treemap_bytes(members: &BTreeSet<u64>, runs: Runs) -> Vec<u8> {
    let mut set = RoaringTreemap::from_sorted_iter(members.iter().copied()).unwrap();
    if runs {
        set.optimize();
    }
    written(&set)
}

pub fn written(set: &RoaringTreemap) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(set.serialized_size());
    set.serialize_into(&mut bytes).unwrap();
    bytes
}

/// Sets over few containers, so that two have some in common; the last holds 2^63 - 1.
pub fn wide() -> impl Strategy<Value = Wide> {
    let keys = vec![0u64, 1, 0xFFFF, 0x1_0000, 0x1_FFFF, 0x7FFF_FFFF_0000, 0x7FFF_FFFF_FFFF];
    (vec((select(keys), shape()), 0..5), any::<Runs>()).prop_map(|(parts, runs)| Wide(parts, runs))
}

/// A set over one shard: shapes by block.
#[derive(Debug, Clone)]
pub struct Narrow(pub Vec<(u16, Shape)>, pub Runs);

impl Narrow {
    pub fn members(&self) -> BTreeSet<u32> {
        let mut all = BTreeSet::new();
        for (key, shape) in &self.0 {
            all.extend(shape.members().into_iter().map(|member| u32::from(*key) << 16 | u32::from(member)));
        }
        all
    }

    pub fn bytes(&self) -> Vec<u8> {
        bitmap_bytes(&self.members(), self.1)
    }
}

pub fn bitmap_bytes(members: &BTreeSet<u32>, runs: Runs) -> Vec<u8> {
    let mut set = RoaringBitmap::from_sorted_iter(members.iter().copied()).unwrap();
    if runs {
        set.optimize();
    }
    let mut bytes = Vec::with_capacity(set.serialized_size());
    set.serialize_into(&mut bytes).unwrap();
    bytes
}

pub fn narrow() -> impl Strategy<Value = Narrow> {
    (vec((select(vec![0u16, 1, 14, 15]), shape()), 0..5), any::<Runs>()).prop_map(|(parts, runs)| Narrow(parts, runs))
}
