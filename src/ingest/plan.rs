//! What a message would write, worked out before anything is written: its identifiers in the form they are kept in, its traits and properties in the form of their types, and what
//! of it the workspace does not know.

use super::policy::{Policy, Unknown};
use crate::error::CdpError;
use crate::event::dictionary::{self, Property};
use crate::expr::catalog::Catalog;
use crate::identity::blocked::Blocked;
use crate::identity::rules::{IdentifierType, Rules};
use crate::identity::sight::{Sight, Wanted};
use crate::identity::value::{self, Forms, MOST_BYTES};
use crate::pg::spi;
use crate::profile::attribute;
use crate::workspace::Workspace;
use pg_cdp_core::expr::print::type_name;
use pg_cdp_core::infer;
use pg_cdp_core::message::{Corrected, Message, Refused, TraitValue};
use pg_cdp_core::survivorship;
use pgrx::datum::TimestampWithTimeZone;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Why a message is not taken.
pub enum Trouble {
    /// It cannot be used, for this reason: it goes to the rejects.
    Fault(String),
    /// Something failed.
    Error(CdpError),
}

impl From<CdpError> for Trouble {
    fn from(error: CdpError) -> Self {
        Self::Error(error)
    }
}

/// A trait and its value in the form of its type.
pub struct Trait {
    /// Name of the attribute.
    pub name: String,
    /// Its number; `None`: it has to be made.
    pub attribute_id: Option<i32>,
    /// Its type.
    pub ty: &'static str,
    /// Text of its value; `None`: cleared.
    pub value: Option<String>,
}

/// The event of a message.
pub struct Event {
    /// Its type.
    pub name: String,
    /// Whether the type is known.
    pub known: bool,
    /// Properties that are not.
    pub unknown: Vec<Property>,
    /// Its properties in the form of their types.
    pub properties: Map<String, Value>,
    /// When it happened.
    pub time: Corrected,
}

/// What a message would write.
pub struct Plan {
    /// Its identifiers.
    pub wanted: Vec<Wanted>,
    /// What is known of them.
    pub sight: Sight,
    /// Identifier types that have to be made, with the parts that name them.
    pub types: Vec<String>,
    /// Its traits.
    pub traits: Vec<Trait>,
    /// Its event.
    pub event: Option<Event>,
    /// When what it says was so.
    pub time: Corrected,
    /// Parts that are left out.
    pub refused: Vec<Refused>,
    /// Rules of the dictionary that it breaks and that keep nothing out, by their codes.
    pub warnings: Vec<String>,
    /// Whether a rule of the dictionary has taken its event out.
    pub event_rejected: bool,
}

impl Plan {
    /// Whether there is something to be made before it can be written.
    pub fn defines(&self) -> bool {
        !self.types.is_empty()
            || self.traits.iter().any(|t| t.attribute_id.is_none())
            || self.event.as_ref().is_some_and(|event| !event.known || !event.unknown.is_empty())
    }
}

/// The most attributes that messages may make: PostgreSQL allows 1600 columns.
const MOST_ATTRIBUTES: usize = 1000;

/// Works out what a message of a source would write.
pub fn plan(
    ws: &Workspace,
    rules: &Rules,
    catalog: &Catalog,
    policy: &Policy,
    source: &str,
    message: &Message,
    now: i64,
) -> Result<Plan, Trouble> {
    let mut plan = facts(catalog, rules, policy, message, now)?;
    plan.wanted = identifiers(ws, rules, message, &mut plan.refused)?;
    plan.sight = known(ws, rules, &mut plan.wanted, source, &mut plan.refused)?;
    let strong = |w: &Wanted| rules.get(w.type_id).is_ok_and(|ty| ty.strong);
    if plan.types.is_empty() && !plan.wanted.iter().any(strong) {
        return Err(Trouble::Fault(NOBODY.to_owned()));
    }
    Ok(plan)
}

/// Why a message is about nobody.
pub const NOBODY: &str = "no usable strong identifier";

/// Works out what a message would write, without looking at who it is about.
pub fn facts(catalog: &Catalog, rules: &Rules, policy: &Policy, message: &Message, now: i64) -> Result<Plan, Trouble> {
    let mut refused = message.refused.clone();
    let time = when(message, policy, now, &mut refused)?;
    let types = unknown_types(rules, policy, message, &mut refused)?;
    let traits = traits(catalog, policy, message, &mut refused)?;
    let event = event(catalog, policy, message, time, &mut refused)?;
    Ok(Plan {
        wanted: Vec::new(),
        sight: Sight::default(),
        types,
        traits,
        event,
        time,
        refused,
        warnings: Vec::new(),
        event_rejected: false,
    })
}

/// Why a time cannot be right. It is compared with when the message was received.
const LATER: &str = "later than it was received by more than the source's policy allows";
const EARLIER: &str = "earlier than it was received by more than the source's policy allows";

/// When what a message says was so. A time that cannot be right is treated as the source's policy says: when the message happened and, of what a server before this one received, when it
/// did. Neither is believed beyond what the clock here says: else one would vouch for the other.
fn when(message: &Message, policy: &Policy, now: i64, refused: &mut Vec<Refused>) -> Result<Corrected, Trouble> {
    let beyond = |at: i64, latest: i64, earliest: i64| {
        if at.saturating_sub(latest) > policy.future {
            Some(LATER)
        } else if earliest.saturating_sub(at) > policy.past {
            Some(EARLIER)
        } else {
            None
        }
    };
    let mut refuse = |part: &str, reason: &str| {
        if policy.quarantines {
            return Err(Trouble::Fault(format!("{part}: {reason}")));
        }
        refused.push(Refused { part: part.to_owned(), reason: reason.to_owned() });
        Ok(())
    };
    let mut clock = message.clock;
    if let Some(reason) = clock.received.and_then(|received| beyond(received, now, now)) {
        refuse("receivedAt", reason)?;
        clock.received = None;
    }
    let time = clock.correct(now);
    let Some(reason) = beyond(time.at, time.received.min(now), time.received) else { return Ok(time) };
    refuse("timestamp", reason)?;
    Ok(Corrected { at: time.received, received: time.received, original: Some(time.at) })
}

/// The identifier types that have to be made for a message.
fn unknown_types(
    rules: &Rules,
    policy: &Policy,
    message: &Message,
    refused: &mut Vec<Refused>,
) -> Result<Vec<String>, Trouble> {
    let mut types = Vec::new();
    for identifier in &message.identifiers {
        if rules.types.iter().any(|known| known.name == identifier.ty) {
            continue;
        }
        let reason = format!("unknown identifier type \"{}\"", identifier.ty);
        match policy.identifiers {
            Unknown::Create if dictionary::is_name(&identifier.ty) => types.push(identifier.ty.clone()),
            Unknown::Quarantine => return Err(Trouble::Fault(format!("{}: {reason}", identifier.part))),
            _ => refused.push(Refused { part: identifier.part.clone(), reason }),
        }
    }
    types.sort_unstable();
    types.dedup();
    Ok(types)
}

/// The identifiers of a message, as far as their types are known, each with its part and type. An alias does not say of which type the identifier is that it names: an account if there is such
/// a one, else what a visitor had before.
pub fn named<'a>(
    ws: &Workspace,
    rules: &'a Rules,
    message: &'a Message,
) -> Result<Vec<(&'a str, &'a IdentifierType, &'a str)>, CdpError> {
    let mut named = Vec::with_capacity(message.identifiers.len() + 1);
    for identifier in &message.identifiers {
        if let Some(ty) = rules.types.iter().find(|ty| ty.name == identifier.ty) {
            named.push((identifier.part.as_str(), ty, identifier.value.as_str()));
        }
    }
    if let Some(previous) = &message.previous {
        let account = value::look_up(ws, rules, "user_id", previous)?.is_some();
        named.push(("previousId", rules.named(if account { "user_id" } else { "anonymous_id" })?, previous));
    }
    Ok(named)
}

/// The identifiers of a message in the form they are kept in, each once.
pub fn identifiers(
    ws: &Workspace,
    rules: &Rules,
    message: &Message,
    refused: &mut Vec<Refused>,
) -> Result<Vec<Wanted>, CdpError> {
    let mut wanted = Vec::new();
    for (part, ty, text) in named(ws, rules, message)? {
        let mut refuse = |reason: String| refused.push(Refused { part: part.to_owned(), reason });
        match value::forms(ws, ty, text)? {
            None => refuse(format!("not a valid {}", ty.name)),
            Some(Forms { kept, .. }) if kept.len() > MOST_BYTES => refuse(format!("longer than {MOST_BYTES} bytes")),
            Some(forms) => wanted.push(Wanted::of(ty.type_id, forms)),
        }
    }
    Ok(Wanted::each_once(wanted))
}

/// What is known of the identifiers. Those that are new and blocked are left out.
fn known(
    ws: &Workspace,
    rules: &Rules,
    wanted: &mut Vec<Wanted>,
    source: &str,
    refused: &mut Vec<Refused>,
) -> Result<Sight, CdpError> {
    let mut sight = Sight::read(ws, wanted, source)?;
    if !sight.known.contains(&None) {
        return Ok(sight);
    }
    let blocked = Blocked::load(ws)?;
    let mut usable = Vec::with_capacity(wanted.len());
    for (w, known) in wanted.iter().zip(&sight.known) {
        let value = w.plain.to_lowercase();
        let reason = if known.is_none() { blocked.reason(w.type_id, &value) } else { None };
        if let Some(reason) = reason {
            let part = rules.get(w.type_id)?.name.clone();
            refused.push(Refused { part, reason: format!("blocked: {reason}") });
        }
        usable.push(reason.is_none());
    }
    let mut keep = usable.iter();
    wanted.retain(|_| keep.next() == Some(&true));
    let mut keep = usable.iter();
    sight.known.retain(|_| keep.next() == Some(&true));
    Ok(sight)
}

fn traits(
    catalog: &Catalog,
    policy: &Policy,
    message: &Message,
    refused: &mut Vec<Refused>,
) -> Result<Vec<Trait>, Trouble> {
    let mut out = Vec::with_capacity(message.traits.len());
    let mut attributes = catalog.attributes.len();
    for t in &message.traits {
        let mut refuse = |reason: String| refused.push(Refused { part: t.part.clone(), reason });
        let known = catalog.attributes.get(&t.name);
        if known.is_some_and(|a| a.tag) {
            refuse(format!("\"{}\" is a tag, which is computed or set", t.name));
            continue;
        }
        let ty = match (known, &t.value) {
            (Some(known), _) => Some(type_name(known.ty)),
            (None, TraitValue::Clear) => None,
            (None, TraitValue::Many(_)) => Some("text[]"),
            (None, TraitValue::One(value)) => infer::type_of(value),
        };
        // Nobody has what there is no attribute for.
        let Some(ty) = ty else { continue };
        if known.is_none() && !attribute::is_name(&t.name) {
            refuse(format!("\"{}\" cannot be the name of an attribute", t.name));
            continue;
        }
        let Some(value) = form(&t.value, ty) else {
            refuse(format!("no value of type {ty}"));
            continue;
        };
        if value.as_deref() == Some("") {
            continue;
        }
        if known.is_none() {
            match policy.traits {
                Unknown::Create if attributes < MOST_ATTRIBUTES => attributes += 1,
                Unknown::Create => {
                    refuse(format!("there are {MOST_ATTRIBUTES} attributes already"));
                    continue;
                }
                Unknown::Quarantine => return Err(Trouble::Fault(format!("{}: unknown trait \"{}\"", t.part, t.name))),
                Unknown::Reject => {
                    refuse(format!("unknown trait \"{}\"", t.name));
                    continue;
                }
            }
        }
        let attribute_id = known.map(|a| a.attribute_id);
        out.push(Trait { name: t.name.clone(), attribute_id, ty, value });
    }
    Ok(out)
}

/// The text of a value in the form of a type, `Some(None)` for one that is cleared; `None` when it has none.
fn form(value: &TraitValue, ty: &str) -> Option<Option<String>> {
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Some(Some(match (value, ty) {
        (TraitValue::Clear, _) => return Some(None),
        (TraitValue::Many(items), "text[]") => survivorship::print_texts(&items.iter().cloned().collect()),
        (TraitValue::Many(items), "text") => Value::from(items.clone()).to_string(),
        (TraitValue::Many(_), _) => return None,
        (TraitValue::One(value), "text[]") => {
            let item = infer::conform(value, "text").map(text)?;
            survivorship::print_texts(&BTreeSet::from([item]))
        }
        (TraitValue::One(value), ty) => text(infer::conform(value, ty)?),
    }))
}

fn event(
    catalog: &Catalog,
    policy: &Policy,
    message: &Message,
    time: Corrected,
    refused: &mut Vec<Refused>,
) -> Result<Option<Event>, Trouble> {
    let Some(event) = &message.event else { return Ok(None) };
    let known = catalog.events.get(&event.name);
    if known.is_none() {
        let reason = format!("unknown event type \"{}\"", event.name);
        match policy.events {
            Unknown::Create => {}
            Unknown::Quarantine => return Err(Trouble::Fault(format!("event: {reason}"))),
            Unknown::Reject => {
                refused.push(Refused { part: "event".to_owned(), reason });
                return Ok(None);
            }
        }
    }
    let (mut properties, mut unknown) = (Map::new(), Vec::new());
    let mut count = known.map_or(0, |event| event.properties.len());
    for (name, value) in &event.properties {
        let mut refuse = |reason: String| refused.push(Refused { part: format!("properties.{name}"), reason });
        let property = known.and_then(|event| event.properties.get(name));
        let ty = match property {
            Some(property) => type_name(property.ty),
            None => match infer::type_of(value) {
                Some(ty) => ty,
                None => continue,
            },
        };
        if value.is_null() {
            continue;
        }
        let Some(value) = infer::conform(value, ty) else {
            refuse(format!("no value of type {ty}"));
            continue;
        };
        if property.is_none() {
            match policy.properties {
                Unknown::Create if dictionary::is_name(name) && count < dictionary::MOST_PROPERTIES => {
                    count += 1;
                    unknown.push(Property { name: name.clone(), ty: ty.to_owned(), tracked: None, measure: None });
                }
                Unknown::Create => {
                    refuse("no usable name of a property, or there are too many".to_owned());
                    continue;
                }
                Unknown::Quarantine => return Err(Trouble::Fault(format!("properties.{name}: unknown property"))),
                Unknown::Reject => {
                    refuse("unknown property".to_owned());
                    continue;
                }
            }
        }
        properties.insert(name.clone(), value);
    }
    Ok(Some(Event { name: event.name.clone(), known: known.is_some(), unknown, properties, time }))
}

/// Writes the traits that are moments as PostgreSQL writes them under the settings in force, as every door does.
pub fn moments<'a>(traits: impl Iterator<Item = &'a mut Trait>) -> Result<(), CdpError> {
    let moments: Vec<&mut String> = traits.filter(|t| t.ty == "timestamptz").filter_map(|t| t.value.as_mut()).collect();
    if moments.is_empty() {
        return Ok(());
    }
    let texts: Vec<String> = moments.iter().map(|text| (**text).clone()).collect();
    let canonical = spi::rows_cached(
        "SELECT (x.t::pg_catalog.timestamptz)::pg_catalog.text FROM unnest($1::pg_catalog.text[]) WITH ORDINALITY AS x(t, i) ORDER BY x.i",
        &[texts.into()],
        |row| spi::must::<String>(row, 1),
    )?;
    moments.into_iter().zip(canonical).for_each(|(text, canonical)| *text = canonical);
    Ok(())
}

/// A moment in microseconds since 2000-01-01 UTC, as PostgreSQL has it.
pub fn moment(micros: i64) -> Result<TimestampWithTimeZone, CdpError> {
    TimestampWithTimeZone::try_from(micros).map_err(|_| CdpError::out_of_range("timestamp", micros))
}
