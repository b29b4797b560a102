#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use proptest::prelude::*;
use roaring::{RoaringBitmap, RoaringTreemap};

use super::*;

fn bytes_of(set: &RoaringTreemap) -> Vec<u8> {
    let mut bytes = Vec::new();
    set.serialize_into(&mut bytes).unwrap();
    bytes
}

fn build(values: impl IntoIterator<Item = u64>) -> Vec<u8> {
    bytes_of(&values.into_iter().collect())
}

/// Every container kind in two buckets: array, bitset, run, a full container, the largest value.
fn mixed() -> RoaringTreemap {
    let mut set: RoaringTreemap = (0..9000u64).map(|i| i * 7).collect();
    set.insert_range(1 << 20..(1 << 20) + 65_536);
    set.insert_range((1 << 33) + 5..(1 << 33) + 900);
    set.extend([1 << 40, MAX_VALUE - 1, MAX_VALUE]);
    set.optimize();
    set
}

pub(super) fn walk(bytes: &[u8]) -> Vec<u64> {
    let mut members = Members::new();
    std::iter::from_fn(|| members.next(bytes).unwrap()).collect()
}

/// Values over few buckets and containers, in clumps, so that all container kinds and both shared and single
/// containers occur.
pub(super) fn sets() -> impl Strategy<Value = (BTreeSet<u64>, Vec<u8>)> {
    let clump = (
        prop_oneof![Just(0u64), Just(1 << 16), Just(3 << 16), Just(1 << 32), Just(5 << 40), Just(MAX_VALUE - 70_000)],
        0u64..60_000,
        prop_oneof![1u64..20, 4000u64..4200, Just(10_000)],
        1u64..4,
    );
    (proptest::collection::vec(clump, 0..5), any::<bool>()).prop_map(|(clumps, runs)| {
        let oracle: BTreeSet<u64> = clumps
            .iter()
            .flat_map(|(base, first, count, step)| (0..*count).map(move |i| (base + first + i * step).min(MAX_VALUE)))
            .collect();
        let mut set: RoaringTreemap = oracle.iter().copied().collect();
        if runs {
            set.optimize();
        }
        (oracle, bytes_of(&set))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn answers_match_a_plain_set((oracle, bytes) in sets(), probes in proptest::collection::vec(0u64..200_000, 20)) {
        let checked = summary(&bytes).unwrap();
        prop_assert_eq!(checked.cardinality, oracle.len() as u64);
        prop_assert_eq!(checked.max, oracle.last().copied());
        prop_assert_eq!(cardinality(&bytes).unwrap(), oracle.len() as u64);
        prop_assert_eq!(is_empty(&bytes).unwrap(), oracle.is_empty());
        prop_assert_eq!(min(&bytes).unwrap(), oracle.first().copied());
        prop_assert_eq!(max(&bytes).unwrap(), oracle.last().copied());
        prop_assert_eq!(walk(&bytes), oracle.iter().copied().collect::<Vec<_>>());
        prop_assert_eq!(decode(&bytes).unwrap().iter().collect::<BTreeSet<_>>(), oracle.clone());
        let near = oracle.iter().step_by(97).flat_map(|v| [v.saturating_sub(1), *v, v + 1]);
        for probe in probes.into_iter().chain(near) {
            prop_assert_eq!(contains(&bytes, probe).unwrap(), oracle.contains(&probe), "{}", probe);
        }
    }

    #[test]
    fn algebra_matches_a_plain_set((a, x) in sets(), (b, y) in sets()) {
        let expect: [(Operation, BTreeSet<u64>); 4] = [
            (Operation::And, a.intersection(&b).copied().collect()),
            (Operation::Or, a.union(&b).copied().collect()),
            (Operation::Xor, a.symmetric_difference(&b).copied().collect()),
            (Operation::AndNot, a.difference(&b).copied().collect()),
        ];
        for (operation, expected) in expect {
            let got = combine(&x, &y, operation).unwrap();
            prop_assert_eq!(summary(&got).unwrap().empty_buckets, 0);
            prop_assert_eq!(operation_cardinality(&x, &y, operation).unwrap(), expected.len() as u64);
            prop_assert_eq!(walk(&got), expected.into_iter().collect::<Vec<_>>());
        }
        prop_assert_eq!(intersects(&x, &y).unwrap(), !a.is_disjoint(&b));
        prop_assert_eq!(contains_all(&x, &y).unwrap(), a.is_superset(&b));
        prop_assert_eq!(equals(&x, &y).unwrap(), a == b);
        // The laws that tie the operations together.
        let or = combine(&x, &y, Operation::Or).unwrap();
        let and = combine(&x, &y, Operation::And).unwrap();
        let xor = combine(&or, &and, Operation::AndNot).unwrap();
        prop_assert!(equals(&xor, &combine(&y, &x, Operation::Xor).unwrap()).unwrap());
        prop_assert!(contains_all(&or, &x).unwrap() && contains_all(&x, &and).unwrap());
    }

    #[test]
    fn equality_ignores_the_container_kind((oracle, bytes) in sets()) {
        let plain = build(oracle.iter().copied());
        let mut runs = decode(&bytes).unwrap();
        runs.optimize();
        prop_assert!(equals(&plain, &bytes).unwrap());
        prop_assert!(equals(&plain, &bytes_of(&runs)).unwrap());
        if let Some(first) = oracle.first() {
            runs.remove(*first);
            prop_assert!(!equals(&plain, &bytes_of(&runs)).unwrap());
        }
    }

    #[test]
    fn text_round_trip((oracle, bytes) in sets()) {
        let mut text = vec![b'{'];
        for (i, value) in oracle.iter().enumerate() {
            if i > 0 { text.extend(b" , "); }
            push_decimal(&mut text, *value);
        }
        text.push(b'}');
        prop_assert_eq!(Values::new(&text).collect::<Result<BTreeSet<_>, _>>().unwrap(), oracle);
        let mut hex = b"\\x".to_vec();
        push_hex(&mut hex, &bytes);
        prop_assert_eq!(parse_hex(&hex).unwrap().unwrap(), bytes);
    }

    #[test]
    fn arbitrary_text_never_panics(text in proptest::collection::vec(any::<u8>(), 0..40)) {
        let _ = Values::new(&text).collect::<Result<Vec<_>, _>>();
        let _ = parse_hex(&text);
    }
}

/// Runs every reader; whatever the bytes, each must come back.
fn exercise(bytes: &[u8], other: &[u8]) {
    let _ = (cardinality(bytes), is_empty(bytes), min(bytes), max(bytes));
    let _ = (equals(bytes, other), intersects(bytes, other), contains_all(bytes, other));
    for probe in [0, 7, 1 << 20, 1 << 33, MAX_VALUE] {
        let _ = contains(bytes, probe);
    }
    let mut members = Members::new();
    for _ in 0..200_000 {
        if !matches!(members.next(bytes), Ok(Some(_))) {
            break;
        }
    }
}

/// A mutant is refused, or it is a set whose every answer agrees with its values.
fn refused_or_sound(mutant: &[u8], other: &[u8]) -> bool {
    exercise(mutant, other);
    let Ok(kept) = canonical(mutant) else { return false };
    let values = walk(&kept);
    assert!(values.is_sorted_by(|a, b| a < b));
    assert_eq!(values.len() as u64, cardinality(&kept).unwrap());
    assert_eq!(values.first().copied(), min(&kept).unwrap());
    assert_eq!(values.last().copied(), max(&kept).unwrap());
    let again = RoaringTreemap::deserialize_from(&kept[..]).unwrap();
    assert!(again.iter().eq(values));
    true
}

#[test]
fn every_truncation_is_refused() {
    let whole = bytes_of(&mixed());
    for end in 0..whole.len() {
        assert!(!refused_or_sound(&whole[..end], &whole), "{end}");
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert!(matches!(canonical(&longer), Err(Invalid::Damaged(_))));
    assert_eq!(canonical(&whole).unwrap(), &whole[..]);
}

#[test]
fn flipped_bits_are_refused_or_sound() {
    // Small enough to flip every bit, with every container kind in it.
    let mut small: RoaringTreemap = [1, 5, 9, 70_000, 70_002, 1 << 33].into_iter().collect();
    small.insert_range(200_000..200_300);
    small.optimize();
    let mut accepted = 0;
    for whole in [bytes_of(&small), build([3, 4 << 16, 5 << 16, 6 << 16, 7 << 16])] {
        for bit in 0..whole.len() * 8 {
            let mut mutant = whole.clone();
            mutant[bit / 8] ^= 1 << (bit % 8);
            accepted += u32::from(refused_or_sound(&mutant, &whole));
        }
    }
    assert!(accepted > 0);
}

#[test]
fn random_edits_are_refused_or_sound() {
    let whole = bytes_of(&mixed());
    let mut seed = 0x9E37_79B9_7F4A_7C15u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    };
    for _ in 0..3000 {
        let mut mutant = whole.clone();
        for _ in 0..1 + random(3) {
            let at = if random(2) == 0 { random(64) } else { random(mutant.len()) };
            mutant[at] = random(256) as u8;
        }
        refused_or_sound(&mutant, &whole);
    }
}

#[test]
fn empty_buckets_are_dropped() {
    let mut odd = 2u64.to_le_bytes().to_vec();
    for (high, set) in [(1u32, RoaringBitmap::new()), (2, [8u32].into_iter().collect())] {
        odd.extend(high.to_le_bytes());
        set.serialize_into(&mut odd).unwrap();
    }
    assert_eq!(canonical(&odd).unwrap(), build([(2 << 32) + 8]));
    assert_eq!(canonical(&EMPTY).unwrap(), &EMPTY[..]);
    let mut none = 1u64.to_le_bytes().to_vec();
    none.extend(7u32.to_le_bytes());
    RoaringBitmap::new().serialize_into(&mut none).unwrap();
    assert_eq!(canonical(&none).unwrap(), &EMPTY[..]);
}

#[test]
fn values_above_the_limit_are_named() {
    assert_eq!(canonical(&build([1, 1 << 63])), Err(Invalid::TooLarge(1 << 63)));
    assert!(canonical(&build([MAX_VALUE])).is_ok());
}

#[test]
fn each_lie_is_found() {
    // A bucket with one array container {1, 5}: 8 count, 4 high, 4 cookie, 4 size, 4 description, 4 offset, values.
    let honest = build([1, 5]);
    let lie = |at: usize, byte: u8| {
        let mut bytes = honest.clone();
        bytes[at] = byte;
        canonical(&bytes).unwrap_err().to_string()
    };
    assert_eq!(lie(12, 0), "unknown cookie at byte 12");
    assert_eq!(lie(24, 17), "the bytes end too early at byte 32");
    assert_eq!(lie(24, 15), "a container lies inside the header at byte 12");
    assert_eq!(lie(28, 9), "the values of an array container are not in ascending order at byte 28");
    assert_eq!(lie(22, 2), "the bytes end too early at byte 32");
    assert_eq!(lie(0, 2), "the bytes end too early at byte 32");
    assert_eq!(lie(0, 0), "bytes after the end of the set at byte 8");

    // Two containers with a wrong offset, then in the wrong order, and a bitset with a wrong population.
    let mut two = build([1, 70_000]);
    two[28] = 25;
    assert_eq!(canonical(&two).unwrap_err().to_string(), "wrong container offset at byte 12");
    two[28] = 24;
    two[20] = 2;
    assert!(canonical(&two).unwrap_err().to_string().starts_with("containers are not in ascending"));
    let mut dense = build((0..5000).map(|i| i * 2));
    let last = dense.len() - 1;
    dense[last] |= 1;
    assert!(canonical(&dense).unwrap_err().to_string().contains("bitset container is wrong"));

    // Buckets in the wrong order: the unchecked reader of the map would silently drop one of them.
    let mut swapped = 2u64.to_le_bytes().to_vec();
    for high in [9u32, 9] {
        swapped.extend(high.to_le_bytes());
        [1u32].into_iter().collect::<RoaringBitmap>().serialize_into(&mut swapped).unwrap();
    }
    assert!(canonical(&swapped).unwrap_err().to_string().starts_with("buckets are not"));
}

#[test]
fn runs_must_be_maximal_and_counted() {
    let mut set = RoaringTreemap::new();
    set.insert_range(10..20);
    set.insert_range(65_530..65_536);
    set.optimize();
    let honest = bytes_of(&set);
    assert!(canonical(&honest).is_ok());
    // … key 2, cardinality 2, run count 2, then (10,9) (65530,5).
    let runs = honest.len() - 8;
    let edits: [(usize, &[u8], &str); 5] = [
        (runs + 2, &[10], "cardinality of a run"),
        (runs + 4, &[21, 0, 8], "cardinality of a run"),
        (runs + 4, &[20, 0], "overlap or touch"),
        (runs + 4, &[15, 0], "overlap or touch"),
        (runs + 6, &[6], "leaves its container"),
    ];
    for (at, edit, expected) in edits {
        let mut lie = honest.clone();
        lie[at..at + edit.len()].copy_from_slice(edit);
        let message = canonical(&lie).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn texts() {
    let read = |text: &str| Values::new(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    let message = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(read("{}").unwrap(), Vec::<u64>::new());
    assert_eq!(read(" {\t} \n").unwrap(), Vec::<u64>::new());
    assert_eq!(read("{ 5, 1 ,+1,-0,007}").unwrap(), vec![5, 1, 1, 0, 7]);
    assert_eq!(read("{9223372036854775807}").unwrap(), vec![MAX_VALUE]);
    assert_eq!(read("{-1}"), Err(TextError::OutOfRange("-1".into())));
    assert_eq!(read("{1,9223372036854775808}"), Err(TextError::OutOfRange("9223372036854775808".into())));
    assert_eq!(message("{99999999999999999999999}"), "value 99999999999999999999999 is out of range");
    assert_eq!(message(""), "expected \"{\" at character 1");
    assert_eq!(message("1,2"), "expected \"{\" at character 1");
    assert_eq!(message("{1,2"), "expected \",\" or \"}\" at character 5");
    assert_eq!(message("{1,,2}"), "expected a number at character 4");
    assert_eq!(message("{1,}"), "expected a number at character 4");
    assert_eq!(message("{,1}"), "expected a number at character 2");
    assert_eq!(message("{1 2}"), "expected \",\" or \"}\" at character 4");
    assert_eq!(message("{1.5}"), "expected \",\" or \"}\" at character 3");
    assert_eq!(message("{NULL}"), "expected a number at character 2");
    assert_eq!(message("{1} x"), "expected nothing after \"}\" at character 5");
    assert_eq!(message("{-}"), "expected a number at character 3");
    assert!(parse_hex(b"{1}").is_none());
    assert_eq!(parse_hex(b" \\x00fF ").unwrap().unwrap(), vec![0, 255]);
    let hex = |text: &[u8]| parse_hex(text).unwrap().unwrap_err().to_string();
    assert_eq!(hex(b"\\x0"), "expected a hexadecimal digit at character 4");
    assert_eq!(hex(b"\\x0g"), "expected a hexadecimal digit at character 4");
    assert_eq!(hex(b"\\x00 0"), "expected a hexadecimal digit at character 5");
}
