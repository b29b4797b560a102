#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! Limits and hostile text: every text gives a tree or an error, on a stack of 2 MiB.

use std::time::{Duration, Instant};

use super::{Limits, parse, parse_with};
use crate::expr::ast::*;
use crate::expr::check::check;
use crate::expr::error::Kind;
use crate::expr::print::print;
use crate::expr::test_catalog::Shop;

/// Runs on a stack as small as that of a test thread, whatever the runner gives.
fn small_stack(f: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(2 << 20).spawn(f).unwrap().join().unwrap();
}

#[track_caller]
fn refused(text: String, kind: Kind) {
    let shown: String = text.chars().take(40).collect();
    let start = Instant::now();
    small_stack(move || {
        let e = parse(&text).expect_err("accepted");
        assert_eq!(e.kind, kind, "{shown}: {e:?}");
        assert!(e.message.len() < 400, "{}", e.message.len());
        assert!(e.position as usize <= text.chars().count() + 1);
    });
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn limits() {
    refused("x".repeat(10 << 20), Kind::TooComplex);
    refused("(".repeat(100_000), Kind::TooComplex);
    refused("(".repeat(60_000), Kind::TooComplex);
    refused("(".repeat(51), Kind::TooComplex);
    refused("x ".repeat(10_001), Kind::TooComplex);
    refused("NOT ".repeat(5_000) + "x", Kind::TooComplex);
    refused("- ".repeat(5_000) + "x", Kind::TooComplex);
    refused("CASE WHEN ".repeat(2_000), Kind::TooComplex);
    refused("CASE WHEN x THEN ".repeat(60) + "x" + &" END".repeat(60), Kind::TooComplex);
    refused("lower(".repeat(5_000), Kind::TooComplex);
    refused("x".to_owned() + &" + x".repeat(4_000), Kind::TooComplex);
    refused("x".to_owned() + &" + x".repeat(200), Kind::TooComplex);
    refused("x".to_owned() + &"::text".repeat(4_000), Kind::TooComplex);
    refused("x".to_owned() + &" NOTNULL".repeat(8_000), Kind::TooComplex);
    refused("x".to_owned() + &" IS NULL".repeat(3_000), Kind::TooComplex);
    refused("x".to_owned() + &" BETWEEN y AND z".repeat(2_400), Kind::TooComplex);
    refused("x".to_owned() + &" = x".repeat(4_000), Kind::TooComplex);
    refused("x".to_owned() + &"[1]".repeat(3_000), Kind::NotSupported);
    refused("x".to_owned() + &".x".repeat(4_000), Kind::TooComplex);
    refused("9".repeat(50_000), Kind::OutOfRange);
    refused("1e999999999999".to_owned(), Kind::OutOfRange);
}

#[test]
fn fifty_levels_are_read() {
    small_stack(|| {
        let text = "(".repeat(50) + "x" + &")".repeat(50);
        assert_eq!(print(&parse(&text).unwrap()), "x");
        let text = "lower(".repeat(49) + "gender" + &")".repeat(49) + " = 'x'";
        assert!(check(parse(&text).unwrap(), &Shop, Some(Type::Boolean)).is_ok());
        let text = "CASE WHEN vip THEN ".repeat(48) + "age" + &" END".repeat(48);
        let e = check(parse(&text).unwrap(), &Shop, None).unwrap();
        assert_eq!(e.ty, Type::Bigint);
        let text = "age".to_owned() + &" + age".repeat(99);
        assert!(check(parse(&text).unwrap(), &Shop, None).is_ok());
    });
}

#[test]
fn long_chains_are_one_node() {
    small_stack(|| {
        for word in [" AND ", " OR "] {
            let text = vec!["vip"; 5_000].join(word);
            let e = check(parse(&text).unwrap(), &Shop, Some(Type::Boolean)).unwrap();
            let (Node::And(terms) | Node::Or(terms)) = &e.node else { panic!() };
            assert_eq!(terms.len(), 5_000);
            assert_eq!(print(&e), text);
            let inside = format!("NOT ({text})");
            assert!(parse(&inside).is_err(), "two words more than 10,000");
            let inside = format!("NOT ({})", vec!["vip"; 4_990].join(word));
            assert!(parse(&inside).is_ok());
            // The error comes when the whole chain has been read.
            for end in [" AND", ")", " x", " = =", " AND ;", " IS", " AND (SELECT"] {
                assert!(parse(&format!("{}{end}", vec!["vip"; 4_900].join(word))).is_err());
            }
        }
        let list = vec!["1"; 4_900].join(", ");
        assert!(parse(&format!("age IN ({list})")).is_ok());
    });
}

#[test]
fn broken_text() {
    for (text, kind) in [
        ("", Kind::Syntax),
        ("   \n\t", Kind::Syntax),
        ("-- nothing", Kind::Syntax),
        ("/* open", Kind::Syntax),
        ("/* /* */", Kind::Syntax),
        ("'open", Kind::Syntax),
        ("\"open", Kind::Syntax),
        ("$$open", Kind::Syntax),
        ("$a$open$b$", Kind::Syntax),
        ("E'open", Kind::Syntax),
        ("E'\\", Kind::Syntax),
        ("U&'\\zzzz'", Kind::Syntax),
        ("gender = 'a\0b'", Kind::Syntax),
        ("\0", Kind::Syntax),
        ("E'\\x00' = gender", Kind::Syntax),
        ("E'\\000' = gender", Kind::Syntax),
        ("\"\" = 1", Kind::Syntax),
        ("🙂 = ", Kind::Syntax),
        ("=", Kind::Syntax),
        (")", Kind::Syntax),
        ("((", Kind::Syntax),
        ("[", Kind::Syntax),
        ("{", Kind::Syntax),
        ("$1 = 1", Kind::NotSupported),
        (":x = 1", Kind::NotSupported),
        ("? = 1", Kind::Syntax),
        ("@x", Kind::NotSupported),
        ("\\", Kind::Syntax),
        ("\u{feff}gender = 'x' ,", Kind::Syntax),
        ("x'zz' = 1", Kind::NotSupported),
        ("1_000", Kind::NotSupported),
        ("0x1F = 31", Kind::NotSupported),
    ] {
        let e = parse(text).expect_err(text);
        assert_eq!(e.kind, kind, "{text:?}: {e:?}");
    }
    assert!(parse("🙂 = 'x'").is_ok());
}

/// A few thousand random edits of real expressions: a tree or an error with a place inside the text, and what is read
/// prints to something that is read again.
#[test]
fn mutated_text() {
    small_stack(|| {
        let seeds = [
            "gender = 'female' AND city_tier IN (1, 2) AND NOT vip",
            "count(view) FILTER (WHERE category = 'shoes' AND at >= now() - interval '30 days') > 0",
            "CASE WHEN age BETWEEN 18 AND 25 THEN 'young' ELSE upper(city) END LIKE 'y%'",
            "did(view, category => 'shoes', within => '30 days') OR in_segment('vip')",
            "extract(year FROM birthday)::bigint * -2 + round(balance / 3.5, 1) IS NOT NULL",
            "date_trunc('month', timestamptz '2017-12-01') = \"Mixed Case\"::date",
        ];
        let pieces = [
            "(",
            ")",
            "'",
            "\"",
            ",",
            ".",
            "::",
            "=>",
            "NOT ",
            " AND ",
            " OR ",
            "CASE ",
            " END",
            "interval ",
            "date ",
            "-",
            "--",
            "/*",
            "*/",
            "$$",
            "e'",
            "城",
            "🙂",
            "\u{3000}",
            "\\",
            " IS ",
            " IN (",
            "filter (where ",
            "1e",
            ";",
            "[",
            "{",
            "@",
            "|",
            "over ()",
            "select ",
            " at time zone ",
            "*",
            "count(",
            "x",
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |n: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % n as u64) as usize
        };
        for round in 0..6_000 {
            let mut letters: Vec<char> = seeds[round % seeds.len()].chars().collect();
            for _ in 0..=next(4) {
                let place = next(letters.len().max(1)).min(letters.len());
                match next(3) {
                    0 if !letters.is_empty() => {
                        letters.remove(place.min(letters.len() - 1));
                    }
                    1 => {
                        let piece: Vec<char> = pieces[next(pieces.len())].chars().collect();
                        letters.splice(place..place, piece);
                    }
                    _ => {
                        let stop = (place + next(6)).min(letters.len());
                        let part: Vec<char> = letters[place..stop].to_vec();
                        let to = next(letters.len() + 1);
                        letters.splice(to..to, part);
                    }
                }
            }
            let text: String = letters.iter().collect();
            match parse(&text) {
                Ok(e) => {
                    let printed = print(&e);
                    let again = parse(&printed).unwrap_or_else(|x| panic!("{text:?} → {printed:?}: {x:?}"));
                    assert_eq!(print(&again), printed, "{text:?}");
                    let _ = check(e, &Shop, Some(Type::Boolean));
                }
                Err(e) => {
                    assert!(e.position as usize <= letters.len() + 1, "{text:?}: {e:?}");
                    assert!(e.position > 0 || e.kind == Kind::TooComplex, "{text:?}: {e:?}");
                    assert!(!e.message.ends_with('.'), "{e:?}");
                }
            }
        }
    });
}

#[test]
fn limits_can_be_set() {
    let tight = Limits { bytes: 20, tokens: 3, nesting: 1, depth: 2 };
    assert!(parse_with("a = 1", &tight).is_ok());
    assert!(parse_with("a = 1 + 2", &tight).is_err());
    assert!(parse_with("((a))", &tight).is_err());
    assert!(parse_with("a = 'aaaaaaaaaaaaaaaaaaaaaaaaaaa'", &tight).is_err());
}

#[test]
fn positions_are_characters() {
    let e = parse("城市 = '上海'\n  AND  Gender = 'x'").unwrap();
    let Node::And(terms) = &e.node else { panic!() };
    assert_eq!((terms[0].at, terms[1].at), (1, 18));
    let Node::Compare { right, .. } = &terms[0].node else { panic!() };
    assert_eq!(right.at, 6);
    for (text, at) in [
        (" NOT x", 2),
        (" - x", 2),
        ("  date '2020-01-01'", 3),
        (" timestamp with time zone '2020-01-01'", 2),
        (" interval '1 day'", 2),
        (" extract(year from x)", 2),
        (" cast(x as text)", 2),
        (" x::text", 2),
        (" case x when 1 then 2 end", 2),
        (" lower(x)", 2),
        (" (x)", 3),
        (" count(x) filter (where y)", 2),
    ] {
        assert_eq!(parse(text).unwrap().at, if text == " (x)" { 3 } else { at }, "{text}");
    }
}
