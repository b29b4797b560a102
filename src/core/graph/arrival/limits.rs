//! What limits say of a profile to be.

use std::collections::HashMap;

use super::{ArrivalError, Identifier};
use crate::graph::govern::TypeRule;

/// Values by what they are counted by: for each key, when each was first seen and what part of the profile to be it comes from.
pub(super) type Values = HashMap<u32, Vec<(i64, usize)>>;

/// A limit that the profile to be would break.
pub(super) struct Breach {
    pub(super) rule: u32,
    pub(super) found: u32,
    pub(super) most: u32,
    pub(super) windowed: bool,
}

/// The rules of types. A value is counted by its rule and scope, which have a key together.
#[derive(Debug)]
pub(super) struct Limits {
    rules: Vec<TypeRule>,
    /// Per rule: the keys of its scopes.
    scopes: Vec<HashMap<String, u32>>,
    /// Per key: the rule.
    keys: Vec<u32>,
}

impl Limits {
    pub(super) fn new(rules: Vec<TypeRule>) -> Self {
        Self { scopes: vec![HashMap::new(); rules.len()], rules, keys: Vec::new() }
    }

    pub(super) fn rule(&self, identifier: &Identifier<'_>) -> Result<&TypeRule, ArrivalError> {
        self.rules.get(identifier.rule as usize).ok_or(ArrivalError::NoRule { node: identifier.node })
    }

    /// The key that a value is counted by; `None` when its type has no limit.
    pub(super) fn key(&mut self, identifier: &Identifier<'_>) -> Result<Option<u32>, ArrivalError> {
        if self.rule(identifier)?.limit.is_none() {
            return Ok(None);
        }
        let Some(scopes) = self.scopes.get_mut(identifier.rule as usize) else { return Ok(None) };
        if let Some(&key) = scopes.get(identifier.scope) {
            return Ok(Some(key));
        }
        let key = u32::try_from(self.keys.len()).map_err(|_| ArrivalError::TooLarge)?;
        scopes.insert(identifier.scope.to_owned(), key);
        self.keys.push(identifier.rule);
        Ok(Some(key))
    }

    /// The limit that the parts break together: of several the first rule's, and the largest excess.
    pub(super) fn breach(&self, values: Values) -> Option<Breach> {
        let mut worst: Option<Breach> = None;
        for (key, times) in values {
            let Some(&rule) = self.keys.get(key as usize) else { continue };
            let Some(&TypeRule { limit, window_micros, .. }) = self.rules.get(rule as usize) else { continue };
            let found = together(times, window_micros);
            let Some(most) = limit.filter(|&most| found > most) else { continue };
            let is_worse = |w: &Breach| rule < w.rule || rule == w.rule && found > w.found;
            if worst.as_ref().is_none_or(is_worse) {
                worst = Some(Breach { rule, found, most, windowed: window_micros.is_some() });
            }
        }
        worst
    }
}

/// The most values in a span that has values of more than one part. `None` as a window spans all.
fn together(mut times: Vec<(i64, usize)>, window: Option<i64>) -> u32 {
    times.sort_unstable();
    let width = match window {
        None => None,
        Some(window) if window > 0 => Some(window.unsigned_abs()),
        Some(_) => return 0,
    };
    let mut most = 0;
    // The span from `start` on ends before `end`; `change` is its last place where a part follows another one.
    let (mut end, mut change) = (0, 0);
    let mut last: Option<usize> = None;
    for (start, &(from, _)) in times.iter().enumerate() {
        while let Some(&(time, part)) = times.get(end)
            && width.is_none_or(|width| time.abs_diff(from) < width)
        {
            if last.is_some_and(|last| last != part) {
                change = end;
            }
            last = Some(part);
            end += 1;
        }
        if change > start {
            most = most.max(end - start);
        }
    }
    u32::try_from(most).unwrap_or(u32::MAX)
}
