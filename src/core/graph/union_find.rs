//! Union-find over dense numbers.

/// A partition of `0..len` into sets, 4 bytes an element.
///
/// The root of a set is its smallest element, whatever the order of the unions: sets are joined by linking the larger root to
/// the smaller one, and `find` shortens its path by half as it goes. Any sequence of operations costs O(log len) each,
/// amortised; on batches of records close to constant.
///
/// Every operation is total: a number outside `0..len` is a set of its own that nothing can be joined to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnionFind {
    parent: Vec<u32>,
}

impl UnionFind {
    /// `len` elements, each a set of its own.
    pub fn new(len: u32) -> Self {
        Self { parent: (0..len).collect() }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.parent.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.parent.is_empty()
    }

    fn parent(&self, x: u32) -> u32 {
        self.parent.get(x as usize).copied().unwrap_or(x)
    }

    fn link(&mut self, child: u32, parent: u32) {
        if let Some(slot) = self.parent.get_mut(child as usize) {
            *slot = parent;
        }
    }

    /// The smallest element of the set of `x`.
    pub fn find(&mut self, mut x: u32) -> u32 {
        loop {
            let parent = self.parent(x);
            if parent == x {
                return x;
            }
            let grandparent = self.parent(parent);
            self.link(x, grandparent);
            x = grandparent;
        }
    }

    /// Joins the sets of `a` and `b`; `Some((kept, gone))` are the roots when they were two sets, and `kept < gone`.
    pub fn union(&mut self, a: u32, b: u32) -> Option<(u32, u32)> {
        let len = self.parent.len();
        if a as usize >= len || b as usize >= len {
            return None;
        }
        let (a, b) = (self.find(a), self.find(b));
        if a == b {
            return None;
        }
        let (kept, gone) = (a.min(b), a.max(b));
        self.link(gone, kept);
        Some((kept, gone))
    }

    /// Lets every element know the root of its set, so that [`UnionFind::find`] is one step from then on.
    ///
    /// Roots are smallest, so in ascending order an element's parent knows already. Steps do not wait for each other's memory: on sets that
    /// are much larger than the caches this is many times as fast as as many calls of `find`.
    pub fn flatten(&mut self) {
        for x in 0..self.parent.len() {
            let root = self.parent.get(x).map_or(0, |&parent| self.parent(parent));
            if let Some(slot) = self.parent.get_mut(x) {
                *slot = root;
            }
        }
    }

    /// Joins the sets of each pair. As [`UnionFind::union`] in turn; what the pairs need is brought into the caches for all of them first, which
    /// takes about as long as for one.
    pub fn union_all(&mut self, pairs: &[(u32, u32)]) {
        let near = pairs.iter().fold(0, |x, &(a, b)| x ^ self.parent(a) ^ self.parent(b));
        let far = pairs.iter().fold(0, |x, &(a, b)| x ^ self.parent(self.parent(a)) ^ self.parent(self.parent(b)));
        std::hint::black_box((near, far));
        for &(a, b) in pairs {
            self.union(a, b);
        }
    }

    /// Whether `a` and `b` are in one set.
    pub fn same(&mut self, a: u32, b: u32) -> bool {
        self.find(a) == self.find(b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The closure the slow way: every element takes the smallest label among its neighbours until nothing changes.
    fn closure(len: u32, edges: &[(u32, u32)]) -> Vec<u32> {
        let mut label: Vec<u32> = (0..len).collect();
        loop {
            let mut changed = false;
            for &(a, b) in edges {
                let least = label[a as usize].min(label[b as usize]);
                for x in [a, b] {
                    changed |= label[x as usize] != least;
                    label[x as usize] = least;
                }
            }
            if !changed {
                return label;
            }
        }
    }

    proptest! {
        #[test]
        fn equals_the_closure_and_roots_are_minima(
            (len, edges) in (1u32..60).prop_flat_map(|n| (Just(n), prop::collection::vec((0..n, 0..n), 0..80)))
        ) {
            let mut uf = UnionFind::new(len);
            let mut joined = 0;
            for &(a, b) in &edges {
                if let Some((kept, gone)) = uf.union(a, b) {
                    prop_assert!(kept < gone);
                    joined += 1;
                }
            }
            let expected = closure(len, &edges);
            let mut at_once = UnionFind::new(len);
            at_once.union_all(&edges);
            at_once.flatten();
            prop_assert_eq!(&at_once.parent, &expected);
            let found: Vec<u32> = (0..len).map(|x| uf.find(x)).collect();
            prop_assert_eq!(&found, &expected);
            let roots = (0..len).filter(|&x| found[x as usize] == x).count();
            prop_assert_eq!(roots + joined, len as usize);
        }
    }

    #[test]
    fn numbers_outside_are_alone() {
        let mut uf = UnionFind::new(2);
        assert_eq!(uf.find(7), 7);
        uf.union_all(&[(0, 7), (7, 7)]);
        assert_eq!(uf.union(0, 7), None);
        assert_eq!(uf.union(7, 7), None);
        assert!(!uf.same(0, 7));
        assert_eq!(UnionFind::new(0).find(0), 0);
        assert!(UnionFind::new(0).is_empty());
    }

    #[test]
    fn a_long_chain_stays_cheap() {
        let n = 1_000_000;
        let mut uf = UnionFind::new(n);
        for x in (1..n).rev() {
            uf.union(x - 1, x);
        }
        assert!((0..n).all(|x| uf.find(x) == 0));
    }
}
