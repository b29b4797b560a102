//! The expression language: SQL's scalar expressions over the attributes and events of a profile.
//! Text becomes a tree ([`parse`]), the tree gets its types ([`check`]), and from there it goes to the executors or back
//! to text ([`mod@print`], [`sql`]).

pub mod ast;
pub mod check;
pub mod error;
pub mod fold;
pub mod json;
pub mod parse;
pub mod print;
pub mod progress;
mod sequence_sql;
pub mod sql;
pub mod walk;

use ast::{Expr, Type};
use check::Catalog;
use error::ExprError;
use parse::Limits;

/// Reads and checks `text`: the whole way from what a user wrote to a typed tree, with errors placed at the word at
/// fault. `want` is the type it must have, `Some(Boolean)` for a segment.
///
/// # Errors
/// As [`parse::parse`] and [`check::check`].
pub fn compile(text: &str, catalog: &dyn Catalog, want: Option<Type>) -> Result<Expr, ExprError> {
    compile_with(text, catalog, want, &Limits::default())
}

/// As [`compile`], within other limits than the default.
///
/// # Errors
/// As [`compile`].
pub fn compile_with(text: &str, catalog: &dyn Catalog, want: Option<Type>, limits: &Limits) -> Result<Expr, ExprError> {
    parse::parse_with(text, limits).and_then(|e| check::check(e, catalog, want)).map_err(|e| parse::locate(e, text))
}

#[cfg(test)]
mod errors_test;
#[cfg(test)]
mod test_catalog;
