//! Parts of values that PostgreSQL keeps out of line, for questions that need little of a long value.
//!
//! A function that is called for many rows is often asked about the same value again: a set beside a column of ids. So what was
//! fetched is kept with the call, for as long as the statement runs, and after a few parts the whole value is fetched.

use std::collections::BTreeMap;

use pgrx::{PgMemoryContexts, pg_sys};

use super::toast::{PIECE, Pointer, fetch_part};
use pg_cdp_core::bitmap_treemap::Source;

/// A shorter value is not kept.
const PARTS_FROM: u32 = 16 << 10;
/// A part costs a scan of the TOAST index, some 8 us, as much as fetching so many more bytes. When parts come to cost as much as the whole value, that is
/// fetched, unless it is longer than [`MOST_KEPT`].
const PART_COSTS: usize = 64 << 10;
/// The longest value that is kept whole: 32 MB, the bits of 250 million numbers.
const MOST_KEPT: usize = 32 << 20;

/// A value out of line, and what has been fetched of it.
pub struct Pieces {
    pointer: Pointer,
    /// The parts, by where they begin.
    parts: BTreeMap<usize, Vec<u8>>,
}

impl Pieces {
    fn new(pointer: Pointer) -> Self {
        Self { pointer, parts: BTreeMap::new() }
    }

    /// Bytes of the whole payload.
    pub fn length(&self) -> usize {
        self.pointer.length as usize
    }

    /// What has been fetched of `at..end`, if all of it.
    fn held(&self, at: usize, end: usize) -> Option<&[u8]> {
        let (start, part) = self.parts.range(..=at).next_back()?;
        part.get(at - start..end - start)
    }

    /// Fetches all of the value when `parts` of it would cost more.
    fn fetch_whole_for(&mut self, parts: usize) -> bool {
        let worth = parts.saturating_mul(PART_COSTS) >= self.length() && self.length() <= MOST_KEPT;
        if worth && self.held(0, self.length()).is_none() {
            self.parts.clear();
            self.parts.insert(0, fetch_part(self.pointer, 0, self.length()));
        }
        worth
    }

    fn fetch(&mut self, at: usize, end: usize) {
        if self.fetch_whole_for(self.parts.len() + 1) {
            return;
        }
        // Of a value that is too long to be kept, some hundred parts are.
        if self.parts.len() * PART_COSTS > MOST_KEPT {
            self.parts.clear();
        }
        // Whole rows of the TOAST table: their other bytes come for nothing.
        let (first, last) = (at / PIECE * PIECE, end.next_multiple_of(PIECE).min(self.length()));
        self.parts.insert(first, fetch_part(self.pointer, first, last - first));
    }
}

impl Source for Pieces {
    fn read(&mut self, at: usize, length: usize) -> &[u8] {
        let end = at.saturating_add(length).min(self.length());
        if at >= end {
            return &[];
        }
        if self.held(at, end).is_none() {
            self.fetch(at, end);
        }
        self.held(at, end).unwrap_or_default()
    }

    fn will_read(&mut self, parts: usize) {
        self.fetch_whole_for(parts);
    }
}

/// What a call keeps from one row to the next.
struct Kept {
    /// When the statement began. A value's number is given out anew when the value has been gone for 2^32 others: not while a statement
    /// runs, but the call of an index expression lives as long as the session.
    statement: pg_sys::TimestampTz,
    pieces: Pieces,
}

/// Answers a question from parts of a value; `None` when it should be read as a whole: it is short, compressed or in memory.
///
/// # Safety
/// `call` must be what PostgreSQL called the function with, and `datum` a non-null datum of a type with `typlen = -1`. The function must not use
/// `fn_extra` for anything else.
pub unsafe fn ask<T>(
    call: pg_sys::FunctionCallInfo,
    datum: pg_sys::Datum,
    question: impl FnOnce(&mut Pieces) -> T,
) -> Option<T> {
    // SAFETY: the caller's promise. What `fn_extra` points to is a `Kept` in the context of the call, dropped with that.
    unsafe {
        let pointer = Pointer::read(datum).filter(|pointer| pointer.length >= PARTS_FROM)?;
        let Some(function) = (*call).flinfo.as_mut() else { return Some(question(&mut Pieces::new(pointer))) };
        let statement = pg_sys::GetCurrentStatementStartTimestamp();
        if function.fn_extra.is_null() {
            let kept = Kept { statement, pieces: Pieces::new(pointer) };
            function.fn_extra = PgMemoryContexts::For(function.fn_mcxt).leak_and_drop_on_delete(kept).cast();
        }
        let kept = &mut *function.fn_extra.cast::<Kept>();
        if kept.statement != statement || kept.pieces.pointer != pointer {
            *kept = Kept { statement, pieces: Pieces::new(pointer) };
        }
        Some(question(&mut kept.pieces))
    }
}
