//! Functions that take an optional set of ids.

/// Two SQL functions of one name: over all ids of an index, and limited to the ids of a set. `$bytes` and `$filter` stand for the bytes of the
/// index and of the set in `$body`, which gives a `Result<$result, CdpError>`.
macro_rules! overloads {
    ($(#[$doc:meta])* $name:ident, $filtered:ident, $sql:tt, |$bytes:ident, $filter:ident $(, $argument:ident: $type:ty)*| -> $result:ty => $body:expr) => {
        $(#[$doc])*
        #[pg_extern(immutable, strict, parallel_safe)]
        fn $name(bsi: BsiBytes<'_> $(, $argument: $type)*) -> Result<$result, ErrorReport> {
            let compute = |$bytes: &[u8], $filter: Option<&[u8]>| -> Result<$result, CdpError> { $body };
            Ok(compute(bsi.bytes(), None)?)
        }

        /// The same, of the ids in a set.
        #[pg_extern(immutable, strict, parallel_safe, name = $sql)]
        fn $filtered(bsi: BsiBytes<'_> $(, $argument: $type)*, filter: BitmapBytes<'_>) -> Result<$result, ErrorReport> {
            let compute = |$bytes: &[u8], $filter: Option<&[u8]>| -> Result<$result, CdpError> { $body };
            Ok(compute(bsi.bytes(), Some(filter.bytes()))?)
        }
    };
}

pub(super) use overloads;
