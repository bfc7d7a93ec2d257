//! The machine line that stands beside every figure: processor, system, versions, date.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) date: String,
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    /// Of this repository, with a `+` for changes that are not committed.
    pub(crate) commit: String,
    /// Versions of what is measured beside it.
    pub(crate) packages: BTreeMap<String, String>,
}

/// The crate that Cargo.toml pins.
const ICEORYX2: &str = "0.10.0";
const NAMES: [&str; 4] = ["zerobuffer-ipc", "iceoryx2", "pyzmq", "posix-ipc"];

impl Machine {
    pub(crate) fn look(pythons: &BTreeMap<String, PathBuf>) -> Result<Self> {
        let mut packages = BTreeMap::from([("iceoryx2 (crate)".to_owned(), ICEORYX2.to_owned())]);
        for (name, python) in pythons {
            packages.extend(versions(name, python)?);
        }
        Ok(Self {
            date: say("date", &["-u", "+%Y-%m-%d"])?,
            processor: cpu_model(),
            processors: std::thread::available_parallelism()?.get(),
            memory_gib: memory_gib(),
            kernel: say("uname", &["-sr"])?,
            commit: commit(),
            packages,
        })
    }

    /// `2026-01-31-amd-epyc-2-processors` in `benchmarks/record`: the folder of this machine's
    /// record of today.
    pub(crate) fn folder(&self) -> PathBuf {
        let words: String = self
            .processor
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' })
            .collect();
        let words: Vec<&str> = words.split_whitespace().take(4).collect();
        let name = format!("{}-{}-{}-processors", self.date, words.join("-"), self.processors);
        Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("record").join(name)
    }

    pub(crate) fn text(&self) -> String {
        let packages: Vec<String> =
            self.packages.iter().map(|(name, version)| format!("{name} {version}")).collect();
        format!(
            "{}: {}, {} processors, {} GiB, {}; commit {}; {}",
            self.date,
            self.processor,
            self.processors,
            self.memory_gib,
            self.kernel,
            self.commit,
            packages.join(", ")
        )
    }

    /// A part of a record may have had no use for a package that another part had.
    pub(crate) fn with_packages_of(mut self, earlier: &Self) -> Self {
        for (name, version) in &earlier.packages {
            self.packages.entry(name.clone()).or_insert_with(|| version.clone());
        }
        self
    }
}

fn say(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().with_context(|| program.to_owned())?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

fn memory_gib() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next());
    let kib: u64 = total.and_then(|word| word.parse().ok()).unwrap_or(0);
    (kib + (1 << 19)) >> 20
}

fn commit() -> String {
    let root = env!("CARGO_MANIFEST_DIR");
    let git = |arguments: &[&str]| say("git", &[&["-C", root], arguments].concat()).unwrap_or_default();
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"]).is_empty();
    format!("{}{}", git(&["rev-parse", "--short=10", "HEAD"]), if changed { "+" } else { "" })
}

/// What of interest one environment has.
fn versions(environment: &str, python: &Path) -> Result<Vec<(String, String)>> {
    const SCRIPT: &str = "import importlib.metadata as m, sys
print('Python', '.'.join(map(str, sys.version_info[:3])))
for d in m.distributions(): print(d.metadata['Name'], d.version)";
    let path = python.to_string_lossy();
    let text = say(&path, &["-c", SCRIPT])?;
    let mut found = Vec::new();
    for (name, version) in text.lines().filter_map(|line| line.split_once(' ')) {
        let ours = environment == "ours" && name == "zerobuffer-ipc";
        if name == "Python" {
            found.push((name.to_owned(), version.to_owned()));
        } else if NAMES.contains(&name) && !ours {
            found.push((format!("{name} (Python)"), version.to_owned()));
        }
    }
    Ok(found)
}
