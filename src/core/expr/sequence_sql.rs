//! A sequence as plain SQL: one ordered pass over the events concerned.
//!
//! For each event that is step k of a chain, `sk` is the latest moment at which such a chain can have begun: the latest `s(k-1)` of
//! an event before it. The latest beginning is all that has to be known, since only a window that is too long can spoil a
//! chain. Where NOT stands between two steps, events are counted off by the events that must not come (`ck`), and `rk` is the
//! latest `sk` since the last of those.

use std::fmt::Write as _;

use super::ast::{Expr, Sequence, Step};
use super::print::{level, quote_text, write};
use super::sql::{Plain, lower, property};

const EARLIER: &str = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING";
const SO_FAR: &str = "ROWS UNBOUNDED PRECEDING";

/// The steps that happen, each with the steps that must not happen before the next.
fn gaps(s: &Sequence) -> Vec<(&Step, Vec<&Step>)> {
    let mut out: Vec<(&Step, Vec<&Step>)> = Vec::new();
    for step in &s.steps {
        match out.last_mut() {
            Some((_, absent)) if step.negated => absent.push(step),
            _ => out.push((step, Vec::new())),
        }
    }
    out
}

/// The subquery with a row (`profile_id`, `value`) for each profile that has the sequence.
pub(super) fn join(s: &Sequence, style: &Plain<'_>) -> String {
    let gaps = gaps(s);
    let last = gaps.len();
    let same = if s.by.is_some() { ", same" } else { "" };
    let window = format!("PARTITION BY profile_id{same} ORDER BY at, event_id");
    let within = s.within.as_ref().map(|x| interval(x, style));

    let mut query = events("profile_id, at, event_id", s, &gaps, style);
    // Wraps the query so far into one more column.
    let mut level = 0;
    let mut add = |query: String, column: String| {
        level += 1;
        format!("    SELECT *, {column}\n    FROM (\n{query}\n    ) AS q{level}")
    };
    for (k, (_, absent)) in (1..).zip(&gaps) {
        let more = k < last;
        if !absent.is_empty() {
            query = add(query, format!("count(*) FILTER (WHERE x{k}) OVER ({window} {SO_FAR}) AS c{k}"));
        }
        if more && absent.is_empty() {
            let next = k + 1;
            query = add(query, format!("CASE WHEN m{next} THEN max(s{k}) OVER ({window} {EARLIER}) END AS s{next}"));
        } else if more {
            let next = k + 1;
            query = add(
                query,
                format!("max(s{k}) OVER (PARTITION BY profile_id{same}, c{k} ORDER BY at, event_id {SO_FAR}) AS r{k}"),
            );
            query = add(query, format!("CASE WHEN m{next} THEN lag(r{k}) OVER ({window}) END AS s{next}"));
        }
    }
    let done = match &within {
        Some(within) => format!("s{last} >= at - {within}"),
        None => format!("s{last} IS NOT NULL"),
    };
    let absent_at_end = gaps.last().is_some_and(|(_, absent)| !absent.is_empty());
    if !absent_at_end {
        return format!(
            "  SELECT profile_id, true AS value\n  FROM (\n{query}\n  ) AS q\n  WHERE {done}\n  GROUP BY profile_id"
        );
    }
    // Of the chains between two events that must not come, the earliest is the farthest from the next of those.
    let free = match &within {
        Some(within) => format!("(next IS NULL OR next - {within} > done)"),
        None => "next IS NULL".to_owned(),
    };
    format!(
        "  SELECT profile_id, true AS value\n  FROM (\n    \
         SELECT profile_id, min(at) FILTER (WHERE {done}) AS done,\n           \
         lead(min(at) FILTER (WHERE x{last})) OVER (PARTITION BY profile_id{same} ORDER BY c{last}) AS next\n    \
         FROM (\n{query}\n    ) AS q\n    GROUP BY profile_id{same}, c{last}\n  ) AS q\n  \
         WHERE done IS NOT NULL AND {free}\n  GROUP BY profile_id"
    )
}

/// A query of the events that are steps or must not come, in their order, as [`super::progress`] takes them: `event`, `at` and its text, `since`, the
/// text of `at` plus `within`, what `by` gives, `steps`, `absent`, and the `since` of now.
pub(super) fn progress(s: &Sequence, style: &Plain<'_>) -> String {
    let gaps = gaps(s);
    let query = events("event, at, event_id", s, &gaps, style);
    let mask = |here: Vec<(u32, String)>| {
        let bits = here.into_iter().map(|(k, is)| format!("CASE WHEN {is} THEN {} ELSE 0 END", 1 << (k - 1)));
        bits.reduce(|sum, bit| format!("{sum} + {bit}")).unwrap_or_else(|| "0".to_owned())
    };
    let step = |k| if k == 1 { "s1 IS NOT NULL".to_owned() } else { format!("m{k}") };
    let steps = mask((1..).zip(&gaps).map(|(k, _)| (k, step(k))).collect());
    let absent =
        mask((1..).zip(&gaps).filter(|(_, (_, x))| !x.is_empty()).map(|(k, _)| (k, format!("x{k}"))).collect());
    let (since, until, now) = match s.within.as_ref().map(|x| interval(x, style)) {
        Some(within) => {
            (format!("at - {within}"), format!("(at + {within})::text"), format!("{} - {within}", style.now()))
        }
        None => ("NULL::timestamptz".to_owned(), "NULL::text".to_owned(), "NULL::timestamptz".to_owned()),
    };
    let same = if s.by.is_some() { "same::text" } else { "NULL::text" };
    format!(
        "SELECT event, at, at::text, {since}, {until}, {same}, steps, absent, {now}\nFROM (\n    SELECT *, {steps} AS steps, {absent} AS absent\n    \
         FROM (\n{query}\n    ) AS q1\n) AS q\nWHERE steps + absent > 0\nORDER BY q.at, q.event_id"
    )
}

/// The events concerned, with these columns: which step each is (`m2` …), which must not come (`x1` …), and where a chain begins (`s1`).
fn events(columns: &str, s: &Sequence, gaps: &[(&Step, Vec<&Step>)], style: &Plain<'_>) -> String {
    let mut list = format!("      SELECT {columns}");
    let mut names: Vec<&str> = Vec::new();
    for step in &s.steps {
        if !names.contains(&step.event.as_str()) {
            names.push(&step.event);
        }
    }
    let mut more = String::new();
    if let Some(by) = &s.by {
        let ty = style.ctx.catalog.property(names.first().copied().unwrap_or_default(), by);
        let typed = property(by, ty.unwrap_or(super::ast::Type::Text)).0;
        let _ = write!(list, ", {typed} AS same");
        // Of the text: whether there is a value can be told of every event, whatever its type.
        let _ = write!(more, "\n        AND (properties->>{}) IS NOT NULL", quote_text(by));
    }
    for (k, (step, absent)) in (1..).zip(gaps) {
        let here = is(step, style);
        if k == 1 {
            let _ = write!(list, ",\n             CASE WHEN {here} THEN at END AS s1");
        } else {
            let _ = write!(list, ",\n             {here} AS m{k}");
        }
        if !absent.is_empty() {
            let any: Vec<String> = absent.iter().map(|step| is(step, style)).collect();
            let _ = write!(list, ",\n             {} AS x{k}", any.join(" OR "));
        }
    }
    let names: Vec<String> = names.into_iter().map(quote_text).collect();
    format!(
        "{list}\n      FROM {}\n      WHERE event IN ({})\n        AND at <= {}{}{more}",
        style.ctx.events("\n      "),
        names.join(", "),
        style.now(),
        style.only("\n        ")
    )
}

/// Whether an event is this step. CASE keeps the filter from events of other types, whose properties it may not be able to read.
fn is(step: &Step, style: &Plain<'_>) -> String {
    let event = quote_text(&step.event);
    match &step.filter {
        None => format!("event = {event}"),
        Some(filter) => {
            let mut text = String::new();
            write(&lower(filter, true), level::ANY, &style.inside(&step.event), &mut text);
            format!("CASE WHEN event = {event} THEN {text} END")
        }
    }
}

fn interval(x: &Expr, style: &Plain<'_>) -> String {
    let mut text = String::new();
    write(x, level::CAST, style, &mut text);
    text
}
