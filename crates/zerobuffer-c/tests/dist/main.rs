//! Programs in C and C++ that are built with the library as distributions take it. They run alone,
//! under valgrind and under the sanitizers. They also are one end of a stream whose other end is
//! Rust, the command, C# or Python.
//!
//! `cargo xtask test c` runs these; without `ZEROBUFFER_C_DIST` they are skipped.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "in tests alone")]

mod build;
mod consumers;
mod pages;
mod pairs;
mod process;
