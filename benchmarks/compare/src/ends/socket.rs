//! A Unix stream socket with the largest buffers that the system allows; frames have one size, so
//! none needs a length.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use anyhow::{Result, bail};

use super::transport::{Receiver, Sender, Shape, Transport, until};

pub(crate) struct Socket;

/// Asked for; the system's limit (`net.core.wmem_max`) is what it gives.
const BUFFER: libc::c_int = 8 << 20;

pub(crate) struct SocketReceiver {
    listener: UnixListener,
    stream: Option<BufReader<UnixStream>>,
    frame: Vec<u8>,
    path: PathBuf,
}

pub(crate) struct SocketSender {
    stream: UnixStream,
    frame: Vec<u8>,
}

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(name)
}

fn widen(stream: &UnixStream, option: libc::c_int) {
    let wanted = BUFFER;
    // SAFETY: the option takes one int, which lives on this stack.
    unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const wanted).cast(),
            size_of_val(&wanted) as libc::socklen_t,
        )
    };
}

impl Transport for Socket {
    type Receiver = SocketReceiver;
    type Sender = SocketSender;

    fn receiver(name: &str, shape: Shape) -> Result<SocketReceiver> {
        let path = path(name);
        let listener = UnixListener::bind(&path)?;
        Ok(SocketReceiver { listener, stream: None, frame: vec![0; shape.bytes], path })
    }

    fn sender(name: &str, shape: Shape) -> Result<SocketSender> {
        let path = path(name);
        let stream = until("the socket", || Ok(UnixStream::connect(&path).ok()))?;
        widen(&stream, libc::SO_SNDBUF);
        Ok(SocketSender { stream, frame: vec![0; shape.bytes] })
    }
}

impl Drop for SocketReceiver {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Receiver for SocketReceiver {
    fn take<R>(&mut self, look: impl FnOnce(&[u8]) -> R) -> Result<R> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            empty => {
                let (stream, _) = self.listener.accept()?;
                widen(&stream, libc::SO_RCVBUF);
                // Several small frames in one call; a large frame passes it by.
                empty.insert(BufReader::with_capacity(64 << 10, stream))
            }
        };
        let length = self.frame.len();
        if stream.fill_buf()?.len() >= length {
            let seen = look(stream.buffer().get(..length).unwrap_or_default());
            stream.consume(length);
            return Ok(seen);
        }
        stream.read_exact(&mut self.frame)?;
        Ok(look(&self.frame))
    }
}

impl Sender for SocketSender {
    fn copy(&mut self, frame: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(frame)?)
    }

    fn loan(&mut self, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        fill(&mut self.frame);
        bail!("a socket has no memory to lend")
    }
}
