//! The rows of a caller's query, one by one as the executor makes them: nothing is collected, nothing copied.

use crate::error::{CdpError, quoted};
use crate::pg::subtransaction;
use pgrx::prelude::*;
use pgrx::{PgList, pg_sys};
use std::ffi::CString;

/// What becomes of a row.
type Take<'a> = &'a mut dyn FnMut(Option<i64>, Option<i64>) -> Result<(), CdpError>;

/// Runs the query that the caller gave as argument `argument` and hands every row, two integers, to `take`.
///
/// The query sees what the statement that calls the function sees, and may only read.
///
/// # Errors
/// 22023 when the text is not one query that reads, PostgreSQL's own code when it cannot be analysed; 42804 when its columns are not two integers.
pub fn integer_pairs(argument: &str, query: &str, take: Take<'_>) -> Result<(), CdpError> {
    const EXAMPLE: &str =
        "Give a query that returns two integer columns, such as SELECT from_id, to_id FROM edges or TABLE edges.";
    let text = CString::new(query)
        .map_err(|_| CdpError::invalid_parameter(format!("argument {} holds a zero byte", quoted(argument))))?;
    Spi::connect(|_| {
        // SAFETY: SPI is connected, the text is NUL-terminated, and there are no parameters.
        let prepared =
            subtransaction::run(|| Ok(unsafe { pg_sys::SPI_prepare(text.as_ptr(), 0, std::ptr::null_mut()) }));
        let plan = prepared.map_err(|failure| {
            CdpError::from(failure)
                .in_context(&format!("argument {}", quoted(argument)))
                .with_detail(format!("The text is {}.", quoted(query)))
                .with_hint(EXAMPLE)
        })?;
        // SAFETY: the plan lives until SPI is left, and with it what it was made from.
        let types = unsafe { result_types(plan) };
        let Some(types) = types else {
            return Err(CdpError::invalid_parameter(format!(
                "argument {} is not one query that reads",
                quoted(argument)
            ))
            .with_detail(format!("The text is {}.", quoted(query)))
            .with_hint(EXAMPLE));
        };
        let readers: Vec<Read> = types.iter().filter_map(|&oid| reader(oid)).collect();
        let (&[first, second], 2) = (readers.as_slice(), types.len()) else {
            return Err(CdpError::type_mismatch(format!(
                "argument {} does not return two integer columns",
                quoted(argument)
            ))
            .with_detail(format!("{} returns {}.", quoted(query), described(&types)))
            .with_hint(EXAMPLE));
        };
        let mut receiver = Receiver {
            head: pg_sys::DestReceiver {
                receiveSlot: Some(receive),
                rStartup: Some(start),
                rShutdown: Some(nothing),
                rDestroy: Some(nothing),
                // Any but DestNone, which would drop the rows, and DestSPI, which would count them.
                mydest: pg_sys::CommandDest::DestTuplestore,
            },
            read: (first, second),
            take,
            failed: None,
        };
        let options = pg_sys::SPIExecuteOptions {
            read_only: true,
            must_return_tuples: true,
            dest: (&raw mut receiver).cast(),
            ..Default::default()
        };
        // SAFETY: the plan is of this connection; the receiver outlives the call, and is only reached through the pointer meanwhile.
        let code = unsafe { pg_sys::SPI_execute_plan_extended(plan, &options) };
        match receiver.failed.take() {
            Some(error) => Err(error),
            None if code < 0 => Err(CdpError::internal(format!("SPI_execute_plan_extended returned {code}"))),
            None => Ok(()),
        }
    })
}

/// The types of the columns; `None` unless the text is one statement that reads.
///
/// # Safety
/// `plan` must be a plan of the present SPI connection.
unsafe fn result_types(plan: pg_sys::SPIPlanPtr) -> Option<Vec<pg_sys::Oid>> {
    // SAFETY: the caller's promise; the list belongs to the plan, and SPI_gettypeid reads the descriptor of the one statement.
    unsafe {
        let sources = PgList::<pg_sys::CachedPlanSource>::from_pg(pg_sys::SPI_plan_get_plan_sources(plan));
        let source = sources.get_ptr(0).filter(|_| pg_sys::SPI_is_cursor_plan(plan))?;
        let shape = (*source).resultDesc;
        let queries = PgList::<pg_sys::Query>::from_pg((*source).query_list);
        let writes = queries.iter_ptr().any(|query| (*query).hasModifyingCTE);
        if (*source).commandTag != pg_sys::CommandTag::CMDTAG_SELECT || writes || shape.is_null() {
            return None;
        }
        Some((1..=(*shape).natts).map(|column| pg_sys::getBaseType(pg_sys::SPI_gettypeid(shape, column))).collect())
    }
}

/// The types in words.
fn described(types: &[pg_sys::Oid]) -> String {
    let names: Vec<String> = types
        .iter()
        // SAFETY: a type of a query's result exists; the name is a C string in the present memory context.
        .map(|&oid| unsafe { std::ffi::CStr::from_ptr(pg_sys::format_type_be(oid)) }.to_string_lossy().into_owned())
        .collect();
    if names.is_empty() { "no columns".to_owned() } else { names.join(", ") }
}

/// How a column is read.
type Read = fn(pg_sys::Datum) -> i64;

fn reader(oid: pg_sys::Oid) -> Option<Read> {
    match oid {
        pg_sys::INT2OID => Some(|value| i64::from(value.value() as i16)),
        pg_sys::INT4OID => Some(|value| i64::from(value.value() as i32)),
        pg_sys::INT8OID => Some(|value| value.value() as i64),
        _ => None,
    }
}

/// The executor's side: it knows only the head.
#[repr(C)]
struct Receiver<'a> {
    head: pg_sys::DestReceiver,
    read: (Read, Read),
    take: Take<'a>,
    failed: Option<CdpError>,
}

#[pg_guard]
unsafe extern "C-unwind" fn receive(slot: *mut pg_sys::TupleTableSlot, this: *mut pg_sys::DestReceiver) -> bool {
    // SAFETY: the executor calls with the receiver it was given and a slot with a row of the checked types, two columns.
    unsafe {
        let this = &mut *this.cast::<Receiver<'_>>();
        if (*slot).tts_nvalid < 2 {
            pg_sys::slot_getsomeattrs_int(slot, 2);
        }
        let value = |column: usize, read: Read| {
            (!*(*slot).tts_isnull.add(column)).then(|| read(*(*slot).tts_values.add(column)))
        };
        match (this.take)(value(0, this.read.0), value(1, this.read.1)) {
            Ok(()) => true,
            Err(error) => {
                this.failed = Some(error);
                false
            }
        }
    }
}

unsafe extern "C-unwind" fn start(_: *mut pg_sys::DestReceiver, _: i32, _: pg_sys::TupleDesc) {}

unsafe extern "C-unwind" fn nothing(_: *mut pg_sys::DestReceiver) {}
