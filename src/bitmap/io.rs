//! Text and binary input and output, and the type itself.

use std::ffi::{CStr, CString};

use pgrx::datum::Internal;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use roaring::RoaringTreemap;

use super::datum::{Bitmap, ShellBitmap, ShellBitmapBytes};
use super::treemap::{self, Invalid, Members, TextError, Values};
use super::{TYPE_NAME, out_of_range};
use crate::error::CdpError;
use crate::guc::{self, BitmapOutput};
use crate::pg::interrupt::Pulse;
use crate::pg::message;
use crate::pg::varlena::{Bytea, MOST_BYTES};

extension_sql!("CREATE TYPE @extschema@.cdp_bitmap;", name = "cdp_bitmap_shell");

extension_sql!(
    r#"
CREATE TYPE @extschema@.cdp_bitmap (
    INPUT = cdp_bitmap_in,
    OUTPUT = cdp_bitmap_out,
    RECEIVE = cdp_bitmap_recv,
    SEND = cdp_bitmap_send,
    STORAGE = external
);
COMMENT ON TYPE cdp_bitmap IS
    'set of non-negative bigint; portable 64-bit Roaring bytes; text form {1,5,9} or \x and the bytes in hexadecimal';
COMMENT ON FUNCTION cdp_bitmap_in(cstring) IS 'text input of cdp_bitmap';
COMMENT ON FUNCTION cdp_bitmap_out(cdp_bitmap) IS 'text output of cdp_bitmap, as the setting cdp.bitmap_output says';
COMMENT ON FUNCTION cdp_bitmap_recv(internal) IS 'binary input of cdp_bitmap';
COMMENT ON FUNCTION cdp_bitmap_send(cdp_bitmap) IS 'binary output of cdp_bitmap';
"#,
    name = "cdp_bitmap_type",
    creates = [Type(Bitmap)],
    requires = ["cdp_bitmap_shell", cdp_bitmap_in, cdp_bitmap_out, cdp_bitmap_recv, cdp_bitmap_send]
);

const FORMS: &str = "write {1,5,9}, or \\x followed by the bytes in hexadecimal";

/// Reads `{1,5,9}` or `\x…`.
#[pg_extern(immutable, strict, parallel_safe, requires = ["cdp_bitmap_shell"])]
fn cdp_bitmap_in(text: &CStr) -> Result<ShellBitmap, ErrorReport> {
    Ok(ShellBitmap(read_text(text.to_bytes())?))
}

fn read_text(text: &[u8]) -> Result<Bitmap, CdpError> {
    let refuse = |error: TextError| match error {
        TextError::OutOfRange(value) => out_of_range(value),
        malformed => malformed_text(text, &malformed.to_string()),
    };
    if let Some(bytes) = treemap::parse_hex(text) {
        let bytes = bytes.map_err(refuse)?;
        return Bitmap::from_untrusted(&bytes).map_err(|invalid| match invalid {
            Invalid::TooLarge(value) => out_of_range(value),
            damaged => malformed_text(text, &damaged.to_string()),
        });
    }
    let mut set = RoaringTreemap::new();
    let mut pulse = Pulse::new();
    for value in Values::new(text) {
        set.insert(value.map_err(refuse)?);
        pulse.tick();
    }
    Ok(Bitmap::new(set))
}

fn malformed_text(text: &[u8], detail: &str) -> CdpError {
    CdpError::invalid_text(TYPE_NAME, &String::from_utf8_lossy(text)).with_detail(detail).with_hint(FORMS)
}

/// Prints the set as the setting `cdp.bitmap_output` says; stable and not immutable because of that.
#[pg_extern(stable, strict, parallel_safe, requires = ["cdp_bitmap_shell"])]
fn cdp_bitmap_out(bitmap: ShellBitmapBytes<'_>) -> Result<CString, ErrorReport> {
    let bytes = bitmap.0.bytes();
    let text = match guc::bitmap_output() {
        BitmapOutput::Hex => hex_text(bytes)?,
        BitmapOutput::Array => array_text(bytes)?,
    };
    Ok(CString::new(text).map_err(|_| CdpError::internal("a text form holds a zero byte"))?)
}

fn hex_text(bytes: &[u8]) -> Result<Vec<u8>, CdpError> {
    let length = bytes.len().saturating_mul(2).saturating_add(2);
    if length > MOST_BYTES {
        return Err(text_too_large(length, "cast the set to bytea, or read it with cdp_members()"));
    }
    let mut text = Vec::with_capacity(length + 1);
    text.extend_from_slice(b"\\x");
    // In slices, so that a cancel is seen: 2^20 bytes take about a millisecond.
    for part in bytes.chunks(1 << 20) {
        treemap::push_hex(&mut text, part);
        pgrx::check_for_interrupts!();
    }
    Ok(text)
}

fn array_text(bytes: &[u8]) -> Result<Vec<u8>, CdpError> {
    let mut text = vec![b'{'];
    let mut members = Members::new();
    let mut pulse = Pulse::new();
    while let Some(member) = members.next(bytes)? {
        if text.len() > 1 {
            text.push(b',');
        }
        treemap::push_decimal(&mut text, member);
        if text.len() >= MOST_BYTES {
            return Err(text_too_large(text.len(), "SET cdp.bitmap_output = 'hex', or read it with cdp_members()"));
        }
        pulse.tick();
    }
    text.push(b'}');
    Ok(text)
}

fn text_too_large(length: usize, hint: &str) -> CdpError {
    CdpError::limit("the text form of the cdp_bitmap is too large")
        .with_detail(format!("it needs at least {length} bytes, a text holds at most {MOST_BYTES}"))
        .with_hint(hint)
}

/// Reads the bytes of the portable format, checked in full.
#[pg_extern(immutable, strict, parallel_safe, requires = ["cdp_bitmap_shell"])]
fn cdp_bitmap_recv(buffer: Internal) -> Result<ShellBitmap, ErrorReport> {
    Ok(ShellBitmap(read_bytes(message::remaining(&buffer)?)?))
}

/// A set from bytes that a client or another column gave.
pub(super) fn read_bytes(bytes: &[u8]) -> Result<Bitmap, CdpError> {
    Bitmap::from_untrusted(bytes).map_err(|invalid| match invalid {
        Invalid::TooLarge(value) => out_of_range(value),
        damaged => CdpError::invalid_binary(TYPE_NAME)
            .with_detail(damaged.to_string())
            .with_hint("give the portable 64-bit Roaring format: what CRoaring, Java and Go write"),
    })
}

/// The bytes.
#[pg_extern(immutable, strict, parallel_safe, requires = ["cdp_bitmap_shell"])]
fn cdp_bitmap_send(bitmap: ShellBitmapBytes<'_>) -> Result<Bytea, ErrorReport> {
    Ok(Bytea::copy(bitmap.0.bytes())?)
}
