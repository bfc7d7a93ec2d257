//! What the present writer sends, and the buffers that its frames become.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use zerobuffer::Frame;
use zerobuffer_video::{Clock, Content, Description, Layout, Picture, Stamp, Video};

use super::imp::{CAT, Started, ZeroSrc};
use super::settings::{Settings, TimestampMode};
use super::time::Anchor;
use crate::pictures::{add_meta, described, incoming};

/// What the present writer sends.
pub(super) struct Incoming {
    metadata: Vec<u8>,
    description: Description,
    video: Option<Video>,
    padded: Option<Layout>,
    /// What a frame of the last one's size is.
    last: Option<(usize, Picture)>,
    /// Downstream reads strides from a meta.
    metas: bool,
    anchor: Anchor,
    last_number: Option<u64>,
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

impl ZeroSrc {
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
            let text = given.to_string();
            description = described(text.as_bytes()).map_err(|why| wrong(&why))?;
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
            last: None,
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
    pub(super) fn buffer(
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
        if incoming.video.is_some() && incoming.last.as_ref().is_none_or(|last| last.0 != frame.len()) {
            let picture = incoming.description.picture(frame.len()).map_err(|why| {
                gst::element_imp_error!(self, gst::StreamError::Decode, ("{why}"));
                gst::FlowError::Error
            })?;
            incoming.last = Some((frame.len(), picture));
        }
        let picture = incoming.last.as_ref().map(|(_, picture)| picture);
        let stamped = match picture {
            Some(picture) => picture.stamped,
            None => incoming.description.stamped == Some(true) && frame.len() >= Stamp::SIZE,
        };
        let stamp = Stamp::split(frame.data()).filter(|_| stamped).map(|(stamp, _)| stamp);
        let prefix = if stamped { Stamp::SIZE } else { 0 };
        let layout = picture.map(|picture| &picture.layout);
        let foreign = layout.zip(incoming.padded.as_ref()).filter(|(layout, padded)| layout != padded);
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
        let passed = std::mem::take(&mut started.passed);
        let restarted = self.put_times(reference, incoming, stamp.unwrap_or_default(), passed, settings);
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
        passed: u64,
        settings: &Settings,
    ) -> bool {
        let mut restarted = false;
        if let Some(number) = stamp.number {
            restarted = incoming.last_number.is_some_and(|last| number != last.wrapping_add(1));
            if let Some(missing) = incoming.last_number.and_then(|last| number.checked_sub(last)) {
                let lost = missing.saturating_sub(1).saturating_sub(passed);
                self.counts.lost.fetch_add(lost, Ordering::Relaxed);
            }
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
}
