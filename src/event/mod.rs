//! Events: landing them once, in the partition of their month and in the day columns of their type.

mod alter;
pub mod dictionary;
pub mod keys;
pub mod land;
pub mod many;
pub mod one;
pub mod partition;
mod retention;
pub mod seen;
pub mod settings;
pub mod validate;
