//! Sequences, without a query.

use crate::error::CdpError;
use pgrx::pg_sys;
use std::ffi::CString;

/// The next numbers of a sequence, ascending. PostgreSQL asks for the right to use it.
pub fn next(schema: &str, name: &str, count: usize) -> Result<Vec<i64>, CdpError> {
    let missing = || CdpError::internal(format!("there is no sequence {schema}.{name}"));
    let (Ok(schema_c), Ok(name_c)) = (CString::new(schema), CString::new(name)) else { return Err(missing()) };
    // SAFETY: catalogue look-ups with NUL-terminated names; nextval() takes the number of a relation and checks that it is a sequence.
    unsafe {
        let namespace = pg_sys::LookupExplicitNamespace(schema_c.as_ptr(), true);
        let oid = pg_sys::get_relname_relid(name_c.as_ptr(), namespace);
        if oid == pg_sys::InvalidOid {
            return Err(missing());
        }
        let next = || {
            let function = pg_sys::Oid::from(pg_sys::F_NEXTVAL);
            pg_sys::OidFunctionCall1Coll(function, pg_sys::InvalidOid, pg_sys::Datum::from(oid)).value() as i64
        };
        Ok((0..count).map(|_| next()).collect())
    }
}
