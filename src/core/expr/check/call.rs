//! Types of functions and aggregates.

use super::{Checker, operand};
use crate::expr::ast::{Aggregate, AggregateFunction, Argument, Expr, Function, Node, Position, Sequence, Type};
use crate::expr::error::{ExprError, Kind, nearest};
use crate::expr::print::{aggregate_name, function_name, type_name};

const TRUNCATE: &[&str] = &[
    "microseconds",
    "milliseconds",
    "second",
    "minute",
    "hour",
    "day",
    "week",
    "month",
    "quarter",
    "year",
    "decade",
    "century",
    "millennium",
];
const DAY_FIELDS: &[&str] = &[
    "century",
    "day",
    "decade",
    "dow",
    "doy",
    "epoch",
    "isodow",
    "isoyear",
    "julian",
    "millennium",
    "month",
    "quarter",
    "week",
    "year",
];
const MOMENT_FIELDS: &[&str] = &[
    "century",
    "day",
    "decade",
    "dow",
    "doy",
    "epoch",
    "hour",
    "isodow",
    "isoyear",
    "julian",
    "microseconds",
    "millennium",
    "milliseconds",
    "minute",
    "month",
    "quarter",
    "second",
    "timezone",
    "timezone_hour",
    "timezone_minute",
    "week",
    "year",
];
const INTERVAL_FIELDS: &[&str] = &[
    "century",
    "day",
    "decade",
    "epoch",
    "hour",
    "microseconds",
    "millennium",
    "milliseconds",
    "minute",
    "month",
    "quarter",
    "second",
    "year",
];

impl Checker<'_> {
    /// The type of a call whose arguments have been visited.
    pub(super) fn call(&self, function: &Function, arguments: &mut [Expr], at: Position) -> Result<Type, ExprError> {
        let word = function_name(function);
        match (function, &mut *arguments) {
            (Function::Coalesce | Function::Least | Function::Greatest, [_, ..]) => {
                let mut all: Vec<&mut Expr> = arguments.iter_mut().collect();
                self.common(&mut all, &word.to_ascii_uppercase())
            }
            (Function::NullIf, [a, b]) => {
                self.comparable(a, b, "=")?;
                // What comes back is the left side as it was compared: PostgreSQL compares a date with a timestamptz
                // as it is, but a bigint with a numeric as a numeric.
                Ok(match (a.ty, b.ty) {
                    (Type::Bigint, Type::Numeric) => Type::Numeric,
                    (ty, _) => ty,
                })
            }
            (Function::Abs, [x]) => {
                self.number(x, word)?;
                Ok(x.ty)
            }
            (Function::Round, [x]) => {
                self.number(x, word)?;
                Ok(Type::Numeric)
            }
            (Function::Round, [x, digits]) => {
                self.number(x, word)?;
                self.settle(digits, Type::Bigint)?;
                let places = match &digits.node {
                    Node::Number(n) => n.parse::<i32>().ok(),
                    Node::Negate(n) => match &n.node {
                        Node::Number(n) => n.parse::<i32>().ok(),
                        _ => None,
                    },
                    _ => None,
                };
                // PostgreSQL clamps to its own bound; beyond ours nothing is meant.
                if places.is_none_or(|n| n > 1000) {
                    return Err(ExprError::new(
                        Kind::NotSupported,
                        digits.at,
                        "the second argument of round must be a whole number up to 1000, written as a literal",
                    )
                    .with_hint("write for example round(x, 2)"));
                }
                Ok(Type::Numeric)
            }
            (Function::Lower | Function::Upper, [x]) => {
                self.settle(x, Type::Text)?;
                if x.ty == Type::Text {
                    Ok(Type::Text)
                } else {
                    Err(no_function(word, x).with_hint(format!("cast it: {}::text", operand(x))))
                }
            }
            (Function::Cardinality, [x]) => {
                if x.ty == Type::TextSet {
                    Ok(Type::Bigint)
                } else {
                    Err(no_function(word, x).with_hint("it needs an attribute of type text[]"))
                }
            }
            (Function::DateTrunc, [field, x]) => {
                self.settle(field, Type::Text)?;
                let Node::Text(name) = &field.node else {
                    return Err(ExprError::new(
                        Kind::NotSupported,
                        field.at,
                        "the first argument of date_trunc must be a quoted field",
                    )
                    .with_hint("write for example date_trunc('month', x)"));
                };
                known_field(name, TRUNCATE, field.at, "date_trunc")?;
                self.settle(x, Type::Timestamptz)?;
                match x.ty {
                    Type::Date | Type::Timestamptz => Ok(Type::Timestamptz),
                    _ => Err(no_function(word, x).with_hint("it needs a timestamptz or a date")),
                }
            }
            (Function::DaysToAnniversary, [x]) => {
                self.settle(x, Type::Date)?;
                match x.ty {
                    Type::Date | Type::Timestamptz => Ok(Type::Bigint),
                    _ => Err(no_function(word, x).with_hint("it needs a date or a timestamptz")),
                }
            }
            (Function::Extract(field), [x]) => {
                let fields = match x.ty {
                    Type::Date => DAY_FIELDS,
                    Type::Timestamptz => MOMENT_FIELDS,
                    Type::Interval => INTERVAL_FIELDS,
                    Type::Unknown => {
                        return Err(ExprError::new(Kind::Ambiguous, x.at, "function extract(unknown) is not unique")
                            .with_hint("write the type of the literal, for example date '2017-12-01'"));
                    }
                    _ => {
                        return Err(no_function(word, x).with_hint("it needs a date, timestamptz or interval"));
                    }
                };
                known_field(field, fields, at, &format!("extract from {}", type_name(x.ty)))?;
                Ok(Type::Numeric)
            }
            _ => Err(ExprError::new(
                Kind::UnknownFunction,
                at,
                format!("function \"{word}\" does not take {} arguments", arguments.len()),
            )
            .with_word(word)),
        }
    }

    fn number(&self, x: &Expr, word: &str) -> Result<(), ExprError> {
        if x.ty == Type::Unknown {
            // PostgreSQL would take double precision, a type expressions do not have.
            return Err(ExprError::new(Kind::Ambiguous, x.at, format!("function {word}(unknown) is not unique"))
                .with_word(word)
                .with_hint("write the number without quotes"));
        }
        if matches!(x.ty, Type::Bigint | Type::Numeric) {
            Ok(())
        } else {
            Err(no_function(word, x).with_hint("it needs a number"))
        }
    }

    /// The type of an aggregate; visits its FILTER.
    pub(super) fn aggregate(&self, a: &mut Aggregate, at: Position) -> Result<Type, ExprError> {
        let word = aggregate_name(a.function);
        if self.event.is_some() {
            return Err(ExprError::new(Kind::NotSupported, at, format!("\"{word}\" cannot be used inside FILTER"))
                .with_word(word));
        }
        self.event(&a.event, at)?;
        let over = match &a.argument {
            Argument::Rows => None,
            Argument::Time => Some(Type::Timestamptz),
            Argument::Property(name) => Some(self.property(&a.event, name, at)?),
        };
        let wrong = |ty: Type, hint: &str| {
            ExprError::new(Kind::TypeMismatch, at, format!("function {word}({}) does not exist", type_name(ty)))
                .with_word(word)
                .with_hint(hint)
        };
        let ty = match (a.function, over) {
            (AggregateFunction::Count, None) => Type::Bigint,
            (AggregateFunction::Count | AggregateFunction::CountDistinct, Some(_)) if a.argument != Argument::Time => {
                Type::Bigint
            }
            (AggregateFunction::Sum | AggregateFunction::Avg, Some(Type::Bigint | Type::Numeric)) => Type::Numeric,
            (AggregateFunction::Sum | AggregateFunction::Avg, Some(ty)) => {
                return Err(wrong(ty, "it needs a number; use count, min, max, first or last"));
            }
            (AggregateFunction::Min | AggregateFunction::Max, Some(Type::Boolean)) => {
                return Err(wrong(Type::Boolean, "use count with FILTER (WHERE …), first or last"));
            }
            (AggregateFunction::Min | AggregateFunction::Max, Some(ty)) => ty,
            (AggregateFunction::First | AggregateFunction::Last, Some(ty)) if a.argument != Argument::Time => ty,
            _ => {
                return Err(ExprError::new(
                    Kind::NotSupported,
                    at,
                    format!("aggregate \"{word}\" needs a property of the event"),
                )
                .with_word(word));
            }
        };
        if let Some(filter) = &mut a.filter {
            let inside = Checker { catalog: self.catalog, event: Some(&a.event) };
            inside.condition(filter, "FILTER")?;
        }
        Ok(ty)
    }

    /// Checks the steps of a sequence, which is true or false and never NULL.
    pub(super) fn sequence(&self, s: &mut Sequence, at: Position) -> Result<Type, ExprError> {
        if self.event.is_some() {
            return Err(ExprError::new(Kind::NotSupported, at, "\"sequence\" cannot be used inside FILTER")
                .with_word("sequence"));
        }
        if s.steps.first().is_none_or(|first| first.negated) {
            return Err(ExprError::new(Kind::NotSupported, at, "the first step of a sequence cannot be NOT")
                .with_word("sequence")
                .with_hint("begin with an event that happened"));
        }
        for step in &mut s.steps {
            self.event(&step.event, at)?;
            if let Some(filter) = &mut step.filter {
                let inside = Checker { catalog: self.catalog, event: Some(&step.event) };
                inside.condition(filter, "FILTER")?;
            }
        }
        if let Some(within) = &mut s.within {
            let literal = matches!((&within.node, within.ty), (Node::Text(_), Type::Interval));
            if !literal {
                return Err(ExprError::new(Kind::Syntax, within.at, "the value of within must be a quoted interval"));
            }
            self.visit(within)?;
        }
        if let Some(by) = &s.by {
            let mut found: Option<(Type, &str)> = None;
            for step in &s.steps {
                let ty = self.property(&step.event, by, at)?;
                match found {
                    Some((other, event)) if other != ty => {
                        return Err(ExprError::new(
                            Kind::TypeMismatch,
                            at,
                            format!(
                                "property \"{by}\" is {} of \"{event}\" but {} of \"{}\"",
                                type_name(other),
                                type_name(ty),
                                step.event
                            ),
                        )
                        .with_word(by.clone())
                        .with_hint("the steps of a sequence are joined by a property of one type"));
                    }
                    Some(_) => {}
                    None => found = Some((ty, &step.event)),
                }
            }
        }
        Ok(Type::Boolean)
    }
}

fn no_function(word: &str, x: &Expr) -> ExprError {
    ExprError::new(Kind::TypeMismatch, x.at, format!("function {word}({}) does not exist", type_name(x.ty)))
        .with_word(word)
}

fn known_field(name: &str, fields: &[&str], at: Position, what: &str) -> Result<(), ExprError> {
    if fields.contains(&name) {
        return Ok(());
    }
    let error =
        ExprError::new(Kind::NotSupported, at, format!("field \"{name}\" is not known to {what}")).with_word(name);
    Err(match nearest(name, fields.iter().map(|f| (*f).to_owned())) {
        Some(known) => error.with_hint(format!("did you mean \"{known}\"?")),
        None => error.with_hint(format!("the fields are {}", fields.join(", "))),
    })
}
