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
use zerobuffer_video::Rate;

use super::incoming::Incoming;
use super::settings::{Settings, WriterGone};
use crate::dropped;
use crate::port::lock;

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("zerosrc", gst::DebugColorFlags::empty(), Some("zerosrc element"))
});

/// How long a writer that leaves may be succeeded in the same ring. A legacy one needs a new ring.
const SUCCESSION: std::time::Duration = std::time::Duration::from_millis(100);

/// Counts for `stats`.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) received: AtomicU64,
    pub(super) skipped: AtomicU64,
    /// Numbers that no frame had: the sender, or a source before it, has dropped them.
    pub(super) lost: AtomicU64,
    pub(super) wrapped: AtomicU64,
    pub(super) copied: AtomicU64,
    pub(super) writers: AtomicU64,
}

pub(super) struct Started {
    pub(super) reader: Reader,
    pub(super) incoming: Option<Incoming>,
    pub(super) discont: bool,
    /// Frames passed over in front of the present one.
    pub(super) passed: u64,
}

impl Started {
    fn new(reader: Reader) -> Started {
        Started { reader, incoming: None, discont: true, passed: 0 }
    }
}

#[derive(Default)]
pub struct ZeroSrc {
    /// Each frame takes a look at them without copying them.
    settings: Mutex<Arc<Settings>>,
    started: Mutex<Option<Started>>,
    handle: Mutex<Option<ReaderHandle>>,
    flushing: AtomicBool,
    pub(super) counts: Counts,
    /// Bytes of the ring that buffers downstream hold.
    pub(super) held: Arc<AtomicUsize>,
}

#[glib::object_subclass]
impl ObjectSubclass for ZeroSrc {
    const NAME: &'static str = "GstZeroSrc";
    type Type = super::ZeroSrc;
    type ParentType = gst_base::PushSrc;
}

impl ObjectImpl for ZeroSrc {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(Settings::properties);
        &PROPERTIES
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.obj().set_format(gst::Format::Time);
        self.obj().set_live(true);
    }

    fn set_property(&self, _: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let live = {
            let mut settings = lock(&self.settings);
            Arc::make_mut(&mut *settings).set(pspec.name(), value);
            settings.is_live
        };
        if pspec.name() == "is-live" {
            self.obj().set_live(live);
        }
    }

    fn property(&self, _: usize, pspec: &glib::ParamSpec) -> glib::Value {
        lock(&self.settings).get(pspec.name()).unwrap_or_else(|| self.stats().to_value())
    }
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
            self.open().map_err(|error| gst::error_msg!(gst::ResourceError::OpenRead, ("{error}")))?;
        *lock(&self.started) = Some(Started::new(reader));
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
        let settings = Arc::clone(&*lock(&self.settings));
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
                            if self.is_succeeded(started).map_err(|error| self.fail(&error))? {
                                continue;
                            }
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
        let settings = Arc::clone(&*lock(&self.settings));
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
        *guard = Some(Started::new(self.open()?));
        Ok(())
    }

    /// Whether another writer attaches at once, as a native one does whose caps have changed: it
    /// replaces the metadata of this ring.
    fn is_succeeded(&self, started: &mut Started) -> Result<bool, Error> {
        let mut ask = || self.go_on();
        started.reader.wait_for_writer_with(&mut Patience::at_most(SUCCESSION).asking(&mut ask))
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
            let skipped = self.counts.skipped.fetch_add(latest.skipped, Ordering::Relaxed) + latest.skipped;
            if latest.skipped > 0 {
                let received = self.counts.received.load(Ordering::Relaxed);
                dropped(self.obj().upcast_ref(), None, received, skipped);
            }
            started.discont |= latest.skipped > 0;
            started.passed = started.passed.saturating_add(latest.skipped);
            latest.frame
        }))
    }

    pub(super) fn fail(&self, error: &Error) -> gst::FlowError {
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

    fn stats(&self) -> gst::Structure {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        gst::Structure::builder("zerosrc-stats")
            .field("received", get(&self.counts.received))
            .field("skipped", get(&self.counts.skipped))
            .field("lost", get(&self.counts.lost))
            .field("wrapped", get(&self.counts.wrapped))
            .field("copied", get(&self.counts.copied))
            .field("writers", get(&self.counts.writers))
            .field("held-bytes", self.held.load(Ordering::Relaxed) as u64)
            .build()
    }
}
