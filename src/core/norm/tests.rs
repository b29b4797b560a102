#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::blocked::{BLOCKED, Blocked};
use super::catalogue::{IDENTIFIER_TYPES, Level, Strength, identifier_type};
use super::text::{fold, is_invisible, lower_case};
use super::*;
use proptest::prelude::*;
use regex::Regex;
use rlibphonenumber::{PhoneNumberFormat, PhoneNumberType, PhoneNumberUtil};
use std::collections::HashSet;

#[test]
fn emails() {
    let long_local = format!("{}@example.cn", "a".repeat(64));
    let long_label = format!("a@{}.com", "b".repeat(63));
    let cases: &[(&str, Option<&str>)] = &[
        ("user@host.com", Some("user@host.com")),
        ("  User@Host.COM \t", Some("user@host.com")),
        ("\u{feff}user@host.com\u{200b}", Some("user@host.com")),
        ("us\u{200b}er@ho\u{ad}st.com", Some("user@host.com")),
        ("\u{3000}user@host.com\u{a0}", Some("user@host.com")),
        ("ｕｓｅｒ＠ｈｏｓｔ．ｃｏｍ", Some("user@host.com")),
        ("user＠host.com", Some("user@host.com")),
        ("user@host。com", Some("user@host.com")),
        ("user@host｡com", Some("user@host.com")),
        ("mailto:User@Host.com", Some("user@host.com")),
        ("MAILTO: user@host.com?subject=Hi%20a@b.com", Some("user@host.com")),
        ("mailto:mailto:a@host.com", None),
        ("first.last+tag@sub.host.co.uk", Some("first.last+tag@sub.host.co.uk")),
        ("F.I.R.S.T@gmail.com", Some("f.i.r.s.t@gmail.com")),
        ("a!#$%&'*+-/=?^_`{|}~b@host.com", Some("a!#$%&'*+-/=?^_`{|}~b@host.com")),
        ("用户@例子.中国", Some("用户@例子.中国")),
        ("user@MÜNCHEN.de", Some("user@münchen.de")),
        ("user@mu\u{308}nchen.de", Some("user@münchen.de")),
        ("user@xn--mnchen-3ya.de", Some("user@münchen.de")),
        ("ÅSA@host.se", Some("åsa@host.se")),
        (&long_local, Some(&long_local)),
        (&long_label, Some(&long_label)),
        ("", None),
        (" \u{200b}\u{3000} ", None),
        ("@", None),
        ("user", None),
        ("user@", None),
        ("@host.com", None),
        ("user@host", None),
        ("user@@host.com", None),
        ("a@b@host.com", None),
        ("us er@host.com", None),
        ("user@ho st.com", None),
        (".user@host.com", None),
        ("user.@host.com", None),
        ("us..er@host.com", None),
        ("user@.host.com", None),
        ("user@host..com", None),
        ("user@host.com.", None),
        ("user@-host.com", None),
        ("user@host-.com", None),
        ("user@ho_st.com", None),
        ("user@host.c", None),
        ("user@1.2.3.4", None),
        ("user@[1.2.3.4]", None),
        ("\"us er\"@host.com", None),
        ("Name <user@host.com>", None),
        ("user@host.com,other@host.com", None),
        ("user(comment)@host.com", None),
        ("null", None),
        ("user@host.com\0", Some("user@host.com")),
    ];
    for (value, expected) in cases {
        assert_eq!(email(value).as_deref(), *expected, "{value:?}");
    }
    assert_eq!(email(&format!("{}@host.com", "a".repeat(65))), None);
    assert_eq!(email(&format!("a@{}.com", "b".repeat(64))), None);
    assert_eq!(email(&format!("a@{}.com", "中".repeat(60))), None);
    let domain = format!("{0}.{0}.{0}.{1}.com", "b".repeat(60), "c".repeat(5));
    assert_eq!(domain.len(), 192);
    assert!(email(&format!("{}@{domain}", "a".repeat(61))).is_some());
    assert_eq!(email(&format!("{}@{domain}", "a".repeat(62))), None, "255 octets");
}

#[test]
fn phones() {
    let cases: &[(&str, &str, Option<&str>)] = &[
        ("13812345678", "CN", Some("+8613812345678")),
        ("138-1234-5678", "CN", Some("+8613812345678")),
        ("138 1234 5678", "CN", Some("+8613812345678")),
        ("138.1234.5678", "CN", Some("+8613812345678")),
        ("138—1234—5678", "CN", Some("+8613812345678")),
        ("+86 138 1234 5678", "CN", Some("+8613812345678")),
        ("+86-138-1234-5678", "US", Some("+8613812345678")),
        ("(+86)13812345678", "CN", Some("+8613812345678")),
        ("（＋８６）１３８１２３４５６７８", "CN", Some("+8613812345678")),
        ("１３８１２３４５６７８", "cn", Some("+8613812345678")),
        ("【13812345678】", "CN", Some("+8613812345678")),
        ("86-138-1234-5678", "CN", Some("+8613812345678")),
        ("8613812345678", "CN", Some("+8613812345678")),
        ("0086 138 1234 5678", "CN", Some("+8613812345678")),
        ("008613812345678", "US", Some("+8613812345678")),
        ("+008613812345678", "CN", Some("+8613812345678")),
        ("013812345678", "CN", Some("+8613812345678")),
        ("tel:+8613812345678", "CN", Some("+8613812345678")),
        ("TEL:138-1234-5678", "CN", Some("+8613812345678")),
        ("\u{202d}13812345678\u{202c}", "CN", Some("+8613812345678")),
        ("\u{200b}138\u{a0}1234\u{3000}5678\t", "CN", Some("+8613812345678")),
        ("13812345678 ext. 12", "CN", Some("+8613812345678")),
        ("(010) 6552-9988", "CN", Some("+861065529988")),
        ("（０１０）６５５２－９９８８", "CN", Some("+861065529988")),
        ("010-65529988", "CN", Some("+861065529988")),
        ("+86 10 6552 9988", "HK", Some("+861065529988")),
        ("+86 (0)10 6552 9988", "CN", Some("+861065529988")),
        ("010-65529988转8001", "CN", Some("+861065529988")),
        ("010-65529988-转 8001", "CN", Some("+861065529988")),
        ("010-65529988 分机8001", "CN", Some("+861065529988")),
        ("010-65529988#8001", "CN", Some("+861065529988")),
        ("+861065529988;ext=8001", "CN", Some("+861065529988")),
        ("021-5888 8888", "CN", Some("+862158888888")),
        ("0755-26001234", "CN", Some("+8675526001234")),
        ("400-812-3123", "CN", Some("+864008123123")),
        ("9123 4567", "HK", Some("+85291234567")),
        ("+852 9123 4567", "CN", Some("+85291234567")),
        ("852-91234567", "HK", Some("+85291234567")),
        ("00852 9123 4567", "CN", Some("+85291234567")),
        ("6612 3456", "MO", Some("+85366123456")),
        ("0912-345-678", "TW", Some("+886912345678")),
        ("(650) 253-0000", "US", Some("+16502530000")),
        ("1-650-253-0000", "US", Some("+16502530000")),
        ("+1 650.253.0000 x123", "CN", Some("+16502530000")),
        ("011 86 138 1234 5678", "US", Some("+8613812345678")),
        ("020 7946 0958", "GB", Some("+442079460958")),
        ("+44 (0)20 7946 0958", "CN", Some("+442079460958")),
        ("06 12 34 56 78", "FR", Some("+33612345678")),
        ("02 1234 5678", "IT", Some("+390212345678")),
        ("090-1234-5678", "JP", Some("+819012345678")),
        ("+800 1234 5678", "CN", Some("+80012345678")),
        ("", "CN", None),
        ("+", "CN", None),
        ("0", "CN", None),
        ("null", "CN", None),
        ("12345678901", "CN", None),
        ("11111111111", "CN", None),
        ("00000000000", "CN", None),
        ("1381234567", "CN", None),
        ("138123456789", "CN", None),
        ("12012345678", "CN", None),
        ("13812345678/13912345678", "CN", None),
        ("13812345678,13912345678", "CN", None),
        ("138****5678", "CN", None),
        ("*13812345678", "CN", None),
        ("13812345678李", "CN", None),
        ("call 13812345678", "CN", None),
        ("1-800-FLOWERS", "US", None),
        ("13812345678@qq.com", "CN", None),
        ("1.3812345678E10", "CN", None),
        ("++8613812345678", "CN", None),
        ("138+12345678", "CN", None),
        ("+999 13812345678", "CN", None),
        ("13812345678x13912345678", "CN", None),
    ];
    for (value, region, expected) in cases {
        assert_eq!(phone(value, region).unwrap().as_deref(), *expected, "{value:?} in {region}");
    }
}

#[test]
fn regions() {
    for region in ["", "C", "CHN", "ZZ", "001", "中", "86", "C\0", " CN"] {
        assert_eq!(phone("13812345678", region), Err(NormError::UnknownRegion(region.to_owned())));
        assert_eq!(phone("", region), Err(NormError::UnknownRegion(region.to_owned())), "whatever the value");
        assert!(phone_region(region).is_err());
    }
    assert_eq!(phone_region("CN"), Ok(()));
    assert_eq!(phone_region("us"), Ok(()));
    assert!(NormError::UnknownRegion("ZZ".to_owned()).to_string().contains("\"ZZ\""));
}

#[test]
fn texts() {
    let cases: &[(&str, Option<&str>)] = &[
        ("Hello", Some("Hello")),
        ("  Hello \t\r\n World  ", Some("Hello World")),
        ("Ｈｅｌｌｏ　Ｗｏｒｌｄ！", Some("Hello World!")),
        ("ｶﾞｷﾞ", Some("ガギ")),
        ("①②㎡", Some("12m2")),
        ("ﬁne", Some("fine")),
        ("e\u{301}", Some("é")),
        ("e\u{200b}\u{301}", Some("é")),
        ("上海\u{3000}\u{3000}浦东", Some("上海 浦东")),
        ("\u{feff}张\u{200d}三\u{200b}", Some("张三")),
        ("a\u{0}b\u{7}c", Some("abc")),
        ("a\u{85}b\u{2028}c", Some("a b c")),
        ("葛\u{e0100}城", Some("葛城")),
        ("\u{3164}\u{ffa0}\u{115f}", None),
        ("\u{2800}x\u{2800}", Some("x")),
        ("", None),
        (" \u{a0}\u{2003}\u{3000}\u{200b}\u{feff} ", None),
    ];
    for (value, expected) in cases {
        assert_eq!(text(value).as_deref(), *expected, "{value:?}");
    }
    assert_eq!(lower(" 6BA7B810-9DAD-11D1 ").as_deref(), Some("6ba7b810-9dad-11d1"));
    assert_eq!(lower("ＡＢ　Ｃ").as_deref(), Some("ab c"));
    assert_eq!(code("\u{feff} oX_aB  9\u{200b}\n").as_deref(), Some("oX_aB  9"));
    assert_eq!(code("ＡＢ").as_deref(), Some("ＡＢ"), "an opaque code is not folded");
    assert_eq!(code(" \u{200b} "), None);
}

#[test]
fn id_cards() {
    let cases: &[(&str, Option<&str>)] = &[
        ("11010519491231002X", Some("11010519491231002X")),
        (" 11010519491231002x ", Some("11010519491231002X")),
        ("110105 19491231 002x", Some("11010519491231002X")),
        ("１１０１０５１９４９１２３１００２Ｘ", Some("11010519491231002X")),
        ("440524188001010014", Some("440524188001010014")),
        ("110105491231002", Some("11010519491231002X")),
        ("110105194912310021", None),
        ("11010519491331002X", None),
        ("110105194902300020", None),
        ("000000000000000000", None),
        ("1101051949123100", None),
        ("1101051949X231002X", None),
        ("", None),
        ("身份证", None),
    ];
    for (value, expected) in cases {
        assert_eq!(id_card(value).as_deref(), *expected, "{value:?}");
    }
}

/// Every character alone and next to an accent and a letter: normal forms are fixed points, and composition brings back nothing
/// invisible. Ideographs and Hangul syllables, which are alike, are sampled; planes without characters are left out.
#[test]
fn every_character_is_stable() {
    let mut buffer = String::new();
    let planes = ('\0'..='\u{33fff}').chain('\u{e0000}'..='\u{e0fff}').chain(['\u{f0000}', '\u{10fffd}', char::MAX]);
    let alike = |c| matches!(c, '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{12000}'..='\u{1cfff}' | '\u{20000}'..='\u{2f7ff}' | '\u{2fb00}'..='\u{33fff}');
    for c in planes.filter(|&c| !alike(c) || u32::from(c) % 61 == 0) {
        for tail in ["", "\u{301}", "a", "\u{345}\u{301}"] {
            buffer.clear();
            buffer.push(c);
            buffer.push_str(tail);
            assert!(!fold(&buffer).chars().any(is_invisible), "{buffer:?}");
            for (name, f) in [("text", text as fn(&str) -> Option<String>), ("lower", lower), ("code", code)] {
                if let Some(once) = f(&buffer) {
                    assert_eq!(f(&once).as_ref(), Some(&once), "{name} of {buffer:?}");
                }
            }
            let once = lower_case(fold(&buffer));
            assert_eq!(lower_case(fold(&once)), once, "{buffer:?}");
        }
    }
}

fn example_numbers() -> Vec<(String, String, String)> {
    let plans = PhoneNumberUtil::new().unwrap();
    let mut out = Vec::new();
    for region in plans.get_supported_regions() {
        for kind in [PhoneNumberType::FixedLine, PhoneNumberType::Mobile, PhoneNumberType::TollFree] {
            if let Ok(number) = plans.get_example_number_for_type_and_region(region, kind) {
                let as_ = |f| plans.format(&number, f).into_owned();
                out.push((region.to_string(), as_(PhoneNumberFormat::E164), as_(PhoneNumberFormat::International)));
                out.push((region.to_string(), as_(PhoneNumberFormat::E164), as_(PhoneNumberFormat::National)));
                out.push((region.to_string(), as_(PhoneNumberFormat::E164), as_(PhoneNumberFormat::RFC3966)));
            }
        }
    }
    out.sort();
    out
}

/// The example numbers of every region, as people write them there, and what typing mistakes make of them.
#[test]
fn phones_of_every_region() {
    let examples = example_numbers();
    assert!(examples.len() > 1500);
    let (mut seed, mut valid) = (1u64, 0);
    for (region, expected, written) in &examples {
        assert_eq!(phone(written, region).unwrap().as_ref(), Some(expected), "{written} in {region}");
        for _ in 0..6 {
            let mut typo = written.clone().into_bytes();
            for _ in 0..2 {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let at = (seed >> 33) as usize % typo.len();
                if typo[at].is_ascii_digit() {
                    typo[at] = b'0' + (seed >> 20) as u8 % 10;
                }
            }
            let typo = String::from_utf8(typo).unwrap();
            if let Some(once) = phone(&typo, region).unwrap() {
                valid += 1;
                for other in [region, "CN", "US"] {
                    assert_eq!(phone(&once, other).unwrap().as_ref(), Some(&once), "{typo} in {region}, then {other}");
                }
            }
        }
    }
    assert!(valid > 3000, "{valid}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_string_is_stable(value in any::<String>(), n in 0..Normaliser::ALL.len()) {
        let n = Normaliser::ALL[n];
        if let Some(once) = n.apply(&value, "CN").unwrap() {
            prop_assert!(!once.is_empty());
            prop_assert_eq!(n.apply(&once, "CN").unwrap(), Some(once));
        }
    }

    #[test]
    fn dirty_emails_are_stable(value in "[ \u{200b}\u{3000}ＡＺａ]{0,3}(mailto:)?[a-zＡ-ＺßİΣ.+]{1,9}[@＠][a-z0-9Ａ-Ｚß。｡.-]{1,12}[.．][a-zΣ]{2,4}[ \u{feff}]{0,2}") {
        if let Some(once) = email(&value) {
            prop_assert_eq!(once.matches('@').count(), 1);
            prop_assert_eq!(email(&once), Some(once));
        }
    }

    #[test]
    fn dirty_phones_are_stable(value in "[+＋]?[(（]?(0086|86|00|1|852|0)?[)）]?[ -]?[0-9０-９]{3}[ .-]?[0-9０-９]{4}[ －-]?[0-9]{0,5}(x|转|#|ext)?[0-9]{0,4}", region in 0usize..6) {
        let region = ["CN", "HK", "US", "IT", "AR", "MX"][region];
        if let Some(once) = phone(&value, region).unwrap() {
            prop_assert!(once.starts_with('+') && once[1..].bytes().all(|b| b.is_ascii_digit()) && once.len() <= 17);
            prop_assert_eq!(phone(&once, region).unwrap(), Some(once));
        }
    }

    #[test]
    fn id_cards_survive_one_wrong_character(body in "[1-6][1-5][0-9]{4}19[0-9]{2}0[1-9][0-2][1-8][0-9]{3}", at in 0usize..17, by in 1u8..10) {
        for check in "0123456789X".chars() {
            if let Some(once) = id_card(&format!("{body}{check}")) {
                prop_assert_eq!(id_card(&once), Some(once.clone()));
                let mut wrong = once.into_bytes();
                wrong[at] = b'0' + (wrong[at] - b'0' + by) % 10;
                prop_assert_eq!(id_card(&String::from_utf8(wrong).unwrap()), None);
            }
        }
    }
}

#[test]
fn hostile_values() {
    let values = [
        "\u{fdfa}".repeat(100_000),
        "a\u{301}".repeat(100_000),
        format!("a{}", "\u{301}\u{316}".repeat(100_000)),
        "@".repeat(1_000_000),
        format!("{}@{}.com", "a".repeat(1_000_000), "b.".repeat(1_000_000)),
        "0".repeat(1_000_000),
        "+".repeat(250),
        "(".repeat(249) + "1",
        "1 ".repeat(125),
        "x#".repeat(100),
        ";ext=1".repeat(40),
        "转1".repeat(60),
        "\u{200b}".repeat(1_000_000),
        "\u{10ffff}\u{e000}\u{fffe}".repeat(1000),
        "'; DROP TABLE cdp.profile; --".to_owned(),
        "\\".repeat(1000),
    ];
    for value in &values {
        for n in Normaliser::ALL {
            if let Some(once) = n.apply(value, "CN").unwrap() {
                assert_eq!(n.apply(&once, "CN").unwrap(), Some(once));
            }
        }
    }
}

#[test]
fn normalisers_have_names() {
    for n in Normaliser::ALL {
        assert_eq!(Normaliser::parse(n.name()), Ok(n));
    }
    let error = Normaliser::parse("Email").unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown normaliser \"Email\": expected one of email, phone, id_card, text, lower, exact"
    );
}

#[test]
fn the_catalogue_is_sound() {
    assert_eq!(IDENTIFIER_TYPES.len(), 19);
    let names: HashSet<_> = IDENTIFIER_TYPES.iter().map(|t| t.name).collect();
    assert_eq!(names.len(), IDENTIFIER_TYPES.len());
    assert!(IDENTIFIER_TYPES.array_windows().all(|[a, b]| a.priority < b.priority));
    for t in IDENTIFIER_TYPES {
        assert_eq!(t.strength == Strength::Weak, matches!(t.name, "ip" | "fingerprint"), "{}", t.name);
    }
    assert_eq!(identifier_type("user_id").unwrap().level.person_cap(), 20);
    assert_eq!(identifier_type("cookie").map(|t| t.level), Some(Level::Device));
    assert_eq!(identifier_type("shoe_size"), None);
}

/// As the extension does it: lower-cased normalised value against value or pattern. The back references that `regex` has not are
/// spelt out.
fn hits(row: &Blocked, value: &str) -> bool {
    let value = value.to_lowercase();
    match row.pattern {
        None => row.value == Some(value.as_str()),
        Some(pattern) if !pattern.contains("\\1") => Regex::new(pattern).unwrap().is_match(&value),
        Some(pattern) => ('0'..='9').chain('a'..='f').any(|c| {
            let c = regex::escape(&c.to_string());
            let spelt = pattern.replace("(.)", &c).replace("([0-9])", &c).replace("\\1", &c);
            Regex::new(&spelt).unwrap().is_match(&value)
        }),
    }
}

#[test]
fn blocked_rows_are_sound() {
    let mut seen = HashSet::new();
    for row in BLOCKED {
        assert!(row.value.is_some() != row.pattern.is_some(), "{row:?}");
        assert!(!row.reason.is_empty() && seen.insert((row.identifier_type, row.value, row.pattern)), "{row:?}");
        assert!(row.value.is_none_or(|v| v == v.to_lowercase()), "{row:?}");
        if let Some(name) = row.identifier_type {
            let t = identifier_type(name).unwrap();
            if let Some(value) = row.value {
                let normal = t.normaliser.apply(value, "CN").unwrap();
                assert_eq!(
                    normal.map(|n| n.to_lowercase()).as_deref(),
                    Some(value),
                    "never seen in this form: {row:?}"
                );
            }
        }
    }
}

#[test]
fn blocked_values_and_innocent_ones() {
    let blocked = |t: &str, value: &str| {
        let normal = identifier_type(t).unwrap().normaliser.apply(value, "CN").unwrap();
        normal.is_none_or(|n| BLOCKED.iter().any(|b| b.identifier_type.is_none_or(|x| x == t) && hits(b, &n)))
    };
    for (t, value) in [
        ("user_id", "NULL"),
        ("user_id", " Anonymous "),
        ("user_id", "-1"),
        ("user_id", "0"),
        ("user_id", "-"),
        ("user_id", "123456"),
        ("user_id", "__USER_ID__"),
        ("user_id", "{{user.id}}"),
        ("user_id", "${userId}"),
        ("user_id", "?"),
        ("cookie", "[object Object]"),
        ("idfa", "00000000-0000-0000-0000-000000000000"),
        ("idfa", "AAAAAAAA-AAAA-AAAA-AAAA-AAAAAAAAAAAA"),
        ("oaid", "d41d8cd98f00b204e9800998ecf8427e"),
        ("email", "Test@Test.com"),
        ("email", "test@example.com"),
        ("email", "No-Reply@shop.cn"),
        ("email", "noreply+17@shop.cn"),
        ("email", "null@shop.cn"),
        ("email", "n/a"),
        ("phone", "13800138000"),
        ("phone", "11111111111"),
        ("phone", "13888888888"),
        ("phone", "+1 202 555 0123"),
        ("imei", "000000000000000"),
        ("ip", "127.0.0.1"),
    ] {
        assert!(blocked(t, value), "{t} {value}");
    }
    for (t, value) in [
        ("user_id", "100000"),
        ("user_id", "10"),
        ("user_id", "u-1"),
        ("user_id", "nullius"),
        ("email", "tester@shop.cn"),
        ("email", "reply@shop.cn"),
        ("email", "info@shop.cn"),
        ("email", "li@myexample.com"),
        ("email", "someone@mail.example.org"),
        ("phone", "13800138001"),
        ("phone", "13988887777"),
        ("idfa", "6D92078A-8246-4BA4-AE5B-76104861E7DC"),
        ("ip", "128.0.0.1"),
        ("cookie", "GA1.2.1234567890.1600000000"),
    ] {
        assert!(!blocked(t, value), "{t} {value}");
    }
}
