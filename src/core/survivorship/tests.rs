#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

fn at(value: Option<&'static str>, observed_at: i64, trust: i32, source_id: i32) -> Candidate<'static> {
    Candidate { value, observed_at, trust, source_id }
}

fn value(rule: Rule, kind: Kind, candidates: &[Candidate]) -> Option<String> {
    survive(rule, kind, candidates).value
}

/// The rules once more, as sentences about every other candidate.
fn naive(rule: Rule, kind: Kind, candidates: &[Candidate]) -> Option<String> {
    let cancelled = |c: &Candidate| {
        candidates.iter().any(|x| x.value.is_none() && x.source_id == c.source_id && x.observed_at > c.observed_at)
    };
    let says = |c: &&Candidate| c.value != Some("");
    let values: Vec<&Candidate> =
        candidates.iter().filter(says).filter(|c| c.value.is_some() && !cancelled(c)).collect();
    let text = |c: &Candidate| c.value.unwrap().to_owned();
    // a is at least as good as b when nothing asked before tells them apart.
    let tie = |a: &Candidate, b: &Candidate| {
        if a.trust != b.trust {
            a.trust > b.trust
        } else if a.observed_at != b.observed_at {
            a.observed_at > b.observed_at
        } else if a.source_id != b.source_id {
            a.source_id < b.source_id
        } else {
            a.value.is_some() && (b.value.is_none() || a.value <= b.value)
        }
    };
    let times = |c: &Candidate| values.iter().filter(|x| same(kind, x.value, c.value)).count();
    let length = |c: &Candidate| text(c).chars().count();
    let number = |c: &Candidate| text(c).parse::<f64>().unwrap();
    let better = |a: &Candidate, b: &Candidate| match rule {
        Rule::MostRecent if a.observed_at != b.observed_at => a.observed_at > b.observed_at,
        Rule::Oldest if a.observed_at != b.observed_at => a.observed_at < b.observed_at,
        Rule::MostFrequent if times(a) != times(b) => times(a) > times(b),
        Rule::Longest if length(a) != length(b) => length(a) > length(b),
        Rule::Min if number(a) != number(b) => number(a) < number(b),
        Rule::Max if number(a) != number(b) => number(a) > number(b),
        _ => tie(a, b),
    };
    match rule {
        Rule::MostRecent => {
            let all: Vec<&Candidate> = candidates.iter().filter(says).collect();
            all.iter().find(|a| all.iter().all(|b| better(a, b)))?.value.map(str::to_owned)
        }
        Rule::Sum if values.is_empty() => None,
        Rule::Sum if kind == Kind::Bigint => {
            Some(values.iter().map(|c| text(c).parse::<i64>().unwrap()).sum::<i64>().to_string())
        }
        Rule::Sum => {
            // In thousandths, printed with the digits of the longest.
            let thousandths = |c: &&Candidate| {
                let text = text(c);
                let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
                let all: i64 = format!("{}{fraction:0<3}", whole.trim_start_matches('-')).parse().unwrap();
                (if text.starts_with('-') { -all } else { all }, fraction.len())
            };
            let total: i64 = values.iter().map(|c| thousandths(c).0).sum();
            let scale = values.iter().map(|c| thousandths(c).1).max().unwrap();
            let sign = if total < 0 { "-" } else { "" };
            let fraction = format!("{:03}", total.abs() % 1000);
            let point = if scale > 0 { "." } else { "" };
            Some(format!("{sign}{}{point}{}", total.abs() / 1000, &fraction[..scale]))
        }
        Rule::Union if values.is_empty() => None,
        Rule::Union => {
            let mut elements: Vec<String> = values.iter().flat_map(|c| parse_texts(&text(c)).unwrap()).collect();
            elements.sort();
            elements.dedup();
            Some(print_texts(&elements.into_iter().collect()))
        }
        _ => values.iter().find(|a| values.iter().all(|b| better(a, b))).map(|c| text(c)),
    }
}

/// Values of a type, some of them the same in another form.
fn values(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Numeric => &["0", "0.00", "-1", "-0.5", "12.5", "12.50", "7.125", "-999.999", "3"],
        Kind::Bigint => &["0", "-1", "7", "12", "1000000"],
        Kind::Texts => &["{}", "{a}", "{a,b}", "{\"x y\",\"q\\\"uo\",c}", "{上海}"],
        Kind::Text => &["a", "b", "ab", "上海", "上海市", ""],
        Kind::Boolean => &["true", "false"],
        Kind::Date => &["2024-02-29", "2024-03-01", "0044-03-15 BC"],
        Kind::Timestamptz => &["2024-02-29 00:00:00+00", "2024-02-29 08:00:00+08", "2024-02-29 00:00:00.5+00"],
    }
}

fn case() -> impl Strategy<Value = (Rule, Kind, Vec<Candidate<'static>>)> {
    let kinds = [Kind::Numeric, Kind::Bigint, Kind::Texts, Kind::Text, Kind::Boolean];
    let pairs: Vec<(Rule, Kind)> =
        Rule::ALL.into_iter().flat_map(|rule| kinds.map(|kind| (rule, kind))).filter(|(r, k)| r.fits(*k)).collect();
    proptest::sample::select(pairs).prop_flat_map(|(rule, kind)| {
        let value = prop_oneof![5 => proptest::sample::select(values(kind)).prop_map(Some), 1 => Just(None)];
        let candidate = (value, 0i64..5, 0i32..3).prop_map(|(value, observed_at, source_id)| Candidate {
            value,
            observed_at,
            // Two of three sources are trusted alike.
            trust: if source_id == 2 { 80 } else { 50 },
            source_id,
        });
        vec(candidate, 0..9).prop_map(move |candidates| (rule, kind, candidates))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn every_rule_is_what_its_sentence_says((rule, kind, candidates) in case()) {
        prop_assert_eq!(value(rule, kind, &candidates), naive(rule, kind, &candidates), "{:?} {:?}", rule, candidates);
    }

    #[test]
    fn the_order_of_candidates_does_not_matter((rule, kind, candidates) in case(), turn in 0usize..9) {
        let mut other: Vec<Candidate> = candidates.iter().rev().copied().collect();
        let turn = turn.min(other.len());
        other.rotate_left(turn);
        prop_assert_eq!(value(rule, kind, &candidates), value(rule, kind, &other));
    }

    #[test]
    fn what_it_comes_from_says_it((rule, kind, candidates) in case()) {
        let survivor = survive(rule, kind, &candidates);
        let from: Vec<Candidate> = survivor.from.iter().map(|i| candidates[*i]).collect();
        prop_assert_eq!(value(rule, kind, &from), survivor.value);
    }

    #[test]
    fn sets_are_read_as_they_are_written(elements in vec(".*", 0..6)) {
        let set: BTreeSet<String> = elements.into_iter().collect();
        prop_assert_eq!(parse_texts(&print_texts(&set)), Some(set));
    }

    #[test]
    fn whole_numbers_are_ordered_and_added_as_numbers(a in any::<i32>(), b in any::<i32>()) {
        let texts = [a.to_string(), b.to_string()];
        for kind in [Kind::Bigint, Kind::Numeric] {
            prop_assert_eq!(kind.key(&texts[0]).cmp(&kind.key(&texts[1])), a.cmp(&b));
            prop_assert_eq!(sum(kind, &[&texts[0], &texts[1]]), Some((i64::from(a) + i64::from(b)).to_string()));
        }
    }
}

#[test]
fn a_clear_takes_back_what_its_source_said_before() {
    let both = [at(Some("a"), 1, 50, 1), at(Some("bb"), 2, 50, 2), at(None, 3, 50, 2)];
    assert_eq!(value(Rule::MostRecent, Kind::Text, &both), None);
    for rule in [Rule::Oldest, Rule::SourceTrust, Rule::MostFrequent, Rule::Longest] {
        assert_eq!(value(rule, Kind::Text, &both).as_deref(), Some("a"), "{rule:?}");
    }
    // At the same moment the value stays, and what comes later counts again.
    let again = [at(None, 3, 50, 2), at(Some("x"), 3, 50, 2)];
    for rule in [Rule::MostRecent, Rule::Longest] {
        assert_eq!(value(rule, Kind::Text, &again).as_deref(), Some("x"), "{rule:?}");
    }
}

#[test]
fn an_empty_text_says_nothing() {
    let candidates = [at(Some(""), 9, 90, 1), at(Some("a"), 1, 10, 2)];
    for rule in Rule::ALL.into_iter().filter(|rule| rule.fits(Kind::Text)) {
        assert_eq!(value(rule, Kind::Text, &candidates).as_deref(), Some("a"), "{rule:?}");
    }
}

#[test]
fn sums_beyond_the_type_are_no_value() {
    let most = i64::MAX.to_string();
    assert_eq!(sum(Kind::Bigint, &[&most, "1"]), None);
    assert_eq!(sum(Kind::Bigint, &[&most, "1", "-1"]), Some(most));
    let nines = "9".repeat(MOST_SUMMED_CHARACTERS);
    assert_eq!(sum(Kind::Numeric, &[&nines, "1"]), Some(format!("1{}", "0".repeat(MOST_SUMMED_CHARACTERS))));
    assert_eq!(sum(Kind::Numeric, &[&format!("{nines}9"), "1"]), None);
    assert_eq!(sum(Kind::Numeric, &["NaN", "1"]).as_deref(), Some("NaN"));
    assert_eq!(sum(Kind::Numeric, &["Infinity", "-Infinity"]).as_deref(), Some("NaN"));
    assert_eq!(sum(Kind::Numeric, &["1.10", "-1.1"]).as_deref(), Some("0.00"));
}

#[test]
fn dates_times_and_numbers_are_ordered_as_their_types_are() {
    for (kind, sorted) in [
        (
            Kind::Date,
            &[
                "-infinity",
                "4713-01-01 BC",
                "0001-12-31 BC",
                "0001-01-01",
                "1969-12-31",
                "2024-02-29",
                "2024-03-01",
                "12024-01-01",
                "infinity",
            ][..],
        ),
        (
            Kind::Timestamptz,
            &[
                "-infinity",
                "0001-12-31 23:59:59.999999+00 BC",
                "2024-03-10 01:59:59-05",
                "2024-03-10 03:00:00-04",
                "2024-03-10 16:00:00+08",
                "2024-03-10 08:00:00.000001+00",
                "294276-12-31 23:59:59.999999+00",
                "infinity",
            ],
        ),
        (
            Kind::Numeric,
            &["-Infinity", "-10", "-9.99", "-0.001", "0", "0.0010", "0.002", "9.99", "10", "100", "Infinity", "NaN"],
        ),
    ] {
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(kind.key(a).cmp(&kind.key(b)), i.cmp(&j), "{a} {b}");
            }
        }
    }
    assert!(same(Kind::Timestamptz, Some("2024-03-10 08:00:00+00"), Some("2024-03-10 16:00:00+08")));
    assert!(same(Kind::Numeric, Some("1.0"), Some("1.00")) && !same(Kind::Text, Some("1.0"), Some("1.00")));
}

#[test]
fn columns_keep_what_fits() {
    for (kind, text, scale, kept) in [
        (Kind::Bigint, "-5", 0, Some(-5)),
        (Kind::Bigint, "4000000000000000001", 0, None),
        (Kind::Numeric, "12.5", 2, Some(1250)),
        (Kind::Numeric, "-0.050", 2, Some(-5)),
        (Kind::Numeric, "0.001", 2, None),
        (Kind::Numeric, "9999999999999.99", 2, Some(999_999_999_999_999)),
        (Kind::Numeric, "10000000000000", 2, None),
        (Kind::Numeric, "NaN", 2, None),
        (Kind::Date, "2000-01-02", 0, Some(1)),
        (Kind::Date, "1999-12-31", 0, Some(-1)),
        (Kind::Date, "infinity", 0, None),
        (Kind::Timestamptz, "2000-01-01 08:00:00.000007+08", 0, Some(7)),
        (Kind::Timestamptz, "1999-12-31 23:59:59-00:30", 0, Some(1_799_000_000)),
        (Kind::Timestamptz, "-infinity", 0, None),
    ] {
        assert_eq!(integer(kind, text, scale), kept, "{text}");
    }
}

/// Observations of one source of one identifier, one a moment, kept one after the other.
fn kept(rule: Rule, observations: &[Kept]) -> Vec<Kept> {
    let mut kept: Vec<Kept> = Vec::new();
    for new in observations {
        if let Some(replaced) = keep(rule, &kept, *new) {
            let stays =
                kept.iter().enumerate().filter(|(i, k)| !replaced.contains(i) && k.observed_at != new.observed_at);
            kept = stays.map(|(_, k)| *k).chain([*new]).collect();
        }
    }
    kept.sort_by_key(|k| k.observed_at);
    kept
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn the_latest_is_kept_whatever_comes_first(order in Just((0i64..7).collect::<Vec<i64>>()).prop_shuffle(), clears in any::<u8>(), oldest in any::<bool>()) {
        let rule = if oldest { Rule::Oldest } else { Rule::Longest };
        let mut observations: Vec<Kept> =
            order.iter().map(|at| Kept { observed_at: *at, clear: clears >> at & 1 == 1 }).collect();
        if oldest {
            // Late clears are the case that depends on the order.
            observations.sort_by_key(|k| !k.clear);
        }
        let clear = (0..7).filter(|at| clears >> at & 1 == 1).max();
        let values: Vec<i64> = (0..7).filter(|at| clears >> at & 1 == 0 && clear.is_none_or(|clear| *at > clear)).collect();
        let mut expected: Vec<Kept> = clear.map(|observed_at| Kept { observed_at, clear: true }).into_iter().collect();
        if oldest && values.len() > 1 {
            expected.push(Kept { observed_at: values[0], clear: false });
        }
        expected.extend(values.last().map(|at| Kept { observed_at: *at, clear: false }));
        prop_assert_eq!(kept(rule, &observations), expected);
    }
}
