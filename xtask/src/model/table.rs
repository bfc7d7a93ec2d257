//! The table of runs in `models/README.md`: what a person reads is what is run.

use std::fmt;

use anyhow::{Context as _, Result, bail};

/// One row: a model, how it is compiled, and what must come out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) file: String,
    /// Look for endless loops rather than for violated assertions and processes that hang.
    pub(super) ends: bool,
    pub(super) flags: Vec<String>,
    pub(super) expected: Expected,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Holds,
    /// With a message of spin that contains this.
    Rejected(String),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Holds => f.write_str("holds"),
            Self::Rejected(part) => write!(f, "rejected by a message with `{part}`"),
        }
    }
}

impl Row {
    /// The flags as spin takes them.
    pub(super) fn definitions(&self) -> impl Iterator<Item = String> {
        self.flags.iter().map(|flag| format!("-D{flag}"))
    }

    /// How a person sees the trace.
    pub(super) fn replay(&self) -> String {
        let flags: Vec<String> = self.definitions().collect();
        format!(
            "spin -t -p -g {} models/{}, in target/xtask/models/{}",
            flags.join(" "),
            self.file,
            self.name
        )
    }
}

/// All rows of the table that follows the heading "Runs".
pub(super) fn parse(text: &str) -> Result<Vec<Row>> {
    let section = text.split("\n## Runs\n").nth(1).context("models/README.md has no section \"Runs\"")?;
    let rows: Vec<Row> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| row(line).with_context(|| format!("models/README.md, row {line}")))
        .collect::<Result<_>>()?;
    if rows.is_empty() {
        bail!("the table of runs in models/README.md has no row");
    }
    for (index, row) in rows.iter().enumerate() {
        if rows.iter().take(index).any(|other| other.name == row.name) {
            bail!("models/README.md has two runs `{}`", row.name);
        }
    }
    Ok(rows)
}

fn row(line: &str) -> Result<Row> {
    let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
    let [name, file, checks, flags, verdict] = cells.as_slice() else {
        bail!("has {} cells instead of 5", cells.len());
    };
    let ends = match *checks {
        "safety" => false,
        "ends" => true,
        other => bail!("checks `{other}`; known are safety and ends"),
    };
    let expected = match verdict.strip_prefix("rejected: ") {
        Some(part) => Expected::Rejected(code(part)?.to_owned()),
        None if *verdict == "holds" => Expected::Holds,
        None => bail!("verdict `{verdict}`; known are holds and rejected"),
    };
    let flags = if flags.is_empty() { "" } else { code(flags)? };
    Ok(Row {
        name: code(name)?.to_owned(),
        file: code(file)?.to_owned(),
        ends,
        flags: flags.split_whitespace().map(str::to_owned).collect(),
        expected,
    })
}

/// What stands between backquotes.
fn code(cell: &str) -> Result<&str> {
    let inner = cell.strip_prefix('`').and_then(|cell| cell.strip_suffix('`'));
    inner.filter(|inner| !inner.is_empty()).with_context(|| format!("`{cell}` is not between backquotes"))
}

/// The rows of the given names, in the order of the table; all for no name.
pub(super) fn choose(rows: Vec<Row>, names: &[String]) -> Result<Vec<Row>> {
    if let Some(unknown) = names.iter().find(|name| rows.iter().all(|row| row.name != **name)) {
        let known: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        bail!("no run `{unknown}`; the runs are: {}", known.join(", "));
    }
    Ok(rows.into_iter().filter(|row| names.is_empty() || names.contains(&row.name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "| `x` | not this |\n## Runs\n\n| run | model | checks | flags | verdict |\n| --- |\n\
        | `good` | `ring.pml` | ends | | holds |\n\
        | `bad` | `ring.pml` | safety | `NF=2 BAD` | rejected: `end state` |\n";

    #[test]
    fn a_row_says_what_to_run_and_what_to_expect() {
        let rows = parse(TEXT).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].ends, rows[0].flags.len(), &rows[0].expected), (true, 0, &Expected::Holds));
        assert_eq!(rows[1].definitions().collect::<Vec<_>>(), ["-DNF=2", "-DBAD"]);
        assert_eq!(rows[1].expected, Expected::Rejected("end state".into()));
    }

    #[test]
    fn a_row_that_is_not_understood_is_an_error() {
        for (from, to) in [("holds", "hold"), ("ends", "end"), ("`NF=2 BAD`", "NF=2"), ("`good`", "`bad`")] {
            assert!(parse(&TEXT.replacen(from, to, 1)).is_err(), "{from} -> {to}");
        }
        assert!(parse("no such section").is_err());
    }

    #[test]
    fn an_unknown_run_is_named_with_the_known_ones() {
        let error = choose(parse(TEXT).unwrap(), &["god".into()]).unwrap_err().to_string();
        assert!(error.contains("`god`") && error.contains("good, bad"), "{error}");
        assert_eq!(choose(parse(TEXT).unwrap(), &["bad".into()]).unwrap().len(), 1);
    }
}
