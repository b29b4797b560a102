//! What must hold for any bytes at all. The test of mutants and the fuzz targets call the same functions: each reads the
//! bytes in every way there is, panics when an answer contradicts another one, and says whether the bytes were taken for sound.

use pg_cdp_core::bitmap::{Block, Portable, SHARD_BLOCKS, SHARD_WIDTH};
use pg_cdp_core::bitmap_treemap::{
    self, Members, Operation, and_cardinality, canonical, combine, contains, contains_all, equals, intersects,
    operation_cardinality,
};
use pg_cdp_core::bsi;
use pg_cdp_core::cells::{self, Cell, CodesChunk, CodesHead, Encoding, NO_CODE, NumberChunk, delta, fold};
use pg_cdp_core::program::{Measure, Node, Program, code_distribution, count, evaluate};
use roaring::{RoaringBitmap, RoaringTreemap};

/// No walk over damaged bytes may give more members than this before it is stopped; sound bytes are walked to the end.
const STEPS: usize = 200_000;

/// 64-bit set bytes from outside. `canonical` is the gate: what it lets through answers every question consistently.
pub fn treemap(bytes: &[u8]) -> bool {
    // Every reader must come back, whatever the bytes are.
    let other = RoaringTreemap::from_iter([1, 70_000, 1 << 33]);
    let mut others = Vec::new();
    other.serialize_into(&mut others).unwrap();
    let _ = (bitmap_treemap::cardinality(bytes), bitmap_treemap::is_empty(bytes));
    let _ = (bitmap_treemap::min(bytes), bitmap_treemap::max(bytes));
    let _ = (equals(bytes, &others), intersects(bytes, &others), contains_all(bytes, &others));
    let _ = and_cardinality(bytes, bytes);
    for operation in [Operation::And, Operation::Or, Operation::Xor, Operation::AndNot] {
        let _ = operation_cardinality(bytes, &others, operation);
        if let Ok(set) = combine(bytes, &others, operation) {
            let _ = set.len();
        }
    }
    for probe in [0, 7, 70_000, 1 << 33, u64::MAX] {
        let _ = (contains(bytes, probe), bitmap_treemap::find(&mut &*bytes, 0, probe));
    }
    let mut walk = Members::new();
    for _ in 0..STEPS {
        if !matches!(walk.next(bytes), Ok(Some(_))) {
            break;
        }
    }

    let Ok(kept) = canonical(bytes) else { return false };
    let summary = bitmap_treemap::summary(&kept).unwrap();
    let mut walk = Members::new();
    let members: Vec<u64> = std::iter::from_fn(|| walk.next(&kept).unwrap()).collect();
    assert!(members.is_sorted_by(|a, b| a < b), "members ascend");
    assert_eq!(summary.cardinality, members.len() as u64, "the cardinality is the number of members");
    assert_eq!(bitmap_treemap::cardinality(&kept).unwrap(), summary.cardinality);
    assert_eq!(and_cardinality(&kept, &kept).unwrap(), summary.cardinality);
    assert_eq!(bitmap_treemap::min(&kept).unwrap(), members.first().copied());
    assert_eq!(bitmap_treemap::max(&kept).unwrap(), members.last().copied());
    assert_eq!(summary.max, members.last().copied());
    assert_eq!(summary.empty_buckets, 0);
    assert_eq!(bitmap_treemap::is_empty(&kept).unwrap(), members.is_empty());
    for member in members.iter().step_by(members.len() / 8 + 1) {
        assert!(contains(&kept, *member).unwrap());
        for near in [*member, member + 1, member ^ 1 << 16] {
            let found = bitmap_treemap::find(&mut &*kept, 0, near).unwrap();
            assert!(found.is_none_or(|found| found == contains(&kept, near).unwrap()), "a look at {near} from afar");
        }
    }
    assert_eq!(canonical(&kept).unwrap(), kept, "the canonical form is canonical");
    let library = RoaringTreemap::deserialize_from(&kept[..]).unwrap();
    assert!(library.iter().eq(members), "the library reads the same members");
    true
}

/// A bit-sliced index from outside. What the gate lets through answers every question as its pairs do.
pub fn bsi(bytes: &[u8]) -> bool {
    // Every reader must come back, whatever the bytes are.
    let _ = (
        bsi::cardinality(bytes, None),
        bsi::sum(bytes, None),
        bsi::get(bytes, 5),
        bsi::get_from(&mut &*bytes, bytes.len(), 5),
    );
    let _ = (bsi::smallest(bytes, None), bsi::largest(bytes, None), bsi::top(bytes, 3, None));
    let _ = (bsi::quantile(bytes, |count| count / 2 + 1, None), bsi::count_between(bytes, &[(-7, 900)], None));
    let mut walk = bsi::Pairs::new();
    for _ in 0..STEPS {
        if !matches!(walk.next(bytes), Ok(Some(_))) {
            break;
        }
    }

    let Ok(kept) = bsi::canonical(bytes) else { return false };
    let mut walk = bsi::Pairs::new();
    let pairs: Vec<(u64, i64)> = std::iter::from_fn(|| walk.next(&kept).unwrap()).collect();
    assert!(pairs.is_sorted_by(|a, b| a.0 < b.0), "ids ascend");
    assert_eq!(bsi::cardinality(&kept, None).unwrap(), pairs.len() as u64, "the cardinality is the number of pairs");
    let sum = bsi::sum(&kept, None).unwrap();
    assert_eq!((sum.sum, sum.count), (pairs.iter().map(|(_, v)| i128::from(*v)).sum(), pairs.len() as u64));
    assert_eq!(bsi::smallest(&kept, None).unwrap(), pairs.iter().map(|(_, v)| *v).min());
    assert_eq!(bsi::largest(&kept, None).unwrap(), pairs.iter().map(|(_, v)| *v).max());
    let between = pairs.iter().filter(|(_, v)| (-7..=900).contains(v)).count() as u64;
    assert_eq!(bsi::count_between(&kept, &[(-7, 900)], None).unwrap(), [between]);
    for (id, v) in pairs.iter().step_by(pairs.len() / 8 + 1) {
        assert_eq!(bsi::get(&kept, *id).unwrap(), Some(*v));
        assert!(bsi::get_from(&mut &*kept, kept.len(), *id).unwrap().is_none_or(|far| far == Some(*v)));
    }
    assert_eq!(bsi::canonical(&kept).unwrap(), kept, "the canonical form is canonical");
    true
}

/// The portable 32-bit bytes as the only bucket of a 64-bit set: so the gate of 64-bit sets judges them too.
fn as_treemap(bytes: &[u8]) -> Vec<u8> {
    let mut wrapped = 1u64.to_le_bytes().to_vec();
    wrapped.extend(0u32.to_le_bytes());
    wrapped.extend(bytes);
    wrapped
}

fn is_sound(bytes: &[u8]) -> bool {
    bitmap_treemap::summary(&as_treemap(bytes)).is_ok()
}

/// A set chunk. Nothing checks the inside of its containers, so bytes that are not sound may give any members of the shard;
/// sound ones give theirs.
pub fn set_chunk(bytes: &[u8]) -> bool {
    let opened = Portable::open_shard(bytes);
    let mut members = RoaringBitmap::new();
    let mut whole = opened.is_ok();
    if let Ok(portable) = &opened {
        let keys: Vec<u16> = portable.keys().collect();
        assert!(keys.is_sorted_by(|a, b| a < b) && keys.iter().all(|key| *key < SHARD_BLOCKS));
        for (index, key) in keys.into_iter().enumerate() {
            let Ok(container) = portable.container(index) else {
                whole = false;
                break;
            };
            let mut block = Block::new();
            block.set_container(container);
            members.extend(block.iter().map(|member| u32::from(key) << 16 | u32::from(member)));
        }
    }
    let read = whole.then_some(members);

    // The same bytes through programs and through folding.
    let slots = vec![Encoding::Set];
    let chunks = [vec![bytes]];
    let one = Program { slots: slots.clone(), root: Node::Present(0) };
    let evaluated = evaluate(&one, &chunks);
    assert_eq!(evaluated.is_ok(), read.is_some(), "a program reads what a reader reads");
    if let (Ok(evaluated), Some(read)) = (&evaluated, &read) {
        assert_eq!(evaluated, read);
    }
    assert!(count(&one, &chunks).unwrap_or(0) <= SHARD_WIDTH.into(), "no more members than a shard has");
    let both = || vec![Node::Present(0), Node::Present(0)];
    let difference = Node::AndNot(Box::new(Node::Present(0)), Box::new(Node::Present(0)));
    for root in [Node::And(both()), Node::Or(both()), difference] {
        let program = Program { slots: slots.clone(), root };
        assert!(count(&program, &chunks).unwrap_or(0) <= SHARD_WIDTH.into());
        if let Ok(members) = evaluate(&program, &chunks) {
            assert!(members.max().is_none_or(|max| max < SHARD_WIDTH));
        }
    }
    let change = delta::encode([Cell { offset: 5, n: 1, v: 0 }]).unwrap();
    let folded = fold(Encoding::Set, Some(bytes), [change.as_slice()]);
    if let Ok(folded) = &folded {
        assert!(is_sound(folded.as_deref().unwrap()), "what folding writes is sound");
    }

    if opened.is_err() || !is_sound(bytes) {
        return false;
    }
    let members = read.expect("sound bytes are read");
    assert_eq!(opened.unwrap().cardinality(), members.len(), "the cardinality is the number of members");
    assert_eq!(count(&one, &chunks).unwrap(), members.len());
    assert_eq!(RoaringBitmap::deserialize_from(bytes).unwrap(), members, "the library reads the same members");
    let mut more = members;
    more.insert(5);
    let folded = folded.unwrap().unwrap();
    assert_eq!(RoaringBitmap::deserialize_from(&folded[..]).unwrap(), more);
    true
}

/// Whether each plane of a number chunk that opens is sound in itself.
fn planes_are_sound(bytes: &[u8]) -> bool {
    let planes = 1 + usize::from(bytes[1]) + usize::from(bytes[2]);
    let (lengths, mut rest) = bytes[24..].split_at(4 * planes);
    lengths.as_chunks().0.iter().all(|length| {
        let (plane, after) = rest.split_at(u32::from_le_bytes(*length) as usize);
        rest = after;
        is_sound(plane)
    })
}

/// A number chunk. The numbers of bytes that are not sound may be any; cells ascend and stay in the shard all the same.
pub fn number_chunk(bytes: &[u8]) -> bool {
    let chunks = [vec![bytes]];
    let range = Node::Range { slot: 0, low: -5, high: 50 };
    let sum = Node::Tally { slot: 0, measure: Measure::Sum, low: 1, high: i128::MAX };
    let facts = Node::Tally { slot: 0, measure: Measure::Count, low: 2, high: 9 };
    for root in [Node::Present(0), range, sum, facts] {
        let program = Program { slots: vec![Encoding::Number], root };
        assert!(count(&program, &chunks).unwrap_or(0) <= SHARD_WIDTH.into());
        if let Ok(members) = evaluate(&program, &chunks) {
            assert!(members.max().is_none_or(|max| max < SHARD_WIDTH));
        }
    }
    // Two chunks in one slot are added up, which takes another way through the planes.
    let twice = Node::Tally { slot: 0, measure: Measure::Sum, low: -10, high: 1000 };
    let _ = count(&Program { slots: vec![Encoding::Number], root: twice }, &[vec![bytes, bytes]]);
    let change = delta::encode([Cell { offset: 5, n: 1, v: 3 }]).unwrap();
    let folded = fold(Encoding::Number, Some(bytes), [change.as_slice()]);

    let Ok(chunk) = NumberChunk::open(bytes) else {
        assert!(folded.is_err(), "what does not open is not folded");
        return false;
    };
    let mut read = Vec::new();
    for cell in chunk.cells() {
        match cell {
            Ok(cell) => read.push(cell),
            Err(_) => return false,
        }
    }
    assert!(read.is_sorted_by(|a, b| a.offset < b.offset), "cells ascend");
    assert!(read.iter().all(|cell| cell.offset < SHARD_WIDTH && cell.n > 0), "a cell is a fact in the shard");
    let written = cells::encode(read.iter().copied()).unwrap();
    let again: Vec<Cell> = NumberChunk::open(&written).unwrap().cells().map(Result::unwrap).collect();
    assert_eq!(again, read, "what was read can be written");
    if !planes_are_sound(bytes) {
        return false;
    }
    assert_eq!(chunk.count() as usize, read.len(), "the count is the number of cells");
    let present = Program { slots: vec![Encoding::Number], root: Node::Present(0) };
    assert_eq!(count(&present, &chunks).unwrap(), read.len() as u64);
    true
}

thread_local! {
    /// All offsets of a shard, the even ones, the odd ones.
    static HALVES: [Vec<u8>; 3] = [(0, 1), (0, 2), (1, 2)].map(|(first, step)| {
        let mut set = RoaringBitmap::new();
        set.append((first..SHARD_WIDTH).step_by(step)).unwrap();
        set.optimize();
        let mut bytes = Vec::new();
        set.serialize_into(&mut bytes).unwrap();
        bytes
    });
}

/// A codes chunk. The codes of bytes that are not sound may be any of those the head knows; nobody is counted twice all the same.
pub fn codes_chunk(bytes: &[u8]) -> bool {
    let present = Program { slots: vec![Encoding::Set], root: Node::Present(0) };
    let asked = |members: &[u8]| code_distribution(&present, &[vec![members]], Some(bytes));
    // Everybody is counted by who is missing, either half by looking up each of it.
    let [everybody, evens, odds] = HALVES.with(|sets| sets.each_ref().map(|set| asked(set)));
    let folded = |n, v| {
        let change = delta::encode([Cell { offset: 5, n, v }]).unwrap();
        fold(Encoding::Codes, Some(bytes), [change.as_slice()])
    };
    let codes = Program { slots: vec![Encoding::Codes], root: Node::Present(0) };
    assert!(count(&codes, &[vec![bytes]]).is_err(), "no program reads codes as members");

    let Ok(chunk) = CodesChunk::open(bytes) else {
        assert!(everybody.is_err() && evens.is_err() && folded(1, 3).is_err(), "what does not open is not read");
        return false;
    };
    let head = chunk.head();
    let known: u64 = (0..SHARD_BLOCKS).map(|key| u64::from(head.known(key))).sum();
    assert_eq!(known, u64::from(head.count()));
    assert_eq!(everybody.as_ref().unwrap().0, u64::from(SHARD_WIDTH));
    for (members, shares) in [&everybody, &evens, &odds].into_iter().flatten() {
        assert!(*members >= u64::from(SHARD_WIDTH) / 2);
        assert!(shares.iter().all(|(_, inside, all)| inside <= all), "no more members than there are");
        assert!(shares.iter().map(|(code, _, all)| (*code, *all as u32)).eq(there_are(head)));
    }
    let after = [folded(1, 3), folded(-1, -3), folded(0, 0)];
    for folded in after.iter().flatten().flatten() {
        assert!(CodesChunk::open(folded).is_ok(), "what folding writes can be read");
    }

    let Ok(read) = chunk.cells() else { return false };
    assert!(read.is_sorted_by(|a, b| a.0 < b.0), "offsets ascend");
    assert!(read.iter().all(|(offset, code)| *offset < SHARD_WIDTH && *code != NO_CODE));
    assert_eq!(read.len() as u64, known, "the count is the number of cells");
    let mut places = vec![NO_CODE; read.last().map_or(0, |(offset, _)| *offset as usize + 1).max(6)];
    read.iter().for_each(|(offset, code)| places[*offset as usize] = *code);
    let written = cells::encode_codes(&places).unwrap().unwrap();
    assert_eq!(CodesChunk::open(&written).unwrap().cells().unwrap(), read, "what was read can be written");
    let (everybody, evens, odds) = (everybody.unwrap().1, evens.unwrap().1, odds.unwrap().1);
    assert!(everybody.iter().all(|(_, inside, all)| inside == all), "everybody has what there is");
    assert!(evens.iter().zip(&odds).all(|(even, odd)| even.1 + odd.1 == even.2), "two halves have it together");
    let of_evens = read.iter().filter(|(offset, _)| offset % 2 == 0).count() as u64;
    assert_eq!(evens.iter().map(|(_, inside, _)| inside).sum::<u64>(), of_evens);
    match places[5] {
        NO_CODE => places[5] = 3,
        3 => places[5] = NO_CODE,
        _ => {
            assert!(after[0].is_err() && after[1].is_err(), "a cell has one code");
            return true;
        }
    }
    let [more, less, same] = after;
    assert!(more.is_err() != less.is_err());
    // The ranks need not be those of a chunk that is written anew.
    let changed = more.or(less).unwrap();
    let anew = cells::encode_codes(&places).unwrap();
    assert_eq!(
        changed.as_deref().map(cells_and_counts),
        anew.as_deref().map(cells_and_counts),
        "folding changes the one cell"
    );
    assert_eq!(same.unwrap().as_deref(), Some(bytes));
    true
}

/// The codes that somebody has, by rank.
fn there_are(head: &CodesHead) -> impl Iterator<Item = (u16, u32)> {
    head.codes().iter().copied().filter(|(_, count)| *count > 0)
}

/// Offsets with their codes, and codes with how many offsets have them.
type CellsAndCounts = (Vec<(u32, u16)>, Vec<(u16, u32)>);

fn cells_and_counts(bytes: &[u8]) -> CellsAndCounts {
    let chunk = CodesChunk::open(bytes).unwrap();
    let mut counts: Vec<_> = there_are(chunk.head()).collect();
    counts.sort_unstable();
    (chunk.cells().unwrap(), counts)
}

/// A delta. An entry that does not fit ends the reading with an error.
pub fn delta(bytes: &[u8]) -> bool {
    let merged = delta::merge([bytes]);
    for encoding in [Encoding::Set, Encoding::Number, Encoding::Codes] {
        if let Ok(Some(folded)) = fold(encoding, None, [bytes]) {
            match encoding {
                Encoding::Set => assert!(is_sound(&folded)),
                Encoding::Number => assert!(number_chunk(&folded)),
                Encoding::Codes => assert!(codes_chunk(&folded)),
            }
        }
    }
    let Ok(read) = delta::decode(bytes).and_then(Iterator::collect::<Result<Vec<Cell>, _>>) else {
        assert!(merged.is_err(), "what cannot be read is not merged");
        return false;
    };
    assert!(read.is_sorted_by(|a, b| a.offset < b.offset), "offsets ascend");
    assert!(read.iter().all(|cell| cell.offset < SHARD_WIDTH));
    let written = delta::encode(read.iter().copied()).unwrap();
    let again: Vec<Cell> = delta::decode(&written).unwrap().map(Result::unwrap).collect();
    let telling: Vec<Cell> = read.into_iter().filter(|cell| cell.n != 0 || cell.v != 0).collect();
    assert_eq!(again, telling, "what was read can be written");
    assert_eq!(merged.unwrap().len(), telling.len());
    true
}

/// A program, made from the first bytes, over three chunks, cut from the others: two of sets and one of numbers.
pub fn program(bytes: &[u8]) -> bool {
    let Some((head, rest)) = bytes.split_first_chunk::<16>() else { return false };
    let mut codes = head.iter().copied();
    let root = node(&mut codes, 0);
    let cut = |place: u8| usize::from(place) * rest.len() / 256;
    let (first, second) = (cut(head[14].min(head[15])), cut(head[14].max(head[15])));
    let (a, b, c) = (&rest[..first], &rest[first..second], &rest[second..]);
    let program = Program { slots: vec![Encoding::Set, Encoding::Set, Encoding::Number], root };
    let chunks = [vec![a], vec![b], vec![c]];
    let (members, total) = (evaluate(&program, &chunks), count(&program, &chunks));
    assert!(*total.as_ref().unwrap_or(&0) <= SHARD_WIDTH.into());
    let sound = is_sound(a) && is_sound(b) && NumberChunk::open(c).is_ok() && planes_are_sound(c);
    if sound && let (Ok(members), Ok(total)) = (members, total) {
        assert_eq!(members.len(), total, "{:?}", program.root);
        return true;
    }
    false
}

fn node(codes: &mut impl Iterator<Item = u8>, depth: usize) -> Node {
    let code = codes.next().unwrap_or(0);
    let argument = i64::from(code >> 3);
    match code % 8 {
        0 => Node::Present(0),
        1 => Node::Present(1),
        2 => Node::Present(2),
        3 => Node::Range { slot: 2, low: argument - 8, high: argument + 8 },
        4 => Node::Tally { slot: 2, measure: Measure::Count, low: 1, high: argument.into() },
        _ if depth > 6 => Node::Empty,
        5 => Node::And(vec![node(codes, depth + 1), node(codes, depth + 1)]),
        6 => Node::Or(vec![node(codes, depth + 1), node(codes, depth + 1)]),
        _ => Node::AndNot(Box::new(node(codes, depth + 1)), Box::new(node(codes, depth + 1))),
    }
}
