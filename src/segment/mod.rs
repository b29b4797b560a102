//! Segments: questions answered, and answers kept under a name.

mod api;
mod measure;
mod named;
