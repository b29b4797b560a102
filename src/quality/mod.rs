//! Data quality: what came from each source on each day and how good it was, counted a batch at a time, and what is computed on demand.

mod api;
pub mod tally;
