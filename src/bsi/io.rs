//! Text and binary input and output, and the type itself.

use std::ffi::{CStr, CString};

use pgrx::datum::Internal;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::datum::{Bsi, ShellBsi, ShellBsiBytes};
use super::slices::{self, Build, Pairs, TextError, TextPairs};
use super::{TYPE_NAME, bigint, id_out_of_range};
use crate::bitmap::treemap::{parse_hex, push_hex};
use crate::error::CdpError;
use crate::guc::{self, BitmapOutput};
use crate::pg::interrupt::Pulse;
use crate::pg::message;
use crate::pg::varlena::{Bytea, MOST_BYTES};

extension_sql!("CREATE TYPE @extschema@.cdp_bsi;", name = "cdp_bsi_shell");

extension_sql!(
    r#"
CREATE TYPE @extschema@.cdp_bsi (
    INPUT = cdp_bsi_in,
    OUTPUT = cdp_bsi_out,
    RECEIVE = cdp_bsi_recv,
    SEND = cdp_bsi_send,
    STORAGE = external
);
COMMENT ON TYPE cdp_bsi IS
    'bit-sliced index from non-negative bigint ids to bigint values; text form {1:10,2:-5} or \x and the bytes in hexadecimal';
COMMENT ON FUNCTION cdp_bsi_in(cstring) IS 'text input of cdp_bsi';
COMMENT ON FUNCTION cdp_bsi_out(cdp_bsi) IS 'text output of cdp_bsi, as the setting cdp.bitmap_output says';
COMMENT ON FUNCTION cdp_bsi_recv(internal) IS 'binary input of cdp_bsi';
COMMENT ON FUNCTION cdp_bsi_send(cdp_bsi) IS 'binary output of cdp_bsi';
"#,
    name = "cdp_bsi_type",
    creates = [Type(Bsi)],
    requires = ["cdp_bsi_shell", cdp_bsi_in, cdp_bsi_out, cdp_bsi_recv, cdp_bsi_send]
);

/// Reads `{1:10,2:-5}` or `\x…`.
#[pg_extern(immutable, strict, parallel_safe, requires = ["cdp_bsi_shell"])]
fn cdp_bsi_in(text: &CStr) -> Result<ShellBsi, ErrorReport> {
    Ok(ShellBsi(read_text(text.to_bytes())?))
}

fn read_text(text: &[u8]) -> Result<Bsi, CdpError> {
    if let Some(bytes) = parse_hex(text) {
        let bytes = bytes.map_err(|error| malformed_text(text, &error.to_string()))?;
        return Bsi::from_untrusted(&bytes).map_err(|error| match error {
            slices::Error::TooLarge(id) => id_out_of_range(id),
            damage => malformed_text(text, &damage.to_string()),
        });
    }
    let mut build = Build::new();
    let mut pulse = Pulse::new();
    for pair in TextPairs::new(text) {
        let (id, value) = pair.map_err(|error| match error {
            TextError::Id(id) => id_out_of_range(id),
            TextError::Value(value) => {
                CdpError::out_of_range("bigint", value).with_hint("values are signed 64-bit numbers")
            }
            malformed => malformed_text(text, &malformed.to_string()),
        })?;
        build.insert(id, value)?;
        pulse.tick();
    }
    Ok(Bsi::from_canonical(build.finish()?))
}

fn malformed_text(text: &[u8], detail: &str) -> CdpError {
    CdpError::invalid_text(TYPE_NAME, &String::from_utf8_lossy(text))
        .with_detail(detail)
        .with_hint("write {1:10,2:-5}, or \\x followed by the bytes in hexadecimal")
}

/// Prints the pairs or the bytes, as the setting `cdp.bitmap_output` says; stable and not immutable because of that.
#[pg_extern(stable, strict, parallel_safe, requires = ["cdp_bsi_shell"])]
fn cdp_bsi_out(bsi: ShellBsiBytes<'_>) -> Result<CString, ErrorReport> {
    let bytes = bsi.0.bytes();
    let text = match guc::bitmap_output() {
        BitmapOutput::Hex => hex_text(bytes)?,
        BitmapOutput::Array => pairs_text(bytes, usize::MAX)?,
    };
    Ok(CString::new(text).map_err(|_| CdpError::internal("a text form holds a zero byte"))?)
}

fn hex_text(bytes: &[u8]) -> Result<Vec<u8>, CdpError> {
    let length = bytes.len().saturating_mul(2).saturating_add(2);
    if length > MOST_BYTES {
        return Err(text_too_large(length, "cast the index to bytea, or read it with cdp_bsi_iterate()"));
    }
    let mut text = Vec::with_capacity(length + 1);
    text.extend_from_slice(b"\\x");
    // In parts, so that a cancel is seen: 2^20 bytes take about a millisecond.
    for part in bytes.chunks(1 << 20) {
        push_hex(&mut text, part);
        pgrx::check_for_interrupts!();
    }
    Ok(text)
}

/// The first `most` pairs as a text; `…` stands for those left out.
pub(super) fn pairs_text(bytes: &[u8], most: usize) -> Result<Vec<u8>, CdpError> {
    let mut text = vec![b'{'];
    let mut pairs = Pairs::new();
    let mut pulse = Pulse::new();
    let mut left = most;
    while let Some((id, value)) = pairs.next(bytes)? {
        if text.len() > 1 {
            text.push(b',');
        }
        if left == 0 {
            text.extend_from_slice("…".as_bytes());
            break;
        }
        left -= 1;
        slices::push_number(&mut text, bigint(id)?);
        text.push(b':');
        slices::push_number(&mut text, value);
        if text.len() >= MOST_BYTES {
            return Err(text_too_large(text.len(), "SET cdp.bitmap_output = 'hex', or read it with cdp_bsi_iterate()"));
        }
        pulse.tick();
    }
    text.push(b'}');
    Ok(text)
}

fn text_too_large(length: usize, hint: &str) -> CdpError {
    CdpError::limit("the text form of the cdp_bsi is too large")
        .with_detail(format!("it needs at least {length} bytes, a text holds at most {MOST_BYTES}"))
        .with_hint(hint)
}

/// Reads the bytes of the format, checked in full.
#[pg_extern(immutable, strict, parallel_safe, requires = ["cdp_bsi_shell"])]
fn cdp_bsi_recv(buffer: Internal) -> Result<ShellBsi, ErrorReport> {
    Ok(ShellBsi(read_bytes(message::remaining(&buffer)?)?))
}

/// An index from bytes that a client or another column gave.
pub(super) fn read_bytes(bytes: &[u8]) -> Result<Bsi, CdpError> {
    Bsi::from_untrusted(bytes).map_err(|error| match error {
        slices::Error::TooLarge(id) => id_out_of_range(id),
        damage => CdpError::invalid_binary(TYPE_NAME)
            .with_detail(damage.to_string())
            .with_hint("give bytes that a cdp_bsi was cast to"),
    })
}

/// The bytes.
#[pg_extern(immutable, strict, parallel_safe, requires = ["cdp_bsi_shell"])]
fn cdp_bsi_send(bsi: ShellBsiBytes<'_>) -> Result<Bytea, ErrorReport> {
    Ok(Bytea::copy(bsi.0.bytes())?)
}
