//! sqlparser's tree to ours. Everything that is SQL but not part of the language ends here, named by its word.

use sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, DataType, DateTimeField, ExactNumberInfo, Expr as Sql, Ident, Interval,
    TimezoneInfo, UnaryOperator, Value,
};

use super::Limits;
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
            return Err(ExprError::new(Kind::Syntax, place, "the list of IN is empty").with_hint("write at least one value"));
        }
        Ok(Node::In { value: self.boxed(value, at)?, list: self.all(list, at)?, negated })
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

    fn typed_literal(&self, tree: &Sql) -> Result<Expr, ExprError> {
        let place = self.start(tree);
        match tree {
            Sql::TypedString(t) => {
                let to = self.type_named(&t.data_type, tree)?;
                match self.literal(&t.value.value, place)? {
                    text @ Node::Text(_) => Ok(typed(text, to, place)),
                    _ => Err(self.unsupported(place, "this literal")),
                }
            }
            Sql::Interval(i) => self.interval(i, place),
            _ => Err(self.unsupported(place, "this literal")),
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

    fn qualified(&self, parts: &[Ident], place: Position) -> ExprError {
        let written = parts.iter().map(|p| p.value.as_str()).collect::<Vec<_>>().join(".");
        let error = ExprError::new(
            Kind::NotSupported,
            place,
            format!("qualified name \"{written}\" outside an aggregate"),
        )
        .with_word(written.clone());
        match parts {
            [_, property] => error.with_hint(format!(
                "write an aggregate over the event, for example last({written}), or \"{}\" alone for an attribute",
                property.value
            )),
            _ => error.with_hint("write names without a schema"),
        }
    }

    fn literal(&self, value: &Value, place: Position) -> Result<Node, ExprError> {
        Ok(match value {
            Value::Null => Node::Null,
            Value::Boolean(b) => Node::Boolean(*b),
            Value::Number(digits, false) => self.number(digits, place)?,
            Value::SingleQuotedString(s)
            | Value::EscapedStringLiteral(s)
            | Value::UnicodeStringLiteral(s) => self.text(s, place)?,
            Value::DollarQuotedString(s) => self.text(&s.value, place)?,
            _ => return Err(self.unsupported(place, "this literal")),
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
        let exponent = digits
            .split_once(['e', 'E'])
            .map_or(Ok(0), |(_, e)| e.parse::<i32>())
            .unwrap_or(i32::MAX);
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
        if interval.leading_field.is_some()
            || interval.last_field.is_some()
            || !matches!(text, Node::Text(_))
        {
            return Err(self
                .unsupported(place, "this form of interval")
                .with_hint("write the unit inside the quotes: interval '30 days'"));
        }
        Ok(typed(text, Type::Interval, place))
    }

    fn binary(&self, left: &Sql, op: &BinaryOperator, right: &Sql, place: Position, at: At) -> Result<Expr, ExprError> {
        let arithmetic = match op {
            BinaryOperator::And | BinaryOperator::Or => return self.chain(left, op, right, place, at),
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

    fn comparison(&self, left: &Sql, op: &BinaryOperator, right: &Sql, place: Position, at: At) -> Result<Expr, ExprError> {
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

    fn operator(&self, sign: &str, place: Position) -> ExprError {
        let error = ExprError::new(
            Kind::NotSupported,
            place,
            format!("operator \"{sign}\" is not part of an expression"),
        )
        .with_word(sign);
        match sign {
            "==" => error.with_hint("write = to compare"),
            "&&" => error.with_hint("write AND"),
            "||" => error.with_hint("write OR for conditions; text cannot be concatenated here"),
            "~" | "~*" | "!~" | "!~*" => error.with_hint("use LIKE or ILIKE"),
            "->" | "->>" | "#>" | "#>>" | "@>" => {
                error.with_hint("name properties directly inside FILTER, without operators of jsonb")
            }
            _ => error.with_hint("the operators are = <> < <= > >= + - * / IN BETWEEN LIKE ILIKE IS AND OR NOT"),
        }
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

    /// The type of that name, or an error that says which there are.
    fn type_named(&self, ty: &DataType, beside: &Sql) -> Result<Type, ExprError> {
        Ok(match ty {
            DataType::BigInt(None)
            | DataType::Int8(None)
            | DataType::Int(None)
            | DataType::Integer(None)
            | DataType::Int4(None)
            | DataType::SmallInt(None)
            | DataType::Int2(None) => Type::Bigint,
            DataType::Numeric(ExactNumberInfo::None)
            | DataType::Decimal(ExactNumberInfo::None)
            | DataType::Dec(ExactNumberInfo::None) => Type::Numeric,
            DataType::Text | DataType::Varchar(None) | DataType::CharacterVarying(None) | DataType::CharVarying(None) => {
                Type::Text
            }
            DataType::Boolean | DataType::Bool => Type::Boolean,
            DataType::Date => Type::Date,
            DataType::Timestamp(None, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => Type::Timestamptz,
            DataType::Interval { fields: None, precision: None } => Type::Interval,
            _ => {
                let written = ty.to_string().to_ascii_lowercase();
                let from = self.start(beside);
                let first = written.split(['(', ' ', '[']).next().unwrap_or(&written);
                let place = self.words.after(from, first);
                let error = ExprError::new(
                    Kind::NotSupported,
                    place,
                    format!("type \"{written}\" is not part of an expression"),
                )
                .with_word(first);
                return Err(match ty {
                    DataType::Timestamp(..) => error.with_hint("use timestamptz"),
                    _ if ["float", "double", "real"].iter().any(|w| written.starts_with(w)) => {
                        error.with_hint("use numeric")
                    }
                    DataType::Numeric(_) | DataType::Decimal(_) | DataType::Dec(_) => {
                        error.with_hint("use numeric without digits, and round(x, digits)")
                    }
                    DataType::Varchar(_) | DataType::CharacterVarying(_) | DataType::Char(_) | DataType::Character(_) => {
                        error.with_hint("use text")
                    }
                    _ => error.with_hint("the types are boolean, bigint, numeric, text, date, timestamptz and interval"),
                });
            }
        })
    }

    pub(super) fn unsupported(&self, place: Position, what: &str) -> ExprError {
        let error = ExprError::new(
            Kind::NotSupported,
            place,
            format!("{what} is not part of an expression"),
        );
        match self.words.word_at(place) {
            Some(word) => error.with_word(word),
            None => error,
        }
    }

    fn not_supported(&self, tree: &Sql) -> ExprError {
        let place = match self.start(tree) {
            // Exotic forms keep no place of their own.
            0 => self.words.first(),
            place => place,
        };
        match tree {
            Sql::CompoundIdentifier(parts) => return self.qualified(parts, place),
            Sql::Like { any, .. } | Sql::ILike { any, .. } => {
                let (word, hint) =
                    if *any { ("ANY", "join several LIKE with OR") } else { ("ESCAPE", "escape with a backslash") };
                let place = self.words.after(place, word);
                return self.unsupported(place, &format!("LIKE with {word}")).with_word(word).with_hint(hint);
            }
            _ => {}
        }
        let function = match tree {
            Sql::Ceil { .. } => Some("ceil"),
            Sql::Floor { .. } => Some("floor"),
            Sql::Position { .. } => Some("position"),
            Sql::Substring { .. } => Some("substring"),
            Sql::Trim { .. } => Some("trim"),
            Sql::Overlay { .. } => Some("overlay"),
            _ => None,
        };
        if let Some(word) = function {
            return super::call::unknown_function(word, self.words.before(place, word));
        }
        let (what, word, hint) = match tree {
            Sql::AtTimeZone { .. } => ("AT TIME ZONE", "at", Some("days are days of the workspace's time zone")),
            Sql::Collate { .. } => ("COLLATE", "collate", None),
            Sql::SimilarTo { .. } => ("SIMILAR TO", "similar", Some("use LIKE or ILIKE")),
            Sql::IsDistinctFrom(..) | Sql::IsNotDistinctFrom(..) => {
                ("IS DISTINCT FROM", "distinct", Some("use = with IS NULL"))
            }
            Sql::AnyOp { .. } => ("ANY", "any", Some("use IN")),
            Sql::AllOp { .. } => ("ALL", "all", Some("join comparisons with AND")),
            Sql::Array(_) => ("an array", "array", Some("use IN with a list")),
            Sql::Tuple(_) => ("a list of values", "(", Some("a list belongs after IN")),
            Sql::Exists { .. } => ("EXISTS", "exists", Some("use an aggregate, for example count(purchase) > 0")),
            Sql::Cast { .. } | Sql::Convert { .. } => ("this form of cast", "", Some("write x::type")),
            Sql::InUnnest { .. } => ("UNNEST", "unnest", Some("use IN with a list")),
            _ => ("this construct", "", None),
        };
        let at = if word == "(" {
            self.words.before(place, word)
        } else if word.is_empty() {
            place
        } else {
            self.words.after(place, word)
        };
        let error = self.unsupported(at, what);
        match hint {
            Some(h) => error.with_hint(h),
            None => error,
        }
    }

    /// Where a tree begins in the text. Goes down the left side in a loop: sqlparser's own spans recurse.
    pub(super) fn start(&self, tree: &Sql) -> Position {
        let mut tree = tree;
        loop {
            tree = match tree {
                Sql::Identifier(i) => return column(i.span.start),
                Sql::CompoundIdentifier(parts) => {
                    return parts.first().map_or(0, |i| column(i.span.start));
                }
                Sql::Value(v) => return column(v.span.start),
                Sql::TypedString(t) => return self.words.typed_literal(column(t.value.span.start)),
                Sql::Interval(i) => return self.words.typed_literal(self.start(&i.value)),
                Sql::Function(f) => {
                    return f.name.0.first().and_then(|p| p.as_ident()).map_or(0, |i| column(i.span.start));
                }
                Sql::Case { case_token, .. } => return column(case_token.0.span.start),
                Sql::Nested(x) => return self.words.before(self.start(x), "("),
                Sql::UnaryOp { op, expr } => return self.words.before(self.start(expr), op.to_string().trim()),
                Sql::Extract { expr, .. } => return self.words.before(self.start(expr), "extract"),
                Sql::Cast { kind: CastKind::Cast, expr, .. } => return self.words.before(self.start(expr), "cast"),
                Sql::Tuple(list) => return list.first().map_or(0, |x| self.start(x)),
                Sql::Array(a) => return a.elem.first().map_or(0, |x| self.words.before(self.start(x), "array")),
                Sql::BinaryOp { left, .. }
                | Sql::AnyOp { left, .. }
                | Sql::AllOp { left, .. }
                | Sql::IsDistinctFrom(left, _)
                | Sql::IsNotDistinctFrom(left, _) => left,
                Sql::IsFalse(x)
                | Sql::IsNotFalse(x)
                | Sql::IsTrue(x)
                | Sql::IsNotTrue(x)
                | Sql::IsNull(x)
                | Sql::IsNotNull(x)
                | Sql::IsUnknown(x)
                | Sql::IsNotUnknown(x) => x,
                Sql::InList { expr, .. }
                | Sql::InSubquery { expr, .. }
                | Sql::InUnnest { expr, .. }
                | Sql::Between { expr, .. }
                | Sql::Like { expr, .. }
                | Sql::ILike { expr, .. }
                | Sql::SimilarTo { expr, .. }
                | Sql::Cast { expr, .. }
                | Sql::Collate { expr, .. }
                | Sql::Ceil { expr, .. }
                | Sql::Floor { expr, .. }
                | Sql::Position { expr, .. }
                | Sql::Substring { expr, .. }
                | Sql::Trim { expr, .. }
                | Sql::Overlay { expr, .. }
                | Sql::AtTimeZone { timestamp: expr, .. }
                | Sql::JsonAccess { value: expr, .. }
                | Sql::CompoundFieldAccess { root: expr, .. } => expr,
                Sql::OuterJoin(x) => x,
                Sql::Prefixed { prefix, .. } => return column(prefix.span.start),
                _ => return 0,
            };
        }
    }

}

/// A literal with its type written in front. The plain types have no such form in our tree: they are casts.
fn typed(text: Node, to: Type, place: Position) -> Expr {
    match to {
        Type::Date | Type::Timestamptz | Type::Interval => Expr { node: text, ty: to, at: place },
        _ => node(
            Node::Cast { value: Box::new(node(text, place)), to },
            place,
        ),
    }
}

/// Drops a tree link by link; dropping it whole recurses once for each link of its longest chain.
pub(super) fn discard(tree: Sql) {
    let mut rest = vec![tree];
    while let Some(tree) = rest.pop() {
        match tree {
            Sql::BinaryOp { left, right, .. } => rest.extend([*left, *right]),
            Sql::Between { expr, low, high, .. } => rest.extend([*expr, *low, *high]),
            Sql::Nested(x)
            | Sql::IsNull(x)
            | Sql::IsNotNull(x)
            | Sql::IsTrue(x)
            | Sql::IsNotTrue(x)
            | Sql::IsFalse(x)
            | Sql::IsNotFalse(x)
            | Sql::UnaryOp { expr: x, .. }
            | Sql::Cast { expr: x, .. } => rest.push(*x),
            _ => {}
        }
    }
}
