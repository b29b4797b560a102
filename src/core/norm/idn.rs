//! Internationalised domain names: one form, in Unicode (RFC 5890 calls it U-labels).

use super::punycode;
use super::text::{fold, lower_case};

/// What an ASCII label that stands for Unicode begins with (RFC 5890, 2.3.2.1).
const PREFIX: &str = "xn--";

/// The domain with its `xn--` labels in Unicode; `None` when there is nothing to change. A label that stands for no normal Unicode
/// label is left: it names something else, or nothing.
///
/// `domain` is lower case.
pub(super) fn unicode(domain: &str) -> Option<String> {
    if !domain.split('.').any(|label| label.starts_with(PREFIX)) {
        return None;
    }
    let labels: Vec<_> = domain.split('.').map(|label| decoded(label).unwrap_or_else(|| label.to_owned())).collect();
    Some(labels.join("."))
}

/// The Unicode label of an ASCII one, when it is in the form that comes back to the same ASCII label.
fn decoded(label: &str) -> Option<String> {
    let encoded = label.strip_prefix(PREFIX)?;
    let unicode = punycode::decode(encoded)?;
    let normal = !unicode.is_ascii()
        && lower_case(fold(&unicode)) == unicode
        && !unicode.starts_with(PREFIX)
        && !unicode.starts_with('-')
        && !unicode.ends_with('-')
        && unicode.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || super::email::is_international(c));
    (normal && punycode::encode(&unicode)? == encoded).then_some(unicode)
}
