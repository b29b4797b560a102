//! Memory for chunks: large pieces lie in huge pages where the system offers them.
//!
//! A chunk of a number is megabytes that are read once a question, in stretches of 8 kB far from each other. In pages of 4 kB the processor
//! then waits as long for the addresses as for the data; in pages of 2 MB one core reads two to three times as fast.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// A huge page of Linux on the processors that PostgreSQL mostly runs on. Elsewhere it is an alignment like any other.
const HUGE_PAGE: usize = 2 << 20;

/// Memory whose contents nobody has set.
pub struct Memory {
    start: NonNull<u8>,
    layout: Layout,
}

impl Memory {
    /// At least `length` bytes.
    pub fn new(length: usize) -> Self {
        let layout = layout(length);
        // SAFETY: the layout is not of size zero.
        let start = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        advise(start, layout);
        Self { start, layout }
    }

    /// The first byte.
    pub fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// How many bytes there are.
    pub fn capacity(&self) -> usize {
        self.layout.size()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it was allocated with this layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

/// What is close to whole huge pages becomes whole huge pages.
fn layout(length: usize) -> Layout {
    let length = length.max(1);
    let beyond = length % HUGE_PAGE;
    let (size, align) = match length {
        _ if length < HUGE_PAGE / 2 => (length, 1),
        _ if beyond == 0 || beyond > HUGE_PAGE / 2 => (length.next_multiple_of(HUGE_PAGE), HUGE_PAGE),
        _ => (length, HUGE_PAGE),
    };
    // What PostgreSQL can store is far from the limit of a layout.
    Layout::from_size_align(size, align).unwrap_or(Layout::new::<u8>())
}

/// Asks for huge pages. Whether they come or not changes nothing but the time it takes.
fn advise(start: NonNull<u8>, layout: Layout) {
    #[cfg(target_os = "linux")]
    if layout.align() == HUGE_PAGE {
        // SAFETY: the range is allocated and begins on a page; the advice does not change what is in it.
        unsafe { libc::madvise(start.as_ptr().cast(), layout.size(), libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, layout);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_as_long_as_it_was_asked_for() {
        for length in [0, 1, 8192, HUGE_PAGE / 2, HUGE_PAGE + 5, 2 * HUGE_PAGE - 7, 3 * HUGE_PAGE] {
            let memory = Memory::new(length);
            assert!(memory.capacity() >= length && memory.capacity() <= length + HUGE_PAGE / 2, "{length}");
            if memory.capacity() > 0 {
                // SAFETY: the last byte of the memory.
                unsafe { memory.start().add(memory.capacity() - 1).write(1) };
            }
        }
    }
}
