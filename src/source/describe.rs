//! What the expressions of a mapping come to: their types, checked against the relation one by one so that an error can name its entry.

use super::mapping::{EventMapping, Mapping};
use crate::error::CdpError;
use crate::event::dictionary::Property;
use crate::pg::{spi, subtransaction};
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::spi::quote_literal;

/// Alias of the relation's row inside the extension's queries; expressions name columns bare.
pub const ROW: &str = "\"cdp$row\"";

/// The type of a trait or property, by name, for an expression.
pub fn type_of(relation: &str, entry: &str, expression: &str) -> Result<String, CdpError> {
    let oid = oid_of(relation, entry, expression)?;
    Ok(attribute_type(oid).to_owned())
}

/// The properties that the events of a source have.
pub fn properties(relation: &str, event: &EventMapping) -> Result<Vec<Property>, CdpError> {
    let listed =
        |names: &Option<Vec<String>>, name: &String| names.as_ref().map(|names: &Vec<String>| names.contains(name));
    let mut out = Vec::with_capacity(event.properties.len());
    for (name, expression) in &event.properties {
        out.push(Property {
            name: name.clone(),
            ty: property_type(relation, &format!("event.properties.{name}"), expression)?,
            tracked: listed(&event.tracked, name),
            measure: listed(&event.measures, name),
        });
    }
    Ok(out)
}

/// The type of a property of events: as of a trait, but a list is kept as text.
fn property_type(relation: &str, entry: &str, expression: &str) -> Result<String, CdpError> {
    let ty = type_of(relation, entry, expression)?;
    Ok(if ty == "text[]" { "text".to_owned() } else { ty })
}

/// Checks one expression; returns the type PostgreSQL gives it.
pub fn oid_of(relation: &str, entry: &str, expression: &str) -> Result<pg_sys::Oid, CdpError> {
    // WHERE refuses aggregates, window functions and functions that return sets.
    let sql = format!("SELECT (\n{expression}\n) FROM {relation} AS {ROW} WHERE (\n{expression}\n) IS NULL LIMIT 0");
    let described = subtransaction::run(|| {
        Spi::connect(|client| {
            let table = client.select(&sql, None, &[]).map_err(CdpError::from)?;
            Ok::<_, ErrorReport>((
                table.columns().map_err(CdpError::from)?,
                table.column_type_oid(1).map_err(CdpError::from)?.value(),
            ))
        })
    });
    match described {
        Ok((columns, oid)) => {
            // Two expressions in parentheses are a row.
            if columns != 1 || oid == pg_sys::RECORDOID {
                return Err(CdpError::invalid_parameter(format!("mapping entry \"{entry}\" is not one SQL expression: {expression}"))
                    .with_hint("Give one expression over the columns of the relation."));
            }
            Ok(oid)
        }
        Err(failure) => Err(CdpError::from(failure)
            .in_context(&format!("mapping entry \"{entry}\""))
            .with_hint(format!("Entries are SQL expressions over the columns of {relation}: {}. Functions outside pg_catalog need their schema.", columns_of(relation)?))),
    }
}

/// The columns of a relation, for a hint.
pub fn columns_of(relation: &str) -> Result<String, CdpError> {
    Ok(spi::one::<String>(
        "SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a \
         WHERE a.attrelid = $1::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped",
        &[relation.into()],
    )?
    .unwrap_or_default())
}

/// The quoted name of a relation that rows can be taken from.
///
/// # Errors
/// 42809 for anything but a table, partitioned table, view, materialised view or foreign table, and for temporary ones.
pub fn relation(oid: pg_sys::Oid) -> Result<String, CdpError> {
    let found = spi::rows(
        "SELECT format('%I.%I', n.nspname, c.relname), c.relkind IN ('r', 'p', 'v', 'm', 'f'), c.relpersistence = 't' \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1",
        &[oid.into()],
        |row| Ok((spi::must::<String>(row, 1)?, spi::must::<bool>(row, 2)?, spi::must::<bool>(row, 3)?)),
    )?;
    match found.into_iter().next() {
        Some((name, true, false)) => Ok(name),
        Some((name, false, _)) => Err(CdpError::wrong_object(format!("{name} holds no rows to take"))
            .with_hint("Give a table, partitioned table, view, materialised view or foreign table.")),
        Some((name, true, true)) => Err(CdpError::wrong_object(format!("{name} is a temporary table"))
            .with_hint("Other sessions cannot see it; give a table that stays.")),
        None => Err(CdpError::internal("the relation is gone")),
    }
}

/// How `updated_at` puts the rows in order.
pub struct Order {
    /// Its type as SQL.
    pub ty: String,
    /// Whether it is a time: then a row whose time is infinite does not move the watermark.
    pub timed: bool,
    /// Type of a distance of two values, and the type they are compared in; `None`: they have no distance.
    distance: Option<(&'static str, Option<&'static str>)>,
}

impl Order {
    /// SQL of the value that lies an overlap below the watermark.
    pub fn below(&self, watermark: &str, overlap: Option<&str>) -> Result<String, CdpError> {
        let mark = format!("{}::{}", quote_literal(watermark), self.ty);
        let Some(overlap) = overlap else { return Ok(mark) };
        let (distance, compared) = self.distance.ok_or_else(|| self.no_overlap())?;
        let compared = compared.map_or_else(String::new, |ty| format!("::{ty}"));
        Ok(format!("({mark}{compared} - {}::{distance})", quote_literal(overlap)))
    }

    fn no_overlap(&self) -> CdpError {
        CdpError::type_mismatch(format!(
            "mapping entry \"overlap\" cannot be taken from an \"updated_at\" of type {}",
            self.ty
        ))
        .with_hint("Give an \"updated_at\" that is a time or a number, or leave out \"overlap\".")
    }
}

/// The order that an `updated_at` gives.
pub fn order(relation: &str, updated_at: &str) -> Result<Order, CdpError> {
    let oid = oid_of(relation, "updated_at", updated_at)?;
    let ty = spi::one::<String>("SELECT format_type($1, NULL)", &[oid.into()])?.unwrap_or_else(|| "text".to_owned());
    // A whole number is compared as the largest kind, so that a distance larger than its own kind is no error; an index serves that comparison too.
    let distance = match oid {
        pg_sys::TIMESTAMPTZOID | pg_sys::TIMESTAMPOID | pg_sys::DATEOID => Some(("pg_catalog.interval", None)),
        pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => Some(("pg_catalog.int8", Some("pg_catalog.int8"))),
        pg_sys::NUMERICOID => Some(("pg_catalog.numeric", None)),
        pg_sys::FLOAT4OID | pg_sys::FLOAT8OID => Some(("pg_catalog.float8", Some("pg_catalog.float8"))),
        _ => None,
    };
    Ok(Order { ty, timed: matches!(attribute_type(oid), "timestamptz" | "date"), distance })
}

/// Checks that rows can be put in the order of `updated_at`, and that an overlap can be taken from it.
pub fn check_order(relation: &str, mapping: &Mapping) -> Result<(), CdpError> {
    let Some(updated_at) = &mapping.updated_at else { return Ok(()) };
    let sql = format!(
        "SELECT FROM {relation} AS {ROW} WHERE (\n{updated_at}\n) >= (\n{updated_at}\n) ORDER BY (\n{updated_at}\n) LIMIT 0"
    );
    subtransaction::run(|| Ok(spi::run(&sql, &[])?)).map_err(|failure| {
        CdpError::from(failure)
            .in_context("mapping entry \"updated_at\"")
            .or_hint("Give something that grows when a row changes, such as a timestamptz.")
    })?;
    let Some(overlap) = &mapping.overlap else { return Ok(()) };
    let order = order(relation, updated_at)?;
    let (distance, _) = order.distance.ok_or_else(|| order.no_overlap())?;
    let hint = "Give what lies between a row and the latest one committed before it, such as \"15 minutes\" or, for a number, \"1000\".";
    let sql = format!("SELECT {0}::{distance} >= '0'::{distance}", quote_literal(overlap));
    let positive = subtransaction::run(|| Ok(spi::one::<bool>(&sql, &[])?))
        .map_err(|failure| CdpError::from(failure).in_context("mapping entry \"overlap\"").with_hint(hint))?;
    if positive != Some(true) {
        return Err(
            CdpError::invalid_parameter(format!("mapping entry \"overlap\" is negative: {overlap}")).with_hint(hint)
        );
    }
    Ok(())
}

/// Checks every expression of a mapping against the relation as it is now.
pub fn check(relation: &str, mapping: &Mapping) -> Result<(), CdpError> {
    for (ty, expression) in &mapping.identifiers {
        oid_of(relation, &format!("identifiers.{ty}"), expression)?;
    }
    for (entry, expression) in [("key", &mapping.key), ("updated_at", &mapping.updated_at)] {
        if let Some(expression) = expression {
            oid_of(relation, entry, expression)?;
        }
    }
    check_order(relation, mapping)?;
    check_filter(relation, mapping)?;
    for (name, expression) in &mapping.traits {
        oid_of(relation, &format!("traits.{name}"), expression)?;
    }
    let Some(event) = &mapping.event else { return Ok(()) };
    oid_of(relation, "event.name", &event.name)?;
    oid_of(relation, "event.at", &event.at)?;
    if let Some(id) = &event.id {
        oid_of(relation, "event.id", id)?;
    }
    for (name, expression) in &event.properties {
        oid_of(relation, &format!("event.properties.{name}"), expression)?;
    }
    Ok(())
}

/// Whether a relation is there.
pub fn exists(relation: &str) -> Result<bool, CdpError> {
    Ok(spi::one::<bool>("SELECT to_regclass($1) IS NOT NULL", &[relation.into()])? == Some(true))
}

/// Checks that a filter is boolean.
pub fn check_filter(relation: &str, mapping: &Mapping) -> Result<(), CdpError> {
    let Some(filter) = &mapping.filter else { return Ok(()) };
    if oid_of(relation, "filter", filter)? != pg_sys::BOOLOID {
        return Err(CdpError::type_mismatch(format!("mapping entry \"filter\" is not boolean: {filter}"))
            .with_hint("Give a condition, such as status <> 'deleted'."));
    }
    Ok(())
}

/// The attribute type that keeps values of a PostgreSQL type.
pub fn attribute_type(oid: pg_sys::Oid) -> &'static str {
    match oid {
        pg_sys::BOOLOID => "boolean",
        pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => "bigint",
        pg_sys::NUMERICOID | pg_sys::FLOAT4OID | pg_sys::FLOAT8OID => "numeric",
        pg_sys::DATEOID => "date",
        pg_sys::TIMESTAMPTZOID | pg_sys::TIMESTAMPOID => "timestamptz",
        pg_sys::TEXTARRAYOID | pg_sys::VARCHARARRAYOID => "text[]",
        _ => "text",
    }
}

/// The expression as text of its attribute type. A set is brought into one form: each element once, none NULL, in the order of their bytes.
pub fn as_text(expression: &str, ty: &str) -> String {
    if ty == "text[]" {
        return format!(
            "(SELECT CASE WHEN x.a IS NOT NULL THEN ARRAY(SELECT DISTINCT u.e COLLATE pg_catalog.\"C\" FROM unnest(x.a) u(e) WHERE u.e IS NOT NULL ORDER BY 1) END::pg_catalog.text \
             FROM (SELECT (\n{expression}\n)::pg_catalog.text[] AS a) x)"
        );
    }
    format!("((\n{expression}\n)::pg_catalog.{})::pg_catalog.text", crate::store::column::pg_type(ty))
}
