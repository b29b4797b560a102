//! SQL functions over the bytes of chunks and deltas. Internal: called by the extension's own statements.

use crate::error::CdpError;
use crate::pg::aggregate::{self, Take, transition_function};
use crate::pg::varlena::Bytea;
use pg_cdp_core::cells::delta::Gather;
use pg_cdp_core::cells::{Cell, CodesBuilder, CodesChunk, Encoding, NumberChunk, fold};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{Array, Internal};

use super::SHARD_BITS;

/// Changes of cells that `_cdp_cells_agg(offset, n, v)` collects.
#[derive(Default)]
struct Changes(Gather);

impl Take for Changes {
    type Row = (i32, i64, Option<i64>);

    #[inline]
    fn has_room(&self, (offset, _, _): Self::Row) -> bool {
        offset >= 0 && self.0.has_room()
    }

    #[inline]
    fn take(&mut self, (offset, n, v): Self::Row) -> Result<(), CdpError> {
        self.0.push(Cell { offset: unsigned(offset)?, n, v: v.unwrap_or(0) });
        Ok(())
    }
}

transition_function!(_cdp_cells_trans, pg_finfo__cdp_cells_trans, Changes);

/// Final of `_cdp_cells_agg`: delta cells, or NULL when the changes cancel out.
#[pg_extern(immutable, parallel_safe)]
fn _cdp_cells_final(mut state: Internal) -> Result<Option<Bytea>, ErrorReport> {
    let Some(changes) = aggregate::state_mut::<Changes>(&mut state)? else { return Ok(None) };
    let bytes = changes.0.encode().map_err(CdpError::from)?;
    // The version byte alone: nothing is left.
    Ok((bytes.len() > 1).then(|| Bytea::copy(&bytes)).transpose()?)
}

/// An offset inside a shard.
#[inline]
fn unsigned(offset: i32) -> Result<u32, CdpError> {
    u32::try_from(offset).map_err(|_| CdpError::internal("negative offset in a shard"))
}

extension_sql!(
    "CREATE FUNCTION @extschema@._cdp_cells_trans(state internal, \"offset\" integer, n bigint, v bigint) RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_cdp_cells_trans';
CREATE AGGREGATE @extschema@._cdp_cells_agg(integer, bigint, bigint) (SFUNC = _cdp_cells_trans, STYPE = internal, SSPACE = 1024, FINALFUNC = _cdp_cells_final, PARALLEL = SAFE);",
    name = "cdp_cells_agg",
    requires = [_cdp_cells_final]
);

/// Offsets of a shard that `_cdp_offsets_agg(offset)` collects, in any order. A shard has 2^20: the list is cleared of those that came twice before it is longer.
#[derive(Default)]
struct Offsets {
    list: Vec<u32>,
    /// So many at the start ascend, each once.
    settled: usize,
}

/// Offsets are put in order when there are this many new ones, or as many as there were.
const SETTLE_FROM: usize = 1 << 16;

impl Offsets {
    fn push(&mut self, offset: u32) {
        if self.list.len() - self.settled > self.settled.max(SETTLE_FROM) {
            self.settle();
        }
        self.list.push(offset);
    }

    fn settle(&mut self) {
        self.list.sort_unstable();
        self.list.dedup();
        self.settled = self.list.len();
    }
}

impl Take for Offsets {
    type Row = i32;

    #[inline]
    fn has_room(&self, offset: i32) -> bool {
        let fits = self.list.len() - self.settled <= self.settled.max(SETTLE_FROM);
        offset >= 0 && self.list.len() < self.list.capacity() && fits
    }

    #[inline]
    fn take(&mut self, offset: i32) -> Result<(), CdpError> {
        self.push(unsigned(offset)?);
        Ok(())
    }
}

transition_function!(_cdp_offsets_trans, pg_finfo__cdp_offsets_trans, Offsets);

/// Final of `_cdp_offsets_agg`: a set chunk, as folding writes it.
#[pg_extern(immutable, parallel_safe)]
fn _cdp_offsets_final(mut state: Internal) -> Result<Option<Bytea>, ErrorReport> {
    let Some(offsets) = aggregate::state_mut::<Offsets>(&mut state)? else { return Ok(None) };
    offsets.settle();
    let mut bitmap = roaring::RoaringBitmap::from_sorted_iter(offsets.list.iter().copied())
        .map_err(|e| CdpError::internal(e.to_string()))?;
    bitmap.optimize();
    Ok(Some(Bytea::copy(&portable(&bitmap)?)?))
}

extension_sql!(
    "CREATE FUNCTION @extschema@._cdp_offsets_trans(state internal, \"offset\" integer) RETURNS internal LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', '_cdp_offsets_trans';
CREATE AGGREGATE @extschema@._cdp_offsets_agg(integer) (SFUNC = _cdp_offsets_trans, STYPE = internal, SSPACE = 65536, FINALFUNC = _cdp_offsets_final, PARALLEL = SAFE);",
    name = "cdp_offsets_agg",
    requires = [_cdp_offsets_final]
);

/// Transition of `_cdp_codes_agg(code, bits)`: gives the members of a set chunk a code.
#[pg_extern(immutable, parallel_safe)]
fn _cdp_codes_trans(
    mut state: Internal,
    code: Option<i64>,
    bits: Option<&[u8]>,
    call: pg_sys::FunctionCallInfo,
) -> Result<Internal, ErrorReport> {
    let (Some(code), Some(bits)) = (code, bits) else { return Ok(state) };
    let code = u16::try_from(code).map_err(|_| CdpError::internal("a code of an attribute of few values is large"))?;
    match aggregate::state_mut::<CodesBuilder>(&mut state)? {
        None => {
            let mut builder = CodesBuilder::new();
            builder.add(code, bits).map_err(CdpError::from)?;
            return Ok(aggregate::new_state(call, builder)?);
        }
        Some(builder) => builder.add(code, bits).map_err(CdpError::from)?,
    }
    Ok(state)
}

/// Final of `_cdp_codes_agg`: a codes chunk, or NULL when there was no member.
#[pg_extern(immutable, parallel_safe)]
fn _cdp_codes_final(state: Internal) -> Result<Option<Vec<u8>>, ErrorReport> {
    let Some(builder) = aggregate::state::<CodesBuilder>(&state)? else { return Ok(None) };
    Ok(builder.chunk())
}

extension_sql!(
    "CREATE AGGREGATE @extschema@._cdp_codes_agg(bigint, bytea) (SFUNC = _cdp_codes_trans, STYPE = internal, SSPACE = 2097152, FINALFUNC = _cdp_codes_final, PARALLEL = SAFE);",
    name = "cdp_codes_agg",
    requires = [_cdp_codes_trans, _cdp_codes_final]
);

/// The portable bytes of a bitmap.
pub fn portable(bitmap: &roaring::RoaringBitmap) -> Result<Vec<u8>, CdpError> {
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    bitmap.serialize_into(&mut bytes).map_err(|e| CdpError::internal(e.to_string()))?;
    Ok(bytes)
}

/// How the chunks of a column are read.
pub fn encoding(name: &str) -> Result<Encoding, CdpError> {
    match name {
        "set" => Ok(Encoding::Set),
        "number" => Ok(Encoding::Number),
        "codes" => Ok(Encoding::Codes),
        _ => Err(CdpError::internal(format!("unknown encoding \"{name}\""))),
    }
}

/// A chunk with its deltas folded in; NULL when nothing is left.
#[pg_extern(immutable, parallel_safe)]
fn _cdp_fold(
    encoding_name: &str,
    base: Option<&[u8]>,
    deltas: Option<Array<&[u8]>>,
) -> Result<Option<Vec<u8>>, ErrorReport> {
    let deltas: Vec<&[u8]> = deltas.iter().flat_map(|d| d.iter().flatten()).collect();
    Ok(fold(encoding(encoding_name)?, base, deltas).map_err(CdpError::from)?)
}

/// The profiles of a set chunk, ascending.
#[pg_extern(immutable, strict, parallel_safe)]
fn _cdp_set_members(bits: &[u8], shard: i32) -> Result<SetOfIterator<'static, i64>, ErrorReport> {
    let bitmap = roaring::RoaringBitmap::deserialize_from(bits)
        .map_err(|e| CdpError::corrupted("set chunk").with_detail(e.to_string()))?;
    let first = i64::from(shard) << SHARD_BITS;
    Ok(SetOfIterator::new(bitmap.into_iter().map(move |offset| first + i64::from(offset))))
}

/// The cells of a number chunk.
#[pg_extern(immutable, strict, parallel_safe)]
fn _cdp_number_cells(
    bits: &[u8],
    shard: i32,
) -> Result<TableIterator<'static, (name!(profile_id, i64), name!(n, i64), name!(v, i64))>, ErrorReport> {
    let first = i64::from(shard) << SHARD_BITS;
    let chunk = NumberChunk::open(bits).map_err(CdpError::from)?;
    let mut out = Vec::with_capacity(chunk.count() as usize);
    for cell in chunk.cells() {
        let cell = cell.map_err(CdpError::from)?;
        out.push((first + i64::from(cell.offset), cell.n, cell.v));
    }
    Ok(TableIterator::new(out))
}

/// The profiles of a codes chunk, ascending, and their codes.
#[pg_extern(immutable, strict, parallel_safe)]
fn _cdp_codes_cells(
    bits: &[u8],
    shard: i32,
) -> Result<TableIterator<'static, (name!(profile_id, i64), name!(code, i32))>, ErrorReport> {
    let first = i64::from(shard) << SHARD_BITS;
    let cells = CodesChunk::open(bits).and_then(|chunk| chunk.cells()).map_err(CdpError::from)?;
    Ok(TableIterator::new(cells.into_iter().map(move |(offset, code)| (first + i64::from(offset), i32::from(code)))))
}

/// Whether an offset is in a set chunk.
#[pg_extern(immutable, strict, parallel_safe)]
fn _cdp_set_has(bits: &[u8], offset: i32) -> Result<bool, ErrorReport> {
    let bitmap = roaring::RoaringBitmap::deserialize_from(bits)
        .map_err(|e| CdpError::corrupted("set chunk").with_detail(e.to_string()))?;
    Ok(u32::try_from(offset).is_ok_and(|offset| bitmap.contains(offset)))
}
