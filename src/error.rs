//! Every error the extension raises, as a value: what kind of mistake it is, which gives the SQLSTATE, and its words.
//!
//! The words follow PostgreSQL's style: the message is lower case, quotes what the user gave and has no full stop; the detail gives numbers and
//! places; the hint says what to do next. Functions return `Result<T, ErrorReport>` and let `?` turn a [`CdpError`] into the report
//! that PostgreSQL raises; code that knows nothing of SQL functions returns `Result<T, CdpError>`.

use std::fmt;

use pg_cdp_core::error::StoreError;
use pg_cdp_core::expr::error::ExprError;
use pg_cdp_core::norm::NormError;
use pgrx::PgLogLevel;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::panic::ErrorReport;

use crate::pg::subtransaction::SqlFailure;

/// Kinds of mistake; each has one SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 22P02: a text is not a value of its type.
    InvalidText,
    /// 22P03: bytes are not a value of their type.
    InvalidBinary,
    /// 22003: a number that the type cannot hold.
    OutOfRange,
    /// 22004: NULL where a value is needed.
    NullValue,
    /// 22023: an argument or a setting that makes no sense.
    InvalidParameter,
    /// 3F000: a workspace that does not exist.
    NoWorkspace,
    /// 42P06: a schema name that is taken.
    DuplicateSchema,
    /// 42704: a named thing that does not exist.
    UndefinedObject,
    /// 42710: a name that is taken.
    DuplicateObject,
    /// 42809: not the kind of object that is needed.
    WrongObject,
    /// 42P17: a definition that cannot stand, such as one that refers to itself.
    InvalidDefinition,
    /// 42804: types that do not go together.
    TypeMismatch,
    /// 23514: a value outside the values that are allowed.
    NotAllowed,
    /// 54000: a value or result beyond what can be stored or returned.
    Limit,
    /// 55000: not possible in the present state.
    WrongState,
    /// 25006: nothing can be written here.
    ReadOnly,
    /// 55006: something else still uses it.
    InUse,
    /// 40001: it builds on what is no longer so.
    Serialization,
    /// 0A000: not supported.
    NotSupported,
    /// XX001: a stored value is not what was written.
    Corrupted,
    /// XX000: a bug in the extension.
    Internal,
    /// An SQLSTATE that came with the mistake: of an expression, or of an error PostgreSQL raised.
    Given(PgSqlErrorCode),
}

impl Kind {
    /// The SQLSTATE.
    pub fn code(self) -> PgSqlErrorCode {
        match self {
            Self::InvalidText => PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION,
            Self::InvalidBinary => PgSqlErrorCode::ERRCODE_INVALID_BINARY_REPRESENTATION,
            Self::OutOfRange => PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
            Self::NullValue => PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            Self::InvalidParameter => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            Self::NoWorkspace => PgSqlErrorCode::ERRCODE_INVALID_SCHEMA_NAME,
            Self::DuplicateSchema => PgSqlErrorCode::ERRCODE_DUPLICATE_SCHEMA,
            Self::UndefinedObject => PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            Self::DuplicateObject => PgSqlErrorCode::ERRCODE_DUPLICATE_OBJECT,
            Self::WrongObject => PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            Self::InvalidDefinition => PgSqlErrorCode::ERRCODE_INVALID_OBJECT_DEFINITION,
            Self::TypeMismatch => PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
            Self::NotAllowed => PgSqlErrorCode::ERRCODE_CHECK_VIOLATION,
            Self::Limit => PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            Self::WrongState => PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            Self::ReadOnly => PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION,
            Self::InUse => PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
            Self::Serialization => PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
            Self::NotSupported => PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            Self::Corrupted => PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            Self::Internal => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
            Self::Given(code) => code,
        }
    }
}

/// An error: its kind and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CdpError(Box<Said>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    kind: Kind,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
}

/// A user's value is quoted in a message up to this many characters.
const SHOWN_CHARACTERS: usize = 64;

/// `value` as a message quotes it: in double quotes, cut after 64 characters.
pub fn quoted(value: &str) -> String {
    match value.char_indices().nth(SHOWN_CHARACTERS) {
        None => format!("\"{value}\""),
        Some((end, _)) => format!("\"{}…\"", value.get(..end).unwrap_or(value)),
    }
}

impl CdpError {
    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Said { kind, message: message.into(), detail: None, hint: None }))
    }

    /// `value` is not the text form of type `type_name` (22P02).
    pub fn invalid_text(type_name: &str, value: &str) -> Self {
        Self::new(Kind::InvalidText, format!("invalid input syntax for type {type_name}: {}", quoted(value)))
    }

    /// Bytes from outside are not a value of type `type_name` (22P03).
    pub fn invalid_binary(type_name: &str) -> Self {
        Self::new(Kind::InvalidBinary, format!("invalid binary representation for type {type_name}"))
    }

    /// `value` lies outside what type `type_name` can hold (22003).
    pub fn out_of_range(type_name: &str, value: impl fmt::Display) -> Self {
        Self::new(
            Kind::OutOfRange,
            format!("value {} is out of range for type {type_name}", quoted(&value.to_string())),
        )
    }

    /// A result that its type cannot hold, or a number where only some make sense (22003).
    pub fn beyond(message: impl Into<String>) -> Self {
        Self::new(Kind::OutOfRange, message)
    }

    /// A NULL that is not allowed (22004).
    pub fn null_value(message: impl Into<String>) -> Self {
        Self::new(Kind::NullValue, message)
    }

    /// A wrong argument or setting (22023).
    pub fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidParameter, message)
    }

    /// There is no workspace called `name` (3F000).
    pub fn no_workspace(name: &str) -> Self {
        Self::new(Kind::NoWorkspace, format!("workspace {} does not exist", quoted(name)))
            .with_hint("Make it with cdp_init(), or name another one: SET cdp.workspace = '…'.")
    }

    /// The transaction builds on what is no longer so (40001).
    pub fn serialization(message: impl Into<String>) -> Self {
        Self::new(Kind::Serialization, message)
    }

    /// Why a batch is given up that was to be written beside others, so that all it did is taken back (40001): whoever takes it alone goes on from there.
    pub fn not_beside() -> Self {
        Self::serialization("the batch has to be written while nobody else writes")
    }

    /// The schema `name` exists already (42P06).
    pub fn duplicate_schema(name: &str) -> Self {
        Self::new(Kind::DuplicateSchema, format!("schema {} already exists", quoted(name)))
            .with_hint("A workspace that is there needs no cdp_init(); for another one give another name, such as cdp_init('brand_b').")
    }

    /// There is no `kind` (segment, source, …) called `name` (42704).
    pub fn undefined_object(kind: &str, name: &str) -> Self {
        Self::new(Kind::UndefinedObject, format!("{kind} {} does not exist", quoted(name)))
    }

    /// There is already a `kind` called `name` (42710).
    pub fn duplicate_object(kind: &str, name: &str) -> Self {
        Self::new(Kind::DuplicateObject, format!("{kind} {} already exists", quoted(name)))
    }

    /// Types that do not go together (42804).
    pub fn type_mismatch(message: impl Into<String>) -> Self {
        Self::new(Kind::TypeMismatch, message)
    }

    /// A definition that cannot stand (42P17).
    pub fn invalid_definition(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidDefinition, message)
    }

    /// A value outside the values that are allowed (23514).
    pub fn not_allowed(message: impl Into<String>) -> Self {
        Self::new(Kind::NotAllowed, message)
    }

    /// Beyond what can be stored or returned (54000).
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(Kind::Limit, message)
    }

    /// Not possible in the present state (55000).
    pub fn wrong_state(message: impl Into<String>) -> Self {
        Self::new(Kind::WrongState, message)
    }

    /// Not the kind of object that is needed (42809).
    pub fn wrong_object(message: impl Into<String>) -> Self {
        Self::new(Kind::WrongObject, message)
    }

    /// 25006: a function that writes was called on a standby.
    pub fn standby() -> Self {
        Self::new(Kind::ReadOnly, "this server is a standby, where nothing can be written")
            .with_hint("Call it on the primary.")
    }

    /// Something else still uses it (55006).
    pub fn in_use(message: impl Into<String>) -> Self {
        Self::new(Kind::InUse, message)
    }

    /// Not supported (0A000).
    pub fn not_supported(message: impl Into<String>) -> Self {
        Self::new(Kind::NotSupported, message)
    }

    /// A stored value is damaged (XX001): `what` names it.
    pub fn corrupted(what: &str) -> Self {
        Self::new(Kind::Corrupted, format!("stored {what} is damaged"))
    }

    /// A bug in the extension (XX000): `what` says which assumption broke.
    pub fn internal(what: impl Into<String>) -> Self {
        Self::new(Kind::Internal, what)
    }

    /// A mistake in an expression, with its place and the text around it.
    pub fn expression(error: &ExprError, text: &str) -> Self {
        let mut out = Self::from(error.clone());
        if error.position > 0 {
            let at = error.position as usize - 1;
            let shown: String =
                text.chars().skip(at).take(SHOWN_CHARACTERS).map(|c| if c.is_control() { ' ' } else { c }).collect();
            out = out.with_detail(match shown.trim_end() {
                "" => "At the end of the expression.".to_owned(),
                shown => format!("At character {} of the expression: {shown}", error.position),
            });
        }
        out
    }

    /// Adds the detail line: numbers and places.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds the hint line: what to do next. A hint is a sentence: it begins with a capital and ends with a full stop.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(sentence(&hint.into()));
        self
    }

    /// Adds the hint line unless there is one.
    #[must_use]
    pub fn or_hint(self, hint: impl Into<String>) -> Self {
        if self.0.hint.is_some() { self } else { self.with_hint(hint) }
    }

    /// Says what was being read when it happened.
    #[must_use]
    pub fn in_context(mut self, context: &str) -> Self {
        self.0.message = format!("{context}: {}", self.0.message);
        self
    }

    /// The kind.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Raises the error now, for the few places that cannot return one (iterators, value conversion).
    pub fn raise(self) -> ! {
        ErrorReport::from(self).report(PgLogLevel::ERROR);
        unreachable!("reporting an error does not return")
    }
}

/// What an SQL function was called with, or an error that names the argument (22004).
pub fn given<T>(value: Option<T>, argument: &str) -> Result<T, CdpError> {
    value.ok_or_else(|| {
        CdpError::new(Kind::NullValue, format!("argument {} must not be null", quoted(argument)))
            .with_hint("Give it a value.")
    })
}

/// The text as a sentence.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let mut out: String = match characters.next() {
        Some(first) => first.to_uppercase().chain(characters).collect(),
        None => return String::new(),
    };
    if !out.ends_with(['.', '?', '!', ';', ')', '…']) {
        out.push('.');
    }
    out
}

impl fmt::Display for CdpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for CdpError {}

impl From<CdpError> for ErrorReport {
    fn from(error: CdpError) -> Self {
        let Said { kind, message, detail, hint } = *error.0;
        let mut report = ErrorReport::new(kind.code(), message, "pg_cdp");
        if let Some(detail) = detail {
            report = report.set_detail(detail);
        }
        if let Some(hint) = hint {
            report = report.set_hint(hint);
        }
        report
    }
}

impl From<SqlFailure> for CdpError {
    fn from(failure: SqlFailure) -> Self {
        Self(Box::new(Said {
            kind: Kind::Given(failure.code),
            message: failure.message,
            detail: failure.detail,
            hint: failure.hint,
        }))
    }
}

impl From<pgrx::spi::SpiError> for CdpError {
    fn from(error: pgrx::spi::SpiError) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<StoreError> for CdpError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Overflow => Self::new(Kind::OutOfRange, error.to_string()),
            _ => Self::new(Kind::Corrupted, format!("a stored column is damaged: {error}"))
                .with_hint("The facts are intact: set state to stale in the workspace's table store_column, for that column or all, and call cdp_flush() to rebuild."),
        }
    }
}

impl From<ExprError> for CdpError {
    fn from(error: ExprError) -> Self {
        let code = sqlstate(error.sqlstate());
        Self(Box::new(Said {
            kind: Kind::Given(code),
            message: error.message,
            detail: None,
            hint: error.hint.as_deref().map(sentence),
        }))
    }
}

impl From<NormError> for CdpError {
    fn from(error: NormError) -> Self {
        Self::invalid_parameter(error.to_string())
    }
}

/// The code of an SQLSTATE that the expression language uses.
fn sqlstate(text: &str) -> PgSqlErrorCode {
    match text {
        "42601" => PgSqlErrorCode::ERRCODE_SYNTAX_ERROR,
        "42703" => PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN,
        "42704" => PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
        "42883" => PgSqlErrorCode::ERRCODE_UNDEFINED_FUNCTION,
        "42804" => PgSqlErrorCode::ERRCODE_DATATYPE_MISMATCH,
        "22P02" => PgSqlErrorCode::ERRCODE_INVALID_TEXT_REPRESENTATION,
        "22008" => PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW,
        "22003" => PgSqlErrorCode::ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
        "0A000" => PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
        "54001" => PgSqlErrorCode::ERRCODE_STATEMENT_TOO_COMPLEX,
        "42725" => PgSqlErrorCode::ERRCODE_AMBIGUOUS_FUNCTION,
        _ => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
    }
}
