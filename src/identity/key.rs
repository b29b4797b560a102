//! The key of keyed hashes: read from a file that only the server reads, or given as a setting that only superusers see.
//!
//! What a database or a role has as a setting is in a catalog that everybody reads, and what the server has as a setting is readable in a session until the
//! library is loaded. A key that was to be read there is none, and is refused.

use crate::error::CdpError;
use crate::guc;
use crate::pg::spi;
use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::rc::Rc;

/// The shortest key that is taken: 128 bits written in any way.
const LEAST_BYTES: usize = 16;

/// The longest: a file with more is another file.
const MOST_BYTES: u64 = 4096;

const HINT: &str = "Set cdp.hmac_key_file as superuser to the name of a file with the key that only the operating system user of the server reads.";

/// Where the key that was read last came from.
#[derive(PartialEq, Eq)]
enum From {
    File(Vec<u8>),
    Setting(Vec<u8>),
}

thread_local! {
    static KEPT: RefCell<Option<(From, Rc<[u8]>)>> = const { RefCell::new(None) };
}

/// The key. A file is read once a session.
///
/// # Errors
/// 55000 when there is none, or one that others could read.
pub fn key() -> Result<Rc<[u8]>, CdpError> {
    let setting = guc::hmac_key();
    let from = match (&setting, guc::hmac_key_file()) {
        (Some((key, _)), _) => From::Setting(key.clone()),
        (None, Some(name)) => From::File(name),
        (None, None) => {
            return Err(CdpError::wrong_state("this identifier type is kept as keyed hashes, and there is no key")
                .with_hint(HINT));
        }
    };
    let kept =
        KEPT.with_borrow(|kept| kept.as_ref().filter(|(known, _)| *known == from).map(|(_, key)| Rc::clone(key)));
    if let Some(key) = kept {
        return Ok(key);
    }
    let (what, key) = match &from {
        From::Setting(key) => {
            secret(setting.is_some_and(|(_, readable)| readable))?;
            ("setting \"cdp.hmac_key\"", key.clone())
        }
        From::File(name) => ("the key in the file that \"cdp.hmac_key_file\" names", read(name)?),
    };
    if key.len() < LEAST_BYTES {
        return Err(CdpError::wrong_state(format!("{what} is shorter than {LEAST_BYTES} bytes"))
            .with_hint("Take a long random key, such as openssl rand -hex 32 gives."));
    }
    let key: Rc<[u8]> = key.into();
    KEPT.set(Some((from, Rc::clone(&key))));
    Ok(key)
}

/// # Errors
/// 55000 when the key that is given as a setting can be read, or could be.
fn secret(readable: bool) -> Result<(), CdpError> {
    let kept_openly = spi::any(
        "SELECT true FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) AS c \
         WHERE pg_catalog.starts_with(c, 'cdp.hmac_key=') AND s.setdatabase OPERATOR(pg_catalog.=) ANY \
               (ARRAY[0::pg_catalog.oid, (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database())])",
    )?;
    if kept_openly {
        return Err(CdpError::wrong_state("setting \"cdp.hmac_key\" of a database or a role is no secret")
            .with_detail("Everybody reads it in pg_db_role_setting.")
            .with_hint(format!("ALTER DATABASE or ALTER ROLE ... RESET cdp.hmac_key. {HINT}")));
    }
    if readable {
        return Err(CdpError::wrong_state("setting \"cdp.hmac_key\" was set before the library was loaded")
            .with_detail("Until then every session reads it.")
            .with_hint(format!("{HINT} Or add pg_cdp to shared_preload_libraries.")));
    }
    Ok(())
}

/// The key in a file, without the white space after it.
fn read(name: &[u8]) -> Result<Vec<u8>, CdpError> {
    let shown = String::from_utf8_lossy(name).into_owned();
    let fault = |error: std::io::Error| {
        CdpError::wrong_state(format!("the file \"{shown}\" that \"cdp.hmac_key_file\" names cannot be read"))
            .with_detail(error.to_string())
            .with_hint("The operating system user of the server reads it; a relative name is of the data directory.")
    };
    let mut file = File::open(OsStr::from_bytes(name)).map_err(fault)?;
    let about = file.metadata().map_err(fault)?;
    if !about.is_file() || about.len() > MOST_BYTES {
        return Err(CdpError::wrong_state(format!("the file \"{shown}\" is no key"))
            .with_hint(format!("A key is a file of {LEAST_BYTES} to {MOST_BYTES} bytes.")));
    }
    if !is_private(&about) {
        return Err(CdpError::wrong_state(format!("the file \"{shown}\" can be read by others than the server"))
            .with_hint("Let it have the permissions 0600; or 0640, if it belongs to root."));
    }
    let mut key = Vec::new();
    file.read_to_end(&mut key).map_err(fault)?;
    key.truncate(key.trim_ascii_end().len());
    Ok(key)
}

/// Whether nobody but the owner may read or write a file; or, as for the keys of certificates, a group if it belongs to root.
fn is_private(file: &Metadata) -> bool {
    let others = if file.uid() == 0 { 0o027 } else { 0o077 };
    file.mode() & others == 0
}
