//! Messages: events and traits as client libraries send them, one at a time in the caller's transaction (`cdp_ingest`), or many through the inbox (`cdp_process_inbox`).

mod answer;
mod api;
mod definitions;
mod door;
mod figures;
mod inbox;
mod one;
mod plan;
mod policy;
mod realtime;

pub use door::{replay, tell};
