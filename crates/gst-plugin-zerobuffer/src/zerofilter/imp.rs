//! The filter itself: its sink pad asks, a task of its source pad waits for the answers.
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::asking::{Asked, Asker, Failure};
use super::queue::{Item, Queue};
use super::settings::{Otherwise, Settings};
use crate::dropped;
use crate::pictures::Outgoing;
use crate::port::lock;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("zerofilter", gst::DebugColorFlags::empty(), Some("zerofilter element"))
});

/// Counts for `stats`.
#[derive(Debug, Default)]
struct Counts {
    answered: AtomicU64,
    late: AtomicU64,
    alone: AtomicU64,
    dropped: AtomicU64,
}

pub struct ZeroFilter {
    sink: gst::Pad,
    src: gst::Pad,
    /// Each picture takes a look at them without copying them.
    settings: Mutex<Arc<Settings>>,
    outgoing: Mutex<Option<Arc<Outgoing>>>,
    asker: Asker,
    queue: Queue,
    counts: Counts,
}

#[glib::object_subclass]
impl ObjectSubclass for ZeroFilter {
    const NAME: &'static str = "GstZeroFilter";
    type Type = super::ZeroFilter;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let builder = |name, direction| {
            class
                .pad_template(name)
                .map_or_else(
                    || gst::Pad::builder(direction),
                    |template| gst::Pad::builder_from_template(&template),
                )
                // What either side can do, the other one can.
                .flags(gst::PadFlags::PROXY_CAPS | gst::PadFlags::PROXY_ALLOCATION)
        };
        let sink = builder("sink", gst::PadDirection::Sink)
            .chain_function(|_, parent, buffer| {
                let panicked = || Err(gst::FlowError::Error);
                ZeroFilter::catch_panic_pad_function(parent, panicked, |this| this.chain(buffer))
            })
            .event_function(|pad, parent, event| {
                ZeroFilter::catch_panic_pad_function(parent, || false, |this| this.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                ZeroFilter::catch_panic_pad_function(parent, || false, |this| this.sink_query(pad, query))
            })
            .build();
        let src = builder("src", gst::PadDirection::Src)
            .query_function(|pad, parent, query| {
                ZeroFilter::catch_panic_pad_function(parent, || false, |this| this.src_query(pad, query))
            })
            .activatemode_function(|_, parent, mode, active| {
                let panicked = || Err(gst::loggable_error!(CAT, "panic while a pad is activated"));
                ZeroFilter::catch_panic_pad_function(parent, panicked, |this| this.activate(mode, active))
            })
            .build();
        ZeroFilter {
            sink,
            src,
            settings: Mutex::default(),
            outgoing: Mutex::default(),
            asker: Asker::default(),
            queue: Queue::default(),
            counts: Counts::default(),
        }
    }
}

impl ObjectImpl for ZeroFilter {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(Settings::properties);
        &PROPERTIES
    }

    fn constructed(&self) {
        self.parent_constructed();
        for pad in [&self.sink, &self.src] {
            // A new element has no pads of these names.
            let _ = self.obj().add_pad(pad);
        }
    }

    fn set_property(&self, _: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        if pspec.name() == "request-size" {
            gst::warning!(CAT, imp = self, "request-size is ignored: the server chooses the size");
        }
        Arc::make_mut(&mut *lock(&self.settings)).set(pspec.name(), value);
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
            gst::StateChange::ReadyToPaused => {
                if lock(&self.settings).channel_name.is_none() {
                    gst::element_imp_error!(self, gst::ResourceError::Settings, ("channel-name is not set"));
                    return Err(gst::StateChangeError);
                }
                self.asker.set_stopping(false);
            }
            // Before the pads are stopped: their threads may wait for an answer.
            gst::StateChange::PausedToReady => {
                self.asker.set_stopping(true);
                self.queue.flush();
            }
            _ => {}
        }
        let changed = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PausedToReady {
            self.asker.leave();
            *lock(&self.outgoing) = None;
        }
        Ok(changed)
    }
}

/// The pads' functions.
impl ZeroFilter {
    fn chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let settings = Arc::clone(&*lock(&self.settings));
        let Some(outgoing) = lock(&self.outgoing).clone() else { return Err(gst::FlowError::NotNegotiated) };
        self.queue.await_room(settings.max_in_flight as usize)?;
        let asked = self.asker.ask(&buffer, outgoing, &self.obj().name(), &settings);
        self.queue.put(Item::Picture(buffer, asked))?;
        Ok(gst::FlowSuccess::Ok)
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::FlushStart(_) => {
                self.asker.set_stopping(true);
                self.queue.flush();
                let sent = self.src.push_event(event);
                // Waits until the task has come back.
                let _ = self.src.pause_task();
                return sent;
            }
            gst::EventView::FlushStop(_) => {
                let sent = self.src.push_event(event);
                self.asker.set_stopping(false);
                self.queue.open();
                return self.start().is_ok() && sent;
            }
            gst::EventView::Caps(caps) if !self.set_caps(caps.caps()) => return false,
            _ => {}
        }
        if !event.is_serialized() {
            return gst::Pad::event_default(pad, Some(&*self.obj()), event);
        }
        let (last, sticky) = (event.type_() == gst::EventType::Eos, event.is_sticky());
        match self.queue.put(Item::Event(event)) {
            Ok(()) => true,
            Err(why) => {
                // No picture follows whose return value would tell upstream.
                if last {
                    self.report(why);
                }
                sticky && !last && why != gst::FlowError::Flushing
            }
        }
    }

    fn set_caps(&self, caps: &gst::CapsRef) -> bool {
        let known = lock(&self.outgoing).as_ref().map(|outgoing| *outgoing.caps == *caps);
        if known == Some(true) {
            return true;
        }
        let new = match Outgoing::new(&caps.to_owned()) {
            Ok(new) => new,
            Err(why) => {
                gst::element_imp_error!(self, gst::StreamError::Format, ("cannot send '{caps}': {why}"));
                return false;
            }
        };
        if known.is_some() {
            // The metadata of a channel's client say once what its requests are: another client
            // asks for the next ones.
            if self.queue.await_empty().is_err() {
                return false;
            }
            self.asker.leave();
        }
        *lock(&self.outgoing) = Some(Arc::new(new));
        true
    }

    fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        // Downstream answers by what went before.
        if query.is_serialized() && self.queue.await_empty().is_err() {
            return false;
        }
        gst::Pad::query_default(pad, Some(&*self.obj()), query)
    }

    fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        if !gst::Pad::query_default(pad, Some(&*self.obj()), query) {
            return false;
        }
        if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
            // A picture may wait behind all that were asked before it.
            let before = u64::from(lock(&self.settings).max_in_flight.saturating_sub(1));
            let outgoing = lock(&self.outgoing).clone();
            let rate = outgoing.and_then(|outgoing| outgoing.video.as_ref()?.video.rate);
            let frame = rate.and_then(|rate| u64::try_from(rate.due(1).as_nanos()).ok()).unwrap_or(0);
            let more = gst::ClockTime::from_nseconds(frame.saturating_mul(before));
            let (live, least, most) = latency.result();
            latency.set(live, least.saturating_add(more), most.map(|most| most.saturating_add(more)));
        }
        true
    }

    fn activate(&self, mode: gst::PadMode, active: bool) -> Result<(), gst::LoggableError> {
        if mode != gst::PadMode::Push {
            return Err(gst::loggable_error!(CAT, "zerofilter pushes"));
        }
        if active {
            self.queue.open();
            return self.start();
        }
        self.queue.flush();
        self.src.stop_task().map_err(|error| gst::loggable_error!(CAT, "{error}"))
    }

    fn start(&self) -> Result<(), gst::LoggableError> {
        let weak = self.obj().downgrade();
        let task = move || {
            if let Some(this) = weak.upgrade() {
                this.imp().send_on();
            }
        };
        self.src.start_task(task).map_err(|error| gst::loggable_error!(CAT, "{error}"))
    }

    /// Sends one picture or event downstream: the body of the source pad's task.
    fn send_on(&self) {
        let sent = match self.queue.next() {
            None => {
                let _ = self.src.pause_task();
                return;
            }
            Some(Item::Event(event)) => {
                self.src.push_event(event);
                return;
            }
            Some(Item::Picture(buffer, asked)) => {
                let answered = self.answer(buffer, asked);
                self.queue.answered();
                match answered {
                    Ok(Some(buffer)) => self.src.push(buffer).map(drop),
                    Ok(None) => Ok(()),
                    Err(why) => Err(why),
                }
            }
        };
        if let Err(why) = sent
            && self.queue.end(why)
        {
            self.report(why);
            self.src.push_event(gst::event::Eos::new());
        }
    }

    /// Says that the stream has ended before its time.
    fn report(&self, why: gst::FlowError) {
        if !matches!(why, gst::FlowError::Flushing | gst::FlowError::Eos) {
            gst::element_imp_error!(self, gst::StreamError::Failed, ("streaming stopped, reason {why}"));
        }
    }

    /// The picture as it goes on, `None` if it is dropped.
    fn answer(&self, mut buffer: gst::Buffer, asked: Asked) -> Result<Option<gst::Buffer>, gst::FlowError> {
        let failure = match self.asker.receive(buffer.make_mut(), asked) {
            Ok(()) => {
                self.counts.answered.fetch_add(1, Ordering::Relaxed);
                return Ok(Some(buffer));
            }
            Err(failure) => failure,
        };
        let settings = Arc::clone(&*lock(&self.settings));
        let (why, count, otherwise) = match failure {
            Failure::Stopped => return Err(gst::FlowError::Flushing),
            Failure::Picture(why) => {
                let channel = settings.channel_name.as_deref().unwrap_or_default();
                gst::element_imp_error!(self, gst::StreamError::Decode, ("channel '{channel}': {why}"));
                return Err(gst::FlowError::Error);
            }
            Failure::Late(why) => (why, &self.counts.late, settings.on_timeout),
            Failure::Gone(why) => (why, &self.counts.alone, settings.on_server_gone),
        };
        count.fetch_add(1, Ordering::Relaxed);
        match otherwise {
            Otherwise::Pass => {
                gst::debug!(CAT, imp = self, "passed on as it is: {why}");
                Ok(Some(buffer))
            }
            Otherwise::Drop => {
                gst::debug!(CAT, imp = self, "dropped: {why}");
                let so_far = self.counts.dropped.fetch_add(1, Ordering::Relaxed) + 1;
                let answered = self.counts.answered.load(Ordering::Relaxed);
                dropped(self.obj().upcast_ref(), Some(&buffer), answered, so_far);
                Ok(None)
            }
            Otherwise::Error => {
                gst::element_imp_error!(self, gst::ResourceError::Read, ("{why}"));
                Err(gst::FlowError::Error)
            }
        }
    }

    fn stats(&self) -> gst::Structure {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        gst::Structure::builder("zerofilter-stats")
            .field("answered", get(&self.counts.answered))
            .field("late", get(&self.counts.late))
            .field("alone", get(&self.counts.alone))
            .field("dropped", get(&self.counts.dropped))
            .field("servers", get(&self.asker.servers))
            .build()
    }
}
