//! As much of HTTP as looking needs: GET and HEAD, each connection by itself and within limits.
mod request;
mod response;

use std::io::{self, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub use request::Request;
pub(crate) use request::encode;
pub use response::{Response, Status};

use crate::Error;

/// How long a client may take for its request, and may stop taking bytes of the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A request, and the connection that waits for its answer.
#[derive(Debug)]
pub struct Exchange {
    /// What is asked for.
    pub request: Request,
    stream: TcpStream,
}

impl Exchange {
    /// Answers, and ends the connection.
    ///
    /// # Errors
    ///
    /// The client has gone, or takes nothing.
    pub fn respond(mut self, response: &Response) -> io::Result<()> {
        self.stream.write_all(&response.head(true))?;
        if !self.request.is_head() {
            self.stream.write_all(response.body())?;
        }
        self.stream.shutdown(Shutdown::Write)
    }

    /// The connection, for an answer of more than one piece.
    #[must_use]
    pub fn into_stream(self) -> TcpStream {
        self.stream
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

/// Serves on threads of its own as long as the process runs, at most `most` connections at once.
///
/// # Errors
///
/// [`Error::System`] if the system gives no thread.
pub fn serve(
    listener: TcpListener,
    most: usize,
    answer: impl Fn(Exchange) -> io::Result<()> + Send + Sync + 'static,
) -> Result<(), Error> {
    let (answer, count) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    let accept = move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                // Out of descriptors, for instance: that passes, or else it must not cost a
                // processor.
                std::thread::sleep(Duration::from_millis(100));
                continue;
            };
            let counted = Counted::new(&count);
            if counted.before >= most {
                continue;
            }
            let answer = Arc::clone(&answer);
            let serve = move || {
                let _counted = counted;
                // A client that goes away in the middle is its own affair.
                if let Err(error) = converse(stream, &*answer) {
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

/// One of the connections that are open, even if its thread ends by a defect.
struct Counted {
    count: Arc<AtomicUsize>,
    before: usize,
}

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Counted {
        Counted { before: count.fetch_add(1, Ordering::SeqCst), count: Arc::clone(count) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::SeqCst);
    }
}

fn converse(
    mut stream: TcpStream,
    answer: &(impl Fn(Exchange) -> io::Result<()> + ?Sized),
) -> io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    // A small answer does not wait for the next one.
    stream.set_nodelay(true)?;
    match Request::read(&mut stream, PATIENCE)? {
        Ok(request) => answer(Exchange { request, stream }),
        Err(status) => {
            stream.write_all(&Response::text(status, status.reason()).to_bytes())?;
            stream.shutdown(Shutdown::Write)
        }
    }
}
