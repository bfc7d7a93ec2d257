//! The entrance to a service of several clients (D10): what it is called, what is asked there, and
//! how a client's own channel is called.

use super::{request_name, response_name};
use crate::{
    error::{Error, Result},
    sys,
};

/// Between the name of a service and that of a client.
const SEPARATOR: char = '+';
/// Digits of a client's name. Names of macOS have 30 bytes in all.
const DIGITS: usize = if cfg!(any(target_os = "macos", macos_sys)) { 8 } else { 16 };

/// Bytes of the entrance's ring. There is no room for metadata.
pub(super) const RING: u64 = 4096;

/// What a client asks.
pub(super) const ASK: &[u8] = b"channel?";
const ADMITTED: &str = "channel ";
const FULL: &str = "full ";
pub(super) const CLOSING: &str = "closing";

/// What the entrance says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// The channel of the client's own.
    Channel(String),
    /// So many clients are there, and no more may be.
    Full { clients: u64, most: u64 },
    /// The server stops.
    Closing,
}

/// The channel where clients ask.
pub(super) fn of(channel: &str) -> String {
    format!("{channel}{SEPARATOR}")
}

/// A client's channel.
pub(super) fn own(channel: &str, id: u64) -> String {
    let id = id >> (u64::BITS - 4 * DIGITS as u32);
    format!("{channel}{SEPARATOR}{id:0DIGITS$x}")
}

/// Whether `own` is the channel of a client of `channel`.
pub(super) fn is_own(channel: &str, own: &str) -> bool {
    let id = own.strip_prefix(channel).and_then(|rest| rest.strip_prefix(SEPARATOR));
    id.is_some_and(|id| id.len() == DIGITS && id.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')))
}

/// Refuses a name that leaves no room for those of clients.
pub(super) fn check(channel: &str) -> Result<()> {
    sys::check_name(&request_name(channel))?;
    sys::check_name(&response_name(&own(channel, 0))).map_err(|_| Error::InvalidName {
        name: channel.to_owned(),
        reason: "it leaves no room for '+' and the name of a client",
    })
}

pub(super) fn admitted(own: &str) -> String {
    format!("{ADMITTED}{own}")
}

pub(super) fn full(clients: usize, most: usize) -> String {
    format!("{FULL}{clients} {most}")
}

/// What was said to a client of `channel`; `None`: nothing that is known.
pub(super) fn read(channel: &str, answer: &[u8]) -> Option<Answer> {
    let answer = std::str::from_utf8(answer).ok()?;
    if let Some(own) = answer.strip_prefix(ADMITTED) {
        return is_own(channel, own).then(|| Answer::Channel(own.to_owned()));
    }
    if answer == CLOSING {
        return Some(Answer::Closing);
    }
    let (clients, most) = answer.strip_prefix(FULL)?.split_once(' ')?;
    Some(Answer::Full { clients: clients.parse().ok()?, most: most.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let name = own("cam", 0x0123_4567_89ab_cdef);
        assert_eq!(name, format!("cam+{}", &"0123456789abcdef"[..DIGITS]));
        assert_eq!(read("cam", admitted(&name).as_bytes()), Some(Answer::Channel(name)));
        assert_eq!(read("cam", CLOSING.as_bytes()), Some(Answer::Closing));
        assert_eq!(read("cam", full(3, 4).as_bytes()), Some(Answer::Full { clients: 3, most: 4 }));
    }

    /// The server may be anybody's: a client goes nowhere but to a channel of the service.
    #[test]
    fn answers_that_lead_elsewhere_are_none() {
        for bad in [
            "",
            "channel ",
            "channel cam",
            "channel cam+",
            "channel other+0123456789abcdef",
            "channel cam+0123456789ABCDEF",
            "channel cam+0123456789abcde",
            "channel cam+0123456789abcdef0",
            "channel cam+../456789abcdef",
            "channel cam+0123456789abcdef ",
            "full",
            "full 1",
            "full a b",
            "full 1 99999999999999999999",
            "Channel cam+0123456789abcdef",
        ] {
            assert_eq!(read("cam", bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(read("cam", &[0xff; 24]), None);
    }

    #[test]
    fn names_of_services() {
        check("cam").unwrap();
        #[cfg(not(any(target_os = "macos", macos_sys)))]
        check(&"n".repeat(219)).unwrap();
        for bad in ["a/b", "sem.x", &"n".repeat(220)] {
            check(bad).unwrap_err();
        }
    }
}
