//! Sequences, without a query.

use super::names;
use crate::error::CdpError;
use pgrx::pg_sys;

/// Whether the user may draw numbers from a sequence. An identity column draws for whoever may insert.
pub fn is_usable(schema: &str, name: &str) -> bool {
    let rights = (pg_sys::ACL_USAGE | pg_sys::ACL_UPDATE) as pg_sys::AclMode;
    // SAFETY: look-ups in caches of the catalogue.
    names::relation(schema, name).is_some_and(|sequence| unsafe {
        pg_sys::pg_class_aclcheck(sequence, pg_sys::GetUserId(), rights) == pg_sys::AclResult::ACLCHECK_OK
    })
}

/// The next numbers of a sequence, ascending. PostgreSQL asks for the right to use it.
pub fn next(schema: &str, name: &str, count: usize) -> Result<Vec<i64>, CdpError> {
    let Some(sequence) = names::relation(schema, name) else {
        return Err(CdpError::internal(format!("there is no sequence {schema}.{name}")));
    };
    let next = || {
        // SAFETY: nextval() takes the number of a relation and checks that it is a sequence.
        unsafe {
            let function = pg_sys::Oid::from(pg_sys::F_NEXTVAL);
            pg_sys::OidFunctionCall1Coll(function, pg_sys::InvalidOid, pg_sys::Datum::from(sequence)).value() as i64
        }
    };
    Ok((0..count).map(|_| next()).collect())
}
