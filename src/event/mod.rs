//! Events: landing them once, in the partition of their month and in the day columns of their type.

pub mod dictionary;
pub mod land;
pub mod one;
mod partition;
