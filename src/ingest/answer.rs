//! What a message came to, as its sender is told.

use super::realtime::Effects;
use crate::profile::single::Changed;
use pg_cdp_core::message::{Message, Refused};
use serde_json::{Map, Value, json};

/// What a message came to.
#[derive(Debug, Default)]
pub struct Answer {
    /// The profile it is about.
    pub profile: Option<i64>,
    /// Whether that is new.
    pub created: bool,
    /// Profiles that went into it.
    pub merged: Vec<i64>,
    /// Whether its event was there already.
    pub repeated: bool,
    /// Traits that have another value now.
    pub traits: Vec<Changed>,
    /// What followed.
    pub effects: Effects,
    /// Parts that were left out.
    pub rejected: Vec<Refused>,
}

impl Answer {
    /// As JSON. What there is nothing of is left out, but for the parts that are always there.
    pub fn json(&self, message: &Message) -> Value {
        let mut out = Map::new();
        let mut put = |key: &str, value: Value| {
            out.insert(key.to_owned(), value);
        };
        put("type", json!(message.verb.name()));
        if let Some(id) = &message.id {
            put("messageId", json!(id));
        }
        put("profile", json!(self.profile));
        if self.created {
            put("created", json!(true));
        }
        if self.repeated {
            put("repeated", json!(true));
        }
        if !self.merged.is_empty() {
            put("merged", json!(self.merged));
        }
        for (key, changed) in [("traits", &self.traits), ("tags", &self.effects.tags)] {
            if !changed.is_empty() {
                let pairs = changed.iter().map(|c| (c.name.clone(), json!({"before": c.before, "after": c.after})));
                put(key, Value::Object(pairs.collect()));
            }
        }
        for (key, names) in [("entered", &self.effects.entered), ("left", &self.effects.left)] {
            if !names.is_empty() {
                put(key, json!(names));
            }
        }
        if !self.effects.failed.is_empty() {
            let failed = self.effects.failed.iter();
            put("failed", failed.map(|(what, why)| json!({"what": what, "reason": why})).collect());
        }
        if !self.rejected.is_empty() {
            let parts = self.rejected.iter();
            put("rejected", parts.map(|r| json!({"part": r.part, "reason": r.reason})).collect());
        }
        Value::Object(out)
    }
}
