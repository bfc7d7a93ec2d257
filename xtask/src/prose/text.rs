//! Prose as the rules see it: blocks of lines, and the sentences in them.

/// One line of prose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: usize,
    /// Without the marks of a comment.
    pub(super) text: String,
    /// As it stands in the file.
    pub(super) whole: String,
}

/// Lines that belong together: a Markdown paper, one comment, one docstring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) lines: Vec<Line>,
    /// Users of the library read it: PROTOCOL.md's rule numbers mean nothing to them.
    pub(super) public: bool,
}

/// Lines that make one text: a paragraph, an item of a list, a heading, a row of a table.
#[derive(Clone, Debug, Default)]
pub(super) struct Paragraph<'a> {
    pub(super) lines: Vec<&'a Line>,
    pub(super) table: bool,
}

/// The paragraphs of a block by the rules of Markdown, without code, HTML and link definitions.
pub(super) fn paragraphs(block: &Block) -> Vec<Paragraph<'_>> {
    let mut found: Vec<Paragraph<'_>> = Vec::new();
    let (mut fenced, mut open) = (false, false);
    for line in &block.lines {
        let text = line.text.trim();
        if text.starts_with("```") {
            fenced = !fenced;
            open = false;
        } else if fenced || text.is_empty() || is_markup(text) {
            open = false;
        } else if text.starts_with('|') {
            found.push(Paragraph { lines: vec![line], table: true });
            open = false;
        } else if text.starts_with('#') {
            found.push(Paragraph { lines: vec![line], table: false });
            open = false;
        } else {
            let last = found.last_mut().filter(|last| open && !begins(line, &last.lines));
            match last {
                Some(paragraph) => paragraph.lines.push(line),
                None => found.push(Paragraph { lines: vec![line], table: false }),
            }
            open = true;
        }
    }
    found
}

/// HTML, the definition of a link, or an example of the Python prompt.
fn is_markup(text: &str) -> bool {
    let defines = text.starts_with('[') && text.contains("]: ");
    text.starts_with('<') || defines || text.starts_with(">>>") || text.starts_with("...")
}

/// Whether a line begins a text of its own after the lines of another one: an item of a list, or
/// what the indentation sets apart, as in the sections of a docstring.
fn begins(line: &Line, before: &[&Line]) -> bool {
    let (Some(first), Some(last)) = (before.first(), before.last()) else { return true };
    let (here, there) = (indentation(line), indentation(last));
    let opens = before.len() == 1 && last.text.trim_end().ends_with(':') && here > there;
    let entry = here == indentation(first) && is_entry(&line.text) && is_entry(&first.text);
    starts_item(line.text.trim(), first.text.trim()) || here < there || opens || entry
}

fn indentation(line: &Line) -> usize {
    let quoted = line.whole.trim_start().starts_with(['"', 'r', '\'']) && !line.whole.ends_with(&line.text);
    let text = if quoted { &line.whole } else { &line.text };
    text.len() - text.trim_start().len()
}

/// `name: what it means`.
fn is_entry(text: &str) -> bool {
    let name = text.split_whitespace().next().unwrap_or_default();
    name.len() > 1 && name.ends_with(':')
}

/// Whether a line begins an item, after a paragraph that begins with `first`. A number that a line
/// was broken before is none, as in Markdown: only 1 begins a list.
fn starts_item(text: &str, first: &str) -> bool {
    match item(text) {
        Some("1" | "-" | "*" | "+") => true,
        Some(_) => item(first).is_some_and(|mark| mark.starts_with(|c: char| c.is_ascii_digit())),
        None => false,
    }
}

/// The mark of an item that a line begins with: a dash, a star, a plus or a number.
fn item(text: &str) -> Option<&str> {
    let mark = text.split_whitespace().next()?;
    if matches!(mark, "-" | "*" | "+") {
        return Some(mark);
    }
    let number = mark.strip_suffix(['.', ')'])?;
    (!number.is_empty() && number.chars().all(|c| c.is_ascii_digit())).then_some(number)
}

/// One word and the line it stands on.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) line: usize,
}

/// The sentences of a paragraph. A span of code counts as one word, an address as none.
pub(super) fn sentences(paragraph: &Paragraph<'_>) -> Vec<Vec<Word>> {
    let mut sentences = vec![Vec::new()];
    let mut words = words(paragraph);
    // The mark of an item is no word.
    let mark = words.first().is_some_and(|word| item(&word.text).is_some());
    for word in words.drain(usize::from(mark)..) {
        let ends = ends_sentence(&word.text);
        if let Some(sentence) = sentences.last_mut() {
            sentence.push(word);
        }
        if ends {
            sentences.push(Vec::new());
        }
    }
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}

fn words(paragraph: &Paragraph<'_>) -> Vec<Word> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut in_code, mut in_target) = (false, false);
    for line in &paragraph.lines {
        let mut before = ' ';
        for c in line.text.trim().chars().chain([' ']) {
            match c {
                '`' => {
                    in_code = !in_code;
                    if in_code {
                        word.push_str("`code`");
                    }
                }
                _ if in_code => {}
                '(' if before == ']' => in_target = true,
                ')' if in_target => in_target = false,
                _ if in_target => {}
                '[' | ']' | '*' => {}
                c if c.is_whitespace() => {
                    if !word.is_empty() {
                        words.push(Word { text: std::mem::take(&mut word), line: line.number });
                    }
                }
                c => word.push(c),
            }
            before = c;
        }
    }
    words
}

fn ends_sentence(word: &str) -> bool {
    let word = word.trim_end_matches([')', '"', '\'', '_', '”', '’']);
    let short = ["e.g.", "i.e.", "etc.", "vs.", "cf."];
    word.ends_with(['.', '?', '!']) && !short.contains(&word.trim_start_matches('(').to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> Block {
        let lines = text.lines().enumerate();
        let line = |(index, text): (usize, &str)| Line {
            number: index + 1,
            text: text.to_owned(),
            whole: text.to_owned(),
        };
        Block { lines: lines.map(line).collect(), public: false }
    }

    fn read(text: &str) -> Vec<String> {
        let block = block(text);
        let sentences = paragraphs(&block).iter().flat_map(sentences).collect::<Vec<_>>();
        let join =
            |words: &Vec<Word>| words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
        sentences.iter().map(join).collect()
    }

    #[test]
    fn a_paragraph_is_cut_at_the_ends_of_sentences_only() {
        assert_eq!(
            read("One (e.g. this)\nends. Version 1.3.0 is two!"),
            ["One (e.g. this) ends.", "Version 1.3.0 is two!"]
        );
    }

    #[test]
    fn items_headings_and_rows_are_texts_of_their_own() {
        assert_eq!(
            read("# Head\nText\n- one\n  more\n1. two\n| row |"),
            ["# Head", "Text", "one more", "two", "| row |"]
        );
    }

    #[test]
    fn sections_and_entries_of_docstrings_are_texts_of_their_own() {
        let text = "Text.\n\nArgs:\n    name: one\n        more\n    size: two\n  end";
        assert_eq!(read(text), ["Text.", "Args:", "name: one more", "size: two", "end"]);
    }

    #[test]
    fn code_and_addresses_are_no_prose() {
        assert_eq!(
            read("Call `a b. c` or [the page](http://x.y/z. w).\n```\nnot this.\n```\n[x]: y"),
            ["Call `code` or the page."]
        );
    }
}
