//! The `zerobuffer` command.
#![cfg_attr(not(windows), forbid(unsafe_code))]
#![cfg_attr(windows, deny(unsafe_code))]
// These macros panic when the other end of the stream is gone; `say` and `output::print` do not.
#![deny(clippy::print_stdout, clippy::print_stderr)]
// Doc comments on options are what `--help` prints: names stand there as people write them.
#![allow(clippy::doc_markdown)]

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

use std::process::ExitCode;

use zerobuffer_video::y4m;

use crate::exit::Exit;

fn main() -> ExitCode {
    // A defect must not show a backtrace in the middle of someone's pipeline; the location is what
    // a report needs.
    std::panic::set_hook(Box::new(|info| say::error(&format!("internal error, please report it: {info}"))));
    match std::panic::catch_unwind(cli::run) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(fail)) => {
            if let Some(line) = fail.line() {
                say::error(&line);
            }
            signals::leave(fail.exit)
        }
        Err(_) => ExitCode::from(Exit::Internal.code()),
    }
}
