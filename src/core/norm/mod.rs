//! Normalisation of identifiers, and of the other values that customer data is full of.
//!
//! Every function here is pure and deterministic and has two properties the identity graph rests on: it is idempotent
//! (`norm(norm(x)) == norm(x)`), and a value that carries nothing (empty, blank, invisible characters only) is `None`, so it
//! can never become an identifier. What is hashed for an advertising platform is another form, of [`Destination`].
//!
//! The shipped data lives beside the functions: [`catalogue`] lists the identifier types, [`blocked`] the values that are
//! never identifiers, [`division`] the administrative divisions of China.

mod address;
pub mod blocked;
pub mod catalogue;
mod date;
pub mod division;
mod email;
mod hash;
mod id_card;
mod idn;
mod keyed;
mod mailbox;
mod name;
mod phone;
mod punycode;
mod screen;
mod text;
mod uscc;

use std::fmt;

pub use address::{Address, address};
pub use date::{Date, DateOrder, date};
pub use email::email;
pub use hash::{Destination, md5, sha256};
pub use id_card::id_card;
pub use keyed::keyed;
pub use mailbox::mailbox;
pub use name::name;
pub use phone::{phone, phone_region};
pub use screen::Screen;
pub use text::{code, lower, text};
pub use uscc::uscc;

/// A mistake in how a normaliser was asked for. A *value* that cannot be normalised is never an error: it is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NormError {
    /// The default region of phone numbers is not a two-letter ISO 3166-1 code with a numbering plan; holds the value given.
    UnknownRegion(String),
    /// No normaliser has this name; holds the name given.
    UnknownNormaliser(String),
    /// No destination of hashes has this name; holds the name given.
    UnknownDestination(String),
    /// No order of day and month has this name; holds the name given.
    UnknownDateOrder(String),
    /// The numbering plans built into the binary could not be read.
    NumberingPlan(String),
}

impl fmt::Display for NormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownRegion(region) => {
                write!(f, "unknown phone region \"{region}\": a two-letter ISO 3166-1 code is expected, such as CN")
            }
            Self::UnknownNormaliser(name) => {
                write!(f, "unknown normaliser \"{name}\": expected one of ")?;
                for (i, n) in Normaliser::ALL.iter().enumerate() {
                    write!(f, "{}{}", if i == 0 { "" } else { ", " }, n.name())?;
                }
                Ok(())
            }
            Self::UnknownDestination(name) => {
                write!(f, "unknown destination \"{name}\": expected one of ")?;
                for (i, d) in Destination::ALL.iter().enumerate() {
                    write!(f, "{}{}", if i == 0 { "" } else { ", " }, d.name())?;
                }
                Ok(())
            }
            Self::UnknownDateOrder(name) => write!(f, "unknown date order \"{name}\": expected dmy or mdy"),
            Self::NumberingPlan(cause) => write!(f, "the built-in phone numbering plans cannot be read: {cause}"),
        }
    }
}

impl std::error::Error for NormError {}

/// How the values of an identifier type are brought to their one normal form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Normaliser {
    /// An e-mail address: [`email`].
    Email,
    /// A phone number as E.164: [`phone`]. The only one that needs a region.
    Phone,
    /// A Chinese resident identity card number: [`id_card`].
    IdCard,
    /// Free text, case kept: [`text`].
    Text,
    /// Text in lower case, for ids written in either case (UUIDs, document numbers): [`lower`].
    Lower,
    /// Trimmed only, for case-sensitive opaque ids: [`code`].
    Exact,
}

impl Normaliser {
    /// All normalisers, in the order they are documented.
    pub const ALL: [Self; 6] = [Self::Email, Self::Phone, Self::IdCard, Self::Text, Self::Lower, Self::Exact];

    /// The name under which the normaliser is stored: lower case, words joined by `_`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::IdCard => "id_card",
            Self::Text => "text",
            Self::Lower => "lower",
            Self::Exact => "exact",
        }
    }

    /// The normaliser called `name` (exactly as [`Normaliser::name`] gives it), else [`NormError::UnknownNormaliser`].
    pub fn parse(name: &str) -> Result<Self, NormError> {
        Self::ALL.into_iter().find(|n| n.name() == name).ok_or_else(|| NormError::UnknownNormaliser(name.to_owned()))
    }

    /// The normal form of `value`; `None` when the value carries nothing or is not valid for this normaliser.
    ///
    /// `region` (a two-letter ISO 3166-1 code) is read by [`Normaliser::Phone`] only.
    ///
    /// # Errors
    /// [`NormError::UnknownRegion`] and [`NormError::NumberingPlan`], from the phone normaliser only.
    pub fn apply(self, value: &str, region: &str) -> Result<Option<String>, NormError> {
        Ok(match self {
            Self::Email => email(value),
            Self::Phone => return phone(value, region),
            Self::IdCard => id_card(value),
            Self::Text => text(value),
            Self::Lower => lower(value),
            Self::Exact => code(value),
        })
    }
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
