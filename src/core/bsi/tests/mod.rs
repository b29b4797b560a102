#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

//! Every operation against a map from ids to values, the laws of addition and merging, and bytes that lie.

mod hostile;
mod laws;
mod oracle;

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use roaring::RoaringTreemap;

use super::*;
use crate::testing::{Rng, members, shape};

type Map = BTreeMap<u64, i64>;

/// How the values of an index are made.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Same(i64),
    Small,
    Signed,
    Times,
    Wide,
    Extreme,
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        prop_oneof![Just(0), Just(-7), Just(199), Just(i64::MIN), Just(i64::MAX)].prop_map(Kind::Same),
        Just(Kind::Small),
        Just(Kind::Signed),
        Just(Kind::Times),
        Just(Kind::Wide),
        Just(Kind::Extreme),
    ]
}

fn value(kind: Kind, rng: &mut Rng) -> i64 {
    match kind {
        Kind::Same(value) => value,
        Kind::Small => (rng.next() % 6) as i64,
        Kind::Signed => (rng.next() % 2001) as i64 - 1000,
        Kind::Times => 1_700_000_000_000_000 + (rng.next() % 1_000_000_000) as i64,
        Kind::Wide => rng.next() as i64,
        Kind::Extreme => [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX][(rng.next() % 6) as usize],
    }
}

/// Ids in few blocks, near and far, in every form that a container can take.
fn ids() -> impl Strategy<Value = BTreeSet<u64>> {
    let block = prop_oneof![Just(0u64), Just(1), Just(65_535), Just(65_536), Just(MAX_ID >> 16), 0u64..200_000];
    vec((block, shape()), 0..4).prop_map(|blocks| {
        let of = |(block, shape)| members(&shape).into_iter().map(move |member| block << 16 | u64::from(member));
        blocks.into_iter().flat_map(of).collect()
    })
}

fn map() -> impl Strategy<Value = Map> {
    (ids(), kind(), any::<u64>()).prop_map(|(ids, kind, seed)| {
        let mut rng = Rng(seed);
        ids.into_iter().map(|id| (id, value(kind, &mut rng))).collect()
    })
}

/// A filter that has something to do with the map: a part of it and some ids beside it.
fn filter(map: &Map, seed: u64, other: &BTreeSet<u64>) -> Option<BTreeSet<u64>> {
    let mut rng = Rng(seed);
    match seed % 5 {
        0 => None,
        1 => Some(other.clone()),
        2 => Some(map.keys().copied().collect()),
        _ => {
            let percent = rng.next() % 100;
            Some(map.keys().copied().filter(|_| rng.next() % 100 < percent).chain(other.iter().copied()).collect())
        }
    }
}

fn encoded(map: &Map) -> Vec<u8> {
    let mut build = Build::new();
    map.iter().for_each(|(id, value)| build.insert(*id, *value).unwrap());
    build.finish().unwrap()
}

fn set_bytes(set: &BTreeSet<u64>) -> Vec<u8> {
    let mut set: RoaringTreemap = set.iter().copied().collect();
    // Both forms that stored sets have.
    if set.len().is_multiple_of(2) {
        set.optimize();
    }
    let mut bytes = Vec::new();
    set.serialize_into(&mut bytes).unwrap();
    bytes
}

fn set_of(bytes: &[u8]) -> BTreeSet<u64> {
    crate::bitmap_treemap::canonical(bytes).unwrap();
    RoaringTreemap::deserialize_from(bytes).unwrap().into_iter().collect()
}

fn decoded(bytes: &[u8]) -> Map {
    let mut pairs = Pairs::new();
    std::iter::from_fn(|| pairs.next(bytes).unwrap()).collect()
}
