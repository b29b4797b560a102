//! Values kept in memory from one step of an aggregate to the next: PostgreSQL's expanded objects.
//!
//! The state of an aggregate that is a value of a type would be written anew at each step. An expanded object is such a value that
//! stands in memory in any form; PostgreSQL passes a pointer to it on and asks for the bytes only where it leaves the aggregate:
//! for another process, a tuple, or a function that knows nothing of it. As plain arrays do in array_append().

use std::any::TypeId;

use pgrx::pg_sys;
use pgrx::{PgMemoryContexts, pg_sys::panic::pgrx_extern_c_guard};

use super::varlena::{self, Stored};
use crate::error::CdpError;

/// What can stand in memory for a value of a variable-length type.
pub trait Expand: Sized + 'static {
    /// The type's name in messages.
    const NAME: &'static str;

    /// The payload of the value it stands for, which stays the same.
    ///
    /// # Errors
    /// When there is no such value.
    fn flat(&mut self) -> Result<Vec<u8>, CdpError>;
}

/// An expanded object. PostgreSQL knows its header alone.
#[repr(C)]
struct Object<T> {
    header: pg_sys::ExpandedObjectHeader,
    tag: TypeId,
    /// The payload, while PostgreSQL makes room for it.
    flat: Vec<u8>,
    value: T,
}

/// First byte of a pointer (`VARATT_IS_1B_E`) and its kind for an object that may be changed (`VARTAG_EXPANDED_RW`).
const EXTERNAL: u8 = 0x01;
const CHANGEABLE: u8 = 3;

impl<T: Expand> Object<T> {
    const METHODS: &'static pg_sys::ExpandedObjectMethods =
        &pg_sys::ExpandedObjectMethods { get_flat_size: Some(Self::flat_size), flatten_into: Some(Self::flatten_into) };

    /// Bytes of the value with its length word.
    unsafe extern "C-unwind" fn flat_size(header: *mut pg_sys::ExpandedObjectHeader) -> pg_sys::Size {
        // SAFETY: PostgreSQL calls the methods of an object with its header, which an `Object` begins with.
        unsafe {
            pgrx_extern_c_guard(|| {
                let object = &mut *header.cast::<Self>();
                let flat =
                    object.value.flat().and_then(|flat| varlena::check_length(flat.len(), T::NAME).map(|()| flat));
                object.flat = flat.unwrap_or_else(|error| error.raise());
                size_of::<u32>() + object.flat.len()
            })
        }
    }

    /// Writes the value of which [`Self::flat_size`] has just told the size.
    unsafe extern "C-unwind" fn flatten_into(
        header: *mut pg_sys::ExpandedObjectHeader,
        result: *mut std::ffi::c_void,
        size: pg_sys::Size,
    ) {
        // SAFETY: as above; `result` has room for `size` bytes, and that is checked against the payload.
        unsafe {
            pgrx_extern_c_guard(|| {
                let flat = std::mem::take(&mut (*header.cast::<Self>()).flat);
                if size != size_of::<u32>() + flat.len() {
                    CdpError::internal("an expanded object changed while it was written").raise();
                }
                pgrx::set_varsize_4b(result.cast(), size as i32);
                std::ptr::copy_nonoverlapping(flat.as_ptr(), result.cast::<u8>().add(size_of::<u32>()), flat.len());
            })
        }
    }
}

/// A value that is being worked on, as a datum: a pointer to an object, or a stored value that no step has changed yet.
#[derive(Clone, Copy)]
pub struct Working(pg_sys::Datum);

impl Working {
    /// The datum.
    pub fn datum(self) -> pg_sys::Datum {
        self.0
    }

    /// The value as it came.
    pub fn unchanged(stored: &Stored<'_>) -> Self {
        Working(stored.datum())
    }

    /// Changes a value in memory: the one `stored` is when an earlier step left it there, else a new one that `read` makes of its
    /// payload (`None`: there is no value yet). It lives as long as the aggregate.
    ///
    /// # Errors
    /// Those of `read` and `change`; after one of the latter the value is not to be used.
    pub fn change<T: Expand>(
        call: pg_sys::FunctionCallInfo,
        stored: Option<&Stored<'_>>,
        read: impl FnOnce(Option<&[u8]>) -> Result<T, CdpError>,
        change: impl FnOnce(&mut T) -> Result<(), CdpError>,
    ) -> Result<Self, CdpError> {
        // SAFETY: a datum of a type of ours that points to a changeable object points to an `Object`; its tag says which.
        let own = stored.and_then(|stored| unsafe { object::<T>(stored.datum()) });
        if let (Some(own), Some(stored)) = (own, stored) {
            change(own)?;
            return Ok(Self::unchanged(stored));
        }
        let whole = stored.map(Stored::whole);
        let mut value = read(whole.as_ref().map(|whole| whole.bytes()))?;
        change(&mut value)?;
        Ok(Self::new(call, value))
    }

    /// A new object in the context of the aggregate, or, outside one, of the call.
    fn new<T: Expand>(call: pg_sys::FunctionCallInfo, value: T) -> Self {
        // SAFETY: the new context holds the object's callback, which drops the object with it; the header is filled in before the
        // pointer in it is handed out.
        unsafe {
            let mut parent = std::ptr::null_mut();
            if pg_sys::AggCheckCallContext(call, &mut parent) == 0 {
                parent = pg_sys::CurrentMemoryContext;
            }
            let context = pg_sys::AllocSetContextCreateInternal(
                parent,
                c"expanded value".as_ptr(),
                pg_sys::ALLOCSET_SMALL_MINSIZE as usize,
                pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
                pg_sys::ALLOCSET_SMALL_MAXSIZE as usize,
            );
            let header = pg_sys::ExpandedObjectHeader::default();
            let object = Object { header, tag: TypeId::of::<T>(), flat: Vec::new(), value };
            let object = PgMemoryContexts::For(context).leak_and_drop_on_delete(object);
            pg_sys::EOH_init_header(object.cast(), Object::<T>::METHODS, context);
            Working(pg_sys::Datum::from((&raw mut (*object).header.eoh_rw_ptr).cast::<std::ffi::c_void>()))
        }
    }
}

/// The value behind a datum that points to an object which may be changed.
///
/// # Safety
/// `datum` must be a non-null datum of a variable-length type of this extension.
unsafe fn object<'a, T: Expand>(datum: pg_sys::Datum) -> Option<&'a mut T> {
    let pointer = datum.cast_mut_ptr::<u8>();
    // SAFETY: a varlena has at least one byte; one that begins with 0x01 has a second one, its kind; one of the kind CHANGEABLE is
    // followed by the address of the object, which need not be aligned. Only `Working::new` makes objects of our types.
    unsafe {
        if *pointer != EXTERNAL || *pointer.add(1) != CHANGEABLE {
            return None;
        }
        let object = &mut *pointer.add(2).cast::<*mut Object<T>>().read_unaligned();
        (object.tag == TypeId::of::<T>()).then_some(&mut object.value)
    }
}
