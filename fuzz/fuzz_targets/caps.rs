//! The target `caps` around libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| zerobuffer_fuzz::run("caps", data));
