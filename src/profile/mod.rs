//! Profiles: attributes, what observations come to by survivorship, the view for tools and the whole picture of one person.

mod api;
pub mod attribute;
mod card;
mod dictionary;
pub mod history;
pub mod observe;
mod provenance;
pub mod seen;
pub mod single;
pub mod survive;
mod timeline;
pub mod view;
