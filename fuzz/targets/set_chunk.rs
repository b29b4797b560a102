//! Set chunks, and programs over chunks of both encodings.
#![no_main]

#[path = "../../src/core/tests/common/checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    checks::set_chunk(bytes);
    checks::program(bytes);
});
