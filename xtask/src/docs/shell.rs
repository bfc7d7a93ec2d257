//! Shell lines of Markdown files: bash takes each, and a test has each file that has any. The tests
//! run the lines, or print why they cannot (`tests/common/papers.rs` of the command).

use std::fs;
use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};

use crate::project::{Project, capture};

/// Where the tests name the files whose lines they run.
const TESTS: &[&str] = &[
    "crates/zerobuffer-cli/tests/command/pages.rs",
    "crates/gst-plugin-zerobuffer/tests/recipes.rs",
    "crates/zerobuffer-bridge/tests/pages/mod.rs",
    "crates/zerobuffer-c/tests/dist/pages.rs",
];

pub(super) fn check(project: &Project) -> Result<()> {
    let read = |path: &str| {
        fs::read_to_string(project.root.join(path)).with_context(|| format!("cannot read {path}"))
    };
    let tests = TESTS.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?.concat();
    let list = ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"];
    let files = capture(project.command("git").args(list))?;
    let (mut count, mut pages) = (0, 0);
    for file in files.lines().filter(|file| project.root.join(file).is_file()) {
        let scripts = scripts(&read(file)?);
        for script in &scripts {
            count += script.lines().count();
            parse(project, script).with_context(|| format!("{file} has shell lines that are none"))?;
        }
        if !scripts.is_empty() {
            pages += 1;
            ensure!(
                tests.contains(&format!("\"{file}\"")),
                "no test has the shell lines of {file}; name it in one of {}",
                TESTS.join(", ")
            );
        }
    }
    println!("shell: {count} lines in {pages} files; bash takes them, and tests have them");
    Ok(())
}

/// The shell scripts of a file; of what a terminal shows, that which is typed.
fn scripts(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut within: Option<(&str, String)> = None;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), &mut within) {
            (Some(language), None) => within = Some((language, String::new())),
            (Some(_), Some(_)) => {
                let (language, script) = within.take().unwrap_or_default();
                if matches!(language, "sh" | "bash" | "console") {
                    found.push(script);
                }
            }
            (None, Some((language, script))) => {
                let typed = if *language == "console" { line.strip_prefix("$ ") } else { Some(line) };
                script.extend(typed.map(|line| format!("{line}\n")));
            }
            (None, None) => {}
        }
    }
    found
}

fn parse(project: &Project, script: &str) -> Result<()> {
    let mut shell = project.command("bash");
    shell.arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut shell = shell.spawn().context("cannot start bash")?;
    shell.stdin.take().context("no input")?.write_all(script.as_bytes())?;
    let output = shell.wait_with_output()?;
    if !output.status.success() {
        bail!("{}\n{script}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_is_typed_is_taken_and_no_output_nor_other_language() {
        let text =
            "```sh\na\nb &\n```\n```python\nno\n```\n```console\n$ c | d\nits output\n```\n```\nno\n```\n";
        assert_eq!(scripts(text), ["a\nb &\n", "c | d\n"]);
    }

    #[test]
    fn every_test_that_is_named_is_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for test in TESTS {
            assert!(root.join(test).is_file(), "{test}");
        }
    }
}
