//! One run: spin writes a verifier in C, the compiler builds it, its report is the verdict.

use std::fmt;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::table::{Expected, Row};
use crate::project::{Project, capture};
use crate::tools;

/// Many times what the longest run takes on two busy cores.
const LIMIT: Duration = Duration::from_mins(10);

/// Deeper than any run goes; a search that is cut off is no verdict.
const DEPTH: &str = "-m1000000";

pub(super) enum Verdict {
    /// No violation in the whole state space.
    Holds { states: u64 },
    /// The first violation found.
    Rejected { message: String },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds { states } => write!(f, "holds, {states} states"),
            Self::Rejected { message } => write!(f, "rejected: {message}"),
        }
    }
}

/// Searches the model of the row in a folder of its own, which keeps the trace.
pub(super) fn check(project: &Project, row: &Row) -> Result<Verdict> {
    let folder = project.cache.join("models").join(&row.name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let in_folder = |program: &str| {
        let mut command = project.command(program);
        command.current_dir(&folder);
        command
    };
    let model = project.root.join("models").join(&row.file);
    capture(in_folder(tools::SPIN.name).arg("-a").args(row.definitions()).arg(&model))?;
    // COLLAPSE compresses states without loss; MEMLIM, in MB, ends a search that outgrows the
    // machine.
    let mut compile = in_folder(tools::C_COMPILER.name);
    // A rejected variant ends after a moment: compiling is what takes time there.
    let effort = if row.expected == Expected::Holds { "-O2" } else { "-O0" };
    compile.args([effort, "-w", "-DCOLLAPSE", "-DVECTORSZ=2048", "-DMEMLIM=3000"]);
    compile.args(if row.ends { &["-DNP"][..] } else { &["-DSAFETY", "-DNOFAIR"] });
    capture(compile.args(["-o", "pan", "pan.c"]))?;
    let mut search = in_folder("./pan");
    search.args([DEPTH, "-w22"]).args(if row.ends { &["-l", "-f"][..] } else { &[] });
    let report = run_to_file(search, &folder.join("report.txt"))?;
    verdict(&report).with_context(|| format!("the report in {}", folder.display()))
}

/// Runs the search with its output in a file, and ends it after [`LIMIT`].
fn run_to_file(mut search: Command, path: &Path) -> Result<String> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    search.stderr(file.try_clone()?).stdout(file);
    let mut child = search.spawn().context("cannot start the verifier that was just built")?;
    let deadline = Instant::now() + LIMIT;
    while child.try_wait()?.is_none() {
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            bail!("the search still ran after {} s and was ended", LIMIT.as_secs());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn verdict(report: &str) -> Result<Verdict> {
    let line = |part: &str| report.lines().find(|line| line.contains(part));
    if let Some(cut) = line("max search depth too small").or_else(|| line("out of memory")) {
        bail!("the search is not complete: {cut}");
    }
    if let Some(found) = report.lines().find_map(|line| line.strip_prefix("pan:1: ")) {
        let message = found.split(" (at depth").next().unwrap_or(found);
        return Ok(Verdict::Rejected { message: message.to_owned() });
    }
    if line("Search not completed").is_some() || line("errors: 0").is_none() {
        bail!("shows no completed search:\n{}", report.trim());
    }
    let states = line("states, stored")
        .and_then(|line| line.split_whitespace().next())
        .and_then(|number| number.parse::<f64>().ok())
        .context("does not say how many states there are")?;
    // A count of states: far below 2^53, never negative.
    #[expect(clippy::cast_sign_loss)]
    Ok(Verdict::Holds { states: states as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complete_search_without_errors_holds() {
        let report = "State-vector 104 byte, depth reached 347, errors: 0\n 5.025e+07 states, stored\n";
        assert!(matches!(verdict(report), Ok(Verdict::Holds { states: 50_250_000 })));
    }

    #[test]
    fn a_violation_is_reported_in_spins_words() {
        let report = "pan:1: invalid end state (at depth 124)\nWarning: Search not completed\n errors: 1\n";
        let Ok(Verdict::Rejected { message }) = verdict(report) else { panic!("not rejected") };
        assert_eq!(message, "invalid end state");
    }

    #[test]
    fn a_search_that_was_cut_off_is_no_verdict() {
        let whole = "errors: 0\n 7 states, stored\n";
        assert!(verdict(whole).is_ok());
        for cut in
            ["error: max search depth too small\n", "pan: out of memory\n", "Warning: Search not completed\n"]
        {
            assert!(verdict(&format!("{cut}{whole}")).is_err(), "{cut}");
        }
        assert!(verdict("").is_err());
    }
}
