//! Segments: questions answered, and answers kept under a name with their history.

mod api;
mod history;
mod insight;
mod lookalike;
mod measure;
mod named;
mod refresh;
mod together;

pub use named::state_named;
