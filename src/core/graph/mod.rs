//! The identity graph in memory: union-find, the stitching of a batch, the rules that edges are subject to, stable ids,
//! and the evidence for them.

pub mod arrival;
pub mod batch;
pub mod components;
pub mod govern;
pub mod home;
pub mod hub;
pub mod path;
pub mod places;
pub mod union_find;

pub use arrival::Arrival;
pub use batch::{Component, NodeState, Profile, Retired, Rows, StitchError, stitch};
pub use components::{Components, Edges, TooManyNodes};
pub use govern::{GovernError, govern};
pub use home::{Homes, Record, homes};
pub use hub::{Hub, HubRule, hubs};
pub use path::{Link, Step, bridges, path};
pub use union_find::UnionFind;
