//! The one syntax tree behind every executor: a SQL scalar expression over the attributes of a
//! profile and the events it took part in. Promise: whatever parses here prints back to text that parses to the
//! same tree ([`super::print`]); nothing in it depends on how it will be executed.

/// The type of a value. `Unknown` is the type of an untyped literal (`'2017-12-01'`, `NULL`) until its
/// surroundings give it one, exactly as in SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// `boolean`
    Boolean,
    /// `bigint`
    Bigint,
    /// `numeric`: exact decimals
    Numeric,
    /// `text`
    Text,
    /// `date`
    Date,
    /// `timestamptz`
    Timestamptz,
    /// `text[]`: a set of texts, none of them NULL, each once
    TextSet,
    /// `interval`; only inside expressions, never the type of an attribute
    Interval,
    /// not yet known
    Unknown,
}

/// Where in the text a node began: 1-based, in characters; 0 when the tree did not come from text.
pub type Position = u32;

/// A node with its type and place. `ty` is [`Type::Unknown`] until [`super::check`] has run.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub node: Node,
    /// Its type once checked.
    pub ty: Type,
    /// Where it began in the text.
    pub at: Position,
}

/// The kinds of expression.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Node {
    /// `NULL`
    Null,
    /// `true`, `false`
    Boolean(bool),
    /// An unsigned number as written (`300`, `0.20`); bigint when it has no point or exponent and fits, else numeric.
    Number(String),
    /// A quoted literal. Untyped when `Expr::ty` is `Unknown`; after checking, `Expr::ty` says what it was read as
    /// (also written `date '2017-12-01'`, `interval '30 days'`, `timestamptz '…'`).
    Text(String),
    /// `now()`: the moment of evaluation, or `as_of`.
    Now,
    /// `current_date`: the day of [`Node::Now`] in the workspace's time zone.
    CurrentDate,
    /// A trait or tag of the profile, by name.
    Attribute(String),
    /// `at` inside a FILTER: when the event happened.
    EventTime,
    /// A property of the aggregate's event, inside its FILTER.
    Property(String),
    /// An aggregate over the events of the profile.
    Aggregate(Box<Aggregate>),
    /// `NOT x`
    Not(Box<Expr>),
    /// `- x`
    Negate(Box<Expr>),
    /// `a AND b AND …`, two or more, flattened.
    And(Vec<Expr>),
    /// `a OR b OR …`, two or more, flattened.
    Or(Vec<Expr>),
    /// `a < b` and its sisters.
    Compare { op: Comparison, left: Box<Expr>, right: Box<Expr> },
    /// `a + b` and its sisters.
    Arithmetic { op: Operator, left: Box<Expr>, right: Box<Expr> },
    /// `x [NOT] IN (…)`
    In { value: Box<Expr>, list: Vec<Expr>, negated: bool },
    /// `x = ANY (set)`
    Any { value: Box<Expr>, set: Box<Expr> },
    /// `x [NOT] BETWEEN low AND high`
    Between { value: Box<Expr>, low: Box<Expr>, high: Box<Expr>, negated: bool },
    /// `x IS [NOT] NULL`
    IsNull { value: Box<Expr>, negated: bool },
    /// `x IS [NOT] TRUE / FALSE`
    IsBoolean { value: Box<Expr>, truth: bool, negated: bool },
    /// `x [NOT] [I]LIKE pattern`
    Like { value: Box<Expr>, pattern: Box<Expr>, negated: bool, ignore_case: bool },
    /// `CASE [operand] WHEN … THEN … [ELSE …] END`
    Case { operand: Option<Box<Expr>>, branches: Vec<(Expr, Expr)>, otherwise: Option<Box<Expr>> },
    /// `CAST(x AS type)`, `x::type`
    Cast { value: Box<Expr>, to: Type },
    /// A call of one of the known scalar functions.
    Call { function: Function, arguments: Vec<Expr> },
    /// `in_segment('vip')`
    InSegment(String),
    /// `has_identifier('email')`
    HasIdentifier(String),
    /// `sequence(view, add_cart, NOT purchase, within => '2 hours')`
    Sequence(Box<Sequence>),
}

/// Events that happened one after the other to one profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// The steps in their order; the first is not negated.
    pub steps: Vec<Step>,
    /// How far before the last step the first may lie at most: an interval literal.
    pub within: Option<Expr>,
    /// The property that is the same in all steps.
    pub by: Option<String>,
}

/// A step of a [`Sequence`].
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The event type, by name.
    pub event: String,
    /// `FILTER (WHERE …)`.
    pub filter: Option<Expr>,
    /// `NOT event`: none of these between the steps around it.
    pub negated: bool,
}

/// An aggregate over one profile's events of one type.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// What is computed.
    pub function: AggregateFunction,
    /// The event type, by name.
    pub event: String,
    /// Over what of the event.
    pub argument: Argument,
    /// `FILTER (WHERE …)`.
    pub filter: Option<Expr>,
}

/// Aggregate functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AggregateFunction {
    Count,
    CountDistinct,
    Sum,
    Avg,
    Min,
    Max,
    First,
    Last,
}

/// What an aggregate runs over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// `count(purchase)`: the events themselves.
    Rows,
    /// `max(purchase.at)`
    Time,
    /// `sum(purchase.amount)`
    Property(String),
}

/// Comparison operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Comparison {
    Eq,
    NotEq,
    Lt,
    LtEq,
    Gt,
    GtEq,
}

/// Arithmetic operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operator {
    Plus,
    Minus,
    Times,
    Divide,
}

/// Scalar functions; each means exactly what PostgreSQL's function of that name means.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Function {
    Coalesce,
    NullIf,
    Least,
    Greatest,
    Abs,
    Round,
    Lower,
    Upper,
    Cardinality,
    /// `date_trunc('month', x)`
    DateTrunc,
    /// `extract(dow FROM x)`; holds the field in lower case.
    Extract(String),
    /// `days_to_anniversary(x)`: days from today to the next day with the month and day of x.
    DaysToAnniversary,
}
