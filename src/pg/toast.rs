//! Fetching values that PostgreSQL keeps out of line, straight from the pages of the TOAST table.
//!
//! PostgreSQL's own way asks the index for every 2 kB piece and copies the whole value into fresh memory. Here pieces are read when
//! their bytes are asked for ([`Value`]), so that what a question does not need is not copied. The pieces of one value are
//! written one after the other, so the index is asked for the first, and the others are looked for where they should be: on the
//! same page, then on the next pages. For a piece that is not there the index is asked again.
//!
//! Why a piece with the right number is the right piece: a value's number is new to the table when it is given out, dead
//! rows counted (`GetNewOidWithIndex` looks with `SnapshotAny`), and a value is never changed. So a row on a page that
//! bears the number and the position belongs to the value, whatever its visibility; and it stays there as long as a
//! snapshot sees the row that points to it.

use super::memory::Memory;
use super::varlena::Detoasted;
use pg_cdp_core::bitmap::Source;
use pg_cdp_core::error::StoreError;
use pgrx::pg_sys;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

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
    /// What was seen when values were read before.
    places: Places,
}

/// Where values were found when they were read before: guesses that are checked before they are used, or cost nothing when they are wrong.
#[derive(Default)]
pub struct Places {
    /// Pages of the first pieces of values. What is found there has to bear the value's number.
    first: HashMap<Pointer, u32>,
    /// Pages, each in the place that its number says.
    buffers: Vec<Seen>,
}

/// The shared buffer that a page was last found in, and how often it was found there.
#[derive(Clone, Copy, Default)]
struct Seen {
    block: u32,
    buffer: pg_sys::Buffer,
    times: u32,
}

/// The most values remembered: some megabytes.
const MOST_KNOWN: usize = 1 << 16;

/// Places for the buffers of pages: some hundred kilobytes for as many pages as half a gigabyte has. A power of two.
const BUFFERS: usize = 1 << 16;

/// Every so many times a page is looked up as PostgreSQL does it, which tells its buffer's eviction that the page is in use;
/// `ReadRecentBuffer()` before version 17 does not.
const LOOKUP_EVERY: u32 = 8;

impl Places {
    /// The buffer that a page was last found in.
    fn seen(&self, block: u32) -> Option<Seen> {
        self.buffers.get(block as usize % BUFFERS).copied().filter(|seen| seen.block == block && seen.buffer > 0)
    }

    fn found(&mut self, block: u32, buffer: pg_sys::Buffer) {
        if self.buffers.is_empty() {
            self.buffers.resize(BUFFERS, Seen::default());
        }
        if let Some(place) = self.buffers.get_mut(block as usize % BUFFERS) {
            let same = place.block == block && place.buffer == buffer;
            *place = Seen { block, buffer, times: if same { place.times.wrapping_add(1) } else { 0 } };
        }
    }
}

/// Bytes of one piece, `TOAST_MAX_CHUNK_SIZE`: four rows fill a page of this server, and a row is a header of 24 bytes (23,
/// aligned), two numbers and a length word. 1996 with pages of 8 kB.
pub const PIECE: usize = (pg_sys::BLCKSZ as usize - 40) / PIECES_A_PAGE / 8 * 8 - 24 - 12;
/// `EXTERN_TUPLES_PER_PAGE`.
const PIECES_A_PAGE: usize = 4;

impl Reader {
    /// Opens a TOAST table, with the places known from before; `None` when it is not a heap with one valid index, so that values must be fetched PostgreSQL's way.
    /// It is closed by [`Reader::close`], or by the abort of the (sub)transaction.
    pub fn open(table: u32, places: &mut Places) -> Option<Self> {
        // SAFETY: the relation is open between table_open() and close(); the list of indexes is a list of oids, freed here.
        unsafe {
            let relation = pg_sys::table_open(pg_sys::Oid::from(table), pg_sys::AccessShareLock as pg_sys::LOCKMODE);
            let indexes = pg_sys::RelationGetIndexList(relation);
            let only = !indexes.is_null() && (*indexes).length == 1;
            let index = if only { (*(*indexes).elements).oid_value } else { pg_sys::InvalidOid };
            pg_sys::list_free(indexes);
            let blocks = pg_sys::RelationGetNumberOfBlocksInFork(relation, pg_sys::ForkNumber::MAIN_FORKNUM);
            let mut reader = Self { relation, index, table, blocks, places: std::mem::take(places) };
            // The length words of pieces are read as a little-endian server writes them.
            if only && cfg!(target_endian = "little") && (*(*relation).rd_rel).relam == pg_sys::HEAP_TABLE_AM_OID {
                return Some(reader);
            }
            *places = reader.close();
            None
        }
    }

    /// Closes the table; the lock stays until the transaction ends. Gives back the places that values were found at. Nothing can be
    /// read afterwards.
    pub fn close(&mut self) -> Places {
        if !self.relation.is_null() {
            // SAFETY: the relation was opened by open() and is closed once.
            unsafe { pg_sys::table_close(self.relation, pg_sys::NoLock as pg_sys::LOCKMODE) }
            self.relation = std::ptr::null_mut();
        }
        std::mem::take(&mut self.places)
    }

    /// The buffer of a page, pinned.
    ///
    /// # Safety
    /// The relation must be open and the block exist.
    unsafe fn pinned(&mut self, block: u32) -> pg_sys::Buffer {
        let seen = self.places.seen(block).filter(|seen| seen.times % LOOKUP_EVERY != LOOKUP_EVERY - 1);
        // SAFETY: the caller's promise; ReadRecentBuffer() pins the buffer only when it holds this page of this relation.
        unsafe {
            let buffer = match seen {
                Some(Seen { buffer, .. })
                    if pg_sys::ReadRecentBuffer(
                        locator(self.relation),
                        pg_sys::ForkNumber::MAIN_FORKNUM,
                        block,
                        buffer,
                    ) =>
                {
                    buffer
                }
                _ => pg_sys::ReadBuffer(self.relation, block),
            };
            self.places.found(block, buffer);
            buffer
        }
    }

    /// Calls `take` with the number and the payload of each piece of the value that is on a page.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] when a piece has another length than it must have.
    fn page(&mut self, pointer: Pointer, block: u32, mut take: impl FnMut(u32, &[u8])) -> Result<(), StoreError> {
        let length = pointer.length as usize;
        // SAFETY: the caller has made sure that the relation is open and the block exists. The page is pinned and share-locked
        // while it is read, and nothing in between raises an error. Only items that are in use are followed; an item lies
        // inside the page, and what is read of it is checked against its length.
        unsafe {
            let buffer = self.pinned(block);
            pg_sys::LockBuffer(buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
            let page = pg_sys::BufferGetPage(buffer);
            let last = pg_sys::PageGetMaxOffsetNumber(page);
            let mut good = true;
            for offset in 1..=last {
                let id = pg_sys::PageGetItemId(page, offset);
                if (*id).lp_flags() != pg_sys::LP_NORMAL {
                    continue;
                }
                let item = pg_sys::PageGetItem(page, id).cast::<u8>();
                let size = (*id).lp_len() as usize;
                let head = usize::from((*item.cast::<pg_sys::HeapTupleHeaderData>()).t_hoff);
                // Number of the value, number of the piece, length word, data: no column is ever NULL.
                let Some(data) = size.checked_sub(head + 12) else { continue };
                let word = |at: usize| item.add(head + at).cast::<u32>().read_unaligned();
                let piece = word(4);
                let start = piece as usize * PIECE;
                if word(0) != pointer.value || start >= length {
                    continue;
                }
                match payload(std::slice::from_raw_parts(item.add(head + 8), data + 4)) {
                    Some((at, found)) if found == PIECE.min(length - start) => {
                        take(piece, std::slice::from_raw_parts(item.add(head + 8 + at), found));
                    }
                    _ => good = false,
                }
            }
            pg_sys::UnlockReleaseBuffer(buffer);
            if good { Ok(()) } else { Err(damaged(pointer)) }
        }
    }

    /// The page that the index says a piece is on.
    fn find(&self, pointer: Pointer, piece: u32) -> Result<u32, StoreError> {
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
            let block = (!tuple.is_null()).then(|| {
                let at = (*tuple).t_self.ip_blkid;
                (u32::from(at.bi_hi) << 16) | u32::from(at.bi_lo)
            });
            pg_sys::systable_endscan(scan);
            block.ok_or_else(|| damaged(pointer))
        }
    }
}

/// Where the files of a relation are.
#[cfg(any(feature = "pg14", feature = "pg15"))]
unsafe fn locator(relation: pg_sys::Relation) -> pg_sys::RelFileNode {
    // SAFETY: the caller has the relation open.
    unsafe { (*relation).rd_node }
}

/// Where the files of a relation are.
#[cfg(not(any(feature = "pg14", feature = "pg15")))]
unsafe fn locator(relation: pg_sys::Relation) -> pg_sys::RelFileLocator {
    // SAFETY: the caller has the relation open.
    unsafe { (*relation).rd_locator }
}

fn damaged(pointer: Pointer) -> StoreError {
    StoreError::Unreadable(format!(
        "value {} of TOAST table {} lacks a piece or has one of the wrong length",
        pointer.value, pointer.table
    ))
}

/// The bytes of a value that have been read. Pieces come when they are asked for, and stay.
pub struct Value {
    pointer: Pointer,
    /// Bytes of a piece may be read once the piece is in `here`, and are not written again.
    memory: Memory,
    /// One bit a piece: whether it is here.
    here: RefCell<Vec<u64>>,
    /// Pages that pieces were found on: the first and the last piece of the page, and the page. Where pages follow each other, the first
    /// is all that is needed.
    pages: RefCell<Vec<(u32, u32, u32)>>,
}

fn is_here(here: &[u64], piece: usize) -> bool {
    here.get(piece / 64).is_some_and(|word| word >> (piece % 64) & 1 == 1)
}

impl Value {
    /// A value of which nothing has been read; `memory` is used again if there is enough of it.
    pub fn new(pointer: Pointer, memory: Option<Memory>) -> Self {
        let length = pointer.length as usize;
        let memory = memory.filter(|memory| memory.capacity() >= length).unwrap_or_else(|| Memory::new(length));
        let here = RefCell::new(vec![0; Self::pieces(pointer).div_ceil(64)]);
        Self { pointer, memory, here, pages: RefCell::default() }
    }

    fn pieces(pointer: Pointer) -> usize {
        (pointer.length as usize).div_ceil(PIECE)
    }

    /// The memory it takes.
    pub fn capacity(&self) -> usize {
        self.memory.capacity()
    }

    /// The memory, for another value.
    pub fn into_memory(self) -> Memory {
        self.memory
    }

    /// The bytes of a range whose pieces are all here.
    fn range(&self, at: usize, len: usize) -> &[u8] {
        debug_assert!(at + len <= self.pointer.length as usize);
        // SAFETY: the memory is as long as the value and is kept as long as self. The caller has read the pieces of the range, whose
        // bytes nobody writes again.
        unsafe { std::slice::from_raw_parts(self.memory.start().add(at), len) }
    }

    /// Reads the pieces of a range that are not here.
    fn bring(&self, at: usize, len: usize, reader: &RefCell<Reader>) -> Result<(), StoreError> {
        if len == 0 {
            return Ok(());
        }
        for piece in at / PIECE..=(at + len - 1) / PIECE {
            if !is_here(&self.here.borrow(), piece) {
                pgrx::check_for_interrupts!();
                // The page after this one, while this one is copied.
                let next = (piece + PIECES_A_PAGE) * PIECE;
                if next < at + len {
                    self.expect(next, 1, reader);
                }
                self.bring_piece(piece as u32, &mut reader.borrow_mut())?;
            }
        }
        Ok(())
    }

    /// Prefetches the pages of the pieces of a range that are not here, as far as they are known.
    fn expect(&self, at: usize, len: usize, reader: &RefCell<Reader>) {
        let reader = reader.borrow();
        let here = self.here.borrow();
        let mut last = None;
        for piece in (at / PIECE..(at + len).div_ceil(PIECE)).filter(|piece| !is_here(&here, *piece)) {
            let block = self.guess(piece as u32);
            if block.is_some() && block != last {
                last = block;
                if let Some(seen) = block.and_then(|block| reader.places.seen(block)) {
                    prefetch(seen.buffer);
                }
            }
        }
    }

    /// Reads a piece, and whatever else its page has of the value.
    fn bring_piece(&self, piece: u32, reader: &mut Reader) -> Result<(), StoreError> {
        if reader.relation.is_null() || reader.table != self.pointer.table {
            return Err(damaged(self.pointer));
        }
        // How many pieces the first page has tells where the others are.
        if piece != 0 && self.pages.borrow().is_empty() {
            self.bring_piece(0, reader)?;
        }
        let guess = if piece == 0 { reader.places.first.get(&self.pointer).copied() } else { self.guess(piece) };
        if let Some(block) = guess.filter(|block| *block < reader.blocks)
            && self.take(piece, block, reader)?
        {
            return Ok(());
        }
        let block = reader.find(self.pointer, piece)?;
        if piece == 0 && reader.places.first.len() < MOST_KNOWN {
            reader.places.first.insert(self.pointer, block);
        }
        if self.take(piece, block, reader)? { Ok(()) } else { Err(damaged(self.pointer)) }
    }

    /// Where a piece is if pages follow each other from the last one known before it.
    fn guess(&self, piece: u32) -> Option<u32> {
        let pages = self.pages.borrow();
        let after = pages.partition_point(|(first, ..)| *first <= piece);
        let (_, last, block) = pages.get(after.checked_sub(1)?)?;
        match piece.checked_sub(last + 1) {
            None => Some(*block),
            Some(behind) => block.checked_add(1 + behind / PIECES_A_PAGE as u32),
        }
    }

    /// Takes the pieces of the value that a page has; whether the wanted one is among them.
    fn take(&self, wanted: u32, block: u32, reader: &mut Reader) -> Result<bool, StoreError> {
        let (mut first, mut last) = (u32::MAX, 0);
        let mut here = self.here.borrow_mut();
        reader.page(self.pointer, block, |piece, payload| {
            (first, last) = (first.min(piece), last.max(piece));
            let Some(word) = here.get_mut(piece as usize / 64) else { return };
            if *word >> (piece % 64) & 1 == 1 {
                return;
            }
            // SAFETY: page() gives pieces of the value with the length that they have in it, so that this one lies inside the
            // memory; no reference to its bytes was given out, since it was not here.
            unsafe {
                let to = self.memory.start().add(piece as usize * PIECE);
                std::ptr::copy_nonoverlapping(payload.as_ptr(), to, payload.len());
            }
            *word |= 1 << (piece % 64);
        })?;
        let found = is_here(&here, wanted as usize);
        drop(here);
        if found && self.guess(wanted) != Some(block) {
            let mut pages = self.pages.borrow_mut();
            let at = pages.partition_point(|page| page.0 < first);
            pages.insert(at, (first, last, block));
        }
        Ok(found)
    }
}

/// A value with the table that its missing pieces are read from.
#[derive(Clone)]
pub struct Paged {
    value: Rc<Value>,
    reader: Rc<RefCell<Reader>>,
}

impl Paged {
    /// The bytes of a value.
    pub fn new(value: Rc<Value>, reader: Rc<RefCell<Reader>>) -> Self {
        Self { value, reader }
    }

    /// The value alone.
    pub fn into_value(self) -> Rc<Value> {
        self.value
    }
}

impl Source for Paged {
    #[inline]
    fn read(&self, at: usize, len: usize) -> Result<&[u8], StoreError> {
        let length = self.value.pointer.length as usize;
        if at.checked_add(len).is_none_or(|end| end > length) {
            return Err(damaged(self.value.pointer));
        }
        self.value.bring(at, len, &self.reader)?;
        Ok(self.value.range(at, len))
    }

    #[inline]
    fn peek(&self, at: usize, len: usize) -> Option<&[u8]> {
        let end = at.checked_add(len).filter(|end| *end <= self.value.pointer.length as usize)?;
        let here = self.value.here.borrow();
        (at / PIECE..end.div_ceil(PIECE)).all(|piece| is_here(&here, piece)).then(|| self.value.range(at, len))
    }

    #[inline]
    fn expect(&self, at: usize, len: usize) {
        self.value.expect(at, len, &self.reader);
    }

    fn len(&self) -> usize {
        self.value.pointer.length as usize
    }
}

/// Asks the processor to bring a page into its second-level cache. Any page will do: nothing is read.
fn prefetch(buffer: pg_sys::Buffer) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address is allowed. The buffer's number is one that ReadBuffer() gave, so that the address lies in
    // the shared buffers, which stay where they are as long as the server runs.
    unsafe {
        let page = pg_sys::BufferGetPage(buffer).cast::<i8>();
        for line in 0..pg_sys::BLCKSZ as usize / LINE {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(page.add(line * LINE));
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = buffer;
}

/// Bytes of a line of the processor's caches.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

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
