//! What the tests of the bits share.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects by failing")]

pub mod checks;
pub mod mutants;
pub mod rng;
pub mod shapes;
