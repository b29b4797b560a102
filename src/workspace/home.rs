//! The schema of the extension, which a backend remembers: asking the catalogue of extensions takes a query.

use crate::pg::names;
use pgrx::pg_sys::Oid;
use std::cell::RefCell;

/// The schema by number and name, and one of the functions in it.
struct Home {
    namespace: Oid,
    function: Oid,
    name: String,
}

thread_local! {
    static HOME: RefCell<Option<Home>> = const { RefCell::new(None) };
}

/// The name of the schema, if it is still what it was: the functions of an extension move with it, and are others when it is made anew.
pub fn known() -> Option<String> {
    HOME.with_borrow(|home| {
        let home = home.as_ref()?;
        let here = names::schema_of_function(home.function) == Some(home.namespace)
            && names::schema_is_called(home.namespace, &home.name);
        here.then(|| home.name.clone())
    })
}

/// Remembers it.
pub fn keep(namespace: Oid, function: Oid, name: &str) {
    HOME.set(Some(Home { namespace, function, name: name.to_owned() }));
}
