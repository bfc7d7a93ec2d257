//! The supervisor: what to measure, in which order, and where the results go.

mod load;
mod pair;
mod pattern;
mod plan;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use pico_args::Arguments;

use crate::case::{Kind, System, Touch, system};
use crate::machine::Machine;
use crate::report::record::{Record, Run};
use crate::report::{self, show};
use pattern::Pattern;
use plan::{Group, Plan};

/// A run beside which others used more of a processor than this is repeated.
const DISTURBED: f64 = 0.15;
/// How often, before it is taken as it is.
const REPEATS: usize = 2;

/// How a measurement is made.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) quick: bool,
    pub(crate) runs: usize,
    pub(crate) touch: Touch,
    /// Each end on a processor of its own.
    pub(crate) pin: bool,
    /// Replaces the plan's own times.
    pub(crate) seconds: Option<f64>,
    pub(crate) only: Vec<Pattern>,
    /// Interpreters of the Python environments.
    pub(crate) pythons: BTreeMap<String, PathBuf>,
    /// The ends that are programs of their own.
    pub(crate) programs: BTreeMap<String, PathBuf>,
    /// Where the Python ends lie.
    pub(crate) scripts: PathBuf,
    /// Results are added to the record of this machine and day.
    pub(crate) record: bool,
    /// Results are added there.
    pub(crate) into: Option<PathBuf>,
    /// A record whose tables and plots are written again, and nothing is measured.
    pub(crate) report: Option<PathBuf>,
}

impl Options {
    fn parse(mut arguments: Arguments) -> Result<Self> {
        let quick = arguments.contains("--quick");
        let only: Vec<String> = arguments.values_from_str("--only")?;
        let pythons = paths(&mut arguments, "--python")?;
        let programs = paths(&mut arguments, "--program")?;
        let options = Self {
            quick,
            runs: arguments.opt_value_from_str("--runs")?.unwrap_or(if quick { 3 } else { 5 }),
            touch: Touch::parse(
                &arguments.opt_value_from_str::<_, String>("--touch")?.unwrap_or("lines".into()),
            )?,
            pin: arguments.contains("--pin"),
            seconds: arguments.opt_value_from_str("--seconds")?,
            only: only.iter().map(|text| Pattern::parse(text)).collect::<Result<_>>()?,
            pythons,
            programs,
            scripts: arguments
                .opt_value_from_str("--scripts")?
                .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("python")),
            record: arguments.contains("--record"),
            into: arguments.opt_value_from_str("--into")?,
            report: arguments.opt_value_from_str("--report")?,
        };
        let rest = arguments.finish();
        anyhow::ensure!(rest.is_empty(), "what is {rest:?}?");
        Ok(options)
    }
}

/// The paths that are given by `NAME=PATH`.
fn paths(arguments: &mut Arguments, option: &'static str) -> Result<BTreeMap<String, PathBuf>> {
    let pairs: Vec<String> = arguments.values_from_str(option)?;
    let pair = |pair: &String| {
        let (name, path) = pair.split_once('=').with_context(|| format!("{option} is NAME=PATH"))?;
        Ok((name.to_owned(), PathBuf::from(path)))
    };
    pairs.iter().map(pair).collect()
}

/// Prints what the measurements of these options need: Python environments, and programs.
pub(crate) fn environments(arguments: Arguments) -> Result<()> {
    let options = Options::parse(arguments)?;
    if options.report.is_some() {
        return Ok(());
    }
    let mut needs: Vec<_> = Plan::new(&options)?.systems().filter_map(|system| system.ends.need()).collect();
    needs.sort_unstable();
    needs.dedup();
    for (what, name) in needs {
        println!("{what} {name}");
    }
    Ok(())
}

pub(crate) fn run(arguments: Arguments) -> Result<()> {
    let options = Options::parse(arguments)?;
    if let Some(folder) = &options.report {
        return report::write(folder, None);
    }
    let plan = Plan::new(&options)?;
    let machine = Machine::look(&options.pythons)?;
    println!("{}\n", machine.text());
    let folder = match &options.into {
        Some(folder) => Some(folder.clone()),
        None => (options.record || options.is_complete()).then(|| machine.folder()),
    };
    let mut record = Record::new(machine.clone(), &options);
    let started = Instant::now();
    for group in &plan.groups {
        let measured = measure(&options, group)?;
        let mut part = Record::new(machine.clone(), &options);
        for (system, runs) in measured {
            part.put(group.kind, group.size.name, system, runs.clone());
            record.put(group.kind, group.size.name, system, runs);
        }
        if let Some(folder) = &folder {
            // At once: what was measured stays if a later part fails.
            report::write(folder, Some(part))?;
        }
        show::group(&record, group.kind, group.size);
    }
    println!("{}", report::targets::text(&record));
    println!("measured in {:.0} s", started.elapsed().as_secs_f64());
    if let Some(folder) = folder {
        println!("recorded in {}", folder.display());
    }
    Ok(())
}

/// All systems of one kind and size, in turn, round by round.
fn measure(options: &Options, group: &Group) -> Result<Vec<(&'static str, Vec<Run>)>> {
    let mut results: Vec<(&'static str, Vec<Run>)> =
        group.systems.iter().map(|system| (system.name, Vec::new())).collect();
    for _ in 0..options.runs {
        for (name, runs) in &mut results {
            let system = system(name)?;
            let what = || format!("{}/{}/{name}", group.kind, group.size.name);
            match attempt(options, group, system) {
                Ok(run) => runs.push(run),
                // A peer that fails is not measured further, and does not end the measurement of
                // the others.
                Err(error) if !system.is_ours() => eprintln!("bench: {} left out: {error:#}", what()),
                Err(error) => return Err(error.context(what())),
            }
        }
    }
    Ok(results)
}

/// One run, repeated if it failed or was disturbed.
fn attempt(options: &Options, group: &Group, system: &System) -> Result<Run> {
    let name = format!("{}/{}/{}", group.kind, group.size.name, system.name);
    for _ in 0..REPEATS {
        match pair::measure(options, group, system) {
            Ok(run) if run.foreign <= DISTURBED => return Ok(run),
            Ok(run) => eprintln!("bench: {name} ran beside {:.2} processors of others, again", run.foreign),
            Err(error) if system.is_ours() => return Err(error),
            Err(error) => eprintln!("bench: {name} failed, again: {error:#}"),
        }
    }
    pair::measure(options, group, system)
}

impl Options {
    /// Nothing is left out.
    fn is_complete(&self) -> bool {
        !self.quick && self.only.is_empty()
    }

    /// Seconds that are measured in one run.
    pub(crate) fn seconds(&self, kind: Kind) -> f64 {
        let (full, quick) = match kind {
            Kind::Stream | Kind::Loan | Kind::Trip => (0.5, 0.2),
            Kind::Paced => (2.0, 0.5),
            Kind::Fps => (4.0, 1.0),
            Kind::Start => (0.0, 0.0),
        };
        self.seconds.unwrap_or(if self.quick { quick } else { full })
    }
}
