//! The committed table: a name and a number of instructions for each hot path.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::project::Project;

/// Beyond this share a path has become dearer, or so much cheaper that the table should say so.
const TOLERANCE: f64 = 0.01;
/// The same for a row of the Python package. Its count is a difference of two whole programs, whose
/// other parts depend on the interpreter.
const PYTHON_TOLERANCE: f64 = 0.03;

fn tolerance(name: &str) -> f64 {
    if name.starts_with("python-") { PYTHON_TOLERANCE } else { TOLERANCE }
}

const HEADER: &str = "\
# Instructions of our own code for each frame of 64 bytes, without what the C library and the
# interpreter do. `cargo xtask test instructions` fails at 1 % more, in a row of Python at 3 %.
# `cargo xtask instructions --update` writes this file.
";

#[derive(Debug, Default, PartialEq)]
pub(super) struct Table {
    counts: BTreeMap<String, f64>,
}

impl Table {
    pub(super) fn path(project: &Project) -> PathBuf {
        project.root.join("benchmarks/instructions.toml")
    }

    pub(super) fn put(&mut self, name: &str, count: f64) {
        self.counts.insert(name.to_owned(), count);
    }

    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, self.text()).with_context(|| path.display().to_string())
    }

    fn text(&self) -> String {
        let mut text = HEADER.to_owned();
        for (name, count) in &self.counts {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name} = {count:.1}");
        }
        text
    }

    fn parse(text: &str) -> Result<Self> {
        let mut table = Self::default();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let pair = line.split_once(" = ").and_then(|(name, count)| Some((name, count.parse().ok()?)));
            let (name, count) = pair.with_context(|| format!("`{line}` is not NAME = COUNT"))?;
            table.put(name, count);
        }
        if table.counts.is_empty() {
            bail!("no counts");
        }
        Ok(table)
    }

    /// A line for each path, and whether what was counted fits this table.
    pub(super) fn compare(&self, counted: &Self) -> (String, bool) {
        let (mut text, mut met) = (String::new(), true);
        for name in
            self.counts.keys().chain(counted.counts.keys().filter(|name| !self.counts.contains_key(*name)))
        {
            let verdict = match (self.counts.get(name), counted.counts.get(name)) {
                (Some(known), Some(now)) => {
                    let change = now / known - 1.0;
                    let words = if change > tolerance(name) {
                        met = false;
                        "DEARER; if that is worth it, `cargo xtask instructions --update`"
                    } else if change < -tolerance(name) {
                        "cheaper: `cargo xtask instructions --update` keeps it so"
                    } else {
                        "as known"
                    };
                    format!("{now:>9.1}, known {known:>9.1}, {:+.1} %: {words}", change * 100.0)
                }
                (known, _) => {
                    met = false;
                    let where_ = if known.is_some() { "not counted any more" } else { "not in the table" };
                    format!("{where_}: `cargo xtask instructions --update`")
                }
            };
            let _ = writeln!(text, "{name:<28}{verdict}");
        }
        (text, met)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(pairs: &[(&str, f64)]) -> Table {
        Table { counts: pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect() }
    }

    #[test]
    fn a_table_is_read_as_it_was_written() {
        let table = table(&[("write", 100.0), ("python-write", 1234.5)]);
        assert_eq!(Table::parse(&table.text()).unwrap(), table);
        assert!(Table::parse("# nothing\n").is_err());
        assert!(Table::parse("write = many\n").is_err());
    }

    #[test]
    fn more_than_the_tolerance_fails_and_says_by_how_much() {
        let known = table(&[("a", 100.0), ("b", 100.0)]);
        assert!(known.compare(&table(&[("a", 100.9), ("b", 99.1)])).1);
        assert!(!known.compare(&table(&[("a", 101.1), ("b", 100.0)])).1);
        let python = table(&[("python-write", 100.0)]);
        assert!(python.compare(&table(&[("python-write", 102.9)])).1);
        assert!(!python.compare(&table(&[("python-write", 103.1)])).1);
        let (text, met) = known.compare(&table(&[("a", 104.0), ("b", 90.0)]));
        assert!(!met && text.contains("+4.0 %: DEARER") && text.contains("-10.0 %: cheaper"), "{text}");
        assert!(known.compare(&table(&[("a", 100.0), ("b", 90.0)])).1);
    }

    #[test]
    fn a_path_that_only_one_side_has_fails() {
        let known = table(&[("a", 1.0)]);
        assert!(!known.compare(&table(&[("a", 1.0), ("b", 1.0)])).1);
        assert!(!table(&[("a", 1.0), ("b", 1.0)]).compare(&known).1);
    }
}
