//! The shell lines of the papers. Tests of other crates read this file, too.
#![allow(clippy::panic)]

use std::path::Path;

/// The lines that a paper tells its reader to type, without their comments.
pub(crate) fn shell_lines(paper: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(paper);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut found = Vec::new();
    let mut fence = None;
    for line in text.lines() {
        if let Some(language) = line.strip_prefix("```") {
            fence = if fence.is_none() { Some(language) } else { None };
            continue;
        }
        let command = match fence {
            Some("sh" | "bash") => Some(line),
            Some("console") => line.strip_prefix("$ "),
            _ => None,
        };
        let command = command.map(|line| line.split("  #").next().unwrap_or(line).trim());
        found.extend(command.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned));
    }
    found
}

/// The lines of a paper that `run` does not run, each with what runs it, or why nothing can.
pub(crate) fn check_lines(paper: &str, elsewhere: &[(&str, &str)], mut run: impl FnMut(&str) -> bool) {
    let mut faults = Vec::new();
    for line in shell_lines(paper) {
        if run(&line) {
            continue;
        }
        match elsewhere.iter().find(|(start, _)| format!("{line} ").starts_with(start)) {
            Some((_, why)) => println!("{paper}: not run here: {line}: {why}"),
            None => faults.push(format!("{paper}: no test runs `{line}`")),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
