//! The identity graph in memory: union-find, the stitching of a batch, and the components of a whole list of edges.

pub mod batch;
pub mod components;
pub mod union_find;

pub use batch::{Component, NodeState, Profile, Retired, Rows, StitchError, stitch};
pub use components::{Components, Edges, TooManyNodes};
pub use union_find::UnionFind;
