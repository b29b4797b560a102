//! A workspace: the schema of ordinary tables that `cdp_init()` makes, and the one place where its name enters SQL text.

mod api;

use crate::error::CdpError;
use crate::guc;
use crate::pg::{settings, spi};
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
        let schema = quote_identifier(name);
        let found = spi::rows_cached(
            "SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_extension e \
             JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace \
             WHERE e.extname OPERATOR(pg_catalog.=) 'pg_cdp' AND pg_catalog.to_regclass($1) IS NOT NULL",
            &[format!("{schema}.workspace").into()],
            |row| spi::must::<String>(row, 1),
        )?;
        let Some(extension) = found.first() else { return Err(CdpError::no_workspace(name)) };
        let mut workspace = Self {
            name: name.to_owned(),
            time_zone: String::new(),
            phone_region: String::new(),
            arrival: false,
            schema,
            extension: quote_identifier(extension),
        };
        let settings = spi::rows_cached(
            &workspace.sql("SELECT w.time_zone, w.phone_region, w.identity_policy FROM @ws@.workspace w"),
            &[],
            |row| Ok((spi::must::<String>(row, 1)?, spi::must::<String>(row, 2)?, spi::must::<String>(row, 3)?)),
        )?;
        let Some((time_zone, phone_region, policy)) = settings.into_iter().next() else {
            return Err(CdpError::no_workspace(name));
        };
        workspace.time_zone = time_zone;
        workspace.phone_region = phone_region;
        workspace.arrival = policy == "arrival";
        Ok(workspace)
    }

    /// SQL text with the workspace's schema in place of `@ws@`, the extension's schema in place of `@ext@` and the
    /// time zone, as a literal, in place of `@tz@`.
    pub fn sql(&self, template: &str) -> String {
        template
            .replace("@ws@", &self.schema)
            .replace("@ext@", &self.extension)
            .replace("@tz@", &quote_literal(&self.time_zone))
    }

    /// The quoted schema.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Makes this transaction the workspace's only writer until it ends. Readers are not kept waiting. Once is enough for a transaction.
    ///
    /// The row is updated and not only locked: a transaction at REPEATABLE READ or SERIALIZABLE that began before another writer committed cannot see what
    /// that one did, and would build on what is no longer so; it gets a serialization failure (40001) here and not a wrong answer later.
    pub fn lock(&self) -> Result<(), CdpError> {
        spi::run_cached(
            &self.sql(
                "UPDATE @ws@.workspace w SET version = version WHERE w.xmin <> pg_current_xact_id()::pg_catalog.xid",
            ),
            &[],
        )
    }
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

/// As [`enter`], for work on few rows by many kept statements: to plan each for its values would cost more than to run it.
pub fn enter_small<T>(body: impl FnOnce(&Workspace) -> Result<T, CdpError>) -> Result<T, CdpError> {
    enter(|ws| {
        settings::set("plan_cache_mode", "force_generic_plan")?;
        body(ws)
    })
}

/// Runs the body of a public function that writes on the current workspace, under pinned settings and the workspace's time zone.
pub fn enter<T>(body: impl FnOnce(&Workspace) -> Result<T, CdpError>) -> Result<T, CdpError> {
    spi::set_reading(false);
    pinned(body)
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
