//! Leaves over one attribute: equality on codes, ranges on numbers, and any predicate at all on the dictionary of a coded one.

use super::{AttributeColumn, Columns, HAS_SET, Outcome, Planner, is_constant, number_text, ranges, union};
use crate::cells::Encoding;
use crate::expr::ast::{Comparison, Expr, Node as Ast, Type};
use crate::expr::walk;
use crate::program::Node;

impl<C: Columns> Planner<'_, C> {
    /// Everybody who has a value of the attribute.
    pub(super) fn attribute_present(&mut self, name: &str) -> Option<Node> {
        Some(match self.columns.attribute(name)? {
            AttributeColumn::Codes { column_id, .. } => {
                Node::Present(self.chunks(Encoding::Set, column_id, vec![(0, i64::from(i32::MAX))]))
            }
            AttributeColumn::Elements { column_id, .. } => {
                Node::Present(self.chunks(Encoding::Set, column_id, vec![(HAS_SET, HAS_SET)]))
            }
            AttributeColumn::CodeNumbers { column_id, .. } | AttributeColumn::Numbers { column_id, .. } => {
                Node::Present(self.chunks(Encoding::Number, column_id, vec![(0, 0)]))
            }
        })
    }

    /// `attribute op literal`; `None` when bits cannot answer it.
    pub(super) fn attribute_compare(
        &mut self,
        name: &str,
        attribute: &Expr,
        op: Comparison,
        literal: &Expr,
        outcome: Outcome,
    ) -> Result<Option<Node>, C::Error> {
        let Some(column) = self.columns.attribute(name) else { return Ok(None) };
        match column {
            AttributeColumn::Elements { .. } => Ok(None),
            AttributeColumn::Codes { dictionary_id, .. } | AttributeColumn::CodeNumbers { dictionary_id, .. } => {
                if !matches!(op, Comparison::Eq | Comparison::NotEq) || literal.ty != attribute.ty {
                    return Ok(None);
                }
                let Some(value) = coded_text(literal) else { return Ok(None) };
                let codes: Vec<i32> = self.columns.code(dictionary_id, &value)?.into_iter().collect();
                let wanted = (op == Comparison::Eq) == (outcome == Outcome::True);
                Ok(self.coded(name, &codes, wanted))
            }
            AttributeColumn::Numbers { column_id, scale } => {
                let bounds = match attribute.ty {
                    Type::Bigint | Type::Numeric if matches!(literal.ty, Type::Bigint | Type::Numeric) => {
                        let Some(text) = number_text(literal) else { return Ok(None) };
                        ranges(op, &text, scale)
                    }
                    Type::Date | Type::Timestamptz if literal.ty == attribute.ty => {
                        let Ast::Text(text) = &literal.node else { return Ok(None) };
                        let Some(moment) = self.columns.moment(literal.ty, text)? else { return Ok(None) };
                        ranges(op, &moment.to_string(), 0)
                    }
                    _ => None,
                };
                let Some(bounds) = bounds else { return Ok(None) };
                let slot = self.chunks(Encoding::Number, column_id, vec![(0, 0)]);
                let set = union(
                    bounds
                        .iter()
                        .filter_map(|r| r.clamp_i64())
                        .map(|(low, high)| Node::Range { slot, low, high })
                        .collect(),
                );
                Ok(Some(match (outcome, set) {
                    (Outcome::True, set) => set,
                    (Outcome::False, Node::Empty) => Node::Present(slot),
                    (Outcome::False, set) => Node::AndNot(Box::new(Node::Present(slot)), Box::new(set)),
                }))
            }
        }
    }

    /// `attribute IN (literals)` over a coded attribute: one slot for all its codes.
    pub(super) fn attribute_in(
        &mut self,
        value: &Expr,
        list: &[Expr],
        outcome: Outcome,
    ) -> Result<Option<Node>, C::Error> {
        let Ast::Attribute(name) = &value.node else { return Ok(None) };
        let dictionary_id = match self.columns.attribute(name) {
            Some(AttributeColumn::Codes { dictionary_id, .. } | AttributeColumn::CodeNumbers { dictionary_id, .. }) => {
                dictionary_id
            }
            _ => return Ok(None),
        };
        let mut codes = Vec::with_capacity(list.len());
        let mut null = false;
        for item in list {
            if matches!(item.node, Ast::Null) {
                null = true;
                continue;
            }
            if !is_constant(item) || item.ty != value.ty {
                return Ok(None);
            }
            let Some(text) = coded_text(item) else { return Ok(None) };
            codes.extend(self.columns.code(dictionary_id, &text)?);
        }
        // x IN (…, NULL) is never false.
        if null && outcome == Outcome::False {
            return Ok(Some(Node::Empty));
        }
        Ok(self.coded(name, &codes, outcome == Outcome::True))
    }

    /// `literal = ANY (attribute)` over a set of texts.
    pub(super) fn element(&mut self, value: &Expr, set: &Expr, outcome: Outcome) -> Result<Option<Node>, C::Error> {
        let (Ast::Attribute(name), Ast::Text(text)) = (&set.node, &value.node) else { return Ok(None) };
        let Some(AttributeColumn::Elements { dictionary_id, .. }) = self.columns.attribute(name) else {
            return Ok(None);
        };
        let codes: Vec<i32> = self.columns.code(dictionary_id, text)?.into_iter().collect();
        Ok(self.coded(name, &codes, outcome == Outcome::True))
    }

    /// A predicate whose only input is one coded attribute: PostgreSQL evaluates it on each value of the dictionary and on NULL.
    pub(super) fn dictionary_leaf(&mut self, expr: &Expr, outcome: Outcome) -> Result<Option<Node>, C::Error> {
        let Some((name, ty)) = only_attribute(expr) else { return Ok(None) };
        let dictionary_id = match self.columns.attribute(&name) {
            Some(AttributeColumn::Codes { dictionary_id, .. }) => dictionary_id,
            _ => return Ok(None),
        };
        let (yes, no) = self.columns.matching_codes(dictionary_id, &name, ty, expr)?;
        let of_null = self.columns.outcome_of_null(&name, ty, expr)?;
        let codes = if outcome == Outcome::True { yes } else { no };
        let Some(known) = self.coded(&name, &codes, true) else { return Ok(None) };
        if of_null == Some(outcome == Outcome::True) {
            let Some(present) = self.attribute_present(&name) else { return Ok(None) };
            let absent = self.others(present);
            return Ok(Some(union(vec![known, absent])));
        }
        Ok(Some(known))
    }

    /// Profiles whose code is (`wanted`) or is not (`!wanted`, among those that have one) in `codes`.
    fn coded(&mut self, name: &str, codes: &[i32], wanted: bool) -> Option<Node> {
        let mut codes: Vec<i64> = codes.iter().map(|c| i64::from(*c)).collect();
        codes.sort_unstable();
        codes.dedup();
        let set = match self.columns.attribute(name)? {
            _ if codes.is_empty() => Node::Empty,
            AttributeColumn::Codes { column_id, .. } | AttributeColumn::Elements { column_id, .. } => {
                Node::Present(self.chunks(Encoding::Set, column_id, codes.iter().map(|c| (*c, *c)).collect()))
            }
            AttributeColumn::CodeNumbers { column_id, .. } | AttributeColumn::Numbers { column_id, .. } => {
                let slot = self.chunks(Encoding::Number, column_id, vec![(0, 0)]);
                union(codes.iter().map(|c| Node::Range { slot, low: *c, high: *c }).collect())
            }
        };
        if wanted {
            return Some(set);
        }
        let present = self.attribute_present(name)?;
        Some(match set {
            Node::Empty => present,
            set => Node::AndNot(Box::new(present), Box::new(set)),
        })
    }
}

/// The dictionary's text of a text or boolean literal.
fn coded_text(literal: &Expr) -> Option<String> {
    match &literal.node {
        Ast::Text(text) => Some(text.clone()),
        Ast::Boolean(value) => Some(value.to_string()),
        _ => None,
    }
}

/// The attribute of an expression that has exactly one distinct attribute and nothing else that varies by profile.
fn only_attribute(expr: &Expr) -> Option<(String, Type)> {
    let mut found = None;
    only(expr, &mut found).then_some(found).flatten()
}

/// Collects the attribute; false when there is a second one, or something else that varies.
fn only(expr: &Expr, found: &mut Option<(String, Type)>) -> bool {
    match &expr.node {
        Ast::Attribute(name) => match found {
            Some((seen, _)) => seen == name,
            None => {
                *found = Some((name.clone(), expr.ty));
                true
            }
        },
        Ast::Aggregate(_)
        | Ast::InSegment(_)
        | Ast::HasIdentifier(_)
        | Ast::Sequence(_)
        | Ast::EventTime
        | Ast::Property(_) => false,
        _ => walk::children(expr).into_iter().all(|child| only(child, found)),
    }
}
