//! Attacks of an ordinary user on root's readers and writers.
//!
//! Each attack runs as a process of user 65534 beside a victim that is root, for a bounded time, on
//! mounts of its own. Against the code as it ships all fail. In a build with
//! `--cfg unguarded="..."` the guard is out, and the attack has to succeed within its bound: that
//! shows that it can. README.md has the rates.

#[cfg(target_os = "linux")]
mod attack;
#[cfg(target_os = "linux")]
mod folders;
#[cfg(target_os = "linux")]
mod foreign;
#[cfg(target_os = "linux")]
mod others;
#[cfg(target_os = "linux")]
mod readers;
#[cfg(target_os = "linux")]
mod squatter;
#[cfg(target_os = "linux")]
mod stage;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    match attack::run(pico_args::Arguments::from_env()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("attacks: {error:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

/// Users, mounts and folders are those of Linux.
#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("attacks: skipped: they are written for Linux");
}
