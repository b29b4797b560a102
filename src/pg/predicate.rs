//! Which rows a partial index has: what its condition says of a column, for the few kinds of conditions that the tables here have. Whoever writes an index with another
//! condition leaves the table to statements.

use super::varlena::Detoasted;
use pgrx::{PgList, is_a, pg_sys};

/// The condition of a partial index. Columns count from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Predicate {
    /// A column is not NULL.
    NotNull(usize),
    /// A boolean column is true.
    True(usize),
    /// A text column equals a text, byte by byte.
    TextIs(usize, Box<[u8]>),
}

impl Predicate {
    /// That of an index whose conditions are given, all of which have to hold; `None`: it is none of those known here.
    ///
    /// # Safety
    /// The list is that of an index, as PostgreSQL prepares it for planning.
    pub(super) unsafe fn of(conditions: *mut pg_sys::List) -> Option<Self> {
        // SAFETY: nodes of a list are read by the kind that they say they are.
        unsafe {
            let list = PgList::<pg_sys::Node>::from_pg(conditions);
            let one = (list.len() == 1).then(|| list.get_ptr(0)).flatten()?;
            if is_a(one, pg_sys::NodeTag::T_NullTest) {
                let test = &*one.cast::<pg_sys::NullTest>();
                let not = test.nulltesttype == pg_sys::NullTestType::IS_NOT_NULL && !test.argisrow;
                return if not { column(test.arg.cast(), None).map(Self::NotNull) } else { None };
            }
            if is_a(one, pg_sys::NodeTag::T_OpExpr) {
                let operation = &*one.cast::<pg_sys::OpExpr>();
                let args = PgList::<pg_sys::Node>::from_pg(operation.args);
                // Texts that are equal have the same bytes, but under a collation that says otherwise.
                if operation.opno.to_u32() != pg_sys::TextEqualOperator
                    || args.len() != 2
                    || !pg_sys::get_collation_isdeterministic(operation.inputcollid)
                {
                    return None;
                }
                let column = column(args.get_ptr(0)?, Some(pg_sys::TEXTOID))?;
                let text = args.get_ptr(1)?;
                let text = is_a(text, pg_sys::NodeTag::T_Const).then(|| &*text.cast::<pg_sys::Const>())?;
                if text.constisnull || text.consttype != pg_sys::TEXTOID {
                    return None;
                }
                return Some(Self::TextIs(column, Detoasted::new(text.constvalue).bytes().into()));
            }
            column(one, Some(pg_sys::BOOLOID)).map(Self::True)
        }
    }

    /// Whether it holds of a row.
    ///
    /// # Safety
    /// The values are those of a row of the table.
    pub(super) unsafe fn holds(&self, values: &[pg_sys::Datum], nulls: &[bool]) -> bool {
        let value = |column: usize| match (values.get(column), nulls.get(column)) {
            (Some(value), Some(false)) => Some(*value),
            _ => None,
        };
        match self {
            Self::NotNull(column) => value(*column).is_some(),
            Self::True(column) => value(*column).is_some_and(|value| value.value() & 0xff != 0),
            // SAFETY: the column is a text, as of() has seen; the caller's promise.
            Self::TextIs(column, text) => {
                value(*column).is_some_and(|value| unsafe { Detoasted::new(value) }.bytes() == &**text)
            }
        }
    }
}

/// The column that a node stands for, if it is one, of the type that is asked for.
///
/// # Safety
/// The node is part of a condition of an index.
unsafe fn column(node: *mut pg_sys::Node, ty: Option<pg_sys::Oid>) -> Option<usize> {
    // SAFETY: a node is read by the kind that it says it is.
    unsafe {
        if node.is_null() || !is_a(node, pg_sys::NodeTag::T_Var) {
            return None;
        }
        let column = &*node.cast::<pg_sys::Var>();
        let plain = column.varlevelsup == 0 && ty.is_none_or(|ty| column.vartype == ty);
        if plain { usize::try_from(column.varattno).ok()?.checked_sub(1) } else { None }
    }
}
