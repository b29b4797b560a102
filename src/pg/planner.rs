//! Planner support functions.

use pgrx::datum::Internal;
use pgrx::pg_sys;

use super::varlena::Detoasted;

/// Answers a planner's question about a set-returning function with one variable-length argument: when it asks for the
/// number of rows and the argument is already a constant, `rows` gives the number from the constant's payload.
///
/// Anything else is left to the planner. An argument that is not yet a constant is not evaluated: it could be as dear
/// as the query itself.
pub fn rows_of_constant(request: &Internal, rows: impl FnOnce(&[u8]) -> Option<f64>) -> Internal {
    let unanswered = Internal::from(Some(pg_sys::Datum::from(0usize)));
    // SAFETY: PostgreSQL passes a support function a pointer to a request node; the node's tag is read before anything
    // of the request. An argument list of a FuncExpr is a list of nodes, and a Const that is not NULL, not passed by
    // value and of length -1 holds a varlena.
    unsafe {
        let Some(node) = request.get::<pg_sys::Node>() else { return unanswered };
        if node.type_ != pg_sys::NodeTag::T_SupportRequestRows {
            return unanswered;
        }
        let pointer = std::ptr::from_ref(node).cast_mut();
        let asked = pointer.cast::<pg_sys::SupportRequestRows>();
        let call = (*asked).node;
        if call.is_null() || (*call).type_ != pg_sys::NodeTag::T_FuncExpr {
            return unanswered;
        }
        let arguments = (*call.cast::<pg_sys::FuncExpr>()).args;
        if arguments.is_null() || (*arguments).length < 1 {
            return unanswered;
        }
        let argument = (*(*arguments).elements).ptr_value.cast::<pg_sys::Node>();
        if argument.is_null() || (*argument).type_ != pg_sys::NodeTag::T_Const {
            return unanswered;
        }
        let constant = &*argument.cast::<pg_sys::Const>();
        if constant.constisnull || constant.constbyval || constant.constlen != -1 {
            return unanswered;
        }
        let value = Detoasted::new(constant.constvalue);
        match rows(value.bytes()) {
            Some(rows) => {
                (*asked).rows = rows;
                Internal::from(Some(pg_sys::Datum::from(pointer)))
            }
            None => unanswered,
        }
    }
}
