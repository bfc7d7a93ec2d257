//! The target `forms` around libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| zerobuffer_fuzz::run("forms", data));
