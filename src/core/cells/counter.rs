//! Sums of one block as bit planes: the accumulator for dense cells.
//!
//! A set of weight 2^b is added to all 2^16 sums at once with a carry-save adder: each plane keeps up to one operand
//! waiting, and only every second one makes a full adder run and a carry move up. Adding a set so costs about one full
//! adder (five operations a word), whatever its members.

use crate::bitmap::{Arena, Block, Container, Value, kernel};

/// Sums of sets of weight 2^b.
#[derive(Debug, Default)]
pub struct Counter {
    /// The lowest bit first.
    planes: Vec<Plane>,
}

#[derive(Debug, Default)]
struct Plane {
    sum: Option<Box<Block>>,
    waiting: Option<Box<Block>>,
}

impl Counter {
    /// Adds 2^bit to the sum of each member.
    pub fn add_container(&mut self, container: Container<'_>, bit: usize, arena: &mut Arena) {
        let block = arena.take_container(container);
        self.add(block, bit, arena);
    }

    /// Adds 2^bit to the sum of each member of a block of the arena.
    pub fn add(&mut self, block: Box<Block>, bit: usize, arena: &mut Arena) {
        let mut carry = block;
        let mut bit = bit;
        loop {
            if self.planes.len() <= bit {
                self.planes.resize_with(bit + 1, Plane::default);
            }
            let Some(plane) = self.planes.get_mut(bit) else {
                return;
            };
            let Some(sum) = plane.sum.as_mut() else {
                plane.sum = Some(carry);
                return;
            };
            let Some(waiting) = plane.waiting.take() else {
                plane.waiting = Some(carry);
                return;
            };
            let any = kernel::add3(sum.words_mut(), waiting.words(), carry.words_mut());
            arena.give(waiting);
            if !any {
                arena.give(carry);
                return;
            }
            bit += 1;
        }
    }

    /// The bits of the sums, the lowest first. Nothing may be waiting: see [`Self::settle`].
    pub fn planes(&self) -> impl Iterator<Item = Option<&Block>> {
        self.planes.iter().map(|plane| plane.sum.as_deref())
    }

    /// Empties the counter; the members of `among` whose sum is in low..=high, low ≤ high.
    pub fn between<'a>(&mut self, among: Value<'a>, low: u64, high: u64, arena: &mut Arena) -> Value<'a> {
        self.settle(arena);
        let answer = self.compare(among, low, high, arena);
        for sum in self.planes.drain(..).filter_map(|plane| plane.sum) {
            arena.give(sum);
        }
        answer
    }

    /// Leaves nothing waiting: before sums are read while the counter stays.
    pub fn settle(&mut self, arena: &mut Arena) {
        let mut bit = 0;
        while bit < self.planes.len() {
            let Some(plane) = self.planes.get_mut(bit) else {
                return;
            };
            if let (Some(sum), Some(mut carry)) = (plane.sum.as_mut(), plane.waiting.take()) {
                if kernel::add2(sum.words_mut(), carry.words_mut()) {
                    self.add(carry, bit + 1, arena);
                } else {
                    arena.give(carry);
                }
            }
            bit += 1;
        }
    }

    fn compare<'a>(&self, among: Value<'a>, low: u64, high: u64, arena: &mut Arena) -> Value<'a> {
        if among.is_empty() {
            return Value::Empty;
        }
        let mut answer = among.into_block(arena);
        self.keep_between(&mut answer, low, high, arena);
        let any = !answer.is_empty();
        arena.value(answer, any)
    }

    /// Removes the members whose sum is not in low..=high, low ≤ high. Nothing may be waiting: see [`Self::settle`].
    ///
    /// The low bound first, the high bound on what met it: sums are few planes and already flat.
    pub fn keep_between(&self, answer: &mut Block, low: u64, high: u64, arena: &mut Arena) {
        let depth = self.planes.len();
        let beyond = |bound: u64| depth < 64 && bound >> depth != 0;
        if beyond(low) {
            answer.clear();
            return;
        }
        if low > 0 {
            let mut matched = arena.take_clear();
            for (bit, plane) in self.planes.iter().enumerate().rev() {
                let zeros = low << (63 - bit.min(63)) == 0;
                if zeros {
                    break;
                }
                match (&plane.sum, low >> bit & 1) {
                    (Some(sum), 1) => {
                        answer.and_block(sum);
                    }
                    (None, 1) => answer.clear(),
                    (Some(sum), _) => {
                        kernel::take_ones(matched.words_mut(), answer.words_mut(), sum.words());
                    }
                    (None, _) => {}
                }
            }
            answer.or_block(&matched);
            arena.give(matched);
        }
        if !beyond(high) {
            let mut matched = arena.take_clear();
            for (bit, plane) in self.planes.iter().enumerate().rev() {
                match (&plane.sum, high >> bit & 1) {
                    (Some(sum), 0) => {
                        answer.andnot_block(sum);
                    }
                    (None, 0) => {}
                    (Some(sum), _) => {
                        kernel::take_zeros(matched.words_mut(), answer.words_mut(), sum.words());
                    }
                    (None, _) => {
                        matched.or_block(answer);
                        answer.clear();
                    }
                }
            }
            answer.or_block(&matched);
            arena.give(matched);
        }
    }
}
