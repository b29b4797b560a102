//! sqlparser's tree to ours. Everything that is SQL but not part of the language ends here, named by its word.

use sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, DataType, DateTimeField, Expr as Sql, Ident, Interval, UnaryOperator, Value,
};

use super::Limits;
use super::place::discard;
use super::tokens::{Words, column};
use crate::expr::ast::{Comparison, Expr, Function, Node, Operator, Position, Type};
use crate::expr::error::{ExprError, Kind};

/// More digits or a larger exponent than this is no amount anybody means, and `1e130000` would cost PostgreSQL 50 kB.
const LONGEST_NUMBER: usize = 100;

/// What bare names mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Attributes of the profile.
    Profile,
    /// Inside FILTER: properties of the event, and `at`.
    Event,
}

/// Where the work stands: the scope, and how many levels of tree are above.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) scope: Scope,
    pub(super) depth: usize,
}

impl At {
    pub(super) fn deeper(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }
}

/// Takes sqlparser's tree by reference and lets it go at the end link by link.
pub(super) fn convert(tree: Sql, words: &Words<'_>, limits: &Limits) -> Result<Expr, ExprError> {
    let at = At { scope: Scope::Profile, depth: 0 };
    let result = Converter { words, limits }.expr(&tree, at);
    discard(tree);
    result
}

pub(super) struct Converter<'a> {
    pub(super) words: &'a Words<'a>,
    pub(super) limits: &'a Limits,
}

/// A node whose type is not known yet.
pub(super) fn node(node: Node, at: Position) -> Expr {
    Expr { node, ty: Type::Unknown, at }
}

/// A name as PostgreSQL folds it: ASCII letters to lower case unless it is quoted.
pub(super) fn name(ident: &Ident) -> String {
    match ident.quote_style {
        None => ident.value.to_ascii_lowercase(),
        Some(_) => ident.value.clone(),
    }
}

impl Converter<'_> {
    /// The one function that recurses. Each kind of node has its own function, so that a level of nesting costs the
    /// stack of that kind only.
    pub(super) fn expr(&self, tree: &Sql, at: At) -> Result<Expr, ExprError> {
        if at.depth > self.limits.depth {
            return Err(self.too_many(tree));
        }
        match tree {
            Sql::Nested(inner) => self.expr(inner, at),
            Sql::Function(f) => self.call(f, self.start(tree), at),
            Sql::BinaryOp { left, op, right } => self.binary(left, op, right, self.start(tree), at),
            Sql::TypedString(_) | Sql::Interval(_) => self.typed_literal(tree),
            _ => Ok(node(self.node(tree, at)?, self.start(tree))),
        }
    }

    fn node(&self, tree: &Sql, at: At) -> Result<Node, ExprError> {
        match tree {
            Sql::Identifier(ident) => self.bare(ident, at.scope),
            Sql::Value(value) => self.literal(&value.value, self.start(tree)),
            Sql::UnaryOp { op, expr } => self.unary(op, expr, self.start(tree), at),
            // IS UNKNOWN is IS NULL of a boolean.
            Sql::IsNull(x) | Sql::IsUnknown(x) => self.is_null(x, false, at),
            Sql::IsNotNull(x) | Sql::IsNotUnknown(x) => self.is_null(x, true, at),
            Sql::IsTrue(x) => self.is_boolean(x, true, false, at),
            Sql::IsNotTrue(x) => self.is_boolean(x, true, true, at),
            Sql::IsFalse(x) => self.is_boolean(x, false, false, at),
            Sql::IsNotFalse(x) => self.is_boolean(x, false, true, at),
            Sql::InList { expr, list, negated } => self.in_list(expr, list, *negated, at),
            Sql::Between { expr, negated, low, high } => self.between(expr, low, high, *negated, at),
            Sql::Like { negated, any: false, expr, pattern, escape_char: None } => {
                self.like(expr, pattern, *negated, false, at)
            }
            Sql::ILike { negated, any: false, expr, pattern, escape_char: None } => {
                self.like(expr, pattern, *negated, true, at)
            }
            Sql::AnyOp { left, compare_op: BinaryOperator::Eq, right, is_some: false } => self.any(left, right, at),
            // The same in three values.
            Sql::AllOp { left, compare_op: BinaryOperator::NotEq, right } => {
                let any = node(self.any(left, right, at.deeper())?, self.start(tree));
                Ok(Node::Not(Box::new(any)))
            }
            Sql::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), at)
            }
            Sql::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, format: None } => {
                self.cast(expr, data_type, at)
            }
            Sql::Extract { field, expr, .. } => self.extract(field, expr, at),
            _ => Err(self.not_supported(tree)),
        }
    }

    fn too_many(&self, tree: &Sql) -> ExprError {
        ExprError::new(
            Kind::TooComplex,
            self.start(tree),
            format!("more than {} operators inside each other", self.limits.depth),
        )
        .with_hint("split it into tags and combine those")
    }

    pub(super) fn boxed(&self, tree: &Sql, at: At) -> Result<Box<Expr>, ExprError> {
        self.expr(tree, at.deeper()).map(Box::new)
    }

    pub(super) fn all<'t>(&self, list: impl IntoIterator<Item = &'t Sql>, at: At) -> Result<Vec<Expr>, ExprError> {
        list.into_iter().map(|x| self.expr(x, at.deeper())).collect()
    }

    fn in_list(&self, value: &Sql, list: &[Sql], negated: bool, at: At) -> Result<Node, ExprError> {
        if list.is_empty() {
            let place = self.words.after(self.start(value), "in");
            return Err(
                ExprError::new(Kind::Syntax, place, "the list of IN is empty").with_hint("write at least one value")
            );
        }
        Ok(Node::In { value: self.boxed(value, at)?, list: self.all(list, at)?, negated })
    }

    fn any(&self, value: &Sql, set: &Sql, at: At) -> Result<Node, ExprError> {
        Ok(Node::Any { value: self.boxed(value, at)?, set: self.boxed(set, at)? })
    }

    fn between(&self, value: &Sql, low: &Sql, high: &Sql, negated: bool, at: At) -> Result<Node, ExprError> {
        Ok(Node::Between {
            value: self.boxed(value, at)?,
            low: self.boxed(low, at)?,
            high: self.boxed(high, at)?,
            negated,
        })
    }

    fn case(
        &self,
        operand: Option<&Sql>,
        conditions: &[CaseWhen],
        otherwise: Option<&Sql>,
        at: At,
    ) -> Result<Node, ExprError> {
        let operand = operand.map(|x| self.boxed(x, at)).transpose()?;
        let mut branches = Vec::with_capacity(conditions.len());
        for branch in conditions {
            let when = self.expr(&branch.condition, at.deeper())?;
            branches.push((when, self.expr(&branch.result, at.deeper())?));
        }
        let otherwise = otherwise.map(|x| self.boxed(x, at)).transpose()?;
        Ok(Node::Case { operand, branches, otherwise })
    }

    fn cast(&self, value: &Sql, ty: &DataType, at: At) -> Result<Node, ExprError> {
        let to = self.type_named(ty, value)?;
        Ok(Node::Cast { value: self.boxed(value, at)?, to })
    }

    fn extract(&self, field: &DateTimeField, value: &Sql, at: At) -> Result<Node, ExprError> {
        let field = field.to_string().to_ascii_lowercase();
        Ok(Node::Call {
            function: Function::Extract(field.trim_matches('\'').to_owned()),
            arguments: vec![self.expr(value, at.deeper())?],
        })
    }

    fn no_literal(&self, place: Position) -> ExprError {
        self.unsupported(place, "this literal")
            .with_hint("write a number, text in single quotes, true, false or NULL; an expression has no parameters")
    }

    fn typed_literal(&self, tree: &Sql) -> Result<Expr, ExprError> {
        let place = self.start(tree);
        match tree {
            Sql::TypedString(t) => {
                let to = self.type_named(&t.data_type, tree)?;
                match self.literal(&t.value.value, place)? {
                    text @ Node::Text(_) => Ok(typed(text, to, place)),
                    _ => Err(self.no_literal(place)),
                }
            }
            Sql::Interval(i) => self.interval(i, place),
            _ => Err(self.no_literal(place)),
        }
    }

    /// The name an identifier stands for.
    pub(super) fn named(&self, ident: &Ident) -> Result<String, ExprError> {
        let word = name(ident);
        if word.is_empty() {
            return Err(ExprError::new(Kind::Syntax, column(ident.span.start), "zero-length quoted name")
                .with_word("\"\"")
                .with_hint("write a name between the quotes"));
        }
        Ok(word)
    }

    fn bare(&self, ident: &Ident, scope: Scope) -> Result<Node, ExprError> {
        let word = self.named(ident)?;
        Ok(match scope {
            Scope::Profile => Node::Attribute(word),
            // Quoted, it is a property that happens to have that name.
            Scope::Event if word == "at" && ident.quote_style.is_none() => Node::EventTime,
            Scope::Event => Node::Property(word),
        })
    }

    fn literal(&self, value: &Value, place: Position) -> Result<Node, ExprError> {
        Ok(match value {
            Value::Null => Node::Null,
            Value::Boolean(b) => Node::Boolean(*b),
            Value::Number(digits, false) => self.number(digits, place)?,
            Value::SingleQuotedString(s) | Value::EscapedStringLiteral(s) | Value::UnicodeStringLiteral(s) => {
                self.text(s, place)?
            }
            Value::DollarQuotedString(s) => self.text(&s.value, place)?,
            _ => return Err(self.no_literal(place)),
        })
    }

    fn text(&self, text: &str, place: Position) -> Result<Node, ExprError> {
        if text.contains('\0') {
            return Err(ExprError::new(Kind::Syntax, place, "null character in a quoted text"));
        }
        Ok(Node::Text(text.to_owned()))
    }

    fn number(&self, digits: &str, place: Position) -> Result<Node, ExprError> {
        if !digits.bytes().all(|c| c.is_ascii_digit() || b".eE+-".contains(&c)) {
            return Err(self.unsupported(place, "this number"));
        }
        let exponent = digits.split_once(['e', 'E']).map_or(Ok(0), |(_, e)| e.parse::<i32>()).unwrap_or(i32::MAX);
        if digits.len() > LONGEST_NUMBER || exponent.unsigned_abs() as usize > LONGEST_NUMBER {
            return Err(ExprError::new(Kind::OutOfRange, place, "number has too many digits")
                .with_hint(format!("the most is {LONGEST_NUMBER}")));
        }
        Ok(Node::Number(digits.to_owned()))
    }

    fn interval(&self, interval: &Interval, place: Position) -> Result<Expr, ExprError> {
        let text = match &*interval.value {
            Sql::Value(v) => self.literal(&v.value, place)?,
            _ => Node::Null,
        };
        if interval.leading_field.is_some() || interval.last_field.is_some() || !matches!(text, Node::Text(_)) {
            return Err(self
                .unsupported(place, "this form of interval")
                .with_hint("write the unit inside the quotes: interval '30 days'"));
        }
        Ok(typed(text, Type::Interval, place))
    }

    fn binary(&self, left: &Sql, op: &BinaryOperator, right: &Sql, place: Position, at: At) -> Result<Expr, ExprError> {
        let arithmetic = match op {
            BinaryOperator::And | BinaryOperator::Or => {
                return self.chain(left, op, right, place, at);
            }
            BinaryOperator::Plus => Operator::Plus,
            BinaryOperator::Minus => Operator::Minus,
            BinaryOperator::Multiply => Operator::Times,
            BinaryOperator::Divide => Operator::Divide,
            other => return self.comparison(left, other, right, place, at),
        };
        let left = self.boxed(left, at)?;
        let right = self.boxed(right, at)?;
        Ok(node(Node::Arithmetic { op: arithmetic, left, right }, place))
    }

    fn comparison(
        &self,
        left: &Sql,
        op: &BinaryOperator,
        right: &Sql,
        place: Position,
        at: At,
    ) -> Result<Expr, ExprError> {
        let sign = || self.words.before(self.start(right), &op.to_string());
        let Some(comparison) = Self::comparison_of(op) else {
            return Err(self.operator(&op.to_string(), sign()));
        };
        // PostgreSQL's comparisons do not chain.
        if let Sql::BinaryOp { op: inner, .. } = left
            && Self::comparison_of(inner).is_some()
        {
            return Err(ExprError::new(Kind::Syntax, sign(), format!("syntax error at or near \"{op}\""))
                .with_word(op.to_string())
                .with_hint("comparisons do not chain: join them with AND, or use BETWEEN"));
        }
        let left = self.boxed(left, at)?;
        let right = self.boxed(right, at)?;
        Ok(node(Node::Compare { op: comparison, left, right }, place))
    }

    fn comparison_of(op: &BinaryOperator) -> Option<Comparison> {
        Some(match op {
            BinaryOperator::Eq => Comparison::Eq,
            BinaryOperator::NotEq => Comparison::NotEq,
            BinaryOperator::Lt => Comparison::Lt,
            BinaryOperator::LtEq => Comparison::LtEq,
            BinaryOperator::Gt => Comparison::Gt,
            BinaryOperator::GtEq => Comparison::GtEq,
            _ => return None,
        })
    }

    /// Flattens a chain without recursion: 5,000 terms are one node.
    fn chain(&self, left: &Sql, op: &BinaryOperator, right: &Sql, place: Position, at: At) -> Result<Expr, ExprError> {
        let mut links = vec![right];
        let mut rest = left;
        while let Sql::BinaryOp { left, op: same, right } = rest
            && same == op
        {
            links.push(right);
            rest = left;
        }
        links.push(rest);
        let conjunction = *op == BinaryOperator::And;
        let mut terms = Vec::with_capacity(links.len());
        for link in links.into_iter().rev() {
            let term = self.expr(link, at.deeper())?;
            match (term.node, conjunction) {
                (Node::And(list), true) | (Node::Or(list), false) => terms.extend(list),
                (n, _) => terms.push(Expr { node: n, ..term }),
            }
        }
        Ok(node(if conjunction { Node::And(terms) } else { Node::Or(terms) }, place))
    }

    fn unary(&self, op: &UnaryOperator, operand: &Sql, place: Position, at: At) -> Result<Node, ExprError> {
        match op {
            UnaryOperator::Not => Ok(Node::Not(self.boxed(operand, at)?)),
            UnaryOperator::Minus => Ok(Node::Negate(self.boxed(operand, at)?)),
            UnaryOperator::Plus => match operand {
                Sql::Value(v) if matches!(v.value, Value::Number(..)) => self.literal(&v.value, place),
                _ => Err(self.operator("+", place).with_hint("leave the sign out")),
            },
            other => Err(self.operator(other.to_string().trim(), place)),
        }
    }

    fn is_null(&self, value: &Sql, negated: bool, at: At) -> Result<Node, ExprError> {
        Ok(Node::IsNull { value: self.boxed(value, at)?, negated })
    }

    fn is_boolean(&self, value: &Sql, truth: bool, negated: bool, at: At) -> Result<Node, ExprError> {
        Ok(Node::IsBoolean { value: self.boxed(value, at)?, truth, negated })
    }

    fn like(&self, value: &Sql, pattern: &Sql, negated: bool, ignore_case: bool, at: At) -> Result<Node, ExprError> {
        let value = self.boxed(value, at)?;
        Ok(Node::Like { value, pattern: self.boxed(pattern, at)?, negated, ignore_case })
    }
}

/// A literal with its type written in front. The plain types have no such form in our tree: they are casts.
fn typed(text: Node, to: Type, place: Position) -> Expr {
    match to {
        Type::Date | Type::Timestamptz | Type::Interval => Expr { node: text, ty: to, at: place },
        _ => node(Node::Cast { value: Box::new(node(text, place)), to }, place),
    }
}
