//! Key expressions: which streams there are, and where two bridges talk about one.
//!
//! All keys begin with a chunk that no wildcard of others matches, and with the version:
//!
//! - `@zb/1/send/SENDER/STREAM`, a token: a bridge sends this stream;
//! - `@zb/1/recv/RECEIVER/SENDER/STREAM`, a token: a bridge has a ring for that sender's stream;
//! - `@zb/1/data/SENDER/RECEIVER/STREAM`: openings and frames;
//! - `@zb/1/back/SENDER/RECEIVER/STREAM`: statuses;
//! - `@zb/1/info/BRIDGE/STREAM`: what `bridge ls` asks;
//! - `@zb/1/offer/OFFERER/STREAM`, a token: a bridge offers a channel, whose server is there;
//! - `@zb/1/terms/OFFERER/STREAM`, `@zb/1/call/OFFERER/STREAM`: what it is asked, and the requests;
//! - `@zb/1/client/SESSION/OFFERER/STREAM`, a token: a client is there that may have requests.
use zenoh::key_expr::KeyExpr;

use crate::fail::Fail;
use crate::wire::VERSION;

const ROOT: &str = "@zb";

/// A stream's name on the network.
pub(crate) type Stream = String;

/// Of a ring that is called so: its name, with every other byte than letters, digits and `-._`
/// as `%XX`.
pub(crate) fn of_ring(name: &str) -> Stream {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let code = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().map(code).collect()
}

/// The ring that a stream of this name fills, where nothing else is said: the other direction.
/// Slashes become dots.
pub(crate) fn ring_of(stream: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(stream.len());
    let mut rest = stream.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            b'/' => b'.',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// A stream's name that a person gives.
pub(crate) fn stream(text: &str) -> Result<Stream, Fail> {
    let key = pattern(text)?;
    if key.is_wild() || text.split('/').any(|chunk| chunk.starts_with('@')) {
        return Err(Fail::usage(format!(
            "'{text}' cannot be the name of a stream: '*' and '@' at the start of a part have a meaning of their own; write them as %2A and %40"
        )));
    }
    Ok(key.to_string())
}

/// Names of streams that a person allows: `*` stands for any letters of one part, `**` for parts.
pub(crate) fn pattern(text: &str) -> Result<KeyExpr<'static>, Fail> {
    // In the engine's own words a star inside a part is `$*`.
    let chunk = |chunk: &str| {
        if chunk.contains('*') && chunk != "*" && chunk != "**" && !chunk.contains("$*") {
            chunk.replace('*', "$*")
        } else {
            chunk.to_owned()
        }
    };
    let key = text.split('/').map(chunk).collect::<Vec<_>>().join("/");
    KeyExpr::autocanonize(key).map_err(|error| {
        Fail::usage(format!("'{text}' is no key expression ({error}); other signs are written as %XX"))
    })
}

pub(crate) fn send_token(sender: &str, stream: &str) -> String {
    format!("{ROOT}/{VERSION}/send/{sender}/{stream}")
}

pub(crate) fn recv_token(receiver: &str, sender: &str, stream: &str) -> String {
    format!("{ROOT}/{VERSION}/recv/{receiver}/{sender}/{stream}")
}

/// Every sender of every version.
pub(crate) const SENDERS: &str = "@zb/*/send/*/**";

/// Every receiver of one sender's stream.
pub(crate) fn receivers(sender: &str, stream: &str) -> String {
    recv_token("*", sender, stream)
}

pub(crate) fn data(sender: &str, receiver: &str, stream: &str) -> String {
    format!("{ROOT}/{VERSION}/data/{sender}/{receiver}/{stream}")
}

pub(crate) fn back(sender: &str, receiver: &str, stream: &str) -> String {
    format!("{ROOT}/{VERSION}/back/{sender}/{receiver}/{stream}")
}

pub(crate) fn info(bridge: &str, stream: &str) -> String {
    format!("{ROOT}/{VERSION}/info/{bridge}/{stream}")
}

pub(crate) fn offer_token(offerer: &str, stream: &str) -> String {
    format!("{ROOT}/{VERSION}/offer/{offerer}/{stream}")
}

/// Every offered channel of every version.
pub(crate) const OFFERERS: &str = "@zb/*/offer/*/**";

pub(crate) fn terms(offerer: &str, stream: &str) -> String {
    format!("{ROOT}/{VERSION}/terms/{offerer}/{stream}")
}

pub(crate) fn call(offerer: &str, stream: &str) -> String {
    format!("{ROOT}/{VERSION}/call/{offerer}/{stream}")
}

pub(crate) fn client_token(session: u64, offerer: &str, stream: &str) -> String {
    format!("{ROOT}/{VERSION}/client/{session:016x}/{offerer}/{stream}")
}

/// Every client of one offered channel.
pub(crate) fn clients(offerer: &str, stream: &str) -> String {
    format!("{ROOT}/{VERSION}/client/*/{offerer}/{stream}")
}

/// The session of a key that is [`client_token`].
pub(crate) fn session(key: &str) -> Option<u64> {
    let part = key.split('/').nth(3)?;
    u64::from_str_radix(part, 16).ok().filter(|session| part == format!("{session:016x}"))
}

/// What every bridge of every version is asked by.
pub(crate) const INFOS: &str = "@zb/*/info/*/**";

/// Version, sender and stream of a sender's token.
pub(crate) fn parse_send(key: &str) -> Option<(&str, &str, &str)> {
    parse("send", key)
}

/// Version, offerer and stream of an offer's token.
pub(crate) fn parse_offer(key: &str) -> Option<(&str, &str, &str)> {
    parse("offer", key)
}

fn parse<'k>(wanted: &str, key: &'k str) -> Option<(&'k str, &'k str, &'k str)> {
    let mut parts = key.splitn(5, '/');
    let (root, version, kind) = (parts.next()?, parts.next()?, parts.next()?);
    let (sender, stream) = (parts.next()?, parts.next()?);
    (root == ROOT && kind == wanted && !stream.is_empty()).then_some((version, sender, stream))
}

/// The receiver of a key that is [`recv_token`] or [`back`].
pub(crate) fn receiver(key: &str) -> Option<&str> {
    let mut parts = key.splitn(6, '/');
    let (_, _, kind) = (parts.next()?, parts.next()?, parts.next()?);
    let (first, second) = (parts.next()?, parts.next()?);
    match kind {
        "recv" => Some(first),
        "back" => Some(second),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_ring_has_a_stream_and_back() {
        for name in ["cam", "a b", "*", "**", "$x", "#1", "?", "@lab", "caf\u{e9}", "100%", "a+b@c"] {
            let key = of_ring(name);
            assert!(KeyExpr::try_from(key.clone()).is_ok_and(|key| !key.is_wild()), "{name}: {key}");
            assert!(stream(&key).is_ok(), "{key}");
            assert_eq!(ring_of(&key).as_deref(), Some(name));
        }
        assert_eq!(ring_of("lab1/cam").as_deref(), Some("lab1.cam"));
        assert_eq!((ring_of("%4"), ring_of("%FF"), ring_of("%zz")), (None, None, None));
    }

    #[test]
    fn what_is_no_key_expression_is_refused_with_the_reason() {
        for (text, part) in [
            ("", "no key expression"),
            ("/cam", "no key expression"),
            ("a//b", "no key expression"),
            ("a#b", "no key expression"),
            ("a?b", "no key expression"),
            ("cam*", "%2A"),
            ("**", "%2A"),
            ("@zb/cam", "%40"),
        ] {
            let message = stream(text).unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn stars_allow_as_in_a_shell() {
        let allows = |text: &str, name: &str| {
            pattern(text).unwrap().includes(&KeyExpr::try_from(name.to_owned()).unwrap())
        };
        assert!(allows("cam*", "cam1") && allows("cam*", "cam") && !allows("cam*", "camera/1"));
        assert!(allows("lab1/**", "lab1/a/b") && !allows("lab1/**", "lab2/a") && allows("**", "x"));
    }

    #[test]
    fn keys_are_read_as_they_are_made() {
        assert_eq!(parse_send(&send_token("s", "lab/cam")), Some(("1", "s", "lab/cam")));
        assert_eq!(parse_send("@zb/7/send/s/cam"), Some(("7", "s", "cam")));
        assert_eq!(parse_send("@zb/1/recv/s/cam"), None);
        assert_eq!(receiver(&recv_token("r", "s", "lab/cam")), Some("r"));
        assert_eq!(receiver(&back("s", "r", "lab/cam")), Some("r"));
        assert_eq!(receiver("@zb/1/back"), None);
        // What others subscribe to does not see them.
        assert!(
            !KeyExpr::try_from("**").unwrap().includes(&KeyExpr::try_from("@zb/1/data/s/r/cam").unwrap())
        );
    }
}
