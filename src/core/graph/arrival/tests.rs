#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

const USER: u32 = 0;
const EMAIL: u32 = 1;
const COOKIE: u32 = 2;

/// One user, two emails in any ten, any number of cookies.
fn rules() -> Vec<TypeRule> {
    let rule = TypeRule::default();
    vec![
        TypeRule { priority: 1, limit: Some(1), ..rule },
        TypeRule { priority: 2, limit: Some(2), window_micros: Some(10), ..rule },
        TypeRule { priority: 3, ..rule },
    ]
}

fn id(rule: u32, node: i64, first_seen: i64) -> Identifier<'static> {
    Identifier { node, rule, scope: "", first_seen }
}

fn user(node: i64) -> Identifier<'static> {
    id(USER, node, 0)
}

fn cookie(node: i64) -> Identifier<'static> {
    id(COOKIE, node, 0)
}

#[test]
fn the_documented_example() {
    // {user_id abc123, email jane} is known; {user_id abc456, email jane} arrives.
    let mut arrival = Arrival::new(rules(), 100);
    let (abc123, abc456, jane) = (user(123), user(456), id(EMAIL, 1, 0));
    arrival.know(7, 50, &abc123).unwrap();
    arrival.know(7, 50, &jane).unwrap();
    let outcome = arrival.arrive(&[abc456, jane]).unwrap();
    let dropped = Dropped { node: 1, rule: USER, found: 2, most: 1, windowed: false };
    let new = Some(Owner::New(0));
    let expected =
        Outcome { owner: new, made: true, merged: vec![], kept: vec![456], added: vec![456], dropped: vec![dropped] };
    assert_eq!(outcome, expected);
    // The email stays with abc123.
    assert_eq!(arrival.arrive(&[jane]).unwrap().owner, Some(Owner::Known(7)));
    let changes = arrival.finish();
    assert_eq!(changes.made, [Made { founding: 456, into: None }]);
    assert_eq!(changes.joined, [(456, Owner::New(0))]);
    assert_eq!(changes.retired, []);
}

#[test]
fn the_order_of_arrival_decides() {
    // Nobody is known: whoever comes first has the email.
    let rows = [[user(123), id(EMAIL, 1, 0)], [user(456), id(EMAIL, 1, 0)]];
    for order in [[0, 1], [1, 0]] {
        let mut arrival = Arrival::new(rules(), 100);
        let outcomes = order.map(|i| arrival.arrive(&rows[i]).unwrap());
        assert_eq!(outcomes[0].kept.len(), 2);
        assert_eq!(outcomes[1].kept, [rows[order[1]][0].node]);
        assert_eq!(arrival.arrive(&[id(EMAIL, 1, 0)]).unwrap().owner, Some(Owner::New(0)));
    }
}

#[test]
fn profiles_merge_into_the_oldest() {
    let mut arrival = Arrival::new(rules(), 100);
    for (profile, age, node) in [(9, 50, 1), (8, 20, 2), (7, 20, 3)] {
        arrival.know(profile, age, &cookie(node)).unwrap();
    }
    // Made in the batch, and taken over in it.
    assert!(arrival.arrive(&[cookie(6), cookie(5), cookie(6)]).unwrap().made);
    let outcome = arrival.arrive(&[cookie(5), cookie(1), cookie(2)]).unwrap();
    assert_eq!(outcome.owner, Some(Owner::Known(8)));
    assert_eq!(outcome.merged, [Owner::Known(9), Owner::New(0)]);
    let outcome = arrival.arrive(&[cookie(3), cookie(6), user(4)]).unwrap();
    assert_eq!((outcome.owner, outcome.merged), (Some(Owner::Known(7)), vec![Owner::Known(8)]));
    let changes = arrival.finish();
    let survivor = Owner::Known(7);
    assert_eq!(changes.made, [Made { founding: 5, into: Some(survivor) }]);
    assert_eq!(changes.retired, [(8, survivor), (9, survivor)]);
    assert_eq!(changes.joined, [(4, survivor), (5, survivor), (6, survivor)]);
}

#[test]
fn limits_keep_merges_apart() {
    let mut arrival = Arrival::new(rules(), 100);
    for (profile, node) in [(1, 10), (2, 20)] {
        arrival.know(profile, profile, &user(node)).unwrap();
        arrival.know(profile, profile, &cookie(node + 1)).unwrap();
    }
    // Cookies of two people: the later of them goes, then there is one person.
    let outcome = arrival.arrive(&[cookie(11), cookie(21)]).unwrap();
    assert_eq!((outcome.owner, outcome.kept), (Some(Owner::Known(1)), vec![11]));
    // Both users: the cookies go first, then the later user.
    let outcome = arrival.arrive(&[user(20), cookie(21), user(10), cookie(5)]).unwrap();
    assert_eq!(outcome.dropped.iter().map(|d| d.node).collect::<Vec<_>>(), [5, 21, 10]);
    assert_eq!(outcome.owner, Some(Owner::Known(2)));
    // What was dropped and nobody's is nobody's still.
    assert_eq!(arrival.finish(), Changes::default());
}

#[test]
fn windows_slide() {
    let mut arrival = Arrival::new(rules(), 100);
    let email = |node, first_seen| arrival_row(node, first_seen);
    for (node, at, kept) in [(1, 0, 2), (2, 5, 2), (3, 9, 1), (4, 10, 2), (5, 14, 1), (6, 15, 2)] {
        let outcome = arrival.arrive(&email(node, at)).unwrap();
        // The cookie is what goes, so that the third email becomes someone else.
        assert_eq!(outcome.kept.len(), kept, "{node}");
        for dropped in outcome.dropped {
            assert_eq!(dropped, Dropped { node: 99, rule: EMAIL, found: 3, most: 2, windowed: true });
        }
    }
    // Seen earlier than was known: 4 moves to 3, so that 10 is free for one more.
    assert_eq!(arrival.arrive(&email(4, 3)).unwrap().kept.len(), 2);
    assert_eq!(arrival.arrive(&email(7, 13)).unwrap().kept.len(), 2);
}

fn arrival_row(node: i64, first_seen: i64) -> [Identifier<'static>; 2] {
    [id(EMAIL, node, first_seen), cookie(99)]
}

#[test]
fn a_profile_over_its_limit_still_receives() {
    let mut arrival = Arrival::new(rules(), 100);
    for node in [1, 2, 3] {
        arrival.know(1, 0, &user(node)).unwrap();
    }
    let outcome = arrival.arrive(&[user(2), cookie(8)]).unwrap();
    assert_eq!((outcome.owner, outcome.kept.len()), (Some(Owner::Known(1)), 2));
    let outcome = arrival.arrive(&[user(4), cookie(8)]).unwrap();
    assert_eq!(outcome.dropped, [Dropped { node: 8, rule: USER, found: 4, most: 1, windowed: false }]);
}

#[test]
fn scopes_are_counted_apart() {
    let mut arrival = Arrival::new(rules(), 100);
    let at = |scope, node| Identifier { scope, ..user(node) };
    let outcome = arrival.arrive(&[at("shop", 1), at("game", 2), at("shop", 3)]).unwrap();
    assert_eq!(outcome.kept, [1, 2]);
}

#[test]
fn contradictions() {
    let mut arrival = Arrival::new(rules(), 100);
    arrival.know(1, 0, &user(1)).unwrap();
    arrival.know(1, 0, &user(1)).unwrap();
    assert_eq!(arrival.know(2, 0, &user(1)), Err(ArrivalError::TwoOwners { node: 1 }));
    assert_eq!(arrival.know(1, 5, &user(2)), Err(ArrivalError::TwoAges { profile_id: 1 }));
    assert_eq!(arrival.know(1, 0, &id(9, 4, 0)), Err(ArrivalError::NoRule { node: 4 }));
    assert_eq!(arrival.arrive(&[user(5), id(9, 4, 0)]), Err(ArrivalError::NoRule { node: 4 }));
    assert_eq!(arrival.arrive(&[]), Ok(Outcome::default()));
    assert_eq!(arrival.finish(), Changes::default());
}
