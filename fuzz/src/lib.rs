//! The fuzz targets as plain functions over bytes: the fuzzer and the ordinary tests run the same
//! code.
//!
//! `cargo xtask fuzz` builds `fuzz_targets/` around libFuzzer; `tests/corpus.rs` replays `corpus/`
//! without it.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a target that meets the unexpected panics"
)]

mod caps;
#[path = "../../crates/zerobuffer/tests/damage/mod.rs"]
mod damage;
mod duplex;
mod forms;
mod fresh;
mod hostile;
mod names;
#[path = "../../crates/zerobuffer/tests/oracle/mod.rs"]
mod oracle;
mod ring;
mod script;
mod stamp;
mod y4m;

/// A target: what is done with the bytes that a fuzzer or a corpus file has.
pub type Target = fn(&[u8]);

/// Every target by the name of its program and of its folder in `corpus/`.
pub const TARGETS: [(&str, Target); 8] = [
    ("ring", ring::run),
    ("forms", forms::run),
    ("hostile", hostile::run),
    ("duplex", duplex::run),
    ("names", names::run),
    ("caps", caps::run),
    ("y4m", y4m::run),
    ("stamp", stamp::run),
];

/// Runs one target once.
///
/// # Panics
///
/// If there is no such target, or what the target checks does not hold.
pub fn run(target: &str, data: &[u8]) {
    let found = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, function) = found.unwrap_or_else(|| panic!("no target is called {target}"));
    function(data);
}
