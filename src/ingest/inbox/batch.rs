//! The messages of a batch of one source, taken by the workspace's only writer: whatever they say.

use super::{Waiting, identifiers, read_one};
use crate::error::CdpError;
use crate::event::{self, keys, validate};
use crate::expr::catalog::Catalog;
use crate::identity::gather::{Refused, Sights};
use crate::identity::rules::Rules;
use crate::identity::{origin, stitch};
use crate::ingest::door::{self, as_received, reason_of};
use crate::ingest::plan::{self, Plan, Trouble, moment};
use crate::ingest::{definitions, figures, policy};
use crate::pg::{spi, temp};
use crate::profile;
use crate::quality::tally::{Level, Tally};
use crate::source::batch;
use crate::workspace::Workspace;
use pg_cdp_core::json::{Unkept, canonical};
use pg_cdp_core::message::{Fault, Message};
use pgrx::datum::TimestampWithTimeZone;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::rc::Rc;

/// A message of the batch.
struct Item {
    message: Message,
    key: String,
    came: Came,
    /// What it says beside who it is about.
    plan: Option<Plan>,
}

/// Where a message was found: what goes to the rejects is put together for those that go there.
struct Came {
    payload: Rc<Value>,
    nth: usize,
    at: i64,
}

impl Came {
    fn value(&self) -> Value {
        let found = door::messages(&self.payload).and_then(|(messages, envelope, _)| {
            let value = messages.into_iter().nth(self.nth)?;
            Some(as_received(value, envelope, self.at))
        });
        found.unwrap_or_default()
    }
}

/// A payload that is kept as its text, which jsonb holds whatever it is.
fn as_text(payload: &str) -> Value {
    Value::String(payload.replace("\\u0000", "\u{fffd}"))
}

/// The messages of one source.
pub struct Batch {
    source: String,
    items: Vec<Item>,
    /// Payloads that cannot be used, with their key and the reason.
    refused: Vec<(Option<String>, Value, String)>,
}

impl Batch {
    /// Takes payloads apart and plans what they would write, as far as that is possible without keeping others from writing.
    pub fn read(ws: &Workspace, source: &str, rows: &[Waiting]) -> Result<Self, CdpError> {
        let mut batch = Self { source: source.to_owned(), items: Vec::with_capacity(rows.len()), refused: Vec::new() };
        for row in rows {
            pgrx::check_for_interrupts!();
            match serde_json::from_str(&row.payload) {
                Ok(payload) => batch.take(row, payload),
                Err(error) => {
                    let reason = format!("the payload is no JSON: {error}");
                    batch.refused.push((None, as_text(&row.payload), reason));
                }
            }
        }
        batch.plan(ws)?;
        Ok(batch)
    }

    /// Rows of which nothing is used, for one reason.
    pub fn of_refused(source: &str, rows: &[Waiting], reason: &str) -> Self {
        let payload = |row: &Waiting| {
            let object = serde_json::from_str(&row.payload).ok().filter(Value::is_object);
            let kept = object.and_then(|mut object| canonical(&mut object).is_ok().then_some(object));
            kept.unwrap_or_else(|| as_text(&row.payload))
        };
        let refused = rows.iter().map(|row| (None, payload(row), reason.to_owned()));
        Self { source: source.to_owned(), items: Vec::new(), refused: refused.collect() }
    }

    /// Takes the payload of a row apart. Numbers are written as jsonb would, so that both doors read the same.
    fn take(&mut self, row: &Waiting, mut payload: Value) {
        let now: i64 = row.received.into();
        let unkept = canonical(&mut payload).err();
        let Some((messages, envelope, many)) = door::messages(&payload) else {
            let what = "the payload is neither a message nor an array of messages";
            let reason = unkept.map_or(what, Unkept::reason).to_owned();
            let payload = if unkept.is_some() { as_text(&row.payload) } else { payload };
            self.refused.push((None, payload, reason));
            return;
        };
        match unkept {
            None => {
                let read: Vec<_> =
                    messages.into_iter().enumerate().map(|(nth, value)| read_one(value, envelope, now, nth)).collect();
                self.add(read, payload, now);
            }
            // Of several messages only those are left out that cannot be kept.
            Some(_) if many && payload.is_array() => {
                for (nth, value) in messages.into_iter().enumerate() {
                    let mut value = value.clone();
                    match canonical(&mut value) {
                        Ok(()) => {
                            let message = read_one(&value, envelope, now, nth);
                            self.add(vec![message], Value::Array(vec![value]), now);
                        }
                        Err(unkept) => {
                            self.refused.push((None, as_text(&value.to_string()), unkept.reason().to_owned()));
                        }
                    }
                }
            }
            Some(unkept) => self.refused.push((None, as_text(&row.payload), unkept.reason().to_owned())),
        }
    }

    /// Takes messages of a payload with their keys.
    fn add(&mut self, messages: Vec<Result<(Message, String), Fault>>, payload: Value, at: i64) {
        let payload = Rc::new(payload);
        for (nth, message) in messages.into_iter().enumerate() {
            let came = Came { payload: Rc::clone(&payload), nth, at };
            match message {
                Err(fault) => self.refused.push((None, came.value(), fault.0)),
                Ok((message, key)) => self.items.push(Item { message, key, came, plan: None }),
            }
        }
    }

    /// Plans the messages that have no plan.
    fn plan(&mut self, ws: &Workspace) -> Result<(), CdpError> {
        let (catalog, rules) = (Catalog::load(ws)?, Rules::load(ws)?);
        let policy = policy::of(ws, origin::named(ws, &self.source)?.map(|(source_id, _)| source_id))?;
        let mut kept = Vec::with_capacity(self.items.len());
        for mut item in self.items.drain(..) {
            if item.plan.is_none() {
                match plan::facts(&catalog, &rules, &policy, &item.message, item.came.at) {
                    Ok(plan) => item.plan = Some(plan),
                    Err(Trouble::Fault(reason)) => {
                        self.refused.push((Some(item.key), item.came.value(), reason));
                        continue;
                    }
                    Err(Trouble::Error(error)) => return Err(error),
                }
            }
            kept.push(item);
        }
        self.items = kept;
        Ok(())
    }

    /// Writes what was planned. Returns how many messages were rejected.
    pub fn write(mut self, ws: &Workspace) -> Result<i64, CdpError> {
        ws.lock()?;
        let (source_id, trust) = origin::of_calls(ws, &self.source)?;
        let repeated = self.drop_known(ws, source_id)?;
        self.define(ws)?;
        plan::moments(self.items.iter_mut().filter_map(|item| item.plan.as_mut()).flat_map(|plan| &mut plan.traits))?;
        let rules = Rules::load(ws)?;
        batch::prepare()?;
        let messages = (0i64..).zip(&self.items).filter_map(|(rn, item)| {
            let plan = item.plan.as_ref()?;
            Some((rn, &item.message, plan.time.at))
        });
        let (shown, types) = identifiers::rows(ws, &rules, messages)?;
        let (mut refused, mut useless) = (Vec::new(), Vec::new());
        let mut sights = Sights::of(ws, &rules, &types, &shown, &mut refused, &mut useless)?;
        drop(shown);
        let useless: HashSet<i64> = useless.into_iter().collect();
        self.fill(&useless)?;
        let count = |n: usize| i64::try_from(n).map_err(|_| CdpError::limit("too many messages"));
        let mut tally = Tally::of(count(self.items.len() + self.refused.len())? + repeated);
        tally.repeated = repeated;
        let broken = self.obey(ws, source_id, &mut tally)?;
        batch::usable(&mut tally)?;
        tally.events += repeated;
        event::land::prepare()?;
        let subjects = sights.subjects();
        let merged = stitch::see(ws, &rules, &mut sights, source_id, trust)?;
        sights.enter(subjects)?;
        profile::observe::observe(ws, source_id, merged)?;
        // Messages whose key is known have been left out.
        event::land::land(ws, source_id, true)?;
        let rejected = useless.len() + self.refused.len();
        self.tell(ws, &useless, refused, &mut tally)?;
        let usable = (0i64..).zip(&self.items).filter(|(rn, _)| !useless.contains(rn));
        let usable = usable.filter_map(|(_, item)| Some((&item.message, item.plan.as_ref()?)));
        figures::fields(ws, source_id, &rules, usable, &mut tally)?;
        let rejected = i64::try_from(rejected).map_err(|_| CdpError::limit("too many rejects"))? + broken;
        tally.rejected = rejected;
        tally.write(ws, source_id)?;
        Ok(rejected)
    }

    /// Applies the rules of the dictionary. Returns how many events were rejected.
    fn obey(&self, ws: &Workspace, source_id: i32, tally: &mut Tally) -> Result<i64, CdpError> {
        if !validate::any(ws)? {
            return Ok(0);
        }
        temp::table("cdp_message", "rn pg_catalog.int8, key pg_catalog.text, payload pg_catalog.jsonb")?;
        let (mut rns, mut keys, mut payloads) = (Vec::new(), Vec::new(), Vec::new());
        for (rn, item) in (0i64..).zip(&self.items) {
            rns.push(rn);
            keys.push(item.key.clone());
            payloads.push(item.came.value().to_string());
        }
        spi::run(
            "INSERT INTO pg_temp.cdp_message (rn, key, payload) SELECT x.rn, x.key, x.payload::pg_catalog.jsonb \
             FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.text[], $3::pg_catalog.text[]) AS x(rn, key, payload)",
            &[rns.into(), keys.into(), payloads.into()],
        )?;
        validate::validate(ws, source_id, "SELECT x.rn, x.key, x.payload FROM pg_temp.cdp_message x", "message", tally)
    }

    /// Leaves out messages that were taken before, and all but the first of those with the same key: whatever they say, the first one counts.
    /// Returns how many of them told an event.
    fn drop_known(&mut self, ws: &Workspace, source_id: i32) -> Result<i64, CdpError> {
        let keys = self.items.iter().map(|item| item.key.as_str()).collect();
        let mut met = keys::known(ws, source_id, keys)?;
        let mut repeated = 0;
        self.items.retain(|item| {
            let new = met.insert(item.key.clone());
            repeated += i64::from(!new && item.message.event.is_some());
            new
        });
        Ok(repeated)
    }

    /// Enters what is not known, and plans those messages again that brought it: types are as the first of them has it.
    fn define(&mut self, ws: &Workspace) -> Result<(), CdpError> {
        let mut any = false;
        for item in &mut self.items {
            if let Some(plan) = &item.plan
                && plan.defines()
            {
                definitions::make(ws, plan)?;
                item.plan = None;
                any = true;
            }
        }
        if any { self.plan(ws) } else { Ok(()) }
    }

    /// Fills the table of the batch with what the messages say.
    fn fill(&self, useless: &HashSet<i64>) -> Result<(), CdpError> {
        let mut rns = Vec::new();
        let (mut keys, mut seen, mut traits) = (Vec::new(), Vec::new(), Vec::new());
        let (mut events, mut properties) = (Vec::new(), Vec::new());
        let (mut received, mut original) = (Vec::new(), Vec::new());
        for (rn, item) in (0i64..).zip(&self.items) {
            let Some(plan) = item.plan.as_ref().filter(|_| !useless.contains(&rn)) else { continue };
            let mut said = Map::new();
            for t in &plan.traits {
                if let Some(id) = t.attribute_id {
                    said.insert(id.to_string(), t.value.clone().map_or(Value::Null, Value::String));
                }
            }
            rns.push(rn);
            keys.push(item.key.clone());
            seen.push(moment(plan.time.at)?);
            traits.push(Value::Object(said).to_string());
            events.push(plan.event.as_ref().map(|event| event.name.clone()));
            properties.push(match &plan.event {
                Some(event) => {
                    Some(serde_json::to_string(&event.properties).map_err(|e| CdpError::internal(e.to_string()))?)
                }
                None => None,
            });
            received.push(moment(plan.time.received)?);
            original.push(plan.time.original.and_then(|at| TimestampWithTimeZone::try_from(at).ok()));
        }
        spi::run(
            "INSERT INTO pg_temp.cdp_row (rn, k, seen, traits, event, event_at, event_key, properties, received, original) \
             SELECT x.rn, x.k, x.seen, x.traits::pg_catalog.jsonb, x.event, x.seen, x.k, x.properties::pg_catalog.jsonb, x.received, x.original \
             FROM unnest($1::pg_catalog.int8[], $2::pg_catalog.text[], $3::pg_catalog.timestamptz[], $4::pg_catalog.text[], $5::pg_catalog.text[], $6::pg_catalog.text[], \
                 $7::pg_catalog.timestamptz[], $8::pg_catalog.timestamptz[]) AS x(rn, k, seen, traits, event, properties, received, original)",
            &[
                rns.into(),
                keys.into(),
                seen.into(),
                traits.into(),
                events.into(),
                properties.into(),
                received.into(),
                original.into(),
            ],
        )?;
        temp::analyze("cdp_row", "event")?;
        Ok(())
    }

    /// Tells the rejects what was not used.
    fn tell(
        &self,
        ws: &Workspace,
        useless: &HashSet<i64>,
        refused: Vec<Refused>,
        tally: &mut Tally,
    ) -> Result<(), CdpError> {
        for (key, payload, reason) in &self.refused {
            tally.broken(Level::Reject, door::code_of(reason), 1);
            door::tell(ws, &self.source, key.as_deref(), payload, std::slice::from_ref(reason))?;
        }
        for (rn, item) in (0i64..).zip(&self.items) {
            if useless.contains(&rn) {
                tally.broken(Level::Reject, door::code_of(plan::NOBODY), 1);
                door::tell(ws, &self.source, Some(&item.key), &item.came.value(), &[plan::NOBODY.to_owned()])?;
                continue;
            }
            let parts = item.plan.iter().flat_map(|plan| &plan.refused);
            let reasons: Vec<String> = parts.map(reason_of).collect();
            if !reasons.is_empty() {
                reasons.iter().for_each(|reason| tally.broken(Level::Reject, door::code_of(reason), 1));
                door::tell(ws, &self.source, Some(&item.key), &item.came.value(), &reasons)?;
            }
        }
        for value in refused {
            let payload = serde_json::json!({"identifier_type": value.type_name, "value": value.value});
            let reason = format!("identifier {} is {}", value.type_name, value.fault);
            tally.broken(Level::Reject, door::code_of(&reason), 1);
            door::tell(ws, &self.source, None, &payload, &[reason])?;
        }
        Ok(())
    }
}
