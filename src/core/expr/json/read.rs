//! JSON to tree.

use serde_json::{Map, Value};

use super::sign;
use crate::expr::ast::{
    Aggregate, AggregateFunction, Argument, Comparison, Expr, Function, Node, Operator, Sequence, Step, Type,
};
use crate::expr::check::literal::sign_and_digits;
use crate::expr::error::{ExprError, Kind, nearest};
use crate::expr::parse::Limits;
use crate::expr::parse::call::function;
use crate::expr::print::{aggregate_name, comparison_sign, type_name};

/// The tree of a JSON form.
///
/// # Errors
/// [`Kind::Syntax`] for what is not the form of an expression, naming the place in it; [`Kind::TooComplex`] beyond `limits.depth`.
pub fn from_json(value: &Value, limits: &Limits) -> Result<Expr, ExprError> {
    Reader { limits, path: Vec::new() }.expr(value, 0)
}

/// The words of the form, for suggestions.
const WORDS: &[&str] = &[
    "number",
    "date",
    "timestamptz",
    "interval",
    "now",
    "current_date",
    "attribute",
    "at",
    "property",
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "first",
    "last",
    "not",
    "negate",
    "and",
    "or",
    "=",
    "<>",
    "<",
    "<=",
    ">",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "in",
    "not in",
    "= any",
    "between",
    "not between",
    "is null",
    "is not null",
    "is true",
    "is not true",
    "is false",
    "is not false",
    "like",
    "not like",
    "ilike",
    "not ilike",
    "case",
    "cast",
    "extract",
    "coalesce",
    "nullif",
    "least",
    "greatest",
    "abs",
    "cardinality",
    "round",
    "lower",
    "upper",
    "date_trunc",
    "days_to_anniversary",
    "in_segment",
    "has_identifier",
    "sequence",
];

struct Reader<'a> {
    limits: &'a Limits,
    /// Where in the document the work stands.
    path: Vec<String>,
}

fn wrap(node: Node, ty: Type) -> Expr {
    Expr { node, ty, at: 0 }
}

impl Reader<'_> {
    fn wrong(&self, what: impl AsRef<str>) -> ExprError {
        ExprError::new(Kind::Syntax, 0, format!("{} at ${}", what.as_ref(), self.path.concat())).with_hint(
            "write a literal, or an object of one member, named by the operator: {\"=\": [{\"attribute\": \"city\"}, \"Paris\"]}",
        )
    }

    /// Reads a part of the document that stands at `step`.
    fn at<T>(&mut self, step: String, read: impl FnOnce(&mut Self) -> Result<T, ExprError>) -> Result<T, ExprError> {
        self.path.push(step);
        let out = read(self)?;
        self.path.pop();
        Ok(out)
    }

    fn expr(&mut self, value: &Value, depth: usize) -> Result<Expr, ExprError> {
        if depth > self.limits.depth {
            return Err(ExprError::new(
                Kind::TooComplex,
                0,
                format!("more than {} operators inside each other", self.limits.depth),
            )
            .with_hint("split it into tags and combine those"));
        }
        Ok(match value {
            Value::Null => wrap(Node::Null, Type::Unknown),
            Value::Bool(b) => wrap(Node::Boolean(*b), Type::Unknown),
            Value::String(s) => wrap(Node::Text(s.clone()), Type::Unknown),
            Value::Number(n) => {
                let text = n.to_string();
                match text.strip_prefix('-') {
                    Some(digits) => {
                        let digits = wrap(self.digits(digits)?, Type::Unknown);
                        wrap(Node::Negate(Box::new(digits)), Type::Unknown)
                    }
                    None => wrap(self.digits(&text)?, Type::Unknown),
                }
            }
            Value::Array(_) => {
                return Err(self.wrong("a list where an expression is expected"));
            }
            Value::Object(object) => {
                let mut members = object.iter();
                let (Some((word, inner)), None) = (members.next(), members.next()) else {
                    return Err(self
                        .wrong(format!("an object with {} members where an expression is expected", object.len()))
                        .with_hint(
                            "write one member, named by the operator: {\"=\": [{\"attribute\": \"city\"}, \"Paris\"]}",
                        ));
                };
                self.at(format!(".{word}"), |r| r.operator(word, inner, depth + 1))?
            }
        })
    }

    /// A number as the grammar reads it.
    fn digits(&self, text: &str) -> Result<Node, ExprError> {
        match sign_and_digits(text) {
            Some((false, digits)) if digits == text => Ok(Node::Number(text.to_owned())),
            _ => Err(self.wrong(format!("\"{text}\" is no number"))),
        }
    }

    fn operator(&mut self, word: &str, inner: &Value, depth: usize) -> Result<Expr, ExprError> {
        let node = match word {
            "date" => return self.string(inner).map(|t| wrap(Node::Text(t), Type::Date)),
            "timestamptz" => return self.string(inner).map(|t| wrap(Node::Text(t), Type::Timestamptz)),
            "interval" => return self.string(inner).map(|t| wrap(Node::Text(t), Type::Interval)),
            "number" => {
                let text = self.string(inner)?;
                self.digits(&text)?
            }
            "now" => self.nothing(inner, Node::Now)?,
            "current_date" => self.nothing(inner, Node::CurrentDate)?,
            "at" => self.nothing(inner, Node::EventTime)?,
            "attribute" => Node::Attribute(self.string(inner)?),
            "property" => Node::Property(self.string(inner)?),
            "in_segment" => Node::InSegment(self.string(inner)?),
            "has_identifier" => Node::HasIdentifier(self.string(inner)?),
            "not" => Node::Not(Box::new(self.expr(inner, depth)?)),
            "negate" => Node::Negate(Box::new(self.expr(inner, depth)?)),
            "and" | "or" => self.chain(word == "and", inner, depth)?,
            "in" | "not in" => {
                let mut list = self.list(inner, 2, usize::MAX, depth)?;
                let value = Box::new(list.remove(0));
                Node::In { value, list, negated: word == "not in" }
            }
            "= any" => {
                let [value, set] = self.boxes(inner, depth)?;
                Node::Any { value, set }
            }
            "between" | "not between" => {
                let [value, low, high] = self.boxes(inner, depth)?;
                Node::Between { value, low, high, negated: word == "not between" }
            }
            "is null" | "is not null" => {
                Node::IsNull { value: Box::new(self.expr(inner, depth)?), negated: word == "is not null" }
            }
            "is true" | "is not true" | "is false" | "is not false" => Node::IsBoolean {
                value: Box::new(self.expr(inner, depth)?),
                truth: word.ends_with("true"),
                negated: word.contains("not"),
            },
            "like" | "not like" | "ilike" | "not ilike" => {
                let [value, pattern] = self.boxes(inner, depth)?;
                Node::Like { value, pattern, negated: word.starts_with("not"), ignore_case: word.ends_with("ilike") }
            }
            "case" => self.case(inner, depth)?,
            "cast" => self.cast(inner, depth)?,
            "extract" => self.extract(inner, depth)?,
            "sequence" => self.sequence(inner, depth)?,
            _ => {
                if let Some(op) = comparison(word) {
                    let [left, right] = self.boxes(inner, depth)?;
                    Node::Compare { op, left, right }
                } else if let Some(op) = arithmetic(word) {
                    let [left, right] = self.boxes(inner, depth)?;
                    Node::Arithmetic { op, left, right }
                } else if let Some((function, least, most)) = function(word) {
                    Node::Call { function, arguments: self.list(inner, least, most, depth)? }
                } else if let Some(function) = aggregate_named(word) {
                    self.aggregate(function, inner, depth)?
                } else {
                    let error = self.wrong(format!("unknown operator \"{word}\""));
                    return Err(match nearest(word, WORDS.iter().map(|w| (*w).to_owned())) {
                        Some(known) => error.with_hint(format!("did you mean \"{known}\"?")),
                        None => error.with_hint(format!("the operators are {}", WORDS.join(", "))),
                    });
                }
            }
        };
        Ok(wrap(node, Type::Unknown))
    }

    fn string(&self, value: &Value) -> Result<String, ExprError> {
        value.as_str().map(str::to_owned).ok_or_else(|| self.wrong("a string is expected"))
    }

    fn nothing(&self, value: &Value, node: Node) -> Result<Node, ExprError> {
        if value.as_array().is_some_and(Vec::is_empty) {
            Ok(node)
        } else {
            Err(self.wrong("an empty list is expected"))
        }
    }

    fn list(&mut self, value: &Value, least: usize, most: usize, depth: usize) -> Result<Vec<Expr>, ExprError> {
        let Some(list) = value.as_array().filter(|list| (least..=most).contains(&list.len())) else {
            return Err(self.wrong(match (least, most) {
                (l, m) if l == m => format!("a list of {l} is expected"),
                (l, usize::MAX) => format!("a list of {l} or more is expected"),
                (l, m) => format!("a list of {l} to {m} is expected"),
            }));
        };
        let mut out = Vec::with_capacity(list.len());
        for (i, x) in list.iter().enumerate() {
            out.push(self.at(format!("[{i}]"), |r| r.expr(x, depth))?);
        }
        Ok(out)
    }

    fn boxes<const N: usize>(&mut self, value: &Value, depth: usize) -> Result<[Box<Expr>; N], ExprError> {
        let list: Vec<Box<Expr>> = self.list(value, N, N, depth)?.into_iter().map(Box::new).collect();
        list.try_into().map_err(|_| self.wrong(format!("a list of {N} is expected")))
    }

    /// AND and OR are flat, as the grammar makes them.
    fn chain(&mut self, and: bool, inner: &Value, depth: usize) -> Result<Node, ExprError> {
        let mut terms = Vec::new();
        for e in self.list(inner, 1, usize::MAX, depth)? {
            match (e.node, and) {
                (Node::And(list), true) | (Node::Or(list), false) => terms.extend(list),
                (n, _) => terms.push(Expr { node: n, ..e }),
            }
        }
        Ok(match terms.len() {
            1 => terms.remove(0).node,
            _ if and => Node::And(terms),
            _ => Node::Or(terms),
        })
    }

    /// The members of an object, all of them known.
    fn members<'v>(&self, value: &'v Value, known: &[&str]) -> Result<&'v Map<String, Value>, ExprError> {
        let Some(object) = value.as_object() else {
            return Err(self.wrong("an object is expected"));
        };
        match object.keys().find(|key| !known.contains(&key.as_str())) {
            None => Ok(object),
            Some(key) => Err(self
                .wrong(format!("unknown member \"{key}\""))
                .with_hint(format!("the members are {}", known.join(", ")))),
        }
    }

    fn member(&mut self, object: &Map<String, Value>, name: &str, depth: usize) -> Result<Option<Expr>, ExprError> {
        match object.get(name) {
            None => Ok(None),
            Some(x) => self.at(format!(".{name}"), |r| r.expr(x, depth)).map(Some),
        }
    }

    fn flag(&self, object: &Map<String, Value>, name: &str) -> Result<bool, ExprError> {
        match object.get(name) {
            None => Ok(false),
            Some(Value::Bool(b)) => Ok(*b),
            Some(_) => Err(self.wrong(format!("member \"{name}\" must be true or false"))),
        }
    }

    fn name(&self, object: &Map<String, Value>, name: &str) -> Result<String, ExprError> {
        match object.get(name) {
            Some(Value::String(s)) => Ok(s.clone()),
            Some(_) => Err(self.wrong(format!("member \"{name}\" must be a string"))),
            None => Err(self.wrong(format!("member \"{name}\" is missing"))),
        }
    }

    fn case(&mut self, inner: &Value, depth: usize) -> Result<Node, ExprError> {
        let object = self.members(inner, &["of", "when", "else"])?;
        let operand = self.member(object, "of", depth)?.map(Box::new);
        let Some(list) = object.get("when").and_then(Value::as_array).filter(|list| !list.is_empty()) else {
            return Err(self.wrong("member \"when\" must be a list of [condition, value]"));
        };
        let mut branches = Vec::with_capacity(list.len());
        for (i, pair) in list.iter().enumerate() {
            let [when, then] = self.at(format!(".when[{i}]"), |r| r.boxes(pair, depth))?;
            branches.push((*when, *then));
        }
        let otherwise = self.member(object, "else", depth)?.map(Box::new);
        Ok(Node::Case { operand, branches, otherwise })
    }

    fn cast(&mut self, inner: &Value, depth: usize) -> Result<Node, ExprError> {
        let Some([value, to]) = inner.as_array().map(Vec::as_slice) else {
            return Err(self.wrong("a list of an expression and a type is expected"));
        };
        let types =
            [Type::Boolean, Type::Bigint, Type::Numeric, Type::Text, Type::Date, Type::Timestamptz, Type::Interval];
        let Some(to) = types.into_iter().find(|ty| to.as_str() == Some(type_name(*ty))) else {
            return Err(self
                .wrong(format!("{to} is no type"))
                .with_hint("the types are boolean, bigint, numeric, text, date, timestamptz and interval"));
        };
        Ok(Node::Cast { value: Box::new(self.at("[0]".to_owned(), |r| r.expr(value, depth))?), to })
    }

    fn extract(&mut self, inner: &Value, depth: usize) -> Result<Node, ExprError> {
        let Some([Value::String(field), x]) = inner.as_array().map(Vec::as_slice) else {
            return Err(self.wrong("a list of a field and an expression is expected"));
        };
        if field.is_empty() || !field.bytes().all(|c| c.is_ascii_lowercase() || c == b'_') {
            return Err(self
                .wrong(format!("\"{field}\" is no field"))
                .with_hint("write for example \"dow\" or \"year\""));
        }
        let x = self.at("[1]".to_owned(), |r| r.expr(x, depth))?;
        Ok(Node::Call { function: Function::Extract(field.clone()), arguments: vec![x] })
    }

    fn aggregate(&mut self, function: AggregateFunction, inner: &Value, depth: usize) -> Result<Node, ExprError> {
        let object = self.members(inner, &["event", "property", "time", "distinct", "where"])?;
        let event = self.name(object, "event")?;
        let argument = match (object.contains_key("property"), self.flag(object, "time")?) {
            (true, true) => return Err(self.wrong("either \"property\" or \"time\"")),
            (true, false) => Argument::Property(self.name(object, "property")?),
            (false, true) => Argument::Time,
            (false, false) => Argument::Rows,
        };
        let function = match (function, self.flag(object, "distinct")?) {
            (AggregateFunction::Count, true) => AggregateFunction::CountDistinct,
            (_, true) => return Err(self.wrong("only count can be distinct")),
            (f, false) => f,
        };
        let fits = match (&argument, function) {
            (Argument::Rows, f) => f == AggregateFunction::Count,
            (Argument::Time, f) => matches!(f, AggregateFunction::Min | AggregateFunction::Max),
            (Argument::Property(_), _) => true,
        };
        if !fits {
            return Err(self.wrong("the aggregate needs a \"property\" of the event"));
        }
        let filter = self.member(object, "where", depth)?;
        Ok(Node::Aggregate(Box::new(Aggregate { function, event, argument, filter })))
    }

    fn sequence(&mut self, inner: &Value, depth: usize) -> Result<Node, ExprError> {
        let object = self.members(inner, &["steps", "within", "by"])?;
        let Some(list) = object.get("steps").and_then(Value::as_array).filter(|list| !list.is_empty()) else {
            return Err(self.wrong("member \"steps\" must be a list of {\"event\": …}"));
        };
        let mut steps = Vec::with_capacity(list.len());
        for (i, step) in list.iter().enumerate() {
            steps.push(self.at(format!(".steps[{i}]"), |r| {
                let step = r.members(step, &["event", "where", "not"])?;
                let filter = r.member(step, "where", depth)?;
                Ok(Step { event: r.name(step, "event")?, filter, negated: r.flag(step, "not")? })
            })?);
        }
        let text = |name| object.get(name).map(|_| self.name(object, name)).transpose();
        let within = text("within")?.map(|within| wrap(Node::Text(within), Type::Interval));
        let by = text("by")?;
        Ok(Node::Sequence(Box::new(Sequence { steps, within, by })))
    }
}

fn comparison(word: &str) -> Option<Comparison> {
    use Comparison::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    [Eq, NotEq, Lt, LtEq, Gt, GtEq].into_iter().find(|op| comparison_sign(*op).trim() == word)
}

fn arithmetic(word: &str) -> Option<Operator> {
    use Operator::{Divide, Minus, Plus, Times};
    [Plus, Minus, Times, Divide].into_iter().find(|op| sign(*op) == word)
}

fn aggregate_named(word: &str) -> Option<AggregateFunction> {
    use AggregateFunction::{Avg, Count, First, Last, Max, Min, Sum};
    [Count, Sum, Avg, Min, Max, First, Last].into_iter().find(|f| aggregate_name(*f) == word)
}

/// Reads the text of a JSON form that may come from anywhere: how deep it nests is known before anything recurses into it.
///
/// # Errors
/// As [`from_json`]; [`Kind::TooComplex`] also for text longer or deeper than `limits` can need.
pub fn read(text: &str, limits: &Limits) -> Result<Expr, ExprError> {
    // The form is longer than the expression, but not without bound: names of members, quotes, brackets.
    let longest = limits.bytes.saturating_mul(8);
    if text.len() > longest {
        return Err(ExprError::new(
            Kind::TooComplex,
            0,
            format!("expression of {} bytes of JSON is too long, the most is {longest}", text.len()),
        )
        .with_hint("split it: make a segment of each part and combine them with in_segment()"));
    }
    // Four brackets are the most that one level of an expression takes.
    let deepest = limits.depth.saturating_mul(4).saturating_add(8);
    if nesting(text) > deepest {
        return Err(ExprError::new(Kind::TooComplex, 0, format!("JSON is nested more than {deepest} levels deep"))
            .with_hint("split it: make a segment of the inner part and use in_segment()"));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    reader.disable_recursion_limit();
    let value = <Value as serde::Deserialize>::deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|e| ExprError::new(Kind::Syntax, 0, format!("invalid JSON: {e}")))?;
    from_json(&value, limits)
}

/// How many brackets of a JSON text are open at most.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for c in text.bytes() {
        match c {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}
