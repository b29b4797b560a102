//! Names and types. Promise: every node of a checked tree has the type PostgreSQL infers for the plain SQL that
//! [`super::sql`] prints for it, and every name in it is known.
//!
//! Untyped literals take their type from the other side, as in SQL, and become what they mean: `'5'` beside a bigint
//! is the number 5. The tree is otherwise left as written: promotions (bigint beside numeric, date beside timestamptz)
//! are not made visible.

mod arithmetic;
mod call;
pub(super) mod literal;

use super::ast::{Expr, Node, Position, Type};
use super::error::{ExprError, Kind, nearest};
use super::print::{print, quote_text, type_name};
use super::walk;

/// Trees deeper than this are refused before anything recurses into them; text never gets here, see
/// [`super::parse::Limits::depth`].
const DEEPEST: usize = 210;

/// What names there are.
pub trait Catalog {
    /// The type of an attribute.
    fn attribute(&self, name: &str) -> Option<Type>;
    /// Whether there is an event type of that name.
    fn has_event(&self, event: &str) -> bool;
    /// The type of a property of an event type.
    fn property(&self, event: &str, name: &str) -> Option<Type>;
    /// Whether there is a segment of that name.
    fn has_segment(&self, name: &str) -> bool;
    /// All attributes, in any order.
    fn attributes(&self) -> Vec<String>;
    /// All event types, in any order.
    fn events(&self) -> Vec<String>;
    /// All properties of an event type, in any order.
    fn properties(&self, event: &str) -> Vec<String>;
    /// All segments, in any order.
    fn segments(&self) -> Vec<String>;
    /// The number of an attribute whose earlier values are kept, under which the table `attribute_history` has them.
    fn history(&self, _attribute: &str) -> Option<i32> {
        None
    }
    /// All identifier types, in any order.
    fn identifier_types(&self) -> Vec<String>;
    /// The entity type whose groups the expression is about; `None` for people.
    fn entity(&self) -> Option<&str> {
        None
    }
    /// What an attribute describes that is not one of those here: `person` or an entity type.
    fn elsewhere(&self, _attribute: &str) -> Option<String> {
        None
    }
}

/// Gives every node of `expr` its type. `want` is the type the whole must have (`Some(Boolean)` for a segment): a
/// literal is read as it, a bigint or date is cast to a numeric or timestamptz that is wanted.
///
/// # Errors
/// Unknown names, types that do not fit, literals their type cannot read.
pub fn check(expr: Expr, catalog: &dyn Catalog, want: Option<Type>) -> Result<Expr, ExprError> {
    if walk::depth(&expr, DEEPEST) > DEEPEST {
        return Err(ExprError::new(Kind::TooComplex, 0, "expression tree is too deep"));
    }
    let mut expr = expr;
    let checker = Checker { catalog, event: None };
    checker.visit(&mut expr)?;
    match want {
        None | Some(Type::Unknown) => checker.settle(&mut expr, Type::Text)?,
        Some(want) => {
            checker.settle(&mut expr, want)?;
            match (expr.ty, want) {
                (have, want) if have == want => {}
                (Type::Bigint, Type::Numeric) | (Type::Date, Type::Timestamptz) => {
                    let at = expr.at;
                    expr = Expr { node: Node::Cast { value: Box::new(expr), to: want }, ty: want, at };
                }
                (have, want) => {
                    let error = ExprError::new(
                        Kind::TypeMismatch,
                        expr.at,
                        format!("expression must be {}, not {}", type_name(want), type_name(have)),
                    );
                    return Err(if want == Type::Boolean {
                        error.with_hint(format!("compare it with something, for example {} = …", short(&expr)))
                    } else {
                        error.with_hint(format!("cast it: ({})::{}", short(&expr), type_name(want)))
                    });
                }
            }
        }
    }
    Ok(expr)
}

struct Checker<'a> {
    catalog: &'a dyn Catalog,
    /// The event whose FILTER this is.
    event: Option<&'a str>,
}

impl Checker<'_> {
    fn visit(&self, e: &mut Expr) -> Result<(), ExprError> {
        let at = e.at;
        let ty = match &mut e.node {
            Node::Null => Type::Unknown,
            Node::Boolean(_) => Type::Boolean,
            Node::Number(digits) => literal::number_type(digits),
            Node::Text(text) => {
                if e.ty != Type::Unknown {
                    literal::plausible(text, e.ty, at)?;
                }
                e.ty
            }
            Node::Now => Type::Timestamptz,
            Node::CurrentDate => Type::Date,
            Node::Attribute(name) => self.attribute(name, at)?,
            Node::EventTime => {
                self.inside(at, "at")?;
                Type::Timestamptz
            }
            Node::Property(name) => self.property(self.inside(at, name)?, name, at)?,
            Node::Aggregate(a) => self.aggregate(a, at)?,
            Node::Not(x) => {
                self.condition(x, "NOT")?;
                Type::Boolean
            }
            Node::Negate(x) => {
                self.visit(x)?;
                match (&x.node, x.ty) {
                    // The one number that is a bigint only with its sign.
                    (Node::Number(digits), _) if digits == literal::BELOW_LEAST => {
                        x.ty = Type::Bigint;
                        Type::Bigint
                    }
                    (_, Type::Bigint | Type::Numeric | Type::Interval) => x.ty,
                    _ => {
                        return Err(arithmetic::no_operator(at, &format!("- {}", type_name(x.ty))));
                    }
                }
            }
            Node::And(list) => {
                list.iter_mut().try_for_each(|x| self.condition(x, "AND"))?;
                Type::Boolean
            }
            Node::Or(list) => {
                list.iter_mut().try_for_each(|x| self.condition(x, "OR"))?;
                Type::Boolean
            }
            Node::Compare { op, left, right } => {
                self.visit(left)?;
                self.visit(right)?;
                self.comparable(left, right, super::print::comparison_sign(*op).trim())?;
                Type::Boolean
            }
            Node::Arithmetic { op, left, right } => {
                self.visit(left)?;
                self.visit(right)?;
                self.arithmetic(*op, left, right, at)?
            }
            Node::In { value, list, .. } => {
                self.visit(value)?;
                for x in list.iter_mut() {
                    self.visit(x)?;
                }
                let mut all: Vec<&mut Expr> = std::iter::once(&mut **value).chain(list.iter_mut()).collect();
                self.common(&mut all, "IN")?;
                Type::Boolean
            }
            Node::Any { value, set } => {
                self.visit(value)?;
                self.settle(value, Type::Text)?;
                self.visit(set)?;
                for (side, wanted) in [(&*value, Type::Text), (&*set, Type::TextSet)] {
                    if side.ty != wanted && !(side.node == Node::Null && side.ty == Type::Unknown) {
                        return Err(ExprError::new(
                            Kind::TypeMismatch,
                            side.at,
                            format!("ANY needs {} here, not {}", type_name(wanted), type_name(side.ty)),
                        )
                        .with_hint("write 'x' = ANY (labels), where labels is an attribute of type text[]; for a list of values use IN"));
                    }
                }
                set.ty = Type::TextSet;
                Type::Boolean
            }
            Node::Between { value, low, high, .. } => {
                self.visit(value)?;
                self.visit(low)?;
                self.visit(high)?;
                self.common(&mut [value, low, high], "BETWEEN")?;
                Type::Boolean
            }
            Node::IsNull { value, .. } => {
                self.visit(value)?;
                self.settle(value, Type::Text)?;
                Type::Boolean
            }
            Node::IsBoolean { value, truth, .. } => {
                self.condition(value, if *truth { "IS TRUE" } else { "IS FALSE" })?;
                Type::Boolean
            }
            Node::Like { value, pattern, ignore_case, .. } => {
                let word = if *ignore_case { "ILIKE" } else { "LIKE" };
                for side in [value, pattern] {
                    self.visit(side)?;
                    self.settle(side, Type::Text)?;
                    if side.ty != Type::Text {
                        return Err(ExprError::new(
                            Kind::TypeMismatch,
                            side.at,
                            format!("{word} needs text, not {}", type_name(side.ty)),
                        )
                        .with_hint(format!("cast it: {}::text", operand(side))));
                    }
                }
                Type::Boolean
            }
            Node::Case { operand, branches, otherwise } => {
                if let Some(subject) = operand {
                    self.visit(subject)?;
                }
                for (when, then) in branches.iter_mut() {
                    match operand {
                        Some(subject) => {
                            self.visit(when)?;
                            self.comparable(subject, when, "=")?;
                        }
                        None => self.condition(when, "WHEN")?,
                    }
                    self.visit(then)?;
                }
                if let Some(x) = otherwise {
                    self.visit(x)?;
                }
                let mut results: Vec<&mut Expr> =
                    branches.iter_mut().map(|(_, then)| then).chain(otherwise.iter_mut().map(|x| &mut **x)).collect();
                self.common(&mut results, "CASE")?
            }
            Node::Cast { value, to } => {
                let to = *to;
                self.visit(value)?;
                if let Some(read) = self.cast(value, to, at)? {
                    *e = read;
                    return Ok(());
                }
                to
            }
            Node::Call { function, arguments } => {
                for x in arguments.iter_mut() {
                    self.visit(x)?;
                }
                self.call(function, arguments, at)?
            }
            Node::InSegment(name) => {
                if let Some(entity) = self.catalog.entity() {
                    return Err(ExprError::new(
                        Kind::NotSupported,
                        at,
                        format!("in_segment() is about people, and this is about {}", quoted(entity)),
                    )
                    .with_hint(OF_GROUPS));
                }
                if !self.catalog.has_segment(name) {
                    return Err(unknown(
                        Kind::UnknownSegment,
                        at,
                        format!("segment \"{name}\" does not exist"),
                        name,
                        self.catalog.segments(),
                        "the view segments lists them",
                    ));
                }
                Type::Boolean
            }
            Node::HasIdentifier(name) => {
                let known = self.catalog.identifier_types();
                if !known.contains(name) {
                    return Err(unknown(
                        Kind::UnknownSegment,
                        at,
                        format!("identifier type \"{name}\" does not exist"),
                        name,
                        known,
                        "the table identifier_type lists them",
                    ));
                }
                Type::Boolean
            }
            Node::Sequence(s) => self.sequence(s, at)?,
        };
        e.ty = ty;
        Ok(())
    }

    /// An operand that must be true or false.
    fn condition(&self, x: &mut Expr, word: &str) -> Result<(), ExprError> {
        self.visit(x)?;
        self.settle(x, Type::Boolean)?;
        if x.ty == Type::Boolean {
            return Ok(());
        }
        Err(ExprError::new(
            Kind::TypeMismatch,
            x.at,
            format!("argument of {word} must be boolean, not {}", type_name(x.ty)),
        )
        .with_hint(format!("compare it with something, for example {} = …", operand(x))))
    }

    /// Gives a literal without a type the type `to`.
    fn settle(&self, x: &mut Expr, to: Type) -> Result<(), ExprError> {
        if x.ty == Type::Unknown {
            literal::read(x, to)?;
        }
        Ok(())
    }

    /// Makes two sides comparable.
    fn comparable(&self, left: &mut Expr, right: &mut Expr, sign: &str) -> Result<(), ExprError> {
        match (left.ty, right.ty) {
            (Type::Unknown, Type::Unknown) => {
                self.settle(left, Type::Text)?;
                self.settle(right, Type::Text)
            }
            (Type::Unknown, ty) => self.settle(left, ty),
            (ty, Type::Unknown) => self.settle(right, ty),
            (a, b) if wider(a, b).is_some() => Ok(()),
            (a, b) => Err(ExprError::new(
                Kind::TypeMismatch,
                right.at,
                format!("operator does not exist: {} {sign} {}", type_name(a), type_name(b)),
            )
            .with_word(short(right))
            .with_hint(bridge(left, right))),
        }
    }

    /// The one type of several operands; literals without a type get it.
    fn common(&self, operands: &mut [&mut Expr], word: &str) -> Result<Type, ExprError> {
        let mut found: Option<Type> = None;
        for x in operands.iter().filter(|x| x.ty != Type::Unknown) {
            found = Some(match found {
                None => x.ty,
                Some(ty) => wider(ty, x.ty).ok_or_else(|| {
                    let error = ExprError::new(
                        Kind::TypeMismatch,
                        x.at,
                        format!("{word} types {} and {} cannot be matched", type_name(ty), type_name(x.ty)),
                    )
                    .with_word(short(x));
                    match &x.node {
                        Node::Number(n) if ty == Type::Text => {
                            error.with_hint(format!("write it in quotes: {}", quote_text(n)))
                        }
                        _ => error.with_hint(format!("cast it: {}::{}", operand(x), type_name(ty))),
                    }
                })?,
            });
        }
        let ty = found.unwrap_or(Type::Text);
        for x in operands.iter_mut() {
            self.settle(x, ty)?;
        }
        Ok(ty)
    }

    fn attribute(&self, name: &str, at: Position) -> Result<Type, ExprError> {
        if self.event.is_some() {
            return Err(self.attribute_in_filter(name, at));
        }
        if let Some(ty) = self.catalog.attribute(name) {
            return Ok(ty);
        }
        let error = unknown(
            Kind::UnknownAttribute,
            at,
            format!("attribute \"{name}\" does not exist"),
            name,
            self.catalog.attributes(),
            &format!("the view attributes lists them; text is written in single quotes: {}", quote_text(name)),
        );
        Err(if let Some(entity) = self.catalog.elsewhere(name) {
            let of = format!("\"{name}\" is an attribute of {}", quoted(&entity));
            error.with_hint(match self.catalog.entity() {
                Some(_) => format!("{of}: {OF_GROUPS}"),
                None => format!("{of}: cdp_segment() asks about those with entity => {}", quote_text(&entity)),
            })
        } else if self.catalog.has_event(name) {
            error.with_hint(format!("\"{name}\" is an event: write count({name}) > 0"))
        } else if name == "at" {
            error.with_hint("the time of an event is known only inside FILTER (WHERE …)")
        } else {
            error
        })
    }

    fn attribute_in_filter(&self, name: &str, at: Position) -> ExprError {
        ExprError::new(Kind::UnknownProperty, at, format!("attribute \"{name}\" cannot be used inside FILTER"))
            .with_word(name)
            .with_hint("move the condition outside and join it with AND")
    }

    /// The event around, or the error that there is none.
    fn inside(&self, at: Position, word: &str) -> Result<&str, ExprError> {
        self.event.ok_or_else(|| {
            ExprError::new(
                Kind::UnknownAttribute,
                at,
                format!("\"{word}\" of an event is known only inside FILTER (WHERE …)"),
            )
            .with_word(word)
        })
    }

    fn property(&self, event: &str, name: &str, at: Position) -> Result<Type, ExprError> {
        if let Some(ty) = self.catalog.property(event, name) {
            return Ok(ty);
        }
        if self.event.is_some() && self.catalog.attribute(name).is_some() {
            return Err(self.attribute_in_filter(name, at));
        }
        Err(unknown(
            Kind::UnknownProperty,
            at,
            format!("event \"{event}\" has no property \"{name}\""),
            name,
            self.catalog.properties(event),
            "the table event_type lists them",
        ))
    }

    fn event(&self, name: &str, at: Position) -> Result<(), ExprError> {
        if self.catalog.has_event(name) {
            return Ok(());
        }
        Err(unknown(
            Kind::UnknownEvent,
            at,
            format!("event \"{name}\" does not exist"),
            name,
            self.catalog.events(),
            "the table event_type lists them",
        ))
    }
}

/// What an expression about groups can name.
const OF_GROUPS: &str = "name tags of the same entity type, members, and the events of the members";

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn unknown(kind: Kind, at: Position, message: String, word: &str, known: Vec<String>, list: &str) -> ExprError {
    let error = ExprError::new(kind, at, message).with_word(word);
    match nearest(word, known) {
        Some(name) => error.with_hint(format!("did you mean \"{name}\"?")),
        None => error.with_hint(list),
    }
}

/// The type two types meet in: themselves, numeric for numbers, timestamptz for days and moments.
fn wider(a: Type, b: Type) -> Option<Type> {
    match (a, b) {
        (a, b) if a == b => Some(a),
        (Type::Bigint | Type::Numeric, Type::Bigint | Type::Numeric) => Some(Type::Numeric),
        (Type::Date | Type::Timestamptz, Type::Date | Type::Timestamptz) => Some(Type::Timestamptz),
        _ => None,
    }
}

/// The text of an expression for a message; long ones are only hinted at.
fn short(e: &Expr) -> String {
    let text = print(e);
    if text.chars().count() <= 40 { text } else { "…".to_owned() }
}

/// The same, fit to be followed by `::type`.
fn operand(e: &Expr) -> String {
    match e.node {
        Node::Attribute(_)
        | Node::Property(_)
        | Node::Text(_)
        | Node::Number(_)
        | Node::Call { .. }
        | Node::Aggregate(_) => short(e),
        _ => format!("({})", short(e)),
    }
}

/// How two sides of different types could be compared.
fn bridge(left: &Expr, right: &Expr) -> String {
    for (literal, other) in [(right, left), (left, right)] {
        if let (Node::Number(n), Type::Text) = (&literal.node, other.ty) {
            return format!("write it in quotes: {}", quote_text(n));
        }
        if let (Node::Boolean(b), Type::Text) = (&literal.node, other.ty) {
            return format!("write it in quotes: '{b}'");
        }
    }
    match (left.ty, right.ty) {
        (Type::Text, ty) => format!("cast one side: {}::{}", operand(left), type_name(ty)),
        (ty, Type::Text) => format!("cast one side: {}::{}", operand(right), type_name(ty)),
        (Type::Bigint | Type::Numeric, Type::Interval) | (Type::Interval, Type::Bigint | Type::Numeric) => {
            "write the number alone, or extract(epoch FROM …) of the interval".to_owned()
        }
        (Type::Boolean, _) | (_, Type::Boolean) => "a boolean is compared with true or false".to_owned(),
        _ => "cast one side to text".to_owned(),
    }
}
