//! Taking a message apart.

use super::traits::flatten;
use super::{Clock, Event, Fault, Identifier, Message, Refused, Verb, moment};
use serde_json::{Map, Value};

/// What a batch says of all its messages.
#[derive(Debug, Clone, Copy, Default)]
pub struct Envelope<'a> {
    /// `sentAt` of the batch: libraries send it once.
    pub sent_at: Option<&'a Value>,
    /// `context` of the batch.
    pub context: Option<&'a Map<String, Value>>,
}

/// The longest `messageId` that is kept, in bytes.
const ID_BYTES: usize = 255;

/// The longest name of an event type, in bytes.
const EVENT_BYTES: usize = 63;

/// Takes one message apart.
///
/// # Errors
/// A [`Fault`] when it is no object, its `type` is none of the six, or a track call names no event.
pub fn read(message: &Value, envelope: Envelope) -> Result<Message, Fault> {
    let Value::Object(message) = message else { return Err(Fault("the message is no object".to_owned())) };
    let verb = match message.get("type").or_else(|| message.get("action")) {
        Some(Value::String(name)) => {
            Verb::named(name).ok_or_else(|| Fault(format!("unknown message type {name:?}")))?
        }
        _ => return Err(Fault("the message has no type".to_owned())),
    };
    let mut refused = Vec::new();
    let id = match message.get("messageId") {
        None | Some(Value::Null) => None,
        Some(value) => {
            let id = text(value).filter(|id| !id.is_empty() && id.len() <= ID_BYTES);
            Some(id.ok_or_else(|| Fault(format!("messageId is not a text of 1 to {ID_BYTES} bytes")))?)
        }
    };
    let clock = clock(message, envelope, &mut refused);
    let own = object(message, "context", &mut refused);
    let context = |key: &str| own.and_then(|c| c.get(key)).or_else(|| envelope.context.and_then(|c| c.get(key)));
    let traits = object(message, "traits", &mut refused);
    let context_traits = context("traits").and_then(Value::as_object);

    let mut named = Named { identifiers: Vec::new(), refused };
    named.add("userId", "user_id", message.get("userId"));
    named.add("anonymousId", "anonymous_id", message.get("anonymousId"));
    for (part, of) in [("traits", traits.filter(|_| verb != Verb::Group)), ("context.traits", context_traits)] {
        for ty in ["email", "phone"] {
            named.add(&format!("{part}.{ty}"), ty, of.and_then(|traits| traits.get(ty)));
        }
    }
    let device = context("device").and_then(Value::as_object);
    named.add("context.device.id", "device_id", device.and_then(|d| d.get("id")));
    named.advertising(device, context("os").and_then(Value::as_object));
    named.external(context("externalIds").or_else(|| message.get("externalIds")));
    let Named { identifiers, mut refused } = named;

    let mut found = Vec::new();
    if verb == Verb::Identify {
        for (part, of) in [("context.traits", context_traits), ("traits", traits)] {
            if let Some(of) = of {
                flatten(part, of, &mut found, &mut refused);
            }
        }
    }
    let event = event(verb, message, traits, &mut refused)?;
    let previous = match (verb, message.get("previousId").and_then(text)) {
        (Verb::Alias, None) => return Err(Fault("an alias call has no previousId".to_owned())),
        (Verb::Alias, previous) => previous,
        _ => None,
    };
    Ok(Message { verb, id, identifiers, previous, traits: found, event, clock, refused })
}

/// The text of a text or number.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// An object of the message; something else there is told.
fn object<'a>(
    message: &'a Map<String, Value>,
    key: &str,
    refused: &mut Vec<Refused>,
) -> Option<&'a Map<String, Value>> {
    match message.get(key) {
        None | Some(Value::Null) => None,
        Some(Value::Object(object)) => Some(object),
        Some(_) => {
            refused.push(Refused { part: key.to_owned(), reason: "not an object".to_owned() });
            None
        }
    }
}

fn clock(message: &Map<String, Value>, envelope: Envelope, refused: &mut Vec<Refused>) -> Clock {
    let mut time = |key: &str, value: Option<&Value>| {
        let value = value.filter(|value| !value.is_null())?;
        let found = moment(value);
        if found.is_none() {
            refused.push(Refused { part: key.to_owned(), reason: format!("{value} is no time") });
        }
        found
    };
    // What a library calls timestamp, a server before this one has moved to originalTimestamp.
    let original = time("originalTimestamp", message.get("originalTimestamp"));
    let timestamp = time("timestamp", message.get("timestamp"));
    Clock {
        original: original.or(timestamp),
        sent: time("sentAt", message.get("sentAt").or(envelope.sent_at)),
        received: time("receivedAt", message.get("receivedAt")),
    }
}

/// The event that a message tells, if its verb tells one.
fn event(
    verb: Verb,
    message: &Map<String, Value>,
    traits: Option<&Map<String, Value>>,
    refused: &mut Vec<Refused>,
) -> Result<Option<Event>, Fault> {
    let mut properties = match verb {
        Verb::Identify | Verb::Alias => return Ok(None),
        Verb::Group => traits.cloned().unwrap_or_default(),
        Verb::Track | Verb::Page | Verb::Screen => object(message, "properties", refused).cloned().unwrap_or_default(),
    };
    let mut also = |from: &str, to: &str| {
        if let Some(value) = message.get(from).filter(|value| !value.is_null()) {
            properties.entry(to).or_insert_with(|| value.clone());
        }
    };
    let name = match verb {
        Verb::Track => {
            let name = message.get("event").and_then(Value::as_str).map(str::trim).unwrap_or_default();
            if name.is_empty() {
                return Err(Fault("a track call has no event".to_owned()));
            }
            if name.len() > EVENT_BYTES {
                return Err(Fault(format!("the name of the event is longer than {EVENT_BYTES} bytes")));
            }
            name.to_owned()
        }
        Verb::Group => {
            if message.get("groupId").and_then(text).is_none_or(|id| id.is_empty()) {
                return Err(Fault("a group call has no groupId".to_owned()));
            }
            also("groupId", "group_id");
            verb.name().to_owned()
        }
        _ => {
            also("name", "name");
            also("category", "category");
            verb.name().to_owned()
        }
    };
    Ok(Some(Event { name, properties }))
}

/// The identifiers found so far.
struct Named {
    identifiers: Vec<Identifier>,
    refused: Vec<Refused>,
}

impl Named {
    fn add(&mut self, part: &str, ty: &str, value: Option<&Value>) {
        let Some(value) = value.filter(|value| !value.is_null()) else { return };
        match text(value) {
            Some(value) if value.trim().is_empty() => {}
            Some(value) => {
                if !self.identifiers.iter().any(|known| known.ty == ty && known.value == value) {
                    self.identifiers.push(Identifier { part: part.to_owned(), ty: ty.to_owned(), value });
                }
            }
            None => self.refuse(part, "neither text nor number"),
        }
    }

    fn refuse(&mut self, part: &str, reason: &str) {
        self.refused.push(Refused { part: part.to_owned(), reason: reason.to_owned() });
    }

    /// An advertising id says nothing of its kind: the device or the system does.
    fn advertising(&mut self, device: Option<&Map<String, Value>>, os: Option<&Map<String, Value>>) {
        let Some(value) = device.and_then(|d| d.get("advertisingId")).filter(|v| !v.is_null()) else { return };
        let part = "context.device.advertisingId";
        let word = |of: Option<&Map<String, Value>>, key: &str| {
            of.and_then(|of| of.get(key)).and_then(Value::as_str).unwrap_or_default().to_ascii_lowercase()
        };
        let system = format!("{} {}", word(device, "type"), word(os, "name"));
        if ["ios", "iphone", "ipad", "tvos"].iter().any(|apple| system.contains(apple)) {
            self.add(part, "idfa", Some(value));
        } else if system.contains("android") {
            self.add(part, "gaid", Some(value));
        } else {
            self.refuse(part, "neither context.device.type nor context.os.name says ios or android");
        }
    }

    /// `context.externalIds`: a list of identifiers with their types.
    fn external(&mut self, ids: Option<&Value>) {
        let Some(ids) = ids.filter(|ids| !ids.is_null()) else { return };
        let Value::Array(ids) = ids else { return self.refuse("context.externalIds", "not an array") };
        for (i, id) in ids.iter().enumerate() {
            let part = format!("context.externalIds[{i}]");
            match (id.get("type").and_then(Value::as_str), id.get("id")) {
                (Some(ty), Some(value)) => self.add(&part, ty, Some(value)),
                _ => self.refuse(&part, "not an object with type and id"),
            }
        }
    }
}
