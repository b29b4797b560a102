//! Names in PostgreSQL's catalogues, from its caches, which know at once what another session has changed.

use pgrx::pg_sys;
use std::ffi::{CStr, CString};

/// A relation of a schema; `None` when there is no such relation.
pub fn relation(schema: &str, name: &str) -> Option<pg_sys::Oid> {
    let (schema, name) = (CString::new(schema).ok()?, CString::new(name).ok()?);
    // SAFETY: look-ups in caches of the catalogue with NUL-terminated names; a schema that is missing is no error.
    let relation = unsafe {
        let namespace = pg_sys::get_namespace_oid(schema.as_ptr(), true);
        pg_sys::get_relname_relid(name.as_ptr(), namespace)
    };
    (relation != pg_sys::InvalidOid).then_some(relation)
}

/// The schema of a function; `None` when there is no such function.
pub fn schema_of_function(function: pg_sys::Oid) -> Option<pg_sys::Oid> {
    // SAFETY: a look-up in a cache of the catalogue.
    let namespace = unsafe { pg_sys::get_func_namespace(function) };
    (namespace != pg_sys::InvalidOid).then_some(namespace)
}

/// Whether a schema has this name.
pub fn schema_is_called(namespace: pg_sys::Oid, name: &str) -> bool {
    // SAFETY: a look-up in a cache of the catalogue; what it gives is a NUL-terminated copy, which is freed once.
    unsafe {
        let found = pg_sys::get_namespace_name(namespace);
        if found.is_null() {
            return false;
        }
        let same = CStr::from_ptr(found).to_bytes() == name.as_bytes();
        pg_sys::pfree(found.cast());
        same
    }
}
