//! Running SQL: owned values out, nothing that outlives the call, PostgreSQL's errors passed through as they are.

use super::settings;
use crate::error::CdpError;
use pgrx::datum::DatumWithOid;
use pgrx::prelude::*;
use pgrx::spi::{OwnedPreparedStatement, SpiClient, SpiHeapTupleData};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::rc::Rc;

/// Connects for statements that write; what waits for the first statement is set before.
fn connect_mut<T>(body: impl FnOnce(&mut SpiClient<'_>) -> Result<T, CdpError>) -> Result<T, CdpError> {
    settings::before_statement()?;
    Spi::connect_mut(body)
}

/// As [`connect_mut`], for statements that only read.
fn connect<T>(body: impl FnOnce(&SpiClient<'_>) -> Result<T, CdpError>) -> Result<T, CdpError> {
    settings::before_statement()?;
    Spi::connect(body)
}

/// Runs a statement; returns how many rows it touched.
pub fn run(sql: &str, args: &[DatumWithOid]) -> Result<u64, CdpError> {
    connect_mut(|client| Ok(client.update(sql, None, args)?.len() as u64))
}

/// Runs a query and reads each row into an owned value.
pub fn rows<T>(
    sql: &str,
    args: &[DatumWithOid],
    mut read: impl FnMut(&SpiHeapTupleData) -> Result<T, CdpError>,
) -> Result<Vec<T>, CdpError> {
    connect_mut(|client| {
        let table = if reading() { client.select(sql, None, args)? } else { client.update(sql, None, args)? };
        let mut out = Vec::with_capacity(table.len());
        for row in table {
            out.push(read(&row)?);
        }
        Ok(out)
    })
}

/// Connects for statements that are run by hand.
pub(super) fn connected<T>(body: impl FnOnce() -> Result<T, CdpError>) -> Result<T, CdpError> {
    connect_mut(|_| body())
}

/// Runs a query whose rows `read` finds in the table of SPI.
pub(super) fn table<T>(
    sql: &str,
    args: &[DatumWithOid],
    read: impl FnOnce() -> Result<T, CdpError>,
) -> Result<T, CdpError> {
    connect_mut(|client| {
        if reading() {
            client.select(sql, None, args)?
        } else {
            client.update(sql, None, args)?
        };
        read()
    })
}

/// The first column of the first row; `None` when there is no row or the value is NULL.
pub fn one<T: FromDatum + IntoDatum>(sql: &str, args: &[DatumWithOid]) -> Result<Option<T>, CdpError> {
    connect_mut(|client| {
        // No row limit: with one PostgreSQL would not use parallel workers.
        let table = if reading() { client.select(sql, None, args)? } else { client.update(sql, None, args)? };
        if table.is_empty() { Ok(None) } else { Ok(table.first().get_one::<T>()?) }
    })
}

/// Runs statements that look up the few rows of a batch in tables of any size, through their indexes: what a batch costs then depends on what is in it and not on what is there
/// already. Left to itself PostgreSQL reads a table of a million rows whole to find twenty thousand of them, and the next batch does so again.
pub fn through_indexes<T>(body: impl FnOnce() -> Result<T, CdpError>) -> Result<T, CdpError> {
    settings::scoped(&[("enable_hashjoin", "off"), ("enable_mergejoin", "off")], body)
}

/// Whether a query that only reads finds anything.
pub fn any(sql: &str) -> Result<bool, CdpError> {
    connect(|client| Ok(!client.select(sql, None, &[])?.is_empty()))
}

/// The first line of the plan of a query.
pub fn explain(query: &str) -> Result<String, CdpError> {
    let sql = CString::new(format!("EXPLAIN {query}")).map_err(|_| CdpError::internal("a query has a NUL"))?;
    connect(|_| {
        // pgrx would take it for a statement that writes and ask for a transaction id, which a standby has none of.
        // SAFETY: SPI is connected, and the text lives through the call; the table of results is there until it is disconnected.
        let line = unsafe {
            let code = pg_sys::SPI_execute(sql.as_ptr(), false, 0);
            match pg_sys::SPI_tuptable.as_ref() {
                Some(table) if code >= 0 && table.numvals > 0 => {
                    let line = pg_sys::SPI_getvalue(*table.vals, table.tupdesc, 1);
                    (!line.is_null()).then(|| CStr::from_ptr(line).to_string_lossy().into_owned())
                }
                _ => None,
            }
        };
        line.ok_or_else(|| CdpError::internal("EXPLAIN returned nothing"))
    })
}

/// The bigints that a query gives by the active snapshot. Every other query of a transaction that has written goes by the snapshot that the transaction keeps.
pub fn bigints_by_active_snapshot(query: &str) -> Result<Vec<i64>, CdpError> {
    let sql = CString::new(query).map_err(|_| CdpError::internal("a query has a NUL"))?;
    connect(|_| {
        // SAFETY: SPI is connected, and the text lives through the call; the table of results is there until it is disconnected, and has as many rows as it says.
        unsafe {
            let code = pg_sys::SPI_execute(sql.as_ptr(), true, 0);
            let Some(table) = pg_sys::SPI_tuptable.as_ref().filter(|_| code >= 0) else {
                return Err(CdpError::internal("a query returned nothing"));
            };
            let mut numbers = Vec::new();
            for nth in 0..table.numvals {
                let mut null = false;
                let datum = pg_sys::SPI_getbinval(*table.vals.add(nth as usize), table.tupdesc, 1, &mut null);
                numbers.extend(i64::from_datum(datum, null));
            }
            Ok(numbers)
        }
    })
}

thread_local! {
    /// Whether the function that runs only reads. Then its statements see what the statement that calls it sees, all of them the same, and need no
    /// transaction id, so that it works on a standby.
    static READING: Cell<bool> = const { Cell::new(false) };
}

/// Whether the function that runs only reads.
pub fn reading() -> bool {
    READING.get()
}

/// Says whether the function that begins only reads.
pub fn set_reading(only: bool) {
    READING.set(only);
}

/// A column that the schema declares NOT NULL.
pub fn must<T: FromDatum + IntoDatum>(row: &SpiHeapTupleData, ordinal: usize) -> Result<T, CdpError> {
    row.get::<T>(ordinal)?.ok_or_else(|| CdpError::internal(format!("column {ordinal} of a catalogue query is null")))
}

/// Plans of the statements that run on every question, by their text.
type Plans = HashMap<String, Rc<OwnedPreparedStatement>>;

thread_local! {
    /// Plans of statements that only read, and of the others. PostgreSQL revalidates a plan when its tables change.
    static PLANS: [RefCell<Plans>; 2] = Default::default();
}

/// The most plans kept of each kind: a handful of statements for each workspace in use, and those of questions about one profile.
const MOST_PLANS: usize = 256;

/// As [`rows`], with a plan kept for the life of the backend.
pub fn rows_cached<T>(
    sql: &str,
    args: &[DatumWithOid],
    mut read: impl FnMut(&SpiHeapTupleData) -> Result<T, CdpError>,
) -> Result<Vec<T>, CdpError> {
    connect_mut(|client| {
        let reading = reading();
        let known = PLANS.with(|plans| plans[usize::from(reading)].borrow().get(sql).cloned());
        // The map is not borrowed while SQL runs: an error in it unwinds past this frame.
        let plan = match known {
            Some(plan) => plan,
            None => {
                let types: Vec<PgOid> = args.iter().map(|arg| PgOid::from(arg.oid())).collect();
                let plan = if reading { client.prepare(sql, &types)? } else { client.prepare_mut(sql, &types)? }.keep();
                let plan = Rc::new(plan);
                PLANS.with(|plans| {
                    let mut plans = plans[usize::from(reading)].borrow_mut();
                    if plans.len() >= MOST_PLANS {
                        plans.clear();
                    }
                    plans.insert(sql.to_owned(), Rc::clone(&plan));
                });
                plan
            }
        };
        let table = if reading { client.select(&*plan, None, args)? } else { client.update(&*plan, None, args)? };
        let mut out = Vec::with_capacity(table.len());
        for row in table {
            out.push(read(&row)?);
        }
        Ok(out)
    })
}

/// As [`run`], with a plan kept for the life of the backend.
pub fn run_cached(sql: &str, args: &[DatumWithOid]) -> Result<(), CdpError> {
    rows_cached(sql, args, |_| Ok(())).map(|_: Vec<()>| ())
}

/// Up to so many rows are written out, each value a parameter: a statement of its own for each number of them, that begins sooner than one that takes arrays apart.
pub const FEW_ROWS: usize = 28;

/// A FROM item `x` of so many rows with columns `c1`, `c2` and so on of types of `pg_catalog`. Its parameters, from `first` on, are the values row by row, or, of
/// more than [`FEW_ROWS`], an array for each column.
pub fn rows_item(first: usize, types: &[&str], rows: usize) -> String {
    let names: Vec<String> = (1..=types.len()).map(|i| format!("c{i}")).collect();
    let names = names.join(", ");
    let mut next = first..;
    let mut parameters = |suffix: &str| {
        let some: Vec<String> =
            types.iter().zip(&mut next).map(|(ty, i)| format!("${i}::pg_catalog.{ty}{suffix}")).collect();
        some.join(", ")
    };
    if rows > FEW_ROWS {
        return format!("unnest({}) AS x({names})", parameters("[]"));
    }
    let rows: Vec<String> = (0..rows).map(|_| format!("({})", parameters(""))).collect();
    format!("(VALUES {}) AS x({names})", rows.join(", "))
}

/// Statements that change different rows and do not read what the others write, run as one: each by itself would cost more to begin and end than to run.
#[derive(Default)]
pub struct Together<'a> {
    statements: Vec<String>,
    args: Vec<DatumWithOid<'a>>,
}

impl<'a> Together<'a> {
    /// Adds a statement; its parameters begin at $1. What is quoted, such as the name of a workspace, is no parameter.
    pub fn add(&mut self, sql: &str, args: impl IntoIterator<Item = DatumWithOid<'a>>) {
        let mut statement = String::with_capacity(sql.len() + 16);
        let (mut rest, mut quote) = (sql, None);
        while let Some(at) = rest.find(['$', '"', '\'']) {
            let (before, from) = rest.split_at(at);
            let (sign, after) = from.split_at(1);
            statement.push_str(before);
            statement.push_str(sign);
            rest = after;
            if quote == Some(sign) {
                quote = None;
            } else if quote.is_none() && sign != "$" {
                quote = Some(sign);
            } else if quote.is_none() {
                let digits = after.bytes().take_while(u8::is_ascii_digit).count();
                let (number, behind) = after.split_at(digits);
                if let Ok(number) = number.parse::<usize>() {
                    statement.push_str(&(number + self.args.len()).to_string());
                    rest = behind;
                }
            }
        }
        statement.push_str(rest);
        self.statements.push(statement);
        self.args.extend(args);
    }

    /// Runs them. Gives what `read` makes of the rows that the last one returns.
    pub fn run<T>(self, read: impl FnMut(&SpiHeapTupleData) -> Result<T, CdpError>) -> Result<Vec<T>, CdpError> {
        let Some((last, others)) = self.statements.split_last() else { return Ok(Vec::new()) };
        let mut sql = String::new();
        for (i, statement) in others.iter().enumerate() {
            let before = if i == 0 { "WITH" } else { "," };
            sql.push_str(&format!("{before} s{i} AS ({statement}) "));
        }
        sql.push_str(last);
        rows_cached(&sql, &self.args, read)
    }
}
