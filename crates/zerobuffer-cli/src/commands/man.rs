//! `zerobuffer man`: manual pages, made from the help, for packages.
use std::path::PathBuf;

use clap::CommandFactory as _;

use crate::cli::PublicCli;
use crate::fail::Fail;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder, which must exist.
    folder: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let command = PublicCli::command().disable_help_subcommand(true);
    clap_mangen::generate_to(command, &args.folder).map_err(|error| {
        Fail::io(format_args!("cannot write manual pages into {}", args.folder.display()), &error)
    })
}
