//! The `zerobuffer` command, for its own binary and for the Python package, which brings it along.
#![cfg_attr(not(windows), forbid(unsafe_code))]
#![cfg_attr(windows, deny(unsafe_code))]
// These macros panic when the other end of the stream is gone; `say` and `output::print` do not.
#![deny(clippy::print_stdout, clippy::print_stderr)]
// Doc comments on options are what `--help` prints: names stand there as people write them.
#![allow(clippy::doc_markdown)]

mod again;
mod caps;
mod cli;
mod commands;
mod exit;
mod fail;
mod input;
mod join;
mod os;
mod output;
mod rate;
mod say;
mod signals;
mod size;
mod source;
mod status;
mod summary;
mod text;
mod time;
mod watched;

use std::ffi::OsString;
use std::panic;

use log::{LevelFilter, Log};
use zerobuffer_video::y4m;

use crate::exit::Exit;

/// The program that a run of the command is part of.
#[derive(Debug)]
pub struct Host {
    /// The words that start the command once more: some commands have two processes.
    pub again: Vec<OsString>,
    /// Takes the logger of the command, and the most that it prints.
    pub log: fn(Box<dyn Log>, LevelFilter),
}

impl Host {
    /// A program that is this command and nothing else.
    #[must_use]
    pub fn own() -> Self {
        Self { again: Vec::new(), log: become_logger }
    }
}

fn become_logger(logger: Box<dyn Log>, level: LevelFilter) {
    // There is one only if this is run a second time.
    if log::set_boxed_logger(logger).is_ok() {
        log::set_max_level(level);
    }
}

/// Runs the command line `arguments`, of which the first is the command's own name; the exit code.
///
/// A process runs it once, and ends then: signals are taken, and the panic hook is replaced. A run
/// that a signal ends does not return, since the process ends by that signal.
pub fn run(host: Host, arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let Host { again, log } = host;
    again::set(again);
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // A defect must not show a backtrace in the middle of someone's pipeline; the location is what
    // a report needs.
    panic::set_hook(Box::new(|info| say::error(&format!("internal error, please report it: {info}"))));
    match panic::catch_unwind(|| cli::run(&arguments, log)) {
        Ok(Ok(())) => 0,
        Ok(Err(fail)) => {
            if let Some(line) = fail.line() {
                match fail.exit {
                    // What a person asked for is no error.
                    Exit::Signal(_) => say::note(&line),
                    _ => say::error(&line),
                }
            }
            signals::leave(fail.exit)
        }
        Err(_) => Exit::Internal.code(),
    }
}
