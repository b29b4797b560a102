//! Where the bytes of a chunk are: in memory, or behind a source that brings them when they are asked for.
//!
//! A question seldom needs all of a chunk: a comparison stops at the bit that decides it, an empty side ends a conjunction. A chunk that
//! is stored in pages is therefore read container by container.

use crate::error::StoreError;
use std::fmt;

/// Stored bytes that are brought into memory by ranges, and stay there unchanged as long as the source lives.
pub trait Source {
    /// The `len` bytes from `at` on, all of which exist.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] when the store does not give them.
    fn read(&self, at: usize, len: usize) -> Result<&[u8], StoreError>;

    /// The same bytes, if all of them have been brought already.
    fn peek(&self, at: usize, len: usize) -> Option<&[u8]>;

    /// Says that bytes will be read soon, so that the store may begin to bring them.
    fn expect(&self, at: usize, len: usize) {
        let _ = (at, len);
    }

    /// How many bytes there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A range of bytes.
#[derive(Clone, Copy)]
pub enum Bytes<'a> {
    /// In memory.
    Here(&'a [u8]),
    /// `len` bytes of a source, from `start` on.
    Stored {
        /// The source.
        source: &'a dyn Source,
        /// Where in it the range begins.
        start: usize,
        /// Length of the range.
        len: usize,
    },
}

impl<'a> Bytes<'a> {
    /// All bytes of a source.
    pub fn stored(source: &'a dyn Source) -> Self {
        Self::Stored { source, start: 0, len: source.len() }
    }

    /// Length of the range.
    pub fn len(&self) -> usize {
        match self {
            Self::Here(bytes) => bytes.len(),
            Self::Stored { len, .. } => *len,
        }
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The `len` bytes from `at` on; `what` names the structure in errors.
    ///
    /// # Errors
    /// [`StoreError::Truncated`] when the range ends before, those of [`Source::read`].
    #[inline]
    pub fn get(&self, what: &'static str, at: usize, len: usize) -> Result<&'a [u8], StoreError> {
        let end = at.saturating_add(len);
        match self {
            Self::Here(bytes) => bytes.get(at..end).ok_or(StoreError::Truncated { what, at: end }),
            Self::Stored { source, start, len: all } if end <= *all => source.read(start + at, len),
            Self::Stored { .. } => Err(StoreError::Truncated { what, at: end }),
        }
    }

    /// The same bytes, if they are in memory.
    #[inline]
    pub fn peek(&self, at: usize, len: usize) -> Option<&'a [u8]> {
        match self {
            Self::Here(bytes) => bytes.get(at..at.checked_add(len)?),
            Self::Stored { source, start, len: all } if at.checked_add(len)? <= *all => source.peek(start + at, len),
            Self::Stored { .. } => None,
        }
    }

    /// Says that bytes will be read soon.
    #[inline]
    pub fn expect(&self, at: usize, len: usize) {
        if let Self::Stored { source, start, len: all } = self
            && at.saturating_add(len) <= *all
        {
            source.expect(start + at, len);
        }
    }

    /// The range of `len` bytes from `at` on, without reading it.
    ///
    /// # Errors
    /// [`StoreError::Truncated`] when the range ends before.
    pub fn part(&self, what: &'static str, at: usize, len: usize) -> Result<Self, StoreError> {
        let end = at.saturating_add(len);
        if end > self.len() {
            return Err(StoreError::Truncated { what, at: end });
        }
        Ok(match self {
            Self::Here(bytes) => Self::Here(&bytes[at..end]),
            Self::Stored { source, start, .. } => Self::Stored { source: *source, start: start + at, len },
        })
    }

    /// Every byte.
    ///
    /// # Errors
    /// Those of [`Source::read`].
    pub fn all(&self) -> Result<&'a [u8], StoreError> {
        match self {
            Self::Here(bytes) => Ok(bytes),
            Self::Stored { source, start, len } => source.read(*start, *len),
        }
    }
}

impl fmt::Debug for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

impl<'a> From<&'a [u8]> for Bytes<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Here(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Bytes<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Here(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Bytes<'a> {
    fn from(bytes: &'a [u8; N]) -> Self {
        Self::Here(bytes)
    }
}
