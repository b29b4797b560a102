#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cmp::Ordering;
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::tests::{sets, walk};
use super::*;

const MOST: usize = 1 << 26;

/// Bounds near the clumps of [`sets`], on and beside container borders.
fn bounds() -> impl Strategy<Value = u64> {
    let base = prop_oneof![
        Just(0u64),
        Just(1 << 16),
        Just(2 << 16),
        Just(3 << 16),
        Just(1 << 32),
        Just(5 << 40),
        Just(MAX_VALUE - 70_000)
    ];
    (base, prop_oneof![0u64..4, 0u64..66_000]).prop_map(|(base, add)| base.saturating_add(add).min(UNLIMITED))
}

fn keeps(got: &[u8], expected: &BTreeSet<u64>) {
    assert_eq!(summary(got).unwrap().cardinality, expected.len() as u64);
    assert_eq!(canonical(got).unwrap(), got);
    assert!(walk(got).iter().eq(expected));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn ranges_match_a_plain_set((oracle, bytes) in sets(), start in bounds(), length in prop_oneof![0u64..4, 0u64..300_000]) {
        let end = (start + length).min(UNLIMITED);
        let range = |value: &u64| (start..end).contains(value);
        let inside: BTreeSet<u64> = oracle.iter().copied().filter(range).collect();
        prop_assert_eq!(range_cardinality(&bytes, start, end).unwrap(), inside.len() as u64);
        keeps(&combine_range(&bytes, start, end, Operation::And, MOST).unwrap(), &inside);
        let cleared = oracle.difference(&inside).copied().collect();
        keeps(&combine_range(&bytes, start, end, Operation::AndNot, MOST).unwrap(), &cleared);
        let whole: BTreeSet<u64> = (start..end.max(start)).collect();
        keeps(&combine_range(&bytes, start, end, Operation::Or, MOST).unwrap(), &oracle.union(&whole).copied().collect());
        let flipped = oracle.symmetric_difference(&whole).copied().collect();
        keeps(&combine_range(&bytes, start, end, Operation::Xor, MOST).unwrap(), &flipped);
        // A range that is too long to build may still clear and keep.
        keeps(&combine_range(&bytes, start, UNLIMITED, Operation::AndNot, MOST).unwrap(), &oracle.range(..start).copied().collect());
        keeps(&combine_range(&bytes, 0, UNLIMITED, Operation::And, MOST).unwrap(), &oracle);
    }

    #[test]
    fn positions_match_a_plain_set((oracle, bytes) in sets(), start in bounds(), end in bounds(), offset in 0u64..6000, limit in 0u64..6000, reverse: bool) {
        prop_assert_eq!(rank(&bytes, start).unwrap(), oracle.range(..=start).count() as u64);
        prop_assert_eq!(nth(&bytes, offset).unwrap(), oracle.iter().nth(offset as usize).copied());
        let inside: Vec<u64> = oracle.iter().copied().filter(|value| (start..end).contains(value)).collect();
        let taken: BTreeSet<u64> = if reverse {
            inside.into_iter().rev().skip(offset as usize).take(limit as usize).collect()
        } else {
            inside.into_iter().skip(offset as usize).take(limit as usize).collect()
        };
        keeps(&select(&bytes, Selection { limit, offset, reverse, start, end }).unwrap(), &taken);
    }

    #[test]
    fn shifts_match_a_plain_set((oracle, bytes) in sets(), far in prop_oneof![
        -70_000i64..70_000, Just(0), Just(1 << 16), Just(-(1 << 16)), Just(64), Just(-(1 << 32)), Just(i64::MAX), Just(i64::MIN), any::<i64>()
    ]) {
        let moved = oracle.iter().filter_map(|value| u64::try_from(i128::from(*value) + i128::from(far)).ok());
        keeps(&shift(&bytes, far).unwrap(), &moved.filter(|value| *value <= MAX_VALUE).collect());
    }

    #[test]
    fn order_and_hash_see_members_alone((a, x) in sets(), (b, y) in sets()) {
        prop_assert_eq!(compare(&x, &y).unwrap(), a.iter().cmp(&b));
        prop_assert_eq!(compare(&y, &x).unwrap(), b.iter().cmp(&a));
        let small = run_optimize(&x).unwrap();
        keeps(&small, &a);
        prop_assert!(small.len() <= x.len());
        prop_assert_eq!(compare(&small, &x).unwrap(), Ordering::Equal);
        prop_assert_eq!(hash(&small, 7).unwrap(), hash(&x, 7).unwrap());
        prop_assert_eq!(hash(&x, 7).unwrap() == hash(&y, 7).unwrap(), a == b);
        prop_assert!(hash(&x, 7).unwrap() != hash(&x, 8).unwrap());
        // One member more or less is another place in the order and another hash.
        if let Some(last) = a.last() {
            let less = combine_range(&x, *last, last + 1, Operation::AndNot, MOST).unwrap();
            prop_assert_eq!(compare(&less, &x).unwrap(), Ordering::Less);
            prop_assert!(hash(&less, 7).unwrap() != hash(&x, 7).unwrap());
        }
        let both = a.intersection(&b).count() as f64;
        let either = a.union(&b).count() as f64;
        prop_assert_eq!(jaccard(&x, &y).unwrap(), (either > 0.0).then(|| both / either));
    }
}

#[test]
fn a_long_range_is_small_or_refused() {
    let all = combine_range(&EMPTY, 0, 1 << 33, Operation::Or, MOST).unwrap();
    assert_eq!(cardinality(&all).unwrap(), 1 << 33);
    assert!(all.len() < 2_000_000);
    assert_eq!(canonical(&all).unwrap(), &all[..]);
    assert_eq!(combine_range(&all, 0, UNLIMITED, Operation::AndNot, MOST).unwrap(), EMPTY);
    assert_eq!(combine_range(&all, 0, 1 << 33, Operation::Xor, MOST).unwrap(), EMPTY);
    assert_eq!(rank(&shift(&all, 12_345).unwrap(), 12_345).unwrap(), 1);
    assert!(matches!(combine_range(&EMPTY, 0, UNLIMITED, Operation::Or, MOST), Err(RangeError::TooLarge(_))));
    assert!(matches!(combine_range(&EMPTY, 0, 1 << 33, Operation::Or, 1000), Err(RangeError::TooLarge(_))));
}

/// Hashes are stored in indexes: these may never change.
#[test]
fn hashes_are_fixed() {
    let one = combine_range(&EMPTY, 1, 2, Operation::Or, MOST).unwrap();
    let dense = combine_range(&EMPTY, 5, 200_000, Operation::Or, MOST).unwrap();
    let got = [hash(&EMPTY, 0), hash(&one, 0), hash(&dense, 0), hash(&one, 1)].map(Result::unwrap);
    let fixed =
        [12_354_212_823_002_503_258, 7_938_181_760_837_038_106, 4_081_237_974_237_643_630, 8_883_564_738_151_774_926];
    assert_eq!(got, fixed);
}

#[test]
fn damage_is_an_error_and_never_a_panic() {
    let whole = combine_range(&[0; 8], 60_000, 300_000, Operation::Or, MOST).unwrap();
    let other = shift(&whole, 777).unwrap();
    let mut seed = 1u64;
    for round in 0..4000usize {
        let mut mutant = if round % 2 == 0 { whole.clone() } else { other.clone() };
        for _ in 0..1 + round % 3 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = (seed >> 33) as usize % mutant.len();
            mutant[at] = (seed >> 24) as u8;
        }
        for operation in [Operation::And, Operation::Or, Operation::Xor, Operation::AndNot] {
            let _ = (combine(&mutant, &whole, operation), combine(&whole, &mutant, operation));
            let _ = combine_range(&mutant, 70_000, 90_000, operation, MOST);
        }
        let _ = (
            compare(&mutant, &whole),
            hash(&mutant, 0),
            run_optimize(&mutant),
            shift(&mutant, 5),
            jaccard(&mutant, &whole),
        );
        let _ = (rank(&mutant, 100_000), nth(&mutant, 100_000), range_cardinality(&mutant, 5, 100_000));
        let _ =
            select(&mutant, Selection { limit: 9, offset: 70_000, reverse: round % 2 == 1, start: 3, end: 1 << 40 });
    }
}
