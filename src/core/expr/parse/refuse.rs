//! SQL that is not part of the language: which word it is, and what to write instead.

use sqlparser::ast::{DataType, ExactNumberInfo, Expr as Sql, Ident, TimezoneInfo};

use super::convert::Converter;
use crate::expr::ast::{Position, Type};
use crate::expr::error::{ExprError, Kind};

impl Converter<'_> {
    /// The type of that name, or an error that says which there are.
    pub(super) fn type_named(&self, ty: &DataType, beside: &Sql) -> Result<Type, ExprError> {
        Ok(match ty {
            DataType::BigInt(None)
            | DataType::Int8(None)
            | DataType::Int(None)
            | DataType::Integer(None)
            | DataType::Int4(None)
            | DataType::SmallInt(None)
            | DataType::Int2(None) => Type::Bigint,
            DataType::Numeric(ExactNumberInfo::None)
            | DataType::Decimal(ExactNumberInfo::None)
            | DataType::Dec(ExactNumberInfo::None) => Type::Numeric,
            DataType::Text
            | DataType::Varchar(None)
            | DataType::CharacterVarying(None)
            | DataType::CharVarying(None) => Type::Text,
            DataType::Boolean | DataType::Bool => Type::Boolean,
            DataType::Date => Type::Date,
            DataType::Timestamp(None, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => Type::Timestamptz,
            DataType::Interval { fields: None, precision: None } => Type::Interval,
            _ => {
                let written = ty.to_string().to_ascii_lowercase();
                let from = self.start(beside);
                let first = written.split(['(', ' ', '[']).next().unwrap_or(&written);
                let place = self.words.after(from, first);
                let error = ExprError::new(
                    Kind::NotSupported,
                    place,
                    format!("type \"{written}\" is not part of an expression"),
                )
                .with_word(first);
                return Err(match ty {
                    DataType::Timestamp(..) => error.with_hint("use timestamptz"),
                    _ if ["float", "double", "real"].iter().any(|w| written.starts_with(w)) => {
                        error.with_hint("use numeric")
                    }
                    DataType::Numeric(_) | DataType::Decimal(_) | DataType::Dec(_) => {
                        error.with_hint("use numeric without digits, and round(x, digits)")
                    }
                    DataType::Varchar(_)
                    | DataType::CharacterVarying(_)
                    | DataType::Char(_)
                    | DataType::Character(_) => error.with_hint("use text"),
                    _ => {
                        error.with_hint("the types are boolean, bigint, numeric, text, date, timestamptz and interval")
                    }
                });
            }
        })
    }

    pub(super) fn qualified(&self, parts: &[Ident], place: Position) -> ExprError {
        let written = parts.iter().map(|p| p.value.as_str()).collect::<Vec<_>>().join(".");
        let error =
            ExprError::new(Kind::NotSupported, place, format!("qualified name \"{written}\" outside an aggregate"))
                .with_word(written.clone());
        match parts {
            [_, property] => error.with_hint(format!(
                "write an aggregate over the event, for example last({written}), or \"{}\" alone for an attribute",
                property.value
            )),
            _ => error.with_hint("write names without a schema"),
        }
    }

    pub(super) fn operator(&self, sign: &str, place: Position) -> ExprError {
        let error =
            ExprError::new(Kind::NotSupported, place, format!("operator \"{sign}\" is not part of an expression"))
                .with_word(sign);
        match sign {
            "==" => error.with_hint("write = to compare"),
            "&&" => error.with_hint("write AND"),
            "||" => error.with_hint("write OR for conditions; text cannot be concatenated here"),
            "~" | "~*" | "!~" | "!~*" => error.with_hint("use LIKE or ILIKE"),
            "->" | "->>" | "#>" | "#>>" | "@>" => {
                error.with_hint("name properties directly inside FILTER, without operators of jsonb")
            }
            _ => error.with_hint("the operators are = <> < <= > >= + - * / IN BETWEEN LIKE ILIKE IS AND OR NOT"),
        }
    }

    pub(super) fn unsupported(&self, place: Position, what: &str) -> ExprError {
        let error = ExprError::new(Kind::NotSupported, place, format!("{what} is not part of an expression"));
        match self.words.word_at(place) {
            Some(word) => error.with_word(word),
            None => error,
        }
    }

    pub(super) fn not_supported(&self, tree: &Sql) -> ExprError {
        let place = match self.start(tree) {
            // Exotic forms keep no place of their own.
            0 => self.words.first(),
            place => place,
        };
        match tree {
            Sql::CompoundIdentifier(parts) => return self.qualified(parts, place),
            Sql::Like { any, .. } | Sql::ILike { any, .. } => {
                let (word, hint) =
                    if *any { ("ANY", "join several LIKE with OR") } else { ("ESCAPE", "escape with a backslash") };
                let place = self.words.after(place, word);
                return self.unsupported(place, &format!("LIKE with {word}")).with_word(word).with_hint(hint);
            }
            _ => {}
        }
        let function = match tree {
            Sql::Ceil { .. } => Some("ceil"),
            Sql::Floor { .. } => Some("floor"),
            Sql::Position { .. } => Some("position"),
            Sql::Substring { .. } => Some("substring"),
            Sql::Trim { .. } => Some("trim"),
            Sql::Overlay { .. } => Some("overlay"),
            _ => None,
        };
        if let Some(word) = function {
            return super::call::unknown_function(word, self.words.before(place, word));
        }
        let (what, word, hint) = match tree {
            Sql::AtTimeZone { .. } => ("AT TIME ZONE", "at", Some("days are days of the workspace's time zone")),
            Sql::Collate { .. } => ("COLLATE", "collate", None),
            Sql::SimilarTo { .. } => ("SIMILAR TO", "similar", Some("use LIKE or ILIKE")),
            Sql::IsDistinctFrom(..) | Sql::IsNotDistinctFrom(..) => {
                ("IS DISTINCT FROM", "distinct", Some("use = with IS NULL"))
            }
            Sql::AnyOp { .. } => ("this use of ANY", "any", Some("write 'x' = ANY (set), or join comparisons with OR")),
            Sql::AllOp { .. } => {
                ("this use of ALL", "all", Some("write 'x' <> ALL (set), or join comparisons with AND"))
            }
            Sql::Array(_) => ("an array", "array", Some("use IN with a list")),
            Sql::Tuple(_) => ("a list of values", "(", Some("a list belongs after IN")),
            Sql::Exists { .. } => ("EXISTS", "exists", Some("use an aggregate, for example count(purchase) > 0")),
            Sql::Cast { .. } | Sql::Convert { .. } => ("this form of cast", "", Some("write x::type")),
            Sql::InUnnest { .. } => ("UNNEST", "unnest", Some("use IN with a list")),
            _ => ("this construct", "", None),
        };
        let at = if word == "(" {
            self.words.before(place, word)
        } else if word.is_empty() {
            place
        } else {
            self.words.after(place, word)
        };
        let error = self.unsupported(at, what);
        match hint {
            Some(h) => error.with_hint(h),
            None => error,
        }
    }
}
