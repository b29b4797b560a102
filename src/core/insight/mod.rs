//! What sets a group of profiles apart: the statistics of a share against another, quantiles of numbers in chunks, and the scores that
//! find more profiles like those of a group.

pub mod score;
pub mod statistics;

mod cuts;
mod holdout;

pub use cuts::cuts;
pub use holdout::{HELD_OUT_BELOW, holdout};

#[cfg(test)]
mod tests;
