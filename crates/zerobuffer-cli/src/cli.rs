//! The command line: global options, the list of commands, and the way from arguments to a command.
//!
//! Each command has its options and its code in one file below `commands/`. A new one is a file
//! there and a line in `Command` and `dispatch` here.
use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{ArgAction, Parser, Subcommand};
use log::{LevelFilter, Log};

use crate::commands::{
    bench, bridge, call, clean, completions, demo, doctor, inspect, ls, man, metrics, record, recv, replay,
    send, serve, tee, top, view,
};
use crate::exit::{self, Exit};
use crate::fail::Fail;
use crate::{output, say, signals};

const ABOUT: &str =
    "Streams frames between processes through shared memory, without copies and without sockets.";

#[derive(Debug, Parser)]
#[command(name = "zerobuffer", version, about = ABOUT, after_help = exit::help(), max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: Command,
}

/// The same without what people have no use for: completions and manual pages are made from it.
#[derive(Debug, Parser)]
#[command(name = "zerobuffer", version, about = ABOUT, after_help = exit::help(), max_term_width = 110)]
pub(crate) struct PublicCli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    command: PublicCommand,
}

/// What is the same for all commands.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Options {
    /// Print no notes on stderr, only errors.
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print on stderr what the library reports, too: endpoints that come and go. Twice: everything
    /// it logs.
    #[arg(long, short, global = true, action = ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Public(PublicCommand),
    /// Write the manual pages, zerobuffer.1 and one for each command, into a folder.
    #[command(hide = true)]
    Man(man::Args),
    /// The writing process of `demo`.
    #[command(hide = true)]
    DemoWriter(demo::writer::Args),
    /// The reading process of `demo`.
    #[command(hide = true)]
    DemoReader(demo::reader::Args),
    /// The other process of `bench`.
    #[command(hide = true)]
    BenchPeer(bench::peer::Args),
}

#[derive(Debug, Subcommand)]
enum PublicCommand {
    Demo(demo::Args),
    Bench(bench::Args),
    Send(send::Args),
    Recv(recv::Args),
    Record(record::Args),
    Replay(replay::Args),
    Tee(tee::Args),
    Serve(serve::Args),
    Call(call::Args),
    Bridge(bridge::Args),
    Ls(ls::Args),
    Top(top::Args),
    View(view::Args),
    Inspect(inspect::Args),
    Clean(clean::Args),
    Doctor(doctor::Args),
    Metrics(metrics::Args),
    Completions(completions::Args),
}

/// Parses the arguments and runs the command.
pub(crate) fn run(arguments: &[OsString], log: fn(Box<dyn Log>, LevelFilter)) -> Result<(), Fail> {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return explain(&error),
    };
    say::set_quiet(cli.options.quiet);
    let logger = stderr_logger(cli.options.verbose);
    let level = logger.filter();
    log(Box::new(logger), level);
    match cli.command {
        Command::Public(command) => dispatch(command),
        Command::Man(args) => man::run(&args),
        Command::DemoWriter(args) => as_child(|| demo::writer::run(&args)),
        Command::DemoReader(args) => as_child(|| demo::reader::run(&args)),
        Command::BenchPeer(args) => as_child(|| bench::peer::run(&args)),
    }
}

fn dispatch(command: PublicCommand) -> Result<(), Fail> {
    match command {
        PublicCommand::Demo(args) => with_signals(|| demo::run(&args)),
        PublicCommand::Bench(args) => with_signals(|| bench::run(&args)),
        PublicCommand::Send(args) => with_signals(|| send::run(&args)),
        PublicCommand::Recv(args) => with_signals(|| recv::run(&args)),
        PublicCommand::Record(args) => with_signals(|| record::run(&args)),
        PublicCommand::Replay(args) => with_signals(|| replay::run(&args)),
        PublicCommand::Tee(args) => with_signals(|| tee::run(&args)),
        PublicCommand::Serve(args) => with_signals(|| serve::run(&args)),
        PublicCommand::Call(args) => with_signals(|| call::run(&args)),
        PublicCommand::Bridge(args) => Err(bridge::run(&args)),
        PublicCommand::Ls(args) => with_signals(|| ls::run(&args)),
        PublicCommand::Top(args) => with_signals(|| top::run(&args)),
        PublicCommand::View(args) => with_signals(|| view::run(&args)),
        PublicCommand::Metrics(args) => with_signals(|| metrics::run(&args)),
        PublicCommand::Inspect(args) => inspect::run(&args),
        PublicCommand::Clean(args) => clean::run(&args),
        PublicCommand::Doctor(args) => doctor::run(&args),
        PublicCommand::Completions(args) => completions::run(&args),
    }
}

/// Commands that hold an endpoint close it in good order on Ctrl-C; the others simply end.
fn with_signals(command: impl FnOnce() -> Result<(), Fail>) -> Result<(), Fail> {
    signals::install()?;
    command()
}

/// The other process of `demo` or `bench`, which ends with the one that started it.
fn as_child(command: impl FnOnce() -> Result<(), Fail>) -> Result<(), Fail> {
    signals::install()?;
    signals::follow_parent()?;
    command()
}

/// Prints help and version as they are; everything else becomes one line.
fn explain(error: &clap::Error) -> Result<(), Fail> {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => output::print(&error.render().to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            Err(Fail::new(Exit::Usage, "no command given; `zerobuffer --help` lists them"))
        }
        _ => Err(Fail::new(Exit::Usage, condense(&error.render().to_string()))),
    }
}

/// clap's explanation without its usage block, joined to one line.
fn condense(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect();
    let joined = lines.join(" ");
    let message = joined.strip_prefix("error: ").unwrap_or(&joined);
    format!("{message}; `zerobuffer --help` explains the options")
}

/// Prints the library's warnings, with `--verbose` more, and with `ZEROBUFFER_LOG=debug` all that
/// it logs.
fn stderr_logger(verbose: u8) -> env_logger::Logger {
    let level = match verbose {
        0 => LevelFilter::Warn,
        1 => LevelFilter::Info,
        _ => LevelFilter::Debug,
    };
    env_logger::Builder::new()
        .filter_level(level)
        .parse_env("ZEROBUFFER_LOG")
        .format(|_, record| {
            let level = record.level().as_str().to_ascii_lowercase();
            let line = crate::text::one_line(&format!("{level}: {}: {}", record.target(), record.args()));
            say::raw_line(&format!("zerobuffer: {line}"));
            Ok(())
        })
        .build()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn explanations_are_one_line() {
        let text = |args: &[&str]| condense(&Cli::try_parse_from(args).unwrap_err().render().to_string());
        let message = text(&["zerobuffer", "send"]);
        assert_eq!(
            message,
            "the following required arguments were not provided: <NAME>; `zerobuffer --help` explains the options"
        );
        let message = text(&["zerobuffer", "send", "x", "--size", "big"]);
        assert!(message.starts_with("invalid value 'big' for '--size <BYTES>': "), "{message}");
        assert!(!message.contains('\n'));
    }

    /// The papers' code blocks; `None` in a package, which comes without them.
    fn shell_lines() -> Option<Vec<(String, String)>> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let pages = std::fs::read_dir(root.join("docs")).ok()?.flatten().map(|entry| entry.path());
        let papers = ["README.md", "python/README.md", "crates/zerobuffer-cli/README.md"];
        let mut found = Vec::new();
        for path in pages.chain(papers.map(|paper| root.join(paper))) {
            if path.extension().is_none_or(|kind| kind != "md") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for block in text.split("```").skip(1).step_by(2) {
                let (kind, code) = block.split_once('\n').unwrap_or_default();
                if ["sh", "console", "bash"].contains(&kind) {
                    let name = path.file_name().unwrap().to_string_lossy().into_owned();
                    found.extend(code.lines().map(|line| (name.clone(), line.to_owned())));
                }
            }
        }
        Some(found)
    }

    /// The words of each command of a line, as a shell splits it.
    fn commands_of(line: &str) -> Vec<Vec<String>> {
        let (mut commands, mut words, mut word) = (Vec::new(), Vec::new(), None::<String>);
        let mut quote = None;
        for c in line.chars().chain([';']) {
            match c {
                _ if quote == Some(c) => quote = None,
                '\'' | '"' if quote.is_none() => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                '#' if quote.is_none() && word.is_none() => {
                    return commands.into_iter().chain([words]).collect();
                }
                ' ' | '|' | '&' | ';' if quote.is_none() => {
                    words.extend(word.take());
                    if c != ' ' {
                        commands.push(std::mem::take(&mut words));
                    }
                }
                c => word.get_or_insert_default().push(c),
            }
        }
        commands
    }

    #[test]
    fn every_command_line_of_the_papers_is_one() {
        let Some(lines) = shell_lines() else { return };
        let mut count = 0;
        for (page, line) in &lines {
            for mut words in commands_of(line.strip_prefix("$ ").unwrap_or(line)) {
                if words.first().is_none_or(|word| word != "zerobuffer") {
                    continue;
                }
                // What follows a redirection is the shell's.
                if let Some(at) = words.iter().position(|word| word.starts_with(['>', '<'])) {
                    words.truncate(at);
                }
                count += 1;
                match PublicCli::try_parse_from(&words) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::DisplayHelp => {}
                    Err(error) => panic!("{page}: {line}: {error}"),
                }
            }
        }
        assert!(count > 40, "{count}");
    }

    #[test]
    fn the_page_on_sizes_has_the_default_rings() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sizing.md");
        let Ok(page) = std::fs::read_to_string(page) else { return };
        let mut count = 0;
        for command in PublicCli::command().get_subcommands() {
            for option in command.get_arguments() {
                let long = option.get_long().unwrap_or_default();
                let [default] = option.get_default_values() else { continue };
                if !["ring", "response-size"].contains(&long) || command.get_name() == "doctor" {
                    continue;
                }
                let size = default.to_string_lossy().replace("MiB", " MiB");
                let of = |line: &&str| line.starts_with(&format!("| `zerobuffer {}`", command.get_name()));
                let row = page.lines().find(of).unwrap_or_default();
                let said = format!("| `--{long}` | {size} |");
                assert!(row.contains(&said), "{}: {said} is not in: {row}", command.get_name());
                count += 1;
            }
        }
        assert!(count >= 5, "{count}");
    }

    #[test]
    fn lines_are_split_as_by_a_shell() {
        let words =
            |line| commands_of(line).into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>();
        assert_eq!(words("a 'b c' | d -x=\"y z\" & # e f"), [vec!["a", "b c"], vec!["d", "-x=y z"]]);
        assert_eq!(words("# nothing").len(), 0);
    }
}
