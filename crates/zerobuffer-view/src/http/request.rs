//! What a client asks for.
use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::Status;

/// Bytes of a request's head.
const HEAD: usize = 16 << 10;
/// Lines of a request's head.
const LINES: usize = 64;

/// The head of a GET or HEAD request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    is_head: bool,
    /// Without the query, each part decoded.
    path: Vec<String>,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

impl Request {
    /// Reads the head of a request; the inner error is what to answer to one that is none.
    pub(super) fn read(mut stream: &TcpStream, patience: Duration) -> io::Result<Result<Request, Status>> {
        let until = Instant::now() + patience;
        let mut head = Vec::new();
        let mut part = [0u8; 2048];
        loop {
            // Byte by byte would else outlast any limit of a single read.
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            stream.set_read_timeout(Some(left))?;
            let count = stream.read(&mut part)?;
            head.extend_from_slice(part.get(..count).unwrap_or_default());
            match Request::parse(&head) {
                Some(request) => return Ok(request),
                None if count == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                None if head.len() > HEAD => return Ok(Err(Status::TooLarge)),
                None => {}
            }
        }
    }

    /// `None`: there is more to come.
    fn parse(head: &[u8]) -> Option<Result<Request, Status>> {
        let mut lines = [httparse::EMPTY_HEADER; LINES];
        let mut parsed = httparse::Request::new(&mut lines);
        match parsed.parse(head) {
            Ok(httparse::Status::Partial) => return None,
            Ok(httparse::Status::Complete(_)) => {}
            Err(httparse::Error::TooManyHeaders) => return Some(Err(Status::TooLarge)),
            Err(_) => return Some(Err(Status::BadRequest)),
        }
        let is_head = match parsed.method {
            Some("GET") => false,
            Some("HEAD") => true,
            _ => return Some(Err(Status::MethodNotAllowed)),
        };
        let (path, query) = target(parsed.path.unwrap_or_default());
        let headers = parsed.headers.iter().map(|line| {
            (line.name.to_ascii_lowercase(), String::from_utf8_lossy(line.value).trim().to_owned())
        });
        Some(Ok(Request { is_head, path, query, headers: headers.collect() }))
    }

    /// A whole request, for tests of what is done with it.
    #[cfg(test)]
    pub(crate) fn whole(text: &str) -> Request {
        Request::parse(text.as_bytes()).and_then(Result::ok).expect("a whole request")
    }

    /// Whether the answer's body is not wanted.
    #[must_use]
    pub fn is_head(&self) -> bool {
        self.is_head
    }

    /// The parts of the path, decoded; `["", …]` never: `/` alone has none.
    #[must_use]
    pub fn path(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }

    /// The value of a key of the query.
    #[must_use]
    pub fn query(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// The number behind a key of the query, within limits.
    #[must_use]
    pub fn number(&self, key: &str, least: u32, most: u32) -> Option<u32> {
        self.query(key)?.parse().ok().map(|number: u32| number.clamp(least, most))
    }

    /// A line of the head, by its name in small letters. A line that stands there twice counts for
    /// none: no honest client sends two, and two programs may each read another.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key == name);
        let value = found.next().map(|(_, value)| value.as_str());
        if found.next().is_some() { Some("") } else { value }
    }
}

/// Path and query of a request's target; what cannot be decoded asks for nothing that there is.
fn target(text: &str) -> (Vec<String>, Vec<(String, String)>) {
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    let parts = path.strip_prefix('/').unwrap_or("\u{0}").split('/').map(|part| decode(part, false));
    let mut path: Vec<String> = parts.collect();
    if path == [""] {
        path.clear();
    }
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key, true), decode(value, true))
    });
    (path, pairs.collect())
}

/// Undoes `%41`; what is no UTF-8 becomes a name that no buffer can have.
fn decode(text: &str, plus: bool) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = (rest.next(), rest.next());
                let digit = |c: Option<u8>| char::from(c?).to_digit(16).and_then(|d| u8::try_from(d).ok());
                match (digit(digits.0), digit(digits.1)) {
                    (Some(high), Some(low)) => high << 4 | low,
                    _ => 0,
                }
            }
            b'+' if plus => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap_or_else(|_| String::from("\0"))
}

/// A text as a part of a path or the value of a header: everything but letters, digits and a few
/// signs as `%41`.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Request, Status> {
        Request::parse(text.as_bytes()).expect("whole")
    }

    #[test]
    fn paths_queries_and_headers() {
        let request = parse(
            "GET /stream/a%20b%2Fc+.mjpeg?width=300&x=a+b%21&empty HTTP/1.1\r\nHost: h\r\nA: 1\r\nA: 2\r\n\r\n",
        );
        let request = request.unwrap();
        assert_eq!(request.path(), ["stream", "a b/c+.mjpeg"]);
        assert_eq!(request.number("width", 1, 200), Some(200));
        assert_eq!((request.query("x"), request.query("empty")), (Some("a b!"), Some("")));
        assert_eq!((request.header("host"), request.header("a")), (Some("h"), Some("")));
        assert!(parse("HEAD / HTTP/1.0\r\n\r\n").unwrap().is_head());
        assert_eq!(parse("GET / HTTP/1.1\r\n\r\n").unwrap().path(), [""; 0]);
        assert_eq!(decode(&encode("ä \"<>%\n"), false), "ä \"<>%\n");
    }

    #[test]
    fn what_is_no_request() {
        assert_eq!(parse("POST / HTTP/1.1\r\n\r\n"), Err(Status::MethodNotAllowed));
        assert_eq!(parse("x\r\n\r\n"), Err(Status::BadRequest));
        assert_eq!(Request::parse(b"GET / HTTP/1.1\r\nHo"), None);
        for path in ["/a/%ff", "/a/%zz", "/a/%"] {
            let request = parse(&format!("GET {path} HTTP/1.1\r\n\r\n")).unwrap();
            assert_eq!(request.path().last(), Some(&"\0"), "{path}");
        }
        assert_eq!(parse("GET http://evil/ HTTP/1.1\r\n\r\n").unwrap().path().first(), Some(&"\0"));
    }
}
