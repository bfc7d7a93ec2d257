//! The rules: how wide a line and how long a sentence may be, and which words are private ones.

use super::text::{Block, Line, Word, paragraphs, sentences};

/// Columns of a line of prose.
const COLUMNS: usize = 100;
/// Words of a sentence.
const WORDS: usize = 25;

/// What is wrong at a line.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) line: usize,
    pub(super) what: String,
}

/// Words that a reader of this project alone understands, and what to say in their place.
const PRIVATE: &[(&str, &str)] = &[
    ("in vain", "without success"),
    ("ours", "native, or this process's"),
    ("told", "reported, published, distinguished"),
    ("whoever", "name the subject"),
    ("who finds", "name the subject"),
    ("who looks", "name the subject"),
    ("who takes", "name the subject"),
    ("who waits", "name the subject"),
    ("in the next moment", "at once"),
    ("as far as", "where, or if"),
    ("looks again", "polls again"),
    ("look again", "poll again"),
    ("swallow", "take"),
    ("swallowed", "taken"),
    ("swallows", "takes"),
    ("old writer", "legacy writer"),
    ("old writer's", "legacy writer's"),
    ("old writers", "legacy writers"),
    ("old reader", "legacy reader"),
    ("old reader's", "legacy reader's"),
    ("old readers", "legacy readers"),
    ("old peer", "legacy peer"),
    ("old peers", "legacy peers"),
    ("old endpoint", "legacy endpoint"),
    ("old endpoints", "legacy endpoints"),
    ("old client", "legacy client"),
    ("old clients", "legacy clients"),
    ("old server", "legacy server"),
];

pub(super) fn check(block: &Block) -> Vec<Fault> {
    let mut faults = Vec::new();
    for paragraph in paragraphs(block) {
        if !paragraph.table {
            faults.extend(paragraph.lines.iter().filter_map(|line| too_wide(line)));
        }
        for sentence in sentences(&paragraph) {
            if !paragraph.table {
                faults.extend(too_long(&sentence));
            }
            faults.extend(private(&sentence));
            if block.public {
                faults.extend(rule_number(&sentence));
            }
        }
    }
    faults
}

fn too_wide(line: &Line) -> Option<Fault> {
    let width = line.whole.chars().count();
    // An address cannot be broken.
    let exempt = line.text.contains("](") || line.text.contains("://");
    (width > COLUMNS && !exempt).then(|| Fault {
        line: line.number,
        what: format!("the line has {width} columns: break it at {COLUMNS}"),
    })
}

fn too_long(sentence: &[Word]) -> Option<Fault> {
    let counts = |word: &&Word| word.text.chars().any(char::is_alphanumeric);
    let count = sentence.iter().filter(counts).count();
    (count > WORDS).then(|| {
        fault(sentence, &format!("the sentence has {count} words: make two of it, at most {WORDS} each"))
    })
}

fn private(sentence: &[Word]) -> Vec<Fault> {
    let bare = |word: &Word| word.text.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let text = format!(" {} ", sentence.iter().map(bare).collect::<Vec<_>>().join(" "));
    let mut faults = Vec::new();
    for (word, better) in PRIVATE {
        if text.contains(&format!(" {word} ")) {
            faults.push(fault(sentence, &format!("\"{word}\" is a private word: say \"{better}\"")));
        }
    }
    if bare_who(sentence) {
        faults.push(fault(sentence, "\"who\" is no subject: name the reader, the writer, the process"));
    }
    let joined = |pair: &[Word]| matches!(pair, [before, so, that] if before.text.ends_with(',') && so.text == "so" && that.text == "that");
    if sentence.windows(3).any(joined) {
        faults
            .push(fault(sentence, "\", so that\": say \", so\" for what follows, \"so that\" for a purpose"));
    }
    faults
}

/// Whether "who" is the subject of the sentence, or of what follows a colon or a semicolon.
fn bare_who(sentence: &[Word]) -> bool {
    let is_who = |word: &Word| word.text.eq_ignore_ascii_case("who");
    let after_stop =
        |pair: &[Word]| matches!(pair, [before, who] if before.text.ends_with([':', ';']) && is_who(who));
    let question = sentence.last().is_some_and(|word| word.text.contains('?'));
    let starts = sentence.iter().find(|word| word.text != "#").is_some_and(is_who);
    !question && (starts || sentence.windows(2).any(after_stop))
}

/// A letter of PROTOCOL.md's or DESIGN.md's rules with its number: W8, D5, P3.
fn rule_number(sentence: &[Word]) -> Option<Fault> {
    let is_rule = |word: &Word| {
        word.text.split(|c: char| !c.is_alphanumeric()).any(|part| {
            let digits = part.strip_prefix(['W', 'D', 'N', 'P']).unwrap_or_default();
            matches!(digits.len(), 1 | 2) && digits.chars().all(|c| c.is_ascii_digit())
        })
    };
    sentence.iter().any(is_rule).then(|| {
        fault(sentence, "a rule's number means nothing to a user: say the rule, or link to PROTOCOL.md")
    })
}

fn fault(sentence: &[Word], what: &str) -> Fault {
    let words = sentence.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    Fault { line: sentence.first().map_or(0, |word| word.line), what: format!("{what}\n    {words}") }
}

#[cfg(test)]
mod tests {
    use super::super::markdown::blocks;
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        blocks(text).iter().flat_map(check).map(|fault| fault.what).collect()
    }

    #[test]
    fn twenty_five_words_pass_and_twenty_six_do_not() {
        assert_eq!(faults(&format!("{}end.", "a ".repeat(24))), [""; 0]);
        let found = faults(&format!("{}end.", "a ".repeat(25)));
        assert!(found.len() == 1 && found[0].contains("26 words"), "{found:?}");
    }

    #[test]
    fn a_line_may_be_wide_for_an_address_a_table_or_code_only() {
        let wide = "w".repeat(120);
        assert_eq!(faults(&format!("See [it]({wide}).\n\n| {wide} |\n\n```\n{wide}\n```\n")), [""; 0]);
        assert_eq!(faults(&wide).len(), 1);
    }

    #[test]
    fn private_words_are_found_as_whole_words_also_in_tables() {
        assert_eq!(faults("The hours of old. It stood, so it fell."), [""; 0]);
        assert_eq!(faults("| a writer of ours |").len(), 1);
        assert_eq!(faults("Whoever finds it, looks again.").len(), 2);
        assert_eq!(faults("It stood, so that it fell.").len(), 1);
        assert_eq!(faults("Who reads it waits.").len(), 1);
        assert_eq!(faults("It is free: who reads it waits.").len(), 1);
        assert_eq!(faults("Who reads it?"), [""; 0]);
    }

    #[test]
    fn rule_numbers_are_forbidden_to_users_only() {
        let mut block = blocks("By W8, and (N14). Formats P010, NV12 and I420.").remove(0);
        assert!(check(&block).is_empty());
        block.public = true;
        assert_eq!(check(&block).len(), 1);
    }
}
