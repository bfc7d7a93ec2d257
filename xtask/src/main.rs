//! The project's own commands: `cargo xtask COMMAND`.
//!
//! A command is one file with one [`Command`] constant; naming it in [`COMMANDS`] is all it takes
//! to add one.

mod address;
mod attacks;
mod bench;
mod beside;
mod c_abi;
mod c_dist;
mod crashpoints;
mod cross;
mod csharp;
mod debian_rust;
mod docs;
mod env;
mod fuzz;
mod imports;
mod install;
mod instructions;
mod loom;
mod macos;
mod model;
mod processes;
mod project;
mod prose;
mod python;
mod sanitizer;
mod test;
mod tools;
mod torture;
mod wheels;
mod windows;

use std::process::ExitCode;

use pico_args::Arguments;
use project::Project;

/// One subcommand.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// What follows the name on the command line, for the help text.
    pub(crate) arguments: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) run: fn(&Project, Arguments) -> anyhow::Result<()>,
}

const COMMANDS: &[Command] = &[
    test::COMMAND,
    prose::COMMAND,
    docs::COMMAND,
    model::COMMAND,
    attacks::COMMAND,
    crashpoints::COMMAND,
    torture::COMMAND,
    beside::COMMAND,
    fuzz::COMMAND,
    macos::COMMAND,
    cross::COMMAND,
    wheels::COMMAND,
    c_dist::COMMAND,
    address::COMMAND,
    windows::COMMAND,
    loom::COMMAND,
    bench::COMMAND,
    instructions::COMMAND,
    env::COMMAND,
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_env();
    let name = match arguments.subcommand() {
        Ok(Some(name)) => name,
        Ok(None) if arguments.contains(["-h", "--help"]) => {
            print!("{}", help());
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{}", help());
            return ExitCode::from(2);
        }
    };
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        eprintln!("xtask: no command `{name}`\n\n{}", help());
        return ExitCode::from(2);
    };
    let result = Project::locate().and_then(|project| (command.run)(&project, arguments));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {name}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn help() -> String {
    let line = |command: &Command| {
        let usage = format!("{} {}", command.name, command.arguments);
        format!("  {usage:<28} {}", command.summary)
    };
    let lines: Vec<String> = COMMANDS.iter().map(line).collect();
    format!("Usage: cargo xtask COMMAND\n\nCommands:\n{}\n", lines.join("\n"))
}
