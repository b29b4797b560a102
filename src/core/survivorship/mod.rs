//! Survivorship: which of the values that sources observed of a trait is the value of the profile.
//!
//! A candidate is what one source said of one identifier of the profile: a value, or a clear, which takes back. No value and an empty text say nothing and never
//! win. With `most_recent` a clear is an observation as any other: the trait has no value when it is the latest. With every other rule a clear cancels what its own
//! source observed before it, on any identifier of the profile; what other sources said, and what the source says at the same moment or later, stays.
//!
//! Ties are always total, so that neither the order of arrival nor that of candidates ever decides: what the rule says, then the more trusted source, then what was
//! observed last, then the smaller source number, then the smaller text by its bytes. `most_recent` and `oldest` ask for the time first.

mod keep;
mod texts;
mod value;

#[cfg(test)]
mod tests;

pub use keep::{Kept, keep};
pub use texts::{parse as parse_texts, print as print_texts};
pub use value::{Kind, MOST_SUMMED_CHARACTERS, integer, same, summed};

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet};
use value::{Key, sum};

/// How the value of a trait is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// Observed last.
    MostRecent,
    /// Observed first.
    Oldest,
    /// Of the most trusted source.
    SourceTrust,
    /// Said by most candidates.
    MostFrequent,
    /// The text with most characters.
    Longest,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// All added up.
    Sum,
    /// All elements of all sets.
    Union,
}

impl Rule {
    /// All rules.
    pub const ALL: [Self; 9] = [
        Self::MostRecent,
        Self::Oldest,
        Self::SourceTrust,
        Self::MostFrequent,
        Self::Longest,
        Self::Min,
        Self::Max,
        Self::Sum,
        Self::Union,
    ];

    /// Its name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::MostRecent => "most_recent",
            Self::Oldest => "oldest",
            Self::SourceTrust => "source_trust",
            Self::MostFrequent => "most_frequent",
            Self::Longest => "longest",
            Self::Min => "min",
            Self::Max => "max",
            Self::Sum => "sum",
            Self::Union => "union",
        }
    }

    /// The rule with a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.name() == name)
    }

    /// Whether values of a type can be judged by it.
    pub fn fits(self, kind: Kind) -> bool {
        match self {
            Self::MostRecent | Self::Oldest | Self::SourceTrust | Self::MostFrequent => true,
            Self::Longest => kind == Kind::Text,
            Self::Min | Self::Max => matches!(kind, Kind::Bigint | Kind::Numeric | Kind::Date | Kind::Timestamptz),
            Self::Sum => matches!(kind, Kind::Bigint | Kind::Numeric),
            Self::Union => kind == Kind::Texts,
        }
    }
}

/// What one source said of one identifier of the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Text of the value as PostgreSQL writes its type; `None`: a clear.
    pub value: Option<&'a str>,
    /// Microseconds.
    pub observed_at: i64,
    /// Trust of the source.
    pub trust: i32,
    /// Number of the source.
    pub source_id: i32,
}

/// What the candidates come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// Text of the value; `None`: there is none.
    pub value: Option<String>,
    /// The candidates it comes from, ascending: one, or for `sum` and `union` all that count; the clear that won, if one did.
    pub from: Vec<usize>,
}

impl Survivor {
    const NONE: Self = Self { value: None, from: Vec::new() };
}

/// A candidate that counts: where it stands, and its value.
type Counted<'a> = (usize, &'a Candidate<'a>, &'a str);

/// The value of a trait.
pub fn survive(rule: Rule, kind: Kind, candidates: &[Candidate<'_>]) -> Survivor {
    if rule == Rule::MostRecent {
        return most_recent(candidates);
    }
    let counted = counted(candidates);
    match rule {
        Rule::MostRecent | Rule::SourceTrust => one(&counted, |_| ()),
        Rule::Oldest => one(&counted, |(_, c, _)| c.observed_at),
        Rule::Longest => one(&counted, |(_, _, value)| Reverse(value.chars().count())),
        Rule::MostFrequent => {
            let mut times: BTreeMap<Key, usize> = BTreeMap::new();
            for (_, _, value) in &counted {
                *times.entry(kind.key(value)).or_default() += 1;
            }
            one(&counted, |(_, _, value)| Reverse(times.get(&kind.key(value)).copied()))
        }
        Rule::Min => one(&counted, |(_, _, value)| kind.key(value)),
        Rule::Max => one(&counted, |(_, _, value)| Reverse(kind.key(value))),
        Rule::Sum => all(&counted, |values| sum(kind, values)),
        Rule::Union => all(&counted, |values| {
            let mut elements = BTreeSet::new();
            for value in values {
                elements.extend(texts::parse(value)?);
            }
            Some(texts::print(&elements))
        }),
    }
}

/// The candidates that say something and were not taken back.
fn counted<'a>(candidates: &'a [Candidate<'a>]) -> Vec<Counted<'a>> {
    let mut cleared: BTreeMap<i32, i64> = BTreeMap::new();
    for clear in candidates.iter().filter(|c| c.value.is_none()) {
        let last = cleared.entry(clear.source_id).or_insert(clear.observed_at);
        *last = clear.observed_at.max(*last);
    }
    let value =
        |(i, c): (usize, &'a Candidate<'a>)| c.value.filter(|value| !value.is_empty()).map(|value| (i, c, value));
    let stays = |(_, c, _): &Counted| cleared.get(&c.source_id).is_none_or(|at| c.observed_at >= *at);
    candidates.iter().enumerate().filter_map(value).filter(stays).collect()
}

fn most_recent(candidates: &[Candidate<'_>]) -> Survivor {
    let says = |c: &Candidate| c.value != Some("");
    let best = candidates.iter().enumerate().filter(|(_, c)| says(c)).min_by(|(_, a), (_, b)| {
        let key = |c: &Candidate| (Reverse(c.observed_at), Reverse(c.trust), c.source_id, c.value.is_none());
        key(a).cmp(&key(b)).then_with(|| a.value.cmp(&b.value))
    });
    best.map_or(Survivor::NONE, |(i, c)| Survivor { value: c.value.map(str::to_owned), from: vec![i] })
}

/// The candidate with the least key.
fn one<K: Ord>(counted: &[Counted<'_>], key: impl Fn(&Counted) -> K) -> Survivor {
    let keyed = counted.iter().map(|c| (key(c), c));
    let best = keyed.min_by(|(a, x), (b, y)| a.cmp(b).then_with(|| ties(x, y)));
    best.map_or(Survivor::NONE, |(_, (i, _, value))| Survivor { value: Some((*value).to_owned()), from: vec![*i] })
}

/// Of what the rule says nothing about, this decides.
fn ties(a: &Counted, b: &Counted) -> Ordering {
    let key = |(_, c, _): &Counted| (Reverse(c.trust), Reverse(c.observed_at), c.source_id);
    key(a).cmp(&key(b)).then_with(|| a.2.cmp(b.2))
}

/// All candidates that count, put together.
fn all(counted: &[Counted<'_>], together: impl FnOnce(&[&str]) -> Option<String>) -> Survivor {
    if counted.is_empty() {
        return Survivor::NONE;
    }
    let values: Vec<&str> = counted.iter().map(|(_, _, value)| *value).collect();
    match together(&values) {
        Some(value) => Survivor { value: Some(value), from: counted.iter().map(|(i, ..)| *i).collect() },
        None => Survivor::NONE,
    }
}
