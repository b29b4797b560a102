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

/// As [`next`], of a sequence that nobody draws from but under a lock that the caller holds: many numbers at once, if the user may set the sequence and it counts by one.
pub fn next_alone(schema: &str, name: &str, count: usize) -> Result<Vec<i64>, CdpError> {
    let sequence = names::relation(schema, name).filter(|sequence| count >= MANY && may_set(*sequence));
    let Some(sequence) = sequence else { return next(schema, name, count) };
    let mut numbers = next(schema, name, 1)?;
    let Some(first) = numbers.first().copied() else { return Ok(numbers) };
    let last = first.saturating_add(count as i64 - 1);
    // SAFETY: setval() takes the number of a relation and checks that it is a sequence, the right to set it and its bounds.
    unsafe {
        pg_sys::OidFunctionCall2Coll(
            pg_sys::Oid::from(pg_sys::F_SETVAL_REGCLASS_INT8),
            pg_sys::InvalidOid,
            pg_sys::Datum::from(sequence),
            pg_sys::Datum::from(last),
        );
    }
    numbers.extend(first + 1..=last);
    Ok(numbers)
}

/// From so many numbers on it takes less to set the sequence than to draw each.
const MANY: usize = 100;

// Columns of pg_sequence, from 1; none of them is ever NULL.
const INCREMENT: i16 = 4;
const CACHE: i16 = 7;
const CYCLE: i16 = 8;

/// Whether the user may set a sequence, and it counts by one and gives no session numbers ahead.
fn may_set(sequence: pg_sys::Oid) -> bool {
    // SAFETY: look-ups in caches of the catalogue; an entry is read while it is held.
    unsafe {
        let right = pg_sys::ACL_UPDATE as pg_sys::AclMode;
        if pg_sys::pg_class_aclcheck(sequence, pg_sys::GetUserId(), right) != pg_sys::AclResult::ACLCHECK_OK {
            return false;
        }
        let entry = pg_sys::SearchSysCache1(pg_sys::SysCacheIdentifier::SEQRELID as i32, pg_sys::Datum::from(sequence));
        if entry.is_null() {
            return false;
        }
        let value = |column| {
            let mut null = false;
            let cache = pg_sys::SysCacheIdentifier::SEQRELID as i32;
            pg_sys::SysCacheGetAttr(cache, entry, column, &mut null).value()
        };
        let plain = value(INCREMENT) == 1 && value(CACHE) == 1 && value(CYCLE) & 0xff == 0;
        pg_sys::ReleaseSysCache(entry);
        plain
    }
}
