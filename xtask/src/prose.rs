//! `cargo xtask prose`: papers, comments and docstrings follow the house rules for words.
//!
//! Each kind of file has a reader that finds its prose; [`rules`] are the same for all of them.

mod markdown;
mod python;
mod rules;
mod rust;
mod text;

use std::fs;

use anyhow::{Context as _, Result, bail};
use pico_args::Arguments;

use crate::Command;
use crate::project::{Project, capture};
use text::Block;

pub(crate) const COMMAND: Command = Command {
    name: "prose",
    arguments: "[FILE...]",
    summary: "check the words of papers, comments and docstrings",
    run,
};

/// Files that are not checked, or not yet. This list may only get shorter.
const EXEMPT: &[(&str, &str)] =
    &[("CHANGELOG.md", "its released parts are history"), ("xtask/src/prose", "it names what it forbids")];

/// The step of the gate: all files.
pub(crate) fn check(project: &Project) -> Result<()> {
    for (path, why) in EXEMPT {
        println!("not checked: {path}: {why}");
    }
    check_files(project, &[])
}

fn run(project: &Project, arguments: Arguments) -> Result<()> {
    let chosen = arguments.finish().into_iter().map(|path| path.to_string_lossy().into_owned());
    check_files(project, &chosen.collect::<Vec<_>>())
}

/// Checks every file that starts with one of `chosen`, or every file if none is chosen.
fn check_files(project: &Project, chosen: &[String]) -> Result<()> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let files = capture(project.command("git").args(list)).context("the files of the repository")?;
    let is_chosen = |path: &str| chosen.is_empty() || chosen.iter().any(|start| path.starts_with(start));
    let (mut checked, mut found) = (0_usize, 0_usize);
    for path in files.lines().filter(|path| is_chosen(path)) {
        if EXEMPT.iter().any(|(start, _)| path.starts_with(start)) {
            continue;
        }
        let Some(read) = reader(path) else { continue };
        // A file that git knows may be deleted in the working tree.
        let Ok(text) = fs::read_to_string(project.root.join(path)) else { continue };
        checked += 1;
        for fault in read(path, &text).iter().flat_map(rules::check) {
            println!("{path}:{}: {}", fault.line, fault.what);
            found += 1;
        }
    }
    if checked == 0 {
        bail!("no file to check");
    }
    if found > 0 {
        bail!("{found} faults of prose in {checked} files");
    }
    println!("prose: {checked} files follow the rules");
    Ok(())
}

/// What finds the prose in a file of this name, if it may hold any.
fn reader(path: &str) -> Option<fn(&str, &str) -> Vec<Block>> {
    let (_, extension) = path.rsplit_once('.')?;
    match extension {
        "md" => Some(|_, text| markdown::blocks(text)),
        "rs" => Some(rust::blocks),
        "py" | "pyi" => Some(|_, text| python::blocks(text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> Vec<String> {
        let read = reader(path).unwrap();
        let faults = read(path, text).iter().flat_map(rules::check).collect::<Vec<_>>();
        faults.iter().map(|fault| format!("{}: {}", fault.line, fault.what)).collect()
    }

    #[test]
    fn plain_prose_passes_in_every_kind_of_file() {
        assert_eq!(faults("a.md", "# Title\n\nOne fact. Another one.\n"), [""; 0]);
        assert_eq!(faults("src/a.rs", "/// One fact.\npub fn f() {} // why\n"), [""; 0]);
        assert_eq!(faults("a.py", "def f():\n    \"\"\"One fact.\"\"\"\n    # why\n"), [""; 0]);
    }

    #[test]
    fn every_rule_fails_in_every_kind_of_file() {
        let long = "a ".repeat(26);
        let wide = format!("{} {}", "w".repeat(60), "w".repeat(60));
        for words in [long.as_str(), wide.as_str(), "A spin in vain."] {
            assert_eq!(faults("a.md", words).len(), 1, "{words}");
            assert_eq!(faults("a.rs", &format!("/// {words}\nfn f() {{}}\n")).len(), 1, "{words}");
            assert_eq!(faults("a.rs", &format!("// {words}\n")).len(), 1, "{words}");
            assert_eq!(faults("a.py", &format!("# {words}\n")).len(), 1, "{words}");
            assert_eq!(faults("a.pyi", &format!("\"\"\"{words}\"\"\"\n")).len(), 1, "{words}");
        }
        let code = "/// Rule W8 says so.\npub fn f() {}\n";
        assert_eq!(faults("crates/zerobuffer/src/a.rs", code).len(), 1);
        assert_eq!(faults("a.py", "\"\"\"Rule W8 says so.\"\"\"\n").len(), 1);
    }

    #[test]
    fn a_fault_names_its_line_its_words_and_the_remedy() {
        let found = faults("a.md", "One fact.\n\nThe first line is right. The next\nspin was in vain.\n");
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("3: ") && found[0].contains("without success"), "{found:?}");
        assert!(found[0].contains("The next spin was in vain."), "{found:?}");
    }

    #[test]
    fn only_known_kinds_of_files_are_read() {
        assert!(reader("Cargo.toml").is_none() && reader("LICENSE").is_none());
    }
}
