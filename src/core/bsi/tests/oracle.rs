//! Every operation against the map.

use super::*;

const NONE: [u64; 0] = [];

fn chosen(map: &Map, filter: Option<&BTreeSet<u64>>) -> Map {
    map.iter().filter(|(id, _)| filter.is_none_or(|filter| filter.contains(id))).map(|(id, v)| (*id, *v)).collect()
}

fn ids_where(map: &Map, holds: impl Fn(i64) -> bool) -> BTreeSet<u64> {
    map.iter().filter(|(_, value)| holds(**value)).map(|(id, _)| *id).collect()
}

/// Constants inside, at, and beyond the values.
fn constants(map: &Map, rng: &mut Rng) -> Vec<i64> {
    let mut out = vec![0, -1, 1, i64::MIN, i64::MAX, rng.next() as i64];
    if let (Some(low), Some(high)) = (map.values().min(), map.values().max()) {
        out.extend([*low, *high, low.saturating_sub(1), high.saturating_add(1), high.saturating_mul(20)]);
        let at = (rng.next() % map.len() as u64) as usize;
        out.extend(map.values().nth(at));
    }
    out
}

fn check(map: &Map, filter: Option<&BTreeSet<u64>>, seed: u64) {
    let mut rng = Rng(seed);
    let bytes = encoded(map);
    let filter_bytes = filter.map(set_bytes);
    let filter_bytes = filter_bytes.as_deref();
    let expected = chosen(map, filter);

    let constants = constants(map, &mut rng);
    for c in &constants {
        let d = constants[(rng.next() % constants.len() as u64) as usize];
        for (comparison, ids) in [
            (Comparison::Eq(*c), ids_where(&expected, |v| v == *c)),
            (Comparison::Neq(*c), ids_where(&expected, |v| v != *c)),
            (Comparison::Lt(*c), ids_where(&expected, |v| v < *c)),
            (Comparison::Le(*c), ids_where(&expected, |v| v <= *c)),
            (Comparison::Gt(*c), ids_where(&expected, |v| v > *c)),
            (Comparison::Ge(*c), ids_where(&expected, |v| v >= *c)),
            (Comparison::Range(*c, d), ids_where(&expected, |v| *c <= v && v <= d)),
        ] {
            let found = compare(&bytes, comparison, filter_bytes).unwrap();
            assert!(set_of(&found) == ids, "{comparison:?}");
            if let Comparison::Range(low, high) = comparison {
                let counts = count_between(&bytes, &[(low, high), (i64::MIN, i64::MAX)], filter_bytes).unwrap();
                assert_eq!(counts, [ids.len() as u64, expected.len() as u64]);
            }
        }
    }

    let total = Sum { sum: expected.values().map(|v| i128::from(*v)).sum(), count: expected.len() as u64 };
    assert_eq!(sum(&bytes, filter_bytes).unwrap(), total);
    assert_eq!(cardinality(&bytes, filter_bytes).unwrap(), total.count);
    assert_eq!(smallest(&bytes, filter_bytes).unwrap(), expected.values().min().copied());
    assert_eq!(largest(&bytes, filter_bytes).unwrap(), expected.values().max().copied());

    let mut counts = BTreeMap::new();
    expected.values().for_each(|value| *counts.entry(*value).or_insert(0u64) += 1);
    assert_eq!(distinct(&bytes, filter_bytes).unwrap(), counts.into_iter().collect::<Vec<_>>());

    let mut sorted: Vec<i64> = expected.values().copied().collect();
    sorted.sort_unstable();
    let n = total.count;
    for rank in [1, n / 2, n.saturating_sub(1), n, rng.next() % (n + 1), 0] {
        let value = rank.checked_sub(1).and_then(|at| sorted.get(at as usize)).copied();
        let found = quantile(
            &bytes,
            |of| {
                assert_eq!(of, n);
                rank
            },
            filter_bytes,
        )
        .unwrap();
        assert_eq!(found, value, "rank {rank}");
    }

    let mut descending: Vec<(i64, u64)> = expected.iter().map(|(id, value)| (*value, *id)).collect();
    descending.sort_unstable_by_key(|(value, id)| (std::cmp::Reverse(*value), *id));
    for k in [0, 1, 2, n / 2, n.saturating_sub(1), n, n + 1, u64::MAX, rng.next() % (n + 1)] {
        let ids: BTreeSet<u64> = descending.iter().take(k.min(n) as usize).map(|(_, id)| *id).collect();
        assert!(set_of(&top(&bytes, k, filter_bytes).unwrap()) == ids, "top {k}");
    }

    if let Some(filter) = filter_bytes {
        assert!(restrict(&bytes, filter).unwrap() == encoded(&expected), "restrict");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn every_question_is_answered_like_the_map(map in map(), other in ids(), seed in any::<u64>()) {
        let filter = filter(&map, seed, &other);
        check(&map, filter.as_ref(), seed);
    }

    #[test]
    fn pairs_come_back(map in map()) {
        let bytes = encoded(&map);
        prop_assert!(decoded(&bytes) == map);
        prop_assert!(canonical(&bytes).unwrap() == bytes);
        let bsi = Bsi::open(&bytes).unwrap();
        prop_assert_eq!((bsi.base(), bsi.max()), (map.values().min().copied(), map.values().max().copied()));
        prop_assert!(set_of(bsi.existence()) == map.keys().copied().collect::<BTreeSet<_>>());
    }

    #[test]
    fn one_id_is_read_and_set(map in map(), near in any::<u64>(), number in any::<i64>()) {
        let bytes = encoded(&map);
        let at = map.keys().copied().nth((near % (map.len() as u64 + 1)) as usize).unwrap_or(near & MAX_ID);
        for id in [at, at.saturating_sub(1), (at + 1) & MAX_ID, at ^ 1 << 40, 0, MAX_ID, MAX_ID + 1] {
            prop_assert_eq!(get(&bytes, id).unwrap(), map.get(&id).copied());
            let far = get_from(&mut bytes.as_slice(), bytes.len(), id).unwrap();
            prop_assert!(far.is_none_or(|far| far == map.get(&id).copied()), "{id}: {far:?}");
            prop_assert!(far.is_some() || map.keys().map(|id| id >> 32).collect::<BTreeSet<_>>().len() > 8);
            if id > MAX_ID {
                prop_assert_eq!(set_value(&bytes, id, number), Err(Error::TooLarge(id)));
                continue;
            }
            let mut more = map.clone();
            more.insert(id, number);
            prop_assert!(set_value(&bytes, id, number).unwrap() == encoded(&more));
        }
    }

    #[test]
    fn a_text_is_read_back(map in map().prop_filter("short", |map| map.len() < 5000)) {
        let mut text = vec![b'{'];
        for (id, value) in &map {
            if text.len() > 1 {
                text.extend(b" , ");
            }
            push_number(&mut text, *id as i64);
            text.push(b':');
            push_number(&mut text, *value);
        }
        text.push(b'}');
        let read: Map = TextPairs::new(&text).collect::<Result<_, _>>().unwrap();
        prop_assert!(read == map);
    }
}

/// Operands outside the values, where others truncate the constant or forget that the index ends.
#[test]
fn constants_beyond_the_values_are_not_truncated() {
    // 101 is 1100101 in binary: cut to the three bits of 5 it would be 5.
    let map = Map::from([(1, 5), (2, 3), (3, 0)]);
    let bytes = encoded(&map);
    let find = |comparison| set_of(&compare(&bytes, comparison, None).unwrap()).into_iter().collect::<Vec<_>>();
    assert_eq!(find(Comparison::Eq(101)), NONE);
    assert_eq!(find(Comparison::Le(101)), [1, 2, 3]);
    assert_eq!(find(Comparison::Neq(101)), [1, 2, 3]);
    assert_eq!(find(Comparison::Range(4, 101)), [1]);
    assert_eq!(find(Comparison::Range(-9, -1)), NONE);
    assert_eq!(find(Comparison::Range(-9, 0)), [3]);
    assert_eq!(find(Comparison::Gt(5)), NONE);
    assert_eq!(find(Comparison::Lt(i64::MIN)), NONE);
    assert_eq!(find(Comparison::Gt(i64::MAX)), NONE);
    assert_eq!(find(Comparison::Range(5, 3)), NONE);
}

/// Growth in both directions keeps signs, order and the bounds in the head.
#[test]
fn an_index_that_grows_keeps_its_negative_values() {
    let mut map = Map::new();
    let mut bytes = encoded(&map);
    for (id, value) in [(1, -5), (2, 7), (3, -1_000_000), (1, 12), (4, i64::MAX), (5, i64::MIN), (4, 0), (5, 0), (3, 2)]
    {
        bytes = set_value(&bytes, id, value).unwrap();
        map.insert(id, value);
        check(&map, None, id);
        assert!(bytes == encoded(&map), "a set value leaves the same bytes as building anew");
    }
}

#[test]
fn the_whole_span_of_64_bits_is_one_index() {
    let map = Map::from([(0, i64::MIN), (1, -1), (2, 0), (MAX_ID, i64::MAX)]);
    let bytes = encoded(&map);
    assert_eq!(Bsi::open(&bytes).unwrap().depth(), 64);
    for seed in 0..20 {
        check(&map, Some(&BTreeSet::from([0, 2, 5, MAX_ID])), seed);
        check(&map, None, seed);
    }
}

/// Never fewer than k, whatever the ties.
#[test]
fn ties_of_the_largest_go_to_the_lowest_ids() {
    let bytes = encoded(&(0..100).map(|id| (id * 70_000, if id < 10 { 9 } else { 4 })).collect());
    let found = |k| set_of(&top(&bytes, k, None).unwrap()).into_iter().map(|id| id / 70_000).collect::<Vec<_>>();
    assert_eq!(found(3), [0, 1, 2]);
    assert_eq!(found(12), (0..12).collect::<Vec<_>>());
    assert_eq!(found(1000).len(), 100);
}

#[test]
fn the_bytes_are_what_the_format_says() {
    let bytes = encoded(&Map::from([(1, 100), (5, -3)]));
    assert_eq!(
        bytes[..28],
        [1, 7, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 253, 255, 255, 255, 255, 255, 255, 255, 100, 0, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(
        encoded(&Map::new())[..32],
        [[1], [0; 1], [0; 1], [0; 1]].concat().into_iter().chain([0; 24]).chain([8, 0, 0, 0]).collect::<Vec<u8>>()[..]
    );
    // Runs are chosen where they are shorter, and one full block is 6 bytes of container.
    assert_eq!(encoded(&(0..65_536).map(|id| (id, 1)).collect()).len(), 28 + 4 + 8 + 4 + 4 + 1 + 4 + 2 + 4);
}
