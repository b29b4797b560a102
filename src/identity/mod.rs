//! Identity: identifiers as nodes, edges between those seen together, profiles as components with a stable id.
//!
//! Invariant: every strong node has exactly one live profile, and two nodes have the same one if and only if accepted edges connect them.

mod api;
pub use api::{find, resolve};
mod components;
pub mod normalise;
pub mod stitch;
