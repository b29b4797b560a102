//! Identity: identifiers as nodes, edges between those seen together, profiles as components with a stable id.
//!
//! Invariant: every strong node has exactly one live profile, and two nodes have the same one if and only if accepted edges connect them.

mod api;
pub use api::{find, resolve};
mod arrive;
mod blocked;
mod components;
mod entity;
mod follow;
pub mod gather;
mod govern;
mod graph;
mod hold;
mod hub;
mod identify;
mod kept;
pub mod normalise;
mod operate;
mod path;
mod picture;
mod preview;
pub mod rules;
mod shelf;
mod sight;
pub mod stitch;
mod types;
mod value;
mod verify;
