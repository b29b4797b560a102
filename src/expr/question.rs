//! A question: an expression, checked, and the moment it is asked about.

use super::catalog::Catalog;
use super::definition;
use crate::error::CdpError;
use crate::pg::{spi, transaction};
use crate::store::group::Group;
use crate::workspace::Workspace;
use pg_cdp_core::expr::ast::{Expr, Node, Type};
use pg_cdp_core::expr::sql::SqlContext;
use pg_cdp_core::expr::{fold, sql};
use pgrx::datum::TimestampWithTimeZone;
use std::rc::Rc;

/// The moment a question is asked about.
#[derive(Debug, Clone)]
pub struct Moment {
    /// Microseconds since 2000-01-01 UTC.
    pub micros: i64,
    /// The text of `as_of`; `None` for now.
    pub as_of: Option<String>,
}

/// 4600 BC and 100000 AD, in microseconds since 2000-01-01 UTC: a day before and after each is still a timestamp.
const EARLIEST: i64 = -208_000_000_000_000_000;
const LATEST: i64 = 3_092_000_000_000_000_000;

impl Moment {
    /// `as_of`, or the start of the transaction.
    ///
    /// # Errors
    /// 22023 for an `as_of` that is infinite or out of range.
    pub fn new(as_of: Option<TimestampWithTimeZone>) -> Result<Self, CdpError> {
        let Some(as_of) = as_of else { return Ok(Self { micros: transaction::started_at(), as_of: None }) };
        let micros: i64 = as_of.into();
        if !(EARLIEST..=LATEST).contains(&micros) {
            return Err(CdpError::invalid_parameter("as_of is out of range")
                .with_hint("Give a moment between 4600 BC and 100000 AD, or leave as_of out for now."));
        }
        let text = spi::one::<String>("SELECT $1::pg_catalog.text", &[as_of.into()])?;
        Ok(Self { micros, as_of: text })
    }
}

/// A checked expression with what it was checked against.
pub struct Question<'a> {
    /// The workspace.
    pub ws: &'a Workspace,
    /// Its names and columns.
    pub catalog: Rc<Catalog>,
    /// When.
    pub moment: Moment,
    /// Its text, when that says all of it.
    pub text: Option<String>,
    /// The entity type whose groups it is about; `None` for people.
    pub group: Option<Group>,
    /// The expression; with an `as_of`, tags and dynamic segments are written out.
    pub expr: Expr,
}

/// An expression whose constants are literals.
pub struct Folded {
    /// The expression.
    pub expr: Expr,
    /// Whether any had to be evaluated: it may depend on the moment.
    pub evaluated: bool,
}

impl<'a> Question<'a> {
    /// Parses and checks an expression. `want` is the type it must have.
    ///
    /// # Errors
    /// What is wrong with the expression, with its position.
    pub fn ask(ws: &'a Workspace, text: &str, want: Option<Type>, moment: Moment) -> Result<Self, CdpError> {
        Self::of_catalog(ws, Catalog::load(ws)?, text, want, moment)
    }

    /// As [`Self::ask`], about the groups of an entity type, or about people.
    ///
    /// # Errors
    /// Those of [`Self::ask`].
    pub fn about(
        ws: &'a Workspace,
        group: Option<Group>,
        text: &str,
        want: Option<Type>,
        moment: Moment,
    ) -> Result<Self, CdpError> {
        let Some(group) = group else { return Self::ask(ws, text, want, moment) };
        let question = Self::of_catalog(ws, Catalog::of_group(ws, &group)?, text, want, moment)?;
        Ok(Self { group: Some(group), ..question })
    }

    /// As [`Self::ask`], of a catalogue that has been loaded.
    ///
    /// # Errors
    /// Those of [`Self::ask`].
    pub fn of_catalog(
        ws: &'a Workspace,
        catalog: Rc<Catalog>,
        text: &str,
        want: Option<Type>,
        moment: Moment,
    ) -> Result<Self, CdpError> {
        let parsed = catalog.expression(text, want).map_err(|e| CdpError::expression(&e, text))?;
        let expr = Expr::clone(&parsed);
        let expr = if moment.as_of.is_some() { definition::written_out(expr, &catalog)? } else { expr };
        let text = moment.as_of.is_none().then(|| text.to_owned());
        Ok(Self { ws, catalog, moment, text, group: None, expr })
    }

    /// Whether the segment of this name, if there is one, else whether an expression is true.
    ///
    /// # Errors
    /// What is wrong with the expression, with its position.
    pub fn about_segment_or(ws: &'a Workspace, name: &str, moment: Moment) -> Result<Self, CdpError> {
        let catalog = Catalog::load(ws)?;
        if !catalog.segments.contains_key(name) {
            return Self::ask(ws, name, Some(Type::Boolean), moment);
        }
        let node = Node::InSegment(name.to_owned());
        let expr = Expr { node, ty: Type::Boolean, at: 0 };
        let mut question = Self { ws, catalog, moment, text: None, group: None, expr };
        question.expr = question.inlined(question.expr.clone())?;
        Ok(question)
    }

    /// An expression over the same names, as of the same moment.
    pub fn inlined(&self, expr: Expr) -> Result<Expr, CdpError> {
        if self.moment.as_of.is_some() { definition::written_out(expr, &self.catalog) } else { Ok(expr) }
    }

    /// What the SQL printer needs.
    pub fn context(&self) -> SqlContext<'_> {
        self.context_of(None)
    }

    fn context_of<'b>(&'b self, group: Option<sql::Group<'b>>) -> SqlContext<'b> {
        SqlContext {
            schema: self.ws.schema(),
            now: self.moment.as_of.as_deref(),
            catalog: self.catalog.as_ref(),
            point: None,
            group,
        }
    }

    /// The expression with its constants evaluated by PostgreSQL.
    pub fn folded(&self) -> Result<Folded, CdpError> {
        let constants = fold::constants(&self.expr);
        if constants.is_empty() {
            return Ok(Folded { expr: self.expr.clone(), evaluated: false });
        }
        let ctx = self.context();
        let texts: Vec<String> =
            constants.iter().map(|c| format!("({})::pg_catalog.text", sql::constant_sql(c, &ctx))).collect();
        let values =
            spi::one::<Vec<Option<String>>>(&format!("SELECT ARRAY[{}]::pg_catalog.text[]", texts.join(", ")), &[])?
                .ok_or_else(|| CdpError::internal("constants were not evaluated"))?;
        Ok(Folded { expr: fold::substitute(&self.expr, &values)?, evaluated: true })
    }

    /// The question as plain SQL over the public views: `profile_id` of everybody it is true for.
    pub fn members_sql(&self) -> String {
        self.with_context(|context| sql::select_sql(&[], Some(&self.expr), context))
    }

    /// The question as plain SQL over the public views: `profile_id` and the value of the expression for everybody.
    pub fn values_sql(&self) -> String {
        self.with_context(|context| sql::select_sql(&[("value", &self.expr)], None, context))
    }

    /// Prints with the relations of whom the question is about.
    fn with_context(&self, print: impl FnOnce(&SqlContext<'_>) -> String) -> String {
        let view = self.group.as_ref().map(Group::view);
        let group =
            self.group.as_ref().zip(view.as_deref()).map(|(group, view)| sql::Group { name: &group.name, view });
        print(&self.context_of(group))
    }
}
