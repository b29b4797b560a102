#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

//! Chunks that are read by ranges answer as chunks in memory do, and what is not needed is not read.

use super::*;
use crate::bitmap::{Bytes, Source};
use crate::error::StoreError;
use crate::testing::{Cells, Rng, number_bytes, set_bytes};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Bytes in pieces, which remembers the pieces that were asked for; those from `end` on cannot be read.
struct Pieces {
    bytes: Vec<u8>,
    read: RefCell<BTreeSet<usize>>,
    end: usize,
}

const PIECE: usize = 1000;

impl Pieces {
    fn new(bytes: Vec<u8>) -> Self {
        Self { end: bytes.len(), bytes, read: RefCell::default() }
    }

    fn share_read(&self) -> f64 {
        self.read.borrow().len() as f64 / self.bytes.len().div_ceil(PIECE) as f64
    }
}

impl Source for Pieces {
    fn read(&self, at: usize, len: usize) -> Result<&[u8], StoreError> {
        let end = at + len;
        if end > self.end {
            return Err(StoreError::Unreadable("the end is missing".to_owned()));
        }
        self.read.borrow_mut().extend(at / PIECE..end.div_ceil(PIECE));
        Ok(&self.bytes[at..end])
    }

    fn peek(&self, at: usize, len: usize) -> Option<&[u8]> {
        let read = self.read.borrow();
        (at / PIECE..(at + len).div_ceil(PIECE)).all(|piece| read.contains(&piece)).then(|| &self.bytes[at..at + len])
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// A shard with a dense set, a sparse set of one block, and a number of everybody with 20 bits.
fn shard() -> [Vec<u8>; 3] {
    let mut rng = Rng(7);
    let dense: BTreeSet<u32> = (0..1 << 20).filter(|_| rng.next().is_multiple_of(2)).collect();
    let sparse: BTreeSet<u32> = (0..300).map(|i| (5 << 16) + i * 11).collect();
    let number: Cells = (0..1 << 20).map(|offset| (offset, (1, (rng.next() & 0xf_ffff) as i64))).collect();
    [set_bytes(&dense, true), set_bytes(&sparse, true), number_bytes(&number)]
}

fn program(root: Node) -> Program {
    Program { slots: vec![Encoding::Set, Encoding::Set, Encoding::Number], root }
}

fn stored(pieces: &[Pieces; 3]) -> Vec<Vec<Bytes<'_>>> {
    pieces.iter().map(|pieces| vec![Bytes::stored(pieces)]).collect()
}

#[test]
fn stored_chunks_answer_as_chunks_in_memory() {
    let bytes = shard();
    let here: Vec<Vec<&[u8]>> = bytes.iter().map(|bytes| vec![bytes.as_slice()]).collect();
    let range = |low, high| Node::Range { slot: 2, low, high };
    let roots = [
        Node::Present(0),
        range(1000, 70_000),
        Node::And(vec![Node::Present(0), Node::Present(1), range(0, 1 << 19)]),
        Node::AndNot(Box::new(range(3, 900_000)), Box::new(Node::Present(0))),
        Node::Tally { slot: 2, measure: Measure::Sum, low: 5, high: 500_000 },
    ];
    for root in roots {
        let program = program(root);
        let pieces = bytes.clone().map(Pieces::new);
        assert_eq!(members(&program, &stored(&pieces)).unwrap(), members(&program, &here).unwrap());
        let pieces = bytes.clone().map(Pieces::new);
        assert_eq!(count(&program, &stored(&pieces)).unwrap(), count(&program, &here).unwrap());
        let pieces = bytes.clone().map(Pieces::new);
        let number = Bytes::stored(&pieces[2]);
        let expected = totals(&program, &here, Some(bytes[2].as_slice())).unwrap();
        assert_eq!(totals(&program, &stored(&pieces), Some(number)).unwrap(), expected);
    }
}

#[test]
fn only_what_is_needed_is_read() {
    let shares = |root: Node| {
        let pieces = shard().map(Pieces::new);
        count(&program(root), &stored(&pieces)).unwrap();
        pieces.map(|pieces| pieces.share_read())
    };
    // The number begins with its presence plane; a bound of one bit is decided by the first of the twenty planes.
    let [_, _, number] = shares(Node::Range { slot: 2, low: 1 << 19, high: i64::MAX });
    assert!(number < 0.1, "{number}");
    // One more, and it takes all bits; but every plane decides half of those who are left, and the last few are looked up one by one.
    let [_, _, number] = shares(Node::Range { slot: 2, low: (1 << 19) + 1, high: i64::MAX });
    assert!((0.4..0.8).contains(&number), "{number}");
    // A conjunction with a set of one block reads that block.
    let [dense, sparse, number] = shares(Node::And(vec![
        Node::Present(0),
        Node::Present(1),
        Node::Range { slot: 2, low: 12_345, high: 234_567 },
    ]));
    assert!(dense < 0.1 && sparse == 1.0 && number < 0.15, "{dense} {sparse} {number}");
    // Of a set alone the headers are enough.
    let [dense, ..] = shares(Node::Present(0));
    assert!(dense < 0.01, "{dense}");
}

#[test]
fn bytes_that_cannot_be_read_are_an_error_when_they_are_needed() {
    let mut pieces = shard().map(Pieces::new);
    pieces[2].end = pieces[2].bytes.len() / 2;
    let high_bit = program(Node::Range { slot: 2, low: 1 << 19, high: i64::MAX });
    // The headers of all planes are read first.
    let error = StoreError::Unreadable("the end is missing".to_owned());
    assert_eq!(count(&high_bit, &stored(&pieces)), Err(error));
}
