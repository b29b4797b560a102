//! Places in the text, and letting go of sqlparser's trees; neither recurses along a chain.

use sqlparser::ast::{CastKind, Expr as Sql};

use super::convert::Converter;
use super::tokens::column;
use crate::expr::ast::Position;

impl Converter<'_> {
    /// Where a tree begins in the text. Goes down the left side in a loop: sqlparser's own spans recurse.
    pub(super) fn start(&self, tree: &Sql) -> Position {
        let mut tree = tree;
        loop {
            tree = match tree {
                Sql::Identifier(i) => return column(i.span.start),
                Sql::CompoundIdentifier(parts) => {
                    return parts.first().map_or(0, |i| column(i.span.start));
                }
                Sql::Value(v) => return column(v.span.start),
                Sql::TypedString(t) => return self.words.typed_literal(column(t.value.span.start)),
                Sql::Interval(i) => return self.words.typed_literal(self.start(&i.value)),
                Sql::Function(f) => {
                    return f.name.0.first().and_then(|p| p.as_ident()).map_or(0, |i| column(i.span.start));
                }
                Sql::Case { case_token, .. } => return column(case_token.0.span.start),
                Sql::Nested(x) => return self.words.before(self.start(x), "("),
                Sql::UnaryOp { op, expr } => {
                    return self.words.before(self.start(expr), op.to_string().trim());
                }
                Sql::Extract { expr, .. } => return self.words.before(self.start(expr), "extract"),
                Sql::Cast { kind: CastKind::Cast, expr, .. } => return self.words.before(self.start(expr), "cast"),
                Sql::Tuple(list) => return list.first().map_or(0, |x| self.start(x)),
                Sql::Array(a) => {
                    return a.elem.first().map_or(0, |x| self.words.before(self.start(x), "array"));
                }
                Sql::BinaryOp { left, .. }
                | Sql::AnyOp { left, .. }
                | Sql::AllOp { left, .. }
                | Sql::IsDistinctFrom(left, _)
                | Sql::IsNotDistinctFrom(left, _) => left,
                Sql::IsFalse(x)
                | Sql::IsNotFalse(x)
                | Sql::IsTrue(x)
                | Sql::IsNotTrue(x)
                | Sql::IsNull(x)
                | Sql::IsNotNull(x)
                | Sql::IsUnknown(x)
                | Sql::IsNotUnknown(x) => x,
                Sql::InList { expr, .. }
                | Sql::InSubquery { expr, .. }
                | Sql::InUnnest { expr, .. }
                | Sql::Between { expr, .. }
                | Sql::Like { expr, .. }
                | Sql::ILike { expr, .. }
                | Sql::SimilarTo { expr, .. }
                | Sql::Cast { expr, .. }
                | Sql::Collate { expr, .. }
                | Sql::Ceil { expr, .. }
                | Sql::Floor { expr, .. }
                | Sql::Position { expr, .. }
                | Sql::Substring { expr, .. }
                | Sql::Trim { expr, .. }
                | Sql::Overlay { expr, .. }
                | Sql::AtTimeZone { timestamp: expr, .. }
                | Sql::JsonAccess { value: expr, .. }
                | Sql::CompoundFieldAccess { root: expr, .. } => expr,
                Sql::OuterJoin(x) => x,
                Sql::Prefixed { prefix, .. } => return column(prefix.span.start),
                _ => return 0,
            };
        }
    }
}

/// Drops a tree link by link; dropping it whole recurses once for each link of its longest chain.
pub(super) fn discard(tree: Sql) {
    let mut rest = vec![tree];
    while let Some(tree) = rest.pop() {
        match tree {
            Sql::BinaryOp { left, right, .. } => rest.extend([*left, *right]),
            Sql::Between { expr, low, high, .. } => rest.extend([*expr, *low, *high]),
            Sql::Nested(x)
            | Sql::IsNull(x)
            | Sql::IsNotNull(x)
            | Sql::IsTrue(x)
            | Sql::IsNotTrue(x)
            | Sql::IsFalse(x)
            | Sql::IsNotFalse(x)
            | Sql::UnaryOp { expr: x, .. }
            | Sql::Cast { expr: x, .. } => rest.push(*x),
            _ => {}
        }
    }
}
