//! Selectivity estimators: which part of the rows a condition keeps, from the column's statistics.

use pgrx::datum::Internal;
use pgrx::pg_sys;

use crate::error::CdpError;

use super::varlena::Detoasted;

/// What a RESTRICT estimator is called with.
pub struct Restriction<'a> {
    /// The planner's state.
    pub root: &'a Internal,
    /// The operator.
    pub operator: pg_sys::Oid,
    /// Its two arguments.
    pub arguments: &'a Internal,
    /// The relation the condition is about; 0 when it is the only one.
    pub relation: i32,
}

impl Restriction<'_> {
    /// The estimate: the operator evaluated for the column's most common values and for its histogram. Where there are no
    /// statistics, or the other side is no constant, `default`.
    ///
    /// When a variable-length constant stands beside a column of another type, as in `id <@ '{1,2}'`, `most` gives from
    /// its payload the number of different values that can satisfy the condition; a histogram cannot see a few
    /// values, and that number over the column's distinct values is then the better answer.
    pub fn estimate(&self, default: f64, most: impl FnOnce(&[u8]) -> Option<f64>) -> Result<f64, CdpError> {
        // SAFETY: PostgreSQL passes an estimator its planner state, a list of the operator's two arguments and the
        // relation. The statistics found are released before returning; an error in between ends the planning, whose
        // resource owner releases them.
        unsafe {
            let (Some(root), Some(arguments)) =
                (self.root.get::<pg_sys::PlannerInfo>(), self.arguments.get::<pg_sys::List>())
            else {
                return Err(CdpError::not_supported("an estimator was called by something else than the planner"));
            };
            let root = std::ptr::from_ref(root).cast_mut();
            let arguments = std::ptr::from_ref(arguments).cast_mut();
            let generic = pg_sys::generic_restriction_selectivity(
                root,
                self.operator,
                pg_sys::InvalidOid,
                arguments,
                self.relation,
                default,
            );
            let mut column = pg_sys::VariableStatData::default();
            let mut other: *mut pg_sys::Node = std::ptr::null_mut();
            let mut on_left = false;
            if !pg_sys::get_restriction_variable(root, arguments, self.relation, &mut column, &mut other, &mut on_left)
            {
                return Ok(generic.clamp(0.0, 1.0));
            }
            let mut estimate = generic;
            if let Some(constant) = constant(other)
                && column.vartype != constant.consttype
                && let Some(values) = most(Detoasted::new(constant.constvalue).bytes())
            {
                let mut is_default = false;
                let distinct = pg_sys::get_variable_numdistinct(&mut column, &mut is_default);
                if distinct >= 1.0 && !is_default {
                    estimate = estimate.min(values / distinct);
                }
            }
            if !column.statsTuple.is_null()
                && let Some(free) = column.freefunc
            {
                free(column.statsTuple);
            }
            Ok(estimate.clamp(0.0, 1.0))
        }
    }
}

/// A node that is a variable-length constant and not NULL.
///
/// # Safety
/// `node` must be null or a node.
unsafe fn constant<'a>(node: *mut pg_sys::Node) -> Option<&'a pg_sys::Const> {
    // SAFETY: the tag says what the node is.
    unsafe {
        if node.is_null() || (*node).type_ != pg_sys::NodeTag::T_Const {
            return None;
        }
        let constant = &*node.cast::<pg_sys::Const>();
        (!constant.constisnull && !constant.constbyval && constant.constlen == -1).then_some(constant)
    }
}
