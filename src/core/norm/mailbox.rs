//! The mailbox behind an address: what providers say of dots and tags.

use super::email;

/// What a provider ignores in a local part.
struct Rule {
    /// Its domains; the first one is the one that all are written as when `one_domain`.
    domains: &'static [&'static str],
    /// Whether the domains are names of one and the same mailbox.
    one_domain: bool,
    /// Whether dots are ignored.
    dots: bool,
    /// Where a tag begins that is ignored.
    tag: char,
}

/// Providers whose rules are known; every other address is its own mailbox.
///
/// Gmail: <https://support.google.com/mail/answer/7436150> (dots), and <https://developers.google.com/data-manager/api/devguides/concepts/formatting> (tags).
/// Outlook.com and Exchange: <https://learn.microsoft.com/exchange/recipients-in-exchange-online/plus-addressing-in-exchange-online>.
/// Yahoo: disposable addresses are a base name, a hyphen and a keyword; an account has no hyphen in its name.
static RULES: &[Rule] = &[
    Rule { domains: &["gmail.com", "googlemail.com"], one_domain: true, dots: true, tag: '+' },
    Rule { domains: &["outlook.com", "hotmail.com", "live.com", "msn.com"], one_domain: false, dots: false, tag: '+' },
    Rule { domains: &["yahoo.com", "ymail.com", "rocketmail.com"], one_domain: false, dots: false, tag: '-' },
];

/// [`email`], and of addresses that one mailbox receives the plainest: what the provider ignores is left out.
///
/// A local part that would be empty is kept as it is.
pub fn mailbox(value: &str) -> Option<String> {
    let address = email(value)?;
    let (local, domain) = address.split_once('@')?;
    let Some(rule) = RULES.iter().find(|rule| rule.domains.contains(&domain)) else { return Some(address) };
    let mut plain = untagged(local, rule.tag).to_owned();
    if rule.dots {
        plain.retain(|c| c != '.');
    }
    if plain.is_empty() || plain.ends_with('.') {
        plain = local.to_owned();
    }
    let domain = rule.domains.first().filter(|_| rule.one_domain).copied().unwrap_or(domain);
    Some(format!("{plain}@{domain}"))
}

/// What is before the tag.
pub(super) fn untagged(local: &str, tag: char) -> &str {
    local.split_once(tag).map_or(local, |(before, _)| before)
}
