//! Values that are never identifiers.
//!
//! One placeholder shared by a thousand rows would merge a thousand people, so these are refused before they become nodes. The
//! list is data: a workspace stores it as rows, which its owner may extend or remove.
//!
//! A row is compared with the *lower-cased normalised* value of the identifier, so `value` and `pattern` are written in lower
//! case. `pattern` is a regular expression of PostgreSQL (POSIX with back references), anchored where that matters.

/// One blocked value or pattern: exactly one of [`Blocked::value`] and [`Blocked::pattern`] is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocked {
    /// The identifier type it holds for; `None` is every type.
    pub identifier_type: Option<&'static str>,
    /// An exact value, in lower case.
    pub value: Option<&'static str>,
    /// A regular expression that matches lower-cased values.
    pub pattern: Option<&'static str>,
    /// Why, for people.
    pub reason: &'static str,
}

const fn any(value: &'static str, reason: &'static str) -> Blocked {
    Blocked { identifier_type: None, value: Some(value), pattern: None, reason }
}

const fn one(identifier_type: &'static str, value: &'static str, reason: &'static str) -> Blocked {
    Blocked { identifier_type: Some(identifier_type), value: Some(value), pattern: None, reason }
}

const fn like(identifier_type: Option<&'static str>, pattern: &'static str, reason: &'static str) -> Blocked {
    Blocked { identifier_type, value: None, pattern: Some(pattern), reason }
}

const NOTHING: &str = "stands for no value";
const UNKNOWN: &str = "stands for an unknown person";
const PLACEHOLDER: &str = "placeholder that forms and tests are filled with";
const PROGRAM: &str = "what a program prints when the value is missing";
const HASH: &str = "digest of no value";
const SHARED: &str = "one value that many devices report";

/// The shipped rows.
pub static BLOCKED: &[Blocked] = &[
    any("", NOTHING),
    any("null", NOTHING),
    any("(null)", NOTHING),
    any("<null>", NOTHING),
    any("none", NOTHING),
    any("nil", NOTHING),
    any("n/a", NOTHING),
    any("na", NOTHING),
    any("#n/a", NOTHING),
    any("-1", NOTHING),
    any("void", NOTHING),
    any("empty", NOTHING),
    any("无", NOTHING),
    any("空", NOTHING),
    any("没有", NOTHING),
    any("暂无", NOTHING),
    any("unknown", UNKNOWN),
    any("anonymous", UNKNOWN),
    any("guest", UNKNOWN),
    any("未知", UNKNOWN),
    any("匿名", UNKNOWN),
    any("游客", UNKNOWN),
    any("undefined", PROGRAM),
    any("nan", PROGRAM),
    any("true", PROGRAM),
    any("false", PROGRAM),
    any("[object object]", PROGRAM),
    any("\\n", PROGRAM),
    any("invalid", PLACEHOLDER),
    any("error", PLACEHOLDER),
    any("test", PLACEHOLDER),
    any("测试", PLACEHOLDER),
    any("123456", PLACEHOLDER),
    any("1234567", PLACEHOLDER),
    any("12345678", PLACEHOLDER),
    any("123456789", PLACEHOLDER),
    any("1234567890", PLACEHOLDER),
    any("0123456789", PLACEHOLDER),
    any("987654321", PLACEHOLDER),
    any("abc123", PLACEHOLDER),
    any("asdf", PLACEHOLDER),
    any("xxx", PLACEHOLDER),
    any("d41d8cd98f00b204e9800998ecf8427e", HASH),
    any("da39a3ee5e6b4b0d3255bfef95601890afd80709", HASH),
    any("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", HASH),
    any("37a6259cc0c1dae299a7866489dff0bd", HASH),
    any("5e543256c480ac577d30f76f9120eb74", HASH),
    any("9f89c84a559f573636a47ff8daed0d33", HASH),
    any("5284047f4ffb4e04824a2fd1d1f0cd62", HASH),
    like(None, "^[0-]*$", "zeros and hyphens only, such as the all-zero UUID"),
    like(None, "^[[:punct:][:space:]]+$", "punctuation only"),
    like(None, "^(.)\\1{7,}$", "one character repeated eight times or more"),
    like(None, "^(.)\\1{7}-(\\1{4}-){3}\\1{12}$", "UUID of one repeated digit"),
    like(
        None,
        "^(__.+__|\\{\\{.*\\}\\}|\\$\\{.*\\}|%%.*%%|\\{[a-z_]+\\})$",
        "variable of a template or advertising macro that was not filled in",
    ),
    one("email", "test@test.com", PLACEHOLDER),
    one("email", "test@example.com", PLACEHOLDER),
    one("email", "a@a.com", PLACEHOLDER),
    one("email", "abc@abc.com", PLACEHOLDER),
    one("email", "123@123.com", PLACEHOLDER),
    one("email", "123456@qq.com", PLACEHOLDER),
    one("email", "none@none.com", PLACEHOLDER),
    one("email", "null@null.com", PLACEHOLDER),
    like(
        Some("email"),
        "^(no[-._]?reply|do[-._]?not[-._]?reply|mailer-daemon|bounces?|postmaster|abuse)(\\+[^@]*)?@",
        "mailbox that no person reads as theirs",
    ),
    like(
        Some("email"),
        "^(null|none|nil|undefined|unknown|anonymous|invalid|noemail|no-email|nomail|n/a)@",
        "stands for no address",
    ),
    one("phone", "+8613800138000", "top-up line of a carrier, used as a placeholder"),
    one("phone", "+8613012345678", PLACEHOLDER),
    one("phone", "+8613112345678", PLACEHOLDER),
    one("phone", "+8613212345678", PLACEHOLDER),
    one("phone", "+8613312345678", PLACEHOLDER),
    one("phone", "+8613412345678", PLACEHOLDER),
    one("phone", "+8613512345678", PLACEHOLDER),
    one("phone", "+8613612345678", PLACEHOLDER),
    one("phone", "+8613712345678", PLACEHOLDER),
    one("phone", "+8613812345678", PLACEHOLDER),
    one("phone", "+8613912345678", PLACEHOLDER),
    one("phone", "+8615012345678", PLACEHOLDER),
    one("phone", "+8618812345678", PLACEHOLDER),
    like(Some("phone"), "^\\+[0-9]{1,3}([0-9])\\1{6,}$", "national number of one repeated digit"),
    like(Some("phone"), "^\\+861[3-9]([0-9])\\1{8}$", "mobile number of one repeated digit after its prefix"),
    like(Some("phone"), "^\\+1[0-9]{3}55501[0-9]{2}$", "North American numbers reserved for fiction"),
    like(Some("phone"), "^\\+447700900[0-9]{3}$", "British numbers reserved for fiction"),
    one("id_card", "11010519491231002x", "specimen of the standard"),
    one("id_card", "440524188001010014", "specimen of the standard"),
    one("device_id", "9774d56d682e549c", SHARED),
    one("device_id", "02:00:00:00:00:00", SHARED),
    one("device_id", "00:00:00:00:00:00", SHARED),
    one("device_id", "ff:ff:ff:ff:ff:ff", SHARED),
    one("imei", "004999010640000", SHARED),
    one("imei", "012345678912345", PLACEHOLDER),
    one("imei", "123456789012345", PLACEHOLDER),
    one("imei", "123456789012347", PLACEHOLDER),
    one("cookie", "deleted", "what a server writes to remove a cookie"),
    one("ip", "0.0.0.0", "no address"),
    one("ip", "::", "no address"),
    one("ip", "::1", "the machine itself"),
    like(Some("ip"), "^127\\.", "the machine itself"),
];
