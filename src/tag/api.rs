//! `cdp_tag_create`, `cdp_tag_refresh`, `cdp_tag_drop`.

use crate::error::{CdpError, given};
use crate::expr::catalog::Catalog;
use crate::expr::question::{Moment, Question};
use crate::expr::{definition, dependants};
use crate::pg::{spi, temp};
use crate::profile::{attribute, view};
use crate::store::column::{coded, pg_type, retire, value_column};
use crate::store::emit;
use crate::workspace::{self, Workspace};
use pg_cdp_core::expr::ast::{Node, Type};
use pg_cdp_core::expr::print::type_name;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::time::Instant;

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_tag_create(
    name: Option<&str>,
    expression: Option<&str>,
    description: default!(Option<&str>, "NULL"),
    entity: default!(Option<&str>, "'person'"),
) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        person(entity)?;
        let (name, expression) = (given(name, "name")?, given(expression, "expression")?);
        ws.lock()?;
        let question = Question::ask(ws, expression, None, Moment::new(None)?)?;
        definition::acyclic(&definition::tag(name), &question.expr, &question.catalog)?;
        let ty = match question.expr.ty {
            Type::Interval => {
                return Err(CdpError::type_mismatch(format!("tag \"{name}\" would be an interval"))
                    .with_hint("Make it a number, for example extract(epoch FROM …) / 86400."));
            }
            Type::Unknown => "text",
            ty => type_name(ty),
        };
        let new = attribute::New {
            name,
            kind: "tag",
            ty,
            rule: None,
            class: "behavioural",
            indexed: true,
            expression: Some(expression.trim()),
            description,
        };
        attribute::create(ws, &new)?;
        view::refresh(ws)
    })?)
}

/// The one entity type there is.
pub fn person(entity: Option<&str>) -> Result<(), CdpError> {
    let entity = given(entity, "entity")?;
    if entity == "person" {
        return Ok(());
    }
    Err(CdpError::not_supported(format!("entity type \"{entity}\" is not supported yet")).with_hint("Use 'person'."))
}

/// A tag as the catalogue has it.
struct Tag {
    name: String,
    expression: String,
    ty: String,
    attribute_id: i32,
}

/// The tags, those that others refer to first.
fn in_order(ws: &Workspace) -> Result<Vec<Tag>, CdpError> {
    let mut tags = spi::rows(
        &ws.sql("SELECT a.name, a.expression, a.type, a.attribute_id FROM @ws@.attribute a WHERE a.kind = 'tag' AND a.expression IS NOT NULL ORDER BY a.attribute_id"),
        &[],
        |row| Ok(Tag { name: spi::must(row, 1)?, expression: spi::must(row, 2)?, ty: spi::must(row, 3)?, attribute_id: spi::must(row, 4)? }),
    )?;
    // An expression can only name what exists when it is created, so creation order is an order of dependence.
    tags.sort_by_key(|t| t.attribute_id);
    Ok(tags)
}

#[pg_extern(volatile, parallel_unsafe)]
#[allow(clippy::type_complexity)]
fn cdp_tag_refresh(
    name: default!(Option<&str>, "NULL"),
    as_of: default!(Option<TimestampWithTimeZone>, "NULL"),
) -> Result<
    TableIterator<'static, (name!(name, String), name!(profiles, i64), name!(changed, i64), name!(ms, f64))>,
    ErrorReport,
> {
    Ok(workspace::enter_bulk(|ws| {
        ws.lock()?;
        let tags = in_order(ws)?;
        if let Some(name) = name
            && !tags.iter().any(|t| t.name == name)
        {
            return Err(undefined(ws, name)?);
        }
        let mut out = Vec::new();
        for tag in tags.iter().filter(|t| name.is_none_or(|n| n == t.name)) {
            let begun = Instant::now();
            let (profiles, changed) = refresh(ws, tag, Moment::new(as_of)?)?;
            out.push((tag.name.clone(), profiles, changed, (begun.elapsed().as_secs_f64() * 1e6).round() / 1e3));
        }
        Ok(TableIterator::new(out))
    })?)
}

/// Computes a tag for everybody and writes what changed. Returns how many profiles have a value and how many changed.
fn refresh(ws: &Workspace, tag: &Tag, moment: Moment) -> Result<(i64, i64), CdpError> {
    let want = crate::expr::catalog::type_of(&tag.ty)?;
    let as_of = moment.as_of.clone();
    let question = Question::ask(ws, &tag.expression, Some(want), moment)?;
    let column = value_column(&tag.name);
    let ty = pg_type(&tag.ty);
    temp::drop("cdp_change")?;
    spi::run(
        &ws.sql(&format!(
            "CREATE TEMPORARY TABLE cdp_change ON COMMIT DROP AS SELECT v.profile_id, v.{column} AS before, q.value::pg_catalog.{ty} AS after FROM ({}) q JOIN @ws@.profile_value v USING (profile_id) \
             WHERE v.{column} IS DISTINCT FROM q.value::pg_catalog.{ty}",
            question.values_sql()
        )),
        &[],
    )?;
    spi::run("ANALYZE pg_temp.cdp_change", &[])?;
    if let Some(bits) = emit::attribute_column(ws, tag.attribute_id)? {
        emit::attribute(ws, &bits, "pg_temp.cdp_change")?;
    }
    spi::run(&ws.sql(&format!("UPDATE @ws@.profile_value v SET {column} = c.after FROM pg_temp.cdp_change c WHERE v.profile_id = c.profile_id")), &[])?;
    let changed = spi::one::<i64>("SELECT count(*) FROM pg_temp.cdp_change", &[])?.unwrap_or(0);
    spi::run("DROP TABLE pg_temp.cdp_change", &[])?;
    spi::run(
        &ws.sql("UPDATE @ws@.attribute SET refreshed_at = clock_timestamp(), refreshed_as_of = coalesce($2::pg_catalog.timestamptz, now()) WHERE attribute_id = $1"),
        &[tag.attribute_id.into(), as_of.into()],
    )?;
    crate::store::flush::flush(ws)?;
    let profiles =
        spi::one::<i64>(&ws.sql(&format!("SELECT count(v.{column}) FROM @ws@.profile_value v")), &[])?.unwrap_or(0);
    Ok((profiles, changed))
}

#[pg_extern(volatile, parallel_unsafe)]
fn cdp_tag_drop(name: Option<&str>) -> Result<(), ErrorReport> {
    Ok(workspace::enter(|ws| {
        let name = given(name, "name")?;
        ws.lock()?;
        let Some(tag) = in_order(ws)?.into_iter().find(|t| t.name == name) else { return Err(undefined(ws, name)?) };
        let dependants = dependants::of(ws, |node| matches!(node, Node::Attribute(n) if n == name))?;
        if !dependants.is_empty() {
            return Err(CdpError::in_use(format!("tag \"{name}\" is used by {}", dependants.join(", ")))
                .with_hint("Drop those first."));
        }
        if let Some(bits) = emit::attribute_column(ws, tag.attribute_id)? {
            retire(ws, bits.column_id, "off")?;
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

fn undefined(ws: &Workspace, name: &str) -> Result<CdpError, CdpError> {
    let catalog = Catalog::load(ws)?;
    let tags = catalog.attributes.iter().filter(|(_, a)| a.expression.is_some()).map(|(n, _)| n.clone());
    let hint = match pg_cdp_core::expr::error::nearest(name, tags) {
        Some(near) => format!("Did you mean \"{near}\"?"),
        None => format!("See the view {}.tags.", ws.schema()),
    };
    Ok(CdpError::undefined_object("tag", name).with_hint(hint))
}
