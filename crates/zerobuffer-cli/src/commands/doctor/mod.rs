//! `zerobuffer doctor`: what is wrong with this machine for streams, in plain words, each with the
//! remedy.
//!
//! The facts of a system are read below a root folder, so tests can make a machine of files.

mod finding;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod logind;
#[cfg(all(unix, not(target_os = "linux")))]
mod other_unix;
mod shared;
#[cfg(all(test, target_os = "linux"))]
mod tests;

use serde::Serialize;

use finding::{Finding, Level};

use crate::exit::Exit;
use crate::fail::Fail;
use crate::{output, say, size, text};

const AFTER: &str = "\
A problem keeps such a buffer from being made. A warning does not, but will be met some day.
Exit code 0: no problem. Exit code 12: at least one. --json prints the same for programs.";

/// Say what is wrong with this machine for streams, each with the remedy; it changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// The ring that has to fit. For several streams at a time give the sum of their rings.
    #[arg(long, value_name = "BYTES", default_value = "32MiB", value_parser = size::parse_positive)]
    ring: u64,
    /// Print JSON: an object with the list of findings.
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    system: &'static str,
    ring_bytes: u64,
    problems: usize,
    warnings: usize,
    findings: &'a [Finding],
}

pub(crate) fn run(args: &Args) -> Result<(), Fail> {
    let mut findings = system(args.ring);
    findings.push(shared::leftovers());
    findings.extend(shared::leftovers_of_others());
    findings.push(shared::trial());
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (problems, warnings) = (count(Level::Problem), count(Level::Warning));
    if args.json {
        let system = std::env::consts::OS;
        let report = Report { system, ring_bytes: args.ring, problems, warnings, findings: &findings };
        output::print_json(&report)?;
    } else {
        output::print(&page(&findings))?;
    }
    match findings.iter().find(|finding| finding.level == Level::Problem) {
        None => {
            let counted = if warnings == 1 { "1 warning".to_owned() } else { format!("{warnings} warnings") };
            // Windows tells nothing about room, so only the trial speaks there.
            let fits = if cfg!(windows) {
                String::new()
            } else {
                format!("; a ring of {} fits", size::human(args.ring))
            };
            say::note(&format!("no problem, {counted}{fits}"));
            Ok(())
        }
        Some(first) => {
            let more = if problems > 1 { format!(" (and {} more)", problems - 1) } else { String::new() };
            Err(Fail::new(Exit::Unfit, format!("{}{more}", first.found)))
        }
    }
}

/// What is particular to a system.
#[cfg(target_os = "linux")]
fn system(ring: u64) -> Vec<Finding> {
    linux::Machine::own().findings(ring)
}

#[cfg(all(unix, not(target_os = "linux")))]
fn system(ring: u64) -> Vec<Finding> {
    other_unix::findings(ring)
}

/// Windows has no folder of shared memory and no such limits: the trial says it all.
#[cfg(windows)]
fn system(_: u64) -> Vec<Finding> {
    Vec::new()
}

/// A line for each finding, and one for its remedy.
fn page(findings: &[Finding]) -> String {
    let mut page = String::new();
    for finding in findings {
        let level = finding.level.word();
        page.push_str(&text::one_line(&format!("{level:<9}{:<15}{}", finding.about, finding.found)));
        page.push('\n');
        for remedy in &finding.remedies {
            page.push_str(&text::one_line(&format!("{:<24}remedy: {remedy}", "")));
            page.push('\n');
        }
    }
    page
}
