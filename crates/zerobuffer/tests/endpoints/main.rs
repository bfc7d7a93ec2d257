//! Endpoints as their users have them: most of what is promised of readers, writers and observers,
//! most of it across processes. One program: a dozen would be linked a dozen times.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected panics"
)]

#[path = "../common/mod.rs"]
mod common;
mod errors;
#[cfg(all(target_os = "linux", not(macos_sys)))]
mod foreign_hands;
#[cfg(target_os = "linux")]
mod forms;
mod golden;
#[cfg(target_os = "linux")]
mod identity;
#[cfg(target_os = "linux")]
mod interop;
#[cfg(target_os = "linux")]
mod interop_ends;
mod lifecycle;
mod metadata;
#[cfg(target_os = "linux")]
mod planted;
mod room;
mod streams;
mod tap;
mod waiting;
