//! Lists of pages are complete: errors, exit codes, environment variables, commands, examples.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::project::Project;

/// A list: what it should name, read from where it is made, and the page.
struct List {
    what: &'static str,
    page: &'static str,
    names: fn(&Path) -> Result<Vec<String>>,
    /// Fewer names than these mean that their source has moved.
    least: usize,
}

const LISTS: &[List] = &[
    List { what: "error", page: "docs/errors.md", names: errors, least: 3 },
    List { what: "exit code", page: "docs/command.md", names: exit_codes, least: 3 },
    List { what: "command", page: "docs/command.md", names: commands, least: 3 },
    List { what: "variable", page: "docs/environment.md", names: variables, least: 3 },
    List { what: "doc test of", page: "crates/zerobuffer/src/lib.rs", names: pages_with_rust, least: 3 },
    List {
        what: "doc test of",
        page: "crates/zerobuffer-async-tests/src/lib.rs",
        names: pages_with_tokio,
        least: 1,
    },
    List { what: "line", page: "bindings/csharp/examples/Pair.cs", names: lines_of_csharp, least: 8 },
    List { what: "word of inspect", page: "docs/words.md", names: words_of_inspect, least: 8 },
    List { what: "state of top", page: "docs/words.md", names: states, least: 5 },
    List { what: "example", page: "examples/README.md", names: examples, least: 3 },
];

pub(super) fn check(project: &Project) -> Result<()> {
    let mut missing = Vec::new();
    let mut count = 0;
    for list in LISTS {
        let page = text(&project.root, list.page)?;
        let names = (list.names)(&project.root)?;
        if names.len() < list.least {
            bail!("only {} of kind {} were found: their source has moved", names.len(), list.what);
        }
        count += names.len();
        let absent = names.into_iter().filter(|name| !page.contains(name.as_str()));
        missing.extend(absent.map(|name| format!("{} does not have the {} {name}", list.page, list.what)));
    }
    if !missing.is_empty() {
        bail!("{}", missing.join("\n"));
    }
    println!("lists: {count} names, all are on their pages");
    Ok(())
}

fn text(root: &Path, path: &str) -> Result<String> {
    fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))
}

/// The variants of the library's error.
fn errors(root: &Path) -> Result<Vec<String>> {
    let source = text(root, "crates/zerobuffer/src/error.rs")?;
    let body = source.split("pub enum Error {").nth(1).context("no `pub enum Error`")?;
    let body = body.split("\n}\n").next().unwrap_or_default();
    let names = body.lines().filter_map(|line| line.strip_prefix("    ")?.strip_suffix(" {"));
    let is_name = |name: &&str| name.chars().all(char::is_alphanumeric);
    Ok(names.filter(is_name).map(|name| format!("| `{name}` |")).collect())
}

/// The rows of the command's own table.
fn exit_codes(root: &Path) -> Result<Vec<String>> {
    let source = text(root, "crates/zerobuffer-cli/src/exit.rs")?;
    let table = source.split("const TABLE").nth(1).and_then(|rest| rest.split("];").next());
    let strings: Vec<&str> = table.context("no table")?.split('"').skip(1).step_by(2).collect();
    Ok(strings.chunks_exact(2).map(|row| format!("| {} |\n", row.join(" | "))).collect())
}

fn commands(root: &Path) -> Result<Vec<String>> {
    let source = text(root, "crates/zerobuffer-cli/src/cli.rs")?;
    let list = source.split("enum PublicCommand {").nth(1).and_then(|rest| rest.split('}').next());
    let names = list.context("no list of commands")?.lines().filter_map(|line| line.trim().split('(').next());
    Ok(names
        .filter(|name| !name.is_empty())
        .map(|name| format!("zerobuffer {}", name.to_lowercase()))
        .collect())
}

/// What the page on C# shows is part of an example, which is compiled and run.
fn lines_of_csharp(root: &Path) -> Result<Vec<String>> {
    let page = text(root, "docs/csharp.md")?;
    let code = page.split("```csharp\n").nth(1).and_then(|rest| rest.split("```").next());
    Ok(code.context("no C#")?.lines().map(|line| line.trim().to_owned()).collect())
}

/// What the lines of `inspect` begin with.
fn words_of_inspect(root: &Path) -> Result<Vec<String>> {
    let source = text(root, "crates/zerobuffer-cli/src/commands/inspect.rs")?;
    let rows = source.split("row(").skip(1).filter_map(|rest| rest.split('"').nth(1));
    Ok(rows.map(|word| format!("`{word}`")).collect())
}

/// How `top` says what a stream does.
fn states(root: &Path) -> Result<Vec<String>> {
    let source = text(root, "crates/zerobuffer-view/src/live/state.rs")?;
    let body = source.split("fn word").nth(1).and_then(|rest| rest.split("\n    }\n").next());
    let words = body.context("no `fn word`")?.split('"').skip(1).step_by(2);
    Ok(words.map(|word| format!("`{word}`")).collect())
}

/// What the library, the command and the package read, their tests apart.
fn variables(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for folder in [
        "crates/zerobuffer/src",
        "crates/zerobuffer-cli/src",
        "crates/zerobuffer-view/src",
        "python/zerobuffer",
    ] {
        walk(&root.join(folder), &mut |path| {
            let Ok(source) = fs::read_to_string(path) else { return };
            for part in source.split("\"ZEROBUFFER_").skip(1) {
                let name: String = part.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
                let private = ["TEST_", "CRASH_", "TAP_"].iter().any(|start| name.starts_with(start));
                let whole = part.get(name.len()..).is_some_and(|rest| rest.starts_with('"'));
                if whole && !private && !name.is_empty() {
                    found.push(format!("`ZEROBUFFER_{name}`"));
                }
            }
        })?;
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// The pages that have Rust to compile with the library alone.
fn pages_with_rust(root: &Path) -> Result<Vec<String>> {
    pages(root, |source| !source.contains("tokio::main"))
}

/// The pages whose Rust needs an executor.
fn pages_with_tokio(root: &Path) -> Result<Vec<String>> {
    pages(root, |source| source.contains("tokio::main"))
}

fn pages(root: &Path, wanted: fn(&str) -> bool) -> Result<Vec<String>> {
    let (mut found, mut ignored) = (Vec::new(), Vec::new());
    walk(&root.join("docs"), &mut |path| {
        let source = fs::read_to_string(path).unwrap_or_default();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if source.contains("```rust,ignore") {
            ignored.push(name.clone().into_owned());
        }
        if source.contains("```rust") && wanted(&source) {
            found.push(format!("docs/{name}\""));
        }
    })?;
    if !ignored.is_empty() {
        bail!("Rust that nobody compiles stands in {}", ignored.join(", "));
    }
    Ok(found)
}

fn examples(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for folder in [
        "examples",
        "bindings/csharp/examples",
        "crates/zerobuffer/examples",
        "crates/zerobuffer-cli/examples",
        "crates/zerobuffer-async-tests/examples",
    ] {
        walk(&root.join(folder), &mut |path| {
            let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
            if let ("py" | "c" | "cpp" | "cs" | "rs", Some(name)) = (kind, path.file_stem()) {
                found.push(name.to_string_lossy().into_owned());
            }
        })?;
    }
    Ok(found)
}

fn walk(folder: &Path, each: &mut dyn FnMut(&Path)) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries.flatten() {
        if entry.path().is_dir() {
            walk(&entry.path(), each)?;
        } else {
            each(&entry.path());
        }
    }
    Ok(())
}
