//! What a client gets.
use std::borrow::Cow;

/// The answers that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// 101
    SwitchingProtocols,
    /// 200
    Ok,
    /// 303
    SeeOther,
    /// 400
    BadRequest,
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 415
    NoPicture,
    /// 431
    TooLarge,
    /// 500
    Internal,
    /// 503
    NotYet,
}

impl Status {
    /// The number and its usual words.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Status::SwitchingProtocols => "101 Switching Protocols",
            Status::Ok => "200 OK",
            Status::SeeOther => "303 See Other",
            Status::BadRequest => "400 Bad Request",
            Status::Unauthorized => "401 Unauthorized",
            Status::Forbidden => "403 Forbidden",
            Status::NotFound => "404 Not Found",
            Status::MethodNotAllowed => "405 Method Not Allowed",
            Status::NoPicture => "415 Unsupported Media Type",
            Status::TooLarge => "431 Request Header Fields Too Large",
            Status::Internal => "500 Internal Server Error",
            Status::NotYet => "503 Service Unavailable",
        }
    }
}

/// Scripts, styles, pictures and connections of this server and of nobody else; text is never made
/// into elements.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// An answer. Every one carries what keeps browsers from running or lending out what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    status: Status,
    kind: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Cow<'static, [u8]>,
}

impl Response {
    /// An answer of this media type.
    #[must_use]
    pub fn new(status: Status, kind: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Response {
        Response { status, kind, headers: Vec::new(), body: body.into() }
    }

    /// A line for people.
    #[must_use]
    pub fn text(status: Status, line: &str) -> Response {
        Response::new(status, "text/plain; charset=utf-8", format!("{line}\n").into_bytes())
    }

    /// With a further line in its head; what is no printable ASCII is left out of the value.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Response {
        let value = value.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
        self.headers.push((name, value));
        self
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The head, up to its empty line. An answer without a known end has no length.
    #[must_use]
    pub fn head(&self, ends: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {}\r\n", self.status.reason());
        let mut line = |name: &str, value: &str| {
            head.push_str(name);
            head.push_str(": ");
            head.push_str(value);
            head.push_str("\r\n");
        };
        if self.status != Status::SwitchingProtocols {
            line("Content-Type", self.kind);
            line("Connection", "close");
            if ends {
                line("Content-Length", &self.body.len().to_string());
            }
            line("Cache-Control", "no-store");
            line("Content-Security-Policy", POLICY);
            line("X-Content-Type-Options", "nosniff");
            line("X-Frame-Options", "DENY");
            line("Referrer-Policy", "no-referrer");
            line("Cross-Origin-Resource-Policy", "same-origin");
            line("Cross-Origin-Opener-Policy", "same-origin");
        }
        for (name, value) in &self.headers {
            line(name, value);
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// Head and body.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.head(true);
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_adds_no_lines() {
        let response = Response::text(Status::Ok, "x").header("A", "b\r\nSet-Cookie: c\u{e4}");
        let head = String::from_utf8(response.head(true)).unwrap();
        assert!(head.ends_with("A: bSet-Cookie: c\r\n\r\n"), "{head}");
        assert!(head.contains("Content-Length: 2\r\n"));
        assert!(!String::from_utf8(response.head(false)).unwrap().contains("Content-Length"));
    }
}
