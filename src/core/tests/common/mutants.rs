//! Values of each format, and what an adversary or a broken disk makes of them.

use super::shapes::{Rng, Shape, Wide, bitmap_bytes};
use pg_cdp_core::bitmap::SHARD_WIDTH;
use pg_cdp_core::bitmap_treemap::MAX_VALUE;
use pg_cdp_core::bsi::Build;
use pg_cdp_core::cells::{self, Cell, Encoding, NO_CODE, delta};

/// The seed of random mutants: `PG_CDP_MUTANT_SEED`, or always the same one.
pub fn seed() -> u64 {
    match std::env::var("PG_CDP_MUTANT_SEED") {
        Ok(seed) => seed.parse().expect("PG_CDP_MUTANT_SEED is a number"),
        Err(_) => 20_241_124,
    }
}

/// Every container form and header form of the portable format, most of them small, so that mutants meet the headers.
fn parts() -> Vec<Vec<(u16, Shape)>> {
    let few = |members: &[u16]| Shape::Few(members.to_vec());
    let runs = |runs: &[(u16, u16)]| Shape::Runs(runs.to_vec());
    vec![
        vec![(0, few(&[1, 5, 9]))],
        vec![(0, few(&[0])), (1, few(&[7, 8])), (15, few(&[65_535]))],
        // Runs without a header of starts, and with one.
        vec![(0, runs(&[(3, 90), (200, 0), (65_000, 535)])), (2, few(&[4]))],
        vec![
            (0, runs(&[(0, 300)])),
            (3, few(&[1, 2])),
            (4, runs(&[(7, 70), (90, 9)])),
            (5, Shape::Full),
            (9, few(&[6])),
        ],
        // Both sides of the border between arrays and bitsets.
        vec![(1, Shape::Exactly { count: 4096, from: 1, step: 15 })],
        vec![(2, Shape::Exactly { count: 4097, from: 2, step: 15 }), (3, few(&[3]))],
    ]
}

fn narrow(parts: &[(u16, Shape)]) -> std::collections::BTreeSet<u32> {
    super::shapes::Narrow(parts.to_vec(), true).members()
}

/// Portable 32-bit sets of one shard.
pub fn set_chunks() -> Vec<Vec<u8>> {
    let mut all = vec![bitmap_bytes(&Default::default(), false)];
    all.extend(parts().iter().flat_map(|parts| [true, false].map(|runs| bitmap_bytes(&narrow(parts), runs))));
    all.retain(|bytes| bytes.len() < 20_000);
    all.dedup();
    all
}

/// 64-bit sets of one to three buckets.
pub fn treemaps() -> Vec<Vec<u8>> {
    let mut all = vec![0u64.to_le_bytes().to_vec()];
    for parts in parts() {
        let keyed = |high: u64| parts.iter().map(move |(key, shape)| (high << 16 | u64::from(*key), shape.clone()));
        all.push(Wide(keyed(0).collect(), true).bytes());
    }
    let few = Shape::Few(vec![1, 2, 3]);
    let last = Shape::Runs(vec![(65_000, 535)]);
    let wide = vec![(0, few.clone()), (1 << 16, Shape::Runs(vec![(9, 900)])), (MAX_VALUE >> 16, last)];
    all.push(Wide(wide, true).bytes());
    // As some writers leave it: a bucket of nobody.
    let mut hollow = 2u64.to_le_bytes().to_vec();
    hollow.extend([1, 0, 0, 0, 58, 48, 0, 0, 0, 0, 0, 0]);
    hollow.extend([2, 0, 0, 0]);
    hollow.extend(bitmap_bytes(&[8, 70_000].into(), false));
    all.push(hollow);
    all
}

fn cells_of(offsets: impl Iterator<Item = u32>, v: impl Fn(u32) -> i64, n: impl Fn(u32) -> i64) -> Vec<Cell> {
    offsets.map(|offset| Cell { offset, n: n(offset), v: v(offset) }).collect()
}

/// Bit-sliced indexes: none, one, constant, signed, as wide as 64 bits go, ids in several buckets and up to the last.
pub fn bsis() -> Vec<Vec<u8>> {
    let one_in = |step: u64, count: u64, v: fn(u64) -> i64| (0..count).map(|i| (i * step, v(i))).collect::<Vec<_>>();
    let all = [
        vec![],
        vec![(5, -7)],
        one_in(3, 300, |_| 12),
        one_in(9_001, 60, |i| i as i64 * 31 - 700),
        vec![(0, i64::MIN), (70_000, -1), (1 << 33, 0), (MAX_VALUE, i64::MAX)],
        one_in(1, 700, |i| (i / 100) as i64),
    ];
    let bytes = |pairs: &Vec<(u64, i64)>| {
        let mut build = Build::new();
        pairs.iter().for_each(|(id, value)| build.insert(*id, *value).unwrap());
        build.finish().unwrap()
    };
    all.iter().map(bytes).collect()
}

/// Number chunks: constant, shallow, deep, negative, with counts and without.
pub fn number_chunks() -> Vec<Vec<u8>> {
    let one = |_: u32| 1;
    let chunks = [
        cells_of([3, 5].into_iter(), |o| i64::from(o) - 5, |o| i64::from(o) - 2),
        cells_of((0..40).map(|i| i * 26_001), |o| i64::from(o % 13) - 6, one),
        cells_of((100..400).chain(70_000..70_020), |o| i64::from(o) * 997, |o| 1 + i64::from(o % 5)),
        cells_of(
            (0..9).map(|i| i << 16),
            |o| if o == 0 { i64::MIN } else { i64::MAX - i64::from(o) },
            |o| {
                if o == 65_536 { i64::MAX } else { 1 }
            },
        ),
        cells_of(65_536..131_072, |_| 7, one),
        cells_of((0..600).map(|i| i * 3), |o| i64::from(o & 3), one),
    ];
    chunks.into_iter().map(|cells| cells::encode(cells).unwrap()).collect()
}

/// Codes chunks: lists, ranks that a byte holds and that it does not, blocks that take no room, a code that has gone.
pub fn codes_chunks() -> Vec<Vec<u8>> {
    let chunk = |offsets: &mut dyn Iterator<Item = u32>, code: fn(u32) -> u16| {
        let mut places = vec![NO_CODE; SHARD_WIDTH as usize];
        offsets.for_each(|offset| places[offset as usize] = code(offset));
        cells::encode_codes(&places).unwrap().unwrap()
    };
    let gone = delta::encode([Cell { offset: 700, n: -1, v: -1 }]).unwrap();
    let ones = chunk(&mut [700, 70_000].into_iter(), |o| if o == 700 { 1 } else { 2 });
    vec![
        cells::fold(Encoding::Codes, Some(&ones), [gone.as_slice()]).unwrap().unwrap(),
        chunk(&mut [3, 5, 9].into_iter(), |_| 3),
        chunk(&mut (0..60).map(|i| i * 17_001), |o| (o % 13) as u16),
        chunk(&mut (0..300).map(|i| i * 300), |o| 250 + (o % 77_700 / 300) as u16),
        chunk(&mut (65_530..65_600).chain([1_048_575]), |o| if o & 1 == 0 { 65_534 } else { 0 }),
    ]
}

/// Fields: without rare ranks, with some, and with so many that ranks take two bytes. They take 2^16 bytes and more: too large for every truncation.
pub fn codes_fields() -> Vec<Vec<u8>> {
    let field = |kinds: u32| {
        let places: Vec<u16> = (0..1 << 16).map(|o| if o % 3 == 0 { NO_CODE } else { (o % kinds) as u16 }).collect();
        cells::encode_codes(&places).unwrap().unwrap()
    };
    [50, 257, 499].map(field).to_vec()
}

/// Deltas: near and far offsets, small and large changes.
pub fn deltas() -> Vec<Vec<u8>> {
    let changes = [
        vec![],
        vec![Cell { offset: 300, n: -1, v: 70 }, Cell { offset: 2, n: 1, v: 0 }],
        cells_of((0..30).map(|i| i * 34_000), |o| 1 - i64::from(o), |o| i64::from(o % 3) - 1),
        cells_of((0..4).chain(1_048_570..1_048_576), |_| i64::MIN, |_| i64::MAX),
        cells_of(500..600, |o| i64::from(o) << 20, |_| 1),
    ];
    changes.into_iter().map(|cells| delta::encode(cells).unwrap()).collect()
}

/// Every prefix of `value`.
pub fn truncations(value: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..value.len()).map(|len| value[..len].to_vec())
}

/// `value` with each single bit of its first `bytes` bytes flipped.
pub fn flips(value: &[u8], bytes: usize) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..8 * bytes.min(value.len())).map(|bit| {
        let mut mutant = value.to_vec();
        mutant[bit / 8] ^= 1 << (bit % 8);
        mutant
    })
}

/// One random change of one of `values`.
pub fn mutant(values: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut mutant = values[rng.below(values.len())].clone();
    match rng.below(6) {
        // Bytes set anywhere, in the headers more often than not.
        0 | 1 => {
            for _ in 0..1 + rng.below(4) {
                let window = if rng.below(3) > 0 { mutant.len().min(64) } else { mutant.len() };
                if window > 0 {
                    mutant[rng.below(window)] = rng.next() as u8;
                }
            }
        }
        // A field made extreme, or moved by one: counts, offsets, lengths.
        2 | 3 => {
            let width = [1, 2, 4, 8][rng.below(4)];
            let window = if rng.below(4) > 0 { mutant.len().min(96) } else { mutant.len() };
            if window >= width {
                let at = rng.below(window - width + 1);
                let field = &mut mutant[at..at + width];
                match rng.below(4) {
                    0 => field.fill(0xFF),
                    1 => field.fill(0),
                    2 => field[0] = field[0].wrapping_add(1),
                    _ => field[width - 1] ^= 0x80,
                }
            }
        }
        // The head of one value on the tail of another.
        4 => {
            let other = &values[rng.below(values.len())];
            let (head, tail) = (rng.below(mutant.len() + 1), rng.below(other.len() + 1));
            mutant.truncate(head);
            mutant.extend_from_slice(&other[tail..]);
        }
        // A piece taken out, or put in twice.
        _ => {
            let from = rng.below(mutant.len() + 1);
            let to = (from + 1 + rng.below(12)).min(mutant.len());
            if rng.below(2) == 0 {
                mutant.drain(from..to);
            } else {
                let piece = mutant[from..to].to_vec();
                mutant.splice(from..from, piece);
            }
        }
    }
    mutant
}
