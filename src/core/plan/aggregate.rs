//! Leaves over one event aggregate: which part of its window and filter day columns can answer.

use super::{Columns, Edge, Outcome, Planner, Source, number_text, ranges, union};
use crate::cells::Encoding;
use crate::expr::ast::{Aggregate, AggregateFunction, Argument, Comparison, Expr, Node as Ast, Type};
use crate::program::{Measure, Node};

/// Whole days of a window: days since 2000-01-01, both inclusive; `first` is `None` when the window has no lower bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WholeDays {
    /// First whole day.
    pub first: Option<i32>,
    /// Last whole day.
    pub last: i32,
}

/// A part of a day that a window ends in, whichever is less to read: the part inside the window, to be added to the whole days; or the part outside, to be
/// taken out of its day, which then is among the whole days. Microseconds since 2000-01-01 UTC, first and last inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EdgeWindow {
    /// The day.
    pub day: i32,
    /// First microsecond of the day.
    pub begins: i64,
    /// Last microsecond of the day.
    pub ends: i64,
    /// Whether the part is taken out of the day; else it is added.
    pub taken_out: bool,
    /// First microsecond.
    pub from: i64,
    /// Last microsecond.
    pub to: i64,
}

/// Bias that keeps the day in a key non-negative.
const DAY_BIAS: i64 = 1 << 31;

/// Before the earliest event there can be, in microseconds since 2000-01-01 UTC (about 4650 BC); a day before it is still a timestamp.
const EARLIEST: i64 = -210_000_000_000_000_000;

/// The key of a code and day in a day column.
fn day_key(code: i64, day: i64) -> i64 {
    (code << 32) | (day + DAY_BIAS)
}

impl Edge {
    /// The keys that these events have in their day column, one for each value asked for.
    pub fn keys(&self) -> Vec<i64> {
        codes(&self.property).into_iter().map(|code| day_key(code, i64::from(self.window.day))).collect()
    }
}

/// The codes of the values of a property; that of all events without one.
fn codes(property: &Option<(String, Vec<(i32, String)>)>) -> Vec<i64> {
    match property {
        None => vec![0],
        Some((_, values)) => values.iter().map(|(code, _)| i64::from(*code)).collect(),
    }
}

/// A filter that day columns can answer: a window, and values of at most one tracked property.
struct Filter {
    from: Option<i64>,
    to: i64,
    property: Option<(String, Vec<String>)>,
    /// The filter can never be true.
    never: bool,
}

impl<C: Columns> Planner<'_, C> {
    /// `aggregate op literal`; `None` when day columns cannot answer it.
    pub(super) fn aggregate(
        &mut self,
        aggregate: &Aggregate,
        op: Comparison,
        literal: &Expr,
        outcome: Outcome,
    ) -> Result<Option<Node>, C::Error> {
        let Some(constant) = number_text(literal) else { return Ok(None) };
        let Some(sum) = function(aggregate) else { return Ok(None) };
        let Some((slot, scale)) = self.day_slot(aggregate)? else { return Ok(None) };
        let Some(bounds) = ranges(op, &constant, if sum { scale } else { 0 }) else { return Ok(None) };
        // The smallest and largest total; outside them the counters cannot go.
        let mut sets = Vec::new();
        let mut zero = false;
        for range in bounds {
            if sum {
                sets.push(Node::Tally { slot, measure: Measure::Sum, low: range.low, high: range.high });
                continue;
            }
            zero |= range.low <= 0 && range.high >= 0;
            if range.high >= 1 {
                sets.push(Node::Tally { slot, measure: Measure::Count, low: range.low.max(1), high: range.high });
            }
        }
        let set = union(sets);
        if sum {
            // The sum of no values is NULL: neither true nor false.
            return Ok(Some(match (outcome, set) {
                (Outcome::True, set) => set,
                (Outcome::False, Node::Empty) => Node::Present(slot),
                (Outcome::False, set) => Node::AndNot(Box::new(Node::Present(slot)), Box::new(set)),
            }));
        }
        // A count is never NULL; whoever has no event has 0.
        let set = if zero {
            let nobody = self.others(Node::Present(slot));
            union(vec![nobody, set])
        } else {
            set
        };
        Ok(Some(self.two_valued(set, outcome)))
    }

    /// The profiles for which the aggregate is not NULL; `None` when day columns cannot tell.
    pub(super) fn aggregate_present(&mut self, aggregate: &Aggregate) -> Result<Option<Node>, C::Error> {
        match function(aggregate) {
            Some(false) => Ok(Some(self.universe())),
            Some(true) => Ok(self.day_slot(aggregate)?.map(|(slot, _)| Node::Present(slot))),
            None => Ok(None),
        }
    }

    /// The slot that holds the days and edges of the aggregate, and the scale of its measure.
    fn day_slot(&mut self, aggregate: &Aggregate) -> Result<Option<(usize, u32)>, C::Error> {
        let measure = match &aggregate.argument {
            Argument::Rows => None,
            Argument::Property(name) => Some(name.as_str()),
            Argument::Time => return Ok(None),
        };
        let Some(filter) = self.filter(aggregate.filter.as_ref())? else { return Ok(None) };
        let property = filter.property.as_ref().map(|(name, _)| name.as_str());
        let Some(column) = self.columns.days(&aggregate.event, property, measure) else { return Ok(None) };
        if filter.never || filter.from.is_some_and(|from| from > filter.to) {
            let slot = self
                .slot(Encoding::Number, Source::Chunks { column_id: column.column_id, keys: vec![], edges: vec![] });
            return Ok(Some((slot, column.scale)));
        }
        let values = match &filter.property {
            None => None,
            Some((name, values)) => Some((name.clone(), self.columns.property_codes(&aggregate.event, name, values)?)),
        };
        let codes = codes(&values);
        let (whole, windows) = self.columns.split(filter.from, filter.to)?;
        let mut keys = Vec::new();
        if let Some(days) = whole {
            for code in codes {
                let first = days.first.map_or(-DAY_BIAS, i64::from);
                keys.push((day_key(code, first), day_key(code, i64::from(days.last))));
            }
        }
        let edge = |window| Edge {
            column_id: column.column_id,
            event: aggregate.event.clone(),
            property: values.clone(),
            measure: measure.map(str::to_owned),
            scale: column.scale,
            window,
        };
        let edges = windows.into_iter().map(edge).collect();
        let slot = self.slot(Encoding::Number, Source::Chunks { column_id: column.column_id, keys, edges });
        Ok(Some((slot, column.scale)))
    }

    /// Reads a FILTER as a window and values of one property; `None` when it says anything else.
    fn filter(&mut self, filter: Option<&Expr>) -> Result<Option<Filter>, C::Error> {
        let mut out = Filter { from: None, to: self.columns.now(), property: None, never: false };
        let terms: Vec<&Expr> = match filter {
            None => Vec::new(),
            Some(Expr { node: Ast::And(terms), .. }) => terms.iter().collect(),
            Some(term) => vec![term],
        };
        for term in terms {
            let understood = match &term.node {
                Ast::Boolean(value) => {
                    out.never |= !value;
                    true
                }
                Ast::Compare { op, left, right } => match (&left.node, &right.node) {
                    (Ast::EventTime, _) => self.bound(&mut out, *op, right)?,
                    (_, Ast::EventTime) => self.bound(&mut out, super::mirrored(*op), left)?,
                    (Ast::Property(name), _) if *op == Comparison::Eq => {
                        values(&mut out, name, left, std::slice::from_ref(right))
                    }
                    (_, Ast::Property(name)) if *op == Comparison::Eq => {
                        values(&mut out, name, right, std::slice::from_ref(left))
                    }
                    _ => false,
                },
                Ast::Between { value, low, high, negated: false } if matches!(value.node, Ast::EventTime) => {
                    self.bound(&mut out, Comparison::GtEq, low)? && self.bound(&mut out, Comparison::LtEq, high)?
                }
                Ast::In { value, list, negated: false } => match &value.node {
                    Ast::Property(name) => values(&mut out, name, value, list),
                    _ => false,
                },
                _ => false,
            };
            if !understood {
                return Ok(None);
            }
        }
        Ok(Some(out))
    }

    fn bound(&mut self, filter: &mut Filter, op: Comparison, literal: &Expr) -> Result<bool, C::Error> {
        if matches!(literal.node, Ast::Null) {
            filter.never = true;
            return Ok(true);
        }
        let Ast::Text(text) = &literal.node else { return Ok(false) };
        if literal.ty != Type::Timestamptz {
            return Ok(false);
        }
        let Some(moment) = self.columns.moment(Type::Timestamptz, text)? else { return Ok(false) };
        // Timestamps are whole microseconds, so an open bound is the next closed one.
        let (from, to) = match op {
            Comparison::GtEq => (Some(moment), None),
            Comparison::Gt => (moment.checked_add(1), None),
            Comparison::LtEq => (None, Some(moment)),
            Comparison::Lt => (None, moment.checked_sub(1)),
            Comparison::Eq => (Some(moment), Some(moment)),
            Comparison::NotEq => return Ok(false),
        };
        if from.is_none() && to.is_none() {
            filter.never = true;
        }
        // No event is that early: such a lower bound says nothing, such an upper one leaves nothing.
        let from = from.filter(|from| *from >= EARLIEST);
        filter.never |= to.is_some_and(|to| to < EARLIEST);
        filter.from = filter.from.max(from);
        if let Some(to) = to {
            filter.to = filter.to.min(to);
        }
        Ok(true)
    }
}

/// Whether day columns know the function: `Some(true)` for a sum, `Some(false)` for a count.
fn function(aggregate: &Aggregate) -> Option<bool> {
    match (aggregate.function, &aggregate.argument) {
        (AggregateFunction::Count, Argument::Rows | Argument::Property(_)) => Some(false),
        (AggregateFunction::Sum, Argument::Property(_)) => Some(true),
        _ => None,
    }
}

/// Takes `property = literal` or `property IN (literals)` into the filter, if it is the first and only such term.
fn values(filter: &mut Filter, name: &str, property: &Expr, literals: &[impl std::borrow::Borrow<Expr>]) -> bool {
    if filter.property.is_some() {
        return false;
    }
    let mut texts = Vec::with_capacity(literals.len());
    for literal in literals {
        let literal: &Expr = literal.borrow();
        match &literal.node {
            // NULL in the list adds nothing that is true.
            Ast::Null => {}
            Ast::Text(text) if literal.ty == Type::Text && property.ty == Type::Text => texts.push(text.clone()),
            Ast::Boolean(value) if property.ty == Type::Boolean => texts.push(value.to_string()),
            _ => return false,
        }
    }
    texts.sort();
    texts.dedup();
    filter.property = Some((name.to_owned(), texts));
    true
}
