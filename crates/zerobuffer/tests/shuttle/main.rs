//! Shuttle runs random schedules of whole endpoints: waiting, closing, dying at any crash point,
//! coming again.
//!
//! `cargo xtask loom` builds and runs it. Every schedule follows from its seed alone, which is
//! printed when it fails. `--seed N` repeats it. `--seconds N` runs as many as there is time for,
//! from a random seed or from `--from N`.

#[cfg(shuttle)]
mod futures;
#[cfg(shuttle)]
#[path = "../oracle/mod.rs"]
mod oracle;
#[cfg(shuttle)]
mod random;
#[cfg(shuttle)]
mod readers;
#[cfg(shuttle)]
mod runs;
#[cfg(shuttle)]
mod writers;

#[cfg(shuttle)]
fn main() -> std::process::ExitCode {
    runs::main()
}

#[cfg(not(shuttle))]
fn main() {
    println!("shuttle's schedules are in a build of their own: cargo xtask loom");
}
