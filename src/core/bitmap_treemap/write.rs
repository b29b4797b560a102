//! Builds the bytes of a set, container by container, ascending.

use super::container::{self, Words};
use super::layout::{ARRAY_MAX, BITSET_BYTES, COOKIE_PLAIN, COOKIE_RUNS, Container, Damaged, OFFSETS_FROM, damaged};
use super::part::Part;

/// Number of values of a full container.
const FULL: u32 = 1 << 16;

/// A set being written. Containers come in ascending order of their prefix; empty ones leave no trace.
///
/// A container becomes an array up to 4096 values and a bitset above; it becomes runs where these are smaller and it was
/// made from runs, or holds all 65536 values.
pub(super) struct Writer {
    /// Finished buckets, with the count of buckets in front.
    bytes: Vec<u8>,
    buckets: u64,
    last: Option<u64>,
    /// The bucket being filled: its containers and their bodies.
    high: u32,
    open: Vec<Head>,
    bodies: Vec<u8>,
}

struct Head {
    key: u16,
    /// Number of values - 1, as stored.
    more: u16,
    is_run: bool,
    at: usize,
}

impl Writer {
    pub fn new() -> Self {
        Writer { bytes: vec![0; 8], buckets: 0, last: None, high: 0, open: Vec::new(), bodies: Vec::new() }
    }

    /// Starts a container of `cardinality` values, at least one; its body is then appended to `bodies`.
    fn open(&mut self, prefix: u64, cardinality: u32, is_run: bool) -> Result<(), Damaged> {
        if self.last.is_some_and(|last| prefix <= last) {
            return Err(damaged(0, "containers are not in ascending order"));
        }
        self.last = Some(prefix);
        let high = (prefix >> 16) as u32;
        if high != self.high {
            self.close();
            self.high = high;
        }
        let more = (cardinality - 1) as u16;
        self.open.push(Head { key: prefix as u16, more, is_run, at: self.bodies.len() });
        Ok(())
    }

    /// A container as it is stored.
    pub fn part(&mut self, part: Part<'_>) -> Result<(), Damaged> {
        if part.cardinality == 0 || part.cardinality > FULL {
            return Err(damaged(0, "empty container"));
        }
        match part.values {
            Container::Runs(body) => {
                self.open(part.prefix, part.cardinality, true)?;
                self.bodies.extend_from_slice(&((body.len() / 4) as u16).to_le_bytes());
                self.bodies.extend_from_slice(body);
            }
            Container::Array(body) | Container::Bits(body) => {
                self.open(part.prefix, part.cardinality, false)?;
                self.bodies.extend_from_slice(body);
            }
        }
        Ok(())
    }

    /// A container of these values, ascending; `runs` says that runs are worth a try.
    pub fn values(&mut self, prefix: u64, values: &[u16], runs: bool) -> Result<(), Damaged> {
        if values.len() > ARRAY_MAX as usize {
            let mut block = [0; 1024];
            for value in values {
                block[usize::from(*value) / 64] |= 1u64 << (value % 64);
            }
            return self.block(prefix, &block, runs);
        }
        if values.is_empty() {
            return Ok(());
        }
        if runs {
            let breaks = values.windows(2).filter(|pair| pair[1] - pair[0] != 1).count();
            if 2 + 4 * (breaks + 1) < 2 * values.len() {
                self.open(prefix, values.len() as u32, true)?;
                self.bodies.extend_from_slice(&((breaks + 1) as u16).to_le_bytes());
                for run in values.chunk_by(|a, b| b - a == 1) {
                    let first = run.first().copied().unwrap_or_default();
                    self.bodies.extend_from_slice(&first.to_le_bytes());
                    self.bodies.extend_from_slice(&((run.len() - 1) as u16).to_le_bytes());
                }
                return Ok(());
            }
        }
        self.open(prefix, values.len() as u32, false)?;
        self.bodies.reserve(2 * values.len());
        values.iter().for_each(|value| self.bodies.extend_from_slice(&value.to_le_bytes()));
        Ok(())
    }

    /// A container of these bits; `runs` says that runs are worth a try.
    pub fn block(&mut self, prefix: u64, block: &Words, runs: bool) -> Result<(), Damaged> {
        let cardinality = container::population(block);
        if cardinality == 0 {
            return Ok(());
        }
        let plain = if cardinality <= ARRAY_MAX { 2 * cardinality as usize } else { BITSET_BYTES };
        if runs || cardinality == FULL {
            let count = count_runs(block);
            if 2 + 4 * count < plain {
                self.open(prefix, cardinality, true)?;
                self.bodies.extend_from_slice(&(count as u16).to_le_bytes());
                push_runs(block, &mut self.bodies);
                return Ok(());
            }
        }
        self.open(prefix, cardinality, false)?;
        self.bodies.reserve(plain);
        if cardinality <= ARRAY_MAX {
            for (i, word) in block.iter().enumerate() {
                let mut rest = *word;
                while rest != 0 {
                    let value = 64 * i as u32 + rest.trailing_zeros();
                    self.bodies.extend_from_slice(&(value as u16).to_le_bytes());
                    rest &= rest - 1;
                }
            }
        } else {
            block.iter().for_each(|word| self.bodies.extend_from_slice(&word.to_le_bytes()));
        }
        Ok(())
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.bytes.len() + self.bodies.len() + 8 * self.open.len()
    }

    /// Writes the open bucket.
    fn close(&mut self) {
        let Some(last) = self.open.len().checked_sub(1) else { return };
        self.buckets += 1;
        let out = &mut self.bytes;
        let start = out.len() + 4;
        out.extend_from_slice(&self.high.to_le_bytes());
        let has_runs = self.open.iter().any(|head| head.is_run);
        if has_runs {
            out.extend_from_slice(&(u32::from(COOKIE_RUNS) | (last as u32) << 16).to_le_bytes());
            for eight in self.open.chunks(8) {
                let flags = eight.iter().enumerate().fold(0, |flags, (i, head)| flags | u8::from(head.is_run) << i);
                out.push(flags);
            }
        } else {
            out.extend_from_slice(&COOKIE_PLAIN.to_le_bytes());
            out.extend_from_slice(&(self.open.len() as u32).to_le_bytes());
        }
        for head in &self.open {
            out.extend_from_slice(&head.key.to_le_bytes());
            out.extend_from_slice(&head.more.to_le_bytes());
        }
        if !has_runs || self.open.len() >= OFFSETS_FROM {
            let body = out.len() - start + 4 * self.open.len();
            for head in &self.open {
                out.extend_from_slice(&((body + head.at) as u32).to_le_bytes());
            }
        }
        out.extend_from_slice(&self.bodies);
        self.open.clear();
        self.bodies.clear();
    }

    /// The set.
    pub fn finish(mut self) -> Vec<u8> {
        self.close();
        let count = self.buckets.to_le_bytes();
        self.bytes.iter_mut().zip(count).for_each(|(to, from)| *to = from);
        self.bytes
    }
}

/// The bytes of the set of `values`, which ascend, each once. No value is checked against [`super::MAX_VALUE`].
///
/// # Errors
/// When the values do not ascend from one container to the next.
pub fn from_sorted(values: &[u64]) -> Result<Vec<u8>, Damaged> {
    let mut out = Writer::new();
    let mut lows = Vec::new();
    for group in values.chunk_by(|a, b| a >> 16 == b >> 16) {
        lows.clear();
        lows.extend(group.iter().map(|value| *value as u16));
        out.values(group.first().map_or(0, |value| value >> 16), &lows, false)?;
    }
    Ok(out.finish())
}

/// Number of runs of ones.
fn count_runs(block: &Words) -> usize {
    let mut carry = 0;
    let mut count = 0;
    for word in block {
        // A run starts where a one follows a zero.
        count += (word & !(word << 1 | carry)).count_ones() as usize;
        carry = word >> 63;
    }
    count
}

fn push_runs(block: &Words, out: &mut Vec<u8>) {
    let mut push = |first: u32, after: u32| {
        out.extend_from_slice(&(first as u16).to_le_bytes());
        out.extend_from_slice(&((after - first - 1) as u16).to_le_bytes());
    };
    let mut open = None;
    for (i, word) in block.iter().enumerate() {
        let base = 64 * i as u32;
        let mut at = 0;
        while at < 64 {
            let rest = word >> at;
            match open {
                None if rest == 0 => break,
                None => {
                    at += rest.trailing_zeros();
                    open = Some(base + at);
                }
                Some(first) => {
                    let ones = rest.trailing_ones();
                    at += ones;
                    if at < 64 {
                        push(first, base + at);
                        open = None;
                    }
                }
            }
        }
    }
    if let Some(first) = open {
        push(first, FULL);
    }
}
