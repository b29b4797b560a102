//! Dates as people and programs write them.

use super::text::lower;
use regex::Regex;
use std::fmt;
use std::sync::LazyLock;

/// A day of the Gregorian calendar, extended to before its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date {
    /// 1 to 9999.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

impl Date {
    /// The day, when there is such a one.
    pub fn new(year: u32, month: u32, day: u32) -> Option<Self> {
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let last = match month {
            1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => return None,
        };
        if !(1..=9999).contains(&year) || !(1..=last).contains(&day) {
            return None;
        }
        Some(Self { year: u16::try_from(year).ok()?, month: u8::try_from(month).ok()?, day: u8::try_from(day).ok()? })
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Which of two small numbers before a year is the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DateOrder {
    /// Day, month, year.
    Dmy,
    /// Month, day, year.
    Mdy,
}

impl DateOrder {
    /// The order called `dmy` or `mdy`, else [`NormError::UnknownDateOrder`](super::NormError::UnknownDateOrder).
    pub fn parse(name: &str) -> Result<Self, super::NormError> {
        match name {
            "dmy" => Ok(Self::Dmy),
            "mdy" => Ok(Self::Mdy),
            _ => Err(super::NormError::UnknownDateOrder(name.to_owned())),
        }
    }
}

/// Longest text looked at, in bytes: a date with time, zone and weekday is far shorter.
const TEXT_MAX: usize = 250;
/// The earliest year of forms that have no separators, where any eight digits might pass for a date.
const COMPACT_FROM: u32 = 1000;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const MONTH: &str = "(?<m>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\\.?";
const WEEKDAY: &str =
    "(?:mon(?:day)?|tue(?:s|sday)?|wed(?:nesday)?|thu(?:rs?|rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?)\\.?";
const WEEKDAY_ZH: &str = r"(?:\(?(?:星期|周|礼拜)[一二三四五六日天]\)?)";
const CLOCK: &str = r"(?:(?:上午|下午|晚上|中午|凌晨|am|pm) ?)?\d{1,2}(?::\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?|[时点](?:\d{1,2}分?(?:\d{1,2}秒?)?)?)";
const ZONE: &str =
    r"(?: ?(?:am|pm|a\.m\.|p\.m\.))?(?: ?(?:[a-z]{1,4}\b)?(?:[+-]\d{1,2}(?::?\d{2})?)?)?(?: ?\([^()]{1,60}\))?";

/// Expressions that match a whole text of digits, and of the words for months and numbers, in lower case and NFKC. What they call
/// `y`, `m` and `d` is the year, the month and the day; `a` and `b` are two numbers of which only the order tells which is which.
static FORMS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let weekday = format!("(?:{WEEKDAY},? ?)?");
    let weekday_zh = format!("(?: ?{WEEKDAY_ZH})?");
    // Between the digits of a day and those of an hour something has to stand.
    let time = format!("(?:(?: ?t ?|, ?| at | ){CLOCK}{ZONE})?(?: ?{WEEKDAY_ZH})?");
    let day_zh = format!("(?:[日号]{weekday_zh} ?(?:{CLOCK}{ZONE})?|{weekday_zh}{time})");
    let nth = "(?<d>\\d{1,2})(?:st|nd|rd|th)?";
    [
        // 2024-01-05, 2024/1/5, 2024.1.5, 2024 1 5, with the same separator twice: the crate has no back references.
        format!(r"{weekday}(?<y>\d{{4}}) ?- ?(?<m>\d{{1,2}}) ?- ?(?<d>\d{{1,2}}){weekday_zh}{time}"),
        format!(r"{weekday}(?<y>\d{{4}}) ?/ ?(?<m>\d{{1,2}}) ?/ ?(?<d>\d{{1,2}}){weekday_zh}{time}"),
        format!(r"{weekday}(?<y>\d{{4}}) ?\. ?(?<m>\d{{1,2}}) ?\. ?(?<d>\d{{1,2}})\.?{weekday_zh}{time}"),
        format!(r"(?<y>\d{{4}}) (?<m>\d{{1,2}}) (?<d>\d{{1,2}}){weekday_zh}{time}"),
        // 2024年1月5日
        format!(r"(?<y>\d{{4}}) ?年 ?(?<m>\d{{1,2}}) ?月 ?(?<d>\d{{1,2}}) ?{day_zh}"),
        // 二〇二四年一月五日
        format!(r"(?<y>[〇零○一二三四五六七八九]{{4}}) ?年 ?(?<m>[一二三四五六七八九十]{{1,2}}) ?月 ?(?<d>[一二三四五六七八九十廿卅]{{1,3}}) ?{day_zh}"),
        // 20240105, 20240105123000, 20240105T123000
        r"(?<y>\d{4})(?<m>\d{2})(?<d>\d{2})(?:[t ]?\d{4}(?:\d{2}(?:\.\d{1,9})?)?z?)?".to_owned(),
        format!(r"(?<y>\d{{4}})(?<m>\d{{2}})(?<d>\d{{2}})[t ]{CLOCK}{ZONE}"),
        // 5 Jan 2024, 5th of January, 2024, 05-Jan-2024, 05JAN2024
        format!(r"{weekday}(?:the )?{nth}(?: of)?[ ./-]{{0,2}}{MONTH}[ ,./-]{{0,2}}(?<y>\d{{4}}){time}"),
        // Jan 5, 2024; Fri Jan 05 2024 10:00:00 GMT+0800 (China Standard Time)
        format!(r"{weekday}{MONTH}[ ./-]{{0,2}}{nth}[ ,./-]{{1,2}}(?<y>\d{{4}}){time}"),
        // Fri Jan  5 10:00:00 CST 2024
        format!(r"{weekday}{MONTH} {nth} {CLOCK}(?: [a-z]{{1,5}})? (?<y>\d{{4}})"),
        // 2024-Jan-05, 2024 January 5
        format!(r"(?<y>\d{{4}})[ ,./-]{{1,2}}{MONTH}[ ./-]{{0,2}}{nth}{time}"),
        // 05/01/2024, 5-1-2024, 5.1.2024
        format!(r"{weekday}(?<a>\d{{1,2}}) ?/ ?(?<b>\d{{1,2}}) ?/ ?(?<y>\d{{4}}){time}"),
        format!(r"{weekday}(?<a>\d{{1,2}}) ?- ?(?<b>\d{{1,2}}) ?- ?(?<y>\d{{4}}){time}"),
        format!(r"{weekday}(?<a>\d{{1,2}}) ?\. ?(?<b>\d{{1,2}}) ?\. ?(?<y>\d{{4}}){time}"),
    ]
    .iter()
    // They are constants: one that does not compile is missed by the tests of its form.
    .filter_map(|form| Regex::new(&format!("^(?:{form})$").replace(r"\d", "[0-9]")).ok())
    .collect()
});

/// The day that a text gives, whatever time of day follows it. `None` when it is none, or might be two.
///
/// A year has four digits. Two numbers before it are day and month by `order`; without one they are read when only one reading is a
/// day, or when both are the same. Numbers of days since some epoch are not dates, and no zone moves the day that is written.
pub fn date(value: &str, order: Option<DateOrder>) -> Option<Date> {
    if value.len() > TEXT_MAX {
        return None;
    }
    let text = lower(value)?;
    let found = FORMS.iter().find_map(|form| form.captures(&text))?;
    let group = |name| found.name(name).map(|m| m.as_str());
    let year = group("y").and_then(number)?;
    if let (Some(a), Some(b)) = (group("a").and_then(number), group("b").and_then(number)) {
        let (dmy, mdy) = (Date::new(year, b, a), Date::new(year, a, b));
        return match order {
            Some(DateOrder::Dmy) => dmy,
            Some(DateOrder::Mdy) => mdy,
            None if dmy.is_none() || dmy == mdy => mdy,
            None => dmy.filter(|_| mdy.is_none()),
        };
    }
    if year < COMPACT_FROM && text.bytes().take(8).all(|b| b.is_ascii_digit()) {
        return None;
    }
    Date::new(year, group("m").and_then(month)?, group("d").and_then(number)?)
}

/// A month by number or name.
fn month(text: &str) -> Option<u32> {
    let named = MONTHS.iter().position(|m| text.starts_with(m)).and_then(|at| u32::try_from(at + 1).ok());
    named.or_else(|| number(text))
}

/// A number in digits, in four Chinese digits (a year), or in Chinese words below a hundred.
fn number(text: &str) -> Option<u32> {
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let digits: Vec<char> = text.chars().collect();
    match *digits.as_slice() {
        [thousands, hundreds, tens, ones] => {
            [thousands, hundreds, tens, ones].into_iter().try_fold(0, |n, c| Some(n * 10 + digit(c)?))
        }
        ['十'] => Some(10),
        ['廿'] => Some(20),
        ['卅'] => Some(30),
        [c] => digit(c),
        ['十', c] => Some(10 + digit(c)?),
        ['廿', c] => Some(20 + digit(c)?),
        ['卅', c] => Some(30 + digit(c)?),
        [c, '十'] => Some(digit(c)? * 10),
        [c, '十', d] => Some(digit(c)? * 10 + digit(d)?),
        _ => None,
    }
}

fn digit(c: char) -> Option<u32> {
    if c == '○' {
        return Some(0);
    }
    // Zero comes first, and twice.
    let at = "〇零一二三四五六七八九".chars().position(|d| d == c)?;
    u32::try_from(at.saturating_sub(1)).ok()
}
