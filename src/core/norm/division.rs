//! Administrative divisions of China: provinces, cities and districts with the names they are called by, and the tier of a city.
//!
//! The table is `divisions.txt`: a line for each province, and below it one for each city, with its tier (`-` for none) and its districts. Names are those of the
//! National Bureau of Statistics, codes for statistics as of 30 June 2023 (published 11 September 2023); of Hong Kong, Macao and Taiwan their own. Tiers are those of the
//! ranking of cities of 28 May 2025 by Yicai's research institute (新一线城市研究所), which sorts all 337 cities from prefecture level up.
//!
//! A municipality is province and city at once. A county-level city that no prefecture is above (济源市, 仙桃市) stands where cities stand.

use std::collections::HashMap;
use std::sync::LazyLock;

/// A province, autonomous region, municipality or special administrative region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Province {
    /// Official name.
    pub name: &'static str,
    /// Its cities.
    pub cities: Vec<City>,
    /// The other names it is written by, the official one first.
    pub(super) forms: Vec<String>,
}

/// A city or another division of prefecture level, or a municipality.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct City {
    /// Official name.
    pub name: &'static str,
    /// 一线, 新一线, 二线, 三线, 四线 or 五线; `None` when it is not ranked.
    pub tier: Option<&'static str>,
    /// Its districts.
    pub districts: Vec<District>,
    /// The names it is written by, the official one first.
    pub(super) forms: Vec<String>,
}

/// A district, county or county-level city.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct District {
    /// Official name.
    pub name: &'static str,
    /// The names it is written by, the official one first.
    pub(super) forms: Vec<String>,
}

impl Province {
    /// Whether the text begins with the official name of a city or district of the province.
    pub(super) fn has(&self, text: &str) -> bool {
        self.cities.iter().any(|c| text.starts_with(c.name) || c.has(text))
    }
}

impl City {
    /// Whether the text begins with the official name of a district of the city.
    pub(super) fn has(&self, text: &str) -> bool {
        self.districts.iter().any(|d| text.starts_with(d.name))
    }
}

/// The shipped table.
pub static DIVISIONS: LazyLock<Vec<Province>> = LazyLock::new(|| {
    let mut provinces: Vec<Province> = Vec::new();
    for line in include_str!("divisions.txt").lines() {
        match (line.strip_prefix('\t'), provinces.last_mut()) {
            (None, _) => provinces.push(Province { name: line, cities: Vec::new(), forms: province_forms(line) }),
            (Some(city), Some(province)) => province.cities.push(read_city(city)),
            (Some(_), None) => {}
        }
    }
    provinces
});

fn read_city(line: &'static str) -> City {
    let mut fields = line.split('\t');
    let name = fields.next().unwrap_or_default();
    let tier = fields.next().filter(|&tier| tier != "-");
    let districts = fields.next().unwrap_or_default().split_whitespace();
    let plain = plain(name);
    let districts = districts
        .map(|district| {
            let mut forms = vec![district.to_owned(), self::plain(district).to_owned()];
            // 苏州工业园区 is 工业园区 to those who have written the city.
            forms.extend(district.strip_prefix(plain).filter(|rest| rest.chars().count() > 3).map(str::to_owned));
            District { name: district, forms: distinct(forms) }
        })
        .collect();
    let mut forms = vec![name.to_owned(), plain.to_owned()];
    if name.ends_with("自治州") {
        forms.push(format!("{plain}州"));
    }
    City { name, tier, districts, forms: distinct(forms) }
}

fn province_forms(name: &str) -> Vec<String> {
    let plain = plain(name);
    let mut forms = vec![name.to_owned(), plain.to_owned()];
    if name.ends_with("特别行政区") {
        forms.extend(["特区", "特別行政區"].map(|end| format!("{plain}{end}")));
    } else if !name.ends_with('市') {
        forms.extend(["省", "自治区"].map(|end| format!("{plain}{end}")));
    }
    if plain == "内蒙古" {
        forms.push("内蒙".to_owned());
    }
    distinct(forms)
}

/// The first of each form, without those of one character.
fn distinct(forms: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(forms.len());
    for form in forms {
        if form.chars().nth(1).is_some() && !out.contains(&form) {
            out.push(form);
        }
    }
    out
}

/// What the kind of a division is called, the longer before the shorter that it ends with.
const KINDS: [&str; 16] = [
    "特别行政区",
    "自治区",
    "自治州",
    "自治县",
    "自治旗",
    "地区",
    "林区",
    "特区",
    "新区",
    "省",
    "市",
    "盟",
    "州",
    "区",
    "县",
    "旗",
];

/// The peoples after which autonomous divisions are called.
const PEOPLES: [&str; 58] = [
    "蒙古族",
    "蒙古",
    "回族",
    "藏族",
    "维吾尔族",
    "维吾尔",
    "苗族",
    "彝族",
    "壮族",
    "布依族",
    "朝鲜族",
    "满族",
    "侗族",
    "瑶族",
    "白族",
    "土家族",
    "哈尼族",
    "哈萨克族",
    "哈萨克",
    "傣族",
    "黎族",
    "傈僳族",
    "佤族",
    "畲族",
    "拉祜族",
    "水族",
    "东乡族",
    "纳西族",
    "景颇族",
    "柯尔克孜",
    "土族",
    "达斡尔族",
    "达斡尔",
    "仫佬族",
    "羌族",
    "布朗族",
    "撒拉族",
    "毛南族",
    "仡佬族",
    "锡伯",
    "阿昌族",
    "普米族",
    "塔吉克",
    "怒族",
    "鄂温克族",
    "独龙族",
    "鄂伦春",
    "裕固族",
    "保安族",
    "各族",
    "德昂族",
    "俄罗斯族",
    "乌孜别克族",
    "门巴族",
    "珞巴族",
    "京族",
    "赫哲族",
    "基诺族",
];

/// The name without its kind and without peoples: 内蒙古自治区 is 内蒙古, 恭城瑶族自治县 is 恭城. Two characters are left at least.
pub(super) fn plain(name: &str) -> &str {
    let Some(mut plain) = without(name, &KINDS) else { return name };
    if name.contains("自治") {
        while let Some(shorter) = without(plain, &PEOPLES) {
            plain = shorter;
        }
    }
    plain
}

/// The name without the first of the ends that it has, when two characters are left.
fn without<'a>(name: &'a str, ends: &[&str]) -> Option<&'a str> {
    ends.iter().find_map(|end| name.strip_suffix(end)).filter(|rest| rest.chars().nth(1).is_some())
}

/// Where a district is: its province and city, and itself.
pub(super) type Place = (&'static Province, Option<&'static City>, Option<&'static District>);

/// The districts whose official name no other district has, and no city.
pub(super) static UNIQUE: LazyLock<HashMap<&'static str, Place>> = LazyLock::new(|| {
    let mut places: HashMap<&str, Vec<Place>> = HashMap::new();
    for province in DIVISIONS.iter() {
        for city in &province.cities {
            places.entry(city.name).or_default().push((province, Some(city), None));
            for district in &city.districts {
                places.entry(district.name).or_default().push((province, Some(city), Some(district)));
            }
        }
    }
    places
        .into_iter()
        .filter_map(|(name, places)| match places.as_slice() {
            &[place @ (_, _, Some(_))] => Some((name, place)),
            _ => None,
        })
        .collect()
});

/// The short names of cities that a district elsewhere has too: 朝阳 may be the city or a district of 北京市.
pub(super) static SHARED: LazyLock<std::collections::HashSet<&'static str>> = LazyLock::new(|| {
    let districts: std::collections::HashSet<&str> = DIVISIONS
        .iter()
        .flat_map(|p| &p.cities)
        .flat_map(|c| c.districts.iter().map(move |d| (c, d)))
        // A county that surrounds its city and has its name is no other place.
        .filter(|(c, d)| plain(d.name) != plain(c.name))
        .map(|(_, d)| plain(d.name))
        .collect();
    DIVISIONS.iter().flat_map(|p| &p.cities).map(|c| plain(c.name)).filter(|name| districts.contains(name)).collect()
});
