#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! Text, tree and JSON say the same.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{from_json, read, to_json};
use crate::expr::parse::{Limits, parse, parse_with};
use crate::expr::print::print;
use crate::expr::print::tests::{bare, tree};

const LIMITS: Limits = Limits { bytes: 1024 * 1024, tokens: 160_000, nesting: 200, depth: 200 };

#[track_caller]
fn same(text: &str, form: Value) {
    let tree = parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    assert_eq!(to_json(&tree), form, "{text}");
    let again = from_json(&form, &LIMITS).unwrap_or_else(|e| panic!("{form}: {e:?}"));
    assert_eq!(bare(again), bare(tree), "{text}");
}

#[test]
fn forms() {
    same("city = 'Paris'", json!({"=": [{"attribute": "city"}, "Paris"]}));
    same("a AND NOT b", json!({"and": [{"attribute": "a"}, {"not": {"attribute": "b"}}]}));
    same("a > -5", json!({">": [{"attribute": "a"}, -5]}));
    same("a IN (1, NULL, true)", json!({"in": [{"attribute": "a"}, 1, null, true]}));
    same("'x' = ANY (a)", json!({"= any": ["x", {"attribute": "a"}]}));
    same("a NOT LIKE 'x%'", json!({"not like": [{"attribute": "a"}, "x%"]}));
    same("a IS NOT FALSE", json!({"is not false": {"attribute": "a"}}));
    same("- a", json!({"negate": {"attribute": "a"}}));
    same("-0 + 1e3", json!({"+": [{"negate": 0}, {"number": "1e3"}]}));
    same("now() - interval '30 days'", json!({"-": [{"now": []}, {"interval": "30 days"}]}));
    same("a::numeric", json!({"cast": [{"attribute": "a"}, "numeric"]}));
    same("extract(dow FROM a)", json!({"extract": ["dow", {"attribute": "a"}]}));
    same("coalesce(a, 0)", json!({"coalesce": [{"attribute": "a"}, 0]}));
    same(
        "CASE a WHEN 1 THEN 'x' ELSE 'y' END",
        json!({"case": {"of": {"attribute": "a"}, "when": [[1, "x"]], "else": "y"}}),
    );
    same("count(view)", json!({"count": {"event": "view"}}));
    same("count(DISTINCT view.sku)", json!({"count": {"event": "view", "property": "sku", "distinct": true}}));
    same("max(view.at)", json!({"max": {"event": "view", "time": true}}));
    same(
        "sum(buy.amount) FILTER (WHERE at >= '2024-01-01' AND sku = 'a')",
        json!({"sum": {"event": "buy", "property": "amount",
            "where": {"and": [{">=": [{"at": []}, "2024-01-01"]}, {"=": [{"property": "sku"}, "a"]}]}}}),
    );
    same(
        "sequence(view, NOT buy() FILTER (WHERE sku = 'a'), within => '2 hours', by => sku)",
        json!({"sequence": {"steps": [{"event": "view"}, {"event": "buy", "not": true, "where": {"=": [{"property": "sku"}, "a"]}}],
            "within": "2 hours", "by": "sku"}}),
    );
    same(
        "in_segment('vip') OR has_identifier('email')",
        json!({"or": [{"in_segment": "vip"}, {"has_identifier": "email"}]}),
    );
}

/// Digits that f64 does not have stay as they are.
#[test]
fn numbers_are_exact() {
    for digits in
        ["0.1", "0.20", "123456789012345678901234567890.123456789012345678901234567890", "18446744073709551617"]
    {
        let tree = parse(digits).unwrap();
        let text = to_json(&tree).to_string();
        assert_eq!(text, digits);
        assert_eq!(print(&read(&text, &LIMITS).unwrap()), digits);
    }
    assert_eq!(to_json(&parse("007").unwrap()), json!({"number": "007"}));
    assert_eq!(to_json(&parse("5.").unwrap()), json!({"number": "5."}));
}

#[test]
fn a_list_of_one_is_its_term_and_lists_are_flat() {
    let form = json!({"and": [{"and": [{"attribute": "a"}, {"attribute": "b"}]}, {"or": [{"attribute": "c"}]}]});
    assert_eq!(print(&from_json(&form, &LIMITS).unwrap()), "a AND b AND c");
}

#[test]
fn mistakes_are_placed() {
    for (form, message) in [
        (r#"[]"#, "a list where an expression is expected at $"),
        (r#"{"a": 1, "b": 2}"#, "an object with 2 members where an expression is expected at $"),
        (r#"{"adn": []}"#, "unknown operator \"adn\" at $.adn"),
        (r#"{"and": [true, {"=": [1]}]}"#, "a list of 2 is expected at $.and[1].="),
        (r#"{"attribute": 5}"#, "a string is expected at $.attribute"),
        (r#"{"number": "1; DROP"}"#, "\"1; DROP\" is no number at $.number"),
        (r#"{"number": "-5"}"#, "\"-5\" is no number at $.number"),
        (r#"{"cast": [1, "money"]}"#, "\"money\" is no type at $.cast"),
        (r#"{"count": {}}"#, "member \"event\" is missing at $.count"),
        (r#"{"sum": {"event": "view"}}"#, "the aggregate needs a \"property\" of the event at $.sum"),
        (r#"{"count": {"event": "view", "filter": true}}"#, "unknown member \"filter\" at $.count"),
        (r#"{"case": {"when": []}}"#, "member \"when\" must be a list of [condition, value] at $.case"),
        (r#"{"sequence": {"steps": [{"event": 1}]}}"#, "member \"event\" must be a string at $.sequence.steps[0]"),
        (r#"{"now": 1}"#, "an empty list is expected at $.now"),
    ] {
        assert_eq!(read(form, &LIMITS).unwrap_err().message, message);
    }
}

#[test]
fn hostile_documents_are_refused() {
    let deep = format!("{}true{}", "{\"not\":".repeat(100_000), "}".repeat(100_000));
    assert_eq!(read(&deep, &LIMITS).unwrap_err().sqlstate(), "54001");
    let deep = format!("{}true{}", "{\"not\":".repeat(250), "}".repeat(250));
    assert_eq!(read(&deep, &LIMITS).unwrap_err().sqlstate(), "54001");
    let long = format!("\"{}\"", "x".repeat(10_000_000));
    assert_eq!(read(&long, &LIMITS).unwrap_err().sqlstate(), "54001");
    assert_eq!(read("{\"not\":", &LIMITS).unwrap_err().sqlstate(), "42601");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
    /// Text, tree, JSON as text, tree, text.
    #[test]
    fn every_tree_survives_the_way_there_and_back(e in tree(false)) {
        let text = print(&e);
        let parsed = parse_with(&text, &LIMITS).unwrap();
        let form = to_json(&parsed).to_string();
        let again = read(&form, &LIMITS);
        prop_assert_eq!(again.clone().map(bare), Ok(bare(parsed)), "{}\n{}", text, form);
        prop_assert_eq!(print(&again.unwrap()), text);
    }
}
