//! Which profile a component is, for ever: stable ids; and which nodes join too many to join any.

/// A profile that ever was, live or retired, by its founding node (index).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Record {
    /// The profile.
    pub profile_id: i64,
    /// The node it was made for.
    pub founding: u32,
    /// When it was made, in microseconds since any one epoch.
    pub created_at_micros: i64,
}

/// Where profiles live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Homes {
    /// Per node that is the smallest of its component: the live profile of the component. `None` elsewhere, or when a new
    /// profile is needed.
    pub survivor: Vec<Option<i64>>,
    /// Per record: `None` when it lives, else the survivor of the component that holds its founding node.
    pub into: Vec<Option<i64>>,
}

/// Finds the live profile of every component: the oldest, by creation and then id, of all whose founding node lies in it. The
/// others redirect to it.
///
/// `component` is per node the smallest node of its component, as [`govern`](crate::graph::govern()) gives it. Merge and
/// split are symmetric: what was ever founded in a component decides, not what it was part of in between, so that a merge that
/// is undone leaves every id where it was. A new profile is best founded on a node of the strongest type of its component: one that
/// people share would take the id along when it moves on to another of them. A record founded outside the nodes given is nobody's and left as it is.
pub fn homes(component: &[u32], records: &[Record]) -> Homes {
    let root = |record: &Record| component.get(record.founding as usize).map(|&root| root as usize);
    let mut oldest: Vec<Option<(i64, i64)>> = vec![None; component.len()];
    for record in records {
        if let Some(slot) = root(record).and_then(|root| oldest.get_mut(root)) {
            let age = (record.created_at_micros, record.profile_id);
            *slot = Some(slot.map_or(age, |other| other.min(age)));
        }
    }
    let survivor: Vec<Option<i64>> = oldest.into_iter().map(|age| age.map(|(_, profile_id)| profile_id)).collect();
    let into = records
        .iter()
        .map(|record| {
            let home = root(record).and_then(|root| survivor.get(root).copied().flatten());
            home.filter(|&profile_id| profile_id != record.profile_id)
        })
        .collect();
    Homes { survivor, into }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(profile_id: i64, founding: u32, created_at_micros: i64) -> Record {
        Record { profile_id, founding, created_at_micros }
    }

    #[test]
    fn the_oldest_lives_and_the_others_lead_to_it() {
        let records = [record(7, 0, 50), record(8, 3, 20), record(9, 4, 20), record(6, 2, 10)];
        let together = homes(&[0, 0, 2, 0, 0, 5], &records);
        assert_eq!(together.survivor, [Some(8), None, Some(6), None, None, None]);
        assert_eq!(together.into, [Some(8), None, Some(8), None]);
        // Apart again, everyone is back; what was never founded needs a profile.
        let apart = homes(&[0, 0, 2, 3, 4, 5], &records);
        assert_eq!(apart.survivor, [Some(7), None, Some(6), Some(8), Some(9), None]);
        assert_eq!(apart.into, [None; 4]);
    }

    #[test]
    fn a_founder_from_outside_is_left_alone() {
        let found = homes(&[0], &[record(1, 9, 0)]);
        assert_eq!(found, Homes { survivor: vec![None], into: vec![None] });
    }
}
