//! Addition and merging: what they do to a map, and that order and grouping do not matter.

use super::*;

fn small() -> impl Strategy<Value = Map> {
    // Half of 64 bits, so that two of them never overflow.
    map().prop_map(|map| map.into_iter().map(|(id, value)| (id, value / 4)).collect())
}

fn added(a: &Map, b: &Map) -> Map {
    let mut sum = a.clone();
    b.iter().for_each(|(id, value)| *sum.entry(*id).or_insert(0) += value);
    sum
}

/// The map cut into three by id, so that no id is in two of them.
fn parts(map: &Map) -> [Map; 3] {
    let part = |n| map.iter().filter(|(id, _)| **id % 3 == n).map(|(id, value)| (*id, *value)).collect();
    [part(0), part(1), part(2)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn addition_is_that_of_maps_commutes_and_associates(a in small(), b in small(), c in small()) {
        let (x, y, z) = (encoded(&a), encoded(&b), encoded(&c));
        let add = |a: &[u8], b: &[u8]| combine(a, b, Join::Add).unwrap();
        let sum = encoded(&added(&a, &b));
        prop_assert!(add(&x, &y) == sum);
        prop_assert!(add(&y, &x) == sum);
        prop_assert!(add(&sum, &z) == add(&x, &add(&y, &z)));
        prop_assert!(add(&x, &encoded(&Map::new())) == x);
    }

    #[test]
    fn merging_is_the_union_commutes_and_associates(map in map()) {
        let [x, y, z] = parts(&map).map(|part| encoded(&part));
        let merge = |a: &[u8], b: &[u8]| combine(a, b, Join::Merge).unwrap();
        let whole = encoded(&map);
        prop_assert!(merge(&merge(&x, &y), &z) == whole);
        prop_assert!(merge(&z, &merge(&y, &x)) == whole);
        prop_assert!(merge(&x, &encoded(&Map::new())) == x);
    }

    #[test]
    fn folding_is_combining_one_after_the_other(maps in vec(small(), 0..4), join in prop_oneof![Just(Join::Add), Just(Join::Merge)]) {
        let (mut whole, mut first, mut second) = (Fold::new(join), Fold::new(join), Fold::new(join));
        let mut expected = Ok(encoded(&Map::new()));
        for (i, map) in maps.iter().enumerate() {
            let bytes = encoded(map);
            let took = whole.take(&bytes);
            expected = expected.and_then(|so_far| combine(&so_far, &bytes, join));
            prop_assert_eq!(took.is_ok(), expected.is_ok());
            if took.is_err() {
                return Ok(());
            }
            if i % 2 == 0 { &mut first } else { &mut second }.take(&bytes).unwrap();
        }
        prop_assert!(Ok(whole.finish().unwrap()) == expected);
        first.merge(&second).unwrap();
        prop_assert!(Ok(first.finish().unwrap()) == expected);
    }

    #[test]
    fn pairs_in_any_order_build_one_index(map in map(), seed in any::<u64>()) {
        let mut pairs: Vec<(u64, i64)> = map.iter().map(|(id, value)| (*id, *value)).collect();
        let mut rng = Rng(seed);
        pairs.sort_by_cached_key(|_| rng.next());
        // Some come twice, and in two states.
        let (mut a, mut b) = (Build::new(), Build::new());
        for (i, (id, value)) in pairs.iter().enumerate() {
            let state = if i % 3 == 0 { &mut a } else { &mut b };
            state.insert(*id, *value).unwrap();
            if i % 5 == 0 {
                a.insert(*id, *value).unwrap();
            }
        }
        let mut c = Build::new();
        c.extend(&b.finish().unwrap()).unwrap();
        c.merge(&a).unwrap();
        prop_assert!(c.finish().unwrap() == encoded(&map));
    }
}

#[test]
fn what_cannot_be_joined_is_named() {
    let at = |id, value| encoded(&Map::from([(id, value)]));
    assert_eq!(combine(&at(7, 1), &at(7, 1), Join::Merge), Err(Error::Shared(7)));
    assert_eq!(combine(&at(7, 1), &at(7, 2), Join::Agree), Err(Error::Conflict(7, 1, 2)));
    assert_eq!(combine(&at(7, 1), &at(7, 1), Join::Agree), Ok(at(7, 1)));
    assert_eq!(combine(&at(7, i64::MAX), &at(7, 1), Join::Add), Err(Error::Overflow(7)));
    assert_eq!(combine(&at(7, i64::MIN), &at(7, -1), Join::Add), Err(Error::Overflow(7)));
    assert_eq!(combine(&at(7, i64::MIN), &at(7, i64::MAX), Join::Add), Ok(at(7, -1)));
    let mut build = Build::new();
    build.insert(3, 1).unwrap();
    build.insert(3, 2).unwrap();
    assert_eq!(build.finish(), Err(Error::Conflict(3, 1, 2)));
    assert_eq!(build.insert(MAX_ID + 1, 0), Err(Error::TooLarge(MAX_ID + 1)));
}
