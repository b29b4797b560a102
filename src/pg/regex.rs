//! PostgreSQL's regular expressions, without a query.

use pgrx::pg_sys;

/// Whether a text matches a pattern, as `text ~ pattern` says in the database's collation. A pattern that cannot be read is an error, as it is there.
pub fn matches(text: &str, pattern: &str) -> bool {
    // SAFETY: both are copied into values of type text, which the function only reads and which are freed once.
    unsafe {
        let copy = |s: &str| pg_sys::cstring_to_text_with_len(s.as_ptr().cast(), s.len() as i32);
        let (text, pattern) = (copy(text), copy(pattern));
        let found = pg_sys::OidFunctionCall2Coll(
            pg_sys::Oid::from(pg_sys::F_TEXTREGEXEQ),
            pg_sys::DEFAULT_COLLATION_OID,
            pg_sys::Datum::from(text),
            pg_sys::Datum::from(pattern),
        );
        pg_sys::pfree(text.cast());
        pg_sys::pfree(pattern.cast());
        found.value() & 0xff != 0
    }
}
