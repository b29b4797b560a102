//! Hubs, counted by looking at every pair.

use pg_cdp_core::graph::hub::{Cap, Hub, HubRule, Pair, hubs};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::BTreeSet;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn hubs_equal_their_definition(
        rules in vec((any::<bool>(), prop::option::of(0u32..5), prop::option::of(0u32..4)), 3),
        rule_of in vec(0u32..3, 8),
        pairs in vec((0u32..8, 0u32..8, prop::bool::weighted(0.1)), 0..30)
    ) {
        let rules: Vec<HubRule> = rules
            .into_iter()
            .map(|(person, degree_cap, person_cap)| HubRule { person, degree_cap, person_cap })
            .collect();
        let pairs: Vec<Pair> = pairs.into_iter().map(|(from, to, unlinked)| Pair { from, to, unlinked }).collect();
        let seen = |a: u32, b: u32, unlinked: Option<bool>| {
            pairs.iter().any(|p| {
                ((p.from, p.to) == (a, b) || (p.from, p.to) == (b, a)) && unlinked.is_none_or(|u| p.unlinked == u)
            })
        };
        let rule = |n: u32| &rules[rule_of[n as usize] as usize];
        let mut expected = Vec::new();
        for node in 0..8u32 {
            let near: BTreeSet<u32> =
                (0..8).filter(|&n| n != node && seen(node, n, None) && !seen(node, n, Some(true))).collect();
            let persons = near.iter().filter(|&&n| rule(n).person).count() as u32;
            let degree = (Cap::Degree, near.len() as u32, rule(node).degree_cap);
            let person = (Cap::Person, persons, rule(node).person_cap);
            let exceeded = [degree, person].into_iter().find(|(_, found, most)| most.is_some_and(|most| *found > most));
            if let Some((cap, found, Some(most))) = exceeded {
                expected.push(Hub { node, cap, found, most });
            }
        }
        prop_assert_eq!(hubs(&rules, &rule_of, pairs.clone()).unwrap(), expected);
    }
}
