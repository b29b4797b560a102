use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// The closure the slow way: every id takes the smallest label among its neighbours until nothing changes.
fn closure(edges: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let mut label: BTreeMap<i64, i64> = edges.iter().flat_map(|&(a, b)| [(a, a), (b, b)]).collect();
    loop {
        let mut changed = false;
        for (a, b) in edges {
            let least = label[a].min(label[b]);
            for x in [a, b] {
                changed |= label.insert(*x, least) != Some(least);
            }
        }
        if !changed {
            return label.into_iter().collect();
        }
    }
}

fn components(mut edges: Edges, list: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let mut pulse = || {};
    for &(a, b) in list {
        edges.tie(a, b, &mut pulse).unwrap();
    }
    edges.components(&mut pulse).unwrap().collect()
}

/// Ids as people have them: serial numbers, some far off, all over, at both ends of the range.
fn ids() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => 1..40i64,
        2 => -30..200i64,
        1 => (0..20i64).prop_map(|x| x * 1_000_003 - 7_000_000),
        1 => (0..12i64).prop_map(|x| x.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64)),
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(i64::MIN + 1), Just(i64::MAX - 1), Just(0)],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    // A stretch of edges comes from one kind of ids, as when tables are read one after the other: windows open, grow both ways and close.
    #[test]
    fn equal_the_closure(
        stretches in prop::collection::vec(prop_oneof![
            prop::collection::vec((ids(), ids()), 0..25),
            (-60..60i64, prop::collection::vec((0..12i64, 0..12i64), 0..40)).prop_map(|(at, list)| list.into_iter().map(|(a, b)| (a + at, b + at)).collect()),
        ], 0..6),
        look in 1usize..9,
        forest in 1usize..40,
    ) {
        let list: Vec<(i64, i64)> = stretches.concat();
        let expected = closure(&list);
        prop_assert_eq!(&components(Edges::looking_at(look, forest), &list), &expected);
        prop_assert_eq!(&components(Edges::new(), &list), &expected);
        let mut turned: Vec<(i64, i64)> = list.iter().map(|&(a, b)| (b, a)).rev().collect();
        turned.extend_from_slice(&list);
        prop_assert_eq!(&components(Edges::looking_at(look, forest), &turned), &expected);
    }

    #[test]
    fn places_are_found(list in prop::collection::btree_set(ids(), 1..80)) {
        let list: Vec<i64> = list.into_iter().collect();
        let places = Places::of(&list);
        prop_assert!(places.begin.len() <= list.len() + 4);
        for (place, &id) in list.iter().enumerate() {
            prop_assert_eq!(places.of_id(&list, id) as usize, place);
        }
    }
}

#[test]
fn nothing_gives_nothing() {
    assert_eq!(components(Edges::new(), &[]), []);
    assert_eq!(components(Edges::new(), &[(5, 5)]), [(5, 5)]);
}

#[test]
fn both_ends_of_the_range_are_ids() {
    let list = [(i64::MIN, i64::MAX), (i64::MAX, 0), (7, 7)];
    assert_eq!(
        components(Edges::looking_at(1, 1), &list),
        [(i64::MIN, i64::MIN), (0, i64::MIN), (7, 7), (i64::MAX, i64::MIN)]
    );
}

/// A step from one number to another that looks like chance and is not.
fn scatter(x: i64) -> i64 {
    x.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64) ^ 0x5555
}

#[test]
fn a_long_chain_is_one_component_however_its_ids_are_numbered() {
    let n = 3_000_000;
    for id in [|x| x, |x: i64| -x, scatter] {
        let mut edges = Edges::looking_at(1 << 16, 1 << 18);
        let mut heard = 0u32;
        let mut pulse = || heard += 1;
        for x in (1..n).rev() {
            edges.tie(id(x - 1), id(x), &mut pulse).unwrap();
        }
        let least = (0..n).map(id).min().unwrap();
        let mut last = None;
        let mut count = 0;
        for (node, component) in edges.components(&mut pulse).unwrap() {
            assert_eq!(component, least);
            assert!(last < Some(node));
            last = Some(node);
            count += 1;
        }
        assert_eq!(count, n);
        assert!(heard > 100, "{heard}");
    }
}

#[test]
fn memory_follows_the_ids_and_not_the_edges() {
    let mut edges = Edges::looking_at(1 << 8, 1 << 10);
    for x in 0..1_000_000i64 {
        edges.tie(scatter(x % 500), scatter(x * 7 % 500), &mut || {}).unwrap();
        assert!(edges.gathered.len() < (1 << 10) + (1 << 8));
    }
    assert!(edges.gathered.capacity() <= 1 << 11);
    assert_eq!(edges.components(&mut || {}).unwrap().count(), 500);
}
