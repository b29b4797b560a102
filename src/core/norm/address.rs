//! Addresses in China: what is written before the street, taken apart.

use super::division::{City, DIVISIONS, District, Province, SHARED, UNIQUE, plain};
use super::name::is_ideograph;
use super::text::{is_space, text};

/// An address taken apart. What cannot be told is `None`, and what was not understood is in `rest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Official name of the province, autonomous region, municipality or special administrative region.
    pub province: Option<&'static str>,
    /// Official name of the city; of a municipality its own.
    pub city: Option<&'static str>,
    /// Official name of the district, county or county-level city.
    pub district: Option<&'static str>,
    /// Everything after these.
    pub rest: Option<String>,
    /// Tier of the city.
    pub tier: Option<&'static str>,
}

/// The address in its normal form: full-width forms folded, no spaces beside ideographs, province, city and district by their
/// official names, each once, the higher ones added where they follow from the lower. `None` when nothing is left.
///
/// Short forms (北京, 广西, 浦东) are read unless a street, a school or the like is called so (北京路). Nothing is looked for inside the text: an
/// address whose beginning names no division is all `rest`. Names that several places have are read only where the text says which.
pub fn address(value: &str) -> Option<Address> {
    let whole = close(&text(value)?)?;
    let mut place = Found::default();
    let mut left = beginning(&whole);
    while let Some(after) = place.step(left) {
        left = separated(after);
    }
    // Of an address that was not understood nothing is taken away.
    let rest = if place.province.is_none() { whole.as_str() } else { left };
    let city = place.city.or_else(|| place.province.and_then(only_city));
    Some(Address {
        province: place.province.map(|p| p.name),
        city: city.map(|c| c.name),
        district: place.district.map(|d| d.name),
        rest: (!rest.is_empty()).then(|| rest.to_owned()),
        tier: city.and_then(|c| c.tier),
    })
}

/// The city that a municipality is.
fn only_city(province: &Province) -> Option<&City> {
    province.cities.first().filter(|c| c.name == province.name)
}

/// The text without spaces beside ideographs, and without separators at its ends.
fn close(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        let beside =
            out.chars().next_back().is_some_and(is_ideograph) || characters.peek().is_some_and(|&n| is_ideograph(n));
        if !(is_space(c) && beside) {
            out.push(c);
        }
    }
    let trimmed = separated(&out).trim_end_matches(is_separator);
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

fn is_separator(c: char) -> bool {
    is_space(c)
        || matches!(c, ',' | '、' | '。' | ';' | '/' | '|' | '-' | '_' | '·' | '>' | '\u{2010}'..='\u{2015}' | ':')
}

fn separated(text: &str) -> &str {
    text.trim_start_matches(is_separator)
}

/// The text behind a postcode and the name of the country, which say nothing that the division does not.
fn beginning(text: &str) -> &str {
    let mut left = text;
    for label in ["收货地址", "联系地址", "家庭住址", "地址", "住址"] {
        if let Some(after) = left.strip_prefix(label).filter(|after| after.starts_with(is_separator)) {
            left = separated(after);
        }
    }
    let digits = left.len() - left.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if digits == 6
        && let Some(after) = left.get(6..)
        && after.starts_with(|c| is_separator(c) || is_ideograph(c))
    {
        left = separated(after);
    }
    for country in ["中华人民共和国", "中国"] {
        if let Some(after) = left.strip_prefix(country) {
            left = separated(after);
        }
    }
    left
}

/// What was found so far.
#[derive(Debug, Clone, Copy, Default)]
struct Found {
    province: Option<&'static Province>,
    city: Option<&'static City>,
    district: Option<&'static District>,
}

/// A reading of the beginning of a text: how many bytes it takes, whether the name is written in full, and what is known then.
type Reading = (usize, u8, Found);

impl Found {
    /// Reads one more name, or one that is written again; what is left behind it.
    fn step<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        if let Some(after) = ["省直辖县级行政区划", "自治区直辖县级行政区划", "市辖区"]
            .iter()
            .find_map(|s| text.strip_prefix(s).filter(|_| self.province.is_some() && self.district.is_none()))
        {
            return Some(after);
        }
        let mut best: Option<Reading> = None;
        // The longest name; of the same length the lower division.
        let mut take = |reading: Option<Reading>| {
            if let Some(reading) = reading
                && best.is_none_or(|b| (reading.0, reading.1) > (b.0, b.1))
            {
                best = Some(reading);
            }
        };
        match (self.province, self.city, self.district) {
            (None, ..) => {
                for province in DIVISIONS.iter() {
                    let found = Self { province: Some(province), ..Self::default() };
                    take(written(text, &province.forms, |after| province.has(after)).map(|length| (length, 0, found)));
                    for city in &province.cities {
                        let found = Self { province: Some(province), city: Some(city), district: None };
                        // A municipality is a province first; either is the same.
                        take(
                            written(text, &city.forms, |after| city.has(after))
                                .filter(|&l| !doubtful(city, text, l))
                                .map(|length| (length, 0, found)),
                        );
                    }
                }
                take(unique(text));
            }
            (Some(province), None, None) => {
                take(written(text, &province.forms, |after| province.has(after)).map(|length| (length, 0, *self)));
                let mut districts = Vec::new();
                for city in &province.cities {
                    let found = Self { city: Some(city), ..*self };
                    // 新竹 is a city and a county: the district behind it tells.
                    let told = |length| text.get(length..).is_some_and(|after| city.has(separated(after)));
                    take(
                        written(text, &city.forms, |after| city.has(after)).map(|l| (l, 1 + u8::from(told(l)), found)),
                    );
                    for district in &city.districts {
                        if let Some(length) = written(text, &district.forms, |_| false) {
                            districts.push((length, 0, Self { district: Some(district), ..found }));
                        }
                    }
                }
                let longest = districts.iter().map(|d| d.0).max();
                let mut longest = districts.into_iter().filter(|d| Some(d.0) == longest);
                // A name that two cities of the province have says nothing.
                if let (Some(one), None) = (longest.next(), longest.next()) {
                    take(Some(one));
                }
            }
            (Some(province), Some(city), None) => {
                take(written(text, &province.forms, |after| province.has(after)).map(|length| (length, 0, *self)));
                take(written(text, &city.forms, |after| city.has(after)).map(|length| (length, 1, *self)));
                for district in &city.districts {
                    let found = Self { district: Some(district), ..*self };
                    take(written(text, &district.forms, |_| false).map(|length| (length, 2, found)));
                }
            }
            (Some(province), city, Some(district)) => {
                // Written again in full only: what follows a district may well be called after its city.
                for name in [Some(province.name), city.map(|c| c.name), Some(district.name)].into_iter().flatten() {
                    take(
                        text.strip_prefix(name).filter(|after| !continues(name, after)).map(|_| (name.len(), 0, *self)),
                    );
                }
            }
        }
        let (length, _, found) = best?;
        *self = found;
        text.get(length..)
    }
}

/// How many bytes of the text are one of the names. A name that seems to go on ends where one of its divisions begins: 北京门头沟区.
fn written(text: &str, forms: &[String], has: impl Fn(&str) -> bool) -> Option<usize> {
    forms
        .iter()
        .filter(|form| text.strip_prefix(form.as_str()).is_some_and(|after| !continues(form, after) || has(after)))
        .map(String::len)
        .max()
}

/// What makes a name of a place the beginning of another name: 北京路, 南京西路, 中山大学, 上海市场.
const CONTINUED: [&str; 44] = [
    "路",
    "街",
    "大街",
    "大道",
    "道",
    "大路",
    "巷",
    "弄",
    "里",
    "胡同",
    "村",
    "镇",
    "乡",
    "街道",
    "桥",
    "站",
    "门",
    "公路",
    "高速",
    "广场",
    "大厦",
    "小区",
    "花园",
    "新村",
    "公园",
    "大学",
    "学院",
    "医院",
    "银行",
    "酒店",
    "饭店",
    "宾馆",
    "中学",
    "小学",
    "火车站",
    "机场",
    "北站",
    "南站",
    "西站",
    "东站",
    "市场",
    "市政府",
    "市民",
    "大桥",
];

/// Whether the name goes on and names something else.
fn continues(name: &str, after: &str) -> bool {
    // 济南市中区 is the district 市中区 of 济南, unless the city has one that is called 中区.
    if name.ends_with('市') && ["场", "民", "政", "中区", "北区", "南区"].iter().any(|c| after.starts_with(c))
    {
        return true;
    }
    // 区, 县 and the like end a name; what is left without them may be the beginning of another.
    let full = name.ends_with(['省', '市', '区', '县', '旗', '州', '盟']) && plain(name) != name;
    !full && (starts(after) || after.strip_prefix(['东', '西', '南', '北', '中', '一', '二', '三']).is_some_and(starts))
}

fn starts(after: &str) -> bool {
    CONTINUED.iter().any(|c| after.starts_with(c))
}

/// Whether the short name of a city may be the district of another: without its own district behind it nobody knows.
fn doubtful(city: &City, text: &str, length: usize) -> bool {
    let (Some(name), Some(after)) = (text.get(..length), text.get(length..)) else { return true };
    name != city.name
        && SHARED.contains(name)
        && !city.districts.iter().any(|d| written(separated(after), &d.forms, |_| false).is_some())
}

/// A district whose name is written in full and which only one place has.
fn unique(text: &str) -> Option<Reading> {
    text.char_indices()
        .skip(2)
        .map(|(at, _)| at)
        .chain([text.len()])
        .take(16)
        .filter_map(|at| {
            let (name, after) = text.split_at_checked(at)?;
            let &(province, city, district) = UNIQUE.get(name).filter(|_| !continues(name, after))?;
            Some((at, 0, Found { province: Some(province), city, district }))
        })
        .last()
}
