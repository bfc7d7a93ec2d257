//! The sink itself.
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::prelude::*;
use zerobuffer::Error;
use zerobuffer_video::{Clock, Stamp};

use super::pool::{Offer, Pool};
use super::settings::{Settings, Timestamp, ZeroCopy};
use crate::pictures::{Outgoing, stamp};
use crate::port::{Port, Sent, lock};
use crate::{dropped, patience};

pub(crate) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("zerosink", gst::DebugColorFlags::empty(), Some("zerosink element"))
});

#[derive(Default)]
pub struct ZeroSink {
    /// Each frame takes a look at them without copying them.
    settings: Mutex<Arc<Settings>>,
    port: Arc<Port>,
    outgoing: Mutex<Option<Arc<Outgoing>>>,
    /// Frames rendered: the number of those that have no offset.
    number: AtomicU64,
    /// There has been a reader.
    met: AtomicBool,
}

#[glib::object_subclass]
impl ObjectSubclass for ZeroSink {
    const NAME: &'static str = "GstZeroSink";
    type Type = super::ZeroSink;
    type ParentType = gst_base::BaseSink;
}

impl ObjectImpl for ZeroSink {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(Settings::properties);
        &PROPERTIES
    }

    fn constructed(&self) {
        self.parent_constructed();
        // The last frame would keep ring memory that the reader has long released.
        self.obj().set_property("enable-last-sample", false);
    }

    fn set_property(&self, _: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        if matches!(pspec.name(), "buffer-size" | "metadata-size") {
            gst::warning!(CAT, imp = self, "{} is ignored: the reader chooses the size", pspec.name());
        }
        Arc::make_mut(&mut *lock(&self.settings)).set(pspec.name(), value);
    }

    fn property(&self, _: usize, pspec: &glib::ParamSpec) -> glib::Value {
        lock(&self.settings).get(pspec.name()).unwrap_or_else(|| self.stats().to_value())
    }
}

impl GstObjectImpl for ZeroSink {}

impl ElementImpl for ZeroSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "ZeroBuffer sink",
                "Sink/Video",
                "Sends frames through shared memory to the program that created the buffer",
                "The ZeroBuffer developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let any = gst::Caps::new_any();
            gst::PadTemplate::new("sink", gst::PadDirection::Sink, gst::PadPresence::Always, &any)
                .into_iter()
                .collect()
        });
        &TEMPLATES
    }
}

impl BaseSinkImpl for ZeroSink {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        if lock(&self.settings).buffer_name.is_none() {
            return Err(gst::error_msg!(gst::ResourceError::Settings, ("buffer-name is not set")));
        }
        self.number.store(0, Ordering::Relaxed);
        self.met.store(false, Ordering::Relaxed);
        self.port.set_flushing(false);
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        self.port.disconnect();
        *lock(&self.outgoing) = None;
        Ok(())
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.port.set_flushing(true);
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.port.set_flushing(false);
        Ok(())
    }

    fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let new = Outgoing::new(caps).map_err(|why| {
            gst::element_imp_error!(self, gst::StreamError::Format, ("cannot send '{caps}': {why}"));
            gst::loggable_error!(CAT, "{why}")
        })?;
        let changed = lock(&self.outgoing).replace(Arc::new(new)).is_some_and(|old| old.caps != *caps);
        if changed {
            // A writer says once what its frames are: the next one is its own successor.
            gst::info!(CAT, imp = self, "new caps, attaching anew: {caps}");
            self.port.disconnect();
        }
        Ok(())
    }

    fn propose_allocation(&self, query: &mut gst::query::Allocation) -> Result<(), gst::LoggableError> {
        let settings = lock(&self.settings).clone();
        let (caps, pool) = query.get_owned();
        let outgoing = caps.and_then(|caps| Outgoing::new(&caps).ok());
        let Some(pictures) = outgoing.and_then(|outgoing| outgoing.video) else { return Ok(()) };
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        let size = u32::try_from(pictures.padded.size());
        let (Ok(size), true, true) = (size, pool, settings.zero_copy != ZeroCopy::Never) else {
            return Ok(());
        };
        let Some(pad) = self.obj().static_pad("sink") else { return Ok(()) };
        let offer = Offer {
            pad,
            port: Arc::clone(&self.port),
            pictures,
            stamped: settings.stamped(),
            waiting: settings.waiting(),
        };
        query.add_allocation_pool(Some(&Pool::new(offer)), size, 0, 0);
        Ok(())
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let settings = Arc::clone(&*lock(&self.settings));
        let Some(outgoing) = lock(&self.outgoing).clone() else { return Err(gst::FlowError::NotNegotiated) };
        loop {
            match self.send(buffer, &outgoing, &settings) {
                Ok(true) => return Ok(gst::FlowSuccess::Ok),
                // Interrupted: by a change of state or a flush, after which it may go on.
                Ok(false) => {
                    self.obj().wait_preroll()?;
                }
                Err(Failure::Ring(Error::Closed { .. })) if self.port.is_flushing() => {
                    self.obj().wait_preroll()?;
                }
                Err(Failure::Ring(Error::ReaderGone { reason, .. })) if settings.reconnect => {
                    gst::info!(CAT, imp = self, "the reader has gone ({reason}), waiting for the next one");
                    self.port.disconnect();
                }
                Err(Failure::Ring(error @ Error::MetadataAlreadyWritten { .. })) => {
                    let remedy = "they describe other frames, and its reader is of another implementation: \
                                  restart it, or send what they describe";
                    gst::element_imp_error!(self, gst::ResourceError::Write, ("{error}; {remedy}"));
                    return Err(gst::FlowError::Error);
                }
                Err(Failure::Ring(error)) => {
                    gst::element_imp_error!(self, gst::ResourceError::Write, ("{error}"));
                    return Err(gst::FlowError::Error);
                }
                Err(Failure::Picture(why)) => {
                    let name = settings.buffer_name.as_deref().unwrap_or_default();
                    gst::element_imp_error!(self, gst::StreamError::Format, ("buffer '{name}': {why}"));
                    return Err(gst::FlowError::Error);
                }
            }
        }
    }
}

/// Why a frame was not sent.
enum Failure {
    Ring(Error),
    /// It is not what its caps say, or cannot be sent as the properties demand.
    Picture(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Ring(error)
    }
}

impl ZeroSink {
    /// Sends one frame. `Ok(false)`: interrupted before it was sent.
    fn send(&self, buffer: &gst::Buffer, outgoing: &Outgoing, settings: &Settings) -> Result<bool, Failure> {
        if !self.connect(outgoing, settings)? {
            if self.port.is_flushing() {
                return Ok(false);
            }
            self.port.counts.dropped.fetch_add(1, Ordering::Relaxed);
            self.tell_dropped(buffer);
            return Ok(true);
        }
        let stamp = settings.stamped().then(|| self.stamp(buffer, settings.timestamp));
        let map = buffer
            .map_readable()
            .map_err(|_| Failure::Picture(String::from("a buffer of the pipeline cannot be mapped")))?;
        let sent = if self.port.is_lent(&map) {
            // Other holders of this memory would see the reader's edits and later frames in it.
            drop(map);
            self.port.publish(stamp)?
        } else if settings.zero_copy == ZeroCopy::Always {
            let why = "upstream does not use the memory of the ring, which zero-copy=always demands";
            return Err(Failure::Picture(String::from(why)));
        } else {
            match outgoing.layout_of(buffer).map_err(Failure::Picture)? {
                Some(layout) => self.port.copy(stamp, layout.runs(&map), settings.waiting())?,
                None => self.port.copy(stamp, std::iter::once(map.as_slice()), settings.waiting())?,
            }
        };
        if sent == Sent::Dropped {
            self.tell_dropped(buffer);
        }
        Ok(true)
    }

    fn tell_dropped(&self, buffer: &gst::BufferRef) {
        gst::debug!(CAT, imp = self, "a frame was dropped");
        let counts = &self.port.counts;
        let sent = counts.in_place.load(Ordering::Relaxed) + counts.copied.load(Ordering::Relaxed);
        let obj = self.obj();
        dropped(obj.upcast_ref(), Some(buffer), sent, counts.dropped.load(Ordering::Relaxed));
    }

    /// Makes sure that there is a reader. `Ok(false)`: there is none, or the wait was interrupted.
    fn connect(&self, outgoing: &Outgoing, settings: &Settings) -> Result<bool, Error> {
        if self.port.is_connected() {
            return Ok(true);
        }
        let name = settings.buffer_name.as_deref().unwrap_or_default();
        let timeout = if !settings.wait_for_connection {
            Some(std::time::Duration::ZERO)
        } else if self.met.load(Ordering::Relaxed) {
            // The next reader comes when it comes; a stop of the pipeline ends the wait.
            None
        } else {
            patience(settings.connect_timeout)
        };
        let clock = if settings.timestamp == Timestamp::Monotonic { Clock::Monotonic } else { Clock::Pts };
        let element = self.obj().name();
        let metadata = outgoing.metadata("gstreamer-sink", &element, settings.stamped(), clock);
        match self.port.connect(name, timeout, &metadata, settings.waiting()) {
            Ok(connected) => {
                self.met.fetch_or(connected, Ordering::Relaxed);
                Ok(connected)
            }
            Err(Error::NotFound { .. } | Error::NotReady { .. }) if !settings.wait_for_connection => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn stamp(&self, buffer: &gst::BufferRef, time: Timestamp) -> Stamp {
        let counted = self.number.fetch_add(1, Ordering::Relaxed);
        let number = if buffer.offset() == u64::MAX { counted } else { buffer.offset() };
        let segment = || self.obj().segment().downcast::<gst::ClockTime>().ok();
        let running = || segment()?.to_running_time(buffer.pts()?);
        let time = match time {
            Timestamp::Pts => buffer.pts(),
            Timestamp::RunningTime => running(),
            Timestamp::Monotonic => running().and_then(|running| self.monotonic(running)),
        };
        stamp(number, time)
    }

    /// The time of the machine's monotonic clock at which the pipeline reaches a running time.
    fn monotonic(&self, running: gst::ClockTime) -> Option<gst::ClockTime> {
        let obj = self.obj();
        let now = obj.current_running_time()?;
        let system = gst::SystemClock::obtain().time();
        (system + running).checked_sub(now)
    }

    fn stats(&self) -> gst::Structure {
        let counts = &self.port.counts;
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        gst::Structure::builder("zerosink-stats")
            .field("sent", get(&counts.in_place) + get(&counts.copied))
            .field("in-place", get(&counts.in_place))
            .field("copied", get(&counts.copied))
            .field("dropped", get(&counts.dropped))
            .field("bytes", get(&counts.bytes))
            .field("blocked-ns", get(&counts.blocked_ns))
            .field("readers", get(&counts.readers))
            .field("reader-pid", get(&counts.reader_pid))
            .build()
    }
}
