//! `zerobuffer-bridge`: streams between machines, on Zenoh.
#![forbid(unsafe_code)]
// These macros panic when the other end of the stream is gone.
#![deny(clippy::print_stdout, clippy::print_stderr)]
// Doc comments on options are what `--help` prints.
#![allow(clippy::doc_markdown)]

mod clock;
mod engine;
mod fail;
mod fill;
mod hub;
mod keys;
mod ls;
mod offer;
mod path;
mod reach;
mod recv;
mod say;
mod send;
// The rule for sizes is the command's.
#[path = "../../zerobuffer-cli/src/size.rs"]
#[allow(clippy::pedantic, clippy::unwrap_used)]
mod size;
mod source;
mod stop;
mod threads;
mod time;
mod wire;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::fail::Fail;
use crate::stop::Stop;

/// Carries streams and channels between machines, on Zenoh: publishes buffers and fills buffers,
/// offers services and reaches them.
///
/// Without --connect or --listen only bridges of this machine meet.
#[derive(Debug, Parser)]
#[command(name = "zerobuffer-bridge", version, max_term_width = 110)]
struct Cli {
    /// Print no notes on stderr, only warnings and errors.
    #[arg(long, short, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Send(send::Args),
    Recv(recv::Args),
    Offer(offer::Args),
    Reach(reach::Args),
    Ls(ls::Args),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // A closed output must not end in a panic.
            let _ = error.print();
            return ExitCode::from(if is_help { 0 } else { 2 });
        }
    };
    say::set_quiet(cli.quiet);
    match run(&cli.command) {
        Ok(code) => ExitCode::from(code),
        Err(fail) => {
            say::error(&fail.to_string());
            ExitCode::from(fail.code)
        }
    }
}

fn run(command: &Command) -> Result<u8, Fail> {
    let stop = Stop::at_signals()?;
    match command {
        Command::Send(args) => send::run(args, &stop)?,
        Command::Recv(args) => recv::run(args, &stop)?,
        Command::Offer(args) => offer::run(args, &stop)?,
        Command::Reach(args) => reach::run(args, &stop)?,
        Command::Ls(args) => return ls::run(args, &stop).map(|()| 0),
    }
    Ok(stop.code())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
