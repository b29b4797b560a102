//! A workspace: the schema of ordinary tables that `cdp_init()` makes, and the one place where its name enters SQL text.

mod api;
mod home;
pub mod job;
pub mod kept;
mod lock;

use crate::error::CdpError;
use crate::guc;
use crate::pg::scan::{self, Table};
use crate::pg::{settings, spi, transaction};
use pg_cdp_core::graph::arrival::Caps;
use pgrx::pg_sys::Oid;
use pgrx::spi::{quote_identifier, quote_literal};

/// A workspace that exists, with its settings.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Name of the schema, as it is.
    pub name: String,
    /// Time zone in which days begin.
    pub time_zone: String,
    /// Region of phone numbers without a country code.
    pub phone_region: String,
    /// Whether identities are settled in order of arrival and not judged by all edges.
    pub arrival: bool,
    /// How large rows then let profiles get.
    pub caps: Caps,
    schema: String,
    extension: String,
}

impl Workspace {
    /// The workspace that the setting `cdp.workspace` names.
    ///
    /// # Errors
    /// 3F000 when `cdp_init()` has not made it.
    pub fn current() -> Result<Self, CdpError> {
        Self::named(&guc::workspace()?)
    }

    /// The workspace with this name.
    ///
    /// # Errors
    /// 3F000 when `cdp_init()` has not made it.
    pub fn named(name: &str) -> Result<Self, CdpError> {
        if let Some(extension) = home::known()
            && let Some(settings) = looked_at(name)?
        {
            return Ok(Self::with(name, extension, settings));
        }
        let schema = quote_identifier(name);
        let found = spi::rows_cached(
            "SELECT n.nspname::pg_catalog.text, n.oid, p.oid FROM pg_catalog.pg_extension e \
             JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace \
             LEFT JOIN pg_catalog.pg_proc p ON p.pronamespace OPERATOR(pg_catalog.=) n.oid AND p.proname OPERATOR(pg_catalog.=) '_cdp_normalise' \
             WHERE e.extname OPERATOR(pg_catalog.=) 'pg_cdp' AND pg_catalog.to_regclass($1) IS NOT NULL",
            &[format!("{schema}.workspace").into()],
            |row| Ok((spi::must::<String>(row, 1)?, spi::must::<Oid>(row, 2)?, row.get::<Oid>(3)?)),
        )?;
        let Some((extension, namespace, function)) = found.into_iter().next() else {
            return Err(CdpError::no_workspace(name));
        };
        if let Some(function) = function {
            home::keep(namespace, function, &extension);
        }
        let settings = spi::rows_cached(
            &format!(
                "SELECT w.time_zone, w.phone_region, w.identity_policy, w.arrival_max_merges, w.arrival_max_identifiers FROM {schema}.workspace w"
            ),
            &[],
            |row| {
                Ok(Settings {
                    time_zone: spi::must(row, 1)?,
                    phone_region: spi::must(row, 2)?,
                    policy: spi::must(row, 3)?,
                    caps: [row.get(4)?, row.get(5)?],
                })
            },
        )?;
        let Some(settings) = settings.into_iter().next() else { return Err(CdpError::no_workspace(name)) };
        Ok(Self::with(name, extension, settings))
    }

    fn with(name: &str, extension: String, settings: Settings) -> Self {
        let [merges, identifiers] = settings.caps.map(|most| u32::try_from(most?).ok());
        Self {
            name: name.to_owned(),
            time_zone: settings.time_zone,
            phone_region: settings.phone_region,
            arrival: settings.policy == "arrival",
            caps: Caps { merges, identifiers },
            schema: quote_identifier(name),
            extension: quote_identifier(extension),
        }
    }

    /// SQL text with the workspace's schema in place of `@ws@`, the extension's schema in place of `@ext@` and the
    /// time zone, as a literal, in place of `@tz@`. What is quoted, a name or a literal, is somebody's word and stays as it is.
    pub fn sql(&self, template: &str) -> String {
        let mut sql = String::with_capacity(template.len() + 64);
        let (mut rest, mut quote) = (template, None);
        while let Some(at) = rest.find(['@', '"', '\'']) {
            let (before, from) = rest.split_at(at);
            let (sign, after) = from.split_at(1);
            sql.push_str(before);
            rest = after;
            if quote == Some(sign) {
                quote = None;
            } else if quote.is_none() && sign != "@" {
                quote = Some(sign);
            } else if quote.is_none() {
                if let Some(rest_of) = after.strip_prefix("ws@") {
                    sql.push_str(&self.schema);
                    rest = rest_of;
                    continue;
                } else if let Some(rest_of) = after.strip_prefix("ext@") {
                    sql.push_str(&self.extension);
                    rest = rest_of;
                    continue;
                } else if let Some(rest_of) = after.strip_prefix("tz@") {
                    sql.push_str(&quote_literal(&self.time_zone));
                    rest = rest_of;
                    continue;
                }
            }
            sql.push_str(sign);
        }
        sql.push_str(rest);
        sql
    }

    /// The quoted schema.
    pub fn schema(&self) -> &str {
        &self.schema
    }
}

/// The settings of a workspace as they are kept.
struct Settings {
    time_zone: String,
    phone_region: String,
    policy: String,
    /// Of merges and of identifiers.
    caps: [Option<i32>; 2],
}

/// The settings of a workspace, looked at without a query; `None` when that is not possible, or when there is no such workspace.
fn looked_at(name: &str) -> Result<Option<Settings>, CdpError> {
    look(name, |row| {
        Ok(Settings {
            time_zone: row.text(TIME_ZONE)?,
            phone_region: row.text(PHONE_REGION)?,
            policy: row.text(IDENTITY_POLICY)?,
            caps: CAPS.map(|column| (!row.is_null(column)).then(|| row.int4(column))),
        })
    })
}

// Columns of `workspace`, from 1 (sql/workspace/10_workspace.sql).
const COLUMNS: i32 = 8;
const TIME_ZONE: usize = 3;
const PHONE_REGION: usize = 4;
const IDENTITY_POLICY: usize = 5;
const CAPS: [usize; 2] = [6, 7];

/// Tables that are read without a query, with how many columns they have.
pub const DIRECT: [(&str, i32); 2] = [("workspace", COLUMNS), ("message", lock::MESSAGE_COLUMNS)];

/// Reads the one row of a workspace.
fn look<T>(name: &str, read: impl FnMut(&scan::Row) -> Result<T, CdpError>) -> Result<Option<T>, CdpError> {
    if !guc::direct_read() {
        return Ok(None);
    }
    let Some(table) = Table::with_columns(name, "workspace", COLUMNS) else { return Ok(None) };
    let found = scan::now(|| table.first(0, &[], read))?;
    table.close();
    Ok(found)
}

/// Settings under which every statement of the extension runs: nobody's schema can stand in for PostgreSQL's functions, and text forms of
/// values are the same whatever the session prefers. Compiling a query costs more than these queries take.
const PINNED: [(&str, &str); 5] = [
    ("search_path", "pg_catalog, pg_temp"),
    ("DateStyle", "ISO, YMD"),
    ("IntervalStyle", "postgres"),
    ("bytea_output", "hex"),
    ("jit", "off"),
];

/// Memory for each sort and hash of work on many rows, when the session allows less: a batch then sorts without a file.
const BULK_MEMORY_KB: i32 = 65_536;

/// As [`enter`], for work on many rows.
pub fn enter_bulk<T>(body: impl FnOnce(&Workspace) -> Result<T, CdpError>) -> Result<T, CdpError> {
    enter(|ws| {
        if settings::work_mem_kb() < BULK_MEMORY_KB {
            settings::set("work_mem", &format!("{BULK_MEMORY_KB}kB"))?;
        }
        body(ws)
    })
}

/// As [`enter_bulk`], for one batch of rows of many, which meets tables of any size. What it looks up is in memory or soon will be: by PostgreSQL's own guess a batch would rather read a
/// table of millions whole than find its rows through an index, and so would the next.
pub fn enter_batch<T>(body: impl FnOnce(&Workspace) -> Result<T, CdpError>) -> Result<T, CdpError> {
    enter_bulk(|ws| settings::scoped(&[("seq_page_cost", "0.1"), ("random_page_cost", "0.1")], || body(ws)))
}

/// Takes a first look at the current workspace, of a function that writes: it asks no SQL, so that no settings have to be pinned for it. `None` when that is not
/// possible, or not enough.
pub fn glance<T>(look: impl FnOnce(&Workspace) -> Result<Option<T>, CdpError>) -> Result<Option<T>, CdpError> {
    writing()?;
    let name = guc::workspace()?;
    let Some(extension) = home::known() else { return Ok(None) };
    let Some(settings) = looked_at(&name)? else { return Ok(None) };
    look(&Workspace::with(&name, extension, settings))
}

/// Goes on after a [`glance`] at a workspace, under the lock that it was seen under, as [`enter_small`] would begin: settings are pinned when a statement runs, which most work on few rows
/// does without.
pub fn go_on<T>(ws: &Workspace, body: impl FnOnce(&Workspace) -> Result<T, CdpError>) -> Result<T, CdpError> {
    let pinned = PINNED.into_iter().chain([("plan_cache_mode", "force_generic_plan"), ("TimeZone", &ws.time_zone)]);
    let pinned = pinned.map(|(name, value)| (name, value.to_owned())).collect();
    settings::scoped_from_first_statement(pinned, || body(ws))
}

/// As [`enter`], for work on few rows by many kept statements: to plan each for its values would cost more than to run it.
pub fn enter_small<T>(body: impl FnOnce(&Workspace) -> Result<T, CdpError>) -> Result<T, CdpError> {
    enter(|ws| {
        settings::set("plan_cache_mode", "force_generic_plan")?;
        body(ws)
    })
}

/// Runs the body of a public function that writes on the current workspace, under pinned settings and the workspace's time zone.
pub fn enter<T>(body: impl FnOnce(&Workspace) -> Result<T, CdpError>) -> Result<T, CdpError> {
    writing()?;
    pinned(body)
}

/// Begins a function that writes. A standby would refuse the transaction id that its first statement asks for, as an internal error.
pub fn writing() -> Result<(), CdpError> {
    if transaction::in_recovery() {
        return Err(CdpError::standby());
    }
    spi::set_reading(false);
    Ok(())
}

/// As [`enter`], for a function that only reads: all its statements see what the statement that calls it sees.
pub fn enter_reading<T>(body: impl FnOnce(&Workspace) -> Result<T, CdpError>) -> Result<T, CdpError> {
    // An error leaves the mark behind: every function that writes sets its own.
    spi::set_reading(true);
    let result = pinned(body);
    spi::set_reading(false);
    result
}

/// Runs part of a function that only reads in one of its parallel workers, which has its settings already.
pub fn enter_part<T>(name: &str, body: impl FnOnce(&Workspace) -> Result<T, CdpError>) -> Result<T, CdpError> {
    spi::set_reading(true);
    let result = Workspace::named(name).and_then(|ws| body(&ws));
    spi::set_reading(false);
    result
}

fn pinned<T>(body: impl FnOnce(&Workspace) -> Result<T, CdpError>) -> Result<T, CdpError> {
    settings::scoped(&PINNED, || {
        let ws = Workspace::current()?;
        settings::set("TimeZone", &ws.time_zone)?;
        body(&ws)
    })
}
