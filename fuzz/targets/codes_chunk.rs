//! Codes chunks.
#![no_main]

#[path = "../../src/core/tests/common/checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    checks::codes_chunk(bytes);
});
