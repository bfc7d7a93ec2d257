//! Exit codes of the command: the one place that defines them; `--help` prints this table.
use std::fmt::Write as _;
use std::process::ExitStatus;

use crate::os;

/// How a run ended, as the shell sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// An error that has no code of its own: the operating system, an input or output file.
    Failure,
    /// The command line is wrong.
    Usage,
    /// The input is empty, malformed, cut short, or does not fit the buffer.
    Input,
    /// There is no such buffer, or the other side did not come in time.
    Absent,
    /// The buffer already has a reader or a writer, or its reader has not yet noticed the crash of
    /// the last writer.
    Taken,
    /// The other side died or went away before the end.
    PeerGone,
    /// The ring stayed full, or no frame came, for the time allowed.
    Timeout,
    /// The shared memory is damaged or speaks another protocol version.
    Corrupt,
    /// Permission denied, or not enough shared memory.
    Resources,
    /// `demo` received bytes other than those sent.
    Mismatch,
    /// The program that answers a channel's requests failed.
    Remote,
    /// `doctor` found a problem.
    Unfit,
    /// A defect of this program.
    Internal,
    /// The program that reads our output went away; nothing is printed.
    BrokenPipe,
    /// A signal ended the run, and ends the process, too: 128 + its number, as a shell reports it.
    Signal(u8),
}

/// Every code with its meaning, in the order `--help` prints them.
const TABLE: &[(Option<Exit>, &str, &str)] = &[
    (None, "0", "success"),
    (Some(Exit::Failure), "1", "another error: the operating system, an input or output file"),
    (Some(Exit::Usage), "2", "the command line is wrong"),
    (Some(Exit::Input), "3", "the input is empty, malformed, cut short, or does not fit the buffer"),
    (Some(Exit::Absent), "4", "no such buffer, or the other side did not come in time"),
    (
        Some(Exit::Taken),
        "5",
        "the buffer has a reader or writer, something else has its name, or the last one's crash is not yet noticed",
    ),
    (Some(Exit::PeerGone), "6", "the other side died or went away before the end"),
    (Some(Exit::Timeout), "7", "the ring stayed full, or no frame came, for the time allowed"),
    (Some(Exit::Corrupt), "8", "the shared memory is damaged or of another protocol version"),
    (Some(Exit::Resources), "9", "permission denied, or not enough shared memory"),
    (Some(Exit::Mismatch), "10", "demo: received bytes differ from those sent"),
    (Some(Exit::Remote), "11", "call: the program that answers the channel failed"),
    (Some(Exit::Unfit), "12", "doctor: something on this machine keeps such a buffer from being made"),
    (Some(Exit::Internal), "70", "a defect of this program"),
    (
        Some(Exit::Signal(2)),
        "130",
        "ended by Ctrl-C, as a shell tells it (128 + the signal's number; SIGTERM: 143)",
    ),
    (Some(Exit::BrokenPipe), "141", "the program that reads our output went away"),
];

impl Exit {
    /// The number handed to the shell.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Exit::Failure => 1,
            Exit::Usage => 2,
            Exit::Input => 3,
            Exit::Absent => 4,
            Exit::Taken => 5,
            Exit::PeerGone => 6,
            Exit::Timeout => 7,
            Exit::Corrupt => 8,
            Exit::Resources => 9,
            Exit::Mismatch => 10,
            Exit::Remote => 11,
            Exit::Unfit => 12,
            Exit::Internal => 70,
            Exit::BrokenPipe => 141,
            Exit::Signal(number) => number.saturating_add(128),
        }
    }
}

impl Exit {
    /// The exit that a process of our own ended with: what it means there, it means here. A signal
    /// that nobody asked for, and that no person sends to end a run, is the end of a peer.
    pub(crate) fn of_status(status: ExitStatus) -> Exit {
        if let Some(code) = status.code() {
            return Exit::of_child(code);
        }
        match os::signal_of(status) {
            Some(signal @ (os::INTERRUPT | os::TERMINATE | os::HANG_UP)) => {
                u8::try_from(signal).map_or(Exit::Failure, Exit::Signal)
            }
            _ => Exit::PeerGone,
        }
    }

    fn of_child(code: i32) -> Exit {
        let known = TABLE.iter().filter_map(|(exit, ..)| *exit).find(|exit| i32::from(exit.code()) == code);
        let signal =
            || u8::try_from(code.checked_sub(128)?).ok().filter(|signal| *signal > 0).map(Exit::Signal);
        known.or_else(signal).unwrap_or(Exit::Failure)
    }
}

/// The "Exit codes" section of `--help`.
pub(crate) fn help() -> String {
    let mut text = String::from("Exit codes:\n");
    for (_, code, meaning) in TABLE {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {code:>3}  {meaning}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_the_code_does() {
        for (exit, text, _) in TABLE {
            let code = exit.map_or(0, Exit::code);
            assert_eq!(code.to_string(), *text, "{exit:?}");
        }
    }

    #[test]
    fn codes_of_children() {
        assert_eq!(Exit::of_child(3), Exit::Input);
        assert_eq!(Exit::of_child(143), Exit::Signal(15));
        assert_eq!(Exit::of_child(99), Exit::Failure);
    }

    #[test]
    fn codes_are_distinct() {
        let mut codes: Vec<u8> = TABLE.iter().map(|(exit, ..)| exit.map_or(0, Exit::code)).collect();
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }

    #[test]
    fn help_lists_every_code() {
        assert_eq!(help().lines().count(), TABLE.len() + 1);
    }
}
