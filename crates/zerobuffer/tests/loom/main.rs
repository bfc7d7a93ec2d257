//! Loom explores every execution of two threads on a tiny ring that the memory model allows. There
//! is one case per happens-before edge of DESIGN.md. It holds as it ships, and fails when either
//! end of its edge is weakened to `Relaxed`.
//!
//! `cargo xtask loom` builds and runs it; `CASE` or `CASE weaken END` as arguments repeat one run
//! in this process.

#[cfg(loom)]
mod edges;
#[cfg(loom)]
mod futures;
#[cfg(loom)]
mod large;
#[cfg(loom)]
mod legacy;
#[cfg(loom)]
#[path = "../oracle/mod.rs"]
mod oracle;
#[cfg(loom)]
mod runs;
#[cfg(loom)]
mod streams;

#[cfg(loom)]
fn main() -> std::process::ExitCode {
    runs::main()
}

#[cfg(not(loom))]
fn main() {
    println!("loom's cases are in a build of their own: cargo xtask loom");
}
