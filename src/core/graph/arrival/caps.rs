//! What one profile may come to, whatever the types of its identifiers.

/// How large profiles may get by rows; `None`: of any size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Caps {
    /// How many profiles one may have taken over, those included that these had taken over before.
    pub merges: Option<u32>,
    /// How many identifiers one may hold.
    pub identifiers: Option<u32>,
}

/// How large a profile is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Size {
    /// How many profiles it has taken over, those included that these had taken over before.
    pub merges: u32,
    /// How many identifiers it holds.
    pub identifiers: u32,
}

impl Size {
    /// A single identifier.
    pub(super) const ONE: Self = Self { merges: 0, identifiers: 1 };

    /// What two profiles come to when one takes over the other.
    pub(super) fn merged(self, other: Self) -> Self {
        let sum = self.and(other);
        Self { merges: sum.merges.saturating_add(1), ..sum }
    }

    /// What they come to together when neither has to be taken over.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            merges: self.merges.saturating_add(other.merges),
            identifiers: self.identifiers.saturating_add(other.identifiers),
        }
    }
}

/// What keeps an identifier from a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bound {
    /// The limit of a type.
    Limit {
        /// The rule of the type: of several that are broken the first.
        rule: u32,
        /// Whether the limit has a window.
        windowed: bool,
    },
    /// The cap of merges.
    Merges,
    /// The cap of identifiers.
    Identifiers,
}

impl Caps {
    /// The cap that is broken by a profile of this size, with how much it has of what there may be; of both that of merges. Asked for is what grows.
    pub(super) fn broken(self, size: Size, merges: bool) -> Option<(Bound, u32, u32)> {
        let over = |bound, found, most: Option<u32>| most.filter(|most| found > *most).map(|most| (bound, found, most));
        let by_merges = if merges { over(Bound::Merges, size.merges, self.merges) } else { None };
        by_merges.or_else(|| over(Bound::Identifiers, size.identifiers, self.identifiers))
    }
}
