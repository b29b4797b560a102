//! The point executor: what an expression comes to for one profile, from its row, its events and the segments it is in.
//!
//! It is the plain SQL of the expression with every part narrowed to the profile, so that PostgreSQL gets at the rows through
//! indexes; the statement is prepared once for a text. Whether the profile is in a segment is told by the segment's bits.

use super::question::Question;
use crate::error::CdpError;
use crate::pg::{settings, spi};
use crate::store::SHARD_BITS;
use crate::store::read::{Listing, Wanted};
use pg_cdp_core::bitmap::Portable;
use pg_cdp_core::cells::Encoding;
use pg_cdp_core::expr::ast::{Expr, Node, Sequence};
use pg_cdp_core::expr::sql::{self, Point, SqlContext};
use pg_cdp_core::expr::walk;
use pgrx::datum::DatumWithOid;
use pgrx::spi::SpiHeapTupleData;

/// How the statements are planned: once for all profiles, as planning over the partitions of the events costs more than reading them; and
/// from the profile to its events, never through all events of a type, however few there are when the plan is made.
const PLANNED: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// Low bits of a profile number: its offset in its shard.
const MASK: i64 = (1 << SHARD_BITS) - 1;

/// The live profile that a number stands for.
///
/// # Errors
/// 42704 when there never was one.
pub fn live(question: &Question, profile_id: i64) -> Result<i64, CdpError> {
    let sql = "SELECT coalesce(p.merged_into, p.profile_id) FROM @ws@.profile p WHERE p.profile_id = $1";
    spi::rows_cached(&question.ws.sql(sql), &[profile_id.into()], |row| spi::must::<i64>(row, 1))?
        .into_iter()
        .next()
        .ok_or_else(|| {
            CdpError::undefined_object("profile", &profile_id.to_string())
                .with_hint("Find the profile of an identifier with cdp_profile_id().")
        })
}

/// Whether the expression of the question is true for a live profile; `None` for NULL.
pub fn contains(question: &Question, profile_id: i64) -> Result<Option<bool>, CdpError> {
    let row = values(question, &[("value", &question.expr)], profile_id, |row| Ok(row.get::<bool>(2)?))?;
    Ok(row.flatten())
}

/// What expressions come to for a live profile: `read` gets a row with them from column 2 on.
pub fn values<T>(
    question: &Question,
    columns: &[(&str, &Expr)],
    profile_id: i64,
    read: impl FnMut(&SpiHeapTupleData) -> Result<T, CdpError>,
) -> Result<Option<T>, CdpError> {
    let mut segments: Vec<String> = Vec::new();
    for (_, expr) in columns {
        names(expr, &mut segments);
    }
    let mut args: Vec<DatumWithOid> = vec![profile_id.into(), question.moment.as_of.as_deref().into()];
    for name in &segments {
        args.push(in_segment(question, name, profile_id)?.into());
    }
    let parameter = |name: &str| {
        let index = segments.iter().position(|n| n == name)?;
        Some(format!("${}::pg_catalog.bool", index + 3))
    };
    let point = Point { profile: "$1::pg_catalog.int8", in_segment: &parameter, now: now(question) };
    let sql = sql::select_sql(columns, None, &SqlContext { point: Some(point), ..question.context() });
    let rows = settings::scoped(&PLANNED, || spi::rows_cached(&sql, &args, read))?;
    Ok(rows.into_iter().next())
}

/// At most so many events of a live profile that have a part in a sequence, in their order; the columns are those of
/// [`sql::sequence_events_sql`].
pub fn sequence_events<T>(
    question: &Question,
    sequence: &Sequence,
    profile_id: i64,
    most: usize,
    read: impl FnMut(&SpiHeapTupleData) -> Result<T, CdpError>,
) -> Result<Vec<T>, CdpError> {
    let point = Point { profile: "$1::pg_catalog.int8", in_segment: &|_| None, now: now(question) };
    let events = sql::sequence_events_sql(sequence, &SqlContext { point: Some(point), ..question.context() });
    let args = [profile_id.into(), question.moment.as_of.as_deref().into()];
    settings::scoped(&PLANNED, || spi::rows_cached(&format!("{events}\nLIMIT {most}"), &args, read))
}

/// The moment is a parameter too, so that the statement is the same for every one.
fn now(question: &Question) -> Option<&'static str> {
    question.moment.as_of.as_ref().map(|_| "$2::pg_catalog.text::pg_catalog.timestamptz")
}

/// The segments an expression names.
fn names(expr: &Expr, found: &mut Vec<String>) {
    if let Node::InSegment(name) = &expr.node
        && !found.contains(name)
    {
        found.push(name.clone());
    }
    walk::children(expr).into_iter().for_each(|child| names(child, found));
}

fn in_segment(question: &Question, name: &str, profile_id: i64) -> Result<bool, CdpError> {
    let Some(segment) = question.catalog.segments.get(name) else {
        return Err(CdpError::internal(format!("segment \"{name}\" is gone")));
    };
    let shard = i32::try_from(profile_id >> SHARD_BITS).map_err(|_| CdpError::out_of_range("profile", profile_id))?;
    let (block, member) = ((profile_id & MASK) >> 16, profile_id & 0xFFFF);
    let (block, member) = (block as u16, member as u16);
    let wanted = Wanted { slot: 0, column_id: segment.column_id, low: 0, high: 0 };
    let mut inside = false;
    Listing::new(question.ws, &[wanted], Some(&[shard]))?.for_each_shard(
        question.ws,
        &[Encoding::Set],
        |_, slots| {
            for (_, bytes) in slots.iter().flatten() {
                inside |= Portable::open_shard(bytes.bytes())?.probe(block)?.contains(member)?;
            }
            Ok(())
        },
    )?;
    Ok(inside)
}
