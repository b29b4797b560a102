//! The identifier types a new workspace starts with.
//!
//! They are rows the owner may change; this is only where they come from.

use super::Normaliser;

/// Whether a shared value joins two records into one profile by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Strength {
    /// It does.
    Strong,
    /// It never does: it is evidence for probabilistic matching only.
    Weak,
}

impl Strength {
    /// The stored name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strong => "strong",
            Self::Weak => "weak",
        }
    }
}

/// What an identifier names, which decides how many neighbours are plausible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// A person: a value tied to many other persons' values is no identifier but a placeholder or a shared desk.
    Person,
    /// A device or browser: one person has many of them in a lifetime, and a person's ids may meet many.
    Device,
}

impl Level {
    /// The stored name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Device => "device",
        }
    }

    /// How many distinct neighbours of any type an identifier may have before it stops linking: an account with five hundred
    /// cookies is nothing unusual, a device with five hundred neighbours is a kiosk.
    pub const fn degree_cap(self) -> Option<u32> {
        match self {
            Self::Person => None,
            Self::Device => Some(100),
        }
    }

    /// How many distinct neighbours of person-level types it may have.
    pub const fn person_cap(self) -> u32 {
        20
    }
}

/// One shipped identifier type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdentifierType {
    /// Name: lower case, words joined by `_`.
    pub name: &'static str,
    /// How its values are normalised.
    pub normaliser: Normaliser,
    /// Whether it merges.
    pub strength: Strength,
    /// Order among the types when links compete: the lower, the stronger. Unique; gaps are left for the owner's own types.
    pub priority: i32,
    /// What it names.
    pub level: Level,
    /// Most distinct values one profile may hold; `None` is no limit.
    pub max_per_profile: Option<u32>,
    /// What parts the scope (an app, a company) from the rest of a value: limits count by scope. `None` is one scope.
    pub scope_separator: Option<&'static str>,
    /// Whether the value by itself identifies, reaches or tracks a person, so that readers see it masked.
    pub pii: bool,
    /// One sentence for people.
    pub description: &'static str,
}

/// A strong person-level type without limit; the methods below say what differs.
const fn person(
    name: &'static str,
    normaliser: Normaliser,
    priority: i32,
    description: &'static str,
) -> IdentifierType {
    IdentifierType {
        name,
        normaliser,
        strength: Strength::Strong,
        priority,
        level: Level::Person,
        max_per_profile: None,
        scope_separator: None,
        pii: false,
        description,
    }
}

/// A strong device-level type without limit.
const fn device(
    name: &'static str,
    normaliser: Normaliser,
    priority: i32,
    description: &'static str,
) -> IdentifierType {
    let mut this = person(name, normaliser, priority, description);
    this.level = Level::Device;
    this
}

impl IdentifierType {
    const fn pii(mut self) -> Self {
        self.pii = true;
        self
    }

    const fn weak(mut self) -> Self {
        self.strength = Strength::Weak;
        self
    }

    const fn scoped_by(mut self, separator: &'static str) -> Self {
        self.scope_separator = Some(separator);
        self
    }

    const fn at_most(mut self, limit: u32) -> Self {
        self.max_per_profile = Some(limit);
        self
    }
}

/// The shipped types, strongest first.
///
/// Only the identity card has a limit per profile: nobody has two numbers. For every other type a second value is ordinary life
/// (a new phone, a second account), and how many are too many depends on the business.
pub static IDENTIFIER_TYPES: &[IdentifierType] = {
    use Normaliser::{Email, Exact, IdCard, Lower, Phone};
    &[
        person("user_id", Exact, 10, "Account of your own systems"),
        person("member_no", Exact, 20, "Number of a membership"),
        person("id_card", IdCard, 30, "Chinese resident identity card").pii().at_most(1),
        person("passport", Lower, 40, "Passport number, preferably with the issuing country before it").pii(),
        person("wechat_unionid", Exact, 50, "WeChat user across the apps of one open-platform account"),
        person("email", Email, 60, "E-mail address").pii(),
        person("phone", Phone, 70, "Phone number (E.164)").pii(),
        person("wechat_openid", Exact, 80, "WeChat user within one app: app:openid").scoped_by(":"),
        person("wecom_external_userid", Exact, 90, "Customer contact within one WeCom company, as company:id")
            .scoped_by(":"),
        person("loyalty_card", Exact, 100, "Number of a loyalty card"),
        device("anonymous_id", Exact, 110, "Visitor before login, as a tracking library names it"),
        device("device_id", Lower, 120, "Device or installation id of an app"),
        device("idfa", Lower, 130, "Apple advertising id").pii(),
        device("gaid", Lower, 135, "Google advertising id of Android").pii(),
        device("oaid", Lower, 140, "Android open advertising id of the Chinese market").pii(),
        device("imei", Lower, 150, "Mobile equipment identity").pii(),
        device("cookie", Exact, 160, "Browser cookie"),
        device("ip", Lower, 170, "Network address: shared by homes, offices and carriers").weak().pii(),
        device("fingerprint", Exact, 180, "Computed browser or device fingerprint: equal devices collide").weak(),
    ]
};

/// The shipped type called `name`.
pub fn identifier_type(name: &str) -> Option<&'static IdentifierType> {
    IDENTIFIER_TYPES.iter().find(|t| t.name == name)
}
