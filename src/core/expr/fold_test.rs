#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! Constants are found in order, largest first, and replaced by what PostgreSQL makes of them.

use super::super::ast::{Expr, Type};
use super::super::compile;
use super::super::error::Kind;
use super::super::print::print;
use super::super::sql::{SqlContext, constant_sql, scalar_sql};
use super::super::test_catalog::Shop;
use super::{constants, substitute};

const NOW: SqlContext<'_> = SqlContext { schema: "cdp", now: None, catalog: &Shop, point: None, group: None };

fn read(text: &str) -> Expr {
    compile(text, &Shop, None).unwrap_or_else(|e| panic!("{text}: {e:?}"))
}

fn found(text: &str) -> Vec<String> {
    constants(&read(text)).into_iter().map(|e| constant_sql(e, &NOW)).collect()
}

#[test]
fn the_largest_constants_in_order() {
    for (text, expected) in [
        ("gender = 'a' AND age > 5 AND age IN (1, -2, 3.5) AND vip IS NOT NULL", &[][..]),
        ("age > 2 + 3", &["2::bigint + 3"]),
        ("age + 2 > 3", &[]),
        ("age > 2 * (3 + 4) AND balance < -(1 - 2.5)", &["2 * (3::bigint + 4)", "-(1 - 2.5)"]),
        ("signed_up >= now() - interval '30 days'", &["now() - interval '30 days'"]),
        ("signed_up + interval '30 days' > now()", &["now()"]),
        ("signed_up + interval '1 mon 2 days' > now()", &["interval '1 mon 2 days'", "now()"]),
        (
            "birthday = '2017-12-01' OR birthday = 'today' OR birthday = '1/2/2017'",
            &["date 'today'", "date '1/2/2017'"],
        ),
        ("signed_up > '2017-12-01'", &["timestamptz '2017-12-01'"]),
        ("signed_up > '2017-12-01 00:00:00+00'", &[]),
        ("signed_up > '2017-12-01 23:59:59.999999+05:30'", &[]),
        ("signed_up > '2017-12-01 24:00:00+00'", &["timestamptz '2017-12-01 24:00:00+00'"]),
        ("signed_up > '2017-12-01 00:00:00+00 BC'", &["timestamptz '2017-12-01 00:00:00+00 BC'"]),
        ("gender = lower('ABC')", &["lower('ABC')"]),
        ("gender = 'abc' OR 'a' = 'b'", &["'a' = 'b'"]),
        ("CASE WHEN vip THEN 1 + 1 ELSE nullif(2, 2) END", &["1::bigint + 1", "nullif(2::bigint, 2)"]),
        (
            "count(view) FILTER (WHERE at >= now() - interval '1 day' AND quantity > 1 + 1) > 2 + 2",
            &["now() - interval '1 day'", "1::bigint + 1", "2::bigint + 2"],
        ),
        ("in_segment('vip') AND 1 = 1", &["1 = 1"]),
        ("round(balance, 2) > 1", &[]),
        ("date_trunc('month', signed_up) = date_trunc('month', now())", &["date_trunc('month', now())"]),
        ("true", &[]),
        ("current_date - date '2000-01-01' > 1", &["current_date - date '2000-01-01' > 1"]),
        ("balance = 'NaN'", &[]),
    ] {
        assert_eq!(found(text), expected, "{text}");
    }
}

fn folded(text: &str, values: &[Option<&str>]) -> Expr {
    let values: Vec<Option<String>> = values.iter().map(|v| v.map(str::to_owned)).collect();
    substitute(&read(text), &values).unwrap_or_else(|e| panic!("{text}: {e:?}"))
}

#[test]
fn values_take_their_place() {
    for (text, values, expected) in [
        ("age > 2 + 3", &[Some("5")][..], "age > 5"),
        ("age > 2 - 3", &[Some("-1")], "age > -1"),
        ("balance / (1.0 + 1) > 1", &[Some("2.0")], "balance / 2.0 > 1"),
        ("age / 2::numeric > 1", &[Some("2")], "age / 2. > 1"),
        ("balance > '1'::numeric / 0.0", &[Some("NaN")], "balance > 'NaN'::numeric"),
        ("vip = (1 = 1)", &[Some("t")], "vip = true"),
        ("vip = (1 = NULL)", &[None], "vip = NULL"),
        ("gender = lower('A''B')", &[Some("a'b")], "gender = 'a''b'"),
        (
            "count(view) FILTER (WHERE at >= now() - interval '1 day') > 1 + 1",
            &[Some("2017-12-01 00:00:00+00"), Some("2")],
            "count(view) FILTER (WHERE at >= timestamptz '2017-12-01 00:00:00+00') > 2",
        ),
        ("birthday > current_date - 7", &[Some("2017-12-01")], "birthday > date '2017-12-01'"),
        (
            "signed_up + interval '1 mon 1 day' > signed_up",
            &[Some("1 mon 1 day")],
            "signed_up + interval '1 mon 1 day' > signed_up",
        ),
    ] {
        let e = folded(text, values);
        assert_eq!(print(&e), expected);
        // The types are those a new check would give.
        let again = compile(expected, &Shop, None).unwrap();
        assert_eq!(scalar_sql(&again, &NOW, &|_| None), scalar_sql(&e, &NOW, &|_| None));
    }
}

#[test]
fn folding_is_done_once() {
    let e =
        folded("signed_up > now() AND age > 1 + 1", &[Some("2017-12-01 00:00:00+00"), Some("-9223372036854775808")]);
    assert!(constants(&e).is_empty());
    assert_eq!(print(&e), "signed_up > timestamptz '2017-12-01 00:00:00+00' AND age > -9223372036854775808");
    assert_eq!(e.ty, Type::Boolean);
}

#[test]
fn wrong_values_are_refused() {
    let e = read("age > 1 + 1");
    for values in [&[][..], &[Some("x".to_owned())], &[Some("1".to_owned()), None]] {
        assert_eq!(substitute(&e, values).unwrap_err().kind, Kind::Internal);
    }
}
