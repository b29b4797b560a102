//! Tags: attributes computed from an expression, or set by somebody.

mod api;
mod group;
mod manual;
mod refresh;
mod registry;
mod settings;
