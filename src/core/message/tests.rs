//! Messages as libraries send them, and as nobody should.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn of(message: Value) -> Message {
    read(&message, Envelope::default()).expect("a usable message")
}

fn identifiers(message: &Message) -> Vec<(&str, &str)> {
    message.identifiers.iter().map(|i| (i.ty.as_str(), i.value.as_str())).collect()
}

#[test]
fn an_identify_call() {
    let m = of(json!({
        "type": "identify", "messageId": "m1", "userId": 97980, "anonymousId": "a-1",
        "traits": {"name": "Ann", "email": "Ann@Example.com", "plan": null, "age": 41.5, "tags": ["a", 2, null, true], "address": {"street": {"no": 5}, "City": "Ulm"}, "logins": [{"at": 1}]},
        "context": {"device": {"id": "D", "advertisingId": "AD", "type": "ios"}, "externalIds": [{"id": "o:1", "type": "wechat_openid", "collection": "users", "encoding": "none"}, 7]}
    }));
    assert_eq!((m.verb, m.id.as_deref()), (Verb::Identify, Some("m1")));
    assert_eq!(
        identifiers(&m),
        [
            ("user_id", "97980"),
            ("anonymous_id", "a-1"),
            ("email", "Ann@Example.com"),
            ("device_id", "D"),
            ("idfa", "AD"),
            ("wechat_openid", "o:1")
        ]
    );
    let traits: Vec<(&str, TraitValue)> = m.traits.iter().map(|t| (t.name.as_str(), t.value.clone())).collect();
    let one = |v: Value| TraitValue::One(v);
    let expected = vec![
        ("address_city", one(json!("Ulm"))),
        ("address_street_no", one(json!(5))),
        ("age", one(json!(41.5))),
        ("email", one(json!("Ann@Example.com"))),
        ("logins", one(json!("[{\"at\":1}]"))),
        ("name", one(json!("Ann"))),
        ("plan", TraitValue::Clear),
        ("tags", TraitValue::Many(vec!["a".into(), "2".into(), "true".into()])),
    ];
    assert_eq!(traits, expected);
    assert_eq!(
        m.refused,
        [Refused { part: "context.externalIds[1]".into(), reason: "not an object with type and id".into() }]
    );
    assert_eq!(m.event, None);
}

#[test]
fn the_other_calls() {
    let m = of(
        json!({"type": "track", "anonymousId": "a", "event": " Order Completed ", "properties": {"total": 12.10, "n": 12345678901234567890123u128 as f64}, "context": {"traits": {"email": "e@x.org"}}}),
    );
    let event = m.event.clone().expect("an event");
    assert_eq!(event.name, "Order Completed");
    assert_eq!(event.properties.get("total").map(ToString::to_string).as_deref(), Some("12.1"));
    assert_eq!((identifiers(&m), m.traits.len()), (vec![("anonymous_id", "a"), ("email", "e@x.org")], 0));
    let m = of(
        json!({"type": "page", "userId": "u", "name": "Home", "category": "Docs", "properties": {"category": "own", "url": "/"}}),
    );
    assert_eq!(
        m.event.map(|e| (e.name, Value::Object(e.properties))),
        Some(("page".into(), json!({"category": "own", "url": "/", "name": "Home"})))
    );
    let m = of(json!({"type": "screen", "userId": "u", "name": "Home"}));
    assert_eq!(m.event.map(|e| e.name).as_deref(), Some("screen"));
    let m =
        of(json!({"type": "group", "userId": "u", "groupId": "g1", "traits": {"email": "office@g.org", "size": 5}}));
    assert_eq!(identifiers(&m), [("user_id", "u")], "the address of a group is nobody's");
    assert_eq!(
        m.event.map(|e| Value::Object(e.properties)),
        Some(json!({"group_id": "g1", "email": "office@g.org", "size": 5}))
    );
    let m = of(json!({"type": "alias", "userId": "u", "previousId": "a"}));
    assert_eq!((m.previous.as_deref(), m.event), (Some("a"), None));
}

#[test]
fn what_cannot_be_used_says_why() {
    let fault = |v: Value| read(&v, Envelope::default()).expect_err("a fault").0;
    assert_eq!(fault(json!(1)), "the message is no object");
    assert_eq!(fault(json!({"userId": "u"})), "the message has no type");
    assert_eq!(fault(json!({"type": "Buy"})), "unknown message type \"Buy\"");
    assert_eq!(fault(json!({"type": "track", "event": " "})), "a track call has no event");
    assert_eq!(
        fault(json!({"type": "track", "event": "é".repeat(32)})),
        "the name of the event is longer than 63 bytes"
    );
    assert_eq!(fault(json!({"type": "alias", "userId": "u"})), "an alias call has no previousId");
    assert_eq!(fault(json!({"type": "group", "groupId": ""})), "a group call has no groupId");
    assert_eq!(fault(json!({"type": "page", "messageId": ""})), "messageId is not a text of 1 to 255 bytes");
    let m = of(
        json!({"type": "identify", "userId": ["u"], "anonymousId": " ", "timestamp": "yesterday", "traits": 5, "context": {"device": {"advertisingId": "x"}}}),
    );
    let refused: Vec<String> = m.refused.iter().map(|r| format!("{}: {}", r.part, r.reason)).collect();
    assert_eq!(
        refused,
        [
            "timestamp: \"yesterday\" is no time",
            "traits: not an object",
            "userId: neither text nor number",
            "context.device.advertisingId: neither context.device.type nor context.os.name says ios or android"
        ]
    );
    assert!(m.identifiers.is_empty());
}

#[test]
fn a_batch_gives_its_messages_what_they_lack() {
    let context = json!({"device": {"id": "D"}});
    let sent = json!("2024-01-01T00:00:10Z");
    let envelope = Envelope { sent_at: Some(&sent), context: context.as_object() };
    let m =
        read(&json!({"type": "page", "userId": "u", "context": {"os": {"name": "iOS"}}}), envelope).expect("a message");
    assert_eq!((identifiers(&m), m.clock.sent), (vec![("user_id", "u"), ("device_id", "D")], moment(&sent)));
    let m =
        read(&json!({"type": "page", "userId": "u", "sentAt": "2024-01-01T00:00:20Z"}), envelope).expect("a message");
    assert_eq!(m.clock.sent, moment(&json!("2024-01-01T00:00:20Z")));
}

#[test]
fn times_in_their_forms() {
    let second = 1_000_000;
    let of = |v: Value| moment(&v);
    assert_eq!(of(json!("2000-01-01T00:00:01Z")), Some(second));
    assert_eq!(of(json!("2000-01-01T01:00:01.5+01:00")), Some(1_500_000));
    assert_eq!(of(json!("2000-01-01 00:00:01.000001")), Some(second + 1));
    assert_eq!(of(json!(" 2000-01-02 ")), Some(86_400 * second));
    assert_eq!(of(json!(946_684_801)), Some(second));
    assert_eq!(of(json!(946_684_801_500u64)), Some(1_500_000));
    for at in [0, 1, -1, 1_234_567_890_123_456, -9_000_000_000_000_000] {
        assert_eq!(of(json!(printed(at))), Some(at));
    }
    for none in [
        json!("now"),
        json!("2000-13-01T00:00:00Z"),
        json!(true),
        json!(""),
        json!({}),
        json!(1e300),
        json!("+999999-01-01T00:00:00Z"),
    ] {
        assert_eq!(of(none.clone()), None, "{none}");
    }
}

#[test]
fn the_clock_of_the_client_is_corrected() {
    // The client is an hour ahead; it sends ten seconds later, and the message takes one second.
    let (hour, second) = (3_600_000_000, 1_000_000);
    let clock = Clock { original: Some(hour), sent: Some(hour + 10 * second), received: None };
    assert_eq!(clock.correct(11 * second), Corrected { at: second, received: 11 * second, original: Some(hour) });
    let clock = Clock { original: Some(5), sent: None, received: Some(9) };
    assert_eq!(clock.correct(11), Corrected { at: 5, received: 9, original: None });
    assert_eq!(Clock::default().correct(11), Corrected { at: 11, received: 11, original: None });
    let clock = Clock { original: Some(i64::MIN), sent: Some(i64::MAX), received: None };
    assert_eq!(clock.correct(0).at, i64::MIN);
}

#[test]
fn months_have_partitions() {
    use super::time::Month;
    let of = |text: &str| Month::of(moment(&json!(text)).expect("a moment"));
    let month = of("2024-12-31T23:59:59.999999Z").expect("a month");
    assert_eq!((month.partition().as_str(), month.first().as_str()), ("event_y2024m12", "2024-12-01 00:00:00"));
    assert_eq!(
        (month.next().partition().as_str(), month.next().first().as_str()),
        ("event_y2025m01", "2025-01-01 00:00:00")
    );
    assert_eq!(of("1970-01-01T00:00:00Z").map(Month::partition).as_deref(), Some("event_y1970m01"));
    assert_eq!(of("1969-12-31T23:59:59Z"), None);
    assert_eq!(of("2101-01-01T00:00:00Z"), None);
}

#[test]
fn names_of_columns() {
    for (name, column) in [
        ("firstName", "first_name"),
        ("First Name", "first_name"),
        ("userID", "user_id"),
        ("HTMLPage", "html_page"),
        ("a.b-c", "a_b_c"),
        ("__x__", "x"),
        ("2fa", "_2fa"),
        ("城市", "城市"),
        ("Größe", "größe"),
        ("address2Line", "address2_line"),
    ] {
        assert_eq!(column_name(name).as_deref(), Some(column), "{name}");
    }
    for name in ["", "--", "!?", &"x".repeat(64)] {
        assert_eq!(column_name(name), None, "{name}");
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        ".{0,12}".prop_map(Value::String),
        Just(json!("identify")),
        Just(json!("track")),
        Just(json!("2024-02-30T00:00:00Z")),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let key = prop_oneof![
            Just("type".to_owned()),
            Just("userId".to_owned()),
            Just("event".to_owned()),
            Just("traits".to_owned()),
            Just("context".to_owned()),
            Just("properties".to_owned()),
            Just("timestamp".to_owned()),
            Just("externalIds".to_owned()),
            ".{0,5}"
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::hash_map(key, inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Whatever comes, it is taken apart or refused; what is taken has names that a column can have, each once, and identifiers that are not blank.
    #[test]
    fn any_json_at_all(value in json_value()) {
        if let Ok(message) = read(&value, Envelope::default()) {
            for (i, t) in message.traits.iter().enumerate() {
                prop_assert!(!t.name.is_empty() && t.name.len() <= 63);
                prop_assert!(message.traits.iter().skip(i + 1).all(|other| other.name != t.name));
                let again = column_name(&t.name);
                prop_assert_eq!(again.as_deref(), Some(t.name.as_str()));
            }
            prop_assert!(message.identifiers.iter().all(|i| !i.value.trim().is_empty()));
        }
    }

    /// The correction does not depend on how far the clock of the client is off.
    #[test]
    fn skew_cancels_out(skew in -1_000_000_000_000i64..1_000_000_000_000, happened in 0i64..1_000_000_000, waited in 0i64..1_000_000_000) {
        let clock = Clock { original: Some(happened + skew), sent: Some(happened + waited + skew), received: None };
        prop_assert_eq!(clock.correct(happened + waited).at, happened);
    }
}
