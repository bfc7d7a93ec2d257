//! Which requests are served: those of this machine's programs and of the viewer's own page, and
//! others with the token.
use std::net::{IpAddr, SocketAddr};

use crate::Token;
use crate::http::{Request, Response, Status};

/// Checks each request before anything is done for it.
///
/// A page of another site can make a browser at this machine send requests here. It uses this
/// address, or a name of its own that points to it. Headers that a page cannot set show both.
#[derive(Clone, Debug)]
pub struct Guard {
    address: SocketAddr,
    token: Option<Token>,
}

impl Guard {
    /// For a server at `address`; with a token it serves nobody else.
    #[must_use]
    pub fn new(address: SocketAddr, token: Option<Token>) -> Guard {
        Guard { address, token }
    }

    /// What to answer instead, if the request is not to be served.
    ///
    /// # Errors
    ///
    /// The answer.
    pub fn check(&self, request: &Request) -> Result<(), Response> {
        let refuse = |line: &str| Err(Response::text(Status::Forbidden, line));
        let host = request.header("host");
        if self.address.ip().is_loopback() && !host.is_none_or(is_loopback) {
            return refuse("this server answers to localhost, 127.0.0.1 and [::1] only");
        }
        if let Some(origin) = request.header("origin") {
            let ours = host.filter(|host| !host.is_empty());
            let of = |scheme: &str| origin.strip_prefix(scheme).is_some_and(|rest| Some(rest) == ours);
            if !of("http://") && !of("https://") {
                return refuse("pages of other sites may not look");
            }
        }
        let is_foreign = matches!(request.header("sec-fetch-site"), Some("cross-site" | "same-site"));
        // A link from elsewhere may open the page; nothing of it may be put into another page.
        let opens = request.header("sec-fetch-dest") == Some("document") && request.path().is_empty();
        if is_foreign && !opens {
            return refuse("pages of other sites may not look");
        }
        self.check_token(request)
    }

    fn check_token(&self, request: &Request) -> Result<(), Response> {
        let Some(token) = &self.token else { return Ok(()) };
        let in_query = request.query("token").is_some_and(|given| token.is(given));
        if in_query && request.path().is_empty() {
            // The browser keeps it, and it stays out of the address that people copy.
            let cookie =
                format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie_name(), token.as_str());
            let moved = Response::text(Status::SeeOther, "to /");
            return Err(moved.header("Location", "/").header("Set-Cookie", &cookie));
        }
        let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let name = self.cookie_name();
        let cookie = request.header("cookie").unwrap_or_default().split(';').find_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name).then_some(value)
        });
        if in_query || [bearer, cookie].into_iter().flatten().any(|given| token.is(given)) {
            return Ok(());
        }
        let line = "this viewer asks for its token: open the address that `zerobuffer view` has printed, \
                    or add ?token=… to this one";
        Err(Response::text(Status::Unauthorized, line).header("WWW-Authenticate", "Bearer"))
    }

    /// Cookies know no ports: two viewers of one machine must not overwrite each other's.
    fn cookie_name(&self) -> String {
        format!("zerobuffer_view_{}", self.address.port())
    }
}

/// Whether a Host header names this machine by a name that no other site can have. The port may be
/// a tunnel's.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, headers: &str) -> Request {
        Request::whole(&format!("GET {path} HTTP/1.1\r\n{headers}\r\n"))
    }

    fn status(guard: &Guard, path: &str, headers: &str) -> String {
        match guard.check(&request(path, headers)) {
            Ok(()) => String::from("pass"),
            Err(response) => String::from_utf8(response.to_bytes()).unwrap(),
        }
    }

    #[test]
    fn names_of_this_machine_and_of_others() {
        let guard = Guard::new("127.0.0.1:8080".parse().unwrap(), None);
        for host in ["localhost:8080", "LOCALHOST", "127.0.0.1:9999", "[::1]:8080", "127.9.9.9"] {
            assert_eq!(status(&guard, "/", &format!("Host: {host}\r\n")), "pass", "{host}");
        }
        assert_eq!(status(&guard, "/", ""), "pass");
        for host in
            ["evil.example:8080", "localhost.evil.example", "192.0.2.1", "", "[::1", "127.0.0.1.evil.example"]
        {
            assert!(status(&guard, "/", &format!("Host: {host}\r\n")).contains(" 403 "), "{host}");
        }
        assert!(status(&guard, "/", "Host: localhost\r\nHost: evil.example\r\n").contains(" 403 "));
    }

    #[test]
    fn pages_of_other_sites() {
        let guard = Guard::new("127.0.0.1:8080".parse().unwrap(), None);
        let host = "Host: localhost:8080\r\n";
        let check = |path: &str, more: &str| status(&guard, path, &format!("{host}{more}"));
        assert_eq!(check("/ws/a", "Origin: http://localhost:8080\r\n"), "pass");
        for origin in
            ["http://evil.example", "http://localhost:8081", "null", "http://localhost:8080.evil.example"]
        {
            assert!(check("/ws/a", &format!("Origin: {origin}\r\n")).contains(" 403 "), "{origin}");
        }
        let image = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Dest: image\r\n";
        assert!(check("/snapshot/a.jpg", image).contains(" 403 "));
        let link = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Dest: document\r\n";
        assert_eq!(check("/", link), "pass");
        assert!(check("/snapshot/a.jpg", link).contains(" 403 "));
        assert_eq!(
            check("/snapshot/a.jpg", "Sec-Fetch-Site: same-origin\r\nSec-Fetch-Dest: image\r\n"),
            "pass"
        );
    }

    #[test]
    fn the_token() {
        let token = Token::new("0123456789abcdef").unwrap();
        let guard = Guard::new("0.0.0.0:80".parse().unwrap(), Some(token));
        let host = "Host: cam.example\r\n";
        let check = |path: &str, more: &str| status(&guard, path, &format!("{host}{more}"));
        assert!(check("/", "").contains(" 401 "));
        assert!(check("/metrics?token=0123456789abcdeX", "").contains(" 401 "));
        let entered = check("/?token=0123456789abcdef", "");
        assert!(entered.contains(" 303 ") && entered.contains("HttpOnly; SameSite=Strict"), "{entered}");
        assert_eq!(check("/metrics?token=0123456789abcdef", ""), "pass");
        assert_eq!(check("/", "Cookie: a=b; zerobuffer_view_80=0123456789abcdef\r\n"), "pass");
        assert_eq!(check("/", "Authorization: Bearer 0123456789abcdef\r\n"), "pass");
        assert!(check("/", "Cookie: zerobuffer_view_81=0123456789abcdef\r\n").contains(" 401 "));
    }
}
