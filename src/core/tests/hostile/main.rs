//! Bytes that somebody made up or a disk damaged, in the formats that come from outside or from a table.
//!
//! Each mutant must be refused, or be a value whose every answer agrees with its members ([`common::checks`]); in bounded time
//! and memory, and never with a panic. `PG_CDP_MUTANT_SEED` chooses other random mutants; a failure names the mutant.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects by failing")]

#[path = "../common/mod.rs"]
mod common;

use common::shapes::Rng;
use common::{checks, mutants};
use peak_alloc::PeakAlloc;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// All formats together at least; the issue of hostile bytes is settled by numbers.
const MUTANTS: usize = 20_000;
/// Random mutants of each format, besides every truncation and every flipped bit of the headers.
const RANDOM: usize = 4000;
/// Bytes from the start whose every bit is flipped.
const HEADERS: usize = 48;
/// The most memory the mutants of all formats may take together, in megabytes. A length of 32 or 64 bits that was believed
/// would take gigabytes.
const MEGABYTES: f32 = 64.0;
/// The longest that one mutant may take; the machine may be busy, so this is a hundred times what is usual.
const LONGEST: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Tally {
    mutants: usize,
    sound: usize,
    slowest: Duration,
}

/// Runs `check` over the mutants of `values`, which are sound themselves.
fn attack(format: &str, values: &[Vec<u8>], seed: u64, check: impl Fn(&[u8]) -> bool) -> Tally {
    let mut tally = Tally::default();
    for value in values {
        assert!(check(value), "{format}: a value is sound before it is changed");
    }
    let mut attempt = |how: &str, mutant: Vec<u8>| {
        let start = Instant::now();
        let sound = catch_unwind(AssertUnwindSafe(|| check(&mutant))).unwrap_or_else(|panic| {
            let shown = &mutant[..mutant.len().min(256)];
            eprintln!("{format}, mutant {} ({how}), seed {seed}, {} bytes: {shown:02x?}", tally.mutants, mutant.len());
            resume_unwind(panic);
        });
        tally.mutants += 1;
        tally.sound += usize::from(sound);
        tally.slowest = tally.slowest.max(start.elapsed());
    };
    for value in values {
        mutants::truncations(value).for_each(|mutant| attempt("truncated", mutant));
        mutants::flips(value, HEADERS).for_each(|mutant| attempt("bit flipped", mutant));
        let mut longer = value.clone();
        longer.push(0);
        attempt("byte appended", longer);
    }
    let mut rng = Rng(seed);
    for _ in 0..RANDOM {
        attempt("random", mutants::mutant(values, &mut rng));
    }
    println!("{format}: {} mutants, {} taken for sound, slowest {:?}", tally.mutants, tally.sound, tally.slowest);
    tally
}

/// 65,535 runs over the whole container each: if they were believed, a walk would hold 2^32 members.
fn overlapping_runs() -> Vec<u8> {
    let mut bytes = 1u64.to_le_bytes().to_vec();
    bytes.extend([0, 0, 0, 0, 59, 48, 0, 0, 1, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF]);
    bytes.extend([0, 0, 0xFF, 0xFF].repeat(65_535));
    bytes
}

/// Random mutants of fields of codes, the forms without a list.
fn codes_fields(seed: u64) {
    let fields = mutants::codes_fields();
    assert!(fields.iter().all(|field| checks::codes_chunk(field)));
    let mut rng = Rng(seed);
    for _ in 0..150 {
        checks::codes_chunk(&mutants::mutant(&fields, &mut rng));
    }
}

#[test]
fn mutants_are_refused_or_sound() {
    let seed = mutants::seed();
    println!("PG_CDP_MUTANT_SEED={seed}");
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage_as_mb();
    assert!(!checks::treemap(&overlapping_runs()));
    assert!(!checks::set_chunk(&overlapping_runs()[12..]));
    let formats = std::thread::scope(|scope| {
        let others = scope.spawn(|| {
            let treemap = attack("64-bit set", &mutants::treemaps(), seed, checks::treemap);
            let bsi = attack("bit-sliced index", &mutants::bsis(), seed, checks::bsi);
            [treemap, bsi, attack("delta", &mutants::deltas(), seed, checks::delta)]
        });
        let set = attack("set chunk", &mutants::set_chunks(), seed, checks::set_chunk);
        let number = attack("number chunk", &mutants::number_chunks(), seed, checks::number_chunk);
        let codes = attack("codes chunk", &mutants::codes_chunks(), seed, checks::codes_chunk);
        let [treemap, bsi, delta] = others.join().unwrap_or_else(|panic| resume_unwind(panic));
        [treemap, bsi, set, number, codes, delta]
    });
    codes_fields(seed);
    let peak = MEMORY.peak_usage_as_mb() - before;
    let total: usize = formats.iter().map(|tally| tally.mutants).sum();
    println!("{total} mutants, {peak:.1} MB at most");
    assert!(total >= MUTANTS, "{total} mutants are too few");
    // A test of nothing but refusals would not see a wrong cardinality.
    assert!(formats.iter().all(|tally| tally.sound > 50), "too few mutants were taken for sound");
    assert!(peak < MEGABYTES, "{peak} MB");
    assert!(formats.iter().all(|tally| tally.slowest < LONGEST));
}
