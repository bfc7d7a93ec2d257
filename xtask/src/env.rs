//! `cargo xtask env`: the environment of the tests, for running some of them by hand.

use anyhow::{Result, bail};
use pico_args::Arguments;

use crate::project::Project;
use crate::{Command, install};

pub(crate) const COMMAND: Command = Command {
    name: "env",
    arguments: "",
    summary: "install what the tests need and print its variables: eval \"$(cargo xtask env)\"",
    run,
};

fn run(project: &Project, arguments: Arguments) -> Result<()> {
    let rest = arguments.finish();
    if !rest.is_empty() {
        bail!("takes no arguments, got {rest:?}");
    }
    for (name, value) in install::test_environment(project)? {
        println!("export {name}='{}'", value.display());
    }
    Ok(())
}
