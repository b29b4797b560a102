#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn link(from: i64, to: i64, trust: i32, last_seen: i64) -> Link {
    Link { from, to, trust, last_seen }
}

fn nodes(chain: &[Step]) -> Vec<i64> {
    chain.iter().map(|s| s.from).chain(chain.last().map(|s| s.to)).collect()
}

#[test]
fn the_chain_says_which_step_holds_it() {
    // Two triangles joined by 3-4; from 1 to 6.
    let links = [
        link(1, 2, 100, 5),
        link(2, 3, 100, 5),
        link(3, 1, 90, 5),
        link(4, 3, 100, 9),
        link(4, 5, 100, 5),
        link(5, 6, 100, 5),
        link(6, 4, 90, 4),
        link(6, 6, 0, 0),
    ];
    let chain = path(&links, 1, 6).unwrap();
    let step = |from, to, trust, last_seen| Step { from, to, trust, last_seen, bridge: false, weakest: false };
    let expected =
        [step(1, 3, 90, 5), Step { bridge: true, ..step(3, 4, 100, 9) }, Step { weakest: true, ..step(4, 6, 90, 4) }];
    assert_eq!(chain, expected);
    assert_eq!(bridges(&links), [(3, 4)]);
    let back: Vec<Step> = chain.iter().rev().map(|s| Step { from: s.to, to: s.from, ..*s }).collect();
    assert_eq!(path(&links, 6, 1).unwrap(), back);
}

#[test]
fn parallel_evidence_is_one_pair() {
    let links = [link(7, 3, 20, 8), link(3, 7, 90, 2)];
    let only = Step { from: 7, to: 3, trust: 90, last_seen: 8, bridge: true, weakest: true };
    assert_eq!(path(&links, 7, 3), Some(vec![only]));
}

#[test]
fn the_strongest_of_the_shortest() {
    // Over 2, 3 or 4; the long way round is stronger than all.
    let mut links = vec![
        link(1, 2, 50, 9),
        link(2, 9, 90, 9),
        link(1, 3, 60, 1),
        link(3, 9, 60, 2),
        link(1, 4, 60, 2),
        link(4, 9, 60, 1),
        link(1, 5, 99, 9),
        link(5, 6, 99, 9),
        link(6, 9, 99, 9),
    ];
    assert_eq!(nodes(&path(&links, 1, 9).unwrap()), [1, 3, 9]);
    links[3].last_seen = 0;
    assert_eq!(nodes(&path(&links, 1, 9).unwrap()), [1, 4, 9]);
    links.push(link(9, 1, i32::MIN, i64::MIN));
    assert_eq!(nodes(&path(&links, 9, 1).unwrap()), [9, 1]);
}

#[test]
fn no_chain_and_the_empty_one() {
    let links = [link(1, 2, 0, 0), link(i64::MIN, i64::MAX, 0, 0)];
    assert_eq!(path(&links, 1, i64::MAX), None);
    assert_eq!(path(&links, 1, 77), None);
    assert_eq!(path(&[], 5, 5), Some(vec![]));
    assert_eq!(bridges(&links), [(i64::MIN, i64::MAX), (1, 2)]);
}

#[test]
fn long_chains_need_no_stack() {
    let n = 500_000;
    let links: Vec<Link> = (1..n).map(|x| link(x - 1, x, 1, x)).collect();
    let chain = path(&links, n - 1, 0).unwrap();
    assert_eq!(chain.len(), 499_999);
    assert!(chain.iter().all(|s| s.bridge && s.weakest == (s.to == 0)));
}
