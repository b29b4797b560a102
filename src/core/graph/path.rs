//! Why two nodes are one person: the chain of evidence, and the edges that alone hold a component together.

use std::collections::VecDeque;

/// An accepted edge. A pair of nodes may have several, from several sources: they count as one, with the highest trust and the
/// latest sight of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Link {
    /// One node.
    pub from: i64,
    /// The other one.
    pub to: i64,
    /// How far it is trusted.
    pub trust: i32,
    /// When it was last seen, in microseconds since any one epoch.
    pub last_seen: i64,
}

/// A step of a chain, in the direction in which it is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Step {
    /// Where it starts.
    pub from: i64,
    /// Where it leads.
    pub to: i64,
    /// The highest trust of the links of this pair.
    pub trust: i32,
    /// The latest sight of them.
    pub last_seen: i64,
    /// Whether nothing else holds the two sides together: without this pair the component falls apart.
    pub bridge: bool,
    /// Whether this is the weakest step: of the least trust, of those the longest unseen, of those a bridge, of those the nearest
    /// to the smaller end. One step is.
    pub weakest: bool,
}

/// The chain of links from one node to another; `None` when there is none.
///
/// It has the fewest steps. Of several such chains it is one whose weakest step is strongest, by trust and then by sight; of
/// several of those the first by its nodes, read from the smaller end. So it is the same chain from either end, and whatever
/// the order of `links`. A node is joined to itself by an empty chain. Time and memory are those of sorting the links.
pub fn path(links: &[Link], from: i64, to: i64) -> Option<Vec<Step>> {
    if from == to {
        return Some(Vec::new());
    }
    let net = Net::new(links);
    let (low, high) = (net.number(from.min(to))?, net.number(from.max(to))?);
    let chain = net.chain(low, high)?;
    let bridges = net.bridges(Some(low));
    let mut steps: Vec<Step> = chain.iter().filter_map(|&hop| net.step(hop, &bridges)).collect();
    let frailty = |step: &Step| (step.trust, step.last_seen, !step.bridge);
    if let Some(weakest) = steps.iter_mut().min_by_key(|step| frailty(step)) {
        weakest.weakest = true;
    }
    if from > to {
        steps.reverse();
        for step in &mut steps {
            std::mem::swap(&mut step.from, &mut step.to);
        }
    }
    Some(steps)
}

/// The bridges of all components, as (smaller node, larger node), ascending: pairs whose sides nothing else holds together.
pub fn bridges(links: &[Link]) -> Vec<(i64, i64)> {
    let net = Net::new(links);
    let found = net.bridges(None);
    let of = |(pair, _): (&Pair, &bool)| Some((net.id(pair.low)?, net.id(pair.high)?));
    net.pairs.iter().zip(&found).filter(|&(_, &bridge)| bridge).filter_map(of).collect()
}

/// Two nodes by number, the smaller first, and what all their links say together.
#[derive(Clone, Copy)]
struct Pair {
    low: u32,
    high: u32,
    strength: Strength,
}

/// Trust, then last sight.
type Strength = (i32, i64);

/// Strong enough for anything: what an empty chain has.
const SURE: Strength = (i32::MAX, i64::MAX);

/// A way out of a node: the neighbour, and the pair that leads there.
#[derive(Clone, Copy)]
struct Hop {
    from: u32,
    to: u32,
    pair: u32,
}

/// The links as a simple graph: nodes numbered by id, pairs ascending, the neighbours of a node ascending.
struct Net {
    ids: Vec<i64>,
    pairs: Vec<Pair>,
    /// The hops out of all nodes, by node.
    hops: Vec<Hop>,
    /// Per node: where its hops begin; and the end of the last ones.
    starts: Vec<usize>,
}

impl Net {
    fn new(links: &[Link]) -> Self {
        let mut ids: Vec<i64> = links.iter().flat_map(|link| [link.from, link.to]).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut net = Self { ids, pairs: Vec::new(), hops: Vec::new(), starts: Vec::new() };
        let mut pairs: Vec<Pair> = links.iter().filter_map(|link| net.pair(link)).collect();
        pairs.sort_unstable_by_key(|pair| (pair.low, pair.high));
        pairs.dedup_by(|next, kept| {
            let same = (next.low, next.high) == (kept.low, kept.high);
            if same {
                let ((trust, seen), (other, later)) = (kept.strength, next.strength);
                kept.strength = (trust.max(other), seen.max(later));
            }
            same
        });
        net.hops = (0u32..)
            .zip(&pairs)
            .flat_map(|(pair, &Pair { low, high, .. })| {
                [Hop { from: low, to: high, pair }, Hop { from: high, to: low, pair }]
            })
            .collect();
        net.hops.sort_unstable_by_key(|hop| (hop.from, hop.to));
        net.starts = vec![0; net.ids.len() + 1];
        for hop in &net.hops {
            if let Some(count) = net.starts.get_mut(hop.from as usize + 1) {
                *count += 1;
            }
        }
        let mut end = 0;
        for start in &mut net.starts {
            end += *start;
            *start = end;
        }
        net.pairs = pairs;
        net
    }

    fn number(&self, id: i64) -> Option<u32> {
        self.ids.binary_search(&id).ok().and_then(|place| u32::try_from(place).ok())
    }

    fn id(&self, node: u32) -> Option<i64> {
        self.ids.get(node as usize).copied()
    }

    /// The pair of a link; a link of a node to itself is none.
    fn pair(&self, link: &Link) -> Option<Pair> {
        let (low, high) = (self.number(link.from.min(link.to))?, self.number(link.from.max(link.to))?);
        (low != high).then_some(Pair { low, high, strength: (link.trust, link.last_seen) })
    }

    fn strength(&self, hop: Hop) -> Strength {
        self.pairs.get(hop.pair as usize).map_or(SURE, |pair| pair.strength)
    }

    fn hop(&self, place: usize) -> Option<Hop> {
        self.hops.get(place).copied()
    }

    /// The places of the hops out of a node.
    fn places(&self, node: u32) -> std::ops::Range<usize> {
        let at = |i: usize| self.starts.get(i).copied().unwrap_or(self.hops.len());
        at(node as usize)..at(node as usize + 1)
    }

    fn hops(&self, node: u32) -> impl Iterator<Item = Hop> + '_ {
        self.hops.get(self.places(node)).unwrap_or_default().iter().copied()
    }

    fn step(&self, hop: Hop, bridges: &[bool]) -> Option<Step> {
        let (trust, last_seen) = self.strength(hop);
        let bridge = bridges.get(hop.pair as usize).is_some_and(|&b| b);
        Some(Step { from: self.id(hop.from)?, to: self.id(hop.to)?, trust, last_seen, bridge, weakest: false })
    }

    /// The hops of the best chain.
    fn chain(&self, low: u32, high: u32) -> Option<Vec<Hop>> {
        // From the far end on: how many steps are left from each node, and how strong the weakest of the best of them is.
        let mut left: Vec<Option<(u32, Strength)>> = vec![None; self.ids.len()];
        *left.get_mut(high as usize)? = Some((0, SURE));
        let mut queue = VecDeque::from([high]);
        while let Some(node) = queue.pop_front() {
            let Some((steps, strength)) = left.get(node as usize).copied().flatten() else { continue };
            for hop in self.hops(node) {
                let through = strength.min(self.strength(hop));
                match left.get_mut(hop.to as usize) {
                    // All of one distance are taken before any of the next, so that a strength is final when it is used.
                    Some(Some((known, best))) if *known == steps + 1 => *best = through.max(*best),
                    Some(Some(_)) | None => {}
                    Some(unknown) => {
                        *unknown = Some((steps + 1, through));
                        queue.push_back(hop.to);
                    }
                }
            }
        }

        // From the near end: always to the first neighbour that keeps what is promised there.
        let (steps, promised) = left.get(low as usize).copied().flatten()?;
        let mut chain = Vec::with_capacity(steps as usize);
        let mut node = low;
        for after in (0..steps).rev() {
            let keeps = |hop: &Hop| {
                let beyond = left.get(hop.to as usize).copied().flatten();
                beyond.is_some_and(|(steps, strength)| steps == after && strength.min(self.strength(*hop)) >= promised)
            };
            let hop = self.hops(node).find(keeps)?;
            node = hop.to;
            chain.push(hop);
        }
        Some(chain)
    }

    /// Per pair: whether it is a bridge; in the component of one node, or in all.
    ///
    /// Tarjan's algorithm with a stack of its own: a tree edge is a bridge when nothing below it leads back above it.
    fn bridges(&self, only: Option<u32>) -> Vec<bool> {
        const NEW: u32 = u32::MAX;
        let mut found = vec![false; self.pairs.len()];
        // Per node: when it was reached, and the earliest that its subtree leads back to.
        let mut reached = vec![NEW; self.ids.len()];
        let mut lowest = vec![NEW; self.ids.len()];
        let mut clock = 0;
        // The way to the node at hand: each node's entry, and the next of its hops.
        let mut way: Vec<(u32, Option<u32>, usize)> = Vec::new();
        let starts = only.map_or(0..self.ids.len(), |node| node as usize..node as usize + 1);
        for start in starts {
            if reached.get(start) != Some(&NEW) {
                continue;
            }
            let Ok(start) = u32::try_from(start) else { break };
            way.push((start, None, self.places(start).start));
            while let Some((node, entry, next)) = way.last_mut() {
                let (node, entry, place) = (*node, *entry, *next);
                if let (Some(at), Some(low)) = (reached.get_mut(node as usize), lowest.get_mut(node as usize))
                    && *at == NEW
                {
                    (*at, *low) = (clock, clock);
                    clock += 1;
                }
                if place < self.places(node).end
                    && let Some(hop) = self.hop(place)
                {
                    *next += 1;
                    let seen = reached.get(hop.to as usize).copied().unwrap_or(NEW);
                    if seen == NEW {
                        way.push((hop.to, Some(hop.pair), self.places(hop.to).start));
                    } else if entry != Some(hop.pair)
                        && let Some(low) = lowest.get_mut(node as usize)
                    {
                        *low = seen.min(*low);
                    }
                    continue;
                }
                way.pop();
                let low = lowest.get(node as usize).copied().unwrap_or(NEW);
                if let (Some(&(above, ..)), Some(pair)) = (way.last(), entry) {
                    if let Some(slot) = found.get_mut(pair as usize) {
                        *slot = Some(&low) == reached.get(node as usize);
                    }
                    if let Some(slot) = lowest.get_mut(above as usize) {
                        *slot = low.min(*slot);
                    }
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests;
