//! Types of `+ - * /` and of casts, as in PostgreSQL's operator table.

use super::{Checker, literal, operand};
use crate::expr::ast::{Expr, Node, Operator, Position, Type};
use crate::expr::error::{ExprError, Kind};
use crate::expr::print::type_name;

pub(super) fn no_operator(at: Position, what: &str) -> ExprError {
    ExprError::new(Kind::TypeMismatch, at, format!("operator does not exist: {what}"))
        .with_hint("cast the operands to types that fit")
}

impl Checker<'_> {
    /// The type of `left op right`, both already visited.
    pub(super) fn arithmetic(
        &self,
        op: Operator,
        left: &mut Expr,
        right: &mut Expr,
        at: Position,
    ) -> Result<Type, ExprError> {
        use Operator::{Divide, Minus, Plus, Times};
        use Type::{Bigint, Date, Interval, Numeric, Timestamptz, Unknown};
        let sign = match op {
            Plus => "+",
            Minus => "-",
            Times => "*",
            Divide => "/",
        };
        // PostgreSQL reads a literal beside an operator as the type of the other side when there is such an operator.
        match (left.ty, op, right.ty) {
            (Bigint | Numeric, _, Unknown) => self.settle(right, left.ty)?,
            (Unknown, _, Bigint | Numeric) => self.settle(left, right.ty)?,
            (Date | Timestamptz, Minus, Unknown) => {
                if looks_like_interval(right) {
                    return Err(forgotten_interval(left, sign, right));
                }
                self.settle(right, left.ty)?;
            }
            (Unknown, Minus, Date | Timestamptz) => self.settle(left, right.ty)?,
            (Timestamptz, Plus, Unknown) => self.settle(right, Interval)?,
            (Unknown, Plus, Timestamptz) => self.settle(left, Interval)?,
            (Interval, Plus | Minus, Unknown) => self.settle(right, Interval)?,
            (Unknown, Plus | Minus, Interval) => self.settle(left, Interval)?,
            (Interval, Times | Divide, Unknown) => self.settle(right, Numeric)?,
            (Unknown, Times, Interval) => self.settle(left, Numeric)?,
            (Date, Plus, Unknown) if looks_like_interval(right) => {
                return Err(forgotten_interval(left, sign, right));
            }
            (Unknown, _, _) | (_, _, Unknown) => {
                return Err(ExprError::new(
                    Kind::Ambiguous,
                    at,
                    format!("operator is not unique: {} {sign} {}", type_name(left.ty), type_name(right.ty)),
                )
                .with_hint("write the type of the literal, for example interval '1 day' or 5 without quotes"));
            }
            _ => {}
        }
        Ok(match (left.ty, op, right.ty) {
            (Bigint, _, Bigint) => Bigint,
            (Bigint | Numeric, _, Bigint | Numeric) => Numeric,
            (Date, Minus, Date) => Bigint,
            (Date, Plus | Minus, Bigint) | (Bigint, Plus, Date) => Date,
            (Timestamptz | Date, Minus, Timestamptz | Date) => Interval,
            (Timestamptz, Plus | Minus, Interval) | (Interval, Plus, Timestamptz) => Timestamptz,
            (Interval, Plus | Minus, Interval) => Interval,
            (Interval, Times | Divide, Bigint | Numeric) | (Bigint | Numeric, Times, Interval) => Interval,
            (Date, Plus | Minus, Interval) | (Interval, Plus, Date) => {
                let date = if left.ty == Date { left } else { right };
                return Err(ExprError::new(
                    Kind::NotSupported,
                    date.at,
                    format!("date {sign} interval is a timestamp without time zone, which expressions do not have"),
                )
                .with_hint(format!(
                    "cast the date: {}::timestamptz {sign} interval '…', or add days: {} {sign} 30",
                    operand(date),
                    operand(date)
                )));
            }
            (a, _, b) => {
                return Err(no_operator(at, &format!("{} {sign} {}", type_name(a), type_name(b))));
            }
        })
    }

    /// Checks `value::to`; a literal without a type becomes the literal of that type.
    pub(super) fn cast(&self, value: &mut Expr, to: Type, at: Position) -> Result<Option<Expr>, ExprError> {
        use Type::{Bigint, Boolean, Date, Interval, Numeric, Text, Timestamptz, Unknown};
        if value.ty == Unknown {
            let literal = value.node.clone();
            if let (Node::Text(text), Date | Timestamptz | Interval) = (&literal, to) {
                literal::plausible(text, to, at)?;
                return Ok(Some(Expr { node: literal, ty: to, at }));
            }
            // Read for its errors; the cast stays, so that '5'::numeric stays a numeric.
            let mut read = Expr { node: literal, ty: Unknown, at: value.at };
            self.settle(&mut read, to)?;
            value.ty = if value.node == Node::Null { to } else { Text };
            return Ok(None);
        }
        let fits = match (value.ty, to) {
            (a, b) if a == b => true,
            (Text, _) | (_, Text) => true,
            (Bigint | Numeric, Bigint | Numeric) => true,
            (Boolean, Bigint) | (Bigint, Boolean) => true,
            (Date | Timestamptz, Date | Timestamptz) => true,
            _ => false,
        };
        if fits {
            return Ok(None);
        }
        Err(ExprError::new(
            Kind::TypeMismatch,
            at,
            format!("cannot cast type {} to {}", type_name(value.ty), type_name(to)),
        ))
    }
}

/// `now() - '30 days'`: PostgreSQL reads the literal as a moment and fails; say what was meant.
fn looks_like_interval(x: &Expr) -> bool {
    const UNITS: &[&str] = &["sec", "min", "hour", "day", "week", "mon", "year", "quarter"];
    match &x.node {
        Node::Text(t) => {
            let lower = t.to_ascii_lowercase();
            lower.bytes().any(|c| c.is_ascii_digit()) && UNITS.iter().any(|u| lower.contains(u))
        }
        _ => false,
    }
}

fn forgotten_interval(left: &Expr, sign: &str, x: &Expr) -> ExprError {
    let text = match &x.node {
        Node::Text(t) => t.as_str(),
        _ => "",
    };
    let error = ExprError::new(
        Kind::InvalidValue,
        x.at,
        format!("invalid input syntax for type {}: \"{text}\"", type_name(left.ty)),
    )
    .with_word(text);
    if left.ty == Type::Date {
        error.with_hint(format!(
            "add days as a number: {} {sign} 30, or cast: {}::timestamptz {sign} interval '{text}'",
            operand(left),
            operand(left)
        ))
    } else {
        error.with_hint(format!("write interval '{text}'"))
    }
}
