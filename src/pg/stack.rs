//! The stack limit of PostgreSQL (`max_stack_depth`), for Rust recursion.

use pgrx::pg_sys;

/// Raises 54001 when the stack is nearly used up. To be called at the head of every function that recurses on what a
/// user gave: a Rust stack overflow kills the server process, and with it every session.
pub fn check_depth() {
    // SAFETY: takes no argument and reads only the stack pointer; callable wherever SQL functions run.
    unsafe { pg_sys::check_stack_depth() }
}
