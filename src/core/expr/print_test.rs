#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! Print and parse are inverse.

use proptest::prelude::*;

use super::super::ast::*;
use super::super::parse::{Limits, parse, parse_with};
use super::super::walk;
use super::print;

/// Forgets positions, and the types that come from the surroundings.
pub(crate) fn bare(mut e: Expr) -> Expr {
    fn forget(e: &mut Expr) {
        e.at = 0;
        let typed = matches!(e.node, Node::Text(_)) && matches!(e.ty, Type::Date | Type::Timestamptz | Type::Interval);
        if !typed {
            e.ty = Type::Unknown;
        }
        walk::children_mut(e).into_iter().for_each(forget);
    }
    forget(&mut e);
    e
}

#[track_caller]
fn same(text: &str, canonical: &str) {
    let tree = parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    assert_eq!(print(&tree), canonical);
    let again = parse(canonical).unwrap_or_else(|e| panic!("{canonical}: {e:?}"));
    assert_eq!(bare(again), bare(tree), "{text}");
}

#[test]
fn canonical_forms() {
    for (text, canonical) in [
        ("Gender='female'", "gender = 'female'"),
        ("a AND (b AND c) AND d", "a AND b AND c AND d"),
        ("a OR (b OR c)", "a OR b OR c"),
        ("a AND b OR c AND d", "a AND b OR c AND d"),
        ("(a OR b) AND c", "(a OR b) AND c"),
        ("not (a and b)", "NOT (a AND b)"),
        ("not not a", "NOT NOT a"),
        ("not a = 1", "NOT a = 1"),
        ("(not a) = b", "(NOT a) = b"),
        ("(a = 1) is not true", "a = 1 IS NOT TRUE"),
        ("a = (b is null)", "a = (b IS NULL)"),
        ("(a = 1) = (b = 2)", "(a = 1) = (b = 2)"),
        ("a != 1", "a <> 1"),
        ("a notnull", "a IS NOT NULL"),
        ("(a = 1) is unknown", "a = 1 IS NULL"),
        ("a not between 1 and 2 and b", "a NOT BETWEEN 1 AND 2 AND b"),
        ("a between (b and c) and 2", "a BETWEEN (b AND c) AND 2"),
        ("a not in (1,2, 3)", "a NOT IN (1, 2, 3)"),
        ("'x'=any(a) and ('y' = any (a)) = true", "'x' = ANY (a) AND ('y' = ANY (a)) = true"),
        ("'x' <> all(a)", "NOT 'x' = ANY (a)"),
        ("a not ilike '%x'", "a NOT ILIKE '%x'"),
        ("- - a", "-(-a)"),
        ("-a::bigint", "-a::bigint"),
        ("(-a)::bigint", "(-a)::bigint"),
        ("-5", "-5"),
        ("+5", "5"),
        ("a - (b - c)", "a - (b - c)"),
        ("(a - b) - c", "a - b - c"),
        ("a * (b + c) / d", "a * (b + c) / d"),
        ("a / (b * c)", "a / (b * c)"),
        ("a - -b", "a - -b"),
        ("-(a * b)", "-(a * b)"),
        ("-a * b", "-a * b"),
        ("cast(a as int) + 1", "a::bigint + 1"),
        ("a::int4::text", "a::bigint::text"),
        ("timestamp with time zone '2020-01-01'", "timestamptz '2020-01-01'"),
        ("date '2020-01-01' + 1", "date '2020-01-01' + 1"),
        ("numeric '5'", "'5'::numeric"),
        ("CURRENT_TIMESTAMP > now()", "now() > now()"),
        ("e'a\\'b' = $$c$$", "'a''b' = 'c'"),
        ("\"Gender\" = \"select\"", "\"Gender\" = \"select\""),
        ("城市='上海'", "城市 = '上海'"),
        ("\"a\"\"b\" = 1", "\"a\"\"b\" = 1"),
        ("case a when 1 then 'x' end = 'x'", "CASE a WHEN 1 THEN 'x' END = 'x'"),
        ("case when a=1 then 2 else 3 end", "CASE WHEN a = 1 THEN 2 ELSE 3 END"),
        ("extract(DOW from a)", "extract(dow FROM a)"),
        ("extract('year' from a)", "extract(year FROM a)"),
        ("Count(view)>0", "count(view) > 0"),
        ("count(distinct view.sku)", "count(DISTINCT view.sku)"),
        ("count(\"Order Completed\".\"at\")", "count(\"Order Completed\".\"at\")"),
        ("max(view.at)", "max(view.at)"),
        (
            "sum(purchase.amount) filter (where category in ('a','b') and at>=now()-interval '30 days') > 300",
            "sum(purchase.amount) FILTER (WHERE category IN ('a', 'b') AND at >= now() - interval '30 days') > 300",
        ),
        (
            "did(view, category => 'shoes', within => '30 days')",
            "count(view) FILTER (WHERE category = 'shoes' AND at >= now() - interval '30 days') > 0",
        ),
        ("did(view)", "count(view) > 0"),
        (
            "did(view, since => timestamptz '2020-01-01', until => '2020-02-01')",
            "count(view) FILTER (WHERE at >= timestamptz '2020-01-01' AND at < '2020-02-01') > 0",
        ),
        ("in_segment('vip') -- the best\n", "in_segment('vip')"),
        ("Has_Identifier('email')", "has_identifier('email')"),
        ("days_to_anniversary(a) <= 7", "days_to_anniversary(a) <= 7"),
        (
            "Sequence(View, NOT (purchase), within=>'2 hours', by=>Sku)",
            "sequence(view, NOT purchase, within => interval '2 hours', by => sku)",
        ),
        (
            "sequence(view(category => 'shoes', within => '1 day') filter (where sku = 'a' and at < now()), \"Order Completed\"() filter (where true))",
            "sequence(view() FILTER (WHERE category = 'shoes' AND at >= now() - interval '1 day' AND sku = 'a' AND at < now()), \
             \"Order Completed\"() FILTER (WHERE true))",
        ),
        ("sequence(return, by => \"at\")", "sequence(return, by => \"at\")"),
        (
            "count(return)::numeric / nullif(count(purchase), 0) > 0.2",
            "count(return)::numeric / nullif(count(purchase), 0) > 0.2",
        ),
        ("/* a */ true /* b /* c */ */", "true"),
        (".5 + 1. + 1e3", ".5 + 1. + 1e3"),
        ("5.::bigint", "5.::bigint"),
        ("coalesce(a, nullif(b, 0), least(1,2), greatest(3))", "coalesce(a, nullif(b, 0), least(1, 2), greatest(3))"),
    ] {
        same(text, canonical);
    }
}

/// Gives the names `x` and `x1` of a tree another name.
fn rename(e: &mut Expr, to: &str) {
    match &mut e.node {
        Node::Attribute(n) | Node::Property(n) if n == "x" => *n = to.to_owned(),
        Node::Aggregate(a) => {
            a.event = to.to_owned();
            if let Argument::Property(n) = &mut a.argument {
                *n = to.to_owned();
            }
        }
        Node::Sequence(s) => {
            s.steps.iter_mut().for_each(|step| step.event = to.to_owned());
            s.by = Some(to.to_owned());
        }
        _ => {}
    }
    walk::children_mut(e).into_iter().for_each(|c| rename(c, to));
}

/// Every word sqlparser knows can be the name of an attribute, an event and a property, in every place of the grammar.
#[test]
fn keywords_are_names() {
    for word in sqlparser::keywords::ALL_KEYWORDS {
        let name = word.to_ascii_lowercase();
        for text in [
            "x",
            "x = 'x'",
            "'x' = x",
            "NOT x",
            "-x",
            "(x)",
            "x - x",
            "x IN (x, 'x')",
            "x BETWEEN x AND x",
            "x LIKE x",
            "x = ANY (x)",
            "x IS NULL",
            "x AND x OR x",
            "x::text",
            "lower(x)",
            "coalesce(x, x)",
            "extract(year FROM x)",
            "CASE x WHEN x THEN x ELSE x END",
            "CASE WHEN x THEN x END",
            "x + interval '1 day' > x",
            "count(x)",
            "sequence(x, NOT x() FILTER (WHERE x), by => x)",
            "count(DISTINCT x.x)",
            "sum(x.x) FILTER (WHERE x = x) > x",
            "x IS NOT TRUE AND NOT x",
        ] {
            let mut tree = bare(parse(text).unwrap());
            rename(&mut tree, &name);
            let text = print(&tree);
            assert_eq!(parse(&text).map(bare), Ok(tree), "{text}");
        }
    }
}

fn leaf(event: bool) -> BoxedStrategy<Node> {
    let name = prop_oneof![
        4 => "[a-z_][a-z0-9_]{0,6}",
        1 => "[a-zA-Z0-9 '\"\\\\一-龥.]{1,6}",
        1 => prop::sample::select(vec!["at", "select", "date", "interval", "case", "current_date", "now", "城市", "É"]).prop_map(str::to_owned),
    ];
    let text = prop_oneof!["[a-z0-9 %_'\"\\\\-]{0,8}", "\\PC{0,6}"];
    let number = prop_oneof!["[0-9]{1,12}", "[0-9]{1,6}\\.[0-9]{0,4}", "\\.[0-9]{1,4}", "[0-9]{1,3}e[+-]?[0-9]{1,2}"];
    let common = prop_oneof![
        Just(Node::Null),
        any::<bool>().prop_map(Node::Boolean),
        number.prop_map(Node::Number),
        text.prop_map(Node::Text),
        Just(Node::Now),
        Just(Node::CurrentDate),
    ];
    if event {
        prop_oneof![2 => common, 1 => Just(Node::EventTime), 3 => name.prop_map(Node::Property)].boxed()
    } else {
        prop_oneof![
            2 => common,
            3 => name.clone().prop_map(Node::Attribute),
            1 => name.clone().prop_map(Node::InSegment),
            1 => name.prop_map(Node::HasIdentifier),
        ]
        .boxed()
    }
}

fn wrap(node: Node) -> Expr {
    Expr { node, ty: Type::Unknown, at: 0 }
}

fn concrete() -> impl Strategy<Value = Type> {
    prop::sample::select(vec![
        Type::Boolean,
        Type::Bigint,
        Type::Numeric,
        Type::Text,
        Type::Date,
        Type::Timestamptz,
        Type::Interval,
    ])
}

fn comparison() -> impl Strategy<Value = Comparison> {
    use Comparison::*;
    prop::sample::select(vec![Eq, NotEq, Lt, LtEq, Gt, GtEq])
}

fn operator() -> impl Strategy<Value = Operator> {
    use Operator::*;
    prop::sample::select(vec![Plus, Minus, Times, Divide])
}

fn flat(list: Vec<Expr>, and: bool) -> Expr {
    let mut terms = Vec::new();
    for e in list {
        match (e.node, and) {
            (Node::And(l), true) | (Node::Or(l), false) => terms.extend(l),
            (n, _) => terms.push(Expr { node: n, ..e }),
        }
    }
    wrap(if and { Node::And(terms) } else { Node::Or(terms) })
}

pub(crate) fn tree(event: bool) -> BoxedStrategy<Expr> {
    let start = prop_oneof![
        6 => leaf(event).prop_map(wrap),
        1 => ("[a-z0-9 :-]{0,12}", prop::sample::select(vec![Type::Date, Type::Timestamptz, Type::Interval]))
            .prop_map(|(t, ty)| Expr { node: Node::Text(t), ty, at: 0 }),
    ]
    .boxed();
    let start =
        if event {
            start
        } else {
            let name = || prop_oneof!["[a-z]{1,5}", "[A-Z 一-龥]{1,5}", Just("at".to_owned())];
            let aggregate = (
                prop::sample::select(vec![
                    AggregateFunction::Sum,
                    AggregateFunction::Avg,
                    AggregateFunction::First,
                    AggregateFunction::Last,
                    AggregateFunction::Count,
                    AggregateFunction::CountDistinct,
                    AggregateFunction::Min,
                    AggregateFunction::Max,
                ]),
                name(),
                0..3_u8,
                name(),
                prop::option::of(tree(true)),
            )
                .prop_map(|(function, event, kind, property, filter)| {
                    let argument = match (kind, function) {
                        (0, AggregateFunction::Count) => Argument::Rows,
                        (0, AggregateFunction::Min | AggregateFunction::Max) => Argument::Time,
                        _ => Argument::Property(property),
                    };
                    wrap(Node::Aggregate(Box::new(Aggregate { function, event, argument, filter })))
                });
            let step = (name(), prop::option::of(tree(true)), any::<bool>())
                .prop_map(|(event, filter, negated)| Step { event, filter, negated });
            let within = "[a-z0-9 :-]{0,12}".prop_map(|t| Expr { node: Node::Text(t), ty: Type::Interval, at: 0 });
            let sequence = (prop::collection::vec(step, 1..5), prop::option::of(within), prop::option::of(name()))
                .prop_map(|(mut steps, within, by)| {
                    steps[0].negated = false;
                    wrap(Node::Sequence(Box::new(Sequence { steps, within, by })))
                });
            prop_oneof![8 => start, 2 => aggregate, 1 => sequence].boxed()
        };
    start
        .prop_recursive(6, 60, 4, |inner| {
            let one = || inner.clone().prop_map(Box::new);
            let many = |n| prop::collection::vec(inner.clone(), n);
            let call = prop_oneof![
                (prop::sample::select(vec![Function::Coalesce, Function::Least, Function::Greatest]), many(1..4)),
                (prop::sample::select(vec![Function::NullIf, Function::DateTrunc]), many(2..3)),
                (
                    prop::sample::select(vec![
                        Function::Abs,
                        Function::Round,
                        Function::Lower,
                        Function::Upper,
                        Function::DaysToAnniversary,
                        Function::Cardinality,
                        Function::Extract("year".into()),
                        Function::Extract("dow".into()),
                        Function::Extract("epoch".into()),
                    ]),
                    many(1..2)
                ),
            ];
            prop_oneof![
                one().prop_map(|x| wrap(Node::Not(x))),
                one().prop_map(|x| wrap(Node::Negate(x))),
                many(2..5).prop_map(|l| flat(l, true)),
                many(2..5).prop_map(|l| flat(l, false)),
                (comparison(), one(), one()).prop_map(|(op, left, right)| wrap(Node::Compare { op, left, right })),
                (operator(), one(), one()).prop_map(|(op, left, right)| wrap(Node::Arithmetic { op, left, right })),
                (one(), many(1..4), any::<bool>()).prop_map(|(value, list, negated)| wrap(Node::In {
                    value,
                    list,
                    negated
                })),
                (one(), one(), one(), any::<bool>()).prop_map(|(value, low, high, negated)| wrap(Node::Between {
                    value,
                    low,
                    high,
                    negated
                })),
                (one(), one()).prop_map(|(value, set)| wrap(Node::Any { value, set })),
                (one(), any::<bool>()).prop_map(|(value, negated)| wrap(Node::IsNull { value, negated })),
                (one(), any::<bool>(), any::<bool>()).prop_map(|(value, truth, negated)| wrap(Node::IsBoolean {
                    value,
                    truth,
                    negated
                })),
                (one(), one(), any::<bool>(), any::<bool>()).prop_map(|(value, pattern, negated, ignore_case)| wrap(
                    Node::Like { value, pattern, negated, ignore_case }
                )),
                (
                    prop::option::of(one()),
                    prop::collection::vec((inner.clone(), inner.clone()), 1..3),
                    prop::option::of(one())
                )
                    .prop_map(|(operand, branches, otherwise)| wrap(Node::Case {
                        operand,
                        branches,
                        otherwise
                    })),
                (one(), concrete()).prop_map(|(value, to)| wrap(Node::Cast { value, to })),
                call.prop_map(|(function, arguments)| wrap(Node::Call { function, arguments })),
            ]
        })
        .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn print_then_parse_is_identity(e in tree(false)) {
        let text = print(&e);
        let limits = Limits { nesting: 200, depth: 200, ..Limits::default() };
        let again = parse_with(&text, &limits);
        prop_assert_eq!(again.map(bare), Ok(bare(e)), "{}", text);
    }
}
