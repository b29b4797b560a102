//! Messages of client libraries: the six calls of the Segment specification (<https://segment.com/docs/connections/spec/>), as their
//! libraries send them, taken apart into identifiers, traits and an event. Nothing is looked up here and nothing is dropped in silence: a part that
//! cannot be used is in [`Message::refused`], a message that cannot be used at all is a [`Fault`].

mod read;
pub mod time;
mod traits;

pub use read::{Envelope, read};
pub use time::{Clock, Corrected, moment, printed};
pub use traits::{Trait, TraitValue, column_name};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fmt;

#[cfg(test)]
mod tests;

/// What a message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Who somebody is, with traits.
    Identify,
    /// What somebody did.
    Track,
    /// Which page somebody looked at.
    Page,
    /// Which screen of an app.
    Screen,
    /// Which group somebody belongs to.
    Group,
    /// That two identifiers are the same person.
    Alias,
}

impl Verb {
    /// The verb called so in `type`, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "identify" => Self::Identify,
            "track" => Self::Track,
            "page" => Self::Page,
            "screen" => Self::Screen,
            "group" => Self::Group,
            "alias" => Self::Alias,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Identify => "identify",
            Self::Track => "track",
            Self::Page => "page",
            Self::Screen => "screen",
            Self::Group => "group",
            Self::Alias => "alias",
        }
    }
}

/// An identifier that a message names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identifier {
    /// Where it stands in the message, such as `traits.email`.
    pub part: String,
    /// Name of its type.
    pub ty: String,
    /// Its value as it came.
    pub value: String,
}

/// An event that a message tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its type.
    pub name: String,
    /// Its properties as they came.
    pub properties: Map<String, Value>,
}

/// A part of a message that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Where it stands in the message.
    pub part: String,
    /// Why: lower case, without a full stop.
    pub reason: String,
}

/// A message taken apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What it says.
    pub verb: Verb,
    /// `messageId`.
    pub id: Option<String>,
    /// The identifiers it names, in the order of the specification.
    pub identifiers: Vec<Identifier>,
    /// `previousId` of an alias: an identifier whose type the message does not say.
    pub previous: Option<String>,
    /// Its traits, nested objects flattened.
    pub traits: Vec<Trait>,
    /// The event it tells.
    pub event: Option<Event>,
    /// The times it gives.
    pub clock: Clock,
    /// Parts that cannot be used.
    pub refused: Vec<Refused>,
}

/// What a message says, in 32 hexadecimal digits: half of the SHA-256 of its JSON with the keys in order.
pub fn digest(message: &Value) -> String {
    let hash = Sha256::digest(message.to_string().as_bytes());
    hash.iter().take(16).fold(String::with_capacity(32), |mut out, byte| {
        out.push_str(&format!("{byte:02x}"));
        out
    })
}

/// Why a message cannot be used at all: lower case, without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(pub String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
