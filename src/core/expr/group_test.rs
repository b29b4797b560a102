#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
//! Expressions about groups of people: the SQL, and what is said about what cannot be asked of them.

use super::super::ast::Type;
use super::super::check::Catalog;
use super::super::compile;
use super::super::error::Kind::{self, NotSupported, UnknownAttribute};
use super::super::test_catalog::{Households, Shop};
use super::{Group, SqlContext, select_sql};

fn asked(text: &str, now: Option<&str>) -> String {
    let e = compile(text, &Households, Some(Type::Boolean)).unwrap_or_else(|e| panic!("{text}: {e:?}"));
    let group = Some(Group { name: "house'hold", view: "\"entity_house'hold\"" });
    select_sql(&[], Some(&e), &SqlContext { schema: "cdp", now, catalog: &Households, point: None, group })
}

const GROUPS: &str = "(SELECT g.group_id AS profile_id, g.* FROM cdp.\"entity_house'hold\" AS g)";
/// The events of the members, in a query whose lines begin like this.
fn events(line: &str) -> String {
    format!(
        "({line}  SELECT m.group_id AS profile_id, e.event_id, e.event, e.at, e.properties\
         {line}  FROM cdp.entity_members AS m JOIN cdp.events AS e USING (profile_id)\
         {line}  WHERE m.entity = 'house''hold'{line}) AS e"
    )
}

#[test]
fn groups_stand_for_profiles_and_their_members_events_for_events() {
    assert_eq!(
        asked("home_spend > 100 AND members >= 2 AND count(purchase) > 3 AND has_identifier('email')", None),
        format!(
            "\
SELECT p.profile_id
FROM {GROUPS} AS p
LEFT JOIN (
  SELECT profile_id, count(*) AS value
  FROM {}
  WHERE event = 'purchase'
    AND at <= now()
  GROUP BY profile_id
) AS e1 ON e1.profile_id = p.profile_id
WHERE p.home_spend > 100
  AND p.members >= 2
  AND coalesce(e1.value, 0) > 3
  AND EXISTS (SELECT FROM (SELECT m.group_id AS profile_id, i.type FROM cdp.entity_members AS m JOIN cdp.identifiers AS i USING (profile_id) WHERE m.entity = 'house''hold') AS i \
WHERE i.type = 'email' AND i.profile_id = p.profile_id)",
            events("\n  ")
        )
    );
}

#[test]
fn a_sequence_is_of_the_events_of_all_members() {
    let sql = asked("sequence(view, purchase)", None);
    assert!(
        sql.contains(&format!("      FROM {}\n      WHERE event IN ('view', 'purchase')", events("\n      "))),
        "{sql}"
    );
    assert!(!sql.contains("FROM cdp.events\n"), "{sql}");
}

#[test]
fn earlier_values_of_groups_are_those_of_their_number() {
    let sql = asked("care = 'gold'", Some("2018-01-01 00:00:00+00"));
    assert!(
        sql.contains(&format!("  FROM {GROUPS} AS q\n  LEFT JOIN (\n")) && sql.contains("attribute_id = 9"),
        "{sql}"
    );
}

#[test]
fn what_is_of_somebody_else_is_said() {
    #[rustfmt::skip]
    let wrong: [(&str, &dyn Catalog, Kind, &str, &str); 4] = [
        ("city = 'Rome'", &Households, UnknownAttribute, "attribute \"city\" does not exist",
            "\"city\" is an attribute of \"person\": name tags of the same entity type, members, and the events of the members"),
        ("home_spend > 5", &Shop, UnknownAttribute, "attribute \"home_spend\" does not exist",
            "\"home_spend\" is an attribute of \"household\": cdp_segment() asks about those with entity => 'household'"),
        ("in_segment('vip')", &Households, NotSupported, "in_segment() is about people, and this is about \"household\"",
            "name tags of the same entity type, members, and the events of the members"),
        ("home_spnd > 5", &Households, UnknownAttribute, "attribute \"home_spnd\" does not exist", "did you mean \"home_spend\"?"),
    ];
    for (text, catalog, kind, message, hint) in wrong {
        let e = compile(text, catalog, Some(Type::Boolean)).expect_err(text);
        let said = (e.kind, e.position, e.message.as_str(), e.hint.as_deref().unwrap_or_default());
        assert_eq!(said, (kind, 1, message, hint), "{text}");
    }
}
