//! Set operations on ten million people: our walk over stored bytes beside `roaring` and `croaring`.
//!
//! ```sh
//! cargo run --release --example kernels -p pg_cdp_core
//! ```
//!
//! Every column answers the same question about the same ten shards of 2^20 offsets, and the answers are compared. The data
//! come from a generator with a fixed seed. A figure is the least of [`ROUNDS`] rounds, in microseconds for all ten
//! shards; other work on the machine makes single rounds longer, never shorter.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a measurement that goes wrong should stop")]

use croaring::{Bitmap, BitmapView};
use pg_cdp_core::bitmap::{SHARD_BLOCKS, SHARD_WIDTH};
use pg_cdp_core::cells::Encoding;
use pg_cdp_core::program::{Node, Program, count, evaluate};
use roaring::RoaringBitmap;
use std::hint::black_box;
use std::time::Instant;

const SHARDS: usize = 10;
const ROUNDS: usize = 25;

/// splitmix64
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// One set over all shards, in every form that is measured. Index: shard.
struct Set {
    bytes: Vec<Vec<u8>>,
    rust: Vec<RoaringBitmap>,
    c: Vec<Bitmap>,
}

impl Set {
    fn new(shards: impl Iterator<Item = RoaringBitmap>) -> Self {
        let (mut bytes, mut rust, mut c) = (Vec::new(), Vec::new(), Vec::new());
        for mut shard in shards {
            shard.optimize();
            let mut serialised = Vec::new();
            shard.serialize_into(&mut serialised).unwrap();
            c.push(Bitmap::try_deserialize::<croaring::Portable>(&serialised).unwrap());
            bytes.push(serialised);
            rust.push(shard);
        }
        Self { bytes, rust, c }
    }

    /// Each person with a chance of `per_100000`.
    fn random(seed: u64, per_100000: u64) -> Self {
        let mut rng = Rng(seed);
        let mut shard = || (0..SHARD_WIDTH).filter(|_| rng.next() % 100_000 < per_100000).collect();
        Self::new((0..SHARDS).map(|_| shard()))
    }

    /// Runs of 1 to 1000 members with gaps of 1 to 1000: people in the order in which they registered.
    fn runs(seed: u64) -> Self {
        let mut rng = Rng(seed);
        let mut shard = || {
            let mut set = RoaringBitmap::new();
            let mut at = 0;
            while at < SHARD_WIDTH {
                let end = (at + 1 + (rng.next() % 1000) as u32).min(SHARD_WIDTH);
                set.insert_range(at..end);
                at = end + 1 + (rng.next() % 1000) as u32;
            }
            set
        };
        Self::new((0..SHARDS).map(|_| shard()))
    }

    /// A view of the bytes of a shard.
    fn view(&self, shard: usize) -> BitmapView<'_> {
        // SAFETY: the bytes are portable bytes that `new` has written, whole and unchanged, and they outlive the view.
        unsafe { BitmapView::deserialize::<croaring::Portable>(&self.bytes[shard]) }
    }

    fn decoded(&self, shard: usize) -> RoaringBitmap {
        RoaringBitmap::deserialize_from(&self.bytes[shard][..]).unwrap()
    }
}

/// The least time of some rounds, and what `work` gave.
fn timed(mut work: impl FnMut() -> u64) -> (f64, u64) {
    let answer = work();
    let least = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(black_box(work()), answer);
            start.elapsed().as_secs_f64() * 1e6
        })
        .fold(f64::INFINITY, f64::min);
    (least, answer)
}

/// Prints a row; the answers of the columns must be one.
fn row(name: &str, columns: [(f64, u64); 5]) {
    print!("| {name} |");
    for (time, answer) in columns {
        assert_eq!(answer, columns[0].1, "{name}");
        print!(" {time:.0} |");
    }
    println!();
}

fn each(mut work: impl FnMut(usize) -> u64) -> (f64, u64) {
    timed(|| (0..SHARDS).map(&mut work).sum())
}

/// The program over one chunk a slot.
fn ours(root: Node, sets: &[&Set], count_only: bool) -> (f64, u64) {
    let program = Program { slots: vec![Encoding::Set; sets.len()], root };
    each(|shard| {
        let chunks: Vec<Vec<&[u8]>> = sets.iter().map(|set| vec![set.bytes[shard].as_slice()]).collect();
        if count_only { count(&program, &chunks).unwrap() } else { evaluate(&program, &chunks).unwrap().len() }
    })
}

fn pair(name: &str, a: &Set, b: &Set) {
    let (left, right) = (|| Node::Present(0), || Node::Present(1));
    row(
        &format!("{name}: and"),
        [
            ours(Node::And(vec![left(), right()]), &[a, b], true),
            each(|s| a.rust[s].intersection_len(&b.rust[s])),
            each(|s| a.decoded(s).intersection_len(&b.decoded(s))),
            each(|s| a.c[s].and_cardinality(&b.c[s])),
            each(|s| a.view(s).and_cardinality(&b.view(s))),
        ],
    );
    row(
        &format!("{name}: or"),
        [
            ours(Node::Or(vec![left(), right()]), &[a, b], true),
            each(|s| a.rust[s].union_len(&b.rust[s])),
            each(|s| a.decoded(s).union_len(&b.decoded(s))),
            each(|s| a.c[s].or_cardinality(&b.c[s])),
            each(|s| a.view(s).or_cardinality(&b.view(s))),
        ],
    );
    row(
        &format!("{name}: and not"),
        [
            ours(Node::AndNot(Box::new(left()), Box::new(right())), &[a, b], true),
            each(|s| a.rust[s].difference_len(&b.rust[s])),
            each(|s| a.decoded(s).difference_len(&b.decoded(s))),
            each(|s| a.c[s].andnot_cardinality(&b.c[s])),
            each(|s| a.view(s).andnot_cardinality(&b.view(s))),
        ],
    );
    row(
        &format!("{name}: and, members kept"),
        [
            ours(Node::And(vec![left(), right()]), &[a, b], false),
            each(|s| (&a.rust[s] & &b.rust[s]).len()),
            each(|s| (a.decoded(s) & b.decoded(s)).len()),
            each(|s| a.c[s].and(&b.c[s]).cardinality()),
            each(|s| a.view(s).and(&b.view(s)).cardinality()),
        ],
    );
}

/// `gender AND (rfm OR flag) AND tier AND NOT gone`.
fn five_way() {
    let sets = [49_000, 9_000, 25_000, 15_000, 45_000].map(|share| Set::random(share + 7, share));
    let [gender, rfm, flag, tier, gone] = &sets;
    let root = Node::AndNot(
        Box::new(Node::And(vec![
            Node::Present(0),
            Node::Or(vec![Node::Present(1), Node::Present(2)]),
            Node::Present(3),
        ])),
        Box::new(Node::Present(4)),
    );
    let rust = |g: &RoaringBitmap, r: &RoaringBitmap, f: &RoaringBitmap, t: &RoaringBitmap, x: &RoaringBitmap| {
        let mut all = r | f;
        all &= g;
        all &= t;
        all.difference_len(x)
    };
    let c = |g: &Bitmap, r: &Bitmap, f: &Bitmap, t: &Bitmap, x: &Bitmap| {
        let mut all = r.or(f);
        all.and_inplace(g);
        all.and_inplace(t);
        all.andnot_cardinality(x)
    };
    row(
        "five sets: a and (b or c) and d and not e",
        [
            ours(root, &[gender, rfm, flag, tier, gone], true),
            each(|s| rust(&gender.rust[s], &rfm.rust[s], &flag.rust[s], &tier.rust[s], &gone.rust[s])),
            each(|s| rust(&gender.decoded(s), &rfm.decoded(s), &flag.decoded(s), &tier.decoded(s), &gone.decoded(s))),
            each(|s| c(&gender.c[s], &rfm.c[s], &flag.c[s], &tier.c[s], &gone.c[s])),
            each(|s| c(&gender.view(s), &rfm.view(s), &flag.view(s), &tier.view(s), &gone.view(s))),
        ],
    );
}

/// The union of thirty sets of 0.01 to 7 %.
fn thirty() {
    let shares = [10, 30, 100, 200, 500, 1000, 2000, 3000, 5000, 7000];
    let sets: Vec<Set> = (0..30).map(|i| Set::random(900 + i, shares[i as usize % 10])).collect();
    let all: Vec<&Set> = sets.iter().collect();
    let rust = |sets: Vec<RoaringBitmap>| roaring::MultiOps::union(sets).len();
    row(
        "or of thirty sets",
        [
            ours(Node::Or((0..30).map(Node::Present).collect()), &all, true),
            each(|s| roaring::MultiOps::union(sets.iter().map(|set| &set.rust[s])).len()),
            each(|s| rust(sets.iter().map(|set| set.decoded(s)).collect())),
            each(|s| Bitmap::fast_or(&sets.iter().map(|set| &set.c[s]).collect::<Vec<_>>()).cardinality()),
            each(|s| {
                let views: Vec<BitmapView> = sets.iter().map(|set| set.view(s)).collect();
                Bitmap::fast_or(&views.iter().map(|view| &**view).collect::<Vec<&Bitmap>>()).cardinality()
            }),
        ],
    );
}

fn main() {
    println!("{SHARDS} shards of {SHARD_BLOCKS} blocks; microseconds, least of {ROUNDS} rounds\n");
    println!("| question | program over bytes | roaring | roaring from bytes | croaring | croaring view of bytes |");
    println!("|---|---|---|---|---|---|");
    let (dense, denser) = (Set::random(1, 55_000), Set::random(2, 60_000));
    let (array, other, sparse) = (Set::random(3, 5_000), Set::random(4, 5_000), Set::random(5, 100));
    let (runs, more_runs) = (Set::runs(6), Set::runs(7));
    pair("dense 55 % × dense 60 %", &dense, &denser);
    pair("dense 55 % × array 5 %", &dense, &array);
    pair("array 5 % × array 5 %", &array, &other);
    pair("array 5 % × sparse 0.1 %", &array, &sparse);
    pair("runs × runs", &runs, &more_runs);
    pair("runs × dense 55 %", &runs, &dense);
    pair("runs × array 5 %", &runs, &array);
    five_way();
    thirty();
}
