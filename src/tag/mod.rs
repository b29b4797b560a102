//! Tags: attributes computed from an expression, or set by somebody.

mod api;
mod group;
mod manual;
mod many;
pub mod refresh;
pub mod registry;
mod settings;
