//! Segments: questions answered, and answers kept under a name.

mod api;
mod insight;
mod lookalike;
mod measure;
mod named;
