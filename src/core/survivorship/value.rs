//! Values as PostgreSQL writes them (`DateStyle` ISO), in the order of their type, added up, and as the integers that columns of bits keep.

use std::cmp::Ordering;

/// Types of traits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// boolean
    Boolean,
    /// bigint
    Bigint,
    /// numeric
    Numeric,
    /// text
    Text,
    /// text[]
    Texts,
    /// date
    Date,
    /// timestamptz
    Timestamptz,
}

impl Kind {
    /// The type with a name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "boolean" => Self::Boolean,
            "bigint" => Self::Bigint,
            "numeric" => Self::Numeric,
            "text" => Self::Text,
            "text[]" => Self::Texts,
            "date" => Self::Date,
            "timestamptz" => Self::Timestamptz,
            _ => return None,
        })
    }

    /// What a value is ordered by. A text that is no value of the type stands for itself, before all that are.
    pub(super) fn key(self, text: &str) -> Key {
        let key = match self {
            Self::Boolean | Self::Text | Self::Texts => None,
            Self::Bigint => text.parse::<i64>().ok().map(|n| Key::Whole(n.into())),
            Self::Numeric => Key::decimal(text),
            Self::Date => endless(text).or_else(|| date(text).map(|day| Key::Whole(day.into()))),
            Self::Timestamptz => endless(text).or_else(|| moment(text).map(Key::Whole)),
        };
        key.unwrap_or_else(|| Key::Text(text.to_owned()))
    }
}

/// Whether two texts are the same value of a type.
pub fn same(kind: Kind, a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b || kind.key(a) == kind.key(b),
        (None, None) => true,
        _ => false,
    }
}

/// The order of values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Text(String),
    Below,
    Whole(i128),
    Exact(Decimal),
    Above,
    NotANumber,
}

impl Key {
    fn decimal(text: &str) -> Option<Self> {
        Some(match text {
            "NaN" => Self::NotANumber,
            "Infinity" => Self::Above,
            "-Infinity" => Self::Below,
            _ => Self::Exact(Decimal::parse(text)?),
        })
    }
}

fn endless(text: &str) -> Option<Key> {
    match text {
        "infinity" => Some(Key::Above),
        "-infinity" => Some(Key::Below),
        _ => None,
    }
}

/// A number as written: its digits before the point without leading zeros, those after it without trailing ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    whole: Vec<u8>,
    fraction: Vec<u8>,
}

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let are_digits = |some: &str| some.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) {
            return None;
        }
        let whole = whole.trim_start_matches('0').as_bytes().to_vec();
        let fraction = fraction.trim_end_matches('0').as_bytes().to_vec();
        let negative = negative && !(whole.is_empty() && fraction.is_empty());
        Some(Self { negative, whole, fraction })
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = |d: &Self| (d.whole.len(), d.whole.clone(), d.fraction.clone());
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => size(self).cmp(&size(other)),
            (true, true) => size(other).cmp(&size(self)),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Numbers longer than this are not added up: far from where PostgreSQL's numeric ends, at 131,072 digits before the point.
pub const MOST_SUMMED_CHARACTERS: usize = 100_000;

/// All added up, with as many digits after the point as the value with most has; `None` when the type cannot hold it or one of them is longer than
/// [`MOST_SUMMED_CHARACTERS`].
pub(super) fn sum(kind: Kind, values: &[&str]) -> Option<String> {
    if kind == Kind::Bigint {
        let sum = values.iter().map(|value| value.parse::<i64>().map(i128::from)).sum::<Result<i128, _>>().ok()?;
        return i64::try_from(sum).ok().map(|sum| sum.to_string());
    }
    let (mut above, mut below) = (false, false);
    if values.iter().any(|value| value.len() > MOST_SUMMED_CHARACTERS) {
        return None;
    }
    for value in values {
        match Key::decimal(value)? {
            Key::NotANumber => return Some("NaN".to_owned()),
            Key::Above => above = true,
            Key::Below => below = true,
            _ => {}
        }
    }
    match (above, below) {
        (true, true) => return Some("NaN".to_owned()),
        (true, false) => return Some("Infinity".to_owned()),
        (false, true) => return Some("-Infinity".to_owned()),
        (false, false) => {}
    }
    let split = |value: &str| value.trim_start_matches('-').split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let scale = values.iter().map(|value| split(value)).max().unwrap_or(0);
    // Digits from the least on, those above and those below zero apart.
    let mut sides: [Vec<u8>; 2] = Default::default();
    for value in values {
        let (side, digits) = match value.strip_prefix('-') {
            Some(digits) => (1, digits),
            None => (0, *value),
        };
        let missing = scale - split(value);
        let digits = digits.bytes().rev().filter(u8::is_ascii_digit).map(|digit| digit - b'0');
        add(&mut sides[side], std::iter::repeat_n(0, missing).chain(digits));
    }
    let [mut plus, mut minus] = sides;
    let length = plus.len().max(minus.len()).max(scale + 1);
    plus.resize(length, 0);
    minus.resize(length, 0);
    let negative = plus.iter().rev().lt(minus.iter().rev());
    let (mut larger, smaller) = if negative { (minus, plus) } else { (plus, minus) };
    let mut borrow = 0;
    for (digit, less) in larger.iter_mut().zip(smaller) {
        let take = less + borrow;
        borrow = u8::from(*digit < take);
        *digit = *digit + 10 * borrow - take;
    }
    while larger.len() > scale + 1 && larger.last() == Some(&0) {
        larger.pop();
    }
    let mut out = String::with_capacity(larger.len() + 2);
    if negative {
        out.push('-');
    }
    for (i, digit) in larger.iter().enumerate().rev() {
        out.push(char::from(b'0' + digit));
        if i == scale && scale > 0 {
            out.push('.');
        }
    }
    Some(out)
}

/// Adds digits, the least first.
fn add(to: &mut Vec<u8>, digits: impl Iterator<Item = u8>) {
    let mut carry = 0;
    let mut i = 0;
    let mut digits = digits.fuse();
    loop {
        let next = digits.next();
        if next.is_none() && carry == 0 {
            return;
        }
        if i == to.len() {
            to.push(0);
        }
        if let Some(place) = to.get_mut(i) {
            let sum = *place + next.unwrap_or(0) + carry;
            (*place, carry) = (sum % 10, sum / 10);
        }
        i += 1;
    }
}

/// Half of what 64 bits hold, in round numbers: the difference of two kept values always fits.
const LARGEST: i64 = 4_000_000_000_000_000_000;

/// Decimal digits of the largest scaled value that a column keeps.
const KEPT_DIGITS: i64 = 15;

/// Seconds from 1970 on from which a moment is too late for a column.
const LATEST_SECONDS: i128 = 4_000_000_000_000;

/// The integer that a column of bits keeps for a value of a number, date or time; `None` when it does not fit.
pub fn integer(kind: Kind, text: &str, scale: u32) -> Option<i64> {
    match kind {
        Kind::Boolean | Kind::Text | Kind::Texts => None,
        Kind::Bigint => text.parse::<i64>().ok().filter(|n| (-LARGEST..=LARGEST).contains(n)),
        Kind::Numeric => {
            let Decimal { negative, whole, mut fraction } = Decimal::parse(text)?;
            if whole.len() as i64 > KEPT_DIGITS - i64::from(scale) || fraction.len() > scale as usize {
                return None;
            }
            fraction.resize(scale as usize, b'0');
            let digits = whole.iter().chain(&fraction);
            let n = digits.fold(0i64, |n, digit| n * 10 + i64::from(digit - b'0'));
            Some(if negative { -n } else { n })
        }
        Kind::Date => date(text).map(|day| day - DAY_2000),
        Kind::Timestamptz => {
            let micros = moment(text)?;
            (micros < LATEST_SECONDS * 1_000_000).then_some(())?;
            i64::try_from(micros - i128::from(DAY_2000) * MICROS_OF_DAY).ok()
        }
    }
}

/// Beyond this a number is not summed by day: nine thousand of the largest fit 64 bits.
const MOST_SUMMED: i64 = 1_000_000_000_000_000;

/// As [`integer`], of a number whose sums are kept.
pub fn summed(kind: Kind, text: &str, scale: u32) -> Option<i64> {
    integer(kind, text, scale).filter(|n| (-MOST_SUMMED..=MOST_SUMMED).contains(n))
}

/// 2000-01-01 in days since 1970-01-01.
const DAY_2000: i64 = 10_957;
const MICROS_OF_DAY: i128 = 86_400_000_000;

/// Days since 1970-01-01 of `2024-02-29`, also with ` BC` after it.
fn date(text: &str) -> Option<i64> {
    let (text, before_christ) = match text.strip_suffix(" BC") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let mut parts = text.split('-');
    let mut part = || parts.next()?.parse::<i64>().ok();
    let (year, month, day) = (part()?, part()?, part()?);
    let year = if before_christ { 1 - year } else { year };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || parts.next().is_some() {
        return None;
    }
    // Years begin in March: the leap day is the last.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, in_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    Some(era * 146_097 + in_era * 365 + in_era / 4 - in_era / 100 + day_of_year - 719_468)
}

/// Microseconds since 1970 of `2024-02-29 12:30:00.5+08`, also with ` BC` after it.
fn moment(text: &str) -> Option<i128> {
    let (text, era) = match text.strip_suffix(" BC") {
        Some(rest) => (rest, " BC"),
        None => (text, ""),
    };
    let (day, time) = text.split_once(' ')?;
    let day = date(&format!("{day}{era}"))?;
    let zone = time.find(['+', '-'])?;
    let (time, zone) = (time.get(..zone)?, time.get(zone..)?);
    let (clock, fraction) = time.split_once('.').unwrap_or((time, ""));
    if fraction.len() > 6 {
        return None;
    }
    let micros = format!("{fraction:0<6}").parse::<i128>().ok()?;
    let offset = match zone.strip_prefix('-') {
        Some(zone) => -seconds(zone)?,
        None => seconds(zone.strip_prefix('+')?)?,
    };
    Some(i128::from(day) * MICROS_OF_DAY + (seconds(clock)? - offset) * 1_000_000 + micros)
}

/// Seconds of `12`, `12:30` or `12:30:01`.
fn seconds(clock: &str) -> Option<i128> {
    let mut total = 0;
    let mut unit = 3600;
    for part in clock.split(':') {
        total += part.parse::<i128>().ok()? * unit;
        unit /= 60;
    }
    Some(total)
}
