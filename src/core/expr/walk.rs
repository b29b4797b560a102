//! The children of a node, in the order they are printed; every traversal of the tree goes through here.

use super::ast::{Expr, Node};

/// The operands of `expr`, left to right. The FILTER of an aggregate or a step counts as an operand.
pub fn children(expr: &Expr) -> Vec<&Expr> {
    match &expr.node {
        Node::Null
        | Node::Boolean(_)
        | Node::Number(_)
        | Node::Text(_)
        | Node::Now
        | Node::CurrentDate
        | Node::Attribute(_)
        | Node::EventTime
        | Node::Property(_)
        | Node::InSegment(_)
        | Node::HasIdentifier(_) => Vec::new(),
        Node::Aggregate(a) => a.filter.iter().collect(),
        Node::Sequence(s) => s.steps.iter().filter_map(|step| step.filter.as_ref()).chain(&s.within).collect(),
        Node::Not(x) | Node::Negate(x) => vec![x],
        Node::And(list) | Node::Or(list) => list.iter().collect(),
        Node::Compare { left, right, .. } | Node::Arithmetic { left, right, .. } => {
            vec![left, right]
        }
        Node::In { value, list, .. } => std::iter::once(&**value).chain(list).collect(),
        Node::Between { value, low, high, .. } => vec![value, low, high],
        Node::IsNull { value, .. } | Node::IsBoolean { value, .. } | Node::Cast { value, .. } => {
            vec![value]
        }
        Node::Like { value, pattern, .. } => vec![value, pattern],
        Node::Any { value, set } => vec![value, set],
        Node::Case { operand, branches, otherwise } => operand
            .iter()
            .map(|x| &**x)
            .chain(branches.iter().flat_map(|(when, then)| [when, then]))
            .chain(otherwise.iter().map(|x| &**x))
            .collect(),
        Node::Call { arguments, .. } => arguments.iter().collect(),
    }
}

/// The same operands, to be changed in place.
pub fn children_mut(expr: &mut Expr) -> Vec<&mut Expr> {
    match &mut expr.node {
        Node::Null
        | Node::Boolean(_)
        | Node::Number(_)
        | Node::Text(_)
        | Node::Now
        | Node::CurrentDate
        | Node::Attribute(_)
        | Node::EventTime
        | Node::Property(_)
        | Node::InSegment(_)
        | Node::HasIdentifier(_) => Vec::new(),
        Node::Aggregate(a) => a.filter.iter_mut().collect(),
        Node::Sequence(s) => s.steps.iter_mut().filter_map(|step| step.filter.as_mut()).chain(&mut s.within).collect(),
        Node::Not(x) | Node::Negate(x) => vec![x],
        Node::And(list) | Node::Or(list) => list.iter_mut().collect(),
        Node::Compare { left, right, .. } | Node::Arithmetic { left, right, .. } => {
            vec![left, right]
        }
        Node::In { value, list, .. } => std::iter::once(&mut **value).chain(list).collect(),
        Node::Between { value, low, high, .. } => vec![value, low, high],
        Node::IsNull { value, .. } | Node::IsBoolean { value, .. } | Node::Cast { value, .. } => {
            vec![value]
        }
        Node::Like { value, pattern, .. } => vec![value, pattern],
        Node::Any { value, set } => vec![value, set],
        Node::Case { operand, branches, otherwise } => operand
            .iter_mut()
            .map(|x| &mut **x)
            .chain(branches.iter_mut().flat_map(|(when, then)| [when, then]))
            .chain(otherwise.iter_mut().map(|x| &mut **x))
            .collect(),
        Node::Call { arguments, .. } => arguments.iter_mut().collect(),
    }
}

/// How many levels the tree has; the recursion of a traversal is as deep as this. Stops counting above `most` and
/// uses no recursion itself, so that it can look at a tree of any origin.
pub fn depth(expr: &Expr, most: usize) -> usize {
    let mut level = vec![expr];
    let mut depth = 0;
    while !level.is_empty() && depth <= most {
        depth += 1;
        level = level.into_iter().flat_map(children).collect();
    }
    depth
}
