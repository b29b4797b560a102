//! Tree to canonical text. Promise: the text parses back to the same tree, up to positions and types, with no more
//! parentheses than that needs.
//!
//! The plain-SQL printer ([`super::sql`]) is this one with other words for names and literals: `Style`.

use super::ast::{Aggregate, AggregateFunction, Argument, Comparison, Expr, Function, Node, Operator, Sequence, Type};

/// Binding strengths, weakest first; PostgreSQL's order of precedence.
pub(super) mod level {
    /// Anything goes: inside parentheses, between commas.
    pub const ANY: u8 = 0;
    pub const OR: u8 = 1;
    pub const AND: u8 = 2;
    pub const NOT: u8 = 3;
    pub const IS: u8 = 4;
    pub const COMPARE: u8 = 5;
    /// BETWEEN, IN, LIKE
    pub const RANGE: u8 = 6;
    pub const ADD: u8 = 7;
    pub const MULTIPLY: u8 = 8;
    pub const NEGATE: u8 = 9;
    pub const CAST: u8 = 10;
    /// Names, literals, calls: never in parentheses.
    pub const PRIMARY: u8 = 11;
}

/// The canonical text of `expr`.
pub fn print(expr: &Expr) -> String {
    let mut out = String::new();
    write(expr, level::ANY, &Canonical, &mut out);
    out
}

/// What differs between the texts a tree can be printed as.
pub(super) trait Style {
    /// The text of `expr` and how strongly it binds, when this style has its own way to say it.
    fn own(&self, expr: &Expr) -> Option<(String, u8)>;
}

struct Canonical;

impl Style for Canonical {
    fn own(&self, _: &Expr) -> Option<(String, u8)> {
        None
    }
}

/// How strongly the text of `expr` binds.
fn strength(expr: &Expr) -> u8 {
    match &expr.node {
        Node::Or(_) => level::OR,
        Node::And(_) => level::AND,
        Node::Not(_) => level::NOT,
        Node::IsNull { .. } | Node::IsBoolean { .. } => level::IS,
        Node::Compare { .. } | Node::Any { .. } => level::COMPARE,
        Node::In { .. } | Node::Between { .. } | Node::Like { .. } => level::RANGE,
        Node::Arithmetic { op: Operator::Plus | Operator::Minus, .. } => level::ADD,
        Node::Arithmetic { .. } => level::MULTIPLY,
        Node::Negate(_) => level::NEGATE,
        Node::Cast { .. } => level::CAST,
        _ => level::PRIMARY,
    }
}

/// Appends the text of `expr`, in parentheses when it binds weaker than `least`.
pub(super) fn write(expr: &Expr, least: u8, style: &dyn Style, out: &mut String) {
    if let Some((text, binds)) = style.own(expr) {
        if binds < least {
            out.push('(');
            out.push_str(&text);
            out.push(')');
        } else {
            out.push_str(&text);
        }
    } else if strength(expr) < least {
        out.push('(');
        bare(expr, style, out);
        out.push(')');
    } else {
        bare(expr, style, out);
    }
}

fn bare(expr: &Expr, style: &dyn Style, out: &mut String) {
    match &expr.node {
        Node::Null => out.push_str("NULL"),
        Node::Boolean(b) => out.push_str(if *b { "true" } else { "false" }),
        Node::Number(n) => out.push_str(n),
        Node::Text(t) => {
            if matches!(expr.ty, Type::Date | Type::Timestamptz | Type::Interval) {
                out.push_str(type_name(expr.ty));
                out.push(' ');
            }
            out.push_str(&quote_text(t));
        }
        Node::Now => out.push_str("now()"),
        Node::CurrentDate => out.push_str("current_date"),
        Node::Attribute(name) => out.push_str(&quote_name(name)),
        Node::EventTime => out.push_str("at"),
        Node::Property(name) => out.push_str(&quote_property(name)),
        Node::Aggregate(a) => aggregate(a, style, out),
        Node::Not(x) => {
            out.push_str("NOT ");
            write(x, level::NOT, style, out);
        }
        Node::Negate(x) => {
            out.push('-');
            // Never "--", which begins a comment.
            write(x, level::CAST, style, out);
        }
        Node::And(list) => joined(list, " AND ", level::NOT, style, out),
        Node::Or(list) => joined(list, " OR ", level::AND, style, out),
        Node::Compare { op, left, right } => {
            write(left, level::RANGE, style, out);
            out.push_str(comparison_sign(*op));
            write(right, level::RANGE, style, out);
        }
        Node::Arithmetic { op, left, right } => {
            let (sign, own) = match op {
                Operator::Plus => (" + ", level::ADD),
                Operator::Minus => (" - ", level::ADD),
                Operator::Times => (" * ", level::MULTIPLY),
                Operator::Divide => (" / ", level::MULTIPLY),
            };
            write(left, own, style, out);
            out.push_str(sign);
            write(right, own + 1, style, out);
        }
        Node::In { value, list, negated } => {
            write(value, level::ADD, style, out);
            out.push_str(if *negated { " NOT IN (" } else { " IN (" });
            joined(list, ", ", level::ANY, style, out);
            out.push(')');
        }
        Node::Any { value, set } => {
            write(value, level::RANGE, style, out);
            out.push_str(" = ANY (");
            // The grammar reads what is inside as the right side of the comparison.
            write(set, level::ADD, style, out);
            out.push(')');
        }
        Node::Between { value, low, high, negated } => {
            write(value, level::ADD, style, out);
            out.push_str(if *negated { " NOT BETWEEN " } else { " BETWEEN " });
            write(low, level::ADD, style, out);
            out.push_str(" AND ");
            write(high, level::ADD, style, out);
        }
        Node::IsNull { value, negated } => {
            write(value, level::COMPARE, style, out);
            out.push_str(if *negated { " IS NOT NULL" } else { " IS NULL" });
        }
        Node::IsBoolean { value, truth, negated } => {
            write(value, level::COMPARE, style, out);
            out.push_str(if *negated { " IS NOT " } else { " IS " });
            out.push_str(if *truth { "TRUE" } else { "FALSE" });
        }
        Node::Like { value, pattern, negated, ignore_case } => {
            write(value, level::ADD, style, out);
            out.push_str(if *negated { " NOT" } else { "" });
            out.push_str(if *ignore_case { " ILIKE " } else { " LIKE " });
            write(pattern, level::ADD, style, out);
        }
        Node::Case { operand, branches, otherwise } => {
            out.push_str("CASE");
            if let Some(x) = operand {
                out.push(' ');
                write(x, level::ANY, style, out);
            }
            for (when, then) in branches {
                out.push_str(" WHEN ");
                write(when, level::ANY, style, out);
                out.push_str(" THEN ");
                write(then, level::ANY, style, out);
            }
            if let Some(x) = otherwise {
                out.push_str(" ELSE ");
                write(x, level::ANY, style, out);
            }
            out.push_str(" END");
        }
        Node::Cast { value, to } => {
            write(value, level::CAST, style, out);
            out.push_str("::");
            out.push_str(type_name(*to));
        }
        Node::Call { function: Function::Extract(field), arguments } => {
            out.push_str("extract(");
            out.push_str(field);
            out.push_str(" FROM ");
            joined(arguments, ", ", level::ANY, style, out);
            out.push(')');
        }
        Node::Call { function, arguments } => {
            out.push_str(function_name(function));
            out.push('(');
            joined(arguments, ", ", level::ANY, style, out);
            out.push(')');
        }
        Node::InSegment(name) => {
            out.push_str("in_segment(");
            out.push_str(&quote_text(name));
            out.push(')');
        }
        Node::HasIdentifier(name) => {
            out.push_str("has_identifier(");
            out.push_str(&quote_text(name));
            out.push(')');
        }
        Node::Sequence(s) => sequence(s, style, out),
    }
}

fn joined(list: &[Expr], between: &str, least: u8, style: &dyn Style, out: &mut String) {
    for (i, x) in list.iter().enumerate() {
        if i > 0 {
            out.push_str(between);
        }
        write(x, least, style, out);
    }
}

fn aggregate(a: &Aggregate, style: &dyn Style, out: &mut String) {
    out.push_str(aggregate_name(a.function));
    out.push('(');
    if a.function == AggregateFunction::CountDistinct {
        out.push_str("DISTINCT ");
    }
    out.push_str(&quote_name(&a.event));
    match &a.argument {
        Argument::Rows => {}
        Argument::Time => out.push_str(".at"),
        Argument::Property(name) => {
            out.push('.');
            out.push_str(&quote_property(name));
        }
    }
    out.push(')');
    if let Some(filter) = &a.filter {
        out.push_str(" FILTER (WHERE ");
        write(filter, level::ANY, style, out);
        out.push(')');
    }
}

fn sequence(s: &Sequence, style: &dyn Style, out: &mut String) {
    out.push_str("sequence(");
    for (i, step) in s.steps.iter().enumerate() {
        out.push_str(if i > 0 { ", " } else { "" });
        out.push_str(if step.negated { "NOT " } else { "" });
        out.push_str(&quote_name(&step.event));
        if let Some(filter) = &step.filter {
            // The grammar knows FILTER only behind a call.
            out.push_str("() FILTER (WHERE ");
            write(filter, level::ANY, style, out);
            out.push(')');
        }
    }
    if let Some(within) = &s.within {
        out.push_str(", within => ");
        write(within, level::ANY, style, out);
    }
    if let Some(by) = &s.by {
        out.push_str(", by => ");
        out.push_str(&quote_property(by));
    }
    out.push(')');
}

/// The sign of a comparison with the spaces around it.
pub(super) fn comparison_sign(op: Comparison) -> &'static str {
    match op {
        Comparison::Eq => " = ",
        Comparison::NotEq => " <> ",
        Comparison::Lt => " < ",
        Comparison::LtEq => " <= ",
        Comparison::Gt => " > ",
        Comparison::GtEq => " >= ",
    }
}

/// The word an aggregate is called by; `count` for both counts.
pub fn aggregate_name(function: AggregateFunction) -> &'static str {
    match function {
        AggregateFunction::Count | AggregateFunction::CountDistinct => "count",
        AggregateFunction::Sum => "sum",
        AggregateFunction::Avg => "avg",
        AggregateFunction::Min => "min",
        AggregateFunction::Max => "max",
        AggregateFunction::First => "first",
        AggregateFunction::Last => "last",
    }
}

/// The word a scalar function is called by.
pub fn function_name(function: &Function) -> &'static str {
    match function {
        Function::Coalesce => "coalesce",
        Function::NullIf => "nullif",
        Function::Least => "least",
        Function::Greatest => "greatest",
        Function::Abs => "abs",
        Function::Round => "round",
        Function::Lower => "lower",
        Function::Upper => "upper",
        Function::Cardinality => "cardinality",
        Function::DateTrunc => "date_trunc",
        Function::Extract(_) => "extract",
        Function::DaysToAnniversary => "days_to_anniversary",
    }
}

/// The name of a type as PostgreSQL writes it; `unknown` for a literal without one.
pub fn type_name(ty: Type) -> &'static str {
    match ty {
        Type::Boolean => "boolean",
        Type::Bigint => "bigint",
        Type::Numeric => "numeric",
        Type::Text => "text",
        Type::TextSet => "text[]",
        Type::Date => "date",
        Type::Timestamptz => "timestamptz",
        Type::Interval => "interval",
        Type::Unknown => "unknown",
    }
}

/// `'text'`, with quotes inside doubled; backslashes stand for themselves (`standard_conforming_strings`).
pub fn quote_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name, in double quotes when it would not be read back as it is.
pub fn quote_name(name: &str) -> String {
    if plain(name) && !RESERVED.contains(&name) {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}

/// As [`quote_name`], for places where a bare `at` is the time of the event.
fn quote_property(name: &str) -> String {
    if name == "at" { "\"at\"".to_owned() } else { quote_name(name) }
}

/// A name that needs no quotes for its letters: letters of any script, digits, `_`, nothing that folds.
fn plain(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c == '_' || (!c.is_ascii() && c.is_alphabetic());
    name.chars().next().is_some_and(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
}

/// Words that are not read as a name where an operand is expected: PostgreSQL's reserved words and those that begin a
/// construct. Sorted.
const RESERVED: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

#[cfg(test)]
#[path = "print_test.rs"]
pub(crate) mod tests;
