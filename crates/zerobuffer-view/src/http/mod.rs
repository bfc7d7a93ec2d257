//! As much of HTTP as looking needs: GET and HEAD, each connection by itself and within limits.
mod places;
mod request;
mod response;

use std::io::{self, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

pub use request::Request;
pub(crate) use request::encode;
pub use response::{Response, Status};

use crate::Error;
use places::{Place, Places};

/// How long a client may take for its request, and may stop taking bytes of the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A request, and the connection that waits for its answer.
#[derive(Debug)]
pub struct Exchange {
    /// What is asked for.
    pub request: Request,
    stream: Arc<TcpStream>,
    place: Place,
}

/// A connection that gets an answer of many pieces.
#[derive(Debug)]
pub(crate) struct Watch {
    stream: Arc<TcpStream>,
    place: Place,
}

impl Watch {
    /// The connection.
    pub(crate) fn stream(&self) -> &Arc<TcpStream> {
        &self.stream
    }

    /// The client has asked for a piece. One that never does has to go first where there are too
    /// many.
    pub(crate) fn heard(&self) {
        self.place.heard();
    }
}

impl Exchange {
    /// Answers, and ends the connection.
    ///
    /// # Errors
    ///
    /// The client has gone, or takes nothing.
    pub fn respond(self, response: &Response) -> io::Result<()> {
        let mut stream = &*self.stream;
        stream.write_all(&response.head(true))?;
        if !self.request.is_head() {
            stream.write_all(response.body())?;
        }
        stream.shutdown(Shutdown::Write)
    }

    /// The connection, for an answer of more than one piece; `None` if too many have one already:
    /// the client gets the status 503.
    pub(crate) fn watch(self) -> io::Result<Option<Watch>> {
        if self.place.watch() {
            return Ok(Some(Watch { stream: self.stream, place: self.place }));
        }
        let line = "too many pages and programs are watching: close one of them";
        self.respond(&Response::text(Status::NotYet, line)).map(|()| None)
    }
}

/// Takes an address.
///
/// # Errors
///
/// [`Error::Taken`], [`Error::NoSuchAddress`], [`Error::Listen`].
pub fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let listener = TcpListener::bind(address).map_err(|error| Error::listen(address, error))?;
    let bound = listener.local_addr().map_err(|error| Error::listen(address, error))?;
    Ok((listener, bound))
}

/// Serves on threads of its own as long as the process runs: at most `most` connections that ask,
/// and as many that watch. Beyond that those that say nothing are let go, the oldest first.
///
/// # Errors
///
/// [`Error::System`] if the system gives no thread.
pub fn serve(
    listener: TcpListener,
    most: usize,
    answer: impl Fn(Exchange) -> io::Result<()> + Send + Sync + 'static,
) -> Result<(), Error> {
    let (answer, places) = (Arc::new(answer), Arc::new(Places::new(most)));
    let accept = move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                // Out of descriptors, for instance: that passes, or else it must not cost a
                // processor.
                std::thread::sleep(Duration::from_millis(100));
                continue;
            };
            let stream = Arc::new(stream);
            let place = places.take(&stream);
            let answer = Arc::clone(&answer);
            let serve = move || {
                // A client that goes away in the middle is its own affair.
                if let Err(error) = converse(stream, place, &*answer) {
                    log::debug!("a client of the viewer: {error}");
                }
            };
            if let Err(error) = std::thread::Builder::new().name(String::from("client")).spawn(serve) {
                log::error!("cannot start a thread for a client of the viewer: {error}");
            }
        }
    };
    let thread = std::thread::Builder::new().name(String::from("http"));
    thread.spawn(accept).map(drop).map_err(|source| Error::System { what: "cannot start a thread", source })
}

fn converse(
    stream: Arc<TcpStream>,
    place: Place,
    answer: &(impl Fn(Exchange) -> io::Result<()> + ?Sized),
) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    // A small answer does not wait for the next one.
    stream.set_nodelay(true)?;
    match Request::read(&stream, PATIENCE)? {
        Ok(request) => answer(Exchange { request, stream, place }),
        Err(status) => {
            (&*stream).write_all(&Response::text(status, status.reason()).to_bytes())?;
            stream.shutdown(Shutdown::Write)
        }
    }
}
