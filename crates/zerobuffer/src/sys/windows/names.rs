//! What the objects of a buffer are called (W1): the reader's, which are C#'s, and C++'s.
//!
//! The implementations agree on nothing here. C# makes `N`, `sem-w-N` and `sem-r-N` in the
//! namespace of the session; C++ makes `Global\N`, `Global\sem-/sem-w-N` and `Global\sem-/sem-r-N`
//! in that of the machine. A native reader makes the former, or with `BufferConfig::global` the
//! latter; a native writer looks for both.
//!
//! A buffer's name has no `/`, so a native endpoint's further objects, which have one, are nobody's
//! buffer.

use crate::{
    error::{Error, Result},
    layout::name,
    sys::{Role, Signal},
};

/// Which processes see the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Namespace {
    /// Those of this session; names as in C#.
    Session,
    /// All; names as in C++.
    Machine,
}

impl Namespace {
    /// In the order in which a writer looks.
    pub(super) const ALL: [Self; 2] = [Self::Session, Self::Machine];

    pub(super) fn of(global: bool) -> Self {
        if global { Self::Machine } else { Self::Session }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Session => "",
            Self::Machine => r"Global\",
        }
    }

    pub(super) fn segment(self, name: &str) -> String {
        format!("{}{name}", self.prefix())
    }

    pub(super) fn semaphore(self, name: &str, signal: Signal) -> String {
        let letter = match signal {
            Signal::Data => 'w',
            Signal::Space => 'r',
        };
        match self {
            Self::Session => format!("sem-{letter}-{name}"),
            Self::Machine => format!(r"Global\sem-/sem-{letter}-{name}"),
        }
    }

    /// The page in which a native reader says that it is one.
    pub(super) fn notes(self, name: &str) -> String {
        format!("{}zerobuffer/notes/{name}", self.prefix())
    }

    /// The event whose existence means that the role's endpoint of a segment lives.
    pub(super) fn presence(self, identity: &str, role: Role) -> String {
        format!("{}zerobuffer/{identity}/{}", self.prefix(), role_name(role))
    }

    /// The events whose number is the endpoint's capability level.
    pub(super) fn level(self, identity: &str, role: Role, level: u8) -> String {
        format!("{}zerobuffer/{identity}/{}-level-{level}", self.prefix(), role_name(role))
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Reader => "reader",
        Role::Writer => "writer",
        Role::Claim => "claim",
    }
}

/// What messages call a segment that may be in either namespace.
pub(crate) fn segment_name(name: &str) -> String {
    Namespace::Session.segment(name)
}

/// What every system asks of a name, and three things more. It has no separator of namespaces, is
/// no name of semaphores, and is one that the lock file could have.
pub(crate) fn check_name(text: &str) -> Result<()> {
    name::check(text)?;
    let reason = if text.contains('\\') {
        r"it contains '\', which separates namespaces"
    } else if text.starts_with("sem-w-") || text.starts_with("sem-r-") {
        "it starts as the name of a semaphore does"
    } else if text.chars().any(|c| r#"<>:"|?*"#.contains(c) || u32::from(c) < 32) {
        "it contains a character that no file name has here, and its lock file is called after it"
    } else if is_device(text) {
        "it is the name of a device, and its lock file is called after it"
    } else {
        return Ok(());
    };
    Err(Error::InvalidName { name: text.to_owned(), reason })
}

/// Names that mean a device whatever follows their first dot.
fn is_device(text: &str) -> bool {
    let stem = text.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix)
            .is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL") || numbered("COM") || numbered("LPT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "with space", "ümlaut", "CONsole", "COM10", "a.con"] {
            check_name(good).unwrap();
        }
        for bad in [r"Global\a", "sem-w-a", "sem-r-a", "a:b", "a*", "a\tb", "con", "NUL.x", "com1", ""] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert_eq!(Namespace::Session.semaphore("cam", Signal::Data), "sem-w-cam");
        assert_eq!(Namespace::Machine.semaphore("cam", Signal::Space), r"Global\sem-/sem-r-cam");
        assert_eq!(Namespace::Machine.segment("cam"), r"Global\cam");
    }
}
