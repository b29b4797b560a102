//! Mutants: which bytes each side reads.
//!
//! croaring passes over three things that our gate checks: the starts of containers (it reads them one after the other), the
//! announced cardinality of containers of runs (it counts), and what follows the set. [`repaired`] puts these right, and then
//! ours reads the mutant too. Readers that go by the starts, as ours do, would see other members than croaring if these could lie.

use crate::common::mutants;
use crate::common::shapes::Rng;
use croaring::{Bitmap, Bitmap64, Portable as Format};
use pg_cdp_core::bitmap_treemap::{Invalid, MAX_VALUE, Members, canonical};

/// Random mutants of each format.
const RANDOM: usize = 6000;

fn u16_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

/// A 64-bit set that croaring reads, with the starts and the cardinalities of runs as they should be, and nothing behind it.
fn repaired(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let buckets = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    let end = (0..buckets).fold(8, |at, _| repair_bucket(&mut bytes, at + 4));
    bytes.truncate(end);
    bytes
}

/// The same for the 32-bit set at `start`; where it ends.
fn repair_bucket(bytes: &mut [u8], start: usize) -> usize {
    let runs = u16_at(bytes, start) == 12347;
    let (containers, heads) = if runs {
        let containers = u16_at(bytes, start + 2) + 1;
        (containers, start + 4 + containers.div_ceil(8))
    } else {
        (u16_at(bytes, start + 4) | u16_at(bytes, start + 6) << 16, start + 8)
    };
    let starts = heads + 4 * containers;
    let has_starts = !runs || containers >= 4;
    let mut at = if has_starts { starts + 4 * containers } else { starts };
    for i in 0..containers {
        if has_starts {
            bytes[starts + 4 * i..][..4].copy_from_slice(&((at - start) as u32).to_le_bytes());
        }
        let head = heads + 4 * i + 2;
        if runs && bytes[start + 4 + i / 8] >> (i % 8) & 1 == 1 {
            let count = u16_at(bytes, at);
            let members: usize = (0..count).map(|run| u16_at(bytes, at + 4 + 4 * run) + 1).sum();
            bytes[head..head + 2].copy_from_slice(&((members - 1) as u16).to_le_bytes());
            at += 2 + 4 * count;
        } else {
            let members = u16_at(bytes, head) + 1;
            at += if members <= 4096 { 2 * members } else { 8192 };
        }
    }
    at
}

fn all_mutants(values: Vec<Vec<u8>>) -> impl Iterator<Item = Vec<u8>> {
    let mut rng = Rng(mutants::seed());
    let mut all: Vec<Vec<u8>> = values.clone();
    for value in &values {
        all.extend(mutants::truncations(value).filter(|mutant| mutant.len() < 600));
        all.extend(mutants::flips(value, 64));
        all.push([value.as_slice(), &[0]].concat());
    }
    all.extend((0..RANDOM).map(|_| mutants::mutant(&values, &mut rng)));
    all.into_iter()
}

/// Compares the gate with what croaring reads, on 64-bit bytes.
fn compare(format: &str, mutants: impl Iterator<Item = (Vec<u8>, Option<Vec<u64>>)>) {
    let (mut both, mut neither, mut repairable, mut too_large) = (0, 0, 0, 0);
    println!("PG_CDP_MUTANT_SEED={}", mutants::seed());
    for (mutant, theirs) in mutants {
        let read = |bytes: &[u8]| {
            let mut walk = Members::new();
            canonical(bytes).map(|kept| std::iter::from_fn(|| walk.next(&kept).unwrap()).collect::<Vec<u64>>())
        };
        match (read(&mutant), theirs) {
            (Ok(ours), Some(theirs)) => {
                both += 1;
                assert!(ours == theirs, "{} and {} members of {mutant:02x?}", ours.len(), theirs.len());
            }
            (Ok(_), None) => panic!("only ours reads {mutant:02x?}"),
            (Err(_), None) => neither += 1,
            (Err(_), Some(theirs)) => match read(&repaired(&mutant)) {
                Ok(ours) => {
                    repairable += 1;
                    assert!(ours == theirs, "{} and {} members of repaired {mutant:02x?}", ours.len(), theirs.len());
                }
                Err(Invalid::TooLarge(_)) => {
                    too_large += 1;
                    assert!(theirs.last().is_some_and(|max| *max > MAX_VALUE));
                }
                Err(Invalid::Damaged(damage)) => panic!("croaring reads, we say {damage}: {mutant:02x?}"),
            },
        }
    }
    println!("{format}: {both} read by both, {neither} by neither; by croaring alone {repairable} with wrong");
    println!("  starts, cardinalities of runs or bytes behind the set, and {too_large} with values above 2^63 - 1");
    assert!(both > 100 && neither > 1000 && repairable > 100, "mutants of every kind");
}

#[test]
fn of_64_bit_sets_we_read_what_croaring_reads_but_for_what_it_passes_over() {
    let mutants = all_mutants(mutants::treemaps());
    compare(
        "64-bit set",
        mutants.map(|mutant| {
            let theirs = Bitmap64::try_deserialize::<Format>(&mutant).map(|set| set.to_vec());
            (mutant, theirs)
        }),
    );
}

/// 32-bit bytes go through the gate as the only bucket of a 64-bit set.
#[test]
fn of_32_bit_sets_we_read_what_croaring_reads_but_for_what_it_passes_over() {
    let mutants = all_mutants(mutants::set_chunks());
    compare(
        "32-bit set",
        mutants.map(|mutant| {
            let theirs = Bitmap::try_deserialize::<Format>(&mutant);
            let members = theirs.map(|set| set.iter().map(u64::from).collect());
            ([&1u64.to_le_bytes()[..], &[0; 4], &mutant].concat(), members)
        }),
    );
}
