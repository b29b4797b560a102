//! Fetching values that PostgreSQL keeps out of line, straight from the pages of the TOAST table.
//!
//! PostgreSQL's own way asks the index for every 2 kB piece and copies what it finds into fresh memory. The pieces of one
//! value are written one after the other, so here the index is asked for the first, and the others are taken from where
//! they should be: the next places of the page, then the next pages. A piece that is not there is asked for again.
//!
//! Why a piece with the right number is the right piece: a value's number is new to the table when it is given out, dead
//! rows counted (`GetNewOidWithIndex` looks with `SnapshotAny`), and a value is never changed. So a row on a page that
//! bears the number and the position belongs to the value, whatever its visibility; and it stays there as long as a
//! snapshot sees the row that points to it.

use super::varlena::Detoasted;
use crate::error::CdpError;
use pgrx::pg_sys;
use std::collections::HashMap;

/// Where a value is kept: PostgreSQL's `varatt_external`, not compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pointer {
    /// The TOAST table.
    pub table: u32,
    /// The value's number in it.
    pub value: u32,
    /// Bytes of the value.
    pub length: u32,
}

/// First byte of a pointer (`VARATT_IS_1B_E`) and its kind (`VARTAG_ONDISK`).
const EXTERNAL: u8 = 0x01;
const ON_DISK: u8 = 18;
/// Bits of `va_extinfo` that are the stored size; the others name the compression method.
const SIZE_BITS: u32 = (1 << 30) - 1;

impl Pointer {
    /// The pointer that a stored datum is; `None` when it is the value itself, compressed, or a pointer of another kind.
    ///
    /// # Safety
    /// `datum` must be a non-null datum of a type with `typlen = -1`.
    pub unsafe fn read(datum: pg_sys::Datum) -> Option<Self> {
        let stored = datum.cast_mut_ptr::<u8>();
        // SAFETY: a varlena has at least one byte; one that begins with 0x01 is a pointer whose second byte is its kind; one
        // of the kind ON_DISK is followed by the sixteen bytes of varatt_external, which need not be aligned.
        unsafe {
            if *stored != EXTERNAL || *stored.add(1) != ON_DISK {
                return None;
            }
            let word = |index: usize| stored.add(2 + 4 * index).cast::<u32>().read_unaligned();
            // varatt_external: raw size with the length word, stored size, number of the value, number of the table.
            let length = word(0).checked_sub(4)?;
            (word(1) & SIZE_BITS == length).then(|| Self { table: word(3), value: word(2), length })
        }
    }

    /// The pointer as it is stored.
    fn stored(self) -> [u8; 18] {
        let mut stored = [0u8; 18];
        let words = [self.length + 4, self.length, self.value, self.table];
        let (head, body) = stored.split_at_mut(2);
        head.copy_from_slice(&[EXTERNAL, ON_DISK]);
        for (place, word) in body.chunks_exact_mut(4).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        stored
    }
}

/// An open TOAST table.
pub struct Reader {
    relation: pg_sys::Relation,
    index: pg_sys::Oid,
    table: u32,
    /// Pages there were when it was opened; where a later one follows, the index says.
    blocks: u32,
    /// Where values began when they were fetched before. What is found there has to bear the value's number.
    known: Places,
}

/// Page and item of the first pieces of values.
pub type Places = HashMap<Pointer, (u32, u16)>;

/// The most places remembered: some megabytes.
const MOST_KNOWN: usize = 1 << 16;

/// Bytes of one piece, `TOAST_MAX_CHUNK_SIZE`: four rows fill a page of this server, and a row is a header of 24 bytes (23,
/// aligned), two numbers and a length word. 1996 with pages of 8 kB.
pub const PIECE: usize = (pg_sys::BLCKSZ as usize - 40) / 4 / 8 * 8 - 24 - 12;

impl Reader {
    /// Opens a TOAST table, with the places known from before; `None` when it is not a heap with one valid index, so that values must be fetched PostgreSQL's way.
    /// It is closed by [`Reader::close`], or by the abort of the (sub)transaction.
    pub fn open(table: u32, known: &mut Places) -> Option<Self> {
        // SAFETY: the relation is open between table_open() and close(); the list of indexes is a list of oids, freed here.
        unsafe {
            let relation = pg_sys::table_open(pg_sys::Oid::from(table), pg_sys::AccessShareLock as pg_sys::LOCKMODE);
            let indexes = pg_sys::RelationGetIndexList(relation);
            let only = !indexes.is_null() && (*indexes).length == 1;
            let index = if only { (*(*indexes).elements).oid_value } else { pg_sys::InvalidOid };
            pg_sys::list_free(indexes);
            let blocks = pg_sys::RelationGetNumberOfBlocksInFork(relation, pg_sys::ForkNumber::MAIN_FORKNUM);
            let reader = Self { relation, index, table, blocks, known: std::mem::take(known) };
            // The length words of pieces are read as a little-endian server writes them.
            if only && cfg!(target_endian = "little") && (*(*relation).rd_rel).relam == pg_sys::HEAP_TABLE_AM_OID {
                return Some(reader);
            }
            *known = reader.close();
            None
        }
    }

    /// Which table it reads.
    pub fn table(&self) -> u32 {
        self.table
    }

    /// Closes the table; the lock stays until the transaction ends. Gives back the places that values were found at.
    pub fn close(self) -> Places {
        // SAFETY: the relation was opened by open() and is closed once.
        unsafe { pg_sys::table_close(self.relation, pg_sys::NoLock as pg_sys::LOCKMODE) }
        self.known
    }

    /// The bytes of a value of this table, put in place of what `into` holds.
    ///
    /// # Errors
    /// XX001 when a piece is missing or has another length than it must have.
    pub fn fetch(&mut self, pointer: Pointer, into: &mut Vec<u8>) -> Result<(), CdpError> {
        let length = pointer.length as usize;
        into.clear();
        into.reserve(length);
        let pieces = length.div_ceil(PIECE) as u32;
        let mut next = 0;
        let mut place = self.known.get(&pointer).copied();
        while next < pieces {
            let (block, offset) = match place.take() {
                Some((block, offset)) if block < self.blocks => (block, offset),
                _ => {
                    let found = self.find(pointer, next)?;
                    if next == 0 && self.known.len() < MOST_KNOWN {
                        self.known.insert(pointer, found);
                    }
                    found
                }
            };
            let before = next;
            self.take(pointer, block, offset, pieces, &mut next, into)?;
            // The value goes on on the next page, most often. A page without the piece: the index knows where it is.
            place = (next > before && block + 1 < self.blocks).then_some((block + 1, 1));
            pgrx::check_for_interrupts!();
        }
        if into.len() == length { Ok(()) } else { Err(self.damaged(pointer)) }
    }

    /// Takes the pieces from number `next` on that follow each other on one page from `offset` on.
    fn take(
        &self,
        pointer: Pointer,
        block: u32,
        offset: u16,
        pieces: u32,
        next: &mut u32,
        into: &mut Vec<u8>,
    ) -> Result<(), CdpError> {
        // SAFETY: the page is pinned and share-locked while it is read, and nothing in between raises an error or allocates
        // beyond what `into` has reserved. Only items that are in use are followed; an item lies inside the page, and what is
        // read of it is checked against its length. The caller has made sure that the block exists.
        unsafe {
            let buffer = pg_sys::ReadBuffer(self.relation, block);
            pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
            let page = pg_sys::BufferGetPage(buffer);
            let last = pg_sys::PageGetMaxOffsetNumber(page);
            let mut good = true;
            for offset in offset..=last {
                let id = pg_sys::PageGetItemId(page, offset);
                if (*id).lp_flags() != pg_sys::LP_NORMAL {
                    break;
                }
                let item = pg_sys::PageGetItem(page, id).cast::<u8>();
                let size = (*id).lp_len() as usize;
                let head = usize::from((*item.cast::<pg_sys::HeapTupleHeaderData>()).t_hoff);
                // Number of the value, number of the piece, length word, data: no column is ever NULL.
                let Some(data) = size.checked_sub(head + 12) else { break };
                let word = |at: usize| item.add(head + at).cast::<u32>().read_unaligned();
                if word(0) != pointer.value || word(4) != *next {
                    break;
                }
                let wanted =
                    if *next + 1 == pieces { pointer.length as usize - PIECE * (pieces as usize - 1) } else { PIECE };
                let Some((at, length)) = payload(std::slice::from_raw_parts(item.add(head + 8), data + 4)) else {
                    good = false;
                    break;
                };
                if length != wanted {
                    good = false;
                    break;
                }
                into.extend_from_slice(std::slice::from_raw_parts(item.add(head + 8 + at), length));
                *next += 1;
                if *next == pieces {
                    break;
                }
            }
            pg_sys::UnlockReleaseBuffer(buffer);
            if good { Ok(()) } else { Err(self.damaged(pointer)) }
        }
    }

    /// Where the index says a piece is.
    fn find(&self, pointer: Pointer, piece: u32) -> Result<(u32, u16), CdpError> {
        let mut keys = [pg_sys::ScanKeyData::default(); 2];
        // SAFETY: the keys are those of a TOAST index, (oid, integer); the scan is ended on every path; the tuple is read while
        // the scan stands on it. SnapshotAny, because any row with these numbers is the one (see the head of this file).
        unsafe {
            let equal = pg_sys::BTEqualStrategyNumber as u16;
            let [value, position] = &mut keys;
            let number = pg_sys::Datum::from(pg_sys::Oid::from(pointer.value));
            pg_sys::ScanKeyInit(value, 1, equal, pg_sys::F_OIDEQ.into(), number);
            pg_sys::ScanKeyInit(position, 2, equal, pg_sys::F_INT4EQ.into(), pg_sys::Datum::from(piece as i32));
            let any = &raw mut pg_sys::SnapshotAnyData;
            let scan = pg_sys::systable_beginscan(self.relation, self.index, true, any, 2, keys.as_mut_ptr());
            let tuple = pg_sys::systable_getnext(scan);
            let place = (!tuple.is_null()).then(|| {
                let at = (*tuple).t_self;
                ((u32::from(at.ip_blkid.bi_hi) << 16) | u32::from(at.ip_blkid.bi_lo), at.ip_posid)
            });
            pg_sys::systable_endscan(scan);
            place.ok_or_else(|| self.damaged(pointer))
        }
    }

    fn damaged(&self, pointer: Pointer) -> CdpError {
        CdpError::corrupted("column").with_detail(format!(
            "value {} of TOAST table {} lacks a piece or has one of the wrong length",
            pointer.value, pointer.table
        ))
    }
}

/// Where the payload of a plain varlena begins and how long it is; `None` for another kind, or one that leaves the item.
fn payload(varlena: &[u8]) -> Option<(usize, usize)> {
    let first = *varlena.first()?;
    // One byte of header for up to 126 bytes of payload; four bytes, whose two lowest bits are 00, for more.
    let (at, whole) = if first & 1 == 1 {
        (1, usize::from(first >> 1))
    } else if first & 3 == 0 {
        (4, (u32::from_le_bytes(*varlena.first_chunk::<4>()?) >> 2) as usize)
    } else {
        return None;
    };
    let length = whole.checked_sub(at)?;
    (at + length <= varlena.len()).then_some((at, length))
}

/// The bytes of a value, fetched PostgreSQL's way.
pub fn fetch_slowly(pointer: Pointer) -> Vec<u8> {
    let mut stored = pointer.stored();
    // SAFETY: the eighteen bytes are a pointer that was read from a row the snapshot sees.
    unsafe { Detoasted::new(pg_sys::Datum::from(stored.as_mut_ptr())).bytes().to_vec() }
}

/// `length` bytes of a value from `at` on, fetched PostgreSQL's way; fewer when the value ends before.
pub fn fetch_part(pointer: Pointer, at: usize, length: usize) -> Vec<u8> {
    let mut stored = pointer.stored();
    // SAFETY: as above. No value is longer than an i32 says; what is returned is a fresh copy.
    unsafe {
        let part = pg_sys::pg_detoast_datum_slice(stored.as_mut_ptr().cast(), at as i32, length as i32);
        let bytes = pgrx::varlena_to_byte_slice(part).to_vec();
        pg_sys::pfree(part.cast());
        bytes
    }
}
