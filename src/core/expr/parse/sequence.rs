//! `sequence(view, add_cart, NOT purchase, within => '2 hours', by => product_id)`.

use sqlparser::ast::{
    Expr as Sql, Function as SqlFunction, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator,
};

use super::call::{Arguments, inside_filter, named_argument, together};
use super::convert::{At, Converter, Scope, name, node};
use crate::expr::ast::{Expr, Node, Position, Sequence, Step, Type};
use crate::expr::error::{ExprError, Kind};

const USAGE: &str = "write sequence(view, purchase() FILTER (WHERE amount > 10), NOT refund, within => '2 hours')";

/// The most steps: each is one more pass over the events.
const MOST_STEPS: usize = 20;

fn wrong(start: Position, what: impl Into<String>) -> ExprError {
    ExprError::new(Kind::Syntax, start, what).with_hint(USAGE)
}

impl Converter<'_> {
    pub(super) fn sequence(&self, arguments: &Arguments<'_>, place: Position, at: At) -> Result<Expr, ExprError> {
        if at.scope == Scope::Event {
            return Err(inside_filter("sequence", place));
        }
        let mut sequence = Sequence { steps: Vec::new(), within: None, by: None };
        for argument in arguments.list {
            if let FunctionArg::Unnamed(FunctionArgExpr::Expr(x)) = argument {
                if sequence.within.is_some() || sequence.by.is_some() {
                    return Err(wrong(self.start(x), "steps come before within and by"));
                }
                if sequence.steps.len() == MOST_STEPS {
                    return Err(ExprError::new(
                        Kind::TooComplex,
                        self.start(x),
                        format!("a sequence has at most {MOST_STEPS} steps"),
                    )
                    .with_hint("make tags or segments of its parts and combine those"));
                }
                sequence.steps.push(self.step(x, at)?);
            } else {
                self.option(argument, &mut sequence, place, at)?;
            }
        }
        match sequence.steps.first() {
            None => return Err(wrong(place, "a sequence needs a step").with_word("sequence")),
            Some(first) if first.negated => {
                return Err(ExprError::new(
                    Kind::NotSupported,
                    self.words.after(place, "not"),
                    "the first step of a sequence cannot be NOT",
                )
                .with_word("NOT")
                .with_hint("begin with an event that happened; NOT says what did not happen after it"));
            }
            Some(_) => {}
        }
        Ok(node(Node::Sequence(Box::new(sequence)), place))
    }

    /// `event`, `event(property => value)`, `event() FILTER (WHERE …)`, each with NOT or without.
    fn step(&self, x: &Sql, at: At) -> Result<Step, ExprError> {
        let (mut x, mut negated) = (x, false);
        loop {
            x = match x {
                Sql::Nested(inner) => inner,
                Sql::UnaryOp { op: UnaryOperator::Not, expr } if !negated => {
                    negated = true;
                    expr
                }
                _ => break,
            };
        }
        match x {
            Sql::Identifier(event) => Ok(Step { event: self.named(event)?, filter: None, negated }),
            Sql::Function(f) => self.filtered(f, self.start(x), negated, at),
            _ => Err(wrong(self.start(x), "a step of a sequence must be an event")),
        }
    }

    fn filtered(&self, f: &SqlFunction, place: Position, negated: bool, at: At) -> Result<Step, ExprError> {
        let [part] = f.name.0.as_slice() else {
            return Err(wrong(place, "a step of a sequence must be an event"));
        };
        let event = part.as_ident().map(|ident| self.named(ident)).transpose()?.unwrap_or_default();
        let plain = f.over.is_none()
            && f.within_group.is_empty()
            && f.null_treatment.is_none()
            && !f.uses_odbc_syntax
            && matches!(f.parameters, FunctionArguments::None);
        let FunctionArguments::List(list) = &f.args else {
            return Err(wrong(place, "a step of a sequence must be an event").with_word(event));
        };
        if !plain || !list.clauses.is_empty() || list.duplicate_treatment.is_some() {
            return Err(wrong(place, "a step of a sequence must be an event").with_word(event));
        }
        let inside = At { scope: Scope::Event, depth: at.depth + 3 };
        let mut terms = self.terms(&event, &event, &list.args, USAGE, place, inside)?;
        if let Some(filter) = f.filter.as_deref() {
            let filter = self.expr(filter, inside)?;
            match filter.node {
                Node::And(more) => terms.extend(more),
                n => terms.push(Expr { node: n, ..filter }),
            }
        }
        Ok(Step { event, filter: together(terms, place), negated })
    }

    /// `within => '2 hours'`, `by => property`.
    fn option(
        &self,
        argument: &FunctionArg,
        sequence: &mut Sequence,
        place: Position,
        at: At,
    ) -> Result<(), ExprError> {
        let Some((key, value)) = named_argument(argument) else {
            return Err(wrong(place, "a step of a sequence must be an event").with_word("sequence"));
        };
        let start = super::tokens::column(key.span.start);
        let key = name(key);
        let twice = || {
            ExprError::new(Kind::Syntax, start, format!("argument \"{key}\" used more than once"))
                .with_word(&key)
                .with_hint("give it once")
        };
        match key.as_str() {
            "within" => {
                if sequence.within.is_some() {
                    return Err(twice());
                }
                let within = self.expr(value, at.deeper())?;
                match (&within.node, within.ty) {
                    (Node::Text(_), Type::Unknown | Type::Interval) => {
                        sequence.within = Some(Expr { ty: Type::Interval, ..within });
                    }
                    _ => return Err(wrong(self.start(value), "the value of within must be a quoted interval")),
                }
            }
            "by" => {
                let Sql::Identifier(property) = value else {
                    return Err(wrong(self.start(value), "the value of by must be a property"));
                };
                if sequence.by.replace(self.named(property)?).is_some() {
                    return Err(twice());
                }
            }
            _ => {
                return Err(ExprError::new(Kind::Syntax, start, format!("a sequence has no argument \"{key}\""))
                    .with_word(&key)
                    .with_hint("its arguments are within and by; conditions on a step stand in its FILTER"));
            }
        }
        Ok(())
    }
}
