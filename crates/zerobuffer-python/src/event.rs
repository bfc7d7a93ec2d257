//! Descriptors that an event loop waits for, and what makes them readable.

#[cfg(unix)]
use std::io::{self, Read, Write};
#[cfg(unix)]
use std::os::{fd::AsRawFd as _, unix::net::UnixStream};
use std::sync::Arc;
use std::task::{Wake, Waker};

#[cfg(unix)]
use parking_lot::Mutex;
use pyo3::prelude::*;
#[cfg(all(target_os = "linux", not(macos_sys)))]
use zerobuffer::EventFd;

/// What an endpoint tells an event loop by: the descriptor of the core, on Linux.
#[cfg(all(target_os = "linux", not(macos_sys)))]
pub(crate) type Signal = EventFd;

/// There is none elsewhere.
#[cfg(not(all(target_os = "linux", not(macos_sys))))]
#[derive(Clone, Debug)]
pub(crate) enum Signal {}

#[cfg(not(all(target_os = "linux", not(macos_sys))))]
impl Signal {
    pub(crate) fn signal(&self) {
        match *self {}
    }

    pub(crate) fn drain(&self) {
        match *self {}
    }
}

/// The descriptor of an endpoint, which stays open for as long as this object lives.
#[pyclass(frozen, name = "Event", module = "zerobuffer._zerobuffer")]
pub(crate) struct Event(pub(crate) Signal);

#[pymethods]
impl Event {
    /// The number of the descriptor.
    pub(crate) fn fileno(&self) -> i32 {
        #[cfg(all(target_os = "linux", not(macos_sys)))]
        return self.0.as_raw_fd();
        #[cfg(not(all(target_os = "linux", not(macos_sys))))]
        match self.0 {}
    }
}

/// The wakers of a client's calls: they leave the number of their request here, and make one
/// descriptor readable for all. No Python code runs in the thread that wakes.
#[pyclass(frozen, name = "Bell", module = "zerobuffer._zerobuffer")]
pub(crate) struct Bell(#[cfg(unix)] Arc<Rope>);

#[cfg(unix)]
#[derive(Debug)]
struct Rope {
    rung: Mutex<Vec<u64>>,
    pulled: UnixStream,
    pulls: UnixStream,
}

/// Rings for one request.
#[cfg(unix)]
struct Pull {
    rope: Arc<Rope>,
    number: u64,
}

#[cfg(unix)]
impl Wake for Pull {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut rung = self.rope.rung.lock();
        let is_first = rung.is_empty();
        rung.push(self.number);
        drop(rung);
        if is_first {
            // A pipe that is full is readable.
            let _ = (&self.rope.pulls).write(&[1]);
        }
    }
}

impl Bell {
    /// A waker that leaves this number.
    pub(crate) fn waker(&self, number: u64) -> Waker {
        #[cfg(unix)]
        return Arc::new(Pull { rope: Arc::clone(&self.0), number }).into();
        #[cfg(not(unix))]
        {
            let _ = number;
            Waker::noop().clone()
        }
    }
}

#[cfg(unix)]
#[pymethods]
impl Bell {
    #[new]
    fn new() -> io::Result<Self> {
        let (pulled, pulls) = UnixStream::pair()?;
        pulled.set_nonblocking(true)?;
        pulls.set_nonblocking(true)?;
        Ok(Self(Arc::new(Rope { rung: Mutex::default(), pulled, pulls })))
    }

    /// The number of the descriptor.
    fn fileno(&self) -> i32 {
        self.0.pulled.as_raw_fd()
    }

    /// What has been rung for since the last time, in order.
    fn _take(&self) -> Vec<u64> {
        // In this order: a number that comes between leaves the descriptor readable.
        let mut pulls = [0; 64];
        while matches!((&self.0.pulled).read(&mut pulls), Ok(64)) {}
        std::mem::take(&mut *self.0.rung.lock())
    }
}
