//! `zerobuffer bridge`: streams between machines, by a program of its own.
use std::ffi::OsString;
use std::io;
use std::process::Command;

use crate::exit::Exit;
use crate::fail::Fail;
use crate::{os, say};

/// What does it: the engine between machines is large, and most people do not need it.
const PROGRAM: &str = "zerobuffer-bridge";

/// Carry streams and channels between machines, on Zenoh: `send`, `recv`, `offer`, `reach`, `ls`.
///
/// A program of its own does it, zerobuffer-bridge, which has to be in the PATH.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// send, recv, offer, reach or ls, and its options; --help explains them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// Becomes the program; why that cannot be, or how it has ended.
pub(crate) fn run(args: &Args) -> Fail {
    let mut command = Command::new(PROGRAM);
    if say::is_quiet() {
        command.arg("--quiet");
    }
    let error = match os::become_program(command.args(&args.arguments)) {
        Ok(status) => return Fail::quiet(Exit::of_status(status)),
        Err(error) => error,
    };
    if error.kind() == io::ErrorKind::NotFound {
        let install = "it comes with the sources of ZeroBuffer: `cargo install --locked --path crates/zerobuffer-bridge` puts it there";
        return Fail::new(Exit::Failure, format!("the program {PROGRAM} is not in the PATH; {install}"));
    }
    Fail::io(format!("cannot start {PROGRAM}"), &error)
}
