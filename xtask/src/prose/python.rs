//! The comments and docstrings of a Python source.

use super::text::{Block, Line};

pub(super) fn blocks(source: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    // The quotes of the string that a line begins in, and whether it is a docstring.
    let mut inside: Option<(&str, bool)> = None;
    let mut comment_at: Option<usize> = None;
    // The last line that is not empty.
    let mut before = "";
    for (index, whole) in source.lines().enumerate() {
        let line = |text: &str| Line { number: index + 1, text: text.to_owned(), whole: whole.to_owned() };
        if let Some((quotes, docstring)) = inside {
            let (text, after) =
                whole.split_once(quotes).map_or((whole, None), |(text, after)| (text, Some(after)));
            if let Some(block) = blocks.last_mut().filter(|_| docstring) {
                block.lines.push(line(text));
            }
            inside = after.is_none().then_some((quotes, docstring));
            continue;
        }
        let code = whole.trim_start();
        let unprefixed = code.trim_start_matches(['r', 'R']);
        let is_argument = before.ends_with(['(', ',', '=', '[', '{', '+', '\\']);
        before = if code.is_empty() { before } else { code.trim_end() };
        if !is_argument
            && let Some(quotes) = ["\"\"\"", "'''"].into_iter().find(|quotes| unprefixed.starts_with(quotes))
        {
            let text = unprefixed.get(quotes.len()..).unwrap_or_default();
            let (text, ended) = text.split_once(quotes).map_or((text, false), |(text, _)| (text, true));
            blocks.push(Block { lines: vec![line(text)], public: true });
            inside = (!ended).then_some((quotes, true));
            comment_at = None;
            continue;
        }
        let (found, opened) = scan(whole);
        inside = opened.map(|quotes| (quotes, false));
        let Some(start) = found else {
            comment_at = None;
            continue;
        };
        let Some((before, comment)) = whole.split_at_checked(start) else { continue };
        let alone = before.trim().is_empty();
        if is_pragma(comment) {
            comment_at = None;
            continue;
        }
        let text = line(comment.trim_start_matches(['#', ':', '!']));
        match blocks.last_mut().filter(|_| alone && comment_at == Some(start)) {
            Some(block) => block.lines.push(text),
            None => blocks.push(Block { lines: vec![text], public: false }),
        }
        comment_at = alone.then_some(start);
    }
    blocks
}

/// A word to a tool, which has to stand on the line of its code.
fn is_pragma(comment: &str) -> bool {
    let text = comment.trim_start_matches(['#', ' ']);
    text.starts_with("noqa") || text.starts_with("type: ignore")
}

/// Where the comment of a line of code begins, and the triple quotes that it leaves open.
fn scan(line: &str) -> (Option<usize>, Option<&'static str>) {
    let mut at = 0;
    let mut quote: Option<&'static str> = None;
    while at < line.len() {
        let Some(rest) = line.get(at..) else {
            at += 1;
            continue;
        };
        match quote {
            Some(_) if rest.starts_with('\\') => at += 2,
            Some(open) if rest.starts_with(open) => {
                quote = None;
                at += open.len();
            }
            Some(_) => at += 1,
            None if rest.starts_with('#') => return (Some(at), None),
            None => {
                quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|open| rest.starts_with(open));
                at += quote.map_or(1, str::len);
            }
        }
    }
    (None, quote.filter(|quote| quote.len() == 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<(usize, String, bool)> {
        let join = |block: &Block| {
            let texts = block.lines.iter().map(|line| line.text.trim());
            (block.lines[0].number, texts.collect::<Vec<_>>().join(" ").trim().to_owned(), block.public)
        };
        blocks(source).iter().map(join).collect()
    }

    #[test]
    fn docstrings_are_public_and_comments_are_not() {
        let source = "\"\"\"Module.\"\"\"\ndef f():\n    \"\"\"One\n    two.\n    \"\"\"\n    # a\n    # b\n    g()  # c\n";
        let expected = [(1, "Module.", true), (3, "One two.", true), (6, "a b", false), (8, "c", false)];
        assert_eq!(texts(source), expected.map(|(line, text, public)| (line, text.to_owned(), public)));
    }

    #[test]
    fn other_strings_are_no_prose() {
        let source = "x()  # noqa: B0 words\na = '# no'\nb = \"\"\"\n# no\n\"\"\"\nf(\n\"\"\"no\"\"\"\n)\nc = \"it's\"  # yes\n";
        assert_eq!(texts(source), [(9, "yes".to_owned(), false)]);
    }
}
