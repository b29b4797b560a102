//! Bit-sliced indexes from outside: the gate, and every reader of what it lets through.
#![no_main]

#[path = "../../src/core/tests/common/checks.rs"]
#[allow(dead_code)]
mod checks;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    checks::bsi(bytes);
});
