#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::score::{Scores, Values, Weights};
use super::statistics::{Test, TwoByTwo, false_discovery, smoothed_log_odds, two_sided, wilson};
use super::{HELD_OUT_BELOW, cuts, holdout};
use crate::bitmap::{Bytes, Portable};
use crate::cells::{NumberChunk, encode};
use crate::testing::{Cells, Rng, as_cells, cells, number_bytes, offsets, set_bytes};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn table(inside: u64, members: u64, outside: u64, others: u64) -> TwoByTwo {
    TwoByTwo { inside, members, outside, others }
}

#[track_caller]
fn near(found: f64, wanted: f64) {
    assert!((found - wanted).abs() <= 1e-9 * wanted.abs().max(1e-300), "{found} is not {wanted}");
}

/// Tails of the normal distribution, to the digits of Abramowitz and Stegun, table 26.1, and of R's `2 * pnorm(-z)`.
#[test]
fn the_tail_of_the_normal_distribution_is_right_far_out() {
    assert_eq!(two_sided(0.0), 1.0);
    near(two_sided(1.959_963_984_540_054), 0.05);
    near(two_sided(-1.0), 0.317_310_507_862_914_1);
    near(two_sided(5.0), 5.733_031_437_583_892e-7);
    near(two_sided(10.0), 1.523_970_604_832_094e-23);
    assert_eq!(two_sided(100.0), 0.0);
}

#[test]
fn two_proportions_by_hand() {
    let t = table(45, 100, 30, 100);
    near(t.z().unwrap(), 0.15 / (0.375f64 * 0.625 * 0.02).sqrt());
    let (p, test) = t.p().unwrap();
    assert_eq!(test, Test::Z);
    near(p, two_sided(2.190_890_230_020_664));
    near(t.log_odds(), ((45.5f64 / 55.5) / (30.5 / 70.5)).ln());
    for none in [table(0, 0, 3, 5), table(3, 5, 0, 0), table(0, 7, 0, 9), table(7, 7, 9, 9), table(0, 0, 0, 0)] {
        assert_eq!((none.z(), none.p()), (None, None));
        assert!(none.log_odds().is_finite());
    }
}

/// The tea tasting of Fisher's Design of Experiments, and the criminal twins of Fisher (1962) as in R's `?fisher.test`.
#[test]
fn fishers_own_examples() {
    near(table(3, 4, 1, 4).fisher(), 34.0 / 70.0);
    let twins = table(2, 12, 15, 18).fisher();
    assert!((twins - 0.000_536_724_1).abs() < 1e-10, "{twins}");
    assert_eq!(table(3, 4, 1, 4).p().unwrap().1, Test::Fisher);
    // A small margin among many profiles: the walk is as long as the margin, and the table is told from its mirror image.
    let p = table(12, 300, 40_000, 10_000_000).fisher();
    let tail: f64 =
        1.0 - (0..12).map(|x| binomial(300, x) * 0.004f64.powi(x as i32) * 0.996f64.powi(300 - x as i32)).sum::<f64>();
    assert!((p / tail - 1.0).abs() < 0.01, "{p} {tail}");
    assert!(table(300, 300, 40_000, 10_000_000).fisher() < 1e-300);
}

fn binomial(n: u64, k: u64) -> f64 {
    (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product()
}

#[test]
fn wilsons_interval() {
    let (low, high) = wilson(5, 10).unwrap();
    near(low, 0.236_593_090_512_564_3);
    near(high, 0.763_406_909_487_435_7);
    let (low, high) = wilson(0, 10).unwrap();
    assert_eq!(low, 0.0);
    near(high, 0.277_532_799_862_889_1);
    assert_eq!(wilson(10, 10).unwrap().1, 1.0);
    assert_eq!(wilson(0, 0), None);
}

/// Against R's `p.adjust(p, "BH")`.
#[test]
fn false_discoveries() {
    let adjusted = false_discovery(&[0.05, 0.005, 0.5, 0.009]);
    for (found, wanted) in adjusted.iter().zip([0.2 / 3.0, 0.018, 0.5, 0.018]) {
        near(*found, wanted);
    }
    for found in false_discovery(&[0.01, 0.02, 0.03, 0.04, 0.05]) {
        near(found, 0.05);
    }
    assert_eq!(false_discovery(&[]), Vec::<f64>::new());
    assert_eq!(false_discovery(&[1.0, 1.0]), vec![1.0, 1.0]);
}

#[test]
fn smoothed() {
    near(smoothed_log_odds(3, 10, 20, 100), ((4.0f64 / 8.0) / (21.0 / 81.0)).ln());
    assert_eq!(smoothed_log_odds(0, 0, 0, 0), 0.0);
    assert!(smoothed_log_odds(0, 10, 10, 10).is_finite());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 64 } else { 512 }))]

    /// Fisher's test against the sum over all tables by binomial coefficients.
    #[test]
    fn fisher_is_the_sum_over_tables(n in 1u64..40, m in 1u64..40, share in 0.0f64..1.0, having in 0.0f64..1.0) {
        let k = ((n + m) as f64 * having) as u64;
        let (low, high) = (k.saturating_sub(m), k.min(n));
        let a = low + ((high - low) as f64 * share).round() as u64;
        let probability = |x: u64| binomial(n, x) * binomial(m, k - x) / binomial(n + m, k);
        let limit = probability(a) * (1.0 + 1e-7);
        let wanted: f64 = (low..=high).map(probability).filter(|p| *p <= limit).sum();
        let found = table(a, n, k - a, m).fisher();
        prop_assert!((found - wanted).abs() < 1e-9, "{} {}", found, wanted);
    }

    /// An adjusted p is the least over all tests from it on, each times the tests over its rank.
    #[test]
    fn adjusted_p(p in vec(0.0f64..1.0, 0..40)) {
        let found = false_discovery(&p);
        for (i, found) in found.iter().enumerate() {
            let rank = |q: f64| p.iter().filter(|other| **other <= q).count() as f64;
            let from = p.iter().filter(|other| **other >= p[i]);
            let wanted = from.map(|q| q * p.len() as f64 / rank(*q)).fold(1.0, f64::min);
            prop_assert!((found - wanted).abs() < 1e-12);
        }
    }

    /// Quantiles of many chunks against sorting.
    #[test]
    fn cuts_of_chunks(shards in vec((cells(), proptest::option::of(offsets())), 0..3), fractions in vec(0.0f64..=1.0, 0..12)) {
        let bytes: Vec<(Vec<u8>, Option<Vec<u8>>)> = shards.iter()
            .map(|(cells, members)| (number_bytes(cells), members.as_ref().map(|set| set_bytes(set, true)))).collect();
        let opened: Vec<_> = bytes.iter()
            .map(|(number, members)| (NumberChunk::open(number).unwrap(), members.as_ref().map(Bytes::from))).collect();
        let mut all: Vec<i64> = shards.iter()
            .flat_map(|(cells, members)| cells.iter().filter(|(offset, _)| members.as_ref().is_none_or(|m| m.contains(offset))).map(|(_, (_, v))| *v))
            .collect();
        all.sort_unstable();
        let wanted: Vec<i64> = if all.is_empty() { Vec::new() } else {
            fractions.iter().map(|f| all[((f * all.len() as f64).ceil() as usize).clamp(1, all.len()) - 1]).collect()
        };
        prop_assert_eq!(cuts(&opened, &fractions).unwrap(), wanted);
    }

    /// A part of a set is held out by the number of the profile alone.
    #[test]
    fn parts(members in offsets(), shard in 0u32..5000) {
        let bytes = set_bytes(&members, true);
        let (rest, held) = holdout(shard, Bytes::from(&bytes)).unwrap();
        let read = |part: &Option<Vec<u8>>| -> BTreeSet<u32> {
            part.iter().flat_map(|bytes| Portable::open_shard(bytes).unwrap().decoded().unwrap()).collect()
        };
        let (rest, held) = (read(&rest), read(&held));
        prop_assert!(rest.is_disjoint(&held));
        prop_assert_eq!(&rest | &held, members.clone());
        for offset in members {
            let product = u128::from(u64::from(shard) << 20 | u64::from(offset)) * 11_400_714_819_323_198_485;
            prop_assert_eq!(held.contains(&offset), (product % (1 << 64)) < u128::from(HELD_OUT_BELOW));
        }
    }

    /// Scores against adding up weights profile by profile.
    #[test]
    fn scores(shards in vec((offsets(), any::<u64>()), 1..3), texts in vec(vec(-400i32..400, 1..20), 0..4),
              ranges in vec(-300i32..300, 0..5), size in 0u64..3000, part in 0u64..5) {
        let (mut truth, mut labels): (Vec<(i64, u64)>, BTreeSet<u64>) = (Vec::new(), BTreeSet::new());
        let weights: Vec<Weights> = texts.iter().chain([&ranges]).map(|weights| Weights::new(weights)).collect();
        let bounds: Vec<(i64, i64)> = (0..ranges.len() as i64).map(|i| (i * 20 - 30, i * 20 - 15)).collect();
        let (mut scores, mut positives) = (Scores::default(), Vec::new());
        for (shard, (candidates, seed)) in shards.iter().enumerate() {
            let mut rng = Rng(*seed);
            let mut total: BTreeMap<u32, i64> = candidates.iter().map(|offset| (*offset, 0)).collect();
            // Some profiles that are no candidates have values too.
            let people: BTreeSet<u32> = candidates.iter().copied().chain((0..50).map(|_| (rng.next() % (1 << 20)) as u32)).collect();
            let mut sets = Vec::new();
            for weights in &texts {
                let mut by_value: BTreeMap<usize, BTreeSet<u32>> = BTreeMap::new();
                for offset in &people {
                    let value = (rng.next() % (weights.len() as u64 + 1)) as usize;
                    if let Some(weight) = weights.get(value) {
                        by_value.entry(value).or_default().insert(*offset);
                        if let Some(total) = total.get_mut(offset) { *total += i64::from(*weight) }
                    }
                }
                sets.push(by_value.into_iter().map(|(value, set)| (value, set_bytes(&set, true))).collect::<Vec<_>>());
            }
            let mut numbers = Cells::new();
            for offset in &people {
                if rng.next().is_multiple_of(3) {
                    continue;
                }
                let v = (rng.next() % 150) as i64 - 40;
                numbers.insert(*offset, (1, v));
                let weight = bounds.iter().position(|(low, high)| (*low..=*high).contains(&v)).map_or(0, |i| ranges[i]);
                if let Some(total) = total.get_mut(offset) { *total += i64::from(weight) }
            }
            let number = (!numbers.is_empty()).then(|| encode(as_cells(&numbers)).unwrap());
            let mut attributes: Vec<(&Weights, Values<'_>)> = weights.iter().zip(&sets)
                .map(|(weights, sets)| (weights, Values::Sets(sets.iter().map(|(value, set)| (*value, Bytes::from(set))).collect()))).collect();
            attributes.push((weights.last().unwrap(), Values::Ranges(number.as_ref().map(Bytes::from), bounds.clone())));
            scores.add_shard(shard as u32, Bytes::from(&set_bytes(candidates, true)), &attributes).unwrap();
            let positive: BTreeSet<u32> = candidates.iter().copied().filter(|_| rng.next() % 5 < part).collect();
            labels.extend(positive.iter().map(|offset| (shard as u64) << 20 | u64::from(*offset)));
            positives.push((shard as u32, set_bytes(&positive, true)));
            truth.extend(total.into_iter().map(|(offset, total)| (total, (shard as u64) << 20 | u64::from(offset))));
        }
        prop_assert_eq!(scores.candidates(), truth.len() as u64);

        // The curve: won pairs by rank, computed from sorted scores.
        let mut sorted = truth.clone();
        sorted.sort_unstable();
        let (mut won, mut negatives, mut at) = (0.0, 0u64, 0);
        while at < sorted.len() {
            let end = at + sorted[at..].iter().take_while(|(score, _)| *score == sorted[at].0).count();
            let positive = sorted[at..end].iter().filter(|(_, id)| labels.contains(id)).count() as u64;
            let negative = (end - at) as u64 - positive;
            won += positive as f64 * (negatives as f64 + negative as f64 / 2.0);
            negatives += negative;
            at = end;
        }
        let pairs = negatives as f64 * labels.len() as f64;
        let positives: Vec<(u32, Bytes<'_>)> = positives.iter().map(|(shard, set)| (*shard, Bytes::from(set))).collect();
        let auc = scores.auc(&weights.iter().collect::<Vec<_>>(), &positives).unwrap();
        prop_assert_eq!(auc.is_some(), pairs > 0.0);
        if let Some(auc) = auc { prop_assert!((auc - won / pairs).abs() < 1e-12, "{} {}", auc, won / pairs) }

        // The best, ties by profile.
        truth.sort_unstable_by_key(|(score, id)| (-score, *id));
        let wanted: BTreeSet<u64> = truth.iter().take(size as usize).map(|(_, id)| *id).collect();
        let found: BTreeSet<u64> = scores.top(size).into_iter()
            .flat_map(|(shard, set)| Portable::open_shard(&set).unwrap().decoded().unwrap().into_iter().map(move |offset| u64::from(shard) << 20 | u64::from(offset)).collect::<Vec<_>>())
            .collect();
        prop_assert_eq!(found, wanted);
    }
}
