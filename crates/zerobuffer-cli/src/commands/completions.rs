//! `zerobuffer completions`: shell completion scripts.
use clap::CommandFactory as _;

use crate::cli::PublicCli;
use crate::fail::Fail;
use crate::output;

/// Print a completion script, for instance: zerobuffer completions bash >
/// /etc/bash_completion.d/zerobuffer
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell to complete for.
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    // Into memory first: the generator panics when its output goes away.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut PublicCli::command(), "zerobuffer", &mut script);
    output::print(&String::from_utf8_lossy(&script))
}
