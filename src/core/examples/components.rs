//! How long connected components take when the edges lie in memory: the floor that `make bench SUITE=identity` compares with.
//!
//! ```sh
//! cargo run --release --example components -p pg_cdp_core -- EDGES LABELS NODES
//! ```
//!
//! EDGES holds pairs of 32-bit little-endian numbers from 1 to NODES; LABELS gets the smallest number of the component of each of 1 to NODES.
//! Prints the seconds and the peak memory in MB of a union-find over numbers that are dense already, then the seconds of
//! [`Edges`], which has to find that out by itself, on the same numbers and on scattered ones.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a measurement that goes wrong should stop")]

use pg_cdp_core::graph::{Edges, UnionFind};
use std::time::Instant;

fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().map_or(f64::NAN, |kb| kb / 1024.0)
}

fn main() {
    let [edges, labels, nodes] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().expect("give EDGES LABELS NODES");
    let bytes = std::fs::read(edges).unwrap();
    let edges: &[[u32; 2]] = bytemuck::cast_slice(&bytes);
    let nodes: u32 = nodes.parse().unwrap();

    let begin = Instant::now();
    let mut sets = UnionFind::new(nodes + 1);
    for &[a, b] in edges {
        sets.union(a, b);
    }
    let found: Vec<u32> = (1..=nodes).map(|x| sets.find(x)).collect();
    let seconds = begin.elapsed().as_secs_f64();
    let peak = peak();
    std::fs::write(labels, bytemuck::cast_slice(&found)).unwrap();

    let of = |id: fn(u32) -> i64| {
        let begin = Instant::now();
        let mut list = Edges::new();
        for &[a, b] in edges {
            list.tie(id(a), id(b), &mut || {}).unwrap();
        }
        let mut components = list.components(&mut || {}).unwrap();
        let right =
            components.all(|(node, component)| (node != id(1) || component == id(found[0])) && component <= node);
        assert!(right);
        begin.elapsed().as_secs_f64()
    };
    let (dense, scattered) = (of(i64::from), of(|x| i64::from(x) * 800_000_000_003));
    println!("{seconds:.3} {peak:.0} {dense:.3} {scattered:.3}");
}
