//! The nearest change that turns conditions joined by AND, OR and NOT, put together from what turns their parts: any of them, or all that stand in the way.

use super::{Condition, Found, reason};
use pg_cdp_core::expr::ast::{AggregateFunction, Expr, Node};
use pg_cdp_core::expr::print::print;

/// More ways than this are only counted.
const MOST_WAYS: usize = 4;

/// What turns a condition.
#[derive(Clone)]
pub(super) struct Change {
    text: String,
    /// Whether it is made of others.
    joined: bool,
}

/// A part of a condition: what it comes to, and what turns it.
pub(super) type Part<'a> = (&'a Found, Option<&'a Change>);

/// What turns a condition that joins others; nothing when that is not known of a part that matters.
pub(super) fn of_parts(condition: &Expr, found: &Found, parts: &[Part<'_>]) -> Option<Change> {
    let is = |part: &Part<'_>, truth: bool| (part.0.result == Some(true)) == truth;
    let of = |truth: bool| parts.iter().filter(|part| is(part, truth)).map(|part| part.1).collect::<Vec<_>>();
    match (&condition.node, found.result) {
        (Node::And(_), Some(true)) => any(&of(true)),
        (Node::And(_), _) => all(&of(false)),
        (Node::Or(_), Some(true)) => all(&of(true)),
        (Node::Or(_), _) => any(&of(false)),
        // What turns a part of which nothing is known makes it true, and NOT of it false.
        (Node::Not(_), Some(_)) => parts.first().and_then(|part| part.1).cloned(),
        _ => None,
    }
}

fn any(ways: &[Option<&Change>]) -> Option<Change> {
    let known: Vec<&Change> = ways.iter().copied().flatten().collect();
    let more = known.len().saturating_sub(MOST_WAYS);
    let more = (more > 0).then(|| format!("{more} other {}", if more == 1 { "way" } else { "ways" }));
    joined(known.get(..MOST_WAYS).unwrap_or(&known), " or ", more)
}

fn all(needed: &[Option<&Change>]) -> Option<Change> {
    joined(&needed.iter().copied().collect::<Option<Vec<&Change>>>()?, " and ", None)
}

fn joined(changes: &[&Change], word: &str, more: Option<String>) -> Option<Change> {
    if let ([one], None) = (changes, &more) {
        return Some(Change::clone(one));
    }
    let within = |c: &&Change| if c.joined { format!("({})", c.text) } else { c.text.clone() };
    let shown: Vec<String> = changes.iter().map(within).chain(more).collect();
    (!shown.is_empty()).then(|| Change { text: shown.join(word), joined: true })
}

impl Change {
    /// In words.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What turns a condition that stands for itself, by what is said of it: beside others it has to name what it is about.
    pub(super) fn of_one(condition: &Condition, found: &Found, said: &str) -> Self {
        Self { text: named(condition, found, said), joined: false }
    }
}

fn named(condition: &Condition, found: &Found, said: &str) -> String {
    let wanted = found.result != Some(true);
    let no = if wanted { "" } else { "no " };
    let value = condition.looks.as_ref().map(|look| &look.value);
    match (&condition.expr.node, value) {
        (Node::Sequence(_), _) => {
            let change = said.rsplit("; ").next().unwrap_or(said);
            change.strip_suffix(" would turn it").unwrap_or(change).to_owned()
        }
        (Node::InSegment(name), _) => format!("{no}membership of segment \"{name}\""),
        (Node::HasIdentifier(name), _) => {
            format!("{} identifier of type \"{name}\"", if wanted { "an" } else { "no" })
        }
        (Node::IsNull { negated, .. }, Some(value)) => {
            format!("{} {}", if wanted == *negated { "any value of" } else { "no value of" }, print(value))
        }
        (_, Some(value)) => {
            if let Some(rest) = said.strip_prefix("it would ") {
                return format!("{} would {rest}", print(value));
            }
            let aggregate = reason::aggregate(value);
            if found.value.is_none() && matches!(value.node, Node::Attribute(_)) {
                return format!("{} would have to be true", condition.text);
            }
            let counted = aggregate.is_some_and(|a| {
                matches!(
                    a.function,
                    AggregateFunction::Count | AggregateFunction::CountDistinct | AggregateFunction::Sum
                )
            });
            match aggregate {
                // That there is nothing yet goes without saying.
                Some(_) if found.value.is_none() => said.rsplit(": ").next().unwrap_or(said).to_owned(),
                _ if counted => said.to_owned(),
                _ => format!("{}: {said}", print(value)),
            }
        }
        (_, None) => format!("{}: {said}", condition.text),
    }
}
