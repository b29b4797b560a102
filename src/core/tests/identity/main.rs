//! What the identity graph promises, on random graphs and histories, against twins that are written out.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod arrivals;
mod evidence;
mod governing;
mod histories;
mod hubs;
mod model;
mod naive;
