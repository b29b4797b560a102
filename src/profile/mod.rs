//! Profiles: attributes, what observations come to by survivorship, the view for tools and the whole picture of one person.

mod api;
pub mod attribute;
pub mod history;
pub mod observe;
pub mod single;
pub mod view;
