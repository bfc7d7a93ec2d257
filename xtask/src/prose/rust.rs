//! The comments of a Rust source.

use super::text::{Block, Line};

/// Crates whose documentation users read, on docs.rs or as docstrings.
const PUBLIC: &[&str] =
    &["crates/zerobuffer/src/", "crates/zerobuffer-video/src/", "crates/zerobuffer-python/src/"];

/// Modules that users see; the others' own documentation is for those who change them.
const MODULES: &[&str] = &["/lib.rs", "zerobuffer/src/duplex/mod.rs", "zerobuffer/src/observe/mod.rs"];

/// What the scan is inside of at the end of a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    String,
    /// With this many number signs.
    Raw(usize),
}

pub(super) fn blocks(path: &str, source: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut state = State::Code;
    // The mark and the indentation of the comment that the line before belongs to.
    let mut open: Option<(&str, usize)> = None;
    for (index, whole) in source.lines().enumerate() {
        let Some(start) = comment(whole, &mut state) else {
            // An attribute stands between the words and what they are about.
            if open.is_some_and(|(mark, _)| mark == "///") && is_attribute(whole) {
                continue;
            }
            if open.take().is_some_and(|(mark, _)| mark == "///")
                && let Some(block) = blocks.last_mut()
            {
                block.public = is_published(path) && is_public(whole);
            }
            continue;
        };
        let (before, comment) = whole.split_at(start);
        let mark = ["///", "//!", "//"].into_iter().find(|mark| comment.starts_with(mark)).unwrap_or("//");
        let line = Line {
            number: index + 1,
            text: comment.get(mark.len()..).unwrap_or_default().to_owned(),
            whole: whole.to_owned(),
        };
        let alone = before.trim().is_empty();
        match blocks.last_mut().filter(|_| alone && open == Some((mark, start))) {
            Some(block) => block.lines.push(line),
            None => blocks.push(Block { lines: vec![line], public: mark == "//!" && is_public_module(path) }),
        }
        open = alone.then_some((mark, start));
    }
    blocks
}

fn is_public_module(path: &str) -> bool {
    is_published(path) && MODULES.iter().any(|end| path.ends_with(end))
}

fn is_published(path: &str) -> bool {
    PUBLIC.iter().any(|start| path.starts_with(start))
}

/// An attribute that says nothing of whether users see the item.
fn is_attribute(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("#[") && !line.starts_with("#[py")
}

/// The item under a doc comment is one that users may see: public, a variant, or a method of Python's.
fn is_public(item: &str) -> bool {
    let item = item.trim_start();
    item.starts_with("pub ") || item.starts_with("#[py") || item.starts_with(|c: char| c.is_ascii_uppercase())
}

/// Where the comment of a line begins, if it has one.
fn comment(line: &str, state: &mut State) -> Option<usize> {
    let mut at = 0;
    while let Some(rest) = line.get(at..)
        && let Some(first) = rest.chars().next()
    {
        at += match *state {
            State::Code if rest.starts_with("//") => return Some(at),
            State::Code if first == '"' => {
                let before = line.get(..at).unwrap_or_default();
                let opener = before.trim_end_matches('#');
                let signs = before.len() - opener.len();
                *state = if opener.ends_with('r') { State::Raw(signs) } else { State::String };
                1
            }
            State::Code if first == '\'' => character(rest),
            State::String if first == '\\' => 1 + rest.chars().nth(1).map_or(0, char::len_utf8),
            _ => {
                if first == '"' && *state != State::Code && closes(rest, *state) {
                    *state = State::Code;
                }
                first.len_utf8()
            }
        };
    }
    None
}

/// Whether the quote that `rest` begins with ends the string.
fn closes(rest: &str, state: State) -> bool {
    let State::Raw(signs) = state else { return true };
    rest.chars().skip(1).take_while(|&c| c == '#').count() >= signs
}

/// The bytes of a character in quotes; of a lifetime only those of its mark.
fn character(rest: &str) -> usize {
    let mut chars = rest.chars().skip(1);
    match (chars.next(), chars.next()) {
        (Some('\\'), Some(_)) => 4,
        (Some(c), Some('\'')) => 2 + c.len_utf8(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<(usize, String)> {
        let join = |block: &Block| {
            let texts = block.lines.iter().map(|line| line.text.trim());
            (block.lines[0].number, texts.collect::<Vec<_>>().join(" "))
        };
        blocks("crates/zerobuffer/src/a.rs", source).iter().map(join).collect()
    }

    #[test]
    fn lines_of_one_comment_belong_together() {
        let source = "//! Module.\n\n/// One\n/// two.\nfn f() {\n    // in\n    g(); // after\n}\n";
        let expected = [(1, "Module."), (3, "One two."), (6, "in"), (7, "after")];
        assert_eq!(texts(source), expected.map(|(line, text)| (line, text.to_owned())));
    }

    #[test]
    fn strings_and_characters_hold_no_comments() {
        let source = "let a = \"http://x\";\nlet b = r#\"\" // no\n// no\n\"#; // yes\nlet c = ['\"', '\\\"'];\n// last\n";
        assert_eq!(texts(source), [(4, "yes".to_owned()), (6, "last".to_owned())]);
    }

    #[test]
    fn only_what_users_see_is_public() {
        let public = |source: &str| blocks("crates/zerobuffer/src/a.rs", source)[0].public;
        assert!(public("/// a\npub fn f() {}\n") && public("/// a\nVariant,\n") && !public("//! a\n"));
        assert!(blocks("crates/zerobuffer/src/lib.rs", "//! a\n")[0].public);
        assert!(public("/// a\n#[must_use]\npub fn f() {}\n"));
        assert!(!public("/// a\npub(crate) fn f() {}\n") && !public("// a\npub fn f() {}\n"));
        assert!(!blocks("xtask/src/a.rs", "/// a\npub fn f() {}\n")[0].public);
    }
}
