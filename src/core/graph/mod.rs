//! The identity graph in memory: union-find and the stitching of a batch.

pub mod batch;
pub mod union_find;

pub use batch::{Component, NodeState, Profile, Retired, Rows, StitchError, stitch};
pub use union_find::UnionFind;
