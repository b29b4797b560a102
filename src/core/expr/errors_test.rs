#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! What is said about wrong expressions: kind, position, message, hint (empty: none).

use super::ast::Type;
use super::compile;
use super::error::Kind::{self, *};
use super::test_catalog::Shop;

#[rustfmt::skip]
const WRONG: &[(&str, Kind, u32, &str, &str)] = &[
        ("", Syntax, 1, "syntax error at end of input", "write a condition, for example gender = 'female'"),
        ("gender =", Syntax, 9, "syntax error at end of input", "the expression stops in the middle"),
        ("gender = 'female' AND", Syntax, 22, "syntax error at end of input", "the expression stops in the middle"),
        ("(gender = 'female'", Syntax, 19, "syntax error at end of input", "the parenthesis at character 1 is not closed"),
        ("gender = 'female')", Syntax, 18, "syntax error at or near \")\"", "there is no opening parenthesis for it"),
        ("gender = female", UnknownAttribute, 10, "attribute \"female\" does not exist", "the view attributes lists them; text is written in single quotes: 'female'"),
        ("gender female", Syntax, 8, "syntax error at or near \"female\"", "an operator is missing before it; text is written in single quotes: 'female'"),
        ("gender = \"female\"", UnknownAttribute, 10, "attribute \"female\" does not exist", "the view attributes lists them; text is written in single quotes: 'female'"),
        ("gender = 'female", Syntax, 10, "unterminated quoted string", "close it with '; a quote inside text is written twice"),
        ("\"gender = 1", Syntax, 1, "unterminated quoted name", "close it with \""),
        ("gender == 'female'", Syntax, 8, "syntax error at or near \"==\"", "write = to compare"),
        ("gender = 'a' && vip", NotSupported, 14, "operator \"&&\" is not part of an expression", "write AND"),
        ("gender || city = 'ab'", NotSupported, 8, "operator \"||\" is not part of an expression", "write OR for conditions; text cannot be concatenated here"),
        ("gender ~ 'f'", NotSupported, 8, "operator \"~\" is not part of an expression", "use LIKE or ILIKE"),
        ("age % 2 = 0", NotSupported, 5, "operator \"%\" is not part of an expression", "the operators are = <> < <= > >= + - * / IN BETWEEN LIKE ILIKE IS AND OR NOT"),
        ("age ^ 2 > 4", NotSupported, 5, "operator \"^\" is not part of an expression", "the operators are = <> < <= > >= + - * / IN BETWEEN LIKE ILIKE IS AND OR NOT"),
        ("18 < age < 25", Syntax, 10, "syntax error at or near \"<\"", "comparisons do not chain: join them with AND, or use BETWEEN"),
        ("age IN ()", Syntax, 9, "syntax error at or near \")\"", "expected an expression here"),
        ("SELECT 1", NotSupported, 1, "queries are not part of an expression", "write only the condition, without SELECT, FROM or WHERE"),
        ("gender = 'a';", Syntax, 13, "syntax error at or near \";\"", "write one expression without a semicolon"),
        ("WHERE gender = 'a'", NotSupported, 1, "queries are not part of an expression", "write only the condition, without SELECT, FROM or WHERE"),
        ("age IN (SELECT 1)", NotSupported, 9, "queries are not part of an expression", "use an aggregate over events, for example count(purchase) > 0, or in_segment()"),
        ("EXISTS (SELECT 1)", NotSupported, 9, "queries are not part of an expression", "use an aggregate over events, for example count(purchase) > 0, or in_segment()"),
        ("age = ANY (ARRAY[1])", NotSupported, 12, "an array is not part of an expression", "use IN with a list"),
        ("gendre = 'female'", UnknownAttribute, 1, "attribute \"gendre\" does not exist", "did you mean \"gender\"?"),
        ("value_levle = 'high'", UnknownAttribute, 1, "attribute \"value_levle\" does not exist", "did you mean \"value_level\"?"),
        ("zzz = 1", UnknownAttribute, 1, "attribute \"zzz\" does not exist", "the view attributes lists them; text is written in single quotes: 'zzz'"),
        ("at > now()", UnknownAttribute, 1, "attribute \"at\" does not exist", "the time of an event is known only inside FILTER (WHERE …)"),
        ("view > 0", UnknownAttribute, 1, "attribute \"view\" does not exist", "\"view\" is an event: write count(view) > 0"),
        ("purchase.amount > 5", NotSupported, 1, "qualified name \"purchase.amount\" outside an aggregate", "write an aggregate over the event, for example last(purchase.amount), or \"amount\" alone for an attribute"),
        ("cdp.purchase.amount > 5", NotSupported, 1, "qualified name \"cdp.purchase.amount\" outside an aggregate", "write names without a schema"),
        ("count(purchse) > 0", UnknownEvent, 7, "event \"purchse\" does not exist", "did you mean \"purchase\"?"),
        ("count(nothing_like_it) > 0", UnknownEvent, 7, "event \"nothing_like_it\" does not exist", "the table event_type lists them"),
        ("sum(purchase.amuont) > 0", UnknownProperty, 14, "event \"purchase\" has no property \"amuont\"", "did you mean \"amount\"?"),
        ("sum(purchase) > 0", NotSupported, 5, "aggregate \"sum\" needs a property of the event", "write sum(event.property)"),
        ("sum(purchase.sku) > 0", TypeMismatch, 1, "function sum(text) does not exist", "it needs a number; use count, min, max, first or last"),
        ("avg(purchase.at) > 0", NotSupported, 14, "aggregate \"avg\" is not defined over the time of the event", "write min(purchase.at) or max(purchase.at)"),
        ("min(purchase.gift)", TypeMismatch, 1, "function min(boolean) does not exist", "use count with FILTER (WHERE …), first or last"),
        ("count(*) > 0", NotSupported, 7, "aggregate \"count\" needs an event, not \"*\"", "write count(event) or count(event.property)"),
        ("count(purchase, view)", UnknownFunction, 1, "aggregate \"count\" takes one argument", "write count(event) or count(event.property)"),
        ("count(DISTINCT purchase)", NotSupported, 16, "aggregate \"count\" needs a property of the event", "write count(DISTINCT event.property)"),
        ("count(DISTINCT purchase.at)", NotSupported, 25, "aggregate \"count\" is not defined over the time of the event", "write count(purchase)"),
        ("first(purchase.at)", NotSupported, 16, "aggregate \"first\" is not defined over the time of the event", "write min(purchase.at) or max(purchase.at)"),
        ("sum(DISTINCT purchase.amount)", NotSupported, 5, "DISTINCT here is not part of an expression", "only count(DISTINCT event.property)"),
        ("sum(purchase.amount * 2)", NotSupported, 5, "aggregate \"sum\" needs an event, not an expression", "write sum(event.property)"),
        ("count(purchase) OVER ()", NotSupported, 17, "a window function is not part of an expression", "leave OVER out: an aggregate is over the events of one person"),
        ("count(purchase ORDER BY at)", NotSupported, 1, "a clause inside the arguments is not part of an expression", ""),
        ("count(purchase) FILTER (WHERE gender = 'a')", UnknownProperty, 31, "attribute \"gender\" cannot be used inside FILTER", "move the condition outside and join it with AND"),
        ("count(purchase) FILTER (WHERE count(view) > 0)", NotSupported, 31, "\"count\" cannot be used inside FILTER", "inside FILTER there are only properties of the event and its time, at; join conditions outside with AND"),
        ("count(purchase) FILTER (WHERE in_segment('vip'))", NotSupported, 31, "\"in_segment\" cannot be used inside FILTER", "inside FILTER there are only properties of the event and its time, at; join conditions outside with AND"),
        ("count(purchase) FILTER (WHERE did(view))", NotSupported, 31, "\"did\" cannot be used inside FILTER", "inside FILTER there are only properties of the event and its time, at; join conditions outside with AND"),
        ("count(purchase) FILTER (WHERE amount)", TypeMismatch, 31, "argument of FILTER must be boolean, not numeric", "compare it with something, for example amount = …"),
        ("count(purchase) FILTER (WHERE catgory = 'x')", UnknownProperty, 31, "event \"purchase\" has no property \"catgory\"", "did you mean \"category\"?"),
        ("lower(gender) FILTER (WHERE vip)", Syntax, 15, "FILTER specified, but \"lower\" is not an aggregate", "the aggregates are count, sum, avg, min, max, first, last"),
        ("lower(DISTINCT gender)", Syntax, 7, "DISTINCT specified, but \"lower\" is not an aggregate", ""),
        ("in_segment('vpi')", UnknownSegment, 12, "segment \"vpi\" does not exist", "did you mean \"vip\"?"),
        ("in_segment(vip)", Syntax, 12, "the argument of in_segment must be a quoted name", "write in_segment('name')"),
        ("in_segment()", UnknownFunction, 1, "function \"in_segment\" takes one argument, not 0", "give it one argument"),
        ("did('view')", Syntax, 1, "the first argument of did must be an event", "write did(event, property => 'value', within => '30 days')"),
        ("did()", Syntax, 1, "the first argument of did must be an event", "write did(event, property => 'value', within => '30 days')"),
        ("did(view, 'shoes')", Syntax, 1, "the arguments of did after the event must be named", "write did(event, property => 'value', within => '30 days')"),
        ("did(view, category => 'a', category => 'b')", Syntax, 28, "argument \"category\" used more than once", "for several values write count(event) FILTER (WHERE property IN (…)) > 0"),
        ("did(view, category => NULL)", Syntax, 23, "\"category\" = NULL is never true", "write count(view) FILTER (WHERE category IS NULL) > 0"),
        ("did(view, within => 30)", Syntax, 21, "the value of within must be a quoted interval", "write did(event, property => 'value', within => '30 days')"),
        ("did(view, within => 'soon')", InvalidValue, 21, "invalid input syntax for type interval: \"soon\"", "write it as interval '30 days'"),
        ("consented('ads')", NotSupported, 1, "function \"consented\" is not available yet", ""),
        ("lowr(gender) = 'x'", UnknownFunction, 1, "function \"lowr\" does not exist in expressions", "did you mean \"lower\"?"),
        ("floor(balance) = 3", UnknownFunction, 1, "function \"floor\" does not exist in expressions", "the functions are abs, avg, cardinality, coalesce, count, date_trunc, days_to_anniversary, did, extract, first, greatest, has_identifier, in_segment, last, least, lower, max, min, now, nullif, round, sequence, sum, upper"),
        ("substring(gender from 1) = 'x'", UnknownFunction, 1, "function \"substring\" does not exist in expressions", "the functions are abs, avg, cardinality, coalesce, count, date_trunc, days_to_anniversary, did, extract, first, greatest, has_identifier, in_segment, last, least, lower, max, min, now, nullif, round, sequence, sum, upper"),
        ("pg_catalog.lower(gender) = 'x'", UnknownFunction, 1, "function \"pg_catalog.lower\" does not exist in expressions", "the functions are abs, avg, cardinality, coalesce, count, date_trunc, days_to_anniversary, did, extract, first, greatest, has_identifier, in_segment, last, least, lower, max, min, now, nullif, round, sequence, sum, upper"),
        ("lower(age) = 'x'", TypeMismatch, 7, "function lower(bigint) does not exist", "cast it: age::text"),
        ("lower(gender, city) = 'x'", UnknownFunction, 1, "function \"lower\" takes one argument, not 2", "give it one argument"),
        ("nullif(age)", UnknownFunction, 1, "function \"nullif\" takes two arguments, not 1", "give it two arguments"),
        ("round(gender) = 1", TypeMismatch, 7, "function round(text) does not exist", "it needs a number"),
        ("round(balance, age) = 1", NotSupported, 16, "the second argument of round must be a whole number up to 1000, written as a literal", "write for example round(x, 2)"),
        ("abs(vip) = 1", TypeMismatch, 5, "function abs(boolean) does not exist", "it needs a number"),
        ("date_trunc('mnth', signed_up) > now()", NotSupported, 12, "field \"mnth\" is not known to date_trunc", "did you mean \"month\"?"),
        ("date_trunc('month', age) > now()", TypeMismatch, 21, "function date_trunc(bigint) does not exist", "it needs a timestamptz or a date"),
        ("extract(hour FROM birthday) = 5", NotSupported, 9, "field \"hour\" is not known to extract from date", "the fields are century, day, decade, dow, doy, epoch, isodow, isoyear, julian, millennium, month, quarter, week, year"),
        ("extract(yaer FROM birthday) = 5", NotSupported, 9, "field \"yaer\" is not known to extract from date", "did you mean \"year\"?"),
        ("extract(year FROM '2017-01-01') = 5", Ambiguous, 19, "function extract(unknown) is not unique", "write the type of the literal, for example date '2017-12-01'"),
        ("gender = 1", TypeMismatch, 10, "operator does not exist: text = bigint", "write it in quotes: '1'"),
        ("gender > age", TypeMismatch, 10, "operator does not exist: text > bigint", "cast one side: gender::bigint"),
        ("age = 'abc'", InvalidValue, 7, "invalid input syntax for type bigint: \"abc\"", "write a whole number"),
        ("age = '99999999999999999999'", OutOfRange, 7, "value \"99999999999999999999\" is out of range for type bigint", "without quotes it is a numeric, which may be as large"),
        ("age = 'x1'", InvalidValue, 7, "invalid input syntax for type bigint: \"x1\"", "write a whole number"),
        ("vip = 'maybe'", InvalidValue, 7, "invalid input syntax for type boolean: \"maybe\"", "write true or false"),
        ("vip = 1", TypeMismatch, 7, "operator does not exist: boolean = bigint", "a boolean is compared with true or false"),
        ("birthday > 'soon'", InvalidValue, 12, "invalid input syntax for type date: \"soon\"", "write it as date '2017-12-01'"),
        ("birthday = '2017-02-29'", TimeOutOfRange, 12, "date/time field value out of range: \"2017-02-29\"", "there is no such day in the calendar"),
        ("signed_up > '2017-13-01'", TimeOutOfRange, 13, "date/time field value out of range: \"2017-13-01\"", "there is no such day in the calendar"),
        ("age + gender > 1", TypeMismatch, 1, "operator does not exist: bigint + text", "cast the operands to types that fit"),
        ("vip + 1 > 1", TypeMismatch, 1, "operator does not exist: boolean + bigint", "cast the operands to types that fit"),
        ("birthday + birthday", TypeMismatch, 1, "operator does not exist: date + date", "cast the operands to types that fit"),
        ("birthday + interval '1 day' > now()", NotSupported, 1, "date + interval is a timestamp without time zone, which expressions do not have", "cast the date: birthday::timestamptz + interval '…', or add days: birthday + 30"),
        ("birthday - '30 days' > now()", InvalidValue, 12, "invalid input syntax for type date: \"30 days\"", "add days as a number: birthday - 30, or cast: birthday::timestamptz - interval '30 days'"),
        ("now() - '30 days' < signed_up", InvalidValue, 9, "invalid input syntax for type timestamptz: \"30 days\"", "write interval '30 days'"),
        ("'a' + 'b' = 'c'", Ambiguous, 1, "operator is not unique: unknown + unknown", "write the type of the literal, for example interval '1 day' or 5 without quotes"),
        ("-gender = 'x'", TypeMismatch, 1, "operator does not exist: - text", "cast the operands to types that fit"),
        ("NOT age", TypeMismatch, 5, "argument of NOT must be boolean, not bigint", "compare it with something, for example age = …"),
        ("age AND vip", TypeMismatch, 1, "argument of AND must be boolean, not bigint", "compare it with something, for example age = …"),
        ("age", TypeMismatch, 1, "expression must be boolean, not bigint", "compare it with something, for example age = …"),
        ("CASE WHEN age THEN 1 END = 1", TypeMismatch, 11, "argument of WHEN must be boolean, not bigint", "compare it with something, for example age = …"),
        ("CASE WHEN vip THEN 1 ELSE 'x' END = 1", InvalidValue, 27, "invalid input syntax for type bigint: \"x\"", "write a whole number"),
        ("CASE WHEN vip THEN gender ELSE age END = 'x'", TypeMismatch, 32, "CASE types text and bigint cannot be matched", "cast it: age::text"),
        ("coalesce(gender, 0) = 'x'", TypeMismatch, 18, "COALESCE types text and bigint cannot be matched", "write it in quotes: '0'"),
        ("age IN (1, 'b')", InvalidValue, 12, "invalid input syntax for type bigint: \"b\"", "write a whole number"),
        ("gender IN (1, 2)", TypeMismatch, 12, "IN types text and bigint cannot be matched", "write it in quotes: '1'"),
        ("age LIKE '1%'", TypeMismatch, 1, "LIKE needs text, not bigint", "cast it: age::text"),
        ("age IS TRUE", TypeMismatch, 1, "argument of IS TRUE must be boolean, not bigint", "compare it with something, for example age = …"),
        ("gender LIKE 'a' ESCAPE 'b'", NotSupported, 17, "LIKE with ESCAPE is not part of an expression", "escape with a backslash"),
        ("gender SIMILAR TO 'a'", NotSupported, 8, "SIMILAR TO is not part of an expression", "use LIKE or ILIKE"),
        ("gender IS DISTINCT FROM 'a'", NotSupported, 11, "IS DISTINCT FROM is not part of an expression", "use = with IS NULL"),
        ("gender::money = 1", NotSupported, 9, "type \"money\" is not part of an expression", "the types are boolean, bigint, numeric, text, date, timestamptz and interval"),
        ("gender::varchar(10) = 'x'", NotSupported, 9, "type \"varchar(10)\" is not part of an expression", "use text"),
        ("balance::numeric(10,2) = 1", NotSupported, 10, "type \"numeric(10,2)\" is not part of an expression", "use numeric without digits, and round(x, digits)"),
        ("balance::float8 > 1", NotSupported, 10, "type \"float8\" is not part of an expression", "use numeric"),
        ("signed_up::timestamp > now()", NotSupported, 12, "type \"timestamp\" is not part of an expression", "use timestamptz"),
        ("signed_up AT TIME ZONE 'UTC' > now()", NotSupported, 11, "AT TIME ZONE is not part of an expression", "days are days of the workspace's time zone"),
        ("vip::numeric = 1", TypeMismatch, 1, "cannot cast type boolean to numeric", ""),
        ("interval '30' day > interval '1 day'", NotSupported, 1, "this form of interval is not part of an expression", "write the unit inside the quotes: interval '30 days'"),
        ("current_time > now()", UnknownFunction, 1, "function \"current_time\" does not exist in expressions", "use now() or current_date"),
        ("gender COLLATE \"C\" = 'x'", NotSupported, 8, "COLLATE is not part of an expression", ""),
        ("(age, vip) = (1, true)", NotSupported, 1, "a list of values is not part of an expression", "a list belongs after IN"),
        ("age[1] = 1", NotSupported, 1, "this construct is not part of an expression", ""),
        ("$1 = gender", NotSupported, 1, "this literal is not part of an expression", "write a number, text in single quotes, true, false or NULL; an expression has no parameters"),
        ("1e999 > age", OutOfRange, 1, "number has too many digits", "the most is 100"),
        ("城市 = 上海", UnknownAttribute, 6, "attribute \"上海\" does not exist", "the view attributes lists them; text is written in single quotes: '上海'"),
        ("城市 = '上海' AND 城镇 = 'x'", UnknownAttribute, 15, "attribute \"城镇\" does not exist", "did you mean \"城市\"?"),
        ("gender =\n AND vip", Syntax, 11, "syntax error at or near \"AND\"", "something is missing before it"),
];

#[test]
fn every_mistake_is_explained() {
    for (text, kind, position, message, hint) in WRONG {
        let e = compile(text, &Shop, Some(Type::Boolean)).expect_err(text);
        assert_eq!(
            (e.kind, e.position, e.message.as_str(), e.hint.as_deref().unwrap_or_default()),
            (*kind, *position, *message, *hint),
            "{text}"
        );
        assert_eq!(e.sqlstate().len(), 5);
    }
}

#[test]
fn the_word_is_named() {
    for (text, word) in [
        ("gendre = 'a'", "gendre"),
        ("count(purchse) > 0", "purchse"),
        ("sum(purchase.amuont) > 0", "amuont"),
        ("lowr(gender) = 'a'", "lowr"),
        ("in_segment('vpi')", "vpi"),
        ("gender || city = 'a'", "||"),
        ("gender::money = 'a'", "money"),
        ("gender = 'a' gender", "gender"),
        ("age = 'many'", "many"),
    ] {
        let e = compile(text, &Shop, Some(Type::Boolean)).expect_err(text);
        assert_eq!(e.word.as_deref(), Some(word), "{text}");
        let from: String = text.chars().skip(e.position as usize - 1).collect();
        assert!(from.trim_start_matches('\'').starts_with(word), "{text}: {from}");
    }
}

/// Of two places with the same word, the one the error is about.
#[test]
fn a_word_is_found_after_the_place() {
    let e = compile("gender = 'purchse' AND count(purchse) > 0", &Shop, Some(Type::Boolean)).unwrap_err();
    assert_eq!(e.position, 30);
}
