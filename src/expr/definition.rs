//! What the names in an expression stand for: the expressions of tags and dynamic segments.

use super::catalog::Catalog;
use crate::error::CdpError;
use crate::pg::stack;
use pg_cdp_core::expr::ast::{Expr, Node, Type};
use pg_cdp_core::expr::parse::Limits;
use pg_cdp_core::expr::{compile_with, walk};

/// The most nodes of an expression with everything written out. A tag that names a tag twice is written out twice.
const MOST_NODES: usize = 100_000;

/// The most levels of it: what goes through a tree recurses as deep.
const MOST_LEVELS: usize = 400;

/// How deep definitions may refer to definitions.
const DEEPEST: usize = 32;

/// A name with a definition, as messages show it; and the definition with the type it must have.
fn definition<'a>(node: &Node, ty: Type, catalog: &'a Catalog) -> Option<(String, &'a str, Type)> {
    match node {
        Node::Attribute(name) => {
            let text = catalog.attributes.get(name)?.expression.as_deref()?;
            Some((tag(name), text, ty))
        }
        Node::InSegment(name) => {
            let text = catalog.segments.get(name)?.expression.as_deref()?;
            Some((segment(name), text, Type::Boolean))
        }
        _ => None,
    }
}

/// A tag as messages show it.
fn tag(name: &str) -> String {
    format!("tag \"{name}\"")
}

/// A segment as messages show it.
fn segment(name: &str) -> String {
    format!("segment \"{name}\"")
}

fn compiled(text: &str, ty: Type, catalog: &Catalog) -> Result<Expr, CdpError> {
    compile_with(text, catalog, Some(ty), &Limits::MOST).map_err(|e| CdpError::expression(&e, text))
}

/// A definition that leads back to itself: the way, from the label of what it defines to the same label.
pub fn cycle(way: &[String]) -> CdpError {
    CdpError::invalid_definition(format!("{} refers to itself", way.first().map_or("", String::as_str)))
        .with_detail(format!("{}.", way.join(" -> ")))
        .with_hint("Take the reference out of one of them.")
}

/// Replaces tags and dynamic segments by their expressions: what they would have been at the moment asked about.
///
/// # Errors
/// 42P17 when a definition leads back to itself, 54000 when it all becomes too large.
pub fn written_out(expr: Expr, catalog: &Catalog) -> Result<Expr, CdpError> {
    let expr = Writer { catalog, path: Vec::new(), left: MOST_NODES }.write(expr)?;
    if walk::depth(&expr, MOST_LEVELS) > MOST_LEVELS {
        return Err(CdpError::limit(format!(
            "the expression has more than {MOST_LEVELS} levels with its tags and segments written out"
        ))
        .with_hint("Refer to tags that refer to fewer tags."));
    }
    Ok(expr)
}

struct Writer<'a> {
    catalog: &'a Catalog,
    /// The definitions that are being written out, each inside the one before.
    path: Vec<String>,
    /// How many nodes there may still be.
    left: usize,
}

impl Writer<'_> {
    fn write(&mut self, mut expr: Expr) -> Result<Expr, CdpError> {
        stack::check_depth();
        self.left = self.left.checked_sub(1).ok_or_else(|| {
            CdpError::limit(format!(
                "the expression has more than {MOST_NODES} parts with its tags and segments written out"
            ))
            .with_hint("Refer to tags that refer to fewer tags.")
        })?;
        if let Some((label, text, ty)) = definition(&expr.node, expr.ty, self.catalog) {
            // No definition that was taken in leads here; the tables may have been changed by hand.
            if let Some(from) = self.path.iter().position(|outer| *outer == label) {
                self.path.push(label);
                return Err(cycle(self.path.get(from..).unwrap_or_default()));
            }
            if self.path.len() == DEEPEST {
                return Err(CdpError::limit(format!("tags refer to tags more than {DEEPEST} deep"))
                    .with_hint("Write the inner tag out in the expression of the outer one."));
            }
            let inner = compiled(text, ty, self.catalog)?;
            self.path.push(label);
            let inner = self.write(inner)?;
            self.path.pop();
            // Whoever the expression of a segment gives NULL for is not in it.
            return Ok(if matches!(expr.node, Node::InSegment(_)) {
                let node = Node::IsBoolean { value: Box::new(inner), truth: true, negated: false };
                Expr { node, ty: Type::Boolean, at: expr.at }
            } else {
                inner
            });
        }
        for child in walk::children_mut(&mut expr) {
            let taken = std::mem::replace(child, Expr { node: Node::Null, ty: Type::Unknown, at: 0 });
            *child = self.write(taken)?;
        }
        Ok(expr)
    }
}
