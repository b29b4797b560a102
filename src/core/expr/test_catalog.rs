//! The catalog the tests of this folder share.

use super::ast::Type;
use super::check::Catalog;

/// A small shop.
pub(crate) struct Shop;

const ATTRIBUTES: &[(&str, Type)] = &[
    ("gender", Type::Text),
    ("city", Type::Text),
    ("city_tier", Type::Bigint),
    ("value_level", Type::Text),
    ("age", Type::Bigint),
    ("balance", Type::Numeric),
    ("labels", Type::TextSet),
    ("vip", Type::Boolean),
    ("birthday", Type::Date),
    ("signed_up", Type::Timestamptz),
    ("城市", Type::Text),
    ("Mixed Case", Type::Text),
    ("user", Type::Text),
];
const PROPERTIES: &[(&str, Type)] = &[
    ("category", Type::Text),
    ("sku", Type::Text),
    ("amount", Type::Numeric),
    ("quantity", Type::Bigint),
    ("gift", Type::Boolean),
    ("due", Type::Date),
    ("paid_at", Type::Timestamptz),
    ("at", Type::Text),
];
const EVENTS: &[&str] = &["view", "purchase", "Order Completed", "加购"];
const SEGMENTS: &[&str] = &["vip", "it's"];

fn names(list: &[(&str, Type)]) -> Vec<String> {
    list.iter().map(|(n, _)| (*n).to_owned()).collect()
}

fn find(list: &[(&str, Type)], name: &str) -> Option<Type> {
    list.iter().find(|(n, _)| *n == name).map(|(_, t)| *t)
}

impl Catalog for Shop {
    fn attribute(&self, name: &str) -> Option<Type> {
        find(ATTRIBUTES, name)
    }
    fn has_event(&self, event: &str) -> bool {
        EVENTS.contains(&event)
    }
    fn property(&self, event: &str, name: &str) -> Option<Type> {
        self.has_event(event).then(|| find(PROPERTIES, name))?
    }
    fn has_segment(&self, name: &str) -> bool {
        SEGMENTS.contains(&name)
    }
    fn attributes(&self) -> Vec<String> {
        names(ATTRIBUTES)
    }
    fn events(&self) -> Vec<String> {
        EVENTS.iter().map(|e| (*e).to_owned()).collect()
    }
    fn properties(&self, _: &str) -> Vec<String> {
        names(PROPERTIES)
    }
    fn identifier_types(&self) -> Vec<String> {
        ["email", "phone", "cookie"].map(str::to_owned).to_vec()
    }
    fn segments(&self) -> Vec<String> {
        SEGMENTS.iter().map(|e| (*e).to_owned()).collect()
    }
    fn history(&self, attribute: &str) -> Option<i32> {
        (attribute == "user").then_some(7)
    }
    fn elsewhere(&self, attribute: &str) -> Option<String> {
        (attribute == "home_spend").then(|| "household".to_owned())
    }
}

/// The households of the people of the shop.
pub(crate) struct Households;

impl Catalog for Households {
    fn attribute(&self, name: &str) -> Option<Type> {
        find(&[("home_spend", Type::Numeric), ("care", Type::Text), ("members", Type::Bigint)], name)
    }
    fn has_event(&self, event: &str) -> bool {
        Shop.has_event(event)
    }
    fn property(&self, event: &str, name: &str) -> Option<Type> {
        Shop.property(event, name)
    }
    fn has_segment(&self, _: &str) -> bool {
        false
    }
    fn attributes(&self) -> Vec<String> {
        ["home_spend", "care", "members"].map(str::to_owned).to_vec()
    }
    fn events(&self) -> Vec<String> {
        Shop.events()
    }
    fn properties(&self, event: &str) -> Vec<String> {
        Shop.properties(event)
    }
    fn identifier_types(&self) -> Vec<String> {
        Shop.identifier_types()
    }
    fn segments(&self) -> Vec<String> {
        Vec::new()
    }
    fn history(&self, attribute: &str) -> Option<i32> {
        (attribute == "care").then_some(9)
    }
    fn entity(&self) -> Option<&str> {
        Some("household")
    }
    fn elsewhere(&self, attribute: &str) -> Option<String> {
        Shop.attribute(attribute).map(|_| "person".to_owned())
    }
}
