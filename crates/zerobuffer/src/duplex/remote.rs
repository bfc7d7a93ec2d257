//! What a client learns of a request that was not answered. It is the payload of a response that
//! bears the mark of a failure.
//!
//! It is a JSON object. `kind`, `message` and `detail` are strings. `size` and `max` stand beside
//! them where a response did not fit the response ring. It is cut to what fits.

mod json;

use super::BoxError;
use crate::error::Error;
use json::{Fields, escape_into};
use std::fmt;

/// The most that is written, and the most that is read.
const MOST: usize = 64 * 1024;
/// A kind is a word.
const LONGEST_KIND: usize = 64;

/// A failure that a handler tells its client: [`Client::call`](super::Client::call) gives it as
/// [`Error::Remote`].
///
/// A handler returns it as its error, or sends it by [`Responder::fail`](super::Responder::fail).
/// Any other error is reported as kind `error`, a panic as `panic`, a request without an answer as
/// `no-answer`.
///
/// ```
/// use std::time::Duration;
/// use zerobuffer::{Error, duplex::{Client, HandlerError, Server, ServerConfig}};
///
/// let channel = format!("doc-remote-{}", std::process::id());
/// let server = Server::new(&channel, ServerConfig::default().on_error(|_| {}));
/// server.start(|_, _| Err(HandlerError::new("format", "this is no picture").detail("magic: 00 00").into()))?;
/// let client = Client::connect(&channel)?;
/// match client.call(b"\0\0", Duration::from_secs(5)) {
///     Err(Error::Remote { kind, message, .. }) => {
///         assert_eq!((&*kind, &*message), ("format", "this is no picture"));
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerError {
    kind: String,
    message: String,
    detail: String,
}

impl HandlerError {
    /// `kind` is a word that programs can tell failures by; `message` is for people.
    #[must_use]
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), message: message.into(), detail: String::new() }
    }

    /// Adds what helps to find the cause: a traceback, the last lines that a program has printed.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.kind)
    }
}

impl std::error::Error for HandlerError {}

/// A panic of a handler.
#[derive(Debug, thiserror::Error)]
#[error("it panicked: {0}")]
pub(super) struct Panicked(pub(super) String);

/// What a client gets instead of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    error: HandlerError,
    /// Bytes of a response, and of the largest one that the ring takes.
    too_large: Option<(u64, u64)>,
    /// The ring has stayed full for as long as a response waits.
    pub(super) waited: bool,
}

impl Refusal {
    pub(super) fn no_answer() -> Self {
        Self::of(HandlerError::new("no-answer", "the handler has written no response"))
    }

    pub(super) fn of(error: HandlerError) -> Self {
        Self { error, too_large: None, waited: false }
    }

    /// What a handler's error says.
    pub(super) fn from_error(error: &BoxError) -> Self {
        if let Some(given) = error.downcast_ref::<HandlerError>() {
            return Self::of(given.clone());
        }
        if let Some(Panicked(text)) = error.downcast_ref() {
            return Self::of(HandlerError::new("panic", text));
        }
        let core = error.downcast_ref::<Error>();
        let too_large = match core {
            Some(Error::ResponseTooLarge { size, max, .. }) => Some((*size, *max)),
            _ => None,
        };
        let kind = if too_large.is_some() { "too-large" } else { "error" };
        let mut detail = String::new();
        let mut cause = error.source();
        while let Some(source) = cause {
            let line = format!("caused by: {source}\n");
            detail.push_str(&line);
            cause = source.source();
        }
        let error = HandlerError::new(kind, error.to_string()).detail(detail.trim_end());
        Self { error, too_large, waited: matches!(core, Some(Error::Full { .. })) }
    }

    /// Bytes that it takes in memory.
    pub(super) fn size(&self) -> usize {
        let HandlerError { kind, message, detail } = &self.error;
        size_of::<Self>() + kind.len() + message.len() + detail.len()
    }

    /// As it is sent, in at most `max` bytes.
    pub(super) fn encode(&self, max: u64) -> Vec<u8> {
        let max = usize::try_from(max).unwrap_or(MOST).min(MOST);
        let mut text = String::from("{\"kind\":\"");
        let room = LONGEST_KIND.min(max.saturating_sub(text.len() + 2));
        escape_into(&mut text, &self.error.kind, room);
        text.push('"');
        if let Some((size, largest)) = self.too_large {
            let numbers = format!(",\"size\":{size},\"max\":{largest}");
            if text.len() + numbers.len() < max {
                text.push_str(&numbers);
            }
        }
        for (key, value) in [("message", &self.error.message), ("detail", &self.error.detail)] {
            let opening = format!(",\"{key}\":\"");
            // What closes the string and the object.
            let room = max.saturating_sub(text.len() + opening.len() + 2);
            if room > 0 && !value.is_empty() {
                text.push_str(&opening);
                escape_into(&mut text, value, room);
                text.push('"');
            }
        }
        text.push('}');
        text.into_bytes()
    }

    /// What a server has sent; bytes that are nothing of the kind are the message.
    pub(super) fn decode(payload: &[u8]) -> Self {
        // A private copy: what is judged does not change meanwhile.
        let copy = payload.get(..payload.len().min(MOST)).unwrap_or_default().to_vec();
        let text = String::from_utf8_lossy(&copy);
        let Some(fields) = Fields::parse(&text) else {
            return Self::of(HandlerError::new("error", text));
        };
        let Fields { kind, message, detail, size, max } = fields;
        let kind = if kind.is_empty() { "error".to_owned() } else { kind };
        Self { error: HandlerError { kind, message, detail }, too_large: size.zip(max), waited: false }
    }

    /// As a client's error.
    pub(super) fn into_error(self, channel: &str, request: u64) -> Error {
        let name = channel.to_owned();
        let HandlerError { kind, message, detail } = self.error;
        match self.too_large {
            Some((size, max)) if kind == "too-large" => Error::ResponseTooLarge { name, request, size, max },
            _ => Error::Remote { name, request, kind, message, detail },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(message: &str, detail: &str) -> Refusal {
        Refusal::of(HandlerError::new("kind", message).detail(detail))
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for text in ["", "plain", "\"quoted\" \\ \n\r\t\u{1}\u{7f}", "zażółć 日本 😀", "\u{2028}"] {
            let sent = refusal(text, text);
            assert_eq!(Refusal::decode(&sent.encode(1 << 20)), sent);
        }
        let sent = Refusal { too_large: Some((u64::MAX, 48)), ..refusal("m", "d") };
        assert_eq!(Refusal::decode(&sent.encode(1 << 20)), sent);
    }

    #[test]
    fn it_is_cut_to_what_fits_and_stays_valid() {
        let sent =
            Refusal { too_large: Some((1 << 40, 48)), ..refusal(&"\"😀".repeat(40), &"\u{1}x".repeat(90)) };
        let whole = sent.encode(1 << 20).len() as u64;
        for max in 48..=whole + 2 {
            let bytes = sent.encode(max);
            assert!(bytes.len() as u64 <= max, "{} of {max}", bytes.len());
            let back = Refusal::decode(&bytes);
            assert_eq!(back.error.kind, "kind", "{}", String::from_utf8_lossy(&bytes));
            assert!(sent.error.message.starts_with(&back.error.message));
            assert!(sent.error.detail.starts_with(&back.error.detail));
        }
        assert!(refusal(&"x".repeat(1 << 20), "").encode(u64::MAX).len() <= MOST);
    }

    #[test]
    fn what_is_no_such_object_is_a_message() {
        for bytes in [&b""[..], b"{", b"not json", b"{\"kind\":1}", b"[1]", b"{\"kind\":\"a\"}x", b"\xff\xfe"]
        {
            let sent = Refusal::decode(bytes);
            assert_eq!(sent.error.kind, "error");
            assert_eq!(sent.error.message, String::from_utf8_lossy(bytes));
        }
        let kind = |text: &str| Refusal::decode(text.as_bytes()).error.kind;
        assert_eq!(
            kind(" { \"x\" : {\"y\":[1,null,\"]\"]} , \"kind\" : \"a\" } "),
            "a",
            "unknown fields are skipped"
        );
        assert_eq!(kind("{\"kind\":\"\\ud83d\\ude00\\u0041\"}"), "😀A");
        assert_eq!(
            kind(&format!("{{\"x\":{},\"kind\":\"a\"}}", "[".repeat(60_000))),
            "error",
            "no deep stack"
        );
    }
}
