//! A Rust allocation that fails becomes an SQL error instead of the end of the server.
//!
//! Rust's answer to a failed allocation is to abort the process; the postmaster then restarts every session. Panicking
//! inside an allocator is not allowed. So this allocator raises SQLSTATE 53200 the way C code does: `errfinish` jumps to
//! PostgreSQL's innermost handler, the transaction aborts and the session lives on.
//!
//! The price: Rust frames between the allocation and the handler are skipped without running destructors. So nothing
//! that outlives a statement may be half-changed across an allocation, and what those frames owned is leaked.
//! For the same reason `try_reserve` never reports a failure here: the statement ends instead.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::{c_char, c_int};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system allocator with PostgreSQL's out-of-memory error.
pub struct PgAllocator;

/// Address of the main thread's [`MARK`], 0 until [`install`]. A forked backend inherits both the address and the
/// thread-local memory, so it stays right in every process that has loaded the library through the postmaster.
static MAIN_THREAD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static MARK: u8 = const { 0 };
}

/// Marks the calling thread as the one that may raise PostgreSQL errors; called once when the library is loaded.
pub fn install() {
    MAIN_THREAD.store(this_thread(), Ordering::Relaxed);
}

/// Lets glibc keep some megabytes of free heap. By default it gives every freed piece of 128 kB or more back to the system, so that each answer
/// of that size begins with hundreds of page faults, which take longer than computing it. Called by the first question of a session; whoever
/// has set glibc's own variables for the server keeps what they say.
pub fn keep_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::sync::Once;
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let theirs = ["MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"];
            if theirs.iter().all(|name| std::env::var_os(name).is_none()) {
                // SAFETY: sets two numbers of the allocator.
                unsafe {
                    libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_HEAP);
                    libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
                }
            }
        });
    }
}

/// Free heap that is kept: a handful of answers over ten million people.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_HEAP: c_int = 8 << 20;
/// Larger pieces are mapped by themselves and go back to the system when they are freed: chunks, which the cache keeps for longer.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_FROM: c_int = 2 << 20;

fn this_thread() -> usize {
    MARK.with(|mark| std::ptr::from_ref(mark).addr())
}

// Declared here and not taken from pgrx: its wrappers turn the jump into a panic, which an allocator must not do.
unsafe extern "C-unwind" {
    fn errstart(level: c_int, domain: *const c_char) -> bool;
    fn errcode(sqlstate: c_int) -> c_int;
    fn errmsg_internal(format: *const c_char, ...) -> c_int;
    fn errdetail_internal(format: *const c_char, ...) -> c_int;
    fn errfinish(file: *const c_char, line: c_int, function: *const c_char);
}

/// `ERROR` in elog.h of the server version.
const ERROR: c_int = pgrx::PgLogLevel::ERROR as c_int;
/// 53200, six bits a character from the first: '5', '3', '2', '0', '0'.
const OUT_OF_MEMORY: c_int = 5 | 3 << 6 | 2 << 12;

#[cold]
fn out_of_memory(size: usize) {
    if MAIN_THREAD.load(Ordering::Relaxed) != this_thread() {
        // Another thread, or no server around us: the caller gets the null pointer and Rust aborts.
        return;
    }
    // SAFETY: this is the backend's main thread. The functions are PostgreSQL's own, called in the order that ereport()
    // uses; the message is built in the memory that the server keeps back for this case.
    unsafe {
        if errstart(ERROR, std::ptr::null()) {
            errcode(OUT_OF_MEMORY);
            errmsg_internal(c"out of memory".as_ptr());
            errdetail_internal(c"failed on an allocation of %zu bytes".as_ptr(), size);
        }
        errfinish(c"alloc.rs".as_ptr(), line!() as c_int, c"pg_cdp".as_ptr());
    }
}

/// Pieces of so many bytes lie in huge pages where the system offers them on request. What a first load keeps of its rows is gigabytes that are visited in no order: in pages of 4 kB the processor
/// waits longer for the addresses than for the data.
const HUGE_FROM: usize = 8 << 20;

/// Asks for huge pages for a piece of memory; whether it gets them makes no difference but in time.
fn advise(memory: *mut u8, size: usize) {
    #[cfg(target_os = "linux")]
    if size >= HUGE_FROM && !memory.is_null() {
        const PAGE: usize = 4096;
        let begin = memory.addr().next_multiple_of(PAGE);
        let length = (memory.addr() + size - begin) / PAGE * PAGE;
        // SAFETY: the whole pages of a piece that has just been allocated; the advice changes nothing of what is in them.
        unsafe { libc::madvise(memory.with_addr(begin).cast(), length, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (memory, size);
}

// SAFETY: every call goes to the system allocator unchanged; a null result either stays null or never returns.
unsafe impl GlobalAlloc for PgAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is the system allocator's.
        let memory = unsafe { System.alloc(layout) };
        if memory.is_null() {
            out_of_memory(layout.size());
        }
        advise(memory, layout.size());
        memory
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let memory = unsafe { System.alloc_zeroed(layout) };
        if memory.is_null() {
            out_of_memory(layout.size());
        }
        advise(memory, layout.size());
        memory
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        let memory = unsafe { System.realloc(old, layout, size) };
        if memory.is_null() {
            out_of_memory(size);
        }
        advise(memory, size);
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}
