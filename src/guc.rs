//! Settings under `cdp.`.
//!
//! Any user may set them for a session, a role, a database or a function. Names under `cdp.` that do not exist here are
//! refused, so that a typing mistake is seen.

use std::cell::Cell;
use std::ffi::CString;

use pg_cdp_core::expr::parse::Limits;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum};

use crate::error::CdpError;
use crate::pg;

/// How `cdp_bitmap` values are printed. Both forms are read back, whatever the setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub enum BitmapOutput {
    /// `{1,5,9}`
    #[name = c"array"]
    Array,
    /// `\x` and the bytes of the portable Roaring format in hexadecimal: short for big sets.
    #[name = c"hex"]
    Hex,
}

static WORKSPACE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(Some(c"cdp"));

static BITMAP_OUTPUT: GucSetting<BitmapOutput> = GucSetting::<BitmapOutput>::new(BitmapOutput::Array);

static CACHE_SIZE: GucSetting<i32> = GucSetting::<i32>::new(65_536);

static PARALLEL_SIZE: GucSetting<i32> = GucSetting::<i32>::new(262_144);

static DIRECT_READ: GucSetting<bool> = GucSetting::<bool>::new(true);

static DIRECT_WRITE: GucSetting<bool> = GucSetting::<bool>::new(true);

static MAX_EXPRESSION_SIZE: GucSetting<i32> = GucSetting::<i32>::new(64);

static MAX_EXPRESSION_DEPTH: GucSetting<i32> = GucSetting::<i32>::new(50);

static HMAC_KEY: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

static HMAC_KEY_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

thread_local! {
    /// Whether this session could read `cdp.hmac_key` while it was no setting yet, but a name that anybody may use.
    static HMAC_KEY_WAS_READABLE: Cell<bool> = const { Cell::new(false) };
}

/// Registers the settings; called once when the library is loaded.
pub fn init() {
    GucRegistry::define_string_guc(
        c"cdp.workspace",
        c"The schema of the customer data that functions work on.",
        c"A schema made by cdp_init(). Any user may set it; it gives no right to the data in it.",
        &WORKSPACE,
        GucContext::Userset,
        GucFlags::IS_NAME,
    );
    GucRegistry::define_enum_guc(
        c"cdp.bitmap_output",
        c"The text form of cdp_bitmap values.",
        c"\"array\" prints {1,5,9}; \"hex\" prints \\x and the bytes. Both are read.",
        &BITMAP_OUTPUT,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"cdp.cache_size",
        c"Memory of this session for column chunks that questions have read.",
        c"A question takes a chunk from here when it is exactly the one that its snapshot sees. 0 keeps none.",
        &CACHE_SIZE,
        0,
        i32::MAX,
        GucContext::Userset,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_int_guc(
        c"cdp.parallel_size",
        c"Bytes of column chunks from which on a question is shared among parallel workers.",
        c"As many workers as max_parallel_workers_per_gather allows. -1 never uses any.",
        &PARALLEL_SIZE,
        -1,
        i32::MAX,
        GucContext::Userset,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_bool_guc(
        c"cdp.direct_read",
        c"Reads column chunks without a query, and keeps plans.",
        c"off reads them by a query, slower and with the same answers: to compare, or to see the plan.",
        &DIRECT_READ,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"cdp.direct_write",
        c"Adds rows of identities without a query.",
        c"off adds them by a query, slower and with the same rows: to compare. A table with triggers, rules or row security is always written by queries.",
        &DIRECT_WRITE,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"cdp.max_expression_size",
        c"The longest text of an expression.",
        c"A longer one is refused with SQLSTATE 54001 before it is read. Definitions that are kept already are read whatever this says.",
        &MAX_EXPRESSION_SIZE,
        1,
        1024,
        GucContext::Userset,
        GucFlags::UNIT_KB,
    );
    GucRegistry::define_int_guc(
        c"cdp.max_expression_depth",
        c"How deep an expression may nest.",
        c"Counts parentheses, calls and CASE inside each other; the tree of an expression may have twice as many levels.",
        &MAX_EXPRESSION_DEPTH,
        1,
        100,
        GucContext::Userset,
        GucFlags::default(),
    );
    HMAC_KEY_WAS_READABLE.set(pg::settings::was_readable(c"cdp.hmac_key"));
    GucRegistry::define_string_guc(
        c"cdp.hmac_key_file",
        c"The file with the key under which identifiers of types with storage hmac are hashed.",
        c"Only the server reads it; a relative name is of the data directory. Whoever loses the key cannot look such identifiers up again; another key makes other identifiers.",
        &HMAC_KEY_FILE,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_string_guc(
        c"cdp.hmac_key",
        c"The key itself, instead of a file with it.",
        c"Only superusers see and set it, once the library is loaded: in postgresql.conf it needs pg_cdp in shared_preload_libraries.",
        &HMAC_KEY,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY | GucFlags::NO_SHOW_ALL,
    );
    pg::reserve_setting_prefix(c"cdp");
}

/// The workspace schema of this session, unquoted.
pub fn workspace() -> Result<String, CdpError> {
    let name = WORKSPACE.get().unwrap_or_default();
    match name.into_string() {
        Ok(name) if !name.is_empty() => Ok(name),
        Ok(_) => Err(CdpError::invalid_parameter("setting \"cdp.workspace\" is empty")
            .with_hint("set cdp.workspace to a schema made by cdp_init(), for example: RESET cdp.workspace")),
        Err(_) => Err(CdpError::invalid_parameter("setting \"cdp.workspace\" is not valid UTF-8")
            .with_hint("set cdp.workspace to a schema made by cdp_init()")),
    }
}

/// The key of keyed hashes as the session has it, and whether the session could read it before the library was loaded.
pub fn hmac_key() -> Option<(Vec<u8>, bool)> {
    let key = HMAC_KEY.get()?.into_bytes();
    (!key.is_empty()).then(|| (key, HMAC_KEY_WAS_READABLE.get()))
}

/// The file with the key of keyed hashes.
pub fn hmac_key_file() -> Option<Vec<u8>> {
    HMAC_KEY_FILE.get().map(CString::into_bytes).filter(|name| !name.is_empty())
}

/// How `cdp_bitmap` values are printed in this session.
pub fn bitmap_output() -> BitmapOutput {
    BITMAP_OUTPUT.get()
}

/// Bytes of chunks that a backend keeps.
pub fn cache_bytes() -> usize {
    kilobytes(CACHE_SIZE.get()).unwrap_or(0)
}

/// Bytes of chunks from which on a question is shared among workers; `None` for never.
pub fn parallel_bytes() -> Option<usize> {
    kilobytes(PARALLEL_SIZE.get())
}

/// How large the text of an expression may be that a user gives.
pub fn expression_limits() -> Limits {
    let depth = usize::try_from(MAX_EXPRESSION_DEPTH.get()).unwrap_or(0);
    Limits::of(kilobytes(MAX_EXPRESSION_SIZE.get()).unwrap_or(0), depth)
}

fn kilobytes(setting: i32) -> Option<usize> {
    Some(usize::try_from(setting).ok()?.saturating_mul(1024))
}

/// Whether rows are added without a query where that is possible.
pub fn direct_write() -> bool {
    DIRECT_WRITE.get()
}

/// Whether chunks are read without a query where that is possible.
pub fn direct_read() -> bool {
    DIRECT_READ.get()
}
