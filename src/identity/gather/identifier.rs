//! A distinct identifier of a batch. A batch has hundreds of thousands of them, most of them new: what only known ones have is beside them.

use crate::identity::rules::IdentifierType;
use crate::identity::sight::Home;
use pgrx::pg_sys::ItemPointerData;
use std::num::NonZeroI64;

/// A distinct identifier of the batch.
pub struct Identifier {
    /// Number of its type.
    pub type_id: i32,
    /// The place of the value, as it is kept, among those of its type.
    pub(super) text: u32,
    /// The lower, the more telling.
    pub(super) priority: i32,
    /// Whether it links.
    pub strong: bool,
    /// Whether the batch brings it.
    pub fresh: bool,
    /// Its number; 0 before it has one.
    pub node_id: i64,
    /// The profile it has when the batch is stitched, as far as that is known.
    settled: Option<NonZeroI64>,
    /// What the tables say of it.
    known: Option<Box<Known>>,
    /// When rows of the batch show it.
    pub(super) span: Span,
}

/// What is known of an identifier.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    /// Why it links nobody.
    pub quarantine: Option<String>,
    /// Its profile.
    pub home: Option<Home>,
    /// Its row, if the batch does not bring it.
    pub kept: Option<Kept>,
}

/// The row of an identifier: where it is, and when the identifier was seen first and last, in microseconds since 2000.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub place: ItemPointerData,
    pub times: (i64, i64),
}

impl Identifier {
    /// One that nothing is known of.
    pub(super) fn new(ty: &IdentifierType, text: u32) -> Self {
        Self {
            type_id: ty.type_id,
            text,
            priority: ty.priority,
            strong: ty.strong,
            fresh: true,
            node_id: 0,
            settled: None,
            known: None,
            span: Span::NONE,
        }
    }

    /// Says that the batch does not bring it, its number, and what is known of it.
    pub(super) fn know(&mut self, node_id: i64, known: Known) {
        (self.node_id, self.fresh) = (node_id, false);
        self.known = Some(Box::new(known));
    }

    /// Why it links nobody; `None`: it does, if it is strong.
    pub fn quarantine(&self) -> Option<&str> {
        self.known.as_ref()?.quarantine.as_deref()
    }

    /// Says why it links nobody, or that it does.
    pub(super) fn requarantine(&mut self, reason: Option<String>) {
        if reason.is_some() || self.known.is_some() {
            self.known.get_or_insert_default().quarantine = reason;
        }
    }

    /// Its profile.
    pub fn home(&self) -> Option<Home> {
        self.known.as_ref()?.home
    }

    /// Its row, if the batch does not bring it.
    pub(super) fn kept(&self) -> Option<Kept> {
        self.known.as_ref()?.kept
    }

    /// The profile it has when the batch is stitched, as far as that is known.
    pub(super) fn settled(&self) -> Option<i64> {
        self.settled.map(NonZeroI64::get)
    }

    /// Says so.
    pub(super) fn settle(&mut self, profile_id: Option<i64>) {
        self.settled = profile_id.and_then(NonZeroI64::new);
    }
}

/// First and last of some times, in microseconds since 2000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    first: i64,
    last: i64,
}

impl Span {
    /// Of no time.
    pub const NONE: Self = Self { first: i64::MAX, last: i64::MIN };

    /// Takes another time into account.
    pub fn note(&mut self, at: i64) {
        (self.first, self.last) = (self.first.min(at), self.last.max(at));
    }

    /// The first and the last of them.
    pub fn ends(self) -> Option<(i64, i64)> {
        (self.first <= self.last).then_some((self.first, self.last))
    }
}
