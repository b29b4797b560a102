//! Hashes for destinations: what advertising platforms are given instead of an address or a number, in the form each documents.
//!
//! This form is not the one for matching: that says who is who in one database and may never change, this one is whatever the platform hashes on its side.
//!
//! - Meta: <https://developers.facebook.com/docs/marketing-api/conversions-api/parameters/customer-information-parameters>
//! - Google: <https://developers.google.com/data-manager/api/devguides/concepts/formatting>
//! - TikTok: <https://ads.tiktok.com/help/article/how-to-create-a-custom-audience-with-a-customer-file>
//! - Snap: <https://developers.snap.com/api/marketing-api/Conversions-API/Parameters>

use super::mailbox::untagged;
use super::{NormError, email, phone};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// An advertising platform with a documented form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Destination {
    /// Conversions API and custom audiences.
    Meta,
    /// Customer Match, enhanced conversions, Data Manager.
    Google,
    /// Customer files and Events API.
    TikTok,
    /// Conversions API.
    Snap,
}

impl Destination {
    /// All destinations, in the order they are documented.
    pub const ALL: [Self; 4] = [Self::Meta, Self::Google, Self::TikTok, Self::Snap];

    /// The name: lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Google => "google",
            Self::TikTok => "tiktok",
            Self::Snap => "snap",
        }
    }

    /// The destination called `name` (exactly as [`Destination::name`] gives it), else [`NormError::UnknownDestination`].
    pub fn parse(name: &str) -> Result<Self, NormError> {
        Self::ALL.into_iter().find(|d| d.name() == name).ok_or_else(|| NormError::UnknownDestination(name.to_owned()))
    }

    /// What is hashed of an e-mail address; `None` when it is none.
    ///
    /// All want it trimmed and in lower case. Google wants no dots and no tag in addresses of Gmail, and both kept in every other; the domain
    /// stays as it is written.
    pub fn email(self, value: &str) -> Option<String> {
        let address = email(value)?;
        match (self, address.split_once('@')?) {
            (Self::Google, (local, domain @ ("gmail.com" | "googlemail.com"))) => {
                let plain = untagged(local, '+').replace('.', "");
                Some(if plain.is_empty() { address } else { format!("{plain}@{domain}") })
            }
            _ => Some(address),
        }
    }

    /// What is hashed of a phone number, read as dialled from `region`; `None` when it is none.
    ///
    /// Google and TikTok want E.164, Meta and Snap its digits without the plus sign.
    ///
    /// # Errors
    /// Those of [`phone`].
    pub fn phone(self, value: &str, region: &str) -> Result<Option<String>, NormError> {
        let number = phone(value, region)?;
        Ok(match self {
            Self::Google | Self::TikTok => number,
            Self::Meta | Self::Snap => number.map(|n| n.trim_start_matches('+').to_owned()),
        })
    }
}

/// SHA-256 (FIPS 180-4) as 64 lower-case hexadecimal digits.
pub fn sha256(value: &str) -> String {
    let mut out = String::with_capacity(64);
    for byte in Sha256::digest(value.as_bytes()) {
        // Writing to a string does not fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// MD5 (RFC 1321): for what has to be told apart, not kept secret.
pub fn md5(value: &[u8]) -> [u8; 16] {
    md5::Md5::digest(value).into()
}
