//! Valid sets: the same answers and the same bytes.

use crate::common::shapes::{Narrow, Wide, narrow, wide, written};
use croaring::{Bitmap, Bitmap64, Portable as Format, Treemap};
use pg_cdp_core::bitmap_treemap::{
    Members, Operation, canonical, cardinality, combine, contains, contains_all, decode, equals, intersects, max, min,
    operation_cardinality,
};
use pg_cdp_core::cells::Encoding;
use pg_cdp_core::program::{Node, Program, count, evaluate};
use proptest::prelude::*;
use roaring::{RoaringBitmap, RoaringTreemap};

fn walk(bytes: &[u8]) -> Vec<u64> {
    let mut members = Members::new();
    std::iter::from_fn(|| members.next(bytes).unwrap()).collect()
}

fn read(bytes: &[u8]) -> Bitmap64 {
    Bitmap64::try_deserialize::<Format>(bytes).expect("croaring reads our bytes")
}

/// The bytes in one form of containers: with runs wherever they are smaller, or without any.
fn in_form(mut set: RoaringTreemap, runs: bool) -> Vec<u8> {
    if runs {
        set.optimize();
    } else {
        set = set.iter().collect();
    }
    written(&set)
}

fn in_their_form(mut set: Bitmap64, runs: bool) -> Vec<u8> {
    set.remove_run_compression();
    if runs {
        set.run_optimize();
    }
    set.serialize::<Format>()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn what_one_writes_the_other_reads(set in wide()) {
        let (plain, bytes) = (set.members().into_iter().collect::<Vec<u64>>(), set.bytes());
        // Ours, read by both of their 64-bit types.
        prop_assert_eq!(read(&bytes).to_vec(), plain.clone());
        prop_assert_eq!(Treemap::try_deserialize::<Format>(&bytes).unwrap().to_vec(), plain.clone());
        // Theirs, built from the members, read by ours.
        let mut theirs = Bitmap64::of(&plain);
        if set.1 {
            theirs.run_optimize();
        }
        let (map, wrote) = (Treemap::of(&plain), theirs.serialize::<Format>());
        prop_assert_eq!(canonical(&wrote).unwrap(), &wrote[..]);
        prop_assert_eq!(walk(&wrote), plain.clone());
        prop_assert_eq!(cardinality(&wrote).unwrap(), theirs.cardinality());
        prop_assert!(equals(&wrote, &bytes).unwrap());
        prop_assert_eq!(&wrote, &bytes, "the same members in the same form are the same bytes");
        prop_assert_eq!(walk(&map.serialize::<Format>()), plain);
        prop_assert_eq!((min(&bytes).unwrap(), max(&bytes).unwrap()), (theirs.minimum(), theirs.maximum()));
    }

    #[test]
    fn operations_on_64_bit_sets_agree(a in wide(), b in wide()) {
        let (ours, theirs) = ([a.bytes(), b.bytes()], [read(&a.bytes()), read(&b.bytes())]);
        let [x, y] = &theirs;
        let operations = [
            (Operation::And, x.and(y), x.and_cardinality(y)),
            (Operation::Or, x.or(y), x.or_cardinality(y)),
            (Operation::Xor, x.xor(y), x.xor_cardinality(y)),
            (Operation::AndNot, x.andnot(y), x.andnot_cardinality(y)),
        ];
        for (operation, their, their_count) in operations {
            let our_bytes = combine(&ours[0], &ours[1], operation).unwrap();
            let our = decode(&our_bytes).unwrap();
            prop_assert_eq!(operation_cardinality(&ours[0], &ours[1], operation).unwrap(), their_count, "{:?}", operation);
            prop_assert_eq!(our.len(), their.cardinality(), "{:?}", operation);
            prop_assert!(our.iter().eq(their.to_vec()), "{operation:?}");
            for runs in [false, true] {
                prop_assert_eq!(in_form(our.clone(), runs), in_their_form(their.clone(), runs), "{:?}, runs: {}", operation, runs);
            }
            // As each left it, without bringing it into one form.
            prop_assert!(equals(&our_bytes, &their.serialize::<Format>()).unwrap());
        }
        prop_assert_eq!(intersects(&ours[0], &ours[1]).unwrap(), x.intersect(y));
        prop_assert_eq!(contains_all(&ours[0], &ours[1]).unwrap(), y.is_subset(x));
        for probe in y.iter().step_by(999) {
            prop_assert_eq!(contains(&ours[0], probe).unwrap(), x.contains(probe));
        }
    }

    #[test]
    fn programs_over_a_shard_agree(sets in [narrow(), narrow(), narrow()]) {
        let bytes = sets.each_ref().map(Narrow::bytes);
        let [a, b, c] = bytes.each_ref().map(|bytes| Bitmap::try_deserialize::<Format>(bytes).unwrap());
        for (set, theirs) in sets.iter().zip([&a, &b, &c]) {
            let mut wrote = theirs.clone();
            wrote.remove_run_compression();
            if set.1 { wrote.run_optimize(); }
            prop_assert_eq!(wrote.serialize::<Format>(), set.bytes());
        }
        let p = Node::Present;
        let less = |x, y| Node::AndNot(Box::new(x), Box::new(y));
        let cases = [
            (p(0), a.clone()),
            (Node::And(vec![p(0), p(1)]), a.and(&b)),
            (Node::Or(vec![p(0), p(1)]), a.or(&b)),
            (less(p(0), p(1)), a.andnot(&b)),
            (less(Node::Or(vec![p(0), p(1)]), Node::And(vec![p(0), p(1)])), a.xor(&b)),
            (less(Node::And(vec![p(0), Node::Or(vec![p(1), p(2)])]), Node::And(vec![p(1), p(2)])), a.and(&b.or(&c)).andnot(&b.and(&c))),
            (Node::Or(vec![p(0), p(1), p(2)]), Bitmap::fast_or(&[&a, &b, &c])),
        ];
        let chunks = bytes.each_ref().map(|bytes| vec![bytes.as_slice()]);
        for (root, theirs) in cases {
            let program = Program { slots: vec![Encoding::Set; 3], root };
            let ours: RoaringBitmap = evaluate(&program, &chunks).unwrap();
            prop_assert_eq!(count(&program, &chunks).unwrap(), theirs.cardinality(), "{:?}", program.root);
            prop_assert!(ours.iter().eq(theirs.to_vec()), "{:?}", program.root);
            let (mut ours, mut theirs) = (ours, theirs);
            ours.optimize();
            theirs.remove_run_compression();
            theirs.run_optimize();
            let mut wrote = Vec::new();
            ours.serialize_into(&mut wrote).unwrap();
            prop_assert_eq!(wrote, theirs.serialize::<Format>(), "{:?}", program.root);
        }
    }
}

/// The bytes of the empty set and of the highest value, written out.
#[test]
fn the_ends_of_the_range_agree() {
    let top = Wide(vec![(i64::MAX as u64 >> 16, crate::common::shapes::Shape::Few(vec![u16::MAX]))], false);
    assert_eq!(Bitmap64::new().serialize::<Format>(), written(&RoaringTreemap::new()));
    assert_eq!(Bitmap64::of(&[i64::MAX as u64]).serialize::<Format>(), top.bytes());
}
