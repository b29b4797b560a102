//! What becomes of messages that bring what is not known, or times that cannot be right: the policy of their source.

use crate::error::{CdpError, given, quoted};
use crate::pg::json::JsonText;
use crate::pg::spi;
use crate::workspace::kept::{self, Kept};
use crate::workspace::{self, Workspace};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::HashMap;

/// What becomes of a part that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// It is left out.
    Reject,
    /// The whole message waits among the rejects.
    Quarantine,
    /// It is entered.
    Create,
}

impl Unknown {
    fn named(word: &str) -> Self {
        match word {
            "quarantine" => Self::Quarantine,
            "create" => Self::Create,
            _ => Self::Reject,
        }
    }
}

/// The policy of a source. Spans are in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Of identifier types.
    pub identifiers: Unknown,
    /// Of traits.
    pub traits: Unknown,
    /// Of event types.
    pub events: Unknown,
    /// Of properties.
    pub properties: Unknown,
    /// An event may be so much later than it was received.
    pub future: i64,
    /// And so much earlier.
    pub past: i64,
    /// Whether the message waits among the rejects beyond that; else its event counts at the time of receipt.
    pub quarantines: bool,
}

const DAY: i64 = 86_400_000_000;

/// What holds for a source without a policy of its own. Identifier types decide who is one person with whom: they are made by people, not by data.
const DEFAULT: Policy = Policy {
    identifiers: Unknown::Reject,
    traits: Unknown::Create,
    events: Unknown::Create,
    properties: Unknown::Create,
    future: DAY,
    past: 20 * 365 * DAY,
    quarantines: false,
};

thread_local! {
    static KEPT: Cell<Option<Kept<HashMap<i32, Policy>>>> = const { Cell::new(None) };
}

/// The policy of a source; of one that is not entered yet the default.
pub fn of(ws: &Workspace, source_id: Option<i32>) -> Result<Policy, CdpError> {
    let Some(source_id) = source_id else { return Ok(DEFAULT) };
    let all = kept::load(&KEPT, ws, &["source_policy"], || {
        let word = |row: &pgrx::spi::SpiHeapTupleData, i: usize| spi::must::<String>(row, i);
        let rows = spi::rows_cached(
            &ws.sql(
                "SELECT p.source_id, p.identifiers, p.traits, p.events, p.properties, (extract(epoch FROM p.future) * 1000000)::pg_catalog.int8, \
                        (extract(epoch FROM p.past) * 1000000)::pg_catalog.int8, p.beyond FROM @ws@.source_policy p",
            ),
            &[],
            |row| {
                let policy = Policy {
                    identifiers: Unknown::named(&word(row, 2)?),
                    traits: Unknown::named(&word(row, 3)?),
                    events: Unknown::named(&word(row, 4)?),
                    properties: Unknown::named(&word(row, 5)?),
                    future: spi::must(row, 6)?,
                    past: spi::must(row, 7)?,
                    quarantines: word(row, 8)? == "quarantine",
                };
                Ok((spi::must::<i32>(row, 1)?, policy))
            },
        )?;
        Ok(rows.into_iter().collect())
    })?;
    Ok(all.get(&source_id).copied().unwrap_or(DEFAULT))
}

/// The settings as people write them, with what holds without a policy.
const SETTINGS: [(&str, &str, &[&str]); 7] = [
    ("identifiers", "reject", &["reject", "quarantine", "create"]),
    ("traits", "create", &["reject", "quarantine", "create"]),
    ("events", "create", &["reject", "quarantine", "create"]),
    ("properties", "create", &["reject", "quarantine", "create"]),
    ("future", "1 day", &[]),
    ("past", "7300 days", &[]),
    ("beyond", "received", &["received", "quarantine"]),
];

/// The settings of a source as they are, one text each in the order of [`SETTINGS`].
fn settings(ws: &Workspace, source_id: i32) -> Result<Vec<String>, CdpError> {
    let found = spi::one::<Vec<String>>(
        &ws.sql(
            "SELECT ARRAY[p.identifiers, p.traits, p.events, p.properties, p.future::pg_catalog.text, p.past::pg_catalog.text, p.beyond] FROM @ws@.source_policy p WHERE p.source_id = $1",
        ),
        &[source_id.into()],
    )?;
    Ok(found.unwrap_or_else(|| SETTINGS.iter().map(|(_, default, _)| (*default).to_owned()).collect()))
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_source_policy(
    source: Option<&str>,
    settings: default!(Option<JsonText>, "'{}'"),
) -> Result<JsonText, ErrorReport> {
    Ok(workspace::enter(|ws| change(ws, given(source, "source")?, &given(settings, "settings")?))?)
}

/// Changes settings of a source, which is entered when it is new; gives what holds then.
fn change(ws: &Workspace, source: &str, wanted: &JsonText) -> Result<JsonText, CdpError> {
    let Value::Object(wanted) = wanted.parse()? else {
        return Err(CdpError::invalid_parameter("the policy of a source is a JSON object of settings")
            .with_hint(r#"Write it as in '{"events": "quarantine", "future": "1 hour"}'."#));
    };
    ws.lock()?;
    let source_id = crate::identity::origin::of_calls(ws, source)?.0;
    let mut now = settings(ws, source_id)?;
    for (key, value) in &wanted {
        let known = || SETTINGS.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ");
        let place = SETTINGS.iter().position(|(name, ..)| name == key).ok_or_else(|| {
            CdpError::invalid_parameter(format!("unknown setting {} of a source's policy", quoted(key)))
                .with_hint(format!("Settings are {}.", known()))
        })?;
        let (Some((name, _, words)), Some(text), Some(slot)) =
            (SETTINGS.get(place), value.as_str(), now.get_mut(place))
        else {
            return Err(CdpError::invalid_parameter(format!("setting \"{key}\" is no text: {value}"))
                .with_hint("Give a word or an interval in quotes."));
        };
        if !words.is_empty() && !words.contains(&text) {
            return Err(CdpError::invalid_parameter(format!("{} is no value of setting \"{name}\"", quoted(text)))
                .with_hint(format!("Values are {}.", words.join(", "))));
        }
        text.clone_into(slot);
    }
    spi::run(
        &ws.sql(
            "INSERT INTO @ws@.source_policy (source_id, identifiers, traits, events, properties, future, past, beyond) \
             VALUES ($1, $2[1], $2[2], $2[3], $2[4], ($2[5])::pg_catalog.interval, ($2[6])::pg_catalog.interval, $2[7]) \
             ON CONFLICT (source_id) DO UPDATE SET identifiers = excluded.identifiers, traits = excluded.traits, events = excluded.events, properties = excluded.properties, \
                 future = excluded.future, past = excluded.past, beyond = excluded.beyond",
        ),
        &[source_id.into(), now.into()],
    )?;
    let now = SETTINGS
        .iter()
        .zip(self::settings(ws, source_id)?)
        .map(|((name, ..), value)| ((*name).to_owned(), json!(value)));
    Ok(JsonText::new(Value::Object(now.collect()).to_string()))
}
