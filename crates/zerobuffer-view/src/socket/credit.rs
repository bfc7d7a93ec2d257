//! How many frames a page can take, as it says on a thread that listens to it.
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tungstenite::Message;
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};

/// Frames on their way at once; more would be a queue.
const MOST: u32 = 4;
/// Bytes of a message from a page.
const LONGEST: usize = 256;
/// A page that answers no ping for so long has gone; one is sent after a third of it.
const SILENCE: Duration = Duration::from_secs(60);

/// What is to be done next for a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Frame,
    Ping,
    Pong(Vec<u8>),
    Closed,
}

#[derive(Debug, Default)]
struct State {
    frames: u32,
    pong: Option<Vec<u8>>,
    is_closed: bool,
}

/// Shared by the thread that listens and the one that sends.
#[derive(Clone, Debug, Default)]
pub(super) struct Credit(Arc<(Mutex<State>, Condvar)>);

impl Credit {
    /// Listens until the connection ends.
    pub(super) fn listen(stream: Arc<TcpStream>) -> io::Result<Credit> {
        let credit = Credit::default();
        let listener = credit.clone();
        stream.set_read_timeout(Some(SILENCE))?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(LONGEST))
            .max_frame_size(Some(LONGEST))
            .read_buffer_size(LONGEST);
        let listen = move || {
            let mut socket = WebSocket::from_raw_socket(ReadOnly(stream), Role::Server, Some(config));
            while let Ok(message) = socket.read() {
                let mut state = listener.lock();
                match message {
                    Message::Text(text) => {
                        let more = text.parse().unwrap_or(0u32);
                        state.frames = state.frames.saturating_add(more).min(MOST);
                    }
                    Message::Ping(bytes) => state.pong = Some(bytes.to_vec()),
                    Message::Close(_) => break,
                    _ => {}
                }
                listener.0.1.notify_all();
            }
            listener.lock().is_closed = true;
            listener.0.1.notify_all();
        };
        std::thread::Builder::new().name(String::from("credit")).spawn(listen)?;
        Ok(credit)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the other side is asked for a sign of life, if it was asked just now.
    pub(super) fn next_ping() -> Instant {
        Instant::now() + SILENCE / 3
    }

    /// Waits for something to do; no frame before `due`. A page that waits for a frame says
    /// nothing, so the time for `ping` comes first.
    pub(super) fn turn(&self, due: Instant, ping: Instant) -> Turn {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            if state.is_closed {
                return Turn::Closed;
            }
            if let Some(bytes) = state.pong.take() {
                return Turn::Pong(bytes);
            }
            if now >= ping {
                return Turn::Ping;
            }
            if state.frames > 0 && now >= due {
                return Turn::Frame;
            }
            let until = if state.frames > 0 { due.min(ping) } else { ping };
            let waited = self.0.1.wait_timeout(state, until.saturating_duration_since(now));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A frame was sent.
    pub(super) fn used(&self) {
        let mut state = self.lock();
        state.frames = state.frames.saturating_sub(1);
    }
}

/// The half that listens: what it would answer by itself would come between the parts of a frame.
struct ReadOnly(Arc<TcpStream>);

impl Read for ReadOnly {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(bytes)
    }
}

impl Write for ReadOnly {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
