//! The source itself.
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_src::CreateSuccess;
use gst_base::subclass::prelude::*;
use zerobuffer::{BufferConfig, Error, Frame, Patience, Reader, ReaderHandle};
use zerobuffer_video::{Clock, Content, Description, Layout, Rate, Stamp, Video};

use super::time::Anchor;
use crate::pictures::{add_meta, incoming};
use crate::port::lock;
use crate::{filled, taken};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("zerosrc", gst::DebugColorFlags::empty(), Some("zerosrc element"))
});

/// Where time stamps come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstZeroSrcTimestampMode")]
enum TimestampMode {
    /// The sender's where there is a stamp, else the arrival.
    #[default]
    Auto,
    /// The sender's as they are.
    Sender,
    /// The time of arrival.
    Arrival,
    /// None.
    None,
}

/// What to do when the writer has gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstZeroSrcWriterGone")]
enum WriterGone {
    /// Wait for the next one.
    #[default]
    Wait,
    /// End the stream.
    Eos,
    /// Stop with an error.
    Error,
}

#[derive(Clone, Debug)]
struct Settings {
    buffer_name: Option<String>,
    buffer_size: u64,
    metadata_size: u64,
    mode: u32,
    caps: Option<gst::Caps>,
    skip_to_latest: bool,
    timestamp_mode: TimestampMode,
    timeout: u64,
    on_writer_gone: WriterGone,
    copy_threshold: u32,
    is_live: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            buffer_name: None,
            buffer_size: 64 << 20,
            metadata_size: 4096,
            mode: 0o600,
            caps: None,
            skip_to_latest: false,
            timestamp_mode: TimestampMode::Auto,
            timeout: 0,
            on_writer_gone: WriterGone::Wait,
            copy_threshold: 50,
            is_live: true,
        }
    }
}

/// Counts for `stats`.
#[derive(Debug, Default)]
struct Counts {
    received: AtomicU64,
    skipped: AtomicU64,
    wrapped: AtomicU64,
    copied: AtomicU64,
    writers: AtomicU64,
}

/// What the present writer sends.
struct Incoming {
    metadata: Vec<u8>,
    description: Description,
    video: Option<Video>,
    padded: Option<Layout>,
    /// Downstream reads strides from a meta.
    metas: bool,
    anchor: Anchor,
    last_number: Option<u64>,
}

struct Started {
    reader: Reader,
    incoming: Option<Incoming>,
    discont: bool,
}

#[derive(Default)]
pub struct ZeroSrc {
    settings: Mutex<Settings>,
    started: Mutex<Option<Started>>,
    handle: Mutex<Option<ReaderHandle>>,
    flushing: AtomicBool,
    counts: Counts,
    /// Bytes of the ring that buffers downstream hold.
    held: Arc<AtomicUsize>,
}

/// A frame that downstream holds: its pixels are the ring's.
struct Held {
    frame: Frame,
    prefix: usize,
    held: Arc<AtomicUsize>,
}

impl AsMut<[u8]> for Held {
    fn as_mut(&mut self) -> &mut [u8] {
        self.frame.data_mut().get_mut(self.prefix..).unwrap_or_default()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.held.fetch_sub(self.frame.len(), Ordering::AcqRel);
    }
}

#[glib::object_subclass]
impl ObjectSubclass for ZeroSrc {
    const NAME: &'static str = "GstZeroSrc";
    type Type = super::ZeroSrc;
    type ParentType = gst_base::PushSrc;
}

impl ObjectImpl for ZeroSrc {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(properties);
        &PROPERTIES
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.obj().set_format(gst::Format::Time);
        self.obj().set_live(true);
    }

    fn set_property(&self, _: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = lock(&self.settings);
        match pspec.name() {
            "buffer-name" => settings.buffer_name = filled(taken(value, None)),
            "buffer-size" => settings.buffer_size = taken(value, settings.buffer_size),
            "metadata-size" => settings.metadata_size = taken(value, settings.metadata_size),
            "mode" => settings.mode = taken(value, settings.mode),
            "caps" => settings.caps = taken(value, None),
            "skip-to-latest" => settings.skip_to_latest = taken(value, settings.skip_to_latest),
            "timestamp-mode" => settings.timestamp_mode = taken(value, settings.timestamp_mode),
            "timeout" => settings.timeout = taken(value, settings.timeout),
            "on-writer-gone" => settings.on_writer_gone = taken(value, settings.on_writer_gone),
            "copy-threshold" => settings.copy_threshold = taken(value, settings.copy_threshold),
            "is-live" => {
                settings.is_live = taken(value, settings.is_live);
                let live = settings.is_live;
                drop(settings);
                self.obj().set_live(live);
            }
            _ => {}
        }
    }

    fn property(&self, _: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = lock(&self.settings);
        match pspec.name() {
            "buffer-name" => settings.buffer_name.to_value(),
            "buffer-size" => settings.buffer_size.to_value(),
            "metadata-size" => settings.metadata_size.to_value(),
            "mode" => settings.mode.to_value(),
            "caps" => settings.caps.to_value(),
            "skip-to-latest" => settings.skip_to_latest.to_value(),
            "timestamp-mode" => settings.timestamp_mode.to_value(),
            "timeout" => settings.timeout.to_value(),
            "on-writer-gone" => settings.on_writer_gone.to_value(),
            "copy-threshold" => settings.copy_threshold.to_value(),
            "is-live" => settings.is_live.to_value(),
            _ => self.stats().to_value(),
        }
    }
}

fn properties() -> Vec<glib::ParamSpec> {
    vec![
        glib::ParamSpecString::builder("buffer-name")
            .nick("Buffer name")
            .blurb("Name of the buffer, which this element creates")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt64::builder("buffer-size")
            .nick("Buffer size")
            .blurb("Bytes of the ring")
            .minimum(64)
            .default_value(64 << 20)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt64::builder("metadata-size")
            .nick("Metadata size")
            .blurb("Bytes of the metadata block")
            .default_value(4096)
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt::builder("mode")
            .nick("Mode")
            .blurb("Permission bits of the buffer; 384 is 0600, 432 0660, 438 0666")
            .maximum(0o777)
            .default_value(0o600)
            .mutable_ready()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Caps>("caps")
            .nick("Caps")
            .blurb("What the frames are, for senders that do not say so")
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("skip-to-latest")
            .nick("Skip to latest")
            .blurb("Give the newest frame and drop the older ones")
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder::<TimestampMode>("timestamp-mode")
            .nick("Time-stamp mode")
            .blurb("Where the time stamps of buffers come from")
            .mutable_ready()
            .build(),
        glib::ParamSpecUInt64::builder("timeout")
            .nick("Time-out")
            .blurb("Nanoseconds without a frame after which the element message zerosrc-timeout is posted; 0: never")
            .mutable_playing()
            .build(),
        glib::ParamSpecEnum::builder::<WriterGone>("on-writer-gone")
            .nick("Writer gone")
            .blurb("What to do when the writer has gone")
            .mutable_playing()
            .build(),
        glib::ParamSpecUInt::builder("copy-threshold")
            .nick("Copy threshold")
            .blurb("Percent of the ring that buffers downstream may hold; above it frames are copied")
            .maximum(100)
            .default_value(50)
            .mutable_playing()
            .build(),
        glib::ParamSpecBoolean::builder("is-live")
            .nick("Live")
            .blurb("Whether the frames come in real time")
            .default_value(true)
            .mutable_ready()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Frames received, skipped, wrapped, copied; bytes of the ring held downstream; writers")
            .read_only()
            .build(),
    ]
}

impl GstObjectImpl for ZeroSrc {}

impl ElementImpl for ZeroSrc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "ZeroBuffer source",
                "Source/Video",
                "Creates a buffer in shared memory and gives the frames that a program sends into it",
                "The ZeroBuffer developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let any = gst::Caps::new_any();
            gst::PadTemplate::new("src", gst::PadDirection::Src, gst::PadPresence::Always, &any)
                .into_iter()
                .collect()
        });
        &TEMPLATES
    }
}

impl BaseSrcImpl for ZeroSrc {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let reader =
            self.open().map_err(|error| gst::error_msg!(gst::ResourceError::OpenRead, ["{error}"]))?;
        *lock(&self.started) = Some(Started { reader, incoming: None, discont: true });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        *lock(&self.handle) = None;
        *lock(&self.started) = None;
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.flushing.store(true, Ordering::SeqCst);
        if let Some(handle) = &*lock(&self.handle) {
            handle.interrupt();
        }
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.flushing.store(false, Ordering::SeqCst);
        if let Some(handle) = &*lock(&self.handle) {
            handle.resume();
        }
        Ok(())
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
            let (live, latest) = {
                let settings = lock(&self.settings);
                (settings.is_live, settings.skip_to_latest)
            };
            // A frame may wait behind one that is being taken.
            let frame = if latest { gst::ClockTime::ZERO } else { self.frame_time().unwrap_or_default() };
            latency.set(live, frame, gst::ClockTime::NONE);
            return true;
        }
        BaseSrcImplExt::parent_query(self, query)
    }
}

impl PushSrcImpl for ZeroSrc {
    fn create(&self, _: Option<&mut gst::BufferRef>) -> Result<CreateSuccess, gst::FlowError> {
        let settings = lock(&self.settings).clone();
        let mut guard = lock(&self.started);
        loop {
            let started = guard.as_mut().ok_or(gst::FlowError::Flushing)?;
            match self.next(started, &settings) {
                Ok(Some(frame)) => {
                    return self.buffer(started, frame, &settings).map(CreateSuccess::NewBuffer);
                }
                Ok(None) | Err(Error::Closed { .. }) if self.flushing.load(Ordering::SeqCst) => {
                    return Err(gst::FlowError::Flushing);
                }
                Ok(None) => {
                    let message =
                        gst::Structure::builder("zerosrc-timeout").field("timeout", settings.timeout).build();
                    let message = gst::message::Element::builder(message).src(&*self.obj()).build();
                    // Nobody has to listen.
                    let _ = self.obj().post_message(message);
                }
                Err(Error::WriterGone { .. }) => match settings.on_writer_gone {
                    WriterGone::Wait => {
                        if started.incoming.is_some() {
                            self.renew(&mut guard).map_err(|error| self.fail(&error))?;
                        } else {
                            self.await_writer(started).map_err(|error| self.fail(&error))?;
                        }
                    }
                    WriterGone::Eos => return Err(gst::FlowError::Eos),
                    WriterGone::Error => {
                        gst::element_imp_error!(self, gst::ResourceError::Read, ("the writer has gone"));
                        return Err(gst::FlowError::Error);
                    }
                },
                Err(error) => return Err(self.fail(&error)),
            }
        }
    }
}

impl ZeroSrc {
    /// Creates the ring.
    fn open(&self) -> Result<Reader, Error> {
        let settings = lock(&self.settings).clone();
        let config =
            BufferConfig::ring(settings.buffer_size).metadata(settings.metadata_size).mode(settings.mode);
        let reader = Reader::create(settings.buffer_name.as_deref().unwrap_or_default(), config)?;
        let handle = reader.handle();
        let mut slot = lock(&self.handle);
        if self.flushing.load(Ordering::SeqCst) {
            handle.interrupt();
        }
        *slot = Some(handle);
        drop(slot);
        Ok(reader)
    }

    /// Puts a new ring in the place of the present one, whose metadata are written and describe the
    /// last writer's frames. Buffers downstream keep the old one's memory.
    fn renew(&self, guard: &mut Option<Started>) -> Result<(), Error> {
        gst::info!(CAT, imp = self, "the writer has gone: a new ring for the next one");
        *lock(&self.handle) = None;
        if let Some(old) = guard.take() {
            old.reader.close()?;
        }
        *guard = Some(Started { reader: self.open()?, incoming: None, discont: true });
        Ok(())
    }

    /// Waits for a writer that has not come yet.
    fn await_writer(&self, started: &mut Started) -> Result<(), Error> {
        let mut ask = || self.go_on();
        started.reader.wait_for_writer_with(&mut Patience::forever().asking(&mut ask)).map(drop)
    }

    fn go_on(&self) -> ControlFlow<()> {
        if self.flushing.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// The next frame; `None` after the time-out or an interrupt.
    fn next(&self, started: &mut Started, settings: &Settings) -> Result<Option<Frame>, Error> {
        let mut ask = || self.go_on();
        let patience = match settings.timeout {
            0 => Patience::forever(),
            nanoseconds => Patience::at_most(std::time::Duration::from_nanos(nanoseconds)),
        };
        let mut patience = patience.asking(&mut ask);
        if !settings.skip_to_latest {
            return started.reader.read_with(&mut patience);
        }
        let latest = started.reader.latest_with(&mut patience)?;
        Ok(latest.map(|latest| {
            self.counts.skipped.fetch_add(latest.skipped, Ordering::Relaxed);
            started.discont |= latest.skipped > 0;
            latest.frame
        }))
    }

    fn fail(&self, error: &Error) -> gst::FlowError {
        if self.flushing.load(Ordering::SeqCst) {
            return gst::FlowError::Flushing;
        }
        gst::element_imp_error!(self, gst::ResourceError::Read, ("{error}"));
        gst::FlowError::Error
    }

    fn frame_time(&self) -> Option<gst::ClockTime> {
        let caps = self.obj().src_pads().first()?.current_caps()?;
        let rate = caps.structure(0)?.get::<gst::Fraction>("framerate").ok()?;
        let rate = Rate::new(u32::try_from(rate.numer()).ok()?, u32::try_from(rate.denom()).ok()?)?;
        Some(gst::ClockTime::from_nseconds(u64::try_from(rate.due(1).as_nanos()).ok()?))
    }

    /// Reads what the writer says of its frames, and tells downstream.
    fn negotiate_with(
        &self,
        started: &mut Started,
        metadata: &[u8],
        settings: &Settings,
    ) -> Result<(), gst::FlowError> {
        let wrong = |why: &dyn std::fmt::Display| {
            gst::element_imp_error!(self, gst::StreamError::Format, ("the frames cannot be used: {why}"));
            gst::FlowError::NotNegotiated
        };
        let (mut caps, mut description) = incoming(metadata).map_err(|why| wrong(&why))?;
        if let (None, Some(given)) = (&caps, &settings.caps) {
            description = Description::parse(given.to_string().as_bytes()).map_err(|why| wrong(&why))?;
            caps = Some(given.clone());
        }
        let video = match description.content {
            Content::Video(video) => Some(video),
            _ => None,
        };
        let caps = caps.unwrap_or_else(|| gst::Caps::new_empty_simple("application/octet-stream"));
        gst::info!(CAT, imp = self, "a writer sends {caps}");
        self.counts.writers.fetch_add(1, Ordering::Relaxed);
        if self.obj().set_caps(&caps).is_err() {
            return Err(wrong(&format!("downstream does not accept '{caps}'")));
        }
        let mut query = gst::query::Allocation::new(Some(&caps), false);
        let asked = self.obj().src_pads().first().is_some_and(|pad| pad.peer_query(&mut query));
        let metas = asked && query.find_allocation_meta::<gst_video::VideoMeta>().is_some();
        let padded = video.and_then(|video| Layout::padded(&video).ok());
        started.incoming = Some(Incoming {
            metadata: metadata.to_vec(),
            description,
            video,
            padded,
            metas,
            anchor: Anchor::default(),
            last_number: None,
        });
        if let Some(element) = self.obj().dynamic_cast_ref::<gst::Element>() {
            let _ = element.post_message(gst::message::Latency::builder().src(element).build());
        }
        Ok(())
    }

    /// Makes a buffer of a frame.
    fn buffer(
        &self,
        started: &mut Started,
        frame: Frame,
        settings: &Settings,
    ) -> Result<gst::Buffer, gst::FlowError> {
        let metadata = started.reader.metadata().map_err(|error| self.fail(&error))?;
        let known = started
            .incoming
            .as_ref()
            .is_some_and(|incoming| incoming.metadata == metadata.as_deref().unwrap_or_default());
        if !known {
            // The first frame, or one of a successor that came before its predecessor was missed.
            self.negotiate_with(started, metadata.as_deref().unwrap_or_default(), settings)?;
        }
        self.counts.received.fetch_add(1, Ordering::Relaxed);
        let capacity = started.reader.capacity();
        let Some(incoming) = started.incoming.as_mut() else { return Err(gst::FlowError::NotNegotiated) };
        let picture = match incoming.video {
            Some(_) => Some(incoming.description.picture(frame.len()).map_err(|why| {
                gst::element_imp_error!(self, gst::StreamError::Decode, ("{why}"));
                gst::FlowError::Error
            })?),
            None => None,
        };
        let stamped = match &picture {
            Some(picture) => picture.stamped,
            None => incoming.description.stamped == Some(true) && frame.len() >= Stamp::SIZE,
        };
        let stamp = Stamp::split(frame.data()).filter(|_| stamped).map(|(stamp, _)| stamp);
        let prefix = if stamped { Stamp::SIZE } else { 0 };
        let layout = picture.map(|picture| picture.layout);
        let foreign =
            layout.as_ref().zip(incoming.padded.as_ref()).filter(|(layout, padded)| layout != padded);
        let held = self.held.load(Ordering::Acquire).saturating_add(frame.len());
        let crowded = held as u128 * 100 > u128::from(capacity) * u128::from(settings.copy_threshold);
        let mut buffer = match foreign {
            // Downstream expects GStreamer's rows and supports no others.
            Some((layout, padded)) if !incoming.metas => {
                self.counts.copied.fetch_add(1, Ordering::Relaxed);
                let mut pixels = vec![0; padded.size()];
                padded.fill(&mut pixels, layout, frame.data().get(prefix..).unwrap_or_default());
                gst::Buffer::from_mut_slice(pixels)
            }
            _ if crowded => {
                self.counts.copied.fetch_add(1, Ordering::Relaxed);
                gst::Buffer::from_mut_slice(frame.data().get(prefix..).unwrap_or_default().to_vec())
            }
            _ => {
                self.counts.wrapped.fetch_add(1, Ordering::Relaxed);
                self.held.fetch_add(frame.len(), Ordering::AcqRel);
                gst::Buffer::from_mut_slice(Held { frame, prefix, held: Arc::clone(&self.held) })
            }
        };
        let reference = buffer.make_mut();
        if let (Some((layout, _)), Some(video), true) = (foreign, &incoming.video, incoming.metas) {
            add_meta(reference, video, layout);
        }
        let restarted = self.put_times(reference, incoming, stamp.unwrap_or_default(), settings);
        if std::mem::take(&mut started.discont) || restarted {
            reference.set_flags(gst::BufferFlags::DISCONT);
        }
        Ok(buffer)
    }

    /// Sets offset, PTS and duration. `true`: they do not go on from the frame before.
    fn put_times(
        &self,
        buffer: &mut gst::BufferRef,
        incoming: &mut Incoming,
        stamp: Stamp,
        settings: &Settings,
    ) -> bool {
        let mut restarted = false;
        if let Some(number) = stamp.number {
            restarted = incoming.last_number.is_some_and(|last| number != last.wrapping_add(1));
            incoming.last_number = Some(number);
            buffer.set_offset(number);
            buffer.set_offset_end(number.saturating_add(1));
        }
        let obj = self.obj();
        let now = obj.current_running_time();
        let arrival = now.map(gst::ClockTime::nseconds);
        let pts = match (settings.timestamp_mode, stamp.time_ns, arrival) {
            (TimestampMode::None, _, _) => None,
            (TimestampMode::Sender, time, _) => time,
            (TimestampMode::Auto, Some(time), Some(arrival)) if settings.is_live => {
                if incoming.description.clock == Some(Clock::Monotonic) {
                    let system = gst::SystemClock::obtain().time().nseconds();
                    // How long ago it was due there is how long ago it is due here.
                    let at = (u128::from(arrival) + u128::from(time)).saturating_sub(u128::from(system));
                    u64::try_from(at).ok()
                } else {
                    let (at, anew) = incoming.anchor.place(time, arrival);
                    restarted |= anew;
                    Some(at)
                }
            }
            (TimestampMode::Auto, Some(time), _) => Some(time),
            (_, _, arrival) => arrival,
        };
        buffer.set_pts(pts.map(gst::ClockTime::from_nseconds));
        let rate = incoming.video.and_then(|video| video.rate);
        let duration = rate.and_then(|rate| u64::try_from(rate.due(1).as_nanos()).ok());
        buffer.set_duration(duration.map(gst::ClockTime::from_nseconds));
        restarted
    }

    fn stats(&self) -> gst::Structure {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        gst::Structure::builder("zerosrc-stats")
            .field("received", get(&self.counts.received))
            .field("skipped", get(&self.counts.skipped))
            .field("wrapped", get(&self.counts.wrapped))
            .field("copied", get(&self.counts.copied))
            .field("writers", get(&self.counts.writers))
            .field("held-bytes", self.held.load(Ordering::Relaxed) as u64)
            .build()
    }
}
