//! What was measured, as it is kept in `results.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::case::Kind;
use crate::machine::Machine;
use crate::run::Options;

/// All results of one machine on one day.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) machine: Machine,
    pub(crate) touch: String,
    pub(crate) pinned: bool,
    pub(crate) cases: Vec<Case>,
}

/// One system in one kind of measurement at one size.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Case {
    pub(crate) kind: Kind,
    pub(crate) size: String,
    pub(crate) system: String,
    pub(crate) runs: Vec<Run>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    #[serde(flatten)]
    pub(crate) values: BTreeMap<String, f64>,
    /// Processor seconds of both ends during the measured part.
    pub(crate) cpu: f64,
    /// Processors that others used meanwhile.
    pub(crate) foreign: f64,
    pub(crate) memory: Memory,
}

/// Memory of both ends at the end of a run, in KiB: server, client.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) rss: [u64; 2],
    /// Shared pages count by half in each end.
    pub(crate) pss: [u64; 2],
}

impl Memory {
    pub(crate) fn of(pids: [u32; 2]) -> Self {
        let text =
            pids.map(|pid| fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default());
        let field = |key: &str| {
            [0, 1].map(|end| {
                let mut lines = text.get(end).map(|text| text.lines()).into_iter().flatten();
                let value = lines.find_map(|line| line.strip_prefix(key)?.split_whitespace().next());
                value.and_then(|word| word.parse().ok()).unwrap_or(0)
            })
        };
        Self { rss: field("Rss:"), pss: field("Pss:") }
    }
}

/// Median, least and greatest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = |index: usize| values.get(index).copied();
        let median = f64::midpoint(middle((values.len() - 1) / 2)?, middle(values.len() / 2)?);
        Some(Self { median, min, max })
    }
}

impl Run {
    pub(crate) fn value(&self, key: &str) -> Option<f64> {
        self.values.get(key).copied()
    }

    /// The figure of a kind: µs per frame, p50 in µs, CPU seconds per 1,000 frames, ms to the first
    /// frame.
    pub(crate) fn figure(&self, kind: Kind) -> Option<f64> {
        match kind {
            Kind::Stream | Kind::Loan => Some(self.value("seconds")? * 1e6 / self.value("frames")?),
            Kind::Trip | Kind::Paced => self.value("p50"),
            Kind::Fps => self.cpu_per_1000(),
            Kind::Start => Some((self.value("create")? + self.value("first")?) * 1e3),
        }
    }

    /// CPU seconds of both ends per 1,000 frames or round trips.
    pub(crate) fn cpu_per_1000(&self) -> Option<f64> {
        self.value("frames").map(|frames| self.cpu * 1000.0 / frames)
    }
}

impl Case {
    pub(crate) fn spread(&self, of: impl Fn(&Run) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.runs.iter().filter_map(of).collect())
    }

    pub(crate) fn figure(&self) -> Option<Spread> {
        self.spread(|run| run.figure(self.kind))
    }

    /// The most that others used beside one of the runs.
    pub(crate) fn foreign(&self) -> f64 {
        self.runs.iter().map(|run| run.foreign).fold(0.0, f64::max)
    }
}

impl Record {
    pub(crate) fn new(machine: Machine, options: &Options) -> Self {
        Self { machine, touch: options.touch.name().into(), pinned: options.pin, cases: Vec::new() }
    }

    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("results.json");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    }

    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        Ok(fs::write(folder.join("results.json"), serde_json::to_string_pretty(self)? + "\n")?)
    }

    /// Puts the runs of one case in, in place of earlier ones.
    pub(crate) fn put(&mut self, kind: Kind, size: &str, system: &str, runs: Vec<Run>) {
        self.cases.retain(|case| !(case.kind == kind && case.size == size && case.system == system));
        self.cases.push(Case { kind, size: size.into(), system: system.into(), runs });
    }

    /// Takes over the cases of a later record.
    pub(crate) fn merge(&mut self, later: Self) {
        self.machine = later.machine.with_packages_of(&self.machine);
        self.touch = later.touch;
        self.pinned = later.pinned;
        for case in later.cases {
            self.put(case.kind, &case.size, &case.system, case.runs);
        }
    }

    pub(crate) fn case(&self, kind: Kind, size: &str, system: &str) -> Option<&Case> {
        self.cases.iter().find(|case| case.kind == kind && case.size == size && case.system == system)
    }

    pub(crate) fn figure(&self, kind: Kind, size: &str, system: &str) -> Option<Spread> {
        self.case(kind, size, system)?.figure()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread() {
        assert_eq!(Spread::of(vec![]), None);
        assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
        assert_eq!(Spread::of(vec![4.0, 1.0, 2.0, 3.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
    }
}
