//! The step that publishes every crate, but for the upload: each one is packaged, has its papers,
//! and compiles from its package.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::address;
use crate::project::{Project, capture, run};

/// What a package has to bring besides its sources.
const PAPERS: [&str; 2] = ["README.md", "LICENSE"];
/// As in the project's own workspace, whose parts are used again.
const PROFILE: &str = "[profile.dev]\nopt-level = 1\ndebug = \"line-tables-only\"\n";

pub(super) fn check(project: &Project) -> Result<()> {
    address::check(project)?;
    let folder = project.cache.join("publish");
    let packages = folder.join("target/package");
    // Those of the time before, and the registry that cargo makes of them.
    remove(&packages)?;
    // Not verified by cargo. It unpacks the packages in its home, by name and version, and does not
    // unpack a version again. So it would compile each crate with the library of the time before.
    let mut publish = project.cargo("publish --workspace --dry-run --no-verify --allow-dirty --locked");
    run(publish.env("CARGO_TARGET_DIR", folder.join("target")))?;
    let unpacked = folder.join("unpacked");
    remove(&unpacked)?;
    fs::create_dir_all(&unpacked)?;
    let mut names = Vec::new();
    for package in crates(&packages)? {
        names.push(unpack(project, &package, &unpacked)?);
    }
    if names.is_empty() {
        bail!("no crate is published");
    }
    names.sort();
    fs::write(unpacked.join("Cargo.toml"), workspace(&names))?;
    fs::copy(project.root.join("Cargo.lock"), unpacked.join("Cargo.lock"))?;
    let target = project.cache.parent().context("the cache lies in no target folder")?;
    let mut compile = project.cargo("check --workspace --quiet --manifest-path");
    run(compile.arg(unpacked.join("Cargo.toml")).env("CARGO_TARGET_DIR", target))?;
    println!("published but for the upload: {}", names.join(", "));
    Ok(())
}

/// The packages, which are in a folder below this one where nothing is uploaded.
fn crates(packages: &Path) -> Result<Vec<PathBuf>> {
    let folder = Some(packages.join("tmp-crate")).filter(|folder| folder.exists());
    let folder = folder.unwrap_or_else(|| packages.to_path_buf());
    let files = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let files = files.flatten().map(|entry| entry.path());
    Ok(files.filter(|file| file.extension().is_some_and(|extension| extension == "crate")).collect())
}

/// Unpacks a package and returns its name and version. It has to have all papers.
fn unpack(project: &Project, file: &Path, into: &Path) -> Result<String> {
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    capture(project.command("tar").arg("-xzf").arg(file).arg("-C").arg(into))?;
    let is_there = |paper| into.join(&name).join(paper).is_file();
    match PAPERS.into_iter().find(|paper| !is_there(*paper)) {
        Some(missing) => bail!("the package {name} has no {missing}"),
        None => Ok(name),
    }
}

/// A workspace of the packages, each of which is used by the others.
fn workspace(names: &[String]) -> String {
    let members: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    let patch = |name: &String| {
        let (package, _) = name.rsplit_once('-').unwrap_or((name, ""));
        format!("{package} = {{ path = {name:?} }}\n")
    };
    let patches: String = names.iter().map(patch).collect();
    let members = members.join(", ");
    format!("[workspace]\nresolver = \"3\"\nmembers = [{members}]\n\n[patch.crates-io]\n{patches}\n{PROFILE}")
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_is_a_member_and_takes_the_place_of_the_registrys() {
        let text = workspace(&["zerobuffer-2.0.0".to_owned(), "zerobuffer-cli-2.0.0".to_owned()]);
        assert!(text.contains("members = [\"zerobuffer-2.0.0\", \"zerobuffer-cli-2.0.0\"]"), "{text}");
        assert!(text.contains("zerobuffer-cli = { path = \"zerobuffer-cli-2.0.0\" }"), "{text}");
    }
}
