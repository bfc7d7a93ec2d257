//! `cargo xtask test`: every test of the project, step by step, and what they need on the machine.
//!
//! A step is one function; naming it in [`STEPS`] is all it takes to add one.

mod bridge;
mod c;
mod deny;
mod gstreamer;
mod leftovers;
mod lint;
mod publish;
mod python;
mod rust;
mod ultralytics;
mod viewer;

pub(crate) use python::environment as python_environment;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use pico_args::Arguments;

use crate::project::Project;
use crate::{
    Command, attacks, crashpoints, cross, docs, fuzz, instructions, loom, model, prose, sanitizer, torture,
    windows,
};

pub(crate) const COMMAND: Command = Command {
    name: "test",
    arguments: "[--list] [STEP...]",
    summary: "run all tests, or the named steps",
    run,
};

/// One part of the test run.
struct Step {
    name: &'static str,
    summary: &'static str,
    run: fn(&Project) -> Result<()>,
    /// The step makes buffers: nothing of them may be left on the machine after it.
    makes_buffers: bool,
    /// Why it runs only where it is named.
    apart: Option<&'static str>,
}

/// In the order of running: what is cheap comes first, and check builds come before the test build
/// that reuses their parts.
const STEPS: &[Step] = &[
    Step::new("fmt", "the sources are formatted", lint::fmt),
    Step::new("prose", "papers, comments and docstrings are plain English", prose::check),
    Step::new("docs", "the documentation's site builds; no link, list or word in it is wrong", docs::check),
    Step::new("deny", "licences, sources and bans of all dependencies", deny::check),
    Step::new(
        "clippy",
        "no lint warns, and no modules of the core import each other in a circle",
        lint::clippy,
    ),
    Step::new("rustdoc", "the API documentation builds, no link is dead", lint::rustdoc),
    Step::new(
        "publish",
        "every crate packages, with its papers, and compiles from its package",
        publish::check,
    ),
    Step::new("cross", "macOS and other Linux targets compile and link", cross::quick),
    Step::new("windows", "the library and the command work on Windows, as far as wine is it", windows::quick),
    Step::new("model", "the formal models hold, their known-bad variants do not", model::quick),
    Step::new("loom", "every memory edge as it ships and weakened, and random schedules", loom::short),
    Step::new("rust", "all Rust tests, doctests included", rust::run).makes_buffers(),
    Step::new("crashpoints", "a process may end between any two changes", crashpoints::quick).makes_buffers(),
    Step::new("attacks", "another user's attacks fail, and succeed without the guards", attacks::all),
    Step::new("torture", "45 seconds of random kills lose nothing", torture::short).makes_buffers(),
    Step::new("fuzz", "24 seconds of fuzzing crash nothing", fuzz::short).makes_buffers(),
    Step::new("sanitizer", "hostile memory under AddressSanitizer", sanitizer::tests).makes_buffers(),
    Step::new("python", "the Python package on every interpreter found", python::test).makes_buffers(),
    Step::new("gstreamer", "the GStreamer plugin, and pictures beside GStreamer's own", gstreamer::check)
        .makes_buffers()
        .apart("five minutes from cold on two cores, for a plugin that has a workspace of its own"),
    Step::new("bridge", "streams between two network namespaces, on Zenoh", bridge::check)
        .makes_buffers()
        .apart("ten minutes from cold on two cores, for an engine of 270 crates that nothing else needs"),
    Step::new("c", "the C library, as distributions and its users take it", c::check)
        .makes_buffers()
        .apart("a release build, and programs of three languages that need Debian packages"),
    Step::new(
        "viewer",
        "the viewer's page in Chromium, pixel by pixel, and its MJPEG in OpenCV",
        viewer::check,
    )
    .makes_buffers()
    .apart("Chromium is a hundred packages, and OpenCV another hundred megabytes"),
    Step::new("ultralytics", "a model of ultralytics takes its pictures from a stream", ultralytics::check)
        .makes_buffers()
        .apart("torch and what it needs are hundreds of megabytes"),
    Step::new("instructions", "no hot path takes more instructions than known", instructions::check)
        .makes_buffers(),
];

impl Step {
    const fn new(name: &'static str, summary: &'static str, run: fn(&Project) -> Result<()>) -> Self {
        Self { name, summary, run, makes_buffers: false, apart: None }
    }

    const fn makes_buffers(self) -> Self {
        Self { makes_buffers: true, ..self }
    }

    const fn apart(self, why: &'static str) -> Self {
        Self { apart: Some(why), ..self }
    }
}

fn run(project: &Project, mut arguments: Arguments) -> Result<()> {
    let list = arguments.contains("--list");
    let names = words(arguments)?;
    if list {
        println!("{}", table());
        return Ok(());
    }
    let chosen = choose(&names)?;
    if names.is_empty() {
        for (step, why) in STEPS.iter().filter_map(|step| Some((step, step.apart?))) {
            println!("=== {} runs only where it is named: {why}", step.name);
        }
    }
    let mut times = Vec::new();
    for (index, step) in chosen.iter().enumerate() {
        println!("\n=== {}/{} {}: {}", index + 1, chosen.len(), step.name, step.summary);
        let started = Instant::now();
        let result = run_step(project, step);
        let time = started.elapsed();
        times.push((step.name, time));
        if let Err(error) = result {
            println!("=== {} failed after {:.1} s", step.name, time.as_secs_f64());
            return Err(error.context(format!("step {} failed", step.name)));
        }
        println!("=== {} ok in {:.1} s", step.name, time.as_secs_f64());
    }
    println!("\n=== all steps ok: {}", summary(&times));
    Ok(())
}

fn run_step(project: &Project, step: &Step) -> Result<()> {
    if !step.makes_buffers {
        return (step.run)(project);
    }
    let result = (step.run)(project);
    match (result, leftovers::check()) {
        // What was left behind may explain the failure, so both are reported.
        (Err(error), Err(left)) => Err(error.context(format!("{left}"))),
        (result, clean) => result.and(clean),
    }
}

/// The steps of the given names, in the order of the table; for no name all but those that run
/// apart.
fn choose(names: &[String]) -> Result<Vec<&'static Step>> {
    if let Some(unknown) = names.iter().find(|name| STEPS.iter().all(|step| step.name != name.as_str())) {
        bail!("no step `{unknown}`; the steps are:\n{}", table());
    }
    let is_chosen = |step: &&Step| {
        if names.is_empty() { step.apart.is_none() } else { names.iter().any(|name| name == step.name) }
    };
    Ok(STEPS.iter().filter(is_chosen).collect())
}

/// The remaining words of the command line, none of which may be an option.
fn words(arguments: Arguments) -> Result<Vec<String>> {
    let mut words = Vec::new();
    for word in arguments.finish() {
        let word = word.into_string().ok().context("an argument is not valid UTF-8")?;
        if word.starts_with('-') {
            bail!("unknown option `{word}`");
        }
        words.push(word);
    }
    Ok(words)
}

fn table() -> String {
    let lines: Vec<String> =
        STEPS.iter().map(|step| format!("  {:<12} {}", step.name, step.summary)).collect();
    lines.join("\n")
}

fn summary(times: &[(&str, Duration)]) -> String {
    let total: Duration = times.iter().map(|(_, time)| *time).sum();
    let parts: Vec<String> =
        times.iter().map(|(name, time)| format!("{name} {:.1} s", time.as_secs_f64())).collect();
    format!("{} (total {:.1} s)", parts.join(", "), total.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(chosen: &[&Step]) -> Vec<&'static str> {
        chosen.iter().map(|step| step.name).collect()
    }

    #[test]
    fn no_name_means_every_step_that_does_not_run_apart() {
        let apart = STEPS.iter().filter(|step| step.apart.is_some()).count();
        assert_eq!(choose(&[]).unwrap().len(), STEPS.len() - apart);
    }

    #[test]
    fn papers_and_workflow_have_every_step_that_runs_apart() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let text = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
        let [contributing, release, workflow] =
            ["CONTRIBUTING.md", "docs/release.md", ".github/workflows/hosted.yml"].map(text);
        let names: Vec<&str> =
            STEPS.iter().filter(|step| step.apart.is_some()).map(|step| step.name).collect();
        for name in &names {
            let row = format!("(apart) | `cargo xtask test {name}` |");
            assert!(contributing.contains(&row), "CONTRIBUTING.md: {row}");
            let all = release.split("`cargo xtask test ").skip(1).filter_map(|rest| rest.split('`').next());
            assert!(all.flat_map(str::split_whitespace).any(|word| word == *name), "docs/release.md: {name}");
        }
        assert!(workflow.contains(&format!("step: [{}]", names.join(", "))), "hosted.yml: {names:?}");
        assert!(workflow.contains("run: cargo xtask test ${{ matrix.step }}"));
        assert!(text(".ci/run").contains("\ncargo xtask test\n"));
    }

    /// Each command of the table exists, and each command that builds or runs a part is in it.
    #[test]
    fn every_line_of_the_parts_is_a_command() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let contributing = std::fs::read_to_string(root.join("CONTRIBUTING.md")).unwrap();
        let table = contributing.split("## Every part by one line").nth(1).unwrap();
        let table = table.split("\n## ").next().unwrap();
        let mut count = 0;
        for line in table.split('`').filter(|code| code.starts_with("cargo ")) {
            let mut words = line.split_whitespace().skip(1);
            assert_eq!(words.next(), Some("xtask"), "{line}");
            let name = words.next().unwrap();
            assert!(crate::COMMANDS.iter().any(|command| command.name == name), "{line}");
            if name == "test" {
                assert!(words.all(|word| STEPS.iter().any(|step| step.name == word)), "{line}");
            }
            count += 1;
        }
        assert!(count >= 15, "{count}");
    }

    #[test]
    fn named_steps_run_in_the_order_of_the_table() {
        let chosen = choose(&["rust".to_owned(), "fmt".to_owned()]).unwrap();
        assert_eq!(names(&chosen), ["fmt", "rust"]);
    }

    #[test]
    fn an_unknown_step_is_named_with_the_known_ones() {
        let error = choose(&["fmt".to_owned(), "clipy".to_owned()]).err().unwrap().to_string();
        assert!(error.contains("`clipy`") && error.contains("clippy"), "{error}");
    }
}
