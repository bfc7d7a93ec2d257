//! `cargo xtask beside`: runs a command while another program makes, fills and removes buffers all
//! the time, is killed, and takes the lock of `/dev/shm`.

use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use pico_args::Arguments;

use crate::project::{Project, run as run_command};
use crate::{Command, torture};

pub(crate) const COMMAND: Command = Command {
    name: "beside",
    arguments: "COMMAND...",
    summary: "run a command, as `cargo xtask test`, while another program makes and removes buffers",
    run,
};

fn run(project: &Project, arguments: Arguments) -> Result<()> {
    let words = arguments.finish();
    let (program, rest) = words.split_first().context("which command?")?;
    // A copy: the command may build the program anew.
    let built = torture::build(project)?;
    let copy = project.cache.join(format!("beside-{}", std::process::id()));
    std::fs::create_dir_all(&project.cache)?;
    std::fs::copy(built.get_program(), &copy)?;
    let neighbour = project.command(&copy).arg("beside").stdin(Stdio::piped()).spawn();
    let ran = neighbour.context("cannot start the neighbour").and_then(|mut neighbour| {
        let ran = run_command(project.command(program).args(rest));
        let ended_before = neighbour.try_wait()?.is_some();
        // The end of its input is its end.
        drop(neighbour.stdin.take());
        let status = neighbour.wait()?;
        ran?;
        if ended_before || !status.success() {
            bail!("the program beside it has failed: {status}");
        }
        Ok(())
    });
    std::fs::remove_file(copy)?;
    ran
}
