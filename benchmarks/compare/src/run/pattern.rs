//! `--only`: `KIND/SIZE/SYSTEM`, each a list of words with commas, each word exact or with a star
//! at its end.

use anyhow::{Result, bail};

/// What a measurement must match.
#[derive(Debug)]
pub(crate) struct Pattern {
    parts: [Vec<String>; 3],
}

impl Pattern {
    /// Missing parts match everything.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut parts = [const { Vec::new() }; 3];
        let mut words = text.split('/');
        for (part, list) in parts.iter_mut().zip(&mut words) {
            *part = list.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        }
        if words.next().is_some() {
            bail!("`{text}` has more than KIND/SIZE/SYSTEM");
        }
        Ok(Self { parts })
    }

    pub(crate) fn matches(&self, kind: &str, size: &str, system: &str) -> bool {
        let fits = |words: &[String], name: &str| {
            words.is_empty()
                || words.iter().any(|word| match word.strip_suffix('*') {
                    Some(start) => name.starts_with(start),
                    None => name == word,
                })
        };
        self.parts.iter().zip([kind, size, system]).all(|(words, name)| fits(words, name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_lists_and_missing_ones_match_all() {
        let pattern = Pattern::parse("stream,loan/64/ours,py-*").unwrap();
        assert!(pattern.matches("loan", "64", "ours") && pattern.matches("stream", "64", "py-zmq"));
        assert!(!pattern.matches("trip", "64", "ours"));
        assert!(!pattern.matches("loan", "64k", "ours"));
        assert!(!pattern.matches("loan", "64", "ours-spin"));
        assert!(Pattern::parse("//floor").unwrap().matches("trip", "1m", "floor"));
        assert!(Pattern::parse("fps").unwrap().matches("fps", "1m", "x"));
        assert!(Pattern::parse("a/b/c/d").is_err());
    }
}
