//! `cdp_tag_create`, `cdp_tag_alter`, `cdp_tag_refresh`, `cdp_tag_drop`, `cdp_tag_list`.

use super::registry::{self, Tag};
use super::{group, refresh, settings};
use crate::error::{CdpError, given};
use crate::expr::catalog::type_of;
use crate::expr::dependencies::{self, Named};
use crate::expr::question::{Moment, Question};
use crate::pg::json::JsonText;
use crate::pg::spi;
use crate::profile::{attribute, history, view};
use crate::store::column::{coded, drop_forward, retire, value_column};
use crate::store::emit;
use crate::store::group::Group;
use crate::workspace::{self, Workspace};
use pg_cdp_core::expr::ast::{Expr, Node, Type};
use pg_cdp_core::expr::print::type_name;
use pg_cdp_core::expr::walk;
use pgrx::AnyNumeric;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::collections::BTreeSet;

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_tag_create(
    name: Option<&str>,
    expression: Option<&str>,
    description: default!(Option<&str>, "NULL"),
    entity: default!(Option<&str>, "'person'"),
    settings: default!(Option<JsonText>, "'{}'"),
) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        let (name, entity) = (given(name, "name")?, given(entity, "entity")?);
        let document = given(settings, "settings")?.parse()?;
        let given = settings::object(&document, &settings::OF_CREATE)?;
        let (kind, ty) = (settings::word(given, "kind")?, settings::word(given, "type")?);
        ws.lock()?;
        let group = Group::named(ws, entity)?;
        let (expression, names, kind, ty) = match expression {
            Some(expression) => {
                if let Some(key) = ["kind", "type"].into_iter().find(|key| given.contains_key(*key)) {
                    return Err(CdpError::invalid_parameter(format!(
                        "setting \"{key}\" goes with values that are set"
                    ))
                    .with_hint("An expression says it itself: leave it out."));
                }
                let question = Question::about(ws, group.clone(), expression, None, Moment::new(None)?)?;
                let ty = match question.expr.ty {
                    Type::Interval => {
                        return Err(CdpError::type_mismatch(format!("tag \"{name}\" would be an interval"))
                            .with_hint("Make it a number, for example extract(epoch FROM …) / 86400."));
                    }
                    Type::Unknown => "text",
                    ty => type_name(ty),
                };
                let names = dependencies::named(&question.catalog, &question.expr);
                (Some(expression.trim()), names, kind_of(&question.expr), ty)
            }
            None => {
                let kind = kind.unwrap_or("manual");
                if !["manual", "imported"].contains(&kind) {
                    return Err(CdpError::invalid_parameter(format!(
                        "\"{kind}\" is no kind of tag without an expression"
                    ))
                    .with_hint("Kinds are manual and imported; with an expression a tag is statistical or a rule."));
                }
                (None, BTreeSet::new(), kind, ty.unwrap_or("text"))
            }
        };
        let new = attribute::New {
            group: group.as_ref(),
            name,
            kind: "tag",
            ty,
            rule: None,
            class: "behavioural",
            // There are no bits of groups.
            indexed: group.is_none(),
            expression,
            description,
            origin: attribute::Origin::Declared,
            tag_kind: Some(kind),
        };
        let attribute_id = attribute::create(ws, &new)?;
        dependencies::define(ws, Named::Attribute(attribute_id), 1, expression, &names)?;
        shown(ws, group.as_ref())?;
        settings::apply(ws, group.as_ref(), attribute_id, name, ty, given)
    })?)
}

/// The kind of a tag with this expression.
fn kind_of(expr: &Expr) -> &'static str {
    fn counts(expr: &Expr) -> bool {
        crate::pg::stack::check_depth();
        matches!(expr.node, Node::Aggregate(_)) || walk::children(expr).into_iter().any(counts)
    }
    if counts(expr) { "statistical" } else { "rule" }
}

/// Brings the view of those that a tag describes up to the tags there are.
fn shown(ws: &Workspace, group: Option<&Group>) -> Result<(), CdpError> {
    match group {
        Some(group) => group.refresh_view(ws),
        None => view::refresh(ws),
    }
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_tag_alter(name: Option<&str>, settings: Option<JsonText>) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        let (name, document) = (given(name, "name")?, given(settings, "settings")?.parse()?);
        let given = settings::object(&document, &settings::OF_ALTER)?;
        ws.lock()?;
        let tag = registry::find(ws, name)?;
        if let Some(expression) = settings::word(given, "expression")? {
            redefine(ws, &tag, expression)?;
        }
        if let Some(description) = settings::text(given, "description")? {
            spi::run(
                &ws.sql("UPDATE @ws@.attribute SET description = $2 WHERE attribute_id = $1"),
                &[tag.attribute_id.into(), description.into()],
            )?;
        }
        settings::apply(ws, tag.group.as_ref(), tag.attribute_id, name, &tag.ty, given)?;
        shown(ws, tag.group.as_ref())
    })?)
}

/// Gives a tag its next expression, of the same type.
fn redefine(ws: &Workspace, tag: &Tag, expression: &str) -> Result<(), CdpError> {
    let Some(present) = &tag.expression else {
        return Err(CdpError::wrong_state(format!("the values of tag \"{}\" are set, not computed", tag.name))
            .with_hint("Make another tag for the expression."));
    };
    if present == expression.trim() {
        return Ok(());
    }
    let want = Some(type_of(&tag.ty)?);
    let question = Question::about(ws, tag.group.clone(), expression, want, Moment::new(None)?)?;
    let names = dependencies::named(&question.catalog, &question.expr);
    dependencies::define(ws, tag.named(), tag.version + 1, Some(expression.trim()), &names)?;
    spi::run(
        &ws.sql(
            "UPDATE @ws@.attribute SET expression = $2, tag_kind = $3, version = version + 1 WHERE attribute_id = $1",
        ),
        &[tag.attribute_id.into(), expression.trim().into(), kind_of(&question.expr).into()],
    )?;
    Ok(())
}

#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::type_complexity)]
fn cdp_tag_refresh(
    name: default!(Option<&str>, "NULL"),
    as_of: default!(Option<TimestampWithTimeZone>, "NULL"),
    dependants: default!(Option<bool>, "false"),
) -> Result<
    TableIterator<'static, (name!(name, String), name!(profiles, i64), name!(changed, i64), name!(ms, f64))>,
    ErrorReport,
> {
    Ok(workspace::enter_bulk(|ws| {
        let dependants = given(dependants, "dependants")?;
        ws.lock()?;
        let chosen: Vec<Tag> = match name {
            None => registry::all(ws)?.into_iter().filter(|tag| tag.state == "active").collect(),
            Some(name) => {
                let named = registry::find(ws, name)?.named();
                let users = if dependants { dependencies::all_users(ws, named)? } else { BTreeSet::new() };
                let wanted = |tag: &Tag| tag.named() == named || tag.state == "active" && users.contains(&tag.named());
                registry::all(ws)?.into_iter().filter(wanted).collect()
            }
        };
        let mut out = Vec::with_capacity(chosen.len());
        for tag in chosen {
            let done = refresh::refresh(ws, &tag, as_of)?;
            out.push((tag.name, done.profiles, done.changed, done.ms));
        }
        Ok(TableIterator::new(out))
    })?)
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_tag_drop(name: Option<&str>) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        let name = given(name, "name")?;
        ws.lock()?;
        let tag = registry::find(ws, name)?;
        dependencies::refuse_used(ws, tag.named())?;
        if let Some(group) = &tag.group {
            return group::drop(ws, &tag, group);
        }
        dependencies::forget(ws, tag.named())?;
        history::forget(ws, tag.attribute_id)?;
        if let Some(bits) = emit::attribute_column(ws, tag.attribute_id)? {
            retire(ws, bits.column_id, "off")?;
            drop_forward(ws, tag.attribute_id)?;
        }
        if coded(&tag.ty) {
            spi::run(
                &ws.sql("DELETE FROM @ws@.dictionary d USING @ws@.attribute a WHERE a.attribute_id = $1 AND d.dictionary_id = a.dictionary_id"),
                &[tag.attribute_id.into()],
            )?;
        }
        spi::run(&ws.sql("DELETE FROM @ws@.attribute WHERE attribute_id = $1"), &[tag.attribute_id.into()])?;
        view::recreate(ws)?;
        spi::run(&ws.sql(&format!("ALTER TABLE @ws@.profile_value DROP COLUMN {}", value_column(name))), &[])?;
        Ok(())
    })?)
}

#[pg_extern(stable, parallel_unsafe)]
#[allow(clippy::type_complexity)]
fn cdp_tag_list() -> Result<
    TableIterator<
        'static,
        (
            name!(name, String),
            name!(kind, String),
            name!(data_type, String),
            name!(state, String),
            name!(version, i32),
            name!(expression, Option<String>),
            name!(description, Option<String>),
            name!(owner, Option<String>),
            name!(path, Option<String>),
            name!(sensitivity, String),
            name!(profiles, Option<i64>),
            name!(coverage, Option<AnyNumeric>),
            name!(distinct_values, Option<i64>),
            name!(refreshed_at, Option<TimestampWithTimeZone>),
            name!(refresh_ms, Option<f64>),
            name!(entity, String),
        ),
    >,
    ErrorReport,
> {
    let rows = workspace::enter_reading(|ws| {
        spi::rows(
            &ws.sql(
                "SELECT t.name, t.kind, t.type, t.state, t.version, t.expression, t.description, t.owner, t.path, t.sensitivity, t.profiles, t.coverage, t.distinct_values, t.refreshed_at, t.refresh_ms::pg_catalog.float8, t.entity \
                 FROM @ws@.tags t ORDER BY t.path NULLS LAST, t.name",
            ),
            &[],
            |row| {
                Ok((
                    spi::must::<String>(row, 1)?,
                    spi::must::<String>(row, 2)?,
                    spi::must::<String>(row, 3)?,
                    spi::must::<String>(row, 4)?,
                    spi::must::<i32>(row, 5)?,
                    row.get::<String>(6)?,
                    row.get::<String>(7)?,
                    row.get::<String>(8)?,
                    row.get::<String>(9)?,
                    spi::must::<String>(row, 10)?,
                    row.get::<i64>(11)?,
                    row.get::<AnyNumeric>(12)?,
                    row.get::<i64>(13)?,
                    row.get::<TimestampWithTimeZone>(14)?,
                    row.get::<f64>(15)?,
                    spi::must::<String>(row, 16)?,
                ))
            },
        )
    })?;
    Ok(TableIterator::new(rows))
}
