//! The binary of the `zerobuffer` command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use zerobuffer_cli::{Host, run};

fn main() -> ExitCode {
    ExitCode::from(run(Host::own(), std::env::args_os()))
}
