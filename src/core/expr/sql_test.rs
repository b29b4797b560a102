#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! The language, construct by construct: text, canonical text, type, plain SQL. The types are those PostgreSQL 15 gives
//! the SQL.

use super::super::ast::Expr;
use super::super::ast::Type::{self, *};
use super::super::compile;
use super::super::print::print;
use super::super::test_catalog::Shop;
use super::{SqlContext, scalar_sql, select_sql};

const NOW: SqlContext<'_> = SqlContext { schema: "cdp", now: None, catalog: &Shop, point: None, group: None };
const AS_OF: SqlContext<'_> =
    SqlContext { schema: "\"brand b\"", now: Some("2018-01-01 00:00:00+00"), catalog: &Shop, point: None, group: None };

fn read(text: &str, want: Option<Type>) -> Expr {
    compile(text, &Shop, want).unwrap_or_else(|e| panic!("{text}: {e:?}"))
}

/// Text; canonical text when it is another; type; SQL.
#[rustfmt::skip]
const LANGUAGE: &[(&str, &str, Type, &str)] = &[
    ("gender = 'female' AND city_tier = 1 AND value_level = 'high'", "", Boolean, "p.gender = 'female' AND p.city_tier = 1 AND p.value_level = 'high'"),
    ("gender <> 'x' OR NOT vip", "", Boolean, "p.gender <> 'x' OR NOT p.vip"),
    ("city_tier < 3", "", Boolean, "p.city_tier < 3"),
    ("city_tier <= 3.5", "", Boolean, "p.city_tier <= 3.5"),
    ("balance > 300", "", Boolean, "p.balance > 300"),
    ("balance = '300'", "balance = 300", Boolean, "p.balance = 300"),
    ("balance >= 0.20 AND age != 5", "balance >= 0.20 AND age <> 5", Boolean, "p.balance >= 0.20 AND p.age <> 5"),
    ("vip", "", Boolean, "p.vip"),
    ("NOT vip", "", Boolean, "NOT p.vip"),
    ("vip = true", "", Boolean, "p.vip = true"),
    ("vip = 't'", "vip = true", Boolean, "p.vip = true"),
    ("birthday < '1990-01-01'", "birthday < date '1990-01-01'", Boolean, "p.birthday < date '1990-01-01'"),
    ("birthday < signed_up", "", Boolean, "p.birthday < p.signed_up"),
    ("signed_up >= '2017-12-01'", "signed_up >= timestamptz '2017-12-01'", Boolean, "p.signed_up >= timestamptz '2017-12-01'"),
    ("signed_up >= timestamptz '2017-12-01 08:00+08'", "", Boolean, "p.signed_up >= timestamptz '2017-12-01 08:00+08'"),
    ("signed_up >= timestamp with time zone '2017-12-01'", "signed_up >= timestamptz '2017-12-01'", Boolean, "p.signed_up >= timestamptz '2017-12-01'"),
    ("signed_up > date '2017-12-01'", "", Boolean, "p.signed_up > date '2017-12-01'"),
    ("age IN (1, 2, 3)", "", Boolean, "p.age IN (1, 2, 3)"),
    ("age IN (1, 2.5)", "", Boolean, "p.age IN (1, 2.5)"),
    ("age NOT IN (1, NULL)", "", Boolean, "p.age NOT IN (1, NULL)"),
    ("gender IN ('a', 'b')", "", Boolean, "p.gender IN ('a', 'b')"),
    ("5 IN (age, city_tier)", "", Boolean, "5 IN (p.age, p.city_tier)"),
    ("'5' IN (age, city_tier)", "5 IN (age, city_tier)", Boolean, "5 IN (p.age, p.city_tier)"),
    ("age BETWEEN 18 AND 25", "", Boolean, "p.age BETWEEN 18 AND 25"),
    ("age NOT BETWEEN 18 AND 25.5", "", Boolean, "p.age NOT BETWEEN 18 AND 25.5"),
    ("birthday BETWEEN '1990-01-01' AND '1999-12-31'", "birthday BETWEEN date '1990-01-01' AND date '1999-12-31'", Boolean, "p.birthday BETWEEN date '1990-01-01' AND date '1999-12-31'"),
    ("'x' BETWEEN 'a' AND 'z'", "", Boolean, "'x' BETWEEN 'a' AND 'z'"),
    ("gender IS NULL", "", Boolean, "p.gender IS NULL"),
    ("gender IS NOT NULL", "", Boolean, "p.gender IS NOT NULL"),
    ("NULL IS NULL", "", Boolean, "NULL IS NULL"),
    ("vip IS TRUE", "", Boolean, "p.vip IS TRUE"),
    ("vip IS NOT FALSE", "", Boolean, "p.vip IS NOT FALSE"),
    ("(age > 5) IS UNKNOWN", "age > 5 IS NULL", Boolean, "p.age > 5 IS NULL"),
    ("NULL IS TRUE", "", Boolean, "NULL::boolean IS TRUE"),
    ("gender LIKE 'f%'", "", Boolean, "p.gender LIKE 'f%'"),
    ("gender NOT LIKE 'f\\_%'", "", Boolean, "p.gender NOT LIKE 'f\\_%'"),
    ("gender ILIKE '%E'", "", Boolean, "p.gender ILIKE '%E'"),
    ("gender NOT ILIKE '%''%'", "", Boolean, "p.gender NOT ILIKE '%''%'"),
    ("CASE WHEN vip THEN 1 ELSE 2 END", "", Bigint, "CASE WHEN p.vip THEN 1::bigint ELSE 2 END"),
    ("CASE WHEN vip THEN 1 WHEN age > 5 THEN NULL ELSE 2.5 END", "", Numeric, "CASE WHEN p.vip THEN 1 WHEN p.age > 5 THEN NULL::numeric ELSE 2.5 END"),
    ("CASE gender WHEN 'female' THEN 'F' WHEN 'male' THEN 'M' END", "", Text, "CASE p.gender WHEN 'female' THEN 'F' WHEN 'male' THEN 'M' END"),
    ("CASE age WHEN 1 THEN 'a' WHEN 2.5 THEN 'b' ELSE 'c' END", "", Text, "CASE p.age WHEN 1 THEN 'a' WHEN 2.5 THEN 'b' ELSE 'c' END"),
    ("CASE WHEN vip THEN age ELSE 0 END", "", Bigint, "CASE WHEN p.vip THEN p.age ELSE 0 END"),
    ("CASE WHEN vip THEN birthday ELSE signed_up END", "", Timestamptz, "CASE WHEN p.vip THEN p.birthday ELSE p.signed_up END"),
    ("CASE WHEN vip THEN '2' ELSE 1 END", "CASE WHEN vip THEN 2 ELSE 1 END", Bigint, "CASE WHEN p.vip THEN 2::bigint ELSE 1 END"),
    ("CASE WHEN vip THEN NULL END", "", Text, "CASE WHEN p.vip THEN NULL::text END"),
    ("CASE WHEN vip THEN '5' ELSE balance END", "CASE WHEN vip THEN 5 ELSE balance END", Numeric, "CASE WHEN p.vip THEN 5::numeric ELSE p.balance END"),
    ("CASE WHEN vip THEN 1 ELSE 2 END * 2000000000", "", Bigint, "CASE WHEN p.vip THEN 1::bigint ELSE 2 END * 2000000000"),
    ("age + 1", "", Bigint, "p.age + 1"),
    ("1 + 2", "", Bigint, "1::bigint + 2"),
    ("2000000000 + 2000000000", "", Bigint, "2000000000::bigint + 2000000000"),
    ("-5", "", Bigint, "(-5)::bigint"),
    ("-age", "", Bigint, "-p.age"),
    ("-(-age)", "", Bigint, "-(-p.age)"),
    ("- -5", "-(-5)", Bigint, "(-(-5))::bigint"),
    ("-9223372036854775808", "", Bigint, "-9223372036854775808"),
    ("-2147483648", "", Bigint, "(-2147483648)::bigint"),
    ("-2147483648 - 1", "", Bigint, "(-2147483648)::bigint - 1"),
    ("9223372036854775807", "", Bigint, "9223372036854775807"),
    ("9223372036854775808", "", Numeric, "9223372036854775808"),
    ("age / 2", "", Bigint, "p.age / 2"),
    ("age / 2.0", "", Numeric, "p.age / 2.0"),
    ("age * balance - 3", "", Numeric, "p.age * p.balance - 3"),
    ("7 / 2", "", Bigint, "7::bigint / 2"),
    ("7 / 2.", "", Numeric, "7 / 2."),
    ("(age + 1) * (age - 1) / 2", "", Bigint, "(p.age + 1) * (p.age - 1) / 2"),
    ("age - (age - 1)", "", Bigint, "p.age - (p.age - 1)"),
    ("balance + '5'", "balance + 5", Numeric, "p.balance + 5::numeric"),
    ("'5' * age", "5 * age", Bigint, "5 * p.age"),
    ("'5'::numeric / 2", "", Numeric, "'5'::numeric / 2"),
    ("numeric '5' / 2", "'5'::numeric / 2", Numeric, "'5'::numeric / 2"),
    ("5::numeric", "", Numeric, "5::numeric"),
    ("age::text", "", Text, "p.age::text"),
    ("age::numeric / 3", "", Numeric, "p.age::numeric / 3"),
    ("vip::int", "vip::bigint", Bigint, "p.vip::integer::bigint"),
    ("vip::int + 1", "vip::bigint + 1", Bigint, "p.vip::integer::bigint + 1"),
    ("age::boolean", "", Boolean, "p.age <> 0"),
    ("gender::bigint", "", Bigint, "p.gender::bigint"),
    ("gender::numeric", "", Numeric, "p.gender::numeric"),
    ("gender::date", "", Date, "p.gender::date"),
    ("gender::timestamptz", "", Timestamptz, "p.gender::timestamptz"),
    ("gender::interval", "", Interval, "p.gender::interval"),
    ("gender::boolean", "", Boolean, "p.gender::boolean"),
    ("birthday::timestamptz", "", Timestamptz, "p.birthday::timestamptz"),
    ("signed_up::date", "", Date, "p.signed_up::date"),
    ("signed_up::text", "", Text, "p.signed_up::text"),
    ("'30 days'::interval", "interval '30 days'", Interval, "interval '30 days'"),
    ("'2017-12-01'::date", "date '2017-12-01'", Date, "date '2017-12-01'"),
    ("'2017-12-01'::timestamptz", "timestamptz '2017-12-01'", Timestamptz, "timestamptz '2017-12-01'"),
    ("'NaN'::numeric", "", Numeric, "'NaN'::numeric"),
    ("NULL::date", "", Date, "NULL::date"),
    ("NULL::bigint", "", Bigint, "NULL::bigint"),
    ("CAST(balance AS integer)", "balance::bigint", Bigint, "p.balance::bigint"),
    ("birthday + 7", "", Date, "p.birthday + 7"),
    ("birthday - 7", "", Date, "p.birthday - 7"),
    ("7 + birthday", "", Date, "7 + p.birthday"),
    ("birthday + age", "", Date, "p.birthday + p.age::integer"),
    ("birthday - age * 2", "", Date, "p.birthday - (p.age * 2)::integer"),
    ("birthday - date '2000-01-01'", "", Bigint, "(p.birthday - date '2000-01-01')::bigint"),
    ("birthday - '2000-01-01'", "birthday - date '2000-01-01'", Bigint, "(p.birthday - date '2000-01-01')::bigint"),
    ("(birthday - date '2000-01-01') / 365", "", Bigint, "(p.birthday - date '2000-01-01')::bigint / 365"),
    ("(birthday - date '2000-01-01') * 100000000", "", Bigint, "(p.birthday - date '2000-01-01')::bigint * 100000000"),
    ("date '2001-01-01' - date '2000-01-01' + 2000000000", "", Bigint, "(date '2001-01-01' - date '2000-01-01')::bigint + 2000000000"),
    ("current_date - birthday", "", Bigint, "(current_date - p.birthday)::bigint"),
    ("current_date - birthday > 365", "", Boolean, "current_date - p.birthday > 365"),
    ("current_date", "", Date, "current_date"),
    ("now()", "", Timestamptz, "now()"),
    ("current_timestamp", "now()", Timestamptz, "now()"),
    ("now() - interval '30 days'", "", Timestamptz, "now() - interval '30 days'"),
    ("now() - signed_up", "", Interval, "now() - p.signed_up"),
    ("now() - birthday", "", Interval, "now() - p.birthday::timestamptz"),
    ("birthday - now()", "", Interval, "p.birthday::timestamptz - now()"),
    ("now() + '1 day'", "now() + interval '1 day'", Timestamptz, "now() + interval '1 day'"),
    ("signed_up + interval '1 mon'", "", Timestamptz, "p.signed_up + interval '1 mon'"),
    ("interval '1 day' + now()", "", Timestamptz, "interval '1 day' + now()"),
    ("interval '1 day' * 3", "", Interval, "interval '1 day' * 3"),
    ("interval '1 day' * balance", "", Interval, "interval '1 day' * p.balance"),
    ("3 * interval '1 day'", "", Interval, "3 * interval '1 day'"),
    ("interval '1 day' / 2", "", Interval, "interval '1 day' / 2"),
    ("interval '1 day' + interval '1 hour'", "", Interval, "interval '1 day' + interval '1 hour'"),
    ("interval '1 day' - '1 hour'", "interval '1 day' - interval '1 hour'", Interval, "interval '1 day' - interval '1 hour'"),
    ("-interval '1 day'", "", Interval, "-interval '1 day'"),
    ("interval '1 day' > '1 hour'", "interval '1 day' > interval '1 hour'", Boolean, "interval '1 day' > interval '1 hour'"),
    ("now() - signed_up > interval '30 days'", "", Boolean, "now() - p.signed_up > interval '30 days'"),
    ("birthday::timestamptz + interval '18 years' < now()", "", Boolean, "p.birthday::timestamptz + interval '18 years' < now()"),
    ("coalesce(age, 0)", "", Bigint, "coalesce(p.age, 0)"),
    ("coalesce(1, 2)", "", Bigint, "coalesce(1::bigint, 2)"),
    ("coalesce(NULL, 2)", "", Bigint, "coalesce(NULL::bigint, 2)"),
    ("coalesce(gender, 'unknown')", "", Text, "coalesce(p.gender, 'unknown')"),
    ("coalesce('a', 'b')", "", Text, "coalesce('a', 'b')"),
    ("coalesce(NULL, NULL)", "", Text, "coalesce(NULL::text, NULL::text)"),
    ("coalesce(birthday, signed_up)", "", Timestamptz, "coalesce(p.birthday, p.signed_up)"),
    ("coalesce(balance, 0)", "", Numeric, "coalesce(p.balance, 0)"),
    ("coalesce(NULL, '5', balance)", "coalesce(NULL, 5, balance)", Numeric, "coalesce(NULL::numeric, 5::numeric, p.balance)"),
    ("nullif(age, 0)", "", Bigint, "nullif(p.age, 0)"),
    ("nullif(1, 2)", "", Bigint, "nullif(1::bigint, 2)"),
    ("nullif(5, age)", "", Bigint, "nullif(5::bigint, p.age)"),
    ("nullif(age, 2.5)", "", Numeric, "nullif(p.age, 2.5)"),
    ("nullif(birthday, signed_up)", "", Date, "nullif(p.birthday, p.signed_up)"),
    ("nullif('a', 'b')", "", Text, "nullif('a', 'b')"),
    ("nullif(gender, '')", "", Text, "nullif(p.gender, '')"),
    ("least(age, city_tier, 5)", "", Bigint, "least(p.age, p.city_tier, 5)"),
    ("least(1, 2)", "", Bigint, "least(1::bigint, 2)"),
    ("greatest(balance, age)", "", Numeric, "greatest(p.balance, p.age)"),
    ("greatest(birthday, '2000-01-01')", "greatest(birthday, date '2000-01-01')", Date, "greatest(p.birthday, date '2000-01-01')"),
    ("abs(age)", "", Bigint, "abs(p.age)"),
    ("abs(-5)", "", Bigint, "abs((-5)::bigint)"),
    ("abs(balance)", "", Numeric, "abs(p.balance)"),
    ("round(balance)", "", Numeric, "round(p.balance)"),
    ("round(age)", "", Numeric, "round(p.age::numeric)"),
    ("round(5)", "", Numeric, "round(5::numeric)"),
    ("round(balance, 2)", "", Numeric, "round(p.balance, 2)"),
    ("round(age, -2)", "", Numeric, "round(p.age::numeric, -2)"),
    ("lower(gender)", "", Text, "lower(p.gender)"),
    ("upper('x')", "", Text, "upper('x')"),
    ("lower(NULL)", "", Text, "lower(NULL::text)"),
    ("date_trunc('month', signed_up)", "", Timestamptz, "date_trunc('month', p.signed_up)"),
    ("date_trunc('month', birthday)", "", Timestamptz, "date_trunc('month', p.birthday::timestamptz)"),
    ("date_trunc('day', now())", "", Timestamptz, "date_trunc('day', now())"),
    ("date_trunc('year', '2017-12-01')", "date_trunc('year', timestamptz '2017-12-01')", Timestamptz, "date_trunc('year', timestamptz '2017-12-01')"),
    ("extract(dow FROM signed_up)", "", Numeric, "extract(dow FROM p.signed_up)"),
    ("extract(year FROM birthday)", "", Numeric, "extract(year FROM p.birthday)"),
    ("extract(epoch FROM now() - signed_up)", "", Numeric, "extract(epoch FROM now() - p.signed_up)"),
    ("extract('month' FROM date '2017-12-01')", "extract(month FROM date '2017-12-01')", Numeric, "extract(month FROM date '2017-12-01')"),
    ("true", "", Boolean, "true"),
    ("NULL", "", Text, "NULL::text"),
    ("'text'", "", Text, "'text'"),
    ("NOT NULL", "", Boolean, "NOT NULL::boolean"),
    ("NULL = NULL", "", Boolean, "NULL = NULL"),
    ("NULL AND vip", "", Boolean, "NULL::boolean AND p.vip"),
    ("NULL + age", "", Bigint, "NULL::bigint + p.age"),
    ("NULL + 1", "", Bigint, "NULL::bigint + 1"),
    ("城市 = '上海'", "", Boolean, "p.\"城市\" = '上海'"),
    ("\"Mixed Case\" = 'x'", "", Boolean, "p.\"Mixed Case\" = 'x'"),
    ("\"user\" = 'x'", "", Boolean, "p.\"user\" = 'x'"),
    ("count(view)", "", Bigint, "coalesce(e1.value, 0)"),
    ("count(view) > 0", "", Boolean, "coalesce(e1.value, 0) > 0"),
    ("count(view) FILTER (WHERE category = 'shoes' AND at >= now() - interval '30 days') > 0", "", Boolean, "coalesce(e1.value, 0) > 0"),
    ("count(view) FILTER (WHERE category = 'shoes' OR category = 'bags')", "", Bigint, "coalesce(e1.value, 0)"),
    ("count(view) FILTER (WHERE NOT (gift AND quantity > 1))", "", Bigint, "coalesce(e1.value, 0)"),
    ("count(purchase) FILTER (WHERE amount > quantity * 2 AND due < current_date AND paid_at > at)", "", Bigint, "coalesce(e1.value, 0)"),
    ("count(purchase) FILTER (WHERE \"at\" = 'x')", "", Bigint, "coalesce(e1.value, 0)"),
    ("count(purchase.amount)", "", Bigint, "coalesce(e1.value, 0)"),
    ("count(DISTINCT purchase.sku)", "", Bigint, "coalesce(e1.value, 0)"),
    ("count(DISTINCT purchase.amount)", "", Bigint, "coalesce(e1.value, 0)"),
    ("sum(purchase.amount)", "", Numeric, "e1.value"),
    ("sum(purchase.quantity)", "", Numeric, "e1.value"),
    ("avg(purchase.quantity)", "", Numeric, "e1.value"),
    ("avg(purchase.amount) > 100.5", "", Boolean, "e1.value > 100.5"),
    ("min(purchase.quantity)", "", Bigint, "e1.value"),
    ("max(purchase.due)", "", Date, "e1.value"),
    ("min(purchase.sku)", "", Text, "e1.value"),
    ("min(purchase.at)", "", Timestamptz, "e1.value"),
    ("max(purchase.at) < now() - interval '90 days'", "", Boolean, "e1.value < now() - interval '90 days'"),
    ("first(purchase.sku)", "", Text, "e1.value"),
    ("last(purchase.amount)", "", Numeric, "e1.value"),
    ("last(purchase.quantity)", "", Bigint, "e1.value"),
    ("first(purchase.gift)", "", Boolean, "e1.value"),
    ("last(purchase.paid_at)", "", Timestamptz, "e1.value"),
    ("count(\"Order Completed\") + count(加购)", "", Bigint, "coalesce(e1.value, 0) + coalesce(e2.value, 0)"),
    ("sum(purchase.amount) / count(purchase)", "", Numeric, "e1.value / coalesce(e2.value, 0)"),
    ("count(view) / 2", "", Bigint, "coalesce(e1.value, 0) / 2"),
    ("coalesce(sum(purchase.amount), 0) > 300 AND count(purchase) > 1 AND count(purchase) < 10", "", Boolean, "coalesce(e1.value, 0) > 300 AND coalesce(e2.value, 0) > 1 AND coalesce(e2.value, 0) < 10"),
    ("did(view, category => 'shoes', within => '30 days')", "count(view) FILTER (WHERE category = 'shoes' AND at >= now() - interval '30 days') > 0", Boolean, "coalesce(e1.value, 0) > 0"),
    ("did(purchase, quantity => 2, gift => true, since => '2017-01-01', until => now())", "count(purchase) FILTER (WHERE quantity = 2 AND gift = true AND at >= timestamptz '2017-01-01' AND at < now()) > 0", Boolean, "coalesce(e1.value, 0) > 0"),
    ("did(view) AND NOT did(purchase)", "count(view) > 0 AND NOT count(purchase) > 0", Boolean, "coalesce(e1.value, 0) > 0 AND NOT coalesce(e2.value, 0) > 0"),
    ("'x' = ANY (labels)", "", Boolean, "'x' = ANY (p.labels)"),
    ("(last(view.category) = ANY (labels)) IS FALSE", "last(view.category) = ANY (labels) IS FALSE", Boolean, "CASE WHEN cardinality(p.labels) = 0 THEN false ELSE e1.value = ANY (p.labels) END IS FALSE"),
    ("NOT 'x' = ANY (labels)", "", Boolean, "NOT 'x' = ANY (p.labels)"),
    ("cardinality(labels) + 1", "", Bigint, "cardinality(p.labels)::bigint + 1"),
    ("has_identifier('email')", "", Boolean, "EXISTS (SELECT FROM cdp.identifiers AS i WHERE i.type = 'email' AND i.profile_id = p.profile_id)"),
    ("in_segment('vip')", "", Boolean, "p.profile_id IN (SELECT m.profile_id FROM cdp.segment_members AS m WHERE m.segment = 'vip')"),
    ("in_segment('it''s') OR NOT in_segment('vip')", "", Boolean, "p.profile_id IN (SELECT m.profile_id FROM cdp.segment_members AS m WHERE m.segment = 'it''s') OR NOT p.profile_id IN (SELECT m.profile_id FROM cdp.segment_members AS m WHERE m.segment = 'vip')"),
    ("in_segment('vip') = vip", "", Boolean, "p.profile_id IN (SELECT m.profile_id FROM cdp.segment_members AS m WHERE m.segment = 'vip') = p.vip"),
    ("(gender = 'a' AND (city = 'b' OR city = 'c')) OR vip", "gender = 'a' AND (city = 'b' OR city = 'c') OR vip", Boolean, "p.gender = 'a' AND (p.city = 'b' OR p.city = 'c') OR p.vip"),
    ("CASE WHEN vip AND gender = 'a' THEN count(view) ELSE 0 END", "", Bigint, "CASE WHEN p.vip AND p.gender = 'a' THEN coalesce(e1.value, 0) ELSE 0 END"),
];

#[test]
fn the_language() {
    for (text, canonical, ty, sql) in LANGUAGE {
        let e = read(text, None);
        assert_eq!(e.ty, *ty, "{text}");
        assert_eq!(print(&e), if canonical.is_empty() { *text } else { *canonical }, "{text}");
        assert_eq!(scalar_sql(&e, &NOW, &|_| None), *sql, "{text}");
        // What was checked means the same when it is read again from its canonical text.
        let again = read(&print(&e), None);
        assert_eq!(print(&again), print(&e), "{text}");
        assert_eq!(again.ty, e.ty, "{text}");
    }
}

#[test]
fn a_wanted_type_is_reached() {
    assert_eq!(scalar_sql(&read("5", Some(Numeric)), &NOW, &|_| None), "5::numeric");
    assert_eq!(scalar_sql(&read("'5'", Some(Bigint)), &NOW, &|_| None), "5::bigint");
    assert_eq!(scalar_sql(&read("birthday", Some(Timestamptz)), &NOW, &|_| None), "p.birthday::timestamptz");
    assert_eq!(scalar_sql(&read("NULL", Some(Date)), &NOW, &|_| None), "NULL::date");
    assert!(compile("gender", &Shop, Some(Bigint)).is_err());
}

#[test]
fn attributes_can_be_replaced() {
    let e = read("lower(gender) LIKE 'f%' AND age > 5", None);
    let sql = scalar_sql(&e, &NOW, &|name| (name == "gender").then(|| "d.value".to_owned()));
    assert_eq!(sql, "lower(d.value) LIKE 'f%' AND p.age > 5");
}

#[test]
fn a_segment() {
    let e = read(
        "gender = 'female'
           AND count(view) FILTER (WHERE category = 'shoes' AND at >= now() - interval '30 days') > 0
           AND count(purchase) FILTER (WHERE category = 'shoes' OR gift) = 0",
        Some(Boolean),
    );
    assert_eq!(
        select_sql(&[], Some(&e), &NOW),
        "\
SELECT p.profile_id
FROM cdp.profiles AS p
LEFT JOIN (
  SELECT profile_id, count(*) AS value
  FROM cdp.events
  WHERE event = 'view'
    AND at <= now()
    AND (properties->>'category') = 'shoes'
    AND at >= now() - interval '30 days'
  GROUP BY profile_id
) AS e1 ON e1.profile_id = p.profile_id
LEFT JOIN (
  SELECT profile_id, count(*) AS value
  FROM cdp.events
  WHERE event = 'purchase'
    AND at <= now()
    AND ((properties->>'category') = 'shoes' OR (properties->>'gift')::boolean)
  GROUP BY profile_id
) AS e2 ON e2.profile_id = p.profile_id
WHERE p.gender = 'female'
  AND coalesce(e1.value, 0) > 0
  AND coalesce(e2.value, 0) = 0"
    );
}

#[test]
fn equal_aggregates_are_joined_once() {
    let e = read("count(purchase) > 1 AND sum(purchase.amount) > 300 AND count(purchase) < 10", Some(Boolean));
    let tag = read("sum(purchase.amount) / count(purchase)", None);
    let sql = select_sql(&[("per \"order\"", &tag)], Some(&e), &NOW);
    assert_eq!(sql.matches("LEFT JOIN").count(), 2);
    assert!(sql.contains("e1.value / coalesce(e2.value, 0) AS \"per \"\"order\"\"\""), "{sql}");
    assert!(
        sql.contains("WHERE coalesce(e2.value, 0) > 1\n  AND e1.value > 300\n  AND coalesce(e2.value, 0) < 10"),
        "{sql}"
    );
}

#[test]
fn as_of_replaces_the_clock() {
    let e =
        read("max(purchase.at) < now() - interval '1 day' AND birthday < current_date AND in_segment('it''s')", None);
    assert_eq!(
        select_sql(&[], Some(&e), &AS_OF),
        "\
SELECT p.profile_id
FROM \"brand b\".profiles AS p
LEFT JOIN (
  SELECT profile_id, max(at) AS value
  FROM \"brand b\".events
  WHERE event = 'purchase'
    AND at <= timestamptz '2018-01-01 00:00:00+00'
  GROUP BY profile_id
) AS e1 ON e1.profile_id = p.profile_id
WHERE e1.value < timestamptz '2018-01-01 00:00:00+00' - interval '1 day'
  AND p.birthday < timestamptz '2018-01-01 00:00:00+00'::date
  AND p.profile_id IN (SELECT m.profile_id FROM \"brand b\".segment_members AS m WHERE m.segment = 'it''s')"
    );
}

#[test]
fn every_column_and_no_filter() {
    let (a, b) = (read("first(purchase.sku)", None), read("5", None));
    assert_eq!(
        select_sql(&[("first", &a), ("five", &b)], None, &NOW),
        "\
SELECT p.profile_id,
       e1.value AS \"first\",
       5::bigint AS \"five\"
FROM cdp.profiles AS p
LEFT JOIN (
  SELECT profile_id, (array_agg((properties->>'sku') ORDER BY at, event_id) FILTER (WHERE (properties->>'sku') IS NOT NULL))[1] AS value
  FROM cdp.events
  WHERE event = 'purchase'
    AND at <= now()
  GROUP BY profile_id
) AS e1 ON e1.profile_id = p.profile_id"
    );
}

#[test]
fn as_of_reads_earlier_values() {
    let e = read("\"user\" = 'ann' AND age > 5 AND \"user\" LIKE 'a%'", Some(Boolean));
    assert_eq!(
        select_sql(&[], Some(&e), &AS_OF),
        "\
SELECT p.profile_id
FROM (
  SELECT q.profile_id, q.age,
         CASE WHEN h2.profile_id IS NULL THEN q.\"user\" ELSE h2.value::text END AS \"user\"
  FROM \"brand b\".profiles AS q
  LEFT JOIN (
    SELECT DISTINCT ON (profile_id) profile_id, value
    FROM \"brand b\".attribute_history
    WHERE attribute_id = 7
    ORDER BY profile_id, from_at <= timestamptz '2018-01-01 00:00:00+00' DESC, CASE WHEN from_at <= timestamptz '2018-01-01 00:00:00+00' THEN from_at END DESC, from_at
  ) AS h2 ON h2.profile_id = q.profile_id
) AS p
WHERE p.\"user\" = 'ann'
  AND p.age > 5
  AND p.\"user\" LIKE 'a%'"
    );
    // The present is read from the view.
    assert!(select_sql(&[], Some(&e), &NOW).starts_with("SELECT p.profile_id\nFROM cdp.profiles AS p\nWHERE "));
}
