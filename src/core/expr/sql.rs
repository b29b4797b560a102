//! Tree to plain SQL over the public views: what `cdp_segment_sql()` shows, and the meaning every other executor is
//! tested against. Only checked trees ([`super::check`]) print correctly: the text of a node depends on its type.
//!
//! Promise: PostgreSQL gives the printed text the type the check gave the tree. Where PostgreSQL would read a whole
//! number as `integer`, and that would change the result (`2000000000 + 2000000000`), the text says `::bigint`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::ast::{Aggregate, AggregateFunction, Argument, Expr, Function, Node, Operator, Type};
use super::check::Catalog;
use super::print::{Style, aggregate_name, level, quote_name, quote_text, type_name, write};
use super::walk;

/// What printing needs to know beside the tree.
pub struct SqlContext<'a> {
    /// The schema of the workspace, already quoted.
    pub schema: &'a str,
    /// The moment of evaluation as the text of a timestamptz; `None` for `now()`.
    pub now: Option<&'a str>,
    /// The catalog the tree was checked against; gives the types of the properties of aggregates.
    pub catalog: &'a dyn Catalog,
    /// Prints for one profile instead of all.
    pub point: Option<Point<'a>>,
    /// Prints about the groups of an entity type instead of people; never together with `point`.
    pub group: Option<Group<'a>>,
}

/// An entity type whose groups are asked about. `profile_id` is the number of a group then, and what its members did is what it did.
#[derive(Clone, Copy)]
pub struct Group<'a> {
    /// Its name.
    pub name: &'a str,
    /// The view with a row for each group, already quoted, without its schema.
    pub view: &'a str,
}

impl SqlContext<'_> {
    /// What a query of profiles is FROM.
    fn profiles(&self) -> String {
        let schema = self.schema;
        match self.group {
            None => format!("{schema}.profiles"),
            Some(group) => format!("(SELECT g.group_id AS profile_id, g.* FROM {schema}.{} AS g)", group.view),
        }
    }

    /// What a query of events is FROM. `line` begins a line of that query.
    pub(super) fn events(&self, line: &str) -> String {
        let Some(group) = self.group else { return format!("{}.events", self.schema) };
        let rows =
            self.of_members(group, "events", "e", "e.event_id, e.event, e.at, e.properties", &format!("{line}  "));
        format!("({line}  {rows}{line}) AS e")
    }

    /// What a query of identifiers is FROM, with its alias.
    fn identifiers(&self) -> String {
        match self.group {
            None => format!("{}.identifiers AS i", self.schema),
            Some(group) => format!("({}) AS i", self.of_members(group, "identifiers", "i", "i.type", " ")),
        }
    }

    /// Columns of those rows of a view that are of members, by the number of their group as `profile_id`.
    fn of_members(&self, group: Group<'_>, view: &str, alias: &str, columns: &str, line: &str) -> String {
        let schema = self.schema;
        format!(
            "SELECT m.group_id AS profile_id, {columns}{line}FROM {schema}.entity_members AS m JOIN {schema}.{view} AS {alias} USING (profile_id){line}WHERE m.entity = {}",
            quote_text(group.name)
        )
    }
}

/// The one profile a query is about. Every part of the query is narrowed to it.
#[derive(Clone, Copy)]
pub struct Point<'a> {
    /// SQL of its number, for example `$1`.
    pub profile: &'a str,
    /// SQL telling whether it is in a segment; `None`: from the view of the members.
    pub in_segment: &'a dyn Fn(&str) -> Option<String>,
    /// SQL of the moment of evaluation, instead of its text.
    pub now: Option<&'a str>,
}

/// A query with one row for each profile that `filter` keeps (all without one): `profile_id`, then a column for each of
/// `columns` under its alias.
pub fn select_sql(columns: &[(&str, &Expr)], filter: Option<&Expr>, ctx: &SqlContext<'_>) -> String {
    let style = Plain::over(ctx, None);
    let mut list = String::from("SELECT p.profile_id");
    for (alias, e) in columns {
        let mut text = String::new();
        write(&whole(e), level::ANY, &style, &mut text);
        let _ = write!(list, ",\n       {text} AS {}", quoted(alias));
    }
    let mut condition = match ctx.point {
        None => String::new(),
        Some(point) => format!("\nWHERE p.profile_id = {}", point.profile),
    };
    let first = if condition.is_empty() { "\nWHERE " } else { "\n  AND " };
    match filter.map(|f| lower(f, true)) {
        None => {}
        Some(Expr { node: Node::And(terms), .. }) => conjunction(&terms, first, &style, &mut condition),
        Some(e) => {
            condition.push_str(first);
            write(&e, if ctx.point.is_some() { level::NOT } else { level::ANY }, &style, &mut condition);
        }
    }
    let named = columns.iter().map(|(_, e)| *e).chain(filter).flat_map(attributes).collect();
    let mut out = format!("{list}\nFROM {} AS p", style.profiles(named));
    for (i, join) in style.joins.take().into_iter().enumerate() {
        let n = i + 1;
        let _ = write!(out, "\nLEFT JOIN (\n{join}\n) AS e{n} ON e{n}.profile_id = p.profile_id");
    }
    out + &condition
}

/// A scalar with its attributes replaced by the SQL that `attribute` gives for them (`None`: the column of `profiles`
/// aliased `p`). The tree must hold no aggregate; one prints as a column of a join that is not there.
pub fn scalar_sql(expr: &Expr, ctx: &SqlContext<'_>, attribute: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    write(&whole(expr), level::ANY, &Plain::over(ctx, Some(attribute)), &mut out);
    out
}

/// The events of one profile that have a part in a sequence, see [`super::progress`].
pub fn sequence_events_sql(sequence: &super::ast::Sequence, ctx: &SqlContext<'_>) -> String {
    super::sequence_sql::progress(sequence, &Plain::over(ctx, None))
}

/// A constant, see [`super::fold::constants`].
pub fn constant_sql(expr: &Expr, ctx: &SqlContext<'_>) -> String {
    scalar_sql(expr, ctx, &|_| None)
}

/// The replacement of attributes, when there is one.
type Replace<'a> = Option<&'a dyn Fn(&str) -> Option<String>>;

pub(super) struct Plain<'a> {
    pub(super) ctx: &'a SqlContext<'a>,
    attribute: Replace<'a>,
    /// The event of the FILTER being printed.
    event: Option<&'a str>,
    /// One subquery for each distinct aggregate; `e1` is the first.
    joins: RefCell<Vec<String>>,
}

/// Whether a value is made of events, and so comes from an outer join.
fn measured(e: &Expr) -> bool {
    matches!(e.node, Node::Aggregate(_)) || walk::children(e).into_iter().any(measured)
}

impl Style for Plain<'_> {
    fn own(&self, e: &Expr) -> Option<(String, u8)> {
        Some(match &e.node {
            Node::Attribute(name) => {
                let text = match self.attribute.and_then(|f| f(name)) {
                    Some(text) => text,
                    None => format!("p.{}", column(name)),
                };
                (text, level::PRIMARY)
            }
            Node::Now => (self.now(), level::PRIMARY),
            Node::CurrentDate => match self.ctx.now {
                None => (self.today(), level::PRIMARY),
                Some(_) => (self.today(), level::CAST),
            },
            Node::Property(name) => {
                let ty = match (e.ty, self.event) {
                    (Type::Unknown, Some(event)) => self.ctx.catalog.property(event, name).unwrap_or(Type::Text),
                    (ty, _) => ty,
                };
                match self.event {
                    Some(event) if self.other_type(event, name, ty) => (
                        format!("CASE WHEN event = {} THEN {} END", quote_text(event), property(name, ty).0),
                        level::PRIMARY,
                    ),
                    _ => property(name, ty),
                }
            }
            // Nothing is in an empty set, NULL included, which PostgreSQL forgets when it looks for outer joins that may be inner ones: it takes this for NULL then, and whoever has no such
            // event would be lost below IS FALSE and its like. It does not look into CASE.
            Node::Any { value, set } if measured(value) => {
                let (value, set) = (self.text(value, level::RANGE), self.text(set, level::ADD));
                (format!("CASE WHEN cardinality({set}) = 0 THEN false ELSE {value} = ANY ({set}) END"), level::PRIMARY)
            }
            // A list of its own, so that PostgreSQL reads the members once and not for every profile.
            Node::InSegment(name) => match self.ctx.point.and_then(|point| (point.in_segment)(name)) {
                Some(text) => (text, level::PRIMARY),
                None => (
                    format!(
                        "p.profile_id IN (SELECT m.profile_id FROM {}.segment_members AS m WHERE m.segment = {})",
                        self.ctx.schema,
                        quote_text(name)
                    ),
                    level::RANGE,
                ),
            },
            Node::HasIdentifier(name) => (
                format!(
                    "EXISTS (SELECT FROM {} WHERE i.type = {} AND i.profile_id = p.profile_id)",
                    self.ctx.identifiers(),
                    quote_text(name)
                ),
                level::PRIMARY,
            ),
            Node::Aggregate(a) => (self.reference(a), level::PRIMARY),
            Node::Sequence(s) => {
                (format!("{} IS NOT NULL", self.joined(super::sequence_sql::join(s, self))), level::IS)
            }
            Node::Call { function: Function::DaysToAnniversary, arguments } => {
                (self.anniversary(arguments), level::CAST)
            }
            Node::Cast { value, to } => match (value.ty, to) {
                // PostgreSQL casts boolean only to integer, and only integer to boolean.
                (Type::Boolean, Type::Bigint) => (self.text(value, level::CAST) + "::integer::bigint", level::CAST),
                (Type::Bigint, Type::Boolean) => (self.text(value, level::RANGE) + " <> 0", level::COMPARE),
                _ => return None,
            },
            // Days are added to a date as integer.
            Node::Arithmetic { op, left, right } if e.ty == Type::Date => {
                let side = |x: &Expr, least| match x.ty {
                    Type::Bigint if !integer(x) => self.text(x, level::CAST) + "::integer",
                    _ => self.text(x, least),
                };
                let sign = if *op == Operator::Plus { "+" } else { "-" };
                let (left, right) = (side(left, level::ADD), side(right, level::MULTIPLY));
                (format!("{left} {sign} {right}"), level::ADD)
            }
            _ => return None,
        })
    }
}

impl<'a> Plain<'a> {
    fn over(ctx: &'a SqlContext<'a>, attribute: Replace<'a>) -> Self {
        Self { ctx, attribute, event: None, joins: RefCell::new(Vec::new()) }
    }

    fn text(&self, e: &Expr, least: u8) -> String {
        let mut out = String::new();
        write(e, least, self, &mut out);
        out
    }

    /// The profiles with these attributes as they were at the moment of evaluation. Where that is now, or no earlier values are kept, it is the
    /// view; else an attribute is its last value kept from a moment that is not later, or the earliest kept.
    fn profiles(&self, named: BTreeMap<&str, Type>) -> String {
        let schema = self.ctx.schema;
        let number = |name: &str| self.ctx.now.and_then(|_| self.ctx.catalog.history(name));
        if named.keys().all(|name| number(name).is_none()) {
            return self.ctx.profiles();
        }
        let now = self.now();
        let (mut list, mut joins) = (String::from("(\n  SELECT q.profile_id"), String::new());
        for (i, (name, ty)) in named.into_iter().enumerate() {
            let (column, n) = (column(name), i + 1);
            let Some(number) = number(name) else {
                let _ = write!(list, ", q.{column}");
                continue;
            };
            let ty = type_name(ty);
            let _ = write!(
                list,
                ",\n         CASE WHEN h{n}.profile_id IS NULL THEN q.{column} ELSE h{n}.value::{ty} END AS {column}"
            );
            let _ = write!(
                joins,
                "\n  LEFT JOIN (\n    SELECT DISTINCT ON (profile_id) profile_id, value\n    FROM {schema}.attribute_history\n    WHERE attribute_id = {number}\n    \
                 ORDER BY profile_id, from_at <= {now} DESC, CASE WHEN from_at <= {now} THEN from_at END DESC, from_at\n  ) AS h{n} ON h{n}.profile_id = q.profile_id"
            );
        }
        format!("{list}\n  FROM {} AS q{joins}\n)", self.ctx.profiles())
    }

    /// Whether another event has a property of that name that cannot be read as this type. PostgreSQL may look at the
    /// properties of an event before it looks at its type.
    fn other_type(&self, event: &str, name: &str, ty: Type) -> bool {
        let catalog = self.ctx.catalog;
        ty != Type::Text
            && catalog
                .events()
                .iter()
                .any(|other| other != event && catalog.property(other, name).is_some_and(|t| t != ty))
    }

    /// Days from today to the next day with the month and day of a date. A date that PostgreSQL cannot add years to has
    /// none.
    fn anniversary(&self, arguments: &[Expr]) -> String {
        let day = match arguments {
            [x] if x.ty == Type::Date => self.text(x, level::ANY),
            [x] => self.text(x, level::CAST) + "::date",
            _ => "NULL::date".to_owned(),
        };
        let today = self.today();
        let of_year = |later: &str| {
            format!(
                "(x.d + make_interval(years => (extract(year FROM {today}) - extract(year FROM x.d))::integer{later}))::date"
            )
        };
        let (this, next) = (of_year(""), of_year(" + 1"));
        format!(
            "(SELECT CASE WHEN {this} >= {today} THEN {this} - {today} ELSE {next} - {today} END \
             FROM (SELECT CASE WHEN least(y.d, {today}) >= date '0001-01-01' AND y.d < date '100000-01-01' THEN y.d END AS d \
             FROM (SELECT {day} AS d) AS y) AS x)::bigint"
        )
    }

    fn today(&self) -> String {
        match self.ctx.now {
            None => "current_date".to_owned(),
            Some(_) => format!("{}::date", self.now()),
        }
    }

    pub(super) fn now(&self) -> String {
        if let Some(now) = self.ctx.point.and_then(|point| point.now) {
            return now.to_owned();
        }
        match self.ctx.now {
            None => "now()".to_owned(),
            Some(text) => format!("timestamptz {}", quote_text(text)),
        }
    }

    /// The column an aggregate is found in; makes its join unless the same one is there.
    fn reference(&self, a: &Aggregate) -> String {
        let value = self.joined(self.join(a));
        match a.function {
            AggregateFunction::Count | AggregateFunction::CountDistinct => {
                format!("coalesce({value}, 0)")
            }
            _ => value,
        }
    }

    /// The value of a subquery that is joined; makes the join unless the same one is there.
    fn joined(&self, join: String) -> String {
        let mut joins = self.joins.borrow_mut();
        let index = joins.iter().position(|j| *j == join).unwrap_or_else(|| {
            joins.push(join);
            joins.len() - 1
        });
        format!("e{}.value", index + 1)
    }

    /// The style of what stands inside a FILTER of this event.
    pub(super) fn inside(&self, event: &'a str) -> Plain<'a> {
        Plain { ctx: self.ctx, attribute: None, event: Some(event), joins: RefCell::default() }
    }

    /// The condition that narrows events to the one profile asked about, if there is one.
    pub(super) fn only(&self, before: &str) -> String {
        self.ctx.point.map_or(String::new(), |point| format!("{before}AND profile_id = {}", point.profile))
    }

    fn join(&self, a: &Aggregate) -> String {
        let inside = Plain { ctx: self.ctx, attribute: None, event: Some(&a.event), joins: RefCell::default() };
        let over = match &a.argument {
            Argument::Rows => "*".to_owned(),
            Argument::Time => "at".to_owned(),
            Argument::Property(name) => {
                property(name, self.ctx.catalog.property(&a.event, name).unwrap_or(Type::Text)).0
            }
        };
        let value = match a.function {
            AggregateFunction::CountDistinct => format!("count(DISTINCT {over})"),
            AggregateFunction::First => {
                format!("(array_agg({over} ORDER BY at, event_id) FILTER (WHERE {over} IS NOT NULL))[1]")
            }
            AggregateFunction::Last => {
                format!("(array_agg({over} ORDER BY at DESC, event_id DESC) FILTER (WHERE {over} IS NOT NULL))[1]")
            }
            f => format!("{}({over})", aggregate_name(f)),
        };
        let mut out = format!(
            "  SELECT profile_id, {value} AS value\n  FROM {}\n  WHERE event = {}\n    AND at <= {}",
            self.ctx.events("\n  "),
            quote_text(&a.event),
            self.now()
        );
        out.push_str(&self.only("\n    "));
        match a.filter.as_ref().map(|f| lower(f, true)) {
            None => {}
            Some(Expr { node: Node::And(terms), .. }) => conjunction(&terms, "\n    AND ", &inside, &mut out),
            Some(e) => conjunction(std::slice::from_ref(&e), "\n    AND ", &inside, &mut out),
        }
        out + "\n  GROUP BY profile_id"
    }
}

/// One term a line; `first` stands before the first of them.
fn conjunction(terms: &[Expr], first: &str, style: &Plain<'_>, out: &mut String) {
    let next = if first.contains("WHERE") { "\n  AND " } else { first };
    for (i, term) in terms.iter().enumerate() {
        out.push_str(if i == 0 { first } else { next });
        write(term, level::NOT, style, out);
    }
}

/// A value of the jsonb `properties`, as its type.
pub(super) fn property(name: &str, ty: Type) -> (String, u8) {
    let text = format!("(properties->>{})", quote_text(name));
    match ty {
        Type::Text | Type::Unknown => (text, level::PRIMARY),
        ty => (format!("{text}::{}", type_name(ty)), level::CAST),
    }
}

/// A column name as `quote_ident()` writes it.
/// The attributes that an expression names, with their types.
fn attributes(expr: &Expr) -> BTreeMap<&str, Type> {
    let mut named = BTreeMap::new();
    let mut waiting = vec![expr];
    while let Some(expr) = waiting.pop() {
        if let Node::Attribute(name) = &expr.node {
            named.insert(name.as_str(), expr.ty);
        }
        waiting.extend(walk::children(expr));
    }
    named
}

fn column(name: &str) -> String {
    if name.is_ascii() { quote_name(name) } else { quoted(name) }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A tree whose text stands alone and therefore must have its type by itself.
fn whole(e: &Expr) -> Expr {
    bigint(lower(e, true))
}

/// The same tree with the casts written out that the text needs. `exact` is false where only the value matters, beside
/// a comparison; there `5` stays `5`.
pub(super) fn lower(e: &Expr, exact: bool) -> Expr {
    let beside = match e.node {
        Node::Compare { .. }
        | Node::Any { .. }
        | Node::In { .. }
        | Node::Between { .. }
        | Node::Like { .. }
        | Node::IsNull { .. } => true,
        Node::Cast { .. } => true,
        Node::Negate(_) => !exact,
        _ => false,
    };
    let mut e = e.clone();
    for child in walk::children_mut(&mut e) {
        // An aggregate lowers its own FILTER when it is printed.
        *child = lower(child, !beside);
    }
    let both = |a: &Expr, b: &Expr| integer(a) && integer(b);
    match &mut e.node {
        Node::Null if exact && e.ty != Type::Unknown => return cast(e, None),
        Node::Number(n) if exact && e.ty == Type::Numeric && n.parse::<i64>().is_ok() => {
            return cast(e, None);
        }
        Node::Arithmetic { left, right, .. } if e.ty == Type::Bigint && both(left, right) => {
            in_place(left, bigint);
        }
        Node::Arithmetic { op: Operator::Minus, left, right } if e.ty == Type::Interval => {
            for side in [left, right] {
                if side.ty == Type::Date {
                    in_place(side, |x| cast(x, Some(Type::Timestamptz)));
                }
            }
        }
        Node::Case { branches, otherwise, .. } if e.ty == Type::Bigint => {
            let results = branches.iter_mut().map(|(_, then)| then).chain(otherwise.iter_mut().map(|x| &mut **x));
            settle(results.collect());
        }
        Node::Call { function, arguments } => match function {
            Function::Coalesce | Function::Least | Function::Greatest if e.ty == Type::Bigint => {
                settle(arguments.iter_mut().collect());
            }
            Function::NullIf | Function::Abs => arguments.iter_mut().take(1).for_each(|x| in_place(x, bigint)),
            Function::Round => arguments.iter_mut().take(1).for_each(|x| {
                if x.ty != Type::Numeric {
                    in_place(x, |x| cast(x, Some(Type::Numeric)));
                }
            }),
            Function::DateTrunc => arguments.iter_mut().skip(1).for_each(|x| {
                if x.ty == Type::Date {
                    in_place(x, |x| cast(x, Some(Type::Timestamptz)));
                }
            }),
            _ => {}
        },
        _ => {}
    }
    e
}

/// Makes one of several results a bigint when PostgreSQL would call them all integer.
fn settle(results: Vec<&mut Expr>) {
    if results.iter().all(|x| integer(x))
        && let Some(first) = results.into_iter().next()
    {
        in_place(first, bigint);
    }
}

/// Whether PostgreSQL reads the text of a bigint as `integer`.
fn integer(e: &Expr) -> bool {
    if e.ty != Type::Bigint {
        return false;
    }
    match &e.node {
        Node::Number(n) => n.parse::<i32>().is_ok(),
        Node::Negate(x) => match &x.node {
            // The smallest integer is one only with its sign.
            Node::Number(n) => n.parse::<i64>().is_ok_and(|n| n <= 1 << 31),
            _ => integer(x),
        },
        Node::Arithmetic { left, .. } => left.ty == Type::Date,
        Node::Call { function: Function::Cardinality, .. } => true,
        _ => false,
    }
}

fn bigint(e: Expr) -> Expr {
    if integer(&e) { cast(e, Some(Type::Bigint)) } else { e }
}

fn cast(e: Expr, to: Option<Type>) -> Expr {
    let (ty, at) = (to.unwrap_or(e.ty), e.at);
    Expr { node: Node::Cast { value: Box::new(e), to: ty }, ty, at }
}

fn in_place(e: &mut Expr, change: impl FnOnce(Expr) -> Expr) {
    let empty = Expr { node: Node::Null, ty: Type::Unknown, at: 0 };
    let old = std::mem::replace(e, empty);
    *e = change(old);
}

#[cfg(test)]
#[path = "sql_test.rs"]
mod tests;

#[cfg(test)]
#[path = "group_test.rs"]
mod group_tests;
