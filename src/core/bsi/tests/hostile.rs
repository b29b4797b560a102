//! Bytes that are not what they claim: an error or an index, never a panic and never counts that disagree with the
//! values. What is accepted is brought into the canonical form.

use super::*;

/// Indexes in every form: arrays, bitsets, runs, several buckets, no slice, all slices.
fn victims() -> Vec<Vec<u8>> {
    let mut rng = Rng(7);
    let dense: Map = (0..9000).map(|id| (id * 3, (rng.next() % 50) as i64 - 25)).collect();
    let runs: Map = (100..70_000).map(|id| (id, id as i64 / 1000)).collect();
    let far: Map = [0, 5, 1 << 32, (1 << 33) + 7, MAX_ID].into_iter().zip([-3, 900, 0, i64::MAX, i64::MIN]).collect();
    [dense, runs, far, Map::new(), (0..10).map(|id| (id, 4)).collect()].iter().map(encoded).collect()
}

/// Whether the bytes are accepted; if so, everything that can be asked of them agrees.
fn judge(bytes: &[u8]) -> bool {
    // Readers of stored values must survive anything.
    let _ = sum(bytes, None);
    let _ = top(bytes, 3, None);
    let _ = compare(bytes, Comparison::Range(-2, 7), None);
    let _ = quantile(bytes, |n| n / 2, None);
    let _ = get(bytes, 300);
    let _ = get_from(&mut &bytes[..], bytes.len(), 300);
    let Ok(accepted) = canonical(bytes) else { return false };
    let map = decoded(&accepted);
    assert!(encoded(&map) == accepted, "one string of bytes for one index");
    assert!(decoded(bytes) == map);
    let total = sum(bytes, None).unwrap();
    assert_eq!((total.count, total.sum), (map.len() as u64, map.values().map(|v| i128::from(*v)).sum()));
    assert_eq!(smallest(bytes, None).unwrap(), map.values().min().copied());
    assert_eq!(largest(bytes, None).unwrap(), map.values().max().copied());
    true
}

#[test]
fn every_truncation_is_refused() {
    for victim in victims() {
        assert!(judge(&victim));
        let step = (victim.len() / 400).max(1);
        for length in (0..victim.len()).filter(|length| *length < 400 || length % step == 0) {
            assert!(!judge(&victim[..length]), "cut to {length}");
        }
        let mut longer = victim.clone();
        longer.push(0);
        assert!(!judge(&longer));
    }
}

#[test]
fn flipped_headers_are_refused_or_sound() {
    for victim in victims() {
        for at in 0..victim.len().min(160) {
            for bit in 0..8 {
                let mut mutant = victim.clone();
                mutant[at] ^= 1 << bit;
                judge(&mutant);
            }
        }
    }
}

#[test]
fn random_edits_are_refused_or_sound() {
    let mut rng = Rng(20_261_124);
    let (mut accepted, mut refused) = (0, 0);
    for victim in victims() {
        // The big ones are slow to judge.
        for _ in 0..if victim.len() > 2000 { 300 } else { 4000 } {
            let mut mutant = victim.clone();
            for _ in 0..=rng.next() % 4 {
                let at = (rng.next() % mutant.len() as u64) as usize;
                match rng.next() % 4 {
                    0 => mutant[at] = rng.next() as u8,
                    1 => mutant[at] ^= 1 << (rng.next() % 8),
                    2 if mutant.len() > 1 => drop(mutant.remove(at)),
                    _ => mutant.insert(at, rng.next() as u8),
                }
            }
            if judge(&mutant) { accepted += 1 } else { refused += 1 }
        }
    }
    // Most edits are seen; an edit that makes another index cannot be.
    assert!(refused > 5000 && accepted > 0, "{refused} refused, {accepted} accepted");
}

/// A writer that knows no runs makes the same index in other containers: it is brought into our form.
#[test]
fn containers_of_another_form_are_brought_into_ours() {
    let map: Map = (0..100).map(|id| (id, 4)).collect();
    let ours = encoded(&map);
    let mut plain = Vec::new();
    RoaringTreemap::from_iter(0..100).serialize_into(&mut plain).unwrap();
    let mut theirs = ours[..28].to_vec();
    theirs.extend((plain.len() as u32).to_le_bytes());
    theirs.extend(&plain);
    assert!(theirs.len() > ours.len());
    assert!(canonical(&theirs).unwrap() == ours);
    assert_eq!(sum(&theirs, None).unwrap(), Sum { sum: 400, count: 100 });
}

/// Lies that the sets alone do not show.
#[test]
fn heads_that_lie_are_refused() {
    let bytes = encoded(&Map::from([(1, 10), (2, 13)]));
    let with = |at: usize, with: u8| {
        let mut mutant = bytes.clone();
        mutant[at] = with;
        canonical(&mutant)
    };
    assert_eq!(with(0, 2), Err(Error::Version(2)));
    assert!(matches!(with(1, 3), Err(Error::Head(1, _))));
    assert!(matches!(with(2, 1), Err(Error::Head(2, _))));
    assert!(matches!(with(4, 3), Err(Error::Head(4, _))));
    // 13 - 10 and 12 - 10 both need two bits, so only the values show that the largest is not 12.
    assert!(matches!(with(20, 12), Err(Error::Head(12, _))));
}
