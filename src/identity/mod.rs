//! Identity: identifiers as nodes, edges between those seen together, profiles as components with a stable id.
//!
//! Invariant: every strong node has exactly one live profile, and two nodes have the same one if and only if accepted edges connect them.

use crate::pg::append::Shape;

mod api;
pub use api::{find, resolve};
mod arrive;
pub mod blocked;
mod components;
mod enter;
mod entity;
mod follow;
pub mod gather;
mod govern;
mod graph;
mod hold;
mod hub;
pub mod identify;
mod key;
pub mod normalise;
mod operate;
pub mod origin;
mod path;
mod picture;
mod preview;
pub mod rules;
mod shelf;
pub mod sight;
pub mod stitch;
pub mod types;
pub mod value;
mod verify;

/// Tables that are read without a query, with how many columns they have.
pub const DIRECT: [(&str, i32); 5] = [
    ("source", origin::COLUMNS),
    ("node", hold::node::COLUMNS),
    ("profile", hold::profile::COLUMNS),
    ("edge", hold::edge::COLUMNS),
    ("store_column", hold::store_column::COLUMNS),
];

/// Tables to which rows are added without a query, with how many columns are given.
pub const WRITTEN: [(&Shape, usize); 7] = [
    (&hold::node::SHAPE, hold::node::COLUMNS as usize),
    (&hold::profile::SHAPE, hold::profile::COLUMNS as usize),
    (&hold::edge::SHAPE, hold::edge::COLUMNS as usize),
    (&follow::NODE_MOVE, 5),
    (&follow::PROFILE_MERGE, 8),
    (&follow::PROFILE_SPLIT, 7),
    (&follow::PROFILE_VALUE, 1),
];
