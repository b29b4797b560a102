//! Tags: attributes computed from an expression.

mod api;
pub use api::person;
