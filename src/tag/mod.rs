//! Tags: attributes computed from an expression, or set by somebody.

mod api;
mod manual;
mod many;
pub mod refresh;
pub mod registry;
mod settings;

pub use api::person;
