//! Beside `croaring`, the reference implementation in C: what the operations answer, what is written, and which bytes are read.
//!
//! The rule of reading: whatever our gate (`bitmap_treemap::canonical`) accepts, croaring accepts, with the same members. The
//! gate is stricter; [`acceptance`] says in what.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects by failing")]

#[path = "../common/mod.rs"]
mod common;

mod acceptance;
mod agreement;
