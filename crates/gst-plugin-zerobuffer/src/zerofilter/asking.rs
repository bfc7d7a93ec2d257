//! One picture's way to the server and back.
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use zerobuffer::duplex::{Call, Client, ClientConfig};
use zerobuffer::{Error, Patience, WriterHandle};
use zerobuffer_video::{Clock, Layout, Stamp};

use super::settings::{Otherwise, Settings};
use crate::pictures::{Outgoing, stamp};
use crate::port::{attached, lock};

/// How often a server is looked for that is not there.
const LOOK: Duration = Duration::from_millis(250);

/// Why a picture was not answered.
pub(super) enum Failure {
    /// The server is there: it is too slow, or its handler failed.
    Late(String),
    /// There is no server.
    Gone(String),
    /// The picture cannot be sent, or what came is not the picture that was sent.
    Picture(String),
    /// The pipeline stops or flushes.
    Stopped,
}

/// A request on its way.
pub(super) struct Sent {
    call: Call,
    client: Arc<Client>,
    deadline: Instant,
}

/// A picture that was sent, or why it was not.
pub(super) struct Asked {
    pub(super) outgoing: Arc<Outgoing>,
    pub(super) sent: Result<Sent, Failure>,
}

/// The filter's end of the channel.
#[derive(Default)]
pub(super) struct Asker {
    client: Mutex<Option<Arc<Client>>>,
    /// Of the ring that requests go through: ends a wait for space in it.
    requests: Mutex<Option<WriterHandle>>,
    looked: Mutex<Option<Instant>>,
    stopping: AtomicBool,
    number: AtomicU64,
    pub(super) servers: AtomicU64,
}

impl Asker {
    /// Ends every wait, or lets them begin again.
    pub(super) fn set_stopping(&self, on: bool) {
        self.stopping.store(on, Ordering::SeqCst);
        if let Some(requests) = &*lock(&self.requests) {
            if on {
                requests.interrupt();
            } else {
                requests.resume();
            }
        }
    }

    fn go_on(&self) -> ControlFlow<()> {
        if self.stopping.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Leaves the channel.
    pub(super) fn leave(&self) {
        *lock(&self.requests) = None;
        *lock(&self.client) = None;
        *lock(&self.looked) = None;
    }

    /// What an error of a client means. A server that has gone is forgotten: the next picture looks
    /// for another one.
    fn failure(&self, error: &Error, client: &Arc<Client>) -> Failure {
        let why = error.to_string();
        if self.stopping.load(Ordering::SeqCst) {
            return Failure::Stopped;
        }
        if matches!(error, Error::FrameTooLarge { .. }) {
            return Failure::Picture(why);
        }
        if client.is_server_connected() {
            return Failure::Late(why);
        }
        let mut slot = lock(&self.client);
        if slot.as_ref().is_some_and(|present| Arc::ptr_eq(present, client)) {
            *slot = None;
            *lock(&self.requests) = None;
        }
        Failure::Gone(why)
    }

    /// Sends a picture.
    pub(super) fn ask(
        &self,
        buffer: &gst::BufferRef,
        outgoing: Arc<Outgoing>,
        element: &str,
        settings: &Settings,
    ) -> Asked {
        let sent = self.send(buffer, &outgoing, element, settings);
        Asked { outgoing, sent }
    }

    fn send(
        &self,
        buffer: &gst::BufferRef,
        outgoing: &Outgoing,
        element: &str,
        settings: &Settings,
    ) -> Result<Sent, Failure> {
        let layout = outgoing.layout_of(buffer).map_err(Failure::Picture)?;
        let client = self.connected(outgoing, element, settings)?;
        let tight = outgoing.video.as_ref().map(|pictures| &pictures.tight);
        let counted = self.number.fetch_add(1, Ordering::Relaxed);
        let number = if buffer.offset() == u64::MAX { counted } else { buffer.offset() };
        let head = stamp(number, buffer.pts()).to_bytes();
        let head: &[u8] = if settings.stamped() { &head } else { &[] };
        let map = buffer
            .map_readable()
            .map_err(|_| Failure::Picture(String::from("a buffer of the pipeline cannot be mapped")))?;
        let wrong = |error| self.failure(&error, &client);
        let size = head.len() + tight.map_or(map.len(), Layout::size);
        let mut request = client.loan(size).map_err(wrong)?;
        if let Some((prefix, pixels)) = request.split_at_mut_checked(head.len()) {
            prefix.copy_from_slice(head);
            match (&layout, tight) {
                (Some(layout), Some(tight)) => tight.fill(pixels, layout, &map),
                _ => pixels.copy_from_slice(&map),
            }
        }
        let deadline = Instant::now() + Duration::from_millis(settings.timeout_ms.into());
        let call = request.submit().map_err(wrong)?;
        Ok(Sent { call, client, deadline })
    }

    /// Waits for the answer and puts it in the picture's place.
    pub(super) fn receive(&self, buffer: &mut gst::BufferRef, asked: Asked) -> Result<(), Failure> {
        let Sent { call, client, deadline } = asked.sent?;
        let mut ask = || self.go_on();
        let left = deadline.saturating_duration_since(Instant::now());
        let response = match call.wait_with(&mut Patience::at_most(left).asking(&mut ask)) {
            Ok(Some(response)) => response,
            _ if self.stopping.load(Ordering::SeqCst) => return Err(Failure::Stopped),
            Ok(None) => return Err(Failure::Late(String::from("no answer in time"))),
            Err(error) => return Err(self.failure(&error, &client)),
        };
        let layout = asked.outgoing.layout_of(buffer).map_err(Failure::Picture)?;
        let tight = asked.outgoing.video.as_ref().map(|pictures| &pictures.tight);
        let size = tight.map_or(buffer.size(), Layout::size);
        let mut pixels = response.data();
        if pixels.len() == size + Stamp::SIZE {
            pixels = pixels.get(Stamp::SIZE..).unwrap_or_default();
        }
        if pixels.len() != size {
            return Err(Failure::Picture(format!(
                "the server answered {} bytes to a picture of {size}: it must answer with the pixels alone",
                pixels.len()
            )));
        }
        let mut map = buffer
            .map_writable()
            .map_err(|_| Failure::Picture(String::from("a buffer of the pipeline cannot be written to")))?;
        match (&layout, tight) {
            (Some(layout), Some(tight)) => layout.fill(&mut map, tight, pixels),
            _ => map.copy_from_slice(pixels),
        }
        Ok(())
    }

    /// The client; looks for the server now and then while there is none.
    fn connected(
        &self,
        outgoing: &Outgoing,
        element: &str,
        settings: &Settings,
    ) -> Result<Arc<Client>, Failure> {
        if let Some(client) = &*lock(&self.client) {
            return Ok(Arc::clone(client));
        }
        let channel = settings.channel_name.as_deref().unwrap_or_default();
        let waits = settings.on_server_gone == Otherwise::Error;
        let mut looked = lock(&self.looked);
        if !waits && looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return Err(Failure::Gone(format!("channel '{channel}' has no server")));
        }
        *looked = Some(Instant::now());
        drop(looked);
        let timeout = Duration::from_millis(settings.timeout_ms.into());
        let config =
            ClientConfig::default().write_timeout(Some(timeout)).response_size(settings.response_size);
        let gone = |error: Error| match self.go_on() {
            ControlFlow::Break(()) => Failure::Stopped,
            // No server can ever come.
            ControlFlow::Continue(()) if matches!(error, Error::InvalidName { .. }) => {
                Failure::Picture(error.to_string())
            }
            ControlFlow::Continue(()) => Failure::Gone(error.to_string()),
        };
        let client = attached(|| {
            let mut ask = || self.go_on();
            let patience = Patience::at_most(if waits { timeout } else { Duration::ZERO });
            Client::connect_within(channel, config.clone(), &mut patience.asking(&mut ask))
        })
        .map_err(gone)?;
        let metadata = outgoing.metadata("gstreamer-filter", element, settings.stamped(), Clock::Pts);
        match client.set_metadata(&metadata) {
            // A server of another implementation keeps those of the client before.
            Ok(()) | Err(Error::MetadataAlreadyWritten { .. }) => {}
            Err(error) => return Err(gone(error)),
        }
        self.servers.fetch_add(1, Ordering::Relaxed);
        let client = Arc::new(client);
        let requests = client.request_buffer();
        let mut slot = lock(&self.requests);
        if self.stopping.load(Ordering::SeqCst) {
            requests.interrupt();
        }
        *slot = Some(requests);
        drop(slot);
        *lock(&self.client) = Some(Arc::clone(&client));
        Ok(client)
    }
}
