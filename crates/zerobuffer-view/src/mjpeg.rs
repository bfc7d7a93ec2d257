//! `/stream/NAME.mjpeg`: one JPEG after the other, for programs that open addresses of cameras.
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::encode;
use crate::feed::Feeds;
use crate::http::{Exchange, Response, Status};
use crate::source::{Look, Source};

/// What stands between two pictures.
const BOUNDARY: &str = "zerobuffer-frame";
/// A client may take so long for what it does with a picture.
const SLOWEST: Duration = Duration::from_secs(60);
/// Bytes of pictures that the system keeps for a client: what is in there is old already.
#[cfg(unix)]
const QUEUE: usize = 64 << 10;
/// How long one look waits for the next frame.
const LOOK: Duration = Duration::from_millis(500);

pub(crate) fn answer(exchange: Exchange, feeds: &Feeds, name: &str) -> io::Result<()> {
    let request = &exchange.request;
    let width = request.number("width", 16, 65_535);
    let quality = request.number("quality", 1, 100).and_then(|quality| u8::try_from(quality).ok());
    let quality = quality.unwrap_or(encode::QUALITY);
    let pause = request.number("fps", 1, 1000).map_or(Duration::ZERO, |fps| Duration::from_secs(1) / fps);
    let mut source = match Source::open(feeds, name) {
        Ok(source) => source,
        Err(why) => return exchange.respond(&Response::text(Status::NotFound, &why)),
    };
    if exchange.request.is_head() {
        return exchange.respond(&Response::new(Status::Ok, KIND, Vec::new()));
    }
    let Some(watch) = exchange.watch()? else { return Ok(()) };
    watch.heard();
    let mut stream = &**watch.stream();
    stream.set_write_timeout(Some(SLOWEST))?;
    keep_short(stream);
    stream.write_all(&Response::new(Status::Ok, KIND, Vec::new()).head(false))?;
    write!(stream, "--{BOUNDARY}\r\n")?;
    let mut due = Instant::now();
    loop {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let picture = match source.newer(LOOK) {
            // The frame itself is not kept while its picture is sent.
            Look::Frame(seen) => seen.picture.jpeg(width, quality).ok(),
            Look::Nothing => None,
            Look::Gone(_) => {
                std::thread::sleep(LOOK / 2);
                None
            }
        };
        let Some(picture) = picture else {
            // The next writer's frames, or the next picture, follow on this connection; a client
            // that has gone is noticed by its socket.
            if is_closed(stream) {
                return Ok(());
            }
            continue;
        };
        due = Instant::now() + pause;
        write!(stream, "Content-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", picture.len())?;
        stream.write_all(&picture)?;
        // The boundary at once: the reader then knows that the picture is whole.
        write!(stream, "\r\n--{BOUNDARY}\r\n")?;
    }
}

const KIND: &str = "multipart/x-mixed-replace; boundary=zerobuffer-frame";

/// Has the system keep less than the megabytes that it would: a slow client would see the past.
fn keep_short(stream: &TcpStream) {
    #[cfg(unix)]
    if let Err(error) = rustix::net::sockopt::set_socket_send_buffer_size(stream, QUEUE) {
        log::debug!("cannot shorten a client's queue: {error}");
    }
    // Elsewhere the system's queue is short by itself.
    #[cfg(not(unix))]
    let _ = stream;
}

/// Whether the other side has ended the connection: it has nothing more to say.
fn is_closed(stream: &TcpStream) -> bool {
    let mut byte = [0; 1];
    let looked = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut byte));
    let _ = stream.set_nonblocking(false);
    match looked {
        Ok(count) => count == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}
