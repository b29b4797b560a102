//! When something happened, by clocks that may be wrong.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde_json::Value;

/// 2000-01-01 00:00 UTC in microseconds since 1970: where PostgreSQL counts from.
const EPOCH_2000: i64 = 946_684_800_000_000;

/// Numbers below this many are seconds since 1970, others milliseconds: 5138 AD in the one, 1973 in the other.
const LEAST_MILLISECONDS: f64 = 1e11;

/// The moment that a text or number gives, in microseconds since 2000-01-01 UTC: ISO 8601 or RFC 3339, without a zone in UTC; a day alone is its beginning; a number is
/// seconds or milliseconds since 1970. `None` when it is none.
pub fn moment(value: &Value) -> Option<i64> {
    let micros = match value {
        Value::String(text) => {
            let text = text.trim();
            let zoned = text.parse::<Timestamp>().ok();
            let local = |moment: DateTime| TimeZone::UTC.to_timestamp(moment).ok();
            zoned
                .or_else(|| local(text.parse::<DateTime>().ok()?))
                .or_else(|| local(text.parse::<Date>().ok()?.at(0, 0, 0, 0)))?
                .as_microsecond()
        }
        Value::Number(number) => {
            let number: f64 = number.to_string().parse().ok()?;
            let seconds = if number.abs() < LEAST_MILLISECONDS { number } else { number / 1e3 };
            // Within what a Timestamp holds, so that both ways of writing have the same range.
            Timestamp::from_microsecond((seconds * 1e6).round() as i64).ok()?.as_microsecond()
        }
        _ => return None,
    };
    micros.checked_sub(EPOCH_2000)
}

/// A moment, in microseconds since 2000-01-01 UTC, as [`moment`] reads it; one that is out of range as 1970.
pub fn printed(at: i64) -> String {
    let moment = at.checked_add(EPOCH_2000).and_then(|micros| Timestamp::from_microsecond(micros).ok());
    moment.unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// A month of UTC between 1970 and 2100, whose events have a partition of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Month {
    year: i16,
    month: i8,
}

impl Month {
    /// The month of a moment, in microseconds since 2000-01-01 UTC.
    pub fn of(at: i64) -> Option<Self> {
        let moment = Timestamp::from_microsecond(at.checked_add(EPOCH_2000)?).ok()?;
        let day = TimeZone::UTC.to_datetime(moment).date();
        (1970..=2100).contains(&day.year()).then(|| Self { year: day.year(), month: day.month() })
    }

    /// Name of the partition.
    pub fn partition(self) -> String {
        format!("event_y{:04}m{:02}", self.year, self.month)
    }

    /// Its first moment, as text.
    pub fn first(self) -> String {
        format!("{:04}-{:02}-01 00:00:00", self.year, self.month)
    }

    /// The month after it.
    pub fn next(self) -> Self {
        if self.month == 12 {
            Self { year: self.year + 1, month: 1 }
        } else {
            Self { year: self.year, month: self.month + 1 }
        }
    }
}

/// The times that a message gives, in microseconds since 2000-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clock {
    /// When it happened, by the clock of the client.
    pub original: Option<i64>,
    /// When it was sent, by the clock of the client.
    pub sent: Option<i64>,
    /// When a server before this one received it.
    pub received: Option<i64>,
}

/// When something happened, corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrected {
    /// When it happened.
    pub at: i64,
    /// When it was received.
    pub received: i64,
    /// What the client said, when that is another moment.
    pub original: Option<i64>,
}

impl Clock {
    /// When it happened: `receivedAt - (sentAt - originalTimestamp)`, which is right however wrong the clock of the client is; without `sentAt` what the client says;
    /// without that the time of receipt. `now` is the time of receipt of a message that gives none.
    pub fn correct(&self, now: i64) -> Corrected {
        let received = self.received.unwrap_or(now);
        let at = match (self.original, self.sent) {
            (Some(original), Some(sent)) => {
                sent.checked_sub(original).and_then(|age| received.checked_sub(age)).unwrap_or(original)
            }
            (Some(original), None) => original,
            (None, _) => received,
        };
        Corrected { at, received, original: self.original.filter(|original| *original != at) }
    }
}
