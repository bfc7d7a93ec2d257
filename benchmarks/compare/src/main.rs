//! ZeroBuffer beside its peers: `cargo xtask bench` builds and runs this.
//!
//! One program is all of it. `run` is the supervisor, which starts two processes for each
//! measurement. `end` is a Rust end of each system. `report` turns results into tables and plots.

mod case;
mod clock;
mod ends;
mod machine;
mod report;
mod run;

use std::process::ExitCode;

use anyhow::{Result, bail};
use pico_args::Arguments;

const HELP: &str = "\
Usage: cargo xtask bench [OPTIONS]

Measures ZeroBuffer beside its peers: two processes each, all systems in turn, round by round.

  --quick           three sizes, three short rounds, nothing that takes long
  --only PATTERN    KIND/SIZE/SYSTEM, each a list with commas, each word exact or with a star at its end;
                    what is missing matches all; may be repeated. `stream/64/ours,iceoryx2,floor`
  --runs N          rounds [5; 3 with --quick]
  --seconds S       measured in each run [0.5 at full speed, 2 paced]
  --touch WHAT      what receivers read: head (8 bytes), lines (of each cache line) or all [lines]
  --pin             each end on a processor of its own; by default the system places them
  --record          add to benchmarks/record/DATE-MACHINE; a full run always does
  --into FOLDER     the same, into another folder
  --report FOLDER   only write the tables and plots of that record again

Kinds: stream, loan (full speed, one way), trip (saturated), paced (1,000 a second), fps (60 a second), start.
Sizes: 64, 4k, 64k, 1m, 1080p.
";

fn main() -> ExitCode {
    match dispatch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch() -> Result<()> {
    let mut arguments = Arguments::from_env();
    match arguments.subcommand()?.as_deref() {
        Some("run") => run::run(arguments),
        Some("environments") => run::environments(arguments),
        Some("end") => ends::run(arguments),
        Some("help") => {
            println!(
                "{HELP}Systems: {}.",
                case::SYSTEMS.iter().map(|system| system.name).collect::<Vec<_>>().join(", ")
            );
            Ok(())
        }
        _ => bail!("{HELP}"),
    }
}
