//! `cargo xtask address`: the project's public address, in every place that a registry reads.
//!
//! Until the project has a public place, no file names one. The step `publish` checks that all
//! manifests name the same address, or that none names any.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use pico_args::Arguments;

use crate::Command;
use crate::project::Project;

pub(crate) const COMMAND: Command = Command {
    name: "address",
    arguments: "[URL]",
    summary: "say the project's public address, or set it in all manifests",
    run,
};

/// A crate of the workspace takes it from there.
const INHERITED: &str = "repository.workspace = true";

fn run(project: &Project, arguments: Arguments) -> Result<()> {
    let mut words = arguments.finish().into_iter();
    if let Some(url) = words.next() {
        let url = url.into_string().ok().context("the address is no UTF-8")?;
        ensure!(words.next().is_none(), "one address, please");
        set(&project.root, &url)?;
    }
    check(project)
}

/// Fails unless all manifests name one address, or none does; says which.
pub(crate) fn check(project: &Project) -> Result<()> {
    let root = &project.root;
    let mut places = Vec::new();
    for file in manifests(root)? {
        let text = read(&file)?;
        let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        places.push((name, found(&text)));
    }
    let (first, address) = places.first().context("no manifests")?.clone();
    for (name, other) in &places {
        let inherits = other.as_deref() == Some("") && address.is_some();
        if !inherits && *other != address {
            bail!("{first} says {address:?}, and {name} {other:?}: `cargo xtask address URL` sets all");
        }
    }
    match address {
        Some(address) => println!("address: {address}, in {} manifests", places.len()),
        None => println!("address: none, since the project has no public place (docs/release.md)"),
    }
    Ok(())
}

fn set(root: &Path, url: &str) -> Result<()> {
    let plain = url.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\'));
    ensure!(url.starts_with("https://") && url.len() > 10 && plain, "{url:?} is no address: https://...");
    for file in manifests(root)? {
        let changed =
            with(&read(&file)?, url).with_context(|| format!("cannot change {}", file.display()))?;
        fs::write(&file, changed).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// The workspace's manifest first, then the crates', then the Python package's. A crate that nobody
/// else gets names no authors. The compiled module is part of the Python package.
fn manifests(root: &Path) -> Result<Vec<PathBuf>> {
    let folders = fs::read_dir(root.join("crates")).context("cannot list the crates")?;
    let mut crates: Vec<PathBuf> = folders.flatten().map(|entry| entry.path().join("Cargo.toml")).collect();
    let has_authors = |file: &PathBuf| fs::read_to_string(file).is_ok_and(|text| text.contains("\nauthors"));
    crates.retain(|file| !file.parent().is_some_and(|folder| folder.ends_with("zerobuffer-python")));
    crates.retain(has_authors);
    crates.sort();
    crates.insert(0, root.join("Cargo.toml"));
    crates.push(root.join("pyproject.toml"));
    Ok(crates)
}

fn read(file: &Path) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The address of a manifest; empty if the workspace has it.
fn found(text: &str) -> Option<String> {
    text.lines().find_map(|line| match line.trim() {
        INHERITED => Some(String::new()),
        line => line
            .strip_prefix("repository = ")
            .or_else(|| line.strip_prefix("Repository = "))
            .map(|value| value.trim_matches('"').to_owned()),
    })
}

/// The manifest with the address: behind its authors, or as a table of the Python package.
fn with(text: &str, url: &str) -> Result<String> {
    let old = |line: &str| line == INHERITED || line.starts_with("repository = ");
    let kept: Vec<&str> = text.lines().filter(|line| !old(line)).collect();
    let mut lines = Vec::new();
    let mut places = 0;
    for line in kept {
        let python = line == "[project.scripts]" && !text.contains("[project.urls]");
        if python {
            lines.push(format!("[project.urls]\nRepository = \"{url}\"\n"));
        }
        let again = line.starts_with("Repository = ");
        lines.push(if again { format!("Repository = \"{url}\"") } else { line.to_owned() });
        match line {
            "authors.workspace = true" => lines.push(INHERITED.to_owned()),
            _ if line.starts_with("authors = [\"") => lines.push(format!("repository = \"{url}\"")),
            _ if python || again => {}
            _ => continue,
        }
        places += 1;
    }
    ensure!(places == 1, "{places} places for an address, not 1");
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://example.org/zerobuffer";

    /// The manifests of this project, which take an address, and another one later.
    #[test]
    fn every_manifest_takes_an_address_once_and_nothing_else_of_it_changes() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for file in manifests(&root).unwrap() {
            let text = read(&file).unwrap();
            let once = with(&text, URL).unwrap();
            let again = with(&with(&text, "https://example.org/first").unwrap(), URL).unwrap();
            assert_eq!(again, once, "{}", file.display());
            let address = found(&once).unwrap();
            assert!(address == URL || address.is_empty(), "{}: {address}", file.display());
            let added = ["repository", "Repository", "[project.urls]"];
            let kept = |text: &str| {
                let lines = text.lines().filter(|line| !added.iter().any(|word| line.starts_with(word)));
                lines.filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(kept(&once), kept(&text), "{}", file.display());
        }
    }

    #[test]
    fn what_is_no_address_is_refused_before_any_file_changes() {
        for wrong in ["", "example.org", "http://example.org", "https://a b", "https://a\"b.org/xyz"] {
            assert!(set(Path::new("/nowhere"), wrong).unwrap_err().to_string().contains("no address"));
        }
    }
}
