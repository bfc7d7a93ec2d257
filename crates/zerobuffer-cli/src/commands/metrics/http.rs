//! As much of HTTP as a scrape needs: GET and HEAD of one page, each connection by itself and
//! within limits.
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::exposition::CONTENT_TYPE;
use crate::exit::Exit;
use crate::fail::Fail;
use crate::say;

/// Connections at once; what comes beyond is closed.
const MOST: usize = 16;
/// Bytes of a request's head.
const HEAD: usize = 8 << 10;
/// How long a client may take for its request, and for the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Serves on threads of its own as long as the process runs; gives the address, whose port may have
/// been 0.
pub(super) fn serve(
    address: SocketAddr,
    page: impl Fn() -> String + Send + Sync + 'static,
) -> Result<SocketAddr, Fail> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => Fail::new(
            Exit::Taken,
            format!("cannot listen at {address}: another program does; choose another port with --listen"),
        ),
        io::ErrorKind::AddrNotAvailable => Fail::new(
            Exit::Usage,
            format!(
                "cannot listen at {address}: this machine has no such address; 127.0.0.1 is always there"
            ),
        ),
        _ => Fail::io(format_args!("cannot listen at {address}"), &error),
    };
    let listener = TcpListener::bind(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let (page, count) = (Arc::new(page), Arc::new(AtomicUsize::new(0)));
    let accept = move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                // Out of descriptors, for instance: that passes, or else it must not cost a
                // processor.
                std::thread::sleep(Duration::from_millis(100));
                continue;
            };
            if count.fetch_add(1, Ordering::SeqCst) >= MOST {
                count.fetch_sub(1, Ordering::SeqCst);
                continue;
            }
            let (page, counted) = (Arc::clone(&page), Arc::clone(&count));
            let answer = move || {
                // A client that goes away in the middle is its own affair.
                let _ = answer(stream, &*page);
                counted.fetch_sub(1, Ordering::SeqCst);
            };
            if let Err(error) = std::thread::Builder::new().name(String::from("scrape")).spawn(answer) {
                count.fetch_sub(1, Ordering::SeqCst);
                say::error(&format!("cannot start a thread for a scrape: {error}"));
            }
        }
    };
    std::thread::Builder::new()
        .name(String::from("http"))
        .spawn(accept)
        .map_err(|error| Fail::io("cannot start a thread", &error))?;
    Ok(bound)
}

fn answer(mut stream: TcpStream, page: &impl Fn() -> String) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let head = read_head(&mut stream)?;
    let mut words = head.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let (status, kind, body) = match (method, path) {
        ("GET" | "HEAD", "/metrics") => ("200 OK", CONTENT_TYPE, page()),
        ("GET" | "HEAD", "/") => {
            ("200 OK", "text/plain; charset=utf-8", String::from("ZeroBuffer: see /metrics\n"))
        }
        ("GET" | "HEAD", _) => ("404 Not Found", "text/plain; charset=utf-8", String::from("see /metrics\n")),
        _ => ("405 Method Not Allowed", "text/plain; charset=utf-8", String::from("GET /metrics\n")),
    };
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if method != "HEAD" {
        answer.push_str(&body);
    }
    stream.write_all(answer.as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)
}

/// Up to the empty line that ends a request's head.
fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let until = Instant::now() + PATIENCE;
    let mut head = Vec::new();
    let mut part = [0u8; 1024];
    while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") && head.len() < HEAD {
        // Byte by byte would else outlast any limit of a single read.
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part)? {
            0 => break,
            count => head.extend_from_slice(part.get(..count).unwrap_or_default()),
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
