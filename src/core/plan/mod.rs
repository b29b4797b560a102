//! From a checked expression to a boolean program over columns of bits.
//!
//! SQL's logic has three values. A program has sets, so an expression is compiled for one outcome at a time: [`Outcome::True`] gives the
//! profiles for which it is true, [`Outcome::False`] those for which it is false; whoever is in neither gets NULL. NOT swaps the
//! outcomes, AND and OR distribute over them, and the only complement that is ever taken is within the live profiles, of a
//! set whose other members are known.
//!
//! A leaf is planned as a *column* (an attribute's bits), as *day columns* (whole days from bits, the rest of a window from events) or as a
//! *scan* (plain SQL over the public views, run by PostgreSQL). Whatever bits cannot answer exactly becomes a scan, so the
//! answer never depends on the path.

mod aggregate;
mod attribute;
mod decimal;

pub use aggregate::{EdgeWindow, WholeDays};
pub use decimal::{Range, ranges};

use crate::cells::Encoding;
use crate::expr::ast::{Comparison, Expr, Node as Ast, Type};
use crate::expr::error::ExprError;
use crate::expr::walk;
use crate::program::{Node, Program};

/// How the values of an attribute are kept in bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeColumn {
    /// One bitmap a value; a value's key is its dictionary code.
    Codes {
        /// Column number.
        column_id: i32,
        /// Whose codes.
        dictionary_id: i32,
    },
    /// A number column holding dictionary codes (text of many values).
    CodeNumbers {
        /// Column number.
        column_id: i32,
        /// Whose codes.
        dictionary_id: i32,
    },
    /// One bitmap an element of a set of texts, and one of everybody who has a set ([`HAS_SET`]).
    Elements {
        /// Column number.
        column_id: i32,
        /// Whose codes.
        dictionary_id: i32,
    },
    /// A number column holding the value times 10^scale, days since 2000-01-01 or microseconds since 2000-01-01 UTC.
    Numbers {
        /// Column number.
        column_id: i32,
        /// Decimal digits kept after the point.
        scale: u32,
    },
}

/// The key under which a column of sets keeps who has a set, be it empty.
pub const HAS_SET: i64 = i32::MAX as i64;

/// A day column: counts of events, and sums of a measure, by day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayColumn {
    /// Column number.
    pub column_id: i32,
    /// Decimal digits kept after the point of the measure.
    pub scale: u32,
}

/// What the planner asks of the workspace. Everything that needs PostgreSQL is behind it.
pub trait Columns {
    /// What went wrong behind the trait.
    type Error: From<ExprError>;
    /// The column of the live profiles.
    fn universe(&self) -> i32;
    /// The readable column of an attribute; `None` when it has none (then it is scanned).
    fn attribute(&self, name: &str) -> Option<AttributeColumn>;
    /// The column of a segment's members.
    fn segment(&self, name: &str) -> Option<i32>;
    /// The readable day column of an event type, for one tracked property (or all events) and one measure (or counts only).
    fn days(&self, event: &str, property: Option<&str>, measure: Option<&str>) -> Option<DayColumn>;
    /// The codes of a tracked property's values, and the values; one that never occurred has no code and is left out.
    fn property_codes(
        &mut self,
        event: &str,
        property: &str,
        values: &[String],
    ) -> Result<Vec<(i32, String)>, Self::Error>;
    /// The code of one value of a dictionary.
    fn code(&mut self, dictionary_id: i32, value: &str) -> Result<Option<i32>, Self::Error>;
    /// The codes for which a predicate over the one attribute is true, and for which it is false.
    fn matching_codes(
        &mut self,
        dictionary_id: i32,
        attribute: &str,
        ty: Type,
        predicate: &Expr,
    ) -> Result<(Vec<i32>, Vec<i32>), Self::Error>;
    /// What a predicate over the one attribute comes to when the attribute is NULL.
    fn outcome_of_null(&mut self, attribute: &str, ty: Type, predicate: &Expr) -> Result<Option<bool>, Self::Error>;
    /// A folded date or timestamptz literal as days or microseconds since 2000-01-01.
    fn moment(&mut self, ty: Type, text: &str) -> Result<Option<i64>, Self::Error>;
    /// The moment of evaluation in microseconds since 2000-01-01 UTC: no later event counts.
    fn now(&self) -> i64;
    /// Splits the window of events `from <= at <= to` (microseconds) into whole days of the workspace's time zone and the rest.
    fn split(&mut self, from: Option<i64>, to: i64) -> Result<(Option<WholeDays>, Vec<EdgeWindow>), Self::Error>;
    /// Plain SQL giving the `profile_id` of everybody for whom the expression is true.
    fn scan(&mut self, expr: &Expr) -> Result<String, Self::Error>;
}

/// Where the bytes of a slot come from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// Chunks of a column whose key lies in one of the closed intervals.
    Chunks {
        /// Column number.
        column_id: i32,
        /// Closed intervals of keys.
        keys: Vec<(i64, i64)>,
        /// Parts of days, read from the events and added as cells or taken out.
        edges: Vec<Edge>,
    },
    /// The answer of a query with one column `profile_id`.
    Query(String),
}

/// Part of a day: events that a day column cannot answer for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Edge {
    /// Number of the day column.
    pub column_id: i32,
    /// Event type.
    pub event: String,
    /// Tracked property and the values asked for, each with its code; `None`: all events.
    pub property: Option<(String, Vec<(i32, String)>)>,
    /// Measure that is summed; `None`: counts only.
    pub measure: Option<String>,
    /// Scale of the measure.
    pub scale: u32,
    /// The part.
    pub window: EdgeWindow,
}

/// A program and where its slots come from.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is evaluated for each shard.
    pub program: Program,
    /// One for each slot of the program.
    pub sources: Vec<Source>,
}

/// The outcome that a set stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The expression is true.
    True,
    /// The expression is false.
    False,
}

impl Outcome {
    fn opposite(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
        }
    }
}

/// Plans a checked boolean expression whose constants are folded: the result is the set of profiles for which it is true.
///
/// # Errors
/// Whatever [`Columns`] reports.
pub fn plan<C: Columns>(expr: &Expr, columns: &mut C) -> Result<Plan, C::Error> {
    let Plans { slots, mut roots, sources } = plans(std::slice::from_ref(expr), columns)?;
    let root = roots.pop().unwrap_or(Node::Empty);
    Ok(Plan { program: Program { slots, root }, sources })
}

/// Several programs over the same slots.
#[derive(Debug, Clone)]
pub struct Plans {
    /// How the chunks of each slot are encoded.
    pub slots: Vec<Encoding>,
    /// One for each expression.
    pub roots: Vec<Node>,
    /// One for each slot.
    pub sources: Vec<Source>,
}

/// Plans several expressions, each as [`plan()`] does, so that what they share is read once.
///
/// # Errors
/// Whatever [`Columns`] reports.
pub fn plans<C: Columns>(exprs: &[Expr], columns: &mut C) -> Result<Plans, C::Error> {
    let mut planner = Planner { columns, slots: Vec::new(), sources: Vec::new(), whole: false };
    let mut roots = Vec::with_capacity(exprs.len());
    for expr in exprs {
        let known = planner.sources.len();
        planner.whole = false;
        let mut root = planner.compile(expr, Outcome::True)?;
        if planner.whole {
            // What was planned for parts of this expression is not needed.
            planner.slots.truncate(known);
            planner.sources.truncate(known);
            let query = planner.columns.scan(expr)?;
            root = Node::Present(planner.slot(Encoding::Set, Source::Query(query)));
        }
        roots.push(root);
    }
    Ok(Plans { slots: planner.slots, roots, sources: planner.sources })
}

struct Planner<'a, C: Columns> {
    columns: &'a mut C,
    slots: Vec<Encoding>,
    sources: Vec<Source>,
    /// A leaf that can fail for some profiles would be evaluated for everybody, also for those that the rest of the expression keeps from it
    /// (`age <> 0 AND 100 / age > 3`): then PostgreSQL evaluates the expression as a whole.
    whole: bool,
}

impl<C: Columns> Planner<'_, C> {
    /// The slot of a source; equal sources share one.
    fn slot(&mut self, encoding: Encoding, source: Source) -> usize {
        if let Some(slot) = self.sources.iter().position(|s| *s == source) {
            return slot;
        }
        self.slots.push(encoding);
        self.sources.push(source);
        self.sources.len() - 1
    }

    fn chunks(&mut self, encoding: Encoding, column_id: i32, keys: Vec<(i64, i64)>) -> usize {
        self.slot(encoding, Source::Chunks { column_id, keys, edges: Vec::new() })
    }

    fn universe(&mut self) -> Node {
        let column_id = self.columns.universe();
        Node::Present(self.chunks(Encoding::Set, column_id, vec![(0, 0)]))
    }

    /// The live profiles that are not in `set`.
    fn others(&mut self, set: Node) -> Node {
        match set {
            Node::Empty => self.universe(),
            set => Node::AndNot(Box::new(self.universe()), Box::new(set)),
        }
    }

    /// Everybody or nobody.
    fn constant(&mut self, all: bool) -> Node {
        if all { self.universe() } else { Node::Empty }
    }

    /// The set for `outcome` of a predicate that is never NULL and is true for `set`.
    fn two_valued(&mut self, set: Node, outcome: Outcome) -> Node {
        match outcome {
            Outcome::True => set,
            Outcome::False => self.others(set),
        }
    }

    fn compile(&mut self, expr: &Expr, outcome: Outcome) -> Result<Node, C::Error> {
        let node = match &expr.node {
            Ast::Boolean(value) => self.constant(*value == (outcome == Outcome::True)),
            Ast::Null => Node::Empty,
            Ast::Not(inner) => self.compile(inner, outcome.opposite())?,
            Ast::And(terms) | Ast::Or(terms) => {
                let sets = terms.iter().map(|t| self.compile(t, outcome)).collect::<Result<Vec<_>, _>>()?;
                let conjunction = matches!(expr.node, Ast::And(_)) == (outcome == Outcome::True);
                if conjunction { intersection(sets) } else { union(sets) }
            }
            Ast::Between { value, low, high, negated } => {
                let bounds = Expr {
                    node: Ast::And(vec![compare(Comparison::GtEq, value, low), compare(Comparison::LtEq, value, high)]),
                    ty: Type::Boolean,
                    at: expr.at,
                };
                self.compile(&bounds, if *negated { outcome.opposite() } else { outcome })?
            }
            Ast::In { value, list, negated } => {
                let outcome = if *negated { outcome.opposite() } else { outcome };
                match self.attribute_in(value, list, outcome)? {
                    Some(node) => node,
                    None => {
                        let terms: Vec<Expr> = list.iter().map(|item| compare(Comparison::Eq, value, item)).collect();
                        let sets = terms.iter().map(|t| self.compile(t, outcome)).collect::<Result<Vec<_>, _>>()?;
                        if outcome == Outcome::True { union(sets) } else { intersection(sets) }
                    }
                }
            }
            Ast::Any { value, set } => match self.element(value, set, outcome)? {
                Some(node) => node,
                None => self.leaf(expr, outcome)?,
            },
            Ast::IsBoolean { value, truth, negated } => {
                let set = self.compile(value, if *truth { Outcome::True } else { Outcome::False })?;
                self.two_valued(set, if *negated { outcome.opposite() } else { outcome })
            }
            Ast::IsNull { value, negated } => {
                let outcome = if *negated { outcome.opposite() } else { outcome };
                match self.present(value)? {
                    // `x IS NULL` is true for everybody without a value.
                    Some(present) => self.two_valued(present, outcome.opposite()),
                    None => return self.leaf(expr, if *negated { outcome.opposite() } else { outcome }),
                }
            }
            Ast::Case { operand: None, branches, otherwise } if expr.ty == Type::Boolean => {
                let null = Expr { node: Ast::Null, ty: Type::Boolean, at: expr.at };
                self.case(branches, otherwise.as_deref().unwrap_or(&null), outcome)?
            }
            Ast::Compare { op, left, right } => self.comparison(expr, *op, left, right, outcome)?,
            Ast::InSegment(name) => match self.columns.segment(name) {
                Some(column_id) => {
                    let set = Node::Present(self.chunks(Encoding::Set, column_id, vec![(0, 0)]));
                    self.two_valued(set, outcome)
                }
                None => self.leaf(expr, outcome)?,
            },
            _ => self.leaf(expr, outcome)?,
        };
        Ok(node)
    }

    /// CASE: the branch of the first condition that is true (neither false nor NULL).
    fn case(&mut self, branches: &[(Expr, Expr)], otherwise: &Expr, outcome: Outcome) -> Result<Node, C::Error> {
        let mut taken: Vec<Node> = Vec::new();
        let mut sets = Vec::new();
        for (condition, value) in branches {
            let here = self.compile(condition, Outcome::True)?;
            let value = self.compile(value, outcome)?;
            sets.push(without(intersection(vec![here.clone(), value]), &taken));
            taken.push(here);
        }
        let value = self.compile(otherwise, outcome)?;
        sets.push(without(value, &taken));
        Ok(union(sets))
    }

    fn comparison(
        &mut self,
        expr: &Expr,
        op: Comparison,
        left: &Expr,
        right: &Expr,
        outcome: Outcome,
    ) -> Result<Node, C::Error> {
        if is_constant(left) && !is_constant(right) {
            return self.comparison(expr, mirrored(op), right, left, outcome);
        }
        if matches!(right.node, Ast::Null) || matches!(left.node, Ast::Null) {
            return Ok(Node::Empty);
        }
        if !is_constant(right) {
            return self.leaf(expr, outcome);
        }
        match &left.node {
            // CASE … END = constant: compare in each branch.
            Ast::Case { operand: None, branches, otherwise } => {
                let branches: Vec<(Expr, Expr)> =
                    branches.iter().map(|(condition, value)| (condition.clone(), compare(op, value, right))).collect();
                let null = Expr { node: Ast::Null, ty: left.ty, at: left.at };
                let otherwise = compare(op, otherwise.as_deref().unwrap_or(&null), right);
                self.case(&branches, &otherwise, outcome)
            }
            // coalesce(x, k) = constant: x where there is one, else k.
            Ast::Call { function: crate::expr::ast::Function::Coalesce, arguments } => {
                let mut branches = Vec::new();
                for argument in arguments {
                    let known = Expr {
                        node: Ast::IsNull { value: Box::new(argument.clone()), negated: true },
                        ty: Type::Boolean,
                        at: argument.at,
                    };
                    branches.push((known, compare(op, argument, right)));
                }
                let null = Expr { node: Ast::Null, ty: Type::Boolean, at: left.at };
                self.case(&branches, &null, outcome)
            }
            Ast::Aggregate(aggregate) => match self.aggregate(aggregate, op, right, outcome)? {
                Some(node) => Ok(node),
                None => self.scan(expr, outcome),
            },
            Ast::Attribute(name) => match self.attribute_compare(name, left, op, right, outcome)? {
                Some(node) => Ok(node),
                None => self.leaf(expr, outcome),
            },
            _ if is_constant(left) => match constant_comparison(op, left, right) {
                Some(result) => Ok(self.constant(result == (outcome == Outcome::True))),
                None => self.leaf(expr, outcome),
            },
            _ => self.leaf(expr, outcome),
        }
    }

    /// A predicate over one coded attribute is answered by its dictionary; anything else by a scan.
    fn leaf(&mut self, expr: &Expr, outcome: Outcome) -> Result<Node, C::Error> {
        if can_fail(expr) {
            self.whole = true;
        }
        if self.whole {
            return Ok(Node::Empty);
        }
        match self.dictionary_leaf(expr, outcome)? {
            Some(node) => Ok(node),
            None => self.scan(expr, outcome),
        }
    }

    fn scan(&mut self, expr: &Expr, outcome: Outcome) -> Result<Node, C::Error> {
        if can_fail(expr) {
            self.whole = true;
        }
        if self.whole {
            return Ok(Node::Empty);
        }
        let query = match outcome {
            Outcome::True => self.columns.scan(expr)?,
            Outcome::False => {
                self.columns.scan(&Expr { node: Ast::Not(Box::new(expr.clone())), ty: Type::Boolean, at: expr.at })?
            }
        };
        Ok(Node::Present(self.slot(Encoding::Set, Source::Query(query))))
    }

    /// The profiles that have a value for the expression; `None` when bits cannot tell.
    fn present(&mut self, value: &Expr) -> Result<Option<Node>, C::Error> {
        match &value.node {
            Ast::Attribute(name) => Ok(self.attribute_present(name)),
            Ast::Aggregate(aggregate) => self.aggregate_present(aggregate),
            _ if is_constant(value) => {
                let all = !matches!(value.node, Ast::Null);
                Ok(Some(self.constant(all)))
            }
            _ => Ok(None),
        }
    }
}

/// Whether evaluating the expression can raise an error for some values: division, overflow, casts. What stands in a FILTER is evaluated for every event
/// whatever the rest says, here as in SQL.
fn can_fail(expr: &Expr) -> bool {
    use crate::expr::ast::Function;
    match &expr.node {
        Ast::Arithmetic { .. } | Ast::Cast { .. } | Ast::Negate(_) if !is_constant(expr) => true,
        Ast::Call {
            function: Function::Abs | Function::Round | Function::DateTrunc | Function::Extract(_), ..
        } => true,
        Ast::Like { pattern, .. } if !matches!(&pattern.node, Ast::Text(text) if !text.contains('\\')) => true,
        Ast::Aggregate(_) | Ast::Sequence(_) => false,
        _ => walk::children(expr).into_iter().any(can_fail),
    }
}

/// Whether the expression is a literal (constants are folded before planning).
fn is_constant(expr: &Expr) -> bool {
    match &expr.node {
        Ast::Null | Ast::Boolean(_) | Ast::Number(_) | Ast::Text(_) => true,
        Ast::Negate(inner) => matches!(inner.node, Ast::Number(_)),
        _ => false,
    }
}

/// The number a literal stands for, with its sign.
fn number_text(expr: &Expr) -> Option<String> {
    match &expr.node {
        Ast::Number(text) => Some(text.clone()),
        Ast::Text(text) if matches!(expr.ty, Type::Bigint | Type::Numeric) => Some(text.clone()),
        Ast::Negate(inner) => match &inner.node {
            Ast::Number(text) => Some(format!("-{text}")),
            _ => None,
        },
        _ => None,
    }
}

/// Comparison of two literals where bytes decide: equality of text and booleans, order of numbers.
fn constant_comparison(op: Comparison, left: &Expr, right: &Expr) -> Option<bool> {
    if let (Some(l), Some(r)) = (number_text(left), number_text(right)) {
        let order = decimal::compare(&l, &r)?;
        return Some(holds(op, order));
    }
    match (&left.node, &right.node) {
        (Ast::Boolean(l), Ast::Boolean(r)) => Some(holds(op, l.cmp(r))),
        (Ast::Text(l), Ast::Text(r)) if left.ty == Type::Text && right.ty == Type::Text => match op {
            Comparison::Eq => Some(l == r),
            Comparison::NotEq => Some(l != r),
            // Order depends on the collation: PostgreSQL decides.
            _ => None,
        },
        _ => None,
    }
}

fn holds(op: Comparison, order: std::cmp::Ordering) -> bool {
    match op {
        Comparison::Eq => order.is_eq(),
        Comparison::NotEq => order.is_ne(),
        Comparison::Lt => order.is_lt(),
        Comparison::LtEq => order.is_le(),
        Comparison::Gt => order.is_gt(),
        Comparison::GtEq => order.is_ge(),
    }
}

fn mirrored(op: Comparison) -> Comparison {
    match op {
        Comparison::Eq => Comparison::Eq,
        Comparison::NotEq => Comparison::NotEq,
        Comparison::Lt => Comparison::Gt,
        Comparison::LtEq => Comparison::GtEq,
        Comparison::Gt => Comparison::Lt,
        Comparison::GtEq => Comparison::LtEq,
    }
}

fn compare(op: Comparison, left: &Expr, right: &Expr) -> Expr {
    Expr {
        node: Ast::Compare { op, left: Box::new(left.clone()), right: Box::new(right.clone()) },
        ty: Type::Boolean,
        at: left.at,
    }
}

fn union(sets: Vec<Node>) -> Node {
    let mut flat = Vec::with_capacity(sets.len());
    for set in sets {
        match set {
            Node::Empty => {}
            Node::Or(inner) => flat.extend(inner),
            set => flat.push(set),
        }
    }
    match flat.len() {
        0 => Node::Empty,
        1 => flat.swap_remove(0),
        _ => Node::Or(flat),
    }
}

fn intersection(sets: Vec<Node>) -> Node {
    let mut flat = Vec::with_capacity(sets.len());
    for set in sets {
        match set {
            Node::Empty => return Node::Empty,
            Node::And(inner) => flat.extend(inner),
            set => flat.push(set),
        }
    }
    match flat.len() {
        0 => Node::Empty,
        1 => flat.swap_remove(0),
        _ => Node::And(flat),
    }
}

fn without(set: Node, taken: &[Node]) -> Node {
    match (set, union(taken.to_vec())) {
        (Node::Empty, _) => Node::Empty,
        (set, Node::Empty) => set,
        (set, taken) => Node::AndNot(Box::new(set), Box::new(taken)),
    }
}
