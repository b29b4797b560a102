//! Tags: attributes computed from an expression, or set by somebody.

mod api;
mod manual;
mod refresh;
mod registry;
mod settings;

pub use api::person;
