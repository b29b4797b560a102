//! E-mail addresses.

use super::idn;
use super::text::{fold, is_space, lower_case, trim};
use unicode_normalization::char::is_combining_mark;

/// Octets of a local part (RFC 5321, 4.5.3.1.1).
const LOCAL_MAX: usize = 64;
/// Octets of a domain (RFC 5321, 4.5.3.1.2).
const DOMAIN_MAX: usize = 255;
/// Octets of a whole address: a path of 256 (RFC 5321, 4.5.3.1.3) less its angle brackets.
const ADDRESS_MAX: usize = 254;
/// Octets of a label of a domain (RFC 1035, 2.3.4).
const LABEL_MAX: usize = 63;
/// Characters of an internationalised label: its ASCII form starts with `xn--` and takes at least one octet for each.
const IDN_LABEL_MAX: usize = LABEL_MAX - 4;

/// The address in its normal form: `mailto:` (with its query) stripped, full-width forms folded (NFKC), zero-width characters
/// removed, trimmed, lower case. `None` when it is not one `dot-atom@domain` within the lengths of RFC 5321.
///
/// Dots and `+tags` of the local part are kept: whether they matter is the mail provider's choice, see
/// [`mailbox`](super::mailbox). An internationalised domain is in Unicode, however it was written. Quoted local parts, address literals and domains of one label are not accepted: they name no customer.
pub fn email(value: &str) -> Option<String> {
    let folded = lower_case(fold(value));
    let mut address = trim(&folded);
    if let Some(link) = address.strip_prefix("mailto:") {
        address = trim(link.split_once('?').map_or(link, |(before, _)| before));
    }
    if address.chars().any(is_space) {
        return None;
    }
    let (local, domain) = address.split_once('@')?;
    // The ideographic full stop separates labels too (RFC 3490, 3.1), and input methods write it.
    let domain = domain.replace('\u{3002}', ".");
    let valid = |domain: &str| local.len() + 1 + domain.len() <= ADDRESS_MAX && is_domain(domain);
    if !is_local(local) || !valid(&domain) {
        return None;
    }
    // In Unicode a domain takes more octets: one that would not fit stays as it is.
    let domain = idn::unicode(&domain).filter(|unicode| valid(unicode)).unwrap_or(domain);
    Some(format!("{local}@{domain}"))
}

/// Letters, digits and marks outside ASCII, as RFC 6531 allows in addresses.
pub(super) fn is_international(c: char) -> bool {
    !c.is_ascii() && (c.is_alphanumeric() || is_combining_mark(c))
}

/// A dot-atom (RFC 5321, 4.1.2).
fn is_local(local: &str) -> bool {
    let atext = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_international(c);
    local.len() <= LOCAL_MAX && local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(atext))
}

/// Two labels or more; the last one no number and longer than one character, as top-level domains are.
fn is_domain(domain: &str) -> bool {
    let Some((_, top)) = domain.rsplit_once('.') else { return false };
    domain.len() <= DOMAIN_MAX
        && domain.split('.').all(is_label)
        && !top.bytes().all(|b| b.is_ascii_digit())
        && top.chars().nth(1).is_some()
}

/// Letters, digits and inner hyphens (RFC 1035, 2.3.1; RFC 5890 for Unicode).
fn is_label(label: &str) -> bool {
    let fits = if label.is_ascii() { label.len() <= LABEL_MAX } else { label.chars().count() <= IDN_LABEL_MAX };
    !label.is_empty()
        && fits
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || is_international(c))
}
