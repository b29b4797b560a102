//! Dirty forms of values as real sources have them, with what becomes of each: `function | value | result`, where nothing after the last bar is nothing.
//!
//! Escapes: `\s` is a space at an end, `\t` a tab, `\u{…}` a character that cannot be seen.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use proptest::prelude::*;

const GOLDEN: &str = include_str!("golden.txt");

fn unescaped(text: &str) -> String {
    let mut out = text.replace("\\s", " ").replace("\\t", "\t");
    while let Some((before, after)) = out.clone().split_once("\\u{") {
        let (code, rest) = after.split_once('}').unwrap();
        let c = char::from_u32(u32::from_str_radix(code, 16).unwrap()).unwrap();
        out = format!("{before}{c}{rest}");
    }
    out
}

fn shown(a: &Address) -> String {
    [a.province, a.city, a.district, a.rest.as_deref(), a.tier].map(Option::unwrap_or_default).join("/")
}

/// What a function of the table makes of a value, and, where its result is of the same kind, what it makes of that.
fn cleaned(function: &str, value: &str) -> (Option<String>, Option<Option<String>>) {
    let again = |f: &dyn Fn(&str) -> Option<String>| {
        let once = f(value);
        let twice = once.as_deref().map(f);
        (once, twice)
    };
    match function.split_once(' ').unwrap_or((function, "")) {
        ("email", _) => again(&|v| email(v)),
        ("mailbox", _) => again(&|v| mailbox(v)),
        ("phone", region) => again(&|v| phone(v, region).unwrap()),
        ("id_card", _) => again(&|v| id_card(v)),
        ("uscc", _) => again(&|v| uscc(v)),
        ("name", _) => again(&|v| name(v)),
        ("text", _) => again(&|v| text(v)),
        ("date", order) => again(&|v| date(v, DateOrder::parse(order).ok()).map(|d| d.to_string())),
        ("address", _) => (address(value).map(|a| shown(&a)), None),
        ("hash", to) => {
            let to = Destination::parse(to).unwrap();
            let form = if value.contains('@') { to.email(value) } else { to.phone(value, "US").unwrap() };
            (form, None)
        }
        _ => panic!("unknown function {function}"),
    }
}

#[test]
fn golden_forms() {
    let mut rows = 0;
    let mut wrong = Vec::new();
    for line in GOLDEN.lines().filter(|l| !l.is_empty() && !l.starts_with("//")) {
        let mut fields = line.split(" | ");
        let (function, value, expected) = (fields.next().unwrap(), fields.next().unwrap(), fields.next());
        let expected = expected.map(unescaped);
        assert_eq!(fields.next(), None, "{line}");
        let (once, twice) = cleaned(function, &unescaped(value));
        if once != expected {
            wrong.push(format!("{function} of {value}: {once:?}, not {expected:?}"));
        }
        if twice.is_some_and(|twice| twice != once) {
            wrong.push(format!("{function} of {value} is not stable"));
        }
        rows += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows >= 250, "{rows}");
}

#[test]
fn hashes_of_the_documents() {
    let email = |to: Destination, v: &str| to.email(v).map(|form| sha256(&form));
    // The examples that Meta, TikTok and Snap print.
    assert_eq!(
        email(Destination::Meta, " John_Smith@gmail.com ").as_deref(),
        Some("62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f")
    );
    assert_eq!(
        Destination::Meta.phone("1(650)555-1212", "US").unwrap().map(|form| sha256(&form)).as_deref(),
        Some("e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176")
    );
    assert_eq!(
        email(Destination::TikTok, "JaneDoe@gmail.com").as_deref(),
        Some("d6117306485ed0e50afab3ac871e98f81699151f30281527d63ff5f233656c69")
    );
    assert_eq!(
        email(Destination::Snap, "Person@Example.com").as_deref(),
        Some("542d240129883c019e106e3b1b2d3f3cb3537c43c425364de8e951d5a3083345")
    );
    assert_eq!(
        Destination::Snap.phone("+44 844 412 4653", "GB").unwrap().map(|form| sha256(&form)).as_deref(),
        Some("dc008fda46e2e64002cf2f82a4906236282d431c4f75e5b60bfe79fc48546383")
    );
    assert_eq!(
        Destination::parse("Meta").unwrap_err().to_string(),
        "unknown destination \"Meta\": expected one of meta, google, tiktok, snap"
    );
}

/// The table is whole: as many of each as the lists it is made of say, every tier with its number of cities.
#[test]
fn divisions_are_whole() {
    let table = &*division::DIVISIONS;
    assert_eq!(table.len(), 34);
    let cities: Vec<_> = table.iter().flat_map(|p| &p.cities).collect();
    let ranked = |tier| cities.iter().filter(|c| c.tier == Some(tier)).count();
    let tiers = ["一线", "新一线", "二线", "三线", "四线", "五线"];
    assert_eq!(tiers.map(ranked), [4, 15, 30, 70, 90, 128]);
    assert_eq!(cities.iter().filter(|c| c.tier.is_some()).count(), 337);
    assert_eq!(cities.iter().map(|c| c.districts.len()).sum::<usize>(), 3325);
    for (name, plain) in [
        ("内蒙古自治区", "内蒙古"),
        ("新疆维吾尔自治区", "新疆"),
        ("香港特别行政区", "香港"),
        ("克孜勒苏柯尔克孜自治州", "克孜勒苏"),
        ("双江拉祜族佤族布朗族傣族自治县", "双江"),
        ("浦东新区", "浦东"),
        ("东乡族自治县", "东乡族"),
        ("城区", "城区"),
        ("大兴安岭地区", "大兴安岭"),
    ] {
        assert_eq!(division::plain(name), plain);
    }
}

/// Every division, written out in full or with the city's short name, is found again.
#[test]
fn every_division_is_found() {
    for p in division::DIVISIONS.iter() {
        for c in &p.cities {
            for d in &c.districts {
                for written in [
                    format!("{}{}{}某路1号", p.name, c.name, d.name),
                    format!("{} {} {} 某路1号", p.name, division::plain(c.name), d.name),
                    format!("{}{}{}某路1号", division::plain(p.name), c.name, d.name),
                ] {
                    let a = address(&written).unwrap();
                    assert_eq!(
                        (a.province, a.city, a.district, a.rest.as_deref(), a.tier),
                        (Some(p.name), Some(c.name), Some(d.name), Some("某路1号"), c.tier),
                        "{written}"
                    );
                }
            }
            let a = address(&format!("{}{}", p.name, c.name)).unwrap();
            assert_eq!((a.province, a.city, a.district, a.rest), (Some(p.name), Some(c.name), None, None));
        }
    }
}

/// Every day of four centuries in every form, and the day after the last of each month in none.
#[test]
fn every_day_is_read() {
    let months =
        ["Jan", "February", "mar.", "April", "May", "June", "jul", "AUG", "Sept", "October", "Nov", "december"];
    for year in [1600, 1899, 1900, 1999, 2000, 2023, 2024, 2100] {
        for month in 1..=12u32 {
            for day in 1..=32u32 {
                let day_of = Date::new(year, month, day);
                let name = months[month as usize - 1];
                for (written, order) in [
                    (format!("{year}-{month:02}-{day:02}"), None),
                    (format!("{year}/{month}/{day}"), None),
                    (format!("{year}.{month}.{day}"), None),
                    (format!("{year}{month:02}{day:02}"), None),
                    (format!("{year}年{month}月{day}日"), None),
                    (format!("{day} {name} {year}"), None),
                    (format!("{name} {day}, {year}"), None),
                    (format!("{day:02}/{month:02}/{year}"), Some(DateOrder::Dmy)),
                    (format!("{month}/{day}/{year} 10:30 AM"), Some(DateOrder::Mdy)),
                ] {
                    assert_eq!(date(&written, order), day_of, "{written}");
                }
                // Without an order a date that has two readings has none.
                let two = Date::new(year, day, month).is_some() && day != month;
                let read = date(&format!("{day}/{month}/{year}"), None);
                assert_eq!(read, day_of.filter(|_| !two), "{day}/{month}/{year}");
            }
        }
    }
}

proptest! {
    #[test]
    fn anything_is_cleaned_once(value in "\\PC{0,60}|[\\s\\S]{0,40}|[·.・ 张三a-cA-C'’-]{0,12}|[0-9年月日/. -]{0,20}|[0-9A-Y ]{0,20}|[a-z.+-]{0,8}@(gmail|yahoo|outlook|xn--[a-z0-9-]{1,12})\\.com") {
        for f in ["email", "mailbox", "id_card", "uscc", "name", "text", "date", "date dmy", "date mdy"] {
            let (once, twice) = cleaned(f, &value);
            if let Some(twice) = twice {
                prop_assert_eq!(twice, once, "{} of {:?}", f, value);
            }
        }
        for to in Destination::ALL {
            let _ = to.email(&value);
        }
    }

    /// An address put together again from its parts gives the same parts.
    #[test]
    fn addresses_are_stable(value in "(中国|100000|)[ ,，]?((北京|上海|重庆|吉林|海南|江苏|广东|新疆|内蒙古?|香港|台湾)(省|市|自治区|)|)[ -]?((北京|吉林|苏州|深圳|南京|海南|朝阳|中山|延边|仙桃|九龙|济源|大理)(市|州|)|){0,2}( |)((朝阳|浦东|昆山|南山|船营|鼓楼|大理|长安|海淀)(区|新区|市|县|)|市辖区|){0,2}[路街大市区县场东 0-9A-Za-z,·-]{0,6}|\\PC{0,40}") {
        if let Some(a) = address(&value) {
            // 济源场 put together is 济源市场, which is a market.
            prop_assume!(!a.rest.as_deref().is_some_and(|r| r.starts_with(['场', '民', '政'])));
            let written = [a.province, a.city, a.district, a.rest.as_deref()].map(Option::unwrap_or_default).concat();
            let again = address(&written);
            prop_assert_eq!(again.as_ref().map(shown), Some(shown(&a)), "{:?} as {:?}", value, written);
        }
    }

    #[test]
    fn credit_codes_survive_no_wrong_character(body in "[1-9AY][1-9][1-6][0-9]{5}[0-9A-HJ-NPQRTUWXY]{9}", at in 0usize..17) {
        let code = "0123456789ABCDEFGHJKLMNPQRTUWXY".chars().find_map(|c| uscc(&format!("{body}{c}"))).unwrap();
        for c in "0123456789ABCDEFGHJKLMNPQRTUWXY".chars().filter(|&c| c != char::from(code.as_bytes()[at])) {
            let mut wrong = code.clone();
            wrong.replace_range(at..=at, &c.to_string());
            prop_assert_eq!(uscc(&wrong), None);
        }
    }
}
