//! The laws of set algebra, and every operation beside a plain `BTreeSet`: on 64-bit sets as bytes, on the containers of a
//! shard, and on programs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects by failing")]

#[path = "../common/mod.rs"]
mod common;

mod containers;
mod programs;
mod treemaps;
