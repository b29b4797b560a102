//! Putting the answers of shards together into one 64-bit set and cutting one into shards, by moving containers and never decoding them.

use super::portable::{Container, Portable};
use crate::error::StoreError;

/// Cookie of the portable format when at least one container is a list of runs; the upper half holds the number of containers less one.
const COOKIE_RUNS: u32 = 12347;
/// Cookie of the portable format without runs.
const COOKIE_PLAIN: u32 = 12346;
/// With runs and fewer containers than this, the format leaves out the offsets.
const NO_OFFSETS_BELOW: usize = 4;

/// A container under its key in the 32-bit set it belongs to.
pub(crate) struct Placed<'a> {
    pub(crate) key: u16,
    pub(crate) cardinality: u32,
    pub(crate) container: Container<'a>,
}

/// Portable 64-bit Roaring bytes of the union of shards: `(shard, portable 32-bit Roaring of the offsets)`, each shard at most once, ascending.
///
/// # Errors
/// What is wrong with the bytes of a shard.
pub fn treemap(shards: &[(u32, Vec<u8>)], shard_bits: u32) -> Result<Vec<u8>, StoreError> {
    let blocks_per_shard = 1u64 << (shard_bits - 16);
    let mut buckets: Vec<(u32, Vec<Placed>)> = Vec::new();
    for (shard, bytes) in shards {
        let set = Portable::open(bytes)?;
        for (index, key) in set.keys().enumerate() {
            let block = u64::from(*shard) * blocks_per_shard + u64::from(key);
            let (high, low) = ((block >> 16) as u32, (block & 0xFFFF) as u16);
            if buckets.last().is_none_or(|(h, _)| *h != high) {
                buckets.push((high, Vec::new()));
            }
            if let Some((_, placed)) = buckets.last_mut() {
                placed.push(Placed {
                    key: low,
                    cardinality: set.cardinality_of(key),
                    container: set.container(index)?,
                });
            }
        }
    }
    let mut out = Vec::with_capacity(16 + shards.iter().map(|(_, b)| b.len()).sum::<usize>());
    out.extend_from_slice(&(buckets.len() as u64).to_le_bytes());
    for (high, placed) in &buckets {
        out.extend_from_slice(&high.to_le_bytes());
        write(placed, &mut out);
    }
    Ok(out)
}

/// The reverse of [`treemap`]: canonical portable 64-bit Roaring bytes cut into shards, ascending, without any that is empty.
///
/// # Errors
/// What is wrong with the bytes, and a member beyond the last shard there can be.
pub fn shards(bytes: &[u8], shard_bits: u32) -> Result<Vec<(u32, Vec<u8>)>, StoreError> {
    let blocks_per_shard = 1u64 << (shard_bits - 16);
    let damaged = |at| StoreError::Damaged { what: "bitmap", at };
    let mut cut: Vec<(u32, Vec<Placed>)> = Vec::new();
    for bucket in crate::bitmap_treemap::buckets(bytes).map_err(|e| damaged(e.at))? {
        let bucket = bucket.map_err(|e| damaged(e.at))?;
        let set = Portable::open(bucket.bytes)?;
        for (index, key) in set.keys().enumerate() {
            let block = u64::from(bucket.high) << 16 | u64::from(key);
            let shard = u32::try_from(block / blocks_per_shard).map_err(|_| damaged(bucket.at))?;
            if cut.last().is_none_or(|(last, _)| *last != shard) {
                cut.push((shard, Vec::new()));
            }
            if let Some((_, placed)) = cut.last_mut() {
                placed.push(Placed {
                    key: (block % blocks_per_shard) as u16,
                    cardinality: set.cardinality_of(key),
                    container: set.container(index)?,
                });
            }
        }
    }
    let written = cut.into_iter().map(|(shard, placed)| {
        let mut out = Vec::new();
        write(&placed, &mut out);
        (shard, out)
    });
    Ok(written.collect())
}

/// One portable 32-bit set; the containers come ascending by key, at least one of them.
pub(crate) fn write(placed: &[Placed], out: &mut Vec<u8>) {
    let start = out.len();
    let runs = placed.iter().any(|p| matches!(p.container, Container::Run(_)));
    if runs {
        let cookie = COOKIE_RUNS | ((placed.len() as u32 - 1) << 16);
        out.extend_from_slice(&cookie.to_le_bytes());
        let mut flags = vec![0u8; placed.len().div_ceil(8)];
        for (i, p) in placed.iter().enumerate() {
            if matches!(p.container, Container::Run(_))
                && let Some(byte) = flags.get_mut(i / 8)
            {
                *byte |= 1 << (i % 8);
            }
        }
        out.extend_from_slice(&flags);
    } else {
        out.extend_from_slice(&COOKIE_PLAIN.to_le_bytes());
        out.extend_from_slice(&(placed.len() as u32).to_le_bytes());
    }
    for p in placed {
        out.extend_from_slice(&p.key.to_le_bytes());
        out.extend_from_slice(&((p.cardinality - 1) as u16).to_le_bytes());
    }
    if !runs || placed.len() >= NO_OFFSETS_BELOW {
        let mut offset = out.len() - start + 4 * placed.len();
        for p in placed {
            out.extend_from_slice(&(offset as u32).to_le_bytes());
            offset += size(&p.container);
        }
    }
    for p in placed {
        match p.container {
            Container::Array(members) => out.extend_from_slice(members.as_flattened()),
            Container::Bitmap(words) => out.extend_from_slice(words.as_flattened()),
            Container::Run(pairs) => {
                out.extend_from_slice(&(pairs.len() as u16).to_le_bytes());
                out.extend_from_slice(pairs.as_flattened());
            }
        }
    }
}

pub(super) fn size(container: &Container) -> usize {
    match container {
        Container::Array(members) => members.len() * 2,
        Container::Bitmap(_) => 8192,
        Container::Run(pairs) => 2 + pairs.len() * 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roaring::{RoaringBitmap, RoaringTreemap};

    #[test]
    fn shards_become_one_set() {
        let pieces: Vec<(u32, Vec<u32>)> = vec![
            (0, vec![0, 1, 5, 65_535, 65_536, 1_048_575]),
            (1, (0..200_000).collect()),
            (7, (0..60_000).map(|x| x * 17).collect()),
            (4095, vec![1_048_575]),
            (4096, vec![0, 3]),
            (9000, (100..90_000).step_by(3).collect()),
        ];
        for optimize in [false, true] {
            let mut expected = RoaringTreemap::new();
            let mut shards = Vec::new();
            for (shard, offsets) in &pieces {
                let mut bitmap: RoaringBitmap = offsets.iter().copied().collect();
                if optimize {
                    bitmap.optimize();
                }
                let mut bytes = Vec::new();
                bitmap.serialize_into(&mut bytes).unwrap();
                shards.push((*shard, bytes));
                expected.extend(offsets.iter().map(|o| (u64::from(*shard) << 20) + u64::from(*o)));
            }
            let bytes = treemap(&shards, 20).unwrap();
            let got = RoaringTreemap::deserialize_from(&bytes[..]).unwrap();
            assert_eq!(got, expected);
            assert_eq!(got.serialized_size(), bytes.len());
            let back = super::shards(&bytes, 20).unwrap();
            assert_eq!(back.len(), pieces.len());
            for ((shard, cut), (expected, offsets)) in back.iter().zip(&pieces) {
                assert_eq!(shard, expected);
                let cut = RoaringBitmap::deserialize_from(&cut[..]).unwrap();
                assert_eq!(cut, offsets.iter().copied().collect::<RoaringBitmap>());
            }
        }
        assert!(super::shards(&treemap(&[], 20).unwrap(), 20).unwrap().is_empty());
        // The last shard a number can have, and one beyond it.
        let mut far = Vec::new();
        RoaringTreemap::from_iter([(u64::from(u32::MAX) << 20) + 7]).serialize_into(&mut far).unwrap();
        assert_eq!(super::shards(&far, 20).unwrap().first().unwrap().0, u32::MAX);
        far.clear();
        RoaringTreemap::from_iter([1 << 52]).serialize_into(&mut far).unwrap();
        assert!(super::shards(&far, 20).is_err());
        assert_eq!(RoaringTreemap::deserialize_from(&treemap(&[], 20).unwrap()[..]).unwrap(), RoaringTreemap::new());
    }
}
