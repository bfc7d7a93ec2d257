//! One thing that was looked at.

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Ok,
    /// Worth knowing, and nothing to do.
    Note,
    /// Streams work now, and will meet it some day.
    Warning,
    /// No buffer like that can be made.
    Problem,
}

impl Level {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Problem => "PROBLEM",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at; programs may compare it.
    pub(super) about: &'static str,
    pub(super) level: Level,
    pub(super) found: String,
    /// What helps, one way each.
    pub(super) remedies: Vec<String>,
}

impl Finding {
    pub(super) fn ok(about: &'static str, found: impl Into<String>) -> Self {
        Self { about, level: Level::Ok, found: found.into(), remedies: Vec::new() }
    }

    pub(super) fn note(about: &'static str, found: impl Into<String>) -> Self {
        Self { level: Level::Note, ..Self::ok(about, found) }
    }

    pub(super) fn warning(about: &'static str, found: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::ok(about, found) }
    }

    pub(super) fn problem(about: &'static str, found: impl Into<String>) -> Self {
        Self { level: Level::Problem, ..Self::ok(about, found) }
    }

    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedies.push(remedy.into());
        self
    }
}
