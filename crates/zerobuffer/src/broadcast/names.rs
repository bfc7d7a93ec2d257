//! Which buffers are subscribers: `NAME@SUBSCRIBER`.

use crate::{
    error::{Error, Result},
    layout,
};

/// Between the name of a broadcast and that of a subscriber.
const SEPARATOR: char = '@';
/// Ends of the names of a channel's buffers.
const OF_CHANNELS: [&str; 2] = ["_request", "_response"];

/// The buffer of a subscriber.
pub(super) fn buffer(name: &str, subscriber: &str) -> String {
    format!("{name}{SEPARATOR}{subscriber}")
}

/// What the buffers of all subscribers begin with.
pub(super) fn prefix(name: &str) -> String {
    buffer(name, "")
}

/// The subscriber whose buffer that is. `NAME@A@B` is one of `NAME@A`, and a buffer of a channel is
/// none.
pub(super) fn subscriber<'b>(prefix: &str, buffer: &'b str) -> Option<&'b str> {
    let subscriber = buffer.strip_prefix(prefix)?;
    let is_one = !subscriber.is_empty()
        && !subscriber.contains(SEPARATOR)
        && !OF_CHANNELS.iter().any(|end| subscriber.ends_with(end));
    is_one.then_some(subscriber)
}

/// Refuses a name that leaves no room for that of a subscriber.
pub(super) fn check(name: &str) -> Result<()> {
    layout::name::check(name)?;
    layout::name::check(&buffer(name, "x")).map_err(|_| Error::InvalidName {
        name: name.to_owned(),
        reason: "it leaves no room for '@' and the name of a subscriber",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_a_subscriber() {
        let prefix = prefix("cam");
        for good in ["v", "viewer 1", "ümlaut", "a+b", "x_requests", "-", "."] {
            assert_eq!(subscriber(&prefix, &buffer("cam", good)), Some(good));
        }
        for none in ["cam", "cam@", "camera@v", "cam@a@b", "@v", "cam@x_request", "cam@x_response", ""] {
            assert_eq!(subscriber(&prefix, none), None, "{none}");
        }
        assert_eq!(subscriber(&super::prefix("cam@a"), "cam@a@b"), Some("b"));
    }

    #[test]
    fn names_of_broadcasts() {
        check(&"n".repeat(243)).unwrap();
        for bad in ["", "a/b", &"n".repeat(244), "sem.x", "."] {
            check(bad).unwrap_err();
        }
    }
}
