//! What is kept of what one source observed of one trait on one identifier: enough for every rule, and no more.
//!
//! The latest value and the latest clear; for `oldest` the earliest value since that clear too. So of a source that says the same thing in another order the same is
//! left, but for one case: a clear that comes late cannot bring back what `oldest` has let go between the earliest value and the latest.

use super::Rule;

/// An observation that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Microseconds.
    pub observed_at: i64,
    /// Whether it is a clear.
    pub clear: bool,
}

/// Whether a new observation is kept; then which of those kept before it replaces. One of the same moment is overwritten and not among them.
pub fn keep(rule: Rule, kept: &[Kept], new: Kept) -> Option<Vec<usize>> {
    if kept.iter().any(|k| k.clear && k.observed_at > new.observed_at) {
        return None;
    }
    let those = |which: &dyn Fn(&Kept) -> bool| -> Vec<usize> {
        kept.iter().enumerate().filter(|(_, k)| which(k)).map(|(i, _)| i).collect()
    };
    let values = |which: &dyn Fn(i64) -> bool| those(&|k| !k.clear && which(k.observed_at));
    let earlier = values(&|at| at < new.observed_at);
    let later = values(&|at| at > new.observed_at);
    if new.clear {
        return Some(those(&|k| k.observed_at < new.observed_at));
    }
    if rule != Rule::Oldest {
        return later.is_empty().then_some(earlier);
    }
    let but = |some: Vec<usize>, stays: Option<usize>| some.into_iter().filter(|i| Some(*i) != stays).collect();
    let by_time = |i: &usize| kept.get(*i).map(|k| k.observed_at);
    match (earlier.is_empty(), later.is_empty()) {
        (false, false) => None,
        (true, _) => {
            let last = later.iter().copied().max_by_key(by_time);
            Some(but(later, last))
        }
        (false, true) => {
            let first = earlier.iter().copied().min_by_key(by_time);
            Some(but(earlier, first))
        }
    }
}
