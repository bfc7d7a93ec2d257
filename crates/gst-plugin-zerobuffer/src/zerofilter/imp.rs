//! The filter itself.
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;
use gst_base::subclass::prelude::*;
use zerobuffer::Error;
use zerobuffer::duplex::{Client, ClientConfig};
use zerobuffer_video::{Clock, Layout, Stamp};

use super::settings::{Otherwise, Settings};
use crate::pictures::{Outgoing, stamp};
use crate::port::{attached, lock};
use crate::zerosink::FrameHeader;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("zerofilter", gst::DebugColorFlags::empty(), Some("zerofilter element"))
});

/// How long a wait goes on before it looks whether the pipeline stops.
const SLICE: Duration = Duration::from_millis(20);
/// How often a server is looked for that is not there.
const LOOK: Duration = Duration::from_millis(250);

/// Counts for `stats`.
#[derive(Debug, Default)]
struct Counts {
    answered: AtomicU64,
    late: AtomicU64,
    alone: AtomicU64,
    servers: AtomicU64,
}

#[derive(Default)]
pub struct ZeroFilter {
    settings: Mutex<Settings>,
    outgoing: Mutex<Option<Outgoing>>,
    client: Mutex<Option<Client>>,
    looked: Mutex<Option<Instant>>,
    stopping: AtomicBool,
    number: AtomicU64,
    counts: Counts,
}

/// What has come of a request.
enum Answer {
    Done,
    Late,
    Stopped,
}

#[glib::object_subclass]
impl ObjectSubclass for ZeroFilter {
    const NAME: &'static str = "GstZeroFilter";
    type Type = super::ZeroFilter;
    type ParentType = gst_base::BaseTransform;
}

impl ObjectImpl for ZeroFilter {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(Settings::properties);
        &PROPERTIES
    }

    fn set_property(&self, _: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        lock(&self.settings).set(pspec.name(), value);
    }

    fn property(&self, _: usize, pspec: &glib::ParamSpec) -> glib::Value {
        lock(&self.settings).get(pspec.name()).unwrap_or_else(|| self.stats().to_value())
    }
}

impl GstObjectImpl for ZeroFilter {}

impl ElementImpl for ZeroFilter {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "ZeroBuffer filter",
                "Filter/Effect/Video",
                "Has each picture processed by the server of a duplex channel in another program",
                "The ZeroBuffer developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let any = gst::Caps::new_any();
            [("sink", gst::PadDirection::Sink), ("src", gst::PadDirection::Src)]
                .into_iter()
                .filter_map(|(name, direction)| {
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &any).ok()
                })
                .collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::ReadyToPaused => self.stopping.store(false, Ordering::SeqCst),
            // Before the pads are stopped: the streaming thread may wait for an answer.
            gst::StateChange::PausedToReady => self.stopping.store(true, Ordering::SeqCst),
            _ => {}
        }
        self.parent_change_state(transition)
    }
}

impl BaseTransformImpl for ZeroFilter {
    const MODE: gst_base::subclass::BaseTransformMode = gst_base::subclass::BaseTransformMode::AlwaysInPlace;
    const PASSTHROUGH_ON_SAME_CAPS: bool = false;
    const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

    fn start(&self) -> Result<(), gst::ErrorMessage> {
        if lock(&self.settings).channel_name.is_none() {
            return Err(gst::error_msg!(gst::ResourceError::Settings, ["channel-name is not set"]));
        }
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.client) = None;
        *lock(&self.looked) = None;
        *lock(&self.outgoing) = None;
        Ok(())
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        match event.type_() {
            gst::EventType::FlushStart => self.stopping.store(true, Ordering::SeqCst),
            gst::EventType::FlushStop => self.stopping.store(false, Ordering::SeqCst),
            _ => {}
        }
        self.parent_sink_event(event)
    }

    fn set_caps(&self, caps: &gst::Caps, _: &gst::Caps) -> Result<(), gst::LoggableError> {
        let new = Outgoing::new(caps).map_err(|why| {
            gst::element_imp_error!(self, gst::StreamError::Format, ("cannot send '{caps}': {why}"));
            gst::loggable_error!(CAT, "{why}")
        })?;
        if lock(&self.outgoing).replace(new).is_some_and(|old| old.caps != *caps) {
            // The metadata of a channel's client say once what its requests are.
            *lock(&self.client) = None;
        }
        Ok(())
    }

    fn transform_ip(&self, buffer: &mut gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
        let settings = lock(&self.settings).clone();
        let Some(outgoing) = lock(&self.outgoing).clone() else { return Err(gst::FlowError::NotNegotiated) };
        let (why, otherwise) = match self.ask(buffer, &outgoing, &settings) {
            Ok(Answer::Done) => {
                self.counts.answered.fetch_add(1, Ordering::Relaxed);
                return Ok(gst::FlowSuccess::Ok);
            }
            Ok(Answer::Stopped) => return Err(gst::FlowError::Flushing),
            Ok(Answer::Late) => {
                self.counts.late.fetch_add(1, Ordering::Relaxed);
                (format!("no answer within {} ms", settings.timeout_ms), settings.on_timeout)
            }
            Err(Failure::Ring(error)) => {
                let mut client = lock(&self.client);
                if client.as_ref().is_some_and(Client::is_server_connected) {
                    // It is there, and has no answer to this picture: it is too slow, or its
                    // handler failed.
                    self.counts.late.fetch_add(1, Ordering::Relaxed);
                    (error.to_string(), settings.on_timeout)
                } else {
                    self.counts.alone.fetch_add(1, Ordering::Relaxed);
                    *client = None;
                    (error.to_string(), settings.on_server_gone)
                }
            }
            Err(Failure::Alone(why)) => {
                self.counts.alone.fetch_add(1, Ordering::Relaxed);
                (why, settings.on_server_gone)
            }
            Err(Failure::Picture(why)) => {
                gst::element_imp_error!(self, gst::StreamError::Decode, ("{why}"));
                return Err(gst::FlowError::Error);
            }
        };
        match otherwise {
            Otherwise::Pass => {
                gst::debug!(CAT, imp = self, "passed on as it is: {why}");
                Ok(gst::FlowSuccess::Ok)
            }
            Otherwise::Drop => Ok(gst_base::BASE_TRANSFORM_FLOW_DROPPED),
            Otherwise::Error => {
                gst::element_imp_error!(self, gst::ResourceError::Read, ("{why}"));
                Err(gst::FlowError::Error)
            }
        }
    }
}

/// Why a picture was not answered.
enum Failure {
    Ring(Error),
    /// There is no server, and it is not time to look for one again.
    Alone(String),
    /// What came is not the picture that was sent.
    Picture(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Ring(error)
    }
}

impl ZeroFilter {
    /// Sends a picture and puts the answer in its place.
    fn ask(
        &self,
        buffer: &mut gst::BufferRef,
        outgoing: &Outgoing,
        settings: &Settings,
    ) -> Result<Answer, Failure> {
        let mut guard = lock(&self.client);
        if guard.is_none() {
            *guard = Some(self.connect(outgoing, settings)?);
        }
        let Some(client) = guard.as_ref() else { return Ok(Answer::Stopped) };
        let stamped = settings.frame_header == FrameHeader::RocketWelder;
        let layout = outgoing.layout_of(buffer).map_err(|why| Failure::Picture(why.to_string()))?;
        let tight = outgoing.video.as_ref().map(|(_, tight)| tight);
        let counted = self.number.fetch_add(1, Ordering::Relaxed);
        let number = if buffer.offset() == u64::MAX { counted } else { buffer.offset() };
        let head = stamp(number, buffer.pts()).to_bytes();
        let head: &[u8] = if stamped { &head } else { &[] };
        let map = buffer
            .map_readable()
            .map_err(|_| Failure::Picture(String::from("the buffer cannot be mapped")))?;
        let size = tight.map_or(map.len(), Layout::size);
        let mut request = client.loan(head.len() + size)?;
        if let Some((prefix, pixels)) = request.split_at_mut_checked(head.len()) {
            prefix.copy_from_slice(head);
            match (&layout, tight) {
                (Some(layout), Some(tight)) => tight.fill(pixels, layout, &map),
                _ => pixels.copy_from_slice(&map),
            }
        }
        let call = request.submit()?;
        drop(map);
        let deadline = Instant::now() + Duration::from_millis(settings.timeout_ms.into());
        let response = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if let Some(response) = call.wait(left.min(SLICE))? {
                break response;
            }
            if self.stopping.load(Ordering::SeqCst) {
                return Ok(Answer::Stopped);
            }
            if left.is_zero() {
                return Ok(Answer::Late);
            }
        };
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
            .map_err(|_| Failure::Picture(String::from("the buffer cannot be written to")))?;
        match (&layout, tight) {
            (Some(layout), Some(tight)) => layout.fill(&mut map, tight, pixels),
            _ => map.copy_from_slice(pixels),
        }
        Ok(Answer::Done)
    }

    /// Looks for the server, now and then while there is none.
    fn connect(&self, outgoing: &Outgoing, settings: &Settings) -> Result<Client, Failure> {
        let channel = settings.channel_name.as_deref().unwrap_or_default();
        let waits = settings.on_server_gone == Otherwise::Error;
        let mut looked = lock(&self.looked);
        if !waits && looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return Err(Failure::Alone(format!("channel '{channel}' has no server")));
        }
        *looked = Some(Instant::now());
        drop(looked);
        let patience = Duration::from_millis(settings.timeout_ms.into());
        let config = ClientConfig::default()
            .connect_timeout(if waits { patience } else { Duration::ZERO })
            .write_timeout(Some(patience))
            .response_size(settings.response_size);
        let client = attached(|| Client::connect_with(channel, config.clone()))?;
        let stamped = settings.frame_header == FrameHeader::RocketWelder;
        let metadata = outgoing.metadata("gstreamer-filter", &self.obj().name(), stamped, Clock::Pts);
        match client.set_metadata(&metadata) {
            // A server of another implementation keeps those of the client before.
            Ok(()) | Err(Error::MetadataAlreadyWritten { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.counts.servers.fetch_add(1, Ordering::Relaxed);
        Ok(client)
    }

    fn stats(&self) -> gst::Structure {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        gst::Structure::builder("zerofilter-stats")
            .field("answered", get(&self.counts.answered))
            .field("late", get(&self.counts.late))
            .field("alone", get(&self.counts.alone))
            .field("servers", get(&self.counts.servers))
            .build()
    }
}
