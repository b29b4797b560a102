//! What the planner asks of PostgreSQL: columns, codes, moments, whole days.

use super::catalog::Catalog;
use super::question::{Moment, Question};
use crate::error::CdpError;
use crate::pg::spi;
use crate::store::column::{day_sql, day_start_sql, micros_sql, moment_of_micros_sql, pg_type};
use crate::workspace::Workspace;
use pg_cdp_core::expr::ast::{Expr, Type};
use pg_cdp_core::expr::print::type_name;
use pg_cdp_core::expr::sql::{self, SqlContext};
use pg_cdp_core::plan::{AttributeColumn, Columns, DayColumn, EdgeWindow, WholeDays};
use pgrx::datum::DatumWithOid;
use std::collections::BTreeSet;

/// The columns of a workspace at a moment.
pub struct WorkspaceColumns<'a> {
    /// The workspace.
    pub ws: &'a Workspace,
    /// Its names and columns.
    pub catalog: &'a Catalog,
    /// The moment asked about.
    pub moment: &'a Moment,
    /// What the plan came to depend on.
    pub used: Used,
}

/// What a plan depends on besides the expression and the catalogue.
#[derive(Default)]
pub struct Used {
    /// Dictionaries looked into.
    pub dictionaries: BTreeSet<i32>,
    /// Whether the moment of asking, or a query, has gone into it.
    pub moment: bool,
}

impl<'a> WorkspaceColumns<'a> {
    /// The columns that a question is about.
    pub fn of(question: &'a Question) -> Self {
        Self { ws: question.ws, catalog: &question.catalog, moment: &question.moment, used: Used::default() }
    }
}

impl WorkspaceColumns<'_> {
    fn context(&self) -> SqlContext<'_> {
        SqlContext {
            schema: self.ws.schema(),
            now: self.moment.as_of.as_deref(),
            catalog: self.catalog,
            point: None,
            group: None,
        }
    }

    /// Whether an attribute has another value now than at the moment asked about: columns keep the present. When that cannot be told, it counts as
    /// changed.
    fn has_changed_since(&self, attribute_id: i32) -> bool {
        let Some(as_of) = &self.moment.as_of else { return false };
        let changed = spi::rows_cached(
            &self.ws.sql(
                "SELECT EXISTS (SELECT FROM @ws@.attribute_history h WHERE h.attribute_id = $1 AND h.from_at > $2::pg_catalog.text::pg_catalog.timestamptz)",
            ),
            &[attribute_id.into(), as_of.as_str().into()],
            |row| spi::must::<bool>(row, 1),
        );
        changed.map_or(true, |rows| rows != [false])
    }

    fn codes(&self, sql: &str, args: &[DatumWithOid]) -> Result<Vec<i32>, CdpError> {
        spi::rows_cached(&self.ws.sql(sql), args, |row| spi::must(row, 1))
    }
}

impl Columns for WorkspaceColumns<'_> {
    type Error = CdpError;

    fn universe(&self) -> i32 {
        self.catalog.universe
    }

    fn attribute(&self, name: &str) -> Option<AttributeColumn> {
        let attribute = self.catalog.attributes.get(name)?;
        let (column_id, set, scale) = attribute.column?;
        if self.has_changed_since(attribute.attribute_id) {
            return None;
        }
        let dictionary_id = attribute.dictionary_id;
        Some(match attribute.ty {
            Type::TextSet => AttributeColumn::Elements { column_id, dictionary_id },
            Type::Text | Type::Boolean if set => AttributeColumn::Codes { column_id, dictionary_id },
            Type::Text | Type::Boolean => AttributeColumn::CodeNumbers { column_id, dictionary_id },
            _ => AttributeColumn::Numbers { column_id, scale },
        })
    }

    fn segment(&self, name: &str) -> Option<i32> {
        self.catalog.segments.get(name).map(|s| s.column_id)
    }

    fn days(&self, event: &str, property: Option<&str>, measure: Option<&str>) -> Option<DayColumn> {
        let event = self.catalog.events.get(event)?;
        let id = |name: Option<&str>| match name {
            None => Some(0),
            Some(name) => event.properties.get(name).map(|p| p.property_id),
        };
        let (column_id, scale) = *event.days.get(&(id(property)?, id(measure)?))?;
        Some(DayColumn { column_id, scale })
    }

    fn property_codes(
        &mut self,
        event: &str,
        property: &str,
        values: &[String],
    ) -> Result<Vec<(i32, String)>, CdpError> {
        let Some(dictionary_id) =
            self.catalog.events.get(event).and_then(|e| e.properties.get(property)).map(|p| p.dictionary_id)
        else {
            return Err(CdpError::internal(format!("event \"{event}\" lost its property \"{property}\"")));
        };
        self.used.dictionaries.insert(dictionary_id);
        spi::rows_cached(
            &self.ws.sql("SELECT d.code, d.value FROM @ws@.dictionary d WHERE d.dictionary_id = $1 AND d.value = ANY ($2) ORDER BY 1"),
            &[dictionary_id.into(), values.to_vec().into()],
            |row| Ok((spi::must(row, 1)?, spi::must(row, 2)?)),
        )
    }

    fn code(&mut self, dictionary_id: i32, value: &str) -> Result<Option<i32>, CdpError> {
        self.used.dictionaries.insert(dictionary_id);
        Ok(self
            .codes(
                "SELECT d.code FROM @ws@.dictionary d WHERE d.dictionary_id = $1 AND d.value = $2",
                &[dictionary_id.into(), value.into()],
            )?
            .first()
            .copied())
    }

    fn matching_codes(
        &mut self,
        dictionary_id: i32,
        attribute: &str,
        ty: Type,
        predicate: &Expr,
    ) -> Result<(Vec<i32>, Vec<i32>), CdpError> {
        self.used.dictionaries.insert(dictionary_id);
        let value = if ty == Type::Boolean { "(d.value::pg_catalog.bool)" } else { "d.value" };
        let condition =
            sql::scalar_sql(predicate, &self.context(), &|name| (name == attribute).then(|| value.to_owned()));
        let rows = spi::rows(
            &self.ws.sql(&format!(
                "SELECT d.code, ({condition}) FROM @ws@.dictionary d WHERE d.dictionary_id = $1 ORDER BY 1"
            )),
            &[dictionary_id.into()],
            |row| Ok((spi::must::<i32>(row, 1)?, row.get::<bool>(2)?)),
        )?;
        let of =
            |wanted: bool| rows.iter().filter(|(_, outcome)| *outcome == Some(wanted)).map(|(code, _)| *code).collect();
        Ok((of(true), of(false)))
    }

    fn outcome_of_null(&mut self, attribute: &str, ty: Type, predicate: &Expr) -> Result<Option<bool>, CdpError> {
        let null = format!("(NULL::pg_catalog.{})", pg_type(type_name(ty)));
        let condition = sql::scalar_sql(predicate, &self.context(), &|name| (name == attribute).then(|| null.clone()));
        spi::one::<bool>(&format!("SELECT ({condition})"), &[])
    }

    fn moment(&mut self, ty: Type, text: &str) -> Result<Option<i64>, CdpError> {
        // 'today' and 'now' are moments too.
        self.used.moment = true;
        let value = match ty {
            Type::Date => "CASE WHEN isfinite($1::pg_catalog.date) THEN ($1::pg_catalog.date - '2000-01-01'::pg_catalog.date)::pg_catalog.int8 END".to_owned(),
            Type::Timestamptz => micros_sql("$1::pg_catalog.timestamptz"),
            _ => return Err(CdpError::internal("only dates and times are moments")),
        };
        // The prepared statement is kept for text arguments: the cast reads the session's time zone when it runs.
        let found = spi::rows_cached(
            &format!("SELECT {}", value.replace("$1::", "$1::pg_catalog.text::")),
            &[text.into()],
            |row| Ok(row.get::<i64>(1)?),
        )?;
        Ok(found.into_iter().next().flatten())
    }

    fn now(&self) -> i64 {
        self.moment.micros
    }

    fn split(&mut self, from: Option<i64>, to: i64) -> Result<(Option<WholeDays>, Vec<EdgeWindow>), CdpError> {
        self.used.moment = true;
        // The day of each bound, and where that day and the next begin.
        let at = moment_of_micros_sql("$1");
        let start = |day: &str| micros_sql(&day_start_sql(day));
        let sql = self.ws.sql(&format!(
            "SELECT x.day::integer, {}, {} FROM (SELECT {} AS day) x",
            start("x.day::integer"),
            start("x.day::integer + 1"),
            day_sql(&at)
        ));
        // The whole day, as a part of itself.
        let day_of = |micros: i64| -> Result<EdgeWindow, CdpError> {
            spi::rows_cached(&sql, &[micros.into()], |row| {
                let (begins, ends) = (spi::must(row, 2)?, spi::must::<i64>(row, 3)? - 1);
                Ok(EdgeWindow { day: spi::must(row, 1)?, begins, ends, taken_out: false, from: begins, to: ends })
            })?
            .into_iter()
            .next()
            .ok_or_else(|| CdpError::internal("a day was not found"))
        };
        let last = day_of(to)?;
        // The day that the window ends in. What happens after now is the future: there is hardly an event to take out.
        let (last_whole, upper) = if to == last.ends {
            (last.day, None)
        } else if to >= present_micros() || last.ends - to < to - last.begins {
            (last.day, Some(EdgeWindow { taken_out: true, from: to + 1, ..last }))
        } else {
            (last.day - 1, Some(EdgeWindow { to, ..last }))
        };
        let Some(from) = from else {
            return Ok((Some(WholeDays { first: None, last: last_whole }), upper.into_iter().collect()));
        };
        let first = day_of(from)?;
        if first.day == last.day && (from != first.begins || to != last.ends) {
            return Ok((None, vec![EdgeWindow { from, to, ..first }]));
        }
        let (first_whole, lower) = if from == first.begins {
            (first.day, None)
        } else if from - first.begins <= first.ends - from {
            (first.day, Some(EdgeWindow { taken_out: true, to: from - 1, ..first }))
        } else {
            (first.day + 1, Some(EdgeWindow { from, ..first }))
        };
        let edges = lower.into_iter().chain(upper).collect();
        let whole = (first_whole <= last_whole).then_some(WholeDays { first: Some(first_whole), last: last_whole });
        Ok((whole, edges))
    }

    fn scan(&mut self, expr: &Expr) -> Result<String, CdpError> {
        self.used.moment = true;
        Ok(sql::select_sql(&[], Some(expr), &self.context()))
    }
}

/// A moment that lies in the past as soon as it is asked for, in microseconds since 2000-01-01 UTC: a question of now is one of a moment or two ago.
fn present_micros() -> i64 {
    const SINCE_1970: i64 = 946_684_800_000_000;
    const A_MINUTE: i64 = 60_000_000;
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX) - SINCE_1970 - A_MINUTE
}
