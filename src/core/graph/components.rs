//! Connected components of any number of edges between any 64-bit ids.
//!
//! Edges come in one at a time and are not kept longer than needed. While the ids lie close enough together, each edge goes straight into a
//! union-find with one element for every number between the smallest and the largest id: 4 bytes and a bit an id, no sorting. Otherwise edges
//! are gathered, and once there are many the gathered ones are replaced by a forest of the same components, so that memory follows the number
//! of ids and not that of edges.
//!
//! The answer is a function of the *set* of edges: every id that was named, ascending, each with the smallest id of its component.

use crate::graph::union_find::UnionFind;

/// Ids are close together while an edge so far stands for at most so many numbers between the smallest and the largest. The window then costs
/// 4.1 bytes a number, 33 bytes an edge; gathered edges cost 16 bytes and their ends, while they are numbered, 16 more.
const NUMBERS_AN_EDGE: u64 = 8;

/// Edges gathered before it is first asked whether their ids are close together: 16 MB.
const FIRST_LOOK: usize = 1 << 20;

/// Edges gathered before they are first replaced by a forest: with their ends, 256 MB. Each replacement is of at least twice as many edges as
/// the forest before it had, so all of them together cost at most twice the last.
const FIRST_FOREST: usize = 1 << 23;

/// More than 2^32 - 2 different ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyNodes;

impl std::fmt::Display for TooManyNodes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("there are more than 4294967294 nodes")
    }
}

impl std::error::Error for TooManyNodes {}

/// Edges on their way to components.
#[derive(Debug)]
pub struct Edges {
    window: Option<Window>,
    /// Edges that are in no window; after a forest, trees first.
    gathered: Vec<(i64, i64)>,
    /// How many edges have come in since the beginning.
    seen: u64,
    /// The length of `gathered` at which it is looked at next.
    look_at: usize,
    /// The length at which it is next replaced by a forest.
    forest_at: usize,
    first_look: usize,
}

impl Default for Edges {
    fn default() -> Self {
        Self::looking_at(FIRST_LOOK, FIRST_FOREST)
    }
}

impl Edges {
    /// No edges.
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`Edges::new`], with other sizes: tests need not have millions of edges.
    fn looking_at(first_look: usize, first_forest: usize) -> Self {
        Self { window: None, gathered: Vec::new(), seen: 0, look_at: first_look, forest_at: first_forest, first_look }
    }

    /// Ties two ids; an id tied to itself is brought in alone.
    ///
    /// Once in a while this computes for up to some seconds; `pulse` is then called every some thousand steps.
    ///
    /// # Errors
    /// [`TooManyNodes`].
    #[inline]
    pub fn tie(&mut self, a: i64, b: i64, pulse: &mut impl FnMut()) -> Result<(), TooManyNodes> {
        self.seen += 1;
        if let Some(window) = &mut self.window
            && window.tie(a, b)
        {
            return Ok(());
        }
        self.gathered.push((a, b));
        if self.gathered.len() >= self.look_at { self.look(pulse) } else { Ok(()) }
    }

    /// Every id that was named, ascending, with the smallest of its component.
    ///
    /// # Errors
    /// [`TooManyNodes`].
    pub fn components(mut self, pulse: &mut impl FnMut()) -> Result<Components, TooManyNodes> {
        self.fill_window(pulse);
        match self.window {
            Some(window) if self.gathered.is_empty() => Ok(Components(Walk::Window(window.settled(), 0))),
            window => {
                let mut gathered = self.gathered;
                if let Some(window) = window {
                    window.forest(&mut gathered, pulse);
                }
                Ok(Components(Walk::Numbered(Numbered::of(gathered, pulse)?.0, 0)))
            }
        }
    }

    /// Takes what is gathered into the window if that can be; otherwise makes a forest of it once there is enough.
    #[cold]
    fn look(&mut self, pulse: &mut impl FnMut()) -> Result<(), TooManyNodes> {
        if !self.fill_window(pulse) {
            if let Some(window) = self.window.take() {
                // From here on the ids count as scattered. What the window knows is a forest.
                window.forest(&mut self.gathered, pulse);
            }
            if self.gathered.len() >= self.forest_at {
                let gathered = std::mem::take(&mut self.gathered);
                let (numbered, room) = Numbered::of(gathered, pulse)?;
                self.gathered = room;
                numbered.forest(&mut self.gathered, pulse);
                self.forest_at = self.forest_at.max(self.gathered.len().saturating_mul(2));
            }
        }
        self.look_at = if self.window.is_some() {
            self.first_look
        } else {
            self.gathered.len().saturating_mul(2).min(self.forest_at).max(self.gathered.len() + self.first_look)
        };
        Ok(())
    }

    /// Moves what is gathered into the window, widened to hold it, unless the window would be too wide.
    fn fill_window(&mut self, pulse: &mut impl FnMut()) -> bool {
        let Some((least, most)) = range(&self.gathered) else { return true };
        let (least, most) = match &self.window {
            Some(w) => (least.min(w.base), most.max(w.last())),
            None => (least, most),
        };
        let width = most.abs_diff(least).saturating_add(1);
        if width > self.seen.saturating_mul(NUMBERS_AN_EDGE) || width >= u64::from(u32::MAX) {
            return false;
        }
        let window = match self.window.take() {
            Some(window) => window.widened(least, most, pulse),
            None => Window::new(least, most),
        };
        let window = self.window.insert(window);
        for (step, (a, b)) in self.gathered.drain(..).enumerate() {
            if step.is_multiple_of(STEPS) {
                pulse();
            }
            window.tie(a, b);
        }
        true
    }
}

/// Steps of some tens of nanoseconds between two calls of a pulse.
const STEPS: usize = 1 << 14;

/// The smallest and the largest id.
fn range(edges: &[(i64, i64)]) -> Option<(i64, i64)> {
    let first = edges.first()?.0;
    Some(edges.iter().fold((first, first), |(least, most), &(a, b)| (least.min(a).min(b), most.max(a).max(b))))
}

/// One element for every number from `base` on.
#[derive(Debug)]
struct Window {
    base: i64,
    sets: UnionFind,
    /// A bit for every number that is an id.
    named: Vec<u64>,
    /// Pairs of elements that are yet to be joined, fewer than [`TOGETHER`].
    waiting: Vec<(u32, u32)>,
}

/// Edges whose ends are looked up together: enough to keep the memory busy, few enough to stay in the first cache.
const TOGETHER: usize = 64;

impl Window {
    fn new(least: i64, most: i64) -> Self {
        // The caller has checked that the width is below 2^32 - 1.
        let width = u32::try_from(most.abs_diff(least).saturating_add(1)).unwrap_or(u32::MAX);
        Self {
            base: least,
            sets: UnionFind::new(width),
            named: vec![0; (width as usize).div_ceil(64)],
            waiting: Vec::with_capacity(TOGETHER),
        }
    }

    fn last(&self) -> i64 {
        self.base.saturating_add_unsigned((self.sets.len() as u64).saturating_sub(1))
    }

    /// The element of an id; `None` outside.
    #[inline]
    fn element(&self, id: i64) -> Option<u32> {
        let element = id.abs_diff(self.base);
        (id >= self.base && element < self.sets.len() as u64).then_some(element as u32)
    }

    /// Ties two ids; false, and nothing has happened, when one lies outside.
    #[inline]
    fn tie(&mut self, a: i64, b: i64) -> bool {
        let (Some(a), Some(b)) = (self.element(a), self.element(b)) else { return false };
        for x in [a, b] {
            if let Some(word) = self.named.get_mut(x as usize / 64) {
                *word |= 1 << (x % 64);
            }
        }
        self.waiting.push((a, b));
        if self.waiting.len() >= TOGETHER {
            self.join();
        }
        true
    }

    fn join(&mut self) {
        self.sets.union_all(&self.waiting);
        self.waiting.clear();
    }

    /// Nothing waits any longer and every element knows its root.
    fn settled(mut self) -> Self {
        self.join();
        self.sets.flatten();
        self
    }

    /// The same in a window from `least` to `most`, which hold this one. Where it grows it grows by half, so that ids that only
    /// ever fall or rise are not copied again and again.
    fn widened(self, least: i64, most: i64, pulse: &mut impl FnMut()) -> Self {
        let half = (self.sets.len() / 2) as u64;
        let wide = most.abs_diff(least).saturating_add(half).saturating_add(1) < u64::from(u32::MAX);
        let (mut from, mut to) = (least, most);
        if wide && least < self.base {
            from = least.min(self.base.saturating_sub_unsigned(half));
        } else if wide && most > self.last() {
            to = most.max(self.last().saturating_add_unsigned(half));
        }
        let mut out = Self::new(from, to);
        let mut step = 0usize;
        let mut this = self.settled();
        let mut next = 0;
        while let Some((id, root)) = this.next(&mut next) {
            if step.is_multiple_of(STEPS) {
                pulse();
            }
            step += 1;
            out.tie(id, root);
        }
        out
    }

    /// The id at or after an element, which is moved behind it, with the smallest id of its component. The window is settled.
    fn next(&mut self, from: &mut u64) -> Option<(i64, i64)> {
        let mut at = (*from / 64) as usize;
        let mut word = self.named.get(at)? & (u64::MAX << (*from % 64));
        while word == 0 {
            at += 1;
            word = *self.named.get(at)?;
        }
        let x = at as u64 * 64 + u64::from(word.trailing_zeros());
        *from = x + 1;
        let root = self.sets.find(x as u32);
        Some((self.base.saturating_add_unsigned(x), self.base.saturating_add(i64::from(root))))
    }

    /// Appends an edge for every id, to the smallest of its component.
    fn forest(self, into: &mut Vec<(i64, i64)>, pulse: &mut impl FnMut()) {
        let mut next = 0;
        let mut this = self.settled();
        while let Some(edge) = this.next(&mut next) {
            if into.len().is_multiple_of(STEPS) {
                pulse();
            }
            into.push(edge);
        }
    }
}

/// The ids in order; an id's element is its place among them.
#[derive(Debug)]
struct Numbered {
    ids: Vec<i64>,
    sets: UnionFind,
}

impl Numbered {
    /// The components of a list of edges, and the list's memory, empty.
    fn of(mut edges: Vec<(i64, i64)>, pulse: &mut impl FnMut()) -> Result<(Self, Vec<(i64, i64)>), TooManyNodes> {
        let mut ids: Vec<i64> = Vec::with_capacity(edges.len() * 2);
        ids.extend(edges.iter().flat_map(|&(a, b)| [a, b]));
        sort(&mut ids, pulse);
        ids.dedup();
        ids.shrink_to_fit();
        let len = u32::try_from(ids.len()).ok().filter(|&len| len < u32::MAX).ok_or(TooManyNodes)?;
        let mut sets = UnionFind::new(len);
        let places = Places::of(&ids);
        let mut waiting = Vec::with_capacity(TOGETHER);
        for (step, some) in edges.chunks(TOGETHER).enumerate() {
            if step.is_multiple_of(STEPS / TOGETHER) {
                pulse();
            }
            waiting.clear();
            waiting.extend(some.iter().map(|&(a, b)| (places.of_id(&ids, a), places.of_id(&ids, b))));
            sets.union_all(&waiting);
        }
        sets.flatten();
        edges.clear();
        Ok((Self { ids, sets }, edges))
    }

    fn at(&mut self, x: usize) -> Option<(i64, i64)> {
        let id = *self.ids.get(x)?;
        let root = self.sets.find(x as u32);
        Some((id, self.ids.get(root as usize).copied().unwrap_or(id)))
    }

    fn forest(mut self, into: &mut Vec<(i64, i64)>, pulse: &mut impl FnMut()) {
        for x in 0..self.ids.len() {
            if x.is_multiple_of(STEPS) {
                pulse();
            }
            into.extend(self.at(x));
        }
    }
}

/// Where ids lie in their sorted list. The range of ids is cut into equal stretches, about as many as there are ids to four; a binary search
/// within a stretch is then short, whatever ids are spread over their range at random. For any other ids it is a binary search.
struct Places {
    least: i64,
    shift: u32,
    /// Per stretch: where it begins in the list. One more for the end.
    begin: Vec<u32>,
}

impl Places {
    fn of(ids: &[i64]) -> Self {
        let (least, most) = (ids.first().copied().unwrap_or(0), ids.last().copied().unwrap_or(0));
        let stretches = (ids.len() as u64 / 4).max(1);
        // Shifted so, the last id lies in a stretch below twice as many.
        let shift = (64 - (most.abs_diff(least) / stretches).leading_zeros()).min(63);
        let mut begin = Vec::with_capacity(ids.len() / 4 + 2);
        for (place, &id) in (0u32..).zip(ids) {
            let stretch = (id.abs_diff(least) >> shift) as usize;
            while begin.len() <= stretch {
                begin.push(place);
            }
        }
        begin.push(ids.len() as u32);
        Self { least, shift, begin }
    }

    /// The place of an id that is in the list.
    #[inline]
    fn of_id(&self, ids: &[i64], id: i64) -> u32 {
        let stretch = (id.abs_diff(self.least) >> self.shift) as usize;
        let from = self.begin.get(stretch).map_or(0, |&x| x as usize);
        let to = self.begin.get(stretch + 1).map_or(ids.len(), |&x| x as usize);
        (from + ids.get(from..to).map_or(0, |some| some.partition_point(|&x| x < id))) as u32
    }
}

/// Sorts, and lets the pulse be heard in between: what is long is first parted at its middle.
fn sort(ids: &mut [i64], pulse: &mut impl FnMut()) {
    /// Sorted within two tenths of a second.
    const SHORT: usize = 1 << 22;
    pulse();
    if ids.len() <= SHORT {
        ids.sort_unstable();
        return;
    }
    let middle = ids.len() / 2;
    let (left, _, right) = ids.select_nth_unstable(middle);
    sort(left, pulse);
    sort(right, pulse);
}

/// Ids with the smallest id of their component, ascending.
#[derive(Debug)]
pub struct Components(Walk);

/// The elements, and the one to go on from.
#[derive(Debug)]
enum Walk {
    Window(Window, u64),
    Numbered(Numbered, usize),
}

impl Iterator for Components {
    type Item = (i64, i64);

    fn next(&mut self) -> Option<(i64, i64)> {
        match &mut self.0 {
            Walk::Window(window, next) => window.next(next),
            Walk::Numbered(numbered, next) => {
                let found = numbered.at(*next)?;
                *next += 1;
                Some(found)
            }
        }
    }
}

#[cfg(test)]
mod tests;
