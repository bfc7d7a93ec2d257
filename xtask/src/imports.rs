//! The core's modules import each other in one direction only, at every level of its folders.
//!
//! A module stands for itself and for all that is below it. A module and its own children are one
//! thing, seen from outside: they may name each other. What only a test or a model checker compiles
//! does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::project::Project;

/// Modules that only a model checker compiles, and what only tests have.
const MODELS: &[&str] = &["sys/simulated", "testing"];

/// Refuses a circle in the core.
pub(crate) fn check(project: &Project) -> Result<()> {
    let root = project.root.join("crates/zerobuffer/src");
    let mut files = Vec::new();
    sources(&root, &root, &mut files).context("the sources of the core")?;
    let circles = circles(&files);
    for circle in &circles {
        println!("{circle}");
    }
    if !circles.is_empty() {
        bail!("{} circles of imports in {}", circles.len(), root.display());
    }
    println!("imports: {} files of the core, no circle", files.len());
    Ok(())
}

fn sources(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(root, &path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root)?.with_extension("").display().to_string();
            found.push((name.replace('\\', "/"), fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

/// A module's path below the crate.
type Module = Vec<String>;

/// One source file.
#[derive(Default)]
struct Source {
    /// What it declares, at any depth.
    declares: BTreeSet<String>,
    /// Names that it gives on, with the path of each; the name `*` for all of a module.
    gives_on: Vec<(String, Module)>,
    /// Every path in it that leads somewhere in the crate, from the crate's root.
    names: Vec<Module>,
}

/// Every circle between modules of one folder, as a line of text. A file is its path without the
/// ending, and its text.
fn circles(files: &[(String, String)]) -> Vec<String> {
    let modules: BTreeSet<Module> = files.iter().map(|(path, _)| module(path)).collect();
    let sources: BTreeMap<Module, Source> = files
        .iter()
        .filter(|(path, _)| !is_of_models(path))
        .map(|(path, text)| (module(path), Source::read(&module(path), text, &modules)))
        .collect();
    // At each level: which module names which, and one place that shows it.
    let mut levels: BTreeMap<Module, BTreeMap<String, BTreeMap<String, String>>> = BTreeMap::new();
    for (from, source) in &sources {
        for path in &source.names {
            let targets = resolve(path, &sources, &mut BTreeSet::new());
            // One of the systems' own modules has each name: only one of them is compiled.
            if targets.iter().any(|to| is_within(from, to) || is_within(to, from)) {
                continue;
            }
            let own = targets.iter().map(|to| shared(from, to)).max().unwrap_or_default();
            for to in targets.iter().filter(|to| shared(from, to) == own) {
                let (Some(one), Some(other)) = (from.get(own), to.get(own)) else { continue };
                let place = format!("{} names {}", from.join("/"), path.join("::"));
                let level = levels.entry(from.iter().take(own).cloned().collect()).or_default();
                level.entry(one.clone()).or_default().entry(other.clone()).or_insert(place);
            }
        }
    }
    levels.iter().filter_map(|(folder, edges)| circle(folder, edges)).collect()
}

fn module(path: &str) -> Module {
    let mut parts: Module = path.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
        parts.pop();
    }
    parts
}

fn is_of_models(path: &str) -> bool {
    MODELS.iter().any(|model| path.starts_with(model)) || path.split('/').any(|part| part == "tests")
}

fn is_within(inner: &Module, outer: &Module) -> bool {
    inner.starts_with(outer)
}

/// How many levels two modules have in common.
fn shared(one: &Module, other: &Module) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

/// The modules in which what a path names is declared.
fn resolve(
    path: &Module,
    sources: &BTreeMap<Module, Source>,
    seen: &mut BTreeSet<Module>,
) -> BTreeSet<Module> {
    let mut found = BTreeSet::new();
    if !seen.insert(path.clone()) {
        return found;
    }
    let known = (0..=path.len()).rev().find_map(|len| {
        let (module, rest) = path.split_at_checked(len)?;
        Some((sources.get_key_value(module)?, rest))
    });
    let Some(((module, source), rest)) = known else { return found };
    let Some((name, rest)) = rest.split_first().filter(|(name, _)| !source.declares.contains(*name)) else {
        found.insert(module.clone());
        return found;
    };
    for (given, target) in &source.gives_on {
        let further: Vec<String> = if given == name {
            target.iter().chain(rest).cloned().collect()
        } else if given == "*" {
            target.iter().chain([name]).chain(rest).cloned().collect()
        } else {
            continue;
        };
        found.extend(resolve(&further, sources, seen));
    }
    found
}

/// The modules of a folder that stand in a circle: those from which one comes back.
fn circle(folder: &Module, edges: &BTreeMap<String, BTreeMap<String, String>>) -> Option<String> {
    let reached = |start: &String| {
        let mut reached: BTreeSet<&String> = BTreeSet::new();
        let mut open: Vec<&String> = edges.get(start).into_iter().flat_map(BTreeMap::keys).collect();
        while let Some(next) = open.pop() {
            if reached.insert(next) {
                open.extend(edges.get(next).into_iter().flat_map(BTreeMap::keys));
            }
        }
        reached
    };
    let inside: BTreeSet<&String> = edges.keys().filter(|start| reached(start).contains(start)).collect();
    let places = |one| edges.get(one).into_iter().flatten().filter(|(other, _)| inside.contains(other));
    let places: Vec<&str> =
        inside.iter().flat_map(|one| places(*one)).map(|(_, place)| place.as_str()).collect();
    let names: Vec<&str> = inside.iter().map(|name| name.as_str()).collect();
    let folder = if folder.is_empty() { "the crate".to_owned() } else { folder.join("/") };
    (!inside.is_empty()).then(|| format!("{folder}: {} in a circle: {}", names.join(", "), places.join("; ")))
}

impl Source {
    fn read(own: &Module, text: &str, modules: &BTreeSet<Module>) -> Self {
        let words = without_models(&words(text));
        let mut source = Self::default();
        let mut imported: BTreeMap<String, Module> = BTreeMap::new();
        let mut at = 0;
        while let Some(word) = words.get(at) {
            let next = words.get(at + 1);
            let before = at.checked_sub(1).and_then(|before| words.get(before)).map(String::as_str);
            match word.as_str() {
                "fn" | "struct" | "enum" | "trait" | "const" | "static" | "type" | "union" => {
                    source.declares.extend(next.cloned());
                }
                "macro_rules" => source.declares.extend(words.get(at + 2).cloned()),
                "use" => {
                    let is_given_on = matches!(before, Some("pub" | ")"));
                    let end = words.iter().skip(at).position(|word| word == ";").unwrap_or_default();
                    for (path, name) in tree(words.get(at + 1..at + end).unwrap_or_default()) {
                        let Some(path) = from_root(own, &path, modules) else { continue };
                        if is_given_on {
                            source.gives_on.push((name, path));
                        } else {
                            imported.insert(name, path.clone());
                            source.names.push(path);
                        }
                    }
                    at += end;
                }
                // A path in the code; one begins where no other one goes on.
                _ if next.is_some_and(|next| next == "::") && before != Some("::") => {
                    let parts = words.iter().skip(at).step_by(2).zip(words.iter().skip(at + 1).step_by(2));
                    let mut path: Module =
                        parts.take_while(|(_, mark)| *mark == "::").map(|(part, _)| part.clone()).collect();
                    path.extend(words.get(at + 2 * path.len()).cloned());
                    let first = path.first().and_then(|first| imported.get(first));
                    let known = first.map(|known| known.iter().chain(path.iter().skip(1)).cloned().collect());
                    source.names.extend(known.or_else(|| from_root(own, &path, modules)));
                }
                _ => {}
            }
            at += 1;
        }
        source
    }
}

/// A path from the crate's root; `None` for one that leads out of the crate.
fn from_root(own: &Module, path: &[String], modules: &BTreeSet<Module>) -> Option<Module> {
    let ups = path.iter().take_while(|part| *part == "super").count();
    let rest = path.get(ups..)?;
    let (start, rest) = match rest.first()?.as_str() {
        "crate" => (&[][..], rest.get(1..)?),
        "self" => (own.as_slice(), rest.get(1..)?),
        _ => (own.as_slice(), rest),
    };
    let start = start.get(..start.len().checked_sub(ups)?)?;
    let known = ups > 0 || path.first().is_some_and(|first| first == "crate" || first == "self") || {
        let child: Module = start.iter().chain(rest.first()).cloned().collect();
        modules.contains(&child)
    };
    known.then(|| start.iter().chain(rest).cloned().collect())
}

/// The paths of a tree of imports, each with the name it gets.
fn tree(words: &[String]) -> Vec<(Module, String)> {
    let mut found = Vec::new();
    // What stands before each brace that is open.
    let mut before: Vec<Module> = vec![Vec::new()];
    let mut path: Module = Vec::new();
    let mut name = None;
    let mut at = 0;
    while at <= words.len() {
        match words.get(at).map(String::as_str) {
            Some("::") => {}
            Some("{") => before.push(std::mem::take(&mut path)),
            Some("as") => {
                at += 1;
                name = words.get(at).cloned();
            }
            mark @ (Some("," | "}") | None) => {
                if !path.is_empty() {
                    let mut whole: Module = before.iter().flatten().chain(&path).cloned().collect();
                    if whole.len() > 1 {
                        whole.pop_if(|last| last == "self" || last == "*");
                    }
                    let is_glob = path.last().is_some_and(|last| last == "*");
                    let last = if is_glob { Some("*".to_owned()) } else { whole.last().cloned() };
                    found.extend(name.take().or(last).map(|name| (whole, name)));
                    path.clear();
                }
                if mark == Some("}") {
                    before.pop();
                }
            }
            Some(word) => path.push(word.to_owned()),
        }
        at += 1;
    }
    found
}

/// The words of the code and its marks, without comments and texts.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(len) = text_len(rest) {
            len
        } else if first.is_alphanumeric() || first == '_' {
            let len = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            words.extend(rest.get(..len).map(str::to_owned));
            len
        } else if rest.starts_with("::") {
            words.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                words.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = rest.get(len..).unwrap_or_default();
    }
    words
}

/// How long the text or character is that begins here.
fn text_len(rest: &str) -> Option<usize> {
    let plain = rest.strip_prefix('b').or_else(|| rest.strip_prefix('c')).unwrap_or(rest);
    let prefix = rest.len() - plain.len();
    if let Some(raw) = plain.strip_prefix('r') {
        let signs = raw.len() - raw.trim_start_matches('#').len();
        let body = raw.get(signs..)?.strip_prefix('"')?;
        let end = format!("\"{}", "#".repeat(signs));
        return Some(prefix + 1 + signs + 1 + body.find(&end)? + end.len());
    }
    let quote = plain.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    let body = plain.get(1..)?;
    // A lifetime has no second quote behind its first character.
    if quote == '\'' && !body.starts_with('\\') && body.chars().nth(1) != Some('\'') {
        return None;
    }
    let mut escaped = false;
    let end = body.char_indices().find(|(_, c)| {
        let ends = *c == quote && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    })?;
    Some(prefix + 1 + end.0 + 1)
}

/// The words without what only tests, model checkers and crash points compile.
fn without_models(words: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    let mut rest = words;
    while let Some((word, after)) = rest.split_first() {
        let is_attribute = word == "#" && after.first().is_some_and(|mark| mark == "[");
        let end = if is_attribute { balanced(after, "[", "]") } else { 0 };
        let attribute = after.get(1..end).unwrap_or_default();
        let is_model = attribute.first().is_some_and(|word| word == "cfg")
            && !attribute.iter().any(|word| word == "not")
            && attribute
                .iter()
                .any(|word| matches!(word.as_str(), "test" | "loom" | "shuttle" | "crash_points"));
        if is_model {
            rest = after.get(end + 1..).unwrap_or_default();
            rest = rest.get(item_len(rest)..).unwrap_or_default();
        } else if is_attribute {
            rest = after.get(end + 1..).unwrap_or_default();
        } else {
            kept.push(word.clone());
            rest = after;
        }
    }
    kept
}

/// How many words the item, field or statement has that begins here.
fn item_len(words: &[String]) -> usize {
    let (mut depth, is_import) = (0_usize, words.iter().take(5).any(|word| word == "use"));
    for (at, word) in words.iter().enumerate() {
        match word.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" if depth == 0 => return at,
            ")" | "]" => depth -= 1,
            "}" => {
                depth -= 1;
                if depth == 0 && !is_import {
                    return at + 1;
                }
            }
            ";" | "," if depth == 0 => return at + 1,
            _ => {}
        }
    }
    words.len()
}

/// Where the bracket closes that opens first.
fn balanced(words: &[String], open: &str, close: &str) -> usize {
    let mut depth = 0_usize;
    for (at, word) in words.iter().enumerate() {
        depth += usize::from(word == open);
        if word == close {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return at;
            }
        }
    }
    words.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        circles(
            &files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn the_core_has_no_circle() {
        check(&Project::locate().unwrap()).unwrap();
    }

    #[test]
    fn neighbours_that_name_each_other_are_found() {
        let one = ("a", "use super::b::B;\npub struct A;");
        let there = found(&[("lib", "mod a; mod b;"), one, ("b", "pub struct B; fn f() { crate::a::A; }")]);
        assert_eq!(there.len(), 1);
        assert!(there[0].starts_with("the crate: a, b in a circle: "), "{there:?}");
        assert!(there[0].contains("a names b::B") && there[0].contains("b names a::A"), "{there:?}");
        assert_eq!(found(&[("lib", "mod a; mod b;"), one, ("b", "pub struct B;")]), Vec::<String>::new());
    }

    #[test]
    fn a_circle_over_folders_and_names_that_are_given_on_is_found() {
        let files = [
            ("lib", "mod link; mod ring;"),
            ("link/mod", "mod peer; pub(crate) use peer::*;"),
            ("link/peer", "use crate::{ring::{self, Place as P}, x}; pub struct Peer;"),
            ("ring/mod", "mod place; pub use self::place::Place;"),
            ("ring/place", "pub struct Place(crate::link::Peer);"),
        ];
        let there = found(&files);
        assert!(there.len() == 1 && there[0].contains("ring/place names link::Peer"), "{there:?}");
        // Of three, over what a module is called where it is used.
        let three = [
            ("sys/mod", "mod a; mod b; mod c; pub fn f() {}"),
            ("sys/a", "use crate::sys; fn f() { sys::b::g() }"),
            ("sys/b", "use super::{c}; pub fn g() { c::h() }"),
            ("sys/c", "pub fn h() { super::a::f() }"),
        ];
        assert!(found(&three)[0].starts_with("sys: a, b, c in a circle"), "{:?}", found(&three));
    }

    #[test]
    fn parents_and_children_tests_and_models_do_not_count() {
        let files = [
            ("lib", "mod a; mod b; pub use a::A;"),
            ("a/mod", "mod child; use child::Child; pub struct A; pub const fn size() {}"),
            ("a/child", "use super::{size, A}; pub struct Child;"),
            ("b", "use crate::A; // crate::b::B\nconst TEXT: &str = \"use crate::b::B\"; struct B;"),
            (
                "a/more",
                "#[cfg(test)]\nmod tests { use crate::b::B; }\n#[cfg(any(loom, shuttle))]\nuse crate::b::{B};",
            ),
            ("a/tests", "use crate::b::B;"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }
}
