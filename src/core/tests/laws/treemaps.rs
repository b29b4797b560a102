//! 64-bit sets: every operation takes bytes and its result is written to bytes again.

use crate::common::shapes::{Wide, treemap_bytes, wide};
use pg_cdp_core::bitmap_treemap::{
    EMPTY, MAX_VALUE, Members, Operation, and_cardinality, canonical, cardinality, combine, contains, contains_all,
    decode, equals, intersects, is_empty, max, min, operation_cardinality, summary,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// A set that is its bytes. Equality is that of the library.
#[derive(Debug, Clone)]
struct Set(Vec<u8>);

impl PartialEq for Set {
    fn eq(&self, other: &Self) -> bool {
        equals(&self.0, &other.0).unwrap()
    }
}

impl Set {
    fn operate(&self, other: &Self, operation: Operation) -> Self {
        Self(combine(&self.0, &other.0, operation).unwrap())
    }

    fn and(&self, other: &Self) -> Self {
        self.operate(other, Operation::And)
    }

    fn or(&self, other: &Self) -> Self {
        self.operate(other, Operation::Or)
    }

    fn xor(&self, other: &Self) -> Self {
        self.operate(other, Operation::Xor)
    }

    fn without(&self, other: &Self) -> Self {
        self.operate(other, Operation::AndNot)
    }

    fn len(&self) -> u64 {
        cardinality(&self.0).unwrap()
    }

    fn count(&self, other: &Self, operation: Operation) -> u64 {
        operation_cardinality(&self.0, &other.0, operation).unwrap()
    }
}

fn walk(bytes: &[u8]) -> Vec<u64> {
    let mut members = Members::new();
    std::iter::from_fn(|| members.next(bytes).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn laws_of_and_and_or(a in wide(), b in wide(), c in wide()) {
        let [a, b, c] = [a, b, c].map(|set| Set(set.bytes()));
        prop_assert_eq!(a.and(&b), b.and(&a), "and commutes");
        prop_assert_eq!(a.or(&b), b.or(&a), "or commutes");
        prop_assert_eq!(a.and(&b).and(&c), a.and(&b.and(&c)), "and is associative");
        prop_assert_eq!(a.or(&b).or(&c), a.or(&b.or(&c)), "or is associative");
        prop_assert_eq!(a.and(&b.or(&c)), a.and(&b).or(&a.and(&c)), "and distributes over or");
        prop_assert_eq!(a.or(&b.and(&c)), a.or(&b).and(&a.or(&c)), "or distributes over and");
        prop_assert_eq!(a.and(&a.or(&b)), a.clone(), "absorption");
        prop_assert_eq!(a.or(&a.and(&b)), a.clone(), "absorption");
        prop_assert_eq!(a.and(&a), a.clone(), "and is idempotent");
        prop_assert_eq!(a.or(&a), a.clone(), "or is idempotent");
        let empty = Set(EMPTY.to_vec());
        prop_assert_eq!(a.or(&empty), a.clone());
        prop_assert_eq!(a.and(&empty), empty);
    }

    #[test]
    fn laws_of_difference(a in wide(), b in wide(), c in wide(), more in wide()) {
        let [a, b, c, more] = [a, b, c, more].map(|set| Set(set.bytes()));
        let universe = a.or(&b).or(&c).or(&more);
        let not = |set: &Set| universe.without(set);
        prop_assert_eq!(not(&a.or(&b)), not(&a).and(&not(&b)), "De Morgan");
        prop_assert_eq!(not(&a.and(&b)), not(&a).or(&not(&b)), "De Morgan");
        prop_assert_eq!(a.without(&b), a.and(&not(&b)), "difference is and not");
        prop_assert_eq!(not(&not(&a)), a.clone(), "double complement");
        prop_assert_eq!(a.without(&b.or(&c)), a.without(&b).without(&c));
        prop_assert_eq!(a.without(&b.and(&c)), a.without(&b).or(&a.without(&c)));
        prop_assert_eq!(a.xor(&b), b.xor(&a), "xor commutes");
        prop_assert_eq!(a.xor(&b).xor(&c), a.xor(&b.xor(&c)), "xor is associative");
        prop_assert_eq!(a.xor(&b), a.or(&b).without(&a.and(&b)));
        prop_assert_eq!(a.and(&b.xor(&c)), a.and(&b).xor(&a.and(&c)), "and distributes over xor");
        prop_assert_eq!(a.xor(&b).xor(&b), a.clone(), "xor undoes itself");
        let empty = Set(EMPTY.to_vec());
        prop_assert_eq!(a.xor(&a), empty.clone());
        prop_assert_eq!(a.without(&a), empty);
    }

    #[test]
    fn laws_of_cardinality_and_order(a in wide(), b in wide(), c in wide()) {
        let [a, b, c] = [a, b, c].map(|set| Set(set.bytes()));
        let both = and_cardinality(&a.0, &b.0).unwrap();
        prop_assert_eq!(a.and(&b).len(), both);
        prop_assert_eq!(a.or(&b).len() + both, a.len() + b.len(), "inclusion and exclusion of two");
        let three = a.or(&b).or(&c).len() + both + and_cardinality(&a.0, &c.0).unwrap() + and_cardinality(&b.0, &c.0).unwrap();
        prop_assert_eq!(three, a.len() + b.len() + c.len() + a.and(&b).and(&c).len(), "inclusion and exclusion of three");
        for operation in [Operation::And, Operation::Or, Operation::Xor, Operation::AndNot] {
            prop_assert_eq!(a.count(&b, operation), a.operate(&b, operation).len(), "{:?} is counted as it is made", operation);
        }
        let (and, or) = (a.and(&b), a.or(&b));
        prop_assert!(contains_all(&or.0, &a.0).unwrap() && contains_all(&a.0, &and.0).unwrap());
        prop_assert_eq!(contains_all(&a.0, &b.0).unwrap(), or == a);
        prop_assert_eq!(intersects(&a.0, &b.0).unwrap(), both > 0);
        prop_assert_eq!(is_empty(&and.0).unwrap(), both == 0);
        prop_assert_eq!(contains_all(&a.0, &b.0).unwrap() && contains_all(&b.0, &a.0).unwrap(), a == b);
    }

    #[test]
    fn results_are_canonical(a in wide(), b in wide()) {
        let [a, b] = [a, b].map(|set| Set(set.bytes()));
        for operation in [Operation::And, Operation::Or, Operation::Xor, Operation::AndNot] {
            let result = a.operate(&b, operation);
            prop_assert_eq!(canonical(&result.0).unwrap(), &result.0[..]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn answers_are_those_of_a_plain_set(set in wide(), probes in proptest::collection::vec(any::<u64>(), 20)) {
        let (bytes, plain) = (set.bytes(), set.members());
        let checked = summary(&bytes).unwrap();
        prop_assert_eq!((checked.cardinality, checked.max), (plain.len() as u64, plain.last().copied()));
        prop_assert_eq!(cardinality(&bytes).unwrap(), plain.len() as u64);
        prop_assert_eq!(is_empty(&bytes).unwrap(), plain.is_empty());
        prop_assert_eq!(min(&bytes).unwrap(), plain.first().copied());
        prop_assert_eq!(max(&bytes).unwrap(), plain.last().copied());
        prop_assert!(walk(&bytes).into_iter().eq(plain.iter().copied()));
        prop_assert!(decode(&bytes).unwrap().iter().eq(plain.iter().copied()));
        let edges = plain.iter().step_by(211).chain(plain.last()).flat_map(|v| [v.saturating_sub(1), *v, *v + 1]);
        for probe in probes.into_iter().chain(edges).chain([0, 1 << 16, 1 << 32, MAX_VALUE, u64::MAX]) {
            prop_assert_eq!(contains(&bytes, probe).unwrap(), plain.contains(&probe), "{}", probe);
        }
    }

    #[test]
    fn operations_are_those_of_plain_sets(a in wide(), b in wide()) {
        let (x, y) = (Set(a.bytes()), Set(b.bytes()));
        let (a, b) = (a.members(), b.members());
        let expected: [(Operation, BTreeSet<u64>); 4] = [
            (Operation::And, &a & &b),
            (Operation::Or, &a | &b),
            (Operation::Xor, &a ^ &b),
            (Operation::AndNot, &a - &b),
        ];
        for (operation, expected) in expected {
            let result = x.operate(&y, operation);
            prop_assert!(walk(&result.0).into_iter().eq(expected.iter().copied()), "{operation:?}");
            prop_assert_eq!(x.count(&y, operation), expected.len() as u64, "{:?}", operation);
            prop_assert_eq!(result, Set(treemap_bytes(&expected, true)), "{:?}", operation);
        }
        prop_assert_eq!(intersects(&x.0, &y.0).unwrap(), !a.is_disjoint(&b));
        prop_assert_eq!(contains_all(&x.0, &y.0).unwrap(), a.is_superset(&b));
        prop_assert_eq!(x == y, a == b);
    }
}

/// The places where one container form ends and the next begins, all in one set.
#[test]
fn the_borders_of_the_format() {
    use crate::common::shapes::Shape::{AllBut, Exactly, Full, Runs};
    let exactly = |count| Exactly { count, from: 7, step: 3 };
    let borders = |runs| {
        let parts = [exactly(4095), exactly(4096), exactly(4097), exactly(65_535), exactly(65_536), Full, AllBut(9)];
        let parts = parts.into_iter().chain([Runs(vec![(0, 0), (65_535, 0)])]).enumerate();
        let mut parts: Vec<_> = parts.map(|(i, shape)| (0xFFFC + i as u64, shape)).collect();
        parts.push((MAX_VALUE >> 16, Runs(vec![(65_000, 535)])));
        Wide(parts, runs)
    };
    let (plain, runs) = (Set(borders(false).bytes()), Set(borders(true).bytes()));
    assert!(plain.0.len() > runs.0.len(), "one has runs where the other has bitsets");
    let members = borders(false).members();
    for set in [&plain, &runs] {
        assert_eq!(summary(&set.0).unwrap().cardinality, members.len() as u64);
        assert_eq!(max(&set.0).unwrap(), Some(MAX_VALUE));
        assert!(walk(&set.0).into_iter().eq(members.iter().copied()));
    }
    assert_eq!(plain, runs);
    assert_eq!(plain.and(&runs), plain);
    assert_eq!(plain.or(&runs), runs);
    assert_eq!(plain.xor(&runs).len() + plain.without(&runs).len(), 0);
}
