//! The C interface as programs are compiled against it, compared with the committed one.
//!
//! The header is what the sources say (`tests/header.rs`), and the library exports what the header
//! says (`tests/dist`). So the types are those of the header: functions of its declarations are
//! compiled with debug information, and abidiff compares them. Rust's own debug information has the
//! insides of the library in it, and the folders of the machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::project::{Project, capture, run_quietly};
use crate::{c_dist, install, tools};

fn committed(project: &Project) -> PathBuf {
    project.root.join(c_dist::CRATE).join("zerobuffer.abi")
}

/// Fails for any change, and shows that it does for a changed type and a removed function.
pub(crate) fn check(project: &Project) -> Result<()> {
    install::programs(project, tools::ABIGAIL)?;
    let header = header(project)?;
    let now = library(project, &header, "now")?;
    if let Some(changes) = difference(project, &now)? {
        bail!(
            "the C interface is another one than in {}:\n{changes}\n\
             A changed or removed function needs a new soname and ZB_ABI_VERSION. An addition counts \
             ZB_ABI_VERSION up. Then: cargo xtask c-dist --bless-abi",
            committed(project).display()
        );
    }
    let changes = [
        ("a result", "uint64_t zb_frame_sequence(", "uint32_t zb_frame_sequence("),
        ("an argument", "int64_t timeout_ns", "int32_t timeout_ns"),
        ("a field", "size_t size;\n} zb_part", "uint32_t size;\n} zb_part"),
        ("a name", " zb_frame_release(", " zb_frame_free("),
    ];
    for (what, from, to) in changes {
        let other = header.replacen(from, to, 1);
        if other == header {
            bail!("{what}: the header has no `{from}`");
        }
        if difference(project, &library(project, &other, "changed")?)?.is_none() {
            bail!("abidiff does not notice {what} that was changed");
        }
    }
    Ok(())
}

/// Makes the present interface the committed one.
pub(crate) fn bless(project: &Project) -> Result<()> {
    install::programs(project, tools::ABIGAIL)?;
    let now = library(project, &header(project)?, "now")?;
    let mut dump = project.command("abidw");
    dump.args(["--no-corpus-path", "--no-comp-dir-path", "--no-show-locs", "--out-file"]);
    run_quietly(dump.arg(committed(project)).arg(now))
}

fn header(project: &Project) -> Result<String> {
    let path = project.root.join(c_dist::CRATE).join("include/zerobuffer.h");
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// What abidiff finds; `None`: nothing.
fn difference(project: &Project, library: &Path) -> Result<Option<String>> {
    let mut abidiff = project.command("abidiff");
    let output = abidiff.arg(committed(project)).arg(library).output().context("cannot start abidiff")?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match output.status.code() {
        Some(0) => Ok(None),
        // They differ. Other numbers: abidiff does not know.
        Some(4 | 8 | 12) => Ok(Some(text)),
        code => bail!("abidiff ended with {code:?}: {text}{}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// A library of the header's functions, without a body.
fn library(project: &Project, header: &str, name: &str) -> Result<PathBuf> {
    let folder = project.cache.join("c-abi");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::write(folder.join("interface.c"), with_bodies(header))?;
    let library = folder.join(format!("{name}.so"));
    let mut gcc = Command::new(tools::C_COMPILER.name);
    gcc.current_dir(&folder).args(["-std=c11", "-g", "-O0", "-shared", "-fPIC", "interface.c"]);
    gcc.args(["-Wl,-soname,libzerobuffer.so.2", "-o"]).arg(&library);
    capture(&mut gcc)?;
    Ok(library)
}

/// The header, in which each declaration of a function has become its definition.
fn with_bodies(header: &str) -> String {
    let mut text = String::new();
    let mut within = String::new();
    for line in header.lines() {
        let begins =
            within.is_empty() && !line.starts_with([' ', '/', '#', '}', '*', '\t']) && !line.is_empty();
        if !begins && within.is_empty() {
            text.push_str(line);
            text.push('\n');
            continue;
        }
        within.push_str(line);
        within.push('\n');
        // A type ends with a brace, a function with a parenthesis.
        let is_typedef = within.starts_with("typedef") || within.starts_with("enum");
        if !is_typedef && within.contains('(') && within.trim_end().ends_with(");") {
            let declaration = within.trim_end().trim_end_matches(';');
            text.extend([declaration, " { abort(); }\n"]);
            within.clear();
        } else if is_typedef || within.trim_end().ends_with(['{', ';', '}']) {
            text.push_str(&within);
            within.clear();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_become_definitions_and_types_stay() {
        let header = "typedef void (*zb_f)(void *user);\n\n// One.\nint zb_a(int x,\n         int y);\nint zb_b(void);\n";
        let expected = "typedef void (*zb_f)(void *user);\n\n// One.\nint zb_a(int x,\n         int y) { abort(); }\nint zb_b(void) { abort(); }\n";
        assert_eq!(with_bodies(header), expected);
    }
}
