//! Identifiers that are not kept in the clear: HMAC-SHA-256 (RFC 2104, FIPS 180-4) of the normal form, under a key that the database does not hold.
//!
//! The same value under the same key is the same identifier, so that it stitches and is looked up as any other; without the key nobody can tell what it was, nor
//! try out candidates.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt::Write;

/// The kept form of a value: 64 hexadecimal digits. The type is part of what is hashed, so that one value under two types is two identifiers. What comes before
/// `scope_separator`, with it, stays readable: limits count by it.
pub fn keyed(key: &[u8], identifier_type: &str, scope_separator: Option<&str>, normal: &str) -> String {
    let (scope, rest) = match scope_separator.and_then(|by| normal.find(by).map(|at| at + by.len())) {
        Some(end) => normal.split_at_checked(end).unwrap_or(("", normal)),
        None => ("", normal),
    };
    // HMAC takes keys of any length: there is no error to come.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return String::new() };
    mac.update(identifier_type.as_bytes());
    mac.update(&[0]);
    mac.update(rest.as_bytes());
    let mut out = scope.to_owned();
    for byte in mac.finalize().into_bytes() {
        // Writing to a string does not fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_hmac_sha_256() {
        // RFC 4231, test case 2: key "Jefe", data "what do ya want for nothing?"; the type and the zero byte are the first part of the data.
        let mut plain = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap();
        plain.update(b"what do ya want for nothing?");
        let hex: String = plain.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let mut ours = Hmac::<Sha256>::new_from_slice(b"key").unwrap();
        ours.update(b"email\0ann@example.com");
        let hex: String = ours.finalize().into_bytes().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(keyed(b"key", "email", None, "ann@example.com"), hex);
    }

    #[test]
    fn types_and_keys_part_and_scopes_stay() {
        let one = keyed(b"key", "email", None, "a:b");
        assert_eq!(one.len(), 64);
        assert_ne!(one, keyed(b"key", "phone", None, "a:b"));
        assert_ne!(one, keyed(b"other", "email", None, "a:b"));
        let scoped = keyed(b"key", "wechat_openid", Some(":"), "app:b");
        assert!(scoped.starts_with("app:") && scoped.len() == 68);
        assert_eq!(keyed(b"key", "wechat_openid", Some(":"), "b").len(), 64);
    }
}
