//! Every relative link of every Markdown file leads to a file, and to a heading that it has.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Result, bail};

use crate::project::{Project, capture};

pub(super) fn check(project: &Project) -> Result<()> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"];
    let files = capture(project.command("git").args(list))?;
    let mut texts = BTreeMap::new();
    for file in files.lines() {
        // A file that git knows may be deleted in the working tree.
        if let Ok(text) = fs::read_to_string(project.root.join(file)) {
            texts.insert(PathBuf::from(file), text);
        }
    }
    let mut count = 0;
    let mut dead = Vec::new();
    for (file, text) in &texts {
        for link in links(text) {
            count += 1;
            if let Some(what) = fault(&project.root, file, &link, &texts) {
                dead.push(format!("{}: {link}: {what}", file.display()));
            }
        }
    }
    if !dead.is_empty() {
        bail!("{} dead links:\n{}", dead.len(), dead.join("\n"));
    }
    println!("links: {count} in {} files, none is dead", texts.len());
    Ok(())
}

/// What is wrong with a relative link, if anything.
fn fault(root: &Path, file: &Path, link: &str, texts: &BTreeMap<PathBuf, String>) -> Option<&'static str> {
    let (path, fragment) = link.split_once('#').unwrap_or((link, ""));
    let to = if path.is_empty() {
        file.to_owned()
    } else {
        normal(&file.parent().unwrap_or(Path::new("")).join(path.replace("%20", " ")))?
    };
    if !root.join(&to).exists() {
        return Some("no such file");
    }
    let text = texts.get(&to)?;
    let is_there = fragment.is_empty() || anchors(text).iter().any(|anchor| anchor == fragment);
    (!is_there).then_some("no such heading there")
}

/// The path without `..`; `None` if it leaves the repository.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut steps = PathBuf::new();
    for step in path.components() {
        match step {
            Component::Normal(name) => steps.push(name),
            Component::ParentDir => steps.pop().then_some(())?,
            _ => {}
        }
    }
    Some(steps)
}

/// The lines that are no code block.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    })
}

/// The addresses of all links but those to other places of the network.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    // A link may be broken over lines.
    let text = prose(text).collect::<Vec<_>>().join("\n");
    let mut rest = without_code(&text);
    for (mark, end) in [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"')] {
        let mut left = rest.as_str();
        while let Some((_, after)) = left.split_once(mark) {
            let (address, behind) = after.split_once(end).unwrap_or((after, ""));
            let address = address.split_whitespace().next().unwrap_or_default();
            if !address.is_empty() && !address.contains("://") && !address.starts_with("mailto:") {
                found.push(address.to_owned());
            }
            left = behind;
        }
    }
    rest.clear();
    found
}

/// Without what stands between backquotes.
fn without_code(text: &str) -> String {
    text.split('`').enumerate().filter(|(number, _)| number % 2 == 0).map(|(_, part)| part).collect()
}

/// The addresses of headings, as hosts of repositories make them.
fn anchors(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in prose(text).filter(|line| line.starts_with('#')) {
        let heading = line.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let before = found.iter().filter(|other| {
            other.strip_prefix(&anchor).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        });
        let number = before.count();
        found.push(if number == 0 { anchor } else { format!("{anchor}-{number}") });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_outside_of_code_are_found() {
        let text =
            "[a](b.md#c) and `[no](x)`\n```\n[no](y)\n```\n![p](d.svg) [w](https://e)\n<img src=\"f.svg\">";
        assert_eq!(links(text), ["b.md#c", "d.svg", "f.svg"]);
    }

    #[test]
    fn headings_have_the_addresses_of_hosts() {
        assert_eq!(anchors("# A b\n## What `x` is?\n# A b\n```\n# no\n```"), ["a-b", "what-x-is", "a-b-1"]);
    }

    #[test]
    fn dead_files_and_headings_are_told_apart() {
        let root = std::env::temp_dir().join(format!("xtask-links-{}", std::process::id()));
        fs::create_dir_all(root.join("docs")).unwrap();
        let texts: BTreeMap<PathBuf, String> =
            [("docs/a.md", "# One"), ("b.md", "")].map(|(path, text)| (path.into(), text.to_owned())).into();
        for (path, text) in &texts {
            fs::write(root.join(path), text).unwrap();
        }
        let fault = |link| fault(&root, Path::new("docs/a.md"), link, &texts);
        assert_eq!([fault("#one"), fault("../b.md"), fault("a.md#one")], [None, None, None]);
        assert_eq!(fault("c.md"), Some("no such file"));
        assert_eq!(fault("#two"), Some("no such heading there"));
        fs::remove_dir_all(&root).unwrap();
    }
}
