#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

const USER: u32 = 0;
const EMAIL: u32 = 1;
const COOKIE: u32 = 2;
const OF_USERS: Bound = Bound::Limit { rule: USER, windowed: false };

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
    let mut arrival = Arrival::new(rules(), Caps::default(), 100);
    let (abc123, abc456, jane) = (user(123), user(456), id(EMAIL, 1, 0));
    arrival.know(7, 50, &abc123).unwrap();
    arrival.know(7, 50, &jane).unwrap();
    let outcome = arrival.arrive(&[abc456, jane]).unwrap();
    let dropped = Dropped { node: 1, bound: OF_USERS, found: 2, most: 1 };
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
        let mut arrival = Arrival::new(rules(), Caps::default(), 100);
        let outcomes = order.map(|i| arrival.arrive(&rows[i]).unwrap());
        assert_eq!(outcomes[0].kept.len(), 2);
        assert_eq!(outcomes[1].kept, [rows[order[1]][0].node]);
        assert_eq!(arrival.arrive(&[id(EMAIL, 1, 0)]).unwrap().owner, Some(Owner::New(0)));
    }
}

#[test]
fn profiles_merge_into_the_oldest() {
    let mut arrival = Arrival::new(rules(), Caps::default(), 100);
    for (profile, age, node) in [(9, 50, 1), (8, 20, 2), (7, 20, 3)] {
        arrival.know(profile, age, &cookie(node)).unwrap();
    }
    // Made in the batch, and taken over in it.
    assert!(arrival.arrive(&[cookie(6), cookie(5), cookie(6)]).unwrap().made);
    let outcome = arrival.arrive(&[cookie(5), cookie(1), cookie(2)]).unwrap();
    assert_eq!(outcome.owner, Some(Owner::Known(8)));
    let merged = |owner, node, other| Merged { owner, node, other };
    assert_eq!(outcome.merged, [merged(Owner::Known(9), 1, 5), merged(Owner::New(0), 5, 1)]);
    let outcome = arrival.arrive(&[cookie(3), cookie(6), user(4)]).unwrap();
    assert_eq!((outcome.owner, outcome.merged), (Some(Owner::Known(7)), vec![merged(Owner::Known(8), 6, 3)]));
    let changes = arrival.finish();
    let survivor = Owner::Known(7);
    assert_eq!(changes.made, [Made { founding: 5, into: Some(survivor) }]);
    assert_eq!(changes.retired, [(8, survivor), (9, survivor)]);
    assert_eq!(changes.joined, [(4, survivor), (5, survivor), (6, survivor)]);
}

#[test]
fn limits_keep_merges_apart() {
    let mut arrival = Arrival::new(rules(), Caps::default(), 100);
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
    // What was dropped and nobody's is alone.
    let alone = Changes {
        made: vec![Made { founding: 5, into: None }],
        joined: vec![(5, Owner::New(0))],
        ..Changes::default()
    };
    assert_eq!(arrival.finish(), alone);
}

#[test]
fn windows_slide() {
    let mut arrival = Arrival::new(rules(), Caps::default(), 100);
    let email = |node, first_seen| arrival_row(node, first_seen);
    for (node, at, kept) in [(1, 0, 2), (2, 5, 2), (3, 9, 1), (4, 10, 2), (5, 14, 1), (6, 15, 2)] {
        let outcome = arrival.arrive(&email(node, at)).unwrap();
        // The cookie is what goes, so that the third email becomes someone else.
        assert_eq!(outcome.kept.len(), kept, "{node}");
        for dropped in outcome.dropped {
            assert_eq!(
                dropped,
                Dropped { node: 99, bound: Bound::Limit { rule: EMAIL, windowed: true }, found: 3, most: 2 }
            );
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
    let mut arrival = Arrival::new(rules(), Caps::default(), 100);
    for node in [1, 2, 3] {
        arrival.know(1, 0, &user(node)).unwrap();
    }
    let outcome = arrival.arrive(&[user(2), cookie(8)]).unwrap();
    assert_eq!((outcome.owner, outcome.kept.len()), (Some(Owner::Known(1)), 2));
    let outcome = arrival.arrive(&[user(4), cookie(8)]).unwrap();
    assert_eq!(outcome.dropped, [Dropped { node: 8, bound: OF_USERS, found: 4, most: 1 }]);
}

#[test]
fn scopes_are_counted_apart() {
    let mut arrival = Arrival::new(rules(), Caps::default(), 100);
    let at = |scope, node| Identifier { scope, ..user(node) };
    let outcome = arrival.arrive(&[at("shop", 1), at("game", 2), at("shop", 3)]).unwrap();
    assert_eq!(outcome.kept, [1, 2]);
}

/// Profiles with a cookie of their number each, and a size.
fn capped(merges: Option<u32>, identifiers: Option<u32>, sizes: &[(i64, u32, u32)]) -> Arrival {
    let mut arrival = Arrival::new(rules(), Caps { merges, identifiers }, 100);
    for &(profile, merges, identifiers) in sizes {
        arrival.know(profile, profile, &cookie(profile)).unwrap();
        arrival.measure(profile, Size { merges, identifiers }).unwrap();
    }
    arrival
}

#[test]
fn a_profile_takes_over_no_more_than_so_many() {
    let mut arrival = capped(Some(100), None, &[(1, 98, 1), (2, 0, 1), (3, 0, 1), (4, 99, 1), (5, 1, 1)]);
    assert_eq!(arrival.arrive(&[cookie(1), cookie(2)]).unwrap().dropped, []);
    // Those that the other has taken over count, and it itself.
    let refused = |node, found| Dropped { node, bound: Bound::Merges, found, most: 100 };
    assert_eq!(arrival.arrive(&[cookie(4), cookie(5)]).unwrap().dropped, [refused(5, 101)]);
    assert_eq!(arrival.arrive(&[cookie(3), cookie(4)]).unwrap().owner, Some(Owner::Known(3)));
    // Two at once, of which one is left; the row is the older one's all the same, and new identifiers are added.
    let outcome = arrival.arrive(&[cookie(1), cookie(3), cookie(5), cookie(9)]).unwrap();
    assert_eq!((outcome.owner, outcome.kept), (Some(Owner::Known(1)), vec![1, 9]));
    assert_eq!(outcome.dropped, [refused(3, 200), refused(5, 101)]);
    // The row is whose its most telling identifier is.
    let outcome = arrival.arrive(&[cookie(3), user(8), cookie(5)]).unwrap();
    assert_eq!((outcome.owner, outcome.dropped), (Some(Owner::Known(3)), vec![refused(5, 102)]));
    let outcome = arrival.arrive(&[cookie(2), user(8)]).unwrap();
    assert_eq!((outcome.owner, outcome.dropped), (Some(Owner::Known(3)), vec![refused(2, 200)]));
}

#[test]
fn a_profile_holds_no_more_than_so_many() {
    let mut arrival = capped(None, Some(5), &[(1, 0, 4), (2, 0, 2), (3, 0, 9)]);
    let refused = |node, found| Dropped { node, bound: Bound::Identifiers, found, most: 5 };
    assert_eq!(arrival.arrive(&[cookie(1), cookie(2)]).unwrap().dropped, [refused(2, 6)]);
    let outcome = arrival.arrive(&[cookie(1), cookie(11), cookie(12), cookie(13)]).unwrap();
    assert_eq!((outcome.kept, outcome.added), (vec![1, 11], vec![11]));
    assert_eq!(outcome.dropped, [refused(12, 6), refused(13, 6)]);
    // Each of them is somebody, who may join others.
    let outcome = arrival.arrive(&[cookie(12), cookie(2), cookie(13)]).unwrap();
    assert_eq!((outcome.owner, outcome.merged.len()), (Some(Owner::Known(2)), 2));
    // One that is beyond it still receives rows.
    assert_eq!(arrival.arrive(&[cookie(3)]).unwrap().owner, Some(Owner::Known(3)));
    assert_eq!(arrival.arrive(&[cookie(3), cookie(14)]).unwrap().dropped, [refused(14, 10)]);
    // A new identifier that tells more begins a profile.
    let outcome = arrival.arrive(&[cookie(3), cookie(15), user(16)]).unwrap();
    assert_eq!((outcome.kept, outcome.made), (vec![15, 16], true));
    assert_eq!(outcome.dropped, [refused(3, 10)]);
}

#[test]
fn caps_come_after_limits() {
    let mut arrival = capped(Some(0), Some(3), &[(1, 0, 2), (2, 0, 2)]);
    arrival.know(1, 1, &user(10)).unwrap();
    arrival.know(2, 2, &user(20)).unwrap();
    // Two users: the later cookie goes for the limit; then no cap is broken.
    let outcome = arrival.arrive(&[cookie(1), cookie(2)]).unwrap();
    assert_eq!(outcome.dropped, [Dropped { node: 2, bound: OF_USERS, found: 2, most: 1 }]);
    // Of both caps that of merges is named.
    let mut arrival = capped(Some(0), Some(3), &[(1, 0, 2), (2, 0, 2)]);
    let outcome = arrival.arrive(&[cookie(1), cookie(2)]).unwrap();
    assert_eq!(outcome.dropped, [Dropped { node: 2, bound: Bound::Merges, found: 1, most: 0 }]);
}

#[test]
fn contradictions() {
    let mut arrival = Arrival::new(rules(), Caps::default(), 100);
    arrival.know(1, 0, &user(1)).unwrap();
    arrival.know(1, 0, &user(1)).unwrap();
    assert_eq!(arrival.know(2, 0, &user(1)), Err(ArrivalError::TwoOwners { node: 1 }));
    assert_eq!(arrival.know(1, 5, &user(2)), Err(ArrivalError::TwoAges { profile_id: 1 }));
    assert_eq!(arrival.know(1, 0, &id(9, 4, 0)), Err(ArrivalError::NoRule { node: 4 }));
    assert_eq!(arrival.arrive(&[user(5), id(9, 4, 0)]), Err(ArrivalError::NoRule { node: 4 }));
    assert_eq!(arrival.measure(3, Size::default()), Err(ArrivalError::NoProfile { profile_id: 3 }));
    assert_eq!(arrival.arrive(&[]), Ok(Outcome::default()));
    assert_eq!(arrival.finish(), Changes::default());
}
