//! The message buffer that a type's receive function reads.

use pgrx::datum::Internal;
use pgrx::pg_sys;

use crate::error::CdpError;

/// The bytes of the buffer that have not been read; marks them as read.
pub fn remaining(buffer: &Internal) -> Result<&[u8], CdpError> {
    // SAFETY: PostgreSQL passes a StringInfo to a receive function as its first argument; the type declares no other use.
    let Some(message) = (unsafe { buffer.get::<pg_sys::StringInfoData>() }) else {
        return Err(CdpError::null_value("the message buffer is null"));
    };
    let left = message.len.saturating_sub(message.cursor).max(0);
    let pointer: *const pg_sys::StringInfoData = message;
    // SAFETY: `left` bytes are there, so the call succeeds and returns a pointer to them; the buffer belongs to the
    // caller of the receive function and stays while it runs.
    unsafe {
        let bytes = pg_sys::pq_getmsgbytes(pointer.cast_mut(), left);
        Ok(std::slice::from_raw_parts(bytes.cast(), left as usize))
    }
}
