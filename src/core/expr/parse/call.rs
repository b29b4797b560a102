//! Calls: scalar functions, aggregates over events, and words of our own: `did`, `in_segment`, `has_identifier` (and
//! `sequence`, which has a file of its own).

use sqlparser::ast::{
    DuplicateTreatment, Expr as Sql, Function as SqlFunction, FunctionArg, FunctionArgExpr, FunctionArgOperator,
    FunctionArguments, Ident,
};

use super::convert::{At, Converter, Scope, name, node};
use crate::expr::ast::{
    Aggregate, AggregateFunction, Argument, Comparison, Expr, Function, Node, Operator, Position, Type,
};
use crate::expr::error::{ExprError, Kind, nearest};

/// Every function of the language, for suggestions.
const FUNCTIONS: &[&str] = &[
    "abs",
    "avg",
    "cardinality",
    "coalesce",
    "count",
    "date_trunc",
    "days_to_anniversary",
    "did",
    "extract",
    "first",
    "greatest",
    "has_identifier",
    "in_segment",
    "last",
    "least",
    "lower",
    "max",
    "min",
    "now",
    "nullif",
    "round",
    "sequence",
    "sum",
    "upper",
];

/// The error for a function there is none of.
pub(super) fn unknown_function(word: &str, place: Position) -> ExprError {
    let error =
        ExprError::new(Kind::UnknownFunction, place, format!("function \"{word}\" does not exist in expressions"))
            .with_word(word);
    match nearest(word, FUNCTIONS.iter().map(|f| (*f).to_owned())) {
        Some(known) => error.with_hint(format!("did you mean \"{known}\"?")),
        None => error.with_hint(format!("the functions are {}", FUNCTIONS.join(", "))),
    }
}

/// An argument list with everything unusual refused.
pub(super) struct Arguments<'t> {
    distinct: bool,
    pub(super) list: &'t [FunctionArg],
}

impl Converter<'_> {
    pub(super) fn call(&self, f: &SqlFunction, place: Position, at: At) -> Result<Expr, ExprError> {
        let word = match f.name.0.as_slice() {
            [part] => part.as_ident().map(name).unwrap_or_default(),
            _ => return Err(unknown_function(&f.name.to_string(), place)),
        };
        if f.over.is_some() {
            let over = self.words.after(place, "over");
            return Err(self
                .unsupported(over, "a window function")
                .with_hint("leave OVER out: an aggregate is over the events of one person"));
        }
        if !f.within_group.is_empty() {
            let within = self.words.after(place, "within");
            return Err(self.unsupported(within, "WITHIN GROUP"));
        }
        if f.null_treatment.is_some() || f.uses_odbc_syntax || !matches!(f.parameters, FunctionArguments::None) {
            return Err(self.unsupported(place, "this form of call"));
        }
        let constant = |n| Ok(node(n, place));
        let arguments = match &f.args {
            FunctionArguments::List(list) => {
                if !list.clauses.is_empty() {
                    return Err(self.unsupported(place, "a clause inside the arguments"));
                }
                Arguments { distinct: list.duplicate_treatment == Some(DuplicateTreatment::Distinct), list: &list.args }
            }
            FunctionArguments::None if f.filter.is_none() => {
                return match word.as_str() {
                    "current_date" => constant(Node::CurrentDate),
                    "current_timestamp" => constant(Node::Now),
                    _ => Err(unknown_function(&word, place).with_hint("use now() or current_date")),
                };
            }
            _ => return Err(self.unsupported(place, "this form of call")),
        };
        if let Some(function) = aggregate_named(&word) {
            return self.aggregate(function, &word, &arguments, f.filter.as_deref(), place, at);
        }
        if f.filter.is_some() {
            let error = ExprError::new(
                Kind::Syntax,
                self.words.after(place, "filter"),
                format!("FILTER specified, but \"{word}\" is not an aggregate"),
            );
            return Err(error
                .with_word("FILTER")
                .with_hint("the aggregates are count, sum, avg, min, max, first, last"));
        }
        if arguments.distinct {
            return Err(ExprError::new(
                Kind::Syntax,
                self.words.after(place, "distinct"),
                format!("DISTINCT specified, but \"{word}\" is not an aggregate"),
            )
            .with_word("DISTINCT"));
        }
        match word.as_str() {
            "now" => {
                self.count(&word, &arguments, 0, 0, place)?;
                constant(Node::Now)
            }
            "in_segment" => self.in_segment(&arguments, place, at),
            "has_identifier" => self.has_identifier(&arguments, place, at),
            "did" => self.did(&arguments, place, at),
            "sequence" => self.sequence(&arguments, place, at),
            "consented" => {
                Err(ExprError::new(Kind::NotSupported, place, format!("function \"{word}\" is not available yet"))
                    .with_word(word))
            }
            _ => self.scalar(&word, &arguments, place, at),
        }
    }

    fn scalar(&self, word: &str, arguments: &Arguments<'_>, place: Position, at: At) -> Result<Expr, ExprError> {
        let (function, least, most) = function(word).ok_or_else(|| unknown_function(word, place))?;
        self.count(word, arguments, least, most, place)?;
        let list = arguments.list.iter().map(|a| self.unnamed(a, word, place)).collect::<Result<Vec<_>, _>>()?;
        Ok(node(Node::Call { function, arguments: self.all(list, at)? }, place))
    }

    fn count(
        &self,
        word: &str,
        arguments: &Arguments<'_>,
        least: usize,
        most: usize,
        place: Position,
    ) -> Result<(), ExprError> {
        let given = arguments.list.len();
        if (least..=most).contains(&given) {
            return Ok(());
        }
        let wanted = match (least, most) {
            (0, _) => "no argument".to_owned(),
            (1, 1) => "one argument".to_owned(),
            (2, 2) => "two arguments".to_owned(),
            (l, usize::MAX) => format!("at least {l} argument"),
            (l, m) => format!("{l} to {m} arguments"),
        };
        Err(ExprError::new(Kind::UnknownFunction, place, format!("function \"{word}\" takes {wanted}, not {given}"))
            .with_word(word)
            .with_hint(format!("give it {wanted}")))
    }

    fn unnamed<'t>(&self, argument: &'t FunctionArg, word: &str, place: Position) -> Result<&'t Sql, ExprError> {
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(x)) => Ok(x),
            FunctionArg::Unnamed(_) => Err(self
                .unsupported(self.words.after(place, "*"), "\"*\"")
                .with_hint(format!("name what {word} is over"))),
            FunctionArg::Named { .. } | FunctionArg::ExprNamed { .. } => Err(ExprError::new(
                Kind::UnknownFunction,
                place,
                format!("function \"{word}\" takes no named arguments"),
            )
            .with_word(word)),
        }
    }

    fn in_segment(&self, arguments: &Arguments<'_>, place: Position, at: At) -> Result<Expr, ExprError> {
        Ok(node(Node::InSegment(self.quoted_name("in_segment", "name", arguments, place, at)?), place))
    }

    fn has_identifier(&self, arguments: &Arguments<'_>, place: Position, at: At) -> Result<Expr, ExprError> {
        Ok(node(Node::HasIdentifier(self.quoted_name("has_identifier", "email", arguments, place, at)?), place))
    }

    /// The one argument of a function that takes a name.
    fn quoted_name(
        &self,
        word: &str,
        example: &str,
        arguments: &Arguments<'_>,
        place: Position,
        at: At,
    ) -> Result<String, ExprError> {
        self.count(word, arguments, 1, 1, place)?;
        if at.scope == Scope::Event {
            return Err(inside_filter(word, place));
        }
        let [argument] = arguments.list else {
            return Err(self.unsupported(place, "this form of call"));
        };
        let x = self.unnamed(argument, word, place)?;
        if let Node::Text(name) = self.expr(x, at.deeper())?.node {
            return Ok(name);
        }
        Err(ExprError::new(Kind::Syntax, self.start(x), format!("the argument of {word} must be a quoted name"))
            .with_hint(format!("write {word}('{example}')")))
    }

    fn aggregate(
        &self,
        function: AggregateFunction,
        word: &str,
        arguments: &Arguments<'_>,
        filter: Option<&Sql>,
        place: Position,
        at: At,
    ) -> Result<Expr, ExprError> {
        if at.scope == Scope::Event {
            return Err(inside_filter(word, place));
        }
        let distinct = arguments.distinct;
        if distinct && function != AggregateFunction::Count {
            return Err(self
                .unsupported(self.words.after(place, "distinct"), "DISTINCT here")
                .with_hint("only count(DISTINCT event.property)"));
        }
        let function = if distinct { AggregateFunction::CountDistinct } else { function };
        let (event, argument) = self.over(function, word, arguments, place)?;
        let filter = filter.map(|x| self.expr(x, At { scope: Scope::Event, ..at.deeper() })).transpose()?;
        Ok(node(Node::Aggregate(Box::new(Aggregate { function, event, argument, filter })), place))
    }

    /// `event`, `event.property` or `event.at`.
    fn over(
        &self,
        function: AggregateFunction,
        word: &str,
        arguments: &Arguments<'_>,
        place: Position,
    ) -> Result<(String, Argument), ExprError> {
        let counts = matches!(function, AggregateFunction::Count | AggregateFunction::CountDistinct);
        let usage = match function {
            AggregateFunction::Count => "write count(event) or count(event.property)".to_owned(),
            AggregateFunction::CountDistinct => "write count(DISTINCT event.property)".to_owned(),
            AggregateFunction::Min | AggregateFunction::Max => {
                format!("write {word}(event.property) or {word}(event.at)")
            }
            _ => format!("write {word}(event.property)"),
        };
        let wrong = |start, found: String| {
            ExprError::new(Kind::NotSupported, start, format!("aggregate \"{word}\" needs an event, not {found}"))
                .with_hint(usage.clone())
        };
        let [only] = arguments.list else {
            return Err(ExprError::new(
                Kind::UnknownFunction,
                place,
                format!("aggregate \"{word}\" takes one argument"),
            )
            .with_word(word)
            .with_hint(usage));
        };
        let x = match only {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(x)) => x,
            FunctionArg::Unnamed(_) => {
                return Err(wrong(self.words.after(place, "*"), "\"*\"".to_owned()).with_word("*"));
            }
            _ => return Err(wrong(place, "a named argument".to_owned()).with_word(word)),
        };
        let start = self.start(x);
        match x {
            Sql::Identifier(event) => {
                if function == AggregateFunction::Count {
                    Ok((self.named(event)?, Argument::Rows))
                } else {
                    Err(ExprError::new(
                        Kind::NotSupported,
                        start,
                        format!("aggregate \"{word}\" needs a property of the event"),
                    )
                    .with_word(event.value.clone())
                    .with_hint(usage))
                }
            }
            Sql::CompoundIdentifier(parts) => match parts.as_slice() {
                [event, property] => {
                    let event = self.named(event)?;
                    if name(property) != "at" || property.quote_style.is_some() {
                        return Ok((event, Argument::Property(self.named(property)?)));
                    }
                    match function {
                        AggregateFunction::Min | AggregateFunction::Max => Ok((event, Argument::Time)),
                        _ => Err(ExprError::new(
                            Kind::NotSupported,
                            start,
                            format!("aggregate \"{word}\" is not defined over the time of the event"),
                        )
                        .with_word("at")
                        .with_hint(if counts {
                            format!("write count({event})")
                        } else {
                            format!("write min({event}.at) or max({event}.at)")
                        })),
                    }
                }
                _ => Err(wrong(start, "a longer name".to_owned())),
            },
            _ => Err(wrong(start, "an expression".to_owned())),
        }
    }

    /// `did(view, category => 'shoes', within => '30 days')` is short for
    /// `count(view) FILTER (WHERE category = 'shoes' AND at >= now() - interval '30 days') > 0`.
    fn did(&self, arguments: &Arguments<'_>, place: Position, at: At) -> Result<Expr, ExprError> {
        const USAGE: &str = "write did(event, property => 'value', within => '30 days')";
        if at.scope == Scope::Event {
            return Err(inside_filter("did", place));
        }
        let wrong = |start, what: &str| ExprError::new(Kind::Syntax, start, what).with_hint(USAGE);
        let mut list = arguments.list.iter();
        let event = match list.next() {
            Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Sql::Identifier(event)))) => self.named(event)?,
            _ => {
                return Err(wrong(place, "the first argument of did must be an event").with_word("did"));
            }
        };
        let inside = At { scope: Scope::Event, depth: at.depth + 3 };
        let terms = self.terms("did", &event, list.as_slice(), USAGE, place, inside)?;
        let filter = together(terms, place);
        let count = Aggregate { function: AggregateFunction::Count, event, argument: Argument::Rows, filter };
        Ok(node(
            Node::Compare {
                op: Comparison::Gt,
                left: Box::new(node(Node::Aggregate(Box::new(count)), place)),
                right: Box::new(node(Node::Number("0".to_owned()), place)),
            },
            place,
        ))
    }

    /// The conditions that the named arguments of `did` or of a step stand for.
    pub(super) fn terms(
        &self,
        word: &str,
        event: &str,
        list: &[FunctionArg],
        usage: &str,
        place: Position,
        inside: At,
    ) -> Result<Vec<Expr>, ExprError> {
        let wrong = |start, what: &str| ExprError::new(Kind::Syntax, start, what).with_hint(usage);
        let mut seen: Vec<String> = Vec::new();
        let mut terms = Vec::new();
        for argument in list {
            let Some((key, value)) = named_argument(argument) else {
                let what = format!("the arguments of {word} after the event must be named");
                return Err(wrong(place, &what).with_word(word));
            };
            let start = super::tokens::column(key.span.start);
            let key = self.named(key)?;
            if seen.contains(&key) {
                return Err(ExprError::new(Kind::Syntax, start, format!("argument \"{key}\" used more than once"))
                    .with_word(key)
                    .with_hint("for several values write count(event) FILTER (WHERE property IN (…)) > 0"));
            }
            let from = self.start(value);
            let value = self.expr(value, inside)?;
            let boxed = |n| Box::new(node(n, start));
            let (left, op, right) = match key.as_str() {
                "within" => {
                    let Node::Text(_) = &value.node else {
                        return Err(wrong(from, "the value of within must be a quoted interval"));
                    };
                    let window = Box::new(Expr { ty: Type::Interval, ..value });
                    let since = Node::Arithmetic { op: Operator::Minus, left: boxed(Node::Now), right: window };
                    (Node::EventTime, Comparison::GtEq, boxed(since))
                }
                "since" => (Node::EventTime, Comparison::GtEq, Box::new(value)),
                "until" => (Node::EventTime, Comparison::Lt, Box::new(value)),
                _ if value.node == Node::Null => {
                    return Err(ExprError::new(Kind::Syntax, from, format!("\"{key}\" = NULL is never true"))
                        .with_word("NULL")
                        .with_hint(format!("write count({event}) FILTER (WHERE {key} IS NULL) > 0")));
                }
                _ => (Node::Property(key.clone()), Comparison::Eq, Box::new(value)),
            };
            seen.push(key);
            terms.push(node(Node::Compare { op, left: boxed(left), right }, start));
        }
        Ok(terms)
    }
}

/// The name and value of `name => value`.
pub(super) fn named_argument(argument: &FunctionArg) -> Option<(&Ident, &Sql)> {
    match argument {
        FunctionArg::Named {
            name: key,
            arg: FunctionArgExpr::Expr(value),
            operator: FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment,
        }
        | FunctionArg::ExprNamed {
            name: Sql::Identifier(key),
            arg: FunctionArgExpr::Expr(value),
            operator: FunctionArgOperator::RightArrow | FunctionArgOperator::Assignment,
        } => Some((key, value)),
        _ => None,
    }
}

/// Conditions that hold together; `None` for none.
pub(super) fn together(mut terms: Vec<Expr>, place: Position) -> Option<Expr> {
    match terms.len() {
        0 | 1 => terms.pop(),
        _ => Some(node(Node::And(terms), place)),
    }
}

fn aggregate_named(word: &str) -> Option<AggregateFunction> {
    Some(match word {
        "count" => AggregateFunction::Count,
        "sum" => AggregateFunction::Sum,
        "avg" => AggregateFunction::Avg,
        "min" => AggregateFunction::Min,
        "max" => AggregateFunction::Max,
        "first" => AggregateFunction::First,
        "last" => AggregateFunction::Last,
        _ => return None,
    })
}

pub(super) fn inside_filter(word: &str, place: Position) -> ExprError {
    ExprError::new(Kind::NotSupported, place, format!("\"{word}\" cannot be used inside FILTER"))
        .with_word(word)
        .with_hint(
            "inside FILTER there are only properties of the event and its time, at; join conditions outside with AND",
        )
}

/// A scalar function and the fewest and the most arguments it takes.
pub(in crate::expr) fn function(word: &str) -> Option<(Function, usize, usize)> {
    Some(match word {
        "coalesce" => (Function::Coalesce, 1, usize::MAX),
        "nullif" => (Function::NullIf, 2, 2),
        "least" => (Function::Least, 1, usize::MAX),
        "greatest" => (Function::Greatest, 1, usize::MAX),
        "abs" => (Function::Abs, 1, 1),
        "round" => (Function::Round, 1, 2),
        "lower" => (Function::Lower, 1, 1),
        "upper" => (Function::Upper, 1, 1),
        "cardinality" => (Function::Cardinality, 1, 1),
        "date_trunc" => (Function::DateTrunc, 2, 2),
        "days_to_anniversary" => (Function::DaysToAnniversary, 1, 1),
        _ => return None,
    })
}
